-- Tensors as text. SPDX-License-Identifier: MIT
local tensor = require "lsengine.c.tensor"

local EDGE, LIMIT = 3, 1000 -- elements shown at each end of an axis of a tensor of more than LIMIT elements

-- Positions of an axis that are shown.
local function shown(n, whole)
  local list = {}
  for i = 1, whole and n or math.min(n, EDGE) do list[i] = i end
  if not whole then
    for i = math.max(n - EDGE, EDGE) + 1, n do list[#list + 1] = i end
  end
  return list
end

local function collect(t, whole, values)
  if tensor.rank(t) == 0 then values[1] = tensor.item(t) return end
  for _, i in ipairs(shown(tensor.size(t, 1), whole)) do
    local x = t[i]
    if type(x) == "number" then values[#values + 1] = x else collect(x, whole, values) end
  end
end

-- A format that shows all values alike: integers without a point, else four decimals, or exponents where sizes differ much.
local function number_format(values)
  local integers, largest, smallest = true, 0, math.huge
  for _, x in ipairs(values) do
    if x == x and x ~= math.huge and x ~= -math.huge then
      integers = integers and x == math.floor(x)
      local a = math.abs(x)
      largest = math.max(largest, a)
      if a > 0 then smallest = math.min(smallest, a) end
    end
  end
  if integers and largest < 1e7 then return "%.0f" end
  if largest >= 1e5 or largest < 1e-3 and largest > 0 or smallest < math.huge and largest / smallest > 1e7 then return "%.4e" end
  return "%.4f"
end

-- NaN has no sign worth showing.
local function text_of(fmt, x) return x ~= x and "nan" or fmt:format(x) end

local function rows(t, fmt, width, whole, indent, out)
  local n = tensor.size(t, 1)
  local vector = tensor.rank(t) == 1
  out[#out + 1] = "{"
  local before = 0
  for _, i in ipairs(shown(n, whole)) do
    if i ~= before + 1 then out[#out + 1] = vector and ", …" or ",\n" .. indent .. " …" end
    before = i
    out[#out + 1] = i == 1 and "" or vector and ", " or ",\n" .. indent .. " "
    if vector then
      out[#out + 1] = ("%" .. width .. "s"):format(text_of(fmt, t[i]))
    else
      rows(t[i], fmt, width, whole, indent .. " ", out)
    end
  end
  out[#out + 1] = "}"
end

return function(t)
  local values, width = {}, 0
  local whole = tensor.count(t) <= LIMIT
  for _, size in ipairs(tensor.shape(t)) do whole = whole and size <= LIMIT end -- 2147483647×0 has no elements, but rows
  local plain = tensor.detach(t)
  if tensor.count(t) > 0 then collect(plain, whole, values) end
  local fmt = number_format(values)
  for _, x in ipairs(values) do width = math.max(width, #text_of(fmt, x)) end
  local tag = require "lsengine.c.autograd".tag(t)
  local note = ""
  if tag and tag.target then
    note = (" from the target %s"):format(require "lsengine.target".text(tag.target))
    if tag.weighted then note = note .. (", class weights as in %s"):format(tag.weighting == "pytorch" and "PyTorch" or "lsengine") end
    if tag.ignored and tag.ignored > 0 then note = note .. (", %d of %d rows ignored"):format(tag.ignored, tag.kept + tag.ignored) end
  end
  if tensor.rank(t) == 0 then return ("tensor(%s)%s"):format(text_of("%.6g", values[1]), note) end
  -- an axis of no elements may have any number of rows
  if tensor.count(t) == 0 then return ("tensor({}, %s)%s"):format((tensor.shape_text(t):gsub("x", "×")), note) end
  local out = {}
  rows(plain, fmt, width, whole, "       ", out)
  return ("tensor(%s, %s)"):format(table.concat(out), (tensor.shape_text(t):gsub("x", "×")))
end
