#!/bin/sh
# Plots: gnuplot interrupted, killed, and under a memory limit leaves no process, no half picture, no temporary file. SPDX-License-Identifier: MIT
. "$(dirname "$0")/lib.sh"
cd "$work" || exit 1
mkdir bin pictures tmp
export TMPDIR="$work/tmp"
cat >plot.lua <<'L'
local ls = require "lsengine"
local z = ls.tensor{ { 1, 0 }, { 0, 1 }, { 2, 0 }, { 0, 3 }, { 1, 0 } }
ls.plot.reliability(ls.eval.calibration(z, { 0, 1, 0, 1, 1 })):save(os.getenv "PICTURE")
L
export PICTURE="$work/pictures/r.svg"

# A gnuplot that never ends.
printf '#!/bin/sh\necho $$ >"%s/pid"\nexec sleep 60\n' "$work" >bin/gnuplot
chmod +x bin/gnuplot
PATH="$work/bin:$PATH" "$program" run --quiet plot.lua --results results >"$work/out" 2>"$work/err" &
engine=$!
waited=0
while [ ! -s pid ] && [ $waited -lt 200 ]; do sleep 0.1; waited=$((waited + 1)); done
kill -INT $engine
wait $engine
status=$?
if [ $status -eq 130 ]; then good "Ctrl-C while gnuplot draws ends the program with 130"; else echo "status $status" >>"$work/err"; bad "Ctrl-C while gnuplot draws ends the program with 130"; fi
sleep 0.2
if [ -s pid ] && ! kill -0 "$(cat pid)" 2>/dev/null; then good "and gnuplot with it"; else bad "and gnuplot with it"; fi
if [ -z "$(ls pictures tmp 2>/dev/null | grep -v ':$' | grep .)" ]; then good "and leaves no file"; else ls pictures tmp >"$work/err"; bad "and leaves no file"; fi

# One that dies, one that draws half and dies.
printf '#!/bin/sh\nkill -SEGV $$\n' >bin/gnuplot
expect "a gnuplot that crashes is an error" 1 "gnuplot" env PATH="$work/bin:$PATH" "$program" run --quiet plot.lua --results results
printf '#!/bin/sh\necho "<svg"\nexit 3\n' >bin/gnuplot
expect "a gnuplot that fails is an error" 1 "gnuplot" env PATH="$work/bin:$PATH" "$program" run --quiet plot.lua --results results
if [ -z "$(ls pictures)" ]; then good "no half picture is left"; else ls pictures >"$work/err"; bad "no half picture is left"; fi

# Memory: a picture, or an error that says so.
if command -v gnuplot >/dev/null 2>&1; then
  for limit in 1M 2M 3M 4M 6M 8M; do
    rm -f "$PICTURE"
    "$program" run --quiet plot.lua --results results --mem-limit $limit >"$work/out" 2>"$work/err"
    status=$?
    if { [ $status -eq 0 ] && grep -q "</svg>" "$PICTURE"; } || { [ $status -eq 1 ] && grep -q "memory" "$work/err" && [ ! -e "$PICTURE" ]; }; then good "memory of $limit: a picture, or an error that says so"
    else echo "status $status" >>"$work/err"; bad "memory of $limit: a picture, or an error that says so"; fi
  done
  if [ -z "$(ls tmp)" ]; then good "no temporary file is left"; else ls tmp >"$work/err"; bad "no temporary file is left"; fi
else
  skipped=$((skipped + 7))
fi
finish
