-- Tables as text. SPDX-License-Identifier: MIT
local t, ls = require "harness", require "lsengine"
local T = t.tests
local path = t.tmpname()

local function write(text, to)
  local f = assert(io.open(to or path, "wb"))
  f:write(text)
  f:close()
  return to or path
end
local function load(text, o) return ls.data.csv(write(text), o).train end

function T.columns_become_features_and_labels()
  local d = load("weight,kind,height\n4.5,cat,25\n9,dog,40\n3,cat,-2e1\n", { label = "kind", name = "pets" })
  t.equals(d.x:totable(), { { 4.5, 25 }, { 9, 40 }, { 3, -20 } })
  t.equals({ d.y:totable(), d.classes, d.class_names }, { { 0, 1, 0 }, 2, { [0] = "cat", "dog" } })
  t.equals(tostring(d), "pets: 3 rows of 2, 2 classes (cat, dog)")
  t.equals(load("a;b\n1;2\n", { label = 2, classes = 3 }).y:totable(), { 2 })
  t.equals(load("1\t0\n2\t1\n", { label = 2 }).x:totable(), { { 1 }, { 2 } }) -- no header
  t.equals(load("1,0\n2,1\n", { label = 2, header = true, classes = 2 }).x:totable(), { { 2 } })
  t.equals(load("a|b\n1|0\n", { label = "b", separator = "|" }).x:totable(), { { 1 } })
  t.equals(load('"a,1","b"\r\n"1.5","x ""y"""\r\n\r\n', { label = "b" }).class_names, { [0] = 'x "y"' })
end

function T.the_name_is_the_file_s()
  local p = t.tmpname()
  os.rename(p, p .. ".dat.csv")
  write("a,b\n1,0\n", p .. ".dat.csv")
  t.equals(ls.data.csv(p .. ".dat.csv", { label = "b" }).name, p:match "[^/]*$" .. ".dat")
  os.remove(p .. ".dat.csv")
end

function T.labels_are_kept_or_numbered()
  local function labels(list, o)
    o = o or {}
    o.label = 2
    local rows = {}
    for i, label in ipairs(list) do rows[i] = "0," .. label end
    local d = load(table.concat(rows, "\n"), o)
    return { d.y:totable(), d.classes, d.class_names }
  end
  t.equals(labels{ 2, 0, 1, 1 }, { { 2, 0, 1, 1 }, 3 })
  t.equals(labels{ "+1", "00", "01" }, { { 1, 0, 1 }, 2 })
  t.equals(labels({ 2, 0 }, { classes = 4 }), { { 2, 0 }, 4 })
  t.equals(labels{ 1, 3, 2 }, { { 0, 2, 1 }, 3, { [0] = "1", "2", "3" } })
  t.equals(labels{ 10, 9, -1 }, { { 2, 1, 0 }, 3, { [0] = "-1", "9", "10" } }) -- in the order of numbers
  t.equals(labels{ "10", "9", "x" }, { { 0, 1, 2 }, 3, { [0] = "10", "9", "x" } }) -- of bytes
  t.equals(labels{ "b", "a", "B", "é" }, { { 2, 1, 0, 3 }, 4, { [0] = "B", "a", "b", "é" } })
  t.equals(labels({ "yes", "no" }, { classes = 2 }), { { 1, 0 }, 2, { [0] = "no", "yes" } })
  t.equals(labels{ "9223372036854775807", "-9223372036854775808" }, { { 1, 0 }, 2, { [0] = "-9223372036854775808", "9223372036854775807" } })
  t.fails(function() return labels({ "yes", "no" }, { classes = 3 }) end, "are 2 different ones, classes is 3: only labels from 0 to 2 may leave one out")
  t.fails(function() return labels({ 0, 1, 2 }, { classes = 2 }) end, "are 3 different ones, classes is 2")
end

