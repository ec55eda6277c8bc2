-- Clustering: how well the classes are found again in a representation. SPDX-License-Identifier: MIT
local c        = require "lsengine.c.clustering"
local geometry = require "lsengine.geometry"
local cgeometry = require "lsengine.c.geometry"
local clabels  = require "lsengine.c.labels"
local public   = require "lsengine.public"
local provenance = require "lsengine.provenance"

local metric = { type = "string", default = "cosine", choices = { "cosine", "euclidean" }, doc = "cosine: rows at unit length, distance 1 - cos; euclidean: rows as they are" }
local sample = { type = "integer", default = 2000, min = 2, max = 2^31 - 1, doc = "rows that the silhouette is taken of, drawn without replacement where there are more; their number makes it exact" }
local features = { "features", type = "tensor", doc = "N×D, a row for each example" }
local labels = { "labels", type = "labels", doc = "N classes, any integers" }

public("ls.eval.silhouette", {
  page = "representation",
  doc = [[Mean of (b-a)/max(a,b), -1 … 1: a the mean distance of a row to the others of its class, b the least mean distance to those of another class; 0 for a row
alone in its class (Rousseeuw 1987). O(sample²·D)]],
  errors = "fewer than 2 classes among the rows, a NaN or infinite number, with cosine a row of zeros", returns = "a number",
  example = "print(ls.eval.silhouette(embeddings, embedding_labels, { metric = \"euclidean\" }))", features, labels,
  options = { metric = metric, sample = sample, rng = { type = "rng", doc = "where the sample comes from: its stream \"silhouette\"; without it, that of seed 0" } },
}, function(x, y, o)
  x, y = geometry.sample(x, clabels.from(y), o.sample, geometry.stream(o.rng, "silhouette"))
  return c.silhouette(x, y, o.metric)
end)

local restarts = { type = "integer", default = 10, min = 1, max = 10000, doc = "runs from centres of their own; the one of least inertia is kept" }
local iterations = { type = "integer", default = 300, min = 1, max = 1000000, doc = "of a run, at most" }

public("ls.eval.kmeans", {
  page = "representation",
  doc = [[k-means: Lloyd's algorithm from greedy k-means++ centres. Each restart draws from a stream of its own, so that the result depends on neither threads nor the
other restarts; ties go to the lower cluster; a cluster that loses all rows takes the one farthest from its centre. O(N·D·clusters) an iteration.]],
  errors = "more clusters than rows, a NaN or infinite number, with cosine a row of zeros",
  returns = [[a table: labels (the cluster of each row, from 0), centres (a tensor; of cosine, means of unit vectors), inertia (sum of squared distances), iterations,
converged]],
  example = "local found = ls.eval.kmeans(embeddings, 3)\nprint(found.inertia, found.labels)", features,
  { "clusters", type = "integer", min = 1, max = 2^31 - 1, doc = "how many, at most N" },
  options = {
    metric = metric, restarts = restarts, iterations = iterations,
    starts = { type = "tensor", doc = "clusters×D: centres to begin with, for one run" },
    rng    = { type = "rng", doc = "where the first centres come from: its stream \"k-means\"; without it, that of seed 0" },
  },
}, function(x, clusters, o)
  local found, centres, inertia, runs, converged = c.kmeans(x, clusters, o.metric, o.starts and 1 or o.restarts, o.iterations, geometry.stream(o.rng, "k-means"), o.starts)
  return { labels = found, centres = centres, inertia = inertia, iterations = runs, converged = converged }
end)

public("ls.eval.agreement", {
  page = "representation",
  doc = [[Agreement of two partitions of the same rows: nmi (mutual information over the arithmetic mean of the entropies), ami (less what random labels of these sizes
have: Vinh et al. 2010), ari (adjusted Rand index), homogeneity, completeness and v_measure (of b as clusters of the classes a), mutual_information, entropy_a
and entropy_b in nats. 1 is perfect; ami and ari are 0 on average for random labels and can be below; nmi is above 0 for them. Two partitions of one part each
agree. O(N·classes)]],
  errors = "numbers of labels that differ, none at all", returns = "a flat table of numbers",
  example = "print(ls.eval.agreement({ 0, 0, 1, 1 }, { 5, 5, 7, 7 }).ari)   -- 1",
  { "a", type = "labels", doc = "the classes, any integers" }, { "b", type = "labels", doc = "the clusters, any integers" },
}, function(a, b) return c.agreement(a, b) end)

return public("ls.eval.clustering", {
  page = "representation",
  doc = [[How well the classes are found again in a representation: class_separation, within, between and total (as ls.eval.geometry), silhouette, and of a k-means
clustering against the labels nmi, ami, ari, homogeneity, completeness and v_measure, with its inertia and converged (1 or 0); classes, clusters.
O(N·D·clusters·iterations + sample²·D).]],
  errors = "fewer than 2 classes, a row of zeros, a NaN or infinite number, more clusters than rows", returns = "a flat table of numbers",
  example = "local clusters = ls.eval.clustering(embeddings, embedding_labels)\nprint(clusters.class_separation, clusters.silhouette, clusters.nmi)", features, labels,
  options = {
    metric = metric, restarts = restarts, iterations = iterations, sample = sample,
    clusters = { type = "integer", min = 1, max = 2^31 - 1, doc = "of k-means; the number of classes unless said" },
    rng = { type = "rng", doc = "its stream \"clustering\" feeds the sample (\"silhouette\") and k-means (\"k-means\"); without it, that of seed 0" },
  },
}, function(x, y, o)
  y = clabels.from(y)
  provenance.check_embedding(x)
  local stream = geometry.stream(o.rng, "clustering")
  local g = cgeometry.scatter(x, y)
  if g.classes < 2 then public.raise("clustering", "labels hold one class, at least 2 are required") end
  local some, some_labels = geometry.sample(x, y, o.sample, geometry.stream(stream, "silhouette"))
  local clusters = o.clusters or math.tointeger(g.classes)
  local found, _, inertia, _, converged = c.kmeans(x, clusters, o.metric, o.restarts, o.iterations, geometry.stream(stream, "k-means"), nil)
  local result = c.agreement(y, found)
  result.mutual_information, result.entropy_a, result.entropy_b = nil, nil, nil
  result.class_separation, result.within, result.between, result.total = g.class_separation, g.within, g.between, g.total
  result.silhouette = c.silhouette(some, some_labels, o.metric)
  result.inertia, result.converged, result.classes, result.clusters = inertia, converged and 1 or 0, math.tointeger(g.classes), clusters
  return result
end)
