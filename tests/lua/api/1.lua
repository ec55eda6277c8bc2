local ls   = require "lsengine"
local data = ls.data.load("satellite"):split{ validation = 0.2 }   -- ships with lsengine, as do "digits" (optdigits), "letter", "concrete"; others when installed

local experiment = ls.experiment{
  name  = "does smoothing calibrate?",
  seeds = 10,                                            -- every arm sees the same ten seeds: comparisons are paired
  arms  = {
    { "one-hot",       target = ls.target.one_hot() },
    { "smoothed 0.02", target = ls.target.uniform(0.02) },
    { "smoothed 0.1",  target = ls.target.uniform(0.1) },
  },
  trial = function(arm, rng)                             -- one training run; the only function a user must write
    local model = ls.nn.mlp({36, 128, 6}, { rng = rng })
    ls.train(model, data.train, {
      target = arm.target, epochs = 40, batch = 64, rng = rng,
      optimizer = ls.optim.sgd{ lr = 0.1, momentum = 0.9 },         -- options alone: a recipe, applied to the model's parameters
    })
    return ls.evaluate(model, data.test, { temperature_on = data.validation })
  end,                                                   -- one flat table: accuracy, nll, brier, ece, ece_debiased, confidence_gap, aurc, …; ece_ts, nll_ts, …: after temperature scaling
  claims = {
    ls.claim{ "smoothed 0.1",  "lower",     "ece_debiased",    than = "one-hot", by = 0.01 },
    ls.claim{ "smoothed 0.02", "lower",     "ece_debiased",    than = "one-hot", by = 0.01 },
    ls.claim{ "smoothed 0.02", "lower",     "ece_debiased_ts", than = "one-hot", by = 0.01 },
    ls.claim{ "smoothed 0.1",  "not lower", "accuracy", than = "one-hot", within = 0.005 },
  },
}
experiment:run()    -- progress, a table with confidence intervals, a verdict per claim, figures, report.html; everything recorded
