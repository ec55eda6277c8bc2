/* Measures of classification. SPDX-License-Identifier: MIT */
#include "bindings/judging.h"

static void push_classes(lua_State *L, const ls_class_score *s, int32_t count) {
  lua_createtable(L, count, 1);
  for (int32_t k = 0; k < count; k++) {
    double rows = (double)s[k].count, predicted = (double)s[k].predicted, right = (double)s[k].right;
    lua_createtable(L, 0, 8);
    lsb_set_integer(L, "count", s[k].count);
    lsb_set_integer(L, "predicted", s[k].predicted);
    lsb_set_integer(L, "right", s[k].right);
    if (s[k].predicted > 0) lsb_set_number(L, "precision", right / predicted);
    if (s[k].count > 0) {
      lsb_set_number(L, "recall", right / rows);
      lsb_set_number(L, "nll", s[k].nll);
      lsb_set_number(L, "brier", s[k].brier);
    }
    if (s[k].count + s[k].predicted > 0) lsb_set_number(L, "f1", 2.0 * right / (rows + predicted));
    lua_rawseti(L, -2, k);
  }
}

void lsb_want_classification(lua_State *L, const char *name, int at, const ls_predictions *p, ls_judging *j, lsb_classification *c) {
  lua_getfield(L, at, "confusion");
  bool confusion = lua_toboolean(L, -1);
  if (lua_getfield(L, at, "top_k") != LUA_TTABLE) lsb_type_error(L, -1, name, "top_k", "a table of integers");
  int list = lua_gettop(L);
  size_t tops = lsb_check_length(L, list, name, "top_k");
  if (tops > LS_MOST_TOP) lsb_fail(L, name, "%zu values of top_k were given, at most %d are taken", tops, LS_MOST_TOP);
  for (size_t i = 0; i < tops; i++) {
    lua_rawgeti(L, list, (lua_Integer)i + 1);
    c->top[i] = lsb_check_int(L, -1, name, "top_k", 1, INT32_MAX);
    lua_pop(L, 1);
  }
  if (confusion && p->z.cols > 4096) lsb_fail(L, name, "a confusion matrix of %d classes is too large, at most 4096 are taken: confusion = false", p->z.cols);
  if (confusion) {
    lsb_new_matrix(L, name, p->z.cols, p->z.cols);
    c->matrix = lua_gettop(L);
    j->confusion = lsb_new_scratch(L, name, (size_t)p->z.cols * (size_t)p->z.cols * sizeof *j->confusion);
  }
  j->classification = &c->r;
  j->tops = (int32_t)tops;
  j->top = c->top;
  j->top_share = c->share;
  j->class_scores = lsb_new_scratch(L, name, (size_t)(p->z.cols > 0 ? p->z.cols : 1) * sizeof *j->class_scores);
}

void lsb_give_classification(lua_State *L, const ls_predictions *p, const ls_judging *j, const lsb_classification *c) {
  const ls_classification *r = &c->r;
  lua_createtable(L, 0, 8);
  lsb_set_integer(L, "rows", r->rows);
  lsb_set_number(L, "accuracy", r->accuracy);
  lsb_set_number(L, "balanced_accuracy", r->balanced_accuracy);
  lsb_set_number(L, "nll", r->nll);
  lsb_set_number(L, "brier", r->brier);
  lsb_set_number(L, "macro_precision", r->macro_precision);
  lsb_set_number(L, "macro_recall", r->macro_recall);
  lsb_set_number(L, "macro_f1", r->macro_f1);
  lua_setfield(L, -2, "classification");
  push_classes(L, j->class_scores, p->z.cols);
  lua_setfield(L, -2, "classes");
  lsb_push_numbers(L, (size_t)j->tops, c->share);
  lua_setfield(L, -2, "top_k");
  if (j->confusion == NULL) return;
  float *counts = lsb_test_tensor(L, c->matrix)->view.data;
  for (size_t i = 0, cells = (size_t)p->z.cols * (size_t)p->z.cols; i < cells; i++) counts[i] = (float)j->confusion[i];
  lua_pushvalue(L, c->matrix);
  lua_setfield(L, -2, "confusion");
}
