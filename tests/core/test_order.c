/* One order of confidences and doubts against each alone; the smoothing of a grid. SPDX-License-Identifier: MIT */
#include "test.h"

#include <lsengine/calibration.h>
#include <lsengine/cpu.h>
#include <lsengine/judging.h>
#include <lsengine/pool.h>
#include <lsengine/random.h>

#include "core/eval/order.h"
#include "core/kernels/kernels.h"

enum { MOST = 40000, BINS = 15 };

static char scratch[1 << 26];
static float z[MOST * 10];
static int64_t label[MOST];
static double confidence[MOST], doubt[MOST];
static uint8_t correct[MOST], wrong[MOST];
static uint64_t keys[2 * MOST], alone[2 * MOST];

/* Rows of all kinds: even ones, two that lead, unsure ones whose doubt is above 1/2, such that are sure beyond what 1 less doubt can say, and each kind twice. */
static void draw(ls_rng *r, int n, int k) {
  const float scale[] = {0, 0.01f, 1, 8, 40};
  for (int i = 0; i < n; i++) {
    float *row = z + i * k;
    for (int c = 0; c < k; c++) row[c] = scale[i / 2 % 5] * (float)ls_rng_normal(r);
    if (i % 7 == 0) row[0] = row[k - 1] = 9;
    for (int c = 0; c < k; c++) row[c] = z[(i - i % 2) * k + c];
    label[i] = ls_rng_integer(r, 0, k - 1);
  }
}

static size_t judge(int n, int k, bool probabilities, ls_score score) {
  ls_predictions p = {.z = {z, n, k, k}, .labels = label, .temperature = 1, .probabilities = probabilities};
  ls_judging j = {.confidence = confidence, .correct = correct, .doubt = doubt, .wrong = wrong, .score = score};
  int64_t kept;
  assert_true(ls_judge_scratch(&p, &j) <= sizeof scratch);
  assert_ok(ls_judge(&p, &j, scratch, &kept, err));
  return (size_t)kept;
}

static void one_sort_orders_confidences_and_doubts(void **state) {
  (void)state;
  ls_rng r;
  ls_rng_seed(&r, 8);
  for (int set = 0; set < 8; set++) {
    int n = (int[]){1, 2, 40, 4000}[set % 4], k = set < 4 ? 10 : 100;
    draw(&r, n, k);
    judge(n, k, false, LS_SCORE_MAX_PROBABILITY);
    ls_order order;
    assert_ok(ls_sort_confidences((size_t)n, confidence, doubt, correct, keys, &order, err));
    assert_non_null(order.doubt);
    const uint64_t *want = ls_sorted_confidences((size_t)n, confidence, correct, alone);
    int right = 0;
    for (int i = 0; i < n; i++) {
      double c = ls_confidence_of(order.confidence[i]), d = ls_confidence_of(order.doubt[n - 1 - i]);
      assert_true(c == ls_confidence_of(want[i]));
      assert_true(fmax(c, d) == 1 - fmin(c, d));
      assert_true(i == 0 || ls_confidence_of(order.doubt[n - i]) >= d);
      assert_true((order.confidence[i] & 1) != (order.doubt[n - 1 - i] & 1));
      right += (int)(order.confidence[i] & 1) - correct[i];
    }
    assert_true(right == 0);
  }
}

/* Other doubts are sorted by themselves. */
static void other_doubts_have_their_own_order(void **state) {
  (void)state;
  ls_rng r;
  ls_order order;
  ls_rng_seed(&r, 9);
  draw(&r, 500, 10);
  judge(500, 10, false, LS_SCORE_MARGIN);
  assert_ok(ls_sort_confidences(500, confidence, doubt, correct, keys, &order, err));
  assert_null(order.doubt);
  judge(500, 10, false, LS_SCORE_MAX_PROBABILITY);
  const double kept = doubt[77], others[] = {NAN, -1e-300, 1 - confidence[77] + 1e-15, 2};
  for (int i = 0; i < 4; i++) {
    doubt[77] = others[i];
    assert_ok(ls_sort_confidences(500, confidence, doubt, correct, keys, &order, err));
    assert_null(order.doubt);
  }
  doubt[77] = kept;
  assert_ok(ls_sort_confidences(500, confidence, doubt, correct, keys, &order, err));
  assert_non_null(order.doubt);
  assert_ok(ls_sort_confidences(500, confidence, NULL, correct, keys, &order, err));
  assert_null(order.doubt);
  confidence[3] = 1.5;
  assert_fails(ls_sort_confidences(500, confidence, doubt, correct, keys, &order, err), LS_ERANGE, "confidence[4] is 1.5, allowed is 0 to 1");
  assert_fails(ls_sort_confidences(0, confidence, doubt, correct, keys, &order, err), LS_ERANGE, "there is no row to judge");
}

