/* Optimizers against PyTorch, dropout, initialisations, schedules. SPDX-License-Identifier: MIT */
#include "test.h"

#include "core/base/blas.h"

#include <lsengine/cpu.h>
#include <lsengine/nn.h>
#include <lsengine/pool.h>
#include <lsengine/tensor.h>

#include "tests/golden/optimizers.inc"

enum { LONG = 100003 };
static float w[LONG], g[LONG], m[LONG], v[LONG], out[LONG], first[LONG];

/* 20 steps in float32 against PyTorch's in float64: each step rounds a weight of about 1 by 6e-8. */
static int run_golden(const golden_optimizer *o, double change_of_lr) {
  ls_sgd_options sgd = {o->lr * change_of_lr, o->momentum, o->weight_decay, o->nesterov != 0};
  ls_adam_options adam = {o->lr * change_of_lr, o->beta1, o->beta2, o->eps, o->weight_decay, o->decoupled != 0};
  int kept = 0, close = 1;
  memcpy(w, first_weights, sizeof first_weights);
  memset(m, 0, N * sizeof *m);
  memset(v, 0, N * sizeof *v);
  for (int step = 1; step <= STEPS; step++) {
    if (o->name[0] == 's')
      ls_sgd_step(&sgd, step, N, w, gradients + (step - 1) * N, o->momentum > 0 ? m : NULL);
    else
      ls_adam_step(&adam, step, N, w, gradients + (step - 1) * N, m, v);
    if (step > 3 && step != STEPS) continue;
    for (int i = 0; i < N; i++) close = close && fabs((double)w[i] - o->w[kept][i]) <= 2e-6;
    kept++;
  }
  return close;
}

static void twenty_steps_are_pytorchs(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof golden_optimizers / sizeof golden_optimizers[0]; i++) {
    if (!run_golden(&golden_optimizers[i], 1)) fail_msg("optimizer %zu (%s) parts from PyTorch", i, golden_optimizers[i].name);
    if (run_golden(&golden_optimizers[i], 1.001)) fail_msg("a wrong learning rate of optimizer %zu would not be seen", i);
  }
}

static void numbers_of(uint64_t seed, size_t n, float *x) {
  ls_rng r;
  ls_rng_seed(&r, seed);
  ls_rng_fill_normal(&r, n, x, 0, 1);
}

static void steps_have_the_same_bits_at_any_number_of_threads(void **state) {
  (void)state;
  static const int threads[] = {1, 2, 3, 5};
  ls_sgd_options sgd = {0.1, 0.9, 0.01, true};
  ls_adam_options adam = {0.01, 0.9, 0.999, 1e-8, 0.01, true};
  for (int isa = LS_ISA_REF; isa <= LS_ISA_AVX512; isa++) {
    if (!ls_cpu_has((ls_isa)isa)) continue;
    assert_ok(ls_cpu_start(ls_isa_name((ls_isa)isa), err));
    for (size_t size = 0; size < 4; size++) {
      static const size_t sizes[] = {0, 1, 37, LONG};
      size_t n = sizes[size];
      double squares = 0;
      for (int t = 0; t < 4; t++) {
        assert_ok(ls_pool_start(threads[t], err));
        numbers_of(1, n, w);
        numbers_of(2, n, g);
        memset(m, 0, sizeof m);
        memset(v, 0, sizeof v);
        for (int step = 1; step <= 3; step++) ls_sgd_step(&sgd, step, n, w, g, m);
        memset(m, 0, sizeof m);
        for (int step = 1; step <= 3; step++) ls_adam_step(&adam, step, n, w, g, m, v);
        double sum = ls_sum_of_squares(n, w);
        ls_scale(n, 0.5f, w);
        ls_dropout(7, 0.3, n, w, w);
        if (t == 0) {
          memcpy(first, w, n * sizeof *w);
          squares = sum;
        }
        assert_memory_equal(first, w, n * sizeof *w);
        assert_true(sum == squares);
        ls_pool_stop();
      }
    }
  }
  assert_ok(ls_cpu_start(NULL, err));
}

