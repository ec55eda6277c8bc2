-- The parts of a report that judge predictions: each a function that gives a part (page.lua says what that is) and its numbers for
-- programs. SPDX-License-Identifier: MIT
local cfit    = require "lsengine.c.calibrators"
local clabels = require "lsengine.c.labels"
local raw     = require "lsengine.c.tensor"
local plot    = { calibration = require "lsengine.plot_calibration", retrieval = require "lsengine.plot_retrieval" }
local registry = require "lsengine.public".registry
require "lsengine.classification"
require "lsengine.calibration"
require "lsengine.selective"

local parts = {}

local function call(name) return registry[name].entry end

local function number(x)
  if type(x) ~= "number" then return "-" end
  if x ~= x then return "nan" end
  if x == math.huge or x == -math.huge then return x > 0 and "inf" or "-inf" end
  if math.type(x) == "integer" then return ("%d"):format(x) end
  return math.abs(x) >= 1e5 and ("%.4g"):format(x) or ("%.4f"):format(x)
end
parts.number = number

local function interval(low, high) return low and high and ("%s to %s"):format(number(low), number(high)) or nil end

local function keys_of(t)
  local keys = {}
  for k in pairs(t) do keys[#keys + 1] = k end
  table.sort(keys)
  return keys
end

-- The numbers of a result as JSON has them: tables by number become tables by name, tensors tables.
local by_k = { recall = true, precision = true, hit_share = true, ap = true, ndcg = true, top_k = true } -- objects, be their keys 1, 2, 3 or 1, 5

local function plain(value, depth, name)
  if raw.is_tensor(value) then return raw.totable(value) end
  if type(value) ~= "table" then return value end
  local out, list = {}, #value > 0 and not by_k[name]
  for k in next, value do list = list and math.type(k) == "integer" and k >= 1 and k <= #value end
  for k, v in next, value do out[list and k or tostring(k)] = plain(v, (depth or 0) + 1, k) end
  return out
end
parts.plain = plain

-- d: what is judged: z (logits or probabilities), y, probabilities (boolean), names (by class from 0, or nil)
function parts.classification(d)
  local r = call "ls.eval.classification"(d.z, d.y, { probabilities = d.probabilities })
  local measures = {
    { "accuracy", number(r.accuracy), interval(r.accuracy_low, r.accuracy_high), "share of rows whose largest entry is their label; Clopper and Pearson's interval" },
    { "balanced accuracy", number(r.balanced_accuracy), nil, "mean recall of the classes that have rows" },
  }
  for _, k in ipairs(keys_of(r.top_k)) do measures[#measures + 1] = { ("top-%d accuracy"):format(k), number(r.top_k[k]), nil, ("label among the %d largest entries"):format(k) } end
  measures[#measures + 1] = { "NLL", number(r.nll), nil, "mean of -log p of the label, nats" }
  measures[#measures + 1] = { "Brier score", number(r.brier), nil, "mean of Σ (p - [label])², 0 to 2" }
  measures[#measures + 1] = { "macro F1", number(r.macro_f1), nil, "mean over classes" }
  local rows = {}
  for k = 0, r.class_count - 1 do
    local s = r.classes[k]
    rows[#rows + 1] = { d.names and d.names[k] or tostring(k), number(s.count), number(s.precision), number(s.recall), number(s.f1), number(s.nll) }
  end
  local part = { name = "classification", title = "Classification", measures = measures,
    tables = { { columns = { "class", "rows", "precision", "recall", "F1", "NLL" }, rows = rows, folded = ("by class (%d)"):format(r.class_count) } } }
  if r.confusion then
    part.figures = { { call "ls.plot.confusion"(r.confusion, { class_names = d.names }), "Confusion matrix: rows are labels, columns predictions; colours are shares of a row, errors orange. Of many classes, those with the most errors." } }
  end
  local json = plain(r)
  json.classes, json.murphy = {}, r.murphy
  for k = 0, r.class_count - 1 do
    json.classes[k + 1] = plain(r.classes[k])
    json.classes[k + 1].class, json.classes[k + 1].name = k, d.names and d.names[k] or nil
  end
  return part, json, r
end

local function bins_table(c, caption)
  local rows = {}
  for _, b in ipairs(c.bins) do
    if b.count > 0 then rows[#rows + 1] = { ("%.4f - %.4f"):format(b.low, b.high), number(b.count), number(b.confidence), number(b.accuracy), interval(b.accuracy_low, b.accuracy_high) } end
  end
  return { columns = { "bin", "rows", "confidence", "accuracy", "95 % interval" }, rows = rows, folded = caption }
end

-- Logits divided by a temperature that the other half of the rows was fitted on: odd and even rows take turns.
local function cross_fitted(d)
  local n = raw.size(d.z, 1)
  if n < 40 then return nil end
  local z = d.probabilities and raw.log(raw.maximum(d.z, 2.0^-149)) or d.z
  local halves, fitted = { {}, {} }, {}
  for i = 1, n do table.insert(halves[2 - i % 2], i) end
  for h = 1, 2 do fitted[h] = cfit.fit_temperature(raw.gather(z, halves[h]), clabels.gather(d.y, clabels.from(halves[h])), false) end
  local factors = {}
  for i = 1, n do factors[i] = { 1 / fitted[i % 2 == 1 and 2 or 1] } end
  return raw.mul(z, raw.from(factors)), fitted
end

function parts.calibration(d)
  local r = call "ls.eval.calibration"(d.z, d.y, { probabilities = d.probabilities })
  local measures = {
    { "mean confidence", number(r.confidence), nil, "mean of the largest probability" },
    { "confidence - accuracy", ("%+.4f"):format(r.confidence_gap), nil, r.confidence_gap > 0 and "overconfident" or "underconfident" },
    { "ECE", number(r.ece), nil, ("null level %s, what a calibrated model with these confidences has; 15 bins of equal width, [a, b)"):format(number(r.ece_null)) },
    { "ECE, debiased", number(r.ece_debiased), nil, "Kumar et al. 2019: may be below 0" },
    { "over-, underconfidence", ("%s, %s"):format(number(r.overconfidence), number(r.underconfidence)), nil, "the parts of the ECE on either side" },
    { "adaptive ECE", number(r.adaptive_ece), nil, "15 bins of equal mass" },
    { "classwise ECE", number(r.classwise_ece), nil, ("mean over classes; null level %s"):format(number(r.classwise_ece_null)) },
    { "largest bin error (MCE)", number(r.mce), nil, "of bins that are not empty" },
    { "smooth ECE", number(r.smooth_ece), nil, "Błasiok and Nakkiran 2023" },
    { "MMCE", number(r.mmce), nil, "Kumar et al. 2018" },
    { "temperature", number(r.temperature), nil, (r.temperature_at_bound and "at its bound; " or "") .. "the one that would fit these rows best; above 1: logits are too large" },
  }
  local part = { name = "calibration", title = "Calibration", measures = measures, tables = { bins_table(r, "reliability bins as numbers") },
    intro = "Whether confidence is the share of rows that is right. An ECE is never 0: compare it with its null level.",
    figures = {
      { call "ls.plot.reliability"(r, {}), "Accuracy by confidence, with Clopper and Pearson's 95 % intervals; below, how many rows each bin has." },
      { call "ls.plot.confidence"(r, {}), "Confidence of right and of wrong rows." },
    } }
  local json = plain(r)
  json.classes = {}
  for k = 0, raw.size(d.z, 2) - 1 do
    json.classes[k + 1] = r.classes[k] and plain(r.classes[k]) or {}
    json.classes[k + 1].class = k
  end
  local scaled, fitted = cross_fitted(d)
  if scaled then
    local after = call "ls.eval.calibration"(scaled, d.y, {})
    local note = ("temperatures %s, %s: each half of the rows with that of the other"):format(number(fitted[1]), number(fitted[2]))
    measures[#measures + 1] = { "ECE after scaling", number(after.ece), nil, ("%s; null level %s"):format(note, number(after.ece_null)) }
    measures[#measures + 1] = { "debiased after scaling", number(after.ece_debiased), nil, "the same, debiased" }
    measures[#measures + 1] = { "NLL after scaling", number(after.nll), nil, ("before: %s"):format(number(r.nll)) }
    table.insert(part.figures, 2, { call "ls.plot.reliability"(after, {}), "The same after temperature scaling: each half of the rows (odd, even) was scaled by the temperature that fits the other." })
    json.after_temperature = { ece = after.ece, ece_null = after.ece_null, ece_debiased = after.ece_debiased, nll = after.nll, brier = after.brier, confidence_gap = after.confidence_gap,
      temperatures = fitted, halves = "odd rows, even rows: each scaled by the temperature fitted on the other" }
  end
  return part, json, r
end

function parts.selective(d)
  local scores = d.probabilities and { "max_probability", "margin", "entropy" } or { "max_probability", "margin", "entropy", "normalised_logit" }
  local rows, curves, json = {}, {}, {}
  for i, score in ipairs(scores) do
    local s = call "ls.eval.selective"(d.z, d.y, { score = score, probabilities = d.probabilities })
    rows[i] = { score:gsub("_", " "), number(s.aurc), number(s.excess_aurc), number(s.augrc), number(s.auroc), number(s.coverage_at_risk[0.01]), number(s.risk_at_coverage[0.8]) }
    curves[i] = { (score:gsub("_", " ")), s }
    json[score] = plain(s)
    json[score].curve = nil
  end
  return { name = "selective", title = "Selective prediction", intro = "Whether the model knows which rows it gets wrong: rows are ranked by a score, and only the surest are answered.",
    tables = { { columns = { "score", "AURC", "E-AURC", "AUGRC", "AUROC of failures", "coverage at risk .01", "risk at coverage .8" }, rows = rows } },
    figures = { { call "ls.plot.risk_coverage"(curves, {}), "Error rate among the rows that are answered, by their share; lower is better." } } }, json
end

-- ---- parts that stand on measures of representations and comparisons ----

local compared = { { "accuracy", "accuracy" }, { "nll", "NLL" }, { "brier", "Brier score" }, { "ece_debiased", "ECE, debiased" } }

local function p_value(p) return type(p) == "number" and p < 0.00005 and "<0.0001" or number(p) end

function parts.comparison(d, other, other_name)
  local r = call "ls.eval.compare"(d.logits, other, d.y, {})
  local rows = {}
  for _, measure in ipairs(compared) do
    local m = r[measure[1]]
    rows[#rows + 1] = { measure[2], number(m.a), number(m.b), ("%+.4f"):format(m.difference), m.low and ("%+.4f to %+.4f"):format(m.low, m.high) or "", p_value(m.p), p_value(m.p_holm) }
  end
  local of = ("a: these predictions; b: %s, on the same rows."):format(other_name)
  return { name = "comparison", title = "Compared with the other model", intro = of, terminal = of,
    tables = { { columns = { "measure", "a", "b", "a - b", "95 % interval", "p", "p, Holm" }, rows = rows } },
    notes = { ("Intervals: BCa, %d paired resamples of rows. p: McNemar's mid-p for accuracy, Student's t for the others. They speak of these two trained models on other rows of this kind; a sentence about two methods needs several seeds."):format(r.resamples),
      ("Rows that only a has right: %s; only b: %s."):format(number(r.mcnemar.only_a), number(r.mcnemar.only_b)) } }, plain(r)
end

function parts.representation(d)
  local g, c = call "ls.eval.geometry"(d.embeddings, d.y, {}), call "ls.eval.clustering"(d.embeddings, d.y, {})
  return { name = "representation", title = "Representation", measures = {
    { "class separation R²", number(g.class_separation), nil, "1 - within/total, cosine distances (Kornblith et al. 2021)" },
    { "within, between", ("%s, %s"):format(number(g.within), number(g.between)), nil, "mean cosine distance of two rows of a class, and of two classes" },
    { "trace ratio", number(g.trace_ratio), nil, "tr Sw / tr Sb" },
    { "silhouette", number(c.silhouette), nil, "-1 to 1, cosine" },
    { "NMI, AMI, ARI", ("%s, %s, %s"):format(number(c.nmi), number(c.ami), number(c.ari)), nil, ("of k-means with %d clusters against the labels"):format(c.clusters) },
    { "alignment, uniformity", ("%s, %s"):format(number(g.alignment), number(g.uniformity)), nil, "Wang and Isola 2020" },
    { "effective rank", number(g.effective_rank), nil, ("of %d features"):format(raw.size(d.embeddings, 2)) },
  } }, { geometry = plain(g), clustering = plain(c) }
end

local retrieval_measures = {
  { "map_at_r", "MAP@R", "mean over the first R of the precision at each hit, R rows being relevant (Musgrave et al. 2020)" },
  { "r_precision", "R-precision", "share of the first R that are of the class" },
  { "mrr", "MRR", "mean of 1/rank of the first hit" },
  { "knn_accuracy", "kNN accuracy", "of equal votes" },
}

function parts.retrieval(d)
  local rows, at = d.gallery and raw.size(d.gallery, 1) or raw.size(d.embeddings, 1) - 1, {}
  for _, k in ipairs{ 1, 5, 10, 50, 100 } do if k <= rows then at[#at + 1] = k end end
  local r = call "ls.eval.retrieval"(d.embeddings, d.y, { metric = "cosine", at = at, gallery = d.gallery, gallery_labels = d.gallery_labels })
  local measures = {}
  for _, k in ipairs(keys_of(r.recall)) do measures[#measures + 1] = { ("recall@%d"):format(k), number(r.recall[k]), nil, "share of queries with a row of their class among the k nearest" } end
  for _, m in ipairs(retrieval_measures) do
    if type(r[m[1]]) == "number" then measures[#measures + 1] = { m[2], number(r[m[1]]), nil, m[3] } end
  end
  local counts = ("%s queries, %s rows in the gallery; %s queries without a row of their class, %s with another row at distance 0; relevant rows tie with others in %.2f %% of queries."):format(number(r.queries),
    number(r.gallery), number(r.without_match), number(r.twins), 100 * (r.tie_rate or 0))
  local part = { name = "retrieval", title = "Retrieval", terminal = counts, intro = ("Nearest neighbours by cosine, %s; among rows that tie the expected value is taken."):format(d.gallery and "in a gallery of its own" or "a query never its own"), measures = measures,
    figures = { { call "ls.plot.recall"(r, {}), "recall@k: whether any of the k nearest is of the query's class." } },
    notes = { counts } }
  return part, plain(r)
end

-- Whether the library has the measures that a part stands on.
function parts.offered(module) return (pcall(require, "lsengine." .. module)) end

return parts
