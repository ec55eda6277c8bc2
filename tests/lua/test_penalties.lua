-- ls.loss.NAME of the catalogue: numbers of other implementations, refusals, tags, training, the state of cals. SPDX-License-Identifier: MIT
local t, ls     = require "harness", require "lsengine"
local penalties = require "lsengine.penalties"
local T = t.tests

local cases   = dofile "tests/golden/penalties.lua"
local numbers = ls.tensor.load "tests/golden/penalties.npz".numbers

local function difference(a, b) return (a - b):abs():max():item() end

function T.other_implementations_give_the_same_numbers()
  local at, seen, sources = 1, {}, {}
  local function take(...)
    local count = 1
    for _, size in ipairs{ ... } do count = count * size end
    at = at + count
    return numbers:narrow(1, at - count, count):clone():reshape(...)
  end
  local function hold(i, name, o, case)
    local n, k = case.n, case.k
    local z, want = take(n, k):requires_grad(), take(n, k)
    local q, w = case.soft and take(n, k), case.weighted and take(k)
    if name:find "_correction" then o.transition = take(k, k) end
    local loss = ls.loss[name](next(o) and o or nil)
    if case.multipliers then loss:set_state{ lambda = take(k) } end
    local value = loss(z, q and ls.target.soft(q) or case.labels, { weight = w or nil })
    value:backward()
    local where = ("case %s, %s"):format(i, tostring(loss))
    -- float logits beside a cross-entropy; the inverse and numbers themselves are kept as floats
    t.is_true(math.abs(value:item() - case.value) <= 2e-6 * math.abs(case.value) + 1e-6, ("%s: %.9g, want %.9g"):format(where, value:item(), case.value))
    t.is_true(difference(z.grad, want) <= 4e-6 * (0.05 + want:abs():max():item()), ("%s: the gradient is off by %g"):format(where, difference(z.grad, want)))
    seen[name], sources[case.source] = true, true
  end
  for i, group in ipairs(cases) do
    for c = 3, #group do hold(("%d.%d"):format(i, c - 2), group[1], group[2], group[c]) end
  end
  t.equals(at, numbers:count() + 1)
  for _, entry in ipairs(penalties.entries) do t.is_true(seen[entry.name], entry.name .. " has no numbers of another implementation") end
  t.is_true(sources.optax and sources.keras and sources["torch-uncertainty"])
end

-- What every loss can be made with.
local function new(entry, k)
  return ls.loss[entry.name](entry.data == "transition" and { transition = ls.tensor.eye(k) * 0.9 + 0.1 / k } or nil)
end

function T.the_result_is_tagged_as_the_cross_entropys()
  local z = ls.tensor.randn(4, 5, { rng = ls.rng(1) }):requires_grad()
  for _, entry in ipairs(penalties.entries) do
    local loss = new(entry, 5)
    local value = loss(z, { 0, 1, -1, 4 }, { weight = { 1, 2, 3, 4, 5 }, ignore_index = -1 })
    local plain = ls.loss.cross_entropy(z, { 0, 1, -1, 4 }, { weight = { 1, 2, 3, 4, 5 }, ignore_index = -1 })
    t.is_true(value.scheme == loss and (value * 2).scheme == loss)
    t.equals({ value.kept, value.ignored, value.weight_sum, value.weighted, value.weighting }, { 3, 1, plain.weight_sum, true, "lsengine" })
    t.is_true(tostring(value):find("1 of 4 rows ignored", 1, true) ~= nil)
    t.is_true(tostring(loss):find("^" .. entry.name .. "{") ~= nil)
    local each = loss(z, { 0, 1, -1, 4 }, { weight = { 1, 2, 3, 4, 5 }, ignore_index = -1, reduction = "none" })
    t.equals(each:shape(), { 4 })
    t.equals(each[3], 0)
    t.close(each:sum():item() / 8, value:item(), 1e-5)
    -- a vector's gradient is weighed row by row
    z:zero_grad()
    each:backward(ls.tensor{ 1, 0, 0, 0 })
    t.equals(z.grad:narrow(1, 2, 3):abs():max():item(), 0)
    t.is_true(z.grad[1]:abs():max():item() > 0)
  end
end

function T.softened_targets_are_refused_by_name_where_they_mean_nothing()
  local z = ls.tensor.randn(3, 4, { rng = ls.rng(2) })
  local mixed = ls.target.weighted{ { { 0, 1, 2 }, 0.7 }, { { 3, 3, 3 }, 0.3 } }
  local refused = 0
  for _, entry in ipairs(penalties.entries) do
    local loss = new(entry, 4)
    for _, target in ipairs{ ls.target.uniform(0.1){ 0, 1, 2 }, mixed, ls.target.soft(ls.tensor.full(0.25, 3, 4)) } do
      if entry.target == "label" then
        refused = refused + 1
        t.fails(function() return loss(z, target) end, entry.name .. ": the target is ", true)
        t.fails(function() return loss(z, target) end, entry.refusal)
      else
        local value = loss(z, target):item()
        t.is_true(value == value)
      end
    end
    t.is_true(loss(z, ls.target.uniform(0){ 0, 1, 2 }):item() == loss(z, { 0, 1, 2 }):item())
  end
  t.equals(refused, 9 * 3)
  t.close(ls.loss.focal{ gamma = 0, soft = true }(z, mixed):item(), ls.loss.cross_entropy(z, mixed):item(), 1e-6)
