-- The convnet conv 32, conv 64, pool, fc 128 on Fashion-MNIST, batch 128, rows in their order, lr .05, momentum .9: the part of convnet.py
-- that lsengine does. SPDX-License-Identifier: MIT
--   mode=inputs    writes FOLDER/convnet-init.npz, and of the net with batch norm FOLDER/normed-init.npz
--   mode=losses    prints the losses of the first STEPS steps with GELU
--   mode=gradient  net with ReLU, batch norm and dropout: loads FOLDER/normed-STEP.npz and the masks of FOLDER/masks-STEP.npz, prints the loss on the
--                  batch of that step, writes FOLDER/normed-gradient-STEP.npz, and prints the running statistics' hash of shapes
--   mode=logits    loads FOLDER/trained.npz, writes the test rows' logits to FOLDER/logits.npy
local ls = require "lsengine"
local o = ls.options{ mode = "losses", folder = "/tmp", steps = 50, step = 1 }
local nn, BATCH = ls.nn, 128

local function path(name, ...) return o.folder .. "/" .. name:format(...) end

local function plain()
  return nn.sequential({ nn.conv2d(1, 32, 3), nn.gelu(), nn.conv2d(32, 64, 3), nn.gelu(), nn.max_pool2d(2), nn.flatten(), nn.linear(9216, 128), nn.gelu(), nn.linear(128, 10) },
    { rng = ls.rng(1) })
end

-- Dropout whose masks are given: 0, or 1/(1-p).
local Masked = nn.module{ name = "masked", init = function(self) rawset(self, "mask", nil) end,
  forward = function(self, x) return rawget(self, "mask") and x * rawget(self, "mask") or x end }

local function normed()
  local first, second = Masked(), Masked()
  return nn.sequential({ nn.conv2d(1, 32, 3), nn.batch_norm(32), nn.relu(), nn.conv2d(32, 64, 3), nn.batch_norm(64), nn.relu(), nn.max_pool2d(2), first, nn.flatten(),
    nn.linear(9216, 128), nn.relu(), second, nn.linear(128, 10) }, { rng = ls.rng(2) }), first, second
end

if o.mode == "inputs" then
  plain():save(path "convnet-init.npz")
  normed():save(path "normed-init.npz")
  return
end

local data = ls.data.load "fashion-mnist"
local function batch(step)
  local first = (step - 1) * BATCH + 1
  return data.train.x:narrow(1, first, BATCH), data.train.y:narrow(first, BATCH)
end

if o.mode == "losses" then
  local model = plain():train()
  local optimizer = ls.optim.sgd(model:parameters(), { lr = 0.05, momentum = 0.9 })
  for step = 1, o.steps do
    local x, y = batch(step)
    local loss = ls.loss.cross_entropy(model(x), y)
    optimizer:zero_grad()
    loss:backward()
    optimizer:step()
    print(("%.9g"):format(loss:item()))
    collectgarbage "step"
  end
elseif o.mode == "gradient" then
  local model, first, second = normed()
  model:load(path("normed-%d.npz", o.step))
  model:train()
  local masks = ls.tensor.load(path("masks-%d.npz", o.step))
  rawset(first, "mask", masks.first)
  rawset(second, "mask", masks.second)
  local x, y = batch(o.step)
  local loss = ls.loss.cross_entropy(model(x), y)
  loss:backward()
  print(("%.9g"):format(loss:item()))
  local names, arrays = {}, {}
  for _, p in ipairs(model:named_parameters()) do names[#names + 1], arrays[p[1]] = p[1], p[2].grad end
  for _, b in ipairs(model:named_buffers()) do names[#names + 1], arrays[b[1]] = b[1], b[2] end
  require "lsengine.c.files".save_npz("save", path("normed-gradient-%d.npz", o.step), names, arrays)
elseif o.mode == "logits" then
  local model = normed():load(path "trained.npz"):eval()
  ls.no_grad(function()
    local parts = {}
    for x in data.test:batches(1000) do parts[#parts + 1] = model(x) end
    ls.tensor.cat(parts, 1):save(path "logits.npy")
  end)
end
