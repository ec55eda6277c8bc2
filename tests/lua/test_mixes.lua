-- The catalogue of mixes: one suite over all entries; torch-uncertainty's numbers; mixes of one's own. SPDX-License-Identifier: MIT
local t, ls     = require "harness", require "lsengine"
local catalogue = require "lsengine.mix_catalogue"
local kinds     = require "lsengine.mix_kinds"
local raw       = require "lsengine.c.tensor"
local target    = require "lsengine.target"
local pitfalls  = require "lsengine.pitfalls"
local T, ce = t.tests, ls.loss.cross_entropy
local golden = ls.tensor.load "tests/golden/mixes.npz"

local function batch(n, seed)
  local rng = ls.rng(seed or 1)
  return ls.tensor.randn(n, 2, 6, 5, { rng = rng }), rng:integers(0, 3, n)
end

local function gap(a, b) return (a - b):abs():max():item() end
local function raised(f)
  pitfalls.forget()
  f()
  return pitfalls.raised()
end

local images = ls.data.load "digits":split{ validation = 100 }.train
local few = images:subset(ls.rng(1):permutation(97))
local function small_net(rng) return ls.nn.sequential({ ls.nn.flatten(), ls.nn.linear(64, 12), ls.nn.tanh(), ls.nn.linear(12, 10) }, { rng = rng }) end

