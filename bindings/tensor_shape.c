/* Views and rearrangements of tensors. SPDX-License-Identifier: MIT */
#include "bindings/tensor.h"

#include <lsengine/tensor.h>

#include <string.h>

int32_t lsb_check_axis(lua_State *L, int index, const char *name, const ls_view *v) {
  int exact = 0;
  lua_Integer axis = lua_type(L, index) == LUA_TNUMBER ? lua_tointegerx(L, index, &exact) : 0;
  if (!exact) lsb_type_error(L, index, name, "axis", "an integer");
  if (axis == 0 || axis > v->rank || axis < -v->rank) {
    if (v->rank == 0) lsb_fail(L, name, "axis is %lld, but a scalar has none", (long long)axis);
    lsb_fail(L, name, "axis is %lld, allowed is 1 to %d or -%d to -1", (long long)axis, v->rank, v->rank);
  }
  return (int32_t)(axis > 0 ? axis - 1 : v->rank + axis);
}

static int shape(lua_State *L) {
  lsb_tensor *t = lsb_check_tensor(L, 1, "shape", "self");
  lua_createtable(L, t->view.rank, 0);
  for (int32_t i = 0; i < t->view.rank; i++) {
    lua_pushinteger(L, t->view.shape[i]);
    lua_rawseti(L, -2, i + 1);
  }
  return 1;
}

static int shape_text(lua_State *L) {
  lsb_tensor *t = lsb_check_tensor(L, 1, "shape", "self");
  char text[128];
  lua_pushstring(L, ls_shape_text(&t->view, text, sizeof text));
  return 1;
}

static int size(lua_State *L) {
  lsb_tensor *t = lsb_check_tensor(L, 1, "size", "self");
  lua_pushinteger(L, t->view.shape[lsb_check_axis(L, 2, "size", &t->view)]);
  return 1;
}

static int rank(lua_State *L) {
  lua_pushinteger(L, lsb_check_tensor(L, 1, "rank", "self")->view.rank);
  return 1;
}

static int count(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)ls_view_count(&lsb_check_tensor(L, 1, "count", "self")->view));
  return 1;
}

/* reshape(t, shape…): a view where memory allows it, else a copy; one size may be -1. */
static int reshape(lua_State *L) {
  int32_t wanted[LS_MAX_RANK], unknown = -1;
  lsb_tensor *t = lsb_check_tensor(L, 1, "reshape", "self");
  int32_t dims = lsb_check_shape(L, 2, "reshape", true, wanted);
  size_t have = ls_view_count(&t->view), known = 1;
  char text[128];
  ls_err err;
  for (int32_t i = 0; i < dims; i++)
    if (wanted[i] == -1) {
      if (unknown >= 0) return lsb_fail(L, "reshape", "more than one size is -1");
      unknown = i;
      wanted[i] = 1;
    }
  if (ls_shape_count(dims, wanted, &known, &err) != LS_OK) return lsb_raise(L, "reshape", &err);
  if (unknown >= 0 && known > 0 && have % known == 0 && have / known <= INT32_MAX)
    wanted[unknown] = (int32_t)(have / known), known = have;
  if (known != have) {
    ls_view to = ls_view_of(NULL, dims, wanted);
    char other[128];
    return lsb_fail(L, "reshape", "%s does not fit into %s", ls_shape_text(&t->view, text, sizeof text),
                    ls_shape_text(&to, other, sizeof other));
  }
  lua_settop(L, 1);
  t = lsb_check_contiguous(L, 1, "reshape", "self");
  ls_view view = ls_view_of(t->view.data, dims, wanted);
  lsb_new_view(L, 1, &view);
  return 1;
}

