/* Arithmetic of tensors: element by element, reductions, products, rows by number. SPDX-License-Identifier: MIT */
#include "bindings/tensor.h"

#include <lsengine/tensor.h>

#include <math.h>

static const char *const unary_names[] = {
#define LSB_NAME(upper, lower) #lower,
    LS_UNARY_OPS(LSB_NAME)
#undef LSB_NAME
};
static const char *const binary_names[] = {
#define LSB_NAME(upper, lower) #lower,
    LS_BINARY_OPS(LSB_NAME)
#undef LSB_NAME
};

/* exp(t) …: upvalue 1 is the operation. */
static int unary(lua_State *L) {
  ls_unary op = (ls_unary)lua_tointeger(L, lua_upvalueindex(1));
  lsb_tensor *t = lsb_check_tensor(L, 1, unary_names[op], "self");
  lsb_tensor *out = lsb_new_tensor(L, unary_names[op], t->view.rank, t->view.shape);
  ls_unary_apply(op, &t->view, &out->view);
  return 1;
}

/* An operand: a tensor's view, or a number as a scalar in *place. */
static const ls_view *operand(lua_State *L, int index, const char *name, float *place, ls_view *scalar) {
  if (lua_type(L, index) == LUA_TNUMBER) {
    *place = (float)lua_tonumber(L, index);
    *scalar = ls_view_of(place, 0, NULL);
    return scalar;
  }
  lsb_tensor *t = lsb_test_tensor(L, index);
  if (t == NULL) lsb_type_error(L, index, name, index == 1 ? "the left operand" : "the right operand", "a tensor or a number");
  return &t->view;
}

static int binary(lua_State *L) {
  ls_binary op = (ls_binary)lua_tointeger(L, lua_upvalueindex(1));
  const char *name = binary_names[op];
  float numbers[2];
  ls_view scalars[2], shape;
  const ls_view *a = operand(L, 1, name, &numbers[0], &scalars[0]), *b = operand(L, 2, name, &numbers[1], &scalars[1]);
  ls_err err;
  if (ls_broadcast(a, b, &shape, &err) != LS_OK) return lsb_raise(L, name, &err);

  lsb_tensor *out = lsb_new_tensor(L, name, shape.rank, shape.shape);
  ls_view left = ls_view_expand(a, &shape), right = ls_view_expand(b, &shape);
  ls_binary_apply(op, &left, &right, &out->view);
  return 1;
}

/* add_(t, other) …: t = op(t, other) in place. */
static int binary_in_place(lua_State *L) {
  ls_binary op = (ls_binary)lua_tointeger(L, lua_upvalueindex(1));
  const char *name = binary_names[op];
  float number;
  ls_view scalar, shape;
  lsb_tensor *t = lsb_check_tensor(L, 1, name, "self"), *other = lsb_test_tensor(L, 2);
  const ls_view *b = operand(L, 2, name, &number, &scalar);
  ls_err err;
  char x[96], y[96];
  if (ls_broadcast(&t->view, b, &shape, &err) != LS_OK) return lsb_raise(L, name, &err);
  if (!ls_view_same_shape(&shape, &t->view))
    return lsb_fail(L, name, "%s does not fit into %s", ls_shape_text(b, x, sizeof x), ls_shape_text(&t->view, y, sizeof y));
  lsb_writing(L, t, name);
  if (other != NULL && other->owner == t->owner && other != t) {
    lsb_tensor *copy = lsb_new_tensor(L, name, b->rank, b->shape); /* the two may overlap */
    ls_unary_apply(LS_UNARY_COPY, b, &copy->view);
    b = &copy->view;
  }
  ls_view right = ls_view_expand(b, &t->view);
  ls_binary_apply(op, &t->view, &right, &t->view);
  lua_settop(L, 1);
  return 1;
}

static const char *const reduction_names[] = {"sum", "max", "min"};

