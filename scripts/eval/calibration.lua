-- Calibration: ls.eval.calibration. SPDX-License-Identifier: MIT
local c           = require "lsengine.c.judging"
local ctemp       = require "lsengine.c.calibrators"
local raw         = require "lsengine.c.tensor"
local options     = require "lsengine.options"
local predictions = require "lsengine.predictions"
local public      = require "lsengine.public"

local Calibration = {}
Calibration.__index, Calibration.__name = Calibration, "calibration"
options.type("calibration", function(v) return getmetatable(v) == Calibration end, "a calibration (what ls.eval.calibration gives)")

-- What other packages do, as options. Bins are asked for by the caller: their defaults differ (torchmetrics 15, netcal 10, relplot 10).
local conventions = {
  lsengine     = {},
  guo          = { edges = "right", zero = "dropped", rounding = "float32" },
  torchmetrics = { rounding = "float32", one = "apart" },
  netcal       = { rounding = "linspace", ties = "quantiles" },
  relplot      = { rounding = "quotient", one = "apart" },
  ["torch-uncertainty"] = { rounding = "float32", one = "apart", ties = "rows" },
}
local names = { "lsengine", "guo", "netcal", "relplot", "torch-uncertainty", "torchmetrics" }

local defaults = { bins = 15, kind = "equal_width", edges = "left", rounding = "product", ties = "shared", zero = "first", one = "last" }

local function binning(o, kind)
  return { bins = o.bins, kind = kind or o.kind, edges = o.edges, rounding = o.rounding, ties = o.ties, drop_zero = o.zero == "dropped", one_apart = o.one == "apart" }
end

-- The options with what a convention and the defaults say where they say nothing.
local function completed(o)
  local full, named = {}, conventions[o.convention]
  for key, value in pairs(o) do full[key] = value end
  for key, value in pairs(defaults) do
    if full[key] == nil then
      if named[key] ~= nil then full[key] = named[key] else full[key] = value end
    end
  end
  return full
end

local function number(x) return x and ("%.4f"):format(x) or "-" end

local function edges_text(o)
  local text = o.edges == "right" and "(a, b]" or "[a, b)"
  if o.edges == "right" then return text .. (o.zero == "dropped" and ", confidence 0 in none" or ", confidence 0 in the first") end
  return text .. (o.one == "apart" and ", confidence 1 in a bin of its own" or ", the last one closed")
end

function Calibration:__tostring()
  local o = self.conventions
  local kind = o.kind == "equal_mass" and ("equal mass, ties %s"):format(o.ties) or ("equal width, %s"):format(edges_text(o))
  local out = {
    ("%d rows, accuracy %s (%g %%: %s to %s), mean confidence %s, gap %+.4f: %s"):format(self.rows, number(self.accuracy), 100 * o.level, number(self.accuracy_low), number(self.accuracy_high),
      number(self.confidence), self.confidence_gap, self.confidence_gap > 0 and "overconfident" or self.confidence_gap < 0 and "underconfident" or "neither side"),
    ("%d bins of %s, edges as %s"):format(o.bins, kind, o.rounding),
    ("ece                 %s   a calibrated model of these confidences would have about %s"):format(number(self.ece), number(self.ece_null)),
    ("  over, under       %s, %s"):format(number(self.overconfidence), number(self.underconfidence)),
    ("ece_debiased        %s"):format(number(self.ece_debiased)),
    ("ece_l2, debiased    %s, %s   (the latter over %d bins of equal mass)"):format(number(self.ece_l2), number(self.ece_debiased_l2), o.bins),
    ("mce, ace            %s, %s"):format(number(self.mce), number(self.ace)),
    ("adaptive_ece        %s   (equal mass, ties %s)"):format(number(self.adaptive_ece), o.ties),
    ("classwise_ece       %s   null level %s"):format(number(self.classwise_ece), number(self.classwise_ece_null)),
    ("smooth_ece          %s   width %.4f"):format(number(self.smooth_ece), self.smooth_ece_width),
    ("mmce                %s   Laplace kernel of width %g"):format(number(self.mmce), o.mmce_width),
    ("nll, brier          %s, %s"):format(number(self.nll), number(self.brier)),
    ("temperature         %s   the one that would fit these rows best%s"):format(number(self.temperature), self.temperature_at_bound and " (at its bound)" or ""),
    ("      bin                rows  confidence  accuracy  %g %% interval (%s)"):format(100 * o.level, o.interval == "wilson" and "Wilson" or "Clopper and Pearson"),
  }
  for _, b in ipairs(self.bins) do
    if b.count > 0 then
      out[#out + 1] = ("  %.4f - %.4f %10s  %10s %9s  %s to %s"):format(b.low, b.high, math.type(b.count) == "integer" and ("%d"):format(b.count) or ("%.2f"):format(b.count),
        number(b.confidence), number(b.accuracy), number(b.accuracy_low), number(b.accuracy_high))
    end
  end
  return table.concat(out, "\n")
