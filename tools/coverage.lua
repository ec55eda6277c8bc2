-- How often each interval that lsengine prints holds the truth: the tables of docs/statistics.md. SPDX-License-Identifier: MIT
--
--   build/lsengine run tools/coverage.lua --set simulations=2000
-- The C functions are called directly: the library itself refuses an interval where these tables show that it misses too often.
local ls = require "lsengine"
local c, ceval, ccompare = require "lsengine.c.statistics", require "lsengine.c.eval", require "lsengine.c.compare"
local o  = ls.options{ simulations = 2000, resamples = 999, part = "all", seed = 1, statistics = "mean median interquartile_mean deviation" }
local S  = ls.stats

local function bootstrap(statistic, method)
  return function(x, rng)
    local _, low, high = c.bootstrap(x, statistic, o.resamples, 0.95, method, rng:spawn "bootstrap")
    return { low = low, high = high }
  end
end

-- Draws of one number; mean, median, standard deviation, mean of the middle half (interquartile mean) of the population.
local normal = function(rng) return rng:normal() end
local distributions = {
  { "normal", normal },
  { "exponential", function(rng) return rng:gamma(1) end },
  { "lognormal", function(rng) return math.exp(rng:normal()) end },
  { "Student's t, 3 degrees", function(rng) return rng:normal() / math.sqrt(2 * rng:gamma(1.5) / 3) end },
  { "0 or 1, p = .1", function(rng) return rng:random() < 0.1 and 1 or 0 end },
  { "-1, 0, 1: .05, .87, .08", function(rng) local u = rng:random() return u < 0.05 and -1 or u < 0.13 and 1 or 0 end },
  { "0 or 1, p = .3", function(rng) return rng:random() < 0.3 and 1 or 0 end },
  { "0, 1, 2: .45, .28, .27", function(rng) local u = rng:random() return u < 0.45 and 0 or u < 0.73 and 1 or 2 end },
  { "right of 5, p = .8", function(rng) local k = 0 for _ = 1, 5 do k = k + (rng:random() < 0.8 and 1 or 0) end return k end },
}
local e = math.exp
local function iqm(quantile) -- twice the integral of the quantile function over the middle half
  local sum, steps = 0, 20000
  for i = 1, steps do sum = sum + quantile(0.25 + 0.5 * (i - 0.5) / steps) end
  return sum / steps
end
local truth = {
  { mean = 0, median = 0, deviation = 1, interquartile_mean = 0 },
  { mean = 1, median = math.log(2), deviation = 1, interquartile_mean = iqm(function(p) return -math.log(1 - p) end) },
  { mean = e(0.5), median = 1, deviation = math.sqrt((e(1) - 1) * e(1)) }, -- the interquartile mean below, by simulation
  { mean = 0, median = 0, deviation = math.sqrt(3), interquartile_mean = 0 },
  { mean = 0.1, interquartile_mean = 0 }, { mean = 0.03, interquartile_mean = 0 },
  { interquartile_mean = 0.1 }, -- a tenth of the middle half is 1
  { interquartile_mean = 2 * (0.28 + 2 * 0.02) },
  { interquartile_mean = 2 * (3 * (0.26272 - 0.25) + 4 * 0.4096 + 5 * (0.75 - 0.67232)) }, -- at most 3, at most 4 of 5: .26272, .67232
}
do
  local rng, x, n = ls.rng(99), {}, 400001
  for i = 1, n do x[i] = math.exp(rng:normal()) end
  table.sort(x)
  local sum, cut = 0, n // 4
  for i = cut + 1, n - cut do sum = sum + x[i] end
  truth[3].interquartile_mean = sum / (n - 2 * cut)
end

