/* Convolution, pooling, normalisation, embedding. SPDX-License-Identifier: MIT */
#include "bindings/tensor.h"

#include <lsengine/layers.h>
#include <lsengine/tensor.h>

#include <math.h>
#include <string.h>

/* A tensor of rank 4 in contiguous memory. */
static lsb_tensor *check_images(lua_State *L, int index, const char *name, const char *argument) {
  lsb_tensor *t = lsb_check_contiguous(L, index, name, argument);
  char text[128];
  if (t->view.rank != 4) lsb_fail(L, name, "%s has shape %s, images N×C×H×W are required", argument, ls_shape_text(&t->view, text, sizeof text));
  return t;
}

/* The integers rows and columns at index and index + 1. */
static void check_pair(lua_State *L, int index, const char *name, const char *argument, int32_t pair[2]) {
  for (int axis = 0; axis < 2; axis++) pair[axis] = lsb_check_int(L, index + axis, name, argument, 0, INT32_MAX);
}

static void check_shape(lua_State *L, const char *name, const char *what, const lsb_tensor *t, int32_t rank, const int32_t *shape) {
  char got[128], wanted[128];
  ls_view view = ls_view_of(NULL, rank, shape);
  if (!ls_view_same_shape(&t->view, &view))
    lsb_fail(L, name, "%s has shape %s, %s is required", what, ls_shape_text(&t->view, got, sizeof got), ls_shape_text(&view, wanted, sizeof wanted));
}

/* Arguments from `first` on: stride, padding, dilation (two integers each), groups; shapes from x's and w's. */
static ls_convolution check_convolution(lua_State *L, int first, const int32_t x[4], const int32_t w[4]) {
  const char *name = "conv2d";
  ls_convolution c = {.n = x[0], .channels = x[1], .height = x[2], .width = x[3], .outputs = w[0], .kernel = {w[2], w[3]}};
  ls_err err;
  check_pair(L, first, name, "stride", c.stride);
  check_pair(L, first + 2, name, "padding", c.padding);
  check_pair(L, first + 4, name, "dilation", c.dilation);
  c.groups = lsb_check_int(L, first + 6, name, "groups", 1, INT32_MAX);
  if (x[1] % c.groups != 0 || x[1] / c.groups != w[1])
    lsb_fail(L, name, "the images have %d channels, %lld are required", x[1], (long long)w[1] * c.groups);
  if (ls_convolution_check(&c, &err) != LS_OK) lsb_raise(L, name, &err);
  return c;
}

/* Memory that forward has kept (lsb_new_scratch) for backward. */
static void *check_kept(lua_State *L, int index, const char *name, size_t bytes) {
  if (bytes == 0) return NULL;
  if (lua_type(L, index) != LUA_TUSERDATA || lsb_test_tensor(L, index) != NULL || lua_getmetatable(L, index) || lua_rawlen(L, index) != bytes + 64)
    lsb_fail(L, name, "what was kept does not fit");
  return (void *)(((uintptr_t)lua_touserdata(L, index) + 63) / 64 * 64);
}

/* conv2d(x, w, bias | nil, stride ×2, padding ×2, dilation ×2, groups) */
static int convolution(lua_State *L) {
  lua_settop(L, 10);
  lsb_tensor *x = check_images(L, 1, "conv2d", "the input"), *w = check_images(L, 2, "conv2d", "the weight"), *b = NULL;
  ls_convolution c = check_convolution(L, 4, x->view.shape, w->view.shape);
  if (!lua_isnil(L, 3)) check_shape(L, "conv2d", "the bias", b = lsb_check_contiguous(L, 3, "conv2d", "the bias"), 1, &c.outputs);
  int32_t shape[] = {c.n, c.outputs, c.out_height, c.out_width};
  lsb_tensor *y = lsb_new_tensor(L, "conv2d", 4, shape);
  void *scratch = lsb_new_scratch(L, "conv2d", ls_convolution_scratch(&c));
  ls_convolution_forward(&c, x->view.data, w->view.data, b == NULL ? NULL : b->view.data, y->view.data, scratch);
  lua_pop(L, 1);
  return 1;
}

