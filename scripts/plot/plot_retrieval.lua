-- Plots of retrieval and of representations. SPDX-License-Identifier: MIT
local clabels = require "lsengine.c.labels"
local figure  = require "lsengine.figure"
local gnuplot = require "lsengine.gnuplot"
local palette = require "lsengine.palette"
local public  = require "lsengine.public"
local raw     = require "lsengine.c.tensor"
local series  = require "lsengine.series"
local system  = require "lsengine.c.system"
local field, raise = series.field, public.raise

local recall = public("ls.plot.recall", {
  doc = "recall@k against k: the share of queries with a row of their class among the k nearest.",
  returns = "a plot", errors = "no recall, a k below 1, no finite number",
  example = 'local p = ls.plot.recall{ { "one-hot", { recall = { [1] = 0.91, [5] = 0.97, [10] = 0.98 } } }, { "smoothed", { recall = { [1] = 0.92, [5] = 0.96, [10] = 0.97 } } } }',
  { "retrieval", type = "table", doc = "what ls.eval.retrieval gives (its recall: by k), or a list of { \"name\", such a result }" },
  options = figure.common{},
}, function(given, o)
  local list = series.several("recall", "retrieval", given, function(v) return type(field(v, "recall")) == "table" end, "a result with its recall")
  local f = figure.new("recall", { width = o.width or 480, height = o.height or 360, title = o.title, description = "Recall at k against k." })
  f:show_title()
  f:labels("k", "recall@k")
  local items, values, ks = {}, {}, {}
  for i, s in ipairs(list) do
    local rows = {}
    for k, v in next, field(s.value, "recall") do
      if math.type(k) ~= "integer" or k < 1 or type(v) ~= "number" then
        raise("recall", ("recall[%s] is %s, numbers by k from 1 are required"):format(gnuplot.text(tostring(k), 30), system.describe(v)))
      end
      if #rows >= 100000 then raise("recall", "more than 100000 ks cannot be drawn") end
      rows[#rows + 1] = { k, v }
      values[#values + 1], ks[#ks + 1] = v, k
    end
    table.sort(rows, function(a, b) return a[1] < b[1] end)
    items[i] = f:block(rows) .. " using 1:2 " .. series.points_line(i) .. " " .. series.key(s.name)
  end
  local low, high = series.range({ values }, 0.08)
  if not low then raise("recall", "there is no finite number to draw") end
  f:add("set yrange [%s:%s]", gnuplot.number(low), gnuplot.number(high <= 1.1 and math.min(high, 1.005) or high))
  local largest = math.max(table.unpack(ks, 1, math.min(#ks, 200)))
  if largest > 12 then f:add("set logscale x\nset xrange [0.9:%s]", gnuplot.number(largest * 1.1)) else f:add("set xrange [0.5:%s]\nset xtics 1", gnuplot.number(largest + 0.5)) end
  f:draw(items)
  return f:done()
end)

-- Names of classes by number from 0; nil where there are none.
local function class_namer(who, given)
  if given == nil then return function(k) return tostring(k) end end
  return function(k)
    local name = rawget(given, k)
    if rawget(given, 0) == nil then name = rawget(given, k + 1) end
    if name ~= nil and type(name) ~= "string" then raise(who, ("class_names holds %s for class %d, strings are required"):format(system.describe(name), k)) end
    return name or tostring(k)
  end
end
local class_names = { type = "table", doc = "by class from [0], or a list whose first belongs to class 0" }

public("ls.plot.confusion", {
  doc = [[A confusion matrix: rows are labels, columns predictions, each cell the share of its row's label (the stronger the colour, the larger), with its count where there is room. Of many
classes those with the most errors are shown.]],
  returns = "a plot", errors = "a matrix that is not square, or holds NaN or negative counts", example = "local p = ls.plot.confusion(ls.tensor{ { 90, 10 }, { 5, 95 } }, { class_names = { \"cat\", \"dog\" } })",
  { "confusion", type = "tensor", doc = "K×K counts, as of ls.eval.classification" },
  options = figure.common{ class_names = class_names, most = { type = "integer", default = 30, min = 2, max = 60, doc = "classes that are shown" } },
}, function(matrix, o)
  local who = "confusion"
  local classes = raw.rank(matrix) == 2 and raw.size(matrix, 1) or 0
  if classes == 0 or raw.size(matrix, 2) ~= classes then raise(who, "confusion must be K×K, with at least one class") end
  if classes > 4000 then raise(who, ("confusion has %d classes, at most 4000 can be looked through"):format(classes)) end
  local rows, name = raw.totable(raw.detach(matrix)), class_namer(who, o.class_names)
  local sums, errors, shown = {}, {}, {}
  for i = 1, classes do
    sums[i], errors[i], shown[i] = 0, errors[i] or 0, i
    for j = 1, classes do
      local x = rows[i][j]
      if not (x >= 0 and x < math.huge) then raise(who, ("confusion[%d][%d] is %s, a count is required"):format(i, j, system.describe(x))) end
      sums[i] = sums[i] + x
      if i ~= j then errors[i], errors[j] = errors[i] + x, (errors[j] or 0) + x end
    end
  end
  if classes > o.most then
    table.sort(shown, function(a, b) if errors[a] ~= errors[b] then return errors[a] > errors[b] end return a < b end)
    shown = { table.unpack(shown, 1, o.most) }
    table.sort(shown)
  end
  local n, longest = #shown, 1
  for _, k in ipairs(shown) do longest = math.max(longest, utf8.len(gnuplot.text(name(k - 1), 18))) end
  local cell = n <= 12 and 40 or n <= 20 and 34 or 16
  local font = n <= 20 and 9 or 8
  local margin = math.ceil(longest * (n <= 20 and 5.6 or 4.8)) + 36
  local f = figure.new(who, { title = o.title, width = o.width or math.max(320, cell * n + margin + 24), height = o.height or cell * n + margin + 50,
    description = ("Confusion matrix of %d classes%s."):format(classes, n < classes and (", the %d with the most errors"):format(n) or "") })
  f:show_title()
  f:add("set lmargin at screen %.4f\nset rmargin at screen %.4f\nset tmargin at screen %.4f\nset bmargin at screen %.4f", margin / f.width, 1 - 14 / f.width,
    1 - (12 + 19 * (f.title_lines or 0)) / f.height, margin / f.height)
  f:add("unset key\nunset grid\nset border 15 lw 0.5 lc rgb '%s'\nset xrange [0.5:%g]\nset yrange [%g:0.5]\nset tics scale 0 font ',%d'", palette.muted, n + 0.5, n + 0.5, font)
  f:add("set label 90001 'prediction' at screen %.4f,%.4f center noenhanced tc rgb '%s'", (margin + f.width - 14) / 2 / f.width, 12 / f.height, palette.ink)
  f:add("set label 90002 'label' at screen %.4f,%.4f center rotate by 90 noenhanced tc rgb '%s'", 12 / f.width, (margin + f.height) / 2 / f.height, palette.ink)
  local x_tics, y_tics, number = {}, {}, 0
  for i, k in ipairs(shown) do
    x_tics[i], y_tics[i] = ("%s %d"):format(gnuplot.tic(name(k - 1), 18), i), ("%s %d"):format(gnuplot.tic(name(k - 1), 18), i)
    for j, l in ipairs(shown) do
      local count = rows[k][l]
      local share = sums[k] > 0 and count / sums[k] or 0
      number = number + 1
      if share > 0.0005 then
        f:add("set object %d rect from %g,%g to %g,%g fc rgb '%s' fs solid %.3f noborder behind", number, j - 0.5, i - 0.5, j + 0.5, i + 0.5,
          palette.colours[k == l and 1 or 2], math.min(1, 0.08 + 0.92 * share ^ 0.6))
      end
      if n <= 20 and count > 0 then
        local text = count == math.floor(count) and count < 1e5 and ("%d"):format(count) or ("%.3g"):format(count)
        f:add("set label %d '%s' at %d,%d center noenhanced front font ',%d' tc rgb '%s'", number, text, j, i, #text > 4 and 7 or font, share > 0.45 and palette.paper or palette.ink)
      end
    end
  end
  f:add("set xtics rotate by 90 right (%s)", table.concat(x_tics, ", "))
  f:add("set ytics (%s)", table.concat(y_tics, ", "))
  f:draw{ "NaN notitle" }
  return f:done()
end)

public("ls.plot.projection", {
  doc = [[Points in the plane by class, such as the penultimate layer's projection of Müller et al. 2019 (ls.eval.projection). Classes differ by colour and marker. Of more than `most`
points every so manieth is drawn, and the picture says so.]],
  returns = "a plot", errors = "points that are not N×2, other than N labels, no finite point", example = "local p = ls.plot.projection(ls.tensor.randn(30, 2, { rng = rng }), rng:integers(0, 2, 30), { class_names = { \"a\", \"b\", \"c\" } })",
  { "points", type = "tensor", doc = "N×2" }, { "labels", type = "labels", doc = "N classes" },
  options = figure.common{ class_names = class_names, most = { type = "integer", default = 3000, min = 1, max = 100000, doc = "points that are drawn" },
    x_label = { type = "string", default = "first direction", doc = "of the horizontal axis" }, y_label = { type = "string", default = "second direction", doc = "of the vertical axis" } },
}, function(points, labels, o)
  local who = "projection"
  if raw.rank(points) ~= 2 or raw.size(points, 2) ~= 2 or raw.size(points, 1) == 0 then raise(who, "points must be N×2, with at least one row") end
  labels = clabels.from(labels)
  local n, name = raw.size(points, 1), class_namer(who, o.class_names)
  if #labels ~= n then raise(who, ("%d points but %d labels"):format(n, #labels)) end
  local step = math.max(1, math.ceil(n / o.most))
  local kept = {}
  for i = 1, n, step do kept[#kept + 1] = i end
  local rows = raw.totable(raw.gather(raw.detach(points), kept))
  local by_class, classes, xs, ys = {}, {}, {}, {}
  for i, at in ipairs(kept) do
    local k = labels[at]
    if not by_class[k] then by_class[k], classes[#classes + 1] = {}, k end
    if figure.finite(rows[i][1]) and figure.finite(rows[i][2]) then
      table.insert(by_class[k], rows[i])
      xs[#xs + 1], ys[#ys + 1] = rows[i][1], rows[i][2]
    end
  end
  if #xs == 0 then raise(who, "there is no finite point to draw") end
  if #classes > series.MOST then raise(who, ("the points have %d classes, at most %d can be told apart: choose some with gather"):format(#classes, series.MOST)) end
  table.sort(classes)
  local f = figure.new(who, { width = o.width or 480, height = o.height or 460, title = o.title, description = ("Projection of %d points of %d classes."):format(#xs, #classes) })
  f:show_title()
  local x_label = o.x_label
  if step > 1 then x_label = ("%s (%d of %d points)"):format(gnuplot.text(x_label, 60), #xs, n) end
  f:labels(x_label, o.y_label)
  local x0, x1 = series.range({ xs })
  local y0, y1 = series.range({ ys })
  f:add("set xrange [%s:%s]\nset yrange [%s:%s]", gnuplot.number(x0), gnuplot.number(x1), gnuplot.number(y0), gnuplot.number(y1))
  local items = {}
  for i, k in ipairs(classes) do
    local colour, _, marker = palette.style(i)
    items[i] = f:block(by_class[k]) .. (" using 1:2 with points pt %d ps 0.5 lc rgb '%s' "):format(marker, colour) .. series.key(name(k))
  end
  f:draw(items)
  return f:done()
end)

return recall
