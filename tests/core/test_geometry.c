/* Geometry, clustering, probe, comparison against oracles written pair by pair; the same bits with any number of threads. SPDX-License-Identifier: MIT */
#include "test.h"

#include <lsengine/clustering.h>
#include <lsengine/compare.h>
#include <lsengine/geometry.h>
#include <lsengine/pool.h>
#include <lsengine/probe.h>

enum { N = 700, D = 37, K = 6, ROOM = 1 << 25 };

static float x[N * D], w[K * D];
static int64_t y[N];
static int32_t group[N];
static _Alignas(64) char scratch[ROOM];

static const ls_cmat features = {x, N, D, D};

static void draw(double offset, double spread) {
  ls_rng rng;
  ls_rng_seed(&rng, 4);
  for (int i = 0; i < K * D; i++) w[i] = (float)ls_rng_normal(&rng);
  for (int i = 0; i < N; i++) {
    y[i] = group[i] = i < K ? i : (int32_t)ls_rng_integer(&rng, 0, K - 1);
    for (int j = 0; j < D; j++) x[i * D + j] = (float)(w[group[i] * D + j] + spread * ls_rng_normal(&rng) + offset);
  }
}

static double cosine_distance(const float *a, const float *b) {
  double ab = 0, aa = 0, bb = 0;
  for (int j = 0; j < D; j++) ab += (double)a[j] * b[j], aa += (double)a[j] * a[j], bb += (double)b[j] * b[j];
  return 1 - ab / sqrt(aa * bb);
}

static void scatter_is_that_of_all_pairs(void **state) {
  (void)state;
  ls_scatter s;
  double block[K][K] = {{0}}, count[K] = {0}, within = 0, total = 0, pairs = 0, near = 0;
  draw(0.3, 1.0);
  assert_true(ls_scatter_scratch(features, K) <= ROOM);
  assert_ok(ls_measure_scatter(features, group, K, scratch, &s, err));
  for (int i = 0; i < N; i++) {
    count[group[i]]++;
    for (int j = 0; j < N; j++) {
      double d = cosine_distance(x + i * D, x + j * D);
      block[group[i]][group[j]] += d;
      if (i != j && group[i] == group[j]) near += 2 * d, pairs++;
    }
  }
  for (int k = 0; k < K; k++) {
    within += block[k][k] / (count[k] * count[k]) / K;
    for (int l = 0; l < K; l++) total += block[k][l] / (count[k] * count[l]) / (K * K);
  }
  assert_close(s.within, within, 1e-11, 0);
  assert_close(s.total, total, 1e-11, 0);
  assert_close(s.separation, 1 - within / total, 1e-10, 0);
  assert_close(s.alignment, near / pairs, 1e-10, 0);
  assert_close(s.total, (s.within + (K - 1) * s.between) / K, 1e-12, 0); /* pairs of classes: 1 in K is of a class with itself */
}

static void labels_become_places_in_order(void **state) {
  (void)state;
  const int64_t labels[] = {7, INT64_MIN, 7, INT64_MAX, -1};
  int64_t names[5];
  int32_t places[5], classes;
  assert_ok(ls_group_labels(5, labels, scratch, places, names, &classes, err));
  assert_int_equal(classes, 4);
  const int32_t want[] = {2, 0, 2, 3, 1};
  assert_memory_equal(places, want, sizeof want);
  assert_true(names[0] == INT64_MIN && names[1] == -1 && names[2] == 7 && names[3] == INT64_MAX);
  assert_fails(ls_group_labels(0, labels, scratch, places, names, &classes, err), LS_ERANGE, "there are 0 labels");
}

static double silhouette_oracle(void) {
  double total = 0;
  for (int i = 0; i < N; i++) {
    double sum[K] = {0}, count[K] = {0}, b = INFINITY;
    for (int j = 0; j < N; j++) sum[group[j]] += cosine_distance(x + i * D, x + j * D), count[group[j]]++;
    for (int k = 0; k < K; k++)
      if (k != group[i]) b = fmin(b, sum[k] / count[k]);
    double a = sum[group[i]] / (count[group[i]] - 1);
    total += (b - a) / fmax(a, b);
  }
  return total / N;
}

static void the_silhouette_is_that_of_all_pairs(void **state) {
  (void)state;
  static double points[N * D];
  double value;
  draw(0.3, 1.0);
  assert_ok(ls_clustering_points(features, LS_CLUSTER_COSINE, scratch, points, err));
  assert_ok(ls_silhouette(N, D, points, LS_CLUSTER_COSINE, group, K, scratch, NULL, &value, err));
  assert_close(value, silhouette_oracle(), 1e-10, 0);
}

