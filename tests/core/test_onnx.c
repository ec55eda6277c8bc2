/* Cross-entropy and log-softmax against ONNX's own softmax-cross-entropy cases. SPDX-License-Identifier: MIT */
#include "test.h"

#include <lsengine/loss.h>

#include "tests/golden/onnx_cases.inc"

enum { CASES = sizeof onnx_cases / sizeof onnx_cases[0], MOST = 40000 };
static float rows[MOST], log_p[MOST];
static char scratch[1 << 20];

static ls_loss_reduction reduction(const char *name) {
  return name[0] == 'm' ? LS_LOSS_MEAN : name[0] == 's' ? LS_LOSS_SUM : LS_LOSS_NONE;
}

/* The reference computes in float32: relative 1e-6 for each row, 1e-5 for sums of up to 6480 rows. */
static double judge(const onnx_case *c) {
  ls_target t = {.rows = c->n, .terms = 1, .term = {{c->labels, NULL, 1}}};
  ls_cross_entropy_options o = {.class_weights = c->weights, .ignore = {c->has_ignore != 0, c->ignore}, .reduction = reduction(c->reduction),
                                .pytorch_weighting = true};
  ls_cross_entropy_result r = {0};
  assert_true(c->n * c->k <= MOST && ls_cross_entropy_scratch(&t, c->n, c->k) <= sizeof scratch);
  assert_ok(ls_cross_entropy((ls_cmat){c->z, c->n, c->k, c->k}, &t, &o, scratch, &r, NULL, rows, err));
  return r.value;
}

static void every_case_comes_out(void **state) {
  (void)state;
  int rowwise = 0;
  for (int i = 0; i < CASES; i++) {
    const onnx_case *c = &onnx_cases[i];
    double value = judge(c);
    if (reduction(c->reduction) == LS_LOSS_NONE)
      for (int k = 0; k < c->n; k++, rowwise++) assert_close(rows[k], c->loss[k], 2e-6, 1e-7);
    else
      assert_close(value, c->loss[0], 1e-5, 0);
  }
  assert_true(CASES == 34 && rowwise > 1000);
}

static void log_probabilities_come_out(void **state) {
  (void)state;
  int cases = 0;
  for (int i = 0; i < CASES; i++) {
    const onnx_case *c = &onnx_cases[i];
    if (c->log_p == NULL) continue;
    cases++;
    ls_log_softmax((ls_cmat){c->z, c->n, c->k, c->k}, (ls_mat){log_p, c->n, c->k, c->k});
    for (int k = 0; k < c->n * c->k; k++) assert_close(log_p[k], c->log_p[k], 2e-6, 1e-7);
  }
  assert_true(cases >= 15);
}

static void a_wrong_label_would_be_seen(void **state) {
  (void)state;
  onnx_case c = onnx_cases[0];
  static int64_t wrong[64];
  for (int i = 0; i < c.n; i++) wrong[i] = c.labels[i];
  wrong[c.n - 1] = (wrong[c.n - 1] + 1) % c.k;
  c.labels = wrong;
  assert_false(fabs(judge(&c) / (double)c.loss[0] - 1) <= 1e-5);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_case_comes_out),
      cmocka_unit_test(log_probabilities_come_out),
      cmocka_unit_test(a_wrong_label_would_be_seen),
  };
  return run_suite(tests);
}
