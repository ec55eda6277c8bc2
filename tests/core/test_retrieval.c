/* Measures of retrieval against a plain oracle in double. SPDX-License-Identifier: MIT
 *
 * The oracle sorts all rows by value, cuts the order into groups of equal values and goes through every arrangement of a group's relevant rows: expected
 * values are means over arrangements, no formula of the core is used. Groups hold at most 16 rows. */
#include "core/eval/retrieval_parts.h"
#include "nearest.h"
#include "test.h"

#include <lsengine/cpu.h>
#include <lsengine/pool.h>
#include <lsengine/random.h>
#include <lsengine/retrieval.h>

enum { FEW = 640, MANY = 4600, M = 160, D = 24, AT = 3, COLUMNS = LS_RETRIEVAL_WHOLE + AT * LS_RETRIEVAL_AT };
static const int32_t at[AT] = {1, 10, 37};

static int N = FEW; /* rows; of MANY the first places are found by candidates */
static float gallery[MANY * D], queries[M * D];
static int64_t labels[MANY], query_labels[M], self[M];
static double measures[M * COLUMNS], first_measures[M * COLUMNS], want[COLUMNS];
static ls_retrieval_query about[M], first_about[M];

/* Adds what one arrangement of a group gives: bit p of `bits` says that place s + p is relevant; h relevant rows come before. */
static void add_arrangement(unsigned bits, int s, int g, int h, int relevant, double share, double *m) {
  for (int p = 0; p < g; p++) {
    if (!(bits >> p & 1)) continue;
    int place = s + p + 1;
    h++;
    if (place <= relevant) m[LS_RETRIEVAL_R_PRECISION] += share / relevant;
    if (place <= relevant) m[LS_RETRIEVAL_MAP_AT_R] += share * h / place / relevant;
    m[LS_RETRIEVAL_MAP] += share * h / place / relevant;
    if (h == 1) m[LS_RETRIEVAL_MRR] += share / place;
    m[LS_RETRIEVAL_NDCG] += share / log2(place + 1.0);
    for (int a = 0; a < AT; a++) {
      double *k = m + LS_RETRIEVAL_WHOLE + a * LS_RETRIEVAL_AT;
      if (place > at[a]) continue;
      if (h == 1) k[LS_RETRIEVAL_RECALL] += share;
      k[LS_RETRIEVAL_PRECISION] += share / at[a];
      k[LS_RETRIEVAL_HIT_SHARE] += share / relevant;
      k[LS_RETRIEVAL_AP] += share * h / place / (relevant < at[a] ? relevant : at[a]);
      k[LS_RETRIEVAL_AP_BY_R] += share * h / place / relevant;
      k[LS_RETRIEVAL_NDCG_AT] += share / log2(place + 1.0);
    }
  }
}

/* AP divided by hits is a ratio of expectations in the core, too: from the sums. */
static ls_retrieval_query oracle(ls_metric metric, int i, const int64_t *without, bool whole) {
  static hit list[MANY];
  ls_retrieval_query result = {0};
  int n = 0, place = 0, h = 0, most = at[AT - 1];
  memset(want, 0, sizeof want);
  for (int r = 0; r < N; r++) {
    if (without != NULL && without[i] == r) continue;
    list[n++] = (hit){value_of(metric, queries + i * D, gallery + r * D, D), r};
    result.relevant += labels[r] == query_labels[i];
    result.twin |= metric == LS_METRIC_INNER_PRODUCT ? memcmp(queries + i * D, gallery + r * D, sizeof(float) * D) == 0 : list[n - 1].value == 0;
  }
  if (result.relevant == 0) return result;
  if (result.relevant > most) most = result.relevant;
  qsort(list, (size_t)n, sizeof *list, by_value);
  for (int g; place < n; place += g) {
    int relevant = 0, arrangements = 0;
    for (g = 0; place + g < n && list[place + g].value == list[place].value; g++) relevant += labels[list[place + g].row] == query_labels[i];
    if (relevant == 0) continue;
    if (g > relevant && (whole || place < most)) result.tied = true;
    assert_true(g <= 16);
    for (unsigned bits = 0; bits < 1u << g; bits++) arrangements += __builtin_popcount(bits) == relevant;
    for (unsigned bits = 0; bits < 1u << g; bits++)
      if (__builtin_popcount(bits) == relevant) add_arrangement(bits, place, g, h, result.relevant, 1.0 / arrangements, want);
    h += relevant;
  }
  double ideal = 0;
  for (int p = 1; p <= result.relevant; p++) {
    ideal += 1 / log2(p + 1.0);
    for (int a = 0; a < AT; a++)
      if (p == (result.relevant < at[a] ? result.relevant : at[a])) want[LS_RETRIEVAL_WHOLE + a * LS_RETRIEVAL_AT + LS_RETRIEVAL_NDCG_AT] /= ideal;
  }
  want[LS_RETRIEVAL_NDCG] /= ideal;
  for (int a = 0; a < AT; a++) {
    double *k = want + LS_RETRIEVAL_WHOLE + a * LS_RETRIEVAL_AT, found = k[LS_RETRIEVAL_PRECISION] * at[a];
    k[LS_RETRIEVAL_AP_BY_HITS] = found > 0 ? k[LS_RETRIEVAL_AP_BY_R] * result.relevant / found : 0;
  }
  if (!whole) want[LS_RETRIEVAL_MAP] = want[LS_RETRIEVAL_MRR] = want[LS_RETRIEVAL_NDCG] = 0;
  return result;
}

