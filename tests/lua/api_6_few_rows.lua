-- Section 6 of the contract as it is printed, on 10000 of the 60000 training rows (all of them: suite long). SPDX-License-Identifier: MIT
local ls    = require "lsengine"
local whole = ls.data.load
ls.data.load = function(name)
  local data = whole(name)
  data.train = data.train:subset(ls.rng(6):permutation(#data.train):narrow(1, 10000))
  return data
end
dofile(arg[0]:gsub("[^/]*$", "") .. "api/6.lua")
