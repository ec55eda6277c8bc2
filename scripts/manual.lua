-- Pages of the manual, made from the functions' own specifications. SPDX-License-Identifier: MIT
local options = require "lsengine.options"
local public  = require "lsengine.public"

local manual = {}

-- Modules whose loading registers all public functions.
local modules = { "tensor", "labels", "random", "autograd", "target", "loss", "nn", "optim", "data", "train", "evaluate", "script_options",
  "claims", "experiment" }

local function load_all()
  for _, name in ipairs(modules) do require("lsengine." .. name) end
end

function manual.names()
  load_all()
  local names = {}
  for name in pairs(public.registry) do names[#names + 1] = name end
  table.sort(names)
  return names
end

local function signature(name, spec)
  if spec.signature then return name .. spec.signature end
  local parts = {}
  for i, argument in ipairs(spec) do
    parts[i] = (argument.optional or argument.default ~= nil) and "[" .. argument[1] .. "]" or argument[1]
  end
  if spec.options then
    local required = false
    for _, o in pairs(spec.options) do required = required or o.required end
    parts[#parts + 1] = required and "options" or "[options]"
  end
  if (spec.variadic or spec.checks_itself) and #parts == 0 then parts[1] = "…" end
  return ("%s(%s)"):format(name, table.concat(parts, ", "))
end

local function value_text(v) return type(v) == "string" and '"' .. v .. '"' or tostring(v) end

local function entry(name, spec)
  local about = { (spec.type or "any"):gsub("|", " or ") }
  local range = options.range_text(spec)
  if range then about[#about + 1] = range end
  if spec.required then about[#about + 1] = "required" end
  if spec.default ~= nil then about[#about + 1] = "default " .. value_text(spec.default) end
  return ("- `%s` (%s): %s"):format(name, table.concat(about, "; "), spec.doc or "")
end

-- The page of one function, Markdown; nil for an unknown name.
function manual.page(name)
  load_all()
  local spec = public.registry[name]
  if not spec then return nil end
  local out = { "# " .. name, "", "`" .. signature(name, spec) .. "`", "", spec.doc or "", "" }
  for _, argument in ipairs(spec) do out[#out + 1] = entry(argument[1], argument) end
  if spec.options then
    local names = {}
    for k in pairs(spec.options) do names[#names + 1] = k end
    table.sort(names)
    out[#out + 1] = #spec > 0 and "\nOptions:" or "Options:"
    for _, k in ipairs(names) do out[#out + 1] = entry(k, spec.options[k]) end
  end
  if spec.returns then
    if out[#out] ~= "" then out[#out + 1] = "" end
    out[#out + 1] = "Returns " .. spec.returns .. "."
  end
  if spec.example then
    out[#out + 1] = "\n```lua\n" .. spec.example .. "\n```"
  end
  return (table.concat(out, "\n"))
end

return manual
