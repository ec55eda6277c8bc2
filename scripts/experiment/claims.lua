-- Claims and their verdicts. SPDX-License-Identifier: MIT
--
-- A claim speaks of a difference δ paired by seed, written so that the claimed direction is positive, against a margin m:
--   lower, higher … by m            supported: δ > m shown      refuted: δ < m shown
--   not lower, not higher … within m  supported: δ > -m shown     refuted: δ < -m shown
--   equal … within m                supported: -m < δ < m shown  refuted: δ outside ±m shown
-- Each side has a one-sided p value of Student's t on the shifted differences, adjusted by Holm over all claims of the
-- experiment, apart for supported and refuted; the level is .025. Everything else is inconclusive. The exact sign-flip test
-- stands beside it and decides nothing.
local c       = require "lsengine.c.eval"
local system  = require "lsengine.c.system"
local options = require "lsengine.options"
local public  = require "lsengine.public"
local raise   = public.raise

local claims = { level = 0.025, power = 0.8, most_seeds = 10000, most_flips = 20 }

local Claim = {}
Claim.__index, Claim.__name = Claim, "claim"
options.type("claim", function(v) return getmetatable(v) == Claim end, "a claim (ls.claim{…})")

local directions = { "lower", "higher", "not lower", "not higher", "equal" }

local function margin(o, relation)
  local name = (relation == "lower" or relation == "higher") and "by" or "within"
  local other = name == "by" and "within" or "by"
  if o[other] ~= nil then raise("claim", ("%s takes %s, not %s"):format(relation, name, other)) end
  local value = o[name]
  if value == nil then raise("claim", ("the margin is missing: %s = …"):format(name)) end
  if type(value) == "number" then return value, false end
  local percent = type(value) == "string" and tonumber(value:match "^(%d+%.?%d*)%%$")
  if percent and percent < 100 then return percent / 100, true end
  raise("claim", ("%s is %s, a number from 0 or a string such as \"10%%\" is required"):format(name, system.describe(value)))
end

local specs = {
  than        = { type = "string|table", doc = "the other arm, or several: the claim then holds against each" },
  by          = { type = "number|string", min = 0, below = math.huge, doc = "the margin of lower and higher, in the metric's units, or relative (\"10%\", on log ratios)" },
  within      = { type = "number|string", min = 0, below = math.huge, doc = "the margin of not lower, not higher and equal, likewise" },
  interaction = { type = "table", doc = "{ factor = level, factor = level } of a grid: how far the effect of one depends on the other, against their first levels; takes the place of the arm and of than" },
}

claims.claim = public("ls.claim", {
  doc = [[A claim that an experiment tests, with its margin stated before the run. An arm is a name, or a table of factor levels of a grid; the
relation is "lower" or "higher" (by the margin), "not lower", "not higher" or "equal" (within it). The verdict is supported, refuted or
inconclusive.]],
  returns = "claim, for ls.experiment", signature = "{ arm, relation, metric, options }",
  example = [[local default = ls.claim{ "smoothed 0.1", "lower", "ece_debiased", than = "one-hot", by = 0.01 }
local stacked = ls.claim{ interaction = { epsilon = 0.1, mix = "mixup" }, "higher", "ece_debiased", by = 0.01 }]],
  variadic = true, options = specs,
}, function(o, ...)
  options.check("claim", "the claim", { type = "table" }, o)
  if select("#", ...) > 0 then raise("claim", "one table is taken, more was given") end
  local named = {}
  for key, value in pairs(o) do if math.type(key) ~= "integer" then named[key] = value end end
  options.read("claim", specs, named)
  local at = o.interaction and 1 or 2
  local relation, metric = o[at], o[at + 1]
  options.check("claim", "the relation", { type = "string", choices = directions }, relation)
  options.check("claim", "the metric", { type = "string" }, metric)
  if #o > at + 1 then raise("claim", ("%d values were given before the options, %d are taken"):format(#o, at + 1)) end
  local m, relative = margin(o, relation)
  local self = { relation = relation, metric = metric, margin = m, relative = relative, where = system.where() }
  if o.interaction then
    if o.than ~= nil then raise("claim", "an interaction takes no than: it is measured against the first levels") end
    local count = 0
    for _ in pairs(o.interaction) do count = count + 1 end
    if count ~= 2 then raise("claim", ("interaction names %d factors, 2 are required"):format(count)) end
    if relative then raise("claim", "an interaction takes no relative margin") end
    self.interaction = o.interaction
  else
    options.check("claim", "the first arm", { type = "string|table" }, o[1])
    if o.than == nil then raise("claim", "than is missing: the arm that is compared with") end
    self.arm, self.than = o[1], o.than
  end
  return setmetatable(self, Claim)
end)

