-- Layers against PyTorch's numbers (tests/golden/layers.py) and their properties. SPDX-License-Identifier: MIT
local t, ls = require "harness", require "lsengine"
local operations = require "lsengine.tensor".operations
require "lsengine.nn"
local T, nn = t.tests, ls.nn
local golden = ls.tensor.load "tests/golden/layers.npz"

-- PyTorch computed in double; ours sums up to a few hundred products in float.
local function near(what, got, want)
  t.equals(got:shape(), want:shape(), what)
  local scale = math.max(1, want:abs():max():item())
  local off = (got - want):abs():max():item() / scale
  if not (off <= 2e-6) then error(("%s is off by %g of its scale"):format(what, off), 0) end
end

local function run(name, inputs, f)
  local leaves = {}
  for i = 1, inputs do leaves[i] = golden[("%s.in%d"):format(name, i - 1)]:clone():requires_grad() end
  local y = f(table.unpack(leaves))
  near(name .. ".y", y, golden[name .. ".y"])
  y:backward(golden[name .. ".g"])
  for i = 1, inputs do
    local want = golden[("%s.grad%d"):format(name, i - 1)]
    if want then near(("%s.grad%d"):format(name, i - 1), leaves[i].grad, want) end
  end
end

local convolutions = {
  plain = {}, padded = { 1, 1, 1, 1, 1, 1, 1 }, strided = { 2, 3, 1, 0, 1, 1, 1 }, dilated = { 1, 1, 2, 3, 2, 3, 1 }, grouped = { 1, 1, 1, 1, 1, 1, 2 },
  depthwise = { 2, 2, 0, 0, 1, 1, 4 }, ["1x1"] = {}, ["1x1_strided"] = { 2, 2, 0, 0, 1, 1, 1 }, wide_padding = { 3, 3, 4, 4, 1, 1, 1 }, many = {},
}
for name, settings in pairs(convolutions) do
  T["convolution_" .. name .. "_is_pytorchs"] = function()
    local s = #settings > 0 and settings or { 1, 1, 0, 0, 1, 1, 1 }
    run("conv_" .. name, 3, function(x, w, b) return operations.conv2d(x, w, b, table.unpack(s)) end)
  end
end

for _, c in ipairs{ { 2, 2, 0 }, { 3, 2, 1 }, { 3, 1, 1 }, { 2, 1, 0 } } do
  local tag = ("%d%d%d"):format(c[1], c[2], c[3])
  T["pooling_" .. tag .. "_is_pytorchs"] = function()
    local layer = function(make, o)
      o.stride, o.padding = c[2], c[3]
      return make(c[1], o)
    end
    run("max_" .. tag, 1, layer(nn.max_pool2d, {}))
    run("avg_" .. tag, 1, layer(nn.avg_pool2d, {}))
    run("avgvalid_" .. tag, 1, layer(nn.avg_pool2d, { count_padding = false }))
  end
end

for _, name in ipairs{ "bn_2_5", "bn_4_5", "bn_2_70" } do
  T[name .. "_is_pytorchs"] = function()
    local features = golden[name .. ".mean"]:size(1)
    local layer = nn.batch_norm(features)
    layer.running_mean:copy_(golden[name .. ".mean"])
    layer.running_var:copy_(golden[name .. ".var"])
    local function with(x, w, b)
      rawset(layer, "weight", w)
      rawset(layer, "bias", b)
      return layer(x)
    end
    layer:eval()
    run(name .. "_eval", 3, with)
    near("running mean", layer.running_mean, golden[name .. ".mean"])
    layer:train()
    run(name .. "_train", 3, with)
    near("running mean", layer.running_mean, golden[name .. ".mean_after"])
    near("running variance", layer.running_var, golden[name .. ".var_after"])
  end
end

function T.layer_norm_is_pytorchs()
  run("ln_1", 3, function(x, w, b) return operations.layer_norm(x, w, b, 1, 1e-5) end)
  run("ln_2", 3, function(x, w, b)
    local layer = nn.layer_norm{ 3, 4 }
    rawset(layer, "weight", w)
    rawset(layer, "bias", b)
    return layer(x)
  end)
end

