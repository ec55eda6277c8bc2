-- `lsengine schemes`: the catalogue on the terminal, in its three groups: targets, losses, mixes. SPDX-License-Identifier: MIT
local schemes   = require "lsengine.schemes"
local distillation = require "lsengine.distillation"
local mixes     = require "lsengine.mix_catalogue"
local penalties = require "lsengine.penalties"
local target    = require "lsengine.target"
local options   = require "lsengine.options"
local clabels   = require "lsengine.c.labels"
local raw       = require "lsengine.c.tensor"

local catalogue = {}

-- ---- examples of what schemes are given ----

local function decreasing(classes)
  local list, sum = {}, classes * (classes + 1) / 2
  for k = 1, classes do list[k] = (classes + 1 - k) / sum end
  return raw.from(list)
end

local function square(classes, f)
  local rows = {}
  for y = 1, classes do
    rows[y] = {}
    for k = 1, classes do rows[y][k] = f(y, k) end
  end
  return raw.from(rows)
end

local arrays = {
  prior      = decreasing,
  matrix     = function(n) return square(n, function(y, k) return n == 1 and 1 or k == y % n + 1 and 1 or 0 end) end,
  similarity = function(n) return square(n, function(y, k) return -math.abs(y - k) end) end,
  distance   = function(n) return square(n, function(y, k) return y == k and 0 or (y - 1) // 2 == (k - 1) // 2 and 1 or 2 end) end,
  confusion  = function(n) return square(n, function(y, k) return y == k and 90 or math.max(0, 8 - 4 * math.abs(y - k)) end) end,
  epsilon    = function(n) return raw.mul(decreasing(n), 0.5) end,
}

-- The options of a scheme of the catalogue for an example with this many classes; `rng` for those that draw.
function catalogue.sample(entry, classes, rng)
  local o = { rng = entry.needs_random and rng or nil }
  for _, p in ipairs(entry.parameters) do
    if p.type == "vector" or p.type == "matrix" then o[p.name] = arrays[p.name](classes) end
  end
  return o
end

local in_order = { uniform = true, wrong_classes = true, prior = true, matrix = true }

-- A scheme of the catalogue with its defaults, or with those options.
function catalogue.make(entry, classes, rng, changed)
  local o = catalogue.sample(entry, classes, rng)
  for key, value in pairs(changed or {}) do o[key] = value end
  if not in_order[entry.name] then return target[entry.name](o) end
  if not entry.parameters[2] then return target[entry.name](o.epsilon or 0.1) end
  return target[entry.name](o.epsilon or 0.1, o[entry.parameters[2].name])
end

-- ---- the list ----

local groups = {
  { "targets", "ls.target.", schemes.entries, "softened labels" },
  { "losses", "ls.loss.", table.move(distillation, 1, #distillation, #penalties.entries + 1, table.move(penalties.entries, 1, #penalties.entries, 1, {})), "softening at the output: penalties beside the cross-entropy, losses in its place" },
  { "mixes", "ls.mix.", mixes.entries, "inputs and labels together" },
}

function catalogue.groups() return groups end

function catalogue.list()
  for _, group in ipairs(groups) do
    print(("%s (%sNAME): %s"):format(group[1], group[2], group[4]))
    for _, e in ipairs(group[3]) do print(("  %-26s %s"):format(e.name, e.title)) end
    print ""
  end
  print "lsengine schemes NAME explains one; of targets it draws those that it makes."
end

-- ---- one ----

-- Rows of a target as bars, one line for each label, one cell for each class.
local function draw(scheme, classes)
  local blocks, y = { " ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█" }, {}
  for k = 0, classes - 1 do y[k + 1] = k end
  local rows = scheme(clabels.from(y)):rows(classes)
  for i = 1, classes do
    local cells = {}
    for k = 1, classes do
      local q = rows[i][k]
      cells[k] = ("%s%.2f"):format(blocks[q <= 0 and 1 or math.min(9, 2 + math.floor(q * 8))], q)
    end
    print(("  label %d  %s"):format(i - 1, table.concat(cells, "  ")))
  end
end

local function wrapped(title, text)
  local width, line, indent = 100, ("%-11s"):format(title), (" "):rep(11)
  for paragraph in (text:gsub(";   ", "\n") .. "\n"):gmatch "(.-)\n" do
    for word in paragraph:gmatch "%S+" do
      if (utf8.len(line) or #line) + 1 + (utf8.len(word) or #word) > width and line:find "%S" and #line > 11 then
        print((line:gsub("%s+$", "")))
        line = indent
      end
      line = line .. (line:sub(-1) == " " and "" or " ") .. word
    end
    print((line:gsub("%s+$", "")))
    line = indent
  end
end

local function parameter_text(p)
  local spec = p
  if p.minimum or p.maximum then
    spec = { min = not p.above_minimum and p.minimum or nil, above = p.above_minimum and p.minimum or nil, max = not p.below_maximum and p.maximum or nil, below = p.below_maximum and p.maximum or nil }
  end
  local standard = p.default
  if standard == nil then standard = p.standard end
  if p.type == "boolean" then return p.doc .. (standard ~= nil and standard ~= 0 and standard ~= false and "; true unless given" or "; false unless given") end
  local range = (p.type == "number" or p.type == "integer") and options.range_text(spec)
  return p.doc .. (range and " (" .. range .. ")" or "") .. (type(standard) == "number" and ("; %g unless given"):format(standard) or standard ~= nil and ("; %s unless given"):format(tostring(standard)) or "")
end

local function explain(group, e)
  print(("%s%s: %s"):format(group[2], e.name, e.title))
  print(e.paper .. "\n")
  wrapped("formula", e.formula)
  for _, p in ipairs(e.parameters) do wrapped(p.name, parameter_text(p)) end
  for _, part in ipairs{ { "holds", e.property }, { "use", e.use }, { "not for", e.avoid }, { "stacking", e.stacking } } do
    if part[2] ~= "" then wrapped(part[1], part[2]) end
  end
  print("\nexample\n  " .. e.example:gsub("\n", "\n  "))
  if group[1] == "targets" and not e.needs_one_label then
    local made = catalogue.make(e, 6, require "lsengine.random"(1))
    print(("\ntargets for 6 classes, %s:"):format(tostring(made)))
    draw(made, 6)
  end
end

-- Exit code; `fail` prints and gives 2.
function catalogue.show(name, fail)
  local names, short, found = {}, name:match "^ls%.%a+%.([%w_]+)$" or name, false
  for _, group in ipairs(groups) do
    for _, e in ipairs(group[3]) do
      names[#names + 1] = e.name
      if e.name == short and (short == name or name == group[2] .. short) then
        if found then print "" end
        explain(group, e)
        found = true
      end
    end
  end
  if found then return 0 end
  return fail("there is no scheme %s; %s", name, options.known_text(short, names))
end

return catalogue
