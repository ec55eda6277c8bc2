/* Training steps of a perceptron in one call. SPDX-License-Identifier: MIT
 *
 * The same as recording its layers and the cross-entropy and walking back (layers.lua, loss.lua, backward.c), to the same bits, for small models, whose step is mostly
 * that. A step in which anything is not as it should be is not made: it is left to them, who say what it is. */
#include "bindings/autograd.h"
#include "bindings/target.h"

#include <lsengine/perceptron.h>
#include <lsengine/tensor.h>

#include <math.h>
#include <string.h>

enum { LAYERS = 1, X, TARGET, WEIGHT, SUM, MASS, ROWS, LABELS, FIRST, BATCH, MOST, CHANGE, MOST_LAYERS = 32 };
enum { MATRIX, BIAS, RELU, FIELDS, MEMORY = 0 }; /* of layers: see make_steps */

/* The parameter on top of the stack: a small leaf of this rank whose gradient has memory that no script has seen and that waits to be written to; NULL for any other. */
static lsb_tensor *parameter_at(lua_State *L, int32_t rank, lsb_tensor **gradient) {
  lsb_tensor *p = lsb_test_tensor(L, -1);
  if (p == NULL || p->view.rank != rank || p->owner != p || p->recorded || !p->requires_grad || lsb_is_large_leaf(p) || !p->spent) return NULL;
  lua_getiuservalue(L, -1, LSB_GRAD);
  *gradient = lsb_test_tensor(L, -1);
  lua_pop(L, 1);
  return *gradient != NULL && (*gradient)->owner == *gradient && ls_view_same_shape(&(*gradient)->view, &p->view) ? p : NULL;
}

/* Makes such memory for the parameter on top of the stack, where it has none. */
static void prepare(lua_State *L) {
  lsb_tensor *p = lsb_test_tensor(L, -1);
  if (p == NULL || p->owner != p || p->recorded || !p->requires_grad || lsb_is_large_leaf(p) || p->spent || lsb_push_grad(L, -1) != NULL) return;
  lua_pop(L, 1);
  lsb_new_tensor(L, "perceptron", p->view.rank, p->view.shape);
  lua_setiuservalue(L, -2, LSB_GRAD);
  p->spent = true;
}

static void prepare_all(lua_State *L, int32_t count) {
  int top = lua_gettop(L);
  for (int32_t i = 0; i < count * FIELDS; i++, lua_settop(L, top)) {
    lua_rawgeti(L, LAYERS, i + 1);
    if (i % FIELDS != RELU) prepare(L);
  }
}

/* What the steps have in common. Rows are gathered into x, and their labels, where `rows` tells which they are. */
typedef struct steps {
  ls_dense layer[MOST_LAYERS];
  lsb_target place;
  ls_cross_entropy_options options;
  int32_t count, width, classes; /* classes: where weights ask for so many, or -1 */
  const lsb_tensor *x;
  const lsb_labels *rows, *labels;
  size_t first, batch;
  double sum, mass;
  float value; /* of the last one */
} steps;

/* Reads the layers as they are now; false where they are not what can be trained here. */
static bool read_layers(lua_State *L, steps *s) {
  int top = lua_gettop(L);
  double floats = 0; /* a row of all results, and x */
  for (int32_t i = 0; i < s->count; i++, lua_settop(L, top)) {
    lsb_tensor *w, *b = NULL, *dw, *db = NULL;
    lua_rawgeti(L, LAYERS, i * FIELDS + RELU + 1);
    bool relu = lua_toboolean(L, -1);
    lua_rawgeti(L, LAYERS, i * FIELDS + BIAS + 1);
    if (lua_toboolean(L, -1) && (b = parameter_at(L, 1, &db)) == NULL) return false;
    lua_rawgeti(L, LAYERS, i * FIELDS + MATRIX + 1);
    if ((w = parameter_at(L, 2, &dw)) == NULL || (b != NULL && b->view.shape[0] != w->view.shape[0])) return false;
    floats += (double)w->view.shape[0] + (double)w->view.shape[1];
    s->layer[i] = (ls_dense){.inputs = w->view.shape[1], .outputs = w->view.shape[0], .weight = w->view.data, .bias = b == NULL ? NULL : b->view.data,
                             .weight_gradient = dw->view.data, .bias_gradient = db == NULL ? NULL : db->view.data, .relu = relu};
  }
  const ls_dense *last = &s->layer[s->count - 1];
  return s->layer[0].inputs == s->width && (s->classes < 0 || last->outputs == s->classes) && 4 * floats * (double)s->batch < (double)LS_MAX_COUNT;
}

