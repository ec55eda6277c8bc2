-- Layers. SPDX-License-Identifier: MIT
--
-- To add one: kernels in core/nn, a function in bindings/layers.c, here an operation with its gradient, a class with `forward`, and its
-- constructor. The tests find the operation (finite differences want an example) and the constructor (the manual wants one) by themselves.
local raw      = require "lsengine.c.tensor"
local c        = require "lsengine.c.autograd"
local cnn      = require "lsengine.c.nn"
local clayers  = require "lsengine.c.layers"
local tensor   = require "lsengine.tensor"
local autograd = require "lsengine.autograd"
local module   = require "lsengine.module"
local options  = require "lsengine.options"
local public   = require "lsengine.public"
local raise, needs = public.raise, autograd.needs
local is_module, new_class, initialise = module.is_module, module.new_class, module.initialise

local nn = {}

-- A module of a class with fields that are no parameters.
local function make(class, fields, rng)
  local self = setmetatable({}, class)
  for key, value in pairs(fields) do rawset(self, key, value) end
  return rng and initialise(self, rng) or self
end

local function check_made(self, name)
  if rawget(self, "make") then raise(name, "the layer has no weights yet: give { rng = } to it or to the model around it, or call :initialise(rng)") end
end

local function pair_text(pair) return pair[1] == pair[2] and ("%d"):format(pair[1]) or ("%d×%d"):format(pair[1], pair[2]) end

-- One integer for rows and columns, or two.
local function pair(who, name, value, least)
  local given = type(value) == "table" and value or { value, value }
  if #given ~= 2 then raise(who, ("%s has %d numbers, one or two are required"):format(name, #given)) end
  local result = {}
  for axis = 1, 2 do result[axis] = options.check(who, name, { type = "integer", min = least, max = 2^24 }, given[axis]) end
  return result
end

-- The gradient before ReLU: g where its result is above 0; in place where g is nobody else's.
local function masked(g, out, owned) return owned and raw.relu_back_(g, out) or raw.relu_back(g, out) end

-- gᵀ·x, in the memory of the last step's gradient where the weights still hold it; its factors where it would be taken at once.
local function weight_gradient(w, g, x)
  if c.takes_product(w) then return { g, x } end
  local memory = c.spare(w)
  return memory and raw.matmul_into(memory, g, x, true, false) or raw.matmul(g, x, true, false)
end

local linear = autograd.op("linear", function(x, w, b)
  local y = raw.matmul(x, w, false, true)
  return b and raw.add_(y, b) or y
end, function(n, g)
  local x, w, b = n[1], n[2], n[3]
  return c.is_tracked(x) and raw.matmul(g, w) or nil, c.is_tracked(w) and weight_gradient(w, g, x) or nil,
    b and c.is_tracked(b) and raw.sum(g, 1) or nil
end)
tensor.operations.linear = linear

-- relu(x·Wᵀ + b), to the bits of the two operations, without what lies between them: ReLU's gradient asks only where its result is above 0.
local linear_relu = autograd.op("linear_relu", function(x, w, b)
  return raw.add_relu_(raw.matmul(x, w, false, true), b or 0)
end, function(n, g, out, _, owned)
  local x, w, b = n[1], n[2], n[3]
  g = masked(g, out, owned)
  return c.is_tracked(x) and raw.matmul(g, w) or nil, c.is_tracked(w) and weight_gradient(w, g, x) or nil,
    b and c.is_tracked(b) and raw.sum(g, 1) or nil
end)
tensor.operations.linear_relu = linear_relu

local Linear = new_class "linear"

local function check_input(self, x)
  check_made(self, "linear")
  if raw.rank(x) ~= 2 or raw.size(x, 2) ~= self.inputs then
    raise("linear", ("the input has shape %s, rows of %d features are required"):format(raw.shape_text(x), self.inputs))
  end
  module.linear_saw(x)
end

function Linear:forward(x)
  check_input(self, x)
  return linear(x, self.weight, rawget(self, "bias"))
end

function Linear:forward_relu(x)
  check_input(self, x)
  return linear_relu(x, self.weight, rawget(self, "bias"))
