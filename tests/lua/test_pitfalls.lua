-- Pitfalls: each one's script raises just it; what is remembered of models; scopes; no false alarm in what is sensible. SPDX-License-Identifier: MIT
local t, ls = require "harness", require "lsengine"
local pitfalls   = require "lsengine.pitfalls"
local provenance = require "lsengine.provenance"
local program    = require "lsengine.c.program"
local tuning     = require "lsengine.tuning"
local json       = require "lsengine.c.json"
local T = t.tests

pitfalls.quiet = true
program.settings.quiet = true
local folder = (os.getenv "TMPDIR" or "/tmp")
local shipped = ls.data.load("satellite"):split{ validation = 0.2 }
local data = { train = shipped.train:subset(ls.rng(1):permutation(400)), validation = shipped.validation:subset(ls.rng(2):permutation(200)),
  test = shipped.test:subset(ls.rng(3):permutation(300)) }

local measure = require "pitfall_uses"
local run = measure.run

local function experiment(o)
  o.name, o.seeds = o.name or "pitfalls", o.seeds or 6
  local outcome = ls.experiment(o):run()
  os.remove(outcome.file)
  return outcome
end

local function train(rng, options, rows, sizes)
  local model = ls.nn.mlp(sizes or { 36, 8, 6 }, { rng = rng })
  local o = { epochs = 1, batch = 100, rng = rng, optimizer = ls.optim.sgd{ lr = 0.05 } }
  for key, value in pairs(options or {}) do o[key] = value end
  return model, ls.train(model, rows or data.train, o)
end

-- Pitfalls by name, of the last record of a file of results.
local function recorded_in(file)
  local last, names
  for line in io.lines(file) do last = json.decode(line) end
  os.remove(file)
  t.equals(last.kind, "end")
  names = {}
  for _, p in ipairs(last.pitfalls) do names[p.name] = p end
  return names
end

-- ---- each one's own script ----

