/* The catalogue of schemes in Lua: what is told of each, and their functions. SPDX-License-Identifier: MIT
 *
 * A scheme's code is a userdata that holds a pointer to its struct. Its state is a label vector: the 64-bit integers that hold the bits of its doubles, so that
 * checkpoints keep it exactly; functions of the scheme write into it. */
#include "bindings/random.h"
#include "bindings/target.h"

#include <lsengine/scheme.h>

#include <math.h>
#include <string.h>

static const char code_key = 0;

static void push_code(lua_State *L, const ls_scheme *s) {
  const ls_scheme **place = lua_newuserdatauv(L, sizeof s, 0);
  *place = s;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &code_key);
  lua_setmetatable(L, -2);
}

static const ls_scheme *check_code(lua_State *L, int index) {
  const ls_scheme **place = lua_touserdata(L, index);
  bool right = lua_type(L, index) == LUA_TUSERDATA && lua_getmetatable(L, index) && lua_rawgetp(L, LUA_REGISTRYINDEX, &code_key) && lua_rawequal(L, -1, -2);
  if (!right) lsb_type_error(L, index, "scheme", "the code", "a scheme of the catalogue");
  lua_pop(L, 2);
  return *place;
}

static void set_text(lua_State *L, const char *key, const char *text) {
  lua_pushstring(L, text == NULL ? "" : text);
  lua_setfield(L, -2, key);
}

static void set_flag(lua_State *L, const char *key, bool flag) {
  lua_pushboolean(L, flag);
  lua_setfield(L, -2, key);
}

static void set_number(lua_State *L, const char *key, double x, bool wanted) {
  if (!wanted) return;
  lua_pushnumber(L, x);
  lua_setfield(L, -2, key);
}

static void push_parameters(lua_State *L, const ls_entry *e) {
  lua_createtable(L, e->parameter_count, 0);
  for (int32_t i = 0; i < e->parameter_count; i++) {
    const ls_parameter *p = &e->parameters[i];
    lua_newtable(L);
    set_text(L, "name", p->name);
    set_text(L, "type", p->type);
    set_text(L, "doc", p->doc);
    set_number(L, "default", p->standard, !isnan(p->standard));
    set_number(L, p->above_minimum ? "above" : "min", p->minimum, isfinite(p->minimum));
    set_number(L, p->below_maximum || isinf(p->maximum) ? "below" : "max", p->maximum, !isnan(p->maximum));
    lua_rawseti(L, -2, i + 1);
  }
}

/* What the catalogue tells of a scheme, with its code. */
static void push_entry(lua_State *L, const ls_scheme *s) {
  static const char *const forms[] = {"linear", "row", "epsilon", "terms", "dense"}, *const kinds[] = {"uniform", "wrong_classes", "prior", "matrix"};
  const ls_entry *e = &s->entry;
  lua_createtable(L, 0, 20);
  set_text(L, "name", e->name);
  set_text(L, "title", e->title);
  set_text(L, "paper", e->paper);
  set_text(L, "formula", e->formula);
  set_text(L, "property", e->property);
  set_text(L, "use", e->use);
  set_text(L, "avoid", e->avoid);
  set_text(L, "stacking", e->stacking);
  set_text(L, "example", e->example);
  set_text(L, "form", forms[s->form]);
  if (s->form == LS_FORM_LINEAR) set_text(L, "kind", kinds[s->kind]);
  set_flag(L, "moving", s->mass != NULL || s->state_size != NULL);
  set_flag(L, "stateful", s->state_size != NULL);
  set_flag(L, "needs_logits", s->needs & LS_NEEDS_LOGITS);
  set_flag(L, "needs_random", s->needs & LS_NEEDS_RANDOM);
  set_flag(L, "needs_positions", s->needs & LS_NEEDS_POSITIONS);
  set_flag(L, "needs_one_label", s->needs & LS_NEEDS_ONE_LABEL);
  lua_createtable(L, 0, 4);
  set_flag(L, "one_hot_at_zero", s->promises & LS_ONE_HOT_AT_ZERO);
  set_flag(L, "equivariant", s->promises & LS_EQUIVARIANT);
  set_flag(L, "order_kept", s->promises & LS_ORDER_KEPT);
  set_flag(L, "stateful", s->state_size != NULL);
  lua_setfield(L, -2, "properties");
  push_parameters(L, e);
  lua_setfield(L, -2, "parameters");
  push_code(L, s);
  lua_setfield(L, -2, "code");
}

