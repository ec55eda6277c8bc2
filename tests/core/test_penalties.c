/* The whole table of penalties: a new entry is held to all of this by being in it. SPDX-License-Identifier: MIT
 *
 * A row's value in double, taken apart by central differences, is the oracle of its gradient; sums over rows of that, in plain double, the oracle of
 * the driver. What the formulas say is held by numbers of other implementations (tests/lua/test_penalties.lua) and by limits
 * (test_penalty_formulas.c). */
#include "test.h"

#include <lsengine/cpu.h>
#include <lsengine/penalty.h>
#include <lsengine/pool.h>
#include <lsengine/random.h>

enum { MOST = 70000, MOST_K = 100 };
static float z[MOST], g[MOST], other[MOST], rows[MOST], transition[MOST_K * MOST_K], matrix[MOST_K * MOST_K], multipliers[MOST_K];
static int64_t labels[MOST], second[MOST];
static char scratch[1 << 23];
static double buffer[5 * MOST_K]; /* zipf asks for the most */

static ls_cmat mat(const float *data, int n, int k) { return (ls_cmat){data, n, k, k}; }

/* Parameters that make every part of a formula act, with a gradient that is the value's. */
static void lively(const ls_penalty *p, double *parameters) {
  static const struct {
    const char *name;
    double value;
  } by_name[] = {{"margin", 1}, {"hinge", 1.2}, {"detach", 0}, {"temperature", 0.7}};
  for (int i = 0; i < p->entry.parameter_count; i++) {
    const ls_parameter *s = &p->entry.parameters[i];
    parameters[i] = isnan(s->standard) ? 0 : s->standard;
    for (size_t j = 0; j < sizeof by_name / sizeof by_name[0]; j++)
      if (strcmp(s->name, by_name[j].name) == 0) parameters[i] = by_name[j].value;
  }
}

/* Data that an entry reads besides numbers, for k classes. */
static ls_cmat data_of(const ls_penalty *p, int k) {
  for (int i = 0; i < k; i++) {
    multipliers[i] = 0.1f + 0.05f * (float)i;
    for (int c = 0; c < k; c++) transition[i * k + c] = i == c ? 0.8f + 0.2f / (float)k : 0.2f / (float)k;
  }
  if (p->data < LS_PENALTY_TRANSITION) return (ls_cmat){0};
  assert_true(ls_penalty_prepare_scratch(p, k) <= sizeof scratch);
  assert_ok(ls_penalty_prepare(p, mat(transition, k, k), (ls_mat){matrix, k, k, k}, scratch, err));
  return mat(matrix, k, k);
}

static void random_logits(ls_rng *r, int n, int k) {
  for (int i = 0; i < n * k; i++) z[i] = (float)(3 * ls_rng_normal(r));
  for (int i = 0; i < n; i++) labels[i] = ls_rng_integer(r, 0, k - 1), second[i] = ls_rng_integer(r, 0, k - 1);
}

static bool takes_soft(const ls_penalty *p) { return p->target != LS_PENALTY_LABEL; }

static void hold_row(const ls_penalty *p, int k, double *logits, const double *q, int label, const double *parameters) {
  double gradient[MOST_K], sum = 0;
  ls_cmat data = data_of(p, k);
  double value = ls_penalty_value(p, k, logits, q, label, parameters, multipliers, data, buffer, gradient);
  if (!isfinite(value)) fail_msg("%s: %g", p->entry.name, value);
  for (int c = 0; c < k; c++) {
    double keep = logits[c], h = 1e-5;
    if (keep == -INFINITY) {
      assert_true(gradient[c] == 0);
      continue;
    }
    logits[c] = keep + h;
    double up = ls_penalty_value(p, k, logits, q, label, parameters, multipliers, data, buffer, NULL);
    logits[c] = keep - h;
    double down = ls_penalty_value(p, k, logits, q, label, parameters, multipliers, data, buffer, NULL), want = (up - down) / (2 * h);
    logits[c] = keep;
    sum += fabs(gradient[c]);
    if (!(fabs(gradient[c] - want) <= 1e-6 * fabs(want) + 1e-8)) /* h² times the third derivative; rounding over h */
      fail_msg("%s, %d classes, class %d: the gradient is %.12g, differences say %.12g", p->entry.name, k, c, gradient[c], want);
  }
  assert_true(isfinite(sum));
}

