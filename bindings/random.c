/* Random streams in Lua. SPDX-License-Identifier: MIT
 *
 * The userdata holds an ls_rng; its user value is a table that counts how often each name was spawned. */
#include "bindings/random.h"

#include <lsengine/random.h>

#include <math.h>

static const char rng_key = 0;

ls_rng *lsb_test_rng(lua_State *L, int index) {
  ls_rng *r = lua_type(L, index) == LUA_TUSERDATA ? lua_touserdata(L, index) : NULL;
  if (r == NULL || !lua_getmetatable(L, index)) return NULL;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &rng_key);
  if (!lua_rawequal(L, -1, -2)) r = NULL;
  lua_pop(L, 2);
  return r;
}

ls_rng *lsb_check_rng(lua_State *L, int index, const char *name) {
  ls_rng *r = lsb_test_rng(L, index);
  if (r == NULL) lsb_type_error(L, index, name, "rng", "a random stream (ls.rng(seed))");
  return r;
}

static ls_rng *new_rng(lua_State *L) {
  ls_rng *r = lua_newuserdatauv(L, sizeof *r, 1);
  lua_newtable(L);
  lua_setiuservalue(L, -2, 1);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &rng_key);
  lua_setmetatable(L, -2);
  return r;
}

static int seed(lua_State *L) {
  int exact = 0;
  lua_Integer value = lua_type(L, 1) == LUA_TNUMBER ? lua_tointegerx(L, 1, &exact) : 0;
  if (!exact) return lsb_type_error(L, 1, "rng", "seed", "an integer");
  ls_rng_seed(new_rng(L), (uint64_t)value);
  return 1;
}

/* spawn(rng, name): decided by the stream's key, the name, and how often the name was used before. */
static int spawn(lua_State *L) {
  size_t length;
  ls_rng *parent = lsb_check_rng(L, 1, "spawn");
  const char *name = lsb_check_string(L, 2, "spawn", "name", &length);
  lua_settop(L, 2);
  lua_getiuservalue(L, 1, 1);
  lua_pushvalue(L, 2);
  lua_rawget(L, 3);
  lua_Integer count = lua_tointeger(L, -1);
  ls_rng *child = new_rng(L);
  ls_rng_spawn(parent, name, length, (uint64_t)count, child);
  lua_pushvalue(L, 2);
  lua_pushinteger(L, count + 1);
  lua_rawset(L, 3);
  return 1;
}

static int raw(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)ls_rng_next(lsb_check_rng(L, 1, "raw")));
  return 1;
}

/* How many numbers: nil for one Lua number, else a count for a tensor. */
static bool wants_tensor(lua_State *L, int index, const char *name, int32_t *count) {
  if (lua_isnoneornil(L, index)) return false;
  *count = lsb_check_int(L, index, name, "count", 0, INT32_MAX);
  return true;
}

static int uniform(lua_State *L) {
  int32_t n;
  ls_rng *r = lsb_check_rng(L, 1, "random");
  if (!wants_tensor(L, 2, "random", &n)) {
    lua_pushnumber(L, ls_rng_double(r));
    return 1;
  }
  lsb_tensor *t = lsb_new_tensor(L, "random", 1, &n);
  ls_rng_fill_uniform(r, (size_t)n, t->view.data, 0.0, 1.0);
  return 1;
}

static int normal(lua_State *L) {
  int32_t n;
  ls_rng *r = lsb_check_rng(L, 1, "normal");
  if (!wants_tensor(L, 2, "normal", &n)) {
    lua_pushnumber(L, ls_rng_normal(r));
    return 1;
  }
  lsb_tensor *t = lsb_new_tensor(L, "normal", 1, &n);
  ls_rng_fill_normal(r, (size_t)n, t->view.data, 0.0, 1.0);
  return 1;
}

static int64_t check_integer(lua_State *L, int index, const char *name, const char *argument) {
  int exact = 0;
  lua_Integer value = lua_type(L, index) == LUA_TNUMBER ? lua_tointegerx(L, index, &exact) : 0;
  if (!exact) lsb_type_error(L, index, name, argument, "an integer");
  return value;
}

static int integers(lua_State *L) {
  int32_t n;
  ls_rng *r = lsb_check_rng(L, 1, "integers");
  int64_t low = check_integer(L, 2, "integers", "low"), high = check_integer(L, 3, "integers", "high");
  if (low > high)
    return lsb_fail(L, "integers", "low is %lld and high %lld: low must not be above high", (long long)low, (long long)high);
  if (!wants_tensor(L, 4, "integers", &n)) {
    lua_pushinteger(L, ls_rng_integer(r, low, high));
    return 1;
  }
  lsb_labels *labels = lsb_new_labels(L, "integers", (size_t)n);
  for (int32_t i = 0; i < n; i++) labels->values[i] = ls_rng_integer(r, low, high);
  return 1;
}

