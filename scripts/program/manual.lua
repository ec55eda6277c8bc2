-- The manual: a page for each part of the library, made from its functions' own specifications. SPDX-License-Identifier: MIT
--
-- `lsengine help ls.nn.mlp` prints one entry; docs/reference holds all pages (written by tools/manual.lua, held to this by a test).
local options  = require "lsengine.options"
local pitfalls = require "lsengine.pitfalls"
local public   = require "lsengine.public"

local manual = {}

-- The pages in order: file, title, which functions (by the beginnings of their names), what they have in common, the modules
-- that register them.
local pages = {
  { "experiments", "Experiments and claims", { "ls.experiment", "experiment:", "ls.claim", "ls.options", "ls.allow" }, [[
An experiment runs every arm with the same seeds and compares arms pair by pair. How a verdict is reached is told in
[statistics](../statistics.md).]], { "experiment", "claims", "script_options", "pitfalls" } },
  { "training", "Training and judging", { "ls.train", "ls.evaluate", "ls.predict", "history:" }, [[
Both check the model, the data and every option before they begin.]], { "train", "evaluate", "predict", "history" } },
  { "judging", "Judging predictions", { "calibrator:" }, [[
Predictions of any framework, saved as `.npy` or `.npz`, or of a model of this one: logits (N×K, -inf for masked classes) or probabilities, and
labels 0 … K-1. Every choice on which packages disagree is named in the result, and another package's choice can be asked for by name. How the printed intervals
were tested is told in [intervals](../intervals.md), which measure agrees with which package to how many digits in [peers](../peers.md).]],
    { "classification", "calibration", "calibrators", "selective" } },
  { "comparing", "Comparing two models, and statistics", { "ls.stats." }, [[
Paired tests and intervals for numbers that belong together: rows that two models have judged, seeds that two arms share. How often each interval holds the truth is measured in
[statistics](../statistics.md). Random numbers come from streams with names of their own; without `rng` from seed 0, so that a repeated call gives the same digits.]], { "compare", "statistics" } },
  { "representation", "Representations: geometry, clustering, linear probe", {}, [[
What the rows of a representation (N×D: the features of a model's penultimate layer, or embeddings of any other framework) show of their classes. Sums are taken in double and means
subtracted first, so that an offset of the features costs no digits. Labels are any integers; the classes are those that occur. Numbers depend neither on threads nor on the order of the
classes. How they compare with scikit-learn, torchmetrics and the definitions is [here](../peers-representation.md).]], { "geometry", "clustering", "probe" } },
  { "augmentation", "Augmentation", { "ls.augment.", "augmentation:" }, [[
Augmentations change images (N×C×H×W) at random: `augment = ls.augment.shift{ pixels = 2 }` in `ls.train`, or a table of several, which act one after
the other, before mixing and before labels are softened. Each has a stream of its own, so that an arm without it sees the same batches in the same order. All are O(elements).]], { "augment" } },
  { "targets", "Targets and softening schemes", { "ls.target.", "target:", "scheme:" }, [[
A scheme, called with labels or a target, gives a target; a target is an object, not a matrix, and is never changed. It costs O(N) to make and
takes no memory for its classes: the loss applies it on the fly. `epsilon` is the probability mass that a scheme takes away. Labels, targets and
soft rows are all targets to every categorical loss. Class ids count from 0. A label that is no class of the logits is an error of the loss,
which knows the number of classes.]], { "target", "schemes", "scheme_own", "scheme_check" } },
  { "mixing", "Mixing", { "ls.mix.", "mix:" }, [[
A mix, called with a batch and its labels, gives the mixed batch and its target: both labels with their weights, no N×K matrix. Any batch of at least two rows can be
mixed. Softening a mixed target and mixing a softened one give the same target; both are stacked softening, and say so once (unless the mix keeps labels whole, as mixupio does). O(elements of the batch), each read and written once; cutmix in
place touches only its boxes. All draws come from the stream "mixing", spawned from the one that is given. The `info` that a mix gives last holds lambda (exact), nominal (as
drawn), partner (positions from 1), same_class (the rate of pairs of one class), mixed, and what the mix adds. `lsengine schemes` lists them all; one of your own is made by
`ls.mix.define`, out of the parts below, and is used and checked like the others.]], { "mix", "mix_helpers", "mix_own", "mix_check" } },
  { "losses", "Losses", { "ls.loss." }, [[
A loss is a one-element tensor in nats. It remembers its target (`loss.target`) and how class weights were used (`loss.weighting`); arithmetic
keeps both, `:item()` ends them. Values and gradients are computed in one sweep, O(N·K); sums over rows are taken in double. A NaN or +inf logit, a
label outside 0 … K-1 and target mass on a masked (-inf) class are errors that name the row.]], { "loss" } },
  { "penalties", "Penalties and robust losses", { "penalty:", "cals:", "mean_teacher:" }, [[
Losses that soften at the model's output: penalties that are added to the cross-entropy, and losses in its place. Each is made once, with its
parameters: `local loss = ls.loss.focal{ gamma = 2 }`; then `loss(logits, target, { weight =, ignore_index =, reduction = })` gives a one-element
tensor (of `reduction = "none"` a vector) with its gradient, or `loss = loss` in `ls.train` uses it for training. The result knows its target
(`.target`) and the loss it came from (`.scheme`). In formulas z are the logits, p = softmax(z), q the target's row, y its label, K the classes.

Penalties are means over rows, never over rows × classes. A class weight weighs the whole row, and the mean divides by the rows' weights, as for
`ls.loss.cross_entropy`. Ignored rows count nowhere. Masked classes (-inf logits) take no part: K and uniform distributions then count the classes
left. Losses without a meaning for softened or mixed targets refuse them. Sums are taken in double, so that logits of ±10⁴ give finite losses
and gradients. O(N·K).]], { "penalties", "distillation", "loss_own" } },
  { "retrieval", "Nearest neighbours and retrieval", { "ls.knn.", "index:", "neighbours:", "ls.eval.retrieval" }, [[
Searches are exact: candidates in float32 with a bound of their error, order in double, ties to the lower row. So the same rows come whatever the batch, the threads and the
processor, and for data far from 0 as well. Retrieval ranks by these values; where rows tie, every measure is its expected value over their orders.]], { "knn", "retrieval" } },
  { "plots", "Plots", { "ls.plot.", "plot:" }, [[
Pictures through gnuplot 5.4 (Debian: `gnuplot-nox`), a child process that is given a script and numbers. Each function checks what it is given and gives a plot:
`:save "figure.svg"` (or .pdf, .png) writes it, `:svg()` gives its text for a page. Without gnuplot these two are errors, and reports leave figures out and say so. How plots are
made readable is told in [plots](../plots.md).

Colours are Okabe and Ito's, which colour-blind readers tell apart; curves differ by stroke and marker, too, for grey prints; an SVG has colours for dark pages of its own. Titles,
names and labels are shown as they are, whatever characters they hold; line ends become blanks, long texts are broken or end in …. NaN and infinite numbers are left out; a plot that would be empty is an error.]],
    { "plot_calibration", "plot_retrieval", "plot_seeds", "plot_training", "figure" } },
  { "data", "Data sets", { "ls.data.", "data:" }, [[
A data set has `x` (a tensor, a row for each example), `y` (labels; for regression a tensor N×1), `classes` (nil for regression), `name` and, where
they are known, `class_names` (from [0]). A loaded one has the parts `.train`, `.test` and, after split, `.validation`. Data sets are never changed:
each method gives a new one, which keeps what is known of classes.]], { "data", "data_classes", "data_files" } },
  { "models", "Layers and models", { "ls.nn.", "model:" }, [[
Calling a model runs it: `model(x)`. Weights are made when a random stream is given, to a layer or to the model around it; initialisation and
dropout have streams of their own. Parameters have the names that PyTorch gives them.]], { "nn" } },
  { "optimizers", "Optimizers and schedules", { "ls.optim.", "optimizer:" }, [[
Formulas are PyTorch's. With options alone, an optimizer is a recipe that `ls.train` applies to a model's parameters. Schedules are factors on the
learning rate, by the time in epochs. O(number of weights) for each step.]], { "optim" } },
  { "tensors", "Tensors", { "ls.tensor", "tensor:", "ls.no_grad", "ls.autograd." }, [[
A tensor holds float32 numbers; up to 8 axes, each size below 2³¹. Axes and positions count from 1 (axes also from -1 backwards). `t[i]` is a row, a
view that writes through; of a vector, a number; past the end, nil. `#t` is the size of the first axis. Operators broadcast as NumPy's do; sizes that
don't fit are an error that names both shapes. An operation is O(number of elements) unless said otherwise; views are O(1). All operations are
recorded for differentiation where an input gathers gradients, unless their entry says otherwise; recorded tensors that are needed for a gradient and
were written to in place are an error of `backward`.]], { "tensor", "autograd", "random" } },
  { "labels", "Label vectors", { "ls.labels", "labels:" }, [[
Exact 64-bit integers, made once and never changed. `y[i]` is the i-th label, `#y` their number.]], { "labels" } },
  { "random", "Random streams", { "ls.rng", "rng:" }, [[
Every purpose has a stream of its own, spawned by name: the policy is [streams](../streams.md). Numbers do not depend on threads.]], { "random" } },
}

local function load_all()
  for _, page in ipairs(pages) do
    for _, name in ipairs(page[5]) do require("lsengine." .. name) end
  end
end

local function belongs(page, name)
  local own = public.registry[name].page
  if own then return own == page[1] end
  for _, beginning in ipairs(page[3]) do
    if name:sub(1, #beginning) == beginning then return true end
  end
end

-- All public functions and pitfalls, sorted.
function manual.names()
  load_all()
  local names = {}
  for name in pairs(public.registry) do names[#names + 1] = name end
  for name in pairs(pitfalls.known) do names[#names + 1] = name end
  table.sort(names)
  return names
end

local function signature(name, spec)
  if spec.signature then return name .. spec.signature end
  local parts = {}
  for i, argument in ipairs(spec) do
    parts[i] = (argument.optional or argument.default ~= nil) and "[" .. argument[1] .. "]" or argument[1]
  end
  if spec.options then
    local required = false
    for _, o in pairs(spec.options) do required = required or o.required end
    parts[#parts + 1] = required and "{ options }" or "[{ options }]"
  end
  return ("%s(%s)"):format(name, table.concat(parts, ", "))
end

local in_words = { callable = "function", dataset = "data set", labels = "labels", rng = "random stream", any = "any value" }
local function type_text(types) return ((types or "any"):gsub("%w+", in_words):gsub("|", " or ")) end

local function value_text(v)
  if type(v) == "table" then return #v == 0 and "{}" or "{ " .. table.concat(v, ", ") .. " }" end
  return type(v) == "string" and '"' .. v .. '"' or tostring(v)
end

local function argument_text(name, spec)
  local about, range = { type_text(spec.type) }, options.range_text(spec)
  if range then about[#about + 1] = range end
  if spec.required then about[#about + 1] = "required" end
  if spec.default ~= nil then about[#about + 1] = "default " .. value_text(spec.default) end
  return ("- `%s` (%s): %s"):format(name, table.concat(about, "; "), spec.doc or "")
end

-- Options by name, with those of tables among them below, as "early_stopping.patience".
local function add_options(out, specs, prefix)
  local names = {}
  for k in pairs(specs) do names[#names + 1] = k end
  table.sort(names)
  for _, k in ipairs(names) do
    out[#out + 1] = argument_text(prefix .. k, specs[k])
    if specs[k].options then add_options(out, specs[k].options, prefix .. k .. ".") end
  end
end

local function sentence(text) return text:match "%.$" and text or text .. "." end

local function function_entry(name, spec)
  local out = { ("## %s"):format(name), "", "`" .. signature(name, spec) .. "`", "", sentence(spec.doc) }
  local function paragraph(text) out[#out + 1] = "" out[#out + 1] = text end
  if #spec > 0 or spec.options then out[#out + 1] = "" end
  for _, argument in ipairs(spec) do out[#out + 1] = argument_text(argument[1], argument) end
  if spec.options then
    if #spec > 0 then out[#out + 1] = "" end
    out[#out + 1] = "Options:"
    out[#out + 1] = ""
    add_options(out, spec.options, "")
  end
  if spec.returns and spec.returns ~= "nothing" then paragraph("Returns " .. spec.returns .. ".") end
  if spec.errors then paragraph("Errors: " .. sentence(spec.errors)) end
  if spec.example then paragraph("```lua\n" .. spec.example .. "\n```") end
  return table.concat(out, "\n")
end

local function pitfall_entry(name, pitfall)
  return ("## %s\n\nRaised when %s.\n\nWhat goes wrong. %s\n\nHow to see it. %s\n\nWhat to do. %s\n\nA script that shows it:\n\n```lua\n%s\n```"):format(
    name, pitfall.raised, pitfall.wrong, pitfall.see, pitfall.remedy, pitfall.example)
end

-- The entry of a function or a pitfall, Markdown; nil for an unknown name.
function manual.entry(name)
  load_all()
  if public.registry[name] then return function_entry(name, public.registry[name]) end
  if pitfalls.known[name] then return pitfall_entry(name, pitfalls.known[name]) end
end

local function contents(page)
  local names = {}
  for _, name in ipairs(manual.names()) do if public.registry[name] and belongs(page, name) then names[#names + 1] = name end end
  return names
end

local function anchor(name) return (name:lower():gsub("[^%w_%- ]", "")) end

-- The catalogue as tables, a row for each entry, from the entries themselves.
local function catalogue_page()
  local out = { [[# Catalogue

The schemes, losses and mixes of the literature that are here, from their entries in the code; `lsengine schemes NAME` tells more of each, and draws targets. z are the logits, p = softmax(z),
q the target's row, y its label, K the classes. What each was held against is told in [peers](../peers-catalogue.md).]] }
  local page_of = { targets = "targets", mixes = "mixing", losses = "penalties" }
  local function cell(text) return (text:gsub("|", "\\|"):gsub("%s*\n%s*", " ")) end
  for _, group in ipairs(require "lsengine.catalogue".groups()) do
    local rows = { ("## %s%s\n"):format(group[1]:sub(1, 1):upper(), group[1]:sub(2)), "| name | formula | for | not for | paper |", "| --- | --- | --- | --- | --- |" }
    for _, e in ipairs(group[3]) do
      rows[#rows + 1] = ("| [%s](%s.md#%s) | %s | %s | %s | %s |"):format(e.name, page_of[group[1]], anchor(group[2] .. e.name), cell(e.formula), cell(e.use), cell(e.avoid), cell(e.paper))
    end
    out[#out + 1] = table.concat(rows, "\n")
  end
  return table.concat(out, "\n\n") .. "\n"
end

-- All pages: a table of { file, text }, the index first.
function manual.pages()
  load_all()
  local out, seen, index = { false }, {}, { "# Reference", "", "Made from the functions' own specifications by `tools/manual.lua`. `lsengine help NAME` prints one entry.", "" }
  for _, page in ipairs(pages) do
    local file, title, _, intro = table.unpack(page)
    local entries, links = { ("# %s\n\n%s"):format(title, intro) }, {}
    for _, name in ipairs(contents(page)) do
      assert(not seen[name], name)
      seen[name] = true
      entries[#entries + 1] = function_entry(name, public.registry[name])
      links[#links + 1] = ("[%s](%s.md#%s)"):format(name, file, anchor(name))
    end
    out[#out + 1] = { file .. ".md", table.concat(entries, "\n\n") .. "\n" }
    index[#index + 1] = ("**[%s](%s.md)**: %s"):format(title, file, table.concat(links, ", "))
    index[#index + 1] = ""
  end
  for name in pairs(public.registry) do assert(seen[name], name) end
  local entries, links = { [[# Pitfalls

Raised once a run at the user's line, as a warning, with the number that makes the harm visible; what is met again in the run, there or at another line, is counted, and the
report of an experiment and the record of its results tell it. Each experiment of a script is a run of its own. `--strict` makes all of them errors. `allow = { "name" }` in `ls.train`
or `ls.experiment`, or [ls.allow](experiments.md#lsallow) in a script that trains by hand, says that one is meant, those that are errors by themselves included. How often they are
right: [measured](../pitfalls-measured.md).]] }, {}
  for _, name in ipairs(manual.names()) do
    if pitfalls.known[name] then
      entries[#entries + 1] = pitfall_entry(name, pitfalls.known[name])
      links[#links + 1] = ("[%s](pitfalls.md#%s)"):format(name, anchor(name))
    end
  end
  out[#out + 1] = { "pitfalls.md", table.concat(entries, "\n\n") .. "\n" }
  out[#out + 1] = { "catalogue.md", catalogue_page() }
  index[#index + 1] = "**[Catalogue](catalogue.md)**: every scheme, loss and mix in a row"
  index[#index + 1] = ""
  index[#index + 1] = "**[Pitfalls](pitfalls.md)**: " .. table.concat(links, ", ")
  out[1] = { "README.md", table.concat(index, "\n") .. "\n" }
  return out
end

return manual