static void gradients_are_those_of_the_values(void **state) {
  (void)state;
  static const int classes[] = {2, 3, 10, 33};
  double parameters[LS_PENALTY_PARAMETERS], logits[MOST_K], q[MOST_K];
  ls_rng r;
  ls_rng_seed(&r, 2);
  for (int32_t e = 0; e < ls_penalty_count; e++) {
    const ls_penalty *p = ls_penalties[e];
    for (int s = 0; s < 4; s++)
      for (int trial = 0; trial < 12; trial++) {
        int k = classes[s], label = trial % k;
        double total = 0;
        lively(p, parameters);
        for (int c = 0; c < k; c++) /* 3e-5 apart at least: no step of the differences changes an order of logits */
          logits[c] = round(3 * ls_rng_normal(&r) * 256) / 256 + 3e-5 * c, q[c] = c == label;
        if (trial % 3 == 1 && k > 2 && p->data != LS_PENALTY_INVERSE) logits[(label + 1) % k] = -INFINITY;
        for (int i = 0; i < p->entry.parameter_count && trial >= 6; i++) /* the other value of switches */
          if (strcmp(p->entry.parameters[i].type, "boolean") == 0 && strcmp(p->entry.parameters[i].name, "detach") != 0) parameters[i] = parameters[i] == 0;
        bool soft = takes_soft(p) || (p->soft_when > 0 && parameters[p->soft_when - 1] != 0);
        if (soft && trial % 2 == 1) {
          label = -1;
          for (int c = 0; c < k; c++) total += q[c] = logits[c] == -INFINITY ? 0 : ls_rng_double(&r);
          for (int c = 0; c < k; c++) q[c] /= total;
        }
        hold_row(p, k, logits, q, label, parameters);
      }
  }
}

/* The definition over rows: what ls_penalty_loss must give. */
static double definition(const ls_penalty *p, int n, int k, const ls_target *t, const ls_penalty_options *o, double *gradient, double *each) {
  double sum = 0, weight = 0, denominator, q[MOST_K], logits[MOST_K], of_row[MOST_K];
  ls_resolved r;
  int kept = 0;
  assert_ok(ls_target_resolve(t, k, o->ignore, scratch, &r, err));
  for (int pass = 0; pass < 2; pass++) {
    denominator = o->reduction == LS_LOSS_MEAN ? weight : o->reduction == LS_LOSS_ROWS ? kept : 1;
    for (int i = 0; i < n; i++) {
      double w = 0;
      bool ignored = ls_target_ignored(t, o->ignore, i);
      for (int m = 0; m < t->terms && !ignored; m++) w += t->term[m].weight * (o->class_weights == NULL ? 1 : (double)o->class_weights[t->term[m].labels[i]]);
      if (pass == 0) {
        weight += w, kept += !ignored;
        continue;
      }
      for (int c = 0; c < k; c++) gradient[i * k + c] = 0;
      each[i] = 0;
      if (ignored) continue;
      for (int c = 0; c < k; c++) q[c] = ls_target_at(t, &r, i, c), logits[c] = (double)z[i * k + c];
      int label = t->terms == 1 && t->softenings == 0 ? (int)t->term[0].labels[i] : -1;
      each[i] = w * ls_penalty_value(p, k, logits, q, label, o->parameters, o->values, o->matrix, buffer, of_row);
      sum += each[i];
      for (int c = 0; c < k; c++) gradient[i * k + c] = w * of_row[c] / denominator;
    }
  }
  return sum / denominator;
}

