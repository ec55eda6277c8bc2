/* Label vectors: exact 64-bit integers (classes from 0, or positions from 1). SPDX-License-Identifier: MIT */
#include "bindings/lsb.h"

#include <stdio.h>
#include <string.h>

static const char labels_key = 0;

lsb_labels *lsb_new_labels(lua_State *L, const char *name, size_t count) {
  if (count > (size_t)1 << 40) lsb_fail(L, name, "%zu labels are too many", count);
  size_t bytes = sizeof(lsb_labels) + count * sizeof(int64_t);
  lsb_labels *labels = lsb_try_userdata(L, bytes);
  if (labels == NULL) {
    char what[48];
    snprintf(what, sizeof what, "%zu labels", count);
    lsb_no_memory(L, name, what, bytes);
    return NULL;
  }
  labels->count = count;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &labels_key);
  lua_setmetatable(L, -2);
  return labels;
}

lsb_labels *lsb_test_labels(lua_State *L, int index) {
  lsb_labels *labels = lua_type(L, index) == LUA_TUSERDATA ? lua_touserdata(L, index) : NULL;
  if (labels == NULL || !lua_getmetatable(L, index)) return NULL;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &labels_key);
  if (!lua_rawequal(L, -1, -2)) labels = NULL;
  lua_pop(L, 2);
  return labels;
}

static lsb_labels *check_self(lua_State *L, const char *name) {
  lsb_labels *labels = lsb_test_labels(L, 1);
  if (labels == NULL) lsb_type_error(L, 1, name, "self", "a label vector");
  return labels;
}

static bool integer_at(lua_State *L, int index, int64_t *value) {
  int exact = 0;
  lua_Integer i = lua_type(L, index) == LUA_TNUMBER ? lua_tointegerx(L, index, &exact) : 0;
  *value = i;
  return exact;
}

lsb_labels *lsb_check_labels(lua_State *L, int index, const char *name, const char *argument) {
  lsb_labels *labels = lsb_test_labels(L, index);
  if (labels != NULL) return labels;
  if (lua_type(L, index) != LUA_TTABLE) {
    lsb_type_error(L, index, name, argument,
                   lsb_test_tensor(L, index) == NULL ? "a label vector or a table of integers"
                                                     : "a label vector (floats are not exact; ls.labels{...})");
    return NULL;
  }
  size_t count = lsb_check_length(L, index, name, argument);
  labels = lsb_new_labels(L, name, count);
  for (size_t i = 0; i < count; i++) {
    lua_rawgeti(L, index, (lua_Integer)i + 1);
    if (!integer_at(L, -1, &labels->values[i]))
      lsb_fail(L, name, "%s[%zu] is %s, an integer is required", argument, i + 1, lsb_describe(L, -1));
    lua_pop(L, 1);
  }
  lua_replace(L, index);
  return labels;
}

/* from(table | labels) */
static int from(lua_State *L) {
  lua_settop(L, 1);
  lsb_check_labels(L, 1, "labels", "the argument");
  return 1;
}

static int labels_index(lua_State *L) {
  lsb_labels *labels = check_self(L, "labels");
  int64_t i;
  if (lua_type(L, 2) != LUA_TNUMBER) {
    lua_settop(L, 2);
    lua_rawget(L, lua_upvalueindex(1));
    return 1;
  }
  if (!integer_at(L, 2, &i)) return lsb_fail(L, "labels", "index %s is not an integer", lsb_describe(L, 2));
  if (i < 1 || (uint64_t)i > labels->count)
    lua_pushnil(L);
  else
    lua_pushinteger(L, labels->values[i - 1]);
  return 1;
}

static int labels_newindex(lua_State *L) {
  return lsb_fail(L, "labels", "a label vector cannot be changed: make a new one with :map or ls.labels");
}

static int labels_len(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)check_self(L, "labels")->count);
  return 1;
}

static int labels_eq(lua_State *L) {
  lsb_labels *a = lsb_test_labels(L, 1), *b = lsb_test_labels(L, 2);
  lua_pushboolean(L, a != NULL && b != NULL && a->count == b->count &&
                         memcmp(a->values, b->values, a->count * sizeof(int64_t)) == 0);
  return 1;
}

static int labels_tostring(lua_State *L) {
  lsb_labels *labels = check_self(L, "labels");
  luaL_Buffer b;
  char text[64];
  size_t edge = 12;
  luaL_buffinit(L, &b);
  luaL_addchar(&b, '{');
  for (size_t i = 0; i < labels->count; i++) {
    if (labels->count > 2 * edge + 1 && i == edge) {
      snprintf(text, sizeof text, " … (%zu in all) …", labels->count);
      luaL_addstring(&b, text);
      i = labels->count - edge;
    }
    snprintf(text, sizeof text, "%s%lld", i == 0 ? "" : ", ", (long long)labels->values[i]);
    luaL_addstring(&b, text);
  }
  luaL_addchar(&b, '}');
  luaL_pushresult(&b);
  return 1;
}

