/* Labels counted, shared out by largest remainders, made noisy. SPDX-License-Identifier: MIT */
#include "test.h"

#include <lsengine/classes.h>

enum { K = 5, N = 300000 };
static int64_t labels[N], noisy[N], more[N];

static void counts_are_counted(void **state) {
  (void)state;
  const int64_t y[] = {0, 4, 4, 1, 4}, bad[] = {0, 5}, negative[] = {-1};
  int64_t counts[K];
  assert_ok(ls_class_counts(y, 5, K, counts, err));
  assert_true(counts[0] == 1 && counts[1] == 1 && counts[2] == 0 && counts[3] == 0 && counts[4] == 3);
  assert_ok(ls_class_counts(y, 0, K, counts, err));
  assert_true(counts[4] == 0);
  assert_fails(ls_class_counts(bad, 2, K, counts, err), LS_ERANGE, "y[2] is 5, allowed is 0 to 4");
  assert_fails(ls_class_counts(negative, 1, K, counts, err), LS_ERANGE, "y[1] is -1");
}

/* Largest remainders, one seat at a time. */
static void naive(const int64_t *counts, int classes, int64_t total, int64_t *quota) {
  int64_t sum = 0, left = total;
  bool given[64] = {0};
  for (int k = 0; k < classes; k++) sum += counts[k];
  for (int k = 0; k < classes; k++) left -= quota[k] = counts[k] * total / sum;
  for (; left > 0; left--) {
    int best = -1;
    for (int k = 0; k < classes; k++)
      if (!given[k] && (best < 0 || counts[k] * total % sum > counts[best] * total % sum)) best = k;
    given[best] = true;
    quota[best]++;
  }
}

static void shares_are_those_of_largest_remainders(void **state) {
  (void)state;
  int64_t quota[40], want[40], scratch[40], counts[40];
  const int64_t thirds[] = {10, 10, 10}, rare[] = {1, 999}, huge[] = {INT32_MAX - 1, 1};
  assert_ok(ls_proportional(thirds, 3, 10, quota, scratch, err));
  assert_true(quota[0] == 4 && quota[1] == 3 && quota[2] == 3); /* equal remainders: the lower class */
  assert_ok(ls_proportional(rare, 2, 500, quota, scratch, err));
  assert_true(quota[0] == 1 && quota[1] == 499); /* .5 and 499.5 */
  assert_ok(ls_proportional(huge, 2, INT32_MAX - 1, quota, scratch, err));
  assert_true(quota[0] + quota[1] == INT32_MAX - 1 && quota[0] == INT32_MAX - 2);
  ls_rng r;
  ls_rng_seed(&r, 1);
  for (int trial = 0; trial < 20000; trial++) {
    int classes = (int)ls_rng_integer(&r, 1, 40);
    int64_t sum = 0, most = ls_rng_integer(&r, 1, 30), total, reached = 0;
    for (int k = 0; k < classes; k++) sum += counts[k] = ls_rng_integer(&r, k == 0, most);
    total = ls_rng_integer(&r, 0, sum);
    assert_ok(ls_proportional(counts, classes, total, quota, scratch, err));
    naive(counts, classes, total, want);
    for (int k = 0; k < classes; k++) {
      assert_int_equal(quota[k], want[k]);
      assert_true(quota[k] <= counts[k]);
      reached += quota[k];
    }
    assert_int_equal(reached, total);
  }
  assert_fails(ls_proportional(thirds, 3, 31, quota, scratch, err), LS_ERANGE, "31 rows of 30 cannot be taken");
  assert_fails(ls_proportional(thirds, 3, -1, quota, scratch, err), LS_ERANGE, "-1 rows");
  const int64_t overflow[] = {INT32_MAX, 1};
  assert_fails(ls_proportional(overflow, 2, 1, quota, scratch, err), LS_ERANGE, "too large");
}

