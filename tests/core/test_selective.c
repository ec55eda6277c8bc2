/* Selective prediction and calibrators against other packages and plain definitions. SPDX-License-Identifier: MIT */
#include "test.h"

#include <lsengine/calibrators.h>
#include <lsengine/pool.h>
#include <lsengine/random.h>
#include <lsengine/selective.h>
#include <lsengine/statistics.h>

#include "tests/golden/evaluation.inc"

enum { MOST = 4000 };

static char scratch[1 << 25];
static double doubt[MOST];
static uint8_t wrong[MOST];

static ls_predictions logits_of(const float *z, const int64_t *y, int n, int k) {
  return (ls_predictions){.z = {z, n, k, k}, .labels = y, .temperature = 1};
}

static ls_selective by(const ls_predictions *p, ls_score score, const ls_selective_wants *wants) {
  static const ls_selective_wants plain = {.area = LS_AREA_MEAN};
  ls_selective r = {0};
  int64_t kept;
  assert_true(ls_doubts_scratch(p, score) <= sizeof scratch);
  assert_ok(ls_doubts(p, score, scratch, doubt, wrong, &kept, err));
  assert_true(ls_selective_scratch((size_t)kept) <= sizeof scratch);
  assert_ok(ls_select((size_t)kept, doubt, wrong, NULL, wants == NULL ? &plain : wants, scratch, &r, err));
  return r;
}

static void aurc_is_the_mean_over_orders_within_ties(void **state) {
  (void)state;
  ls_predictions p = logits_of(golden_z, golden_y, GOLDEN_N, GOLDEN_K);
  ls_selective r = by(&p, LS_SCORE_MAX_PROBABILITY, NULL);
  assert_close(r.aurc, golden.aurc, 0, golden.aurc_error + 1e-12);
  assert_close(r.risk, 1 - golden.accuracy, 1e-12, 0);
  assert_close(r.tied, 35.0 / GOLDEN_N, 1e-12, 0);
}

static void sure_rows_keep_their_order(void **state) {
  (void)state;
  float z[] = {1, 0, 1, 0, 1, 0, 1, 0}, saturated[] = {50, 0, 60, 0}, beyond[] = {3000, 0, 0, 4000, 0, -1};
  int64_t y[] = {0, 1, 0, 1}, first_wrong[] = {1, 0}, first_of_three[] = {1, 0};
  ls_predictions p = logits_of(z, y, 4, 2);
  assert_close(by(&p, LS_SCORE_MAX_PROBABILITY, NULL).aurc, 0.5, 1e-15, 0);
  p = logits_of(saturated, first_wrong, 2, 2); /* both confidences are 1 in double */
  assert_close(by(&p, LS_SCORE_MAX_PROBABILITY, NULL).aurc, 0.25, 1e-15, 0);
  assert_close(by(&p, LS_SCORE_MARGIN, NULL).aurc, 0.25, 1e-15, 0);
  assert_close(by(&p, LS_SCORE_ENTROPY, NULL).aurc, 0.25, 1e-15, 0);
  p = logits_of(beyond, first_of_three, 2, 3); /* both exponentials are 0 in double */
  ls_selective r = by(&p, LS_SCORE_MAX_PROBABILITY, NULL);
  assert_close(r.aurc, 0.25, 1e-15, 0);
  assert_true(r.tied == 0);
  assert_true(by(&p, LS_SCORE_MARGIN, NULL).tied == 0);
}

/* Each score by its definition, in long double. */
static double definition(ls_score score, const float *z, int k) {
  long double top = -INFINITY, second = -INFINITY, sum = 0, entropy = 0, mean = 0, square = 0;
  for (int c = 0; c < k; c++) {
    if (z[c] > top) second = top, top = z[c];
    else if (z[c] > second) second = z[c];
    mean += (long double)z[c] / k;
  }
  for (int c = 0; c < k; c++) sum += expl(z[c] - top), square += (z[c] - mean) * (z[c] - mean);
  for (int c = 0; c < k; c++) entropy -= expl(z[c] - top) / sum * (z[c] - top - logl(sum));
  switch (score) {
  case LS_SCORE_MAX_PROBABILITY: return (double)((sum - 1) / sum);
  case LS_SCORE_MARGIN: return (double)((sum - 1 + expl(second - top)) / sum);
  case LS_SCORE_ENTROPY: return (double)entropy;
  case LS_SCORE_LOGIT_MARGIN: return (double)(second - top);
  case LS_SCORE_MAX_LOGIT: return (double)-top;
  case LS_SCORE_ENERGY: return (double)-(top + logl(sum));
  default: return (double)-((top - mean) / sqrtl(square));
  }
}