/* conv2d_back(x, w, dy, stride, padding, dilation, groups, want dx, want dw): dx | nil, dw | nil, db | nil */
static int convolution_back(lua_State *L) {
  const char *name = "conv2d";
  lua_settop(L, 12);
  lsb_tensor *x = check_images(L, 1, name, "the input"), *w = check_images(L, 2, name, "the weight"), *dy = check_images(L, 3, name, "the gradient");
  ls_convolution c = check_convolution(L, 4, x->view.shape, w->view.shape);
  int32_t shape[] = {c.n, c.outputs, c.out_height, c.out_width};
  check_shape(L, name, "the gradient", dy, 4, shape);
  bool want_x = lua_toboolean(L, 11), want_w = lua_toboolean(L, 12);
  void *scratch = lsb_new_scratch(L, name, ls_convolution_scratch(&c));
  int base = lua_gettop(L);
  lsb_tensor *dx = want_x ? lsb_new_tensor(L, name, 4, x->view.shape) : NULL;
  if (!want_x) lua_pushnil(L);
  lsb_tensor *dw = want_w ? lsb_new_tensor(L, name, 4, w->view.shape) : NULL;
  if (!want_w) lua_pushnil(L);
  lsb_tensor *db = want_w ? lsb_new_tensor(L, name, 1, &c.outputs) : NULL;
  if (!want_w) lua_pushnil(L);
  if (want_x) ls_convolution_input_gradient(&c, w->view.data, dy->view.data, dx->view.data, scratch);
  if (want_w) ls_convolution_weight_gradient(&c, x->view.data, dy->view.data, dw->view.data, db->view.data, scratch);
  lua_settop(L, base + 3);
  return 3;
}

/* pool(name, x, average, count_padding, kernel ×2, stride ×2, padding ×2, [dy]): y, or with dy the gradient of x */
static int pooling(lua_State *L) {
  ls_err err;
  lua_settop(L, 11);
  const char *name = luaL_checkstring(L, 1);
  lsb_tensor *x = check_images(L, 2, name, "the input"), *dy = NULL;
  double planes = (double)x->view.shape[0] * x->view.shape[1];
  if (planes > INT32_MAX) return lsb_fail(L, name, "%.0f planes are too many", planes);
  ls_pooling p = {.planes = (int32_t)planes, .height = x->view.shape[2], .width = x->view.shape[3], .average = lua_toboolean(L, 3), .count_padding = lua_toboolean(L, 4)};
  check_pair(L, 5, name, "kernel", p.kernel);
  check_pair(L, 7, name, "stride", p.stride);
  check_pair(L, 9, name, "padding", p.padding);
  if (ls_pooling_check(&p, &err) != LS_OK) return lsb_raise(L, name, &err);
  int32_t shape[] = {x->view.shape[0], x->view.shape[1], p.out_height, p.out_width};
  if (lua_isnil(L, 11)) {
    lsb_tensor *y = lsb_new_tensor(L, name, 4, shape);
    ls_pooling_forward(&p, x->view.data, y->view.data);
    return 1;
  }
  dy = check_images(L, 11, name, "the gradient");
  check_shape(L, name, "the gradient", dy, 4, shape);
  lsb_tensor *dx = lsb_new_tensor(L, name, 4, x->view.shape);
  ls_pooling_backward(&p, x->view.data, dy->view.data, dx->view.data);
  return 1;
}

/* ---- convolution, ReLU and max pooling at once: stride, padding, dilation, groups of the convolution; kernel, stride, padding of the pooling ---- */

typedef struct pooled {
  ls_convolution c;
  ls_pooling p;
  int32_t shape[4];
} pooled;

static pooled check_pooled(lua_State *L, int first, const int32_t x[4], const int32_t w[4]) {
  const char *name = "max_pool2d";
  ls_err err;
  pooled o = {.c = check_convolution(L, first, x, w)};
  check_pair(L, first + 7, name, "kernel", o.p.kernel);
  check_pair(L, first + 9, name, "stride", o.p.stride);
  check_pair(L, first + 11, name, "padding", o.p.padding);
  if (ls_pooled_convolution_check(&o.c, &o.p, &err) != LS_OK) lsb_raise(L, name, &err);
  memcpy(o.shape, (int32_t[]){o.c.n, o.c.outputs, o.p.out_height, o.p.out_width}, sizeof o.shape);
  return o;
}

