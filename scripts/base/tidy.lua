-- When garbage is collected before Lua would do it. SPDX-License-Identifier: MIT
--
-- A tensor is garbage long before Lua's collector comes to it: it waits until the heap has doubled. Until then the memory is missing, and what is computed next
-- lies in memory that has left the cache. A whole collection takes 0.25 ms where little but the library is alive, 0.7 where that has left the cache. So where
-- much has been left behind one is made, but never for more than a share of the processor's time (a script may keep millions of tables).
-- Tried: young collections (generational mode), 25 µs each; but what lives through two of them is old and stays, and Lua makes them within steps, too: the
-- activations of a large batch became old (a convnet's training took twice the memory).
local GARBAGE, SHARE, MOST = 4 * 1024, 0.03, 0.005 -- kilobytes; of the time, twice that where it is known what is garbage; seconds of collecting that may be saved up
local left, counted = 0, os.clock()
local credit = { guessed = MOST, known = MOST } -- what the shares of the time until `counted` have left

-- Collects where more than GARBAGE has come since the last time, or `known` kilobytes are garbage for certain; true where it did.
return function(known)
  if (known or collectgarbage "count" - left) < GARBAGE then return false end
  local now, purse = os.clock(), known and "known" or "guessed"
  credit.guessed = math.min(credit.guessed + (now - counted) * SHARE, MOST)
  credit.known = math.min(credit.known + (now - counted) * 2 * SHARE, MOST)
  counted = now
  if credit[purse] < 0 then return false end
  collectgarbage()
  counted = os.clock()
  left, credit[purse] = collectgarbage "count", credit[purse] - (counted - now)
  return true
end
