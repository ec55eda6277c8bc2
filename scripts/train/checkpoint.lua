-- Checkpoints: all that a training is, in a file, so that an interrupted one goes on to the same bits. SPDX-License-Identifier: MIT
--
-- The file is an NPZ archive: tensors by name ("model/0.weight", "optimizer/1/velocity", …), the rest as JSON text ("state"), what the
-- training is ("identity"), a format version, a checksum over all of it. Everything is read and checked before the model changes.
local c       = require "lsengine.c.checkpoint"
local grad    = require "lsengine.c.autograd"
local json    = require "lsengine.c.json"
local clabels = require "lsengine.c.labels"
local cnn     = require "lsengine.c.nn"
local random  = require "lsengine.c.random"
local raw     = require "lsengine.c.tensor"
local system  = require "lsengine.c.system"
local histories = require "lsengine.history"
local weights = require "lsengine.weights"
local provenance = require "lsengine.provenance"
local raise   = require "lsengine.public".raise

local checkpoint = {}

checkpoint.options = {
  file        = { type = "string", required = true, doc = "path; where it exists, training goes on from it" },
  every       = { type = "number", above = 0, below = math.huge, doc = "epochs from one checkpoint to the next (fractions allowed); 1 unless every_steps is given" },
  every_steps = { type = "integer", min = 1, max = 2^53, doc = "the same in steps of the optimizer" },
}

local FORMAT, VERSION = "lsengine checkpoint ", 1

-- ---- values as JSON: tables of plain values, tensors and labels in arrays of their own ----

-- A table whose only key is "=" stands for what JSON does not have.
local function is_plain_text(s) return utf8.len(s) ~= nil and not s:find("\0", 1, true) end

local function is_sequence(t)
  local n = 0
  for key in next, t do
    if math.type(key) ~= "integer" or key < 1 then return false end
    n = math.max(n, key)
  end
  for i = 1, n do if rawget(t, i) == nil then return false end end
  return true
end

local function is_object(t)
  for key in next, t do if type(key) ~= "string" or key == "=" or not is_plain_text(key) then return false end end
  return true
end

