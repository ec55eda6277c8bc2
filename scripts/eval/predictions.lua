-- What the functions that judge predictions share: their first arguments and options. SPDX-License-Identifier: MIT
local raw = require "lsengine.c.tensor"
require "lsengine.labels"
require "lsengine.tensor"

local predictions = {
  logits = { "logits", type = "tensor", doc = "N×K, of any framework; with probabilities = true, probabilities" },
  labels = { "labels", type = "labels", doc = "N labels, 0 … K-1" },
}

-- Options that every measure takes, beside its own.
function predictions.options(own)
  own.probabilities = { type = "boolean", default = false, doc = "the numbers are probabilities, each from 0 to 1, rows summing to 1 (within 1e-4); they are used as given" }
  own.temperature = { type = "number", min = 1e-100, max = 1e100, doc = "logits are divided by it first; 1 unless given" }
  own.ignore_index = { type = "integer", doc = "rows with this label are left out" }
  return own
end

-- The arguments of the C functions: logits without their history.
function predictions.arguments(who, logits, labels, o)
  if o.probabilities and o.temperature then
    require "lsengine.public".raise(who, "a temperature divides logits, probabilities were given")
  end
  return raw.detach(logits), labels, o.probabilities or false, o.temperature, o.ignore_index
end

-- Logits of probabilities: their logarithms, of 0 that of the least float32 number.
function predictions.logits_of(logits, o)
  local z = raw.detach(logits)
  return o.probabilities and raw.log(raw.maximum(z, 2.0^-149)) or z
end

return predictions
