#!/usr/bin/env python3
"""The analysis of tests/bench/calibration.c by NumPy and torchmetrics: calibration.py THREADS N K FILE: median times in ms of 5 runs: ECE alone by NumPy (one pass of vectorised
operations, bincount) and by torchmetrics, and what they have of the full analysis (NumPy: accuracy, NLL, Brier, ECE of equal width and equal mass, class-wise ECE, AURC; torchmetrics
and scikit-learn have no more). Then ECE and NLL. SPDX-License-Identifier: MIT"""
import os, sys
threads, n, k = map(int, sys.argv[1:4])
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"): os.environ[name] = str(threads)
import time, numpy as np, torch
from torchmetrics.functional.classification import multiclass_calibration_error
torch.set_num_threads(threads)
raw = np.fromfile(sys.argv[4], np.uint8)
z = raw[:4 * n * k].view(np.float32).reshape(n, k); y = raw[4 * n * k:].view(np.int64)
zt, yt = torch.from_numpy(z.copy()), torch.from_numpy(y.copy())
def softmax(dtype=np.float32):
    p = z.astype(dtype); p -= p.max(1, keepdims=True); np.exp(p, out=p); p /= p.sum(1, keepdims=True)
    return p
def binned(c, a, bins):
    m = np.bincount(bins, minlength=15)[:15]
    return np.abs(np.bincount(bins, c, 15)[:15] - np.bincount(bins, a, 15)[:15]).sum() / len(c)
def ece_numpy():
    p = softmax(); c = p.max(1); a = p.argmax(1) == y
    return binned(c, a, np.minimum((c * 15).astype(np.int64), 14))
def ece_torch(): return multiclass_calibration_error(zt.softmax(1), yt, k, 15).item()
def full():
    p = softmax(np.float64); c = p.max(1); a = p.argmax(1) == y
    nll = -np.log(p[np.arange(n), y]).mean()
    brier = ((p * p).sum(1) - 2 * p[np.arange(n), y] + 1).mean()
    ece = binned(c, a, np.minimum((c * 15).astype(np.int64), 14))
    order = np.argsort(c)
    mass = sum(abs(c[q].sum() - a[q].sum()) for q in np.array_split(order, 15)) / n
    classwise = np.mean([binned(p[:, i], y == i, np.minimum((p[:, i] * 15).astype(np.int64), 14)) for i in range(k)])
    aurc = ((~a[order[::-1]]).cumsum() / np.arange(1, n + 1)).mean()
    return ece, nll, mass, brier, classwise, aurc
def median(f):
    times = []
    for _ in range(5):
        start = time.perf_counter(); r = f(); times.append((time.perf_counter() - start) * 1e3)
    return sorted(times)[2], r
a, e = median(ece_numpy); b, _ = median(ece_torch); c, r = median(full)
print(f"{a:.3f} {b:.3f} {c:.3f} {e:.9f} {r[1]:.9f}")
