-- Mixing a batch with itself: mixup, cutmix, one of them by chance, manifold mixup. SPDX-License-Identifier: MIT
--
-- A mix is called with a batch and its labels or target, and gives the mixed batch and its target: both labels and their weights, no
-- N×K matrix. Targets are mixed as they are: smoothing a mixed target and mixing a smoothed one give the same.
local c        = require "lsengine.c.mix"
local clabels  = require "lsengine.c.labels"
local raw      = require "lsengine.c.tensor"
local system   = require "lsengine.c.system"
local autograd = require "lsengine.autograd"
local options  = require "lsengine.options"
local public   = require "lsengine.public"
local target   = require "lsengine.target"
local tensor   = require "lsengine.tensor"
require "lsengine.random"
local raise    = public.raise

local mix = {}
local Mix = {}
Mix.__index, Mix.__name = Mix, "mix"
options.type("mix", function(v) return getmetatable(v) == Mix end, "a mix (ls.mix.mixup{…})")

local function rest_of(lambda) return type(lambda) == "number" and 1 - lambda or raw.sub(1, lambda) end

-- out[i] = a[i]·x[i] + b[i]·x[partner[i]], recorded: for hidden layers.
local blend = autograd.op("mix_rows", function(x, partner, a, b) return c.rows("mix", x, partner, a, b, false) end, function(n, g)
  local partner, a, b = n[2], n[3], n[4]
  local wanted_by = c.inverse(partner)
  return c.rows("mix", g, wanted_by, a, type(b) == "number" and b or raw.gather(b, wanted_by), false)
end)
tensor.operations.mix_rows = blend

function Mix:__tostring()
  if self.kind == "either" then return ("either{ %s, %s, p = %g }"):format(tostring(self[1]), tostring(self[2]), self.p) end
  local extra = (self.mode ~= "batch" and ", mode = " .. self.mode or "") .. (self.box and self.box ~= "clipped" and ", box = " .. self.box or "")
    .. (self.probability < 1 and (", probability = %g"):format(self.probability) or "")
  return ("%s{ alpha = %g%s }"):format(self.kind, self.alpha, extra)
end

-- Partners, weights and, for cutmix, boxes for a batch of this shape.
local function draw(self, x, stream)
  if self.kind ~= "cutmix" then return c.draw(self.kind, stream, raw.size(x, 1), self.mode, self.alpha) end
  local rank = raw.rank(x)
  if rank ~= 3 and rank ~= 4 then raise("cutmix", ("the batch has shape %s, images N×C×H×W are required"):format(raw.shape_text(x))) end
  return c.draw(self.kind, stream, raw.size(x, 1), self.mode, self.alpha, self.box, raw.size(x, rank - 1), raw.size(x, rank))
end

-- What goes into the target's history. typical(n): weights that stand for the distribution of lambda.
local function entry_of(self, x)
  local kind, alpha, box = self.kind, self.alpha, self.box
  local height, width = box and raw.size(x, -2), box and raw.size(x, -1)
  return { mix = true, kind = kind, alpha = alpha, mode = self.mode, box = box,
    typical = function(n) return c.typical(kind, n, alpha, box, height, width) end }
end

local function rows_of(x)
  if raw.rank(x) < 1 then raise("mix", "the batch is a scalar, rows are required") end
  return raw.size(x, 1)
end

