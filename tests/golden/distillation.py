# Numbers for test_distillation.lua: distillation losses and gradients by PyTorch in float64, and online label smoothing by NumPy from the paper's equations.
# SPDX-License-Identifier: MIT
# python tests/golden/distillation.py, from the source folder; written with torch 2.x, numpy 2.x.
import numpy as np
import torch
import torch.nn.functional as F

rng = np.random.default_rng(5)
n, k = 12, 7
out = {}
z = rng.normal(size=(n, k)).astype(np.float32) * 3
zt = rng.normal(size=(n, k)).astype(np.float32) * 4
y = rng.integers(0, k, n)
out["logits"], out["teacher"], out["labels"] = z, zt, y.astype(np.int64)

for name, w, t, ts, sq in [("hinton", 0.9, 4.0, 4.0, True), ("even", 0.5, 2.0, 2.0, True), ("mueller", 1.0, 3.0, 1.0, False), ("cold", 0.3, 0.5, 0.5, True)]:
    a = torch.tensor(z, dtype=torch.float64, requires_grad=True)
    ce = F.cross_entropy(a, torch.tensor(y))
    kl = F.kl_div(F.log_softmax(a / ts, 1), F.softmax(torch.tensor(zt, dtype=torch.float64) / t, 1), reduction="batchmean")
    loss = (1 - w) * ce + w * (t * t if sq else 1.0) * kl
    loss.backward()
    out[name] = np.array([loss.item()], dtype=np.float32)
    out[name + "_gradient"] = a.grad.numpy().astype(np.float32)

# Online label smoothing, three epochs of two batches (Zhang et al. 2021, equations 4 to 6), S of the first epoch uniform smoothing with .1
alpha, s = 0.5, np.full((k, k), 0.1 / k) + np.eye(k) * 0.9
batches = rng.normal(size=(3, 2, n, k)).astype(np.float32) * 2
out["batches"] = batches.reshape(6 * n, k)
for epoch in range(3):
    a, c = np.zeros((k, k)), np.zeros(k)
    for b in range(2):
        x = batches[epoch, b].astype(np.float64)
        p = np.exp(x - x.max(1, keepdims=True))
        p /= p.sum(1, keepdims=True)
        logp = np.log(p)
        q = alpha * np.eye(k)[y] + (1 - alpha) * s[y]
        out[f"online_{epoch}_{b}"] = np.array([-(q * logp).sum(1).mean()], dtype=np.float32)
        for i in range(n):
            if p[i].argmax() == y[i]:
                a[y[i]] += p[i]
                c[y[i]] += 1
    for j in range(k):
        if c[j] > 0:
            s[j] = a[j] / c[j]
out["online_rows"] = (alpha * np.eye(k) + (1 - alpha) * s).astype(np.float32)
np.savez("tests/golden/distillation.npz", **out)