static int totable(lua_State *L) {
  lsb_labels *labels = lsb_check_labels(L, 1, "totable", "self");
  lua_createtable(L, labels->count > INT32_MAX ? INT32_MAX : (int)labels->count, 0);
  for (size_t i = 0; i < labels->count; i++) {
    lua_pushinteger(L, labels->values[i]);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  return 1;
}

/* map(labels, table | function): each label replaced by table[label] or function(label). */
static int map(lua_State *L) {
  lua_settop(L, 2);
  lsb_labels *labels = lsb_check_labels(L, 1, "map", "self");
  bool function = lua_type(L, 2) == LUA_TFUNCTION;
  if (!function && lua_type(L, 2) != LUA_TTABLE) return lsb_type_error(L, 2, "map", "the mapping", "a table or a function");
  lsb_labels *out = lsb_new_labels(L, "map", labels->count);
  for (size_t i = 0; i < labels->count; i++) {
    if (function) {
      lua_pushvalue(L, 2);
      lua_pushinteger(L, labels->values[i]);
      lua_call(L, 1, 1);
    } else {
      lua_geti(L, 2, labels->values[i]);
    }
    if (!integer_at(L, -1, &out->values[i]))
      return lsb_fail(L, "map", "label %lld maps to %s, an integer is required", (long long)labels->values[i], lsb_describe(L, -1));
    lua_pop(L, 1);
  }
  return 1;
}

/* gather(labels, positions): by 1-based position. */
static int gather(lua_State *L) {
  lua_settop(L, 2);
  lsb_labels *labels = lsb_check_labels(L, 1, "gather", "self"), *index = lsb_check_labels(L, 2, "gather", "index");
  for (size_t i = 0; i < index->count; i++)
    if (index->values[i] < 1 || (uint64_t)index->values[i] > labels->count)
      return lsb_fail(L, "gather", "position %zu is %lld, allowed is 1 to %zu", i + 1, (long long)index->values[i], labels->count);
  lsb_labels *out = lsb_new_labels(L, "gather", index->count);
  for (size_t i = 0; i < index->count; i++) out->values[i] = labels->values[index->values[i] - 1];
  return 1;
}

/* narrow(labels, first, count) */
static int narrow(lua_State *L) {
  lsb_labels *labels = lsb_check_labels(L, 1, "narrow", "self");
  int32_t n = labels->count > INT32_MAX ? INT32_MAX : (int32_t)labels->count;
  int32_t first = lsb_check_int(L, 2, "narrow", "first", 1, n < INT32_MAX ? n + 1 : n);
  int32_t count = lsb_check_int(L, 3, "narrow", "count", 0, n - first + 1);
  lsb_labels *out = lsb_new_labels(L, "narrow", (size_t)count);
  memcpy(out->values, labels->values + first - 1, (size_t)count * sizeof(int64_t));
  return 1;
}

/* join(labels, others): one after the other. */
static int join(lua_State *L) {
  lua_settop(L, 2);
  lsb_labels *a = lsb_check_labels(L, 1, "labels", "the first"), *b = lsb_check_labels(L, 2, "labels", "the second");
  lsb_labels *out = lsb_new_labels(L, "labels", a->count + b->count);
  memcpy(out->values, a->values, a->count * sizeof(int64_t));
  memcpy(out->values + a->count, b->values, b->count * sizeof(int64_t));
  return 1;
}

/* range(first, last): positions in order. */
static int range(lua_State *L) {
  int32_t first = lsb_check_int(L, 1, "range", "first", INT32_MIN + 1, INT32_MAX - 1);
  int32_t last = lsb_check_int(L, 2, "range", "last", INT32_MIN + 1, INT32_MAX - 1);
  lsb_labels *out = lsb_new_labels(L, "range", last < first ? 0 : (size_t)((int64_t)last - first + 1));
  for (size_t i = 0; i < out->count; i++) out->values[i] = first + (int64_t)i;
  return 1;
}

/* extremes(labels): smallest and largest; nil for none. */
static int extremes(lua_State *L) {
  lsb_labels *labels = lsb_check_labels(L, 1, "extremes", "self");
  if (labels->count == 0) return 0;
  int64_t low = labels->values[0], high = low;
  for (size_t i = 1; i < labels->count; i++) {
    if (labels->values[i] < low) low = labels->values[i];
    if (labels->values[i] > high) high = labels->values[i];
  }
  lua_pushinteger(L, low);
  lua_pushinteger(L, high);
  return 2;
}

static int is_labels(lua_State *L) {
  lua_pushboolean(L, lsb_test_labels(L, 1) != NULL);
  return 1;
}

/* install(methods): completes the type from Lua. */
static int install(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &labels_key);
  if (lua_getfield(L, -1, "__index") != LUA_TNIL) return luaL_error(L, "install: label vectors are complete already");
  lua_pop(L, 1);
  lua_pushvalue(L, 1);
  lua_pushcclosure(L, labels_index, 1);
  lua_setfield(L, -2, "__index");
  return 0;
}

int lsb_open_labels(lua_State *L) {
  static const luaL_Reg metamethods[] = {{"__newindex", labels_newindex}, {"__len", labels_len}, {"__eq", labels_eq},
                                         {"__tostring", labels_tostring}, {NULL, NULL}};
  static const luaL_Reg functions[] = {{"from", from},     {"totable", totable},     {"map", map},
                                       {"gather", gather}, {"narrow", narrow},       {"range", range},     {"join", join},
                                       {"extremes", extremes}, {"is_labels", is_labels}, {"install", install},
                                       {NULL, NULL}};
  lsb_new_type(L, &labels_key, "label vector", metamethods);
  luaL_newlib(L, functions);
  return 1;
}
