#!/bin/sh
# Every request for memory of a short script refused once: an error each time, no crash. SPDX-License-Identifier: MIT
. "$(dirname "$0")/lib.sh"
cd "$work" || exit 1
cat >short.lua <<'L'
local ls = require "lsengine"
local w = ls.tensor{ {1, 2}, {3, 4} }:requires_grad()
local loss = ls.loss.cross_entropy(w, ls.target.uniform(0.1)(ls.labels{ 0, 1 }))
loss:backward()
print(loss:item())
L
cat >>short.lua <<"L"
io.stderr:write(require "lsengine.c.program".memory().allocations, " requests\n")
L
total=$("$program" run --threads 1 short.lua 2>&1 >/dev/null | sed "s/ .*//")
step=${LSENGINE_EVERY:-7} # every seventh in the short suite; LSENGINE_EVERY=1 tries all
n=1
wrong=0
refused=0
while [ $n -le "$total" ]; do
  LSENGINE_FAIL_ALLOCATION=$n "$program" run --threads 1 short.lua >out 2>err
  status=$?
  # 1: an error, said. A signal would be above 128, a sanitizer's finding something else.
  if [ $status -eq 1 ]; then refused=$((refused + 1)); fi
  if [ $status -gt 1 ] || { [ $status -eq 1 ] && ! grep -q "^lsengine: " err; }; then
    wrong=$((wrong + 1))
    echo "request $n: status $status: $(head -1 err)"
  fi
  n=$((n + step))
done
echo "of $total requests every ${step}th was refused: $refused times the run ended with an error"
if [ $wrong -eq 0 ]; then good "each refused request is an error or survived"; else bad "each refused request is an error or survived"; fi
if [ $refused -gt 100 ]; then good "more than a hundred refusals were errors"; else bad "more than a hundred refusals were errors"; fi
finish
