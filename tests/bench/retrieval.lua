-- Retrieval within normal rows of 64 features in so many classes, the first places alone and the whole ranking. SPDX-License-Identifier: MIT
local ls    = require "lsengine"
local clock = require "lsengine.c.system".clock
local o = ls.options{ classes = 10, rows = 10000, inner = 1 }
local x, y = ls.tensor.randn(o.rows, 64, { rng = ls.rng(1) }), {}
for i = 1, o.rows do y[i] = i % o.classes end
y = ls.labels(y)
for _, item in ipairs{ { "recall, MAP@R, R-precision", false }, { "the whole ranking", true } } do
  local times = {}
  for i = 0, o.inner do
    local began = clock()
    ls.eval.retrieval(x, y, { metric = "l2", at = { 1, 10 }, classifier_k = 0, whole = item[2] })
    if i > 0 then times[i] = clock() - began end
  end
  table.sort(times)
  local n = #times
  print(("%s\t%.9g\t%.9g\t%.9g\t%.9g"):format(item[1], times[n // 2 + 1], times[1], times[n // 4 + 1], times[math.min(n, n * 3 // 4 + 1)]))
end
local status = io and io.open and io.open "/proc/self/status"
if status then print(("=\tmost memory held, MB\t%.0f"):format(status:read "a":match "VmHWM:%s+(%d+)" / 1024)) end
