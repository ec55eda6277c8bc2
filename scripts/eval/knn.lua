-- Exact nearest neighbours. SPDX-License-Identifier: MIT
local c       = require "lsengine.c.knn"
local clabels = require "lsengine.c.labels"
local files   = require "lsengine.c.files"
local raw     = require "lsengine.c.tensor"
local options = require "lsengine.options"
local public  = require "lsengine.public"
local provenance = require "lsengine.provenance"
require "lsengine.labels"
require "lsengine.tensor"

local knn = {}

-- Rows of integers, all of one length: kept as one label vector.
local Rows = { __name = "matrix of integers" }
options.type("rows", function(v) return getmetatable(v) == Rows end, "neighbours (what index:search returns)")

local function rows_of(flat, columns) return setmetatable({ flat = flat, columns = columns }, Rows) end

function Rows.__index(self, key)
  if math.type(key) == nil then return Rows[key] end
  local i = math.tointeger(key)
  if not i or i < 1 or i > #self then return nil end
  return clabels.narrow(rawget(self, "flat"), (i - 1) * rawget(self, "columns") + 1, rawget(self, "columns"))
end
function Rows.__len(self) return #rawget(self, "flat") // rawget(self, "columns") end
function Rows.__eq(a, b) return a.columns == b.columns and a.flat == b.flat end

Rows.totable = public("neighbours:totable", {
  self = "rows", doc = "The positions as a table of tables, a row for each query.", returns = "table",
}, function(self)
  local list = {}
  for i = 1, #self do list[i] = clabels.totable(self[i]) end
  return list
end)

Rows.gather = public("neighbours:gather", {
  self = "rows", doc = "The label of each neighbour, in the same rows: what stands in `labels` at the neighbours' positions.", returns = "the same kind of rows, of labels",
  example = "local _, neighbours = ls.knn.index(x):search(x, 2)\nprint(neighbours:gather(labels)[1])",
  { "labels", type = "labels", doc = "one for each row of the index" },
}, function(self, labels) return rows_of(clabels.gather(labels, self.flat), self.columns) end)

Rows.save = public("neighbours:save", {
  self = "rows", doc = "Writes the rows as NumPy's .npy: int64, queries × neighbours, positions from 1.", returns = "nothing", errors = "a file that cannot be written",
  { "file", type = "string", doc = "its name" },
}, function(self, file) files.save_npy("save", file, self.flat, self.columns) end)

