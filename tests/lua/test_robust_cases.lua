-- Numbers that cannot be computed with, sets without rows, one class, memory that is too small: each an error at the user's line.
-- SPDX-License-Identifier: MIT
local t, ls   = require "harness", require "lsengine"
local eval    = require "lsengine.c.eval"
local judge, fit_temperature = require "lsengine.c.judging".judge, require "lsengine.c.calibrators".fit_temperature
local CLASSIFY = { name = "evaluate", classification = { top_k = { 5 } } }
local raw     = require "lsengine.c.tensor"
local program = require "lsengine.c.program"
local T = t.tests

local function set(rows, classes, labels) return ls.data.new{ name = "a set", x = raw.full(0.5, rows, 3), y = labels, classes = classes }.train end
local plain, one, none = set(4, 3, { 0, 1, 2, 0 }), set(4, 1, { 0, 0, 0, 0 }), set(0, 3, {})
local function model(classes, value)
  local m = ls.nn.linear(3, classes, { rng = ls.rng(1) })
  if value then ls.no_grad(function() m.weight:fill_(value) end) end
  return m
end
local function recipe() return ls.optim.sgd{ lr = 0.1 } end

-- ---- NaN and infinities ----

function T.logits_that_are_no_numbers()
  local y = ls.labels{ 0, 1 }
  for name, value in pairs{ NaN = 0 / 0, ["+inf"] = math.huge } do
    local z = ls.tensor{ { 1, 2, 3 }, { 4, value, 6 } }
    local text = ("logits[2] is %s for class 1"):format(name)
    t.fails(function() return ls.loss.cross_entropy(z, y) end, "cross_entropy: " .. text, true)
    t.fails(function() return ls.loss.cross_entropy_parts(z, y) end, text, true)
    t.fails(function() return ls.loss.kl_divergence(z, y) end, text, true)
    t.fails(function() return judge(z, y, false, 1, nil, CLASSIFY) end, "evaluate: " .. text, true)
    t.fails(function() return fit_temperature(z, y, false) end, "temperature: " .. text, true)
    t.fails(function() return ls.target.soft(z):rows(3) end, "row 1 of the target sums to 6", true)
  end
  local masked = ls.tensor{ { 1, 2, 3 }, { 4, -math.huge, 6 } }
  t.fails(function() return ls.loss.cross_entropy(masked, y) end, "row 2 of the target has mass on class 1, which is masked (its logit is -inf)", true)
  t.fails(function() return judge(masked, y, false, 1, nil, CLASSIFY) end, "labels[2] is 1, a class that is masked (its logit is -inf)", true)
  t.fails(function() return fit_temperature(masked, y, false) end, "labels[2] is 1, a class that is masked", true)
  t.close(ls.loss.cross_entropy(masked, { 0, 2 }):item(), 1.2672668, 1e-5)
  t.fails(function() return ls.loss.cross_entropy(ls.tensor.full(-math.huge, 1, 2), { 0 }) end, "logits[1] is -inf for every class", true)
end

function T.models_that_give_nan()
  t.fails(function() return ls.evaluate(model(3, 0 / 0), plain) end, "evaluate: logits[1] is NaN for class 0", true)
  t.fails(function() return ls.evaluate(model(3), plain, { temperature_on = set(1, 6, { 5 }) }) end, "labels[1] is 5 but logits have 3 classes (0..2)", true)
  t.fails(function() return ls.train(model(3, 0 / 0), plain, { epochs = 1, rng = ls.rng(1), optimizer = recipe() }) end, "logits[1] is NaN for class 0", true)
  t.fails(function() return ls.train(model(3), plain, { epochs = 1, rng = ls.rng(1), optimizer = recipe(), loss = function(z) return z:sum() * (0 / 0) end }) end,
    "training has diverged", true)
  t.fails(function() return ls.train(model(3), plain, { epochs = 0 / 0, rng = ls.rng(1), optimizer = recipe() }) end, "epochs is ", true)
  t.fails(function() return ls.train(model(3), plain, { epochs = 1, rng = ls.rng(1), optimizer = ls.optim.sgd{ lr = math.huge } }) end, "lr is inf, allowed is any finite number from 0", true)
