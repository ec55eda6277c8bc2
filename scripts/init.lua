-- lsengine: what `require "lsengine"` returns. Parts are loaded when first used. SPDX-License-Identifier: MIT
--
-- Scripts see the registered functions alone: ls.nn holds what is registered as "ls.nn.…". Modules' own tables stay inside.
local system = require "lsengine.c.system"

-- name → the modules that register what is below it; a part may be a function, too (ls.tensor{…}, ls.rng(1)).
local parts = {
  allow = { "pitfalls" }, augment = { "augment" }, autograd = { "autograd" }, claim = { "claims" }, data = { "data", "data_classes", "data_files" }, eval = { "classification", "calibration", "calibrators", "selective", "clustering", "compare", "geometry", "probe", "retrieval" }, evaluate = { "evaluate" },
  experiment = { "experiment" }, knn = { "knn" }, labels = { "labels" }, loss = { "loss", "penalties", "distillation", "loss_own" }, mix = { "mix", "mix_helpers", "mix_own", "mix_check" }, nn = { "nn" }, no_grad = { "autograd" }, optim = { "optim" }, options = { "script_options" }, predict = { "predict" },
  plot = { "plot_calibration", "plot_retrieval", "plot_seeds", "plot_training" },
  rng = { "random" }, stats = { "statistics" }, target = { "target", "scheme", "schemes", "scheme_own", "scheme_check" }, tensor = { "tensor", "random" }, train = { "train" },
}

local function unknown(where, name, known)
  local list = {}
  for k in pairs(known) do list[#list + 1] = k end
  system.raise(where, ("there is no %s, %s"):format(tostring(name), require "lsengine.options".known_text(name, list)))
end

local function load_part(name)
  for _, module in ipairs(parts[name]) do require("lsengine." .. module) end
  local registry, members = require "lsengine.public".registry, {}
  local whole = "ls." .. name
  for full, spec in pairs(registry) do
    local member = full:match("^" .. whole:gsub("%.", "%%.") .. "%.([%w_]+)$")
    if member then members[member] = spec.entry end
  end
  local call = registry[whole] and registry[whole].entry
  if not next(members) then return call end
  return setmetatable(members, {
    __index = function(_, key) unknown(whole, key, members) end,
    __call = call and system.public(function(_, ...) return call(...) end),
  })
end

return setmetatable({}, { __index = function(ls, name)
  if not parts[name] then unknown("ls", name, parts) end
  local value = load_part(name)
  rawset(ls, name, value)
  return value
end })
