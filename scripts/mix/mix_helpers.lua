-- The parts that mixes are made of, for mixes of one's own. SPDX-License-Identifier: MIT
local c       = require "lsengine.c.mix"
local raw     = require "lsengine.c.tensor"
local clabels = require "lsengine.c.labels"
local public  = require "lsengine.public"
local target  = require "lsengine.target"
local mix     = require "lsengine.mix"
local rows    = require "lsengine.mix_target"
local raise   = public.raise

-- What the helpers' targets are called in the history: the own mix that is running, if any ({ kind =, text = }).
local helpers = { running = nil }

local lambda = { "lambda", type = "number|tensor", min = 0, max = 1, doc = "what each row keeps of itself: one number, or a tensor with one for each row" }
local partner = { "partner", type = "labels", doc = "a position from 1 for each row" }

local function check_partner(who, given, n)
  local list = clabels.from(given)
  if #list ~= n then raise(who, ("there are %d partners for %d rows"):format(#list, n)) end
  return list
end

local function check_lambda(who, given, n)
  if not raw.is_tensor(given) then return given end
  if raw.rank(given) ~= 1 or raw.count(given) ~= n then raise(who, ("lambda has shape %s, one number for each of %d rows is required"):format(raw.shape_text(given), n)) end
  local l = raw.contiguous(raw.detach(given))
  for i = 1, n do
    if not (l[i] >= 0 and l[i] <= 1) then raise(who, ("lambda of row %d is %g, allowed is 0 to 1"):format(i, l[i])) end
  end
  return l
end

