-- Learning from a teacher: another model, or the average of this one. SPDX-License-Identifier: MIT
--
--   (1 - weight) CE(q, p) + weight T² KL(softmax(z_teacher/T) || softmax(z/T'))
-- T' = T unless said; the factor T² keeps the size of the gradient as T changes (Hinton et al. 2015), and can be left out. KL is the cross-entropy with the teacher's rows minus
-- that of the teacher with itself, so that weights and ignored rows act alike on both. The teacher's rows carry no gradient.
local c        = require "lsengine.c.loss"
local grad     = require "lsengine.c.autograd"
local raw      = require "lsengine.c.tensor"
local autograd = require "lsengine.autograd"
local average  = require "lsengine.average"
local losses   = require "lsengine.loss"
local objects  = require "lsengine.loss_object"
local options  = require "lsengine.options"
local provenance = require "lsengine.provenance"
local public   = require "lsengine.public"
local target   = require "lsengine.target"
local weights  = require "lsengine.weights"
require "lsengine.nn"
local raise    = public.raise

local distillation = {}

-- ---- what both share ----

-- A model's logits without a record, in evaluation mode.
local function logits_of(model, x)
  local _ <close> = autograd.pause()
  local was_training = rawget(model, "training")
  model:eval()
  local ok, out = pcall(model, x)
  if was_training then model:train() end
  if not ok then error(out, 0) end
  return out
end

-- The loss against a teacher's logits. `share` is the weight now.
local function against(self, logits, teacher, given, o, share)
  local p, who = self.parameters, self.kind
  if raw.rank(teacher) ~= 2 or raw.size(teacher, 1) ~= raw.size(logits, 1) or raw.size(teacher, 2) ~= raw.size(logits, 2) then
    raise(who, ("the teacher's logits have shape %s, the student's %s"):format(raw.shape_text(teacher), raw.shape_text(logits)))
  end
  local settings = { weight = o.weight, ignore_index = o.ignore_index, reduction = o.reduction, weighting = "lsengine" }
  local hard, t = losses.of(who, logits, given, settings)
  if share == 0 then return hard end
  local made = target.resolved(t, raw.size(logits, 2), { ignore = o.ignore_index, logits = logits })
  local cooled = raw.mul(raw.contiguous(raw.detach(teacher)), 1 / p.temperature)
  local rows = target.new{ dense = c.softmax(cooled), from = made.from or made.terms, row_weights = made.row_weights, history = {}, origin = "a teacher's rows" }
  local student_t = p.student_temperature or p.temperature
  local soft = losses.of(who, student_t == 1 and logits or logits * (1 / student_t), rows, settings)
  local own = c.cross_entropy(cooled, rows, o.weight, o.ignore_index, o.reduction, false, false)
  local factor = share * (p.squared and p.temperature ^ 2 or 1)
  local value = share == 1 and (soft - own) * factor or hard * (1 - share) + (soft - own) * factor
  local tag = {}
  for k, v in pairs(grad.tag(hard)) do tag[k] = v end
  tag.scheme = self
  grad.set_tag(value, tag)
  return value
end

local temperature = { name = "temperature", type = "number", default = 4, above = 0, below = math.huge, doc = "T: softens teacher and student" }
local squared = { name = "squared", type = "boolean", default = true, doc = "multiply by T²" }

local function register(name, entry, methods, make)
  local specs = {}
  for _, p in ipairs(entry.parameters) do specs[p.name] = p end
  entry.name = name
  distillation[#distillation + 1] = entry
  local lines = { ("%s (%s)."):format(entry.title, entry.paper), "", "    " .. entry.formula, "", entry.property, "", "Use it: " .. entry.use, "", "Avoid: " .. entry.avoid, "",
    "Stacking: " .. entry.stacking }
  methods.kind = name
  methods.__tostring = function(self) return objects.text(name, self.parameters) end
  return public("ls.loss." .. name, { page = "penalties", doc = table.concat(lines, "\n"), example = entry.example, options = specs,
    returns = "loss object: loss(logits, target, { inputs = x, weight =, ignore_index =, reduction = })", errors = entry.errors }, make)
end

-- ---- a teacher ----

local teaching = {}
local Distillation = objects.kind({}, teaching)
Distillation.needs_inputs = true

function teaching.value(self, logits, given, o)
  local teacher = self.teacher
  if not raw.is_tensor(teacher) then provenance.check_teacher(teacher, self.parameters.temperature) end
  if raw.is_tensor(teacher) then return against(self, logits, teacher, given, o, self.parameters.weight) end
  if not o.inputs then raise("distillation", "the inputs are missing, which the teacher needs: loss(logits, target, { inputs = x }); ls.train gives them") end
  return against(self, logits, logits_of(teacher, o.inputs), given, o, self.parameters.weight)
end

distillation.distillation = register("distillation", {
  title = "Distillation from a teacher", paper = "Hinton et al. 2015, Distilling the knowledge in a neural network, arXiv:1503.02531",
  formula = "(1 - weight) CE(q, p) + weight T² KL(softmax(z_teacher/T) || softmax(z/T))",
  property = "Weight 0 is the cross-entropy; a teacher whose logits are the student's has no divergence. Müller et al. 2019 take weight = 1, student_temperature = 1, squared = false.",
  use = "A small model that should come near a large one. On mixed or augmented batches the teacher sees what the student sees.",
  avoid = "A teacher that was trained with label smoothing, at temperatures above 1: what it knows of the wrong classes is erased (Müller et al. 2019; Shen et al. 2021 and Chandrasegaran et al. 2022 disagree: it depends on T).",
  stacking = "Beside smoothing or mixing of the labels softness adds up: the teacher is one already.",
  example = "local teacher = ls.nn.mlp({ 64, 10 }, { rng = rng })\nlocal loss = ls.loss.distillation{ teacher = teacher, temperature = 4, weight = 0.9 }\n"
    .. 'ls.train(ls.nn.mlp({ 64, 10 }, { rng = rng }), ls.data.load "digits".test, { loss = loss, epochs = 1, rng = rng, optimizer = ls.optim.sgd{ lr = 0.1 } })',
  errors = "a teacher of other classes than the student",
  parameters = { { name = "teacher", type = "model|tensor", required = true, doc = "a model, or the logits N×K of the rows at hand" }, temperature,
    { name = "weight", type = "number", default = 0.9, min = 0, max = 1, doc = "share of the teacher" },
    { name = "student_temperature", type = "number", above = 0, below = math.huge, doc = "of the student alone; T unless given" }, squared },
}, Distillation, function(o)
  local teacher = o.teacher
  o.teacher = nil
  return setmetatable({ parameters = o, teacher = raw.is_tensor(teacher) and raw.detach(teacher) or teacher }, Distillation)
end)

-- ---- the average of the model's own weights ----

local averaging = {}
local Mean = objects.kind({}, averaging)
options.type("mean_teacher", function(v) return getmetatable(v) == Mean end, "a loss of ls.loss.mean_teacher{…}")

function averaging.begin(self, model, list)
  self.model, self.list, self.steps, self.teacher = model, list, 0, nil
  self.average = average.new({ decay = self.parameters.decay }, list)
end

-- Before the student's forward pass: the average takes the place of the weights for a moment, which what is recorded must not see.
function averaging.prepare(self, x)
  self.teacher = nil
  if self.average.updates == 0 or self.parameters.weight == 0 then return end
  local _ <close> = self.average:lend()
  self.teacher = logits_of(self.model, x)
end

function averaging.after_step(self)
  self.steps = self.steps + 1
  self.average:update()
end

function averaging.value(self, logits, given, o)
  local p = self.parameters
  if not self.average then raise("mean_teacher", "no training has begun: give it to ls.train, or call :begin(model), then :prepare(x) before and :after_step() after each step") end
  local share = p.weight * (p.ramp_steps > 0 and math.min(1, self.steps / p.ramp_steps) or 1)
  local teacher = self.teacher
  self.teacher = nil
  if self.average.updates > 0 and share > 0 and not teacher then raise("mean_teacher", "call :prepare(x) before the model's forward pass; ls.train does") end
  return against(self, logits, teacher or logits, given, o, teacher and share or 0)
end

function averaging.state(self) return { steps = self.steps, updates = self.average.updates, values = self.average.values } end

function averaging.set_state(self, state)
  local list, values = self.list, state.values
  if math.type(state.steps) ~= "integer" or math.type(state.updates) ~= "integer" or (state.updates > 0) ~= (type(values) == "table") then error("the average of mean_teacher", 0) end
  for i, w in ipairs(state.updates > 0 and list or {}) do
    if not raw.is_tensor(values[i]) or not grad.same_shape(values[i], w.tensor) then error("the average of mean_teacher", 0) end
  end
  self.steps, self.average.updates, self.average.values = state.steps, state.updates, values
end

local by_hand = "local model = ls.nn.mlp({ 64, 10 }, { rng = rng })\nlocal loss = ls.loss.mean_teacher{}\nloss:begin(model)\n"
Mean.begin = public("mean_teacher:begin", {
  doc = "Begins a training by hand: the average is of this model's weights. ls.train does it.", returns = "nothing", example = by_hand,
  { "model", type = "model", doc = "whose weights are averaged" },
}, function(self, model) averaging.begin(self, model, weights.of(model)) end)

Mean.prepare = public("mean_teacher:prepare", {
  doc = "Asks the average for its logits of a batch, before the model's own forward pass. ls.train does it.", returns = "nothing",
  example = by_hand .. "loss:prepare(ls.tensor.zeros(4, 64))\nprint(loss(model(ls.tensor.zeros(4, 64)), { 0, 1, 2, 3 }))", { "x", type = "tensor", doc = "the batch" },
}, function(self, x)
  if not self.average then raise("prepare", "no training has begun: call :begin(model) first") end
  averaging.prepare(self, x)
end)

Mean.after_step = public("mean_teacher:after_step", {
  doc = "Takes the weights into the average, after a step of the optimizer. ls.train does it.", returns = "nothing", example = by_hand .. "loss:after_step()",
}, function(self)
  if not self.average then raise("after_step", "no training has begun: call :begin(model) first") end
  averaging.after_step(self)
end)

distillation.mean_teacher = register("mean_teacher", {
  title = "Exponential-average teacher (mean teacher)", paper = "Tarvainen & Valpola 2017, Mean teachers are better role models, arXiv:1703.01780; with KL in place of their squared error",
  formula = "(1 - w) CE(q, p) + w T² KL(softmax(z_average/T) || softmax(z/T)),   z_average: logits of the exponential moving average of the weights",
  property = "The average lives with one training and is part of its checkpoints. Until the first step there is no teacher.",
  use = "A teacher where there is none: it is this model, steadier.",
  avoid = "Few steps: with decay d the average reaches back about 1/(1 - d) of them. It costs a forward pass and two copies of the weights each step.",
  stacking = "Beside smoothing or mixing of the labels softness adds up.",
  example = "local loss = ls.loss.mean_teacher{ decay = 0.99, weight = 0.5 }\n"
    .. 'ls.train(ls.nn.mlp({ 64, 10 }, { rng = rng }), ls.data.load "digits".test, { loss = loss, epochs = 1, rng = rng, optimizer = ls.optim.sgd{ lr = 0.1 } })',
  parameters = { { name = "decay", type = "number", default = 0.999, min = 0, below = 1, doc = "what a step keeps of the average" },
    { name = "weight", type = "number", default = 0.5, min = 0, max = 1, doc = "share of the teacher" },
    { name = "ramp_steps", type = "integer", default = 0, min = 0, max = 2^53, doc = "steps over which the share grows from 0" },
    { name = "temperature", type = "number", default = 1, above = 0, below = math.huge, doc = "T: softens teacher and student" }, squared },
}, Mean, function(o) return setmetatable({ parameters = o }, Mean) end)

return distillation
