-- Writes the reference into docs/reference: lsengine run tools/manual.lua, from the source folder. SPDX-License-Identifier: MIT
for _, page in ipairs(require "lsengine.manual".pages()) do
  local file <close> = assert(io.open("docs/reference/" .. page[1], "w"))
  assert(file:write(page[2]))
end