static void hold_driver(const ls_penalty *p, int n, int k, const ls_target *t, ls_penalty_options *o) {
  static double gradient[MOST], each[MOST];
  ls_penalty_result result = {0};
  ls_mat grad = {g, n, k, k};
  for (int reduction = LS_LOSS_MEAN; reduction <= LS_LOSS_NONE; reduction++) {
    double total = 0, scale = 0;
    o->reduction = (ls_loss_reduction)reduction;
    double want = definition(p, n, k, t, o, gradient, each);
    assert_true(ls_penalty_scratch(p, t, n, k) <= sizeof scratch);
    assert_ok(ls_penalty_loss(p, mat(z, n, k), t, o, scratch, &result, &grad, rows, err));
    assert_close(result.value, want, 4e-6, 1e-6); /* the cross-entropy beside a penalty shifts its logits in float */
    for (int i = 0; i < n * k; i++) scale = fmax(scale, fabs(gradient[i]));
    for (int i = 0; i < n * k; i++)
      if (!(fabs((double)g[i] - gradient[i]) <= (p->adds ? 1e-5 : p->label != NULL ? 4e-7 : 2e-7) * scale)) /* the cross-entropy's own tolerance; that of its exponentials; one rounding */
        fail_msg("%s: gradient %d is %g, want %g", p->entry.name, i, (double)g[i], gradient[i]);
    for (int i = 0; i < n; i++) {
      total += (double)rows[i];
      assert_close(rows[i], each[i], 4e-6, 4e-6);
    }
    if (o->reduction >= LS_LOSS_SUM) assert_close(total, o->reduction == LS_LOSS_ROWS ? result.value * result.kept : result.value, 1e-5, 1e-6);
  }
}

static void rows_are_weighed_and_reduced_as_the_cross_entropy_does(void **state) {
  (void)state;
  static const int shapes[][2] = {{1, 2}, {37, 10}, {300, 3}, {70, 100}, {64, 7}, {130, 8}, {37, 9}, {5, 15}, {37, 16}, {65, 17}, {37, 31}, {37, 32}, {37, 33}}; /* groups, whole and not */
  static float weights[MOST_K];
  double parameters[LS_PENALTY_PARAMETERS];
  ls_softening smooth = {.kind = LS_SOFTEN_UNIFORM, .epsilon = 0.1};
  ls_rng r;
  ls_rng_seed(&r, 9);
  for (int c = 0; c < MOST_K; c++) weights[c] = c == 1 ? 0 : (float)ls_rng_double(&r) + 0.1f;
  for (int32_t e = 0; e < ls_penalty_count; e++)
    for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++) {
      const ls_penalty *p = ls_penalties[e];
      int n = shapes[s][0], k = shapes[s][1];
      lively(p, parameters);
      random_logits(&r, n, k);
      ls_penalty_options o = {.parameters = parameters, .values = multipliers, .matrix = data_of(p, k)};
      ls_target one = {.rows = n, .terms = 1, .term = {{labels, NULL, 1}}};
      ls_target mixed = {.rows = n, .terms = 2, .term = {{labels, NULL, 0.7}, {second, NULL, 0.3}}, .softening = &smooth, .softenings = 1};
      labels[0] = 0;
      hold_driver(p, n, k, &one, &o);
      o.class_weights = weights;
      hold_driver(p, n, k, &one, &o);
      if (takes_soft(p)) hold_driver(p, n, k, &mixed, &o);
      if (n > 1) labels[n / 2] = labels[n - 1] = -7;
      o.ignore = (ls_ignore){true, -7};
      hold_driver(p, n, k, &one, &o);
      if (takes_soft(p)) hold_driver(p, n, k, &mixed, &o);
    }
}

