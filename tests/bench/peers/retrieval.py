#!/usr/bin/env python3
"""Retrieval within normal rows of so many classes: faiss's search of R neighbours alone, and pytorch-metric-learning with faiss for precision@1, MAP@R and
R-precision: retrieval.py ROWS FEATURES CLASSES THREADS ROUNDS. SPDX-License-Identifier: MIT"""
import flat
import sys
import timing
import numpy as np

n, d, classes, threads, rounds = map(int, sys.argv[1:])
faiss = flat.start(threads)
rng = np.random.default_rng(1)
x, labels = rng.standard_normal((n, d), dtype=np.float32), np.arange(n) % classes
items = {"faiss search alone": lambda: flat.search(faiss, x, x, n // classes - 1, "l2")}
try:
    import pytorch_metric_learning
    import torch
    from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator

    torch.set_num_threads(threads)
    print(f"=\tpytorch-metric-learning\t{pytorch_metric_learning.__version__}, PyTorch {torch.__version__}")
    calculator = AccuracyCalculator(include=("precision_at_1", "mean_average_precision_at_r", "r_precision"), k="max_bin_count", device=torch.device("cpu"))
    tx, ty = torch.from_numpy(x), torch.from_numpy(labels)
    items["pytorch-metric-learning"] = lambda: calculator.get_accuracy(tx, ty)
except ImportError:
    pass
timing.measure(items, rounds)
