/* Random streams and distributions. SPDX-License-Identifier: MIT */
#include "test.h"

#include <lsengine/random.h>

#include "tests/golden/streams.inc"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void raw_numbers_and_doubles_are_numpys(void **state) {
  (void)state;
  for (size_t s = 0; s < COUNT(streams); s++) {
    ls_rng r, u;
    ls_rng_seed(&r, streams[s].seed);
    u = r;
    for (int i = 0; i < 8; i++) assert_true(ls_rng_next(&r) == streams[s].raw[i]);
    for (int i = 0; i < 4; i++) assert_true(ls_rng_double(&u) == streams[s].uniform[i]);
  }
}

static void spawned_streams_depend_on_key_name_and_count_alone(void **state) {
  (void)state;
  ls_rng parent, drawn, a, b, c, d, e;
  ls_rng_seed(&parent, 42);
  drawn = parent;
  for (int i = 0; i < 100; i++) ls_rng_next(&drawn);
  ls_rng_spawn(&parent, "order", 5, 0, &a);
  ls_rng_spawn(&drawn, "order", 5, 0, &b);
  assert_memory_equal(&a, &b, sizeof a);
  ls_rng_spawn(&parent, "order", 5, 1, &c);
  ls_rng_spawn(&parent, "orde", 4, 0, &d);
  ls_rng_spawn(&a, "order", 5, 0, &e);
  const ls_rng *all[] = {&parent, &a, &c, &d, &e};
  for (size_t i = 0; i < COUNT(all); i++)
    for (size_t j = 0; j < i; j++) {
      assert_memory_not_equal(all[i]->key, all[j]->key, sizeof a.key);
      ls_rng x = *all[i], y = *all[j];
      double correlation = 0;
      for (int k = 0; k < 20000; k++) correlation += (ls_rng_double(&x) - 0.5) * (ls_rng_double(&y) - 0.5) * 12.0;
      assert_close(correlation / 20000, 0, 0, 4.0 / sqrt(20000)); /* four standard errors */
    }
}

typedef double draw_fn(ls_rng *r, double a, double b);

static double draw_normal(ls_rng *r, double a, double b) { return a + b * ls_rng_normal(r); }
static double draw_gamma(ls_rng *r, double a, double b) {
  double v = 0;
  (void)b;
  assert_ok(ls_rng_gamma(r, a, &v, err));
  return v;
}
static double draw_beta(ls_rng *r, double a, double b) {
  double v = 0;
  assert_ok(ls_rng_beta(r, a, b, &v, err));
  return v;
}

/* Shares below each point against the exact law, within 4.5 standard errors (6.8e-6 two-sided each). */
static int follows(draw_fn *draw, double a, double b, const double (*cdf)[2], size_t points) {
  enum { N = 200000 };
  size_t below[16] = {0};
  ls_rng r;
  ls_rng_seed(&r, 7);
  for (int i = 0; i < N; i++) {
    double v = draw(&r, a, b);
    if (!(v == v)) return 0;
    for (size_t p = 0; p < points; p++) below[p] += v <= cdf[p][0];
  }
  for (size_t p = 0; p < points; p++) {
    double q = cdf[p][1], error = fabs((double)below[p] / N - q);
    if (error > 4.5 * sqrt(q * (1 - q) / N) + 1e-12) return 0;
  }
  return 1;
}

static void distributions_follow_their_laws(void **state) {
  (void)state;
#define FOLLOWS(draw, a, b, table) assert_true(follows(draw, a, b, table, COUNT(table)))
  FOLLOWS(draw_normal, 0, 1, normal_cdf);
  FOLLOWS(draw_gamma, 0.05, 0, gamma_cdf_0_05);
  FOLLOWS(draw_gamma, 0.5, 0, gamma_cdf_0_5);
  FOLLOWS(draw_gamma, 1, 0, gamma_cdf_1_0);
  FOLLOWS(draw_gamma, 2.5, 0, gamma_cdf_2_5);
  FOLLOWS(draw_gamma, 40, 0, gamma_cdf_40_0);
  FOLLOWS(draw_beta, 0.01, 0.01, beta_cdf_0_01_0_01);
  FOLLOWS(draw_beta, 0.2, 0.2, beta_cdf_0_2_0_2);
  FOLLOWS(draw_beta, 1, 1, beta_cdf_1_0_1_0);
  FOLLOWS(draw_beta, 2, 5, beta_cdf_2_0_5_0);
}

static void a_shifted_law_is_noticed(void **state) {
  (void)state;
  assert_false(follows(draw_normal, 0.02, 1, normal_cdf, COUNT(normal_cdf)));
  assert_false(follows(draw_beta, 0.21, 0.2, beta_cdf_0_2_0_2, COUNT(beta_cdf_0_2_0_2)));
}

