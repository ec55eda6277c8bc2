-- Schemes of one's own, in Lua. SPDX-License-Identifier: MIT
--
-- What `soften` gives is held to what all targets owe at each call; a state is plain values that checkpoints can keep.
local raw      = require "lsengine.c.tensor"
local closs    = require "lsengine.c.loss"
local cschemes = require "lsengine.c.schemes"
local system   = require "lsengine.c.system"
local declared = require "lsengine.declared"
local options  = require "lsengine.options"
local public   = require "lsengine.public"
local scheme   = require "lsengine.scheme"
local schemes  = require "lsengine.schemes"
local target   = require "lsengine.target"
local raise    = public.raise

local promises = {
  one_hot_at_zero = "with the parameter epsilon at 0 labels stay as they are",
  equivariant = "renaming the classes renames the target's: no class is special",
  order_kept = "no class gets more mass than the label",
  stateful = "it has a state (functions state, observe, end_epoch)",
  random = "it draws from context.rng",
  rows = "it asks which rows of the training data it is given (context.rows)",
  logits = "it looks at the logits (context.logits)",
  one_label = "mixed targets are refused",
}

local Engine = {}
Engine.__index = Engine

-- Parameters as the functions see them: to read.
local function as_self(s)
  return setmetatable({}, { __index = s.parameters, __newindex = function(_, name)
    raise(s.kind, ("self.%s cannot be set: what a scheme learns belongs into context.state, which checkpoints keep"):format(tostring(name)))
  end })
end

local function context_of(call)
  return { classes = call.classes, epoch = call.epoch, epochs = call.epochs, examples = call.examples, rng = call.rng, state = call.state, logits = call.logits, rows = call.positions }
end

local function check_labels(s, call)
  local low, high = require "lsengine.c.labels".extremes(call.labels)
  if not low or low >= 0 and high < call.classes then return end
  for i = 1, #call.labels do
    local y = call.labels[i]
    if y < 0 or y >= call.classes then raise(s.kind, ("labels[%d] is %d but logits have %d classes (0..%d)"):format(i, y, call.classes, call.classes - 1)) end
  end
end

local function no_result(s, value)
  raise(s.kind, ("soften gave %s, a target (ls.target.weighted{…}) or rows (a tensor N×K) is required"):format(system.describe(value)))
end

-- Uniform softenings of labelled terms are terms again, and uniform mass of each row: a, what labels keep, and u, what is spread, as the core resolves
-- them. Nothing where another kind is among them, or labels would weigh less than nothing.
local function spread_terms(made, rows, classes)
  local a, u = 1, 0
  for _, entry in ipairs(made.history) do
    if not entry.mix then
      local e = entry.epsilon
      if entry.kind == "wrong_classes" and classes > 1 then e = e * classes / (classes - 1) elseif entry.kind ~= "uniform" then return end
      a, u = a * (1 - e), u * (1 - e) + e
    end
  end
  if a < 0 then return end
  local terms = {}
  for i, term in ipairs(made.terms) do terms[i] = { term[1], type(term[2]) == "number" and term[2] * a or raw.mul(term[2], a), term[3] } end
  return { terms = terms, spread = made.spread and raw.add(raw.mul(made.spread, a), u) or raw.full(u, rows) }
end

-- A target that softened or dense parts make up: as terms where it can be, else as rows.
local function parts_of(s, t, call)
  local n, classes = #call.labels, call.classes
  local made = target.resolved(t, classes)
  local rows = made.dense and raw.size(made.dense, 1) or #made.terms[1][1]
  if rows ~= n then raise(s.kind, ("soften gave %d rows for %d labels"):format(rows, n)) end
  if n > 0 then cschemes.check(s.kind, made, classes) end
  local softened = false
  for _, entry in ipairs(made.history) do softened = softened or not entry.mix end
  local compact = softened and not made.dense and n > 0 and spread_terms(made, rows, classes)
  if compact then return compact end
  if made.dense or softened then return { rows = n > 0 and closs.rows(made, classes) or raw.zeros(0, classes) } end
  return { terms = made.terms, spread = made.spread }
end

