/* The way back: gradients of all that a recorded result was made from. SPDX-License-Identifier: MIT
 *
 * The nodes are sorted so that each comes after all that it depends on, inputs in their order, and walked from the end: an order that the graph alone
 * decides, and with it the order in which gradients are added. A node that is done is freed at once, unless the graph is retained. */
#include "bindings/autograd.h"

#include <stdio.h>

/* Arguments and locals of the walk on the stack; upvalues. */
enum { ROOT = 1, GRADIENT, RETAIN, TAKE, LIST, STACK, TENSOR = STACK, NODE, OP, SAVED, RESULTS = SAVED };
enum { ADD = 1, ADD_IN_PLACE, CLONE, TIDY };

static int freed_before(lua_State *L, const char *what) {
  return lsb_fail(L, "backward", "%s was freed by an earlier backward (use retain_graph = true there)", what);
}

/* ---- leaves that are taken as soon as their gradient is complete ----
 *
 * That is when no node is left that reads the leaf's memory, through whatever view. What a user's backward reads, or tables and functions among a node's inputs
 * hold, nobody knows: while such nodes are left, no leaf is taken. */

/* The large leaf in whose memory the value at index lies; NULL where it is none. */
static lsb_tensor *large_leaf(lua_State *L, int index) {
  lsb_tensor *t = lsb_test_tensor(L, index);
  return t != NULL && lsb_is_large_leaf(t->owner) ? t->owner : NULL;
}

/* Whether the value at index may hold tensors that cannot be seen; lists of numbers do not. */
static bool is_opaque(lua_State *L, int index) {
  if (lua_type(L, index) != LUA_TTABLE) return lua_type(L, index) == LUA_TFUNCTION;
  bool numbers = lua_rawgeti(L, index, 1) == LUA_TNUMBER;
  lua_pop(L, 1);
  return !numbers;
}

/* Uses of large leaves by the tensor at index are counted. 1 where its node is opaque. */
static int count_uses(lua_State *L, int index, uint64_t walk) {
  lsb_tensor *t = lua_touserdata(L, index), *leaf;
  int top = lua_gettop(L);
  lua_getiuservalue(L, index, LSB_OPERATION);
  lua_rawgeti(L, -1, LSB_OP_FOREIGN);
  t->opaque = lua_toboolean(L, -1);
  lua_getiuservalue(L, index, LSB_NODE);
  for (int i = 0; i <= t->inputs; i++) { /* the kept value first */
    if (i == 0)
      lua_getiuservalue(L, index, LSB_SAVED);
    else
      lua_rawgeti(L, top + 3, i);
    t->opaque = t->opaque || (i > 0 && is_opaque(L, -1));
    if ((leaf = large_leaf(L, -1)) != NULL) {
      leaf->place = leaf->walk == walk ? leaf->place + 1 : 1;
      leaf->walk = walk;
    }
    lua_settop(L, top + 3);
  }
  lua_settop(L, top);
  return t->opaque;
}

/* The node of t at TENSOR is done: leaves that it was the last to use are taken, where `see` tells that no opaque node is left. One that a walk within this one has counted waits. */
static void take_leaves(lua_State *L, const lsb_tensor *t, uint64_t walk, bool see) {
  lsb_tensor *leaf;
  lua_settop(L, TENSOR);
  lua_getiuservalue(L, TENSOR, LSB_NODE);
  for (int i = 0; i <= t->inputs; i++) {
    if (i == 0)
      lua_getiuservalue(L, TENSOR, LSB_SAVED);
    else
      lua_rawgeti(L, NODE, i);
    if ((leaf = large_leaf(L, -1)) != NULL && leaf->walk == walk && --leaf->place == 0 && see && leaf == lua_touserdata(L, -1) && lsb_push_grad(L, -1) != NULL) {
      lua_pushvalue(L, TAKE);
      lua_pushvalue(L, -3);
      lua_call(L, 1, 0);
    }
    lua_settop(L, NODE);
  }
}

/* ---- the walk ---- */

/* The next input of t that is recorded and was not met in this walk, pushed; NULL where there is none. t's node lies at `node`. */
static lsb_tensor *next_input(lua_State *L, lsb_tensor *t, int node, uint64_t walk) {
  while (t->place < t->inputs) {
    lua_rawgeti(L, node, ++t->place);
    lsb_tensor *input = lsb_test_tensor(L, -1);
    if (input != NULL && input->recorded && input->walk != walk) return input;
    lua_pop(L, 1);
  }
  return NULL;
}

/* The tensor on top of the stack is met: what an earlier walk that failed has left there goes. */
static void meet(lua_State *L, lsb_tensor *t, uint64_t walk) {
  t->walk = walk;
  t->place = 0;
  lua_pushnil(L);
  lua_setiuservalue(L, -2, LSB_GRAD);
}

