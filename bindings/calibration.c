/* Calibration of predictions. SPDX-License-Identifier: MIT */
#include "bindings/judging.h"

#include <string.h>

static int check_choice(lua_State *L, const char *name, int index, const char *argument, const char *const *choices) {
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
static ls_binning check_binning(lua_State *L, const char *name, int index) {
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
  b.kind = (ls_bin_kind)check_choice(L, name, index + 2, "kind", kinds);
  b.edges = (ls_bin_edges)check_choice(L, name, index + 3, "edges", edges);
  b.rounding = (ls_bin_rounding)check_choice(L, name, index + 4, "rounding", roundings);
  b.ties = (ls_bin_ties)check_choice(L, name, index + 5, "ties", ties);
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

static void set_murphy(lua_State *L, const ls_murphy *m) {
  lsb_set_number(L, "reliability", m->reliability);
  lsb_set_number(L, "resolution", m->resolution);
  lsb_set_number(L, "uncertainty", m->uncertainty);
  lsb_set_number(L, "within_variance", m->within_variance);
  lsb_set_number(L, "within_covariance", m->within_covariance);
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
  set_murphy(L, &r->murphy);
}

/* A number from the table at index, or `otherwise` where it has none. */
static double number_field(lua_State *L, const char *name, int table, const char *key, double otherwise) {
  lua_getfield(L, table, key);
  double value = lua_isnil(L, -1) ? otherwise : lsb_check_number(L, -1, name, key);
  lua_pop(L, 1);
  return value;
}

typedef struct confidences {
  size_t count;
  const double *confidence;
  const uint8_t *correct;
  const ls_order *order; /* NULL where no measure wants it */
} confidences;

/* Pushes { measures, bins } of one binning. */
static void push_binned(lua_State *L, const char *name, const confidences *c, const ls_binning *b, double level, bool wilson) {
  ls_err err;
  ls_calibration r;
  int top = lua_gettop(L);
  ls_bin *bins = lsb_new_scratch(L, name, ((size_t)b->bins + 1) * sizeof *bins);
  void *scratch = lsb_new_scratch(L, name, ls_calibration_scratch(c->count, b));
  if (ls_calibrate(c->count, c->confidence, c->correct, c->order, b, scratch, &r, bins, &err) != LS_OK) lsb_raise(L, name, &err);
  bool apart = b->one_apart && b->edges == LS_EDGES_LEFT && b->kind == LS_BINS_EQUAL_WIDTH;
  push_measures(L, &r);
  push_bins(L, bins, b->bins + apart, level, wilson);
  lua_setfield(L, -2, "bins");
  lua_replace(L, top + 1);
  lua_settop(L, top + 1);
}

void lsb_want_calibration(lua_State *L, const char *name, int at, const ls_predictions *p, ls_judging *j, lsb_calibration *c) {
  c->level = number_field(L, name, at, "level", 0.95);
  c->smooth = number_field(L, name, at, "smooth", -1.0);
  c->mmce = number_field(L, name, at, "mmce", -1.0);
  c->wilson = flag(L, at, "wilson");
  if (!(c->level > 0.0 && c->level < 1.0)) lsb_fail(L, name, "level is %g, allowed is above 0 and below 1", c->level);
  if (lua_getfield(L, at, "binnings") != LUA_TTABLE) lsb_type_error(L, -1, name, "binnings", "a table");
  int list = lua_gettop(L);
  c->count = lsb_check_length(L, list, name, "binnings");
  if (c->count > 64) lsb_fail(L, name, "%zu binnings were given, at most 64 are taken", c->count);
  for (size_t i = 0; i < c->count; i++) {
    lua_rawgeti(L, list, (lua_Integer)i + 1);
    c->binnings[i] = check_binning(L, name, list + 1);
    lua_settop(L, list);
  }
  size_t n = (size_t)p->z.rows;
  j->confidence = lsb_new_scratch(L, name, n * (sizeof(double) + 1));
  if (n > 0) j->correct = (uint8_t *)(j->confidence + n);
}

static void give_smooth(lua_State *L, const char *name, const confidences *c, double given) {
  ls_err err;
  double error, width;
  void *scratch = lsb_new_scratch(L, name, ls_smooth_calibration_scratch(c->count));
  if (ls_smooth_calibration(c->count, c->confidence, c->correct, given, scratch, &error, &width, &err) != LS_OK) lsb_raise(L, name, &err);
  lua_pop(L, 1);
  lsb_set_number(L, "smooth", error);
  lsb_set_number(L, "smooth_width", width);
}

static void give_mmce(lua_State *L, const char *name, const confidences *c, double width) {
  ls_err err;
  double value;
  void *scratch = lsb_new_scratch(L, name, ls_mmce_scratch(c->count));
  if (ls_mmce(c->count, c->confidence, c->correct, c->order, width, scratch, &value, &err) != LS_OK) lsb_raise(L, name, &err);
  lua_pop(L, 1);
  lsb_set_number(L, "mmce", value);
}

void lsb_order_confidences(lua_State *L, const char *name, size_t kept, const ls_judging *j, const lsb_calibration *wants, ls_order *order) {
  ls_err err;
  if (wants->mmce < 0.0) return;
  uint64_t *keys = lsb_new_scratch(L, name, 2 * kept * sizeof *keys);
  if (ls_sort_confidences(kept, j->confidence, j->score == LS_SCORE_MAX_PROBABILITY ? j->doubt : NULL, j->correct, keys, order, &err) != LS_OK) lsb_raise(L, name, &err);
}

void lsb_give_calibration(lua_State *L, const char *name, size_t kept, const ls_judging *j, const lsb_calibration *wants, const ls_order *order) {
  confidences c = {kept, j->confidence, j->correct, order->confidence != NULL ? order : NULL};
  int result = lua_gettop(L);
  lua_createtable(L, (int)wants->count, 0);
  for (size_t i = 0; i < wants->count; i++) {
    push_binned(L, name, &c, &wants->binnings[i], wants->level, wants->wilson);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  lua_setfield(L, result, "calibrations");
  lua_pushvalue(L, result);
  if (wants->smooth >= 0.0) give_smooth(L, name, &c, wants->smooth);
  if (wants->mmce >= 0.0) give_mmce(L, name, &c, wants->mmce);
  lua_settop(L, result);
}

void lsb_want_classwise(lua_State *L, const char *name, int at, const ls_predictions *p, ls_judging *j, lsb_classwise *c) {
  lua_pushvalue(L, at);
  c->binning = check_binning(L, name, lua_gettop(L));
  j->binning = &c->binning;
  j->classwise = &c->r;
  j->classes = lsb_new_scratch(L, name, (size_t)(p->z.cols > 0 ? p->z.cols : 1) * sizeof *j->classes);
}

void lsb_give_classwise(lua_State *L, const ls_predictions *p, const ls_judging *j) {
  const ls_classwise *r = j->classwise;
  lua_createtable(L, 0, 12);
  lsb_set_number(L, "l1", r->l1);
  lsb_set_number(L, "l2", r->l2);
  lsb_set_number(L, "max", r->max);
  lsb_set_number(L, "null", r->null);
  lsb_set_number(L, "debiased_l2", r->debiased_l2);
  lsb_set_number(L, "brier", r->brier);
  set_murphy(L, &r->murphy);
  lsb_set_number(L, "nll", r->nll);
  lua_setfield(L, -2, "classwise");
  lua_createtable(L, p->z.cols, 1);
  for (int32_t k = 0; k < p->z.cols; k++) {
    const ls_class_calibration *own = &j->classes[k];
    lua_createtable(L, 0, 5);
    lsb_set_number(L, "l1", own->l1);
    lsb_set_number(L, "l2", own->l2);
    lsb_set_number(L, "max", own->max);
    lsb_set_number(L, "gap", own->gap);
    lsb_set_number(L, "null", own->null);
    lua_rawseti(L, -2, k);
  }
  lua_setfield(L, -2, "class_calibrations");
}
