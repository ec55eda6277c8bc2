/* Cross-entropy against a double-precision oracle, PyTorch, and its own properties. SPDX-License-Identifier: MIT */
#include "test.h"

#include <lsengine/cpu.h>
#include <lsengine/loss.h>
#include <lsengine/pool.h>
#include <lsengine/random.h>

#include "tests/golden/cross_entropy.inc"

enum { MOST = 70000 };
static float z[MOST], g[MOST], other[MOST], dense[MOST], rows[MOST];
static int64_t labels[MOST], second[MOST];
static double q[MOST];
static char scratch[1 << 24];

static ls_cmat mat(const float *data, int n, int k) { return (ls_cmat){data, n, k, k}; }

/* Mean of -sum q log softmax(z), straight from the definition. */
static double oracle(const double *logits, const double *target, const double *row_weight, int n, int k) {
  double total = 0, weight = 0;
  for (int i = 0; i < n; i++) {
    double max = -INFINITY, sum = 0, loss = 0;
    for (int c = 0; c < k; c++) max = fmax(max, logits[i * k + c]);
    for (int c = 0; c < k; c++) sum += exp(logits[i * k + c] - max);
    for (int c = 0; c < k; c++)
      if (target[i * k + c] != 0) loss -= target[i * k + c] * (logits[i * k + c] - max - log(sum));
    total += row_weight[i] * loss;
    weight += row_weight[i];
  }
  return total / weight;
}

static void random_case(ls_rng *r, int n, int k) {
  for (int i = 0; i < n * k; i++) z[i] = (float)(3 * ls_rng_normal(r));
  for (int i = 0; i < n; i++) labels[i] = ls_rng_integer(r, 0, k - 1), second[i] = ls_rng_integer(r, 0, k - 1);
}

static double value_of(ls_cmat logits, const ls_target *t, const ls_cross_entropy_options *o, const ls_mat *grad) {
  ls_cross_entropy_result result = {0};
  assert_true(ls_cross_entropy_scratch(t, logits.rows, logits.cols) <= sizeof scratch);
  assert_ok(ls_cross_entropy(logits, t, o, scratch, &result, grad, NULL, err));
  return result.value;
}

/* Against the oracle over materialised rows, gradients by central differences of the oracle. */
static void hold_to_oracle(const ls_target *t, int n, int k, const float *weights) {
  static char own[1 << 24];
  static double zd[MOST], row_weight[MOST];
  ls_resolved r;
  ls_cross_entropy_options o = {.class_weights = weights};
  ls_mat grad = {g, n, k, k};
  assert_true(ls_target_scratch(t, k) <= sizeof own);
  assert_ok(ls_target_resolve(t, k, (ls_ignore){0}, own, &r, err));
  for (int i = 0; i < n; i++) {
    double sum = 0;
    row_weight[i] = 0;
    for (int c = 0; c < k; c++) {
      zd[i * k + c] = (double)z[i * k + c];
      sum += q[i * k + c] = ls_target_at(t, &r, i, c);
    }
    for (int m = 0; m < t->terms && weights != NULL; m++)
      row_weight[i] += (t->term[m].weights ? (double)t->term[m].weights[i] : t->term[m].weight) * (double)weights[t->term[m].labels[i]];
    for (int c = 0; c < k && t->terms == 0 && weights != NULL; c++) row_weight[i] += (double)t->dense.data[i * k + c] * (double)weights[c];
    if (t->spread != NULL) row_weight[i] /= 1 - (double)t->spread[i]; /* uniform mass has no weight of its own */
    if (weights == NULL) row_weight[i] = 1;
    assert_close(sum, 1, 0, 1e-5); /* dense rows and priors are floats */
  }
  double want = oracle(zd, q, row_weight, n, k);
  assert_close(value_of(mat(z, n, k), t, &o, &grad), want, 2e-6, 1e-6); /* float logits shifted by their maximum */
  for (int i = 0; i < n * k; i += 1 + n * k / 97) {
    double h = 1e-5, keep = zd[i], up, down;
    zd[i] = keep + h, up = oracle(zd, q, row_weight, n, k);
    zd[i] = keep - h, down = oracle(zd, q, row_weight, n, k);
    zd[i] = keep;
    assert_close(g[i], (up - down) / (2 * h), 1e-5, 1e-6 / n + 1e-9);
  }
}