/* Fills the table LIST; how many there are, and how many of them are opaque where leaves are taken. */
static lua_Integer sort(lua_State *L, lua_Integer *opaque) {
  uint64_t walk = ++lsb_recorder_of(L)->walks;
  bool taking = !lua_isnil(L, TAKE);
  lua_Integer count = 0, top = 1;
  lua_newtable(L);
  lua_newtable(L); /* STACK: from the root to where we are */
  lua_pushvalue(L, ROOT);
  meet(L, lua_touserdata(L, ROOT), walk);
  lua_rawseti(L, STACK, 1);
  while (top > 0) {
    lua_rawgeti(L, STACK, top);
    lsb_tensor *t = lua_touserdata(L, STACK + 1);
    if (lua_getiuservalue(L, STACK + 1, LSB_NODE) != LUA_TTABLE) freed_before(L, "a part of the graph");
    lsb_tensor *input = next_input(L, t, STACK + 2, walk);
    if (input != NULL) {
      meet(L, input, walk);
      lua_rawseti(L, STACK, ++top);
    } else {
      if (taking) *opaque += count_uses(L, STACK + 1, walk);
      lua_pushvalue(L, STACK + 1);
      lua_rawseti(L, LIST, ++count);
      top--;
    }
    lua_settop(L, STACK);
  }
  lua_settop(L, LIST);
  return count;
}

/* f(x, y) of an upvalue; y at `y`, or none where 0. One result. */
static lsb_tensor *call(lua_State *L, int f, int x, int y) {
  x = lua_absindex(L, x);
  lua_pushvalue(L, lua_upvalueindex(f));
  lua_pushvalue(L, x);
  if (y != 0) lua_pushvalue(L, y);
  lua_call(L, y != 0 ? 2 : 1, 1);
  return lsb_test_tensor(L, -1);
}

/* Newly computed memory that nobody else holds is taken over. */
static bool take(lsb_tensor *t) {
  bool taken = t != NULL && t->fresh && t->owner == t;
  if (taken) t->fresh = false;
  return taken;
}

/* The gradient at g is added to that of the recorded tensor on top of the stack. */
static void give_node(lua_State *L, lsb_tensor *input, int g, bool foreign) {
  int at = lua_gettop(L);
  if (lua_getiuservalue(L, at, LSB_GRAD) == LUA_TNIL) {
    lua_pushvalue(L, g);
    input->owned = !foreign && take(lua_touserdata(L, g));
  } else if (input->owned) {
    call(L, ADD_IN_PLACE, -1, g);
    return;
  } else {
    input->owned = take(call(L, ADD, -1, g));
  }
  lua_setiuservalue(L, at, LSB_GRAD);
}

/* The same of a leaf. `kept`: a gradient that the leaf alone holds, whose memory the next one may have. */
static void give_leaf(lua_State *L, lsb_tensor *input, int g, bool foreign) {
  int at = lua_gettop(L);
  if (!input->spent && lua_getiuservalue(L, at, LSB_GRAD) != LUA_TNIL) {
    call(L, ADD_IN_PLACE, -1, g);
    return;
  }
  lsb_tensor *gradient = lua_touserdata(L, g);
  if (!foreign && take(gradient)) {
    gradient->kept = true;
    lua_pushvalue(L, g);
  } else {
    call(L, CLONE, g, 0);
  }
  input->spent = false;
  lua_setiuservalue(L, at, LSB_GRAD);
}

static void give(lua_State *L, lsb_tensor *input, int g, bool foreign) {
  if (input->recorded)
    give_node(L, input, g, foreign);
  else
    give_leaf(L, input, g, foreign);
}

/* The table { g, x } at index: gᵀ·x would be the gradient of the leaf on top of the stack, which is taken. What take wants to be gathered takes the table's place. */
static void take_product(lua_State *L, int index) {
  int leaf = lua_gettop(L);
  lua_pushvalue(L, TAKE);
  lua_pushvalue(L, leaf);
  for (int i = 1; i <= 2; i++) lua_rawgeti(L, index, i);
  lua_call(L, 3, 1);
  lua_replace(L, index);
}

static void wrong_shape(lua_State *L, int i, const lsb_tensor *gradient, int g, const lsb_tensor *input) {
  char got[128], wanted[128];
  lua_rawgeti(L, OP, LSB_OP_NAME);
  lsb_fail(L, "backward", "%s gives its input %d a gradient of shape %s, the input's is %s", lua_tostring(L, -1), i,
           gradient != NULL ? ls_shape_text(&gradient->view, got, sizeof got) : luaL_typename(L, g), ls_shape_text(&input->view, wanted, sizeof wanted));
}

static void check_unchanged(lua_State *L, const lsb_tensor *t) {
  if (lsb_versions(L, t, NODE, SAVED) == t->used) return;
  lua_rawgeti(L, OP, LSB_OP_NAME);
  lsb_fail(L, "backward", "a tensor that %s needs for its gradient was written to in place after it was used", lua_tostring(L, -1));
}

