/* What the formulas of the penalties say: limits in which they are something known, numbers from their papers. SPDX-License-Identifier: MIT */
#include "test.h"

#include <lsengine/penalty.h>
#include <lsengine/random.h>

enum { MOST_K = 100 };
static float transition[MOST_K * MOST_K], matrix[MOST_K * MOST_K];
static char scratch[1 << 16];
static double buffer[5 * MOST_K]; /* zipf asks for the most */

static ls_cmat mat(const float *data, int n, int k) { return (ls_cmat){data, n, k, k}; }

static double label_value(const char *name, const double *parameters, int k, const double *logits, int label, double *gradient) {
  double q[MOST_K] = {0};
  q[label] = 1;
  const ls_penalty *p = ls_penalty_find(name);
  assert_non_null(p);
  return ls_penalty_value(p, k, logits, q, label, parameters, NULL, p->data == LS_PENALTY_NUMBERS ? (ls_cmat){0} : mat(matrix, k, k), buffer, gradient);
}

static void limits_are_met(void **state) {
  (void)state;
  enum { K = 7 };
  double logits[K], ce, none[K], got[K], parameters[LS_PENALTY_PARAMETERS] = {0};
  ls_rng r;
  ls_rng_seed(&r, 30);
  for (int trial = 0; trial < 20; trial++) {
    int label = trial % K;
    double entropy = 0, kl = 0;
    for (int c = 0; c < K; c++) logits[c] = 2 * ls_rng_normal(&r);
    ce = label_value("logit_penalty", (double[]){0}, K, logits, label, none);
#define SAME(name, tolerance, ...)                                                                                       \
  do {                                                                                                                   \
    assert_close(label_value(name, (double[]){__VA_ARGS__}, K, logits, label, got), ce, tolerance, tolerance);            \
    for (int c = 0; c < K; c++) assert_close(got[c], none[c], tolerance, tolerance);                                      \
  } while (0)
    SAME("focal", 1e-12, 0, 0);
    SAME("focal", 1e-12, 0, 1);
    SAME("focal_adaptive", 1e-12, 0.2, 0, 0);
    SAME("poly1", 1e-12, 0);
    SAME("generalised_cross_entropy", 1e-12, 0);
    SAME("generalised_cross_entropy", 1e-8, 1e-10);
    SAME("label_relaxation", 1e-12, 0);
    SAME("symmetric_cross_entropy", 1e-12, 1, 0, -9);
    SAME("bootstrap_soft", 1e-12, 1, 0);
    SAME("bootstrap_hard", 1e-12, 1);
    SAME("confidence_penalty", 1e-12, 0, 0);
    SAME("confidence_penalty", 1e-12, 1, 1e-9); /* no row is that sure */
    SAME("margin_smoothing", 1e-12, 1e3, 1, 0);
    SAME("teacher_free", 1e-12, 0, 20, 0.99, 0, 100);
    for (int i = 0; i < K * K; i++) matrix[i] = i % (K + 1) == 0;
    SAME("forward_correction", 1e-12, 0);
    SAME("backward_correction", 1e-12, 0);
    /* the mean absolute error, halved */
    assert_close(label_value("generalised_cross_entropy", (double[]){1}, K, logits, label, NULL), 1 - exp(-ce), 1e-12, 0);
    assert_close(label_value("symmetric_cross_entropy", (double[]){0, 1, -4}, K, logits, label, NULL), 4 * (1 - exp(-ce)), 1e-12, 0);
    /* entropy regularisation: its ends, and that they are met smoothly */
    for (int c = 0; c < K; c++) {
      double nll = label_value("logit_penalty", (double[]){0}, K, logits, c, NULL);
      entropy += exp(-nll) * nll;
      kl += (nll - log(K)) / K;
    }
    assert_close(label_value("entropy_regularisation", (double[]){0, 0.3}, K, logits, label, got) - ce, 0.3 * kl, 1e-12, 1e-12);
    assert_close(label_value("entropy_regularisation", (double[]){1e-6, 0.3}, K, logits, label, parameters) - ce, 0.3 * kl, 1e-3, 0);
    for (int c = 0; c < K; c++) assert_close(parameters[c], got[c], 1e-3, 1e-5);
    assert_close(label_value("entropy_regularisation", (double[]){1e-11, 0.3}, K, logits, label, NULL) - ce, 0.3 * kl, 1e-8, 0);
    assert_close(label_value("entropy_regularisation", (double[]){1, 0.3}, K, logits, label, NULL),
                 label_value("confidence_penalty", (double[]){0.3, 0}, K, logits, label, NULL) + 0.3 * log(K), 1e-12, 0);
    assert_close(label_value("entropy_regularisation", (double[]){1 - 1e-11, 0.3}, K, logits, label, NULL) - ce, 0.3 * (log(K) - entropy), 1e-7, 0);
  }
}

