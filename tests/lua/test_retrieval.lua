-- Retrieval: numbers of pytorch-metric-learning, torchmetrics, scikit-learn; expected values over ties; the three protocols. SPDX-License-Identifier: MIT
local t      = require "harness"
local ls     = require "lsengine"
local arrays = ls.tensor.load "tests/golden/retrieval.npz"
local want   = dofile "tests/golden/retrieval.lua"
local T = t.tests

local y, qy = ls.labels(arrays.y), ls.labels(arrays.qy)

local function compare(prefix, r)
  for _, name in ipairs{ "mrr", "r_precision", "map", "ndcg_full" } do t.close(r[name], want[prefix .. name], 1e-6) end
  for _, k in ipairs{ 1, 5, 10 } do
    for _, name in ipairs{ "recall", "precision", "hit_share", "ndcg" } do t.close(r[name][k], want[("%s%s_%d"):format(prefix, name, k)], 1e-6) end
  end
  t.close(r.map_at_r, want[prefix .. "pml_mean_average_precision_at_r_max_bin_count"], 1e-6)
  t.close(r.r_precision, want[prefix .. "pml_r_precision_max_bin_count"], 1e-6)
  t.close(r.recall[1], want[prefix .. "pml_precision_at_1_max_bin_count"], 1e-6)
end

function T.other_packages_numbers_come_out()
  local own = { metric = "l2" }
  compare("own_", ls.eval.retrieval(arrays.x, y, own))
  local apart = { metric = "l2", gallery = arrays.x, gallery_labels = y }
  local r = ls.eval.retrieval(arrays.q, qy, apart)
  compare("apart_", r)
  local missing = 0
  for i = 1, #qy do missing = missing + (qy[i] == 9 and 1 or 0) end
  t.is_true(missing > 0)
  t.equals({ r.without_match, r.classes[9].queries, r.queries, r.gallery, r.self_matches }, { missing, 0, 60, 200, 0 })
  local zero = ls.eval.retrieval(arrays.q, qy, { metric = "l2", gallery = arrays.x, gallery_labels = y, no_match = "zero" })
  t.close(zero.map_at_r, r.map_at_r * (60 - missing) / 60, 1e-12)
end

function T.other_divisors_by_name()
  for prefix, o in pairs{ own_ = {}, apart_ = { gallery = arrays.x, gallery_labels = y } } do
    o.metric, o.ap_divisor = "l2", "hits"
    local x, labels = prefix == "own_" and arrays.x or arrays.q, prefix == "own_" and y or qy
    local r = ls.eval.retrieval(x, labels, o)
    for _, k in ipairs{ 1, 5, 10 } do t.close(r.ap[k], want[("%sap_hits_%d"):format(prefix, k)], 1e-6) end
    o.ap_divisor = "relevant"
    t.close(ls.eval.retrieval(x, labels, o).ap[5], want[prefix .. "pml_mean_average_precision_5"], 1e-6)
    o.ap_divisor = "least"
    t.is_true(ls.eval.retrieval(x, labels, o).ap[5] > want[prefix .. "pml_mean_average_precision_5"] + 1e-3)
  end
end

function T.ties_give_expected_values()
  local r = ls.eval.retrieval(arrays.tied, ls.labels(arrays.tied_y), { metric = "l2" })
  t.close(r.ndcg_full, want.tied_ndcg_full, 1e-6) -- scikit-learn takes the mean over tied rows, too
  t.close(r.ndcg[5], want.tied_ndcg_5, 1e-6)
  -- the others: means over 3000 random orders, within five standard errors
  for name, value in pairs{ recall_5 = r.recall[5], map = r.map, map_at_r = r.map_at_r, mrr = r.mrr, ap_5 = r.ap[5] } do
    t.close(value, want["tied_" .. name], want["tied_" .. name .. "_error"])
  end
  t.is_true(r.tie_rate > 0.9 and r.twins > 50)
end

