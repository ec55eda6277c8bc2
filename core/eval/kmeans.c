/* k-means. SPDX-License-Identifier: MIT
 *
 * Lloyd 1982 from greedy k-means++ centres. Rows are compared with centres by |c|²/2 - x·c, the products by OpenBLAS in double; points lie around the origin, so
 * that these lose nothing that matters. */
#include <lsengine/clustering.h>
#include <lsengine/pool.h>

#include "core/base/blas.h"
#include "core/eval/features.h"

#include <math.h>
#include <string.h>

enum { PANEL = 4096 };

typedef struct kmeans_space {
  double *products, *offset, *nearest, *candidate, *best, *sums;
  int64_t *sizes;
} kmeans_space;

static size_t panel_rows(int32_t n) { return (size_t)(n < PANEL ? n : PANEL); }

/* products (P,K), offsets (K), distances (3n), sums (K,d), sizes (K) */
size_t ls_kmeans_scratch(int32_t n, int32_t d, int32_t clusters) {
  size_t k = (size_t)clusters;
  return (panel_rows(n) * k + k + 3 * (size_t)n + k * (size_t)d) * sizeof(double) + k * sizeof(int64_t);
}

static kmeans_space lay_out(int32_t n, int32_t d, int32_t clusters, void *scratch) {
  size_t k = (size_t)clusters;
  kmeans_space s;
  s.products = scratch;
  s.offset = s.products + panel_rows(n) * k;
  s.nearest = s.offset + k;
  s.candidate = s.nearest + n;
  s.best = s.candidate + n;
  s.sums = s.best + n;
  s.sizes = (int64_t *)(s.sums + k * (size_t)d);
  return s;
}

typedef struct distance_job {
  const double *points, *to;
  const int32_t *cluster;
  double *out;
  int32_t n, d;
} distance_job;

/* Squared distances of the rows to one point, or each to the centre of its cluster. */
static void distances_of_rows(void *argument, size_t block) {
  const distance_job *j = argument;
  int32_t i = (int32_t)block * LS_FEATURE_ROWS, end = j->n - i < LS_FEATURE_ROWS ? j->n : i + LS_FEATURE_ROWS;
  for (; i < end; i++)
    j->out[i] = ls_square_distance(j->points + (size_t)i * (size_t)j->d, j->to + (j->cluster != NULL ? (size_t)j->cluster[i] * (size_t)j->d : 0), j->d);
}

static void distances(int32_t n, int32_t d, const double *points, const double *to, const int32_t *cluster, double *out) {
  distance_job job = {points, to, cluster, out, n, d};
  ls_parallel(LS_SITE_EVALUATE, ((size_t)n + LS_FEATURE_ROWS - 1) / LS_FEATURE_ROWS, distances_of_rows, &job);
}

static double sum_of(const double *x, int32_t n) {
  double sum = 0.0;
  for (int32_t i = 0; i < n; i++) sum += x[i];
  return sum;
}

/* A row with probability proportional to its squared distance; any row where all are 0. */
static int32_t draw_row(ls_rng *rng, const double *square, int32_t n, double total) {
  double target = ls_rng_double(rng) * total, sum = 0.0;
  int32_t last = 0;
  if (total == 0.0) return (int32_t)ls_rng_integer(rng, 0, n - 1);
  for (int32_t i = 0; i < n; i++) {
    if (square[i] == 0.0) continue;
    sum += square[i];
    last = i;
    if (target < sum) break;
  }
  return last;
}

static void copy_point(double *centres, int32_t k, const double *points, int32_t row, int32_t d) {
  memcpy(centres + (size_t)k * (size_t)d, points + (size_t)row * (size_t)d, (size_t)d * sizeof *centres);
}

static void plus_plus(int32_t n, int32_t d, const double *points, int32_t clusters, ls_rng *rng, kmeans_space *s, double *centres) {
  int trials = 2 + (int)log((double)clusters);
  copy_point(centres, 0, points, (int32_t)ls_rng_integer(rng, 0, n - 1), d);
  distances(n, d, points, centres, NULL, s->nearest);
  double total = sum_of(s->nearest, n);
  for (int32_t k = 1; k < clusters; k++) {
    double least = INFINITY;
    int32_t chosen = 0;
    for (int t = 0; t < trials; t++) {
      int32_t row = draw_row(rng, s->nearest, n, total);
      distances(n, d, points, points + (size_t)row * (size_t)d, NULL, s->candidate);
      for (int32_t i = 0; i < n; i++) s->candidate[i] = fmin(s->candidate[i], s->nearest[i]);
      double sum = sum_of(s->candidate, n);
      if (sum >= least) continue;
      least = sum;
      chosen = row;
      double *swap = s->best;
      s->best = s->candidate;
      s->candidate = swap;
    }
    copy_point(centres, k, points, chosen, d);
    double *swap = s->nearest;
    s->nearest = s->best;
    s->best = swap;
    total = least;
  }
}

