/* Nearest neighbours. SPDX-License-Identifier: MIT */
#include "bindings/lsb.h"

#include <lsengine/knn.h>

#include <string.h>

static const char index_key = 0;
enum { BASE = 1, AT_ONCE = 8192 }; /* the user value that keeps the base; queries between two looks at Ctrl-C */

/* A full userdata; the prepared memory follows the header, aligned to 64 bytes. */
typedef struct knn_index {
  ls_knn knn;
  uint64_t version; /* of the base's storage when it was prepared */
} knn_index;

static knn_index *check_index(lua_State *L, const char *name) {
  knn_index *index = lua_type(L, 1) == LUA_TUSERDATA ? lua_touserdata(L, 1) : NULL;
  if (index == NULL || !lua_getmetatable(L, 1)) lsb_type_error(L, 1, name, "self", "an index");
  lua_rawgetp(L, LUA_REGISTRYINDEX, &index_key);
  if (!lua_rawequal(L, -1, -2)) lsb_type_error(L, 1, name, "self", "an index");
  lua_getiuservalue(L, 1, BASE);
  lsb_tensor *base = lsb_test_tensor(L, -1);
  if (base == NULL || base->owner->version != index->version)
    lsb_fail(L, name, "the rows of the index were written to since it was made: make a new one, or give it a copy (:clone)");
  lua_pop(L, 3);
  return index;
}

/* index(base, metric): metric "l2", "inner_product", "cosine" */
static int new_index(lua_State *L) {
  static const char *const metrics[] = {"l2", "inner_product", "cosine", NULL};
  ls_err err;
  lua_settop(L, 2);
  ls_cmat base = lsb_check_matrix(L, 1, "index", "base");
  const char *metric = lsb_check_string(L, 2, "index", "metric", NULL);
  int kind = 0;
  while (metrics[kind] != NULL && strcmp(metrics[kind], metric) != 0) kind++;
  if (metrics[kind] == NULL) return lsb_fail(L, "index", "metric is %s, allowed are l2, inner_product, cosine", lsb_describe(L, 2));
  size_t bytes = sizeof(knn_index) + 64 + ls_knn_bytes(base.rows, base.cols, (ls_metric)kind);
  knn_index *index = lsb_try_userdata(L, bytes);
  if (index == NULL) return lsb_no_memory(L, "index", "an index", bytes);
  memset(index, 0, sizeof *index);
  void *memory = (void *)(((uintptr_t)(index + 1) + 63) / 64 * 64);
  if (ls_knn_prepare(base, (ls_metric)kind, memory, &index->knn, &err) != LS_OK) return lsb_raise(L, "index", &err);
  index->version = lsb_test_tensor(L, 1)->owner->version;
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, -2, BASE);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &index_key);
  lua_setmetatable(L, -2);
  return 1;
}

/* Rows to be left out (nil, or positions from 1 of which 0 means none) as the core takes them; in new labels on the stack. */
static int64_t *check_self(lua_State *L, int index, const char *name, int32_t queries) {
  if (lua_isnil(L, index)) {
    lua_pushnil(L);
    return NULL;
  }
  lsb_labels *given = lsb_check_labels(L, index, name, "exclude_self");
  if (given->count != (size_t)queries) lsb_fail(L, name, "exclude_self has %zu positions for %d queries", given->count, queries);
  lsb_labels *self = lsb_new_labels(L, name, given->count);
  for (size_t i = 0; i < self->count; i++) self->values[i] = given->values[i] > INT32_MIN ? given->values[i] - 1 : INT32_MIN;
  return self->values;
}

/* search(index, queries, k, positions to be left out | nil): distances, positions of all neighbours one after the other, candidates, queries
 * searched in double throughout, those of them with too many candidates, queries that bfloat16 could not decide. */
static int search(lua_State *L) {
  ls_err err;
  ls_knn_effort effort, total = {0};
  lua_settop(L, 4);
  knn_index *index = check_index(L, "search");
  ls_cmat queries = lsb_check_matrix(L, 2, "search", "queries");
  int32_t most = index->knn.base.rows - !lua_isnil(L, 4), k = lsb_check_int(L, 3, "search", "k", 1, most < 1 ? 1 : most);
  int64_t *self = check_self(L, 4, "search", queries.rows);

  ls_mat distances = lsb_as_matrix(lsb_new_matrix(L, "search", queries.rows, k));
  lsb_labels *rows = lsb_new_labels(L, "search", (size_t)queries.rows * (size_t)k);
  int32_t at_once = queries.rows < AT_ONCE ? queries.rows : AT_ONCE;
  void *scratch = lsb_new_scratch(L, "search", ls_knn_search_scratch(&index->knn, at_once, k));
  lua_insert(L, -3);

  int32_t first = 0;
  do { /* once for no query: what is wrong is still said */
    int32_t some = queries.rows - first < at_once ? queries.rows - first : at_once;
    if (lsb_interrupted()) return luaL_error(L, "interrupted");
    ls_cmat part = {queries.data + first * queries.stride, some, queries.cols, queries.stride};
    ls_mat to = {distances.data + first * distances.stride, some, k, distances.stride};
    if (some < at_once) { /* a smaller part may be laid out otherwise: in double, where it is a few queries */
      scratch = lsb_new_scratch(L, "search", ls_knn_search_scratch(&index->knn, some, k));
      lua_insert(L, -3);
    }
    if (ls_knn_search(&index->knn, part, k, self != NULL ? self + first : NULL, scratch, to, rows->values + (size_t)first * (size_t)k, &effort, &err) != LS_OK)
      return lsb_raise(L, "search", &err);
    total.candidates += effort.candidates;
    total.retried += effort.retried;
    total.exact += effort.exact;
    total.overflowed += effort.overflowed;
    first += some;
  } while (first < queries.rows);
  for (size_t i = 0; i < rows->count; i++) rows->values[i]++;

  lua_pushinteger(L, total.candidates);
  lua_pushinteger(L, total.exact);
  lua_pushinteger(L, total.overflowed);
  lua_pushinteger(L, total.retried);
  return 6;
}