local function mix_target(self, x, y, partner, lambda)
  if raw.is_tensor(y) then -- numbers, not classes
    if rows_of(y) ~= rows_of(x) then raise(self.kind, ("the batch has %d rows but y has %d"):format(rows_of(x), rows_of(y))) end
    return c.rows(self.kind, y, partner, lambda, rest_of(lambda), false), nil
  end
  local base = target.from(self.kind, y)
  local n = base.dense and raw.size(base.dense, 1) or #base.terms[1][1]
  if n ~= rows_of(x) then raise(self.kind, ("the batch has %d rows but y has %d"):format(rows_of(x), n)) end
  local labels = not base.dense and #base.terms == 1 and base.terms[1][1]
  local same = labels and c.same(labels, clabels.gather(labels, partner)) / math.max(1, #labels) or nil
  return target.mix(base, partner, lambda, entry_of(self, x), function(rows, p, l) return c.rows(self.kind, rows, p, l, rest_of(l), false) end), same
end

local function unmixed(y) return raw.is_tensor(y) and y or target.from("mix", y) end

-- mixed, target, info; `in_place`: the caller allows writing into x.
local function apply(self, x, y, stream, in_place)
  if self.kind == "either" then return apply(self[stream:random() < self.p and 1 or 2], x, y, stream, in_place or self.in_place) end
  if self.kind == "manifold" then raise("manifold", "mixes within a model: give it to ls.train, or call :forward(model, x, y, rng)") end
  if self.probability < 1 and stream:random() >= self.probability then return x, unmixed(y), { mixed = false } end
  local partner, lambda, nominal, boxes = draw(self, x, stream)
  local softened, same = mix_target(self, x, y, partner, lambda)
  in_place = in_place or self.in_place
  local mixed
  if boxes then mixed = c.paste(self.kind, x, partner, boxes, in_place)
  else mixed = c.rows(self.kind, x, partner, lambda, rest_of(lambda), in_place) end
  return mixed, softened, { mixed = true, kind = self.kind, lambda = lambda, nominal = nominal, partner = partner, same_class = same }
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

-- ---- manifold mixup ----

-- Logits and target: the batch is mixed where a layer drawn from `layers` begins (0: the input itself).
function mix.forward(self, model, x, y, stream)
  if not model.stages then raise("manifold", "layers in a row are required: a model of ls.nn.sequential, mlp, convnet or resnet") end
  local children = model:stages()
  local depth = #children
  local layers = self.layers
  for i, k in ipairs(layers) do
    options.check("manifold", ("layers[%d]"):format(i), { type = "integer", min = 0, max = depth - 1 }, k)
  end
  local at = layers[stream:integers(1, #layers)]
  local skip = self.probability < 1 and stream:random() >= self.probability
  if model.prepare then x = model:prepare(x) end
  for i = 1, at do x = children[i](x) end
  local softened, same, info
  if skip then
    softened, info = unmixed(y), { mixed = false }
  else
    local partner, lambda = c.draw("manifold", stream, raw.size(x, 1), self.mode, self.alpha)
    softened, same = mix_target(self, x, y, partner, lambda)
    x = blend(x, partner, lambda, rest_of(lambda))
    info = { mixed = true, kind = "manifold", lambda = lambda, nominal = lambda, partner = partner, same_class = same, layer = at }
  end
  for i = at + 1, depth do x = children[i](x) end
  return x, softened, info
end

Mix.forward = public("mix:forward", {
  self = "mix",
  doc = "A manifold mixup's own forward pass: the model's layers, with the batch mixed at one of them. ls.train calls it.",
  returns = "logits, target, what was drawn", example = "local logits, target = ls.mix.manifold{ alpha = 2 }:forward(model, x, labels, rng)",
  { "model", type = "model", doc = "layers in a row" }, { "x", type = "tensor", doc = "the batch" },
  { "y", type = "target|labels|tensor", doc = "its labels, target, or numbers" }, { "rng", type = "rng", doc = "spawns the stream \"mixing\"" },
}, function(self, model, x, y, rng)
  if self.kind ~= "manifold" then raise("forward", ("%s mixes inputs, only ls.mix.manifold{…} has a forward pass"):format(self.kind)) end
  return mix.forward(self, model, x, y, rng:spawn "mixing")
end)

-- ---- making ----

local alpha = { type = "number", required = true, above = 0, max = 1e6, doc = "λ ~ Beta(alpha, alpha): near 0 hardly mixed, 1 uniform, larger towards halves" }
local mode = { type = "string", default = "batch", choices = { "batch", "pair", "row" },
  doc = "who shares λ and the box: the whole batch, two rows that are each other's partner, or nobody" }
local probability = { type = "number", default = 1, min = 0, max = 1, doc = "of mixing a batch at all" }
local in_place = { type = "boolean", default = false, doc = "write into the batch that is given, which saves memory and time" }

local function make(kind, o)
  o.kind = kind
  return setmetatable(o, Mix)
end

mix.mixup = public("ls.mix.mixup", {
  doc = [[mixup (Zhang et al. 2018): each row becomes λ parts itself and 1-λ parts another row, its label likewise. Called with a batch of at
least two rows (any first axis), labels or a target, and a stream, which spawns "mixing". No row is its own partner. y may be a tensor of numbers (regression): it is
mixed, too. info holds lambda (exact), nominal, partner (positions from 1), same_class (the rate of pairs of one class), mixed.]],
  returns = "a mix: mix(x, y, rng) → mixed, target, info", errors = "a batch of fewer than two rows; another number of labels than rows",
  example = [[local mixup = ls.mix.mixup{ alpha = 0.2 }
local mixed, target = mixup(x, labels, rng)
local loss = ls.loss.cross_entropy(logits, target)]],
  options = { alpha = alpha, mode = mode, probability = probability, in_place = in_place },
}, function(o) return make("mixup", o) end)

mix.cutmix = public("ls.mix.cutmix", {
  doc = [[cutmix (Yun et al. 2019): a box of each image is replaced by that of another one. The label's λ is counted in pixels after the box was cut to
whole pixels and, where clipped, at the border; info.nominal is the λ that was drawn. On average a clipped box is smaller than drawn (.31 of the image instead of .5 at alpha = 1).]],
  returns = "a mix: mix(x, y, rng) → mixed, target, info", errors = "a batch that is not N×C×H×W or N×H×W, or has fewer than two rows",
  example = 'local cutmix = ls.mix.cutmix{ alpha = 1, box = "inside" }\nlocal mixed, target = cutmix(x:reshape(4, 1, 6, 6), labels, rng)',
  options = { alpha = alpha, mode = mode, probability = probability, in_place = in_place,
    box = { type = "string", default = "clipped", choices = { "clipped", "inside", "wrap" },
      doc = "clipped: cut off at the border (the paper's); inside: placed where it fits; wrap: going on at the other border" } },
}, function(o) return make("cutmix", o) end)

local either_specs = { p = { type = "number", default = 0.5, min = 0, max = 1, doc = "probability of the first" } }
mix.either = public("ls.mix.either", {
  doc = "One of two mixes for each batch, by chance.", returns = "a mix", signature = "{ mix, mix, p = 0.5 }", variadic = true, options = either_specs,
  example = "local either = ls.mix.either{ ls.mix.mixup{ alpha = 0.8 }, ls.mix.cutmix{ alpha = 1 }, p = 0.5 }",
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
  return make("either", { o[1], o[2], p = read.p })
end)

mix.manifold = public("ls.mix.manifold", {
  doc = [[Manifold mixup (Verma et al. 2019): for each batch a layer is drawn, and the rows are mixed where it begins, as mixup mixes inputs. For ls.train, or by hand
through :forward. Layers are counted as children of a sequential model, from 0: the input itself.]],
  returns = "a mix, for ls.train's mix", example = "local manifold = ls.mix.manifold{ alpha = 2, layers = { 0, 2 } }",
  options = { alpha = alpha, mode = mode, probability = probability,
    layers = { type = "table", default = { 0, 1, 2 }, doc = "where mixing may take place: 0 the input, 1 after the first layer, …" } },
}, function(o)
  if #o.layers == 0 then raise("manifold", "layers is empty: at least one place is required") end
  return make("manifold", o)
end)

return mix