static int transpose(lua_State *L) {
  lsb_tensor *t = lsb_check_tensor(L, 1, "transpose", "self");
  if (t->view.rank < 2) return lsb_fail(L, "transpose", "the tensor has %d dimensions, at least 2 are required", t->view.rank);
  int32_t a = lua_isnoneornil(L, 2) ? t->view.rank - 2 : lsb_check_axis(L, 2, "transpose", &t->view);
  int32_t b = lua_isnoneornil(L, 3) ? t->view.rank - 1 : lsb_check_axis(L, 3, "transpose", &t->view);
  ls_view view = t->view;
  view.shape[a] = t->view.shape[b];
  view.stride[a] = t->view.stride[b];
  view.shape[b] = t->view.shape[a];
  view.stride[b] = t->view.stride[a];
  lsb_new_view(L, 1, &view);
  return 1;
}

static void drop_axis(ls_view *v, int32_t axis) {
  for (int32_t i = axis; i + 1 < v->rank; i++) {
    v->shape[i] = v->shape[i + 1];
    v->stride[i] = v->stride[i + 1];
  }
  v->rank--;
}

/* select(t, axis, i): the i-th slice, without that axis. */
static int select_slice(lua_State *L) {
  lsb_tensor *t = lsb_check_tensor(L, 1, "select", "self");
  int32_t axis = lsb_check_axis(L, 2, "select", &t->view);
  int32_t i = lsb_check_int(L, 3, "select", "index", 1, t->view.shape[axis]) - 1;
  ls_view view = t->view;
  view.data += i * view.stride[axis];
  drop_axis(&view, axis);
  lsb_new_view(L, 1, &view);
  return 1;
}

/* narrow(t, axis, first, count) */
static int narrow(lua_State *L) {
  lsb_tensor *t = lsb_check_tensor(L, 1, "narrow", "self");
  int32_t axis = lsb_check_axis(L, 2, "narrow", &t->view), length = t->view.shape[axis];
  int32_t first = lsb_check_int(L, 3, "narrow", "first", 1, length < INT32_MAX ? length + 1 : length);
  int32_t n = lsb_check_int(L, 4, "narrow", "count", 0, length - first + 1);
  ls_view view = t->view;
  view.data += (first - 1) * view.stride[axis];
  view.shape[axis] = n;
  lsb_new_view(L, 1, &view);
  return 1;
}

/* expand(t, shape…): stretched axes of size 1, without copying. */
static int expand(lua_State *L) {
  int32_t wanted[LS_MAX_RANK];
  lsb_tensor *t = lsb_check_tensor(L, 1, "expand", "self");
  int32_t dims = lsb_check_shape(L, 2, "expand", false, wanted);
  ls_view to = ls_view_of(NULL, dims, wanted), both;
  ls_err err;
  size_t elements;
  if (ls_shape_count(dims, wanted, &elements, &err) != LS_OK) return lsb_raise(L, "expand", &err);
  if (ls_broadcast(&t->view, &to, &both, &err) != LS_OK) return lsb_raise(L, "expand", &err);
  if (!ls_view_same_shape(&both, &to)) {
    char a[96], b[96];
    return lsb_fail(L, "expand", "%s does not stretch to %s", ls_shape_text(&t->view, a, sizeof a), ls_shape_text(&to, b, sizeof b));
  }
  ls_view view = ls_view_expand(&t->view, &to);
  lsb_new_view(L, 1, &view);
  return 1;
}

static int unsqueeze(lua_State *L) {
  lsb_tensor *t = lsb_check_tensor(L, 1, "unsqueeze", "self");
  ls_view view = t->view;
  if (view.rank == LS_MAX_RANK) return lsb_fail(L, "unsqueeze", "the tensor has %d dimensions already", LS_MAX_RANK);
  ls_view wider = view;
  wider.rank++;
  int32_t axis = lsb_check_axis(L, 2, "unsqueeze", &wider);
  for (int32_t i = view.rank; i > axis; i--) {
    view.shape[i] = view.shape[i - 1];
    view.stride[i] = view.stride[i - 1];
  }
  view.shape[axis] = 1;
  view.stride[axis] = 0;
  view.rank++;
  lsb_new_view(L, 1, &view);
  return 1;
}

