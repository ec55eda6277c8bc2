/* Predictions judged in one sweep. SPDX-License-Identifier: MIT */
#include "bindings/judging.h"

/* The stack's place of a part's table, 0 where it is not wanted. */
static int part_of(lua_State *L, const char *name, const char *key) {
  int type = lua_getfield(L, 6, key);
  if (type == LUA_TTABLE) return lua_gettop(L);
  if (type != LUA_TNIL) lsb_type_error(L, -1, name, key, "a table");
  lua_pop(L, 1);
  return 0;
}

/* judge(z, labels, probabilities, temperature, ignore, { name = in messages, and of the parts what is wanted:
 *   classification = { top_k = { k, … }, confusion = }: fields classification, classes ([0] = …), top_k (shares), confusion (K×K);
 *   calibration = { binnings = { … }, level =, wilson =, smooth = width or 0 to find it, mmce = width }: calibrations (measures with bins), smooth, smooth_width, mmce;
 *   classwise = binning: classwise, class_calibrations ([0] = …);
 *   selective = { score = name or vector, area =, points =, risks =, coverages = }: selective, with its curve and what was asked for }): a table of these. */
static int judge(lua_State *L) {
  ls_err err;
  int64_t kept;
  lsb_classification classification;
  lsb_calibration calibration;
  lsb_classwise classwise;
  lsb_selective selective;
  ls_judging j = {0};
  ls_order order = {NULL, NULL};
  lua_settop(L, 6);
  luaL_checkstack(L, 64, NULL); /* what the parts leave there */
  if (lua_type(L, 6) != LUA_TTABLE) return lsb_type_error(L, 6, "judge", "what is wanted", "a table");
  lua_getfield(L, 6, "name");
  const char *name = lsb_check_string(L, 7, "judge", "name", NULL);
  ls_predictions p = lsb_check_predictions(L, name);
  int to_classify = part_of(L, name, "classification"), to_calibrate = part_of(L, name, "calibration"), by_class = part_of(L, name, "classwise"), to_select = part_of(L, name, "selective");
  if (to_classify) lsb_want_classification(L, name, to_classify, &p, &j, &classification);
  if (to_calibrate) lsb_want_calibration(L, name, to_calibrate, &p, &j, &calibration);
  if (by_class) lsb_want_classwise(L, name, by_class, &p, &j, &classwise);
  if (to_select) lsb_want_selective(L, name, to_select, &p, &j, &selective);

  void *scratch = lsb_new_scratch(L, name, ls_judge_scratch(&p, &j));
  if (ls_judge(&p, &j, scratch, &kept, &err) != LS_OK) return lsb_raise(L, name, &err);
  lua_pop(L, 1);
  if (to_calibrate) lsb_order_confidences(L, name, (size_t)kept, &j, &calibration, &order);

  lua_createtable(L, 0, 8);
  if (to_classify) lsb_give_classification(L, &p, &j, &classification);
  if (to_calibrate) lsb_give_calibration(L, name, (size_t)kept, &j, &calibration, &order);
  if (by_class) lsb_give_classwise(L, &p, &j);
  if (to_select) lsb_give_selective(L, name, &p, (size_t)kept, &j, &order, &selective);
  return 1;
}

/* interval(right, n, level, wilson): low, high. */
static int interval(lua_State *L) {
  static const char name[] = "interval";
  double right = lsb_check_number(L, 1, name, "right"), n = lsb_check_number(L, 2, name, "n"), level = lsb_check_number(L, 3, name, "level"), low, high;
  if (!(n > 0.0 && right >= 0.0 && right <= n && level > 0.0 && level < 1.0))
    return lsb_fail(L, name, "%g of %g at level %g has no interval", right, n, level);
  (lua_toboolean(L, 4) ? ls_wilson : ls_clopper_pearson)(right, n, level, &low, &high);
  lua_pushnumber(L, low);
  lua_pushnumber(L, high);
  return 2;
}

int lsb_open_judging(lua_State *L) {
  static const luaL_Reg functions[] = {{"judge", judge}, {"interval", interval}, {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}
