-- The catalogue of mixes: what the manual, `lsengine schemes` and the makers' options say, from one place. SPDX-License-Identifier: MIT
--
-- An entry: name, title, paper, formula, property, use, avoid, stacking, example, parameters (as options are specified, with a name), errors,
-- make (the mix as most would use it), promises (what ls.mix.check holds it to). A mix that is registered here is in all of them.
local function given(base, changes)
  local out = {}
  for k, v in pairs(base) do out[k] = v end
  for k, v in pairs(changes or {}) do out[k] = v end
  return out
end

local alpha = { name = "alpha", type = "number", required = true, above = 0, max = 1e6, doc = "λ ~ Beta(alpha, alpha): near 0 hardly mixed, 1 uniform, larger towards halves" }
local mode = { name = "mode", type = "string", default = "batch", choices = { "batch", "pair", "row" },
  doc = "who shares λ and the box: the whole batch, two rows that are each other's partner, or nobody" }
local probability = { name = "probability", type = "number", default = 1, min = 0, max = 1, doc = "of mixing a batch at all" }
local in_place = { name = "in_place", type = "boolean", default = false, doc = "write into the batch that is given, which saves memory and time" }

local catalogue = { standard = { probability = probability, in_place = in_place } }

local numbers = "y may be a tensor of numbers (regression): it is mixed, too."
local few = "a batch of fewer than two rows; another number of labels than rows"
local softens = "Softens the target: smoothing, a teacher or another mix beside it is stacked softening, and says so."

