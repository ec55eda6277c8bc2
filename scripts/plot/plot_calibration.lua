-- Plots of calibration and of selective prediction. SPDX-License-Identifier: MIT
local figure  = require "lsengine.figure"
local gnuplot = require "lsengine.gnuplot"
local palette = require "lsengine.palette"
local public  = require "lsengine.public"
local series  = require "lsengine.series"
local system  = require "lsengine.c.system"
local field, raise = series.field, public.raise

-- The bins of a calibration: checked, those without rows left out.
local function bins_of(who, calibration)
  local bins, kept, total = field(calibration, "bins"), {}, 0
  local n = type(bins) == "table" and rawlen(bins) or 0
  if n == 0 then raise(who, ("calibration has no bins: what ls.eval.calibration gives is required, bins[i] = { low, high, count, confidence, accuracy, … }")) end
  if n > 10000 then raise(who, ("calibration has %d bins, at most 10000 can be drawn"):format(n)) end
  for i = 1, n do
    local b = rawget(bins, i)
    local function number(name, optional)
      local x = field(b, name)
      if x == nil and optional then return nil end
      if not figure.finite(x) then raise(who, ("bins[%d].%s is %s, a finite number is required"):format(i, name, system.describe(x))) end
      return x
    end
    local count = number "count"
    if count < 0 then raise(who, ("bins[%d].count is %s, at least 0 is required"):format(i, system.describe(count))) end
    if count > 0 then
      total = total + count
      kept[#kept + 1] = { low = number "low", high = number "high", count = count, confidence = number "confidence", accuracy = number "accuracy",
        accuracy_low = number("accuracy_low", true), accuracy_high = number("accuracy_high", true) }
    end
  end
  if total == 0 then raise(who, "calibration has no rows in its bins") end
  return kept, total
end

