-- Data sets from files: those that ship with lsengine, those that are installed. SPDX-License-Identifier: MIT
local raw     = require "lsengine.c.tensor"
local clabels = require "lsengine.c.labels"
local cdata   = require "lsengine.c.data"
local files   = require "lsengine.c.files"
local system  = require "lsengine.c.system"
local options = require "lsengine.options"
local data    = require "lsengine.data"
require "lsengine.data_classes"
local public  = require "lsengine.public"
local rng     = require "lsengine.random"
local raise   = public.raise

local data_files = {}

-- first: training rows of files that hold both parts.
local shipped = {
  digits    = { folder = "optdigits", x = "optdigits-images-idx3-ubyte.gz", y = "optdigits-labels-idx1-ubyte.gz", first = 1198, classes = 10, image = 16 },
  letter    = { folder = "letter", x = "letter-features-idx2-ubyte.gz", y = "letter-labels-idx1-ubyte.gz", first = 16000, classes = 26,
    names = "A,B,C,D,E,F,G,H,I,J,K,L,M,N,O,P,Q,R,S,T,U,V,W,X,Y,Z" },
  satellite = { folder = "satellite", x = "satellite-features-idx2-ubyte.gz", y = "satellite-labels-idx1-ubyte.gz", first = 4435, classes = 6,
    names = "red soil,cotton crop,grey soil,damp grey soil,vegetation stubble,very damp grey soil" },
  concrete  = { folder = "concrete", x = "concrete.csv.gz", test = 206 },
}
-- Files of CIFAR's binary version; inner: the folder that its archive makes.
local cifar = {
  ["cifar-10"]  = { inner = "cifar-10-batches-bin", archive = "cifar-10-binary.tar.gz", classes = 10, test = { "test_batch.bin" },
    train = { "data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin" },
    names = "airplane,automobile,bird,cat,deer,dog,frog,horse,ship,truck" },
  ["cifar-100"] = { inner = "cifar-100-binary", archive = "cifar-100-binary.tar.gz", train = { "train.bin" }, test = { "test.bin" } },
}
local FASHION = "/usr/share/datasets/fashion-mnist" -- where Debian's package puts it, or near it: looked for below

local FASHION_NAMES = "T-shirt/top,Trouser,Pullover,Dress,Coat,Sandal,Shirt,Sneaker,Bag,Ankle boot"

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

local home = os.getenv "HOME"

