#!/usr/bin/env python3
"""Writes retrieval.npz and retrieval.lua: neighbours by faiss, measures by pytorch-metric-learning, torchmetrics and scikit-learn, on random rows (integers far
apart, so that float32 distances are exact and nothing ties but what is said to). Run in tests/golden; for tests/lua/test_retrieval.lua."""
import numpy as np, faiss, torch, sklearn, torchmetrics, pytorch_metric_learning
from sklearn.metrics import ndcg_score, average_precision_score
from sklearn.neighbors import KNeighborsClassifier
from torchmetrics.functional.retrieval import retrieval_average_precision, retrieval_recall, retrieval_precision, retrieval_hit_rate, retrieval_r_precision, retrieval_reciprocal_rank, retrieval_normalized_dcg
from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator
from pytorch_metric_learning.utils.inference import FaissKNN
n, m, d, classes = 200, 60, 12, 9
square = lambda a, b: ((a[:, None].astype(np.float64) - b[None].astype(np.float64)) ** 2).sum(2)
ties = lambda v: any(len(np.unique(row)) < len(row) for row in v)
for seed in range(10000):  # until no two rows tie for a query
    rng = np.random.default_rng(seed)
    centres = rng.integers(-200, 200, (classes, d))
    y = rng.integers(0, classes, n); x = (centres[y] + rng.integers(-400, 401, (n, d))).astype(np.float32)
    qy = rng.integers(0, classes + 1, m); q = (centres[qy % classes] + rng.integers(-400, 401, (m, d))).astype(np.float32)  # class 9 has no match
    if not ties(square(x, x)) and not ties(square(q, x)) and square(x, x).max() < 2**24: break
out = {}
def put(name, value): out[name] = float(value)
def expect(prefix, values, labels, gallery_labels, own):
    """values: smaller nearer; torchmetrics ranks by the larger score, and leaves out what is not above 0."""
    rows = []
    for i in range(len(values)):
        keep = np.arange(values.shape[1]) != i if own else np.ones(values.shape[1], bool)
        score, target = torch.tensor(2.**24 - values[i][keep]), torch.tensor(gallery_labels[keep] == labels[i])
        if not target.any(): continue
        row = [retrieval_reciprocal_rank(score, target), retrieval_r_precision(score, target), retrieval_average_precision(score, target),
               ndcg_score(target.numpy()[None].astype(float), score.numpy()[None])]
        for k in (1, 5, 10):
            row += [retrieval_hit_rate(score, target, top_k=k), retrieval_precision(score, target, top_k=k), retrieval_recall(score, target, top_k=k),
                    retrieval_average_precision(score, target, top_k=k), retrieval_normalized_dcg(score, target, top_k=k)]
        rows.append([float(v) for v in row])
    mean = np.mean(rows, 0)
    for name, v in zip(["mrr", "r_precision", "map", "ndcg_full"] + [f"{w}_{k}" for k in (1, 5, 10) for w in ("recall", "precision", "hit_share", "ap_hits", "ndcg")], mean): put(f"{prefix}_{name}", v)
expect("own", square(x, x), y, y, True)
expect("apart", square(q, x), qy, y, False)
def pml(prefix, *a, ref_includes_query, k):
    calc = AccuracyCalculator(include=("precision_at_1", "r_precision", "mean_average_precision_at_r", "mean_average_precision", "mean_reciprocal_rank"), k=k, knn_func=FaissKNN(index_init_fn=faiss.IndexFlatL2), device=torch.device("cpu"))
    r = calc.get_accuracy(*a, ref_includes_query=ref_includes_query)
    for name, v in r.items(): put(f"{prefix}_pml_{name}_{k or 'all'}", v)
T = torch.tensor
for k in ("max_bin_count", 5): pml("own", T(x), T(y), T(x), T(y), ref_includes_query=True, k=k)
for k in ("max_bin_count", 5): pml("apart", T(q), T(qy), T(x), T(y), ref_includes_query=False, k=k)
index = faiss.IndexFlatL2(d); index.add(x); dist, near = index.search(q, 10)
ip = faiss.IndexFlatIP(d); ip.add(x); product, near_ip = ip.search(q, 10)
p = {w: KNeighborsClassifier(7, weights=w, algorithm="brute").fit(x.astype(np.float64), y).predict_proba(q.astype(np.float64)) for w in ("uniform", "distance")}
tied = (rng.integers(0, 3, (60, 2))).astype(np.float32); tied_y = rng.integers(0, 3, 60)          # few values: most ties; sklearn's ndcg takes the mean over them
nd = []
for i in range(60):
    keep = np.arange(60) != i; t = (tied_y[keep] == tied_y[i]).astype(float); s = -square(tied[i:i+1], tied)[0][keep]
    nd.append([ndcg_score(t[None], s[None]), ndcg_score(t[None], s[None], k=5)])
    # the means over random orders of the ties, of measures that no package averages
orders = np.zeros((3000, 5))
for r in range(3000):
    acc = []
    for i in range(60):
        keep = np.flatnonzero(np.arange(60) != i); s = square(tied[i:i+1], tied)[0][keep]
        rel = (tied_y[keep] == tied_y[i])[np.lexsort((rng.random(59), s))]; R = rel.sum(); P = np.cumsum(rel) / np.arange(1, 60)
        acc.append([rel[:5].any(), (P * rel).sum() / R, (P * rel)[:R].sum() / R, 1 / (np.argmax(rel) + 1), (P * rel)[:5].sum() / min(R, 5)])
    orders[r] = np.mean(acc, 0)
put("tied_ndcg_full", np.mean(nd, 0)[0]); put("tied_ndcg_5", np.mean(nd, 0)[1])
for name, v, e in zip(("recall_5", "map", "map_at_r", "mrr", "ap_5"), orders.mean(0), orders.std(0) / np.sqrt(3000)): put("tied_" + name, v); put("tied_" + name + "_error", 5 * e)
np.savez_compressed("retrieval.npz", x=x, y=y, q=q, qy=qy, distances=np.sqrt(dist), near=near + 1, products=product, near_ip=near_ip + 1, uniform=p["uniform"].astype(np.float32), distance=p["distance"].astype(np.float32), tied=tied, tied_y=tied_y)
with open("retrieval.lua", "w") as f:
    f.write(f"-- faiss {faiss.__version__}, pytorch-metric-learning {pytorch_metric_learning.__version__}, torchmetrics {torchmetrics.__version__}, scikit-learn {sklearn.__version__}; made by retrieval.py\nreturn {{\n")
    for name in sorted(out): f.write(f"  {name} = {out[name]!r},\n")
    f.write("}\n")