mix.partners = public("ls.mix.partners", {
  doc = [[A partner for each of n rows: a random cycle, so that no row is its own partner and each is the partner of one row. With mode "pair" two rows are
each other's (where n is odd, three go round). O(n).]],
  returns = "label vector of positions from 1", errors = "fewer than two rows", example = "local partner = ls.mix.partners(#labels, rng)",
  { "n", type = "integer", min = 2, max = 2^31 - 1, doc = "rows" }, { "rng", type = "rng", doc = "is drawn from" },
  options = { mode = { type = "string", default = "batch", choices = { "batch", "pair" }, doc = "batch: one cycle through all rows; pair: pairs" } },
}, function(n, rng, o) return c.partners("partners", rng, n, o.mode) end)

mix.blend = public("ls.mix.blend", {
  doc = "Rows blended with their partners': λ·x + (1-λ)·x[partner]. Rows may share a partner. Not recorded for differentiation. O(elements).",
  returns = "tensor of the shape of x", errors = "in place where two rows share a partner",
  example = "local mixed = ls.mix.blend(x, ls.mix.partners(#labels, rng), 0.7)",
  { "x", type = "tensor", doc = "rows along the first axis" }, partner, lambda,
  options = { in_place = { type = "boolean", default = false, doc = "write into x" } },
}, function(x, given, l, o)
  local n = mix.rows_of(x)
  return rows.blend("blend", o.in_place and x or raw.detach(x), check_partner("blend", given, n), check_lambda("blend", l, n), o.in_place)
end)

local y_spec = { "y", type = "target|labels|tensor", doc = "labels, a target, or numbers (a row for each row)" }

mix.blend_target = public("ls.mix.blend_target", {
  doc = [[The target of blended rows: λ of each row's own and 1-λ of its partner's. Labels stay a few labels with weights, no N×K matrix is built; softened targets are mixed as
they are; a tensor of numbers is blended. Within a mix of ls.mix.define the target's history names that mix.]],
  returns = "target, or a tensor where y is one", errors = "a target that has 8 labels a row already",
  example = "local target = ls.mix.blend_target(labels, ls.mix.partners(#labels, rng), 0.7)", y_spec, partner, lambda,
}, function(y, given, l)
  local base = raw.is_tensor(y) and y or target.from("blend_target", y)
  local n = raw.is_tensor(y) and mix.rows_of(y) or rows.count(base)
  local list, weights = check_partner("blend_target", given, n), check_lambda("blend_target", l, n)
  if raw.is_tensor(y) then return rows.blend("blend_target", raw.detach(y), list, weights, false) end
  local running = helpers.running
  local entry = { mix = true, kind = running and running.kind or "blend", text = running and running.text or type(l) == "number" and ("blend(%.4g)"):format(l) or "blend" }
  -- positions are checked where labels are gathered; a row of dense ones here
  return target.mix(base, list, weights, entry, function(dense, p, w) return rows.blend("blend_target", dense, p, w, false) end)
end)

mix.take_target = public("ls.mix.take_target", {
  doc = "The rows of a target (or of labels, or numbers) at the given positions, which may repeat: labels of the larger part, or a sample of the rows.",
  returns = "target, or a tensor where y is one", example = "local swapped = ls.mix.take_target(labels, { 2, 1, 4, 3 })", y_spec,
  { "positions", type = "labels", doc = "from 1" },
}, function(y, positions)
  if raw.is_tensor(y) then return raw.gather(raw.detach(y), clabels.from(positions)) end
  return rows.take(target.from("take_target", y), clabels.from(positions))
end)

mix.join_targets = public("ls.mix.join_targets", {
  doc = "The rows of one target after those of another, for batches that hold more rows than they were given (ls.tensor.cat joins the inputs).",
  returns = "target, or a tensor where both are", errors = "labels and soft rows; targets softened in different ways",
  example = "local both = ls.mix.join_targets(labels, ls.mix.blend_target(labels, { 2, 1, 4, 3 }, 0.7))", y_spec,
  { "other", type = "target|labels|tensor", doc = "what follows" },
}, function(y, other)
  if raw.is_tensor(y) or raw.is_tensor(other) then
    if not (raw.is_tensor(y) and raw.is_tensor(other)) then raise("join_targets", "one is a tensor of numbers and the other a target: both must be of one kind") end
    return raw.cat({ raw.detach(y), raw.detach(other) }, 1)
  end
  return rows.join("join_targets", target.from("join_targets", y), target.from("join_targets", other))
end)

local function image_size(who, x)
  local rank = raw.rank(x)
  if rank ~= 3 and rank ~= 4 then raise(who, ("the batch has shape %s, images N×C×H×W are required"):format(raw.shape_text(x))) end
  return raw.size(x, rank - 1), raw.size(x, rank)
end

mix.boxes = public("ls.mix.boxes", {
  doc = [[Boxes as cutmix draws them, for ls.mix.paste: of 1-λ of the image, one for the batch where lambda is a number, one for each row where it is a tensor. The second result is
the exact λ, counted in pixels.]],
  returns = "label vector of four numbers a row (first line, first column, both from 0, height, width); the exact lambda", errors = "a batch that is no images",
  example = "local images = x:reshape(4, 1, 6, 6)\nlocal boxes, exact = ls.mix.boxes(images, rng:beta(1, 1), rng)\nlocal pasted = ls.mix.paste(images, ls.mix.partners(4, rng), boxes)",
  { "x", type = "tensor", doc = "images N×C×H×W or N×H×W" }, lambda, { "rng", type = "rng", doc = "is drawn from" },
  options = { box = { type = "string", default = "clipped", choices = { "clipped", "inside", "wrap" }, doc = "where boxes lie, as of ls.mix.cutmix" } },
}, function(x, l, rng, o)
  local height, width = image_size("boxes", x)
  local n = raw.size(x, 1)
  if n < 1 then raise("boxes", "the batch has no row") end
  return c.boxes("boxes", rng, n, check_lambda("boxes", l, n), o.box, height, width)
end)

mix.paste = public("ls.mix.paste", {
  doc = "Images with a box of each replaced by the same box of its partner, in every channel.", returns = "tensor of the shape of x",
  errors = "a batch that is no images; partners that are no permutation; a box outside of the image",
  example = "local pasted = ls.mix.paste(x:reshape(4, 1, 6, 6), { 2, 1, 4, 3 }, ls.labels{ 0, 0, 3, 3, 0, 0, 3, 3, 2, 2, 2, 2, 2, 2, 2, 2 })",
  { "x", type = "tensor", doc = "images N×C×H×W or N×H×W" }, { "partner", type = "labels", doc = "a position from 1 for each row; each is one row's partner" },
  { "boxes", type = "labels", doc = "four numbers a row, as of ls.mix.boxes" },
  options = { in_place = { type = "boolean", default = false, doc = "write into x" } },
}, function(x, given, boxes, o)
  image_size("paste", x)
  return c.paste("paste", o.in_place and x or raw.detach(x), check_partner("paste", given, raw.size(x, 1)), clabels.from(boxes), o.in_place)
end)

return helpers