/* Their gradients are there. */
static void hand_over(lua_State *L, int32_t count) {
  for (int32_t i = 0; i < count * FIELDS; i++) {
    lsb_tensor *p, *g;
    lua_rawgeti(L, LAYERS, i + 1);
    if (i % FIELDS != RELU && (p = parameter_at(L, i % FIELDS == MATRIX ? 2 : 1, &g)) != NULL) {
      g->fresh = p->spent = false;
      g->kept = true;
      g->version++;
    }
    lua_pop(L, 1);
  }
}

/* Scratch that serves all steps; NULL where it had to be made and finalizers that ran then have changed something. */
static void *memory_of(lua_State *L, steps *s, size_t bytes) {
  lua_rawgeti(L, LAYERS, MEMORY);
  bool ours = lua_type(L, -1) == LUA_TUSERDATA && lsb_test_tensor(L, -1) == NULL && !lua_getmetatable(L, -1) && lua_rawlen(L, -1) >= bytes + 64;
  if (!ours) {
    lsb_new_scratch(L, "perceptron", bytes);
    lua_pushvalue(L, -1);
    lua_rawseti(L, LAYERS, MEMORY);
    if (!read_layers(L, s)) return NULL;
  }
  return (void *)(((uintptr_t)lua_touserdata(L, -1) + 63) / 64 * 64);
}

static size_t aligned(size_t bytes) { return (bytes + 63) / 64 * 64; }

/* The batch, as a matrix whose rows have the numbers of all other axes; the rest of the memory is scratch. Rows and labels in one pass: positions count from 1, which ls_gather_rows would
 * want copied first. */
static bool gather(steps *s, char *memory, ls_cmat *batch, void **scratch) {
  const int64_t *at = s->rows == NULL ? NULL : s->rows->values + s->first;
  size_t n = at == NULL || s->rows->count - s->first > s->batch ? s->batch : s->rows->count - s->first, width = (size_t)s->width;
  float *x = (float *)memory;
  int64_t *y = (int64_t *)(memory + aligned(n * width * sizeof *x));
  *batch = (ls_cmat){at == NULL ? s->x->view.data : x, (int32_t)n, s->width, s->width};
  *scratch = at == NULL ? (void *)memory : (void *)((char *)y + aligned(n * sizeof *y));
  s->place.target.rows = (int32_t)n;
  if (at == NULL) return true;
  for (size_t i = 0; i < n; i++) {
    if (at[i] < 1 || at[i] > s->x->view.shape[0] || (uint64_t)at[i] > s->labels->count) return false;
    memcpy(x + i * width, s->x->view.data + (size_t)(at[i] - 1) * width, width * sizeof *x);
    y[i] = s->labels->values[at[i] - 1];
  }
  s->place.target.term[0].labels = y;
  return true;
}

/* One step up to its gradients; false where it is not made. */
static bool step(lua_State *L, steps *s) {
  ls_err err;
  ls_cmat batch;
  ls_cross_entropy_result result;
  void *scratch;
  if (!read_layers(L, s)) {
    prepare_all(L, s->count);
    if (!read_layers(L, s)) return false;
  }
  size_t bytes = s->rows == NULL ? 0 : aligned(s->batch * (size_t)s->width * sizeof(float)) + aligned(s->batch * sizeof(int64_t));
  s->place.target.rows = (int32_t)s->batch;
  char *memory = memory_of(L, s, bytes + ls_perceptron_scratch(s->count, s->layer, &s->place.target, (int32_t)s->batch));
  if (memory == NULL || !gather(s, memory, &batch, &scratch)) return false;
  if (ls_perceptron_gradients(batch, s->count, s->layer, &s->place.target, &s->options, scratch, &result, &err) != LS_OK || !isfinite((float)result.value)) return false;
  hand_over(L, s->count);
  s->value = (float)result.value;
  s->sum += (double)s->value * result.weight;
  s->mass += result.weight;
  return true;
}

