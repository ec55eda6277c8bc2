-- lsengine: what `require "lsengine"` returns. Parts are loaded when first used. SPDX-License-Identifier: MIT
local parts = {
  tensor = "lsengine.tensor", labels = "lsengine.labels", rng = "lsengine.random",
  data = "lsengine.data", experiment = "lsengine.experiment", train = "lsengine.train", evaluate = "lsengine.evaluate",
  target = "lsengine.target", loss = "lsengine.loss", nn = "lsengine.nn", optim = "lsengine.optim",
}
local members = { -- names that a part provides
  claim = { "lsengine.claims", "claim" },
  options = { "lsengine.script_options", "declare" },
  no_grad = { "lsengine.autograd", "no_grad" },
}

local ls = {}

return setmetatable(ls, { __index = function(_, name)
  local value
  if name == "autograd" then
    require "lsengine.tensor"
    value = { define = require "lsengine.autograd".define }
  elseif parts[name] then
    value = require(parts[name])
    if name == "tensor" then require "lsengine.random" end
  elseif members[name] then
    value = require(members[name][1])[members[name][2]]
  else
    return nil
  end
  rawset(ls, name, value)
  return value
end })
