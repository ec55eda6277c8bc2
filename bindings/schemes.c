/* The catalogue of schemes in Lua. SPDX-License-Identifier: MIT */
#include "bindings/tensor.h"

#include <lsengine/scheme.h>

#include <math.h>

enum { MOST_PARAMETERS = 16 };

static void set_text(lua_State *L, const char *key, const char *text) {
  lua_pushstring(L, text);
  lua_setfield(L, -2, key);
}

static void set_number(lua_State *L, const char *key, double x, bool wanted) {
  if (!wanted) return;
  lua_pushnumber(L, x);
  lua_setfield(L, -2, key);
}

static void push_entry(lua_State *L, const ls_entry *e) {
  lua_newtable(L);
  set_text(L, "name", e->name);
  set_text(L, "title", e->title);
  set_text(L, "paper", e->paper);
  set_text(L, "formula", e->formula);
  set_text(L, "property", e->property);
  set_text(L, "use", e->use);
  set_text(L, "avoid", e->avoid);
  set_text(L, "stacking", e->stacking);
  set_text(L, "example", e->example);
  lua_createtable(L, e->parameter_count, 0);
  for (int32_t i = 0; i < e->parameter_count; i++) {
    const ls_parameter *p = &e->parameters[i];
    lua_newtable(L);
    set_text(L, "name", p->name);
    set_text(L, "type", p->type);
    set_text(L, "doc", p->doc);
    set_number(L, "default", p->standard, !isnan(p->standard));
    set_number(L, p->above_minimum ? "above" : "min", p->minimum, isfinite(p->minimum));
    set_number(L, p->below_maximum ? "below" : "max", p->maximum, isfinite(p->maximum));
    lua_rawseti(L, -2, i + 1);
  }
  lua_setfield(L, -2, "parameters");
}

/* list(): every scheme's entry. */
static int list(lua_State *L) {
  lua_newtable(L);
  for (int i = 0; ls_schemes[i] != NULL; i++) {
    push_entry(L, &ls_schemes[i]->entry);
    lua_rawseti(L, -2, i + 1);
  }
  return 1;
}

/* matrix(name, parameters, classes): row y is what label y becomes. */
static int matrix(lua_State *L) {
  ls_err err;
  double parameters[MOST_PARAMETERS] = {0};
  lua_settop(L, 3);
  const char *name = lsb_check_string(L, 1, "scheme", "name", NULL);
  const ls_scheme *s = ls_scheme_named(name);
  if (s == NULL) return lsb_fail(L, "scheme", "there is no scheme %s", lsb_describe(L, 1));
  if (lua_type(L, 2) != LUA_TTABLE) return lsb_type_error(L, 2, name, "parameters", "a table of numbers");
  for (int32_t i = 0; i < s->entry.parameter_count && i < MOST_PARAMETERS; i++) {
    lua_rawgeti(L, 2, i + 1);
    parameters[i] = lsb_check_number(L, -1, name, s->entry.parameters[i].name);
    lua_pop(L, 1);
  }
  int32_t classes = lsb_check_int(L, 3, name, "classes", 1, 1 << 20);
  lsb_tensor *out = lsb_new_matrix(L, name, classes, classes);
  double *row = lsb_new_scratch(L, name, (size_t)classes * sizeof *row);
  if (ls_scheme_matrix(s, parameters, row, lsb_as_matrix(out), &err) != LS_OK) return lsb_raise(L, name, &err);
  lua_pop(L, 1);
  return 1;
}

int lsb_open_schemes(lua_State *L) {
  static const luaL_Reg functions[] = {{"list", list}, {"matrix", matrix}, {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}
