-- Every public function, every function of the private C modules and every operator of their types with hostile arguments.
-- SPDX-License-Identifier: MIT
--
-- Arguments are drawn at random with a fixed seed: LSENGINE_SWEEP=N makes N calls (under the sanitizers: millions), LSENGINE_SEED another seed,
-- LSENGINE_TRACE_CALLS=FILE writes the call before making it. A call returns or raises; the engine works after it. LSENGINE_SPOIL=1 exchanges a field of every
-- fourth object for something else, whatever the field: the engine must survive that, but may say where in the library it stumbled.
local t      = require "harness"
local ls     = require "lsengine"
local manual = require "lsengine.manual"
local public = require "lsengine.public"
local history = require "lsengine.history"
local raw    = require "lsengine.c.tensor"
local grad   = require "lsengine.c.autograd"

-- A set whose parts a script has exchanged for others.
local function new_set(x, y, classes)
  local set = ls.data.new{ x = raw.full(0, 1), y = { 0 }, classes = 1 }.train
  set.x, set.y, set.classes = x, ls.labels(y), classes
  return set
end

local CALLS = math.tointeger(tonumber(os.getenv "LSENGINE_SWEEP" or 40000))
local trace, spoiling = os.getenv "LSENGINE_TRACE_CALLS", os.getenv "LSENGINE_SPOIL"
math.randomseed(math.tointeger(tonumber(os.getenv "LSENGINE_SEED" or 7)))
local random, unpack = math.random, table.unpack
local function pick(list) return list[random(#list)] end

local modules = { "augment", "autograd", "calibrators", "checkpoint", "data", "eval", "files", "json", "judging", "labels", "layers", "loss", "mix", "nn", "penalties", "program", "random",
  "schemes", "system", "clustering", "compare", "geometry", "probe", "statistics", "knn", "retrieval",
  "tensor" }

-- What is not called, and why.
local left_out = {
  ["experiment:run"] = "writes a file of results for each call: test_robust_cases.lua runs it",
}
-- What writes files: gets only names that cannot be written.
local function writes(name) return name:find "save" ~= nil or name:find "make_folder" ~= nil or name:find "write" ~= nil or name == "ls.train" end
-- What takes as long as it is told to: gets no large number.
local function lasts(name) return name == "ls.train" or name:find "bootstrap" ~= nil or name:find "compare" ~= nil or name:find "kmeans" ~= nil or name:find "clustering" ~= nil or name:find "probe" ~= nil end

-- ---- values ----

local refused = setmetatable({}, { __tostring = function() return "an error object" end })
local numbers = { 0, 1, 2, 3, -1, 0.5, -0.0, 1e-320, 1e308, -1e308, 1e-45, 3.4e38, 1e-100, 1e100, 0.999999, 5, 37, 2^31 - 1, 2^31, -2^31, 2^40, 2^53, math.mininteger, math.maxinteger, 0 / 0, math.huge, -math.huge }
local small = { 0, 1, 2, 3, 5, -1, 0.5, -0.0, 1e-320, 1e-45, 0.999999, 0 / 0, -math.huge, math.mininteger }
local paths = { "", "x\0y", "/dev/null/x.npz", "/dev/null/x.npy", "/dev/null/\255", ("a"):rep(5000), "/", "." }
local texts = { "", "x\0y", "/dev/null/x.npz", "\255\254", ("a"):rep(5000), "mean", "none", "focal", "zipf", "cals", "backward_correction", "uniform", "torch", "relu", "cosine", "lower", "equal", "%s%n", "true", "1", "[", "{\"a\":[1,null]}" }

local function looped()
  local x = {}
  x[1], x[2], x.x, x.terms, x.history, x.dense = x, x, x, x, x, x
  return x
end
local function erring() return setmetatable({}, { __index = function() error "no" end, __len = function() error "no" end, __pairs = function() error "no" end }) end
local function endless_length() -- the border that rawlen finds is 2^61: eight bytes each make 0
  local x = {}
  for i = 0, 61 do x[1 << i], x[i < 61 and (1 << i) + 1 or 1] = 1, 1 end
  return x
end
local function matrix(n, k, value)
  local x = raw.full(value or 0, n, k)
  for i = 1, math.min(n, k) do x[i][i] = i end
  return x
end
-- Of a usual shape, from the smallest numbers to the largest, some of them masked; labels for as many rows.
local ROWS, CLASSES = 37, 5
local function extreme()
  local x = ls.tensor.randn(ROWS, CLASSES, { rng = ls.rng(random(1000)) }) * 10.0 ^ random(-45, 39)
  for _ = 1, random(0, 3) do x[random(ROWS)][random(CLASSES)] = pick{ -math.huge, 3.4e38, -3.4e38, 1e-45, 0 } end
  return x
end
local function labels_of_rows(all)
  local list, most = {}, random(0, CLASSES)
  for i = 1, ROWS do list[i] = random(0, most) % CLASSES end
  if not all and random(4) == 1 then list[random(ROWS)] = -100 end
  return ls.labels(list)
end
local function leaf() return matrix(3, 3, 0.25):requires_grad() end

local make
local function make_model() return ls.nn.mlp({ 3, 4, 3 }, { rng = ls.rng(1), dropout = 0.5 }) end

local makers = {
  tensor  = { function() return matrix(6, 6):reshape(2, 2, 3, 3) end, function() return raw.full(1, 2, 0, 3, 3) end, function() return raw.full(1, 0, 1, 2, 2) end,
    function() return raw.full(0.5, 2, 2, 5, 4) end, function() return raw.full(0.5, 2, 1, 2, 2) end,
    function() return matrix(3, 3) end, function() return raw.full(1, 0, 0) end, function() return raw.full(1, 0, 2^31 - 1, 2^31 - 1, 2^31 - 1) end,
    function() return raw.full(2) end, function() return matrix(3, 3, 0 / 0) end, function() return raw.full(math.huge, 3, 3) end,
    function() return raw.full(0.5, 3) end, leaf, function() return leaf() * 2 end, function() return leaf():sum() end,
    function() return matrix(3, 4):transpose() end, function() return raw.full(1, 1):expand(2, 3) end, function() return matrix(5, 2):narrow(1, 2, 3):select(2, 1) end,
    function() return raw.full(1, 1, 1, 1, 1, 1, 1, 1, 3) end, function() return raw.full(1, 5):select(1, 5) end, function() return raw.full(1, 3, 0, 5) end,
    function() return ls.loss.cross_entropy(leaf(), { 0, 1, 2 }) end, extreme, extreme, extreme },
  labels  = { function() return ls.labels{} end, function() return ls.labels{ 0, 1, 2 } end, function() return ls.labels{ 1, 2, 3 } end,
    function() return ls.labels{ -1, math.maxinteger, math.mininteger } end, function() return { 0, 1, 2 } end, labels_of_rows, labels_of_rows },
  rng     = { function() return ls.rng(3) end },
  model   = { make_model, function() return ls.nn.relu() end, function() return ls.nn.linear(3, 3) end,
    function() local m = ls.nn.sequential{ ls.nn.relu() } m[2] = m return m end },
  scheme  = { function() return ls.target.uniform(0.1) end, function() return ls.target.prior(0.5, { 0.2, 0.3, 0.5 }) end, function() return ls.target.one_hot() end,
    function() return ls.target.matrix(0.5, { { 0.2, 0.3, 0.5 }, { 1, 0, 0 }, { 0, 0, 1 } }) end },
  target  = { function() return ls.target.uniform(0.1){ 0, 1, 2 } end, function() return ls.target.soft(raw.full(1 / 3, 3, 3)) end,
    function() return ls.target.weighted{ { { 0, 1, 2 }, 0.5 }, { { 2, 1, 0 }, raw.full(0.5, 3) } } end,
    function() return setmetatable({ terms = erring(), history = {} }, getmetatable(ls.target.soft(raw.full(1 / 3, 3, 3)))) end,
    function() return setmetatable({ dense = matrix(3, 3), history = looped() }, getmetatable(ls.target.soft(raw.full(1 / 3, 3, 3)))) end },
  dataset = { function() return new_set(extreme(), labels_of_rows(), CLASSES) end, function() return new_set(matrix(4, 3), { 0, 1, 2, 1 }, 3) end, function() return new_set(raw.full(0, 0, 3), {}, 3) end,
    function() return new_set(raw.full(0 / 0, 2, 3), { 5, -1 }, 1) end, function() return ls.data.new{ x = matrix(4, 3), y = matrix(4, 1) }.train end,
    function() return ls.data.new{ x = matrix(4, 3), y = { 0, 1, 2, 1 }, classes = 3 }:label_noise{ rate = 0.5, rng = ls.rng(1) }.train end },
  collection = { function()
      local d = ls.data.new{ x = matrix(6, 3), y = { 0, 1, 2, 1, 0, 2 }, classes = 3, class_names = { [0] = "a", "b", "c" } }
      return d:split{ validation = 2, test = 1 }
    end, function() return ls.data.new{ x = matrix(4, 3), y = matrix(4, 1) } end,
    function() -- a part exchanged for another
      local d = ls.data.new{ x = raw.full(1, 1, 1, 1, 1), y = { 0 }, classes = 1 }
      d.train, d.test, d.classes = make "dataset", make "dataset", random(4)
      return d
    end },
  optimizer = { function() return ls.optim.sgd{ lr = 0.1 } end, function() return ls.optim.adam({ leaf() }, { lr = 0.1 }) end, function() return ls.optim.sgd({ raw.full(1, 2) }, { lr = 1e308, momentum = 0.9 }) end },
  ["loss object"] = { function() return ls.loss.focal{ gamma = 0.5 } end, function() return ls.loss.zipf{} end, function() return ls.loss.forward_correction{ transition = ls.tensor.eye(3) } end,
    function()
      local l = ls.loss.margin_smoothing{ margin = 0 }
      l.kind, l.parameters = ({ "zipf", "focal", "backward_correction", "no", 5 })[random(5)], ({ { power = 0 / 0, beta = 1 }, erring(), { gamma = 1e308, soft = true } })[random(3)]
      return l
    end },
  cals    = { function() return ls.loss.cals{ margin = 0 } end, function()
      local l = ls.loss.cals{ margin = 0, maximum = 1e-300, minimum = 1e-320 }
      l.lambda, l.previous = ({ matrix(1, 3):reshape(3), raw.full(0 / 0, 3), matrix(3, 3), 5 })[random(4)], ({ raw.full(1, 3), raw.full(1, 2), {} })[random(3)]
      return l
    end },
  schedule = { function() return ls.optim.cosine{} end },
  mix     = { function() return ls.mix.mixup{ alpha = 1 } end, function() return ls.mix.cutmix{ alpha = 0.1, mode = "row", box = "wrap", in_place = true } end,
    function() return ls.mix.either{ ls.mix.mixup{ alpha = 1, mode = "pair" }, ls.mix.cutmix{ alpha = 2, box = "inside", probability = 0.5 } } end,
    function() return ls.mix.manifold{ alpha = 1, layers = { 0, 1, 9, "x" } } end, function()
      local m = ls.mix.mixup{ alpha = 1 }
      m.alpha, m.kind, m.mode = random(9) - 3, ({ "mixup", "cutmix", "manifold", "either", "no" })[random(5)], ({ "row", "x", 5 })[random(3)]
      return m
    end, function() return ls.mix.regmixup{ alpha = 1, eta = random(3) - 1 } end, function() return ls.mix.mixupmp{ alpha = 1, ratio = 10.0 ^ random(-6, 6) } end,
    function() return ls.mix.mixupio{ alpha = 1e-300, mode = "row" } end, function() return ls.mix.kernel_warping{ alpha = 1, tau_max = 1e300, tau_std = 1e-300, embeddings = random(2) == 1 and make "callable" or nil } end,
    function() return ls.mix.define{ name = "own", properties = { adds_rows = random(2) == 1 }, mix = function() return make "any", make "target", make "table" end }{} end,
    function() return ls.mix.define{ name = "own", mix = function(_, x, y) return x, y, make "table" end }{ probability = 0.5, in_place = true } end },
  augmentation = { function() return ls.augment.shift{ pixels = 2 } end, function() return ls.augment.crop{ size = { 2, 2 } } end, function() return ls.augment.flip{ vertical = 1 } end,
    function() return ls.augment.erase{ probability = 1, aspect = 1e-300 } end, function() return ls.augment.crop{ size = { 3, 1 }, padding = 2^20 } end },
  history = { function() return ls.train(make_model(), new_set(matrix(4, 3), { 0, 1, 2, 1 }, 3), { epochs = 2, rng = ls.rng(1), optimizer = ls.optim.sgd{ lr = 0.1 } }) end,
    function() return history.new{} end, function() return history.new{ { epoch = 1, loss = 0 / 0 }, { epoch = -math.huge, loss = 1e308 } } end,
    function() return history.new{ { epoch = 1e300, loss = -1e308 }, { epoch = 1.0000001e300, loss = 1e308 } } end,
    function() return history.new{ { epoch = 1, loss = 1 }, { loss = "x" }, 5 } end, function() return history.new{ { epoch = 5, loss = 1e-320 } } end },
  calibrator = { function() return ls.eval.temperature_scaling(matrix(3, 3), { 0, 1, 2 }) end, function() return ls.eval.vector_scaling(matrix(3, 3), { 0, 1, 1 }, { penalty = 1 }) end,
    function() return ls.eval.isotonic_regression(matrix(3, 3), { 0, 1, 1 }) end, function() return ls.eval.histogram_binning(matrix(3, 3), { 0, 1, 1 }, { method = "top_label" }) end,
    function()
      local x = ls.eval.isotonic_regression(matrix(3, 3), { 0, 1, 1 }, { method = "confidence" })
      x.fits, x.kind, x.classes, x.method = ({ looped(), {}, { { { 1, 0 / 0 }, { 5 } } }, { { { 0, 0, 0 }, { 1, 1, 1 } } } })[random(4)], ({ "isotonic_regression", "histogram_binning", "vector_scaling", 5 })[random(4)],
        ({ 3, 0, -1, 2^40 // 1 | 0 })[random(4)], ({ "confidence", "one_vs_rest", "top_label", {} })[random(4)]
      return x
    end },
  claim   = { function() return ls.claim{ "a", "lower", "b", than = "c", by = 0 } end },
  callable = { function() return print == nil end, function() return function() return 1 end end, function() return function(...) return ... end end,
    function() return function() error(refused) end end, function() return function() error "no" end end, function() return coroutine.yield end,
    function() return function() collectgarbage() return matrix(3, 3) end end, function() return coroutine.wrap(function() coroutine.yield(1) end) end,
    function() return setmetatable({}, { __call = function() return 0 end }) end },
  table   = { function() return {} end, looped, erring, endless_length, function() return { 1, 2, 3 } end, function() return { { 1, 2 }, { 3 } } end,
    function() return { n = 2^31 - 1, version = 0 } end, function() return { [0] = 1, [2] = 3 } end, function() return { 0 / 0, math.huge } end,
    function() return { { "a", x = 1 }, { "b" } } end, function() return { matrix(3, 3), matrix(3, 3) } end, function() return { "a", "b" } end,
    function() return { ["\255"] = { 1 } } end, function() return { a = { 0, 1 }, b = { "x" } } end, function() return setmetatable({}, { __index = function(_, k) if k ~= 9 then return matrix(2, 3) end end }) end },
  any     = { function() return nil end, function() return true end, function() return false end, function() return io.stdout end, function() return coroutine.create(print) end, },
}
makers.any[#makers.any + 1] = function() return coroutine.running() end
local kinds = {}
for kind in pairs(makers) do kinds[#kinds + 1] = kind end
table.sort(kinds)

-- pairs in the keys' order, so that a seed draws the same calls in every process
local function in_order(spec)
  local keys, i = {}, 0
  for key in pairs(spec) do keys[#keys + 1] = key end
  table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
  return function()
    i = i + 1
    return keys[i], spec[keys[i]]
  end
end
local hostile
local plain_tables = { table = true, any = true, callable = true, labels = true }
-- An object of the library one of whose fields a script has exchanged.
local function spoiled(x)
  local keys = {}
  for key in next, x do if type(key) == "string" then keys[#keys + 1] = key end end
  table.sort(keys)
  if keys[1] then rawset(x, pick(keys), hostile "") end
  return x
end
-- Arguments that belong together, so that calls get further than the comparison of shapes.
local coherent = false
local together = {
  tensor = extreme, labels = labels_of_rows, dataset = function() return new_set(extreme(), labels_of_rows(), CLASSES) end,
  target = function() return random(2) == 1 and ls.target.uniform(0.1)(labels_of_rows(true)) or ls.target.soft(ls.tensor.randn(ROWS, CLASSES, { rng = ls.rng(1) }):softmax()) end,
  model = function() return ls.nn.mlp({ CLASSES, 4, CLASSES }, { rng = ls.rng(1), dropout = 0.5 }) end,
  collection = function() return ls.data.new{ x = extreme(), y = labels_of_rows(true), classes = CLASSES, class_names = { [0] = "a", "b", "c", "d", "e" } } end,
}
function make(kind)
  local maker = coherent and together[kind] or pick(makers[kind])
  local x = maker()
  if spoiling and random(4) == 1 and type(x) == "table" and not plain_tables[kind] and not rawequal(x, maker()) then return spoiled(x) end
  return x
end

function hostile(name)
  local roll = random(100)
  if roll <= 25 then return pick(lasts(name) and small or numbers) end
  if roll <= 35 then return pick(writes(name) and paths or texts) end
  return make(pick(kinds))
end

-- One of the numbers that the specification takes, if there is one.
local function number_within(name, spec)
  local list = {}
  for _, x in ipairs(lasts(name) and small or numbers) do
    if x == x and x >= (spec.min or -math.huge) and x <= (spec.max or math.huge) and x > (spec.above or -math.huge) and x < (spec.below or math.huge) and (spec.type ~= "integer" or math.tointeger(x)) then
      list[#list + 1] = x
    end
  end
  return list[1] and pick(list) or 0.5
end

-- A value that the specification takes, most of the time.
local fitting
function fitting(name, spec)
  local list = {}
  for kind in (spec.type or "any"):gmatch "[^|]+" do list[#list + 1] = kind end
  local kind = pick(list)
  if spec.options then
    local o = {}
    for key, s in in_order(spec.options) do if s.required or random(2) == 1 then o[key] = fitting(name, s) end end
    return o
  end
  if spec.choices and random(3) > 1 then return pick(spec.choices) end
  if coherent and (kind == "number" or kind == "integer") then return number_within(name, spec) end
  if kind == "number" or kind == "integer" then return pick(lasts(name) and small or numbers) end
  if kind == "string" then return pick(writes(name) and paths or texts) end
  if kind == "boolean" then return random(2) == 1 end
  if kind == "any" then return hostile(name) end
  return makers[kind] and make(kind) or hostile(name)
end

-- ---- calls ----

-- One of the types that a method takes as self.
local function pick_kind(types)
  local list = {}
  for kind in (types or ""):gmatch "[^|]+" do if makers[kind] then list[#list + 1] = kind end end
  return list[1] and pick(list)
end
local selves = { tensor = "tensor", labels = "labels", rng = "rng", model = "model", data = "dataset", target = "target", optimizer = "optimizer", history = "history",
  augmentation = "augmentation", mix = "mix", calibrator = "calibrator" }

-- Arguments as the specification says, with one of them replaced now and then.
local function by_specification(name, spec)
  local list, n = {}, 0
  local self = name:match "^(%w+):"
  if self then n = 1 list[1] = make(pick_kind(spec.self) or selves[self] or "any") end
  for _, s in ipairs(spec) do n = n + 1 list[n] = fitting(name, s) end
  if spec.checks_itself or spec.variadic then for _ = 1, random(0, 3) do n = n + 1 list[n] = hostile(name) end end
  if spec.options then
    local o = {}
    for key, s in in_order(spec.options) do if s.required or random(2) == 1 then o[key] = fitting(name, s) end end
    n = n + 1
    list[n] = o
  end
  if n > 0 and random(3) == 1 then list[random(n)] = hostile(name) end
  return list, n
end

local function at_random(name)
  local list, n = {}, random(0, 4)
  for i = 1, n do list[i] = hostile(name) end
  return list, n
end

local operators = {
  add = function(a, b) return a + b end, sub = function(a, b) return a - b end, mul = function(a, b) return a * b end, div = function(a, b) return a / b end,
  pow = function(a, b) return a ^ b end, unm = function(a) return -a end, len = function(a) return #a end, index = function(a, b) return a[b] end,
  newindex = function(a, b, c) a[b] = c end, eq = function(a, b) return a == b end, lt = function(a, b) return a < b end, concat = function(a, b) return a .. b end,
  call = function(a, ...) return a(...) end, tostring = tostring, close = function(a) local _ <close> = a end, mod = function(a, b) return a % b end,
  iterate = function(a) local k = 0 for _ in pairs(a) do k = k + 1 if k > 100 then break end end end, metatable = function(a) return getmetatable(a).__index end,
}

local entries, public_count, private_count = {}, 0, 0
for _, name in ipairs(manual.names()) do
  local spec = public.registry[name]
  if spec and not left_out[name] then
    -- loading the real sets takes long and is tested elsewhere: here only its refusals
    entries[#entries + 1] = { name = name, call = spec.entry, spec = name ~= "ls.data.load" and spec or nil }
    public_count = public_count + 1
  end
end
for _, module in ipairs(modules) do
  local functions = require("lsengine.c." .. module)
  local names = {}
  for name, f in pairs(functions) do if type(f) == "function" then names[#names + 1] = name end end
  table.sort(names)
  for _, name in ipairs(names) do
    entries[#entries + 1] = { name = ("c.%s.%s"):format(module, name), call = functions[name] }
    private_count = private_count + 1
  end
end
for _, name in ipairs{ "add", "sub", "mul", "div", "pow", "unm", "len", "index", "newindex", "eq", "lt", "concat", "call", "tostring", "close", "mod", "iterate", "metatable" } do
  entries[#entries + 1] = { name = "operator " .. name, call = operators[name] }
end

local returned, raised, elsewhere, slowest, slowest_name, seen_elsewhere = 0, 0, 0, 0, "", {}

-- Runs f in a coroutine, past a few yields. What it raises must be a string, or what the script itself has raised.
local function guarded(name, f, ...)
  local co = coroutine.create(f)
  local ok, value = coroutine.resume(co, ...)
  for _ = 1, 3 do if ok and coroutine.status(co) == "suspended" then ok, value = coroutine.resume(co, 1) end end
  if ok then
    returned = returned + 1
    return value
  end
  raised = raised + 1
  if type(value) ~= "string" and value ~= refused then error(("%s raised %s"):format(name, tostring(value))) end
  if type(value) == "string" and value:find "^lsengine/" then
    elsewhere = elsewhere + 1
    local key = name .. ": " .. value
    seen_elsewhere[key] = (seen_elsewhere[key] or 0) + 1
  end
end

local function describe(name, list, n)
  local parts = {}
  for i = 1, n do parts[i] = type(list[i]) == "string" and ("%q"):format(list[i]:sub(1, 40)) or raw.is_tensor(list[i]) and "tensor " .. raw.shape_text(list[i]) or type(list[i]) == "number" and tostring(list[i]) or type(list[i]) end
  return ("%s(%s)\n"):format(name, table.concat(parts, ", "))
end

local function once(entry)
  local list, n
  if entry.spec and random(3) > 1 then
    coherent = random(2) == 1
    list, n = by_specification(entry.name, entry.spec)
    coherent = false
  else
    list, n = at_random(entry.name)
  end
  if trace then local f = io.open(trace, "w") f:write(describe(entry.name, list, n)) f:close() end
  local before = os.clock()
  local value = guarded(entry.name, entry.call, unpack(list, 1, n))
  if type(value) == "function" and not lasts(entry.name) then guarded(entry.name .. "(…)", value, hostile(entry.name), hostile(entry.name)) end
  if raw.is_tensor(value) and raw.count(value) < 1000 then guarded("tostring", tostring, value) end
  grad.set_recording(true)
  if os.clock() - before > slowest then slowest, slowest_name = os.clock() - before, describe(entry.name, list, n) end
end

local drawn = ls.rng(1):integers(0, 1000000)

local function healthy()
  local w = ls.tensor{ { 1, 2 }, { 3, 4 } }:requires_grad()
  local loss = ls.loss.cross_entropy(w * 2, ls.target.uniform(0.1)(ls.labels{ 0, 1 }))
  loss:backward()
  t.close(loss:item(), 1.1269280, 1e-6)
  t.close(w.grad:sum():item(), 0, 1e-6)
  t.equals(ls.rng(1):integers(0, 1000000), drawn)
end

function t.tests.every_entry_survives_hostile_arguments()
  local print = print
  local _ <close> = setmetatable({}, { __close = function() _G.print = print end })
  _G.print = function() end -- what history:plot draws
  for i = 1, CALLS do
    once(entries[(i - 1) % #entries + 1])
    if i % 100 == 0 then healthy() end
  end
  _G.print = print
  print(("\n%d calls of %d public entries, %d functions of C modules, %d operators (%d left out): %d returned, %d raised, %d of these blamed the library"):format(
    CALLS, public_count, private_count, #entries - public_count - private_count, 1, returned, raised, elsewhere))
  print(("slowest: %.2f s, %s"):format(slowest, slowest_name))
  for key, n in pairs(seen_elsewhere) do print(n, key) end
  t.is_true(CALLS < 10000 or returned > CALLS / 20 and raised > CALLS / 20)
  if not spoiling then t.equals(elsewhere, 0) end
end

t.run()