static void rows_are_taken_in_order(void **state) {
  (void)state;
  const int64_t y[] = {0, 1, 0, 1, 2}, order[] = {5, 3, 4, 1, 2};
  int64_t quota[] = {1, 1, 0}, taken[5], rest[5];
  assert_int_equal(ls_take_by_class(y, 5, order, quota, taken, rest), 2);
  assert_true(taken[0] == 3 && taken[1] == 4 && rest[0] == 5 && rest[1] == 1 && rest[2] == 2);
  int64_t all_zeros[] = {9, 0, 0};
  assert_int_equal(ls_take_by_class(y, 5, NULL, all_zeros, taken, rest), 2);
  assert_true(taken[0] == 1 && taken[1] == 3 && rest[0] == 2 && rest[1] == 4 && rest[2] == 5);
}

/* chi-square of the observed labels of class y against probabilities p, over the classes with p > 0; infinite where p is 0 and one came */
static double chi_square(const int64_t *observed, int y, const double *p) {
  double counts[K] = {0}, total = 0, chi = 0;
  for (int i = 0; i < N; i++)
    if (labels[i] == y) counts[observed[i]]++, total++;
  for (int k = 0; k < K; k++) {
    if (p[k] > 0) chi += pow(counts[k] - total * p[k], 2) / (total * p[k]);
    else if (counts[k] > 0) return (double)INFINITY;
  }
  return chi;
}

#define CHI_4 23.5 /* chi-square, 4 degrees of freedom, 1e-4 */

static void make_labels(void) {
  for (int i = 0; i < N; i++) labels[i] = i % K;
}

static void noise_follows_its_law(void **state) {
  (void)state;
  static const float matrix[] = {.7f, .1f, .1f, .05f, .05f, 0, 1, 0, 0, 0, .2f, .2f, .2f, .2f, .2f, 0, 0, .5f, .5f, 0, .25f, 0, 0, 0, .75f};
  const int64_t to[] = {0, 2, 1, 3, 0};
  const ls_noise symmetric = {.kind = LS_NOISE_SYMMETRIC, .rate = 0.3}, pairs = {.kind = LS_NOISE_PAIRS, .rate = 0.4, .to = to};
  const ls_noise by_class = {.kind = LS_NOISE_MATRIX, .matrix = {matrix, K, K, K}};
  ls_rng r;
  make_labels();
  ls_rng_seed(&r, 11);
  assert_ok(ls_label_noise(labels, N, K, &symmetric, &r, noisy, err));
  for (int y = 0; y < K; y++) {
    double p[K];
    for (int k = 0; k < K; k++) p[k] = k == y ? 0.7 : 0.3 / (K - 1);
    assert_true(chi_square(noisy, y, p) < CHI_4);
    /* the convention that counts the true class among those drawn is noticed */
    for (int k = 0; k < K; k++) p[k] = k == y ? 0.7 + 0.3 / K : 0.3 / K;
    assert_true(chi_square(noisy, y, p) > CHI_4);
  }
  assert_ok(ls_label_noise(labels, N, K, &pairs, &r, noisy, err));
  for (int y = 0; y < K; y++) {
    double p[K] = {0};
    p[y] += 0.6;
    p[to[y]] += 0.4;
    assert_true(chi_square(noisy, y, p) < 15.1); /* 1 degree, 1e-4 */
  }
  assert_ok(ls_label_noise(labels, N, K, &by_class, &r, noisy, err));
  for (int y = 0; y < K; y++) {
    double p[K];
    for (int k = 0; k < K; k++) p[k] = (double)matrix[K * y + k];
    assert_true(chi_square(noisy, y, p) < CHI_4);
  }
}

