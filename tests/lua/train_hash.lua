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
local m = ls.evaluate(model, data.test, { temperature_on = data.validation })
local names, parts = {}, { model:hash(), model(data.test.x):softmax():hash() }
for name in pairs(m) do names[#names + 1] = name end
table.sort(names)
for _, name in ipairs(names) do parts[#parts + 1] = ("%s=%a"):format(name, m[name]) end
print("hash " .. require "lsengine.c.nn".hash_text(table.concat(parts, " ")))
for site, blocks in pairs(require "lsengine.c.system".blocks()) do print(("blocks %s %d"):format(site, blocks)) end
