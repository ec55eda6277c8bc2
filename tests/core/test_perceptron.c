/* Loss and gradients of a perceptron against a plain double-precision loss and its finite differences. SPDX-License-Identifier: MIT */
#include "test.h"

#include <lsengine/cpu.h>
#include <lsengine/perceptron.h>
#include <lsengine/pool.h>
#include <lsengine/random.h>

enum { ROWS = 13, MOST = 400 };

static const int32_t sizes[] = {6, 9, 5, 4}; /* ReLU after the first two layers; no bias in the second */

typedef struct net {
  ls_dense layer[3];
  float values[3 * MOST], gradients[3 * MOST], x[ROWS * 6];
  int64_t labels[ROWS];
  ls_softening smooth;
  ls_target target;
} net;

static size_t weights_of(int i) { return (size_t)sizes[i] * (size_t)sizes[i + 1]; }

static void make(net *n) {
  ls_rng r;
  ls_rng_seed(&r, 11);
  ls_rng_fill_normal(&r, 3 * MOST, n->values, 0, 0.6);
  ls_rng_fill_normal(&r, ROWS * 6, n->x, 0, 1);
  for (int i = 0; i < ROWS; i++) n->labels[i] = i * 7 % 4;
  n->smooth = (ls_softening){.kind = LS_SOFTEN_UNIFORM, .epsilon = 0.2};
  n->target = (ls_target){.rows = ROWS, .terms = 1, .term = {{n->labels, NULL, 1}}, .softening = &n->smooth, .softenings = 1};
  for (int i = 0; i < 3; i++) {
    float *w = n->values + i * MOST, *g = n->gradients + i * MOST;
    bool bias = i != 1;
    n->layer[i] = (ls_dense){sizes[i], sizes[i + 1], w, bias ? w + weights_of(i) : NULL, g, bias ? g + weights_of(i) : NULL, i < 2};
  }
}

/* The mean loss, by loops in double; parameter `which` of layer `at` is off by `by`. */
static double loss_of(const net *n, int at, size_t which, double by) {
  double sum = 0;
  for (int row = 0; row < ROWS; row++) {
    double a[16], b[16];
    for (int k = 0; k < 6; k++) a[k] = (double)n->x[row * 6 + k];
    for (int i = 0; i < 3; i++) {
      const ls_dense *l = &n->layer[i];
      for (int o = 0; o < l->outputs; o++) {
        size_t bias = weights_of(i) + (size_t)o;
        b[o] = l->bias == NULL ? 0 : (double)l->weight[bias] + (i == at && which == bias ? by : 0);
        for (int k = 0; k < l->inputs; k++) {
          size_t w = (size_t)(o * l->inputs + k);
          b[o] += a[k] * ((double)l->weight[w] + (i == at && which == w ? by : 0));
        }
        if (l->relu && b[o] < 0) b[o] = 0;
      }
      memcpy(a, b, sizeof a);
    }
    double all = 0, spread = 0;
    for (int k = 0; k < 4; k++) all += exp(a[k]), spread += a[k];
    sum += log(all) - 0.8 * a[n->labels[row]] - 0.2 * spread / 4;
  }
  return sum / ROWS;
}

static void gradients_are_finite_differences(void **state) {
  (void)state;
  static net n;
  make(&n);
  ls_cross_entropy_options o = {.class_weights = NULL};
  ls_cross_entropy_result result;
  for (int isa = LS_ISA_REF; isa <= LS_ISA_AVX512; isa++) {
    if (!ls_cpu_has((ls_isa)isa)) continue;
    assert_ok(ls_cpu_start(ls_isa_name((ls_isa)isa), err));
    for (int threads = 1; threads <= 3; threads++) {
      static float before[3 * MOST];
      assert_ok(ls_pool_start(threads, err));
      void *scratch = aligned_alloc(64, (ls_perceptron_scratch(3, n.layer, &n.target, ROWS) + 63) / 64 * 64);
      memset(n.gradients, 0xff, sizeof n.gradients); /* NaN: what is not written is seen */
      assert_ok(ls_perceptron_gradients((ls_cmat){n.x, ROWS, 6, 6}, 3, n.layer, &n.target, &o, scratch, &result, err));
      ls_pool_stop();
      free(scratch);
      assert_close(result.value, loss_of(&n, -1, 0, 0), 1e-6, 0);
      assert_int_equal(result.kept, ROWS);
      for (int i = 0; i < 3; i++)
        for (size_t k = 0; k < weights_of(i) + (n.layer[i].bias == NULL ? 0 : (size_t)sizes[i + 1]); k++)
          assert_close(n.gradients[(size_t)i * MOST + k], (loss_of(&n, i, k, 1e-6) - loss_of(&n, i, k, -1e-6)) / 2e-6, 1e-5, 2e-7);
      if (threads > 1) assert_memory_equal(before, n.gradients, sizeof before);
      memcpy(before, n.gradients, sizeof before);
    }
  }
  assert_ok(ls_cpu_start(NULL, err));
}

static void what_cannot_be_computed_changes_no_gradient(void **state) {
  (void)state;
  static net n;
  make(&n);
  assert_ok(ls_cpu_start(NULL, err));
  void *scratch = aligned_alloc(64, (ls_perceptron_scratch(3, n.layer, &n.target, ROWS) + 63) / 64 * 64);
  ls_cross_entropy_options o = {.class_weights = NULL};
  ls_cross_entropy_result result;
  ls_cmat x = {n.x, ROWS, 6, 6};
  memset(n.gradients, 0, sizeof n.gradients);
  n.labels[3] = 4;
  assert_fails(ls_perceptron_gradients(x, 3, n.layer, &n.target, &o, scratch, &result, err), LS_ERANGE, "4");
  n.labels[3] = 0;
  n.x[20] = NAN;
  assert_fails(ls_perceptron_gradients(x, 3, n.layer, &n.target, &o, scratch, &result, err), LS_EVALUE, "NaN");
  n.x[20] = 0;
  n.layer[1].inputs = 8;
  assert_fails(ls_perceptron_gradients(x, 3, n.layer, &n.target, &o, scratch, &result, err), LS_ESHAPE, "layer 2 takes 8 features, there are 9");
  n.layer[1].inputs = 9;
  n.target.rows = ROWS - 1;
  assert_fails(ls_perceptron_gradients(x, 3, n.layer, &n.target, &o, scratch, &result, err), LS_ESHAPE, "");
  for (size_t i = 0; i < 3 * MOST; i++) assert_true(n.gradients[i] == 0.0f);
  free(scratch);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(gradients_are_finite_differences), cmocka_unit_test(what_cannot_be_computed_changes_no_gradient)};
  return run_suite(tests);
}
