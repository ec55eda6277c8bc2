/* SPDX-License-Identifier: MIT */
#include "bindings/measures.h"

#include <lsengine/geometry.h>

void lsb_push_fields(lua_State *L, const lsb_field *fields, size_t count) {
  lua_createtable(L, 0, (int)count);
  for (size_t i = 0; i < count; i++) {
    lua_pushnumber(L, fields[i].value);
    lua_setfield(L, -2, fields[i].name);
  }
}

lsb_groups lsb_check_groups(lua_State *L, int index, const char *name, const char *argument, int32_t rows, const char *rows_of) {
  lsb_labels *labels = lsb_check_labels(L, index, name, argument);
  lsb_groups g = {0};
  ls_err err;
  size_t n = labels->count;
  if (n != (size_t)rows) lsb_fail(L, name, "there are %zu %s but %s have %d rows", n, argument, rows_of, rows);
  if (n == 0) lsb_fail(L, name, "there is no row to judge");
  int64_t *names = lsb_new_scratch(L, name, n * sizeof *names);
  int32_t *of_row = lsb_new_scratch(L, name, n * sizeof *of_row);
  void *scratch = lsb_new_scratch(L, name, ls_group_labels_scratch(n));
  if (ls_group_labels(n, labels->values, scratch, of_row, names, &g.count, &err) != LS_OK) lsb_raise(L, name, &err);
  lua_pop(L, 1);
  g.of_row = of_row;
  g.names = names;
  return g;
}

double *lsb_check_doubles(lua_State *L, int index, const char *name, const char *what, size_t least, size_t *n) {
  if (lua_type(L, index) != LUA_TTABLE) lsb_type_error(L, index, name, what, "a table of numbers");
  *n = lsb_check_length(L, index, name, what);
  if (*n < least) lsb_fail(L, name, "%s has %zu %s, at least %zu are required", what, *n, *n == 1 ? "value" : "values", least);
  double *x = lsb_new_scratch(L, name, (*n + 1) * sizeof *x);
  for (size_t i = 0; i < *n; i++) {
    lua_rawgeti(L, index, (lua_Integer)i + 1);
    if (lua_type(L, -1) != LUA_TNUMBER) lsb_fail(L, name, "%s[%zu] is %s, a number is required", what, i + 1, lsb_describe(L, -1));
    x[i] = lua_tonumber(L, -1);
    if (!(x[i] - x[i] == 0.0)) lsb_fail(L, name, "%s[%zu] is %s, a finite number is required", what, i + 1, lsb_describe(L, -1));
    lua_pop(L, 1);
  }
  return x;
}

void lsb_push_doubles(lua_State *L, const double *x, size_t n) {
  lua_createtable(L, n > INT32_MAX ? INT32_MAX : (int)n, 0);
  for (size_t i = 0; i < n; i++) {
    lua_pushnumber(L, x[i]);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
}
