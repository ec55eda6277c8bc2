# Ordinal soft labels of dlordinal 2.7.0: schemes.npz. SPDX-License-Identifier: MIT
# python tests/golden/schemes.py tests/golden/schemes.npz
import sys
import numpy as np
from dlordinal.soft_labelling import get_binomial_soft_labels, get_exponential_soft_labels, get_triangular_soft_labels

arrays = {}
for k in (2, 3, 6, 10, 31):
    arrays[f"binomial_{k}"] = get_binomial_soft_labels(k)
    arrays[f"sord_{k}"] = get_exponential_soft_labels(k, p=1.0, tau=0.5)
    arrays[f"sord2_{k}"] = get_exponential_soft_labels(k, p=2.0, tau=4.0)
    for alpha in (0.01, 0.05):
        arrays[f"triangular_{k}_{int(alpha * 100)}"] = get_triangular_soft_labels(k, alpha)
np.savez(sys.argv[1], **{n: a.astype(np.float64) for n, a in arrays.items()})
