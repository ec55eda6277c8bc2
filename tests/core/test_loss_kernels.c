/* The fused loss and the blocks of random numbers on every instruction set. SPDX-License-Identifier: MIT */
#include "test.h"

#include "core/kernels/kernels.h"

#include <lsengine/cpu.h>
#include <lsengine/loss.h>
#include <lsengine/random.h>

enum { MOST = 80 * 1100, MOST_ROWS = 200 };

static float z[MOST], first[MOST], again[MOST], dense[MOST], rows_first[MOST_ROWS], rows_again[MOST_ROWS], lambda[MOST_ROWS], rest[MOST_ROWS], own[MOST_ROWS], kept[MOST_ROWS], prior[1100];
static int64_t y[MOST_ROWS], partner[MOST_ROWS];
static char scratch[1 << 20];

enum { NEAR, FAR, AT_THE_EDGE };

static void random_case(ls_rng *r, int n, int k, int size) {
  ls_rng_fill_normal(r, (size_t)(n * k), z, 0, 4);
  if (size == FAR) z[n / 2 * k] = 90.0f, z[n / 3 * k + k - 1] = -300.0f; /* rows that need their maximum taken off */
  for (int i = 0; i < n && size == AT_THE_EDGE; i++) z[i * k + i % k] = i % 2 ? 44.0f + 0.001f * (float)i : -44.68f - 0.001f * (float)i; /* some of them beyond what is near, each by itself */
  double sum = 0;
  for (int c = 0; c < k; c++) sum += prior[c] = (float)(0.1 + ls_rng_double(r));
  for (int c = 0; c < k; c++) prior[c] = (float)(prior[c] / sum);
  for (int i = 0; i < n; i++) {
    y[i] = ls_rng_integer(r, 0, k - 1);
    partner[i] = ls_rng_integer(r, 0, k - 1);
    lambda[i] = (float)ls_rng_double(r);
    rest[i] = 1.0f - lambda[i];
    own[i] = 0.3f * lambda[i];
    kept[i] = 1.0f - own[i];
    for (int c = 0; c < k; c++) dense[i * k + c] = 0.5f * prior[c] + (c == y[i] ? 0.5f : 0.0f);
  }
}

/* Loss and largest error of the gradient by the definition, in double. */
static double defined(const ls_target *t, int n, int k, const float *grad, double *error) {
  double loss = 0;
  ls_resolved r;
  assert_ok(ls_target_resolve(t, k, (ls_ignore){0}, scratch, &r, err));
  *error = 0;
  for (int i = 0; i < n; i++) {
    double most = -INFINITY, sum = 0, mass = 0;
    for (int c = 0; c < k; c++) most = fmax(most, (double)z[i * k + c]);
    for (int c = 0; c < k; c++) sum += exp((double)z[i * k + c] - most), mass += ls_target_at(t, &r, i, c);
    for (int c = 0; c < k; c++) {
      double q = ls_target_at(t, &r, i, c), d = (double)z[i * k + c] - most;
      loss += q * (log(sum) - d);
      *error = fmax(*error, fabs((double)grad[i * k + c] * n - (mass * exp(d) / sum - q)));
    }
  }
  return loss / n;
}

static void hold_to_the_definition_and_to_the_first_set(const ls_target *t, int n, int k, bool with_rows) {
  ls_cross_entropy_options o = {.reduction = LS_LOSS_MEAN};
  ls_cross_entropy_result a, b;
  ls_cmat logits = {z, n, k, k};
  ls_mat grad = {first, n, k, k};
  double error;
  assert_ok(ls_cpu_start("ref", err));
  assert_true(ls_cross_entropy_scratch(t, n, k) <= sizeof scratch);
  assert_ok(ls_cross_entropy(logits, t, &o, scratch, &a, &grad, with_rows ? rows_first : NULL, err));
  double want = defined(t, n, k, first, &error);
  assert_close(a.value, want, 1e-6, 0); /* sums of up to 512 floats in a lane */
  assert_true(error < 4e-7);            /* three roundings of numbers up to 1 */
  for (int isa = LS_ISA_AVX2; isa <= LS_ISA_AVX512; isa++) {
    if (ls_kernels_of((ls_isa)isa) == NULL) continue;
    assert_ok(ls_cpu_start(ls_isa_name((ls_isa)isa), err));
    grad.data = again;
    memset(again, 0xff, sizeof again);
    assert_ok(ls_cross_entropy(logits, t, &o, scratch, &b, &grad, with_rows ? rows_again : NULL, err));
    if (a.value != b.value || a.soft != b.soft) fail_msg("%dx%d, %s: %.17g and %.17g", n, k, ls_isa_name((ls_isa)isa), a.value, b.value);
    assert_memory_equal(first, again, (size_t)(n * k) * sizeof *again);
    if (with_rows) assert_memory_equal(rows_first, rows_again, (size_t)n * sizeof *rows_first);
  }
  assert_ok(ls_cpu_start(NULL, err));
  memset(again, 0xff, sizeof again);
  grad.data = again;
  assert_ok(ls_cross_entropy(logits, t, &o, scratch, &b, &grad, with_rows ? NULL : rows_again, err)); /* rows' losses or not: the same gradients */
  assert_memory_equal(first, again, (size_t)(n * k) * sizeof *again);
  assert_close(b.value, a.value, 2e-7, 0);
  assert_close(b.soft, a.soft, 1e-6, 0);
}

