/* The linear probe. SPDX-License-Identifier: MIT */
#include "bindings/measures.h"

#include <lsengine/probe.h>

#include <math.h>
#include <string.h>

typedef struct part { /* rows of one split, as the probe sees them */
  const double *points;
  int32_t *group;
  int32_t rows;
} part;

/* Each label's place among the training classes. Pushes it. */
static int32_t *push_places(lua_State *L, int index, const char *name, int32_t rows, const lsb_groups *train) {
  char argument[64];
  (void)strcat(strcpy(argument, name), "_labels");
  lsb_labels *labels = lsb_check_labels(L, index, "probe", argument);
  if (labels->count != (size_t)rows) lsb_fail(L, "probe", "there are %zu %s but %s_features have %d rows", labels->count, argument, name, rows);
  int32_t *places = lsb_new_scratch(L, "probe", (size_t)rows * sizeof *places);
  for (int32_t i = 0; i < rows; i++) {
    int32_t low = 0, high = train->count;
    while (high - low > 1) {
      int32_t middle = low + (high - low) / 2;
      if (train->names[middle] <= labels->values[i])
        low = middle;
      else
        high = middle;
    }
    if (train->names[low] != labels->values[i])
      lsb_fail(L, "probe", "%s[%d] is %lld, a class of which no row was trained on", argument, i + 1, (long long)labels->values[i]);
    places[i] = low;
  }
  return places;
}

/* Features of another split at index, labels after it: pushes its points and places. */
static part push_part(lua_State *L, int index, const char *name, int32_t columns, const double *mean, const double *scale, const lsb_groups *train) {
  char argument[64];
  (void)strcat(strcpy(argument, name), "_features");
  ls_cmat x = lsb_check_matrix(L, index, "probe", argument);
  if (x.cols != columns) lsb_fail(L, "probe", "%s have %d columns but train_features have %d", argument, x.cols, columns);
  if (x.rows < 1) lsb_fail(L, "probe", "%s have no row", argument);
  for (int32_t i = 0; i < x.rows; i++)
    for (int32_t j = 0; j < x.cols; j++)
      if (!isfinite(x.data[i * x.stride + j])) lsb_fail(L, "probe", "%s[%d] is not a finite number in column %d", argument, i + 1, j + 1);
  int32_t *places = push_places(L, index + 1, name, x.rows, train);
  double *points = lsb_new_scratch(L, "probe", (size_t)x.rows * (size_t)x.cols * sizeof *points);
  ls_probe_points(x, mean, scale, points);
  return (part){points, places, x.rows};
}

/* A row of the table of what was tried. */
static void add_tried(lua_State *L, int index, int at, double l2, const ls_probe *fit, double accuracy, double nll, bool judged) {
  const lsb_field fields[] = {{"l2", l2}, {"objective", fit->objective}, {"gradient", fit->gradient}, {"iterations", fit->iterations}, {"sweeps", fit->sweeps}};
  LSB_PUSH_FIELDS(L, fields);
  lua_pushboolean(L, fit->converged);
  lua_setfield(L, -2, "converged");
  if (judged) {
    lua_pushnumber(L, accuracy);
    lua_setfield(L, -2, "accuracy");
    lua_pushnumber(L, nll);
    lua_setfield(L, -2, "nll");
  }
  lua_rawseti(L, index, at);
}

/* Pushes weight (K,D) and bias (1,K) for the features as they are, and the classes. */
static void push_weights(lua_State *L, const lsb_groups *train, int32_t d, const double *best, const double *mean, const double *scale) {
  int32_t k = train->count;
  lsb_tensor *weight = lsb_new_matrix(L, "probe", k, d), *bias = lsb_new_matrix(L, "probe", 1, k);
  lsb_labels *classes = lsb_new_labels(L, "probe", (size_t)k);
  for (int32_t c = 0; c < k; c++) {
    const double *w = best + (size_t)c * ((size_t)d + 1);
    double offset = w[d];
    for (int32_t j = 0; j < d; j++) {
      weight->view.data[(size_t)c * (size_t)d + (size_t)j] = (float)(w[j] * scale[j]);
      offset -= w[j] * scale[j] * mean[j];
    }
    bias->view.data[c] = (float)offset;
    classes->values[c] = train->names[c];
  }
}

/* probe(train, labels, test, labels, validation or nil, labels or nil, grid, standardise, tolerance, iterations, by accuracy): a table (accuracy, nll, l2,
 * …), what was tried (one row for each l2, in the order of the grid), logits of the test rows, classes (their columns), weight, bias (in the features' own
 * units). Each l2 starts where the one before has ended. */
