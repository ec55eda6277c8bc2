#!/usr/bin/env python3
"""The same training in PyTorch and in lsengine: training.py PROGRAM FOLDER [quick]. Writes pytorch-losses.txt and training.log here.

Both start from the weights and follow the batch order that training.lua writes. Losses of the first 200 steps are compared for GELU and
tanh; for ReLU, where the order of summation alone parts two runs (PyTorch's with one and with two threads, too: shown), 20 steps, and loss and gradient at PyTorch's own weights of steps 50,
100, 200; then 10 epochs with 10 seeds each, the difference of test accuracies with its 95 % t interval."""
import gzip, os, subprocess, sys
import numpy as np, scipy, scipy.stats as st, torch, torch.nn as nn, torch.nn.functional as F
program, folder, quick = sys.argv[1], sys.argv[2], len(sys.argv) > 3
here = os.path.dirname(os.path.abspath(__file__)); script = os.path.join(here, "training.lua")
torch.set_num_threads(2); os.makedirs(folder, exist_ok=True)
log = open(os.path.join(here, "training.log"), "w")
def say(text): print(text, flush=True); log.write(text + "\n"); log.flush()
say(f"torch {torch.__version__}, numpy {np.__version__}, scipy {scipy.__version__}; {subprocess.check_output([program, 'version'], text=True).strip()}")
def lsengine(**o):
    sets = [a for k, v in {"folder": folder, **o}.items() for a in ("--set", f"{k}={v}")]
    return subprocess.check_output([program, "run", script, "--quiet", *sets], text=True).split()
def idx(name, head):
    with gzip.open(f"/usr/share/datasets/fashion-mnist/{name}.gz") as f: return np.frombuffer(f.read(), np.uint8, offset=head)
x = torch.tensor(idx("train-images-idx3-ubyte", 16).reshape(-1, 784).astype(np.float32) * np.float32(1 / 255))
y = torch.tensor(idx("train-labels-idx1-ubyte", 8).astype(np.int64))
tx = torch.tensor(idx("t10k-images-idx3-ubyte", 16).reshape(-1, 784).astype(np.float32) * np.float32(1 / 255))
ty = torch.tensor(idx("t10k-labels-idx1-ubyte", 8).astype(np.int64))
acts = {"gelu": nn.GELU, "tanh": nn.Tanh, "relu": nn.ReLU}
def network(act, seed, dtype=torch.float32):
    net = nn.Sequential(nn.Linear(784, 256), acts[act](), nn.Linear(256, 256), acts[act](), nn.Linear(256, 10))
    net.load_state_dict({k: torch.tensor(v) for k, v in np.load(f"{folder}/init-{seed}.npz").items()})
    return net.to(dtype)
def train(act, eps, seed, steps=None, epochs=10, keep=(), threads=2, dtype=torch.float32):
    torch.set_num_threads(threads)
    net, losses, order = network(act, seed, dtype), [], torch.tensor(np.load(f"{folder}/order-{seed}.npy") - 1).reshape(-1, 60000)
    opt, kept = torch.optim.SGD(net.parameters(), lr=.1, momentum=.9), {}
    for e in range(epochs):
        for i in range(0, 60000, 128):
            rows = order[e, i:i + 128]
            if len(losses) + 1 in keep: before = {k: v.detach().numpy().copy() for k, v in net.state_dict().items()}
            loss = F.cross_entropy(net(x[rows].to(dtype)), y[rows], label_smoothing=eps)
            opt.zero_grad(); loss.backward()
            losses.append(loss.item())
            if len(losses) in keep: kept[len(losses)] = (before, loss.item(), {k: p.grad.numpy().copy() for k, p in net.named_parameters()})
            opt.step()
            if steps and len(losses) == steps: return net, losses, kept
    return net, losses, kept
lsengine(mode="inputs", seed=1)
golden = open(os.path.join(here, "pytorch-losses.txt"), "w")
golden.write(f"# torch {torch.__version__}: activation, epsilon, losses of the first steps; made by training.py\n")
for act in acts:
    for eps in (0.0, 0.1):
        steps = 20 if act == "relu" else 200
        _, want, kept = train(act, eps, 1, steps=200, keep=(50, 100, 200) if act == "relu" else (), threads=1)
        got = np.array([float(v) for v in lsengine(mode="losses", activation=act, epsilon=eps, steps=steps)])
        worst = np.abs(got / np.array(want[:steps]) - 1).max()
        bar = 1e-5 if act == "relu" else 1e-4
        say(f"{act} epsilon {eps}: worst relative difference of {steps} losses {worst:.2e} (bar {bar:g}): {'ok' if worst <= bar else 'MISSED'}")
        if act == "relu":
            part = lambda a, b: np.abs(np.array(a) / np.array(b) - 1).max()
            two, exact = train(act, eps, 1, steps=20)[1], train(act, eps, 1, steps=20, dtype=torch.float64)[1]
            say(f"  PyTorch with 1 thread against 2: {part(want[:20], two):.2e}; against PyTorch in float64: lsengine {part(got, exact):.2e}, "
                f"PyTorch with 1 thread {part(want[:20], exact):.2e}, with 2 {part(two, exact):.2e}")
        golden.write(f"{act} {eps} " + " ".join(f"{v:.9g}" for v in want[:steps]) + "\n")
        for step, (weights, loss, grads) in kept.items():
            np.savez(f"{folder}/weights-{step}.npz", **weights)
            mine = float(lsengine(mode="gradient", activation=act, epsilon=eps, step=step)[0])
            g = np.load(f"{folder}/gradient-{step}.npz")
            worst = max(np.abs(g[k] - v).max() / np.abs(v).max() for k, v in grads.items())
            ok = abs(mine / loss - 1) <= 1e-5 and worst <= 1e-5
            say(f"  at PyTorch's weights of step {step}: loss {abs(mine / loss - 1):.2e}, gradient {worst:.2e} of its scale (bar 1e-5): {'ok' if ok else 'MISSED'}")
golden.close()
if quick: sys.exit()
for eps in (0.0, 0.1):
    d = []
    for seed in range(1, 11):
        lsengine(mode="inputs", seed=seed)
        net, _, _ = train("relu", eps, seed)
        with torch.no_grad(): theirs = (net(tx).argmax(1) == ty).float().mean().item()
        ours = float(lsengine(mode="accuracy", activation="relu", epsilon=eps, seed=seed)[0])
        d.append(100 * (ours - theirs)); say(f"relu epsilon {eps}, seed {seed}: accuracy after 10 epochs {ours:.4f}, PyTorch {theirs:.4f}")
    half = st.t.ppf(.975, 9) * np.std(d, ddof=1) / np.sqrt(10); low, high = np.mean(d) - half, np.mean(d) + half
    say(f"relu epsilon {eps}: difference of accuracies {np.mean(d):+.3f} points, 95 % interval [{low:+.3f}, {high:+.3f}] (bar ±.75): {'ok' if max(abs(low), abs(high)) < .75 else 'MISSED'}")
