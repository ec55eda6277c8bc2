-- The same bits with any number of threads, run after run. SPDX-License-Identifier: MIT
--
-- The program is run again with 1, 2, 3 and 5 threads on tests/lua/train_hash.lua, which trains with a ragged last batch (127) and
-- prints one hash over all weights and measures, and the blocks that each parallel path ran.
local t = require "harness"
local T = t.tests
local program = io.popen("readlink /proc/$PPID/exe"):read "l"

local function hash(threads, extra, script)
  local pipe = io.popen(("%s run --threads %d tests/lua/%s.lua %s 2>&1"):format(program, threads, script or "train_hash", extra or ""))
  local text = pipe:read "a"
  pipe:close()
  local value = text:match "hash (%x+)"
  if not value then error(text) end
  return value, text
end

local first = hash(1)
local _, text = hash(2)

function T.threads_make_no_difference()
  for _, threads in ipairs{ 2, 3, 5 } do t.equals(hash(threads), first) end
  print(("\nhash %s with 1, 2, 3 and 5 threads"):format(first))
end

-- ls.train with all that it has: augmentation, averages, accumulation, early stopping, class weights, a checkpoint that is gone on from.
function T.threads_make_no_difference_to_trainings_with_everything()
  local whole, said = hash(1, nil, "train_all_hash")
  for _, threads in ipairs{ 2, 3, 5 } do t.equals(hash(threads, nil, "train_all_hash"), whole) end
  t.is_true(tonumber(said:match "blocks augment (%d+)") > 1)
  t.is_true(hash(1, "--set pixels=2", "train_all_hash") ~= whole)
end

-- Two threads write the first half, three the rest.
function T.threads_may_change_between_checkpoints()
  local file = t.tmpname()
  os.remove(file)
  t.message(function() hash(2, "--set stop=5 --set file=" .. file, "train_all_hash") end)
  t.equals(hash(3, "--set file=" .. file, "train_all_hash"), hash(1, nil, "train_all_hash"))
  os.remove(file)
end

function T.two_runs_are_equal()
  t.equals(hash(1), first)
end

function T.every_parallel_path_ran_more_than_one_block()
  for _, site in ipairs{ "matmul", "elementwise", "reduce", "softmax", "cross_entropy", "optimizer", "dropout", "gather", "evaluate", "mixing", "convolution", "pooling",
    "normalisation" } do
    local blocks = tonumber(text:match("blocks " .. site .. " (%d+)"))
    t.is_true(blocks and blocks > 1, site)
  end
end

-- the same batch with its rows in another order: the sums are equal but for their order
function T.another_order_of_summation_changes_the_hash()
  t.is_true(hash(1, "--set sabotage=true") ~= first)
end

-- 20 processes agree on the numbers of a grid's trials, whatever order their tables have
function T.processes_number_trials_alike()
  local seen
  for _ = 1, 20 do
    local pipe = io.popen(program .. " run --quiet tests/lua/grid_numbers.lua --results " .. t.tmpname() .. ".d 2>&1")
    local numbers = pipe:read "a"
    pipe:close()
    seen = seen or numbers
    t.equals(numbers, seen)
  end
  t.is_true(seen:find("1 alpha=1 beta=x 1", 1, true) ~= nil)
end

t.run()
