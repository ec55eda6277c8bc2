-- ls.train: validation, early stopping, class weights, accumulation, averages, histories. SPDX-License-Identifier: MIT
local t, ls     = require "harness", require "lsengine"
local raw       = require "lsengine.c.tensor"
local histories = require "lsengine.history"
local T = t.tests

local digits = ls.data.load "digits":split{ validation = 200 }

local function mlp(seed, dropout) return ls.nn.mlp({ 64, 24, 10 }, { rng = ls.rng(seed or 1), dropout = dropout or 0 }) end
local function sgd(lr) return ls.optim.sgd{ lr = lr or 0.2, momentum = 0.9 } end

local function with(base, more)
  local o = {}
  for k, v in pairs(base) do o[k] = v end
  for k, v in pairs(more or {}) do o[k] = v end
  return o
end

-- Trains; the model, its history.
local function trained(o, model)
  model = model or mlp(1)
  local history = ls.train(model, o.data or digits.train, with({ epochs = 4, batch = 64, rng = ls.rng(3), optimizer = sgd() }, with(o, { data = nil })))
  return model, history
end

local function plain(o)
  o.data = nil
  return o
end

-- ---- gradients that are used up as they come ----

-- Large parameters are changed on the way back, unless somebody may look at the gradients: with on_batch they wait. Weights that are used twice, through views, by a
-- function of one's own or within the loss are changed when nothing asks for them any more.
function T.parameters_changed_on_the_way_back_get_the_same_bits()
  local nn, n = ls.nn, 300
  local data = ls.data.new{ x = ls.tensor.randn(n, 260, { rng = ls.rng(1) }), y = ls.rng(2):integers(0, 9, n), classes = 10 }
  local Twice = nn.module{
    init = function(self) self.a, self.b, self.c = nn.linear(260, 300), nn.linear(300, 300), nn.linear(300, 10) end,
    forward = function(self, x)
      local h = self.b(self.a(x):relu()):relu()
      return self.c(self.b(h) + h:matmul(self.b.weight:detach()) * 0.1 + h:matmul(self.b.weight:transpose()) * 0.1)
    end,
  }
  local kept = ls.autograd.define{ name = "kept", forward = function(x, w) return x:matmul(w), w:detach() end,
    backward = function(ctx, g) return g:matmul(ctx.saved[1]:transpose()), ctx[1]:transpose():matmul(g) end }
  local Own = nn.module{
    init = function(self) self.a, self.b, self.c = nn.linear(260, 300), nn.linear(300, 300), nn.linear(300, 10) end,
    forward = function(self, x) return self.c(self.b(kept(self.a(x), self.b.weight))) end,
  }
  local models = {
    mlp = function(rng) return nn.mlp({ 260, 300, 300, 10 }, { rng = rng }) end,
    twice = function(rng) return Twice():initialise(rng) end,
    own = function(rng) return Own():initialise(rng) end,
  }
  local optimizers = { ls.optim.sgd{ lr = 0.05 }, ls.optim.sgd{ lr = 0.02, momentum = 0.9, weight_decay = 1e-3, nesterov = true }, ls.optim.adamw{ lr = 1e-3 } }
  local function decayed(model)
    return function(logits, target) return ls.loss.cross_entropy(logits, target) + (model:parameters()[3]:square()):sum() * 1e-3 end
  end
  for name, make in pairs(models) do
    for i, optimizer in ipairs(optimizers) do
      local hashes = {}
      for k, seen in ipairs{ function() end, false } do
        local model = make(ls.rng(4))
        local history = ls.train(model, data.train, { epochs = 2, batch = 64, rng = ls.rng(5), optimizer = optimizer, schedule = ls.optim.cosine{ warmup = 0.5 },
          on_batch = seen or nil, loss = i == 2 and decayed(model) or nil })
        hashes[k] = ("%s %a"):format(model:hash(), history[2].loss)
        for _, p in ipairs(model:parameters()) do t.equals(p.grad, nil) end
      end
      t.equals(hashes[1], hashes[2], name)
    end
  end
end

