-- Smoothing towards what the model predicts on average: a prior that follows the training, epoch by epoch. Keeps a state.
local ls = require "lsengine"

return ls.target.define{
  name       = "seen_so_far",
  parameters = { epsilon = { default = 0.1, min = 0, max = 1 } },
  properties = { one_hot_at_zero = true, stateful = true },
  state = function(self, context)
    return { prior = ls.tensor.full(1 / context.classes, context.classes), sum = ls.tensor.zeros(context.classes), rows = 0 }
  end,
  observe = function(self, labels, context)
    local s = context.state
    s.sum, s.rows = s.sum + context.logits:softmax():sum(1), s.rows + #labels
  end,
  end_epoch = function(self, context)
    local s = context.state
    if s.rows > 0 then s.prior = s.sum * (1 / s.rows) end
    s.sum, s.rows = ls.tensor.zeros(context.classes), 0
  end,
  soften = function(self, labels, context)
    return ls.target.prior(self.epsilon, context.state.prior)(labels)
  end,
}
