/* Userdata that own something outside Lua. SPDX-License-Identifier: MIT */
#include "bindings/lsb.h"

#include <string.h>

void *lsb_new_resource(lua_State *L, size_t size, const char *name, lua_CFunction release) {
  void *resource = lua_newuserdatauv(L, size, 0);
  memset(resource, 0, size);
  if (luaL_newmetatable(L, name)) {
    lua_pushcfunction(L, release);
    lua_setfield(L, -2, "__gc");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
  }
  lua_setmetatable(L, -2);
  return resource;
}