static void measures_by_one_order_are_each_alone(void **state) {
  (void)state;
  ls_rng r;
  ls_rng_seed(&r, 10);
  for (int set = 0; set < 6; set++) {
    int n = (int[]){3, 900, MOST}[set % 3], k = set < 3 ? 10 : 3;
    draw(&r, n, k);
    size_t rows = judge(n, k, false, LS_SCORE_MAX_PROBABILITY);
    ls_order order;
    assert_ok(ls_sort_confidences(rows, confidence, doubt, correct, keys, &order, err));
    assert_non_null(order.doubt);
    for (int ties = 0; ties <= LS_TIES_QUANTILES; ties++) {
      ls_binning b = {.bins = BINS, .kind = LS_BINS_EQUAL_MASS, .ties = (ls_bin_ties)ties};
      ls_calibration one, other;
      ls_bin bins[BINS + 1], others[BINS + 1];
      assert_true(ls_calibration_scratch(rows, &b) <= sizeof scratch);
      assert_ok(ls_calibrate(rows, confidence, correct, &order, &b, scratch, &one, bins, err));
      assert_ok(ls_calibrate(rows, confidence, correct, NULL, &b, scratch, &other, others, err));
      assert_memory_equal(&one, &other, sizeof one);
      assert_memory_equal(bins, others, BINS * sizeof *bins);
    }
    double mmce, mmce_alone;
    assert_ok(ls_mmce(rows, confidence, correct, &order, 0.4, scratch, &mmce, err));
    assert_ok(ls_mmce(rows, confidence, correct, NULL, 0.4, scratch, &mmce_alone, err));
    assert_close(mmce, mmce_alone, 1e-12, 1e-15);
    double curve[20], alone_curve[20];
    ls_selective_wants wants = {.points = 10, .curve = curve}, wants_alone = {.points = 10, .curve = alone_curve};
    ls_selective s, s_alone;
    for (int area = 0; area < 3; area++) {
      wants.area = wants_alone.area = (ls_area)area;
      assert_ok(ls_select(rows, doubt, wrong, order.doubt, &wants, scratch, &s, err));
      assert_ok(ls_select(rows, doubt, wrong, NULL, &wants_alone, scratch, &s_alone, err));
      assert_memory_equal(&s, &s_alone, sizeof s);
      assert_memory_equal(curve, alone_curve, sizeof curve);
    }
  }
}

/* The best order's area has a closed form, of which few rows are summed up. */
static void best_area_is_the_sum(void **state) {
  (void)state;
  const ls_selective_wants wants = {.area = LS_AREA_MEAN};
  for (int set = 0; set < 30; set++) {
    int n = (int[]){1, 10, 255, 256, 257, 40000}[set % 6], right = (int[]){0, 1, n / 100, n / 2, n}[set / 6];
    long double best = 0;
    for (int i = 0; i < n; i++) doubt[i] = i, wrong[i] = i >= right;
    for (int q = right + 1; q <= n; q++) best += (long double)(q - right) / q / n;
    ls_selective r;
    assert_ok(ls_select((size_t)n, doubt, wrong, NULL, &wants, scratch, &r, err));
    assert_close(r.aurc - r.excess_aurc, (double)best, 1e-13, 1e-15);
    assert_close(r.excess_aurc, 0, 0, 1e-13);
  }
}

static void grids_are_smoothed_on_every_set(void **state) {
  (void)state;
  static double x[3000], weights[1100], out[1200];
  ls_rng r;
  ls_rng_seed(&r, 11);
  for (int i = 0; i < 3000; i++) x[i] = ls_rng_normal(&r);
  for (int i = 0; i < 1100; i++) weights[i] = ls_rng_double(&r);
  for (int isa = 0; isa <= LS_ISA_AVX512; isa++) {
    if (!ls_cpu_has((ls_isa)isa)) continue;
    for (int set = 0; set < 36; set++) {
      size_t n = (size_t[]){1, 7, 16, 31, 32, 33, 63, 64, 65, 127, 130, 1001}[set % 12], taps = (size_t[]){1, 2, 1001}[set / 12];
      out[n] = 7;
      ls_kernels_of((ls_isa)isa)->evaluation->convolve(taps, weights, n, x, out);
      for (size_t q = 0; q < n; q++) {
        long double sum = 0;
        for (size_t i = 0; i < taps; i++) sum += (long double)weights[i] * x[q + i];
        assert_close(out[q], (double)sum, 0, 1e-12);
      }
      assert_true(out[n] == 7);
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(one_sort_orders_confidences_and_doubts),
      cmocka_unit_test(other_doubts_have_their_own_order),
      cmocka_unit_test(measures_by_one_order_are_each_alone),
      cmocka_unit_test(best_area_is_the_sum),
      cmocka_unit_test(grids_are_smoothed_on_every_set),
  };
  return run_suite(tests);
}
