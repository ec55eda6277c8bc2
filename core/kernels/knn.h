/* The loops of the nearest-neighbour search, compiled once for each instruction set. SPDX-License-Identifier: MIT
 *
 * Scores: the nearer, the larger. Three kinds of sweeps make candidates of them: in float32, in 16-bit integers, and in bfloat16 on AMX. */
#ifndef LS_KERNELS_KNN_H
#define LS_KERNELS_KNN_H

#include "core/kernels/rank.h"

#include <lsengine/knn.h>

#define LS_KNN_MOST_QUERIES 32 /* of a tile, over all sets */
#define LS_KNN_MOST_ROWS 32
#define LS_KNN_PANELS 16 /* panels of queries that a sweep takes at once, at most */
#define LS_KNN_SPARE 64  /* places of a queue that a tile may fill, and what vectors store past them */

/* Where the candidates of a query gather: positions in the packed order. */
typedef struct ls_knn_queue {
  float *score;
  int32_t *row;
  int32_t count, capacity;
} ls_knn_queue;

/* Of the largest norm in 16-bit integers: no component is larger, and no sum of products leaves 32 bits. */
#define LS_KNN_SHORT_NORM 32767.0

/* The error of a score: a · size + b · rest + c · size², with size not below the row's norm, rest not below what its rounding took. */
typedef struct ls_knn_error {
  float a, b, c;
} ls_knn_error;

typedef struct ls_knn_sweep {
  size_t steps;           /* float32: features and one for the bound; integers: pairs of features; bfloat16: parts of 32 features */
  int split;              /* bfloat16: a third of the parts each for high, middle and low parts of the numbers */
  const void *queries;    /* panel after panel: float32 [step][query]; integers [step][query][2]; bfloat16 [part][two halves][16 queries][32] */
  size_t panels;          /* 1 … LS_KNN_PANELS */
  const void *rows;       /* panel after panel: float32 [step][row]; integers [step][row][2]; bfloat16 [part][two halves][16 pairs of features][16 rows][2] */
  const float *bias;      /* a number for each row, -inf for rows that only fill the last panel */
  size_t row_panels;
  int32_t first;          /* position of the first row */
  float *threshold;       /* for each query: what reaches it is kept; float32: products + bias, which hold the error; else: and the error */
  const ls_knn_error *error; /* but for float32: for each query */
  const float *size, *rest;  /* but for float32: the largest of each panel of rows */
  const float *query_unit, *row_unit; /* integers: what 1 stands for, of each query and of each panel of rows */
  ls_knn_queue *queue;    /* for each query */
  void (*full)(void *context, size_t query); /* makes room: called where fewer than LS_KNN_SPARE places are left */
  void *context;
  float *scores;          /* or NULL. All scores, none selected: of query q and position p at scores[q · scores_step + p] */
  size_t scores_step;
} ls_knn_sweep;

/* A query's candidates, to be thinned. */
typedef struct ls_knn_thinning {
  ls_knn_queue *queue;
  int32_t k;
  const float *size, *rest; /* by position; rest may be NULL */
  ls_knn_error error;
  float above, below;       /* errors to add to a score for its upper bound, to take from it for its lower one */
  float slack;              /* taken from the k-th largest lower bound */
  float *spare;             /* 2 · capacity */
} ls_knn_thinning;

typedef struct ls_knn_kernels {
  int queries, rows; /* of a tile */
  void (*sweep)(const ls_knn_sweep *s);
  /* Drops the candidates that k others are surely nearer than; returns what a score's upper bound must reach from now on. More candidates than k. */
  float (*thin)(const ls_knn_thinning *t);
  /* Values of `count` rows, as <lsengine/knn.h> says: the same bits in every set. */
  void (*values)(ls_metric metric, int32_t features, const float *query, double query_inverse, size_t count, const float *const *rows, const double *inverse, double *out);
  ls_rank_fn *rank, *rank_candidates;
  ls_rank_draw_fn *rank_draw;
  ls_near_fn *near;
} ls_knn_kernels;

extern const ls_knn_kernels ls_knn_kernels_ref, ls_knn_kernels_avx2, ls_knn_kernels_avx512;

/* A sweep of 16-bit integers, in tiles of the set's own size; NULL where they would gain nothing. */
typedef void ls_knn_short_fn(const ls_knn_sweep *s);
extern ls_knn_short_fn ls_knn_short_avx2, ls_knn_short_vnni;
ls_knn_short_fn *ls_knn_short(void);

#define LS_KNN_WIDE 32 /* queries and rows of a bfloat16 tile; features come in parts of as many */

/* Sixteen vectors, rounded to bfloat16: scale[l] · (factor[l] · x[l] - centre) for l < count, zeros beyond. `square` are their squares' sums, in double;
 * `rest` those of what rounding took, from above. centre may be NULL. */
typedef struct ls_knn_wide_packing {
  int count;
  int32_t features;
  size_t parts;
  const float *x[16];
  double factor[16], scale[16];
  const double *centre;
  uint16_t *to; /* the first of the part's two halves, or the second */
  int split;    /* three times the parts: v = high + middle + low + rest, all high ones first; `middle` are norms of middle + low + rest, `low` of low + rest */
  double square[16], rest[16], middle[16], low[16];
} ls_knn_wide_packing;

typedef struct ls_knn_wide_kernels {
  void (*pack_queries)(ls_knn_wide_packing *p);
  void (*pack_rows)(ls_knn_wide_packing *p);
  void (*sweep)(const ls_knn_sweep *s);
} ls_knn_wide_kernels;

/* NULL where the set in use is not LS_ISA_AMX. */
extern const ls_knn_wide_kernels ls_knn_wide_amx;
const ls_knn_wide_kernels *ls_knn_wide(void);

#endif
