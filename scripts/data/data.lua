-- Data sets. SPDX-License-Identifier: MIT
--
-- A data set has x (a tensor, one row for each example), y (labels, or a float tensor N×1 to regress on), classes (nil for regression),
-- name, class_names where they are known ([0] = …); a loaded one has the parts .train, .test and, after split, .validation, each a data set
-- again. What is done with classes is in data_classes.lua, loading in data_files.lua.
local raw     = require "lsengine.c.tensor"
local clabels = require "lsengine.c.labels"
local cdata   = require "lsengine.c.data"
local options = require "lsengine.options"
local public  = require "lsengine.public"
require "lsengine.labels"
require "lsengine.tensor"
local rng     = require "lsengine.random"
local system  = require "lsengine.c.system"
local grad    = require "lsengine.c.autograd"
local provenance = require "lsengine.provenance"
local raise   = public.raise

local Dataset, Collection = {}, {}
local data = { Dataset = Dataset, Collection = Collection, parts = { "train", "validation", "test" } }

Dataset.__index, Dataset.__name = Dataset, "data set"
Collection.__index, Collection.__name = Collection, "data set with parts"
options.type("dataset", function(v) return getmetatable(v) == Dataset end, "a data set (data.train, data.test, …)")
options.type("collection", function(v) return getmetatable(v) == Collection end, "a data set with parts (ls.data.load …)")

