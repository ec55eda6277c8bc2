/* Calibrators: fitting and applying. SPDX-License-Identifier: MIT */
#include "bindings/predictions.h"

#include <lsengine/calibrators.h>

#include <math.h>
#include <string.h>

static const char name[] = "calibrator";

/* fit_temperature(logits, labels, false, nil, ignore): temperature, NLL, NLL at 1, whether a bound was hit. */
static int fit_temperature(lua_State *L) {
  ls_err err;
  ls_temperature t;
  lua_settop(L, 5);
  ls_predictions p = lsb_check_predictions(L, "temperature");
  void *scratch = lsb_new_scratch(L, "temperature", ls_fit_temperature_scratch(&p));
  if (ls_fit_temperature(&p, scratch, &t, &err) != LS_OK) return lsb_raise(L, "temperature", &err);
  lua_pushnumber(L, t.temperature);
  lua_pushnumber(L, t.nll);
  lua_pushnumber(L, t.nll_before);
  lua_pushboolean(L, t.at_bound);
  return 4;
}

/* fit_affine(logits, labels, false, nil, ignore, matrix, penalty, steps): { w }, { b }, NLL, NLL before, steps taken, converged. */
static int fit_affine(lua_State *L) {
  ls_err err;
  ls_affine r;
  lua_settop(L, 8);
  ls_predictions p = lsb_check_predictions(L, name);
  ls_affine_kind kind = lua_toboolean(L, 6) ? LS_AFFINE_MATRIX : LS_AFFINE_VECTOR;
  double penalty = lsb_check_number(L, 7, name, "penalty");
  int32_t steps = lsb_check_int(L, 8, name, "steps", 1, INT32_MAX);
  if (kind == LS_AFFINE_MATRIX && p.z.cols > 1000) return lsb_fail(L, name, "a matrix for %d classes is too large, at most 1000 are taken", p.z.cols);
  size_t k = (size_t)p.z.cols, weights = kind == LS_AFFINE_MATRIX ? k * k : k;
  double *w = lsb_new_scratch(L, name, (weights + k) * sizeof *w);
  void *scratch = lsb_new_scratch(L, name, ls_fit_affine_scratch(&p, kind));
  if (ls_fit_affine(&p, kind, penalty, steps, scratch, w, w + weights, &r, &err) != LS_OK) return lsb_raise(L, name, &err);
  lsb_push_numbers(L, weights, w);
  lsb_push_numbers(L, k, w + weights);
  lua_pushnumber(L, r.nll);
  lua_pushnumber(L, r.nll_before);
  lua_pushinteger(L, r.steps);
  lua_pushboolean(L, r.converged);
  return 6;
}

/* apply_affine(logits, matrix, { w }, { b }): logits. */
static int apply_affine(lua_State *L) {
  ls_err err;
  size_t n;
  lua_settop(L, 4);
  ls_cmat z = lsb_check_matrix(L, 1, name, "logits");
  ls_affine_kind kind = lua_toboolean(L, 2) ? LS_AFFINE_MATRIX : LS_AFFINE_VECTOR;
  size_t k = (size_t)z.cols, weights = kind == LS_AFFINE_MATRIX ? k * k : k;
  double *w = lsb_check_numbers(L, 3, name, "weights", weights, weights, &n), *b = lsb_check_numbers(L, 4, name, "biases", k, k, &n);
  ls_mat out = lsb_as_matrix(lsb_new_matrix(L, name, z.rows, z.cols));
  if (ls_apply_affine(z, kind, w, b, out, &err) != LS_OK) return lsb_raise(L, name, &err);
  return 1;
}

/* A column of numbers and whether each came true, as kept by Lua: a tensor (N), a table of 0-based integers and the one that counts as true. */
static double *column(lua_State *L, int index, size_t *n) {
  char text[128];
  lsb_tensor *t = lsb_check_contiguous(L, index, name, "x");
  if (t->view.rank != 1) lsb_fail(L, name, "x has shape %s, a vector is required", ls_shape_text(&t->view, text, sizeof text));
  *n = (size_t)t->view.shape[0];
  double *x = lsb_new_scratch(L, name, *n * sizeof *x);
  for (size_t i = 0; i < *n; i++) {
    x[i] = (double)t->view.data[i];
    if (!isfinite(x[i])) lsb_fail(L, name, "x[%zu] is %g, a finite number is required", i + 1, x[i]);
  }
  return x;
}