local function row(...) print("| " .. table.concat({ ... }, " | ") .. " |") end
local function cell(hits, n) return ("%.3f"):format(hits / n):gsub("^0", "") end
local function heading(first, sizes)
  local names, line = { first }, { "---" }
  for _, n in ipairs(sizes) do names[#names + 1] = "n = " .. n line[#line + 1] = "---" end
  row(table.unpack(names))
  row(table.unpack(line))
end

local function plain(title, sizes, interval, statistic)
  heading(title, sizes)
  for d, distribution in ipairs(distributions) do
    if truth[d][statistic] then
      local cells = { distribution[1] }
      for _, n in ipairs(sizes) do
        local rng, hits, simulations = ls.rng(o.seed):spawn(title .. d .. "/" .. n), 0, math.max(200, n >= 1000 and o.simulations // 2 or o.simulations)
        for s = 1, simulations do
          local x = {}
          for i = 1, n do x[i] = distribution[2](rng) end
          local r = interval(x, rng)
          if r.low <= truth[d][statistic] and truth[d][statistic] <= r.high then hits = hits + 1 end
        end
        cells[#cells + 1] = cell(hits, simulations)
      end
      row(table.unpack(cells))
      io.stdout:flush()
    end
  end
  print()
end

if o.part == "all" or o.part == "plain" then
  plain("t interval of a mean", { 5, 10, 20, 50, 100, 200, 1000 }, function(x)
    local mean, _, half = ceval.describe(x, 0.95)
    return { low = mean - half, high = mean + half }
  end, "mean")
  local sizes = { 20, 50, 100, 200, 500 }
  for statistic in o.statistics:gmatch "%S+" do
    plain("BCa of the " .. statistic, sizes, bootstrap(statistic, "bca"), statistic)
    plain("percentile of the " .. statistic, sizes, bootstrap(statistic, "percentile"), statistic)
    plain("basic of the " .. statistic, sizes, bootstrap(statistic, "basic"), statistic)
  end
end

-- Paired differences over seeds, as claims are decided by: each arm has a distribution of its own, the seed's part is common.
if o.part == "all" or o.part == "paired" then
  local sizes, exponential = { 3, 5, 10, 20, 50 }, function(rng) return rng:gamma(1) - 1 end
  local lognormal = function(rng) return math.exp(rng:normal()) - e(0.5) end
  local function both(f, g) return function(rng) return f(rng) - g(rng) end end
  heading("t interval of paired differences", sizes)
  for d, kind in ipairs{
    { "normal", both(normal, normal) },
    { "accuracies of 1000 rows, 90 % right", both(function(rng) return math.floor(3 * rng:normal() + 0.5) end, function(rng) return math.floor(3 * rng:normal() + 0.5) end) },
    { "both arms exponential", both(exponential, exponential) },
    { "both arms lognormal", both(lognormal, lognormal) },
    { "one arm exponential, one normal", both(exponential, normal) },
    { "one arm lognormal, one normal", both(lognormal, normal) },
    { "one arm fails by 10 deviations, 1 seed in 20", function(rng) return rng:normal() + (rng:random() < 0.05 and 10 or 0) - 0.5 end },
  } do
    local cells = { kind[1] }
    for _, n in ipairs(sizes) do
      local rng, hits = ls.rng(o.seed):spawn("paired" .. d .. "/" .. n), 0
      for _ = 1, 5 * o.simulations do
        local x = {}
        for i = 1, n do x[i] = kind[2](rng) end
        local mean, _, half = ceval.describe(x, 0.95)
        if math.abs(mean) <= half then hits = hits + 1 end
      end
      cells[#cells + 1] = cell(hits, 5 * o.simulations)
    end
    row(table.unpack(cells))
  end
  print()
end

if o.part == "all" or o.part == "proportions" then
  local sizes = { 10, 20, 50, 200, 1000, 10000 }
  for _, method in ipairs{ "wilson", "clopper_pearson" } do
    heading(method .. " (exact, not simulated)", sizes)
    for _, p in ipairs{ 0.5, 0.1, 0.9, 0.99 } do
      local cells = { "p = " .. p }
      for _, n in ipairs(sizes) do
        local total = 0
        for k = 0, n do
          local log_mass = 0
          if n <= 1000 or math.abs(k - n * p) < 8 * math.sqrt(n * p * (1 - p)) then
            local r = S.proportion_interval(k, n, { method = method })
            if r.low <= p and p <= r.high then
              total = total + S.binomial_test(k, n, { p = p, alternative = "less" }) - (k > 0 and S.binomial_test(k - 1, n, { p = p, alternative = "less" }) or 0)
            end
          end
        end
        cells[#cells + 1] = (("%.3f"):format(total):gsub("^0", ""))
      end
      row(table.unpack(cells))
    end
    print()
  end
end

-- Two models on rows of a known kind: K classes, true probabilities softmax(u), u normal; each model's logits are u with noise and a sharpness of its own.
local kinds = {
  { "alike, calibrated",            classes = 5, signal = 2, noise = { 0.3, 0.3 }, sharpness = { 1, 1 } },
  { "one over-confident",           classes = 5, signal = 2, noise = { 0.3, 0.3 }, sharpness = { 1, 2.5 } },
  { "one more accurate",            classes = 10, signal = 2, noise = { 0.2, 1 },  sharpness = { 1, 1 } },
  { "both nearly always right",     classes = 10, signal = 9, noise = { 0.5, 1 },  sharpness = { 1, 0.6 } },
  { "under- and over-confident",    classes = 2, signal = 1.5, noise = { 0.2, 0.4 }, sharpness = { 0.4, 3 } },
}

local function draw(kind, n, rng)
  local u = ls.tensor.randn(n, kind.classes, { rng = rng }) * kind.signal
  -- the class with the largest u + Gumbel noise is a draw from softmax(u)
  local gumbel = -((-(ls.tensor.rand(n, kind.classes, { rng = rng, low = 1e-12 }):log())):log())
  local y = (u + gumbel):argmax()
  local z = {}
  for m = 1, 2 do z[m] = (u + ls.tensor.randn(n, kind.classes, { rng = rng }) * kind.noise[m]) * kind.sharpness[m] end
  return z[1], z[2], y
end

if o.part == "all" or o.part == "compare" then
  local sizes = { 20, 50, 100, 200, 500, 1000, 2000 }
  local results = {}
  for k, kind in ipairs(kinds) do
    local a, b, y = draw(kind, 1000000, ls.rng(o.seed):spawn("truth" .. k))
    local whole = ccompare.compare(a, b, y, 15, 2, 0.95, ls.rng(1))
    for _, n in ipairs(sizes) do
      local rng, simulations = ls.rng(o.seed):spawn(("compare %d %d"):format(k, n)), math.max(200, n >= 1000 and o.simulations // 2 or o.simulations)
      for _ = 1, simulations do
        local x1, x2, labels = draw(kind, n, rng)
        local r = ccompare.compare(x1, x2, labels, 15, o.resamples, 0.95, rng:spawn "compare")
        for _, measure in ipairs{ "accuracy", "nll", "brier", "ece_debiased" } do
          local m, want = r[measure], whole[measure].difference
          for _, ends in ipairs{ { "BCa", measure ~= "ece_debiased" and m.bca_low, m.bca_high }, { "t", m.low, m.high } } do
            if ends[2] then
              local at = ("%s of %s"):format(ends[1], measure)
              results[at] = results[at] or {}
              results[at][k] = results[at][k] or {}
              results[at][k][n] = (results[at][k][n] or 0) + (ends[2] <= want and want <= ends[3] and 1 or 0) / simulations
            end
          end
        end
      end
    end
    io.stderr:write(kind[1], "\n")
  end
  for _, measure in ipairs{ "accuracy", "nll", "brier", "ece_debiased" } do
    for _, method in ipairs{ "BCa", "t" } do
      local found = results[("%s of %s"):format(method, measure)]
      if found then
        heading(("%s, difference of %s"):format(method, measure), sizes)
        for k, kind in ipairs(kinds) do
          local cells = { kind[1] }
          for _, n in ipairs(sizes) do cells[#cells + 1] = found[k][n] and cell(found[k][n], 1) or "none" end
          row(table.unpack(cells))
        end
        print()
      end
    end
  end
end

-- The difference of two accuracies: every table of who is right, weighed by its probability.
if o.part == "all" or o.part == "accuracy" then
  local sizes = { 20, 50, 100, 200, 500 }
  local function log_factorials(n)
    local list = { [0] = 0 }
    for i = 1, n do list[i] = list[i - 1] + math.log(i) end
    return list
  end
  local right, wrong = { 1, 0 }, { 0, 1 }
  heading("Agresti-Min, difference of accuracy (exact, not simulated); shares that only a, only b has right", sizes)
  for _, p in ipairs{ { .001, .001 }, { .005, .005 }, { .01, .02 }, { .002, .02 }, { .05, .08 }, { .1, .1 }, { .02, .2 } } do
    local cells = { ("%g, %g"):format(p[1], p[2]) }
    for _, n in ipairs(sizes) do
      local f, total, truth_ = log_factorials(n), 0, p[1] - p[2]
      local labels, limit = ls.labels((function() local y = {} for i = 1, n do y[i] = 0 end return y end)()), {}
      for i = 1, 2 do limit[i] = math.min(n, math.ceil(n * p[i] + 6 * math.sqrt(n * p[i]) + 6)) end
      for b = 0, limit[1] do
        for k = 0, math.min(limit[2], n - b) do
          local mass = math.exp(f[n] - f[b] - f[k] - f[n - b - k] + b * math.log(p[1]) + k * math.log(p[2]) + (n - b - k) * math.log(1 - p[1] - p[2]))
          if mass > 1e-9 then
            local z1, z2 = {}, {}
            for i = 1, n do z1[i], z2[i] = (i <= b or i > b + k) and right or wrong, i <= b and wrong or right end
            local r = ccompare.compare(ls.tensor(z1), ls.tensor(z2), labels, 15, 2, 0.95, ls.rng(1))
            assert(r.mcnemar.only_a == b and r.mcnemar.only_b == k)
            if r.accuracy.low <= truth_ and truth_ <= r.accuracy.high then total = total + mass end
          end
        end
      end
      cells[#cells + 1] = cell(total, 1)
    end
    row(table.unpack(cells))
  end
  print()
end
