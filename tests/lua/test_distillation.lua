-- Learning from a teacher and from the model's own past: numbers of PyTorch, trainings, checkpoints. SPDX-License-Identifier: MIT
local t, ls = require "harness", require "lsengine"
local T = t.tests
local golden = ls.tensor.load "tests/golden/distillation.npz"
local y = golden.labels

local function gap(a, b) return (a - b):abs():max():item() end

function T.distillation_is_pytorchs()
  for name, o in pairs{ hinton = { weight = 0.9, temperature = 4 }, even = { weight = 0.5, temperature = 2 }, cold = { weight = 0.3, temperature = 0.5 },
    mueller = { weight = 1, temperature = 3, student_temperature = 1, squared = false } } do
    o.teacher = golden.teacher
    local z = golden.logits:clone():requires_grad()
    local loss = ls.loss.distillation(o)(z, y)
    loss:backward()
    t.close(loss:item(), golden[name][1], 2e-6 * math.max(1, golden[name][1]), name)
    t.is_true(gap(z.grad, golden[name .. "_gradient"]) < 1e-6, name)
  end
end

function T.a_teacher_that_is_the_student_diverges_by_nothing()
  local z = golden.logits:clone():requires_grad()
  local loss = ls.loss.distillation{ teacher = golden.logits, weight = 1 }(z, y)
  loss:backward()
  t.is_true(math.abs(loss:item()) < 1e-5 and z.grad:abs():max():item() < 1e-6)
  t.close(ls.loss.distillation{ teacher = golden.teacher, weight = 0 }(z, y):item(), ls.loss.cross_entropy(z, y):item(), 0)
end

function T.weights_and_ignored_rows_act_on_both_parts()
  local weight, labels = { 1, 2, 3, 1, 2, 3, 1 }, y:totable()
  labels[3] = -100
  local loss = ls.loss.distillation{ teacher = golden.teacher, weight = 0.6, temperature = 2 }
  local each = loss(golden.logits, y, { reduction = "none" })
  local sum, by = 0, 0
  for i = 1, #y do if i ~= 3 then sum, by = sum + weight[y[i] + 1] * each[i], by + weight[y[i] + 1] end end
  t.close(loss(golden.logits, labels, { weight = weight, ignore_index = -100 }):item(), sum / by, 1e-5)
end

local function data() return ls.data.load "digits".test:subset(ls.rng(9):permutation(400)) end

function T.a_student_comes_near_its_teacher()
  local rng, rows = ls.rng(1), data()
  local teacher = ls.nn.mlp({ 64, 32, 10 }, { rng = rng })
  ls.train(teacher, rows, { epochs = 15, batch = 50, rng = rng, optimizer = ls.optim.sgd{ lr = 0.1, momentum = 0.9 } })
  local function apart(loss)
    local student = ls.nn.mlp({ 64, 16, 10 }, { rng = ls.rng(2) })
    ls.train(student, rows, { loss = loss, epochs = 8, batch = 50, rng = ls.rng(3), optimizer = ls.optim.sgd{ lr = 0.05, momentum = 0.9 }, mix = ls.mix.mixup{ alpha = 0.2 } })
    return ls.loss.kl_divergence(student(rows.x), ls.target.soft(teacher(rows.x):softmax())):item()
  end
  t.is_true(apart(ls.loss.distillation{ teacher = teacher, weight = 0.9, temperature = 2 }) < 0.5 * apart(nil))
end

function T.a_smoothed_teacher_is_told()
  local pitfalls = require "lsengine.pitfalls"
  pitfalls.forget()
  local rng, rows = ls.rng(1), data()
  local teacher = ls.nn.mlp({ 64, 10 }, { rng = rng })
  ls.train(teacher, rows, { target = ls.target.uniform(0.1), epochs = 1, rng = rng, optimizer = ls.optim.sgd{ lr = 0.1 } })
  local loss = ls.loss.distillation{ teacher = teacher, temperature = 4 }
  loss(teacher(rows.x), rows.y, { inputs = rows.x })
  t.equals(pitfalls.raised()[1].name, "smoothed-teacher")
  pitfalls.forget()
