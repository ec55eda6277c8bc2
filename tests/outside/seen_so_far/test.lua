local ls = require "lsengine"
local seen_so_far = require "seen_so_far"

local report = ls.target.check(seen_so_far{ epsilon = 0.3 }, { classes = 4 })
print(report)
assert(report.ok)

-- the prior of the second epoch is the mean prediction of the first
local scheme = seen_so_far{ epsilon = 0.5 }
local z = ls.tensor.randn(8, 3, { rng = ls.rng(1) }):requires_grad()
ls.loss.cross_entropy(z, scheme({ 0, 1, 2, 0, 1, 2, 0, 1 })):backward()
local before = scheme({ 0 }):rows(3)[1][2]
scheme:end_epoch()
local mean = z:detach():softmax():mean(1)
assert(math.abs(before - 0.5 / 3) < 1e-6 and math.abs(scheme({ 0 }):rows(3)[1][2] - 0.5 * mean[2]) < 1e-6)

-- broken off and gone on: the same weights
local data = ls.data.load "satellite".test
local function go(file, at)
  local rng = ls.rng(2)
  local model = ls.nn.mlp({36, 6}, { rng = rng })
  ls.train(model, data, { target = seen_so_far{}, epochs = 3, batch = 200, rng = rng, optimizer = ls.optim.sgd{ lr = 0.1 },
    checkpoint = file and { file = file, every_steps = 2 }, on_batch = at and function(step) if step == at then error "broken off" end end })
  return model:hash()
end
local file = os.tmpname()
os.remove(file)
assert(not pcall(go, file, 15))
assert(go(file) == go())
os.remove(file)
print "passed"
