#!/bin/sh
# The harness's short form: every subject is there with a time above 0; what it does not know is refused. No time is judged.
# SPDX-License-Identifier: MIT
set -u
here=$(cd "$(dirname "$0")" && pwd)
passed=0 failed=0
verdict() { # NAME STATUS
  if [ "$2" = 0 ]; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "failed: $1"; fi
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
json=$("$here/bench" "$1" --quick --json --picture="$work/bars.svg")
verdict "the short form ends well" $?
timed() { tr '{' '\n' | grep -c '"item":"[^"]*","low":[0-9.e-]*[1-9][0-9.e-]*,"median":[0-9.e-]*[1-9][0-9.e-]*,'; }
complete() { # SUBJECT COUNT: so many items with a time above 0
  [ "$(echo "$json" | sed 's/"facts"/\n/g' | grep -F "\"name\":\"$1\"" | timed)" = "$2" ]
}
for shape in 64x10 32x1000; do
  complete "cross-entropy $shape" 24
  verdict "twelve items at one and two threads for $shape, each with its time" $?
done
complete "epoch of the mlp, batch 128" 2 && complete "step of 64-128-10, batch 64" 4 && complete "Lua on the tape" 6 && complete start 2 && complete "memory of training the convnet, batch 128" 3
verdict "training, the tape, the start and memory, each with its figures" $?
[ "$(echo "$json" | grep -o '"mean loss [a-zA-Z. ]*":[0-9.e-]*' | cut -d: -f2 | sort -u | wc -l)" = 1 ]
verdict "the step from C and by ls.train is one training" $?
json=$(echo "$json" | sed 's/"median":[0-9.e-]*/"median":0/')
! complete "limits of the machine" 7
verdict "an item without its time is noticed" $?
if command -v gnuplot >/dev/null 2>&1; then
  grep -q "cross-entropy 64x10, smoothed against copy" "$work/bars.svg" 2>/dev/null
  verdict "the picture names its bars" $?
fi
text=$("$here/bench" "$1" --quick --jsn 2>&1)
[ $? = 2 ] && [ "${text#*unknown option}" != "$text" ]
verdict "an unknown option is refused" $?
text=$("$here/bench" "$1" --only=nothing 2>&1)
[ $? != 0 ] && [ "${text#*no subject}" != "$text" ]
verdict "a subject that is not there is refused" $?
echo "tally: $passed passed, $failed failed, 0 skipped"
[ $failed = 0 ]
