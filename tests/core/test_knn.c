/* Nearest neighbours against a plain search in double. SPDX-License-Identifier: MIT
 *
 * The oracle is a loop over all rows, features in order, sorted by (value, row): what <lsengine/knn.h> promises. All positions of all queries must agree. */
#include "nearest.h"
#include "test.h"

#include <lsengine/cpu.h>
#include <lsengine/knn.h>
#include <lsengine/pool.h>
#include <lsengine/random.h>

enum { N = 3000, M = 1000, D = 24, K = 12, WIDE = 300 };

static float base[WIDE * 784], queries[40 * 784], distances[M * N], first_distances[M * N];
static int64_t rows[M * N], first_rows[M * N], self[M];
static hit want[N + 1];

_Static_assert(N * D <= WIDE * 784 && M * D <= 40 * 784, "all cases fit");

static ls_knn prepared(ls_metric metric, int n, int d) {
  static char *memory;
  ls_knn index;
  free(memory);
  memory = malloc(ls_knn_bytes(n, d, metric));
  assert_ok(ls_knn_prepare((ls_cmat){base, n, d, d}, metric, memory, &index, err));
  return index;
}

static ls_knn_effort search(const ls_knn *index, int first, int m, int k, const int64_t *without, float *to, int64_t *to_rows) {
  ls_knn_effort effort;
  int d = index->base.cols;
  char *scratch = malloc(ls_knn_search_scratch(index, m, k));
  assert_ok(ls_knn_search(index, (ls_cmat){queries + first * d, m, d, d}, k, without, scratch, (ls_mat){to, m, k, k}, to_rows, &effort, err));
  free(scratch);
  return effort;
}

static void same_bytes(int m, int k) {
  assert_memory_equal(distances, first_distances, sizeof(float) * (size_t)m * (size_t)k);
  assert_memory_equal(rows, first_rows, sizeof(int64_t) * (size_t)m * (size_t)k);
}

static void in_batches(const ls_knn *index, int m, int k, const int64_t *without) {
  for (int batch = 1; batch <= 7; batch += 6)
    for (int i = 0; i < 70 && i + batch <= m; i += batch)
      search(index, i, batch, k, without != NULL ? without + i : NULL, distances + i * k, rows + i * k);
  same_bytes(m, k);
}

/* All positions of m queries at once, on every instruction set; the same bytes in batches and with threads. Returns the effort of the best set. */
static ls_knn_effort holds(const char *what, ls_metric metric, int n, int m, int d, int k, const int64_t *without) {
  ls_knn_effort effort = {0};
  for (int isa = LS_ISA_REF; isa <= LS_ISA_AMX; isa++) {
    if (!ls_cpu_has((ls_isa)isa)) continue;
    assert_ok(ls_cpu_start(ls_isa_name((ls_isa)isa), err));
    ls_knn index = prepared(metric, n, d);
    effort = search(&index, 0, m, k, without, distances, rows);
    if (isa == LS_ISA_REF) {
      memcpy(first_distances, distances, sizeof(float) * (size_t)m * (size_t)k);
      memcpy(first_rows, rows, sizeof(int64_t) * (size_t)m * (size_t)k);
      for (int i = 0; i < m; i++) {
        int count = 0;
        for (int r = 0; r < n; r++) { /* the k nearest so far, in order */
          hit next = {value_of(metric, queries + i * d, base + r * d, d), r};
          if (without != NULL && without[i] == r) continue;
          int at = count < k ? count++ : k;
          for (; at > 0 && want[at - 1].value > next.value; at--) want[at] = want[at - 1];
          want[at] = next;
        }
        for (int p = 0; p < k; p++) {
          if (rows[i * k + p] != want[p].row)
            fail_msg("%s, metric %d, query %d, place %d: row %d, want %d", what, metric, i, p, (int)rows[i * k + p], (int)want[p].row);
          assert_true(distances[i * k + p] == reported(metric, want[p].value));
        }
      }
    }
    same_bytes(m, k);
    in_batches(&index, m, k, without);
    for (int threads = 2; threads <= 5; threads += 3) {
      assert_ok(ls_pool_start(threads, err));
      memset(rows, 0, sizeof(int64_t) * (size_t)m * (size_t)k);
      index = prepared(metric, n, d);
      search(&index, 0, m, k, without, distances, rows);
      same_bytes(m, k);
      ls_pool_stop();
    }
  }
  return effort;
}

