-- Targets of categorical losses, and the schemes that soften them. SPDX-License-Identifier: MIT
--
-- A scheme (ls.target.uniform(0.1)) is called with labels or a target and gives a target. A target is
--   { terms = { { labels, weight | tensor }, … } | dense = rows, history = { { kind =, epsilon =, … }, … }, origin = }
-- and is never changed. The softenings are applied when the loss knows the number of classes: core/include/lsengine/target.h.
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

local Target, Scheme = {}, {}
Target.__index, Target.__name = Target, "target"
Scheme.__index, Scheme.__name = Scheme, "softening scheme"

local function is_target(v) return getmetatable(v) == Target end
local function is_scheme(v) return getmetatable(v) == Scheme end
options.type("target", function(v) return is_target(v) or clabels.is_labels(v) or type(v) == "table" and getmetatable(v) == nil end,
  "a target or labels")
options.type("built target", is_target, "a target (of a scheme, ls.target.soft, ls.target.weighted)")
options.type("scheme", is_scheme, "a softening scheme (ls.target.uniform(0.1))")

local target = { is_target = is_target, is_scheme = is_scheme }

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

local function number(x) return ("%.4g"):format(x) end

-- uniform(0.1), sord{ alpha = 2, epsilon = 1, power = 1 }
local function entry_text(entry)
  if entry.text then return entry.text end
  if entry.parameters then
    local parts = {}
    for name, value in pairs(entry.parameters) do parts[#parts + 1] = ("%s = %s"):format(name, number(value)) end
    table.sort(parts)
    return ("%s{ %s }"):format(entry.kind, table.concat(parts, ", "))
  end
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
  for _, entry in ipairs(t.history) do if entry.mix and not entry.hard or entry.epsilon and entry.epsilon > 0 then return true end end
  return false
end
target.is_soft = is_soft

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
  local n = self.dense and raw.size(self.dense, 1) or #self.terms[1][1]
  if position > n then raise("row", ("position is %d, the target has %d rows"):format(position, n)) end
  local one = { history = self.history, terms = {} }
  if self.dense then
    one.dense, one.terms = raw.contiguous(raw.narrow(self.dense, 1, position, 1)), nil
  else
    for i, term in ipairs(self.terms) do
      local weight = term[2]
      one.terms[i] = { clabels.narrow(term[1], position, 1), type(weight) == "number" and weight or raw.contiguous(raw.narrow(weight, 1, position, 1)) }
    end
    one.spread = self.spread and raw.contiguous(raw.narrow(self.spread, 1, position, 1))
  end
  return raw.select(c.rows(target.resolved(one, classes), classes), 1, 1)
end)

-- ---- schemes that are matrices, made when the number of classes is known ----