/* The optimizer's step; then the gradients' memory waits for the next ones. */
static void change(lua_State *L, int32_t count, int top) {
  for (int i = CHANGE; i <= top; i++) lua_pushvalue(L, i);
  lua_call(L, top - CHANGE, 0);
  top = lua_gettop(L);
  for (int32_t i = 0; i < count * FIELDS; i++, lua_settop(L, top)) {
    lua_rawgeti(L, LAYERS, i + 1);
    if (i % FIELDS != RELU && lsb_test_tensor(L, -1) != NULL) lsb_forget_grad(L, top + 1);
  }
}

/* Whether x, rows and weights fit the target and each other. */
static bool fits(lua_State *L, steps *s) {
  const lsb_tensor *w = lua_isnil(L, WEIGHT) ? NULL : lsb_check_tensor(L, WEIGHT, "perceptron", "weight");
  const ls_target *t = &s->place.target;
  const ls_view *x = &s->x->view;
  if (x->rank < 2 || x->shape[0] < 1 || !ls_view_contiguous(x) || ls_view_count(x) / (size_t)x->shape[0] > INT32_MAX) return false;
  s->width = (int32_t)(ls_view_count(x) / (size_t)x->shape[0]);
  if (w != NULL && (w->view.rank != 1 || !ls_view_contiguous(&w->view))) return false;
  s->classes = w == NULL ? -1 : w->view.shape[0];
  s->options = (ls_cross_entropy_options){.reduction = LS_LOSS_MEAN, .class_weights = w == NULL ? NULL : w->view.data};
  if (s->rows == NULL) return t->rows == x->shape[0];
  bool labels_alone = t->dense.data == NULL && t->terms == 1 && t->term[0].weights == NULL && t->spread == NULL && t->origins == 0 && t->row_weights == NULL;
  if (!labels_alone || s->labels == NULL || s->first >= s->rows->count) return false;
  if (s->batch > s->rows->count - s->first) s->batch = s->rows->count - s->first;
  return true;
}

/* steps(layers, x, target, class weights | nil, sum, mass, rows | nil, labels, first, batch, most, [optimizer's function, its arguments …]): makes up to `most` steps, and returns how many
 * it made, sum and mass with their losses and weights added, the last loss. layers = { weight, bias | false, whether ReLU follows, … } is the caller's alone and keeps memory, too.
 * With rows: the steps' batches are positions (from 1) first, first + 1, … of it, the target tells how labels (of all data) are softened. Without: all of x is one batch. Without an
 * optimizer one step is made whose gradients the parameters have then. */
static int make_steps(lua_State *L) {
  steps s = {0};
  int top = lua_gettop(L) < MOST ? MOST : lua_gettop(L);
  lua_Integer made = 0;
  lua_settop(L, top);
  luaL_checkstack(L, top + 16, NULL);
  luaL_checktype(L, LAYERS, LUA_TTABLE);
  s.x = lsb_check_tensor(L, X, "perceptron", "the input");
  s.rows = lsb_test_labels(L, ROWS);
  s.labels = lsb_test_labels(L, LABELS);
  s.sum = lsb_check_number(L, SUM, "perceptron", "sum");
  s.mass = lsb_check_number(L, MASS, "perceptron", "mass");
  s.first = (size_t)luaL_optinteger(L, FIRST, 1) - 1;
  s.batch = s.rows == NULL ? (size_t)s.x->view.shape[0] : (size_t)lsb_check_int(L, BATCH, "perceptron", "batch", 1, INT32_MAX);
  lua_Integer most = s.rows == NULL || top < CHANGE ? 1 : luaL_checkinteger(L, MOST);
  lua_Unsigned fields = lua_rawlen(L, LAYERS);
  s.count = fields > MOST_LAYERS * FIELDS ? 0 : (int32_t)(fields / FIELDS);
  if (lsb_interrupted()) return luaL_error(L, "interrupted");
  lsb_check_target(L, TARGET, "cross_entropy", &s.place);
  int base = lua_gettop(L);
  bool good = s.count >= 1 && s.count <= MOST_LAYERS && fits(L, &s);
  while (good && made < most && !lsb_interrupted() && step(L, &s)) {
    made++;
    if (top >= CHANGE) change(L, s.count, top);
    lua_settop(L, base);
    s.first += s.batch;
    if (s.rows != NULL && s.first >= s.rows->count) break;
  }
  lua_pushinteger(L, made);
  lua_pushnumber(L, s.sum);
  lua_pushnumber(L, s.mass);
  lua_pushnumber(L, s.value);
  return 4;
}

int lsb_open_perceptron(lua_State *L) {
  static const luaL_Reg functions[] = {{"steps", make_steps}, {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}
