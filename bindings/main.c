/* The program. SPDX-License-Identifier: MIT */
#include "bindings/library.h"

#include <lsengine/cpu.h>
#include <lsengine/pool.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>

static int traceback(lua_State *L) {
  luaL_traceback(L, L, lua_tostring(L, 1), 1);
  return 1;
}

int main(int argc, char **argv) {
  ls_err err;
  if (argc < 3 || ls_cpu_start(getenv("LSENGINE_ISA"), &err) != LS_OK || ls_pool_start(0, &err) != LS_OK) return 2;
  ls_blas_start();
  lua_State *L = luaL_newstate();
  luaL_openlibs(L);
  lsb_open_library(L);
  lua_pushcfunction(L, traceback);
  int status = luaL_loadfilex(L, argv[2], "t");
  if (status == LUA_OK) status = lua_pcall(L, 0, 0, 1);
  if (status != LUA_OK) fprintf(stderr, "%s\n", lua_tostring(L, -1));
  lua_close(L);
  ls_pool_stop();
  return status == LUA_OK ? 0 : 1;
}
