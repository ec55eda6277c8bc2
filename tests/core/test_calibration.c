/* Measures of predictions against other packages, plain definitions in double, and their properties. SPDX-License-Identifier: MIT */
#include "test.h"

#include <lsengine/calibration.h>
#include <lsengine/classification.h>
#include <lsengine/cpu.h>
#include <lsengine/pool.h>
#include <lsengine/random.h>
#include <lsengine/statistics.h>

#include "core/eval/radix_sort.h"
#include "core/kernels/kernels.h"
#include "tests/golden/evaluation.inc"

enum { MOST = 4000, MOST_K = 100 };

static char scratch[1 << 26];
static double confidence[MOST];
static uint8_t correct[MOST];
static const ls_binning usual = {.bins = 15};

static ls_predictions logits_of(const float *z, const int64_t *y, int n, int k) {
  return (ls_predictions){.z = {z, n, k, k}, .labels = y, .temperature = 1};
}

static int64_t get(const ls_predictions *p) {
  int64_t kept = 0;
  assert_true(ls_confidences_scratch(p) <= sizeof scratch);
  assert_ok(ls_confidences(p, scratch, confidence, correct, &kept, err));
  return kept;
}

static ls_calibration calibrate(size_t n, const double *c, const uint8_t *a, const ls_binning *b, ls_bin *bins) {
  static ls_bin own[1001];
  ls_calibration r = {0};
  assert_true(ls_calibration_scratch(n, b) <= sizeof scratch);
  assert_ok(ls_calibrate(n, c, a, NULL, b, scratch, &r, bins == NULL ? own : bins, err));
  return r;
}

static void other_packages_numbers_come_out(void **state) {
  (void)state;
  ls_predictions p = logits_of(golden_z, golden_y, GOLDEN_N, GOLDEN_K);
  ls_classification r;
  ls_class_score classes[GOLDEN_K];
  double top;
  int32_t three = 3;
  assert_ok(ls_classify(&p, 1, &three, scratch, &r, &top, classes, NULL, err));
  assert_close(r.accuracy, golden.accuracy, 1e-12, 0);
  assert_close(top, golden.top3, 1e-12, 0);
  assert_close(r.nll, golden.nll, 1e-12, 0);
  assert_close(r.brier, golden.brier, 1e-12, 0);
  assert_int_equal(get(&p), GOLDEN_N);
  ls_calibration e = calibrate(GOLDEN_N, confidence, correct, &usual, NULL);
  assert_close(e.l1, golden.ece, 0, 1e-6); /* torchmetrics works in float32 */
  assert_close(e.max, golden.mce, 0, 1e-6);
  assert_close(e.null, golden.null, 1e-12, 0);
  assert_close(e.debiased, golden.debiased, 0, golden.debiased_error); /* five standard errors of 40000 draws */
  ls_binning mass = {.bins = 15, .kind = LS_BINS_EQUAL_MASS, .ties = LS_TIES_ROWS};
  assert_close(calibrate(GOLDEN_N, confidence, correct, &mass, NULL).debiased_l2, golden.l2, 1e-12, 0);
}

/* ---- predictions at random, with ties, masks, ignored rows, certainty ---- */

typedef struct sample {
  float z[MOST * 10];
  int64_t y[MOST];
  int n, k;
} sample;

static void draw(sample *s, uint64_t seed, int n, int k, double scale) {
  ls_rng r;
  ls_rng_seed(&r, seed);
  s->n = n, s->k = k;
  for (int i = 0; i < n; i++) {
    float *z = s->z + i * k;
    for (int c = 0; c < k; c++) z[c] = (float)(scale * ls_rng_normal(&r));
    s->y[i] = ls_rng_integer(&r, 0, k - 1);
    if (i % 7 == 0 && k > 2) z[(s->y[i] + 1) % k] = -INFINITY;
    if (i % 11 == 0) z[s->y[i]] += (float)(60 * scale);            /* certain */
    if (i % 13 == 0) for (int c = 0; c < k; c++) z[c] = 0.25f;     /* all equal */
    if (i % 17 == 0 && i > 0) memcpy(z, z - k, (size_t)k * sizeof *z), s->y[i] = s->y[i - 1]; /* equal rows */
  }
}

