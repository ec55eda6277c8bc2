-- Results as JSON lines: a header, a line for each trial as soon as it is finished, the verdicts. SPDX-License-Identifier: MIT
local json    = require "lsengine.c.json"
local files   = require "lsengine.c.files"
local program = require "lsengine.c.program"
local system  = require "lsengine.c.system"
local raise   = require "lsengine.public".raise

local Record = {}
Record.__index = Record

local function append(self, entry)
  local done, message = self.file:write(json.encode(entry), "\n")
  if done then done, message = self.file:flush() end
  if not done then raise("experiment", ("%s cannot be written: %s"):format(self.path, message)) end
end

-- What an arm's options are, in words where they are no plain values.
local function plain(arm)
  local copy = {}
  for key, value in pairs(arm) do
    if type(key) == "string" then
      local kind = type(value)
      copy[key] = (kind == "number" or kind == "string" or kind == "boolean") and value or tostring(value):gsub("0x%x+", "")
    end
  end
  return copy
end

local function open(experiment, folder)
  folder = folder or "results"
  local made, message = json.make_folder(folder)
  if not made then raise("experiment", ("the folder of results cannot be made: %s"):format(message)) end
  local slug = experiment.name:lower():gsub("[^%w]+", "-"):gsub("^%-+", ""):gsub("%-+$", "")
  local base = ("%s/%s-%s"):format(folder, slug == "" and "experiment" or slug:sub(1, 60), os.date "!%Y%m%dT%H%M%SZ")
  local path, k = base .. ".jsonl", 1
  while files.readable(path) do
    k = k + 1
    path = ("%s-%d.jsonl"):format(base, k)
  end
  local file, problem = io.open(path, "w")
  if not file then raise("experiment", ("results cannot be written: %s"):format(problem)) end
  local self = setmetatable({ file = file, path = path, trials = 0 }, Record)
  local arms = {}
  for i, arm in ipairs(experiment.arms) do arms[i] = plain(arm) end
  append(self, { kind = "experiment", name = experiment.name, arms = arms, seeds = experiment.seeds, seed = experiment.seed,
    script = program.settings.script, options = program.settings.set, versions = program.versions(true), machine = system.machine(),
    started = os.date "!%Y-%m-%dT%H:%M:%SZ" })
  return self
end

function Record:trial(number, arm, seed, metrics, seconds, raised)
  append(self, { kind = "trial", number = number, arm = arm.name, seed = seed, metrics = metrics, seconds = seconds, pitfalls = raised })
  self.trials = self.trials + 1
  program.kept(("%d finished trial%s in %s"):format(self.trials, self.trials == 1 and " is" or "s are", self.path))
end

-- Main effects and interactions of a grid.
function Record:effects(effects)
  for _, e in ipairs(effects) do append(self, { kind = "effect", name = e.name, order = e.order, metrics = e.metrics }) end
end

function Record:verdicts(verdicts, raised)
  for i, v in ipairs(verdicts) do
    append(self, { kind = "verdict", number = i, verdict = v.verdict, headline = v.headline, metric = v.claim.metric, relation = v.claim.relation,
      margin = v.claim.margin, relative = v.claim.relative, mean = v.mean, low = v.low, high = v.high, pairs = v.n, p_supported = v.p_supported,
      p_refuted = v.p_refuted, sign_flip = v.sign_flip, seeds_needed = v.seeds_needed, differences = v.differences })
  end
  append(self, { kind = "end", pitfalls = raised, peak_memory = program.memory().peak, finished = os.date "!%Y-%m-%dT%H:%M:%SZ" })
end

function Record:__close(problem)
  if problem == nil then program.kept() end
  self.file:close()
end

return { open = open }
