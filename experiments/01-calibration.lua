-- 01. Does label smoothing calibrate?
--
-- Claimed. Müller, Kornblith and Hinton (2019, table 3): smoothing with ε = 0.05 or 0.1 brings the expected calibration error down about as
-- far as temperature scaling does (CIFAR-100, ResNet-56: .150 without, .024 with ε = 0.05, .021 after scaling). Since then ε = 0.1 has been
-- passed on as a universal default.
--
-- Why it may not hold. Smoothing pulls the confidence of every prediction to about 1-ε+ε/K, whether the model is right as often as that or
-- not. A model that fits its training set then ends overconfident for a small ε and underconfident for a large one, and the best ε lies
-- near (1-a)·K/(K-1), where a is the accuracy on rows not trained on. The arm "matched" takes that one, with a from the validation rows.
--
-- Every claim is about the debiased error: the plain one of a calibrated model is not zero. Temperature scaling is the rival that costs nothing
-- in training: the last claim asks whether smoothing still helps when both are scaled.
--
--   lsengine run experiments/01-calibration.lua                          satellite: 4 to 30 seconds
--   lsengine run experiments/01-calibration.lua --set data=fashion-mnist  the long one: 11 to 30 minutes
local ls = require "lsengine"
local o  = ls.options{ data = "satellite", epochs = 0 }

local settings = {
  satellite         = { sizes = { 36, 128, 6 }, epochs = 40, batch = 64 },
  ["fashion-mnist"] = { sizes = { 784, 256, 256, 10 }, epochs = 15, batch = 128 },
}
local set    = settings[o.data] or error("--set data is " .. o.data .. ", allowed are satellite, fashion-mnist")
local epochs = o.epochs ~= 0 and o.epochs or set.epochs
local data   = ls.data.load(o.data):split{ validation = 0.2 }
local K      = data.classes

local function train(epsilon, rng)
  local model = ls.nn.mlp(set.sizes, { rng = rng, init = "he_normal" })
  ls.train(model, data.train, {
    target = ls.target.uniform(epsilon), epochs = epochs, batch = set.batch, rng = rng,
    optimizer = ls.optim.sgd{ lr = 0.1, momentum = 0.9 }, schedule = ls.optim.cosine{},
  })
  return model
end

local arms, fixed = {}, {}
for _, epsilon in ipairs{ 0, 0.01, 0.02, 0.05, 0.1, 0.2 } do
  local name = epsilon == 0 and "one-hot" or ("smoothed %g"):format(epsilon)
  arms[#arms + 1] = { name, epsilon = epsilon }
  fixed[#fixed + 1] = name
end
arms[#arms + 1] = { "one-hot, scaled", epsilon = 0, scaled = true }
arms[#arms + 1] = { "matched", matched = true }

ls.experiment{
  name  = ("01 calibration: does label smoothing calibrate? (%s)"):format(o.data),
  seeds = 10,
  arms  = arms,
  trial = function(arm, rng, seed)
    local epsilon = arm.epsilon
    if arm.matched then -- the one-hot arm of this very seed, once more
      local accuracy = ls.evaluate(train(0, ls.rng(seed)), data.validation).accuracy
      epsilon = (1 - accuracy) * K / (K - 1)
    end
    local m = ls.evaluate(train(epsilon, rng), data.test, { temperature_on = data.validation })
    if arm.scaled then -- the same model, judged after temperature scaling
      for name in pairs(m) do
        if m[name .. "_ts"] then m[name] = m[name .. "_ts"] end
      end
    end
    m.epsilon = epsilon
    return m
  end,
  claims = {
    -- the universal default
    ls.claim{ "smoothed 0.1", "lower", "ece_debiased", than = "one-hot", by = 0.01 },
    -- an ε matched to the accuracy is as good as any fixed one
    ls.claim{ "matched", "not higher", "ece_debiased", than = fixed, within = 0.01 },
    -- with temperature scaling on both sides smoothing still helps
    ls.claim{ "smoothed 0.1", "lower", "ece_debiased_ts", than = "one-hot", by = 0.01 },
  },
}:run()
