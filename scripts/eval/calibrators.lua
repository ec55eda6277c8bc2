-- Calibrators: ls.eval.temperature_scaling and kin. SPDX-License-Identifier: MIT
--
-- A calibrator is { kind =, classes =, … } with numbers alone, so that saving it is writing it as JSON.
local c           = require "lsengine.c.calibrators"
local json        = require "lsengine.c.json"
local labels_c    = require "lsengine.c.labels"
local raw         = require "lsengine.c.tensor"
local softmax     = require "lsengine.c.loss".softmax
local system      = require "lsengine.c.system"
local options     = require "lsengine.options"
local predictions = require "lsengine.predictions"
local public      = require "lsengine.public"
local raise       = public.raise

local Calibrator = {}
Calibrator.__index, Calibrator.__name = Calibrator, "calibrator"
options.type("calibrator", function(v) return getmetatable(v) == Calibrator end, "a calibrator (ls.eval.temperature_scaling(logits, labels), …)")

local calibrators = {}

local parametric = { temperature_scaling = true, vector_scaling = true, matrix_scaling = true }

local function number(x) return math.type(x) and ("%.6g"):format(x) or tostring(x) end

function Calibrator:__tostring()
  local what = ("%s for %s classes"):format(tostring(self.kind), tostring(self.classes))
  if self.temperature then return ("%s: temperature %s, NLL %s -> %s"):format(what, number(self.temperature), number(self.nll_before), number(self.nll)) end
  if parametric[self.kind] then return ("%s: NLL %s -> %s in %s steps%s"):format(what, number(self.nll_before), number(self.nll), tostring(self.steps), self.converged and "" or ", not converged") end
  return ("%s (%s)"):format(what, tostring(self.method))
end

local function check_matrix(who, given, classes)
  if raw.rank(given) ~= 2 then raise(who, ("logits have shape %s, a matrix (rows × classes) is required"):format(raw.shape_text(given))) end
  if classes and raw.size(given, 2) ~= classes then raise(who, ("logits have %d classes, the calibrator was fitted on %d"):format(raw.size(given, 2), classes)) end
end

-- The calibrated logits of a parametric calibrator.
local function scaled(self, z)
  if self.kind == "temperature_scaling" then return raw.mul(z, 1 / self.temperature) end
  return c.apply_affine(z, self.kind == "matrix_scaling", self.weights, self.biases)
end

local function column(p, k) return raw.contiguous(raw.select(p, 2, k + 1)) end

local function map(self, fit, x)
  if type(fit) ~= "table" then raise("calibrator", "the calibrator lacks the map of a class: its fields were changed after it was fitted") end
  if self.kind == "isotonic_regression" then return c.apply_isotonic(x, fit[1], fit[2]) end
  return c.apply_bins(x, fit[1], fit[2])
end

-- Columns mapped one by one, then rows made to sum to 1; a row of zeros becomes uniform.
local function one_vs_rest(self, p)
  local columns = {}
  for k = 0, self.classes - 1 do columns[k + 1] = raw.unsqueeze(map(self, self.fits[k + 1], column(p, k)), 2) end
  local out = raw.cat(columns, 2)
  local sum = raw.unsqueeze(raw.sum(out, 2), 2)
  local none = raw.eq(sum, 0)
  return raw.div(raw.add(out, raw.mul(none, 1 / self.classes)), raw.add(sum, none))
end

local function new_confidences(self, p)
  local confidence, predicted = c.top(p)
  if self.method == "confidence" then return map(self, self.fits[1], confidence), predicted end
  local out = raw.clone(confidence)
  for k = 0, self.classes - 1 do -- each predicted class has a map of its own
    local mapped = map(self, self.fits[k + 1], confidence)
    for i = 1, #predicted do if predicted[i] == k then out[i] = mapped[i] end end
  end
  return out, predicted
end

Calibrator.__call = system.public(function(self, logits, o, ...)
  if select("#", ...) > 0 then raise("calibrator", "at most logits and options are taken") end
  if logits == nil then raise("calibrator", "the logits are missing: calibrator(logits)") end
  options.check("calibrator", "logits", { type = "tensor" }, logits)
  o = options.read("calibrator", { probabilities = { type = "boolean", default = false } }, o)
  check_matrix("calibrator", logits, self.classes)
  local z = predictions.logits_of(logits, o)
  if parametric[self.kind] then return softmax(scaled(self, z)) end
  local p = o.probabilities and raw.detach(logits) or softmax(z)
  if self.method == "one_vs_rest" then return one_vs_rest(self, p) end
  local confidence, predicted = new_confidences(self, p)
  return c.replace_top(p, predicted, confidence)
end)

