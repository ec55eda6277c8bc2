-- ls.eval.classification, calibration, selective, calibrators: other packages' numbers, choices by name, refusals, files. SPDX-License-Identifier: MIT
local t, ls = require "harness", require "lsengine"
local T = t.tests

-- n rows of k logits, sharpened by `scale`, whose labels were drawn from their softmax: scale 1 is calibrated.
local function draw(n, k, scale, seed)
  local rng = ls.rng(seed or 1)
  local z, y = ls.tensor.randn(n, k, { rng = rng }) * 2, {}
  local p = z:softmax()
  for i = 1, n do
    local u, sum, row = rng:random(), 0, p[i]
    for c = 1, k do
      sum = sum + row[c]
      if u <= sum or c == k then y[i] = c - 1 break end
    end
  end
  return z * (scale or 1), y
end

function T.other_packages_numbers_come_out_when_their_choices_are_named()
  local peers, count = {}, 0
  for _, case in ipairs(require "judging_cases") do
    -- the peers compute in float64 from the same float32 numbers, torch in float32: 1e-6 absolute
    if not (math.abs(case.got - case.want) <= 1e-6) then
      error(("%s, %s{ %s }.%s: %.9g, %s has %.9g"):format(case.set, case.call, case.options, case.field, case.got, case.peer, case.want))
    end
    peers[case.peer], count = true, count + 1
  end
  for _, peer in ipairs{ "scikit-learn", "torchmetrics", "netcal", "relplot", "torch-uncertainty", "scipy" } do t.is_true(peers[peer], peer) end
  t.is_true(count > 600, count)
end

function T.conventions_differ_where_they_should() -- the test above could not see a convention that is ignored
  local p, y = ls.tensor{ { 0.5, 0.5, 0 }, { 0.45, 0.3, 0.25 } }, { 1, 0 }
  local function ece(o) o.bins, o.probabilities = 10, true return ls.eval.calibration(p, y, o).ece end
  t.close(ece{}, 0.525, 1e-6)
  t.close(ece{ edges = "right" }, 0.025, 1e-6)
  t.close(ece{ convention = "guo" }, 0.025, 1e-6)
  t.close(ece{ convention = "guo", edges = "left" }, 0.525, 1e-6)
  local c = ls.eval.calibration(p, y, { probabilities = true, convention = "guo" }).conventions
  t.is_true(c.edges == "right" and c.zero == "dropped" and c.rounding == "float32" and c.bins == 15)
end

function T.the_three_measures_and_evaluate_agree()
  local data = ls.data.load "satellite"
  local model = ls.nn.mlp({ 36, 16, 6 }, { rng = ls.rng(3) })
  ls.train(model, data.train, { epochs = 1, batch = 64, rng = ls.rng(4), optimizer = ls.optim.sgd{ lr = 0.1 } })
  local z, y = ls.no_grad(function() return model(data.test.x) end), data.test.y
  local m, c = ls.evaluate(model, data.test, { top_k = 2 }), ls.eval.calibration(z, y)
  local k, s = ls.eval.classification(z, y, { top_k = 2 }), ls.eval.selective(z, y)
  for _, name in ipairs{ "accuracy", "ece", "ece_null", "ece_debiased", "ece_debiased_l2", "mce", "confidence", "confidence_gap", "nll", "brier" } do t.close(c[name], m[name], 1e-6) end -- evaluate's batches round logits otherwise
  for _, name in ipairs{ "accuracy", "nll", "brier" } do t.close(k[name], c[name] or m[name], 1e-12) end
  t.close(k.top_k[2], m.top_k, 1e-6)
  t.close(s.aurc, m.aurc, 1e-6)
  t.close(s.risk, 1 - m.accuracy, 1e-12)
end

