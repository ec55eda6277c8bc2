-- Reverse-mode differentiation over recorded operations. SPDX-License-Identifier: MIT
--
-- An operation is a pair: forward(inputs…) → result, kept value; backward(inputs, gradient, result, kept, owned) → a gradient for each input, or nil; `inputs` is
-- a table, `owned` true where the gradient may be written to. Gradients have the shape of their input. The way back is bindings/backward.c.
local c       = require "lsengine.c.autograd"
local tensor  = require "lsengine.c.tensor"
local options = require "lsengine.options"
local public  = require "lsengine.public"
local tidy    = require "lsengine.tidy"
local raise   = public.raise

local walk = c.walker(tensor.add, tensor.add_, tensor.clone, tidy)

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

-- take(leaf, [g, x]), where given: see bindings/autograd.h.
function autograd.backward(root, gradient, retain, take)
  if gradient then
    if not c.same_shape(gradient, root) then
      raise("backward", ("the gradient has shape %s, the tensor %s"):format(tensor.shape_text(gradient), tensor.shape_text(root)))
    end
  elseif tensor.count(root) ~= 1 then
    raise("backward", ("the tensor has shape %s: give a gradient, or reduce it to one element (:sum(), :mean())"):format(tensor.shape_text(root)))
  else
    gradient = tensor.full(1, tensor.shape(root))
  end
  local _ <close> = autograd.pause()
  walk(root, gradient, retain, take)
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
    return results[1], { inputs = select("#", ...), values = { table.unpack(results, 2, results.n) } }
  end
  local function backward(inputs, gradient, out, kept)
    local ctx = setmetatable({ n = kept.inputs, out = out, saved = kept.values }, context)
    for i = 1, kept.inputs do ctx[i] = inputs[i] end
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
