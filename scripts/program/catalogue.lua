-- `lsengine schemes`: the catalogue on the terminal. SPDX-License-Identifier: MIT
local target  = require "lsengine.target"
local options = require "lsengine.options"
local clabels = require "lsengine.c.labels"

local catalogue = {}

-- What is told of the schemes that targets apply in closed form; the others' entries come from core/target/schemes.
local closed = {
  { name = "uniform", title = "Label smoothing", paper = "Szegedy et al. 2016, Rethinking the Inception architecture for computer vision (CVPR)",
    formula = "q = (1 - epsilon) 1[k = y] + epsilon/K, the true class included", property = "one-hot at epsilon 0; the same for every class; twice is 1 - (1-e1)(1-e2)",
    use = "overconfident networks; the usual first try, epsilon 0.01 to 0.1", avoid = "regression; a network that is underconfident already; evaluation",
    stacking = "mixing, a teacher, itself: softness adds up", parameters = { { name = "epsilon", type = "number", min = 0, max = 1, doc = "mass that is spread over all K classes" } },
    make = function() return target.uniform(0.1) end },
  { name = "wrong_classes", title = "Label smoothing over the wrong classes", paper = "the convention of many lecture notes; Shen et al. 2021",
    formula = "q_y = 1 - epsilon, q_k = epsilon/(K-1); equals uniform(epsilon·K/(K-1))", property = "one-hot at epsilon 0; the same for every class",
    use = "comparing with results in this convention", avoid = "epsilon at or past (K-1)/K, where the label says the opposite", stacking = "mixing, a teacher, itself",
    parameters = { { name = "epsilon", type = "number", min = 0, max = 1, doc = "mass that the other K-1 classes share" } }, make = function() return target.wrong_classes(0.1) end },
  { name = "prior", title = "Unigram (class prior) smoothing", paper = "Pereyra et al. 2017, Regularizing neural networks by penalizing confident output distributions",
    formula = "q = (1 - epsilon) 1[k = y] + epsilon·prior", property = "one-hot at epsilon 0; not the same for every class", use = "classes of very different frequency; language models",
    avoid = "where rare classes matter most: they get less mass still", stacking = "mixing, a teacher, itself",
    parameters = { { name = "epsilon", type = "number", min = 0, max = 1, doc = "mass that is spread" }, { name = "prior", type = "vector", doc = "K numbers from 0 that sum to 1" } },
    make = function(classes)
      local p, sum = {}, classes * (classes + 1) / 2
      for k = 1, classes do p[k] = (classes + 1 - k) / sum end
      return target.prior(0.1, p)
    end },
  { name = "matrix", title = "Similarity, hierarchy or confusion smoothing", paper = "Bertinetto et al. 2020, Making better mistakes (hierarchy); others by their own matrix",
    formula = "q = (1 - epsilon) 1[k = y] + epsilon·P[y]", property = "one-hot at epsilon 0; not the same for every class; linear: commutes with mixing", use = "classes of which some are alike",
    avoid = "a P measured on the rows that are judged", stacking = "mixing, a teacher, itself",
    parameters = { { name = "epsilon", type = "number", min = 0, max = 1, doc = "mass that goes by P" }, { name = "matrix", type = "matrix", doc = "K×K, rows sum to 1" } },
    make = function(classes)
      local rows = {}
      for y = 1, classes do
        rows[y] = {}
        for k = 1, classes do rows[y][k] = classes == 1 and 1 or (k == (y % classes) + 1 and 1 or 0) end
      end
      return target.matrix(0.1, rows)
    end },
}

-- All entries in the order of their names, each with `make`, which gives the scheme at its defaults.
function catalogue.entries()
  local list = table.move(closed, 1, #closed, 1, {})
  for _, entry in ipairs(target.catalogue) do
    entry.make = function() return target[entry.name]{} end
    list[#list + 1] = entry
  end
  table.sort(list, function(a, b) return a.name < b.name end)
  return list
end

function catalogue.list()
  for _, e in ipairs(catalogue.entries()) do print(("  %-14s %s"):format(e.name, e.title)) end
  print "\nlsengine schemes NAME explains one, and draws the targets it makes."
end

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

-- False where there is no such scheme.
function catalogue.show(name, fail)
  local names = {}
  for _, e in ipairs(catalogue.entries()) do
    names[#names + 1] = e.name
    if e.name == name then
      print(("%s: %s\n%s\n"):format(e.name, e.title, e.paper))
      print(("formula    %s"):format(e.formula))
      for _, p in ipairs(e.parameters) do
        local range = p.type == "number" and options.range_text(p)
        print(("  %-8s %s%s%s"):format(p.name, p.doc, range and " (" .. range .. ")" or "", p.default and ("; %g unless given"):format(p.default) or ""))
      end
      print(("holds      %s\nuse        %s\nnot for    %s\nstacking   %s\n"):format(e.property, e.use, e.avoid, e.stacking))
      print(("targets for 6 classes, %s:"):format(tostring(e.make(6))))
      draw(e.make(6), 6)
      return 0
    end
  end
  return fail("there is no scheme %s; %s", name, options.known_text(name, names))
end

return catalogue
