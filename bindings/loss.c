/* Targets and losses. SPDX-License-Identifier: MIT
 *
 * A target in Lua is a table: { terms = { { labels, weight | tensor of weights }, … }, spread = tensor of uniform mass | nil } or { dense = tensor }, with
 * from = the terms before a scheme replaced the labels | nil, row_weights = tensor | nil, and history = { { kind =, epsilon =, prior = | matrix = }, … } (entries with `mix` tell of
 * mixing, which the terms hold). What it refers to is kept on the stack until the call returns: the table is the script's, whose finalizers may empty it
 * while memory is asked for. */
#include "bindings/target.h"

#include <string.h>

/* Keeps the value on top of the stack alive. */
static void keep(lua_State *L, lsb_target *p) {
  lua_pushvalue(L, -1);
  lua_rawseti(L, p->kept, ++p->count);
}

/* A tensor in field `key` of the table on top, contiguous. */
static lsb_tensor *field_tensor(lua_State *L, const char *name, const char *key, lsb_target *p) {
  lua_getfield(L, -1, key);
  if (lua_isnil(L, -1)) {
    lua_pop(L, 1);
    return NULL;
  }
  lsb_tensor *t = lsb_check_contiguous(L, lua_gettop(L), name, key);
  keep(L, p);
  lua_pop(L, 1);
  return t;
}

static ls_cmat matrix_of(lua_State *L, const char *name, const char *what, const lsb_tensor *t) {
  char text[128];
  if (t->view.rank != 2)
    lsb_fail(L, name, "%s has shape %s, a matrix is required", what, ls_shape_text(&t->view, text, sizeof text));
  return ls_const(lsb_as_matrix(t));
}

static void read_history(lua_State *L, const char *name, lsb_target *p) {
  lua_Integer count = lua_getfield(L, -1, "history") == LUA_TTABLE ? (lua_Integer)lua_rawlen(L, -1) : 0;
  if (count > LSB_MOST_SOFTENINGS) lsb_fail(L, name, "the target was softened %lld times, at most %d are allowed", (long long)count, LSB_MOST_SOFTENINGS);
  p->target.softenings = 0;
  for (lua_Integer i = 1; i <= count; i++) {
    static const char *const kinds[] = {"uniform", "wrong_classes", "prior", "matrix", NULL};
    ls_softening *s = &p->softening[p->target.softenings];
    memset(s, 0, sizeof *s);
    lua_rawgeti(L, -1, i);
    if (lua_type(L, -1) != LUA_TTABLE) lsb_type_error(L, -1, name, "a softening", "a table");
    bool mixing = lua_getfield(L, -1, "mix") != LUA_TNIL; /* is in the terms already */
    lua_pop(L, mixing ? 2 : 1);
    if (mixing) continue;
    lua_getfield(L, -1, "kind");
    const char *kind = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "";
    int number = 0;
    while (kinds[number] != NULL && strcmp(kinds[number], kind) != 0) number++;
    if (kinds[number] == NULL) lsb_fail(L, name, "the kind of softening %lld is %s", (long long)i, lsb_describe(L, -1));
    s->kind = (ls_softening_kind)number;
    lua_pop(L, 1);
    lua_getfield(L, -1, "epsilon");
    s->epsilon = lsb_check_number(L, -1, name, "epsilon");
    lua_pop(L, 1);
    lsb_tensor *t = field_tensor(L, name, kinds[s->kind], p);
    if (s->kind >= LS_SOFTEN_PRIOR && t == NULL) lsb_fail(L, name, "the %s is missing", kinds[s->kind]);
    if (s->kind == LS_SOFTEN_PRIOR) {
      if (t->view.rank != 1) lsb_fail(L, name, "the prior has %d dimensions, one is required", t->view.rank);
      s->prior = t->view.data;
      s->classes = t->view.shape[0];
    } else if (s->kind == LS_SOFTEN_MATRIX) {
      s->matrix = matrix_of(L, name, "the matrix", t);
    }
    p->target.softenings++;
    lua_pop(L, 1);
  }
  p->target.softening = p->softening;
  lua_pop(L, 1);
}

