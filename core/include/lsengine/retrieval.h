/* Retrieval: how well the rows near a query are those of its class. SPDX-License-Identifier: MIT
 *
 * Every query ranks the whole gallery (but itself, where it is in it) by the index's double values. A row is relevant where its label is the query's; R is their
 * number. Rows with equal values have no order: every measure is its expected value over their orders (of precision at each place McSherry & Najork
 * 2008, of the first hit by the hypergeometric distribution). */
#ifndef LSENGINE_RETRIEVAL_H
#define LSENGINE_RETRIEVAL_H

#include <lsengine/knn.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Of the whole ranking, for a query: P(i) is the share of relevant rows among the first i, rel(i) whether the i-th is one. */
enum {
  LS_RETRIEVAL_R_PRECISION, /* hits among the first R, divided by R */
  LS_RETRIEVAL_MAP_AT_R,    /* 1/R sum_{i <= R} P(i) rel(i)          (Musgrave et al. 2020) */
  LS_RETRIEVAL_MAP,         /* 1/R sum_i P(i) rel(i) */
  LS_RETRIEVAL_MRR,         /* 1 / place of the first hit */
  LS_RETRIEVAL_NDCG,        /* sum_i rel(i)/log2(i+1), divided by what the best ranking has */
  LS_RETRIEVAL_WHOLE
};

/* Of the first k rows; these follow, for each k. */
enum {
  LS_RETRIEVAL_RECALL,      /* 1 where any of them is relevant */
  LS_RETRIEVAL_PRECISION,   /* hits / k */
  LS_RETRIEVAL_HIT_SHARE,   /* hits / R */
  LS_RETRIEVAL_AP,          /* sum_{i <= k} P(i) rel(i) divided by min(R, k) */
  LS_RETRIEVAL_AP_BY_R,     /* … by R (pytorch-metric-learning's map for a k) */
  LS_RETRIEVAL_AP_BY_HITS,  /* … by the hits, 0 for none (torchmetrics) */
  LS_RETRIEVAL_NDCG_AT,     /* as NDCG, over the first k places */
  LS_RETRIEVAL_AT
};

typedef struct ls_retrieval_query {
  int32_t relevant; /* R */
  bool tied;        /* a relevant row and another one have equal values, within the places that are looked at: their order is a matter of luck */
  bool twin;        /* a row of the gallery, not the query itself, is within `near` (of inner products: equals the query) */
} ls_retrieval_query;

size_t ls_retrieval_scratch(const ls_knn *gallery, int32_t queries);

/* Measures of each query (m, LS_RETRIEVAL_WHOLE + at_count · LS_RETRIEVAL_AT); 0 throughout where R is 0. `self` as for ls_knn_search. LS_ERANGE for a k
 * outside 1 … n, for near below 0 or NaN, and the errors of ls_knn_search. near: squared for l2, the distance of cosines; of no use for inner products. whole false: MAP, MRR and NDCG of the whole ranking are 0, and
 * only the first max(R, at) places are looked at, which takes a fraction of the time. by_values, or
 * NULL: queries for which all rows were compared in double (few queries or rows, masses of ties, magnitudes beyond float32, a gallery beyond 128 MB of tiles).
 * Results are those of a ranking in double, whatever the instruction set or the number of threads. O(m n d). */
ls_status ls_retrieval(const ls_knn *gallery, const int64_t *gallery_labels, ls_cmat queries, const int64_t *labels, const int64_t *self, int32_t at_count,
                       const int32_t *at, double near, bool whole, void *scratch, ls_retrieval_query *about, double *measures, int64_t *by_values, ls_err *err);

/* The distinct labels, ascending, into classes (m); returns their number. O(m^1.5) at most. */
int32_t ls_retrieval_classes(int32_t queries, const int64_t *labels, int64_t *classes);

/* Means of the measures: of each class's queries (count, columns) with their number kept (count), over all queries (micro), and of the classes' means
 * (macro). Queries with R = 0 are left out, or count with 0 where `zero`. A class without a query left is left out of macro; NaN where nothing is left. */
void ls_retrieval_average(int32_t queries, const int64_t *labels, const ls_retrieval_query *about, int32_t columns, const double *measures, bool zero,
                          int32_t count, const int64_t *classes, double *by_class, int64_t *kept, double *micro, double *macro);

#ifdef __cplusplus
}
#endif
#endif