/* Gradients that are products, whole and by slices of every length, down to a row. */
static void steps_by_slices_have_the_bits_of_whole_gradients(void **state) {
  (void)state;
  enum { ROWS = 130, COLS = 96, DEEP = 300, MOST = 5 };
  static const int threads[] = {1, 2, 3, MOST};
  static const size_t each[] = {COLS, 7 * COLS + 5, 64 * COLS, ROWS * COLS};
  static float left[DEEP * ROWS], right[DEEP * COLS], memory[MOST * ROWS * COLS];
  ls_sgd_options sgd = {0.1, 0.9, 0.01, true};
  ls_adam_options adam = {0.01, 0.9, 0.999, 1e-8, 0.01, true};
  ls_cmat a = {left, DEEP, ROWS, ROWS}, b = {right, DEEP, COLS, COLS};
  if (!ls_gemm_cuts_freely()) skip();
  numbers_of(3, DEEP * ROWS, left);
  numbers_of(4, DEEP * COLS, right);
  assert_ok(ls_matmul(true, false, a, b, false, (ls_mat){g, ROWS, COLS, COLS}, err));
  for (int t = 0; t < 4; t++)
    for (int s = -1; s < 4; s++) {
      assert_ok(ls_pool_start(threads[t], err));
      numbers_of(1, ROWS * COLS, w);
      memset(m, 0, sizeof m);
      memset(v, 0, sizeof v);
      for (int step = 1; step <= 3; step++) {
        if (s < 0)
          ls_sgd_step(&sgd, step, ROWS * COLS, w, g, m);
        else
          ls_sgd_step_product(&sgd, step, a, b, memory, each[s], w, m);
      }
      memset(m, 0, sizeof m);
      for (int step = 1; step <= 3; step++) {
        if (s < 0)
          ls_adam_step(&adam, step, ROWS * COLS, w, g, m, v);
        else
          ls_adam_step_product(&adam, step, a, b, memory, each[s], w, m, v);
      }
      if (s < 0 && t == 0) memcpy(first, w, ROWS * COLS * sizeof *w);
      assert_memory_equal(first, w, ROWS * COLS * sizeof *w);
      ls_pool_stop();
    }
}

static void sums_of_squares_are_right(void **state) {
  (void)state;
  numbers_of(3, LONG, w);
  double want = 0;
  for (int i = 0; i < LONG; i++) want += (double)w[i] * (double)w[i];
  assert_close(ls_sum_of_squares(LONG, w), want, 1e-8, 0); /* products and lanes in float: 33 roundings of 6e-8, at random */
  assert_true(ls_sum_of_squares(0, w) == 0);
}

static void options_out_of_range_are_named(void **state) {
  (void)state;
  static const struct {
    ls_sgd_options o;
    const char *says;
  } wrong[] = {{{-1, 0, 0, false}, "lr is -1"}, {{(double)NAN, 0, 0, false}, "lr is nan"}, {{(double)INFINITY, 0, 0, false}, "lr is inf"},
               {{1, 1, 0, false}, "momentum is 1"}, {{1, -0.1, 0, false}, "momentum is -0.1"}, {{1, 0, -1, false}, "weight_decay is -1"},
               {{1, 0, 0, true}, "it needs momentum above 0"}};
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) assert_fails(ls_sgd_check(&wrong[i].o, err), LS_ERANGE, wrong[i].says);
  static const struct {
    ls_adam_options o;
    const char *says;
  } adam[] = {{{-1, 0.9, 0.9, 1e-8, 0, false}, "lr is -1"}, {{1, 1, 0.9, 1e-8, 0, false}, "beta1 is 1"}, {{1, 0.9, (double)NAN, 1e-8, 0, false}, "beta2 is nan"},
              {{1, 0.9, 0.9, 0, 0, false}, "eps is 0"}, {{1, 0.9, 0.9, 1e-8, (double)INFINITY, false}, "weight_decay is inf"}};
  for (size_t i = 0; i < sizeof adam / sizeof adam[0]; i++) assert_fails(ls_adam_check(&adam[i].o, err), LS_ERANGE, adam[i].says);
}

static void dropout_keeps_the_mean_and_is_its_own_backward(void **state) {
  (void)state;
  for (int i = 0; i < LONG; i++) w[i] = 3;
  static const double ps[] = {0.1, 0.5, 0.9};
  for (int k = 0; k < 3; k++) {
    double p = ps[k];
    int zeros = 0;
    ls_dropout(11, p, LONG, w, out);
    for (int i = 0; i < LONG; i++) {
      zeros += out[i] == 0.0f;
      assert_true(out[i] == 0.0f || out[i] == 3.0f * (float)(1 / (1 - p)));
    }
    assert_close(zeros, p * LONG, 0, 5 * sqrt(LONG * p * (1 - p))); /* five standard errors */
    ls_dropout(11, p, LONG, w, first);
    assert_memory_equal(out, first, sizeof out);
    ls_dropout(12, p, LONG, w, first);
    assert_memory_not_equal(out, first, sizeof out);
  }
  ls_dropout(11, 0, LONG, w, out);
  assert_memory_equal(out, w, sizeof out);
  /* masks of neighbouring keys are not each other's */
  int same = 0;
  ls_dropout(100, 0.5, LONG, w, out);
  ls_dropout(101, 0.5, LONG, w, first);
  for (int i = 0; i < LONG; i++) same += (out[i] == 0.0f) == (first[i] == 0.0f);
  assert_close(same, LONG / 2.0, 0, 5 * sqrt(LONG / 4.0));
}

