/* The float tile of the nearest-neighbour search, and what thins candidates, compiled once for each instruction set. SPDX-License-Identifier: MIT
 *
 * With FMA (-ffp-contract=fast for this file): the sets differ in rounding, which the bound of the candidates covers; the answers do not. Features beyond STEPS go in
 * parts, so that a panel of rows stays in the first cache. */
#include "core/kernels/knn_tile.h"

#include <math.h>

#define LS_PASTE_(a, b) a##b
#define LS_PASTE(a, b) LS_PASTE_(a, b)
#define LS_KNN_NAME LS_PASTE(ls_knn_kernels_, LS_ISA)
#define LS_KNN_VALUES LS_PASTE(ls_knn_values_, LS_ISA)

void LS_KNN_VALUES(ls_metric metric, int32_t d, const float *query, double query_inverse, size_t count, const float *const *rows, const double *inverse, double *out);

enum { STEPS = 256 };

static inline void tile(const ls_knn_sweep *s, size_t panel, const float *b, const float *bias, int32_t first, size_t from, size_t to, float *partial) {
  vector sum[QUERIES][VECTORS];
  const float *a = (const float *)s->queries + panel * s->steps * QUERIES + from * QUERIES;
  if (from == 0)
    for (int v = 0; v < VECTORS; v++) {
      vector start = *(const vector *)(bias + v * LANES);
      for (int q = 0; q < QUERIES; q++) sum[q][v] = start;
    }
  else
    for (int q = 0; q < QUERIES; q++)
      for (int v = 0; v < VECTORS; v++) sum[q][v] = *(const vector *)(partial + q * ROWS + v * LANES);
  for (size_t step = from; step < to; step++, a += QUERIES, b += ROWS) {
    vector x[VECTORS];
    for (int v = 0; v < VECTORS; v++) x[v] = *(const vector *)(b + v * LANES);
    for (int q = 0; q < QUERIES; q++)
      for (int v = 0; v < VECTORS; v++) sum[q][v] += a[q] * x[v];
  }
  if (to < s->steps) {
    for (int q = 0; q < QUERIES; q++)
      for (int v = 0; v < VECTORS; v++) *(vector *)(partial + q * ROWS + v * LANES) = sum[q][v];
    return;
  }
  if (s->scores != NULL) {
    for (int q = 0; q < QUERIES; q++)
      for (int v = 0; v < VECTORS; v++) *(vector *)(s->scores + (panel * QUERIES + (size_t)q) * s->scores_step + (size_t)first + v * LANES) = sum[q][v];
    return;
  }
  uint32_t word[WORDS];
  const float *threshold = s->threshold + panel * QUERIES;
  if (find(sum, threshold, word) != 0) keep(s, panel, first, sum, threshold, word);
}

static void sweep(const ls_knn_sweep *s) {
  float partial[LS_KNN_PANELS * QUERIES * ROWS];
  for (size_t p = 0; p < s->row_panels; p++) {
    const float *rows = (const float *)s->rows + p * s->steps * ROWS, *bias = s->bias + p * ROWS;
    int32_t first = s->first + (int32_t)p * ROWS;
    for (size_t from = 0; from < s->steps;) {
      size_t to = s->steps - from < STEPS + STEPS / 2 ? s->steps : from + STEPS;
      for (size_t panel = 0; panel < s->panels; panel++)
        tile(s, panel, rows + from * ROWS, bias, first, from, to, partial + panel * QUERIES * ROWS);
      from = to;
    }
  }
}

/* ---- thinning ---- */

static int32_t count_from(const float *v, int32_t n, float least) {
  int32_t count = 0;
  for (int32_t i = 0; i < n; i++) count += v[i] >= least;
  return count;
}

/* A number that at least k of the n reach, and few more than k: by halving the range that holds the k-th largest. */
static float reached_by(const float *v, int32_t n, int32_t k) {
  float low = v[0], high = v[0];
  for (int32_t i = 0; i < n; i++) {
    low = v[i] < low ? v[i] : low;
    high = v[i] > high ? v[i] : high;
  }
  for (int step = 0; step < 30; step++) {
    float middle = 0.5f * low + 0.5f * high;
    if (!(middle > low && middle < high)) break;
    int32_t count = count_from(v, n, middle);
    if (count >= k)
      low = middle;
    else
      high = middle;
    if (count >= k && count <= k + k / 16) break;
  }
  return low;
}

static float thin(const ls_knn_thinning *t) {
  ls_knn_queue *q = t->queue;
  float *upper = t->spare, *lower = t->spare + q->capacity;
  int32_t n = q->count, kept = 0;
  ls_knn_error e = t->error;
  for (int32_t i = 0; i < n; i++) {
    float size = t->size[q->row[i]], error = e.a * size + e.c * size * size;
    if (t->rest != NULL) error += e.b * t->rest[q->row[i]];
    upper[i] = q->score[i] + t->above * error;
    lower[i] = q->score[i] - t->below * error;
  }
  float threshold = reached_by(lower, n, t->k);
  threshold -= 0x1p-21f * fabsf(threshold) + t->slack; /* 2^-21: the roundings to float on the way */
  for (int32_t i = 0; i < n; i++) {
    q->score[kept] = q->score[i];
    q->row[kept] = q->row[i];
    kept += upper[i] >= threshold;
  }
  q->count = kept;
  return threshold;
}

const ls_knn_kernels LS_KNN_NAME = {.queries = QUERIES,
                                    .rows = ROWS,
                                    .sweep = sweep,
                                    .thin = thin,
                                    .values = LS_KNN_VALUES,
                                    .rank = LS_PASTE(ls_rank_, LS_ISA),
                                    .rank_candidates = LS_PASTE(ls_rank_candidates_, LS_ISA),
                                    .rank_draw = LS_PASTE(ls_rank_draw_, LS_ISA),
                                    .near = LS_PASTE(ls_near_, LS_ISA)};