end

function T.weights_temperatures_and_targets_that_are_no_numbers()
  local z, y = ls.tensor.zeros(2, 3), ls.labels{ 0, 1 }
  t.fails(function() return ls.loss.cross_entropy(z, y, { weight = { 1, 0 / 0, 1 } }) end, "the weight of class 1 is", true)
  t.fails(function() return judge(z, y, false, 1e-320, nil, CLASSIFY) end, "temperature is 9.99989e-321, allowed is", true) -- 1 / T would be infinite
  t.fails(function() return judge(z, y, false, 0 / 0, nil, CLASSIFY) end, "temperature is", true)
  t.fails(function() return judge(z, y, false, 0, nil, CLASSIFY) end, "temperature is 0, allowed is 1e-100 to 1e+100", true)
  t.fails(function() return ls.target.uniform(0 / 0) end, "epsilon is", true)
  t.fails(function() return ls.target.prior(0.1, { 0 / 0, 1, 0 })(y):rows(3) end, "the prior gives class 0 the mass", true)
  t.fails(function() return ls.target.weighted{ { y, 0 / 0 } } end, "weight of term 1 is", true)
  t.fails(function() return ls.loss.cross_entropy(z, ls.target.soft(ls.tensor{ { 0 / 0, 0, 1 }, { 0, 0, 1 } })) end, "row 1 of the target has", true)
  t.fails(function() return ls.loss.binary_cross_entropy(z, ls.tensor.full(0 / 0, 2, 3)) end, "", true)
  t.fails(function() return eval.describe{ 1, 0 / 0 } end, "value 2 is", true)
  t.fails(function() return ls.rng(1):gamma(math.huge) end, "shape is inf, allowed is any finite number above 0", true)
  t.fails(function() return ls.rng(1):categorical{ 0, 0 } end, "the weights sum to 0", true)
  t.fails(function() return ls.rng(1):categorical{} end, "the weights sum to 0", true)
end

-- ---- labels out of range ----

function T.labels_that_are_no_class()
  local z = ls.tensor.zeros(2, 3)
  for bad, text in pairs{ [3] = "3", [-1] = "-1", [math.maxinteger] = "9223372036854775807", [math.mininteger] = "-9223372036854775808" } do
    local y = ls.labels{ 0, bad }
    local said = ("labels[2] is %s but logits have 3 classes (0..2)"):format(text)
    t.fails(function() return ls.loss.cross_entropy(z, y) end, said, true)
    t.fails(function() return ls.loss.cross_entropy(z, ls.target.uniform(0.1)(y)) end, said, true)
    t.fails(function() return judge(z, y, false, 1, nil, CLASSIFY) end, said, true)
    t.fails(function() return fit_temperature(z, y, false) end, said, true)
    t.fails(function() return ls.target.uniform(0.1)(y):rows(3) end, said, true)
    t.fails(function() return ls.tensor.one_hot(y, 3) end, ("one_hot: index[2] is %s, allowed is 0 to 2"):format(text), true)
    t.fails(function() return z:pick(y) end, ("pick: index[2] is %s, allowed is 0 to 2"):format(text), true)
  end
  t.fails(function() return z:gather{ 1, 0 } end, "position 2 is 0, allowed is 1 to 2", true)
  t.fails(function() return z:gather{ math.mininteger } end, "allowed is 1 to 2", true)
  t.fails(function() return ls.labels{ 1 }:gather{ 2 } end, "position 1 is 2, allowed is 1 to 1", true)
  t.fails(function() return ls.labels{ 1, 2.5 } end, "[2] is 2.5, an integer is required", true)
  t.fails(function() return ls.evaluate(model(3), set(2, 8, { 0, 7 })) end, "labels[2] is 7 but logits have 3 classes (0..2)", true)
end

-- ---- no rows, one class ----

