local ls   = require "lsengine"
local rng  = ls.rng(1)
local mine = ls.data.new{ x = ls.tensor.randn(500, 1, 12, 12, { rng = rng }), y = rng:integers(0, 3, 500), classes = 4 }:split{ test = 0.2, validation = 0.1 }
local nn   = ls.nn
local model = nn.sequential({
  nn.conv2d(1, 8, 3, { padding = 1 }), nn.relu(), nn.max_pool2d(2), nn.flatten(), nn.linear(8 * 6 * 6, 4),
}, { rng = rng })
ls.train(model, mine.train, {
  epochs = 4, batch = 50, rng = rng, optimizer = ls.optim.adamw{ lr = 1e-3 }, schedule = ls.optim.cosine{ warmup = 1 },
  validation = mine.validation, early_stopping = { metric = "nll", patience = 2 },
  on_epoch = function(epoch, metrics) print(epoch, metrics.nll) end,
})
model:save "model.npz"                                   -- plain arrays by parameter name: NumPy reads them; model:load takes a PyTorch model's, saved by NumPy
local embeddings = model:features(mine.test.x)           -- the penultimate layer
local seen, unseen = mine:split_classes{ unseen = { 2, 3 } }
local Residual = nn.module{                              -- a layer of one's own
  init    = function(self, width) self.inner = nn.linear(width, width) end,
  forward = function(self, x) return x + self.inner(x):relu() end,
}
