-- Nearest neighbours from Lua: faiss's and scikit-learn's numbers, real images, rows of neighbours, votes, errors. SPDX-License-Identifier: MIT
local t      = require "harness"
local ls     = require "lsengine"
local golden = ls.tensor.load "tests/golden/retrieval.npz"
local T = t.tests

local function flat(x) return x:reshape(-1):totable() end

function T.neighbours_are_those_of_faiss()
  for metric, want in pairs{ l2 = { golden.near, golden.distances }, inner_product = { golden.near_ip, golden.products } } do
    local distances, neighbours = ls.knn.index(golden.x, { metric = metric }):search(golden.q, 10)
    local rows, d, e = neighbours:totable(), flat(distances), flat(want[2])
    for i = 1, 60 do
      for j = 1, 10 do
        local theirs = want[1][i][j] -- rows that tie may stand in another order there: integers, so that ties are exact
        local tied = j > 1 and d[(i - 1) * 10 + j] == d[(i - 1) * 10 + j - 1] or d[(i - 1) * 10 + j] == d[(i - 1) * 10 + j + 1]
        t.is_true(rows[i][j] == theirs or tied or j == 10, ("%s %d %d"):format(metric, i, j))
      end
    end
    for i = 1, #d do t.close(d[i], e[i], 1e-6 * math.max(1, math.abs(e[i]))) end
  end
end

function T.votes_are_those_of_scikit_learn()
  local index = ls.knn.index(golden.x)
  for _, weights in ipairs{ "uniform", "distance" } do
    local p = ls.knn.classify(index, golden.y, golden.q, { k = 7, weights = weights })
    t.close((p - golden[weights]):abs():max():item(), 0, 1e-6)
  end
  local p, predicted = ls.knn.classify(index, golden.y, golden.x, { k = 3, weights = "temperature", temperature = 1e-3 })
  t.equals(predicted, ls.labels(golden.y)) -- at a low temperature the nearest decides, which is the row itself
  t.close(p:sum(2):min():item(), 1, 1e-6)
  local q = ls.knn.classify(index, golden.y, golden.x, { k = 3, exclude_self = true, weights = "temperature", temperature = 1e9 })
  t.close((q - ls.knn.classify(index, golden.y, golden.x, { k = 3, exclude_self = true })):abs():max():item(), 0, 1e-6)
end

function T.votes_of_ones_own()
  local x = ls.tensor{ { 0 }, { 1 }, { 3 } }
  local p, predicted = ls.knn.classify(ls.knn.index(x), { 0, 1, 1 }, ls.tensor{ { 0.5 } }, { k = 3, classes = 3, weights = "distance" })
  local a, b = 2 / 4.4, 2.4 / 4.4
  t.close(p[1][1], a, 1e-6) t.close(p[1][2], b, 1e-6) t.equals(p[1][3], 0.0)
  t.equals(predicted, ls.labels{ 1 })
  local ip = ls.knn.index(x, { metric = "inner_product" })
  p = ls.knn.classify(ip, { 0, 1, 1 }, ls.tensor{ { 1 } }, { k = 3, weights = "temperature", temperature = 2 })
  t.close(p[1][1], 1 / (1 + math.exp(0.5) + math.exp(1.5)), 1e-6)
end

