/* Measures of predictions, and statistics. SPDX-License-Identifier: MIT */
#include "bindings/lsb.h"

#include <lsengine/eval.h>
#include <lsengine/statistics.h>

#include <math.h>

static void set_number(lua_State *L, const char *key, double value) {
  lua_pushnumber(L, value);
  lua_setfield(L, -2, key);
}

/* A table of numbers as doubles in scratch memory. */
static double *check_numbers(lua_State *L, int index, const char *name, size_t least, size_t *n) {
  if (lua_type(L, index) != LUA_TTABLE) lsb_type_error(L, index, name, "the values", "a table of numbers");
  *n = lsb_check_length(L, index, name, "the table");
  if (*n < least) lsb_fail(L, name, "%zu values were given, at least %zu are required", *n, least);
  double *x = lsb_new_scratch(L, name, *n * sizeof *x);
  for (size_t i = 0; i < *n; i++) {
    lua_rawgeti(L, index, (lua_Integer)i + 1);
    x[i] = lsb_check_number(L, -1, name, "a value");
    if (!(x[i] - x[i] == 0.0)) lsb_fail(L, name, "value %zu is %s, a finite number is required", i + 1, lsb_describe(L, -1));
    lua_pop(L, 1);
  }
  return x;
}

/* describe(values, level): mean, standard deviation, half width of the t interval (95 % unless said; nil for one value). */
static int describe(lua_State *L) {
  size_t n;
  double level = luaL_optnumber(L, 2, 0.95), mean, deviation, *x = check_numbers(L, 1, "describe", 1, &n);
  ls_mean_deviation(n, x, &mean, &deviation);
  lua_pushnumber(L, mean);
  lua_pushnumber(L, deviation);
  if (n < 2) return 2;
  lua_pushnumber(L, ls_t_quantile(0.5 + 0.5 * level, (double)(n - 1)) * deviation / sqrt((double)n));
  return 3;
}

/* t_test(differences, margin): one-sided p of mean <= margin. */
static int t_test(lua_State *L) {
  size_t n;
  double *x = check_numbers(L, 1, "t_test", 2, &n);
  lua_pushnumber(L, ls_t_test(n, x, luaL_checknumber(L, 2)));
  return 1;
}

/* sign_flip_test(differences, margin): exact one-sided p, or nil above 20 differences. */
static int sign_flip_test(lua_State *L) {
  size_t n;
  double p, *x = check_numbers(L, 1, "sign_flip_test", 1, &n);
  ls_err err;
  if (ls_sign_flip_test(n, x, luaL_checknumber(L, 2), &p, &err) != LS_OK) return 0;
  lua_pushnumber(L, p);
  return 1;
}

static int holm(lua_State *L) {
  size_t n;
  double *p = check_numbers(L, 1, "holm", 0, &n);
  size_t *order = lsb_new_scratch(L, "holm", 2 * n * sizeof *order);
  ls_holm(n, p, order);
  lua_createtable(L, (int)n, 0);
  for (size_t i = 0; i < n; i++) {
    lua_pushnumber(L, p[i]);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  return 1;
}

/* pairs_needed(effect, level, power, most) */
static int pairs_needed(lua_State *L) {
  double effect = luaL_checknumber(L, 1), level = luaL_checknumber(L, 2), power = luaL_checknumber(L, 3);
  if (!(effect > 0.0) || !(level > 0.0 && level < 1.0) || !(power > 0.0 && power < 1.0))
    return lsb_fail(L, "pairs_needed", "effect %g must be above 0, level %g and power %g between 0 and 1", effect, level, power);
  lua_pushinteger(L, (lua_Integer)ls_pairs_needed(effect, level, power, (size_t)lsb_check_int(L, 4, "pairs_needed", "most", 2, 1000000)));
  return 1;
}

/* regression(predictions, y): rmse, mae and r2 in a table; both N×1. */
static int regression(lua_State *L) {
  ls_regression r;
  ls_err err;
  char text[128];
  lsb_tensor *p = lsb_check_contiguous(L, 1, "evaluate", "predictions"), *y = lsb_check_contiguous(L, 2, "evaluate", "y");
  if (y->view.rank != 2 || y->view.shape[1] != 1)
    return lsb_fail(L, "evaluate", "y has shape %s, N×1 is required", ls_shape_text(&y->view, text, sizeof text));
  if (!ls_view_same_shape(&p->view, &y->view))
    return lsb_fail(L, "evaluate", "the model gives %s, %dx1 is required: one number for each row", ls_shape_text(&p->view, text, sizeof text), y->view.shape[0]);
  if (ls_evaluate_regression(p->view.data, y->view.data, (size_t)y->view.shape[0], &r, &err) != LS_OK) return lsb_raise(L, "evaluate", &err);
  lua_newtable(L);
  set_number(L, "rmse", r.rmse);
  set_number(L, "mae", r.mae);
  set_number(L, "r2", r.r2);
  return 1;
}

int lsb_open_eval(lua_State *L) {
  static const luaL_Reg functions[] = {{"regression", regression}, {"describe", describe}, {"t_test", t_test},
                                       {"holm", holm},         {"sign_flip_test", sign_flip_test},
                                       {"pairs_needed", pairs_needed}, {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}
