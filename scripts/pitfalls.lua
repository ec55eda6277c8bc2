-- The pitfalls that the engine knows: named, warned about once a line, allowed by name, errors under --strict.
-- SPDX-License-Identifier: MIT
local system  = require "lsengine.c.system"
local options = require "lsengine.options"

local pitfalls = {}

pitfalls.known = {
  ["stacked-softening"] = "A target that is softened already (by smoothing, mixing, a teacher or given as soft rows) is softened again. Softness adds up: two uniform smoothings ε₁ and ε₂ are one of 1-(1-ε₁)(1-ε₂), the true class gets less mass than either says, and the model learns to be less sure than it is right. Soften once, or allow it where stacking is what you study.",
  ["smoothing-regression"] = "A softened target meets a loss that is not categorical. Mixing a number with a uniform distribution means nothing: least squares just learns an affine image of the target. Use the plain target; for binary cross-entropy smoothing is fine.",
  ["epsilon-too-large"] = "ε above 0.3 leaves the true class little more mass than the others: the gap between logits that training aims at shrinks (4.5 at ε = 0.1 with ten classes, 2.8 at 0.4) and the loss cannot fall below a high floor. At or past the point where the true class is no longer the most probable, the labels say nothing or the opposite: that is an error.",
  ["too-few-seeds"] = "A claim rests on fewer than six paired seeds. The exact sign-flip test cannot reach the level .025 with fewer than six pairs whatever the data say, and the t interval leans on normality alone. Use ten seeds, or more.",
  ["calibration-without-temperature"] = "A claim about a calibration measure whose trials have no temperature-scaled companion. Temperature scaling alone repairs most overconfidence; a softening that helps only before it may not be worth its price. Pass temperature_on to ls.evaluate and look at ece_ts, too.",
}

local fatal = { ["smoothing-regression"] = true } -- errors by themselves
local allowed, seen, raised = {}, {}, {}
pitfalls.strict, pitfalls.quiet = false, false

local allow_spec = { type = "table" }

local function check_names(who, names)
  options.check(who, "allow", allow_spec, names)
  for _, name in ipairs(names) do
    if not pitfalls.known[name] then
      local known = {}
      for k in pairs(pitfalls.known) do known[#known + 1] = k end
      system.raise(who, ("allow names %s, which is no pitfall; %s"):format(system.describe(name), options.known_text(name, known)))
    end
  end
end

local leave = { __close = function(self)
  for _, name in ipairs(self.names) do allowed[name] = allowed[name] - 1 end
end }

-- local _ <close> = pitfalls.allow("train", { "stacked-softening" }): allowed until the scope ends.
function pitfalls.allow(who, names)
  names = names or {}
  check_names(who, names)
  for _, name in ipairs(names) do allowed[name] = (allowed[name] or 0) + 1 end
  return setmetatable({ names = names }, leave)
end

function pitfalls.is_allowed(name) return (allowed[name] or 0) > 0 end

-- Raises a pitfall at `where` ("file:line", the user's current line unless given). Fatal ones, and all under --strict, are errors.
function pitfalls.raise(name, message, where, as_error)
  assert(pitfalls.known[name], name)
  if pitfalls.is_allowed(name) then return end
  where = where or system.where()
  if as_error or fatal[name] or pitfalls.strict then
    error(("%s: %s [%s]"):format(where, message, name), 0)
  end
  local key = name .. "\0" .. where
  if seen[key] then return end
  seen[key] = true
  raised[#raised + 1] = { name = name, where = where, message = message }
  if not pitfalls.quiet then io.stderr:write(("warning[%s]: %s: %s\n"):format(name, where, message)) end
end

-- What was raised so far, in order; `from` skips the first ones.
function pitfalls.raised(from)
  local list = {}
  for i = (from or 0) + 1, #raised do list[#list + 1] = raised[i] end
  return list
end

function pitfalls.count() return #raised end

-- For tests: forgets what was raised.
function pitfalls.forget() seen, raised = {}, {} end

return pitfalls
