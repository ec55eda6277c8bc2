-- What the Lua benchmarks share: interleaved rounds, printed as the compiled benchmarks print them. SPDX-License-Identifier: MIT
local clock = require "lsengine.c.system".clock

local timing = {}

-- Calls each of { { name, function }, … } once for warmth and `rounds` times in turn; prints median, least and quartiles. `before` makes what the function is given,
-- outside of the time.
function timing.measure(items, rounds, before)
  local times = {}
  for r = 0, rounds do
    for i, item in ipairs(items) do
      collectgarbage()
      local given = before()
      local began = clock()
      item[2](given)
      times[i] = times[i] or {}
      if r > 0 then table.insert(times[i], clock() - began) end
    end
  end
  for i, item in ipairs(items) do
    local t = times[i]
    table.sort(t)
    local function at(part) return ("%.9g"):format(t[math.min(#t, math.floor(#t * part) + 1)]) end
    print(table.concat({ item[1], at(0.5), at(0), at(0.25), at(0.75) }, "\t"))
  end
end

return timing
