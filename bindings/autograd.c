/* Recording of operations for differentiation. SPDX-License-Identifier: MIT
 *
 * op(description, forward) makes an operation: a C function that calls forward(inputs…), and, where an input is tracked and
 * recording is on, hangs a node on the result:
 *   node = { [1..n] = inputs, n =, out =, saved =, op = description, version = }
 * forward returns its result and, maybe, one value to be kept in node.saved. description = { name =, backward =, … }.
 * scripts/tensor/autograd.lua walks the nodes. `version` is the sum of the storage versions of all tensors concerned: where it has
 * changed, something was written over that the gradient needs. */
#include "bindings/lsb.h"

enum { MOST_INPUTS = 1000000 }; /* more values do not fit on Lua's stack */

typedef struct lsb_state {
  bool recording;
} lsb_state;

static lsb_state *state_of(lua_State *L) { return *(lsb_state **)lua_getextraspace(L); }

bool lsb_recording(lua_State *L) {
  return state_of(L)->recording;
}

void lsb_new_recorder(lua_State *L) {
  static const char state_key = 0;
  lsb_state *state = lua_newuserdatauv(L, sizeof *state, 0);
  state->recording = true;
  lua_rawsetp(L, LUA_REGISTRYINDEX, &state_key);
  *(lsb_state **)lua_getextraspace(L) = state;
}

static bool tracked(const lsb_tensor *t) { return t->requires_grad || t->recorded; }

/* Sum of the versions of the node's tensors: inputs, result, the kept value. Node on top of the stack. */
static uint64_t versions(lua_State *L, int n) {
  uint64_t sum = 0;
  for (int i = 1; i <= n + 2; i++) {
    if (i <= n)
      lua_rawgeti(L, -1, i);
    else
      lua_getfield(L, -1, i == n + 1 ? "out" : "saved");
    lsb_tensor *t = lsb_test_tensor(L, -1);
    if (t != NULL) sum += t->owner->version;
    lua_pop(L, 1);
  }
  return sum;
}

static void record(lua_State *L, int n, int results) {
  int out = n + 1;
  lsb_tensor *t = lsb_test_tensor(L, out);
  if (t == NULL) return;
  bool own = !tracked(t);
  for (int i = 1; i <= n && own; i++) own = lua_touserdata(L, i) != (void *)t;
  if (!own) { /* an input handed through: the result must be an object of its own */
    t = lsb_new_view(L, out, &t->view);
    lua_replace(L, out);
  }
  luaL_checkstack(L, 8, NULL);
  lua_createtable(L, n, 8); /* n, out, saved, op, version; grad, owned, freed to come */
  for (int i = 1; i <= n; i++) {
    lua_pushvalue(L, i);
    lua_rawseti(L, -2, i);
  }
  lua_pushinteger(L, n);
  lua_setfield(L, -2, "n");
  lua_pushvalue(L, out);
  lua_setfield(L, -2, "out");
  if (results > 1) {
    lua_pushvalue(L, out + 1);
    lua_setfield(L, -2, "saved");
  }
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_setfield(L, -2, "op");
  lua_pushinteger(L, (lua_Integer)versions(L, n));
  lua_setfield(L, -2, "version");
  lua_setiuservalue(L, out, LSB_NODE);
  t->recorded = true;
}

static int op_call(lua_State *L) {
  int n = lua_gettop(L), tag = 0;
  bool track = false, recording = lsb_recording(L);
  for (int i = 1; i <= n; i++) {
    lsb_tensor *t = lsb_test_tensor(L, i);
    if (t == NULL) continue;
    track = track || (recording && tracked(t));
    if (t->tagged && tag == 0) tag = i;
  }
  if (lsb_interrupted()) return luaL_error(L, "interrupted");
  luaL_checkstack(L, n + 8, NULL);
  lua_pushvalue(L, lua_upvalueindex(2));
  for (int i = 1; i <= n; i++) lua_pushvalue(L, i);
  lua_call(L, n, 2);
  if (track) record(L, n, lua_isnil(L, -1) ? 1 : 2);
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
  luaL_checktype(L, 1, LUA_TTABLE);
  luaL_checktype(L, 2, LUA_TFUNCTION);
  lua_settop(L, 2);
  lua_pushcclosure(L, op_call, 2);
  return 1;
}

static int changed(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  lua_getfield(L, 1, "n");
  lua_getfield(L, 1, "version");
  int32_t n = lsb_check_int(L, 2, "changed", "n", 0, MOST_INPUTS);
  uint64_t then = (uint64_t)lua_tointeger(L, 3);
  lua_settop(L, 1);
  lua_pushboolean(L, versions(L, n) != then);
  return 1;
}

