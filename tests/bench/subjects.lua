-- What is measured: an item for each subject. SPDX-License-Identifier: MIT
--
-- { group, name, commands = { … }, quick = { … }, threads = { 1, 2 }, inner = 5, unit = "s", bars = { … } }
-- Each command runs once in a round: {bench} the folder of the compiled programs, {here} this folder, {lua} the program with its threads set,
-- {python} the peers' Python (such commands are left out where there is none), {threads}, {inner} the repeats within a process. What they print
-- and what a bar is, bench.lua says at its top. `quick` takes the commands' place in the short form; a subject without it is left out there.
local function cross_entropy(shape, inner, of_copy, reach, times, dense)
  local rows, classes = shape:match "(%d+)x(%d+)"
  local numbers = ("%s %s {threads} {inner}"):format(rows, classes)
  return {
    group = "loss", name = "cross-entropy " .. shape, inner = inner, commands = { "{bench}/bench_loss " .. numbers .. " 600", "{python} {here}/peers/loss.py {threads} " .. rows .. " " .. classes .. " {inner}" },
    bars = {
      { "smoothed", of = "copy", share = of_copy, reach = reach }, { "smoothed", peer = "PyTorch smoothed", times = times }, { "smoothed", speedup = 1.7 },
      { "mixup, smoothed", over = "smoothed", most = 1.05 }, { "mixup, smoothed", peer = "PyTorch mixup, smoothed", times = 10 },
      dense and { "dense rows", of = "copy", weight = 1.5, share = dense } or nil,
    },
  }
end

local function compact(shape)
  local rows, classes = shape:match "(%d+)x(%d+)"
  local bars = {}
  for i, kind in ipairs{ "smoothed", "mixup, smoothed", "wrong classes", "prior", "epsilon for each row", "annealed", "all of them, mixed" } do
    bars[i] = { kind, over = "one-hot", most = 1.1 }
  end
  return { group = "compact", name = "compact targets " .. shape, commands = { ("{bench}/bench_loss %s %s {threads} {inner} 0"):format(rows, classes) }, threads = { 1 }, inner = 11, bars = bars }
end

local function penalties(rows, classes, inner)
  local bars = {}
  for i, name in ipairs{ "focal", "confidence_penalty", "margin_smoothing", "max_sup", "poly1", "generalised_cross_entropy", "symmetric_cross_entropy", "logit_norm", "bootstrap_soft" } do
    bars[i] = { name, peer = "PyTorch " .. name, times = 1 }
  end
  local lua = "{lua} {here}/penalties.lua --set rows=%d --set classes=%d --set rounds=%s"
  return {
    group = "penalties", name = ("penalties %dx%d"):format(rows, classes), threads = { 1 }, inner = inner, bars = bars, quick = classes == 10 and { lua:format(64, 10, 1) } or nil,
    commands = { lua:format(rows, classes, "{inner}"), ("{python} {here}/peers/penalties.py {threads} %d %d {inner}"):format(rows, classes) },
  }
end

local function neighbours(metric, features, k)
  local numbers = ("60000 10000 %d %d %s {threads} {inner}"):format(features, k, metric)
  local avx512, avx2 = features > 128 and 1.1 or metric == "l2" and 2 or 1.5, features > 128 and 1.0 or 1.5
  local bars = {
    { "amx", peer = "faiss flat", times = k == 10 and 5 or 3, threads = { 1, 2 } }, { "vnni", peer = "faiss flat", times = avx512, threads = { 1, 2 } },
    { "avx512", peer = "faiss flat", times = avx512, threads = { 1, 2 } }, { "avx2", peer = "faiss flat", times = avx2, threads = { 1, 2 } },
    { "amx", speedup = 1.7 }, { "vnni", speedup = 1.7 }, { "avx512", speedup = 1.7 }, { "avx2", speedup = 1.7 },
  }
  for _, bar in ipairs(bars) do bar.optional = true end -- on what the processor has not
  return {
    group = "neighbours", name = ("nearest neighbours, %s, %d features, k %d"):format(metric, features, k), inner = 1,
    commands = { "{bench}/bench_knn " .. numbers, "{python} {here}/peers/knn.py " .. numbers },
    bars = bars,
  }
end

