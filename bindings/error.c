/* Errors and arguments: who is to blame, in words. SPDX-License-Identifier: MIT */
#include "bindings/lsb.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { LONGEST_PATH = 4095 };

static bool in_library(const char *source) { return strncmp(source, "=lsengine/", 10) == 0; }

void lsb_push_where(lua_State *L) {
  lua_Debug ar;
  for (int level = 0; lua_getstack(L, level, &ar); level++) {
    lua_getinfo(L, "Sl", &ar);
    if (ar.currentline > 0 && !in_library(ar.source)) {
      lua_pushfstring(L, "%s:%d", ar.short_src, ar.currentline);
      return;
    }
  }
  lua_pushliteral(L, "");
}

int lsb_raise(lua_State *L, const char *name, const ls_err *err) {
  lsb_push_where(L);
  const char *where = lua_tostring(L, -1);
  lua_pushfstring(L, "%s%s%s: %s", where, *where == '\0' ? "" : ": ", name, err->message);
  return lua_error(L);
}

int lsb_fail(lua_State *L, const char *name, const char *format, ...) {
  ls_err err = {.code = LS_ERANGE};
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(err.message, sizeof err.message, format, arguments);
  va_end(arguments);
  return lsb_raise(L, name, &err);
}

const char *lsb_describe(lua_State *L, int index) {
  char text[64];
  index = lua_absindex(L, index);
  switch (lua_type(L, index)) {
    case LUA_TNUMBER:
      if (lua_tonumber(L, index) != lua_tonumber(L, index)) return lua_pushliteral(L, "NaN"); /* printf gives it a sign */
      if (lua_isinteger(L, index))
        snprintf(text, sizeof text, "%lld", (long long)lua_tointeger(L, index));
      else
        snprintf(text, sizeof text, "%.14g", lua_tonumber(L, index));
      return lua_pushstring(L, text);
    case LUA_TSTRING: {
      const char *s = lua_tostring(L, index);
      return lua_pushfstring(L, strlen(s) > 40 ? "a long string" : "\"%s\"", s);
    }
    case LUA_TNIL: return lua_pushliteral(L, "nil");
    case LUA_TNONE: return lua_pushliteral(L, "missing");
    case LUA_TBOOLEAN: return lua_pushstring(L, lua_toboolean(L, index) ? "true" : "false");
    default:
      if (luaL_getmetafield(L, index, "__name") == LUA_TSTRING) return lua_pushfstring(L, "a %s", lua_tostring(L, -1));
      return lua_pushfstring(L, "a %s", luaL_typename(L, index));
  }
}

int lsb_type_error(lua_State *L, int index, const char *name, const char *argument, const char *wanted) {
  return lsb_fail(L, name, "%s is %s, %s is required", argument, lsb_describe(L, index), wanted);
}

int32_t lsb_check_int(lua_State *L, int index, const char *name, const char *argument, int32_t low, int32_t high) {
  int exact = 0;
  lua_Integer value = lua_type(L, index) == LUA_TNUMBER ? lua_tointegerx(L, index, &exact) : 0;
  if (!exact) lsb_type_error(L, index, name, argument, "an integer");
  if (value < low || value > high)
    lsb_fail(L, name, "%s is %lld, allowed is %d to %d", argument, (long long)value, low, high);
  return (int32_t)value;
}

double lsb_check_number(lua_State *L, int index, const char *name, const char *argument) {
  if (lua_type(L, index) != LUA_TNUMBER) lsb_type_error(L, index, name, argument, "a number");
  return lua_tonumber(L, index);
}

const char *lsb_check_string(lua_State *L, int index, const char *name, const char *argument, size_t *length) {
  if (lua_type(L, index) != LUA_TSTRING) lsb_type_error(L, index, name, argument, "a string");
  return lua_tolstring(L, index, length);
}

const char *lsb_check_path(lua_State *L, int index, const char *name, const char *argument) {
  size_t length;
  const char *path = lsb_check_string(L, index, name, argument, &length);
  if (strlen(path) != length) lsb_fail(L, name, "the %s's name holds a zero byte", argument);
  if (length > LONGEST_PATH) lsb_fail(L, name, "the %s's name has %zu bytes, at most %d are allowed", argument, length, LONGEST_PATH);
  return path;
}

size_t lsb_check_length(lua_State *L, int index, const char *name, const char *argument) {
  if (lua_type(L, index) != LUA_TTABLE) lsb_type_error(L, index, name, argument, "a table");
  lua_Unsigned length = lua_rawlen(L, index);
  if (length > INT32_MAX) lsb_fail(L, name, "%s has %llu elements, at most 2^31-1 are allowed", argument, (unsigned long long)length);
  return (size_t)length;
}

void lsb_new_type(lua_State *L, const void *key, const char *name, const luaL_Reg *metamethods) {
  lua_newtable(L);
  luaL_setfuncs(L, metamethods, 0);
  lua_pushstring(L, name);
  lua_setfield(L, -2, "__name");
  lua_pushstring(L, name);
  lua_setfield(L, -2, "__metatable");
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, key);
}
