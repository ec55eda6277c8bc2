-- The pages about pitfalls. SPDX-License-Identifier: MIT
--
-- name → raised: when; wrong: what goes wrong; see: how to see it; remedy: what to do; example: a script that raises just this one and prints a
-- number that shows the harm (tests/lua/test_pitfalls.lua runs them all). `fatal`: an error by itself.
return {
  ["stacked-softening"] = {
    raised = "a target that is softened already (by smoothing, mixing, a teacher, or given as soft rows) is softened again",
    wrong  = "Softness adds up. Two uniform smoothings ε₁ and ε₂ are one of 1-(1-ε₁)(1-ε₂): the true class gets less mass than either says, and the model learns to be less sure than it is right.",
    see    = "The warning tells the true class's expected mass and the target's entropy with and without the second softening; a confidence_gap far below 0 tells it afterwards.",
    remedy = "Soften once. Where stacking is what you study, allow it.",
    example = [[
local ls = require "lsengine"
local labels, logits = ls.labels{ 0, 1, 2, 3 }, ls.tensor.zeros(4, 10)
local smooth = ls.target.uniform(0.1)
local loader = smooth(labels)                            -- the pipeline smooths …
local loss = ls.loss.cross_entropy(logits, smooth(loader)) -- … and the loss does, too
print("mass of the true class:", loader:row(1, 10)[1], loss.target:row(1, 10)[1])
print("target's entropy:", loader:entropy(10), loss.target:entropy(10))]],
  },
  ["smoothing-regression"] = {
    raised = "a softened target meets a loss that is not categorical",
    wrong  = "A number mixed with a uniform distribution over classes means nothing: least squares learns an affine image of the target, (1-ε)·y + ε/K, and no class is told better for it.",
    see    = "It is an error by itself; allowed, mse is taken against the softened rows, and its floor moves the predictions towards the middle.",
    remedy = "Use the plain target. Binary cross-entropy takes smoothed targets: y(1-ε) + ε/2.",
    fatal  = true,
    example = [[
local ls = require "lsengine"
local labels = ls.labels{ 0, 1, 2, 3 }
local perfect = ls.tensor.one_hot(labels, 4)             -- predictions without a fault
print("mse of faultless predictions against the plain rows:", ls.loss.mse(perfect, perfect):item())
print("against smoothed ones:", ls.tensor.full(0.4 * 0.4 * 3 / 16, 1):item())
ls.loss.mse(perfect, ls.target.uniform(0.4)(labels))]],
  },
  ["epsilon-too-large"] = {
    raised = "ε is above 0.3; an error at or past the point where the true class is no longer the most probable",
    wrong  = "The gap between logits that training aims at shrinks (4.5 at ε = 0.1 with ten classes, 2.8 at 0.4), the loss cannot fall below a high floor, and past the point the labels say nothing or the opposite.",
    see    = "The warning tells the loss's floor; target:entropy(K) gives it for any target.",
    remedy = "An ε of 0.01 to 0.2, chosen on validation rows.",
    example = [[
local ls = require "lsengine"
local labels, logits = ls.labels{ 0, 1, 2, 3 }, ls.tensor.zeros(4, 10)
for _, epsilon in ipairs{ 0.1, 0.4 } do
  local target = ls.target.uniform(epsilon)(labels)
  local row = target:row(1, 10)
  print(("epsilon %g: floor of the loss %.3f nats, gap of logits %.2f"):format(epsilon, target:floor(10), math.log(row[1] / row[2])))
  ls.loss.cross_entropy(logits, target)
end]],
  },
  ["smoothed-evaluation"] = {
    raised = "a loss that was measured with softened targets is returned by a trial as a metric (the number itself, a mean of such numbers, the loss of a history), or its exponential is called a perplexity",
    wrong  = "Cross-entropy with a softened target is at least the target's own entropy: 0.500 nats at ε = 0.1 with ten classes, 1.015 with a thousand. A model without a fault looks bad, one that hedges looks good, and exp of it is no perplexity: a translation system of 51.5 was reported as 128.4 so.",
    see    = "The warning tells how much of the number is entropy. ls.evaluate, which measures against plain labels whatever the training target was, gives nll beside it.",
    remedy = "Return ls.evaluate's nll (perplexity: its exponential). Where the training loss itself is wanted, ls.loss.kl_divergence takes the entropy out.",
    example = [[
local ls = require "lsengine"
local data, results = ls.data.load "satellite", nil
results = ls.experiment{ name = "smoothed evaluation", seeds = 1, arms = { { "smoothed" } }, trial = function(_, rng)
  local model, smooth = ls.nn.mlp({ 36, 6 }, { rng = rng }), ls.target.uniform(0.1)
  ls.train(model, data.train, { target = smooth, epochs = 2, rng = rng, optimizer = ls.optim.sgd{ lr = 0.1 } })
  local loss = ls.loss.cross_entropy(model(data.test.x), smooth(data.test.y))
  return { loss = loss:item(), nll = ls.evaluate(model, data.test).nll }
end }:run().results[1][1]
print("measured with softened targets, and with plain ones:", results.loss, results.nll)]],
  },
  ["incomparable-losses"] = {
    raised = "two losses with different targets are compared: by a claim, in one column of the table of results, on one axis (history:plot of loss and nll), or as loss_a < loss_b",
    wrong  = "Each has a floor of its own, the target's entropy. The smoothed arm's loss is higher by about that much whatever the model is worth, and its validation curve cannot be laid over the plain one.",
    see    = "The warning tells both floors.",
    remedy = "Compare nll (against plain labels, for every arm), or ls.loss.kl_divergence, whose floor is 0 for every target.",
    example = [[
local ls = require "lsengine"
local rng = ls.rng(1)
local labels, logits = rng:integers(0, 9, 100), ls.tensor.randn(100, 10, { rng = rng })
logits = logits + ls.tensor.one_hot(labels, 10) * 6      -- one model, judged twice
local plain  = ls.loss.cross_entropy(logits, labels)
local smooth = ls.loss.cross_entropy(logits, ls.target.uniform(0.1)(labels))
print("the same model, twice:", plain:item(), smooth:item())
print("is it better than itself?", plain < smooth)]],
  },
  ["smoothed-teacher"] = {
    raised = "a model that was trained with smoothing is the teacher in a distillation at a temperature above 1",
    wrong  = "What a student learns from is how the wrong classes differ. Smoothing asks for equal probabilities of all wrong classes; a temperature above 1 then raises this even part above what differs (Müller et al. 2019; Chandrasegaran et al. 2022: ResNet-50 to ResNet-18, 71.4 % against 68.9 % at temperature 2).",
    see    = "The warning tells what such a teacher gives to the true class and to each other one. model:trained_with() tells how any model was trained.",
    remedy = "A teacher trained on plain labels; or temperature 1 for a smoothed one.",
    example = [[
local ls = require "lsengine"
local data, rng = ls.data.load "satellite", ls.rng(1)
local teacher = ls.nn.mlp({ 36, 32, 6 }, { rng = rng })
ls.train(teacher, data.train, { target = ls.target.uniform(0.1), epochs = 3, rng = rng, optimizer = ls.optim.sgd{ lr = 0.1, momentum = 0.9 } })
local student = ls.nn.mlp({ 36, 16, 6 }, { rng = rng })
ls.train(student, data.train, { loss = ls.loss.distillation{ teacher = teacher, temperature = 4 }, epochs = 3, rng = rng, optimizer = ls.optim.sgd{ lr = 0.1, momentum = 0.9 } })
local p = (teacher(data.test.x) / 4):softmax()
print("the teacher's largest probability at temperature 4:", p:max(2):mean():item(), "trained on", teacher:trained_with()[1].target)]],
  },
  ["smoothed-embedding"] = {
    raised = "embeddings of a model that was trained with smoothing are judged on classes or data that it was not trained on (retrieval, neighbours, clusters, or a model trained on its features), with no one-hot model beside it in the run",
    wrong  = "Smoothing pulls rows of a class together and keeps what tells the classes of training apart; what would tell others apart is lost (Kornblith et al. 2021; ImageNet features, linear probe on flowers 91.0 % without and 84.8 % with smoothing). A number alone does not show it.",
    see    = "The same measure of a model trained on plain labels, with the same seeds. The warning tells in how many directions the features vary.",
    remedy = "An arm with ls.target.one_hot(). It is said at the end of the run, so that the arm may come later.",
    example = [[
local ls = require "lsengine"
local seen, unseen = ls.data.load("satellite"):split_classes{ unseen = { 4, 5 } }
local rng = ls.rng(1)
local model = ls.nn.mlp({ 36, 64, 4 }, { rng = rng })
ls.train(model, seen.train, { target = ls.target.uniform(0.1), epochs = 3, rng = rng, optimizer = ls.optim.sgd{ lr = 0.1, momentum = 0.9 } })
local function features(part) return ls.data.new{ x = model:features(part.x), y = part.y, classes = 2 }.train end
local probe = ls.nn.mlp({ 64, 2 }, { rng = rng })
ls.train(probe, features(unseen.train), { epochs = 3, rng = rng, optimizer = ls.optim.sgd{ lr = 0.1 } })
print("accuracy of a linear model on the features of unseen classes:", ls.evaluate(probe, features(unseen.test)).accuracy)]],
  },
  ["calibration-without-temperature"] = {
    raised = "a claim is about a calibration measure whose trials have no temperature-scaled companion (ece_ts for ece, …)",
    wrong  = "Temperature scaling alone repairs most overconfidence, and costs nothing in training. A softening that helps only without it may not be worth its price.",
    see    = "The difference between the arms' ece_debiased and between their ece_debiased_ts.",
    remedy = "Pass temperature_on (validation rows) to ls.evaluate, and claim the scaled measure, too.",
    example = [[
local ls = require "lsengine"
local data = ls.data.load("satellite"):split{ validation = 0.2 }
local scaled = {}
ls.experiment{ name = "without temperature", seeds = 6, arms = { { "one-hot", e = 0 }, { "smoothed", e = 0.1 } }, trial = function(arm, rng)
  local model = ls.nn.mlp({ 36, 32, 6 }, { rng = rng })
  ls.train(model, data.train, { target = ls.target.uniform(arm.e), epochs = 2, rng = rng, optimizer = ls.optim.sgd{ lr = 0.1 } })
  scaled[arm.name] = ls.evaluate(model, data.test, { temperature_on = data.validation }).ece_debiased_ts
  return { ece_debiased = ls.evaluate(model, data.test).ece_debiased }
end, claims = { ls.claim{ "smoothed", "lower", "ece_debiased", than = "one-hot", by = 0.01 } } }:run()
print("what is left after scaling (last seed):", scaled["one-hot"], scaled.smoothed)]],
  },
  ["too-few-seeds"] = {
    raised = "a claim rests on fewer than six paired seeds",
    wrong  = "The exact sign-flip test cannot reach the level .025 with fewer than six pairs whatever the data say, and the t interval leans on normality alone.",
    see    = "The smallest p value that n pairs allow is 2⁻ⁿ: .031 for five.",
    remedy = "Ten seeds, or more: an inconclusive verdict says how many would decide.",
    example = [[
local ls = require "lsengine"
local outcome = ls.experiment{ name = "few seeds", seeds = 3, arms = { { "a", m = 0 }, { "b", m = 0.1 } },
  trial = function(arm, rng) return { score = arm.m + 0.1 * rng:normal() } end,
  claims = { ls.claim{ "b", "higher", "score", than = "a", by = 0 } } }:run()
print("the smallest p that the signs of three pairs allow:", outcome.verdicts[1].sign_flip, 2 ^ -3)]],
  },
  ["unequal-tuning"] = {
    raised = "a claim compares arms of which one was tuned more than the other: the arms say `tuned = 12` (the best of 12 configurations; true for an unknown number), or a trial shows it, by judging three models or more of one shape on rows that are not those of its result",
    wrong  = "The best of many is ahead of the average one even where all are equally good: by 1.16 standard deviations of five, 1.63 of twelve. An arm that was tuned beats one that was not for that reason alone.",
    see    = "The warning tells the numbers of configurations and the lead that chance gives.",
    remedy = "Give every arm the same search, within the trial, on validation rows; say `tuned` for each where it was done elsewhere.",
    example = [[
local ls = require "lsengine"
local outcome = ls.experiment{ name = "unequal tuning", seeds = 10, arms = { { "default" }, { "searched", tuned = 12 } }, trial = function(arm, rng)
  local best = -math.huge                                -- all configurations are equally good
  for _ = 1, arm.tuned or 1 do best = math.max(best, 0.9 + 0.01 * rng:normal()) end
  return { accuracy = best }
end, claims = { ls.claim{ "searched", "higher", "accuracy", than = "default", by = 0.005 } } }:run()
print("verdict:", outcome.verdicts[1].verdict, "by", outcome.verdicts[1].mean)]],
  },
  ["temperature-on-used-rows"] = {
    raised = "ls.evaluate fits the temperature on the very rows that it judges, or on those that the model was trained on",
    wrong  = "A temperature fitted on the judged rows has seen their labels: what it repairs there says little of others. Fitted on rows that the model was trained on, where it is right more often, it leaves it as sure as before.",
    see    = "The warning tells the temperature, and the accuracy on both. Compare ece_debiased_ts with that of rows set apart.",
    remedy = "Validation rows: data:split{ validation = 0.2 }, temperature_on = data.validation.",
    example = [[
local ls = require "lsengine"
local data, rng = ls.data.load("satellite"):split{ validation = 0.2 }, ls.rng(1)
local model = ls.nn.mlp({ 36, 256, 6 }, { rng = rng })
ls.train(model, data.train, { epochs = 20, batch = 32, rng = rng, optimizer = ls.optim.sgd{ lr = 0.1, momentum = 0.9 } })
local apart = ls.evaluate(model, data.test, { temperature_on = data.validation })
local used  = ls.evaluate(model, data.test, { temperature_on = data.train })
print("temperature:", apart.temperature, used.temperature)
print("nll after scaling:", apart.nll_ts, used.nll_ts)]],
  },
  ["selection-on-judged-rows"] = {
    raised = "a model whose epoch was chosen by early stopping on some rows is judged by ls.evaluate on the same rows",
    wrong  = "The best of many epochs is the best there by chance as well: the number is too good, and the more so the more epochs were looked at and the fewer the rows are.",
    see    = "The same model on rows set apart.",
    remedy = "Three parts: data:split{ validation = 0.2 }, validation = data.validation in ls.train, data.test in ls.evaluate.",
    example = [[
local ls = require "lsengine"
local data, rng = ls.data.load "letter", ls.rng(1)
local few, rest = data.test:subset(ls.rng(1):permutation(100)), data.test
local model = ls.nn.mlp({ 16, 64, 26 }, { rng = rng })
ls.train(model, data.train, { epochs = 12, rng = rng, optimizer = ls.optim.sgd{ lr = 0.1, momentum = 0.9 },
  validation = few, early_stopping = { metric = "accuracy", patience = 12 } })
print("accuracy on the rows that chose the epoch, and on all:", ls.evaluate(model, few).accuracy, ls.evaluate(model, rest).accuracy)]],
  },
  ["ece-below-null"] = {
    raised = "a claim is about ece (or ece_ts) between arms that both lie at or below its null level, what a calibrated model's ece would be on as many rows",
    wrong  = "The plain error of a model without a fault is not zero: .028 with a thousand rows and 15 bins. Below that, differences are noise, or differences in confidence that move the null level itself.",
    see    = "ece_null beside ece.",
    remedy = "Claim ece_debiased, whose expectation is 0 for a calibrated model; judge more rows.",
    example = [[
local ls = require "lsengine"
local trial = function(_, rng)                           -- two calibrated models: nothing to find
  local logits = ls.tensor.randn(300, 5, { rng = rng })
  local p, y = logits:softmax():totable(), {}
  for i, row in ipairs(p) do
    local u, k = rng:random(), 1
    while k < 5 and u > row[k] do u, k = u - row[k], k + 1 end
    y[i] = k - 1
  end
  local m = ls.evaluate(ls.nn.sequential{ ls.nn.flatten() }, ls.data.new{ x = logits, y = ls.labels(y), classes = 5 }.train)
  return { ece = math.min(m.ece, m.ece_null), ece_ts = m.ece, ece_null = m.ece_null, ece_debiased = m.ece_debiased }
end
local r = ls.experiment{ name = "ece of calibrated models", seeds = 6, arms = { { "a" }, { "b" } }, trial = trial,
  claims = { ls.claim{ "a", "lower", "ece", than = "b", by = 0.01 } } }:run().results
print("ece, its null level, ece_debiased:", r[1][1].ece, r[1][1].ece_null, r[1][1].ece_debiased)]],
  },
}