static void every_kind_of_target_matches_the_oracle(void **state) {
  (void)state;
  static const int shapes[][2] = {{1, 2}, {37, 10}, {5, 1000}, {129, 33}};
  static float prior[1000], matrix[1000 * 1000], weights[1000], lambda[MOST];
  ls_rng r;
  ls_rng_seed(&r, 11);
  for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++) {
    int n = shapes[s][0], k = shapes[s][1];
    double total = 0;
    random_case(&r, n, k);
    for (int c = 0; c < k; c++) total += (double)(prior[c] = (float)ls_rng_double(&r) + 0.01f), weights[c] = (float)ls_rng_double(&r) + 0.1f;
    for (int c = 0; c < k; c++) prior[c] = (float)((double)prior[c] / total);
    for (int i = 0; i < k; i++)
      for (int c = 0; c < k; c++) matrix[i * k + c] = prior[(c + i) % k];
    for (int i = 0; i < n; i++) lambda[i] = (float)ls_rng_double(&r);
    static float rest[MOST];
    for (int i = 0; i < n; i++) rest[i] = 1.0f - lambda[i];
    for (int i = 0; i < n; i++) memcpy(dense + i * k, prior, (size_t)k * sizeof *dense);
    const ls_softening all[] = {{.kind = LS_SOFTEN_UNIFORM, .epsilon = 0.1},
                                {.kind = LS_SOFTEN_PRIOR, .epsilon = 0.2, .prior = prior, .classes = k},
                                {.kind = LS_SOFTEN_WRONG_CLASSES, .epsilon = 0.05},
                                {.kind = LS_SOFTEN_MATRIX, .epsilon = 0.15, .matrix = {matrix, k, k, k}}};
    for (int used = 0; used <= 4; used++) {
      if (used == 4 && k == 1000 && n > 5) continue;
      ls_target one = {.rows = n, .terms = 1, .term = {{labels, NULL, 1}}, .softening = all, .softenings = used};
      ls_target mixed = {.rows = n, .terms = 2, .term = {{labels, lambda, 0}, {second, rest, 0}}, .softening = all, .softenings = used};
      ls_target soft = {.rows = n, .dense = mat(dense, n, k), .softening = all, .softenings = used};
      hold_to_oracle(&one, n, k, NULL);
      hold_to_oracle(&one, n, k, weights);
      hold_to_oracle(&mixed, n, k, weights);
      static float own[MOST], less[MOST], lesser[MOST]; /* an epsilon for each row, mixed */
      for (int i = 0; i < n; i++) own[i] = 0.4f * lambda[(i + 1) % n], less[i] = lambda[i] * (1 - own[i]), lesser[i] = rest[i] * (1 - own[i]);
      ls_target by_row = {.rows = n, .terms = 2, .term = {{labels, less, 0}, {second, lesser, 0}}, .spread = own, .softening = all, .softenings = used};
      hold_to_oracle(&by_row, n, k, NULL);
      hold_to_oracle(&by_row, n, k, weights);
      if (k < 1000 || used < 4) hold_to_oracle(&soft, n, k, weights);
    }
  }
}

