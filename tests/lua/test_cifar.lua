-- CIFAR's binary version, from small files in its format. SPDX-License-Identifier: MIT
local t, ls = require "harness", require "lsengine"
local json  = require "lsengine.c.json"
local T = t.tests
local base = t.tmpname()
os.remove(base)
local made = {}

local function write(path, bytes)
  local f = assert(io.open(path, "wb"))
  f:write(bytes)
  f:close()
  made[#made + 1] = path
end
local function folder(name)
  local path = ("%s/%s"):format(base, name)
  json.make_folder(path)
  return path
end

-- The image number i: channel c is i + 10 c everywhere but for its first row, which counts the columns.
local function image(i)
  local planes = {}
  for c = 1, 3 do
    local row = {}
    for x = 0, 31 do row[x + 1] = string.char(x) end
    planes[c] = table.concat(row) .. string.char(i + 10 * c):rep(31 * 32)
  end
  return table.concat(planes)
end
local function ten(where)
  for b = 1, 5 do write(("%s/data_batch_%d.bin"):format(where, b), string.char(b) .. image(2 * b) .. string.char(9) .. image(2 * b + 1)) end
  write(where .. "/test_batch.bin", "\0" .. image(100) .. "\5" .. image(101) .. "\7" .. image(102))
  return where
end
local function hundred(where)
  write(where .. "/train.bin", "\19\99" .. image(1) .. "\0\7" .. image(2))
  write(where .. "/test.bin", "\3\42" .. image(3))
  return where
end

function T.cifar_10_is_read_in_order()
  local where = ten(folder "ten")
  local d, raw = ls.data.load("cifar-10", { folder = where }), ls.data.load("cifar-10", { folder = where, raw = true })
  t.equals({ d.train.x:shape(), d.test.x:shape(), d.classes }, { { 10, 3, 32, 32 }, { 3, 3, 32, 32 }, 10 })
  t.equals({ d.train.y:totable(), d.test.y:totable() }, { { 1, 9, 2, 9, 3, 9, 4, 9, 5, 9 }, { 0, 5, 7 } })
  for i = 1, 10 do
    for c = 1, 3 do
      t.equals(raw.train.x[i][c][2]:min():item(), i + 1 + 10 * c)
      t.equals(raw.train.x[i][c][32]:max():item(), i + 1 + 10 * c)
      t.equals({ raw.train.x[i][c][1][1], raw.train.x[i][c][1][32] }, { 0, 31 })
    end
  end
  t.is_true((d.train.x * 255 - raw.train.x):abs():max():item() < 1e-4)
  t.equals({ d.class_names[0], d.class_names[9] }, { "airplane", "truck" })
  t.equals(d:standardise().train.x:size(2), 3)
end

function T.the_archive_s_own_folder_is_found_within()
  local outer = folder "outer"
  ten(folder "outer/cifar-10-batches-bin")
  t.equals(#ls.data.load("cifar-10", { folder = outer }).train, 10)
end

function T.cifar_100_has_fine_and_coarse_labels()
  local where = hundred(folder "hundred")
  local fine, coarse = ls.data.load("cifar-100", { folder = where }), ls.data.load("cifar-100", { folder = where, labels = "coarse" })
  t.equals({ fine.train.y:totable(), fine.test.y:totable(), fine.classes, fine.class_names }, { { 99, 7 }, { 42 }, 100 })
  t.equals({ coarse.train.y:totable(), coarse.test.y:totable(), coarse.classes }, { { 19, 0 }, { 3 }, 20 })
  t.is_true(ls.data.load("cifar-100", { folder = where, labels = "fine" }).train.y == fine.train.y)
  t.equals(fine.train.x:hash(), coarse.train.x:hash())
  local names = {}
  for k = 1, 20 do names[k] = "group " .. k end
  write(where .. "/coarse_label_names.txt", table.concat(names, "\n") .. "\n")
  write(where .. "/fine_label_names.txt", "apple\nbee\n") -- not of 100: passed over
  t.equals(ls.data.load("cifar-100", { folder = where, labels = "coarse" }).class_names[19], "group 20")
  t.equals(ls.data.load("cifar-100", { folder = where }).class_names, nil)
end

function T.damaged_files_are_named()
  local where = ten(folder "damaged")
  local function fails(file, bytes, message)
    ten(where)
    write(where .. "/" .. file, bytes)
    local line = t.line() + 1
    t.fails(function() return ls.data.load("cifar-10", { folder = where }) end, ("load: %s/%s: %s"):format(where, file, message), line)
  end
  fails("data_batch_3.bin", ("\1" .. image(1)):sub(1, -2), "CIFAR file has 3072 bytes, a multiple of 3073 is required: it is truncated, or not of the binary version")
  fails("data_batch_3.bin", "\1" .. image(1) .. "x", "CIFAR file has 3074 bytes")
  fails("data_batch_3.bin", "", "CIFAR file has 0 bytes")
  fails("test_batch.bin", "\1" .. image(1) .. "\10" .. image(2), "the label of image 2 is 10, allowed is 0 to 9")
  ten(where)
  os.remove(where .. "/data_batch_4.bin")
  t.fails(function() return ls.data.load("cifar-10", { folder = where }) end, "data_batch_4.bin: No such file or directory", true)
  local other = hundred(folder "damaged100")
  write(other .. "/test.bin", "\3\100" .. image(3))
  t.fails(function() return ls.data.load("cifar-100", { folder = other }) end, "the fine label of image 1 is 100, allowed is 0 to 99", true)
  t.fails(function() return ls.data.load("cifar-100", { folder = where }) end, "cifar-100 is not here: " .. where .. "/train.bin was looked for", true)
  -- a gzipped file that unpacks to more than any of these files holds
  if os.execute(("head -c 200000000 /dev/zero | gzip -c > '%s/train.bin' 2>/dev/null"):format(other)) then
    t.fails(function() return ls.data.load("cifar-100", { folder = other }) end, "train.bin holds or unpacks to more than 153.7 MB", true)
  end
end

function T.what_is_not_installed_says_how_to_get_it()
  for _, set in ipairs(require "lsengine.data".catalogue()) do
    if set.name:find "cifar" and not set.available then
      local message = t.fails(function() return ls.data.load(set.name) end, ("%s-binary.tar.gz, is at https://www.cs.toronto.edu/~kriz/cifar.html"):format(set.name), true)
      t.is_true(message:find("/usr/share/datasets/" .. set.name, 1, true) ~= nil)
    end
  end
  t.fails(function() return ls.data.load("cifar-10", { folder = "/nowhere" }) end, "/nowhere/data_batch_1.bin was looked for", true)
  t.fails(function() return ls.data.load("digits", { folder = "/" }) end, "folder is given, which cifar-10 and cifar-100 alone take, not digits", true)
  t.fails(function() return ls.data.load("cifar-10", { labels = "coarse" }) end, "labels is given, which cifar-100 alone takes, not cifar-10", true)
  t.fails(function() return ls.data.load("cifar-100", { labels = "rough" }) end, 'labels is "rough", allowed are fine, coarse', true)
  t.fails(function() return ls.data.load("cifar-10", { folder = "x\0y" }) end, "zero byte", true)
end

function T.zz_clean_up()
  for _, path in ipairs(made) do os.remove(path) end
  for _, name in ipairs{ "ten", "outer/cifar-10-batches-bin", "outer", "hundred", "damaged", "damaged100", "" } do os.remove(base .. "/" .. name) end
  t.equals(io.open(base), nil)
end

t.run()