/* list(): every scheme's entry. */
static int list(lua_State *L) {
  lua_newtable(L);
  for (int i = 0; ls_schemes[i] != NULL; i++) {
    push_entry(L, ls_schemes[i]);
    lua_rawseti(L, -2, i + 1);
  }
  return 1;
}

/* ---- a call ---- */

typedef struct call_place {
  ls_scheme_call call;
  double numbers[LS_SCHEME_PARAMETERS];
  ls_cmat arrays[LS_SCHEME_PARAMETERS];
} call_place;

/* What is read stays on the stack: the tables are the script's. */
static void check_parameters(lua_State *L, int index, const ls_scheme *s, call_place *p) {
  if (lua_type(L, index) != LUA_TTABLE) lsb_type_error(L, index, s->entry.name, "the parameters", "a table");
  for (int32_t i = 0; i < s->entry.parameter_count; i++) {
    const ls_parameter *e = &s->entry.parameters[i];
    bool vector = strcmp(e->type, "vector") == 0;
    lua_getfield(L, index, e->name);
    if (!vector && strcmp(e->type, "matrix") != 0) {
      p->numbers[i] = lua_type(L, -1) == LUA_TBOOLEAN ? lua_toboolean(L, -1) : lsb_check_number(L, -1, s->entry.name, e->name);
      lua_pop(L, 1);
    } else if (!lua_isnil(L, -1)) {
      int at = lua_gettop(L);
      lsb_tensor *t = lsb_check_contiguous(L, at, s->entry.name, e->name);
      if (t->view.rank != (vector ? 1 : 2)) lsb_fail(L, s->entry.name, "%s has %d dimensions, %d required", e->name, t->view.rank, vector ? 1 : 2);
      p->arrays[i] = vector ? (ls_cmat){t->view.data, 1, t->view.shape[0], t->view.shape[0]} : ls_const(lsb_as_matrix(t));
    }
  }
}

static double optional_number(lua_State *L, int index, const char *name, const char *key) {
  lua_getfield(L, index, key);
  double x = lua_isnil(L, -1) ? 0.0 : lsb_check_number(L, -1, name, key);
  lua_pop(L, 1);
  return x;
}

static void check_rows(lua_State *L, int index, const ls_scheme *s, ls_scheme_call *c) {
  const char *name = s->entry.name;
  lua_getfield(L, index, "labels");
  lsb_labels *labels = lsb_check_labels(L, lua_gettop(L), name, "labels");
  if (labels->count > INT32_MAX) lsb_fail(L, name, "there are %zu labels, at most 2^31-1 are allowed", labels->count);
  c->rows = (int32_t)labels->count;
  c->labels = labels->values;
  for (int32_t i = 0; i < c->rows; i++)
    if (c->labels[i] < 0 || c->labels[i] >= c->classes)
      lsb_fail(L, name, "labels[%d] is %lld but logits have %d %s (0..%d)", i + 1, (long long)c->labels[i], c->classes, c->classes == 1 ? "class" : "classes", c->classes - 1);
  lua_getfield(L, index, "positions");
  if (lua_isnil(L, -1)) return;
  lsb_labels *given = lsb_check_labels(L, lua_gettop(L), name, "rows");
  if (given->count != labels->count) lsb_fail(L, name, "rows has %zu positions, there are %zu labels", given->count, labels->count);
  int64_t *positions = lsb_new_scratch(L, name, given->count * sizeof *positions);
  for (int32_t i = 0; i < c->rows; i++) {
    positions[i] = given->values[i] - 1;
    if (positions[i] < 0 || (c->examples > 0 && positions[i] >= c->examples))
      lsb_fail(L, name, "rows[%d] is %lld, allowed is 1 to %lld", i + 1, (long long)given->values[i], c->examples > 0 ? (long long)c->examples : INT64_MAX);
  }
  c->positions = positions;
}

static void check_logits(lua_State *L, int index, const ls_scheme *s, ls_scheme_call *c) {
  lua_getfield(L, index, "logits");
  if (lua_isnil(L, -1)) return;
  c->logits = lsb_check_matrix(L, lua_gettop(L), s->entry.name, "logits");
  if (c->logits.cols != c->classes || (c->labels != NULL && c->logits.rows != c->rows))
    lsb_fail(L, s->entry.name, "logits are %dx%d, %dx%d is required", c->logits.rows, c->logits.cols, c->rows, c->classes);
}

