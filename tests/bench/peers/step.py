#!/usr/bin/env python3
"""The step of tests/bench/step.c in PyTorch: step.py THREADS EPOCHS ROWS BATCH SIZE SIZE …: the median time of a step. SPDX-License-Identifier: MIT"""
import sys, time, torch
threads, epochs, n, batch, *sizes = map(int, sys.argv[1:])
torch.set_num_threads(threads); torch.manual_seed(1)
layers = []
for a, b in zip(sizes, sizes[1:]): layers += [torch.nn.Linear(a, b), torch.nn.ReLU()]
net = torch.nn.Sequential(*layers[:-1]); opt = torch.optim.SGD(net.parameters(), lr=.1, momentum=.9, fused=True)
x, y, times = torch.randn(n, sizes[0]), torch.randint(sizes[-1], (n,)), []
for _ in range(epochs):
    order = torch.randperm(n)
    for i in range(0, n, batch):
        start = time.perf_counter()
        rows = order[i:i + batch]
        loss = torch.nn.functional.cross_entropy(net(x[rows]), y[rows], label_smoothing=.1)
        opt.zero_grad(); loss.backward(); opt.step(); loss.item()
        times.append(time.perf_counter() - start)
print(f"PyTorch step\t{sorted(times)[len(times) // 2]:.9g}")
