-- Mixes of one's own: declared, checked and used as the built-in ones. SPDX-License-Identifier: MIT
local clabels = require "lsengine.c.labels"
local raw     = require "lsengine.c.tensor"
local system  = require "lsengine.c.system"
local declared = require "lsengine.declared"
local options = require "lsengine.options"
local public  = require "lsengine.public"
local target  = require "lsengine.target"
local catalogue = require "lsengine.mix_catalogue"
local helpers = require "lsengine.mix_helpers"
local mix     = require "lsengine.mix"
local rows    = require "lsengine.mix_target"
local raise   = public.raise

-- What a mix may promise; ls.mix.check holds it to that, a call to those that cost nothing.
local promises = {
  no_self_partner = "info.partner gives no row itself",
  linear_target = "the target of labels is info.lambda of the row's own and the rest of info.partner's",
  label_preserving = "one label a row stays one label a row: such a mix does not soften",
  adds_rows = "the batch may have more rows than it was given",
  images_only = "takes images N×C×H×W alone",
  classes_only = "takes no numbers (regression) as y",
}

local reserved = { kind = true, own = true, probability = true, in_place = true }

local function read_parameters(who, given)
  local specs = declared.parameters(who, given, reserved, "mix")
  specs.probability, specs.in_place = catalogue.standard.probability, catalogue.standard.in_place
  return specs
end

-- ---- what a mix has given back ----

local info_specs = { lambda = { type = "number|tensor" }, partner = { type = "labels" }, nominal = { type = "number|tensor" } }

local function check_inputs(who, x, mixed, adds_rows)
  if not raw.is_tensor(mixed) then raise(who, ("its mix gave %s, the mixed batch (a tensor) is required"):format(system.describe(mixed))) end
  local n, m = raw.size(x, 1), mix.rows_of(mixed)
  if m < 1 or m ~= n and not adds_rows then
    raise(who, ("its mix gave a batch of %d rows for one of %d%s"):format(m, n, adds_rows and "" or " (properties = { adds_rows = true } allows it)"))
  end
  local sum = raw.item(raw.sum(mixed)) -- NaN or infinite where any number is
  if sum ~= sum or sum == math.huge or sum == -math.huge then
    for i = 1, m do
      local part = raw.item(raw.sum(raw.narrow(mixed, 1, i, 1)))
      if part ~= part or part == math.huge or part == -math.huge then raise(who, ("row %d of the mixed batch holds NaN or infinite numbers (or too large ones)"):format(i)) end
    end
  end
  return m
end

local function check_target(who, y, given, m)
  if raw.is_tensor(y) then
    if not raw.is_tensor(given) then raise(who, ("y holds numbers, but its mix gave %s as the target, a tensor is required"):format(system.describe(given))) end
    if mix.rows_of(given) ~= m then raise(who, ("its mix gave %d rows of numbers for a batch of %d"):format(raw.size(given, 1), m)) end
    local sum = raw.item(raw.sum(given))
    if sum ~= sum or sum == math.huge or sum == -math.huge then raise(who, "the mixed numbers of y hold NaN or infinite ones") end
    return given
  end
  if not target.is_target(given) and not clabels.is_labels(given) and (type(given) ~= "table" or getmetatable(given) ~= nil) then
    raise(who, ("its mix gave %s as the target, labels or a target (ls.mix.blend_target) is required%s"):format(system.describe(given),
      raw.is_tensor(given) and ": soft rows are ls.target.soft(rows)" or ""))
  end
  local t = target.from(who, given)
  if rows.count(t) ~= m then raise(who, ("its mix gave a target of %d rows for a batch of %d"):format(rows.count(t), m)) end
  local trouble = rows.trouble(t)
  if trouble then raise(who, trouble) end
  return t
end

local function mixes_in(t)
  local count = 0
  for _, entry in ipairs(t.history) do if entry.mix then count = count + 1 end end
  return count
end

