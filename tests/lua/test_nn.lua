-- Models, optimizers, training, evaluation. SPDX-License-Identifier: MIT
local t, ls = require "harness", require "lsengine"
local T = t.tests
local nn = ls.nn

local function mlp(seed, options)
  local o = { rng = ls.rng(seed or 1) }
  for k, v in pairs(options or {}) do o[k] = v end
  return nn.mlp({ 64, 16, 10 }, o)
end

function T.parameters_have_pytorchs_names()
  local names = {}
  for i, p in ipairs(mlp():named_parameters()) do names[i] = p[1] end
  t.equals(names, { "0.weight", "0.bias", "2.weight", "2.bias" })
end

function T.initialisations_have_their_spread()
  for name, deviation in pairs{ torch = 1 / math.sqrt(3 * 400), he_normal = math.sqrt(2 / 400), he_uniform = math.sqrt(2 / 400),
    xavier_normal = math.sqrt(2 / 700), xavier_uniform = math.sqrt(2 / 700), lecun_normal = math.sqrt(1 / 400), lecun_uniform = math.sqrt(1 / 400) } do
    local w = nn.linear(400, 300, { rng = ls.rng(1), init = name }).weight
    local found = math.sqrt(w:square():mean():item())
    t.is_true(math.abs(found / deviation - 1) < 0.01, name) -- 120000 numbers: four standard errors are 0.8 %
  end
  t.equals(nn.linear(4, 3, { rng = ls.rng(1), init = "zeros" }).weight:abs():sum():item(), 0)
end

function T.weights_come_from_a_stream_of_their_own()
  local a, b = ls.rng(1), ls.rng(1)
  b:spawn "order"
  b:random()
  t.equals(mlp(nil, { rng = a }):hash(), mlp(nil, { rng = b }):hash())
  t.equals(mlp(1, { activation = "gelu" }):hash(), mlp(1):hash())
end

function T.models_are_saved_and_loaded_by_name()
  local path = t.tmpname() .. ".npz"
  local a, b = mlp(1), mlp(2)
  a:save(path)
  b:load(path)
  t.equals(b:hash(), a:hash())
  local other = nn.mlp({ 64, 17, 10 }, { rng = ls.rng(1) })
  local before = other:hash()
  local message = t.fails(function() return other:load(path) end, "does not fit the model", true)
  t.is_true(message:find("of another shape: 0.weight (is 16x64, must be 17x64)", 1, true) ~= nil)
  t.equals(other:hash(), before)
  local deep = nn.mlp({ 64, 16, 10, 3 }, { rng = ls.rng(1) })
  t.fails(function() return deep:load(path) end, "missing: 4.weight, 4.bias", true)
  local file = io.open(path, "r+b")
  file:seek("set", 200)
  file:write "damage damage damage"
  file:close()
  t.is_true(not pcall(b.load, b, path))
  os.remove(path)
end

function T.a_model_without_weights_says_so()
  local x = ls.tensor.zeros(2, 3)
  local layer = nn.linear(3, 2)
  t.fails(function() return layer(x) end, "the layer has no weights yet: give { rng = }", true)
  local model = nn.sequential({ nn.linear(3, 2) }, { rng = ls.rng(1) })
  t.fails(function() return model(ls.tensor.zeros(2, 4)) end, "the input has shape 2x4, rows of 3 features are required", true)
  t.fails(function() return nn.sequential{ nn.relu(), 5 } end, "layer 2 is number, a layer is required", true)
  t.fails(function() return nn.mlp({ 3 }, { rng = ls.rng(1) }) end, "sizes has 1 elements, at least 2", true)
end

function T.dropout_acts_in_training_only()
  local model = nn.sequential({ nn.dropout(0.5) }, { rng = ls.rng(1) })
  local x = ls.tensor.ones(1, 100000)
  model:eval()
  t.equals(model(x):sum():item(), 100000)
  model:train()
  local kept = model(x)
  t.is_true(math.abs(kept:gt(0):mean():item() - 0.5) < 0.01)
  t.close(kept:max():item(), 2, 0)
  t.is_true(model(x):hash() ~= kept:hash())
end

