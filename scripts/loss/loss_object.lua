-- Loss objects: losses with parameters, called as loss(logits, target, { weight =, ignore_index =, reduction =, inputs = }). SPDX-License-Identifier: MIT
--
-- A kind of loss is a metatable, with its functions aside, where scripts do not reach:
--   value(self, logits, target, options) → tensor
--   begin(self, model, weights)    a training begins: what was seen in another one is forgotten. Those that live with a training may have
--   prepare(self, x)               before the model's forward pass of a batch
--   after_step(self)               after each step of the optimizer
--   state(self), set_state(self, state)   for checkpoints
-- An object's needs_inputs: it is given the batch that the logits are of (option inputs).
local raw     = require "lsengine.c.tensor"
local system  = require "lsengine.c.system"
local options = require "lsengine.options"
local public  = require "lsengine.public"
local losses  = require "lsengine.loss"
local raise   = public.raise

local objects, kinds = {}, {}

options.type("loss object", function(v) return kinds[getmetatable(v)] ~= nil end, "a loss (ls.loss.focal{…})")

local specs = {
  weight = losses.specs.weight, ignore_index = losses.specs.ignore_index, reduction = losses.specs.reduction,
  inputs = { type = "tensor", doc = "the batch that the logits are of, for losses that ask for it; ls.train gives it" },
}
local logits_spec, target_spec = { type = "tensor" }, { type = "target" }

local call = system.public(function(self, logits, given, o, ...)
  local who = self.kind
  if select("#", ...) > 0 then raise(who, ("%d arguments were given, at most 3 are taken"):format(3 + select("#", ...))) end
  if logits == nil then raise(who, "the logits are missing: loss(logits, target)") end
  if given == nil then raise(who, "the target is missing: loss(logits, target)") end
  options.check(who, "logits", logits_spec, logits)
  options.check(who, "target", target_spec, given)
  if raw.rank(logits) ~= 2 then raise(who, ("logits have shape %s, a matrix (rows × classes) is required"):format(raw.shape_text(logits))) end
  o = options.read(who, specs, o)
  if o.weight and not raw.is_tensor(o.weight) then o.weight = raw.from(o.weight) end
  if o.inputs and (raw.rank(o.inputs) < 1 or raw.size(o.inputs, 1) ~= raw.size(logits, 1)) then
    raise(who, ("inputs have shape %s, the logits %d rows"):format(raw.shape_text(o.inputs), raw.size(logits, 1)))
  end
  return kinds[getmetatable(self)].value(self, logits, given, o)
end)

-- Makes `methods` a kind of loss objects with these functions.
function objects.kind(methods, functions)
  methods.__index, methods.__name, methods.__call = methods, "loss", call
  kinds[methods] = functions
  return methods
end

-- The functions of a loss object's kind; nil for other values.
function objects.functions(loss) return kinds[getmetatable(loss)] end

-- focal{ gamma = 2, soft = true }: of numbers, booleans, strings; other values by their kind.
function objects.text(kind, parameters)
  local parts = {}
  for name, value in pairs(parameters) do
    local text = type(value) == "number" and ("%.6g"):format(value) or raw.is_tensor(value) and raw.shape_text(value) or type(value) == "table" and "{ … }" or tostring(value)
    parts[#parts + 1] = ("%s = %s"):format(name, text)
  end
  table.sort(parts)
  return #parts == 0 and kind .. "{}" or ("%s{ %s }"):format(kind, table.concat(parts, ", "))
end

return objects
