/* Mixing: draws, and rows blended or pasted. SPDX-License-Identifier: MIT */
#include "bindings/random.h"
#include "bindings/tensor.h"

#include <lsengine/mix.h>

#include <string.h>

typedef struct draws {
  int32_t n, *order, *partner;
  double *lambda;
  ls_box *box;
} draws;

/* Pushes the memory of n draws. */
static draws new_draws(lua_State *L, int32_t n) {
  size_t count = (size_t)n;
  draws d = {.n = n};
  char *place = lsb_new_scratch(L, "mix", count * (sizeof *d.lambda + sizeof *d.box + 2 * sizeof(int32_t)) + 1);
  d.lambda = (double *)(void *)place;
  d.box = (ls_box *)(void *)(place + count * sizeof *d.lambda);
  d.order = (int32_t *)(void *)(d.box + count);
  d.partner = d.order + count;
  return d;
}

static ls_box_policy check_policy(lua_State *L, int index) {
  static const char *const policies[] = {"clipped", "inside", "wrap", NULL};
  return (ls_box_policy)luaL_checkoption(L, index, "clipped", policies);
}

static void push_weights(lua_State *L, ls_mix_mode mode, int32_t n, const double *lambda) {
  if (mode == LS_MIX_BATCH) {
    lua_pushnumber(L, lambda[0]);
    return;
  }
  lsb_tensor *t = lsb_new_tensor(L, "mix", 1, &n);
  for (int32_t i = 0; i < n; i++) t->view.data[i] = (float)lambda[i];
}

/* Four numbers a row: first line and column, from 0, height, width. */
static void push_boxes(lua_State *L, const char *name, int32_t n, const ls_box *box) {
  lsb_labels *places = lsb_new_labels(L, name, 4 * (size_t)n);
  for (int32_t i = 0; i < n; i++) {
    int64_t *four = places->values + 4 * (ptrdiff_t)i;
    four[0] = box[i].y, four[1] = box[i].x, four[2] = box[i].height, four[3] = box[i].width;
  }
}

/* draw(name, rng, n, mode, alpha, [policy, height, width]): partners (from 1), lambda, nominal lambda, and with a policy the boxes: four
 * numbers each. Weights are one number in mode batch, else a tensor. */
static int draw(lua_State *L) {
  static const char *const modes[] = {"batch", "pair", "row", NULL};
  ls_err err;
  lua_settop(L, 8);
  const char *name = luaL_checkstring(L, 1);
  ls_rng *r = lsb_check_rng(L, 2, name);
  int32_t n = lsb_check_int(L, 3, name, "rows", 0, INT32_MAX);
  ls_mix_mode mode = (ls_mix_mode)luaL_checkoption(L, 4, "batch", modes);
  double alpha = lsb_check_number(L, 5, name, "alpha");
  bool boxes = !lua_isnil(L, 6);
  ls_box_policy policy = check_policy(L, 6);
  int32_t height = boxes ? lsb_check_int(L, 7, name, "height", 0, INT32_MAX) : 0, width = boxes ? lsb_check_int(L, 8, name, "width", 0, INT32_MAX) : 0;
  draws d = new_draws(L, n);
  if (ls_mix_partners(mode, n, r, d.order, d.partner, &err) != LS_OK || ls_mix_weights(mode, n, d.partner, alpha, r, d.lambda, &err) != LS_OK)
    return lsb_raise(L, name, &err);
  lsb_labels *partner = lsb_new_labels(L, name, (size_t)n);
  for (int32_t i = 0; i < n; i++) partner->values[i] = d.partner[i] + 1;
  push_weights(L, mode, n, d.lambda);
  if (!boxes) {
    lua_pushvalue(L, -1);
    return 3;
  }
  if (ls_mix_boxes(mode, policy, n, d.partner, height, width, r, d.lambda, d.box, &err) != LS_OK) return lsb_raise(L, name, &err);
  push_weights(L, mode, n, d.lambda);
  lua_insert(L, -2);
  push_boxes(L, name, n, d.box);
  return 4;
}

/* The tensor at `index`, contiguous, as rows of all that follows the first axis. */
static ls_cmat rows_in(lua_State *L, int index, const char *name) {
  lsb_tensor *t = lsb_check_contiguous(L, index, name, "the batch");
  char text[128];
  if (t->view.rank < 1) lsb_fail(L, name, "the batch is a scalar, rows are required");
  int32_t n = t->view.shape[0];
  size_t d = n == 0 ? 0 : ls_view_count(&t->view) / (size_t)n;
  if (d > INT32_MAX) lsb_fail(L, name, "rows of shape %s are too long", ls_shape_text(&t->view, text, sizeof text));
  return (ls_cmat){t->view.data, n, (int32_t)d, (ptrdiff_t)d};
}

