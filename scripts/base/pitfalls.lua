-- The pitfalls that the engine knows: named, warned about once a line, allowed by name, errors under --strict.
-- SPDX-License-Identifier: MIT
local system  = require "lsengine.c.system"
local options = require "lsengine.options"

local pitfalls = {}

-- name → when it is raised; what goes wrong; how to see it; what to do. `fatal`: an error by itself.
pitfalls.known = {
  ["stacked-softening"] = {
    raised = "a target that is softened already (by smoothing, mixing, a teacher, or given as soft rows) is softened again",
    wrong  = "Softness adds up. Two uniform smoothings ε₁ and ε₂ are one of 1-(1-ε₁)(1-ε₂): the true class gets less mass than either says, and the model learns to be less sure than it is right.",
    see    = "The warning tells the true class's expected mass and the target's entropy with and without the second softening; a confidence_gap far below 0 tells it afterwards.",
    remedy = "Soften once. Where stacking is what you study, allow it.",
  },
  ["smoothing-regression"] = {
    raised = "a softened target meets a loss that is not categorical",
    wrong  = "A number mixed with a uniform distribution over classes means nothing: least squares learns an affine image of the target.",
    see    = "It is an error by itself; what it would do is a bias of predictions towards the middle.",
    remedy = "Use the plain target. Binary cross-entropy takes smoothed targets: y(1-ε) + ε/2.",
    fatal  = true,
  },
  ["epsilon-too-large"] = {
    raised = "ε is above 0.3; an error at or past the point where the true class is no longer the most probable",
    wrong  = "The gap between logits that training aims at shrinks (4.5 at ε = 0.1 with ten classes, 2.8 at 0.4), the loss cannot fall below a high floor, and past the point the labels say nothing or the opposite.",
    see    = "The warning tells the loss's floor; target:entropy(K) gives it for any target.",
    remedy = "An ε of 0.01 to 0.2, chosen on validation rows.",
  },
  ["too-few-seeds"] = {
    raised = "a claim rests on fewer than six paired seeds",
    wrong  = "The exact sign-flip test cannot reach the level .025 with fewer than six pairs whatever the data say, and the t interval leans on normality alone.",
    see    = "The smallest p value that n pairs allow is 2⁻ⁿ: .031 for five.",
    remedy = "Ten seeds, or more: an inconclusive verdict says how many would decide.",
  },
  ["calibration-without-temperature"] = {
    raised = "a claim is about a calibration measure whose trials have no temperature-scaled companion (ece_ts for ece, …)",
    wrong  = "Temperature scaling alone repairs most overconfidence, and costs nothing in training. A softening that helps only without it may not be worth its price.",
    see    = "The difference between the arms' ece_debiased and between their ece_debiased_ts.",
    remedy = "Pass temperature_on (validation rows) to ls.evaluate, and claim the scaled measure, too.",
  },
}

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

-- Whether raising it there would say anything: what the message tells may cost much.
function pitfalls.is_new(name, where) return not pitfalls.is_allowed(name) and not seen[name .. "\0" .. where] end

-- Raises a pitfall at `where` ("file:line", the user's current line unless given). Fatal ones, and all under --strict, are errors.
function pitfalls.raise(name, message, where, as_error)
  assert(pitfalls.known[name], name)
  if pitfalls.is_allowed(name) then return end
  where = where or system.where()
  if as_error or pitfalls.known[name].fatal or pitfalls.strict then
    error(("%s: %s [%s]"):format(where, message, name), 0)
  end
  local key = name .. "\0" .. where
  if seen[key] then return end
  seen[key] = true
  raised[#raised + 1] = { name = name, where = where, message = message }
  if not pitfalls.quiet then io.stderr:write(("warning[%s]: %s: %s (lsengine help %s; where it is meant: allow = { \"%s\" })\n"):format(name, where, message, name, name)) end
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