function T.embedding_is_pytorchs()
  local w = golden["embedding.in1"]:clone():requires_grad()
  local y = operations.embedding(w, golden["embedding.in0"])
  near("embedding", y, golden["embedding.y"])
  y:backward(golden["embedding.g"])
  near("its gradient", w.grad, golden["embedding.grad1"])
  t.equals(operations.embedding(w, ls.labels{ 4, 0 }):shape(), { 2, 3 })
  t.fails(function() return nn.embedding(3, 2, { rng = ls.rng(1) })(ls.labels{ 0, 3 }) end, "embedding: id 2 is 3, allowed are whole numbers from 0 to 2", true)
  t.fails(function() return nn.embedding(3, 2, { rng = ls.rng(1) })(ls.tensor{ 0.5 }) end, "embedding: id 1 is 0.5", true)
end

function T.a_wrong_result_would_be_noticed()
  t.is_true(not pcall(near, "x", golden["conv_plain.y"] * 1.00001, golden["conv_plain.y"]))
end

-- A mean that is large beside the spread: what one-pass sums lose.
function T.normalisation_survives_large_means()
  local x = ls.tensor.randn(64, 3, 5, 5, { rng = ls.rng(1) })
  for _, layer in ipairs{ nn.batch_norm(3), nn.layer_norm{ 3, 5, 5 } } do
    layer:train()
    local off = (layer(x * 0.125 + 1000) - layer(x * 0.125)):abs():max():item()
    t.is_true(off < 5e-3, off) -- adding 1000 rounds x to 6e-5, five hundredths of a percent of its spread
  end
end

function T.nan_wins_a_maximum()
  local x = ls.tensor.zeros(1, 1, 4, 4)
  x[1][1][2][1] = 0 / 0
  for _, pool in ipairs{ nn.max_pool2d(2), nn.max_pool2d(2, { stride = 1 }) } do
    local y = pool(x)
    t.is_true(y[1][1][1][1] ~= y[1][1][1][1] and y[1][1][2][2] == 0)
  end
end

function T.the_first_of_equal_maxima_gets_the_gradient()
  for _, pool in ipairs{ nn.max_pool2d(2), nn.max_pool2d({ 2, 2 }, { stride = { 2, 2 }, padding = 0 }), nn.max_pool2d(3, { stride = 3, padding = 1 }) } do
    local x = ls.tensor.ones(1, 1, 5, 5):requires_grad()
    pool(x):sum():backward()
    t.equals(x.grad[1][1][1][1], 1)
    t.equals(x.grad:max():item(), 1)
  end
end

-- Within a sequential model the three are one operation, which keeps what is pooled alone.
function T.convolution_relu_and_pooling_at_once_are_the_three_to_the_bit()
  for i, case in ipairs{ { { padding = 1 }, 2, {} }, { { groups = 2 }, 2, {} }, { { stride = 2, bias = false }, 3, { stride = 2, padding = 1 } }, { {}, { 3, 2 }, { stride = 1 } } } do
    local function make() return nn.sequential({ nn.conv2d(2, 6, 3, case[1]), nn.relu(), nn.max_pool2d(case[2], case[3]) }, { rng = ls.rng(i) }) end
    local at_once, apart, x, g = make(), make(), ls.tensor.randn(19, 2, 11, 13, { rng = ls.rng(7) }), nil
    x[1][1][2][2] = 0 / 0
    for _, layer in ipairs{ 1, 2, 3 } do rawset(apart[layer], "forward", getmetatable(apart[layer]).forward) end
    local results = {}
    for k, model in ipairs{ at_once, apart } do
      local input = x:clone():requires_grad()
      local y = model(input)
      g = g or ls.tensor.randn(y:count(), { rng = ls.rng(8) }):reshape(y:shape())
      ;(y * g):sum():backward()
      results[k] = { y:detach():hash(), input.grad:hash(), model[1].weight.grad:hash(), model[1].bias and model[1].bias.grad:hash() }
      results[k].text = tostring(model)
    end
    for k, hash in ipairs(results[2]) do t.equals(results[1][k], hash) end
    t.equals(results[1].text, results[2].text)
  end
  t.fails(function() return nn.sequential({ nn.conv2d(1, 2, 3), nn.relu(), nn.max_pool2d(9) }, { rng = ls.rng(1) })(ls.tensor.zeros(1, 1, 8, 8)) end,
    "max_pool2d: a kernel of 9x9 does not fit into images of 6x6", true)
end