/* The tensor at `index` as rows of all that follows the first axis, in place or into a new tensor of its shape, which is pushed. */
static void rows_of(lua_State *L, int index, const char *name, bool in_place, ls_cmat *x, ls_mat *out) {
  lsb_tensor *t = in_place ? lsb_check_tensor(L, index, name, "the batch") : lsb_check_contiguous(L, index, name, "the batch");
  char text[128];
  if (t->view.rank < 1) lsb_fail(L, name, "the batch is a scalar, rows are required");
  if (in_place) {
    if (!ls_view_contiguous(&t->view)) lsb_fail(L, name, "a batch that is mixed in place must have its elements one after the other (:contiguous())");
    lsb_writing(L, t, name);
  }
  size_t count = ls_view_count(&t->view);
  int32_t n = t->view.shape[0];
  size_t d = n == 0 ? 0 : count / (size_t)n;
  if (d > INT32_MAX) lsb_fail(L, name, "rows of shape %s are too long", ls_shape_text(&t->view, text, sizeof text));
  *x = (ls_cmat){t->view.data, n, (int32_t)d, (ptrdiff_t)d};
  if (in_place)
    lua_pushvalue(L, index);
  else
    t = lsb_new_tensor(L, name, t->view.rank, t->view.shape);
  *out = (ls_mat){t->view.data, n, (int32_t)d, (ptrdiff_t)d};
}

/* Partners from a label vector (from 1), in scratch that is pushed. */
static int32_t *check_partners(lua_State *L, int index, const char *name, int32_t n) {
  lsb_labels *given = lsb_check_labels(L, index, name, "partners");
  ls_err err;
  if (given->count != (size_t)n) lsb_fail(L, name, "there are %zu partners for %d rows", given->count, n);
  int32_t *partner = lsb_new_scratch(L, name, (size_t)n * (sizeof *partner + 1) + 1);
  for (int32_t i = 0; i < n; i++) partner[i] = given->values[i] < 1 || given->values[i] > n ? n : (int32_t)given->values[i] - 1;
  if (ls_mix_check_partners(n, partner, (unsigned char *)(partner + n), &err) != LS_OK) lsb_raise(L, name, &err);
  return partner;
}

/* n weights from a number or a tensor; pushes what keeps them. */
static const float *check_weights(lua_State *L, int index, const char *name, int32_t n) {
  if (lua_type(L, index) == LUA_TNUMBER) {
    float value = (float)lua_tonumber(L, index), *all = lsb_new_scratch(L, name, (size_t)n * sizeof *all + 1);
    for (int32_t i = 0; i < n; i++) all[i] = value;
    return all;
  }
  lsb_tensor *t = lsb_check_contiguous(L, index, name, "weights");
  if (t->view.rank != 1 || t->view.shape[0] != n) lsb_fail(L, name, "the weights do not fit %d rows", n);
  lua_pushvalue(L, index);
  return t->view.data;
}

/* rows(name, x, partners, a, b, in_place): a[i]·x[i] + b[i]·x[partner[i]] */
static int rows(lua_State *L) {
  ls_cmat x;
  ls_mat out;
  lua_settop(L, 6);
  const char *name = luaL_checkstring(L, 1);
  rows_of(L, 2, name, lua_toboolean(L, 6), &x, &out);
  int result = lua_gettop(L);
  int32_t *partner = check_partners(L, 3, name, x.rows);
  const float *a = check_weights(L, 4, name, x.rows), *b = check_weights(L, 5, name, x.rows);
  void *scratch = lsb_new_scratch(L, name, ls_mix_scratch(x.rows, x.cols) + 1);
  ls_mix_rows(x, partner, a, b, out, scratch);
  lua_settop(L, result);
  return 1;
}

/* paste(name, x, partners, boxes, in_place): x is N×C×H×W or N×H×W. */
static int paste(lua_State *L) {
  ls_cmat x;
  ls_mat out;
  lua_settop(L, 5);
  const char *name = luaL_checkstring(L, 1);
  const ls_view *v = &lsb_check_tensor(L, 2, name, "the batch")->view;
  char text[128];
  if (v->rank != 3 && v->rank != 4) return lsb_fail(L, name, "the batch has shape %s, images N×C×H×W are required", ls_shape_text(v, text, sizeof text));
  int32_t channels = v->rank == 4 ? v->shape[1] : 1, height = v->shape[v->rank - 2], width = v->shape[v->rank - 1];
  rows_of(L, 2, name, lua_toboolean(L, 5), &x, &out);
  int result = lua_gettop(L);
  int32_t *partner = check_partners(L, 3, name, x.rows);
  lsb_labels *given = lsb_check_labels(L, 4, name, "boxes");
  if (given->count != 4 * (size_t)x.rows) return lsb_fail(L, name, "there are %zu numbers of boxes for %d rows", given->count, x.rows);
  ls_box *box = lsb_new_scratch(L, name, (size_t)x.rows * sizeof *box + 1);
  for (int32_t i = 0; i < x.rows; i++) {
    const int64_t *four = given->values + 4 * (ptrdiff_t)i;
    if (four[0] < 0 || four[1] < 0 || four[2] < 0 || four[3] < 0 || four[0] > height || four[1] > width || four[2] > height || four[3] > width ||
        (four[0] == height && four[2] > 0) || (four[1] == width && four[3] > 0))
      return lsb_fail(L, name, "the box of row %d lies outside of %dx%d pixels", i + 1, height, width);
    box[i] = (ls_box){(int32_t)four[0], (int32_t)four[1], (int32_t)four[2], (int32_t)four[3]};
  }
  void *scratch = lsb_new_scratch(L, name, ls_mix_scratch(x.rows, x.cols) + 1);
  ls_mix_paste(x, channels, height, width, partner, box, out, scratch);
  lua_settop(L, result);
  return 1;
}

