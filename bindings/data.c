/* What data sets are made of: tables as text, classes. SPDX-License-Identifier: MIT */
#include "bindings/files.h"

#include <lsengine/csv.h>

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
    if (c < 1 || c > csv.columns || place[c - 1] >= 0) return lsb_fail(L, who, "columns[%zu] is %lld, one of 1 to %d is required, each once", i + 1, (long long)c, csv.columns);
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

int lsb_open_data(lua_State *L) {
  static const luaL_Reg functions[] = {{"csv_open", csv_open}, {"csv_numbers", csv_numbers}, {"csv_column", csv_column}, {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}