/* backward(inputs, gradient, result, kept, owned) → a gradient for each input, handed on. TENSOR and NODE are on the stack. */
static void propagate(lua_State *L, lsb_tensor *t) {
  int n = t->inputs;
  lua_getiuservalue(L, TENSOR, LSB_OPERATION);
  lua_getiuservalue(L, TENSOR, LSB_SAVED);
  check_unchanged(L, t);
  luaL_checkstack(L, n + 8, NULL);
  lua_rawgeti(L, OP, LSB_OP_FOREIGN);
  bool foreign = lua_toboolean(L, -1);
  lua_settop(L, SAVED);
  lua_rawgeti(L, OP, LSB_OP_BACKWARD);
  lua_pushvalue(L, NODE);
  lua_getiuservalue(L, TENSOR, LSB_GRAD);
  lua_pushvalue(L, TENSOR);
  lua_pushvalue(L, SAVED);
  lua_pushboolean(L, t->owned);
  lua_call(L, 5, LUA_MULTRET);
  lua_settop(L, RESULTS + n);
  for (int i = 1; i <= n; i++) {
    int g = RESULTS + i;
    if (!lua_toboolean(L, g)) continue;
    lua_rawgeti(L, NODE, i);
    if (!foreign && lua_type(L, g) == LUA_TTABLE) take_product(L, g);
    if (lua_isnil(L, g)) continue;
    lsb_tensor *input = lsb_test_tensor(L, -1), *gradient = lsb_test_tensor(L, g);
    if (input != NULL && lsb_tracked(input)) {
      if (gradient == NULL || !ls_view_same_shape(&gradient->view, &input->view)) wrong_shape(L, i, gradient, g, input);
      give(L, input, g, foreign);
    }
    lua_settop(L, RESULTS + n);
  }
}

/* TENSOR's node and gradient are not needed any more. Kilobytes of garbage that it makes, where they are many. */
static double free_node(lua_State *L, lsb_tensor *t) {
  size_t size = ls_view_count(&t->view);
  lua_settop(L, TENSOR);
  lua_pushnil(L);
  lua_setiuservalue(L, TENSOR, LSB_GRAD);
  if (lua_toboolean(L, RETAIN)) return 0.0;
  for (int value = LSB_NODE; value <= LSB_SAVED; value++) {
    lua_pushnil(L);
    lua_setiuservalue(L, TENSOR, value);
  }
  t->inputs = 0;
  return size < LSB_LARGE ? 0.0 : (double)size / 128; /* 4 bytes each, and as many of its gradient */
}

int lsb_backward(lua_State *L) {
  double freed = 0.0;
  lua_Integer opaque = 0;
  lua_settop(L, TAKE);
  lsb_tensor *root = lsb_check_tensor(L, ROOT, "backward", "self");
  lsb_check_tensor(L, GRADIENT, "backward", "gradient");
  if (!lsb_tracked(root)) return lsb_fail(L, "backward", "nothing was recorded: none of its inputs gathers gradients (:requires_grad())");
  if (root->recorded && lua_getiuservalue(L, ROOT, LSB_NODE) != LUA_TTABLE) return freed_before(L, "the graph");
  lua_settop(L, TAKE);
  bool taking = !lua_isnil(L, TAKE);
  lua_Integer count = root->recorded ? sort(L, &opaque) : 0;
  uint64_t walk = lsb_recorder_of(L)->walks;
  lua_pushvalue(L, ROOT);
  give(L, root, GRADIENT, true);
  for (; count > 0; count--) {
    if (lsb_interrupted()) return luaL_error(L, "interrupted");
    lua_settop(L, LIST);
    lua_rawgeti(L, LIST, count);
    lua_pushnil(L);
    lua_rawseti(L, LIST, count);
    lsb_tensor *t = lua_touserdata(L, TENSOR);
    if (lua_getiuservalue(L, TENSOR, LSB_NODE) != LUA_TTABLE) return freed_before(L, "a part of the graph");
    if (taking) lsb_recorder_of(L)->opaque = opaque -= t->opaque;
    if (lua_getiuservalue(L, TENSOR, LSB_GRAD) != LUA_TNIL) {
      lua_settop(L, NODE);
      propagate(L, t);
    }
    if (taking) take_leaves(L, t, walk, opaque == 0);
    double garbage = free_node(L, t);
    lua_settop(L, LIST);
    freed += garbage;
    if (garbage == 0.0) continue;
    lua_pushvalue(L, lua_upvalueindex(TIDY));
    lua_pushnumber(L, freed);
    lua_call(L, 1, 1);
    if (lua_toboolean(L, -1)) freed = 0.0;
  }
  return 0;
}
