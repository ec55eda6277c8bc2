-- The pitfalls that the engine knows: named, warned about once a run, allowed by name, errors under --strict. SPDX-License-Identifier: MIT
--
-- A run is the run of a script; each experiment in it is a run of its own, so that its record tells what its trials met. What is met again in a
-- run, there or at another line, is counted and not said again. The pages about them are pitfall_pages.lua.
local system  = require "lsengine.c.system"
local options = require "lsengine.options"
local public  = require "lsengine.public"

local pitfalls = { known = require "lsengine.pitfall_pages" }

local allowed, seen, raised = {}, {}, {}
pitfalls.strict, pitfalls.quiet = false, false

local allow_spec = { type = "table" }

local function check_names(who, names)
  options.check(who, "allow", allow_spec, names)
  for key, name in pairs(names) do
    if math.type(key) ~= "integer" or not pitfalls.known[name] then
      local known = {}
      for k in pairs(pitfalls.known) do known[#known + 1] = k end
      system.raise(who, ("allow names %s, which is no pitfall; %s"):format(system.describe(math.type(key) == "integer" and name or key), options.known_text(name, known)))
    end
  end
end

local leave = { __name = "scope", __close = function(self)
  for _, name in ipairs(self.names) do allowed[name] = allowed[name] - 1 end
  self.names = {}
end }

-- local _ <close> = pitfalls.allow("train", { "stacked-softening" }): allowed until the scope ends.
function pitfalls.allow(who, names)
  names = names or {}
  check_names(who, names)
  local copy = table.move(names, 1, #names, 1, {})
  for _, name in ipairs(copy) do allowed[name] = (allowed[name] or 0) + 1 end
  return setmetatable({ names = copy }, leave)
end

pitfalls.allow_here = public("ls.allow", {
  doc = [[Says that pitfalls are meant, in a script that trains by hand: neither warnings nor errors from here on, `--strict` and those that are errors by
themselves included. `local scope <close> = ls.allow{…}` allows them until the block is left; without `<close>` they are allowed for the rest of the script. `ls.train` and
`ls.experiment` take the same names as their option `allow`.]],
  returns = "a scope, to be closed", errors = "a name that is no pitfall",
  example = [[local scope <close> = ls.allow{ "stacked-softening" }
local loss = ls.loss.cross_entropy(logits, ls.target.uniform(0.1)(ls.target.uniform(0.05)(labels)))]],
  { "names", type = "table", doc = "names of pitfalls: lsengine help lists them, docs/reference/pitfalls.md explains them" },
}, function(names) return pitfalls.allow("allow", names) end)

function pitfalls.is_allowed(name) return (allowed[name] or 0) > 0 end

-- Counts a pitfall that was raised in this run already: true where it was.
local function again(name, where)
  local entry = seen[name]
  if not entry then return false end
  entry.times = entry.times + 1
  if where ~= entry.where and not entry.places[where] then
    entry.places[where], entry.lines[#entry.lines + 1] = true, where
  end
  return true
end

-- Whether raising it there would say anything: what the message tells may cost much. What it would not say, it counts.
function pitfalls.is_new(name, where) return not pitfalls.is_allowed(name) and (pitfalls.strict or not again(name, where)) end

-- Raises a pitfall at `where` ("file:line", the user's current line unless given). Fatal ones, and all under --strict, are errors.
function pitfalls.raise(name, message, where, as_error)
  assert(pitfalls.known[name], name)
  if pitfalls.is_allowed(name) then return end
  where = where or system.where()
  if as_error or pitfalls.known[name].fatal or pitfalls.strict then
    error(("%s: %s [%s]"):format(where, message, name), 0)
  end
  if again(name, where) then return end
  local entry = { name = name, where = where, message = message, times = 1, lines = {}, places = {} }
  seen[name], raised[#raised + 1] = entry, entry
  if not pitfalls.quiet then io.stderr:write(("warning[%s]: %s: %s (lsengine help %s; where it is meant: allow = { \"%s\" })\n"):format(name, where, message, name, name)) end
end

local outer = { __close = function(self) seen = self.seen end }

-- local _ <close> = pitfalls.run(): a run of its own until the scope ends.
function pitfalls.run()
  local scope = setmetatable({ seen = seen }, outer)
  seen = {}
  return scope
end

-- What was raised so far, in order: { name =, where =, message =, times =, lines = other lines }; `from` skips the first ones.
function pitfalls.raised(from)
  local list = {}
  for i = (from or 0) + 1, #raised do
    local e = raised[i]
    list[#list + 1] = { name = e.name, where = e.where, message = e.message, times = e.times, lines = #e.lines > 0 and table.move(e.lines, 1, #e.lines, 1, {}) or nil }
  end
  return list
end

-- "stacked-softening at script.lua:4, 120 times, and at script.lua:9"
function pitfalls.text(entry)
  local more = entry.lines or {}
  local others = #more == 0 and "" or #more <= 3 and ", also at " .. table.concat(more, ", ") or (", also at %d other lines"):format(#more)
  return ("%s at %s%s%s"):format(entry.name, entry.where, entry.times > 1 and (", met %d times"):format(entry.times) or "", others)
end

function pitfalls.count() return #raised end

-- For tests: forgets what was raised.
function pitfalls.forget() seen, raised = {}, {} end

return pitfalls