end

local function make_linear(self, rng)
  local w, b = cnn.initialise("linear", self.init, rng, self.outputs, self.inputs)
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
  return make(Linear, { inputs = inputs, outputs = outputs, has_bias = o.bias, init = o.init, make = make_linear, summary = (" %d → %d"):format(inputs, outputs) }, o.rng)
end)

local function activation(name, doc)
  local Class = new_class(name)
  local f = tensor.methods[name]
  function Class:forward(x) return f(x) end
  nn[name] = public("ls.nn." .. name, { doc = doc .. " As a layer.", returns = "a layer" }, function()
    return setmetatable({}, Class)
  end)
  return Class
end
local ReLU = activation("relu", "max(0, x).")
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
  return make(Dropout, { p = p, needs_rng = true, summary = (" %g"):format(p) }, o.rng)
end)

-- ---- convolution ----

local function conv2d_back(n, g)
  local x, w, b = n[1], n[2], n[3]
  local dx, dw, db = clayers.conv2d_back(x, w, g, n[4], n[5], n[6], n[7], n[8], n[9], n[10], needs(x), needs(w) or b ~= nil and needs(b))
  return dx, needs(w) and dw or nil, b and needs(b) and db or nil
end
local conv2d = autograd.op("conv2d", function(x, w, b, ...) return clayers.conv2d(x, w, b, ...) end, conv2d_back)
tensor.operations.conv2d = conv2d
local conv2d_relu = autograd.op("conv2d_relu", function(x, w, b, ...) return raw.add_relu_(clayers.conv2d(x, w, b, ...), 0) end,
  function(n, g, out, _, owned) return conv2d_back(n, masked(g, out, owned)) end)
tensor.operations.conv2d_relu = conv2d_relu

-- And max pooling after them, to the same bits: only what is pooled is kept.
local conv2d_relu_pool = autograd.op("conv2d_relu_pool", function(x, w, b, ...) return clayers.conv2d_pool(x, w, b, ...) end, function(n, g, out, places)
  local w, b = n[2], n[3]
  local dx, dw, db = clayers.conv2d_pool_back(n[1], w, out, places, g, n[4], n[5], n[6], n[7], n[8], n[9], n[10], n[11], n[12], n[13], n[14], n[15], n[16],
    needs(n[1]), needs(w) or b ~= nil and needs(b))
  return dx, needs(w) and dw or nil, b and needs(b) and db or nil
end)
tensor.operations.conv2d_relu_pool = conv2d_relu_pool

local Conv2d = new_class "conv2d"

local function convolved(operation, self, x, ...)
  check_made(self, "conv2d")
  local s, p, d = self.stride, self.padding, self.dilation
  return operation(x, self.weight, rawget(self, "bias"), s[1], s[2], p[1], p[2], d[1], d[2], self.groups, ...)
end
function Conv2d:forward(x) return convolved(conv2d, self, x) end
function Conv2d:forward_relu(x) return convolved(conv2d_relu, self, x) end
function Conv2d:forward_relu_pool(x, pool)
  local k, s, p = pool.kernel, pool.stride, pool.padding
  return convolved(conv2d_relu_pool, self, x, k[1], k[2], s[1], s[2], p[1], p[2])
end

-- What print(model) shows of its result, where that was not made.
function Conv2d:result_text(x)
  local size = {}
  for axis = 1, 2 do size[axis] = (raw.size(x, axis + 2) + 2 * self.padding[axis] - self.dilation[axis] * (self.kernel[axis] - 1) - 1) // self.stride[axis] + 1 end
  return ("%d×%d×%d"):format(self.outputs, size[1], size[2])
end