-- "6 classes (red soil, cotton crop, …)"
local function classes_text(self)
  local text = ("%d classes"):format(self.classes)
  if not self.class_names then return text end
  local list, length = {}, 0
  for k = 0, self.classes - 1 do
    list[#list + 1] = self.class_names[k]
    length = length + #self.class_names[k] + 2
    if length > 60 and k < self.classes - 1 then list[#list + 1] = "…" break end
  end
  return ("%s (%s)"):format(text, table.concat(list, ", "))
end

function Dataset:__len() return #self.y end
function Dataset:__tostring()
  local what = self.classes and classes_text(self) or "regression"
  if self.flipped then what = ("%s, %.1f %% of the labels flipped"):format(what, 100 * self.flipped / math.max(1, #self.y)) end
  return ("%s: %d rows of %s, %s"):format(self.name, #self.y, (raw.shape_text(self.x):gsub("^%d+x?", "")), what)
end
function Collection:__tostring()
  local lines = {}
  for _, part in ipairs(data.parts) do
    if self[part] then lines[#lines + 1] = ("%-11s%s"):format(part, tostring(self[part])) end
  end
  return table.concat(lines, "\n")
end

-- A data set from { name =, x =, y =, classes =, … }; a collection from { name =, train =, … }.
function data.set(fields)
  provenance.rows_of(fields.x, fields)
  return setmetatable(fields, Dataset)
end
function data.collection(fields)
  fields.classes, fields.class_names = fields.train.classes, fields.train.class_names
  return setmetatable(fields, Collection)
end

-- Names of classes as a table of their own, [0] to [classes-1].
function data.names(who, given, classes)
  local names = {}
  for k in pairs(given) do
    if math.type(k) ~= "integer" or k < 0 or k >= classes then
      raise(who, ("class_names names class %s, classes are 0 to %d"):format(system.describe(k), classes - 1))
    end
  end
  for k = 0, classes - 1 do
    if type(given[k]) ~= "string" then raise(who, ("class_names[%d] is %s, a string is required"):format(k, system.describe(given[k]))) end
    names[k] = given[k]
  end
  return names
end

-- The same with some fields changed.
function data.changed(self, fields)
  local new = {}
  for key, value in pairs(self) do new[key] = value end
  for key, value in pairs(fields) do new[key] = value end
  provenance.rows_of(new.x, new)
  return setmetatable(new, getmetatable(self))
end

-- Rows of y, be they labels or numbers.
local function gather(y, rows) return (raw.is_tensor(y) and raw or clabels).gather(y, rows) end
local function narrow(y, first, count)
  if raw.is_tensor(y) then return raw.narrow(y, 1, first, count) end
  return clabels.narrow(y, first, count)
end

-- ---- batches ----

data.gather = gather

Dataset.batches = public("data:batches", {
  self = "dataset",
  doc = "Iterates over the rows in batches of x, y and their positions in the data set (from 1): in a random order from the stream's \"order\", or in their own without rng. The last one may be smaller.",
  returns = "an iterator for `for x, y in …`, or `for x, y, rows in …`", example = "for x, y in data.train:batches(128, { rng = rng }) do print(x:mean(), #y) end",
  { "size", type = "integer", min = 1, max = 2^31 - 1, doc = "rows of a batch" },
  options = {
    rng       = { type = "rng", doc = "shuffles the rows" },
    drop_last = { type = "boolean", default = false, doc = "leave out a last batch that is smaller" },
  },
}, function(self, size, o)
  local n, at = #self.y, 0
  local order = o.rng and o.rng:spawn "order":permutation(n)
  return function()
    local count = math.min(size, n - at)
    if count <= 0 or o.drop_last and count < size then return nil end
    local first = at + 1
    at = at + count
    if not order then return narrow(self.x, first, count), narrow(self.y, first, count), clabels.range(first, at) end
    local rows = clabels.narrow(order, first, count)
    return gather(self.x, rows), gather(self.y, rows), rows
  end
end)

Dataset.subset = public("data:subset", {
  self = "dataset",
  doc = "The rows at the given positions.", returns = "data set", example = "local few = data.train:subset(rng:permutation(100))",
  { "positions", type = "labels", doc = "from 1; they may repeat" },
}, function(self, positions)
  local few = data.changed(self, { x = gather(self.x, positions), y = gather(self.y, positions) })
  if self.clean_y then
    few.clean_y = gather(self.clean_y, positions)
    few.flipped = cdata.differences("subset", few.y, few.clean_y)
  end
  return few
end)

-- ---- splitting ----

-- How many rows a fraction (below 1) of all rows, or a count, asks for, where n are left.
local function rows_of(who, name, asked, all, n)
  local count = asked < 1 and math.floor(asked * all + 0.5) or math.tointeger(asked)
  if not count then raise(who, ("%s is %s, a fraction below 1 or a whole number of rows is required"):format(name, asked)) end
  if count < 1 or count >= n then
    raise(who, ("%s of %d rows takes %d, allowed is 1 to %d"):format(name, n, count, n - 1))
  end
  return count
end

local function take_apart(self, count, stream, stratified)
  local order = stream:permutation(#self.y)
  if stratified then
    local taken, rest = cdata.stratify("split", self.y, self.classes, order, count)
    return self:subset(rest), self:subset(taken)
  end
  return self:subset(clabels.narrow(order, count + 1, #self.y - count)), self:subset(clabels.narrow(order, 1, count))
end

local part = function(what) return { type = "number", above = 0, doc = ("%s rows: a fraction (below 1) of the training rows as they are before the split, or a count"):format(what) } end

Collection.split = public("data:split", {
  self = "collection",
  doc = [[Takes validation rows (and test rows, where there is no test part yet) out of the training rows at random. Without rng from a fixed
stream named by the data set: the same rows for every seed; with rng = rng, in a trial, they vary by seed. Stratified, each class is taken in
proportion to its rows, by largest remainders: equal ones go to the lower class.]],
  returns = "data set with parts .train, .validation, .test",
  errors = "a part that is there already; a fraction or count that leaves a part without rows; stratified without classes",
  example = 'local data = ls.data.load("satellite"):split{ validation = 0.2 }',
  options = {
    validation = part "validation",
    test       = part "test",
    stratified = { type = "boolean", default = false, doc = "each class in proportion" },
    rng        = { type = "rng", doc = "where the choice comes from" },
  },
}, function(self, o)
  local new = data.changed(self, {})
  if o.stratified and not self.classes then raise("split", ("stratified needs classes, %s is a data set of regression"):format(self.name)) end
  local stream = (o.rng or rng(0):spawn("split of " .. self.name)):spawn "split"
  new.split_varies = o.rng ~= nil
  local all = #new.train.y
  for _, name in ipairs { "test", "validation" } do
    if o[name] then
      if new[name] then raise("split", ("%s has a %s part already"):format(self.name, name)) end
      new.train, new[name] = take_apart(new.train, rows_of("split", name, o[name], all, #new.train.y), stream, o.stratified)
    end
  end
  return new
end)

-- A tensor N or N×1 of finite numbers as the target of a regression, N×1.
function data.regression_target(who, y)
  local rank = raw.rank(y)
  if not (rank == 1 or rank == 2 and raw.size(y, 2) == 1) then
    raise(who, ("y is a tensor of shape %s, N or N×1 is required: one number to predict for each row"):format(raw.shape_text(y)))
  end
  local bad = raw.count_not_finite(y)
  if bad > 0 then raise(who, ("y holds %d numbers that are NaN or infinite"):format(bad)) end
  return raw.contiguous(raw.reshape(y, raw.size(y, 1), 1))
end

data.new = public("ls.data.new", {
  doc = [[A data set of one's own: rows and their labels, or, for regression, rows and a number for each: then y is a tensor N×1 (or N) and there are
no classes. All are training rows; split takes validation and test rows out of them.]],
  returns = "data set with the part .train", errors = "another number of labels than rows, a label that is no class, a target that is NaN or infinite",
  example = "local mine = ls.data.new{ x = ls.tensor.randn(500, 12, { rng = rng }), y = rng:integers(0, 3, 500), classes = 4 }:split{ test = 0.2 }",
  options = {
    x       = { type = "tensor", required = true, doc = "the first axis counts the rows" },
    y       = { type = "labels|tensor", required = true, doc = "a label for each row; a tensor N×1 of numbers for regression" },
    classes = { type = "integer", min = 1, max = 2^31 - 1, doc = "labels are 0 … classes-1; required with labels" },
    class_names = { type = "table", doc = "what the classes are called: { [0] = \"cat\", \"dog\" }" },
    name    = { type = "string", default = "data", doc = "how it is called in messages; names the stream of a split" },
  },
}, function(o)
  local rows, y = raw.rank(o.x) > 0 and raw.size(o.x, 1), o.y
  if raw.is_tensor(y) then
    if o.classes or o.class_names then raise("new", "y is a tensor, a target of regression, and classes are of labels: ls.labels{…} makes labels") end
    y = data.regression_target("new", y)
  else
    if not o.classes then raise("new", "option classes is missing: y holds labels") end
    y = clabels.from(y)
  end
  if rows ~= #y then raise("new", ("x has %s rows but y has %d %s"):format(rows or "no axis for", #y, o.classes and "labels" or "numbers")) end
  for i = 1, o.classes and #y or 0 do
    if y[i] < 0 or y[i] >= o.classes then raise("new", ("y[%d] is %d, allowed is 0 to %d"):format(i, y[i], o.classes - 1)) end
  end
  local names = o.class_names and data.names("new", o.class_names, o.classes)
  local train = data.set{ name = o.name, x = raw.contiguous(o.x), y = y, classes = o.classes, class_names = names }
  local tag = grad.tag(o.x)
  train.features_of = tag and tag.embedding and o.x or nil -- a model's features, as they were made
  return data.collection{ name = o.name, train = train }
end)

-- { name =, available =, where =, hint = } for each data set that the library knows.
function data.catalogue() return require "lsengine.data_files".catalogue() end

return data