end

function T.mistakes_are_told_at_the_users_line()
  local z, loss = ls.tensor.zeros(2, 3), ls.loss.focal{ gamma = 1 }
  t.fails(function() return loss(z, { 0, 3 }) end, "focal: labels[2] is 3 but logits have 3 classes (0..2)", true)
  t.fails(function() return loss(z) end, "focal: the target is missing", true)
  t.fails(function() return loss() end, "focal: the logits are missing", true)
  t.fails(function() return loss(z, { 0, 1 }, {}, 1) end, "focal: 4 arguments were given, at most 3 are taken", true)
  t.fails(function() return loss(5, { 0, 1 }) end, "focal: logits is 5, a tensor is required", true)
  t.fails(function() return loss(z, { 0, 1 }, { weigth = { 1, 1, 1 } }) end, "did you mean weight?", true)
  t.fails(function() return loss(z, { 0, 1 }, { weight = { 1, 1 } }) end, "weight has shape 2 but logits have 3 classes", true)
  t.fails(function() return loss(z, { 0, 1 }, { reduction = "all" }) end, "reduction is ", true)
  t.fails(function() return loss(ls.tensor.zeros(3), { 0 }) end, "logits have shape 3, a matrix (rows × classes) is required", true)
  t.fails(function() return loss(ls.tensor{ { 1, 0 / 0 } }, { 0 }) end, "logits[1] is NaN for class 1", true)
  t.fails(function() return ls.loss.focal{ gama = 1 } end, "did you mean gamma?", true)
  t.fails(function() return ls.loss.forward_correction{} end, "option transition is missing", true)
  t.fails(function() return ls.loss.forward_correction{ transition = { { 1, 0 } } } end, "the transition matrix is 1x2", true)
  t.fails(function() return ls.loss.backward_correction{ transition = ls.tensor.full(0.5, 2, 2) } end, "is singular", true)
  t.fails(function() return ls.loss.forward_correction{ transition = ls.tensor.eye(2) }(z, { 0, 1 }) end, "is for 2 classes but logits have 3", true)
  t.fails(function() return ls.loss.backward_correction{ transition = ls.tensor.eye(3) * 0.7 + 0.1 }(ls.tensor{ { 1, -math.huge, 2 } }, { 0 }) end,
    "row 1: a class that the inverse of the transition matrix needs is masked", true)
end

function T.a_class_weight_weighs_the_row()
  local z = ls.tensor{ { 3, 0, 0 }, { 0, 5, 0 } } -- the second row is wrong: class 1 is suppressed, its label is 2
  local weight = { 1, 100, 2 }
  local plain = ls.loss.max_sup{ alpha = 0 }(z, { 0, 2 }, { weight = weight }):item()
  local with = ls.loss.max_sup{ alpha = 0.3 }(z, { 0, 2 }, { weight = weight }):item()
  t.close(with - plain, 0.3 * (1 * (3 - 1) + 2 * (5 - 5 / 3)) / 3, 1e-5)
end

function T.penalties_are_means_over_rows()
  local z = ls.tensor.full(2, 6, 50)
  local plain = ls.loss.cross_entropy(z, { 0, 1, 2, 3, 4, 5 }):item()
  t.close(ls.loss.logit_penalty{ beta = 0.1 }(z, { 0, 1, 2, 3, 4, 5 }):item() - plain, 0.05 * 50 * 4, 1e-4)
  t.close(ls.loss.confidence_penalty{ beta = 0.5 }(z, { 0, 1, 2, 3, 4, 5 }):item() - plain, -0.5 * math.log(50), 1e-5)
end

function T.training_takes_every_loss()
  local data = ls.data.load "digits"
  local train = data.train:subset(ls.rng(1):permutation(300))
  for _, entry in ipairs(penalties.entries) do
    local rng = ls.rng(3)
    local model = ls.nn.mlp({ 64, 16, 10 }, { rng = rng })
    local history = ls.train(model, train, { loss = new(entry, 10), epochs = 3, batch = 50, rng = rng, optimizer = ls.optim.sgd{ lr = 0.02, momentum = 0.9 } })
    t.is_true(history[3].loss < history[1].loss, entry.name)
  end
end