static void pytorchs_numbers_come_out(void **state) {
  (void)state;
  for (size_t c = 0; c < sizeof golden_cases / sizeof golden_cases[0]; c++) {
    const golden_case *w = &golden_cases[c];
    ls_softening smooth = {.kind = LS_SOFTEN_UNIFORM, .epsilon = w->smoothing};
    ls_target t = {.rows = w->n, .terms = w->dense ? 0 : 1, .term = {{w->labels, NULL, 1}}, .softening = &smooth, .softenings = 1};
    if (w->dense) t.dense = mat(w->dense, w->n, w->k);
    ls_cross_entropy_options o = {.class_weights = w->weights, .ignore = {w->ignore >= 0, w->ignore}, .pytorch_weighting = true};
    o.reduction = w->reduction[0] == 'm' ? LS_LOSS_MEAN : w->reduction[0] == 's' ? LS_LOSS_SUM : LS_LOSS_NONE;
    ls_mat grad = {g, w->n, w->k, w->k};
    ls_cross_entropy_result result = {0};
    assert_ok(ls_cross_entropy(mat(w->z, w->n, w->k), &t, &o, scratch, &result, &grad, rows, err));
    assert_close(result.value, w->value, 1e-6, 1e-7); /* float32 against float64 */
    for (int i = 0; i < w->n * w->k; i++) assert_close(g[i], w->grad[i], 2e-6, 3e-7);
    for (int i = 0; i < w->n && w->rows != NULL; i++) assert_close(rows[i], w->rows[i], 2e-6, 1e-7);
  }
}

static void compositions_keep_their_identities(void **state) {
  (void)state;
  int n = 37, k = 10;
  ls_rng r;
  ls_rng_seed(&r, 5);
  random_case(&r, n, k);
  ls_cross_entropy_options o = {0};
  ls_softening twice[] = {{.kind = LS_SOFTEN_UNIFORM, .epsilon = 0.1}, {.kind = LS_SOFTEN_UNIFORM, .epsilon = 0.2}};
  ls_softening once = {.kind = LS_SOFTEN_UNIFORM, .epsilon = 1 - 0.9 * 0.8}, wrong = {.kind = LS_SOFTEN_WRONG_CLASSES, .epsilon = 0.09},
               same = {.kind = LS_SOFTEN_UNIFORM, .epsilon = 0.09 * 10 / 9.0};
  ls_target t = {.rows = n, .terms = 1, .term = {{labels, NULL, 1}}};
  double plain = value_of(mat(z, n, k), &t, &o, NULL);
  t.softening = twice, t.softenings = 2;
  double a = value_of(mat(z, n, k), &t, &o, NULL);
  t.softening = &once, t.softenings = 1;
  assert_close(a, value_of(mat(z, n, k), &t, &o, NULL), 1e-14, 0);
  t.softening = &wrong;
  a = value_of(mat(z, n, k), &t, &o, NULL);
  t.softening = &same;
  assert_close(a, value_of(mat(z, n, k), &t, &o, NULL), 1e-14, 0);
  /* one-hot given as rows: another path, whose exponentials and float sums differ by ulps */
  memset(dense, 0, sizeof dense);
  for (int i = 0; i < n; i++) dense[i * k + labels[i]] = 1;
  ls_target rows_target = {.rows = n, .dense = mat(dense, n, k)};
  assert_close(value_of(mat(z, n, k), &rows_target, &o, NULL), plain, 1e-7, 0);
  /* shift of the logits, permutation of the classes */
  for (int i = 0; i < n * k; i++) other[i] = z[i] + 8.0f;
  t.softenings = 0;
  assert_close(value_of(mat(other, n, k), &t, &o, NULL), plain, 1e-6, 0);
  for (int i = 0; i < n; i++) {
    for (int c = 0; c < k; c++) other[i * k + (c + 3) % k] = z[i * k + c];
    second[i] = (labels[i] + 3) % k;
  }
  t.term[0].labels = second;
  assert_close(value_of(mat(other, n, k), &t, &o, NULL), plain, 1e-6, 0);
}

