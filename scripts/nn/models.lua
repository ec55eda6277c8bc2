-- Models: perceptron, convnet, resnet. SPDX-License-Identifier: MIT
local raw     = require "lsengine.c.tensor"
local cnn     = require "lsengine.c.nn"
local autograd = require "lsengine.autograd"
local layers  = require "lsengine.layers"
local module  = require "lsengine.module"
local options = require "lsengine.options"
local public  = require "lsengine.public"
local raise, new_class, initialise = public.raise, module.new_class, module.initialise
local Sequential = layers.Sequential

local models = {}

local rng = { type = "rng", required = true, doc = "makes the weights" }
local init = function(default) return { type = "string", default = default, choices = cnn.initialisations(), doc = "how the weights are made" } end
local activation = { type = "string", default = "relu", choices = { "relu", "gelu", "tanh", "sigmoid" }, doc = "between the layers" }
local function dropout_after(what) return { type = "number", default = 0, min = 0, below = 1, doc = what } end

local function sizes_of(who, name, list, least)
  if #list < least then raise(who, ("%s has %d elements, at least %d are required"):format(name, #list, least)) end
  local checked = {}
  for i, size in ipairs(list) do checked[i] = options.check(who, ("%s[%d]"):format(name, i), { type = "integer", min = 1, max = 2^31 - 1 }, size) end
  return checked
end

-- { channels, rows, columns } of an image
local function image_of(who, list)
  local input = sizes_of(who, "input", list, 3)
  if #input > 3 then raise(who, ("input has %d elements, three are required: channels, rows, columns"):format(#input)) end
  return input
end

-- Runs a model once on nothing, so that print(model) knows the shapes of its layers' results.
local function dry_run(self)
  local _ <close> = autograd.pause()
  local was_training = rawget(self, "training")
  self:eval()
  self(raw.zeros(table.pack(1, table.unpack(self.input))))
  if was_training then self:train() end
end

-- A sequential model with a class of its own, that shapes its input first.
local function class_of(name, prepare)
  local class = new_class(name)
  setmetatable(class, { __index = Sequential })
  function class:prepare(x) return prepare(self, x) end
  function class:forward(x) return Sequential.forward(self, prepare(self, x)) end
  function class:forward_features(x) return Sequential.forward_features(self, prepare(self, x)) end
  class.dry_run = dry_run
  return class
end

local function builder(class, input)
  local self = setmetatable({}, class)
  rawset(self, "input", input)
  local count = 0
  return self, function(layer)
    count = count + 1
    self[count] = layer
  end
end

local Mlp = class_of("mlp", function(_, x) return raw.rank(x) == 2 and x or x:reshape(raw.size(x, 1), -1) end)
local flattens = Mlp.forward
function Mlp:perceptron() return Sequential.perceptron(self, flattens) end