/* The terms in the table on top: their number; their rows must be *rows, which the first tells where it is below 0. */
static int32_t read_terms(lua_State *L, const char *name, lsb_target *p, ls_term *term, int32_t *rows) {
  lua_Integer count = (lua_Integer)lua_rawlen(L, -1);
  if (count < 1 || count > LS_TARGET_TERMS) lsb_fail(L, name, "the target has %lld labelled terms, allowed is 1 to %d", (long long)count, LS_TARGET_TERMS);
  for (lua_Integer i = 1; i <= count; i++, term++) {
    memset(term, 0, sizeof *term);
    lua_rawgeti(L, -1, i);
    if (lua_type(L, -1) != LUA_TTABLE) lsb_type_error(L, -1, name, "a term of the target", "a table");
    lua_rawgeti(L, -1, 1);
    lsb_labels *labels = lsb_test_labels(L, -1);
    if (labels == NULL) lsb_fail(L, name, "the labels of term %lld are %s, a label vector is required", (long long)i, lsb_describe(L, -1));
    if (labels->count > INT32_MAX || (*rows >= 0 && labels->count != (size_t)*rows))
      lsb_fail(L, name, "term %lld has %zu labels, %d are required", (long long)i, labels->count, *rows < 0 ? INT32_MAX : *rows);
    *rows = (int32_t)labels->count;
    term->labels = labels->values;
    keep(L, p);
    lua_rawgeti(L, -2, 2);
    lsb_tensor *weights = lsb_test_tensor(L, -1);
    if (weights == NULL) {
      term->weight = lsb_check_number(L, -1, name, "a weight");
    } else {
      if (weights->view.rank != 1 || weights->view.shape[0] != *rows || !ls_view_contiguous(&weights->view))
        lsb_fail(L, name, "the weights of term %lld do not fit its %d labels", (long long)i, *rows);
      term->weights = weights->view.data;
      keep(L, p);
    }
    lua_pop(L, 3);
  }
  return (int32_t)count;
}

void lsb_check_target(lua_State *L, int index, const char *name, lsb_target *p) {
  memset(&p->target, 0, sizeof p->target);
  if (lua_type(L, index) != LUA_TTABLE) lsb_type_error(L, index, name, "target", "a target");
  luaL_checkstack(L, 16, NULL);
  lua_createtable(L, LSB_MOST_KEPT, 0);
  p->kept = lua_gettop(L);
  p->count = 0;
  lua_pushvalue(L, index);
  lsb_tensor *dense = field_tensor(L, name, "dense", p);
  if (dense != NULL) {
    p->target.dense = matrix_of(L, name, "the target", dense);
    p->target.rows = p->target.dense.rows;
  } else {
    lua_getfield(L, -1, "terms");
    if (lua_type(L, -1) != LUA_TTABLE) lsb_type_error(L, -1, name, "terms", "a table");
    p->target.rows = -1;
    p->target.terms = read_terms(L, name, p, p->target.term, &p->target.rows);
    lua_pop(L, 1);
    lsb_tensor *spread = field_tensor(L, name, "spread", p);
    if (spread != NULL) {
      if (spread->view.rank != 1 || spread->view.shape[0] != p->target.rows) lsb_fail(L, name, "the uniform mass does not fit %d rows", p->target.rows);
      p->target.spread = spread->view.data;
    }
  }
  if (lua_getfield(L, -1, "from") == LUA_TTABLE) p->target.origins = read_terms(L, name, p, p->target.origin, &p->target.rows);
  lua_pop(L, 1);
  lsb_tensor *weights = field_tensor(L, name, "row_weights", p);
  if (weights != NULL) {
    if (weights->view.rank != 1 || weights->view.shape[0] != p->target.rows) lsb_fail(L, name, "the row weights do not fit %d rows", p->target.rows);
    p->target.row_weights = weights->view.data;
  }
  read_history(L, name, p);
  lua_pop(L, 1);
}

ls_ignore lsb_check_ignore(lua_State *L, int index, const char *name) {
  ls_ignore ignore = {0};
  if (lua_isnoneornil(L, index)) return ignore;
  int exact;
  ignore.label = lua_tointegerx(L, index, &exact);
  if (!exact) lsb_type_error(L, index, name, "ignore_index", "an integer");
  ignore.active = true;
  return ignore;
}

/* cross_entropy(logits, target, weight | nil, ignore | nil, reduction, pytorch, want_gradient):
 * value or rows, gradient | false, { kept, ignored, weight, hard, soft } */