static int gamma_or_beta(lua_State *L) {
  bool beta = lua_toboolean(L, lua_upvalueindex(1));
  const char *name = beta ? "beta" : "gamma";
  int32_t n = 1;
  double value = 0.0;
  ls_err err;
  ls_rng *r = lsb_check_rng(L, 1, name);
  double a = lsb_check_number(L, 2, name, beta ? "alpha" : "shape"), b = beta ? lsb_check_number(L, 3, name, "beta") : 0.0;
  bool many = wants_tensor(L, beta ? 4 : 3, name, &n);
  lsb_tensor *t = many ? lsb_new_tensor(L, name, 1, &n) : NULL;
  for (int32_t i = 0; i < n; i++) {
    if ((beta ? ls_rng_beta(r, a, b, &value, &err) : ls_rng_gamma(r, a, &value, &err)) != LS_OK) return lsb_raise(L, name, &err);
    if (many) t->view.data[i] = (float)value;
  }
  if (!many) lua_pushnumber(L, value);
  return 1;
}

/* permutation(rng, n): of 1 … n. */
static int permutation(lua_State *L) {
  ls_rng *r = lsb_check_rng(L, 1, "permutation");
  int32_t n = lsb_check_int(L, 2, "permutation", "n", 0, INT32_MAX);
  lsb_labels *labels = lsb_new_labels(L, "permutation", (size_t)n);
  ls_rng_permutation(r, (size_t)n, labels->values);
  for (int32_t i = 0; i < n; i++) labels->values[i]++;
  return 1;
}

/* categorical(rng, weights): 0-based, with probability proportional to weights. */
static int categorical(lua_State *L) {
  ls_rng *r = lsb_check_rng(L, 1, "categorical");
  if (lua_type(L, 2) != LUA_TTABLE) return lsb_type_error(L, 2, "categorical", "weights", "a table of numbers");
  size_t n = lsb_check_length(L, 2, "categorical", "weights"), value = 0;
  ls_err err;
  double *weights = lsb_new_scratch(L, "categorical", n * sizeof *weights);
  for (size_t i = 0; i < n; i++) {
    lua_rawgeti(L, 2, (lua_Integer)i + 1);
    weights[i] = lsb_check_number(L, -1, "categorical", "a weight");
    lua_pop(L, 1);
  }
  if (ls_rng_categorical(r, weights, n, &value, &err) != LS_OK) return lsb_raise(L, "categorical", &err);
  lua_pushinteger(L, (lua_Integer)value);
  return 1;
}

/* randn(rng, shape…), rand(rng, low, high, shape…) */
static int randn(lua_State *L) {
  int32_t shape[LS_MAX_RANK];
  ls_rng *r = lsb_check_rng(L, 1, "randn");
  int32_t rank = lsb_check_shape(L, 2, "randn", false, shape);
  lsb_tensor *t = lsb_new_tensor(L, "randn", rank, shape);
  ls_rng_fill_normal(r, ls_view_count(&t->view), t->view.data, 0.0, 1.0);
  return 1;
}

static int rand_between(lua_State *L) {
  int32_t shape[LS_MAX_RANK];
  ls_rng *r = lsb_check_rng(L, 1, "rand");
  double low = lsb_check_number(L, 2, "rand", "low"), high = lsb_check_number(L, 3, "rand", "high");
  int32_t rank = lsb_check_shape(L, 4, "rand", false, shape);
  lsb_tensor *t = lsb_new_tensor(L, "rand", rank, shape);
  ls_rng_fill_uniform(r, ls_view_count(&t->view), t->view.data, low, high);
  return 1;
}

/* ---- the state, for checkpoints ---- */

static void push_words(lua_State *L, const char *field, const uint64_t *words, int n) {
  lua_createtable(L, n, 0);
  for (int i = 0; i < n; i++) {
    lua_pushinteger(L, (lua_Integer)words[i]);
    lua_rawseti(L, -2, i + 1);
  }
  lua_setfield(L, -2, field);
}

/* state(rng): { key = { 4 words of 32 bits }, state = { high, low }, increment = { high, low }, spawned = { name = count } }, a copy. */
static int state(lua_State *L) {
  ls_rng *r = lsb_check_rng(L, 1, "state");
  uint64_t now[] = {r->state_high, r->state_low}, increment[] = {r->increment_high, r->increment_low};
  uint64_t key[] = {r->key[0], r->key[1], r->key[2], r->key[3]};
  lua_settop(L, 1);
  lua_createtable(L, 0, 4);
  push_words(L, "state", now, 2);
  push_words(L, "increment", increment, 2);
  push_words(L, "key", key, 4);
  lua_newtable(L);
  lua_getiuservalue(L, 1, 1);
  lua_pushnil(L);
  while (lua_next(L, 4) != 0) {
    lua_pushvalue(L, -2);
    lua_insert(L, -2);
    lua_rawset(L, 3);
  }
  lua_settop(L, 3);
  lua_setfield(L, 2, "spawned");
  return 1;
}

