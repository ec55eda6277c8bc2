-- Penalties and robust losses: ls.loss.NAME, made from the catalogue in the core (core/loss/penalties). SPDX-License-Identifier: MIT
--
-- ls.loss.NAME{ parameters } gives a loss object, which is called as loss(logits, target, { weight =, ignore_index =, reduction = }).
-- Documentation, options and their ranges all come from the C table: a new entry there needs nothing here.
local c        = require "lsengine.c.penalties"
local grad     = require "lsengine.c.autograd"
local raw      = require "lsengine.c.tensor"
local system   = require "lsengine.c.system"
local autograd = require "lsengine.autograd"
local losses   = require "lsengine.loss"
local options  = require "lsengine.options"
local objects  = require "lsengine.loss_object"
local public   = require "lsengine.public"
local target   = require "lsengine.target"
local tensor   = require "lsengine.tensor"
local raise    = public.raise

local penalties = { entries = c.list() }

local functions = {}
local Loss = objects.kind({}, functions)
local with_state = setmetatable({}, { __index = functions })
local Cals = objects.kind(setmetatable({}, { __index = Loss }), with_state)
options.type("cals", function(v) return getmetatable(v) == Cals end, "a loss of ls.loss.cals{…}")

local function number(x) return ("%.6g"):format(x) end