function Engine:make(s, call)
  if s.traits.needs_random and not call.rng then raise(s.kind, "it draws at random: give it a stream, rng = ls.rng(1); ls.train does") end
  if s.traits.needs_logits and not call.logits then raise(s.kind, "it looks at the logits: only a loss has them") end
  if s.traits.needs_positions and not call.positions then raise(s.kind, "it asks which rows these are: scheme(labels, { rows = positions }); ls.train says it") end
  check_labels(s, call)
  local context = context_of(call)
  context.logits = s.traits.needs_logits and raw.detach(call.logits) or nil
  local value = self.def.soften(as_self(s), call.labels, context)
  if target.is_target(value) then return parts_of(s, value, call) end
  if not raw.is_tensor(value) then no_result(s, value) end
  if raw.rank(value) ~= 2 or raw.size(value, 1) ~= #call.labels or raw.size(value, 2) ~= call.classes then
    raise(s.kind, ("soften gave rows of shape %s, %d×%d is required"):format(raw.shape_text(value), #call.labels, call.classes))
  end
  local dense = raw.contiguous(raw.detach(value))
  cschemes.check(s.kind, { dense = dense, history = {} }, call.classes)
  return { rows = dense }
end

function Engine:start(s, call)
  local state = self.def.state and self.def.state(as_self(s), context_of(call)) or {}
  return options.check(s.kind, "what state gave", { type = "table" }, state)
end
function Engine:observe(s, call)
  if self.def.observe then self.def.observe(as_self(s), call.labels, context_of(call)) end
end
function Engine:end_epoch(s, call)
  if self.def.end_epoch then self.def.end_epoch(as_self(s), context_of(call)) end
end
function Engine:pack(state) return state end
function Engine:unpack(who, state) return options.check(who, "memory", { type = "table" }, state) end

local reserved = { rng = true, kind = true }

target.define = public("ls.target.define", {
  doc = [[A softening scheme of one's own. The result is a maker like ls.target.sord: called with parameters it gives a scheme, used wherever a built-in one is: called with labels or
a mixed target (it then acts on each label and the weights are kept), in ls.train, below other schemes, in checkpoints.

soften(self, labels, context) gets its parameters in self (to read), the labels as a label vector (0 … K-1, ignored rows taken out), and context: classes, and within a training epoch
(epochs done, with a fraction), epochs, examples; with the properties that ask for it rng, rows (positions from 1), logits; state. It gives a target without an N×K matrix
(ls.target.weighted{ { labels, weight }, … }, or another scheme's target), or dense rows (a tensor N×K from 0 whose rows sum to 1).

A scheme that learns gives properties = { stateful = true } and state(self, context) → a table of plain values, tensors and label vectors, which context.state then is; observe(self,
labels, context), called once after each recorded loss with context.logits, and end_epoch(self, context) change it. ls.train begins each training with a new one and keeps it in checkpoints.]],
  returns = "a maker: maker{ parameters } → a scheme", errors = "a name that a built-in scheme has, or a parameter that is declared wrongly; when it is used, what soften gives",
  example = [[local nearest = ls.target.define{
  name       = "nearest-class",
  parameters = { epsilon = { default = 0.1, min = 0, max = 1 }, neighbours = { type = "table", required = true } },
  properties = { one_hot_at_zero = true },
  soften = function(self, labels, context)
    return ls.target.weighted{ { labels, 1 - self.epsilon }, { labels:map(self.neighbours), self.epsilon } }
  end,
}
print(nearest{ neighbours = { [0] = 1, 0, 1 } }({ 0, 1, 2 }):rows(3))]],
  options = {
    name       = { type = "string", required = true, doc = "what it is called in messages, histories and checkpoints" },
    parameters = { type = "table", default = {}, doc = "by name: { default =, type =, min =, max =, above =, below =, choices =, required =, doc = }" },
    properties = { type = "table", default = {}, doc = "what it promises (one_hot_at_zero, equivariant, order_kept) and asks for (stateful, random, rows, logits, one_label)" },
    soften     = { type = "callable", required = true, doc = "function(self, labels, context) → a target, or rows" },
    state      = { type = "callable", doc = "function(self, context) → the state that a training begins with" },
    observe    = { type = "callable", doc = "function(self, labels, context), after each recorded loss" },
    end_epoch  = { type = "callable", doc = "function(self, context), after each epoch" },
  },
}, function(o)
  local who = "define"
  declared.name(who, o.name)
  if schemes.by_name[o.name] then raise(who, ("name is %q, which is a built-in scheme"):format(o.name)) end
  local specs, properties = declared.parameters(who, o.parameters, reserved, "scheme"), declared.properties(who, o.properties, promises)
  if not properties.stateful and (o.state or o.observe or o.end_epoch) then
    raise(who, "state, observe and end_epoch are for properties = { stateful = true }")
  end
  if properties.stateful and not o.state then raise(who, "a stateful scheme needs the function state") end
  if properties.one_hot_at_zero and not specs.epsilon then raise(who, "one_hot_at_zero speaks of a parameter epsilon, and there is none") end
  if properties.random then specs.rng = { type = "rng", doc = "what it draws from outside ls.train" } end
  local engine = setmetatable({ def = o }, Engine)
  local traits = { form = "own", needs_random = properties.random, needs_logits = properties.logits, needs_positions = properties.rows, needs_one_label = properties.one_label,
    stateful = properties.stateful, properties = properties }
  function traits.make(values)
    local rng = values.rng
    values.rng = nil
    return scheme.with_engine(o.name, engine, values, traits, rng)
  end
  return system.public(function(given, ...)
    if select("#", ...) > 0 then raise(o.name, "one table of parameters is taken, more was given") end
    return traits.make(options.read(o.name, specs, given))
  end)
end)

return { promises = promises }
