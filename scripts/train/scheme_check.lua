-- ls.target.check: any scheme held to what all owe, and to what it promises. SPDX-License-Identifier: MIT
--
-- Cases grow, so that the first one that fails is the smallest. Each runs on a scheme of its own, made anew with the same parameters, so that what one case
-- teaches it does not reach the next.
local clabels  = require "lsengine.c.labels"
local random   = require "lsengine.c.random"
local raw      = require "lsengine.c.tensor"
local system   = require "lsengine.c.system"
local autograd = require "lsengine.autograd"
local checkpoint = require "lsengine.checkpoint"
local losses   = require "lsengine.loss"
local json     = require "lsengine.c.json"
local options  = require "lsengine.options"
local own      = require "lsengine.scheme_own"
local pitfalls = require "lsengine.pitfalls"
local public   = require "lsengine.public"
local reports  = require "lsengine.check_report"
local scheme   = require "lsengine.scheme"
local schemes  = require "lsengine.schemes"
local target   = require "lsengine.target"

local EPOCHS = 4 -- of the trainings that are made up
local IGNORED = -100

local owed = { -- in this order in the report
  { "runs", "takes any number of rows" },
  { "mass", "rows from 0 that sum to 1" },
  { "repeatable", "the same labels, stream and state: the same target" },
  { "labels_kept", "the labels it is given are not changed, nor do later calls change an earlier target" },
  { "mixing", "of a mixed target it acts on each label and keeps the weights, or refuses by name" },
  { "ignored", "ignored rows have no part, and make no difference to the others" },
  { "class_weights", "a class weight weighs the row of its label, whatever the target" },
  { "gradient", "the loss's gradient is that of finite differences" },
  { "extreme", "finite loss and gradient at logits of ±10000" },
  { "threads", "the same bits with 1, 2, 3 and 5 threads" },
}

local function traits_of(s) return s.traits or { properties = (schemes.by_name[s.kind] or { properties = { one_hot_at_zero = false, equivariant = true, order_kept = true } }).properties } end

-- A scheme of the same parameters (`epsilon` instead of its own) that has seen nothing.
local function anew(s, n, epsilon)
  if not s.engine then
    if not s.entry or not epsilon then return s end
    local entry = {}
    for k, v in pairs(s.entry) do entry[k] = v end
    entry.epsilon = epsilon
    return scheme.closed(s.kind, entry)
  end
  local values = {}
  for k, v in pairs(s.parameters) do values[k] = v end
  if epsilon then values.epsilon = epsilon end
  local new = s.traits.make(values)
  new:begin_training{ epochs = EPOCHS, examples = n, rng = s.traits.needs_random and random.seed(n) or nil }
  new.training.epoch = s.training.epoch
  return new
end

local function positions(n) return clabels.range(1, n) end