/* The definitions, row by row in long double. */
static void softmax(const float *z, int k, double t, long double *p) {
  long double top = -INFINITY, sum = 0;
  for (int c = 0; c < k; c++) top = z[c] > top ? z[c] : top;
  for (int c = 0; c < k; c++) sum += p[c] = expl(((long double)z[c] - top) / t);
  for (int c = 0; c < k; c++) p[c] /= sum;
}

static void rows_are_those_of_the_definitions(void **state) {
  static sample s;
  (void)state;
  for (int set = 0; set < 12; set++) {
    int k = (int[]){1, 2, 3, 10, 64, 65, 100}[set % 7], n = 4000 * 10 / k < 777 ? 4000 * 10 / k : 777;
    double t = set % 2 ? 1.7 : 1.0;
    draw(&s, (uint64_t)set, n, k, set < 6 ? 1 : 8);
    ls_predictions p = logits_of(s.z, s.y, n, k);
    p.temperature = t;
    p.ignore = (ls_ignore){set % 3 == 0, -1};
    for (int i = 0; i < n; i += 5) if (p.ignore.active) s.y[i] = -1;
    ls_classification r;
    static ls_class_score classes[MOST_K];
    static int64_t confusion[MOST_K * MOST_K];
    int64_t kept = get(&p), at = 0;
    long double nll = 0, brier = 0, right = 0, q[MOST_K];
    double top_share[2];
    int32_t top[] = {1, 3};
    for (int i = 0; i < n; i++) {
      if (s.y[i] < 0) continue;
      int best = 0;
      softmax(s.z + i * k, k, t, q);
      for (int c = 1; c < k; c++) if (s.z[i * k + c] > s.z[i * k + best]) best = c;
      for (int c = 0; c < k; c++) brier += (q[c] - (c == s.y[i])) * (q[c] - (c == s.y[i]));
      nll -= logl(q[s.y[i]]);
      right += best == s.y[i];
      assert_close(confidence[at], (double)q[best], 4e-15, 0); /* a few roundings of 1.1e-16 each in exp and sum, K of them at most */
      assert_int_equal(correct[at++], best == s.y[i]);
    }
    assert_int_equal(at, kept);
    assert_ok(ls_classify(&p, 2, top, scratch, &r, top_share, classes, confusion, err));
    assert_close(r.nll, (double)(nll / kept), 1e-13, 1e-15);
    assert_close(r.brier, (double)(brier / kept), 1e-13, 1e-15);
    assert_close(r.accuracy, (double)(right / kept), 1e-14, 0);
    assert_true(top_share[0] == r.accuracy && top_share[1] >= top_share[0]);
    int64_t rows = 0;
    for (int a = 0; a < k; a++) {
      int64_t row = 0, column = 0;
      for (int b = 0; b < k; b++) row += confusion[a * k + b], column += confusion[b * k + a];
      assert_true(row == classes[a].count && column == classes[a].predicted && confusion[a * k + a] == classes[a].right);
      rows += row;
    }
    assert_int_equal(rows, kept);
  }
}

