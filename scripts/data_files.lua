-- Data sets from files: those that ship with lsengine, those that are installed. SPDX-License-Identifier: MIT
local raw     = require "lsengine.c.tensor"
local clabels = require "lsengine.c.labels"
local cdata   = require "lsengine.c.data"
local files   = require "lsengine.c.files"
local system  = require "lsengine.c.system"
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

local known = { "concrete", "digits", "fashion-mnist", "letter", "satellite" }

-- { name =, available =, where =, hint = } for each data set that the library knows.
function data_files.catalogue()
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

public("ls.data.load", {
  doc = [[A data set by name. Ships with lsengine: digits (8×8 images of 10 digits), letter (16 features, 26 classes), satellite (36 features, 6
classes), concrete (regression: 8 features, compressive strength in MPa). From its Debian package: fashion-mnist (28×28 images, 10 classes).
Images come as N×C×H×W in 0 … 1, tables standardised by their training rows; train and test are the authors' parts. Concrete's give none: 206 of its
1030 rows, drawn once from a stream of their own, are the test part; y stays in MPa.]],
  returns = "data set with parts .train and .test",
  errors = "a data set that is not installed: the message says how to get it", example = 'local data = ls.data.load "satellite"',
  { "name", type = "string", choices = known, doc = "which" },
  options = { raw = { type = "boolean", default = false, doc = "what the files hold, unscaled" } },
}, function(name, o)
  local spec = shipped[name]
  local load = name == "concrete" and load_concrete or load_labelled
  local train, test, is_table
  if spec then train, test, is_table = load(name, spec, o.raw) else train, test = load_fashion(name, o.raw) end
  local loaded = data.collection{ name = name, train = train, test = test }
  return is_table and not o.raw and loaded:standardise() or loaded
end)

return data_files
