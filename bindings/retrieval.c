/* Measures of retrieval. SPDX-License-Identifier: MIT */
#include "bindings/lsb.h"

#include <lsengine/retrieval.h>

static const char *const whole_names[LS_RETRIEVAL_WHOLE] = {"r_precision", "map_at_r", "map", "mrr", "ndcg_full"};
static const char *const at_names[LS_RETRIEVAL_AT] = {"recall", "precision", "hit_share", "ap", "ap_by_relevant", "ap_by_hits", "ndcg"};

/* A table of means: numbers, and tables by k. */
static void push_measures(lua_State *L, const double *m, const lsb_labels *at, bool whole) {
  lua_createtable(L, 0, LS_RETRIEVAL_WHOLE + LS_RETRIEVAL_AT);
  for (int c = 0; c < LS_RETRIEVAL_WHOLE; c++) {
    if (!whole && (c == LS_RETRIEVAL_MAP || c == LS_RETRIEVAL_MRR || c == LS_RETRIEVAL_NDCG)) continue;
    lua_pushnumber(L, m[c]);
    lua_setfield(L, -2, whole_names[c]);
  }
  for (int c = 0; c < LS_RETRIEVAL_AT; c++) {
    lua_createtable(L, 0, (int)at->count);
    for (size_t a = 0; a < at->count; a++) {
      lua_pushnumber(L, m[LS_RETRIEVAL_WHOLE + a * LS_RETRIEVAL_AT + (size_t)c]);
      lua_rawseti(L, -2, at->values[a]);
    }
    lua_setfield(L, -2, at_names[c]);
  }
}

static void push_classes(lua_State *L, int32_t count, const int64_t *classes, const int64_t *kept, const double *by_class, size_t columns, const lsb_labels *at, bool whole) {
  lua_createtable(L, count, 0);
  for (int32_t c = 0; c < count; c++) {
    push_measures(L, by_class + (size_t)c * columns, at, whole);
    lua_pushinteger(L, classes[c]);
    lua_setfield(L, -2, "label");
    lua_pushinteger(L, kept[c]);
    lua_setfield(L, -2, "queries");
    lua_rawseti(L, -2, c + 1);
  }
}

/* Queries without a relevant row, with ties, with twins. */
static void push_counts(lua_State *L, int32_t queries, const ls_retrieval_query *about) {
  int64_t without = 0, tied = 0, twins = 0;
  for (int32_t i = 0; i < queries; i++) {
    without += about[i].relevant == 0;
    tied += about[i].tied;
    twins += about[i].twin;
  }
  lua_pushinteger(L, without);
  lua_pushinteger(L, tied);
  lua_pushinteger(L, twins);
}

/* retrieval(queries, labels, gallery, gallery labels, metric, at, queries are the gallery, zero, near, whole): means over queries, means of classes' means, a list of
 * { label, queries, measures }; numbers of queries without a relevant row, with ties, with twins, compared by values alone. */