static void scores_are_those_of_the_definitions(void **state) {
  (void)state;
  ls_predictions p = logits_of(golden_z, golden_y, GOLDEN_N, GOLDEN_K);
  for (int s = 0; s < LS_SCORE_COUNT; s++) {
    by(&p, (ls_score)s, NULL);
    for (int i = 0; i < GOLDEN_N; i++) assert_close(doubt[i], definition((ls_score)s, golden_z + i * GOLDEN_K, GOLDEN_K), 1e-13, 1e-15);
  }
  float one[] = {3, -2};
  int64_t y[] = {0, 0};
  p = logits_of(one, y, 2, 1);
  for (int s = 0; s < LS_SCORE_COUNT; s++) by(&p, (ls_score)s, NULL); /* one class: no failure, nothing is NaN */
  float q[] = {.5f, .5f};
  p = logits_of(q, y, 1, 2);
  p.probabilities = true;
  int64_t kept;
  assert_fails(ls_doubts(&p, LS_SCORE_ENERGY, scratch, doubt, wrong, &kept, err), LS_ERANGE, "the score energy is made of logits, probabilities were given");
}

/* Everything row by row, without ties. */
static void areas_are_those_of_the_definitions(void **state) {
  (void)state;
  ls_rng r;
  ls_rng_seed(&r, 4);
  double curve[20], at_risk[2], at_coverage[2], risks[] = {.1, .3}, coverages[] = {.25, 1};
  ls_selective_wants w = {.points = 10, .curve = curve, .risks = 2, .risk = risks, .coverage_at_risk = at_risk, .coverages = 2, .coverage = coverages, .risk_at_coverage = at_coverage};
  for (int n = 3; n < 200; n += 49) {
    double errors = 0, mean = 0, general = 0, trapezoid = 0, inner = 0, last = 0, best = 0, pairs = 0, total = 0, far[2] = {0}, quarter = 0;
    for (int i = 0; i < n; i++) doubt[i] = i + .5 * ls_rng_double(&r), wrong[i] = ls_rng_double(&r) < (i + 1.) / (2 * n), total += wrong[i];
    if (total == 0) wrong[n - 1] = 1, total = 1;
    for (int k = 1; k <= n; k++) {
      if (!wrong[k - 1]) pairs += total - errors; /* the wrong rows after this right one */
      errors += wrong[k - 1];
      mean += errors / k / n;
      general += errors / n / n;
      trapezoid += (last + errors / k) / 2 / n;
      if (k > 1) inner += (last + errors / k) / 2 / n;
      last = errors / k;
      best += fmax(0, k - (n - total)) / k / n;
      for (int i = 0; i < 2; i++) if (last <= risks[i]) far[i] = (double)k / n;
      if (k == (int)ceil(.25 * n)) quarter = last;
    }
    ls_selective out;
    for (int area = 0; area < 3; area++) {
      w.area = (ls_area)area;
      assert_ok(ls_select((size_t)n, doubt, wrong, NULL, &w, scratch, &out, err));
      assert_close(out.aurc, area == 0 ? mean : area == 1 ? trapezoid : inner / (1 - 1. / n), 1e-12, 1e-15);
      assert_close(out.excess_aurc, mean - best, 0, 1e-13);
      assert_close(out.augrc, general, 1e-12, 0);
      assert_close(out.auroc, pairs / (total * (n - total)), 1e-12, 0);
      assert_true(at_risk[0] == far[0] && at_risk[1] == far[1]);
      assert_close(at_coverage[0], quarter, 1e-15, 0);
      assert_close(at_coverage[1], total / n, 1e-15, 0);
      assert_true(curve[18] == 1);
      assert_close(curve[19], total / n, 1e-15, 0);
    }
  }
  double bad = NAN;
  uint8_t no = 0;
  ls_selective out;
  assert_fails(ls_select(1, &bad, &no, NULL, &w, scratch, &out, err), LS_EVALUE, "the score of row 1 is NaN");
  assert_fails(ls_select(0, &bad, &no, NULL, &w, scratch, &out, err), LS_ERANGE, "no row to judge");
  coverages[0] = 0;
  bad = 1;
  assert_fails(ls_select(1, &bad, &no, NULL, &w, scratch, &out, err), LS_ERANGE, "coverage is 0");
}

