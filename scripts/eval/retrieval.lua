-- Retrieval: are the rows near a row those of its class? SPDX-License-Identifier: MIT
local c       = require "lsengine.c.retrieval"
local cknn    = require "lsengine.c.knn"
local clabels = require "lsengine.c.labels"
local raw     = require "lsengine.c.tensor"
local public  = require "lsengine.public"
local provenance = require "lsengine.provenance"
local outputs = require "lsengine.predict".outputs
require "lsengine.nn"
require "lsengine.data"
require "lsengine.knn"

local retrieval = {}

local measures = [[recall[k], whether any of the first k rows is relevant (recall@k of metric learning); precision[k], hits / k; hit_share[k], hits / R (recall@k of information
retrieval); ap[k], the sum of the precisions at the hits among the first k, divided as `ap_divisor` says; ndcg[k]; r_precision, hits among the first R / R; map_at_r, the sum of the
precisions at the hits among the first R, divided by R (Musgrave et al. 2020); map, the same over the whole ranking; mrr, 1 / place of the first hit; ndcg_full, over the whole ranking]]

local shared = {
  metric = { type = "string", default = "cosine", choices = { "l2", "inner_product", "cosine" }, doc = "ranks the gallery; as for ls.knn.index" },
  at = { type = "labels", doc = "the k of the measures at k, at most 64 of them; unless given those of 1, 5, 10 that the gallery has rows for" },
  no_match = { type = "string", default = "skip", choices = { "skip", "zero" },
    doc = "queries without a relevant row: left out of the means (as pytorch-metric-learning does), or counted with 0 (torchmetrics' \"neg\")" },
  ap_divisor = { type = "string", default = "least", choices = { "least", "relevant", "hits" },
    doc = "of ap[k]: min(R, k); R (pytorch-metric-learning's way with a k below R); the hits among the first k (torchmetrics)" },
  near_duplicate = { type = "number", default = 0, min = 0, doc = "distance up to which another row is a duplicate of the query, and counts as its twin; 0 counts equal rows only, which is all that inner_product knows" },
  whole = { type = "boolean", default = true, doc = "also map, mrr and ndcg_full, of the whole ranking. Without them only the first max(R, k) places are looked at, also for ties, in a fraction of the time" },
  classifier_k = { type = "integer", default = 5, min = 0, max = 2^31 - 1, doc = "neighbours of the kNN classifier; as many as the gallery has, if these are fewer; 0: no classifier" },
}
local function with(own)
  for name, spec in pairs(shared) do own[name] = own[name] or spec end
  return own
end

local other_divisors = { relevant = "ap_by_relevant", hits = "ap_by_hits" }

local function choose(m, divisor)
  if other_divisors[divisor] then m.ap = m[other_divisors[divisor]] end
  m.ap_by_relevant, m.ap_by_hits = nil, nil
  return m
end

-- Share of queries whose class has most of their neighbours' votes, ties to the lower class; over the labels' own order, whatever they are.
local function classifier_accuracy(embeddings, labels, gallery, gallery_labels, own, o)
  local rows = raw.size(gallery, 1) - (own and 1 or 0)
  if rows < 1 or o.classifier_k < 1 then return nil end
  local k = math.min(o.classifier_k, rows)
  local _, flat = cknn.search(cknn.index(gallery, o.metric), embeddings, k, own and clabels.range(1, raw.size(gallery, 1)) or nil)
  local near, right, at, n = clabels.totable(clabels.gather(gallery_labels, flat)), 0, 0, raw.size(embeddings, 1)
  for i = 1, n do
    local votes, best = {}, nil
    for _ = 1, k do
      at = at + 1
      local label = near[at]
      votes[label] = (votes[label] or 0) + 1
    end
    for label, count in pairs(votes) do
      if not best or count > votes[best] or count == votes[best] and label < best then best = label end
    end
    if best == labels[i] then right = right + 1 end
  end
  return right / n
end

local function judge(embeddings, labels, gallery, gallery_labels, o)
  if type(labels) == "table" then labels = clabels.from(labels) end
  provenance.check_embedding(embeddings)
  local own = gallery == nil
  if own then gallery, gallery_labels = embeddings, labels end
  if type(gallery_labels) == "table" then gallery_labels = clabels.from(gallery_labels) end
  local at = o.at
  if not at then
    at = { 1, 5, 10 }
    local rows = #gallery_labels - (own and 1 or 0)
    while #at > 1 and at[#at] > rows do at[#at] = nil end
  end
  local result, macro, classes, without, tied, twins, by_values =
    c.retrieval(embeddings, labels, gallery, gallery_labels, o.metric, at, own, o.no_match == "zero", o.near_duplicate, o.whole)
  choose(result, o.ap_divisor)
  result.macro = choose(macro, o.ap_divisor)
  result.classes = {}
  for _, m in ipairs(classes) do
    choose(m, o.ap_divisor)
    result.classes[m.label] = m
    m.label = nil
  end
  local n = #labels
  result.queries, result.gallery, result.without_match = n, #gallery_labels, without
  result.tie_rate, result.twins, result.by_values = tied / n, twins, by_values
  result.self_matches = own and n or 0
  result.knn_accuracy, result.metric, result.no_match, result.ap_divisor = classifier_accuracy(embeddings, labels, gallery, gallery_labels, own, o), o.metric, o.no_match, o.ap_divisor
  return result
