-- Files that are cut short, damaged, or lie about what they hold. SPDX-License-Identifier: MIT
local t, ls = require "harness", require "lsengine"
local T = t.tests
local base = t.tmpname()
local made = {}

local function path(ending)
  local p = base .. ending
  made[p] = true
  return p
end
local function write(p, bytes)
  local f = assert(io.open(p, "wb"))
  f:write(bytes)
  f:close()
  return p
end
local function read(p)
  local f = assert(io.open(p, "rb"))
  local bytes = f:read "a"
  f:close()
  return bytes
end

-- ---- archives by hand: entries { name =, data =, crc =, size =, flags =, packed = deflated data } ----

local function crc32(bytes)
  local crc = 0xffffffff
  for i = 1, #bytes do
    crc = crc ~ bytes:byte(i)
    for _ = 1, 8 do crc = crc & 1 == 1 and crc >> 1 ~ 0xedb88320 or crc >> 1 end
  end
  return crc ~ 0xffffffff
end

local function zip(entries)
  local out, central, at = {}, {}, 0
  for i, e in ipairs(entries) do
    local stored = e.packed or e.data
    local common = ("<I2I2I2I2I4I4I4I2I2"):pack(e.flags or 0, e.packed and 8 or 0, 0, 0x21, e.crc or crc32(e.data), #stored, e.size or #e.data, #e.name, 0)
    local head = ("<I4I2"):pack(0x04034b50, 20) .. common .. e.name
    central[i] = ("<I4I2I2"):pack(0x02014b50, 20, 20) .. common .. ("<I2I2I2I4I4"):pack(0, 0, 0, 0, at) .. e.name
    out[i] = head .. stored
    at = at + #out[i]
  end
  local directory = table.concat(central)
  return table.concat(out) .. directory .. ("<I4I2I2I2I2I4I4I2"):pack(0x06054b50, 0, 0, #entries, #entries, #directory, at, 0)
end

local function npy(header, body)
  header = header .. (" "):rep(63 - (#header + 10) % 64) .. "\n"
  return "\x93NUMPY\1\0" .. ("<I2"):pack(#header) .. header .. body
end
local function array(shape, body, descr) return npy(("{'descr': '%s', 'fortran_order': False, 'shape': %s, }"):format(descr or "<f4", shape), body) end

local good_npy = array("(2, 3)", ("f"):rep(6):pack(1, 2, 3, 4, 5, 6))
local good_idx = "\0\0\8\1\0\0\0\3\1\2\3"
local good_npz = zip{ { name = "a.npy", data = good_npy }, { name = "b.npy", data = array("(3,)", ("<i8"):rep(3):pack(1, 2, 3), "<i8") } }

local function gzip(bytes)
  local plain, packed = write(path ".plain", bytes), path ".packed"
  if not os.execute(("gzip -c '%s' > '%s' 2>/dev/null"):format(plain, packed)) then t.skip "gzip is not installed" end
  return read(packed)
end

-- The deflated data alone, and its checksum.
local function deflate(bytes)
  local plain, packed = write(path ".plain", bytes), path ".packed"
  if not os.execute(("gzip -n -c < '%s' > '%s' 2>/dev/null"):format(plain, packed)) then t.skip "gzip is not installed" end
  local all = read(packed)
  return all:sub(11, -9), ("<I4"):unpack(all:sub(-8, -5))
end

-- Loads and says whether that worked; a refusal must name the file and this test's line.
local here = debug.getinfo(1, "S").short_src
local function loads(p)
  local line = debug.getinfo(1, "l").currentline + 1
  local ok, message = pcall(function() return (ls.tensor.load(p)) end)
  if not ok then
    local start = ("%s:%d: load: %s"):format(here, line, p)
    if message:sub(1, #start) ~= start then error(("%q does not begin with %q"):format(message, start)) end
  end
  return ok, message
end

local function every_prefix(ending, bytes)
  local p = path(ending)
  t.is_true(loads(write(p, bytes)), "the whole file loads")
  for n = 0, #bytes - 1 do t.equals({ n, (loads(write(p, bytes:sub(1, n)))) }, { n, false }) end
end

-- Every bit turned over once: an error or other numbers, never a crash. Returns how many were refused.
local function every_bit(ending, bytes)
  local p, refused = path(ending), 0
  for i = 1, #bytes do
    for bit = 0, 7 do
      if not loads(write(p, bytes:sub(1, i - 1) .. string.char(bytes:byte(i) ~ 1 << bit) .. bytes:sub(i + 1))) then refused = refused + 1 end
    end
  end
  return refused
end

function T.prefixes_of_npy() every_prefix(".npy", good_npy) end
function T.prefixes_of_npz() every_prefix(".npz", good_npz) end
function T.prefixes_of_idx() every_prefix(".idx", good_idx) end
function T.prefixes_of_gz() every_prefix(".gz", gzip(good_idx)) end
function T.bits_of_npy() t.is_true(every_bit(".npy", good_npy) > 300) end
function T.bits_of_npz() t.is_true(every_bit(".npz", good_npz) > 2000) end
function T.bits_of_idx() t.is_true(every_bit(".idx", good_idx) > 50) end
function T.bits_of_gz() t.is_true(every_bit(".gz", gzip(good_idx)) > 100) end

local function refused(ending, bytes, text)
  local p = write(path(ending), bytes)
  local ok, message = loads(p)
  t.equals(ok, false)
  if not message:find(text, 1, true) then error(("%q is not in %q"):format(text, message)) end
end

function T.headers_that_promise_too_much()
  refused(".npy", array("(1099511627776,)", ""), "the NPY header is not a dictionary")
  refused(".npy", array("(2147483647, 2147483647)", ""), "the shape holds more than 2^46 elements")
  refused(".npy", array("(2147483647, 512)", ""), "its header promises 4398046509184: it is truncated")
  refused(".npy", array("(-1, 2)", ""), "the NPY header is not a dictionary")
  refused(".npy", array("(1, 1, 1, 1, 1, 1, 1, 1, 1)", "abcd"), "at most 8 dimensions")
  refused(".npy", array("(1,)", "abcd", "|O"), 'NPY elements of type "|O" are not read')
  refused(".npy", array("(1,)", "abcdefgh"), "followed by something else")
  refused(".npy", array("(1,)", ("<I8"):pack(1 << 63), "<u8"), "above 2^63-1")
  refused(".npy", "\x93NUMPY\3\0\255\255\255\255{", "NPY header of 4294967295 bytes, at most 65536 are read")
  refused(".npy", "\x93NUMPY\3\0\255\255\0\0{", "NPY file ends within its header: 13 bytes, 65547 are needed")
  refused(".npy", "\x93NUMPY\3\0\255\255", "NPY file ends within its header: 10 bytes, 12 are needed")
  refused(".idx", "\0\0\8\3\0\0\0\1\0\0\0", "IDX file ends within its header: 11 bytes, 16 are needed")
  refused(".idx", "\0\0\8\1\0\0\0\1ab", "the file has 10 bytes, its header promises 9: it is followed by something else")
  refused(".idx", "\0\0\8\4\127\255\255\255\127\255\255\255\127\255\255\255\127\255\255\255", "more than 2^46 elements")
  refused(".idx", "\0\0\8\1\255\255\255\255", "at most 2^31-1 is read")
  refused(".idx", "\0\0\8\255", "IDX file of 255 dimensions")
  refused(".idx", "\0\0\7\1\0\0\0\0", "IDX element type 0x07 is unknown")
  refused(".npz", zip{ { name = "a.npy", data = array("(1099511627776,)", "") } }, "the NPY header is not a dictionary")
  refused(".npz", zip{ { name = "a.npy", data = array("(1048576, 1048576)", "") } }, "its header promises 4398046511232: it is truncated")
end

function T.empty_shapes_in_files()
  local x = ls.tensor.load(write(path ".npy", array("(0, 2147483647, 2147483647, 2147483647)", "")))
  t.equals({ x:count(), x:rank() }, { 0, 4 })
  t.equals(ls.tensor.load(write(path ".npy", array("()", ("f"):pack(3)))):item(), 3)
  t.equals(#ls.tensor.load(write(path ".npy", array("(0,)", "", "<i8"))), 0)
end

function T.archives_that_lie()
  refused(".npz", "", "is not an NPZ archive")
  refused(".npz", zip{ { name = "a.npy", data = good_npy, crc = 1 } }, "a.npy is damaged: CRC error")
  refused(".npz", zip{ { name = "a.npy", data = good_npy, flags = 1 } }, "a.npy cannot be read")
  refused(".npz", zip{ { name = "a.npy", data = good_npy, size = 0xfffffff0 } }, "a.npy has 4294967280 bytes, its header promises 152: it is followed by something else")
  refused(".npz", zip{ { name = "a.npy", data = array("(1073741820,)", ""), size = 4294967280 } }, "its header promises 4294967408: it is truncated")
  refused(".npz", zip{ { name = "a.txt", data = "hello" } }, "a.txt: not an NPY file")
  refused(".npz", zip{ { name = "folder/", data = "" } }, "folder/: not an NPY file")
  -- names are keys of a table: nothing is unpacked to where they point
  local found = ls.tensor.load(write(path ".npz", zip{ { name = "../../slip.npy", data = good_npy }, { name = "/etc/slip.npy", data = good_npy } }))
  t.equals({ found["../../slip"]:count(), found["/etc/slip"]:count() }, { 6, 6 })
  t.equals(io.open "../../slip.npy", nil)
  t.equals(next(ls.tensor.load(write(path ".npz", zip{}))), nil)
end

function T.a_file_that_unpacks_to_more_than_memory()
  local megabyte = gzip(("\0"):rep(1 << 20))
  local limit = require "lsengine.c.program".memory().limit
  if limit > 1e9 then t.skip "needs a memory limit below 1 GB" end
  local p = write(path ".gz", gzip "\0\0\8\1\127\255\255\255" .. megabyte:rep(limit // (1 << 20))) -- 2^31-1 bytes, as promised
  local ok, message = loads(p)
  t.equals(ok, false)
  t.is_true(message:find("no memory for it after %d+%.%d MB %(unpacked%): %d+%.%d MB are in use, the limit is") ~= nil, message)
end

-- Small headers before more than memory holds: nothing beyond the promise is unpacked.
function T.archives_that_unpack_to_more_than_they_promise()
  local megabyte = gzip(("\0"):rep(1 << 20))
  local bomb = megabyte:rep(require "lsengine.c.program".memory().limit // (1 << 20))
  if #bomb > 5e6 then t.skip "needs a memory limit below 5 GB" end
  refused(".gz", gzip(good_npy) .. bomb, ".gz unpacks to more than its header promises (152 bytes)")
  refused(".gz", gzip(good_idx) .. bomb, ".gz unpacks to more than its header promises (11 bytes)")
  refused(".gz", gzip "\0\0\8\1\0\0\0\1ab", ".gz unpacks to more than its header promises (9 bytes)")
  refused(".gz", gzip "\0\0\8\1\0\0\0\0" .. bomb, ".gz unpacks to more than its header promises (8 bytes)")
  refused(".gz", gzip "hello, world" .. bomb, "is neither an NPY, NPZ nor IDX file")
  refused(".gz", bomb, "IDX element type 0x00 is unknown")
  refused(".gz", gzip "\x93NUMPY\2\0\255\255\255\127" .. bomb, "NPY header of 2147483647 bytes, at most 65536 are read")
  -- what is promised may come in several parts
  t.equals(ls.tensor.load(write(path ".gz", gzip(good_npy:sub(1, 130)) .. gzip(good_npy:sub(131)))):totable(), { { 1, 2, 3 }, { 4, 5, 6 } })
end

function T.entries_that_unpack_to_more_than_they_promise()
  local long = good_npy .. ("\0"):rep(1 << 24)
  local packed, crc = deflate(long)
  t.is_true(#packed < 1e5)
  local small, small_crc = deflate(good_npy)
  t.equals(ls.tensor.load(write(path ".npz", zip{ { name = "a.npy", data = good_npy, packed = small, crc = small_crc } })).a:totable(), { { 1, 2, 3 }, { 4, 5, 6 } })
  refused(".npz", zip{ { name = "a.npy", data = "", packed = packed, crc = crc, size = #long } }, ("a.npy has %d bytes, its header promises 152: it is followed by something else"):format(#long))
  refused(".npz", zip{ { name = "a.npy", data = "", packed = packed, crc = crc, size = 152 } }, "a.npy unpacks to more than its header promises (152 bytes)")
  refused(".npz", zip{ { name = "a.npy", data = "", packed = packed, crc = small_crc, size = 152 } }, "a.npy unpacks to more than its header promises (152 bytes)")
  -- a promise that is kept by the directory alone
  local header = array("(16777216,)", "")
  packed, crc = deflate(header)
  refused(".npz", zip{ { name = "a.npy", data = "", packed = packed, crc = crc, size = #header + (1 << 26) } }, "a.npy: NPY file has 128 bytes, its header promises 67108992: it is truncated")
  -- more than memory holds, and the archive agrees
  if require "lsengine.c.program".memory().limit > 4e9 then t.skip "needs a memory limit below 4 GB" end
  header = array("(1000000000,)", "")
  packed, crc = deflate(header)
  refused(".npz", zip{ { name = "a.npy", data = "", packed = packed, crc = crc, size = #header + 4000000000 } }, "a.npy: no memory for 4000.0 MB (unpacked)")
end

function T.what_is_no_file()
  refused(".none", "x", "is neither an NPY, NPZ nor IDX file")
  t.fails(function() return ls.tensor.load "/" end, "load: / is not a file", true)
  t.fails(function() return ls.tensor.load "/nowhere/x.npz" end, "/nowhere/x.npz: No such file or directory", true)
  t.fails(function() return ls.tensor.load(("x"):rep(5000)) end, "the file's name has 5000 bytes, at most 4095 are allowed", true)
  t.fails(function() return ls.tensor.load "/dev/zero" end, "/dev/zero is not a file", true)
  t.fails(function() return ls.nn.linear(1, 1, { rng = ls.rng(1) }):load(write(path ".npy", good_npy)) end, "holds one array, an .npz file of named arrays is required", true)
end

function T.parameters_that_do_not_fit()
  local model = ls.nn.mlp({ 2, 2 }, { rng = ls.rng(1) })
  local before = model:hash()
  local weight, bias = array("(2, 2)", ("f"):rep(4):pack(1, 2, 3, 4)), array("(2,)", ("f"):rep(2):pack(1, 2))
  local p = path ".npz"
  local function with(entries) write(p, zip(entries)) return function() return model:load(p) end end
  local function names(f, text) t.fails(f, ("load: %s does not fit the model: %s"):format(p, text), debug.getinfo(f, "S").linedefined) end
  names(with{}, "missing: 0.weight, 0.bias")
  names(with{ { name = "0.weight.npy", data = weight } }, "missing: 0.bias")
  names(with{ { name = "0.weight.npy", data = weight }, { name = "0.bias.npy", data = bias }, { name = "1.bias.npy", data = bias } }, "unknown: 1.bias")
  names(with{ { name = "0.weight.npy", data = bias }, { name = "0.bias.npy", data = bias } }, "of another shape: 0.weight (is 2, must be 2x2)")
  names(with{ { name = "0.weight.npy", data = weight }, { name = "0.bias.npy", data = array("(2,)", ("<i8"):rep(2):pack(1, 2), "<i8") } },
    "of another shape: 0.bias (is of integers, must be 2)")
  t.equals(model:hash(), before)
  with{ { name = "0.weight.npy", data = weight }, { name = "0.bias.npy", data = bias } }()
  t.equals(model:parameters()[1]:totable(), { { 1, 2 }, { 3, 4 } })
end

function T.places_that_cannot_be_written()
  local x, model = ls.tensor{ 1 }, ls.nn.linear(1, 1, { rng = ls.rng(1) })
  t.fails(function() return x:save "/nowhere/x.npy" end, "save: /nowhere/x.npy cannot be written: No such file or directory", true)
  t.fails(function() return model:save "/nowhere/x.npz" end, "save: /nowhere/x.npz cannot be written", true)
  t.fails(function() return x:save "/dev/full" end, "save: /dev/full cannot be written: it is not a file", true)
  t.fails(function() return model:save "/dev/full" end, "save: /dev/full cannot be written: it is not a file", true)
  t.fails(function() return x:save "/" end, "save: / cannot be written: it is not a file", true)
  t.fails(function() return x:save "" end, "cannot be written", true)
end

function T.zz_clean_up()
  for p in pairs(made) do os.remove(p) end
  os.remove(base)
end

t.run()
