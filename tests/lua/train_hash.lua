-- Trains, and prints one hash over weights and measures: see test_reproducible.lua. SPDX-License-Identifier: MIT
local ls = require "lsengine"
local o = ls.options{ sabotage = false }
local rng = ls.rng(5)
local data = ls.data.load "letter":split{ validation = 2000 }
local model = ls.nn.mlp({ 16, 300, 200, 26 }, { rng = rng, dropout = 0.1, activation = "gelu" })
local order = {}
for i = 1, 127 * 7 + 50 do order[i] = i end
if o.sabotage then order[1], order[2] = order[2], order[1] end
local part = data.train:subset(ls.labels(order))
local optimizer = ls.optim.adamw(model:parameters(), { lr = 1e-3 })
model:train()
for x, y in part:batches(127) do -- in their own order: a swap moves two rows within one batch
  local logits = model(x)
  local log_p = logits:log_softmax()
  local loss = ls.loss.cross_entropy(logits, ls.target.uniform(0.1)(y)) + 0.01 * (log_p:exp() * log_p):sum(2):mean()
  optimizer:zero_grad()
  loss:backward()
  ls.optim.clip_norm(model:parameters(), 1)
  optimizer:step()
end
ls.train(model, data.train, { epochs = 1, batch = 2000, rng = rng, target = ls.target.uniform(0.1), optimizer = ls.optim.sgd{ lr = 0.05, momentum = 0.9 } })

-- Convolution, pooling, normalisation and mixing, on a ragged batch, too.
local digits, nn, mixes = ls.data.load "digits", ls.nn, { ls.mix.mixup{ alpha = 1, mode = "row", in_place = true }, ls.mix.cutmix{ alpha = 1, mode = "pair" },
  ls.mix.regmixup{ alpha = 10, eta = 0.5 }, ls.mix.kernel_warping{ alpha = 1 } }
local net = nn.sequential({ nn.conv2d(1, 24, 3, { padding = 1 }), nn.batch_norm(24), nn.relu(), nn.max_pool2d(2), nn.conv2d(24, 12, 3, { groups = 2 }), nn.flatten(),
  nn.batch_norm(48), nn.linear(48, 70), nn.layer_norm(70), nn.tanh(), nn.linear(70, 10) }, { rng = rng })
local steps = ls.optim.sgd(net:parameters(), { lr = 0.1, momentum = 0.9 })
net:train()
local count = 0
for x, y in digits.train:batches(127, { rng = rng }) do
  count = count + 1
  local mixed, target = mixes[count % 4 + 1](x, y, rng)
  local loss = ls.loss.cross_entropy(net(mixed), target)
  steps:zero_grad()
  loss:backward()
  steps:step()
end
net:eval()

local m = ls.evaluate(model, data.test, { temperature_on = data.validation })
local names, parts = {}, { model:hash(), model(data.test.x):softmax():hash(), net:hash(), net(digits.test.x):hash() }
for name in pairs(m) do names[#names + 1] = name end
table.sort(names)
for _, name in ipairs(names) do parts[#parts + 1] = ("%s=%a"):format(name, m[name]) end
print("hash " .. require "lsengine.c.nn".hash_text(table.concat(parts, " ")))
for site, blocks in pairs(require "lsengine.c.system".blocks()) do print(("blocks %s %d"):format(site, blocks)) end
