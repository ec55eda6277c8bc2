/* What the files of the nearest-neighbour search share. SPDX-License-Identifier: MIT */
#ifndef LS_EVAL_KNN_PARTS_H
#define LS_EVAL_KNN_PARTS_H

#include <lsengine/knn.h>

/* A row and what orders it, the smallest first: d², minus the inner product, or the distance of cosines. */
typedef struct ls_neighbour {
  double value;
  int32_t row;
} ls_neighbour;

static inline bool ls_nearer(ls_neighbour a, ls_neighbour b) { return a.value < b.value || (a.value == b.value && a.row < b.row); }

/* 1 / |x|, summed in order; 0 for a row of zeros. */
double ls_knn_inverse(const float *x, int32_t features);

/* LS_EVALUE for a number that is NaN or infinite, or a row of zeros where the metric is cosine. `what` names the rows in the message. */
ls_status ls_knn_check(ls_cmat x, ls_metric metric, const char *what, ls_err *err);

/* Values of `count` rows, of consecutive ones from `first` on where `rows` is NULL. */
void ls_knn_values(const ls_knn *index, const float *query, size_t count, const int32_t *rows, int32_t first, ls_neighbour *out);

/* What is reported for a value. */
double ls_knn_distance(ls_metric metric, double value);

/* Sorts, nearest first. In place, O(n log n). */
void ls_neighbours_sort(ls_neighbour *v, size_t n);

/* The k nearest of all rows but `self`, by values alone; sorted. */
void ls_knn_exact(const ls_knn *index, const float *query, int32_t k, int64_t self, ls_neighbour *out);

#endif
