-- What a script could do to crash the engine, one case for each way that was found. SPDX-License-Identifier: MIT
local t, ls    = require "harness", require "lsengine"
local autograd = require "lsengine.c.autograd"
local closs    = require "lsengine.c.loss"
local eval     = require "lsengine.c.eval"
local json     = require "lsengine.c.json"
local raw      = require "lsengine.c.tensor"
local labels   = require "lsengine.c.labels"
local random   = require "lsengine.c.random"
local T = t.tests
local _ = ls.tensor -- completes the type

-- Calls f while memory is asked for: a finalizer runs `act` within the engine's own call.
local function during(act, f)
  local done, junk = false, nil
  setmetatable({}, { __gc = function() done = true act() end })
  for _ = 1, 100000 do
    junk = f()
    if done then return junk end
  end
  t.is_true(done, "no finalizer ran")
end

-- ---- functions that only the engine should call ----

function T.c_functions_of_frames_stay_hidden()
  local level, seen = 0, 0
  while true do
    local info = debug.getinfo(level, "fS")
    if not info then break end
    if info.what == "C" then t.equals(info.func, nil) seen = seen + 1 end
    level = level + 1
  end
  t.is_true(seen > 0)
  t.equals(debug.getinfo(1, "f").func ~= nil, true)
  t.equals(debug.getinfo(print, "S").what, "C")
  local _, message = pcall(debug.getinfo, 1, ">")
  t.is_true(message:find "invalid option" ~= nil)
  local found = true
  local v = ls.labels{ 1 }
  xpcall(function() v[1.5] = v[1.5] end, function() found = debug.getinfo(2, "f").func end)
  t.equals(found, nil)
end

function T.modules_open_once()
  local kept = package.loaded["lsengine.c.tensor"]
  package.loaded["lsengine.c.tensor"], package.loaded["lsengine.c.autograd"] = nil, nil
  t.is_true(require "lsengine.c.tensor" == kept and require "lsengine.c.autograd" == autograd)
  local loader = package.searchers[2] "lsengine.c.tensor"
  t.is_true(loader "lsengine.c.tensor" == kept)
  t.fails(function() return loader "lsengine.c.nothing" end, "no part of lsengine is called 'lsengine.c.nothing'")
  for _, module in ipairs{ raw, labels, random } do t.fails(function() return module.install({}, {}, print) end, "complete already") end
  t.equals(require "lsengine.c.program".start, nil)
  t.equals(require "lsengine.c.program".limit, nil)
end

function T.coroutines_share_the_recorder()
  local co = coroutine.create(function()
    autograd.set_recording(false)
    coroutine.yield(autograd.is_recording())
    autograd.set_recording(true)
  end)
  t.equals(select(2, coroutine.resume(co)), false)
  t.equals(autograd.is_recording(), false)
  coroutine.resume(co)
  t.equals(autograd.is_recording(), true)
end

function T.operations_check_their_own_making()
  t.fails(function() return autograd.op("x", print) end, "table expected, got string")
  t.fails(function() return autograd.op({}, 1) end, "function expected, got number")
  t.fails(function() return autograd.walker(print, print, print) end, "function expected, got no value")
  local walk = autograd.walker(print, print, print, print)
  t.fails(function() return walk(1, 2) end, "self is 1, a tensor is required", true)
  t.fails(function() return walk(raw.full(1, 1), 2) end, "gradient is 2, a tensor is required", true)
  t.fails(function() return autograd.set_tag(raw.full(1, 1), 5) end, "the tag is 5, a table or nil is required", true)
  local many = autograd.op({ name = "many", backward = print }, function() return table.unpack({}, 1, 5000) end)
  t.equals(many(raw.full(1, 1)), nil)
end

-- ---- shapes and lengths ----