Calibrator.logits = public("calibrator:logits", {
  doc = "The calibrated logits of temperature, vector and matrix scaling: they keep what probabilities near 1 lose, so judge these where you can.",
  returns = "tensor (N×K)", errors = "a calibrator that maps probabilities",
  example = "local t = ls.eval.temperature_scaling(logits, labels)\nprint(ls.eval.calibration(t:logits(logits), labels).ece)",
  { "logits", type = "tensor", doc = "N×K" },
}, function(self, logits)
  if not parametric[self.kind] then raise("logits", ("%s maps probabilities, it has no logits"):format(tostring(self.kind))) end
  check_matrix("logits", logits, self.classes)
  return scaled(self, raw.detach(logits))
end)

Calibrator.confidences = public("calibrator:confidences", {
  doc = [[The calibrated confidence that each prediction is right, and the prediction, which is that of the logits given. Isotonic regression and histogram binning of
"confidence" or "top_label" say nothing else: in their probabilities another class may have come out on top where the confidence is low.]],
  returns = "tensor (N), label vector", example = 'local confidence, predicted = ls.eval.isotonic_regression(logits, labels, { method = "confidence" }):confidences(logits)',
  { "logits", type = "tensor", doc = "N×K" },
}, function(self, logits)
  check_matrix("confidences", logits, self.classes)
  if parametric[self.kind] or self.method == "one_vs_rest" then
    return c.top(self(logits))
  end
  return new_confidences(self, softmax(raw.detach(logits)))
end)

-- io.open would stop at a zero byte, and open another file.
local function check_name(who, file)
  if file:find("\0", 1, true) then raise(who, "the name of the file has a zero byte in it") end
end

Calibrator.save = public("calibrator:save", {
  doc = "Writes the calibrator as JSON.", returns = "nothing", errors = "a file that cannot be written",
  example = 'ls.eval.temperature_scaling(logits, labels):save(folder .. "/calibrator.json")', { "file", type = "string", doc = "its name" },
}, function(self, file)
  check_name("save", file)
  local plain = {}
  for key, value in pairs(self) do plain[key] = value end
  local handle <close>, message = io.open(file, "w")
  if not handle then raise("save", ("%s cannot be written: %s"):format(file, (message or ""):match "[^:]*$")) end
  local written, why = handle:write(json.encode(plain), "\n")
  if not written then raise("save", ("%s cannot be written: %s"):format(file, why)) end
end)

local fields = { -- of a file: kind → field → type
  temperature_scaling = { temperature = "number" }, vector_scaling = { weights = "table", biases = "table" }, matrix_scaling = { weights = "table", biases = "table" },
  isotonic_regression = { fits = "table", method = "string" }, histogram_binning = { fits = "table", method = "string" },
}

calibrators.load_calibrator = public("ls.eval.load_calibrator", {
  page = "judging",
  doc = "Reads a calibrator that :save has written.", returns = "calibrator", errors = "a file that cannot be read, or that is no calibrator",
  example = 'ls.eval.temperature_scaling(logits, labels):save(folder .. "/calibrator.json")\nlocal same = ls.eval.load_calibrator(folder .. "/calibrator.json")',
  { "file", type = "string", doc = "its name" },
}, function(file)
  check_name("load_calibrator", file)
  local handle <close>, message = io.open(file, "r")
  if not handle then raise("load_calibrator", ("%s cannot be read: %s"):format(file, (message or ""):match "[^:]*$")) end
  local text = handle:read(1 << 28)
  local ok, value = pcall(json.decode, text or "")
  local function no(why) raise("load_calibrator", ("%s is no calibrator: %s"):format(file, why)) end
  if not ok or type(value) ~= "table" then no "it is not a JSON object" end
  local wanted = type(value.kind) == "string" and fields[value.kind] or no "its kind is unknown"
  if math.type(value.classes) ~= "integer" or value.classes < 1 then no "it says no number of classes" end
  for key, kind in pairs(wanted) do if type(value[key]) ~= kind then no(("%s is missing"):format(key)) end end
  if value.temperature and not (value.temperature > 0 and value.temperature < math.huge) then no "its temperature is out of range" end
  if value.method and value.method ~= "confidence" and value.method ~= "one_vs_rest" and value.method ~= "top_label" then no "its method is unknown" end
  for i = 1, value.fits and (value.method == "confidence" and 1 or value.classes) or 0 do
    local fit = value.fits[i]
    if type(fit) ~= "table" or type(fit[1]) ~= "table" or type(fit[2]) ~= "table" then no(("the map of class %d is missing"):format(i - 1)) end
  end
  for _, key in ipairs{ "nll", "nll_before", "steps" } do if type(value[key]) ~= "number" then value[key] = 0 end end
  return setmetatable(value, Calibrator)
end)

