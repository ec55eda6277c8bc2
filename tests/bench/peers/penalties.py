#!/usr/bin/env python3
"""The losses of tests/bench/penalties.lua in PyTorch, from their formulas: penalties.py THREADS ROWS CLASSES ROUNDS. SPDX-License-Identifier: MIT"""
import sys
import timing
import torch
from torch.nn.functional import cross_entropy, log_softmax, one_hot

timing.keep_memory()
threads, n, k, rounds = map(int, sys.argv[1:])
z, y, clear = timing.logits(threads, n, k)


def each():
    return cross_entropy(z, y, reduction="none")


def minus_entropy():
    log_p = log_softmax(z, 1)
    return (log_p.exp() * log_p).sum(1).mean()


def focal():
    loss = each()
    return ((1 - torch.exp(-loss)) ** 2 * loss).mean()


def poly1():
    loss = each()
    return (loss + 1 - torch.exp(-loss)).mean()


def symmetric():
    log_q = torch.log(one_hot(y, k).float().clamp_min(1e-4))
    return 0.1 * cross_entropy(z, y) - (torch.softmax(z, 1) * log_q).sum(1).mean()


losses = {
    "cross-entropy": lambda: cross_entropy(z, y),
    "focal": focal,
    "confidence_penalty": lambda: cross_entropy(z, y) + 0.1 * minus_entropy(),
    "margin_smoothing": lambda: cross_entropy(z, y) + 0.1 * torch.relu(z.max(1, keepdim=True)[0] - z - 10).sum(1).mean(),
    "max_sup": lambda: cross_entropy(z, y) + 0.1 * (z.max(1)[0] - z.mean(1)).mean(),
    "poly1": poly1,
    "generalised_cross_entropy": lambda: ((1 - torch.exp(-0.7 * each())) / 0.7).mean(),
    "symmetric_cross_entropy": symmetric,
    "logit_norm": lambda: cross_entropy(z / (z.norm(dim=1, keepdim=True) + 1e-7) / 0.04, y),
    "bootstrap_soft": lambda: 0.95 * cross_entropy(z, y) - 0.05 * minus_entropy(),
}
timing.measure({"PyTorch " + name: (lambda f: lambda: f().backward())(f) for name, f in losses.items()}, rounds, clear)