-- A search by tensors alone, in float32: distances must agree, whatever the order of what ties.
function T.images_and_their_features()
  local data = ls.data.load "digits"
  local x = data.train.x:reshape(data.train.x:size(1), -1):narrow(1, 1, 1100)
  local model = ls.nn.mlp({ 64, 32, 10 }, { rng = ls.rng(1) })
  for _, rows in ipairs{ x, model:features(x) } do
    local distances, neighbours, effort = ls.knn.index(rows):search(rows, 4, { exclude_self = true })
    t.equals(#neighbours, 1100)
    t.is_true(effort.exact == 0, effort.exact)
    for i = 1, 1100, 50 do
      local all = (rows - rows:narrow(1, i, 1)):square():sum(2):sqrt():reshape(-1):totable()
      all[i] = math.huge
      local order = {}
      for r = 1, #all do order[r] = r end
      table.sort(order, function(a, b) return all[a] < all[b] or all[a] == all[b] and a < b end)
      for j = 1, 4 do t.close(distances[i][j], all[order[j]], 1e-5 * math.max(1, all[order[j]])) t.is_true(neighbours[i][j] ~= i) end
    end
  end
end

function T.fashion_mnist_pixels_agree_with_a_plain_search()
  local ok, data = pcall(ls.data.load, "fashion-mnist")
  if not ok then t.skip "fashion-mnist is not installed" end
  local base = data.train.x:narrow(1, 1, 4000):reshape(4000, -1)
  local queries = data.test.x:narrow(1, 1, 1000):reshape(1000, -1)
  local index = ls.knn.index(base)
  local distances, neighbours, effort = index:search(queries, 10)
  t.is_true(effort.exact == 0 and effort.candidates < 20000, effort.candidates)
  for i = 1, 1000, 7 do -- one query at a time is searched in double throughout
    local d, n = index:search(queries:narrow(1, i, 1), 10)
    t.equals(n[1], neighbours[i])
    t.equals(d[1]:totable(), distances[i]:totable())
  end
end

function T.rows_of_neighbours_are_matrices_of_positions()
  local x = ls.tensor{ { 0 }, { 1 }, { 3 }, { 7 } }
  local distances, neighbours = ls.knn.index(x):search(x, 2, { exclude_self = true })
  t.equals(neighbours:totable(), { { 2, 3 }, { 1, 3 }, { 2, 1 }, { 3, 2 } })
  t.equals(distances:totable(), { { 1, 3 }, { 1, 2 }, { 2, 3 }, { 4, 6 } })
  t.equals({ #neighbours, neighbours[2][2], neighbours[5], neighbours[0], neighbours.nothing }, { 4, 3 })
  t.equals(neighbours:gather{ 5, 6, 7, 8 }:totable()[1], { 6, 7 })
  t.equals(tostring(neighbours), "neighbours of 4 queries, 2 each")
  local file = t.tmpname()
  neighbours:save(file)
  local f <close> = assert(io.open(file, "rb"))
  local bytes = f:read "a"
  t.is_true(bytes:find("'descr': '<i8', 'fortran_order': False, 'shape': (4, 2)", 1, true) ~= nil, bytes:sub(1, 100))
  t.equals(#bytes % 64, 4 * 2 * 8 % 64)
  t.equals({ string.unpack("<i8i8i8", bytes, #bytes - 23) }, { 1, 3, 2, #bytes + 1 })
  os.remove(file)
end

function T.ranges()
  local x = ls.tensor{ { 0 }, { 1 }, { 3 }, { 7 } }
  local found = ls.knn.index(x):range_search(x, 2)
  t.equals({ found[1].neighbours:totable(), found[2].neighbours:totable(), found[4].neighbours:totable() }, { { 1, 2 }, { 2, 1, 3 }, { 4 } })
  t.equals(found[2].distances:totable(), { 0, 1, 2 })
  found = ls.knn.index(x):range_search(x, 2, { exclude_self = { 0, 1, 0, 4 } })
  t.equals({ #found[1].neighbours, found[2].neighbours:totable(), #found[4].neighbours }, { 2, { 2, 3 }, 0 })
end

function T.what_is_wrong_is_named()
  local x = ls.tensor{ { 0, 1 }, { 1, 1 }, { 0, 0 } }
  local index = ls.knn.index(x)
  t.fails(function() return ls.knn.index(x, { metric = "cosine" }) end, "index: row 3 of the base is all zeros", true)
  t.fails(function() return ls.knn.index(ls.tensor{ { 0 }, { 0 / 0 } }) end, "row 2 of the base is NaN for feature 1", true)
  t.fails(function() return ls.knn.index(ls.tensor.zeros(0, 3)) end, "the base has 0 rows of 3 features", true)
  t.fails(function() return ls.knn.index(ls.tensor{ 1, 2 }) end, "base", true)
  t.fails(function() return index:search(x, 4) end, "k is 4, allowed is 1 to 3", true)
  t.fails(function() return index:search(x, 3, { exclude_self = true }) end, "k is 3, allowed is 1 to 2", true)
  t.fails(function() return index:search(ls.tensor{ { 1, 2 } }, 1, { exclude_self = true }) end, "there are 1 queries and 3 rows", true)
  t.fails(function() return index:search(x, 1, { exclude_self = { 1, 2 } }) end, "exclude_self has 2 positions for 3 queries", true)
  t.fails(function() return index:search(x, 1, { exclude_self = { 1, 2, 4 } }) end, "query 3 is 4", true)
  t.fails(function() return index:search(ls.tensor{ { 1 } }, 1) end, "the queries have 1 features but the base has 2", true)
  t.fails(function() return index:range_search(x, 0 / 0) end, "radius", true)
  t.fails(function() return ls.knn.classify(index, { 0, 1 }, x) end, "there are 2 labels but the index has 3 rows", true)
  t.fails(function() return ls.knn.classify(index, { 0, 1, -1 }, x, { k = 3, classes = 2 }) end, "the label of a neighbour is -1", true)
  t.fails(function() return ls.knn.classify(index, { 0, 1, 2 }, x, { weights = "temperature" }) end, "option temperature is missing", true)
  t.fails(function() return ls.knn.classify(index, { 0, 1, 2 }, x, { temperature = 1 }) end, "temperature is given", true)
  t.equals(#select(2, index:search(ls.tensor.zeros(0, 2), 2)), 0)
  local far = ls.knn.index(ls.tensor{ { 3e38, 3e38 }, { -3e38, 3e38 } }) -- both distances are infinite: they count alike
  for _, weights in ipairs{ "distance", "temperature" } do
    local p = ls.knn.classify(far, { 0, 1 }, ls.tensor{ { 0, -3e38 } }, { k = 2, weights = weights, temperature = weights == "temperature" and 1 or nil })
    t.equals(p[1][1], 0.5)
  end
  x:add_(1)
  t.fails(function() return index:search(x, 1) end, "were written to since it was made", true)
end

t.run()
