-- Nearest neighbours of real images and of what a network makes of them, judged by tests/core/test_nearest.c. SPDX-License-Identifier: MIT
local t  = require "harness"
local ls = require "lsengine"
local o  = ls.options{ judge = "", rows = 300, k = 10, training = 10000 }
local T  = t.tests

local function judged(name, base, queries)
  local folder = os.tmpname()
  os.remove(folder)
  local files = { folder .. ".base.npy", folder .. ".queries.npy" }
  base:save(files[1])
  queries:save(files[2])
  local pipe = io.popen(("%s %s %s %s %d %d 2>&1"):format(o.judge, name, files[1], files[2], o.k, o.rows))
  local text = pipe:read "a"
  local ok = pipe:close()
  for _, file in ipairs(files) do os.remove(file) end
  t.is_true(ok and text:find("tally: 1 passed, 0 failed, 0 skipped", 1, true) ~= nil, text)
end

local function images()
  local ok, data = pcall(ls.data.load, "fashion-mnist")
  if not ok then t.skip "fashion-mnist is not installed" end
  return data
end

local function pixels(set, n) return set.x:narrow(1, 1, n):reshape(n, -1) end

function T.pixels()
  local data = images()
  judged("pixels", pixels(data.train, o.rows), pixels(data.test, 4100))
end

function T.features_of_a_trained_network()
  local data, rng = images(), ls.rng(1)
  local model = ls.nn.mlp({ 784, 128, 10 }, { rng = rng })
  local rows = {}
  for i = 1, o.training do rows[i] = i end
  ls.train(model, data.train:subset(rows), { epochs = 1, batch = 128, rng = rng, optimizer = ls.optim.sgd{ lr = 0.1, momentum = 0.9 } })
  judged("features", model:features(pixels(data.train, o.rows)), model:features(pixels(data.test, 4100)))
end

t.run()
