-- Loss and gradient through Lua on targets of schemes: built in, written in Lua in compact form, in Lua with dense rows. Prints lines as the
-- compiled benchmarks do. SPDX-License-Identifier: MIT
local ls = require "lsengine"
local timing = require "timing"
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
local function loss_of(target)
  return function(logits) ls.loss.cross_entropy(logits, target(labels)):backward() end
end
timing.measure({
  { "built in", loss_of(ls.target.uniform(0.1)) }, { "Lua, compact", loss_of(compact{ epsilon = 0.1 }) }, { "Lua, weighted labels", loss_of(weighted{ epsilon = 0.1 }) },
  { "Lua, dense rows", loss_of(dense{ epsilon = 0.1 }) },
}, o.rounds, function() return plain:detach():requires_grad() end)
