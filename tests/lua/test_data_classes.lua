-- Classes of data sets: shared out, split, joined, made noisy; features standardised. SPDX-License-Identifier: MIT
local t, ls = require "harness", require "lsengine"
local T = t.tests

-- 60 rows whose one feature is their number; classes 0, 1, 2 with 30, 20 and 10 rows.
local names = { [0] = "cat", "dog", "owl" }
local function set()
  local y = {}
  for i = 1, 60 do y[i] = i <= 30 and 0 or i <= 50 and 1 or 2 end
  return ls.data.new{ name = "pets", x = ls.tensor.arange(1, 60):reshape(60, 1), y = y, classes = 3, class_names = names }
end
local function true_class(x) return x <= 30 and 0 or x <= 50 and 1 or 2 end
local function numbers() return ls.data.new{ name = "line", x = ls.tensor.zeros(9, 2), y = ls.tensor.zeros(9) } end

-- ---- counting and splitting ----

function T.classes_are_counted()
  t.equals(set().train:class_counts(), { [0] = 30, 20, 10 })
  local d = set():split{ test = 6, validation = 6 }
  local counts = d:class_counts() -- all parts together
  t.equals(counts, { [0] = 30, 20, 10 })
  t.equals(set().train:subset{ 1, 1, 60 }:class_counts(), { [0] = 2, 0, 1 })
end