/* An epsilon for each row is uniform smoothing of each row; softened further, too, where only labels and uniform mass are there. */
static void an_epsilon_for_each_row_is_uniform_smoothing_of_the_row(void **state) {
  (void)state;
  enum { n = 33, k = 10 };
  static float own[n], keep[n], matrix[k * k], together[n * k], alone[n * k];
  ls_rng r;
  ls_rng_seed(&r, 17);
  random_case(&r, n, k);
  for (int i = 0; i < k; i++)
    for (int c = 0; c < k; c++) matrix[i * k + c] = c == (i * 3 + 1) % k ? 0.75f : c == i ? 0.25f : 0.0f;
  for (int i = 0; i < n; i++) own[i] = i == 5 ? 1.0f : i == 6 ? 0.0f : 0.5f * (float)ls_rng_double(&r), keep[i] = 1 - own[i];
  const ls_softening after[] = {{.kind = LS_SOFTEN_UNIFORM, .epsilon = 0.1}, {.kind = LS_SOFTEN_MATRIX, .epsilon = 0.3, .matrix = {matrix, k, k, k}}};
  for (int used = 0; used <= 2; used++) {
    ls_target t = {.rows = n, .terms = 1, .term = {{labels, keep, 0}}, .spread = own, .softening = after, .softenings = used};
    ls_cross_entropy_options o = {.reduction = LS_LOSS_NONE};
    ls_cross_entropy_result result;
    ls_mat grad = {together, n, k, k}, one = {alone, 1, k, k};
    assert_ok(ls_cross_entropy(mat(z, n, k), &t, &o, scratch, &result, &grad, rows, err));
    for (int i = 0; i < n; i++) {
      const ls_softening all[] = {{.kind = LS_SOFTEN_UNIFORM, .epsilon = (double)own[i]}, after[0], after[1]};
      ls_target row = {.rows = 1, .terms = 1, .term = {{labels + i, NULL, 1}}, .softening = all, .softenings = used + 1};
      float loss;
      assert_ok(ls_cross_entropy(mat(z + i * k, 1, k), &row, &o, scratch, &result, &one, &loss, err));
      assert_close(rows[i], loss, 2e-6, 1e-6);
      for (int c = 0; c < k; c++) assert_close(together[i * k + c], alone[c], 0, 2e-7);
    }
  }
  ls_target bad = {.rows = n, .terms = 1, .term = {{labels, keep, 0}}, .spread = own};
  own[3] = 1.5f;
  ls_cross_entropy_options o = {0};
  ls_cross_entropy_result result;
  assert_fails(ls_cross_entropy(mat(z, n, k), &bad, &o, scratch, &result, NULL, NULL, err), LS_ERANGE, "the uniform mass of row 4 of the target is 1.5, allowed is 0 to 1");
}

/* The table of floors and hard losses: K = 10, logits at the smoothed optimum. */
static void the_pinned_numbers_hold(void **state) {
  (void)state;
  static const double pinned[][5] = {{.05, .955, 5.252, .2824, .0460}, {.1, .91, 4.511, .5003, .0943}, {.2, .82, 3.714, .8669, .1985},
                                     {.4, .64, 2.773, 1.4444, .4463},  {.8, .28, 1.253, 2.1750, 1.2730}};
  int64_t y = 3;
  for (size_t i = 0; i < 5; i++) {
    ls_softening s = {.kind = LS_SOFTEN_UNIFORM, .epsilon = pinned[i][0]};
    ls_target t = {.rows = 1, .terms = 1, .term = {{&y, NULL, 1}}, .softening = &s, .softenings = 1};
    ls_resolved r;
    ls_cross_entropy_options o = {0};
    double entropy, mass;
    assert_ok(ls_target_resolve(&t, 10, (ls_ignore){0}, NULL, &r, err));
    ls_target_summary(&t, &r, (ls_ignore){0}, &entropy, &mass);
    assert_close(mass, pinned[i][1], 1e-12, 0);
    assert_close(entropy, pinned[i][3], 0, 5e-5);
    double gap = log(mass / ls_target_at(&t, &r, 0, 0));
    assert_close(gap, pinned[i][2], 0, 5e-4);
    for (int c = 0; c < 10; c++) z[c] = c == 3 ? (float)gap : 0.0f;
    assert_close(value_of(mat(z, 1, 10), &t, &o, NULL), entropy, 1e-6, 0);
    t.softenings = 0;
    assert_close(value_of(mat(z, 1, 10), &t, &o, NULL), pinned[i][4], 0, 6e-5);
  }
}