-- Three steps by hand, from the formulas.
function T.optimizers_follow_their_formulas()
  local function three(recipe)
    local w = ls.tensor{ 1 }:requires_grad()
    local optimizer = recipe:build{ w }
    for _, g in ipairs{ 1, 2, -1 } do
      optimizer:zero_grad()
      w:mul(g):sum():backward()
      optimizer:step()
    end
    return w[1]
  end
  t.close(three(ls.optim.sgd{ lr = 0.1 }), 1 - 0.1 * 2, 1e-6)
  t.close(three(ls.optim.sgd{ lr = 0.1, momentum = 0.9 }), 1 - 0.1 * (1 + 2.9 + 1.61), 1e-6)
  t.close(three(ls.optim.sgd{ lr = 0.1, momentum = 0.9, nesterov = true }), 1 - 0.1 * (1 + .9 + 2 + .9 * 2.9 + -1 + .9 * 1.61), 1e-6)
  local w, m, v = 1, 0, 0
  for step, g in ipairs{ 1, 2, -1 } do
    w = w * (1 - 0.1 * 0.2)
    m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
    w = w - 0.1 * (m / (1 - 0.9 ^ step)) / (math.sqrt(v / (1 - 0.999 ^ step)) + 1e-8)
  end
  t.close(three(ls.optim.adamw{ lr = 0.1, weight_decay = 0.2 }), w, 1e-6)
  t.fails(function() return ls.optim.sgd{ lr = 0.1, nesterov = true } end, "it needs momentum above 0", true)
  t.fails(function() return ls.optim.adam({}, { lr = 0.1 }) end, "there is no parameter to train", true)
end

function T.schedules_and_clipping()
  local s = ls.optim.cosine{ warmup = 2, minimum = 0.1 }
  t.close(s:factor(1, 10), 0.5, 1e-12)
  t.close(s:factor(2, 10), 1, 1e-12)
  t.close(s:factor(6, 10), 0.55, 1e-12)
  t.close(s:factor(10, 10), 0.1, 1e-12)
  t.close(ls.optim.step_decay{ every = 3, factor = 0.5 }:factor(7, 10), 0.25, 1e-12)
  local w = ls.tensor{ 3, 4 }:requires_grad()
  w:square():mul(0.5):sum():backward()
  t.close(ls.optim.clip_norm({ w }, 1), 5, 1e-6)
  t.close(w.grad[1], 0.6, 1e-6)
end

function T.training_learns_and_evaluation_has_every_measure()
  local data = ls.data.load "digits":split{ validation = 0.2 }
  local rng = ls.rng(1)
  local model, epochs = mlp(1), {}
  local history = ls.train(model, data.train, { epochs = 15, batch = 32, rng = rng, optimizer = ls.optim.adamw{ lr = 5e-3 },
    schedule = ls.optim.cosine{ warmup = 1 }, clip_norm = 5, on_epoch = function(epoch, m) epochs[epoch] = m.loss end })
  t.equals(#history, 15)
  t.equals(#epochs, 15)
  t.is_true(history[15].loss < history[1].loss / 4)
  local m = ls.evaluate(model, data.test, { temperature_on = data.validation })
  t.is_true(m.accuracy > 0.85, tostring(m.accuracy))
  for _, name in ipairs{ "accuracy", "top_k", "nll", "brier", "ece", "ece_null", "ece_debiased", "confidence_gap", "aurc", "temperature", "nll_ts", "ece_ts", "ece_debiased_ts" } do
    t.is_true(type(m[name]) == "number", name)
  end
  t.close(ls.evaluate(model, data.validation, { temperature_on = data.validation }).accuracy, ls.evaluate(model, data.validation).accuracy, 0)
  local on_itself = ls.evaluate(model, data.validation, { temperature_on = data.validation })
  t.is_true(on_itself.nll_ts <= on_itself.nll)
end

function T.training_that_diverges_says_so()
  local data = ls.data.load "digits"
  t.fails(function() return ls.train(mlp(), data.train, { epochs = 2, rng = ls.rng(1), optimizer = ls.optim.sgd{ lr = 1e30 } }) end, "", nil)
  t.fails(function() return ls.train(mlp(), data.train, { epochs = 1, rng = ls.rng(1), optimizer = ls.optim.sgd{ lr = 0.1 },
    loss = function() return ls.tensor{ 1, 2 } end }) end, "the loss is of shape 2, a one-element tensor is required")
end

t.run()
