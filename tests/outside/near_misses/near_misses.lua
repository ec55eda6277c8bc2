-- Ordered grades: a wrong grade next to the right one is half right. Written from the manual alone.
local ls = require "lsengine"

return ls.target.define{
  name       = "near_misses",
  parameters = { epsilon = { default = 0.1, min = 0, max = 1, doc = "mass that the grades below and above share" } },
  properties = { one_hot_at_zero = true },
  soften = function(self, labels, context)
    local last = context.classes - 1
    local below = labels:map(function(y) return y == 0 and math.min(1, last) or y - 1 end)
    local above = labels:map(function(y) return y == last and math.max(0, last - 1) or y + 1 end)
    return ls.target.weighted{ { labels, 1 - self.epsilon }, { below, self.epsilon / 2 }, { above, self.epsilon / 2 } }
  end,
}