static void masked_classes_take_no_mass(void **state) {
  (void)state;
  float with[] = {1, 2, -INFINITY, 0.5f}, without[] = {1, 2, 0.5f}, prior4[] = {.1f, .2f, .4f, .3f}, prior3[] = {.1f / .6f, .2f / .6f, .3f / .6f};
  int64_t y = 1, masked = 2;
  ls_softening four[] = {{.kind = LS_SOFTEN_UNIFORM, .epsilon = 0.2}, {.kind = LS_SOFTEN_PRIOR, .epsilon = 0.1, .prior = prior4, .classes = 4}};
  ls_softening three[] = {{.kind = LS_SOFTEN_UNIFORM, .epsilon = 0.2}, {.kind = LS_SOFTEN_PRIOR, .epsilon = 0.1, .prior = prior3, .classes = 3}};
  ls_target t4 = {.rows = 1, .terms = 1, .term = {{&y, NULL, 1}}, .softening = four, .softenings = 2}, t3 = t4;
  ls_cross_entropy_options o = {0};
  ls_cross_entropy_result result;
  ls_mat grad = {g, 1, 4, 4};
  t3.softening = three;
  assert_close(value_of(mat(with, 1, 4), &t4, &o, &grad), value_of(mat(without, 1, 3), &t3, &o, NULL), 1e-6, 0);
  assert_true(g[2] == 0.0f);
  assert_close((double)g[0] + (double)g[1] + (double)g[3], 0, 0, 1e-6);
  t4.term[0].labels = &masked;
  assert_fails(ls_cross_entropy(mat(with, 1, 4), &t4, &o, scratch, &result, NULL, NULL, err), LS_ERANGE, "row 1 of the target has mass on class 2");
}

static void what_cannot_be_is_refused_by_row(void **state) {
  (void)state;
  int n = 37, k = 10;
  ls_rng r;
  ls_rng_seed(&r, 6);
  random_case(&r, n, k);
  ls_target t = {.rows = n, .terms = 1, .term = {{labels, NULL, 1}}};
  ls_cross_entropy_options o = {0};
  ls_cross_entropy_result result;
#define REFUSED(code, text) assert_fails(ls_cross_entropy(mat(z, n, k), &t, &o, scratch, &result, NULL, NULL, err), code, text)
  float kept = z[16 * k + 4];
  z[16 * k + 4] = NAN;
  REFUSED(LS_EVALUE, "logits[17] is NaN for class 4");
  z[16 * k + 4] = INFINITY;
  REFUSED(LS_EVALUE, "logits[17] is +inf for class 4");
  z[16 * k + 4] = kept;
  labels[16] = 10;
  REFUSED(LS_ERANGE, "labels[17] is 10 but logits have 10 classes (0..9)");
  labels[16] = -100;
  REFUSED(LS_ERANGE, "labels[17] is -100");
  o.ignore = (ls_ignore){true, -100};
  assert_ok(ls_cross_entropy(mat(z, n, k), &t, &o, scratch, &result, NULL, NULL, err));
  assert_int_equal(result.ignored, 1);
  for (int i = 0; i < n; i++) labels[i] = -100;
  ls_mat grad = {g, n, k, k};
  assert_ok(ls_cross_entropy(mat(z, n, k), &t, &o, scratch, &result, &grad, NULL, err));
  assert_true(result.value == 0 && result.kept == 0 && result.ignored == n && g[0] == 0);
  memset(dense, 0, sizeof dense);
  for (int i = 0; i < n; i++) dense[i * k] = 1;
  dense[16 * k] = 0.93f;
  t = (ls_target){.rows = n, .dense = mat(dense, n, k)};
  REFUSED(LS_ERANGE, "row 17 of the target sums to 0.93, must be 1 within 1e-4");
  dense[16 * k] = -1;
  REFUSED(LS_ERANGE, "row 17 of the target has -1 for class 0");
  t.dense.cols = 9;
  REFUSED(LS_ESHAPE, "targets are 37x9 but logits are 37x10");
  t = (ls_target){.rows = 0, .terms = 1, .term = {{labels, NULL, 1}}};
  assert_ok(ls_cross_entropy(mat(z, 0, k), &t, &o, scratch, &result, NULL, NULL, err));
  assert_true(result.value == 0);
}

