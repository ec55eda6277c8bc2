-- Selective prediction: ls.eval.selective. SPDX-License-Identifier: MIT
local judge       = require "lsengine.c.judging".judge
local raw         = require "lsengine.c.tensor"
local options     = require "lsengine.options"
local predictions = require "lsengine.predictions"
local public      = require "lsengine.public"
local describe    = require "lsengine.c.system".describe

local Selective = {}
Selective.__index, Selective.__name = Selective, "selective"
options.type("selective", function(v) return getmetatable(v) == Selective end, "a selective prediction (what ls.eval.selective gives)")

local scores = { "max_probability", "margin", "entropy", "logit_margin", "max_logit", "energy", "normalised_logit" }
local areas = { mean = 0, trapezoid = 1, trapezoid_inner = 2 }

local function number(x) return x and ("%.4f"):format(x) or "-" end

local function sorted(t)
  local keys = {}
  for k in pairs(t) do keys[#keys + 1] = k end
  table.sort(keys)
  return keys
end

function Selective:__tostring()
  local out = {
    ("%d rows, %d wrong; ranked by %s, %.1f %% of rows tied with others (their order is averaged over)"):format(self.rows, self.failures, self.score, 100 * self.tied),
    ("aurc         %s   (area by %s)"):format(number(self.aurc), self.area),
    ("excess_aurc  %s   above the best possible order"):format(number(self.excess_aurc)),
    ("augrc        %s"):format(number(self.augrc)),
    ("auroc        %s   of right against wrong rows"):format(number(self.auroc)),
  }
  for _, k in ipairs(sorted(self.coverage_at_risk)) do out[#out + 1] = ("coverage at risk %g: %s"):format(k, number(self.coverage_at_risk[k])) end
  for _, k in ipairs(sorted(self.risk_at_coverage)) do out[#out + 1] = ("risk at coverage %g: %s"):format(k, number(self.risk_at_coverage[k])) end
  return table.concat(out, "\n")
end

local function list(name, given, low_open)
  for i = 1, #given do
    local x = given[i]
    if type(x) ~= "number" or not (x <= 1 and (low_open and x > 0 or not low_open and x >= 0)) then
      public.raise("selective", ("%s[%d] is %s, allowed is a number %s"):format(name, i, describe(x), low_open and "above 0, at most 1" or "from 0 to 1"))
    end
  end
  return given
end

return public("ls.eval.selective", {
  page = "judging",
  doc = [[How well a model knows which rows it gets wrong: rows are ranked by a score, and at coverage k/n it answers the k surest. Rows of equal score
have no order: every number is the expectation over their orders. The result is a table with

- `rows`, `failures`, `risk` (the error rate at full coverage), `tied` (share of rows that share their score), `score`, `area`
- `aurc`: mean over k = 1 … n of the error rate among the k surest; `area = "trapezoid"`: trapezoids from (0, 0) (the code of Xia et al. 2024);
  "trapezoid_inner": over 1/n … 1, divided by 1 - 1/n (torch-uncertainty)
- `excess_aurc`: E-AURC, the mean's excess over that of the best possible order (Geifman et al. 2019); `augrc`: mean over k of errors among the
  first k, over n (Traub et al. 2024)
- `auroc`: probability that a right row scores higher than a wrong one, ties half; nil where all are right or all wrong
- `coverage_at_risk[r]`: the largest coverage that a threshold can have with risk at most r, 0 where there is none; `risk_at_coverage[c]`
- `curve`: { coverage, risk } at `points` coverages

Scores, the larger the surer: "max_probability"; "margin" (p₁ - p₂); "entropy" (-H(p)); "logit_margin" (z₁ - z₂); of logits alone "max_logit",
"energy" (log Σ eᶻ; Liu et
al. 2020), "normalised_logit" (max z' / |z'|, z' = z - mean z: Cattelan & Silva 2023); or a tensor of N numbers of one's own. All in double; maximum
probability, margin
and entropy are taken from what the other classes have left, so that sure rows do not become ties at 1 (of probabilities where c > 1 - 2⁻¹⁰; below,
equal numbers are ties).
A float64 file's probabilities are rounded to float32 when read; the small ones keep their digits, which is where the doubt is read. O(N·K).]],
  errors = "as of ls.eval.calibration; a score of logits with probabilities; a NaN in one's own score",
  returns = "table, shown by print", example = 'local s = ls.eval.selective(logits, labels, { score = "entropy" })\nprint(s.aurc, s.auroc, s.coverage_at_risk[0.05])',
  predictions.logits, predictions.labels,
  options = predictions.options{
    score  = { type = "string|tensor", default = "max_probability", choices = scores, doc = "what rows are ranked by, or N numbers of one's own" },
    area   = { type = "string", default = "mean", choices = { "mean", "trapezoid", "trapezoid_inner" }, doc = "how aurc is integrated" },
    points = { type = "integer", default = 100, min = 0, max = 1000000, doc = "of the curve" },
    risks  = { type = "table", doc = "for coverage_at_risk, each 0 … 1; { 0.01, 0.05, 0.1 } unless given" },
    coverages = { type = "table", doc = "for risk_at_coverage, each above 0 to 1; { 0.5, 0.8, 0.9 } unless given" },
  },
}, function(logits, labels, o)
  local risks, coverages = list("risks", o.risks or { 0.01, 0.05, 0.1 }), list("coverages", o.coverages or { 0.5, 0.8, 0.9 }, true)
  local z, y, probabilities, temperature, ignore = predictions.arguments("selective", logits, labels, o)
  local own = raw.is_tensor(o.score)
  local r = judge(z, y, probabilities, temperature, ignore, { name = "selective",
    selective = { score = own and raw.detach(o.score) or o.score, area = areas[o.area], points = o.points, risks = risks, coverages = coverages } }).selective
  local coverage_at, risk_at = r.coverage_at_risk, r.risk_at_coverage
  r.score, r.area, r.coverage_at_risk, r.risk_at_coverage = own and "own numbers" or o.score, o.area, {}, {}
  for i = 1, #coverage_at do r.coverage_at_risk[risks[i]] = coverage_at[i] end
  for i = 1, #risk_at do r.risk_at_coverage[coverages[i]] = risk_at[i] end
  return setmetatable(r, Selective)
end)
