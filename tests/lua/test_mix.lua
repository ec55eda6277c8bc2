-- Mixing as a script meets it. SPDX-License-Identifier: MIT
local t, ls = require "harness", require "lsengine"
local pitfalls = require "lsengine.pitfalls"
local T = t.tests
local ce = ls.loss.cross_entropy

local function batch(n, seed)
  local rng = ls.rng(seed or 1)
  return ls.tensor.randn(n, 2, 6, 5, { rng = rng }), rng:integers(0, 3, n)
end

local function raised(f)
  pitfalls.forget()
  f()
  return pitfalls.raised()
end

local function weight(lambda, i) return type(lambda) == "number" and lambda or lambda[i] end

function T.mixup_is_its_formula_in_every_mode()
  for _, mode in ipairs{ "batch", "pair", "row" } do
    for _, n in ipairs{ 2, 3, 8, 9 } do
      local x, y = batch(n)
      local before = x:hash()
      local mixed, target, info = ls.mix.mixup{ alpha = 1, mode = mode }(x, y, ls.rng(n))
      t.equals(x:hash(), before)
      local q = target:rows(4)
      for i = 1, n do
        local l, j = weight(info.lambda, i), info.partner[i]
        t.is_true(j ~= i)
        t.is_true((mixed[i] - (x[i] * l + x[j] * (1 - l))):abs():max():item() < 1e-6)
        local want = { 0, 0, 0, 0 }
        want[y[i] + 1] = want[y[i] + 1] + l
        want[y[j] + 1] = want[y[j] + 1] + 1 - l
        for k = 1, 4 do t.close(q[i][k], want[k], 1e-6) end
      end
    end
  end
end

function T.cutmix_counts_the_pixels_that_it_pasted()
  for _, box in ipairs{ "clipped", "inside", "wrap" } do
    local x, y = batch(9)
    local mixed, _, info = ls.mix.cutmix{ alpha = 1, mode = "row", box = box }(x, y, ls.rng(3))
    for i = 1, 9 do
      local own = mixed[i]:eq(x[i]):mean():item() -- random numbers: equal where they stayed
      t.close(own, info.lambda[i], 1e-6)
      local other = mixed[i]:eq(x[info.partner[i]]):mean():item()
      t.close(other, 1 - info.lambda[i], 1e-6)
    end
  end
end

function T.in_place_gives_the_same_numbers()
  for _, make in ipairs{ ls.mix.mixup, ls.mix.cutmix } do
    local x, y = batch(33)
    local apart = make{ alpha = 1, mode = "row" }(x, y, ls.rng(4))
    local same = make{ alpha = 1, mode = "row", in_place = true }(x, y, ls.rng(4))
    t.equals(same:hash(), apart:hash())
    t.equals(x:hash(), apart:hash())
  end
end

function T.draws_come_from_a_stream_of_their_own()
  local x, y = batch(8)
  local a, b = ls.rng(5), ls.rng(5)
  b:random()
  b:spawn "order"
  local mixup = ls.mix.mixup{ alpha = 0.4 }
  local first, second = mixup(x, y, a), mixup(x, y, a)
  t.equals(mixup(x, y, b):hash(), first:hash())
  t.is_true(first:hash() ~= second:hash())
end

-- Smoothing after mixing and mixing after smoothing: the same terms and the same softenings, so the same bits.
function T.smoothing_and_mixing_commute_to_the_bit()
  local _ <close> = pitfalls.allow("test", { "stacked-softening" })
  local x, y = batch(31)
  local z = ls.tensor.randn(31, 4, { rng = ls.rng(6) })
  local third = ls.tensor.full(1 / 4, 4, 4)
  for _, smooth in ipairs{ ls.target.uniform(0.1), ls.target.wrong_classes(0.2), ls.target.prior(0.1, { 0.1, 0.2, 0.3, 0.4 }), ls.target.matrix(0.1, third) } do
    for _, mode in ipairs{ "batch", "row" } do
      for _, mix in ipairs{ ls.mix.mixup{ alpha = 1, mode = mode }, ls.mix.cutmix{ alpha = 1, mode = mode } } do
        local _, after = mix(x, y, ls.rng(7))
        local _, before = mix(x, smooth(y), ls.rng(7))
        after = smooth(after)
        t.equals(after:rows(4):hash(), before:rows(4):hash())
        t.equals(ce(z, after, { reduction = "none" }):hash(), ce(z, before, { reduction = "none" }):hash())
        -- and within rounding what mixing dense smoothed rows gives
        local _, dense = mix(x, ls.target.soft(smooth(y):rows(4)), ls.rng(7))
        t.is_true((dense:rows(4) - after:rows(4)):abs():max():item() < 1e-6)
      end
    end
  end
