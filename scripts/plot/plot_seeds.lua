-- Plots of paired seeds, of factors that act together, and of targets. SPDX-License-Identifier: MIT
local figure  = require "lsengine.figure"
local gnuplot = require "lsengine.gnuplot"
local labels  = require "lsengine.c.labels"
local options = require "lsengine.options"
local palette = require "lsengine.palette"
local public  = require "lsengine.public"
local raw     = require "lsengine.c.tensor"
local series  = require "lsengine.series"
local system  = require "lsengine.c.system"
require "lsengine.target"
local field, raise = series.field, public.raise

local function are_numbers(v) return type(v) == "table" and type(rawget(v, 1)) == "number" or raw.is_tensor(v) end

local differences = public("ls.plot.differences", {
  doc = [[Paired differences, one row for each comparison: every seed's difference as a point, their mean with its 95 % t interval as a bar, a line at 0, and the margin on both sides as a
shaded strip. What a verdict rests on, seed by seed.]],
  returns = "a plot", errors = "no comparison, no finite number", example = 'local p = ls.plot.differences({ { "smoothed 0.1", { 0.011, 0.016, 0.009, 0.02, 0.013, 0.012 } } }, { margin = 0.01, x_label = "difference in ece_debiased" })',
  { "differences", type = "table", doc = 'a list of { "name", numbers, one for each seed }, or numbers alone' },
  options = figure.common{ margin = { type = "number", min = 0, below = 1e300, doc = "of the claim" }, x_label = { type = "string", default = "paired difference", doc = "of the horizontal axis" } },
}, function(given, o)
  local who = "differences"
  local list, all, names, longest = series.several(who, "differences", given, are_numbers, "a list of numbers"), { { 0 } }, {}, 1
  local seeds, means, lone = {}, {}, {}
  for i, s in ipairs(list) do
    local values = series.numbers(who, ("differences[%d]"):format(i), s.value, 10000)
    local mean, half, kept = series.mean(values)
    if not mean then raise(who, ("differences[%d] has no finite number to draw"):format(i)) end
    local y = #list - i + 1
    for k, x in ipairs(kept) do seeds[#seeds + 1] = { x, y + 0.12 + 0.16 * ((k - 1) % 3) / 2 } end
    if half then means[#means + 1] = { mean, y - 0.12, mean - half, mean + half } else lone[#lone + 1] = { mean, y - 0.12 } end
    all[#all + 1] = kept
    all[#all + 1] = { mean - (half or 0), mean + (half or 0) }
    names[i] = ("%s %d"):format(gnuplot.tic(s.name or "", 30), y)
    longest = math.max(longest, utf8.len(gnuplot.text(s.name or "", 30)))
  end
  if o.margin then all[#all + 1] = { -o.margin, o.margin } end
  local f = figure.new(who, { width = o.width or 560, height = o.height or 120 + 44 * #list, title = o.title, description = ("Paired differences of %d comparisons."):format(#list) })
  f:show_title()
  f:labels(o.x_label)
  local low, high = series.range(all, 0.06)
  f:add("set xrange [%s:%s]\nset yrange [0.4:%g]", gnuplot.number(low), gnuplot.number(high), #list + 0.6)
  f:add("set ytics (%s) scale 0\nset lmargin %d\nset border 1", table.concat(names, ", "), longest + 2)
  if o.margin and o.margin > 0 then
    f:add("set object 1 rect from %s, graph 0 to %s, graph 1 fc rgb '%s' fs solid 0.5 noborder behind", gnuplot.number(-o.margin), gnuplot.number(o.margin), palette.grid)
  end
  f:add("set arrow 1 from 0, graph 0 to 0, graph 1 nohead lw 1.25 lc rgb '%s'", palette.muted)
  local items = { f:block(seeds) .. (" using 1:2 with points pt 6 ps 0.6 lc rgb '%s' title 'a seed'"):format(palette.colours[1]) }
  local bar = (" lw 2.5 lc rgb '%s' title 'mean, 95 %% interval'"):format(palette.colours[2])
  if #means > 0 then items[2] = f:block(means) .. " using 1:2:3:4 with xerrorbars pt 7 ps 0.8" .. bar end
  if #lone > 0 then items[#items + 1] = f:block(lone) .. " using 1:2 with points pt 7 ps 0.8 lc rgb '" .. palette.colours[2] .. "' title 'one seed'" end
  f:draw(items)
  return f:done()
end)

public("ls.plot.interaction", {
  doc = [[Two factors together: along x the levels of the first, a line for each level of the second, means over seeds with their 95 % t intervals. Parallel lines: the factors add up; others:
each changes what the other does.]],
  returns = "a plot", errors = "a cell without its levels or values, the same cell twice, nothing to draw",
  example = 'local p = ls.plot.interaction({ { 0, "none", { 0.05, 0.06 } }, { 0.1, "none", { 0.03, 0.02 } }, { 0, "mixup", { 0.04, 0.03 } }, { 0.1, "mixup", { 0.07, 0.08 } } }, { x_label = "epsilon", y_label = "ece_debiased" })',
  { "cells", type = "table", doc = "a list of { level of the first factor, level of the second, a number for each seed }; levels are numbers, strings or booleans, in the order in which they first come" },
  options = figure.common{ x_label = { type = "string", doc = "the first factor" }, y_label = { type = "string", doc = "the measure" } },
}, function(given, o)
  local who, n = "interaction", rawlen(given)
  if n == 0 or n > 2000 then raise(who, ("cells holds %d cells, 1 to 2000 are required"):format(n)) end
  local xs, lines, at, all = {}, {}, {}, {}
  local function place(list, level, i, which)
    if type(level) ~= "string" and type(level) ~= "boolean" and not figure.finite(level) then
      raise(who, ("cells[%d][%d] is %s, a level (number, string, boolean) is required"):format(i, which, system.describe(level)))
    end
    for k, known in ipairs(list) do if known == level then return k end end
    list[#list + 1] = level
    return #list
  end
  for i = 1, n do
    local cell = rawget(given, i)
    local x, l = place(xs, field(cell, 1), i, 1), place(lines, field(cell, 2), i, 2)
    local mean, half = series.mean(series.numbers(who, ("cells[%d][3]"):format(i), field(cell, 3), 10000))
    at[l] = at[l] or {}
    if at[l][x] then raise(who, ("cells[%d] has levels that another cell has, too"):format(i)) end
    at[l][x] = { mean, half }
    if mean then all[#all + 1] = { mean - (half or 0), mean + (half or 0) } end
  end
  if #lines > series.MOST then raise(who, ("the second factor has %d levels, at most %d can be told apart"):format(#lines, series.MOST)) end
  local low, high = series.range(all, 0.08)
  if not low then raise(who, "there is no finite number to draw") end
  local f = figure.new(who, { width = o.width or 480, height = o.height or 360, title = o.title, description = ("%d×%d levels of two factors."):format(#xs, #lines) })
  f:show_title()
  f:labels(o.x_label, o.y_label)
  f:add("set xrange [0.6:%g]\nset yrange [%s:%s]", #xs + 0.4, gnuplot.number(low), gnuplot.number(high))
  local tics, items = {}, {}
  for k, level in ipairs(xs) do tics[k] = ("%s %d"):format(gnuplot.tic(tostring(level), 16), k) end
  f:add("set xtics (%s)", table.concat(tics, ", "))
  for l, level in ipairs(lines) do
    local rows, shift = {}, #lines > 1 and 0.16 * ((l - 1) / (#lines - 1) - 0.5) or 0
    for x = 1, #xs do
      local cell = at[l][x]
      if cell and cell[1] then rows[#rows + 1] = { x + shift, cell[1], cell[1] - (cell[2] or 0), cell[1] + (cell[2] or 0) } end
    end
    local block, colour, _, marker = f:block(rows), palette.style(l)
    items[#items + 1] = block .. (" using 1:2:3:4 with yerrorbars pt %d ps 0.1 lw 1.25 lc rgb '%s' notitle"):format(marker, colour)
    items[#items + 1] = block .. " using 1:2 " .. series.points_line(l) .. " " .. series.key(tostring(level))
  end
  f:draw(items)
  return f:done()
end)

public("ls.plot.target", {
  doc = "What a scheme makes of a label: the target's probability of each class, as bars; several schemes side by side.",
  returns = "a plot", errors = "a label that is no class, a scheme that needs the logits", example = 'local p = ls.plot.target({ { "uniform", ls.target.uniform(0.1) }, { "wrong classes", ls.target.wrong_classes(0.1) } }, { classes = 6, label = 2 })',
  { "schemes", type = "scheme|table", doc = "a scheme, or a list of { \"name\", scheme }" },
  options = figure.common{ classes = { type = "integer", required = true, min = 2, max = 200, doc = "K" }, label = { type = "integer", default = 0, min = 0, max = 199, doc = "the label, from 0" },
    log_y = { type = "boolean", default = false, doc = "a logarithmic axis of probabilities: what is given to the other classes is seen better" },
    class_names = { type = "table", doc = "by class from [0], or a list whose first belongs to class 0" } },
}, function(given, o)
  local who = "target"
  if o.label >= o.classes then raise(who, ("label is %d, allowed is 0 to %d"):format(o.label, o.classes - 1)) end
  local list = series.several(who, "schemes", given, function(v) return options.is("scheme", v) end, "a scheme")
  local f = figure.new(who, { width = o.width or 520, height = o.height or 340, title = o.title, description = ("Targets of label %d among %d classes."):format(o.label, o.classes) })
  f:show_title()
  f:labels("class", "target")
  local items, tics, least = {}, {}, 1
  local wide = 0.8 / #list
  for i, s in ipairs(list) do
    local rows, q = {}, raw.totable(raw.detach(s.value(labels.from{ o.label }):row(1, o.classes)))
    for k = 0, o.classes - 1 do
      local left = k - 0.4 + wide * (i - 1)
      rows[k + 1] = { left + wide / 2, q[k + 1], left + 0.03 * wide, left + 0.97 * wide, 0, q[k + 1] }
      if q[k + 1] > 0 then least = math.min(least, q[k + 1]) end
    end
    local colour = palette.style(i)
    local fill = ({ "solid 0.8", "solid 0.35", "pattern 4", "pattern 5", "solid 0.6", "pattern 2" })[(i - 1) % 6 + 1]
    if o.log_y then for _, row in ipairs(rows) do row[5] = 1e-30 end end
    items[i] = f:block(rows) .. (" using 1:2:3:4:5:6 with boxxyerror lw 0.75 lc rgb '%s' fs %s border lc rgb '%s' "):format(colour, fill, colour) .. series.key(s.name)
  end
  f:add("set xrange [-0.6:%g]", o.classes - 0.4)
  if o.log_y then f:add("set logscale y\nset yrange [%s:1]\nset format y '%%g'", gnuplot.number(least / 3)) else f:add("set yrange [0:1]") end
  local every = math.max(1, math.ceil(o.classes / 20))
  for k = 0, o.classes - 1, every do
    local name = o.class_names and (rawget(o.class_names, 0) ~= nil and rawget(o.class_names, k) or rawget(o.class_names, 0) == nil and rawget(o.class_names, k + 1))
    if name and type(name) ~= "string" then raise(who, "class_names must hold strings") end
    tics[#tics + 1] = ("%s %d"):format(gnuplot.tic(name or tostring(k), 10), k)
  end
  f:add("set xtics (%s)", table.concat(tics, ", "))
  f:draw(items)
  return f:done()
end)

return differences
