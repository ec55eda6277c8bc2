/* Labels as they are counted, shared out and made noisy. SPDX-License-Identifier: MIT
 *
 * Classes are 0 … K-1; positions in messages count from 1. */
#ifndef LSENGINE_CLASSES_H
#define LSENGINE_CLASSES_H

#include <lsengine/random.h>
#include <lsengine/view.h>

#ifdef __cplusplus
extern "C" {
#endif

/* counts[k] = how many labels are k. LS_ERANGE names the place of a label that is no class. */
ls_status ls_class_counts(const int64_t *labels, size_t n, int32_t classes, int64_t *counts, ls_err *err);

/* Shares `total` of the sum of counts among the classes in proportion to their counts, by largest remainders: the whole part of
 * total·counts[k]/sum each, and one more for the largest remainders, equal ones by the lower class. quota[k] <= counts[k], and they
 * sum to total. total <= sum < 2^31 (LS_ERANGE otherwise). O(K log K); scratch holds `classes` numbers. */
ls_status ls_proportional(const int64_t *counts, int32_t classes, int64_t total, int64_t *quota, int64_t *scratch, ls_err *err);

/* Walks the rows in `order` (n positions from 1, or NULL for their own) and puts the first quota[k] of each class k into taken, the
 * others into rest: positions from 1. quota is counted down. Returns how many were taken. Labels must be classes, positions rows. */
size_t ls_take_by_class(const int64_t *labels, size_t n, const int64_t *order, int64_t *quota, int64_t *taken, int64_t *rest);

typedef enum ls_noise_kind {
  LS_NOISE_SYMMETRIC, /* with probability rate another label, uniformly among the K-1 others */
  LS_NOISE_PAIRS,     /* with probability rate to[y]; to[y] = y: never */
  LS_NOISE_MATRIX     /* row y of the matrix is the distribution of the observed label */
} ls_noise_kind;

typedef struct ls_noise {
  ls_noise_kind kind;
  double rate;       /* 0 … 1 */
  const int64_t *to; /* K classes */
  ls_cmat matrix;    /* K×K, rows sum to 1 within 1e-4 */
} ls_noise;

/* Observed labels for true ones; out may be labels. Two doubles of the stream are drawn for each row, whatever comes of them: a larger
 * rate flips the same rows and more, to the same labels. LS_ERANGE for a label, rate or class outside its range, or a matrix that is no
 * table of distributions; LS_ESHAPE where it is not K×K; symmetric noise needs two classes. O(n), with a matrix O(nK). */
ls_status ls_label_noise(const int64_t *labels, size_t n, int32_t classes, const ls_noise *noise, ls_rng *r, int64_t *out, ls_err *err);

#ifdef __cplusplus
}
#endif
#endif
