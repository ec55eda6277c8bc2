/* Geometry of a representation. SPDX-License-Identifier: MIT */
#include "bindings/measures.h"

#include <lsengine/geometry.h>

/* scatter(features, labels): a table of measures. */
static int scatter(lua_State *L) {
  ls_scatter s;
  ls_err err;
  lua_settop(L, 2);
  ls_cmat x = lsb_check_matrix(L, 1, "geometry", "features");
  lsb_groups g = lsb_check_groups(L, 2, "geometry", "labels", x.rows, "features");
  void *scratch = lsb_new_scratch(L, "geometry", ls_scatter_scratch(x, g.count));
  if (ls_measure_scatter(x, g.of_row, g.count, scratch, &s, &err) != LS_OK) return lsb_raise(L, "geometry", &err);
  const lsb_field fields[] = {{"class_separation", s.separation}, {"within", s.within}, {"between", s.between}, {"total", s.total},
                              {"within_trace", s.within_trace}, {"between_trace", s.between_trace}, {"trace_ratio", s.trace_ratio},
                              {"cdnv", s.cdnv}, {"alignment", s.alignment}, {"norm", s.norm}, {"classes", g.count}};
  LSB_PUSH_FIELDS(L, fields);
  return 1;
}

/* uniformity(features, t) */
static int uniformity(lua_State *L) {
  double value;
  ls_err err;
  lua_settop(L, 2);
  ls_cmat x = lsb_check_matrix(L, 1, "uniformity", "features");
  double t = lsb_check_number(L, 2, "uniformity", "t");
  void *scratch = lsb_new_scratch(L, "uniformity", ls_uniformity_scratch(x));
  if (ls_uniformity(x, t, scratch, &value, &err) != LS_OK) return lsb_raise(L, "uniformity", &err);
  lua_pushnumber(L, value);
  return 1;
}

/* alignment(features, positives) */
static int alignment(lua_State *L) {
  double value;
  ls_err err;
  lua_settop(L, 2);
  ls_cmat x = lsb_check_matrix(L, 1, "alignment", "features"), y = lsb_check_matrix(L, 2, "alignment", "positives");
  if (ls_alignment(x, y, &value, &err) != LS_OK) return lsb_raise(L, "alignment", &err);
  lua_pushnumber(L, value);
  return 1;
}

/* The weight's rows are classes 0 … K-1, each of which must occur. */
static void check_classes(lua_State *L, const lsb_groups *g, int32_t rows) {
  for (int32_t k = 0; k < g->count; k++)
    if (g->names[k] < 0 || g->names[k] >= rows)
      lsb_fail(L, "neural_collapse", "a label is %lld but weight has %d rows: classes are 0..%d", (long long)g->names[k], rows, rows - 1);
  for (int32_t k = 0; k < rows; k++)
    if (k >= g->count || g->names[k] != k) lsb_fail(L, "neural_collapse", "weight has a row for class %d, but no row of the features is of that class", k);
}

/* neural_collapse(features, labels, weight or nil, bias or nil) */
static int neural_collapse(lua_State *L) {
  ls_collapse r;
  ls_err err;
  ls_cmat weight = {0};
  const float *bias = NULL;
  lua_settop(L, 4);
  ls_cmat x = lsb_check_matrix(L, 1, "neural_collapse", "features");
  if (!lua_isnil(L, 3)) weight = lsb_check_matrix(L, 3, "neural_collapse", "weight");
  if (!lua_isnil(L, 4)) {
    lsb_tensor *t = lsb_check_contiguous(L, 4, "neural_collapse", "bias");
    if (weight.data == NULL || ls_view_count(&t->view) != (size_t)weight.rows)
      return lsb_fail(L, "neural_collapse", "bias has %zu elements, one for each row of weight is required", ls_view_count(&t->view));
    bias = t->view.data;
  }
  lsb_groups g = lsb_check_groups(L, 2, "neural_collapse", "labels", x.rows, "features");
  if (weight.data != NULL) check_classes(L, &g, weight.rows);
  void *scratch = lsb_new_scratch(L, "neural_collapse", ls_collapse_scratch(x, g.count));
  if (ls_neural_collapse(x, g.of_row, g.count, weight, bias, scratch, &r, &err) != LS_OK) return lsb_raise(L, "neural_collapse", &err);
  const lsb_field fields[] = {{"nc1", r.nc1}, {"nc2_norms", r.nc2_norms}, {"nc2_angles", r.nc2_angles}, {"rank", r.rank}, {"classes", g.count}};
  const lsb_field of_weight[] = {{"nc2_weight_norms", r.nc2_weight_norms}, {"nc2_weight_angles", r.nc2_weight_angles}, {"nc3", r.nc3}, {"nc4", r.nc4}};
  LSB_PUSH_FIELDS(L, fields);
  for (size_t i = 0; weight.data != NULL && i < sizeof of_weight / sizeof *of_weight; i++) {
    lua_pushnumber(L, of_weight[i].value);
    lua_setfield(L, -2, of_weight[i].name);
  }
  return 1;
}

