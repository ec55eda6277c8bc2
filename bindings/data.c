/* What data sets are made of: tables as text, CIFAR's files, classes. SPDX-License-Identifier: MIT */
#include "bindings/files.h"
#include "bindings/random.h"

#include <lsengine/classes.h>
#include <lsengine/csv.h>
#include <lsengine/data.h>

#include <string.h>

/* ---- tables as text ----
 * Arguments of all: who, path (for messages), bytes (a string), separator (a string of one byte, or nil to guess), header (boolean, or
 * nil to guess). The bytes are parsed anew by each call: nothing is believed that a script hands back. */

enum { CSV_ARGUMENTS = 5 };

static const char *check_csv(lua_State *L, const char **path, ls_csv *csv) {
  const char *who = luaL_checkstring(L, 1);
  size_t size, length = 0;
  ls_err err;
  *path = luaL_checkstring(L, 2);
  luaL_checktype(L, 3, LUA_TSTRING);
  const uint8_t *bytes = (const uint8_t *)lua_tolstring(L, 3, &size);
  const char *separator = luaL_optlstring(L, 4, "", &length);
  if (!lua_isnoneornil(L, 4) && (length != 1 || *separator == '\0'))
    lsb_fail(L, who, "separator is %s, a string of one character is required", lsb_describe(L, 4));
  int header = lua_isnoneornil(L, 5) ? LS_CSV_GUESS : lua_toboolean(L, 5);
  if (ls_csv_open(bytes, size, *separator, header, csv, &err) != LS_OK) lsb_fail(L, who, "%s: %s", *path, err.message);
  return who;
}

static void push_cell(lua_State *L, const ls_csv_cell *cell) {
  if (!cell->quoted) {
    lua_pushlstring(L, (const char *)cell->text, cell->size);
    return;
  }
  luaL_Buffer b;
  size_t n = ls_csv_text(cell, luaL_buffinitsize(L, &b, cell->size));
  luaL_pushresultsize(&b, n);
}

/* csv_open(…): { rows =, columns =, separator =, names = a table by column where there is a header }. */
static int csv_open(lua_State *L) {
  const char *path;
  ls_csv csv;
  ls_csv_reader r;
  ls_csv_cell cell;
  check_csv(L, &path, &csv);
  lua_newtable(L);
  lua_pushinteger(L, csv.rows);
  lua_setfield(L, -2, "rows");
  lua_pushinteger(L, csv.columns);
  lua_setfield(L, -2, "columns");
  lua_pushlstring(L, &csv.separator, 1);
  lua_setfield(L, -2, "separator");
  if (!csv.header) return 1;
  lua_newtable(L);
  ls_csv_begin(&csv, true, &r);
  for (int32_t c = 0; c < csv.columns && ls_csv_next(&r, &cell); c++) {
    push_cell(L, &cell);
    lua_rawseti(L, -2, (lua_Integer)c + 1);
  }
  lua_setfield(L, -2, "names");
  return 1;
}

/* csv_numbers(…, columns): these columns (from 1, each once) as a matrix, in their order. */
static int csv_numbers(lua_State *L) {
  const char *path;
  ls_csv csv;
  ls_err err;
  lua_settop(L, CSV_ARGUMENTS + 1);
  const char *who = check_csv(L, &path, &csv);
  lsb_labels *columns = lsb_check_labels(L, CSV_ARGUMENTS + 1, who, "columns");
  int32_t *place = lsb_new_scratch(L, who, (size_t)csv.columns * sizeof *place);
  for (int32_t c = 0; c < csv.columns; c++) place[c] = -1;
  if (columns->count > (size_t)csv.columns) return lsb_fail(L, who, "%zu columns are asked for, the table has %d", columns->count, csv.columns);
  for (size_t i = 0; i < columns->count; i++) {
    int64_t c = columns->values[i];
    if (c < 1 || c > csv.columns || place[c - 1] >= 0)
      return lsb_fail(L, who, "columns[%zu] is %lld, one of 1 to %d is required, each once", i + 1, (long long)c, csv.columns);
    place[c - 1] = (int32_t)i;
  }
  lsb_tensor *t = lsb_new_matrix(L, who, csv.rows, (int32_t)columns->count);
  if (ls_csv_numbers(&csv, place, (int32_t)columns->count, t->view.data, &err) != LS_OK) return lsb_fail(L, who, "%s: %s", path, err.message);
  return 1;
}

/* csv_column(…, column): the column's texts, each once, in the order in which they first come; for each row the number of its text, from
 * 1; the texts as integers, or nil where one is none. */