-- focal{ gamma = 2, soft = true }
function Loss:__tostring()
  local parts = {}
  for _, p in ipairs(self.entry.parameters) do
    local value = self.parameters[p.name]
    if p.type == "matrix" then parts[#parts + 1] = ("%s = %s"):format(p.name, (raw.shape_text(self.transition):gsub("x", "×")))
    elseif p.type ~= "boolean" or value ~= (p.standard ~= 0) then parts[#parts + 1] = ("%s = %s"):format(p.name, type(value) == "number" and number(value) or tostring(value)) end
  end
  return #parts == 0 and self.kind .. "{}" or ("%s{ %s }"):format(self.kind, table.concat(parts, ", "))
end

local last_report
local operation = autograd.op("penalty", function(logits, name, parameters, t, weight, ignore, reduction, data)
  local value, gradient, report = c.loss(name, parameters, logits, t, weight, ignore, reduction, data, grad.is_recording() and autograd.needs(logits))
  last_report = report
  return value, gradient or nil
end, losses.scaled)
tensor.operations.penalty = operation

local function check_target(self, given)
  local t = target.from(self.kind, given)
  local entry = self.entry
  if entry.target == "label" and not (entry.soft_when and self.parameters[entry.soft_when]) and target.is_soft(t) then
    raise(self.kind, ("the target is %s, one label for each row is required: %s"):format(target.text(t), entry.refusal))
  end
  return t
end

function functions.value(self, logits, given, o)
  local t = check_target(self, given)
  local weight = o.weight
  local classes = raw.size(logits, 2)
  local value = operation(logits, self.kind, self.parameters, target.resolved(t, classes, { ignore = o.ignore_index, logits = logits }), weight, o.ignore_index, o.reduction, self.transition or self.lambda)
  local report = last_report
  target.inspect(t, classes, o.ignore_index)
  if grad.is_recording() and autograd.needs(logits) then target.observe(t, classes, logits, o.ignore_index) end
  grad.set_tag(value, { target = t, classes = classes, weighting = "lsengine", weighted = weight ~= nil, kept = report.kept, ignored = report.ignored,
    weight_sum = o.reduction == "mean" and report.weight or nil, scheme = self })
  return value
end

Cals.__tostring = Loss.__tostring

-- ---- class adaptive label smoothing: multipliers that follow validation rows ----

local function numbers_of(who, what, given, classes)
  local t = raw.is_tensor(given) and raw.contiguous(raw.detach(given)) or raw.from(given)
  if raw.rank(t) ~= 1 or raw.count(t) == 0 or classes and raw.count(t) ~= classes then
    raise(who, ("%s have shape %s, one number for each %s is required"):format(what, raw.shape_text(t), classes and ("of %d classes"):format(classes) or "class"))
  end
  for k = 1, #t do
    if not (t[k] >= 0 and t[k] < math.huge) then raise(who, ("the one of class %d of %s is %g, allowed is any finite number from 0"):format(k - 1, what, t[k])) end
  end
  return t
end

local logits_argument = { "logits", type = "tensor", doc = "N×K" }

-- The multipliers or penalties that the loss holds, nil before the first update. Its fields are open to scripts: they are looked at again.
local numbers = { type = "tensor|table" }
local function held(self, who, key, classes)
  return self[key] ~= nil and numbers_of(who, key, options.check(who, key, numbers, self[key]), classes) or nil
end

Cals.penalties = public("cals:penalties", {
  doc = "Each class's penalty, the mean over rows of lambda_k max(0, max_j z_j - z_k - margin): what :update takes, of validation rows. Masked classes count 0.",
  returns = "tensor of K numbers", example = "print(ls.loss.cals{ margin = 1 }:penalties(logits))", logits_argument,
}, function(self, logits)
  return c.cals(raw.detach(logits), self.parameters.margin, self.lambda, self.parameters.alpha)
end)

Cals.update = public("cals:update", {
  doc = [[Compares each class's penalty with that of the update before: grown by more than `tolerance`, its multiplier grows by `factor`; fallen by as
much, it shrinks. The first update is only remembered.]],
  returns = "nothing", example = "local loss = ls.loss.cals{ margin = 1 }\nloss:update(loss:penalties(logits))",
  { "penalties", type = "tensor|table", doc = "K numbers from 0 (:penalties of validation logits)" },
}, function(self, given)
  local lambdas = held(self, "update", "lambda")
  local now = numbers_of("update", "the penalties", given, lambdas and raw.count(lambdas))
  local o, before = self.parameters, held(self, "update", "previous", raw.count(now))
  local list = {}
  for k = 1, raw.count(now) do
    local lambda = lambdas and lambdas[k] or o.alpha
    if before and now[k] > o.tolerance * before[k] then lambda = lambda * o.factor
    elseif before and now[k] < before[k] / o.tolerance then lambda = lambda / o.factor end
    list[k] = math.max(o.minimum, math.min(o.maximum, lambda))
  end
  if before then self.lambda = raw.from(list) else self.lambda = lambdas or raw.full(o.alpha, raw.count(now)) end
  self.previous = raw.clone(now)
end)

Cals.state = public("cals:state", {
  doc = "The multipliers and the penalties of the last update, which checkpoints of ls.train hold; to be kept by a loop of one's own.", returns = "table { lambda =, previous = } of lists; empty before the first update",
  example = "local loss = ls.loss.cals{}\nlocal other = ls.loss.cals{}\nother:set_state(loss:state())",
}, function(self)
  local function list(t) return t and raw.totable(t) end
  return { lambda = list(self.lambda), previous = list(self.previous) }
end)

Cals.set_state = public("cals:set_state", {
  doc = "Takes over the state of another loss of the same parameters.", returns = "nothing", example = "ls.loss.cals{}:set_state{ lambda = { 0.1, 0.2, 0.1 }, previous = { 0, 1.5, 2 } }",
  { "state", type = "table", doc = "of :state()" },
}, function(self, state)
  for key in pairs(state) do
    if key ~= "lambda" and key ~= "previous" then raise("set_state", ("unknown field %s, known are lambda, previous"):format(system.describe(key))) end
  end
  local function read(key, classes)
    local list = held(state, "set_state", key, classes)
    return list and raw.clone(list)
  end
  local lambda = read "lambda"
  local previous = read("previous", lambda and raw.count(lambda))
  if previous and not lambda then raise("set_state", "previous is given, but lambda is missing") end
  self.lambda, self.previous = lambda, previous
end)

-- For checkpoints of ls.train.
function with_state.state(self) return { lambda = self.lambda, previous = self.previous } end
function with_state.set_state(self, state)
  if type(state) ~= "table" then error("the multipliers of cals", 0) end
  Cals.set_state(self, state)
end

-- ---- made from the catalogue ----

local function option_of(p)
  local spec = { type = p.type, doc = p.doc }
  if p.type == "matrix" then
    spec.type, spec.required = "tensor|table", true
    return spec
  end
  if p.type == "boolean" then
    spec.default = p.standard ~= 0
    return spec
  end
  spec.default, spec.required = p.standard, p.standard == nil or nil
  if math.tointeger(spec.default) then spec.default = math.tointeger(spec.default) end
  local whole = math.tointeger
  if p.above_minimum or p.minimum == -math.huge then spec.above = p.minimum else spec.min = whole(p.minimum) or p.minimum end
  if p.below_maximum or p.maximum == math.huge then spec.below = p.maximum else spec.max = whole(p.maximum) or p.maximum end
  return spec
end

local function doc_of(entry)
  local lines = { ("%s (%s)."):format(entry.title, entry.paper), "", "    " .. entry.formula:gsub(";   ", "\n    "), "", entry.property, "",
    "Use it: " .. entry.use, "", "Avoid: " .. entry.avoid }
  if entry.stacking ~= "" then lines[#lines + 1] = "" lines[#lines + 1] = "Stacking: " .. entry.stacking end
  return table.concat(lines, "\n")
end

for _, entry in ipairs(penalties.entries) do
  local specs_of = {}
  for _, p in ipairs(entry.parameters) do specs_of[p.name] = option_of(p) end
  penalties[entry.name] = public("ls.loss." .. entry.name, {
    page = "penalties", doc = doc_of(entry), returns = "loss object: loss(logits, target, { weight =, ignore_index =, reduction = })", example = entry.example,
    errors = entry.target == "label" and (entry.soft_when and ("a softened or mixed target without %s = true"):format(entry.soft_when) or "a softened or mixed target")
      .. (entry.data == "transition" and "; a transition matrix whose rows are no distributions, or (backward) that is nearly singular" or "") or nil,
    options = next(specs_of) and specs_of or nil,
  }, function(o)
    local self = { kind = entry.name, entry = entry, parameters = o or {} }
    if entry.data == "transition" then
      local given = o.transition
      self.transition = c.prepare(entry.name, raw.is_tensor(given) and raw.detach(given) or raw.from(given))
    end
    return setmetatable(self, entry.data == "classes" and Cals or Loss)
  end)
end

return penalties