-- ---- verdicts ----

local function negated(x)
  local y = {}
  for i, v in ipairs(x) do y[i] = -v end
  return y
end

-- The margin on the scale of the differences: log ratios for a relative one.
local function scaled_margin(claim)
  if not claim.relative then return claim.margin end
  local down = claim.relation == "lower" or claim.relation == "not lower"
  return down and -math.log(1 - claim.margin) or math.log(1 + claim.margin)
end

-- p values of one comparison by a one-sided test of "mean(d) <= margin": supported, refuted.
local function compare(claim, d, test)
  local m, back = scaled_margin(claim), negated(d)
  if claim.relation == "equal" then
    return math.max(test(d, -m), test(back, -m)), math.min(test(d, m), test(back, m))
  end
  local boundary = (claim.relation == "lower" or claim.relation == "higher") and m or -m
  return test(d, boundary), test(back, -boundary)
end

-- Seeds that would decide, at Holm's strictest level, were the effect as it looks now; nil where it sits on the boundary.
local function seeds_needed(claim, d, count)
  local mean, deviation = c.describe(d)
  local m = scaled_margin(claim)
  local distance
  if claim.relation == "equal" then
    distance = math.abs(m - math.abs(mean))
  else
    distance = math.abs(mean - ((claim.relation == "lower" or claim.relation == "higher") and m or -m))
  end
  if deviation == 0 or distance == 0 then return nil end
  local n = c.pairs_needed(distance / deviation, claims.level / count, claims.power, claims.most_seeds)
  return n < claims.most_seeds and n or nil
end

-- differences: for each claim a list of comparisons, each a table of paired differences with the claimed direction positive.
-- Returns a verdict for each.
function claims.judge(list, differences)
  local supported, refuted, verdicts = {}, {}, {}
  for i, claim in ipairs(list) do
    -- against several arms: supported where it is against each (the largest p), refuted where it is against some (the
    -- smallest p, times their number)
    local worst, p_supported, p_refuted, comparisons = 1, -1, 2, differences[i]
    for k, d in ipairs(comparisons) do
      local s, r = compare(claim, d, c.t_test)
      if s > p_supported then p_supported, worst = s, k end
      p_refuted = math.min(p_refuted, r)
    end
    supported[i], refuted[i] = p_supported, math.min(1, p_refuted * #comparisons)
    local d = comparisons[worst]
    local mean, deviation, half = c.describe(d)
    verdicts[i] = { claim = claim, n = #d, mean = mean, deviation = deviation, low = mean - half, high = mean + half,
      worst = worst, differences = d }
  end
  supported, refuted = c.holm(supported), c.holm(refuted)
  for i, v in ipairs(verdicts) do
    v.p_supported, v.p_refuted = supported[i], refuted[i]
    if v.p_supported <= claims.level then
      v.verdict = "supported"
    elseif v.p_refuted <= claims.level then
      v.verdict = "refuted"
      local strict = v.claim.relation == "lower" or v.claim.relation == "higher"
      if strict and v.claim.margin > 0 and v.low > 0 then v.headline = "below the margin" end
    else
      v.verdict = "inconclusive"
      v.seeds_needed = seeds_needed(v.claim, v.differences, #list)
    end
    local side = v.verdict == "refuted" and 2 or 1
    v.p = side == 2 and v.p_refuted or v.p_supported
    if v.n <= claims.most_flips then v.sign_flip = (select(side, compare(v.claim, v.differences, c.sign_flip_test))) end
  end
  return verdicts
end

return claims
