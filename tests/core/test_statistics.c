/* Statistics against scipy and the published tables. SPDX-License-Identifier: MIT */
#include "test.h"

#include <lsengine/statistics.h>

#include "tests/golden/evaluation.inc"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void t_distribution_is_scipys(void **state) {
  (void)state;
  for (size_t i = 0; i < COUNT(t_tails); i++) assert_close(ls_t_survival(t_tails[i].t, t_tails[i].degrees), t_tails[i].survival, 1e-11, 0);
  for (size_t i = 0; i < COUNT(t_quantiles); i++)
    assert_close(ls_t_quantile(t_quantiles[i].p, t_quantiles[i].degrees), t_quantiles[i].t, 1e-10, 0);
  for (size_t i = 0; i < COUNT(noncentral); i++)
    assert_close(ls_noncentral_t_survival(noncentral[i].t, noncentral[i].degrees, noncentral[i].delta), noncentral[i].survival, 0, 1e-7);
  (void)golden_z, (void)golden_y, (void)golden;
}

static void paired_tests_are_scipys(void **state) {
  (void)state;
  double p;
  assert_close(ls_t_test(COUNT(paired), paired, 0.1), paired_p, 1e-10, 0);
  assert_ok(ls_sign_flip_test(COUNT(paired), paired, 0.1, &p, err));
  assert_close(p, paired_flip, 1e-12, 0);
  double all[] = {1, 2, 3, 4, 5, 6}, same[] = {2, 2, 2};
  assert_ok(ls_sign_flip_test(6, all, 0, &p, err));
  assert_close(p, 1.0 / 64, 0, 0);
  assert_true(ls_t_test(3, same, 1) == 0 && ls_t_test(3, same, 3) == 1 && ls_t_test(3, same, 2) == 0.5);
  assert_fails(ls_sign_flip_test(21, paired, 0, &p, err), LS_ERANGE, "21 differences, allowed is 1 to 20");
}

static void holm_steps_down(void **state) {
  (void)state;
  double p[] = {0.01, 0.04, 0.03, 0.005}, want[] = {0.03, 0.06, 0.06, 0.02};
  size_t order[8];
  ls_holm(4, p, order);
  for (int i = 0; i < 4; i++) assert_close(p[i], want[i], 1e-12, 0);
  double large[] = {0.9, 0.8};
  ls_holm(2, large, order);
  assert_true(large[0] == 1 && large[1] == 1);
}

/* Pairs for power .8 and .95 at effect d, two-sided .05; and at Holm's first level of four claims. */
static void pairs_needed_reproduce_the_table(void **state) {
  (void)state;
  static const struct {
    double d, level;
    size_t n80, n95;
  } table[] = {{.5, .025, 34, 54}, {.75, .025, 16, 26}, {1, .025, 10, 16}, {1.5, .025, 6, 8}, {2, .025, 5, 6}, {3, .025, 4, 4}, {1, .025 / 4, 15, 21}};
  for (size_t i = 0; i < COUNT(table); i++) {
    assert_int_equal(ls_pairs_needed(table[i].d, table[i].level, .8, 10000), table[i].n80);
    assert_int_equal(ls_pairs_needed(table[i].d, table[i].level, .95, 10000), table[i].n95);
  }
  assert_int_equal(ls_pairs_needed(1e-6, .025, .8, 10000), 10000);
}

static void a_shifted_p_value_is_noticed(void **state) {
  (void)state;
  assert_true(fabs(ls_t_test(COUNT(paired), paired, 0.2) - paired_p) > 1e-3);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(t_distribution_is_scipys), cmocka_unit_test(paired_tests_are_scipys),      cmocka_unit_test(holm_steps_down),
      cmocka_unit_test(pairs_needed_reproduce_the_table), cmocka_unit_test(a_shifted_p_value_is_noticed),
  };
  return run_suite(tests);
}
