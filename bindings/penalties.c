/* Penalties and robust losses: their list, the matrices that some read, the losses themselves. SPDX-License-Identifier: MIT */
#include "bindings/target.h"

#include <lsengine/penalty.h>
#include <string.h>

static void set_string(lua_State *L, const char *key, const char *value) {
  lua_pushstring(L, value);
  lua_setfield(L, -2, key);
}

static void set_number(lua_State *L, const char *key, double value) {
  lua_pushnumber(L, value);
  lua_setfield(L, -2, key);
}

static void set_boolean(lua_State *L, const char *key, bool value) {
  lua_pushboolean(L, value);
  lua_setfield(L, -2, key);
}

static void push_parameter(lua_State *L, const ls_parameter *p) {
  lua_createtable(L, 0, 8);
  set_string(L, "name", p->name);
  set_string(L, "type", p->type);
  set_string(L, "doc", p->doc);
  set_number(L, "minimum", p->minimum);
  set_number(L, "maximum", p->maximum);
  set_boolean(L, "above_minimum", p->above_minimum);
  set_boolean(L, "below_maximum", p->below_maximum);
  if (p->standard == p->standard) set_number(L, "standard", p->standard);
}

/* list(): an array of what the catalogue tells of each, in the order of their names. */
static int list(lua_State *L) {
  static const char *const targets[] = {"free", "linear", "label"};
  static const char *const data[] = {"numbers", "classes", "transition", "transition"};
  lua_createtable(L, ls_penalty_count, 0);
  for (int32_t i = 0; i < ls_penalty_count; i++) {
    const ls_penalty *p = ls_penalties[i];
    const ls_entry *e = &p->entry;
    lua_createtable(L, 0, 16);
    set_string(L, "name", e->name);
    set_string(L, "title", e->title);
    set_string(L, "paper", e->paper);
    set_string(L, "formula", e->formula);
    set_string(L, "property", e->property);
    set_string(L, "use", e->use);
    set_string(L, "avoid", e->avoid);
    set_string(L, "stacking", e->stacking);
    set_string(L, "example", e->example);
    set_string(L, "target", targets[p->target]);
    set_string(L, "data", data[p->data]);
    set_boolean(L, "adds", p->adds);
    if (p->refusal != NULL) set_string(L, "refusal", p->refusal);
    if (p->soft_when > 0) set_string(L, "soft_when", e->parameters[p->soft_when - 1].name);
    lua_createtable(L, e->parameter_count, 0);
    for (int32_t k = 0; k < e->parameter_count; k++) {
      push_parameter(L, &e->parameters[k]);
      lua_rawseti(L, -2, k + 1);
    }
    lua_setfield(L, -2, "parameters");
    lua_rawseti(L, -2, i + 1);
  }
  return 1;
}

static const ls_penalty *check_penalty(lua_State *L, int index) {
  const char *name = lsb_check_string(L, index, "loss", "the name", NULL);
  const ls_penalty *p = ls_penalty_find(name);
  if (p == NULL) lsb_fail(L, "loss", "there is no loss of that name in the catalogue");
  return p;
}

/* Parameters from a table by name; booleans are 0 and 1. */
static void check_parameters(lua_State *L, int index, const ls_penalty *p, double *parameters) {
  if (lua_type(L, index) != LUA_TTABLE) lsb_type_error(L, index, p->entry.name, "parameters", "a table");
  for (int32_t i = 0; i < p->entry.parameter_count; i++) {
    const ls_parameter *s = &p->entry.parameters[i];
    parameters[i] = 0.0;
    if (strcmp(s->type, "matrix") == 0) continue;
    lua_getfield(L, index, s->name);
    parameters[i] = lua_type(L, -1) == LUA_TBOOLEAN ? lua_toboolean(L, -1) : lsb_check_number(L, -1, p->entry.name, s->name);
    lua_pop(L, 1);
  }
}

static const float *check_classes(lua_State *L, int index, const char *name, const char *what, int32_t classes) {
  char text[128];
  if (lua_isnil(L, index)) return NULL;
  lsb_tensor *w = lsb_check_contiguous(L, index, name, what);
  if (w->view.rank != 1 || w->view.shape[0] != classes)
    lsb_fail(L, name, "%s has shape %s but logits have %d classes", what, ls_shape_text(&w->view, text, sizeof text), classes);
  return w->view.data;
}