static int csv_column(lua_State *L) {
  const char *path;
  char where[128];
  ls_csv csv;
  ls_csv_reader r;
  ls_csv_cell cell;
  lua_settop(L, CSV_ARGUMENTS + 1);
  const char *who = check_csv(L, &path, &csv);
  int32_t column = lsb_check_int(L, CSV_ARGUMENTS + 1, who, "column", 1, csv.columns) - 1;
  lua_newtable(L); /* 7: texts */
  lua_newtable(L); /* 8: number by text */
  lsb_labels *numbers = lsb_new_labels(L, who, (size_t)csv.rows); /* 9 */
  lua_newtable(L);                                                /* 10: integers */
  lua_Integer count = 0;
  bool integers = true;
  ls_csv_begin(&csv, false, &r);
  for (size_t row = 0; row < numbers->count && ls_csv_next(&r, &cell);) {
    if (cell.column != column) continue;
    if (cell.size == 0) return lsb_fail(L, who, "%s: %s is empty, a label is required", path, ls_csv_where(&csv, &cell, where, sizeof where));
    push_cell(L, &cell);
    lua_pushvalue(L, -1);
    if (lua_rawget(L, 8) == LUA_TNIL) {
      int64_t value = 0;
      integers = integers && ls_csv_integer(&cell, &value);
      lua_pushinteger(L, ++count);
      lua_replace(L, -2);
      lua_pushvalue(L, -2);
      lua_rawseti(L, 7, count);
      lua_pushvalue(L, -2);
      lua_pushvalue(L, -2);
      lua_rawset(L, 8);
      lua_pushinteger(L, value);
      lua_rawseti(L, 10, count);
    }
    numbers->values[row++] = lua_tointeger(L, -1);
    lua_pop(L, 2);
  }
  lua_pushvalue(L, 7);
  lua_pushvalue(L, 9);
  if (integers) lua_pushvalue(L, 10); else lua_pushnil(L);
  return 3;
}

/* ---- CIFAR ---- */

enum { MOST_CIFAR_ROWS = 50000 }; /* of a file: what CIFAR-100's train.bin holds */

/* cifar(who, paths, label bytes, which of them): the images of all files as N×3×32×32 numbers 0 … 255, their labels. */
static int cifar(lua_State *L) {
  ls_err err;
  lua_settop(L, 4);
  const char *who = luaL_checkstring(L, 1);
  size_t files = lsb_check_length(L, 2, who, "paths");
  int32_t label_bytes = lsb_check_int(L, 3, who, "label bytes", 1, 2), which = lsb_check_int(L, 4, who, "which", 0, label_bytes - 1);
  if (files < 1 || files > 16) return lsb_fail(L, who, "%zu files are given, allowed is 1 to 16", files);
  ls_cifar parts[16];
  int64_t rows = 0;
  luaL_checkstack(L, 64, NULL);
  for (size_t i = 0; i < files; i++) { /* the bytes of all stay on the stack */
    size_t size;
    lua_rawgeti(L, 2, (lua_Integer)i + 1);
    const char *path = lsb_check_path(L, -1, who, "file");
    const uint8_t *bytes = lsb_read_file(L, who, path, (size_t)MOST_CIFAR_ROWS * (2 + LS_CIFAR_PIXELS), &size);
    if (ls_cifar_open(bytes, size, label_bytes, &parts[i], &err) != LS_OK) return lsb_fail(L, who, "%s: %s", path, err.message);
    rows += parts[i].rows;
  }
  const int32_t shape[] = {(int32_t)rows, 3, 32, 32};
  lsb_tensor *t = lsb_new_tensor(L, who, 4, shape);
  lsb_labels *labels = lsb_new_labels(L, who, (size_t)rows);
  size_t at = 0;
  for (size_t i = 0; i < files; i++) {
    ls_cifar_images(&parts[i], t->view.data + at * LS_CIFAR_PIXELS);
    ls_cifar_labels(&parts[i], which, labels->values + at);
    at += (size_t)parts[i].rows;
  }
  return 2;
}

/* ---- classes ---- */

static lsb_labels *copy_labels(lua_State *L, const char *who, const int64_t *values, size_t count) {
  lsb_labels *labels = lsb_new_labels(L, who, count);
  if (count > 0) memcpy(labels->values, values, count * sizeof *values);
  return labels;
}

/* A number for each class, in scratch memory. */
static int64_t *new_counts(lua_State *L, const char *who, int32_t classes) { return lsb_new_scratch(L, who, (size_t)classes * sizeof(int64_t)); }

/* class_counts(who, labels, classes): the number of labels of class 0, 1, … */
static int class_counts(lua_State *L) {
  ls_err err;
  const char *who = luaL_checkstring(L, 1);
  lsb_labels *y = lsb_check_labels(L, 2, who, "y");
  int32_t classes = lsb_check_int(L, 3, who, "classes", 1, INT32_MAX);
  lsb_labels *counts = lsb_new_labels(L, who, (size_t)classes);
  if (ls_class_counts(y->values, y->count, classes, counts->values, &err) != LS_OK) return lsb_raise(L, who, &err);
  return 1;
}

/* Answers the positions of rows that were taken and of the rest. */
static int take(lua_State *L, const char *who, const lsb_labels *y, const int64_t *order, int64_t *quota) {
  int64_t *taken = lsb_new_scratch(L, who, y->count * sizeof *taken), *rest = lsb_new_scratch(L, who, y->count * sizeof *rest);
  size_t count = ls_take_by_class(y->values, y->count, order, quota, taken, rest);
  copy_labels(L, who, taken, count);
  copy_labels(L, who, rest, y->count - count);
  return 2;
}

