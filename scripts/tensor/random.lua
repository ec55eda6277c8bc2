-- Random streams. SPDX-License-Identifier: MIT
--
-- Every purpose has a stream of its own, spawned by name from the stream that a function is given: two arms that differ in
-- one purpose see the same numbers in all others. The policy is docs/streams.md.
local c       = require "lsengine.c.random"
local tensor  = require "lsengine.tensor"
local options = require "lsengine.options"
local public  = require "lsengine.public"

options.type("rng", c.is_rng, "a random stream (ls.rng(seed))")

local methods = {}
local count = { "count", type = "integer", min = 0, max = 2^31 - 1, optional = true, doc = "how many; without it, one Lua number" }

methods.random = public("rng:random", {
  doc = "Uniform in [0, 1), the same doubles as NumPy's .random().", returns = "a number, or a tensor of `count`", count,
}, c.random)
methods.raw = public("rng:raw", { doc = "64 random bits, the same as NumPy's .random_raw(), as a Lua integer.", returns = "integer" }, c.raw)
methods.normal = public("rng:normal", { doc = "Standard normal.", returns = "a number, or a tensor of `count`", count }, c.normal)
methods.integers = public("rng:integers", {
  doc = "Integers from low to high, both included, without bias.", returns = "an integer, or a label vector of `count`",
  { "low", type = "integer", doc = "the smallest" }, { "high", type = "integer", doc = "the largest" }, count,
}, c.integers)
methods.beta = public("rng:beta", {
  doc = "Beta(alpha, beta), right for parameters far below 1.", returns = "a number, or a tensor of `count`",
  { "alpha", type = "number", above = 0, doc = "first parameter" }, { "beta", type = "number", above = 0, doc = "second parameter" }, count,
}, c.beta)
methods.gamma = public("rng:gamma", {
  doc = "Gamma with the given shape and scale 1.", returns = "a number, or a tensor of `count`",
  { "shape", type = "number", above = 0, doc = "shape parameter" }, count,
}, c.gamma)
methods.permutation = public("rng:permutation", {
  doc = "A random order of 1 … n.", returns = "label vector", { "n", type = "integer", min = 0, max = 2^31 - 1, doc = "how many" },
}, c.permutation)
methods.categorical = public("rng:categorical", {
  doc = "A class 0 … #weights-1 with probability proportional to its weight.", returns = "integer",
  { "weights", type = "table", doc = "numbers from 0, not all 0" }, example = "local class = rng:categorical{ 1, 1, 2 }   -- 2 every second time",
}, c.categorical)
methods.spawn = public("rng:spawn", {
  doc = "An independent stream, decided by what this one was made of, the name, and how often the name was used before; not by what has been drawn.",
  returns = "rng", { "name", type = "string", doc = "the purpose" },
  example = 'local order, masks = rng:spawn "order", rng:spawn "dropout"',
}, c.spawn)
c.install(methods)

local function shaped(name, doc, specs, f)
  tensor[name] = public("ls.tensor." .. name, {
    doc = doc, returns = "tensor", variadic = true, options = specs, signature = "(sizes…, { options })",
    example = ("local t = ls.tensor.%s(2, 3, { rng = rng })"):format(name),
  }, function(...)
    local given = table.pack(...)
    local o = options.read(name, specs, given[given.n])
    return f(o, table.unpack(given, 1, given.n - 1))
  end)
end
local rng = { type = "rng", required = true, doc = "where the numbers come from" }
shaped("randn", "Standard normal numbers.", { rng = rng }, function(o, ...) return c.randn(o.rng, ...) end)
shaped("rand", "Numbers uniform from low up to, and without, high.", {
  rng = rng, low = { type = "number", default = 0, doc = "smallest" }, high = { type = "number", default = 1, doc = "upper end" },
}, function(o, ...) return c.rand(o.rng, o.low, o.high, ...) end)

return public("ls.rng", {
  doc = "A random stream: PCG64-DXSM, seeded as numpy.random.Generator(numpy.random.PCG64DXSM(seed)).", returns = "rng",
  example = "local rng = ls.rng(42)", { "seed", type = "integer", doc = "any 64-bit integer" },
}, c.seed)