static int cross_entropy(lua_State *L) {
  static const char *const reductions[] = {"mean", "sum", "rows", "none", NULL};
  const char *name = "cross_entropy";
  lsb_target place;
  ls_err err;
  ls_cross_entropy_result result;
  lua_settop(L, 7);
  ls_cmat z = lsb_check_matrix(L, 1, name, "logits");
  lsb_check_target(L, 2, name, &place);
  ls_cross_entropy_options o = {.ignore = lsb_check_ignore(L, 4, name), .pytorch_weighting = lua_toboolean(L, 6)};
  o.reduction = (ls_loss_reduction)luaL_checkoption(L, 5, "mean", reductions);
  if (!lua_isnil(L, 3)) {
    lsb_tensor *w = lsb_check_contiguous(L, 3, name, "weight");
    char text[128];
    if (w->view.rank != 1 || w->view.shape[0] != z.cols)
      return lsb_fail(L, name, "weight has shape %s but logits have %d classes", ls_shape_text(&w->view, text, sizeof text), z.cols);
    o.class_weights = w->view.data;
  }
  bool none = o.reduction == LS_LOSS_NONE;
  int32_t shape[] = {z.rows};
  lsb_tensor *value = lsb_new_tensor(L, name, none ? 1 : 0, shape);
  lsb_tensor *gradient = lua_toboolean(L, 7) ? lsb_new_matrix(L, name, z.rows, z.cols) : NULL;
  if (gradient == NULL) lua_pushboolean(L, 0);
  ls_mat grad = gradient == NULL ? (ls_mat){0} : lsb_as_matrix(gradient);
  void *scratch = lsb_new_scratch(L, name, ls_cross_entropy_scratch(&place.target, z.rows, z.cols));

  if (ls_cross_entropy(z, &place.target, &o, scratch, &result, gradient == NULL ? NULL : &grad, none ? value->view.data : NULL, &err) != LS_OK)
    return lsb_raise(L, name, &err);

  if (!none) *value->view.data = (float)result.value;
  lua_pop(L, 1);
  lua_createtable(L, 0, 6);
  lua_pushinteger(L, result.kept);
  lua_setfield(L, -2, "kept");
  lua_pushinteger(L, result.ignored);
  lua_setfield(L, -2, "ignored");
  lua_pushnumber(L, result.weight);
  lua_setfield(L, -2, "weight");
  lua_pushnumber(L, result.hard);
  lua_setfield(L, -2, "hard");
  lua_pushnumber(L, result.soft);
  lua_setfield(L, -2, "soft");
  lua_pushnumber(L, result.value);
  lua_setfield(L, -2, "value");
  return 3;
}

/* summary(target, classes, ignore | nil): mean entropy, mean mass of the true class, share of a label that is kept. */
static int summary(lua_State *L) {
  lsb_target place;
  ls_resolved r;
  ls_err err;
  double entropy, mass;
  lua_settop(L, 3);
  lsb_check_target(L, 1, "target", &place);
  int32_t classes = lsb_check_int(L, 2, "target", "classes", 1, INT32_MAX);
  ls_ignore ignore = lsb_check_ignore(L, 3, "target");
  void *scratch = lsb_new_scratch(L, "target", ls_target_scratch(&place.target, classes));
  if (ls_target_resolve(&place.target, classes, ignore, scratch, &r, &err) != LS_OK) return lsb_raise(L, "target", &err);
  ls_target_summary(&place.target, &r, ignore, &entropy, &mass);
  lua_pushnumber(L, entropy);
  lua_pushnumber(L, mass);
  lua_pushnumber(L, r.a);
  return 3;
}

/* rows(target, classes): dense. */
static int rows(lua_State *L) {
  lsb_target place;
  ls_resolved r;
  ls_err err;
  lua_settop(L, 2);
  lsb_check_target(L, 1, "target", &place);
  int32_t classes = lsb_check_int(L, 2, "target", "classes", 1, INT32_MAX);
  lsb_tensor *out = lsb_new_matrix(L, "target", place.target.rows, classes);
  void *scratch = lsb_new_scratch(L, "target", ls_target_scratch(&place.target, classes));
  if (ls_target_resolve(&place.target, classes, (ls_ignore){0}, scratch, &r, &err) != LS_OK ||
      ls_target_rows(&place.target, &r, (ls_ignore){0}, lsb_as_matrix(out), &err) != LS_OK)
    return lsb_raise(L, "target", &err);
  lua_pop(L, 1);
  return 1;
}

/* row_weights(target, classes, weight | nil, ignore | nil): each row's weight, 0 where it is ignored; how many are kept. */
static int row_weights(lua_State *L) {
  lsb_target place;
  ls_err err;
  int32_t kept;
  char text[128];
  lua_settop(L, 4);
  lsb_check_target(L, 1, "target", &place);
  int32_t classes = lsb_check_int(L, 2, "target", "classes", 1, INT32_MAX);
  ls_ignore ignore = lsb_check_ignore(L, 4, "target");
  lsb_tensor *w = lua_isnil(L, 3) ? NULL : lsb_check_contiguous(L, 3, "target", "weight");
  if (w != NULL && (w->view.rank != 1 || w->view.shape[0] != classes))
    return lsb_fail(L, "target", "weight has shape %s but logits have %d classes", ls_shape_text(&w->view, text, sizeof text), classes);
  lsb_tensor *out = lsb_new_tensor(L, "target", 1, &place.target.rows);
  void *scratch = lsb_new_scratch(L, "target", ls_target_scratch(&place.target, classes));
  if (ls_row_weights(&place.target, w == NULL ? NULL : w->view.data, classes, ignore, scratch, out->view.data, &kept, &err) != LS_OK) return lsb_raise(L, "target", &err);
  lua_pop(L, 1);
  lua_pushinteger(L, kept);
  return 2;
}

