/* Makes the library known to a Lua state: `require "lsengine"` and its modules, loaded when first used.
 * SPDX-License-Identifier: MIT */
#include "bindings/library.h"
#include "bindings/scripts.h"

#include <string.h>

static const char opened_key = 0;

/* Opens a C module the first time, and hands out the same table ever after: types and settings must not be made twice. */
static int open_module(lua_State *L) {
  const char *name = luaL_checkstring(L, 1);
  const luaL_Reg *module = lsb_modules;
  while (module->name != NULL && strcmp(module->name, name) != 0) module++;
  if (module->name == NULL) return luaL_error(L, "no part of lsengine is called '%s'", name);
  lua_settop(L, 1);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &opened_key);
  lua_pushvalue(L, 1);
  if (lua_rawget(L, 2) != LUA_TNIL) return 1;
  lua_pushcfunction(L, module->func);
  lua_call(L, 0, 1);
  lua_pushvalue(L, 1);
  lua_pushvalue(L, -2);
  lua_rawset(L, 2);
  return 1;
}

/* package.searchers entry: C modules ("lsengine.c.tensor") and the embedded scripts ("lsengine", "lsengine.nn"). */
static int searcher(lua_State *L) {
  const char *name = luaL_checkstring(L, 1);
  if (strncmp(name, "lsengine", 8) != 0 || (name[8] != '\0' && name[8] != '.')) return 0;
  for (const luaL_Reg *module = lsb_modules; module->name != NULL; module++)
    if (strcmp(module->name, name) == 0) {
      lua_pushcfunction(L, open_module);
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
  lsb_new_recorder(L);
  lua_newtable(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &opened_key);
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