/* conv2d_pool(x, w, bias | nil, …): y, places */
static int pooled_convolution(lua_State *L) {
  lua_settop(L, 16);
  lsb_tensor *x = check_images(L, 1, "conv2d", "the input"), *w = check_images(L, 2, "conv2d", "the weight"), *b = NULL;
  pooled o = check_pooled(L, 4, x->view.shape, w->view.shape);
  if (!lua_isnil(L, 3)) check_shape(L, "conv2d", "the bias", b = lsb_check_contiguous(L, 3, "conv2d", "the bias"), 1, &o.c.outputs);
  void *scratch = lsb_new_scratch(L, "conv2d", ls_pooled_convolution_scratch(&o.c));
  lsb_tensor *y = lsb_new_tensor(L, "conv2d", 4, o.shape);
  uint8_t *places = lsb_new_scratch(L, "conv2d", ls_view_count(&y->view));
  ls_pooled_convolution_forward(&o.c, &o.p, x->view.data, w->view.data, b == NULL ? NULL : b->view.data, y->view.data, places, scratch);
  return 2;
}

/* conv2d_pool_back(x, w, y, places, dy, …, want dx, want dw): dx | nil, dw | nil, db | nil */
static int pooled_convolution_back(lua_State *L) {
  const char *name = "conv2d";
  lua_settop(L, 20);
  lsb_tensor *x = check_images(L, 1, name, "the input"), *w = check_images(L, 2, name, "the weight"), *y = check_images(L, 3, name, "the result"), *dy = check_images(L, 5, name, "the gradient");
  pooled o = check_pooled(L, 6, x->view.shape, w->view.shape);
  check_shape(L, name, "the result", y, 4, o.shape);
  check_shape(L, name, "the gradient", dy, 4, o.shape);
  ls_pooled_convolution a = {x->view.data, w->view.data, y->view.data, dy->view.data, check_kept(L, 4, name, ls_view_count(&y->view))};
  bool want_x = lua_toboolean(L, 19), want_w = lua_toboolean(L, 20);
  void *scratch = lsb_new_scratch(L, name, ls_pooled_convolution_scratch(&o.c));
  int base = lua_gettop(L);
  lua_settop(L, base + 3);
  lsb_tensor *dx = NULL, *dw = NULL, *db = NULL;
  if (want_x) dx = lsb_new_tensor(L, name, 4, x->view.shape), lua_replace(L, base + 1);
  if (want_w) dw = lsb_new_tensor(L, name, 4, w->view.shape), lua_replace(L, base + 2);
  if (want_w) db = lsb_new_tensor(L, name, 1, &o.c.outputs), lua_replace(L, base + 3);
  ls_pooled_convolution_gradient(&o.c, &o.p, &a, want_x ? dx->view.data : NULL, want_w ? dw->view.data : NULL, want_w ? db->view.data : NULL, scratch);
  return 3;
}

/* Rows or images as (n, channels, inner), with at least one element in each channel. */
static ls_channels check_channels(lua_State *L, const lsb_tensor *x, const char *name) {
  char text[128];
  const ls_view *v = &x->view;
  if (v->rank < 2) lsb_fail(L, name, "the input has shape %s, rows N×C or images N×C×H×W are required", ls_shape_text(v, text, sizeof text));
  ls_channels s = {v->shape[0], v->shape[1], 1};
  for (int32_t axis = 2; axis < v->rank; axis++) s.inner *= (size_t)v->shape[axis];
  if (ls_view_count(v) == 0) lsb_fail(L, name, "the input has shape %s, at least one number in each channel is required", ls_shape_text(v, text, sizeof text));
  return s;
}

