-- What mixes do with targets besides mixing them: rows taken, joined, weighed. SPDX-License-Identifier: MIT
local c       = require "lsengine.c.mix"
local clabels = require "lsengine.c.labels"
local raw     = require "lsengine.c.tensor"
local public  = require "lsengine.public"
local target  = require "lsengine.target"
local raise   = public.raise

local rows = {}

function rows.count(y)
  if raw.is_tensor(y) then return raw.size(y, 1) end
  return y.dense and raw.size(y.dense, 1) or #y.terms[1][1]
end

local function rest_of(lambda) return type(lambda) == "number" and 1 - lambda or raw.sub(1, lambda) end

-- One weight for each row, to be multiplied with rows of any shape.
local function beside(lambda, x)
  if type(lambda) == "number" then return lambda end
  local shape = { raw.count(lambda) }
  for i = 2, raw.rank(x) do shape[i] = 1 end
  return raw.reshape(lambda, table.unpack(shape))
end

-- lambda parts of each row and the rest of its partner's. Partners that are no permutation cannot be mixed in place.
function rows.blend(who, x, partner, lambda, in_place)
  if c.permutation(partner, raw.size(x, 1)) then return c.rows(who, x, partner, lambda, rest_of(lambda), in_place) end
  if in_place then raise(who, "a batch is mixed in place only where each row is the partner of one row") end
  local own = beside(lambda, x)
  return raw.add(raw.mul(x, own), raw.mul(raw.gather(x, partner), rest_of(own)))
end

local function extended(history, entry)
  local list = table.move(history, 1, #history, 1, {})
  list[#list + 1] = entry
  return list
end
rows.extended = extended

-- A copy with other fields. What is nil in `changes` stays.
function rows.with(base, changes)
  local out = {}
  for _, name in ipairs{ "terms", "dense", "spread", "row_weights", "origin", "history", "stacked" } do
    out[name] = changes[name]
    if out[name] == nil then out[name] = base[name] end
  end
  return target.new(out)
end

-- The rows at these positions; `entry` (or nil) goes into the history.
function rows.take(base, positions, entry)
  local out = { origin = base.origin, stacked = base.stacked, history = entry and extended(base.history, entry) or base.history }
  for _, name in ipairs{ "dense", "spread", "row_weights" } do out[name] = base[name] and raw.gather(base[name], positions) end
  if base.terms then
    out.terms = {}
    for i, term in ipairs(base.terms) do
      out.terms[i] = { clabels.gather(term[1], positions), type(term[2]) == "number" and term[2] or raw.gather(term[2], positions),
        term[3] and clabels.gather(term[3], positions) }
    end
  end
  return target.new(out)
end

local function joined(a, b, na, nb)
  if type(a) == "number" and a == b then return a end
  return raw.cat({ type(a) == "number" and raw.full(a, na) or a, type(b) == "number" and raw.full(b, nb) or b }, 1)
end

local function softenings(t)
  local list = {}
  for _, entry in ipairs(t.history) do if not entry.mix then list[#list + 1] = entry end end
  return list
end

local function check_joined(who, a, b)
  if (a.dense == nil) ~= (b.dense == nil) then raise(who, "one target holds labels and the other soft rows: both must be of one kind") end
  local one, two = softenings(a), softenings(b)
  local same = #one == #two
  for i = 1, #one do same = same and one[i] == two[i] end
  if not same then raise(who, "the targets were softened in different ways: soften what was joined, or both by the same scheme object") end
end

-- The rows of a, then those of b. Who has fewer labels a row gets its first label again, with no weight. The history is that of the longer one.
function rows.join(who, a, b)
  check_joined(who, a, b)
  local na, nb = rows.count(a), rows.count(b)
  local told = #b.history >= #a.history and b or a
  local out = { origin = told.origin, history = told.history, stacked = a.stacked or b.stacked }
  if a.spread or b.spread then out.spread = joined(a.spread or 0, b.spread or 0, na, nb) end
  if a.row_weights or b.row_weights then out.row_weights = joined(a.row_weights or 1, b.row_weights or 1, na, nb) end
  if a.dense then
    if raw.size(a.dense, 2) ~= raw.size(b.dense, 2) then raise(who, ("the targets have %d and %d classes"):format(raw.size(a.dense, 2), raw.size(b.dense, 2))) end
    out.dense = raw.cat({ a.dense, b.dense }, 1)
    return target.new(out)
  end
  out.terms = {}
  for i = 1, math.max(#a.terms, #b.terms) do
    local p, q = a.terms[i] or { a.terms[1][1], 0, a.terms[1][3] }, b.terms[i] or { b.terms[1][1], 0, b.terms[1][3] }
    out.terms[i] = { clabels.join(p[1], q[1]), joined(p[2], q[2], na, nb), p[3] and q[3] and clabels.join(p[3], q[3]) }
  end
  return target.new(out)
end

-- Where something is wrong with the rows: which, and what; nil where nothing is. Needs no number of classes.
function rows.trouble(t)
  local n, sum = rows.count(t), nil
  local function first(bad, what, values)
    for i = 1, n do if bad[i] ~= 0 then return ("row %d of the target %s"):format(i, what:format(values[i])) end end
  end
  local function off(values) return raw.sub(1, raw.le(raw.abs(raw.sub(values, 1)), 1e-4)) end -- 1 for NaN, too
  if t.dense then
    local least = raw.min(t.dense, 2)
    return first(raw.sub(1, raw.ge(least, 0)), "has the mass %g for a class, allowed is 0 to 1", least)
      or first(off(raw.sum(t.dense, 2)), "sums to %g, must be 1 within 1e-4", raw.sum(t.dense, 2))
  end
  sum = t.spread or raw.zeros(n)
  for _, term in ipairs(t.terms) do
    local weight = type(term[2]) == "number" and raw.full(term[2], n) or term[2]
    local wrong = first(raw.sub(1, raw.ge(weight, 0)), "has a label of weight %g, allowed is 0 to 1", weight)
    if wrong then return wrong end
    sum = raw.add(sum, weight)
  end
  return first(off(sum), "has weights that sum to %g, must be 1 within 1e-4", sum)
end

return rows
