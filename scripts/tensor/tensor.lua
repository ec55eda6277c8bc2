-- Tensors: every operation with its gradient beside it. SPDX-License-Identifier: MIT
--
-- To add one: forward in bindings/tensor_*.c, here `method(name, forward, backward, documentation)`. The test
-- tests/lua/test_gradients.lua finds it by itself and holds it to finite differences (it needs an example there).
local raw      = require "lsengine.c.tensor"
local labels   = require "lsengine.c.labels"
local autograd = require "lsengine.autograd"
local options  = require "lsengine.options"
local public   = require "lsengine.public"
local system   = require "lsengine.c.system"
local c        = require "lsengine.c.autograd"
require "lsengine.labels"
local needs, raise = autograd.needs, public.raise

local methods, metamethods, operations = {}, {}, {}
local hooks = {} -- item(t, value), exp(t), compared(a, b): told of losses that leave the types (provenance.lua)

local function method(name, forward, backward, usage, doc)
  operations[name] = autograd.op(name, forward, backward)
  methods[name] = public.declare("tensor:" .. name, { signature = usage, doc = doc, returns = "tensor", differentiable = true }, operations[name])
end

local function plain(name, f, usage, doc, returns)
  methods[name] = public.declare("tensor:" .. name, { signature = usage, doc = doc, returns = returns or "tensor" }, f)
end

-- ---- arithmetic with broadcasting ----

local add, sub, mul, div, neg, sum_to = raw.add, raw.sub, raw.mul, raw.div, raw.neg, raw.sum_to
local is_tensor = raw.is_tensor

local function to(g, input) return is_tensor(input) and sum_to(g, input) or nil end

method("add", add, function(n, g) return to(g, n[1]), to(g, n[2]) end, "(other)", "Sum, broadcasting; also `a + b`.")
method("sub", sub, function(n, g)
  return to(g, n[1]), needs(n[2]) and to(neg(g), n[2]) or nil
end, "(other)", "Difference, broadcasting; also `a - b`.")
method("mul", mul, function(n, g)
  return needs(n[1]) and to(mul(g, n[2]), n[1]) or nil, needs(n[2]) and to(mul(g, n[1]), n[2]) or nil
end, "(other)", "Product element by element, broadcasting; also `a * b`.")
method("div", div, function(n, g, out)
  local ga = needs(n[1]) and to(div(g, n[2]), n[1]) or nil
  return ga, needs(n[2]) and to(neg(div(mul(g, out), n[2])), n[2]) or nil
end, "(other)", "Quotient, broadcasting; also `a / b`.")
method("pow", raw.pow, function(n, g, out)
  local a, b = n[1], n[2]
  local ga = needs(a) and to(mul(g, mul(b, raw.pow(a, sub(b, 1)))), a) or nil
  if not needs(b) then return ga end
  local log = raw.log(is_tensor(a) and a or raw.full(a))
  -- 0^b is 0 for b > 0: its derivative there is 0, not 0 · log 0
  local slope = mul(out, raw.maximum(log, -3.4e38))
  return ga, to(mul(g, slope), b)
end, "(other)", "Power, broadcasting; also `a ^ b`.")

local function choice(name, wins, doc)
  method(name, raw[name], function(n, g)
    -- equal elements share the gradient
    local half = mul(raw.eq(n[1], n[2]), 0.5)
    local first = add(raw[wins](n[1], n[2]), half)
    return needs(n[1]) and to(mul(g, first), n[1]) or nil, needs(n[2]) and to(mul(g, sub(1, first)), n[2]) or nil
  end, "(other)", doc)
end
choice("maximum", "gt", "The larger of two elements, broadcasting; equal ones share the gradient.")
choice("minimum", "lt", "The smaller of two elements, broadcasting; equal ones share the gradient.")

for _, name in ipairs { "gt", "ge", "lt", "le", "eq", "ne" } do
  plain(name, raw[name], "(other)", "Comparison element by element, broadcasting: a tensor of 0 and 1 (no gradient).")