static const float *optional_vector(lua_State *L, int index, const char *name, const char *what, int32_t count) {
  if (lua_isnil(L, index)) return NULL;
  lsb_tensor *t = lsb_check_contiguous(L, index, name, what);
  check_shape(L, name, what, t, 1, &count);
  return t->view.data;
}

/* batch_norm(x, weight | nil, bias | nil, running mean | nil, running variance | nil, training, momentum, eps): y, kept. In training
 * the running statistics, where given, move by `momentum` towards the batch's (unbiased variance); else they are what x is normalised by. */
static int batch_norm(lua_State *L) {
  const char *name = "batch_norm";
  lua_settop(L, 8);
  lsb_tensor *x = lsb_check_contiguous(L, 1, name, "the input");
  ls_channels s = check_channels(L, x, name);
  const float *weight = optional_vector(L, 2, name, "the weight", s.channels), *bias = optional_vector(L, 3, name, "the bias", s.channels);
  lsb_tensor *running[2] = {NULL, NULL};
  for (int k = 0; k < 2 && !lua_isnil(L, 4 + k); k++) {
    running[k] = lsb_check_tensor(L, 4 + k, name, "a running statistic");
    check_shape(L, name, "a running statistic", running[k], 1, &s.channels);
    if (!ls_view_contiguous(&running[k]->view)) return lsb_fail(L, name, "a running statistic is not contiguous");
  }
  bool training = lua_toboolean(L, 6) || running[0] == NULL || running[1] == NULL;
  double momentum = lsb_check_number(L, 7, name, "momentum"), eps = lsb_check_number(L, 8, name, "eps"), count = (double)s.n * (double)s.inner;
  if (!(eps > 0.0) || !(momentum >= 0.0 && momentum <= 1.0)) return lsb_fail(L, name, "eps is %g and momentum %g, allowed are above 0 and 0 to 1", eps, momentum);
  if (training && count < 2.0) return lsb_fail(L, name, "in training more than one number in each channel is required, the batch has one row (drop_last = true leaves such a last batch out)");
  lsb_tensor *y = lsb_new_tensor(L, name, x->view.rank, x->view.shape);
  double *mean = lsb_new_scratch(L, name, 2 * (size_t)s.channels * sizeof *mean), *scale = mean + s.channels;
  if (training) {
    ls_batch_statistics(&s, x->view.data, mean, scale);
    for (int k = 0; k < 2 && lua_toboolean(L, 6) && running[0] != NULL && running[1] != NULL; k++) {
      const double *now = k == 0 ? mean : scale, unbiased = k == 0 ? 1.0 : count / (count - 1.0);
      float *kept = running[k]->view.data;
      for (int32_t c = 0; c < s.channels; c++) kept[c] = (float)((1.0 - momentum) * (double)kept[c] + momentum * now[c] * unbiased);
      running[k]->owner->version++;
    }
  } else {
    for (int32_t c = 0; c < s.channels; c++) {
      mean[c] = (double)running[0]->view.data[c];
      scale[c] = (double)running[1]->view.data[c];
    }
  }
  for (int32_t c = 0; c < s.channels; c++) scale[c] = 1.0 / sqrt(scale[c] + eps);
  ls_batch_norm(&s, x->view.data, mean, scale, weight, bias, y->view.data);
  return 2;
}

/* batch_norm_back(x, weight | nil, kept, training, dy, want dx): dx | nil, dweight, dbias */
static int batch_norm_back(lua_State *L) {
  const char *name = "batch_norm";
  lua_settop(L, 6);
  lsb_tensor *x = lsb_check_contiguous(L, 1, name, "the input"), *dy = lsb_check_contiguous(L, 5, name, "the gradient");
  ls_channels s = check_channels(L, x, name);
  const float *weight = optional_vector(L, 2, name, "the weight", s.channels);
  const double *mean = check_kept(L, 3, name, 2 * (size_t)s.channels * sizeof(double));
  check_shape(L, name, "the gradient", dy, x->view.rank, x->view.shape);
  double *sums = lsb_new_scratch(L, name, 2 * (size_t)s.channels * sizeof *sums);
  lsb_tensor *dx = lua_toboolean(L, 6) ? lsb_new_tensor(L, name, x->view.rank, x->view.shape) : NULL;
  if (dx == NULL) lua_pushnil(L);
  lsb_tensor *out[2] = {lsb_new_tensor(L, name, 1, &s.channels)};
  out[1] = lsb_new_tensor(L, name, 1, &s.channels);
  ls_batch_norm_backward(&s, lua_toboolean(L, 4), x->view.data, mean, mean + s.channels, weight, dy->view.data, dx == NULL ? NULL : dx->view.data, sums, sums + s.channels);
  for (int k = 0; k < 2; k++)
    for (int32_t c = 0; c < s.channels; c++) out[k]->view.data[c] = (float)sums[k * s.channels + c];
  return 3;
}