/* A row with a masked class is the row without it. */
static void masked_classes_take_no_part(void **state) {
  (void)state;
  double parameters[LS_PENALTY_PARAMETERS], with[6], without[5], q6[6], q5[5], g6[6], g5[5];
  float small[25], few[5];
  ls_rng r;
  ls_rng_seed(&r, 21);
  for (int32_t e = 0; e < ls_penalty_count; e++)
    for (int masked = 0; masked < 6; masked++) {
      const ls_penalty *p = ls_penalties[e];
      int label = (masked + 2) % 6;
      lively(p, parameters);
      ls_cmat data = data_of(p, 6), less = {0};
      for (int c = 0; c < 6; c++) with[c] = c == masked ? -INFINITY : 3 * ls_rng_normal(&r), q6[c] = c == label;
      for (int c = 0, i = 0; c < 6; c++) {
        if (c == masked) continue;
        without[i] = with[c], q5[i] = q6[c], few[i] = multipliers[c];
        for (int d = 0, j = 0; d < 6 && data.data != NULL; d++)
          if (d != masked) small[i * 5 + j++] = data.data[c * 6 + d];
        i++;
      }
      if (data.data != NULL) less = mat(small, 5, 5);
      double a = ls_penalty_value(p, 6, with, q6, label, parameters, multipliers, data, buffer, g6);
      if (p->data == LS_PENALTY_INVERSE) {
        assert_true(isnan(a));
        continue;
      }
      assert_close(a, ls_penalty_value(p, 5, without, q5, label - (label > masked), parameters, few, less, buffer, g5), 1e-12, 1e-12);
      assert_true(g6[masked] == 0);
      for (int c = 0; c < 6; c++)
        if (c != masked) assert_close(g6[c], g5[c - (c > masked)], 1e-12, 1e-12);
    }
}

static void extreme_logits_stay_finite(void **state) {
  (void)state;
  static const float sizes[] = {80, 1e4f};
  double parameters[LS_PENALTY_PARAMETERS];
  ls_penalty_result result;
  enum { N = 16, K = 4 };
  ls_target t = {.rows = N, .terms = 1, .term = {{labels, NULL, 1}}};
  ls_mat grad = {g, N, K, K};
  for (int32_t e = 0; e < ls_penalty_count; e++)
    for (int s = 0; s < 2; s++)
      for (int standard = 0; standard < 2; standard++) {
        const ls_penalty *p = ls_penalties[e];
        lively(p, parameters);
        for (int i = 0; i < p->entry.parameter_count && standard; i++)
          if (!isnan(p->entry.parameters[i].standard)) parameters[i] = p->entry.parameters[i].standard;
        for (int i = 0; i < N; i++)
          for (int c = 0; c < K; c++) z[i * K + c] = (i >> c & 1 ? 1 : -1) * sizes[s], labels[i] = i % K;
        ls_penalty_options o = {.parameters = parameters, .values = multipliers, .matrix = data_of(p, K)};
        assert_ok(ls_penalty_loss(p, mat(z, N, K), &t, &o, scratch, &result, &grad, rows, err));
        if (!isfinite(result.value)) fail_msg("%s at %g: %g", p->entry.name, (double)sizes[s], result.value);
        for (int i = 0; i < N * K; i++)
          if (!isfinite(g[i])) fail_msg("%s at %g: a gradient is %g", p->entry.name, (double)sizes[s], (double)g[i]);
      }
}