/* The nearest centre of each row; true where one changed. */
static bool assign(int32_t n, int32_t d, const double *points, int32_t clusters, const double *centres, kmeans_space *s, int32_t *cluster) {
  bool changed = false;
  for (int32_t k = 0; k < clusters; k++) s->offset[k] = 0.5 * ls_dot(centres + (size_t)k * (size_t)d, centres + (size_t)k * (size_t)d, d);
  for (int32_t first = 0; first < n; first += PANEL) {
    int32_t rows = n - first < PANEL ? n - first : PANEL;
    ls_gemm_double(false, true, rows, clusters, d, points + (size_t)first * (size_t)d, d, centres, d, 0.0, s->products, clusters);
    for (int32_t i = 0; i < rows; i++) {
      const double *product = s->products + (size_t)i * (size_t)clusters;
      int32_t best = 0;
      for (int32_t k = 1; k < clusters; k++)
        if (product[k] - s->offset[k] > product[best] - s->offset[best]) best = k;
      changed = changed || cluster[first + i] != best;
      cluster[first + i] = best;
    }
  }
  return changed;
}

typedef struct centre_job {
  const double *points;
  const int32_t *cluster;
  double *sums;
  int32_t n, d;
} centre_job;

static void sum_columns(void *argument, size_t block) {
  const centre_job *j = argument;
  int32_t first = (int32_t)block * LS_FEATURE_COLS, end = j->d - first < LS_FEATURE_COLS ? j->d : first + LS_FEATURE_COLS;
  for (int32_t i = 0; i < j->n; i++) {
    const double *row = j->points + (size_t)i * (size_t)j->d;
    double *to = j->sums + (size_t)j->cluster[i] * (size_t)j->d;
    for (int32_t c = first; c < end; c++) to[c] += row[c];
  }
}

/* Clusters without rows take over, one after the other, the row farthest from its centre, from clusters that keep one. Where all rows lie on their centres (fewer
 * different rows than clusters) they stay empty and keep their centres. */
static void fill_empty(int32_t n, int32_t d, const double *points, int32_t clusters, const double *centres, kmeans_space *s, int32_t *cluster) {
  bool measured = false;
  for (int32_t k = 0; k < clusters; k++) {
    if (s->sizes[k] > 0) continue;
    if (!measured) distances(n, d, points, centres, cluster, s->candidate);
    measured = true;
    int32_t farthest = -1;
    for (int32_t i = 0; i < n; i++)
      if (s->sizes[cluster[i]] > 1 && (farthest < 0 || s->candidate[i] > s->candidate[farthest])) farthest = i;
    if (farthest < 0 || s->candidate[farthest] <= 0.0) return;
    s->sizes[cluster[farthest]]--;
    s->sizes[k] = 1;
    cluster[farthest] = k;
    s->candidate[farthest] = -1.0;
  }
}

static void move_centres(int32_t n, int32_t d, const double *points, int32_t clusters, kmeans_space *s, int32_t *cluster, double *centres) {
  memset(s->sizes, 0, (size_t)clusters * sizeof *s->sizes);
  for (int32_t i = 0; i < n; i++) s->sizes[cluster[i]]++;
  fill_empty(n, d, points, clusters, centres, s, cluster);
  memset(s->sums, 0, (size_t)clusters * (size_t)d * sizeof *s->sums);
  centre_job job = {points, cluster, s->sums, n, d};
  ls_parallel(LS_SITE_EVALUATE, ((size_t)d + LS_FEATURE_COLS - 1) / LS_FEATURE_COLS, sum_columns, &job);
  for (int32_t k = 0; k < clusters; k++)
    for (int32_t j = 0; s->sizes[k] > 0 && j < d; j++) centres[(size_t)k * (size_t)d + (size_t)j] = s->sums[(size_t)k * (size_t)d + (size_t)j] / (double)s->sizes[k];
}

ls_status ls_kmeans_run(int32_t n, int32_t d, const double *points, const ls_kmeans_options *o, const double *starts, ls_rng *rng, void *scratch, double *centres,
                        int32_t *cluster, ls_kmeans *out, ls_err *err) {
  ls_kmeans r = {0};
  if (o->clusters < 1 || o->clusters > n) return ls_fail(err, LS_ERANGE, "clusters is %d, allowed is 1 to the number of rows, %d", o->clusters, n);
  if (o->iterations < 1) return ls_fail(err, LS_ERANGE, "iterations is %d, at least 1 is allowed", o->iterations);
  ls_status status = ls_blas_need(err);
  if (status != LS_OK) return status;
  kmeans_space s = lay_out(n, d, o->clusters, scratch);
  if (starts != NULL)
    memcpy(centres, starts, (size_t)o->clusters * (size_t)d * sizeof *centres);
  else
    plus_plus(n, d, points, o->clusters, rng, &s, centres);
  for (int32_t i = 0; i < n; i++) cluster[i] = -1;
  while (r.iterations < o->iterations) {
    r.iterations++;
    if (!assign(n, d, points, o->clusters, centres, &s, cluster)) {
      r.converged = true;
      break;
    }
    move_centres(n, d, points, o->clusters, &s, cluster, centres);
  }
  distances(n, d, points, centres, cluster, s.candidate);
  r.inertia = sum_of(s.candidate, n);
  *out = r;
  return LS_OK;
}
