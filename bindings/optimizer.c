/* Steps of optimizers over lists of parameters. SPDX-License-Identifier: MIT
 *
 * Each is called with parameters, states, the first and the last to be changed, g, x and memory or nils, and its options. states[i] belongs to parameters[i]: { step = how many it has
 * made, tensors by name }, made with the first one. What has gathered no gradient stays as it is. Where g and x are given, the gradient of the first one is gᵀ·x, of which as many rows are made at
 * once as fit into a thread's share of `memory`. Tables are read past their metamethods; finalizers may run at any allocation, so that whatever has been checked stays in reach. */
#include "bindings/lsb.h"

#include <lsengine/nn.h>
#include <lsengine/pool.h>

#include <string.h>

enum { PARAMETERS = 1, STATES, FIRST, LAST, PRODUCT, OPTIONS = PRODUCT + 3, MOST_SLOTS = 2 };

typedef struct optimizer {
  const char *name, *slots[MOST_SLOTS + 1];
  const ls_sgd_options *sgd; /* or */
  const ls_adam_options *adam;
} optimizer;

typedef struct parameter {
  lsb_tensor *w, *g, *slot[MOST_SLOTS]; /* g: unless it is a product */
  lua_Integer step;                     /* the one to be made; 0 where there is no gradient */
} parameter;

/* Contiguous memory of the shape of `like`. */
static lsb_tensor *check_weights(lua_State *L, int index, const char *name, const char *argument, const lsb_tensor *like) {
  lsb_tensor *t = lsb_check_tensor(L, index, name, argument);
  if (!ls_view_contiguous(&t->view)) lsb_fail(L, name, "%s is not contiguous", argument);
  if (like != NULL && !ls_view_same_shape(&t->view, &like->view)) lsb_fail(L, name, "%s has another shape than the weights", argument);
  return t;
}

static void push_raw(lua_State *L, int table, const char *name) {
  lua_pushstring(L, name);
  lua_rawget(L, table);
}

/* Pushes a state for w, which becomes states[i]. */
static void push_new_state(lua_State *L, const optimizer *o, lua_Integer i, const lsb_tensor *w) {
  lua_createtable(L, 0, MOST_SLOTS + 1);
  lua_pushinteger(L, 0);
  lua_setfield(L, -2, "step");
  for (int k = 0; o->slots[k] != NULL; k++) {
    lsb_tensor *t = lsb_new_tensor(L, o->name, w->view.rank, w->view.shape);
    memset(t->view.data, 0, ls_view_count(&t->view) * sizeof(float));
    lua_setfield(L, -2, o->slots[k]);
  }
  lua_pushvalue(L, -1);
  lua_rawseti(L, STATES, i);
}

static void check_apart(lua_State *L, const optimizer *o, const parameter *p, const lsb_tensor *g) {
  const lsb_tensor *all[MOST_SLOTS + 2] = {p->w->owner, g->owner};
  int n = 2;
  for (int k = 0; o->slots[k] != NULL; k++) all[n++] = p->slot[k]->owner;
  for (int i = 0; i < n; i++)
    for (int k = 0; k < i; k++)
      if (all[i] == all[k]) lsb_fail(L, o->name, "weights, gradient and what the optimizer keeps share memory");
}

/* Pushes the state of parameter i, which is p->w, and what is in it; the gradient, or the memory for a part of it, is g. */
static void push_state(lua_State *L, const optimizer *o, lua_Integer i, const lsb_tensor *g, parameter *p) {
  int at = lua_gettop(L) + 1;
  if (lua_rawgeti(L, STATES, i) != LUA_TTABLE) {
    lua_pop(L, 1);
    push_new_state(L, o, i, p->w);
  }
  push_raw(L, at, "step");
  int whole;
  p->step = lua_tointegerx(L, -1, &whole);
  if (!whole || p->step < 0 || p->step == LUA_MAXINTEGER) lsb_fail(L, o->name, "the step of a state is %s, a whole number from 0 is required", luaL_tolstring(L, -1, NULL));
  p->step++;
  for (int k = 0; o->slots[k] != NULL; k++) {
    push_raw(L, at, o->slots[k]);
    p->slot[k] = check_weights(L, -1, o->name, o->slots[k], p->w);
  }
  check_apart(L, o, p, g);
}

static void apply(const optimizer *o, const parameter *p) {
  size_t n = ls_view_count(&p->w->view);
  float *w = p->w->view.data, *first = o->slots[0] == NULL ? NULL : p->slot[0]->view.data;
  const float *g = p->g->view.data;
  if (o->sgd != NULL)
    ls_sgd_step(o->sgd, p->step, n, w, g, first);
  else
    ls_adam_step(o->adam, p->step, n, w, g, first, p->slot[1]->view.data);
}

/* The state at index has made its step. */
static void finish(lua_State *L, int index, const parameter *p) {
  p->w->owner->version++;
  lua_pushliteral(L, "step");
  lua_pushinteger(L, p->step);
  lua_rawset(L, index);
}

