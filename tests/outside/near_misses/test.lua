local ls = require "lsengine"
local near_misses = require "near_misses"

local report = ls.target.check(near_misses{ epsilon = 0.4 }, { classes = 5 })
print(report)
assert(report.ok)
local rows = near_misses{ epsilon = 0.4 }({ 0, 2, 4 }):rows(5)
assert(math.abs(rows[1][2] - 0.4) < 1e-6 and math.abs(rows[2][2] - 0.2) < 1e-6 and math.abs(rows[3][4] - 0.4) < 1e-6)

local rng, data = ls.rng(1), ls.data.load "satellite"
local model = ls.nn.mlp({36, 32, 6}, { rng = rng })
ls.train(model, data.train, { target = near_misses{}, mix = ls.mix.mixup{ alpha = 0.2 }, allow = { "stacked-softening" }, class_weights = "balanced",
  epochs = 3, batch = 64, rng = rng, optimizer = ls.optim.sgd{ lr = 0.1, momentum = 0.9 } })
assert(ls.evaluate(model, data.test).accuracy > 0.75)
print "passed"
