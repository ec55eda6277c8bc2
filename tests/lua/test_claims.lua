-- Verdicts: every branch of the rule, on differences made up for it. SPDX-License-Identifier: MIT
local t, ls = require "harness", require "lsengine"
local claims = require "lsengine.claims"
local eval   = require "lsengine.c.eval"
local T = t.tests

-- Ten differences with this mean and standard deviation 0.01.
local function around(mean)
  local shape, d = { -1.5, -1, -0.6, -0.3, -0.1, 0.1, 0.3, 0.6, 1, 1.5 }, {}
  local _, deviation = eval.describe(shape)
  for i, v in ipairs(shape) do d[i] = mean + v / deviation * 0.01 end
  return d
end

local function judge(fields, mean)
  return claims.judge({ ls.claim(fields) }, { { around(mean) } })[1]
end

local function lower(m) return { "a", "lower", "ece", than = "b", by = m } end
local function not_lower(m) return { "a", "not lower", "ece", than = "b", within = m } end
local function equal(m) return { "a", "equal", "ece", than = "b", within = m } end

function T.lower_by_a_margin()
  t.equals(judge(lower(0.01), 0.03).verdict, "supported")
  t.equals(judge(lower(0.01), -0.01).verdict, "refuted")
  t.equals(judge(lower(0.01), -0.01).headline, nil)
  local small = judge(lower(0.03), 0.01) -- real, but below the margin
  t.equals({ small.verdict, small.headline }, { "refuted", "below the margin" })
  t.is_true(small.low > 0)
  t.equals(judge(lower(0.01), 0.012).verdict, "inconclusive")
end

function T.not_lower_within_a_margin()
  t.equals(judge(not_lower(0.01), 0).verdict, "supported")
  t.equals(judge(not_lower(0.01), -0.03).verdict, "refuted")
  t.equals(judge(not_lower(0.01), -0.008).verdict, "inconclusive")
end

function T.equal_within_a_margin()
  t.equals(judge(equal(0.02), 0.001).verdict, "supported")
  t.equals(judge(equal(0.02), 0.04).verdict, "refuted")
  t.equals(judge(equal(0.02), -0.04).verdict, "refuted")
  t.equals(judge(equal(0.01), 0.009).verdict, "inconclusive")
  t.equals(judge(equal(0.001), 0).verdict, "inconclusive") -- an interval wider than the margin shows neither
end

-- t = (0.02 - 0.01)/(0.01/sqrt 10) = 3.1623 with 9 degrees: p = .005754 (scipy)
function T.p_values_and_intervals_are_students()
  local v = judge(lower(0.01), 0.02)
  t.close(v.p_supported, 0.0057540, 1e-6)
  t.close(v.high - v.mean, 2.2621572 * 0.01 / math.sqrt(10), 1e-8)
  t.close(v.sign_flip, eval.sign_flip_test(around(0.02), 0.01), 0)
end

-- .0058 alone would do; among five claims Holm asks for .005
function T.holm_is_over_all_claims_apart_for_each_side()
  local list, d = {}, {}
  for i = 1, 5 do list[i], d[i] = ls.claim(lower(0.01)), { around(0.02) } end
  for _, v in ipairs(claims.judge(list, d)) do t.equals(v.verdict, "inconclusive") end
  t.close(claims.judge(list, d)[1].p_supported, 5 * 0.0057540, 1e-5)
  d[5] = { around(-0.05) } -- refuted with ease; counts as a claim that is not supported all the same
  local verdicts = claims.judge(list, d)
  t.equals(verdicts[5].verdict, "refuted")
  t.equals(verdicts[1].verdict, "inconclusive")
end

-- d = 1 standard deviation from the margin: 10 pairs at level .025, 15 when four claims share it
function T.seeds_that_would_decide_come_from_the_power_table()
  local v = judge(lower(0.01), 0.0145)
  t.equals(v.verdict, "inconclusive")
  t.equals(v.seeds_needed, eval.pairs_needed(0.45, 0.025, 0.8, 10000))
  t.equals(eval.pairs_needed(1, 0.025, 0.8, 100), 10)
  t.equals(eval.pairs_needed(1, 0.025 / 4, 0.8, 100), 15)
end

function T.against_several_arms_the_hardest_decides()
  local claim = ls.claim{ "a", "not higher", "ece", than = { "b", "c" }, within = 0.01 }
  local v = claims.judge({ claim }, { { around(0.05), around(0.001) } })[1]
  t.equals({ v.verdict, v.worst }, { "supported", 2 })
  v = claims.judge({ claim }, { { around(0.05), around(-0.05) } })[1]
  t.equals({ v.verdict, v.worst }, { "refuted", 2 })
end

function T.differences_without_spread_decide_at_once()
  local same = {}
  for i = 1, 10 do same[i] = 0.5 end
  t.equals(claims.judge({ ls.claim(lower(0.1)) }, { { same } })[1].verdict, "supported")
  t.equals(claims.judge({ ls.claim(lower(0.9)) }, { { same } })[1].headline, "below the margin")
end

function T.a_claim_is_checked_where_it_is_made()
  t.fails(function() return ls.claim{ "a", "less", "ece", than = "b", by = 1 } end, 'the relation is "less", allowed are lower, higher', true)
  t.fails(function() return ls.claim{ "a", "lower", "ece", than = "b" } end, "the margin is missing: by", true)
  t.fails(function() return ls.claim{ "a", "lower", "ece", than = "b", within = 1 } end, "lower takes by, not within", true)
  t.fails(function() return ls.claim{ "a", "not lower", "ece", than = "b", by = 1 } end, "not lower takes within, not by", true)
  t.fails(function() return ls.claim{ "a", "lower", "ece", than = "b", by = -1 } end, "by is -1", true)
  t.fails(function() return ls.claim{ "a", "lower", "ece", than = "b", by = "10" } end, 'by is "10"', true)
  t.fails(function() return ls.claim{ "a", "lower", "ece", then_ = "b", by = 1 } end, "unknown option then_", true)
  t.fails(function() return ls.claim{ "a", "lower", "ece", by = 1 } end, "than is missing", true)
  t.fails(function() return ls.claim{ "a", "lower", than = "b", by = 1 } end, "the metric is nil", true)
  t.fails(function() return ls.claim{ interaction = { epsilon = 1 }, "higher", "ece", by = 1 } end, "names 1 factors, 2 are required", true)
end

t.run()