static int retrieval(lua_State *L) {
  enum { MOST_AT = 64, AT_ONCE = 4096, PAIRS = 1 << 28 }; /* the gallery is packed for as many queries, or pairs, as come between two looks at Ctrl-C */
  const char *who = "retrieval";
  int32_t at[MOST_AT];
  ls_err err;
  ls_knn knn;
  lua_settop(L, 10);
  ls_cmat queries = lsb_check_matrix(L, 1, who, "embeddings"), gallery = lsb_check_matrix(L, 3, who, "gallery");
  lsb_labels *labels = lsb_check_labels(L, 2, who, "labels"), *gallery_labels = lsb_check_labels(L, 4, who, "gallery_labels"), *k = lsb_check_labels(L, 6, who, "at");
  const char *metric = lsb_check_string(L, 5, who, "metric", NULL);
  bool own = lua_toboolean(L, 7), zero = lua_toboolean(L, 8), whole = lua_toboolean(L, 10);
  int kind = metric[0] == 'l' ? LS_METRIC_L2 : metric[0] == 'i' ? LS_METRIC_INNER_PRODUCT : LS_METRIC_COSINE;
  double near = lsb_check_number(L, 9, who, "near_duplicate");
  if (kind == LS_METRIC_L2) near *= near;
  if (labels->count != (size_t)queries.rows) return lsb_fail(L, who, "there are %zu labels but %d embeddings", labels->count, queries.rows);
  if (gallery_labels->count != (size_t)gallery.rows) return lsb_fail(L, who, "there are %zu gallery_labels but the gallery has %d rows", gallery_labels->count, gallery.rows);
  if (own && gallery.rows != queries.rows) return lsb_fail(L, who, "the gallery is not the queries");
  if (queries.rows < 1) return lsb_fail(L, who, "there is no row to judge");
  if (k->count > MOST_AT) return lsb_fail(L, who, "at has %zu numbers, at most %d are allowed", k->count, MOST_AT);
  for (size_t a = 0; a < k->count; a++) {
    if (k->values[a] < 1 || k->values[a] > gallery.rows - own)
      return lsb_fail(L, who, "at[%zu] is %lld, allowed is 1 to %d: the gallery has %d rows%s", a + 1, (long long)k->values[a], gallery.rows - own, gallery.rows,
                      own ? ", the query's own is left out" : "");
    at[a] = (int32_t)k->values[a];
  }

  int32_t columns = LS_RETRIEVAL_WHOLE + (int32_t)k->count * LS_RETRIEVAL_AT, m = queries.rows;
  void *memory = lsb_new_scratch(L, who, ls_knn_bytes(gallery.rows, gallery.cols, (ls_metric)kind));
  ls_retrieval_query *about = lsb_new_scratch(L, who, (size_t)m * sizeof *about);
  double *measures = lsb_new_scratch(L, who, (size_t)m * (size_t)columns * sizeof *measures);
  int64_t *self = lsb_new_scratch(L, who, (size_t)m * sizeof *self), *classes = lsb_new_scratch(L, who, (size_t)m * sizeof *classes);
  int32_t count = ls_retrieval_classes(m, labels->values, classes);
  int64_t *kept = lsb_new_scratch(L, who, (size_t)count * sizeof *kept);
  double *by_class = lsb_new_scratch(L, who, ((size_t)count + 2) * (size_t)columns * sizeof *by_class), *micro = by_class + (size_t)count * (size_t)columns, *macro = micro + columns;

  if (ls_knn_prepare(gallery, (ls_metric)kind, memory, &knn, &err) != LS_OK) return lsb_raise(L, who, &err);
  int32_t together = PAIRS / gallery.rows > AT_ONCE ? PAIRS / gallery.rows : AT_ONCE;
  if (together > m) together = m;
  void *scratch = lsb_new_scratch(L, who, ls_retrieval_scratch(&knn, together));
  int64_t values = 0, by_values = 0;
  for (int32_t i = 0; i < m; i++) self[i] = i;
  for (int32_t first = 0; first < m; first += together) {
    ls_cmat part = {queries.data + first * queries.stride, m - first < together ? m - first : together, queries.cols, queries.stride};
    if (lsb_interrupted()) return luaL_error(L, "interrupted");
    if (ls_retrieval(&knn, gallery_labels->values, part, labels->values + first, own ? self + first : NULL, (int32_t)k->count, at, near, whole, scratch, about + first,
                     measures + (size_t)first * (size_t)columns, &values, &err) != LS_OK)
      return lsb_raise(L, who, &err);
    by_values += values;
  }
  ls_retrieval_average(m, labels->values, about, columns, measures, zero, count, classes, by_class, kept, micro, macro);

  push_measures(L, micro, k, whole);
  push_measures(L, macro, k, whole);
  push_classes(L, count, classes, kept, by_class, (size_t)columns, k, whole);
  push_counts(L, m, about);
  lua_pushinteger(L, by_values);
  return 7;
}

int lsb_open_retrieval(lua_State *L) {
  static const luaL_Reg functions[] = {{"retrieval", retrieval}, {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}
