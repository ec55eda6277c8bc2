#!/usr/bin/env python3
"""Fits the coefficients of core/kernels/math_tmpl.h and vectors_tmpl.h and prints them with their error (needs numpy, mpmath).

Weighted least squares at Chebyshev nodes, reweighted by the error a few times (Lawson), which comes close to the minimax
polynomial; the rational erf by the Sanathanan-Koerner iteration."""
import numpy as np, mpmath as mp
mp.mp.dps = 40
def nodes(a, b, n=2000): return (a + b) / 2 + (b - a) / 2 * np.cos(np.pi * (np.arange(n) + .5) / n)
def lawson(A, f, w, rounds=30):
    l = np.ones(len(f))
    for _ in range(rounds):
        s = np.sqrt(l) * w
        c = np.linalg.lstsq(A * s[:, None], f * s, rcond=None)[0]
        e = np.abs((A @ c - f) * w); l = l * (e + 1e-3 * e.max()); l /= l.sum()
    return c, e.max()
def show(name, c, e): print(f"{name}: max error {e:.2e}\n  " + ", ".join(f"{np.float32(v):.9g}f" for v in c))
def vec(f, x): return np.array([float(f(mp.mpf(float(v)))) for v in x])
# exp(r) = 1 + r + r^2 P(r), |r| <= ln2/2
x = nodes(-.34658, .34658); x = x[np.abs(x) > 1e-9]
c, e = lawson(np.vander(x, 5, increasing=True) * (x**2)[:, None], vec(lambda v: mp.e**v - 1 - v, x), np.exp(-x)); show("exp", c, e)
# exp(r) = 1 + r P(r), |r| <= ln2/2
c, e = lawson(np.vander(x, 5, increasing=True) * x[:, None], vec(lambda v: mp.e**v - 1, x), np.exp(-x)); show("exp near", c, e)
# exp(r) = 1 + r P(r), |r| <= ln2/64 (core/kernels/evaluation_tmpl.c: beside a table of 2^(j/32))
x = nodes(-.0108305, .0108305)
c, e = lawson(np.vander(x, 2, increasing=True) * x[:, None], vec(lambda v: mp.e**v - 1, x), np.exp(-x)); show("exp of a 32nd", c, e)
# log(1+f) = f - f^2/2 + f^3 P(f), f in [sqrt(1/2)-1, sqrt(2)-1]
x = nodes(2**-.5 - 1, 2**.5 - 1); x = x[np.abs(x) > 1e-6]
c, e = lawson(np.vander(x, 8, increasing=True) * (x**3)[:, None], vec(lambda v: mp.log(1 + v) - v + v * v / 2, x), 1 / np.abs(np.log1p(x))); show("log", c, e)
# tanh(x) = x + x^3 P(x^2), |x| <= .625
x = nodes(1e-3, .625)
c, e = lawson(np.vander(x**2, 5, increasing=True) * (x**3)[:, None], vec(lambda v: mp.tanh(v) - v, x), 1 / np.tanh(x)); show("tanh", c, e)
# erf(x) = x P(x^2) / Q(x^2), Q(0) = 1, |x| <= 3.92 (where it rounds to 1)
x = nodes(1e-3, 3.92); f = vec(mp.erf, x); t = x**2; m, n = 6, 5
w = np.ones(len(x)); lw = np.ones(len(x))
for _ in range(60):
    A = np.hstack([np.vander(t, m, increasing=True) * x[:, None], -(np.vander(t, n + 1, increasing=True)[:, 1:]) * f[:, None]])
    s = w * np.sqrt(lw) / f
    scale = np.abs(A * s[:, None]).max(0); c = np.linalg.lstsq(A * s[:, None] / scale, f * s, rcond=None)[0] / scale
    Q = 1 + np.vander(t, n + 1, increasing=True)[:, 1:] @ c[m:]; P = np.vander(t, m, increasing=True) @ c[:m]
    w = 1 / Q; err = np.abs(x * P / Q - f) / f; lw = lw * (err + 1e-3 * err.max()); lw /= lw.sum()
show("erf P", c[:m], err.max()); show("erf Q", np.concatenate([[1], c[m:]]), err.max())
