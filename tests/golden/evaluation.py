#!/usr/bin/env python3
"""Writes evaluation.inc: numbers of scipy, scikit-learn, torchmetrics for tests/core/test_calibration.c, test_selective.c and test_statistics.c."""
import numpy as np, scipy, scipy.stats as st, scipy.optimize as so, sklearn, sklearn.metrics as sk, torch, torchmetrics
from torchmetrics.classification import MulticlassCalibrationError
np.set_printoptions(legacy="1.25") # plain numbers from repr
print(f"/* numpy {np.__version__}, scipy {scipy.__version__}, scikit-learn {sklearn.__version__}, torchmetrics {torchmetrics.__version__}; made by evaluation.py */")
print("static const struct { double t, degrees, survival; } t_tails[] = {")
for v in (1, 2, 5, 9, 30, 200):
    for t in (-3., -.5, 0., .1, 1., 2.5, 8., 40.): print(f"  {{{t}, {v}, {st.t.sf(t, v)!r}}},")
print("};\nstatic const struct { double p, degrees, t; } t_quantiles[] = {")
for v in (1, 3, 9, 99):
    for p in (.001, .3, .9, .975, .99999): print(f"  {{{p}, {v}, {st.t.ppf(p, v)!r}}},")
print("};\nstatic const struct { double t, degrees, delta, survival; } noncentral[] = {")
for t, v, d in ((2.26, 9, 3.16), (2.03, 33, 2.9), (12.7, 1, 2.), (2.8, 4, 4.)): print(f"  {{{t}, {v}, {d}, {st.nct.sf(t, v, d)!r}}},")
print("};")
rng = np.random.default_rng(1)
n, k = 700, 6
z = (rng.normal(size=(n, k)) * 2).astype(np.float32); y = rng.integers(0, k, n)
z[np.arange(n), y] += np.float32(1.5)
z[5:40] = z[5]; y[5:40] = np.where(np.arange(35) % 3 == 0, y[5], (y[5] + 1) % k)          # ties
zd = z.astype(np.float64); p = np.exp(zd - zd.max(1, keepdims=True)); p /= p.sum(1, keepdims=True)
conf, right = p.max(1), (p.argmax(1) == y)
print(f"enum {{ GOLDEN_N = {n}, GOLDEN_K = {k} }};")
print(f"static const float golden_z[] = {{{', '.join(repr(float(v)) for v in z.flatten())}}};")
print(f"static const int64_t golden_y[] = {{{', '.join(map(str, y))}}};")
ece = MulticlassCalibrationError(num_classes=k, n_bins=15)(torch.tensor(p), torch.tensor(y)).item()
mce = MulticlassCalibrationError(num_classes=k, n_bins=15, norm="max")(torch.tensor(p), torch.tensor(y)).item()
brier = ((p - np.eye(k)[y]) ** 2).sum(1).mean()
b = np.minimum((conf * 15).astype(int), 14)
null = sum(np.sqrt(2 / np.pi * (conf[b == i] * (1 - conf[b == i])).sum()) for i in range(15)) / n
draws, plug = np.zeros(40000), 0.
for i in range(15):
    m = b == i
    if m.sum() == 0: continue
    a, c, s = right[m].mean(), conf[m].mean(), m.sum()
    plug += s / n * abs(a - c); draws += s / n * np.abs(rng.normal(a, np.sqrt(a * (1 - a) / s), 40000) - c)
# AURC with ties: average over 2000 random orders within equal confidence
rest = np.sort(np.exp(zd - zd.max(1, keepdims=True)), 1)[:, :-1].sum(1)
orders = []
for _ in range(4000):
    o = np.lexsort((rng.random(n), rest)); orders.append((np.cumsum(~right[o]) / np.arange(1, n + 1)).mean())
parts = np.array_split(np.argsort(conf, kind="stable"), 15)
l2 = sum(len(q) / n * ((right[q].mean() - conf[q].mean()) ** 2 - right[q].mean() * (1 - right[q].mean()) / (len(q) - 1)) for q in parts)
def nll(t): q = zd / t; return (np.log(np.exp(q - q.max(1, keepdims=True)).sum(1)) + q.max(1) - q[np.arange(n), y]).mean()
fit = so.minimize_scalar(lambda l: nll(np.exp(l)), bounds=(np.log(.05), np.log(20)), method="bounded", options={"xatol": 1e-10})
print(f"""static const struct {{ double accuracy, top3, nll, brier, ece, mce, null, debiased, debiased_error, aurc, aurc_error, l2, temperature, nll_fitted; }} golden = {{
  {sk.accuracy_score(y, p.argmax(1))!r}, {sk.top_k_accuracy_score(y, p, k=3)!r}, {sk.log_loss(y, p)!r}, {brier!r}, {ece!r}, {mce!r}, {null!r},
  {2 * plug - draws.mean()!r}, {5 * draws.std() / 200!r}, {np.mean(orders)!r}, {5 * np.std(orders) / np.sqrt(4000)!r}, {np.sqrt(max(0, l2))!r}, {np.exp(fit.x)!r}, {fit.fun!r} }};""")
x = rng.normal(.3, 1, 9).round(4)
print(f"static const double paired[] = {{{', '.join(repr(float(v)) for v in x)}}};")
print(f"static const double paired_p = {float(st.ttest_1samp(x, .1, alternative='greater').pvalue)!r};")
flip = st.permutation_test((x - .1,), np.sum, permutation_type="samples", alternative="greater", n_resamples=10**6)
print(f"static const double paired_flip = {float(flip.pvalue)!r};")
