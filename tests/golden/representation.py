# Geometry, clustering, linear probe: numbers of scikit-learn, torchmetrics, PyTorch, and of the definitions written out pair by pair in NumPy. SPDX-License-Identifier: MIT
# python tests/golden/representation.py tests/golden/representation.npz > tests/golden/representation.lua
import sys
import numpy as np, scipy, sklearn, torch, torchmetrics
import torchmetrics.clustering as tc
from scipy.spatial.distance import pdist, squareform
from sklearn import metrics as sk
from sklearn.cluster import KMeans
torch.set_default_dtype(torch.float64) # in float32 the AMI of torchmetrics, exponentials of differences of lgamma, is off by up to 4e-6
from sklearn.linear_model import LogisticRegression

rng = np.random.default_rng(5)
f32 = lambda x: np.ascontiguousarray(x, np.float32)

def blobs(n, d, classes, spread, offset=0.0, sizes=None, scale=1.0):
    centres = rng.normal(size=(classes, d))
    y = np.repeat(np.arange(classes), sizes) if sizes is not None else np.arange(n) % classes
    return f32((centres[y] + spread * rng.normal(size=(len(y), d))) * scale + offset), y

cases = {}
cases["gaussian"] = blobs(150, 8, 5, 1.0)
cases["tight"] = blobs(120, 10, 4, 1e-3)
cases["offset"] = blobs(120, 6, 3, 0.5, offset=1000.0)
cases["tiny"] = blobs(90, 5, 3, 0.3, scale=1e-12)
cases["huge"] = blobs(90, 5, 3, 0.3, scale=1e15)
cases["wide"] = blobs(24, 60, 4, 1.0)                     # more columns than rows
cases["uneven"] = blobs(0, 7, 5, 0.8, sizes=[1, 2, 5, 40, 70])
cases["alone"] = blobs(12, 20, 12, 1.0)                   # one row a class
cases["two"] = blobs(60, 3, 2, 2.0)
x, y = blobs(80, 4, 4, 1.0); x[40:] = x[:40]; y[40:] = y[:40]; x[:, 2] = 7
cases["duplicates"] = (x, y)                              # each row twice, a constant column
x, y = blobs(100, 6, 4, 0.7); cases["heavy"] = (f32(x * np.exp(2 * rng.normal(size=(100, 1)))), y)

def direct(x, y):
    """Pair by pair, as the definitions read."""
    x = x.astype(np.float64); names = np.unique(y); K = len(names); n = len(y); out = {}
    u = x / np.sqrt((x ** 2).sum(1, keepdims=True))
    D = np.maximum(0, ((u[:, None] - u[None]) ** 2).sum(2) / 2) # 1 - cos, without cancellation
    block = np.array([[D[np.ix_(y == a, y == b)].mean() for b in names] for a in names])
    out["within"] = np.diag(block).mean(); out["total"] = block.mean()
    out["between"] = block[~np.eye(K, dtype=bool)].mean(); out["class_separation"] = 1 - out["within"] / out["total"]
    mu = np.array([x[y == k].mean(0) for k in names]); g = mu.mean(0); r = x - mu[np.searchsorted(names, y)]
    Sw = r.T @ r / n; Sb = (mu - g).T @ (mu - g) / K
    out["within_trace"], out["between_trace"] = np.trace(Sw), np.trace(Sb); out["trace_ratio"] = np.trace(Sw) / np.trace(Sb)
    var = np.array([(r[y == k] ** 2).sum(1).mean() for k in names])
    out["cdnv"] = np.mean([(var[a] + var[b]) / (2 * ((mu[a] - mu[b]) ** 2).sum()) for a in range(K) for b in range(K) if a != b])
    same = (y[:, None] == y[None]) & ~np.eye(n, dtype=bool)
    out["alignment"] = 2 * D[same].mean() if same.any() else 0.0
    out["uniformity"] = np.log(np.exp(-2 * pdist(u) ** 2).mean())
    def erank(s): p = s[s > 0] / s.sum(); return np.exp(-(p * np.log(p)).sum())
    c = x - x.mean(0); s = np.linalg.svd(c, compute_uv=False)[: max(1, min(n - 1, x.shape[1]))]
    out["effective_rank"] = erank(np.linalg.svd(x, compute_uv=False)); out["effective_rank_centred"] = erank(s)
    out["participation_ratio"] = (s ** 2).sum() ** 2 / (s ** 4).sum(); out["norm"] = np.sqrt((x ** 2).sum(1)).mean()
    return out

