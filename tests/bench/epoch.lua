-- One epoch of Fashion-MNIST by ls.train, all that it does: checks, order of rows, batches, smoothed targets, loss, gradients, SGD with momentum and
-- weight decay. SPDX-License-Identifier: MIT
local ls    = require "lsengine"
local clock = require "lsengine.c.system".clock
local o = ls.options{ model = "mlp", batch = 128, rows = 60000 }
local rng, nn = ls.rng(1), ls.nn
local train = ls.data.load("fashion-mnist").train
if o.rows < 60000 then train = train:subset(rng:spawn "rows":permutation(60000):narrow(1, o.rows)) end
local model
if o.model == "mlp" then
  model = nn.mlp({ 784, 1200, 1200, 10 }, { rng = rng, init = "he_normal" })
else
  model = nn.sequential({ nn.conv2d(1, 32, 3), nn.relu(), nn.conv2d(32, 64, 3), nn.relu(), nn.max_pool2d(2), nn.flatten(),
    nn.linear(9216, 128), nn.relu(), nn.linear(128, 10) }, { rng = rng })
end
local began = clock()
local history = ls.train(model, train, { epochs = 1, batch = o.batch, rng = rng, target = ls.target.uniform(0.1),
  optimizer = ls.optim.sgd{ lr = 0.05, momentum = 0.9, weight_decay = 5e-4 } })
print(("epoch\t%.6f\n=\tmean loss\t%.6f"):format(clock() - began, history[1].loss))