/* sum(t, axis, keep), max, min: over all without an axis; max and min along an axis also return the 0-based places. */
static int reduce(lua_State *L) {
  ls_reduction kind = (ls_reduction)lua_tointeger(L, lua_upvalueindex(1));
  const char *name = reduction_names[kind];
  lsb_tensor *t = lsb_check_tensor(L, 1, name, "self");
  bool all = lua_isnoneornil(L, 2), keep = lua_toboolean(L, 3);
  int32_t axis = all ? 0 : lsb_check_axis(L, 2, name, &t->view);
  if (kind != LS_REDUCE_SUM && (all ? ls_view_count(&t->view) == 0 : t->view.shape[axis] == 0))
    return lsb_fail(L, name, "there is no element to choose from");
  if (all) {
    lsb_tensor *out = lsb_new_tensor(L, name, 0, NULL);
    *out->view.data = (float)ls_reduce_all(kind, &t->view);
    return 1;
  }

  int32_t kept[LS_MAX_RANK], dropped[LS_MAX_RANK], d = 0;
  for (int32_t i = 0; i < t->view.rank; i++) {
    kept[i] = i == axis ? 1 : t->view.shape[i];
    if (i != axis) dropped[d++] = t->view.shape[i];
  }
  lsb_tensor *out = keep ? lsb_new_tensor(L, name, t->view.rank, kept) : lsb_new_tensor(L, name, d, dropped);
  ls_view with_axis = ls_view_of(out->view.data, t->view.rank, kept);
  lsb_labels *where = kind == LS_REDUCE_SUM ? NULL : lsb_new_labels(L, name, ls_view_count(&out->view));

  ls_reduce_axis(kind, &t->view, axis, &with_axis, where == NULL ? NULL : where->values);
  return where == NULL ? 1 : 2;
}

/* matmul(a, b, transpose_a, transpose_b) */
static int matmul(lua_State *L) {
  lua_settop(L, 4);
  bool ta = lua_toboolean(L, 3), tb = lua_toboolean(L, 4);
  ls_cmat a = lsb_check_matrix(L, 1, "matmul", "the left matrix"), b = lsb_check_matrix(L, 2, "matmul", "the right matrix");
  int32_t m = ta ? a.cols : a.rows, n = tb ? b.rows : b.cols;
  ls_err err;
  if ((ta ? a.rows : a.cols) != (tb ? b.cols : b.rows))
    return lsb_fail(L, "matmul", "%dx%d times %dx%d: the inner sizes differ", m, ta ? a.rows : a.cols, tb ? b.cols : b.rows, n);

  lsb_tensor *out = lsb_new_matrix(L, "matmul", m, n);
  if (ls_matmul(ta, tb, a, b, false, lsb_as_matrix(out), &err) != LS_OK) return lsb_raise(L, "matmul", &err);
  return 1;
}

/* matmul_into(out, a, b, transpose a, transpose b): the product in the memory of `out`, which must have its shape, its elements one after the other. */
static int matmul_into(lua_State *L) {
  lua_settop(L, 5);
  bool ta = lua_toboolean(L, 4), tb = lua_toboolean(L, 5);
  lsb_tensor *out = lsb_check_tensor(L, 1, "matmul", "the result");
  ls_cmat a = lsb_check_matrix(L, 2, "matmul", "the left matrix"), b = lsb_check_matrix(L, 3, "matmul", "the right matrix");
  ls_err err;
  if (out->view.rank != 2 || out->owner != out || a.data == out->view.data || b.data == out->view.data) return lsb_fail(L, "matmul", "the result is no matrix of its own");
  out->version++;
  if (ls_matmul(ta, tb, a, b, false, lsb_as_matrix(out), &err) != LS_OK) return lsb_raise(L, "matmul", &err);
  lua_settop(L, 1);
  return 1;
}

