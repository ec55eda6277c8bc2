-- `lsengine new scheme NAME [--c]`: a start that works, outside the engine's own tree. SPDX-License-Identifier: MIT
local files = require "lsengine.c.files"
local json  = require "lsengine.c.json"

local new_scheme = {}

-- NAME stands for the scheme's name in each text.
local lua_code = [[
-- The scheme NAME. local NAME = require "NAME"; NAME{ epsilon = 0.1 } is a scheme, as ls.target.sord{ alpha = 2 } is one.
-- lsengine help ls.target.define tells what soften may ask for and give, and how a scheme keeps a state.
local ls = require "lsengine"

return ls.target.define{
  name       = "NAME",
  parameters = { epsilon = { default = 0.1, min = 0, max = 1, doc = "mass that goes to the next class" } },
  properties = { one_hot_at_zero = true },
  soften = function(self, labels, context) -- labels: 0 … context.classes - 1
    local next_class = labels:map(function(y) return (y + 1) % context.classes end)
    return ls.target.weighted{ { labels, 1 - self.epsilon }, { next_class, self.epsilon } } -- no N×K matrix
  end,
}
]]

local c_code = [[
/* The scheme NAME, a Lua C module: require "NAME" gives the function that makes it. <lsengine/scheme.h> tells what the struct may hold. */
#include <lsengine/target.h>

static const ls_parameter parameters[] = {
    {"epsilon", "number", 0.1, 0, 1, false, false, "mass that goes to the next class"},
};

/* Two labels for each row: its own and the next class; no N×K matrix. */
static ls_status label(const ls_scheme_call *c, int64_t *labels, float *weights, ls_err *err) {
  (void)err;
  for (int32_t i = 0; i < c->rows; i++) {
    labels[i] = c->labels[i];
    weights[i] = (float)(1.0 - c->numbers[0]);
    labels[c->rows + i] = (c->labels[i] + 1) % c->classes;
    weights[c->rows + i] = (float)c->numbers[0];
  }
  return LS_OK;
}

static const ls_scheme scheme = {
    .abi = LS_SCHEME_ABI,
    .form = LS_FORM_TERMS,
    .terms = 2,
    .promises = LS_ONE_HOT_AT_ZERO,
    .label = label,
    .entry = {.name = "NAME",
              .title = "NAME",
              .formula = "q = (1 - epsilon) 1[k = y] + epsilon 1[k = y + 1]",
              .parameters = parameters,
              .parameter_count = 1}};

__attribute__((visibility("default"))) int luaopen_NAME(struct lua_State *L);
int luaopen_NAME(struct lua_State *L) { return ls_register_scheme(L, &scheme); }
]]

local meson_build = [[
# meson setup build && ninja -C build gives build/NAME.so. Where lsengine is installed elsewhere: PKG_CONFIG_PATH=PREFIX/lib/…/pkgconfig.
project('NAME', 'c', default_options: ['c_std=c11', 'warning_level=3', 'buildtype=release'])
shared_module('NAME', 'NAME.c', name_prefix: '', dependencies: dependency('lsengine-module'))
]]

local test_code = [[
-- lsengine run test.lua, from this folder: holds the scheme to what all owe and to what it promises.
PATHlocal ls = require "lsengine"
local scheme = require "NAME"

local report = ls.target.check(scheme{ epsilon = 0.2 }, { classes = 7 })
print(report)
assert(report.ok, "the scheme does not hold what it promises")

local rows = scheme{ epsilon = 0.2 }({ 0, 3, 6 }):rows(7)
assert(math.abs(rows[2][5] - 0.2) < 1e-6, "label 3 gives class 4 a fifth")
assert(math.abs(rows[3][1] - 0.2) < 1e-6, "label 6 gives class 0 a fifth")
print "passed"
]]

local experiment_code = [[
-- lsengine run experiment.lua: does NAME calibrate, or cost accuracy? Against one-hot labels and label smoothing of the same mass.
PATHlocal ls = require "lsengine"
local scheme = require "NAME"
local data = ls.data.load("satellite"):split{ validation = 0.2 }

ls.experiment{
  name  = "NAME",
  seeds = 10,
  arms  = {
    { "one-hot", target = ls.target.one_hot() },
    { "uniform", target = ls.target.uniform(0.1) },
    { "NAME", target = scheme{ epsilon = 0.1 } },
  },
  trial = function(arm, rng)
    local model = ls.nn.mlp({36, 128, 6}, { rng = rng })
    ls.train(model, data.train, { target = arm.target, epochs = 20, batch = 64, rng = rng, optimizer = ls.optim.sgd{ lr = 0.1, momentum = 0.9 } })
    return ls.evaluate(model, data.test, { temperature_on = data.validation })
  end,
  claims = {
    ls.claim{ "NAME", "lower", "ece_debiased", than = "one-hot", by = 0.01 },
    ls.claim{ "NAME", "not lower", "accuracy", than = "one-hot", within = 0.005 },
  },
}:run()
]]

local where_built = 'package.cpath = "./build/?.so;" .. package.cpath\n'

local function plan(name, in_c)
  local function text(t) return (t:gsub("PATH", in_c and where_built or ""):gsub("NAME", name)) end
  local list = { { "test.lua", text(test_code) }, { "experiment.lua", text(experiment_code) } }
  if in_c then
    table.insert(list, 1, { name .. ".c", text(c_code) })
    table.insert(list, 2, { "meson.build", (meson_build:gsub("NAME", name)) })
  else
    table.insert(list, 1, { name .. ".lua", text(lua_code) })
  end
  return list
end

-- Writes the folder NAME; exit code. Nothing that is there is written over.
function new_scheme.make(name, in_c, fail)
  if not name:find "^[a-z_][a-z0-9_]*$" or #name > 40 then return fail("new scheme: the name is \"%s\", small letters, digits and _ are required, as in near_misses", name) end
  if require "lsengine.schemes".by_name[name] then return fail("new scheme: %s is a scheme of lsengine's own (lsengine schemes %s)", name, name) end
  local list = plan(name, in_c)
  for _, file in ipairs(list) do
    if files.readable(name .. "/" .. file[1]) then return fail("new scheme: %s/%s is there already", name, file[1]) end
  end
  local made, problem = json.make_folder(name)
  if not made then return fail("new scheme: the folder cannot be made: %s", problem) end
  for _, file in ipairs(list) do
    local out, message = io.open(name .. "/" .. file[1], "w")
    if out then
      local done
      done, message = out:write(file[2])
      if done then done, message = out:close() end
      if not done then out = nil end
    end
    if not out then return fail("new scheme: %s", message) end
    print(("%s/%s"):format(name, file[1]))
  end
  print(("\nthen: cd %s%s && lsengine run test.lua"):format(name, in_c and " && meson setup build && ninja -C build" or ""))
  return 0
end

return new_scheme