static void normal(uint64_t seed, double mean, double deviation) {
  ls_rng r;
  ls_rng_seed(&r, seed);
  ls_rng_fill_normal(&r, sizeof base / sizeof *base, base, mean, deviation);
  ls_rng_fill_normal(&r, sizeof queries / sizeof *queries, queries, mean, deviation);
}

static void gaussian_rows(void **state) {
  (void)state;
  normal(1, 0, 1);
  for (int metric = 0; metric < 3; metric++) {
    ls_knn_effort e = holds("gaussian", (ls_metric)metric, N, M, D, K, NULL);
    assert_true(e.exact == 0 && e.candidates >= M * K && e.candidates < 2 * M * K);
    holds("gaussian, k 200", (ls_metric)metric, N, 60, D, 200, NULL);
    holds("gaussian, all", (ls_metric)metric, N, 20, D, N, NULL);
    holds("odd sizes", (ls_metric)metric, 1001, 37, 7, 5, NULL);
    holds("few rows", (ls_metric)metric, 3, 37, 5, 3, NULL);
    holds("one feature", (ls_metric)metric, 700, 50, 1, 9, NULL);
  }
}

static void features_beyond_a_part_of_the_tile(void **state) {
  (void)state;
  normal(2, 0, 1);
  for (int metric = 0; metric < 3; metric++) {
    assert_int_equal(holds("784 features", (ls_metric)metric, WIDE, 40, 784, 4, NULL).exact, 0);
    assert_int_equal(holds("few rows: in double", (ls_metric)metric, 100, 33, 700, 4, NULL).exact, 33);
  }
  holds("160 features", LS_METRIC_L2, 450, 100, 160, 10, NULL);
}

static void offsets_cost_nothing(void **state) {
  (void)state;
  normal(4, 100, 0.01);
  for (int metric = 0; metric < 3; metric++) {
    ls_knn_effort e = holds("offset", (ls_metric)metric, N, M, D, K, NULL);
    if (metric == LS_METRIC_L2) assert_true(e.exact == 0 && e.candidates < 2 * M * K);
  }
}

static void duplicates_come_by_row_and_overflow_to_the_exact_path(void **state) {
  (void)state;
  normal(5, 0, 1);
  for (int i = 0; i < N; i++) memcpy(base + i * D, base + i % 500 * D, sizeof(float) * D); /* six of each */
  for (int i = 0; i < M; i++) memcpy(queries + i * D, base + i % N * D, sizeof(float) * D);
  for (int metric = 0; metric < 3; metric++) assert_int_equal(holds("six of each", (ls_metric)metric, N, M, D, K, NULL).exact, 0);
  for (int i = 0; i < N; i++) memcpy(base + i * D, base + i % 5 * D, sizeof(float) * D); /* 600 of each */
  for (int metric = 0; metric < 3; metric++) {
    ls_knn_effort e = holds("600 of each", (ls_metric)metric, N, M, D, K, NULL);
    assert_int_equal(e.exact, M);
    assert_int_equal(e.overflowed, M);
  }
}

/* Groups of a hundred rows that bfloat16 cannot tell apart, and float32 can. */
static void what_bfloat16_cannot_decide_goes_to_float32(void **state) {
  (void)state;
  normal(12, 0, 1);
  for (int i = 0; i < N; i++)
    for (int j = 0; j < D; j++) base[i * D + j] = base[i % 6 * D + j] + 3e-3f * base[i * D + j] * (i >= 6);
  for (int i = 0; i < M; i++)
    for (int j = 0; j < D; j++) queries[i * D + j] = base[i % N * D + j] + 3e-2f * queries[i * D + j];
  for (int metric = 0; metric < 3; metric++) {
    ls_knn_effort e = holds("clusters", (ls_metric)metric, N, M, D, K, NULL);
    if (ls_cpu_has(LS_ISA_AMX)) assert_int_equal(e.retried, M);
    if (metric == LS_METRIC_L2) assert_true(e.exact < M / 2);
  }
}