function T.layers_refuse_what_does_not_fit()
  local rng = ls.rng(1)
  local conv, x = nn.conv2d(3, 4, 3, { rng = rng }), ls.tensor.zeros(2, 3, 2, 8)
  t.fails(function() return conv(x) end, "conv2d: a kernel of 3x3 (dilation 1x1) does not fit into images of 2x8 with padding 0x0", true)
  t.fails(function() return conv(ls.tensor.zeros(2, 2, 8, 8)) end, "conv2d: the images have 2 channels, 3 are required", true)
  t.fails(function() return conv(ls.tensor.zeros(2, 8)) end, "conv2d: the input has shape 2x8, images N×C×H×W are required", true)
  t.fails(function() return nn.conv2d(3, 4, 3, { groups = 2 }) end, "conv2d: groups is 2, which must divide the 3 inputs and the 4 outputs", true)
  t.fails(function() return nn.conv2d(3, 4, { 3, 3, 3 }) end, "kernel has 3 numbers, one or two are required", true)
  t.fails(function() return nn.conv2d(3, 4, 3, { stride = 0 }) end, "stride is 0, allowed is 1 to", true)
  t.fails(function() return nn.conv2d(3, 4, 3)(ls.tensor.zeros(1, 3, 4, 4)) end, "conv2d: the layer has no weights yet", true)
  t.fails(function() return nn.max_pool2d(4)(ls.tensor.zeros(1, 1, 3, 3)) end, "max_pool2d: a kernel of 4x4 does not fit into images of 3x3", true)
  t.fails(function() return nn.max_pool2d(2, { padding = 2 })(ls.tensor.zeros(1, 1, 3, 3)) end, "padding is 2, allowed is 0 to half of the kernel, 1", true)
  local norm = nn.batch_norm(3)
  t.fails(function() return norm(ls.tensor.zeros(2, 4)) end, "batch_norm: the input has shape 2x4, 3 channels in its second axis are required", true)
  norm:train()
  t.fails(function() return norm(ls.tensor.zeros(1, 3)) end, "more than one number in each channel is required", true)
  t.fails(function() return nn.layer_norm(4)(ls.tensor.zeros(2, 3)) end, "layer_norm: the input has shape 2x3, it must end with 4", true)
  t.fails(function() return nn.convnet({ input = { 1, 3, 3 }, classes = 2 }, { rng = rng }) end, "images of 3×3 are too small for pooling 2 times by 2", true)
  t.fails(function() return nn.convnet({ input = { 1, 8 }, classes = 2 }, { rng = rng }) end, "input has 2 elements, at least 3 are required", true)
  t.fails(function() return nn.resnet({ input = { 1, 8, 8 } }, { rng = rng }) end, "option classes is missing", true)
end

function T.models_have_pytorchs_names()
  local function names(model)
    local list = {}
    for i, p in ipairs(model:named_parameters()) do list[i] = p[1] end
    return table.concat(list, " ")
  end
  t.equals(names(nn.convnet({ input = { 1, 8, 8 }, classes = 2 }, { rng = ls.rng(1) })), "0.weight 0.bias 3.weight 3.bias 7.weight 7.bias 9.weight 9.bias")
  t.equals(names(nn.resnet({ input = { 1, 8, 8 }, classes = 2 }, { rng = ls.rng(1), blocks = { 1, 1 } })), "conv1.weight bn1.weight bn1.bias "
    .. "layer1.0.conv1.weight layer1.0.bn1.weight layer1.0.bn1.bias layer1.0.conv2.weight layer1.0.bn2.weight layer1.0.bn2.bias "
    .. "layer2.0.conv1.weight layer2.0.bn1.weight layer2.0.bn1.bias layer2.0.conv2.weight layer2.0.bn2.weight layer2.0.bn2.bias "
    .. "layer2.0.downsample.0.weight layer2.0.downsample.1.weight layer2.0.downsample.1.bias fc.weight fc.bias")
end