/* ---- calibrators ---- */

static ls_temperature temperature_of(const float *z, const int64_t *y, int n, int k) {
  ls_temperature t = {0};
  ls_predictions p = logits_of(z, y, n, k);
  assert_true(ls_fit_temperature_scratch(&p) <= sizeof scratch);
  assert_ok(ls_fit_temperature(&p, scratch, &t, err));
  return t;
}

static void temperature_never_raises_the_nll_it_was_fitted_on(void **state) {
  (void)state;
  ls_temperature t = temperature_of(golden_z, golden_y, GOLDEN_N, GOLDEN_K);
  assert_close(t.temperature, golden.temperature, 1e-6, 0);
  assert_close(t.nll, golden.nll_fitted, 1e-12, 0);
  assert_true(t.nll <= t.nll_before && !t.at_bound && t.sweeps < 12);
  float right[] = {1, 0, 0, 2}, flat[] = {0, 0, 0, 0}, masked[] = {1, 0, -INFINITY, -INFINITY, 0, 1};
  int64_t y[] = {0, 1}, other[] = {1, 0}, third[] = {0, 1};
  t = temperature_of(right, y, 2, 2);
  assert_true(t.at_bound && t.temperature == LS_LOWEST_TEMPERATURE && t.nll < t.nll_before);
  t = temperature_of(right, other, 2, 2);
  assert_true(t.at_bound && t.temperature == LS_HIGHEST_TEMPERATURE);
  t = temperature_of(flat, y, 2, 2);
  assert_true(t.temperature == 1.0 && t.nll == t.nll_before && !t.at_bound);
  t = temperature_of(masked, third, 2, 3);
  assert_true(isfinite(t.nll) && t.temperature > 1);
}

/* Logits scaled by s have the temperature of the originals times s: Newton must find it far away, and beside the start that some rows give. */
static void temperature_follows_the_scale_of_the_logits(void **state) {
  enum { ROWS = 70000 };
  static float z[ROWS * 3];
  static int64_t y[ROWS];
  (void)state;
  ls_rng r;
  ls_rng_seed(&r, 8);
  for (int i = 0; i < ROWS; i++) {
    double p[3], u = ls_rng_double(&r), sum = 0;
    for (int c = 0; c < 3; c++) z[3 * i + c] = (float)(2 * ls_rng_normal(&r)), sum += p[c] = exp(z[3 * i + c]);
    y[i] = u * sum < p[0] ? 0 : u * sum < p[0] + p[1] ? 1 : 2;
  }
  ls_temperature first = temperature_of(z, y, ROWS, 3);
  assert_close(first.temperature, 1, 0, 0.03);
  for (double s = 0.125; s <= 16; s *= 2) {
    static float scaled[ROWS * 3];
    for (int i = 0; i < 3 * ROWS; i++) scaled[i] = z[i] * (float)s;
    ls_temperature t = temperature_of(scaled, y, ROWS, 3);
    assert_close(t.temperature, first.temperature * s, 1e-7, 0);
    assert_true(t.sweeps <= 8);
  }
}

static double nll_by(const float *z, const int64_t *y, int n, int k, const double *w, const double *b) {
  double total = 0, x[16];
  for (int i = 0; i < n; i++) {
    double top = -INFINITY, sum = 0;
    for (int c = 0; c < k; c++) {
      x[c] = b[c];
      for (int d = 0; d < k; d++) x[c] += w[c * k + d] * z[i * k + d];
      top = fmax(top, x[c]);
    }
    for (int c = 0; c < k; c++) sum += exp(x[c] - top);
    total += log(sum) - x[y[i]] + top;
  }
  return total / n;
}

