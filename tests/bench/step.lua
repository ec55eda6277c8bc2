-- The training that step.c does from C, by ls.train; prints the median over epochs of a step's time, and the last epoch's mean loss.
-- SPDX-License-Identifier: MIT
local ls = require "lsengine"
local o = ls.options{ epochs = 2, rows = 2560, batch = 128, sizes = "784-1200-1200-10" }
local sizes = {}
for size in o.sizes:gmatch "%d+" do sizes[#sizes + 1] = math.tointeger(size) end
local rng = ls.rng(1)
local data = ls.data.new{ x = ls.tensor.randn(o.rows, sizes[1], { rng = rng:spawn "x" }), y = rng:spawn "y":integers(0, sizes[#sizes] - 1, o.rows), classes = sizes[#sizes] }
local model = ls.nn.mlp(sizes, { rng = rng, init = "he_normal" })
local history, times = ls.train(model, data.train, {
  epochs = o.epochs, batch = o.batch, rng = rng, target = ls.target.uniform(0.1), optimizer = ls.optim.sgd{ lr = 0.1, momentum = 0.9 },
}), {}
for i, entry in ipairs(history) do times[i] = entry.seconds / math.ceil(o.rows / o.batch) end
table.sort(times)
print(("step by ls.train\t%.9g\n=\tmean loss by ls.train\t%.9g"):format(times[#times // 2 + 1], history[#history].loss))
