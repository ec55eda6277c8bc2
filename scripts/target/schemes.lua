-- The schemes of the catalogue, and those of Lua C modules: made from their entries in C. SPDX-License-Identifier: MIT
--
-- uniform, wrong_classes, prior, matrix are in closed form and take their arguments in order; of all others documentation, options and their ranges come
-- from the entry: a new one in core/target/schemes needs nothing here.
local c       = require "lsengine.c.schemes"
local clabels = require "lsengine.c.labels"
local raw     = require "lsengine.c.tensor"
local options = require "lsengine.options"
local public  = require "lsengine.public"
local scheme  = require "lsengine.scheme"
local target  = require "lsengine.target"
local raise   = public.raise

local schemes = { entries = c.list(), by_name = {} }
for _, entry in ipairs(schemes.entries) do schemes.by_name[entry.name] = entry end

local function sentence(text) return (text:gsub("^%l", string.upper):gsub("%.$", "")) .. "." end

function schemes.doc(entry)
  local lines = { ("%s (%s)."):format(entry.title, entry.paper), "", "    " .. entry.formula:gsub(";   ", "\n    "), "", "It holds: " .. sentence(entry.property), "",
    "Use it: " .. sentence(entry.use), "", "Avoid: " .. sentence(entry.avoid) }
  if entry.stacking ~= "" then lines[#lines + 1] = "" lines[#lines + 1] = "Stacking: " .. sentence(entry.stacking) end
  return table.concat(lines, "\n")
end

local function array(who, value)
  if raw.is_tensor(value) then return raw.contiguous(raw.detach(value)) end
  return raw.from(value)
end

-- ---- in closed form ----

local function argument(name, k)
  local p = schemes.by_name[name].parameters[k]
  if p.type == "number" then return { p.name, type = "number", min = p.min, max = p.max, doc = p.doc } end
  return { p.name, type = "table|tensor", doc = p.doc }
end

local function closed(name, extra)
  local entry = schemes.by_name[name]
  return { doc = schemes.doc(entry), returns = "scheme", example = entry.example, errors = extra, argument(name, 1), entry.parameters[2] and argument(name, 2) or nil }
end

target.one_hot = public("ls.target.one_hot", {
  doc = "Labels as they are: all mass on the true class.", returns = "scheme", example = "local plain = ls.target.one_hot()(labels)",
}, function() return scheme.closed("one_hot") end)
target.uniform = public("ls.target.uniform", closed "uniform", function(e) return scheme.closed("uniform", { epsilon = e }) end)
target.wrong_classes = public("ls.target.wrong_classes", closed "wrong_classes", function(e) return scheme.closed("wrong_classes", { epsilon = e }) end)
target.prior = public("ls.target.prior", closed("prior", "numbers below 0, or a sum that is not 1 within 1e-4 (raised by the loss)"), function(e, prior)
  local p = array("prior", prior)
  if raw.rank(p) ~= 1 or raw.count(p) == 0 then raise("prior", ("prior has shape %s, one number for each class is required"):format(raw.shape_text(p))) end
  local most, least = raw.item(raw.max(p)), raw.item(raw.min(p))
  return scheme.closed("prior", { epsilon = e, prior = p, least = 1 - e - e * (most - least) })
end)
target.matrix = public("ls.target.matrix", closed("matrix", "numbers below 0, or rows that do not sum to 1 within 1e-4 (raised by the loss)"), function(e, matrix)
  local p = array("matrix", matrix)
  if raw.rank(p) ~= 2 or raw.size(p, 1) ~= raw.size(p, 2) or raw.count(p) == 0 then
    raise("matrix", ("matrix has shape %s, one row and one column for each class are required"):format(raw.shape_text(p)))
  end
  local least = math.huge
  for y = 1, raw.size(p, 1) do
    local row, most = p[y], 0
    for k = 1, #row do if k ~= y then most = math.max(most, row[k]) end end
    least = math.min(least, 1 - e + e * row[y] - e * most)
  end
  return scheme.closed("matrix", { epsilon = e, matrix = p, least = least })
end)

-- ---- carried out by C ----

local Engine = {}
Engine.__index = Engine

function Engine:make(s, call)
  local form = self.entry.form
  if form == "linear" then return { mass = c.soften(self.entry.code, s.parameters, call) } end
  if form == "row" then
    local mass, matrix = c.soften(self.entry.code, s.parameters, call)
    return { mass = mass, matrix = matrix }
  end
  local made = c.soften(self.entry.code, s.parameters, call)
  return form == "epsilon" and { masses = made } or form == "dense" and { rows = made } or { terms = made }
end
function Engine:start(s, call) return c.start(self.entry.code, s.parameters, call) end
function Engine:observe(s, call) c.observe(self.entry.code, s.parameters, call) end
function Engine:end_epoch(s, call) c.end_epoch(self.entry.code, s.parameters, call) end
function Engine:pack(state) return state end
function Engine:unpack(who, state)
  if not clabels.is_labels(state) then raise(who, ("memory is %s, a label vector is required"):format(type(state))) end
  return clabels.narrow(state, 1, #state)
end

local function spec_of(p)
  if p.type == "vector" or p.type == "matrix" then return { type = "tensor|table", required = true, doc = p.doc } end
  local spec = { type = p.type, doc = p.doc, min = p.min, max = p.max, above = p.above, below = p.below }
  if p.type == "boolean" then return { type = "boolean", doc = p.doc, default = p.default ~= 0 } end
  spec.default, spec.required = p.default, p.default == nil or nil
  for _, key in ipairs{ "default", "min", "max" } do spec[key] = spec[key] and math.tointeger(spec[key]) or spec[key] end
  return spec
end

local function specs_of(entry)
  local specs = {}
  for _, p in ipairs(entry.parameters) do specs[p.name] = spec_of(p) end
  if entry.needs_random then specs.rng = { type = "rng", doc = "what it draws from outside ls.train, which gives it its stream \"softening\"" } end
  return specs
end

local function constructor(entry)
  local engine = setmetatable({ entry = entry }, Engine)
  local traits = { form = entry.form, kind = entry.kind, array = entry.parameters[2] and entry.parameters[2].name, needs_logits = entry.needs_logits, needs_random = entry.needs_random,
    needs_positions = entry.needs_positions, needs_one_label = entry.needs_one_label, stateful = entry.stateful, properties = entry.properties, catalogue = entry }
  local function make(o)
    local rng = o.rng
    o.rng = nil
    for _, p in ipairs(entry.parameters) do
      if o[p.name] ~= nil and (p.type == "vector" or p.type == "matrix") then
        local rank = p.type == "vector" and 1 or 2
        o[p.name] = array(entry.name, o[p.name])
        if raw.rank(o[p.name]) ~= rank then
          raise(entry.name, ("%s has shape %s, a %s is required"):format(p.name, raw.shape_text(o[p.name]), p.type))
        end
      end
    end
    return scheme.with_engine(entry.name, engine, o, traits, rng)
  end
  traits.make = make
  return make
end

for _, entry in ipairs(schemes.entries) do
  if not target[entry.name] then
    local specs = specs_of(entry)
    target[entry.name] = public("ls.target." .. entry.name, {
      doc = schemes.doc(entry), returns = "scheme", errors = "parameters that do not fit the number of classes (raised by the loss)", example = entry.example, options = specs,
    }, constructor(entry))
  end
end

-- For ls_register_scheme: the function that makes a scheme of a Lua C module.
function schemes.take_in(entry)
  local specs, make = specs_of(entry), constructor(entry)
  return public.anonymous(function(o, ...)
    if select("#", ...) > 0 then raise(entry.name, ("%d arguments were given, at most 1 is taken"):format(1 + select("#", ...))) end
    return make(options.read(entry.name, specs, o))
  end)
end

-- ---- helpers ----

local function heights(tree, who, depth, list)
  if depth > 64 then raise(who, "the tree is nested more than 64 deep") end
  if math.type(tree) == "integer" then
    if tree < 0 then raise(who, ("a leaf is %d, classes are counted from 0"):format(tree)) end
    return 0, { tree }
  end
  if type(tree) ~= "table" or #tree == 0 then raise(who, "a part of the tree is neither a class nor a table of parts") end
  local height, parts, all = 0, {}, {}
  for i = 1, #tree do
    local h, leaves = heights(tree[i], who, depth + 1, list)
    height, parts[i] = math.max(height, h + 1), leaves
  end
  for i = 1, #parts do
    for j = 1, #parts do
      if i ~= j then
        for _, a in ipairs(parts[i]) do for _, b in ipairs(parts[j]) do list[#list + 1] = { a, b, height } end end
      end
    end
    table.move(parts[i], 1, #parts[i], #all + 1, all)
  end
  return height, all
end

target.tree_distance = public("ls.target.tree_distance", {
  doc = "Distances of classes in a tree: the height of their lowest common ancestor, a leaf's height being 0. For ls.target.hierarchy.", returns = "tensor (K×K)",
  errors = "a class that is missing or there twice", example = "print(ls.target.tree_distance{ { 0, 1 }, { 2, { 3, 4 } } })",
  { "tree", type = "table", doc = "nested tables whose leaves are the classes 0 … K-1, each once" },
}, function(tree)
  local list = {}
  local _, leaves = heights(tree, "tree_distance", 1, list)
  local k, seen = #leaves, {}
  for _, y in ipairs(leaves) do
    if y >= k or seen[y] then raise("tree_distance", ("class %d is there twice, or others below it are missing: %d leaves must be 0 to %d"):format(y, k, k - 1)) end
    seen[y] = true
  end
  local out = raw.zeros(k, k)
  for _, d in ipairs(list) do out[d[1] + 1][d[2] + 1] = d[3] end
  return out
end)

return schemes
