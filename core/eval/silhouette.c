/* Points for clustering, and the silhouette. SPDX-License-Identifier: MIT */
#include <lsengine/clustering.h>
#include <lsengine/pool.h>

#include "core/eval/features.h"

#include <math.h>
#include <string.h>

enum { ROWS = 8 }; /* of a block */

size_t ls_clustering_points_scratch(ls_cmat x) { return ((size_t)x.rows + (size_t)x.cols) * sizeof(double) + sizeof(int64_t); }

ls_status ls_clustering_points(ls_cmat x, ls_cluster_metric metric, void *scratch, double *points, ls_err *err) {
  double *inverse = scratch, *mean = inverse + x.rows;
  ls_status status = ls_check_features(x, "features", err);
  if (status == LS_OK && metric == LS_CLUSTER_COSINE) status = ls_inverse_norms(x, "features", inverse, err);
  if (status != LS_OK) return status;
  if (metric == LS_CLUSTER_EUCLIDEAN) ls_class_means(x, NULL, NULL, 1, mean, (int64_t *)(mean + x.cols));
  ls_deviating_rows(x, metric == LS_CLUSTER_COSINE ? inverse : NULL, NULL, metric == LS_CLUSTER_COSINE ? NULL : mean, 0, x.rows, points);
  return LS_OK;
}

typedef struct silhouette_job {
  int32_t n, d, classes;
  const double *points;
  ls_cluster_metric metric;
  const int32_t *group;
  const int64_t *sizes;
  double *sums, *out; /* sums: of distances to each class, for each block of rows */
} silhouette_job;

static void silhouette_of_rows(void *argument, size_t block) {
  const silhouette_job *j = argument;
  int32_t i = (int32_t)block * ROWS, end = j->n - i < ROWS ? j->n : i + ROWS;
  double *sums = j->sums + block * (size_t)j->classes;
  for (; i < end; i++) {
    const double *own_point = j->points + (size_t)i * (size_t)j->d;
    memset(sums, 0, (size_t)j->classes * sizeof *sums);
    for (int32_t other = 0; other < j->n; other++) {
      double square = ls_square_distance(own_point, j->points + (size_t)other * (size_t)j->d, j->d);
      sums[j->group[other]] += j->metric == LS_CLUSTER_COSINE ? 0.5 * square : sqrt(square); /* of unit vectors |u - v|² = 2(1 - cos) */
    }
    int32_t own = j->group[i];
    double a = 0.0, b = INFINITY;
    for (int32_t k = 0; k < j->classes; k++)
      if (k != own) b = fmin(b, sums[k] / (double)j->sizes[k]);
    if (j->sizes[own] > 1) a = sums[own] / (double)(j->sizes[own] - 1);
    j->out[i] = j->sizes[own] < 2 || fmax(a, b) == 0.0 ? 0.0 : (b - a) / fmax(a, b);
  }
}

/* each row's, sums by class for each block, sizes */
size_t ls_silhouette_scratch(int32_t n, int32_t classes) {
  size_t blocks = ((size_t)n + ROWS - 1) / ROWS;
  return ((size_t)n + blocks * (size_t)classes) * sizeof(double) + (size_t)classes * sizeof(int64_t);
}

ls_status ls_silhouette(int32_t n, int32_t d, const double *points, ls_cluster_metric metric, const int32_t *group, int32_t classes, void *scratch, double *rows,
                        double *out, ls_err *err) {
  size_t blocks = ((size_t)n + ROWS - 1) / ROWS;
  double *values = rows != NULL ? rows : scratch, *sums = (double *)scratch + n, total = 0.0;
  int64_t *sizes = (int64_t *)(sums + blocks * (size_t)classes);
  if (classes < 2) return ls_fail(err, LS_ERANGE, "labels hold one class, the silhouette needs at least 2");
  memset(sizes, 0, (size_t)classes * sizeof *sizes);
  for (int32_t i = 0; i < n; i++) sizes[group[i]]++;
  silhouette_job job = {n, d, classes, points, metric, group, sizes, sums, values};
  ls_parallel(LS_SITE_EVALUATE, blocks, silhouette_of_rows, &job);
  for (int32_t i = 0; i < n; i++) total += values[i];
  *out = total / (double)n;
  return LS_OK;
}
