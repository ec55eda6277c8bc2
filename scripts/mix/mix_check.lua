-- ls.mix.check: any mix held to what all owe, and to what it promises. SPDX-License-Identifier: MIT
--
-- Cases grow (rows, then kinds of y), so that the first one that fails is the smallest. A check is told once.
local clabels = require "lsengine.c.labels"
local random  = require "lsengine.c.random"
local raw     = require "lsengine.c.tensor"
local reports = require "lsengine.check_report"
local options = require "lsengine.options"
local public  = require "lsengine.public"
local target  = require "lsengine.target"
local catalogue = require "lsengine.mix_catalogue"
local mix     = require "lsengine.mix"
local own     = require "lsengine.mix_own"
local rows    = require "lsengine.mix_target"
local raise   = public.raise

local checks = { -- in this order in the report
  { "runs", "takes batches of 2 rows, odd ones and larger ones, with labels, softened targets, soft rows and numbers" },
  { "rows", "as many rows in the batch as in the target; the shape of a row kept" },
  { "finite", "finite numbers" },
  { "mass", "the target's rows from 0, summing to 1" },
  { "same_bits", "the same stream, the same bits" },
  { "inputs_kept", "x and y unchanged" },
  { "ignored", "rows whose label is ignored stay ignored, or lie with one that is" },
}

-- ---- the cases ----

local function batch(n, shape, seed) return random.randn(random.seed(seed), n, table.unpack(shape)) end

local function kinds_of_y(n, classes, seed)
  local list, rng = {}, random.seed(seed)
  for i = 1, n do list[i] = random.integers(rng, 0, classes - 1) end
  local labels = clabels.from(list)
  local with_ignored = { -100, table.unpack(list, 2) }
  return {
    { "labels", labels },
    { "labels, one ignored", clabels.from(with_ignored), ignored = true },
    { "a softened target", rows.with(target.from("check", labels), { history = { { kind = "uniform", epsilon = 0.1 } } }) },
    { "soft rows", target.new{ dense = require "lsengine.c.loss".softmax(random.randn(rng, n, classes)), history = {} } },
    { "numbers", random.randn(rng, n, 1), numbers = true },
  }
end

local function is_finite(x)
  local sum = raw.item(raw.sum(raw.abs(x)))
  return sum == sum and sum < math.huge
end

