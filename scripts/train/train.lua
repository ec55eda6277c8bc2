-- Training. SPDX-License-Identifier: MIT
--
-- A run holds all that a training is besides the model: where it stands, its optimizer, averages, the best epoch, the history.
-- One step of the optimizer takes the gradient of `accumulate` batches.
local raw      = require "lsengine.c.tensor"
local grad     = require "lsengine.c.autograd"
local clabels  = require "lsengine.c.labels"
local random   = require "lsengine.c.random"
local system   = require "lsengine.c.system"
local augment  = require "lsengine.augment"
local autograd = require "lsengine.autograd"
local average  = require "lsengine.average"
local checkpoint = require "lsengine.checkpoint"
local evaluate = require "lsengine.evaluate"
local histories = require "lsengine.history"
local losses   = require "lsengine.loss"
local objects  = require "lsengine.loss_object"
local mix      = require "lsengine.mix"
local optim    = require "lsengine.optim"
local options  = require "lsengine.options"
local plain    = require "lsengine.plain_steps"
local pitfalls = require "lsengine.pitfalls"
local public   = require "lsengine.public"
local module   = require "lsengine.module"
local provenance = require "lsengine.provenance"
local stopping = require "lsengine.stopping"
local weights  = require "lsengine.weights"
local targets  = require "lsengine.target"
local tidy     = require "lsengine.tidy"
local data     = require "lsengine.data"
require "lsengine.nn"
local raise, clock = public.raise, system.clock

local specs = {
  target    = { type = "scheme", doc = "how labels are softened (ls.target.…); as they are without it" },
  mix       = { type = "mix", doc = "mixes each batch (ls.mix.…), before the target scheme softens; its draws come from the stream \"mixing\". A last batch of one row is not mixed; a mix of one's own is told epoch, step and classes" },
  loss      = { type = "callable", doc = "function(logits, target) → a one-element tensor, or a loss object (ls.loss.focal{…}); cross-entropy without it" },
  epochs    = { type = "number", required = true, min = 0, below = math.huge, doc = "passes over the data; a fraction ends within one" },
  batch     = { type = "integer", default = 128, min = 1, max = 2^31 - 1, doc = "rows of a batch" },
  drop_last = { type = "boolean", default = false, doc = "leave out an epoch's last batch where it is smaller than the others (batch norm cannot take one row alone)" },
  rng       = { type = "rng", required = true, doc = "the order of rows comes from its stream \"order\"" },
  optimizer = { type = "optimizer", required = true, doc = "a recipe (ls.optim.sgd{…}), or an optimizer of this model's parameters" },
  schedule  = { type = "schedule", doc = "of the learning rate (ls.optim.cosine{…})" },
  clip_norm = { type = "number", above = 0, doc = "the most that the gradients' joint norm may be; acts on what a step takes, after accumulation" },
  allow     = { type = "table", doc = "names of pitfalls that are meant" },
  on_epoch  = { type = "callable", doc = "function(epoch, metrics), after each epoch; metrics is its entry of the history" },
  on_batch  = { type = "callable", doc = "function(step, { loss =, learning_rate = }), after each step of the optimizer, counted from 1" },
  validation     = { type = "dataset", doc = "rows that are judged after each epoch: the metrics of ls.evaluate are added to the epoch's" },
  evaluate_every = { type = "integer", default = 1, min = 1, max = 2^31 - 1, doc = "epochs from one evaluation of the validation rows to the next; the last epoch always has one" },
  early_stopping = { type = "table", options = stopping.options, doc = "ends training where a metric gets no better, and goes back to the best epoch" },
  class_weights  = { type = "tensor|table|string", choices = { "balanced" },
    doc = "a number for each class: the weight of its rows in the cross-entropy; \"balanced\": N/(K·rows of the class) of the training rows, 0 for a class without rows" },
  accumulate     = { type = "integer", default = 1, min = 1, max = 2^31 - 1,
    doc = "batches whose gradients make one step, averaged by the weights of their rows: the step of one batch as large as all of them, up to rounding" },
  augment        = { type = "augmentation|table", doc = "an augmentation of the inputs (ls.augment.…), or a table of several, which act in their order" },
  checkpoint     = { type = "table", options = checkpoint.options, doc = "keeps the training in a file, from which an interrupted one goes on, to the same bits" },
  average        = { type = "table", options = average.options, doc = "exponential moving average of the weights; the validation rows are judged with it" },
}

