-- What plots of several curves share: reading what users give, keys, means with intervals. SPDX-License-Identifier: MIT
local c       = require "lsengine.c.eval"
local clabels = require "lsengine.c.labels"
local raw     = require "lsengine.c.tensor"
local system  = require "lsengine.c.system"
local figure  = require "lsengine.figure"
local gnuplot = require "lsengine.gnuplot"
local palette = require "lsengine.palette"
local public  = require "lsengine.public"
local raise   = public.raise

local series = { MOST = 24 }

-- A field of a user's table: metamethods of theirs are not run.
local function field(t, key) return type(t) == "table" and rawget(t, key) or nil end
series.field = field

-- A list of numbers (table or vector) as a table; NaN and infinities stay, and are not drawn.
function series.numbers(who, name, given, most)
  if raw.is_tensor(given) and raw.rank(given) == 1 then given = raw.totable(raw.detach(given)) end
  if clabels.is_labels(given) then given = clabels.totable(given) end
  if type(given) ~= "table" then raise(who, ("%s is %s, a list of numbers is required"):format(name, system.describe(given))) end
  local n, out = rawlen(given), {}
  if n > (most or 1000000) then raise(who, ("%s has %d numbers, at most %d can be drawn"):format(name, n, most or 1000000)) end
  for i = 1, n do
    local x = rawget(given, i)
    if type(x) ~= "number" then raise(who, ("%s[%d] is %s, a number is required"):format(name, i, system.describe(x))) end
    out[i] = x
  end
  return out
end

-- One object, or a list of { "name", object }: a list of { name =, value = }. `fits(object)` tells one.
function series.several(who, name, given, fits, wanted)
  if fits(given) then return { { value = given } } end
  local n = type(given) == "table" and rawlen(given) or 0
  if n == 0 then raise(who, ("%s is %s, %s is required, or a list of { \"name\", … }"):format(name, type(given) == "table" and "a table without it" or system.describe(given), wanted)) end
  if n > series.MOST then raise(who, ("%s has %d curves, at most %d can be told apart"):format(name, n, series.MOST)) end
  local list = {}
  for i = 1, n do
    local item = rawget(given, i)
    local label, value = field(item, 1), field(item, 2)
    if type(label) ~= "string" then raise(who, ("%s[%d] is %s, { \"name\", %s } is required"):format(name, i, system.describe(item), wanted)) end
    if not fits(value) then raise(who, ("%s[%d] (%s) is %s, %s is required"):format(name, i, gnuplot.text(label, 40), system.describe(value), wanted)) end
    list[i] = { name = label, value = value }
  end
  return list
end

-- Mean of the finite ones among numbers, and the half width of their 95 % t interval (nil of fewer than two).
function series.mean(values)
  local kept = {}
  for _, x in ipairs(values) do if figure.finite(x) then kept[#kept + 1] = x end end
  if #kept == 0 then return nil end
  local mean, _, half = c.describe(kept)
  return mean, half, kept
end

-- "title 'name' noenhanced" for the key, or notitle.
function series.key(name) return name and name ~= "" and "title " .. gnuplot.quote(name, 32) .. " noenhanced" or "notitle" end

-- How the i-th curve is drawn: `with lines …`, `with linespoints …`.
function series.line(i, width)
  local colour, dash = palette.style(i)
  return ("with lines lw %g dt %s lc rgb '%s'"):format(width or 2, dash, colour)
end

function series.points_line(i, width)
  local colour, dash, marker = palette.style(i)
  return ("with linespoints lw %g dt %s pt %d ps 0.7 lc rgb '%s'"):format(width or 2, dash, marker, colour)
end

-- Least and largest of the finite ones in lists of numbers, with a margin; nil where there is none.
function series.range(lists, margin, low, high)
  for _, list in ipairs(lists) do
    for _, x in ipairs(list) do
      if figure.finite(x) then low, high = math.min(low or x, x), math.max(high or x, x) end
    end
  end
  if not low then return nil end
  local room = (high - low) * (margin or 0.05)
  if not (room > 0) then room = low == 0 and 0.5 or math.abs(low) * 0.1 end
  room = math.max(room, 1e-6 * math.max(math.abs(low), math.abs(high)), 1e-280)
  return low - room, high + room
end

return series