function T.a_stratified_split_takes_exact_counts()
  local d = set():split{ test = 12, validation = 0.2, stratified = true }
  t.equals(d.test:class_counts(), { [0] = 6, 4, 2 })
  t.equals(d.validation:class_counts(), { [0] = 6, 4, 2 })
  t.equals(d.train:class_counts(), { [0] = 18, 12, 6 })
  -- 7 of 60: 3.5, 2.33, 1.17; the largest remainder is the first class's
  t.equals(set():split{ test = 7, stratified = true }.test:class_counts(), { [0] = 4, 2, 1 })
  -- 8 of 60: 4, 2.67, 1.33
  t.equals(set():split{ test = 8, stratified = true }.test:class_counts(), { [0] = 4, 3, 1 })
  local seen = {}
  for _, part in ipairs{ d.train, d.validation, d.test } do
    for i = 1, #part do
      local x = part.x[i][1]
      t.equals(part.y[i], true_class(x))
      t.equals(seen[x], nil)
      seen[x] = true
    end
  end
  t.equals(#seen, 60)
  local again, other = set():split{ test = 12, stratified = true }, set():split{ test = 12, stratified = true, rng = ls.rng(3) }
  t.equals(again.test.x:hash(), d.test.x:hash())
  t.is_true(other.test.x:hash() ~= d.test.x:hash())
  t.fails(function() return numbers():split{ test = 3, stratified = true } end, "split: stratified needs classes, line is a data set of regression", true)
end

function T.within_a_class_every_row_may_be_taken()
  local taken = {}
  for seed = 1, 400 do
    local part = set():split{ test = 12, stratified = true, rng = ls.rng(seed) }.test
    for i = 1, #part do taken[part.x[i][1]] = (taken[part.x[i][1]] or 0) + 1 end
  end
  local chi = 0
  for i = 1, 60 do chi = chi + (taken[i] - 80) ^ 2 / 80 end -- each with probability 1/5 in each of 400
  t.is_true(chi < 85, chi) -- 0.8 of a chi-square of 57 degrees, at 1e-4
end

-- ---- classes apart ----

function T.unseen_classes_are_apart()
  local d = set():split{ test = 12, stratified = true }
  local seen, unseen = d:split_classes{ unseen = { 1 } }
  t.equals({ seen.classes, unseen.classes, seen.train.classes, unseen.test.classes }, { 2, 1, 2, 1 })
  t.equals({ seen.train:class_counts(), seen.test:class_counts() }, { { [0] = 24, 8 }, { [0] = 6, 2 } })
  t.equals({ unseen.train:class_counts(), unseen.test:class_counts() }, { { [0] = 16 }, { [0] = 4 } })
  for _, s in ipairs{ seen, seen.train, seen.test } do
    t.equals({ s.class_names, s.original_classes }, { { [0] = "cat", "owl" }, { [0] = 0, 2 } })
  end
  t.equals({ unseen.test.class_names, unseen.original_classes }, { { [0] = "dog" }, { [0] = 1 } })
  for _, part in ipairs{ seen.train, seen.test, unseen.train, unseen.test } do
    for i = 1, #part do t.equals(part.original_classes[part.y[i]], true_class(part.x[i][1])) end
  end
  t.equals(seen.name, "pets (seen)")
  t.equals(tostring(unseen.test), "pets (unseen): 4 rows of 1, 1 classes (dog)")
  t.equals({ d.classes, #d.train }, { 3, 48 }) -- as it was
end

function T.classes_of_a_part_and_of_a_part_of_them()
  local seen, unseen = set().train:split_classes{ unseen = ls.labels{ 2, 0 } } -- in any order
  t.equals({ unseen:class_counts(), unseen.original_classes, #seen }, { { [0] = 30, 10 }, { [0] = 0, 2 }, 20 })
  local first, second = unseen:split_classes{ unseen = { 1 } }
  t.equals({ first.original_classes, second.original_classes, second.class_names }, { { [0] = 0 }, { [0] = 2 }, { [0] = "owl" } })
  t.equals({ #first, #second, second.y[1] }, { 30, 10, 0 })
  local few = ls.data.new{ x = ls.tensor.zeros(2, 1), y = { 0, 0 }, classes = 2 }
  local none = select(2, few:split_classes{ unseen = { 1 } })
  t.equals({ #none.train, none.classes, none.class_names }, { 0, 1 })
end

function T.classes_that_cannot_be_split()
  local d = set()
  t.fails(function() return d:split_classes{ unseen = { 3 } } end, "split_classes: unseen[1] is 3, allowed is 0 to 2", true)
  t.fails(function() return d:split_classes{ unseen = { 1, 1 } } end, "unseen names class 1 twice", true)
  t.fails(function() return d:split_classes{ unseen = {} } end, "unseen names 0 of 3 classes, allowed is 1 to 2", true)
  t.fails(function() return d:split_classes{ unseen = { 0, 1, 2 } } end, "unseen names 3 of 3 classes, allowed is 1 to 2", true)
  t.fails(function() return d:split_classes{} end, "option unseen is missing", true)
  t.fails(function() return numbers():split_classes{ unseen = { 1 } } end, "line is a data set of regression", true)
  t.fails(function() return numbers().train:class_counts() end, "class_counts: line is a data set of regression", true)
  t.fails(function() return d:label_noise{ rate = 0.5, rng = ls.rng(1) }:split_classes{ unseen = { 1 } } end, "split the classes before label_noise", true)
end

-- ---- coarser classes ----

function T.labels_are_replaced()
  local d = set():split{ test = 12, stratified = true }
  local coarse = d:relabel{ [0] = 0, 0, 1 }
  t.equals({ coarse.classes, coarse.test.classes, coarse.class_names, coarse.test.class_names },
    { 2, 2, { [0] = "cat or dog", "owl" }, { [0] = "cat or dog", "owl" } })
  t.equals({ coarse.train:class_counts(), coarse.test:class_counts() }, { { [0] = 40, 8 }, { [0] = 10, 2 } })
  t.equals(d.train:class_counts(), { [0] = 24, 16, 8 })
  local part = d.train:relabel(function(k) return 2 - k end, { classes = 4, class_names = { [0] = "a", "b", "c", "d" } })
  t.equals({ part:class_counts(), part.classes, part.class_names[3] }, { { [0] = 8, 16, 24, 0 }, 4, "d" })
  t.equals(d:relabel({ [0] = 0, 0, 1 }, { classes = 3 }).class_names, { [0] = "cat or dog", "owl", "none" })
  t.equals(select(2, d:split_classes{ unseen = { 1, 2 } }):relabel{ [0] = 0, 0 }.original_classes, nil)
  local noisy = d:label_noise{ rate = 1, rng = ls.rng(1) }:relabel{ [0] = 0, 0, 1 }.train
  local flipped = 0
  for i = 1, #noisy do
    t.equals(noisy.clean_y[i], true_class(noisy.x[i][1]) == 2 and 1 or 0)
    flipped = flipped + (noisy.y[i] ~= noisy.clean_y[i] and 1 or 0)
  end
  t.is_true(noisy.flipped == flipped and flipped < 40 and flipped > 8) -- a cat taken for a dog is right now
end

function T.mappings_that_do_not_fit()
  local d = set()
  t.fails(function() return d:relabel{ [0] = 0, 1 } end, "relabel: class 2 goes to nil, a class from 0 is required", true)
  t.fails(function() return d:relabel{ [0] = 0, 1, -1 } end, "class 2 goes to -1, a class from 0 is required", true)
  t.fails(function() return d:relabel{ [0] = 0, 1, 0.5 } end, "class 2 goes to 0.5", true)
  t.fails(function() return d:relabel{ [0] = "a", 1, 1 } end, 'class 0 goes to "a"', true)
  t.fails(function() return d:relabel({ [0] = 0, 1, 2 }, { classes = 2 }) end, "class 2 goes to 2, a class from 0 to 1 is required", true)
  t.fails(function() return d:relabel({ [0] = 0, 1, 2 }, { class_names = { [0] = "a" } }) end, "class_names[1] is nil, a string is required", true)
  t.fails(function() return numbers():relabel{ [0] = 0 } end, "line is a data set of regression", true)
end

-- ---- names ----

function T.names_of_classes_are_kept_and_printed()
  local d = set()
  t.equals(tostring(d), "train      pets: 60 rows of 1, 3 classes (cat, dog, owl)")
  local parts = d:split{ test = 6 }
  for _, s in ipairs{ d, parts, parts.test, parts.train:subset{ 1 }, d:label_noise{ rate = 0, rng = ls.rng(1) }.train, d:standardise().train } do
    t.equals(s.class_names, names)
  end
  t.equals(ls.data.load "satellite".train.class_names[5], "very damp grey soil")
  t.equals(ls.data.load "letter".class_names[25], "Z")
  t.is_true(tostring(ls.data.load "letter"):find("26 classes (A, B, C", 1, true) ~= nil)
  local line = t.line() + 1
  local function named(n) return ls.data.new{ x = ls.tensor.zeros(1, 1), y = { 0 }, classes = 2, class_names = n } end
  t.fails(function() return named{ "a", "b" } end, "new: class_names names class 2, classes are 0 to 1", line)
  t.fails(function() return named{ [0] = "a" } end, "new: class_names[1] is nil, a string is required", line)
  t.fails(function() return named{ [0] = "a", 5 } end, "new: class_names[1] is 5, a string is required", line)
  t.fails(function() return named{ [0] = "a", "b", x = 1 } end, 'new: class_names names class "x", classes are 0 to 1', line)
  local mine = { [0] = "a", "b" }
  local kept = named(mine)
  mine[0] = "changed"
  t.equals(kept.class_names[0], "a")
end

-- ---- standardising ----

function T.columns_are_standardised_by_the_training_rows()
  local d = ls.data.load("satellite", { raw = true })
  t.equals(d:standardise().test.x:hash(), ls.data.load "satellite".test.x:hash())
  t.equals(d.train.x:max():item(), 157) -- as it was
  local with = ls.data.new{ x = ls.tensor{ { 1, 5 }, { 3, 5 }, { 5, 5 } }, y = { 0, 0, 0 }, classes = 1 }
  local x = with:standardise().train.x
  for i, want in ipairs{ -1.2247449, 0, 1.2247449 } do t.close(x[i][1], want, 1e-6) t.equals(x[i][2], 0) end
end

function T.images_are_standardised_by_channel()
  local x = ls.tensor.randn(40, 3, 4, 5, { rng = ls.rng(1) }) * ls.tensor{ 1, 10, 0 }:reshape(1, 3, 1, 1) + ls.tensor{ 5, -3, 7 }:reshape(1, 3, 1, 1)
  local d = ls.data.new{ x = x, y = ls.rng(2):integers(0, 1, 40), classes = 2 }:split{ validation = 10 }
  local s = d:standardise()
  for c = 1, 3 do
    local train, validation = s.train.x:select(2, c), s.validation.x:select(2, c)
    t.close(train:mean():item(), 0, 1e-5)
    t.close(train:square():mean():item(), c == 3 and 0 or 1, 1e-4)
    -- the same map as that of the training rows
    local a, b = d.train.x:select(2, c), d.validation.x:select(2, c)
    local deviation = ((a - a:mean()):square():mean():item()) ^ 0.5
    if c < 3 then t.close(((b - a:mean()) * (1 / deviation) - validation):abs():max():item(), 0, 1e-4) end
    if c < 3 then t.is_true(math.abs(validation:mean():item()) > 1e-4) end
  end
end

function T.what_cannot_be_standardised()
  local function of(x) return ls.data.new{ x = x, y = ls.rng(1):integers(0, 1, x:size(1)), classes = 2 } end
  t.fails(function() return of(ls.tensor.zeros(3)):standardise() end, "standardise: x has shape 3, a table (N×d) or images (N×C×H×W) are required", true)
  t.fails(function() return of(ls.tensor.zeros(3, 2, 2)):standardise() end, "x has shape 3x2x2", true)
  t.fails(function() return of(ls.tensor.zeros(0, 2)):standardise() end, "data has no training rows", true)
  t.fails(function() return of(ls.tensor{ { 1 }, { 0 / 0 } }):standardise() end, "NaN, infinite", true)
  t.fails(function() return of(ls.tensor.zeros(3, 2)).train.standardise() end, "attempt to call a nil value")
end

-- ---- noise ----

local function big() -- 6000 rows of 3 classes
  local y = {}
  for i = 1, 6000 do y[i] = i % 3 end
  return ls.data.new{ x = ls.tensor.arange(1, 6000):reshape(6000, 1), y = y, classes = 3 }:split{ validation = 1500, test = 1500, stratified = true }
end
local function table_of(part) -- [true][observed]
  local counts = {}
  for k = 0, 2 do counts[k] = { [0] = 0, 0, 0 } end
  for i = 1, #part do counts[part.clean_y[i]][part.y[i]] = counts[part.clean_y[i]][part.y[i]] + 1 end
  return counts
end

function T.noise_is_in_the_training_rows_alone()
  local d = big()
  local noisy = d:label_noise{ rate = 0.3, rng = ls.rng(5) }
  t.is_true(noisy.test.y == d.test.y and noisy.validation.y == d.validation.y and noisy.train.clean_y == d.train.y)
  t.equals({ noisy.test.flipped, noisy.validation.clean_y }, {})
  t.close(noisy.train.flipped / 3000, 0.3, 4 * (0.21 / 3000) ^ 0.5)
  t.is_true(tostring(noisy.train):find(("3 classes, %.1f %% of the labels flipped"):format(noisy.train.flipped / 30), 1, true) ~= nil)
  local both = d:label_noise{ rate = 0.3, rng = ls.rng(5), validation = true }
  t.is_true(both.test.y == d.test.y and both.train.y == noisy.train.y)
  t.close(both.validation.flipped / 1500, 0.3, 4 * (0.21 / 1500) ^ 0.5)
  for _, part in ipairs{ noisy.train, both.validation } do
    local counts, flipped = table_of(part), 0
    for i = 1, #part do flipped = flipped + (part.y[i] ~= part.clean_y[i] and 1 or 0) end
    t.equals(part.flipped, flipped)
    local chi = 0 -- the two wrong labels of each class are alike
    for k = 0, 2 do
      local a, b = counts[k][(k + 1) % 3], counts[k][(k + 2) % 3]
      chi = chi + (a - b) ^ 2 / (a + b)
    end
    t.is_true(chi < 21.1, chi) -- 3 degrees, 1e-4
  end
end

function T.noise_comes_from_a_stream_of_its_own()
  local d, rng = big(), ls.rng(9)
  local a = d:label_noise{ rate = 0.2, rng = rng }
  t.is_true(not (a.train.y == d:label_noise{ rate = 0.2, rng = rng }.train.y)) -- the name was used before
  t.is_true(a.train.y == d:label_noise{ rate = 0.2, rng = ls.rng(9) }.train.y)
  local fresh = ls.rng(9)
  fresh:random(100)
  t.is_true(a.train.y == d:label_noise{ rate = 0.2, rng = fresh }.train.y) -- what was drawn makes no difference
  -- a larger rate flips the same rows, to the same labels, and more
  local more = d:label_noise{ rate = 0.6, rng = ls.rng(9) }.train
  for i = 1, #more do t.is_true(a.train.y[i] == more.clean_y[i] or a.train.y[i] == more.y[i]) end
end

function T.noise_by_pairs_and_by_a_matrix()
  local d = big()
  local pairs_of = table_of(d:label_noise{ rate = 0.4, to = { [0] = 2, [1] = 0 }, rng = ls.rng(1) }.train)
  t.equals({ pairs_of[0][1], pairs_of[1][2], pairs_of[2] }, { 0, 0, { [0] = 0, 0, 1000 } })
  t.close(pairs_of[0][2] / 1000, 0.4, 0.07)
  t.close(pairs_of[1][0] / 1000, 0.4, 0.07)
  local matrix = { { 0.5, 0.5, 0 }, { 0, 1, 0 }, { 0.2, 0.3, 0.5 } }
  for _, given in ipairs{ matrix, ls.tensor(matrix) } do
    local counts = table_of(d:label_noise{ matrix = given, rng = ls.rng(1) }.train)
    t.equals({ counts[0][2], counts[1] }, { 0, { [0] = 0, 1000, 0 } })
    t.close(counts[0][1] / 1000, 0.5, 0.07)
    local chi = (counts[2][0] - 200) ^ 2 / 200 + (counts[2][1] - 300) ^ 2 / 300 + (counts[2][2] - 500) ^ 2 / 500
    t.is_true(chi < 18.5, chi) -- 2 degrees, 1e-4
  end
end

function T.noise_goes_with_its_rows()
  local noisy = set():label_noise{ rate = 0.5, rng = ls.rng(2) }
  local d = noisy:split{ test = 20 }
  t.equals(d.train.flipped + d.test.flipped, noisy.train.flipped)
  for _, part in ipairs{ d.train, d.test, d.train:subset{ 5, 5, 1 } } do
    for i = 1, #part do t.equals(part.clean_y[i], true_class(part.x[i][1])) end
  end
  -- noise on noise: the true labels stay the first ones
  local twice = noisy:label_noise{ rate = 0.5, rng = ls.rng(3) }.train
  for i = 1, 60 do t.equals(twice.clean_y[i], true_class(i)) end
end

function T.noise_that_makes_no_sense()
  local d, rng = set(), ls.rng(1)
  t.fails(function() return d:label_noise{ rng = rng } end, "label_noise: option rate is missing (or matrix)", true)
  t.fails(function() return d:label_noise{ rate = 0.1 } end, "option rng is missing", true)
  t.fails(function() return d:label_noise{ rate = 0.1, matrix = {}, rng = rng } end, "matrix and rate are given, one law of noise is required", true)
  t.fails(function() return d:label_noise{ to = { [0] = 1 }, matrix = {}, rng = rng } end, "matrix and to are given", true)
  t.fails(function() return d:label_noise{ to = { [0] = 1 }, rng = rng } end, "option rate is missing", true)
  t.fails(function() return d:label_noise{ rate = 0.1, to = { [0] = 0 }, rng = rng } end, "to[0] is 0, another class is required", true)
  t.fails(function() return d:label_noise{ rate = 0.1, to = { [3] = 0 }, rng = rng } end, "to names class 3, classes are 0 to 2", true)
  t.fails(function() return d:label_noise{ rate = 0.1, to = { [0] = 3 }, rng = rng } end, "to[0] is 3, a class from 0 to 2 is required", true)
  t.fails(function() return d:label_noise{ matrix = { { 1 } }, rng = rng } end, "the matrix is 1x1, 3x3 is required", true)
  t.fails(function() return d:label_noise{ matrix = { { 1, 0, 0 }, { 0, 1, 0 }, { 0, 0, 0.5 } }, rng = rng } end, "row of class 2 of the matrix sums to 0.5", true)
  t.fails(function() return d:label_noise{ rate = 0.1, rng = rng, validation = true } end, "validation is true, but pets has no validation part", true)
  t.fails(function() return ls.data.new{ x = ls.tensor.zeros(2, 1), y = { 0, 0 }, classes = 1 }:label_noise{ rate = 0.1, rng = rng } end, "there is one class", true)
  t.fails(function() return numbers():label_noise{ rate = 0.1, rng = rng } end, "line is a data set of regression", true)
end

t.run()