/* receive(node, i, gradient, foreign): hands a gradient to the node's i-th input where it is the first one there; true where
 * it must be added or copied instead (autograd.lua does that), false where its shape is wrong. `foreign`: made by a function
 * of the user's, who may still hold it. */
static int receive(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  bool foreign = lua_toboolean(L, 4);
  lua_settop(L, 3);
  lua_rawgeti(L, 1, luaL_checkinteger(L, 2));
  lsb_tensor *input = lsb_test_tensor(L, 4), *gradient = lsb_test_tensor(L, 3);
  if (input == NULL || !tracked(input)) return 0;
  if (gradient == NULL || !ls_view_same_shape(&gradient->view, &input->view)) {
    lua_pushboolean(L, false);
    return 1;
  }
  bool ours = !foreign && gradient->fresh && gradient->owner == gradient;
  lua_getiuservalue(L, 4, input->recorded ? LSB_NODE : LSB_GRAD);
  if (input->recorded && lua_istable(L, 5)) {
    lua_getfield(L, 5, "grad");
    if (lua_isnil(L, 6)) {
      lua_pushvalue(L, 3);
      lua_setfield(L, 5, "grad");
      lua_pushboolean(L, ours);
      lua_setfield(L, 5, "owned");
      if (ours) gradient->fresh = false;
      return 0;
    }
  } else if (!input->recorded && ours && (input->spent || lua_isnil(L, 5))) {
    lua_pushvalue(L, 3);
    lua_setiuservalue(L, 4, LSB_GRAD);
    gradient->fresh = input->spent = false;
    gradient->kept = true;
    return 0;
  }
  lua_pushboolean(L, true);
  return 1;
}

static int set_recording(lua_State *L) {
  lsb_state *state = state_of(L);
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
  lua_pushboolean(L, t != NULL && tracked(t));
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

static int get_value(lua_State *L) {
  if (lsb_test_tensor(L, 1) == NULL) return 0;
  lua_getiuservalue(L, 1, (int)lua_tointeger(L, lua_upvalueindex(1)));
  return 1;
}

lsb_tensor *lsb_push_grad(lua_State *L, int index) {
  const lsb_tensor *t = lsb_test_tensor(L, index);
  if (t == NULL || t->spent)
    lua_pushnil(L);
  else
    lua_getiuservalue(L, index, LSB_GRAD);
  return lsb_test_tensor(L, -1);
}

static int get_grad(lua_State *L) {
  lsb_push_grad(L, 1);
  return 1;
}

/* forget_grad(t): no gradient any more; its memory stays for the next one where nobody else can hold it. */
static int forget_grad(lua_State *L) {
  lsb_tensor *t = lsb_check_tensor(L, 1, "grad", "self"), *g = lsb_push_grad(L, 1);
  if (g != NULL && g->kept && g->owner == g) {
    t->spent = true;
  } else if (g != NULL) {
    lua_pushnil(L);
    lua_setiuservalue(L, 1, LSB_GRAD);
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

/* take(t): true the first time for a tensor with storage of its own that was newly computed. */
static int take(lua_State *L) {
  lsb_tensor *t = lsb_check_tensor(L, 1, "take", "self");
  lua_pushboolean(L, t->fresh && t->owner == t);
  t->fresh = false;
  return 1;
}

static int same_shape(lua_State *L) {
  lsb_tensor *a = lsb_test_tensor(L, 1), *b = lsb_test_tensor(L, 2);
  lua_pushboolean(L, a != NULL && b != NULL && ls_view_same_shape(&a->view, &b->view));
  return 1;
}

int lsb_open_autograd(lua_State *L) {
  static const luaL_Reg functions[] = {{"op", op},
                                       {"changed", changed},
                                       {"receive", receive},
                                       {"set_recording", set_recording},
                                       {"is_recording", is_recording},
                                       {"is_tracked", is_tracked},
                                       {"is_leaf", is_leaf},
                                       {"set_requires_grad", set_requires_grad},
                                       {"set_grad", set_grad},
                                       {"grad", get_grad},
                                       {"forget_grad", forget_grad},
                                       {"spare", spare},
                                       {"set_tag", set_tag},
                                       {"take", take},
                                       {"same_shape", same_shape},
                                       {NULL, NULL}};
  luaL_newlib(L, functions);
  static const struct {
    const char *name;
    int value;
  } getters[] = {{"node", LSB_NODE}, {"tag", LSB_TAG}};
  for (size_t i = 0; i < sizeof getters / sizeof getters[0]; i++) {
    lua_pushinteger(L, getters[i].value);
    lua_pushcclosure(L, get_value, 1);
    lua_setfield(L, -2, getters[i].name);
  }
  return 1;
}
