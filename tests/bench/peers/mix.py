#!/usr/bin/env python3
"""timm's Mixup of the batch of tests/bench/mix.c, with its weight and a box of its size: mix.py IMAGES CHANNELS SIDE THREADS ROUNDS. SPDX-License-Identifier: MIT"""
import ctypes
import sys
import time
import numpy as np
import torch
from timm.data.mixup import Mixup

ctypes.CDLL(None).mallopt(-3, 1 << 30)  # M_MMAP_THRESHOLD: no fresh pages for each result
ctypes.CDLL(None).mallopt(-1, 2**31 - 1)  # M_TRIM_THRESHOLD
n, channels, side, threads, rounds = map(int, sys.argv[1:])
torch.set_num_threads(threads)
torch.manual_seed(1)
np.random.seed(1)
x = torch.rand(n, channels, side, side)
y = torch.randint(1000, (n,))
kinds = {"mixup": Mixup(mixup_alpha=1.0), "cutmix": Mixup(mixup_alpha=0.0, cutmix_alpha=1.0)}
kinds["mixup"]._params_per_batch = lambda: (0.7, False)
kinds["cutmix"]._params_per_batch = lambda: (0.703, True)
times = {name: [] for name in kinds}
with torch.no_grad():
    for i in range(rounds + 1):
        for name, mix in kinds.items():
            began = time.perf_counter()
            mix(x, y)
            if i > 0:
                times[name].append(time.perf_counter() - began)
for name, t in times.items():
    t.sort()
    print("\t".join([f"timm {name}"] + [f"{t[i]:.9g}" for i in (len(t) // 2, 0, len(t) // 4, len(t) * 3 // 4)]))