static void every_target_is_the_same_on_every_set(void **state) {
  (void)state;
  static const int classes[] = {2, 3, 7, 8, 9, 10, 15, 16, 17, 24, 25, 31, 32, 33, 48, 100, 513, 1000, 1031}, rows[] = {1, 3, 16, 67, 80, 67, 200};
  ls_rng r;
  ls_rng_seed(&r, 3);
  for (size_t c = 0; c < sizeof classes / sizeof *classes; c++)
    for (size_t m = 0; m < sizeof rows / sizeof *rows; m++) {
      int n = rows[m], k = classes[c];
      if (n * k > MOST) continue;
      random_case(&r, n, k, m < 5 ? FAR : m == 5 ? AT_THE_EDGE : NEAR);
      ls_softening s[] = {{.kind = LS_SOFTEN_UNIFORM, .epsilon = 0.1}, {.kind = LS_SOFTEN_WRONG_CLASSES, .epsilon = 0.2}, {.kind = LS_SOFTEN_PRIOR, .epsilon = 0.3, .prior = prior, .classes = k}};
      ls_target t = {.rows = n, .terms = 1, .term = {{y, NULL, 1}}, .softening = s};
      for (t.softenings = 0; t.softenings <= 3; t.softenings++) hold_to_the_definition_and_to_the_first_set(&t, n, k, t.softenings == 1);
      t.softenings = 2;
      t.spread = own;
      t.term[0].weights = kept;
      hold_to_the_definition_and_to_the_first_set(&t, n, k, false);
      t.spread = NULL;
      t.terms = 2;
      t.term[0].weights = lambda;
      t.term[1] = (ls_term){partner, rest, 0};
      for (t.softenings = 0; t.softenings <= 3; t.softenings++) hold_to_the_definition_and_to_the_first_set(&t, n, k, t.softenings == 1);
      t = (ls_target){.rows = n, .dense = {dense, n, k, k}, .softening = s, .softenings = (int32_t)m % 2};
      hold_to_the_definition_and_to_the_first_set(&t, n, k, false);
    }
}

/* Wherever a gradient begins in its line, past the cache or not, and of rows that share a line or lie apart: the same numbers, and nothing written outside. */
static void stores_past_the_cache_change_nothing(void **state) {
  (void)state;
  ls_rng r;
  ls_rng_seed(&r, 4);
  random_case(&r, 1, 1031, FAR);
  float *e = (float *)(((uintptr_t)scratch + 63) / 64 * 64), *e2 = e + 1200, *plain = first + 5;
  for (int isa = LS_ISA_REF; isa <= LS_ISA_AVX512; isa++) {
    const ls_kernels *k = ls_kernels_of((ls_isa)isa);
    for (int n = 1; k != NULL && n <= 1031; n += n < 40 ? 1 : 331)
      for (int start = 0; start < 17; start++)
        for (int kind = 0; kind < 4; kind++) {
          float *past = (float *)(((uintptr_t)again + 63) / 64 * 64) + start;
          const float *v = kind == 0 ? NULL : dense;
          ls_softmax_line line = {.count = 0};
          ls_softmax_sweep a = {.z = z, .e = e, .v = v, .dense = kind == 2, .spread = kind == 3}, b;
          k->softmax->sweep((size_t)n, &a);
          memcpy(e2, e, 1200 * sizeof *e);
          memset(first, 0, 3200 * sizeof *first);
          memset(again, 0, 3200 * sizeof *again);
          a.grad_v = v;
          a.offset = 0.01f, a.v_scale = 0.7f;
          for (int row = 0; row < 3; row++) {
            int at = row * n + (row == 2 ? 16 : 0);
            a.scale = 0.3f + (float)row;
            b = a;
            a.grad = plain + at;
            b.grad = past + at;
            b.e = e2;
            b.past_cache = true;
            b.line = start % 2 == 0 ? &line : NULL;
            k->softmax->sweep((size_t)n, &a);
            k->softmax->sweep((size_t)n, &b);
            assert_memory_equal(e, e2, (size_t)n * sizeof *e);
            assert_true(a.sum == b.sum && a.shifted == b.shifted && a.along == b.along && a.mass == b.mass && a.near == b.near);
          }
          k->softmax->finish(&line);
          int end = 3 * n + 16;
          assert_memory_equal(plain, past, (size_t)end * sizeof *first);
          assert_true(past[end] == 0 && (start == 0 || past[-1] == 0) && plain[-1] == 0 && plain[end] == 0);
        }
  }
}

