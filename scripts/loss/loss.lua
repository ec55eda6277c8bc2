-- Losses. SPDX-License-Identifier: MIT
--
-- A loss is a one-element tensor that knows its target (loss.target) and how class weights were used (loss.weighting);
-- arithmetic keeps that, :item() ends it.
local c        = require "lsengine.c.loss"
local raw      = require "lsengine.c.tensor"
local clabels  = require "lsengine.c.labels"
local grad     = require "lsengine.c.autograd"
local tensor   = require "lsengine.tensor"
local autograd = require "lsengine.autograd"
local options  = require "lsengine.options"
local pitfalls = require "lsengine.pitfalls"
local public   = require "lsengine.public"
local target   = require "lsengine.target"
require "lsengine.schemes"
local raise, needs = public.raise, autograd.needs

local loss = {}

local function wants(t) return grad.is_recording() and needs(t) end

-- The gradient was computed with the value. A leaf gets a copy: it may be asked for again (retain_graph).
local function scaled(n, g, _, own)
  if raw.rank(g) == 1 then return raw.mul(own, raw.unsqueeze(g, 2)) end
  local by = raw.item(g)
  if by == 1 then return grad.is_leaf(n[1]) and raw.clone(own) or own end
  return raw.mul(own, by)
end

loss.scaled, loss.wants = scaled, wants -- for the losses of other modules, whose kernels give the gradient with the value

local last_report
local operation = autograd.op("cross_entropy", function(logits, t, weight, ignore, reduction, pytorch)
  local value, gradient, report = c.cross_entropy(logits, t, weight, ignore, reduction, pytorch, wants(logits))
  last_report = report
  return value, gradient or nil
end, scaled)
tensor.operations.cross_entropy = operation

local specs = {
  weight       = { type = "tensor|table", doc = "one number from 0 for each class: weighs the row of that class" },
  ignore_index = { type = "integer", doc = "rows with this label carry no loss, no gradient, no weight" },
  reduction    = { type = "string", default = "mean", choices = { "mean", "sum", "rows", "none" },
                   doc = "mean: divided by the sum of the kept rows' weights; rows: by their number; none: a vector" },
  weighting    = { type = "string", default = "lsengine", choices = { "lsengine", "pytorch" },
                   doc = "pytorch: weights bend the target, and the mean divides as PyTorch does" },
}

local function cross_entropy(who, logits, given, o)
  local t = target.from(who, given)
  if raw.rank(logits) ~= 2 then raise(who, ("logits have shape %s, a matrix (rows × classes) is required"):format(raw.shape_text(logits))) end
  if o.weight and not raw.is_tensor(o.weight) then o.weight = raw.from(o.weight) end
  local classes = raw.size(logits, 2)
  local value = operation(logits, target.resolved(t, classes, { ignore = o.ignore_index, logits = logits }), o.weight, o.ignore_index, o.reduction, o.weighting == "pytorch")
  local report = last_report
  target.inspect(t, classes, o.ignore_index)
  if wants(logits) then target.observe(t, classes, logits, o.ignore_index) end
  grad.set_tag(value, { target = t, classes = classes, weighting = o.weighting, weighted = o.weight ~= nil, kept = report.kept, ignored = report.ignored,
    weight_sum = o.reduction == "mean" and report.weight or nil }) -- of a mean, what it was divided by
  return value, t
end

loss.of = cross_entropy -- (who, logits, target, options read by loss.specs) → value, target
loss.specs = specs