local function train(mix, more)
  local rng = ls.rng(3)
  local model = small_net(rng)
  local o = { epochs = 2, batch = 32, rng = rng, optimizer = ls.optim.sgd{ lr = 0.1 }, mix = mix }
  for k, v in pairs(more or {}) do o[k] = v end
  local history = ls.train(model, few, o)
  return model:hash(), history[#history].loss
end

-- Broken off after each step in turn, it ends with the same bits.
local function resumes(mix)
  local want, loss = train(mix)
  for at = 1, 7, 2 do
    local file = t.tmpname()
    os.remove(file)
    pcall(train, mix, { checkpoint = { file = file, every_steps = 1 }, on_batch = function(step) if step == at then error "broken off" end end })
    local got, again = train(mix, { checkpoint = { file = file, every_steps = 1 } })
    os.remove(file)
    t.equals({ got, again }, { want, loss })
  end
end

for _, entry in ipairs(catalogue.entries) do
  local tag = entry.name .. "_"
  T[tag .. "keeps_what_all_mixes_owe"] = function()
    local report = ls.mix.check(entry.make(), { model = entry.promises.within_model and ls.nn.sequential({ ls.nn.flatten(), ls.nn.linear(60, 8), ls.nn.linear(8, 5) }, { rng = ls.rng(1) }) or nil })
    t.is_true(report.ok and report.cases == 25, tostring(report))
  end
  T[tag .. "goes_on_from_a_checkpoint_to_the_same_bits"] = function() resumes(entry.make()) end
  T[tag .. "is_told_in_full"] = function()
    for _, field in ipairs{ "title", "paper", "formula", "property", "use", "avoid", "stacking", "example", "errors" } do t.is_true(#entry[field] > 2, field) end
    for _, p in ipairs(entry.parameters) do t.is_true(#p.doc > 10 and p.type ~= nil, p.name) end
    t.is_true(tostring(entry.make()):find(entry.name, 1, true) == 1)
  end
  if not entry.promises.within_model then
    for _, n in ipairs{ 2, 9 } do
      -- The loss with class weights and an ignored row, against the rows of the target, each by its weight.
      T[tag .. n .. "_rows_weigh_as_the_formula_says"] = function()
        local _ <close> = pitfalls.allow("test", { "stacked-softening" })
        local x, y = batch(n)
        local mixed, q = entry.make()(x, ls.target.uniform(0.1)(y), ls.rng(5))
        local m = mixed:size(1)
        local z, weight = ls.tensor.randn(m, 4, { rng = ls.rng(6) }):requires_grad(), { 1, 2, 0.5, 3 }
        local rows, loss = q:rows(4), ce(z, q, { weight = weight })
        local log_p, sum, all = z:detach():log_softmax(), 0, 0
        local plain = target.new{ terms = q.terms, history = {} }:rows(4)
        for i = 1, m do
          local w, nll = 0, 0
          for k = 1, 4 do w, nll = w + plain[i][k] * weight[k], nll - rows[i][k] * log_p[i][k] end
          w = w * (q.row_weights and q.row_weights[i] or 1)
          sum, all = sum + w * nll, all + w
        end
        t.close(loss:item(), sum / all, 2e-6 * math.max(1, sum / all))
        loss:backward()
        t.is_true(z.grad:sum(2):abs():max():item() < 1e-6) -- each row's gradient sums to 0: rows of mass 1
      end
    end
  end
end

function T.the_suite_covers_every_mix_that_a_script_can_make()
  local helpers = { partners = true, blend = true, blend_target = true, take_target = true, join_targets = true, boxes = true, paste = true, define = true, check = true }
  for name in pairs(ls.mix) do t.is_true(helpers[name] or catalogue.by_name[name] ~= nil, name .. " is not in the catalogue") end
  for name in pairs(catalogue.by_name) do t.is_true(rawget(ls.mix, name) ~= nil, name) end
end

-- ---- torch-uncertainty, with the same draws ----

local function whole(v) return ls.labels(v) end
local x, y, partner = golden.x, whole(golden.y), whole(golden.partner)
local function positions(list) return ls.labels(list) end

-- Rows of theirs in our order: they put mixed rows first in MixupMP.
local function held(name, mix, draws, order)
  local mixed, q = kinds[mix.kind].assemble(mix, x, target.from("test", y), draws, false)
  local want_x, want_y = golden[name .. "_x"], golden[name .. "_y"]
  if order then want_x, want_y = want_x:gather(order), want_y:gather(order) end
  t.is_true(gap(mixed, want_x) < 2e-6, ("%s: inputs off by %g"):format(name, gap(mixed, want_x))) -- two float products of numbers below 4
  t.is_true(gap(q:rows(5), want_y) < 5e-7, ("%s: targets off by %g"):format(name, gap(q:rows(5), want_y)))
end

local function range(first, last)
  local list = {}
  for i = first, last do list[#list + 1] = i end
  return list
end
local function both(a, b) return ls.labels(table.move(b, 1, #b, #a + 1, a)) end

function T.mixes_are_torch_uncertaintys()
  local lam, subset = golden.lam, whole(golden.subset)
  held("mixup", ls.mix.mixup{ alpha = 1 }, { partner = partner, lambda = lam })
  held("mixupio", ls.mix.mixupio{ alpha = 1 }, { partner = partner, lambda = lam })
  held("mixupio_batch", ls.mix.mixupio{ alpha = 1 }, { partner = partner, lambda = lam[1] })
  held("regmixup", ls.mix.regmixup{ alpha = 1 }, { partner = partner, lambda = lam })
  local some = subset:narrow(1, 4) -- half of 7, rounded, in both
  held("mixupmp_0.5", ls.mix.mixupmp{ alpha = 1, ratio = 0.5 }, { partner = partner, lambda = lam, mixed_rows = some }, both(range(5, 11), range(1, 4)))
  held("mixupmp_2", ls.mix.mixupmp{ alpha = 1, ratio = 2 }, { partner = partner, lambda = lam, clean_rows = some }, both(range(8, 11), range(1, 7)))
  held("mixupmp_1", ls.mix.mixupmp{ alpha = 1 }, { partner = partner, lambda = lam, mixed_rows = subset }, both(range(8, 14), range(1, 7)))
  local c = require "lsengine.c.mix"
  for _, tau in ipairs{ { 1, 0.5 }, { 2, 0.25 }, { 0.5, 2 } } do
    local warped = ls.mix.kernel_warping{ alpha = 1, tau_max = tau[1], tau_std = tau[2] }
    local distances = c.distances("test", golden.embeddings, partner)
    t.close(distances:mean():item(), 1, 1e-6)
    held(("warp_%g_%g"):format(tau[1], tau[2]), warped, { partner = partner, lambda = c.warp("test", lam, distances, tau[1], tau[2]), distances = distances })
  end
  local off = pcall(held, "mixup", ls.mix.mixup{ alpha = 1 }, { partner = partner, lambda = lam + 1e-4 })
  t.is_true(not off, "a wrong weight is seen")
end

function T.the_mean_over_mixupmps_rows_is_its_loss_over_1_plus_the_ratio()
  for _, ratio in ipairs{ 0.5, 1, 2 } do
    local tag = ("loss_%g"):format(ratio)
    local value = ls.loss.kl_divergence(golden[tag .. "_z"], ls.target.soft(golden[tag .. "_q"])):item()
    t.close(value * (1 + ratio), golden[tag][1], 2e-6)
  end
end

function T.eta_weighs_the_mixed_half()
  local rows, labels = batch(8)
  for _, eta in ipairs{ 0, 0.3, 1, 4 } do
    local _, q, info = ls.mix.regmixup{ alpha = 10, eta = eta }(rows, labels, ls.rng(4))
    local z = ls.tensor.randn(16, 4, { rng = ls.rng(5) })
    t.equals(info.clean, 8)
    local _, alone = ls.mix.mixup{ alpha = 10 }(rows, labels, ls.rng(4)) -- the same draws
    local clean, mixed = ce(z:narrow(1, 1, 8), labels):item(), ce(z:narrow(1, 9, 8), alone):item()
    t.close(ce(z, q):item(), (clean + eta * mixed) / (1 + eta), 1e-6)
    t.equals(#q.terms, 2) -- no N×K matrix
    if eta ~= 1 then t.fails(function() return ce(z, q, { weighting = "pytorch", weight = { 1, 1, 1, 1 } }) end, "weighs its rows, which PyTorch's weighting does not know", true) end
  end
  t.fails(function() return ls.mix.regmixup{ alpha = 1, eta = 2 }(rows, ls.tensor.zeros(8, 1), ls.rng(1)) end, "eta is 2, but y holds numbers", true)
end

function T.stacking_is_told_as_it_is()
  local rows, labels = batch(16)
  local z, smooth = { [16] = ls.tensor.randn(16, 10, { rng = ls.rng(8) }), [32] = ls.tensor.randn(32, 10, { rng = ls.rng(8) }) }, ls.target.uniform(0.1)
  local function numbers(mix)
    local list = raised(function()
      local mixed, q = mix(rows, labels, ls.rng(1))
      ce(z[mixed:size(1)], smooth(q))
    end)
    return #list, list[1] and list[1].message:match "mass is ([%d.]+) with it and ([%d.]+) without"
  end
  t.equals(numbers(ls.mix.mixupio{ alpha = 0.2 }), 0) -- labels stay labels
  t.equals({ numbers(ls.mix.mixup{ alpha = 1 }) }, { 1, "0.685" }) -- E[max(λ, 1-λ)] = .75
  local count, with = numbers(ls.mix.regmixup{ alpha = 1 }) -- half of the rows are clean: (1 + .75)/2 = .875; 0.9·.875 + .01
  t.equals({ count, with }, { 1, "0.797" })
  count, with = numbers(ls.mix.regmixup{ alpha = 1, eta = 3 }) -- a quarter: .8125
  t.equals({ count, with }, { 1, "0.741" })
  t.is_true(numbers(ls.mix.kernel_warping{ alpha = 1 }) == 1)
  -- a loss that wants labels takes what mixupio gives
  local _, q = ls.mix.mixupio{ alpha = 0.2 }(rows, labels, ls.rng(1))
  t.is_true(ls.loss.focal{ gamma = 2 }(z[16], q):item() > 0)
  t.equals(tostring(q), "target of 16 rows: mixupio(0.2), on labels")
end

-- ---- mixes of one's own ----

local function partners_of(class) -- blends with a row of the same class only where there is one: partners that are no permutation
  return ls.mix.define{
    name = "same-class", parameters = { alpha = { default = 1, above = 0 }, from = { default = class, type = "integer" } }, properties = { linear_target = true, classes_only = true },
    mix = function(self, rows, labels, rng, context)
      local list, lambda = {}, rng:beta(self.alpha, self.alpha)
      for i = 1, context.rows do list[i] = (i * 7 + self.from) % context.rows + 1 end
      return ls.mix.blend(rows, list, lambda), ls.mix.blend_target(labels, list, lambda), { lambda = lambda, partner = list }
    end,
  }
end

function T.an_own_mix_is_used_as_a_built_in_one()
  local make = partners_of(2)
  local own = make{ alpha = 0.5 }
  t.equals(tostring(own), "same-class{ alpha = 0.5, from = 2 }")
  t.is_true(ls.mix.check(own).ok, tostring(ls.mix.check(own)))
  resumes(own)
  resumes(ls.mix.either{ own, ls.mix.regmixup{ alpha = 1 } })
  t.is_true(train(make{ alpha = 0.5 }) ~= train(make{ alpha = 5.0 }))
  local seen
  local told = ls.mix.define{ name = "told", mix = function(_, rows, labels, _, context) seen = context return rows, labels end }
  train(told{})
  t.equals({ seen.epoch, seen.step, seen.classes, seen.in_place, seen.rows }, { 2, 7, 10, true, 32 }) -- the last batch, of one row, is not mixed
  -- another parameter is another training
  local file = t.tmpname()
  os.remove(file)
  train(make{ alpha = 0.5 }, { checkpoint = { file = file } })
  local message = t.message(train, make{ alpha = 0.6 }, { checkpoint = { file = file } })
  os.remove(file)
  t.is_true(message:find("mix is same-class{ alpha = 0.5, from = 2 } there and same-class{ alpha = 0.6, from = 2 } here", 1, true) ~= nil, message)
end

function T.an_own_mix_that_pastes_boxes()
  local mosaic = ls.mix.define{ name = "mosaic", properties = { images_only = true, no_self_partner = true, linear_target = true }, mix = function(_, rows, labels, rng, context)
    local list = ls.mix.partners(context.rows, rng, { mode = "pair" })
    local boxes, exact = ls.mix.boxes(rows, rng:beta(1, 1, context.rows), rng, { box = "inside" })
    return ls.mix.paste(rows, list, boxes, { in_place = context.in_place }), ls.mix.blend_target(labels, list, exact), { lambda = exact, partner = list }
  end }
  t.is_true(ls.mix.check(mosaic{}).ok, tostring(ls.mix.check(mosaic{})))
  t.fails(function() return mosaic{}(ls.tensor.zeros(4, 3), { 0, 1, 2, 3 }, ls.rng(1)) end, "mosaic: the batch has shape 4x3, images N×C×H×W are required", true)
  local rows, labels = batch(5)
  local apart, _, info = mosaic{}(rows, labels, ls.rng(3))
  for i = 1, 5 do t.close(apart[i]:eq(rows[i]):mean():item(), info.lambda[i], 1e-6) end
  mosaic{ in_place = true }(rows, labels, ls.rng(3))
  t.equals(rows:hash(), apart:hash())
end

function T.an_own_mix_that_adds_rows()
  local beside = ls.mix.define{ name = "beside", properties = { adds_rows = true }, mix = function(_, rows, labels, rng, context)
    local list = ls.mix.partners(context.rows, rng)
    return ls.tensor.cat({ rows, ls.mix.blend(rows, list, 0.5) }, 1), ls.mix.join_targets(labels, ls.mix.blend_target(labels, list, 0.5))
  end }
  t.is_true(ls.mix.check(beside{}).ok, tostring(ls.mix.check(beside{})))
end

function T.what_an_own_mix_gives_is_checked_at_the_users_line()
  local rows, labels = batch(4)
  local function with(f, properties) return ls.mix.define{ name = "own", properties = properties, mix = f }{} end
  local function fails(f, text, properties) t.fails(function() return with(f, properties)(rows, labels, ls.rng(1)) end, text, t.line()) end
  fails(function(_, a) return 5, labels end, "own: its mix gave 5, the mixed batch (a tensor) is required")
  fails(function(_, a) return a end, "own: its mix gave nil as the target")
  fails(function(_, a, b) return a:narrow(1, 1, 3), b:narrow(1, 3) end, "its mix gave a batch of 3 rows for one of 4 (properties = { adds_rows = true } allows it)")
  fails(function(_, a, b) return a, b:narrow(1, 3) end, "its mix gave a target of 3 rows for a batch of 4")
  fails(function(_, a, b) return a * (0 / 0), b end, "row 1 of the mixed batch holds NaN or infinite numbers")
  fails(function(_, a, b) return a, ls.target.weighted{ { b, 0.5 }, { b, 0.4 } } end, "row 1 of the target has weights that sum to 0.9, must be 1 within 1e-4")
  fails(function(_, a) return a, ls.target.soft(ls.tensor.full(0.5, 4, 3)) end, "row 1 of the target sums to 1.5, must be 1")
  fails(function(_, a) return a, ls.tensor.zeros(4, 3) end, "soft rows are ls.target.soft(rows)")
  local line = t.line() + 1 -- where it is set
  local keeps = function(self, a, b) self.count = 1 return a, b end
  t.fails(function() return with(keeps)(rows, labels, ls.rng(1)) end, "self.count cannot be set: a mix keeps nothing from batch to batch", line)
  fails(function(_, a, b) return a, b, { partner = 5 } end, "info.partner is 5")
end

function T.declarations_are_checked()
  local function fails(o, text) t.fails(function() return ls.mix.define(o) end, text, t.line()) end
  local f = function(_, a, b) return a, b end
  fails({ name = "mixup", mix = f }, 'name is "mixup", which is a built-in mix')
  fails({ name = "a\nb", mix = f }, "letters, digits, spaces, _ and - are allowed")
  fails({ name = "own", mix = f, parameters = { probability = {} } }, "the parameter probability has a name that every mix uses itself")
  fails({ name = "own", mix = f, parameters = { a = { defualt = 1 } } }, "unknown option parameters.a.defualt")
  fails({ name = "own", mix = f, parameters = { a = { default = 2, max = 1 } } }, "parameters.a.default is 2, allowed is at most 1")
  fails({ name = "own", mix = f, parameters = { a = { type = "numbr" } } }, "did you mean number?")
  fails({ name = "own", mix = f, properties = { linear_traget = true } }, "did you mean linear_target?")
  local make = ls.mix.define{ name = "own", mix = f, parameters = { a = { min = 0, max = 1, required = true } } }
  t.fails(function() return make{} end, "own: option a is missing", true)
  t.fails(function() return make{ a = 2 } end, "own: a is 2, allowed is 0 to 1", true)
end

-- The check itself can fail: each promise broken on purpose is found, with its smallest case.
function T.a_check_finds_what_is_broken()
  local function failure(f, properties)
    local report = ls.mix.check(ls.mix.define{ name = "broken", properties = properties, mix = f }{})
    t.is_true(not report.ok)
    return report.failures[1].name, report.failures[1].case
  end
  local calls = 0
  t.equals({ failure(function(_, a, b) a:fill_(1) return a:clone(), b end) }, { "inputs_kept", "2 rows of 2×6×5, y of labels" })
  t.equals({ failure(function(_, a, b) calls = calls + 1 return a * calls, b end) }, { "same_bits", "2 rows of 2×6×5, y of labels" })
  t.equals({ failure(function(_, a, b) if #a % 2 == 1 then error "odd" end return a, b end) }, { "runs", "3 rows of 2×6×5, y of labels" })
  t.equals({ failure(function(_, a, b) return a:reshape(#a, -1):narrow(2, 1, 5), b end) }, { "rows", "2 rows of 2×6×5, y of labels" })
  local function to_self(lambda) return function(_, a, b)
    local own = {}
    for i = 1, #a do own[i] = i end
    return a, ls.mix.blend_target(b, own, 0.5), { lambda = lambda, partner = own }
  end end
  t.equals({ failure(to_self(0.5), { no_self_partner = true }) }, { "no_self_partner", "2 rows of 2×6×5, y of labels" })
  t.equals({ failure(function(_, a, b, rng) local p = ls.mix.partners(#a, rng) return a, ls.mix.blend_target(b, p, 0.5), { lambda = 0.4, partner = p } end, { linear_target = true }) },
    { "linear_target", "2 rows of 2×6×5, y of labels" })
end

t.run()