local function retrieval(classes, faiss, pml)
  return {
    group = "retrieval", name = ("retrieval 10000×64, R = %d"):format(10000 // classes - 1), inner = 3,
    commands = { ("{lua} {here}/retrieval.lua --set classes=%d --set inner={inner}"):format(classes), ("{python} {here}/peers/retrieval.py 10000 64 %d {threads} {inner}"):format(classes) },
    quick = { "{lua} {here}/retrieval.lua --set classes=10 --set rows=300" },
    bars = {
      { "recall, MAP@R, R-precision", peer = "faiss search alone", times = faiss, threads = { 1, 2 } },
      { "recall, MAP@R, R-precision", peer = "pytorch-metric-learning", times = pml, threads = { 1, 2 } },
      { "recall, MAP@R, R-precision", speedup = 1.8 },
    },
  }
end

local function mix(images, channels, side, inner)
  local numbers = ("%d %d %d {threads} {inner}"):format(images, channels, side)
  local cut = (side * 545 // 1000) ^ 2 / side ^ 2
  return {
    group = "mix", name = ("mixing %d×%d×%d×%d"):format(images, channels, side, side), commands = { "{bench}/bench_mix " .. numbers, "{python} {here}/peers/mix.py " .. numbers },
    threads = { 1, 2 }, inner = inner,
    bars = {
      { "mixup", of = "scale in place", share = 0.9 }, { "cutmix", of = "scale in place", weight = cut, share = 0.7 },
      { "mixup", peer = "timm mixup", times = 5 }, { "cutmix", peer = "timm cutmix", times = 5 },
    },
  }
end

local function small(shape)
  local rows, classes = shape:match "(%d+)x(%d+)"
  return { group = "quick", name = "cross-entropy " .. shape, commands = {}, quick = { ("{bench}/bench_loss %s %s {threads} 1 600"):format(rows, classes) }, bars = { { "smoothed", of = "copy", share = 0.001 } } }
end

-- An epoch of Fashion-MNIST; the convnet's has 60 batches, since one of all rows takes minutes.
local function epoch(model, batch, rows, most)
  local ours = ("{lua} {here}/epoch.lua --set model=%s --set batch=%d --set rows="):format(model, batch)
  local peers = ("{python} {here}/peers/epoch.py %s {threads} %d %d"):format(model, batch, rows)
  return {
    group = "training", name = ("epoch of the %s, batch %d"):format(model, batch), commands = { ours .. rows, peers, model == "convnet" and peers .. " channels_last" or nil },
    quick = batch == 128 and { ours .. 256 } or nil,
    bars = { { "epoch", over = "PyTorch epoch", most = most, threads = { 1, 2 } }, { "epoch", speedup = 1.8 } },
  }
end

local function step(sizes, batch, epochs, rows)
  local apart = sizes:gsub("-", " ")
  return {
    group = "training", name = ("step of %s, batch %d"):format(sizes, batch),
    commands = {
      ("{bench}/step {threads} %d %d %d %s"):format(epochs, rows, batch, apart), ("{lua} {here}/step.lua --set epochs=%d --set rows=%d --set batch=%d --set sizes=%s"):format(epochs, rows, batch, sizes),
      ("{python} {here}/peers/step.py {threads} %d %d %d %s"):format(epochs, rows, batch, apart),
    },
    quick = batch == 64 and { ("{bench}/step {threads} 1 256 64 " .. apart), ("{lua} {here}/step.lua --set epochs=1 --set rows=256 --set batch=64 --set sizes=" .. sizes) } or nil,
    bars = { { "step by ls.train", over = "step from C", most = 1.03 } },
  }
end

local function memory(model, batch)
  local command = ("{lua} {here}/memory.lua --set model=%s --set batch=%d --set steps="):format(model, batch)
  return {
    group = "memory", name = ("memory of training the %s, batch %d"):format(model, batch), commands = { command .. 12, ("{python} {here}/peers/memory.py %s %d 12"):format(model, batch) }, quick = batch == 128 and { command .. 2 } or nil, threads = { 1 }, unit = "MB",
    bars = { { "peak", over = "weights, momentum, activations", most = 1.5 } }, -- PyTorch's stands there to compare
  }
end

return {
  { group = "limits", name = "limits of the machine", commands = { "{bench}/bench_limits 256 2048 {inner}" }, quick = { "{bench}/bench_limits 1 64 1" }, threads = { 1 }, bars = {} },
  cross_entropy("8192x1000", 15, 0.72, 0.85, 7, 0.65),
  cross_entropy("4096x32000", 5, 0.64, 0.80, 7, 0.55),
  cross_entropy("1024x128256", 5, 0.52, 0.80, 6, 0.45),
  cross_entropy("65536x10", 101, 0.37, 0.50, 18, nil),
  compact "4096x32000",
  {
    group = "random", name = "random numbers", commands = { "{bench}/bench_random 100000 60000 {inner}", "{python} {here}/peers/random_numbers.py 100000 60000 {inner}" },
    quick = { "{bench}/bench_random 1000 100 1" }, threads = { 1 }, inner = 15,
    bars = {
      { "uniform doubles", peer = "NumPy uniform doubles", times = 1.5 }, { "normals", peer = "NumPy normals", times = 2 },
      { "beta(0.2, 0.2)", peer = "NumPy beta(0.2, 0.2)", times = 3 }, { "permutation", peer = "NumPy permutation", times = 2 },
    },
  },
  {
    group = "schemes", name = "schemes in Lua 8192x1000", commands = { "{lua} {here}/schemes.lua --set rounds={inner}" }, quick = { "{lua} {here}/schemes.lua --set rows=64 --set classes=10 --set rounds=1" },
    threads = { 1 }, inner = 7,
    bars = {
      { "Lua, weighted labels", over = "built in", most = 1.1 }, { "Lua, compact", over = "built in", most = 1.1 }, { "Lua, dense rows", over = "built in", most = 4 },
    },
  },
  penalties(8192, 1000, 3), penalties(65536, 10, 9),
  mix(256, 3, 224, 5),
  mix(512, 3, 32, 25),
  { group = "quick", name = "mixing 8×3×8×8", commands = {}, quick = { "{bench}/bench_mix 8 3 8 {threads} 1" }, bars = { { "mixup", of = "scale in place", share = 0.001 } } },
  {
    group = "calibration", name = "calibration of 1000000x10 logits", inner = 3,
    commands = { "{bench}/bench_calibration 1000000 10 {threads} {inner} {bench}/calibration.floats", "{python} {here}/peers/calibration.py 1000000 10 {threads} {inner} {bench}/calibration.floats" },
    quick = { "{bench}/bench_calibration 2000 10 {threads} 1" },
    bars = {
      { "ECE", of = "read", share = 0.5 }, { "ECE", peer = "NumPy ECE", times = 15 }, { "ECE", peer = "torchmetrics ECE", times = 15 },
      { "full analysis", peer = "NumPy and relplot full analysis", times = 10, threads = { 1, 2 } }, { "analysis without smECE, MMCE", peer = "NumPy analysis without smECE, MMCE", times = 10, threads = { 1, 2 } },
    },
  },
  epoch("mlp", 128, 60000, 0.85),
  epoch("mlp", 512, 60000, 0.9),
  epoch("convnet", 128, 7680, 1.0),
  step("784-1200-1200-10", 128, 3, 2560),
  step("784-1200-1200-10", 512, 3, 5120),
  step("64-128-10", 64, 20, 25600),
  {
    group = "training", name = "Lua on the tape", commands = { "{lua} {here}/tape.lua" }, quick = { "{lua} {here}/tape.lua --set repeats=1 --set steps=4" }, threads = { 1 },
    bars = {
      { "add, forward and backward", seconds = 3e-6 }, { "mul, forward and backward", seconds = 3e-6 }, { "relu, forward and backward", seconds = 3e-6 },
    },
  },
  { group = "start", name = "start", commands = { "{here}/start {build}/lsengine 50" }, quick = { "{here}/start {build}/lsengine 2" }, threads = { 1 }, bars = { { "lsengine run", seconds = 0.008 } } },
  memory("mlp", 128),
  memory("mlp", 512),
  memory("convnet", 128),
  small "64x10",
  small "32x1000",
  { group = "quick", name = "nearest neighbours, 8 features", commands = {}, quick = { "{bench}/bench_knn 600 40 8 3 l2 {threads} 1" }, bars = {} },
  retrieval(10, 9, 8),
  retrieval(100, 4, 3),
  neighbours("l2", 64, 10),
  neighbours("l2", 64, 100),
  neighbours("ip", 64, 10),
  neighbours("ip", 64, 100),
  neighbours("l2", 128, 10),
  neighbours("l2", 128, 100),
  neighbours("ip", 128, 10),
  neighbours("ip", 128, 100),
  neighbours("l2", 512, 10),
  neighbours("l2", 512, 100),
  neighbours("ip", 512, 10),
  neighbours("ip", 512, 100),
  neighbours("l2", 784, 10),
  neighbours("l2", 784, 100),
  neighbours("ip", 784, 10),
  neighbours("ip", 784, 100),
}
