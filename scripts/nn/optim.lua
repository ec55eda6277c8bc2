-- Optimizers, schedules, clipping. SPDX-License-Identifier: MIT
--
-- ls.optim.sgd(parameters, { lr = 0.1 }) is an optimizer; ls.optim.sgd{ lr = 0.1 } a recipe, which ls.train applies to a
-- model's parameters. Formulas are PyTorch's (core/include/lsengine/nn.h).
local c       = require "lsengine.c.nn"
local steps   = require "lsengine.c.optimizer"
local raw     = require "lsengine.c.tensor"
local grad    = require "lsengine.c.autograd"
local system  = require "lsengine.c.system"
local options = require "lsengine.options"
local public  = require "lsengine.public"
require "lsengine.tensor"
local raise   = public.raise

local optim = {}
local Optimizer, Recipe, Schedule = {}, {}, {}
Optimizer.__index, Recipe.__index, Schedule.__index = Optimizer, Recipe, Schedule
Optimizer.__name, Recipe.__name, Schedule.__name = "optimizer", "optimizer recipe", "schedule"

-- sgd{ lr = 0.1, momentum = 0.9, … }
local function text(name, given)
  local names = {}
  for key in pairs(given) do names[#names + 1] = key end
  table.sort(names)
  for i, key in ipairs(names) do names[i] = ("%s = %s"):format(key, given[key]) end
  return ("%s{ %s }"):format(name, table.concat(names, ", "))
end
function Optimizer:__tostring() return ("%s after %d steps"):format(text(self.kind.name, self.options), self.steps) end
function Recipe:__tostring() return text(self.kind.name, self.options) end
function Schedule:__tostring() return text(self.name, self.options) end

options.type("optimizer", function(v)
  local meta = getmetatable(v)
  return meta == Optimizer or meta == Recipe
end, "an optimizer (ls.optim.sgd{…})")
options.type("built optimizer", function(v) return getmetatable(v) == Optimizer end, "an optimizer of parameters")
options.type("schedule", function(v) return getmetatable(v) == Schedule end, "a schedule (ls.optim.cosine{…})")

local function build(kind, o, parameters)
  if #parameters == 0 then raise(kind.name, "there is no parameter to train (layers whose weights are not made yet have none: give the model { rng = })") end
  for i, p in ipairs(parameters) do
    if not raw.is_tensor(p) then raise(kind.name, ("parameters[%d] is %s, a tensor is required"):format(i, type(p))) end
  end
  return setmetatable({ kind = kind, options = o, parameters = parameters, lr = o.lr, steps = 0, state = {} }, Optimizer)
end

function Recipe:build(parameters) return build(self.kind, self.options, parameters) end

-- The C function that changes parameters first … last, and its arguments; of one the gradient may be gᵀ·x (bindings/optimizer.c).
local function change(self, first, last, g, x, memory)
  local kind = self.kind
  return kind.change, self.parameters, self.state, first, last, g, x, memory, kind.numbers(self.options, self.lr)
end
local function call(f, ...) return f(...) end

Optimizer.step = public("optimizer:step", {
  self = "built optimizer",
  doc = "Changes every parameter that has gathered a gradient by one step, at the learning rate optimizer.lr.", returns = "nothing",
}, function(self)
  self.steps = self.steps + 1
  call(change(self, 1, #self.parameters))
end)

-- What optimizer:step() calls, for who makes many steps; nothing where a method is the script's own.
function optim.change(self)
  if not rawget(self, "step") and not rawget(self, "zero_grad") then return change(self, 1, #self.parameters) end
end

Optimizer.zero_grad = public("optimizer:zero_grad", { self = "built optimizer", doc = "Forgets the gathered gradients of all parameters.", returns = "nothing" }, function(self) grad.forget_grads(self.parameters) end)

local SLICE, ROWS = 2^17, 64 -- floats of a weight's gradient that lie in memory at once, for each thread; at least so many rows

-- take(p, [g, x]): the step of one parameter as soon as its gradient is complete, before optimizer:step() makes that of the others. A gradient gᵀ·x is made and used up
-- by slices, which the threads share out, in memory that serves all parameters. nil where that cannot be, a method being the script's own or two parameters one memory, or where none is large.
function optim.taker(self)
  if rawget(self, "step") or rawget(self, "zero_grad") then return nil end
  local places, seen, most, large, memory, threads = {}, {}, 0, false, nil, nil
  for i, p in ipairs(self.parameters) do
    local storage = grad.storage(p)
    if seen[storage] then return nil end
    seen[storage], places[p], large = true, i, large or grad.is_large(p)
    if raw.rank(p) == 2 then most = math.max(most, math.min(raw.count(p), math.max(SLICE, ROWS * raw.size(p, 2)))) end
  end
  if not large then return nil end
  return function(p, g, x)
    local i = places[p]
    if not i then return g and raw.matmul(g, x, true, false) end
    if g and threads ~= system.threads() then
      threads = system.threads()
      memory = raw.zeros(most * threads)
    end
    call(change(self, i, i, g, x, memory))
    grad.set_grad(p, nil)
  end
end

local lr = { type = "number", required = true, min = 0, below = math.huge, doc = "learning rate" }
local decay = function(default) return { type = "number", default = default, min = 0, below = math.huge, doc = "weight decay" } end

local function optimizer(name, doc, specs, kind)
  kind.name = name
  optim[name] = public("ls.optim." .. name, {
    doc = doc .. " With options alone: a recipe for ls.train.", returns = "optimizer, or recipe", variadic = true,
    signature = "([parameters,] options)", example = ("local optimizer = ls.optim.%s(model:parameters(), { lr = 0.01 })"):format(name),
    options = specs,
  }, function(...)
    local given = { ... }
    local parameters = select("#", ...) > 1 and given[1] or nil
    if parameters ~= nil and type(parameters) ~= "table" then
      raise(name, ("parameters is %s, a table of tensors is required"):format(type(parameters)))
    end
    local o = options.read(name, specs, given[select("#", ...)])
    if o.nesterov and o.momentum == 0 then raise(name, "nesterov is true but momentum is 0: it needs momentum above 0") end
    if parameters then return build(kind, o, parameters) end
    return setmetatable({ kind = kind, options = o }, Recipe)
  end)
end

optimizer("sgd", "Stochastic gradient descent, with momentum, Nesterov's or plain, and L2 weight decay.", {
  lr = lr, weight_decay = decay(0),
  momentum = { type = "number", default = 0, min = 0, below = 1, doc = "share of the velocity that is kept" },
  nesterov = { type = "boolean", default = false, doc = "Nesterov's momentum" },
}, {
  slots = function(o) return o.momentum > 0 and { "velocity" } or {} end,
  change = steps.sgd, numbers = function(o, rate) return rate, o.momentum, o.weight_decay, o.nesterov end,
})

local function adam(name, doc, default_decay, decoupled)
  local beta = function(default, what) return { type = "number", default = default, min = 0, below = 1, doc = "decay of the mean of " .. what } end
  optimizer(name, doc, {
    lr = lr, weight_decay = decay(default_decay), beta1 = beta(0.9, "gradients"), beta2 = beta(0.999, "squared gradients"),
    eps = { type = "number", default = 1e-8, above = 0, below = math.huge, doc = "added to the root" },
  }, {
    slots = function() return { "m", "v" } end,
    change = steps.adam, numbers = function(o, rate) return rate, o.beta1, o.beta2, o.eps, o.weight_decay, decoupled end,
  })
end
adam("adam", "Adam (Kingma & Ba 2015), weight decay in the gradient.", 0, false)
adam("adamw", "AdamW (Loshchilov & Hutter 2019), weight decay apart from the gradient.", 0.01, true)

-- ---- schedules: factor(time, total) in epochs ----

function Schedule:factor(time, total)
  local o = self.options
  return c.schedule(self.kind, o.warmup, o.minimum or 0, o.every or 1, o.factor or 1, time, total)
end

local warmup = { type = "number", default = 0, min = 0, doc = "epochs over which the rate rises linearly from 0" }
local function schedule(name, kind, doc, specs)
  specs.warmup = warmup
  optim[name] = public("ls.optim." .. name, { doc = doc, returns = "schedule, for ls.train", options = specs }, function(o)
    return setmetatable({ name = name, kind = kind, options = o }, Schedule)
  end)
end
schedule("cosine", "cosine", "The learning rate falls along half a cosine to `minimum` of its value at the end (Loshchilov & Hutter 2017).", {
  minimum = { type = "number", default = 0, min = 0, max = 1, doc = "factor at the end" },
})
schedule("step_decay", "step", "The learning rate is multiplied by `factor` after every `every` epochs.", {
  every  = { type = "number", required = true, above = 0, doc = "epochs" },
  factor = { type = "number", default = 0.1, above = 0, max = 1, doc = "what it is multiplied by" },
})
schedule("constant", "constant", "The learning rate stays, after a warm-up.", {})

optim.clip_norm = public("ls.optim.clip_norm", {
  doc = "Scales all gathered gradients so that their joint L2 norm is at most `norm`.", returns = "the norm before, a number",
  { "parameters", type = "table", doc = "tensors" }, { "norm", type = "number", above = 0, doc = "the most it may be" },
}, function(parameters, norm)
  local squares = 0
  for _, p in ipairs(parameters) do
    local g = grad.grad(p)
    if g then squares = squares + c.sum_of_squares(g) end
  end
  local before = math.sqrt(squares)
  if before > norm then
    for _, p in ipairs(parameters) do
      local g = grad.grad(p)
      if g then raw.mul_(g, norm / before) end
    end
  end
  return before
end)

optim.Recipe = Recipe
return optim
