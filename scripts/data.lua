-- Data sets. SPDX-License-Identifier: MIT
--
-- A data set has x (a tensor, one row for each example), y (labels), classes, name; a loaded one has the parts .train, .test
-- and, after split, .validation, each a data set again.
local raw     = require "lsengine.c.tensor"
local clabels = require "lsengine.c.labels"
local files   = require "lsengine.c.files"
local system  = require "lsengine.c.system"
local options = require "lsengine.options"
local public  = require "lsengine.public"
require "lsengine.labels"
local rng     = require "lsengine.random"
local raise   = public.raise

local data = {}

local Dataset, Collection = {}, {}
Dataset.__index, Dataset.__name = Dataset, "data set"
Collection.__index, Collection.__name = Collection, "data set with parts"
options.type("dataset", function(v) return getmetatable(v) == Dataset end, "a data set (data.train, data.test, …)")
options.type("collection", function(v) return getmetatable(v) == Collection end, "a data set with parts (ls.data.load …)")

function Dataset:__len() return #self.y end
function Dataset:__tostring()
  return ("%s: %d rows of %s, %d classes"):format(self.name, #self.y, (raw.shape_text(self.x):gsub("^%d+x?", "")), self.classes)
end
function Collection:__tostring()
  local lines = {}
  for _, part in ipairs { "train", "validation", "test" } do
    if self[part] then lines[#lines + 1] = ("%-11s%s"):format(part, tostring(self[part])) end
  end
  return table.concat(lines, "\n")
end

local function dataset(name, x, y, classes)
  return setmetatable({ name = name, x = x, y = y, classes = classes }, Dataset)
end

-- ---- batches ----

Dataset.batches = public("data:batches", {
  self = "dataset",
  doc = "Iterates over the rows in batches of x and y: in a random order from the stream's \"order\", or in their own without rng. The last one may be smaller.",
  returns = "an iterator for `for x, y in …`", example = "for x, y in data.train:batches(128, { rng = rng }) do print(x:mean(), #y) end",
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
    if not order then return raw.narrow(self.x, 1, first, count), clabels.narrow(self.y, first, count) end
    local rows = clabels.narrow(order, first, count)
    return raw.gather(self.x, rows), clabels.gather(self.y, rows)
  end
end)

Dataset.subset = public("data:subset", {
  self = "dataset",
  doc = "The rows at the given positions.", returns = "data set", example = "local few = data.train:subset(rng:permutation(100))",
  { "positions", type = "labels", doc = "from 1; they may repeat" },
}, function(self, positions)
  return dataset(self.name, raw.gather(self.x, positions), clabels.gather(self.y, positions), self.classes)
end)

-- ---- splitting ----

-- How many rows a fraction (below 1) or a count asks for.
local function rows_of(who, name, asked, n)
  local count = asked < 1 and math.floor(asked * n + 0.5) or math.tointeger(asked)
  if not count then raise(who, ("%s is %s, a fraction below 1 or a whole number of rows is required"):format(name, asked)) end
  if count < 1 or count >= n then
    raise(who, ("%s of %d rows takes %d, allowed is 1 to %d"):format(name, n, count, n - 1))
  end
  return count
end

local function take_apart(self, count, stream)
  local order = stream:permutation(#self.y)
  return self:subset(clabels.narrow(order, count + 1, #self.y - count)), self:subset(clabels.narrow(order, 1, count))
end

local part = function(what) return { type = "number", above = 0, doc = ("%s rows: a fraction below 1, or a count"):format(what) } end

Collection.split = public("data:split", {
  self = "collection",
  doc = [[Takes validation rows (and test rows, where there is no test part yet) out of the training rows at random. Without rng from a fixed
stream named by the data set: the same rows for every seed; with rng = rng, in a trial, they vary by seed.]],
  returns = "data set with parts .train, .validation, .test",
  errors = "a part that is there already; a fraction or count that leaves a part without rows", example = 'local data = ls.data.load("satellite"):split{ validation = 0.2 }',
  options = {
    validation = part "validation",
    test       = part "test",
    rng        = { type = "rng", doc = "where the choice comes from" },
  },
}, function(self, o)
  local new = setmetatable({ name = self.name, classes = self.classes, train = self.train, test = self.test, validation = self.validation }, Collection)
  local stream = (o.rng or rng(0):spawn("split of " .. self.name)):spawn "split"
  new.split_varies = o.rng ~= nil
  for _, name in ipairs { "test", "validation" } do
    if o[name] then
      if new[name] then raise("split", ("%s has a %s part already"):format(self.name, name)) end
      new.train, new[name] = take_apart(new.train, rows_of("split", name, o[name], #new.train.y), stream)
    end
  end
  return new
end)

-- ---- what can be loaded ----

-- first: training rows of files that hold both parts.
local shipped = {
  digits    = { folder = "optdigits", x = "optdigits-images-idx3-ubyte.gz", y = "optdigits-labels-idx1-ubyte.gz", first = 1198, classes = 10, image = 16 },
  letter    = { folder = "letter", x = "letter-features-idx2-ubyte.gz", y = "letter-labels-idx1-ubyte.gz", first = 16000, classes = 26 },
  satellite = { folder = "satellite", x = "satellite-features-idx2-ubyte.gz", y = "satellite-labels-idx1-ubyte.gz", first = 4435, classes = 6 },
}
local FASHION = "/usr/share/datasets/fashion-mnist" -- where Debian's package puts it, or near it: looked for below

local function find(folder, file)
  for _, path in ipairs(system.data_paths()) do
    local full = ("%s/%s/%s"):format(path, folder, file)
    if files.readable(full) then return full end
  end
end

local function fashion_folder()
  for _, folder in ipairs { FASHION, "/usr/share/dataset-fashion-mnist", "/usr/share/fashion-mnist", "/usr/share/dataset/fashion-mnist" } do
    if files.readable(folder .. "/train-images-idx3-ubyte.gz") then return folder end
  end
end

local known = { "digits", "fashion-mnist", "letter", "satellite" }

-- { name =, available =, where =, hint = } for each data set that the library knows.
function data.catalogue()
  local list = {}
  for _, name in ipairs(known) do
    local where
    if shipped[name] then
      where = find(shipped[name].folder, shipped[name].x)
      where = where and where:match "(.*)/"
    else
      where = fashion_folder()
    end
    list[#list + 1] = { name = name, available = where ~= nil, where = where,
      hint = name == "fashion-mnist" and "apt install dataset-fashion-mnist" or "part of lsengine's installation" }
  end
  return list
end

local function standardise(train, test)
  local x = train.x
  local mean = raw.mul(raw.sum(x, 1, true), 1 / #train.y)
  local centred = raw.sub(x, mean)
  local deviation = raw.sqrt(raw.mul(raw.sum(raw.square(centred), 1, true), 1 / #train.y))
  local inverse = raw.reciprocal(raw.add(deviation, raw.eq(deviation, 0))) -- a constant column stays 0
  train.x = raw.mul_(centred, inverse)
  test.x = raw.mul_(raw.sub(test.x, mean), inverse)
end

local function load_shipped(name, spec, as_is)
  local x_path, y_path = find(spec.folder, spec.x), find(spec.folder, spec.y)
  if not x_path or not y_path then
    raise("load", ("the data set %s is not where lsengine was installed (looked in %s)"):format(name, table.concat(system.data_paths(), ", ")))
  end
  local x, y = files.load("load", x_path), files.load("load", y_path)
  local n = #y
  local train = dataset(name, raw.narrow(x, 1, 1, spec.first), clabels.narrow(y, 1, spec.first), spec.classes)
  local test = dataset(name, raw.narrow(x, 1, spec.first + 1, n - spec.first), clabels.narrow(y, spec.first + 1, n - spec.first), spec.classes)
  if as_is then return train, test end
  if spec.image then
    for _, p in ipairs { train, test } do
      p.x = raw.reshape(raw.mul(p.x, 1 / spec.image), #p.y, 1, raw.size(p.x, 2), raw.size(p.x, 3))
    end
  else
    standardise(train, test)
  end
  return train, test
end

local function load_fashion(as_is)
  local folder = fashion_folder()
  if not folder then raise("load", "fashion-mnist is not installed: apt install dataset-fashion-mnist (Debian), then run again") end
  local parts = {}
  for i, prefix in ipairs { "train", "t10k" } do
    local x = files.load("load", ("%s/%s-images-idx3-ubyte.gz"):format(folder, prefix))
    local y = files.load("load", ("%s/%s-labels-idx1-ubyte.gz"):format(folder, prefix))
    if not as_is then x = raw.reshape(raw.mul_(x, 1 / 255), #y, 1, 28, 28) end
    parts[i] = dataset("fashion-mnist", x, y, 10)
  end
  return parts[1], parts[2]
end

data.load = public("ls.data.load", {
  doc = [[A data set by name. Ships with lsengine: digits (8×8 images of 10 digits), letter (16 features, 26 classes), satellite (36 features, 6
classes). From its Debian package: fashion-mnist (28×28 images, 10 classes). Images come as N×C×H×W in 0 … 1, tables standardised by
their training rows; train and test are the authors' parts.]],
  returns = "data set with parts .train and .test",
  errors = "a data set that is not installed: the message says how to get it", example = 'local data = ls.data.load "satellite"',
  { "name", type = "string", choices = known, doc = "which" },
  options = { raw = { type = "boolean", default = false, doc = "what the files hold, unscaled" } },
}, function(name, o)
  local train, test
  if shipped[name] then train, test = load_shipped(name, shipped[name], o.raw) else train, test = load_fashion(o.raw) end
  return setmetatable({ name = name, classes = train.classes, train = train, test = test }, Collection)
end)

data.new = public("ls.data.new", {
  doc = "A data set of one's own: rows and their labels. All are training rows; split takes validation and test rows out of them.",
  returns = "data set with the part .train", errors = "another number of labels than rows, a label that is no class",
  example = "local mine = ls.data.new{ x = ls.tensor.randn(500, 12, { rng = rng }), y = rng:integers(0, 3, 500), classes = 4 }:split{ test = 0.2 }",
  options = {
    x       = { type = "tensor", required = true, doc = "the first axis counts the rows" },
    y       = { type = "labels", required = true, doc = "a label for each row" },
    classes = { type = "integer", required = true, min = 1, max = 2^31 - 1, doc = "labels are 0 … classes-1" },
    name    = { type = "string", default = "data", doc = "how it is called in messages; names the stream of a split" },
  },
}, function(o)
  local y, rows = clabels.from(o.y), raw.rank(o.x) > 0 and raw.size(o.x, 1)
  if rows ~= #y then raise("new", ("x has %s rows but y has %d labels"):format(rows or "no axis for", #y)) end
  for i = 1, #y do
    if y[i] < 0 or y[i] >= o.classes then raise("new", ("y[%d] is %d, allowed is 0 to %d"):format(i, y[i], o.classes - 1)) end
  end
  return setmetatable({ name = o.name, classes = o.classes, train = dataset(o.name, raw.contiguous(o.x), y, o.classes) }, Collection)
end)

return data
