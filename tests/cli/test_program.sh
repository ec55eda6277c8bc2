#!/bin/sh
# The command line: exit codes, messages, what scripts may not do. SPDX-License-Identifier: MIT
. "$(dirname "$0")/lib.sh"
cd "$work" || exit 1

script() { cat >"$1.lua"; }

expect "no command is an error of use" 2 "a command is missing, known are doctor, evaluate, help, new, run, schemes, version" "$program"
expect "an unknown command suggests" 2 "did you mean run?" "$program" rnu
expect "version" 0 "lsengine 0." "$program" version
expect "doctor finds the shipped data" 0 "/satellite" "$program" doctor
expect "help lists exit codes" 0 "130 interrupted" "$program" help
expect "help of a command" 0 "--seeds N" "$program" help run
expect "help asked of a command" 0 "--seeds N" "$program" run x.lua --help
expect "help of evaluate" 0 "--labels FILE" "$program" evaluate -h
expect "help of a function" 0 "Label smoothing" "$program" help ls.target.uniform
expect "help of nothing known suggests" 2 "did you mean ls.nn.mlp?" "$program" help ls.nn.mpl
expect "an unknown option suggests" 2 "did you mean --threads?" "$program" run --theads 3 x.lua
expect "an option without its value" 2 "--seeds needs a value" "$program" run x.lua --seeds
expect "an option out of range" 2 '--threads is "0", a whole number from 1 to 256 is required' "$program" run --threads=0 x.lua
expect "a missing script" 1 "none.lua" "$program" run none.lua
expect "two scripts" 2 "run takes one script, 2 were given" "$program" run a.lua b.lua

script fails <<'L'
local ls = require "lsengine"
local function deep() return ls.target.uniform(2) end
return deep()
L
expect "an error in a script names its line" 1 "fails.lua:2: uniform: epsilon is 2, allowed is 0 to 1" "$program" run fails.lua
expect "the traceback is the user's part" 1 "" "$program" run fails.lua
if grep -q "lsengine/" "$work/err"; then bad "no library frames are shown"; else good "no library frames are shown"; fi
echo 'error({})' | script object
expect "an error that is no string" 1 "lsengine: table" "$program" run object.lua
echo 'x = = 1' | script syntax
expect "a syntax error" 1 "syntax.lua:1: unexpected symbol" "$program" run syntax.lua

script options <<'L'
local ls = require "lsengine"
local o = ls.options{ hidden = 128, rate = 0.5, name = "a", deep = false }
print(o.hidden, o.rate, o.name, o.deep, math.type(o.hidden), math.type(o.rate))
L
expect "options have their defaults" 0 "128	0.5	a	false	integer	float" "$program" run options.lua
expect "options are set" 0 "64	2.0	b c	true	integer	float" "$program" run options.lua --set hidden=64 --set rate=2 --set "name=b c" --set deep=true
expect "an undeclared option is named" 1 "--set hiden: not an option of this script, known are deep, hidden, name, rate; did you mean hidden?" "$program" run options.lua --set hiden=3
expect "an option of another type" 1 '--set hidden is "x", an integer is required' "$program" run options.lua --set hidden=x
echo 'print(1)' | script plain
expect "a setting that nobody reads" 2 "--set x: the script declares no option" "$program" run plain.lua --set x=1

script sandbox <<'L'
assert(not load("\27Lua") and not load("\27Lua", "x", "t"))
assert(not pcall(load, "return 1", "x", "b"))
assert(load("return 1", "x", "bt")() == 1 and load("return x", "x", "t", { x = 5 })() == 5)
assert(string.dump == nil and debug.sethook == nil and debug.setmetatable == nil and debug.getregistry == nil and debug.setupvalue == nil)
assert(debug.traceback and debug.getinfo and require "debug" == debug)
local f = io.open("binary.lua", "wb") f:write("\27Lua") f:close()
assert(not loadfile "binary.lua" and not pcall(dofile, "binary.lua") and not pcall(require, "binary"))
print "held"
L
expect "precompiled code and the C side are out of reach" 0 "held" "$program" run sandbox.lua
printf '\033Lua' >chunk.lua
expect "a precompiled script is refused" 1 "attempt to load a binary chunk" "$program" run chunk.lua

script strict <<'L'
local ls = require "lsengine"
local smooth = ls.target.uniform(0.1)
local z = ls.tensor.zeros(2, 3)
local twice = smooth(smooth{ 0, 1 })
print(ls.loss.cross_entropy(z, twice):item())
L
expect "a pitfall warns" 0 "warning[stacked-softening]: strict.lua:4: uniform(0.1) softens uniform(0.1), on labels" "$program" run strict.lua
expect "a pitfall is an error under --strict" 1 "[stacked-softening]" "$program" run --strict strict.lua

echo 'local ls = require "lsengine"
local t = ls.tensor.zeros(1000, 1000, 100)' | script large
expect "a tensor above the limit names its line" 1 "large.lua:2: zeros: no memory for 1000x1000x100 floats (400.0 MB)" "$program" run --mem-limit 100M large.lua
echo 'local t = {} for i = 1, 1e9 do t[i] = { i } end' | script heap
expect "a heap above the limit says how to raise it" 1 "the limit is 50.0 MB (--mem-limit raises it)" "$program" run --mem-limit 50M heap.lua

# Ctrl-C: the first raises, whatever the script catches; what was finished is kept
script endless <<'L'
local ls = require "lsengine"
ls.experiment{ name = "endless", seeds = 1000, arms = { { "a" } }, trial = function(_, rng, seed)
  if seed == 3 then
    io.stderr:write("ready\n")
    while true do pcall(function() while true do end end) end
  end
  return { x = seed }
end }:run()
L
"$program" run --quiet endless.lua --results kept 2>err.txt &
pid=$!
for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
  grep -q ready err.txt && break
  sleep 0.1
done
kill -INT $pid
wait $pid
status=$?
if [ $status -eq 130 ]; then good "Ctrl-C ends with 130"; else bad "Ctrl-C ends with 130, not $status"; fi
if [ "$(grep -c '"kind":"trial"' kept/*.jsonl)" = 2 ]; then good "finished trials are kept"; else bad "finished trials are kept"; fi
if grep -q "^2 finished trials are in kept/.*jsonl$" err.txt; then good "it says where they are"; else bad "it says where they are"; fi
if grep -q "interrupted; what was finished is kept" err.txt; then good "the interruption is said"; else bad "the interruption is said"; fi
finish
