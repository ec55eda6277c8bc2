/* Kernels of class-wise cells, of orders and of labels on every instruction set, against plain loops. SPDX-License-Identifier: MIT */
#include "test.h"

#include <lsengine/cpu.h>
#include <lsengine/random.h>

#include "core/kernels/bits.h"
#include "core/kernels/kernels.h"

/* Cells of columns and of rows, on each set, hold what was added number by number. */
static void class_cells_hold_every_number(void **state) {
  enum { N = LS_CLASS_BLOCK };
  static double p[N];
  static int32_t place[N];
  static ls_class_cell want[N * 4], got[N * 4];
  (void)state;
  ls_rng r;
  ls_rng_seed(&r, 9);
  for (int set = 0; set < 60; set++) {
    size_t classes = (size_t[]){1, 2, 7, 10, 64}[set % 5], rows = set < 20 ? N / classes : (size_t)ls_rng_integer(&r, 1, (int64_t)(N / classes)), cells = 4;
    bool columns = set % 3 > 0;
    ls_class_block b = {rows, classes, columns ? 1 : classes, columns ? rows : 1, columns ? 1 : classes, columns ? rows : 1, p, place};
    memset(want, 0, sizeof want);
    for (size_t i = 0; i < rows; i++)
      for (size_t k = 0; k < classes; k++) {
        size_t at = i * b.row + k * b.class;
        p[at] = ls_rng_double(&r);
        place[at] = set % 2 ? (int32_t)ls_rng_integer(&r, 0, 3) : 1 + (p[at] > 0.9);
        ls_class_cell *cell = &want[k * cells + (size_t)place[at]];
        cell->count += 1, cell->p += p[at], cell->squares += p[at] * p[at];
      }
    for (int isa = 0; isa <= LS_ISA_AVX512; isa++) {
      if (!ls_cpu_has((ls_isa)isa)) continue;
      memset(got, 0, sizeof got);
      ls_kernels_of((ls_isa)isa)->evaluation->add_cells(&b, cells, got);
      for (size_t i = 0; i < N * 4; i++) {
        assert_true(got[i].count == want[i].count);
        assert_close(got[i].p, want[i].p, 1e-13, 0);
        assert_close(got[i].squares, want[i].squares, 1e-13, 0);
      }
    }
  }
}

/* Keys of an order, to and fro; what is no order; sums up to the first two that are equal; labels. */
static void orders_are_made_alike_on_every_set(void **state) {
  enum { N = 101 };
  (void)state;
  ls_rng r;
  ls_rng_seed(&r, 10);
  for (int isa = 0; isa <= LS_ISA_AVX512; isa++) {
    if (!ls_cpu_has((ls_isa)isa)) continue;
    const ls_evaluation_kernels *kernels = ls_kernels_of((ls_isa)isa)->evaluation;
    double c[N], doubt[N];
    uint8_t a[N];
    uint64_t keys[N], doubts[N], least, most;
    for (int i = 0; i < N; i++) {
      double less = pow(ls_rng_double(&r), 20) / 2;
      bool sure = i % 3 > 0;
      c[i] = sure ? 1 - less : less, doubt[i] = sure ? less : 1 - less, a[i] = (uint8_t)(i % 2);
    }
    assert_true(kernels->common_keys(N, c, doubt, a, keys));
    for (int i = 0; i < N; i++)
      for (int j = 0; j < N; j++)
        if (c[i] < c[j] || doubt[i] > doubt[j]) assert_true(keys[i] < keys[j]);
    kernels->range(N, keys, &least, &most);
    for (int i = 0; i < N; i++) assert_true(least <= keys[i] && keys[i] <= most);
    kernels->take_apart(N, keys, doubts);
    for (int i = 0; i < N; i++) {
      assert_true(keys[i] == (double_bits(c[i]) << 1 | a[i]));
      assert_true(doubts[N - 1 - i] == (double_bits(doubt[i]) << 1 | !a[i]));
    }
    for (int bad = 0; bad < 4; bad++) {
      double kept = c[50];
      c[50] = (double[]){NAN, -0.25, 1.25, 0.3}[bad];
      assert_false(kernels->common_keys(N, c, doubt, a, keys));
      c[50] = kept;
    }
    for (int i = 0; i < N; i++) keys[i] = double_bits(i == 71 ? 0.70 : i / 100.0) << 1 | (i % 3 == 0);
    ls_sorted_sums sums;
    for (int n = 0; n < N; n++) {
      double want[5] = {0};
      size_t taken = kernels->add_sorted((size_t)n, keys, true, &sums);
      assert_int_equal(taken, n < 71 ? n / 8 * 8 : 64);
      assert_int_equal(kernels->add_sorted((size_t)n, keys, false, &sums), n / 8 * 8);
      for (int i = 0; i < n / 8 * 8; i++) {
        double x = i == 71 ? 0.70 : i / 100.0, y = i % 3 == 0;
        want[0] += x, want[1] += y, want[2] += x * x, want[3] += x * y, want[4] += (x - y) * (x - y);
      }
      if (n < 8) continue;
      const double got[5] = {sums.c, sums.a, sums.squares, sums.products, sums.brier};
      for (int i = 0; i < 5; i++) assert_close(got[i], want[i], 1e-14, 0);
    }
    int64_t labels[N];
    int32_t out[N];
    for (int i = 0; i < N; i++) labels[i] = i % 10;
    assert_true(kernels->labels(N, labels, 10, out));
    for (int i = 0; i < N; i++) assert_int_equal(out[i], i % 10);
    for (int bad = 0; bad < 4; bad++) {
      labels[N - 1 - bad * 30] = (int64_t[]){10, -1, INT64_MIN, INT64_MAX}[bad];
      assert_false(kernels->labels(N, labels, 10, out));
      labels[N - 1 - bad * 30] = 0;
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(class_cells_hold_every_number), cmocka_unit_test(orders_are_made_alike_on_every_set)};
  return run_suite(tests);
}
