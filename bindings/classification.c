/* Measures of classification. SPDX-License-Identifier: MIT */
#include "bindings/predictions.h"

#include <lsengine/classification.h>

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

/* classify(z, labels, probabilities, temperature, ignore, {k, …}, confusion, name in messages or nil): measures, { [0] = … } by class, { share in top k, … }, and the K×K
 * matrix where it is wanted. */
static int classify(lua_State *L) {
  ls_err err;
  ls_classification r;
  double share[LS_MOST_TOP];
  int32_t top[LS_MOST_TOP];
  size_t tops = 0;
  lua_settop(L, 8);
  const char *name = lua_type(L, 8) == LUA_TSTRING ? lua_tostring(L, 8) : "classification";
  ls_predictions p = lsb_check_predictions(L, name);
  bool confusion = lua_toboolean(L, 7);
  if (lua_type(L, 6) != LUA_TTABLE) return lsb_type_error(L, 6, name, "top_k", "a table of integers");
  tops = lsb_check_length(L, 6, name, "top_k");
  if (tops > LS_MOST_TOP) return lsb_fail(L, name, "%zu values of top_k were given, at most %d are taken", tops, LS_MOST_TOP);
  for (size_t i = 0; i < tops; i++) {
    lua_rawgeti(L, 6, (lua_Integer)i + 1);
    top[i] = lsb_check_int(L, -1, name, "top_k", 1, INT32_MAX);
    lua_pop(L, 1);
  }
  if (confusion && p.z.cols > 4096) return lsb_fail(L, name, "a confusion matrix of %d classes is too large, at most 4096 are taken: confusion = false", p.z.cols);

  size_t cells = (size_t)p.z.cols * (size_t)p.z.cols;
  lsb_tensor *matrix = confusion ? lsb_new_matrix(L, name, p.z.cols, p.z.cols) : NULL;
  int at = lua_gettop(L);
  int64_t *counts = confusion ? lsb_new_scratch(L, name, cells * sizeof *counts) : NULL;
  ls_class_score *classes = lsb_new_scratch(L, name, (size_t)(p.z.cols > 0 ? p.z.cols : 1) * sizeof *classes);
  void *scratch = lsb_new_scratch(L, name, ls_classification_scratch(&p, confusion));

  if (ls_classify(&p, (int32_t)tops, top, scratch, &r, share, classes, counts, &err) != LS_OK) return lsb_raise(L, name, &err);
  for (size_t i = 0; confusion && i < cells; i++) matrix->view.data[i] = (float)counts[i];

  lua_createtable(L, 0, 8);
  lsb_set_integer(L, "rows", r.rows);
  lsb_set_number(L, "accuracy", r.accuracy);
  lsb_set_number(L, "balanced_accuracy", r.balanced_accuracy);
  lsb_set_number(L, "nll", r.nll);
  lsb_set_number(L, "brier", r.brier);
  lsb_set_number(L, "macro_precision", r.macro_precision);
  lsb_set_number(L, "macro_recall", r.macro_recall);
  lsb_set_number(L, "macro_f1", r.macro_f1);
  push_classes(L, classes, p.z.cols);
  lsb_push_numbers(L, tops, share);
  if (!confusion) return 3;
  lua_pushvalue(L, at);
  return 4;
}

int lsb_open_classification(lua_State *L) {
  static const luaL_Reg functions[] = {{"classify", classify}, {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}