static void gradients_have_their_forms(void **state) {
  (void)state;
  enum { K = 7 };
  double logits[K], none[K], got[K];
  ls_rng r;
  ls_rng_seed(&r, 30);
  for (int trial = 0; trial < 20; trial++) {
    int label = trial % K, top = 0;
    double mean = 0;
    for (int c = 0; c < K; c++) logits[c] = 2 * ls_rng_normal(&r);
    for (int c = 0; c < K; c++) top = logits[c] > logits[top] ? c : top, mean += logits[c] / K;
    double ce = label_value("logit_penalty", (double[]){0}, K, logits, label, none);
    /* max suppression's gradient */
    double sum = label_value("max_sup", (double[]){0.2}, K, logits, label, got);
    assert_close(sum - ce, 0.2 * (logits[top] - mean), 1e-12, 1e-14);
    for (int c = 0; c < K; c++) assert_close(got[c] - none[c], 0.2 * ((c == top) - 1.0 / K), 1e-12, 1e-15);
    /* logit normalisation: the scale of a row is nothing, the gradient is orthogonal to it */
    double scaled[K], along = 0, a = label_value("logit_norm", (double[]){0.3}, K, logits, label, got);
    for (int c = 0; c < K; c++) scaled[c] = logits[c] * 1e3, along += got[c] * logits[c];
    assert_close(label_value("logit_norm", (double[]){0.3}, K, scaled, label, NULL), a, 1e-12, 0);
    assert_close(along, 0, 0, 1e-12);
    /* soft bootstrapping with a constant inner p: the gradient is beta times the cross-entropy's */
    label_value("bootstrap_soft", (double[]){0.6, 1}, K, logits, label, got);
    for (int c = 0; c < K; c++) assert_close(got[c], 0.6 * none[c], 1e-12, 1e-15);
    /* teacher-free at T = 1 is label smoothing: share alpha on the teacher (0.9 on y) */
    label_value("teacher_free", (double[]){0.5, 1, 0.9, 0, 100}, K, logits, label, got);
    for (int c = 0; c < K; c++) assert_close(got[c], none[c] + (c == label) - 0.5 * ((c == label) + (c == label ? 0.9 : 0.1 / (K - 1))), 1e-12, 1e-14);
  }
  double zeros[K] = {0};
  assert_close(label_value("logit_norm", (double[]){0.04}, K, zeros, 2, got), log(K), 1e-12, 0);
  for (int c = 0; c < K; c++) assert_true(got[c] == 0);
}

static void the_pinned_numbers_hold(void **state) {
  (void)state;
  const double logits[] = {log(.675), log(.175), log(.15)}, far[] = {2000, 0, -2000};
  double got[3];
  assert_close(label_value("label_relaxation", (double[]){.25}, 3, logits, 0, got), .01342932, 0, 5e-9);
  assert_close(got[0], .675 - .75, 1e-9, 0);
  assert_close(got[1], .075 * .175 / .325, 1e-9, 0);
  assert_close(label_value("label_relaxation", (double[]){.4}, 3, logits, 0, got), 0, 0, 0);
  assert_close(label_value("label_relaxation", (double[]){.25}, 3, far, 1, NULL), .75 * (log(.75) + 2000) + .25 * log(.25), 1e-12, 0);
  assert_close(label_value("focal", (double[]){.5, 0}, 3, far, 0, got), 0, 0, 0); /* p_y rounds to 1, gamma < 1 */
  assert_true(got[0] == 0 && got[1] == 0);
  assert_close(label_value("confidence_penalty", (double[]){1, 2}, 3, far, 0, NULL), 2, 1e-12, 0);
  /* the virtual teacher of the authors' code: K = 100, T = 20 gives .0105 on y */
  double wide[100] = {0}, slope[100];
  label_value("teacher_free", (double[]){1, 20, 0.99, 1, 100}, 100, wide, 4, slope);
  assert_close(0.01 - slope[4], .0105, 0, 5e-5);
  /* ranks: of equal logits all take the smallest (1, 2, 2, 4); the label, of rank 1, is taken out */
  const double tied[] = {4, 3, 3, 2};
  double each[4], ce[4], total = .5 + .5 + .25, others = 2 * exp(3) + exp(2);
  label_value("zipf", (double[]){1, 1}, 4, tied, 0, each);
  label_value("logit_penalty", (double[]){0}, 4, tied, 0, ce);
  assert_close(each[0], ce[0], 1e-12, 0);
  assert_close(each[1] - ce[1], exp(3) / others - .5 / total, 1e-12, 0);
  assert_close(each[3] - ce[3], exp(2) / others - .25 / total, 1e-12, 0);
  label_value("zipf", (double[]){1, 4000}, 4, tied, 0, each); /* 2^-4000 underflows, for every class but the label */
  assert_close(each[1] - ce[1], exp(3) / others - .5, 1e-12, 0);
  assert_close(each[3] - ce[3], exp(2) / others, 1e-12, 0);
}

