-- Trains with all that ls.train has, and prints one hash over the model, the history and the stream: see test_reproducible.lua.
-- SPDX-License-Identifier: MIT
local ls = require "lsengine"
local o = ls.options{ pixels = 1, stop = 0, file = "" }
local rng = ls.rng(5)
local data = ls.data.load "digits":split{ validation = 190 }
local model = ls.nn.mlp({ 64, 300, 200, 10 }, { rng = rng, dropout = 0.1, activation = "gelu" })
local history = ls.train(model, data.train, {
  epochs = 4, batch = 601, accumulate = 2, rng = rng, optimizer = ls.optim.adamw{ lr = 1e-2 }, schedule = ls.optim.cosine{ warmup = 0.5 },
  target = ls.target.uniform(0.1), class_weights = "balanced", clip_norm = 1, average = { decay = 0.8, start = 1 },
  augment = { ls.augment.shift{ pixels = o.pixels }, ls.augment.crop{ size = { 8, 8 }, padding = 1 }, ls.augment.flip{ horizontal = 0.1 }, ls.augment.erase{ probability = 0.3 } },
  validation = data.validation, early_stopping = { metric = "nll", patience = 3 }, evaluate_every = 2,
  checkpoint = o.file ~= "" and { file = o.file, every_steps = 1 } or nil,
  on_epoch = o.stop > 0 and function(epoch) if epoch == 3 then error "stopped" end end or nil,
})
local parts = { model:hash(), rng:raw() }
for _, entry in ipairs(history) do
  local names = {}
  for name in pairs(entry) do if name ~= "seconds" then names[#names + 1] = name end end
  table.sort(names)
  for _, name in ipairs(names) do parts[#parts + 1] = ("%s=%a"):format(name, entry[name]) end
end
print("hash " .. require "lsengine.c.nn".hash_text(table.concat(parts, " ")))
for site, blocks in pairs(require "lsengine.c.system".blocks()) do print(("blocks %s %d"):format(site, blocks)) end
