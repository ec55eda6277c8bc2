-- Training. SPDX-License-Identifier: MIT
local raw      = require "lsengine.c.tensor"
local autograd = require "lsengine.autograd"
local losses   = require "lsengine.loss"
local optim    = require "lsengine.optim"
local options  = require "lsengine.options"
local pitfalls = require "lsengine.pitfalls"
local public   = require "lsengine.public"
local target   = require "lsengine.target"
require "lsengine.nn"
require "lsengine.data"
local raise = public.raise

local specs = {
  target    = { type = "scheme", doc = "how labels are softened (ls.target.…); as they are without it" },
  loss      = { type = "callable", doc = "function(logits, target) → a one-element tensor; cross-entropy without it" },
  epochs    = { type = "number", required = true, min = 0, doc = "passes over the data; a fraction ends within one" },
  batch     = { type = "integer", default = 128, min = 1, doc = "rows of a batch" },
  rng       = { type = "rng", required = true, doc = "the order of rows comes from its stream \"order\"" },
  optimizer = { type = "optimizer", required = true, doc = "a recipe (ls.optim.sgd{…}), or an optimizer of this model's parameters" },
  schedule  = { type = "schedule", doc = "of the learning rate (ls.optim.cosine{…})" },
  clip_norm = { type = "number", above = 0, doc = "the most that the gradients' joint norm may be" },
  allow     = { type = "table", doc = "names of pitfalls that are meant" },
  on_epoch  = { type = "callable", doc = "function(epoch, { loss =, seconds =, learning_rate = }), after each epoch" },
}

local BUSY = 32 * 1024 -- kilobytes of heap from which the collector is stepped with each batch: lagging, it leaves the cache

local clock = require "lsengine.c.system".clock

local DIVERGED = "training has diverged: a lower learning rate, or clip_norm, may help"

-- Cross-entropy of the model's logits; logits that are no numbers any more are the training's fault.
local function cross_entropy(logits, target)
  local ok, value = pcall(losses.cross_entropy, logits, target)
  if ok then return value end
  if type(value) == "string" and (value:find("logits%[%d+%] is NaN") or value:find("logits%[%d+%] is %+inf")) then value = value .. ": " .. DIVERGED end
  error(value, 0)
end

local function check_loss(value)
  if not raw.is_tensor(value) or raw.count(value) ~= 1 then
    raise("train", ("the loss is %s, a one-element tensor is required"):format(
      raw.is_tensor(value) and "of shape " .. raw.shape_text(value) or type(value)))
  end
  local number = raw.item(value)
  if number ~= number or number == math.huge then
    raise("train", ("the loss is %s: %s"):format(number, DIVERGED))
  end
  return number
end

local train = public("ls.train", {
  doc = [[Trains a model on a data set. The order of rows, drawn anew each epoch, comes from a stream of its own, so that arms that differ in
their targets see the same batches.]],
  errors = "a loss that is NaN or infinite (training has diverged), a data set without rows, a label that is no class of the model",
  returns = "history: a table of { epoch =, loss =, seconds =, learning_rate = }",
  example = [[ls.train(model, data.train, { target = ls.target.uniform(0.1), epochs = 40, batch = 64, rng = rng,
  optimizer = ls.optim.sgd{ lr = 0.1, momentum = 0.9 } })]],
  { "model", type = "model", doc = "is changed" }, { "data", type = "dataset", doc = "training rows" },
  options = specs,
}, function(model, dataset, o)
  local _ <close> = pitfalls.allow("train", o.allow)
  local optimizer = o.optimizer
  if getmetatable(optimizer) == optim.Recipe then optimizer = optimizer:build(model:parameters()) end
  local base_rate, steps, history = optimizer.lr, math.ceil(#dataset.y / o.batch), {}
  local loss = o.loss or cross_entropy
  local total, step = math.floor(o.epochs * steps + 0.5), 0
  if #dataset.y == 0 then raise("train", "the data set has no rows") end
  model:train()
  while step < total do
    local started, sum, rows = clock(), 0, 0
    for x, y in dataset:batches(o.batch, { rng = o.rng }) do
      local softened = o.target and o.target(y) or y
      local value = loss(model(x), softened)
      sum, rows = sum + check_loss(value) * #y, rows + #y
      optimizer:zero_grad()
      value:backward()
      if o.clip_norm then optim.clip_norm(optimizer.parameters, o.clip_norm) end
      if o.schedule then optimizer.lr = base_rate * o.schedule:factor(step / steps, total / steps) end
      optimizer:step()
      step = step + 1
      if collectgarbage "count" > BUSY then collectgarbage "step" end
      if step >= total then break end
    end
    local entry = { epoch = #history + 1, loss = sum / rows, seconds = clock() - started, learning_rate = optimizer.lr }
    history[#history + 1] = entry
    if o.on_epoch then o.on_epoch(entry.epoch, entry) end
  end
  optimizer:zero_grad()
  optimizer.lr = base_rate
  model:eval()
  return history
end)

return train
