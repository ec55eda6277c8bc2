/* Measures of predictions against other packages and their definitions. SPDX-License-Identifier: MIT */
#include "test.h"

#include <lsengine/eval.h>
#include <lsengine/pool.h>
#include <lsengine/statistics.h>

#include "tests/golden/evaluation.inc"

static char scratch[1 << 20];
static const ls_evaluate_options usual = {.temperature = 1, .bins = 15, .top_k = 3};

static ls_evaluation judge(const float *z, const int64_t *y, int n, int k, const ls_evaluate_options *o, ls_bin *bins) {
  ls_evaluation e = {0};
  assert_true(ls_evaluate_scratch(n, o) <= sizeof scratch);
  assert_ok(ls_evaluate((ls_cmat){z, n, k, k}, y, o, scratch, &e, bins, err));
  return e;
}

static void other_packages_numbers_come_out(void **state) {
  (void)state;
  ls_evaluation e = judge(golden_z, golden_y, GOLDEN_N, GOLDEN_K, &usual, NULL);
  assert_close(e.accuracy, golden.accuracy, 1e-12, 0);
  assert_close(e.top_k, golden.top3, 1e-12, 0);
  assert_close(e.nll, golden.nll, 1e-12, 0);
  assert_close(e.brier, golden.brier, 1e-12, 0);
  assert_close(e.ece, golden.ece, 0, 1e-6); /* torchmetrics works in float32 */
  assert_close(e.mce, golden.mce, 0, 1e-6);
  assert_close(e.ece_null, golden.null, 1e-12, 0);
  assert_close(e.ece_debiased, golden.debiased, 0, golden.debiased_error); /* five standard errors of 40000 draws */
  assert_close(e.aurc, golden.aurc, 0, golden.aurc_error + 1e-12);
  assert_close(e.ece_debiased_l2, golden.l2, 0, 1e-3); /* ties fall into bins by row here and there */
  assert_int_equal(e.rows, GOLDEN_N);
}

static void bins_are_closed_on_the_left(void **state) {
  (void)state;
  /* confidences .5 (wrong) and .45 (right) with ten bins: .525, as [a,b) gives */
  float half = 0, z[] = {half, half, -40, logf(.45f), logf(.3f), logf(.25f)};
  int64_t y[] = {1, 0};
  ls_evaluate_options o = {.temperature = 1, .bins = 10, .top_k = 1};
  ls_bin bins[10];
  ls_evaluation e = judge(z, y, 2, 3, &o, bins);
  assert_close(e.ece, 0.525, 1e-6, 0);
  assert_int_equal(bins[5].count, 1);
  assert_int_equal(bins[4].count, 1);
  float sure[] = {0, -200};
  int64_t zero = 0;
  e = judge(sure, &zero, 1, 2, &o, bins); /* confidence 1 belongs to the last bin */
  assert_int_equal(bins[9].count, 1);
  assert_close(e.ece, 0, 0, 1e-15);
}

static void aurc_takes_the_expectation_within_ties(void **state) {
  (void)state;
  float z[] = {1, 0, 1, 0, 1, 0, 1, 0};
  int64_t y[] = {0, 1, 0, 1};
  ls_evaluation e = judge(z, y, 4, 2, &usual, NULL);
  assert_close(e.aurc, 0.5, 1e-15, 0);
  float saturated[] = {50, 0, 60, 0}; /* both confidences are 1 in double: the order is still known */
  int64_t first_wrong[] = {1, 0};
  e = judge(saturated, first_wrong, 2, 2, &usual, NULL);
  assert_close(e.aurc, 0.25, 1e-15, 0);
}

static void temperature_never_raises_the_nll_it_was_fitted_on(void **state) {
  (void)state;
  ls_temperature t;
  assert_ok(ls_fit_temperature((ls_cmat){golden_z, GOLDEN_N, GOLDEN_K, GOLDEN_K}, golden_y, (ls_ignore){0}, scratch, &t, err));
  assert_close(t.temperature, golden.temperature, 1e-6, 0);
  assert_close(t.nll, golden.nll_fitted, 1e-12, 0);
  assert_true(t.nll <= t.nll_before && !t.at_bound);
  float right[] = {1, 0, 0, 2}, flat[] = {0, 0, 0, 0};
  int64_t y[] = {0, 1}, wrong[] = {1, 0};
  assert_ok(ls_fit_temperature((ls_cmat){right, 2, 2, 2}, y, (ls_ignore){0}, scratch, &t, err));
  assert_true(t.at_bound && t.temperature < 0.051 && t.nll < t.nll_before);
  assert_ok(ls_fit_temperature((ls_cmat){right, 2, 2, 2}, wrong, (ls_ignore){0}, scratch, &t, err));
  assert_true(t.at_bound && t.temperature > 19.9);
  assert_ok(ls_fit_temperature((ls_cmat){flat, 2, 2, 2}, y, (ls_ignore){0}, scratch, &t, err));
  assert_true(t.temperature == 1.0 && t.nll == t.nll_before);
}