static int64_t judge(ls_metric metric, const int64_t *without, double near, bool whole) {
  ls_knn index;
  int64_t by_values;
  void *memory = malloc(ls_knn_bytes(N, D, metric));
  assert_ok(ls_knn_prepare((ls_cmat){gallery, N, D, D}, metric, memory, &index, err));
  void *scratch = malloc(ls_retrieval_scratch(&index, M));
  memset(measures, 0xff, sizeof measures);
  memset(about, 0, sizeof about);
  assert_ok(ls_retrieval(&index, labels, (ls_cmat){queries, M, D, D}, query_labels, without, AT, at, near, whole, scratch, about, measures, &by_values, err));
  free(scratch);
  free(memory);
  return by_values;
}

/* Every measure of every query, then the same bytes from every instruction set and number of threads. Returns how many queries the values alone decided. */
static int64_t holds(const char *what, ls_metric metric, const int64_t *without) {
  int64_t by_values = 0;
  for (int whole = 0; whole < (N == FEW ? 2 : 1); whole++) {
    bool kept = false;
    for (int isa = LS_ISA_REF; isa <= LS_ISA_AMX; isa++) {
      if (!ls_cpu_has((ls_isa)isa)) continue;
      assert_ok(ls_cpu_start(ls_isa_name((ls_isa)isa), err));
      for (int threads = 1; threads <= (N == FEW ? 5 : 2); threads += threads == 1 ? 1 : 3) {
        if (threads > 1 && ls_cpu_has((ls_isa)(isa + 1))) break; /* threads with the best set alone */
        if (threads > 1) assert_ok(ls_pool_start(threads, err));
        by_values = judge(metric, without, 0, whole);
        ls_pool_stop();
        if (!kept) {
          memcpy(first_measures, measures, sizeof measures);
          memcpy(first_about, about, sizeof about);
        }
        kept = true;
        assert_memory_equal(measures, first_measures, sizeof measures);
        assert_memory_equal(about, first_about, sizeof about);
      }
    }
    for (int i = 0; i < M; i++) {
      ls_retrieval_query a = oracle(metric, i, without, whole);
      if (about[i].relevant != a.relevant || about[i].tied != a.tied || about[i].twin != a.twin)
        fail_msg("%s, metric %d, query %d: relevant %d tied %d twin %d, want %d %d %d", what, metric, i, about[i].relevant, about[i].tied, about[i].twin, a.relevant, a.tied, a.twin);
      for (int c = 0; c < COLUMNS; c++)
        if (!(fabs(measures[i * COLUMNS + c] - want[c]) <= 1e-12)) /* sums of at most 640 terms of at most 1 */
          fail_msg("%s, metric %d, query %d, column %d: %.17g, want %.17g", what, metric, i, c, measures[i * COLUMNS + c], want[c]);
    }
  }
  return by_values;
}

static void all_metrics(const char *what, int64_t by_values) {
  for (int metric = 0; metric < 3; metric++) {
    int64_t apart = holds(what, (ls_metric)metric, NULL);
    if (by_values >= 0) assert_int_equal(apart, by_values);
    memcpy(queries, gallery, sizeof queries);
    memcpy(query_labels, labels, sizeof query_labels);
    for (int i = 0; i < M; i++) self[i] = i;
    holds(what, (ls_metric)metric, self);
  }
}