static void transition_matrices_are_checked_and_inverted(void **state) {
  (void)state;
  const ls_penalty *forward = ls_penalty_find("forward_correction"), *backward = ls_penalty_find("backward_correction");
  enum { K = 5 };
  float product[K * K];
  ls_mat out = {matrix, K, K, K};
  ls_rng r;
  ls_rng_seed(&r, 3);
  for (int i = 0; i < K; i++) {
    double sum = 0;
    for (int c = 0; c < K; c++) sum += (double)(transition[i * K + c] = (float)ls_rng_double(&r) + (c == (i + 2) % K ? 3.0f : 0.0f));
    for (int c = 0; c < K; c++) transition[i * K + c] = (float)((double)transition[i * K + c] / sum);
  }
  assert_ok(ls_penalty_prepare(backward, mat(transition, K, K), out, scratch, err));
  for (int i = 0; i < K; i++)
    for (int c = 0; c < K; c++) {
      double sum = 0;
      for (int j = 0; j < K; j++) sum += (double)transition[i * K + j] * (double)matrix[j * K + c];
      assert_close(sum, i == c, 0, 1e-6);
    }
  assert_ok(ls_penalty_prepare(forward, mat(transition, K, K), (ls_mat){product, K, K, K}, NULL, err));
  for (int i = 0; i < K; i++)
    for (int c = 0; c < K; c++) assert_true(product[c * K + i] == transition[i * K + c]);
  assert_fails(ls_penalty_prepare(forward, mat(transition, K, K - 1), out, NULL, err), LS_ESHAPE, "is 5x4, one row and one column for each class");
  for (int i = 0; i < K * K; i++) transition[i] = 0.2f;
  assert_ok(ls_penalty_prepare(forward, mat(transition, K, K), out, NULL, err));
  assert_fails(ls_penalty_prepare(backward, mat(transition, K, K), out, scratch, err), LS_EVALUE, "singular");
  transition[0] = 0.20001f, transition[1] = 0.19999f;
  assert_fails(ls_penalty_prepare(backward, mat(transition, K, K), out, scratch, err), LS_EVALUE, "singular");
  transition[7] = 0.3f;
  assert_fails(ls_penalty_prepare(forward, mat(transition, K, K), out, NULL, err), LS_ERANGE, "the row of class 1 of the transition matrix sums to 1.1");
  transition[7] = NAN;
  assert_fails(ls_penalty_prepare(forward, mat(transition, K, K), out, NULL, err), LS_ERANGE, "in the row of class 1");
  /* a label that no class left can be observed as */
  int64_t y = 1;
  float row[] = {1, 2, -INFINITY}, never[] = {1, 0, 0, 0, 0, 1, 0, 1, 0}, columns[9];
  ls_target t = {.rows = 1, .terms = 1, .term = {{&y, NULL, 1}}};
  ls_penalty_result result;
  assert_ok(ls_penalty_prepare(forward, mat(never, 3, 3), (ls_mat){columns, 3, 3, 3}, NULL, err));
  ls_penalty_options o = {.matrix = mat(columns, 3, 3)};
  assert_fails(ls_penalty_loss(forward, mat(row, 1, 3), &t, &o, scratch, &result, NULL, NULL, err), LS_EVALUE, "row 1: the transition matrix lets no class that is left");
  o.matrix = mat(columns, 2, 2);
  assert_fails(ls_penalty_loss(forward, mat(row, 1, 3), &t, &o, scratch, &result, NULL, NULL, err), LS_ESHAPE, "is for 2 classes but logits have 3");
}

/* Its expectation over noisy labels is the cross-entropy on the clean one. */
static void backward_correction_is_unbiased(void **state) {
  (void)state;
  enum { K = 6 };
  double logits[K], expected = 0;
  for (int c = 0; c < K; c++) logits[c] = sin(3.0 * c);
  for (int i = 0; i < K * K; i++) transition[i] = i % (K + 1) == 0 ? 0.8f + 0.2f / K : 0.2f / K;
  assert_ok(ls_penalty_prepare(ls_penalty_find("backward_correction"), mat(transition, K, K), (ls_mat){matrix, K, K, K}, scratch, err));
  for (int y = 0; y < K; y++) expected += (double)transition[2 * K + y] * label_value("backward_correction", (double[]){0}, K, logits, y, NULL);
  assert_close(expected, label_value("logit_penalty", (double[]){0}, K, logits, 2, NULL), 1e-6, 0);
}

/* The comparison that these tests lean on can fail: a gradient that is wrong by a thousandth does not pass for right. */
static void a_wrong_gradient_is_seen(void **state) {
  (void)state;
  double logits[] = {1, 2, 3}, gradient[3], h = 1e-5, up, down;
  label_value("focal", (double[]){2, 0}, 3, logits, 0, gradient);
  logits[0] += h, up = label_value("focal", (double[]){2.002, 0}, 3, logits, 0, NULL);
  logits[0] -= 2 * h, down = label_value("focal", (double[]){2.002, 0}, 3, logits, 0, NULL);
  double want = (up - down) / (2 * h);
  assert_false(fabs(gradient[0] - want) <= 1e-6 * fabs(want) + 1e-8);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(limits_are_met), cmocka_unit_test(gradients_have_their_forms),
      cmocka_unit_test(the_pinned_numbers_hold),
      cmocka_unit_test(transition_matrices_are_checked_and_inverted),
      cmocka_unit_test(backward_correction_is_unbiased),
      cmocka_unit_test(a_wrong_gradient_is_seen),
  };
  return run_suite(tests);
}