end

function T.stacked_softening_is_raised_in_both_orders_with_the_expected_numbers()
  local x, y = batch(16)
  local z = ls.tensor.randn(16, 10, { rng = ls.rng(8) })
  local smooth, mixup, line = ls.target.uniform(0.1), ls.mix.mixup{ alpha = 0.2 }, nil
  local list = raised(function()
    for i = 1, 3 do
      local _, target = mixup(x, y, ls.rng(i))
      line = t.line() + 1
      ce(z, smooth(target))
    end
  end)
  t.equals(#list, 1)
  t.is_true(list[1].where:find("test_mix.lua:" .. line, 1, true) ~= nil)
  -- E[max(λ, 1-λ)] = 1 - 0.10119; with ε = 0.1 over 10 classes 0.9 times that + 0.01
  t.is_true(list[1].message:find("uniform(0.1) softens mixup(0.2), on labels: the true class's expected mass is 0.819 with it and 0.899 without", 1, true) ~= nil, list[1].message)
  list = raised(function()
    line = t.line() + 1
    local _, target = mixup(x, smooth(y), ls.rng(9))
    ce(z, target)
  end)
  t.equals(#list, 1)
  t.is_true(list[1].where:find("test_mix.lua:" .. line, 1, true) ~= nil)
  t.is_true(list[1].message:find("mixup(0.2) softens uniform(0.1), on labels: the true class's expected mass is 0.819 with it and 0.910 without", 1, true) ~= nil, list[1].message)
  t.equals(#raised(function() local _, target = mixup(x, y, ls.rng(1)) ce(z, target) end), 0)
end

function T.either_takes_the_first_as_often_as_it_says()
  local x, y = batch(4)
  local rng, first = ls.rng(11), 0
  local either = ls.mix.either{ ls.mix.mixup{ alpha = 1 }, ls.mix.cutmix{ alpha = 1 }, p = 0.3 }
  for _ = 1, 2000 do
    local _, _, info = either(x, y, rng)
    if info.kind == "mixup" then first = first + 1 end
  end
  t.is_true(math.abs(first - 600) < 4 * math.sqrt(2000 * 0.3 * 0.7), first)
end

function T.a_batch_may_be_left_alone_by_chance()
  local x, y = batch(4)
  local rng, mixed = ls.rng(12), 0
  local mixup = ls.mix.mixup{ alpha = 1, probability = 0.25 }
  for _ = 1, 2000 do
    local out, target, info = mixup(x, y, rng)
    if info.mixed then mixed = mixed + 1 else t.is_true(out:hash() == x:hash() and target:rows(4):max(2):min():item() == 1) end
  end
  t.is_true(math.abs(mixed - 500) < 4 * math.sqrt(2000 * 0.25 * 0.75), mixed)
end

function T.the_rate_of_same_class_pairs_is_told()
  local x = batch(6)
  local _, _, info = ls.mix.mixup{ alpha = 1 }(x, ls.labels{ 2, 2, 2, 2, 2, 2 }, ls.rng(1))
  t.equals(info.same_class, 1)
  local y = ls.labels{ 0, 1, 2, 3, 4, 5 }
  _, _, info = ls.mix.mixup{ alpha = 1 }(x, y, ls.rng(1))
  t.equals(info.same_class, 0)
end

function T.numbers_are_mixed_for_regression()
  local x = batch(5)
  local y = ls.tensor{ { 1 }, { 2 }, { 3 }, { 4 }, { 5 } }
  local _, mixed, info = ls.mix.mixup{ alpha = 1, mode = "row" }(x, y, ls.rng(2))
  for i = 1, 5 do t.close(mixed[i][1], info.lambda[i] * i + (1 - info.lambda[i]) * info.partner[i], 1e-5) end
end

function T.mixing_again_has_a_limit_that_is_said()
  local _ <close> = pitfalls.allow("test", { "stacked-softening" })
  local x, target = batch(5)
  local mixup, rng = ls.mix.mixup{ alpha = 1 }, ls.rng(3)
  for _ = 1, 3 do
    x, target = mixup(x, target, rng)
    t.is_true((target:rows(4):sum(2) - 1):abs():max():item() < 1e-6)
  end
  t.fails(function() return mixup(x, target, rng) end, "mixup: a target of 8 labels cannot be mixed again", true)
end

function T.manifold_mixup_mixes_where_a_layer_begins()
  local model = ls.nn.mlp({ 60, 16, 8, 4 }, { rng = ls.rng(1), activation = "tanh" })
  local x, y = batch(6)
  local manifold = ls.mix.manifold{ alpha = 1, layers = { 2 } }
  local logits, target, info = manifold:forward(model, x, y, ls.rng(2))
  t.equals(info.layer, 2)
  local hidden = (x:reshape(6, -1):matmul(model[1].weight, false, true) + model[1].bias):tanh()
  local l, blended = info.lambda, {}
  for i = 1, 6 do blended[i] = hidden[i] * l + hidden[info.partner[i]] * (1 - l) end
  local h = ls.tensor.stack(blended)
  for i = 3, 5 do h = model[i](h) end
  t.is_true((h - logits):abs():max():item() < 1e-5)
  ce(logits, target):backward()
  t.is_true(model[1].weight.grad:abs():sum():item() > 0)
  t.fails(function() return manifold(x, y, ls.rng(1)) end, "mixes within a model", true)
  t.fails(function() return ls.mix.manifold{ alpha = 1, layers = { 9 } }:forward(model, x, y, ls.rng(1)) end, "layers[1] is 9, allowed is 0 to 4", true)
end

function T.what_cannot_be_mixed_is_said_at_the_users_line()
  local mixup, cutmix = ls.mix.mixup{ alpha = 1 }, ls.mix.cutmix{ alpha = 1 }
  local x, y = batch(4)
  t.fails(function() return mixup(x:narrow(1, 1, 1), y:narrow(1, 1), ls.rng(1)) end, "mixup: a batch of 1 row cannot be mixed, at least 2", true)
  t.fails(function() return mixup(x, ls.labels{ 1, 2 }, ls.rng(1)) end, "mixup: the batch has 4 rows but y has 2", true)
  t.fails(function() return cutmix(x:reshape(4, 60), y, ls.rng(1)) end, "cutmix: the batch has shape 4x60, images N×C×H×W are required", true)
  t.fails(function() return mixup(x, y) end, "the random stream is missing", true)
  t.fails(function() return mixup(x) end, "the labels are missing", true)
  t.fails(function() return mixup(1, y, ls.rng(1)) end, "the batch is 1, a tensor is required", true)
  t.fails(function() return ls.mix.either{ mixup } end, "1 mixes were given, two are required", true)
  t.fails(function() return ls.mix.either{ mixup, 5 } end, "the second is 5", true)
  t.fails(function() return ls.mix.either{ mixup, cutmix, q = 1 } end, "unknown option q, known are p", true)
  t.fails(function() return ls.mix.cutmix{ alpha = 1, box = "round" } end, "box is \"round\", allowed are clipped, inside, wrap", true)
  t.fails(function() return ls.mix.mixup{ alpha = 0 } end, "alpha is 0, allowed is above 0", true)
end

t.run()
