#!/bin/sh
# Requests for memory of a short script refused, one in each run: an error each time, no crash, no leak. SPDX-License-Identifier: MIT
# LSENGINE_EVERY=1 tries all of them, 20 minutes; the default tries about 800, spread evenly.
. "$(dirname "$0")/lib.sh"
cd "$work" || exit 1
cat >short.lua <<'L'
local ls = require "lsengine"
local rng = ls.rng(1)
local data = ls.data.new{ x = ls.tensor.randn(24, 3, { rng = rng }), y = rng:integers(0, 1, 24), classes = 2 }:split{ test = 8, validation = 8 }
ls.experiment{
  name = "short", seeds = 2, arms = { { "a", epsilon = 0 }, { "b", epsilon = 0.1 } }, allow = { "too-few-seeds" },
  trial = function(arm, rng)
    local model = ls.nn.mlp({ 3, 4, 2 }, { rng = rng, dropout = 0.1 })
    ls.train(model, data.train, { target = ls.target.uniform(arm.epsilon), epochs = 1, batch = 4, rng = rng, optimizer = ls.optim.adam{ lr = 0.01 }, clip_norm = 1 })
    model:save "short.npz"
    model:load "short.npz"
    return ls.evaluate(model, data.test, { temperature_on = data.validation })
  end,
  claims = { ls.claim{ "b", "lower", "ece_debiased", than = "a", by = 0 } },
}:run()
io.stderr:write(require "lsengine.c.program".memory().allocations, " requests\n")
L
total=$("$program" run --quiet --threads 1 short.lua 2>&1 >/dev/null | sed "s/ .*//")
step=${LSENGINE_EVERY:-$((total / 800 + 1))}
n=1
wrong=0
refused=0
tried=0
while [ $n -le "$total" ]; do
  LSENGINE_FAIL_ALLOCATION=$n "$program" run --quiet --threads 1 short.lua >out 2>err
  status=$?
  tried=$((tried + 1))
  # 1: an error, said. A signal would be above 128, a sanitizer's finding something else.
  if [ $status -eq 1 ]; then refused=$((refused + 1)); fi
  if [ $status -gt 1 ] || { [ $status -eq 1 ] && ! grep -q "^lsengine: " err; }; then
    wrong=$((wrong + 1))
    echo "request $n: status $status: $(head -1 err)"
  fi
  rm -rf results
  n=$((n + step))
done
echo "of $total requests $tried were refused: $refused times the run ended with an error"
if [ $wrong -eq 0 ]; then good "each refused request is an error or survived"; else bad "each refused request is an error or survived"; fi
if [ $refused -gt $((tried * 9 / 10)) ]; then good "nine of ten refusals were errors"; else bad "nine of ten refusals were errors"; fi
if ls short.npz.* >/dev/null 2>&1; then bad "no half-written file is left"; else good "no half-written file is left"; fi
finish
