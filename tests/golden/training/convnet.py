#!/usr/bin/env python3
"""The convnet of tests/bench in PyTorch and in lsengine: convnet.py PROGRAM FOLDER. Writes convnet-losses.txt and convnet.log here.

With GELU, the losses of 50 steps from equal weights; with ReLU, batch norm and dropout (masks given) loss, gradient and running statistics at PyTorch's
own weights of steps 1, 20, 50; then two epochs in PyTorch, its weights loaded by lsengine, and the test rows' logits compared. SPDX-License-Identifier: MIT"""
import gzip, os, subprocess, sys
import numpy as np, torch, torch.nn as nn, torch.nn.functional as F
program, folder = sys.argv[1:3]
here = os.path.dirname(os.path.abspath(__file__)); script = os.path.join(here, "convnet.lua")
torch.set_num_threads(2); os.makedirs(folder, exist_ok=True)
log = open(os.path.join(here, "convnet.log"), "w")
def say(text): print(text, flush=True); log.write(text + "\n"); log.flush()
say(f"torch {torch.__version__}, numpy {np.__version__}; {subprocess.check_output([program, 'version'], text=True).strip()}")
def lsengine(**o):
    sets = [a for k, v in {"folder": folder, **o}.items() for a in ("--set", f"{k}={v}")]
    return subprocess.check_output([program, "run", script, "--quiet", *sets], text=True).split()
def idx(name, head):
    with gzip.open(f"/usr/share/datasets/fashion-mnist/{name}.gz") as f: return np.frombuffer(f.read(), np.uint8, offset=head)
images = lambda name: torch.tensor(idx(name, 16).reshape(-1, 1, 28, 28).astype(np.float32) * np.float32(1 / 255))
x, y = images("train-images-idx3-ubyte"), torch.tensor(idx("train-labels-idx1-ubyte", 8).astype(np.int64))
tx, ty = images("t10k-images-idx3-ubyte"), torch.tensor(idx("t10k-labels-idx1-ubyte", 8).astype(np.int64))
ok = lambda good: "ok" if good else "MISSED"
def load(net, name):
    found = net.load_state_dict({k: torch.tensor(v) for k, v in np.load(f"{folder}/{name}").items()}, strict=False)
    assert not found.unexpected_keys and all("num_batches" in k for k in found.missing_keys)
    return net
def save(net, name): np.savez(f"{folder}/{name}", **{k: v.numpy() for k, v in net.state_dict().items()})
def batch(step): return x[(step - 1) * 128:step * 128], y[(step - 1) * 128:step * 128]
lsengine(mode="inputs")

def plain(dtype):
    return load(nn.Sequential(nn.Conv2d(1, 32, 3), nn.GELU(), nn.Conv2d(32, 64, 3), nn.GELU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(9216, 128), nn.GELU(), nn.Linear(128, 10)),
                "convnet-init.npz").to(dtype)
def losses(threads, dtype=torch.float32):
    torch.set_num_threads(threads)
    net, out = plain(dtype), []
    opt = torch.optim.SGD(net.parameters(), lr=.05, momentum=.9)
    for step in range(1, 51):
        a, b = batch(step)
        loss = F.cross_entropy(net(a.to(dtype)), b)
        opt.zero_grad(); loss.backward(); opt.step(); out.append(loss.item())
    return np.array(out)
want, two, exact, got = losses(1), losses(2), losses(2, torch.float64), np.array([float(v) for v in lsengine(mode="losses")])
part = lambda a, b: np.abs(a / b - 1).max()
say(f"GELU: worst relative difference of 50 losses {part(got, want):.2e} (bar 1e-3): {ok(part(got, want) <= 1e-3)}; PyTorch with 1 thread against 2 {part(want, two):.2e}; "
    f"against PyTorch in float64: lsengine {part(got, exact):.2e}, PyTorch {part(want, exact):.2e}")
with open(os.path.join(here, "convnet-losses.txt"), "w") as f:
    f.write(f"# torch {torch.__version__}: losses of the first 50 steps with GELU; made by convnet.py\n" + " ".join(f"{v:.9g}" for v in want) + "\n")