static void heavy_tails(void **state) {
  (void)state;
  normal(6, 0, 1);
  for (int i = 0; i < N; i++) {
    double size = exp(8.0 * tan(1.5 * ((i * 37 % N) / (double)N * 2 - 1)));
    for (int j = 0; j < D; j++) base[i * D + j] *= (float)fmin(size, 1e12);
  }
  for (int i = 0; i < M; i++)
    for (int j = 0; j < D; j++) queries[i * D + j] *= (float)pow(10, i % 13 - 4);
  for (int i = 0; i < N * D; i++) base[i] = base[i] == 0 ? 1e-30f : base[i];
  for (int metric = 0; metric < 3; metric++) holds("heavy tails", (ls_metric)metric, N, M, D, K, NULL);
}

static void tiny_differences(void **state) {
  (void)state;
  normal(7, 0, 1);
  for (int i = 0; i < N; i++) /* thirty rows around each of a hundred, a few ulps off */
    for (int j = 0; j < D; j++) base[i * D + j] = base[i % 100 * D + j] * (float)(1 + 1e-7 * ((i * 7 + j * 3) % 11 - 5) * (i >= 100));
  for (int i = 0; i < M; i++) memcpy(queries + i * D, base + i % N * D, sizeof(float) * D);
  for (int metric = 0; metric < 3; metric++) holds("tiny differences", (ls_metric)metric, N, M, D, K, NULL);
}

static void huge_and_tiny_norms(void **state) {
  (void)state;
  const float sizes[] = {1e18f, 1e37f, 1e-30f, 1e-42f};
  for (int s = 0; s < 4; s++) {
    normal(8, 0, 1);
    for (int i = 0; i < N * D; i++) base[i] = base[i] * sizes[s] == 0 ? 1e-44f : base[i] * sizes[s];
    for (int i = 0; i < M * D; i++) queries[i] *= i / D % 2 == 0 ? sizes[s] : 1;
    for (int i = 0; i < M * D; i++) queries[i] = queries[i] == 0 ? 1e-44f : queries[i];
    for (int metric = 0; metric < 3; metric++) holds("sizes", (ls_metric)metric, N, 200, D, K, NULL);
  }
}

static void zero_rows_have_no_direction(void **state) {
  (void)state;
  normal(9, 0, 1);
  memset(base + 41 * D, 0, sizeof(float) * D);
  memset(queries + 6 * D, 0, sizeof(float) * D);
  holds("a row of zeros", LS_METRIC_L2, N, M, D, K, NULL);
  holds("a row of zeros", LS_METRIC_INNER_PRODUCT, N, M, D, K, NULL); /* query 7 ties with every row */
  ls_knn index;
  char *memory = malloc(ls_knn_bytes(N, D, LS_METRIC_COSINE)), *scratch;
  assert_fails(ls_knn_prepare((ls_cmat){base, N, D, D}, LS_METRIC_COSINE, memory, &index, err), LS_EVALUE, "row 42 of the base is all zeros");
  base[41 * D] = 1;
  assert_ok(ls_knn_prepare((ls_cmat){base, N, D, D}, LS_METRIC_COSINE, memory, &index, err));
  scratch = malloc(ls_knn_search_scratch(&index, M, K));
#define SEARCH(k, w, without) ls_knn_search(&index, (ls_cmat){queries, M, w, w}, k, without, scratch, (ls_mat){distances, M, k, k}, rows, NULL, err)
  assert_fails(SEARCH(K, D, NULL), LS_EVALUE, "row 7 of the queries is all zeros");
  queries[6 * D] = NAN;
  assert_fails(SEARCH(K, D, NULL), LS_EVALUE, "row 7 of the queries is NaN for feature 1");
  queries[6 * D] = 1;
  queries[7 * D + 2] = -INFINITY;
  assert_fails(SEARCH(K, D, NULL), LS_EVALUE, "row 8 of the queries is -inf for feature 3");
  assert_fails(SEARCH(0, D, NULL), LS_ERANGE, "k is 0, allowed is 1 to 3000");
  assert_fails(SEARCH(N + 1, D, NULL), LS_ERANGE, "k is 3001, allowed is 1 to 3000");
  assert_fails(SEARCH(N, D, self), LS_ERANGE, "k is 3000, allowed is 1 to 2999");
  assert_fails(SEARCH(K, D - 1, NULL), LS_ESHAPE, "the queries have 23 features but the base has 24");
  self[3] = N;
  assert_fails(SEARCH(K, D, self), LS_ERANGE, "query 4 is 3001");
  base[5] = INFINITY;
  assert_fails(ls_knn_prepare((ls_cmat){base, N, D, D}, LS_METRIC_L2, memory, &index, err), LS_EVALUE, "row 1 of the base is inf for feature 6");
  assert_fails(ls_knn_prepare((ls_cmat){base, 0, D, D}, LS_METRIC_L2, memory, &index, err), LS_ERANGE, "the base has 0 rows");
  free(scratch);
  free(memory);
}