/* inverse(partners): who has row i as its partner. */
static int inverse(lua_State *L) {
  lua_settop(L, 1);
  lsb_labels *given = lsb_check_labels(L, 1, "mix", "partners");
  if (given->count > INT32_MAX) return lsb_fail(L, "mix", "%zu partners are too many", given->count);
  int32_t n = (int32_t)given->count, *partner = check_partners(L, 1, "mix", n);
  lsb_labels *out = lsb_new_labels(L, "mix", given->count);
  for (int32_t i = 0; i < n; i++) out->values[partner[i]] = i + 1;
  return 1;
}

/* permutation(partners, n): whether each of 1 … n is there once. */
static int permutation(lua_State *L) {
  lua_settop(L, 2);
  lsb_labels *given = lsb_check_labels(L, 1, "mix", "partners");
  int32_t n = lsb_check_int(L, 2, "mix", "rows", 0, INT32_MAX);
  ls_err err;
  if (given->count != (size_t)n) {
    lua_pushboolean(L, false);
    return 1;
  }
  int32_t *partner = lsb_new_scratch(L, "mix", (size_t)n * (sizeof *partner + 1) + 1);
  for (int32_t i = 0; i < n; i++) partner[i] = given->values[i] < 1 || given->values[i] > n ? n : (int32_t)given->values[i] - 1;
  lua_pushboolean(L, ls_mix_check_partners(n, partner, (unsigned char *)(partner + n), &err) == LS_OK);
  return 1;
}

/* partners(name, rng, n, mode): from 1. */
static int partners(lua_State *L) {
  static const char *const modes[] = {"batch", "pair", "row", NULL};
  ls_err err;
  lua_settop(L, 4);
  const char *name = luaL_checkstring(L, 1);
  ls_rng *r = lsb_check_rng(L, 2, name);
  int32_t n = lsb_check_int(L, 3, name, "n", 0, INT32_MAX);
  ls_mix_mode mode = (ls_mix_mode)luaL_checkoption(L, 4, "batch", modes);
  int32_t *order = lsb_new_scratch(L, name, 2 * (size_t)n * sizeof *order + 1);
  if (ls_mix_partners(mode, n, r, order, order + n, &err) != LS_OK) return lsb_raise(L, name, &err);
  lsb_labels *out = lsb_new_labels(L, name, (size_t)n);
  for (int32_t i = 0; i < n; i++) out->values[i] = order[n + i] + 1;
  return 1;
}

/* boxes(name, rng, n, lambda, policy, height, width): boxes, exact lambda. One box for a number, one a row for a tensor. */
static int boxes(lua_State *L) {
  ls_err err;
  lua_settop(L, 7);
  const char *name = luaL_checkstring(L, 1);
  ls_rng *r = lsb_check_rng(L, 2, name);
  int32_t n = lsb_check_int(L, 3, name, "rows", 1, INT32_MAX);
  ls_mix_mode mode = lua_type(L, 4) == LUA_TNUMBER ? LS_MIX_BATCH : LS_MIX_ROW;
  const float *weights = check_weights(L, 4, name, n);
  ls_box_policy policy = check_policy(L, 5);
  int32_t height = lsb_check_int(L, 6, name, "height", 0, INT32_MAX), width = lsb_check_int(L, 7, name, "width", 0, INT32_MAX);
  for (int32_t i = 0; i < n; i++)
    if (!(weights[i] >= 0.0f && weights[i] <= 1.0f)) return lsb_fail(L, name, "lambda of row %d is %g, allowed is 0 to 1", i + 1, (double)weights[i]);
  draws d = new_draws(L, n);
  for (int32_t i = 0; i < n; i++) {
    d.partner[i] = i;
    d.lambda[i] = mode == LS_MIX_BATCH ? lua_tonumber(L, 4) : (double)weights[i];
  }
  if (ls_mix_boxes(mode, policy, n, d.partner, height, width, r, d.lambda, d.box, &err) != LS_OK) return lsb_raise(L, name, &err);
  push_boxes(L, name, n, d.box);
  push_weights(L, mode, n, d.lambda);
  return 2;
}

