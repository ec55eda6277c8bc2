-- Plots of training, and of measures as curves. SPDX-License-Identifier: MIT
local figure  = require "lsengine.figure"
local gnuplot = require "lsengine.gnuplot"
local options = require "lsengine.options"
local palette = require "lsengine.palette"
local public  = require "lsengine.public"
local raw     = require "lsengine.c.tensor"
local series  = require "lsengine.series"
local system  = require "lsengine.c.system"
require "lsengine.history"
local field, raise = series.field, public.raise

local function y_range(f, who, lists, margin)
  local low, high = series.range(lists, margin)
  if not low then raise(who, "there is no finite number to draw") end
  f:add("set yrange [%s:%s]", gnuplot.number(low), gnuplot.number(high))
end

local training = public("ls.plot.training", {
  doc = "Measures over the epochs of a training, on one axis; for the terminal there is history:plot.",
  returns = "a plot", errors = "a name that no epoch has", 
  example = 'local history = ls.train(model, data.train, { epochs = 2, rng = rng, optimizer = ls.optim.sgd{ lr = 0.1 }, validation = data.validation })\nlocal p = ls.plot.training(history, { "loss", "nll" })',
  { "history", type = "history", doc = "what ls.train returns" }, { "metrics", type = "table|string", default = "loss", doc = "their names" },
  options = figure.common{ y_label = { type = "string", doc = "of the vertical axis" } },
}, function(history, metrics, o)
  local who, names = "training", type(metrics) == "table" and metrics or { metrics }
  if rawlen(names) == 0 or rawlen(names) > series.MOST then raise(who, ("%d metrics are named, 1 to %d are required"):format(rawlen(names), series.MOST)) end
  local f = figure.new(who, { width = o.width or 520, height = o.height or 340, title = o.title, description = "Measures by epoch." })
  f:show_title()
  local items, lists, last = {}, {}, 0
  for i, name in ipairs(names) do
    options.check(who, ("metrics[%d]"):format(i), { type = "string" }, name)
    history:metric(name)
    local rows, values = {}, {}
    for _, entry in ipairs(history) do
      if type(entry[name]) == "number" then
        rows[#rows + 1], values[#values + 1] = { entry.epoch, entry[name] }, entry[name]
        last = math.max(last, entry.epoch)
      end
    end
    lists[i] = values
    items[i] = f:block(rows) .. " using 1:2 " .. (#rows > 40 and series.line(i) or series.points_line(i)) .. " " .. series.key(name)
  end
  f:labels("epoch", o.y_label or #names == 1 and names[1] or nil)
  y_range(f, who, lists)
  if last <= 12 then f:add("set xtics 1") end
  f:draw(items)
  return f:done()
end)

public("ls.plot.curves", {
  doc = [[Curves with bands: of each curve the mean over its seeds, and around it the 95 % t interval of the mean ("interval"), the standard deviation of the seeds ("deviation"), their
least and largest ("range"), or nothing.]],
  returns = "a plot", errors = "lists of other lengths than x, nothing to draw",
  example = 'local p = ls.plot.curves({ { name = "one-hot", x = { 0, 0.1, 0.2 }, values = { { 1, 2, 3 }, { 1.5, 2.5, 2 } } } }, { x_label = "epsilon", y_label = "ece" })',
  { "curves", type = "table", doc = "a list of { name =, x = numbers, values = a list for each seed of as many numbers }; one seed may be a list of numbers itself" },
  options = figure.common{ band = { type = "string", default = "interval", choices = { "interval", "deviation", "range", "none" }, doc = "around the mean" },
    x_label = { type = "string", doc = "of the horizontal axis" }, y_label = { type = "string", doc = "of the vertical axis" }, log_x = { type = "boolean", default = false, doc = "a logarithmic horizontal axis: every x above 0" } },
}, function(given, o)
  local who, n = "curves", rawlen(given)
  if n == 0 or n > series.MOST then raise(who, ("curves holds %d curves, 1 to %d are required"):format(n, series.MOST)) end
  local f = figure.new(who, { width = o.width or 520, height = o.height or 360, title = o.title, description = o.band == "none" and "Curves." or "Curves with bands over seeds." })
  f:show_title()
  f:labels(o.x_label, o.y_label)
  local bands, lines, ends = {}, {}, {}
  for i = 1, n do
    local curve = rawget(given, i)
    local x = series.numbers(who, ("curves[%d].x"):format(i), field(curve, "x"), 100000)
    local values = field(curve, "values")
    if raw.is_tensor(values) then values = raw.totable(raw.detach(values)) end
    if type(values) == "table" and type(rawget(values, 1)) == "number" then values = { values } end
    if type(values) ~= "table" or rawlen(values) == 0 then raise(who, ("curves[%d].values is %s, a list for each seed is required"):format(i, system.describe(values))) end
    if rawlen(values) > 10000 then raise(who, ("curves[%d].values has %d seeds, at most 10000 can be drawn"):format(i, rawlen(values))) end
    local seeds = {}
    for s = 1, rawlen(values) do
      seeds[s] = series.numbers(who, ("curves[%d].values[%d]"):format(i, s), rawget(values, s), 100000)
      if #seeds[s] ~= #x then raise(who, ("curves[%d].values[%d] has %d numbers, x has %d"):format(i, s, #seeds[s], #x)) end
    end
    local rows = {}
    for k = 1, #x do
      if o.log_x and not (x[k] > 0) then raise(who, ("curves[%d].x[%d] is %s, above 0 is required on a logarithmic axis"):format(i, k, system.describe(x[k]))) end
      local at = {}
      for s = 1, #seeds do at[s] = seeds[s][k] end
      local mean, half, kept = series.mean(at)
      local low, high = mean, mean
      if mean and o.band == "interval" and half then low, high = mean - half, mean + half end
      if mean and o.band == "range" then low, high = math.min(table.unpack(kept)), math.max(table.unpack(kept)) end
      if mean and o.band == "deviation" and #kept > 1 then
        local sum = 0
        for _, v in ipairs(kept) do sum = sum + (v - mean) ^ 2 end
        local deviation = math.sqrt(sum / (#kept - 1))
        low, high = mean - deviation, mean + deviation
      end
      rows[k] = { x[k], mean, low, high, n = 4 }
      ends[#ends + 1], ends[#ends + 2] = low or mean or 0 / 0, high or mean or 0 / 0
    end
    local block, colour = f:block(rows), (palette.style(i))
    local name = field(curve, "name")
    if name ~= nil and type(name) ~= "string" then raise(who, ("curves[%d].name is %s, a string is required"):format(i, system.describe(name))) end
    if o.band ~= "none" and #seeds > 1 then bands[#bands + 1] = block .. (" using 1:3:4 with filledcurves fs solid 0.18 noborder lc rgb '%s' notitle"):format(colour) end
    lines[i] = block .. " using 1:2 " .. (#x > 40 and series.line(i) or series.points_line(i)) .. " " .. series.key(name)
  end
  y_range(f, who, { ends })
  if o.log_x then f:add("set logscale x") end
  table.move(lines, 1, #lines, #bands + 1, bands)
  f:draw(bands)
  return f:done()
end)

return training
