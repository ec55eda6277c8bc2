-- What users declare of schemes, mixes and losses of their own: names, parameters, properties. SPDX-License-Identifier: MIT
local system  = require "lsengine.c.system"
local options = require "lsengine.options"
local raise   = system.raise

local declared = {}

local kinds_known = { number = true, integer = true, string = true, boolean = true, table = true, tensor = true, labels = true, callable = true, any = true }
local fields = {
  type = { type = "string" }, default = { type = "any" }, min = { type = "number" }, max = { type = "number" }, above = { type = "number" }, below = { type = "number" },
  required = { type = "boolean" }, choices = { type = "table" }, doc = { type = "string" },
}

function declared.name(who, name)
  if not name:find "^%a[%w_%- ]*$" or #name > 60 then raise(who, ("name is %s, letters, digits, spaces, _ and - are allowed"):format(system.describe(name))) end
end

local function parameter(who, name, given, reserved, what)
  if type(name) ~= "string" or not name:find "^%a[%w_]*$" then raise(who, ("the parameter %s must be named by letters, digits and _"):format(system.describe(name))) end
  if reserved[name] then raise(who, ("the parameter %s has a name that every %s uses itself"):format(name, what)) end
  local label = "parameters." .. name
  options.check(who, label, { type = "table" }, given)
  local spec = options.read(who, fields, given, label .. ".")
  if spec.type == nil then spec.type = spec.choices and "string" or type(spec.default) == "number" and "number" or type(spec.default) == "boolean" and "boolean"
    or (spec.min or spec.max or spec.above or spec.below) and "number" or "any" end
  for kind in spec.type:gmatch "[^|]+" do
    if not kinds_known[kind] then
      local known = {}
      for k in pairs(kinds_known) do known[#known + 1] = k end
      raise(who, ("%s.type is %q, %s"):format(label, kind, options.known_text(kind, known)))
    end
  end
  if spec.default ~= nil then spec.default = options.check(who, label .. ".default", spec, spec.default) end
  return spec
end

-- Specifications for options.read from { name = { default =, type =, min =, … } }. `reserved`: names that are taken; `what` a "mix", "scheme", "loss" is.
function declared.parameters(who, given, reserved, what)
  local specs = {}
  for name, spec in next, given do specs[name] = parameter(who, name, spec, reserved, what) end
  return specs
end

-- Booleans by the names of `promises`.
function declared.properties(who, given, promises)
  local known = {}
  for name, value in next, given do
    if promises[name] == nil then
      local list = {}
      for k in pairs(promises) do list[#list + 1] = k end
      raise(who, ("properties has %s, %s"):format(system.describe(name), options.known_text(name, list)))
    end
    options.check(who, "properties." .. name, { type = "boolean" }, value)
    known[name] = value
  end
  return known
end

return declared
