/* The tensor userdata: making, viewing, reading and writing elements. SPDX-License-Identifier: MIT */
#include "bindings/memory.h"
#include "bindings/tensor.h"

#include <lsengine/tensor.h>

#include <limits.h>
#include <stdio.h>
#include <string.h>

static const char tensor_key = 0;

enum { ALIGNMENT = 64 };

/* Called some twenty times for each recorded operation: by its mark, not by its metatable, which is ten times as dear. Light userdata have length 0, tables and
 * strings no address. */
lsb_tensor *lsb_test_tensor(lua_State *L, int index) {
  if (lua_rawlen(L, index) < sizeof(lsb_tensor)) return NULL;
  lsb_tensor *t = lua_touserdata(L, index);
  return t != NULL && t->mark == &tensor_key ? t : NULL;
}

lsb_tensor *lsb_check_tensor(lua_State *L, int index, const char *name, const char *argument) {
  lsb_tensor *t = lsb_test_tensor(L, index);
  if (t == NULL) lsb_type_error(L, index, name, argument, "a tensor");
  return t;
}

static int allocate(lua_State *L) {
  luaL_checktype(L, 1, LUA_TLIGHTUSERDATA);
  lua_newuserdatauv(L, *(size_t *)lua_touserdata(L, 1), LSB_USER_VALUES);
  return 1;
}

enum { SMALL = 1 << 16, GARBAGE = 8 << 20 }; /* bytes: what is asked for as Lua's own tables are; see tend_collector */

/* Lua begins a collection when the heap has doubled: with little alive, that is every few tensors, and marking what is alive
 * costs more than they do (a step of 64-128-10 at batch 64: half of its time). So garbage may grow to GARBAGE before. */
static void tend_collector(lua_State *L) {
  int kilobytes = lua_gc(L, LUA_GCCOUNT);
  if (kilobytes < 0) return; /* within a finalizer */
  int pause = 100 + GARBAGE / 1024 * 100 / (kilobytes + 1);
  lua_gc(L, LUA_GCSETPAUSE, pause < 200 ? 200 : pause > 1000 ? 1000 : pause);
}

/* Memory that was a tensor's before must not pass for one: its mark is wiped. */
static void *unmarked(void *memory, size_t bytes) {
  if (bytes >= sizeof(const void *)) memset(memory, 0, sizeof(const void *));
  return memory;
}

void *lsb_try_userdata(lua_State *L, size_t bytes) {
  luaL_checkstack(L, 8, NULL);
  tend_collector(L);
  if (bytes < SMALL) return unmarked(lua_newuserdatauv(L, bytes, LSB_USER_VALUES), bytes);
  lua_pushcfunction(L, allocate);
  lua_pushlightuserdata(L, &bytes);
  int status = lua_pcall(L, 1, 1, 0);
  if (status == LUA_OK) return unmarked(lua_touserdata(L, -1), bytes);
  if (status != LUA_ERRMEM) lua_error(L); /* interrupted, or the stack is full */
  lua_pop(L, 1);
  return NULL;
}

const char *lsb_no_memory_text(lua_State *L, const char *what) {
  void *context;
  char limit[128] = "";
  const lsb_memory *m = lua_getallocf(L, &context) == lsb_allocate ? context : NULL;
  if (m != NULL && m->limit != 0)
    snprintf(limit, sizeof limit, ": %.1f MB are in use, the limit is %.1f MB (--mem-limit)", (double)m->used / 1e6, (double)m->limit / 1e6);
  return lua_pushfstring(L, "no memory for %s%s", what, limit);
}

int lsb_no_memory(lua_State *L, const char *name, const char *what, size_t bytes) {
  char text[256];
  snprintf(text, sizeof text, "%s (%.1f MB)", what, (double)bytes / 1e6);
  return lsb_fail(L, name, "%s", lsb_no_memory_text(L, text));
}

lsb_tensor *lsb_new_tensor(lua_State *L, const char *name, int32_t rank, const int32_t *shape) {
  ls_err err;
  size_t count;
  char text[128];
  if (ls_shape_count(rank, shape, &count, &err) != LS_OK) lsb_raise(L, name, &err);
  lsb_tensor *t = lsb_try_userdata(L, sizeof *t + ALIGNMENT + count * sizeof(float));
  if (t == NULL) {
    ls_view wanted = ls_view_of(NULL, rank, shape);
    char what[160];
    snprintf(what, sizeof what, "%s floats", ls_shape_text(&wanted, text, sizeof text));
    lsb_no_memory(L, name, what, count * sizeof(float));
    return NULL;
  }
  uintptr_t floats = ((uintptr_t)(t + 1) + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
  *t = (lsb_tensor){.mark = &tensor_key, .view = ls_view_of((float *)floats, rank, shape)};
  t->owner = t;
  t->fresh = true;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &tensor_key);
  lua_setmetatable(L, -2);
  return t;
}

lsb_tensor *lsb_new_matrix(lua_State *L, const char *name, int32_t rows, int32_t cols) {
  int32_t shape[] = {rows, cols};
  return lsb_new_tensor(L, name, 2, shape);
}

