/* What the files of the nearest-neighbour search share. SPDX-License-Identifier: MIT */
#ifndef LS_EVAL_KNN_PARTS_H
#define LS_EVAL_KNN_PARTS_H

#include "core/kernels/knn.h"

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

/* What is wrong with queries and rows to be left out. */
ls_status ls_knn_check_queries(const ls_knn *index, ls_cmat queries, const int64_t *self, ls_err *err);

/* Values of `count` rows, of consecutive ones from `first` on where `rows` is NULL. */
void ls_knn_values(const ls_knn *index, const float *query, size_t count, const int32_t *rows, int32_t first, ls_neighbour *out);

/* What is reported for a value. */
double ls_knn_distance(ls_metric metric, double value);

/* Sorts, nearest first. In place, O(n log n). */
void ls_neighbours_sort(ls_neighbour *v, size_t n);

/* The k nearest of all rows but `self`, by values alone; sorted. */
void ls_knn_exact(const ls_knn *index, const float *query, int32_t k, int64_t self, ls_neighbour *out);

/* ---- candidates ---- */

typedef enum ls_knn_tiles { LS_KNN_FLOAT, LS_KNN_SHORT, LS_KNN_BFLOAT, LS_KNN_SPLIT } ls_knn_tiles; /* SPLIT: three parts in bfloat16, float's precision */

/* Those that are fastest here; LS_KNN_FLOAT is the next stage, if it is not the first. */
ls_knn_tiles ls_knn_first_tiles(void);

/* The fastest whose scores are as good as float32's. */
ls_knn_tiles ls_knn_precise_tiles(void);

/* How rows are filtered: by the sizes, the tile and the room for candidates alone. */
typedef struct ls_knn_plan {
  ls_knn_tiles tiles;
  size_t steps, capacity; /* of a packed row; places for candidates of a query */
  int32_t tile_queries, tile_rows, chunk, together, panels;
} ls_knn_plan;

/* `most`: candidates of a query, without the room that tiles need. */
ls_knn_plan ls_knn_make_plan(const ls_knn *index, int32_t queries, size_t most, ls_knn_tiles tiles);

/* For all scores of at most `queries` at once; bytes of the packed base at most `chunk`. */
ls_knn_plan ls_knn_score_plan(const ls_knn *index, int32_t queries, size_t chunk, ls_knn_tiles tiles);

/* Of a query: s = a·b (inner products) or a·b - |b|²/2, with a, b scaled. */
typedef struct ls_knn_query {
  ls_knn_error error;
  double middle, low; /* norms of what the high part left, and the middle one, where it was split */
  double norm, scale; /* |a|; what it was multiplied by */
  double slack;       /* of the doubles, on s */
  bool failed;        /* what the filter cannot do: thresholds are infinite, nothing is kept */
} ls_knn_query;

typedef struct ls_knn_filter {
  const ls_knn *index;
  const ls_knn_plan *plan;
  ls_cmat queries;
  const int32_t *which; /* `count` rows of queries, or NULL for the first ones */
  int32_t count, first_row, chunk_rows;
  void *packed_queries, *packed_rows;
  const int32_t *order; /* row of a position; begin and run take the index's unless given */
  float *bias, *threshold, *size, *rest, *most_size, *most_rest, *most_middle, *most_low; /* most_…: of a panel of rows */
  float *query_unit, *row_unit; /* of integers: of a query, of a panel of rows */
  struct { double size, rest, middle, low; } most; /* of all packed rows */
  float *spare; /* for each thread of the pool: 2 · capacity */
  size_t spare_step;
  ls_knn_error *error;
  ls_knn_queue *queue;
  ls_knn_query *query;
  void (*full)(struct ls_knn_filter *f, size_t query); /* room for LS_KNN_SPARE candidates is wanted, or the end of the query */
  void *context;
} ls_knn_filter;

/* Bytes for the parts of a filter, which are laid out from `memory` on where f is not NULL. A multiple of 64. */
size_t ls_knn_filter_memory(const ls_knn *index, const ls_knn_plan *p, void *memory, ls_knn_filter *f);

/* Packs the plan's `count` queries: thresholds that let everything in. */
void ls_knn_filter_begin(ls_knn_filter *f);

/* Sweeps over all rows. Queues hold positions: row = index->order[position]. Candidates may include any row, the query's own too. */
void ls_knn_filter_run(ls_knn_filter *f);

/* In steps, with panels of queries chosen by the caller: the rows from first_row on, chunk_rows of them; all scores of their first panels, or of all for 0; the candidates
 * of the panels from `from` on. A plan without capacity gives scores without their bound, and the caller gives the queues. */
void ls_knn_filter_pack_rows(ls_knn_filter *f);
void ls_knn_filter_scores(const ls_knn_filter *f, size_t panel, size_t panels, size_t row_panels, float *scores, size_t scores_step);
void ls_knn_filter_sweep(ls_knn_filter *f, size_t panel, size_t panels, size_t from);

/* More than a query's scores of the packed rows can be off, once these are packed. */
double ls_knn_filter_error(const ls_knn_filter *f, size_t query);

static inline const float *ls_knn_filter_query(const ls_knn_filter *f, size_t i) {
  return f->queries.data + (f->which != NULL ? f->which[i] : (ptrdiff_t)i) * f->queries.stride;
}

static inline size_t ls_padded(size_t bytes) { return (bytes + 63) / 64 * 64; }

#endif
