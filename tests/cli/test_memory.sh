#!/bin/sh
# Every request for memory of short scripts refused once: an error each time, no crash, no leak. SPDX-License-Identifier: MIT
. "$(dirname "$0")/lib.sh"
cd "$work" || exit 1
cat >loss.lua <<'L'
local ls = require "lsengine"
local w = ls.tensor{ {1, 2}, {3, 4} }:requires_grad()
local loss = ls.loss.cross_entropy(w, ls.target.uniform(0.1)(ls.labels{ 0, 1 }))
loss:backward()
print(loss:item())
L
cat >model.lua <<'L'
local ls = require "lsengine"
local rng = ls.rng(1)
local x = ls.tensor.randn(12, 3, { rng = rng })
local data = ls.data.new{ x = x, y = rng:integers(0, 1, 12), classes = 2 }.train
local model = ls.nn.mlp({3, 4, 2}, { rng = rng, dropout = 0.1 })
ls.train(model, data, { target = ls.target.prior(0.1, { 0.5, 0.5 }), epochs = 1, batch = 8, rng = rng, optimizer = ls.optim.adam{ lr = 0.01 }, clip_norm = 1 })
os.remove "ckpt.npz"
local function go_on()
  local images = ls.data.new{ x = x:reshape(12, 1, 3, 1), y = data.y, classes = 2 }.train
  local stream = ls.rng(2)
  ls.train(ls.nn.mlp({3, 2}, { rng = stream }), images, { epochs = 2, batch = 4, accumulate = 2, rng = stream, optimizer = ls.optim.adam{ lr = 0.01 },
    validation = images, early_stopping = { metric = "nll", patience = 5 }, average = {}, class_weights = "balanced",
    augment = { ls.augment.shift{ pixels = 1 }, ls.augment.erase{} }, checkpoint = { file = "ckpt.npz" } }):plot "nll"
end
go_on()
go_on()
model:save "model.npz"
x:save "x.npy"
assert(model:load "model.npz" and ls.tensor.load "x.npy":hash() == x:hash())
print(ls.evaluate(model, data, { temperature_on = data }).nll)
L
cat >trials.lua <<'L'
local ls = require "lsengine"
local outcome = ls.experiment{ name = "short", seeds = 6, arms = { { "a", epsilon = 0 }, { "b", epsilon = 0.1 } },
  trial = function(arm, rng) return { loss = arm.epsilon + rng:random() } end,
  claims = { ls.claim{ "a", "lower", "loss", than = "b", by = 0.01 } } }:run()
assert(require "lsengine.c.json".decode(io.open(outcome.file):read()).kind == "experiment")
L
all=0
wrong=0
refused=0
for script in loss model trials; do
  cp $script.lua counted.lua
  cat >>counted.lua <<'L'
io.stderr:write(require "lsengine.c.program".memory().allocations, " requests\n")
L
  total=$("$program" run --quiet --threads 1 counted.lua 2>&1 >/dev/null | sed -n "s/ requests//p")
  step=${LSENGINE_EVERY:-$((total / 150 + 1))} # some 150 of each in the short suite; LSENGINE_EVERY=1 tries all
  n=1
  tried=0
  while [ $n -le "$total" ]; do
    LSENGINE_FAIL_ALLOCATION=$n "$program" run --quiet --threads 1 $script.lua >out 2>err
    status=$?
    tried=$((tried + 1))
    # 1: an error, said. A signal would be above 128, a sanitizer's finding something else.
    if [ $status -eq 1 ]; then refused=$((refused + 1)); fi
    if [ $status -gt 1 ] || { [ $status -eq 1 ] && ! grep -q "^lsengine: " err; } || grep -q "Sanitizer" err; then
      wrong=$((wrong + 1))
      echo "$script.lua, request $n: status $status: $(head -3 err)"
    fi
    n=$((n + step))
  done
  all=$((all + tried))
  echo "$script.lua: $tried of $total requests were refused"
  rm -rf results
done
echo "of $all runs $refused ended with an error"
if [ $wrong -eq 0 ]; then good "each refused request is an error or survived"; else bad "each refused request is an error or survived"; fi
if [ $refused -gt 300 ]; then good "more than 300 refusals were errors"; else bad "more than 300 refusals were errors"; fi
if ls ./*.part ./*.npz.* >left 2>/dev/null; then bad "no unfinished file is left: $(cat left)"; else good "no unfinished file is left"; fi
finish