static void check_words(lua_State *L, const char *field, uint64_t *words, int n, uint64_t most) {
  lua_pushstring(L, field);
  lua_rawget(L, 2);
  if (lua_type(L, -1) != LUA_TTABLE || lua_rawlen(L, -1) != (lua_Unsigned)n) lsb_fail(L, "set_state", "%s is not a table of %d integers", field, n);
  for (int i = 0; i < n; i++) {
    lua_rawgeti(L, -1, i + 1);
    if (!lua_isinteger(L, -1)) lsb_fail(L, "set_state", "%s[%d] is %s, an integer is required", field, i + 1, lsb_describe(L, -1));
    words[i] = (uint64_t)lua_tointeger(L, -1);
    if (words[i] > most) lsb_fail(L, "set_state", "%s[%d] has more than 32 bits", field, i + 1);
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
}

/* set_state(rng, state): everything is checked before the stream changes. */
static int set_state(lua_State *L) {
  uint64_t now[2], increment[2], key[4];
  ls_rng *r = lsb_check_rng(L, 1, "set_state");
  if (lua_type(L, 2) != LUA_TTABLE) return lsb_type_error(L, 2, "set_state", "the state", "a table");
  lua_settop(L, 2);
  check_words(L, "state", now, 2, UINT64_MAX);
  check_words(L, "increment", increment, 2, UINT64_MAX);
  check_words(L, "key", key, 4, UINT32_MAX);
  if (increment[1] % 2 == 0) return lsb_fail(L, "set_state", "increment is even, it must be odd");
  lua_pushliteral(L, "spawned");
  lua_rawget(L, 2);
  if (lua_type(L, 3) != LUA_TTABLE) return lsb_type_error(L, 3, "set_state", "spawned", "a table");
  lua_newtable(L);
  lua_pushnil(L);
  while (lua_next(L, 3) != 0) {
    if (lua_type(L, -2) != LUA_TSTRING) return lsb_fail(L, "set_state", "spawned has %s among its names", lsb_describe(L, -2));
    if (!lua_isinteger(L, -1) || lua_tointeger(L, -1) < 0) return lsb_fail(L, "set_state", "spawned has a count that is %s, an integer from 0 is required", lsb_describe(L, -1));
    lua_pushvalue(L, -2);
    lua_insert(L, -2);
    lua_rawset(L, 4);
  }
  lua_setiuservalue(L, 1, 1);
  *r = (ls_rng){now[0], now[1], increment[0], increment[1], {(uint32_t)key[0], (uint32_t)key[1], (uint32_t)key[2], (uint32_t)key[3]}};
  return 0;
}

static int is_rng(lua_State *L) {
  lua_pushboolean(L, lsb_test_rng(L, 1) != NULL);
  return 1;
}

static int rng_index(lua_State *L) {
  lua_settop(L, 2);
  lua_rawget(L, lua_upvalueindex(1));
  return 1;
}

static int install(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &rng_key);
  if (lua_getfield(L, -1, "__index") != LUA_TNIL) return luaL_error(L, "install: random streams are complete already");
  lua_pop(L, 1);
  lua_pushvalue(L, 1);
  lua_pushcclosure(L, rng_index, 1);
  lua_setfield(L, -2, "__index");
  return 0;
}

int lsb_open_random(lua_State *L) {
  static const luaL_Reg metamethods[] = {{NULL, NULL}};
  static const luaL_Reg functions[] = {{"seed", seed},         {"spawn", spawn},   {"raw", raw},
                                       {"random", uniform},    {"normal", normal}, {"integers", integers},
                                       {"permutation", permutation}, {"categorical", categorical},
                                       {"randn", randn},       {"rand", rand_between}, {"is_rng", is_rng},
                                       {"install", install},   {"state", state}, {"set_state", set_state}, {NULL, NULL}};
  lsb_new_type(L, &rng_key, "random stream", metamethods);
  luaL_newlib(L, functions);
  for (int beta = 0; beta < 2; beta++) {
    lua_pushboolean(L, beta);
    lua_pushcclosure(L, gamma_or_beta, 1);
    lua_setfield(L, -2, beta ? "beta" : "gamma");
  }
  return 1;
}
