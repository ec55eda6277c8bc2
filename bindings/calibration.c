/* Calibration of predictions. SPDX-License-Identifier: MIT */
#include "bindings/predictions.h"

#include <lsengine/calibration.h>

#include <string.h>

static const char name[] = "calibration";

static int check_choice(lua_State *L, int index, const char *argument, const char *const *choices) {
  const char *given = lsb_check_string(L, index, name, argument, NULL);
  for (int i = 0; choices[i] != NULL; i++)
    if (strcmp(given, choices[i]) == 0) return i;
  return lsb_fail(L, name, "%s is \"%.40s\", which is none of the choices", argument, given);
}

static bool flag(lua_State *L, int table, const char *key) {
  lua_getfield(L, table, key);
  bool set = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return set;
}

/* { bins =, kind =, edges =, rounding =, ties =, drop_zero =, one_apart = } */
static ls_binning check_binning(lua_State *L, int index) {
  static const char *const kinds[] = {"equal_width", "equal_mass", NULL}, *const edges[] = {"left", "right", NULL},
                           *const roundings[] = {"product", "quotient", "linspace", "float32", NULL}, *const ties[] = {"shared", "rows", "quantiles", NULL};
  ls_binning b = {0};
  if (lua_type(L, index) != LUA_TTABLE) lsb_type_error(L, index, name, "the binning", "a table");
  lua_settop(L, index);
  lua_getfield(L, index, "bins");
  lua_getfield(L, index, "kind");
  lua_getfield(L, index, "edges");
  lua_getfield(L, index, "rounding");
  lua_getfield(L, index, "ties");
  b.bins = lsb_check_int(L, index + 1, name, "bins", 1, LS_MOST_BINS);
  b.kind = (ls_bin_kind)check_choice(L, index + 2, "kind", kinds);
  b.edges = (ls_bin_edges)check_choice(L, index + 3, "edges", edges);
  b.rounding = (ls_bin_rounding)check_choice(L, index + 4, "rounding", roundings);
  b.ties = (ls_bin_ties)check_choice(L, index + 5, "ties", ties);
  b.drop_zero = flag(L, index, "drop_zero");
  b.one_apart = flag(L, index, "one_apart");
  return b;
}

static void push_bins(lua_State *L, const ls_bin *bins, int32_t count, double level, bool wilson) {
  lua_createtable(L, count, 0);
  for (int32_t i = 0; i < count; i++) {
    double low, high;
    lua_createtable(L, 0, 7);
    lsb_set_number(L, "low", bins[i].low);
    lsb_set_number(L, "high", bins[i].high);
    int64_t whole = (int64_t)bins[i].count;
    if ((double)whole == bins[i].count)
      lsb_set_integer(L, "count", whole);
    else
      lsb_set_number(L, "count", bins[i].count);
    if (bins[i].count > 0.0) {
      (wilson ? ls_wilson : ls_clopper_pearson)(bins[i].accuracy * bins[i].count, bins[i].count, level, &low, &high);
      lsb_set_number(L, "confidence", bins[i].confidence);
      lsb_set_number(L, "accuracy", bins[i].accuracy);
      lsb_set_number(L, "accuracy_low", low);
      lsb_set_number(L, "accuracy_high", high);
    }
    lua_rawseti(L, -2, i + 1);
  }
}

static void push_measures(lua_State *L, const ls_calibration *r) {
  lua_createtable(L, 0, 24);
  lsb_set_integer(L, "rows", r->rows);
  lsb_set_integer(L, "filled", r->filled);
  lsb_set_number(L, "accuracy", r->accuracy);
  lsb_set_number(L, "confidence", r->confidence);
  lsb_set_number(L, "gap", r->gap);
  lsb_set_number(L, "l1", r->l1);
  lsb_set_number(L, "l2", r->l2);
  lsb_set_number(L, "max", r->max);
  lsb_set_number(L, "mean", r->mean);
  lsb_set_number(L, "over", r->over);
  lsb_set_number(L, "under", r->under);
  lsb_set_number(L, "null", r->null);
  lsb_set_number(L, "debiased", r->debiased);
  lsb_set_number(L, "debiased_l2", r->debiased_l2);
  lsb_set_number(L, "brier", r->brier);
  lsb_set_number(L, "reliability", r->reliability);
  lsb_set_number(L, "resolution", r->resolution);
  lsb_set_number(L, "uncertainty", r->uncertainty);
  lsb_set_number(L, "within_variance", r->within_variance);
  lsb_set_number(L, "within_covariance", r->within_covariance);
}

