-- Data sets. SPDX-License-Identifier: MIT
local t, ls = require "harness", require "lsengine"
local T = t.tests

function T.shipped_sets_have_their_authors_parts()
  for name, want in pairs{ digits = { 1198, 599, 10 }, letter = { 16000, 4000, 26 }, satellite = { 4435, 2000, 6 } } do
    local d = ls.data.load(name)
    t.equals({ #d.train, #d.test, d.classes }, want)
    local seen = {}
    for i = 1, #d.train.y do seen[d.train.y[i]] = true end
    for k = 0, d.classes - 1 do t.is_true(seen[k], name) end
  end
end

function T.tables_are_standardised_by_their_training_rows()
  local d = ls.data.load "satellite"
  t.is_true(d.train.x:mean(1):abs():max():item() < 1e-5)
  t.is_true((d.train.x:square():mean(1) - 1):abs():max():item() < 1e-4)
  t.is_true(d.test.x:mean(1):abs():max():item() > 1e-3)
  t.equals(ls.data.load("satellite", { raw = true }).train.x:max():item(), 157)
end

function T.images_come_as_channels_between_0_and_1()
  local d = ls.data.load "digits"
  t.equals(d.train.x:shape(), { 1198, 1, 8, 8 })
  t.equals(d.train.x:max():item(), 1)
  t.equals(d.train.x:min():item(), 0)
end

-- 1-NN on the raw letters, on the first 200 test rows: 95.65 % of all 4000 by the credits of the data
function T.rows_and_labels_belong_together()
  local d = ls.data.load("letter", { raw = true })
  local right = 0
  local squares = d.train.x:square():sum(2)
  for i = 1, 200 do
    local row = d.test.x[i]
    local distance = squares - d.train.x:matmul(row:reshape(16, 1)):reshape(-1) * 2
    right = right + (d.train.y[distance:argmin()[1] + 1] == d.test.y[i] and 1 or 0)
  end
  t.is_true(right >= 180, tostring(right))
end

function T.a_split_is_fixed_unless_a_stream_is_given()
  local d = ls.data.load "satellite"
  local a, b = d:split{ validation = 0.2 }, d:split{ validation = 887 }
  t.equals(#a.validation, 887)
  t.is_true(a.validation.y == b.validation.y)
  t.equals(#a.train + #a.validation, 4435)
  local c = d:split{ validation = 0.2, rng = ls.rng(1) }
  t.is_true(not (c.validation.y == a.validation.y))
  t.fails(function() return d:split{ validation = 5000 } end, "validation of 4435 rows takes 5000, allowed is 1 to 4434", true)
  t.fails(function() return d:split{ test = 0.2 } end, "satellite has a test part already", true)
  t.fails(function() return a:split{ validation = 0.1 } end, "has a validation part already", true)
end

function T.batches_cover_every_row_once()
  local d = ls.data.load "digits".test
  local rows, sizes = 0, {}
  for x, y in d:batches(100, { rng = ls.rng(1) }) do
    rows = rows + #y
    sizes[#sizes + 1] = #x
  end
  t.equals(rows, 599)
  t.equals(sizes, { 100, 100, 100, 100, 100, 99 })
  local count = 0
  for _ in d:batches(100, { drop_last = true }) do count = count + 1 end
  t.equals(count, 5)
  local function first(rng) for x in d:batches(50, { rng = rng }) do return x:hash() end end
  t.equals(first(ls.rng(3)), first(ls.rng(3)))
  t.is_true(first(ls.rng(3)) ~= first(ls.rng(4)))
end

function T.fashion_mnist_loads_or_says_how_to_get_it()
  local available = false
  for _, set in ipairs(require "lsengine.data".catalogue()) do available = available or set.name == "fashion-mnist" and set.available end
  if not available then
    t.fails(function() return ls.data.load "fashion-mnist" end, "apt install dataset-fashion-mnist", true)
    return
  end
  local d = ls.data.load "fashion-mnist"
  t.equals({ #d.train, #d.test }, { 60000, 10000 })
  t.equals(d.train.x:shape(), { 60000, 1, 28, 28 })
  t.close(d.train.x:mean():item(), 0.2860, 1e-4) -- the published mean of the training pixels
end

function T.unknown_sets_are_refused()
  t.fails(function() return ls.data.load "mnist" end, 'name is "mnist", allowed are cifar-10, cifar-100, concrete, digits, fashion-mnist, letter, satellite', true)
end

t.run()