static void exponentials_and_logarithms_keep_their_error(void **state) {
  (void)state;
  for (int isa = 0; isa <= LS_ISA_AVX512; isa++) {
    if (!ls_cpu_has((ls_isa)isa)) continue;
    const ls_evaluation_kernels *k = ls_kernels_of((ls_isa)isa)->evaluation;
    enum { N = 20001 };
    static double x[N], e[N], l[N];
    for (int i = 0; i < N; i++) e[i] = x[i] = -745.0 + 1454.0 * i / (N - 1);
    k->exp(N, e);
    for (int i = 0; i < N; i++) assert_close(e[i], exp(x[i]), 4.5e-16, 5e-324); /* 2 ulp */
    for (int i = 0; i < N; i++) x[i] = i < N / 2 ? pow(10.0, -300.0 + 310.0 * i / (N / 2)) : 200.0 * (i - N / 2) / (N / 2);
    k->log1p(N, x, l);
    for (int i = 0; i < N; i++) assert_close(l[i], log1p(x[i]), 6.7e-16, 0); /* 3 ulp */
    for (int i = 0; i < N; i++) x[i] = i < N / 2 ? -pow(10.0, -300.0 + 301.0 * i / (N / 2)) : -750.0 * (i - N / 2) / (N / 2);
    k->expm1(N, x, l);
    for (int i = 0; i < N; i++) assert_close(l[i], expm1(x[i]), 6.7e-16, 0);
    double below[] = {-INFINITY, NAN, 0, -1e300};
    k->expm1(4, below, below);
    assert_true(below[0] == -1 && isnan(below[1]) && below[2] == 0 && below[3] == -1);
    double ends[] = {-INFINITY, INFINITY, NAN, 0, -1e300, 1e300}, logs[] = {0, INFINITY, NAN, 1e300};
    k->exp(6, ends);
    k->log1p(4, logs, logs);
    assert_true(ends[0] == 0 && ends[1] == INFINITY && isnan(ends[2]) && ends[3] == 1 && ends[4] == 0 && ends[5] == INFINITY);
    assert_true(logs[0] == 0 && logs[1] == INFINITY && isnan(logs[2]));
    assert_close(logs[3], log(1e300), 1e-15, 0);
  }
}

static void probabilities_are_taken_as_given(void **state) {
  (void)state;
  float q[] = {0.25f, 0.75f, 0, 1, 0.5f, 0.5f};
  int64_t y[] = {1, 0, 1}, kept;
  ls_predictions p = logits_of(q, y, 3, 2);
  ls_classification r;
  ls_class_score classes[2];
  p.probabilities = true;
  assert_ok(ls_classify(&p, 0, NULL, scratch, &r, NULL, classes, NULL, err));
  assert_true(isinf(r.nll)); /* what was given the probability 0 came true */
  assert_close(r.brier, (0.125 + 2 + 0.5) / 3, 1e-15, 0);
  assert_close(classes[1].nll, -(log(.75) + log(.5)) / 2, 1e-15, 0);
#define REFUSED(what, ...) assert_fails(ls_confidences(&p, scratch, confidence, correct, &kept, err), what, __VA_ARGS__)
  q[2] = 1e-3f;
  REFUSED(LS_ERANGE, "probabilities[2] sum to 1.001, 1 is required");
  q[2] = -1e-3f;
  REFUSED(LS_ERANGE, "probabilities[2] is -0.001 for class 0, allowed is 0 to 1");
  q[2] = NAN;
  REFUSED(LS_EVALUE, "probabilities[2] is NaN for class 0");
  q[2] = 0, y[2] = 2;
  REFUSED(LS_ERANGE, "labels[3] is 2 but probabilities have 2 classes");
}

static void what_cannot_be_judged_is_refused(void **state) {
  (void)state;
  float z[] = {1, 0, 0, 1, NAN, 1};
  int64_t y[] = {0, 1, 1}, kept;
  ls_predictions p = logits_of(z, y, 0, 2);
  REFUSED(LS_ERANGE, "no row to judge (0 given)");
  p.z.rows = 3;
  REFUSED(LS_EVALUE, "logits[3] is NaN for class 0");
  z[4] = INFINITY;
  REFUSED(LS_EVALUE, "logits[3] is +inf for class 0");
  z[4] = -INFINITY;
  REFUSED(LS_OK, "");
  y[2] = 0;
  REFUSED(LS_ERANGE, "labels[3] is 0, a class that is masked");
  y[2] = 2;
  REFUSED(LS_ERANGE, "labels[3] is 2 but logits have 2 classes (0..1)");
  z[2] = NAN; /* the first row that cannot be judged is named */
  REFUSED(LS_EVALUE, "logits[2] is NaN for class 0");
  p.ignore = (ls_ignore){true, 1};
  y[2] = 0, z[4] = 0;
  REFUSED(LS_OK, ""); /* what ignored rows hold does not matter */
  y[0] = y[2] = 1;
  REFUSED(LS_ERANGE, "no row to judge (3 given, all ignored)");
  p.temperature = 0;
  REFUSED(LS_ERANGE, "temperature is 0");
  float one[] = {3}, nan[] = {NAN}, masked[] = {-INFINITY};
  int64_t zero = 0;
  p = logits_of(one, &zero, 1, 1);
  assert_int_equal(get(&p), 1); /* one class: always right, always sure */
  assert_true(confidence[0] == 1 && correct[0] == 1);
  p.z.data = nan;
  REFUSED(LS_EVALUE, "logits[1] is NaN");
  p.z.data = masked;
  REFUSED(LS_ERANGE, "labels[1] is 0, a class that is masked");
  double c = 1.5;
  uint8_t a = 1;
  ls_calibration r;
  ls_bin bins[16];
  ls_binning none = {.bins = 0};
  assert_fails(ls_calibrate(1, &c, &a, NULL, &usual, scratch, &r, bins, err), LS_ERANGE, "confidence[1] is 1.5");
  assert_fails(ls_calibrate(0, &c, &a, NULL, &usual, scratch, &r, bins, err), LS_ERANGE, "no row to judge");
  assert_fails(ls_calibrate(1, &c, &a, NULL, &none, scratch, &r, bins, err), LS_ERANGE, "bins is 0");
}