/* softmax(t), log_softmax(t), along the last axis of a matrix; and their gradients (result, gradient). */
static int softmax(lua_State *L) {
  bool logarithm = lua_toboolean(L, lua_upvalueindex(1));
  const char *name = logarithm ? "log_softmax" : "softmax";
  lua_settop(L, 1);
  ls_cmat z = lsb_check_matrix(L, 1, name, "logits");
  if (z.cols < 1) return lsb_fail(L, name, "logits have no class");
  lsb_tensor *out = lsb_new_matrix(L, name, z.rows, z.cols);
  (logarithm ? ls_log_softmax : ls_softmax)(z, lsb_as_matrix(out));
  return 1;
}

static int softmax_backward(lua_State *L) {
  bool logarithm = lua_toboolean(L, lua_upvalueindex(1));
  lua_settop(L, 2);
  ls_cmat p = lsb_check_matrix(L, 1, "softmax", "result"), g = lsb_check_matrix(L, 2, "softmax", "gradient");
  if (p.rows != g.rows || p.cols != g.cols) return lsb_fail(L, "softmax", "result and gradient have different shapes");
  lsb_tensor *out = lsb_new_matrix(L, "softmax", p.rows, p.cols);
  (logarithm ? ls_log_softmax_backward : ls_softmax_backward)(p, g, lsb_as_matrix(out));
  return 1;
}

/* mse(prediction, target, want_gradient), binary_cross_entropy(…): mean over elements, gradient | false */
static int elementwise(lua_State *L) {
  bool binary = lua_toboolean(L, lua_upvalueindex(1));
  const char *name = binary ? "binary_cross_entropy" : "mse";
  char a[96], b[96];
  ls_err err;
  double sum;
  lua_settop(L, 3);
  lsb_tensor *x = lsb_check_contiguous(L, 1, name, binary ? "logits" : "prediction"), *y = lsb_check_contiguous(L, 2, name, "target");
  if (!ls_view_same_shape(&x->view, &y->view))
    return lsb_fail(L, name, "the target has shape %s, the prediction %s", ls_shape_text(&y->view, a, sizeof a), ls_shape_text(&x->view, b, sizeof b));
  size_t n = ls_view_count(&x->view);
  lsb_tensor *value = lsb_new_tensor(L, name, 0, NULL), *g = NULL;
  if (lua_toboolean(L, 3))
    g = lsb_new_tensor(L, name, x->view.rank, x->view.shape);
  else
    lua_pushboolean(L, 0);
  float scale = n == 0 ? 0.0f : (float)(1.0 / (double)n), *grad = g == NULL ? NULL : g->view.data;
  if (!binary)
    sum = ls_squared_error(n, x->view.data, y->view.data, scale, grad);
  else if (ls_binary_cross_entropy(n, x->view.data, y->view.data, scale, &sum, grad, &err) != LS_OK)
    return lsb_raise(L, name, &err);
  *value->view.data = n == 0 ? 0.0f : (float)(sum / (double)n);
  return 2;
}

int lsb_open_loss(lua_State *L) {
  static const luaL_Reg functions[] = {{"cross_entropy", cross_entropy}, {"row_weights", row_weights}, {"summary", summary}, {"rows", rows}, {NULL, NULL}};
  static const struct {
    const char *name;
    lua_CFunction function;
    bool flag;
  } closures[] = {{"softmax", softmax, false},
                  {"log_softmax", softmax, true},
                  {"softmax_backward", softmax_backward, false},
                  {"log_softmax_backward", softmax_backward, true},
                  {"mse", elementwise, false},
                  {"binary_cross_entropy", elementwise, true}};
  luaL_newlib(L, functions);
  for (size_t i = 0; i < sizeof closures / sizeof closures[0]; i++) {
    lua_pushboolean(L, closures[i].flag);
    lua_pushcclosure(L, closures[i].function, 1);
    lua_setfield(L, -2, closures[i].name);
  }
  return 1;
}