static void check_state(lua_State *L, int index, const ls_scheme *s, ls_scheme_call *c) {
  if (s->state_size == NULL) return;
  size_t wanted = s->state_size(c);
  lua_getfield(L, index, "state");
  lsb_labels *state = lsb_test_labels(L, -1);
  if (state == NULL || state->count != wanted)
    lsb_fail(L, s->entry.name, "its state has %zu numbers, %zu are required: it belongs to a training with other classes or rows", state == NULL ? 0 : state->count, wanted);
  if (state->values == c->labels) lsb_fail(L, s->entry.name, "the labels are its state");
  c->state = (double *)(void *)state->values;
}

/* Arguments 1 … 3: code, parameters, { classes =, labels =, positions =, examples =, epoch =, epochs =, rng =, logits =, state = }. */
static const ls_scheme *check_call(lua_State *L, call_place *p, bool with_state) {
  memset(p, 0, sizeof *p);
  lua_settop(L, 3);
  luaL_checkstack(L, LS_SCHEME_PARAMETERS + 16, NULL);
  const ls_scheme *s = check_code(L, 1);
  const char *name = s->entry.name;
  ls_err err;
  check_parameters(L, 2, s, p);
  if (lua_type(L, 3) != LUA_TTABLE) lsb_type_error(L, 3, name, "the call", "a table");
  ls_scheme_call *c = &p->call;
  c->numbers = p->numbers;
  c->arrays = p->arrays;
  lua_getfield(L, 3, "classes");
  c->classes = lsb_check_int(L, -1, name, "classes", 1, INT32_MAX);
  lua_pop(L, 1);
  double examples = optional_number(L, 3, name, "examples");
  c->examples = examples >= 1.0 && examples <= (double)INT32_MAX ? (int64_t)examples : 0;
  c->epoch = optional_number(L, 3, name, "epoch");
  c->epochs = optional_number(L, 3, name, "epochs");
  lua_getfield(L, 3, "rng");
  if (!lua_isnil(L, -1)) c->rng = lsb_check_rng(L, lua_gettop(L), name);
  lua_getfield(L, 3, "labels");
  bool labelled = !lua_isnil(L, -1);
  lua_pop(L, 1);
  if (labelled) check_rows(L, 3, s, c);
  check_logits(L, 3, s, c);
  if (ls_entry_check(&s->entry, p->numbers, &err) != LS_OK || (s->check != NULL && s->check(c, &err) != LS_OK)) lsb_raise(L, name, &err);
  if ((s->needs & LS_NEEDS_RANDOM) && labelled && c->rng == NULL) lsb_fail(L, name, "it draws at random: give it a stream, rng = ls.rng(1); ls.train does");
  if ((s->needs & LS_NEEDS_LOGITS) && labelled && c->logits.data == NULL) lsb_fail(L, name, "it looks at the logits: only a loss has them");
  if (with_state) check_state(L, 3, s, c);
  return s;
}

static double mass_of(lua_State *L, const ls_scheme *s, const ls_scheme_call *c) {
  bool own = s->entry.parameter_count > 0 && strcmp(s->entry.parameters[0].name, "epsilon") == 0;
  double mass = s->mass != NULL ? s->mass(c) : s->form == LS_FORM_LINEAR || own ? c->numbers[0] : 1.0;
  if (!(mass >= 0.0 && mass <= 1.0)) lsb_fail(L, s->entry.name, "its mass is %g, allowed is 0 to 1", mass);
  return mass;
}

static int push_terms(lua_State *L, const ls_scheme *s, const ls_scheme_call *c) {
  ls_err err;
  size_t n = (size_t)c->rows;
  int64_t *labels = lsb_new_scratch(L, s->entry.name, (size_t)s->terms * n * sizeof *labels);
  float *weights = lsb_new_scratch(L, s->entry.name, (size_t)s->terms * n * sizeof *weights);
  if (n > 0 && s->label(c, labels, weights, &err) != LS_OK) return lsb_raise(L, s->entry.name, &err);
  lua_createtable(L, s->terms, 0);
  for (int32_t i = 0; i < s->terms; i++) {
    lua_createtable(L, 2, 0);
    lsb_labels *y = lsb_new_labels(L, s->entry.name, n);
    if (n > 0) memcpy(y->values, labels + (size_t)i * n, n * sizeof *labels);
    lua_rawseti(L, -2, 1);
    if (s->terms == 1) {
      lua_pushnumber(L, 1.0);
    } else {
      lsb_tensor *w = lsb_new_tensor(L, s->entry.name, 1, &c->rows);
      if (n > 0) memcpy(w->view.data, weights + (size_t)i * n, n * sizeof *weights);
    }
    lua_rawseti(L, -2, 2);
    lua_rawseti(L, -2, i + 1);
  }
  return 1;
}