function T.a_target_makes_a_regression()
  local d = load("a,b,c\n1,2,3.5\n4,5,-6\n", { target = "c", ignore = { "a" } })
  t.equals({ d.x:totable(), d.y:totable(), d.classes }, { { { 2 }, { 5 } }, { { 3.5 }, { -6 } } })
  t.equals(load("a,b,c\n1,2,3.5\n", { target = 1, ignore = { 2 } }).x:totable(), { { 3.5 } })
  local all = ls.data.csv("experiments/data/concrete/concrete.csv.gz", { target = "compressive_strength" })
  t.equals({ #all.train, all.train.x:size(2), all.name }, { 1030, 8, "concrete" })
  t.close(all.train.y[1][1], 79.99, 1e-5)
end

function T.what_is_wrong_is_named_by_line_and_column()
  local function fails(text, o, message)
    write(text)
    t.fails(function() return ls.data.csv(path, o) end, message, debug.getinfo(1, "l").currentline)
  end
  local head = "csv: " .. path .. ": "
  fails("a,b\n1,0\n\n?,1\n", { label = "b" }, head .. 'line 4, column 1 (a) holds "?", a number is required')
  fails("a,b\n1,0\n,1\n", { label = "b" }, head .. "line 3, column 1 (a) is empty, a number is required")
  fails("1,0\n1,\n", { label = 2 }, head .. "line 2, column 2 is empty, a label is required")
  fails("1,0\n1,x\n", { target = 2 }, head .. 'line 2, column 2 holds "x", a number is required')
  fails("1,0\n1e99,1\n", { label = 2 }, head .. "line 2, column 1 holds 1e99, beyond the range of float32")
  fails("a,b\n1,0,3\n", { label = 2 }, head .. "line 2 has 3 cells, the first has 2")
  fails("a,b\n1,\"0\n", { label = 2 }, head .. "line 2, column 2: the quote is not closed")
  fails("", { label = 2 }, head .. "there is no line with anything in it")
  fails("a,b\n1,0\0\n", { label = 2 }, head .. "line 2 holds a zero byte: this is no text")
  fails("a,b\n", { label = 2 }, "csv: " .. path .. " has a header but no rows")
end

function T.columns_that_are_not_there()
  write "a,b,b,c\n1,2,3,4\n"
  t.fails(function() return ls.data.csv(path, { label = "d" }) end, 'csv: label is the column "d", known are a, b, b, c', true)
  t.fails(function() return ls.data.csv(path, { label = "b" }) end, 'label is the column "b", and columns 2 and 3 of ' .. path .. " are called so", true)
  t.fails(function() return ls.data.csv(path, { label = 5 }) end, "label is column 5, " .. path .. " has columns 1 to 4", true)
  t.fails(function() return ls.data.csv(path, { label = 0 }) end, "label is column 0", true)
  t.fails(function() return ls.data.csv(path, { label = 1, ignore = { "x" } }) end, 'ignore[1] is the column "x"', true)
  t.fails(function() return ls.data.csv(path, { label = 1, ignore = { {} } }) end, "ignore[1] is a table, a column's name or number is required", true)
  t.fails(function() return ls.data.csv(path, { label = 1, ignore = { 2, "a" } }) end, "ignore[2] is the column of the label", true)
  t.fails(function() return ls.data.csv(path, { label = 1, ignore = { 2, 3, 4 } }) end, "has no column left for features", true)
  t.fails(function() return ls.data.csv(path, { label = "a", header = false }) end, 'label is the column "a", but ' .. path .. " has no header", true)
end

function T.options_that_make_no_sense()
  write "a,b\n1,0\n"
  t.fails(function() return ls.data.csv(path) end, "csv: option label (or target, for regression) is missing", true)
  t.fails(function() return ls.data.csv(path, { label = 1, target = 2 }) end, "label and target are given, one of them is required", true)
  t.fails(function() return ls.data.csv(path, { target = 2, classes = 2 }) end, "classes are of labels, and target is for regression", true)
  t.fails(function() return ls.data.csv(path, { label = 2, separator = "" }) end, 'separator is "", a string of one character is required', true)
  t.fails(function() return ls.data.csv(path, { label = 2, separator = ", " }) end, 'separator is ", "', true)
  t.fails(function() return ls.data.csv(path, { label = 2, separator = "." }) end, 'the separator is "."', true)
  t.fails(function() return ls.data.csv("/nowhere.csv", { label = 2 }) end, "csv: /nowhere.csv: No such file or directory", true)
  t.fails(function() return ls.data.csv("/", { label = 2 }) end, "csv: / is not a file", true)
  t.fails(function() return ls.data.csv("x\0y", { label = 2 }) end, "the file's name holds a zero byte", true)
end

function T.damaged_archives_are_refused()
  if not os.execute(("printf 'a,b\\n1,0\\n' | gzip -c > '%s' 2>/dev/null"):format(path)) then t.skip "gzip is not installed" end
  t.equals(ls.data.csv(path, { label = "b" }).train.x:item(), 1)
  local f = io.open(path, "rb")
  local packed = f:read "a"
  f:close()
  write(packed:sub(1, -5))
  t.fails(function() return ls.data.csv(path, { label = "b" }) end, "is truncated: its compressed data ends early", true)
end

function T.zz_clean_up() os.remove(path) end

t.run()
