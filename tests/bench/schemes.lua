-- Loss and gradient through Lua on targets of schemes: built in, written in Lua in compact form, in Lua with dense rows. Prints lines as the
-- compiled benchmarks do. SPDX-License-Identifier: MIT
local ls = require "lsengine"
local clock = require "lsengine.c.system".clock
local o = ls.options{ rows = 8192, classes = 1000, rounds = 5 }
local rng = ls.rng(1)
local plain = ls.tensor.randn(o.rows, o.classes, { rng = rng }) * 3
local labels = {}
for i = 1, o.rows do labels[i] = rng:integers(0, o.classes - 1) end
labels = ls.labels(labels)

local compact = ls.target.define{
  name = "bench_compact", parameters = { epsilon = { min = 0, max = 1, default = 0.1 } },
  soften = function(self, y) return ls.target.uniform(self.epsilon)(y) end,
}
local dense = ls.target.define{
  name = "bench_dense", parameters = { epsilon = { min = 0, max = 1, default = 0.1 } },
  soften = function(self, y, context) return ls.target.uniform(self.epsilon)(y):rows(context.classes) end,
}
local weighted = ls.target.define{
  name = "bench_weighted", parameters = { epsilon = { min = 0, max = 1, default = 0.1 } },
  soften = function(self, y) return ls.target.weighted{ { y, 1 - self.epsilon }, { y, self.epsilon } } end,
}
local items = {
  { "built in", ls.target.uniform(0.1) }, { "Lua, compact", compact{ epsilon = 0.1 } }, { "Lua, weighted labels", weighted{ epsilon = 0.1 } }, { "Lua, dense rows", dense{ epsilon = 0.1 } },
}
local times = {}
for r = 0, o.rounds do
  for i, item in ipairs(items) do
    collectgarbage()
    local logits = plain:detach():requires_grad()
    local began = clock()
    local loss = ls.loss.cross_entropy(logits, item[2](labels))
    loss:backward()
    local spent = clock() - began
    times[i] = times[i] or {}
    if r > 0 then table.insert(times[i], spent) end
  end
end
for i, item in ipairs(items) do
  local t = times[i]
  table.sort(t)
  local function at(part) return ("%.9g"):format(t[math.min(#t, math.floor(#t * part) + 1)]) end
  print(table.concat({ item[1], at(0.5), at(0), at(0.25), at(0.75) }, "\t"))
end
