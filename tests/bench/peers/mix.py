#!/usr/bin/env python3
"""timm's Mixup of the batch of tests/bench/mix.c, with its weight and a box of its size: mix.py IMAGES CHANNELS SIDE THREADS ROUNDS. SPDX-License-Identifier: MIT"""
import sys
import timing
import numpy as np
import torch
from timm.data.mixup import Mixup

timing.keep_memory()
n, channels, side, threads, rounds = map(int, sys.argv[1:])
torch.set_num_threads(threads)
torch.manual_seed(1)
np.random.seed(1)
x = torch.rand(n, channels, side, side)
y = torch.randint(1000, (n,))
kinds = {"mixup": Mixup(mixup_alpha=1.0), "cutmix": Mixup(mixup_alpha=0.0, cutmix_alpha=1.0)}
kinds["mixup"]._params_per_batch = lambda: (0.7, False)
kinds["cutmix"]._params_per_batch = lambda: (0.703, True)
with torch.no_grad():
    timing.measure({f"timm {name}": lambda mix=mix: mix(x, y) for name, mix in kinds.items()}, rounds)
