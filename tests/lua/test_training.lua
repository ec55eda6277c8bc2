-- The same training as PyTorch's: losses of the first steps against those that tests/golden/training/training.py wrote down.
-- SPDX-License-Identifier: MIT
local t  = require "harness"
local ls = require "lsengine"

-- Relative. Of ReLU the first 12 steps: then one input is on the other side of 0, by the order of summation alone (as in PyTorch itself with another number
-- of threads), and the runs part.
local BATCH, bars, steps = 128, { gelu = 1e-4, tanh = 1e-4, relu = 1e-6 }, { gelu = 200, tanh = 200, relu = 12 }
local installed, data = pcall(ls.data.load, "fashion-mnist")

for line in io.lines "tests/golden/training/pytorch-losses.txt" do
  local activation, epsilon, rest = line:match "^(%a+) ([%d.]+) (.*)"
  if activation then
    t.tests[("losses_with_%s_and_epsilon_%s"):format(activation, epsilon)] = function()
      if not installed then t.skip "fashion-mnist is not installed" end
      local rng = ls.rng(1)
      local order = rng:spawn "order":permutation(60000)
      local model = ls.nn.mlp({ 784, 256, 256, 10 }, { rng = ls.rng(1), activation = activation, init = "he_normal" })
      local optimizer, smooth = ls.optim.sgd(model:parameters(), { lr = 0.1, momentum = 0.9 }), ls.target.uniform(tonumber(epsilon))
      local step, worst = 0, 0
      for want in rest:gmatch "%S+" do
        if step == steps[activation] then break end
        local rows = order:narrow(step * BATCH + 1, BATCH)
        local loss = ls.loss.cross_entropy(model(data.train.x:gather(rows)), smooth(data.train.y:gather(rows)))
        worst = math.max(worst, math.abs(loss:item() / tonumber(want) - 1))
        optimizer:zero_grad()
        loss:backward()
        optimizer:step()
        collectgarbage "step"
        step = step + 1
      end
      t.is_true(step == steps[activation] and worst <= bars[activation], ("%d steps: worst relative difference %.2e"):format(step, worst))
      t.is_true(worst > 0) -- the numbers come from another program: equal to the last digit they would not be these
    end
  end
end

-- The convnet conv 32, conv 64, pool, fc 128 with GELU, rows in their order: tests/golden/training/convnet.py.
function t.tests.losses_of_a_convnet()
  if not installed then t.skip "fashion-mnist is not installed" end
  local nn, numbers = ls.nn, {}
  for line in io.lines "tests/golden/training/convnet-losses.txt" do
    if line:sub(1, 1) ~= "#" then for v in line:gmatch "%S+" do numbers[#numbers + 1] = tonumber(v) end end
  end
  local model = nn.sequential({ nn.conv2d(1, 32, 3), nn.gelu(), nn.conv2d(32, 64, 3), nn.gelu(), nn.max_pool2d(2), nn.flatten(), nn.linear(9216, 128), nn.gelu(), nn.linear(128, 10) },
    { rng = ls.rng(1) }):train()
  local optimizer, worst = ls.optim.sgd(model:parameters(), { lr = 0.05, momentum = 0.9 }), 0
  for step, want in ipairs(numbers) do
    local loss = ls.loss.cross_entropy(model(data.train.x:narrow(1, (step - 1) * BATCH + 1, BATCH)), data.train.y:narrow((step - 1) * BATCH + 1, BATCH))
    worst = math.max(worst, math.abs(loss:item() / want - 1))
    optimizer:zero_grad()
    loss:backward()
    optimizer:step()
    collectgarbage "step"
  end
  t.is_true(#numbers == 50 and worst <= 1e-3, ("worst relative difference %.2e"):format(worst))
end

t.run()
