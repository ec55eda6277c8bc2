-- Targets of categorical losses. SPDX-License-Identifier: MIT
--
-- A scheme (scheme.lua) is called with labels or a target and gives a target. A target is
--   { terms = { { labels, weight | tensor, positions | nil }, … } | dense = rows, history = { { kind =, epsilon = | scheme = | mix =, … }, … }, origin = }
-- and what it says is never changed. The softenings are applied when the loss knows the number of classes: core/include/lsengine/target.h.
-- positions: which rows of the training data these are, for schemes that ask for it.
local c        = require "lsengine.c.loss"
local clabels  = require "lsengine.c.labels"
local raw      = require "lsengine.c.tensor"
local system   = require "lsengine.c.system"
local options  = require "lsengine.options"
local pitfalls = require "lsengine.pitfalls"
local public   = require "lsengine.public"
require "lsengine.tensor"
require "lsengine.labels"
local raise = public.raise

local Target = {}
Target.__index, Target.__name = Target, "target"

local function is_target(v) return getmetatable(v) == Target end
options.type("target", function(v) return is_target(v) or clabels.is_labels(v) or type(v) == "table" and getmetatable(v) == nil end,
  "a target or labels")
options.type("built target", is_target, "a target (of a scheme, ls.target.soft, ls.target.weighted)")

local target = { is_target = is_target }

local function new(fields) return setmetatable(fields, Target) end
target.new = new -- for mixes, which put targets together of others' terms

-- Labels, or a table of integers, or a target: as a target.
function target.from(who, value)
  if is_target(value) then return value end
  if clabels.is_labels(value) or type(value) == "table" and getmetatable(value) == nil then
    return new{ terms = { { clabels.from(value), 1 } }, history = {} }
  end
  raise(who, ("target is %s, labels, a target or soft rows (ls.target.soft) are required"):format(system.describe(value)))
end

-- The terms of a target of labels, with the rows of the training data that they are.
function target.at_rows(who, t, positions)
  local terms = {}
  for i, term in ipairs(t.terms or {}) do terms[i] = { term[1], term[2], positions } end
  if #terms == 0 then raise(who, "rows belong to labels, and the target is given as rows") end
  if #positions ~= #terms[1][1] then raise(who, ("rows has %d positions, there are %d labels"):format(#positions, #terms[1][1])) end
  if #terms > 1 then raise(who, "rows were given for a mixed target: give them with the labels, before mixing") end
  return terms
end

local function number(x) return math.type(x) and ("%.4g"):format(x) or tostring(x) end -- a script may have written anything there

-- uniform(0.1), mixup(0.2)
local function entry_text(entry)
  if entry.text then return entry.text end
  if entry.scheme then return tostring(entry.scheme) end
  return ("%s(%s)"):format(entry.kind, number(entry.mix and entry.alpha or entry.epsilon))
end

-- "uniform(0.1), on labels"
function target.text(t)
  local parts = {}
  for i = #t.history, 1, -1 do parts[#parts + 1] = entry_text(t.history[i]) end
  local terms = t.dense and 1 or #t.terms
  for _, entry in ipairs(t.history) do if entry.mix then terms = terms // (entry.factor or 2) end end
  local base = t.origin or (t.dense and "soft rows" or terms <= 1 and "labels" or ("a mixture of %d labels"):format(terms))
  return #parts == 0 and (base == "labels" and "one-hot labels" or base) or table.concat(parts, ", on ") .. ", on " .. base
end

function Target:__tostring()
  local n = self.dense and raw.size(self.dense, 1) or #self.terms[1][1]
  return ("target of %d rows: %s"):format(n, target.text(self))
end

-- True where a target differs from one-hot labels.
local function is_soft(t)
  if t.dense or #t.terms > 1 then return true end
  for _, entry in ipairs(t.history) do if entry.mix and not entry.hard or entry.scheme and entry.soft or entry.epsilon and entry.epsilon > 0 then return true end end
  return false
end
target.is_soft, target.entry_text = is_soft, entry_text