function T.predict_gives_every_row_in_order_and_leaves_the_model_as_it_was()
  local data = ls.data.load "satellite"
  local model = ls.nn.sequential({ ls.nn.linear(36, 16), ls.nn.dropout(0.5), ls.nn.linear(16, 6) }, { rng = ls.rng(3) })
  model:train()
  local z = ls.predict(model, data.test) -- 2000 rows: two batches
  t.equals(z:shape(), { 2000, 6 })
  t.equals(rawget(model, "training"), true)
  t.is_true((model(data.test.x) - z):abs():max():item() > 0.1) -- dropout acts again
  model:eval()
  for _, row in ipairs{ 1, 999, 1000, 1001, 2000 } do
    local alone = ls.predict(model, data.test:subset{ row })
    for k = 1, 6 do t.close(alone[1][k], z[row][k], 1e-5) end
  end
  t.equals(ls.eval.classification(z, data.test.y).accuracy, ls.evaluate(model, data.test).accuracy)
  t.fails(function() z:sum():backward() end, "backward:", nil) -- unrecorded
  t.fails(function() return ls.predict(model, data.test:subset{}) end, "predict: the data set has no rows", t.line())
  t.fails(function() return ls.predict(data.test, model) end, "predict: model is a data set", t.line())
end

function T.a_loss_is_told_from_its_floor()
  local z, y = draw(50, 4)
  local target = ls.target.uniform(0.1)(y)
  local r = ls.eval.classification(z, y, { target = target })
  t.close(r.target_entropy, target:entropy(4), 1e-6)
  t.close(r.excess_loss, r.loss - target:entropy(4), 1e-6)
  local best = ls.eval.classification(target:rows(4):log(), y, { target = target })
  t.close(best.excess_loss, 0, 1e-6) -- a model that meets its target is at the floor
  t.is_true(ls.eval.classification(z, y).excess_loss == nil)
end

