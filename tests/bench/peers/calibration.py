#!/usr/bin/env python3
"""The analysis of tests/bench/calibration.c by its peers: calibration.py N K THREADS INNER FILE. ECE alone by NumPy (float32, one pass of vectorised operations, bincount) and by
torchmetrics; the analysis by NumPy; the full one with smECE by relplot, where it is there, and MMCE by NumPy in O(n log n). Lines as of bench_calibration. SPDX-License-Identifier: MIT"""
import os, sys, warnings
warnings.simplefilter("ignore")
n, k, threads, inner = map(int, sys.argv[1:5])
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"): os.environ[name] = str(threads)
import timing
import numpy as np
n = n // 2 * 2
raw = np.fromfile(sys.argv[5], np.uint8)
z = raw[:4 * n * k].view(np.float32).reshape(n, k)
y = raw[4 * n * k:].view(np.int64)

def softmax(dtype=np.float32):
    p = z.astype(dtype)
    p -= p.max(1, keepdims=True)
    np.exp(p, out=p)
    p /= p.sum(1, keepdims=True)
    return p

def binned(c, a, bins):
    return np.abs(np.bincount(bins, c, 15)[:15] - np.bincount(bins, a, 15)[:15]).sum() / len(c)

def equal_width(c, a): return binned(c, a, np.minimum((c * 15).astype(np.int32), 14))

def ece_numpy():
    p = softmax()
    return equal_width(p.max(1), p.argmax(1) == y)

def analysis():
    p = softmax(np.float64)
    c = p.max(1)
    a = p.argmax(1) == y
    own = p[np.arange(n), y]
    nll, brier = -np.log(own).mean(), (np.einsum("ij,ij->i", p, p) - 2 * own + 1).mean()
    order = np.argsort(c)
    cs, right = c[order], a[order]
    mass = sum(abs(u.sum() - v.sum()) for u, v in zip(np.array_split(cs, 15), np.array_split(right, 15))) / n
    classwise = np.mean([equal_width(p[:, i], y == i) for i in range(k)])
    aurc = ((~right[::-1]).cumsum() / np.arange(1, n + 1)).mean()
    return {"accuracy": a.mean(), "ECE": equal_width(c, a), "ECE of equal mass": mass, "class-wise ECE": classwise, "NLL": nll, "Brier score": brier, "AURC": aurc}, c, a, cs, right

def full():
    r, c, a, cs, right = analysis()
    r["smECE"] = relplot.smECE(c, a.astype(np.float64))
    d, e = right - cs, np.exp(cs / 0.4)
    before = np.cumsum(d * e)
    r["MMCE"] = np.sqrt(max(0.0, (d * d).sum() + 2 * (d[1:] * before[:-1] / e[1:]).sum())) / n
    return r

items = {"NumPy ECE": ece_numpy, "NumPy analysis without smECE, MMCE": analysis}
try:
    import torch
    from torchmetrics.functional.classification import multiclass_calibration_error
    torch.set_num_threads(threads)
    zt, yt = torch.from_numpy(z.copy()), torch.from_numpy(y.copy())
    items["torchmetrics ECE"] = lambda: multiclass_calibration_error(zt.softmax(1), yt, k, 15).item()
except ImportError:
    pass
try:
    import relplot
    items["NumPy and relplot full analysis"] = full
except ImportError:
    pass
result = timing.measure(items, inner).get("NumPy and relplot full analysis", {})
for name, value in result.items(): print(f"=\tpeers' {name}\t{value:.9f}")