local function measure_text(calibration)
  local parts = {}
  local function add(text, name)
    local x = field(calibration, name)
    if figure.finite(x) then parts[#parts + 1] = text:format(x) end
  end
  add("ECE %.4f", "ece")
  add("null level %.4f", "ece_null")
  add("debiased %.4f", "ece_debiased")
  return table.concat(parts, "   ")
end

-- Bins that hold one confidence alone, as those of equal mass may, keep a width that can be seen.
local function widened(b)
  local low, high = b.low, b.high
  if high - low < 0.004 then low, high = (low + high) / 2 - 0.002, (low + high) / 2 + 0.002 end
  return low, high
end

-- Between tics of shares: at most four.
local function count_step(bins, total)
  local largest = 0
  for _, b in ipairs(bins) do largest = math.max(largest, b.count / total) end
  for _, step in ipairs{ 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.25 } do if largest <= 3.6 * step then return step end end
  return 0.5
end

local function counts_panel(f, bins, total)
  local right, wrong = {}, {}
  for i, b in ipairs(bins) do
    local low, high = widened(b)
    right[i] = { low, low, high, 0, b.count * b.accuracy / total }
    wrong[i] = { low, low, high, b.count * b.accuracy / total, b.count / total }
  end
  local one, two = f:block(right), f:block(wrong)
  local shape = "using 1:4:2:3:4:5 with boxxyerror lw 0.75 lc rgb '%s' fs %s border lc rgb '%s' title '%s'"
  f:draw{ one .. " " .. shape:format(palette.colours[1], "solid 0.75", palette.colours[1], "right"), two .. " " .. shape:format(palette.colours[2], "solid 0.25", palette.colours[2], "wrong") }
end

local reliability = public("ls.plot.reliability", {
  doc = [[A reliability diagram: accuracy of each bin against its mean confidence, with the accuracy's interval; a calibrated model lies on the diagonal. Below, the share of rows in each
bin, right and wrong ones. The calibration errors stand in the picture.]],
  returns = "a plot", errors = "a calibration without bins or rows", example = 'local p = ls.plot.reliability(ls.eval.calibration(logits, labels), { title = "one-hot" })\np:save(folder .. "/reliability.svg")',
  { "calibration", type = "table", doc = "what ls.eval.calibration gives, or a table whose bins[i] have low, high, count, confidence, accuracy and, with intervals, accuracy_low and accuracy_high; ece, ece_null and ece_debiased are shown where they are there" },
  options = figure.common{},
}, function(calibration, o)
  local bins, total = bins_of("reliability", calibration)
  local f = figure.new("reliability", { width = o.width or 480, height = o.height or 520, title = o.title,
    description = ("Reliability diagram of %g rows in %d bins. %s"):format(total, #bins, measure_text(calibration)) })
  local left, right = 62 / f.width, 1 - 18 / f.width
  local text = measure_text(calibration)
  local top = 1 - (14 + 19 * (f.title_lines or 0) + (text ~= "" and 16 or 0)) / f.height
  f:add("set multiplot")
  if f.title_text then f:add("set title %s noenhanced tc rgb '%s' offset 0,%.2f", f.title_text, palette.ink, text ~= "" and 1 or 0) end
  f:add("set lmargin at screen %.4f\nset rmargin at screen %.4f\nset tmargin at screen %.4f\nset bmargin at screen %.4f", left, right, top, 0.36)
  f:add("set xrange [0:1]\nset yrange [0:1]\nset xtics 0.2 format ''\nset ytics 0.2 format '%%.1f'")
  f:labels(nil, "accuracy")
  if text ~= "" then f:add("set label 1 %s at graph 0,1.035 left noenhanced tc rgb '%s' front", gnuplot.quote(text), palette.muted) end
  local gaps, points, whole = {}, {}, true
  for i, b in ipairs(bins) do
    local low, high = widened(b)
    gaps[i] = { (low + high) / 2, 0, low, high, 0, b.accuracy }
    points[i] = { b.confidence, b.accuracy, b.accuracy_low, b.accuracy_high, n = 4 }
    whole = whole and b.accuracy_low and b.accuracy_high
  end
  local bars, marks, diagonal = f:block(gaps), f:block(points), f:block{ { 0, 0 }, { 1, 1 } }
  local blue, orange = palette.colours[1], palette.colours[2]
  f:add("unset key")
  f:draw{
    bars .. (" using 1:2:3:4:5:6 with boxxyerror lw 0.5 lc rgb '%s' fs solid 0.15 border lc rgb '%s' notitle"):format(blue, blue),
    diagonal .. (" using 1:2 with lines dt (8,5) lw 1.25 lc rgb '%s' notitle"):format(palette.muted),
    marks .. (" using 1:2 with lines lw 1 lc rgb '%s' notitle"):format(orange),
    whole and marks .. (" using 1:2:3:4 with yerrorbars pt 7 ps 0.6 lw 1.25 lc rgb '%s' notitle"):format(orange)
      or marks .. (" using 1:2 with points pt 7 ps 0.6 lc rgb '%s' notitle"):format(orange),
  }
  f:add("unset title\nunset label 1")
  f:add("set tmargin at screen %.4f\nset bmargin at screen %.4f", 0.32, 58 / f.height)
  f:add("set yrange [0:*]\nset xtics 0.2 format '%%.1f'\nset ytics %s format '%%g'", gnuplot.number(count_step(bins, total)))
  f:add("set key at graph 0.02,0.97 left top vertical Left reverse samplen 1.5")
  f:labels("confidence", "share of rows")
  counts_panel(f, bins, total)
  f:add("unset multiplot")
  return f:done()
end)

public("ls.plot.confidence", {
  doc = "A histogram of confidences, the share of rows in each bin of a calibration, right and wrong ones apart; vertical lines at the mean confidence and at the accuracy (overconfident where the former lies to the right).",
  returns = "a plot", errors = "a calibration without bins or rows", example = "local p = ls.plot.confidence(ls.eval.calibration(logits, labels))",
  { "calibration", type = "table", doc = "as of ls.plot.reliability" },
  options = figure.common{},
}, function(calibration, o)
  local bins, total = bins_of("confidence", calibration)
  local f = figure.new("confidence", { width = o.width or 480, height = o.height or 320, title = o.title, description = ("Histogram of the confidence of %g rows."):format(total) })
  f:show_title()
  f:labels("confidence", "share of rows")
  f:add("set xrange [0:1]\nset yrange [0:*]\nset xtics 0.2")
  local confidence, accuracy = 0, 0
  for _, b in ipairs(bins) do confidence, accuracy = confidence + b.count * b.confidence / total, accuracy + b.count * b.accuracy / total end
  local right, wrong = {}, {}
  for i, b in ipairs(bins) do
    local low, high = widened(b)
    right[i] = { low, low, high, 0, b.count * b.accuracy / total }
    wrong[i] = { low, low, high, b.count * b.accuracy / total, b.count / total }
  end
  local one, two = f:block(right), f:block(wrong)
  local shape = " using 1:4:2:3:4:5 with boxxyerror lw 0.75 lc rgb '%s' fs %s border lc rgb '%s' title '%s'"
  f:add("set arrow 1 from first %s, graph 0 to first %s, graph 1 nohead front lw 1.5 dt (8,4) lc rgb '%s'", gnuplot.number(confidence), gnuplot.number(confidence), palette.ink)
  -- of another width: gnuplot's SVG joins lines of one width to one path, whose dashes are the first one's
  f:add("set arrow 2 from first %s, graph 0 to first %s, graph 1 nohead front lw 2 dt (2,3) lc rgb '%s'", gnuplot.number(accuracy), gnuplot.number(accuracy), palette.ink)
  f:draw{ one .. shape:format(palette.colours[1], "solid 0.75", palette.colours[1], "right"), two .. shape:format(palette.colours[2], "solid 0.25", palette.colours[2], "wrong"),
    ("NaN with lines lw 1.5 dt (8,4) lc rgb '%s' title 'mean confidence %.3f'"):format(palette.ink, confidence),
    ("NaN with lines lw 2 dt (2,3) lc rgb '%s' title 'accuracy %.3f'"):format(palette.ink, accuracy) }
  return f:done()
end)

public("ls.plot.risk_coverage", {
  doc = "Risk-coverage curves: the error rate among the rows that a model is surest of, against their share. The lower, the better; a curve that does not rise to the right belongs to a confidence that knows nothing.",
  returns = "a plot", errors = "no curve, no finite number in it",
  example = 'local p = ls.plot.risk_coverage{ { "one-hot", ls.eval.selective(logits, labels) }, { "entropy", ls.eval.selective(logits, labels, { score = "entropy" }) } }',
  { "selective", type = "table", doc = "what ls.eval.selective gives (its curve: a list of { coverage, risk }), or a list of { \"name\", such a result }" },
  options = figure.common{},
}, function(given, o)
  local list = series.several("risk_coverage", "selective", given, function(v) return type(field(v, "curve")) == "table" end, "a result with its curve")
  local f = figure.new("risk_coverage", { width = o.width or 480, height = o.height or 360, title = o.title, description = "Risk against coverage." })
  f:show_title()
  f:labels("coverage", "risk (error rate)")
  f:add("set xrange [0:1]\nset yrange [0:*]\nset xtics 0.2")
  local items, any = {}, false
  for i, s in ipairs(list) do
    local rows, curve = {}, field(s.value, "curve")
    if rawlen(curve) > 1000000 then raise("risk_coverage", "a curve has more than a million points") end
    for k = 1, rawlen(curve) do
      local p = rawget(curve, k)
      local x, y = field(p, "coverage") or field(p, 1), field(p, "risk") or field(p, 2)
      if type(x) ~= "number" or type(y) ~= "number" then raise("risk_coverage", ("curve[%d] is %s, { coverage, risk } is required"):format(k, system.describe(p))) end
      any = any or figure.finite(x) and figure.finite(y)
      rows[k] = { x, y }
    end
    local aurc = field(s.value, "aurc")
    local name = s.name or figure.finite(aurc) and "" or nil
    if figure.finite(aurc) then name = (s.name and gnuplot.text(s.name, 24) .. ", " or "") .. ("AURC %.4f"):format(aurc) end
    items[i] = f:block(rows) .. " using 1:2 " .. series.line(i) .. " " .. series.key(name)
  end
  if not any then raise("risk_coverage", "there is no finite number to draw") end
  f:draw(items)
  return f:done()
end)

return reliability
