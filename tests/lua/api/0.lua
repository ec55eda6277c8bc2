local ls = require "lsengine"
local t = ls.tensor{ {1, 2, 3}, {4, 5, 6} }              -- 2×3; also ls.tensor.zeros(2, 3), .ones, .full, .arange, .eye, .randn(2, 3, { rng = rng })
assert(#t == 2 and t:size(2) == 3 and t[2][3] == 6)      -- t[i] is a row (a view: writing to it writes to t); of a vector, a number; past the end, nil; t:shape() is {2, 3}
local u = (t * 2 + 1):relu():sum(2)                      -- operators broadcast; reductions take an axis, or none for all; t:gt(3) gives zeros and ones
print(u, u:mean():item(), t:totable()[1][2])             -- :item() of a one-element tensor is a Lua number
t:save "t.npy"; local v = ls.tensor.load "t.npy"         -- NumPy's format, float16/32/64 and integers read; ls.tensor.load("a.npz") is a table of them
local w = ls.tensor.randn(3, 4, { rng = ls.rng(7) }):requires_grad()
local loss = t:matmul(w):tanh():square():mean(); loss:backward(); print(w.grad)

local rng = ls.rng(42)                                   -- PCG64-DXSM, seeded as numpy.random.Generator(numpy.random.PCG64DXSM(42))
print(rng:random(), rng:raw())                           -- the same double, the same 64 bits as NumPy's .random() and .bit_generator.random_raw()
print(rng:normal(), rng:integers(0, 9), rng:beta(0.2, 0.2), rng:permutation(5))   -- integers: both ends included; permutation: of 1 … n
local other = rng:spawn "augmentation"                   -- an independent stream, decided by the seed, the name, and how often the name was used before
