-- Where numbers, models and embeddings come from: what the pitfalls about losses, teachers, embeddings and tuning read. SPDX-License-Identifier: MIT
--
-- A loss tensor knows its target, the number that :item() makes of it does not. While a trial runs, such numbers are therefore remembered
-- with the target that they were measured against; what the trial returns is looked up among them: as they are, as their mean (of the
-- last n, plain or by rows), as a sum's share, or as the exponential of one of these. A match is one to 10⁻¹² of the value.
-- A model remembers what it was trained with (model:trained_with), rows of a data set what they are rows of; features remember both.
local c        = require "lsengine.c.loss"
local grad     = require "lsengine.c.autograd"
local raw      = require "lsengine.c.tensor"
local system   = require "lsengine.c.system"
local pitfalls = require "lsengine.pitfalls"
local public   = require "lsengine.public"
local target   = require "lsengine.target"
local hooks    = require "lsengine.tensor".hooks

local provenance = {}

local MOST, ENDS, CLOSE = 2048, 4, 1e-12 -- numbers that are remembered of a target; how many may follow those that a mean is of; how near a match is

-- ---- targets in words and numbers ----

-- Whether a scheme has spread mass over the classes without regard to the label: smoothing proper.
local function is_smoothed(t)
  for _, entry in ipairs(t.history) do
    if not entry.mix and entry.epsilon and entry.epsilon > 0 and not entry.rows and not entry.matrix then return true end
  end
  return false
end

-- What a loss with this tag was measured against: { words =, soft =, floor = mean entropy in nats, spread = the share that was spread, classes = }.
local function about(tag)
  local t, classes = tag.target, tag.classes
  if not t then return nil end
  if not target.is_soft(t) then return { words = "one-hot labels", soft = false, smoothed = false, floor = 0.0, spread = 0.0, classes = classes } end
  local floor, _, keep = 0.0, 0, 1
  if classes then floor, _, keep = c.summary(target.resolved(t, classes), classes) end
  local smoothed = is_smoothed(t)
  return { words = target.text(t), soft = true, smoothed = smoothed, floor = floor, spread = smoothed and 1 - (keep or 1) or 0.0, classes = classes }
end
provenance.about = about

-- ---- numbers of a trial ----

local memory -- of the trial that runs; nil outside

