-- Targets, losses and their pitfalls as a script meets them. SPDX-License-Identifier: MIT
local t, ls = require "harness", require "lsengine"
local pitfalls = require "lsengine.pitfalls"
local T = t.tests
local y = ls.labels{ 0, 1, 2, 1 }
local z = ls.tensor.randn(4, 3, { rng = ls.rng(2) })
local ce = ls.loss.cross_entropy

-- The pitfalls that f raises.
local function raised(f)
  pitfalls.forget()
  f()
  return pitfalls.raised()
end

function T.the_two_conventions_are_one_scheme()
  t.close(ce(z, ls.target.wrong_classes(0.2)(y)):item(), ce(z, ls.target.uniform(0.3)(y)):item(), 1e-6)
  t.close(ls.target.uniform(0.1)(y):rows(3)[1][1], 0.9 + 0.1 / 3, 1e-6)
  t.close(ls.target.wrong_classes(0.1)(y):rows(3)[1][1], 0.9, 1e-6)
end

function T.every_kind_of_target_is_taken()
  local rows = ls.target.uniform(0.1)(y):rows(3)
  t.close(ce(z, ls.target.soft(rows)):item(), ce(z, ls.target.uniform(0.1)(y)):item(), 1e-6)
  t.close(ce(z, { 0, 1, 2, 1 }):item(), ce(z, y):item(), 0)
  local mixed = ls.target.weighted{ { y, 0.5 }, { y, 0.5 } }
  t.close(ce(z, mixed):item(), ce(z, y):item(), 1e-6)
  t.close(ce(z, ls.target.prior(0.3, { 1 / 3, 1 / 3, 1 / 3 })(y)):item(), ce(z, ls.target.uniform(0.3)(y)):item(), 1e-6)
  local third = { 1 / 3, 1 / 3, 1 / 3 }
  t.close(ce(z, ls.target.matrix(0.3, { third, third, third })(y)):item(), ce(z, ls.target.uniform(0.3)(y)):item(), 1e-6)
end

-- smoothing each label of a mix = mixing smoothed labels: the same history on the same terms
function T.smoothing_commutes_with_mixing_to_the_bit()
  local smooth, other = ls.target.uniform(0.1), ls.labels{ 2, 2, 0, 0 }
  local _ <close> = pitfalls.allow("test", { "stacked-softening" })
  local after = ce(z, smooth(ls.target.weighted{ { y, 0.7 }, { other, 0.3 } }), { reduction = "none" })
  local before = ls.target.soft(smooth(y):rows(3) * 0.7 + smooth(other):rows(3) * 0.3)
  t.is_true((after - ce(z, before, { reduction = "none" })):abs():max():item() < 1e-6)
end