static void a_larger_rate_flips_the_same_rows_and_more(void **state) {
  (void)state;
  ls_rng r;
  int low = 0, high = 0;
  make_labels();
  ls_rng_seed(&r, 4);
  assert_ok(ls_label_noise(labels, N, K, &(ls_noise){.rate = 0.1}, &r, noisy, err));
  ls_rng_seed(&r, 4);
  assert_ok(ls_label_noise(labels, N, K, &(ls_noise){.rate = 0.5}, &r, more, err));
  for (int i = 0; i < N; i++) {
    assert_true(noisy[i] == labels[i] || noisy[i] == more[i]);
    low += noisy[i] != labels[i];
    high += more[i] != labels[i];
  }
  assert_close(low / (double)N, 0.1, 0, 4 * sqrt(.09 / N));
  assert_close(high / (double)N, 0.5, 0, 4 * sqrt(.25 / N));
  assert_ok(ls_label_noise(labels, N, K, &(ls_noise){.rate = 0}, &r, noisy, err));
  assert_memory_equal(noisy, labels, sizeof labels);
  assert_ok(ls_label_noise(labels, N, K, &(ls_noise){.rate = 1}, &r, noisy, err));
  for (int i = 0; i < N; i++) assert_true(noisy[i] != labels[i] && noisy[i] >= 0 && noisy[i] < K);
}

static void what_is_no_noise_is_refused(void **state) {
  (void)state;
  const float wide[] = {.5f, .5f, 0, 0, 1, 0}, sum[] = {.5f, .4f, 0, 1}, negative[] = {1.5f, -.5f, 0, 1}, nan[] = {NAN, 1, 0, 1};
  const int64_t y[] = {0, 1}, bad[] = {0, 2}, to[] = {1, 2}, one[] = {0};
  ls_rng r;
  int64_t out[2] = {7, 7};
  ls_rng_seed(&r, 1);
  assert_fails(ls_label_noise(bad, 2, 2, &(ls_noise){.rate = 0.1}, &r, out, err), LS_ERANGE, "y[2] is 2, allowed is 0 to 1");
  assert_fails(ls_label_noise(y, 2, 2, &(ls_noise){.rate = 1.1}, &r, out, err), LS_ERANGE, "rate is 1.1, allowed is 0 to 1");
  assert_fails(ls_label_noise(y, 2, 2, &(ls_noise){.rate = NAN}, &r, out, err), LS_ERANGE, "rate is ");
  assert_fails(ls_label_noise(one, 1, 1, &(ls_noise){.rate = 0.1}, &r, out, err), LS_ERANGE, "there is one class");
  assert_fails(ls_label_noise(y, 2, 2, &(ls_noise){.kind = LS_NOISE_PAIRS, .to = to}, &r, out, err), LS_ERANGE, "to[1] is 2, allowed is 0 to 1");
#define MATRIX(m, rows, cols) &(ls_noise){.kind = LS_NOISE_MATRIX, .matrix = {m, rows, cols, cols}}
  assert_fails(ls_label_noise(y, 2, 2, MATRIX(wide, 2, 3), &r, out, err), LS_ESHAPE, "the matrix is 2x3, 2x2 is required");
  assert_fails(ls_label_noise(y, 2, 2, MATRIX(sum, 2, 2), &r, out, err), LS_ERANGE, "row of class 0 of the matrix sums to 0.9");
  assert_fails(ls_label_noise(y, 2, 2, MATRIX(negative, 2, 2), &r, out, err), LS_ERANGE, "gives class 1 the probability -0.5");
  assert_fails(ls_label_noise(y, 2, 2, MATRIX(nan, 2, 2), &r, out, err), LS_ERANGE, "gives class 0 the probability");
  assert_true(out[0] == 7 && out[1] == 7);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(counts_are_counted),    cmocka_unit_test(shares_are_those_of_largest_remainders),
      cmocka_unit_test(rows_are_taken_in_order), cmocka_unit_test(noise_follows_its_law),
      cmocka_unit_test(a_larger_rate_flips_the_same_rows_and_more), cmocka_unit_test(what_is_no_noise_is_refused),
  };
  return run_suite(tests);
}
