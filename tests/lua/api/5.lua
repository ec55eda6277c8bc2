-- Judging predictions from another framework: the files first, then the script of the contract.
do
  local ls = require "lsengine"
  local rng, data = ls.rng(1), ls.data.load("digits").test
  local model = ls.nn.mlp({64, 32, 10}, { rng = rng })
  ls.train(model, data, { epochs = 3, rng = rng, optimizer = ls.optim.sgd{ lr = 0.1, momentum = 0.9 } })
  model(data.x):detach():save "logits.npy"
  model:features(data.x):detach():save "embeddings.npy"
  local header = ("{'descr': '<i8', 'fortran_order': False, 'shape': (%d,), }"):format(#data.y) -- as NumPy writes integers
  header = header .. (" "):rep(-(#header + 11) % 64) .. "\n"
  local file <close> = assert(io.open("labels.npy", "wb"))
  file:write("\x93NUMPY\1\0", string.pack("<I2", #header), header)
  for i = 1, #data.y do file:write(string.pack("<i8", data.y[i])) end
end

local ls = require "lsengine"
local logits, labels = ls.tensor.load "logits.npy", ls.tensor.load "labels.npy"
local calibration = ls.eval.calibration(logits, labels, { bins = 15 })
print(calibration.ece, calibration.mce, calibration.adaptive_ece, calibration.classwise_ece, calibration.temperature)
ls.plot.reliability(calibration):save "reliability.svg"  -- .svg, .pdf, .png by the ending

local embeddings = ls.tensor.load "embeddings.npy"
local retrieval = ls.eval.retrieval(embeddings, labels, { metric = "cosine", at = {1, 5, 10} })
print(retrieval.recall[1], retrieval.recall[10], retrieval.map_at_r, retrieval.r_precision)
local index = ls.knn.index(embeddings, { metric = "l2" })
local distances, neighbours = index:search(embeddings, 10, { exclude_self = true })   -- exact; ties go to the lower row; neighbours: row positions from 1
local clusters = ls.eval.clustering(embeddings, labels)  -- class_separation, within, between, silhouette, nmi, …
assert(distances:size(1) == #labels and #neighbours == #labels)
print(clusters.class_separation, clusters.within, clusters.between, clusters.silhouette, clusters.nmi)
