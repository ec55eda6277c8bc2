-- 03. Does label smoothing harm retrieval?
--
-- Claimed. Müller, Kornblith and Hinton (2019): smoothing draws the rows of a class together in "tight clusters". Kornblith et al. (2021): its class separation R² is higher
-- (.349 to .420 on ImageNet) and its features are worse for other tasks; MaxSup (2025, table 12) finds linear probes on other data worse by up to six points. The
-- folklore that cites them says that "embeddings cluster less tightly", which is the opposite, and that retrieval suffers. Of held-out rows of the classes trained on, no paper says so.
--
-- So four questions, which are never mixed, each an experiment with claims of its own:
--   same    held-out rows of the classes that the model was trained on, and how tightly they cluster
--   unseen  rows of classes that it never saw: half of the classes, drawn by the seed; retrieval, a linear probe and five nearest neighbours on its features
--   finer   rows judged by finer labels than those trained on: the classes of the data, by a model that learned groups of them (`groups`, below)
--   another rows of another data set: digits by a model of Fashion-MNIST and the reverse, both as images of 8×8, which a mean over 4×4 makes of a garment as it made the digits
-- Each on the features, the input of the last layer, and on the logits. Ranks are by cosine, which no temperature and no scale of the features changes, so nothing that is done to
-- the logits afterwards repairs them.
--
-- Is it the features, or only that one model is right more often than the other? Two arms are held to the same accuracy: of the one-hot and the smoothed model of a seed, the one that is
-- right more often at its end is taken at the epoch at which it was as good as the other one is at its end; on test rows that are not judged otherwise.
--
--   lsengine run experiments/03-retrieval.lua                          satellite: 10 to 90 seconds
--   lsengine run experiments/03-retrieval.lua --set question=unseen    one of the questions; another needs --set data=digits or fashion-mnist
--   lsengine run experiments/03-retrieval.lua --set data=letter        digits, fashion-mnist: the longer ones
local ls = require "lsengine"
local o  = ls.options{ data = "satellite", question = "all", epochs = 0, rows = 1000, metric = "cosine" }

-- groups[class]: what the question `finer` trains on
local settings = {
  satellite         = { mlp = { 36, 128 }, epochs = 20, batch = 64, lr = 0.1,
    groups = { [0] = 0, 1, 2, 2, 1, 2 } },                   -- red soil, what grows (cotton, stubble), grey soil (three of dampness)
  letter            = { mlp = { 16, 128 }, epochs = 15, batch = 64, lr = 0.1,                                 -- by their strokes:
    groups = { [0] = 4, 3, 2, 3, 1, 1, 2, 1, 0, 0, 4, 0, 4, 4, 2, 3, 2, 3, 2, 0, 2, 4, 4, 4, 4, 4 } },     -- stem IJLT, arms EFH, round CGOQSU, bowl BDPR, diagonal AKMNVWXYZ
  digits            = { image = { 1, 8, 8 }, epochs = 30, batch = 64, lr = 0.05, another = "fashion-mnist",
    groups = { [0] = 0, 1, 2, 2, 1, 2, 0, 1, 0, 0 } },       -- with a loop (0 6 8 9), straight (1 4 7), open curves (2 3 5)
  ["fashion-mnist"] = { mlp = { 784, 128 }, epochs = 6, batch = 128, lr = 0.1, train = 12000,  -- rows to train on, drawn by the seed
    groups = { [0] = 0, 1, 0, 0, 0, 2, 0, 2, 3, 2 },         -- for the upper body, trousers, shoes, bags
    another = "digits", small = { image = { 1, 8, 8 }, epochs = 6, batch = 64, lr = 0.05, train = 12000 } },
}
local set    = settings[o.data] or error("--set data is " .. o.data .. ", allowed are satellite, letter, digits, fashion-mnist")
if not ({ all = 1, same = 1, unseen = 1, finer = 1, another = 1 })[o.question] then
  error("--set question is " .. o.question .. ", allowed are all, same, unseen, finer, another")
end
if o.question == "another" and not set.another then error("--set question=another is about images: it needs --set data=digits or data=fashion-mnist, not " .. o.data) end
local data = ls.data.load(o.data)

