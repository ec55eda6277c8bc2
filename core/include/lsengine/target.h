/* Targets of categorical losses. SPDX-License-Identifier: MIT
 *
 * A target is an object, not a matrix: labelled terms (one, or several with weights, as mixing makes them) or dense rows,
 * and a list of softenings, all linear maps of distributions. The list is applied when the number of classes K is known:
 *   q_i = sum_t w_it (a·1[y_it] + B[y_it]) + s_i (a/K + mean row of B) + m_i (u/K + v),   m_i = s_i + sum_t w_it
 * with s_i a row's own uniform mass (an epsilon for each row), so that a smoothed or mixed target costs O(N), and smoothing a mix
 * equals mixing what is smoothed to the bit. */
#ifndef LSENGINE_TARGET_H
#define LSENGINE_TARGET_H

#include <lsengine/view.h>

#ifdef __cplusplus
extern "C" {
#endif

#define LS_TARGET_TERMS 8
#define LS_TARGET_TOLERANCE 1e-4 /* of the sum of a row, a prior, a row of a matrix */

typedef enum ls_softening_kind {
  LS_SOFTEN_UNIFORM,       /* q -> (1-e) q + e/K, the true class included (Szegedy et al. 2016) */
  LS_SOFTEN_WRONG_CLASSES, /* each label keeps 1-e, the other K-1 share e: uniform(e·K/(K-1)) */
  LS_SOFTEN_PRIOR,         /* q -> (1-e) q + e·prior (Pereyra et al. 2017: unigram) */
  LS_SOFTEN_MATRIX         /* q -> (1-e) q + e·q·P, rows of P sum to 1 (similarity, hierarchy, confusion) */
} ls_softening_kind;

typedef struct ls_softening {
  ls_softening_kind kind;
  double epsilon;     /* the probability mass that is taken away, 0 … 1 */
  const float *prior; /* (K) for LS_SOFTEN_PRIOR */
  ls_cmat matrix;     /* (K,K) for LS_SOFTEN_MATRIX */
  int32_t classes;    /* length of prior; 0 for kinds that fit any K */
} ls_softening;

typedef struct ls_term {
  const int64_t *labels; /* (rows), 0 … K-1 or the ignored label */
  const float *weights;  /* (rows), or NULL: `weight` for every row */
  double weight;
} ls_term;

typedef struct ls_target {
  int32_t rows, terms; /* terms = 0: `dense` holds the rows */
  ls_term term[LS_TARGET_TERMS];
  const float *spread; /* (rows), or NULL for none: mass that lies uniformly over the classes before any softening; with terms only */
  ls_cmat dense;       /* (rows, K): >= 0, each row sums to 1 */
  int32_t origins;     /* where a scheme has replaced the labels: the terms that it was given, which decide class weights and ignored rows; else 0 */
  ls_term origin[LS_TARGET_TERMS];
  const float *row_weights; /* (rows), finite, >= 0; or NULL: what a row counts for among others, beside the weight of its class */
  const ls_softening *softening;
  int32_t softenings;
} ls_target;

/* The label whose rows carry no loss, no gradient and no weight. */
typedef struct ls_ignore {
  bool active;
  int64_t label;
} ls_ignore;

/* The softenings in closed form for K classes. v and matrix are NULL where they are nothing. */
typedef struct ls_resolved {
  int32_t classes;
  double a, u, v_sum;
  const float *v;      /* (K) */
  const float *matrix; /* B (K,K), rows of K */
  const float *mean_row; /* (K): the mean of B's rows */
} ls_resolved;

/* Bytes that ls_target_resolve needs. */
size_t ls_target_scratch(const ls_target *t, int32_t classes);

/* Checks everything (labels, weights, dense rows, softenings) and resolves the softenings. LS_ERANGE, LS_ESHAPE, LS_EVALUE
 * name the row, counted from 1. O(rows·terms), dense O(rows·K), with a matrix O(K³) for each softening after it. */
ls_status ls_target_resolve(const ls_target *t, int32_t classes, ls_ignore ignore, void *scratch, ls_resolved *out,
                            ls_err *err);

/* The same without a look at the numbers of dense rows, for who reads them anyway; and that look: at all rows that are not ignored, at one row. */
ls_status ls_target_resolve_unread(const ls_target *t, int32_t classes, ls_ignore ignore, void *scratch, ls_resolved *out, ls_err *err);
ls_status ls_target_check_dense(const ls_target *t, ls_ignore ignore, ls_err *err);
ls_status ls_target_check_dense_row(const ls_target *t, int32_t row, ls_err *err);

/* True where a row is ignored: one of its labels is the ignored one. Dense rows without origins never are. */
bool ls_target_ignored(const ls_target *t, ls_ignore ignore, int32_t row);

/* The label of largest weight (the first of several; of origins, where there are any), or the largest entry of a dense row. */
int64_t ls_target_label(const ls_target *t, int32_t row);

/* A row's own uniform mass; the mass of a row, and of its k-th class. O(terms), dense with a matrix O(K). */
double ls_target_spread(const ls_target *t, int32_t row);
double ls_target_mass(const ls_target *t, int32_t row);
double ls_target_at(const ls_target *t, const ls_resolved *r, int32_t row, int32_t k);

/* All rows, dense: out (rows, K). Ignored rows are zeros. */
ls_status ls_target_rows(const ls_target *t, const ls_resolved *r, ls_ignore ignore, ls_mat out, ls_err *err);

/* Mean over kept rows (by their row weights) of the entropy -sum_k q log q in nats (0 log 0 = 0): the least value that a loss can have; and of the
 * mass on the true class (the label of largest weight, or the largest entry of a dense row). NULL where not wanted. */
void ls_target_summary(const ls_target *t, const ls_resolved *r, ls_ignore ignore, double *entropy, double *true_mass);

#ifdef __cplusplus
}
#endif

#include <lsengine/scheme.h> /* so that a scheme of one's own includes this header alone */
#endif
