/* The library's own needs: public entries, blame, clock, terminal, processor. SPDX-License-Identifier: MIT */
#define _POSIX_C_SOURCE 200809L
#include "bindings/lsb.h"

#include <lsengine/cpu.h>
#include <lsengine/pool.h>

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

static int continue_public(lua_State *L, int status, lua_KContext context) {
  (void)status;
  (void)context;
  return lua_gettop(L);
}

static int call_public(lua_State *L) {
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  lua_callk(L, lua_gettop(L) - 1, LUA_MULTRET, 0, continue_public);
  return continue_public(L, LUA_OK, 0);
}

/* public(f): a C function over f, so that a tail call of it keeps the caller's line. */
static int public(lua_State *L) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_settop(L, 1);
  lua_pushcclosure(L, call_public, 1);
  return 1;
}

/* raise(name, message): blames the first frame outside the library. */
static int raise_error(lua_State *L) {
  return lsb_fail(L, luaL_checkstring(L, 1), "%s", luaL_checkstring(L, 2));
}

static int where(lua_State *L) {
  lsb_push_where(L);
  return 1;
}

static int describe(lua_State *L) {
  luaL_checkany(L, 1);
  lsb_describe(L, 1);
  return 1;
}

static int monotonic(lua_State *L) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  lua_pushnumber(L, (lua_Number)now.tv_sec + (lua_Number)now.tv_nsec * 1e-9);
  return 1;
}

/* terminal(output): columns of the terminal that standard error, or standard output, goes to, or nil. */
static int terminal(lua_State *L) {
  struct winsize size;
  int fd = lua_toboolean(L, 1) ? STDOUT_FILENO : STDERR_FILENO;
  if (!isatty(fd)) return 0;
  const char *term = getenv("TERM");
  if (term != NULL && term[0] == 'd' && term[1] == 'u') return 0; /* dumb */
  lua_pushinteger(L, ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80);
  return 1;
}

static int threads(lua_State *L) {
  lua_pushinteger(L, ls_pool_threads());
  return 1;
}

/* use_threads(n): the pool anew, with n threads. For checks that compare numbers of threads. */
static int use_threads(lua_State *L) {
  ls_err err;
  if (ls_pool_start(lsb_check_int(L, 1, "threads", "threads", 1, 16), &err) != LS_OK) return lsb_raise(L, "threads", &err);
  return 0;
}

static int blocks(lua_State *L) {
  lua_newtable(L);
  for (int site = 0; site < LS_SITE_COUNT; site++) {
    lua_pushinteger(L, (lua_Integer)ls_pool_blocks((ls_site)site));
    lua_setfield(L, -2, ls_site_name((ls_site)site));
  }
  return 1;
}

static int machine(lua_State *L) {
  lua_newtable(L);
  lua_pushstring(L, ls_isa_name(ls_cpu_isa()));
  lua_setfield(L, -2, "instruction_set");
  lua_pushstring(L, ls_blas_core());
  lua_setfield(L, -2, "blas_core");
  lua_pushstring(L, ls_blas_version());
  lua_setfield(L, -2, "blas_version");
  lua_pushinteger(L, ls_pool_threads());
  lua_setfield(L, -2, "threads");
  lua_pushinteger(L, ls_pool_processors());
  lua_setfield(L, -2, "processors");
  return 1;
}

/* data_paths(): folders where shipped data sets may be: beside the installed program, or in the source tree. */
static int data_paths(lua_State *L) {
  char program[4096];
  ssize_t n = readlink("/proc/self/exe", program, sizeof program - 1);
  lua_newtable(L);
  lua_Integer count = 0;
  if (n > 0) {
    program[n] = '\0';
    for (int up = 0; up < 2; up++) { /* the program's folder's folder */
      char *slash = strrchr(program, '/');
      if (slash != NULL) *slash = '\0';
    }
    lua_pushfstring(L, "%s/share/lsengine/data", program);
    lua_rawseti(L, -2, ++count);
    lua_pushfstring(L, "%s/experiments/data", program); /* of build/lsengine in the source tree */
    lua_rawseti(L, -2, ++count);
  }
  return 1;
}

int lsb_open_system(lua_State *L) {
  static const luaL_Reg functions[] = {{"public", public},       {"raise", raise_error}, {"where", where},
                                       {"describe", describe},   {"clock", monotonic},   {"terminal", terminal},   {"data_paths", data_paths},
                                       {"threads", threads},       {"use_threads", use_threads},     {"blocks", blocks},     {"machine", machine},
                                       {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}
