#!/usr/bin/env python3
"""Writes penalties.lua (the cases, values in full) and penalties.npz (their numbers, one after the other): the losses of core/loss/penalties by
PyTorch's autograd in float64, written from the papers' formulas apart from the core; where a published package has one, by the package, which must
agree with the formula (within 1e-9, but where it clips). Run in tests/golden; needs torch, numpy, scipy; for the packages optax with jax, keras, torch-uncertainty."""
import importlib.util, os, sys
os.environ["KERAS_BACKEND"] = "torch"
import numpy as np, scipy, torch
from scipy.stats import rankdata
import torch.nn.functional as F
import jax, keras, optax
jax.config.update("jax_enable_x64", True)
keras.config.set_floatx("float64")
spec = importlib.util.find_spec("torch_uncertainty").submodule_search_locations[0]
module = importlib.util.spec_from_file_location("tu", spec + "/losses/classification.py")
tu = importlib.util.module_from_spec(module); module.loader.exec_module(tu)
from importlib.metadata import version

torch.manual_seed(0)
torch.set_default_dtype(torch.float64)

def ce(z, q): return -(q * F.log_softmax(z, 1)).sum(1)
def kl(a, log_b): return torch.where(a > 0, a * (a.clamp_min(1e-300).log() - log_b), torch.zeros_like(a)).sum(1)
def entropy(z): return -(F.softmax(z, 1) * F.log_softmax(z, 1)).sum(1)
def over_margin(z, m): return (z.max(1, keepdim=True).values - z - m).clamp_min(0)
def of_label(t, y): return t.gather(1, y[:, None])[:, 0]

def confidence_penalty(z, q, y, beta=.1, hinge=0):
    return ce(z, q) + (beta * (hinge - entropy(z)).clamp_min(0) if hinge else -beta * entropy(z))
def focal(z, q, y, gamma=2, soft=False): return -(q * (1 - F.softmax(z, 1)) ** gamma * F.log_softmax(z, 1)).sum(1)
def focal_adaptive(z, q, y, threshold=.2, gamma_below=5, gamma_above=3):
    p = of_label(F.softmax(z, 1), y)
    return -(1 - p) ** torch.where(p < threshold, float(gamma_below), float(gamma_above)) * p.log()
def margin_smoothing(z, q, y, margin=10, alpha=.1, mean_over_classes=False):
    d = over_margin(z, margin)
    return ce(z, q) + alpha * (d.mean(1) if mean_over_classes else d.sum(1))
def acls(z, q, y, alpha=.1, positive=1, negative=.1, margin=10, detach=True, mean_over_classes=True):
    top = z.max(1, keepdim=True)
    other = torch.ones_like(z).scatter(1, top.indices, 0.)
    base = top.values.detach() if detach else top.values
    first = (top.values[:, 0] - margin).clamp_min(0) ** 2
    second = (other * (base - z - margin).clamp_min(0) ** 2).sum(1) / (z.shape[1] - 1 if mean_over_classes else 1)
    return ce(z, q) + alpha * (positive * first + negative * second)
def cals(z, q, y, margin=10, alpha=.1, mean_over_classes=False, lam=None):
    d = over_margin(z, margin) * (lam if lam is not None else alpha)
    return ce(z, q) + (d.mean(1) if mean_over_classes else d.sum(1))
def max_sup(z, q, y, alpha=.1): return ce(z, q) + alpha * (z.max(1).values - z.mean(1))
def logit_penalty(z, q, y, beta=2e-3): return ce(z, q) + beta / 2 * (z * z).sum(1)
def logit_norm(z, q, y, temperature=.04): return ce(z / (temperature * z.norm(dim=1, keepdim=True)), q)
def poly1(z, q, y, epsilon=2): return ce(z, q) + epsilon * (q * (1 - F.softmax(z, 1))).sum(1)
def entropy_regularisation(z, q, y, alpha=.5, beta=.1):
    p, u = F.softmax(z, 1), torch.full_like(z, 1 / z.shape[1])
    H = lambda a: -(a * a.log()).sum(1)
    if alpha == 0: j = kl(u, F.log_softmax(z, 1))
    elif alpha == 1: j = kl(p, u.log())
    else: j = (H((1 - alpha) * p + alpha * u) - (1 - alpha) * H(p) - alpha * H(u)) / (alpha * (1 - alpha))
    return ce(z, q) + beta * j
def generalised_smoothing(z, _, y, rate=-.2, bound=10):
    nll = -F.log_softmax(z, 1)
    return (1 - rate) * of_label(nll, y) + rate * (nll if rate >= 0 else nll.clamp_max(bound)).mean(1)
