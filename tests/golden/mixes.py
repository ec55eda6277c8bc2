# Mixes of torch-uncertainty 0.13.0, with draws handed to both: mixes.npz. SPDX-License-Identifier: MIT
# python tests/golden/mixes.py tests/golden/mixes.npz
# The kernel of kernel_warping is scale-free here and not there (see core/mix/warp.c): torch-uncertainty is given embeddings whose mean squared
# distance is 1, where both agree. beta_*: scipy's distribution function, for the warp itself.
import importlib.util, sys, types
import numpy as np
import scipy.stats as st
import torch


folder = importlib.util.find_spec("torch_uncertainty").submodule_search_locations[0]


def of_package(file):  # without the package's __init__, which wants lightning
    name = "tu_" + file.replace("/", "_").removesuffix(".py")
    spec = importlib.util.spec_from_file_location(name, folder + "/" + file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


sys.modules["torch_uncertainty"] = types.ModuleType("torch_uncertainty")  # mixup.py asks for one name of the package
sys.modules["torch_uncertainty.layers"] = types.ModuleType("torch_uncertainty.layers")
sys.modules["torch_uncertainty.layers"].Identity = torch.nn.Identity
tu, MixupMPLoss = of_package("transforms/mixup.py"), of_package("losses/classification.py").MixupMPLoss

rng, n, classes = np.random.default_rng(20), 7, 5
x = torch.tensor(rng.standard_normal((n, 3, 4, 2)), dtype=torch.float64).float()
y = torch.tensor(rng.integers(0, classes, n))
order = rng.permutation(n)
partner = np.empty(n, int)
partner[order] = np.roll(order, 1)  # one cycle
lam = torch.tensor(rng.beta(1.0, 1.0, n)).float()
subset = rng.permutation(n)
embeddings = rng.standard_normal((n, 6)) * np.array([1, 2, .5, 1, 3, 1])
embeddings /= np.sqrt(np.mean(((embeddings - embeddings[partner]) ** 2).sum(1)))
arrays = dict(x=x, y=y, partner=partner + 1, lam=lam, subset=subset + 1, embeddings=embeddings.astype(np.float32))


def mixed(kind, scalar=False, **options):
    made = kind(alpha=1.0, num_classes=classes, **options)
    made._get_params = lambda size, device: (lam[0] if scalar else lam, torch.tensor(partner))
    return made


def keep(name, both):
    arrays[name + "_x"], arrays[name + "_y"] = both


keep("mixup", mixed(tu.Mixup)(x, y))
keep("mixupio", mixed(tu.MixupIO)(x, y))
keep("mixupio_batch", mixed(tu.MixupIO, True, isobatch=True)(x, y))
keep("regmixup", mixed(tu.RegMixup)(x, y))
randperm, torch.randperm = torch.randperm, lambda size, device=None: torch.tensor(subset)
for ratio in (0.5, 1.0, 2.0):
    keep(f"mixupmp_{ratio:g}", mixed(tu.MixupMP, mixup_ratio=ratio)(x, y))
torch.randperm = randperm
for tau_max, tau_std in ((1.0, .5), (2.0, .25), (.5, 2.0)):
    warp = mixed(tu.WarpingMixup, tau_max=tau_max, tau_std=tau_std)
    keep(f"warp_{tau_max:g}_{tau_std:g}", warp(x, y, torch.tensor(arrays["embeddings"])))

# The loss of MixupMP: r CE(mixed) + CE(clean), as a divergence (the targets' entropy taken out), on ratios that divide 8 rows exactly.
for ratio in (0.5, 1.0, 2.0):
    q, z = arrays["mixup_y"].numpy(), rng.standard_normal((24, classes)).astype(np.float32)
    rows = np.concatenate([q, np.eye(classes, dtype=np.float32)[[0]]])  # 8 rows
    clean, many = np.eye(classes, dtype=np.float32)[rng.integers(0, classes, 8)], {0.5: 4, 1.0: 8, 2.0: 8}[ratio]
    few = {0.5: 8, 1.0: 8, 2.0: 4}[ratio]
    target = np.concatenate([rows[:many], clean[:few]])
    arrays[f"loss_{ratio:g}_z"], arrays[f"loss_{ratio:g}_q"] = z[: many + few], target
    arrays[f"loss_{ratio:g}"] = np.array([MixupMPLoss(ratio)(torch.tensor(z[: many + few]), torch.tensor(target)).item()])

ts, at = np.array([1e-12, 1e-3, .135, 1, 7.4, 300, 1e4, 1e6]), np.array([1e-6, .01, .2, .45, .4999, .5, .501, .7, .99])
arrays["beta_t"], arrays["beta_x"] = ts, at
arrays["beta_cdf"] = st.beta.cdf(at[None, :], ts[:, None], ts[:, None])
np.savez(sys.argv[1], **{k: np.asarray(v) for k, v in arrays.items()})