local function soften(s, labels) return s.engine and s.traits.needs_positions and s(labels, { rows = positions(#labels) }) or s(labels) end

local function all_labels(n, classes, shift)
  local list = {}
  for i = 1, n do list[i] = (i - 1 + (shift or 0)) % classes end
  return clabels.from(list)
end

local function logits_of(n, classes, scale) return raw.mul(random.randn(random.seed(n * 31 + classes), n, classes), scale or 1) end

-- One loss with its gradient: value, gradient, target.
local function loss_of(s, labels, z, o)
  local logits = raw.clone(z)
  logits:requires_grad()
  local t = soften(s, labels)
  local value = losses.cross_entropy(logits, t, o or {})
  autograd.backward(value)
  return value, logits.grad, t
end

local function gap(a, b) return raw.count(a) == 0 and 0 or raw.item(raw.max(raw.abs(raw.sub(a, b)))) end
local function is_finite(x)
  local sum = raw.item(raw.sum(raw.abs(x)))
  return sum == sum and sum < math.huge
end

-- The target's rows, by way of a loss where the scheme looks at logits.
local function rows_of(s, labels, classes)
  local _, _, t = loss_of(s, labels, logits_of(#labels, classes))
  return t:rows(classes)
end

-- ---- the checks: each function(s, case, fail) ----

local checks = {}

function checks.mass(s, case, fail)
  local q = rows_of(anew(s, case.n), case.labels, case.classes)
  for i = 1, case.n do
    local sum, least = 0, math.huge
    for k = 1, case.classes do sum, least = sum + q[i][k], math.min(least, q[i][k]) end
    if not (math.abs(sum - 1) <= 1e-4 and least >= 0) then
      return fail("mass", ("the row of label %d sums to %.6g, its least entry is %.3g"):format(case.labels[i], sum, least))
    end
  end
end

function checks.repeatable(s, case, fail)
  local first, before = anew(s, case.n), clabels.totable(case.labels)
  local one, again = rows_of(first, case.labels, case.classes), rows_of(anew(s, case.n), case.labels, case.classes)
  if raw.hash(one) ~= raw.hash(again) then fail("repeatable", ("two targets of the same labels differ by %.3g"):format(gap(one, again))) end
  local t = soften(first, case.labels)
  local _, _, seen = loss_of(first, case.labels, logits_of(case.n, case.classes))
  local hash = raw.hash(seen:rows(case.classes))
  loss_of(first, all_labels(case.n, case.classes, 1), logits_of(case.n, case.classes, 3))
  if first.end_epoch and first.engine then first:end_epoch() end
  if raw.hash(seen:rows(case.classes)) ~= hash then fail("labels_kept", "a target became another after later calls") end
  for i, y in ipairs(before) do if case.labels[i] ~= y then return fail("labels_kept", ("label %d became %d"):format(y, case.labels[i])) end end
  return t
end

function checks.mixing(s, case, fail)
  if case.n < 2 or traits_of(s).needs_random then return end
  local fresh, partner, lambda = anew(s, case.n), clabels.from(all_labels(case.n, case.n, 1):map(function(i) return i + 1 end)), 0.7
  local base = target.from("check", case.labels)
  if s.engine and s.traits.needs_positions then base = target.new{ terms = target.at_rows("check", base, positions(case.n)), history = {} } end
  local ok, got = pcall(function()
    local mixed = fresh(target.mix(base, partner, lambda, { mix = true, kind = "mixup", alpha = 1 }))
    local logits = logits_of(case.n, case.classes)
    losses.cross_entropy(logits, mixed, {})
    return mixed:rows(case.classes)
  end)
  if not ok then
    if not tostring(got):find(s.kind, 1, true) then fail("mixing", "it fails without naming itself: " .. tostring(got)) end
    return
  end
  local q = rows_of(anew(s, case.n), case.labels, case.classes)
  if s.engine and s.traits.needs_logits then return end -- its partner's row is softened by logits of the mixture
  local want = raw.add(raw.mul(q, lambda), raw.mul(raw.gather(q, partner), 1 - lambda))
  if not (gap(got, want) <= 2e-6) then fail("mixing", ("the mixed target is off by %.3g"):format(gap(got, want))) end
end

function checks.ignored(s, case, fail)
  if case.n < 2 then return end
  local list = clabels.totable(case.labels)
  list[2] = IGNORED
  local z = logits_of(case.n, case.classes)
  local _, g = loss_of(anew(s, case.n), clabels.from(list), z, { ignore_index = IGNORED, reduction = "sum" })
  if raw.item(raw.max(raw.abs(g[2]))) ~= 0 then fail("ignored", "the ignored row has a gradient") end
  if traits_of(s).needs_random then return end
  local _, all = loss_of(anew(s, case.n), case.labels, z, { reduction = "sum" })
  for i = 1, case.n do
    if i ~= 2 and not (gap(g[i], all[i]) <= 1e-6) then return fail("ignored", ("row %d has another gradient where row 2 is ignored"):format(i)) end
  end
end

function checks.class_weights(s, case, fail)
  local weights, z, sum, want = {}, logits_of(case.n, case.classes), 0, 0
  for k = 1, case.classes do weights[k] = 1 + k % 3 end
  local fresh = anew(s, case.n)
  local t = soften(fresh, case.labels)
  local got = losses.cross_entropy(z, t, { weight = raw.from(weights) }):item()
  local each = losses.cross_entropy(z, t, { reduction = "none" })
  for i = 1, case.n do
    local w = weights[case.labels[i] + 1]
    sum, want = sum + w, want + w * each[i]
  end
  if not (math.abs(got - want / sum) <= 1e-5 * math.max(1, math.abs(got))) then
    fail("class_weights", ("the weighted loss is %.6g, rows weighed by their labels give %.6g"):format(got, want / sum))
  end
end

-- Of the loss in double, with the target's rows held fixed, by central differences.
local function differences(q, z, n, classes)
  local out, h = {}, 1e-4
  local function row_loss(i, at, by)
    local max, sum, dot = -math.huge, 0, 0
    local function logit(k) return z[i][k] + (k == at and by or 0) end
    for k = 1, classes do max = math.max(max, logit(k)) end
    for k = 1, classes do sum, dot = sum + math.exp(logit(k) - max), dot + q[i][k] * (logit(k) - max) end
    local mass = 0
    for k = 1, classes do mass = mass + q[i][k] end
    return mass * math.log(sum) - dot
  end
  for i = 1, n do
    out[i] = {}
    for k = 1, classes do out[i][k] = (row_loss(i, k, h) - row_loss(i, k, -h)) / (2 * h * n) end
  end
  return out
end

function checks.gradient(s, case, fail)
  if case.n > 7 or case.classes > 64 then return end
  local z = logits_of(case.n, case.classes)
  local _, g, t = loss_of(anew(s, case.n), case.labels, z)
  local want = differences(t:rows(case.classes), z, case.n, case.classes)
  for i = 1, case.n do
    for k = 1, case.classes do
      if not (math.abs(g[i][k] - want[i][k]) <= 2e-6) then
        return fail("gradient", ("label %d, class %d: the gradient is %.6g, by differences %.6g"):format(case.labels[i], k - 1, g[i][k], want[i][k]))
      end
    end
  end
end

function checks.extreme(s, case, fail)
  for _, scale in ipairs{ 1e4, -1e4 } do
    local value, g = loss_of(anew(s, case.n), case.labels, logits_of(case.n, case.classes, scale))
    if not is_finite(raw.detach(value)) or not is_finite(g) then return fail("extreme", ("the loss is %s"):format(value:item())) end
  end
end

function checks.threads(s, case, fail)
  if not case.large then return end
  local threads, first = system.threads(), nil
  local restore <close> = setmetatable({}, { __close = function() system.use_threads(threads) end })
  local z = logits_of(case.n, case.classes)
  for _, count in ipairs{ 1, 2, 3, 5 } do
    system.use_threads(count)
    local value, g = loss_of(anew(s, case.n), case.labels, z)
    local hash = ("%s %a"):format(raw.hash(g), value:item())
    first = first or hash
    if hash ~= first then return fail("threads", ("%d threads give other bits than 1"):format(count)) end
  end
  return restore
end

-- ---- promises ----

function checks.one_hot_at_zero(s, case, fail)
  local q = rows_of(anew(s, case.n, 0), case.labels, case.classes)
  for i = 1, case.n do
    if not (math.abs(q[i][case.labels[i] + 1] - 1) <= 1e-6) then
      return fail("one_hot_at_zero", ("with epsilon 0 label %d keeps %.6g"):format(case.labels[i], q[i][case.labels[i] + 1]))
    end
  end
end

function checks.equivariant(s, case, fail)
  local q = rows_of(anew(s, case.n), case.labels, case.classes)
  local renamed = rows_of(anew(s, case.n), clabels.from(case.labels):map(function(y) return (y + 1) % case.classes end), case.classes)
  for i = 1, case.n do
    for k = 0, case.classes - 1 do
      local here, there = q[i][k + 1], renamed[i][(k + 1) % case.classes + 1]
      if not (math.abs(here - there) <= 1e-6) then
        return fail("equivariant", ("label %d gives class %d %.6g; both renamed, %.6g"):format(case.labels[i], k, here, there))
      end
    end
  end
end

function checks.order_kept(s, case, fail)
  local q = rows_of(anew(s, case.n), case.labels, case.classes)
  for i = 1, case.n do
    local y = case.labels[i]
    for k = 0, case.classes - 1 do
      if q[i][k + 1] > q[i][y + 1] + 1e-7 then return fail("order_kept", ("label %d has %.6g, class %d more: %.6g"):format(y, q[i][y + 1], k, q[i][k + 1])) end
    end
  end
end

-- Two epochs; the state after the first is taken over by another scheme, which must go on to the same rows.
function checks.stateful(s, case, fail)
  local function epoch(of, number)
    of:set_epoch(number)
    for part = 0, 1 do loss_of(of, all_labels(case.n, case.classes, part), logits_of(case.n, case.classes, 1 + part + number)) end
    of:end_epoch()
  end
  local whole, other = anew(s, case.n), anew(s, case.n)
  epoch(whole, 0)
  local arrays = {}
  local packed = checkpoint.pack(whole:state(), arrays, "state", 1)
  other:set_state(checkpoint.unpack(json.decode(json.encode(packed)), arrays))
  if s.traits.needs_random then random.set_state(other.training.rng, random.state(whole.training.rng)) end
  epoch(whole, 1)
  epoch(other, 1)
  local a, b = rows_of(whole, case.labels, case.classes), rows_of(other, case.labels, case.classes)
  if raw.hash(a) ~= raw.hash(b) then fail("stateful", ("after saving and resuming, rows differ by %.3g"):format(gap(a, b))) end
end

-- ---- all of them ----

local function run(report, s, case, names)
  local text = ("%d row%s, %d classes"):format(case.n, case.n == 1 and "" or "s", case.classes)
  report.cases = report.cases + 1
  for _, name in ipairs(names) do
    if checks[name] then
      local ok, message = pcall(checks[name], s, case, function(failed, why) reports.fail(report, failed, text, why) end)
      if not ok then
        if message == "not enough memory" then error(message, 0) end
        reports.fail(report, "runs", text, tostring(message))
      end
    end
  end
end

target.check = public("ls.target.check", {
  doc = [[Holds a scheme, built in or one's own (Lua or C), to what all owe: any number of rows, rows from 0 that sum to 1, the same target for the same labels, stream and state,
mixtures by their labels or a refusal by name, ignored rows without part, class weights that weigh the row, the gradient against finite differences, finite losses at extreme logits,
the same bits for any number of threads; and to what it promises (one_hot_at_zero, equivariant, order_kept, stateful: saved and resumed to the same bits). The report prints
as a table; what failed is told with the smallest case.]],
  returns = "a report: { name =, ok =, cases =, checks = { { name =, what =, ok =, case =, message = }, … }, failures = those that are not ok }",
  example = "print(ls.target.check(ls.target.uniform(0.1), { classes = 10 }))",
  { "scheme", type = "scheme", doc = "what is checked; itself it is left alone" },
  options = {
    classes = { type = "integer", default = 10, min = 1, max = 4096, doc = "K: parameters such as matrices must fit it" },
    rows    = { type = "table", default = { 1, 2, 7, 33 }, doc = "how many rows the cases have" },
  },
}, function(s, o)
  local _ <close> = pitfalls.allow("check", { "stacked-softening", "epsilon-too-large" })
  local sizes, names, report = {}, {}, reports.new(tostring(s))
  for i, n in ipairs(o.rows) do sizes[i] = options.check("check", ("rows[%d]"):format(i), { type = "integer", min = 1, max = 4096 }, n) end
  table.sort(sizes)
  sizes[#sizes + 1] = math.ceil(80000 / o.classes) -- some blocks
  for _, check in ipairs(owed) do
    reports.add(report, check[1], check[2])
    names[#names + 1] = check[1]
  end
  for _, name in ipairs{ "one_hot_at_zero", "equivariant", "order_kept", "stateful" } do
    if traits_of(s).properties[name] then
      reports.add(report, name, own.promises[name])
      names[#names + 1] = name
    end
  end
  for i, n in ipairs(sizes) do
    local large = i == #sizes
    run(report, s, { n = n, classes = o.classes, labels = all_labels(n, o.classes), large = large }, large and { "threads" } or names)
  end
  return report
end)

return target.check
