-- Steps of small perceptrons whose loss is the cross-entropy. SPDX-License-Identifier: MIT
--
-- Most of such a step is what operations cost one by one. bindings/perceptron.c makes it in one call, or many of them, to the same bits. The first step of a training is the tape's, which
-- looks for pitfalls and at what the target is, and so is any in which something is not as it should be: it says what.
local raw        = require "lsengine.c.tensor"
local perceptron = require "lsengine.c.perceptron"
local optim      = require "lsengine.optim"
local targets    = require "lsengine.target"

local plain = {}

-- The layers of a run's model as perceptron.c takes them, or false. A callback may have changed the model: they are looked for anew after each.
function plain.plan(run)
  local o, before = run.o, run.layers
  local class = not run.take and not o.loss and o.accumulate == 1 and not (o.mix and o.mix.kind == "manifold") and getmetatable(run.model)
  run.layers, run.known, run.whole = class and class.perceptron and class.perceptron(run.model) or false, nil, nil
  if before and run.layers then run.layers[0] = before[0] end -- its memory
end

-- The target as C reads it; nil where it is the tape's. true, too, where it is labels and how they are softened, the same for all rows.
local function target_of(run, y)
  local target, layers = targets.from("train", y), run.layers
  if target.history == run.known then return target, true end
  local classes, own = raw.size(layers[#layers - 2], 1), false
  for _, entry in ipairs(target.history) do
    if entry.needs_logits or entry.watches then return nil end
    own = own or entry.scheme
  end
  if not run.softened and targets.is_soft(target) then return nil end
  targets.inspect(target, classes)
  if own then return targets.resolved(target, classes) end
  if target.stacked or target.dense or #target.terms > 1 then return target end
  run.known = target.history
  return target, true
end

-- The loss of a batch and its weight; the parameters have their gradients then. nil where it is the tape's.
function plain.gradients(run, x, y)
  local target = target_of(run, y)
  if not target then return nil end
  local made, _, weight, value = perceptron.steps(run.layers, x, target, run.class_weights, 0, 0)
  if made == 1 then return value, weight end
end

-- The next steps of this epoch, until something is due between two of them: how many were made, run.sum and run.weight after them.
function plain.stride(run)
  local o, dataset, optimizer, sum, weight = run.o, run.dataset, run.optimizer, run.sum, run.weight
  if run.mixing or run.scheme or #run.augmentations > 0 or o.clip_norm or o.on_batch or not optim.change(optimizer) then return 0, sum, weight end
  if not run.whole then -- the target of all rows: labels, and how they are softened
    local target, labels = target_of(run, o.target and o.target(dataset.y) or dataset.y)
    if not labels then return 0, sum, weight end
    run.whole = target
  end
  run:set_rate()
  local most, made = math.min(run.batches - run.within, run.total - run.step), nil
  if o.schedule or run.average then most = 1 elseif run.checkpoint then most = math.min(most, run.checkpoint:due_in()) end
  made, sum, weight = perceptron.steps(run.layers, dataset.x, run.whole, run.class_weights, sum, weight, run.rows, dataset.y, run.within * o.batch + 1, o.batch, most, optim.change(optimizer))
  optimizer.steps = optimizer.steps + made
  return made, sum, weight
end

return plain