static void a_row_of_ones_own_is_left_out_by_number(void **state) {
  (void)state;
  normal(10, 0, 1);
  for (int i = 0; i < N; i += 2) memcpy(base + (i + 1) * D, base + i * D, sizeof(float) * D); /* a twin each: it stays */
  memcpy(queries, base, sizeof(float) * M * D);
  for (int i = 0; i < M; i++) self[i] = i;
  for (int metric = 0; metric < 3; metric++) holds("without itself", (ls_metric)metric, N, M, D, K, self);
  holds("without itself", LS_METRIC_L2, N, 10, D, N - 1, self);
  ls_knn index = prepared(LS_METRIC_L2, N, D);
  search(&index, 0, M, 1, self, distances, rows);
  for (int i = 0; i < M; i++) assert_true(distances[i] == 0 && rows[i] == (i ^ 1));
}

static void ranges_hold_what_the_radius_says(void **state) {
  (void)state;
  static int64_t counts[M], start[M];
  normal(11, 0, 1);
  for (int metric = 0; metric < 3; metric++) {
    ls_knn index = prepared((ls_metric)metric, N, D);
    double radius = metric == 0 ? 4.5 : metric == 1 ? 9 : 0.5;
    int64_t total = 0;
    char *scratch = malloc(ls_knn_range_filter_scratch(&index, 100) + 1);
    assert_ok(ls_knn_range_count(&index, (ls_cmat){queries, 100, D, D}, radius, NULL, scratch, counts, err));
    for (int i = 0; i < 100; i++) start[i] = total, total += counts[i];
    assert_true(total > 200);
    free(scratch);
    scratch = malloc(ls_knn_range_scratch(&index, 100, total));
    assert_ok(ls_knn_range(&index, (ls_cmat){queries, 100, D, D}, radius, NULL, start, total, scratch, distances, rows, err));
    free(scratch);
    for (int i = 0; i < 100; i++) {
      int count = 0;
      for (int r = 0; r < N; r++) {
        double v = value_of((ls_metric)metric, queries + i * D, base + r * D, D);
        if (metric == 0 ? sqrt(v) <= radius : metric == 1 ? -v >= radius : v <= radius) want[count++] = (hit){v, r};
      }
      qsort(want, (size_t)count, sizeof *want, by_value);
      assert_int_equal(count, counts[i]);
      for (int p = 0; p < count; p++) assert_int_equal(rows[start[i] + p], want[p].row);
    }
    assert_fails(ls_knn_range_count(&index, (ls_cmat){queries, 1, D, D}, NAN, NULL, NULL, counts, err), LS_ERANGE, "radius is NaN");
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(gaussian_rows),
      cmocka_unit_test(features_beyond_a_part_of_the_tile),
      cmocka_unit_test(offsets_cost_nothing),
      cmocka_unit_test(duplicates_come_by_row_and_overflow_to_the_exact_path),
      cmocka_unit_test(what_bfloat16_cannot_decide_goes_to_float32),
      cmocka_unit_test(heavy_tails),
      cmocka_unit_test(tiny_differences),
      cmocka_unit_test(huge_and_tiny_norms),
      cmocka_unit_test(zero_rows_have_no_direction),
      cmocka_unit_test(a_row_of_ones_own_is_left_out_by_number),
      cmocka_unit_test(ranges_hold_what_the_radius_says),
  };
  return run_suite(tests);
}
