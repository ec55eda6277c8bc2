-- Measures of classification: ls.eval.classification. SPDX-License-Identifier: MIT
local c           = require "lsengine.c.judging"
local raw         = require "lsengine.c.tensor"
local autograd    = require "lsengine.autograd"
local loss        = require "lsengine.loss"
local predictions = require "lsengine.predictions"
local public      = require "lsengine.public"

local Classification = {}
Classification.__index, Classification.__name = Classification, "classification"

local BINS = { bins = 15, kind = "equal_width", edges = "left", rounding = "product", ties = "shared" }
local SHOWN = 20 -- classes in print

local function number(x) return x and ("%.4f"):format(x) or "-" end

function Classification:__tostring()
  local out = {
    ("%d rows, %d classes"):format(self.rows, self.class_count),
    ("accuracy            %s   (%g %% interval %s to %s, Clopper and Pearson)"):format(number(self.accuracy), 100 * self.level, number(self.accuracy_low), number(self.accuracy_high)),
    ("balanced accuracy   %s   (mean recall of the classes that have rows)"):format(number(self.balanced_accuracy)),
  }
  local tops = {}
  for k in pairs(self.top_k) do tops[#tops + 1] = k end
  table.sort(tops)
  for _, k in ipairs(tops) do out[#out + 1] = ("%-20s%s"):format(("top-%d accuracy"):format(k), number(self.top_k[k])) end
  out[#out + 1] = ("nll                 %s   nats"):format(number(self.nll))
  local m = self.murphy
  out[#out + 1] = ("brier               %s   = reliability %s - resolution %s + uncertainty %s + within bins %s"):format(number(self.brier), number(m.reliability),
    number(m.resolution), number(m.uncertainty), number(m.within_variance - m.within_covariance))
  if self.excess_loss then out[#out + 1] = ("loss over its floor %s   nats: loss %s, entropy of the target %s"):format(number(self.excess_loss), number(self.loss), number(self.target_entropy)) end
  out[#out + 1] = ("macro               precision %s, recall %s, F1 %s"):format(number(self.macro_precision), number(self.macro_recall), number(self.macro_f1))
  out[#out + 1] = "class     rows  predicted  precision  recall      F1"
  for k = 0, math.min(self.class_count, SHOWN) - 1 do
    local s = self.classes[k]
    out[#out + 1] = ("%5d %8d %10d %10s %7s %7s"):format(k, s.count, s.predicted, number(s.precision), number(s.recall), number(s.f1))
  end
  if self.class_count > SHOWN then out[#out + 1] = ("… %d more"):format(self.class_count - SHOWN) end
  return table.concat(out, "\n")
end

local function top_list(given, classes)
  if type(given) == "table" then
    for i = 1, #given do
      if math.type(given[i]) ~= "integer" or given[i] < 1 or given[i] > 2^31 - 1 then
        public.raise("classification", ("top_k[%d] is %s, an integer from 1 is required"):format(i, require "lsengine.c.system".describe(given[i])))
      end
    end
    return given
  end
  return { given or math.min(5, math.max(1, classes - 1)) }
end

return public("ls.eval.classification", {
  page = "judging",
  doc = [[How well predictions of any framework name their classes. The result is a table with

- `rows`, `class_count`, `accuracy` with its interval `accuracy_low`, `accuracy_high`; the prediction is the first largest entry of a row
- `balanced_accuracy`: mean recall of the classes that have rows; `macro_precision`, `macro_recall`, `macro_f1`: means over the classes that are
  labels or predictions, 0 where undefined (scikit-learn's convention)
- `top_k`: by k, the share of rows whose label is among the k largest entries, ties to the lower class
- `nll`: mean of -log p_y in nats, one-hot whatever the training target was; inf where something given the probability 0 came true
- `brier`: mean of Σ (p_k - [y=k])², 0 … 2, and `murphy`, its decomposition over 15 bins of equal width, summed over classes (Murphy 1973;
  Stephenson et al. 2008): brier = reliability - resolution + uncertainty + within_variance - within_covariance
- `classes[k]`, k from 0: count, predicted, right, precision, recall, f1, nll, brier of class k; nil where undefined
- `confusion`: K×K tensor of counts, row: label, column: prediction (row 1 is class 0)
- with `target`: `loss` (mean cross-entropy with the target), `target_entropy` (its floor), `excess_loss` (loss minus floor)

`print(result)` shows it. Everything is computed in double from the float32 numbers. O(N·K).]],
  errors = "a label that is no class, a NaN or +inf logit, a label on a masked class, probabilities that are none, no row left",
  returns = "table", example = "local m = ls.eval.classification(logits, labels, { top_k = { 1, 3 } })\nprint(m.accuracy, m.top_k[3], m.classes[0].recall)",
  predictions.logits, predictions.labels,
  options = predictions.options{
    top_k = { type = "integer|table", doc = "one k, or a list of them; 5 (K-1 where that is less) unless given" },
    target = { type = "target", doc = "what the model was trained on, for these rows: a scheme's target, soft rows" },
    confusion = { type = "boolean", doc = "whether to make the confusion matrix; unless given, up to 1000 classes" },
    level = { type = "number", default = 0.95, above = 0, below = 1, doc = "of the interval" },
  },
}, function(logits, labels, o)
  local z, y, probabilities, temperature, ignore = predictions.arguments("classification", logits, labels, o)
  local classes = raw.rank(z) == 2 and raw.size(z, 2) or 0
  local tops = top_list(o.top_k, classes)
  local confusion = o.confusion
  if confusion == nil then confusion = classes <= 1000 end
  local judged = c.judge(z, y, probabilities, temperature, ignore, { name = "classification", classification = { top_k = tops, confusion = confusion }, classwise = BINS })
  local r, w = judged.classification, judged.classwise
  r.classes, r.confusion, r.class_count, r.top_k, r.level = judged.classes, judged.confusion, classes, {}, o.level
  for i, k in ipairs(tops) do r.top_k[k] = judged.top_k[i] end
  r.accuracy_low, r.accuracy_high = c.interval(r.accuracy * r.rows, r.rows, o.level)
  r.murphy = { reliability = w.reliability, resolution = w.resolution, uncertainty = w.uncertainty, within_variance = w.within_variance, within_covariance = w.within_covariance }
  if o.target then
    local _ <close> = autograd.pause()
    local scaled = predictions.logits_of(logits, o)
    if o.temperature then scaled = raw.mul(scaled, 1 / o.temperature) end
    r.loss = loss.cross_entropy(scaled, o.target, { ignore_index = o.ignore_index }):item()
    r.excess_loss = loss.kl_divergence(scaled, o.target, { ignore_index = o.ignore_index }):item()
    r.target_entropy = r.loss - r.excess_loss
  end
  return setmetatable(r, Classification)
end)
