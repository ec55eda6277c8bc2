# Paired tests and intervals of scipy. SPDX-License-Identifier: MIT
# python tests/golden/intervals.py > tests/golden/intervals.lua
import numpy as np, scipy, scipy.stats as st
rng = np.random.default_rng(11)
np.set_printoptions(legacy="1.25")
T = lambda v: "{ " + ", ".join(repr(float(x)) for x in v) + " }"
out = []
samples = {"normal": rng.normal(0.4, 1, 25).round(4), "few": rng.normal(0.5, 1, 6).round(3), "ties": rng.integers(-3, 5, 12).astype(float), "zeros": np.array([0, 0, 1, -2, 3, 4, 0, 5, 5, -1.]),
           "many": rng.normal(0.05, 1, 400).round(5), "many_ties": rng.integers(-4, 6, 300).astype(float), "skewed": rng.exponential(1, 40).round(4) - 0.7, "one": np.array([2.0]), "binary": (rng.random(60) < .3).astype(float)}
for name, x in samples.items():
    rows = []
    for zero in ("wilcox", "pratt"):
        for alt in ("two-sided", "greater", "less"):
            used = int((x != 0).sum()) if zero == "wilcox" else len(x)
            exact = used <= 100
            if not exact: r = st.wilcoxon(x, zero_method=zero, alternative=alt, correction=False, method="approx"); p = r.pvalue
            elif zero == "wilcox" and len(np.unique(np.abs(x))) == len(x) and (x != 0).all(): p = st.wilcoxon(x, alternative=alt, method="exact").pvalue
            else: # all signs of the ranks at hand, counted one by one
                d = x if zero == "pratt" else x[x != 0]; r = st.rankdata(np.abs(d)); r = np.where(d == 0, 0, r); nz = r[d != 0]
                if len(nz) > 20: continue
                signs = (np.arange(2 ** len(nz))[:, None] >> np.arange(len(nz))) & 1; sums = signs @ nz; plus = nz[d[d != 0] > 0].sum(); minus = nz.sum() - plus
                g, l = (sums >= plus - 1e-9).mean(), (sums >= minus - 1e-9).mean(); p = {"greater": g, "less": l, "two-sided": min(1, 2 * min(g, l))}[alt]
            rows.append(f'{{ "{zero}", "{alt.replace("-", "_")}", {float(p)!r} }}')
    boots = []
    if len(x) >= 20:
        for stat, f in (("mean", np.mean), ("median", np.median), ("deviation", lambda v: np.std(v, ddof=1))):
            res = st.bootstrap((x,), f, n_resamples=499, method="percentile", rng=np.random.default_rng(3), vectorized=False)
            jack = [f(np.delete(x, i)) for i in range(len(x))]
            if np.isnan(st.bootstrap((x,), f, n_resamples=0, bootstrap_result=res, method="BCa", vectorized=False).confidence_interval.low): continue # scipy has none
            for method in ("BCa", "percentile", "basic"):
                for level in (.95, .8):
                    ci = st.bootstrap((x,), f, n_resamples=0, bootstrap_result=res, method=method, confidence_level=level, vectorized=False).confidence_interval
                    if np.isnan(ci.low): continue
                    boots.append(f'{{ "{stat}", "{method.lower()}", {level}, {float(ci.low)!r}, {float(ci.high)!r}, {float(f(x))!r}, {T(res.bootstrap_distribution) if method == "BCa" and level == .95 else "false"}, {T(jack) if method == "BCa" and level == .95 else "false"} }}')
    ti = st.t.interval(.9, len(x) - 1, x.mean(), x.std(ddof=1) / np.sqrt(len(x))) if len(x) > 1 else (0, 0)
    out.append(f'  {name} = {{ x = {T(x)}, wilcoxon = {{ {", ".join(rows)} }}, t = {T(ti)},\n    bootstrap = {{ {", ".join(boots)} }} }},')
print(f"-- numpy {np.__version__}, scipy {scipy.__version__}; made by intervals.py")
print("return { samples = {\n" + "\n".join(out) + "\n},")
rows = []
for k, n, p in ((3, 15, .1), (0, 10, .5), (10, 10, .5), (7, 20, .5), (10, 20, .5), (51, 235, 1 / 6), (1, 1000, .002), (500300, 1000000, .5), (4, 9, 0.), (9, 9, 1.), (12, 100, .1), (20, 30, .9), (1, 2, .5), (300, 1000, .31)):
    rows.append(f"{{ {k}, {n}, {p!r}, " + ", ".join(repr(float(st.binomtest(k, n, p, alternative=a).pvalue)) for a in ("two-sided", "greater", "less")) + " }")
print("binomial = {\n  " + ",\n  ".join(rows) + " },")
rows = []
for k, n in ((0, 10), (10, 10), (3, 15), (912, 1000), (1, 1), (500, 1000000)):
    r = st.binomtest(k, n)
    for level in (.95, .99):
        w, e = r.proportion_ci(level, "wilson"), r.proportion_ci(level, "exact")
        rows.append(f"{{ {k}, {n}, {level}, {float(w.low)!r}, {float(w.high)!r}, {float(e.low)!r}, {float(e.high)!r} }}")
print("proportion = {\n  " + ",\n  ".join(rows) + " },")
rows = []
for b, c in ((10, 25), (0, 5), (5, 0), (7, 7), (0, 0), (59, 6), (121, 100), (1, 2)):
    n, k = b + c, min(b, c)
    exact = st.binomtest(k, n).pvalue if n else 1.0
    mid = 1.0 if b == c else exact - st.binom.pmf(k, n, .5)  # Fagerland et al. 2013, equation 6
    rows.append(f"{{ {b}, {c}, {float(exact)!r}, {float(mid)!r} }}")
print("mcnemar = { " + ", ".join(rows) + " },")
p = rng.random(40) ** 3; p[5] = p[6]
print(f"p = {T(p)}, benjamini_hochberg = {T(st.false_discovery_control(p))},")
m = len(p); o = np.argsort(p, kind="stable"); h = np.empty(m); h[o] = np.minimum(1, np.maximum.accumulate((m - np.arange(m)) * p[o])); print(f"holm = {T(h)},")
print("normal = { " + ", ".join(f"{{ {q!r}, {float(st.norm.ppf(q))!r} }}" for q in (1e-300, 1e-20, 1e-9, .001, .025, .3, .5, .7, .975, .999999)) + " } }")
