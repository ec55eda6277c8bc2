-- What a training has measured, epoch by epoch: as a table, as curves, as numbers. SPDX-License-Identifier: MIT
--
-- A history is an array of entries { epoch =, loss =, seconds =, learning_rate =, metrics of the validation rows… } with the fields
-- stopped_at and best_epoch.
local system  = require "lsengine.c.system"
local options = require "lsengine.options"
local public  = require "lsengine.public"
local provenance = require "lsengine.provenance"
local raise   = public.raise

local History = {}
History.__index, History.__name = History, "history"
options.type("history", function(v) return getmetatable(v) == History end, "a history (what ls.train returns)")

local history = {}

-- A history of the given entries, which it takes over.
function history.new(entries) return setmetatable(entries or {}, History) end

-- Values by name, in the order in which a table shows them; those of a kind that crowds it come only by name.
local order = { "epoch", "loss", "accuracy", "rmse", "r2", "nll", "ece", "ece_debiased", "confidence_gap", "brier", "aurc" }
local crowding = { top_k = true, confidence = true, mce = true, ece_null = true, ece_debiased_l2 = true }
local last = { "learning_rate", "seconds" }

-- Numbers that can be drawn: differences of two are finite, too.
local function finite(x) return type(x) == "number" and math.abs(x) <= 1e300 end

-- A script may have put anything into a history.
local function check_entries(who, self)
  for i, entry in ipairs(self) do
    local epoch = type(entry) == "table" and math.tointeger(entry.epoch)
    if not epoch or math.abs(epoch) > 2^53 then
      raise(who, ("entry %d of the history is %s, a table with its epoch, a whole number, is required"):format(i, system.describe(entry)))
    end
  end
end