function T.a_training_that_diverges_says_so()
  local data = ls.data.load "digits".train:subset(ls.rng(1):permutation(60))
  local model = ls.nn.mlp({ 64, 10 }, { rng = ls.rng(1) })
  ls.no_grad(function() model:parameters()[1]:fill_(0 / 0) end)
  local o = { loss = ls.loss.focal{ gamma = 2 }, epochs = 1, rng = ls.rng(1), optimizer = ls.optim.sgd{ lr = 1 } }
  t.fails(function() return ls.train(model, data, o) end, "focal: logits[1] is NaN for class 0: training has diverged", true)
end

function T.accumulated_batches_are_weighed_by_their_rows()
  local data = ls.data.load "digits".train:subset(ls.rng(1):permutation(60))
  local function weights(batch, accumulate)
    local rng = ls.rng(4)
    local model = ls.nn.mlp({ 64, 10 }, { rng = rng })
    local loss = ls.loss.focal{ gamma = 2 }
    ls.train(model, data, { loss = function(z, y) return loss(z, y, { weight = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 } }) end, epochs = 1, batch = batch, accumulate = accumulate, rng = rng,
      optimizer = ls.optim.sgd{ lr = 0.1 } })
    return model:parameters()[1]
  end
  t.is_true(difference(weights(60, 1), weights(20, 3)) < 1e-5)
end

function T.multipliers_follow_the_penalties_of_validation_rows()
  local loss = ls.loss.cals{ margin = 1, alpha = 0.5, maximum = 0.6 }
  local z = ls.tensor{ { 5, 0, 3 }, { 1, 4, -math.huge } }
  t.equals(loss:state(), {})
  t.is_true(difference(loss:penalties(z), ls.tensor{ 0.5, 1, 0.25 }) < 1e-6)
  loss:update(loss:penalties(z)) -- the first is only remembered
  t.is_true(difference(ls.tensor(loss:state().lambda), ls.tensor{ 0.5, 0.5, 0.5 }) < 1e-7)
  loss:update{ 0.6, 0.95, 0.1 } -- grown, about the same, fallen
  t.is_true(difference(ls.tensor(loss:state().lambda), ls.tensor{ 0.55, 0.5, 0.5 / 1.1 }) < 1e-6)
  loss:update{ 1, 0.95, 0.1 }
  loss:update{ 2, 0.95, 0.1 }
  t.close(loss:state().lambda[1], 0.6, 1e-6) -- the most
  local plain = ls.loss.cross_entropy(z, { 0, 1 }):item()
  local lambda = loss:state().lambda
  t.close(loss(z, { 0, 1 }):item() - plain, (lambda[2] * 4 + lambda[3] * 1 + lambda[1] * 2) / 2, 1e-5)
  local other = ls.loss.cals{ margin = 1, alpha = 0.5, maximum = 0.6 }
  other:set_state(loss:state())
  t.equals(other:state(), loss:state())
  t.equals(other(z, { 0, 1 }):item(), loss(z, { 0, 1 }):item())
  t.fails(function() loss:update{ 1, 2 } end, "the penalties have shape 2, one number for each of 3 classes is required", true)
  t.fails(function() loss:update{ 1, 2, -1 } end, "the one of class 2 of the penalties is -1", true)
  t.fails(function() loss:set_state{ lambda = { 1 }, x = 2 } end, "unknown field", true)
  t.fails(function() loss:set_state{ previous = { 1 } } end, "lambda is missing", true)
  t.fails(function() return loss(ls.tensor.zeros(1, 4), { 0 }) end, "the multipliers has shape 3 but logits have 4 classes", true)
  t.fails(function() return loss:penalties(ls.tensor.zeros(0, 3)) end, "logits are 0x3", true)
  t.is_true(ls.loss.focal{}.update == nil)
end

-- Gradients of more than 24 MB are written past the cache, the line that two rows share when both are known: the bits are those of a few rows at a time. Among them rows that are ignored,
-- masked, or far, which take another way.
function T.gradients_past_the_cache_are_those_of_few_rows()
  local rows, classes, part, rng = 6300, 1001, 900, ls.rng(2)
  local z, labels = ls.tensor.randn(rows, classes, { rng = rng }), {}
  for i = 1, rows do labels[i] = i % 13 == 5 and -100 or i * 7919 % (classes - 1) end
  labels = ls.labels(labels)
  for i = 1, rows, 7 do z[i][i % classes + 1] = i % 3 == 0 and 80 or 20 end
  for i = 3, rows, 11 do z[i][classes] = -math.huge end
  for _, name in ipairs{ "focal", "symmetric_cross_entropy" } do
    local loss = ls.loss[name]{}
    local whole = z:detach():requires_grad()
    loss(whole, labels, { reduction = "sum", ignore_index = -100 }):backward()
    for first = 1, rows, part do
      local few = z:narrow(1, first, part):clone():requires_grad()
      loss(few, labels:narrow(first, part), { reduction = "sum", ignore_index = -100 }):backward()
      t.equals(whole.grad:narrow(1, first, part):clone():hash(), few.grad:hash(), name)
    end
  end
end

t.run()
