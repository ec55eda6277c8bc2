/* Layers' kernels, schedules. SPDX-License-Identifier: MIT */
#include "bindings/random.h"

#include <lsengine/nn.h>

#include <stdio.h>
#include <string.h>

/* initialise(layer, name, rng, outputs, inputs, [kernel rows, columns]): weight (outputs, inputs, …) and bias (outputs): torch's bias is
 * drawn, others are 0. The fans are inputs and outputs times the kernel's area. */
static int initialise(lua_State *L) {
  ls_err err;
  lua_settop(L, 7);
  const char *who = luaL_checkstring(L, 1), *name = lsb_check_string(L, 2, who, "init", NULL);
  ls_rng *r = lsb_check_rng(L, 3, who);
  bool kernel = !lua_isnil(L, 6);
  int32_t shape[4] = {lsb_check_int(L, 4, who, "outputs", 1, INT32_MAX), lsb_check_int(L, 5, who, "inputs", 1, INT32_MAX)};
  for (int axis = 2; axis < 4; axis++) shape[axis] = kernel ? lsb_check_int(L, axis + 4, who, "kernel", 1, INT32_MAX) : 1;
  double area = (double)shape[2] * shape[3], fan_in = shape[1] * area, fan_out = shape[0] * area;
  if (fan_in > INT32_MAX || fan_out > INT32_MAX) return lsb_fail(L, who, "a kernel of %dx%d over %d inputs is too large", shape[2], shape[3], shape[1]);
  lsb_tensor *w = lsb_new_tensor(L, who, kernel ? 4 : 2, shape), *b = lsb_new_tensor(L, who, 1, shape);
  if (ls_initialise(name, (int32_t)fan_in, (int32_t)fan_out, r, ls_view_count(&w->view), w->view.data, &err) != LS_OK) return lsb_raise(L, who, &err);
  const char *bias = strcmp(name, "torch") == 0 ? "torch" : "zeros";
  if (ls_initialise(bias, (int32_t)fan_in, (int32_t)fan_out, r, (size_t)shape[0], b->view.data, &err) != LS_OK) return lsb_raise(L, who, &err);
  return 2;
}

static int initialisations(lua_State *L) {
  lua_newtable(L);
  for (int i = 0; ls_initialisations[i].name != NULL; i++) {
    lua_pushstring(L, ls_initialisations[i].name);
    lua_rawseti(L, -2, i + 1);
  }
  return 1;
}

/* dropout(x, p, key) */
static int dropout(lua_State *L) {
  lua_settop(L, 3);
  lsb_tensor *x = lsb_check_contiguous(L, 1, "dropout", "input");
  double p = lsb_check_number(L, 2, "dropout", "p");
  uint64_t key = (uint64_t)luaL_checkinteger(L, 3);
  if (!(p >= 0.0 && p < 1.0)) return lsb_fail(L, "dropout", "p is %g, allowed is 0 to below 1", p);
  lsb_tensor *out = lsb_new_tensor(L, "dropout", x->view.rank, x->view.shape);
  ls_dropout(key, p, ls_view_count(&x->view), x->view.data, out->view.data);
  return 1;
}

/* sum_of_squares(t): in double, as a Lua number. */
static int sum_of_squares(lua_State *L) {
  lsb_tensor *t = lsb_check_contiguous(L, 1, "clip", "gradient");
  lua_pushnumber(L, ls_sum_of_squares(ls_view_count(&t->view), t->view.data));
  return 1;
}

/* schedule(kind, warmup, minimum, every, factor, time, total): the factor on the learning rate. */
static int schedule(lua_State *L) {
  static const char *const kinds[] = {"constant", "cosine", "step", NULL};
  ls_schedule s = {(ls_schedule_kind)luaL_checkoption(L, 1, NULL, kinds), luaL_checknumber(L, 2), luaL_checknumber(L, 3),
                   luaL_checknumber(L, 4), luaL_checknumber(L, 5)};
  lua_pushnumber(L, ls_schedule_at(&s, luaL_checknumber(L, 6), luaL_checknumber(L, 7)));
  return 1;
}

/* hash_text(text): FNV-1a, 16 hexadecimal digits. */
static int hash_text(lua_State *L) {
  size_t n;
  const char *text = lsb_check_string(L, 1, "hash", "text", &n);
  uint64_t h = 1469598103934665603u;
  char digits[17];
  for (size_t i = 0; i < n; i++) h = (h ^ (unsigned char)text[i]) * 1099511628211u;
  snprintf(digits, sizeof digits, "%016llx", (unsigned long long)h);
  lua_pushstring(L, digits);
  return 1;
}

int lsb_open_nn(lua_State *L) {
  static const luaL_Reg functions[] = {{"initialise", initialise}, {"initialisations", initialisations}, {"dropout", dropout},
                                       {"sum_of_squares", sum_of_squares}, {"schedule", schedule}, {"hash_text", hash_text}, {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}