/* fit_isotonic(x (N), labels, k): { knot x }, { knot y } of the regression of [label = k] on x. */
static int fit_isotonic(lua_State *L) {
  size_t n;
  lua_settop(L, 3);
  lsb_labels *labels = lsb_check_labels(L, 2, name, "labels");
  int whole;
  lua_Integer k = lua_tointegerx(L, 3, &whole);
  if (!whole) return lsb_type_error(L, 3, name, "the class", "an integer");
  double *x = column(L, 1, &n);
  if (labels->count != n) return lsb_fail(L, name, "there are %zu labels for %zu rows", labels->count, n);
  if (n == 0) return lsb_fail(L, name, "there is no row to fit");
  uint8_t *y = lsb_new_scratch(L, name, n);
  double *knots = lsb_new_scratch(L, name, 4 * n * sizeof *knots);
  void *scratch = lsb_new_scratch(L, name, ls_isotonic_scratch(n));
  for (size_t i = 0; i < n; i++) y[i] = labels->values[i] == k;
  size_t count = ls_fit_isotonic(n, x, y, scratch, knots, knots + 2 * n);
  lsb_push_numbers(L, count, knots);
  lsb_push_numbers(L, count, knots + 2 * n);
  return 2;
}

/* apply_isotonic(x (N), { knot x }, { knot y }): a vector. */
static int apply_isotonic(lua_State *L) {
  size_t n, count, other;
  lua_settop(L, 3);
  double *knot_x = lsb_check_numbers(L, 2, name, "knots", 1, SIZE_MAX, &count), *knot_y = lsb_check_numbers(L, 3, name, "knots", 1, SIZE_MAX, &other);
  if (count != other) return lsb_fail(L, name, "there are %zu knots and %zu values", count, other);
  double *x = column(L, 1, &n);
  int32_t shape = (int32_t)n;
  lsb_tensor *out = lsb_new_tensor(L, name, 1, &shape);
  for (size_t i = 0; i < n; i++) out->view.data[i] = (float)ls_apply_isotonic(count, knot_x, knot_y, x[i]);
  return 1;
}

/* fit_bins(x (N), labels, k, bins, equal mass): { upper edge, …, 1 }, { share of [label = k] }, { count }. Empty bins: their middle. */
static int fit_bins(lua_State *L) {
  size_t n;
  lua_settop(L, 5);
  lsb_labels *labels = lsb_check_labels(L, 2, name, "labels");
  int whole;
  lua_Integer k = lua_tointegerx(L, 3, &whole);
  if (!whole) return lsb_type_error(L, 3, name, "the class", "an integer");
  int32_t bins = lsb_check_int(L, 4, name, "bins", 1, 10000);
  bool mass = lua_toboolean(L, 5);
  double *x = column(L, 1, &n);
  if (labels->count != n) return lsb_fail(L, name, "there are %zu labels for %zu rows", labels->count, n);
  if (n == 0) return lsb_fail(L, name, "there is no row to fit");
  uint8_t *y = lsb_new_scratch(L, name, n);
  double *out = lsb_new_scratch(L, name, 3 * (size_t)bins * sizeof *out);
  void *scratch = lsb_new_scratch(L, name, ls_fit_bins_scratch(n));
  for (size_t i = 0; i < n; i++) y[i] = labels->values[i] == k;
  ls_fit_bins(n, x, y, bins, mass, scratch, out, out + bins, out + 2 * bins);
  for (int i = 0; i < 3; i++) lsb_push_numbers(L, (size_t)bins, out + i * bins);
  return 3;
}