/* All that have a gradient: each is checked before the first changes. What has been checked stays on the stack. */
static void step_all(lua_State *L, const optimizer *o, lua_Integer first, lua_Integer last) {
  enum { EACH = 4 + MOST_SLOTS, STATE = 3, FEW = 16 }; /* parameter, gradient, state, its step, tensors: as they are pushed */
  if (last < first) return;
  lua_Unsigned count = (lua_Unsigned)last - (lua_Unsigned)first + 1; /* unsigned: whatever a script says of them, it may not overflow */
  if (count - 1 >= INT32_MAX / EACH - 16) lsb_fail(L, o->name, "parameters %lld to %lld are too many", (long long)first, (long long)last);
  luaL_checkstack(L, (int)count * EACH + 16, "too many parameters");
  parameter few[FEW], *all = count <= FEW ? few : lua_newuserdatauv(L, (size_t)count * sizeof *all, 0);
  int at = lua_gettop(L);
  for (lua_Integer i = first; i <= last; i++) {
    parameter *p = &all[i - first];
    int top = lua_gettop(L);
    p->step = 0;
    lua_rawgeti(L, PARAMETERS, i);
    p->w = lsb_check_tensor(L, top + 1, o->name, "a parameter");
    if (lsb_push_grad(L, top + 1) == NULL) {
      lua_settop(L, top);
      continue;
    }
    p->w = check_weights(L, top + 1, o->name, "a parameter", NULL);
    p->g = check_weights(L, top + 2, o->name, "the gradient", p->w);
    push_state(L, o, i, p->g, p);
  }
  for (lua_Integer i = first; i <= last; i++) {
    const parameter *p = &all[i - first];
    if (p->step == 0) continue;
    apply(o, p);
    finish(L, at + STATE, p);
    at += 4 + (o->slots[0] != NULL) + (o->slots[0] != NULL && o->slots[1] != NULL);
  }
}

/* One whose gradient is a product. */
static void step_product(lua_State *L, const optimizer *o, lua_Integer i) {
  int top = lua_gettop(L);
  parameter p;
  ls_cmat g = lsb_check_matrix(L, PRODUCT, o->name, "the gradient's left factor"), x = lsb_check_matrix(L, PRODUCT + 1, o->name, "the gradient's right factor");
  lsb_tensor *memory = check_weights(L, PRODUCT + 2, o->name, "the memory", NULL);
  lua_rawgeti(L, PARAMETERS, i);
  p.w = check_weights(L, top + 1, o->name, "a parameter", NULL);
  push_state(L, o, i, memory, &p);
  size_t each = ls_view_count(&memory->view) / (size_t)ls_pool_threads();
  if (p.w->view.rank != 2 || p.w->view.shape[0] != g.cols || p.w->view.shape[1] != x.cols || g.rows != x.rows || x.cols < 1 || each < (size_t)x.cols)
    lsb_fail(L, o->name, "the gradient's factors do not fit");
  float *first = o->slots[0] == NULL ? NULL : p.slot[0]->view.data;
  if (o->sgd != NULL)
    ls_sgd_step_product(o->sgd, p.step, g, x, memory->view.data, each, p.w->view.data, first);
  else
    ls_adam_step_product(o->adam, p.step, g, x, memory->view.data, each, p.w->view.data, first, p.slot[1]->view.data);
  memory->owner->version++;
  finish(L, top + 2, &p);
}

static int step(lua_State *L, const optimizer *o) {
  luaL_checktype(L, PARAMETERS, LUA_TTABLE);
  luaL_checktype(L, STATES, LUA_TTABLE);
  lua_Integer first = luaL_checkinteger(L, FIRST), last = luaL_checkinteger(L, LAST);
  luaL_checkstack(L, MOST_SLOTS + 16, NULL);
  if (lua_isnil(L, PRODUCT))
    step_all(L, o, first, last);
  else
    step_product(L, o, first);
  return 0;
}

/* sgd(parameters, states, first, last, g, x, memory, lr, momentum, weight_decay, nesterov) */
static int sgd(lua_State *L) {
  ls_err err;
  lua_settop(L, OPTIONS + 3);
  ls_sgd_options o = {lsb_check_number(L, OPTIONS, "sgd", "lr"), lsb_check_number(L, OPTIONS + 1, "sgd", "momentum"),
                      lsb_check_number(L, OPTIONS + 2, "sgd", "weight_decay"), lua_toboolean(L, OPTIONS + 3)};
  if (ls_sgd_check(&o, &err) != LS_OK) return lsb_raise(L, "sgd", &err);
  optimizer kind = {.name = "sgd", .slots = {o.momentum > 0.0 ? "velocity" : NULL}, .sgd = &o};
  return step(L, &kind);
}

/* adam(parameters, states, first, last, g, x, memory, lr, beta1, beta2, eps, weight_decay, decoupled) */
static int adam(lua_State *L) {
  ls_err err;
  lua_settop(L, OPTIONS + 5);
  ls_adam_options o = {lsb_check_number(L, OPTIONS, "adam", "lr"), lsb_check_number(L, OPTIONS + 1, "adam", "beta1"), lsb_check_number(L, OPTIONS + 2, "adam", "beta2"),
                       lsb_check_number(L, OPTIONS + 3, "adam", "eps"), lsb_check_number(L, OPTIONS + 4, "adam", "weight_decay"), lua_toboolean(L, OPTIONS + 5)};
  if (ls_adam_check(&o, &err) != LS_OK) return lsb_raise(L, "adam", &err);
  optimizer kind = {.name = "adam", .slots = {"m", "v"}, .adam = &o};
  return step(L, &kind);
}

int lsb_open_optimizer(lua_State *L) {
  static const luaL_Reg functions[] = {{"sgd", sgd}, {"adam", adam}, {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}