def collapse(x, y, W, b):
    x = x.astype(np.float64); W = W.astype(np.float64); K = len(np.unique(y)); n = len(y)
    mu = np.array([x[y == k].mean(0) for k in range(K)]); M = mu - mu.mean(0); r = x - mu[y]
    e, V = np.linalg.eigh(M.T @ M / K); keep = np.argsort(e)[::-1][: min(K - 1, x.shape[1])]
    out = {"nc1": sum(V[:, j] @ (r.T @ r / n) @ V[:, j] / e[j] for j in keep) / K}
    def simplex(R):
        l = np.sqrt((R ** 2).sum(1)); C = (R / l[:, None]) @ (R / l[:, None]).T
        return l.std() / l.mean(), np.abs(C + 1 / (K - 1))[~np.eye(K, dtype=bool)].mean()
    out["nc2_norms"], out["nc2_angles"] = simplex(M); out["nc2_weight_norms"], out["nc2_weight_angles"] = simplex(W)
    out["nc3"] = ((W / np.linalg.norm(W) - M / np.linalg.norm(M)) ** 2).sum()
    near = ((x[:, None] - mu[None]) ** 2).sum(2).argmin(1); out["nc4"] = ((x @ W.T + b).argmax(1) != near).mean()
    return out

arrays, lua = {}, []
def put(path, table):
    lua.append(f"  [{path!r}] = {{ " + ", ".join(f"{k} = {float(v)!r}" for k, v in table.items()) + " },")
def text(v): return "{ " + ", ".join(str(int(i)) for i in v) + " }"

for name, (x, y) in cases.items():
    arrays[name + "_x"] = x; arrays[name + "_y"] = y
    K = len(np.unique(y)); x64 = x.astype(np.float64); u = x64 / np.sqrt((x64 ** 2).sum(1, keepdims=True))
    put(name + "/geometry/NumPy", direct(x, y))
    W = f32(rng.normal(size=(K, x.shape[1]))); b = f32(rng.normal(size=K)); arrays[name + "_w"] = W; arrays[name + "_b"] = b
    put(name + "/neural_collapse/NumPy", collapse(x, y, W, b.astype(np.float64)))
    if K < len(y):
        c64 = x64 - x64.mean(0) # scikit-learn's expanded squares lose the digits of an offset
        put(name + "/silhouette/scikit-learn", {"cosine": sk.silhouette_score(x64, y, metric="cosine"), "euclidean": sk.silhouette_score(c64, y)})
    starts = f32(x64[rng.permutation(len(y))[:K]]); arrays[name + "_starts"] = starts
    for metric, p, s in (("euclidean", x64 - x64.mean(0), starts - x64.mean(0)), ("cosine", u, starts / np.sqrt((starts.astype(np.float64) ** 2).sum(1, keepdims=True)))):
        if metric == "cosine": arrays[name + "_unit_starts"] = f32(s); s = f32(s).astype(np.float64)
        km = KMeans(K, init=s, n_init=1, tol=0, max_iter=300, algorithm="lloyd").fit(p)
        arrays[f"{name}_{metric}_clusters"] = km.labels_.astype(np.int64)
        put(f"{name}/kmeans {metric}/scikit-learn", {"inertia": km.inertia_, "best": min(KMeans(K, n_init=10, tol=0, random_state=i).fit(p).inertia_ for i in range(5))})

# pairs of partitions
def partition(n, k): return rng.integers(0, k, n)
pairs = {"random": (partition(200, 5), partition(200, 7)), "equal": (np.arange(60) % 4, (np.arange(60) % 4 + 1) * 9), "one": (np.zeros(20, int), np.zeros(20, int)),
         "one_and_many": (np.zeros(30, int), partition(30, 3)), "singletons": (np.arange(15), np.arange(15)), "singletons_and_few": (np.arange(40), partition(40, 3)),
         "uneven": (np.repeat([0, 1, 2], [1, 5, 94]), partition(100, 4)), "negative": (partition(50, 3) - 5, partition(50, 3) * 10 ** 12)}
a = np.repeat(np.arange(6), 30); b = a.copy(); b[rng.permutation(180)[:30]] = rng.integers(0, 6, 30); pairs["near"] = (a, b)
for name, (a, b) in pairs.items():
    arrays[f"pair_{name}_a"], arrays[f"pair_{name}_b"] = a.astype(np.int64), b.astype(np.int64)
    h, c, v = sk.homogeneity_completeness_v_measure(a, b)
    put(f"{name}/agreement/scikit-learn", {"nmi": sk.normalized_mutual_info_score(a, b), "ami": sk.adjusted_mutual_info_score(a, b), "ari": sk.adjusted_rand_score(a, b),
        "homogeneity": h, "completeness": c, "v_measure": v, "mutual_information": sk.mutual_info_score(a, b)})
    ta, tb = torch.tensor(np.unique(a, return_inverse=True)[1]), torch.tensor(np.unique(b, return_inverse=True)[1])
    put(f"{name}/agreement/torchmetrics", {"nmi": tc.NormalizedMutualInfoScore()(tb, ta), "ari": tc.AdjustedRandScore()(tb, ta), "homogeneity": tc.HomogeneityScore()(tb, ta),
        "completeness": tc.CompletenessScore()(tb, ta), "v_measure": tc.VMeasureScore()(tb, ta), "ami": tc.AdjustedMutualInfoScore()(tb, ta)})