/* cka(a, b) */
static int cka(lua_State *L) {
  double value;
  ls_err err;
  lua_settop(L, 2);
  ls_cmat x = lsb_check_matrix(L, 1, "cka", "a"), y = lsb_check_matrix(L, 2, "cka", "b");
  void *scratch = lsb_new_scratch(L, "cka", ls_cka_scratch(x, y));
  if (ls_cka(x, y, scratch, &value, &err) != LS_OK) return lsb_raise(L, "cka", &err);
  lua_pushnumber(L, value);
  return 1;
}

/* effective_rank(features): as they are, centred, participation ratio of the centred. */
static int effective_rank(lua_State *L) {
  ls_rank r;
  ls_err err;
  lua_settop(L, 1);
  ls_cmat x = lsb_check_matrix(L, 1, "effective_rank", "features");
  void *scratch = lsb_new_scratch(L, "effective_rank", ls_effective_rank_scratch(x));
  if (ls_effective_rank(x, scratch, &r, &err) != LS_OK) return lsb_raise(L, "effective_rank", &err);
  lua_pushnumber(L, r.effective);
  lua_pushnumber(L, r.effective_centred);
  lua_pushnumber(L, r.participation_centred);
  return 3;
}

/* project(features, weight, a, b, c): points N×2, corners 3×2. Classes from 0. */
static int project(lua_State *L) {
  ls_err err;
  int32_t at[3];
  lua_settop(L, 5);
  ls_cmat x = lsb_check_matrix(L, 1, "projection", "features"), w = lsb_check_matrix(L, 2, "projection", "weight");
  if (x.cols != w.cols) return lsb_fail(L, "projection", "features have %d columns but weight has %d", x.cols, w.cols);
  for (int i = 0; i < 3; i++) at[i] = lsb_check_int(L, 3 + i, "projection", "a class", 0, w.rows - 1);
  lsb_tensor *points = lsb_new_matrix(L, "projection", x.rows, 2), *corners = lsb_new_matrix(L, "projection", 3, 2);
  void *scratch = lsb_new_scratch(L, "projection", ls_projection_scratch(x.cols));
  if (ls_project(x, w.data + at[0] * w.stride, w.data + at[1] * w.stride, w.data + at[2] * w.stride, scratch, lsb_as_matrix(points), corners->view.data, &err) != LS_OK)
    return lsb_raise(L, "projection", &err);
  lua_settop(L, 7);
  return 2;
}

/* mutual_information(draws, fresh or nil) */
static int mutual_information(lua_State *L) {
  double value;
  ls_err err;
  ls_cmat fresh = {0};
  lua_settop(L, 2);
  ls_cmat draws = lsb_check_matrix(L, 1, "mutual_information", "draws");
  if (!lua_isnil(L, 2)) fresh = lsb_check_matrix(L, 2, "mutual_information", "fresh");
  double *scratch = lsb_new_scratch(L, "mutual_information", 2 * (size_t)draws.rows * sizeof *scratch);
  if (ls_mutual_information(draws, fresh, scratch, scratch + draws.rows, &value, &err) != LS_OK) return lsb_raise(L, "mutual_information", &err);
  lua_pushnumber(L, value);
  return 1;
}

/* logits(logits, labels) */
static int logits(lua_State *L) {
  ls_logit_stats s;
  ls_err err;
  lua_settop(L, 2);
  ls_cmat z = lsb_check_matrix(L, 1, "logits", "logits");
  lsb_labels *labels = lsb_check_labels(L, 2, "logits", "labels");
  if (labels->count != (size_t)z.rows) return lsb_fail(L, "logits", "there are %zu labels but logits have %d rows", labels->count, z.rows);
  if (ls_measure_logits(z, labels->values, &s, &err) != LS_OK) return lsb_raise(L, "logits", &err);
  const lsb_field fields[] = {{"norm", s.norm}, {"centred_norm", s.centred_norm}, {"true_gap", s.true_gap}, {"top_gap", s.top_gap},
                              {"margin", s.margin}, {"top_margin", s.top_margin}, {"deviation", s.deviation}};
  LSB_PUSH_FIELDS(L, fields);
  return 1;
}

int lsb_open_geometry(lua_State *L) {
  static const luaL_Reg functions[] = {{"scatter", scatter}, {"uniformity", uniformity}, {"alignment", alignment}, {"neural_collapse", neural_collapse},
                                       {"cka", cka}, {"effective_rank", effective_rank}, {"project", project}, {"mutual_information", mutual_information},
                                       {"logits", logits}, {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}
