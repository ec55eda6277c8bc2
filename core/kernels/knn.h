/* The loops of the nearest-neighbour search, compiled once for each instruction set. SPDX-License-Identifier: MIT */
#ifndef LS_KERNELS_KNN_H
#define LS_KERNELS_KNN_H

#include <lsengine/knn.h>

#define LS_KNN_MOST_QUERIES 16 /* of a tile, over all sets */
#define LS_KNN_MOST_ROWS 32
#define LS_KNN_PANELS 16 /* panels of queries that a sweep takes at once, at most */

/* Where the candidates of a query gather. */
typedef struct ls_knn_queue {
  float *score;
  int32_t *row;
  int32_t count, capacity;
  int32_t self; /* the row that is left out, or -1 */
} ls_knn_queue;

typedef struct ls_knn_sweep {
  size_t steps;                 /* features and one for the bound */
  const float *queries;         /* panel after panel, [step][queries of a tile] */
  size_t panels;                /* 1 … LS_KNN_PANELS */
  const float *rows;            /* panel after panel, [step][rows of a tile] */
  const float *bias;            /* a number for each row, -inf for rows that only fill the last panel */
  size_t row_panels;
  int32_t first;                /* number of the first row */
  float *threshold;             /* for each query: products + bias that reach it are kept */
  ls_knn_queue *queue;          /* for each query */
  void (*full)(void *context, size_t query); /* makes room: called where fewer places than a tile has rows are left */
  void *context;
} ls_knn_sweep;

typedef struct ls_knn_kernels {
  int queries, rows; /* of a tile */
  void (*sweep)(const ls_knn_sweep *s);
} ls_knn_kernels;

extern const ls_knn_kernels ls_knn_kernels_ref, ls_knn_kernels_avx2, ls_knn_kernels_avx512;

#endif
