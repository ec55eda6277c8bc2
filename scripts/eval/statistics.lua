-- Statistics of plain numbers: intervals, paired tests, adjusted p values. SPDX-License-Identifier: MIT
local c       = require "lsengine.c.statistics"
local ceval   = require "lsengine.c.eval"
local random  = require "lsengine.c.random"
local system  = require "lsengine.c.system"
local options = require "lsengine.options"
local public  = require "lsengine.public"
require "lsengine.random"

local statistics = {}

local values = { "values", type = "table", doc = "numbers" }
local level = { type = "number", default = 0.95, above = 0, below = 1, doc = "the share of such intervals that hold the truth" }
local alternative = { type = "string", default = "two_sided", choices = { "two_sided", "greater", "less" }, doc = "what speaks against the hypothesis: values that differ, are greater, or less" }

local LEAST, LEAST_BOOTSTRAP = 50, 100 -- values, for intervals of numbers of any distribution: docs/statistics.md has the measured coverage

local function binary(x)
  for i = 1, rawlen(x) do if x[i] ~= 0 and x[i] ~= 1 then return false end end
  return true
end

-- x, or x - y, pair by pair.
local function differences(who, x, y)
  if y == nil then return x end
  if rawlen(x) ~= rawlen(y) then public.raise(who, ("there are %d values but %d to compare them with"):format(rawlen(x), rawlen(y))) end
  local d = {}
  for i = 1, rawlen(x) do
    for _, v in ipairs{ x[i], y[i] } do options.check(who, ("value %d"):format(i), { type = "number", above = -math.huge, below = math.huge }, v) end
    if x[i] == nil or y[i] == nil then public.raise(who, ("value %d is missing"):format(i)) end
    d[i] = x[i] - y[i]
  end
  return d
end

local other = { "others", type = "table", optional = true, doc = "as many numbers: then values - others, pair by pair" }

public("ls.stats.t_interval", {
  doc = [[Student's t interval of the mean: mean ± t·s/√n. With few values it holds the truth often enough only where they are near normal, as paired differences of
training runs are and losses of rows are not: below 50 that must be said, by `normal = true`. Of zeros and ones it holds too seldom:
`ls.stats.proportion_interval` serves. The measured coverage is in [statistics](../statistics.md). O(n)]],
  errors = "fewer than 2 values, fewer than 50 without normal, values that are 0 and 1 alone, a NaN or infinite one",
  returns = "a table: mean, deviation (n - 1), low, high, n",
  example = "local r = ls.stats.t_interval({ 0.91, 0.92, 0.90, 0.93 }, nil, { normal = true })\nprint(r.low, r.high)",
  values, other, options = { level = level, normal = { type = "boolean", default = false, doc = "the values are near normal: then 2 are enough" } },
}, function(x, y, o)
  local d = differences("t_interval", x, y)
  local n = rawlen(d)
  if n < 2 then public.raise("t_interval", ("%d values were given, at least 2 are required"):format(n)) end
  if n < LEAST and not o.normal then
    public.raise("t_interval", ("%d values were given: below %d the interval holds for near-normal values only, which normal = true says they are"):format(n, LEAST))
  end
  if binary(d) then public.raise("t_interval", "the values are 0 and 1 alone: proportion_interval is right for them") end
  local mean, deviation, half = ceval.describe(d, o.level)
  return { mean = mean, deviation = deviation, low = mean - half, high = mean + half, n = rawlen(d) }
end)

-- A statistic that the script computes: Lua calls for each resample and, for BCa, for each value left out.
local function of_function(x, f, o, stream)
  local n, count = rawlen(x), o.resamples
  local function value(list, what)
    local v = f(list)
    return options.check("bootstrap", what, { type = "number", above = -math.huge, below = math.huge }, v)
  end
  local copy = {}
  for i = 1, n do
    local v = rawget(x, i)
    if type(v) ~= "number" or v - v ~= 0 then
      public.raise("bootstrap", ("values[%d] is %s, a %snumber is required"):format(i, system.describe(v), type(v) == "number" and "finite " or ""))
    end
    copy[i] = v
  end
  local estimate = value(table.move(copy, 1, n, 1, {}), "the statistic")
  local replicates, jackknife = {}, {}
  for b = 1, count do
    local draws, list = random.integers(stream, 1, n, n), {}
    for i = 1, n do list[i] = copy[draws[i]] end
    replicates[b] = value(list, "the statistic of a resample")
  end
  for i = 1, o.method == "bca" and n or 0 do
    local list = table.move(copy, 1, i - 1, 1, {})
    table.move(copy, i + 1, n, i, list)
    jackknife[i] = value(list, "the statistic without a value")
  end
  return estimate, c.bootstrap_interval(replicates, estimate, jackknife, o.level, o.method)