class Masked(nn.Module):
    def __init__(self, p): super().__init__(); self.p, self.mask = p, None
    def forward(self, v):
        if not self.training: return v
        self.mask = (torch.rand(v.shape) >= self.p).float() / (1 - self.p)
        return v * self.mask
class Given(nn.Module):
    def __init__(self, mask): super().__init__(); self.mask = mask.double()
    def forward(self, v): return v * self.mask
def network(first, second):
    return nn.Sequential(nn.Conv2d(1, 32, 3), nn.BatchNorm2d(32), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(2), first, nn.Flatten(), nn.Linear(9216, 128),
                         nn.ReLU(), second, nn.Linear(128, 10))
def exact_gradients(step, a, b):
    other = load(network(Given(first.mask), Given(second.mask)), f"normed-{step}.npz").double().train()
    F.cross_entropy(other(a.double()), b).backward()
    return {k: p.grad.numpy() for k, p in other.named_parameters()}
torch.manual_seed(3)
first, second = Masked(.25), Masked(.5)
net = load(network(first, second), "normed-init.npz").train()
opt = torch.optim.SGD(net.parameters(), lr=.05, momentum=.9)
for step in range(1, 940):
    a, b = (batch(step) if step <= 468 else batch(step - 468)) if step <= 936 else batch(step - 936)
    if step in (1, 20, 50): save(net, f"normed-{step}.npz")
    loss = F.cross_entropy(net(a), b)
    opt.zero_grad(); loss.backward()
    if step in (1, 20, 50):
        np.savez(f"{folder}/masks-{step}.npz", first=first.mask.numpy(), second=second.mask.numpy())
        mine = float(lsengine(mode="gradient", step=step)[0])
        g = np.load(f"{folder}/normed-gradient-{step}.npz")
        # Judged as one vector, |g - g'| / |g'|. Element by element, arguments of ReLU and maxima that change hands within float32's rounding part
        # PyTorch from its own float64, too: shown beside it, in units of each parameter's largest gradient (of a bias before batch norm, whose gradient
        # is nothing but rounding, of the largest of all).
        exact, theirs = exact_gradients(step, a, b), {k: p.grad.numpy() for k, p in net.named_parameters()}
        scale = {k: max(np.abs(v).max() for v in exact.values()) if k in ("0.bias", "3.bias") else np.abs(v).max() for k, v in exact.items()}
        element = lambda u, v: max(np.abs(u[k] - v[k]).max() / scale[k] for k in exact)
        whole = lambda u, v: (sum(((u[k].astype(np.float64) - v[k]) ** 2).sum() for k in exact) / sum((v[k].astype(np.float64) ** 2).sum() for k in exact)) ** .5
        worst = whole(g, theirs)
        stats = max(np.abs(g[k] - v.numpy()).max() / v.abs().max().item() for k, v in net.named_buffers() if "running" in k)
        say(f"ReLU, batch norm, dropout, PyTorch's weights of step {step}: loss {abs(mine / loss.item() - 1):.2e}, gradient {worst:.2e}, running statistics {stats:.2e} of their scale (bar 1e-4): "
            f"{ok(max(worst, stats, abs(mine / loss.item() - 1)) <= 1e-4)}; from PyTorch in float64: lsengine {whole(g, exact):.2e}, PyTorch {whole(theirs, exact):.2e}; "
            f"worst element from float64: lsengine {element(g, exact):.2e}, PyTorch {element(theirs, exact):.2e}")
    opt.step()
net.eval(); save(net, "trained.npz")
lsengine(mode="logits")
with torch.no_grad(): logits = torch.cat([net(part) for part in tx.split(1000)]).numpy()
off = np.abs(np.load(f"{folder}/logits.npy") - logits).max()
say(f"trained in PyTorch (accuracy {(logits.argmax(1) == ty.numpy()).mean():.4f}), loaded by lsengine: logits of 10000 test rows within {off:.2e} (bar 1e-4; the largest is {np.abs(logits).max():.1f}): {ok(off <= 1e-4)}")