/* Rows of one label have float32 exponentials where logits are near and doubles elsewhere: neither loses what a confident row leaves, nor a hopeless one. */
static void confident_rows_keep_their_small_numbers(void **state) {
  (void)state;
  static const float gaps[] = {0.5f, 3, 10, 30, 60, 100};
  enum { N = 12, MOST_COLUMNS = 33 };
  double parameters[LS_PENALTY_PARAMETERS], logits[MOST_COLUMNS], q[MOST_COLUMNS], want[MOST_COLUMNS];
  ls_penalty_result result;
  ls_rng r;
  ls_rng_seed(&r, 12);
  for (int isa = LS_ISA_REF; isa <= LS_ISA_AVX512; isa++)
    for (int k = 2; k <= MOST_COLUMNS && ls_cpu_has((ls_isa)isa); k += 31)
      for (int32_t e = 0; e < ls_penalty_count; e++) {
        const ls_penalty *p = ls_penalties[e];
        if (p->label == NULL) continue;
        assert_ok(ls_cpu_start(ls_isa_name((ls_isa)isa), err));
        lively(p, parameters);
        ls_target t = {.rows = N, .terms = 1, .term = {{labels, NULL, 1}}};
        ls_penalty_options o = {.parameters = parameters, .reduction = LS_LOSS_NONE};
        ls_mat grad = {g, N, k, k};
        random_logits(&r, N, k);
        for (int i = 0; i < N; i++) labels[i] = i % k, z[i * k + i % k] = (i % 2 ? 1.0f : -1.0f) * gaps[i / 2];
        assert_ok(ls_penalty_loss(p, mat(z, N, k), &t, &o, scratch, &result, &grad, rows, err));
        double least = strcmp(p->entry.name, "label_relaxation") == 0 ? 5e-7 : p->target == LS_PENALTY_LINEAR ? 1e-15 : 0; /* 1 - alpha - p_y cancels; p_y - q_y does in the oracle */
        for (int i = 0; i < N; i++) {
          for (int c = 0; c < k; c++) logits[c] = (double)z[i * k + c], q[c] = c == labels[i];
          double value = ls_penalty_value(p, k, logits, q, (int)labels[i], parameters, NULL, (ls_cmat){0}, buffer, want);
          if (!(fabs((double)rows[i] - value) <= 3e-6 * fabs(value) + least + 1e-37)) fail_msg("%s, row %d of %d classes: %.9g, want %.9g", p->entry.name, i, k, (double)rows[i], value);
          for (int c = 0; c < k; c++)
            if (!(fabs((double)g[i * k + c] - want[c]) <= 3e-6 * fabs(want[c]) + least + 1e-37))
              fail_msg("%s, row %d of %d classes, gradient %d: %.9g, want %.9g", p->entry.name, i, k, c, (double)g[i * k + c], want[c]);
        }
      }
}

/* Of ordinary rows every seventh has a masked class, every eleventh large logits; some are ignored and hold NaN. `plain`: none but ordinary ones. */
static void mixed_rows(ls_rng *r, const ls_penalty *p, int n, int k, bool plain) {
  random_logits(r, n, k);
  for (int i = 0; i < n && !plain; i++) {
    int64_t y = labels[i];
    if (i % 7 == 3 && k > 2 && p->data != LS_PENALTY_INVERSE) z[i * k + (y + 1) % k] = -INFINITY;
    for (int c = 0; c < k && i % 11 == 5; c++) z[i * k + c] *= i % 2 ? 400.0f : 20.0f;
    if (i % 13 == 6) labels[i] = -7, z[i * k] = NAN;
  }
}

static void hold_mixed_rows(const ls_penalty *p, int n, int k, const float *by_class) {
  double parameters[LS_PENALTY_PARAMETERS], logits[MOST_K], q[MOST_K], want[MOST_K];
  ls_penalty_result result;
  ls_target t = {.rows = n, .terms = 1, .term = {{labels, NULL, 1}}};
  ls_mat grad = {g, n, k, k};
  lively(p, parameters);
  ls_penalty_options o = {.parameters = parameters, .values = multipliers, .matrix = data_of(p, k), .class_weights = by_class, .ignore = {true, -7}, .reduction = LS_LOSS_NONE};
  for (int i = 0; i < n * k; i++) g[i] = NAN;
  assert_ok(ls_penalty_loss(p, mat(z, n, k), &t, &o, scratch, &result, &grad, rows, err));
  for (int i = 0; i < n; i++) {
    double weight = 0, value = 0, scale = 0;
    for (int c = 0; c < k; c++) want[c] = 0, q[c] = c == labels[i], logits[c] = (double)z[i * k + c];
    if (labels[i] >= 0) {
      weight = (double)by_class[labels[i]];
      value = weight * ls_penalty_value(p, k, logits, q, (int)labels[i], parameters, multipliers, o.matrix, buffer, want);
    }
    if (!(fabs((double)rows[i] - value) <= 4e-6 * fabs(value) + 4e-6)) fail_msg("%s, row %d of %d classes: %.9g, want %.9g", p->entry.name, i, k, (double)rows[i], value);
    for (int c = 0; c < k; c++) scale = fmax(scale, fabs(want[c]));
    for (int c = 0; c < k; c++)
      if (!(fabs((double)g[i * k + c] - weight * want[c]) <= 1e-5 * weight * scale + 1e-6)) /* terms of order 1 may cancel */
        fail_msg("%s, row %d of %d classes, gradient %d: %.9g, want %.9g", p->entry.name, i, k, c, (double)g[i * k + c], weight * want[c]);
  }
}