/* The objective of the probe, written apart. */
static double probe_objective(const double *points, const double *weights, double l2) {
  double loss = 0, square = 0;
  for (int i = 0; i < N; i++) {
    double z[K], sum = 0, most = -INFINITY;
    for (int k = 0; k < K; k++) {
      z[k] = weights[k * (D + 1) + D];
      for (int j = 0; j < D; j++) z[k] += weights[k * (D + 1) + j] * points[i * D + j];
      most = fmax(most, z[k]);
    }
    for (int k = 0; k < K; k++) sum += exp(z[k] - most);
    loss += log(sum) + most - z[group[i]];
  }
  for (int k = 0; k < K; k++)
    for (int j = 0; j < D; j++) square += weights[k * (D + 1) + j] * weights[k * (D + 1) + j];
  return loss / N + 0.5 * l2 * square;
}

static void the_probe_ends_where_the_objective_is_flat(void **state) {
  (void)state;
  static double points[N * D], weights[K * (D + 1)], mean[D], scale[D];
  int64_t size;
  ls_probe fit;
  const ls_probe_options o = {.l2 = 0.01, .tolerance = 1e-9, .iterations = 1000};
  draw(1000.0, 3.0);
  memset(weights, 0, sizeof weights);
  assert_ok(ls_probe_scale(features, true, mean, scale, &size, err));
  ls_probe_points(features, mean, scale, points);
  assert_true(ls_probe_scratch(N, D, K) <= ROOM);
  assert_ok(ls_probe_fit(N, D, points, group, K, &o, scratch, weights, &fit, err));
  assert_true(fit.converged && fit.gradient <= 1e-9);
  double value = probe_objective(points, weights, o.l2);
  assert_close(fit.objective, value, 1e-12, 0);
  for (int i = 0; i < K * (D + 1); i += 7) { /* the objective is convex: flat in every direction tried is the minimum */
    const double step = 1e-4;
    double kept = weights[i], up, down;
    weights[i] = kept + step;
    up = probe_objective(points, weights, o.l2);
    weights[i] = kept - step;
    down = probe_objective(points, weights, o.l2);
    weights[i] = kept;
    assert_close((up - down) / (2 * step), 0, 0, 1e-8);
    assert_true(up >= value - 1e-13 && down >= value - 1e-13);
  }
}

/* Everything of this file in one struct of numbers: the bytes must not depend on threads. */
typedef struct all {
  ls_scatter scatter;
  ls_collapse collapse;
  ls_rank rank;
  ls_kmeans kmeans;
  ls_comparison comparison;
  ls_interval interval;
  double uniformity, cka, silhouette, information, weights[K * (D + 1)], centres[K * D];
  int32_t cluster[N];
} all;

static void measure(all *a) {
  static double points[N * D], mean[D], scale[D], rows[N], means[N], z[N];
  int64_t size;
  ls_rng rng;
  ls_probe fit;
  const ls_kmeans_options k = {.clusters = K, .iterations = 100};
  const ls_probe_options p = {.l2 = 0.1, .tolerance = 1e-6, .iterations = 50};
  const ls_compare_options c = {.bins = 15, .resamples = 100, .level = 0.95};
  memset(a, 0, sizeof *a);
  ls_rng_seed(&rng, 9);
  assert_ok(ls_measure_scatter(features, group, K, scratch, &a->scatter, err));
  assert_ok(ls_neural_collapse(features, group, K, (ls_cmat){w, K, D, D}, NULL, scratch, &a->collapse, err));
  assert_ok(ls_effective_rank(features, scratch, &a->rank, err));
  assert_ok(ls_uniformity(features, 2, scratch, &a->uniformity, err));
  assert_ok(ls_cka(features, (ls_cmat){x, N, D / 2, D}, scratch, &a->cka, err));
  assert_ok(ls_mutual_information(features, (ls_cmat){0}, rows, means, &a->information, err));
  assert_ok(ls_clustering_points(features, LS_CLUSTER_COSINE, scratch, points, err));
  assert_ok(ls_silhouette(N, D, points, LS_CLUSTER_COSINE, group, K, scratch, NULL, &a->silhouette, err));
  assert_ok(ls_kmeans_run(N, D, points, &k, NULL, &rng, scratch, a->centres, a->cluster, &a->kmeans, err));
  assert_ok(ls_probe_scale(features, true, mean, scale, &size, err));
  ls_probe_points(features, mean, scale, points);
  assert_ok(ls_probe_fit(N, D, points, group, K, &p, scratch, a->weights, &fit, err));
  assert_ok(ls_compare((ls_cmat){x, N, K, D}, (ls_cmat){x + K, N, K, D}, y, &c, &rng, scratch, &a->comparison, err));
  for (int i = 0; i < N; i++) z[i] = x[i];
  assert_ok(ls_bootstrap(N, z, LS_STATISTIC_MEDIAN, 200, 0.95, LS_BCA, &rng, scratch, &a->interval, err));
}