end

-- Does one number make up more than half of the values?
local function half_alike(x)
  local times = {}
  for i = 1, rawlen(x) do
    local v = rawget(x, i)
    if v == nil or v ~= v then return false end -- refused where the values are read
    times[v] = (times[v] or 0) + 1
    if times[v] > rawlen(x) / 2 then return true end
  end
  return false
end

public("ls.stats.bootstrap", {
  doc = [[Bootstrap interval of a statistic of n values: bca (bias-corrected and accelerated, Efron 1987) or percentile. Below 100 values it holds the truth too seldom:
that is an error; for near-normal values `t_interval` serves. The standard deviation is not offered: with heavy tails its intervals miss far too often at any n. How often
the interval of a function of one's own holds the truth is not known here. Each resample has a stream of its own, so that threads make no difference. O(resamples·n).]],
  errors = [[fewer than 100 values, of bca of a median or an interquartile mean more than 10000 (percentile has no limit), of bca of an interquartile mean more than half of them
one and the same number (its end jumps where a quarter is cut off: percentile holds), a NaN or infinite one]],
  returns = "a table: estimate, low, high, error (the standard error), n, method, resamples",
  example = "local x = {}\nfor i = 1, 120 do x[i] = rng:normal() end\nlocal r = ls.stats.bootstrap(x, { statistic = \"median\", resamples = 1999 })\nprint(r.estimate, r.low, r.high)",
  values,
  options = {
    statistic = { type = "string|callable", default = "mean", choices = { "mean", "median", "interquartile_mean" }, doc = "interquartile_mean: of the values less a quarter at each end; or a function of a table of numbers" },
    resamples = { type = "integer", default = 9999, min = 2, max = 10000000, doc = "how many" },
    level = level, method = { type = "string", default = "bca", choices = { "bca", "percentile" }, doc = "how the interval is made" },
    rng = { type = "rng", doc = "its stream \"bootstrap\"; without it, that of seed 0" },
  },
}, function(x, o)
  local n, stream = rawlen(x), random.spawn(o.rng or random.seed(0), "bootstrap")
  if n < LEAST_BOOTSTRAP then
    public.raise("bootstrap", ("%d values were given, at least %d are required: with fewer the interval misses too often (of near-normal values t_interval serves)"):format(n, LEAST_BOOTSTRAP))
  end
  if o.method == "bca" and n > 10000 and o.statistic ~= "mean" and type(o.statistic) == "string" then
    public.raise("bootstrap", ("bca of the %s takes at most 10000 values, %d were given: percentile takes them"):format(o.statistic, n))
  end
  if o.method == "bca" and o.statistic == "interquartile_mean" and half_alike(x) then
    public.raise("bootstrap", "more than half of the values are one and the same number: bca of their interquartile mean holds the truth too seldom, percentile is right for them")
  end
  local estimate, low, high, err
  if type(o.statistic) == "string" then
    estimate, low, high, err = c.bootstrap(x, o.statistic, o.resamples, o.level, o.method, stream)
  else
    estimate, low, high, err = of_function(x, o.statistic, o, stream)
  end
  return { estimate = estimate, low = low, high = high, error = err, n = n, method = o.method, resamples = o.resamples }
end)

public("ls.stats.wilcoxon", {
  doc = [[Wilcoxon's signed-rank test that differences are symmetric around 0. Up to 100 ranked differences the p value is exact, ties included; above, the normal
approximation with the variance that ties leave, without correction for continuity (scipy's).]],
  errors = "no value, numbers of values that differ, a NaN or infinite one",
  returns = [[a table: p, positive and negative (the rank sums), statistic (the smaller), z, rank_biserial ((positive - negative)/(positive + negative)), used (differences
that are not 0), exact]],
  example = "print(ls.stats.wilcoxon({ 125, 115, 130, 140 }, { 110, 122, 125, 120 }).p)", values, other,
  options = { alternative = alternative, zero_method = { type = "string", default = "wilcox", choices = { "wilcox", "pratt" }, doc = "differences of 0 are dropped, or ranked and then dropped" } },
}, function(x, y, o) return c.wilcoxon(differences("wilcoxon", x, y), o.zero_method, o.alternative) end)

public("ls.stats.mcnemar", {
  doc = [[McNemar's test of two classifiers on the same rows, from how many rows only the one and only the other has right: the exact binomial p value and the mid-p
value, which is not conservative (Fagerland et al. 2013). Two-sided; 1 where the counts are equal.]],
  errors = "a count below 0", returns = "a table: p, mid_p", example = "print(ls.stats.mcnemar(10, 25).mid_p)",
  { "only_a", type = "integer", min = 0, max = 2^40, doc = "rows that only the first has right" }, { "only_b", type = "integer", min = 0, max = 2^40, doc = "rows that only the second has right" },
}, function(a, b)
  local exact, mid = c.mcnemar(a, b)
  return { p = exact, mid_p = mid }
end)

public("ls.stats.binomial_test", {
  doc = "The exact binomial test of k of n against a probability; two-sided, the outcomes that are no more probable than k (as scipy).",
  errors = "k outside 0 … n", returns = "the p value", example = "print(ls.stats.binomial_test(3, 15, { p = 0.1, alternative = \"greater\" }))",
  { "k", type = "integer", min = 0, max = 2^40, doc = "how many" }, { "n", type = "integer", min = 1, max = 2^40, doc = "of how many" },
  options = { p = { type = "number", default = 0.5, min = 0, max = 1, doc = "the hypothesis" }, alternative = alternative },
}, function(k, n, o) return c.binomial_test(k, n, o.p, o.alternative) end)

public("ls.stats.proportion_interval", {
  doc = "Interval of a proportion, such as an accuracy over n rows: wilson (its score interval, close to its level) or clopper_pearson (never below it).",
  errors = "k outside 0 … n", returns = "a table: estimate, low, high", example = "local r = ls.stats.proportion_interval(912, 1000)\nprint(r.low, r.high)",
  { "k", type = "integer", min = 0, max = 2^40, doc = "how many" }, { "n", type = "integer", min = 1, max = 2^40, doc = "of how many" },
  options = { level = level, method = { type = "string", default = "wilson", choices = { "wilson", "clopper_pearson" }, doc = "how" } },
}, function(k, n, o)
  local low, high = c.proportion_interval(k, n, o.level, o.method)
  return { estimate = k / n, low = low, high = high }
end)

public("ls.stats.effect_size", {
  doc = [[How large paired differences are: d, their mean over their standard deviation (paired Cohen's d), and superiority, the share above 0 plus half of those that
are 0.]],
  errors = "fewer than 2 values, numbers of values that differ, a NaN or infinite one", returns = "a table: d, superiority",
  example = "print(ls.stats.effect_size({ 3, 4, 6 }, { 2, 4, 4 }).d)", values, other,
}, function(x, y)
  local d, superiority = c.effect_size(differences("effect_size", x, y))
  return { d = d, superiority = superiority }
end)

public("ls.stats.holm", {
  doc = "p values adjusted for their number by Holm (1979): the chance of any false rejection is held.",
  returns = "a table of numbers in the same order", errors = "a number outside 0 … 1",
  example = "local p = ls.stats.holm{ 0.01, 0.04, 0.03 }   -- 0.03, 0.06, 0.06", { "p", type = "table", doc = "p values" },
}, function(p) return c.holm(p) end)

public("ls.stats.benjamini_hochberg", {
  doc = [[p values adjusted for their number by Benjamini and Hochberg (1995): the expected share of false ones among the rejections is held, where the tests are
independent or positively dependent.]],
  returns = "a table of numbers in the same order", errors = "a number outside 0 … 1",
  example = "local p = ls.stats.benjamini_hochberg{ 0.01, 0.04, 0.03 }   -- 0.03, 0.04, 0.04", { "p", type = "table", doc = "p values" },
}, function(p) return c.benjamini_hochberg(p) end)

return statistics
