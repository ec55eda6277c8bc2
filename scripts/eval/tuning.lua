-- How much each arm was tuned. SPDX-License-Identifier: MIT
--
-- An arm says it (`tuned = 12`: the best of 12 configurations), or it shows: models of one shape, made in one trial, that were judged on one data
-- set (by ls.evaluate, or as validation rows of ls.train) which is not the one that the trial's result is about. From three of them on that is a search.
local raw      = require "lsengine.c.tensor"
local pitfalls = require "lsengine.pitfalls"

local tuning = {}

local SEARCH = 3
local judged -- of the trial that runs: { { model =, rows =, nll = }, … }

local closing = { __close = function(self) judged = self.judged end }

function tuning.trial()
  local scope = setmetatable({ judged = judged }, closing)
  judged = {}
  return scope
end

-- Told by ls.evaluate.
function tuning.judged(model, rows, result)
  if judged then judged[#judged + 1] = { model = model, rows = rows, nll = result.nll or result.rmse } end
end

local function shape_of(model)
  local parts = {}
  for i, p in ipairs(model:parameters()) do parts[i] = raw.shape_text(p) end
  return table.concat(parts, " ")
end

-- Models that were searched among in the trial: the most of one shape on one data set beside the result's own.
function tuning.searched(result)
  local of_result, count, most = nil, {}, 0
  for _, entry in ipairs(judged) do
    for _, value in pairs(result) do if value == entry.nll then of_result = entry.rows end end
  end
  of_result = of_result or #judged > 0 and judged[#judged].rows
  local seen = {}
  for _, entry in ipairs(judged) do
    if entry.rows ~= of_result then
      local models = seen[entry.rows] or {}
      seen[entry.rows] = models
      if not models[entry.model] then
        models[entry.model] = true
        count[entry.rows] = count[entry.rows] or {}
        local shape = shape_of(entry.model)
        local n = (count[entry.rows][shape] or 0) + 1
        count[entry.rows][shape], most = n, math.max(most, n)
      end
    end
  end
  return most
end

-- The expected largest of n standard normal numbers, by the trapezoidal rule.
function tuning.lead(n)
  if n < 2 then return 0.0 end
  local step, below, sum = 0.002, 0.0, 0.0
  for i = -4000, 4000 do
    local x = i * step
    local density = math.exp(-x * x / 2) / math.sqrt(2 * math.pi)
    below = below + density * step
    sum = sum + x * n * density * math.min(1, below - density * step / 2) ^ (n - 1) * step
  end
  return sum
end

-- The number of configurations that an arm is the best of: what it says, or what its trial showed; 1 for none.
function tuning.of_arm(arm, searched)
  local said = arm.tuned
  if said == true then return math.max(2, searched) end
  if type(said) == "number" then return said end
  return searched >= SEARCH and searched or 1
end

-- counts[arm number]; `compared`: { { metric =, where =, a, b } … }.
function tuning.check(arms, counts, compared)
  for _, pair in ipairs(compared) do
    local a, b = pair[1], pair[2]
    if counts[a] < counts[b] then a, b = b, a end
    if counts[a] > counts[b] then
      local n, m = counts[a], counts[b]
      pitfalls.raise("unequal-tuning", ("%s is the best of %d configurations, %s of %d: of equally good ones, the best looks better by %.2f standard deviations of the noise between them")
        :format(arms[a].name, n, arms[b].name, m, tuning.lead(n) - tuning.lead(m)), pair.where)
    end
  end
end

return tuning