static void initialisations_have_their_moments(void **state) {
  (void)state;
  const int in = 300, fan_out = 333;
  static const struct {
    const char *name;
    double variance, bound; /* bound 0: normal */
  } want[] = {{"torch", 1. / 900, 1 / 17.320508}, {"he_normal", 2. / 300, 0}, {"he_uniform", 2. / 300, 0.14142136}, {"xavier_normal", 2. / 633, 0},
              {"xavier_uniform", 2. / 633, 0.09736}, {"lecun_normal", 1. / 300, 0}, {"lecun_uniform", 1. / 300, 0.1}, {"zeros", 0, 0}};
  size_t n = (size_t)in * fan_out, count = 0;
  while (ls_initialisations[count].name != NULL) count++;
  assert_int_equal(count, sizeof want / sizeof want[0]);
  for (size_t k = 0; k < count; k++) {
    ls_rng r;
    ls_rng_seed(&r, 5);
    assert_ok(ls_initialise(want[k].name, in, fan_out, &r, n, w, err));
    double sum = 0, squares = 0, most = 0;
    for (size_t i = 0; i < n; i++) sum += (double)w[i], squares += (double)w[i] * (double)w[i], most = fmax(most, fabs((double)w[i]));
    assert_close(sum / (double)n, 0, 0, 5 * sqrt(want[k].variance / (double)n));
    assert_close(squares / (double)n, want[k].variance, 5 * sqrt(2.0 / (double)n), 0);
    if (want[k].bound > 0) assert_true(most <= want[k].bound * 1.0001 && most > want[k].bound * 0.999);
  }
  ls_rng r;
  ls_rng_seed(&r, 5);
  assert_fails(ls_initialise("he", 1, 1, &r, 1, w, err), LS_ERANGE, "allowed are torch, he_normal, he_uniform");
}

static void schedules_meet_their_corner_points(void **state) {
  (void)state;
  static const struct {
    ls_schedule s;
    double time, total, want;
  } points[] = {
      {{LS_SCHEDULE_CONSTANT, 0, 0, 1, 1}, 0, 10, 1}, {{LS_SCHEDULE_CONSTANT, 2, 0, 1, 1}, 1, 10, 0.5}, {{LS_SCHEDULE_CONSTANT, 2, 0, 1, 1}, 0, 10, 0},
      {{LS_SCHEDULE_COSINE, 0, 0, 1, 1}, 0, 10, 1}, {{LS_SCHEDULE_COSINE, 0, 0, 1, 1}, 5, 10, 0.5}, {{LS_SCHEDULE_COSINE, 0, 0.2, 1, 1}, 10, 10, 0.2},
      {{LS_SCHEDULE_COSINE, 2, 0, 1, 1}, 2, 10, 1}, {{LS_SCHEDULE_COSINE, 2, 0, 1, 1}, 6, 10, 0.5}, {{LS_SCHEDULE_COSINE, 0, 0, 1, 1}, 2.5, 10, 0.85355339059327373},
      {{LS_SCHEDULE_STEP, 0, 0, 3, 0.1}, 2.999, 10, 1}, {{LS_SCHEDULE_STEP, 0, 0, 3, 0.1}, 3, 10, 0.1}, {{LS_SCHEDULE_STEP, 1, 0, 3, 0.1}, 3.5, 10, 1},
      {{LS_SCHEDULE_STEP, 1, 0, 3, 0.5}, 7, 10, 0.25}};
  for (size_t i = 0; i < sizeof points / sizeof points[0]; i++)
    assert_close(ls_schedule_at(&points[i].s, points[i].time, points[i].total), points[i].want, 1e-12, 1e-15);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(twenty_steps_are_pytorchs),
      cmocka_unit_test(steps_have_the_same_bits_at_any_number_of_threads),
      cmocka_unit_test(steps_by_slices_have_the_bits_of_whole_gradients),
      cmocka_unit_test(sums_of_squares_are_right),
      cmocka_unit_test(options_out_of_range_are_named),
      cmocka_unit_test(dropout_keeps_the_mean_and_is_its_own_backward),
      cmocka_unit_test(initialisations_have_their_moments),
      cmocka_unit_test(schedules_meet_their_corner_points),
  };
  return run_suite(tests);
}
