#!/usr/bin/env python3
"""Random numbers by NumPy's Generator over the same bit generator, into arrays that are there: random_numbers.py COUNT PERMUTED ROUNDS. SPDX-License-Identifier: MIT"""
import sys
import time
import numpy as np

count, permuted, rounds = map(int, sys.argv[1:])
rng = np.random.Generator(np.random.PCG64DXSM(1))
out = np.zeros(count)
items = {
    "uniform doubles": lambda: rng.random(out=out),
    "normals": lambda: rng.standard_normal(out=out),
    "beta(0.2, 0.2)": lambda: rng.beta(0.2, 0.2, count),
    "permutation": lambda: rng.permutation(permuted),
}
times = {name: [] for name in items}
for i in range(rounds + 1):
    for name, run in items.items():
        began = time.perf_counter()
        run()
        if i > 0:
            times[name].append(time.perf_counter() - began)
for name, t in times.items():
    t.sort()
    print("\t".join([f"NumPy {name}"] + [f"{t[i]:.9g}" for i in (len(t) // 2, 0, len(t) // 4, len(t) * 3 // 4)]))