end

-- a < b and a <= b of one-element tensors, or of one and a number.
local function one(who, x)
  if type(x) == "number" then return x end
  if not is_tensor(x) then raise(who, ("a tensor is compared with %s, a one-element tensor or a number is required"):format(system.describe(x))) end
  if raw.count(x) ~= 1 then raise(who, ("a tensor of shape %s is compared as a whole: t:%s(other) compares element by element"):format(raw.shape_text(x), who)) end
  return raw.item(x)
end
metamethods.__lt = system.public(function(a, b)
  local x, y = one("lt", a), one("lt", b)
  if hooks.compared then hooks.compared(a, b) end
  return x < y
end)
metamethods.__le = system.public(function(a, b)
  local x, y = one("le", a), one("le", b)
  if hooks.compared then hooks.compared(a, b) end
  return x <= y
end)

metamethods.__add, metamethods.__sub, metamethods.__mul = methods.add, methods.sub, methods.mul
metamethods.__div, metamethods.__pow = methods.div, methods.pow

-- ---- one element at a time ----

method("neg", neg, function(_, g) return neg(g) end, "()", "The negative; also `-a`.")
metamethods.__unm = function(a) return methods.neg(a) end
method("abs", raw.abs, function(n, g) return mul(g, raw.sign(n[1])) end, "()", "Absolute value; gradient 0 at 0.")
plain("sign", raw.sign, "()", "-1, 0 or 1 (no gradient).")
method("exp", raw.exp, function(_, g, out) return mul(g, out) end, "()", "e to the power of each element.")
local exp = operations.exp
methods.exp = system.public(function(t, ...)
  if hooks.exp and is_tensor(t) then hooks.exp(t) end
  return exp(t, ...)
end)
public.registry["tensor:exp"].entry = methods.exp
method("log", raw.log, function(n, g) return div(g, n[1]) end, "()", "Natural logarithm; -inf at 0, NaN below.")
method("sqrt", raw.sqrt, function(_, g, out) return div(g, mul(out, 2)) end, "()", "Square root.")
method("square", raw.square, function(n, g) return mul(g, mul(n[1], 2)) end, "()", "Square.")
method("reciprocal", raw.reciprocal, function(_, g, out) return neg(mul(g, raw.square(out))) end, "()", "1 / x.")
method("relu", raw.relu, function(n, g) return raw.relu_back(g, n[1]) end, "()", "max(0, x); gradient 0 at 0.")
method("gelu", raw.gelu, function(n, g) return mul(g, raw.gelu_slope(n[1])) end,
  "()", "x·Φ(x), Φ the normal distribution function (Hendrycks & Gimpel 2016, the exact form).")
method("tanh", raw.tanh, function(_, g, out) return mul(g, raw.tanh_slope(out)) end, "()", "Hyperbolic tangent.")
method("sigmoid", raw.sigmoid, function(_, g, out) return mul(g, raw.sigmoid_slope(out)) end, "()", "1 / (1 + e^-x).")
method("softplus", raw.softplus, function(n, g) return mul(g, raw.sigmoid(n[1])) end, "()", "log(1 + e^x), without overflow.")

-- ---- reductions ----

