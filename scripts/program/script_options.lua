-- Options that a script declares: local o = ls.options{ hidden = 128 }, changed by --set hidden=256. SPDX-License-Identifier: MIT
local program = require "lsengine.c.program"
local options = require "lsengine.options"
local public  = require "lsengine.public"

local declared, read = {}, {}

local function convert(name, default, text)
  local kind = math.type(default) or type(default)
  if kind == "string" then return text end
  if kind == "boolean" then
    if text == "true" or text == "false" then return text == "true" end
  else
    local n = tonumber(text)
    if n and kind == "float" then return n + 0.0 end
    if n and math.tointeger(n) then return math.tointeger(n) end
  end
  local wanted = { boolean = "true or false", float = "a number", integer = "an integer" }
  public.raise("options", ("--set %s is \"%s\", %s is required"):format(name, text, wanted[kind]))
end

local script_options = public("ls.options", {
  doc = [[Declares a script's options with their defaults (numbers, strings, booleans) and returns their values, changed by --set NAME=VALUE on the
command line. An undeclared name there is an error.]],
  returns = "table of values", example = 'local o = ls.options{ hidden = 128, data = "satellite" }', called = "options",
  { "defaults", type = "table", doc = "name = default" },
}, function(defaults)
  local values, set = {}, program.settings.set or {}
  for name, default in pairs(defaults) do
    if type(name) ~= "string" or not name:match "^[%a_][%w_]*$" then public.raise("options", ("%s is no name of an option"):format(tostring(name))) end
    if type(default) ~= "number" and type(default) ~= "string" and type(default) ~= "boolean" then
      public.raise("options", ("the default of %s is a %s, a number, string or boolean is required"):format(name, type(default)))
    end
    declared[name] = true
    values[name] = default
    if set[name] ~= nil then
      values[name] = convert(name, default, set[name])
      read[name] = true
    end
  end
  local unknown, known = {}, {}
  for name in pairs(set) do if not declared[name] then unknown[#unknown + 1] = name end end
  for name in pairs(declared) do known[#known + 1] = name end
  table.sort(unknown)
  if unknown[1] then public.raise("options", ("--set %s: not an option of this script, %s"):format(unknown[1], options.known_text(unknown[1], known))) end
  return values
end)

return { declare = script_options, unread = function()
  local list = {}
  for name in pairs(program.settings.set or {}) do if not read[name] then list[#list + 1] = name end end
  table.sort(list)
  return list[1]
end }
