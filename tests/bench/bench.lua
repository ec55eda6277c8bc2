-- Runs the subjects of subjects.lua in interleaved rounds, one process each, and compares them with the machine's limits, with the peers and with
-- the bars. Started by tests/bench/bench. SPDX-License-Identifier: MIT
--
-- A process prints lines  ITEM <tab> MEDIAN [<tab> LEAST <tab> QUARTILE <tab> QUARTILE]  in the subject's unit (seconds), or  = <tab> NAME <tab> VALUE  for what is no time.
-- A time is the median over rounds of a round's median; a ratio is taken within a round, between neighbours in time, and its median over rounds
-- is what the bar is held against; the spread is the quartiles over rounds.
local ls   = require "lsengine"
local json = require "lsengine.c.json"

local o = ls.options{ build = "build", here = "tests/bench", python = "", only = "", rounds = 0, quick = false, json = false, picture = "", list = false, one = false }
local say = require "report"
local subjects = dofile(o.here .. "/subjects.lua")

local function lines_of(command)
  local pipe = assert(io.popen(command .. " 2>&1", "r"))
  local text = pipe:read "a"
  local ok = pipe:close()
  if not ok then error("the command failed: " .. command .. "\n" .. text, 0) end
  return text
end

local function filled(command, threads, inner)
  local value = { bench = o.build .. "/tests/bench", build = o.build, here = o.here, python = ("env OMP_WAIT_POLICY=PASSIVE OMP_NUM_THREADS=%d %s"):format(threads, o.python), threads = tostring(threads), inner = tostring(inner),
                  lua = o.build .. "/lsengine run --quiet --threads " .. threads }
  return (command:gsub("{(%a+)}", function(name) return value[name] or error("unknown {" .. name .. "} in " .. command, 0) end))
end

-- The times of one process go into `into[item]`, other numbers into `facts[name]`.
local function measure(command, into, facts)
  for line in lines_of(command):gmatch "[^\n]+" do
    local fact, amount = line:match "^=\t([^\t]+)\t([^\t]+)$"
    local item, seconds = line:match "^([^\t=]+)\t([^\t]+)"
    if fact then
      facts[fact] = tonumber(amount) or amount
    elseif item and tonumber(seconds) then
      into[item] = tonumber(seconds)
    else
      error("cannot read a line of " .. command .. ": " .. line, 0)
    end
  end
end