local function pack(value, arrays, path, depth)
  local kind = type(value)
  if depth > 24 then raise("checkpoint", ("%s is nested too deeply to be kept"):format(path)) end
  if kind == "boolean" or math.type(value) == "integer" then return value end
  if kind == "number" then
    if value ~= value then return { ["="] = "nan" } end
    if value == math.huge or value == -math.huge then return { ["="] = value > 0 and "inf" or "-inf" } end
    return value
  end
  if kind == "string" then
    if is_plain_text(value) then return value end
    return { ["="] = { "bytes", (value:gsub(".", function(b) return ("%02x"):format(b:byte()) end)) } }
  end
  if raw.is_tensor(value) or clabels.is_labels(value) then
    local name = path
    while arrays[name] do name = name .. "'" end
    arrays[name], arrays[#arrays + 1] = value, name
    return { ["="] = { "array", name } }
  end
  if kind ~= "table" then raise("checkpoint", ("%s is %s, which cannot be kept"):format(path, system.describe(value))) end
  local out = {}
  if is_sequence(value) then
    for i = 1, #value do out[i] = pack(rawget(value, i), arrays, ("%s/%d"):format(path, i), depth + 1) end
    return out
  end
  local keys = {}
  for key in next, value do keys[#keys + 1] = key end
  table.sort(keys, function(a, b) return math.type(a) == math.type(b) and type(a) == type(b) and type(a) ~= "boolean" and a < b or tostring(a) < tostring(b) end)
  if is_object(value) then
    for _, key in ipairs(keys) do out[key] = pack(rawget(value, key), arrays, ("%s/%s"):format(path, key), depth + 1) end
    return out
  end
  for i, key in ipairs(keys) do
    if type(key) ~= "string" and type(key) ~= "number" and type(key) ~= "boolean" then raise("checkpoint", ("%s has %s as a key, which cannot be kept"):format(path, system.describe(key))) end
    out[i] = { pack(key, arrays, path, depth + 1), pack(rawget(value, key), arrays, ("%s/%d"):format(path, i), depth + 1) }
  end
  return { ["="] = { "pairs", out } }
end

local marks = { nan = 0 / 0, inf = math.huge, ["-inf"] = -math.huge }

local function unpack_value(value, arrays)
  if type(value) ~= "table" then return value end
  local mark = value["="]
  if mark == nil then
    local out = {}
    for key, inner in pairs(value) do out[key] = unpack_value(inner, arrays) end
    return out
  end
  if marks[mark] then return marks[mark] end
  local kind, inner = mark[1], mark[2]
  if kind == "bytes" then return (inner:gsub("%x%x", function(digits) return string.char(tonumber(digits, 16)) end)) end
  if kind == "array" then
    if arrays[inner] == nil then error(("array %s is missing"):format(inner), 0) end
    return arrays[inner]
  end
  if kind ~= "pairs" then error(("a value of kind %s"):format(tostring(kind)), 0) end
  local out = {}
  for _, pair in ipairs(inner) do out[unpack_value(pair[1], arrays)] = unpack_value(pair[2], arrays) end
  return out
end

checkpoint.pack, checkpoint.unpack = pack, unpack_value

-- ---- what a training is ----

local function hash(text) return cnn.hash_text(text) end
local function labels_text(y) return ("labels %d %s"):format(#y, hash(table.concat(clabels.totable(y), ","))) end

-- A value in words that differ where it differs; names of lines in a script (`where`) and what carries a scheme out are left out, functions are all alike.
local function words(value, above)
  local kind = type(value)
  if math.type(value) == "float" then return math.tointeger(value) and ("%d"):format(value) or ("%.17g"):format(value) end
  if kind == "string" then return ("%q"):format(value) end
  if raw.is_tensor(value) then return ("tensor %s %s"):format(raw.shape_text(value), raw.hash(value)) end
  if clabels.is_labels(value) then return labels_text(value) end
  if kind == "function" or kind == "userdata" or kind == "thread" then return "a " .. kind end
  if kind ~= "table" then return tostring(value) end
  if above[value] then return "itself" end
  above = setmetatable({ [value] = true }, { __index = above })
  local parts = {}
  for key, inner in next, value do
    if key ~= "where" and key ~= "engine" and key ~= "traits" and type(key) ~= "table" and type(key) ~= "userdata" and type(key) ~= "function" then
      parts[#parts + 1] = ("%s = %s"):format(tostring(key), words(inner, above))
    end
  end
  table.sort(parts)
  return "{ " .. table.concat(parts, ", ") .. " }"
end

local function data_words(data)
  return ("%s, %d rows, x %s, y %s"):format(data.name or "", #data.y, words(data.x, {}), words(data.y, {}))
end

-- Options that do not decide what is computed.
local aside = { allow = true, on_epoch = true, on_batch = true, checkpoint = true, rng = true, optimizer = true, validation = true }

-- A value for a message, where a short text says it; "" where none does.
local function shown(value)
  if value == nil then return "not given" end
  local meta = type(value) == "table" and getmetatable(value)
  if type(value) ~= "number" and type(value) ~= "boolean" and type(value) ~= "string" and not (type(meta) == "table" and meta.__tostring) then return "" end
  local ok, text = pcall(tostring, value)
  return ok and type(text) == "string" and #text <= 50 and is_plain_text(text) and text or ""
end

-- { what, words, value in a message } in a fixed order. Taken before anything has been drawn or trained.
local function identity_of(run, option_names)
  local o, list = run.o, {}
  local function add(what, text, in_short) list[#list + 1] = { what, #text <= 60 and is_plain_text(text) and text or hash(text), in_short or "" } end
  local shapes, first = {}, {}
  for i, w in ipairs(run.weights) do
    shapes[i] = ("%s %s"):format(w.name, raw.shape_text(w.tensor))
    first[i] = raw.hash(w.tensor)
  end
  add("the model", table.concat(shapes, ", "))
  add("the model's weights at the start", hash(table.concat(first, " ")))
  add("the training rows", data_words(run.dataset))
  add("the validation rows", o.validation and data_words(o.validation) or "none")
  add("the random stream (its seed, or what was drawn or spawned before)", hash(words(random.state(o.rng), {})))
  add("the optimizer", ("%s%s after %d steps%s"):format(run.optimizer.kind.name, words(run.optimizer.options, {}), run.optimizer.steps,
    run.optimizer.steps > 0 and words(run.optimizer.state, {}) or ""))
  if run.optimizer.lr ~= run.optimizer.options.lr then add("the learning rate", words(run.optimizer.lr, {})) end
  for _, name in ipairs(option_names) do
    if not aside[name] then add(name, words(o[name], {}), shown(o[name])) end
  end
  return list
end

local function difference(there, here)
  local known, parts = {}, {}
  for _, item in ipairs(there) do known[item[1]] = item end
  for _, item in ipairs(here) do
    local what, other = item[1], known[item[1]] or { item[1], "", "not given" }
    known[what] = nil
    if other[2] ~= item[2] then
      local both = item[3] ~= "" and other[3] ~= "" and item[3] ~= other[3]
      parts[#parts + 1] = both and ("%s is %s there and %s here"):format(what, other[3], item[3])
        or ("%s %s"):format(what, (what:find "rows$" or what:find "weights") and "differ" or "differs")
    end
  end
  local left = {}
  for what in pairs(known) do left[#left + 1] = what end
  table.sort(left, function(a, b) return tostring(a) < tostring(b) end)
  for _, what in ipairs(left) do parts[#parts + 1] = tostring(what) .. " is not here" end
  return parts
end

-- ---- the file ----

local Checkpoint = {}
Checkpoint.__index = Checkpoint

-- Before the run has drawn or changed anything.
function checkpoint.new(run, option_names)
  local o = run.o.checkpoint
  if o.every and o.every_steps then raise("train", "checkpoint.every and checkpoint.every_steps are both given: one of them says how often") end
  local steps = o.every_steps or math.max(1, math.floor((o.every or 1) * run.steps + 0.5))
  return setmetatable({ run = run, file = o.file, steps = steps, identity = identity_of(run, option_names) }, Checkpoint)
end

-- Every stream that the run draws from, each once: the caller's, those of the run's own purposes, the model's.
local function streams_of(run)
  local list, taken = {}, {}
  local function add(stream)
    if not taken[stream] then list[#list + 1], taken[stream] = stream, true end
  end
  add(run.o.rng)
  for _, stream in ipairs(run.streams) do add(stream) end
  for _, stream in ipairs(weights.streams(run.model)) do add(stream) end
  return list
end

local function named(list, values)
  local out = {}
  for i, w in ipairs(list) do out[w.name] = values and values[i] or w.tensor end
  return out
end

-- Parameters of the optimizer that are none of the model's: a learned temperature, say.
local function others_of(run)
  local own, list = {}, {}
  for _, w in ipairs(run.weights) do own[w.tensor] = true end
  for _, p in ipairs(run.optimizer.parameters) do if not own[p] then list[#list + 1] = p end end
  return list
end

-- What lives with the training besides model and optimizer, by name: the target scheme, the loss.
local function living(run)
  local list = {}
  local scheme = run.o.target
  if scheme ~= nil then
    local read, state = pcall(function() return scheme.state end)
    local found, set = pcall(function() return scheme.set_state end)
    if read and found and type(state) == "function" and type(set) == "function" then list[1] = { "scheme", scheme } end
  end
  if run.living then
    list[#list + 1] = { "loss", { state = function() return run.living.state(run.o.loss) end, set_state = function(_, state) run.living.set_state(run.o.loss, state) end } }
  end
  return list
end

local RUN = { "step", "epoch", "within", "sum", "weight", "seconds", "pairs", "same" }

function Checkpoint:save(finished)
  local run = self.run
  local optimizer, stop, mean = run.optimizer, run.stopping, run.average
  local state = { finished = finished, lr = optimizer.lr, order = run.order, streams = {}, history = {} }
  for _, part in ipairs(living(run)) do state[part[1]] = part[2]:state() end
  for _, name in ipairs(RUN) do state[name] = run[name] end
  for i, stream in ipairs(streams_of(run)) do state.streams[i] = random.state(stream) end
  for i, entry in ipairs(run.history) do state.history[i] = entry end
  state.stopped_at, state.best_epoch = run.history.stopped_at, run.history.best_epoch
  if stop then state.stopping = { best = stop.best, best_epoch = stop.best_epoch, waited = stop.waited } end
  if mean then state.updates = mean.updates end
  state.about = run.about
  state.optimizer_steps, state.slots = optimizer.steps, {}
  for i in ipairs(optimizer.parameters) do state.slots[i] = optimizer.state[i] and optimizer.state[i].step or 0 end
  local arrays = {}
  local packed = pack(state, arrays, "state", 1)
  local function put(prefix, values)
    local names = {}
    for name in pairs(values) do names[#names + 1] = name end
    table.sort(names)
    for _, name in ipairs(names) do
      local full = prefix .. name
      arrays[full], arrays[#arrays + 1] = values[name], full
    end
  end
  put("model/", named(run.weights))
  for i, p in ipairs(others_of(run)) do put("parameter/", { [("%d"):format(i)] = p }) end
  for i in ipairs(optimizer.parameters) do
    for name, slot in pairs(optimizer.state[i] or {}) do
      if raw.is_tensor(slot) then put(("optimizer/%d/"):format(i), { [name] = slot }) end
    end
  end
  if mean and mean.updates > 0 then put("average/", named(run.weights, mean.values)) end
  if stop and stop.weights and not finished then put("best/", named(run.weights, stop.weights)) end
  local names, values = { "format", "identity", "state" }, { format = FORMAT .. VERSION, identity = json.encode(self.identity), state = json.encode(packed) }
  table.sort(arrays)
  for i, name in ipairs(arrays) do
    names[i + 3], values[name] = name, arrays[name]
  end
  c.save("train", self.file, names, values)
end

local function need(condition, what, ...)
  if not condition then error(what:format(...), 0) end
end

local function whole(value, low, high) return math.type(value) == "integer" and value >= low and value <= high end

-- Reads a state into what is to be set; raises where something is not as it must be. Changes nothing.
local function examine(run, arrays)
  local state = unpack_value(json.decode(arrays.state), arrays)
  local optimizer, plan = run.optimizer, { state = state, model = {}, others = {}, slots = {} }
  local function tensor(name, like)
    local found = arrays[name]
    need(raw.is_tensor(found) and grad.same_shape(found, like), "array %s is not there, or of another shape", name)
    return found
  end
  need(type(state.finished) == "boolean" and type(state.lr) == "number", "finished or lr is missing")
  need(whole(state.step, 0, run.total) and whole(state.epoch, 1, math.maxinteger) and whole(state.within, 0, run.batches), "the place in the training")
  for _, name in ipairs{ "sum", "weight", "seconds", "pairs", "same" } do need(type(state[name]) == "number", "%s", name) end
  plan.streams = streams_of(run)
  need(type(state.streams) == "table" and #state.streams == #plan.streams, "the number of random streams")
  for _, s in ipairs(state.streams) do random.set_state(random.seed(0), s) end
  if state.within > 0 then random.set_state(random.seed(0), state.order) end
  for i, w in ipairs(run.weights) do plan.model[i] = tensor("model/" .. w.name, w.tensor) end
  for i, p in ipairs(others_of(run)) do plan.others[i] = tensor(("parameter/%d"):format(i), p) end
  need(whole(state.optimizer_steps, 0, math.maxinteger) and #state.slots == #optimizer.parameters, "the optimizer's steps")
  for i, p in ipairs(optimizer.parameters) do
    need(whole(state.slots[i], 0, math.maxinteger), "the optimizer's steps")
    if state.slots[i] > 0 then
      plan.slots[i] = { step = state.slots[i] }
      for _, name in ipairs(optimizer.kind.slots(optimizer.options)) do plan.slots[i][name] = tensor(("optimizer/%d/%s"):format(i, name), p) end
    end
  end
  if run.average then
    need(whole(state.updates, 0, math.maxinteger), "the average's updates")
    if state.updates > 0 then
      plan.average = {}
      for i, w in ipairs(run.weights) do plan.average[i] = tensor("average/" .. w.name, w.tensor) end
    end
  end
  if run.stopping then
    local s = state.stopping
    need(type(s) == "table" and (s.best == nil or type(s.best) == "number") and whole(s.waited, 0, math.maxinteger), "early stopping")
    if s.best ~= nil and run.stopping.o.restore_best and not state.finished then
      plan.best = {}
      for i, w in ipairs(run.weights) do plan.best[i] = tensor("best/" .. w.name, w.tensor) end
    end
  end
  need(state.about == nil or provenance.read_entry(type(state.about) == "table" and { target = state.about.words } or nil), "what it was trained on")
  need(type(state.history) == "table", "the history")
  for _, entry in ipairs(state.history) do need(type(entry) == "table" and whole(entry.epoch, 1, math.maxinteger), "the history") end
  return plan
end

-- Of what the losses were measured against, with values of the right types.
local function read_about(given)
  if not given then return nil end
  local e = provenance.read_entry{ target = given.words, soft = given.soft, smoothed = given.smoothed, floor = given.floor, spread = given.spread, classes = given.classes }
  return { words = e.target, soft = e.soft, smoothed = e.smoothed, floor = e.floor, spread = e.spread, classes = e.classes }
end

local function carry_out(run, plan)
  local state, optimizer = plan.state, run.optimizer
  for _, part in ipairs(living(run)) do part[2]:set_state(state[part[1]]) end
  for i, stream in ipairs(plan.streams) do random.set_state(stream, state.streams[i]) end
  weights.put(run.weights, plan.model)
  local others = {}
  for i, p in ipairs(others_of(run)) do others[i] = { tensor = p } end
  weights.put(others, plan.others)
  for _, name in ipairs(RUN) do run[name] = state[name] end
  run.order, run.about = state.order, read_about(state.about)
  optimizer.lr, optimizer.steps = state.lr, state.optimizer_steps
  for i in ipairs(optimizer.parameters) do optimizer.state[i] = plan.slots[i] end
  run.history = histories.new(state.history)
  run.history.stopped_at, run.history.best_epoch = state.stopped_at, state.best_epoch
  if run.average then run.average.updates, run.average.values = state.updates, plan.average end
  if run.stopping then
    run.stopping.best, run.stopping.best_epoch, run.stopping.waited = state.stopping.best, state.stopping.best_epoch, state.stopping.waited
    run.stopping.weights = plan.best
  end
end

-- Goes on from the file, or makes a first one where there is none (so that a place that cannot be written to is told at once). True where the
-- training in it is finished.
function Checkpoint:resume()
  if not c.exists(self.file) then
    self:save(false)
    return false
  end
  local arrays = c.load("train", self.file)
  local version = type(arrays.format) == "string" and arrays.format:match("^" .. FORMAT .. "(%d+)$")
  if not version then raise("train", ("%s is no checkpoint of lsengine"):format(self.file)) end
  if version ~= tostring(VERSION) then
    raise("train", ("%s is a checkpoint of version %s, this lsengine reads version %d"):format(self.file, version, VERSION))
  end
  local read, there = pcall(json.decode, type(arrays.identity) == "string" and arrays.identity or "")
  if not read or type(there) ~= "table" then raise("train", ("%s is damaged: what training it belongs to cannot be read"):format(self.file)) end
  local compared, parts = pcall(difference, there, self.identity)
  if not compared then raise("train", ("%s is damaged: %s"):format(self.file, tostring(parts))) end
  if #parts > 0 then
    raise("train", ("%s belongs to another training: %s. Another file, or removing this one, begins anew"):format(self.file, table.concat(parts, "; ")))
  end
  local ok, plan = pcall(examine, self.run, arrays)
  if plan == "not enough memory" then error(plan, 0) end
  if not ok then raise("train", ("%s is damaged: %s"):format(self.file, tostring(plan))) end
  carry_out(self.run, plan)
  return plan.state.finished
end

-- Whether the step that has just been done is one after which a checkpoint is written.
function Checkpoint:is_due() return self.run.step % self.steps == 0 end

-- Steps until it is due again.
function Checkpoint:due_in() return self.steps - self.run.step % self.steps end

return checkpoint