-- The names of all numbers in the entries: those of `order` first, then the others by name.
local function names_of(self)
  local present, list, rest = {}, {}, {}
  for _, entry in ipairs(self) do
    for name, value in pairs(entry) do if type(value) == "number" then present[name] = true end end
  end
  local function take(name)
    if present[name] then list[#list + 1], present[name] = name, nil end
  end
  local at_end = {}
  for _, name in ipairs(last) do
    if present[name] then at_end[#at_end + 1], present[name] = name, nil end
  end
  for _, name in ipairs(order) do take(name) end
  for name in pairs(present) do rest[#rest + 1] = name end
  table.sort(rest, function(a, b) return tostring(a) < tostring(b) end)
  for _, name in ipairs(rest) do take(name) end
  table.move(at_end, 1, #at_end, #list + 1, list)
  return list
end

local function check_metric(who, self, name)
  check_entries(who, self)
  for _, entry in ipairs(self) do
    if type(entry[name]) == "number" then return end
  end
  if #self == 0 then raise(who, "the history has no epoch") end
  raise(who, ("no epoch has %s, %s"):format(system.describe(name), options.known_text(name, names_of(self))))
end

History.metric = public("history:metric", {
  doc = "One measure of all epochs in order; of epochs that have none (evaluate_every) there is nothing: numbers[i] belongs to the i-th epoch that has one.",
  returns = "a table of numbers", errors = "a name that no epoch has",
  example = 'local losses = ls.train(model, data.train, { epochs = 2, rng = rng, optimizer = ls.optim.sgd{ lr = 0.1 } }):metric "loss"',
  { "name", type = "string", doc = "loss, seconds, learning_rate, or a metric of the validation rows" },
}, function(self, name)
  check_metric("metric", self, name)
  local values = {}
  for _, entry in ipairs(self) do
    if type(entry[name]) == "number" then values[#values + 1] = entry[name] end
  end
  return values
end)

-- ---- as a table ----

local HEAD, TAIL = 10, 20 -- rows that are shown of a history of more

local function format_of(self, name)
  if name == "epoch" then return "%d" end
  if name == "seconds" then return "%.2f" end
  if name == "learning_rate" then return "%.4g" end
  local largest = 0
  for _, entry in ipairs(self) do
    if finite(entry[name]) then largest = math.max(largest, math.abs(entry[name])) end
  end
  return (largest >= 1e5 or largest < 1e-2 and largest > 0) and "%.3e" or "%.4f"
end

local function cell(fmt, value)
  if type(value) ~= "number" then return "" end
  if fmt == "%d" then return math.tointeger(value) and fmt:format(value) or tostring(value) end
  return value ~= value and "nan" or fmt:format(value)
end

function History:__tostring()
  if #self == 0 then return "a history without epochs" end
  check_entries("tostring", self)
  local shown, rows, columns, left_out = {}, {}, {}, {}
  for i = 1, #self do
    if #self <= HEAD + TAIL + 1 or i <= HEAD or i > #self - TAIL then shown[#shown + 1] = i end
  end
  for r = 1, #shown + 1 do rows[r] = {} end
  local room, used, ends = math.max(40, system.terminal(true) or 100), 2, 0
  local function add(name)
    local fmt, width, cells = format_of(self, name), #name, {}
    for r, i in ipairs(shown) do
      cells[r] = cell(fmt, self[i][name])
      width = math.max(width, #cells[r])
    end
    local at_end = name == "learning_rate" or name == "seconds"
    if used + width + 2 + (at_end and 0 or ends) > room then
      left_out[#left_out + 1] = name
      return
    end
    used = used + width + 2
    columns[#columns + 1] = name
    rows[1][#columns] = (" "):rep(width - #name) .. name
    for r in ipairs(shown) do rows[r + 1][#columns] = (" "):rep(width - #cells[r]) .. cells[r] end
  end
  local names = names_of(self)
  for _, name in ipairs(names) do if name == "learning_rate" or name == "seconds" then ends = ends + #name + 2 end end
  for _, name in ipairs(names) do
    if crowding[name] then left_out[#left_out + 1] = name else add(name) end
  end
  local out = { table.concat(rows[1], "  ") }
  for r, i in ipairs(shown) do
    if r > 1 and i ~= shown[r - 1] + 1 then out[#out + 1] = (" "):rep(#rows[2][1] - 1) .. "…" end
    out[#out + 1] = table.concat(rows[r + 1], "  ") .. (self[i].epoch == self.best_epoch and "  ← best" or "")
  end
  if self.stopped_at then out[#out + 1] = ("stopped early, after epoch %d"):format(self.stopped_at) end
  if #left_out > 0 then out[#out + 1] = ("not shown: %s"):format(table.concat(left_out, ", ")) end
  return table.concat(out, "\n")
end

-- ---- as curves ----

-- The round number nearest below or at x that is 1, 2, 2.5 or 5 times a power of ten, or for whole steps 1, 2 or 5 times.
local function nice_step(x, whole)
  local power = 10.0 ^ math.floor(math.log(x, 10))
  for _, factor in ipairs(whole and { 1, 2, 5, 10 } or { 1, 2, 2.5, 5, 10 }) do
    if factor * power >= x * (1 - 1e-9) then return factor * power end
  end
  return 10 * power
end

local function tick_texts(low, step, count)
  local decimals = 0
  while decimals < 12 and math.abs(step * 10 ^ decimals - math.floor(step * 10 ^ decimals + 0.5)) > 1e-6 * step * 10 ^ decimals do decimals = decimals + 1 end
  local largest = math.max(math.abs(low), math.abs(low + step * count))
  local fmt = (largest >= 1e6 or decimals > 5) and "%.2e" or "%." .. decimals .. "f"
  local texts = {}
  for i = 0, count do
    local value = low + step * i
    if math.abs(value) < step * 1e-9 then value = 0.0 end
    texts[i] = fmt:format(value)
  end
  return texts
end

local DOTS = { [0] = { [0] = 0x01, 0x02, 0x04, 0x40 }, { [0] = 0x08, 0x10, 0x20, 0x80 } } -- Braille: two columns of four dots

-- How curves are told apart: by colour, and by which of their dots are left out.
local COLOURS = { 36, 33, 35, 32, 31, 34 }
local STROKES = { function() return true end, function(i) return i % 6 < 3 end, function(i) return i % 3 == 0 end,
  function(i) return i % 9 < 5 or i % 9 == 7 end }

-- width × height characters; points in dots, y upwards.
local function new_canvas(width, height)
  local canvas, cells, owner = {}, {}, {}
  for row = 1, height do cells[row], owner[row] = {}, {} end
  function canvas.dot(x, y, curve)
    local column, row = x // 2 + 1, height - y // 4
    if column < 1 or column > width or row < 1 or row > height then return end
    cells[row][column] = (cells[row][column] or 0) | DOTS[x % 2][3 - y % 4]
    owner[row][column] = curve
  end
  function canvas.row(row, colour)
    local parts, now = {}, nil
    for column = 1, width do
      local bits, curve = cells[row][column], owner[row][column]
      if colour and curve ~= now then
        parts[#parts + 1] = curve and ("\27[%dm"):format(COLOURS[(curve - 1) % #COLOURS + 1]) or "\27[0m"
        now = curve
      end
      parts[#parts + 1] = bits and utf8.char(0x2800 + bits) or " "
    end
    if now then parts[#parts + 1] = "\27[0m" end
    return table.concat(parts)
  end
  return canvas
end

-- A line from dot to dot (Bresenham); `count` goes on from piece to piece, so that dashes do.
local function line(canvas, x0, y0, x1, y1, curve, count)
  local stroke = STROKES[(curve - 1) % #STROKES + 1]
  local dx, dy = math.abs(x1 - x0), -math.abs(y1 - y0)
  local sx, sy, err = x0 < x1 and 1 or -1, y0 < y1 and 1 or -1, dx + dy
  while true do
    if stroke(count) then canvas.dot(x0, y0, curve) end
    if x0 == x1 and y0 == y1 then return count end
    count = count + 1
    local twice = 2 * err
    if twice >= dy then err, x0 = err + dy, x0 + sx end
    if twice <= dx then err, y0 = err + dx, y0 + sy end
  end
end

-- The y axis: limits that are ticks, the step between these, and how many steps.
local function scale(curves, height)
  local low, high = math.huge, -math.huge
  for _, curve in ipairs(curves) do
    for _, p in ipairs(curve.points) do
      if p.y then low, high = math.min(low, p.y), math.max(high, p.y) end
    end
  end
  if low > high then low, high = 0, 1 end
  if high - low <= 1e-9 * math.max(math.abs(low), math.abs(high)) then
    local half = low == 0 and 0.5 or math.abs(low) * 0.05
    low, high = low - half, high + half
  end
  -- where zero is near, the axis begins there
  if low > 0 and low < 0.25 * high then low = 0.0 end
  local step = nice_step((high - low) / math.max(1, math.min(5, height // 3)))
  low = math.floor(low / step + 1e-9) * step
  return low, step, math.max(1, math.ceil((high - low) / step - 1e-9))
end

-- Which curve's name stands in a row: beside its end, or as near as is free.
local function label_rows(curves, rows)
  local by_end, labels = {}, {}
  for c in ipairs(curves) do by_end[c] = c end
  table.sort(by_end, function(a, b)
    if curves[a].end_row ~= curves[b].end_row then return curves[a].end_row < curves[b].end_row end
    return a < b
  end)
  for _, c in ipairs(by_end) do
    local row
    for distance = 0, rows do
      for _, candidate in ipairs{ curves[c].end_row + distance, curves[c].end_row - distance } do
        if not row and candidate >= 1 and candidate <= rows and not labels[candidate] then row = candidate end
      end
    end
    if row then labels[row] = c end
  end
  return labels
end

-- The x axis and its numbers: whole epochs at round numbers, the first and the last one always.
local function x_axis(first, final, columns, place_x)
  local axis, numbers, stop = {}, {}, {}
  for column = 1, columns do axis[column], numbers[column] = "─", " " end
  local x_step = final > first and math.max(1, nice_step(math.max(1, (final - first) / math.max(1, columns // 10)), true)) or 1
  local function tick(epoch)
    local column, text = place_x(epoch) // 2 + 1, ("%.10g"):format(epoch)
    local from = math.max(1, math.min(column - (#text - 1) // 2, columns - #text + 1))
    for k = from - 1, from + #text do if stop[k] then return end end
    for k = 1, #text do numbers[from + k - 1], stop[from + k - 1] = text:sub(k, k), true end
    axis[column] = "┬"
  end
  tick(first)
  tick(final)
  local from = math.ceil(first / x_step)
  for k = 0, columns do
    local epoch = (from + k) * x_step
    if epoch < final then tick(math.tointeger(epoch) or epoch) end
  end
  return table.concat(axis), table.concat(numbers)
end

-- The lines of a plot of the named metrics: `width` and `height` in characters, all in all.
local function draw(self, names, width, height, colour)
  local curves, label_width = {}, 0
  for i, name in ipairs(names) do
    local points = {}
    for _, entry in ipairs(self) do
      if type(entry[name]) == "number" then points[#points + 1] = { x = entry.epoch, y = finite(entry[name]) and entry[name] or nil } end
    end
    curves[i], label_width = { name = name, points = points }, math.max(label_width, utf8.len(name) or #name)
  end
  local rows = math.max(3, height - 2) -- without the axis and its numbers
  local low, step, count = scale(curves, rows)
  local texts, text_width = tick_texts(low, step, count), 0
  for i = 0, count do text_width = math.max(text_width, #texts[i]) end
  local columns = math.max(8, width - text_width - 2 - label_width - 1)
  local first, final = self[1].epoch, self[#self].epoch
  local dots_x, dots_y = 2 * columns - 1, 4 * rows - 1
  local function place_x(x) return final > first and math.floor((x - first) / (final - first) * dots_x + 0.5) or dots_x // 2 end
  local function place_y(y) return math.floor((y - low) / (step * count) * dots_y + 0.5) end
  local canvas = new_canvas(columns, rows)
  for c = #curves, 1, -1 do -- the first lies on top
    local previous, phase, end_row = nil, 0, nil
    for _, p in ipairs(curves[c].points) do
      local here = p.y and { place_x(p.x), place_y(p.y) } or nil
      if here then
        local from = previous or here
        phase = line(canvas, from[1], from[2], here[1], here[2], c, phase)
        if not previous then canvas.dot(here[1], here[2], c) end
        end_row = rows - here[2] // 4
      end
      previous = here
    end
    curves[c].end_row = end_row or rows
  end
  local labels = label_rows(curves, rows)
  local ticks = {}
  for i = 0, count do ticks[rows - place_y(low + step * i) // 4] = texts[i] end
  local out = {}
  for row = 1, rows do
    local tick, label = ticks[row], ""
    if labels[row] then
      label = curves[labels[row]].name
      if colour then label = ("\27[%dm%s\27[0m"):format(COLOURS[(labels[row] - 1) % #COLOURS + 1], label) end
      label = " " .. label
    end
    out[row] = (" "):rep(text_width - #(tick or "")) .. (tick or "") .. (tick and " ┤" or " │") .. canvas.row(row, colour) .. label
    if not colour then out[row] = out[row]:gsub("[ ]+$", "") end
  end
  local axis, numbers = x_axis(first, final, columns, place_x)
  out[#out + 1] = (" "):rep(text_width) .. " └" .. axis
  out[#out + 1] = (" "):rep(text_width + 2) .. numbers .. " epoch"
  return table.concat(out, "\n")
end

History.plot = public("history:plot", {
  doc = [[Draws measures as curves over the epochs, in the terminal, on one y axis. Curves are told apart by colour (on a terminal, unless
NO_COLOR is set), by their strokes, and by their names at their ends.]],
  returns = "nothing", errors = "a name that no epoch has, a history without epochs",
  example = 'ls.train(model, data.train, { epochs = 4, rng = rng, optimizer = ls.optim.sgd{ lr = 0.1 }, validation = data.validation }):plot{ "loss", "nll" }',
  { "metrics", type = "table|string", default = "loss", doc = "their names" },
  options = {
    width  = { type = "integer", min = 30, max = 1000, doc = "characters; the terminal's, at most 100, unless given; 80 where there is none" },
    height = { type = "integer", default = 16, min = 5, max = 200, doc = "lines" },
  },
}, function(self, metrics, o)
  local names = type(metrics) == "table" and metrics or { metrics }
  if #names == 0 then raise("plot", "no metric is named") end
  if #names > 20 then raise("plot", ("%d metrics are named, at most 20 are allowed"):format(#names)) end
  for i = 1, #names do -- not ipairs: #names counts past a hole
    options.check("plot", ("metrics[%d]"):format(i), { type = "string", required = true }, names[i])
    check_metric("plot", self, names[i])
  end
  provenance.check_plot(self, names)
  local terminal = system.terminal(true)
  print(draw(self, names, o.width or math.max(30, math.min(terminal or 80, 100)), o.height, terminal and not os.getenv "NO_COLOR"))
end)

history.draw = draw
return history
