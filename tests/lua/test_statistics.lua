-- Statistics of plain numbers against scipy; two models on the same rows. SPDX-License-Identifier: MIT
local t, ls  = require "harness", require "lsengine"
local c      = require "lsengine.c.statistics"
local golden = dofile "tests/golden/intervals.lua"
local T, S   = t.tests, ls.stats

local function near(got, want, tolerance, what)
  if not (got == want or math.abs(got - want) <= tolerance * math.max(1e-300, math.abs(want)) + 1e-300) then error(("%s is %.17g, want %.17g"):format(what or "it", got, want)) end
end

local compared = 0
for name, sample in pairs(golden.samples) do
  T["wilcoxon_of_" .. name .. "_is_scipys"] = function()
    for _, row in ipairs(sample.wilcoxon) do
      local r = S.wilcoxon(sample.x, nil, { zero_method = row[1], alternative = row[2] })
      near(r.p, row[3], 1e-10, row[1] .. " " .. row[2])
      compared = compared + 1
    end
  end
  -- scipy's replicates and jackknife, our interval
  T["bootstrap_intervals_of_" .. name .. "_are_scipys"] = function()
    local replicates, jackknife
    for _, row in ipairs(sample.bootstrap) do
      replicates, jackknife = row[7] or replicates, row[8] or jackknife
      local low, high = c.bootstrap_interval(replicates, row[6], jackknife, row[3], row[2])
      t.close(low, row[4], 1e-9)
      t.close(high, row[5], 1e-9)
      compared = compared + 2
    end
  end
  T["our_own_replicates_of_" .. name .. "_give_nearly_the_same"] = function()
    for _, row in ipairs(#sample.x >= 100 and sample.bootstrap or {}) do
      if row[1] == "deviation" or row[2] == "basic" then goto other end
      local r = S.bootstrap(sample.x, { statistic = row[1], method = row[2], level = row[3], resamples = 4999 })
      near(r.estimate, row[6], 1e-12)
      t.is_true(math.abs(r.low - row[4]) < 0.8 * r.error and math.abs(r.high - row[5]) < 0.8 * r.error, row[1] .. " " .. row[2]) -- scipy's 499 replicates are noisy at the ends
      ::other::
    end
  end
  if #sample.x > 1 and name ~= "binary" then
    T["t_interval_of_" .. name .. "_is_scipys"] = function()
      local r = S.t_interval(sample.x, nil, { level = 0.9, normal = true })
      t.close(r.low, sample.t[1], 1e-9)
      t.close(r.high, sample.t[2], 1e-9)
    end
  end
end

function T.binomial_tests_are_scipys()
  for _, row in ipairs(golden.binomial) do
    for i, alternative in ipairs{ "two_sided", "greater", "less" } do
      near(S.binomial_test(row[1], row[2], { p = row[3], alternative = alternative }), row[3 + i], row[2] > 1e5 and 1e-7 or 1e-10, ("%d of %d, %s"):format(row[1], row[2], alternative))
      compared = compared + 1
    end
  end
end

function T.intervals_of_proportions_are_scipys()
  for _, row in ipairs(golden.proportion) do
    local w, e = S.proportion_interval(row[1], row[2], { level = row[3] }), S.proportion_interval(row[1], row[2], { level = row[3], method = "clopper_pearson" })
    for i, pair in ipairs{ { w.low, row[4] }, { w.high, row[5] }, { e.low, row[6] }, { e.high, row[7] } } do t.close(pair[1], pair[2], 1e-8, ("%d of %d, %d"):format(row[1], row[2], i)) end
    compared = compared + 4
  end
end

function T.mcnemar_is_the_binomial_test_and_its_mid_p()
  for _, row in ipairs(golden.mcnemar) do
    local r = S.mcnemar(row[1], row[2])
    near(r.p, row[3], 1e-10)
    near(r.mid_p, row[4], 1e-10)
    compared = compared + 2
  end
end

function T.adjusted_p_values_are_scipys()
  for name, want in pairs{ holm = golden.holm, benjamini_hochberg = golden.benjamini_hochberg } do
    local got = S[name](golden.p)
    for i, p in ipairs(want) do near(got[i], p, 1e-12, name) compared = compared + 1 end
  end
  t.equals({ S.holm{}, S.benjamini_hochberg{} }, { {}, {} })
  t.fails(function() return S.holm{ 0.5, 1.5 } end, "holm: p[2] is 1.5, allowed is 0 to 1", true)
end

function T.a_statistic_of_ones_own()
  local x = golden.samples.many.x
  local mine = S.bootstrap(x, { statistic = function(v) local s = 0 for _, a in ipairs(v) do s = s + a end return s / #v end, resamples = 499 })
  local built_in = S.bootstrap(x, { resamples = 999 })
  t.close(mine.estimate, built_in.estimate, 1e-12)
  t.is_true(math.abs(mine.low - built_in.low) < 0.3 * mine.error and math.abs(mine.high - built_in.high) < 0.4 * mine.error)
  t.fails(function() return S.bootstrap(x, { statistic = function() return 0 / 0 end }) end, "the statistic is", true)
  t.fails(function() return S.bootstrap(x, { statistic = function() return "x" end }) end, "the statistic is \"x\", a number is required", true)
  t.fails(function() return S.bootstrap({ 1, 2, 3 }) end, "bootstrap: 3 values were given, at least 100 are required", true)
  t.fails(function() return S.bootstrap({ 1 }, { method = "percentile" }) end, "1 values were given, at least 100 are required", true)
  t.equals(S.bootstrap(x, { resamples = 99 }).low, S.bootstrap(x, { resamples = 99 }).low)
  t.is_true(S.bootstrap(x, { resamples = 99, rng = ls.rng(1) }).low ~= S.bootstrap(x, { resamples = 99, rng = ls.rng(2) }).low)
end

function T.an_interval_that_would_miss_too_often_is_refused()
  local ones = {}
  for b = 1, 120 do ones[b] = b % 10 < 3 and 1 or 0 end
  t.fails(function() return S.bootstrap(ones, { statistic = "interquartile_mean" }) end, "more than half of the values are one and the same number", true)
  t.close(S.bootstrap(ones, { statistic = "interquartile_mean", method = "percentile", resamples = 99 }).estimate, 0.1, 1e-12)
  for b = 1, 60 do ones[b] = 1 end
  for b = 61, 120 do ones[b] = 0 end
  t.close(S.bootstrap(ones, { statistic = "interquartile_mean", resamples = 99 }).estimate, 0.5, 1e-12) -- half is not more than half
  local x = golden.samples.normal.x
  t.fails(function() return S.t_interval(x) end, "t_interval: 25 values were given: below 50 the interval holds for near-normal values only, which normal = true says they are", true)
  t.fails(function() return S.t_interval(golden.samples.binary.x) end, "the values are 0 and 1 alone: proportion_interval is right for them", true)
  t.fails(function() return S.t_interval{ 1 } end, "1 values were given, at least 2 are required", true)
end

function T.pairs_are_differences()
  local a, b = { 3, 5, 7, 9 }, { 1, 5, 8, 4 }
  t.equals(S.wilcoxon(a, b), S.wilcoxon{ 2, 0, -1, 5 })
  t.equals(S.effect_size(a, b), S.effect_size{ 2, 0, -1, 5 })
  t.close(S.effect_size(a, b).d, 1.5 / (7 ^ 0.5), 1e-12)
  t.equals(S.effect_size(a, b).superiority, 0.625)
  t.equals(S.effect_size{ 0, 0 }, { d = 0, superiority = 0.5 })
  t.fails(function() return S.wilcoxon(a, { 1 }) end, "there are 4 values but 1 to compare them with", true)
  t.fails(function() return S.wilcoxon({ 1, "x" }, { 1, 2 }) end, "value 2 is \"x\", a number is required", true)
  t.fails(function() return S.wilcoxon{ 1, 0 / 0 } end, "differences[2] is", true)
  t.fails(function() return S.wilcoxon{} end, "differences has 0 values, at least 1 are required", true)
  t.equals({ S.wilcoxon{ 0, 0 }.p, S.wilcoxon{ 0, 0 }.rank_biserial }, { 1, 0 })
end

-- ---- two models ----

local function two_models(n, seed)
  local rng = ls.rng(seed)
  local y = rng:integers(0, 3, n)
  local shared = ls.tensor.randn(n, 4, { rng = rng }) + ls.tensor.one_hot(y, 4) * 2
  return shared + ls.tensor.randn(n, 4, { rng = rng }) * 0.5, shared * 2 + ls.tensor.randn(n, 4, { rng = rng }) * 0.5, y
end

-- Each row judged on its own.
local function rows_of(z, y)
  local all = {}
  for i = 1, #y do
    local m = ls.eval.classification(z:narrow(1, i, 1), y:narrow(i, 1))
    all[i] = { accuracy = m.accuracy, nll = m.nll, brier = m.brier }
  end
  return all
end

function T.a_comparison_is_made_of_its_rows()
  local a, b, y = two_models(220, 1)
  local r, of_a, of_b = ls.eval.compare(a, b, y), rows_of(a, y), rows_of(b, y)
  for _, name in ipairs{ "accuracy", "nll", "brier" } do
    local d, m = {}, r[name]
    for i = 1, 220 do d[i] = of_a[i][name] - of_b[i][name] end
    local interval, effect, w = S.t_interval(d), S.effect_size(d), S.wilcoxon(d)
    t.close(m.difference, interval.mean, 1e-12)
    if name == "accuracy" then -- Agresti and Min: half a row more in each cell
      local n, x, z = 222, r.mcnemar.only_a + 0.5, r.mcnemar.only_b + 0.5
      local half = 1.959963984540054 * math.sqrt(x + z - (x - z) ^ 2 / n) / n
      t.close(m.low, (x - z) / n - half, 1e-12)
      t.close(m.high, (x - z) / n + half, 1e-12)
      t.equals({ m.bca_low, m.bca_high }, {})
    else
      t.close(m.low, interval.low, 1e-12)
      t.close(m.high, interval.high, 1e-12)
    end
    t.close(m.effect_size, effect.d, 1e-12)
    t.close(m.superiority, effect.superiority, 1e-12)
    t.close(m.wilcoxon.p, w.p, 1e-9)
    if name ~= "accuracy" then
      local own = S.bootstrap(d, { resamples = 2000 })
      local room = 0.25 * own.error -- two sets of replicates
      t.is_true(math.abs(m.bca_low - own.low) < room and math.abs(m.bca_high - own.high) < room, name)
    end
    t.is_true(m.low < m.difference and m.difference < m.high)
  end
  t.close(r.ece_debiased.a, ls.eval.calibration(a, y).ece_debiased, 1e-12)
  t.close(r.ece_debiased.b, ls.eval.calibration(b, y).ece_debiased, 1e-12)
  t.equals(r.accuracy.p, r.mcnemar.mid_p)
  local p = { r.accuracy.p, r.nll.p, r.brier.p }
  t.equals({ r.accuracy.p_holm, r.nll.p_holm, r.brier.p_holm }, S.holm(p))
  t.equals({ r.accuracy.p_fdr, r.nll.p_fdr, r.brier.p_fdr }, S.benjamini_hochberg(p))
end

function T.exchanging_the_models_turns_the_signs()
  local a, b, y = two_models(120, 2)
  local r, back = ls.eval.compare(a, b, y), ls.eval.compare(b, a, y)
  for _, name in ipairs{ "accuracy", "nll", "brier", "ece_debiased" } do
    t.close(r[name].difference, -back[name].difference, 1e-12)
    t.close(r[name].low, -back[name].high, 1e-9)
    t.close(r[name].high, -back[name].low, 1e-9)
    if r[name].p then t.close(r[name].p, back[name].p, 1e-12) end
  end
  t.equals({ r.mcnemar.only_a, r.mcnemar.only_b }, { back.mcnemar.only_b, back.mcnemar.only_a })
end

function T.a_model_against_itself_differs_in_nothing()
  local a, _, y = two_models(150, 3)
  local r = ls.eval.compare(a, a, y)
  for _, name in ipairs{ "nll", "brier", "ece_debiased" } do t.equals({ r[name].difference, r[name].low, r[name].high }, { 0, 0, 0 }) end
  t.equals(r.accuracy.difference, 0)
  t.close(r.accuracy.high, 1.959963984540054 / 152, 1e-12) -- no row differs among 150: others may
  t.close(r.accuracy.low, -1.959963984540054 / 152, 1e-12)
  t.equals({ r.nll.p, r.nll.p_holm, r.nll.effect_size, r.nll.superiority, r.nll.wilcoxon.p, r.mcnemar.p, r.mcnemar.mid_p }, { 1, 1, 0, 0.5, 1, 1, 1 })
end

function T.few_rows_have_no_interval_and_bad_ones_are_refused()
  local a, b, y = two_models(99, 4)
  local r = ls.eval.compare(a, b, y)
  t.equals({ r.nll.low, r.nll.bca_low, r.nll.high, r.ece_debiased.low }, {})
  t.is_true(r.accuracy.low ~= nil and r.nll.p ~= nil and r.rows == 99)
  t.is_true(ls.eval.compare(two_models(19, 4)).accuracy.low == nil)
  local more = ls.eval.compare(two_models(199, 4))
  t.is_true(more.nll.low ~= nil and more.ece_debiased.high ~= nil and more.nll.bca_low == nil)
  t.fails(function() return ls.eval.compare(a, b:narrow(1, 1, 5), y) end, "compare: logits of a are 99x4 but those of b are 5x4", true)
  t.fails(function() return ls.eval.compare(a, b, { 0 }) end, "there are 1 labels but logits have 99 rows", true)
  t.fails(function() return ls.eval.compare(a, b * (0 / 0), y) end, "logits[1] is NaN for class 0", true)
  t.fails(function() return ls.eval.compare(a:narrow(1, 1, 1), b:narrow(1, 1, 1), { 0 }) end, "one row was given, a comparison needs at least 2", true)
end

function T.a_shifted_p_value_is_noticed()
  local row = golden.samples.normal.wilcoxon[1]
  t.is_true(not pcall(near, S.wilcoxon(golden.samples.normal.x).p * 1.0001, row[3], 1e-10))
end

function T.zz_all_were_compared() t.is_true(compared > 250, compared .. " numbers") end -- last by name

t.run()