local function fingerprint(y, classes)
  if raw.is_tensor(y) then return raw.hash(y) end
  local parts = {}
  if y.dense then parts[1] = raw.hash(y.dense) end
  for _, term in ipairs(y.terms or {}) do
    parts[#parts + 1] = table.concat(clabels.totable(term[1]), ",")
    parts[#parts + 1] = raw.is_tensor(term[2]) and raw.hash(term[2]) or ("%a"):format(term[2])
  end
  if y.row_weights then parts[#parts + 1] = raw.hash(y.row_weights) end
  return table.concat(parts, " ")
end

-- ---- one case ----

local function weight(lambda, i) return type(lambda) == "number" and lambda or lambda[i] end

local function largest_gap(a, b) return raw.count(a) == 0 and 0 or raw.item(raw.max(raw.abs(raw.sub(a, b)))) end

local function check_promises(promised, fail, case, info, softened)
  local y, n = case.y, case.n
  local partner = info.partner and clabels.from(info.partner)
  if promised.no_self_partner then
    if not partner then fail("no_self_partner", "info.partner is not given") end
    for i = 1, partner and #partner or 0 do if partner[i] == i then fail("no_self_partner", ("row %d is its own partner"):format(i)) end end
  end
  if case.kind[1] ~= "labels" then return end
  local whole = softened:rows(case.classes)
  if promised.label_preserving and raw.item(raw.min((raw.max(whole, 2)))) < 1 then fail("label_preserving", "a row has no label of weight 1") end
  if promised.linear_target then
    if not partner or info.lambda == nil then return fail("linear_target", "info.lambda or info.partner is not given") end
    local want = {}
    for i = 1, n do
      want[i] = {}
      for k = 0, case.classes - 1 do want[i][k + 1] = (y[i] == k and weight(info.lambda, i) or 0) + (y[partner[i]] == k and 1 - weight(info.lambda, i) or 0) end
    end
    local gap = largest_gap(whole, raw.from(want))
    if not (gap < 1e-5) then fail("linear_target", ("the target is off by %.3g"):format(gap)) end
  end
end

local function run(self, case, model, x)
  local stream = random.seed(case.n * 7 + 1)
  if self.kind == "manifold" then return mix.forward(self, model, x, case.y, stream) end
  return mix.apply(self, x, case.y, stream, false)
end

local function check_case(self, case, promised, model, fail)
  local x, y = batch(case.n, case.shape, case.n), case.y
  local before, before_y = raw.hash(x), fingerprint(raw.is_tensor(y) and y or target.from("check", y))
  local ok, mixed, softened, info = pcall(run, self, case, model, x)
  if not ok then
    if mixed == "not enough memory" then error(mixed, 0) end
    return fail("runs", tostring(mixed))
  end
  local m, count = raw.size(mixed, 1), raw.is_tensor(softened) and raw.size(softened, 1) or rows.count(softened)
  if m ~= count then fail("rows", ("the batch has %d rows, the target %d"):format(m, count)) end
  if m ~= case.n and not promised.adds_rows then fail("rows", ("%d rows became %d"):format(case.n, m)) end
  if self.kind ~= "manifold" and m > 0 and raw.count(mixed) // m ~= raw.count(x) // case.n then fail("rows", ("rows of shape %s became %s"):format(raw.shape_text(x), raw.shape_text(mixed))) end
  if not is_finite(mixed) or raw.is_tensor(softened) and not is_finite(softened) then fail("finite", "there are NaN or infinite numbers") end
  local trouble = not raw.is_tensor(softened) and rows.trouble(softened)
  if trouble then fail("mass", trouble) end
  if not self.in_place and raw.hash(x) ~= before then fail("inputs_kept", "x was changed") end
  if fingerprint(raw.is_tensor(y) and y or target.from("check", y)) ~= before_y then fail("inputs_kept", "y was changed") end
  local again, softened_again
  ok, again, softened_again = pcall(run, self, case, model, batch(case.n, case.shape, case.n))
  if not ok or raw.hash(again) ~= raw.hash(mixed) or fingerprint(softened_again) ~= fingerprint(softened) then fail("same_bits", "a second call gave something else") end
  if case.kind.ignored and not info.clean then
    local found = 0
    for i = 1, count do
      for _, term in ipairs(softened.terms or {}) do if term[1][i] == -100 then found = found + 1 break end end
    end
    if softened.terms and found == 0 and not promised.label_preserving then fail("ignored", "an ignored row became one that counts") end
  end
  if info.mixed then check_promises(promised, fail, case, info, softened) end
end

-- What a mix promises: its entry of the catalogue, its definition, or of two what both do.
local function promised_by(self)
  if type(self) ~= "table" then raise("check", "the mix lacks one of its two: its fields were changed after it was made") end
  if self.kind ~= "either" then
    local entry = catalogue.by_name[self.kind]
    if self.kind == "regmixup" and self.eta ~= 1 then return { no_self_partner = true, adds_rows = true, classes_only = true } end
    return entry and entry.promises or mix.owned[self] and mix.owned[self].properties or {}
  end
  local a, b, both = promised_by(self[1]), promised_by(self[2]), {}
  for name in pairs(own.promises) do both[name] = a[name] and b[name] end
  for _, name in ipairs{ "adds_rows", "images_only", "classes_only" } do both[name] = a[name] or b[name] end
  return both
end

mix.check = public("ls.mix.check", {
  doc = [[Holds a mix, built in or of ls.mix.define, to what all owe: rows and their shape kept, finite numbers, a target whose rows sum to 1, the same bits from the same stream, inputs
that are not changed (unless in_place), batches of 2 rows and odd ones; and to what it promises. Every kind of y is tried: labels, labels with an ignored row, a softened target,
soft rows, numbers. The report prints as a table; what failed is told with the smallest case.]],
  returns = "a report: { name =, ok =, cases =, checks = { { name =, what =, ok =, case =, message = }, … }, failures = those that are not ok }",
  example = "print(ls.mix.check(ls.mix.mixup{ alpha = 0.2 }))",
  { "mix", type = "mix", doc = "what is checked" },
  options = {
    classes = { type = "integer", default = 5, min = 2, max = 1000, doc = "of the labels that are made up" },
    shape   = { type = "table", default = { 2, 6, 5 }, doc = "of a row; three numbers, or two, where the mix is one of images" },
    rows    = { type = "table", default = { 2, 3, 4, 7, 33 }, doc = "how many rows the batches have, from 2" },
    numbers = { type = "boolean", default = true, doc = "whether y of numbers is tried, too" },
    model   = { type = "model", doc = "for manifold: layers in a row that take such rows" },
  },
}, function(self, o)
  if self.kind == "manifold" and not o.model then raise("check", "manifold mixes within a model: option model is missing") end
  local row_spec = { type = "integer", min = 1, max = 4096 }
  local sizes, shape = {}, {}
  for i, n in ipairs(o.rows) do sizes[i] = options.check("check", ("rows[%d]"):format(i), { type = "integer", min = 2, max = 4096 }, n) end
  for i, n in ipairs(o.shape) do shape[i] = options.check("check", ("shape[%d]"):format(i), row_spec, n) end
  if #sizes == 0 or #shape == 0 or #shape > 4 then raise("check", "rows and shape (1 to 4 numbers) must not be empty") end
  table.sort(sizes)
  local promised, report = promised_by(self), reports.new(tostring(self))
  for _, check in ipairs(checks) do reports.add(report, check[1], check[2]) end
  for _, name in ipairs{ "no_self_partner", "linear_target", "label_preserving" } do if promised[name] then reports.add(report, name, own.promises[name]) end end
  for _, n in ipairs(sizes) do
    for _, kind in ipairs(kinds_of_y(n, o.classes, n)) do
      if not kind.numbers or o.numbers and not promised.classes_only then
        local case = { n = n, kind = kind, y = kind[2], classes = o.classes, shape = shape }
        report.cases = report.cases + 1
        check_case(self, case, promised, o.model, function(name, message)
          reports.fail(report, name, ("%d rows of %s, y of %s"):format(n, table.concat(shape, "×"), kind[1]), message)
        end)
      end
    end
  end
  return report
end)

return mix.check