/* stratify(who, labels, classes, order, total): of the rows in this order (positions from 1) the first of each class, `total` in all,
 * classes in proportion. */
static int stratify(lua_State *L) {
  ls_err err;
  lua_settop(L, 5);
  const char *who = luaL_checkstring(L, 1);
  lsb_labels *y = lsb_check_labels(L, 2, who, "y"), *order = lsb_check_labels(L, 4, who, "order");
  int32_t classes = lsb_check_int(L, 3, who, "classes", 1, INT32_MAX), total = lsb_check_int(L, 5, who, "total", 0, INT32_MAX);
  if (order->count != y->count) return lsb_fail(L, who, "order has %zu positions but there are %zu rows", order->count, y->count);
  for (size_t i = 0; i < order->count; i++)
    if (order->values[i] < 1 || (uint64_t)order->values[i] > y->count)
      return lsb_fail(L, who, "order[%zu] is %lld, allowed is 1 to %zu", i + 1, (long long)order->values[i], y->count);
  int64_t *counts = new_counts(L, who, classes), *quota = new_counts(L, who, classes), *scratch = new_counts(L, who, classes);
  if (ls_class_counts(y->values, y->count, classes, counts, &err) != LS_OK || ls_proportional(counts, classes, total, quota, scratch, &err) != LS_OK)
    return lsb_raise(L, who, &err);
  return take(L, who, y, order->values, quota);
}

/* choose(who, labels, classes, chosen): positions of the rows of the chosen classes, and of the others. */
static int choose(lua_State *L) {
  ls_err err;
  lua_settop(L, 4);
  const char *who = luaL_checkstring(L, 1);
  lsb_labels *y = lsb_check_labels(L, 2, who, "y"), *chosen = lsb_check_labels(L, 4, who, "chosen");
  int32_t classes = lsb_check_int(L, 3, who, "classes", 1, INT32_MAX);
  int64_t *counts = new_counts(L, who, classes), *quota = new_counts(L, who, classes);
  if (ls_class_counts(y->values, y->count, classes, counts, &err) != LS_OK) return lsb_raise(L, who, &err);
  memset(quota, 0, (size_t)classes * sizeof *quota);
  for (size_t i = 0; i < chosen->count; i++) {
    int64_t k = chosen->values[i];
    if (k < 0 || k >= classes) return lsb_fail(L, who, "class %lld is asked for, allowed is 0 to %d", (long long)k, classes - 1);
    quota[k] = counts[k];
  }
  return take(L, who, y, NULL, quota);
}

/* label_noise(who, labels, classes, rng, rate | nil, to | nil, matrix | nil): observed labels. */
static int label_noise(lua_State *L) {
  ls_err err;
  ls_noise noise = {.kind = LS_NOISE_SYMMETRIC};
  lua_settop(L, 7);
  const char *who = luaL_checkstring(L, 1);
  lsb_labels *y = lsb_check_labels(L, 2, who, "y");
  int32_t classes = lsb_check_int(L, 3, who, "classes", 1, INT32_MAX);
  ls_rng *r = lsb_check_rng(L, 4, who);
  if (!lua_isnil(L, 7)) {
    noise.kind = LS_NOISE_MATRIX;
    noise.matrix = lsb_check_matrix(L, 7, who, "matrix");
  } else {
    noise.rate = lsb_check_number(L, 5, who, "rate");
  }
  if (!lua_isnil(L, 6)) {
    lsb_labels *to = lsb_check_labels(L, 6, who, "to");
    if (noise.kind == LS_NOISE_MATRIX) return lsb_fail(L, who, "matrix and to are given, one of them is required");
    if (to->count != (size_t)classes) return lsb_fail(L, who, "to has %zu classes, %d are required", to->count, classes);
    noise.kind = LS_NOISE_PAIRS;
    noise.to = to->values;
  }
  lsb_labels *out = lsb_new_labels(L, who, y->count);
  if (ls_label_noise(y->values, y->count, classes, &noise, r, out->values, &err) != LS_OK) return lsb_raise(L, who, &err);
  return 1;
}

/* differences(who, labels, labels): in how many places they differ. */
static int differences(lua_State *L) {
  const char *who = luaL_checkstring(L, 1);
  lsb_labels *a = lsb_check_labels(L, 2, who, "y"), *b = lsb_check_labels(L, 3, who, "other");
  lua_Integer count = 0;
  if (a->count != b->count) return lsb_fail(L, who, "there are %zu and %zu labels", a->count, b->count);
  for (size_t i = 0; i < a->count; i++) count += a->values[i] != b->values[i];
  lua_pushinteger(L, count);
  return 1;
}

int lsb_open_data(lua_State *L) {
  static const luaL_Reg functions[] = {{"csv_open", csv_open}, {"csv_numbers", csv_numbers}, {"csv_column", csv_column}, {"cifar", cifar},
                                       {"class_counts", class_counts}, {"stratify", stratify}, {"choose", choose},
                                       {"label_noise", label_noise}, {"differences", differences}, {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}
