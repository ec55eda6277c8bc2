-- Tensors and label vectors as a script sees them. SPDX-License-Identifier: MIT
local t, ls = require "harness", require "lsengine"
local T = t.tests

local function same(tensor, want) t.equals(tensor:totable(), want) end

function T.rows_are_views()
  local x = ls.tensor{ { 1, 2, 3 }, { 4, 5, 6 } }
  x[2][3] = 60
  x[1] = 9
  same(x, { { 9, 9, 9 }, { 4, 5, 60 } })
  x[2] = ls.tensor{ 7, 8, 9 }
  same(x, { { 9, 9, 9 }, { 7, 8, 9 } })
  t.equals(x[3], nil)
  t.equals(x[0], nil)
  t.equals(#x, 2)
end

function T.overlapping_copies_come_out_right()
  local x = ls.tensor.arange(1, 6)
  x:narrow(1, 2, 5):copy_(x:narrow(1, 1, 5))
  same(x, { 1, 1, 2, 3, 4, 5 })
  local y = ls.tensor.arange(1, 4)
  y:narrow(1, 2, 3):add_(y:narrow(1, 1, 3))
  same(y, { 1, 3, 5, 7 })
end

function T.operators_broadcast()
  local x = ls.tensor{ { 1, 2 }, { 3, 4 } }
  same(x + ls.tensor{ 10, 20 }, { { 11, 22 }, { 13, 24 } })
  same(1 - x, { { 0, -1 }, { -2, -3 } })
  same(x:gt(2), { { 0, 0 }, { 1, 1 } })
  same(-x ^ 2, { { -1, -4 }, { -9, -16 } })
  t.fails(function() return x + ls.tensor{ 1, 2, 3 } end, "shapes 2x2 and 3 do not broadcast: axis 2 is 2 and 3", true)
end

function T.reductions_take_an_axis_or_none()
  local x = ls.tensor{ { 1, 2, 3 }, { 4, 5, 6 } }
  t.equals(x:sum():item(), 21)
  same(x:sum(1), { 5, 7, 9 })
  same(x:mean(-1), { 2, 5 })
  same(x:max(2, true), { { 3 }, { 6 } })
  t.equals(x:argmax():totable(), { 2, 2 })
  t.fails(function() return x:sum(3) end, "sum: axis is 3, allowed is 1 to 2 or -2 to -1", true)
  t.fails(function() return ls.tensor.zeros(0, 3):max() end, "no element to choose from", true)
  t.equals(ls.tensor.zeros(0, 3):sum():item(), 0)
end

function T.shapes_are_rearranged()
  local x = ls.tensor.arange(1, 6):reshape(2, 3)
  same(x:transpose(), { { 1, 4 }, { 2, 5 }, { 3, 6 } })
  same(x:transpose():reshape(-1), { 1, 4, 2, 5, 3, 6 })
  same(x:select(2, 3), { 3, 6 })
  same(ls.tensor.cat({ x, x }, 2)[1], { 1, 2, 3, 1, 2, 3 })
  t.equals(ls.tensor.stack{ x, x, x }:shape(), { 3, 2, 3 })
  same(x:gather{ 2, 1, 2 }, { { 4, 5, 6 }, { 1, 2, 3 }, { 4, 5, 6 } })
  t.fails(function() return x:reshape(4, 2) end, "2x3 does not fit into 4x2", true)
  t.fails(function() return x:gather{ 3 } end, "position 1 is 3, allowed is 1 to 2", true)
  t.fails(function() return ls.tensor.cat{} end, "holds no tensor", true)
end

function T.what_is_no_tensor_is_refused()
  t.fails(function() return ls.tensor{ { 1, 2 }, { 3 } } end, "table[2] has 1 elements, its neighbours have 2", true)
  t.fails(function() return ls.tensor{ { 1, 2 }, { 3, "x" } } end, "table[2][2] is \"x\", a number is required", true)
  t.fails(function() return ls.tensor "x" end, "values is \"x\", a table or a number is required", true)
  t.fails(function() return ls.tensor.zeros(2, -1) end, "dimension 2 is -1", true)
  t.fails(function() return ls.tensor.zeros(2147483647, 2147483647, 4) end, "more than 2^46 elements", true)
  t.fails(function() return ls.tensor.zeros(2147483647, 30000) end, "no memory for 2147483647x30000 floats", true)
  t.fails(function() return ls.tensor.zeros(1, 1, 1, 1, 1, 1, 1, 1, 1) end, "9 dimensions, at most 8", true)
  t.fails(function() return ls.tensor{ 1, 2 }:item() end, "shape 2, one element is required", true)
end

function T.files_come_back_equal()
  local path = t.tmpname()
  local x = ls.tensor.randn(3, 5, { rng = ls.rng(1) })
  x:save(path)
  t.equals(ls.tensor.load(path):hash(), x:hash())
  local file = io.open(path, "rb")
  local bytes = file:read "a"
  file:close()
  for _, cut in ipairs{ 0, 5, 9, 40, #bytes - 1 } do
    file = io.open(path, "wb")
    file:write(bytes:sub(1, cut))
    file:close()
    t.is_true(t.message(ls.tensor.load, path):find(path, 1, true) ~= nil)
  end
  os.remove(path)
  t.fails(function() return ls.tensor.load "none.npy" end, "none.npy: No such file or directory", true)
  t.fails(function() return ls.tensor.load "/" end, "/ is not a file", true)
  t.fails(function() return x:save "/no/such/folder/x.npy" end, "cannot be written: No such file or directory", true)
end

function T.printing_shows_values_and_shape()
  t.equals(tostring(ls.tensor{ { 1, 2 }, { 3, 4.5 } }), "tensor({{1.0000, 2.0000},\n        {3.0000, 4.5000}}, 2×2)")
  t.equals(tostring(ls.tensor(2.5)), "tensor(2.5)")
  t.is_true(#tostring(ls.tensor.zeros(1000, 1000)) < 500)
  t.is_true(tostring(ls.tensor.zeros(0, 3)):find "0×3" ~= nil)
end

function T.labels_are_exact_integers()
  local y = ls.labels{ 3, 1, 9007199254740993 }
  t.equals(y[3], 9007199254740993)
  t.equals(y:map(function(v) return v + 1 end):totable(), { 4, 2, 9007199254740994 })
  t.equals(tostring(ls.labels{ 1, 2 }), "{1, 2}")
  t.is_true(ls.labels{ 1, 2 } == ls.labels{ 1, 2 })
  t.fails(function() return ls.labels{ 1, 2.5 } end, "the argument[2] is 2.5, an integer is required", true)
  t.fails(function() y[1] = 2 end, "cannot be changed", true)
  t.fails(function() return y:map{ [3] = 1 } end, "label 1 maps to nil", true)
end

function T.the_metatables_are_locked()
  t.equals(getmetatable(ls.tensor{ 1 }), "tensor")
  t.equals(getmetatable(ls.labels{ 1 }), "label vector")
  t.equals(getmetatable(ls.rng(1)), "random stream")
end

function T.random_streams_are_numpys_and_spawn_by_name()
  local rng = ls.rng(42)
  t.equals(("%.17g"):format(rng:random()), "0.66840077646919582")
  local a, b = ls.rng(1):spawn "order", ls.rng(1):spawn "order"
  t.equals(a:raw(), b:raw())
  local parent = ls.rng(1)
  parent:random()
  local first, second = parent:spawn "order", parent:spawn "order"
  t.equals(first:raw(), ls.rng(1):spawn "order":raw())
  t.is_true(second:raw() ~= ls.rng(1):spawn "order":raw())
  t.fails(function() return rng:integers(3, 1) end, "low must not be above high", true)
  t.fails(function() return rng:categorical{ 0, 0 } end, "sum to 0", true)
end

t.run()