static int squeeze(lua_State *L) {
  lsb_tensor *t = lsb_check_tensor(L, 1, "squeeze", "self");
  ls_view view = t->view;
  if (lua_isnoneornil(L, 2)) {
    for (int32_t axis = view.rank - 1; axis >= 0; axis--)
      if (view.shape[axis] == 1) drop_axis(&view, axis);
  } else {
    int32_t axis = lsb_check_axis(L, 2, "squeeze", &view);
    if (view.shape[axis] != 1) return lsb_fail(L, "squeeze", "axis %d has size %d, 1 is required", axis + 1, view.shape[axis]);
    drop_axis(&view, axis);
  }
  lsb_new_view(L, 1, &view);
  return 1;
}

/* cat(table of tensors, axis): joined along an axis. */
static int cat(lua_State *L) {
  lua_settop(L, 2);
  size_t parts = lsb_check_length(L, 1, "cat", "the table");
  if (parts == 0) return lsb_fail(L, "cat", "the table holds no tensor");
  lua_newtable(L); /* a finalizer of the script may change its own while memory is asked for below */
  for (size_t p = 1; p <= parts && lua_rawgeti(L, 1, (lua_Integer)p) != LUA_TNIL; p++) lua_rawseti(L, 3, (lua_Integer)p);
  lua_settop(L, 3);
  lua_replace(L, 1);
  lua_rawgeti(L, 1, 1);
  lsb_tensor *first = lsb_check_tensor(L, -1, "cat", "tensor 1");
  int32_t axis = lsb_check_axis(L, 2, "cat", &first->view), sizes[LS_MAX_RANK];
  int64_t total = 0;
  memcpy(sizes, first->view.shape, sizeof sizes);
  for (size_t p = 1; p <= parts; p++) {
    char argument[40], a[96], b[96];
    snprintf(argument, sizeof argument, "tensor %zu", p);
    lua_rawgeti(L, 1, (lua_Integer)p);
    lsb_tensor *t = lsb_check_tensor(L, -1, "cat", argument);
    bool fits = t->view.rank == first->view.rank;
    for (int32_t i = 0; i < t->view.rank && fits; i++) fits = i == axis || t->view.shape[i] == sizes[i];
    if (!fits)
      return lsb_fail(L, "cat", "%s has shape %s, the first %s: all but axis %d must agree", argument,
                      ls_shape_text(&t->view, a, sizeof a), ls_shape_text(&first->view, b, sizeof b), axis + 1);
    total += t->view.shape[axis];
    lua_pop(L, 1);
  }
  if (total > INT32_MAX) return lsb_fail(L, "cat", "%lld elements along one axis are too many", (long long)total);
  sizes[axis] = (int32_t)total;

  lsb_tensor *out = lsb_new_tensor(L, "cat", first->view.rank, sizes);
  ls_view to = out->view;
  for (size_t p = 1; p <= parts; p++) {
    lua_rawgeti(L, 1, (lua_Integer)p);
    lsb_tensor *t = lsb_check_tensor(L, -1, "cat", "tensor");
    to.shape[axis] = t->view.shape[axis];
    ls_unary_apply(LS_UNARY_COPY, &t->view, &to);
    to.data += to.shape[axis] * to.stride[axis];
    lua_pop(L, 1);
  }
  return 1;
}

static int contiguous(lua_State *L) {
  lsb_check_contiguous(L, 1, "contiguous", "self");
  lua_settop(L, 1);
  return 1;
}

void lsb_add_shape(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"shape", shape},         {"shape_text", shape_text}, {"size", size},     {"rank", rank},
      {"count", count},         {"reshape", reshape},       {"cat", cat},       {"transpose", transpose},
      {"select", select_slice}, {"narrow", narrow},         {"expand", expand}, {"unsqueeze", unsqueeze},
      {"squeeze", squeeze},     {"contiguous", contiguous}, {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
}