/* apply_bins(x (N), { upper edge, … }, { value, … }): a vector. A number on an edge belongs to the bin above it. */
static int apply_bins(lua_State *L) {
  size_t n, count, other;
  lua_settop(L, 3);
  double *edges = lsb_check_numbers(L, 2, name, "edges", 1, SIZE_MAX, &count), *values = lsb_check_numbers(L, 3, name, "values", 1, SIZE_MAX, &other);
  if (count != other) return lsb_fail(L, name, "there are %zu edges and %zu values", count, other);
  double *x = column(L, 1, &n);
  int32_t shape = (int32_t)n;
  lsb_tensor *out = lsb_new_tensor(L, name, 1, &shape);
  for (size_t i = 0; i < n; i++) out->view.data[i] = (float)values[ls_find_bin(count, edges, x[i])];
  return 1;
}

/* top(p (N×K), labels or nil): the largest entry of each row (N), where it is (labels from 0), and, given labels, 1 where it is at the label, else 0. */
static int top(lua_State *L) {
  lua_settop(L, 2);
  ls_cmat p = lsb_check_matrix(L, 1, name, "probabilities");
  lsb_labels *labels = lua_isnil(L, 2) ? NULL : lsb_check_labels(L, 2, name, "labels");
  if (p.cols < 1) return lsb_fail(L, name, "probabilities have no class");
  if (labels != NULL && labels->count != (size_t)p.rows) return lsb_fail(L, name, "there are %zu labels for %d rows", labels->count, p.rows);
  lsb_tensor *c = lsb_new_tensor(L, name, 1, &p.rows);
  lsb_labels *predicted = lsb_new_labels(L, name, (size_t)p.rows), *right = labels == NULL ? NULL : lsb_new_labels(L, name, (size_t)p.rows);
  for (int32_t i = 0; i < p.rows; i++) {
    const float *row = p.data + i * p.stride;
    int32_t best = 0;
    for (int32_t k = 1; k < p.cols; k++)
      if (row[k] > row[best]) best = k;
    c->view.data[i] = row[best];
    predicted->values[i] = best;
    if (right != NULL) right->values[i] = labels->values[i] == best;
  }
  return labels == NULL ? 2 : 3;
}

/* replace_top(p (N×K), predicted, c (N)): a copy with c at the predicted class; the others share 1 - c as before, evenly where they had nothing. */
static int replace_top(lua_State *L) {
  char text[128];
  lua_settop(L, 3);
  ls_cmat p = lsb_check_matrix(L, 1, name, "probabilities");
  lsb_labels *predicted = lsb_check_labels(L, 2, name, "predictions");
  lsb_tensor *c = lsb_check_contiguous(L, 3, name, "confidences");
  if (predicted->count != (size_t)p.rows || c->view.rank != 1 || c->view.shape[0] != p.rows)
    return lsb_fail(L, name, "there are %zu predictions and confidences of shape %s for %d rows", predicted->count, ls_shape_text(&c->view, text, sizeof text), p.rows);
  for (int32_t i = 0; i < p.rows; i++)
    if (predicted->values[i] < 0 || predicted->values[i] >= p.cols) return lsb_fail(L, name, "prediction %d is %lld", i + 1, (long long)predicted->values[i]);
  ls_mat out = lsb_as_matrix(lsb_new_matrix(L, name, p.rows, p.cols));
  for (int32_t i = 0; i < p.rows; i++) {
    const float *row = p.data + i * p.stride;
    double others = 0.0, rest = 1.0 - (double)c->view.data[i];
    for (int32_t k = 0; k < p.cols; k++) others += k == predicted->values[i] ? 0.0 : (double)row[k];
    for (int32_t k = 0; k < p.cols; k++) {
      double value = others > 0.0 ? (double)row[k] * rest / others : rest / (p.cols - 1);
      out.data[i * out.stride + k] = p.cols == 1 ? 1.0f : k == predicted->values[i] ? c->view.data[i] : (float)value;
    }
  }
  return 1;
}

int lsb_open_calibrators(lua_State *L) {
  static const luaL_Reg functions[] = {{"fit_temperature", fit_temperature}, {"fit_affine", fit_affine},         {"apply_affine", apply_affine},
                                       {"fit_isotonic", fit_isotonic},       {"apply_isotonic", apply_isotonic}, {"fit_bins", fit_bins},
                                       {"apply_bins", apply_bins},           {"top", top},                       {"replace_top", replace_top},
                                       {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}