local function sorted(list)
  local copy = table.move(list, 1, #list, 1, {})
  table.sort(copy)
  return copy
end

local function spread(list)
  local s = sorted(list)
  local function at(part) return s[math.min(#s, math.floor(#s * part) + 1)] end
  return { median = at(0.5), low = at(0.25), high = at(0.75) }
end

-- The least time among the items of a round whose names begin with `prefix`; an item's own name is a prefix, too.
local function best(round, prefix)
  local least
  if round[prefix] then return round[prefix] end
  for item, seconds in pairs(round) do
    if item:sub(1, #prefix) == prefix and (not least or seconds < least) then least = seconds end
  end
  return least
end

-- What a bar asks of one round, or nil where the round has not what it takes (no peer, one thread only). A bar is
--   { item, of = LIMIT, share = S }    LIMIT's time · weight / the item's time >= S
--   { item, peer = ITEM, times = S }   ITEM's time / the item's time >= S
--   { item, over = ITEM, most = S }    the item's time / ITEM's time <= S
--   { item, speedup = S }              time with one thread / time with two >= S
--   { item, seconds = S }              the time itself <= S
-- With optional = true the item may be missing: a kernel of an instruction set that the machine has not.
local function ratio(bar, by_threads, threads)
  local round, item = by_threads[threads], bar[1]
  if not round then return end
  local mine = best(round, item)
  if not mine and bar.optional then return end
  if not mine then error(("the bar on %q has nothing to measure: no process printed it"):format(item), 0) end
  if bar.seconds then return mine end
  if bar.speedup then
    local one = by_threads[1] and best(by_threads[1], item)
    return threads == 2 and one and one / mine or nil
  end
  local other = best(round, bar.of or bar.peer or bar.over)
  if not other then return end
  return bar.over and mine / other or other * (bar.weight or 1) / mine
end

local function bound(bar)
  local value = bar.share or bar.times or bar.most or bar.speedup or bar.seconds
  return value, bar.most ~= nil or bar.seconds ~= nil
end

-- rounds[r][threads][item] of a subject, and the facts its processes told.
local function rounds_of(subject, rounds, inner)
  local result, facts = {}, {}
  for r = 1, rounds do
    result[r] = {}
    for _, threads in ipairs(o.one and { 1 } or subject.threads or { 1, 2 }) do
      local into = {}
      for _, command in ipairs(o.quick and subject.quick or subject.commands) do
        if not command:find("{python}", 1, true) or o.python ~= "" then measure(filled(command, threads, inner), into, facts) end
      end
      result[r][threads] = into
    end
  end
  return result, facts
end

local function judged(subject, rounds)
  local list = {}
  for _, bar in ipairs(subject.bars) do
    for _, threads in ipairs(bar.threads or (bar.speedup and { 2 } or { 1 })) do
      local all = {}
      for _, round in ipairs(rounds) do all[#all + 1] = ratio(bar, round, threads) end
      if #all > 0 then
        local value, at_most = bound(bar)
        local s = spread(all)
        list[#list + 1] = { item = bar[1], threads = threads, against = bar.of or bar.peer or bar.over or bar.speedup and "one thread" or "seconds", value = s.median,
                            low = s.low, high = s.high, bar = value, at_most = at_most, met = at_most and s.median <= value or not at_most and s.median >= value,
                            reach = bar.reach, percent = bar.share ~= nil }
      end
    end
  end
  return list
end

local function times_of(rounds)
  local all, order = {}, {}
  for _, by_threads in ipairs(rounds) do
    for threads, items in pairs(by_threads) do
      for item, seconds in pairs(items) do
        local key = ("%d\t%s"):format(threads, item)
        if not all[key] then
          all[key] = { threads = threads, item = item, list = {} }
          order[#order + 1] = key
        end
        table.insert(all[key].list, seconds)
      end
    end
  end
  table.sort(order)
  local result = {}
  for i, key in ipairs(order) do
    local s = spread(all[key].list)
    result[i] = { item = all[key].item, threads = all[key].threads, median = s.median, low = s.low, high = s.high }
  end
  return result
end

local function line(command)
  local pipe = io.popen(command .. " 2>/dev/null")
  local text = pipe and pipe:read "l" or nil
  if pipe then pipe:close() end
  return text or ""
end

local function refuse(message)
  io.stderr:write("bench: ", message, "\n")
  os.exit(2, true)
end

local function machine()
  return {
    processor = line "sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1", processors = tonumber(line "nproc") or 1,
    sets = line "grep -o -w -E 'avx2|avx512f|amx_tile' /proc/cpuinfo | sort -u | tr '\\n' ' '", isa = os.getenv "LSENGINE_ISA" or "",
    peers = o.python ~= "" and line(o.python .. " " .. o.here .. "/peers/versions.py") or "",
  }
end

local function chosen()
  local list = {}
  for _, subject in ipairs(subjects) do
    local wanted = o.only == ""
    for word in o.only:gmatch "[^,]+" do wanted = wanted or subject.name:find(word, 1, true) or subject.group == word end
    if wanted and (o.quick and subject.quick or not o.quick and #subject.commands > 0) then list[#list + 1] = subject end
  end
  return #list > 0 and list or refuse("no subject has a name with \"" .. o.only .. "\"; --list names them")
end

if o.list then
  for _, subject in ipairs(subjects) do print(subject.group, subject.name) end
  return
end
local list = chosen()
if o.picture ~= "" and not say.terminal_of(o.picture) then refuse("the picture's name must end in .svg or .png, not " .. o.picture) end -- before the hours that it takes
local results = { machine = machine(), rounds = o.rounds > 0 and o.rounds or o.quick and 1 or 5, subjects = {} }
if not o.json then say.machine(results) end
for _, subject in ipairs(list) do
  local rounds, facts = rounds_of(subject, results.rounds, o.quick and 1 or subject.inner or 5)
  local entry = { name = subject.name, group = subject.group, unit = subject.unit or "s", times = times_of(rounds), ratios = judged(subject, rounds), facts = facts }
  table.insert(results.subjects, entry)
  if not o.json then say.subject(entry) end
end
if o.picture ~= "" then say.picture(results, o.picture) end
if o.json then
  for _, entry in ipairs(results.subjects) do entry.ratios = #entry.ratios > 0 and entry.ratios or nil end
  print(json.encode(results))
else
  say.summary(results)
end
