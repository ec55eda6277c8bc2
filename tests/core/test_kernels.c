/* The kernels against double-precision functions, and every instruction set against the plain one. SPDX-License-Identifier: MIT */
#include "test.h"

#include "core/kernels/kernels.h"

enum { N = 4099 };

static double ulps(float got, double want) {
  if (isnan(want) || isnan(got)) return isnan(want) && isnan(got) ? 0 : INFINITY;
  if ((double)got == want) return 0;
  float nearest = (float)want;
  if (isinf(nearest)) return got == nearest ? 0 : INFINITY;
  double step = (double)nextafterf(fabsf(nearest), INFINITY) - (double)fabsf(nearest);
  return fabs((double)got - want) / step;
}

static double gelu(double x) { return 0.5 * x * erfc(-x / sqrt(2.0)); }
static double sigmoid(double x) { return 1.0 / (1.0 + exp(-x)); }
static double softplus(double x) { return x > 0 ? x + log1p(exp(-x)) : log1p(exp(x)); }

static void worst(ls_unary op, double (*oracle)(double), double from, double to, double allowed, double absolute) {
  float x[N], y[N];
  for (int i = 0; i < N; i++) x[i] = (float)(from + (to - from) * i / (N - 1));
  ls_kernels_ref.unary[op](N, x, 1, y, 1);
  for (int i = 0; i < N; i++) {
    double want = oracle((double)x[i]);
    if (ulps(y[i], want) > allowed && !(fabs((double)y[i] - want) <= absolute))
      fail_msg("x = %.9g gives %.9g, want %.17g: %.2f ulp", (double)x[i], (double)y[i], want, ulps(y[i], want));
  }
}

static void functions_keep_their_error_in_ulps(void **state) {
  (void)state;
  worst(LS_UNARY_EXP, exp, -104, 89, 1.0, 0);
  worst(LS_UNARY_EXP, exp, -1, 1, 1.0, 0);
  worst(LS_UNARY_LOG, log, 1e-3, 4, 1.5, 0);
  worst(LS_UNARY_LOG, log, 1e-42, 1e-38, 1.5, 0);
  worst(LS_UNARY_LOG, log, 1, 1e30, 1.5, 0);
  worst(LS_UNARY_TANH, tanh, -12, 12, 2.0, 0);
  worst(LS_UNARY_SIGMOID, sigmoid, -80, 80, 3.0, 0);
  worst(LS_UNARY_SOFTPLUS, softplus, -80, 80, 3.0, 0);
  worst(LS_UNARY_GELU, gelu, -8, 8, 4.0, 8e-7); /* cancellation on the far left: |x|/2 times 2e-7, three roundings of erf near 1 */
}

static void edges_come_out(void **state) {
  (void)state;
  float x[] = {0, -0.0f, INFINITY, -INFINITY, NAN, -1}, y[6];
  ls_kernels_ref.unary[LS_UNARY_EXP](6, x, 1, y, 1);
  assert_true(y[0] == 1 && y[1] == 1 && isinf(y[2]) && y[3] == 0 && isnan(y[4]));
  ls_kernels_ref.unary[LS_UNARY_LOG](6, x, 1, y, 1);
  assert_true(y[0] == -INFINITY && y[1] == -INFINITY && y[2] == INFINITY && isnan(y[3]) && isnan(y[4]) && isnan(y[5]));
  ls_kernels_ref.unary[LS_UNARY_TANH](6, x, 1, y, 1);
  assert_true(y[0] == 0 && y[2] == 1 && y[3] == -1 && isnan(y[4]));
  ls_kernels_ref.unary[LS_UNARY_RELU](6, x, 1, y, 1);
  assert_true(y[0] == 0 && y[2] == INFINITY && y[3] == 0 && isnan(y[4]) && y[5] == 0);
  ls_kernels_ref.unary[LS_UNARY_SIGMOID](6, x, 1, y, 1);
  assert_true(y[2] == 1 && y[3] == 0 && isnan(y[4]));
}

static void fill(float *x, float *y, size_t n) {
  uint64_t s = 12345;
  for (size_t i = 0; i < n; i++) {
    s = s * 6364136223846793005u + 1442695040888963407u;
    x[i] = (float)((double)(s >> 40) / 1048576.0 - 8.0);
    y[i] = (float)((double)((s >> 20) & 0xffffff) / 1048576.0 - 7.0);
  }
  if (n > 30) x[3] = INFINITY, x[17] = -INFINITY, x[29] = NAN;
}