/* sum_to(t, like): t summed over the axes along which `like` was stretched to its shape; the gradient of broadcasting. */
static int sum_to(lua_State *L) {
  lua_settop(L, 2);
  lsb_tensor *t = lsb_check_tensor(L, 1, "sum_to", "self"), *like = lsb_check_tensor(L, 2, "sum_to", "like");
  if (ls_view_same_shape(&t->view, &like->view)) {
    lua_settop(L, 1);
    return 1;
  }
  ls_view both;
  ls_err err;
  if (ls_broadcast(&t->view, &like->view, &both, &err) != LS_OK || !ls_view_same_shape(&both, &t->view))
    return lsb_fail(L, "sum_to", "the shapes do not fit");
  ls_view from = t->view;
  int32_t extra = from.rank - like->view.rank;
  for (int32_t axis = 0; axis < t->view.rank; axis++) {
    int32_t wanted = axis < extra ? 1 : like->view.shape[axis - extra];
    if (wanted == from.shape[axis]) continue;
    int32_t shape[LS_MAX_RANK];
    for (int32_t i = 0; i < from.rank; i++) shape[i] = i == axis ? 1 : from.shape[i];
    lsb_tensor *out = lsb_new_tensor(L, "sum_to", from.rank, shape);
    ls_reduce_axis(LS_REDUCE_SUM, &from, axis, &out->view, NULL);
    from = out->view;
  }
  if (lua_gettop(L) == 2) { /* axes of size 1 only: nothing to add up */
    t = lsb_check_contiguous(L, 1, "sum_to", "self");
    ls_view view = ls_view_of(t->view.data, like->view.rank, like->view.shape);
    lsb_new_view(L, 1, &view);
    return 1;
  }
  lsb_tensor *last = lua_touserdata(L, -1);
  last->view = ls_view_of(from.data, like->view.rank, like->view.shape);
  return 1;
}

static int64_t *check_rows(lua_State *L, int index, const char *name, int64_t offset, size_t wanted, lsb_labels **kept) {
  lsb_labels *labels = lsb_check_labels(L, index, name, "index");
  if (wanted != SIZE_MAX && labels->count != wanted)
    lsb_fail(L, name, "index has %zu elements, %zu are required", labels->count, wanted);
  if (labels->count > INT32_MAX) lsb_fail(L, name, "index has %zu elements, at most 2^31-1 are allowed", labels->count);
  *kept = labels;
  if (offset == 0) return labels->values;
  lsb_labels *moved = lsb_new_labels(L, name, labels->count);
  for (size_t i = 0; i < labels->count; i++)
    moved->values[i] = labels->values[i] == INT64_MIN ? INT64_MIN : labels->values[i] - offset;
  lua_replace(L, index);
  *kept = moved;
  return moved->values;
}

/* A tensor as rows (n, everything else). */
static ls_cmat as_rows(const lsb_tensor *t) {
  size_t width = 1;
  for (int32_t i = 1; i < t->view.rank; i++) width *= (size_t)t->view.shape[i];
  if (width > INT32_MAX) width = 0; /* of an empty tensor only: check_width */
  ls_cmat m = {t->view.data, t->view.shape[0], (int32_t)width, (ptrdiff_t)width};
  return m;
}

/* A tensor of rows whose width an int32_t holds. */
static void check_width(lua_State *L, const char *name, const char *argument, const lsb_tensor *t) {
  if (t->view.rank == 0) lsb_fail(L, name, "%s is a scalar, which has no rows", argument);
  if (t->view.shape[0] > 0 && ls_view_count(&t->view) / (size_t)t->view.shape[0] > INT32_MAX)
    lsb_fail(L, name, "%s has rows of more than 2^31-1 elements", argument);
}

/* gather(t, positions): rows by 1-based position. */
static int gather(lua_State *L) {
  lua_settop(L, 2);
  lsb_labels *labels;
  ls_err err;
  int32_t shape[LS_MAX_RANK];
  lsb_tensor *t = lsb_check_contiguous(L, 1, "gather", "self");
  check_width(L, "gather", "self", t);
  int64_t *index = check_rows(L, 2, "gather", 1, SIZE_MAX, &labels);
  for (size_t i = 0; i < labels->count; i++)
    if (index[i] < 0 || index[i] >= t->view.shape[0])
      return lsb_fail(L, "gather", "position %zu is %lld, allowed is 1 to %d", i + 1, (long long)index[i] + 1, t->view.shape[0]);

  for (int32_t i = 0; i < t->view.rank; i++) shape[i] = t->view.shape[i];
  shape[0] = (int32_t)labels->count;
  lsb_tensor *out = lsb_new_tensor(L, "gather", t->view.rank, shape);
  ls_cmat rows = as_rows(out);
  ls_mat to = {out->view.data, rows.rows, rows.cols, rows.stride};
  if (ls_gather_rows(as_rows(t), index, to, &err) != LS_OK) return lsb_raise(L, "gather", &err);
  return 1;
}

