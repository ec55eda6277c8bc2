#!/usr/bin/env python3
"""Writes cross_entropy.inc: torch.nn.functional.cross_entropy in float64 over its options, value and gradient."""
import torch, torch.nn.functional as F
torch.manual_seed(0)
print(f"/* torch {torch.__version__}; made by cross_entropy.py */")
print("""typedef struct golden_case {
  int n, k, ignore; /* ignore: -1 for none */
  const char *reduction;
  double smoothing, value;
  const float *z, *weights, *dense; /* weights, dense: or NULL */
  const int64_t *labels;
  const double *grad, *rows;
} golden_case;""")
cases, count = [], 0
def array(kind, values, name):
    print(f"static const {kind} {name}[] = {{{', '.join(repr(v) for v in values)}}};")
for n, k in ((1, 2), (5, 3), (7, 10), (4, 37)):
    for smoothing in (0.0, 0.1):
        for weighted in (False, True):
            for mode in ("ids", "ignore", "dense"):
                for reduction in (("mean", "sum", "none") if n == 5 else ("mean",)):
                    z = (torch.randn(n, k) * 3).float().double().requires_grad_()
                    w = (torch.rand(k) + .2).float().double() if weighted else None
                    y = torch.randint(0, k, (n,))
                    if mode == "ignore":
                        if n < 2: continue
                        y[1] = 0
                        y[0] = 1
                    dense = torch.softmax(torch.randn(n, k).double(), 1).float().double() if mode == "dense" else None
                    loss = F.cross_entropy(z, dense if mode == "dense" else y, weight=w, label_smoothing=smoothing,
                                           reduction=reduction, ignore_index=0 if mode == "ignore" else -100)
                    loss.sum().backward()
                    i = count; count += 1
                    array("float", z.flatten().tolist(), f"z_{i}"); array("double", z.grad.flatten().tolist(), f"g_{i}")
                    array("int64_t", y.tolist(), f"y_{i}")
                    if weighted: array("float", w.tolist(), f"w_{i}")
                    if mode == "dense": array("float", dense.flatten().tolist(), f"q_{i}")
                    if reduction == "none": array("double", loss.tolist(), f"r_{i}")
                    cases.append(f'  {{{n}, {k}, {0 if mode == "ignore" else -1}, "{reduction}", {smoothing}, {float(loss.sum())!r}, z_{i}, '
                                 f'{"w_%d" % i if weighted else "NULL"}, {"q_%d" % i if mode == "dense" else "NULL"}, y_{i}, g_{i}, '
                                 f'{"r_%d" % i if reduction == "none" else "NULL"}}},')
print("static const golden_case golden_cases[] = {\n" + "\n".join(cases) + "\n};")
