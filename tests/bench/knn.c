/* Exact nearest neighbours of normal rows: knn THREADS BASE QUERIES FEATURES K METRIC REPEATS: prints the smallest and the median time of a search in
 * ms, preparation of the base included, as a flat index needs none. SPDX-License-Identifier: MIT */
#define _POSIX_C_SOURCE 200809L
#include <lsengine/cpu.h>
#include <lsengine/knn.h>
#include <lsengine/pool.h>
#include <lsengine/random.h>

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static ls_err err;

static void check(ls_status status) {
  if (status == LS_OK) return;
  fprintf(stderr, "%s\n", err.message);
  exit(1);
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

static int by_value(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

int main(int argc, char **argv) {
  if (argc != 8) return 2;
  int32_t n = atoi(argv[2]), m = atoi(argv[3]), d = atoi(argv[4]), k = atoi(argv[5]), repeats = atoi(argv[7]);
  ls_metric metric = argv[6][0] == 'i' ? LS_METRIC_INNER_PRODUCT : argv[6][0] == 'c' ? LS_METRIC_COSINE : LS_METRIC_L2;
  check(ls_cpu_start(getenv("LSENGINE_ISA"), &err));
  check(ls_pool_start(atoi(argv[1]), &err));
  ls_rng r;
  ls_rng_seed(&r, 1);
  float *x = malloc(sizeof *x * (size_t)n * d), *q = malloc(sizeof *q * (size_t)m * d), *distances = malloc(sizeof *distances * (size_t)m * k);
  int64_t *rows = malloc(sizeof *rows * (size_t)m * k);
  double *times = malloc(sizeof *times * repeats);
  void *memory = malloc(ls_knn_bytes(n, d, metric)), *scratch = NULL;
  ls_rng_fill_normal(&r, (size_t)n * d, x, 0, 1);
  ls_rng_fill_normal(&r, (size_t)m * d, q, 0, 1);
  for (int i = 0; i < repeats; i++) {
    double began = now();
    ls_knn index;
    check(ls_knn_prepare((ls_cmat){x, n, d, d}, metric, memory, &index, &err));
    if (scratch == NULL) scratch = malloc(ls_knn_search_scratch(&index, m, k));
    check(ls_knn_search(&index, (ls_cmat){q, m, d, d}, k, NULL, scratch, (ls_mat){distances, m, k, k}, rows, NULL, &err));
    times[i] = now() - began;
  }
  qsort(times, repeats, sizeof *times, by_value);
  printf("%.3f %.3f\n", times[0], times[repeats / 2]);
  return 0;
}
