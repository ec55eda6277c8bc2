-- Modules: what layers and models have in common. SPDX-License-Identifier: MIT
--
-- A module is a table: tensors and children (modules) in its fields, `forward(self, x)` in its class. Calling it runs forward. A
-- tensor that gathers gradients is a parameter; another is a buffer (running statistics): it is saved and loaded, and no optimizer
-- sees it. Names are those that PyTorch gives: children of a sequential are counted from 0.
-- Weights are made when a random stream is given: to the layer, or to a model around it ("initialisation" and "dropout" are
-- streams of their own).
local raw      = require "lsengine.c.tensor"
local c        = require "lsengine.c.autograd"
local cnn      = require "lsengine.c.nn"
local autograd = require "lsengine.autograd"
local options  = require "lsengine.options"
local json     = require "lsengine.c.json"
local files    = require "lsengine.c.files"
local public   = require "lsengine.public"
local provenance = require "lsengine.provenance"
require "lsengine.tensor"
require "lsengine.random"
local raise    = public.raise

local module = {}

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
  if raw.is_tensor(value) or is_module(value) then
    order[#order + 1] = key
  elseif type(value) == "table" and getmetatable(value) == nil then
    for k, inner in next, value do
      if is_module(inner) then
        raise(getmetatable(self).__name, ("%s is a table with a layer in it (%s), which training and saving would not see: put layers into fields, or into ls.nn.sequential"):format(tostring(key), tostring(k)))
      end
    end
  end
  rawset(self, key, value)
end

-- The shape of a result without its first axis, kept from the first call: what print(model) shows.
local function output_text(y)
  return raw.is_tensor(y) and (raw.rank(y) > 1 and raw.shape_text(y):gsub("^%d+x", ""):gsub("x", "×") or "") or ""
end

-- Keeps for print(model) what a module's result looks like: y, or `text` where y is what further modules made of it.
local function ran(self, y, text)
  if not rawget(self, "_output") then rawset(self, "_output", text or output_text(y)) end
  return y
end

local call = require "lsengine.c.system".public(function(self, ...) return ran(self, self:forward(...)) end)

local function new_class(name)
  local new = class(name)
  new.__newindex = remember
  new.__call = call
  new.__tostring = function(self) return self:describe() end
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

-- visit(module) for the module and all below it.
function module.visit(self, visit) each(self, function(name, _, m) if not name then visit(m) end end) end

local COMMENT = "lsengine training "

local function method(name, spec, f)
  Module[name] = public("model:" .. name, spec, f)
end

-- { name, tensor } of all tensors, parameters and buffers, in order.
local function state_of(self)
  local list = {}
  each(self, function(name, value) if name then list[#list + 1] = { name, value } end end)
  return list
end
module.state_of = state_of

method("named_parameters", {
  doc = "Names and tensors of all parameters, in order.", returns = "table of { name, tensor }",
}, function(self)
  local list = {}
  each(self, function(name, value) if name and c.is_leaf(value) then list[#list + 1] = { name, value } end end)
  return list
end)

method("parameters", { doc = "The tensors of all parameters, in order.", returns = "table of tensors" }, function(self)
  local list = {}
  each(self, function(name, value) if name and c.is_leaf(value) then list[#list + 1] = value end end)
  return list
end)

method("named_buffers", {
  doc = "Names and tensors of what is saved and loaded with the parameters but not trained (running statistics), in order.", returns = "table of { name, tensor }",
}, function(self)
  local list = {}
  each(self, function(name, value) if name and not c.is_leaf(value) then list[#list + 1] = { name, value } end end)
  return list
end)

method("train", { doc = "Puts the model into training mode (dropout acts, batch norm uses the batch); returns it.", returns = "the model" }, function(self)
  each(self, function(name, _, module) if not name then rawset(module, "training", true) end end)
  return self
end)

method("eval", { doc = "Puts the model into evaluation mode (dropout does nothing, batch norm uses its running statistics); returns it.", returns = "the model" }, function(self)
  each(self, function(name, _, module) if not name then rawset(module, "training", false) end end)
  return self
end)

method("zero_grad", { doc = "Forgets the gathered gradients of all parameters.", returns = "nothing" }, function(self)
  each(self, function(name, value) if name then c.set_grad(value, nil) end end)
end)

method("hash", { doc = "16 hexadecimal digits over names, shapes and bits of all parameters and buffers, to compare models.", returns = "string" }, function(self)
  local parts = {}
  each(self, function(name, value) if name then parts[#parts + 1] = name .. raw.hash(value) end end)
  return cnn.hash_text(table.concat(parts, " "))
end)

method("save", {
  doc = "Writes all parameters and buffers as an .npz file of plain arrays by name; NumPy reads it. The file is replaced whole or not at all.",
  returns = "nothing", { "file", type = "string", doc = "path, ending in .npz" },
}, function(self, file)
  local arrays, names = {}, {}
  each(self, function(name, value) if name then arrays[name], names[#names + 1] = value, name end end)
  local entry = provenance.of_model(self)
  files.save_npz("save", file, names, arrays, entry and COMMENT .. json.encode(provenance.plain_entry(entry)) or nil)
end)

-- What the file says of the training of what is in it: nil where it says nothing.
local function read_training(file)
  local text = files.comment(file)
  if text:sub(1, #COMMENT) ~= COMMENT then return nil end
  local ok, value = pcall(json.decode, text:sub(#COMMENT + 1))
  return ok and provenance.read_entry(value) or nil
end

method("load", {
  doc = [[Reads parameters by name from an .npz file (a PyTorch model's, saved by NumPy, too). All names and shapes are checked
before the first weight changes; missing and unknown names are listed. PyTorch's counts num_batches_tracked are passed over.]],
  returns = "the model", errors = "a missing or unknown name, another shape, an array of integers", { "file", type = "string", doc = "path of an .npz file" },
}, function(self, file)
  each(self, function(name, _, module)
    if not name and rawget(module, "make") then
      raise("load", ("the model's %s has no weights yet, whose shapes the file's could be compared with: model:initialise(rng) makes them"):format(getmetatable(module).__name))
    end
  end)
  local arrays = files.load("load", file)
  if type(arrays) ~= "table" then raise("load", ("%s holds one array, an .npz file of named arrays is required"):format(file)) end
  local missing, wrong, left = {}, {}, {}
  for name in pairs(arrays) do left[name] = not name:find "num_batches_tracked$" or nil end
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
  local training = file:find "%.npz$" and read_training(file)
  module.visit(self, function(m) rawset(m, "_trained", nil) end)
  if training then provenance.trained(self, training, module.visit) end
  return self
end)

method("trained_with", {
  doc = [[What the model was trained with by ls.train, the last training last: the target in words, whether it was soft, whether smoothing was a part of it,
its mean entropy (floor, nats), the share of the mass that smoothing spread, the data set. Kept by model:save (as a comment of the archive, which other readers pass over), by averages and by checkpoints. The
pitfalls about teachers and embeddings read it.]],
  returns = "table of { target =, soft =, smoothed =, floor =, spread =, classes =, data = }; empty for a model that was not trained here",
  example = "for _, training in ipairs(model:trained_with()) do print(training.target, training.floor) end",
}, function(self)
  local list = {}
  for i, entry in ipairs(rawget(self, "_trained") or {}) do
    list[i] = { target = entry.target, soft = entry.soft, smoothed = entry.smoothed, floor = entry.floor, spread = entry.spread, classes = entry.classes, data = entry.data }
  end
  return list
end)

local function count_of(list)
  local count = 0
  for _, entry in ipairs(list) do count = count + raw.count(entry[2]) end
  return count
end

-- "235146" → "235,146"
local function grouped(n)
  local text = ("%d"):format(n)
  repeat
    local changed
    text, changed = text:gsub("^(%d+)(%d%d%d)", "%1,%2")
  until changed == 0
  return text
end

local function length(text) return utf8.len(text) or #text end

-- Rows { what, output shape, parameters } of a module and all below it.
local function list_rows(self, name, indent, above, rows)
  above = setmetatable({ [self] = true }, { __index = above })
  local own = 0
  for _, key in ipairs(rawget(self, "_order") or {}) do
    local value = rawget(self, key)
    if raw.is_tensor(value) and c.is_leaf(value) then own = own + raw.count(value) end
  end
  rows[#rows + 1] = { indent .. name .. getmetatable(self).__name .. (rawget(self, "summary") or ""), rawget(self, "_output") or "", own > 0 and grouped(own) or "" }
  for _, key in ipairs(rawget(self, "_order") or {}) do
    local value = rawget(self, key)
    if is_module(value) then
      local label = ("(%s) "):format(type(key) == "number" and ("%d"):format(key - 1) or key)
      if above[value] then
        rows[#rows + 1] = { indent .. "  " .. label .. "itself", "", "" }
      else
        list_rows(value, label, indent .. "  ", above, rows)
      end
    end
  end
end

-- Layers, the shapes of their results (known after the first call), and their parameters, in columns.
function Module:describe()
  if self.dry_run and not rawget(self, "_output") then self:dry_run() end
  local rows, widths, lines = {}, { 0, 0, 0 }, {}
  list_rows(self, "", "", nil, rows)
  for _, row in ipairs(rows) do
    for i = 1, 3 do widths[i] = math.max(widths[i], length(row[i])) end
  end
  for i, row in ipairs(rows) do
    lines[i] = ("%s%s  %s%s  %s%s"):format(row[1], (" "):rep(widths[1] - length(row[1])), row[2], (" "):rep(widths[2] - length(row[2])),
      (" "):rep(widths[3] - length(row[3])), row[3]):gsub("%s+$", "")
  end
  lines[#lines + 1] = ("%s parameters"):format(grouped(count_of(self:named_parameters())))
  return table.concat(lines, "\n")
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

method("initialise", {
  doc = "Makes all weights below that have not been made yet, from the stream's \"initialisation\"; for a class of ls.nn.module that stands alone. Returns the model.", returns = "the model",
  { "rng", type = "rng", doc = "where the weights come from" },
}, function(self, rng) return initialise(self, rng) end)

-- The input of the last linear layer that runs, while features are asked for.
local seen_by_linear

method("features", {
  doc = [[The penultimate layer: what the model's last layer sees, in evaluation mode, without recording. Of a sequential model the last layer is its last child, of another one the
last linear layer that runs, unless its class has forward_features(self, x). Rows are taken a thousand at a time.]],
  returns = "tensor", errors = "a model without a linear layer", { "x", type = "tensor", doc = "inputs" },
}, function(self, x)
  local _ <close> = autograd.pause()
  local was_training, parts, n = rawget(self, "training"), {}, raw.rank(x) > 0 and raw.size(x, 1) or raise("features", "x is a scalar, rows are required")
  local restore <close> = setmetatable({}, { __close = function()
    seen_by_linear = nil
    if was_training then self:train() end
  end })
  self:eval()
  for first = 1, math.max(n, 1), 1000 do
    local rows = n <= 1000 and x or raw.narrow(x, 1, first, math.min(1000, n - first + 1))
    local part
    if self.forward_features then
      part = self:forward_features(rows)
    else
      seen_by_linear = {}
      self:forward(rows)
      part = seen_by_linear.input or raise("features", "this model has no linear layer whose input could be its features: give its class forward_features(self, x)")
    end
    parts[#parts + 1] = part
  end
  local features = #parts == 1 and parts[1] or raw.cat(parts, 1)
  provenance.tag_features(features, self, x)
  return features
end)

-- Told by every linear layer that runs.
function module.linear_saw(x) if seen_by_linear then seen_by_linear.input = x end end

module.ran = ran
module.is_module, module.new_class, module.initialise, module.Module = is_module, new_class, initialise, Module
return module