-- The target with this mix in its history, once: its helpers may have told it already. One label a row, or what a mix within it has told, is not softened by it.
local function told(own, base, t)
  local last = t.history[#t.history]
  if last and last.text == own.text then return t end
  local hard = mixes_in(t) > mixes_in(base) or not t.dense and #t.terms == 1 and not t.spread
  local factor = not hard and t.terms and math.max(1, #t.terms // (base.terms and #base.terms or 1)) or 1
  local stacked = t.stacked
  if not stacked and not hard and #base.history == 0 and target.is_soft(base) then stacked = { where = system.where(), at = 0, terms = base.terms, dense = base.dense } end
  return rows.with(t, { history = rows.extended(t.history, { mix = true, kind = own.name, text = own.text, hard = hard, factor = factor }), stacked = stacked })
end

-- Parameters as the function sees them: to read.
local function as_self(own)
  return setmetatable({}, { __index = own.values, __newindex = function(_, name)
    raise(own.name, ("self.%s cannot be set: a mix keeps nothing from batch to batch, which no checkpoint would hold"):format(tostring(name)))
  end })
end

local leave = { __close = function(self) helpers.running = self.before end }

local function applied(own, x, y, stream, in_place, context)
  local who = own.name
  local base = mix.checked_y(who, x, y)
  if raw.size(x, 1) < 2 then raise(who, ("a batch of %d row%s cannot be mixed, at least 2 are required"):format(raw.size(x, 1), raw.size(x, 1) == 1 and "" or "s")) end
  if own.properties.images_only and raw.rank(x) ~= 3 and raw.rank(x) ~= 4 then raise(who, ("the batch has shape %s, images N×C×H×W are required"):format(raw.shape_text(x))) end
  if own.properties.classes_only and raw.is_tensor(y) then raise(who, "y holds numbers, labels or a target are required") end
  local seen = raw.is_tensor(y) and y or target.is_target(y) and y or base.terms[1][1] -- a table of integers as a label vector
  local told_of = { rows = raw.size(x, 1), in_place = in_place or false }
  for name, value in pairs(context or {}) do told_of[name] = value end
  local mixed, softened, info
  do
    local _ <close> = setmetatable({ before = helpers.running }, leave)
    helpers.running = { kind = who, text = own.text }
    mixed, softened, info = own.mix(as_self(own), x, seen, stream, told_of)
  end
  local m = check_inputs(who, x, mixed, own.properties.adds_rows)
  softened = check_target(who, y, softened, m)
  if not raw.is_tensor(y) then softened = told(own, base, softened) end
  local out = { mixed = true, kind = who }
  if info ~= nil then
    options.check(who, "what its mix gave third (info)", { type = "table" }, info)
    for name, value in next, info do
      out[name] = info_specs[name] and options.check(who, "info." .. name, info_specs[name], value) or value
    end
    if out.partner and #clabels.from(out.partner) == raw.size(x, 1) then out.same_class = mix.same_class(base, clabels.from(out.partner)) end
  end
  return mixed, softened, out
end

mix.define = public("ls.mix.define", {
  doc = [[A mix of one's own. The result is a maker like ls.mix.mixup: called with options it gives a mix, which is called as mix(x, y, rng), used in ls.train and ls.mix.either,
printed, and told apart by checkpoints, by its name and parameters. Every mix has the options probability and in_place besides its own.

mix(self, x, y, rng, context) gets its parameters in self (to read), the batch, y as it was given (a label vector, a target, or a tensor of numbers), the stream "mixing", and
context: rows, in_place (it may write into x), and within ls.train epoch, step and classes. It gives the mixed batch, its target (ls.mix.blend_target makes one), and, if it likes, a
table of information: lambda, partner (from 1), and more. What it gives is checked at each call: as many rows in the batch as in the target, finite numbers, weights that sum to 1.]],
  returns = "a maker: maker{ parameters } → a mix", errors = "a name that a built-in mix has, or a parameter that is declared wrongly",
  example = [[local halves = ls.mix.define{
  name = "halves", parameters = { share = { default = 0.5, min = 0, max = 1 } },
  properties = { no_self_partner = true, linear_target = true },
  mix = function(self, x, y, rng, context)
    local partner = ls.mix.partners(context.rows, rng)
    local lambda = 1 - self.share * rng:random()
    return ls.mix.blend(x, partner, lambda), ls.mix.blend_target(y, partner, lambda), { lambda = lambda, partner = partner }
  end,
}
local mixed, target = halves{ share = 0.3 }(x, labels, rng)
print(ls.mix.check(halves{}))]],
  options = {
    name = { type = "string", required = true, doc = "what it is called in messages, histories and checkpoints" },
    parameters = { type = "table", default = {}, doc = "by name: { default =, type =, min =, max =, above =, below =, choices =, required =, doc = }" },
    properties = { type = "table", default = {}, doc = "what it promises: no_self_partner, linear_target, label_preserving, adds_rows, images_only, classes_only" },
    mix = { type = "callable", required = true, doc = "function(self, x, y, rng, context) → mixed, target, info" },
  },
}, function(o)
  local who = "define"
  declared.name(who, o.name)
  if catalogue.by_name[o.name] then raise(who, ("name is %q, which is a built-in mix"):format(o.name)) end
  local specs, properties = read_parameters(who, o.parameters), declared.properties(who, o.properties, promises)
  return system.public(function(given, ...)
    if select("#", ...) > 0 then raise(o.name, "one table of parameters is taken, more was given") end
    local values = options.read(o.name, specs, given)
    local self = mix.new(o.name, { probability = values.probability, in_place = values.in_place, parameters = {} })
    values.probability, values.in_place = nil, nil
    local own = { name = o.name, values = values, properties = properties, mix = o.mix }
    for name, value in pairs(values) do self.parameters[name] = value end -- a copy: what a checkpoint compares
    own.apply = function(...) return applied(own, ...) end
    mix.owned[self] = own
    own.text = tostring(self)
    return self
  end)
end)

return { promises = promises }
