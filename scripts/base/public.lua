-- The public functions: checked arguments, documentation, one registry. SPDX-License-Identifier: MIT
--
--   local mlp = public("ls.nn.mlp", {
--     doc = "…", returns = "…",
--     { "sizes", type = "table", doc = "…" },                  -- positional arguments in order
--     options = { rng = { type = "rng", required = true, doc = "…" } },   -- a table of named options, the last argument
--   }, function(sizes, o) … end)
--
-- A method is public("model:save", { { "file", type = "string" } }, function(self, file) … end): self must be of the type that
-- `self` names in the specification, or the word before the colon.
-- The result is a C function, so that errors blame the user's line, tail calls included. The registry feeds `lsengine help`,
-- the manual, and the test that tries every option with wrong values.
local system  = require "lsengine.c.system"
local options = require "lsengine.options"
local raise, check, read = system.raise, options.check, options.read

local registry = {}

local function short(name) return name:match "[%w_]+$" or name end

-- What self of a method must be; nil for a function.
local function self_spec(name, spec)
  local kind = name:match "^([%w_]+):"
  return kind and { type = spec.self or kind }
end

local function checked(name, spec, f)
  local who, method = spec.called or short(name), name:find(":", 1, true) ~= nil
  local arguments, option_specs = #spec, spec.options
  local first, self = method and 1 or 0, self_spec(name, spec)
  for i = 1, arguments do assert(type(spec[i][1]) == "string", name) end
  local total = first + arguments + (option_specs and 1 or 0)
  return function(...)
    local n = select("#", ...)
    local given = { ... }
    if n > total then
      raise(who, ("%d arguments were given, at most %d are taken"):format(n - first, total - first))
    end
    for i = 1, arguments do
      local s, at = spec[i], first + i
      local value = given[at]
      if value == nil then
        if s.default == nil and not s.optional then raise(who, ("argument %s is missing"):format(s[1])) end
        given[at] = s.default
      else
        given[at] = check(who, s[1], s, value)
      end
    end
    if option_specs then given[total] = read(who, option_specs, given[total]) end
    if self then check(who, "self", self, given[1]) end
    return f(table.unpack(given, 1, total))
  end
end

local function public(name, spec, f)
  assert(not registry[name], name)
  registry[name] = spec
  spec.name = name
  local entry = f
  if not spec.variadic and (#spec > 0 or spec.options) then
    entry = checked(name, spec, f)
  elseif not spec.variadic and not spec.operator then
    local who, first, self = spec.called or short(name), name:find(":", 1, true) and 1 or 0, self_spec(name, spec)
    entry = function(...)
      local n = select("#", ...)
      if n > first then raise(who, ("%d arguments were given, none is taken"):format(n - first)) end
      if self then check(who, "self", self, (...)) end
      return f(...)
    end
  end
  entry = system.public(entry)
  spec.entry = entry
  return entry
end

-- Registers a function that is a C function already and checks its arguments itself (operations on tensors).
local function declare(name, spec, f)
  assert(not registry[name], name)
  registry[name] = spec
  spec.name, spec.entry, spec.checks_itself = name, f, true
  return f
end

return setmetatable({ registry = registry, raise = raise, declare = declare, anonymous = system.public }, { __call = function(_, ...) return public(...) end })