Target.rows = public("target:rows", {
  self = "built target",
  doc = "All rows as a matrix, O(N·K): to look at, or to compare with.", returns = "tensor (N×K)", example = "print(ls.target.uniform(0.1)(labels):rows(10))",
  { "classes", type = "integer", min = 1, max = 2^31 - 1, doc = "K" },
}, function(self, classes) return c.rows(target.resolved(self, classes), classes) end)
Target.entropy = public("target:entropy", {
  self = "built target",
  doc = "Mean entropy of the rows in nats: the floor of the loss, which it cannot go below.", returns = "number",
  example = "print(ls.target.uniform(0.1)(labels):entropy(10))   -- 0.5003 nats",
  { "classes", type = "integer", min = 1, max = 2^31 - 1, doc = "K" },
}, function(self, classes) return (c.summary(target.resolved(self, classes), classes)) end)
Target.floor = Target.entropy
Target.row = public("target:row", {
  self = "built target", called = "row",
  doc = "One row: the distribution that a row of the data is trained against.", returns = "tensor (K)", example = "print(ls.target.uniform(0.1)(labels):row(1, 10))",
  { "position", type = "integer", min = 1, max = 2^31 - 1, doc = "from 1" }, { "classes", type = "integer", min = 1, max = 2^31 - 1, doc = "K" },
}, function(self, position, classes)
  local made = target.resolved(self, classes)
  local n = made.dense and raw.size(made.dense, 1) or #made.terms[1][1]
  if position > n then raise("row", ("position is %d, the target has %d rows"):format(position, n)) end
  local one = new{ history = made.history }
  if made.dense then
    one.dense = raw.contiguous(raw.narrow(made.dense, 1, position, 1))
  else
    one.terms = {}
    for i, term in ipairs(made.terms) do
      local weight = term[2]
      one.terms[i] = { clabels.narrow(term[1], position, 1), type(weight) == "number" and weight or raw.contiguous(raw.narrow(weight, 1, position, 1)) }
    end
    one.spread = made.spread and raw.contiguous(raw.narrow(made.spread, 1, position, 1))
  end
  return raw.select(c.rows(one, classes), 1, 1)
end)

-- ---- the target as C reads it ----

