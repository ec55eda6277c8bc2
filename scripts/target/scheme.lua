-- Softening schemes as objects: called with labels or a target, they give a target. SPDX-License-Identifier: MIT
--
-- A scheme is { kind =, entry = what goes into a target's history | nil for one-hot, parameters =, code = the engine that carries it out | nil }. Those in closed form
-- (uniform, prior, …) are their entry alone. The others have an engine, in C (schemes.lua) or in Lua (scheme_own.lua):
--   engine:make(scheme, call) → what becomes of call.labels: { mass = } | { mass =, matrix = } | { masses = } | { terms = } | { rows = }
--   engine:start, :observe, :end_epoch (scheme, call) for those with a state
-- `call` holds classes, labels, positions, examples, epoch, epochs, rng, logits, state. What a training needs of a scheme (its moment, stream, state) is
-- in scheme.training.
local c        = require "lsengine.c.schemes"
local clabels  = require "lsengine.c.labels"
local raw      = require "lsengine.c.tensor"
local system   = require "lsengine.c.system"
local options  = require "lsengine.options"
local public   = require "lsengine.public"
local target   = require "lsengine.target"
require "lsengine.random"
local raise    = public.raise

local Scheme = {}
Scheme.__index, Scheme.__name = Scheme, "softening scheme"

local function is_scheme(v) return getmetatable(v) == Scheme end
options.type("scheme", is_scheme, "a softening scheme (ls.target.uniform(0.1))")
target.is_scheme = is_scheme

local scheme = { Scheme = Scheme }

local function fresh() return { epoch = 0, epochs = 0, examples = 0 } end

-- A scheme in closed form: its entry is what C reads.
function scheme.closed(kind, entry)
  if entry then entry.kind, entry.where = kind, system.where() end
  return setmetatable({ kind = kind, entry = entry, epsilon = entry and entry.epsilon or 0 }, Scheme)
end

-- A scheme with an engine. traits: needs_logits, needs_random, needs_positions, needs_one_label, stateful, moving, properties, make (its constructor).
function scheme.with_engine(kind, engine, parameters, traits, rng)
  local epsilon = parameters.epsilon
  local self = setmetatable({ kind = kind, engine = engine, parameters = parameters, traits = traits, rng = rng, training = fresh() }, Scheme)
  if math.type(epsilon) then self.epsilon = epsilon end
  self.entry = { kind = kind, scheme = self, epsilon = self.epsilon, soft = self.epsilon ~= 0, where = system.where(), needs_logits = traits.needs_logits,
    watches = traits.stateful, anywhere = not (traits.needs_logits or traits.needs_random or traits.needs_positions or traits.stateful) }
  return self
end

local function value_text(value)
  if raw.is_tensor(value) then return (raw.shape_text(value):gsub("x", "×")) end
  return type(value) == "number" and ("%.4g"):format(value) or type(value) == "table" and "{ … }" or tostring(value)
end

-- sord{ alpha = 2, epsilon = 1, power = 1 }
function Scheme:__tostring()
  if not self.entry then return "one-hot" end
  if not self.engine then return target.entry_text(self.entry) end
  local parts = {}
  for name, value in pairs(self.parameters) do parts[#parts + 1] = ("%s = %s"):format(name, value_text(value)) end
  table.sort(parts)
  return #parts == 0 and self.kind .. "{}" or ("%s{ %s }"):format(self.kind, table.concat(parts, ", "))
end

-- ---- calling it ----

local call_specs = { rows = { type = "labels", doc = "which rows of the training data these are, from 1" } }

-- The history of labels that a scheme alone has softened. Beside the schemes, not in them: a checkpoint knows a scheme by its fields.
local histories = setmetatable({}, { __mode = "k" })
local function alone(self)
  local history = histories[self]
  if not history or history[1] ~= self.entry then
    history = { self.entry }
    histories[self] = history
  end
  return history
end

local function apply(self, value, o, ...)
  if value == nil then raise(self.kind, "the labels are missing: scheme(labels)") end
  if select("#", ...) > 0 then raise(self.kind, ("%d arguments were given, at most 2 are taken"):format(2 + select("#", ...))) end
  local base = target.from(self.kind, value)
  if o == nil and self.entry and value ~= base then return target.new{ terms = base.terms, history = alone(self) } end
  local positions = o ~= nil and options.read(self.kind, call_specs, o).rows
  if not self.entry then return base end
  local history = table.move(base.history, 1, #base.history, 1, {})
  history[#history + 1] = self.entry
  local stacked = base.stacked
  if not stacked and (self.entry.soft or self.epsilon and self.epsilon > 0) and target.is_soft(base) then
    stacked = { where = system.where(), at = #base.history, terms = base.terms, dense = base.dense, row_weights = base.row_weights }
  end
  local terms = base.terms
  if positions then terms = target.at_rows(self.kind, base, positions) end
  return target.new{ terms = terms, dense = base.dense, spread = base.spread, row_weights = base.row_weights, origin = base.origin, history = history, stacked = stacked }
end
Scheme.__call = system.public(apply)

-- ---- carrying it out, when the number of classes is known ----

local function call_of(self, classes, fields)
  local now = self.training
  fields.classes, fields.examples, fields.epoch, fields.epochs = classes, now.examples, now.epoch, now.epochs
  fields.rng = now.rng or self.rng
  if self.traits.stateful then
    if not now.state or now.classes ~= classes then
      if now.state and next(now.state) then
        raise(self.kind, ("its state is of %d classes, the logits have %d: one scheme object for each model"):format(now.classes, classes))
      end
      fields.state = nil
      now.state, now.classes = self.engine:start(self, fields), classes
    end
    fields.state = now.state
  end
  return fields
end

local function times(weight, share) -- numbers, or tensors with one for each row
  if type(weight) == "number" and type(share) == "number" then return weight * share end
  return raw.mul(weight, share)
end

local function plus(a, b) return a and b and raw.add(a, b) or a or b end

-- What the engine makes of the terms of a target, kept rows only: { terms =, spread = } or { rows = }.
local function soften_terms(self, terms, classes, logits)
  local out = { terms = {} }
  for i, term in ipairs(terms) do
    local weight = term[2]
    local made = self.engine:make(self, call_of(self, classes, { labels = term[1], positions = self.traits.needs_positions and term[3] or nil, logits = logits }))
    if made.masses then
      out.spread = plus(out.spread, times(made.masses, weight))
      out.terms[i] = { term[1], times(raw.sub(1, made.masses), weight) }
    elseif made.rows then
      local share = type(weight) == "number" and weight or raw.unsqueeze(weight, 2)
      out.rows = plus(out.rows, share == 1 and made.rows or raw.mul(made.rows, share))
    else
      for _, sub in ipairs(made.terms) do out.terms[#out.terms + 1] = { sub[1], times(weight, sub[2]) } end
      if made.spread then out.spread = plus(out.spread, times(made.spread, weight)) end
    end
  end
  if out.rows and #out.terms > 0 then raise(self.kind, "it gave rows for one label and weighted labels for another") end
  if #out.terms > 8 then raise(self.kind, ("%d labels a row were made, at most 8 are allowed"):format(#out.terms)) end
  return out
end

local function at(value, positions) return type(value) == "number" and value or raw.gather(value, positions) end

-- Only the rows that are not ignored are shown to the engine; the others are put back as zeros.
local function soften_labels(self, now, classes, ignore, logits)
  local kept = ignore ~= nil and c.kept(now, ignore) or nil
  local terms, n = now.terms, #now.terms[1][1]
  if kept then
    terms = {}
    for i, term in ipairs(now.terms) do terms[i] = { clabels.gather(term[1], kept), at(term[2], kept), term[3] and clabels.gather(term[3], kept) } end
    logits = logits and raw.gather(logits, kept)
  end
  local out = soften_terms(self, terms, classes, logits)
  if kept then
    if out.rows then out.rows = c.scatter(out.rows, kept, n) end
    if out.spread then out.spread = c.scatter(out.spread, kept, n) end
    for _, term in ipairs(out.terms) do term[1], term[2] = c.scatter(term[1], kept, n), type(term[2]) == "number" and term[2] or c.scatter(term[2], kept, n) end
  end
  now.from = now.from or now.terms
  now.spread = plus(out.spread, now.spread)
  if out.rows then now.dense, now.terms = out.rows, nil else now.terms = out.terms end
end

-- A scheme that looks at the label alone is a matrix: row y is what it makes of y.
local function as_matrix(self, now, classes)
  local y = {}
  for k = 0, classes - 1 do y[k + 1] = k end
  local own = { terms = { { clabels.from(y), 1 } } }
  soften_labels(self, own, classes)
  own.history, own.from = {}, nil
  now.history[#now.history + 1] = { kind = "matrix", epsilon = 1, matrix = require "lsengine.c.loss".rows(own, classes) }
end

local MOST_CLASSES = 4096 -- of a scheme that is made a matrix

local function softened_before(now)
  for i = #now.history, 1, -1 do if not now.history[i].mix then return now.history[i] end end
end

-- Changes `now`, the target that target.resolved puts together.
function Scheme:soften(now, _, classes, ignore, logits)
  local traits = self.traits
  if traits.form == "linear" or traits.form == "row" then
    local made = self.engine:make(self, call_of(self, classes, { logits = logits }))
    now.history[#now.history + 1] = { kind = made.matrix and "matrix" or traits.kind, epsilon = made.mass, matrix = made.matrix or traits.kind == "matrix" and self.parameters[traits.array] or nil,
      prior = traits.kind == "prior" and self.parameters[traits.array] or nil }
    return
  end
  local before = softened_before(now)
  local commutes = traits.form == "epsilon" and before and (before.kind == "uniform" or before.kind == "wrong_classes")
  if now.terms and traits.needs_one_label and #now.terms > 1 then
    raise(self.kind, "the target is mixed, one label for each row is required")
  end
  if now.terms and (not before or commutes) then return soften_labels(self, now, classes, ignore, logits) end
  local what = before and ("softened by %s"):format(target.entry_text(before)) or "given as rows"
  if not self.entry.anywhere then raise(self.kind, ("it acts on labels, and the target is already %s: apply this scheme first"):format(what)) end
  if classes > MOST_CLASSES then
    raise(self.kind, ("the target is already %s: on that it acts as a matrix, for at most %d classes, there are %d. Apply this scheme first"):format(what, MOST_CLASSES, classes))
  end
  as_matrix(self, now, classes)
end

function Scheme:observe(t, classes, logits, ignore)
  local given = { terms = t.terms, dense = t.dense, history = {} }
  local kept = ignore ~= nil and c.kept(given, ignore) or nil
  local labels, positions = c.labels(given), t.terms and t.terms[1][3]
  if kept then labels, logits, positions = clabels.gather(labels, kept), raw.gather(logits, kept), positions and clabels.gather(positions, kept) end
  self.engine:observe(self, call_of(self, classes, { labels = labels, logits = raw.detach(logits), positions = self.traits.needs_positions and positions or nil }))
end

-- ---- a training ----

local count = { type = "integer", min = 0, max = 2^31 - 1 }
local function counted(doc) local spec = { doc = doc } for k, v in pairs(count) do spec[k] = v end return spec end

Scheme.begin_training = public("scheme:begin_training", {
  doc = "Forgets what the scheme has seen: a training begins. ls.train calls it; in a loop by hand it is for schemes that need more than labels.",
  returns = "nothing", example = 'local scheme = ls.target.online{}\nscheme:begin_training{ epochs = 10 }',
  options = {
    epochs   = { type = "number", default = 0, min = 0, below = math.huge, doc = "that are planned" },
    examples = counted "rows of the training data",
    rng      = { type = "rng", doc = "what a random scheme draws from, instead of its own rng" },
  },
}, function(self, o)
  self.training = fresh()
  self.training.epochs, self.training.examples, self.training.rng = o.epochs, o.examples or 0, o.rng
end)

Scheme.set_epoch = public("scheme:set_epoch", {
  doc = "Tells a scheme that changes with time how many epochs are done. ls.train does it before each batch.",
  returns = "nothing", example = "local scheme = ls.target.annealed{ from = 0.2, to = 0, epochs = 10 }\nscheme:set_epoch(5)",
  { "epoch", type = "number", min = 0, below = math.huge, doc = "epochs done; fractions are times within one" },
}, function(self, epoch)
  if self.training then self.training.epoch = epoch end
end)

Scheme.end_epoch = public("scheme:end_epoch", {
  doc = "Closes an epoch: schemes that gather over an epoch take over what they have gathered. ls.train does it.", returns = "nothing",
  example = "local scheme = ls.target.online{}\nlocal loss = ls.loss.cross_entropy(logits:requires_grad(), scheme(labels))\nscheme:end_epoch()",
}, function(self)
  local now = self.training
  if not now then return end
  now.epoch = math.floor(now.epoch) + 1.0
  if self.traits.stateful and now.state then self.engine:end_epoch(self, call_of(self, now.classes, {})) end
end)

Scheme.state = public("scheme:state", {
  doc = "What the scheme has learned in its training so far, as plain values, tensors and label vectors: part of every checkpoint.", returns = "a table",
  example = "local kept = ls.target.online{}:state()",
}, function(self)
  local now = self.training or fresh()
  local state = now.state
  if clabels.is_labels(state) then state = clabels.narrow(state, 1, #state) end
  return { epoch = now.epoch, epochs = now.epochs, examples = now.examples, classes = now.classes, memory = state and self.engine:pack(state) or nil }
end)

Scheme.set_state = public("scheme:set_state", {
  doc = "Takes over the state of another scheme of the same parameters.", returns = "nothing",
  errors = "a table that is no state", example = "ls.target.online{}:set_state(ls.target.online{}:state())",
  { "state", type = "table", doc = "of :state()" },
}, function(self, state)
  local known = { epoch = "number", epochs = "number", examples = "number", classes = "integer", memory = "any" }
  for key, value in pairs(state) do
    if not known[key] then raise("set_state", ("unknown field %s, known are classes, epoch, epochs, examples, memory"):format(system.describe(key))) end
    options.check("set_state", key, { type = known[key] }, value)
  end
  if (state.memory == nil) ~= (state.classes == nil) then raise("set_state", "memory and classes belong together, one of them is missing") end
  if not self.training then return end
  local now = fresh()
  now.rng = self.training.rng
  for _, key in ipairs{ "epoch", "epochs", "examples", "classes" } do if state[key] ~= nil then now[key] = state[key] end end
  if state.memory ~= nil then
    if not self.traits.stateful then raise("set_state", ("%s has no memory"):format(self.kind)) end
    now.state = self.engine:unpack("set_state", state.memory)
  end
  self.training = now
end)

return scheme