/* ---- bins ---- */

static void edges_belong_where_the_choice_says(void **state) {
  (void)state;
  const double c[] = {.5, .45, 0, 1, .1};
  const uint8_t a[] = {0, 1, 0, 1, 0};
  ls_bin bins[12];
  ls_binning left = {.bins = 10}, right = {.bins = 10, .edges = LS_EDGES_RIGHT}, drop = right, apart = left;
  drop.drop_zero = apart.one_apart = true;
  assert_close(calibrate(2, c, a, &left, bins).l1, 0.525, 1e-12, 0);  /* (.5 wrong, .45 right), 10 bins */
  assert_close(calibrate(2, c, a, &right, bins).l1, 0.025, 1e-12, 0);
  calibrate(5, c, a, &left, bins);
  assert_true(bins[0].count == 1 && bins[1].count == 1 && bins[5].count == 1 && bins[9].count == 1);
  calibrate(5, c, a, &right, bins);
  assert_true(bins[0].count == 2 && bins[4].count == 2 && bins[9].count == 1);
  assert_true(calibrate(5, c, a, &drop, bins).rows == 5 && bins[0].count == 1);
  calibrate(5, c, a, &apart, bins);
  assert_true(bins[9].count == 0 && bins[10].count == 1 && bins[10].low == 1);
}

static void equal_mass_shares_ties_whatever_the_order(void **state) {
  (void)state;
  enum { N = 100 };
  double c[N], d[N];
  uint8_t a[N], b[N];
  int64_t order[N];
  ls_rng r;
  ls_rng_seed(&r, 5);
  for (int i = 0; i < N; i++) c[i] = i < 60 ? .7 : ls_rng_double(&r), a[i] = ls_rng_double(&r) < .6;
  ls_binning shared = {.bins = 7, .kind = LS_BINS_EQUAL_MASS}, rows = shared, quantiles = shared;
  rows.ties = LS_TIES_ROWS, quantiles.ties = LS_TIES_QUANTILES;
  ls_bin bins[8];
  ls_calibration first = calibrate(N, c, a, &shared, bins);
  double total = 0;
  for (int i = 0; i < 7; i++) total += bins[i].count;
  assert_close(total, N, 1e-12, 0);
  assert_close(bins[0].count, 15, 1e-12, 0); /* 100 = 7 · 14 + 2: the first two hold one more */
  assert_close(bins[6].count, 14, 1e-12, 0);
  double by_rows = calibrate(N, c, a, &rows, NULL).l1, moved = 0;
  for (int trial = 0; trial < 10; trial++) {
    ls_rng_permutation(&r, N, order);
    for (int i = 0; i < N; i++) d[i] = c[order[i]], b[i] = a[order[i]];
    ls_calibration again = calibrate(N, d, b, &shared, NULL);
    assert_close(again.l1, first.l1, 1e-13, 0);
    assert_close(again.debiased_l2, first.debiased_l2, 1e-12, 0);
    assert_close(calibrate(N, d, b, &quantiles, NULL).l1, calibrate(N, c, a, &quantiles, NULL).l1, 1e-13, 0);
    moved += fabs(calibrate(N, d, b, &rows, NULL).l1 - by_rows);
  }
  assert_true(moved > 1e-3); /* by rows it does matter: what this test is about can be seen */
}

