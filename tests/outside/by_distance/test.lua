local ls = require "lsengine"
local by_distance = require "by_distance"

local report = ls.target.check(by_distance{ epsilon = 0.3, reach = 2 }, { classes = 6 })
print(report)
assert(report.ok)
local q = by_distance{ epsilon = 0.3, reach = 2 }({ 1 }):rows(4)
local sum = math.exp(-0.5) + math.exp(-0.5) + math.exp(-1)
assert(math.abs(q[1][1] - 0.3 * math.exp(-0.5) / sum) < 1e-6 and math.abs(q[1][2] - 0.7) < 1e-6)

local function message(f, ...) return tostring(select(2, pcall(f, ...))) end
assert(message(function() return by_distance{ reach = 0 } end):find("by_distance: reach is 0, allowed is any finite number above 0", 1, true))
assert(message(function() return by_distance{ raech = 1 } end):find("did you mean reach?", 1, true))
assert(message(function() return by_distance{}({ 0 }):rows(1) end):find("there is 1 class, at least 2 are required", 1, true))
local stale = assert(package.loadlib(package.searchpath("by_distance", package.cpath), "luaopen_by_distance_stale"))
assert(message(stale):find("built for version 2", 1, true), message(stale))

local rng, data = ls.rng(1), ls.data.load "satellite"
local model = ls.nn.mlp({36, 32, 6}, { rng = rng })
ls.train(model, data.train, { target = by_distance{}, epochs = 2, batch = 64, rng = rng, optimizer = ls.optim.sgd{ lr = 0.1, momentum = 0.9 } })
assert(ls.evaluate(model, data.test).accuracy > 0.75)
print "passed"
