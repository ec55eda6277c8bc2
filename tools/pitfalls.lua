-- Writes docs/pitfalls-measured.md: LUA_PATH="tests/lua/?.lua;;" lsengine run --quiet tools/pitfalls.lua, from the source folder. SPDX-License-Identifier: MIT
local uses = require "pitfall_uses"
local page = uses.page(uses.rows(uses.run))
local file <close> = assert(io.open("docs/pitfalls-measured.md", "w"))
assert(file:write(page))
