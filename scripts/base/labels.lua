-- Label vectors: exact integers, made once, never changed. SPDX-License-Identifier: MIT
local c       = require "lsengine.c.labels"
local raw     = require "lsengine.c.tensor"
local options = require "lsengine.options"
local public  = require "lsengine.public"

options.type("tensor", raw.is_tensor, "a tensor")
options.type("labels", function(v) return type(v) == "table" or c.is_labels(v) end, "a label vector or a table of integers")

local methods = {}

methods.totable = public("labels:totable", {
  doc = "The labels as a Lua table of integers.", returns = "table",
}, c.totable)

methods.map = public("labels:map", {
  doc = "Each label replaced by mapping[label] or mapping(label).", returns = "label vector",
  example = 'local y = ls.labels{0, 1, 1}:map{ [0] = 5, 7 }   -- {5, 7, 7}',
  { "mapping", type = "table|callable", doc = "a table by label, or a function of a label; gives integers" },
}, c.map)

methods.gather = public("labels:gather", {
  doc = "The labels at the given positions (from 1), in that order.", returns = "label vector",
  { "positions", type = "labels", doc = "positions from 1; they may repeat" },
}, c.gather)

methods.narrow = public("labels:narrow", {
  doc = "`count` labels from position `first` on.", returns = "label vector",
  { "first", type = "integer", min = 1, doc = "position of the first, from 1" },
  { "count", type = "integer", min = 0, doc = "how many" },
}, c.narrow)

c.install(methods)

return public("ls.labels", {
  doc = "A label vector: exact integers, made once. Class ids count from 0.", returns = "label vector",
  example = "local y = ls.labels{0, 3, 1}",
  { "values", type = "labels|tensor", doc = "a table of integers, or a tensor of whole numbers" },
}, function(values)
  if not raw.is_tensor(values) then return c.from(values) end
  local list = {}
  for i, x in ipairs(raw.totable(raw.reshape(values, raw.count(values)))) do
    list[i] = math.tointeger(x) or public.raise("labels", ("element %d of the tensor is %g, whole numbers are required"):format(i, x))
  end
  return c.from(list)
end)
