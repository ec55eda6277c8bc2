-- One reader for every argument and option of the library. SPDX-License-Identifier: MIT
--
-- A specification is { type =, default =, required =, min =, max =, above =, below =, choices =, options =, doc = }. `type` is the
-- name of one of the types below, or several joined by "|"; `options` are the specifications of a table's own fields, which
-- messages call "early_stopping.patience". Errors name the function, the option, what was given and what is allowed, at the
-- user's line.
local system = require "lsengine.c.system"
local raise, describe = system.raise, system.describe

local options = {}

-- name → { test, what it is called in messages, a value of another type (for the tests that try every option) }
local types = {
  any      = { function() return true end, "any value" },
  number   = { function(v) return type(v) == "number" and v == v end, "a number" },
  integer  = { function(v) return math.type(v) == "integer" or (type(v) == "number" and math.tointeger(v) ~= nil) end, "an integer" },
  string   = { function(v) return type(v) == "string" end, "a string" },
  boolean  = { function(v) return type(v) == "boolean" end, "true or false" },
  table    = { function(v) return type(v) == "table" end, "a table" },
  callable = { function(v)
    local meta = getmetatable(v)
    if type(v) == "function" or meta == nil then return type(v) == "function" end
    if type(meta) == "table" then return meta.__call ~= nil end
    return type(v) == "table" -- a locked metatable cannot be looked into; the engine's own locked types are userdata
  end, "a function" },
}

-- Adds a type: test(value) → boolean; `called` with its article ("a tensor").
function options.type(name, test, called)
  types[name] = { test, called }
end

-- True where a value is of that type.
function options.is(name, value) return types[name][1](value) end

function options.knows_type(name) return types[name] ~= nil end

local function split(type_names)
  local list = {}
  for name in type_names:gmatch "[^|]+" do list[#list + 1] = name end
  return list
end

-- A specification is prepared once: its types looked up when first used.
local prepared = setmetatable({}, { __mode = "k" })

local function prepare(spec)
  local tests, called = {}, {}
  for _, name in ipairs(split(spec.type or "any")) do
    local entry = types[name] or error("no type " .. name)
    tests[#tests + 1], called[#called + 1] = entry[1], entry[2]
  end
  local p = { tests = tests, called = table.concat(called, " or ") }
  prepared[spec] = p
  return p
end

local function number_text(x)
  if math.tointeger(x) and math.abs(x) < 1e15 then x = math.tointeger(x) end
  return math.type(x) == "integer" and ("%d"):format(x) or ("%.6g"):format(x)
end

-- "0 to 1", "above 0", "at least 1": what a specification allows.
function options.range_text(spec)
  if spec.choices then return table.concat(spec.choices, ", ") end
  if spec.above == -math.huge and spec.below == math.huge then return "any finite number" end
  local low = spec.min and "at least " .. number_text(spec.min) or spec.above and "above " .. number_text(spec.above)
  local high = spec.max and "at most " .. number_text(spec.max) or spec.below and spec.below < math.huge and "below " .. number_text(spec.below)
  if spec.below == math.huge then return "any finite number" .. (spec.min and " from " .. number_text(spec.min) or " " .. low) end
  if spec.min and spec.max then return number_text(spec.min) .. " to " .. number_text(spec.max) end
  return low and high and low .. " and " .. high or low or high
end

local function in_range(spec, v)
  return not (spec.min and v < spec.min or spec.max and v > spec.max
    or spec.above and v <= spec.above or spec.below and v >= spec.below)
end

-- Checks one value; returns it (integers given as floats made integers).
function options.check(who, name, spec, value)
  local p = prepared[spec] or prepare(spec)
  local fits = false
  for i = 1, #p.tests do if p.tests[i](value) then fits = true break end end
  if not fits then raise(who, ("%s is %s, %s is required"):format(name, describe(value), p.called)) end
  if spec.choices and type(value) == "string" then
    local found = false
    for _, choice in ipairs(spec.choices) do found = found or choice == value end
    if not found then raise(who, ("%s is %s, allowed are %s"):format(name, describe(value), table.concat(spec.choices, ", "))) end
  end
  if type(value) == "number" then
    if not in_range(spec, value) then
      raise(who, ("%s is %s, allowed is %s"):format(name, describe(value), options.range_text(spec)))
    end
    if spec.type == "integer" then value = math.tointeger(value) end
  end
  if spec.options and type(value) == "table" then value = options.read(who, spec.options, value, name .. ".") end
  return value
end

-- How many single-letter changes part two names (Levenshtein), for "did you mean".
local function distance(a, b)
  local row = {}
  for j = 0, #b do row[j] = j end
  for i = 1, #a do
    local diagonal = row[0]
    row[0] = i
    for j = 1, #b do
      local cost = a:byte(i) == b:byte(j) and 0 or 1
      diagonal, row[j] = row[j], math.min(row[j] + 1, row[j - 1] + 1, diagonal + cost)
    end
  end
  return row[#b]
end

-- "known are a, b, c (did you mean b?)"
function options.known_text(name, known)
  table.sort(known)
  local best, least
  for _, candidate in ipairs(known) do
    local d = distance(tostring(name), candidate)
    if not least or d < least then best, least = candidate, d end
  end
  local hint = best and least <= math.max(#best > 2 and 2 or 1, #best // 3) and ("; did you mean %s?"):format(best) or ""
  return #known == 0 and "there are none" or "known are " .. table.concat(known, ", ") .. hint
end

-- Reads a table of named options: returns a new table with checked values and defaults. `given` may be nil. `prefix`: of the
-- names in messages, for a table within the table.
function options.read(who, specs, given, prefix)
  local result = {}
  prefix = prefix or ""
  if given ~= nil and type(given) ~= "table" then
    raise(who, ("the options are %s, a table is required"):format(describe(given)))
  end
  for name, value in pairs(given or {}) do
    local spec = specs[name]
    if not spec then
      local known = {}
      for k in pairs(specs) do known[#known + 1] = k end
      raise(who, ("unknown option %s%s, %s"):format(prefix, describe(name):gsub('^"(.*)"$', "%1"), options.known_text(name, known)))
    end
    result[name] = options.check(who, prefix .. name, spec, value)
  end
  local missing
  for name, spec in pairs(specs) do
    if result[name] == nil then
      if spec.required and (not missing or name < missing) then missing = name end
      result[name] = spec.default
    end
  end
  if missing then raise(who, ("option %s%s is missing"):format(prefix, missing)) end
  return result
end

return options
