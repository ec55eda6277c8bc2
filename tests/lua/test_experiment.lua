-- Experiments on trials made of plain arithmetic. SPDX-License-Identifier: MIT
local t, ls = require "harness", require "lsengine"
local json  = require "lsengine.c.json"
local T = t.tests

-- Runs with print silenced; returns the outcome and what was printed.
local function run(options)
  local out, kept = {}, print
  print = function(...) out[#out + 1] = table.concat({ ... }, "\t") end
  local ok, outcome = pcall(function() return ls.experiment(options):run() end)
  print = kept
  if not ok then error(outcome, 0) end
  return outcome, table.concat(out, "\n")
end

local function lines(path)
  local list = {}
  for line in io.lines(path) do list[#list + 1] = json.decode(line) end
  return list
end

local function noise(rng) return rng:normal() * 0.01 end

function T.arms_share_their_seeds()
  local outcome = run{ name = "pairs", seeds = 3, seed = 7, arms = { { "a", by = 0 }, { "b", by = 1 } },
    trial = function(arm, rng, seed) return { x = noise(rng) + arm.by, seed = seed } end }
  for s = 1, 3 do
    t.close(outcome.results[2][s].x - outcome.results[1][s].x, 1, 1e-12)
    t.equals(outcome.results[1][s].seed, 6 + s)
  end
end

function T.what_arms_share_is_computed_once_for_a_seed()
  local calls = {}
  local outcome = run{ name = "once", seeds = 3, arms = { { "a", by = 0 }, { "b", by = 1 }, { "c", by = 2, other = true } }, trial = function(arm, rng, seed, once)
    local x, y, none = once(arm.other and 7 or "model", function()
      calls[#calls + 1] = seed
      return rng:random(), nil
    end)
    t.equals(select("#", once(7, function() return x, nil end)), 2)
    t.equals({ y, none }, {})
    return { x = x + arm.by }
  end }
  t.equals(calls, { 1, 2, 3 }) -- of c the key 7 is known by then: a asked for it first
  for s = 1, 3 do
    local a = ls.rng(s):random()
    t.close(outcome.results[1][s].x, a, 0)
    t.close(outcome.results[2][s].x, a + 1, 0)
    t.close(outcome.results[3][s].x, a + 2, 0)
  end
  local function with(...)
    local given = table.pack(...)
    return function()
      local lines = {}
      pcall(run, { name = "once", seeds = 1, arms = { { "a" } }, trial = function(_, _, _, once)
        lines[1], lines[2] = pcall(function() return once(table.unpack(given, 1, given.n)) end)
        return { x = 1 }
      end })
      if not lines[1] then error(lines[2], 0) end
    end
  end
  t.fails(with({}, print), "once: key is a table, a string or a number is required", nil)
  t.fails(with("x"), "once: f is", nil)
  t.fails(with("x", function() error "mine" end), "mine", nil)
end

function T.a_grid_is_every_combination_in_the_order_of_names()
  local seen = {}
  run{ name = "grid", seeds = 1, grid = { mix = { "none", "mixup" }, epsilon = { 0, 0.1 } },
    trial = function(arm) seen[#seen + 1] = arm.name return { x = 1 } end }
  t.equals(seen, { "epsilon=0 mix=none", "epsilon=0 mix=mixup", "epsilon=0.1 mix=none", "epsilon=0.1 mix=mixup" })
end

-- y = 1·(a=2) + 10·(b=y) + 5·(b=z) + 100·(both) + noise: effects averaged over the other factor.
function T.effects_of_a_grid_are_contrasts_of_its_arms()
  local outcome, text = run{ name = "effects", seeds = 4, grid = { a = { 1, 2 }, b = { "x", "y", "z" } }, trial = function(arm, rng)
    local y = noise(rng) + (arm.a == 2 and 1 or 0) + (arm.b == "y" and 10 or arm.b == "z" and 5 or 0)
    return { y = y + (arm.a == 2 and arm.b == "y" and 100 or 0) }
  end }
  local means = {}
  for _, e in ipairs(outcome.effects) do means[e.name] = e.metrics.y.mean end
  t.close(means["a=2"], 1 + 100 / 3, 1e-9)
  t.close(means["b=y"], 10 + 50, 1e-9)
  t.close(means["b=z"], 5, 1e-9)
  t.close(means["a=2 × b=y"], 100, 1e-9)
  t.close(means["a=2 × b=z"], 0, 1e-9)
  t.equals(#outcome.effects, 5)
  t.is_true(text:find("a=2 × b=y  +100.0000 [+100.0000, +100.0000]", 1, true) ~= nil, text)
  local kinds = {}
  for _, line in ipairs(lines(outcome.file)) do kinds[line.kind] = (kinds[line.kind] or 0) + 1 end
  t.equals(kinds.effect, 5)
end

function T.every_trial_is_a_line_with_exact_doubles()
  local outcome, text = run{ name = "Lines & doubles!", seeds = 6, arms = { { "a" }, { "b" } },
    trial = function(arm, rng) return { x = 0.1 + 0.2 + noise(rng) + (arm.name == "b" and 1 or 0), third = 1 / 3 } end,
    claims = { ls.claim{ "b", "higher", "x", than = "a", by = 0.5 } } }
  local list = lines(outcome.file)
  t.equals(#list, 1 + 12 + 1 + 1)
  t.equals(list[1].kind, "experiment")
  t.equals({ list[5].kind, list[5].number, list[5].arm, list[5].seed }, { "trial", 4, "b", 2 })
  t.equals(list[5].metrics.x, outcome.results[2][2].x)
  t.equals(list[5].metrics.third, 1 / 3)
  t.equals({ list[14].kind, list[14].verdict }, { "verdict", "supported" })
  t.equals(list[15].kind, "end")
  t.is_true(outcome.file:find "lines%-doubles%-" ~= nil)
  t.is_true(text:find("SUPPORTED", 1, true) ~= nil)
  os.remove(outcome.file)
end

function T.what_was_finished_is_kept_after_an_error()
  local before, file = nil, nil
  local records = require "lsengine.records"
  local open = records.open
  records.open = function(...) local r = open(...) file = r.path return r end
  local ok, message = pcall(run, { name = "broken", seeds = 10, arms = { { "a" } }, trial = function(_, _, seed)
    if seed == 5 then error "trial five" end
    return { x = seed }
  end })
  records.open = open
  t.is_true(not ok and message:find "trial five" ~= nil)
  local list = lines(file)
  t.equals(#list, 1 + 4)
  t.equals(list[5].metrics.x, 4)
  os.remove(file)
end

function T.interactions_are_one_contrast()
  local value = { ["0 none"] = 1, ["0 mixup"] = 2, ["0.1 none"] = 4, ["0.1 mixup"] = 9 }
  local outcome = run{ name = "interaction", seeds = 10, grid = { epsilon = { 0, 0.1 }, mix = { "none", "mixup" } },
    trial = function(arm, rng) return { x = value[("%g %s"):format(arm.epsilon, arm.mix)] + noise(rng) } end,
    claims = { ls.claim{ interaction = { epsilon = 0.1, mix = "mixup" }, "higher", "x", by = 3 },
               ls.claim{ { epsilon = 0.1, mix = "mixup" }, "higher", "x", than = { epsilon = 0, mix = "mixup" }, by = 6.5 } } }
  t.close(outcome.verdicts[1].mean, 9 - 4 - 2 + 1, 1e-9)
  t.equals(outcome.verdicts[1].verdict, "supported")
  t.close(outcome.verdicts[2].mean, 7, 1e-9)
  os.remove(outcome.file)
end

function T.relative_margins_are_on_log_ratios()
  local outcome = run{ name = "relative", seeds = 10, arms = { { "a", x = 0.8 }, { "b", x = 1 } },
    trial = function(arm, rng) return { x = arm.x * math.exp(noise(rng)) } end,
    claims = { ls.claim{ "a", "lower", "x", than = "b", by = "10%" }, ls.claim{ "a", "lower", "x", than = "b", by = "30%" } } }
  t.close(outcome.verdicts[1].mean, -math.log(0.8), 1e-9)
  t.equals({ outcome.verdicts[1].verdict, outcome.verdicts[2].verdict }, { "supported", "refuted" })
  os.remove(outcome.file)
end

function T.pitfalls_of_claims_are_raised_at_the_claims_line()
  local pitfalls = require "lsengine.pitfalls"
  pitfalls.forget()
  local line = t.line() + 1
  local claim = ls.claim{ "a", "lower", "ece", than = "b", by = 0.01 }
  local outcome = run{ name = "few", seeds = 5, arms = { { "a" }, { "b" } }, trial = function(_, rng) return { ece = 0.5 + noise(rng) } end, claims = { claim } }
  t.equals({ outcome.pitfalls[1].name, outcome.pitfalls[2].name }, { "too-few-seeds", "calibration-without-temperature" })
  t.equals(outcome.pitfalls[1].where, ("%s:%d"):format(debug.getinfo(1, "S").short_src, line))
  os.remove(outcome.file)
  outcome = run{ name = "enough", seeds = 6, arms = { { "a" }, { "b" } }, trial = function(_, rng) return { ece = 0.5 + noise(rng), ece_ts = 0.1 } end, claims = { claim } }
  t.equals(outcome.pitfalls, {})
  os.remove(outcome.file)
end

function T.mistakes_are_found_before_anything_runs()
  local trial = function() error "must not run" end
  local a = { { "a" }, { "b" } }
  t.fails(function() return ls.experiment{ name = "x", trial = trial } end, "either arms or grid is required", true)
  t.fails(function() return ls.experiment{ name = "x", arms = { { "a" }, { "a" } }, trial = trial } end, "two arms are called a", true)
  t.fails(function() return ls.experiment{ name = "x", arms = { {} }, trial = trial } end, "arm 1 has no name", true)
  t.fails(function() return ls.experiment{ name = "x", arms = a, trial = trial, claims = { ls.claim{ "c", "lower", "x", than = "a", by = 1 } } } end,
    "a claim names the arm c; known are a, b", true)
  t.fails(function() return ls.experiment{ name = "x", arms = a, trial = trial, claims = { 5 } } end, "claims[1] is 5, a claim", true)
  t.fails(function() return ls.experiment{ name = "x", grid = { e = {} }, trial = trial } end, "factor e is", true)
end

function T.what_a_trial_returns_is_checked()
  local function with(result, claim_list)
    return function() return run{ name = "bad", seeds = 1, arms = { { "a" }, { "b" } }, trial = function() return result end, claims = claim_list } end
  end
  t.is_true(t.message(with(5)):find("the trial of a returned 5, a table of numbers is required", 1, true) ~= nil)
  t.is_true(t.message(with{ x = "y" }):find('returned x = "y", a flat table of numbers', 1, true) ~= nil)
  t.is_true(t.message(with{ x = 0 / 0 }):find("a finite number is required", 1, true) ~= nil)
  t.is_true(t.message(with({ acuracy = 1 }, { ls.claim{ "a", "lower", "accuracy", than = "b", by = 1 } })):find("did you mean acuracy", 1, true) ~= nil)
end

t.run()
