-- How often the printed intervals cover, at a nominal 95 %: lsengine run tests/lua/coverage.lua [--set write=true], from the source folder. Fails where one that is
-- printed covers less than 90 %. write = true: the table goes to docs/intervals.md. SPDX-License-Identifier: MIT
local ls = require "lsengine"
local judging = require "lsengine.c.judging"
local interval, judge = judging.interval, judging.judge
local o = ls.options{ write = false, repeats = 1000 }

local LEVEL, LEAST = 0.95, 0.90
local out, failed = {}, false
local function line(format, ...) out[#out + 1] = select("#", ...) > 0 and format:format(...) or format end

-- ---- accuracy: exact, by summing over all numbers of right rows ----

local function log_pmf(n, p)
  local list, log_choose = {}, 0
  for k = 0, n do
    list[k] = log_choose + k * math.log(p) + (n - k) * math.log(1 - p)
    log_choose = log_choose + math.log((n - k) / (k + 1))
  end
  return list
end

local function exact(n, wilson)
  local low, high, least, sum, count, at = {}, {}, 1, 0, 0, 0
  for k = 0, n do low[k], high[k] = interval(k, n, LEVEL, wilson) end
  for i = 1, 199 do
    local p, covered = 0.5 + 0.5 * i / 200, 0
    for k, log_p in pairs(log_pmf(n, p)) do if low[k] <= p and p <= high[k] then covered = covered + math.exp(log_p) end end
    sum, count = sum + covered, count + 1
    if covered < least then least, at = covered, p end
  end
  return sum / count, least, at
end

line [[# How the printed intervals were tested

An interval is printed only where it covers at least 90 % at a nominal 95 %. `tests/lua/coverage.lua` (suite "long") computes what stands here and fails where that is
not so.

## Accuracy

`accuracy_low`, `accuracy_high` of `ls.eval.classification` and `ls.eval.calibration`: exact coverage, by summing over all possible numbers of right rows, for 199 true
accuracies from .5025 to .9975. Clopper and Pearson's interval is printed; Wilson's (`interval = "wilson"`) is there for comparison with others.

| rows | Clopper-Pearson: mean | least (at accuracy) | Wilson: mean | least (at accuracy) |
| --- | --- | --- | --- | --- |]]
for _, n in ipairs{ 1, 2, 5, 10, 20, 50, 100, 300 } do
  local mean, least, at = exact(n, false)
  local mean_w, least_w, at_w = exact(n, true)
  failed = failed or least < LEAST
  line("| %d | %.3f | %.3f (%.4f) | %.3f | %.3f (%.4f) |", n, mean, least, at, mean_w, least_w, at_w)
end

-- ---- accuracy in a bin: simulated; the rows of a bin differ in their chance to be right ----

local confidences = {
  { "uniform on .5 … 1", function(rng) return 0.5 + 0.5 * rng:random() end },
  { "near 1: 1 - u⁴/2", function(rng) return 1 - math.max(1e-6, 0.5 * rng:random() ^ 4) end },
  { "two lumps, .55 and .95", function(rng) return (rng:random() < 0.3 and 0.55 or 0.95) + 0.04 * (rng:random() - 0.5) end },
}
local truths = {
  { "calibrated", function(c) return c end },
  { "overconfident: right with c - .15", function(c) return math.max(0, c - 0.15) end },
  { "uneven: right with c ± .3 by turns", function(c, i) return math.max(0, math.min(1, c + (i % 2 == 0 and 0.3 or -0.3))) end },
}

-- Shares of covering intervals, Clopper and Pearson's and Wilson's: of all bins, and of the bin (by number) that is covered least often, among those that occur in a quarter of
-- the trials at least.
local function simulate(rng, n, draw, truth, kind)
  local binning = { bins = 15, kind = kind, edges = "left", rounding = "product", ties = "shared" }
  local total, seen, hits, bin_hits = 0, {}, { 0, 0 }, { {}, {} }
  for _ = 1, o.repeats do
    local rows, labels, chance, c = {}, {}, {}, {}
    for i = 1, n do
      c[i] = draw(rng)
      chance[i] = truth(c[i], i)
      rows[i] = { 0, math.log(c[i] / (1 - c[i])) }
      labels[i] = rng:random() < chance[i] and 1 or 0
    end
    local bins = judge(ls.tensor(rows), labels, false, nil, nil, { name = "coverage", calibration = { binnings = { binning }, level = LEVEL } }).calibrations[1].bins
    local sum, count = {}, {}
    for i = 1, n do
      for b = kind == "equal_width" and math.min(15, math.floor(c[i] * 15 + 1e-9) + 1) or 1, 15 do
        if bins[b].count > 0 and c[i] <= bins[b].high + 1e-6 then sum[b], count[b] = (sum[b] or 0) + chance[i], (count[b] or 0) + 1 break end
      end
    end
    for b, s in pairs(sum) do
      local x = bins[b]
      if x.count == count[b] then -- a number that float32 moved over an edge: left out
        local low, high = interval(x.accuracy * x.count, x.count, LEVEL, true)
        local mean = s / count[b]
        local covers = { x.accuracy_low <= mean and mean <= x.accuracy_high, low <= mean and mean <= high }
        total, seen[b] = total + 1, (seen[b] or 0) + 1
        for m = 1, 2 do
          hits[m] = hits[m] + (covers[m] and 1 or 0)
          bin_hits[m][b] = (bin_hits[m][b] or 0) + (covers[m] and 1 or 0)
        end
      end
    end
  end
  local least = { 1, 1 }
  for b, times in pairs(seen) do
    for m = 1, 2 do if times >= o.repeats / 4 then least[m] = math.min(least[m], bin_hits[m][b] / times) end end
  end
  return hits[1] / total, least[1], hits[2] / total, least[2]
end

line ""
line [[## Accuracy in the bins of a reliability diagram

`bins[i].accuracy_low`, `accuracy_high`: the share of intervals that cover the mean chance of being right of the rows in the bin (given their confidences), 1000 data sets a
line, 15 bins; "least" is the bin that is covered least often, of those with rows in a quarter of the data sets or more. Rows of a bin differ in their chances, which makes
the number of right ones vary less than a binomial one: intervals cover more, not less.

| confidences | truth | rows | bins | Clopper-Pearson | least | Wilson | least |
| --- | --- | --- | --- | --- | --- | --- | --- |]]
for ci, c in ipairs(confidences) do
  for ti, truth in ipairs(truths) do
    for _, n in ipairs{ 20, 100, 500 } do
      for _, kind in ipairs{ "equal_width", "equal_mass" } do
        local rng = ls.rng(ci * 100 + ti)
        local all, least, all_w, least_w = simulate(rng, n, c[2], truth[2], kind)
        failed = failed or all < LEAST or least < LEAST
        line("| %s | %s | %d | %s | %.3f | %.3f | %.3f | %.3f |", c[1], truth[1], n, (kind:gsub("_", " ")), all, least, all_w, least_w)
      end
    end
  end
end

line ""
line [[## What has no interval

The plain calibration error has none: of a calibrated model it is far above the 0 that an interval would have to cover, and resampling rows adds to that. It is shown beside its null
level. AURC and its kin, the debiased error, smooth error and MMCE are printed as numbers alone: an interval over the rows would speak of one trained model; over seeds, `ls.experiment` gives
those of [statistics](statistics.md).]]

local text = table.concat(out, "\n") .. "\n"
if o.write then
  local file <close> = assert(io.open("docs/intervals.md", "w"))
  assert(file:write(text))
else print(text) end
print(("tally: %d passed, %d failed, 0 skipped"):format(failed and 0 or 1, failed and 1 or 0))
if failed then os.exit(1, true) end
