#!/usr/bin/env python3
"""Writes judging.lua (cases: set, function, options, then each field, peer, value) and judging.npz (the sets): what other packages make of random and adversarial
predictions, each asked in its own way, for tests/lua/test_judging.lua. Where no package is named, numpy follows the paper's formula. Run in tests/golden;
needs numpy, scipy, scikit-learn, torch, torchmetrics, netcal, relplot, torch-uncertainty."""
import warnings; warnings.filterwarnings("ignore")
import importlib.util, itertools, os, sys, types
for package in ("torch_uncertainty", "torch_uncertainty.metrics", "torch_uncertainty.metrics.classification"): # its parts without lightning
    sys.modules[package] = types.ModuleType(package)
    sys.modules[package].__path__ = [os.path.join(os.path.dirname(importlib.util.find_spec("torchmetrics").origin), "..", *package.split("."))]
import numpy as np, scipy.special, sklearn, sklearn.metrics as sk, sklearn.isotonic, torch, torchmetrics, netcal, relplot
from importlib.metadata import version
from torchmetrics.classification import MulticlassCalibrationError, MulticlassAccuracy
from netcal.metrics import ECE, MCE, ACE, MMCE
from netcal.binning import HistogramBinning, IsotonicRegression
from torch_uncertainty.metrics.classification import risk_coverage as turc
from torch_uncertainty.metrics.classification.calibration import adaptive_calibration_error as tua, classwise_calibration_error as tucw
from scipy.optimize import minimize_scalar

rng = np.random.default_rng(20)
sets = {}
def add(name, numbers, labels, probabilities=False): sets[name] = (np.asarray(numbers, np.float32), np.asarray(labels, np.int64), probabilities)
def true_labels(z): return (rng.random((len(z), 1)) > scipy.special.softmax(z.astype(float), 1).cumsum(1)).sum(1).clip(0, z.shape[1] - 1)
z = rng.normal(size=(500, 6)).astype(np.float32) * 2; add("random", z, true_labels(z))
z = rng.normal(size=(800, 3)).astype(np.float32) * 1.5; add("overconfident", z * 3, true_labels(z))
z = rng.normal(size=(400, 10)).astype(np.float32) * 3; add("underconfident", z * .3, true_labels(z))
z = rng.normal(size=(300, 5)).astype(np.float32) * 2; z[np.arange(300), rng.integers(0, 5, 300)] = -np.inf; add("masked", z, np.nanargmax(z, 1))
top = np.repeat(np.arange(5, 11) / 10, 20); add("edges of 10", np.stack([top, 1 - top], 1), rng.integers(0, 2, len(top)), True)
top = np.repeat(np.arange(8, 16) / 15, 20); add("edges of 15", np.stack([top, 1 - top], 1), rng.integers(0, 2, len(top)), True)
add("all equal", np.full((60, 4), .25), rng.integers(0, 4, 60), True)
add("zeros and ones", np.eye(3)[rng.integers(0, 3, 90)], rng.integers(0, 3, 90), True)
add("one row", [[.2, .7, .1]], [1], True)
add("one class", np.zeros((20, 1)), np.zeros(20))
t = np.round(rng.dirichlet([.4] * 4, 300), 1); t[:, 0] = 1 - t[:, 1:].sum(1); t = np.abs(t[(t >= 0).all(1)]); add("coarse", t, rng.integers(0, 4, len(t)), True)
z = rng.normal(size=(400, 3)).astype(np.float32) * 40; add("saturated", z, true_labels(z / 40))

cases, tried = [], 0
def case(name, function, field, peer, value, options="", tolerance=1e-6):
    value = float(value)
    if np.isfinite(value): cases.append((name, function, options, field, peer, value, tolerance))
def attempt(f):
    """A peer that cannot take a set (one class, one row) has no case there."""
    try: f()
    except (ValueError, RuntimeError, IndexError, ZeroDivisionError, AttributeError, TypeError) as error: print(f"{name}: {type(error).__name__} {str(error)[:80]}")