/* Also rows that only their negative number makes bad: what it lacks stands in the next class. */
static void name_bad_dense_rows(int n, int k) {
  ls_rng r;
  ls_rng_seed(&r, 5);
  random_case(&r, n, k, FAR);
  ls_target t = {.rows = n, .dense = {dense, n, k, k}};
  ls_cross_entropy_options o = {0};
  ls_cross_entropy_result result;
  static const struct {
    float value;
    const char *text;
  } bad[] = {{-0.001f, "row 41 of the target has -0.001 for class 7"}, {NAN, "row 41 of the target has nan for class 7"}, {0.9f, "row 41 of the target sums to"}, {INFINITY, "row 41 of the target sums to inf"}};
  for (size_t i = 0; i < 4; i++) {
    float before = dense[40 * k + 7];
    dense[40 * k + 7] = bad[i].value;
    if (i == 0) dense[40 * k + 8] += before - bad[i].value;
    assert_fails(ls_cross_entropy((ls_cmat){z, n, k, k}, &t, &o, scratch, &result, NULL, NULL, err), LS_ERANGE, bad[i].text);
    dense[40 * k + 7] = before;
    if (i == 0) dense[40 * k + 8] -= before - bad[i].value;
  }
}

static void bad_dense_rows_are_named_by_the_sweep(void **state) {
  (void)state;
  name_bad_dense_rows(67, 100);
  name_bad_dense_rows(67, 12);
}

static void blocks_of_numbers_are_those_of_single_calls(void **state) {
  (void)state;
  static const size_t sizes[] = {0, 1, 2, 31, 32, 33, 255, 256, 257, 1000, 5000};
  static double a[5000], b[5000];
  static uint64_t raw[5000];
  for (int isa = LS_ISA_REF; isa <= LS_ISA_AVX512; isa++) {
    const ls_kernels *k = ls_kernels_of((ls_isa)isa);
    if (k == NULL) continue;
    assert_ok(ls_cpu_start(ls_isa_name((ls_isa)isa), err));
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
      size_t n = sizes[s];
      ls_rng one, many;
      ls_rng_seed(&one, 77 + s);
      many = one;
      k->random->numbers(&many, n, raw);
      for (size_t i = 0; i < n; i++) assert_true(raw[i] == ls_rng_next(&one));
      assert_memory_equal(&one, &many, sizeof one);
#define SAME(block, single)                              \
  block;                                                 \
  for (size_t i = 0; i < n; i++) single;                 \
  assert_memory_equal(a, b, n * sizeof *a);              \
  assert_memory_equal(&one, &many, sizeof one)
      SAME(ls_rng_doubles(&many, n, a), b[i] = ls_rng_double(&one));
      SAME(ls_rng_normals(&many, n, a), b[i] = ls_rng_normal(&one));
      SAME(assert_ok(ls_rng_betas(&many, 0.2, 0.7, n, a, err)), assert_ok(ls_rng_beta(&one, 0.2, 0.7, &b[i], err)));
      SAME(assert_ok(ls_rng_betas(&many, 1e-310, 1e-310, n, a, err)), assert_ok(ls_rng_beta(&one, 1e-310, 1e-310, &b[i], err)));
      SAME(assert_ok(ls_rng_betas(&many, 2, 0.5, n, a, err)), assert_ok(ls_rng_beta(&one, 2, 0.5, &b[i], err)));
    }
  }
  assert_ok(ls_cpu_start(NULL, err));
}

/* Fisher and Yates from the end with one unbiased integer for each place: the method that streams.md tells. */
static void permutations_are_those_of_single_integers(void **state) {
  (void)state;
  static int64_t p[3000], q[3000];
  ls_rng a, b;
  ls_rng_seed(&a, 5);
  b = a;
  ls_rng_permutation(&a, 3000, p);
  for (int i = 0; i < 3000; i++) q[i] = i;
  for (int i = 3000; i > 1; i--) {
    int64_t j = ls_rng_integer(&b, 0, i - 1), held = q[i - 1];
    q[i - 1] = q[j];
    q[j] = held;
  }
  assert_memory_equal(p, q, sizeof p);
  assert_memory_equal(&a, &b, sizeof a);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_target_is_the_same_on_every_set),     cmocka_unit_test(stores_past_the_cache_change_nothing),
      cmocka_unit_test(bad_dense_rows_are_named_by_the_sweep),     cmocka_unit_test(blocks_of_numbers_are_those_of_single_calls),
      cmocka_unit_test(permutations_are_those_of_single_integers),
  };
  return run_suite(tests);
}
