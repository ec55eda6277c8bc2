/* Softening schemes: what makes a target of labels. SPDX-License-Identifier: MIT
 *
 * A scheme is a constant struct: what the catalogue tells of it, what it promises, and functions. Those of the library are one file each in
 * core/target/schemes; one of your own is the same struct in a Lua C module, which the program checks and takes in with ls_register_scheme.
 * A scheme says in one of five forms what becomes of a label:
 *   LS_FORM_LINEAR   a softening in closed form (uniform, wrong classes, prior, matrix) whose mass may change with the epoch
 *   LS_FORM_ROW      a distribution for each class: a matrix, applied to whatever the target holds
 *   LS_FORM_EPSILON  a uniform mass of its own for each row
 *   LS_FORM_TERMS    a few weighted labels for each row
 *   LS_FORM_DENSE    a distribution for each row
 * The first four never make an N×K matrix. Mixed targets: it acts on each label, and the weights of the mixture are kept. */
#ifndef LSENGINE_SCHEME_H
#define LSENGINE_SCHEME_H

#include <lsengine/catalogue.h>
#include <lsengine/random.h>
#include <lsengine/target.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Changes with every change of this header that a scheme built before it would notice. */
#define LS_SCHEME_ABI 1u

#define LS_SCHEME_PARAMETERS 16 /* the most that one has */

typedef enum ls_scheme_form { LS_FORM_LINEAR, LS_FORM_ROW, LS_FORM_EPSILON, LS_FORM_TERMS, LS_FORM_DENSE } ls_scheme_form;

/* What a scheme promises: `ls.target.check` and the tests hold it to that. */
enum {
  LS_ONE_HOT_AT_ZERO = 1, /* with the parameter epsilon at 0 labels stay as they are */
  LS_EQUIVARIANT = 2,     /* renaming the classes renames the target's classes: no class is special */
  LS_ORDER_KEPT = 4       /* no class gets more mass than the label */
};

/* What a scheme needs to know: what is not asked for is not there. */
enum {
  LS_NEEDS_LOGITS = 1,   /* the model's logits of these rows, when it softens; observe has them in any case */
  LS_NEEDS_RANDOM = 2,   /* a random stream: the run's "softening", or the option rng */
  LS_NEEDS_POSITIONS = 4, /* which rows of the training data these are */
  LS_NEEDS_ONE_LABEL = 8 /* a label a row: mixed targets are refused by name */
};

/* One call. What it points to lives until the function returns. */
typedef struct ls_scheme_call {
  const double *numbers;    /* the parameters, in the order of the entry; 0 where one is a vector or a matrix. Booleans are 0 and 1 */
  const ls_cmat *arrays;    /* the same: vectors are one row; data is NULL where the parameter is a number or was not given */
  int32_t classes, rows;    /* K and N, at least 1 */
  const int64_t *labels;    /* (N): 0 … K-1; rows with the ignored label are not among them. NULL for LS_FORM_LINEAR and _ROW */
  const int64_t *positions; /* (N): from 0, each below `examples`; NULL unless needed */
  int64_t examples;         /* rows of the training data; 0 outside a training */
  double epoch, epochs;     /* epochs done (with a fraction within one), and planned; 0 and 0 outside a training */
  ls_rng *rng;              /* NULL unless needed */
  ls_cmat logits;           /* (N,K); data is NULL unless needed. May hold -inf (masked), NaN and +inf */
  double *state;            /* what state_size asked for, else NULL. To be changed by start, observe, end_epoch only */
} ls_scheme_call;

/* Every function may be NULL where its form or the scheme has no use for it. All are called from one thread. They must not keep a pointer,
 * nor jump out. */
typedef struct ls_scheme {
  uint32_t abi; /* LS_SCHEME_ABI */
  ls_scheme_form form;
  ls_entry entry;
  uint32_t promises, needs;
  ls_softening_kind kind; /* of LS_FORM_LINEAR; a prior or matrix is the entry's second parameter */
  int32_t terms;          /* of LS_FORM_TERMS: labels for each row, 1 … LS_TARGET_TERMS */

  /* Parameters that do not fit each other or the number of classes: LS_ERANGE, LS_ESHAPE. Called before all others. */
  ls_status (*check)(const ls_scheme_call *c, ls_err *err);
  /* LS_FORM_LINEAR: the mass that is taken away now, 0 … 1. Without it the first parameter. */
  double (*mass)(const ls_scheme_call *c);
  /* LS_FORM_ROW: the distribution of label y in q (K): from 0, sums to 1. */
  ls_status (*row)(const ls_scheme_call *c, int32_t y, double *q, ls_err *err);
  /* LS_FORM_EPSILON: each row's mass, 0 … 1, in out (N). */
  ls_status (*epsilon)(const ls_scheme_call *c, float *out, ls_err *err);
  /* LS_FORM_TERMS: the t-th label of row i in labels[t·N + i], its weight in weights[t·N + i]; a row's weights sum to 1. */
  ls_status (*label)(const ls_scheme_call *c, int64_t *labels, float *weights, ls_err *err);
  /* LS_FORM_DENSE: out (N,K), rows from 0 that sum to 1. */
  ls_status (*dense)(const ls_scheme_call *c, ls_mat out, ls_err *err);

  /* State: doubles that belong to one training. start fills a new one; observe sees each training batch once, after its loss, with logits
   * and the label of largest weight of each row; end_epoch closes an epoch. */
  size_t (*state_size)(const ls_scheme_call *c);
  void (*start)(const ls_scheme_call *c);
  void (*observe)(const ls_scheme_call *c);
  void (*end_epoch)(const ls_scheme_call *c);
} ls_scheme;

/* All of the library's, by name, ended by NULL. */
extern const ls_scheme *const ls_schemes[];

/* LS_ERANGE names the parameter, what it is and what is allowed. Parameters that are no numbers are passed over. */
ls_status ls_entry_check(const ls_entry *e, const double *numbers, ls_err *err);

/* Whether a struct of unknown origin is a scheme that this library can call: the ABI's number, names, functions that its form needs. LS_EVALUE says
 * what is wrong. */
ls_status ls_scheme_valid(const ls_scheme *s, ls_err *err);

/* LS_FORM_ROW: all rows in matrix (K,K); `row` holds K doubles of scratch. LS_EVALUE where a row is no distribution. O(K²). */
ls_status ls_scheme_rows(const ls_scheme *s, const ls_scheme_call *c, double *row, ls_mat matrix, ls_err *err);

struct lua_State;

/* In the program only, for Lua C modules: checks the scheme, and pushes the function that makes it, as ls.target.uniform is one:
 *   int luaopen_my_scheme(lua_State *L) { return ls_register_scheme(L, &my_scheme); }
 * `require "my_scheme"` then gives it. The struct must stay where it is. Raises a Lua error for another ABI. Returns 1. */
LS_API int ls_register_scheme(struct lua_State *L, const ls_scheme *scheme);

#ifdef __cplusplus
}
#endif
#endif
