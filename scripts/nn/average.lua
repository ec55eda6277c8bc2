-- Exponential moving average of a model's weights (Polyak & Juditsky 1992; as in Kingma & Ba 2015, section 7). SPDX-License-Identifier: MIT
--
-- The average after n updates is the sum of (1-d)·d^(n-k)·w_k over k = 1 … n, divided by 1 - d^n, the sum of these factors: without
-- the division it would lean towards the zero that it begins with. It is kept divided: a += (1-d)/(1-d^n)·(w - a). Buffers, which
-- hold no weights, are copied.
local raw      = require "lsengine.c.tensor"
local autograd = require "lsengine.autograd"
local weights  = require "lsengine.weights"

local average = {}

average.options = {
  decay = { type = "number", default = 0.999, min = 0, below = 1, doc = "what a step keeps of the sum over the weights so far, corrected for its beginning (as Adam's means are): the average reaches back about 1/(1 - decay) steps, so 0.999 wants thousands of them, 0.9 to 0.99 some hundreds" },
  start = { type = "number", default = 0, min = 0, below = math.huge, doc = "epochs (fractions allowed) after which averaging begins; the weights of the first step after it are the first that count" },
  keep  = { type = "string", default = "average", choices = { "average", "last" }, doc = "which weights the model has after training" },
}

local Average = {}
Average.__index = Average

function average.new(o, list) return setmetatable({ o = o, list = list, updates = 0 }, Average) end

-- After each step of the optimizer.
function Average:update()
  local _ <close> = autograd.pause()
  self.updates = self.updates + 1
  if self.updates == 1 then
    self.values = weights.clone(self.list)
    return
  end
  local d = self.o.decay
  local share = (1 - d) / (1 - d ^ self.updates)
  for i, w in ipairs(self.list) do
    local value = self.values[i]
    if w.learned then raw.add_(value, raw.mul_(raw.sub(w.tensor, value), share)) else raw.copy_(value, w.tensor) end
  end
end

local restore = { __close = function(self) weights.put(self.list, self.values) end }
local nothing = setmetatable({}, { __close = function() end })

-- local _ <close> = average:lend(): until the scope ends, the model has the averaged weights.
function Average:lend()
  if self.updates == 0 then return nothing end
  local kept = setmetatable({ list = self.list, values = weights.clone(self.list) }, restore)
  weights.put(self.list, self.values)
  return kept
end

return average