/* A number from the table at index, or `otherwise` where it has none. */
static double number_field(lua_State *L, int table, const char *key, double otherwise) {
  lua_getfield(L, table, key);
  double value = lua_isnil(L, -1) ? otherwise : lsb_check_number(L, -1, name, key);
  lua_pop(L, 1);
  return value;
}

typedef struct confidences {
  size_t count;
  double *confidence;
  uint8_t *correct;
  const uint64_t *sorted; /* NULL until a measure wants them */
} confidences;

/* Pushes { measures, bins } of one binning. */
static void push_binned(lua_State *L, const confidences *c, const ls_binning *b, double level, bool wilson) {
  ls_err err;
  ls_calibration r;
  int top = lua_gettop(L);
  ls_bin *bins = lsb_new_scratch(L, name, ((size_t)b->bins + 1) * sizeof *bins);
  void *scratch = lsb_new_scratch(L, name, ls_calibration_scratch(c->count, b));
  if (ls_calibrate(c->count, c->confidence, c->correct, c->sorted, b, scratch, &r, bins, &err) != LS_OK) lsb_raise(L, name, &err);
  bool apart = b->one_apart && b->edges == LS_EDGES_LEFT && b->kind == LS_BINS_EQUAL_WIDTH;
  push_measures(L, &r);
  push_bins(L, bins, b->bins + apart, level, wilson);
  lua_setfield(L, -2, "bins");
  lua_replace(L, top + 1);
  lua_settop(L, top + 1);
}

/* calibrate(z, labels, probabilities, temperature, ignore, { binning, … }, { level =, wilson =, smooth =, mmce = }): { measures with bins, … },
 * smooth calibration error (smooth: its width, 0 to find it; nil for none) and its width, MMCE (mmce: its width; nil for none). */
