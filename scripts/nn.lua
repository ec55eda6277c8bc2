-- Layers and models. SPDX-License-Identifier: MIT
--
-- A module is a table: parameters (tensors) and children (modules) in its fields, `forward(self, x)` in its class. Calling it
-- runs forward. Names of parameters are those that PyTorch gives: children of a sequential are counted from 0.
-- Weights are made when a random stream is given: to the layer, or to a model around it ("initialisation" and "dropout" are
-- streams of their own).
local raw      = require "lsengine.c.tensor"
local c        = require "lsengine.c.autograd"
local cnn      = require "lsengine.c.nn"
local tensor   = require "lsengine.tensor"
local autograd = require "lsengine.autograd"
local options  = require "lsengine.options"
local public   = require "lsengine.public"
require "lsengine.random"
local raise    = public.raise

local nn = {}

-- ---- modules ----

local Module = {}
Module.__index = Module
Module.__name = "model"
local marks = setmetatable({}, { __mode = "k" }) -- classes of modules

local function is_module(v)
  local class = type(v) == "table" and getmetatable(v)
  return class and marks[class] or false
end
options.type("model", is_module, "a model")

local function class(name, base)
  local new = setmetatable({ __name = name }, { __index = base or Module })
  new.__index = new
  marks[new] = true
  return new
end

