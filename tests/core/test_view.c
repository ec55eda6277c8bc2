/* SPDX-License-Identifier: MIT */
#include "test.h"

#include <lsengine/tensor.h>

static void shapes_broadcast_as_in_numpy(void **state) {
  (void)state;
  int32_t a[] = {5, 1, 3}, b[] = {4, 1}, c[] = {2};
  ls_view va = ls_view_of(NULL, 3, a), vb = ls_view_of(NULL, 2, b), vc = ls_view_of(NULL, 1, c), out;
  assert_ok(ls_broadcast(&va, &vb, &out, err));
  assert_int_equal(out.rank, 3);
  assert_int_equal(out.shape[0], 5);
  assert_int_equal(out.shape[1], 4);
  assert_int_equal(out.shape[2], 3);
  assert_fails(ls_broadcast(&va, &vc, &out, err), LS_ESHAPE, "shapes 5x1x3 and 2 do not broadcast: axis 3 is 3 and 2");
}

static void a_shape_that_overflows_is_refused(void **state) {
  (void)state;
  int32_t huge[] = {INT32_MAX, INT32_MAX, INT32_MAX}, with_zero[] = {INT32_MAX, INT32_MAX, 0}, negative[] = {3, -1};
  size_t count;
  assert_fails(ls_shape_count(3, huge, &count, err), LS_ESHAPE, "more than 2^46");
  assert_ok(ls_shape_count(3, with_zero, &count, err));
  assert_int_equal(count, 0);
  assert_fails(ls_shape_count(2, negative, &count, err), LS_ESHAPE, "dimension 2 is -1");
}

static void strided_and_transposed_views_add_and_reduce_right(void **state) {
  (void)state;
  enum { R = 37, C = 19 };
  float x[R * C], y[C], out[C * R];
  int32_t shape[] = {R, C}, transposed[] = {C, R}, row[] = {C, 1}, sums[] = {1, R};
  for (int i = 0; i < R * C; i++) x[i] = (float)(i % 101) - 40.0f;
  for (int i = 0; i < C; i++) y[i] = (float)i * 0.5f;
  ls_view vx = ls_view_of(x, 2, shape), vo = ls_view_of(out, 2, transposed), vy = ls_view_of(y, 2, row);
  ls_view vt = {.data = x, .rank = 2, .shape = {C, R}, .stride = {1, C}};
  ls_view ey = ls_view_expand(&vy, &vo);
  ls_binary_apply(LS_BINARY_ADD, &vt, &ey, &vo);
  double total = 0;
  for (int r = 0; r < R; r++)
    for (int c = 0; c < C; c++) {
      assert_close(out[c * R + r], x[r * C + c] + y[c], 0, 0);
      total += (double)x[r * C + c];
    }
  assert_close(ls_reduce_all(LS_REDUCE_SUM, &vt), total, 1e-12, 0);
  assert_close(ls_reduce_all(LS_REDUCE_MAX, &vx), 60, 0, 0);
  float col[R];
  ls_view vc = ls_view_of(col, 2, sums);
  ls_reduce_axis(LS_REDUCE_SUM, &vt, 0, &vc, NULL);
  for (int r = 0; r < R; r++) {
    double want = 0;
    for (int c = 0; c < C; c++) want += (double)x[r * C + c];
    assert_close(col[r], want, 1e-6, 0);
  }
}

static void the_first_of_equal_maxima_is_named_and_nan_wins(void **state) {
  (void)state;
  float x[] = {1, 7, 7, 2, NAN, 9}, best[2];
  int32_t shape[] = {2, 3}, to[] = {2, 1};
  int64_t where[2];
  ls_view vx = ls_view_of(x, 2, shape), vb = ls_view_of(best, 2, to);
  ls_reduce_axis(LS_REDUCE_MAX, &vx, 1, &vb, where);
  assert_int_equal(where[0], 1);
  assert_close(best[0], 7, 0, 0);
  assert_int_equal(where[1], 1);
  assert_true(isnan(best[1]));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(shapes_broadcast_as_in_numpy),
      cmocka_unit_test(a_shape_that_overflows_is_refused),
      cmocka_unit_test(strided_and_transposed_views_add_and_reduce_right),
      cmocka_unit_test(the_first_of_equal_maxima_is_named_and_nan_wins),
  };
  return run_suite(tests);
}
