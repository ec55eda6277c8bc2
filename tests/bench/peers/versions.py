#!/usr/bin/env python3
"""One line: the peers that are there, and the setting they are measured at. SPDX-License-Identifier: MIT"""
from importlib.metadata import PackageNotFoundError, version

found = []
for name in ("torch", "numpy", "timm", "faiss-cpu", "torchmetrics", "scikit-learn"):
    try:
        found.append(f"{name} {version(name)}")
    except PackageNotFoundError:
        pass
print(", ".join(found) + "; threads as named, OMP_WAIT_POLICY=PASSIVE, glibc's malloc told to keep freed memory")