static void what_cannot_be_judged_is_refused(void **state) {
  (void)state;
  float z[] = {1, 0, 0, 1, NAN, 1};
  int64_t y[] = {0, 1, 1};
  ls_evaluation e;
#define REFUSED(n, code, text) assert_fails(ls_evaluate((ls_cmat){z, n, 2, 2}, y, &usual, scratch, &e, NULL, err), code, text)
  REFUSED(0, LS_ERANGE, "no row to judge");
  REFUSED(3, LS_EVALUE, "logits[3] is NaN for class 0");
  z[4] = -INFINITY;
  REFUSED(2, LS_OK, "");
  REFUSED(3, LS_OK, "");
  y[2] = 0;
  REFUSED(3, LS_ERANGE, "labels[3] is 0, a class that is masked");
  y[2] = 2;
  REFUSED(3, LS_ERANGE, "labels[3] is 2 but logits have 2 classes");
  ls_evaluate_options o = usual;
  o.bins = 0;
  assert_fails(ls_evaluate((ls_cmat){z, 2, 2, 2}, y, &o, scratch, &e, NULL, err), LS_ERANGE, "bins is 0");
  float one[] = {3};
  int64_t zero = 0;
  e = judge(one, &zero, 1, 1, &usual, NULL); /* one class: always right, always sure */
  assert_true(e.accuracy == 1 && e.nll == 0 && e.ece == 0);
}

static void threads_give_the_same_bits(void **state) {
  (void)state;
  enum { N = 3001 };
  static float z[N * GOLDEN_K];
  static int64_t y[N];
  ls_temperature first, again;
  ls_evaluation want, got;
  uint64_t before = ls_pool_blocks(LS_SITE_EVALUATE);
  for (int i = 0; i < N; i++) {
    memcpy(z + i * GOLDEN_K, golden_z + i % GOLDEN_N * GOLDEN_K, GOLDEN_K * sizeof *z);
    z[i * GOLDEN_K] += (float)i * 1e-4f;
    y[i] = golden_y[i % GOLDEN_N];
  }
  want = judge(z, y, N, GOLDEN_K, &usual, NULL);
  assert_ok(ls_fit_temperature((ls_cmat){z, N, GOLDEN_K, GOLDEN_K}, y, (ls_ignore){0}, scratch, &first, err));
  for (int threads = 2; threads <= 5; threads++) {
    assert_ok(ls_pool_start(threads, err));
    got = judge(z, y, N, GOLDEN_K, &usual, NULL);
    assert_memory_equal(&got, &want, sizeof got);
    assert_ok(ls_fit_temperature((ls_cmat){z, N, GOLDEN_K, GOLDEN_K}, y, (ls_ignore){0}, scratch, &again, err));
    assert_true(again.temperature == first.temperature && again.nll == first.nll);
  }
  ls_pool_stop();
  assert_true(ls_pool_blocks(LS_SITE_EVALUATE) > before);
}

static void ignored_rows_do_not_count(void **state) {
  (void)state;
  static int64_t y[GOLDEN_N];
  ls_evaluate_options o = usual;
  memcpy(y, golden_y, sizeof y);
  for (int i = 100; i < GOLDEN_N; i++) y[i] = -1;
  o.ignore = (ls_ignore){true, -1};
  ls_evaluation some = judge(golden_z, y, GOLDEN_N, GOLDEN_K, &o, NULL), first = judge(golden_z, golden_y, 100, GOLDEN_K, &usual, NULL);
  assert_memory_equal(&some, &first, sizeof some);
}

static void errors_of_numbers_are_those_of_the_definitions(void **state) {
  (void)state;
  const float y[] = {1, 2, 3, 4}, p[] = {1, 3, 2, 5}, same[] = {7, 7, 7}, nan[] = {1, NAN, 3}, inf[] = {1, 2, -INFINITY};
  /* far from 0 a sum of squares minus the square of a sum would lose everything: y = 2^23 + 0…3 */
  const float far_y[] = {8388608, 8388609, 8388610, 8388611}, far_p[] = {8388608, 8388610, 8388609, 8388612};
  ls_regression r;
  assert_ok(ls_evaluate_regression(p, y, 4, &r, err));
  assert_close(r.rmse, sqrt(0.75), 1e-15, 0);
  assert_close(r.mae, 0.75, 1e-15, 0);
  assert_close(r.r2, 0.4, 1e-15, 0);
  assert_ok(ls_evaluate_regression(far_p, far_y, 4, &r, err));
  assert_close(r.r2, 0.4, 1e-15, 0);
  assert_ok(ls_evaluate_regression(same, same, 3, &r, err));
  assert_true(r.rmse == 0 && r.mae == 0 && r.r2 == 1);
  assert_ok(ls_evaluate_regression(y, same, 3, &r, err));
  assert_true(r.mae == 5 && r.r2 == 0);
  assert_fails(ls_evaluate_regression(y, y, 0, &r, err), LS_ERANGE, "there is no row to judge");
  assert_fails(ls_evaluate_regression(nan, y, 3, &r, err), LS_EVALUE, "predictions[2] is NaN");
  assert_fails(ls_evaluate_regression(y, inf, 3, &r, err), LS_EVALUE, "y[3] is -inf");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(other_packages_numbers_come_out),
      cmocka_unit_test(bins_are_closed_on_the_left),
      cmocka_unit_test(aurc_takes_the_expectation_within_ties),
      cmocka_unit_test(temperature_never_raises_the_nll_it_was_fitted_on),
      cmocka_unit_test(what_cannot_be_judged_is_refused),
      cmocka_unit_test(threads_give_the_same_bits),
      cmocka_unit_test(ignored_rows_do_not_count),
      cmocka_unit_test(errors_of_numbers_are_those_of_the_definitions),
  };
  return run_suite(tests);
}
