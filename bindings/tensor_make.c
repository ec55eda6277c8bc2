/* Tensors from tables and numbers, and back; the flags that differentiation keeps. SPDX-License-Identifier: MIT */
#include "bindings/tensor.h"

#include <lsengine/tensor.h>

#include <string.h>

/* Finds the shape of nested tables by their first elements. */
static int32_t table_shape(lua_State *L, int32_t shape[LS_MAX_RANK]) {
  int32_t rank = 0;
  lua_pushvalue(L, 1);
  while (lua_type(L, -1) == LUA_TTABLE) {
    if (rank == LS_MAX_RANK) lsb_fail(L, "tensor", "tables are nested deeper than %d", LS_MAX_RANK);
    lua_Unsigned length = lua_rawlen(L, -1);
    if (length > INT32_MAX) lsb_fail(L, "tensor", "a table of %llu elements is too long", (unsigned long long)length);
    shape[rank++] = (int32_t)length;
    if (length == 0) break;
    lua_rawgeti(L, -1, 1);
  }
  lua_settop(L, 1);
  return rank;
}

static void path_text(const int32_t *path, int32_t depth, char *text, size_t size) {
  size_t used = 0;
  text[0] = '\0';
  for (int32_t i = 0; i < depth && used < size; i++)
    used += (size_t)snprintf(text + used, size - used, "[%d]", path[i]);
}

static void fill_from(lua_State *L, const ls_view *v, int32_t axis, int32_t *path, float **out) {
  char text[128];
  luaL_checkstack(L, 6, NULL);
  lua_Unsigned length = lua_rawlen(L, -1);
  if (length != (lua_Unsigned)v->shape[axis]) {
    path_text(path, axis, text, sizeof text);
    lsb_fail(L, "tensor", "table%s has %llu elements, its neighbours have %d", text, (unsigned long long)length, v->shape[axis]);
  }
  for (int32_t i = 0; i < v->shape[axis]; i++) {
    bool leaf = axis == v->rank - 1;
    path[axis] = i + 1;
    int type = lua_rawgeti(L, -1, i + 1);
    if (type != (leaf ? LUA_TNUMBER : LUA_TTABLE)) {
      path_text(path, axis + 1, text, sizeof text);
      lsb_fail(L, "tensor", "table%s is %s, %s is required", text, lsb_describe(L, -1), leaf ? "a number" : "a table");
    }
    if (leaf)
      *(*out)++ = (float)lua_tonumber(L, -1);
    else
      fill_from(L, v, axis + 1, path, out);
    lua_pop(L, 1);
  }
}

/* from(table | number) */
static int from(lua_State *L) {
  int32_t shape[LS_MAX_RANK], path[LS_MAX_RANK];
  int type = lua_type(L, 1);
  lua_settop(L, 1);
  if (type == LUA_TNUMBER) {
    *lsb_new_tensor(L, "tensor", 0, NULL)->view.data = (float)lua_tonumber(L, 1);
    return 1;
  }
  if (type != LUA_TTABLE) return lsb_type_error(L, 1, "tensor", "the argument", "a table of numbers, or a number");

  int32_t rank = table_shape(L, shape);
  lsb_tensor *t = lsb_new_tensor(L, "tensor", rank, shape);
  float *out = t->view.data;
  lua_pushvalue(L, 1);
  fill_from(L, &t->view, 0, path, &out);
  lua_pop(L, 1);
  return 1;
}

int32_t lsb_check_shape(lua_State *L, int first, const char *name, bool infer, int32_t shape[LS_MAX_RANK]) {
  int top = lua_gettop(L), count = top - first + 1;
  bool table = count == 1 && lua_type(L, first) == LUA_TTABLE;
  if (table) count = (int)(lua_rawlen(L, first) > 1000 ? 1000 : lua_rawlen(L, first));
  if (count > LS_MAX_RANK) lsb_fail(L, name, "%d dimensions, at most %d are allowed", count, LS_MAX_RANK);
  for (int i = 0; i < count; i++) {
    char argument[32];
    snprintf(argument, sizeof argument, "dimension %d", i + 1);
    if (table) lua_rawgeti(L, first, i + 1);
    shape[i] = lsb_check_int(L, table ? -1 : first + i, name, argument, infer ? -1 : 0, INT32_MAX);
    if (table) lua_pop(L, 1);
  }
  return count;
}

static int filled(lua_State *L, const char *name, int first, double value) {
  int32_t shape[LS_MAX_RANK];
  int32_t rank = lsb_check_shape(L, first, name, false, shape);
  lsb_tensor *t = lsb_new_tensor(L, name, rank, shape);
  ls_fill((float)value, &t->view);
  return 1;
}

/* full(value, shape…), zeros(shape…), ones(shape…) */
static int full(lua_State *L) { return filled(L, "full", 2, lsb_check_number(L, 1, "full", "value")); }
static int zeros(lua_State *L) { return filled(L, "zeros", 1, 0); }
static int ones(lua_State *L) { return filled(L, "ones", 1, 1); }

/* arange(first, last, step): both ends included as far as the step reaches, like a numeric for. */
static int arange(lua_State *L) {
  double first = lsb_check_number(L, 1, "arange", "first"), last = lsb_check_number(L, 2, "arange", "last");
  double step = lua_isnoneornil(L, 3) ? 1.0 : lsb_check_number(L, 3, "arange", "step");
  double count = (last - first) / step + 1.0 + 1e-9;
  if (step == 0.0 || !(count == count) || count >= 2147483648.0)
    return lsb_fail(L, "arange", "from %g to %g by %g gives no countable range", first, last, step);
  int32_t n = count < 0.0 ? 0 : (int32_t)count;
  lsb_tensor *t = lsb_new_tensor(L, "arange", 1, &n);
  for (int32_t i = 0; i < n; i++) t->view.data[i] = (float)(first + i * step);
  return 1;
}

