#!/usr/bin/env python3
"""Writes npy.inc: arrays as numpy.save writes them, every type, order and version, with their values; and some that must be refused."""
import io, numpy as np
from numpy.lib import format as npy
print(f"/* numpy {np.__version__}; made by npy.py */")
print("typedef struct npy_case { const char *name; const uint8_t *bytes; size_t size; int rank; int shape[8]; int count; const double *values; const char *refused; } npy_case;")
cases, k = [], 0
def add(name, a, version=(1, 0), refused=None):
    global k
    f = io.BytesIO(); npy.write_array(f, a, version=version); b = f.getvalue()
    print(f"static const uint8_t npy_{k}[] = {{{','.join(map(str, b))}}};")
    values = "NULL"
    if refused is None and a.size:
        values = f"npy_values_{k}"
        text = ["(double)INFINITY" if v == np.inf else "-(double)INFINITY" if v == -np.inf else "(double)NAN" if v != v else repr(float(v)) for v in a.astype(np.float64).ravel(order="C")]
        print(f"static const double {values}[] = {{{', '.join(text)}}};")
    text = f'"{refused}"' if refused else "NULL"
    cases.append(f'  {{"{name}", npy_{k}, sizeof npy_{k}, {a.ndim}, {{{", ".join(map(str, a.shape)) or 0}}}, {a.size}, {values}, {text}}},'); k += 1
base = np.array([[0, 1, 2], [3, 100, 7]])
for t in ("?", "u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f2", "f4", "f8"):
    for order in ("<", ">") if t not in ("?", "u1", "i1") else ("|",): add(f"{order}{t}", base.astype(np.dtype(t).newbyteorder(order) if order != "|" else t))
add("fortran", np.asfortranarray(base.astype("f4"))); add("fortran 3d", np.asfortranarray(np.arange(24.).reshape(2, 3, 4)))
for shape in ((), (1,), (5,), (0,), (3, 0), (2, 1, 2), (1, 2, 1, 3), (1,) * 8): add(f"rank {len(shape)}", np.arange(int(np.prod(shape)), dtype="<i4").reshape(shape))
for version in ((2, 0), (3, 0)): add(f"version {version[0]}", base.astype("<f8"), version)
add("float16", np.array([0, 1, -2, 65504, 6e-8, 6.1e-5, np.inf, -np.inf, np.nan], "<f2"))
add("large doubles", np.array([1e300, -1e300, 1e-300], "<f8"))
add("complex", np.zeros(2, "c8"), refused="<c8"); add("string", np.array(["ab"]), refused="<U2")
add("structure", np.zeros(2, [("a", "i4")]), refused="structures"); add("time", np.zeros(1, "M8[s]"), refused="M8"); add("bytes", np.array([b"ab"]), refused="|S2")
print("static const npy_case npy_cases[] = {\n" + "\n".join(cases) + "\n};")
