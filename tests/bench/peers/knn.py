#!/usr/bin/env python3
"""The search of tests/bench/knn.c by faiss's flat index: knn.py THREADS BASE QUERIES FEATURES K METRIC REPEATS: smallest and median time in ms. SPDX-License-Identifier: MIT"""
import os, sys
threads, n, m, d, k, metric, repeats = sys.argv[1:]
threads, n, m, d, k, repeats = map(int, (threads, n, m, d, k, repeats))
for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"): os.environ.pop(name, None)
os.environ["OMP_WAIT_POLICY"], os.environ["OMP_NUM_THREADS"] = "PASSIVE", str(threads)
import time, numpy as np, faiss
faiss.omp_set_num_threads(threads)
rng = np.random.default_rng(1)
x, q = rng.standard_normal((n, d), dtype=np.float32), rng.standard_normal((m, d), dtype=np.float32)
times = []
for _ in range(repeats):
    began = time.perf_counter()
    index = faiss.IndexFlatL2(d) if metric[0] == "l" else faiss.IndexFlatIP(d)
    index.add(x)
    index.search(q, k)
    times.append((time.perf_counter() - began) * 1e3)
print(f"{min(times):.3f} {sorted(times)[len(times) // 2]:.3f}")