/* The last axes of x, `axes` of them, as rows of d numbers. */
static int32_t check_rows(lua_State *L, const lsb_tensor *x, int32_t axes, int32_t *n) {
  double d = 1.0, rows = 1.0;
  const ls_view *v = &x->view;
  char text[128];
  if (axes < 1 || axes > v->rank) lsb_fail(L, "layer_norm", "the input has shape %s, at least %d axes are required", ls_shape_text(v, text, sizeof text), axes);
  for (int32_t axis = 0; axis < v->rank; axis++) *(axis < v->rank - axes ? &rows : &d) *= v->shape[axis];
  if (d < 1.0 || d > INT32_MAX || rows > INT32_MAX) lsb_fail(L, "layer_norm", "the input has shape %s: too many or no numbers to normalise", ls_shape_text(v, text, sizeof text));
  *n = (int32_t)rows;
  return (int32_t)d;
}

/* layer_norm(x, weight | nil, bias | nil, axes, eps): y, mean, scale. weight and bias have d elements. */
static int layer_norm(lua_State *L) {
  const char *name = "layer_norm";
  int32_t n;
  lua_settop(L, 5);
  lsb_tensor *x = lsb_check_contiguous(L, 1, name, "the input");
  int32_t d = check_rows(L, x, lsb_check_int(L, 4, name, "axes", 1, LS_MAX_RANK), &n);
  const float *weight = optional_vector(L, 2, name, "the weight", d), *bias = optional_vector(L, 3, name, "the bias", d);
  double eps = lsb_check_number(L, 5, name, "eps");
  if (!(eps > 0.0)) return lsb_fail(L, name, "eps is %g, allowed is above 0", eps);
  lsb_tensor *y = lsb_new_tensor(L, name, x->view.rank, x->view.shape), *mean = lsb_new_tensor(L, name, 1, &n), *scale = lsb_new_tensor(L, name, 1, &n);
  ls_layer_norm(n, d, eps, x->view.data, weight, bias, y->view.data, mean->view.data, scale->view.data);
  return 3;
}

/* layer_norm_back(x, weight | nil, axes, mean, scale, dy): dx, dweight, dbias */
static int layer_norm_back(lua_State *L) {
  const char *name = "layer_norm";
  int32_t n;
  lua_settop(L, 6);
  lsb_tensor *x = lsb_check_contiguous(L, 1, name, "the input"), *dy = lsb_check_contiguous(L, 6, name, "the gradient");
  int32_t d = check_rows(L, x, lsb_check_int(L, 3, name, "axes", 1, LS_MAX_RANK), &n);
  const float *weight = optional_vector(L, 2, name, "the weight", d);
  lsb_tensor *mean = lsb_check_contiguous(L, 4, name, "the mean"), *scale = lsb_check_contiguous(L, 5, name, "the scale");
  check_shape(L, name, "the mean", mean, 1, &n);
  check_shape(L, name, "the scale", scale, 1, &n);
  check_shape(L, name, "the gradient", dy, x->view.rank, x->view.shape);
  lsb_tensor *dx = lsb_new_tensor(L, name, x->view.rank, x->view.shape), *dweight = lsb_new_tensor(L, name, 1, &d), *dbias = lsb_new_tensor(L, name, 1, &d);
  ls_layer_norm_backward(n, d, x->view.data, mean->view.data, scale->view.data, weight, dy->view.data, dx->view.data, dweight->view.data, dbias->view.data);
  return 3;
}

