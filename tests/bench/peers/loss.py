#!/usr/bin/env python3
"""The loss of tests/bench/loss.c in PyTorch: loss.py THREADS ROWS CLASSES ROUNDS: lines as bench_loss prints them. SPDX-License-Identifier: MIT"""
import ctypes
import sys
import time
import torch

ctypes.CDLL(None).mallopt(-3, 1 << 30)  # M_MMAP_THRESHOLD: no fresh pages for each result
ctypes.CDLL(None).mallopt(-1, 2**31 - 1)  # M_TRIM_THRESHOLD
threads, n, k, rounds = map(int, sys.argv[1:])
torch.set_num_threads(threads)
torch.manual_seed(1)
z = (3 * torch.randn(n, k)).requires_grad_()
y = torch.randint(k, (n,))


def measure(name, target):
    times = []
    for i in range(rounds + 1):
        z.grad = None
        began = time.perf_counter()
        torch.nn.functional.cross_entropy(z, target, label_smoothing=0.1).backward()
        times.append(time.perf_counter() - began)
    times = sorted(times[1:])
    print("\t".join([f"PyTorch {name}"] + [f"{times[i]:.9g}" for i in (len(times) // 2, 0, len(times) // 4, len(times) * 3 // 4)]))


measure("smoothed", y)
if n * k <= 20_000_000:
    weights = torch.rand(n, 1)
    one_hot = torch.nn.functional.one_hot
    measure("mixup, smoothed", weights * one_hot(y, k).float() + (1 - weights) * one_hot(y.flip(0), k).float())
