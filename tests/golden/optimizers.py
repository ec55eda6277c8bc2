#!/usr/bin/env python3
"""Writes optimizers.inc: weights after 1, 2, 3 and 20 steps of torch.optim in float64, from float32 weights and gradients."""
import torch
torch.manual_seed(0)
STEPS, N = 20, 5
print(f"/* torch {torch.__version__}; made by optimizers.py */\nenum {{ STEPS = {STEPS}, N = {N} }};")
w0, g = torch.randn(N), torch.randn(STEPS, N)
def flat(kind, name, t): print(f"static const {kind} {name} = {{{', '.join(repr(v) + ('f' if kind == 'float' else '') for v in t.flatten().tolist())}}};")
flat("float", "first_weights[N]", w0); flat("float", "gradients[STEPS * N]", g)
print("typedef struct golden_optimizer { const char *name; double lr, momentum, weight_decay, beta1, beta2, eps; int nesterov, decoupled; double w[4][N]; } golden_optimizer;")
print("static const golden_optimizer golden_optimizers[] = {")
for name, make, o in [
    ("sgd", torch.optim.SGD, dict(lr=.1)), ("sgd", torch.optim.SGD, dict(lr=.1, weight_decay=.05)),
    ("sgd", torch.optim.SGD, dict(lr=.1, momentum=.9)), ("sgd", torch.optim.SGD, dict(lr=.03, momentum=.8, weight_decay=.01)),
    ("sgd", torch.optim.SGD, dict(lr=.1, momentum=.9, nesterov=True)), ("sgd", torch.optim.SGD, dict(lr=.1, momentum=.9, nesterov=True, weight_decay=.1)),
    ("adam", torch.optim.Adam, dict(lr=.01)), ("adam", torch.optim.Adam, dict(lr=.01, betas=(.8, .95), eps=1e-3, weight_decay=.1)),
    ("adam", torch.optim.AdamW, dict(lr=.01, weight_decay=0.)), ("adam", torch.optim.AdamW, dict(lr=.02, betas=(.9, .99), weight_decay=.3))]:
    w = w0.double().clone().requires_grad_(); opt = make([w], **o); kept = []
    for i in range(STEPS):
        w.grad = g[i].double(); opt.step()
        if i + 1 in (1, 2, 3, STEPS): kept.append(w.detach().tolist())
    b = o.get("betas", (.9, .999))
    rows = ", ".join("{" + ", ".join(repr(v) for v in k) + "}" for k in kept)
    print(f'  {{"{name}", {o["lr"]}, {o.get("momentum", 0)}, {o.get("weight_decay", 0)}, {b[0]}, {b[1]}, {o.get("eps", 1e-8)}, {int(o.get("nesterov", False))}, {int(make is torch.optim.AdamW)}, {{{rows}}}}},')
print("};")