/* Rows of few classes go in groups; what a group's kernel has no answer for goes by itself. A row does not see which rows are beside it, to the bit. */
static void groups_of_rows_are_their_rows(void **state) {
  (void)state;
  static const int classes[] = {2, 3, 7, 8, 9, 10, 15, 16, 17, 31, 32, 33, 50};
  static float by_class[MOST_K];
  enum { N = 150 };
  ls_penalty_result result;
  ls_rng r;
  ls_rng_seed(&r, 77);
  for (int c = 0; c < MOST_K; c++) by_class[c] = 0.5f + 0.01f * (float)c;
  for (int isa = LS_ISA_REF; isa <= LS_ISA_AVX512; isa++)
    for (size_t s = 0; s < sizeof classes / sizeof classes[0] && ls_cpu_has((ls_isa)isa); s++)
      for (int32_t e = 0; e < ls_penalty_count; e++) {
        const ls_penalty *p = ls_penalties[e];
        int k = classes[s];
        double parameters[LS_PENALTY_PARAMETERS];
        assert_ok(ls_cpu_start(ls_isa_name((ls_isa)isa), err));
        ls_rng_seed(&r, (uint64_t)k);
        mixed_rows(&r, p, N, k, false);
        hold_mixed_rows(p, N, k, by_class);
        memcpy(other, g, (size_t)(N * k) * sizeof *g);
        ls_rng_seed(&r, (uint64_t)k);
        mixed_rows(&r, p, N, k, true);
        lively(p, parameters);
        ls_target t = {.rows = N, .terms = 1, .term = {{labels, NULL, 1}}};
        ls_penalty_options o = {.parameters = parameters, .values = multipliers, .matrix = data_of(p, k), .class_weights = by_class, .reduction = LS_LOSS_NONE};
        ls_mat grad = {g, N, k, k};
        assert_ok(ls_penalty_loss(p, mat(z, N, k), &t, &o, scratch, &result, &grad, NULL, err));
        for (int i = 0; i < N; i++)
          if (i % 7 != 3 && i % 11 != 5 && i % 13 != 6) assert_memory_equal(g + i * k, other + i * k, (size_t)k * sizeof *g);
      }
}

static void threads_give_the_same_bits(void **state) {
  (void)state;
  static const int threads[] = {1, 2, 3, 5};
  double parameters[LS_PENALTY_PARAMETERS];
  int n = 623, k = 100;
  uint64_t before = ls_pool_blocks(LS_SITE_PENALTY);
  ls_rng r;
  ls_rng_seed(&r, 8);
  random_logits(&r, n, k);
  ls_target t = {.rows = n, .terms = 1, .term = {{labels, NULL, 1}}};
  for (int32_t e = 0; e < ls_penalty_count; e++) {
    const ls_penalty *p = ls_penalties[e];
    ls_penalty_result first, again;
    lively(p, parameters);
    ls_penalty_options o = {.parameters = parameters, .values = multipliers, .matrix = data_of(p, k)};
    ls_mat one = {other, n, k, k}, two = {g, n, k, k};
    assert_ok(ls_penalty_loss(p, mat(z, n, k), &t, &o, scratch, &first, &one, NULL, err));
    for (int i = 0; i < 4; i++) {
      assert_ok(ls_pool_start(threads[i], err));
      assert_ok(ls_penalty_loss(p, mat(z, n, k), &t, &o, scratch, &again, &two, NULL, err));
      ls_pool_stop();
      assert_true(first.value == again.value);
      assert_memory_equal(g, other, (size_t)(n * k) * sizeof *g);
    }
  }
  assert_true(ls_pool_blocks(LS_SITE_PENALTY) > before + 1);
}

