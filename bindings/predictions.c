/* What the modules that judge predictions share. SPDX-License-Identifier: MIT */
#include "bindings/predictions.h"

#include <math.h>

ls_predictions lsb_check_predictions(lua_State *L, const char *name) {
  bool probabilities = lua_toboolean(L, 3);
  const char *what = probabilities ? "probabilities" : "logits";
  ls_predictions p = {.z = lsb_check_matrix(L, 1, name, what), .probabilities = probabilities, .temperature = 1.0};
  lsb_labels *labels = lsb_check_labels(L, 2, name, "labels");
  if (labels->count != (size_t)p.z.rows) lsb_fail(L, name, "there are %zu labels but %s have %d rows", labels->count, what, p.z.rows);
  p.labels = labels->values;
  if (!lua_isnoneornil(L, 4)) p.temperature = lsb_check_number(L, 4, name, "temperature");
  if (!lua_isnoneornil(L, 5)) {
    int whole;
    lua_Integer label = lua_tointegerx(L, 5, &whole);
    if (!whole) lsb_type_error(L, 5, name, "ignore_index", "an integer");
    p.ignore = (ls_ignore){true, label};
  }
  return p;
}

void lsb_set_number(lua_State *L, const char *key, double value) {
  if (isnan(value)) return;
  lua_pushnumber(L, value);
  lua_setfield(L, -2, key);
}

void lsb_set_integer(lua_State *L, const char *key, int64_t value) {
  lua_pushinteger(L, value);
  lua_setfield(L, -2, key);
}

double *lsb_check_numbers(lua_State *L, int index, const char *name, const char *argument, size_t least, size_t most, size_t *n) {
  if (lua_type(L, index) != LUA_TTABLE) lsb_type_error(L, index, name, argument, "a table of numbers");
  *n = lsb_check_length(L, index, name, argument);
  if (*n < least || *n > most) lsb_fail(L, name, "%s has %zu numbers, %zu to %zu are allowed", argument, *n, least, most);
  double *x = lsb_new_scratch(L, name, *n * sizeof *x);
  for (size_t i = 0; i < *n; i++) {
    lua_rawgeti(L, index, (lua_Integer)i + 1);
    x[i] = lsb_check_number(L, -1, name, argument);
    if (!(x[i] - x[i] == 0.0)) lsb_fail(L, name, "%s[%zu] is %g, a finite number is required", argument, i + 1, x[i]);
    lua_pop(L, 1);
  }
  return x;
}

void lsb_push_numbers(lua_State *L, size_t n, const double *x) {
  lua_createtable(L, n < 1000000 ? (int)n : 0, 0);
  for (size_t i = 0; i < n; i++) {
    lua_pushnumber(L, x[i]);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
}