def generalised_cross_entropy(z, _, y, q=.7): return (1 - of_label(F.softmax(z, 1), y) ** q) / q
def symmetric_cross_entropy(z, q, y, alpha=.1, beta=1, log_zero=np.log(1e-4)):
    return alpha * ce(z, q) - beta * (F.softmax(z, 1) * q.log().clamp_min(log_zero)).sum(1)
def label_relaxation(z, q, y, alpha=.1):
    p = of_label(F.softmax(z, 1), y)
    return torch.where(p >= 1 - alpha, 0., (1 - alpha) * ((1 - alpha) / p).log() + alpha * (alpha / (1 - p)).log())
def bootstrap_soft(z, q, y, beta=.95, detach=False):
    p = F.softmax(z, 1)
    return ce(z, beta * q + (1 - beta) * (p.detach() if detach else p))
def bootstrap_hard(z, q, y, beta=.8): return ce(z, beta * q + (1 - beta) * F.one_hot(z.argmax(1), z.shape[1]))
def teacher_free(z, q, y, alpha=.1, temperature=20, correct=.99, code=False, multiplier=100):
    K = z.shape[1]
    v = torch.full_like(z, (1 - correct) / (K - 1)).scatter(1, y[:, None], correct)
    if code: return (1 - alpha) * ce(z, q) + alpha * multiplier * kl(F.softmax(v / temperature, 1), F.log_softmax(z, 1)) / K
    t = v ** (1 / temperature)
    return (1 - alpha) * ce(z, q) + alpha * kl(t / t.sum(1, keepdim=True), F.log_softmax(z / temperature, 1))
def zipf(z, q, y, beta=1, power=1):
    n, K = z.shape
    rank = torch.tensor(rankdata(-z.detach().numpy(), axis=1, method="min"))
    left = torch.ones_like(z, dtype=torch.bool).scatter(1, y[:, None], False)
    pi = (rank[left].double() ** -power).reshape(n, K - 1)
    return ce(z, q) + beta * kl(pi / pi.sum(1, keepdim=True), F.log_softmax(z[left].reshape(n, K - 1), 1))
def forward_correction(z, q, y, transition): return -(of_label(F.softmax(z, 1) @ transition, y)).log()
def backward_correction(z, q, y, transition): return (torch.linalg.inv(transition)[y] * -F.log_softmax(z, 1)).sum(1)

# What packages say of the same case, a value for each row.
def of_optax(z, q, y, epsilon): return np.asarray(optax.losses.poly_loss_cross_entropy(z.detach().numpy(), q.numpy(), epsilon=epsilon))
def of_keras(z, q, y, gamma, soft=True): return keras.losses.CategoricalFocalCrossentropy(alpha=1., gamma=gamma, from_logits=True, reduction=None)(q, z.detach()).numpy()
def of_tu_focal(z, q, y, gamma): return tu.FocalLoss(gamma=gamma, reduction="none")(z.detach(), y).numpy()
def of_tu_penalty(z, q, y, beta): # its penalty has log K added
    return (tu.ConfidencePenaltyLoss(reg_weight=beta, reduction="none")(z.detach(), y) - beta * np.log(z.shape[1])).numpy()
def of_tu_max_sup(z, q, y, alpha): return tu.CrossEntropyMaxSupLoss(max_sup=alpha)(z.detach(), y).numpy()

VARIANTS = [
    (confidence_penalty, [{}, {"beta": .7}, {"beta": .5, "hinge": 1.1}]), (focal, [{}, {"gamma": .5}, {"gamma": 2, "soft": True}]), (focal_adaptive, [{}]),
    (margin_smoothing, [{}, {"margin": 2, "alpha": .3}, {"margin": 1, "mean_over_classes": True}]),
    (acls, [{}, {"margin": 1}, {"margin": 2, "detach": False, "negative": .4}, {"margin": 2, "mean_over_classes": False}]),
    (cals, [{}, {"margin": 2}, {"margin": 1, "mean_over_classes": True}]), (max_sup, [{}, {"alpha": .5}]), (logit_penalty, [{}, {"beta": .3}]),
    (logit_norm, [{}, {"temperature": .5}]), (poly1, [{}, {"epsilon": -.6}]),
    (entropy_regularisation, [{}, {"alpha": 0}, {"alpha": 1}, {"alpha": .01, "beta": .4}, {"alpha": .9, "beta": .4}]),
    (generalised_cross_entropy, [{}, {"q": .05}, {"q": 1}]), (symmetric_cross_entropy, [{}, {"alpha": 6, "beta": .1, "log_zero": -4}]),
    (label_relaxation, [{}, {"alpha": .3}]), (bootstrap_soft, [{}, {"beta": .6}, {"beta": .6, "detach": True}]), (bootstrap_hard, [{}, {"beta": .4}]),
    (teacher_free, [{}, {"temperature": 2, "correct": .9, "alpha": .6}, {"code": True, "temperature": 1.5}, {"code": True}]),
    (zipf, [{}, {"beta": .3, "power": 2}]), (forward_correction, [{}]), (backward_correction, [{}]),
    (generalised_smoothing, [{}, {"rate": -1, "bound": 3}, {"rate": .3}]),
]
LABEL = {"focal", "focal_adaptive", "generalised_cross_entropy", "generalised_smoothing", "label_relaxation", "teacher_free", "zipf", "forward_correction", "backward_correction"}
PACKAGES = {("poly1", "any"): (of_optax, "optax"), ("focal", "soft"): (of_keras, "keras"), ("focal", "label"): (of_tu_focal, "torch-uncertainty"),
            ("confidence_penalty", "label"): (of_tu_penalty, "torch-uncertainty"), ("max_sup", "label"): (of_tu_max_sup, "torch-uncertainty")}
