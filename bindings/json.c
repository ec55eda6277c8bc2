/* JSON through Jansson. SPDX-License-Identifier: MIT
 *
 * The tree hangs on a userdata while Lua can raise. Keys are sorted, doubles keep all digits; NaN and infinities, which JSON
 * does not have, become the strings "nan", "inf", "-inf". */
#include "bindings/lsb.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { DEEPEST = 32, MOST_VALUES = 1000000 };

/* What belongs to C while Lua can raise. */
typedef struct holder {
  json_t *root;
  char *text;
  size_t values; /* how many were put into the tree: a table that is reached by many ways counts each time */
} holder;

static int release(lua_State *L) {
  holder *h = luaL_testudata(L, 1, "lsengine json");
  if (h == NULL) return 0;
  json_decref(h->root);
  free(h->text);
  h->root = NULL;
  h->text = NULL;
  return 0;
}

static holder *new_holder(lua_State *L) { return lsb_new_resource(L, sizeof(holder), "lsengine json", release); }

static json_t *scalar(lua_State *L) {
  double d;
  switch (lua_type(L, -1)) {
    case LUA_TBOOLEAN: return json_boolean(lua_toboolean(L, -1));
    case LUA_TSTRING: {
      size_t n;
      const char *s = lua_tolstring(L, -1, &n);
      json_t *text = json_stringn(s, n);
      return text != NULL ? text : json_string("(not UTF-8)");
    }
    case LUA_TNUMBER:
      if (lua_isinteger(L, -1)) return json_integer(lua_tointeger(L, -1));
      d = lua_tonumber(L, -1);
      return isnan(d) ? json_string("nan") : isinf(d) ? json_string(d > 0 ? "inf" : "-inf") : json_real(d);
    default: return json_null();
  }
}

/* Fills `into` from the table on top of the stack. Each child belongs to its parent before it is filled. */
static void fill(lua_State *L, holder *h, json_t *into, int depth) {
  if (depth > DEEPEST) lsb_fail(L, "json", "tables are nested deeper than %d", DEEPEST);
  luaL_checkstack(L, 6, NULL);
  bool array = json_is_array(into);
  lua_Integer length = (lua_Integer)lua_rawlen(L, -1), i = 0;
  lua_pushnil(L);
  for (;;) {
    if (array) {
      if (++i > length) break;
      lua_rawgeti(L, -2, i);
    } else if (lua_next(L, -2) == 0) {
      return;
    }
    if (++h->values > MOST_VALUES) lsb_fail(L, "json", "more than %d values", MOST_VALUES);
    bool table = lua_type(L, -1) == LUA_TTABLE;
    json_t *child = !table ? scalar(L) : lua_rawlen(L, -1) > 0 ? json_array() : json_object();
    if (array) {
      if (json_array_append_new(into, child) != 0) lsb_fail(L, "json", "no memory for value %lld of an array", (long long)i);
    } else {
      lua_pushvalue(L, -2);
      const char *key = lua_tostring(L, -1);
      if (key == NULL) key = "?";
      if (json_object_set_new(into, key, child) != 0) lsb_fail(L, "json", "a key of %zu bytes is not UTF-8, or there is no memory for it", strlen(key));
      lua_pop(L, 1);
    }
    if (table) fill(L, h, child, depth + 1);
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
}

/* encode(table): one line of text. */
static int encode(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  holder *h = new_holder(L);
  h->root = lua_rawlen(L, 1) > 0 ? json_array() : json_object();
  lua_pushvalue(L, 1);
  fill(L, h, h->root, 0);
  h->text = json_dumps(h->root, JSON_COMPACT | JSON_SORT_KEYS | JSON_REAL_PRECISION(17));
  if (h->text == NULL) return lsb_fail(L, "json", "no memory for the text");
  lua_pushstring(L, h->text);
  return 1;
}

static void push(lua_State *L, const json_t *value) {
  luaL_checkstack(L, 6, NULL);
  switch (json_typeof(value)) {
    case JSON_OBJECT: {
      const char *key;
      json_t *child;
      lua_newtable(L);
      json_object_foreach((json_t *)value, key, child) {
        lua_pushstring(L, key);
        push(L, child);
        lua_rawset(L, -3);
      }
      return;
    }
    case JSON_ARRAY:
      lua_newtable(L);
      for (size_t i = 0; i < json_array_size(value); i++) {
        push(L, json_array_get(value, i));
        lua_rawseti(L, -2, (lua_Integer)i + 1);
      }
      return;
    case JSON_STRING: lua_pushlstring(L, json_string_value(value), json_string_length(value)); return;
    case JSON_INTEGER: lua_pushinteger(L, json_integer_value(value)); return;
    case JSON_REAL: lua_pushnumber(L, json_real_value(value)); return;
    case JSON_TRUE: case JSON_FALSE: lua_pushboolean(L, json_is_true(value)); return;
    case JSON_NULL: lua_pushnil(L); return;
  }
}

/* decode(text): nil becomes nothing; an error names the place. */
static int decode(lua_State *L) {
  size_t n;
  json_error_t error;
  const char *text = lsb_check_string(L, 1, "json", "text", &n);
  holder *h = new_holder(L);
  h->root = json_loadb(text, n, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, &error);
  if (h->root == NULL) return lsb_fail(L, "json", "%s at byte %d", error.text, error.position);
  push(L, h->root);
  return 1;
}

/* make_folder(path): with its parents; true, or nil and why not. */
static int make_folder(lua_State *L) {
  const char *path = lsb_check_path(L, 1, "make_folder", "folder");
  size_t n = strlen(path);
  char *copy = lua_newuserdatauv(L, n + 1, 0);
  memcpy(copy, path, n + 1);
  for (size_t i = 1; i <= n; i++) {
    char c = copy[i];
    if (c != '/' && c != '\0') continue;
    copy[i] = '\0';
    if (mkdir(copy, 0777) != 0 && errno != EEXIST) {
      lua_pushnil(L);
      lua_pushfstring(L, "%s: %s", copy, strerror(errno));
      return 2;
    }
    copy[i] = c;
  }
  lua_pushboolean(L, 1);
  return 1;
}

int lsb_open_json(lua_State *L) {
  static const luaL_Reg functions[] = {{"encode", encode}, {"decode", decode}, {"make_folder", make_folder}, {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}