end

retrieval.retrieval = public("ls.eval.retrieval", {
  doc = [[Ranks the gallery for every row and asks how far up the rows of its class stand. Without `gallery` every row is a query to all others; it is left out of its own ranking by its
number. A gallery row is relevant where its label is the query's; R is their number.

Measures, each a mean over the queries: ]] .. measures .. [[.

Also: macro, the same measures as means of the classes' means; classes[label], those of each class, with its number of queries; knn_accuracy, of the kNN classifier with
classifier_k equal votes; and the counts queries, gallery, without_match (queries with R = 0), self_matches (rows left out of their own ranking), twins (queries with another row
within near_duplicate: duplicates, which raise every measure), by_values (queries for which all rows had to be compared in double), tie_rate (share of queries where a relevant row ties with another one). Rows that tie have no order: every measure is its
expected value over their orders.

Ranks are those of values in double: tiles order the rows, values decide where these are in doubt. O(queries·gallery·features).]],
  returns = "a table", errors = "numbers of rows and labels that differ, gallery without gallery_labels or the reverse, a k above the gallery's rows, NaN or infinite numbers, with cosine a row of zeros",
  example = 'local r = ls.eval.retrieval(x, ls.labels{ 0, 1, 0, 1 }, { metric = "l2", at = { 1, 2 } })\nprint(r.recall[1], r.map_at_r, r.macro.map_at_r, r.classes[0].queries)',
  { "embeddings", type = "tensor", doc = "rows × features: the queries" }, { "labels", type = "labels", doc = "one for each row; any integers" },
  options = with{
    gallery = { type = "tensor", doc = "what is ranked, where it is not the queries themselves" },
    gallery_labels = { type = "labels", doc = "one for each row of the gallery" },
  },
}, function(embeddings, labels, o)
  if (o.gallery == nil) ~= (o.gallery_labels == nil) then
    public.raise("retrieval", o.gallery and "gallery is given, but not gallery_labels" or "gallery_labels is given, but not gallery")
  end
  return judge(embeddings, labels, o.gallery, o.gallery_labels, o)
end)

-- Embeddings of a data set's rows by either layer.
local function embed(model, data, layer)
  return layer == "features" and model:features(data.x) or outputs("retrieval_protocols", model, data)
end

retrieval.protocols = public("ls.eval.retrieval_protocols", {
  doc = [[The three questions that "does it retrieve worse?" may mean, never to be mixed: same, held-out rows of the classes that the model was trained on; unseen, rows of classes that it never
saw; finer, rows judged by finer labels than those trained on, which is what softening may have erased. Each that is given is answered on the model's features, the input of its last
layer (features), and on its logits (logits): result.same.features.map_at_r, …; what stands there is that of ls.eval.retrieval.]],
  returns = "a table: for each question that was asked { features = …, logits = … }",
  errors = "none of the three given; finer without finer_labels; labels that don't match the rows; a data set for regression or without rows",
  example = 'local r = ls.eval.retrieval_protocols(model, { same = data.validation, metric = "l2", at = { 1 } })\nprint(r.same.features.map_at_r, r.same.logits.recall[1])',
  { "model", type = "model", doc = "gives logits" },
  options = with{
    same = { type = "dataset", doc = "held-out rows of the classes trained on" },
    unseen = { type = "dataset", doc = "rows of classes not trained on (data:split_classes)" },
    finer = { type = "dataset", doc = "rows whose finer labels are known" },
    finer_labels = { type = "labels", doc = "one for each row of finer" },
  },
}, function(model, o)
  local result, any = {}, false
  if (o.finer == nil) ~= (o.finer_labels == nil) then
    public.raise("retrieval_protocols", o.finer and "finer is given, but not finer_labels" or "finer_labels is given, but not finer")
  end
  for _, name in ipairs{ "same", "unseen", "finer" } do
    local data = o[name]
    if data then
      any = true
      if raw.is_tensor(data.y) then public.raise("retrieval_protocols", name .. " is a data set of regression, one of labels is required") end
      if raw.size(data.x, 1) < 2 then public.raise("retrieval_protocols", name .. " has fewer than two rows") end
      local labels = name == "finer" and o.finer_labels or data.y
      result[name] = {}
      for _, layer in ipairs{ "features", "logits" } do result[name][layer] = judge(embed(model, data, layer), labels, nil, nil, o) end
    end
  end
  if not any then public.raise("retrieval_protocols", "same, unseen and finer are missing, one at least is required") end
  return result
end)

return retrieval
