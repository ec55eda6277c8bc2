-- When garbage is collected before Lua would do it. SPDX-License-Identifier: MIT
--
-- A tensor is garbage long before Lua's collector comes to it: it waits until the heap has doubled. Until then the memory is missing, and what is computed next
-- lies in memory that has left the cache. A whole collection of little more than the library takes 0.25 ms, 0.7 where the library has left the cache: too long for
-- each step. A young one (generational mode) looks only at what was made since the last one: a few µs.
local GARBAGE = 4 * 1024 -- kilobytes
local left = 0

local tidy = {}

local back = setmetatable({}, { __close = function() collectgarbage "incremental" end })
local nothing = setmetatable({}, { __close = function() end })

-- local _ <close> = tidy.young(): young collections until the scope ends.
function tidy.young()
  local before = collectgarbage "generational"
  left = collectgarbage "count"
  return before == "incremental" and back or nothing
end

-- A young collection where more than GARBAGE has come since the last one; `known`: kilobytes that are known to be garbage.
function tidy.up(known)
  if (known or collectgarbage "count" - left) < GARBAGE then return false end
  collectgarbage "step"
  left = collectgarbage "count"
  return true
end

return tidy
