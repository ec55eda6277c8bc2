-- Geometry of a representation. SPDX-License-Identifier: MIT
local c      = require "lsengine.c.geometry"
local raw    = require "lsengine.c.tensor"
local random = require "lsengine.c.random"
local clabels = require "lsengine.c.labels"
local public = require "lsengine.public"
local provenance = require "lsengine.provenance"
require "lsengine.labels"
require "lsengine.random"

local geometry = {}

local features = { "features", type = "tensor", doc = "N×D, a row for each example" }
local labels = { "labels", type = "labels", doc = "N classes, any integers" }

-- The stream of a purpose: spawned from the one that is given, or from seed 0.
function geometry.stream(rng, purpose) return random.spawn(rng or random.seed(0), purpose) end

-- At most `most` rows, drawn without replacement from the stream "sample"; all of them untouched where there are no more.
function geometry.sample(x, y, most, stream)
  local n = raw.shape(x)[1] or 0
  if n <= most or y and #y ~= n then return x, y end -- what does not fit is refused by the measure
  local rows = clabels.narrow(random.permutation(stream, n), 1, most)
  return raw.gather(x, rows), y and clabels.gather(y, rows)
end

geometry.geometry = public("ls.eval.geometry", {
  page = "representation",
  doc = [[How the rows of each class lie, by cosine and by Euclid:
- class_separation (R²), within, between, total: of cosine distances 1 - cos, classes with equal weight, pairs of a row with itself included: within is the
mean distance of two rows of a class, between that of rows of two different classes, total that over all pairs of classes, and R² = 1 - within/total, 0 … 1
(Kornblith et al. 2021);
- within_trace, between_trace, trace_ratio: tr Sw = mean |x - mu_y|², tr Sb = mean over classes |mu_k - mu|², mu the mean of the class means, and their ratio.
Traces are in the square of the features' unit: never compare them between models, compare the ratio;
- cdnv: mean over pairs of classes of (v_k + v_l)/(2|mu_k - mu_l|²), v the variance of a class (Galanti et al. 2022);
- alignment: mean squared distance of two different rows of a class at unit length; uniformity: log of the mean of exp(-2|u_i - u_j|²) over all pairs of rows
at unit length (Wang and Isola 2020), of at most `sample` rows; both fall when the representation gets better;
- effective_rank: exp of the entropy of the singular values over their sum (Roy and Vetterli 2007), of the features as they are; effective_rank_centred: of
the features less their mean; participation_ratio: (sum s²)²/sum s⁴ of these, s² the variances along the axes;
- norm: mean length of a row; classes: how many occur.

Features of equal direction have R² 0; with one class R², between and cdnv are 0; where class means coincide trace_ratio and cdnv are infinite (0 where
nothing spreads). O(N·D² + D³ + sample²·D).]],
  errors = "a row of zeros (it has no direction), a NaN or infinite number, fewer than 2 rows", returns = "a flat table of numbers",
  example = "local g = ls.eval.geometry(embeddings, embedding_labels)\nprint(g.class_separation, g.trace_ratio, g.effective_rank)",
  features, labels,
  options = {
    sample = { type = "integer", default = 4000, min = 2, max = 2^31 - 1, doc = "rows that uniformity looks at, drawn without replacement where there are more" },
    rng    = { type = "rng", doc = "where the sample comes from: its stream \"geometry\"; without it, that of seed 0" },
  },
}, function(x, y, o)
  y = clabels.from(y)
  provenance.check_embedding(x)
  local result = c.scatter(x, y)
  local sampled = geometry.sample(x, nil, o.sample, geometry.stream(o.rng, "geometry"))
  result.classes = math.tointeger(result.classes)
  result.uniformity = c.uniformity(sampled, 2)
  result.effective_rank, result.effective_rank_centred, result.participation_ratio = c.effective_rank(x)
  return result
end)

public("ls.eval.uniformity", {
  page = "representation",
  doc = [[log of the mean over pairs of different rows of exp(-t |u_i - u_j|²), u the rows at unit length: 0 where all point the same way, lower the more evenly they
cover the sphere (Wang and Isola 2020). O(N²·D)]],
  errors = "a row of zeros, a NaN or infinite number, fewer than 2 rows", returns = "a number",
  example = "print(ls.eval.uniformity(embeddings, { t = 2 }))", features,
  options = { t = { type = "number", default = 2, above = 0, below = math.huge, doc = "how far a pair reaches" } },
}, function(x, o) return c.uniformity(x, o.t) end)

public("ls.eval.alignment", {
  page = "representation",
  doc = "Mean squared distance of each row to its positive (another view of the same example), both at unit length: 0 … 4 (Wang and Isola 2020, alpha = 2). O(N·D)",
  errors = "shapes that differ, a row of zeros, a NaN or infinite number", returns = "a number",
  example = "print(ls.eval.alignment(embeddings, embeddings * 2))   -- 0: the same directions", features,
  { "positives", type = "tensor", doc = "N×D: row i is the other view of row i of features" },
}, function(x, y) return c.alignment(x, y) end)

