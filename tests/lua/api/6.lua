local ls = require "lsengine"
local data = ls.data.load("fashion-mnist"):split{ validation = 5000 }
ls.experiment{
  name = "stacking",
  grid = {                                               -- instead of arms: every combination is an arm
    epsilon = { 0, 0.1 },
    mix     = { "none", "mixup", "cutmix" },
  },
  seeds = 6,
  trial = function(arm, rng)
    local model = ls.nn.convnet({ input = {1, 28, 28}, classes = 10 }, { rng = rng })
    ls.train(model, data.train, {
      target = ls.target.uniform(arm.epsilon),
      mix    = arm.mix ~= "none" and ls.mix[arm.mix]{ alpha = 1.0 } or nil,
      epochs = 3, batch = 128, rng = rng, optimizer = ls.optim.sgd{ lr = 0.05, momentum = 0.9 },
      allow  = { "stacked-softening" },                  -- the pitfall is what we study: silence its warning here
    })
    return ls.evaluate(model, data.test, { temperature_on = data.validation })
  end,
  claims = {
    ls.claim{ { epsilon = 0.1, mix = "mixup" }, "higher", "ece_debiased", than = { epsilon = 0, mix = "mixup" }, by = 0.01 },
    ls.claim{ interaction = { epsilon = 0.1, mix = "mixup" }, "higher", "ece_debiased", by = 0.01 },   -- against each factor's first level: one contrast, one claim
  },
}:run()
