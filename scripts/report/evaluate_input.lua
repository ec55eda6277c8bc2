-- What `lsengine evaluate` reads: NPY, NPZ, CSV; checked, so that what is wrong is named with its row. SPDX-License-Identifier: MIT
local cdata   = require "lsengine.c.data"
local clabels = require "lsengine.c.labels"
local files   = require "lsengine.c.files"
local gnuplot = require "lsengine.gnuplot"
local public  = require "lsengine.public"
local raw     = require "lsengine.c.tensor"
require "lsengine.tensor"

local input = {}
local WHO = "evaluate"
local MOST_NAMES = 16 -- members that a message names

local function fail(...) public.raise(WHO, select("#", ...) > 1 and string.format(...) or (...)) end
input.fail = fail

local function shape_text(t) return table.concat(raw.shape(t), "×") end

-- The member of an archive: the one that is named, else that of the first name in `wanted`, else the only one.
local function choose_member(path, named, wanted)
  local names, known = files.members(WHO, path), {}
  for i, name in ipairs(names) do known[name] = true names[i] = gnuplot.text(name, 40) end
  if named then
    if not known[named] then fail("%s has no member %s; it has %s", path, gnuplot.text(named, 60), table.concat(names, ", ", 1, math.min(#names, MOST_NAMES))) end
    return named
  end
  for _, name in ipairs(wanted) do if known[name] then return name end end
  if #names == 1 then return files.members(WHO, path)[1] end
  if #names == 0 then fail("%s is an empty archive", path) end
  fail("%s has the members %s: name one, as %s:%s", path, table.concat(names, ", ", 1, math.min(#names, MOST_NAMES)), path, names[1])
end

local function split(argument)
  local path, member = argument:match "^(.*%.npz):([^/]+)$"
  return path or argument, member
end

local function is_csv(path) return path:find "%.csv$" or path:find "%.tsv$" or path:find "%.txt$" or path:find "%.csv%.gz$" or path:find "%.tsv%.gz$" end

local function load(argument, wanted)
  local path, member = split(argument)
  if not path:find "%.npz$" then return files.load(WHO, path), path end
  member = choose_member(path, member, wanted)
  return files.load(WHO, path, member)[member], path .. ":" .. gnuplot.text(member, 60)
end

-- Position, from 1, of the first row of a matrix in which `bad`, a tensor of 0 and 1, has a 1; nil for none. And the column.
local function first_marked(bad)
  if not (raw.sum(bad):item() > 0) then return nil end
  local by_row = raw.sum(bad, 2)
  local row
  for i = 1, raw.size(by_row, 1) do if by_row[i] > 0 then row = i break end end
  for j = 1, raw.size(bad, 2) do if bad[row][j] > 0 then return row, j end end
end

-- A matrix of numbers, N×K.
function input.matrix(argument, what, wanted)
  local value, name
  local path = split(argument)
  if is_csv(path) then
    local bytes = files.read(WHO, path)
    local info = cdata.csv_open(WHO, path, bytes)
    if info.rows == 0 then fail("%s has no rows", path) end
    value, name = cdata.csv_numbers(WHO, path, bytes, nil, nil, clabels.range(1, info.columns)), path
  else
    value, name = load(argument, wanted)
  end
  if clabels.is_labels(value) then fail("%s holds %d integers: that is one axis, as labels have; %s are N×K numbers", name, #value, what) end
  local rank = raw.rank(value)
  if rank ~= 2 then fail("%s is %s: %s are a matrix, a row for each example", name, rank == 0 and "a single number" or ("an array of %d axes (%s)"):format(rank, shape_text(value)), what) end
  if raw.size(value, 1) == 0 or raw.size(value, 2) == 0 then fail("%s is %s: it has no numbers", name, shape_text(value)) end
  local row, column = first_marked(raw.ne(value, value))
  if row then fail("%s: row %d (from 1), column %d is NaN", name, row, column) end
  return value, name
end

local function refuse_infinite(value, name, also_minus)
  local row, column = first_marked(raw.eq(also_minus and raw.abs(value) or value, math.huge))
  if row then fail("%s: row %d (from 1), column %d is %s", name, row, column, value[row][column] > 0 and "infinite (or beyond float32)" or "-infinite (or beyond float32)") end
end

local function in_unit(value)
  return raw.min(value):item() >= 0 and raw.max(value):item() <= 1
end

local function row_sums(value) return raw.sum(value, 2) end

-- Logits, or an error that names the other flag.
function input.logits(argument, wanted)
  local value, name = input.matrix(argument, "logits", wanted or { "logits", "predictions", "outputs" })
  refuse_infinite(value, name, false)
  if raw.size(value, 2) < 2 then fail("%s has one column: logits of at least two classes are required", name) end
  if in_unit(value) then
    local off = raw.max(raw.abs(raw.sub(row_sums(value), 1))):item()
    if off < 2e-3 then fail("%s holds probabilities, not logits: all numbers lie from 0 to 1 and every row sums to 1. Give it as --probabilities", name) end
  end
  return value, name
end

-- Probabilities whose rows sum to 1, and what was done to make them do so.
function input.probabilities(argument, wanted)
  local value, name = input.matrix(argument, "probabilities", wanted or { "probabilities", "probs", "predictions", "outputs" })
  if raw.size(value, 2) < 2 then fail("%s has one column: probabilities of at least two classes are required", name) end
  if not in_unit(value) then
    local row, column = first_marked(raw.add(raw.lt(value, 0), raw.gt(value, 1)))
    fail("%s: row %d (from 1), column %d is %.6g, no probability. If these are logits, give them as --logits", name, row, column, value[row][column])
  end
  local sums = row_sums(value)
  local off = raw.max(raw.abs(raw.sub(sums, 1))):item()
  if off > 1e-2 then
    for i = 1, raw.size(sums, 1) do
      if math.abs(sums[i] - 1) > 1e-2 then fail("%s: row %d (from 1) sums to %.6g, probabilities sum to 1", name, i, sums[i]) end
    end
  end
  if off <= 5e-5 then return value, name end
  return raw.div(value, raw.reshape(sums, raw.size(value, 1), 1)), name, ("rows of %s sum to 1 within %.2g only, as rounded numbers do: they were divided by their sums"):format(name, off)
end

-- A matrix of finite numbers.
function input.embeddings(argument, wanted)
  local value, name = input.matrix(argument, "embeddings", wanted)
  refuse_infinite(value, name, true)
  return value, name
end

local function label_column(path)
  local bytes = files.read(WHO, path)
  local info = cdata.csv_open(WHO, path, bytes)
  if info.rows == 0 then fail("%s has no rows", path) end
  if info.columns ~= 1 then fail("%s has %d columns: labels are one column of integers", path, info.columns) end
  local texts, numbers, integers = cdata.csv_column(WHO, path, bytes, nil, nil, 1)
  if not integers then
    for i = 1, #numbers do
      local text = texts[numbers[i]]
      if not text:find "^[+-]?%d+$" then fail("%s: row %d (from 1) is \"%s\": labels are integers", path, i, gnuplot.text(text, 40)) end
    end
    fail("%s holds an integer beyond 64 bits", path)
  end
  return clabels.map(numbers, integers)
end

-- Integer labels, one for each of `rows` rows, 0 … classes-1 where classes are given.
function input.labels(argument, rows, of, classes, wanted)
  local value, name
  local path = split(argument)
  if is_csv(path) then value, name = label_column(path), path else value, name = load(argument, wanted or { "labels", "targets", "y" }) end
  if not clabels.is_labels(value) then
    local shape = raw.shape(value)
    if #shape == 2 and shape[2] == 1 then fail("%s is %s: labels have one axis; in NumPy, labels.ravel()", name, shape_text(value)) end
    if #shape == 2 then fail("%s is %s: labels are one integer for each row; of one-hot rows, in NumPy, labels.argmax(1)", name, shape_text(value)) end
    fail("%s holds floats: labels are integers; in NumPy, labels.astype(\"int64\")", name)
  end
  if #value ~= rows then fail("%s has %d rows, %s has %d labels", of, rows, name, #value) end
  if not classes then return value, name end
  local low, high = clabels.extremes(value)
  if low < 0 or high >= classes then
    for i = 1, #value do
      if value[i] < 0 or value[i] >= classes then
        local hint = low >= 1 and high == classes and "; labels seem to count from 1: subtract 1" or ""
        fail("%s: row %d (from 1) has the label %d, %s has %d classes: 0 … %d%s", name, i, value[i], of, classes, classes - 1, hint)
      end
    end
  end
  return value, name
end

-- Names of classes: one a line. A table from [0].
function input.class_names(path, classes)
  local text = files.read(WHO, path)
  if #text > 10000000 then fail("%s has %d bytes: class names are one a line", path, #text) end
  local names, count = {}, 0
  for line in (text:gsub("^\u{FEFF}", "") .. "\n"):gmatch "([^\n]*)\n" do
    line = line:gsub("\r$", "")
    names[count] = gnuplot.text(line, 100)
    count = count + 1
  end
  while count > 0 and names[count - 1]:find "^%s*$" do
    count = count - 1
    names[count] = nil
  end
  if count ~= classes then fail("%s has %d class names (one a line), there are %d classes", path, count, classes) end
  return names
end

return input