static void extreme_logits_stay_finite(void **state) {
  (void)state;
  float far[] = {1e30f, -1e30f, 3e38f, -3e38f, 0, 88, -104, 1};
  int64_t y[] = {1, 0};
  ls_target t = {.rows = 2, .terms = 1, .term = {{y, NULL, 1}}};
  ls_cross_entropy_options o = {0};
  ls_mat grad = {g, 2, 4, 4};
  assert_close(value_of(mat(far, 2, 4), &t, &o, &grad), (((double)3e38f + (double)1e30f) + 88.0) / 2, 1e-6, 0);
  for (int i = 0; i < 8; i++) assert_true(isfinite(g[i]));
}

static void threads_and_instruction_sets_give_the_same_bits(void **state) {
  (void)state;
  static const int threads[] = {1, 2, 3, 5};
  int n = 523, k = 100;
  uint64_t before = ls_pool_blocks(LS_SITE_CROSS_ENTROPY);
  ls_rng r;
  ls_rng_seed(&r, 8);
  random_case(&r, n, k);
  ls_softening s = {.kind = LS_SOFTEN_UNIFORM, .epsilon = 0.1};
  ls_target t = {.rows = n, .terms = 1, .term = {{labels, NULL, 1}}, .softening = &s, .softenings = 1};
  ls_cross_entropy_options o = {0};
  ls_mat first = {other, n, k, k}, again = {g, n, k, k};
  assert_ok(ls_cpu_start("ref", err));
  double want = value_of(mat(z, n, k), &t, &o, &first);
  for (int isa = LS_ISA_REF; isa <= LS_ISA_AVX512; isa++)
    for (int i = 0; i < 4; i++) {
      assert_ok(ls_cpu_start(ls_isa_name((ls_isa)isa), err));
      assert_ok(ls_pool_start(threads[i], err));
      assert_true(value_of(mat(z, n, k), &t, &o, &again) == want);
      assert_memory_equal(g, other, (size_t)(n * k) * sizeof *g);
    }
  ls_pool_stop();
  assert_true(ls_pool_blocks(LS_SITE_CROSS_ENTROPY) > before + 1);
}

/* Few classes: rows with logits beyond ±64 leave the slab, and change nothing for the others; every row against the definition. */
static void rows_of_a_slab_do_not_depend_on_each_other(void **state) {
  (void)state;
  int n = 35, k = 10;
  ls_rng r;
  ls_rng_seed(&r, 21);
  random_case(&r, n, k);
  ls_softening s = {.kind = LS_SOFTEN_UNIFORM, .epsilon = 0.1};
  ls_target t = {.rows = n, .terms = 1, .term = {{labels, NULL, 1}}, .softening = &s, .softenings = 1};
  ls_cross_entropy_options o = {.reduction = LS_LOSS_SUM};
  ls_mat first = {other, n, k, k}, again = {g, n, k, k};
  value_of(mat(z, n, k), &t, &o, &first);
  z[5 * k + 2] = 400.0f;
  z[20 * k] = -300.0f;
  value_of(mat(z, n, k), &t, &o, &again);
  for (int i = 0; i < n; i++) {
    double most = -INFINITY, sum = 0;
    if (i != 5 && i != 20) assert_memory_equal(g + i * k, other + i * k, (size_t)k * sizeof *g);
    for (int c = 0; c < k; c++) most = fmax(most, (double)z[i * k + c]);
    for (int c = 0; c < k; c++) sum += exp((double)z[i * k + c] - most);
    for (int c = 0; c < k; c++) /* three roundings of numbers up to 1 */
      assert_close((double)g[i * k + c], exp((double)z[i * k + c] - most) / sum - 0.1 / k - (c == labels[i] ? 0.9 : 0), 0, 3e-7);
  }
  assert_true(memcmp(g + 5 * k, other + 5 * k, (size_t)k * sizeof *g) != 0);
}

