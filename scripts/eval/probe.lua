-- The linear probe. SPDX-License-Identifier: MIT
local c       = require "lsengine.c.probe"
local clabels = require "lsengine.c.labels"
local random  = require "lsengine.c.random"
local raw     = require "lsengine.c.tensor"
local options = require "lsengine.options"
local public  = require "lsengine.public"
local provenance = require "lsengine.provenance"
require "lsengine.labels"
require "lsengine.random"

local grid = { 10, 1, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6 }
local number = { type = "number", min = 0, below = math.huge }

-- The regularisations to try, the strongest first: each begins where the one before has ended, and ties go to the stronger.
local function strengths(given)
  if type(given) == "number" then return { options.check("probe", "l2", number, given) } end
  local list = {}
  for i = 1, rawlen(given) do list[i] = options.check("probe", ("l2[%d]"):format(i), number, given[i]) end
  if #list == 0 then public.raise("probe", "l2 is an empty table, at least one number is required") end
  table.sort(list, function(a, b) return a > b end)
  return list
end

-- validation = 0.2, or { features, labels }.
local function check_validation(v)
  if type(v) == "number" then
    if not (v > 0 and v < 1) then public.raise("probe", ("validation is %g, allowed is a share above 0 and below 1, or { features, labels }"):format(v)) end
    return
  end
  options.check("probe", "validation[1]", { type = "tensor" }, v[1])
  options.check("probe", "validation[2]", { type = "labels" }, v[2])
end

-- Rows of the training set that are held out, the same share of each class where it has two rows, at random.
local function held_out(y, share, stream)
  local n = #y
  local order, taken, kept, seen, total = random.permutation(stream, n), {}, {}, {}, {}
  for i = 1, n do total[y[i]] = (total[y[i]] or 0) + 1 end
  for i = 1, n do
    local row = order[i]
    local class = y[row]
    seen[class] = (seen[class] or 0) + 1
    local most = math.min(total[class] - 1, math.floor(share * total[class] + 0.5))
    local list = seen[class] <= most and taken or kept
    list[#list + 1] = row
  end
  return taken, kept
end

return public("ls.eval.probe", {
  page = "representation",
  doc = [[The linear probe: multinomial logistic regression from features to classes, judged on other rows; what a linear layer can read from a representation that is
not trained further. Features of the same data set tell of the classes trained on, those of another of transfer.

The objective is the mean of -log p_y plus l2/2·|W|², intercepts free (scikit-learn's C is 1/(N·l2)), minimised in double by L-BFGS until the gradient's
largest entry is below `tolerance`. Features are standardised by the mean and standard deviation of the training rows. Of several l2 the one that is best on
the validation rows is taken: by accuracy (ties by nll, then the stronger), or by nll. A share as `validation` is taken from the training rows by class, and
the chosen l2 is fitted again on all of them; without validation l2 must be one number. Deterministic. O(N·D·K) a sweep.]],
  errors = [[features of other widths, a label in test or validation of which no row was trained on, fewer than 2 classes, a NaN or infinite number, several l2 without
validation]],
  returns = [[a table: accuracy and nll on the test rows, l2, iterations, converged, gradient (its largest entry), objective, classes (labels, in the order of the columns),
logits (a tensor, test rows × classes), weight and bias (in the features' own units), tried (for each l2: l2, accuracy and nll on validation, iterations,
converged)]],
  example = [[local r = ls.eval.probe(model:features(data.train.x), data.train.y, model:features(data.test.x), data.test.y, { validation = 0.25 })
print(r.accuracy, r.l2, r.converged)]],
  { "train_features", type = "tensor", doc = "N×D" }, { "train_labels", type = "labels", doc = "N classes, any integers" },
  { "test_features", type = "tensor", doc = "M×D" }, { "test_labels", type = "labels", doc = "M classes, of those in training" },
  options = {
    validation  = { type = "number|table", doc = "a share of the training rows (0.2), or { features, labels }" },
    l2          = { type = "number|table", doc = "one strength, or a table of strengths to choose from; with validation 10, 1, … 1e-6 unless said" },
    choose_by   = { type = "string", default = "accuracy", choices = { "accuracy", "nll" }, doc = "on the validation rows" },
    standardise = { type = "boolean", default = true, doc = "divide by the standard deviation; the mean is always taken off" },
    tolerance   = { type = "number", default = 1e-5, above = 0, below = math.huge, doc = "of the gradient's largest entry" },
    iterations  = { type = "integer", default = 1000, min = 1, max = 1000000, doc = "at most, for each l2" },
    rng         = { type = "rng", doc = "for a share as validation: its stream \"probe validation\"; without it, that of seed 0" },
  },
}, function(x, y, test_x, test_y, o)
  local validation = o.validation
  if validation ~= nil then check_validation(validation) end
  if o.l2 == nil and validation == nil then public.raise("probe", "neither validation nor l2 is given: one is needed to know how strongly to regularise") end
  local list = strengths(o.l2 or grid)
  if #list > 1 and validation == nil then public.raise("probe", ("l2 has %d strengths but there is no validation to choose by"):format(#list)) end
  y, test_y = clabels.from(y), clabels.from(test_y)
  provenance.check_embedding(test_x)

  local function fit(features, labels, v_features, v_labels, l2)
    local r, tried, logits, weight, bias, classes = c.probe(features, labels, test_x, test_y, v_features, v_labels, l2, o.standardise, o.tolerance, o.iterations, o.choose_by == "accuracy")
    r.converged, r.iterations = r.converged == 1, math.tointeger(r.iterations)
    r.tried, r.logits, r.weight, r.bias, r.classes = tried, logits, weight, raw.reshape(bias, #classes), classes
    return r
  end
  if validation == nil then return fit(x, y, nil, nil, list) end
  if type(validation) == "table" then return fit(x, y, validation[1], clabels.from(validation[2]), list) end
  if raw.rank(x) ~= 2 or raw.size(x, 1) ~= #y then return fit(x, y, nil, nil, list) end -- refused there
  local taken, kept = held_out(y, validation, random.spawn(o.rng or random.seed(0), "probe validation"))
  if #taken == 0 then public.raise("probe", ("validation of %g takes no row: each class keeps one for training"):format(validation)) end
  taken, kept = clabels.from(taken), clabels.from(kept)
  local chosen = fit(raw.gather(x, kept), clabels.gather(y, kept), raw.gather(x, taken), clabels.gather(y, taken), list)
  local whole = fit(x, y, nil, nil, { chosen.l2 })
  whole.tried = chosen.tried
  return whole
end)