loss.cross_entropy = public("ls.loss.cross_entropy", {
  doc = [[Mean over rows of -sum_k q_k log softmax(z)_k in nats, for any categorical target: labels, a softened or mixed target, soft
rows. The target's entropy stays in (this is not KL). -inf logits are masked classes. Fused with its gradient; no N×K target is made.]],
  returns = "one-element tensor (of `none`: a vector) with .target, .weighting, .kept, .ignored",
  example = "local loss = ls.loss.cross_entropy(logits, ls.target.uniform(0.1)(labels), { ignore_index = -100 })",
  { "logits", type = "tensor", doc = "N×K" }, { "target", type = "target", doc = "N rows" },
  options = specs,
}, function(logits, given, o) return (cross_entropy("cross_entropy", logits, given, o)) end)

loss.cross_entropy_parts = public("ls.loss.cross_entropy_parts", {
  doc = [[The two terms of a softened cross-entropy apart: what comes from the labels (for uniform smoothing (1-ε)·CE) and what comes from
the mass that was spread (ε·H(u, p)). They sum to ls.loss.cross_entropy.]],
  returns = "two one-element tensors", example = "local from_labels, from_spread = ls.loss.cross_entropy_parts(logits, ls.target.uniform(0.1)(labels))",
  { "logits", type = "tensor", doc = "N×K" }, { "target", type = "target", doc = "N rows" },
  options = specs,
}, function(logits, given, o)
  local whole, t = cross_entropy("cross_entropy_parts", logits, given, o)
  local _, _, keep = c.summary(target.resolved(t, raw.size(logits, 2)), raw.size(logits, 2), o.ignore_index)
  local plain = target.from("cross_entropy_parts", given)
  plain = setmetatable({ terms = plain.terms, dense = plain.dense, spread = plain.spread, row_weights = plain.row_weights, origin = plain.origin, history = {} }, getmetatable(plain))
  local hard = cross_entropy("cross_entropy_parts", logits, plain, o) * keep
  grad.set_tag(hard, grad.tag(whole))
  return hard, whole - hard
end)

loss.kl_divergence = public("ls.loss.kl_divergence", {
  doc = "KL(q‖softmax(z)): the cross-entropy minus the target's own entropy, 0 where the model meets its target. Mean over kept rows.",
  returns = "one-element tensor", { "logits", type = "tensor", doc = "N×K" }, { "target", type = "target", doc = "N rows" },
  options = { ignore_index = specs.ignore_index },
}, function(logits, given, o)
  local value, t = cross_entropy("kl_divergence", logits, given, { ignore_index = o.ignore_index, reduction = "mean", weighting = "lsengine" })
  return value - (c.summary(target.resolved(t, raw.size(logits, 2)), raw.size(logits, 2), o.ignore_index))
end)

-- A softened target has no meaning here; where it is allowed, its rows are taken as numbers. Returns what is to be compared with.
local function refuse_soft(who, given, x)
  if target.is_target(given) and target.is_soft(given) then
    pitfalls.raise("smoothing-regression", ("%s was given a softened target (%s): smoothing means nothing for a loss that is not categorical")
      :format(who, target.text(given)))
    if raw.is_tensor(x) and raw.rank(x) == 2 and raw.size(x, 2) > 0 then return given:rows(raw.size(x, 2)) end
  end
  if target.is_target(given) or target.is_scheme(given) or not raw.is_tensor(given) then
    raise(who, ("target is %s, a tensor of numbers is required"):format(target.is_target(given) and "a target of classes" or type(given)))
  end
  return given
end

local function elementwise(name, doc, kernel, check)
  local f = autograd.op(name, function(x, y)
    local value, gradient = kernel(x, y, wants(x))
    return value, gradient or nil
  end, scaled)
  tensor.operations[name] = f
  loss[name] = public("ls.loss." .. name, {
    doc = doc, returns = "one-element tensor",
    { "prediction", type = "tensor", doc = "any shape" }, { "target", type = "any", doc = "a tensor of that shape" },
  }, function(x, y)
    if check then y = check(name, y, x) end
    if not raw.is_tensor(y) then raise(name, ("target is %s, a tensor is required"):format(type(y))) end
    return f(x, y)
  end)
end
elementwise("mse", "Mean over elements of (prediction - target)². Not for softened targets.", c.mse, refuse_soft)
elementwise("binary_cross_entropy", "Mean over elements of the cross-entropy of logits with targets in 0 … 1, stable for any logit. Smoothed targets are fine here: y(1-ε) + ε/2.", c.binary_cross_entropy)

return loss
