-- Judging a model on a data set. SPDX-License-Identifier: MIT
local calibrators = require "lsengine.c.calibrators"
local judging  = require "lsengine.c.judging"
local regression = require "lsengine.c.eval".regression
local raw      = require "lsengine.c.tensor"
local outputs  = require "lsengine.predict".outputs
local pitfalls = require "lsengine.pitfalls"
local public   = require "lsengine.public"
local provenance = require "lsengine.provenance"
local tuning   = require "lsengine.tuning"
require "lsengine.nn"
require "lsengine.data"

local function predict(model, dataset) return outputs("evaluate", model, dataset) end

-- The measures that ls.eval's functions make, in one flat table.
local function judge(logits, labels, temperature, o)
  local function binning(kind) return { bins = o.bins, kind = kind, edges = "left", rounding = "product", ties = "shared" } end
  local judged = judging.judge(logits, labels, false, temperature, nil, { name = "evaluate", classification = { top_k = { o.top_k } },
    calibration = { binnings = { binning "equal_width", binning "equal_mass" } },
    selective = { score = "max_probability", area = 0, points = 0, risks = {}, coverages = {} } })
  local right, b, mass = judged.classification, judged.calibrations[1], judged.calibrations[2]
  return {
    accuracy = right.accuracy, top_k = judged.top_k[1], nll = right.nll, brier = right.brier, confidence = b.confidence, confidence_gap = b.gap, ece = b.l1, ece_null = b.null,
    ece_debiased = b.debiased, ece_debiased_l2 = mass.debiased_l2, mce = b.max, aurc = judged.selective.aurc,
  }
end

-- Rows that the best epoch was chosen on are no rows to judge the model on.
local function check_chosen(model, dataset)
  local entry = provenance.of_model(model)
  local chosen = entry and entry.used and entry.used.chosen
  if chosen and chosen == dataset.x then
    pitfalls.raise("selection-on-judged-rows", ("the model is judged on the %d rows that its epoch was chosen on: epoch %s is the best of %d there"):format(
      #dataset.y, tostring(entry.best_epoch), entry.epochs))
  end
end

-- Nor are rows that are judged, or trained on, rows to fit a temperature on.
local function check_temperature(model, dataset, fitted_on, fitting, result, temperature)
  local entry = provenance.of_model(model)
  local trained = entry and entry.used and entry.used.rows == fitted_on.x
  if fitted_on.x ~= dataset.x and not trained then return end
  if fitted_on.x == dataset.x and not trained then
    pitfalls.raise("temperature-on-used-rows", ("the temperature, %.3f, is fitted on the %d rows that are judged: what it repairs there it has seen"):format(temperature, #dataset.y))
  else
    pitfalls.raise("temperature-on-used-rows", ("the temperature, %.3f, is fitted on rows that the model was trained on: it is right on %.3f of these and on %.3f of those that are judged"):format(
      temperature, judging.judge(fitting, fitted_on.y, false, 1, nil, { name = "evaluate", classification = { top_k = {} } }).classification.accuracy, result.accuracy))
  end
end

local scaled = { "nll", "brier", "ece", "ece_null", "ece_debiased", "ece_debiased_l2", "mce", "confidence", "confidence_gap", "aurc" }

return public("ls.evaluate", {
  doc = [[Measures of a model's predictions on a data set against its plain labels, whatever the training target was: accuracy, top_k, nll
(nats), brier, confidence, confidence_gap (confidence - accuracy: above 0 overconfident), ece (15 bins of equal width unless said), its null
level ece_null, ece_debiased, ece_debiased_l2, mce, aurc. With temperature_on, also temperature, temperature_at_bound and each calibration
measure after temperature scaling: nll_ts, ece_ts, …

On a data set for regression: rmse and mae, in the unit of y, and r2, the share of y's variance that is explained.]],
  errors = "a data set without rows, temperature_on with regression, a label that is no class of the model, a NaN or infinite logit",
  returns = "a flat table of numbers", example = "local m = ls.evaluate(model, data.test, { temperature_on = data.validation })",
  { "model", type = "model", doc = "gives logits; one number a row on a data set for regression" }, { "data", type = "dataset", doc = "rows to judge" },
  options = {
    temperature_on = { type = "dataset", doc = "rows on which the temperature is fitted: not those that are judged, nor trained on" },
    bins  = { type = "integer", default = 15, min = 1, max = 10000, doc = "of the calibration error" },
    top_k = { type = "integer", default = 5, min = 1, max = 2^31 - 1, doc = "of the measure top_k" },
  },
}, function(model, dataset, o)
  if raw.is_tensor(dataset.y) then
    if o.temperature_on then public.raise("evaluate", "temperature_on scales logits of classes, and the data set is one of regression") end
    local result = regression(predict(model, dataset), dataset.y)
    tuning.judged(model, dataset.x, result)
    return result
  end
  if o.temperature_on and raw.is_tensor(o.temperature_on.y) then
    public.raise("evaluate", "temperature_on is a data set of regression, one of labels is required")
  end
  local logits = predict(model, dataset)
  local result = judge(logits, dataset.y, 1, o)
  tuning.judged(model, dataset.x, result)
  check_chosen(model, dataset)
  if o.temperature_on then
    local fitting = predict(model, o.temperature_on)
    local temperature, _, _, at_bound = calibrators.fit_temperature(fitting, o.temperature_on.y, false)
    local after = judge(logits, dataset.y, temperature, o)
    check_temperature(model, dataset, o.temperature_on, fitting, result, temperature)
    for _, name in ipairs(scaled) do result[name .. "_ts"] = after[name] end
    result.temperature, result.temperature_at_bound = temperature, at_bound and 1 or 0
  end
  return result
end)