lsb_tensor *lsb_new_view(lua_State *L, int index, const ls_view *view) {
  lsb_tensor *source = lua_touserdata(L, index);
  index = lua_absindex(L, index);
  luaL_checkstack(L, 4, NULL);
  lsb_tensor *t = lua_newuserdatauv(L, sizeof *t, LSB_USER_VALUES);
  *t = (lsb_tensor){.mark = &tensor_key, .view = *view, .owner = source->owner};
  if (source->owner == source)
    lua_pushvalue(L, index);
  else
    lua_getiuservalue(L, index, LSB_STORAGE);
  lua_setiuservalue(L, -2, LSB_STORAGE);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &tensor_key);
  lua_setmetatable(L, -2);
  return t;
}

void *lsb_new_scratch(lua_State *L, const char *name, size_t bytes) {
  if (bytes == 0) {
    lua_pushnil(L);
    return NULL;
  }
  char *memory = lsb_try_userdata(L, bytes + ALIGNMENT);
  if (memory == NULL) lsb_no_memory(L, name, "intermediate results", bytes);
  return (void *)(((uintptr_t)memory + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT);
}

static lsb_tensor *copy_in_place(lua_State *L, int index, const char *name, lsb_tensor *t) {
  lsb_tensor *copy = lsb_new_tensor(L, name, t->view.rank, t->view.shape);
  ls_unary_apply(LS_UNARY_COPY, &t->view, &copy->view);
  lua_replace(L, index);
  return copy;
}

lsb_tensor *lsb_check_contiguous(lua_State *L, int index, const char *name, const char *argument) {
  lsb_tensor *t = lsb_check_tensor(L, index, name, argument);
  return ls_view_contiguous(&t->view) ? t : copy_in_place(L, index, name, t);
}

ls_cmat lsb_check_matrix(lua_State *L, int index, const char *name, const char *argument) {
  lsb_tensor *t = lsb_check_tensor(L, index, name, argument);
  const ls_view *v = &t->view;
  char text[128];
  if (v->rank != 2)
    lsb_fail(L, name, "%s has shape %s, a matrix (two dimensions) is required", argument, ls_shape_text(v, text, sizeof text));
  bool rows_ok = v->shape[0] <= 1 || (v->stride[0] >= v->shape[1] && v->stride[0] > 0 && v->stride[0] <= INT_MAX);
  bool cols_ok = v->shape[1] <= 1 || v->stride[1] == 1;
  if (!rows_ok || !cols_ok) v = &copy_in_place(L, index, name, t)->view;
  ls_cmat m = {v->data, v->shape[0], v->shape[1], v->shape[0] <= 1 ? v->shape[1] : v->stride[0]};
  if (m.stride < 1) m.stride = 1;
  return m;
}

ls_mat lsb_as_matrix(const lsb_tensor *t) {
  ls_mat m = {t->view.data, t->view.shape[0], t->view.shape[1], t->view.shape[1] > 0 ? t->view.shape[1] : 1};
  return m;
}

void lsb_writing(lua_State *L, lsb_tensor *t, const char *name) {
  if (lsb_recording(L) && (t->requires_grad || t->recorded))
    lsb_fail(L, name, "writes to a tensor that %s: copy it with :clone():detach(), or write within ls.no_grad",
             t->recorded ? "is the result of recorded operations" : "gathers gradients");
  for (int32_t i = 0; i < t->view.rank; i++)
    if (t->view.stride[i] == 0 && t->view.shape[i] > 1)
      lsb_fail(L, name, "writes to a stretched tensor, where one place in memory is many elements: copy it with :clone()");
  t->owner->version++;
}

/* Position of element `number` (1-based Lua) in axis 0, or -1 past the end. */
static int32_t position(lua_State *L, const lsb_tensor *t, int index) {
  int exact;
  lua_Integer i = lua_tointegerx(L, index, &exact);
  if (!exact) lsb_fail(L, "tensor", "index %s is not an integer", lsb_describe(L, index));
  if (t->view.rank == 0) lsb_fail(L, "tensor", "a scalar cannot be indexed, use :item()");
  return i < 1 || i > t->view.shape[0] ? -1 : (int32_t)(i - 1);
}

static ls_view row_view(const ls_view *v, int32_t row) {
  ls_view r = {.data = v->data + row * v->stride[0], .rank = v->rank - 1};
  for (int32_t axis = 1; axis < v->rank; axis++) {
    r.shape[axis - 1] = v->shape[axis];
    r.stride[axis - 1] = v->stride[axis];
  }
  return r;
}

/* t[i], t.method: upvalue 1 the methods, upvalue 2 select(t, axis, i) for recorded tensors. */
static int tensor_index(lua_State *L) {
  lsb_tensor *t = lsb_check_tensor(L, 1, "tensor", "self");
  if (lua_type(L, 2) != LUA_TNUMBER) {
    lua_settop(L, 2);
    if (lua_type(L, 2) == LUA_TSTRING && lua_rawequal(L, 2, lua_upvalueindex(3))) {
      lsb_tensor *g = lsb_push_grad(L, 1);
      if (g != NULL) g->kept = false;
      return 1;
    }
    lua_pushvalue(L, 2);
    if (lua_rawget(L, lua_upvalueindex(1)) != LUA_TNIL || !t->tagged) return 1;
    lua_getiuservalue(L, 1, LSB_TAG); /* a loss has fields of its own: loss.target, loss.weighting … */
    lua_pushvalue(L, 2);
    lua_rawget(L, -2);
    return 1;
  }
  int32_t row = position(L, t, 2);
  if (row < 0) {
    lua_pushnil(L);
  } else if (t->view.rank == 1) {
    lua_pushnumber(L, (lua_Number)t->view.data[row * t->view.stride[0]]);
  } else if ((t->requires_grad || t->recorded) && lsb_recording(L)) {
    lua_pushvalue(L, lua_upvalueindex(2));
    lua_pushvalue(L, 1);
    lua_pushinteger(L, 1);
    lua_pushinteger(L, row + 1);
    lua_call(L, 3, 1);
  } else {
    ls_view view = row_view(&t->view, row);
    lsb_new_view(L, 1, &view);
  }
  return 1;
}

static int tensor_newindex(lua_State *L) {
  lsb_tensor *t = lsb_check_tensor(L, 1, "tensor", "self");
  if (lua_type(L, 2) != LUA_TNUMBER) return lsb_fail(L, "tensor", "cannot set %s of a tensor", lsb_describe(L, 2));
  int32_t row = position(L, t, 2);
  if (row < 0)
    return lsb_fail(L, "tensor", "index %lld is past the end, allowed is 1 to %d", (long long)lua_tointeger(L, 2),
                    t->view.shape[0]);
  ls_view to = row_view(&t->view, row);
  if (lua_type(L, 3) == LUA_TNUMBER) {
    lsb_writing(L, t, "tensor");
    ls_fill((float)lua_tonumber(L, 3), &to);
    return 0;
  }
  lsb_tensor *value = lsb_test_tensor(L, 3);
  if (value == NULL) return lsb_type_error(L, 3, "tensor", "the value", "a number or a tensor");
  ls_view shape = to;
  ls_err err;
  if (ls_broadcast(&to, &value->view, &shape, &err) != LS_OK) return lsb_raise(L, "tensor", &err);
  if (!ls_view_same_shape(&shape, &to)) {
    char a[96], b[96];
    return lsb_fail(L, "tensor", "a value of shape %s does not fit into %s", ls_shape_text(&value->view, a, sizeof a),
                    ls_shape_text(&to, b, sizeof b));
  }
  lsb_writing(L, t, "tensor");
  lsb_copy_into(L, 3, &to);
  return 0;
}

void lsb_copy_into(lua_State *L, int index, const ls_view *to) {
  lsb_tensor *value = lua_touserdata(L, index);
  lsb_tensor *copy = lsb_new_tensor(L, "copy", value->view.rank, value->view.shape); /* the two may overlap */
  ls_unary_apply(LS_UNARY_COPY, &value->view, &copy->view);
  ls_view from = ls_view_expand(&copy->view, to);
  ls_unary_apply(LS_UNARY_COPY, &from, to);
  lua_pop(L, 1);
}

static int tensor_len(lua_State *L) {
  lsb_tensor *t = lsb_check_tensor(L, 1, "tensor", "self");
  lua_pushinteger(L, t->view.rank == 0 ? 1 : t->view.shape[0]);
  return 1;
}

/* install(metamethods, methods, select): completes the type from Lua: operators, methods, the recorded t[i]. */
static int tensor_install(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  luaL_checktype(L, 2, LUA_TTABLE);
  lua_settop(L, 3);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &tensor_key);
  int meta = lua_gettop(L);
  if (lua_getfield(L, meta, "__index") != LUA_TNIL) return luaL_error(L, "install: tensors are complete already");
  lua_pop(L, 1);
  for (lua_pushnil(L); lua_next(L, 1) != 0; lua_pop(L, 1)) {
    lua_pushvalue(L, -2);
    lua_pushvalue(L, -2);
    lua_rawset(L, meta);
  }
  lua_pushvalue(L, 2);
  lua_pushvalue(L, 3);
  lua_pushliteral(L, "grad");
  lua_pushcclosure(L, tensor_index, 3);
  lua_setfield(L, meta, "__index");
  return 0;
}

int lsb_open_tensor(lua_State *L) {
  static const luaL_Reg metamethods[] = {{"__newindex", tensor_newindex}, {"__len", tensor_len}, {NULL, NULL}};
  lsb_new_type(L, &tensor_key, "tensor", metamethods);
  lua_newtable(L);
  lua_pushcfunction(L, tensor_install);
  lua_setfield(L, -2, "install");
  lsb_add_make(L);
  lsb_add_shape(L);
  lsb_add_arithmetic(L);
  return 1;
}
