-- Steps of small perceptrons in one call (plain_steps.lua, bindings/perceptron.c) against the tape: the same bits, the same messages. SPDX-License-Identifier: MIT
local t  = require "harness"
local ls = require "lsengine"
local perceptron = require "lsengine.c.perceptron"

local steps, made, calls = perceptron.steps, 0, 0
function perceptron.steps(...) -- luacheck: ignore
  local results = table.pack(steps(...))
  made, calls = made + results[1], calls + 1
  return table.unpack(results, 1, results.n)
end

local ROWS, BATCH, EPOCHS = 150, 16, 3 -- ten batches an epoch, the last of six rows

local function data_of(classes)
  local rng = ls.rng(5)
  return ls.data.new{ x = ls.tensor.randn(ROWS, 12, { rng = rng:spawn "x" }), y = rng:spawn "y":integers(0, classes - 1, ROWS), classes = classes }
end
local data = data_of(4)

local function mlp(rng) return ls.nn.mlp({ 12, 20, 9, 4 }, { rng = rng }) end

-- The cross-entropy as a function of the script's own is left to the tape.
local function on_tape(weights) return function(logits, target) return ls.loss.cross_entropy(logits, target, { weight = weights }) end end

-- Hash of the model, losses of all epochs as text, seen by `extra` options (a table, or a function that makes one).
local function trained(make, options, loss)
  local rng = ls.rng(3)
  local model = make(rng)
  local o = { epochs = EPOCHS, batch = BATCH, rng = rng, optimizer = ls.optim.sgd{ lr = 0.1, momentum = 0.9 }, loss = loss }
  for key, value in pairs(type(options) == "function" and options(model) or options) do o[key] = value end
  local history, losses = ls.train(model, data.train, o), {}
  for i, entry in ipairs(history) do losses[i] = ("%a"):format(entry.loss) end
  return model:hash(), table.concat(losses, " "), tostring(o.optimizer)
end

-- Both ways; `least`: so many steps at least must have been made without the tape, in at most `most` calls.
local function same(name, make, options, least, most, weights)
  made, calls = 0, 0
  local hash, losses, optimizer = trained(make, options)
  local without, in_calls = made, calls
  local wanted, wanted_losses, wanted_optimizer = trained(make, options, on_tape(weights))
  t.equals(made, without, name)
  t.equals(hash, wanted, name)
  t.equals(losses, wanted_losses, name)
  t.equals(optimizer, wanted_optimizer, name)
  t.is_true(without >= least, ("%s: %d steps were made without the tape, wanted are %d"):format(name, without, least))
  if most then t.is_true(in_calls <= most, ("%s: %d calls, at most %d are wanted"):format(name, in_calls, most)) end
end

local ALL = EPOCHS * 10 - 1 -- the first one is the tape's

function t.tests.many_steps_at_once()
  local sgd, adam, adamw = ls.optim.sgd, ls.optim.adam, ls.optim.adamw
  same("labels", mlp, {}, ALL, EPOCHS)
  same("uniform", mlp, { target = ls.target.uniform(0.1) }, ALL, EPOCHS)
  same("wrong classes", mlp, { target = ls.target.wrong_classes(0.1) }, ALL, EPOCHS)
  same("prior", mlp, { target = ls.target.prior(0.1, { 0.1, 0.2, 0.3, 0.4 }) }, ALL, EPOCHS)
  same("plain SGD", mlp, { optimizer = sgd{ lr = 0.1 } }, ALL, EPOCHS)
  same("Nesterov", mlp, { optimizer = sgd{ lr = 0.1, momentum = 0.9, nesterov = true, weight_decay = 1e-3 } }, ALL, EPOCHS)
  same("Adam", mlp, { optimizer = adam{ lr = 0.01 } }, ALL, EPOCHS)
  same("AdamW", mlp, { optimizer = adamw{ lr = 0.01 } }, ALL, EPOCHS)
  same("drop_last", mlp, { drop_last = true }, EPOCHS * 9 - 1, EPOCHS)
  same("part of an epoch", mlp, { epochs = 1.5 }, 14, 2)
  same("larger than the data", mlp, { batch = 1000 }, EPOCHS - 1, EPOCHS)
  same("a row at a time", mlp, { batch = 1 }, EPOCHS * ROWS - 1, EPOCHS)
  same("validation", mlp, { validation = data.train, early_stopping = { metric = "nll", patience = 2 } }, ALL, EPOCHS)
  same("on_epoch", mlp, { on_epoch = function() end }, ALL, EPOCHS)
  local weights = ls.tensor{ 1, 2, 0.5, 0.25 }
  made, calls = 0, 0
  local hash = trained(mlp, { class_weights = weights })
  t.equals(made, ALL)
  t.equals(hash, (trained(mlp, function() return {} end, on_tape(weights)))) -- as the library weighs; the mean is by the weights, and so is the epoch's
end

function t.tests.one_step_at_once()
  same("schedule", mlp, { schedule = ls.optim.cosine{ warmup = 0.5 } }, ALL)
  same("average", mlp, { average = { decay = 0.9 } }, ALL)
  same("clipped", mlp, { clip_norm = 0.5 }, ALL)
  same("mixup", mlp, { mix = ls.mix.mixup{ alpha = 0.4 } }, ALL)
  same("mixup for each row, smoothed", mlp, { mix = ls.mix.mixup{ alpha = 0.4, mode = "row" }, target = ls.target.uniform(0.1), allow = { "stacked-softening" } }, ALL)
  same("annealed", mlp, { target = ls.target.annealed{ from = 0.2, to = 0.05, epochs = 3 } }, ALL)
  same("a scheme with rows", mlp, { target = ls.target.sord{ alpha = 2 } }, ALL)