local function make_conv2d(self, rng)
  local w, b = cnn.initialise("conv2d", self.init, rng, self.outputs, self.inputs // self.groups, self.kernel[1], self.kernel[2])
  self.weight = c.set_requires_grad(w)
  if self.has_bias then self.bias = c.set_requires_grad(b) end
end

local size = function(default, what) return { type = "integer|table", default = default, doc = what .. "; one integer, or { rows, columns }" } end

nn.conv2d = public("ls.nn.conv2d", {
  doc = [[A convolution over images N×C×H×W (cross-correlation, as everywhere): weight (outputs, inputs/groups, rows, columns), as PyTorch lays it out. The result has
(H + 2·padding - dilation·(kernel - 1) - 1) // stride + 1 rows. O(N · outputs · inputs/groups · kernel area · output area).]],
  returns = "a layer", errors = "images of other channels, or smaller than the kernel",
  example = "local layer = ls.nn.conv2d(1, 8, 3, { padding = 1, rng = rng })",
  { "inputs", type = "integer", min = 1, max = 2^24, doc = "channels of the images" },
  { "outputs", type = "integer", min = 1, max = 2^24, doc = "channels of the result" },
  { "kernel", type = "integer|table", doc = "its size: one integer, or { rows, columns }" },
  options = {
    stride = size(1, "step between places"), padding = size(0, "zeros around the image"), dilation = size(1, "distance between the kernel's elements"),
    groups = { type = "integer", default = 1, min = 1, max = 2^24, doc = "channels are cut into so many parts that do not see each other" },
    bias = { type = "boolean", default = true, doc = "whether a bias is added" },
    init = { type = "string", default = "torch", choices = cnn.initialisations(), doc = "how the weights are made" },
    rng  = { type = "rng", doc = "makes the weights at once; otherwise the model around it does" },
  },
}, function(inputs, outputs, kernel, o)
  kernel = pair("conv2d", "kernel", kernel, 1)
  local stride, padding, dilation = pair("conv2d", "stride", o.stride, 1), pair("conv2d", "padding", o.padding, 0), pair("conv2d", "dilation", o.dilation, 1)
  if inputs % o.groups ~= 0 or outputs % o.groups ~= 0 then
    raise("conv2d", ("groups is %d, which must divide the %d inputs and the %d outputs"):format(o.groups, inputs, outputs))
  end
  local summary = (" %d → %d, %d×%d"):format(inputs, outputs, kernel[1], kernel[2])
  for name, value in pairs{ stride = stride, dilation = dilation } do if pair_text(value) ~= "1" then summary = summary .. (", %s %s"):format(name, pair_text(value)) end end
  if pair_text(padding) ~= "0" then summary = summary .. ", padding " .. pair_text(padding) end
  if o.groups > 1 then summary = summary .. (", %d groups"):format(o.groups) end
  return make(Conv2d, { inputs = inputs, outputs = outputs, kernel = kernel, stride = stride, padding = padding, dilation = dilation, groups = o.groups,
    has_bias = o.bias, init = o.init, make = make_conv2d, summary = summary }, o.rng)
end)

-- ---- pooling ----

local function pooling(name, average)
  local f = autograd.op(name, function(x, ...) return clayers.pool(name, x, average, ...) end, function(n, g)
    return clayers.pool(name, n[1], average, n[2], n[3], n[4], n[5], n[6], n[7], n[8], g)
  end)
  tensor.operations[name] = f
  local Pool = new_class(name)
  function Pool:forward(x)
    local k, s, p = self.kernel, self.stride, self.padding
    return f(x, self.count_padding, k[1], k[2], s[1], s[2], p[1], p[2])
  end
  local specs = { stride = { type = "integer|table", doc = "step between windows; the kernel's size without it" }, padding = size(0, "around the image, at most half of the kernel") }
  if average then specs.count_padding = { type = "boolean", default = true, doc = "divide by the kernel's area at borders, too, as PyTorch does" } end
  nn[name] = public("ls.nn." .. name, {
    doc = (average and "The mean" or "The maximum (its gradient goes to the first of equal elements)") .. " of each window of images N×C×H×W.", returns = "a layer",
    example = ("local layer = ls.nn.%s(2)"):format(name),
    { "kernel", type = "integer|table", doc = "the window's size: one integer, or { rows, columns }" }, options = specs,
  }, function(kernel, o)
    kernel = pair(name, "kernel", kernel, 1)
    local stride = pair(name, "stride", o.stride or kernel, 1)
    return make(Pool, { kernel = kernel, stride = stride, padding = pair(name, "padding", o.padding, 0), count_padding = o.count_padding or false,
      summary = (" %s"):format(pair_text(kernel)) .. (pair_text(stride) ~= pair_text(kernel) and ", stride " .. pair_text(stride) or "") })
  end)
  return Pool
end
local MaxPool = pooling("max_pool2d", false)
pooling("avg_pool2d", true)

local Global = new_class "global_avg_pool2d"
function Global:forward(x)
  if raw.rank(x) ~= 4 then raise("global_avg_pool2d", ("the input has shape %s, images N×C×H×W are required"):format(raw.shape_text(x))) end
  return x:reshape(raw.size(x, 1), raw.size(x, 2), -1):mean(3)
end
nn.global_avg_pool2d = public("ls.nn.global_avg_pool2d", { doc = "The mean of each channel of images N×C×H×W: rows of C numbers.", returns = "a layer" }, function()
  return setmetatable({}, Global)
end)

-- ---- normalisation ----

local batch_norm = autograd.op("batch_norm", function(x, weight, bias, mean, variance, training, momentum, eps)
  local y, kept = clayers.batch_norm(x, weight, bias, mean, variance, training, momentum, eps)
  return y, kept
end, function(n, g, _, kept)
  local x, weight, bias = n[1], n[2], n[3]
  local dx, dweight, dbias = clayers.batch_norm_back(x, weight, kept, n[6] or not n[4], g, needs(x))
  return dx, weight and needs(weight) and dweight or nil, bias and needs(bias) and dbias or nil
end)
tensor.operations.batch_norm = batch_norm

local BatchNorm = new_class "batch_norm"

function BatchNorm:forward(x)
  if raw.rank(x) < 2 or raw.size(x, 2) ~= self.features then
    raise("batch_norm", ("the input has shape %s, %d channels in its second axis are required"):format(raw.shape_text(x), self.features))
  end
  return batch_norm(x, self.weight, self.bias, rawget(self, "running_mean"), rawget(self, "running_var"), rawget(self, "training") or false, self.momentum, self.eps)
end

nn.batch_norm = public("ls.nn.batch_norm", {
  doc = [[Batch normalisation (Ioffe & Szegedy 2015) of each channel of rows N×C or images N×C×H×W: by the batch's mean and variance in training, by their running means in evaluation. weight, bias, running_mean
and running_var (of the unbiased variance) have PyTorch's names and definitions.]],
  returns = "a layer", errors = "in training, a batch of one number a channel", example = "local layer = ls.nn.batch_norm(16)",
  { "features", type = "integer", min = 1, max = 2^24, doc = "channels" },
  options = {
    momentum = { type = "number", default = 0.1, min = 0, max = 1, doc = "share of the batch in the running statistics" },
    eps      = { type = "number", default = 1e-5, above = 0, below = math.huge, doc = "added to the variance" },
  },
}, function(features, o)
  local self = make(BatchNorm, { features = features, momentum = o.momentum, eps = o.eps, summary = (" %d"):format(features) })
  self.weight = c.set_requires_grad(raw.ones(features)) -- one by one: parameters have the order in which they are set
  self.bias = c.set_requires_grad(raw.zeros(features))
  self.running_mean = raw.zeros(features)
  self.running_var = raw.ones(features)
  return self
end)

local layer_norm = autograd.op("layer_norm", function(x, weight, bias, axes, eps)
  local y, mean, scale = clayers.layer_norm(x, weight, bias, axes, eps)
  return y, { mean, scale }
end, function(n, g, _, kept)
  local x, weight, bias = n[1], n[2], n[3]
  local dx, dweight, dbias = clayers.layer_norm_back(x, weight, n[4], kept[1], kept[2], g)
  return dx, weight and needs(weight) and dweight or nil, bias and needs(bias) and dbias or nil
end)
tensor.operations.layer_norm = layer_norm

local LayerNorm = new_class "layer_norm"

function LayerNorm:forward(x)
  local rank, axes = raw.rank(x), #self.shape
  for i = 1, axes do
    if rank < axes or raw.size(x, rank - axes + i) ~= self.shape[i] then
      raise("layer_norm", ("the input has shape %s, it must end with %s"):format(raw.shape_text(x), table.concat(self.shape, "x")))
    end
  end
  local flat = function(t) return axes == 1 and t or t:reshape(-1) end
  return layer_norm(x, flat(self.weight), flat(self.bias), axes, self.eps)
end

nn.layer_norm = public("ls.nn.layer_norm", {
  doc = "Layer normalisation (Ba et al. 2016) over the last axes, with a weight and a bias for each of their elements.", returns = "a layer",
  example = "local layer = ls.nn.layer_norm(64)",
  { "shape", type = "integer|table", doc = "sizes of the axes: one, or a table" },
  options = { eps = { type = "number", default = 1e-5, above = 0, below = math.huge, doc = "added to the variance" } },
}, function(shape, o)
  local sizes = {}
  for i, n in ipairs(type(shape) == "table" and shape or { shape }) do sizes[i] = options.check("layer_norm", "shape", { type = "integer", min = 1, max = 2^31 - 1 }, n) end
  if #sizes < 1 or #sizes > 8 then raise("layer_norm", ("shape has %d sizes, allowed is 1 to 8"):format(#sizes)) end
  local self = make(LayerNorm, { shape = sizes, eps = o.eps, summary = " " .. table.concat(sizes, "×") })
  self.weight = c.set_requires_grad(raw.ones(sizes))
  self.bias = c.set_requires_grad(raw.zeros(sizes))
  return self
end)

-- ---- embedding ----

local embedding = autograd.op("embedding", clayers.embedding, function(n, g) return clayers.embedding_back(n[1], n[2], g) end)
tensor.operations.embedding = embedding

local Embedding = new_class "embedding"
function Embedding:forward(ids)
  check_made(self, "embedding")
  return embedding(self.weight, ids)
end

nn.embedding = public("ls.nn.embedding", {
  doc = "A vector for each id: ids (label vector, or tensor of whole numbers, any shape) become rows of `width` numbers. Weights are standard normal at first, as PyTorch's.",
  returns = "a layer", errors = "an id outside 0 … count-1", example = "local words = ls.nn.embedding(1000, 32, { rng = rng })",
  { "count", type = "integer", min = 1, max = 2^31 - 1, doc = "ids are 0 … count-1" }, { "width", type = "integer", min = 1, max = 2^31 - 1, doc = "numbers of a vector" },
  options = { rng = { type = "rng", doc = "makes the weights at once; otherwise the model around it does" } },
}, function(count, width, o)
  return make(Embedding, { summary = (" %d × %d"):format(count, width), make = function(self, rng)
    self.weight = c.set_requires_grad(tensor.randn(count, width, { rng = rng }))
  end }, o.rng)
end)

-- ---- composition ----

local Sequential = new_class "sequential"

local function is(layer, class) return layer and getmetatable(layer) == class and not rawget(layer, "forward") end

-- Layers from the first to the `last`-th. A layer and the ReLU after it, and max pooling after that, run as one operation where none has been made another's.
local function run_layers(self, x, last)
  local i = 1
  while i <= last do
    local layer, after, pool = self[i], i < last and self[i + 1], i + 1 < last and self[i + 2]
    local convolution = is(layer, Conv2d)
    if not is(after, ReLU) or not (convolution or is(layer, Linear)) then
      x = layer(x)
      i = i + 1
    elseif convolution and is(pool, MaxPool) and pool.kernel[1] * pool.kernel[2] <= 256 and raw.rank(x) == 4 then
      local text = not rawget(layer, "_output") and layer:result_text(x) or nil
      x = layer:forward_relu_pool(x, pool)
      module.ran(pool, module.ran(after, module.ran(layer, x, text), text))
      i = i + 3
    else
      x = module.ran(after, module.ran(layer, layer:forward_relu(x)))
      i = i + 2
    end
  end
  return x
end

function Sequential:forward(x) return run_layers(self, x, #self) end

-- Output of the layer before the last: what the last layer sees.
function Sequential:forward_features(x) return run_layers(self, x, #self - 1) end

-- { weight, bias | false, whether ReLU follows, … } where the model is different linear layers one after the other and nothing else; nil otherwise. `forward`: a class's own, where it only
-- shapes the input before.
function Sequential:perceptron(forward)
  local list, seen, i, n = {}, {}, 1, #self
  if self.forward ~= (forward or Sequential.forward) then return nil end
  while i <= n do
    local layer, relu = self[i], is(self[i + 1], ReLU) or false
    if not is(layer, Linear) or rawget(layer, "make") then return nil end
    local w, b = layer.weight, rawget(layer, "bias") or false
    if seen[w] or seen[b] then return nil end
    seen[w], seen[b or w] = true, true
    table.move({ w, b, relu }, 1, 3, #list + 1, list)
    i = i + (relu and 2 or 1)
  end
  return n > 0 and list or nil
end

-- The parts that run one after the other; for mixing between them.
function Sequential:stages()
  return table.move(self, 1, #self, 1, {})
end
nn.Sequential = Sequential

nn.sequential = public("ls.nn.sequential", {
  doc = "Layers one after the other.", returns = "a model",
  example = "local model = ls.nn.sequential({ ls.nn.flatten(), ls.nn.linear(64, 10) }, { rng = rng })",
  { "layers", type = "table", doc = "layers in order" },
  options = { rng = { type = "rng", doc = "makes all weights" } },
}, function(layers, o)
  local self = setmetatable({}, Sequential)
  for i, layer in ipairs(layers) do
    if not is_module(layer) then raise("sequential", ("layer %d is %s, a layer is required"):format(i, type(layer))) end
    self[i] = layer
  end
  return o.rng and initialise(self, o.rng) or self
end)

local Residual = new_class "residual"
function Residual:forward(x)
  local shortcut = rawget(self, "shortcut")
  return (shortcut and shortcut(x) or x) + self.inner(x)
end

nn.residual = public("ls.nn.residual", {
  doc = "A residual block (He et al. 2016): inner(x) + x, or + shortcut(x) where shapes change.", returns = "a layer",
  example = "local block = ls.nn.residual(ls.nn.sequential{ ls.nn.linear(8, 8), ls.nn.relu() }, { rng = rng })",
  { "inner", type = "model", doc = "a layer or model" },
  options = { shortcut = { type = "model", doc = "a layer for the other way" }, rng = { type = "rng", doc = "makes all weights" } },
}, function(inner, o)
  local self = setmetatable({}, Residual)
  self.inner = inner
  if o.shortcut then self.shortcut = o.shortcut end
  return o.rng and initialise(self, o.rng) or self
end)

nn.module = public("ls.nn.module", {
  doc = [[A layer of one's own. init(self, …) puts layers (and tensors: those that gather gradients are parameters, others buffers) into fields of self, forward(self, x) gives the result;
forward_features(self, x), where given, what :features returns. Weights of the layers in it are made by the model around it, or by :initialise(rng).]],
  returns = "a class: Class(…) makes a layer, passing its arguments to init",
  example = [[local Residual = ls.nn.module{
  init    = function(self, width) self.inner = ls.nn.linear(width, width) end,
  forward = function(self, x) return x + self.inner(x):relu() end,
}
local model = ls.nn.sequential({ ls.nn.linear(8, 16), Residual(16), ls.nn.linear(16, 4) }, { rng = rng })]],
  options = {
    init             = { type = "callable", doc = "function(self, …)" },
    forward          = { type = "callable", required = true, doc = "function(self, x) → result" },
    forward_features = { type = "callable", doc = "function(self, x) → the penultimate layer" },
    name             = { type = "string", default = "module", doc = "how print(model) calls it" },
  },
}, function(o)
  local class = new_class(o.name)
  class.forward, class.forward_features = o.forward, o.forward_features
  return require "lsengine.c.system".public(function(...)
    local self = setmetatable({}, class)
    if o.init then o.init(self, ...) end
    return self
  end)
end)

return nn
