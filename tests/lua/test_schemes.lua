-- The catalogue of target schemes: one suite over all entries, second derivations in double, golden numbers of dlordinal. SPDX-License-Identifier: MIT
local t, ls = require "harness", require "lsengine"
local catalogue = require "lsengine.catalogue"
local schemes   = require "lsengine.schemes"
local T = t.tests
local golden = ls.tensor.load "tests/golden/schemes.npz"
local derived = ls.tensor.load "tests/golden/softening.npz"

local function labels_of(classes)
  local y = {}
  for k = 0, classes - 1 do y[k + 1] = k end
  return ls.labels(y)
end

local function gap(a, b) return (a - b):abs():max():item() end

-- ---- every entry: what all schemes owe, and what each promises ----

for _, entry in ipairs(schemes.entries) do
  for _, classes in ipairs{ 2, 3, 10, 26 } do
    T[("%s_over_%d_classes_holds_what_it_owes_and_promises"):format(entry.name, classes)] = function()
      local report = ls.target.check(catalogue.make(entry, classes, ls.rng(1)), { classes = classes })
      t.is_true(report.ok, tostring(report))
      for name, promised in pairs(entry.properties) do
        local found = false
        for _, check in ipairs(report.checks) do found = found or check.name == name end
        t.equals(found, promised, name)
      end
    end
  end
  T[entry.name .. "_is_explained"] = function()
    for _, key in ipairs{ "title", "paper", "formula", "property", "use", "avoid", "stacking", "example" } do t.is_true(#entry[key] > 3, key) end
  end
  if not entry.needs_one_label and not entry.needs_random then
    T[entry.name .. "_at_extreme_and_masked_logits_has_the_gradient_p_minus_q"] = function()
      local y = labels_of(6)
      local z = ls.tensor.randn(6, 6, { rng = ls.rng(3) }) * 80
      local scheme = catalogue.make(entry, 6, ls.rng(1))
      local logits = z:clone():requires_grad()
      local target = scheme(y)
      local loss = ls.loss.cross_entropy(logits, target)
      loss:backward()
      t.is_true(loss:item() < math.huge and gap(logits.grad, (z:softmax() - target:rows(6)) * (1 / 6)) < 1e-6)
    end
  end
end

-- ---- check can fail ----

local function own(fields)
  fields.name = fields.name or "own"
  return ls.target.define(fields){}
end

local function failed(scheme, o)
  local report = ls.target.check(scheme, o or { classes = 4 })
  local names = {}
  for i, check in ipairs(report.failures) do names[i] = check.name end
  table.sort(names)
  return table.concat(names, " "), report
end

function T.check_finds_what_is_wrong()
  local half = function(_, labels) return ls.target.weighted{ { labels, 0.9 } } end
  t.is_true(failed(own{ soften = half }):find "runs" ~= nil)
  local leaning = own{ properties = { equivariant = true, order_kept = true }, soften = function(_, labels) return ls.target.weighted{ { labels, 0.4 }, { labels:map(function() return 0 end), 0.6 } } end }
  local names, report = failed(leaning)
  t.equals(names, "equivariant order_kept")
  t.is_true(tostring(report):find("1 row, 4 classes", 1, true) ~= nil)
  t.equals(failed(own{ parameters = { epsilon = { default = 0.5 } }, properties = { one_hot_at_zero = true },
    soften = function(_, labels, context) return ls.target.uniform(0.1)(labels) end }), "one_hot_at_zero")
  local calls = 0
  t.is_true(failed(own{ soften = function(_, labels)
    calls = calls + 1
    return ls.target.uniform(calls % 2 * 0.1)(labels)
  end }):find "repeatable" ~= nil)
  local outside = 0 -- a memory that no checkpoint holds
  t.is_true(failed(own{ properties = { stateful = true }, state = function() return {} end, observe = function() outside = outside + 0.001 end,
    soften = function(_, labels) return ls.target.uniform(outside % 0.3)(labels) end }):find "stateful" ~= nil)
  t.is_true(failed(own{ soften = function(_, labels, context) return ls.tensor.full(0 / 0, #labels, context.classes) end }):find "runs" ~= nil)
end

-- ---- second derivations, in double ----

local function rows_are(scheme, classes, want, tolerance)
  local q = scheme(labels_of(classes)):rows(classes)
  for y = 0, classes - 1 do
    for k = 0, classes - 1 do t.close(q[y + 1][k + 1], want(y, k), tolerance or 1e-6) end
  end
end

function T.similarity_hierarchy_confusion_by_their_formulas()
  local s, d, c = {}, { { 0, 1, 2, 2 }, { 1, 0, 2, 2 }, { 2, 2, 0, 1 }, { 2, 2, 1, 0 } }, { { 50, 3, 1, 0 }, { 2, 60, 2, 2 }, { 0, 0, 9, 0 }, { 1, 1, 1, 7 } }
  for y = 1, 4 do
    s[y] = {}
    for k = 1, 4 do s[y][k] = math.sin(y * 5 + k) end
  end
  rows_are(ls.target.similarity{ similarity = s, epsilon = 0.2, temperature = 0.5 }, 4, function(y, k)
    local sum = 0
    for j = 1, 4 do if j ~= y + 1 then sum = sum + math.exp(s[y + 1][j] / 0.5) end end
    return y == k and 0.8 or 0.2 * math.exp(s[y + 1][k + 1] / 0.5) / sum
  end)
  t.is_true(gap(ls.target.tree_distance{ { 0, 1 }, { 2, 3 } }, ls.tensor(d)) == 0)
  rows_are(ls.target.hierarchy{ distance = d, beta = 4 }, 4, function(y, k)
    local sum = 0
    for j = 1, 4 do sum = sum + math.exp(-4 * d[y + 1][j] / 2) end
    return math.exp(-4 * d[y + 1][k + 1] / 2) / sum
  end)
  rows_are(ls.target.confusion{ confusion = c, epsilon = 0.3 }, 4, function(y, k)
    local sum = 0
    for j = 1, 4 do if j ~= y + 1 then sum = sum + c[y + 1][j] end end
    if sum == 0 then return y == k and 1 or 0 end
    return y == k and 0.7 or 0.3 * c[y + 1][k + 1] / sum
  end)
end

function T.annealed_and_structural_by_their_formulas()
  local scheme = ls.target.annealed{ from = 0.4, to = 0.1, start = 2, epochs = 6 }
  for epoch, e in pairs{ [0] = 0.4, [2] = 0.4, [3.5] = 0.325, [5] = 0.25, [8] = 0.1, [80] = 0.1 } do
    scheme:set_epoch(epoch)
    t.close(scheme({ 1 }):rows(5)[1][2], 1 - e + e / 5, 1e-6)
  end
  scheme = ls.target.annealed{ from = 0, to = 0.2, cosine = true }
  scheme:begin_training{ epochs = 10 }
  scheme:set_epoch(2.5)
  t.close(scheme({ 1 }):rows(5)[1][1], 0.2 * (0.5 - 0.5 * math.cos(math.pi / 4)) / 5, 1e-7)
  rows_are(ls.target.structural{ epsilon = { 0.1, 0.2, 0.6 }, mean = 0.15 }, 3, function(y, k)
    local e = ({ 0.1, 0.2, 0.6 })[y + 1] * 0.15 / 0.3
    return e / 3 + (y == k and 1 - e or 0)
  end)
  local by_row = ls.target.structural{ epsilon = { 0.3, 0.1, 0.2 }, rows = true }
  t.close(by_row({ 1, 0 }, { rows = { 3, 1 } }):rows(2)[1][1], 0.1, 1e-7)
  t.close(by_row({ 1, 0 }, { rows = { 3, 1 } }):rows(2)[2][2], 0.15, 1e-7)
end

-- A mixture keeps each row's own mass, and mixing after softening is softening after mixing.
function T.structural_masses_follow_their_rows_through_mixing()
  local _ <close> = ls.allow{ "stacked-softening" }
  local scheme = ls.target.structural{ epsilon = { 0.4, 0.1, 0.2, 0.3 }, rows = true }
  local y, x = ls.labels{ 0, 1, 2, 1 }, ls.tensor.zeros(4, 2)
  local _, before, info = ls.mix.mixup{ alpha = 1, mode = "row" }(x, scheme(y, { rows = { 1, 2, 3, 4 } }), ls.rng(2))
  local q = scheme(y, { rows = { 1, 2, 3, 4 } }):rows(3)
  for i = 1, 4 do
    local l = info.lambda[i]
    t.is_true(gap(before:rows(3)[i], q[i] * l + q[info.partner[i]] * (1 - l)) < 1e-6)
  end
end

-- Labels drawn anew: 1 - e + e/K keep theirs, by the normal bound of a binomial at 5 standard deviations; all classes alike by chi-square.
function T.disturb_draws_by_its_law()
  local n, k, e = 40000, 5, 0.4
  local list = {}
  for i = 1, n do list[i] = 2 end
  local drawn = ls.target.disturb{ epsilon = e, rng = ls.rng(11) }(list):rows(k):sum(1)
  local keep = 1 - e + e / k
  t.is_true(math.abs(drawn[3] - n * keep) < 5 * math.sqrt(n * keep * (1 - keep)))
  local chi = 0
  for c = 1, k do if c ~= 3 then chi = chi + (drawn[c] - n * e / k) ^ 2 / (n * e / k) end end
  t.is_true(chi < 25.9, chi) -- .99999 of chi-square with 4 degrees
end

function T.ordinal_schemes_are_dlordinals()
  local found = 0
  for name, want in pairs(golden) do
    local kind, classes, percent = name:match "^(%a+2?)_(%d+)_?(%d*)$"
    classes = math.tointeger(tonumber(classes))
    local scheme = kind == "binomial" and ls.target.binomial{} or kind == "sord" and ls.target.sord{ alpha = 2 } or kind == "sord2" and ls.target.sord{ alpha = 0.25, power = 2 }
      or ls.target.triangular{ alpha = tonumber(percent) / 100 }
    local off = gap(scheme(labels_of(classes)):rows(classes), want)
    t.is_true(off < 1e-6, ("%s: %g"):format(name, off))
    found = found + 1
  end
  t.equals(found, 25)
end

-- Rows, loss, loss and gradient under class weights of every scheme of labels that no package has, and of uniform smoothing, which PyTorch and timm have: tests/golden/softening.py.
function T.schemes_are_their_papers_formulas()
  local d, y = derived, derived.labels
  local function annealed(cosine, epoch)
    local scheme = ls.target.annealed{ from = 0.3, to = 0.1, start = 2, epochs = 4, cosine = cosine }
    scheme:set_epoch(epoch)
    return scheme
  end
  local positions = {}
  for i = 1, #y do positions[i] = i end
  local schemes = {
    uniform = ls.target.uniform(0.1), wrong_classes = ls.target.wrong_classes(0.3), prior = ls.target.prior(0.2, d.prior), matrix = ls.target.matrix(0.3, d.matrix),
    similarity = ls.target.similarity{ similarity = d.similarity, epsilon = 0.2, temperature = 0.5 }, confusion = ls.target.confusion{ confusion = d.confusion, epsilon = 0.3 },
    hierarchy = ls.target.hierarchy{ distance = ls.target.tree_distance{ { 0, 1 }, { 2, { 3, 4 } }, { 5, 6 } }, beta = 4 },
    structural_by_class = ls.target.structural{ epsilon = d.by_class, mean = 0.15 },
    structural_by_row = ls.target.structural{ epsilon = d.by_row, rows = true },
  }
  for _, epoch in ipairs{ 0, 3.5, 8 } do
    for name, cosine in pairs{ line = false, cosine = true } do schemes[("annealed_%s_%g"):format(name, epoch)] = annealed(cosine, epoch) end
  end
  t.is_true(gap(ls.target.tree_distance{ { 0, 1 }, { 2, { 3, 4 } }, { 5, 6 } }, d.distance) == 0)
  local found = 0
  for name, scheme in pairs(schemes) do
    local target = name == "structural_by_row" and scheme(y, { rows = ls.labels(positions) }) or scheme(y)
    t.is_true(gap(target:rows(7), d[name .. "_rows"]) < 1e-6, name) -- float32 rows
    t.close(ls.loss.cross_entropy(d.logits, target):item(), d[name .. "_loss"][1], 1e-5, name)
    local z = d.logits:clone():requires_grad()
    local loss = ls.loss.cross_entropy(z, target, { weight = d.weights })
    loss:backward()
    t.close(loss:item(), d[name .. "_weighted"][1], 1e-5, name)
    t.is_true(gap(z.grad, d[name .. "_gradient"]) < 1e-6, name)
    found = found + 1
  end
  t.equals(found, 15)
end

function T.self_distillation_is_its_papers()
  local d, n = derived, #derived.labels
  local scheme = ls.target.self_distillation{ alpha = 0.8 }
  scheme:begin_training{ epochs = 3, examples = n }
  for epoch = 0, 2 do
    scheme:set_epoch(epoch)
    local order = d.past_orders:narrow(epoch * n + 1, n)
    for _, half in ipairs{ order:narrow(1, n // 2), order:narrow(n // 2 + 1, n - n // 2) } do
      local rows, labels = half:map(function(i) return epoch * n + i end), d.labels:gather(half)
      local target = scheme(labels, { rows = half })
      t.is_true(gap(target:rows(7), d["past_rows_" .. epoch]:gather(half)) < 1e-6, epoch)
      ls.loss.cross_entropy(d.past_logits:gather(rows):requires_grad(), target) -- what is trained is remembered
    end
    scheme:end_epoch()
  end
end

function T.the_page_of_peers_has_every_entry()
  local file <close> = assert(io.open "docs/peers-catalogue.md")
  local named = {}
  for row in file:read "a":gmatch "\n| ([^|]+) |" do
    for name in row:gmatch "[%w_]+" do named[name] = true end
  end
  local mixes, losses = require "lsengine.mix_catalogue".entries, require "lsengine.penalties".entries
  for _, list in ipairs{ schemes.entries, losses, mixes, { { name = "distillation" }, { name = "mean_teacher" } } } do
    for _, entry in ipairs(list) do t.is_true(named[entry.name] ~= nil, entry.name .. " is not in docs/peers-catalogue.md") end
  end
end

-- ---- what commutes, and what is refused ----

function T.schemes_of_labels_below_others()
  local _ <close> = ls.allow{ "stacked-softening" }
  local y = ls.labels{ 0, 1, 2 }
  local noisy = ls.target.disturb{ epsilon = 0.5, rng = ls.rng(1) }
  t.fails(function() return noisy(ls.target.uniform(0.1)(y)):rows(3) end, "disturb: it acts on labels, and the target is already softened by uniform(0.1): apply this scheme first", true)
  t.is_true(gap(ls.target.uniform(0.1)(noisy(y)):rows(3):sum(2), ls.tensor.ones(3, 1):reshape(3)) < 1e-6)
  local nearest = own{ name = "nearest", soften = function(_, labels) return ls.target.weighted{ { labels, 0.8 }, { labels:map{ [0] = 1, 2, 0 }, 0.2 } } end }
  local below, above = ls.target.uniform(0.1)(nearest(y)):rows(3), nearest(ls.target.uniform(0.1)(y)):rows(3)
  t.is_true(gap(below, above) < 1e-6) -- of the label alone: a matrix that keeps the uniform distribution
end

function T.epsilon_leaves_mass_on_the_label()
  local whole, part = ls.target.sord{ alpha = 1 }(labels_of(5)):rows(5), ls.target.sord{ alpha = 1, epsilon = 0.25 }(labels_of(5)):rows(5)
  t.is_true(gap(part, whole * 0.25 + ls.tensor.eye(5) * 0.75) < 1e-6)
end

function T.what_does_not_fit_is_said()
  t.fails(function() return ls.target.sord{ alpha = 0 } end, "sord: alpha is 0, allowed is above 0", true)
  t.fails(function() return ls.target.binomial{ low = 0.9, high = 0.1 }(ls.labels{ 0 }):rows(3) end, "binomial: low is 0.9 and high 0.1: low must be below high", true)
  t.fails(function() return ls.loss.cross_entropy(ls.tensor.zeros(1, 1), ls.target.triangular{}(ls.labels{ 0 })) end, "triangular: triangular orders classes: at least 2 are required", true)
  t.fails(function() return ls.target.uniform(0.1)(ls.labels{ 0 }):row(2, 3) end, "row: position is 2, the target has 1 rows", true)
  t.fails(function() return ls.target.confusion{ confusion = ls.tensor.zeros(2, 3) }({ 0 }):rows(3) end, "confusion: confusion is 2x3 but logits have 3 classes", true)
  t.fails(function() return ls.target.hierarchy{ distance = ls.tensor.ones(2, 2) }({ 0 }):rows(2) end, "distance of classes 0 and 0 is 1", true)
  t.fails(function() return ls.target.disturb{}({ 0 }):rows(2) end, "disturb: it draws at random: give it a stream", true)
  t.fails(function() return ls.target.tree_distance{ 0, { 1, 1 } } end, "class 1 is there twice", true)
  t.fails(function() return ls.target.structural{ epsilon = { 0.5, 2 } }({ 0 }):rows(2) end, "epsilon[2] is 2, allowed is 0 to 1", true)
  t.fails(function() return ls.target.sord{ alpha = 1 }({ 0, 7 }):rows(3) end, "labels[2] is 7 but logits have 3 classes (0..2)", true)
end

function T.schemes_of_ones_own_are_checked()
  local define = ls.target.define
  local plain = function(_, labels) return ls.target.uniform(0)(labels) end
  t.fails(function() return define{ name = "sord", soften = plain } end, 'define: name is "sord", which is a built-in scheme', true)
  t.fails(function() return define{ name = "mine", soften = plain, properties = { linear = true } } end, 'properties has "linear", known are', true)
  t.fails(function() return define{ name = "mine", soften = plain, parameters = { x = { min = "a" } } } end, "parameters.x.min is \"a\", a number is required", true)
  t.fails(function() return define{ name = "mine", soften = plain, properties = { stateful = true } } end, "a stateful scheme needs the function state", true)
  t.fails(function() return define{ name = "mine", soften = plain, observe = plain } end, "are for properties = { stateful = true }", true)
  t.fails(function() return define{ name = "mine", soften = plain, parameters = { share = { min = 0, max = 1, required = true } } }{ share = 2 } end, "mine: share is 2, allowed is 0 to 1", true)
  t.fails(function() return define{ name = "mine", soften = function() return 3 end }{}({ 0 }):rows(2) end, "mine: soften gave 3, a target", true)
  t.fails(function() return define{ name = "mine", soften = function() return ls.tensor.ones(2, 2) end }{}({ 0 }):rows(2) end, "soften gave rows of shape 2x2, 1×2 is required", true)
  t.fails(function() return define{ name = "mine", soften = function() return ls.tensor.ones(1, 2) end }{}({ 0 }):rows(2) end, "mine: row 1 of the target sums to 2", true)
  t.fails(function() return define{ name = "mine", soften = function(self) self.x = 1 end }{}({ 0 }):rows(2) end, "self.x cannot be set", true)
  local line = t.line() + 1
  t.fails(function() return define{ name = "mine", soften = function() local nothing return nothing.x end }{}({ 0 }):rows(2) end, "attempt to index a nil value", line)
end

function T.targets_tell_their_history()
  local target = ls.target.uniform(0.1)(ls.target.sord{ alpha = 2 }(ls.labels{ 0, 1 }))
  t.equals(tostring(target), "target of 2 rows: uniform(0.1), on sord{ alpha = 2, epsilon = 1, power = 1 }, on labels")
end

t.run()