/* scatter(g, positions, like): zeros of like's shape, plus row i of g at position i. */
static int scatter(lua_State *L) {
  lua_settop(L, 3);
  lsb_labels *labels;
  ls_err err;
  lsb_tensor *g = lsb_check_contiguous(L, 1, "scatter", "gradient"), *like = lsb_check_tensor(L, 3, "scatter", "like");
  check_width(L, "scatter", "gradient", g);
  check_width(L, "scatter", "like", like);
  int64_t *index = check_rows(L, 2, "scatter", 1, (size_t)g->view.shape[0], &labels);
  lsb_tensor *out = lsb_new_tensor(L, "scatter", like->view.rank, like->view.shape);
  ls_cmat rows = as_rows(out);
  ls_mat to = {out->view.data, rows.rows, rows.cols, rows.stride};
  ls_fill(0.0f, &out->view);
  if (ls_scatter_add_rows(as_rows(g), index, to, &err) != LS_OK) return lsb_raise(L, "scatter", &err);
  return 1;
}

/* pick(t, labels): out[i] = t[i][labels[i]], labels 0-based classes. */
static int pick(lua_State *L) {
  lua_settop(L, 2);
  lsb_labels *labels;
  ls_err err;
  ls_cmat x = lsb_check_matrix(L, 1, "pick", "self");
  int64_t *index = check_rows(L, 2, "pick", 0, (size_t)x.rows, &labels);
  lsb_tensor *out = lsb_new_tensor(L, "pick", 1, &x.rows);
  if (ls_pick(x, index, out->view.data, &err) != LS_OK) return lsb_raise(L, "pick", &err);
  return 1;
}

static int pick_back(lua_State *L) {
  lua_settop(L, 3);
  lsb_labels *labels;
  ls_err err;
  lsb_tensor *g = lsb_check_contiguous(L, 1, "pick", "gradient"), *like = lsb_check_tensor(L, 3, "pick", "like");
  if (like->view.rank != 2 || g->view.rank != 1 || g->view.shape[0] != like->view.shape[0])
    return lsb_fail(L, "pick", "the gradient does not fit the matrix");
  int64_t *index = check_rows(L, 2, "pick", 0, (size_t)like->view.shape[0], &labels);
  lsb_tensor *out = lsb_new_matrix(L, "pick", like->view.shape[0], like->view.shape[1]);
  ls_fill(0.0f, &out->view);
  if (ls_pick_add(g->view.data, index, lsb_as_matrix(out), &err) != LS_OK) return lsb_raise(L, "pick", &err);
  return 1;
}

/* one_hot(labels, classes): rows of 0 and 1. */
static int one_hot(lua_State *L) {
  lua_settop(L, 2);
  ls_err err;
  lsb_labels *labels = lsb_check_labels(L, 1, "one_hot", "labels");
  int32_t classes = lsb_check_int(L, 2, "one_hot", "classes", 1, INT32_MAX);
  if (labels->count > INT32_MAX) return lsb_fail(L, "one_hot", "%zu labels are too many", labels->count);
  int32_t n = (int32_t)labels->count;
  lsb_tensor *ones = lsb_new_tensor(L, "one_hot", 1, &n), *out = lsb_new_matrix(L, "one_hot", n, classes);
  ls_fill(1.0f, &ones->view);
  ls_fill(0.0f, &out->view);
  if (ls_pick_add(ones->view.data, labels->values, lsb_as_matrix(out), &err) != LS_OK) return lsb_raise(L, "one_hot", &err);
  return 1;
}

static void add_closures(lua_State *L, lua_CFunction function, const char *const *names, int count, const char *suffix) {
  for (int op = 0; op < count; op++) {
    lua_pushfstring(L, "%s%s", names[op], suffix);
    lua_pushinteger(L, op);
    lua_pushcclosure(L, function, 1);
    lua_settable(L, -3);
  }
}

void lsb_add_arithmetic(lua_State *L) {
  static const luaL_Reg functions[] = {{"matmul", matmul}, {"matmul_into", matmul_into}, {"sum_to", sum_to},       {"gather", gather},   {"scatter", scatter},
                                       {"pick", pick},     {"pick_back", pick_back}, {"one_hot", one_hot}, {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
  add_closures(L, unary, unary_names, LS_UNARY_COUNT, "");
  add_closures(L, binary, binary_names, LS_BINARY_COUNT, "");
  add_closures(L, binary_in_place, binary_names, LS_BINARY_GT, "_");
  add_closures(L, reduce, reduction_names, 3, "");
}