catalogue.entries = {
  { name = "mixup", title = "mixup", paper = "Zhang et al. 2018, mixup: beyond empirical risk minimization (ICLR)",
    formula = "x' = λ x + (1-λ) x_partner;   q = λ 1[y] + (1-λ) 1[y_partner],   λ ~ Beta(alpha, alpha)",
    property = "No row is its own partner; E[min(λ, 1-λ)] of the mass leaves the larger label (.101 at alpha 0.2, .25 at 1). " .. numbers,
    use = "overfitting and memorised labels, images and tables alike; alpha 0.1 to 0.4 (1 for small images)",
    avoid = "where a blend of two inputs is itself a third class's input; models that are underconfident already",
    stacking = softens .. " Linear: mixing a smoothed target and smoothing a mixed one give the same target.",
    parameters = { alpha, mode, probability, in_place }, errors = few, promises = { no_self_partner = true, linear_target = true },
    example = [[local mixup = ls.mix.mixup{ alpha = 0.2 }
local mixed, target = mixup(x, labels, rng)
local loss = ls.loss.cross_entropy(logits, target)]], options = { alpha = 0.2 } },
  { name = "cutmix", title = "cutmix", paper = "Yun et al. 2019, CutMix: regularization strategy to train strong classifiers with localizable features (ICCV)",
    formula = "x' = x with a box of sides sqrt(1-λ) taken from x_partner;   q = λ' 1[y] + (1-λ') 1[y_partner],   λ' = 1 - box pixels / all pixels",
    property = "λ' is counted in pixels after the box was cut to whole pixels and, where clipped, at the border; info.nominal is the λ that was drawn. On average a clipped box is smaller than drawn (.31 of the image instead of .5 at alpha = 1). " .. numbers,
    use = "images whose object fills much of the frame", avoid = "tables; images of which a small part tells the class",
    stacking = softens, parameters = { alpha, mode, probability, in_place,
      { name = "box", type = "string", default = "clipped", choices = { "clipped", "inside", "wrap" },
        doc = "clipped: cut off at the border (the paper's); inside: placed where it fits; wrap: going on at the other border" } },
    errors = "a batch that is not N×C×H×W or N×H×W, or has fewer than two rows", promises = { no_self_partner = true, linear_target = true, images_only = true },
    example = 'local cutmix = ls.mix.cutmix{ alpha = 1, box = "inside" }\nlocal mixed, target = cutmix(x:reshape(4, 1, 6, 6), labels, rng)', options = { alpha = 1 } },
  { name = "mixupio", title = "Label-preserving mixup (MixupIO)", paper = "Wang et al. 2023, On the pitfall of mixup for uncertainty calibration (CVPR); torch-uncertainty's MixupIO",
    formula = "x' = λ x + (1-λ) x_partner;   q = 1[y] if λ > 1/2, else 1[y_partner]",
    property = "The target stays one label a row: what mixing does to inputs, without what it does to confidence. Of numbers (regression) those of the row with more of the input are kept.",
    use = "telling the two halves of mixup apart; where mixup's soft labels leave a model underconfident, and before temperature scaling",
    avoid = "alpha near or above 1, where many labels stand on inputs that are half another class's",
    stacking = "Does not soften: smoothing beside it is one softening, and no warning is due. Losses that want one label a row take it.",
    parameters = { alpha, mode, probability, in_place }, errors = few, promises = { no_self_partner = true, label_preserving = true },
    example = "local mixed, target = ls.mix.mixupio{ alpha = 0.2 }(x, labels, rng)\nlocal loss = ls.loss.cross_entropy(logits, ls.target.uniform(0.1)(target))", options = { alpha = 0.2 } },
  { name = "regmixup", title = "RegMixup: mixup beside the clean batch", paper = "Pinto et al. 2022, Using mixup as a regularizer can surprisingly improve accuracy and out distribution robustness (NeurIPS)",
    formula = "batch = [x; λ x + (1-λ) x_partner];   loss = (CE(clean) + eta CE(mixed)) / (1 + eta)",
    property = "Twice the rows, clean ones first (info.clean says how many); a row of the mixed half weighs eta, of the clean half 1, in the mean of every categorical loss. The paper's sum is 1 + eta times this mean: a rate of learning. Its code's mean is this at eta 1. No N×K matrix.",
    use = "calibration and out-of-distribution detection at mixup's accuracy; alpha 10 to 20, so that λ is near 1/2", avoid = "where a step may not cost twice; batch statistics that must be of clean rows only",
    stacking = "Softens the mixed half alone: smoothing beside it is stacked there, and the warning counts the clean half as it is.",
    parameters = { alpha, { name = "eta", type = "number", default = 1, min = 0, max = 1e6, doc = "what a mixed row counts for beside a clean one; other than 1 for classes only" }, mode, probability },
    errors = few .. "; eta other than 1 for numbers (regression)", promises = { no_self_partner = true, adds_rows = true },
    example = "local regmixup = ls.mix.regmixup{ alpha = 10 }\nlocal both, target, info = regmixup(x, labels, rng)   -- info.clean clean rows, then the mixed ones", options = { alpha = 10 } },
  { name = "mixupmp", title = "MixupMP: clean and mixed rows in a ratio", paper = "Wu & Williamson 2024, Posterior uncertainty quantification in neural networks using data augmentation (AISTATS); torch-uncertainty's MixupMP",
    formula = "batch = [clean rows; mixed rows], mixed : clean = ratio;   ratio <= 1: all rows clean, ratio·N of them mixed;   above: N/ratio rows clean, all mixed",
    property = "Every row weighs the same: the mean over the batch is the paper's loss, CE(clean) + ratio CE(mixed), divided by 1 + ratio. Counts are rounded, at least one row of each. Members of an ensemble, each with its own seed, make the posterior.",
    use = "ensembles whose spread is to say how sure they are", avoid = "one model alone, where regmixup says the same more plainly",
    stacking = "Softens the mixed rows alone: smoothing beside it is stacked there, and the warning counts the clean rows as they are.",
    parameters = { alpha, { name = "ratio", type = "number", default = 1, min = 1e-6, max = 1e6, doc = "mixed rows for each clean one (r)" }, mode, probability },
    errors = few, promises = { no_self_partner = true, adds_rows = true },
    example = "local both, target, info = ls.mix.mixupmp{ alpha = 1, ratio = 0.5 }(x, labels, rng)   -- 4 clean rows, 2 mixed", options = { alpha = 1 } },
  { name = "kernel_warping", title = "mixup with λ warped by distance", paper = "Bouniot et al. 2025, Tailoring mixup to data for calibration (ICLR; arXiv 2311.01434)",
    formula = "λ' = P(X <= λ), X ~ Beta(t, t),   t = exp((d - 1) / (2 tau_std²)) / tau_max,   d = ||x - x_partner||² / its mean over the batch;   then as mixup with λ'",
    property = "Rows far apart are hardly mixed (t large), near ones towards halves. Each row has its own λ' in every mode. Measured on the inputs, or on `embeddings`. As in the authors' code, d is divided by its mean first: torch-uncertainty's kernel depends on the unit of x, and agrees where the mean is 1. " .. numbers,
    use = "calibration where plain mixup blends what has nothing in common; embeddings of the model itself", avoid = "batches of a few rows, whose mean distance says little",
    stacking = softens, parameters = { alpha, { name = "tau_max", type = "number", default = 1, above = 0, below = math.huge, doc = "the rate 1/t of a pair at the mean distance: larger mixes more" },
      { name = "tau_std", type = "number", default = 0.5, above = 0, below = math.huge, doc = "width of the kernel in mean distances: smaller follows the distance more closely" },
      { name = "embeddings", type = "callable", doc = "function(x) → a row of numbers for each row, to measure distances of (model:features, say); called without gradient" }, mode, probability, in_place },
    errors = few .. "; embeddings without a row for each row, or not finite", promises = { no_self_partner = true, linear_target = true },
    example = "local warped = ls.mix.kernel_warping{ alpha = 1, embeddings = function(x) return model:features(x) end }\nlocal mixed, target, info = warped(x, labels, rng)   -- info.lambda: one for each row", options = { alpha = 1 } },
  { name = "manifold", title = "Manifold mixup", paper = "Verma et al. 2019, Manifold mixup: better representations by interpolating hidden states (ICML)",
    formula = "h' = λ h + (1-λ) h_partner where a layer drawn from `layers` begins;   q = λ 1[y] + (1-λ) 1[y_partner]",
    property = "For ls.train, or by hand through :forward. Layers are counted as children of a sequential model, from 0: the input itself. Gradients go through both rows. " .. numbers,
    use = "smoother representations; tables, where blended inputs mean little", avoid = "models that are not layers in a row; cutmix or another mix of inputs beside it",
    stacking = softens, parameters = { alpha, mode, probability, { name = "layers", type = "table", default = { 0, 1, 2 }, doc = "where mixing may take place: 0 the input, 1 after the first layer, …" } },
    errors = few .. "; a layer that the model does not have", promises = { no_self_partner = true, linear_target = true, within_model = true },
    example = "local manifold = ls.mix.manifold{ alpha = 2, layers = { 0, 2 } }", options = { alpha = 2 } },
  { name = "either", title = "One of two mixes, by chance", paper = "timm's Mixup with switch_prob; Wightman et al. 2021, ResNet strikes back",
    formula = "the first with probability p, else the second, for each batch",
    property = "What the two promise; info.kind tells which it was.", use = "mixup and cutmix together, as recipes for images do", avoid = "manifold, which mixes within a model",
    stacking = "As its two mixes: they are not applied one on the other.",
    parameters = { { name = "p", type = "number", default = 0.5, min = 0, max = 1, doc = "probability of the first" } }, errors = "another number of mixes than two", promises = {},
    example = "local either = ls.mix.either{ ls.mix.mixup{ alpha = 0.8 }, ls.mix.cutmix{ alpha = 1 }, p = 0.5 }" },
}

-- A maker's options, from its entry.
function catalogue.options_of(entry)
  local specs = {}
  for _, p in ipairs(entry.parameters) do
    specs[p.name] = given(p)
    specs[p.name].name = nil
  end
  return specs
end

local function sentence(text) return text:match "[%.…]$" and text or text .. "." end

-- What the manual says of an entry.
function catalogue.doc_of(entry)
  return table.concat({ ("%s (%s)."):format(entry.title, entry.paper), "", "    " .. entry.formula:gsub(";   ", "\n    "), "", sentence(entry.property), "",
    "Use it: " .. sentence(entry.use), "", "Avoid: " .. sentence(entry.avoid), "", "Stacking: " .. sentence(entry.stacking) }, "\n")
end

catalogue.by_name = {}
for _, entry in ipairs(catalogue.entries) do
  entry.part = "mix"
  catalogue.by_name[entry.name] = entry
  entry.make = function()
    local mix = require "lsengine.mix"
    if entry.name == "either" then return mix.either{ mix.mixup{ alpha = 0.8 }, mix.cutmix{ alpha = 1 } } end
    return mix[entry.name](given(entry.options))
  end
end

return catalogue
