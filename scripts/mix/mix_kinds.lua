-- The built-in mixes: what each draws, and what it makes of a batch. SPDX-License-Identifier: MIT
--
-- A kind is { draw = function(self, x, stream) → draws, assemble = function(self, x, y, draws, in_place) → mixed, target }. Drawing is apart,
-- so that tests hand the same draws to other implementations. draws: partner (from 1), lambda, nominal, boxes, …; y: a target, or numbers.
local c        = require "lsengine.c.mix"
local clabels  = require "lsengine.c.labels"
local random   = require "lsengine.c.random"
local raw      = require "lsengine.c.tensor"
local autograd = require "lsengine.autograd"
local rows     = require "lsengine.mix_target"
local public   = require "lsengine.public"
local target   = require "lsengine.target"
local raise    = public.raise

local kinds = {}

local function plain_draw(self, x, stream)
  local partner, lambda = c.draw(self.kind, stream, raw.size(x, 1), self.mode, self.alpha)
  return { partner = partner, lambda = lambda, nominal = lambda }
end

-- What goes into the target's history. typical(n): weights that stand for the distribution of lambda.
local function entry_of(self, typical, more)
  local entry = { mix = true, kind = self.kind, alpha = self.alpha, mode = self.mode, box = self.box, typical = typical }
  for name, value in pairs(more or {}) do entry[name] = value end
  return entry
end
kinds.entry_of = entry_of

local function beta_weights(self) return function(n) return c.typical(self.kind, n, self.alpha) end end

-- y mixed by these draws: numbers, or a target.
local function mix_y(self, y, d, entry)
  if raw.is_tensor(y) then return rows.blend(self.kind, y, d.partner, d.lambda, false) end
  return target.mix(y, d.partner, d.lambda, entry, function(dense, partner, lambda) return rows.blend(self.kind, dense, partner, lambda, false) end)
end
kinds.mix_y = mix_y

local function mix_x(self, x, d, in_place) return rows.blend(self.kind, x, d.partner, d.lambda, in_place) end

kinds.mixup = {
  draw = plain_draw,
  assemble = function(self, x, y, d, in_place)
    local softened = mix_y(self, y, d, entry_of(self, beta_weights(self)))
    return mix_x(self, x, d, in_place), softened
  end,
}

kinds.cutmix = {
  draw = function(self, x, stream)
    local rank = raw.rank(x)
    if rank ~= 3 and rank ~= 4 then raise("cutmix", ("the batch has shape %s, images N×C×H×W are required"):format(raw.shape_text(x))) end
    local partner, lambda, nominal, boxes = c.draw("cutmix", stream, raw.size(x, 1), self.mode, self.alpha, self.box, raw.size(x, rank - 1), raw.size(x, rank))
    return { partner = partner, lambda = lambda, nominal = nominal, boxes = boxes }
  end,
  assemble = function(self, x, y, d, in_place)
    local alpha, box, height, width = self.alpha, self.box, raw.size(x, -2), raw.size(x, -1)
    local softened = mix_y(self, y, d, entry_of(self, function(n) return c.typical("cutmix", n, alpha, box, height, width) end))
    return c.paste("cutmix", x, d.partner, d.boxes, in_place), softened
  end,
}

-- Which row's label is kept: its own, or its partner's where that has more of the input.
local function larger(partner, lambda)
  local list = {}
  for i = 1, #partner do list[i] = (type(lambda) == "number" and lambda or lambda[i]) > 0.5 and i or partner[i] end
  return clabels.from(list)
end

kinds.mixupio = {
  draw = plain_draw,
  assemble = function(self, x, y, d, in_place)
    local source = larger(d.partner, d.lambda)
    local kept = raw.is_tensor(y) and raw.gather(y, source) or rows.take(y, source, entry_of(self, nil, { hard = true, factor = 1 }))
    return mix_x(self, x, d, in_place), kept
  end,
}