for name, (numbers, y, given) in sets.items():
    x = numbers.astype(np.float64)
    p = x if given else scipy.special.softmax(x, 1)
    n, k = p.shape
    conf, pred = p.max(1), x.argmax(1); right = pred == y
    classes = np.arange(k)
    pt, yt = torch.tensor(p), torch.tensor(y)
    def scikit():
        case(name, "classification", "accuracy", "scikit-learn", sk.accuracy_score(y, pred))
        if len(np.unique(y)) > 1 or k == 1: case(name, "classification", "balanced_accuracy", "scikit-learn", sk.balanced_accuracy_score(y, pred))
        if k > 1 and (p[np.arange(n), y] > 1e-15).all(): case(name, "classification", "nll", "scikit-learn", sk.log_loss(y, p / p.sum(1, keepdims=True), labels=classes))
        f = sk.precision_recall_fscore_support(y, pred, average="macro", zero_division=0)
        for field, value in zip(("macro_precision", "macro_recall", "macro_f1"), f): case(name, "classification", field, "scikit-learn", value)
        for q in ("precision", "recall", "f1"):
            each = getattr(sk, q + "_score")(y, pred, labels=classes, average=None, zero_division=np.nan)
            for c in classes: case(name, "classification", f"classes:{c}:{q}", "scikit-learn", each[c])
        m = sk.confusion_matrix(y, pred, labels=classes)
        for a in range(min(k, 4)): case(name, "classification", f"confusion:{a + 1}:{a % 2 + 1}", "scikit-learn", m[a, a % 2] if k > 1 else np.nan)
        if k > 1 and np.unique(numbers).size == numbers.size: case(name, "classification", "top_k:2", "scikit-learn", sk.top_k_accuracy_score(y, x, k=2, labels=classes) if k > 2 else 1, "top_k = { 2 }")
        if k > 2: case(name, "classification", "brier", "scikit-learn", sk.brier_score_loss(np.eye(k)[y], p / p.sum(1, keepdims=True), scale_by_half=False))
    attempt(scikit)
    def auroc():
        if 0 < right.sum() < n:
            case(name, "selective", "auroc", "scikit-learn", sk.roc_auc_score(right, conf))
            if not given: case(name, "selective", "auroc", "scikit-learn", sk.roc_auc_score(right, x.max(1)), 'score = "max_logit"')
            case(name, "selective", "auroc", "scikit-learn", sk.roc_auc_score(right, scipy.special.xlogy(p, p).sum(1)), 'score = "entropy"')
    if name != "saturated": attempt(auroc)                       # confidences that round to 1 are ties there, not here
    for bins in (10, 15):
        def metrics():
            for norm in ("l1", "l2", "max"):
                value = MulticlassCalibrationError(num_classes=k, n_bins=bins, norm=norm)(pt, yt)
                case(name, "calibration", "error", "torchmetrics", value, f'bins = {bins}, norm = "{norm}", convention = "torchmetrics"')
        if k > 1: attempt(metrics)
        def nets():                                              # of two classes netcal would judge the second one's probability: it is given confidences
            option = f'bins = {bins}, convention = "netcal"'
            case(name, "calibration", "ece", "netcal", ECE(bins).measure(conf, right * 1), option)
            case(name, "calibration", "mce", "netcal", MCE(bins).measure(conf, right * 1), option)
            case(name, "calibration", "ace", "netcal", ACE(bins).measure(conf, right * 1), option)
            case(name, "calibration", "adaptive_ece", "netcal", ECE(bins, equal_intervals=False).measure(conf, right * 1), option)
        if k > 1: attempt(nets)
        def uncertain():
            m = tua.AdaptiveCalibrationError(task="multiclass", num_classes=k, num_bins=bins); m.update(pt, yt)
            if len(np.unique(conf)) == n: case(name, "calibration", "adaptive_ece", "torch-uncertainty", m.compute(), f'bins = {bins}, convention = "torch-uncertainty"')
            m = tucw.ClasswiseCalibrationError(num_classes=k, num_bins=bins); m.update(pt, yt)
            case(name, "calibration", "classwise_ece", "torch-uncertainty", m.compute(), f'bins = {bins}, convention = "torch-uncertainty"')
        if k > 1: attempt(uncertain)
        def guo():                                               # gpleiss/temperature_scaling: conf.gt(lower) * conf.le(upper), in float32
            c, total = torch.tensor(conf).float(), 0.
            edges = torch.linspace(0, 1, bins + 1)
            for low, high in zip(edges[:-1], edges[1:]):
                inside = (c > low) & (c <= high)
                if inside.any(): total += abs(c[inside].double().mean() - torch.tensor(right)[inside].double().mean()) * inside.double().mean()
            case(name, "calibration", "ece", "Guo's code", total, f'bins = {bins}, convention = "guo"')
        attempt(guo)
        def plots(): case(name, "calibration", "ece", "relplot", relplot.metrics.binnedECE(conf, right * 1., nbins=bins), f'bins = {bins}, convention = "relplot"')
        attempt(plots)
        def kumar():                                             # Kumar et al. 2019: equal mass, the bias of each square taken away
            total = 0.
            for q in np.array_split(np.argsort(conf, kind="stable"), bins):
                if len(q) > 1: total += len(q) / n * ((conf[q].mean() - right[q].mean()) ** 2 - right[q].mean() * (1 - right[q].mean()) / (len(q) - 1))
            case(name, "calibration", "ece_debiased_l2", "formula", np.sqrt(max(total, 0)), f'bins = {bins}, ties = "rows"')
        if len(np.unique(conf)) == n: attempt(kumar)             # floor of float32 and of double can differ by one rounding where rows are tied
    def smooth():
        case(name, "calibration", "smooth_ece", "relplot", relplot.metrics.smECE(conf, right * 1.))
        for width in (.01, .1, .5): case(name, "calibration", "smooth_ece", "relplot", relplot.metrics.smECE_sigma(conf, right * 1., width), f"smooth_width = {width}")
    attempt(smooth)
    def pairs(): case(name, "calibration", "mmce", "netcal", MMCE().measure(p, y))
    if k > 1: attempt(pairs)
    def coverage():
        def tu(metric):
            metric.update(pt, yt)
            return metric.compute()
        if len(np.unique(conf)) < n: return                      # they take ties in the order of the sort
        case(name, "selective", "aurc", "torch-uncertainty", tu(turc.AURC()), 'area = "trapezoid_inner"')
        case(name, "selective", "coverage_at_risk:0.05", "torch-uncertainty", np.nan_to_num(float(tu(turc.CovAt5Risk()))))
        case(name, "selective", "risk_at_coverage:0.8", "torch-uncertainty", tu(turc.RiskAt80Cov()))
        order = np.argsort(-conf); errors = (~right[order]).cumsum(); ks = np.arange(1, n + 1)
        case(name, "selective", "aurc", "formula", (errors / ks).mean())
        case(name, "selective", "augrc", "formula", (errors / n).mean())
        case(name, "selective", "excess_aurc", "formula", (errors / ks).mean() - (np.maximum(0, ks - right.sum()) / ks).mean())
        case(name, "selective", "aurc", "Xia's code", np.trapezoid(np.r_[0, errors / ks], np.r_[0, ks / n]), 'area = "trapezoid"')
    attempt(coverage)
    def scaling():
        if given or k == 1: return
        def nll(l): return -scipy.special.log_softmax(x / np.exp(l), 1)[np.arange(n), y].mean()
        best = minimize_scalar(nll, bounds=(np.log(.05), np.log(20)), method="bounded", options={"xatol": 1e-12})
        if .06 < np.exp(best.x) < 19: case(name, "temperature_scaling", "temperature", "scipy", np.exp(best.x), tolerance=1e-6)
        case(name, "temperature_scaling", "nll", "scipy", best.fun, tolerance=1e-6)
    attempt(scaling)
    def binned():
        p32 = p.astype(np.float32).astype(np.float64)            # the calibrator maps float32 probabilities
        h = HistogramBinning(bins=10); h.fit(p32, y); q = h.transform(p32)
        ours = q if k > 2 else np.stack([1 - q, q], 1) if q.ndim == 1 else q
        for i in (0, n // 2, n - 1): case(name, "histogram_binning", f"call:{i + 1}:1", "netcal", ours[i, 0], "bins = 10")
    if k > 2 and name in ("random", "overconfident", "underconfident"): attempt(binned)
    def isotonic():
        c32 = p.astype(np.float32).astype(np.float64); top = c32.max(1)
        q = sklearn.isotonic.IsotonicRegression(out_of_bounds="clip").fit(top, right).predict(top)
        for i in (0, n // 2, n - 1): case(name, "isotonic_regression", f"confidences:{i + 1}", "scikit-learn", q[i], 'method = "confidence"')
        q = np.stack([sklearn.isotonic.IsotonicRegression(out_of_bounds="clip").fit(c32[:, c], y == c).predict(c32[:, c]) for c in range(k)], 1)
        q = np.where(q.sum(1, keepdims=True) > 0, q / q.sum(1, keepdims=True), 1 / k)
        for i in (0, n // 2, n - 1): case(name, "isotonic_regression", f"call:{i + 1}:{k}", "scikit-learn", q[i, k - 1])
    if k > 1 and name != "saturated": attempt(isotonic)       # float32 probabilities of 1e-30 differ by roundings, and so do their ties

arrays = {}
for i, (numbers, y, given) in enumerate(sets.values()): arrays[f"numbers{i + 1}"], arrays[f"labels{i + 1}"] = numbers, y
np.savez_compressed("judging.npz", **arrays)
with open("judging.lua", "w") as out:
    packages = ("numpy", "scipy", "scikit-learn", "torch", "torchmetrics", "netcal", "relplot", "torch-uncertainty")
    print("-- " + ", ".join(f"{q} {version(q)}" for q in packages) + "; made by judging.py", file=out)
    print("return {\n  sets = { " + ", ".join(f'{{ "{name}", probabilities = {str(s[2]).lower()} }}' for name, s in sets.items()) + " },\n  cases = {", file=out)
    order = list(sets)
    for (name, function, options), group in itertools.groupby(cases, lambda case: case[:3]):
        numbers = ", ".join(f'{{ "{field}", "{peer}", {value!r} }}' for _, _, _, field, peer, value, _ in group)
        print(f'    {{ {order.index(name) + 1}, "{function}", {{ {options} }}, {numbers} }},', file=out)
    print("  },\n}", file=out)
print(len(cases), "cases")