end

local norms = { l1 = "l1", l2 = "l2", max = "max", mean = "mean" }

return public("ls.eval.calibration", {
  page = "judging",
  doc = [[Whether the confidence c = max p of predictions of any framework is the share of them that is right. The result is a table with

- `ece`: Σ n_b/n |acc_b - conf_b| over 15 bins of equal width unless said; `overconfidence` and `underconfidence`, its parts where conf_b > acc_b
  and where acc_b > conf_b; `ece_null`: what a calibrated model with these confidences would be expected to have, (1/n) Σ √(2/π Σ c(1-c)): an ece
  near it shows nothing (and has no interval, for none would cover)
- `ece_debiased`: the same with bias taken away (Kumar et al. 2019, in closed form; may be below 0): nearly all of it far above the null level, of a
  calibrated model 41 %; `ece_l2`, `ece_debiased_l2`: root of the mean square, and that over bins of equal mass with the bias of the square taken away;
  `mce` (largest bin), `ace` (mean over bins that are not empty)
- `adaptive_ece` over bins of equal mass; `classwise_ece`, mean over classes of the ece of (p_k, [y=k]) (its null level `classwise_ece_null`;
  `classwise_ece_l2`; `classwise_ece_debiased_l2`: Kumar et al.'s marginal error); `classes[k]`, k from 0: ece, ece_l2, mce, gap, ece_null
- `smooth_ece` and `smooth_ece_width` (Błasiok & Nakkiran 2023, the discretisation of relplot 1.0.3); `mmce` (Kumar et al. 2018, all pairs)
- `confidence`, `accuracy` with `accuracy_low`, `accuracy_high`, `confidence_gap` = confidence - accuracy (above 0: overconfident), `nll`, `brier`
- `murphy`: of the mean of (c - a)² (`murphy.brier`): reliability - resolution + uncertainty + within_variance - within_covariance, to rounding
- `temperature`: the one that would fit these very rows best (a diagnosis: to use one, fit it on others), `temperature_at_bound`
- `error`: the measure asked for by `norm` and `kind`
- `bins[i]` = { low, high, count, confidence, accuracy, accuracy_low, accuracy_high }: of an empty bin low, high, count alone. Of equal mass, low
  and high are the least and the largest confidence in it (with ties = "quantiles": the edges), and count is not whole where ties are shared
- `conventions`: every choice that was made

`print(result)` shows it with its conventions. What other packages do can be asked for by name:

- `edges`: "left", [a, b) with the last closed; "right", (a, b] (Guo et al. 2017). `zero`: with "right", confidence 0 goes to the "first" bin or is
  "dropped". `one`: with "left", confidence 1 goes to the "last" bin or has one "apart"
- `rounding`: whether the bin of c is floor(c·B) in double ("product"), floor(c/(1/B)) ("quotient"), or c is compared with numpy.linspace's edges
  ("linspace") or, rounded, with torch.linspace's in float32 ("float32")
- `kind`: bins of "equal_width" or "equal_mass". `ties` among equal confidences where equal mass cuts them: "shared" (each bin its part: the order
  of rows does not matter), "rows" (numpy.array_split of the stably sorted rows), "quantiles" (numpy.quantile's edges: they stay together)
- `norm` of `error`: "l1", "l2", "max", "mean" (ACE)
- `convention`: all of these as a package has them: "guo", "netcal", "relplot", "torch-uncertainty", "torchmetrics"; options given beside it go
  before it

Everything is computed in double from the float32 numbers; a float64 file's numbers are rounded to float32 when read, which for logits is far below
any error here, and for probabilities near 1 loses their doubt: give logits. O(N·K); bins of equal mass sort by radix.]],
  errors = "a label that is no class, a NaN or +inf logit, a label on a masked class, probabilities that are none, no row left",
  returns = "a calibration: a table, shown by print, drawn by ls.plot.reliability",
  example = [[local calibration = ls.eval.calibration(logits, labels, { bins = 15 })
print(calibration.ece, calibration.ece_null, calibration.confidence_gap)
local as_netcal = ls.eval.calibration(logits, labels, { bins = 10, convention = "netcal" }).ece]],
  predictions.logits, predictions.labels,
  options = predictions.options{
    bins       = { type = "integer", min = 1, max = 10000, doc = "their number; 15 unless given" },
    kind       = { type = "string", choices = { "equal_width", "equal_mass" }, doc = "of the bins that are given out and of error; equal_width unless given" },
    norm       = { type = "string", default = "l1", choices = { "l1", "l2", "max", "mean" }, doc = "of error" },
    edges      = { type = "string", choices = { "left", "right" }, doc = "the bin of a number on an edge; left unless given: [a, b)" },
    rounding   = { type = "string", choices = { "product", "quotient", "linspace", "float32" }, doc = "of edges; product unless given" },
    ties       = { type = "string", choices = { "shared", "rows", "quantiles" }, doc = "where equal mass cuts equal confidences; shared unless given" },
    zero       = { type = "string", choices = { "first", "dropped" }, doc = 'confidence 0 with edges = "right"; first unless given' },
    one        = { type = "string", choices = { "last", "apart" }, doc = 'confidence 1 with edges = "left"; last unless given' },
    convention = { type = "string", default = "lsengine", choices = names, doc = "all choices as a package makes them" },
    level      = { type = "number", default = 0.95, above = 0, below = 1, doc = "of the intervals" },
    interval   = { type = "string", default = "clopper_pearson", choices = { "clopper_pearson", "wilson" }, doc = "of accuracies; Wilson's covers less than it says in small bins" },
    mmce_width = { type = "number", default = 0.4, above = 0, below = math.huge, doc = "of MMCE's kernel exp(-|c - c'|/width)" },
    smooth_width = { type = "number", min = 0.001, max = 1, doc = "of the smooth calibration error; found unless given" },
  },
}, function(logits, labels, given)
  local o = completed(given)
  local z, y, probabilities, temperature, ignore = predictions.arguments("calibration", logits, labels, given)
  local wilson = o.interval == "wilson"
  local judged = c.judge(z, y, probabilities, temperature, ignore, { name = "calibration",
    calibration = { binnings = { binning(o, "equal_width"), binning(o, "equal_mass") }, level = o.level, wilson = wilson, smooth = o.smooth_width or 0, mmce = o.mmce_width },
    classwise = binning(o, "equal_width") })
  local plain, mass, classwise = judged.calibrations[1], judged.calibrations[2], judged.classwise
  local own = o.kind == "equal_mass" and mass or plain
  local r = {
    rows = plain.rows, accuracy = plain.accuracy, confidence = plain.confidence, confidence_gap = plain.gap,
    ece = plain.l1, ece_l2 = plain.l2, mce = plain.max, ace = plain.mean, ece_null = plain.null, ece_debiased = plain.debiased, ece_debiased_l2 = mass.debiased_l2,
    overconfidence = plain.over, underconfidence = plain.under, adaptive_ece = mass.l1, adaptive_ece_null = mass.null,
    smooth_ece = judged.smooth, smooth_ece_width = judged.smooth_width, mmce = judged.mmce, bins = own.bins, error = own[norms[o.norm]],
    murphy = { brier = plain.brier, reliability = plain.reliability, resolution = plain.resolution, uncertainty = plain.uncertainty,
               within_variance = plain.within_variance, within_covariance = plain.within_covariance },
    conventions = { bins = o.bins, kind = o.kind, norm = o.norm, edges = o.edges, rounding = o.rounding, ties = o.ties, zero = o.zero, one = o.one, convention = o.convention,
                    level = o.level, interval = o.interval, mmce_width = o.mmce_width, temperature = o.temperature or 1, probabilities = probabilities },
    classes = {},
  }
  r.accuracy_low, r.accuracy_high = c.interval(r.accuracy * r.rows, r.rows, o.level, wilson)
  r.classwise_ece, r.classwise_ece_l2, r.classwise_ece_debiased_l2, r.classwise_ece_null = classwise.l1, classwise.l2, classwise.debiased_l2, classwise.null
  r.brier, r.nll = classwise.brier, classwise.nll
  for k, s in pairs(judged.class_calibrations) do r.classes[k] = { ece = s.l1, ece_l2 = s.l2, mce = s.max, gap = s.gap, ece_null = s.null } end
  r.temperature, r.nll_at_temperature, r.nll_at_one, r.temperature_at_bound = ctemp.fit_temperature(predictions.logits_of(logits, given), y, false, nil, ignore)
  return setmetatable(r, Calibration)
end)