-- Clean rows before mixed ones. `share`: of the loss that clean rows carry.
local function beside_clean(self, x, y, d, mixed_x, mixed_y, share)
  local clean_x, clean_y = x, y
  if d.clean_rows then
    clean_x = raw.gather(x, d.clean_rows)
    clean_y = raw.is_tensor(y) and raw.gather(y, d.clean_rows) or rows.take(y, d.clean_rows)
  end
  d.clean = raw.size(clean_x, 1)
  local batch = raw.cat({ clean_x, mixed_x }, 1)
  if raw.is_tensor(y) then return batch, raw.cat({ clean_y, mixed_y }, 1) end
  local entry = mixed_y.history[#mixed_y.history]
  local alpha, kind = self.alpha, self.kind
  entry.typical = function(n) -- a clean row is all of its own label
    local clean = math.max(1, math.min(n - 2, math.floor(n * share + 0.5)))
    return raw.cat({ raw.ones(clean), c.typical(kind, n - clean, alpha) }, 1)
  end
  return batch, rows.join(self.kind, clean_y, mixed_y)
end

kinds.regmixup = {
  draw = plain_draw,
  assemble = function(self, x, y, d)
    local eta, n = self.eta, raw.size(x, 1)
    if eta ~= 1 and raw.is_tensor(y) then raise("regmixup", ("eta is %g, but y holds numbers, whose loss has no weights of rows: eta = 1 is allowed"):format(eta)) end
    local batch, joint = beside_clean(self, x, y, d, mix_x(self, x, d, false), mix_y(self, y, d, entry_of(self)), 1 / (1 + eta))
    if eta == 1 then return batch, joint end
    local weights = raw.cat({ raw.ones(n), raw.full(eta, n) }, 1)
    return batch, rows.with(joint, { row_weights = joint.row_weights and raw.mul(joint.row_weights, weights) or weights })
  end,
}

local function some(stream, n, count) return clabels.narrow(random.permutation(stream, n), 1, math.max(1, math.min(n, count))) end

kinds.mixupmp = {
  draw = function(self, x, stream)
    local d, n, ratio = plain_draw(self, x, stream), raw.size(x, 1), self.ratio
    if ratio < 1 then d.mixed_rows = some(stream, n, math.floor(ratio * n + 0.5)) end
    if ratio > 1 then d.clean_rows = some(stream, n, math.floor(n / ratio + 0.5)) end
    return d
  end,
  assemble = function(self, x, y, d)
    local mixed_x, mixed_y = mix_x(self, x, d, false), mix_y(self, y, d, entry_of(self))
    if d.mixed_rows then
      mixed_x = raw.gather(mixed_x, d.mixed_rows)
      mixed_y = raw.is_tensor(mixed_y) and raw.gather(mixed_y, d.mixed_rows) or rows.take(mixed_y, d.mixed_rows)
    end
    return beside_clean(self, x, y, d, mixed_x, mixed_y, 1 / (1 + self.ratio))
  end,
}

-- Rows to measure distances between: the inputs', or the embeddings'.
local function measured(self, x)
  if not self.embeddings then return x end
  local _ <close> = autograd.pause()
  local e = self.embeddings(x)
  if not raw.is_tensor(e) or raw.rank(e) < 1 or raw.size(e, 1) ~= raw.size(x, 1) then
    raise("kernel_warping", ("embeddings gave %s, a tensor with a row for each of %d rows is required"):format(
      raw.is_tensor(e) and "shape " .. raw.shape_text(e) or "a " .. type(e), raw.size(x, 1)))
  end
  return e
end

kinds.kernel_warping = {
  draw = function(self, x, stream)
    local d = plain_draw(self, x, stream)
    d.distances = c.distances(self.kind, measured(self, x), d.partner)
    d.lambda = c.warp(self.kind, d.nominal, d.distances, self.tau_max, self.tau_std)
    return d
  end,
  assemble = function(self, x, y, d, in_place)
    local alpha, tau_max, tau_std, distances = self.alpha, self.tau_max, self.tau_std, d.distances
    local softened = mix_y(self, y, d, entry_of(self, function(n) -- this batch's distances, under all lambda
      local positions = {}
      for i = 1, n do positions[i] = (i - 1) % raw.count(distances) + 1 end
      return c.warp("kernel_warping", c.typical("kernel_warping", n, alpha), raw.gather(distances, positions), tau_max, tau_std)
    end))
    return mix_x(self, x, d, in_place), softened
  end,
}

return kinds