/* distances(name, x, partners): squared, a tensor. */
static int distances(lua_State *L) {
  ls_cmat x;
  lua_settop(L, 3);
  const char *name = luaL_checkstring(L, 1);
  x = rows_in(L, 2, name);
  int32_t *partner = check_partners(L, 3, name, x.rows);
  lsb_tensor *out = lsb_new_tensor(L, name, 1, &x.rows);
  double *distance = lsb_new_scratch(L, name, (size_t)x.rows * sizeof *distance + 1);
  ls_mix_distances(x, partner, distance);
  for (int32_t i = 0; i < x.rows; i++) out->view.data[i] = (float)distance[i];
  lua_pop(L, 1);
  return 1;
}

/* warp(name, lambda, distances, tau_max, tau_std): a tensor of weights, one a row. */
static int warp(lua_State *L) {
  ls_err err;
  lua_settop(L, 5);
  const char *name = luaL_checkstring(L, 1);
  lsb_tensor *given = lsb_check_contiguous(L, 3, name, "distances");
  if (given->view.rank != 1) return lsb_fail(L, name, "the distances have %d axes, one is required", given->view.rank);
  int32_t n = given->view.shape[0];
  const float *weights = check_weights(L, 2, name, n);
  double tau_max = lsb_check_number(L, 4, name, "tau_max"), tau_std = lsb_check_number(L, 5, name, "tau_std");
  lsb_tensor *out = lsb_new_tensor(L, name, 1, &n);
  double *distance = lsb_new_scratch(L, name, 2 * (size_t)n * sizeof *distance + 1), *lambda = distance + n;
  for (int32_t i = 0; i < n; i++) {
    distance[i] = (double)given->view.data[i];
    lambda[i] = lua_type(L, 2) == LUA_TNUMBER ? lua_tonumber(L, 2) : (double)weights[i];
  }
  if (ls_mix_warp(n, distance, tau_max, tau_std, lambda, &err) != LS_OK) return lsb_raise(L, name, &err);
  for (int32_t i = 0; i < n; i++) out->view.data[i] = (float)lambda[i];
  lua_pop(L, 1);
  return 1;
}

/* same(labels, other labels): how many places agree. */
static int same(lua_State *L) {
  lsb_labels *a = lsb_check_labels(L, 1, "mix", "labels"), *b = lsb_check_labels(L, 2, "mix", "labels");
  size_t agree = 0;
  for (size_t i = 0; i < a->count && i < b->count; i++) agree += a->values[i] == b->values[i];
  lua_pushinteger(L, (lua_Integer)agree);
  return 1;
}

/* typical(name, n, alpha, [policy, height, width]): n weights that stand for the distribution of lambda: quantiles, of boxes the exact
 * shares of boxes drawn for them from a fixed stream; in an order that is far from sorted. */
static int typical(lua_State *L) {
  ls_err err;
  ls_rng r;
  lua_settop(L, 6);
  const char *name = luaL_checkstring(L, 1);
  int32_t n = lsb_check_int(L, 2, name, "rows", 2, 1 << 20);
  double alpha = lsb_check_number(L, 3, name, "alpha");
  if (!(alpha > 0.0 && alpha < 1e6)) return lsb_fail(L, name, "alpha is %g, allowed is above 0", alpha);
  draws d = new_draws(L, n);
  for (int32_t i = 0; i < n; i++) {
    d.partner[i] = i + 1 < n ? i + 1 : 0;
    d.lambda[i] = ls_symmetric_beta_quantile(alpha, ((double)((int64_t)i * 610 % n) + 0.5) / n);
  }
  if (!lua_isnil(L, 4)) {
    ls_box_policy policy = check_policy(L, 4);
    int32_t height = lsb_check_int(L, 5, name, "height", 1, INT32_MAX), width = lsb_check_int(L, 6, name, "width", 1, INT32_MAX);
    ls_rng_seed(&r, 1);
    if (ls_mix_boxes(LS_MIX_ROW, policy, n, d.partner, height, width, &r, d.lambda, d.box, &err) != LS_OK) return lsb_raise(L, name, &err);
  }
  push_weights(L, LS_MIX_ROW, n, d.lambda);
  return 1;
}

int lsb_open_mix(lua_State *L) {
  static const luaL_Reg functions[] = {{"draw", draw},   {"rows", rows},       {"paste", paste},         {"inverse", inverse},
                                       {"same", same},   {"typical", typical}, {"partners", partners},   {"boxes", boxes},
                                       {"warp", warp},   {"distances", distances}, {"permutation", permutation}, {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}
