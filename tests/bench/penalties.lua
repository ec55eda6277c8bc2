-- Value and gradient of penalties and robust losses at their defaults. SPDX-License-Identifier: MIT
local ls     = require "lsengine"
local timing = require "timing"
local o = ls.options{ rows = 8192, classes = 1000, rounds = 5 }
local rng = ls.rng(1)
local plain = ls.tensor.randn(o.rows, o.classes, { rng = rng }) * 3
local labels = rng:integers(0, o.classes - 1, o.rows)
local items = { { "cross-entropy", function(logits) ls.loss.cross_entropy(logits, labels):backward() end } }
for name in ("focal confidence_penalty margin_smoothing max_sup poly1 generalised_cross_entropy symmetric_cross_entropy logit_norm bootstrap_soft label_relaxation " ..
  "teacher_free entropy_regularisation zipf"):gmatch "%S+" do
  local loss = ls.loss[name]{}
  items[#items + 1] = { name, function(logits) loss(logits, labels):backward() end }
end
timing.measure(items, o.rounds, function() return plain:detach():requires_grad() end)
