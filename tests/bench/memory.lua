-- Peak memory of training beyond what the process held before the model was made (library and data), beside the sum of what training needs: weights,
-- momentum, and the activations that gradients ask for (inputs of linear layers and convolutions, results of ReLU); and, apart, with
-- gradients. SPDX-License-Identifier: MIT
local ls = require "lsengine"
local o = ls.options{ model = "mlp", batch = 128, steps = 12 }
local rng, nn = ls.rng(1), ls.nn
local function status(name) return tonumber(io.open("/proc/self/status"):read("a"):match(name .. ":%s*(%d+)")) * 1024 end

local convnet, n = o.model == "convnet", o.batch * o.steps
local x = convnet and ls.tensor.rand(n, 1, 28, 28, { rng = rng }) or ls.tensor.rand(n, 784, { rng = rng })
local data = ls.data.new{ x = x, y = rng:integers(0, 9, n), classes = 10 }
local _ = ls.train, ls.nn, ls.target, ls.optim, ls.loss
collectgarbage()
local refs = io.open("/proc/self/clear_refs", "w")
refs:write "5" -- the peak begins here
refs:close()
local before = status "VmRSS"
local model
if convnet then
  model = nn.sequential({ nn.conv2d(1, 32, 3), nn.relu(), nn.conv2d(32, 64, 3), nn.relu(), nn.max_pool2d(2), nn.flatten(),
    nn.linear(9216, 128), nn.relu(), nn.linear(128, 10) }, { rng = rng })
else
  model = nn.mlp({ 784, 1200, 1200, 10 }, { rng = rng })
end
ls.train(model, data.train, { epochs = 1, batch = o.batch, rng = rng, target = ls.target.uniform(0.1), optimizer = ls.optim.sgd{ lr = 0.01, momentum = 0.9 } })
local weights = 0
for _, p in ipairs(model:parameters()) do weights = weights + p:count() end
local row = convnet and 784 + 32 * 26 * 26 + 64 * 24 * 24 + 9216 + 128 + 10 or 784 + 1200 + 1200 + 10
local sum = 8 * weights + 4 * row * o.batch
print(("peak\t%.4f\nweights, momentum, activations\t%.4f\nthese and gradients\t%.4f"):format((status "VmHWM" - before) / 1e6, sum / 1e6, (sum + 4 * weights) / 1e6))
