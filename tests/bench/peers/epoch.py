#!/usr/bin/env python3
"""The epoch of tests/bench/epoch.lua in PyTorch: epoch.py MODEL THREADS BATCH ROWS [channels_last]. The rows lie in memory
as float32; the fused SGD. SPDX-License-Identifier: MIT"""
import gzip, os, sys
kind, threads, batch, rows = sys.argv[1], *map(int, sys.argv[2:5])
for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"): os.environ.pop(name, None)
os.environ["OMP_NUM_THREADS"] = str(threads)
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
import time
import torch
from torch import nn

torch.set_num_threads(threads)
torch.manual_seed(1)
folder = os.environ.get("FASHION_MNIST", "/usr/share/datasets/fashion-mnist")


def read(name, skip):
    with gzip.open(f"{folder}/{name}") as f:
        return torch.frombuffer(bytearray(f.read()[skip:]), dtype=torch.uint8)


x = read("train-images-idx3-ubyte.gz", 16).float().div(255).reshape(-1, 1, 28, 28)
y = read("train-labels-idx1-ubyte.gz", 8).long()
if rows < len(x):
    some = torch.randperm(len(x))[:rows]
    x, y = x[some], y[some]
if kind == "mlp":
    x = x.reshape(len(x), 784)
    net = nn.Sequential(nn.Linear(784, 1200), nn.ReLU(), nn.Linear(1200, 1200), nn.ReLU(), nn.Linear(1200, 10))
else:
    net = nn.Sequential(nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
                        nn.Linear(9216, 128), nn.ReLU(), nn.Linear(128, 10))
if "channels_last" in sys.argv: net, x = net.to(memory_format=torch.channels_last), x.contiguous(memory_format=torch.channels_last)
optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4, fused="foreach" not in sys.argv)
criterion = nn.CrossEntropyLoss(label_smoothing=0.1)
start = time.perf_counter()
total, order = 0.0, torch.randperm(len(x))
for rows_of_batch in order.split(batch):
    loss = criterion(net(x[rows_of_batch]), y[rows_of_batch])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    total += loss.item() * len(rows_of_batch)
layout = ", channels last" if "channels_last" in sys.argv else ", channels first" if kind == "convnet" else ""
print(f"PyTorch epoch{layout}\t{time.perf_counter() - start:.6f}\n=\tPyTorch's mean loss{layout}\t{total / len(x):.6f}")