static void entries_are_whole(void **state) {
  (void)state;
  for (int32_t e = 0; e < ls_penalty_count; e++) {
    const ls_penalty *p = ls_penalties[e];
    const ls_entry *n = &p->entry;
    const char *const texts[] = {n->name, n->title, n->paper, n->formula, n->property, n->use, n->avoid, n->example};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) assert_true(texts[i] != NULL && strlen(texts[i]) > 2);
    assert_true(n->stacking != NULL && n->parameter_count <= LS_PENALTY_PARAMETERS && (n->parameter_count > 0) == (n->parameters != NULL));
    assert_true(e == 0 || strcmp(ls_penalties[e - 1]->entry.name, n->name) < 0);
    assert_true((p->target == LS_PENALTY_LABEL) == (p->refusal != NULL));
    assert_ptr_equal(ls_penalty_find(n->name), p);
  }
  assert_null(ls_penalty_find("no such loss"));
}

static void parameters_out_of_range_are_refused(void **state) {
  (void)state;
  double parameters[LS_PENALTY_PARAMETERS];
  int tried = 0;
  for (int32_t e = 0; e < ls_penalty_count; e++) {
    const ls_penalty *p = ls_penalties[e];
    lively(p, parameters);
    assert_ok(ls_penalty_check(p, parameters, err));
    for (int i = 0; i < p->entry.parameter_count; i++) {
      const ls_parameter *s = &p->entry.parameters[i];
      const double bad[] = {NAN, INFINITY, -INFINITY, s->minimum - 1, s->maximum + 1, s->above_minimum ? s->minimum : NAN, s->below_maximum ? s->maximum : NAN};
      if (strcmp(s->type, "matrix") == 0) continue;
      for (size_t b = 0; b < sizeof bad / sizeof bad[0]; b++, tried++) {
        double keep = parameters[i];
        parameters[i] = bad[b];
        assert_fails(ls_penalty_check(p, parameters, err), LS_ERANGE, s->name);
        parameters[i] = keep;
      }
    }
  }
  assert_true(tried > 100);
}