static void normal(uint64_t seed, double mean, double deviation, int classes) {
  ls_rng r;
  ls_rng_seed(&r, seed);
  ls_rng_fill_normal(&r, N * D, gallery, mean, deviation);
  ls_rng_fill_normal(&r, M * D, queries, mean, deviation);
  for (int i = 0; i < N; i++) labels[i] = i * 7 % classes * 3 - 5;
  for (int i = 0; i < M; i++) query_labels[i] = i * 11 % classes * 3 - 5;
}

static void gaussian_rows_with_many_and_few_relevant_ones(void **state) {
  (void)state;
  normal(1, 0, 1, 4);
  all_metrics("4 classes", 0);
  normal(2, 0, 1, 90);
  all_metrics("90 classes", 0);
  normal(3, 0, 1, 1);
  all_metrics("one class", 0);
}

static void a_query_without_a_relevant_row(void **state) {
  (void)state;
  normal(4, 0, 1, 5);
  for (int i = 0; i < M; i += 3) query_labels[i] = i % 2 ? 1000 : -1000;
  labels[7] = 77; /* alone, and a query of its own: nothing is left */
  for (int metric = 0; metric < 3; metric++) holds("no relevant row", (ls_metric)metric, NULL);
  memcpy(queries, gallery, sizeof queries);
  memcpy(query_labels, labels, sizeof query_labels);
  for (int i = 0; i < M; i++) self[i] = i % 5 == 0 ? -1 : i % 7 == 0 ? N - 1 - i : i; /* the row left out may be another one's, of another class */
  for (int metric = 0; metric < 3; metric++) holds("no relevant row", (ls_metric)metric, self);
  assert_int_equal(about[7].relevant, 1);
  assert_int_equal(judge(LS_METRIC_L2, NULL, 0, true), 0);
  for (int i = 0; i < M; i++) assert_true(about[i].twin);
}

static void ties_between_classes(void **state) {
  (void)state;
  normal(5, 0, 1, 3);
  for (int i = 0; i < N; i++) memcpy(gallery + i * D, gallery + i % (N / 8) * D, sizeof(float) * D); /* eight of each, labels mixed */
  for (int i = 0; i < M; i++) memcpy(queries + i * D, gallery + i * 5 % N * D, sizeof(float) * D);
  all_metrics("eight of each", -1);
  for (int i = 0; i < M; i++) assert_true(about[i].twin);
}

static void masses_of_ties_go_to_the_values(void **state) {
  (void)state;
  normal(6, 0, 1, 2);
  for (int i = 0; i < N; i++)
    for (int j = 0; j < D; j++) gallery[i * D + j] = 1;
  assert_int_equal(judge(LS_METRIC_L2, NULL, 0, true), M);
  for (int i = 0; i < M; i++) { /* half of the rows, in any order */
    assert_true(about[i].tied);
    assert_close(measures[i * COLUMNS + LS_RETRIEVAL_R_PRECISION], 0.5, 0, 1e-12);
  }
}

static void offsets_tails_and_sizes(void **state) {
  (void)state;
  normal(7, 100, 0.01, 4);
  all_metrics("offset", -1);
  normal(8, 0, 1, 4);
  for (int i = 0; i < N; i++)
    for (int j = 0; j < D; j++) gallery[i * D + j] *= (float)pow(10, i % 13 - 6);
  all_metrics("heavy tails", -1);
  normal(9, 0, 1, 4);
  for (int i = 0; i < N; i++)
    for (int j = 0; j < D; j++) gallery[i * D + j] = gallery[i % 40 * D + j] * (float)(1 + 1e-7 * ((i * 7 + j * 3) % 11 - 5) * (i >= 40));
  memcpy(queries, gallery, sizeof queries);
  all_metrics("tiny differences", -1);
  const float sizes[] = {1e18f, 1e37f, 1e-30f};
  for (int s = 0; s < 3; s++) {
    normal(10, 0, 1, 4);
    for (int i = 0; i < N * D; i++) gallery[i] *= sizes[s];
    for (int i = 0; i < M * D; i++) queries[i] *= i / D % 2 == 0 || s == 2 ? sizes[s] : 1; /* beside 1e-30 all would tie */
    all_metrics("sizes", -1);
  }
}

