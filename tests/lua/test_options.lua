-- Every argument and option of every public function: wrong type, out of range, misspelt. SPDX-License-Identifier: MIT
local t      = require "harness"
local ls     = require "lsengine"
local manual = require "lsengine.manual"
local public = require "lsengine.public"
local names  = manual.names()
local rng    = ls.rng(1)
local data   = ls.data.load "digits"
local model  = ls.nn.mlp({ 64, 10 }, { rng = rng })

local samples = {
  number = 0.5, integer = 1, string = "x", boolean = true, table = {}, callable = print, tensor = ls.tensor.zeros(2, 2), labels = ls.labels{ 0, 1 },
  rng = rng, model = model, dataset = data.test, collection = data, target = ls.labels{ 0, 1 }, scheme = ls.target.one_hot(), mix = ls.mix.mixup{ alpha = 1 },
  optimizer = ls.optim.sgd{ lr = 0.1 }, schedule = ls.optim.cosine{}, claim = ls.claim{ "a", "lower", "b", than = "c", by = 0 }, any = 1,
  plot = ls.plot.curves{ { x = { 1, 2 }, values = { 1, 2 } } }, index = ls.knn.index(ls.tensor.zeros(2, 2)), augmentation = ls.augment.flip{}, history = require "lsengine.history".new{ { epoch = 1, loss = 1 } }, calibrator = ls.eval.temperature_scaling(ls.tensor.eye(2), { 0, 1 }),
}
local accepts = { -- which samples are fine for a type beside its own
  number = { integer = true }, any = "everything", table = { labels = false },
}

local function numeric(spec)
  local low = spec.min or spec.above and spec.above + (spec.type:find "integer" and 1 or 1e-3)
  local high = spec.max or spec.below and spec.below - 1e-3
  if low then return low end
  return high or samples[spec.type:match "^%a+"]
end

local good
function good(spec)
  if spec.options then -- a table of options of its own: those that it needs
    local given = {}
    for key, s in pairs(spec.options) do if s.required then given[key] = good(s) end end
    return given
  end
  local kind = (spec.type or "any"):match "^%a+"
  if spec.choices then return spec.choices[1] end
  if kind == "number" or kind == "integer" then return numeric(spec) end
  return samples[kind]
end

-- Values that no named type of the specification takes.
local function wrong(spec)
  if not spec.type or spec.type:find "any" then return nil end
  for _, value in ipairs{ "x", true, 0.5, print } do
    local fits = false
    for kind in spec.type:gmatch "[^|]+" do
      local own = type(value) == "number" and (kind == "number" or kind == "integer" and math.tointeger(value)) or type(value) == kind
        or kind == "callable" and type(value) == "function"
      fits = fits or own
    end
    if not fits then return value end
  end
end

-- Arguments that are right, the last being the table of options.
local function arguments(name, spec)
  local list, n = {}, 0
  if name:find(":", 1, true) then n = 1 list[1] = samples.table end
  for _, s in ipairs(spec) do n = n + 1 list[n] = good(s) end
  if name:match "randn?$" then n = n + 1 list[n] = 2 end
  return list, n
end

local here = debug.getinfo(1, "S").short_src

-- The call is a tail call: the line must survive it.
local function fails(name, entry, list, n, wanted)
  local line = debug.getinfo(1, "l").currentline + 1
  local function call() return entry(table.unpack(list, 1, n)) end
  local ok, message = pcall(call)
  if ok then error(("%s took what it must refuse (%s)"):format(name, wanted)) end
  message = tostring(message)
  if message:sub(1, #here + #tostring(line) + 2) ~= ("%s:%d:"):format(here, line) then error(("%s blames another line: %s"):format(name, message)) end
  if not message:find(wanted, 1, true) then error(("%s says %q, wanted in it: %q"):format(name, message, wanted)) end
end

local tried, total, without_range = 0, 0, 0

local function out_of_range(spec)
  if spec.choices then return "no such choice" end
  if spec.type ~= "number" and spec.type ~= "integer" then return nil end
  if spec.min then return spec.min - 1 end
  if spec.above then return spec.above - 1 end
  if spec.max then return spec.max + 1 end
  if spec.below and spec.below < math.huge then return spec.below + 1 end
end

local function try(name, spec, s, label, put)
  total = total + 1
  local bad, outside = wrong(s), out_of_range(s)
  if bad ~= nil then
    local list, n = put(bad)
    fails(name, spec.entry, list, n, label .. " is ")
    tried = tried + 1
  end
  if outside ~= nil then
    local list, n = put(outside)
    fails(name, spec.entry, list, n, "allowed ")
  else
    without_range = without_range + 1
  end
end

local arguments_without_type = {}

local nested = 0

-- Tests for every option; `around(t)` makes a table of options from one that is `prefix` deep.
local function try_options(name, spec, specs, prefix, around)
  for option, s in pairs(specs) do
    local full = prefix .. option
    if prefix ~= "" then nested = nested + 1 end
    t.tests[("option_%s_of_%s"):format(full:gsub("%W", "_"), name:gsub("%W", "_"))] = function()
      local function put(value, key)
        local list, n = arguments(name, spec)
        list[n + 1] = around{ [key or option] = value }
        return list, n + 1
      end
      try(name, spec, s, full, put)
      local list, n = put(good(s), option .. "z")
      fails(name, spec.entry, list, n, ("unknown option %sz, known are "):format(full))
      if s.required then
        list, n = put(nil)
        fails(name, spec.entry, list, n, ("option %s"):format(prefix)) -- another required one may be named
      end
    end
    if s.options then
      try_options(name, spec, s.options, full .. ".", function(inner) return around{ [option] = inner } end)
    end
  end
end

for _, name in ipairs(names) do
  local spec = public.registry[name] or {} -- a pitfall has none
  if spec.options then try_options(name, spec, spec.options, "", function(inner) return inner end) end
  if not spec.variadic then
    for i, s in ipairs(spec) do
      if wrong(s) == nil then arguments_without_type[#arguments_without_type + 1] = name .. " " .. s[1] end
      t.tests[("argument_%s_of_%s"):format(s[1], name:gsub("%W", "_"))] = function()
        try(name, spec, s, s[1], function(value)
          local list, n = arguments(name, spec)
          list[i + (name:find(":", 1, true) and 1 or 0)] = value
          return list, n
        end)
      end
    end
  end
end

function t.tests.zz_all_were_tried() -- last by name
  print(("\n%d of %d options and arguments were tried with a wrong type (the others take anything: %s); %d have no range"):format(
    tried, total, table.concat(arguments_without_type, ", "), without_range))
  t.is_true(nested >= 8, nested .. " options of tables among the options")
  t.is_true(total > 80 and tried + #arguments_without_type == total)
end

function t.tests.too_many_arguments_are_refused()
  t.fails(function() return ls.target.uniform(0.1, 2) end, "uniform: 2 arguments were given, at most 1 are taken", true)
  t.fails(function() return ls.target.one_hot(1) end, "one_hot: 1 arguments were given, none is taken", true)
  t.fails(function() return ls.target.uniform() end, "uniform: argument epsilon is missing", true)
end

function t.tests.a_missing_option_is_named()
  t.fails(function() return ls.optim.sgd{} end, "sgd: option lr is missing", true)
end

function t.tests.a_name_close_by_is_suggested()
  t.fails(function() return ls.nn.mlp({ 1, 2 }, { rgn = 1 }) end, "did you mean rng?", true)
end

t.run()
