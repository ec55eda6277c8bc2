-- Writes docs/peers.md from the golden numbers: lsengine run tests/lua/peers_table.lua, from the source folder, with LUA_PATH="tests/lua/?.lua;;".
-- SPDX-License-Identifier: MIT
local cases = require "judging_cases"

local rows, order = {}, {}
for _, case in ipairs(cases) do
  local measure = case.field:gsub("^call.*", "probabilities"):gsub("^confidences.*", "confidences"):gsub(":[%d.]+", "[…]"):gsub("%]:(%a)", "].%1")
  local options = case.options:gsub("bins = %d+", "bins = 10, 15"):gsub("smooth_width = [%d.]+", "smooth_width = .01, .1, .5")
  if case.call == "histogram_binning" then options = case.options end
  local key = table.concat({ case.call, measure, case.peer, options }, "\0")
  local row = rows[key]
  if not row then
    row = { call = case.call, measure = measure, peer = case.peer, options = options, sets = {}, count = 0, cases = 0, worst = 0 }
    rows[key], order[#order + 1] = row, key
  end
  row.cases = row.cases + 1
  if not row.sets[case.set] then row.sets[case.set], row.count = true, row.count + 1 end
  row.worst = math.max(row.worst, math.abs(case.got - case.want))
end
table.sort(order)

-- One digit, rounded up: the last bits differ from processor to processor.
local function power(x)
  if x < 1e-15 then return "below 1e-15" end
  local e = math.ceil(math.log(x, 10) - 1e-9)
  return ("below 1e%d"):format(e)
end

local out = { [[# Which measure agrees with which package

Written by `tests/lua/peers_table.lua` from the golden numbers of `tests/golden/judging.py`; the test `lua judging` holds every case to 1e-6. The sets:
random logits, over- and underconfident ones, masked classes, confidences exactly on the edges of 10 and of 15 bins, all rows equal, zeros and ones, one row, one
class, probabilities of one decimal, logits so large that confidences round to 1. A package that fails on a set (netcal's bins of equal mass where confidences
are tied, most of them for one class) has no case there; neither have packages that take tied rows in the order of their sort, on sets with ties. "formula" is numpy after
the paper; "Guo's code" and "Xia's code" are the rules of those papers' programs, written anew.

| function | measure | package | asked for with | sets | numbers | largest difference |
| --- | --- | --- | --- | --- | --- | --- |]] }
for _, key in ipairs(order) do
  local r = rows[key]
  out[#out + 1] = ("| `ls.eval.%s` | %s | %s | %s | %d | %d | %s |"):format(r.call, r.measure, r.peer, r.options == "" and "defaults" or "`" .. r.options .. "`", r.count, r.cases, power(r.worst))
end
local file <close> = assert(io.open("docs/peers.md", "w"))
assert(file:write(table.concat(out, "\n"), "\n"))