static int probe(lua_State *L) {
  enum { TRAIN = 1, TEST = 3, VALIDATION = 5, GRID = 7, STANDARDISE, TOLERANCE, ITERATIONS, BY_ACCURACY };
  ls_err err;
  size_t tries;
  part validation = {0};
  double best_accuracy = 0.0, best_nll = INFINITY, chosen = 0.0, accuracy, nll;
  ls_probe fit, kept = {0};
  lua_settop(L, BY_ACCURACY);
  ls_cmat x = lsb_check_matrix(L, TRAIN, "probe", "train_features");
  ls_probe_options o = {.tolerance = lsb_check_number(L, TOLERANCE, "probe", "tolerance"), .iterations = lsb_check_int(L, ITERATIONS, "probe", "iterations", 1, INT32_MAX)};
  double *grid = lsb_check_doubles(L, GRID, "probe", "l2", 1, &tries);
  lsb_groups train = lsb_check_groups(L, TRAIN + 1, "probe", "train_labels", x.rows, "train_features");
  int32_t n = x.rows, d = x.cols, k = train.count;
  if (k < 2) return lsb_fail(L, "probe", "train_labels hold one class, at least 2 are required");
  double *mean = lsb_new_scratch(L, "probe", (2 * (size_t)d + 1) * sizeof *mean), *scale = mean + d;
  if (ls_probe_scale(x, lua_toboolean(L, STANDARDISE), mean, scale, (int64_t *)(scale + d), &err) != LS_OK) return lsb_raise(L, "probe", &err);
  double *points = lsb_new_scratch(L, "probe", (size_t)n * (size_t)d * sizeof *points);
  ls_probe_points(x, mean, scale, points);
  part test = push_part(L, TEST, "test", d, mean, scale, &train);
  if (!lua_isnil(L, VALIDATION)) validation = push_part(L, VALIDATION, "validation", d, mean, scale, &train);
  int32_t longest = test.rows > validation.rows ? test.rows : validation.rows;
  void *scratch = lsb_new_scratch(L, "probe", ls_probe_scratch(n, d, k)), *judging = lsb_new_scratch(L, "probe", ls_probe_judge_scratch(longest, k));
  size_t size = (size_t)k * ((size_t)d + 1);
  double *weights = lsb_new_scratch(L, "probe", 2 * size * sizeof *weights), *best = weights + size;
  memset(weights, 0, 2 * size * sizeof *weights);
  lua_createtable(L, (int)tries, 0);
  int tried = lua_gettop(L);

  for (size_t t = 0; t < tries && (t == 0 || !lsb_interrupted()); t++) {
    o.l2 = grid[t];
    if (ls_probe_fit(n, d, points, train.of_row, k, &o, scratch, weights, &fit, &err) != LS_OK) return lsb_raise(L, "probe", &err);
    accuracy = nll = 0.0;
    if (validation.points != NULL &&
        ls_probe_judge(validation.rows, d, validation.points, validation.group, k, weights, judging, (ls_mat){0}, &accuracy, &nll, &err) != LS_OK)
      return lsb_raise(L, "probe", &err);
    add_tried(L, tried, (int)t + 1, o.l2, &fit, accuracy, nll, validation.points != NULL);
    bool better = lua_toboolean(L, BY_ACCURACY) ? accuracy > best_accuracy || (accuracy == best_accuracy && nll < best_nll) : nll < best_nll;
    if (t > 0 && !better) continue;
    best_accuracy = accuracy;
    best_nll = nll;
    chosen = o.l2;
    kept = fit;
    memcpy(best, weights, size * sizeof *best);
  }
  lsb_tensor *logits = lsb_new_matrix(L, "probe", test.rows, k);
  if (ls_probe_judge(test.rows, d, test.points, test.group, k, best, judging, lsb_as_matrix(logits), &accuracy, &nll, &err) != LS_OK) return lsb_raise(L, "probe", &err);
  const lsb_field fields[] = {{"accuracy", accuracy}, {"nll", nll}, {"l2", chosen}, {"objective", kept.objective}, {"gradient", kept.gradient},
                              {"iterations", kept.iterations}, {"converged", kept.converged}, {"classes", k}};
  LSB_PUSH_FIELDS(L, fields);
  lua_insert(L, -2); /* before the logits */
  lua_pushvalue(L, tried);
  lua_insert(L, -2);
  push_weights(L, &train, d, best, mean, scale);
  return 6;
}

int lsb_open_probe(lua_State *L) {
  static const luaL_Reg functions[] = {{"probe", probe}, {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}
