/* Clustering. SPDX-License-Identifier: MIT */
#include "bindings/measures.h"
#include "bindings/random.h"

#include <lsengine/clustering.h>

#include <math.h>
#include <string.h>

static ls_cluster_metric check_metric(lua_State *L, int index, const char *name) {
  const char *text = lsb_check_string(L, index, name, "metric", NULL);
  if (strcmp(text, "cosine") != 0 && strcmp(text, "euclidean") != 0) lsb_fail(L, name, "metric is \"%.40s\", allowed are cosine, euclidean", text);
  return text[0] == 'c' ? LS_CLUSTER_COSINE : LS_CLUSTER_EUCLIDEAN;
}

/* Pushes the points of the features, as doubles. */
static double *push_points(lua_State *L, const char *name, ls_cmat x, ls_cluster_metric metric) {
  ls_err err;
  double *points = lsb_new_scratch(L, name, (size_t)x.rows * (size_t)x.cols * sizeof *points);
  void *scratch = lsb_new_scratch(L, name, ls_clustering_points_scratch(x));
  if (ls_clustering_points(x, metric, scratch, points, &err) != LS_OK) lsb_raise(L, name, &err);
  lua_pop(L, 1);
  return points;
}

/* silhouette(features, labels, metric) */
static int silhouette(lua_State *L) {
  double value;
  ls_err err;
  lua_settop(L, 3);
  ls_cmat x = lsb_check_matrix(L, 1, "silhouette", "features");
  ls_cluster_metric metric = check_metric(L, 3, "silhouette");
  lsb_groups g = lsb_check_groups(L, 2, "silhouette", "labels", x.rows, "features");
  double *points = push_points(L, "silhouette", x, metric);
  void *scratch = lsb_new_scratch(L, "silhouette", ls_silhouette_scratch(x.rows, g.count));
  if (ls_silhouette(x.rows, x.cols, points, metric, g.of_row, g.count, scratch, NULL, &value, &err) != LS_OK) return lsb_raise(L, "silhouette", &err);
  lua_pushnumber(L, value);
  return 1;
}

/* kmeans(features, clusters, metric, restarts, iterations, rng, starts or nil): clusters of the rows (from 0), centres, inertia, iterations, whether it
 * converged. Each restart has a stream of its own; the first of the least inertia is kept. Centres of "euclidean" lie in the space of the features, of
 * "cosine" in that of unit vectors. */