static void near_rows_count_as_twins(void **state) {
  (void)state;
  normal(11, 0, 1, 4);
  for (int i = 0; i < M; i++) {
    memcpy(queries + i * D, gallery + i * D, sizeof(float) * D);
    queries[i * D] += i % 2 ? 0.5f : 0.25f;
  }
  for (int isa = LS_ISA_REF; isa <= LS_ISA_AMX; isa++) {
    if (!ls_cpu_has((ls_isa)isa)) continue;
    assert_ok(ls_cpu_start(ls_isa_name((ls_isa)isa), err));
    judge(LS_METRIC_L2, NULL, 0.3 * 0.3, false);
    for (int i = 0; i < M; i++) assert_int_equal(about[i].twin, i % 2 == 0);
    judge(LS_METRIC_L2, NULL, 0, false);
    for (int i = 0; i < M; i++) assert_false(about[i].twin);
  }
}

/* Of so many rows, with few and with more places; what they are is known to `fill`. */
static void many(const char *what, void (*fill)(int classes), int64_t by_values) {
  N = MANY;
  for (int classes = 9; classes <= 40; classes += 31) { /* R = 510 and 114: by float32, and by integers where there are any */
    fill(classes);
    all_metrics(what, by_values);
  }
  N = FEW;
}

/* Queries that candidates decide, in the set that is on. */
static int32_t decided_by_candidates(ls_metric metric) {
  static double discounts[MANY + 2];
  ls_knn index;
  int32_t left[M], by_candidates = -1;
  void *memory = malloc(ls_knn_bytes(N, D, metric));
  assert_ok(ls_knn_prepare((ls_cmat){gallery, N, D, D}, metric, memory, &index, err));
  void *scratch = malloc(ls_retrieval_tiles_bytes(&index, M));
  for (int i = 1; i <= N + 1; i++) discounts[i] = discounts[i - 1] + 1.0 / log2(i + 1.0);
  ls_retrieval_job j = {.gallery = &index, .gallery_labels = labels, .labels = query_labels, .queries = {queries, M, D, D}, .at_count = AT, .at = at,
                        .discounts = discounts, .about = about, .measures = measures, .by_candidates = &by_candidates};
  assert_true(ls_retrieval_has_tiles(&index, M));
  ls_retrieval_by_tiles(&j, scratch, left);
  free(scratch);
  free(memory);
  return by_candidates;
}

static void gaussian_of(int classes) { normal(21, 0, 1, classes); }

static void eight_of_each(int classes) {
  normal(22, 0, 1, classes);
  for (int i = 0; i < N; i++) memcpy(gallery + i * D, gallery + i % (N / 8) * D, sizeof(float) * D);
  for (int i = 0; i < M; i++) memcpy(queries + i * D, gallery + i * 5 % N * D, sizeof(float) * D);
}

static void offset_of(int classes) { normal(23, 100, 0.01, classes); }

static void tails_of(int classes) {
  normal(24, 0, 1, classes);
  for (int i = 0; i < N; i++)
    for (int j = 0; j < D; j++) gallery[i * D + j] *= (float)pow(10, i % 13 - 6);
}

static void tiny_differences_of(int classes) {
  normal(25, 0, 1, classes);
  for (int i = 0; i < N; i++)
    for (int j = 0; j < D; j++) gallery[i * D + j] = gallery[i % 400 * D + j] * (float)(1 + 1e-7 * ((i * 7 + j * 3) % 11 - 5) * (i >= 400));
  memcpy(queries, gallery, sizeof queries);
}

static void the_first_places_of_many_rows(void **state) {
  (void)state;
  many("Gaussian", gaussian_of, 0);
  many("eight of each", eight_of_each, -1);
  many("offset", offset_of, -1);
  many("heavy tails", tails_of, -1);
  many("tiny differences", tiny_differences_of, -1);
}

static void rows_of_zeros_among_many(void **state) {
  (void)state;
  N = MANY;
  normal(26, 0, 1, 40);
  for (int i = 0; i < N; i += 500)
    for (int j = 0; j < D; j++) gallery[i * D + j] = 0; /* ten of them */
  for (int i = 0; i < M; i += 16)
    for (int j = 0; j < D; j++) queries[i * D + j] *= 0.01f; /* near them */
  holds("zeros", LS_METRIC_L2, NULL);
  for (int i = 0; i < M; i += 40)
    for (int j = 0; j < D; j++) queries[i * D + j] = 0;
  holds("zeros, and as queries", LS_METRIC_L2, NULL);
  N = FEW;
}

