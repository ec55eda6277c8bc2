#!/usr/bin/env python3
"""Writes streams.inc: raw numbers and doubles of NumPy's PCG64DXSM; and cumulative probabilities for the tests of distributions."""
import numpy as np, scipy, scipy.stats as st
print(f"/* numpy {np.__version__}, scipy {scipy.__version__}; made by streams.py */")
print("static const struct { uint64_t seed, raw[8]; double uniform[4]; } streams[] = {")
for s in (0, 1, 42, 2**32 - 1, 2**32, 2**63 + 5, 2**64 - 1):
    raw = np.random.PCG64DXSM(s).random_raw(8)
    u = np.random.Generator(np.random.PCG64DXSM(s)).random(4)
    print(f"  {{{s}u, {{{', '.join(f'{int(v)}u' for v in raw)}}}, {{{', '.join(repr(float(v)) for v in u)}}}}},")
print("};")
def cdf(name, dist, points):
    print(f"static const double {name}[][2] = {{{', '.join(f'{{{p!r}, {float(dist.cdf(p))!r}}}' for p in points)}}};")
cdf("normal_cdf", st.norm(), [-3.7, -3, -2, -1, -.5, 0, .25, 1, 1.5, 2.5, 3.7])
for a in (.05, .5, 1., 2.5, 40.): cdf(f"gamma_cdf_{str(a).replace('.', '_')}", st.gamma(a), [float(v) for v in st.gamma(a).ppf([.05, .2, .4, .6, .8, .95])])
for a, b in ((.01, .01), (.2, .2), (1., 1.), (2., 5.)): cdf(f"beta_cdf_{str(a).replace('.', '_')}_{str(b).replace('.', '_')}", st.beta(a, b), [1e-6, .01, .1, .3, .5, .7, .9, .99])
