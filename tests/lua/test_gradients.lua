-- Finite differences for every operation on the tape, enumerated from the library's own list. SPDX-License-Identifier: MIT
local t  = require "harness"
local ls = require "lsengine"
local operations = require "lsengine.tensor".operations
require "lsengine.loss"
require "lsengine.penalties"
require "lsengine.nn"
require "lsengine.mix"
local rng = ls.rng(3)

local function matrix(m, n) return ls.tensor.randn(m, n, { rng = rng }) end
local function positive(m, n) return ls.tensor.rand(m, n, { rng = rng, low = 0.5, high = 2 }) end
local function images(n, c, h, w) return ls.tensor.randn(n, c, h, w, { rng = rng }) end
local function vector(n) return ls.tensor.rand(n, { rng = rng, low = 0.5, high = 2 }) end
-- Images whose elements are farther apart than a step of differences: no maximum changes hands.
local function spread(n, h, w)
  local order = rng:permutation(n * h * w)
  local flat = {}
  for i = 1, #order do flat[i] = order[i] * 0.1 end
  return ls.tensor(flat):reshape(1, n, h, w)
end
local y = ls.labels{ 2, 0, 1 }
local target = ls.target.uniform(0.1)(y)
local weight = ls.tensor{ 1, 2, 0.5, 1 }