for name, page in pairs(pitfalls.known) do
  T["the_script_of_" .. name:gsub("%W", "_") .. "_shows_it"] = function()
    local kept = program.settings.results
    program.settings.results = folder .. "/pitfalls-results"
    local f = assert(load(page.example, "=example of " .. name, "t"))
    local names, printed, raised = run(f)
    -- written with the results: of its own experiment, or of one around it; a fatal one leaves none
    if not page.fatal then
      local file = printed:match "Every trial is in (%S+)"
      if not file then
        run(function() file = ls.experiment{ name = "around " .. name, seeds = 1, arms = { { "a" } }, trial = function() f() return { x = 0.5 } end }:run().file end)
      end
      local recorded = recorded_in(file)
      t.is_true(recorded[name] ~= nil and recorded[name].message:find "%d" ~= nil and #recorded[name].where > 0, name .. " is not in the results")
    end
    program.settings.results = kept
    t.equals(names, { name })
    t.is_true(printed:find "%d%.%d" ~= nil, printed)
    t.is_true(raised[1] == nil or raised[1].message:find "%d" ~= nil, "no number shows the harm")
    t.is_true(raised[1] == nil or raised[1].where:find("example of " .. name, 1, true) ~= nil, raised[1] and raised[1].where)
    local lines = select(2, page.example:gsub("\n", "\n")) + 1
    t.is_true(lines <= 16, lines .. " lines")
    -- allowed, it is not raised, be it an error by itself; strict, it is an error
    do
      local scope <close> = ls.allow{ name }
      program.settings.results = folder .. "/pitfalls-results"
      t.equals(run(f), {}, name .. ", allowed")
    end
    pitfalls.strict = true
    local strict, _, warned = run(f)
    pitfalls.strict, program.settings.results = false, kept
    t.equals({ strict, warned }, { { name }, {} })
  end
end

-- ---- losses ----

local smooth = ls.target.uniform(0.1)

local function metric(f, claims, arms)
  return function()
    experiment{ arms = arms or { { "a", target = smooth }, { "b", target = smooth } }, seeds = 6, claims = claims, trial = f }
  end
end
local logits, y = ls.tensor.randn(300, 6, { rng = ls.rng(5) }), data.test.y

function T.means_and_exponentials_of_smoothed_losses_are_recognised()
  local function batches(rng)
    local sum, weighted, n, rows, tensor = 0, 0, 0, 0, nil
    for x, labels in data.test:batches(70, { rng = rng }) do
      local z = ls.tensor.randn(#labels, 6, { rng = rng })
      local loss = ls.loss.cross_entropy(z, smooth(labels))
      tensor = tensor and tensor + loss or loss
      sum, weighted, n, rows = sum + loss:item(), weighted + loss:item() * #labels, n + 1, rows + #labels
    end
    return { mean = sum / n, by_rows = weighted / rows, tensor = tensor:item() / n, mean_perplexity = math.exp(sum / n), perplexity = math.exp(weighted / rows) }
  end
  for _, name in ipairs{ "mean", "by_rows", "tensor", "mean_perplexity", "perplexity" } do
    local names, _, raised = run(metric(function(_, rng) return { x = batches(rng)[name] } end))
    t.equals(names, { "smoothed-evaluation" }, name)
    t.is_true(raised[1].message:find("uniform(0.1), on labels", 1, true) ~= nil)
    t.is_true(raised[1].message:find("target's own entropy", 1, true) ~= nil)
  end
  -- its floor taken out, it is a divergence; plain losses are plain
  t.equals(run(metric(function(_, rng) return { x = batches(rng).mean - smooth(y):entropy(6) } end)), {})
  t.equals(run(metric(function(_, rng) return { x = ls.loss.cross_entropy(ls.tensor.randn(300, 6, { rng = rng }), y):item() } end)), {})
end

function T.the_number_is_the_floor()
  local _, _, raised = run(metric(function() return { x = ls.loss.cross_entropy(ls.tensor.randn(10, 10, { rng = ls.rng(1) }), smooth(ls.labels{ 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 })):item() } end))
  t.is_true(raised[1].message:find("0.500 of it is the target's own entropy", 1, true) ~= nil, raised[1].message)
end

function T.the_loss_of_a_history_is_a_training_loss()
  local function of(target) return function(_, rng) return { loss = select(2, train(rng, { target = target }))[1].loss } end end
  t.equals(run(metric(of(smooth))), { "smoothed-evaluation" })
  t.equals(run(metric(of(nil))), {})
  t.equals(run(metric(of(ls.target.uniform(0)))), {})
end

function T.claims_and_columns_of_different_losses_are_told()
  local arms = { { "plain", target = ls.target.one_hot() }, { "smoothed", target = smooth } }
  local function trial(arm, rng) return { loss = ls.loss.cross_entropy(ls.tensor.randn(300, 6, { rng = rng }), arm.target(y)):item() } end
  local names, _, raised = run(metric(trial, nil, arms))
  t.equals(names, { "incomparable-losses", "smoothed-evaluation" })
  local line = t.line() + 1
  local claim = ls.claim{ "smoothed", "lower", "loss", than = "plain", by = 0 }
  names, _, raised = run(metric(trial, { claim }, arms))
  t.equals(names, { "incomparable-losses", "smoothed-evaluation" })
  for _, p in ipairs(raised) do
    if p.name == "incomparable-losses" then
      t.is_true(p.where:find(":" .. line .. "$") ~= nil, p.where)
      t.is_true(p.message:find("a claim compares", 1, true) ~= nil)
    end
  end
end

function T.losses_are_compared_as_numbers_and_told()
  local plain, soft = ls.loss.cross_entropy(logits, y), ls.loss.cross_entropy(logits, smooth(y))
  t.equals(plain < soft, plain:item() < soft:item())
  t.equals(plain <= plain, true)
  t.equals(plain < 100, true)
  t.equals(run(function() return plain < soft end), { "incomparable-losses" })
  t.equals(run(function() return soft <= ls.loss.cross_entropy(logits * 2, smooth(y)) end), {})
  t.equals(run(function() return plain < ls.loss.cross_entropy(logits * 2, y) end), {})
  t.fails(function() return logits < logits end, "a tensor of shape 300x6 is compared as a whole: t:lt(other) compares element by element", true)
  t.fails(function() return plain < "x" end, "a tensor is compared with \"x\"", true)
end

function T.perplexities_of_smoothed_losses_are_told_but_not_probabilities()
  local soft = ls.loss.cross_entropy(logits, smooth(y))
  t.equals(run(function() return soft:exp() end), { "smoothed-evaluation" })
  t.equals(run(function() return (-soft):exp() end), {})
  t.equals(run(function() return ls.loss.cross_entropy(logits, y):exp() end), {})
  t.equals(run(function() return logits:exp() end), {})
end

function T.a_plot_of_a_smoothed_loss_beside_nll_is_told()
  local function plot(target, names)
    return run(function()
      local _, history = train(ls.rng(1), { target = target, validation = data.validation, epochs = 2 })
      history:plot(names)
    end)
  end
  t.equals(plot(smooth, { "loss", "nll" }), { "incomparable-losses" })
  t.equals(plot(smooth, { "loss" }), {})
  t.equals(plot(smooth, { "nll", "ece" }), {})
  t.equals(plot(nil, { "loss", "nll" }), {})
end

-- ---- models ----

function T.a_model_remembers_its_training_in_its_file_too()
  local rng, file = ls.rng(1), folder .. "/pitfalls-model.npz"
  local model = train(rng, { target = smooth })
  local entry = model:trained_with()[1]
  t.equals({ entry.target, entry.soft, entry.smoothed, entry.data, entry.classes }, { "uniform(0.1), on labels", true, true, "satellite", 6 })
  t.close(entry.floor, smooth(y):entropy(6), 1e-9)
  t.close(entry.spread, 0.1, 1e-9)
  model:save(file)
  local arrays, count = ls.tensor.load(file), 0
  for _ in pairs(arrays) do count = count + 1 end
  t.equals(count, #model:parameters()) -- nothing but the parameters for other readers
  local other = ls.nn.mlp({ 36, 8, 6 }, { rng = rng }):load(file)
  t.equals(other:trained_with()[1].target, "uniform(0.1), on labels")
  t.equals(run(provenance.check_teacher, other, 2), { "smoothed-teacher" })
  ls.nn.mlp({ 36, 8, 6 }, { rng = rng }):save(file) -- one that was not trained: nothing is left of before
  t.equals(#other:load(file):trained_with(), 0)
  os.remove(file)
end

function T.what_a_file_says_of_training_is_not_trusted()
  local files = require "lsengine.c.files"
  local model, file = ls.nn.mlp({ 3, 2 }, { rng = ls.rng(1) }), folder .. "/pitfalls-hostile.npz"
  local names, arrays = {}, {}
  for i, p in ipairs(model:named_parameters()) do names[i], arrays[p[1]] = p[1], p[2] end
  for _, text in ipairs{ "", "x", "lsengine training ", "lsengine training {", "lsengine training 5", 'lsengine training {"target":5}', ("lsengine training "):rep(3000),
    'lsengine training {"target":"u","smoothed":true,"classes":-5,"spread":"x","original":[1,"a",2.5]}', 'lsengine training {"target":"u","smoothed":true,"spread":1e300,"classes":1}' } do
    files.save_npz("save", file, names, arrays, text)
    model:load(file)
    provenance.check_teacher(model, 3)
    model:trained_with()
  end
  os.remove(file)
end

function T.teachers_on_plain_or_mixed_labels_or_at_temperature_one_are_fine()
  local rng = ls.rng(1)
  t.equals(run(provenance.check_teacher, train(rng, { target = smooth }), 4), { "smoothed-teacher" })
  t.equals(run(provenance.check_teacher, train(rng, { target = smooth }), 1), {})
  t.equals(run(provenance.check_teacher, train(rng), 4), {})
  t.equals(run(provenance.check_teacher, train(rng, { mix = ls.mix.mixup{ alpha = 0.2 } }), 4), {})
  t.equals(run(provenance.check_teacher, ls.nn.mlp({ 36, 6 }, { rng = rng }), 4), {})
  -- a loss of one's own that smooths is seen through its tag; an average is the model, too
  t.equals(run(provenance.check_teacher, train(rng, { loss = function(z, labels) return ls.loss.cross_entropy(z, smooth(labels)) end }), 4), { "smoothed-teacher" })
  t.equals(run(provenance.check_teacher, train(rng, { target = smooth, average = { decay = 0.9 } }), 4), { "smoothed-teacher" })
  local model = train(rng, { target = smooth })
  ls.train(model, data.train, { epochs = 1, rng = rng, optimizer = ls.optim.sgd{ lr = 0.1 } })
  t.equals(run(provenance.check_teacher, model, 4), {}) -- trained on plain labels since
  t.equals(#model:trained_with(), 2)
end

function T.a_finished_checkpoint_knows_what_it_was_trained_on()
  local file = folder .. "/pitfalls.ckpt"
  os.remove(file)
  local function go()
    local rng = ls.rng(1)
    return (train(rng, { checkpoint = { file = file }, loss = function(z, labels) return ls.loss.cross_entropy(z, smooth(labels)) end }))
  end
  go()
  t.equals(go():trained_with()[1].target, "uniform(0.1), on labels")
  os.remove(file)
end

-- ---- embeddings ----

local seen, unseen = ls.data.load("satellite"):split_classes{ unseen = { 4, 5 } }
local part = seen.train:subset(ls.rng(1):permutation(300))
local function features_of(target, rows)
  return (train(ls.rng(1), { target = target }, part, { 36, 8, 4 })):features(rows.x)
end

function T.embeddings_of_unseen_classes_want_a_plain_arm()
  local few, own = unseen.test:subset(ls.rng(1):permutation(100)), seen.test:subset(ls.rng(1):permutation(100))
  local function judge(target, rows) return function() provenance.check_embedding(features_of(target, rows)) end end
  local names, _, raised = run(judge(smooth, few))
  t.equals(names, { "smoothed-embedding" })
  t.is_true(raised[1].message:find("2 classes of satellite (unseen)", 1, true) ~= nil and raised[1].message:find "vary in %d+%.%d directions" ~= nil, raised[1].message)
  t.equals(run(judge(smooth, own)), {})
  t.equals(run(judge(nil, few)), {})
  t.equals(run(function() judge(smooth, few)() judge(nil, few)() end), {}) -- in whichever order
  t.equals(run(function() judge(nil, few)() judge(smooth, few)() end), {})
  t.equals(run(judge(smooth, ls.data.load "satellite".test)), { "smoothed-embedding" }) -- seen and unseen together
  t.equals(run(function() provenance.check_embedding(train(ls.rng(1), { target = smooth }), ls.data.load "letter".test) end), { "smoothed-embedding" })
  t.equals(run(function() provenance.check_embedding(train(ls.rng(1), { target = smooth }), data.test) end), {})
  -- by whichever function; a row of zeros has no direction
  local judges = {
    function(f, y) ls.eval.retrieval(f, y) end, function(f) ls.knn.index(f) end, function(f, y) ls.eval.probe(f, y, f, y, { l2 = 0.1 }) end,
    function(f, y) ls.eval.geometry(f, y) end, function(f, y) ls.eval.clustering(f, y) end,
  }
  for i, f in ipairs(judges) do
    local function by(target, rows) f(features_of(target, rows) + 0.01, rows.y) end
    t.equals(run(by, smooth, few), { "smoothed-embedding" }, i)
    t.equals(run(function() by(smooth, few) by(nil, few) end), {}, i)
    t.equals(run(by, smooth, own), {}, i)
  end
  local function protocol(target) return function() ls.eval.retrieval_protocols((train(ls.rng(1), { target = target }, part, { 36, 8, 4 })), { unseen = few, metric = "l2" }) end end
  t.equals(run(protocol(smooth)), { "smoothed-embedding" })
  t.equals(run(protocol(nil)), {})
  -- normalised embeddings are embeddings
  t.equals(run(function() local f = features_of(smooth, few) provenance.check_embedding(f / f:square():sum(2, true):sqrt()) end), { "smoothed-embedding" })
end

function T.in_an_experiment_the_plain_arm_may_be_any()
  local few = unseen.test:subset(ls.rng(1):permutation(100))
  local function trial(arm) provenance.check_embedding(features_of(arm.target, few)) return { x = ls.rng(1):random() } end
  t.equals(run(metric(trial, nil, { { "smoothed", target = smooth }, { "one-hot" } })), {})
  t.equals(run(metric(trial, nil, { { "smoothed", target = smooth }, { "more", target = ls.target.uniform(0.2) } })), { "smoothed-embedding" })
end

-- ---- tuning ----

function T.a_search_in_one_arm_alone_is_told()
  local claim = ls.claim{ "a", "higher", "accuracy", than = "b", by = 0 }
  local function trial(arm, rng)
    local best, chosen = -1, nil
    for _ = 1, arm.tries do
      local model = train(rng)
      local accuracy = ls.evaluate(model, data.validation).accuracy
      if accuracy > best then best, chosen = accuracy, model end
    end
    return ls.evaluate(chosen, data.test)
  end
  local function of(a, b) return run(metric(trial, { claim }, { { "a", tries = a }, { "b", tries = b } })) end
  t.equals(of(3, 1), { "unequal-tuning" })
  t.equals(of(3, 3), {})
  t.equals(of(2, 1), {}) -- a pilot, or a teacher, is no search
  local function said(a, b)
    return (run(metric(function(_, rng) return { accuracy = rng:random() } end, { claim }, { { "a", tuned = a }, { "b", tuned = b } })))
  end
  t.equals({ said(12), said(12, 12), said(true), said(true, true), said(false), said() }, { { "unequal-tuning" }, {}, { "unequal-tuning" }, {}, {}, {} })
  -- several models judged on the rows of the result (an ensemble), or a teacher and a student, are no search
  t.equals(run(metric(function(arm, rng)
    local m
    for _ = 1, arm.tries do m = ls.evaluate(train(rng), data.test) end
    return m
  end, { claim }, { { "a", tries = 4 }, { "b", tries = 1 } })), {})
end

function T.the_lead_of_the_best_is_that_of_order_statistics()
  t.close(tuning.lead(2), 0.5641896, 1e-4) -- 1/√π
  t.close(tuning.lead(3), 0.8462844, 1e-4) -- 3/(2√π)
  t.close(tuning.lead(5), 1.1629645, 1e-4) -- Harter 1961
  t.close(tuning.lead(10), 1.5387527, 1e-4)
end

-- ---- rows used twice ----

function T.rows_that_were_used_are_told()
  local model = train(ls.rng(1), { validation = data.validation, early_stopping = { metric = "nll", patience = 2 }, epochs = 3 })
  t.equals(run(ls.evaluate, model, data.validation), { "selection-on-judged-rows" })
  t.equals(run(ls.evaluate, model, data.test, { temperature_on = data.validation }), {})
  t.equals(run(ls.evaluate, model, data.test, { temperature_on = data.test }), { "temperature-on-used-rows" })
  t.equals(run(ls.evaluate, model, data.test, { temperature_on = data.train }), { "temperature-on-used-rows" })
  t.equals(run(ls.evaluate, train(ls.rng(1), { validation = data.validation }), data.validation), {}) -- watched, not chosen
end

-- ---- once a run, scopes, records ----

function T.once_a_run_the_rest_is_counted()
  local _, _, raised = run(function()
    for _ = 1, 3 do ls.loss.cross_entropy(logits, smooth(smooth(y))) end
    ls.loss.cross_entropy(logits, smooth(smooth(y)))
  end)
  t.equals(#raised, 1)
  t.equals(raised[1].times, 4)
  t.equals(#raised[1].lines, 1)
  t.is_true(pitfalls.text(raised[1]):find "met 4 times, also at .*:%d+$" ~= nil)
end

function T.each_experiment_records_its_own()
  local f = function()
    for _ = 1, 2 do
      local outcome = ls.experiment{ name = "own", seeds = 1, arms = { { "a" } }, trial = function()
        ls.loss.cross_entropy(logits, smooth(smooth(y)))
        return { x = 0.5 }
      end }:run()
      t.equals(#outcome.pitfalls, 1)
      local last, trial
      for line in io.lines(outcome.file) do
        last = json.decode(line)
        if last.kind == "trial" then trial = last end
      end
      os.remove(outcome.file)
      t.equals({ trial.pitfalls[1].name, last.kind, last.pitfalls[1].name }, { "stacked-softening", "end", "stacked-softening" })
      t.is_true(last.pitfalls[1].message:find "%d" ~= nil and last.pitfalls[1].where:find "test_pitfalls" ~= nil)
    end
  end
  local names, printed = run(f)
  t.equals(names, { "stacked-softening", "stacked-softening" })
  t.is_true(printed:find("Pitfalls met (lsengine help NAME explains one):\n  stacked-softening at ", 1, true) ~= nil, printed)
end

function T.allow_lasts_for_its_scope_or_for_the_rest()
  local function stack() return ls.loss.cross_entropy(logits, smooth(smooth(y))) end
  t.equals(run(function()
    do local scope <close> = ls.allow{ "stacked-softening" } stack() end
    stack()
  end), { "stacked-softening" })
  local scope
  t.equals(run(function() scope = ls.allow{ "stacked-softening" } stack() collectgarbage() stack() end), {})
  getmetatable(scope).__close(scope)
  t.equals(run(stack), { "stacked-softening" })
  t.fails(function() return ls.allow{ "stacked" } end, 'allow names "stacked", which is no pitfall', true)
  t.fails(function() return ls.allow{ x = "stacked-softening" } end, 'allow names "x", which is no pitfall', true)
  t.fails(function() return ls.allow "stacked-softening" end, "is required", true)
end

-- ---- the table: what is raised over everything that is shipped, beside what should be ----

T.false_alarms_and_misses_are_none_of_the_measured = function()
  local kept = program.settings.results
  program.settings.results = folder .. "/pitfalls-results"
  local rows, wrong = measure.rows(run), 0
  program.settings.results = kept
  for _, row in ipairs(rows) do
    if not row.right then wrong = wrong + 1 print(row.name, row.raised, "expected", row.expected) end
  end
  t.equals(wrong, 0)
  t.is_true(#rows > 150, #rows)
  local file <close> = assert(io.open "docs/pitfalls-measured.md")
  t.equals(file:read "a", measure.page(rows), "docs/pitfalls-measured.md: run build/lsengine run tools/pitfalls.lua")
end

t.run()
