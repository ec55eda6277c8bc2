/* What the bindings share: tensors and label vectors in Lua, arguments, errors. SPDX-License-Identifier: MIT
 *
 * A binding function has four paragraphs: check, allocate, compute, answer. C owns nothing while Lua can raise. */
#ifndef LSB_H
#define LSB_H

#include <lauxlib.h>
#include <lsengine/status.h>
#include <lsengine/view.h>
#include <lua.h>

_Static_assert(LUA_VERSION_NUM == 504, "lsengine is written for Lua 5.4");

/* ---- errors (error.c) ---- */

/* Raises "file.lua:42: name: message", blaming the first frame outside the library. Never returns; int for `return`. */
int lsb_raise(lua_State *L, const char *name, const ls_err *err);
int lsb_fail(lua_State *L, const char *name, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Pushes "file.lua:42" of the first frame outside the library, or nothing ("") where there is none. */
void lsb_push_where(lua_State *L);

/* ---- arguments (error.c) ---- */

/* "a string", "a tensor", "nil", "the number 3": how a value is called in messages. Pushes it, returns it. */
const char *lsb_describe(lua_State *L, int index);

int32_t lsb_check_int(lua_State *L, int index, const char *name, const char *argument, int32_t low, int32_t high);
double lsb_check_number(lua_State *L, int index, const char *name, const char *argument);
const char *lsb_check_string(lua_State *L, int index, const char *name, const char *argument, size_t *length);
int lsb_type_error(lua_State *L, int index, const char *name, const char *argument, const char *wanted);

/* A string without zero bytes, as names of files must be. */
const char *lsb_check_path(lua_State *L, int index, const char *name, const char *argument);

/* How many elements the table at index has, at most 2^31-1: a script decides what the length operator finds. */
size_t lsb_check_length(lua_State *L, int index, const char *name, const char *argument);

/* ---- resources (resource.c) ---- */

/* Pushes zeroed userdata of the type `name`; `release` is called with it when Lua collects it, and must find what luaL_testudata finds. */
void *lsb_new_resource(lua_State *L, size_t size, const char *name, lua_CFunction release);

/* ---- tensors (tensor.c) ---- */

/* A full userdata. Where the tensor owns its storage the floats follow this header, aligned to 64 bytes; a view borrows
 * those of `owner`, which its first user value keeps alive. No __gc. */
typedef struct lsb_tensor {
  const void *mark; /* an address that only tensors hold: tells them from other userdata */
  ls_view view;
  struct lsb_tensor *owner; /* itself where the storage is its own */
  uint64_t version;         /* of the storage: counts writes in place; kept in the owner */
  bool requires_grad;       /* a leaf that gathers gradients */
  uint64_t used;            /* of a recorded tensor: the versions of all that its gradient needs */
  uint64_t walk;            /* the walk of backward that met it last, and how many of its inputs that has looked at; of a large leaf how many uses are left */
  int32_t place, inputs;    /* … of how many */
  bool opaque;              /* on the way back: what its node reads is not known */
  bool recorded;            /* the result of a recorded operation: user value LSB_NODE is its node, nil once that is freed */
  bool owned;               /* on the way back: nobody else holds its gradient */
  bool tagged;              /* a loss: user value LSB_TAG is set */
  bool fresh;               /* newly computed, nobody has taken it over yet (see autograd.lua) */
  bool kept;                /* a gradient that its leaf alone holds: no script has seen it */
  bool spent;               /* a leaf whose LSB_GRAD is no gradient but memory for the next one */
} lsb_tensor;

enum { LSB_STORAGE = 1, LSB_NODE, LSB_OPERATION, LSB_SAVED, LSB_TAG, LSB_GRAD, LSB_USER_VALUES = LSB_GRAD };

/* The tensor at index, or NULL / or an error that names function and argument. */
lsb_tensor *lsb_test_tensor(lua_State *L, int index);
lsb_tensor *lsb_check_tensor(lua_State *L, int index, const char *name, const char *argument);

/* Pushes a new tensor with its own, uninitialised storage. Raises "no memory for 2x3 floats" where memory is short, and an
 * error for a shape that overflows. */
lsb_tensor *lsb_new_tensor(lua_State *L, const char *name, int32_t rank, const int32_t *shape);
lsb_tensor *lsb_new_matrix(lua_State *L, const char *name, int32_t rows, int32_t cols);

/* Pushes the gradient that the leaf at index has gathered, or nil. */
lsb_tensor *lsb_push_grad(lua_State *L, int index);

/* Pushes a view of the tensor at index with the given shape, strides and place. */
lsb_tensor *lsb_new_view(lua_State *L, int index, const ls_view *view);

/* The one place where large memory is asked for: protected, so that running out of it names the user's line. Pushes a userdata
 * with a tensor's user values; NULL (and nothing pushed) where memory is short. */
void *lsb_try_userdata(lua_State *L, size_t bytes);

/* Pushes "no memory for `what`: … are in use, the limit is …". */
const char *lsb_no_memory_text(lua_State *L, const char *what);

/* Raises that, with the size. */
int lsb_no_memory(lua_State *L, const char *name, const char *what, size_t bytes);

/* Scratch memory as a userdata on the stack, aligned to 64 bytes; NULL for 0 bytes (pushes nil). */
void *lsb_new_scratch(lua_State *L, const char *name, size_t bytes);

/* The tensor at index as a matrix with unit stride along rows: itself, or a contiguous copy that replaces it on the stack.
 * Raises where the rank is not 2. */
ls_cmat lsb_check_matrix(lua_State *L, int index, const char *name, const char *argument);

/* The tensor at index as contiguous floats: itself, or a copy that replaces it on the stack. */
lsb_tensor *lsb_check_contiguous(lua_State *L, int index, const char *name, const char *argument);

/* A freshly made contiguous rank-2 tensor as a matrix. */
ls_mat lsb_as_matrix(const lsb_tensor *t);

/* Counts a write in place. Raises where the tensor is the result of a recorded operation or a leaf that gathers gradients,
 * and recording is on. */
void lsb_writing(lua_State *L, lsb_tensor *t, const char *name);

/* ---- label vectors (labels.c): exact 64-bit integers ---- */

typedef struct lsb_labels {
  size_t count;
  int64_t values[];
} lsb_labels;

lsb_labels *lsb_new_labels(lua_State *L, const char *name, size_t count);
lsb_labels *lsb_test_labels(lua_State *L, int index);

/* A label vector, or a table of integers (replaced on the stack by a label vector). */
lsb_labels *lsb_check_labels(lua_State *L, int index, const char *name, const char *argument);

/* ---- recording (autograd.c) ---- */

bool lsb_recording(lua_State *L);

/* Makes the state that recording is kept in. Before any coroutine: they share it by copying the pointer. */
void lsb_new_recorder(lua_State *L);

/* ---- interruption (program.c) ---- */

/* True once Ctrl-C was pressed: long C work asks between its parts. */
bool lsb_interrupted(void);

/* ---- registration ---- */

/* A metatable with __name and a locked __metatable, kept in the registry under `key`. Metamethods check self: a script can
 * reach them through frames. */
void lsb_new_type(lua_State *L, const void *key, const char *name, const luaL_Reg *metamethods);

/* Opens each module of functions: pushes a table. */
int lsb_open_tensor(lua_State *L);
int lsb_open_layers(lua_State *L);
int lsb_open_labels(lua_State *L);
int lsb_open_augment(lua_State *L);
int lsb_open_autograd(lua_State *L);
int lsb_open_judging(lua_State *L);
int lsb_open_calibrators(lua_State *L);
int lsb_open_clustering(lua_State *L);
int lsb_open_compare(lua_State *L);
int lsb_open_data(lua_State *L);
int lsb_open_checkpoint(lua_State *L);
int lsb_open_eval(lua_State *L);
int lsb_open_geometry(lua_State *L);
int lsb_open_loss(lua_State *L);
int lsb_open_files(lua_State *L);
int lsb_open_knn(lua_State *L);
int lsb_open_mix(lua_State *L);
int lsb_open_nn(lua_State *L);
int lsb_open_optimizer(lua_State *L);
int lsb_open_json(lua_State *L);
int lsb_open_penalties(lua_State *L);
int lsb_open_perceptron(lua_State *L);
int lsb_open_probe(lua_State *L);
int lsb_open_process(lua_State *L);
int lsb_open_program(lua_State *L);
int lsb_open_random(lua_State *L);
int lsb_open_retrieval(lua_State *L);
int lsb_open_schemes(lua_State *L);
int lsb_open_statistics(lua_State *L);
int lsb_open_system(lua_State *L);

/* The list of all binding modules, by the name under which the library requires them ("lsengine.c.tensor"). */
extern const luaL_Reg lsb_modules[];

#endif
