-- Uses of the library with the pitfalls that they should raise beside them: what docs/pitfalls-measured.md is made of. SPDX-License-Identifier: MIT
--
-- Everything that is shipped is run: the experiments, the manual's contract, its examples (on few rows, with few epochs), and every scheme, mix and
-- loss of the catalogue in uses that are sensible and in some that are not. A scheme or a loss that is new is in by being registered.
local ls       = require "lsengine"
local manual   = require "lsengine.manual"
local options  = require "lsengine.script_options"
local pitfalls = require "lsengine.pitfalls"
local program  = require "lsengine.c.program"
local public   = require "lsengine.public"

local uses = {}

-- A small data set in place of a large one: shapes, classes and names as they are.
local load_data = ls.data.load
local function small(name)
  if name == "fashion-mnist" then
    local rng = ls.rng(1)
    local set = ls.data.new{ x = ls.tensor.randn(300, 1, 28, 28, { rng = rng }), y = rng:integers(0, 9, 300), classes = 10, name = name }:split{ test = 100 }
    local split = set.split
    return setmetatable({ split = function(self, o) return split(set, { validation = math.min(o.validation, 50) }) end }, { __index = set })
  end
  local set = load_data(name)
  local rows = {}
  for key, value in pairs(set) do rows[key] = value end
  for _, part in ipairs{ "train", "test" } do
    if set[part] then rows[part] = set[part]:subset(ls.rng(1):permutation(#set[part]):narrow(1, math.min(#set[part], 1000))) end
  end
  return setmetatable(rows, getmetatable(set))
end

-- A script of a file, with the options of a command line.
local function script(path, set, seeds)
  return function()
    local train, kept = ls.train, { seeds = program.settings.seeds, set = program.settings.set }
    ls.data.load, program.settings.seeds, program.settings.set = small, seeds, set or {}
    rawset(ls, "train", function(model, data, o) -- few epochs are enough to raise what is to be raised
      if o.epochs and o.epochs > 3 then o.epochs = 3 end
      return train(model, data, o)
    end)
    local ok, message = pcall(function() assert(loadfile(path, "t"))() end)
    options.unread()
    os.remove "t.npy" -- what the contract's scripts write where they run
    os.remove "model.npz"
    rawset(ls, "train", train)
    ls.data.load, program.settings.seeds, program.settings.set = load_data, kept.seeds, kept.set
    if not ok then error(message, 0) end
  end
end

-- { group, name, expected, function }: in order.
local function list()
  local all = {}
  local function use(group, name, expected, f) all[#all + 1] = { group = group, name = name, expected = expected, f = f } end
  local none = {}

  use("experiments", "experiments/01-calibration.lua", none, script("experiments/01-calibration.lua", { epochs = "3" }))
  use("experiments", "experiments/02-stacking.lua", none, script("experiments/02-stacking.lua", { epochs = "1" })) -- stacks, and allows it
  use("experiments", "experiments/03-retrieval.lua", none, script("experiments/03-retrieval.lua", { epochs = "1", rows = "300" }, 6))
  use("experiments", "experiments/04-selective.lua", none, script("experiments/04-selective.lua", { epochs = "1" }, 6)) -- epsilon 0.4, and allows it
  for _, section in ipairs{ 0, 1, 2, 4, 6, 7 } do -- 2 smooths what mixup has mixed, and the manual says that it is told; 6 allows it
    use("manual's contract", ("API by example, section %d"):format(section), section == 2 and { "stacked-softening" } or none, script(("tests/lua/api/%d.lua"):format(section)))
  end

  -- the manual's examples: sensible without exception
  local names = manual.names()
  for _, name in ipairs(names) do
    local spec = public.registry[name]
    if spec and spec.example then
      use("manual's examples", name, none, function()
        local rng, data = ls.rng(1), load_data "satellite":split{ validation = 0.2 }
        local environment = setmetatable({
          ls = ls, rng = rng, embeddings = ls.tensor.randn(12, 8, { rng = rng }), embedding_labels = ls.labels{ 0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 5 }, model = ls.nn.mlp({ 36, 8, 6 }, { rng = rng }), x = ls.tensor.randn(4, 36, { rng = rng }), labels = ls.labels{ 0, 3, 1, 9 }, other_labels = ls.labels{ 1, 1, 1, 1 },
          logits = ls.tensor.randn(4, 10, { rng = rng }):requires_grad(), teacher_logits = ls.tensor.randn(4, 10, { rng = rng }), folder = os.getenv "TMPDIR" or "/tmp",
          data = { train = data.train:subset(rng:permutation(200)), test = data.test:subset(ls.labels{ 1, 2 }), validation = data.validation:subset(ls.labels{ 1, 2 }) },
        }, { __index = _G })
        assert(load(spec.example, "=example of " .. name, "t", environment))()
      end)
    end
  end

  -- the catalogue: schemes × what they are put on
  local rng = ls.rng(4)
  local y, z = rng:integers(0, 5, 64), ls.tensor.randn(64, 6, { rng = rng })
  local x = ls.tensor.randn(64, 1, 4, 4, { rng = rng })
  local catalogue = require "lsengine.catalogue"
  local schemes = { { "one_hot", ls.target.one_hot(), true } }
  for _, entry in ipairs(require "lsengine.schemes".entries) do
    schemes[#schemes + 1] = { entry.name, catalogue.make(entry, 6, ls.rng(5), entry.name == "annealed" and { from = 0.2, to = 0.1 } or nil), false, entry }
  end
  local mixes = {}
  for _, entry in ipairs(require "lsengine.mix_catalogue".entries) do
    if entry.name ~= "manifold" and entry.name ~= "either" then mixes[#mixes + 1] = { entry.name, entry.make(), entry.promises and entry.promises.label_preserving } end
  end
  local function logits_for(mixed) return ls.tensor.randn(#mixed:rows(6), 6, { rng = ls.rng(6) }) end
  local ce = ls.loss.cross_entropy
  for _, s in ipairs(schemes) do
    local name, scheme, hard, entry = s[1], s[2], s[3], s[4]
    local alone = entry and entry.needs_one_label -- lives in a training, and refuses mixtures
    local bound = entry and (entry.needs_random or entry.needs_positions or entry.stateful) -- acts on labels, not on soft rows
    local stacked = hard and none or { "stacked-softening" }
    if not alone then
      use("schemes, sensible", name .. " on labels", none, function() ce(z, scheme(y)) end)
      use("schemes, sensible", name .. " with class weights", none, function() ce(z, scheme(y), { weight = { 1, 2, 3, 1, 1, 1 } }) end)
      use("schemes, sensible", name .. " with ignored rows", none, function() ce(z, scheme(y), { ignore_index = 0 }) end)
    end
    use("schemes, sensible", name .. " in training, judged by ls.evaluate", none, function()
      local data = ls.data.new{ x = x, y = y, classes = 6 }:split{ validation = 16 }
      local model = ls.nn.mlp({ 16, 6 }, { rng = ls.rng(1) })
      local history = ls.train(model, data.train, { target = scheme, epochs = 1, batch = 16, rng = ls.rng(1), optimizer = ls.optim.sgd{ lr = 0.1 }, validation = data.validation })
      history:plot "loss"
      ls.evaluate(model, data.validation)
    end)
    if not alone then
      use("schemes, sensible", name .. " with epsilon 0 on top", none, function() ce(z, ls.target.uniform(0)(scheme(y))) end)
      use("schemes, sensible", name .. ", divergence and parts", none, function() ls.loss.kl_divergence(z, scheme(y)) ls.loss.cross_entropy_parts(z, scheme(y)) end)
      for _, m in ipairs(mixes) do
        local group, expected = m[3] and "schemes, sensible" or "schemes, stacked", m[3] and none or stacked
        use(group, ("%s on %s"):format(name, m[1]), expected, function() local _, mixed = m[2](x, y, ls.rng(2)) ce(logits_for(mixed), scheme(mixed)) end)
        use(group, ("%s under %s"):format(name, m[1]), expected, function() local _, mixed = m[2](x, scheme(y), ls.rng(2)) ce(logits_for(mixed), mixed) end)
      end
    end
    if not bound then
      use("schemes, stacked", name .. " twice", stacked, function() ce(z, scheme(scheme(y))) end)
      use("schemes, stacked", name .. " on soft rows", stacked, function() ce(z, scheme(ls.target.soft(z:softmax()))) end)
    end
    use("schemes, misused", name .. " with least squares", hard and none or { "smoothing-regression" }, function()
      if not hard then ls.loss.mse(z, scheme(y)) end
    end)
  end
  for _, m in ipairs(mixes) do
    use("mixes, sensible", m[1] .. " on labels", none, function() local _, mixed = m[2](x, y, ls.rng(2)) ce(logits_for(mixed), mixed) end)
    use(m[3] and "mixes, sensible" or "mixes, stacked", m[1] .. " twice", m[3] and none or { "stacked-softening" }, function()
      local a, mixed = m[2](x, y, ls.rng(2))
      local _, again = m[2](a, mixed, ls.rng(3))
      ce(logits_for(again), again)
    end)
  end

  -- losses and penalties, on labels and, where they take it, on smoothed and mixed targets
  for _, entry in ipairs(require "lsengine.penalties".entries) do
    local o, makes = {}, true
    for _, p in ipairs(entry.parameters) do
      if p.type == "matrix" then
        o[p.name] = ls.tensor.eye(6) * 0.9 + 1 / 60
      elseif p.standard == nil then makes = false end
    end
    if makes then
      local loss = next(o) and ls.loss[entry.name](o) or ls.loss[entry.name]{}
      use("losses, sensible", entry.name .. " on labels", none, function() loss(z, y) end)
      if entry.target ~= "label" then
        use("losses, sensible", entry.name .. " on a smoothed target", none, function() loss(z, ls.target.uniform(0.1)(y)) end)
        use("losses, sensible", entry.name .. " on a mixed target", none, function() local _, mixed = mixes[1][2](x, y, ls.rng(2)) loss(z, mixed) end)
      end
    end
  end
  use("losses, sensible", "binary cross-entropy on y(1-ε) + ε/2", none, function() ls.loss.binary_cross_entropy(z, ls.tensor.one_hot(y, 6) * 0.9 + 0.05) end)

  -- the pitfalls' own scripts
  local known = {}
  for name in pairs(pitfalls.known) do known[#known + 1] = name end
  table.sort(known)
  for _, name in ipairs(known) do
    use("pitfalls' own scripts", name, { name }, function() assert(load(pitfalls.known[name].example, "=example of " .. name, "t"))() end)
  end
  return all
end

-- { name =, group =, raised =, expected =, right = } for each use; run(f) gives the names that f raised.
function uses.rows(run)
  local rows = {}
  for i, use in ipairs(list()) do
    local raised = run(use.f)
    table.sort(use.expected)
    local said, expected = table.concat(raised, ", "), table.concat(use.expected, ", ")
    rows[i] = { name = use.name, group = use.group, raised = said, expected = expected, right = said == expected }
  end
  return rows
end

function uses.page(rows)
  local groups, order, out = {}, {}, { "# Pitfalls, measured", "",
    "Every use below is run with the pitfalls that it should raise written beside it ([tests/lua/pitfall_uses.lua](../tests/lua/pitfall_uses.lua)); a test holds this page to what is found. A false alarm",
    "is a pitfall that is raised where none should be, a miss one that should be and is not. Scripts run on few rows and with few epochs.", "",
    "| uses | number | should raise | raised | right | false alarms | misses |", "| --- | ---: | ---: | ---: | ---: | ---: | ---: |" }
  local function line(name, g) out[#out + 1] = ("| %s | %d | %d | %d | %d | %d | %d |"):format(name, g.n, g.expected, g.raised, g.right, g.alarms, g.misses) end
  local total = { n = 0, expected = 0, raised = 0, right = 0, alarms = 0, misses = 0 }
  for _, row in ipairs(rows) do
    local g = groups[row.group]
    if not g then
      g = { n = 0, expected = 0, raised = 0, right = 0, alarms = 0, misses = 0 }
      groups[row.group], order[#order + 1] = g, row.group
    end
    for _, sum in ipairs{ g, total } do
      sum.n = sum.n + 1
      sum.expected, sum.raised = sum.expected + (row.expected ~= "" and 1 or 0), sum.raised + (row.raised ~= "" and 1 or 0)
      sum.right = sum.right + (row.right and 1 or 0)
      sum.alarms = sum.alarms + (not row.right and row.raised ~= "" and 1 or 0)
      sum.misses = sum.misses + (not row.right and row.expected ~= "" and 1 or 0)
    end
  end
  for _, name in ipairs(order) do line(name, groups[name]) end
  line("all", total)
  for _, text in ipairs{ "", "What is not seen, by design: a softened loss that was computed without the library's losses; a mean of batches that is neither over the last numbers (up to three may follow) nor",
    "plain or by rows; a number that was rounded before it was returned; a model whose weights a loop by hand has trained (`model:trained_with()` tells what `ls.train` did); embeddings of rows that no data set",
    "names (a data set called \"data\" is not named); a search of two configurations, or one outside the trial that no arm declares by `tuned`.", "", "## Use by use", "", "| use | should raise | raised |", "| --- | --- | --- |" } do out[#out + 1] = text end
  for _, row in ipairs(rows) do
    if row.group ~= "manual's examples" or row.raised ~= "" or row.expected ~= "" then out[#out + 1] = ("| %s | %s | %s |"):format(row.name, row.expected, row.raised) end
  end
  out[#out + 1] = ("\nOf the manual's %d examples none raises anything."):format(groups["manual's examples"].n)
  return table.concat(out, "\n") .. "\n"
end

-- The names of the pitfalls that f raises (warned of, or failed by), sorted; what it printed; the list; what it returned.
function uses.run(f, ...)
  local provenance = require "lsengine.provenance"
  local out, kept, names = {}, print, {}
  print = function(...)
    local parts = table.pack(...)
    for i = 1, parts.n do parts[i] = tostring(parts[i]) end
    out[#out + 1] = table.concat(parts, " ")
  end
  pitfalls.forget()
  local results = table.pack(pcall(f, ...))
  local ended, problem = pcall(provenance.finish)
  print = kept
  local raised, fatal = pitfalls.raised(), {}
  for i, p in ipairs(raised) do names[i] = p.name end
  if not results[1] then fatal[1] = results[2] end
  if not ended then fatal[#fatal + 1] = problem end
  for _, failure in ipairs(fatal) do
    names[#names + 1] = tostring(failure):match "%[([%w-]+)%]$" or error(failure, 0)
  end
  table.sort(names)
  return names, table.concat(out, "\n"), raised, results
end

return uses
