-- Data sets made from others: classes left out, joined or made noisy, features standardised. SPDX-License-Identifier: MIT
local raw     = require "lsengine.c.tensor"
local clabels = require "lsengine.c.labels"
local cdata   = require "lsengine.c.data"
local options = require "lsengine.options"
local system  = require "lsengine.c.system"
local data    = require "lsengine.data"
local provenance = require "lsengine.provenance"
local public  = require "lsengine.public"
local raise   = public.raise
local Dataset, Collection = data.Dataset, data.Collection

local function is_collection(self) return getmetatable(self) == Collection end

local function need_classes(who, self)
  if not self.classes then raise(who, ("%s is a data set of regression, one of classes is required"):format(self.name)) end
end

-- A collection whose parts are f(part, its name); of a data set f alone.
local function each_part(self, f)
  if not is_collection(self) then return f(self) end
  local new = data.changed(self, {})
  for _, name in ipairs(data.parts) do
    if self[name] then new[name] = f(self[name], name) end
  end
  return new
end

-- A method of parts and of collections.
local function both(name, spec, f)
  spec.self = "dataset|collection"
  Dataset[name] = public("data:" .. name, spec, f)
  Collection[name] = Dataset[name]
end

-- ---- classes ----

both("class_counts", {
  doc = "How many rows each class has; of a data set with parts, in all of them together.",
  returns = "table by class, from [0] to [classes-1]", errors = "regression", example = "print(data.train:class_counts()[0])",
}, function(self)
  need_classes("class_counts", self)
  local counts = {}
  each_part(self, function(part)
    local more = cdata.class_counts("class_counts", part.y, self.classes)
    for k = 0, self.classes - 1 do counts[k] = (counts[k] or 0) + more[k + 1] end
    return part
  end)
  return counts
end)