static void affine_scaling_finds_a_minimum(void **state) {
  (void)state;
  ls_predictions p = logits_of(golden_z, golden_y, GOLDEN_N, GOLDEN_K);
  double w[GOLDEN_K * GOLDEN_K], b[GOLDEN_K], full[GOLDEN_K * GOLDEN_K], last = INFINITY;
  for (int kind = 0; kind < 2; kind++) {
    ls_affine r;
    assert_true(ls_fit_affine_scratch(&p, (ls_affine_kind)kind) <= sizeof scratch);
    assert_ok(ls_fit_affine(&p, (ls_affine_kind)kind, 0, 1000, scratch, w, b, &r, err));
    assert_true(r.converged);
    assert_close(r.nll_before, golden.nll, 1e-12, 0);
    assert_true(r.nll < golden.nll_fitted && r.nll < last); /* more numbers fit better: temperature, vector, matrix */
    last = r.nll;
    for (int i = 0; i < GOLDEN_K * GOLDEN_K; i++) full[i] = kind == 1 ? w[i] : i / GOLDEN_K == i % GOLDEN_K ? w[i / GOLDEN_K] : 0;
    double here = nll_by(golden_z, golden_y, GOLDEN_N, GOLDEN_K, full, b);
    assert_close(here, r.nll, 1e-12, 0);
    for (int i = 0; i < GOLDEN_K * (kind == 1 ? GOLDEN_K : 1) + GOLDEN_K; i++) { /* slopes by central differences of the oracle are 0 */
      int weights = GOLDEN_K * (kind == 1 ? GOLDEN_K : 1);
      double *at = i >= weights ? &b[i - weights] : kind == 1 ? &full[i] : &full[i * GOLDEN_K + i], was = *at, up, down;
      *at = was + 1e-5;
      up = nll_by(golden_z, golden_y, GOLDEN_N, GOLDEN_K, full, b);
      *at = was - 1e-5;
      down = nll_by(golden_z, golden_y, GOLDEN_N, GOLDEN_K, full, b);
      *at = was;
      assert_close((up - down) / 2e-5, 0, 0, 1e-7);
    }
  }
  float separable[] = {1, 0, 0, 1};
  int64_t y[] = {0, 1};
  ls_affine r;
  p = logits_of(separable, y, 2, 2);
  assert_ok(ls_fit_affine(&p, LS_AFFINE_VECTOR, 0.1, 1000, scratch, w, b, &r, err));
  assert_true(r.converged && r.nll < r.nll_before);
  assert_fails(ls_fit_affine(&p, LS_AFFINE_VECTOR, -1, 1000, scratch, w, b, &r, err), LS_ERANGE, "penalty is -1");
  separable[0] = -INFINITY;
  assert_fails(ls_fit_affine(&p, LS_AFFINE_MATRIX, 0, 1000, scratch, w, b, &r, err), LS_EVALUE, "logits[1] is -inf for class 0: matrix scaling has no masked classes");
}

/* The isotonic fit is the best of all non-decreasing ones: held to the minimax formula, max over i <= x of min over j >= x of the mean of i … j. */
static void isotonic_regression_is_the_minimax(void **state) {
  (void)state;
  enum { N = 50 };
  double x[N], knot_x[2 * N], knot_y[2 * N];
  uint8_t y[N];
  ls_rng r;
  ls_rng_seed(&r, 2);
  for (int trial = 0; trial < 20; trial++) {
    for (int i = 0; i < N; i++) x[i] = trial % 2 ? floor(ls_rng_double(&r) * 20) / 20 : ls_rng_double(&r), y[i] = ls_rng_double(&r) < x[i];
    size_t knots = ls_fit_isotonic(N, x, y, scratch, knot_x, knot_y);
    for (int q = 0; q < N; q++) {
      double best = 0;
      for (int i = 0; i < N; i++) {
        if (x[i] > x[q]) continue;
        double least = 1;
        for (int j = 0; j < N; j++) {
          if (x[j] < x[q]) continue;
          double sum = 0, count = 0;
          for (int m = 0; m < N; m++) if (x[m] >= x[i] && x[m] <= x[j]) sum += y[m], count++;
          least = fmin(least, sum / count);
        }
        best = fmax(best, least);
      }
      assert_close(ls_apply_isotonic(knots, knot_x, knot_y, x[q]), best, 1e-12, 1e-15);
    }
    assert_true(ls_apply_isotonic(knots, knot_x, knot_y, -5) == knot_y[0] && ls_apply_isotonic(knots, knot_x, knot_y, 5) == knot_y[knots - 1]);
    for (size_t i = 1; i < knots; i++) assert_true(knot_x[i] > knot_x[i - 1] && knot_y[i] >= knot_y[i - 1]);
  }
}

