-- Augmentation against plain loops that draw the same numbers, and its laws by chi-square. SPDX-License-Identifier: MIT
local t, ls = require "harness", require "lsengine"
local T = t.tests

local N, C, H, W = 23, 2, 7, 5
local images = ls.tensor.randn(N, C, H, W, { rng = ls.rng(1) })
local plain = images:totable()

-- What an augmentation must give: element(i, y, x) → the place in image i that (y, x) comes from, or nil for `value`.
local function compare(name, augmentation, height, width, value, draw)
  local before = images:hash()
  local got = augmentation(images, ls.rng(9))
  t.equals(got:shape(), { N, C, height, width })
  t.equals(images:hash(), before)
  got = got:totable()
  local stream, outside = ls.rng(9):spawn("augmentation " .. name), 0
  for i = 1, N do
    local from = draw(stream)
    for c = 1, C do
      for y = 1, height do
        for x = 1, width do
          local row, column = from(y, x)
          local want = row and plain[i][c][row] and plain[i][c][row][column] or value
          outside = outside + (want == value and 1 or 0)
          if got[i][c][y][x] ~= want then error(("%s: image %d, channel %d, %d, %d is %g, want %g"):format(name, i, c, y, x, got[i][c][y][x], want)) end
        end
      end
    end
  end
  return outside
end

function T.shifts()
  for pixels, least in pairs{ [0] = 0, [2] = 100, [9] = 1000 } do -- the last one moves most images out of sight
    local outside = compare("shift", ls.augment.shift{ pixels = pixels, value = 0.25 }, H, W, 0.25, function(stream)
      local down, right = stream:integers(-pixels, pixels), stream:integers(-pixels, pixels)
      return function(y, x) return y - down, x - right end
    end)
    t.is_true(outside >= least and (pixels > 0 or outside == 0), outside)
  end
end

function T.crops()
  for _, case in ipairs{ { 7, 5, 0 }, { 3, 2, 0 }, { 7, 5, 2 }, { 11, 9, 2 }, { 1, 1, 4 } } do
    local h, w, padding = table.unpack(case)
    compare("crop", ls.augment.crop{ size = { h, w }, padding = padding, value = -1 }, h, w, -1, function(stream)
      local top, left = stream:integers(0, H + 2 * padding - h), stream:integers(0, W + 2 * padding - w)
      return function(y, x) return y + top - padding, x + left - padding end
    end)
  end
end

function T.flips()
  for _, p in ipairs{ { 0.5, 0 }, { 0.3, 0.7 }, { 1, 1 }, { 0, 0 } } do
    compare("flip", ls.augment.flip{ horizontal = p[1], vertical = p[2] }, H, W, nil, function(stream)
      local horizontal, vertical = stream:random() < p[1], stream:random() < p[2]
      return function(y, x) return vertical and H + 1 - y or y, horizontal and W + 1 - x or x end
    end)
  end
end

local function round(x) -- half to even
  local low = math.floor(x)
  local rest = x - low
  return (rest > 0.5 or rest == 0.5 and low % 2 == 1) and low + 1 or low
end

function T.erasing()
  for _, o in ipairs{ { probability = 1 }, { probability = 0.4, area = { 0.1, 0.9 }, aspect = 0.05 }, { area = { 1, 1 }, probability = 1 } } do
    local area, aspect = o.area or { 0.02, 0.33 }, o.aspect or 0.3
    local erased = compare("erase", ls.augment.erase{ probability = o.probability, area = area, aspect = aspect, value = 3.5 }, H, W, 3.5, function(stream)
      local top, left, h, w = 0, 0, 0, 0
      if stream:random() < o.probability then
        for _ = 1, 100 do
          local a = H * W * (area[1] + (area[2] - area[1]) * stream:random())
          local r = aspect + (1 / aspect - aspect) * stream:random()
          local rows, columns = round(math.sqrt(a * r)), round(math.sqrt(a / r))
          if rows >= 1 and columns >= 1 and rows < H and columns < W then
            h, w = rows, columns
            top, left = stream:integers(0, H - h), stream:integers(0, W - w)
            break
          end
        end
      end
      return function(y, x)
        if y > top and y <= top + h and x > left and x <= left + w then return nil end
        return y, x
      end
    end)
    t.is_true(o.area and o.area[1] == 1 and erased == 0 or erased > 50, erased) -- the whole image never fits
  end