-- For each operation: a function of the differentiated tensors, and those tensors. Several where arguments change the formula.
local a, b = matrix(3, 4), matrix(3, 4)
local examples = {
  add = { { function(f, x, z) return f(x, z) end, a, b }, { function(f, x, z) return f(x, z) end, a, matrix(1, 4) }, { function(f, x) return f(2, x) end, a } },
  sub = { { function(f, x, z) return f(x, z) end, a, b }, { function(f, x, z) return f(x, z) end, matrix(3, 1), b }, { function(f, x) return f(2, x) end, a } },
  mul = { { function(f, x, z) return f(x, z) end, a, b }, { function(f, x, z) return f(x, z) end, a, matrix(1, 4) }, { function(f, x) return f(x, 3) end, a } },
  div = { { function(f, x, z) return f(x, z) end, a, positive(3, 4) }, { function(f, x, z) return f(x, z) end, a, positive(1, 4) }, { function(f, x) return f(2, x) end, positive(2, 2) } },
  pow = { { function(f, x, z) return f(x, z) end, positive(3, 4), b }, { function(f, x) return f(x, 3) end, a }, { function(f, x) return f(2, x) end, a } },
  maximum = { { function(f, x, z) return f(x, z) end, a, b }, { function(f, x) return f(x, 0.1) end, a } },
  minimum = { { function(f, x, z) return f(x, z) end, a, b } },
  log = { { function(f, x) return f(x) end, positive(3, 4) } },
  sqrt = { { function(f, x) return f(x) end, positive(3, 4) } },
  reciprocal = { { function(f, x) return f(x) end, positive(3, 4) } },
  sum = { { function(f, x) return f(x) end, a }, { function(f, x) return f(x, 1) end, a }, { function(f, x) return f(x, -1, true) end, a } },
  mean = { { function(f, x) return f(x) end, a }, { function(f, x) return f(x, 2) end, a }, { function(f, x) return f(x, 1, true) end, a } },
  max = { { function(f, x) return f(x) end, a }, { function(f, x) return f(x, 2) end, a }, { function(f, x) return f(x, 1, true) end, a } },
  min = { { function(f, x) return f(x) end, a }, { function(f, x) return f(x, 1) end, a } },
  matmul = { { function(f, x, z) return f(x, z) end, a, matrix(4, 2) }, { function(f, x, z) return f(x, z, true) end, a, matrix(3, 2) },
    { function(f, x, z) return f(x, z, false, true) end, a, matrix(2, 4) }, { function(f, x, z) return f(x, z, true, true) end, a, matrix(2, 3) } },
  reshape = { { function(f, x) return f(x, 2, -1) end, a } },
  transpose = { { function(f, x) return f(x) end, a }, { function(f, x) return f(x, 1, 3) end, ls.tensor.randn(2, 3, 2, { rng = rng }) } },
  select = { { function(f, x) return f(x, 1, 2) end, a }, { function(f, x) return f(x, 2, 3) end, a } },
  narrow = { { function(f, x) return f(x, 2, 2, 2) end, a } },
  expand = { { function(f, x) return f(x, 2, 3, 4) end, matrix(3, 1) } },
  unsqueeze = { { function(f, x) return f(x, 2) end, a } },
  squeeze = { { function(f, x) return f(x, 1) end, matrix(1, 4) }, { function(f, x) return f(x) end, matrix(1, 4) } },
  gather = { { function(f, x) return f(x, ls.labels{ 3, 1, 1 }) end, a } },
  pick = { { function(f, x) return f(x, y) end, a } },
  cat = { { function(f, x, z) return f(1, x, z) end, a, b }, { function(f, x, z) return f(2, x, z) end, a, matrix(3, 2) } },
  linear = { { function(f, x, w, c) return f(x, w, c) end, a, matrix(2, 4), ls.tensor.randn(2, { rng = rng }) }, { function(f, x, w) return f(x, w) end, a, matrix(2, 4) } },
  linear_relu = { { function(f, x, w, c) return f(x, w, c) end, a, matrix(2, 4), ls.tensor.randn(2, { rng = rng }) }, { function(f, x, w) return f(x, w) end, a, matrix(2, 4) } },
  mix_rows = { { function(f, x) return f(x, ls.labels{ 2, 3, 1 }, 0.3, 0.7) end, a },
    { function(f, x) return f(x, ls.labels{ 3, 1, 2 }, ls.tensor{ 0.1, 0.5, 0.8 }, ls.tensor{ 0.9, 0.5, 0.2 }) end, a } },
  conv2d = { { function(f, x, w, c) return f(x, w, c, 1, 1, 0, 0, 1, 1, 1) end, images(2, 2, 4, 5), images(3, 2, 2, 3), vector(3) },
    { function(f, x, w) return f(x, w, nil, 2, 1, 1, 2, 1, 2, 2) end, images(2, 2, 4, 5), images(2, 1, 2, 2) } },
  conv2d_relu = { { function(f, x, w, c) return f(x, w, c, 1, 1, 0, 0, 1, 1, 1) end, images(2, 2, 4, 5), images(3, 2, 2, 3), vector(3) },
    { function(f, x, w) return f(x, w, nil, 2, 1, 1, 2, 1, 2, 2) end, images(2, 2, 4, 5), images(2, 1, 2, 2) } },
  conv2d_relu_pool = { { function(f, x, w, c) return f(x, w, c, 1, 1, 0, 0, 1, 1, 1, 2, 2, 2, 2, 0, 0) end, images(2, 2, 6, 7), images(3, 2, 2, 3), vector(3) },
    { function(f, x, w) return f(x, w, nil, 2, 1, 1, 2, 1, 2, 2, 3, 2, 2, 1, 1, 1) end, images(2, 2, 4, 5), images(2, 1, 2, 2) } },
  max_pool2d = { { function(f, x) return f(x, false, 2, 2, 2, 2, 0, 0) end, spread(2, 4, 5) }, { function(f, x) return f(x, false, 3, 2, 2, 1, 1, 1) end, spread(2, 4, 5) } },
  avg_pool2d = { { function(f, x) return f(x, true, 2, 3, 1, 2, 1, 0) end, images(2, 2, 4, 5) }, { function(f, x) return f(x, false, 2, 2, 1, 2, 1, 1) end, images(2, 2, 4, 5) } },
  batch_norm = { { function(f, x, w, c) return f(x, w, c, nil, nil, true, 0.1, 1e-5) end, images(3, 2, 2, 2), vector(2), vector(2) },
    { function(f, x, w, c) return f(x, w, c, nil, nil, true, 0.1, 1e-5) end, matrix(6, 3), vector(3), vector(3) },
    { function(f, x, w, c) return f(x, w, c, ls.tensor{ 0.3, -0.2 }, ls.tensor{ 1.5, 0.7 }, false, 0.1, 1e-5) end, images(3, 2, 2, 2), vector(2), vector(2) } },
  layer_norm = { { function(f, x, w, c) return f(x, w, c, 1, 1e-5) end, matrix(3, 5), vector(5), vector(5) }, { function(f, x) return f(x, nil, nil, 2, 1e-5) end, images(2, 2, 2, 3) } },
  embedding = { { function(f, w) return f(w, ls.labels{ 2, 0, 2 }) end, a } },
  dropout = { { function(f, x) return f(x, 0.4, 12345) end, a } },
  cross_entropy = {
    { function(f, x) return f(x, target, nil, nil, "mean", false) end, a }, { function(f, x) return f(x, target, weight, 0, "sum", false) end, a },
    { function(f, x) return f(x, target, weight, nil, "mean", true) end, a }, { function(f, x) return f(x, target, nil, nil, "none", false) end, a },
    { function(f, x) return f(x, target, nil, 0, "rows", false) end, a } },
  mse = { { function(f, x) return f(x, b) end, a } },
  penalty = {
    { function(f, x) return f(x, "focal", { gamma = 2, soft = false }, ls.target.one_hot()(y), weight, nil, "mean", nil) end, a },
    { function(f, x) return f(x, "max_sup", { alpha = 0.5 }, target, nil, 2, "rows", nil) end, a },
    { function(f, x) return f(x, "poly1", { epsilon = 1 }, target, weight, nil, "none", nil) end, a },
  },
  binary_cross_entropy = { { function(f, x) return f(x, b:sigmoid()) end, a } },
}
local default = { { function(f, x) return f(x) end, a } }

