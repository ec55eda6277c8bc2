-- Prints the numbers and arms of a two-key grid: see test_reproducible.lua. SPDX-License-Identifier: MIT
local ls = require "lsengine"
local print_line, n = print, 0
print = function() end
ls.experiment{ name = "numbers", seeds = 2, grid = { beta = { "x", "y", "z" }, alpha = { 1, 2 } }, trial = function(arm, _, seed)
  n = n + 1
  print_line(("%d %s %d"):format(n, arm.name, seed))
  return { x = 1 }
end }:run()
