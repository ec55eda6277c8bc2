#!/usr/bin/env python3
"""The training of tests/bench/memory.lua in PyTorch: memory.py MODEL BATCH STEPS: its peak memory beyond what the process held before the model was made, after one step of
a small model, so that the library's own first use counts for nothing. One thread. SPDX-License-Identifier: MIT"""
import re, sys
import torch
from torch import nn

kind, batch, steps = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
torch.set_num_threads(1)
torch.manual_seed(1)


def status(name):
    return int(re.search(name + r":\s*(\d+)", open("/proc/self/status").read())[1]) * 1024


def make(width, convolution):
    if not convolution: return nn.Sequential(nn.Linear(784, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 10))
    return nn.Sequential(nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(9216, width), nn.ReLU(), nn.Linear(width, 10))


def train(net, x, y, batch):
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9, fused=True)
    criterion = nn.CrossEntropyLoss(label_smoothing=0.1)
    for rows in torch.randperm(len(x)).split(batch):
        loss = criterion(net(x[rows]), y[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


convnet = kind == "convnet"
x, y = torch.rand(batch * steps, *([1, 28, 28] if convnet else [784])), torch.randint(10, (batch * steps,))
train(make(8, convnet), x[:8], y[:8], 8)
open("/proc/self/clear_refs", "w").write("5")
before = status("VmRSS")
net = make(128 if convnet else 1200, convnet)
train(net, x, y, batch)
print(f"PyTorch's peak\t{(status('VmHWM') - before) / 1e6:.4f}")