/* The rows that are drawn, every fourth of those ordered by labels, are far off, so that there is no room for the others, or near, so that too few are. */
static void a_sample_that_misleads(void **state) {
  (void)state;
  N = MANY;
  for (int near = 0; near < 2; near++) {
    int position = 0;
    normal(27, 0, 1, 40);
    for (int class = 0; class < 40; class ++)
      for (int i = 0; i < N; i++) {
        if (labels[i] != class * 3 - 5) continue;
        for (int j = 0; j < D; j++) gallery[i * D + j] *= (position % 4 == 0) == near ? 0.1f : 1.0f;
        position++;
      }
    for (int i = 0; i < M * D; i++) queries[i] *= 0.1f;
    assert_int_equal(holds("a sample that misleads", LS_METRIC_L2, NULL), 0);
    for (int isa = LS_ISA_REF; isa <= LS_ISA_AVX512; isa++) {
      if (!ls_cpu_has((ls_isa)isa)) continue;
      assert_ok(ls_cpu_start(ls_isa_name((ls_isa)isa), err));
      assert_int_equal(decided_by_candidates(LS_METRIC_L2), 0);
    }
  }
  N = FEW;
}

static void candidates_decide_what_they_can(void **state) {
  (void)state;
  N = MANY;
  for (int isa = LS_ISA_REF; isa <= LS_ISA_AVX512; isa++) {
    if (!ls_cpu_has((ls_isa)isa)) continue;
    assert_ok(ls_cpu_start(ls_isa_name((ls_isa)isa), err));
    for (int metric = 0; metric < 3; metric++)
      for (int classes = 9; classes <= 40; classes += 31) {
        gaussian_of(classes);
        assert_int_equal(decided_by_candidates((ls_metric)metric), M);
      }
    gaussian_of(7); /* more places than an eighth of the rows */
    assert_int_equal(decided_by_candidates(LS_METRIC_L2), 0);
  }
  N = FEW;
}

static void means_over_queries_and_over_classes(void **state) {
  (void)state;
  int64_t classes[M], kept[M];
  double by_class[M * COLUMNS], micro[COLUMNS], macro[COLUMNS];
  normal(12, 0, 1, 5);
  for (int i = 0; i < M; i++) query_labels[i] = i % 10 == 0 ? 500 : i < 100 ? -5 : query_labels[i];
  judge(LS_METRIC_L2, NULL, 0, true);
  int32_t count = ls_retrieval_classes(M, query_labels, classes);
  assert_int_equal(count, 6);
  for (int zero = 0; zero < 2; zero++) {
    ls_retrieval_average(M, query_labels, about, COLUMNS, measures, zero, count, classes, by_class, kept, micro, macro);
    for (int c = 0; c < COLUMNS; c++) {
      double all = 0, means = 0;
      int n = 0, k = 0;
      for (int class = 0; class < count; class ++) {
        double sum = 0;
        int of = 0;
        for (int i = 0; i < M; i++)
          if (query_labels[i] == classes[class] && (about[i].relevant > 0 || zero)) sum += measures[i * COLUMNS + c], of++;
        assert_int_equal(of, kept[class]);
        all += sum, n += of;
        if (of > 0) means += sum / of, k++;
      }
      assert_close(micro[c], all / n, 1e-13, 0);
      assert_close(macro[c], means / k, 1e-13, 0);
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(gaussian_rows_with_many_and_few_relevant_ones),
      cmocka_unit_test(a_query_without_a_relevant_row),
      cmocka_unit_test(ties_between_classes),
      cmocka_unit_test(masses_of_ties_go_to_the_values),
      cmocka_unit_test(offsets_tails_and_sizes),
      cmocka_unit_test(near_rows_count_as_twins),
      cmocka_unit_test(the_first_places_of_many_rows),
      cmocka_unit_test(rows_of_zeros_among_many),
      cmocka_unit_test(a_sample_that_misleads),
      cmocka_unit_test(candidates_decide_what_they_can),
      cmocka_unit_test(means_over_queries_and_over_classes),
  };
  return run_suite(tests);
}
