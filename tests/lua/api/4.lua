local ls = require "lsengine"
local function confidence_penalty(logits, target, beta)  -- Pereyra et al. 2017
  local log_p = logits:log_softmax()
  local entropy = -(log_p:exp() * log_p):sum(2):mean()
  return ls.loss.cross_entropy(logits, target) - beta * entropy
end
local rng, data = ls.rng(1), ls.data.load "letter"
local model = ls.nn.mlp({16, 64, 26}, { rng = rng })
ls.train(model, data.train, { epochs = 3, batch = 128, rng = rng, optimizer = ls.optim.adam{ lr = 1e-3 },
  loss = function(logits, target) return confidence_penalty(logits, target, 0.1) end })
print(ls.evaluate(model, data.test).accuracy)