static void every_set_gives_the_same_bits(void **state) {
  (void)state;
  static const size_t sizes[] = {0, 1, 15, 16, 37, 511, 512, 513, N};
  static float x[N], y[N], a[N], b[N], noted[N];
  int compared = 0;
  for (int isa = LS_ISA_AVX2; isa <= LS_ISA_AVX512; isa++) {
    const ls_kernels *k = ls_kernels_of((ls_isa)isa);
    if (k == NULL) continue;
    compared++;
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
      size_t n = sizes[s];
      double p = 0, q = 0;
      fill(x, y, n);
      for (int op = 0; op < LS_UNARY_COUNT; op++) {
        ls_kernels_ref.unary[op](n, x, 1, a, 1);
        k->unary[op](n, x, 1, b, 1);
        for (size_t i = 0; i < n; i++)
          if (!(isnan(a[i]) && isnan(b[i])) && memcmp(&a[i], &b[i], sizeof(float)) != 0)
            fail_msg("unary %d, n = %zu, x = %g: %g and %g", op, n, (double)x[i], (double)a[i], (double)b[i]);
      }
      for (int op = 0; op < LS_BINARY_COUNT; op++) {
        ls_kernels_ref.binary[op](n, x, 1, y, 1, a, 1);
        k->binary[op](n, x, 1, y, 1, b, 1);
        for (size_t i = 0; i < n; i++)
          if (!(isnan(a[i]) && isnan(b[i])) && memcmp(&a[i], &b[i], sizeof(float)) != 0)
            fail_msg("binary %d, n = %zu: %g and %g", op, n, (double)a[i], (double)b[i]);
      }
      ls_kernels_ref.halve(n / 4, x, x + n / 2, a);
      k->halve(n / 4, x, x + n / 2, b);
      for (size_t i = 0; i < n / 4; i++) assert_true(a[i] == b[i] || (isnan(a[i]) && isnan(b[i])));
      ls_kernels_ref.halve_back(n / 4, x, x + n / 2, y, a, a + n / 2);
      k->halve_back(n / 4, x, x + n / 2, y, b, b + n / 2);
      assert_memory_equal(a, b, n / 4 * 2 * sizeof(float));
      assert_memory_equal(a + n / 2, b + n / 2, n / 4 * 2 * sizeof(float));
      uint8_t places[2][N] = {{0}};
      ls_kernels_ref.halve_note(n / 4, x, x + n / 2, a, places[0]);
      k->halve_note(n / 4, x, x + n / 2, b, places[1]);
      for (size_t i = 0; i < n / 4; i++) assert_true((a[i] == b[i] || (isnan(a[i]) && isnan(b[i]))) && places[0][i] == places[1][i] && places[0][i] < 4);
      memcpy(noted, a, n / 4 * sizeof(float));
      ls_kernels_ref.halve_spread(n / 4, noted, places[0], y, a, a + n / 2);
      k->halve_spread(n / 4, noted, places[0], y, b, b + n / 2);
      assert_memory_equal(a, b, n / 4 * 2 * sizeof(float));
      assert_memory_equal(a + n / 2, b + n / 2, n / 4 * 2 * sizeof(float));
      assert_true(ls_kernels_ref.sum(n, y) == k->sum(n, y));
      assert_true(ls_kernels_ref.dot(n, y, y) == k->dot(n, y, y));
      assert_true(ls_kernels_ref.centred_dot(n, y, 0.7f, y, -2.0f) == k->centred_dot(n, y, 0.7f, y, -2.0f));
      assert_true(ls_kernels_ref.max(n, x) == k->max(n, x));
      assert_true(ls_kernels_ref.exp_sum(n, y, 9.0f, a, &p) == k->exp_sum(n, y, 9.0f, b, &q) && p == q);
      assert_memory_equal(a, b, n == 0 ? 0 : n * sizeof(float));
      ls_kernels_ref.blend(n, 0.3f, y, 0.7f, a, b);
      k->blend(n, 0.3f, y, 0.7f, a, y);
      assert_memory_equal(y, b, n == 0 ? 0 : n * sizeof(float));
    }
  }
  if (compared == 0) skip_test();
}

/* Lines that end anywhere in a vector, wherever they begin, near each other and apart; nothing is written between or behind them. */
static void rows_are_mixed_alike_on_every_set(void **state) {
  (void)state;
  enum { LINES = 11, MOST = 70, APART = 400, LONG = 1100, ALL = LINES * (MOST + APART) + 4 };
  static float x[ALL], y[ALL], a[ALL], b[ALL];
  static const size_t gaps[] = {5, APART};
  int compared = 0;
  fill(x, y, ALL);
  for (int isa = LS_ISA_AVX2; isa <= LS_ISA_AVX512; isa++) {
    const ls_kernels *k = ls_kernels_of((ls_isa)isa);
    if (k == NULL) continue;
    compared++;
    for (size_t n = 1; n <= MOST; n++)
      for (size_t start = 0; start < 4; start++) {
        for (int g = 0; g < 2; g++) {
          memset(a, 0, sizeof a);
          memset(b, 0, sizeof b);
          ls_kernels_ref.mix->copy_lines(LINES, n, n + gaps[g], y + start, x, a + start);
          k->mix->copy_lines(LINES, n, n + gaps[g], y + start, x, b + start);
          assert_memory_equal(a, b, sizeof a);
        }
        for (size_t length = n; length <= n + LONG; length += LONG) {
          ls_kernels_ref.mix->blend(length, 0.3f, a + start, 0.7f, y + start, x, a + start);
          k->mix->blend(length, 0.3f, b + start, 0.7f, y + start, x, b + start);
          assert_memory_equal(a, b, sizeof a);
        }
      }
  }
  if (compared == 0) skip_test();
}

static void sums_are_right_in_double(void **state) {
  (void)state;
  static float x[N];
  double want = 0, got;
  for (int i = 0; i < N; i++) {
    x[i] = (float)sin(i) * 100.0f;
    want += (double)x[i];
  }
  got = ls_kernels_ref.sum(N, x);
  assert_close(got, want, 0, 5e-3); /* 32 float additions a lane of numbers up to 100 */
}

/* The checks above can fail: a kernel that is off by an ulp is found. */
static void a_wrong_bit_is_noticed(void **state) {
  (void)state;
  assert_true(ulps(nextafterf(nextafterf(1.0f, 2), 2), 1.0) > 1.5);
  assert_true(ulps(NAN, 1.0) > 1e9);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(functions_keep_their_error_in_ulps), cmocka_unit_test(edges_come_out),
      cmocka_unit_test(every_set_gives_the_same_bits),
      cmocka_unit_test(rows_are_mixed_alike_on_every_set), cmocka_unit_test(sums_are_right_in_double),
      cmocka_unit_test(a_wrong_bit_is_noticed),
  };
  return run_suite(tests);
}