-- The target as C reads it: entries that the catalogue's schemes made become matrices. The target itself where there are none.
function target.resolved(t, classes)
  local history
  for i, entry in ipairs(t.history) do
    if entry.rows then
      history = history or table.move(t.history, 1, #t.history, 1, {})
      history[i] = { kind = "matrix", epsilon = entry.epsilon, matrix = entry.rows(classes) }
    end
  end
  return history and setmetatable({ terms = t.terms, dense = t.dense, spread = t.spread, row_weights = t.row_weights, origin = t.origin, history = history }, Target) or t
end

-- ---- pitfalls, looked at when K is known ----

-- Mean entropy and mean mass of the true class (of a mixture: of the label with the larger weight). Where labels were mixed once, not
-- those of this batch but what is to be expected: over the distribution of lambda, for partners of another class.
local function expected(t, classes, ignore)
  local mix, others
  for _, entry in ipairs(t.history) do
    if entry.mix and not entry.hard then mix, others = entry, mix end -- hard: the labels stayed labels
  end
  if not mix or not mix.typical or others or t.dense or #t.terms ~= 2 or classes < 2 then return c.summary(target.resolved(t, classes), classes, ignore) end
  local n, own, partner = 2048, {}, {}
  for i = 0, n - 1 do
    own[i + 1] = i % classes
    partner[i + 1] = (i + 1 + i // classes % (classes - 1)) % classes
  end
  local weights = mix.typical(n)
  return c.summary(target.resolved({ terms = { { clabels.from(own), weights }, { clabels.from(partner), raw.sub(1, weights) } }, history = t.history }, classes), classes)
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
      local least = entry.rows and 1 or entry.least or keep -- a distribution of its own may lean away from the label, and says so
      if least <= 1e-12 then
        pitfalls.raise("epsilon-too-large", ("%s over %d classes leaves the true class no more mass than another"):format(
          entry_text(entry), classes), entry.where, true)
      elseif entry.epsilon > 0.3 and not entry.rows then
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

-- ---- schemes ----

local function apply(self, value)
  local base = target.from(self.kind, value)
  if not self.entry then return base end
  local history = table.move(base.history, 1, #base.history, 1, {})
  history[#history + 1] = self.entry
  local stacked = base.stacked
  if not stacked and self.entry.epsilon > 0 and is_soft(base) then
    stacked = { where = system.where(), at = #base.history, terms = base.terms, dense = base.dense, row_weights = base.row_weights }
  end
  return new{ terms = base.terms, dense = base.dense, spread = base.spread, row_weights = base.row_weights, origin = base.origin, history = history, stacked = stacked }
end
Scheme.__call = system.public(apply)

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
    out.terms[i] = { labels, times(weight, lambda) }
    out.terms[#base.terms + i] = { clabels.gather(labels, partner), times(type(weight) == "number" and weight or raw.gather(weight, partner), rest) }
  end
  return new(out)
end

function Scheme:__tostring() return self.entry and entry_text(self.entry) or "one-hot" end

local epsilon = { "epsilon", type = "number", min = 0, max = 1, doc = "the probability mass that is taken away" }

local function scheme(kind, entry)
  if entry then entry.kind, entry.where = kind, system.where() end
  return setmetatable({ kind = kind, entry = entry, epsilon = entry and entry.epsilon or 0 }, Scheme)
end

target.one_hot = public("ls.target.one_hot", {
  doc = "Labels as they are: all mass on the true class.", returns = "scheme", example = "local plain = ls.target.one_hot()(labels)",
}, function() return scheme("one_hot") end)
target.uniform = public("ls.target.uniform", {
  doc = [[Label smoothing: (1-ε)·one-hot + ε/K over all K classes, the true one included (Szegedy et al. 2016; PyTorch, Keras,
timm): the true class gets 1-ε+ε/K. uniform(ε₁) after uniform(ε₂) is uniform(1-(1-ε₁)(1-ε₂)).]],
  returns = "scheme", example = "local smooth = ls.target.uniform(0.1)\nlocal loss = ls.loss.cross_entropy(logits, smooth(labels))", epsilon,
}, function(e) return scheme("uniform", { epsilon = e }) end)
target.wrong_classes = public("ls.target.wrong_classes", {
  doc = [[Label smoothing in the convention of many lecture notes: the true class keeps 1-ε, the other K-1 share ε.
wrong_classes(ε) equals uniform(ε·K/(K-1)).]],
  returns = "scheme", example = "local smooth = ls.target.wrong_classes(0.09)", epsilon,
}, function(e) return scheme("wrong_classes", { epsilon = e }) end)

local function as_tensor(who, name, value)
  if raw.is_tensor(value) then return raw.contiguous(value) end
  return raw.from(value)
end

target.prior = public("ls.target.prior", {
  doc = "Mass ε spread over a given distribution of the classes (unigram smoothing; Pereyra et al. 2017): (1-ε)·one-hot + ε·prior.",
  returns = "scheme", errors = "numbers below 0, or a sum that is not 1 within 1e-4 (raised by the loss)", example = "local smooth = ls.target.prior(0.1, {0.5, 0.3, 0.2})", epsilon,
  { "prior", type = "table|tensor", doc = "K numbers from 0 that sum to 1" },
}, function(e, prior)
  local p = as_tensor("prior", "prior", prior)
  if raw.rank(p) ~= 1 or raw.count(p) == 0 then raise("prior", ("prior has shape %s, one number for each class is required"):format(raw.shape_text(p))) end
  local most, least = raw.item(raw.max(p)), raw.item(raw.min(p))
  return scheme("prior", { epsilon = e, prior = p, least = 1 - e - e * (most - least) })
end)
target.matrix = public("ls.target.matrix", {
  doc = "Mass ε spread by a matrix whose row y is the distribution for class y (similarity, hierarchy, confusion): (1-ε)·one-hot + ε·P[y].",
  returns = "scheme", errors = "numbers below 0, or rows that do not sum to 1 within 1e-4 (raised by the loss)",
  example = "local confused = ls.target.matrix(0.1, { {0.8, 0.2, 0}, {0.1, 0.8, 0.1}, {0, 0.2, 0.8} })", epsilon,
  { "matrix", type = "table|tensor", doc = "K×K numbers from 0, each row sums to 1" },
}, function(e, matrix)
  local p = as_tensor("matrix", "matrix", matrix)
  if raw.rank(p) ~= 2 or raw.size(p, 1) ~= raw.size(p, 2) or raw.count(p) == 0 then
    raise("matrix", ("matrix has shape %s, one row and one column for each class are required"):format(raw.shape_text(p)))
  end
  local least = math.huge
  for y = 1, raw.size(p, 1) do
    local row, most = p[y], 0
    for k = 1, #row do if k ~= y then most = math.max(most, row[k]) end end
    least = math.min(least, 1 - e + e * row[y] - e * most)
  end
  return scheme("matrix", { epsilon = e, matrix = p, least = least })
end)
-- The catalogue's schemes: each an entry of core/target/schemes.c.
local schemes = require "lsengine.c.schemes"
target.catalogue = schemes.list()
for _, entry in ipairs(target.catalogue) do
  local specs = { epsilon = { type = "number", default = 1, min = 0, max = 1, doc = "mass that goes by the scheme; the rest stays on the label" } }
  for _, p in ipairs(entry.parameters) do
    specs[p.name] = { type = p.type, default = p.default, min = p.min, max = p.max, above = p.above, below = p.below, doc = p.doc }
  end
  target[entry.name] = public("ls.target." .. entry.name, {
    doc = ("%s: %s. For %s. Not for %s. It must hold: %s. %s."):format(entry.title, entry.formula, entry.use, entry.avoid, entry.property, entry.paper),
    returns = "scheme", errors = "a number of classes that does not fit (raised by the loss)", example = entry.example, options = specs,
  }, function(o)
    local values, made = {}, {}
    for i, p in ipairs(entry.parameters) do values[i] = o[p.name] end
    local function rows(classes)
      made[classes] = made[classes] or schemes.matrix(entry.name, values, classes)
      return made[classes]
    end
    return scheme(entry.name, { epsilon = o.epsilon, rows = rows, parameters = o })
  end)
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