-- ---- fitting ----

local fitted_on = "rows of their own: not those that are judged, nor trained on"

local function fit_options(own)
  own.probabilities = { type = "boolean", default = false, doc = "the numbers are probabilities: their logarithms are scaled (of 0 that of 1.4e-45)" }
  own.ignore_index = { type = "integer", doc = "rows with this label are left out" }
  return own
end

local arguments = { { "logits", type = "tensor", doc = "N×K: " .. fitted_on }, { "labels", type = "labels", doc = "N labels, 0 … K-1" } }

calibrators.temperature_scaling = public("ls.eval.temperature_scaling", {
  page = "judging",
  doc = [[Temperature scaling (Guo et al. 2017): softmax(z / T) with the T in 0.05 … 20 that minimises the mean negative log-likelihood of these rows. Called with
logits, a calibrator gives probabilities. Has `temperature`, `nll`, `nll_before`, `at_bound`. Newton's method in double; about 8 sweeps of O(N·K).]],
  returns = "calibrator", errors = "as of ls.eval.calibration",
  example = "local calibrator = ls.eval.temperature_scaling(logits, labels)\nlocal p = calibrator(logits)\nprint(calibrator.temperature)",
  arguments[1], arguments[2], options = fit_options{},
}, function(logits, labels, o)
  check_matrix("temperature_scaling", logits)
  local t, nll, before, at_bound = c.fit_temperature(predictions.logits_of(logits, o), labels, false, nil, o.ignore_index)
  return setmetatable({ kind = "temperature_scaling", classes = raw.size(logits, 2), temperature = t, nll = nll, nll_before = before, at_bound = at_bound }, Calibrator)
end)

local affine_options = {
  penalty = { type = "number", default = 0, min = 0, below = math.huge, doc = "weight of half the squared distance from the identity; 0 has no minimum where these rows can be separated" },
  steps   = { type = "integer", default = 1000, min = 1, max = 1000000, doc = "at most" },
}

local function affine(name, is_matrix, doc)
  calibrators[name] = public("ls.eval." .. name, {
    page = "judging",
    doc = doc .. [[ Minimises the mean negative log-likelihood of these rows by L-BFGS in double, from the identity. Has `weights`, `biases`, `nll`, `nll_before`,
`steps`, `converged`.]],
    returns = "calibrator", errors = "as of ls.eval.calibration" .. (is_matrix and "; masked classes; more than 1000 classes" or ""),
    example = ("local calibrator = ls.eval.%s(logits, labels, { penalty = 0.01 })\nprint(calibrator.nll_before, calibrator.nll)"):format(name),
    arguments[1], arguments[2], options = fit_options{ penalty = affine_options.penalty, steps = affine_options.steps },
  }, function(logits, labels, o)
    check_matrix(name, logits)
    local w, b, nll, before, steps, converged = c.fit_affine(predictions.logits_of(logits, o), labels, false, nil, o.ignore_index, is_matrix, o.penalty, o.steps)
    return setmetatable({ kind = name, classes = raw.size(logits, 2), weights = w, biases = b, nll = nll, nll_before = before, steps = steps, converged = converged }, Calibrator)
  end)
end

affine("vector_scaling", false, "Vector scaling (Guo et al. 2017): softmax(w·z + b), one weight and one bias a class. Masked classes stay masked. O(N·K) a step.")
affine("matrix_scaling", true, "Matrix scaling (Guo et al. 2017): softmax(W z + b). With K² numbers to fit it over-fits small sets: use a penalty. O(N·K²) a step.")

-- Probabilities and labels of the kept rows, checked.
local function kept_rows(who, logits, labels, o)
  check_matrix(who, logits)
  local z = predictions.logits_of(logits, o)
  require "lsengine.c.judging".judge(o.probabilities and raw.detach(logits) or z, labels, o.probabilities, nil, o.ignore_index,
    { name = "classification", classification = { top_k = {} } }) -- every check
  local p, y = o.probabilities and raw.detach(logits) or softmax(z), labels_c.is_labels(labels) and labels or labels_c.from(labels)
  if o.ignore_index == nil then return p, y end
  local positions = {}
  for i = 1, #y do if y[i] ~= o.ignore_index then positions[#positions + 1] = i end end
  local kept = labels_c.from(positions)
  return raw.gather(p, kept), labels_c.gather(y, kept)
end

local function fit_each(method, p, y, fit)
  local classes, fits = raw.size(p, 2), {}
  local confidence, predicted, right = c.top(p, y)
  if method == "confidence" then return { fit(confidence, right, 1) } end
  for k = 0, classes - 1 do
    if method == "one_vs_rest" then
      fits[k + 1] = fit(column(p, k), y, k)
    else
      local positions = {}
      for i = 1, #predicted do if predicted[i] == k then positions[#positions + 1] = i end end
      local rows = labels_c.from(positions)
      fits[k + 1] = #positions > 0 and fit(raw.gather(confidence, rows), labels_c.gather(right, rows), 1) or { { 1 }, { 0.5 } } -- never predicted here
    end
  end
  return fits
end

calibrators.isotonic_regression = public("ls.eval.isotonic_regression", {
  page = "judging",
  doc = [[Isotonic regression (Zadrozny & Elkan 2002): the non-decreasing map of probabilities that comes closest to what came true, linear between its knots and constant
beyond them, as scikit-learn's. method = "one_vs_rest": a map for each class's probability, rows then made to sum to 1; "confidence": one map of the largest
probability to the share of predictions that are right, the other classes sharing what is left as before. O(N·K) with a radix sort.]],
  returns = "calibrator", errors = "as of ls.eval.calibration", example = "local p = ls.eval.isotonic_regression(logits, labels)(logits)",
  arguments[1], arguments[2],
  options = fit_options{ method = { type = "string", default = "one_vs_rest", choices = { "one_vs_rest", "confidence" }, doc = "what is mapped" } },
}, function(logits, labels, o)
  local p, y = kept_rows("isotonic_regression", logits, labels, o)
  local fits = fit_each(o.method, p, y, function(x, labels_of, k) return { c.fit_isotonic(x, labels_of, k) } end)
  return setmetatable({ kind = "isotonic_regression", classes = raw.size(p, 2), method = o.method, fits = fits }, Calibrator)
end)

calibrators.histogram_binning = public("ls.eval.histogram_binning", {
  page = "judging",
  doc = [[Histogram binning: a probability becomes the share that came true in its bin. method = "one_vs_rest": bins for each class's probability, rows then made to sum to 1
(Zadrozny & Elkan 2001; Guo et al. 2017); "confidence": bins of the largest probability; "top_label": of the largest probability, apart for each
predicted class (Gupta &
Ramdas 2022). In the last two the other classes share what is left as before. An empty bin has its middle. O(N·K).]],
  returns = "calibrator", errors = "as of ls.eval.calibration", example = 'local p = ls.eval.histogram_binning(logits, labels, { bins = 10, kind = "equal_mass" })(logits)',
  arguments[1], arguments[2],
  options = fit_options{
    bins = { type = "integer", default = 15, min = 1, max = 10000, doc = "their number" },
    kind = { type = "string", default = "equal_width", choices = { "equal_width", "equal_mass" }, doc = "of bins; of equal mass the edges lie midway between neighbours, equal numbers stay together" },
    method = { type = "string", default = "one_vs_rest", choices = { "one_vs_rest", "confidence", "top_label" }, doc = "what is binned" },
  },
}, function(logits, labels, o)
  local p, y = kept_rows("histogram_binning", logits, labels, o)
  local fits = fit_each(o.method, p, y, function(x, labels_of, k) return { c.fit_bins(x, labels_of, k, o.bins, o.kind == "equal_mass") } end)
  return setmetatable({ kind = "histogram_binning", classes = raw.size(p, 2), method = o.method, bins = o.bins, fits = fits }, Calibrator)
end)

calibrators.methods = Calibrator
return calibrators