/* soften(code, parameters, call): by the form mass; mass, matrix; each row's mass; { { labels, weights }, … }; rows. */
static int soften(lua_State *L) {
  call_place place;
  ls_err err;
  const ls_scheme *s = check_call(L, &place, true);
  const ls_scheme_call *c = &place.call;
  const char *name = s->entry.name;
  if (s->form == LS_FORM_LINEAR) {
    lua_pushnumber(L, mass_of(L, s, c));
    return 1;
  }
  if (s->form == LS_FORM_ROW) {
    lua_pushnumber(L, mass_of(L, s, c));
    if (c->classes > 1 << 15) return lsb_fail(L, name, "a matrix of %d classes is too large, at most 32768 are allowed", c->classes);
    lsb_tensor *matrix = lsb_new_matrix(L, name, c->classes, c->classes);
    double *row = lsb_new_scratch(L, name, (size_t)c->classes * sizeof *row);
    if (ls_scheme_rows(s, c, row, lsb_as_matrix(matrix), &err) != LS_OK) return lsb_raise(L, name, &err);
    lua_pop(L, 1);
    return 2;
  }
  if (c->labels == NULL) return lsb_fail(L, name, "it softens labels, and there are none");
  if (s->form == LS_FORM_TERMS) return push_terms(L, s, c);
  if (s->form == LS_FORM_EPSILON) {
    lsb_tensor *out = lsb_new_tensor(L, name, 1, &c->rows);
    if (c->rows > 0 && s->epsilon(c, out->view.data, &err) != LS_OK) return lsb_raise(L, name, &err);
    return 1;
  }
  lsb_tensor *out = lsb_new_matrix(L, name, c->rows, c->classes);
  if (c->rows > 0 && s->dense(c, lsb_as_matrix(out), &err) != LS_OK) return lsb_raise(L, name, &err);
  return 1;
}

/* start(code, parameters, call): a new state. */
static int start(lua_State *L) {
  call_place place;
  const ls_scheme *s = check_call(L, &place, false);
  if (s->state_size == NULL) return lsb_fail(L, s->entry.name, "it has no state");
  size_t n = s->state_size(&place.call);
  lsb_labels *state = lsb_new_labels(L, s->entry.name, n);
  place.call.state = (double *)(void *)state->values;
  if (n > 0) s->start(&place.call);
  return 1;
}

/* observe(code, parameters, call), end_epoch(…): change call.state. */
static int observe(lua_State *L) {
  call_place place;
  const ls_scheme *s = check_call(L, &place, true);
  const ls_scheme_call *c = &place.call;
  if (c->labels == NULL || c->logits.data == NULL) return lsb_fail(L, s->entry.name, "labels and logits are required");
  if (s->observe != NULL && c->state != NULL && c->rows > 0) s->observe(c);
  return 0;
}

static int end_epoch(lua_State *L) {
  call_place place;
  const ls_scheme *s = check_call(L, &place, true);
  if (s->end_epoch != NULL && place.call.state != NULL) s->end_epoch(&place.call);
  return 0;
}

/* ---- targets by rows ---- */

/* kept(target, ignore): positions from 1 of the rows that are not ignored, or nil where all are kept. */
static int kept(lua_State *L) {
  lsb_target place;
  lua_settop(L, 2);
  lsb_check_target(L, 1, "target", &place);
  ls_ignore ignore = lsb_check_ignore(L, 2, "target");
  size_t count = 0;
  for (int32_t i = 0; i < place.target.rows; i++) count += !ls_target_ignored(&place.target, ignore, i);
  if (count == (size_t)place.target.rows) return 0;
  lsb_labels *out = lsb_new_labels(L, "target", count);
  count = 0;
  for (int32_t i = 0; i < place.target.rows; i++)
    if (!ls_target_ignored(&place.target, ignore, i)) out->values[count++] = i + 1;
  return 1;
}