function T.bins_can_be_drawn()
  local z, y = draw(3000, 5, 1.5)
  for _, kind in ipairs{ "equal_width", "equal_mass" } do
    local c = ls.eval.calibration(z, y, { kind = kind, bins = 9 })
    local rows, gap, last = 0, 0, 0
    t.equals(#c.bins, 9)
    for _, b in ipairs(c.bins) do
      rows = rows + b.count
      t.is_true(b.low >= last - 1e-12 and b.high >= b.low)
      last = b.high
      if b.count > 0 then
        t.is_true(b.accuracy_low <= b.accuracy and b.accuracy <= b.accuracy_high)
        t.is_true(b.confidence >= b.low - 1e-12 and b.confidence <= b.high + 1e-12)
        gap = gap + b.count / c.rows * math.abs(b.accuracy - b.confidence)
      else t.is_true(b.accuracy == nil) end
    end
    t.close(rows, 3000, 1e-9)
    t.close(gap, c.error, 1e-12)
  end
  local c = ls.eval.calibration(z, y)
  local m = c.murphy
  t.close(m.reliability - m.resolution + m.uncertainty + m.within_variance - m.within_covariance, m.brier, 1e-12)
  t.close(c.overconfidence + c.underconfidence, c.ece, 1e-12)
  t.is_true(c.confidence_gap > 0.05 and c.temperature > 1.3 and c.temperature < 1.7)
  t.is_true(tostring(c):find "Clopper and Pearson" and tostring(c):find "overconfident" and tostring(c):find "%[a, b%)" ~= nil)
end

function T.a_calibrated_model_shows_nothing()
  local z, y = draw(4000, 4)
  local c = ls.eval.calibration(z, y)
  t.is_true(math.abs(c.ece - c.ece_null) < 0.012, c.ece) -- both about .013; sd of the ece about .003
  t.is_true(math.abs(c.temperature - 1) < 0.06, c.temperature)
  t.is_true(c.smooth_ece < 0.03 and c.mmce < 0.02)
end

function T.rows_may_come_in_any_order()
  local z, y = draw(600, 3, 2)
  local order = ls.rng(5):permutation(600)
  local list, q = order:totable(), {}
  for i, at in ipairs(list) do q[i] = y[at] end
  local rows = {}
  for i, at in ipairs(list) do rows[i] = z[at]:totable() end
  local a, b = ls.eval.calibration(z, y), ls.eval.calibration(ls.tensor(rows), q)
  for _, name in ipairs{ "ece", "mce", "ace", "adaptive_ece", "ece_debiased", "ece_debiased_l2", "classwise_ece", "smooth_ece", "mmce", "nll", "brier", "temperature" } do t.close(a[name], b[name], 1e-9) end
  local s, u = ls.eval.selective(z, y), ls.eval.selective(ls.tensor(rows), q)
  for _, name in ipairs{ "aurc", "augrc", "auroc", "excess_aurc" } do t.close(s[name], u[name], 1e-12) end
end

function T.ignored_rows_do_not_count()
  local z, y = draw(200, 3, 2)
  local first, some = z:narrow(1, 1, 100), {}
  for i = 1, 200 do some[i] = i <= 100 and y[i] or -1 end
  local short = table.move(y, 1, 100, 1, {})
  local a, b = ls.eval.calibration(z, some, { ignore_index = -1 }), ls.eval.calibration(first, short)
  for _, name in ipairs{ "rows", "ece", "adaptive_ece", "classwise_ece", "smooth_ece", "mmce", "nll", "temperature" } do t.close(a[name], b[name], 1e-12) end
  t.close(ls.eval.selective(z, some, { ignore_index = -1, score = z:max(2) }).aurc, ls.eval.selective(first, short, { score = first:max(2) }).aurc, 1e-15)
  t.close(ls.eval.classification(z, some, { ignore_index = -1 }).macro_f1, ls.eval.classification(first, short).macro_f1, 1e-15)
  for _, f in ipairs{ "vector_scaling", "matrix_scaling" } do t.close(ls.eval[f](z, some, { ignore_index = -1 }).nll, ls.eval[f](first, short).nll, 1e-9) end
  for _, f in ipairs{ "isotonic_regression", "histogram_binning" } do
    t.is_true((ls.eval[f](z, some, { ignore_index = -1 })(z) - ls.eval[f](first, short)(z)):abs():max():item() == 0)
  end
end

function T.own_scores_rank_rows()
  local z, y = draw(300, 3)
  local p = z:softmax()
  t.close(ls.eval.selective(z, y, { score = p:max(2) }).aurc, ls.eval.selective(z, y).aurc, 1e-4) -- float32 confidences tie here and there
  t.fails(function() return ls.eval.selective(z, y, { score = p }) end, "score has shape 300x3, one number for each of 300 rows is required", true)
  t.fails(function() return ls.eval.selective(z, y, { score = "margins" }) end, 'score is "margins", allowed are max_probability', true)
  t.fails(function() return ls.eval.selective(p, y, { score = "energy", probabilities = true }) end, "the score energy is made of logits", true)
  t.fails(function() return ls.eval.selective(z, y, { risks = { 2 } }) end, "risks[1] is 2, allowed is a number from 0 to 1", true)
  local s = ls.eval.selective(z, y, { points = 4, risks = { 0, 1 }, coverages = { 1 } })
  t.equals(#s.curve, 4)
  t.close(s.curve[4][2], s.risk, 1e-15)
  t.is_true(s.coverage_at_risk[1] == 1 and s.risk_at_coverage[1] == s.risk)
end

function T.calibrators_calibrate_other_rows()
  local z, y = draw(4000, 4, 2, 1)
  local z2, y2 = draw(4000, 4, 2, 2)
  local before = ls.eval.calibration(z2, y2)
  t.is_true(before.ece > 0.1)
  local cases = { { "temperature_scaling" }, { "vector_scaling" }, { "matrix_scaling" }, { "isotonic_regression" }, { "isotonic_regression", method = "confidence" },
    { "histogram_binning" }, { "histogram_binning", method = "confidence" }, { "histogram_binning", method = "top_label", kind = "equal_mass" } }
  for _, case in ipairs(cases) do
    local name = case[1]
    local calibrator = ls.eval[name](z, y, { method = case.method, kind = case.kind })
    local confidence, predicted = calibrator:confidences(z2)
    local right, gap = 0, 0
    for i = 1, 4000 do right = right + (predicted[i] == y2[i] and 1 or 0) gap = gap + confidence[i] end
    -- the largest of several maps' values is not calibrated itself
    t.is_true(math.abs(gap - right) / 4000 < (calibrator.method == "one_vs_rest" and 0.05 or 0.03), name)
    local p = calibrator(z2)
    t.is_true((p:sum(2) - 1):abs():max():item() < 1e-5, name)
    local after = ls.eval.calibration(p, y2, { probabilities = true })
    t.is_true(after.ece < 0.05, ("%s: %.4f"):format(tostring(calibrator), after.ece))
    t.is_true(after.brier < before.brier, name) -- the NLL of maps that give 0 is infinite where it came true
    if name:find "scaling" then
      t.close(ls.eval.calibration(calibrator:logits(z2), y2).ece, after.ece, 1e-3)
      t.is_true(calibrator.nll < calibrator.nll_before)
    else t.fails(function() return calibrator:logits(z2) end, "maps probabilities, it has no logits", true) end
    -- of the logarithms of probabilities: the same map
    local q = z2:softmax()
    t.is_true((calibrator(q, { probabilities = true }) - p):abs():max():item() < 1e-4 or name ~= "temperature_scaling", name) -- the others see a row's shift
    local file = (os.getenv "TMPDIR" or "/tmp") .. "/lsengine-calibrator.json"
    calibrator:save(file)
    local same = ls.eval.load_calibrator(file)
    t.is_true((same(z2) - p):abs():max():item() == 0, name)
    os.remove(file)
  end
end

function T.temperature_one_is_no_change()
  local z, y = draw(500, 3)
  local a, b = ls.eval.calibration(z, y), ls.eval.calibration(z, y, { temperature = 1 })
  t.is_true(a.ece == b.ece and a.nll == b.nll)
  t.close(ls.eval.calibration(z, y, { temperature = 2 }).nll, ls.eval.calibration(z * 0.5, y).nll, 1e-12)
  t.is_true(ls.eval.calibration(z, y, { temperature = 2 }).confidence < a.confidence)
end

function T.files_that_are_no_calibrators_are_refused()
  local file = (os.getenv "TMPDIR" or "/tmp") .. "/lsengine-no-calibrator.json"
  for text, why in pairs{ ["x"] = "it is not a JSON object", ["{}"] = "its kind is unknown", ['{"kind":"temperature_scaling"}'] = "it says no number of classes",
    ['{"kind":"temperature_scaling","classes":2}'] = "temperature is missing", ['{"kind":"temperature_scaling","classes":2,"temperature":-1}'] = "its temperature is out of range",
    ['{"kind":"histogram_binning","classes":2,"method":"x","fits":[]}'] = "its method is unknown", ['{"kind":"histogram_binning","classes":2,"method":"confidence","fits":[]}'] = "the map of class 0 is missing" } do
    local f <close> = io.open(file, "w")
    f:write(text)
    f:flush()
    t.fails(function() return ls.eval.load_calibrator(file) end, why, true)
  end
  os.remove(file)
  t.fails(function() return ls.eval.load_calibrator(file) end, "cannot be read", true)
  t.fails(function() return ls.eval.temperature_scaling(ls.tensor.eye(2), { 0, 1 }):save "/dev/null/x" end, "cannot be written", true)
  t.fails(function() return ls.eval.temperature_scaling(ls.tensor.eye(2), { 0, 1 }):save "x\0y" end, "the name of the file has a zero byte in it", true)
  t.fails(function() return ls.eval.load_calibrator "x\0y" end, "the name of the file has a zero byte in it", true)
end

function T.what_cannot_be_judged_is_refused_at_the_users_line()
  local z = ls.tensor{ { 1, 2 }, { 3, 4 } }
  for _, name in ipairs{ "classification", "calibration", "selective", "temperature_scaling", "vector_scaling", "isotonic_regression" } do
    local f = ls.eval[name]
    t.fails(function() return f(z, { 0 }) end, "there are 1 labels but logits have 2 rows", true)
    t.fails(function() return f(z, { 0, 2 }) end, "labels[2] is 2 but logits have 2 classes (0..1)", true)
    t.fails(function() return f(ls.tensor{ { 1, 0 / 0 } }, { 0 }) end, "logits[1] is NaN for class 1", true)
    t.fails(function() return f(ls.tensor{ { 1, -math.huge } }, { 1 }) end, "labels[1] is 1, a class that is masked", true)
  end
  t.fails(function() return ls.eval.calibration(z, { 0, 1 }, { probabilities = true }) end, "probabilities[1] is 2 for class 1, allowed is 0 to 1 (are these logits?)", true)
  t.fails(function() return ls.eval.calibration(z, { 0, 1 }, { probabilities = true, temperature = 2 }) end, "a temperature divides logits, probabilities were given", true)
  t.fails(function() return ls.eval.classification(z, { 0, 1 }, { top_k = { 0 } }) end, "top_k[1] is 0, an integer from 1 is required", true)
  t.fails(function() return ls.eval.temperature_scaling(z, { 0, 1 })(ls.tensor.eye(3)) end, "logits have 3 classes, the calibrator was fitted on 2", true)
end

t.run()