static int kmeans(lua_State *L) {
  ls_err err;
  ls_kmeans best = {.inertia = INFINITY}, run;
  lua_settop(L, 7);
  ls_cmat x = lsb_check_matrix(L, 1, "kmeans", "features"), starts = {0};
  ls_kmeans_options o = {.clusters = lsb_check_int(L, 2, "kmeans", "clusters", 1, INT32_MAX), .iterations = lsb_check_int(L, 5, "kmeans", "iterations", 1, INT32_MAX)};
  ls_cluster_metric metric = check_metric(L, 3, "kmeans");
  int32_t restarts = lsb_check_int(L, 4, "kmeans", "restarts", 1, INT32_MAX);
  ls_rng *rng = lsb_check_rng(L, 6, "kmeans"), stream;
  if (o.clusters > x.rows) return lsb_fail(L, "kmeans", "clusters is %d, allowed is 1 to the number of rows, %d", o.clusters, x.rows);
  if (!lua_isnil(L, 7)) {
    starts = lsb_check_matrix(L, 7, "kmeans", "starts");
    if (starts.rows != o.clusters || starts.cols != x.cols)
      return lsb_fail(L, "kmeans", "starts are %dx%d, %dx%d is required", starts.rows, starts.cols, o.clusters, x.cols);
  }
  size_t count = (size_t)o.clusters * (size_t)x.cols, n = (size_t)x.rows;
  double *points = push_points(L, "kmeans", x, metric), *mean = lsb_new_scratch(L, "kmeans", (size_t)x.cols * sizeof *mean);
  double *centres = lsb_new_scratch(L, "kmeans", 3 * count * sizeof *centres), *kept = centres + count, *first = kept + count;
  int32_t *cluster = lsb_new_scratch(L, "kmeans", 2 * n * sizeof *cluster), *kept_cluster = cluster + n;
  void *scratch = lsb_new_scratch(L, "kmeans", ls_kmeans_scratch(x.rows, x.cols, o.clusters));
  lsb_labels *labels = lsb_new_labels(L, "kmeans", n);
  lsb_tensor *answer = lsb_new_matrix(L, "kmeans", o.clusters, x.cols);

  for (int32_t j = 0; j < x.cols; j++) mean[j] = metric == LS_CLUSTER_EUCLIDEAN ? (double)x.data[j] - points[j] : 0.0; /* what was taken off */
  for (size_t i = 0; starts.data != NULL && i < count; i++) {
    float value = starts.data[(ptrdiff_t)(i / (size_t)x.cols) * starts.stride + (ptrdiff_t)(i % (size_t)x.cols)];
    if (!isfinite(value)) return lsb_fail(L, "kmeans", "starts[%zu] is not a finite number in column %zu", i / (size_t)x.cols + 1, i % (size_t)x.cols + 1);
    first[i] = (double)value - mean[i % (size_t)x.cols];
  }
  for (int32_t r = 0; r < restarts && (r == 0 || !lsb_interrupted()); r++) {
    ls_rng_spawn(rng, "restart", 7, (uint64_t)r, &stream);
    if (ls_kmeans_run(x.rows, x.cols, points, &o, starts.data != NULL ? first : NULL, &stream, scratch, centres, cluster, &run, &err) != LS_OK)
      return lsb_raise(L, "kmeans", &err);
    if (run.inertia >= best.inertia) continue;
    best = run;
    memcpy(kept, centres, count * sizeof *kept);
    memcpy(kept_cluster, cluster, n * sizeof *kept_cluster);
  }
  for (size_t i = 0; i < n; i++) labels->values[i] = kept_cluster[i];
  for (size_t i = 0; i < count; i++) answer->view.data[i] = (float)(kept[i] + mean[i % (size_t)x.cols]);
  lua_pushnumber(L, best.inertia);
  lua_pushinteger(L, best.iterations);
  lua_pushboolean(L, best.converged);
  return 5;
}

/* agreement(a, b): a table of measures of two partitions of the same rows. */
static int agreement(lua_State *L) {
  ls_agreement r;
  ls_err err;
  lua_settop(L, 2);
  lsb_labels *of_a = lsb_check_labels(L, 1, "agreement", "a");
  if (of_a->count > INT32_MAX) return lsb_fail(L, "agreement", "%zu labels are too many", of_a->count);
  int32_t n = (int32_t)of_a->count;
  lsb_groups a = lsb_check_groups(L, 1, "agreement", "a", n, "a"), b = lsb_check_groups(L, 2, "agreement", "b", n, "a");
  void *scratch = lsb_new_scratch(L, "agreement", ls_agreement_scratch(n, a.count, b.count));
  if (ls_agree(n, a.of_row, a.count, b.of_row, b.count, scratch, &r, &err) != LS_OK) return lsb_raise(L, "agreement", &err);
  const lsb_field fields[] = {{"nmi", r.nmi}, {"ami", r.ami}, {"ari", r.ari}, {"homogeneity", r.homogeneity}, {"completeness", r.completeness},
                              {"v_measure", r.v_measure}, {"mutual_information", r.mutual_information}, {"entropy_a", r.entropy_a}, {"entropy_b", r.entropy_b}};
  LSB_PUSH_FIELDS(L, fields);
  return 1;
}

int lsb_open_clustering(lua_State *L) {
  static const luaL_Reg functions[] = {{"silhouette", silhouette}, {"kmeans", kmeans}, {"agreement", agreement}, {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}
