-- One training on Fashion-MNIST, 784-256-256-10, batch 128, lr .1, momentum .9: the part of training.py that lsengine does.
-- SPDX-License-Identifier: MIT
--   mode=inputs    writes FOLDER/init-SEED.npz and FOLDER/order-SEED.npy (positions from 1, one permutation for each epoch)
--   mode=losses    prints the losses of the first STEPS steps
--   mode=gradient  loads FOLDER/weights-STEP.npz, prints the loss on the batch of that step, writes FOLDER/gradient-STEP.npz
--   mode=accuracy  trains EPOCHS epochs, prints the test accuracy
local ls = require "lsengine"
local o = ls.options{ mode = "losses", folder = "/tmp", seed = 1, activation = "gelu", epsilon = 0.0, steps = 200, step = 50, epochs = 10 }
local BATCH = 128

local function model_of() return ls.nn.mlp({ 784, 256, 256, 10 }, { rng = ls.rng(o.seed), activation = o.activation, init = "he_normal" }) end
local function path(name) return ("%s/%s"):format(o.folder, name) end

local rng, n = ls.rng(o.seed):spawn "order", 60000
local order = {}
for epoch = 1, o.epochs do order[epoch] = rng:permutation(n) end

if o.mode == "inputs" then
  model_of():save(path(("init-%d.npz"):format(o.seed)))
  local all = {}
  for epoch = 1, o.epochs do table.move(order[epoch]:totable(), 1, n, #all + 1, all) end
  require "lsengine.c.files".save_npy("save", path(("order-%d.npy"):format(o.seed)), ls.labels(all))
  return
end

local data, model, smooth = ls.data.load "fashion-mnist", model_of(), ls.target.uniform(o.epsilon)
local function batch(epoch, first)
  local rows = order[epoch]:narrow(first, math.min(BATCH, n - first + 1))
  return data.train.x:gather(rows), data.train.y:gather(rows)
end

if o.mode == "gradient" then
  model:load(path(("weights-%d.npz"):format(o.step)))
  local x, y = batch(1, (o.step - 1) * BATCH + 1)
  local loss = ls.loss.cross_entropy(model(x), smooth(y))
  loss:backward()
  print(("%.9g"):format(loss:item()))
  local names, arrays = {}, {}
  for i, p in ipairs(model:named_parameters()) do names[i], arrays[p[1]] = p[1], p[2].grad end
  require "lsengine.c.files".save_npz("save", path(("gradient-%d.npz"):format(o.step)), names, arrays)
  return
end

local optimizer, step = ls.optim.sgd(model:parameters(), { lr = 0.1, momentum = 0.9 }), 0
for epoch = 1, o.epochs do
  for first = 1, n, BATCH do
    local x, y = batch(epoch, first)
    local loss = ls.loss.cross_entropy(model(x), smooth(y))
    optimizer:zero_grad()
    loss:backward()
    optimizer:step()
    step = step + 1
    if o.mode == "losses" then
      print(("%.9g"):format(loss:item()))
      if step == o.steps then return end
    end
    collectgarbage "step"
  end
end
print(("%.4f"):format(ls.evaluate(model, data.test).accuracy))
