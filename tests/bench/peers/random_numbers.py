#!/usr/bin/env python3
"""Random numbers by NumPy's Generator over the same bit generator, into arrays that are there: random_numbers.py COUNT PERMUTED ROUNDS. SPDX-License-Identifier: MIT"""
import sys
import timing
import numpy as np

count, permuted, rounds = map(int, sys.argv[1:])
rng = np.random.Generator(np.random.PCG64DXSM(1))
out = np.zeros(count)
items = {
    "NumPy uniform doubles": lambda: rng.random(out=out),
    "NumPy normals": lambda: rng.standard_normal(out=out),
    "NumPy beta(0.2, 0.2)": lambda: rng.beta(0.2, 0.2, count),
    "NumPy permutation": lambda: rng.permutation(permuted),
}
timing.measure(items, rounds)