static int calibrate(lua_State *L) {
  ls_err err;
  int64_t kept;
  double error, width, value;
  lua_settop(L, 7);
  ls_predictions p = lsb_check_predictions(L, name);
  if (lua_type(L, 6) != LUA_TTABLE || lua_type(L, 7) != LUA_TTABLE) return lsb_type_error(L, lua_type(L, 6) != LUA_TTABLE ? 6 : 7, name, "the options", "a table");
  size_t binnings = lsb_check_length(L, 6, name, "the binnings");
  if (binnings > 64) return lsb_fail(L, name, "%zu binnings were given, at most 64 are taken", binnings);
  double level = number_field(L, 7, "level", 0.95), smooth = number_field(L, 7, "smooth", -1.0), mmce = number_field(L, 7, "mmce", -1.0);
  bool wilson = flag(L, 7, "wilson");
  if (!(level > 0.0 && level < 1.0)) return lsb_fail(L, name, "level is %g, allowed is above 0 and below 1", level);

  size_t n = (size_t)p.z.rows;
  confidences c = {.confidence = lsb_new_scratch(L, name, n * (sizeof(double) + 1))};
  if (n > 0) c.correct = (uint8_t *)(c.confidence + n);
  void *scratch = lsb_new_scratch(L, name, ls_confidences_scratch(&p));
  if (ls_confidences(&p, scratch, c.confidence, c.correct, &kept, &err) != LS_OK) return lsb_raise(L, name, &err);
  lua_pop(L, 1);
  c.count = (size_t)kept;

  if (c.count > 0 && mmce >= 0.0) { /* the bins of equal mass need the order, too */
    uint64_t *keys = lsb_new_scratch(L, name, 2 * c.count * sizeof *keys);
    if (ls_sort_confidences(c.count, c.confidence, c.correct, keys, &c.sorted, &err) != LS_OK) return lsb_raise(L, name, &err);
  }
  int top = lua_gettop(L);
  lua_createtable(L, (int)binnings, 0);
  for (size_t i = 0; i < binnings; i++) {
    lua_rawgeti(L, 6, (lua_Integer)i + 1);
    ls_binning b = check_binning(L, lua_gettop(L));
    lua_settop(L, top + 1);
    push_binned(L, &c, &b, level, wilson);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  if (smooth >= 0.0) {
    scratch = lsb_new_scratch(L, name, ls_smooth_calibration_scratch(c.count));
    if (ls_smooth_calibration(c.count, c.confidence, c.correct, smooth, scratch, &error, &width, &err) != LS_OK) return lsb_raise(L, name, &err);
    lua_settop(L, top + 1);
  }
  if (mmce >= 0.0) {
    scratch = lsb_new_scratch(L, name, ls_mmce_scratch(c.count));
    if (ls_mmce(c.count, c.confidence, c.correct, c.sorted, mmce, scratch, &value, &err) != LS_OK) return lsb_raise(L, name, &err);
    lua_settop(L, top + 1);
  }
  for (int i = 0; i < 2; i++)
    if (smooth >= 0.0)
      lua_pushnumber(L, i == 0 ? error : width);
    else
      lua_pushnil(L);
  if (mmce >= 0.0)
    lua_pushnumber(L, value);
  else
    lua_pushnil(L);
  return 4;
}

/* classwise(z, labels, probabilities, temperature, ignore, binning): measures, { [0] = … } by class. */
static int classwise(lua_State *L) {
  ls_err err;
  ls_classwise r;
  lua_settop(L, 6);
  ls_predictions p = lsb_check_predictions(L, name);
  ls_binning b = check_binning(L, 6);
  ls_class_calibration *classes = lsb_new_scratch(L, name, (size_t)(p.z.cols > 0 ? p.z.cols : 1) * sizeof *classes);
  void *scratch = lsb_new_scratch(L, name, ls_classwise_scratch(&p, &b));
  if (ls_classwise_calibration(&p, &b, scratch, &r, classes, &err) != LS_OK) return lsb_raise(L, name, &err);
  lua_createtable(L, 0, 12);
  lsb_set_number(L, "l1", r.l1);
  lsb_set_number(L, "l2", r.l2);
  lsb_set_number(L, "max", r.max);
  lsb_set_number(L, "null", r.null);
  lsb_set_number(L, "debiased_l2", r.debiased_l2);
  lsb_set_number(L, "brier", r.brier);
  lsb_set_number(L, "reliability", r.reliability);
  lsb_set_number(L, "resolution", r.resolution);
  lsb_set_number(L, "uncertainty", r.uncertainty);
  lsb_set_number(L, "within_variance", r.within_variance);
  lsb_set_number(L, "within_covariance", r.within_covariance);
  lsb_set_number(L, "nll", r.nll);
  lua_createtable(L, p.z.cols, 1);
  for (int32_t k = 0; k < p.z.cols; k++) {
    lua_createtable(L, 0, 5);
    lsb_set_number(L, "l1", classes[k].l1);
    lsb_set_number(L, "l2", classes[k].l2);
    lsb_set_number(L, "max", classes[k].max);
    lsb_set_number(L, "gap", classes[k].gap);
    lsb_set_number(L, "null", classes[k].null);
    lua_rawseti(L, -2, k);
  }
  return 2;
}

/* interval(right, n, level, wilson): low, high. */
static int interval(lua_State *L) {
  double right = lsb_check_number(L, 1, name, "right"), n = lsb_check_number(L, 2, name, "n"), level = lsb_check_number(L, 3, name, "level"), low, high;
  if (!(n > 0.0 && right >= 0.0 && right <= n && level > 0.0 && level < 1.0))
    return lsb_fail(L, name, "%g of %g at level %g has no interval", right, n, level);
  (lua_toboolean(L, 4) ? ls_wilson : ls_clopper_pearson)(right, n, level, &low, &high);
  lua_pushnumber(L, low);
  lua_pushnumber(L, high);
  return 2;
}

int lsb_open_calibration(lua_State *L) {
  static const luaL_Reg functions[] = {{"calibrate", calibrate}, {"classwise", classwise}, {"interval", interval}, {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}