/* prepare(name, transition): what the loss reads in its place. */
static int prepare(lua_State *L) {
  ls_err err;
  lua_settop(L, 2);
  const ls_penalty *p = check_penalty(L, 1);
  ls_cmat t = lsb_check_matrix(L, 2, p->entry.name, "transition");
  if (p->data < LS_PENALTY_TRANSITION) return lsb_fail(L, p->entry.name, "has no transition matrix");
  lsb_tensor *out = lsb_new_matrix(L, p->entry.name, t.rows, t.cols);
  void *scratch = t.rows != t.cols ? NULL : lsb_new_scratch(L, p->entry.name, ls_penalty_prepare_scratch(p, t.rows));

  if (ls_penalty_prepare(p, t, lsb_as_matrix(out), scratch, &err) != LS_OK) return lsb_raise(L, p->entry.name, &err);

  lua_settop(L, 3);
  return 1;
}

/* loss(name, parameters, logits, target, weight | nil, ignore | nil, reduction, values | matrix | nil, want_gradient):
 * value or rows, gradient | false, { kept, ignored, weight, cross_entropy } */
static int loss(lua_State *L) {
  static const char *const reductions[] = {"mean", "sum", "rows", "none", NULL};
  double parameters[LS_PENALTY_PARAMETERS];
  lsb_target place;
  ls_err err;
  ls_penalty_result result;
  lua_settop(L, 9);
  const ls_penalty *p = check_penalty(L, 1);
  const char *name = p->entry.name;
  check_parameters(L, 2, p, parameters);
  ls_cmat z = lsb_check_matrix(L, 3, name, "logits");
  lsb_check_target(L, 4, name, &place);
  ls_penalty_options o = {.parameters = parameters, .ignore = lsb_check_ignore(L, 6, name)};
  o.class_weights = check_classes(L, 5, name, "weight", z.cols);
  o.reduction = (ls_loss_reduction)luaL_checkoption(L, 7, "mean", reductions);
  if (p->data == LS_PENALTY_CLASSES) o.values = check_classes(L, 8, name, "the multipliers", z.cols);
  if (p->data >= LS_PENALTY_TRANSITION) o.matrix = lsb_check_matrix(L, 8, name, "transition");
  bool none = o.reduction == LS_LOSS_NONE;
  int32_t shape[] = {z.rows};
  lsb_tensor *value = lsb_new_tensor(L, name, none ? 1 : 0, shape);
  lsb_tensor *gradient = lua_toboolean(L, 9) ? lsb_new_matrix(L, name, z.rows, z.cols) : NULL;
  if (gradient == NULL) lua_pushboolean(L, 0);
  ls_mat grad = gradient == NULL ? (ls_mat){0} : lsb_as_matrix(gradient);
  void *scratch = lsb_new_scratch(L, name, ls_penalty_scratch(p, &place.target, z.rows, z.cols));

  if (ls_penalty_loss(p, z, &place.target, &o, scratch, &result, gradient == NULL ? NULL : &grad, none ? value->view.data : NULL, &err) != LS_OK)
    return lsb_raise(L, name, &err);

  if (!none) *value->view.data = (float)result.value;
  lua_pop(L, 1);
  lua_createtable(L, 0, 4);
  lua_pushinteger(L, result.kept);
  lua_setfield(L, -2, "kept");
  lua_pushinteger(L, result.ignored);
  lua_setfield(L, -2, "ignored");
  set_number(L, "weight", result.weight);
  set_number(L, "cross_entropy", result.cross_entropy);
  return 3;
}

/* cals(logits, margin, multipliers | nil, alpha): each class's mean penalty */
static int cals(lua_State *L) {
  ls_err err;
  lua_settop(L, 4);
  ls_cmat z = lsb_check_matrix(L, 1, "penalties", "logits");
  double margin = lsb_check_number(L, 2, "penalties", "margin"), alpha = lsb_check_number(L, 4, "penalties", "alpha");
  const float *lambda = check_classes(L, 3, "penalties", "the multipliers", z.cols);
  int32_t shape[] = {z.cols};
  lsb_tensor *out = lsb_new_tensor(L, "penalties", 1, shape);
  double *sums = lsb_new_scratch(L, "penalties", (size_t)z.cols * sizeof *sums);

  if (ls_cals_penalties(z, margin, lambda, alpha, sums, out->view.data, &err) != LS_OK) return lsb_raise(L, "penalties", &err);

  lua_pop(L, 1);
  return 1;
}

int lsb_open_penalties(lua_State *L) {
  static const luaL_Reg functions[] = {{"list", list}, {"prepare", prepare}, {"loss", loss}, {"cals", cals}, {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}