-- `most` rows, drawn; of a test set half the rows at most, so that others are left: their positions, too.
local function draw(part, rng, most) return part:subset(rng:permutation(#part):narrow(1, math.min(#part, most))) end
local function halves(part, rng)
  local order, n = rng:permutation(#part), math.min(#part // 2, o.rows)
  return order:narrow(1, n), order:narrow(n + 1, math.min(#part - n, 2 * o.rows))
end

-- How many epochs a model with these settings learns.
local function epochs_of(set) return o.epochs ~= 0 and o.epochs or set.epochs end

-- Training by the settings `set`: what `measure` gives at epoch `at`, and the accuracy on the rows `watched` after each epoch.
local function train(set, part, watched, epsilon, rng, at, measure)
  local model, accuracies, measured = nil, {}, nil
  if set.mlp then
    local sizes = { table.unpack(set.mlp) }
    sizes[#sizes + 1] = part.classes
    model = ls.nn.mlp(sizes, { rng = rng, init = "he_normal" })
  else
    model = ls.nn.convnet({ input = set.image, classes = part.classes }, { rng = rng })
  end
  ls.train(model, set.train and draw(part.train, rng:spawn "rows", set.train) or part.train, {
    target = ls.target.uniform(epsilon), epochs = epochs_of(set), batch = set.batch, rng = rng, validation = watched,
    optimizer = ls.optim.sgd{ lr = set.lr, momentum = 0.9 }, schedule = ls.optim.cosine{},
    on_epoch = function(epoch, metrics)
      accuracies[epoch] = metrics.accuracy
      if epoch == at then measured = measure(model) end
    end,
  })
  return measured, accuracies
end

-- The epoch at which a model was as good as `goal`: the last of the nearest.
local function nearest_epoch(accuracies, goal)
  local best = 1
  for epoch, accuracy in ipairs(accuracies) do
    if math.abs(accuracy - goal) <= math.abs(accuracies[best] - goal) then best = epoch end
  end
  return best
end

local arms = { { "one-hot", epsilon = 0 } }
for i, epsilon in ipairs{ 0.05, 0.1, 0.2 } do arms[i + 1] = { ("smoothed %g"):format(epsilon), epsilon = epsilon } end
arms[5] = { "one-hot, held", epsilon = 0, other = 0.1 }
arms[6] = { "smoothed 0.1, held", epsilon = 0.1, other = 0 }

-- Retrieval by both layers, as it is claimed: worse.
local function measures_of(both)
  return { map_at_r = both.features.map_at_r, map_at_r_logits = both.logits.map_at_r, recall_1 = both.features.recall[1], recall_1_logits = both.logits.recall[1] }
end
local function claims_and(own)
  local list = {
    ls.claim{ "smoothed 0.1", "lower", "map_at_r", than = "one-hot", by = 0.01 },
    ls.claim{ "smoothed 0.1", "lower", "map_at_r_logits", than = "one-hot", by = 0.01 },
    ls.claim{ "smoothed 0.1", "lower", "recall_1", than = "one-hot", by = 0.01 },
    ls.claim{ "smoothed 0.1", "equal", "accuracy", than = "one-hot", within = 0.005 },
    -- where both are right equally often
    ls.claim{ "smoothed 0.1, held", "lower", "map_at_r", than = "one-hot, held", by = 0.01 },
  }
  return table.move(own, 1, #own, #list + 1, list)
end

-- What the features of a model are worth for the classes of `taught` and `test`, which it never saw: the accuracy of a linear probe, and of five nearest neighbours.
local function transfer(model, taught, test)
  local x, y, judged = model:features(taught.x), taught.y, model:features(test.x)
  local probe = ls.eval.probe(x, y, judged, test.y, { validation = 0.25, l2 = { 0.1, 0.01, 0.001, 0.0001 }, tolerance = 1e-4 })
  local votes = ls.knn.classify(ls.knn.index(x, { metric = o.metric }), y, judged, { k = 5 })
  return probe.accuracy, ls.eval.classification(votes, test.y, { probabilities = true }).accuracy
end
local transfers = {
  ls.claim{ "smoothed 0.1", "lower", "probe", than = "one-hot", by = 0.01 },
  ls.claim{ "smoothed 0.1", "lower", "five_nearest", than = "one-hot", by = 0.01 },
  ls.claim{ "smoothed 0.1, held", "lower", "probe", than = "one-hot, held", by = 0.01 },
}

-- prepare(rng) gives the data that a seed trains on, the rows on which accuracies are held equal, and measure(model), a table of numbers.
local function ask(question, set, asks, prepare, claims)
  if o.question ~= "all" and o.question ~= question then return end
  local epochs = epochs_of(set)
  ls.experiment{
    name  = ("03 retrieval, %s: %s (%s)"):format(question, asks, o.data),
    seeds = 10,
    arms  = arms,
    trial = function(arm, rng, seed, once) -- nothing is trained twice for a seed
      local part, watched, measure = once("question", function() return prepare(rng:spawn "question") end)
      local function run(epsilon, at)
        return once(("%g at %d"):format(epsilon, at), function() return train(set, part, watched, epsilon, ls.rng(seed), at, measure) end)
      end
      local own, accuracies = run(arm.epsilon, epochs)
      if not arm.other then return own end
      local _, others = run(arm.other, epochs)
      return (run(arm.epsilon, accuracies[epochs] > others[epochs] and nearest_epoch(accuracies, others[epochs]) or epochs))
    end,
    claims = claims_and(claims),
  }:run()
end

ask("same", set, "held-out rows of the classes trained on", function(rng)
  local judged, others = halves(data.test, rng)
  local test, trained = data.test:subset(judged), draw(data.train, rng, o.rows)
  return data, data.test:subset(others), function(model)
    local m = measures_of(ls.eval.retrieval_protocols(model, { same = test, metric = o.metric }).same)
    local tight = ls.eval.geometry(model:features(test.x), test.y)
    m.accuracy, m.r2, m.within, m.total = ls.evaluate(model, data.test).accuracy, tight.class_separation, tight.within, tight.total
    m.r2_trained = ls.eval.geometry(model:features(trained.x), trained.y).class_separation
    return m
  end
end, {
  -- the papers: tighter clusters, of the rows trained on (Müller et al.) and of others (Kornblith et al.); the folklore: less tight ones
  ls.claim{ "smoothed 0.1", "higher", "r2_trained", than = "one-hot", by = 0.02 },
  ls.claim{ "smoothed 0.1", "higher", "r2", than = "one-hot", by = 0.02 },
  ls.claim{ "smoothed 0.1", "lower", "r2", than = "one-hot", by = 0.02 },
})

ask("unseen", set, "classes never seen", function(rng)
  local half = rng:permutation(data.classes):narrow(1, data.classes // 2):map(function(k) return k - 1 end)
  local seen, unseen = data:split_classes{ unseen = half }
  local test, taught = draw(unseen.test, rng, o.rows), draw(unseen.train, rng, 2 * o.rows)
  return seen, draw(seen.test, rng, 2 * o.rows), function(model)
    local m = measures_of(ls.eval.retrieval_protocols(model, { unseen = test, metric = o.metric }).unseen)
    m.accuracy = ls.evaluate(model, seen.test).accuracy -- on the classes trained on
    m.probe, m.five_nearest = transfer(model, taught, test)
    return m
  end
end, transfers)

ask("finer", set, "finer labels than those trained on", function(rng)
  local groups = data:relabel(set.groups)
  local judged, others = halves(data.test, rng)
  local fine = data.test:subset(judged)
  return groups, groups.test:subset(others), function(model)
    local m = measures_of(ls.eval.retrieval_protocols(model, { finer = fine, finer_labels = fine.y, metric = o.metric }).finer)
    m.accuracy = ls.evaluate(model, groups.test).accuracy -- of the groups
    return m
  end
end, {})

if not set.another then return end

-- A part's images as 8×8: garments of 28×28 with a border of two, then means over 4×4, which is how the digits were made of bitmaps of 32×32.
local mean_of_4 = ls.nn.avg_pool2d(4, { padding = 2 })
local function at_8(part)
  local x = part.x:shape()[4] == 8 and part.x or ls.no_grad(mean_of_4, part.x)
  return ls.data.new{ x = x, y = part.y, classes = part.classes, name = part.name }.train
end

ask("another", set.small or set, "rows of another data set, " .. set.another, function(rng)
  local other = ls.data.load(set.another)
  local own = { train = at_8(data.train), test = at_8(data.test), classes = data.classes }
  local test, taught = at_8(draw(other.test, rng, o.rows)), at_8(draw(other.train, rng, 2 * o.rows))
  return own, draw(own.test, rng, 2 * o.rows), function(model)
    local m = measures_of(ls.eval.retrieval_protocols(model, { unseen = test, metric = o.metric }).unseen)
    m.accuracy = ls.evaluate(model, own.test).accuracy -- on the data set trained on
    m.probe, m.five_nearest = transfer(model, taught, test)
    return m
  end
end, transfers)