/* Ids 0 … count-1 from a label vector, or from a tensor of whole numbers; in scratch that is pushed. */
static int64_t *check_ids(lua_State *L, int index, int32_t count, int32_t *n) {
  const char *name = "embedding";
  lsb_labels *labels = lsb_test_labels(L, index);
  lsb_tensor *t = labels == NULL ? lsb_check_contiguous(L, index, name, "the ids") : NULL;
  size_t total = labels != NULL ? labels->count : ls_view_count(&t->view);
  if (total > INT32_MAX) lsb_fail(L, name, "%zu ids are too many", total);
  int64_t *ids = lsb_new_scratch(L, name, total * sizeof *ids + 1);
  for (size_t i = 0; i < total; i++) {
    double value = labels != NULL ? (double)labels->values[i] : (double)t->view.data[i];
    if (!(value >= 0.0 && value < count && value == floor(value))) lsb_fail(L, name, "id %zu is %g, allowed are whole numbers from 0 to %d", i + 1, value, count - 1);
    ids[i] = (int64_t)value;
  }
  *n = (int32_t)total;
  return ids;
}

/* embedding(weight, ids): a row for each id, shaped as the ids with one more axis. */
static int embedding(lua_State *L) {
  ls_err err;
  int32_t n, shape[LS_MAX_RANK] = {0}, rank = 1;
  lua_settop(L, 2);
  ls_cmat w = lsb_check_matrix(L, 1, "embedding", "the weight");
  int64_t *ids = check_ids(L, 2, w.rows, &n);
  shape[0] = n;
  lsb_tensor *t = lsb_test_tensor(L, 2);
  if (t != NULL) {
    if (t->view.rank >= LS_MAX_RANK) return lsb_fail(L, "embedding", "the ids have %d axes, at most %d are allowed", t->view.rank, LS_MAX_RANK - 1);
    memcpy(shape, t->view.shape, sizeof shape);
    rank = t->view.rank;
  }
  shape[rank] = w.cols;
  lsb_tensor *out = lsb_new_tensor(L, "embedding", rank + 1, shape);
  if (ls_gather_rows(w, ids, (ls_mat){out->view.data, n, w.cols, w.cols < 1 ? 1 : w.cols}, &err) != LS_OK) return lsb_raise(L, "embedding", &err);
  return 1;
}

/* embedding_back(weight, ids, gradient) */
static int embedding_back(lua_State *L) {
  ls_err err;
  int32_t n;
  lua_settop(L, 3);
  ls_cmat w = lsb_check_matrix(L, 1, "embedding", "the weight");
  lsb_tensor *g = lsb_check_contiguous(L, 3, "embedding", "the gradient");
  int64_t *ids = check_ids(L, 2, w.rows, &n);
  if (ls_view_count(&g->view) != (size_t)n * (size_t)w.cols) return lsb_fail(L, "embedding", "the gradient does not fit %d ids of %d numbers", n, w.cols);
  lsb_tensor *out = lsb_new_matrix(L, "embedding", w.rows, w.cols);
  memset(out->view.data, 0, ls_view_count(&out->view) * sizeof(float));
  int32_t stride = w.cols < 1 ? 1 : w.cols;
  if (ls_scatter_add_rows((ls_cmat){g->view.data, n, w.cols, stride}, ids, (ls_mat){out->view.data, w.rows, w.cols, stride}, &err) != LS_OK)
    return lsb_raise(L, "embedding", &err);
  return 1;
}

int lsb_open_layers(lua_State *L) {
  static const luaL_Reg functions[] = {{"conv2d", convolution},
                                       {"conv2d_back", convolution_back},
                                       {"conv2d_pool", pooled_convolution},
                                       {"conv2d_pool_back", pooled_convolution_back},
                                       {"pool", pooling},
                                       {"batch_norm", batch_norm},
                                       {"batch_norm_back", batch_norm_back},
                                       {"layer_norm", layer_norm},
                                       {"layer_norm_back", layer_norm_back},
                                       {"embedding", embedding},
                                       {"embedding_back", embedding_back},
                                       {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}
