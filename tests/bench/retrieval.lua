-- Retrieval of 10000 × 64 rows in so many classes: prints the time in ms. SPDX-License-Identifier: MIT
local ls = require "lsengine"
local o = ls.options{ classes = 10, rows = 10000, whole = false }
local x, y = ls.tensor.randn(o.rows, 64, { rng = ls.rng(1) }), {}
for i = 1, o.rows do y[i] = i % o.classes end
local clock = require "lsengine.c.system".clock
local began = clock()
ls.eval.retrieval(x, y, { metric = "l2", at = { 1, 10 }, classifier_k = 0, whole = o.whole })
print(("%.3f"):format((clock() - began) * 1e3))
