-- Early stopping: the best epoch by one metric, and when to give up waiting for a better one. SPDX-License-Identifier: MIT
local system  = require "lsengine.c.system"
local options = require "lsengine.options"
local weights = require "lsengine.weights"
local raise   = require "lsengine.public".raise

local stopping = {}

-- Where smaller is better, and where larger; a temperature-scaled twin (nll_ts) is like the metric itself.
local lower, higher = {}, {}
for _, name in ipairs{ "loss", "nll", "brier", "ece", "ece_null", "ece_debiased", "ece_debiased_l2", "mce", "aurc", "rmse", "mse", "mae" } do lower[name] = true end
for _, name in ipairs{ "accuracy", "top_k", "r2" } do higher[name] = true end

stopping.options = {
  metric       = { type = "string", required = true, doc = "of the validation rows (nll, accuracy, …), or loss: the training loss" },
  patience     = { type = "integer", required = true, min = 1, doc = "evaluations without improvement after which training ends" },
  min_delta    = { type = "number", default = 0, min = 0, below = math.huge, doc = "an improvement is more than this" },
  restore_best = { type = "boolean", default = true, doc = "after training the model has the best epoch's weights, not the last one's, whether it was stopped early or not" },
  direction    = { type = "string", choices = { "lower", "higher" }, doc = "which is better; known of loss, nll, brier, ece…, mce, aurc, rmse, accuracy, top_k, r2" },
}

local Stopping = {}
Stopping.__index = Stopping

function stopping.new(o, has_validation)
  local plain = o.metric:gsub("_ts$", "")
  local direction = o.direction or lower[plain] and "lower" or higher[plain] and "higher"
  if not direction then
    local known = {}
    for _, list in ipairs{ lower, higher } do for name in pairs(list) do known[#known + 1] = name end end
    raise("train", ("early_stopping.direction is missing: whether lower or higher %s is better is not known; %s"):format(o.metric, options.known_text(o.metric, known)))
  end
  if o.metric ~= "loss" and not has_validation then
    raise("train", ("early_stopping.metric is %s, but there are no validation rows: option validation is missing"):format(system.describe(o.metric)))
  end
  return setmetatable({ o = o, sign = direction == "lower" and -1 or 1, waited = 0 }, Stopping)
end

-- Looks at an epoch that has the metric; true where it is the best so far.
function Stopping:look(entry)
  local value = entry[self.o.metric]
  if value == nil then
    local known = {}
    for name in pairs(entry) do known[#known + 1] = name end
    raise("train", ("early_stopping.metric is %s, which is not measured; %s"):format(system.describe(self.o.metric), options.known_text(self.o.metric, known)))
  end
  local better = value == value and (not self.best or self.sign * (value - self.best) > self.o.min_delta)
  if better then
    self.best, self.best_epoch, self.waited = value, entry.epoch, 0
  else
    self.waited = self.waited + 1
  end
  return better
end

function Stopping:is_over() return self.waited >= self.o.patience end

-- Keeps what the model's tensors are now.
function Stopping:keep(list) self.weights = weights.clone(list) end

return stopping