/* labels(target): of each row the label of largest weight. */
static int labels_of(lua_State *L) {
  lsb_target place;
  lua_settop(L, 1);
  lsb_check_target(L, 1, "target", &place);
  if (place.target.terms == 0 && place.target.origins == 0 && place.target.dense.cols < 1) return lsb_fail(L, "target", "its rows have no class");
  lsb_labels *out = lsb_new_labels(L, "target", (size_t)place.target.rows);
  for (int32_t i = 0; i < place.target.rows; i++) out->values[i] = ls_target_label(&place.target, i);
  return 1;
}

/* scatter(values, positions, n): labels, or rows of a tensor, at their positions among n; the others are 0. */
static int scatter(lua_State *L) {
  lua_settop(L, 3);
  lsb_labels *positions = lsb_check_labels(L, 2, "target", "positions"), *from = lsb_test_labels(L, 1);
  int32_t n = lsb_check_int(L, 3, "target", "rows", 0, INT32_MAX);
  for (size_t i = 0; i < positions->count; i++)
    if (positions->values[i] < 1 || positions->values[i] > n) return lsb_fail(L, "target", "position %zu is %lld, allowed is 1 to %d", i + 1, (long long)positions->values[i], n);
  if (from != NULL) {
    if (from->count != positions->count) return lsb_fail(L, "target", "there are %zu labels for %zu positions", from->count, positions->count);
    lsb_labels *out = lsb_new_labels(L, "target", (size_t)n);
    memset(out->values, 0, (size_t)n * sizeof *out->values);
    for (size_t i = 0; i < from->count; i++) out->values[positions->values[i] - 1] = from->values[i];
    return 1;
  }
  lsb_tensor *t = lsb_check_contiguous(L, 1, "target", "values");
  if (t->view.rank < 1 || t->view.rank > 2 || (size_t)t->view.shape[0] != positions->count)
    return lsb_fail(L, "target", "there are %zu positions for a tensor of %d dimensions and another number of rows", positions->count, t->view.rank);
  int32_t shape[] = {n, t->view.rank == 2 ? t->view.shape[1] : 1};
  size_t width = (size_t)shape[1];
  lsb_tensor *out = lsb_new_tensor(L, "target", t->view.rank, shape);
  for (size_t i = 0; i < (size_t)n * width; i++) out->view.data[i] = 0.0f;
  for (size_t i = 0; i < positions->count; i++)
    memcpy(out->view.data + (size_t)(positions->values[i] - 1) * width, t->view.data + i * width, width * sizeof(float));
  return 1;
}

/* check(name, target, classes, ignore | nil): raises, in the name of a scheme, what is wrong with its target. */
static int check(lua_State *L) {
  lsb_target place;
  ls_resolved r;
  ls_err err;
  lua_settop(L, 4);
  const char *name = lsb_check_string(L, 1, "scheme", "the name", NULL);
  lsb_check_target(L, 2, name, &place);
  int32_t classes = lsb_check_int(L, 3, name, "classes", 1, INT32_MAX);
  void *scratch = lsb_new_scratch(L, name, ls_target_scratch(&place.target, classes));
  if (ls_target_resolve(&place.target, classes, lsb_check_ignore(L, 4, name), scratch, &r, &err) != LS_OK) return lsb_raise(L, name, &err);
  return 0;
}

int lsb_open_schemes(lua_State *L) {
  static const luaL_Reg none[] = {{NULL, NULL}};
  static const luaL_Reg functions[] = {{"list", list},           {"soften", soften}, {"start", start}, {"observe", observe}, {"end_epoch", end_epoch}, {"kept", kept},
                                       {"labels", labels_of}, {"scatter", scatter}, {"check", check}, {NULL, NULL}};
  lsb_new_type(L, &code_key, "scheme's code", none);
  lua_pop(L, 1);
  luaL_newlib(L, functions);
  return 1;
}

int ls_register_scheme(lua_State *L, const ls_scheme *scheme) {
  ls_err err;
  if (ls_scheme_valid(scheme, &err) != LS_OK) return luaL_error(L, "%s", err.message);
  lua_getglobal(L, "require");
  lua_pushliteral(L, "lsengine.schemes");
  lua_call(L, 1, 1);
  if (lua_type(L, -1) != LUA_TTABLE || lua_getfield(L, -1, "take_in") != LUA_TFUNCTION) return luaL_error(L, "lsengine.schemes is not what it should be");
  push_entry(L, scheme);
  lua_call(L, 1, 1);
  return 1;
}
