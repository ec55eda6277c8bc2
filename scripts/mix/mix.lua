-- Mixing a batch with itself: what a mix is, how it is called, the makers of the built-in ones. SPDX-License-Identifier: MIT
--
-- A mix is called with a batch and its labels or target, and gives the mixed batch and its target: both labels and their weights, no
-- N×K matrix. Targets are mixed as they are: smoothing a mixed target and mixing a smoothed one give the same.
local c        = require "lsengine.c.mix"
local clabels  = require "lsengine.c.labels"
local raw      = require "lsengine.c.tensor"
local system   = require "lsengine.c.system"
local options  = require "lsengine.options"
local public   = require "lsengine.public"
local target   = require "lsengine.target"
local catalogue = require "lsengine.mix_catalogue"
local kinds    = require "lsengine.mix_kinds"
local rows     = require "lsengine.mix_target"
require "lsengine.random"
local raise    = public.raise

local mix = {}
local Mix = {}
mix.owned = setmetatable({}, { __mode = "k" }) -- an own mix → what its definition made (mix_own); no field, so that no script can change it
Mix.__index, Mix.__name = Mix, "mix"
options.type("mix", function(v) return getmetatable(v) == Mix end, "a mix (ls.mix.mixup{…})")

local function value_text(v)
  if math.type(v) == "float" or math.type(v) == "integer" then return ("%g"):format(v) end
  if raw.is_tensor(v) then return "tensor " .. raw.shape_text(v) end
  if type(v) == "table" then return "{…}" end
  return type(v) == "string" and v or type(v) == "boolean" and tostring(v) or type(v)
end

local function is_default(value, default)
  return value == default or type(value) == "table" and type(default) == "table" and table.concat(value, ",") == table.concat(default, ",")
end

-- mixup{ alpha = 0.2, mode = row }: what is required, and what is not as it is without being given. Of an own mix all parameters.
function Mix:__tostring()
  if self.kind == "either" then return ("either{ %s, %s, p = %s }"):format(tostring(self[1]), tostring(self[2]), value_text(self.p)) end
  local entry, parts = catalogue.by_name[self.kind], {}
  for _, p in ipairs(entry and entry.parameters or {}) do
    local value = self[p.name]
    if value ~= nil and p.name ~= "in_place" and (p.required or not is_default(value, p.default)) then parts[#parts + 1] = ("%s = %s"):format(p.name, value_text(value)) end
  end
  local own = mix.owned[self]
  if own then
    for name, value in pairs(own.values) do parts[#parts + 1] = ("%s = %s"):format(name, value_text(value)) end
    table.sort(parts)
    if self.probability < 1 then parts[#parts + 1] = ("probability = %g"):format(self.probability) end
  end
  return #parts == 0 and self.kind .. "{}" or ("%s{ %s }"):format(self.kind, table.concat(parts, ", "))
end

function mix.rows_of(x)
  if raw.rank(x) < 1 then raise("mix", "the batch is a scalar, rows are required") end
  return raw.size(x, 1)
end
local rows_of = mix.rows_of

-- y as numbers or as a target; it must have a row for each row of x.
function mix.checked_y(kind, x, y)
  local base = raw.is_tensor(y) and y or target.from(kind, y)
  local n = raw.is_tensor(y) and rows_of(y) or rows.count(base)
  if n ~= rows_of(x) then raise(kind, ("the batch has %d rows but y has %d"):format(rows_of(x), n)) end
  return base
end

-- The rate of pairs of one class, where y is one label a row.
function mix.same_class(y, partner)
  local labels = not raw.is_tensor(y) and not y.dense and #y.terms == 1 and y.terms[1][1]
  return labels and c.same(labels, clabels.gather(labels, partner)) / math.max(1, #labels) or nil
end

local function unmixed(y) return raw.is_tensor(y) and y or target.from("mix", y) end
mix.unmixed = unmixed

-- mixed, target, info. `in_place`: the caller allows writing into x. `context`: what an own mix is told of the training, or nil.
local function apply(self, x, y, stream, in_place, context)
  if self.kind == "either" then return apply(self[stream:random() < self.p and 1 or 2], x, y, stream, in_place or self.in_place, context) end
  if self.kind == "manifold" then raise("manifold", "mixes within a model: give it to ls.train, or call :forward(model, x, y, rng)") end
  if self.probability < 1 and stream:random() >= self.probability then return x, unmixed(y), { mixed = false } end
  in_place = in_place or self.in_place
  if mix.owned[self] then return mix.owned[self].apply(x, y, stream, in_place, context) end
  local kind = kinds[self.kind]
  if type(kind) ~= "table" then raise("mix", ("there is no mix %s"):format(tostring(self.kind))) end
  local base = mix.checked_y(self.kind, x, y)
  local d = kind.draw(self, x, stream)
  local same = mix.same_class(base, d.partner)
  local mixed, softened = kind.assemble(self, x, base, d, in_place)
  return mixed, softened, { mixed = true, kind = self.kind, lambda = d.lambda, nominal = d.nominal, partner = d.partner, same_class = same,
    clean = d.clean, clean_rows = d.clean_rows, mixed_rows = d.mixed_rows, distances = d.distances }
end
mix.apply = apply

local specs = {
  x   = { type = "tensor" },
  y   = { type = "target|labels|tensor" },
  rng = { type = "rng" },
}

local function check_call(self, x, y, rng)
  options.check(self.kind, "the batch", specs.x, x)
  if y == nil then raise(self.kind, "the labels are missing: mix(x, y, rng)") end
  options.check(self.kind, "y", specs.y, y)
  if rng == nil then raise(self.kind, "the random stream is missing: mix(x, y, rng)") end
  options.check(self.kind, "rng", specs.rng, rng)
end

Mix.__call = system.public(function(self, x, y, rng)
  check_call(self, x, y, rng)
  return apply(self, x, y, rng:spawn "mixing", false)
end)

-- ---- making ----

function mix.new(kind, fields)
  fields.kind = kind
  return setmetatable(fields, Mix)
end
mix.methods = Mix

local returns = "a mix: mix(x, y, rng) → mixed, target, info"

for _, entry in ipairs(catalogue.entries) do
  if entry.name ~= "either" and entry.name ~= "manifold" then
    mix[entry.name] = public("ls.mix." .. entry.name, {
      doc = catalogue.doc_of(entry), returns = returns, errors = entry.errors, example = entry.example, options = catalogue.options_of(entry),
    }, function(o) return mix.new(entry.name, o) end)
  end
end

local entry = catalogue.by_name.either
local either_specs = catalogue.options_of(entry)
mix.either = public("ls.mix.either", {
  doc = catalogue.doc_of(entry), returns = returns, errors = entry.errors, signature = "{ mix, mix, p = 0.5 }", variadic = true, options = either_specs, example = entry.example,
}, function(o, ...)
  options.check("either", "the argument", { type = "table" }, o)
  if select("#", ...) > 0 then raise("either", "one table is taken, more was given") end
  local named, count = {}, 0
  for key, value in pairs(o) do if math.type(key) == "integer" then count = count + 1 else named[key] = value end end
  local read = options.read("either", either_specs, named)
  if count ~= 2 then raise("either", ("%d mixes were given, two are required"):format(count)) end
  for i = 1, 2 do
    options.check("either", i == 1 and "the first" or "the second", { type = "mix" }, o[i])
    if o[i].kind == "manifold" then raise("either", "manifold mixes within a model and cannot be one of two") end
  end
  return mix.new("either", { o[1], o[2], p = read.p })
end)

require "lsengine.mix_manifold" (mix)

return mix