local option_names = {}
for name in pairs(specs) do option_names[#option_names + 1] = name end
table.sort(option_names)

local DIVERGED = "training has diverged: a lower learning rate, or clip_norm, may help"

-- ---- loss ----

-- Cross-entropy of the model's logits, or another loss of the library; logits that are no numbers any more are the training's fault.
-- `needs_inputs`: the loss wants the batch that the logits are of.
local function of_logits(loss, class_weights, needs_inputs)
  local given = (class_weights or needs_inputs) and { weight = class_weights } or nil
  return function(logits, target, x)
    if needs_inputs then given.inputs = x end
    local ok, value = pcall(loss, logits, target, given)
    if ok then return value end
    if type(value) == "string" and (value:find("logits%[%d+%] is NaN") or value:find("logits%[%d+%] is %+inf")) then value = value .. ": " .. DIVERGED end
    error(value, 0)
  end
end

local function check_loss(value)
  if not raw.is_tensor(value) or raw.count(value) ~= 1 then
    raise("train", ("the loss is %s, a one-element tensor is required"):format(
      raw.is_tensor(value) and "of shape " .. raw.shape_text(value) or type(value)))
  end
  local number = raw.item(value)
  if number ~= number or number == math.huge then
    raise("train", ("the loss is %s: %s"):format(number, DIVERGED))
  end
  return number
end

local function balanced(dataset)
  local counts, n, list = {}, #dataset.y, {}
  for i = 1, n do
    local y = dataset.y[i]
    counts[y] = (counts[y] or 0) + 1
  end
  for k = 0, dataset.classes - 1 do list[k + 1] = counts[k] and n / (dataset.classes * counts[k]) or 0.0 end
  return list
end

local function read_class_weights(given, dataset, loss)
  if given == nil then return nil end
  if loss then raise("train", "class_weights belong to the cross-entropy, but option loss is given: weigh there") end
  if not dataset.classes or not clabels.is_labels(dataset.y) then raise("train", "class_weights need labels, the training rows have none") end
  if given == "balanced" then given = balanced(dataset) end
  local w = raw.is_tensor(given) and raw.contiguous(raw.detach(given)) or raw.from(given)
  if raw.rank(w) ~= 1 or raw.count(w) ~= dataset.classes then
    raise("train", ("class_weights have shape %s, one number for each of %d classes is required"):format(raw.shape_text(w), dataset.classes))
  end
  local sum = 0
  for k = 1, #w do
    local x = w[k]
    if not (x >= 0 and x < math.huge) then raise("train", ("the class weight of class %d is %g, allowed is any finite number from 0"):format(k - 1, x)) end
    sum = sum + x
  end
  if sum == 0 then raise("train", "class_weights are all 0") end
  return w
end

-- ---- a run ----

local Run = {}
Run.__index = Run

local function new_run(model, dataset, o)
  local rows = #dataset.y
  if rows == 0 then raise("train", "the data set has no rows") end
  local optimizer = o.optimizer
  if getmetatable(optimizer) == optim.Recipe then optimizer = optimizer:build(model:parameters()) end
  local own = {}
  for _, p in ipairs(model:parameters()) do own[p] = true end
  for _, p in ipairs(optimizer.parameters) do own.shared = own.shared or own[p] end
  if not own.shared then raise("train", "the optimizer holds no parameter of this model: build it of model:parameters(), or give the options alone (ls.optim.sgd{…})") end
  local sum = raw.item(raw.sum(dataset.x)) -- NaN or infinite where any number is
  if sum ~= sum or sum == math.huge or sum == -math.huge then
    for i = 1, rows do
      local part = raw.item(raw.sum(raw.narrow(dataset.x, 1, i, 1)))
      if part ~= part or part == math.huge or part == -math.huge then raise("train", ("row %d of the training data holds NaN or infinite numbers (or too large ones)"):format(i)) end
    end
  end
  local self = setmetatable({
    model = model, dataset = dataset, o = o, optimizer = optimizer, base_rate = optimizer.lr, history = histories.new(),
    step = 0, epoch = 1, within = 0, sum = 0, weight = 0, seconds = 0, -- steps in all; this epoch's number, batches, losses, time
    pairs = 0, same = 0, -- this epoch's mixed batches, their rates of pairs of one class
  }, Run)
  self.batches = o.drop_last and rows // o.batch or math.ceil(rows / o.batch)
  if self.batches == 0 then raise("train", ("drop_last leaves no batch: the data set has %d rows, a batch %d"):format(rows, o.batch)) end
  self.steps = math.ceil(self.batches / o.accumulate)
  self.total = math.floor(o.epochs * self.steps + 0.5)
  self.class_weights = read_class_weights(o.class_weights, dataset, o.loss)
  if not o.loss and raw.is_tensor(dataset.y) then
    raise("train", "the training rows have numbers, not classes: give loss = function(output, y) return ls.loss.mse(output, y) end")
  end
  if o.target and raw.is_tensor(dataset.y) then
    pitfalls.raise("smoothing-regression", ("train was given the target scheme %s for rows that have numbers, not classes: softening means nothing there"):format(tostring(o.target)))
  end
  self.loss = o.loss or losses.cross_entropy
  local object = options.knows_type "loss object" and options.is("loss object", o.loss)
  if not o.loss or object then self.loss = of_logits(self.loss, self.class_weights, object and o.loss.needs_inputs) end
  if dataset.features_of then provenance.check_embedding(dataset.features_of) end
  self.weights = weights.of(model)
  if o.accumulate == 1 and not o.clip_norm and not o.on_batch then self.take = optim.taker(optimizer) end -- otherwise all gradients are wanted at once
  self:begin(object)
  if o.checkpoint then self.checkpoint = checkpoint.new(self, option_names) end
  self.augmentations = augment.list("train", o.augment)
  self.streams = {} -- of augmentation, mixing, …: a checkpoint keeps what is in here
  for i, a in ipairs(self.augmentations) do self.streams[i] = augment.stream(a, o.rng) end
  if o.early_stopping then self.stopping = stopping.new(o.early_stopping, o.validation ~= nil) end
  if o.average then self.average = average.new(o.average, self.weights) end
  if o.mix then
    self.mixing = o.rng:spawn "mixing"
    self.streams[#self.streams + 1] = self.mixing
  end
  if self.scheme and self.scheme.traits.needs_random then
    self.scheme.training.rng = o.rng:spawn "softening"
    self.streams[#self.streams + 1] = self.scheme.training.rng
  end
  return self
end

-- Schemes and losses that live with a training begin anew: what they saw in another one is forgotten.
function Run:begin(object)
  local o = self.o
  if o.target and o.target.engine then
    self.scheme = o.target
    self.scheme:begin_training{ epochs = o.epochs, examples = #self.dataset.y }
  end
  local functions = object and objects.functions(o.loss)
  if functions and functions.state then self.living = functions end
  if functions and functions.begin then
    if o.mix and o.mix.kind == "manifold" and functions.prepare then raise("train", ("%s asks its teacher about inputs, which manifold mixup does not mix: another mix, or none"):format(o.loss.kind)) end
    functions.begin(o.loss, self.model, self.weights)
  end
end

-- Rows of the training data as the model gets them, and the target of the loss: augmentation first, then mixing, then softening; and what the model made of them where mixing
-- has called it. The rows are the run's own copy: they may be mixed in place.
function Run:prepare(positions)
  local o, stream, output, info = self.o, self.mixing, nil, nil
  local x, y = data.gather(self.dataset.x, positions), data.gather(self.dataset.y, positions)
  if self.scheme then
    self.scheme:set_epoch(self.epoch - 1 + self.within / self.batches)
    if self.scheme.traits.needs_positions then
      y = targets.from("train", y)
      y = targets.new{ terms = targets.at_rows("train", y, positions), history = y.history }
    end
  end
  for i, a in ipairs(self.augmentations) do x = augment.apply(a, x, self.streams[i]) end
  if stream and #y > 1 then
    if o.mix.kind == "manifold" then output, y, info = mix.forward(o.mix, self.model, x, y, stream)
    else x, y, info = mix.apply(o.mix, x, y, stream, true, { epoch = self.epoch, step = self.step + 1, classes = self.dataset.classes }) end
    if info.same_class then self.pairs, self.same = self.pairs + 1, self.same + info.same_class end
  end
  return x, o.target and o.target(y) or y, output
end

-- What this training's losses are measured against: the first softened target, or the first one.
function Run:look(tag)
  if not tag.target then return end
  local soft = targets.is_soft(tag.target)
  if self.tag and not soft then return end
  self.tag, self.softened, self.about = tag, soft, provenance.about(tag)
end

-- What the model and the history know of the training afterwards.
function Run:remember()
  local o, entry = self.o, provenance.entry(self.about, self.dataset)
  local choosing = o.early_stopping and self.stopping.o.restore_best and self.stopping.o.metric ~= "loss"
  entry.epochs, entry.best_epoch = #self.history, self.history.best_epoch
  entry.used = setmetatable({ rows = self.dataset.x, chosen = choosing and #self.history > 1 and o.validation.x or nil }, { __mode = "v" })
  provenance.trained(self.model, entry, module.visit)
  provenance.mark_history(self.history, self.about)
end

-- The rate of this step.
function Run:set_rate()
  if self.o.schedule then self.optimizer.lr = self.base_rate * self.o.schedule:factor(self.step / self.steps, self.total / self.steps) end
end

-- The gradient of one batch, added to what is gathered; `scaled` by the batch's weight where several make a step.
function Run:gather(positions, scaled)
  local x, y, output = self:prepare(positions)
  local number, weight
  if self.layers then number, weight = plain.gradients(self, x, y) end
  if number then
    self:set_rate()
    return number, weight
  end
  if self.living and self.living.prepare then self.living.prepare(self.o.loss, x) end
  local value = self.loss(output or self.model(x), y, x)
  number = check_loss(value)
  local tag = grad.tag(value)
  if tag and not self.softened then self:look(tag) end
  weight = tag and tag.weight_sum or #positions -- what it counts for among others: the denominator of its mean; of a loss that does not tell it, the rows
  if not self.gathered then self.optimizer:zero_grad() end
  self.gathered, self.taped = true, true
  self:set_rate()
  autograd.backward(value, scaled and raw.full(weight, raw.shape(value)) or nil, false, self.take)
  return number, weight
end

-- Positions of the rows of batch `number`, from 0.
function Run:positions(number)
  local size = self.o.batch
  return clabels.narrow(self.rows, number * size + 1, math.min(size, #self.rows - number * size))
end

-- One step of the optimizer on the next batches.
function Run:make_step(members)
  local o, optimizer, sum, weight = self.o, self.optimizer, 0, 0
  self.gathered = false
  for i = 0, members - 1 do
    local number, w = self:gather(self:positions(self.within + i), members > 1)
    sum, weight = sum + number * w, weight + w
    if members > 1 then tidy() end
  end
  if members > 1 and weight > 0 then
    for _, p in ipairs(optimizer.parameters) do
      local g = grad.grad(p)
      if g then raw.mul_(g, 1 / weight) end
    end
  end
  if o.clip_norm then optim.clip_norm(optimizer.parameters, o.clip_norm) end
  optimizer:step()
  if self.living and self.living.after_step then self.living.after_step(o.loss) end
  return sum, weight
end

-- The next step, or several where nothing is due between them.
function Run:advance()
  local o, optimizer, made, members = self.o, self.optimizer, 0, math.min(self.o.accumulate, self.batches - self.within)
  if self.taped and (self.layers == nil or o.on_batch) then plain.plan(self) end
  if self.layers then made, self.sum, self.weight = plain.stride(self) end
  local sum, weight = 0, 0
  if made == 0 then
    sum, weight = self:make_step(members)
    made, self.sum, self.weight = 1, self.sum + sum, self.weight + weight
  end
  self.step, self.within = self.step + made, self.within + made * members
  if self.average and self.step > o.average.start * self.steps then self.average:update() end
  if o.on_batch then o.on_batch(self.step, { loss = weight > 0 and sum / weight or 0.0, learning_rate = optimizer.lr }) end
  optimizer:zero_grad()
  tidy()
end

-- Judges the validation rows, with the averaged weights where there are any.
function Run:evaluate(entry)
  local _ <close> = self.average and self.average:lend()
  for name, value in pairs(evaluate(self.model, self.o.validation)) do
    if entry[name] == nil then entry[name] = value end
  end
end

-- What the model is given in the end: the averaged weights, or those of the last step.
function Run:keep_best()
  local _ <close> = self.average and self.o.average.keep == "average" and self.average:lend()
  self.stopping:keep(self.weights)
end

-- Closes an epoch: its entry of the history; true where training ends here.
function Run:finish_epoch()
  local o, history, stop = self.o, self.history, self.stopping
  local entry = { epoch = self.epoch, loss = self.weight > 0 and self.sum / self.weight or 0.0, seconds = self.seconds, learning_rate = self.optimizer.lr }
  if self.scheme then self.scheme:end_epoch() end
  if self.tag then provenance.note(entry.loss, self.tag) end
  if self.pairs > 0 then entry.same_class_pairs = self.same / self.pairs end
  local over = self.step >= self.total
  local judged = o.validation and (self.epoch % o.evaluate_every == 0 or over)
  if judged then self:evaluate(entry) end
  history[#history + 1] = entry
  if stop and (judged or stop.o.metric == "loss") then
    if stop:look(entry) and stop.o.restore_best then self:keep_best() end
    history.best_epoch = stop.best_epoch
    if not over and stop:is_over() then
      history.stopped_at = self.epoch
      over = true
    end
  end
  if o.on_epoch then o.on_epoch(entry.epoch, entry) end
  self.epoch, self.within, self.sum, self.weight, self.seconds, self.pairs, self.same = self.epoch + 1, 0, 0, 0, 0, 0, 0
  return over
end

-- The order of this epoch's rows. Within one that a checkpoint was written in it is drawn again.
function Run:draw_order()
  local rng, now = self.o.rng, nil
  if self.within > 0 then
    now = random.state(rng)
    random.set_state(rng, self.order)
  elseif self.checkpoint then
    self.order = random.state(rng)
  end
  self.rows = rng:spawn "order":permutation(#self.dataset.y)
  if now then random.set_state(rng, now) end
end

function Run:run_epoch()
  local due, before, started = false, self.seconds, clock()
  self:draw_order()
  self.layers = nil
  while self.step < self.total and self.within < self.batches do
    self:advance()
    self.seconds = before + clock() - started
    due = due or self.checkpoint and self.checkpoint:is_due()
    if due and self.step < self.total and self.within < self.batches then
      self.checkpoint:save(false)
      due = false
    end
  end
  local over = self:finish_epoch()
  if due and not over then self.checkpoint:save(false) end
  return over
end

-- The weights that the model is to have in the end.
function Run:settle()
  local stop, mean = self.stopping, self.average
  if stop and stop.weights then
    weights.put(self.weights, stop.weights)
  elseif mean and mean.updates > 0 and self.o.average.keep == "average" then
    weights.put(self.weights, mean.values)
  end
end

local train = public("ls.train", {
  doc = [[Trains a model on a data set. The order of rows, drawn anew each epoch, comes from a stream of its own, so that arms that differ in
their targets see the same batches. With validation rows their metrics stand in each epoch's entry of the history; `loss` is always the training
loss, the mean over the epoch's rows as they were trained on. Callbacks see the model with its weights of then, not with averaged ones.

Large parameters are changed on the way back, each as soon as its gradient is complete, and that is forgotten: all gradients are not in memory at once. (An error within a step may
so leave some of them changed.) Where they are wanted together they wait, to the same bits: with on_batch, which may look at them, clip_norm and accumulate.

With `checkpoint`, all that the training is goes into a file every so often: weights and buffers, the optimizer, all random streams, averages, the
best epoch, the history. Where the file exists, ls.train goes on from it and ends with the same bits as if it had never been interrupted (killed,
Ctrl-C, no power): the model, the history (but for seconds), rng. A finished one is not trained again. The file is replaced whole or not at all. It belongs to
one training: with other options, data, model or seed it is refused. What functions of one's own keep (loss, callbacks) is not in it, and
callbacks are called again for steps after the last checkpoint.]],
  errors = "a loss that is NaN or infinite (training has diverged), a data set without rows, a label that is no class of the model, early stopping by a metric that is not measured, a checkpoint that is damaged, belongs to another training, or cannot be written",
  returns = "history: entries { epoch =, loss =, seconds =, learning_rate =, metrics of the validation rows… }; with early stopping, history.best_epoch and, where it stopped, history.stopped_at",
  example = [[local history = ls.train(model, data.train, { target = ls.target.uniform(0.1), epochs = 40, batch = 64, rng = rng,
  optimizer = ls.optim.sgd{ lr = 0.1, momentum = 0.9 },
  validation = data.validation, early_stopping = { metric = "nll", patience = 3 } })
print(history, history.best_epoch)]],
  { "model", type = "model", doc = "is changed" }, { "data", type = "dataset", doc = "training rows" },
  options = specs,
}, function(model, dataset, o)
  local _ <close> = pitfalls.allow("train", o.allow)
  local run = new_run(model, dataset, o)
  if not (run.checkpoint and run.checkpoint:resume()) then
    model:train()
    local over = run.step >= run.total
    while not over do over = run:run_epoch() end
    run:settle()
    if run.checkpoint then run.checkpoint:save(true) end
  end
  run:remember()
  for _, p in ipairs(run.optimizer.parameters) do grad.set_grad(p, nil) end
  run.optimizer.lr = run.base_rate
  model:eval()
  return run.history
end)

return train