static void threads_give_the_same_bits(void **state) {
  (void)state;
  static all want, got;
  draw(0.2, 1.0);
  uint64_t before = ls_pool_blocks(LS_SITE_EVALUATE);
  measure(&want);
  for (int threads = 2; threads <= 5; threads += 3) {
    assert_ok(ls_pool_start(threads, err));
    measure(&got);
    assert_memory_equal(&got, &want, sizeof got);
    ls_pool_stop();
  }
  assert_true(ls_pool_blocks(LS_SITE_EVALUATE) > before);
}

/* Fewer different rows than clusters: the run ends, clusters stay empty, centres stay finite. */
static void clusters_without_rows_end_the_run(void **state) {
  (void)state;
  static double points[40 * 2], centres[10 * 2];
  int32_t cluster[40];
  ls_rng rng;
  ls_kmeans run;
  ls_rng_seed(&rng, 1);
  for (int i = 0; i < 40; i++) points[2 * i] = i % 3, points[2 * i + 1] = -(i % 3);
  assert_ok(ls_kmeans_run(40, 2, points, &(ls_kmeans_options){10, 300}, NULL, &rng, scratch, centres, cluster, &run, err));
  assert_true(run.converged && run.inertia == 0);
  for (int i = 0; i < 20; i++) assert_true(isfinite(centres[i]));
  /* two centres at the same far place: one starts empty and takes the farthest row */
  double starts[] = {0, 0, 900, 900, 900, 900};
  assert_ok(ls_kmeans_run(40, 2, points, &(ls_kmeans_options){3, 300}, starts, NULL, scratch, centres, cluster, &run, err));
  assert_true(run.converged && run.inertia == 0);
  assert_fails(ls_kmeans_run(40, 2, points, &(ls_kmeans_options){41, 300}, starts, NULL, scratch, centres, cluster, &run, err), LS_ERANGE, "clusters is 41, allowed is 1 to the number of rows, 40");
}

static void nothing_is_written_on_error(void **state) {
  (void)state;
  ls_scatter s, before;
  ls_collapse c, c_before;
  draw(0, 1);
  memset(&s, 7, sizeof s);
  memset(&c, 7, sizeof c);
  before = s;
  c_before = c;
  x[5 * D + 3] = NAN;
  assert_fails(ls_measure_scatter(features, group, K, scratch, &s, err), LS_EVALUE, "features[6] is NaN in column 4");
  assert_fails(ls_neural_collapse(features, group, K, (ls_cmat){0}, NULL, scratch, &c, err), LS_EVALUE, "features[6] is NaN in column 4");
  x[5 * D + 3] = 1;
  memset(x + 9 * D, 0, D * sizeof *x);
  assert_fails(ls_measure_scatter(features, group, K, scratch, &s, err), LS_EVALUE, "features[10] is a row of zeros, which has no direction");
  memset(w + 2 * D, 0, D * sizeof *w);
  assert_fails(ls_neural_collapse(features, group, K, (ls_cmat){w, K, D, D}, NULL, scratch, &c, err), LS_ERANGE, "a row of zeros is weight 3 of 6: it has no direction");
  assert_memory_equal(&s, &before, sizeof s);
  assert_memory_equal(&c, &c_before, sizeof c);
}

static void a_row_left_out_is_noticed(void **state) {
  (void)state;
  ls_scatter all_rows, fewer;
  draw(0.3, 1.0);
  assert_ok(ls_measure_scatter(features, group, K, scratch, &all_rows, err));
  assert_ok(ls_measure_scatter((ls_cmat){x, N - 1, D, D}, group, K, scratch, &fewer, err));
  assert_true(fabs(all_rows.within - fewer.within) > 1e-9);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(scatter_is_that_of_all_pairs), cmocka_unit_test(labels_become_places_in_order), cmocka_unit_test(the_silhouette_is_that_of_all_pairs),
      cmocka_unit_test(the_probe_ends_where_the_objective_is_flat), cmocka_unit_test(threads_give_the_same_bits), cmocka_unit_test(clusters_without_rows_end_the_run),
      cmocka_unit_test(nothing_is_written_on_error), cmocka_unit_test(a_row_left_out_is_noticed),
  };
  return run_suite(tests);
}