end

function T.online_smoothing_is_the_papers()
  local scheme = ls.target.online{ alpha = 0.5, epsilon_start = 0.1 }
  local n = #y
  scheme:begin_training{ epochs = 3 }
  for epoch = 0, 2 do
    for b = 0, 1 do
      local z = golden.batches:narrow(1, (epoch * 2 + b) * n + 1, n):clone():requires_grad()
      local loss = ls.loss.cross_entropy(z, scheme(y))
      t.close(loss:item(), golden[("online_%d_%d"):format(epoch, b)][1], 2e-6)
    end
    scheme:end_epoch()
  end
  t.is_true(gap(scheme({ 0, 1, 2, 3, 4, 5, 6 }):rows(7), golden.online_rows) < 1e-6)
end

-- p of the epoch before, by hand.
function T.self_distillation_remembers_each_row()
  local scheme, labels = ls.target.self_distillation{ alpha = 0.8, constant = true }, ls.labels{ 2, 0, 1 }
  scheme:begin_training{ epochs = 4, examples = 5 }
  local z = ls.tensor.randn(3, 3, { rng = ls.rng(1) }):requires_grad()
  local rows = { rows = ls.labels{ 5, 1, 3 } }
  local first = scheme(labels, rows)
  ls.loss.cross_entropy(z, first)
  t.is_true(gap(first:rows(3), ls.tensor.one_hot(labels, 3)) == 0)
  scheme:end_epoch()
  local p = z:detach():softmax()
  t.is_true(gap(scheme(labels, rows):rows(3), p * 0.8 + ls.tensor.one_hot(labels, 3) * 0.2) < 1e-6)
  t.is_true(gap(scheme({ 1 }, { rows = { 2 } }):rows(3), ls.tensor{ { 0, 1, 0 } }) == 0) -- never seen
  t.fails(function() return scheme(ls.target.weighted{ { labels, 0.5 }, { labels, 0.5 } }, rows) end, "self_distillation: rows were given for a mixed target", true)
  t.fails(function() return scheme(labels):rows(3) end, "which these are must be said", true)
end

function T.the_average_teacher_is_the_formula() -- tests/golden/softening.py
  local d = ls.tensor.load "tests/golden/softening.npz"
  local model = ls.nn.mlp({ 5, 3 }, { rng = ls.rng(1), init = "zeros" })
  local loss, optimizer = ls.loss.mean_teacher{ decay = 0.7, weight = 0.6, temperature = 2, ramp_steps = 4 }, ls.optim.sgd(model:parameters(), { lr = 0.5 })
  loss:begin(model)
  for step = 1, 6 do
    local x = d.teacher_x:narrow(1, 10 * step - 9, 10)
    loss:prepare(x)
    optimizer:zero_grad()
    local value = loss(model(x), d.teacher_y:narrow(10 * step - 9, 10))
    t.close(value:item(), d.teacher_losses[step], 2e-6, step)
    value:backward()
    optimizer:step()
    loss:after_step()
  end
  t.is_true(gap(model[1].weight:detach(), d.teacher_weight) < 2e-6 and gap(model[1].bias:detach(), d.teacher_bias) < 2e-6)
end

function T.the_average_teacher_by_hand_is_that_of_training()
  local rows = data()
  local function options() return { epochs = 1, batch = 100, rng = ls.rng(3), optimizer = ls.optim.sgd{ lr = 0.1 } } end
  local trained = ls.nn.mlp({ 64, 10 }, { rng = ls.rng(2) })
  local o = options()
  o.loss = ls.loss.mean_teacher{ decay = 0.5, weight = 0.5 }
  ls.train(trained, rows, o)
  local model, loss = ls.nn.mlp({ 64, 10 }, { rng = ls.rng(2) }), ls.loss.mean_teacher{ decay = 0.5, weight = 0.5 }
  local optimizer, rng = ls.optim.sgd(model:parameters(), { lr = 0.1 }), ls.rng(3)
  loss:begin(model)
  for x, labels in rows:batches(100, { rng = rng }) do
    loss:prepare(x)
    optimizer:zero_grad()
    loss(model(x), labels):backward()
    optimizer:step()
    loss:after_step()
  end
  model:eval()
  t.equals(model:hash(), trained:hash())
