-- The catalogue of target schemes: one suite over all entries; golden numbers of dlordinal. SPDX-License-Identifier: MIT
local t, ls = require "harness", require "lsengine"
local catalogue = require "lsengine.catalogue"
local pitfalls  = require "lsengine.pitfalls"
local T = t.tests
local golden = ls.tensor.load "tests/golden/schemes.npz"

local function labels_of(classes)
  local y = {}
  for k = 0, classes - 1 do y[k + 1] = k end
  return ls.labels(y)
end

for _, entry in ipairs(catalogue.entries()) do
  for _, classes in ipairs{ 2, 3, 7, 26 } do
    local tag = ("%s_over_%d_classes_"):format(entry.name, classes)
    local scheme, y = entry.make(classes), labels_of(classes)
    T[tag .. "gives_rows_that_sum_to_1"] = function()
      local rows = scheme(y):rows(classes)
      t.is_true((rows:sum(2) - 1):abs():max():item() < 1e-6 and rows:min():item() >= 0)
      for i = 1, classes do t.is_true((scheme(y):row(i, classes) - rows[i]):abs():max():item() == 0) end
    end
    -- Softening a mixture acts on each label and keeps the weights; the loss is that of the same rows given densely.
    T[tag .. "commutes_with_mixing"] = function()
      local _ <close> = pitfalls.allow("test", { "stacked-softening", "epsilon-too-large" })
      local rng = ls.rng(1)
      local x, z = ls.tensor.randn(classes, 4, { rng = rng }), ls.tensor.randn(classes, classes, { rng = rng })
      local mixup = ls.mix.mixup{ alpha = 1, mode = "row" }
      local _, after = mixup(x, y, ls.rng(2))
      local _, before = mixup(x, scheme(y), ls.rng(2))
      local _, dense = mixup(x, ls.target.soft(scheme(y):rows(classes)), ls.rng(2))
      after = scheme(after)
      t.equals(after:rows(classes):hash(), before:rows(classes):hash())
      t.is_true((after:rows(classes) - dense:rows(classes)):abs():max():item() < 1e-6)
      t.close(ls.loss.cross_entropy(z, after):item(), ls.loss.cross_entropy(z, dense):item(), 2e-6)
    end
    T[tag .. "has_a_right_gradient_at_extreme_logits_too"] = function()
      local q = scheme(y):rows(classes)
      for _, scale in ipairs{ 1, 80 } do
        local z = (ls.tensor.randn(classes, classes, { rng = ls.rng(3) }) * scale):detach():requires_grad()
        local loss = ls.loss.cross_entropy(z, scheme(y))
        loss:backward()
        t.is_true(loss:item() < math.huge)
        t.is_true((z.grad - (z:detach():softmax() - q) * (1 / classes)):abs():max():item() < 1e-6) -- p - q, by its definition
      end
    end
  end
end

function T.ordinal_schemes_are_dlordinals()
  local found = 0
  for name, want in pairs(golden) do
    local kind, classes, percent = name:match "^(%a+2?)_(%d+)_?(%d*)$"
    classes = math.tointeger(tonumber(classes))
    local scheme = kind == "binomial" and ls.target.binomial{} or kind == "sord" and ls.target.sord{ alpha = 2 } or kind == "sord2" and ls.target.sord{ alpha = 0.25, power = 2 }
      or ls.target.triangular{ alpha = tonumber(percent) / 100 }
    local off = (scheme(labels_of(classes)):rows(classes) - want):abs():max():item()
    t.is_true(off < 1e-6, ("%s: %g"):format(name, off))
    found = found + 1
  end
  t.equals(found, 25)
end

function T.epsilon_leaves_mass_on_the_label()
  local whole, part = ls.target.sord{ alpha = 1 }(labels_of(5)):rows(5), ls.target.sord{ alpha = 1, epsilon = 0.25 }(labels_of(5)):rows(5)
  t.is_true((part - (whole * 0.25 + ls.tensor.eye(5) * 0.75)):abs():max():item() < 1e-6)
end

function T.what_does_not_fit_is_said()
  t.fails(function() return ls.target.sord{ alpha = 0 } end, "sord: alpha is 0, allowed is above 0", true)
  t.fails(function() return ls.target.binomial{ low = 0.9, high = 0.1 }(ls.labels{ 0 }):rows(3) end, "binomial: low is 0.9 and high 0.1: low must be below high", true)
  t.fails(function() return ls.loss.cross_entropy(ls.tensor.zeros(1, 1), ls.target.triangular{}(ls.labels{ 0 })) end, "triangular: triangular orders classes: at least 2 are required", true)
  t.fails(function() return ls.target.uniform(0.1)(ls.labels{ 0 }):row(2, 3) end, "row: position is 2, the target has 1 rows", true)
end

function T.targets_tell_their_history()
  local target = ls.target.uniform(0.1)(ls.target.sord{ alpha = 2 }(ls.labels{ 0, 1 }))
  t.equals(tostring(target), "target of 2 rows: uniform(0.1), on sord{ alpha = 2, epsilon = 1, power = 1 }, on labels")
end

t.run()