function T.stacked_softening_warns_once_at_the_users_line_with_its_numbers()
  local smooth = ls.target.uniform(0.1)
  local line
  local list = raised(function()
    for _ = 1, 3 do
      line = t.line() + 1
      local twice = smooth(smooth(y))
      ce(z, twice)
    end
  end)
  t.equals(#list, 1)
  t.equals(list[1].name, "stacked-softening")
  t.equals(list[1].where, ("%s:%d"):format(debug.getinfo(1, "S").short_src, line))
  t.is_true(list[1].message:find("mass is 0.873 with it and 0.933 without", 1, true) ~= nil)
end

function T.sensible_uses_raise_nothing()
  t.equals(raised(function()
    ce(z, ls.target.uniform(0.1)(y))
    ce(z, ls.target.one_hot()(y))
    ce(z, ls.target.uniform(0)(ls.target.uniform(0.1)(y)))
    ce(z, ls.target.uniform(0.1)(ls.target.one_hot()(y)))
    ce(z, ls.target.uniform(0.3)(y))
    ls.loss.mse(z, z)
    ls.loss.binary_cross_entropy(z, z:sigmoid() * 0.9 + 0.05)
  end), {})
end

function T.too_large_an_epsilon_warns_then_fails()
  t.equals(#raised(function() ce(z, ls.target.uniform(0.31)(y)) end), 1)
  local line = t.line() + 1
  local third = ls.target.wrong_classes(2 / 3)
  t.fails(function() return ce(z, third(y)) end, "leaves the true class no more mass than another [epsilon-too-large]", line)
  t.equals(#raised(function()
    local _ <close> = pitfalls.allow("test", { "epsilon-too-large" })
    ce(z, third(y))
  end), 0)
  t.fails(function() return ls.target.uniform(1.1) end, "epsilon is 1.1, allowed is 0 to 1", true)
end

function T.smoothing_a_regression_is_an_error()
  t.fails(function() return ls.loss.mse(z, ls.target.uniform(0.1)(y)) end, "smoothing means nothing for a loss that is not categorical [smoothing-regression]", true)
  t.fails(function() return ls.loss.mse(z, y) end, "a tensor of numbers is required", true)
end

function T.strict_makes_warnings_errors()
  pitfalls.strict = true
  local smooth = ls.target.uniform(0.1)
  local ok, message = pcall(function() ce(z, smooth(smooth(y))) end)
  pitfalls.strict = false
  t.is_true(not ok and message:find "%[stacked%-softening%]$" ~= nil)
end

function T.allow_knows_its_names()
  t.fails(function() return ls.experiment{ name = "x", arms = { { "a" } }, trial = print, allow = { "stacked-sofening" } } end,
    'allow names "stacked-sofening", which is no pitfall', true)
end

function T.parts_add_up_and_the_floor_is_the_entropy()
  local target = ls.target.uniform(0.1)(y)
  local hard, soft = ls.loss.cross_entropy_parts(z, target)
  t.close(hard:item() + soft:item(), ce(z, target):item(), 1e-6)
  t.close(hard:item(), 0.9 * ce(z, y):item(), 1e-6)
  t.close(ls.loss.kl_divergence(z, target):item(), ce(z, target):item() - target:entropy(3), 1e-6)
  t.close(ls.target.uniform(0.1)(y):floor(10), 0.5003, 5e-5)
end

function T.ignored_rows_and_weights_are_reported()
  local loss = ce(z, ls.labels{ 0, -100, 2, 1 }, { ignore_index = -100, weight = { 1, 2, 3 } })
  t.equals(loss.kept, 3)
  t.equals(loss.ignored, 1)
  t.is_true(tostring(loss):find("class weights as in lsengine, 1 of 4 rows ignored", 1, true) ~= nil)
  t.equals(ce(z, ls.labels{ -1, -1, -1, -1 }, { ignore_index = -1 }):item(), 0)
end

function T.bad_logits_and_labels_name_their_row()
  local bad = z:clone()
  bad[3][2] = 0 / 0
  t.fails(function() return ce(bad, y) end, "cross_entropy: logits[3] is NaN for class 1", true)
  bad[3][2] = math.huge
  t.fails(function() return ce(bad, y) end, "logits[3] is +inf for class 1", true)
  t.fails(function() return ce(z, ls.labels{ 0, 1, 3, 1 }) end, "labels[3] is 3 but logits have 3 classes (0..2)", true)
  t.fails(function() return ce(z, ls.labels{ 0, 1 }) end, "targets have 2 rows but logits have 4", true)
  t.fails(function() return ce(z, "y") end, "target is \"y\"", true)
  t.fails(function() return ce(ls.tensor{ 1, 2 }, y) end, "logits have shape 2, a matrix", true)
  t.fails(function() return ce(z, y, { weight = { 1, 2 } }) end, "weight has shape 2 but logits have 3 classes", true)
  t.fails(function() return ls.target.weighted{ { y, 0.7 }, { ls.labels{ 1 }, 0.3 } } end, "term 2 has 1 labels, the first 4", true)
  t.fails(function() return ce(z, ls.target.weighted{ { y, 0.7 }, { y, 0.4 } }) end, "the weights of row 1 of the target sum to 1.1", true)
  t.fails(function() return ls.target.prior(0.1, { 0.5, 0.6 })(ls.labels{ 0, 1 }):rows(2) end, "the prior sums to 1.1, must be 1", true)
  t.equals(ce(ls.tensor.zeros(0, 3), ls.labels{}):item(), 0)
  t.equals(ce(ls.tensor.zeros(4, 1), ls.labels{ 0, 0, 0, 0 }):item(), 0)
end

t.run()
