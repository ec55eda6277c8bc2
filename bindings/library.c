/* Makes the library known to a Lua state: `require "lsengine"` and its modules, loaded when first used.
 * SPDX-License-Identifier: MIT */
#include "bindings/library.h"
#include "bindings/scripts.h"

#include <string.h>

/* package.searchers entry: C modules ("lsengine.c.tensor") and the embedded scripts ("lsengine", "lsengine.nn"). */
static int searcher(lua_State *L) {
  const char *name = luaL_checkstring(L, 1);
  if (strncmp(name, "lsengine", 8) != 0 || (name[8] != '\0' && name[8] != '.')) return 0;
  for (const luaL_Reg *module = lsb_modules; module->name != NULL; module++)
    if (strcmp(module->name, name) == 0) {
      lua_pushcfunction(L, module->func);
      return 1;
    }
  for (const lsb_script *script = lsb_scripts; script->name != NULL; script++)
    if (strcmp(script->name, name) == 0) {
      const char *base = name[8] == '\0' ? "init" : name + 9;
      lua_pushfstring(L, "=lsengine/%s.lua", base);
      if (luaL_loadbufferx(L, script->text, script->length, lua_tostring(L, -1), "t") != LUA_OK) return lua_error(L);
      return 1;
    }
  lua_pushfstring(L, "no part of lsengine is called '%s'", name);
  return 1;
}

void lsb_open_library(lua_State *L) {
  lua_getglobal(L, "package");
  lua_getfield(L, -1, "searchers");
  for (lua_Integer i = (lua_Integer)lua_rawlen(L, -1); i >= 2; i--) {
    lua_rawgeti(L, -1, i);
    lua_rawseti(L, -2, i + 1);
  }
  lua_pushcfunction(L, searcher);
  lua_rawseti(L, -2, 2);
  lua_pop(L, 2);
}
