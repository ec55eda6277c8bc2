-- An experiment's outcome on the terminal. SPDX-License-Identifier: MIT
local c      = require "lsengine.c.eval"
local system = require "lsengine.c.system"
local pitfalls = require "lsengine.pitfalls"

local report = {}

-- Measures in the order in which they are shown, after accuracy and what the claims are about; the trial's own come last, by name.
local order = { "accuracy", "nll", "ece", "ece_null", "ece_debiased", "confidence_gap", "aurc", "brier", "temperature", "nll_ts", "ece_ts", "ece_debiased_ts" }
local hidden = { -- known measures that would crowd the table; they are in the results' file
  top_k = true, confidence = true, mce = true, ece_debiased_l2 = true, temperature_at_bound = true, brier_ts = true, ece_null_ts = true,
  ece_debiased_l2_ts = true, mce_ts = true, confidence_ts = true, confidence_gap_ts = true, aurc_ts = true, brier = true }

local function length(text) return utf8.len(text) or #text end
local function pad(text, width) return text .. (" "):rep(width - length(text)) end
local function pad_left(text, width) return (" "):rep(width - length(text)) .. text end

local function columns_of(experiment, sample)
  local list, seen = {}, {}
  local function add(name)
    if sample[name] ~= nil and not seen[name] then list[#list + 1], seen[name] = name, true end
  end
  add "accuracy"
  for _, claim in ipairs(experiment.claims) do add(claim.metric) end
  for _, name in ipairs(order) do if not hidden[name] then add(name) end end
  local rest = {}
  for name in pairs(sample) do if not hidden[name] then rest[#rest + 1] = name end end
  table.sort(rest)
  for _, name in ipairs(rest) do add(name) end
  return list
end

local function cell(results, metric)
  local values = {}
  for s, r in ipairs(results) do values[s] = r[metric] end
  local mean, _, half = c.describe(values)
  return half and ("%.4f ± %.4f"):format(mean, half) or ("%.4f"):format(mean)
end

-- Rows by name; columns in as many blocks as the width asks for. cells[column][row]
local function print_columns(title, name_width, rows, columns, cells, widths, width)
  local i = 1
  while i <= #columns do
    local used, last = name_width, i - 1
    while last < #columns and (last < i or used + 2 + widths[columns[last + 1]] <= width) do
      last = last + 1
      used = used + 2 + widths[columns[last]]
    end
    local line = { pad(title, name_width) }
    for k = i, last do line[#line + 1] = pad_left(columns[k], widths[columns[k]]) end
    print(table.concat(line, "  "))
    for r, row in ipairs(rows) do
      line = { pad(row.name, name_width) }
      for k = i, last do line[#line + 1] = pad_left(cells[columns[k]][r], widths[columns[k]]) end
      print(table.concat(line, "  "))
    end
    print ""
    i = last + 1
  end
end

local function print_table(experiment, outcome, width)
  local columns, cells, widths, name_width = columns_of(experiment, outcome.results[1][1]), {}, {}, 3
  for a, arm in ipairs(outcome.arms) do
    name_width = math.max(name_width, length(arm.name))
    for _, metric in ipairs(columns) do
      cells[metric] = cells[metric] or {}
      cells[metric][a] = cell(outcome.results[a], metric)
      widths[metric] = math.max(widths[metric] or length(metric), length(cells[metric][a]))
    end
  end
  print_columns("arm", name_width, outcome.arms, columns, cells, widths, width)
end

-- Measures whose effects are shown: accuracy, what the claims are about, and what stacking is said to change.
function report.effect_metrics(experiment, sample)
  local list, seen = {}, {}
  local function add(name)
    if sample[name] ~= nil and not seen[name] then list[#list + 1], seen[name] = name, true end
  end
  add "accuracy"
  for _, claim in ipairs(experiment.claims) do add(claim.metric) end
  for _, name in ipairs { "ece_debiased", "ece_debiased_ts", "confidence_gap", "nll", "aurc" } do add(name) end
  if #list == 0 then
    for name in pairs(sample) do list[#list + 1] = name end
    table.sort(list)
  end
  return list
end

local function print_effects(effects, metrics, width)
  if #effects == 0 then return end
  print "Effects against each factor's first level, averaged over the others; [95 % t interval over seeds]\n"
  local cells, widths, name_width = {}, {}, 6
  for i, e in ipairs(effects) do
    name_width = math.max(name_width, length(e.name))
    for _, metric in ipairs(metrics) do
      local m = e.metrics[metric]
      cells[metric] = cells[metric] or {}
      cells[metric][i] = ("%+.4f [%+.4f, %+.4f]"):format(m.mean, m.low, m.high)
      widths[metric] = math.max(widths[metric] or length(metric), length(cells[metric][i]))
    end
  end
  print_columns("effect", name_width, effects, metrics, cells, widths, width)
end

local function arm_text(ref)
  if type(ref) ~= "table" then return ref end
  local keys, parts = {}, {}
  for k in pairs(ref) do keys[#keys + 1] = k end
  table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
  for i, k in ipairs(keys) do parts[i] = type(k) == "number" and arm_text(ref[k]) or ("%s=%s"):format(k, tostring(ref[k])) end
  return table.concat(parts, type(keys[1]) == "number" and ", " or " ")
end

function report.claim_text(claim)
  local margin = claim.relative and ("%g %%"):format(claim.margin * 100) or ("%g"):format(claim.margin)
  local strict = claim.relation == "lower" or claim.relation == "higher"
  local by = (strict and "by " or "within ") .. margin
  if claim.interaction then return ("the interaction of %s in %s is %s %s"):format(arm_text(claim.interaction), claim.metric, claim.relation, by) end
  local several = type(claim.than) == "table" and #claim.than > 1
  return ("%s of \"%s\" is %s %s %s, %s"):format(claim.metric, arm_text(claim.arm), claim.relation, claim.relation == "equal" and "to" or "than",
    several and ("each of %d arms"):format(#claim.than) or ("\"%s\""):format(arm_text(#claim.than == 1 and claim.than[1] or claim.than)), by)
end

local function p_text(p) return p < 0.0001 and "< .0001" or ("%.4f"):format(p):gsub("^0", "") end

local function verdict_text(v)
  local word = v.verdict:upper()
  if v.headline then word = ("%s (%s)"):format(word, v.headline) end
  if v.verdict == "inconclusive" then
    word = word .. (v.seeds_needed and (" (%d seeds would decide, were the effect as it looks now)"):format(math.max(v.seeds_needed, v.n + 1, 6))
      or " (no number of seeds would decide: the effect sits on the margin)")
  end
  return word
end

-- "higher by 0.0550 [0.0377, 0.0723]": the differences, whose positive direction is the claimed one, in plain words.
local function measured_text(v)
  local claim, low, high, mean = v.claim, v.low, v.high, v.mean
  local down = claim.relation == "lower" or claim.relation == "not higher"
  if mean < 0 then down, mean, low, high = not down, -mean, -high, -low end
  local fmt, scale = "%.4f", function(x) return x end
  if claim.relative then
    fmt, scale = "%.1f %%", function(x) return 100 * (down and 1 - math.exp(-x) or math.exp(x) - 1) end
  end
  return ("%s by %s [%s, %s]"):format(down and "lower" or "higher", fmt:format(scale(mean)), fmt:format(scale(low)), fmt:format(scale(high)))
end

local function print_verdicts(outcome)
  for i, v in ipairs(outcome.verdicts) do
    print(("claim %d: %s"):format(i, report.claim_text(v.claim)))
    print(("  %s"):format(verdict_text(v)))
    local hardest = type(v.claim.than) == "table" and #v.claim.than > 1 and (" against \"%s\", the hardest"):format(arm_text(v.claim.than[v.worst])) or ""
    print(("  measured: %s%s; 95 %% interval of %d seeds; p %s by t and Holm, %s by sign flips"):format(measured_text(v), hardest, v.n, p_text(v.p),
      v.sign_flip and p_text(v.sign_flip) or "not computed above 20 seeds"))
    print ""
  end
end

function report.print(experiment, outcome)
  local width = math.max(60, system.terminal() or 100)
  print(("\n%s\n%s"):format(experiment.name, ("─"):rep(math.min(width, length(experiment.name)))))
  print(("mean ± half width of the 95 %% t interval over %d seeds (%d to %d)\n"):format(experiment.seeds, experiment.seed, experiment.seed + experiment.seeds - 1))
  print_table(experiment, outcome, width)
  print_effects(outcome.effects, report.effect_metrics(experiment, outcome.results[1][1]), width)
  if #outcome.verdicts > 0 then
    print_verdicts(outcome)
    print "The verdicts speak of this data, model and schedule; what varied from seed to seed is what the trial drew from its rng."
  end
  for i, pitfall in ipairs(outcome.pitfalls) do
    if i == 1 then print "Pitfalls met (lsengine help NAME explains one):" end
    print("  " .. pitfalls.text(pitfall))
    print("    " .. pitfall.message)
  end
  print(("Every trial is in %s"):format(outcome.file))
end

return report
