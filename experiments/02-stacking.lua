-- 02. What happens when smoothing is stacked on mixing?
--
-- Claimed. Label smoothing on top of mixup or cutmix is said to count the softening twice. The arithmetic says less: both are linear, so smoothing a
-- mixed label is mixing a smoothed one, and training recipes (timm, DeiT: ε = 0.1 with mixup 0.8 and cutmix 1.0) do it on purpose, once. What is left to claim is
-- that softness adds up to underconfidence (Wen et al. 2021 say so of mixup and ensembles). Of mixup alone, Thulasidasan et al. (2019) say that it calibrates;
-- "On the pitfall of mixup" (CVPR 2023) says that it makes networks harder to calibrate afterwards.
--
-- The experiment is a factorial: ε × mix, every combination with the same seeds, the model judged before and after temperature scaling. Main effects and
-- interactions are printed with their intervals: an interaction away from 0 says that smoothing does something else on a mixed target than on a plain one.
--
--   lsengine run experiments/02-stacking.lua                          satellite, an MLP, mixup: 2 to 30 seconds
--   lsengine run experiments/02-stacking.lua --set data=digits        8×8 images, a convnet, mixup and cutmix
--   lsengine run experiments/02-stacking.lua --set data=fashion-mnist  28×28 images, the convnet; the long one
local ls = require "lsengine"
local o  = ls.options{ data = "satellite", epochs = 0, alpha = 1.0 }

local settings = {
  satellite         = { mlp = { 36, 128, 6 }, epochs = 40, batch = 64, lr = 0.1 },
  letter            = { mlp = { 16, 128, 26 }, epochs = 15, batch = 64, lr = 0.1 },
  digits            = { image = { 1, 8, 8 }, epochs = 40, batch = 64, lr = 0.05 },
  ["fashion-mnist"] = { image = { 1, 28, 28 }, epochs = 3, batch = 128, lr = 0.05 },
}
local set    = settings[o.data] or error("--set data is " .. o.data .. ", allowed are satellite, letter, digits, fashion-mnist")
local epochs = o.epochs ~= 0 and o.epochs or set.epochs
local data   = ls.data.load(o.data):split{ validation = 0.2 }

local function model_of(rng)
  if set.mlp then return ls.nn.mlp(set.mlp, { rng = rng, init = "he_normal" }) end
  return ls.nn.convnet({ input = set.image, classes = data.classes }, { rng = rng })
end

local none        = { epsilon = 0, mix = "none" }
local mixed, both  = { epsilon = 0, mix = "mixup" }, { epsilon = 0.1, mix = "mixup" }
local claims = {
  -- stacking harms calibration, and makes less sure than mixing alone does
  ls.claim{ both, "higher", "ece_debiased", than = mixed, by = 0.01 },
  ls.claim{ both, "lower", "confidence_gap", than = mixed, by = 0.01 },
  -- it counts double: it does more harm than smoothing does alone
  ls.claim{ interaction = { epsilon = 0.1, mix = "mixup" }, "higher", "ece_debiased", by = 0.01 },
  -- accuracy does not suffer from stacking
  ls.claim{ both, "not lower", "accuracy", than = mixed, within = 0.005 },
  -- mixup alone calibrates; and it leaves a network that temperature scaling repairs less well
  ls.claim{ mixed, "lower", "ece_debiased", than = none, by = 0.01 },
  ls.claim{ mixed, "higher", "ece_debiased_ts", than = none, by = 0.01 },
}
local mixes = { "none", "mixup" }
if set.image then
  mixes[3] = "cutmix"
  claims[#claims + 1] = ls.claim{ { epsilon = 0.1, mix = "cutmix" }, "higher", "ece_debiased", than = { epsilon = 0, mix = "cutmix" }, by = 0.01 }
  claims[#claims + 1] = ls.claim{ { epsilon = 0, mix = "cutmix" }, "lower", "ece_debiased", than = none, by = 0.01 }
end

ls.experiment{
  name  = ("02 stacking: smoothing on mixed targets (%s)"):format(o.data),
  grid  = { epsilon = { 0, 0.1 }, mix = mixes },
  seeds = 10,
  trial = function(arm, rng)
    local model = model_of(rng)
    ls.train(model, data.train, {
      target = ls.target.uniform(arm.epsilon),
      mix    = arm.mix ~= "none" and ls.mix[arm.mix]{ alpha = o.alpha } or nil,
      epochs = epochs, batch = set.batch, rng = rng, optimizer = ls.optim.sgd{ lr = set.lr, momentum = 0.9 }, schedule = ls.optim.cosine{},
      allow  = { "stacked-softening" }, -- the pitfall is what is studied
    })
    return ls.evaluate(model, data.test, { temperature_on = data.validation })
  end,
  claims = claims,
}:run()
