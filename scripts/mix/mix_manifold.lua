-- Manifold mixup: a forward pass that mixes rows within the model. Completes the module of mixes. SPDX-License-Identifier: MIT
local c        = require "lsengine.c.mix"
local raw      = require "lsengine.c.tensor"
local autograd = require "lsengine.autograd"
local catalogue = require "lsengine.mix_catalogue"
local kinds    = require "lsengine.mix_kinds"
local options  = require "lsengine.options"
local public   = require "lsengine.public"
local tensor   = require "lsengine.tensor"
local raise    = public.raise

local function rest_of(lambda) return type(lambda) == "number" and 1 - lambda or raw.sub(1, lambda) end

-- out[i] = a[i]·x[i] + b[i]·x[partner[i]], recorded: for hidden layers.
local blend = autograd.op("mix_rows", function(x, partner, a, b) return c.rows("mix", x, partner, a, b, false) end, function(n, g)
  local partner, a, b = n[2], n[3], n[4]
  local wanted_by = c.inverse(partner)
  return c.rows("mix", g, wanted_by, a, type(b) == "number" and b or raw.gather(b, wanted_by), false)
end)
tensor.operations.mix_rows = blend

return function(mix)
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
    local softened, info
    if skip then
      softened, info = mix.unmixed(y), { mixed = false }
    else
      local base = mix.checked_y("manifold", x, y)
      local d = kinds.mixup.draw(self, x, stream)
      local alpha = self.alpha
      softened = kinds.mix_y(self, base, d, kinds.entry_of(self, function(n) return c.typical("manifold", n, alpha) end))
      x = blend(x, d.partner, d.lambda, rest_of(d.lambda))
      info = { mixed = true, kind = "manifold", lambda = d.lambda, nominal = d.lambda, partner = d.partner, same_class = mix.same_class(base, d.partner), layer = at }
    end
    for i = at + 1, depth do x = children[i](x) end
    return x, softened, info
  end

  mix.methods.forward = public("mix:forward", {
    self = "mix",
    doc = "A manifold mixup's own forward pass: the model's layers, with the batch mixed at one of them. ls.train calls it.",
    returns = "logits, target, what was drawn", example = "local logits, target = ls.mix.manifold{ alpha = 2 }:forward(model, x, labels, rng)",
    { "model", type = "model", doc = "layers in a row" }, { "x", type = "tensor", doc = "the batch" },
    { "y", type = "target|labels|tensor", doc = "its labels, target, or numbers" }, { "rng", type = "rng", doc = "spawns the stream \"mixing\"" },
  }, function(self, model, x, y, rng)
    if self.kind ~= "manifold" then raise("forward", ("%s mixes inputs, only ls.mix.manifold{…} has a forward pass"):format(self.kind)) end
    return mix.forward(self, model, x, y, rng:spawn "mixing")
  end)

  local entry = catalogue.by_name.manifold
  mix.manifold = public("ls.mix.manifold", {
    doc = catalogue.doc_of(entry), returns = "a mix, for ls.train's mix", errors = entry.errors, example = entry.example, options = catalogue.options_of(entry),
  }, function(o)
    if #o.layers == 0 then raise("manifold", "layers is empty: at least one place is required") end
    return mix.new("manifold", o)
  end)
end
