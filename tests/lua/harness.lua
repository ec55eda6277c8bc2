-- What every Lua test starts with: local t = require "harness". SPDX-License-Identifier: MIT
--
-- Tests are functions of t.tests, named as sentences; t.run() runs them through luaunit and prints the tally.
local lu = require "luaunit"

local t = { tests = {}, lu = lu }

t.equals, t.close, t.is_true = lu.assertEquals, lu.assertAlmostEquals, lu.assertTrue

-- The message that a call raises; fails where it raises none.
function t.message(f, ...)
  local ok, message = pcall(f, ...)
  if ok then lu.fail "an error was expected" end
  return tostring(message)
end

-- f must fail with a message that has `text` in it and begins with this file and line.
function t.fails(f, text, line)
  local message = t.message(f)
  if not message:find(text, 1, true) then lu.fail(("the message is %q, wanted in it: %q"):format(message, text)) end
  if line then
    local info = debug.getinfo(2, "Sl")
    local want = ("%s:%d: "):format(info.short_src, line == true and info.currentline or line)
    if message:sub(1, #want) ~= want then lu.fail(("the message is %q, wanted at its beginning: %q"):format(message, want)) end
  end
  return message
end

function t.line() return debug.getinfo(2, "l").currentline end

-- A name for a file, or the beginning of names: what they are given to is gone after the tests.
local temporary = {}
function t.tmpname()
  temporary[#temporary + 1] = os.tmpname()
  return temporary[#temporary]
end

local skipped = 0
function t.skip(why)
  skipped = skipped + 1
  lu.skip(why)
end

function t.run()
  local names = {}
  for name in pairs(t.tests) do names[#names + 1] = name end
  table.sort(names)
  local instances = {}
  for i, name in ipairs(names) do instances[i] = { name, t.tests[name] } end
  local runner = lu.LuaUnit.new()
  runner:setOutputType "text"
  runner:runSuiteByInstances(instances)
  local result = runner.result
  for _, name in ipairs(temporary) do os.execute(("rm -rf '%s'*"):format(name)) end
  local failed = result.failureCount + result.errorCount
  print(("tally: %d passed, %d failed, %d skipped"):format(result.successCount, failed, result.skippedCount))
  if failed > 0 then os.exit(1, true) end
end

return t