TOLERANCE = {of_keras: 1e-5, of_tu_penalty: 1e-4} # keras clips p at 1e-7, the penalty adds a small number within its logarithm

numbers, lines = [], []
def keep(t): numbers.extend(t.detach().flatten().tolist())
def text(v): return "true" if v is True else "false" if v is False else repr(float(v)) if isinstance(v, float) else str(v)

def case(f, o, n, K, soft, weighted, lam):
    z = (torch.randn(n, K) * (1.5 if o.get("soft") else 4)).float().double().requires_grad_()
    y = torch.randint(0, K, (n,))
    q = torch.softmax(torch.randn(n, K), 1).float().double() if soft else F.one_hot(y, K).double()
    w = (torch.rand(K) + .2).float().double() if weighted else torch.ones(K)
    more = {}
    if f in (forward_correction, backward_correction):
        more["transition"] = (.3 * torch.softmax(torch.randn(K, K), 1) + .7 * torch.eye(K)).float().double()
    if lam: more["lam"] = (torch.rand(K) * .5).float().double()
    rows = f(z, q, y, **o, **more)
    weight = (q * w).sum(1)
    value = (weight * rows).sum() / weight.sum()
    value.backward()
    source = "formula"
    for mode in ("any", "soft" if o.get("soft") else "label"):
        package, name = PACKAGES.get((f.__name__, mode), (None, None))
        if package and not (f in (confidence_penalty, max_sup) and (soft or "hinge" in o)):
            arguments = dict(o)
            if f is poly1: arguments.setdefault("epsilon", 2)
            if f is focal: arguments.setdefault("gamma", 2)
            if f is max_sup: arguments.setdefault("alpha", .1)
            if f is confidence_penalty: arguments.setdefault("beta", .1)
            got = package(z, q, y, **arguments) # max_sup: their mean
            want = rows.mean().detach().numpy() if f is max_sup else rows.detach().numpy()
            np.testing.assert_allclose(got, want, rtol=TOLERANCE.get(package, 1e-9), atol=TOLERANCE.get(package, 1e-9))
            source = name
    lines[-1].append(f'{{ n = {n}, k = {K}, soft = {text(soft)}, weighted = {text(weighted)}, '
                 f'multipliers = {text(lam)}, source = "{source}", value = {value.item()!r}, labels = {{ {", ".join(map(str, y.tolist()))} }} }}')
    keep(z); keep(z.grad)
    if soft: keep(q)
    if weighted: keep(w)
    for t in more.values(): keep(t)

for f, variants in VARIANTS:
    for o in variants:
        lines.append([f'"{f.__name__}", {{ {", ".join(f"{k} = {text(v)}" for k, v in o.items())} }}'])
        hard = f.__name__ in LABEL and not o.get("soft")
        for n, K in ((1, 2), (5, 4), (3, 10), (2, 37)):
            case(f, o, n, K, False, False, f is cals and n == 3)
            if n > 1: case(f, o, n, K, False, True, False)
            if not hard: case(f, o, n, K, True, n == 5, False)
versions = f"torch {torch.__version__}, scipy {scipy.__version__}, optax {version('optax')}, keras {keras.__version__}, torch-uncertainty {version('torch-uncertainty')}"
open("penalties.lua", "w").write(f"-- {versions}; made by penalties.py\nreturn {{\n" + "".join(f"  {{ {', '.join(line)} }},\n" for line in lines) + "}\n")
np.savez_compressed("penalties.npz", numbers=np.array(numbers, dtype=np.float32))
print(sum(len(line) - 1 for line in lines), "cases,", len(numbers), "numbers:", versions)