static void murphy_sums_to_the_brier_score(void **state) {
  static sample s;
  static ls_class_calibration classes[10];
  (void)state;
  for (int set = 0; set < 6; set++) {
    draw(&s, 40 + (uint64_t)set, 1500, 10, set < 3 ? 1 : 4);
    ls_predictions p = logits_of(s.z, s.y, s.n, s.k);
    get(&p);
    ls_binning b = {.bins = (int[]){1, 2, 15, 100, 15, 7}[set], .kind = set == 4 ? LS_BINS_EQUAL_MASS : LS_BINS_EQUAL_WIDTH, .one_apart = set == 5};
    ls_calibration r = calibrate((size_t)s.n, confidence, correct, &b, NULL);
    assert_close(r.murphy.reliability - r.murphy.resolution + r.murphy.uncertainty + r.murphy.within_variance - r.murphy.within_covariance, r.brier, 0, 1e-12);
    if (b.kind == LS_BINS_EQUAL_MASS) continue;
    ls_classwise w;
    ls_classification all;
    ls_class_score scores[10];
    assert_true(ls_classwise_scratch(&p, &b) <= sizeof scratch);
    assert_ok(ls_classwise_calibration(&p, &b, scratch, &w, classes, err));
    assert_close(w.murphy.reliability - w.murphy.resolution + w.murphy.uncertainty + w.murphy.within_variance - w.murphy.within_covariance, w.brier, 0, 1e-12);
    assert_ok(ls_classify(&p, 0, NULL, scratch, &all, NULL, scores, NULL, err));
    assert_close(w.brier, all.brier, 1e-13, 0);
    assert_close(w.nll, all.nll, 1e-13, 0);
    assert_close(r.over + r.under, r.l1, 1e-13, 0);
  }
}

/* Classes one by one through the measures of confidences: the class-wise sweep must give the same. */
static void classes_are_the_binary_case_of_each(void **state) {
  static sample s;
  (void)state;
  draw(&s, 77, 1200, 5, 2);
  ls_predictions p = logits_of(s.z, s.y, s.n, s.k);
  ls_classwise w;
  ls_class_calibration classes[5];
  double mean = 0;
  assert_ok(ls_classwise_calibration(&p, &usual, scratch, &w, classes, err));
  for (int k = 0; k < 5; k++) {
    for (int i = 0; i < s.n; i++) {
      long double q[5];
      softmax(s.z + 5 * i, 5, 1, q);
      confidence[i] = (double)q[k];
      correct[i] = s.y[i] == k;
    }
    ls_calibration r = calibrate((size_t)s.n, confidence, correct, &usual, NULL);
    assert_close(classes[k].l1, r.l1, 1e-12, 0);
    assert_close(classes[k].l2, r.l2, 1e-12, 0);
    assert_close(classes[k].max, r.max, 1e-12, 0);
    assert_close(classes[k].gap, r.gap, 1e-12, 1e-15);
    mean += r.l1 / 5;
  }
  assert_close(w.l1, mean, 1e-12, 0);
}

/* A calibrated model's error is near its null level, and its debiased error near 0: FORMULAS 4.11 gives .028 for c ~ U(.5, 1), N = 1000. */
static void a_calibrated_model_is_at_its_null_level(void **state) {
  (void)state;
  double sum = 0, null = 0, debiased = 0;
  ls_rng r;
  ls_rng_seed(&r, 3);
  for (int trial = 0; trial < 400; trial++) {
    for (int i = 0; i < 1000; i++) confidence[i] = .5 + .5 * ls_rng_double(&r), correct[i] = ls_rng_double(&r) < confidence[i];
    ls_calibration e = calibrate(1000, confidence, correct, &usual, NULL);
    sum += e.l1 / 400, null += e.null / 400, debiased += e.debiased / 400;
  }
  assert_close(sum, 0.028, 0, 0.001);
  assert_close(null, sum, 0.02, 0);
  assert_close(debiased / sum, 2 - sqrt(2), 0.05, 0); /* the gaps are N(0, s²), the resampled ones N(0, 2 s²) in all: 2 - sqrt 2 of the bias stays */
}

