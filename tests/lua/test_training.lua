-- The same training as PyTorch's: losses of the first steps against those that tests/golden/training/training.py wrote down.
-- SPDX-License-Identifier: MIT
local t  = require "harness"
local ls = require "lsengine"

local BATCH, bars = 128, { gelu = 1e-4, tanh = 1e-4, relu = 1e-5 } -- relative; ReLU's first 20 steps
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
        local rows = order:narrow(step * BATCH + 1, BATCH)
        local loss = ls.loss.cross_entropy(model(data.train.x:gather(rows)), smooth(data.train.y:gather(rows)))
        worst = math.max(worst, math.abs(loss:item() / tonumber(want) - 1))
        optimizer:zero_grad()
        loss:backward()
        optimizer:step()
        collectgarbage "step"
        step = step + 1
      end
      t.is_true(step >= 20 and worst <= bars[activation], ("%d steps: worst relative difference %.2e"):format(step, worst))
      t.is_true(worst > 0) -- the numbers come from another program: equal to the last digit they would not be these
    end
  end
end

t.run()
