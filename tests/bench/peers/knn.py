#!/usr/bin/env python3
"""The search of tests/bench/knn.c by faiss's flat index: knn.py BASE QUERIES FEATURES K METRIC THREADS ROUNDS. SPDX-License-Identifier: MIT

The OpenBLAS within faiss's wheel may not know the processor, and then takes kernels of 2004: it is told which ones to use."""
import flat
import sys
import timing
import numpy as np

n, m, d, k, metric, threads, rounds = sys.argv[1:]
n, m, d, k, threads, rounds = map(int, (n, m, d, k, threads, rounds))
faiss = flat.start(threads)
rng = np.random.default_rng(1)
x, q = rng.standard_normal((n, d), dtype=np.float32), rng.standard_normal((m, d), dtype=np.float32)
timing.measure({"faiss flat": lambda: flat.search(faiss, x, q, k, metric)}, rounds)
