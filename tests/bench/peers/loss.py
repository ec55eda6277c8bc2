#!/usr/bin/env python3
"""The loss of tests/bench/loss.c in PyTorch: loss.py THREADS ROWS CLASSES ROUNDS: lines as bench_loss prints them. SPDX-License-Identifier: MIT"""
import sys
import timing
import torch

timing.keep_memory()
threads, n, k, rounds = map(int, sys.argv[1:])
z, y, clear = timing.logits(threads, n, k)


def loss(target):
    return lambda: torch.nn.functional.cross_entropy(z, target, label_smoothing=0.1).backward()


items = {"PyTorch smoothed": loss(y)}
if n * k <= 20_000_000:
    weights = torch.rand(n, 1)
    one_hot = torch.nn.functional.one_hot
    items["PyTorch mixup, smoothed"] = loss(weights * one_hot(y, k).float() + (1 - weights) * one_hot(y.flip(0), k).float())
timing.measure(items, rounds, clear)