function Rows.__tostring(self) return ("neighbours of %d queries, %d each"):format(#self, self.columns) end

local Index = { __name = "index" }
Index.__index = Index
options.type("index", function(v) return getmetatable(v) == Index end, "an index (ls.knn.index(x))")
function Index.__tostring(self) return ("index of %d rows of %d features, %s"):format(self.rows, self.features, self.metric) end
function Index.__len(self) return self.rows end

local metric = { type = "string", default = "l2", choices = { "l2", "inner_product", "cosine" }, doc = "what is near: the Euclidean distance, the largest inner product, the direction" }

knn.index = public("ls.knn.index", {
  doc = [[An index for exact searches: no approximation, right for the stored numbers whatever their offset or size. Distances are compared in double, features added
in their order; ties go to the lower row; nothing depends on how queries are put together, on threads or on the processor. Candidates come from products
in bfloat16 (on processors with AMX), 16-bit integers (AVX2, AVX-512 with VNNI) or float32 with a bound of their error, so that the double values are needed for a few rows only.

l2: the Euclidean distance, not its square. inner_product: the product, the largest first. cosine: 1 - cos from 0 to 2, the smallest first.

The index keeps `x` and 12 bytes a row (cosine: 20); a search takes at most 256 MB more. `x` must not be written to afterwards. Fields: rows, features, metric.]],
  returns = "an index", errors = "no row, a number that is NaN or infinite, with cosine a row of zeros: the row is named",
  example = 'local index = ls.knn.index(x, { metric = "cosine" })\nlocal distances, neighbours = index:search(x, 3, { exclude_self = true })',
  { "x", type = "tensor", doc = "rows × features" }, options = { metric = metric },
}, function(x, o)
  provenance.check_embedding(x)
  local handle = c.index(x, o.metric)
  local rows, features = c.size(handle)
  return setmetatable({ handle = handle, rows = rows, features = features, metric = o.metric }, Index)
end)

local exclude_self = { type = "boolean|labels", default = false,
  doc = "true: query i is row i of the index, and is not its own neighbour (by its number, so that equal rows stay); or for each query the position of a row to leave out, 0 for none" }

local function own_rows(who, self, queries, given)
  if given == false then return nil end
  if given ~= true then return given end
  local n = raw.rank(queries) == 2 and raw.size(queries, 1)
  if n and n ~= self.rows then public.raise(who, ("exclude_self is true, but there are %d queries and %d rows: give the positions"):format(n, self.rows)) end
  return clabels.range(1, self.rows)
end

Index.search = public("index:search", {
  doc = [[The k nearest rows of each query, nearest first. `neighbours[i][j]` is the position, from 1, of query i's j-th neighbour; `neighbours:gather(labels)` gives
their labels. O(queries·rows·features).]],
  returns = "distances (tensor, queries × k), neighbours; and a table of what was done: candidates, exact (queries searched in double throughout), overflowed (of them: too many candidates), retried (left undecided by bfloat16 or integers)",
  errors = "another number of features, k above the number of rows (less one with exclude_self), NaN or infinite numbers",
  example = "local distances, neighbours = ls.knn.index(x):search(x, 2)\nprint(neighbours[1][1], distances[1][1])",
  { "queries", type = "tensor", doc = "queries × features" }, { "k", type = "integer", min = 1, max = 2^31 - 1, doc = "neighbours for each" },
  options = { exclude_self = exclude_self },
}, function(self, queries, k, o)
  local distances, flat, candidates, exact, overflowed, retried = c.search(self.handle, queries, k, own_rows("search", self, queries, o.exclude_self))
  return distances, rows_of(flat, k), { candidates = candidates, exact = exact, overflowed = overflowed, retried = retried }
end)

Index.range_search = public("index:range_search", {
  doc = "All rows within a radius of each query, nearest first: distance ≤ radius; of inner products, product ≥ radius. Decided in double, O(queries·rows·features).",
  returns = "a list with, for each query, { distances = tensor, neighbours = label vector of positions from 1 }", errors = "as for search; a radius that is NaN",
  example = "for i, found in ipairs(ls.knn.index(x):range_search(x, 1.5)) do print(i, #found.neighbours) end",
  { "queries", type = "tensor", doc = "queries × features" }, { "radius", type = "number", doc = "the rows at it are within" },
  options = { exclude_self = exclude_self },
}, function(self, queries, radius, o)
  local counts, distances, flat = c.range(self.handle, queries, radius, own_rows("range_search", self, queries, o.exclude_self))
  local list, first = {}, 1
  for i = 1, #counts do
    list[i] = { distances = raw.narrow(distances, 1, first, counts[i]), neighbours = clabels.narrow(flat, first, counts[i]) }
    first = first + counts[i]
  end
  return list
end)

knn.classify = public("ls.knn.classify", {
  doc = [[The kNN classifier: each neighbour votes for its class. The shares of the votes are probabilities, which `ls.eval` judges as it judges a model's. weights: uniform, every
vote counts 1; distance, 1/distance (neighbours at distance 0 then decide alone); temperature, exp(-distance/temperature), of inner products exp(product/temperature).]],
  returns = "probabilities (tensor, queries × classes), predicted labels (ties go to the lower class)",
  errors = "as for search; a label of the index below 0 or not below classes; weights = \"distance\" with inner products, which are no distances; a temperature missing, or given for other weights",
  example = 'local index = ls.knn.index(x)\nlocal p, predicted = ls.knn.classify(index, labels, x, { k = 3, exclude_self = true, classes = 10 })',
  { "index", type = "index", doc = "rows whose labels are known" }, { "labels", type = "labels", doc = "one for each row of the index, from 0" },
  { "queries", type = "tensor", doc = "queries × features" },
  options = {
    k = { type = "integer", default = 5, min = 1, max = 2^31 - 1, doc = "neighbours that vote" },
    weights = { type = "string", default = "uniform", choices = { "uniform", "distance", "temperature" }, doc = "of the votes" },
    temperature = { type = "number", above = 0, below = math.huge, doc = "in the unit of the distances" },
    classes = { type = "integer", min = 1, max = 2^31 - 1, doc = "how many; one more than the largest label unless given" },
    exclude_self = exclude_self,
  },
}, function(index, labels, queries, o)
  if type(labels) == "table" then labels = clabels.from(labels) end
  if #labels ~= index.rows then public.raise("classify", ("there are %d labels but the index has %d rows"):format(#labels, index.rows)) end
  if o.weights == "temperature" and not o.temperature then public.raise("classify", "option temperature is missing: weights is \"temperature\"") end
  if o.weights ~= "temperature" and o.temperature then public.raise("classify", ("temperature is given, but weights is %q"):format(o.weights)) end
  if o.weights == "distance" and index.metric == "inner_product" then public.raise("classify", "weights is \"distance\", but inner products are no distances: use temperature") end
  local _, highest = clabels.extremes(labels)
  local distances, flat = c.search(index.handle, queries, o.k, own_rows("classify", index, queries, o.exclude_self))
  local p = c.vote(distances, clabels.gather(labels, flat), o.classes or highest + 1, o.weights, o.temperature, index.metric == "inner_product")
  return p, (p:argmax(2))
end)

knn.rows_of = rows_of
return knn