function T.buffers_are_saved_and_not_trained()
  local model = nn.convnet({ input = { 1, 8, 8 }, classes = 2 }, { rng = ls.rng(1), batch_norm = true, channels = { 2 } })
  t.equals(#model:named_buffers(), 2)
  t.equals(model:named_buffers()[1][1], "1.running_mean")
  model:train()
  model(ls.tensor.randn(4, 1, 8, 8, { rng = ls.rng(2) }))
  local other, path = nn.convnet({ input = { 1, 8, 8 }, classes = 2 }, { rng = ls.rng(3), batch_norm = true, channels = { 2 } }), t.tmpname() .. ".npz"
  model:save(path)
  other:load(path)
  os.remove(path)
  t.equals(other:hash(), model:hash())
  t.is_true(other[2].running_mean:abs():sum():item() > 0)
end

function T.features_are_what_the_last_linear_layer_sees()
  local x = ls.tensor.randn(1100, 1, 8, 8, { rng = ls.rng(2) })
  local convnet = nn.convnet({ input = { 1, 8, 8 }, classes = 3 }, { rng = ls.rng(1), dropout = 0.5 })
  convnet:train()
  local f = convnet:features(x)
  t.equals(f:shape(), { 1100, 64 })
  t.is_true(convnet.training)
  convnet:eval()
  t.is_true((convnet[11](f) - convnet(x)):abs():max():item() < 1e-6)
  local resnet = nn.resnet({ input = { 1, 8, 8 }, classes = 3 }, { rng = ls.rng(1), width = 4 }):eval()
  t.is_true((resnet.fc(resnet:features(x)) - resnet(x)):abs():max():item() < 1e-6)
  local Own = nn.module{ init = function(self) self.a = nn.linear(64, 5) self.b = nn.linear(5, 3) end,
    forward = function(self, v) return self.b(self.a(v:reshape(v:size(1), -1)):tanh()) end }
  local own = Own():initialise(ls.rng(1))
  t.is_true((own.b(own:features(x)) - own(x)):abs():max():item() < 1e-6)
  t.fails(function() return nn.module{ forward = function(_, v) return v end }():features(x) end, "no linear layer whose input could be its features", true)
end

function T.own_layers_work_inside_of_models()
  local Residual = nn.module{ name = "mine", init = function(self, width) self.inner = nn.linear(width, width) end, forward = function(self, x) return x + self.inner(x):relu() end }
  local model = nn.sequential({ nn.linear(8, 6), Residual(6), nn.residual(nn.sequential{ nn.linear(6, 6), nn.tanh() }), nn.linear(6, 2) }, { rng = ls.rng(1) })
  local names = {}
  for i, p in ipairs(model:named_parameters()) do names[i] = p[1] end
  t.equals(table.concat(names, " "), "0.weight 0.bias 1.inner.weight 1.inner.bias 2.inner.0.weight 2.inner.0.bias 3.weight 3.bias")
  local y = model(ls.tensor.ones(3, 8))
  t.equals(y:shape(), { 3, 2 })
  local text = tostring(model)
  t.is_true(text:find("(1) mine", 1, true) ~= nil and text:find("152 parameters", 1, true) ~= nil, text)
end

-- tests/golden/models.py: trained in PyTorch, state_dict saved by numpy.savez.
function T.models_trained_in_pytorch_give_their_logits_here()
  local data, o = ls.data.load "digits", { rng = ls.rng(9) }
  local models = {
    convnet = nn.convnet({ input = { 1, 8, 8 }, classes = 10 }, { rng = o.rng, channels = { 8, 16 }, hidden = 32, batch_norm = true }),
    resnet = nn.resnet({ input = { 1, 8, 8 }, classes = 10 }, { rng = o.rng, width = 4, blocks = { 1, 2 } }),
    mlp = nn.sequential({ nn.flatten(), nn.linear(64, 32), nn.gelu(), nn.linear(32, 10) }, o),
  }
  for name, model in pairs(models) do
    model:load(("tests/golden/model-%s.npz"):format(name)):eval()
    local want = ls.tensor.load(("tests/golden/model-%s-logits.npy"):format(name))
    local off = (model(data.test.x) - want):abs():max():item()
    t.is_true(off < 1e-4, ("%s: %g"):format(name, off))
    t.is_true((model:train()(data.test.x) - want):abs():max():item() > 1e-2 or name == "mlp") -- batch statistics are others
  end
end

function T.a_layer_and_its_relu_as_one_give_the_bits_of_the_two()
  local function gradients(apart, change)
    local rng = ls.rng(3)
    local model = nn.sequential({ nn.conv2d(1, 4, 3), nn.relu(), nn.flatten(), nn.linear(4 * 36, 20), nn.relu(), nn.linear(20, 20, { bias = false }), nn.relu(), nn.linear(20, 5) }, { rng = rng })
    if change then change(model) end
    local x = ls.tensor.randn(7, 1, 8, 8, { rng = rng }):requires_grad()
    local y = x
    if apart then for i = 1, 8 do y = model[i](y) end else y = model(x) end
    y:square():sum():backward()
    local list = { y:hash(), x.grad:hash() }
    for _, p in ipairs(model:parameters()) do list[#list + 1] = p.grad:hash() end
    return table.concat(list, " ")
  end
  t.equals(gradients(false), gradients(true))
  local function doubled(model) rawset(model[5], "forward", function(_, x) return x:relu() * 2 end) end -- a layer that was given another forward keeps it
  t.equals(gradients(false, doubled), gradients(true, doubled))
  t.is_true(gradients(false, doubled) ~= gradients(false))
end

t.run()
