-- Main effects and interactions of a grid's factors. SPDX-License-Identifier: MIT
--
-- For each seed, with all other factors averaged over:
--   main effect of F at level l          mean of y(F = l) - y(F = first level)
--   interaction of F at l with G at m    mean of y(l, m) - y(l, first) - y(first, m) + y(first, first)
-- Each is one number a seed; its interval is the t interval over seeds.
local c = require "lsengine.c.eval"

local factorial = {}

-- The arms' numbers by their levels: index[level of the first factor][level of the second]… = arm.
local function table_of(experiment)
  local factors, grid, number = experiment.factors, experiment.grid, 0
  local function fill(depth)
    if depth > #factors then
      number = number + 1
      return number
    end
    local branch = {}
    for level = 1, #grid[factors[depth]] do branch[level] = fill(depth + 1) end
    return branch
  end
  return fill(1)
end

-- Every arm with its weight in a contrast: `at` gives for some factors the levels that count +1 and -1, others are averaged over.
local function contrast(experiment, index, at)
  local factors, grid, weights = experiment.factors, experiment.grid, {}
  local function walk(branch, depth, weight)
    if weight == 0 then return end
    if depth > #factors then
      weights[#weights + 1] = { branch, weight }
      return
    end
    local count, level_wanted = #grid[factors[depth]], at[depth]
    for level = 1, count do
      local w = not level_wanted and 1 / count or level == level_wanted and 1 or level == 1 and -1 or 0
      walk(branch[level], depth + 1, weight * w)
    end
  end
  walk(index, 1, 1)
  return weights
end

local function level_text(v) return type(v) == "number" and ("%.6g"):format(v) or tostring(v) end

-- { name =, order = 1 | 2, metrics = { [metric] = { mean =, low =, high =, differences = } } }, main effects first.
function factorial.effects(experiment, results, metrics)
  if not experiment.factors or experiment.seeds < 2 then return {} end
  local factors, grid, index, list = experiment.factors, experiment.grid, table_of(experiment), {}
  local function add(name, order, at)
    local weights, effect = contrast(experiment, index, at), { name = name, order = order, metrics = {} }
    for _, metric in ipairs(metrics) do
      local d = {}
      for s = 1, experiment.seeds do
        d[s] = 0
        for _, part in ipairs(weights) do d[s] = d[s] + part[2] * results[part[1]][s][metric] end
      end
      local mean, _, half = c.describe(d)
      effect.metrics[metric] = { mean = mean, low = mean - half, high = mean + half, differences = d }
    end
    list[#list + 1] = effect
  end
  local function levels_of(f) return grid[factors[f]] end
  for f = 1, #factors do
    for level = 2, #levels_of(f) do
      add(("%s=%s"):format(factors[f], level_text(levels_of(f)[level])), 1, { [f] = level })
    end
  end
  for f = 1, #factors do
    for g = f + 1, #factors do
      for level = 2, #levels_of(f) do
        for other = 2, #levels_of(g) do
          add(("%s=%s × %s=%s"):format(factors[f], level_text(levels_of(f)[level]), factors[g], level_text(levels_of(g)[other])), 2, { [f] = level, [g] = other })
        end
      end
    end
  end
  return list
end

return factorial