# linear CKA through the centred Gram matrices (Kornblith et al. 2019, HSIC), also where columns outnumber rows
def cka(a, b):
    a, b = a.astype(np.float64), b.astype(np.float64); n = len(a); H = np.eye(n) - 1 / n
    K, L = H @ (a - a.mean(0)) @ (a - a.mean(0)).T @ H, H @ (b - b.mean(0)) @ (b - b.mean(0)).T @ H
    return (K * L).sum() / np.sqrt((K * K).sum() * (L * L).sum())
for name in ("gaussian", "wide", "offset", "huge", "tiny", "two"):
    x = cases[name][0]; other = f32(np.tanh(x.astype(np.float64) / np.abs(x).max()) @ rng.normal(size=(x.shape[1], 9))); arrays[f"cka_{name}"] = other
    put(f"{name}/cka/NumPy", {"cka": cka(x, other)})

# the probe: scikit-learn's C is 1/(n l2); its standardisation apart
for name, l2 in (("gaussian", 0.01), ("offset", 0.1), ("wide", 0.5), ("duplicates", 0.001), ("two", 0.02)):
    x, y = cases[name]; x = x.astype(np.float64); half = np.arange(len(y)) % 7 != 0
    m, s = x[half].mean(0), x[half].std(0); s[s == 0] = 1; p = (x - m) / s
    two = 2 if len(np.unique(y)) == 2 else 1 # one row of weights for two classes: w where we have w/2 and -w/2
    lr = LogisticRegression(C=two / (l2 * half.sum()), tol=1e-12, max_iter=100000, solver="newton-cg").fit(p[half], y[half])
    put(f"{name}/probe/scikit-learn", {"l2": l2, "accuracy": lr.score(p[~half], y[~half]), "nll": sk.log_loss(y[~half], lr.predict_proba(p[~half]), labels=lr.classes_), "weight": np.abs(lr.coef_ / s).max() / two})

# logits and Müller's plane
z = f32(rng.normal(size=(50, 6)) * 3); zy = rng.integers(0, 6, 50); arrays["logits"], arrays["logits_y"] = z, zy
z = z.astype(np.float64); rows = np.arange(50); wrong = np.where(np.eye(6, dtype=bool)[zy], np.nan, z)
put("logits/logits/NumPy", {"norm": np.linalg.norm(z, axis=1).mean(), "centred_norm": np.linalg.norm(z - z.mean(1, keepdims=True), axis=1).mean(), "true_gap": (z[rows, zy] - z.mean(1)).mean(),
    "top_gap": (z.max(1) - z.mean(1)).mean(), "margin": (z[rows, zy] - np.nanmax(wrong, 1)).mean(), "top_margin": (np.sort(z)[:, -1] - np.sort(z)[:, -2]).mean(), "deviation": np.nanstd(wrong, 1).mean()})
x = cases["gaussian"][0].astype(np.float64); w = arrays["gaussian_w"].astype(np.float64)
q, _ = np.linalg.qr(np.array([w[1] - w[0], w[3] - w[0]]).T); q *= np.sign(q.T @ np.array([w[1] - w[0], w[3] - w[0]]).T).diagonal()
arrays["projection"] = f32((x - w[0]) @ q)
draws = f32(rng.normal(size=(40, 25)) + rng.normal(size=(40, 1))); arrays["draws"] = draws; d = draws.astype(np.float64); mu = d.mean(1); s2 = ((d - mu[:, None]) ** 2).mean()
put("draws/mutual_information/NumPy", {"value": (-(d - mu[:, None]) ** 2 / (2 * s2) - np.log(np.exp(-(d[:, :, None] - mu) ** 2 / (2 * s2)).mean(2))).mean()})

np.savez_compressed(sys.argv[1], **arrays)
print(f"-- numpy {np.__version__}, scipy {scipy.__version__}, scikit-learn {sklearn.__version__}, torch {torch.__version__}, torchmetrics {torchmetrics.__version__}; made by representation.py")
print("-- case/measure/peer → numbers\nreturn {"); print("\n".join(lua).replace("= nan", "= 0/0").replace("'", '"')); print("}")