-- Of these classes (a list in rising order) alone, renumbered from 0; rows(part) gives the positions.
local function only(self, list, suffix, rows)
  local mapping, names, original = {}, self.class_names and {}, {}
  for i, k in ipairs(list) do
    mapping[k], original[i - 1] = i - 1, self.original_classes and self.original_classes[k] or k
    if names then names[i - 1] = self.class_names[k] end
  end
  local about = { name = self.name .. suffix, classes = #list, class_names = names, original_classes = original }
  local new = each_part(self, function(part)
    local few = part:subset(rows[part])
    few.y = clabels.map(few.y, mapping)
    return data.changed(few, about)
  end)
  return is_collection(new) and data.changed(new, about) or new
end

both("split_classes", {
  doc = [[The rows of some classes apart from those of all others: to train on classes that are seen and judge embeddings on classes that are not.
Labels of both are numbered anew from 0, in the order of the old ones; original_classes[label] is the old label.]],
  returns = "two data sets (with parts, of one with parts): seen, unseen",
  errors = "a class that is none, is named twice, or is the last one to be seen; regression; labels with noise: the classes are split first",
  example = 'local seen, unseen = ls.data.load("letter"):split_classes{ unseen = { 23, 24, 25 } }',
  options = { unseen = { type = "labels", required = true, doc = "the classes that are taken out" } },
}, function(self, o)
  local who = "split_classes"
  need_classes(who, self)
  local unseen, rest, is_unseen = {}, {}, {}
  local given = clabels.from(o.unseen)
  for i = 1, #given do
    local k = given[i]
    if k < 0 or k >= self.classes then raise(who, ("unseen[%d] is %d, allowed is 0 to %d"):format(i, k, self.classes - 1)) end
    if is_unseen[k] then raise(who, ("unseen names class %d twice"):format(k)) end
    is_unseen[k], unseen[i] = true, k
  end
  table.sort(unseen)
  for k = 0, self.classes - 1 do if not is_unseen[k] then rest[#rest + 1] = k end end
  if #unseen == 0 or #rest == 0 then
    raise(who, ("unseen names %d of %d classes, allowed is 1 to %d"):format(#unseen, self.classes, self.classes - 1))
  end
  local rows = { [true] = {}, [false] = {} }
  each_part(self, function(part)
    if part.clean_y then raise(who, "the labels have noise: split the classes before label_noise") end
    rows[true][part], rows[false][part] = cdata.choose(who, part.y, self.classes, given)
    return part
  end)
  return only(self, rest, " (seen)", rows[false]), only(self, unseen, " (unseen)", rows[true])
end)

both("relabel", {
  doc = [[Every label replaced, as by coarser classes: { [0] = 0, 0, 1 } joins the first two. Names of joined classes are joined, too, unless new ones are
given.]],
  returns = "data set (with parts, of one with parts)",
  errors = "a class that is not in the mapping, or goes to something else than a class from 0; regression",
  example = 'local vowels = ls.data.load("letter"):relabel(function(k) return ("AEIOU"):find(string.char(65 + k)) and 1 or 0 end)',
  { "mapping", type = "table|callable", doc = "a table by label, or a function of a label; gives the new label of each class" },
  options = {
    classes     = { type = "integer", min = 1, max = 2^31 - 1, doc = "how many there are now; 1 + the largest new label unless said" },
    class_names = { type = "table", doc = "what they are called: { [0] = \"consonant\", \"vowel\" }" },
  },
}, function(self, mapping, o)
  local who = "relabel"
  need_classes(who, self)
  local new, largest, joined = {}, 0, {}
  local call = type(mapping) ~= "table" or getmetatable(mapping) ~= nil and options.is("callable", mapping)
  for k = 0, self.classes - 1 do
    local value
    if call then value = mapping(k) else value = mapping[k] end
    local label = math.type(value) and math.tointeger(value)
    if not label or label < 0 or label >= (o.classes or 2^31 - 1) then
      raise(who, ("class %d goes to %s, %s is required"):format(k, system.describe(value),
        o.classes and ("a class from 0 to %d"):format(o.classes - 1) or "a class from 0"))
    end
    new[k], largest = label, math.max(largest, label)
    if self.class_names then joined[label] = joined[label] and joined[label] .. " or " .. self.class_names[k] or self.class_names[k] end
  end
  local classes, names = o.classes or largest + 1, o.class_names
  if names then
    names = data.names(who, names, classes)
  elseif self.class_names then
    for label = 0, classes - 1 do joined[label] = joined[label] or "none" end
    names = joined
  end
  local function about(set, fields)
    local changed = data.changed(set, fields)
    changed.classes, changed.class_names, changed.original_classes = classes, names, nil
    provenance.rows_of(changed.x, changed)
    return changed
  end
  local result = each_part(self, function(part)
    local y, clean = clabels.map(part.y, new), part.clean_y and clabels.map(part.clean_y, new)
    return about(part, { y = y, clean_y = clean, flipped = clean and cdata.differences(who, y, clean) })
  end)
  return is_collection(result) and about(result, {}) or result
end)

-- ---- features ----

-- Mean over all axes but the second, which is kept.
local function mean(x)
  local sum, count = x, raw.size(x, 1)
  for axis = raw.rank(x), 3, -1 do
    sum, count = raw.sum(sum, axis, true), count * raw.size(x, axis)
  end
  return raw.mul(raw.sum(sum, 1, true), 1 / count)
end

Collection.standardise = public("data:standardise", {
  self = "collection",
  doc = [[Features with mean 0 and deviation 1 on the training rows: of a table each column, of images (N×C×H×W) each channel. The other parts are moved
and scaled by the training rows' numbers. What is constant on the training rows becomes 0 there.]],
  returns = "data set with parts", errors = "no training rows; features that are NaN or infinite, or neither a table nor images",
  example = 'local data = ls.data.load("satellite", { raw = true }):standardise()',
}, function(self)
  local x = self.train.x
  local rank = raw.rank(x)
  if rank ~= 2 and rank ~= 4 then raise("standardise", ("x has shape %s, a table (N×d) or images (N×C×H×W) are required"):format(raw.shape_text(x))) end
  if #self.train.y == 0 then raise("standardise", ("%s has no training rows"):format(self.name)) end
  local middle = mean(x)
  local centred = raw.sub(x, middle)
  local deviation = raw.sqrt(mean(raw.square(centred)))
  if raw.count_not_finite(deviation) > 0 then raise("standardise", "the training rows hold numbers that are NaN, infinite or too large to be squared") end
  local inverse = raw.reciprocal(raw.add(deviation, raw.eq(deviation, 0)))
  return each_part(self, function(part, name)
    return data.changed(part, { x = raw.mul_(name == "train" and centred or raw.sub(part.x, middle), inverse) })
  end)
end)

-- ---- noise ----

-- { [0] = 6, [3] = 5 } as a label vector that leaves the other classes alone.
local function pairs_of(to, classes)
  local list = {}
  for k, label in pairs(to) do
    local is_class = math.type(k) == "integer" and k >= 0 and k < classes
    if not is_class then raise("label_noise", ("to names class %s, classes are 0 to %d"):format(system.describe(k), classes - 1)) end
    if math.type(label) ~= "integer" or label < 0 or label >= classes then
      raise("label_noise", ("to[%d] is %s, a class from 0 to %d is required"):format(k, system.describe(label), classes - 1))
    end
    if label == k then raise("label_noise", ("to[%d] is %d, another class is required"):format(k, k)) end
  end
  for k = 0, classes - 1 do list[k + 1] = to[k] or k end
  return list
end

Collection.label_noise = public("data:label_noise", {
  self = "collection",
  doc = [[Wrong labels for the training rows; with validation = true for the validation rows, too; never for the test rows. Either with probability
`rate` one of the K-1 other labels, each alike (symmetric); or, with `to`, with probability `rate` the one label that `to` names, classes
that it doesn't name staying as they are; or by a `matrix` whose row y is the distribution of the label that is seen where y is true. The
part knows the true labels (clean_y) and how many differ from them (flipped). Two numbers are drawn for each row, so that a larger rate
flips the same rows and more.]],
  returns = "data set with parts", example = 'local noisy = ls.data.load("satellite"):label_noise{ rate = 0.2, rng = rng }',
  errors = "neither rate nor matrix, or more than one law; a matrix that is not K×K or whose rows do not sum to 1 within 1e-4; one class; regression",
  options = {
    rate       = { type = "number", min = 0, max = 1, doc = "probability that a label is flipped" },
    to         = { type = "table", doc = "the label that each class is taken for: { [0] = 6, [3] = 5 }" },
    matrix     = { type = "table|tensor", doc = "K×K numbers from 0, each row sums to 1" },
    rng        = { type = "rng", required = true, doc = "its stream \"label noise\" decides" },
    validation = { type = "boolean", default = false, doc = "flip labels of the validation rows, too" },
  },
}, function(self, o)
  local who = "label_noise"
  need_classes(who, self)
  if o.matrix and (o.rate or o.to) then raise(who, ("matrix and %s are given, one law of noise is required"):format(o.rate and "rate" or "to")) end
  if not o.matrix and not o.rate then raise(who, "option rate is missing (or matrix)") end
  if o.validation and not self.validation then raise(who, ("validation is true, but %s has no validation part"):format(self.name)) end
  local to = o.to and pairs_of(o.to, self.classes)
  local matrix = o.matrix
  if type(matrix) == "table" then matrix = raw.from(matrix) end
  local stream = o.rng:spawn "label noise"
  return each_part(self, function(part, name)
    local own = stream:spawn(name)
    if name == "test" or name == "validation" and not o.validation then return part end
    local y, clean = cdata.label_noise(who, part.y, self.classes, own, o.rate, to, matrix), part.clean_y or part.y
    return data.changed(part, { y = y, clean_y = clean, flipped = cdata.differences(who, y, clean) })
  end)
end)
