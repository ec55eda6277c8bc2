/* The program: a Lua state, the library in it, and scripts/program/program.lua in charge. SPDX-License-Identifier: MIT */
#define _POSIX_C_SOURCE 200809L
#include "bindings/library.h"
#include "bindings/program.h"

#include <lsengine/pool.h>
#include <lualib.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool line_is_head(const char *line, size_t n) { return n == 16 && strncmp(line, "stack traceback:", n) == 0; }

/* The traceback without the library's own frames (unless LSENGINE_TRACE is set) and without main's; nothing where no frame is left. */
static void add_trace(lua_State *L, luaL_Buffer *b, const char *trace) {
  bool all = getenv("LSENGINE_TRACE") != NULL, head = false;
  while (trace != NULL && *trace != '\0') {
    const char *end = strchr(trace, '\n');
    size_t n = end == NULL ? strlen(trace) : (size_t)(end - trace);
    lua_pushlstring(L, trace, n);
    const char *line = lua_tostring(L, -1);
    bool own = strstr(line, "\tlsengine/") != NULL || strstr(line, "\t[C]:") != NULL || strstr(line, "(...tail") != NULL;
    lua_pop(L, 1); /* the buffer grows only where nothing lies above it */
    bool first = line_is_head(trace, n);
    if (!first && (all || !own)) {
      if (!head) luaL_addstring(b, "\nstack traceback:");
      head = true;
      luaL_addchar(b, '\n');
      luaL_addlstring(b, trace, n);
    }
    trace = end == NULL ? NULL : end + 1;
  }
}

static int on_error(lua_State *L) {
  luaL_Buffer b;
  luaL_tolstring(L, 1, NULL);
  if (lsb_interrupted()) return 1;
  luaL_traceback(L, L, NULL, 1);
  int message = lua_gettop(L) - 1;
  luaL_buffinit(L, &b);
  lua_pushvalue(L, message);
  luaL_addvalue(&b);
  add_trace(L, &b, lua_tostring(L, message + 1));
  luaL_pushresult(&b);
  return 1;
}

/* In protected mode: everything that can run out of memory. Arguments: argc, argv. Returns the exit code. */
static int protected_main(lua_State *L) {
  int argc = (int)lua_tointeger(L, 1);
  luaL_checktype(L, 2, LUA_TLIGHTUSERDATA);
  char **argv = lua_touserdata(L, 2);
  luaL_openlibs(L);
  lsb_open_library(L);
  lua_getglobal(L, "require");
  lua_pushliteral(L, "lsengine.program");
  lua_call(L, 1, 1);
  luaL_checkstack(L, argc + 4, "too many arguments");
  for (int i = 1; i < argc; i++) lua_pushstring(L, argv[i]);
  lua_call(L, argc > 0 ? argc - 1 : 0, 1);
  return 1;
}

static void report(lua_State *L, int status, const lsb_memory *memory) {
  const char *message = lua_tostring(L, -1);
  if (lsb_interrupted())
    fputs("lsengine: interrupted; what was finished is kept\n", stderr);
  else if (status == LUA_ERRMEM)
    fprintf(stderr, "lsengine: not enough memory: %.1f MB are in use, the limit is %.1f MB (--mem-limit raises it)\n",
            (double)memory->used / 1e6, (double)memory->limit / 1e6);
  else
    fprintf(stderr, "lsengine: %s\n", message == NULL ? "an error without a message" : message);
  if (lua_checkstack(L, 1) && lua_getfield(L, LUA_REGISTRYINDEX, LSB_KEPT) == LUA_TSTRING) fprintf(stderr, "%s\n", lua_tostring(L, -1));
}

int main(int argc, char **argv) {
  const char *fail_at = getenv("LSENGINE_FAIL_ALLOCATION"); /* for tests: refuse the n-th request for memory */
  lsb_memory memory = {.limit = lsb_machine_memory() / 10 * 9};
  lsb_keep_freed_memory();
  lua_State *L = lua_newstate(lsb_allocate, &memory);
  if (L == NULL) {
    fputs("lsengine: not enough memory to start\n", stderr);
    return LSB_EXIT_ERROR;
  }
  if (fail_at != NULL) memory.fail_at = strtoull(fail_at, NULL, 10);
  lsb_catch_interrupts(L);
  signal(SIGXFSZ, SIG_IGN); /* a file at its limit is an error of the write, with a message */
  lua_pushcfunction(L, on_error);
  lua_pushcfunction(L, protected_main);
  lua_pushinteger(L, argc);
  lua_pushlightuserdata(L, argv);
  int status = lua_pcall(L, 2, 1, 1);
  int code = status == LUA_OK ? (int)lua_tointeger(L, -1) : LSB_EXIT_ERROR;
  lsb_release_interrupts(L);
  if (status != LUA_OK) report(L, status, &memory);
  if (lsb_interrupted()) code = LSB_EXIT_INTERRUPTED;
  fflush(stdout);
  lua_close(L);
  ls_pool_stop();
  return code;
}
