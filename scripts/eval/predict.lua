-- What a model says of every row of a data set. SPDX-License-Identifier: MIT
local raw      = require "lsengine.c.tensor"
local autograd = require "lsengine.autograd"
local public   = require "lsengine.public"
require "lsengine.nn"
require "lsengine.data"

local predict = {}

local BATCH = 1000

-- Outputs of all rows, in evaluation mode, unrecorded; the model is left as it was.
function predict.outputs(who, model, dataset)
  local _ <close> = autograd.pause()
  local was_training = rawget(model, "training")
  model:eval()
  local parts = {}
  for x in dataset:batches(BATCH) do parts[#parts + 1] = model(x) end
  if was_training then model:train() end
  if #parts == 0 then public.raise(who, "the data set has no rows") end
  return #parts == 1 and parts[1] or raw.cat(parts, 1)
end

predict.predict = public("ls.predict", {
  doc = [[A model's outputs for all rows of a data set, in their order: logits, N×K, which ls.eval's functions judge; of a model of regression its numbers. In evaluation mode, without
recording, a thousand rows at a time; the model stays in the mode that it was in. model:features(data.x) gives the penultimate layer likewise.]],
  returns = "tensor", errors = "a data set without rows, or of another shape than the model takes",
  example = 'local logits = ls.predict(model, data.test)\nprint(ls.eval.selective(logits, data.test.y, { score = "normalised_logit" }).aurc)',
  { "model", type = "model", doc = "gives logits" }, { "data", type = "dataset", doc = "rows to predict" },
}, function(model, dataset) return predict.outputs("predict", model, dataset) end)

return predict
