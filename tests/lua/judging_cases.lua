-- What other packages make of the sets of tests/golden/judging.npz, beside what ls.eval makes of them. SPDX-License-Identifier: MIT
--
-- A list of { set =, call =, options = (as text), field =, peer =, want =, got = }.
local ls = require "lsengine"

local golden = dofile "tests/golden/judging.lua"
local arrays = ls.tensor.load "tests/golden/judging.npz"

local function text(o)
  local keys, parts = {}, {}
  for key in pairs(o) do keys[#keys + 1] = key end
  table.sort(keys)
  for _, key in ipairs(keys) do
    local value = o[key]
    parts[#parts + 1] = ("%s = %s"):format(key, type(value) == "table" and ("{ %s }"):format(table.concat(value, ", ")) or type(value) == "string" and ("%q"):format(value) or tostring(value))
  end
  return table.concat(parts, ", ")
end

-- "classes:0:recall": the value there. "call:5:1": of the calibrated probabilities; "confidences:5": of the calibrated confidences.
local function field(result, path, numbers, probabilities)
  local at, keys = result, {}
  for key in path:gmatch "[^:]+" do keys[#keys + 1] = math.tointeger(tonumber(key)) or tonumber(key) or key end
  if keys[1] == "call" then
    at, keys = result(numbers, { probabilities = probabilities }), { keys[2], keys[3] }
  elseif keys[1] == "confidences" then
    -- probabilities as logits: calibrators of probabilities take the softmax of their logarithms, which are they
    at, keys = result:confidences(probabilities and numbers:log() or numbers), { keys[2] }
  end
  for _, key in ipairs(keys) do at = at[key] end
  return at
end

local list, made = {}, {}
for _, case in ipairs(golden.cases) do
  local set, call, o = table.unpack(case, 1, 3)
  local about = golden.sets[set]
  local numbers, labels = arrays["numbers" .. set], arrays["labels" .. set]
  local key = ("%d %s %s"):format(set, call, text(o))
  if not made[key] then
    local full = { probabilities = about.probabilities }
    for name, value in pairs(o) do full[name] = value end
    made[key] = ls.eval[call](numbers, labels, full)
  end
  for i = 4, #case do
    local path, peer, want = table.unpack(case[i])
    list[#list + 1] = { set = about[1], call = call, options = text(o), field = path, peer = peer, want = want, got = field(made[key], path, numbers, about.probabilities) }
  end
end
return list
