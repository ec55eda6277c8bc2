-- The benchmarks' table and picture. SPDX-License-Identifier: MIT
local gnuplot = require "lsengine.gnuplot"

local report = {}

local function seconds(s)
  if s >= 1 then return ("%.3f s"):format(s) end
  if s >= 1e-3 then return ("%.3f ms"):format(s * 1e3) end
  return ("%.3f us"):format(s * 1e6)
end

local function amount(entry, value) return entry.unit == "s" and seconds(value) or ("%.1f %s"):format(value, entry.unit) end

local function figure(ratio, value)
  if ratio.percent then return ("%.0f %%"):format(100 * value) end
  if ratio.against == "seconds" then return seconds(value) end
  return ("%.2f"):format(value)
end

function report.machine(results)
  local m = results.machine
  print(("%s, %d processors, %s%s"):format(m.processor, m.processors, m.sets, m.isa ~= "" and "kept to " .. m.isa or ""))
  print("peers: " .. (m.peers == "" and "none (set PYTHON to a Python that has them)" or m.peers))
  print(("medians of %d rounds, [quartiles]; a ratio is taken within a round"):format(results.rounds))
end

function report.subject(entry)
  print("\n" .. entry.name)
  for _, t in ipairs(entry.times) do
    print(("  %d thread%s  %-30s %12s  [%s, %s]"):format(t.threads, t.threads == 1 and " " or "s", t.item, amount(entry, t.median), amount(entry, t.low), amount(entry, t.high)))
  end
  local names = {}
  for name in pairs(entry.facts) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do print(("  %s: %s"):format(name, entry.facts[name])) end
  for _, r in ipairs(entry.ratios) do
    print(("  %-6s %d thread%s  %-24s against %-28s %8s  [%s, %s]  bar %s %s%s"):format(r.met and "met" or "MISSED", r.threads, r.threads == 1 and " " or "s", r.item, r.against,
      figure(r, r.value), figure(r, r.low), figure(r, r.high), r.at_most and "<=" or ">=", figure(r, r.bar), r.reach and ", to reach for " .. figure(r, r.reach) or ""))
  end
  io.stdout:flush()
end

function report.summary(results)
  local met, all = 0, 0
  for _, entry in ipairs(results.subjects) do
    for _, r in ipairs(entry.ratios) do
      all = all + 1
      if r.met then met = met + 1 end
    end
  end
  print(("\n%d of %d bars met"):format(met, all))
end

-- gnuplot's terminal for a picture's name, with a place for its height; nil for a name that tells none.
function report.terminal_of(file)
  local kind = file:match "%.(%a+)$"
  return kind == "png" and "pngcairo size 1400,%d" or kind == "svg" and "svg size 1400,%d" or nil
end

-- Each ratio over its bar (a bar not to be exceeded: the bar over the ratio), on a logarithmic axis: right of 1 the bar is met.
function report.picture(results, file)
  local rows, tics = {}, {}
  for _, entry in ipairs(results.subjects) do
    for _, r in ipairs(entry.ratios) do
      local function over(value) return r.at_most and r.bar / value or value / r.bar end
      local ends = { over(r.low), over(r.high) }
      table.sort(ends)
      rows[#rows + 1] = ("%d %.9g %.9g %.9g"):format(#rows, over(r.value), ends[1], ends[2])
      local text = ("%s, %s against %s, %d thr.: %s (bar %s)"):format(entry.name, r.item, r.against, r.threads, figure(r, r.value), figure(r, r.bar))
      tics[#tics + 1] = ("%s %d"):format(gnuplot.tic(text, 120), #tics)
    end
  end
  if #rows == 0 or not gnuplot.available() then return print(#rows == 0 and "no ratio to draw" or gnuplot.hint) end
  local terminal = report.terminal_of(file)
  local pipe = assert(io.popen("gnuplot", "w"))
  pipe:write("set terminal ", terminal:format(120 + 26 * #rows), " noenhanced\nset output ", gnuplot.quote(file), "\n")
  pipe:write("$rows << EOD\n", table.concat(rows, "\n"), "\nEOD\n")
  pipe:write("set ytics (", table.concat(tics, ", "), ") noenhanced\nset yrange [", #rows - 0.3, ":-0.7]\nset logscale x 2\nset grid x\nset key off\nset lmargin 90\n")
  pipe:write("set xlabel 'ratio over its bar (right of 1: met), quartiles over rounds'\nset arrow from 1, graph 0 to 1, graph 1 nohead lw 2 lc rgb '#444444'\n")
  pipe:write("plot $rows using 2:1:3:4 with xerrorbars pt 7 ps 0.9 lw 2 lc rgb '#0072b2'\n")
  pipe:close()
end

return report
