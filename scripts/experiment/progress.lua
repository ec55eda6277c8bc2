-- How far a run is: one redrawn line on a terminal, a few plain lines elsewhere. SPDX-License-Identifier: MIT
local system = require "lsengine.c.system"

local Progress = {}
Progress.__index = Progress

local function duration(seconds)
  if seconds < 90 then return ("%.0f s"):format(seconds) end
  if seconds < 5400 then return ("%.0f min"):format(seconds / 60) end
  return ("%.1f h"):format(seconds / 3600)
end

local function start(count, quiet)
  return setmetatable({ count = count, quiet = quiet, started = system.clock(), columns = system.terminal(), said = 0 }, Progress)
end

-- Before trial `number` of an arm.
function Progress:show(number, arm, seed)
  if self.quiet then return end
  local done, now = number - 1, system.clock()
  local left = done > 0 and (now - self.started) / done * (self.count - done)
  local text = ("trial %d of %d: %s, seed %d%s"):format(number, self.count, arm, seed, left and (", %s left"):format(duration(left)) or "")
  if self.columns then
    local width = math.min(24, self.columns // 4)
    local filled = math.floor(width * done / self.count)
    local bar = ("━"):rep(filled) .. ("─"):rep(width - filled)
    local room = self.columns - width - 2
    if utf8.len(text) and utf8.len(text) > room then text = text:sub(1, (utf8.offset(text, room) or room) - 1) .. "…" end
    io.stderr:write("\r\27[K", bar, " ", text)
    self.drawn = true
  elseif done == 0 or now - self.said >= 10 then
    io.stderr:write(text, "\n")
    self.said = now
  end
end

function Progress:clear()
  if self.drawn then io.stderr:write("\r\27[K") end
  self.drawn = false
end

function Progress:done()
  self:clear()
  if not self.quiet then io.stderr:write(("%d trials in %s\n"):format(self.count, duration(system.clock() - self.started))) end
end

Progress.__close = Progress.clear

return { start = start }
