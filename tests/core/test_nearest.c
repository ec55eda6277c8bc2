/* The promise of <lsengine/knn.h> to the letter. SPDX-License-Identifier: MIT
 *   test_nearest                                    a thousand queries of every kind of rows that is hard
 *   test_nearest all                                the same with ten times the rows, and more neighbours
 *   test_nearest NAME BASE.npy QUERIES.npy K ROWS   the queries among the first so many rows
 * The oracle is a loop over all rows in double, features in order, sorted by (value, row). Every position of 1000 queries must be the oracle's, and the same bytes in
 * batches of 1, 7 and 4096 (there, all 4100 queries), with 1, 2 and 5 threads, on every instruction set (LSENGINE_ISA: on that one alone). */
#include "nearest.h"
#include "test.h"

#include <lsengine/cpu.h>
#include <lsengine/data.h>
#include <lsengine/pool.h>
#include <lsengine/random.h>

enum { JUDGED = 1000, M = 4100, D = 24, ROWS = 400, MORE_ROWS = 20000, K = 10, MORE = 100 };

static float *base, *queries, *distances, *first_distances;
static int64_t *rows, *first_rows;
static int n, d, m;

static void *take(size_t bytes) {
  void *memory = aligned_alloc(64, (bytes + 63) / 64 * 64);
  assert_non_null(memory);
  return memory;
}

static void start(int features, int base_rows, int count) {
  n = base_rows, d = features, m = count;
  base = take(sizeof *base * (size_t)n * (size_t)d);
  queries = take(sizeof *queries * (size_t)m * (size_t)d);
}

static void end(void) {
  free(base);
  free(queries);
}

/* ---- what is judged ---- */

/* Returns how many queries were searched. */
static int search(ls_metric metric, int k, int batch, int threads) {
  int count = batch < JUDGED ? JUDGED : m;
  ls_knn index;
  assert_ok(ls_pool_start(threads, err));
  char *memory = take(ls_knn_bytes(n, d, metric));
  assert_ok(ls_knn_prepare((ls_cmat){base, n, d, d}, metric, memory, &index, err));
  char *scratch = take(ls_knn_search_scratch(&index, batch, k) + 64);
  memset(rows, 0xff, sizeof *rows * (size_t)count * (size_t)k);
  for (int i = 0; i < count; i += batch) {
    int some = count - i < batch ? count - i : batch;
    assert_ok(ls_knn_search(&index, (ls_cmat){queries + (size_t)i * (size_t)d, some, d, d}, k, NULL, scratch, (ls_mat){distances + i * k, some, k, k}, rows + i * k, NULL, err));
  }
  free(scratch);
  free(memory);
  ls_pool_stop();
  return count;
}

static void is_the_oracles(const char *what, ls_metric metric, int k) {
  double *inverse = take(sizeof *inverse * (size_t)n);
  hit *all = take(sizeof *all * (size_t)n);
  for (int r = 0; r < n; r++) inverse[r] = 1 / norm_of(base + (size_t)r * (size_t)d, d);
  for (int i = 0; i < JUDGED; i++) {
    const float *q = queries + (size_t)i * (size_t)d;
    double q_inverse = 1 / norm_of(q, d);
    for (int r = 0; r < n; r++) all[r] = (hit){value_between(metric, q, q_inverse, base + (size_t)r * (size_t)d, inverse[r], d), r};
    qsort(all, (size_t)n, sizeof *all, by_value);
    for (int p = 0; p < k; p++) {
      if (rows[i * k + p] != all[p].row) fail_msg("%s, metric %d, query %d, place %d: row %d, want %d", what, metric, i, p, (int)rows[i * k + p], (int)all[p].row);
      if (distances[i * k + p] != reported(metric, all[p].value)) fail_msg("%s, metric %d, query %d, place %d: another distance", what, metric, i, p);
    }
  }
  free(inverse);
  free(all);
}

static void holds(const char *what, ls_metric metric, int k) {
  static const int batches[] = {4096, 7, 1}, threads[] = {1, 2, 5};
  const char *only = getenv("LSENGINE_ISA");
  size_t count = (size_t)m * (size_t)k;
  bool first = true;
  distances = take(sizeof *distances * count), first_distances = take(sizeof *distances * count);
  rows = take(sizeof *rows * count), first_rows = take(sizeof *rows * count);
  for (int isa = LS_ISA_REF; isa <= LS_ISA_AMX; isa++) {
    if (!ls_cpu_has((ls_isa)isa) || (only != NULL && strcmp(only, ls_isa_name((ls_isa)isa)) != 0)) continue;
    assert_ok(ls_cpu_start(ls_isa_name((ls_isa)isa), err));
    for (int b = 0; b < 3; b++)
      for (int t = 0; t < 3; t++) {
        size_t some = (size_t)search(metric, k, batches[b], threads[t]) * (size_t)k;
        if (first) {
          is_the_oracles(what, metric, k);
          memcpy(first_distances, distances, sizeof *distances * count);
          memcpy(first_rows, rows, sizeof *rows * count);
        }
        first = false;
        if (memcmp(rows, first_rows, sizeof *rows * some) != 0 || memcmp(distances, first_distances, sizeof *distances * some) != 0)
          fail_msg("%s, metric %d, %s, batches of %d, %d threads: other bytes", what, metric, ls_isa_name((ls_isa)isa), batches[b], threads[t]);
      }
  }
  assert_false(first);
  free(distances), free(first_distances), free(rows), free(first_rows);
}