end

-- ---- laws, at a fixed seed: the limits are the 99.9 % points of chi-square ----

local function chi_square(counts, expected)
  local sum = 0
  for key, want in pairs(expected) do sum = sum + ((counts[key] or 0) - want) ^ 2 / want end
  local total, wanted = 0, 0
  for key, count in pairs(counts) do
    t.is_true(expected[key] ~= nil, tostring(key))
    total = total + count
  end
  for _, want in pairs(expected) do wanted = wanted + want end
  t.close(total, wanted, 1e-6)
  return sum
end

-- Images with one bright pixel in the middle of 9×9: where it is afterwards tells what was done.
local function bright(n)
  local x = ls.tensor.zeros(n, 1, 9, 9)
  for i = 1, n do x[i][1][5][5] = 1 end
  return x
end

local function counts_of(x)
  local counts = {}
  local where = x:reshape(#x, 81):argmax(2)
  for i = 1, #x do counts[where[i]] = (counts[where[i]] or 0) + 1 end
  return counts
end

function T.shifts_are_uniform()
  local n, expected = 5000, {}
  for y = 2, 6 do for x = 2, 6 do expected[y * 9 + x] = n / 25 end end
  local counts = counts_of(ls.augment.shift{ pixels = 2 }(bright(n), ls.rng(5)))
  t.is_true(chi_square(counts, expected) < 51.18)
  expected[2 * 9 + 2], expected[6 * 9 + 6] = 0.6 * n / 25, 1.4 * n / 25
  t.is_true(chi_square(counts, expected) > 51.18) -- a corner that is preferred would be seen
end

function T.crops_are_uniform()
  local n, expected = 5000, {}
  for y = 0, 4 do for x = 0, 4 do expected[y * 5 + x] = n / 25 end end
  local x = ls.augment.crop{ size = { 5, 5 } }(bright(n), ls.rng(6)):reshape(n, 25)
  local counts, where = {}, x:argmax(2)
  for i = 1, n do counts[where[i]] = (counts[where[i]] or 0) + 1 end
  t.is_true(chi_square(counts, expected) < 51.18)
end

function T.flips_have_their_probabilities()
  local n = 8000
  local x = ls.tensor{ { { { 1, 2 }, { 3, 4 } } } }:expand(n, 1, 2, 2)
  local y = ls.augment.flip{ horizontal = 0.3, vertical = 0.2 }(x, ls.rng(7))
  local counts = {}
  for i = 1, n do
    local corner = y[i][1][1][1]
    counts[corner] = (counts[corner] or 0) + 1
  end
  t.is_true(chi_square(counts, { [1.0] = n * 0.56, [2.0] = n * 0.24, [3.0] = n * 0.14, [4.0] = n * 0.06 }) < 16.27)
end

function T.erased_places_are_uniform()
  local n, counts, expected, kept = 4000, {}, {}, 0
  local y = ls.augment.erase{ probability = 0.75, area = { 0.25, 0.25 }, aspect = 1, value = 1 }(ls.tensor.zeros(n, 1, 8, 8), ls.rng(8))
  local where, sums = y:reshape(n, 64):argmax(2), y:reshape(n, 64):sum(2)
  for i = 1, n do
    if sums[i] == 0 then
      kept = kept + 1
    else
      t.equals(sums[i], 16)
      counts[where[i]] = (counts[where[i]] or 0) + 1
    end
  end
  t.is_true(math.abs(kept - n / 4) < 3.29 * math.sqrt(n * 3 / 16))
  for row = 0, 4 do for column = 0, 4 do expected[row * 8 + column] = (n - kept) / 25 end end
  t.is_true(chi_square(counts, expected) < 51.18)
end

-- With squares only, a side s comes from areas (s-½)² to (s+½)²: its probability is 2s over the width of the range.
function T.erased_areas_are_uniform()
  local n, counts, expected = 4000, {}, {}
  local y = ls.augment.erase{ probability = 1, area = { 0.0025, 0.3025 }, aspect = 1, value = 1 }(ls.tensor.zeros(n, 1, 30, 30), ls.rng(9)):reshape(n, 900):sum(2)
  for i = 1, n do
    local side = math.floor(math.sqrt(y[i]) + 0.5)
    counts[side] = (counts[side] or 0) + 1
  end
  for side = 2, 16 do expected[side] = n * 2 * side / 270 end -- areas 2.25 to 272.25
  t.is_true(chi_square(counts, expected) < 36.12)
end

-- ---- in training ----

local digits = ls.data.load "digits"

local function trained(augment)
  local model = ls.nn.mlp({ 64, 16, 10 }, { rng = ls.rng(1) })
  local losses = {}
  ls.train(model, digits.train, { epochs = 2, batch = 100, rng = ls.rng(3), optimizer = ls.optim.sgd{ lr = 0.1 }, augment = augment, on_batch = function(i, m) losses[i] = m.loss end })
  return model, losses
end

function T.training_augments_with_one_stream_each()
  local shift, flip = ls.augment.shift{ pixels = 1 }, ls.augment.flip{}
  local got = trained{ shift, flip }
  -- the same by hand
  local rng, model = ls.rng(3), ls.nn.mlp({ 64, 16, 10 }, { rng = ls.rng(1) })
  local first, second = rng:spawn "augmentation shift", rng:spawn "augmentation flip"
  local optimizer = ls.optim.sgd(model:parameters(), { lr = 0.1 })
  local c = require "lsengine.c.augment"
  for _ = 1, 2 do
    for x, y in digits.train:batches(100, { rng = rng }) do
      local loss = ls.loss.cross_entropy(model(c.flip(c.shift(x, first, 1, 0), second, 0.5, 0)), y)
      optimizer:zero_grad()
      loss:backward()
      optimizer:step()
    end
  end
  t.equals(got:hash(), model:hash())
  t.is_true(trained(shift):hash() ~= got:hash())
  t.equals(trained{}:hash(), trained(nil):hash())
end

function T.two_of_a_kind_draw_different_numbers()
  local x = bright(50)
  local rng = ls.rng(4)
  local shift = ls.augment.shift{ pixels = 3 }
  local a, b, c = shift(x, rng), shift(x, rng), shift(x, ls.rng(4))
  t.is_true(a:hash() ~= b:hash())
  t.equals(a:hash(), c:hash())
end

function T.augmentations_check_what_they_get()
  t.fails(function() return ls.augment.crop{ size = { 3 } } end, "crop: size has 1 numbers, { height, width } is required", true)
  t.fails(function() return ls.augment.crop{ size = { 3, 0.5 } } end, "crop: size[2] is 0.5, an integer is required", true)
  t.fails(function() return ls.augment.crop{ size = { 12, 8 }, padding = 1 }(bright(2), ls.rng(1)) end, "crop: parts of 12x8 do not fit into images of 9x9 with a padding of 1", true)
  t.fails(function() return ls.augment.erase{ area = { 0.5, 0.2 } } end, "erase: area is { 0.5, 0.2 }: the first must not be above the second", true)
  t.fails(function() return ls.augment.erase{ area = { 0.5, 2 } } end, "erase: area[2] is 2, allowed is 0 to 1", true)
  t.fails(function() return ls.augment.shift{ pixels = 1 }(ls.tensor.zeros(3, 4), ls.rng(1)) end, "shift: x has shape 3x4, images (N×C×H×W) are required", true)
  t.fails(function() return ls.augment.shift{ pixels = 1 }(bright(1)) end, "augmentation: argument rng is missing", true)
  t.fails(function() return trained{ ls.augment.shift{ pixels = 1 }, "flip" } end, 'augment[2] is "flip", an augmentation (ls.augment.shift{…}) is required', nil)
  t.equals(tostring(ls.augment.crop{ size = { 8, 8 }, padding = 1 }), "crop{ padding = 1, size = { 8, 8 }, value = 0 }")
  for _, n in ipairs{ 0, 1 } do
    for name, a in pairs{ ls.augment.shift{ pixels = 1 }, ls.augment.flip{}, ls.augment.erase{}, ls.augment.crop{ size = { 9, 9 } } } do
      t.equals(a(ls.tensor.zeros(n, 1, 9, 9), ls.rng(1)):shape(), { n, 1, 9, 9 }, tostring(name))
    end
  end
end

t.run()