static int eye(lua_State *L) {
  int32_t n = lsb_check_int(L, 1, "eye", "size", 0, INT32_MAX);
  lsb_tensor *t = lsb_new_matrix(L, "eye", n, n);
  ls_fill(0.0f, &t->view);
  for (int32_t i = 0; i < n; i++) t->view.data[(size_t)i * (size_t)n + (size_t)i] = 1.0f;
  return 1;
}

static int item(lua_State *L) {
  lsb_tensor *t = lsb_check_tensor(L, 1, "item", "self");
  char text[128];
  if (ls_view_count(&t->view) != 1)
    return lsb_fail(L, "item", "the tensor has shape %s, one element is required", ls_shape_text(&t->view, text, sizeof text));
  lua_pushnumber(L, (lua_Number)*t->view.data);
  return 1;
}

static void push_table(lua_State *L, const ls_view *v, int32_t axis, const float *data) {
  luaL_checkstack(L, 4, NULL);
  lua_createtable(L, v->shape[axis], 0);
  for (int32_t i = 0; i < v->shape[axis]; i++) {
    const float *at = data + i * v->stride[axis];
    if (axis == v->rank - 1)
      lua_pushnumber(L, (lua_Number)*at);
    else
      push_table(L, v, axis + 1, at);
    lua_rawseti(L, -2, i + 1);
  }
}

static int totable(lua_State *L) {
  lsb_tensor *t = lsb_check_tensor(L, 1, "totable", "self");
  if (t->view.rank == 0) return item(L);
  push_table(L, &t->view, 0, t->view.data);
  return 1;
}

static int clone(lua_State *L) {
  lsb_tensor *t = lsb_check_tensor(L, 1, "clone", "self");
  lsb_tensor *copy = lsb_new_tensor(L, "clone", t->view.rank, t->view.shape);
  ls_unary_apply(LS_UNARY_COPY, &t->view, &copy->view);
  return 1;
}

/* A view of the same floats that is not recorded. */
static int detach(lua_State *L) {
  lsb_tensor *t = lsb_check_tensor(L, 1, "detach", "self");
  lsb_new_view(L, 1, &t->view);
  return 1;
}

/* copy_(t, source), fill_(t, value): in place. */
static int copy_into(lua_State *L) {
  lsb_tensor *t = lsb_check_tensor(L, 1, "copy_", "self"), *source = lsb_check_tensor(L, 2, "copy_", "source");
  ls_view shape;
  ls_err err;
  char a[96], b[96];
  if (ls_broadcast(&t->view, &source->view, &shape, &err) != LS_OK) return lsb_raise(L, "copy_", &err);
  if (!ls_view_same_shape(&shape, &t->view))
    return lsb_fail(L, "copy_", "source of shape %s does not fit into %s", ls_shape_text(&source->view, a, sizeof a),
                    ls_shape_text(&t->view, b, sizeof b));
  lsb_writing(L, t, "copy_");
  lsb_copy_into(L, 2, &t->view);
  lua_settop(L, 1);
  return 1;
}

static int fill_in_place(lua_State *L) {
  lsb_tensor *t = lsb_check_tensor(L, 1, "fill_", "self");
  double value = lsb_check_number(L, 2, "fill_", "value");
  lsb_writing(L, t, "fill_");
  ls_fill((float)value, &t->view);
  lua_settop(L, 1);
  return 1;
}

static int is_tensor(lua_State *L) {
  lua_pushboolean(L, lsb_test_tensor(L, 1) != NULL);
  return 1;
}

/* True where no two tensors share floats and every float is finite; count of those that are not, otherwise. */
static int count_not_finite(lua_State *L) {
  lsb_tensor *t = lsb_check_contiguous(L, 1, "count_not_finite", "self");
  size_t bad = 0, n = ls_view_count(&t->view);
  for (size_t i = 0; i < n; i++) bad += !(t->view.data[i] - t->view.data[i] == 0.0f);
  lua_pushinteger(L, (lua_Integer)bad);
  return 1;
}

/* FNV-1a over shape and bits, as 16 hexadecimal digits: to compare results, not to protect them. */
static int hash(lua_State *L) {
  lsb_tensor *t = lsb_check_contiguous(L, 1, "hash", "self");
  uint64_t h = 1469598103934665603u;
  size_t n = ls_view_count(&t->view);
  char text[17];
  for (int32_t i = 0; i < t->view.rank; i++) h = (h ^ (uint32_t)t->view.shape[i]) * 1099511628211u;
  for (size_t i = 0; i < n; i++) {
    uint32_t bits;
    memcpy(&bits, &t->view.data[i], sizeof bits);
    h = (h ^ bits) * 1099511628211u;
  }
  snprintf(text, sizeof text, "%016llx", (unsigned long long)h);
  lua_pushstring(L, text);
  return 1;
}

void lsb_add_make(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"from", from},       {"full", full}, {"zeros", zeros}, {"ones", ones},        {"arange", arange},        {"eye", eye},
      {"item", item},       {"totable", totable},  {"clone", clone},          {"detach", detach},
      {"copy_", copy_into}, {"fill_", fill_in_place}, {"is_tensor", is_tensor}, {"count_not_finite", count_not_finite},
      {"hash", hash},       {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
}