end

function t.tests.other_shapes_of_perceptrons()
  same("without hidden layers", function(rng) return ls.nn.mlp({ 12, 4 }, { rng = rng }) end, {}, ALL, EPOCHS)
  same("sequential, without a bias, ReLU at the end", function(rng)
    return ls.nn.sequential({ ls.nn.linear(12, 8, { bias = false }), ls.nn.relu(), ls.nn.linear(8, 8, { bias = false }), ls.nn.linear(8, 4), ls.nn.relu() }, { rng = rng })
  end, {}, ALL, EPOCHS)
end

function t.tests.what_the_tape_keeps()
  local function only(name, make, options)
    same(name, make, options, 0)
    t.equals(made, 0, name)
  end
  only("tanh", function(rng) return ls.nn.mlp({ 12, 8, 4 }, { rng = rng, activation = "tanh" }) end, {})
  only("dropout", function(rng) return ls.nn.mlp({ 12, 8, 4 }, { rng = rng, dropout = 0.1 }) end, {})
  only("accumulated", mlp, { accumulate = 2 })
  only("large weights", function(rng) return ls.nn.mlp({ 12, 6000, 4 }, { rng = rng }) end, { epochs = 0.3 })
  only("one layer twice", function(rng)
    local layer = ls.nn.linear(12, 12, { rng = rng })
    return ls.nn.sequential({ layer, ls.nn.relu(), layer, ls.nn.linear(12, 4, { rng = rng }) })
  end, {})
  only("a forward of one's own", function(rng)
    local model = mlp(rng)
    rawset(model, "forward", function(self, x) return getmetatable(self).forward(self, x) * 2 end)
    return model
  end, {})
  only("a layer's own", function(rng)
    local model = mlp(rng)
    rawset(model[1], "forward", function(self, x) return getmetatable(self).forward(self, x) * 2 end)
    return model
  end, {})
  only("frozen", function(rng)
    local model = mlp(rng)
    model[1].weight:requires_grad(false)
    return model
  end, {})
  only("an optimizer of some parameters", mlp, function(model) return { optimizer = ls.optim.sgd({ model[1].weight, model[1].bias }, { lr = 0.1 }) } end)
end

-- Callbacks see gradients, and may change everything.
function t.tests.callbacks()
  local seen = {}
  local function look(into)
    return function(model)
      return { on_batch = function(step, m)
        into[#into + 1] = ("%a %a"):format(m.loss, model[1].weight.grad and model[1].weight.grad:sum():item() or 0 / 0)
        if step == 12 then model[3].weight:requires_grad(false) elseif step == 20 then model[3].weight:requires_grad() end
      end }
    end
  end
  local tape = {}
  local hash = trained(mlp, look(seen))
  t.equals(hash, (trained(mlp, look(tape), on_tape())))
  t.equals(seen, tape)
  t.is_true(#seen == EPOCHS * 10)
  local function change(model)
    return { on_epoch = function(epoch)
      if epoch == 1 then rawset(model, "forward", function(self, x) return getmetatable(self).forward(self, x) * 0.5 end) end
      if epoch == 2 then model[1].weight = ls.tensor.full(0.05, 20, 12):requires_grad() end
    end }
  end
  hash = trained(mlp, change)
  t.equals(hash, (trained(mlp, change, on_tape())))
end

function t.tests.errors_are_the_tapes()
  local function messages(options, change)
    local list = {}
    for i, loss in ipairs{ false, on_tape() } do
      if change then change() end
      list[i] = t.message(trained, mlp, options, loss or nil):gsub("^.-:%d+: ", "")
      list[i] = list[i]:match "^[^\n]*"
    end
    return list
  end
  local list = messages{ optimizer = ls.optim.sgd{ lr = 1e30 } }
  t.is_true(list[1]:find("NaN", 1, true) ~= nil and list[1]:find("training has diverged", 1, true) ~= nil, list[1])
  local few = ls.rng(3)
  local message = t.message(ls.train, ls.nn.mlp({ 12, 8, 3 }, { rng = few }), data.train, { epochs = 2, batch = 4, rng = few, optimizer = ls.optim.sgd{ lr = 0.1 } })
  t.is_true(message:find("3", 1, true) ~= nil and message:find("3 classes", 1, true) ~= nil, message)
end

function t.tests.a_checkpoint_within_an_epoch()
  local file = t.tmpname()
  os.remove(file)
  file = file .. ".npz"
  local function run(kept, stop, loss)
    local rng, smooth = ls.rng(3), ls.target.uniform(0.1)
    local model = mlp(rng)
    if stop then smooth(data.train.y) end -- that a scheme was used before changes no checkpoint
    local options = { target = smooth, epochs = EPOCHS, batch = BATCH, rng = rng, optimizer = ls.optim.sgd{ lr = 0.1, momentum = 0.9 }, loss = loss, checkpoint = kept and { file = file, every_steps = 7 } or nil,
      on_epoch = function(epoch) if epoch == stop then error "stopped" end end }
    local ok = pcall(ls.train, model, data.train, options)
    return ok and model:hash()
  end
  local wanted = run()
  t.equals(wanted, run(false, nil, on_tape()))
  made, calls = 0, 0
  t.is_true(not run(true, 2)) -- within the second epoch, after fourteen steps, it was kept last
  t.equals(made, 19)
  t.is_true(calls == 4, calls)
  t.equals(run(true), wanted)
  t.equals(made, 19 + 15)
  os.remove(file)
end

t.run()
