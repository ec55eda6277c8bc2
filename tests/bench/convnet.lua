-- Median time of a training step of the convnet conv 32, conv 64, pool, fc 128, in milliseconds. SPDX-License-Identifier: MIT
local ls    = require "lsengine"
local clock = require "lsengine.c.system".clock
local o = ls.options{ steps = 30, batch = 128 }
local rng, nn = ls.rng(1), ls.nn
local model = nn.sequential({ nn.conv2d(1, 32, 3), nn.relu(), nn.conv2d(32, 64, 3), nn.relu(), nn.max_pool2d(2), nn.flatten(),
  nn.linear(9216, 128), nn.relu(), nn.linear(128, 10) }, { rng = rng })
local n = o.batch * o.steps
local data = ls.data.new{ x = ls.tensor.rand(n, 1, 28, 28, { rng = rng }), y = rng:integers(0, 9, n), classes = 10 }
local optimizer = ls.optim.sgd(model:parameters(), { lr = 0.05, momentum = 0.9 })
local times = {}
model:train()
for x, y in data.train:batches(o.batch, { rng = rng }) do
  local began = clock()
  local loss = ls.loss.cross_entropy(model(x), y)
  optimizer:zero_grad()
  loss:backward()
  optimizer:step()
  if collectgarbage "count" > 32 * 1024 then collectgarbage "step" end
  times[#times + 1] = (clock() - began) * 1e3
end
table.sort(times)
print(("%.3f"):format(times[#times // 2 + 1]))