/* range(index, queries, radius, positions to be left out | nil): counts, distances of all one after the other, positions. */
static int range(lua_State *L) {
  ls_err err;
  lua_settop(L, 4);
  knn_index *index = check_index(L, "range_search");
  ls_cmat queries = lsb_check_matrix(L, 2, "range_search", "queries");
  double radius = lsb_check_number(L, 3, "range_search", "radius");
  int64_t *self = check_self(L, 4, "range_search", queries.rows), found = 0;
  lsb_labels *counts = lsb_new_labels(L, "range_search", (size_t)queries.rows);
  int counts_at = lua_gettop(L);
  lsb_labels *start = lsb_new_labels(L, "range_search", (size_t)queries.rows);
  void *scratch = lsb_new_scratch(L, "range_search", ls_knn_range_filter_scratch(&index->knn, queries.rows));
  if (ls_knn_range_count(&index->knn, queries, radius, self, scratch, counts->values, &err) != LS_OK) return lsb_raise(L, "range_search", &err);
  for (size_t i = 0; i < counts->count; i++) {
    start->values[i] = found;
    found += counts->values[i];
  }
  if (found > INT32_MAX) return lsb_fail(L, "range_search", "%lld rows lie within the radius, at most 2^31-1 can be returned", (long long)found);

  scratch = lsb_new_scratch(L, "range_search", ls_knn_range_scratch(&index->knn, queries.rows, found));
  int32_t n = (int32_t)found;
  lsb_tensor *distances = lsb_new_tensor(L, "range_search", 1, &n);
  lsb_labels *rows = lsb_new_labels(L, "range_search", (size_t)found);
  if (ls_knn_range(&index->knn, queries, radius, self, start->values, found, scratch, distances->view.data, rows->values, &err) != LS_OK)
    return lsb_raise(L, "range_search", &err);
  for (size_t i = 0; i < rows->count; i++) rows->values[i]++;

  lua_pushvalue(L, counts_at);
  lua_insert(L, -3);
  return 3;
}

/* size(index): rows, features, metric's number */
static int size(lua_State *L) {
  knn_index *index = check_index(L, "size");
  lua_pushinteger(L, index->knn.base.rows);
  lua_pushinteger(L, index->knn.base.cols);
  return 2;
}

/* vote(distances, labels of the neighbours, classes, weights, temperature | nil, largest_first): probabilities */
static int vote(lua_State *L) {
  static const char *const kinds[] = {"uniform", "distance", "temperature", NULL};
  ls_err err;
  lua_settop(L, 6);
  ls_cmat distances = lsb_check_matrix(L, 1, "classify", "distances");
  lsb_labels *labels = lsb_check_labels(L, 2, "classify", "labels");
  ls_vote_options o = {.classes = lsb_check_int(L, 3, "classify", "classes", 1, INT32_MAX), .largest_first = lua_toboolean(L, 6)};
  const char *weights = lsb_check_string(L, 4, "classify", "weights", NULL);
  int kind = 0;
  while (kinds[kind] != NULL && strcmp(kinds[kind], weights) != 0) kind++;
  if (kinds[kind] == NULL) return lsb_fail(L, "classify", "weights is %s, allowed are uniform, distance, temperature", lsb_describe(L, 4));
  o.weights = (ls_vote_weights)kind;
  if (!lua_isnil(L, 5)) o.temperature = lsb_check_number(L, 5, "classify", "temperature");
  if (labels->count != (size_t)distances.rows * (size_t)distances.cols || distances.cols < 1)
    return lsb_fail(L, "classify", "there are %zu labels for %dx%d distances", labels->count, distances.rows, distances.cols);
  ls_mat probabilities = lsb_as_matrix(lsb_new_matrix(L, "classify", distances.rows, o.classes));
  if (ls_knn_vote(distances, labels->values, &o, probabilities, &err) != LS_OK) return lsb_raise(L, "classify", &err);
  return 1;
}

int lsb_open_knn(lua_State *L) {
  static const luaL_Reg metamethods[] = {{NULL, NULL}};
  static const luaL_Reg functions[] = {{"index", new_index}, {"search", search}, {"range", range}, {"size", size}, {"vote", vote}, {NULL, NULL}};
  lsb_new_type(L, &index_key, "prepared index", metamethods);
  lua_pop(L, 1);
  luaL_newlib(L, functions);
  return 1;
}