static void bins_hold_the_share_that_came_true(void **state) {
  (void)state;
  const double x[] = {.1, .2, .25, .5, .9, 1};
  const uint8_t y[] = {0, 1, 0, 1, 1, 1};
  double edges[4], values[4], counts[4];
  ls_fit_bins(6, x, y, 4, false, scratch, edges, values, counts);
  assert_true(counts[0] == 2 && counts[1] == 1 && counts[2] == 1 && counts[3] == 2);
  assert_true(values[0] == .5 && values[1] == 0 && values[2] == 1 && values[3] == 1);
  ls_fit_bins(6, x, y, 3, true, scratch, edges, values, counts);
  assert_true(counts[0] == 2 && counts[1] == 2 && counts[2] == 2 && edges[2] == 1);
  assert_close(edges[0], .225, 1e-15, 0);
  ls_fit_bins(2, x, y, 4, false, scratch, edges, values, counts);
  assert_true(values[3] == .875 && counts[3] == 0); /* an empty bin: its middle */
  assert_true(ls_find_bin(4, edges, -1) == 0 && ls_find_bin(4, edges, 1) == 3 && ls_find_bin(4, edges, .5) == 2 && ls_find_bin(4, edges, 7) == 3);
}

static void threads_give_the_same_bits(void **state) {
  (void)state;
  ls_temperature first = {0}, again;
  ls_selective selected[2];
  double w[2][GOLDEN_K], b[2][GOLDEN_K];
  ls_affine r;
  ls_predictions p = logits_of(golden_z, golden_y, GOLDEN_N, GOLDEN_K);
  for (int threads = 1; threads <= 5; threads++) {
    int at = threads > 1;
    assert_ok(ls_pool_start(threads, err));
    again = temperature_of(golden_z, golden_y, GOLDEN_N, GOLDEN_K);
    memset(&selected[at], 0, sizeof selected[at]);
    selected[at] = by(&p, LS_SCORE_ENTROPY, NULL);
    assert_ok(ls_fit_affine(&p, LS_AFFINE_VECTOR, 0, 1000, scratch, w[at], b[at], &r, err));
    if (at == 0) { first = again; continue; }
    assert_true(again.temperature == first.temperature && again.nll == first.nll);
    assert_memory_equal(w[1], w[0], sizeof w[0]);
    assert_memory_equal(b[1], b[0], sizeof b[0]);
    assert_memory_equal(&selected[1], &selected[0], sizeof selected[0]);
  }
  ls_pool_stop();
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(aurc_is_the_mean_over_orders_within_ties),
      cmocka_unit_test(sure_rows_keep_their_order),
      cmocka_unit_test(scores_are_those_of_the_definitions),
      cmocka_unit_test(areas_are_those_of_the_definitions),
      cmocka_unit_test(temperature_never_raises_the_nll_it_was_fitted_on),
      cmocka_unit_test(temperature_follows_the_scale_of_the_logits),
      cmocka_unit_test(affine_scaling_finds_a_minimum),
      cmocka_unit_test(isotonic_regression_is_the_minimax),
      cmocka_unit_test(bins_hold_the_share_that_came_true),
      cmocka_unit_test(threads_give_the_same_bits),
  };
  return run_suite(tests);
}
