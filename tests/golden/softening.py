#!/usr/bin/env python3
"""Writes softening.npz: the label schemes of which no package has one, derived from their papers in float64 by NumPy, and the two that packages have, held to these (PyTorch
label_smoothing, timm LabelSmoothingCrossEntropy). For each: rows, loss, loss and gradient under class weights, both by PyTorch in float64. SPDX-License-Identifier: MIT
Run in tests/golden; needs torch, numpy, timm."""
import numpy as np, torch, timm.loss
import torch.nn.functional as F

rng, n, k = np.random.default_rng(11), 40, 7
single = lambda a: np.asarray(a, dtype=np.float32).astype(np.float64)  # what the test reads
z, y, w = single(rng.normal(size=(n, k)) * 3), rng.integers(0, k, n), single(rng.random(k) + 0.2)
prior = single(rng.dirichlet(np.ones(k)))
matrix = single(rng.dirichlet(np.ones(k) * 0.5, size=k))
alike = single(rng.normal(size=(k, k)))
confusion = rng.integers(0, 30, size=(k, k)).astype(np.float64)
confusion[3] = 0
confusion[3, 3] = 50  # never confused
masses_by_class, masses_by_row = single(rng.random(k) * 0.3), single(rng.random(n) * 0.3)
groups = [[0, 1], [2, [3, 4]], [5, 6]]
out = dict(logits=z, labels=y, weights=w, prior=prior, matrix=matrix, similarity=alike, confusion=confusion, by_class=masses_by_class, by_row=masses_by_row)
eye = np.eye(k)


def leaves(t): return [t] if isinstance(t, int) else [leaf for part in t for leaf in leaves(part)]
def height(t): return 0 if isinstance(t, int) else 1 + max(height(part) for part in t)
def common(t, a, b):  # height of the smallest subtree that holds both
    for part in t if not isinstance(t, int) else []:
        if {a, b} <= set(leaves(part)): return common(part, a, b)
    return height(t)


def keep(name, q):
    q = np.asarray(q)
    assert np.allclose(q.sum(1), 1, atol=1e-6), name  # prior and matrix are read as float32
    a, target, weight = torch.tensor(z, requires_grad=True), torch.tensor(q), torch.tensor(w)[torch.tensor(y)]
    each = -(target * F.log_softmax(a, 1)).sum(1)
    loss = (each * weight).sum() / weight.sum()  # a class weight weighs the row
    loss.backward()
    out.update({name + "_rows": q, name + "_loss": [each.mean().item()], name + "_weighted": [loss.item()], name + "_gradient": a.grad.numpy()})
    return each.mean().item()


def uniform(e): return (1 - e) * eye[y] + e / k
def off_diagonal(rates, e):  # e over the wrong classes in these proportions
    rates = rates * (1 - eye)
    total = rates.sum(1, keepdims=True)
    p = np.where(total > 0, rates / np.where(total > 0, total, 1), eye)
    return (1 - e) * eye[y] + e * p[y]


value = keep("uniform", uniform(0.1))
assert abs(value - F.cross_entropy(torch.tensor(z), torch.tensor(y), label_smoothing=0.1).item()) < 1e-12
assert abs(value - timm.loss.LabelSmoothingCrossEntropy(0.1)(torch.tensor(z), torch.tensor(y)).item()) < 1e-12
keep("wrong_classes", np.where(eye[y] == 1, 1 - 0.3, 0.3 / (k - 1)))
keep("prior", 0.8 * eye[y] + 0.2 * prior)
keep("matrix", 0.7 * eye[y] + 0.3 * matrix[y])
keep("similarity", off_diagonal(np.exp(alike / 0.5), 0.2))
distance = np.array([[common(groups, a, b) if a != b else 0 for b in range(k)] for a in range(k)], dtype=np.float64)
tree = np.exp(-4 * distance / distance.max())
keep("hierarchy", (tree / tree.sum(1, keepdims=True))[y])
out["distance"] = distance
keep("confusion", off_diagonal(confusion, 0.3))
for epoch in (0, 3.5, 8):
    line = min(max((epoch - 2) / 4, 0), 1)
    keep(f"annealed_line_{epoch:g}", uniform(0.3 + (0.1 - 0.3) * line))
    keep(f"annealed_cosine_{epoch:g}", uniform(0.3 + (0.1 - 0.3) * (1 - np.cos(np.pi * line)) / 2))
for name, e in (("by_class", (masses_by_class * 0.15 / masses_by_class.mean())[y]), ("by_row", masses_by_row)):
    keep("structural_" + name, (1 - e[:, None]) * eye[y] + e[:, None] / k)

# Progressive self-distillation (Kim et al. 2021): three epochs of the n rows, each in an order of its own
past, batches = None, single(rng.normal(size=(3, n, k)) * 2)
orders = np.stack([rng.permutation(n) for _ in range(3)])
out.update(past_logits=batches.reshape(-1, k), past_orders=orders.reshape(-1) + 1)
for epoch in range(3):
    a = 0.8 * (epoch + 1) / 3  # the authors' main.py (lgcnsai/PS-KD-Pytorch) counts so: alpha in the last epoch
    p = np.exp(batches[epoch] - batches[epoch].max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    out[f"past_rows_{epoch}"] = eye[y] if past is None else (1 - a) * eye[y] + a * past
    past = p

# Mean teacher: a linear model from zero, six steps of SGD; the teacher is the average (1-d) sum d^(t-i) w_i / (1 - d^t) of the weights after each step, with a share that grows over four steps
x, d, share, temperature = single(rng.normal(size=(6, 10, 5))), 0.7, 0.6, 2.0
targets = rng.integers(0, 3, size=(6, 10))
weight, bias, history, losses = torch.zeros(3, 5, dtype=torch.float64), torch.zeros(3, dtype=torch.float64), [], []
for step in range(6):
    a, b = weight.clone().requires_grad_(), bias.clone().requires_grad_()
    logits, w_t = torch.tensor(x[step]) @ a.T + b, share * min(1, step / 4)
    loss = F.cross_entropy(logits, torch.tensor(targets[step])) * (1 - w_t)
    if history:
        factors = [(1 - d) * d ** (step - 1 - i) / (1 - d ** step) for i in range(step)]
        mean_w, mean_b = (sum(f * h[j] for f, h in zip(factors, history)) for j in (0, 1))
        teacher = F.softmax((torch.tensor(x[step]) @ mean_w.T + mean_b) / temperature, 1)
        loss = loss + w_t * temperature**2 * F.kl_div(F.log_softmax(logits / temperature, 1), teacher, reduction="batchmean")
    loss.backward()
    weight, bias = weight - 0.5 * a.grad, bias - 0.5 * b.grad
    history.append((weight, bias))
    losses.append(loss.item())
out.update(teacher_x=x.reshape(60, 5), teacher_y=targets.reshape(60), teacher_losses=losses, teacher_weight=weight.numpy(), teacher_bias=bias.numpy())

np.savez_compressed("softening.npz", **{name: np.asarray(a, dtype=np.int64 if np.asarray(a).dtype.kind == "i" else np.float32) for name, a in out.items()})
print(f"torch {torch.__version__}, numpy {np.__version__}, timm {timm.__version__}")
