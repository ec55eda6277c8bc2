-- Losses of one's own with parameters: everything that the built-in ones are. SPDX-License-Identifier: MIT
local c        = require "lsengine.c.loss"
local grad     = require "lsengine.c.autograd"
local raw      = require "lsengine.c.tensor"
local system   = require "lsengine.c.system"
local declared = require "lsengine.declared"
local losses   = require "lsengine.loss"
local objects  = require "lsengine.loss_object"
local options  = require "lsengine.options"
local penalties = require "lsengine.penalties"
local public   = require "lsengine.public"
local target   = require "lsengine.target"
local raise    = public.raise

local promises = {
  one_label = "softened and mixed targets are refused",
  inputs = "it asks for the batch that the logits are of (context.inputs)",
}

local functions = {}
local Own = objects.kind({}, functions)
function Own:__tostring() return objects.text(self.kind, self.parameters) end

local function as_self(self)
  return setmetatable({}, { __index = self.parameters, __newindex = function(_, name)
    raise(self.kind, ("self.%s cannot be set: a loss keeps nothing from batch to batch"):format(tostring(name)))
  end })
end

-- Rows to one number by the reduction; W_i as in the cross-entropy.
local function reduce(rows, weights, kept, reduction)
  local weighted = rows * weights
  if reduction == "none" then return weighted end
  local sum, by = weighted:sum(), reduction == "mean" and raw.item(raw.sum(weights)) or reduction == "rows" and kept or 1
  return by > 0 and sum * (1 / by) or sum * 0
end

function functions.value(self, logits, given, o)
  local who, def = self.kind, self.def
  local t = target.from(who, given)
  if def.properties.one_label and target.is_soft(t) then raise(who, ("the target is %s, one label for each row is required"):format(target.text(t))) end
  if def.properties.inputs and not o.inputs then raise(who, "the inputs are missing: loss(logits, target, { inputs = x }); ls.train gives them") end
  local classes = raw.size(logits, 2)
  local made = target.resolved(t, classes, { ignore = o.ignore_index, logits = logits })
  local weights, kept = c.row_weights(made, classes, o.weight, o.ignore_index)
  local value = def.loss(as_self(self), logits, t, { classes = classes, inputs = def.properties.inputs and o.inputs or nil, ignore_index = o.ignore_index })
  local n = raw.size(logits, 1)
  if not raw.is_tensor(value) or raw.rank(value) ~= 1 or raw.count(value) ~= n then
    raise(who, ("loss gave %s, a tensor with one number for each of %d rows is required"):format(raw.is_tensor(value) and "a tensor of shape " .. raw.shape_text(value) or system.describe(value), n))
  end
  target.inspect(t, classes, o.ignore_index)
  if losses.wants(logits) then target.observe(t, classes, logits, o.ignore_index) end
  local result = reduce(value, weights, kept, o.reduction)
  grad.set_tag(result, { target = t, classes = classes, weighting = "lsengine", weighted = o.weight ~= nil, kept = kept, ignored = n - kept, scheme = self,
    weight_sum = o.reduction == "mean" and raw.item(raw.sum(weights)) or nil })
  return result
end

local taken = {}
for _, entry in ipairs(penalties.entries) do taken[entry.name] = true end

losses.define = public("ls.loss.define", {
  doc = [[A loss of one's own that is a loss object like ls.loss.focal{…}: with checked parameters, printed, with class weights, ignored rows and reductions, told apart by checkpoints. (For a
loss without these a plain function is enough: loss = function(logits, target) … end.)

loss(self, logits, target, context) gets its parameters in self (to read), the logits N×K, the target as it was given, and context: classes, ignore_index, with the property inputs the batch.
It gives a tensor of N numbers, each row's loss, made by operations on tensors: its gradient comes by itself. target:rows(context.classes) are the target's rows. What it gives for
ignored rows counts for nothing, but must be finite.]],
  returns = "a maker: maker{ parameters } → a loss object", errors = "a name that a built-in loss has, or a parameter that is declared wrongly; when it is used, anything but N numbers",
  example = [[local brier = ls.loss.define{
  name = "brier", parameters = { scale = { default = 1, above = 0 } },
  loss = function(self, logits, target, context)
    return (logits:softmax() - target:rows(context.classes)):square():sum(2) * self.scale
  end,
}
print(brier{ scale = 0.5 }(logits, labels))]],
  options = {
    name       = { type = "string", required = true, doc = "what it is called in messages, histories and checkpoints" },
    parameters = { type = "table", default = {}, doc = "by name: { default =, type =, min =, max =, above =, below =, choices =, required =, doc = }" },
    properties = { type = "table", default = {}, doc = "one_label: softened targets are refused; inputs: it asks for the batch" },
    loss       = { type = "callable", required = true, doc = "function(self, logits, target, context) → a tensor of N numbers" },
  },
}, function(o)
  local who = "define"
  declared.name(who, o.name)
  if taken[o.name] then raise(who, ("name is %q, which is a built-in loss"):format(o.name)) end
  local specs, properties = declared.parameters(who, o.parameters, { kind = true }, "loss"), declared.properties(who, o.properties, promises)
  local def = { loss = o.loss, properties = properties }
  return system.public(function(given, ...)
    if select("#", ...) > 0 then raise(o.name, "one table of parameters is taken, more was given") end
    return setmetatable({ kind = o.name, def = def, parameters = options.read(o.name, specs, given), needs_inputs = properties.inputs }, Own)
  end)
end)

return { promises = promises }