static void what_cannot_be_is_refused_by_row(void **state) {
  (void)state;
  double parameters[LS_PENALTY_PARAMETERS];
  int n = 37, k = 10;
  ls_penalty_result result;
  ls_softening smooth = {.kind = LS_SOFTEN_UNIFORM, .epsilon = 0.1};
  ls_rng r;
  ls_rng_seed(&r, 6);
  for (int32_t e = 0; e < ls_penalty_count; e++) {
    const ls_penalty *p = ls_penalties[e];
    lively(p, parameters);
    random_logits(&r, n, k);
    ls_target t = {.rows = n, .terms = 1, .term = {{labels, NULL, 1}}};
    ls_penalty_options o = {.parameters = parameters, .values = multipliers, .matrix = data_of(p, k)};
    ls_mat grad = {g, n, k, k};
#define REFUSED(code, text) assert_fails(ls_penalty_loss(p, mat(z, n, k), &t, &o, scratch, &result, &grad, NULL, err), code, text)
    float kept = z[16 * k + 4];
    z[16 * k + 4] = NAN;
    REFUSED(LS_EVALUE, "logits[17] is NaN for class 4");
    z[16 * k + 4] = INFINITY;
    REFUSED(LS_EVALUE, "logits[17] is +inf for class 4");
    z[16 * k + 4] = kept;
    for (int c = 0; c < k; c++) other[c] = z[16 * k + c], z[16 * k + c] = -INFINITY;
    REFUSED(LS_EVALUE, "logits[17] is -inf for every class");
    for (int c = 0; c < k; c++) z[16 * k + c] = other[c];
    z[16 * k + labels[16]] = -INFINITY;
    REFUSED(LS_ERANGE, "row 17 of the target has mass on class");
    z[16 * k + labels[16]] = 1;
    labels[16] = 10;
    REFUSED(LS_ERANGE, "labels[17] is 10 but logits have 10 classes (0..9)");
    o.ignore = (ls_ignore){true, 10};
    z[16 * k + 4] = NAN; /* of an ignored row nobody asks */
    assert_ok(ls_penalty_loss(p, mat(z, n, k), &t, &o, scratch, &result, &grad, NULL, err));
    assert_true(result.ignored == 1 && result.kept == n - 1 && g[16 * k + 4] == 0);
    for (int i = 0; i < n; i++) labels[i] = 10;
    assert_ok(ls_penalty_loss(p, mat(z, n, k), &t, &o, scratch, &result, &grad, NULL, err));
    assert_true(result.value == 0 && result.kept == 0 && g[0] == 0);
    random_logits(&r, n, k);
    t.softening = &smooth, t.softenings = 1;
    if (p->target == LS_PENALTY_LABEL) REFUSED(LS_ERANGE, p->refusal);
    smooth.epsilon = 0;
    assert_ok(ls_penalty_loss(p, mat(z, n, k), &t, &o, scratch, &result, &grad, NULL, err));
    smooth.epsilon = 0.1;
    const float bad[] = {1, 1, 1, -1, 1, 1, 1, 1, 1, 1};
    o.class_weights = bad;
    t.softenings = 0;
    REFUSED(LS_ERANGE, "the weight of class 3 is -1");
    t.rows = 0;
    o.class_weights = NULL;
    assert_ok(ls_penalty_loss(p, mat(z, 0, k), &t, &o, scratch, &result, NULL, NULL, err));
    assert_true(result.value == 0);
  }
}

static void penalties_by_class_are_means_over_rows(void **state) {
  (void)state;
  const float logits[] = {5, 0, 3, 1, 4, -INFINITY}, lambda[] = {1, 2, 3};
  float out[3], bad[] = {0, NAN, 0};
  double sums[3];
  assert_ok(ls_cals_penalties(mat(logits, 2, 3), 1, NULL, 0.5, sums, out, err));
  assert_close(out[0], 0.5 * 2 / 2, 1e-7, 0);
  assert_close(out[1], 0.5 * 4 / 2, 1e-7, 0);
  assert_close(out[2], 0.5 * 1 / 2, 1e-7, 0);
  assert_ok(ls_cals_penalties(mat(logits, 2, 3), 1, lambda, 0.5, sums, out, err));
  assert_close(out[1], 2.0 * 4 / 2, 1e-7, 0);
  assert_fails(ls_cals_penalties(mat(bad, 1, 3), 1, NULL, 1, sums, out, err), LS_EVALUE, "logits[1] is NaN for class 1");
  assert_fails(ls_cals_penalties(mat(bad, 0, 3), 1, NULL, 1, sums, out, err), LS_ESHAPE, "logits are 0x3");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(entries_are_whole),
      cmocka_unit_test(gradients_are_those_of_the_values),
      cmocka_unit_test(rows_are_weighed_and_reduced_as_the_cross_entropy_does),
      cmocka_unit_test(masked_classes_take_no_part),
      cmocka_unit_test(extreme_logits_stay_finite),
      cmocka_unit_test(confident_rows_keep_their_small_numbers),
      cmocka_unit_test(groups_of_rows_are_their_rows),
      cmocka_unit_test(threads_give_the_same_bits),
      cmocka_unit_test(parameters_out_of_range_are_refused),
      cmocka_unit_test(what_cannot_be_is_refused_by_row),
      cmocka_unit_test(penalties_by_class_are_means_over_rows),
  };
  return run_suite(tests);
}