/* ---- kinds of rows ---- */

static void normal(double mean, double deviation) {
  ls_rng r;
  ls_rng_seed(&r, 1);
  ls_rng_fill_normal(&r, (size_t)n * (size_t)d, base, mean, deviation);
  ls_rng_fill_normal(&r, (size_t)m * (size_t)d, queries, mean, deviation);
}

static void gaussian(void) { normal(0, 1); }
static void offset(void) { normal(100, 0.01); }

static void duplicates(void) { /* some six times, some hundreds of times; half of the queries are rows */
  normal(0, 1);
  for (int i = 0; i < n; i++) memcpy(base + i * d, base + (i < n / 2 ? i % (n / 12) : n / 2 + i % 5) * d, sizeof *base * (size_t)d);
  for (int i = 0; i < m; i += 2) memcpy(queries + i * d, base + i * 7 % n * d, sizeof *base * (size_t)d);
}

static void heavy_tails(void) { /* a tenth of the rows is 10 times as large, a hundredth 100 times, … */
  ls_rng r;
  normal(0, 1);
  ls_rng_seed(&r, 2);
  for (int i = 0; i < n + m; i++) {
    float *x = i < n ? base + i * d : queries + (i - n) * d;
    float size = (float)(1 / (ls_rng_double(&r) + 1e-9));
    for (int j = 0; j < d; j++) x[j] *= size;
  }
}

static void tiny_differences(void) { /* rows around each of a hundred, a few ulps off */
  normal(0, 1);
  for (int i = 0; i < n; i++)
    for (int j = 0; j < d; j++) base[i * d + j] = base[i % 100 * d + j] * (float)(1 + 1e-7 * ((i * 7 + j * 3) % 11 - 5) * (i >= 100));
  for (int i = 0; i < m; i++) memcpy(queries + i * d, base + i % n * d, sizeof *base * (size_t)d);
}

static void sized(float size) {
  normal(0, 1);
  for (int i = 0; i < n * d; i++) base[i] *= size;
  for (int i = 0; i < m * d; i++) queries[i] *= i / d % 2 == 0 ? size : 1;
}

static void huge_norms(void) { sized(1e18f); }
static void norms_at_the_end_of_float(void) { sized(3e37f); }

static void zero_rows(void) { /* cosine refuses them */
  normal(0, 1);
  for (int i = 0; i < n; i += 97) memset(base + i * d, 0, sizeof *base * (size_t)d);
  for (int i = 0; i < m; i += 13) memset(queries + i * d, 0, sizeof *base * (size_t)d);
}

typedef struct kind {
  const char *name;
  void (*fill)(void);
  int metrics;
  bool more; /* rows and neighbours */
} kind;

static void every_position(void **state) {
  const kind *c = *state;
  start(D, c->more ? MORE_ROWS : ROWS, M);
  c->fill();
  for (int metric = 0; metric < c->metrics; metric++) holds(c->name, (ls_metric)metric, c->more ? MORE : K);
  end();
}

/* ---- rows of files ---- */

static char **argument;

static float *numbers_of(const char *path, int *count, int *width) {
  FILE *f = fopen(path, "rb");
  ls_array a;
  if (f == NULL) fail_msg("%s cannot be opened", path);
  fseek(f, 0, SEEK_END);
  size_t size = (size_t)ftell(f);
  uint8_t *bytes = take(size);
  rewind(f);
  assert_int_equal(fread(bytes, 1, size, f), size);
  fclose(f);
  assert_ok(ls_npy_open(bytes, size, &a, err));
  assert_int_equal(a.rank, 2);
  *count = (int)a.shape[0], *width = (int)a.shape[1];
  float *numbers = take(sizeof *numbers * a.count);
  ls_array_to_float(&a, numbers);
  free(bytes);
  return numbers;
}

static void rows_of_files(void **state) {
  (void)state;
  int width;
  base = numbers_of(argument[2], &n, &d);
  queries = numbers_of(argument[3], &m, &width);
  assert_int_equal(width, d);
  assert_true(m > 4096 && n >= atoi(argument[5]));
  n = atoi(argument[5]);
  for (int metric = 0; metric < 3; metric++) holds(argument[1], (ls_metric)metric, atoi(argument[4]));
  end();
}

int main(int argc, char **argv) {
  static kind kinds[] = {
      {"gaussian", gaussian, 3, false}, {"duplicates", duplicates, 3, false}, {"offset", offset, 3, false}, {"heavy tails", heavy_tails, 3, false},
      {"tiny differences", tiny_differences, 3, false}, {"huge norms", huge_norms, 3, false}, {"norms at the end of float", norms_at_the_end_of_float, 3, false},
      {"rows of zeros", zero_rows, 2, false},
  };
  enum { KINDS = sizeof kinds / sizeof *kinds };
  struct CMUnitTest tests[KINDS];
  if (argc == 6) {
    argument = argv;
    const struct CMUnitTest files[] = {cmocka_unit_test(rows_of_files)};
    return run_suite(files);
  }
  for (int i = 0; i < KINDS; i++) {
    kinds[i].more = argc > 1;
    tests[i] = (struct CMUnitTest){kinds[i].name, every_position, NULL, NULL, &kinds[i]};
  }
  return run_suite(tests);
}
