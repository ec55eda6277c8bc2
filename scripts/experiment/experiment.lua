-- Experiments: arms × seeds, each trial recorded as it is finished, claims judged at the end. SPDX-License-Identifier: MIT
local system   = require "lsengine.c.system"
local program  = require "lsengine.c.program"
local claims   = require "lsengine.claims"
local factorial = require "lsengine.factorial"
local options  = require "lsengine.options"
local pitfalls = require "lsengine.pitfalls"
local progress = require "lsengine.progress"
local provenance = require "lsengine.provenance"
local public   = require "lsengine.public"
local records  = require "lsengine.records"
local report   = require "lsengine.report"
local rng      = require "lsengine.random"
local tuning   = require "lsengine.tuning"
local raise    = public.raise

local Experiment = {}
Experiment.__index, Experiment.__name = Experiment, "experiment"
options.type("experiment", function(v) return getmetatable(v) == Experiment end, "an experiment (ls.experiment{…})")

-- ---- arms ----

local function sorted_keys(t)
  local keys = {}
  for k in pairs(t) do
    if type(k) ~= "string" then raise("experiment", ("a factor of the grid is called %s, a name is required"):format(tostring(k))) end
    keys[#keys + 1] = k
  end
  table.sort(keys)
  return keys
end

local function level_text(v) return type(v) == "number" and ("%.6g"):format(v) or tostring(v) end

local function grid_name(keys, levels)
  local parts = {}
  for i, key in ipairs(keys) do parts[i] = ("%s=%s"):format(key, level_text(levels[key])) end
  return table.concat(parts, " ")
end

-- Every combination, the last factor in the order of names varying fastest.
local function arms_of_grid(grid)
  local keys = sorted_keys(grid)
  if #keys == 0 then raise("experiment", "the grid has no factor") end
  local arms = { {} }
  for _, key in ipairs(keys) do
    local levels, longer = grid[key], {}
    if type(levels) ~= "table" or #levels == 0 then raise("experiment", ("factor %s is %s, a table of levels is required"):format(key, system.describe(levels))) end
    for _, arm in ipairs(arms) do
      for _, level in ipairs(levels) do
        local new = { [key] = level }
        for k, v in pairs(arm) do new[k] = v end
        longer[#longer + 1] = new
      end
    end
    arms = longer
  end
  for _, arm in ipairs(arms) do arm.name = grid_name(keys, arm) end
  return arms, keys
end

local function named_arms(list)
  local arms, seen = {}, {}
  if #list == 0 then raise("experiment", "there is no arm") end
  for i, given in ipairs(list) do
    if type(given) ~= "table" or type(given[1]) ~= "string" then
      raise("experiment", ("arm %d has no name: { \"name\", option = value, … } is required"):format(i))
    end
    if seen[given[1]] then raise("experiment", ("two arms are called %s"):format(given[1])) end
    local arm = {}
    for k, v in pairs(given) do arm[k] = v end
    arm.name, seen[given[1]] = given[1], true
    arms[i] = arm
  end
  return arms
end

-- The number of the arm that a claim names; raises at the user's line.
local function find_arm(self, ref)
  local name = ref
  if type(ref) == "table" then
    if not self.factors then raise("experiment", "a claim names an arm by factor levels, but the experiment has arms, not a grid") end
    for key in pairs(ref) do if not self.grid[key] then raise("experiment", ("a claim names the factor %s; %s"):format(tostring(key), options.known_text(key, { table.unpack(self.factors) }))) end end
    name = grid_name(self.factors, ref)
  end
  local known = {}
  for i, arm in ipairs(self.arms) do
    if arm.name == name then return i end
    known[i] = arm.name
  end
  raise("experiment", ("a claim names the arm %s; %s"):format(name, options.known_text(name, known)))
end

-- Arms of a claim as numbers: comparisons of { arm, … } weights, each a linear contrast with the claimed direction positive.
local function contrasts_of(self, claim)
  local up = (claim.relation == "lower" or claim.relation == "not higher") and -1 or 1
  if not claim.interaction then
    local a, than = find_arm(self, claim.arm), claim.than
    local list = type(than) == "table" and #than > 0 and than or { than }
    local contrasts = {}
    for i, b in ipairs(list) do contrasts[i] = { { a, up }, { find_arm(self, b), -up } } end
    return contrasts
  end
  if not self.grid then raise("experiment", "a claim about an interaction needs a grid") end
  local keys = sorted_keys(claim.interaction)
  local function corner(first, second) -- the arm with these factors at their claimed levels, all others at their first
    local levels = {}
    for _, key in ipairs(self.factors) do levels[key] = self.grid[key][1] end
    if first then levels[keys[1]] = claim.interaction[keys[1]] end
    if second then levels[keys[2]] = claim.interaction[keys[2]] end
    return find_arm(self, levels)
  end
  return { { { corner(true, true), up }, { corner(true, false), -up }, { corner(false, true), -up }, { corner(false, false), up } } }
end

-- ---- making ----

local experiment = public("ls.experiment", {
  doc = [[An experiment: every arm is tried with the same seeds, so that arms are compared pair by pair. trial(arm, rng, seed, once) is one training
run: it gets the arm (its options by name, arm.name), a random stream made of the seed alone, and the seed, and returns one flat table of
numbers. Arms that judge the same model in several ways train it once: once(key, f) gives what f() gives, which is called for a seed's first use of the key (a string or a
number) and must depend on the seed and the key alone. :run() runs all trials, prints a table and a verdict for each claim, and of a grid the main effects and the interactions of each two factors, against their first levels. `--seeds`, `--seed` on the command line override. Results are
appended to a file of JSON lines as each trial is finished.]],
  returns = "experiment",
  errors = "an arm that a claim names and the experiment has not; in :run(), a trial that returns anything but a flat table of finite numbers",
  example = [[local experiment = ls.experiment{
  name  = "a coin", seeds = 10,
  arms  = { { "fair", p = 0.5 }, { "bent", p = 0.6 } },
  trial = function(arm, rng) return { heads = rng:random(1000):lt(arm.p):mean():item() } end,
  claims = { ls.claim{ "bent", "higher", "heads", than = "fair", by = 0.05 } },
}]],
  options = {
    name   = { type = "string", required = true, doc = "title, and part of the result file's name" },
    arms   = { type = "table", doc = "{ { \"name\", option = value, … }, … }: either this or grid; `tuned = 12` says that the arm is the best of 12 configurations" },
    grid   = { type = "table", doc = "{ factor = { level, … }, … }: every combination is an arm" },
    seeds  = { type = "integer", default = 10, min = 1, max = 100000, doc = "how many" },
    seed   = { type = "integer", default = 1, min = 0, doc = "the first; the others follow" },
    trial  = { type = "callable", required = true, doc = "function(arm, rng, seed) → { metric = number, … }" },
    claims = { type = "table", default = {}, doc = "a table of ls.claim{…}" },
    allow  = { type = "table", doc = "names of pitfalls that are meant" },
  },
}, function(o)
  local self = setmetatable({ name = o.name, trial = o.trial, allow = o.allow, where = system.where() }, Experiment)
  if (o.arms == nil) == (o.grid == nil) then raise("experiment", "either arms or grid is required") end
  if o.arms then
    self.arms = named_arms(o.arms)
  else
    self.arms, self.factors = arms_of_grid(o.grid)
    self.grid = o.grid
  end
  self.seeds = program.settings.seeds or o.seeds
  self.seed = program.settings.seed or o.seed
  self.claims, self.contrasts = {}, {}
  for i, claim in ipairs(o.claims) do
    self.claims[i] = options.check("experiment", ("claims[%d]"):format(i), { type = "claim" }, claim)
    self.contrasts[i] = contrasts_of(self, claim)
  end
  do local _ <close> = pitfalls.allow("experiment", o.allow) end
  return self
end)

-- ---- running ----

local function check_result(self, result, arm)
  if type(result) ~= "table" then
    raise("experiment", ("the trial of %s returned %s, a table of numbers is required"):format(arm.name, system.describe(result)))
  end
  local flat = {}
  for key, value in pairs(result) do
    if type(key) ~= "string" or type(value) ~= "number" then
      raise("experiment", ("the trial of %s returned %s = %s, a flat table of numbers by name is required"):format(arm.name, tostring(key), system.describe(value)))
    end
    if value ~= value or value == math.huge or value == -math.huge then
      raise("experiment", ("the trial of %s returned %s = %s, a finite number is required"):format(arm.name, key, value))
    end
    flat[key] = value
  end
  for _, claim in ipairs(self.claims) do
    if flat[claim.metric] == nil then
      local known = {}
      for key in pairs(flat) do known[#known + 1] = key end
      raise("experiment", ("a claim (%s) is about %s, which the trial does not return; %s"):format(claim.where, claim.metric, options.known_text(claim.metric, known)))
    end
    if claim.relative and flat[claim.metric] <= 0 then
      raise("experiment", ("a relative claim (%s) is about %s, which is %g: it must be above 0"):format(claim.where, claim.metric, flat[claim.metric]))
    end
  end
  return flat
end

local calibration = { ece = true, ece_debiased = true, ece_debiased_l2 = true, mce = true, confidence_gap = true }

local function check_claims(self, sample)
  for _, claim in ipairs(self.claims) do
    if self.seeds < 6 then
      pitfalls.raise("too-few-seeds", ("a claim rests on %d paired seeds: fewer than 6 cannot reach the level by the exact sign-flip test"):format(self.seeds), claim.where)
    end
    if calibration[claim.metric] and sample[claim.metric .. "_ts"] == nil then
      pitfalls.raise("calibration-without-temperature", ("a claim about %s (%.4f in the first trial), whose trials return no %s_ts: how much of it one number would repair is not known; evaluate with temperature_on"):format(
        claim.metric, sample[claim.metric], claim.metric), claim.where)
    end
  end
end

-- Every two arms that a claim compares.
local function compared_by(self)
  local list = {}
  for i, claim in ipairs(self.claims) do
    for _, contrast in ipairs(self.contrasts[i]) do
      for k = 2, #contrast do list[#list + 1] = { contrast[1][1], contrast[k][1], metric = claim.metric, where = claim.where } end
    end
  end
  return list
end

local function mean_of(results, metric)
  local sum = 0
  for _, r in ipairs(results) do sum = sum + (r[metric] or 0 / 0) end
  return sum / #results
end

-- Calibration errors that a calibrated model would have, too.
local function check_null(compared, results)
  for _, pair in ipairs(compared) do
    local null = pair.metric == "ece" and "ece_null" or pair.metric == "ece_ts" and "ece_null_ts"
    if null then
      local a, b = results[pair[1]], results[pair[2]]
      local x, y, x0, y0 = mean_of(a, pair.metric), mean_of(b, pair.metric), mean_of(a, null), mean_of(b, null)
      if x <= x0 and y <= y0 then
        pitfalls.raise("ece-below-null", ("a claim about %s, which is %.4f and %.4f, where calibrated models as sure as these would have %.4f and %.4f on as many rows"):format(pair.metric, x, y, x0, y0), pair.where)
      end
    end
  end
end

-- once(key, f) of one seed: f's values, computed when they are first asked for.
local function keeper()
  local kept = {}
  return public.anonymous(function(key, f)
    if type(key) ~= "string" and type(key) ~= "number" or key ~= key then raise("once", ("key is %s, a string or a number is required"):format(system.describe(key))) end
    options.check("once", "f", { type = "callable" }, f)
    if not kept[key] then kept[key] = table.pack(f()) end
    return table.unpack(kept[key], 1, kept[key].n)
  end)
end

-- One trial: its result, what its losses were measured against, how many models it searched among.
local function attempt(self, arm, seed, once)
  local numbers <close> = provenance.trial()
  local models <close> = tuning.trial()
  local result = check_result(self, self.trial(arm, rng(seed), seed, once), arm)
  return result, provenance.of_result(arm.name, result), tuning.searched(result)
end

local function differences_of(self, results)
  local all = {}
  for i, claim in ipairs(self.claims) do
    all[i] = {}
    for k, contrast in ipairs(self.contrasts[i]) do
      local d = {}
      for s = 1, self.seeds do
        d[s] = 0
        for _, part in ipairs(contrast) do
          local value = results[part[1]][s][claim.metric]
          d[s] = d[s] + part[2] * (claim.relative and math.log(value) or value)
        end
      end
      all[i][k] = d
    end
  end
  return all
end

Experiment.run = public("experiment:run", {
  doc = "Runs all trials (numbered by seed, then by arm), prints the table of results and the verdicts, and returns them.",
  returns = "{ arms =, results = results[arm][seed], verdicts =, effects =, file =, pitfalls = }",
}, function(self)
  local _ <close> = pitfalls.allow("experiment", self.allow)
  local met <close> = pitfalls.run()
  local judged <close> = provenance.run()
  local before, count = pitfalls.count(), #self.arms * self.seeds
  local record <close> = records.open(self, program.settings.results)
  local display <close> = progress.start(count, program.settings.quiet)
  local results = {}
  local found, counts, compared = {}, {}, compared_by(self)
  for a = 1, #self.arms do results[a], found[a] = {}, {} end
  for s = 1, self.seeds do
    local once = keeper()
    for a, arm in ipairs(self.arms) do
      local number, seed, raised, started = (s - 1) * #self.arms + a, self.seed + s - 1, pitfalls.count(), system.clock()
      display:show(number, arm.name, seed)
      local result, measured, searched = attempt(self, arm, seed, once)
      if number == 1 then check_claims(self, result) end
      results[a][s] = result
      for metric, info in pairs(measured) do found[a][metric] = info end
      counts[a] = counts[a] or tuning.of_arm(arm, searched)
      record:trial(number, arm, seed, result, system.clock() - started, pitfalls.raised(raised))
    end
    if s == 1 then
      provenance.check_comparable(found, self.arms, compared)
      tuning.check(self.arms, counts, compared)
    end
  end
  display:done()
  check_null(compared, results)
  provenance.finish()
  local verdicts = self.seeds > 1 and claims.judge(self.claims, differences_of(self, results)) or {}
  local effects = factorial.effects(self, results, report.effect_metrics(self, results[1][1]))
  record:effects(effects)
  record:verdicts(verdicts, pitfalls.raised(before))
  local outcome = { arms = self.arms, results = results, effects = effects, verdicts = verdicts, file = record.path, pitfalls = pitfalls.raised(before) }
  report.print(self, outcome)
  return outcome
end)

return experiment