-- Entries that schemes of the catalogue or one's own made are carried out, in their order, on a target of their own; the target itself where there are none.
-- `how` = { ignore = label, logits = tensor }. What a scheme has made is kept: it may have been drawn at random, and belongs to its moment.
function target.resolved(t, classes, how)
  local ignore, logits, first = how and how.ignore, how and how.logits, nil
  for i, entry in ipairs(t.history) do if entry.scheme then first = i break end end
  if not first then return t end
  local kept = t.made
  if kept and kept.classes == classes and (kept.ignore == ignore or not how) and (kept.logits == logits or not kept.looks or not how) then return kept.result end
  local now = new{ terms = t.terms, dense = t.dense, spread = t.spread, row_weights = t.row_weights, origin = t.origin, history = {} }
  local looks = false
  for _, entry in ipairs(t.history) do
    if entry.scheme then
      looks = looks or entry.needs_logits
      entry.scheme:soften(now, entry, classes, ignore, logits)
    else
      now.history[#now.history + 1] = entry
    end
  end
  t.made = { classes = classes, ignore = ignore, logits = logits, looks = looks, result = now }
  return now
end

-- After a recorded loss: schemes that watch the training see its logits, each target once.
function target.observe(t, classes, logits, ignore)
  if t.observed then return end
  for _, entry in ipairs(t.history) do
    if entry.scheme and entry.watches then
      t.observed = true
      entry.scheme:observe(t, classes, logits, ignore, entry)
    end
  end
end

-- ---- pitfalls, looked at when K is known ----

-- Mean entropy and mean mass of the true class (of a mixture: of the label with the larger weight). Where labels were mixed once, not
-- those of this batch but what is to be expected: over the distribution of lambda, for partners of another class.
local function expected(t, classes, ignore)
  local mix, others
  for _, entry in ipairs(t.history) do
    if entry.mix and not entry.hard then mix, others = entry, mix end -- hard: the labels stayed labels
  end
  local fixed = false
  for _, entry in ipairs(t.history) do fixed = fixed or entry.scheme and not entry.anywhere end -- belongs to these rows, or this moment
  if not mix or not mix.typical or others or fixed or t.dense or #t.terms ~= 2 or classes < 2 then return c.summary(target.resolved(t, classes), classes, ignore) end
  local n, own, partner = 2048, {}, {}
  for i = 0, n - 1 do
    own[i + 1] = i % classes
    partner[i + 1] = (i + 1 + i // classes % (classes - 1)) % classes
  end
  local weights = mix.typical(n)
  return c.summary(target.resolved({ terms = { { clabels.from(own), weights }, { clabels.from(partner), raw.sub(1, weights) } }, history = t.history }, classes, {}), classes)
end

-- Checks that need the number of classes: called by every categorical loss.
function target.inspect(t, classes, ignore)
  if t.inspected == classes or #t.history == 0 then return end
  t.inspected = classes
  local keep = 1
  for _, entry in ipairs(t.history) do
    local e = entry.epsilon
    if e and e > 0 then
      if entry.kind == "wrong_classes" then e = e * classes / math.max(1, classes - 1) end
      keep = keep * (1 - e)
      local least = entry.scheme and 1 or entry.least or keep -- a distribution of its own may lean away from the label, and says so
      if least <= 1e-12 then
        pitfalls.raise("epsilon-too-large", ("%s over %d classes leaves the true class no more mass than another"):format(
          entry_text(entry), classes), entry.where, true)
      elseif entry.epsilon > 0.3 and not entry.scheme then
        pitfalls.raise("epsilon-too-large", ("%s: ε above 0.3 leaves little to learn from; the loss cannot fall below %.3f here"):format(
          entry_text(entry), (c.summary(target.resolved(t, classes), classes, ignore))), entry.where)
      end
    end
  end
  if t.stacked and pitfalls.is_new("stacked-softening", t.stacked.where) then
    local without = { terms = t.stacked.terms, dense = t.stacked.dense, row_weights = t.stacked.row_weights, origin = t.origin, history = {} }
    for i = 1, t.stacked.at do without.history[i] = t.history[i] end
    local entropy, mass = expected(t, classes, ignore)
    local entropy_without, mass_without = expected(without, classes, ignore)
    pitfalls.raise("stacked-softening", ("%s softens %s: the true class's expected mass is %.3f with it and %.3f without, the target's entropy %.3f and %.3f")
      :format(entry_text(t.history[t.stacked.at + 1]), target.text(without), mass, mass_without, entropy, entropy_without), t.stacked.where)
  end
end

-- A target mixed with itself in the order of `partner`: lambda parts of its own, the rest of its partner's. `entry` goes into the history.
function target.mix(base, partner, lambda, entry, mix_rows)
  local history = table.move(base.history, 1, #base.history, 1, {})
  history[#history + 1] = entry
  local stacked = base.stacked or is_soft(base) and { where = system.where(), at = #base.history, terms = base.terms, dense = base.dense, row_weights = base.row_weights } or nil
  local rest = type(lambda) == "number" and 1 - lambda or raw.sub(1, lambda)
  local function times(weight, share) -- numbers, or tensors with one for each row
    if type(weight) == "number" and type(share) == "number" then return weight * share end
    return raw.mul(weight, share)
  end
  local function mixed(numbers) -- one for each row, or nil
    return numbers and raw.add(times(numbers, lambda), times(raw.gather(numbers, partner), rest))
  end
  local out = { origin = base.origin, history = history, stacked = stacked, spread = mixed(base.spread), row_weights = mixed(base.row_weights) }
  if base.dense then
    out.dense = mix_rows(base.dense, partner, lambda)
    return new(out)
  end
  if 2 * #base.terms > 8 then raise(entry.kind, ("a target of %d labels cannot be mixed again: at most 8 labels a row are allowed"):format(#base.terms)) end
  out.terms = {}
  for i, term in ipairs(base.terms) do
    local labels, weight = term[1], term[2]
    out.terms[i] = { labels, times(weight, lambda), term[3] }
    out.terms[#base.terms + i] = { clabels.gather(labels, partner), times(type(weight) == "number" and weight or raw.gather(weight, partner), rest),
      term[3] and clabels.gather(term[3], partner) }
  end
  return new(out)
end

target.soft = public("ls.target.soft", {
  doc = "Rows of probabilities as a target. A class weight weighs such a row by sum_k q_k w_k, so that a smoothed target given as rows weighs differently from the same given as an object.",
  returns = "target", example = "local loss = ls.loss.cross_entropy(logits, ls.target.soft(teacher_logits:softmax()))",
  { "rows", type = "tensor", doc = "N×K, from 0, each row sums to 1 within 1e-4" },
}, function(rows)
  if raw.rank(rows) ~= 2 then raise("soft", ("rows has shape %s, a matrix (rows × classes) is required"):format(raw.shape_text(rows))) end
  return new{ dense = raw.contiguous(rows), history = {} }
end)
target.weighted = public("ls.target.weighted", {
  doc = "A few labels for each row, each with a weight: what mixing makes. No N×K matrix is built.",
  returns = "target", example = "local mixed = ls.target.weighted{ { labels, 0.7 }, { other_labels, 0.3 } }",
  { "terms", type = "table", doc = "up to 8 pairs { labels, weight }; a weight is a number or a tensor with one for each row; they sum to 1" },
}, function(terms)
  if #terms < 1 or #terms > 8 then raise("weighted", ("%d terms were given, allowed is 1 to 8"):format(#terms)) end
  local list = {}
  for i, term in ipairs(terms) do
    if type(term) ~= "table" or #term ~= 2 then raise("weighted", ("term %d is not a pair { labels, weight }"):format(i)) end
    local labels, weight = options.check("weighted", ("labels of term %d"):format(i), { type = "labels" }, term[1]), term[2]
    options.check("weighted", ("weight of term %d"):format(i), { type = "number|tensor", min = 0, max = 1 }, weight)
    list[i] = { clabels.from(labels), raw.is_tensor(weight) and raw.contiguous(weight) or weight }
    if #list[i][1] ~= #list[1][1] then raise("weighted", ("term %d has %d labels, the first %d"):format(i, #list[i][1], #list[1][1])) end
    if raw.is_tensor(weight) and (raw.rank(weight) ~= 1 or raw.count(weight) ~= #list[i][1]) then
      raise("weighted", ("the weights of term %d have shape %s, %d numbers are required"):format(i, raw.shape_text(weight), #list[i][1]))
    end
  end
  return new{ terms = list, history = {} }
end)

return target