/* ---- kernels over confidences ---- */

static void mmce_is_the_sum_over_all_pairs(void **state) {
  (void)state;
  ls_rng r;
  ls_rng_seed(&r, 9);
  for (int n = 1; n <= 300; n += 37) {
    double sum = 0, got;
    for (int i = 0; i < n; i++) confidence[i] = i % 3 ? ls_rng_double(&r) : .5, correct[i] = ls_rng_double(&r) < .7;
    for (int i = 0; i < n; i++)
      for (int j = 0; j < n; j++) sum += (correct[i] - confidence[i]) * (correct[j] - confidence[j]) * exp(-fabs(confidence[i] - confidence[j]) / .4);
    assert_ok(ls_mmce((size_t)n, confidence, correct, NULL, .4, scratch, &got, err));
    assert_close(got, sqrt(sum) / n, 1e-12, 0);
  }
}

static void smooth_error_is_at_its_own_width(void **state) {
  (void)state;
  ls_rng r;
  ls_rng_seed(&r, 10);
  double error, width, again, same;
  for (int i = 0; i < 2000; i++) confidence[i] = ls_rng_double(&r), correct[i] = ls_rng_double(&r) < .6 * confidence[i];
  assert_true(ls_smooth_calibration_scratch(2000) <= sizeof scratch);
  assert_ok(ls_smooth_calibration(2000, confidence, correct, 0, scratch, &error, &width, err));
  assert_ok(ls_smooth_calibration(2000, confidence, correct, width, scratch, &again, &same, err));
  assert_true(again == error && same == width);
  assert_true(error <= width && width - error < 0.002); /* a fixed point, to the last bisection (1/1024) */
  assert_close(error, 0.2, 0, 0.02);                    /* E|c - .6c| */
  for (int i = 0; i < 2000; i++) confidence[i] = 1, correct[i] = 1;
  assert_ok(ls_smooth_calibration(2000, confidence, correct, 0, scratch, &error, &width, err));
  assert_close(error, 0, 0, 1e-15);
  assert_fails(ls_smooth_calibration(2000, confidence, correct, 2, scratch, &error, &width, err), LS_ERANGE, "width is 2");
}

/* ---- threads, order, sorting, intervals ---- */

static void threads_give_the_same_bits(void **state) {
  static sample s;
  (void)state;
  draw(&s, 99, 4000, 10, 2);
  ls_predictions p = logits_of(s.z, s.y, s.n, s.k);
  ls_classwise w[2];
  ls_class_calibration classes[2][10];
  ls_calibration c[2];
  ls_classification r[2];
  ls_class_score scores[2][10];
  double smooth[2], width;
  ls_bin bins[2][16];
  uint64_t before = ls_pool_blocks(LS_SITE_EVALUATE);
  for (int threads = 1; threads <= 5; threads++) {
    int at = threads > 1;
    assert_ok(ls_pool_start(threads, err));
    memset(&r[at], 0, sizeof r[at]);
    memset(&w[at], 0, sizeof w[at]);
    get(&p);
    c[at] = calibrate((size_t)s.n, confidence, correct, &usual, bins[at]);
    assert_ok(ls_classwise_calibration(&p, &usual, scratch, &w[at], classes[at], err));
    assert_ok(ls_classify(&p, 0, NULL, scratch, &r[at], NULL, scores[at], NULL, err));
    assert_ok(ls_smooth_calibration((size_t)s.n, confidence, correct, 0, scratch, &smooth[at], &width, err));
    if (at == 0) continue;
    assert_memory_equal(&c[1], &c[0], sizeof c[0]);
    assert_memory_equal(bins[1], bins[0], 15 * sizeof bins[0][0]);
    assert_memory_equal(&w[1], &w[0], sizeof w[0]);
    assert_memory_equal(&r[1], &r[0], sizeof r[0]);
    assert_memory_equal(scores[1], scores[0], sizeof scores[0]);
    assert_true(smooth[1] == smooth[0]);
  }
  ls_pool_stop();
  assert_true(ls_pool_blocks(LS_SITE_EVALUATE) > before);
}

