-- Reverse-mode differentiation over recorded operations. SPDX-License-Identifier: MIT
--
-- An operation is a pair: forward(inputs…) → result, kept value; backward(node, gradient) → a gradient for each input, or
-- nil. node[i] are the inputs, node.out the result, node.saved the kept value. Gradients have the shape of their input.
local c       = require "lsengine.c.autograd"
local tensor  = require "lsengine.c.tensor"
local options = require "lsengine.options"
local public  = require "lsengine.public"
local tidy    = require "lsengine.tidy"
local raise   = public.raise
local node_of, is_leaf, take, same_shape = c.node, c.is_leaf, c.take, c.same_shape
local add_in_place, add, clone = tensor.add_, tensor.add, tensor.clone

local receive, changed = c.receive, c.changed

local autograd = { needs = c.is_tracked }

-- A differentiable operation. `foreign`: its backward is the user's, who may keep or change what it returns.
function autograd.op(name, forward, backward, foreign)
  return c.op({ name = name, backward = backward, foreign = foreign or false }, forward)
end

local restore = setmetatable({}, { __close = function() c.set_recording(true) end })
local nothing = setmetatable({}, { __close = function() end })

-- local _ <close> = autograd.pause(): nothing is recorded until the scope ends, by whatever way.
function autograd.pause()
  return c.set_recording(false) and restore or nothing
end

-- Nodes from which `root` was made, each after all that it depends on.
local function sorted(root)
  local list, seen, stack, place, top = {}, { [root] = true }, { root }, { 1 }, 1
  while top > 0 do
    local node, i = stack[top], place[top]
    local child
    while i <= node.n do
      child = node_of(node[i])
      i = i + 1
      if child and not seen[child] then break end
      child = nil
    end
    place[top] = i
    if child then
      if child.freed then raise("backward", "a part of the graph was freed by an earlier backward (use retain_graph = true there)") end
      seen[child] = true
      top = top + 1
      stack[top], place[top] = child, 1
    else
      list[#list + 1] = node
      top = top - 1
    end
  end
  return list
end

local function accumulate(input, gradient, foreign)
  local node = node_of(input)
  if node then
    if not node.grad then
      node.grad, node.owned = gradient, not foreign and take(gradient)
    elseif node.owned then
      add_in_place(node.grad, gradient)
    else
      node.grad = add(node.grad, gradient)
      node.owned = take(node.grad)
    end
  elseif is_leaf(input) then
    local current = c.grad(input)
    if current then
      add_in_place(current, gradient)
    else
      c.set_grad(input, not foreign and take(gradient) and gradient or clone(gradient))
    end
  end
end

local function deliver(node, i, g)
  if not g then return end
  local foreign = node.op.foreign
  local left = receive(node, i, g, foreign)
  if left then
    accumulate(node[i], g, foreign)
  elseif left == false then
    raise("backward", ("%s gives its input %d a gradient of shape %s, the input's is %s"):format(
      node.op.name, i, tensor.is_tensor(g) and tensor.shape_text(g) or type(g), tensor.shape_text(node[i])))
  end
end

local function propagate(node)
  local op, n = node.op, node.n
  if changed(node) then
    raise("backward", ("a tensor that %s needs for its gradient was written to in place after it was used"):format(op.name))
  end
  if n <= 3 then
    local first, second, third = op.backward(node, node.grad)
    deliver(node, 1, first)
    if n > 1 then deliver(node, 2, second) end
    if n > 2 then deliver(node, 3, third) end
  else
    local gradients = table.pack(op.backward(node, node.grad))
    for i = 1, n do deliver(node, i, gradients[i]) end
  end
end

local LARGE = 65536 -- elements of a result whose memory is worth a thought

local function free(node)
  for i = 1, node.n do node[i] = nil end
  node.n, node.out, node.saved, node.grad, node.freed = 0, nil, nil, nil, true
end

function autograd.backward(root, gradient, retain)
  local node = node_of(root)
  if gradient then
    if not same_shape(gradient, root) then
      raise("backward", ("the gradient has shape %s, the tensor %s"):format(tensor.shape_text(gradient), tensor.shape_text(root)))
    end
  elseif tensor.count(root) ~= 1 then
    raise("backward", ("the tensor has shape %s: give a gradient, or reduce it to one element (:sum(), :mean())"):format(tensor.shape_text(root)))
  else
    gradient = tensor.full(1, tensor.shape(root))
  end
  if not node then
    if is_leaf(root) then return accumulate(root, gradient, true) end
    raise("backward", "nothing was recorded: none of its inputs gathers gradients (:requires_grad())")
  end
  if node.freed then raise("backward", "the graph was freed by an earlier backward (use retain_graph = true there)") end
  local _ <close> = autograd.pause()
  local list = sorted(node)
  for i = 1, #list do list[i].grad = nil end
  node.grad, node.owned = gradient, false
  local freed = 0 -- kilobytes
  for i = #list, 1, -1 do
    local n = list[i]
    if n.grad then propagate(n) end
    if retain then
      n.grad = nil
    else
      local size = tensor.count(n.out)
      free(n)
      if size >= LARGE then
        freed = freed + size / 128 -- 4 bytes each, and as many of its gradient
        if tidy(freed) then freed = 0 end
      end
    end
  end
end

local context = {}
context.__index = context

-- True where the i-th input needs a gradient.
function context:needs(i) return c.is_tracked(self[i]) end

autograd.define = public("ls.autograd.define", {
  doc = [[A differentiable function of one's own. `forward(inputs…)` is called without recording and returns the result and,
after it, values to keep. `backward(ctx, gradient)` returns a gradient for each input (nil where there is none), of the shape
of that input: ctx[i] are the inputs, ctx.out the result, ctx.saved a table of the kept values, ctx:needs(i) tells whether
the i-th gradient will be used.]],
  returns = "a function of the inputs; its result is differentiable in every tensor among them",
  example = [[local double = ls.autograd.define{
  name = "double",
  forward  = function(x) return x * 2 end,
  backward = function(ctx, gradient) return gradient * 2 end,
}]],
  options = {
    name     = { type = "string", default = "function", doc = "how it is called in messages" },
    forward  = { type = "callable", required = true, doc = "inputs → result, kept values…" },
    backward = { type = "callable", required = true, doc = "context, gradient → a gradient for each input" },
  },
}, function(o)
  local function forward(...)
    local _ <close> = autograd.pause()
    local results = table.pack(o.forward(...))
    if not tensor.is_tensor(results[1]) then
      raise(o.name, ("forward returned %s, a tensor is required"):format(type(results[1])))
    end
    return results[1], { table.unpack(results, 2, results.n) }
  end
  local function backward(node, gradient)
    local ctx = setmetatable({ n = node.n, out = node.out, saved = node.saved }, context)
    for i = 1, node.n do ctx[i] = node[i] end
    return o.backward(ctx, gradient)
  end
  return autograd.op(o.name, forward, backward, true)
end)

local callable = { type = "callable" }

autograd.no_grad = public("ls.no_grad", {
  doc = "Calls f(…) without recording, and returns what it returns.",
  returns = "what f returns", signature = "(f, …)", example = "local accuracy = ls.no_grad(function() return model(x):argmax() end)",
  variadic = true,
}, function(f, ...)
  options.check("no_grad", "argument f", callable, f)
  local _ <close> = autograd.pause()
  return f(...)
end)

return autograd
