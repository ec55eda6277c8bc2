-- Checkpoints: trainings that are broken off and go on, files that are damaged or belong to another training.
-- SPDX-License-Identifier: MIT
local t, ls      = require "harness", require "lsengine"
local files      = require "lsengine.c.checkpoint"
local random     = require "lsengine.c.random"
local raw        = require "lsengine.c.tensor"
local json       = require "lsengine.c.json"
local checkpoint = require "lsengine.checkpoint"
local T = t.tests

local base, made = t.tmpname(), 0
local paths = { base }
local function new_path()
  made = made + 1
  paths[#paths + 1] = ("%s.%d.npz"):format(base, made)
  return paths[#paths]
end
local function read(path)
  local f <close> = assert(io.open(path, "rb"))
  return f:read "a"
end
local function write(path, bytes)
  local f <close> = assert(io.open(path, "wb"))
  f:write(bytes)
  return path
end

local digits = ls.data.load "digits":split{ validation = 100 }
local few = digits.train:subset(ls.rng(1):permutation(300))

local function with(base_options, more)
  local o = {}
  for k, v in pairs(base_options) do o[k] = v end
  for k, v in pairs(more or {}) do o[k] = v end
  return o
end

-- Everything at once: dropout, augmentation, average, early stopping, accumulation, clipping, schedule. 10 batches, 5 steps an epoch.
local function everything(more)
  return with({ epochs = 4, batch = 32, accumulate = 2, target = ls.target.uniform(0.1), clip_norm = 1, class_weights = "balanced",
    optimizer = ls.optim.adamw{ lr = 0.01 }, schedule = ls.optim.cosine{ warmup = 0.5 }, validation = digits.validation,
    augment = { ls.augment.shift{ pixels = 1 }, ls.augment.erase{} }, average = { decay = 0.9, start = 0.3 },
    early_stopping = { metric = "nll", patience = 1, min_delta = 0.4 } }, more)
end

-- One training from its beginning: model, history, rng.
local function run(o, seed, data)
  local rng = ls.rng(seed or 1)
  local model = ls.nn.mlp({ 64, 16, 10 }, { rng = rng, dropout = 0.2 })
  rng:random()
  o.rng = rng
  local history = ls.train(model, data or few, o)
  return model, history, rng
end

local function numbers(history)
  local list = { history.stopped_at or false, history.best_epoch or false }
  for i, entry in ipairs(history) do
    local copy = {}
    for k, v in pairs(entry) do if k ~= "seconds" then copy[k] = v end end
    list[i + 2] = copy
  end
  return list
end

local function state_of(rng) return json.encode(random.state(rng)) end

-- Breaks off after each step in turn and goes on: model, history and rng must be those of the training that was left alone.
local function breaks_off(options, every, seed)
  local model, history, rng = run(options(), seed)
  local steps = 0
  run(options{ on_batch = function() steps = steps + 1 end }, seed)
  t.is_true(steps >= 8, steps)
  for at = 1, steps do
    local file = new_path()
    t.message(function() run(options{ checkpoint = with(every, { file = file }), on_batch = function(step) if step == at then error "broken off" end end }, seed) end)
    local went_on = 0
    local again, second, stream = run(options{ checkpoint = with(every, { file = file }), on_batch = function() went_on = went_on + 1 end }, seed)
    t.equals({ at, again:hash(), state_of(stream) }, { at, model:hash(), state_of(rng) })
    t.equals(numbers(second), numbers(history))
    t.is_true(went_on >= steps - at + 1 and went_on <= steps)
    -- a finished one returns at once
    local last, third, ended = run(options{ checkpoint = with(every, { file = file }), on_batch = function() error "trained again" end }, seed)
    t.equals({ last:hash(), state_of(ended) }, { model:hash(), state_of(rng) })
    t.equals(numbers(third), numbers(history))
    os.remove(file)
  end
  return history
end

function T.every_step_of_a_training_with_everything()
  local history = breaks_off(everything, { every_steps = 1 })
  t.is_true(history.stopped_at ~= nil and history.best_epoch < history.stopped_at, "it stops early")
end
function T.checkpoints_at_fractions_of_epochs() breaks_off(everything, { every = 0.6 }) end
function T.checkpoints_at_epochs() breaks_off(everything, { every = 1 }) end
function T.a_plain_training() breaks_off(function(more) return with({ epochs = 2.3, batch = 64, optimizer = ls.optim.sgd{ lr = 0.1, momentum = 0.9 } }, more) end, { every_steps = 2 }) end
function T.the_epochs_that_were_waited_are_kept()
  local history = breaks_off(function(more) return everything(with({ epochs = 6, early_stopping = { metric = "nll", patience = 2, min_delta = 100 } }, more)) end, { every_steps = 1 })
  t.equals({ history.best_epoch, history.stopped_at }, { 1, 3 })
end
function T.an_average_that_is_not_kept()
  breaks_off(function(more) return everything(with({ average = { decay = 0.9, keep = "last" }, early_stopping = { metric = "accuracy", patience = 3 } }, more)) end, { every_steps = 3 })
end

function T.an_optimizer_of_ones_own_and_parameters_outside_of_the_model()
  local function go(file, at)
    local rng = ls.rng(2)
    local model = ls.nn.mlp({ 64, 10 }, { rng = rng })
    local scale = ls.tensor{ 1 }:requires_grad()
    local parameters = model:parameters()
    parameters[#parameters + 1] = scale
    local optimizer = ls.optim.adam(parameters, { lr = 0.01 })
    ls.train(model, few, { epochs = 2, batch = 50, rng = rng, optimizer = optimizer, loss = function(z, y) return ls.loss.cross_entropy(z * scale, y) end,
      on_batch = at and function(step) if step == at then error "broken off" end end, checkpoint = file and { file = file, every_steps = 2 } })
    return model:hash(), scale:detach():hash(), optimizer.steps, optimizer.lr, tostring(optimizer)
  end
  local want, file = table.pack(go()), new_path()
  t.message(function() go(file, 7) end)
  t.equals(table.pack(go(file)), want)
  t.equals(table.pack(go(file)), want)
end

function T.schemes_that_keep_a_state()
  local Scheme = getmetatable(ls.target.uniform(0.1))
  local function go(file, at)
    local scheme = setmetatable({ kind = "uniform", entry = { kind = "uniform", epsilon = 0.1 }, epsilon = 0.1, count = 0 }, Scheme)
    local counted
    rawset(scheme, "state", function(self) return { count = self.count, [3] = { "x\0y", 1 / 0 }, labels = ls.labels{ 1, 2 } } end)
    rawset(scheme, "set_state", function(self, s) self.count, counted = s.count, s end)
    local function target_count() scheme.count = scheme.count + 1 end
    local model = run{ epochs = 2, batch = 64, optimizer = ls.optim.sgd{ lr = 0.1 }, target = scheme, checkpoint = file and { file = file, every_steps = 1 },
      on_batch = function(step)
        target_count()
        if step == at then error "broken off" end
      end }
    return model:hash(), scheme.count, counted
  end
  local hash, count = go()
  local file = new_path()
  t.message(function() go(file, 4) end)
  local again, second, state = go(file)
  t.equals({ again, second }, { hash, count })
  t.equals({ state.count, state[3][1], state[3][2], state.labels[2] }, { 3, "x\0y", 1 / 0, 2 })
end

-- ---- another training ----

function T.a_file_of_another_training_is_refused_with_what_differs()
  local file = new_path()
  local function o(more) return with({ epochs = 2, batch = 50, optimizer = ls.optim.sgd{ lr = 0.1 }, validation = digits.validation, checkpoint = { file = file } }, more) end
  run(o())
  local bytes = read(file)
  local function refused(text, options, seed, data)
    local message = t.message(function() run(options, seed, data) end)
    local want = ("train: %s belongs to another training: %s. Another file, or removing this one, begins anew"):format(file, text)
    if not message:find(want, 1, true) then error(("%q is not in %q"):format(want, message)) end
    t.equals(read(file), bytes)
  end
  refused("batch is 50 there and 64 here", o{ batch = 64 })
  refused("batch is 50 there and 64 here; epochs is 2 there and 3 here", o{ batch = 64, epochs = 3 })
  refused("the optimizer differs", o{ optimizer = ls.optim.sgd{ lr = 0.11 } })
  refused("the training rows differ", o(), nil, digits.train)
  refused("the validation rows differ", o{ validation = few })
  refused("the model's weights at the start differ; the random stream (its seed, or what was drawn or spawned before) differs", o(), 2)
  refused("target is not given there and uniform(0.1) here", o{ target = ls.target.uniform(0.1) })
  refused("loss differs", o{ loss = function(z, y) return ls.loss.cross_entropy(z, y) end })
  refused("clip_norm is not given there and 1 here", o{ clip_norm = 1 })
  refused("augment is not given there and shift{ pixels = 1, value = 0 } here", o{ augment = ls.augment.shift{ pixels = 1 } })
  local other = ls.nn.mlp({ 64, 15, 10 }, { rng = ls.rng(1), dropout = 0.2 })
  t.fails(function() ls.train(other, few, with(o(), { rng = ls.rng(1) })) end, "the model differs; the model's weights at the start differ", nil)
  -- what may change
  local again = run(o{ on_epoch = print, on_batch = print, allow = { "epsilon-too-large" }, checkpoint = { file = file, every = 0.1 } })
  t.equals(again:hash(), (run(o())):hash())
end

function T.names_of_lines_may_change()
  local file = new_path()
  local a = run{ epochs = 1, optimizer = ls.optim.sgd{ lr = 0.1 }, target = ls.target.uniform(0.1), checkpoint = { file = file } }
  local b = run{ epochs = 1, optimizer = ls.optim.sgd{ lr = 0.1 }, target = ls.target.uniform(0.1), checkpoint = { file = file } }
  t.equals(a:hash(), b:hash())
end

-- ---- damage ----

-- Bytes of a file that is half way, and a function that goes on from given ones; the model and rng it leaves.
local function half_way()
  local file = new_path()
  local function o(at) return everything{ checkpoint = { file = file, every_steps = 1 }, on_batch = function(step) if step == at then error "broken off" end end } end
  t.message(function() run(o(3)) end)
  local bytes = read(file)
  return bytes, function(changed)
    write(file, changed)
    local rng = ls.rng(1)
    local model = ls.nn.mlp({ 64, 16, 10 }, { rng = rng, dropout = 0.2 })
    rng:random()
    local before, state = model:hash(), state_of(rng)
    local options = o(4) -- goes on, and is broken off again
    options.rng = rng
    local message = t.message(function() ls.train(model, few, options) end)
    if not message:find("broken off", 1, true) then
      t.equals({ model:hash() }, { before })
      t.equals(read(file), changed)
    end
    return message, state_of(rng) == state, file
  end
end

function T.truncated_files_are_refused()
  local bytes, try = half_way()
  t.is_true(try(bytes):find "broken off" ~= nil, "the whole one goes on")
  for n = 0, #bytes - 1, 97 do
    local message = try(bytes:sub(1, n))
    t.is_true(message:find "broken off" == nil, n)
    t.is_true((message:find("is not an NPZ archive", 1, true) or message:find "damaged") ~= nil, message)
  end
end

function T.turned_bits_are_refused_or_mean_nothing()
  local bytes, try = half_way()
  local refused, tried = 0, 0
  local draw = ls.rng(77)
  for _ = 1, 400 do
    local at, bit = draw:integers(1, #bytes), draw:integers(0, 7)
    local message = try(bytes:sub(1, at - 1) .. string.char(bytes:byte(at) ~ 1 << bit) .. bytes:sub(at + 1))
    tried = tried + 1
    if not message:find "broken off" then refused = refused + 1 end
  end
  -- what is left are dates, versions and attributes of the archive's entries
  t.is_true(refused > 0.97 * tried, ("%d of %d"):format(refused, tried))
end

-- The file's contents with something changed, and a checksum that is right.
local function forged(change)
  local bytes, try = half_way()
  local path = write(new_path(), bytes)
  local arrays = files.load("test", path)
  change(arrays)
  local names = {}
  for name in pairs(arrays) do if name ~= "checksum" then names[#names + 1] = name end end
  table.sort(names)
  files.save("test", path, names, arrays)
  return try(read(path))
end

function T.contents_that_cannot_be_are_refused()
  local function fails(text, change)
    local message = forged(change)
    if not message:find(text, 1, true) then error(("%q is not in %q"):format(text, message)) end
  end
  fails("broken off", function() end)
  fails("is a checkpoint of version 2, this lsengine reads version 1", function(a) a.format = "lsengine checkpoint 2" end)
  fails("is no checkpoint of lsengine", function(a) a.format = "something" end)
  fails("is no checkpoint of lsengine", function(a) a.format = nil end)
  fails("what training it belongs to cannot be read", function(a) a.identity = "{" end)
  fails("is damaged", function(a) a.identity = "[5, [7, {}]]" end)
  fails("is damaged", function(a) a.state = "[1" end)
  fails("is damaged", function(a) a.state = "5" end)
  fails("is damaged", function(a) a.state = nil end)
  fails("array model/0.weight is not there, or of another shape", function(a) a["model/0.weight"] = nil end)
  fails("array model/0.weight is not there, or of another shape", function(a) a["model/0.weight"] = raw.full(1, 16, 63) end)
  fails("array optimizer/1/m is not there, or of another shape", function(a) a["optimizer/1/m"] = ls.labels{ 1 } end)
  fails("array average/0.weight", function(a) a["average/0.weight"] = nil end)
  for text, with_text in pairs{ ['"step":%d+'] = '"step":-1', ['"epoch":%d+'] = '"epoch":0.5', ['"within":%d+'] = '"within":99999', ['"finished":false'] = '"finished":7',
      ['"streams":%[{'] = '"streams":[{},{', ['"increment":%[%-?%d+,%-?%d+%]'] = '"increment":[1,2]', ['"key":%[%d+'] = '"key":[1099511627776', ['"updates":%d+'] = '"updates":-3',
      ['"optimizer_steps":%d+'] = '"optimizer_steps":"x"', ['"slots":%[%d+'] = '"slots":[-1', ['"spawned":{'] = '"spawned":{"x":-1,', ['"history":%[%]'] = '"history":[5]',
      ['"lr":[%d.e-]+'] = '"lr":null', ['"seconds":[%d.e-]+'] = '"seconds":{"=":["array","none"]}', ['"sum":[%d.e-]+'] = '"sum":{"=":["strange",1]}' } do
    local changed
    local message = forged(function(a) a.state, changed = a.state:gsub(text, with_text, 1) end)
    if changed > 0 or not text:find "history" then t.equals({ text, changed }, { text, 1 }) end
    if changed > 0 then t.is_true(message:find "is damaged" ~= nil, text .. ": " .. message) end
  end
end

function T.places_that_cannot_be_written_to_are_told_at_once()
  local steps = 0
  local function go(file) return run{ epochs = 1, optimizer = ls.optim.sgd{ lr = 0.1 }, checkpoint = { file = file }, on_batch = function() steps = steps + 1 end } end
  t.fails(function() go(base .. "/x.npz") end, "train: " .. base .. "/x.npz cannot be written: Not a directory", nil)
  t.fails(function() go "/dev/null/x.npz" end, "train: /dev/null/x.npz cannot be written: Not a directory", nil)
  t.fails(function() go(base .. ".none/x.npz") end, "cannot be written: No such file or directory", nil)
  t.fails(function() go "/tmp" end, "train: /tmp is not an NPZ archive", nil)
  t.fails(function() go "x\0y" end, "the file's name holds a zero byte", nil)
  t.equals(steps, 0)
end

function T.options_of_checkpoints()
  local function go(c) return run{ epochs = 1, optimizer = ls.optim.sgd{ lr = 0.1 }, checkpoint = c } end
  t.fails(function() go{} end, "train: option checkpoint.file is missing", nil)
  t.fails(function() go{ file = "x", every = 1, every_steps = 1 } end, "checkpoint.every and checkpoint.every_steps are both given", nil)
  t.fails(function() go{ file = "x", every = 0 } end, "checkpoint.every is 0, allowed is any finite number above 0", nil)
end

function T.what_a_callback_adds_is_kept_or_named()
  local file = new_path()
  local o = function() return { epochs = 2, optimizer = ls.optim.sgd{ lr = 0.1 }, checkpoint = { file = file }, on_epoch = function(epoch, m) m.note = { "seen", epoch } end } end
  local _, first = run(o())
  local _, second = run(o())
  t.equals(second[2].note, first[2].note)
  t.fails(function() run{ epochs = 2, optimizer = ls.optim.sgd{ lr = 0.1 }, checkpoint = { file = new_path() }, on_epoch = function(_, m) m.note = print end } end,
    "state/history/1/note is a function, which cannot be kept", nil)
end

function T.files_of_equal_states_are_equal()
  local a, b = new_path(), new_path()
  local function save(path) files.save("test", path, { "a", "b", "c" }, { a = raw.full(1, 2, 3), b = "text", c = ls.labels{ 5 } }) end
  save(a)
  save(b)
  t.equals(read(a), read(b))
  local back = files.load("test", a)
  t.equals({ back.b, back.c[1], back.a:hash() }, { "text", 5, raw.full(1, 2, 3):hash() })
  t.equals(io.open(a .. ".part"), nil)
end

-- ---- values and streams ----

function T.values_come_back_as_they_were()
  local value = { 1, 2.0, 0.1, -0.0, 1e-320, 1e308, math.maxinteger, math.mininteger, 1 / 0, -1 / 0, "x", "\0\255", "", true, false, {}, { a = 1, b = { {}, "y" } },
    { [1] = 1, [3] = 3, x = 1, [2.5] = "z", [true] = false }, { ["="] = 5 }, { ["\0"] = 1 }, ls.labels{ 3, 4 } }
  local arrays = {}
  local text = json.encode{ checkpoint.pack(value, arrays, "v", 1) }
  local back = checkpoint.unpack(json.decode(text), arrays)[1]
  t.equals(back, value)
  for i, v in ipairs(value) do t.equals(math.type(back[i]), math.type(v), tostring(v)) end
  t.equals(1 / back[4], -1 / 0)
  local nan = checkpoint.unpack(checkpoint.pack(0 / 0, {}, "v", 1), {})
  t.is_true(nan ~= nan)
  local loop = {}
  loop.x = loop
  t.fails(function() checkpoint.pack(loop, {}, "v", 1) end, "nested too deeply", nil)
end

function T.streams_are_put_back()
  local a, b = ls.rng(5), ls.rng(6)
  a:spawn "x"
  a:spawn "x"
  a:normal(10)
  local state = random.state(a)
  random.set_state(b, state)
  state.spawned.x = 99 -- a copy
  t.equals({ a:raw(), a:spawn "x":raw(), a:spawn "y":raw() }, { b:raw(), b:spawn "x":raw(), b:spawn "y":raw() })
  for _, bad in ipairs{ {}, { state = { 1, 2 } }, { state = { 1, 2 }, increment = { 1, 2 }, key = { 1, 2, 3, 4 }, spawned = {} },
      { state = { 1, 2 }, increment = { 1, 1 }, key = { 1, 2, 3, -1 }, spawned = {} }, { state = { 1, 2.5 }, increment = { 1, 1 }, key = { 1, 2, 3, 4 }, spawned = {} },
      { state = { 1, 2 }, increment = { 1, 1 }, key = { 1, 2, 3, 4 }, spawned = { 1 } }, { state = { 1, 2 }, increment = { 1, 1 }, key = { 1, 2, 3, 4 }, spawned = { x = "y" } },
      { state = { 1, 2 }, increment = { 1, 1 }, key = { 1, 2, 3, 4 } }, { state = { 1, 2, 3 }, increment = { 1, 1 }, key = { 1, 2, 3, 4 }, spawned = {} } } do
    local before = state_of(a)
    t.fails(function() random.set_state(a, bad) end, "set_state: ", true)
    t.equals(state_of(a), before)
  end
end

function T.zz_files_are_removed()
  for _, path in ipairs(paths) do os.remove(path) end
end

t.run()
