-- Data sets whose y is a number for each row. SPDX-License-Identifier: MIT
local t, ls = require "harness", require "lsengine"
local T = t.tests

local function mse(out, y) return ls.loss.mse(out, y) end
local function line(n) -- y = 2 x1 - x2 + 3, exactly
  local x = ls.tensor.randn(n, 2, { rng = ls.rng(5) })
  return ls.data.new{ name = "line", x = x, y = x:matmul(ls.tensor{ { 2 }, { -1 } }) + 3 }
end

function T.concrete_is_what_its_file_holds()
  local raw, scaled = ls.data.load("concrete", { raw = true }), ls.data.load "concrete"
  t.equals({ #raw.train, #raw.test, raw.classes, raw.train.classes }, { 824, 206 })
  t.equals(raw.train.y:shape(), { 824, 1 })
  t.equals(tostring(scaled), "train      concrete: 824 rows of 8, regression\ntest       concrete: 206 rows of 8, regression")
  -- means over all 1030 rows, computed from the file by awk
  local function mean(part) return (raw.train[part]:sum(1) + raw.test[part]:sum(1)) / 1030 end
  t.close(mean("y"):item(), 35.8180, 1e-3)
  for i, want in ipairs{ 281.1679, 73.8958, 54.1883, 181.5673, 6.2047, 972.9189, 773.5805, 45.6621 } do t.close(mean("x")[i], want, 1e-3) end
  t.equals(scaled.train.y:hash(), raw.train.y:hash())
  t.is_true(scaled.train.x:mean(1):abs():max():item() < 1e-5)
  t.is_true((scaled.train.x:square():mean(1) - 1):abs():max():item() < 1e-4)
  t.is_true(scaled.test.x:mean(1):abs():max():item() > 1e-3)
end

-- The file's rows are written down where the documented stream says they go.
function T.the_split_of_concrete_is_the_documented_one()
  local raw = ls.data.load("concrete", { raw = true })
  local order = ls.rng(0):spawn "test rows of concrete":permutation(1030)
  local at = {}
  for i = 1, 1030 do at[order[i]] = i end
  local function row(i) -- of the file
    local place = at[i]
    local part = place <= 206 and raw.test or raw.train
    place = place <= 206 and place or place - 206
    return part.x[place]:totable(), part.y[place][1]
  end
  local x, y = row(1)
  t.equals(x, { 540, 0, 0, 162, 2.5, 1040, 676, 28 })
  t.close(y, 79.99, 1e-5)
  x, y = row(2)
  t.equals(x, { 540, 0, 0, 162, 2.5, 1055, 676, 28 })
  t.close(y, 61.89, 1e-5)
end

function T.rows_and_numbers_stay_together()
  local d = line(50):split{ test = 10, validation = 0.2 }
  t.equals({ #d.train, #d.validation, #d.test }, { 30, 10, 10 })
  local function holds(x, y)
    t.equals(y:shape(), { #x, 1 })
    t.is_true((x:matmul(ls.tensor{ { 2 }, { -1 } }) + 3 - y):abs():max():item() == 0)
  end
  for _, part in ipairs{ d.train, d.validation, d.test, d.train:subset{ 3, 3, 1 } } do holds(part.x, part.y) end
  local rows = 0
  for x, y in d.train:batches(7, { rng = ls.rng(1) }) do holds(x, y) rows = rows + #y end
  for x, y in d.train:batches(7) do holds(x, y) rows = rows + #y end
  t.equals(rows, 60)
  t.equals(d.train:subset{ 3, 3, 1 }.y:totable(), { d.train.y[3]:totable(), d.train.y[3]:totable(), d.train.y[1]:totable() })
end

function T.a_vector_is_a_column()
  local d = ls.data.new{ x = ls.tensor.zeros(3, 2), y = ls.tensor{ 1, 2, 3 } }
  t.equals(d.train.y:totable(), { { 1 }, { 2 }, { 3 } })
  t.equals(tostring(d), "train      data: 3 rows of 2, regression")
end

function T.training_finds_the_line()
  local d = line(200):split{ test = 50 }
  local model = ls.nn.linear(2, 1, { rng = ls.rng(1) })
  ls.train(model, d.train, { epochs = 60, batch = 10, rng = ls.rng(1), optimizer = ls.optim.sgd{ lr = 0.05 }, loss = mse })
  local m = ls.evaluate(model, d.test)
  t.is_true(m.rmse < 1e-3 and m.mae <= m.rmse and m.r2 > 0.999999, m.rmse)
  t.close(model.weight[1][1], 2, 1e-3)
  t.close(model.bias[1], 3, 1e-3)
end

-- Against the definitions, in Lua's doubles.
function T.measures_are_those_of_the_definitions()
  local d = ls.data.load "concrete"
  local model = ls.nn.mlp({ 8, 5, 1 }, { rng = ls.rng(2) })
  local m = ls.evaluate(model, d.test)
  local p, y, mean, square, absolute, total = model(d.test.x):totable(), d.test.y:totable(), 0, 0, 0, 0
  for i = 1, #y do mean = mean + y[i][1] / #y end
  for i = 1, #y do
    square, absolute, total = square + (p[i][1] - y[i][1]) ^ 2, absolute + math.abs(p[i][1] - y[i][1]), total + (y[i][1] - mean) ^ 2
  end
  t.close(m.rmse, (square / #y) ^ 0.5, 1e-9)
  t.close(m.mae, absolute / #y, 1e-9)
  t.close(m.r2, 1 - square / total, 1e-9)
  t.is_true(m.r2 < 0) -- not trained yet
  local names = {}
  for name in pairs(m) do names[#names + 1] = name end
  table.sort(names)
  t.equals(names, { "mae", "r2", "rmse" })
end

function T.a_network_explains_concrete()
  local d = ls.data.load "concrete"
  local model = ls.nn.mlp({ 8, 32, 1 }, { rng = ls.rng(1) })
  ls.train(model, d.train, { epochs = 60, batch = 32, rng = ls.rng(1), optimizer = ls.optim.adam{ lr = 0.03 }, loss = mse })
  local m = ls.evaluate(model, d.test)
  t.is_true(m.r2 > 0.8 and m.rmse < 8, m.r2)
end

function T.what_makes_no_sense_is_refused()
  local zeros = ls.tensor.zeros
  t.fails(function() return ls.data.new{ x = zeros(3, 2), y = zeros(3), classes = 2 } end, "new: y is a tensor, a target of regression, and classes are of labels", true)
  t.fails(function() return ls.data.new{ x = zeros(3, 2), y = { 0, 1, 1 } } end, "new: option classes is missing: y holds labels", true)
  t.fails(function() return ls.data.new{ x = zeros(3, 2), y = zeros(3, 2) } end, "new: y is a tensor of shape 3x2, N or N×1 is required", true)
  t.fails(function() return ls.data.new{ x = zeros(3, 2), y = ls.tensor(1) } end, "new: y is a tensor of shape scalar, N or N×1 is required", true)
  t.fails(function() return ls.data.new{ x = zeros(3, 2), y = zeros(4) } end, "new: x has 3 rows but y has 4 numbers", true)
  t.fails(function() return ls.data.new{ x = zeros(3, 2), y = ls.tensor{ 1, 0 / 0, math.huge } } end, "new: y holds 2 numbers that are NaN or infinite", true)
  local d, labelled = line(20).train, ls.data.load "digits"
  local model, wide = ls.nn.linear(2, 1, { rng = ls.rng(1) }), ls.nn.linear(2, 3, { rng = ls.rng(1) })
  t.fails(function() return ls.evaluate(model, d, { temperature_on = d }) end, "evaluate: temperature_on scales logits of classes, and the data set is one of regression", true)
  t.fails(function() return ls.evaluate(ls.nn.mlp({ 64, 10 }, { rng = ls.rng(1) }), labelled.test, { temperature_on = d }) end,
    "evaluate: temperature_on is a data set of regression, one of labels is required", true)
  t.fails(function() return ls.evaluate(wide, d) end, "evaluate: the model gives 20x3, 20x1 is required", true)
  t.fails(function() return ls.evaluate(model, d:subset{}) end, "evaluate: the data set has no rows", true)
  t.fails(function() return ls.train(model, d, { epochs = 1, rng = ls.rng(1), optimizer = ls.optim.sgd{ lr = 0.1 } }) end, "train: the training rows have numbers, not classes: give loss = ", true)
  t.fails(function() return ls.train(model, d, { epochs = 1, rng = ls.rng(1), optimizer = ls.optim.sgd{ lr = 0.1 }, target = ls.target.uniform(0.1), loss = mse }) end,
    "softening means nothing there [smoothing-regression]", true)
  ls.no_grad(function() model.weight:fill_(0 / 0) end)
  t.fails(function() return ls.evaluate(model, d) end, "evaluate: predictions[1] is NaN", true)
end

t.run()
