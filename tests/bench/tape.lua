-- The cost of Lua on the tape: an operation on tensors so small that arithmetic is nothing, forward and backward; and a step of ls.train at 64-128-10, batch
-- 64, with its pitfalls checked and with all of them allowed. For --threads 1. SPDX-License-Identifier: MIT
local ls    = require "lsengine"
local clock = os.clock -- the processor's time: of one thread that waits for nothing
local o = ls.options{ operations = 2000, repeats = 25, steps = 400 }

local function median(list)
  table.sort(list)
  return list[(#list + 1) // 2]
end

-- One operation in a chain of them.
local function chain(name, next_of, backward)
  local times = {}
  for i = 1, o.repeats do
    local x = ls.tensor{ 1, 2, 3, 4 }:requires_grad()
    local b = ls.tensor{ 1, 1, 1, 1 }
    local began, y = clock(), x
    for _ = 1, o.operations do y = next_of(y, b) end
    if backward then y:backward(b) end
    times[i] = (clock() - began) / o.operations
  end
  print(name, ("%.9g"):format(median(times)))
end
chain("add, forward", function(y, b) return y + b end, false)
chain("add, forward and backward", function(y, b) return y + b end, true)
chain("relu, forward and backward", function(y) return y:relu() end, true)
chain("mul, forward and backward", function(y, b) return y * b end, true)

-- A step, by the moments at which losses are asked for.
local function steps(allow)
  local rng = ls.rng(1)
  local data = ls.data.new{ x = ls.tensor.randn(64 * o.steps, 64, { rng = rng }), y = rng:integers(0, 9, 64 * o.steps), classes = 10 }
  local times, before = {}, nil
  ls.train(ls.nn.mlp({ 64, 128, 10 }, { rng = rng }), data.train, { epochs = 1, batch = 64, rng = rng, target = ls.target.uniform(0.1), allow = allow,
    optimizer = ls.optim.sgd{ lr = 0.1, momentum = 0.9 },
    on_batch = function()
      local now = clock()
      if before then times[#times + 1] = now - before end
      before = now
    end })
  return median(times)
end
local all = {}
for name in pairs(require "lsengine.pitfalls".known) do all[#all + 1] = name end
local checked, allowed = {}, {}
for i = 1, 9 do checked[i], allowed[i] = steps(nil), steps(all) end
print("step, pitfalls checked", ("%.9g"):format(median(checked)))
print("step, pitfalls allowed", ("%.9g"):format(median(allowed)))
