-- Differentiation: graphs, errors, functions of one's own. SPDX-License-Identifier: MIT
local t, ls = require "harness", require "lsengine"
local T = t.tests

local function leaf(...) return ls.tensor(...):requires_grad() end

function T.a_tensor_used_twice_gathers_both_gradients()
  local x = leaf{ 1, 2, 3 }
  local y = x * x + x
  local both = y + y
  both:sum():backward()
  t.equals(x.grad:totable(), { 6, 10, 14 })
end

function T.gradients_add_up_until_forgotten()
  local x = leaf{ 1, 2 }
  x:sum():backward()
  x:sum():backward()
  t.equals(x.grad:totable(), { 2, 2 })
  x:zero_grad()
  t.equals(x.grad, nil)
end

-- add hands one gradient tensor to both inputs: they must not share it afterwards
function T.leaves_never_share_a_gradient()
  local a, b = leaf{ 1, 2 }, leaf{ 3, 4 }
  local sum = a + b
  sum:sum():backward()
  a.grad:mul_(10)
  t.equals(b.grad:totable(), { 1, 1 })
  local x = leaf{ 1, 2 }
  local inner = x * 1
  local both = inner + x
  both:sum():backward()
  t.equals(x.grad:totable(), { 2, 2 })
end

function T.backward_needs_a_scalar_or_a_gradient()
  local x = leaf{ 1, 2 }
  t.fails(function() return (x * 2):backward() end, "backward: the tensor has shape 2: give a gradient", true)
  t.fails(function() return (x * 2):backward(ls.tensor{ 1, 2, 3 }) end, "the gradient has shape 3, the tensor 2", true)
  t.fails(function() return ls.tensor{ 1 }:sum():backward() end, "nothing was recorded", true)
  local y = (x * 2)
  y:backward(ls.tensor{ 1, 10 })
  t.equals(x.grad:totable(), { 2, 20 })
end

function T.a_graph_is_freed_unless_retained()
  local x = leaf{ 1, 2 }
  local y = x:square():sum()
  y:backward(nil, { retain_graph = true })
  y:backward()
  t.equals(x.grad:totable(), { 4, 8 })
  t.fails(function() return y:backward() end, "the graph was freed by an earlier backward", true)
end

function T.writing_over_what_a_gradient_needs_is_noticed()
  local x, w = leaf{ 1, 2 }, ls.tensor{ 3, 4 }
  local y = (x * w):sum()
  w[1] = 100
  t.fails(function() return y:backward() end, "a tensor that mul needs for its gradient was written to in place", true)
  t.fails(function() x[1] = 5 end, "writes to a tensor that gathers gradients", true)
  local z = x * 2
  t.fails(function() z:add_(1) end, "is the result of recorded operations", true)
  ls.no_grad(function() x[1] = 5 end)
  t.equals(x[1], 5)
end

function T.nothing_is_recorded_within_no_grad()
  local x = leaf{ 1, 2 }
  local y = ls.no_grad(function() return x * 2 end)
  t.fails(function() return y:sum():backward() end, "nothing was recorded", true)
  pcall(ls.no_grad, function() error "out" end) -- recording is on again after an error
  x:sum():backward()
  t.equals(x.grad:totable(), { 1, 1 })
end

function T.rows_of_recorded_tensors_are_recorded()
  local x = leaf{ { 1, 2 }, { 3, 4 } }
  x[2]:square():sum():backward()
  t.equals(x.grad:totable(), { { 0, 0 }, { 6, 8 } })
end

function T.functions_of_ones_own_are_differentiated()
  local calls = {}
  local scaled = ls.autograd.define{
    name = "scaled",
    forward = function(x, by) return x * by, by, "kept" end,
    backward = function(ctx, g)
      calls = { ctx.saved[1], ctx.saved[2], ctx:needs(1), ctx:needs(2) }
      return g * ctx.saved[1]
    end,
  }
  local x = leaf{ 1, 2 }
  scaled(x, 3):sum():backward()
  t.equals(x.grad:totable(), { 3, 3 })
  t.equals(calls, { 3, "kept", true, false })
  local bad = ls.autograd.define{ forward = function(x) return x * 1 end, backward = function() return ls.tensor{ 1, 2, 3 } end }
  t.fails(function() return bad(x):sum():backward() end, "gives its input 1 a gradient of shape 3, the input's is 2", true)
  local none = ls.autograd.define{ name = "none", forward = function() return 5 end, backward = function() end }
  t.fails(function() return none(x) end, "none: forward returned number, a tensor is required", true)
end

function T.a_long_chain_does_not_exhaust_the_stack()
  local x = leaf{ 1 }
  local y = x
  for _ = 1, 20000 do y = y + 1 end
  y:backward()
  t.equals(x.grad:totable(), { 1 })
end

function T.a_loss_keeps_its_target_through_arithmetic()
  local z = ls.tensor.randn(2, 3, { rng = ls.rng(1) }):requires_grad()
  local loss = ls.loss.cross_entropy(z, ls.target.uniform(0.1)(ls.labels{ 0, 1 }))
  t.equals(tostring((loss * 2 + 1).target), "target of 2 rows: uniform(0.1), on labels")
  t.equals(loss.weighting, "lsengine")
  t.is_true(tostring(loss):find("uniform(0.1), on labels", 1, true) ~= nil)
  t.equals(z.target, nil)
end

-- What ls.train has done with large leaves on the way back (bindings/autograd.h).
function T.large_leaves_are_taken_once_nothing_reads_them_any_more()
  local autograd, linear = require "lsengine.autograd", require "lsengine.tensor".operations.linear
  local x = ls.tensor.randn(8, 260, { rng = ls.rng(1) })
  local a, b = ls.tensor.randn(260, 260, { rng = ls.rng(2) }):requires_grad(), ls.tensor.randn(260, 260, { rng = ls.rng(3) }):requires_grad()
  local small = ls.tensor.randn(4, 260, { rng = ls.rng(4) }):requires_grad()
  local blind = ls.autograd.define{ name = "blind", forward = function(t) return t * 1 end, backward = function(_, g) return g end }
  local function taken(f)
    local list = {}
    autograd.backward(f():sum(), nil, false, function(p, g)
      list[#list + 1] = (p == a and "a" or p == b and "b" or "?") .. (g and "·" or "") -- a product's factors
    end)
    for _, p in ipairs{ a, b, small } do
      list[#list + 1] = p.grad and (p == a and "a" or p == b and "b" or "small") .. " left" or nil
      require "lsengine.c.autograd".set_grad(p, nil)
    end
    return table.concat(list, " ")
  end
  t.equals(taken(function() return linear(linear(linear(x, a), b), small) end), "b· a· small left")
  t.equals(taken(function() return linear(linear(linear(x, a), b), a) end), "b· a a left") -- twice: gathered, then taken; the taker left it
  t.equals(taken(function()
    local h = linear(x, a)
    return h:matmul(b:detach()) + linear(h, b)
  end), "a· b left") -- the view reads b when its gradient is complete: left to the caller
  t.equals(taken(function() return blind(linear(linear(x, a), b)) end), "b· a·")
  t.equals(taken(function() return linear(linear(blind(linear(x, a)), b), small) end), "a· b left small left") -- a user's backward is still to come when b is complete
end

t.run()