public("ls.eval.neural_collapse", {
  page = "representation",
  doc = [[The four measures of neural collapse (Papyan, Han and Donoho 2020), each 0 where it is complete. c_k are the class means less the mean of the class means:
- nc1: tr(Sw pinv(Sb))/K, the pseudo-inverse over the rank of Sb, at most K-1 (`rank`);
- nc2_norms: standard deviation over mean of |c_k|; nc2_angles: mean over pairs of |cos(c_k, c_l) + 1/(K-1)|; with `weight`, the last layer's, also
- nc2_weight_norms, nc2_weight_angles: the same of its rows; nc3: |W/|W| - M/|M||², M the c_k as rows, Frobenius norms, 0 … 4;
- nc4: share of rows whose largest logit is at another class than the nearest class mean (ties to the lower class).

O(N·D·K).]],
  errors = "a NaN or infinite number, fewer than 2 classes, a class mean that is the mean of all, a weight of zeros; with weight, a class without rows",
  returns = "a flat table of numbers", example = "local nc = ls.eval.neural_collapse(embeddings, embedding_labels)\nprint(nc.nc1, nc.nc2_angles)", features, labels,
  options = {
    weight = { type = "tensor", doc = "K×D, row k for class k; labels are then 0 … K-1" },
    bias   = { type = "tensor", doc = "K numbers that are added to the logits, for nc4" },
  },
}, function(x, y, o)
  local result = c.neural_collapse(x, y, o.weight, o.bias)
  result.rank, result.classes = math.tointeger(result.rank), math.tointeger(result.classes)
  return result
end)

public("ls.eval.cka", {
  page = "representation",
  doc = [[Linear centred kernel alignment of two representations of the same rows (Kornblith et al. 2019): |B'A|²/(|A'A|·|B'B|), columns centred, Frobenius norms. 1
where they are equal up to rotation and one factor, 0 where no direction of one follows one of the other; with few rows it is far above 0 for unrelated
features, too: compare with a second seed. O(N·D²)]],
  errors = "numbers of rows that differ, features that are constant, a NaN or infinite number", returns = "a number, 0 … 1",
  example = "print(ls.eval.cka(embeddings, embeddings * 3))   -- 1",
  { "a", type = "tensor", doc = "N×D" }, { "b", type = "tensor", doc = "N×E, row i of the same example" },
}, function(a, b) return c.cka(a, b) end)

public("ls.eval.projection", {
  page = "representation",
  doc = [[The plane of Müller et al. 2019: through the last layer's weights of three classes, at which the rows of these classes are shown. The first axis leads from
the first to the second template. Its figures need the rows of training and test set side by side. O(N·D)]],
  errors = "classes that are not three different ones of the weight, weights on one line, none of the rows of these classes, a NaN or infinite number",
  returns = "a table: points (a tensor M×2), labels (M), rows (their positions from 1), templates (3×2), classes",
  example = "local shown = ls.eval.projection(embeddings, embedding_labels, model[#model].weight, { 0, 1, 2 })\nprint(shown.points:shape()[1], shown.templates)",
  features, labels, { "weight", type = "tensor", doc = "K×D: row k is the template of class k" },
  { "classes", type = "labels", doc = "three different classes" },
}, function(x, y, weight, classes)
  y, classes = clabels.from(y), clabels.from(classes)
  if #classes ~= 3 or classes[1] == classes[2] or classes[1] == classes[3] or classes[2] == classes[3] then
    public.raise("projection", ("classes are %s, three different ones are required"):format(tostring(classes)))
  end
  local n = raw.shape(x)[1] or 0
  if #y ~= n then public.raise("projection", ("there are %d labels but features have %d rows"):format(#y, n)) end
  local rows = {}
  for i = 1, n do if y[i] == classes[1] or y[i] == classes[2] or y[i] == classes[3] then rows[#rows + 1] = i end end
  if #rows == 0 then public.raise("projection", ("no row is of the classes %s"):format(tostring(classes))) end
  rows = clabels.from(rows)
  local points, templates = c.project(raw.gather(x, rows), weight, classes[1], classes[2], classes[3])
  return { points = points, labels = clabels.gather(y, rows), rows = rows, templates = templates, classes = classes }
end)

public("ls.eval.mutual_information", {
  page = "representation",
  doc = [[How much a number that a model computes from an augmented image (the difference of two logits) tells of which image it was, in nats (Müller et al. 2019, §4):
each image's numbers are taken as normal around their mean, with one variance for all. Row i holds the numbers of image i under each augmentation. At most log
N. With few draws the estimate is biased and can be below 0 (-0.14 for five draws that tell nothing): give all 25 shifts by up to two pixels. O(N²·L)]],
  errors = "a NaN or infinite number, fresh draws of another number of rows", returns = "a number, nats",
  example = "print(ls.eval.mutual_information(ls.tensor.randn(20, 25, { rng = rng })))   -- near 0",
  { "draws", type = "tensor", doc = "N×L" },
  options = { fresh = { type = "tensor", doc = "N×M further draws at which the information is taken, as Müller et al. do with one; without them, at the draws themselves" } },
}, function(draws, o) return c.mutual_information(draws, o.fresh) end)

public("ls.eval.logits", {
  page = "representation",
  doc = [[What logits look like, as means over rows: norm |z|, centred_norm |z - mean z|, true_gap z_y - mean z (what smoothing pulls together), top_gap max z - mean z
(what MaxSup pulls together), margin z_y - max of the others (below 0 where the row is wrong), top_margin largest less second largest, deviation: standard
deviation of the wrong classes' logits (near 0 under smoothing). Masked classes (-inf) are left out. O(N·K)]],
  errors = "a label that is no class, a NaN or +inf logit, fewer than 2 classes in a row", returns = "a flat table of numbers",
  example = "local l = ls.eval.logits(logits, labels)\nprint(l.true_gap, l.margin)",
  { "logits", type = "tensor", doc = "N×K" }, { "labels", type = "labels", doc = "N classes, 0 … K-1" },
}, function(z, y) return c.logits(z, y) end)

return geometry
