/* Recording of operations for differentiation. SPDX-License-Identifier: MIT
 *
 * op(description, forward) makes an operation: a C function that calls forward(inputs…), and, where an input is tracked and recording is on, hangs a node
 * (autograd.h) on the result. forward returns its result and, maybe, one value to be kept for backward. description = { name =, backward =, foreign = },
 * foreign: backward is the user's, who may keep or change what it returns. backward.c walks the nodes. A recorded tensor's `used` is the sum of the storage
 * versions of all tensors concerned: where it has changed, something was written over that the gradient needs. */
#include "bindings/autograd.h"

#include "core/base/blas.h"

lsb_recorder *lsb_recorder_of(lua_State *L) { return *(lsb_recorder **)lua_getextraspace(L); }

bool lsb_recording(lua_State *L) { return lsb_recorder_of(L)->recording; }

void lsb_new_recorder(lua_State *L) {
  static const char state_key = 0;
  lsb_recorder *recorder = lua_newuserdatauv(L, sizeof *recorder, 0);
  *recorder = (lsb_recorder){.recording = true};
  lua_rawsetp(L, LUA_REGISTRYINDEX, &state_key);
  *(lsb_recorder **)lua_getextraspace(L) = recorder;
}

static uint64_t version_at(lua_State *L, int index) {
  const lsb_tensor *t = lsb_test_tensor(L, index);
  return t == NULL ? 0 : t->owner->version;
}

uint64_t lsb_versions(lua_State *L, const lsb_tensor *t, int node, int saved) {
  uint64_t sum = t->owner->version + version_at(L, saved);
  for (int i = 1; i <= t->inputs; i++) {
    lua_rawgeti(L, node, i);
    sum += version_at(L, -1);
    lua_pop(L, 1);
  }
  return sum;
}

/* On the stack: n inputs, the result, the value to be kept or nil. */
static void record(lua_State *L, int n) {
  int out = n + 1, saved = n + 2;
  lsb_tensor *t = lsb_test_tensor(L, out);
  if (t == NULL) return;
  bool own = !lsb_tracked(t);
  for (int i = 1; i <= n && own; i++) own = lua_touserdata(L, i) != (void *)t;
  if (!own) { /* an input handed through: the result must be an object of its own */
    t = lsb_new_view(L, out, &t->view);
    lua_replace(L, out);
  }
  luaL_checkstack(L, 8, NULL);
  lua_createtable(L, n, 0);
  int node = lua_gettop(L);
  for (int i = 1; i <= n; i++) {
    lua_pushvalue(L, i);
    lua_rawseti(L, node, i);
  }
  t->inputs = n;
  t->used = lsb_versions(L, t, node, saved);
  lua_setiuservalue(L, out, LSB_NODE);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_setiuservalue(L, out, LSB_OPERATION);
  lua_pushvalue(L, saved);
  lua_setiuservalue(L, out, LSB_SAVED);
  t->recorded = true;
}

static int op_call(lua_State *L) {
  int n = lua_gettop(L), tag = 0;
  bool track = false, recording = lsb_recording(L);
  for (int i = 1; i <= n; i++) {
    lsb_tensor *t = lsb_test_tensor(L, i);
    if (t == NULL) continue;
    track = track || (recording && lsb_tracked(t));
    if (t->tagged && tag == 0) tag = i;
  }
  if (lsb_interrupted()) return luaL_error(L, "interrupted");
  luaL_checkstack(L, n + 8, NULL);
  lua_pushvalue(L, lua_upvalueindex(2));
  for (int i = 1; i <= n; i++) lua_pushvalue(L, i);
  lua_call(L, n, 2);
  if (track) record(L, n);
  lsb_tensor *out = tag == 0 ? NULL : lsb_test_tensor(L, n + 1);
  if (out != NULL && !out->tagged) {
    lua_getiuservalue(L, tag, LSB_TAG);
    lua_setiuservalue(L, n + 1, LSB_TAG);
    out->tagged = true;
  }
  lua_settop(L, n + 1);
  return 1;
}

/* op(description, forward) */
static int op(lua_State *L) {
  static const char *const fields[] = {[LSB_OP_BACKWARD] = "backward", [LSB_OP_FOREIGN] = "foreign", [LSB_OP_NAME] = "name"};
  luaL_checktype(L, 1, LUA_TTABLE);
  luaL_checktype(L, 2, LUA_TFUNCTION);
  lua_settop(L, 2);
  lua_createtable(L, LSB_OP_NAME, 0);
  for (int i = LSB_OP_BACKWARD; i <= LSB_OP_NAME; i++) {
    lua_getfield(L, 1, fields[i]);
    lua_rawseti(L, 3, i);
  }
  lua_replace(L, 1);
  lua_pushcclosure(L, op_call, 2);
  return 1;
}

/* walker(add, add_, clone, tidy): backward(root, gradient, retain, [take]). */
static int walker(lua_State *L) {
  for (int i = 1; i <= 4; i++) luaL_checktype(L, i, LUA_TFUNCTION);
  lua_settop(L, 4);
  lua_pushcclosure(L, lsb_backward, 4);
  return 1;
}

static int set_recording(lua_State *L) {
  lsb_recorder *state = lsb_recorder_of(L);
  bool before = state->recording;
  state->recording = lua_toboolean(L, 1);
  lua_pushboolean(L, before);
  return 1;
}

static int is_recording(lua_State *L) {
  lua_pushboolean(L, lsb_recording(L));
  return 1;
}

static int is_tracked(lua_State *L) {
  lsb_tensor *t = lsb_test_tensor(L, 1);
  lua_pushboolean(L, t != NULL && lsb_tracked(t));
  return 1;
}