static void tiny_shapes_give_no_nan(void **state) {
  (void)state;
  ls_rng r;
  ls_rng_seed(&r, 1);
  for (int i = 0; i < 10000; i++) {
    double v = -1, g = -1;
    assert_ok(ls_rng_beta(&r, 1e-310, 1e-310, &v, err));
    assert_true(v >= 0 && v <= 1);
    assert_ok(ls_rng_gamma(&r, 1e-3, &g, err));
    assert_true(g >= 0);
  }
}

static void integers_have_no_bias(void **state) {
  (void)state;
  enum { N = 300000 };
  int counts[7] = {0};
  ls_rng r;
  ls_rng_seed(&r, 3);
  for (int i = 0; i < N; i++) counts[ls_rng_integer(&r, -3, 3) + 3]++;
  double chi = 0;
  for (int i = 0; i < 7; i++) chi += pow(counts[i] - N / 7.0, 2) / (N / 7.0);
  assert_true(chi < 27.9); /* chi-square, 6 degrees, 1e-4 */
  /* a range of 3·2^62, where taking remainders would hit the first quarter twice as often */
  int64_t low = INT64_MIN, high = (int64_t)(((uint64_t)INT64_MIN) + 3 * (UINT64_C(1) << 62) - 1);
  int first = 0;
  for (int i = 0; i < N; i++) {
    int64_t v = ls_rng_integer(&r, low, high);
    assert_true(v <= high);
    first += v < INT64_MIN + (INT64_C(1) << 62);
  }
  assert_close(first / (double)N, 1 / 3.0, 0, 4.5 * sqrt(2 / 9.0 / N));
  assert_int_equal(ls_rng_integer(&r, 5, 5), 5);
  ls_rng_integer(&r, INT64_MIN, INT64_MAX);
}

static void permutations_are_uniform(void **state) {
  (void)state;
  enum { N = 120000 };
  int counts[64] = {0};
  int64_t p[4];
  ls_rng r;
  ls_rng_seed(&r, 9);
  for (int i = 0; i < N; i++) {
    int seen = 0;
    ls_rng_permutation(&r, 4, p);
    for (int k = 0; k < 4; k++) seen |= 1 << p[k];
    assert_int_equal(seen, 15);
    counts[p[0] * 16 + p[1] * 4 + p[2]]++;
  }
  double chi = 0;
  for (int i = 0; i < 64; i++)
    if (counts[i] > 0) chi += pow(counts[i] - N / 24.0, 2) / (N / 24.0);
  assert_true(chi < 58.6); /* 23 degrees, 5e-5 */
  ls_rng_permutation(&r, 0, p);
}

static void categorical_draws_in_proportion(void **state) {
  (void)state;
  double weights[] = {0, 1, 3, 0}, bad[] = {1, -1}, zero[] = {0, 0};
  int counts[4] = {0};
  size_t v;
  ls_rng r;
  ls_rng_seed(&r, 2);
  for (int i = 0; i < 40000; i++) {
    assert_ok(ls_rng_categorical(&r, weights, 4, &v, err));
    counts[v]++;
  }
  assert_int_equal(counts[0] + counts[3], 0);
  assert_close(counts[1] / 40000.0, 0.25, 0, 4.5 * sqrt(0.1875 / 40000));
  assert_fails(ls_rng_categorical(&r, bad, 2, &v, err), LS_ERANGE, "weight 2 is -1");
  assert_fails(ls_rng_categorical(&r, zero, 2, &v, err), LS_ERANGE, "sum to 0");
}

static void bad_parameters_are_named(void **state) {
  (void)state;
  ls_rng r;
  double v;
  ls_rng_seed(&r, 0);
  assert_fails(ls_rng_gamma(&r, 0, &v, err), LS_ERANGE, "shape is 0");
  assert_fails(ls_rng_beta(&r, 1, NAN, &v, err), LS_ERANGE, "beta is nan");
  assert_fails(ls_rng_beta(&r, INFINITY, 1, &v, err), LS_ERANGE, "alpha is inf");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(raw_numbers_and_doubles_are_numpys),
      cmocka_unit_test(spawned_streams_depend_on_key_name_and_count_alone),
      cmocka_unit_test(distributions_follow_their_laws),
      cmocka_unit_test(a_shifted_law_is_noticed),
      cmocka_unit_test(tiny_shapes_give_no_nan),
      cmocka_unit_test(integers_have_no_bias),
      cmocka_unit_test(permutations_are_uniform),
      cmocka_unit_test(categorical_draws_in_proportion),
      cmocka_unit_test(bad_parameters_are_named),
  };
  return run_suite(tests);
}