function T.a_set_without_rows()
  t.fails(function() return ls.train(model(3), none, { epochs = 1, rng = ls.rng(1), optimizer = recipe() }) end, "train: the data set has no rows", true)
  t.fails(function() return ls.evaluate(model(3), none) end, "evaluate: the data set has no rows", true)
  t.fails(function() return ls.evaluate(model(3), plain, { temperature_on = none }) end, "evaluate: the data set has no rows", true)
  t.fails(function() return ls.evaluate(model(3), plain:subset{}) end, "the data set has no rows", true)
  local count = 0
  for _ in none:batches(3) do count = count + 1 end
  for _ in none:batches(3, { rng = ls.rng(1) }) do count = count + 1 end
  t.equals(count, 0)
  local d = ls.data.load "digits"
  d.train = none
  t.fails(function() return d:split{ validation = 0.5 } end, "validation of 0 rows takes 0", true)
  local z = ls.tensor.zeros(0, 3)
  t.equals(ls.loss.cross_entropy(z, {}):item(), 0)
  t.equals({ ls.tensor.one_hot({}, 3):size(1), z:softmax():count(), z:pick{}:count(), z:sum():item(), #z:argmax() }, { 0, 0, 0, 0, 0 })
  t.fails(function() return z:max() end, "there is no element to choose from", true)
  t.fails(function() return judge(z, {}, false, 1, nil, CLASSIFY) end, "there is no row to judge", true)
  t.fails(function() return fit_temperature(z, {}, false) end, "there is no row to judge", true)
  t.fails(function() return ls.tensor.zeros(2, 0):softmax() end, "logits have no class", true)
  t.fails(function() return ls.loss.cross_entropy(ls.tensor.zeros(2, 0), { 0, 0 }) end, "logits have no class", true)
  t.equals(tostring(z), "tensor({}, 0×3)")
end

function T.one_class()
  local z = ls.tensor.full(3, 4, 1):requires_grad()
  for _, scheme in ipairs{ ls.target.one_hot(), ls.target.uniform(0.1), ls.target.prior(0.1, { 1 }), ls.target.matrix(0.1, { { 1 } }) } do
    local loss = ls.loss.cross_entropy(z, scheme{ 0, 0, 0, 0 })
    t.equals(loss:item(), 0)
    loss:backward()
    t.equals(z.grad:abs():max():item(), 0)
  end
  t.fails(function() return ls.loss.cross_entropy(z, ls.target.wrong_classes(0.1){ 0, 0, 0, 0 }) end, "wrong_classes has no wrong class to give mass to", true)
  t.fails(function() return ls.loss.cross_entropy(z, { 0, 1, 0, 0 }) end, "labels[2] is 1 but logits have 1 class (0..0)", true)
  local history = ls.train(model(1), one, { epochs = 2, rng = ls.rng(1), optimizer = recipe(), target = ls.target.uniform(0.1) })
  t.equals(history[2].loss, 0)
  local m = ls.evaluate(model(1), one, { temperature_on = one })
  t.equals({ m.accuracy, m.nll, m.ece, m.temperature }, { 1, 0, 0, 1 })
  for name, value in pairs(m) do t.is_true(value == value and value - value == 0, name) end
end

function T.an_experiment_over_one_class_and_its_failures()
  local function run(trial, claims)
    return ls.experiment{ name = "robust cases", seeds = 6, arms = { { "a" }, { "b" } }, trial = trial, claims = claims }:run()
  end
  local print_before = print
  print = function() end -- luacheck: ignore
  local ok, outcome = pcall(run, function() return ls.evaluate(model(1), one) end, { ls.claim{ "a", "not lower", "accuracy", than = "b", within = 0.1 } })
  local no_table, nan, raised, object = t.message(run, function() return 5 end), t.message(run, function() return { x = 0 / 0 } end),
    t.message(run, function() error "mine" end), t.message(run, function() error(setmetatable({}, { __tostring = function() return "an object" end })) end)
  print = print_before -- luacheck: ignore
  t.is_true(ok, tostring(outcome))
  os.remove(outcome.file)
  t.equals(outcome.verdicts[1].n, 6)
  t.is_true(no_table:find("the trial of a returned 5, a table of numbers is required", 1, true) ~= nil)
  t.is_true(nan:find("a finite number is required", 1, true) ~= nil)
  t.is_true(raised:find "test_robust_cases.lua:%d+: mine" ~= nil)
  t.equals(object, "an object")
end

-- ---- lists that are none ----

-- The border that rawlen finds may be 2^61.
function T.a_list_that_seems_endless()
  local x, numbers = {}, {}
  for i = 0, 61 do x[1 << i], x[i < 61 and (1 << i) + 1 or 1] = 1, 1 end
  local function first(list) return list[1] end
  t.fails(function() return ls.stats.bootstrap(x, { statistic = first }) end, "is nil, a number is required", true)
  t.fails(function() return ls.stats.bootstrap(x) end, "at most 2^31-1 are allowed", true)
  for i = 1, 100 do numbers[i] = i end
  for said, value in pairs{ ["NaN, a finite number"] = 0 / 0, ["-inf, a finite number"] = -math.huge, ["\"x\", a number"] = "x" } do
    numbers[77] = value
    for _, statistic in ipairs{ first, "mean" } do
      t.fails(function() return ls.stats.bootstrap(numbers, { statistic = statistic }) end, ("values[77] is %s is required"):format(said), true)
    end
  end
end

-- ---- objects whose fields a script has exchanged ----

function T.multipliers_exchanged_for_something_else()
  for field, values in pairs{
    previous = { [{}] = "previous have shape 0, one number for each of 3 classes is required", [5] = "previous is 5, a tensor or a table is required" },
    lambda = { [{}] = "lambda have shape 0", [5] = "lambda is 5, a tensor or a table is required", [{ 1, 2 }] = "the penalties have shape 3, one number for each of 2 classes is required" },
  } do
    for value, said in pairs(values) do
      local loss = ls.loss.cals{ margin = 0 }
      loss[field] = value
      t.fails(function() loss:update{ 1, 2, 3 } end, said, true)
    end
  end
end

-- ---- memory ----

function T.tensors_larger_than_memory()
  local limit = program.memory().limit
  if limit > 4e9 then t.skip "needs a memory limit below 4 GB" end
  local said = ("MB are in use, the limit is %.1f MB (--mem-limit)"):format(limit / 1e6)
  for text, f in pairs{
    ["zeros: no memory for 1000000x1000 floats (4000.0 MB)"] = function() return ls.tensor.zeros(1000000, 1000) end,
    ["eye: no memory for 100000x100000 floats (40000.0 MB)"] = function() return ls.tensor.eye(100000) end,
    ["normal: no memory for 2147483647 floats (8589.9 MB)"] = function() return ls.rng(1):normal(2^31 - 1) end,
    ["permutation: no memory for 2147483647 labels (17179.9 MB)"] = function() return ls.rng(1):permutation(2^31 - 1) end,
    ["one_hot: no memory for 1x2147483647 floats"] = function() return ls.tensor.one_hot({ 0 }, 2^31 - 1) end,
    ["target: no memory for 1x2147483647 floats"] = function() return ls.target.uniform(0.1){ 0 }:rows(2^31 - 1) end,
    ["clone: no memory for 1000000x1000 floats"] = function() return ls.tensor{ 1 }:expand(1000000, 1000):clone() end,
    ["matmul: no memory for 100000x100000 floats"] = function() return ls.tensor.ones(100000, 1):matmul(ls.tensor.ones(1, 100000)) end,
    ["add: no memory for 100000x100000 floats"] = function() return ls.tensor.ones(100000, 1) + ls.tensor.ones(1, 100000) end,
    ["linear: no memory for 100000x100000 floats"] = function() return ls.nn.linear(100000, 100000, { rng = ls.rng(1) }) end,
  } do
    local message = t.fails(f, text, debug.getinfo(f, "S").linedefined)
    if not message:find(said, 1, true) then error(("%q is not in %q"):format(said, message)) end
  end
  t.equals(ls.tensor.ones(3):sum():item(), 3)
end

t.run()
