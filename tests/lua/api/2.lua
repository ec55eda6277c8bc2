local ls  = require "lsengine"
local rng = ls.rng(42)
local data  = ls.data.load "fashion-mnist"
local model = ls.nn.mlp({784, 256, 256, 10}, { rng = rng })         -- flattens its input
local smooth, mixup = ls.target.uniform(0.1), ls.mix.mixup{ alpha = 0.2 }
local optimizer = ls.optim.sgd(model:parameters(), { lr = 0.1, momentum = 0.9 })

for epoch = 1, 5 do
  for x, y in data.train:batches(128, { rng = rng }) do  -- x: [128, 1, 28, 28] float tensor in 0 … 1, y: labels
    local mixed, target = mixup(x, y, rng)               -- target: λ, and both labels; no N×K matrix is built
    local loss = ls.loss.cross_entropy(model(mixed), smooth(target))
    optimizer:zero_grad()
    loss:backward()
    optimizer:step()
  end
  print(epoch, ls.evaluate(model, data.test).accuracy)
end
