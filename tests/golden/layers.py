# Layers' results and gradients from PyTorch in double precision: layers.npz. SPDX-License-Identifier: MIT
# Made with PyTorch 2.15 and NumPy: python tests/golden/layers.py tests/golden/layers.npz
import sys
import numpy as np
import torch
import torch.nn.functional as F

torch.manual_seed(1)
arrays = {}


def case(name, f, *inputs):
    """f of float32 inputs, computed in double; a fixed random gradient goes back."""
    leaves = [torch.randn(s) if isinstance(s, tuple) else s for s in inputs]
    doubles = [t.double().requires_grad_() if t.is_floating_point() else t for t in leaves]
    y = f(*doubles)
    g = torch.randn(y.shape)
    y.backward(g.double())
    for i, (leaf, d) in enumerate(zip(leaves, doubles)):
        arrays[f"{name}.in{i}"] = leaf.numpy()
        if d.grad is not None:
            arrays[f"{name}.grad{i}"] = d.grad.numpy().astype(np.float32)
    arrays[f"{name}.y"], arrays[f"{name}.g"] = y.detach().numpy().astype(np.float32), g.numpy()


def conv(name, x, w, **options):
    case(name, lambda a, b, c: F.conv2d(a, b, c, **options), x, w, (w[0],))


conv("conv_plain", (3, 2, 7, 6), (4, 2, 3, 3))
conv("conv_padded", (2, 3, 5, 9), (4, 3, 3, 3), padding=1)
conv("conv_strided", (2, 3, 11, 8), (5, 3, 3, 2), stride=(2, 3), padding=(1, 0))
conv("conv_dilated", (2, 2, 9, 10), (3, 2, 3, 3), dilation=(2, 3), padding=(2, 3))
conv("conv_grouped", (2, 6, 6, 5), (4, 3, 3, 3), groups=2, padding=1)
conv("conv_depthwise", (2, 4, 6, 5), (8, 1, 3, 3), groups=4, stride=2)
conv("conv_1x1", (3, 5, 4, 4), (2, 5, 1, 1))
conv("conv_1x1_strided", (3, 5, 5, 5), (2, 5, 1, 1), stride=2)
conv("conv_wide_padding", (2, 1, 2, 2), (1, 1, 5, 5), padding=4, stride=3)
conv("conv_many", (37, 1, 4, 4), (2, 1, 3, 3))
for k, s, p in ((2, 2, 0), (3, 2, 1), (3, 1, 1), (2, 1, 0)):
    case(f"max_{k}{s}{p}", lambda a: F.max_pool2d(a, k, s, p), (2, 3, 7, 6))
    case(f"avg_{k}{s}{p}", lambda a: F.avg_pool2d(a, k, s, p), (2, 3, 7, 6))
    case(f"avgvalid_{k}{s}{p}", lambda a: F.avg_pool2d(a, k, s, p, count_include_pad=False), (2, 3, 7, 6))
for shape in ((9, 5), (4, 5, 3, 2), (33, 70)):
    n = f"bn_{len(shape)}_{shape[1]}"
    mean, var = torch.randn(shape[1]), torch.rand(shape[1]) + 0.5
    arrays[n + ".mean"], arrays[n + ".var"] = mean.numpy(), var.numpy()
    m, v = mean.double(), var.double()
    case(n + "_eval", lambda a, w, b: F.batch_norm(a, m, v, w, b, False), shape, (shape[1],), (shape[1],))
    m, v = m.clone(), v.clone()
    case(n + "_train", lambda a, w, b: F.batch_norm(a, m, v, w, b, True, 0.1), shape, (shape[1],), (shape[1],))
    arrays[n + ".mean_after"], arrays[n + ".var_after"] = m.numpy().astype(np.float32), v.numpy().astype(np.float32)
case("ln_1", lambda a, w, b: F.layer_norm(a, (7,), w, b), (5, 7), (7,), (7,))
case("ln_2", lambda a, w, b: F.layer_norm(a, (3, 4), w, b), (5, 2, 3, 4), (3, 4), (3, 4))
case("embedding", lambda ids, w: F.embedding(ids, w), torch.tensor([[1, 4, 4], [0, 2, 1]]), (5, 3))
np.savez(sys.argv[1], **arrays)