-- Targets of one kind share their last entry, the scheme's.
local function kind_of(t)
  return t.history[#t.history] or not target.is_soft(t) and "one-hot" or t.dense and "rows" or "weighted"
end

local function remember(info, value, weight)
  local n = info.n + 1
  info.n, info.values[n], info.weights[n] = n, value, weight
  if n >= 2 * MOST then
    info.values, info.weights, info.n = table.move(info.values, n - MOST + 1, n, 1, {}), table.move(info.weights, n - MOST + 1, n, 1, {}), MOST
  end
end

-- A number that was measured against the target of `tag`, by rows of this weight.
function provenance.note(value, tag, weight)
  if not memory or value == 0 or value ~= value then return end
  local kind = kind_of(tag.target)
  local info = memory.kinds[kind]
  if not info then
    info = about(tag)
    info.n, info.values, info.weights, info.where = 0, {}, {}, system.where()
    memory.kinds[kind], memory.list[#memory.list + 1] = info, info
  end
  remember(info, value, weight or 1)
end

local function note_item(t, value)
  local tag = grad.tag(t)
  if tag and tag.target then provenance.note(value, tag, tag.kept) end
end

local function near(a, b) return math.abs(a - b) <= CLOSE * math.abs(b) end

-- Whether x is one of the numbers, a share of one, or a mean of some in a row, up to one of the last.
local function is_among(info, x)
  for i = info.n, 1, -1 do
    local share = info.values[i] / x
    if near(x, info.values[i]) or share > 1.5 and share < 1e5 and near(share, math.floor(share + 0.5)) then return true end
  end
  for last = info.n, math.max(1, info.n - ENDS + 1), -1 do
    local sum, weighted, weight = 0, 0, 0
    for i = last, 1, -1 do
      local v, w = info.values[i], info.weights[i]
      sum, weighted, weight = sum + v, weighted + v * w, weight + w
      if near(x, sum / (last - i + 1)) or weight > 0 and near(x, weighted / weight) then return true end
    end
  end
  return false
end

local function recognise(x)
  if x == 0 or math.tointeger(x) then return nil end
  for _, info in ipairs(memory.list) do
    if is_among(info, x) then return info end
    if x > 1 and is_among(info, math.log(x)) then return info, true end
  end
end

local closing = { __close = function(self) memory, hooks.item = self.memory, self.item end }

-- local _ <close> = provenance.trial(): numbers are remembered until the scope ends.
function provenance.trial()
  local scope = setmetatable({ memory = memory, item = hooks.item }, closing)
  memory, hooks.item = { kinds = {}, list = {}, judged = {} }, note_item
  return scope
end

-- What the numbers of a trial's result were measured against: metric → info. Raises smoothed-evaluation.
function provenance.of_result(arm, result)
  local found, names = {}, {}
  if #memory.list == 0 then return found end
  for name in pairs(result) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do
    local info, exponential = recognise(result[name])
    if info then
      found[name] = { words = info.words, floor = info.floor, where = info.where }
      if info.soft then
        pitfalls.raise("smoothed-evaluation", exponential
          and ("the trial of %s returns %s = %.4g, the exponential of a loss measured against %s: a factor of %.3f in it is the target's own entropy"):format(arm, name, result[name], info.words, math.exp(info.floor))
          or ("the trial of %s returns %s = %.4g, a loss measured against %s: %.3f of it is the target's own entropy"):format(arm, name, result[name], info.words, info.floor), info.where)
      end
    end
  end
  return found
end

-- ---- losses that are compared ----

local function differ(a, b) return a and b and a.words ~= b.words end

local function measured(name, info) return ("%s is measured against %s (%.3f of it is the target's own entropy)"):format(name, info.words, info.floor) end

-- found[arm number][metric] = info, arms as an experiment has them; `compared`: { { metric =, where =, a, b } … }, arm numbers of claims.
function provenance.check_comparable(found, arms, compared)
  local said = {}
  for _, pair in ipairs(compared) do
    local a, b = found[pair[1]][pair.metric], found[pair[2]][pair.metric]
    if differ(a, b) then
      said[pair.metric] = true
      pitfalls.raise("incomparable-losses", ("a claim compares losses with different targets: %s; %s"):format(
        measured(("%s of %s"):format(pair.metric, arms[pair[1]].name), a), measured(("that of %s"):format(arms[pair[2]].name), b)), pair.where)
    end
  end
  local first = {} -- metric → the first arm that has it
  for i, of_arm in ipairs(found) do
    local names = {}
    for name in pairs(of_arm) do names[#names + 1] = name end
    table.sort(names)
    for _, name in ipairs(names) do
      first[name] = first[name] or i
      local a, b = found[first[name]][name], of_arm[name]
      if differ(a, b) and not said[name] then
        said[name] = true
        pitfalls.raise("incomparable-losses", ("one column of the table holds losses with different targets: %s; %s"):format(
          measured(("%s of %s"):format(name, arms[first[name]].name), a), measured(("that of %s"):format(arms[i].name), b)), b.where)
      end
    end
  end
end

-- a < b, a <= b of one-element tensors.
function hooks.compared(a, b)
  local one, other = grad.tag(a), grad.tag(b)
  if not (one and one.target and other and other.target) then return end
  if one.target == other.target or not (target.is_soft(one.target) or target.is_soft(other.target)) then return end
  local x, y = about(one), about(other)
  if differ(x, y) then
    pitfalls.raise("incomparable-losses", ("losses with different targets are compared: %s; %s"):format(measured("the first", x), measured("the second", y)))
  end
end

-- The exponential of a mean loss is a perplexity; exp(-loss) is a probability, and fine.
function hooks.exp(t)
  local tag = grad.tag(t)
  if not (tag and tag.target) or raw.count(t) ~= 1 or not tag.weight_sum or not target.is_soft(tag.target) or raw.item(t) <= 0 then return end
  local info = about(tag)
  pitfalls.raise("smoothed-evaluation", ("exp of a loss measured against %s is no perplexity: a factor of %.3f in it is the target's own entropy"):format(
    info.words, math.exp(info.floor)))
end

-- Histories: what their losses were measured against.
local histories = setmetatable({}, { __mode = "k" })
function provenance.mark_history(history, info) histories[history] = info end

-- Measures of a history that are shown on one axis.
function provenance.check_plot(history, names, where)
  local info, loss, plain = histories[history], nil, nil
  for _, name in ipairs(names) do
    if name == "loss" then loss = name elseif name == "nll" or name == "nll_ts" then plain = plain or name end
  end
  if not (info and info.soft and loss and plain) then return end
  pitfalls.raise("incomparable-losses", ("one axis holds losses with different targets: %s; %s"):format(
    measured("loss", info), measured(plain, { words = "one-hot labels", floor = 0 })), where)
end

-- Losses of several histories on one axis or in one column.
function provenance.check_histories(list, where)
  for i = 2, #list do
    local a, b = histories[list[1]], histories[list[i]]
    if differ(a, b) then
      pitfalls.raise("incomparable-losses", ("one axis holds losses with different targets: %s; %s"):format(measured("the first", a), measured("another", b)), where)
      return
    end
  end
end

-- ---- models ----

local weak_rows = setmetatable({}, { __mode = "k" }) -- x of a data set → what it is

-- Rows of a data set: { name =, classes =, original_classes = }.
function provenance.rows_of(x, set)
  if raw.is_tensor(x) then weak_rows[x] = { name = set.name, classes = set.classes, original_classes = set.original_classes } end
end

-- A training of a model: `entry` as trained_with tells it. The model's layers remember it as well: one of them may be used alone.
function provenance.trained(model, entry, visit)
  local list = rawget(model, "_trained") or {}
  local last = list[#list]
  if last and last.target == entry.target and last.data == entry.data and last.classes == entry.classes then list[#list] = entry else list[#list + 1] = entry end
  visit(model, function(module) rawset(module, "_trained", list) end)
end

function provenance.of_model(model)
  local list = rawget(model, "_trained")
  return list and list[#list], list
end

-- What a loss says of a training: an entry without the data.
function provenance.entry(info, set)
  local of = set and { data = set.name, original_classes = set.original_classes and table.move(set.original_classes, 0, (set.classes or 1) - 1, 0, {}) } or {}
  return { target = info and info.words or "a loss that knows no target", soft = info ~= nil and info.soft, smoothed = info ~= nil and info.smoothed,
    floor = info and info.floor or 0.0, spread = info and info.spread or 0.0, classes = info and info.classes or set and set.classes, data = of.data, original_classes = of.original_classes }
end

-- An entry read from a file: nil where anything in it is not as it must be.
function provenance.read_entry(e)
  if type(e) ~= "table" or type(e.target) ~= "string" or #e.target > 1000 then return nil end
  local function number(v) return type(v) == "number" and v == v and math.abs(v) < math.huge and v or 0.0 end
  local new = { target = e.target, soft = e.soft == true, smoothed = e.smoothed == true, floor = number(e.floor), spread = number(e.spread),
    classes = math.type(e.classes) == "integer" and e.classes > 0 and e.classes or nil, data = type(e.data) == "string" and e.data or nil }
  if type(e.original) == "table" then
    new.original_classes = {}
    for i, k in ipairs(e.original) do if math.type(k) == "integer" then new.original_classes[i - 1] = k end end
  end
  return new
end

-- The same for JSON, whose lists begin at 1.
function provenance.plain_entry(e)
  local copy = {}
  for key, value in pairs(e) do if type(value) ~= "table" and type(value) ~= "userdata" then copy[key] = value end end
  if e.original_classes then
    copy.original = {}
    for k = 0, #e.original_classes do copy.original[k + 1] = e.original_classes[k] end
  end
  return copy
end

-- Called where a model teaches another at a temperature.
function provenance.check_teacher(model, temperature, where)
  local entry = provenance.of_model(model)
  if not (entry and entry.smoothed and temperature > 1) or pitfalls.is_allowed "smoothed-teacher" then return end
  local K, e = entry.classes or 2, math.min(entry.spread, 0.999)
  local gap = math.log((1 - e + e / K) / (e / K))
  local top = 1 / (1 + (K - 1) * math.exp(-gap / temperature))
  pitfalls.raise("smoothed-teacher", ("the teacher was trained on %s: where it meets its targets, at temperature %g it gives the true class %.3f and each of the %d others %.3f, however alike or unlike they are")
    :format(entry.target, temperature, top, K - 1, (1 - top) / math.max(1, K - 1)), where)
end

-- ---- embeddings ----

-- Features of these rows by this model know both.
function provenance.tag_features(features, model, x)
  local entry = provenance.of_model(model)
  if entry then grad.set_tag(features, { embedding = entry, rows = weak_rows[x] }) end
end

local function root(name) return name and (name:gsub("%s*%b()$", "")) end

local function classes_of(info, classes)
  local set = {}
  for k = 0, (classes or 0) - 1 do set[info.original_classes and info.original_classes[k] or k] = true end
  return set
end

-- Why these rows are none of those that the model was trained for; nil where they are, or where it is not known.
local function foreign(entry, rows)
  if not (entry.data and rows and rows.name and entry.classes and rows.classes) then return nil end
  local own, other = root(entry.data), root(rows.name)
  if own ~= other then
    if own == "data" or other == "data" then return nil end -- not named: not known
    return ("the data set %s, and was trained on %s"):format(rows.name, entry.data)
  end
  local known, new = classes_of(entry, entry.classes), 0
  for k in pairs(classes_of(rows, rows.classes)) do if not known[k] then new = new + 1 end end
  if new > 0 then return ("%d classes of %s that it was not trained on"):format(new, rows.name) end
end

-- In how many directions rows vary: (tr C)² / tr C², the participation ratio of the covariance C.
local function directions(features)
  if raw.rank(features) ~= 2 or raw.size(features, 1) < 2 then return nil end
  local n = math.min(raw.size(features, 1), 2000)
  local x = raw.contiguous(raw.detach(raw.narrow(features, 1, 1, n)))
  local centred = raw.sub(x, raw.mul(raw.sum(x, 1, true), 1 / n))
  local covariance = raw.matmul(centred, centred, true, false)
  local trace, squares = raw.item(raw.sum(raw.square(centred))), raw.item(raw.sum(raw.square(covariance)))
  return squares > 0 and trace ^ 2 / squares or nil
end

local run = {} -- { pending = { message, where }, plain = a one-hot model was judged so }

-- Called where embeddings are judged: `given` a model, or what model:features gave; `set` the data set of the rows, where it is known.
function provenance.check_embedding(given, set, where)
  local entry, rows = nil, set and { name = set.name, classes = set.classes, original_classes = set.original_classes }
  if raw.is_tensor(given) then
    local tag = grad.tag(given)
    entry, rows = tag and tag.embedding, tag and tag.rows or rows
  else
    entry = provenance.of_model(given)
  end
  if not entry then return end
  local why = foreign(entry, rows)
  if not why then return end
  if not entry.smoothed then run.plain = true return end
  if run.plain or run.pending or pitfalls.is_allowed "smoothed-embedding" then return end
  local width = raw.is_tensor(given) and raw.rank(given) == 2 and raw.size(given, 2)
  local ratio = width and directions(given)
  run.pending = { ("embeddings of a model that was trained on %s are judged on %s, with no one-hot model beside it: smoothing has erased what its own classes did not need%s"):format(
    entry.target, why, ratio and (" (the %d features vary in %.1f directions)"):format(width, ratio) or ""), where or system.where() }
end

-- What could only be said at the end of a run.
function provenance.finish()
  local pending = not run.plain and run.pending
  run = {}
  if pending then pitfalls.raise("smoothed-embedding", pending[1], pending[2]) end
end

local outer = { __close = function(self) run = self.run end }

-- local _ <close> = provenance.run(): a run of its own until the scope ends.
function provenance.run()
  local scope = setmetatable({ run = run }, outer)
  run = {}
  return scope
end

return provenance