static void a_row_is_worth_the_same_wherever_it_stands(void **state) {
  static sample s;
  static double c[MOST];
  (void)state;
  for (int k = 3; k <= 90; k += 87) {
    draw(&s, 123, 400, k, 3);
    ls_predictions p = logits_of(s.z, s.y, s.n, k);
    get(&p);
    memcpy(c, confidence, sizeof c);
    for (int i = 0; i < s.n; i += 13) {
      ls_predictions one = logits_of(s.z + i * k, s.y + i, 1, k);
      get(&one);
      assert_true(confidence[0] == c[i]);
    }
  }
}

static void sorting_is_stable_and_complete(void **state) {
  (void)state;
  enum { N = 9000 };
  static uint64_t x[2 * N], spare[2 * N];
  ls_rng r;
  ls_rng_seed(&r, 1);
  for (int i = 0; i < N; i++) {
    double v = i % 5 == 0 ? -1e300 : i % 6 == 0 ? 1 + (double)ls_rng_integer(&r, 0, 99) * 0x1p-52 : i % 7 == 0 ? (double)(i % 3) - 1 : ls_rng_normal(&r) * pow(10, (double)ls_rng_integer(&r, -300, 300));
    x[2 * i] = ls_ordered_bits(v);
    x[2 * i + 1] = (uint64_t)i;
  }
  uint64_t *sorted = ls_sort_items(x, spare, N, 2, 0), seen = 0;
  for (int i = 0; i < N; i++) seen += sorted[2 * i + 1];
  for (int i = 1; i < N; i++)
    assert_true(sorted[2 * i - 2] < sorted[2 * i] || (sorted[2 * i - 2] == sorted[2 * i] && sorted[2 * i - 1] < sorted[2 * i + 1]));
  assert_int_equal(seen, (uint64_t)N * (N - 1) / 2);
  assert_true(ls_ordered_bits(-0.0) == ls_ordered_bits(0.0) && ls_ordered_bits(-INFINITY) < ls_ordered_bits(-1) && ls_ordered_bits(1) < ls_ordered_bits(INFINITY));
}

static void intervals_are_those_of_the_tables(void **state) {
  (void)state;
  double low, high;
  ls_clopper_pearson(8, 10, .95, &low, &high); /* scipy.stats.binomtest(8, 10).proportion_ci */
  assert_close(low, 0.4439045376923585, 1e-9, 0);
  assert_close(high, 0.9747892736731665, 1e-9, 0);
  ls_wilson(8, 10, .95, &low, &high);
  assert_close(low, 0.4901624715366418, 1e-9, 0);
  assert_close(high, 0.9433178485456248, 1e-9, 0);
  ls_clopper_pearson(0, 20, .95, &low, &high);
  assert_true(low == 0);
  assert_close(high, 1 - pow(.025, 1. / 20), 1e-12, 0);
  ls_clopper_pearson(20, 20, .95, &low, &high);
  assert_true(high == 1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(other_packages_numbers_come_out),
      cmocka_unit_test(rows_are_those_of_the_definitions),
      cmocka_unit_test(exponentials_and_logarithms_keep_their_error),
      cmocka_unit_test(probabilities_are_taken_as_given),
      cmocka_unit_test(what_cannot_be_judged_is_refused),
      cmocka_unit_test(edges_belong_where_the_choice_says),
      cmocka_unit_test(equal_mass_shares_ties_whatever_the_order),
      cmocka_unit_test(murphy_sums_to_the_brier_score),
      cmocka_unit_test(classes_are_the_binary_case_of_each),
      cmocka_unit_test(a_calibrated_model_is_at_its_null_level),
      cmocka_unit_test(mmce_is_the_sum_over_all_pairs),
      cmocka_unit_test(smooth_error_is_at_its_own_width),
      cmocka_unit_test(threads_give_the_same_bits),
      cmocka_unit_test(a_row_is_worth_the_same_wherever_it_stands),
      cmocka_unit_test(sorting_is_stable_and_complete),
      cmocka_unit_test(intervals_are_those_of_the_tables),
  };
  return run_suite(tests);
}
