/* What the program's Lua side needs from the process. SPDX-License-Identifier: MIT */
#include "bindings/program.h"
#include "bindings/zip_library.h"

#include <lsengine/cpu.h>
#include <lsengine/pool.h>

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

static volatile sig_atomic_t interrupted;
static lua_State *interrupt_state;

bool lsb_interrupted(void) { return interrupted != 0; }

/* Stays set, so that a script's own pcall cannot swallow the interruption. */
static void interrupt_hook(lua_State *L, lua_Debug *ar) {
  (void)ar;
  luaL_error(L, "interrupted");
}

static void on_interrupt(int number) {
  (void)number;
  if (interrupted) _exit(LSB_EXIT_INTERRUPTED);
  interrupted = 1;
  lua_sethook(interrupt_state, interrupt_hook, LUA_MASKCALL | LUA_MASKRET | LUA_MASKCOUNT, 1);
}

void lsb_catch_interrupts(lua_State *L) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = on_interrupt;
  interrupt_state = L;
  sigaction(SIGINT, &action, NULL);
}

void lsb_release_interrupts(lua_State *L) {
  signal(SIGINT, SIG_DFL);
  lua_sethook(L, NULL, 0, 0);
}

static lsb_memory *memory_of(lua_State *L) {
  void *context;
  return lua_getallocf(L, &context) == lsb_allocate ? context : NULL;
}

/* start(threads): kernels, matrix products, pool. Returns nil, or what is wrong. */
static int start(lua_State *L) {
  ls_err err;
  int threads = lsb_check_int(L, 1, "start", "threads", 0, INT32_MAX);
  if (ls_cpu_start(getenv("LSENGINE_ISA"), &err) != LS_OK) {
    lua_pushfstring(L, err.code == LS_ERANGE ? "LSENGINE_ISA: %s" : "%s", err.message);
    return 1;
  }
  if (ls_pool_start(threads, &err) != LS_OK) {
    lua_pushstring(L, err.message);
    return 1;
  }
  return 0;
}

/* limit(bytes): 0 for none. */
static int limit(lua_State *L) {
  lsb_memory *m = memory_of(L);
  lua_Integer bytes = luaL_checkinteger(L, 1);
  if (bytes < 0) return lsb_fail(L, "limit", "%lld bytes, at least 0 is allowed", (long long)bytes);
  if (m != NULL) m->limit = (size_t)bytes;
  return 0;
}

static void set_integer(lua_State *L, const char *key, uint64_t value) {
  lua_pushinteger(L, (lua_Integer)value);
  lua_setfield(L, -2, key);
}

static int memory(lua_State *L) {
  lsb_memory *m = memory_of(L);
  lua_newtable(L);
  set_integer(L, "machine", lsb_machine_memory());
  if (m == NULL) return 1;
  set_integer(L, "used", m->used);
  set_integer(L, "peak", m->peak);
  set_integer(L, "limit", m->limit);
  set_integer(L, "allocations", m->allocations);
  return 1;
}

static void set_string(lua_State *L, const char *key, const char *value) {
  lua_pushstring(L, value);
  lua_setfield(L, -2, key);
}

/* versions(all): the program's and Lua's; where `all`, those of the libraries, too, which are loaded for it. */
static int versions(lua_State *L) {
  bool all = lua_toboolean(L, 1);
  const lsb_zip *zip = all ? lsb_find_zip(NULL) : NULL;
  lua_newtable(L);
  set_string(L, "lsengine", LSENGINE_VERSION);
  set_string(L, "lua", LUA_RELEASE);
  set_string(L, "zlib", zlibVersion());
  if (!all) return 1;
  set_string(L, "libzip", zip == NULL ? "missing" : zip->zip_libzip_version());
  set_string(L, "openblas", ls_blas_version());
  return 1;
}

/* kept(text): where what is finished can be found, for the message of a run that ends badly; kept(): nowhere. */
static int kept(lua_State *L) {
  lua_settop(L, 1);
  if (!lua_isnil(L, 1)) lsb_check_string(L, 1, "kept", "text", NULL);
  lua_setfield(L, LUA_REGISTRYINDEX, LSB_KEPT);
  return 0;
}

int lsb_open_program(lua_State *L) {
  static const luaL_Reg functions[] = {{"start", start}, {"limit", limit}, {"memory", memory}, {"versions", versions}, {"kept", kept}, {NULL, NULL}};
  luaL_newlib(L, functions);
  lua_newtable(L); /* the run's settings: filled by scripts/program/program.lua, read by whoever needs them */
  lua_setfield(L, -2, "settings");
  return 1;
}
