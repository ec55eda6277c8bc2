-- 04. Does label smoothing harm selective prediction?
--
-- Claimed. Xia et al. (2024): a model that may decline to answer loses by smoothing, since it knows less well which rows it gets wrong. The area under the risk-coverage curve (AURC: the
-- error rate among the surest rows, averaged over how many are answered) rises from 1.63 to 2.11 % on Bank Marketing and from 2.98 to 3.56 % on Online Shoppers at ε = 0.4, with one
-- seed each. The reason given: smoothing holds the largest logit down the more, the surer the model is right. And it can be repaired: ranking by the largest logit over the logits'
-- length (Cattelan and Silva 2023) instead of the largest probability.
--
-- Why one ought to look again. AURC falls with every error that a model makes less, whatever it knows of its errors: so the AUROC of right against wrong rows, which does not depend on their
-- number, stands beside it. A temperature reorders rows, too, where there are more than two classes: the rival of the normalised logit that every calibrated model has already.
--
-- Each model is judged by three scores, each an arm: the largest probability; the same after temperature scaling on validation rows ("scaled"); the normalised logit, max z' / |z'| with
-- z' = z - mean z ("normalised"). Scores are computed in double: in single precision sure rows tie at probability 1, which harms one-hot training alone.
--
--   lsengine run experiments/04-selective.lua                          satellite: 2 to 15 seconds
--   lsengine run experiments/04-selective.lua --set data=letter        digits, fashion-mnist: the longer ones
local ls = require "lsengine"
local o  = ls.options{ data = "satellite", epochs = 0 }

local settings = {
  satellite         = { mlp = { 36, 128, 6 }, epochs = 40, batch = 64, lr = 0.1 },
  letter            = { mlp = { 16, 128, 26 }, epochs = 15, batch = 64, lr = 0.1 },
  digits            = { image = { 1, 8, 8 }, epochs = 40, batch = 64, lr = 0.05 },
  ["fashion-mnist"] = { mlp = { 784, 128, 10 }, epochs = 6, batch = 128, lr = 0.1, train = 12000 }, -- rows, drawn by the seed
}
local set    = settings[o.data] or error("--set data is " .. o.data .. ", allowed are satellite, letter, digits, fashion-mnist")
local epochs = o.epochs ~= 0 and o.epochs or set.epochs
local data   = ls.data.load(o.data):split{ validation = 0.2 }

local arms, scores = {}, { { "", "max_probability" }, { ", scaled", "max_probability" }, { ", normalised", "normalised_logit" } }
for _, epsilon in ipairs{ 0, 0.1, 0.2, 0.4 } do
  for _, score in ipairs(scores) do
    arms[#arms + 1] = { (epsilon == 0 and "one-hot" or ("smoothed %g"):format(epsilon)) .. score[1], epsilon = epsilon, score = score[2], scaled = score[1] == ", scaled" }
  end
end

local function train(epsilon, rng)
  local rows = set.train and data.train:subset(rng:spawn "rows":permutation(#data.train):narrow(1, set.train)) or data.train
  local model = set.mlp and ls.nn.mlp(set.mlp, { rng = rng, init = "he_normal" }) or ls.nn.convnet({ input = set.image, classes = data.classes }, { rng = rng })
  ls.train(model, rows, {
    target = ls.target.uniform(epsilon), epochs = epochs, batch = set.batch, rng = rng,
    optimizer = ls.optim.sgd{ lr = set.lr, momentum = 0.9 }, schedule = ls.optim.cosine{},
  })
  return ls.predict(model, data.test), ls.evaluate(model, data.test, { temperature_on = data.validation })
end

ls.experiment{
  name  = ("04 selective prediction: does the model know what it gets wrong? (%s)"):format(o.data),
  seeds = 10,
  arms  = arms,
  allow = { "epsilon-too-large" }, -- the published figures are those of ε = 0.4
  trial = function(arm, rng, _, once)
    local logits, m = once(arm.epsilon, function() return train(arm.epsilon, rng) end) -- three arms judge one model
    local s = ls.eval.selective(logits, data.test.y, { score = arm.score, temperature = arm.scaled and m.temperature or 1 })
    return { accuracy = m.accuracy, temperature = m.temperature, aurc = s.aurc, excess_aurc = s.excess_aurc, auroc = s.auroc, risk_at_80 = s.risk_at_coverage[0.8] }
  end,
  claims = {
    -- smoothing harms, at the usual dose and at the published one
    ls.claim{ "smoothed 0.1", "higher", "aurc", than = "one-hot", by = "10%" },
    ls.claim{ "smoothed 0.4", "higher", "aurc", than = "one-hot", by = "10%" },
    -- it knows its errors less well, whatever their number
    ls.claim{ "smoothed 0.1", "lower", "auroc", than = "one-hot", by = 0.01 },
    ls.claim{ "smoothed 0.4", "lower", "auroc", than = "one-hot", by = 0.01 },
    -- the normalised logit repairs it: better than the probability, and no worse than one-hot training by its better score
    ls.claim{ "smoothed 0.4, normalised", "lower", "aurc", than = "smoothed 0.4", by = "10%" },
    ls.claim{ "smoothed 0.4, normalised", "not higher", "aurc", than = { "one-hot", "one-hot, scaled", "one-hot, normalised" }, within = "10%" },
    -- a temperature repairs it as well
    ls.claim{ "smoothed 0.4, scaled", "not higher", "aurc", than = "smoothed 0.4, normalised", within = "10%" },
  },
}:run()