function T.sizes_of_empty_tensors_may_multiply_to_anything()
  local big = 2^31 - 1
  local x = ls.tensor.zeros(0, big, big, big)
  t.equals({ x:count(), x:sum():item(), x:clone():rank(), x:contiguous():rank(), x:transpose(1, 3):clone():count() }, { 0, 0, 4, 4, 0 })
  t.equals(x:gather{}:shape(), { 0, big, big, big })
  t.equals(tostring(x:transpose(1, 3)), ("tensor({}, %d×%d×0×%d)"):format(big, big, big)) -- no row is visited
  t.equals(raw.scatter(x, {}, x):count(), 0)
  t.fails(function() return ls.tensor.zeros(big, big) end, "the shape holds more than 2^46 elements", true)
  t.fails(function() return ls.tensor.zeros(2^31) end, "dimension 1 is 2147483648, allowed is 0 to 2147483647", true)
  t.fails(function() return ls.tensor.zeros(2^40, 2^40) end, "dimension 1 is 1099511627776", true)
  t.fails(function() return ls.tensor.zeros(2^30, 2^30, 2^30, 2^30, 2^30) end, "more than 2^46 elements", true)
  t.fails(function() return ls.tensor.zeros(1, 1, 1, 1, 1, 1, 1, 1, 1) end, "9 dimensions, at most 8 are allowed", true)
  t.fails(function() return x:expand(0, 0) end, "0x0", true)
end

