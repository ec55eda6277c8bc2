#!/bin/sh
# Scripts that end the process, break the globals, fill the disk: an exit code and a message, never a signal. SPDX-License-Identifier: MIT
. "$(dirname "$0")/lib.sh"
cd "$work" || exit 1

script() { cat >"$1.lua"; }

echo 'local ls = require "lsengine" string.format, tostring, table.unpack, type, pairs = nil
ls.tensor{ 1, "x" }' | script globals
expect "standard functions that are gone" 1 "lsengine: " "$program" run globals.lua
echo 'local ls = require "lsengine" require, setmetatable, getmetatable("").__index = nil
ls.tensor{ 1 }' | script require
expect "require is gone" 1 "attempt to call a nil value (global 'require')" "$program" run require.lua
echo 'local ls = require "lsengine" package.searchers = nil
ls.tensor{ 1 }' | script searchers
expect "searchers are gone" 1 "'package.searchers' must be a table" "$program" run searchers.lua
echo 'for name in pairs(_G) do if name ~= "_G" then _G[name] = nil end end' | script nothing
expect "no global is left" 1 "lsengine: " "$program" run nothing.lua

for close in false true; do
  echo 'require "lsengine".experiment{ name = "x", seeds = 2, arms = { { "a" } }, trial = function() os.exit(3, '$close') end }:run()' | script leave
  expect "os.exit($close) within a trial" 3 "" "$program" run --quiet leave.lua
done
echo 'assert(not io.stdout:close() and not io.stderr:close()) print "open"' | script streams
expect "the standard streams cannot be closed" 0 "open" "$program" run streams.lua
echo 'print "run"' | script plain
expect "LUA_INIT is not read" 0 "run" env LUA_INIT='os.exit(9)' LUA_INIT_5_4='os.exit(9)' "$program" run plain.lua

echo 'error(setmetatable({}, { __tostring = function() return {} end }))' | script object
expect "an error object without text" 1 "'__tostring' must return a string" "$program" run object.lua
echo 'error(nil)' | script none
expect "an error that is nil" 1 "lsengine: nil" "$program" run none.lua
echo 'local function f() return 1 + f() end f()' | script overflow
expect "endless recursion" 1 "overflow.lua:1: stack overflow" "$program" run overflow.lua
echo 'local ls = require "lsengine" local f f = ls.autograd.define{ forward = function(x) return f(x) end, backward = print }
f(ls.tensor{ 1 })' | script forward
expect "endless recursion through the engine" 1 "stack overflow" "$program" run forward.lua
echo 'for i = 1, 9 do setmetatable({}, { __gc = function() error "x" end }) end
KEPT = setmetatable({}, { __gc = function() require "lsengine".tensor{ 1, 2 }:sum() end }) print "closed"' | script finalizers
expect "finalizers that raise, and one that uses the engine at the end" 0 "closed" "$program" run finalizers.lua

# the traceback was once put together in a buffer that grew at the wrong moment: for messages of some lengths
echo 'local text = ("y"):rep(tonumber(os.getenv "LENGTH")) local function f() error(text) end f()' | script long
n=960
while [ $n -lt 1030 ]; do
  LENGTH=$n "$program" run long.lua >out 2>err
  if [ $? -ne 1 ] || grep -q "Sanitizer\|runtime error" err; then break; fi
  n=$((n + 1))
done
if [ $n -eq 1030 ]; then good "messages of any length"; else bad "a message of $n bytes"; fi

echo 'local level, last = 1
while true do
  local info = debug.getinfo(level, "fS")
  if not info then break end
  if info.what == "C" then last = info.func end
  level = level + 1
end
assert(last == nil) print "hidden"' | script frames
expect "the engine's own C functions are hidden" 0 "hidden" "$program" run frames.lua

expect "a memory limit that no number holds" 2 "a size such as 500M or 8G is required" "$program" run --mem-limit 99999999999999999999G plain.lua
echo 'require "lsengine".experiment{ name = "x", arms = { { "a" } }, trial = function() return { x = 1 } end }:run()' | script results
expect "a folder of results that is a file" 1 "results.lua:1: experiment: " "$program" run --quiet results.lua --results plain.lua
expect "a folder of results on no disk" 1 "the folder of results cannot be made: /dev/null/x: Not a directory" "$program" run --quiet results.lua --results /dev/null/x

# a disk that is full: writes of more than the limit fail
limited() { (ulimit -f 8 && "$program" run --quiet "$@"); }
echo 'require "lsengine".tensor.zeros(100000):save "big.npy"' | script save
expect "no room for a tensor" 1 "save.lua:1: save: big.npy cannot be written: File too large" limited save.lua
echo 'local ls = require "lsengine" ls.nn.linear(300, 300, { rng = ls.rng(1) }):save "big.npz"' | script model
expect "no room for a model" 1 "model.lua:1: save: big.npz cannot be written: " limited model.lua
echo 'require "lsengine".experiment{ name = "x", seeds = 1000, arms = { { "a" } }, trial = function() return { x = 1 } end }:run()' | script many
expect "no room for results" 1 "many.lua:1: experiment: " limited many.lua
if [ -z "$(find . -name '*big.np*')" ]; then good "nothing half written is left"; else bad "nothing half written is left"; fi
finish