end

-- Every scheme and loss that lives with a training: broken off, gone on, the same bits.
function T.what_lives_with_a_training_is_in_its_checkpoints()
  local rows = data()
  local makes = {
    online = function() return { target = ls.target.online{} } end,
    annealed = function() return { target = ls.target.annealed{ from = 0.2, to = 0, cosine = true } } end,
    disturb = function() return { target = ls.target.disturb{ epsilon = 0.3 } } end,
    self_distillation = function() return { target = ls.target.self_distillation{} } end,
    mean_teacher = function() return { loss = ls.loss.mean_teacher{ decay = 0.9, ramp_steps = 6 } } end,
    structural = function() return { target = ls.target.structural{ epsilon = ls.tensor.rand(#rows, { rng = ls.rng(4) }), rows = true, mean = 0.1 } } end,
    cals = function() -- updated by a callback, each epoch
      local loss, z = ls.loss.cals{ margin = 1, factor = 1.5, tolerance = 1.01 }, ls.tensor.randn(50, 10, { rng = ls.rng(9) })
      return { loss = loss, on_epoch = function(epoch) loss:update(loss:penalties(z * epoch)) end }
    end,
    own = function()
      return { target = ls.target.define{ name = "follow", properties = { stateful = true, random = true },
        state = function(_, context) return { p = ls.tensor.full(1 / context.classes, context.classes), seen = 0 } end,
        observe = function(_, _, context)
          context.state.p = context.state.p * 0.9 + context.logits:softmax():mean(1) * 0.1
          context.state.seen = context.state.seen + 1 + context.rng:integers(0, 1)
        end,
        soften = function(_, labels, context) return ls.target.prior(0.05 + 1e-4 * context.state.seen, context.state.p)(labels) end }{} }
    end,
  }
  for name, make in pairs(makes) do
    local function go(file, at)
      local model, rng = ls.nn.mlp({ 64, 10 }, { rng = ls.rng(2) }), ls.rng(3)
      local o = make()
      o.epochs, o.batch, o.rng, o.optimizer = 3, 90, rng, ls.optim.sgd{ lr = 0.1 }
      o.checkpoint = file and { file = file, every_steps = 2 }
      o.on_batch = at and function(step) if step == at then error "broken off" end end
      ls.train(model, rows, o)
      return model:hash() .. rng:raw()
    end
    local want, file = go(), t.tmpname()
    os.remove(file)
    for _, at in ipairs{ 3, 8, 12 } do t.message(function() go(file, at) end) end
    t.equals(go(file), want, name)
    os.remove(file)
    t.equals(go(), want, name .. ": a training begins anew")
  end
end

function T.mistakes_are_named()
  local z = golden.logits
  t.fails(function() return ls.loss.distillation{ teacher = ls.tensor.zeros(12, 3) }(z, y) end, "distillation: the teacher's logits have shape 12x3, the student's 12x7", true)
  t.fails(function() return ls.loss.distillation{ teacher = ls.nn.mlp({ 4, 7 }, { rng = ls.rng(1) }) }(z, y) end, "the inputs are missing", true)
  t.fails(function() return ls.loss.mean_teacher{}(z, y) end, "no training has begun", true)
  t.fails(function() return ls.loss.distillation{ temperature = 2 } end, "option teacher is missing", true)
  t.fails(function() return ls.target.online{}:set_state{ memory = ls.labels{ 1 } } end, "memory and classes belong together", true)
  local scheme = ls.target.online{}
  scheme:set_state{ memory = ls.labels{ 1, 2, 3 }, classes = 3 }
  t.fails(function() return scheme({ 0, 1 }):rows(3) end, "its state has 3 numbers, 21 are required", true)
end

t.run()