local function keep_shape(t, axis)
  local shape = raw.shape(t)
  shape[axis > 0 and axis or #shape + 1 + axis] = 1
  return shape
end

-- g, reduced along `axis`, stretched back to the shape of x; in full, for those who will write into it
local function spread(g, x, axis, kept)
  if axis and not kept then g = raw.reshape(g, keep_shape(x, axis)) end
  return raw.expand(g, raw.shape(x))
end

method("sum", raw.sum, function(n, g) return raw.copy(spread(g, n[1], n[2], n[3])) end,
  "([axis, [keep]])", "Sum over all elements, or along an axis, which stays with size 1 where keep is true. Added up in double, in an order that the shape alone decides.")

local function count_of(t, axis) return axis and raw.size(t, axis) or raw.count(t) end
method("mean", function(t, axis, keep)
  return raw.mul_(raw.sum(t, axis, keep), 1 / count_of(t, axis))
end, function(n, g) return mul(spread(g, n[1], n[2], n[3]), 1 / count_of(n[1], n[2])) end,
  "([axis, [keep]])", "Mean over all elements, or along an axis, which stays with size 1 where keep is true. NaN of no elements.")

local function extreme(name, doc)
  method(name, function(t, axis, keep)
    local value = raw[name](t, axis, keep)
    return value
  end, function(n, g, out)
    local x, axis, keep = n[1], n[2], n[3]
    -- elements that tie share the gradient
    local hits = raw.eq(x, spread(out, x, axis, keep))
    local count = raw.sum(hits, axis, axis ~= nil)
    return mul(hits, div(spread(g, x, axis, keep), count))
  end, "([axis, [keep]])", doc)
end
extreme("max", "Largest element, over all or along an axis, which stays with size 1 where keep is true; elements that tie share the gradient. An error for an empty axis.")
extreme("min", "Smallest element, over all or along an axis, which stays with size 1 where keep is true; elements that tie share the gradient. An error for an empty axis.")
plain("argmax", function(t, axis)
  local _, where = raw.max(t, axis or -1)
  return where
end, "([axis])", "Place, from 0, of the first largest element along an axis (the last, unless given): for logits, the class.", "label vector")
plain("argmin", function(t, axis)
  local _, where = raw.min(t, axis or -1)
  return where
end, "([axis])", "Place, from 0, of the first smallest element along an axis (the last, unless given).", "label vector")

-- ---- products ----

method("matmul", raw.matmul, function(n, g)
  local a, b, ta, tb = n[1], n[2], n[3], n[4]
  local ga = needs(a) and (ta and raw.matmul(b, g, tb, true) or raw.matmul(g, b, false, not tb)) or nil
  local gb = needs(b) and (tb and raw.matmul(g, a, true, ta) or raw.matmul(a, g, not ta, false)) or nil
  return ga, gb
end, "(other, [transpose_self, [transpose_other]])", "Matrix product (m×k)·(k×n); true transposes a factor first, at no cost. O(mkn); the same bits at any number of threads.")

-- ---- shape ----

method("reshape", raw.reshape, function(n, g) return raw.reshape(g, raw.shape(n[1])) end,
  "(sizes…)", "The same elements in another shape, one size of which may be -1: what is left. A view where the elements lie one after the other, else a copy.")
method("transpose", raw.transpose, function(n, g) return raw.transpose(g, n[2], n[3]) end,
  "([axis, other_axis])", "Two axes exchanged, the last two unless given. A view.")
method("select", raw.select, function(n, g)
  local back = raw.zeros(raw.shape(n[1]))
  raw.copy_(raw.select(back, n[2], n[3]), g)
  return back
end, "(axis, position)", "The slice at a position (from 1) of an axis, without that axis: t:select(1, i) is t[i]. A view: writing to it writes to the tensor.")
method("narrow", raw.narrow, function(n, g)
  local back = raw.zeros(raw.shape(n[1]))
  raw.copy_(raw.narrow(back, n[2], n[3], n[4]), g)
  return back
end, "(axis, first, count)", "`count` slices of an axis from position `first` (from 1) on. A view: writing to it writes to the tensor.")
method("expand", raw.expand, function(n, g) return sum_to(g, n[1]) end,
  "(sizes…)", "Axes of size 1 stretched to a shape, without copying. A view.")
method("unsqueeze", raw.unsqueeze, function(n, g) return raw.reshape(g, raw.shape(n[1])) end,
  "(axis)", "A new axis of size 1 in front of the given one. A view.")
method("squeeze", raw.squeeze, function(n, g) return raw.reshape(g, raw.shape(n[1])) end,
  "([axis])", "Axes of size 1 dropped: all, or the given one. A view.")
method("clone", raw.clone, function(_, g) return g end, "()", "A copy with memory of its own.")
method("contiguous", raw.contiguous, function(_, g) return g end,
  "()", "The tensor itself where its elements lie one after the other, else a copy.")
method("gather", raw.gather, function(n, g) return raw.scatter(g, n[2], n[1]) end,
  "(positions)", "Rows by position (label vector or table, from 1), which may repeat. A copy; the gradients of a row that repeats add up.")
method("pick", raw.pick, function(n, g) return raw.pick_back(g, n[2], n[1]) end,
  "(labels)", "Of row i of a matrix the element of class labels[i] (from 0): a vector.")

-- cat takes a table: the operation itself takes the axis and then each tensor
local cat_operation = autograd.op("cat", function(axis, ...) return raw.cat({ ... }, axis), 1 + select("#", ...) end, function(n, g, _, count)
  local gradients, first, axis = { false }, 1, n[1]
  for i = 2, count do
    local length = raw.size(n[i], axis)
    gradients[i] = raw.narrow(g, axis, first, length)
    first = first + length
  end
  return table.unpack(gradients, 1, count)
end)
operations.cat = cat_operation

local closs = require "lsengine.c.loss"
method("softmax", closs.softmax, function(_, g, out) return closs.softmax_backward(out, g) end,
  "()", "Softmax along the rows of a matrix; -inf logits get probability 0.")
method("log_softmax", closs.log_softmax, function(_, g, out) return closs.log_softmax_backward(out, g) end,
  "()", "Logarithm of the softmax along the rows of a matrix.")

-- ---- without gradients ----

plain("shape", raw.shape, "()", "The sizes as a table.", "table")
plain("size", raw.size, "(axis)", "One size; axes count from 1, or from -1 backwards.", "integer")
plain("rank", raw.rank, "()", "Number of axes.", "integer")
plain("count", raw.count, "()", "Number of elements.", "integer")
plain("item", system.public(function(t)
  local value = raw.item(t)
  if hooks.item then hooks.item(t, value) end
  return value
end), "()", "The value of a one-element tensor as a Lua number.", "number")
plain("totable", raw.totable, "()", "Nested Lua tables of numbers (a number for a scalar).", "table")
plain("detach", raw.detach, "()", "A view of the same elements that is not recorded.")
plain("hash", raw.hash, "()", "16 hexadecimal digits over shape and bits, to compare results.", "string")
plain("requires_grad", c.set_requires_grad, "([false])", "Makes the tensor a leaf that gathers gradients in `.grad` (false: no longer one); returns it. An error for the result of a recorded operation.")
plain("copy_", raw.copy_, "(source)", "Writes the elements of source into the tensor, broadcasting; returns it.")
plain("fill_", raw.fill_, "(value)", "Every element becomes value; returns the tensor.")
for _, name in ipairs { "add", "sub", "mul", "div", "pow", "maximum", "minimum" } do
  plain(name .. "_", raw[name .. "_"], "(other)", ("`%s` in place: the tensor itself changes and is returned. The other one broadcasts to its shape."):format(name))
end
plain("zero_grad", function(t) c.set_grad(t, nil) return t end, "()", "Forgets the gathered gradient.")

methods.backward = public("tensor:backward", {
  doc = "Gradients of this one-element tensor (or of its product with `gradient`) in every leaf that it depends on, added to their `.grad`. The graph is freed unless `retain_graph`.",
  returns = "nothing",
  { "gradient", type = "tensor", optional = true, doc = "of the tensor's shape; needed where it has more than one element" },
  options = { retain_graph = { type = "boolean", default = false, doc = "keep the graph for another backward" } },
}, function(self, gradient, o) autograd.backward(self, gradient, o.retain_graph) end)

metamethods.__tostring = function(t) return require "lsengine.format" (t) end

raw.install(metamethods, methods, methods.select)

-- ---- ls.tensor ----

local module = { operations = operations, methods = methods, hooks = hooks }

local function constructor(name, spec, f) module[name] = public("ls.tensor." .. name, spec, f) end

public("ls.tensor", {
  doc = "A tensor of float32 from nested tables of numbers, or from one number.", returns = "tensor",
  example = "local t = ls.tensor{ {1, 2, 3}, {4, 5, 6} }   -- 2×3",
  { "values", type = "table|number", doc = "nested tables, as deep as the tensor has axes" },
}, raw.from)

local function shaped(name, doc, f)
  module[name] = public("ls.tensor." .. name, {
    doc = doc, returns = "tensor", variadic = true, signature = name == "full" and "(value, sizes…)" or "(sizes…)",
    example = ("local t = ls.tensor.%s(%s2, 3)"):format(name, name == "full" and "0.5, " or ""),
  }, f)
end
shaped("zeros", "Filled with 0; the sizes one by one, or as a table.", raw.zeros)
shaped("ones", "Filled with 1; the sizes one by one, or as a table.", raw.ones)
shaped("full", "Filled with a value; the sizes one by one, or as a table.", raw.full)
constructor("arange", {
  doc = "first, first + step, … up to last, included where reached (as a numeric for).", returns = "tensor",
  { "first", type = "number", doc = "the first element" }, { "last", type = "number", doc = "no element is beyond it" },
  { "step", type = "number", default = 1, doc = "not 0" }, example = "local t = ls.tensor.arange(0, 1, 0.25)   -- 0, 0.25, 0.5, 0.75, 1",
}, raw.arange)
constructor("eye", { doc = "The identity matrix.", returns = "tensor", { "size", type = "integer", min = 0, doc = "rows and columns" } }, raw.eye)
constructor("cat", {
  doc = "Tensors joined along an axis; all other sizes must agree.", returns = "tensor", example = "local both = ls.tensor.cat({ logits, teacher_logits }, 1)",
  { "tensors", type = "table", doc = "at least one" }, { "axis", type = "integer", default = 1, doc = "from 1, or from -1 backwards" },
}, function(tensors, axis)
  for i, t in ipairs(tensors) do options.check("cat", ("tensor %d"):format(i), { type = "tensor" }, t) end
  if #tensors == 0 then public.raise("cat", "the table holds no tensor") end
  if axis < 0 then axis = raw.rank(tensors[1]) + 1 + axis end
  return cat_operation(axis, table.unpack(tensors))
end)
constructor("stack", {
  doc = "Tensors of one shape as the slices of a new first axis.", returns = "tensor", example = "local rows = ls.tensor.stack{ logits[1], logits[2] }",
  { "tensors", type = "table", doc = "at least one, all of one shape" },
}, function(tensors)
  local rows = {}
  for i, t in ipairs(tensors) do
    options.check("stack", ("tensor %d"):format(i), { type = "tensor" }, t)
    rows[i] = t:unsqueeze(1)
  end
  if #rows == 0 then public.raise("stack", "the table holds no tensor") end
  return cat_operation(1, table.unpack(rows))
end)
constructor("one_hot", {
  doc = "Rows of 0 with a 1 at each label.", returns = "tensor", example = "local q = ls.tensor.one_hot(labels, 10)", errors = "a label outside 0 … classes-1",
  { "labels", type = "labels", doc = "0 … classes-1" }, { "classes", type = "integer", min = 1, doc = "columns" },
}, raw.one_hot)

methods.save = public("tensor:save", {
  doc = "Writes the tensor as an .npy file of float32; NumPy reads it. The file is replaced whole or not at all.", returns = "nothing",
  { "file", type = "string", doc = "path" },
}, function(self, file) require "lsengine.c.files".save_npy("save", file, self) end)
constructor("load", {
  doc = "Reads NumPy's .npy and .npz and the IDX format, plain or gzipped. Floats become a tensor, integers of one axis a label vector, an .npz file a table of them by name.",
  returns = "tensor, label vector, or table", { "file", type = "string", doc = "path" },
}, function(file) return require "lsengine.c.files".load("load", file) end)

return module