function T.all_equal_rows_by_hand()
  local r = ls.eval.retrieval(ls.tensor.ones(4, 2), { 0, 0, 1, 1 }, { at = { 1, 2 } }) -- one of three others is relevant, in any order
  t.close(r.recall[1], 1 / 3, 1e-12) t.close(r.recall[2], 2 / 3, 1e-12) t.close(r.mrr, (1 + 1 / 2 + 1 / 3) / 3, 1e-12)
  t.close(r.map, (1 + 1 / 2 + 1 / 3) / 3, 1e-12) t.close(r.map_at_r, 1 / 3, 1e-12) t.close(r.precision[2], 1 / 3, 1e-12)
  t.equals({ r.tie_rate, r.twins, r.self_matches }, { 1.0, 4, 4 })
end

function T.classes_and_their_means()
  local x = ls.tensor{ { 0 }, { 1 }, { 10 }, { 11 }, { 2 }, { 30 } }
  local r = ls.eval.retrieval(x, { 5, 5, -3, -3, 5, 7 }, { metric = "l2", at = { 1 }, classifier_k = 1 })
  t.equals({ r.classes[5].queries, r.classes[-3].queries, r.classes[7].queries, r.without_match }, { 3, 2, 0, 1 })
  t.equals({ r.classes[5].recall[1], r.classes[-3].map_at_r, r.macro.recall[1], r.recall[1], r.map }, { 1.0, 1.0, 1.0, 1.0, 1.0 })
  t.is_true(r.classes[7].map ~= r.classes[7].map) -- no query is left
  t.close(r.knn_accuracy, 5 / 6, 1e-12)
end

function T.three_protocols_on_two_layers()
  local rng = ls.rng(1)
  local data = ls.data.load "digits"
  local seen, unseen = data:split_classes{ unseen = { 8, 9 } }
  local model = ls.nn.mlp({ 64, 16, 8 }, { rng = rng })
  local finer = unseen.test.y:map(function(label) return label % 2 end)
  local r = ls.eval.retrieval_protocols(model, { metric = "l2", same = seen.test, unseen = unseen.test, finer = unseen.test, finer_labels = finer })
  local features = model:features(unseen.test.x)
  t.equals(r.unseen.features.map_at_r, ls.eval.retrieval(features, unseen.test.y, { metric = "l2" }).map_at_r)
  t.equals(r.unseen.logits.mrr, ls.eval.retrieval(model(unseen.test.x), unseen.test.y, { metric = "l2" }).mrr)
  t.equals(r.same.features.queries, #seen.test.y)
  t.equals(r.finer.features.map, ls.eval.retrieval(features, finer, { metric = "l2" }).map)
  t.fails(function() return ls.eval.retrieval_protocols(model, {}) end, "same, unseen and finer are missing", true)
  t.fails(function() return ls.eval.retrieval_protocols(model, { finer = unseen.test }) end, "finer is given, but not finer_labels", true)
end

function T.what_is_wrong_is_named()
  local x = ls.tensor{ { 0, 1 }, { 1, 1 }, { 0, 0 } }
  t.fails(function() return ls.eval.retrieval(x, { 0, 0, 1 }) end, "row 3 of the base is all zeros", true)
  t.fails(function() return ls.eval.retrieval(x, { 0, 0 }, { metric = "l2" }) end, "there are 2 labels but 3 embeddings", true)
  t.fails(function() return ls.eval.retrieval(x, { 0, 0, 1 }, { metric = "l2", at = { 3 } }) end, "at[1] is 3, allowed is 1 to 2", true)
  t.fails(function() return ls.eval.retrieval(x, { 0, 0, 1 }, { gallery = x }) end, "gallery is given, but not gallery_labels", true)
  t.fails(function() return ls.eval.retrieval(x, { 0, 0, 1 }, { metric = "l2", gallery = x, gallery_labels = { 0 } }) end, "there are 1 gallery_labels but the gallery has 3 rows", true)
  t.fails(function() return ls.eval.retrieval(ls.tensor.zeros(0, 2), {}) end, "there is no row to judge", true)
end

t.run()
