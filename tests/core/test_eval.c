/* Measures of predicted numbers. SPDX-License-Identifier: MIT */
#include "test.h"

#include <lsengine/eval.h>

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
      cmocka_unit_test(errors_of_numbers_are_those_of_the_definitions),
  };
  return run_suite(tests);
}