-- Where CIFAR's files may be.
local function cifar_folders(name)
  local list = {}
  for _, base in ipairs{ "/usr/share/datasets", "/usr/local/share/datasets", home and home .. "/.local/share/lsengine" or nil } do
    list[#list + 1] = ("%s/%s"):format(base, name)
    list[#list + 1] = ("%s/%s"):format(base, cifar[name].inner)
  end
  return list
end

-- The folder below one of these that holds the first training file.
local function cifar_folder(name, folders)
  for _, folder in ipairs(folders) do
    for _, place in ipairs{ folder, ("%s/%s"):format(folder, cifar[name].inner) } do
      if files.readable(("%s/%s"):format(place, cifar[name].train[1])) then return place end
    end
  end
end

local known = { "cifar-10", "cifar-100", "concrete", "digits", "fashion-mnist", "letter", "satellite" }

-- { name =, available =, where =, hint = } for each data set that the library knows.
function data_files.catalogue()
  local list = {}
  for _, name in ipairs(known) do
    local where, hint
    if shipped[name] then
      where, hint = find(shipped[name].folder, shipped[name].x), "part of lsengine's installation"
      where = where and where:match "(.*)/"
    elseif cifar[name] then
      where, hint = cifar_folder(name, cifar_folders(name)), "lsengine help ls.data.load"
    else
      where, hint = fashion_folder(), "apt install dataset-fashion-mnist"
    end
    list[#list + 1] = { name = name, available = where ~= nil, where = where, hint = hint }
  end
  return list
end

-- The file that a shipped set is in.
local function shipped_file(name, file)
  local path = find(shipped[name].folder, file)
  if not path then
    raise("load", ("the data set %s is not where lsengine was installed (looked in %s)"):format(name, table.concat(system.data_paths(), ", ")))
  end
  return path
end

-- { [0] = "A", "B" } for "A,B".
local function names(text)
  local list, k = {}, 0
  for name in text:gmatch "[^,]+" do
    list[k] = name
    k = k + 1
  end
  return list
end

local function load_labelled(name, spec, as_is)
  local x, y = files.load("load", shipped_file(name, spec.x)), files.load("load", shipped_file(name, spec.y))
  local n = #y
  local train = data.set{ name = name, x = raw.narrow(x, 1, 1, spec.first), y = clabels.narrow(y, 1, spec.first) }
  local test = data.set{ name = name, x = raw.narrow(x, 1, spec.first + 1, n - spec.first), y = clabels.narrow(y, spec.first + 1, n - spec.first) }
  for _, p in ipairs{ train, test } do
    p.classes, p.class_names = spec.classes, spec.names and names(spec.names)
    if spec.image and not as_is then p.x = raw.reshape(raw.mul(p.x, 1 / spec.image), #p.y, 1, raw.size(p.x, 2), raw.size(p.x, 3)) end
  end
  return train, test, not spec.image
end

-- Its authors give no split: test rows are the first of a permutation whose stream docs/streams.md names.
local function load_concrete(name, spec)
  local path = shipped_file(name, spec.x)
  local bytes = files.read("load", path)
  local columns = cdata.csv_open("load", path, bytes).columns
  local all = data.set{ name = name, x = cdata.csv_numbers("load", path, bytes, nil, nil, clabels.range(1, columns - 1)),
    y = cdata.csv_numbers("load", path, bytes, nil, nil, { columns }) }
  local order = rng(0):spawn("test rows of " .. name):permutation(#all.y)
  return all:subset(clabels.narrow(order, spec.test + 1, #order - spec.test)), all:subset(clabels.narrow(order, 1, spec.test)), true
end

local function load_fashion(name, as_is)
  local folder = fashion_folder()
  if not folder then raise("load", "fashion-mnist is not installed: apt install dataset-fashion-mnist (Debian), then run again") end
  local parts = {}
  for i, prefix in ipairs { "train", "t10k" } do
    local x = files.load("load", ("%s/%s-images-idx3-ubyte.gz"):format(folder, prefix))
    local y = files.load("load", ("%s/%s-labels-idx1-ubyte.gz"):format(folder, prefix))
    if not as_is then x = raw.reshape(raw.mul_(x, 1 / 255), #y, 1, 28, 28) end
    parts[i] = data.set{ name = name, x = x, y = y, classes = 10, class_names = names(FASHION_NAMES) }
  end
  return parts[1], parts[2]
end

-- Names of classes from the text file that the archive holds, a line for each; nil where it does not.
local function names_in(path, classes)
  if not files.readable(path) then return nil end
  local list, k = {}, 0
  for name in files.read("load", path):gmatch "[^\r\n]+" do
    list[k] = name
    k = k + 1
  end
  return k == classes and list or nil
end

local function load_cifar(name, o)
  local spec = cifar[name]
  local folders = o.folder and { o.folder } or cifar_folders(name)
  local folder = cifar_folder(name, folders)
  if not folder then
    raise("load", ("%s is not here: %s/%s was looked for. Its binary version, %s, is at https://www.cs.toronto.edu/~kriz/cifar.html; unpack it in %s, or say folder = \"…\"")
      :format(name, table.concat(folders, ", "), spec.train[1], spec.archive, home and home .. "/.local/share/lsengine" or "/usr/share/datasets"))
  end
  local coarse = o.labels == "coarse"
  local classes = spec.classes or coarse and 20 or 100
  local class_names = spec.names and names(spec.names) or names_in(("%s/%s_label_names.txt"):format(folder, coarse and "coarse" or "fine"), classes)
  local parts = {}
  for _, part in ipairs{ "train", "test" } do
    local paths = {}
    for i, file in ipairs(spec[part]) do paths[i] = ("%s/%s"):format(folder, file) end
    local x, y = cdata.cifar("load", paths, spec.classes and 1 or 2, (spec.classes or coarse) and 0 or 1)
    if not o.raw then raw.mul_(x, 1 / 255) end
    parts[part] = data.set{ name = name, x = x, y = y, classes = classes, class_names = class_names }
  end
  return parts.train, parts.test
end

public("ls.data.load", {
  doc = [[A data set by name. Ships with lsengine: digits (8×8 images of 10 digits), letter (16 features, 26 classes), satellite (36 features, 6
classes), concrete (regression: 8 features, compressive strength in MPa). From its Debian package: fashion-mnist (28×28 images, 10 classes).
From the files of their binary versions (https://www.cs.toronto.edu/~kriz/cifar.html), in the folder that is given, /usr/share/datasets or
~/.local/share/lsengine: cifar-10 and cifar-100 (3×32×32 images; 10 classes, 100 fine or 20 coarse ones).
Images come as N×C×H×W in 0 … 1, tables standardised by their training rows; train and test are the authors' parts. Concrete's give none: 206 of its
1030 rows, drawn once from a stream of their own, are the test part; y stays in MPa.]],
  returns = "data set with parts .train and .test",
  errors = "a data set that is not installed: the message says how to get it; a file that is truncated or damaged", example = 'local data = ls.data.load "satellite"',
  { "name", type = "string", choices = known, doc = "which" },
  options = {
    raw    = { type = "boolean", default = false, doc = "what the files hold, unscaled" },
    folder = { type = "string", doc = "where the files of cifar-10 or cifar-100 are" },
    labels = { type = "string", choices = { "fine", "coarse" }, doc = "of cifar-100: 100 classes, or the 20 that hold five of them each; fine unless said" },
  },
}, function(name, o)
  local spec = shipped[name]
  if o.folder and not cifar[name] then raise("load", ("folder is given, which cifar-10 and cifar-100 alone take, not %s"):format(name)) end
  if o.labels and name ~= "cifar-100" then raise("load", ("labels is given, which cifar-100 alone takes, not %s"):format(name)) end
  local load = name == "concrete" and load_concrete or load_labelled
  local train, test, is_table
  if spec then
    train, test, is_table = load(name, spec, o.raw)
  elseif cifar[name] then
    train, test = load_cifar(name, o)
  else
    train, test = load_fashion(name, o.raw)
  end
  local loaded = data.collection{ name = name, train = train, test = test }
  return is_table and not o.raw and loaded:standardise() or loaded
end)

-- ---- tables as text ----

-- The position of a column that is given by name or number.
local function column_of(path, info, option, given)
  local position = math.tointeger(given)
  if math.type(given) and position then
    if position < 1 or position > info.columns then
      raise("csv", ("%s is column %d, %s has columns 1 to %d"):format(option, position, path, info.columns))
    end
    return position
  end
  if type(given) ~= "string" then raise("csv", ("%s is %s, a column's name or number is required"):format(option, system.describe(given))) end
  if not info.names then raise("csv", ("%s is the column %q, but %s has no header: a number is required (or header = true)"):format(option, given, path)) end
  for i, name in ipairs(info.names) do
    if name == given then
      if position then raise("csv", ("%s is the column %q, and columns %d and %d of %s are called so"):format(option, given, position, i, path)) end
      position = i
    end
  end
  if not position then raise("csv", ("%s is the column %q, %s"):format(option, given, options.known_text(given, { table.unpack(info.names) }))) end
  return position
end

-- Order of bytes, whatever the locale.
local function before(a, b)
  if type(a) == "number" then return a < b end
  for i = 1, math.min(#a, #b) do
    local x, y = a:byte(i), b:byte(i)
    if x ~= y then return x < y end
  end
  return #a < #b
end

-- Labels, their number, and their names where they were numbered here.
local function labels_of(path, texts, numbers, integers, classes)
  local values, seen, sorted = integers or texts, {}, {}
  for _, value in ipairs(values) do
    if not seen[value] then sorted[#sorted + 1] = value end
    seen[value] = true
  end
  table.sort(sorted, before)
  local low, high = sorted[1], sorted[#sorted]
  if integers and low >= 0 and high < (classes or #sorted) then return clabels.map(numbers, values), classes or #sorted end
  if classes and classes ~= #sorted then
    raise("csv", ("the labels of %s are %d different ones, classes is %d: only labels from 0 to %d may leave one out"):format(path, #sorted, classes, classes - 1))
  end
  local number, called, mapping = {}, {}, {}
  for i, value in ipairs(sorted) do number[value], called[i - 1] = i - 1, tostring(value) end
  for i, value in ipairs(values) do mapping[i] = number[value] end
  return clabels.map(numbers, mapping), #sorted, called
end

public("ls.data.csv", {
  doc = [[A table from a CSV file (RFC 4180, plain or gzipped): every column but the label, the target and those that are ignored is a feature and must hold
numbers. Labels that are integers 0 … K-1 are kept; others, strings too, are numbered in their order, and class_names tells which is which. A target
instead of a label makes a data set for regression. All rows are training rows. Not given, the separator is whichever of comma, semicolon and
tab is most frequent in the first line, and the first line is a header if none of its cells is a number.]],
  returns = "data set with the part .train",
  errors = "a cell of a feature that is missing or no number: line and column are named; a line of another length, a quote that is not closed; a column that is not there",
  example = [[local file = io.open(folder .. "/pets.csv", "w")
file:write "weight,height,kind\n4.1,25,cat\n9.5,40,dog\n3.2,23,cat\n"
file:close()
local pets = ls.data.csv(folder .. "/pets.csv", { label = "kind" })
print(pets.class_names[1])   -- dog]],
  { "file", type = "string", doc = "the file's name" },
  options = {
    label     = { type = "string|integer", doc = "the column of labels: its name, or its number from 1" },
    target    = { type = "string|integer", doc = "the column of numbers to regress on, instead of labels" },
    header    = { type = "boolean", doc = "whether the first line names the columns; guessed unless said" },
    separator = { type = "string", doc = "one character; guessed unless said" },
    classes   = { type = "integer", min = 1, max = 2^31 - 1, doc = "how many there are, where the file may not hold them all" },
    ignore    = { type = "table", doc = "columns that are left out: names or numbers" },
    name      = { type = "string", doc = "how it is called in messages; the file's name without its ending unless said" },
  },
}, function(path, o)
  local who = "csv"
  if not o.label == not o.target then
    raise(who, o.label and "label and target are given, one of them is required" or "option label (or target, for regression) is missing")
  end
  if o.target and o.classes then raise(who, "classes are of labels, and target is for regression") end
  local bytes = files.read(who, path)
  local function read(f, ...) return f(who, path, bytes, o.separator, o.header, ...) end
  local info, left_out, features = read(cdata.csv_open), {}, {}
  if info.rows == 0 then raise(who, ("%s has a header but no rows (header = false if that is one)"):format(path)) end
  local column = column_of(path, info, o.label and "label" or "target", o.label or o.target)
  left_out[column] = true
  for i, given in ipairs(o.ignore or {}) do
    local position = column_of(path, info, ("ignore[%d]"):format(i), given)
    if position == column then raise(who, ("ignore[%d] is the column of the %s"):format(i, o.label and "label" or "target")) end
    left_out[position] = true
  end
  for i = 1, info.columns do if not left_out[i] then features[#features + 1] = i end end
  if #features == 0 then raise(who, ("%s has no column left for features"):format(path)) end
  local name = o.name or path:match "([^/]*)$":gsub("%.gz$", ""):gsub("(.)%.%w+$", "%1")
  local set = { name = name, x = read(cdata.csv_numbers, features) }
  if o.target then
    set.y = read(cdata.csv_numbers, { column })
  else
    local texts, numbers, integers = read(cdata.csv_column, column)
    set.y, set.classes, set.class_names = labels_of(path, texts, numbers, integers, o.classes)
  end
  return data.collection{ name = name, train = data.set(set) }
end)

return data_files