-- A scalar that weighs every element of the result differently.
local function probe(result)
  local n = result:count()
  local w = ls.tensor.arange(1, n):mul(0.37):add(0.5)
  return (result:reshape(n) * w):sum()
end

-- Central differences in float32: with a step of 2^-7 the rounding of the sums stays below 1e-3 of the gradient's scale.
local STEP, TOLERANCE = 2^-7, 4e-3

local function check(name, f, example)
  local call, inputs = example[1], {}
  for i = 2, #example do inputs[i - 1] = example[i]:clone():requires_grad() end
  probe(call(f, table.unpack(inputs))):backward()
  for i, x in ipairs(inputs) do
    local analytic, scale = x.grad, 0
    if not analytic then error(("%s gives input %d no gradient"):format(name, i)) end
    local plain = {}
    for k = 2, #example do plain[k - 1] = example[k]:clone() end
    local flat, grad = plain[i]:reshape(-1), analytic:reshape(-1)
    for k = 1, #grad do scale = math.max(scale, math.abs(grad[k])) end
    for k = 1, #flat do
      local kept = flat[k]
      flat[k] = kept + STEP
      local up = probe(call(f, table.unpack(plain))):item()
      flat[k] = kept - STEP
      local down = probe(call(f, table.unpack(plain))):item()
      flat[k] = kept
      local numeric = (up - down) / (2 * STEP)
      if math.abs(numeric - grad[k]) > TOLERANCE * math.max(1, scale) then
        error(("%s, input %d, element %d: gradient %.6g, differences %.6g"):format(name, i, k, grad[k], numeric))
      end
    end
  end
end

for name, f in pairs(operations) do
  t.tests[("gradient_of_%s"):format(name)] = function()
    for _, example in ipairs(examples[name] or default) do check(name, f, example) end
  end
end

function t.tests.no_operation_is_left_out()
  local count = 0
  for name in pairs(examples) do t.is_true(operations[name] ~= nil, name .. " is no operation") end
  for _ in pairs(operations) do count = count + 1 end
  print(("\n%d operations of %d were held to finite differences"):format(count, count))
  t.is_true(count >= 39)
end

function t.tests.a_wrong_gradient_is_noticed()
  local wrong = ls.autograd.define{ name = "wrong", forward = function(x) return x * x end, backward = function(ctx, g) return g * ctx[1] end }
  t.is_true(t.message(check, "wrong", wrong, default[1]):find("wrong, input 1", 1, true) ~= nil)
end

t.run()
