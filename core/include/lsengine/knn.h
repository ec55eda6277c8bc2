/* Exact nearest neighbours. SPDX-License-Identifier: MIT
 *
 * What is compared, in double from the stored values, features added one after the other in their order:
 *   l2             d² = sum (q_j - x_j)²; reported is d
 *   inner_product  sum q_j x_j, the largest first; reported as it is
 *   cosine         1/2 sum (q_j/|q| - x_j/|x|)² = 1 - cos, without the cancellation of that difference
 * The order is (distance, row): ties go to the lower row. The answer is that of a search through all rows in double: it depends neither on
 * how queries are put together, nor on threads, nor on the processor's instruction set.
 *
 * How. Candidates come from products of rows rounded to bfloat16 (AMX), 16-bit integers (AVX2, VNNI) or float32, centred so that an offset costs no digits, in tiles that are tested
 * against the query's threshold as they are made. Every product carries a bound of its error (of rounding, by row and query), the threshold is the
 * k-th smallest upper bound, so no neighbour is lost; the candidates left are ordered by the double values. Where bounds tell too little apart
 * (masses of duplicates, offsets that centring cannot remove, magnitudes beyond float32) a query goes from these to float32, and from there is
 * searched in double throughout. */
#ifndef LSENGINE_KNN_H
#define LSENGINE_KNN_H

#include <lsengine/view.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum ls_metric { LS_METRIC_L2, LS_METRIC_INNER_PRODUCT, LS_METRIC_COSINE } ls_metric;

/* Rows prepared for searches: borrows the base and the memory it was made in. */
typedef struct ls_knn {
  ls_cmat base;
  ls_metric metric;
  double scale;          /* a power of two; what is multiplied are scale · (row - centre) */
  double largest;        /* norm of the largest row, scaled, not centred */
  bool fast;             /* false where float32 cannot hold what is needed */
  const double *centre;  /* d */
  const double *inverse; /* 1 / |x| of each row, for cosine, else NULL */
  const int32_t *order;  /* rows by norm: the smallest first, of inner products the largest; its places are the positions */
  const float *norm;     /* by position, of the scaled, centred row; not below the true one */
} ls_knn;

size_t ls_knn_bytes(int32_t rows, int32_t features, ls_metric metric);

/* Prepares the rows of base (n, d). LS_ERANGE for no row or no feature, LS_EVALUE for a number that is NaN or infinite, or a row of zeros where
 * the metric is cosine: the row is named, from 1. O(nd). */
ls_status ls_knn_prepare(ls_cmat base, ls_metric metric, void *memory, ls_knn *out, ls_err *err);

/* What a search has done. */
typedef struct ls_knn_effort {
  int64_t candidates; /* ordered in double */
  int64_t retried;    /* queries that bfloat16 or integers could not decide */
  int64_t exact;      /* queries that were searched in double throughout */
  int64_t overflowed; /* of these, those whose candidates were too many */
} ls_knn_effort;

size_t ls_knn_search_scratch(const ls_knn *index, int32_t queries, int32_t k);

/* The k nearest rows of each query (m, d): distances (m, k) and rows, from 0 (m·k), nearest first. `self`, or NULL: for each query a row that is
 * left out, -1 for none. `effort` may be NULL. LS_ESHAPE where widths differ, LS_ERANGE for k outside 1 … n (n - 1 with `self`), or a self
 * that is no row, LS_EVALUE for queries as for rows above. O(mnd). */
ls_status ls_knn_search(const ls_knn *index, ls_cmat queries, int32_t k, const int64_t *self, void *scratch, ls_mat distances, int64_t *rows,
                        ls_knn_effort *effort, ls_err *err);

/* All rows within the radius: distance <= radius, of inner products product >= radius. First their number for each query, in counts (m). Then the
 * rows themselves, those of query i from position start[i] on (the sum of the counts before; found in all), nearest first, into distances and rows.
 * LS_ERANGE for a radius that is NaN; other errors as above. Candidates by products, decided in double, O(mnd). */
size_t ls_knn_range_filter_scratch(const ls_knn *index, int32_t queries);
ls_status ls_knn_range_count(const ls_knn *index, ls_cmat queries, double radius, const int64_t *self, void *scratch, int64_t *counts, ls_err *err);
size_t ls_knn_range_scratch(const ls_knn *index, int32_t queries, int64_t found);
ls_status ls_knn_range(const ls_knn *index, ls_cmat queries, double radius, const int64_t *self, const int64_t *start, int64_t found, void *scratch,
                       float *distances, int64_t *rows, ls_err *err);

typedef enum ls_vote_weights { LS_VOTE_UNIFORM, LS_VOTE_DISTANCE, LS_VOTE_TEMPERATURE } ls_vote_weights;

typedef struct ls_vote_options {
  ls_vote_weights weights; /* 1; 1/distance (where the nearest are at 0, these alone); exp(-distance / temperature) */
  double temperature;      /* > 0 */
  bool largest_first;      /* "distances" are similarities: exp(similarity / temperature) */
  int32_t classes;
} ls_vote_options;

/* Shares of the k neighbours' votes: distances and labels (m, k), nearest first; probabilities (m, classes), each row sums to 1. LS_ESHAPE,
 * LS_ERANGE for a label that is no class. O(m(k + classes)). */
ls_status ls_knn_vote(ls_cmat distances, const int64_t *labels, const ls_vote_options *o, ls_mat probabilities, ls_err *err);

#ifdef __cplusplus
}
#endif
#endif
