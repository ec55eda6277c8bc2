-- A model's tensors, parameters and buffers alike, and its random streams. SPDX-License-Identifier: MIT
local raw      = require "lsengine.c.tensor"
local c        = require "lsengine.c.autograd"
local random   = require "lsengine.c.random"
local autograd = require "lsengine.autograd"
local nn       = require "lsengine.nn"

local weights = {}

local function walk(module, visit, prefix, seen)
  if seen[module] then return end
  seen[module] = true
  visit(module)
  for _, key in ipairs(rawget(module, "_order") or {}) do
    local value, name = rawget(module, key), type(key) == "number" and ("%d"):format(key - 1) or key
    if nn.is_module(value) then
      walk(value, visit, prefix .. name .. ".", seen)
    elseif raw.is_tensor(value) then
      visit(module, prefix .. name, value)
    end
  end
end

-- All tensors in order: { name =, tensor =, learned = whether it gathers gradients (a parameter, not a buffer) }.
function weights.of(model)
  local list, taken = {}, {}
  walk(model, function(_, name, tensor)
    if not name or taken[name] then return end -- a field that was set twice is listed twice
    taken[name] = true
    list[#list + 1] = { name = name, tensor = tensor, learned = c.is_leaf(tensor) }
  end, "", {})
  return list
end

-- The random streams that layers hold, each once, in the order of layers and of the fields' names.
function weights.streams(model)
  local list, taken = {}, {}
  walk(model, function(module, name)
    if name then return end
    local fields = {}
    for key, value in next, module do
      if type(key) == "string" and random.is_rng(value) and not taken[value] then fields[#fields + 1] = key end
    end
    table.sort(fields)
    for _, key in ipairs(fields) do
      local stream = rawget(module, key)
      if not taken[stream] then list[#list + 1], taken[stream] = stream, true end
    end
  end, "", {})
  return list
end

-- Copies of the tensors, in the list's order.
function weights.clone(list)
  local _ <close> = autograd.pause()
  local copies = {}
  for i, w in ipairs(list) do copies[i] = raw.clone(w.tensor) end
  return copies
end

-- The tensors get the values of others of their shapes.
function weights.put(list, values)
  local _ <close> = autograd.pause()
  for i, w in ipairs(list) do raw.copy_(w.tensor, values[i]) end
end

return weights