function T.an_empty_tensor_of_many_rows_is_printed_at_once()
  local before = os.clock()
  t.is_true(#tostring(ls.tensor.zeros(2147483647, 0)) < 200)
  t.is_true(os.clock() - before < 5)
end

function T.lengths_that_a_script_makes_up_are_refused()
  local long = {}
  for i = 0, 61 do long[1 << i], long[i < 61 and (1 << i) + 1 or 1] = 1, 1 end -- #long is 2^61: times eight bytes is 0
  local text = "2305843009213693952 elements, at most 2^31-1 are allowed"
  t.fails(function() return ls.rng(1):categorical(long) end, text, true)
  t.fails(function() return eval.describe(long) end, text, true)
  t.fails(function() return eval.holm(long) end, text, true)
  t.fails(function() return ls.labels(long) end, text, true)
  t.fails(function() return raw.cat(long, 1) end, text, true)
  t.fails(function() return ls.tensor(long) end, "a table of 2305843009213693952 elements is too long", true)
end

function T.gradients_of_rows_and_picks_must_fit()
  local vector = ls.tensor{ 1, 2, 3, 4, 5 }
  t.fails(function() return raw.scatter(vector:select(1, 5), { 1, 1, 1, 1, 1 }, vector) end, "gradient is a scalar", true)
  t.fails(function() return raw.scatter(vector, { 1, 1, 1, 1, 1 }, vector:select(1, 5)) end, "like is a scalar", true)
  t.fails(function() return raw.pick_back(raw.full(1, 1), { 0, 0, 0, 0, 0 }, raw.full(1, 5, 2)) end, "the gradient does not fit", true)
  t.fails(function() return raw.pick_back(vector, { 0 }, vector) end, "the gradient does not fit", true)
  t.equals(raw.sum_to(raw.full(1, 1, 3), raw.full(1, 3), "more", "than needed"):shape(), { 3 })
end

function T.stretched_tensors_are_not_written_to()
  local x = ls.tensor{ 1 }:expand(1000, 1000)
  for _, f in ipairs{ function() return x:add_(1) end, function() return x:fill_(1) end, function() return x:copy_(x) end, function() x[1] = 1 end } do
    t.fails(f, "writes to a stretched tensor", debug.getinfo(f, "S").linedefined)
  end
  t.equals(x:clone():add_(1):max():item(), 2)
end

function T.overlapping_copies_are_those_of_a_copy()
  local x = ls.tensor.arange(1, 9)
  x:narrow(1, 2, 8):copy_(x:narrow(1, 1, 8))
  t.equals(x:totable(), { 1, 1, 2, 3, 4, 5, 6, 7, 8 })
  x:narrow(1, 1, 8):add_(x:narrow(1, 2, 8))
  t.equals(x:totable(), { 2, 3, 5, 7, 9, 11, 13, 15, 8 })
end

function T.views_outlive_their_tensor()
  local rows = {}
  for i = 1, 200 do rows[i] = ls.tensor.full(i, 50, 50)[7]:narrow(1, 3, 5) end
  collectgarbage()
  for i = 1, 200 do t.equals(rows[i]:sum():item(), 5 * i) end
end

function T.tables_that_hold_themselves()
  local loop = {}
  loop[1] = loop
  t.fails(function() return ls.tensor(loop) end, "tables are nested deeper than 8", true)
  t.fails(function() return ls.labels(loop) end, "[1] is a table, an integer is required", true)
  t.fails(function() return json.encode(loop) end, "nested deeper than 32", true)
  local wide = {}
  for _ = 1, 25 do wide = { wide, wide } end
  t.fails(function() return json.encode(wide) end, "more than 1000000 values", true)
  t.fails(function() return json.encode{ ["\255"] = { 1, { 2 } } } end, "not UTF-8", true)
  local model = ls.nn.sequential({ ls.nn.linear(2, 2) }, { rng = ls.rng(1) })
  model[2] = model
  t.is_true(tostring(model):find("(1) itself", 1, true) ~= nil)
  t.equals(#ls.nn.sequential({ model }, { rng = ls.rng(1) }):parameters(), 2)
  t.fails(function() return model(ls.tensor{ { 1, 2 } }) end, "stack overflow")
end

-- ---- finalizers and callbacks within a call ----

function T.a_finalizer_may_empty_the_target_in_use()
  local z = raw.full(0.5, 60, 5)
  local want = ls.loss.cross_entropy(z, ls.target.uniform(0.1)(ls.rng(1):integers(0, 4, 60))):item()
  local target
  for _ = 1, 20 do
    during(function() target.terms = { {} } target.history = {} end, function()
      local weights = raw.full(1, 60)
      target = { terms = { { ls.rng(1):integers(0, 4, 60), weights } }, history = { { kind = "prior", epsilon = 0, prior = raw.full(0.2, 5) } } }
      -- emptied before it was read it is an error, afterwards the value is right
      local ok, value = pcall(closs.cross_entropy, z, target, nil, nil, "mean", false, true)
      if ok then t.close(value:item(), want, 1e-5) else t.is_true(value:find("the labels of term 1 are nil", 1, true) ~= nil, value) end
    end)
  end
  local fleeting = setmetatable({}, { __index = function(_, key) return key == "dense" and raw.full(0.2, 5, 60):transpose() or nil end, __newindex = function() end })
  for _ = 1, 300 do t.close(closs.cross_entropy(z, fleeting, nil, nil, "mean", false, false):item(), want, 1e-5) end
end

function T.a_finalizer_may_change_the_table_that_is_joined()
  local list
  for _ = 1, 20 do
    during(function() list[2] = raw.full(1, 500, 500) end, function()
      list = { raw.full(1, 2, 3), raw.full(2, 2, 3) }
      local ok, x = pcall(raw.cat, list, 1) -- a change before the call is an error
      t.is_true(not ok or x:count() == 12)
    end)
  end
end

function T.backward_within_backward_and_within_forward()
  local x = ls.tensor{ 1, 2 }:requires_grad()
  local root
  local again = ls.autograd.define{ name = "again", forward = function(a) return a * 2 end,
    backward = function(_, g) root:backward() return g * 2 end }
  root = again(x):sum()
  t.message(function() root:backward() end)
  local inner = ls.autograd.define{ name = "inner", forward = function(a)
    local y = ls.tensor{ 3 }:requires_grad()
    t.fails(function() (y * y):sum():backward() end, "nothing was recorded")
    return a * 2
  end, backward = function(ctx, g) ctx.n, ctx.out, ctx[1] = 7, nil, nil return g * 2 end }
  pcall(function() inner(x):sum():backward() end)
  local fresh = ls.tensor{ 1, 2 }:requires_grad();
  (fresh * fresh):sum():backward()
  t.equals(fresh.grad:totable(), { 2, 4 })
end

function T.callbacks_may_yield_collect_and_raise_anything()
  local v = ls.labels{ 0, 1, 2 }
  local co = coroutine.create(function() return v:map(coroutine.yield) end)
  local _, message = coroutine.resume(co)
  t.is_true(tostring(message):find("attempt to yield across a C-call boundary", 1, true) ~= nil)
  for _, option in ipairs{ "collect", "step", "generational", "incremental", "stop", "restart", "count", "isrunning" } do
    t.equals(v:map(function(x) collectgarbage(option) return x end) == v, true)
  end
  collectgarbage "incremental"
  local thing = {}
  local ok, object = pcall(v.map, v, function() error(thing) end)
  t.is_true(not ok and object == thing)
  local step = coroutine.wrap(function() return ls.no_grad(function() coroutine.yield(1) return autograd.is_recording() end) end)
  t.equals(step(), 1)
  t.equals(step(), false)
  t.equals(autograd.is_recording(), true)
end

-- ---- values of other types ----

function T.methods_refuse_what_is_not_their_own()
  local x, v, r = ls.tensor{ 1 }, ls.labels{ 1 }, ls.rng(1)
  t.fails(function() return x.sum(v) end, "sum: self is a label vector, a tensor is required", true)
  t.fails(function() return v.map(x, {}) end, "map: self is a tensor", true)
  t.fails(function() return r.normal(io.stdout) end, "a random stream (ls.rng(seed)) is required", true)
  t.fails(function() return ls.tensor(io.stdout) end, "values is a FILE*", true)
  local model = ls.nn.relu()
  t.fails(function() return model.train(5) end, "train: self is 5, a model is required", true)
  t.fails(function() return model.save({}, "x.npz") end, "save: self is a table, a model is required", true)
  local d = ls.data.load "digits"
  t.fails(function() return d.split(d.train, { validation = 0.1 }) end, "split: self is a data set, a data set with parts", true)
  t.fails(function() return d.train.batches(d, 5) end, "batches: self is a data set with parts", true)
  t.fails(function() return ls.no_grad(5) end, "argument f is 5, a function is required", true)
  t.fails(function() return ls.autograd.define{ forward = x, backward = print } end, "forward is a tensor, a function is required", true)
  for _, value in ipairs{ x, v, r } do t.equals(type(getmetatable(value)), "string") end
end

-- ---- steps of perceptrons, whose tables only ls.train should fill ----

function T.layers_of_perceptrons_that_lie()
  local perceptron, target = require "lsengine.c.perceptron", { terms = { { ls.labels{ 0, 1, 0 }, 1 } }, history = {} }
  local x, rows = ls.tensor.ones(3, 4), ls.labels{ 3, 1, 2 }
  local function leaf(...) return ls.tensor.ones(...):requires_grad() end
  local function steps(layers, ...) return (perceptron.steps(layers, ...)) end
  local function good() return { leaf(5, 4), leaf(5), true, leaf(2, 5), false, false } end
  t.equals(steps(good(), x, target, nil, 0, 0), 1)
  local lies = {
    {}, { 1 }, { 1, 2, 3 }, { leaf(5, 4), false }, { leaf(5), leaf(5), false }, { leaf(2, 4), leaf(3), false }, { leaf(2, 4), leaf(2, 1), false }, { ls.tensor.ones(2, 4), false, false },
    { leaf(2, 4):select(1, 1), false, false }, { leaf(2, 4) * 2, false, false }, { leaf(4, 2):transpose(1, 2), false, false }, { leaf(0, 4), false, false }, { leaf(2, 0), false, false },
    { leaf(2, 4), false, leaf(2) }, { leaf(70000, 4), false, false }, { leaf(5, 4), false, true, leaf(2, 6), false, false }, { io.stdout, io.stdout, io.stdout },
  }
  for i, layers in ipairs(lies) do
    local made = steps(layers, x, target, nil, 0, 0)
    t.equals(made, i == 14 and 1 or 0, i)
  end
  local weights = ls.tensor.ones(3)
  t.equals(steps(good(), x, target, weights, 0, 0), 0)
  t.equals(steps(good(), ls.tensor.ones(3, 2), target, nil, 0, 0), 0)
  t.equals(steps(good(), ls.tensor.ones(4, 3):transpose(1, 2), target, nil, 0, 0), 0)
  for _, positions in ipairs{ ls.labels{ 4 }, ls.labels{ 0 }, ls.labels{ math.mininteger }, ls.labels{ math.maxinteger }, ls.labels{} } do
    t.equals(steps(good(), x, target, nil, 0, 0, positions, ls.labels{ 0, 1, 0 }, 1, 1, 5, print), 0)
  end
  t.equals(steps(good(), x, target, nil, 0, 0, rows, ls.labels{ 0 }, 1, 3, 5, print), 0)
  for _, first in ipairs{ math.mininteger, -1, 0, 4, math.maxinteger } do t.equals(steps(good(), x, target, nil, 0, 0, rows, ls.labels{ 0, 1, 0 }, first, 1, 5, print), 0, first) end
  -- memory that is none, and what an optimizer might do to the table between two steps
  local layers = good()
  layers[0] = ls.tensor.ones(1000, 100)
  t.equals(steps(layers, x, target, nil, 0, 0), 1)
  layers = good()
  layers[0] = io.stdout
  t.equals(steps(layers, x, target, nil, 0, 0), 1)
  local changes = {
    function(l) l[0] = ls.tensor.ones(1000, 100) end, function(l) l[1] = nil end, function(l) l[1] = leaf(5, 400) end, function(l) l[4] = leaf(200, 5) end, function(l) l[1]:requires_grad(false) end,
    function(l) l[2] = l[1] end, function(l) for k = 1, 6 do l[k] = nil end collectgarbage() end, function(l) l[1] = l[1]:select(1, 1) end, function() error "stop" end,
    function(l) l[1]:requires_grad(false) l[1] = leaf(5, 4) collectgarbage() end,
  }
  for i, change in ipairs(changes) do
    layers = good()
    pcall(perceptron.steps, layers, x, target, ls.tensor.ones(2), 0, 0, rows, ls.labels{ 0, 1, 0 }, 1, 1, 3, function() change(layers) end)
    t.is_true(i > 0)
  end
  layers = good()
  for _ = 1, 300 do
    during(function() layers[1], layers[4] = leaf(5, 4), leaf(2, 5) layers[0] = nil collectgarbage() end, function() return pcall(perceptron.steps, layers, x, target, nil, 0, 0) end)
  end
end

function T.holes_among_the_arguments()
  t.fails(function() return ls.tensor.randn(1, nil, 3, nil, { rng = ls.rng(1) }) end, "randn: dimension 2 is nil, an integer is required", true)
  t.fails(function() return ls.tensor.randn(1, nil, nil) end, "randn: option rng is missing", true)
  t.fails(function() return ls.tensor.randn() end, "randn: option rng is missing", true)
end

function T.arithmetic_of_numbers_alone_makes_a_tensor() t.equals(ls.tensor{ 1 }.add(1, 2):item(), 3) end

function T.names_of_files_hold_no_zero_byte()
  t.fails(function() return ls.tensor{ 1 }:save "x\0y" end, "the file's name holds a zero byte", true)
  t.fails(function() return ls.tensor.load "x\0y" end, "the file's name holds a zero byte", true)
  t.fails(function() return ls.nn.linear(1, 1, { rng = ls.rng(1) }):save "x\0y.npz" end, "the file's name holds a zero byte", true)
  t.fails(function() return json.make_folder "x\0y" end, "the folder's name holds a zero byte", true)
end

t.run()
