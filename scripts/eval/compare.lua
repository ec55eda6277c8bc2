-- Two models on the same rows. SPDX-License-Identifier: MIT
local c      = require "lsengine.c.compare"
local cstats = require "lsengine.c.statistics"
local random = require "lsengine.c.random"
local public = require "lsengine.public"
require "lsengine.labels"
require "lsengine.random"

local compared = { "accuracy", "nll", "brier", "ece_debiased" }
-- rows for each interval: docs/statistics.md has the measured coverage
local least = { accuracy = 20, nll = 100, brier = 100, ece_debiased = 100 }
local LEAST_BCA = 200

return public("ls.eval.compare", {
  page = "comparing",
  doc = [[Two models on the same rows: accuracy, nll, brier and ece_debiased (15 bins of equal width, as ls.evaluate) of each, their difference a - b, and what chance
could do to it.

Each measure is a table: a, b, difference; low and high, its interval (of nll and brier Student's t, of accuracy Agresti and Min's, right also where few rows differ; of
ece_debiased from its jackknife, never too short and often too long), error, the standard error; of nll and brier also bca_low and bca_high (from a paired bootstrap: every
resample draws rows, the same for both models and both measures); for the three that are means over rows p (two-sided: McNemar's mid-p for accuracy, t for the others), p_holm
and p_fdr (p of the three, adjusted by Holm and by Benjamini and Hochberg), effect_size (mean over standard deviation of the rows' differences), superiority (share of rows
where a is larger, and half of those that are equal) and wilcoxon (p, rank_biserial, positive, negative, used, exact). mcnemar holds only_a, only_b (rows that only one has
right), p (exact) and mid_p.

The intervals speak of other rows of this kind, for this one pair of trained models; a sentence about two methods needs several seeds (ls.experiment). They are given where
they hold the truth often enough whatever the models: from 100 rows on, accuracy's from 20, bca_low and bca_high from 200 (the measured coverage is in
[statistics](../statistics.md)). The plain calibration error has none, for its bias is larger than its interval: the debiased one stands in its place.
O(N·K + resamples·N).]],
  errors = "logits of other shapes, labels that are no class, a NaN or +inf logit, fewer than 2 rows", returns = "a table of tables, with rows, resamples and level",
  example = "local r = ls.eval.compare(logits, logits * 0.5, labels)\nprint(r.nll.difference, r.nll.low, r.nll.high, r.mcnemar.mid_p)",
  { "logits_a", type = "tensor", doc = "N×K" }, { "logits_b", type = "tensor", doc = "N×K, row i of the same example" }, { "labels", type = "labels", doc = "N classes, 0 … K-1" },
  options = {
    resamples = { type = "integer", default = 2000, min = 2, max = 10000000, doc = "of the paired bootstrap" },
    level     = { type = "number", default = 0.95, above = 0, below = 1, doc = "of the intervals" },
    bins      = { type = "integer", default = 15, min = 1, max = 100, doc = "of the calibration error" },
    rng       = { type = "rng", doc = "its stream \"compare\"; without it, that of seed 0" },
  },
}, function(a, b, labels, o)
  local r = c.compare(a, b, labels, o.bins, o.resamples, o.level, random.spawn(o.rng or random.seed(0), "compare"))
  local p = { r.accuracy.p, r.nll.p, r.brier.p }
  local holm, fdr = cstats.holm(p), cstats.benjamini_hochberg(p)
  for i = 1, 3 do r[compared[i]].p_holm, r[compared[i]].p_fdr = holm[i], fdr[i] end
  for _, name in ipairs(compared) do
    local m = r[name]
    if r.rows < least[name] then m.low, m.high, m.error = nil, nil, nil end
    if r.rows < LEAST_BCA or name == "accuracy" then m.bca_low, m.bca_high = nil, nil end
  end
  r.resamples, r.level = o.resamples, o.level
  return r
end)