models.mlp = public("ls.nn.mlp", {
  doc = [[A multilayer perceptron: linear layers with an activation between them. Flattens its input. Its parameters have the
names of PyTorch's nn.Sequential(Linear, ReLU, Linear, …): 0.weight, 0.bias, 2.weight, …]],
  returns = "a model",
  example = "local model = ls.nn.mlp({784, 256, 10}, { rng = ls.rng(1) })",
  { "sizes", type = "table", doc = "features of the input, of each hidden layer, and classes" },
  options = { rng = rng, activation = activation, dropout = dropout_after "after each activation", init = init "torch" },
}, function(sizes, o)
  sizes = sizes_of("mlp", "sizes", sizes, 2)
  local self, push = builder(Mlp, { sizes[1] })
  for i = 2, #sizes do
    push(layers.linear(sizes[i - 1], sizes[i], { init = o.init }))
    if i < #sizes then
      push(layers[o.activation]())
      if o.dropout > 0 then push(layers.dropout(o.dropout)) end
    end
  end
  return initialise(self, o.rng)
end)

-- Rows of C·H·W numbers are taken as images, too.
local function as_images(self, x)
  local i = self.input
  return raw.rank(x) == 2 and raw.size(x, 2) == i[1] * i[2] * i[3] and x:reshape(raw.size(x, 1), i[1], i[2], i[3]) or x
end

local Convnet = class_of("convnet", as_images)

local image = {
  input   = { type = "table", required = true, doc = "{ channels, rows, columns } of an image" },
  classes = { type = "integer", required = true, min = 1, max = 2^31 - 1, doc = "columns of the logits" },
}

models.convnet = public("ls.nn.convnet", {
  doc = [[A small convolutional network: for each of `channels` a convolution, an activation and max pooling by 2, then a hidden linear layer and the logits. An MLP of images that costs
little: 105,866 parameters for 28×28 images and 10 classes. Its parameters have the names of PyTorch's nn.Sequential of the same layers.]],
  returns = "a model", errors = "images too small for the pooling", signature = "({ input =, classes = }, { options })",
  example = "local model = ls.nn.convnet({ input = {1, 28, 28}, classes = 10 }, { rng = rng })",
  { "shape", type = "table", doc = "input = { channels, rows, columns }, classes =" },
  options = {
    rng = rng, activation = activation, init = init "torch", dropout = dropout_after "before the last layer",
    channels   = { type = "table", default = { 16, 32 }, doc = "outputs of each convolution" },
    kernel     = { type = "integer", default = 3, min = 1, max = 99, doc = "size of each convolution; padded so that sizes stay" },
    hidden     = { type = "integer", default = 64, min = 1, max = 2^31 - 1, doc = "features of the hidden layer" },
    batch_norm = { type = "boolean", default = false, doc = "after each convolution" },
  },
}, function(shape, o)
  shape = options.read("convnet", image, shape)
  local input, channels = image_of("convnet", shape.input), sizes_of("convnet", "channels", o.channels, 1)
  local self, push = builder(Convnet, input)
  local previous, rows, columns = input[1], input[2], input[3]
  if o.kernel % 2 == 0 then raise("convnet", ("kernel is %d, an odd number is required"):format(o.kernel)) end
  for _, width in ipairs(channels) do
    push(layers.conv2d(previous, width, o.kernel, { padding = o.kernel // 2, init = o.init }))
    if o.batch_norm then push(layers.batch_norm(width)) end
    push(layers[o.activation]())
    push(layers.max_pool2d(2))
    previous, rows, columns = width, rows // 2, columns // 2
    if rows < 1 or columns < 1 then raise("convnet", ("images of %d×%d are too small for pooling %d times by 2"):format(input[2], input[3], #channels)) end
  end
  push(layers.flatten())
  push(layers.linear(previous * rows * columns, o.hidden, { init = o.init }))
  push(layers[o.activation]())
  if o.dropout > 0 then push(layers.dropout(o.dropout)) end
  push(layers.linear(o.hidden, shape.classes, { init = o.init }))
  return initialise(self, o.rng)
end)

-- ---- resnet ----

local Block = new_class "basic_block"
function Block:forward(x)
  local down = rawget(self, "downsample")
  local y = self.bn2(self.conv2(self.bn1(self.conv1(x)):relu()))
  return (y + (down and down(x) or x)):relu()
end

local function block(inputs, outputs, stride)
  local self = setmetatable({}, Block)
  local options_of = function(step) return { stride = step, padding = 1, bias = false, init = "he_normal" } end
  rawset(self, "summary", (" %d → %d"):format(inputs, outputs))
  self.conv1 = layers.conv2d(inputs, outputs, 3, options_of(stride))
  self.bn1 = layers.batch_norm(outputs)
  self.conv2 = layers.conv2d(outputs, outputs, 3, options_of(1))
  self.bn2 = layers.batch_norm(outputs)
  if stride ~= 1 or inputs ~= outputs then
    self.downsample = layers.sequential{ layers.conv2d(inputs, outputs, 1, { stride = stride, bias = false, init = "he_normal" }), layers.batch_norm(outputs) }
  end
  return self
end

local Resnet = new_class "resnet"
Resnet.prepare, Resnet.dry_run = as_images, dry_run

function Resnet:stages()
  local list = { function(x) return self.bn1(self.conv1(x)):relu() end }
  for i = 1, self.depth do list[i + 1] = self["layer" .. i] end
  list[#list + 1] = self.pool
  list[#list + 1] = self.fc
  return list
end

function Resnet:forward_features(x)
  x = self.bn1(self.conv1(as_images(self, x))):relu()
  for i = 1, self.depth do x = self["layer" .. i](x) end
  return self.pool(x)
end

function Resnet:forward(x) return self.fc(self:forward_features(x)) end

models.resnet = public("ls.nn.resnet", {
  doc = [[A small residual network (He et al. 2016, for images of some 28 to 64 pixels): a 3×3 convolution, groups of basic blocks whose width doubles and whose images halve, global pooling, logits. Parameters
and running statistics have torchvision's names: conv1, bn1, layer1.0.conv1, …, layer2.0.downsample.0, …, fc.]],
  returns = "a model", signature = "({ input =, classes = }, { options })",
  example = "local model = ls.nn.resnet({ input = {3, 32, 32}, classes = 10 }, { width = 8, rng = rng })",
  { "shape", type = "table", doc = "input = { channels, rows, columns }, classes =" },
  options = {
    rng    = rng,
    width  = { type = "integer", default = 16, min = 1, max = 2^20, doc = "channels of the first group" },
    blocks = { type = "table", default = { 1, 1, 1 }, doc = "basic blocks of each group" },
  },
}, function(shape, o)
  shape = options.read("resnet", image, shape)
  local input, blocks = image_of("resnet", shape.input), sizes_of("resnet", "blocks", o.blocks, 1)
  if #blocks > 8 then raise("resnet", ("blocks has %d groups, at most 8 are allowed"):format(#blocks)) end
  local self, inputs = setmetatable({}, Resnet), o.width
  rawset(self, "input", input)
  rawset(self, "depth", #blocks)
  self.conv1 = layers.conv2d(input[1], inputs, 3, { padding = 1, bias = false, init = "he_normal" })
  self.bn1 = layers.batch_norm(inputs)
  for group, count in ipairs(blocks) do
    local outputs, list = o.width * 2^(group - 1) // 1 | 0, {}
    for i = 1, count do
      list[i] = block(inputs, outputs, i == 1 and group > 1 and 2 or 1)
      inputs = outputs
    end
    self["layer" .. group] = layers.sequential(list)
  end
  self.pool = layers.global_avg_pool2d()
  self.fc = layers.linear(inputs, shape.classes)
  return initialise(self, o.rng)
end)

return models