static int is_leaf(lua_State *L) {
  lsb_tensor *t = lsb_test_tensor(L, 1);
  lua_pushboolean(L, t != NULL && t->requires_grad && !t->recorded);
  return 1;
}

static int set_requires_grad(lua_State *L) {
  lsb_tensor *t = lsb_check_tensor(L, 1, "requires_grad", "self");
  if (t->recorded) return lsb_fail(L, "requires_grad", "the tensor is the result of recorded operations and tracked already");
  t->requires_grad = lua_isnone(L, 2) || lua_toboolean(L, 2);
  lua_settop(L, 1);
  return 1;
}

static int get_tag(lua_State *L) {
  if (lsb_test_tensor(L, 1) == NULL) return 0;
  lua_getiuservalue(L, 1, LSB_TAG);
  return 1;
}

lsb_tensor *lsb_push_grad(lua_State *L, int index) {
  const lsb_tensor *t = lsb_test_tensor(L, index);
  if (t == NULL || t->spent || t->recorded) /* of a recorded one it is the way back's own */
    lua_pushnil(L);
  else
    lua_getiuservalue(L, index, LSB_GRAD);
  return lsb_test_tensor(L, -1);
}

static int get_grad(lua_State *L) {
  lsb_push_grad(L, 1);
  return 1;
}

void lsb_forget_grad(lua_State *L, int index) {
  lsb_tensor *t = lsb_check_tensor(L, index, "zero_grad", "a parameter"), *g = lsb_push_grad(L, index);
  if (g != NULL && g->kept && g->owner == g) {
    t->spent = true;
  } else if (g != NULL) {
    lua_pushnil(L);
    lua_setiuservalue(L, index, LSB_GRAD);
  }
  lua_pop(L, 1);
}

/* forget_grads(list): the tensors of the list have no gradient any more. */
static int forget_grads(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_Integer count = (lua_Integer)lua_rawlen(L, 1);
  for (lua_Integer i = 1; i <= count; i++, lua_settop(L, 1)) {
    lua_rawgeti(L, 1, i);
    lsb_forget_grad(L, 2);
  }
  return 0;
}

/* spare(t): that memory, as a tensor to be written to, or nil; it is the caller's then. */
static int spare(lua_State *L) {
  lsb_tensor *t = lsb_test_tensor(L, 1);
  if (t == NULL || !t->spent) return 0;
  lua_getiuservalue(L, 1, LSB_GRAD);
  lsb_tensor *g = lsb_test_tensor(L, -1);
  t->spent = g->kept = false;
  g->fresh = true;
  lua_pushnil(L);
  lua_setiuservalue(L, 1, LSB_GRAD);
  return 1;
}

/* takes_product(w): whether backward, which asks for w's gradient just now, may be given a table { g, x } for gᵀ·x, since it would be taken at once. */
static int takes_product(lua_State *L) {
  const lsb_recorder *recorder = lsb_recorder_of(L);
  const lsb_tensor *w = lsb_test_tensor(L, 1);
  bool last = w != NULL && w->owner == w && lsb_is_large_leaf(w) && w->walk == recorder->walks && w->place == 1 && recorder->opaque == 0 && ls_gemm_cuts_freely();
  lua_pushboolean(L, last && lsb_push_grad(L, 1) == NULL);
  return 1;
}

static int set_grad(lua_State *L) {
  lsb_tensor *t = lsb_check_tensor(L, 1, "grad", "self");
  t->spent = false;
  lua_settop(L, 2);
  lua_setiuservalue(L, 1, LSB_GRAD);
  return 0;
}

static int set_tag(lua_State *L) {
  lsb_tensor *t = lsb_check_tensor(L, 1, "tag", "self");
  lua_settop(L, 2);
  if (!lua_isnil(L, 2) && lua_type(L, 2) != LUA_TTABLE) return lsb_type_error(L, 2, "tag", "the tag", "a table or nil");
  t->tagged = !lua_isnil(L, 2);
  lua_setiuservalue(L, 1, LSB_TAG);
  return 0;
}

static int same_shape(lua_State *L) {
  lsb_tensor *a = lsb_test_tensor(L, 1), *b = lsb_test_tensor(L, 2);
  lua_pushboolean(L, a != NULL && b != NULL && ls_view_same_shape(&a->view, &b->view));
  return 1;
}

/* is_large(t): whether backward may hand it to take. */
static int is_large(lua_State *L) {
  lua_pushboolean(L, lsb_is_large_leaf(lsb_check_tensor(L, 1, "is_large", "self")));
  return 1;
}

/* storage(t): what tells the memory of tensors apart. */
static int storage(lua_State *L) {
  lua_pushlightuserdata(L, lsb_check_tensor(L, 1, "storage", "self")->owner);
  return 1;
}

int lsb_open_autograd(lua_State *L) {
  static const luaL_Reg functions[] = {{"op", op},
                                       {"walker", walker},
                                       {"set_recording", set_recording},
                                       {"is_recording", is_recording},
                                       {"is_tracked", is_tracked},
                                       {"is_leaf", is_leaf},
                                       {"set_requires_grad", set_requires_grad},
                                       {"set_grad", set_grad},
                                       {"grad", get_grad},
                                       {"tag", get_tag},
                                       {"forget_grads", forget_grads},
                                       {"spare", spare},
                                       {"is_large", is_large},
                                       {"takes_product", takes_product},
                                       {"storage", storage},
                                       {"set_tag", set_tag},
                                       {"same_shape", same_shape},
                                       {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}