-- A script's own optimizer:step, and one whose parameters are one memory, see all gradients.
function T.an_optimizer_with_a_step_of_its_own_sees_all_gradients()
  local model = ls.nn.mlp({ 64, 1100, 10 }, { rng = ls.rng(1) })
  local optimizer, seen = ls.optim.sgd(model:parameters(), { lr = 0.1 }), 0
  local step = optimizer.step
  optimizer.step = function(self)
    for _, p in ipairs(self.parameters) do seen = seen + (p.grad and 1 or 0) end
    return step(self)
  end
  ls.train(model, digits.train, { epochs = 1, batch = 400, drop_last = true, rng = ls.rng(3), optimizer = optimizer })
  t.equals(seen, 4 * optimizer.steps)
end

-- ---- validation ----

function T.validation_metrics_are_those_of_evaluate()
  local seen, wanted = {}, {}
  local model = mlp(1)
  local _, history = trained({ validation = digits.validation, on_epoch = function(epoch, m)
    seen[epoch], wanted[epoch] = m, ls.evaluate(model, digits.validation)
  end }, model)
  t.equals(#history, 4)
  for epoch = 1, 4 do
    t.is_true(seen[epoch] == history[epoch])
    for name, value in pairs(wanted[epoch]) do t.equals(history[epoch][name], value, name) end
    t.is_true(history[epoch].nll ~= nil and history[epoch].loss ~= history[epoch].nll)
  end
end

function T.validation_changes_nothing_in_training()
  local a, b = trained{}, trained{ validation = digits.validation, evaluate_every = 2 }
  t.equals(a:hash(), b:hash())
  t.is_true(trained{ rng = ls.rng(4) }:hash() ~= a:hash())
end

function T.evaluations_may_be_rare_but_the_last_epoch_has_one()
  local _, history = trained{ validation = digits.validation, epochs = 5, evaluate_every = 2 }
  for epoch, want in ipairs{ false, true, false, true, true } do t.equals(history[epoch].nll ~= nil, want) end
  local _, part = trained{ validation = digits.validation, epochs = 1.5, evaluate_every = 3 }
  t.equals(#part, 2)
  t.is_true(part[1].nll == nil and part[2].nll ~= nil)
end

function T.each_step_is_told()
  local steps, rates, sum = {}, {}, 0
  local _, history = trained{ epochs = 2, batch = 100, schedule = ls.optim.cosine{}, on_batch = function(step, m)
    steps[#steps + 1], rates[#rates + 1] = step, m.learning_rate
    if step <= 10 then sum = sum + m.loss * (step == 10 and 98 or 100) end
  end }
  t.equals(#steps, 20)
  for i = 1, 20 do t.equals(steps[i], i) end
  t.close(sum / 998, history[1].loss, 1e-9)
  t.equals(rates[1], 0.2)
  t.equals(rates[20], history[2].learning_rate)
  t.is_true(rates[20] < 0.01)
end

-- ---- early stopping ----

-- A training whose metric is made up: on_epoch cannot change it, so the rows' labels decide; here the loss itself is scripted.
local function scripted(values, o)
  local epoch = 0
  local model = ls.nn.linear(3, 2, { rng = ls.rng(1) })
  local data = ls.data.new{ x = ls.tensor.ones(4, 3), y = { 0, 1, 0, 1 }, classes = 2 }.train
  local by_epoch = {}
  local history = ls.train(model, data, { epochs = #values, batch = 4, rng = ls.rng(1), optimizer = ls.optim.sgd{ lr = 0.1 },
    loss = function(z) epoch = epoch + 1 return z:sum() * 0.01 - (z:sum() * 0.01):item() + values[epoch] end,
    on_epoch = function(e) by_epoch[e] = model:hash() end, early_stopping = with({ metric = "loss", patience = 2 }, o) })
  return history, by_epoch, model
end

function T.training_stops_after_its_patience_and_goes_back()
  local history, by_epoch, model = scripted{ 3, 2, 1, 1.5, 1.2, 0.5 }
  t.equals({ #history, history.stopped_at, history.best_epoch }, { 5, 5, 3 })
  t.equals(model:hash(), by_epoch[3])
  t.is_true(by_epoch[3] ~= by_epoch[5])
end

function T.the_last_weights_stay_where_that_is_asked_for()
  local history, by_epoch, model = scripted({ 3, 2, 1, 1.5, 1.2, 0.5 }, { restore_best = false })
  t.equals({ history.stopped_at, history.best_epoch, model:hash() }, { 5, 3, by_epoch[5] })
end

function T.an_improvement_must_exceed_min_delta()
  local history = scripted({ 3, 2.9, 2.7, 2.6, 2.5 }, { min_delta = 0.25 })
  t.equals({ #history, history.best_epoch, history.stopped_at }, { 5, 3, nil })
  history = scripted({ 3, 2.9, 2.8, 2.7, 2.6 }, { min_delta = 0.25 })
  t.equals({ #history, history.best_epoch, history.stopped_at }, { 3, 1, 3 })
end

function T.direction_decides_what_is_better()
  local history, by_epoch, model = scripted({ 1, 2, 3, 2, 1 }, { direction = "higher" })
  t.equals({ history.stopped_at, history.best_epoch, model:hash() }, { nil, 3, by_epoch[3] })
end

function T.without_an_early_end_the_best_epoch_comes_back_too()
  local history, by_epoch, model = scripted{ 3, 1, 2 }
  t.equals({ history.stopped_at, history.best_epoch, model:hash() }, { nil, 2, by_epoch[2] })
end

function T.early_stopping_by_validation_rows()
  local model, history = trained{ epochs = 30, optimizer = ls.optim.adam{ lr = 0.03 }, validation = digits.validation, early_stopping = { metric = "nll", patience = 3 } }
  t.is_true(history.stopped_at ~= nil and #history == history.stopped_at and history.best_epoch == history.stopped_at - 3)
  t.equals(ls.evaluate(model, digits.validation).nll, history[history.best_epoch].nll)
  local best = math.huge
  for _, entry in ipairs(history) do best = math.min(best, entry.nll) end
  t.equals(history[history.best_epoch].nll, best)
end

function T.early_stopping_refuses_what_it_cannot_know()
  t.fails(function() return ls.train(mlp(), digits.train, { epochs = 1, rng = ls.rng(1), optimizer = sgd(), early_stopping = { metric = "nll", patience = 2 } }) end,
    'train: early_stopping.metric is "nll", but there are no validation rows: option validation is missing', true)
  t.fails(function() return ls.train(mlp(), digits.train, { epochs = 1, rng = ls.rng(1), optimizer = sgd(), validation = digits.validation,
    early_stopping = { metric = "confidence", patience = 2 } }) end, "train: early_stopping.direction is missing: whether lower or higher confidence is better is not known", true)
  t.fails(function() return ls.train(mlp(), digits.train, { epochs = 1, rng = ls.rng(1), optimizer = sgd(), validation = digits.validation,
    early_stopping = { metric = "acuracy", direction = "higher", patience = 2 } }) end, "did you mean accuracy?", nil)
  t.fails(function() return ls.train(mlp(), digits.train, { epochs = 1, rng = ls.rng(1), optimizer = sgd(), early_stopping = { metric = "loss", patience = 0 } }) end,
    "train: early_stopping.patience is 0, allowed is at least 1", true)
  t.fails(function() return ls.train(mlp(), digits.train, { epochs = 1, rng = ls.rng(1), optimizer = sgd(), early_stopping = { metric = "loss", patiance = 2 } }) end,
    "train: unknown option early_stopping.patiance, known are direction, metric, min_delta, patience, restore_best; did you mean patience?", true)
  t.fails(function() return ls.train(mlp(), digits.train, { epochs = 1, rng = ls.rng(1), optimizer = sgd(), early_stopping = { metric = "loss" } }) end,
    "train: option early_stopping.patience is missing", true)
end

-- ---- class weights ----

function T.class_weights_are_those_of_the_cross_entropy()
  local w = {}
  for k = 1, 10 do w[k] = k / 5 end
  local a = trained{ class_weights = w }
  local b = trained{ loss = function(z, y) return ls.loss.cross_entropy(z, y, { weight = w }) end }
  t.equals(a:hash(), b:hash())
  t.equals(trained{ class_weights = ls.tensor(w) }:hash(), a:hash())
  t.is_true(trained{}:hash() ~= a:hash())
end

function T.balanced_weights_count_the_training_rows()
  local y, rows = {}, {}
  for i = 1, 60 do y[i] = i <= 40 and 0 or i <= 55 and 1 or 3 end
  for i = 1, 60 do rows[i] = i end
  local x = ls.tensor.randn(60, 3, { rng = ls.rng(1) })
  local data = ls.data.new{ x = x, y = y, classes = 4 }.train
  local function run(w)
    local model = ls.nn.linear(3, 4, { rng = ls.rng(1) })
    ls.train(model, data, { epochs = 2, batch = 16, rng = ls.rng(2), optimizer = sgd(), class_weights = w })
    return model:hash()
  end
  t.equals(run "balanced", run{ 60 / (4 * 40), 60 / (4 * 15), 0, 60 / (4 * 5) })
  t.is_true(run "balanced" ~= run(nil))
end

function T.class_weights_are_checked()
  local function fails(w, text, more)
    t.fails(function() return ls.train(mlp(), digits.train, with({ epochs = 1, rng = ls.rng(1), optimizer = sgd(), class_weights = w }, more)) end, "train: " .. text, nil)
  end
  fails({ 1, 2 }, "class_weights have shape 2, one number for each of 10 classes is required")
  fails({ 1, 1, 1, -1, 1, 1, 1, 1, 1, 1 }, "the class weight of class 3 is -1, allowed is any finite number from 0")
  fails(ls.tensor.zeros(10), "class_weights are all 0")
  fails("balance", 'class_weights is "balance", allowed are balanced')
  fails("balanced", "class_weights belong to the cross-entropy, but option loss is given", { loss = function(z, y) return ls.loss.cross_entropy(z, y) end })
end

-- ---- accumulation ----

-- How far two models' weights are apart, at most.
local function distance(a, b)
  local most = 0
  local other = b:parameters()
  for i, p in ipairs(a:parameters()) do most = math.max(most, (p:detach() - other[i]:detach()):abs():max():item()) end
  return most
end

-- Gradients in float32 are sums over rows in another order: after 40 steps that move weights by up to 0.5, about 1e-6 apart.
function T.accumulated_batches_make_the_step_of_a_large_one()
  local weights = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 }
  for name, o in pairs{ plain = {}, clipped = { clip_norm = 0.2 }, weighted = { class_weights = weights }, softened = { target = ls.target.uniform(0.1) },
      own = { loss = function(z, y) return ls.loss.cross_entropy(z, y) * 2 end }, scheduled = { schedule = ls.optim.cosine{ warmup = 0.5 } } } do
    local large, first = trained(with({ batch = 96 }, o))
    local small, second = trained(with({ batch = 24, accumulate = 4 }, o)) -- 998 rows: the last group has 38 in 2 batches
    local apart = distance(large, small)
    t.is_true(apart < 5e-6, ("%s: %g apart"):format(name, apart))
    t.is_true(apart > 0, name .. ": the sums have one order")
    t.close(first[4].loss, second[4].loss, 1e-5)
    t.equals(first[4].learning_rate, second[4].learning_rate)
  end
  local other = trained{ batch = 24 }
  t.is_true(distance(trained{ batch = 96 }, other) > 1e-3)
end

function T.an_optimizer_steps_once_for_each_group()
  local model = mlp(1)
  local optimizer, told = ls.optim.sgd(model:parameters(), { lr = 0.1 }), 0
  ls.train(model, digits.train, { epochs = 2, batch = 100, accumulate = 3, rng = ls.rng(1), optimizer = optimizer, on_batch = function() told = told + 1 end })
  t.equals({ optimizer.steps, told }, { 8, 8 }) -- 10 batches: 3, 3, 3, 1
end

-- ---- averages ----

-- The average in double, from the weights after each step.
function T.the_average_is_the_debiased_moving_average()
  local model, sum, factors, first = ls.nn.linear(64, 10, { rng = ls.rng(1) }), nil, 0, nil
  local decay, start = 0.9, 0.5
  local steps = 0
  ls.train(ls.nn.sequential{ ls.nn.flatten(), model }, digits.train, { epochs = 2, batch = 100, rng = ls.rng(3), optimizer = sgd(0.5), average = { decay = decay, start = start },
    on_batch = function(step)
      if step <= 5 then return end
      steps = steps + 1
      first = first or model.weight:detach()[3][5]
      sum, factors = (sum or 0) * decay + (1 - decay) * model.weight:detach()[3][5], factors * decay + 1 - decay
    end })
  t.equals(steps, 15)
  t.close(model.weight:detach()[3][5], sum / factors, 1e-6)
  t.is_true(math.abs(first - sum / factors) > 1e-4)
end

function T.validation_and_the_model_have_the_average()
  local averaged, history = trained{ validation = digits.validation, average = { decay = 0.9 } }
  local last = trained{}
  t.equals(ls.evaluate(averaged, digits.validation).nll, history[4].nll)
  t.is_true(averaged:hash() ~= last:hash())
  t.equals(trained{ average = { decay = 0.9, keep = "last" } }:hash(), last:hash())
  t.equals(trained{ average = { decay = 0 } }:hash(), last:hash())
  t.equals(trained{ average = { start = 100 } }:hash(), last:hash())
  local kept, other = trained{ validation = digits.validation, average = { decay = 0.9, keep = "last" } }
  t.equals({ kept:hash(), other[4].nll }, { last:hash(), history[4].nll })
end

function T.the_best_epoch_has_its_average()
  local model, history = trained{ epochs = 12, optimizer = ls.optim.adam{ lr = 0.05 }, validation = digits.validation, average = { decay = 0.8 },
    early_stopping = { metric = "nll", patience = 2 } }
  t.is_true(history.best_epoch < #history)
  t.equals(ls.evaluate(model, digits.validation).nll, history[history.best_epoch].nll)
end

function T.buffers_are_copied_not_averaged()
  local model = mlp(1)
  model.counter = ls.tensor{ 0 }
  local forward = model.forward
  rawset(model, "forward", function(self, x)
    if rawget(self, "training") then ls.no_grad(function() self.counter:copy_(self.counter + 1) end) end
    return forward(self, x)
  end)
  trained({ average = { decay = 0.9 }, validation = digits.validation }, model)
  t.equals(model.counter[1], 4 * 16)
end

function T.an_error_within_validation_leaves_the_weights_of_training()
  local model, before = mlp(1), nil
  local bad = ls.data.new{ x = digits.validation.x, y = ls.labels(digits.validation.y):map(function() return 11 end), classes = 12 }.train
  t.fails(function() trained({ validation = bad, average = { decay = 0.5 }, on_batch = function(step) if step == 16 then before = model:hash() end end }, model) end, "", nil)
  t.equals(model:hash(), before)
end

-- ---- histories ----

local function made_up(n)
  local entries = {}
  for i = 1, n do
    entries[i] = { epoch = i, loss = 2 / i, nll = i % 2 == 0 and 1 + 1 / i or nil, seconds = 0.5, learning_rate = 0.1, top_k = 1 }
  end
  local h = histories.new(entries)
  h.best_epoch = 3
  return h
end

function T.a_history_is_printed_as_a_table()
  local text = tostring(made_up(5))
  t.equals(select(2, text:gsub("\n", "\n")), 6)
  t.is_true(text:find("^epoch    loss     nll  learning_rate  seconds\n") ~= nil, text)
  t.is_true(text:find("\n    3  0%.6667                    0%.1     0%.50  ← best\n") ~= nil, text)
  t.is_true(text:find("not shown: top_k$") ~= nil, text)
  local long = tostring(made_up(100))
  t.is_true(long:find("…", 1, true) ~= nil and select(2, long:gsub("\n", "\n")) == 32, long)
  t.equals(tostring(histories.new{}), "a history without epochs")
end

function T.numbers_of_a_metric()
  local h = made_up(5)
  t.equals(h:metric "loss", { 2, 1, 2 / 3, 0.5, 0.4 })
  t.equals(h:metric "nll", { 1.5, 1.25 })
  t.fails(function() return h:metric "los" end, 'metric: no epoch has "los", known are epoch, learning_rate, loss, nll, seconds, top_k; did you mean loss?', true)
  t.fails(function() return histories.new{}:metric "loss" end, "metric: the history has no epoch", true)
end

function T.curves_are_drawn()
  local h = histories.new{ { epoch = 1, loss = 4, nll = 2 }, { epoch = 2, loss = 2, nll = 2 }, { epoch = 3, loss = 0, nll = 2 } }
  local text = histories.draw(h, { "loss" }, 30, 8, false)
  t.equals("\n" .. text, [[

4 ┤⠑⠢⢄⡀
  │   ⠈⠑⠢⢄⡀
2 ┤       ⠈⠑⠢⢄⡀
  │           ⠈⠑⠢⢄
  │               ⠉⠒⠤⡀
0 ┤                  ⠈⠑⠢⢄ loss
  └┬──────────┬─────────┬
   1          2         3 epoch]])
  local coloured = histories.draw(h, { "loss", "nll" }, 60, 12, true)
  t.is_true(coloured:find("\27[36m", 1, true) and coloured:find("\27[33mnll\27[0m", 1, true) ~= nil)
  t.fails(function() return h:plot{ "loss", "nlll" } end, "did you mean nll?", true)
  t.fails(function() return h:plot{} end, "plot: no metric is named", true)
  local holed = table.pack(nil, "loss") -- #holed may count the hole
  t.fails(function() return h:plot(holed) end, "plot: ", true)
  t.fails(function() return require "lsengine.history".new{}:plot{ nil, "loss" } end, "plot: ", true)
  for _, values in ipairs{ { 1 }, { 0, 0 }, { 5, 5, 5 }, { 0 / 0, 1, math.huge, 2 }, { 0 / 0 }, { 1e-30, 2e-30 }, { -1e30, 1e30 }, { 1e308, -1e308 } } do
    local entries = {}
    for i, v in ipairs(values) do entries[i] = { epoch = i, loss = v } end
    local drawn = histories.draw(histories.new(entries), { "loss" }, 50, 10, false)
    t.equals(select(2, drawn:gsub("\n", "\n")), 9)
  end
end

function T.what_would_train_nothing_is_refused()
  local function model() return ls.nn.sequential({ ls.nn.flatten(), ls.nn.linear(4, 2) }, { rng = ls.rng(1) }) end
  local x = ls.tensor.ones(6, 4)
  local d = ls.data.new{ x = x:clone(), y = { 0, 1, 0, 1, 0, 1 }, classes = 2 }.train
  local other = ls.optim.sgd(model():parameters(), { lr = 0.1 })
  t.fails(function() return ls.train(model(), d, { epochs = 1, rng = ls.rng(1), optimizer = other }) end, "train: the optimizer holds no parameter of this model", true)
  x[3][2] = 0 / 0
  local damaged = ls.data.new{ x = x, y = { 0, 1, 0, 1, 0, 1 }, classes = 2 }.train
  t.fails(function() return ls.train(model(), damaged, { epochs = 1, rng = ls.rng(1), optimizer = ls.optim.sgd{ lr = 0.1 } }) end, "train: row 3 of the training data holds NaN", true)
  local Lost = ls.nn.module{ init = function(self) self.list = { ls.nn.linear(4, 4) } end, forward = function(_, v) return v end }
  t.fails(function() return Lost() end, "list is a table with a layer in it (1), which training and saving would not see")
  t.fails(function() return ls.nn.sequential{ ls.nn.linear(4, 2) }:load "no.npz" end, "the model's linear has no weights yet", true)
  t.fails(function() return ls.train(model(), d, { epochs = 1, rng = ls.rng(1), optimizer = ls.optim.sgd{ lr = 0.1 }, validation = d, early_stopping = { metric = "acuracy", patience = 1 } }) end,
    "did you mean accuracy?", true)
  t.equals(ls.labels(ls.tensor{ { 1 }, { 0 } }), ls.labels{ 1, 0 })
  t.fails(function() return ls.labels(ls.tensor{ 0.5 }) end, "labels: element 1 of the tensor is 0.5, whole numbers are required", true)
end

function T.a_last_batch_that_is_smaller_may_be_left_out()
  local steps = 0
  local function run(batch, drop)
    steps = 0
    local model = ls.nn.sequential({ ls.nn.linear(3, 4), ls.nn.batch_norm(4), ls.nn.linear(4, 2) }, { rng = ls.rng(1) })
    local d = ls.data.new{ x = ls.tensor.randn(9, 3, { rng = ls.rng(2) }), y = { 0, 1, 0, 1, 0, 1, 0, 1, 0 }, classes = 2 }.train
    return ls.train(model, d, { epochs = 2, batch = batch, drop_last = drop, rng = ls.rng(3), optimizer = ls.optim.sgd{ lr = 0.1 }, on_batch = function() steps = steps + 1 end })
  end
  run(4, true)
  t.equals(steps, 4)
  run(3, false)
  t.equals(steps, 6)
  t.fails(function() return run(4, false) end, "the batch has one row (drop_last = true leaves such a last batch out)")
  t.fails(function() return run(10, true) end, "train: drop_last leaves no batch: the data set has 9 rows, a batch 10")
end

t.run()