static void softmax_and_its_gradients_match_the_definition(void **state) {
  (void)state;
  int n = 37, k = 300;
  static float p[MOST], lp[MOST];
  ls_rng r;
  ls_rng_seed(&r, 4);
  random_case(&r, n, k);
  for (int i = 0; i < n * k; i++) other[i] = (float)ls_rng_normal(&r);
  ls_softmax(mat(z, n, k), (ls_mat){p, n, k, k});
  ls_log_softmax(mat(z, n, k), (ls_mat){lp, n, k, k});
  for (int i = 0; i < n; i++) {
    double sum = 0, dot = 0, total = 0;
    for (int c = 0; c < k; c++) sum += exp((double)z[i * k + c]);
    for (int c = 0; c < k; c++) {
      double want = exp((double)z[i * k + c]) / sum;
      assert_close(p[i * k + c], want, 1.5e-6, 0); /* z - max is rounded: half an ulp of up to 20 */
      assert_close(lp[i * k + c], log(want), 1e-6, 1e-6);
      dot += (double)other[i * k + c] * want, total += (double)other[i * k + c];
    }
    ls_softmax_backward(mat(p + i * k, 1, k), mat(other + i * k, 1, k), (ls_mat){g, 1, k, k});
    for (int c = 0; c < k; c++) assert_close(g[c], ((double)other[i * k + c] - dot) * (double)p[i * k + c], 1e-5, 1e-7);
    ls_log_softmax_backward(mat(lp + i * k, 1, k), mat(other + i * k, 1, k), (ls_mat){g, 1, k, k});
    for (int c = 0; c < k; c++) assert_close(g[c], (double)other[i * k + c] - total * (double)p[i * k + c], 1e-5, 2e-6);
  }
}

static void other_losses_match_the_definition(void **state) {
  (void)state;
  int n = 20011;
  double square = 0, binary = 0, got;
  ls_rng r;
  ls_rng_seed(&r, 3);
  for (int i = 0; i < n; i++) z[i] = (float)(10 * ls_rng_normal(&r)), other[i] = (float)ls_rng_double(&r);
  for (int i = 0; i < n; i++) {
    double x = (double)z[i], y = (double)other[i];
    square += (x - y) * (x - y);
    binary += (x > 0 ? x : 0) - x * y + log1p(exp(-fabs(x)));
  }
  assert_close(ls_squared_error((size_t)n, z, other, 0.5f, g), square, 1e-7, 0);
  assert_close(g[7], (double)z[7] - (double)other[7], 1e-6, 0);
  assert_ok(ls_binary_cross_entropy((size_t)n, z, other, 1, &got, g, err));
  assert_close(got, binary, 1e-12, 0);
  assert_close(g[7], 1 / (1 + exp(-(double)z[7])) - (double)other[7], 1e-6, 1e-9);
  other[5] = 1.5f;
  assert_fails(ls_binary_cross_entropy((size_t)n, z, other, 1, &got, g, err), LS_ERANGE, "element 6 of the target is 1.5");
}

/* The comparisons above can fail: a loss off by the smoothing is not within their tolerance. */
static void a_wrong_loss_is_noticed(void **state) {
  (void)state;
  const golden_case *w = &golden_cases[sizeof golden_cases / sizeof golden_cases[0] - 1];
  ls_target t = {.rows = w->n, .dense = mat(w->dense, w->n, w->k)};
  ls_cross_entropy_options o = {0};
  double got = value_of(mat(w->z, w->n, w->k), &t, &o, NULL);
  assert_true(w->smoothing > 0 && fabs(got - w->value) > 1e-3);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_kind_of_target_matches_the_oracle),
      cmocka_unit_test(pytorchs_numbers_come_out),
      cmocka_unit_test(compositions_keep_their_identities),
      cmocka_unit_test(an_epsilon_for_each_row_is_uniform_smoothing_of_the_row),
      cmocka_unit_test(the_pinned_numbers_hold),
      cmocka_unit_test(masked_classes_take_no_mass),
      cmocka_unit_test(what_cannot_be_is_refused_by_row),
      cmocka_unit_test(extreme_logits_stay_finite),
      cmocka_unit_test(threads_and_instruction_sets_give_the_same_bits),
      cmocka_unit_test(rows_of_a_slab_do_not_depend_on_each_other),
      cmocka_unit_test(softmax_and_its_gradients_match_the_definition),
      cmocka_unit_test(other_losses_match_the_definition),
      cmocka_unit_test(a_wrong_loss_is_noticed),
  };
  return run_suite(tests);
}
