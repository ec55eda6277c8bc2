/* Losses that soften at the model's output: penalties beside the cross-entropy, and losses in its place. SPDX-License-Identifier: MIT
 *
 * Each is one file, core/loss/penalties/NAME.c: what the catalogue tells of it, and a function for one row. The driver does all that
 * they share: checks, softmax, targets, class weights, ignored rows, reductions, threads.
 *
 * How to add one: a file with its `const ls_penalty`, a line in the table of penalties.c and in meson.build. The test over the table holds it to
 * finite differences, the Lua function, its options and its page in the manual are made from the entry. */
#ifndef LSENGINE_PENALTY_H
#define LSENGINE_PENALTY_H

#include <lsengine/catalogue.h>
#include <lsengine/loss.h>

#ifdef __cplusplus
extern "C" {
#endif

#define LS_PENALTY_PARAMETERS 8 /* the most that one has */

/* What a loss asks of its target. */
typedef enum ls_penalty_target {
  LS_PENALTY_FREE,   /* nothing: added to the cross-entropy with any target */
  LS_PENALTY_LINEAR, /* q, in which it is linear or defined for any distribution: any target */
  LS_PENALTY_LABEL   /* one label a row; softened and mixed targets are refused */
} ls_penalty_target;

/* What a loss is given besides numbers. */
typedef enum ls_penalty_data {
  LS_PENALTY_NUMBERS,
  LS_PENALTY_CLASSES,   /* `values`: K numbers, changed between calls */
  LS_PENALTY_TRANSITION, /* `matrix`: T, (K,K), T[i][j] = P(observed j | true i), columns as rows */
  LS_PENALTY_INVERSE    /* `matrix`: the inverse of T */
} ls_penalty_data;

/* One row, in double. Masked classes (z = -inf) have p = 0 and q = 0. */
typedef struct ls_penalty_row {
  int32_t classes, left; /* K; how many are not masked, at least 1 */
  int32_t label;         /* the row's only label, or -1 */
  int32_t top;           /* the first of the largest logits */
  const double *z, *p;   /* (K); softmax of z */
  const double *q;       /* (K); NULL for LS_PENALTY_FREE */
  double max, log_sum;   /* log p_k = z_k - max - log_sum */
  double rest;           /* sum of exp(z_k - max) over all but top: p_top = 1 / (1 + rest) */
  const double *parameters;
  const float *values;
  ls_cmat matrix;
  double *work;     /* (works, K), whatever is in it; NULL unless asked for */
  double *gradient; /* (K) of zeros: receives the derivative in z (of masked classes: stays 0); or NULL */
} ls_penalty_row;

/* The value; NaN or infinite where there is none. */
typedef double ls_penalty_row_fn(const ls_penalty_row *row);

#define LS_PENALTY_LABELS 64 /* the most rows of ls_penalty_labels */

/* Rows of one label y each: p_y and 1 - p_y, each right however small, and their logarithms. */
typedef struct ls_penalty_labels {
  int32_t rows;
  const double *p, *rest, *log_p, *log_rest;
  double *value, *slope; /* out: a row's gradient is slope (p - 1_y) */
} ls_penalty_labels;

/* The values of losses of the label's probability alone. */
typedef void ls_penalty_label_fn(const double *parameters, const ls_penalty_labels *l);

typedef struct ls_penalty {
  ls_entry entry;
  ls_penalty_target target;
  ls_penalty_data data;
  bool adds;         /* to the cross-entropy with the target; otherwise it is the whole loss */
  int32_t works;     /* times K doubles that it needs as `work` */
  int32_t soft_when; /* number from 1 of a boolean parameter that makes LS_PENALTY_LABEL into LS_PENALTY_LINEAR; 0: none */
  const char *refusal; /* of LS_PENALTY_LABEL: why, and what to do */
  const char *trouble; /* what a row without a finite value has done wrong; or NULL */
  ls_penalty_row_fn *row;
  ls_penalty_label_fn *label; /* the same of one label a row, where it can be said so; or NULL */
  int32_t form;               /* its number among the kernels that make rows by vectors, the same but for rounding; or 0 */
} ls_penalty;

/* All of them, sorted by name. */
extern const ls_penalty *const ls_penalties[];
extern const int32_t ls_penalty_count;

/* By name; NULL where there is none. */
const ls_penalty *ls_penalty_find(const char *name);

/* LS_ERANGE for a parameter that is NaN, infinite, or out of its range. */
ls_status ls_penalty_check(const ls_penalty *p, const double *parameters, ls_err *err);

/* The matrix that rows read, from T (K,K): >= 0, each row sums to 1. out (K,K) must not overlap it. For LS_PENALTY_INVERSE by elimination
 * in double, rounded to float at the end; LS_EVALUE where T is singular or so nearly so that its inverse has entries above 1e4. O(K³). */
size_t ls_penalty_prepare_scratch(const ls_penalty *p, int32_t classes);
ls_status ls_penalty_prepare(const ls_penalty *p, ls_cmat transition, ls_mat out, void *scratch, ls_err *err);

/* One row with its target: the whole loss, the cross-entropy included, its gradient in gradient (K) or NULL. `label` as above; q (K) may not be
 * NULL unless the entry is LS_PENALTY_FREE and does not add. buffer: 1 + `works` times K doubles. For tests and for reading: the driver does no more than this for each row. */
double ls_penalty_value(const ls_penalty *p, int32_t classes, const double *z, const double *q, int32_t label, const double *parameters,
                        const float *values, ls_cmat matrix, double *buffer, double *gradient);

/* Of class adaptive label smoothing: each class's mean over rows of lambda_k max(0, max_j z_j - z_k - margin), to `out` (K); masked classes
 * count 0. lambda (K), or NULL: alpha for all. sums: K doubles. LS_ESHAPE without rows or classes, LS_EVALUE as of ls_penalty_loss. O(nK). */
ls_status ls_cals_penalties(ls_cmat z, double margin, const float *lambda, double alpha, double *sums, float *out, ls_err *err);

typedef struct ls_penalty_options {
  const double *parameters;   /* as the entry lists them */
  const float *values;        /* (K), for LS_PENALTY_CLASSES */
  ls_cmat matrix;             /* for LS_PENALTY_TRANSITION and LS_PENALTY_INVERSE, of ls_penalty_prepare */
  const float *class_weights; /* (K), finite, >= 0; or NULL: the weight of a row, as of ls_cross_entropy */
  ls_ignore ignore;
  ls_loss_reduction reduction;
} ls_penalty_options;

typedef struct ls_penalty_result {
  double value;         /* by the reduction; of `none` the sum */
  double cross_entropy; /* its part, where the penalty is added to one; else 0 */
  double weight;        /* the denominator of the mean */
  int32_t kept, ignored;
} ls_penalty_result;

size_t ls_penalty_scratch(const ls_penalty *p, const ls_target *t, int32_t rows, int32_t classes);

/* Value and gradient as of ls_cross_entropy, with the same reductions, weights, ignored rows and errors: penalties are means over rows,
 * never over rows × classes, and a class weight weighs the whole row. Rows are computed in double and the gradient is rounded to float once; where a row has one label and the entry
 * has `label`, its exponentials are float32 (6e-7 of 1 - p_y and of p_y at the most, whatever they are) and all that is made of their sums is double;
 * beside a cross-entropy the errors of that are added (its logits are shifted in float: 1e-6 of the value). -inf logits take no part.
 * LS_ERANGE where the loss has no form for the target.
 * O(nK); beside two or three numbers a row scratch holds, for each of at most 64 blocks of rows, some rows in double, of up to 32 classes 64 of them. */
ls_status ls_penalty_loss(const ls_penalty *p, ls_cmat z, const ls_target *t, const ls_penalty_options *o, void *scratch,
                          ls_penalty_result *result, const ls_mat *grad, float *rows, ls_err *err);

#ifdef __cplusplus
}
#endif
#endif
