-- Augmentation of images. SPDX-License-Identifier: MIT
--
-- An augmentation is called with images (N×C×H×W) and a random stream, of which it spawns a stream of its own name; ls.train gives it
-- one stream for the whole training. What is drawn for each image is drawn before any is changed.
local c       = require "lsengine.c.augment"
local random  = require "lsengine.c.random"
local raw     = require "lsengine.c.tensor"
local options = require "lsengine.options"
local public  = require "lsengine.public"
require "lsengine.tensor"
require "lsengine.random"
local raise   = public.raise

local augment = {}

local Augmentation = {}
Augmentation.__index, Augmentation.__name = Augmentation, "augmentation"
local function is_augmentation(v) return getmetatable(v) == Augmentation end
options.type("augmentation", is_augmentation, "an augmentation (ls.augment.shift{…})")

function Augmentation:__tostring()
  local names, texts = {}, {}
  for key in pairs(self.options) do names[#names + 1] = key end
  table.sort(names)
  for i, key in ipairs(names) do
    local value = self.options[key]
    texts[i] = ("%s = %s"):format(key, type(value) == "table" and "{ " .. table.concat(value, ", ") .. " }" or tostring(value))
  end
  return ("%s{ %s }"):format(self.name, table.concat(texts, ", "))
end

-- The stream that belongs to an augmentation.
function augment.stream(augmentation, rng) return random.spawn(rng, "augmentation " .. augmentation.name) end

-- Changed images; draws from `stream` itself.
function augment.apply(augmentation, x, stream) return augmentation.act(x, stream, augmentation.options) end

local rng, tensor = { type = "rng" }, { type = "tensor" }
Augmentation.__call = public("augmentation:__call", {
  self = "augmentation", called = "augmentation", signature = "(x, rng)",
  doc = [[Calling an augmentation gives new images; those given are left alone. What it draws comes from a stream "augmentation" and its name
that it spawns of rng: another one at each call. Not recorded for differentiation.]],
  returns = "tensor, images", errors = "a tensor that is not N×C×H×W",
  example = "local shifted = ls.augment.shift{ pixels = 2 }(ls.tensor.zeros(4, 1, 8, 8), rng)",
  { "x", type = "tensor", doc = "images, N×C×H×W" }, { "rng", type = "rng", doc = "where the draws come from" },
}, function(self, x, stream) return augment.apply(self, x, augment.stream(self, stream)) end)

local function define(name, doc, specs, act, check)
  augment[name] = public("ls.augment." .. name, {
    doc = doc, returns = "augmentation, for ls.train or to be called with images and a random stream", options = specs.options, errors = specs.errors,
    example = specs.example,
  }, function(o)
    if check then check(o) end
    return setmetatable({ name = name, options = o, act = act }, Augmentation)
  end)
end

local MOST = 2^20
local value = { type = "number", default = 0, above = -math.huge, below = math.huge, doc = "what is put where the image has nothing" }

define("shift", "Moves each image by whole pixels, up or down and left or right, each uniform from -pixels to pixels.", {
  example = "local shift = ls.augment.shift{ pixels = 2 }",
  options = { pixels = { type = "integer", required = true, min = 0, max = MOST, doc = "at most so many in each direction" }, value = value },
}, function(x, stream, o) return c.shift(x, stream, o.pixels, o.value) end)

define("crop", "A part of each image at a place that is uniform over all where it lies within the padded image.", {
  example = "local crop = ls.augment.crop{ size = { 8, 8 }, padding = 1 }",
  errors = "a size that is not two whole numbers from 1; when it is used, parts that are larger than the padded images",
  options = { size = { type = "table", required = true, doc = "height and width of the part" },
    padding = { type = "integer", default = 0, min = 0, max = MOST, doc = "pixels that are added on all four sides first" }, value = value },
}, function(x, stream, o) return c.crop(x, stream, o.size[1], o.size[2], o.padding, o.value) end, function(o)
  if #o.size ~= 2 then raise("crop", ("size has %d numbers, { height, width } is required"):format(#o.size)) end
  local size = {}
  for i = 1, 2 do size[i] = options.check("crop", ("size[%d]"):format(i), { type = "integer", min = 1, max = MOST }, o.size[i]) end
  o.size = size
end)

define("flip", "Mirrors each image with the given probabilities.", {
  example = "local flip = ls.augment.flip{ horizontal = 0.5 }",
  options = { horizontal = { type = "number", default = 0.5, min = 0, max = 1, doc = "probability that left and right are exchanged" },
    vertical = { type = "number", default = 0, min = 0, max = 1, doc = "probability that top and bottom are exchanged" } },
}, function(x, stream, o) return c.flip(x, stream, o.horizontal, o.vertical) end)

define("erase", [[Random erasing (Zhong et al. 2017): with a probability, a rectangle at a random place is overwritten in all channels. Its share of
the area is uniform in `area`, its height over its width uniform in aspect … 1/aspect; sizes are drawn until both sides fit into the image and are at
least a pixel, at most 100 times.]], {
  example = "local erase = ls.augment.erase{ probability = 0.5 }",
  errors = "an area that is not two numbers in 0 … 1, the first not above the second",
  options = { probability = { type = "number", default = 0.5, min = 0, max = 1, doc = "that an image is changed at all" },
    area = { type = "table", doc = "least and largest share of the image; { 0.02, 0.33 } unless given" },
    aspect = { type = "number", default = 0.3, above = 0, max = 1, doc = "the least ratio of height to width; the largest is 1/aspect" }, value = value },
}, function(x, stream, o) return c.erase(x, stream, o.probability, o.area[1], o.area[2], o.aspect, o.value) end, function(o)
  local area = o.area or { 0.02, 0.33 }
  if #area ~= 2 then raise("erase", ("area has %d numbers, { least, largest } is required"):format(#area)) end
  local copy = {}
  for i = 1, 2 do copy[i] = options.check("erase", ("area[%d]"):format(i), { type = "number", min = 0, max = 1 }, area[i]) end
  if copy[1] > copy[2] then raise("erase", ("area is { %g, %g }: the first must not be above the second"):format(copy[1], copy[2])) end
  o.area = copy
end)

-- One augmentation, or a table of them: as a table.
function augment.list(who, given)
  if given == nil then return {} end
  if is_augmentation(given) then return { given } end
  local list = {}
  for i = 1, #given do list[i] = options.check(who, ("augment[%d]"):format(i), { type = "augmentation" }, given[i]) end
  return list
end

return augment