-- Fields in the order in which they were set, so that parameters have an order.
local function remember(self, key, value)
  local order = rawget(self, "_order")
  if not order then
    order = {}
    rawset(self, "_order", order)
  end
  if raw.is_tensor(value) or is_module(value) then order[#order + 1] = key end
  rawset(self, key, value)
end

local call = require "lsengine.c.system".public(function(self, x) return self:forward(x) end)

local function new_class(name)
  local new = class(name)
  new.__newindex = remember
  new.__call = call
  new.__tostring = function(self) return self:describe("") end
  return new
end

local function each(self, visit, prefix, seen)
  prefix, seen = prefix or "", seen or {}
  if seen[self] then return end
  seen[self] = true
  for _, key in ipairs(rawget(self, "_order") or {}) do
    local value, name = rawget(self, key), type(key) == "number" and ("%d"):format(key - 1) or key
    if is_module(value) then
      each(value, visit, prefix .. name .. ".", seen)
    elseif raw.is_tensor(value) then
      visit(prefix .. name, value, self, key)
    end
  end
  visit(nil, nil, self)
end

local function method(name, spec, f)
  Module[name] = public("model:" .. name, spec, f)
end

method("named_parameters", {
  doc = "Names and tensors of all parameters, in order.", returns = "table of { name, tensor }",
}, function(self)
  local list = {}
  each(self, function(name, value) if name then list[#list + 1] = { name, value } end end)
  return list
end)

method("parameters", { doc = "The tensors of all parameters, in order.", returns = "table of tensors" }, function(self)
  local list = {}
  each(self, function(name, value) if name then list[#list + 1] = value end end)
  return list
end)

method("train", { doc = "Puts the model into training mode (dropout acts); returns it.", returns = "the model" }, function(self)
  each(self, function(name, _, module) if not name then rawset(module, "training", true) end end)
  return self
end)

method("eval", { doc = "Puts the model into evaluation mode (dropout does nothing); returns it.", returns = "the model" }, function(self)
  each(self, function(name, _, module) if not name then rawset(module, "training", false) end end)
  return self
end)

method("zero_grad", { doc = "Forgets the gathered gradients of all parameters.", returns = "nothing" }, function(self)
  each(self, function(name, value) if name then c.set_grad(value, nil) end end)
end)

method("hash", { doc = "16 hexadecimal digits over all parameters' names, shapes and bits, to compare models.", returns = "string" }, function(self)
  local parts = {}
  each(self, function(name, value) if name then parts[#parts + 1] = name .. raw.hash(value) end end)
  return cnn.hash_text(table.concat(parts, " "))
end)

method("save", {
  doc = "Writes all parameters as an .npz file of plain arrays by name; NumPy reads it. The file is replaced whole or not at all.",
  returns = "nothing", { "file", type = "string", doc = "path, ending in .npz" },
}, function(self, file)
  local arrays, names = {}, {}
  each(self, function(name, value) if name then arrays[name], names[#names + 1] = value, name end end)
  require "lsengine.c.files".save_npz("save", file, names, arrays)
end)

method("load", {
  doc = [[Reads parameters by name from an .npz file (a PyTorch model's, saved by NumPy, too). All names and shapes are checked
before the first weight changes; missing and unknown names are listed.]],
  returns = "the model", errors = "a missing or unknown name, another shape, an array of integers", { "file", type = "string", doc = "path of an .npz file" },
}, function(self, file)
  local arrays = require "lsengine.c.files".load("load", file)
  if type(arrays) ~= "table" then raise("load", ("%s holds one array, an .npz file of named arrays is required"):format(file)) end
  local missing, wrong, left = {}, {}, {}
  for name in pairs(arrays) do left[name] = true end
  each(self, function(name, value)
    if not name then return end
    local found = arrays[name]
    left[name] = nil
    if not found then
      missing[#missing + 1] = name
    elseif not raw.is_tensor(found) or not c.same_shape(found, value) then
      wrong[#wrong + 1] = ("%s (is %s, must be %s)"):format(name,
        raw.is_tensor(found) and raw.shape_text(found) or "of integers", raw.shape_text(value))
    end
  end)
  local unknown = {}
  for name in pairs(left) do unknown[#unknown + 1] = name end
  table.sort(unknown)
  local faults = {}
  if #missing > 0 then faults[#faults + 1] = "missing: " .. table.concat(missing, ", ") end
  if #unknown > 0 then faults[#faults + 1] = "unknown: " .. table.concat(unknown, ", ") end
  if #wrong > 0 then faults[#faults + 1] = "of another shape: " .. table.concat(wrong, ", ") end
  if #faults > 0 then raise("load", ("%s does not fit the model: %s"):format(file, table.concat(faults, "; "))) end
  local _ <close> = autograd.pause()
  each(self, function(name, value) if name then raw.copy_(value, arrays[name]) end end)
  return self
end)

function Module:describe(indent, above)
  above = setmetatable({ [self] = true }, { __index = above })
  local class_name = getmetatable(self).__name
  local lines = {}
  for _, key in ipairs(rawget(self, "_order") or {}) do
    local value = rawget(self, key)
    if is_module(value) then
      local name = type(key) == "number" and ("%d"):format(key - 1) or key
      lines[#lines + 1] = ("%s  (%s) %s"):format(indent, name, above[value] and "itself" or value:describe(indent .. "  ", above))
    end
  end
  local own = rawget(self, "summary") or ""
  return #lines == 0 and class_name .. own or ("%s%s\n%s"):format(class_name, own, table.concat(lines, "\n"))
end

-- Makes all weights below `self` that have not been made yet.
local function initialise(self, rng)
  local weights, dropout, seen = rng:spawn "initialisation", nil, {}
  local function visit(module)
    if seen[module] then return end
    seen[module] = true
    if rawget(module, "make") then
      module.make(module, weights)
      rawset(module, "make", nil)
    end
    if rawget(module, "needs_rng") and not rawget(module, "rng") then
      dropout = dropout or rng:spawn "dropout"
      rawset(module, "rng", dropout)
    end
    for _, key in ipairs(rawget(module, "_order") or {}) do
      local child = rawget(module, key)
      if is_module(child) then visit(child) end
    end
  end
  visit(self)
  return self
end

-- ---- layers ----

local linear = autograd.op("linear", function(x, w, b)
  local y = raw.matmul(x, w, false, true)
  return b and raw.add_(y, b) or y
end, function(n, g)
  local x, w, b = n[1], n[2], n[3]
  return c.is_tracked(x) and raw.matmul(g, w) or nil, c.is_tracked(w) and raw.matmul(g, x, true, false) or nil,
    b and c.is_tracked(b) and raw.sum(g, 1) or nil
end)
tensor.operations.linear = linear

local Linear = new_class "linear"

function Linear:forward(x)
  if rawget(self, "make") then
    raise("linear", "the layer has no weights yet: give { rng = } to it or to the model around it")
  end
  if raw.rank(x) ~= 2 or raw.size(x, 2) ~= self.inputs then
    raise("linear", ("the input has shape %s, rows of %d features are required"):format(raw.shape_text(x), self.inputs))
  end
  return linear(x, self.weight, rawget(self, "bias"))
end

local function make_linear(self, rng)
  local w, b = cnn.init_linear(self.init, rng, self.outputs, self.inputs)
  self.weight = c.set_requires_grad(w)
  if self.has_bias then self.bias = c.set_requires_grad(b) end
end

nn.linear = public("ls.nn.linear", {
  doc = [[A fully connected layer: y = x·Wᵀ + b with W of shape (outputs, inputs), as PyTorch lays it out.]],
  returns = "a layer",
  { "inputs", type = "integer", min = 1, doc = "features of a row" },
  { "outputs", type = "integer", min = 1, doc = "features of a result's row" },
  options = {
    bias = { type = "boolean", default = true, doc = "whether b is added" },
    init = { type = "string", default = "torch", choices = cnn.initialisations(), doc = "how the weights are made" },
    rng  = { type = "rng", doc = "makes the weights at once; otherwise the model around it does" },
  },
}, function(inputs, outputs, o)
  local self = setmetatable({}, Linear)
  for key, value in pairs { inputs = inputs, outputs = outputs, has_bias = o.bias, init = o.init, make = make_linear,
    summary = (" %d → %d"):format(inputs, outputs) } do rawset(self, key, value) end
  return o.rng and initialise(self, o.rng) or self
end)

local function activation(name, doc)
  local Class = new_class(name)
  local f = tensor.methods[name]
  function Class:forward(x) return f(x) end
  nn[name] = public("ls.nn." .. name, { doc = doc .. " As a layer.", returns = "a layer" }, function()
    return setmetatable({}, Class)
  end)
end
activation("relu", "max(0, x).")
activation("gelu", "x·Φ(x).")
activation("tanh", "Hyperbolic tangent.")
activation("sigmoid", "1 / (1 + e^-x).")

local Flatten = new_class "flatten"
function Flatten:forward(x) return raw.rank(x) == 2 and x or x:reshape(raw.size(x, 1), -1) end
nn.flatten = public("ls.nn.flatten", { doc = "All axes but the first joined into one.", returns = "a layer" }, function()
  return setmetatable({}, Flatten)
end)

local dropout_operation = autograd.op("dropout", function(x, p, key) return cnn.dropout(x, p, key) end,
  function(n, g) return cnn.dropout(g, n[2], n[3]) end)
tensor.operations.dropout = dropout_operation

local Dropout = new_class "dropout"
function Dropout:forward(x)
  if not rawget(self, "training") or self.p == 0 then return x end
  if not rawget(self, "rng") then raise("dropout", "the layer has no random stream: give { rng = } to it or to the model around it") end
  return dropout_operation(x, self.p, self.rng:raw())
end
nn.dropout = public("ls.nn.dropout", {
  doc = "In training each element is zero with probability p, the others are divided by 1 - p (Srivastava et al. 2014). Nothing in evaluation.",
  returns = "a layer",
  { "p", type = "number", min = 0, below = 1, doc = "probability of a zero" },
  options = { rng = { type = "rng", doc = "otherwise the model around it gives one" } },
}, function(p, o)
  local self = setmetatable({}, Dropout)
  rawset(self, "p", p)
  rawset(self, "needs_rng", true)
  rawset(self, "summary", (" %g"):format(p))
  return o.rng and initialise(self, o.rng) or self
end)

-- ---- models ----

local Sequential = new_class "sequential"
function Sequential:forward(x)
  for i = 1, #self do x = self[i](x) end
  return x
end

-- Output of the layer before the last: what the last linear layer sees.
function Sequential:forward_features(x)
  for i = 1, #self - 1 do x = self[i](x) end
  return x
end

local function sequential(layers, rng)
  local self = setmetatable({}, Sequential)
  for i, layer in ipairs(layers) do
    if not is_module(layer) then raise("sequential", ("layer %d is %s, a layer is required"):format(i, type(layer))) end
    self[i] = layer
  end
  return rng and initialise(self, rng) or self
end

nn.sequential = public("ls.nn.sequential", {
  doc = "Layers one after the other.", returns = "a model",
  example = "local model = ls.nn.sequential({ ls.nn.flatten(), ls.nn.linear(64, 10) }, { rng = rng })",
  { "layers", type = "table", doc = "layers in order" },
  options = { rng = { type = "rng", doc = "makes all weights" } },
}, function(layers, o) return sequential(layers, o.rng) end)

local Mlp = new_class "mlp"
setmetatable(Mlp, { __index = Sequential })
function Mlp:forward(x) return Sequential.forward(self, Flatten.forward(nil, x)) end
function Mlp:forward_features(x) return Sequential.forward_features(self, Flatten.forward(nil, x)) end

nn.mlp = public("ls.nn.mlp", {
  doc = [[A multilayer perceptron: linear layers with an activation between them. Flattens its input. Its parameters have the
names of PyTorch's nn.Sequential(Linear, ReLU, Linear, …): 0.weight, 0.bias, 2.weight, …]],
  returns = "a model",
  example = "local model = ls.nn.mlp({784, 256, 10}, { rng = ls.rng(1) })",
  { "sizes", type = "table", doc = "features of the input, of each hidden layer, and classes" },
  options = {
    rng        = { type = "rng", required = true, doc = "makes the weights" },
    activation = { type = "string", default = "relu", choices = { "relu", "gelu", "tanh", "sigmoid" }, doc = "between the layers" },
    dropout    = { type = "number", default = 0, min = 0, below = 1, doc = "after each activation" },
    init       = { type = "string", default = "torch", choices = cnn.initialisations(), doc = "how the weights are made" },
  },
}, function(sizes, o)
  if #sizes < 2 then raise("mlp", ("sizes has %d elements, at least 2 are required"):format(#sizes)) end
  for i, size in ipairs(sizes) do options.check("mlp", ("sizes[%d]"):format(i), { type = "integer", min = 1, max = 2^31 - 1 }, size) end
  local self, count = setmetatable({}, Mlp), 0
  local function push(layer) count = count + 1 self[count] = layer end
  for i = 2, #sizes do
    push(nn.linear(math.tointeger(sizes[i - 1]), math.tointeger(sizes[i]), { init = o.init }))
    if i < #sizes then
      push(nn[o.activation]())
      if o.dropout > 0 then push(nn.dropout(o.dropout)) end
    end
  end
  return initialise(self, o.rng)
end)

method("features", {
  doc = "The penultimate layer: what the last layer sees, in evaluation mode, without recording.", returns = "tensor",
  { "x", type = "tensor", doc = "inputs" },
}, function(self, x)
  if not self.forward_features then raise("features", "this model has no last layer to stop before") end
  local _ <close> = autograd.pause()
  return self:forward_features(x)
end)

nn.is_module = is_module
return nn
