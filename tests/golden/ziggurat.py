#!/usr/bin/env python3
"""Writes core/base/ziggurat.inc: the 257 layer edges of a 256-layer ziggurat for the normal distribution (Marsaglia & Tsang
2000). All layers have the area v; edge 1 is r, where the tail begins, edge 0 is v / f(r), edge 256 is 0. r is found by bisection."""
import mpmath as mp
mp.mp.dps = 40
f = lambda x: mp.e ** (-x * x / 2)
def edges(r):
    v = r * f(r) + mp.sqrt(mp.pi / 2) * mp.erfc(r / mp.sqrt(2))
    x = [v / f(r), r]
    for _ in range(254):
        y = v / x[-1] + f(x[-1])
        if y >= 1: return None, x
        x.append(mp.sqrt(-2 * mp.log(y)))
    return v / x[-1] + f(x[-1]) - 1, x
low, high = mp.mpf("3.6"), mp.mpf("3.7")
for _ in range(120):
    mid = (low + high) / 2
    rest, x = edges(mid)
    if rest is None or rest > 0: low = mid
    else: high = mid
rest, x = edges(high)
x.append(mp.mpf(0))
for v in x: print(f"    {float(v)!r},")
