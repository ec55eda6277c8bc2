/* Mixing: partners, the exact laws of weights and boxes, rows in place and not. SPDX-License-Identifier: MIT */
#include "test.h"

#include <lsengine/beta.h>
#include <lsengine/cpu.h>
#include <lsengine/mix.h>
#include <lsengine/pool.h>

enum { MOST = 200 };
static int32_t order[MOST], partner[MOST];
static double lambda[MOST], nominal[MOST];
static ls_box box[MOST];

static const ls_mix_mode modes[] = {LS_MIX_BATCH, LS_MIX_PAIR, LS_MIX_ROW};

static void nobody_is_the_partner_of_himself(void **state) {
  (void)state;
  ls_rng r;
  unsigned char seen[MOST];
  ls_rng_seed(&r, 1);
  for (int m = 0; m < 3; m++)
    for (int32_t n = 2; n < 40; n++)
      for (int repeat = 0; repeat < 50; repeat++) {
        assert_ok(ls_mix_partners(modes[m], n, &r, order, partner, err));
        assert_ok(ls_mix_check_partners(n, partner, seen, err));
        int32_t i = 0, length = 0;
        do i = partner[i], length++;
        while (i != 0);
        for (int32_t k = 0; k < n; k++) assert_int_not_equal(partner[k], k);
        if (modes[m] != LS_MIX_PAIR)
          assert_int_equal(length, n); /* one cycle through all */
        else
          assert_true(length == 2 || (n % 2 == 1 && length == 3));
      }
  assert_fails(ls_mix_partners(LS_MIX_ROW, 1, &r, order, partner, err), LS_ERANGE, "a batch of 1 row cannot be mixed, at least 2");
  partner[0] = 1, partner[1] = 1;
  assert_fails(ls_mix_check_partners(2, partner, seen, err), LS_ERANGE, "row 2 is the partner of two rows");
  partner[1] = 2;
  assert_fails(ls_mix_check_partners(2, partner, seen, err), LS_ERANGE, "the partner of row 2 is row 3, allowed is 1 to 2");
}

/* The upper 1e-3 quantile of chi-square (Wilson & Hilferty 1931). */
static double chi_square_limit(double degrees) {
  double a = 2.0 / (9.0 * degrees);
  return degrees * pow(1.0 - a + 3.0902 * sqrt(a), 3.0);
}

static double chi_square(const double *seen, const double *expected, int n, int *degrees) {
  double sum = 0.0, rest_seen = 0.0, rest_expected = 0.0;
  *degrees = -1;
  for (int i = 0; i < n; i++) {
    rest_seen += seen[i];
    rest_expected += expected[i];
    if (rest_expected >= 20.0 || i == n - 1) { /* thin cells are joined */
      if (rest_expected > 0.0) sum += (rest_seen - rest_expected) * (rest_seen - rest_expected) / rest_expected, ++*degrees;
      else assert_true(rest_seen == 0.0);
      rest_seen = rest_expected = 0.0;
    }
  }
  return sum;
}

/* All (n-1)! cycles through n rows are equally likely; so are all pairings. */
static void partners_are_uniform(void **state) {
  (void)state;
  enum { TIMES = 60000 };
  ls_rng r;
  ls_rng_seed(&r, 2);
  for (int m = 0; m < 2; m++) {
    ls_mix_mode mode = m == 0 ? LS_MIX_ROW : LS_MIX_PAIR;
    double seen[3125] = {0}, got[24], expected[24];
    int kinds = 0, degrees;
    int32_t n = m == 0 ? 5 : 4;
    for (int t = 0; t < TIMES; t++) {
      int code = 0;
      assert_ok(ls_mix_partners(mode, n, &r, order, partner, err));
      for (int32_t i = 0; i < n; i++) code = code * 5 + partner[i];
      seen[code]++;
    }
    for (int code = 0; code < 3125; code++)
      if (seen[code] > 0) {
        assert_true(kinds < 24);
        got[kinds++] = seen[code];
      }
    assert_int_equal(kinds, m == 0 ? 24 : 3);
    for (int k = 0; k < kinds; k++) expected[k] = (double)TIMES / kinds;
    assert_true(chi_square(got, expected, kinds, &degrees) < chi_square_limit(degrees));
  }
}

/* lambda in 40 classes of equal width against the distribution function. */
static void weights_are_beta(void **state) {
  (void)state;
  enum { CELLS = 40, TIMES = 200 };
  static const double alphas[] = {0.05, 0.2, 0.4, 1.0, 2.5};
  ls_rng r;
  ls_rng_seed(&r, 3);
  for (size_t a = 0; a < sizeof alphas / sizeof alphas[0]; a++) {
    double seen[CELLS] = {0}, expected[CELLS], half[CELLS];
    int degrees;
    for (int t = 0; t < TIMES; t++) {
      assert_ok(ls_mix_partners(LS_MIX_ROW, MOST, &r, order, partner, err));
      assert_ok(ls_mix_weights(LS_MIX_ROW, MOST, partner, alphas[a], &r, lambda, err));
      for (int i = 0; i < MOST; i++) seen[lambda[i] >= 1.0 ? CELLS - 1 : (int)(lambda[i] * CELLS)]++;
    }
    for (int c = 0; c < CELLS; c++) {
      expected[c] = TIMES * MOST * (ls_beta_cdf(alphas[a], alphas[a], (c + 1.0) / CELLS) - ls_beta_cdf(alphas[a], alphas[a], (double)c / CELLS));
      half[c] = TIMES * MOST * (ls_beta_cdf(1.1 * alphas[a], 1.1 * alphas[a], (c + 1.0) / CELLS) - ls_beta_cdf(1.1 * alphas[a], 1.1 * alphas[a], (double)c / CELLS));
    }
    double found = chi_square(seen, expected, CELLS, &degrees);
    if (found > chi_square_limit(degrees)) fail_msg("alpha %g: chi-square %g of %d degrees", alphas[a], found, degrees);
    assert_true(chi_square(seen, half, CELLS, &degrees) > chi_square_limit(degrees)); /* an alpha that is a tenth larger is seen */
  }
}

/* The mean of the smaller weight, E[min(lambda, 1 - lambda)] = I_1/2(alpha + 1, alpha), by quantiles; four digits from scipy. */
static void quantiles_give_the_means_that_are_known(void **state) {
  (void)state;
  static const double known[][2] = {{0.1, 0.0584}, {0.2, 0.1012}, {0.4, 0.1602}, {0.8, 0.2282}, {1.0, 0.25}};
  for (int k = 0; k < 5; k++) {
    assert_close(ls_beta_cdf(known[k][0] + 1, known[k][0], 0.5), known[k][1], 0, 5e-5);
    double sum = 0;
    for (int i = 0; i < 4096; i++) {
      double q = ls_symmetric_beta_quantile(known[k][0], (i + 0.5) / 4096);
      sum += q < 0.5 ? q : 1 - q;
    }
    assert_close(sum / 4096, ls_beta_cdf(known[k][0] + 1, known[k][0], 0.5), 0, 1e-6);
    assert_close(ls_beta_cdf(known[k][0], known[k][0], ls_symmetric_beta_quantile(known[k][0], 0.3)), 0.3, 0, 1e-9);
  }
  assert_close(ls_symmetric_beta_quantile(2.0, 0.5), 0.5, 0, 1e-12);
}

static void a_mode_says_who_shares_a_draw(void **state) {
  (void)state;
  ls_rng r;
  ls_rng_seed(&r, 4);
  for (int m = 0; m < 3; m++) {
    int32_t n = 7, distinct = 0;
    assert_ok(ls_mix_partners(modes[m], n, &r, order, partner, err));
    assert_ok(ls_mix_weights(modes[m], n, partner, 1.0, &r, lambda, err));
    memcpy(nominal, lambda, sizeof nominal);
    assert_ok(ls_mix_boxes(modes[m], LS_BOX_CLIPPED, n, partner, 28, 28, &r, lambda, box, err));
    for (int32_t i = 0; i < n; i++) {
      int first = 1;
      for (int32_t k = 0; k < i; k++) first = first && nominal[k] != nominal[i];
      distinct += first;
      if (modes[m] != LS_MIX_ROW) assert_true(lambda[i] == lambda[partner[i]] && memcmp(&box[i], &box[partner[i]], sizeof box[i]) == 0);
    }
    assert_int_equal(distinct, modes[m] == LS_MIX_BATCH ? 1 : modes[m] == LS_MIX_PAIR ? 3 : n);
  }
  assert_fails(ls_mix_weights(LS_MIX_ROW, 7, partner, 0.0, &r, lambda, err), LS_ERANGE, "");
  assert_fails(ls_mix_boxes(LS_MIX_ROW, LS_BOX_WRAP, 7, partner, 28, 0, &r, lambda, box, err), LS_ESHAPE, "28x0");
}

/* The law of the box's area for alpha = 1, exactly: the side s has P(s <= L·sqrt(1-lambda) < s+1) = ((s+1)² - s²)/L², both axes
 * have the same s in square images, and the places along the axes are independent. */
static void areas_of_boxes_follow_their_exact_law(void **state) {
  (void)state;
  enum { L = 12, TIMES = 400, ALL = L * L + 1 };
  static const ls_box_policy policies[] = {LS_BOX_CLIPPED, LS_BOX_INSIDE, LS_BOX_WRAP};
  ls_rng r;
  ls_rng_seed(&r, 5);
  for (int p = 0; p < 3; p++) {
    double expected[ALL] = {0}, seen[ALL] = {0}, mean = 0, wanted = 0;
    int degrees;
    for (int s = 0; s < L; s++) {
      double along[L + 1] = {0}, chance = ((s + 1.0) * (s + 1.0) - (double)s * s) / (L * L);
      for (int centre = 0; centre < L; centre++) {
        int low = centre - s / 2 < 0 ? 0 : centre - s / 2, high = centre + s / 2 > L ? L : centre + s / 2;
        along[policies[p] == LS_BOX_CLIPPED ? high - low : s] += 1.0 / L;
      }
      for (int a = 0; a <= L; a++)
        for (int b = 0; b <= L; b++) expected[a * b] += chance * along[a] * along[b] * TIMES * MOST;
    }
    for (int t = 0; t < TIMES; t++) {
      assert_ok(ls_mix_partners(LS_MIX_ROW, MOST, &r, order, partner, err));
      assert_ok(ls_mix_weights(LS_MIX_ROW, MOST, partner, 1.0, &r, lambda, err));
      memcpy(nominal, lambda, sizeof nominal);
      assert_ok(ls_mix_boxes(LS_MIX_ROW, policies[p], MOST, partner, L, L, &r, lambda, box, err));
      for (int i = 0; i < MOST; i++) {
        assert_true(box[i].y >= 0 && box[i].x >= 0 && box[i].y <= L && box[i].x <= L);
        assert_true(policies[p] == LS_BOX_WRAP || (box[i].y + box[i].height <= L && box[i].x + box[i].width <= L));
        assert_true(lambda[i] == (double)(L * L - ls_box_area(&box[i])) / (L * L));
        seen[ls_box_area(&box[i])]++;
        mean += 1.0 - lambda[i];
      }
    }
    double found = chi_square(seen, expected, ALL, &degrees);
    if (found > chi_square_limit(degrees)) fail_msg("policy %d: chi-square %g of %d degrees", p, found, degrees);
    for (int a = 0; a < ALL; a++) wanted += expected[a] * a / (L * L);
    assert_close(mean / wanted, 1.0, 0, 0.02);
  }
}

/* Box places: every first pixel of `wrap` equally likely. */
static void boxes_that_wrap_begin_anywhere(void **state) {
  (void)state;
  enum { L = 10, TIMES = 200 };
  double seen[L * L] = {0}, expected[L * L];
  ls_rng r;
  int degrees;
  ls_rng_seed(&r, 6);
  for (int t = 0; t < TIMES; t++) {
    assert_ok(ls_mix_partners(LS_MIX_ROW, MOST, &r, order, partner, err));
    assert_ok(ls_mix_weights(LS_MIX_ROW, MOST, partner, 0.3, &r, lambda, err));
    assert_ok(ls_mix_boxes(LS_MIX_ROW, LS_BOX_WRAP, MOST, partner, L, L, &r, lambda, box, err));
    for (int i = 0; i < MOST; i++) seen[box[i].y * L + box[i].x]++;
  }
  for (int i = 0; i < L * L; i++) expected[i] = (double)TIMES * MOST / (L * L);
  assert_true(chi_square(seen, expected, L * L, &degrees) < chi_square_limit(degrees));
}

/* ---- rows ---- */

static const struct {
  int32_t channels, height, width;
} shapes[] = {{1, 1, 1}, {1, 1, 37}, {3, 9, 7}, {4, 100, 100}, {700, 6, 5}};

static int inside(const ls_box *b, int32_t y, int32_t x, int32_t height, int32_t width) {
  return (y - b->y + height) % height < b->height && (x - b->x + width) % width < b->width;
}

static void try_rows(ls_mix_mode mode, int32_t n, size_t shape, uint64_t seed) {
  int32_t channels = shapes[shape].channels, height = shapes[shape].height, width = shapes[shape].width, d = channels * height * width;
  size_t count = (size_t)n * (size_t)d;
  float *x = malloc(count * 4), *out = malloc(count * 4), *first = malloc(count * 4), a[MOST], b[MOST];
  void *scratch = NULL;
  static const int threads[] = {1, 2, 3, 5};
  ls_rng r;
  ls_rng_seed(&r, seed);
  ls_rng_fill_normal(&r, count, x, 0, 1);
  assert_ok(ls_mix_partners(mode, n, &r, order, partner, err));
  assert_ok(ls_mix_weights(mode, n, partner, 1.0, &r, lambda, err));
  assert_ok(ls_mix_boxes(mode, (ls_box_policy)(seed % 3), n, partner, height, width, &r, lambda, box, err));
  for (int32_t i = 0; i < n; i++) a[i] = (float)lambda[i], b[i] = 1.0f - a[i];
  ls_cmat in = {x, n, d, d};
  ls_mat to = {out, n, d, d};
  for (int paste = 0; paste < 2; paste++)
    for (int t = 0; t < 8; t++) {
      ls_isa isa = (ls_isa)(t % 3); /* the same bits on every set */
      assert_ok(ls_cpu_start(ls_isa_name(ls_cpu_has(isa) ? isa : LS_ISA_REF), err));
      assert_ok(ls_pool_start(threads[t / 2], err));
      free(scratch);
      scratch = malloc(ls_mix_scratch(n, d));
      if (t % 2 == 1) memcpy(out, x, count * 4); /* in place */
      ls_cmat from = t % 2 == 1 ? (ls_cmat){out, n, d, d} : in;
      if (paste)
        ls_mix_paste(from, channels, height, width, partner, box, to, scratch);
      else
        ls_mix_rows(from, partner, a, b, to, scratch);
      ls_pool_stop();
      if (t == 0) memcpy(first, out, count * 4);
      assert_memory_equal(out, first, count * 4);
      if (t > 0) continue;
      for (int32_t i = 0; i < n; i++)
        for (int32_t k = 0; k < d; k++) {
          double mine = (double)x[(size_t)i * d + k], other = (double)x[(size_t)partner[i] * d + k], got = (double)out[(size_t)i * d + k];
          if (paste)
            assert_true(got == (inside(&box[i], k / width % height, k % width, height, width) ? other : mine));
          else
            assert_close(got, (double)a[i] * mine + (double)b[i] * other, 0, 4e-7 * (fabs(mine) + fabs(other)));
        }
    }
  assert_ok(ls_cpu_start(NULL, err));
  free(x), free(out), free(first), free(scratch);
}

static void rows_are_mixed_in_place_as_elsewhere_at_any_number_of_threads(void **state) {
  (void)state;
  static const int32_t sizes[] = {2, 3, 5, 31, 32, 33, 64, 65, 130};
  uint64_t seed = 10;
  uint64_t before = ls_pool_blocks(LS_SITE_MIX);
  for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++)
    for (size_t shape = 0; shape < sizeof shapes / sizeof shapes[0]; shape++)
      for (int m = 0; m < 3; m++) {
        if (shape >= 3 && sizes[s] > 33 && m != 1 + (int)(s % 2)) continue; /* large ones: half of the modes */
        try_rows(modes[m], sizes[s], shape, ++seed);
      }
  assert_true(ls_pool_blocks(LS_SITE_MIX) - before > 100);
}

/* Any permutation of cycles, not only those that are drawn: lengths 1, 2, 3, …, across the parts that work is cut into. */
static void cycles_of_any_length_are_followed(void **state) {
  (void)state;
  enum { N = 190, D = 3 };
  static float x[N * D], out[N * D], a[N], b[N];
  void *scratch = malloc(ls_mix_scratch(N, D));
  ls_rng r;
  ls_rng_seed(&r, 7);
  ls_rng_fill_normal(&r, N * D, x, 0, 1);
  for (int32_t begin = 0, length = 1; begin < N; begin += length, length++)
    for (int32_t i = begin; i < begin + length && i < N; i++) partner[i] = i + 1 < begin + length && i + 1 < N ? i + 1 : begin;
  for (int i = 0; i < N; i++) a[i] = 0.25f, b[i] = 0.75f;
  memcpy(out, x, sizeof x);
  ls_mix_rows((ls_cmat){out, N, D, D}, partner, a, b, (ls_mat){out, N, D, D}, scratch);
  for (int i = 0; i < N; i++)
    for (int k = 0; k < D; k++) assert_true(out[i * D + k] == 0.25f * x[i * D + k] + 0.75f * x[partner[i] * D + k]);
  free(scratch);
}

/* scipy 1.17.1's distribution function of Beta(t, t) at the points `at`. */
static void the_beta_function_is_scipys_for_tiny_and_huge_parameters(void **state) {
  (void)state;
  static const double at[] = {1e-6, .01, .2, .45, .4999, .5, .501, .7, .99};
  static const struct {
    double t, cdf[9];
  } known[] = {
      {1e-12, {0.49999999999309225, 0.4999999999977024, 0.4999999999993067, 0.49999999999989947, 0.49999999999999967, 0.5, 0.5000000000000021, 0.5000000000004236, 0.5000000000022976}},
      {0.135, {0.07940879035779606, 0.2756242082009342, 0.4220393871047335, 0.48848638643586095, 0.49997703934876986, 0.5, 0.5002296067744652, 0.5482530063055887, 0.7243757917990657}},
      {7.4, {1.1579510256121945e-41, 4.356189383353098e-12, 0.005725177940562473, 0.3522603867669462, 0.49969818530690774, 0.5, 0.5030181214337826, 0.9429333789211669, 0.9999999999956439}},
      {300.0, {0, 0, 1.9329525959192245e-60, 0.007051586108963167, 0.49804641190820886, 0.5, 0.5195281732497347, 1, 1}},
      {1e4, {0, 0, 0, 6.312654777749767e-46, 0.48871785353139435, 0.5, 0.6113500478574623, 1, 1}},
      {1e6, {0, 0, 0, 0, 0.38864871786231014, 0.5, 0.997661150593068, 1, 1}},
  };
  for (size_t k = 0; k < sizeof known / sizeof known[0]; k++)
    for (int i = 0; i < 9; i++) /* lgamma's rounding grows with t: 1e-16·lgamma(2t) */
      assert_close(ls_beta_cdf(known[k].t, known[k].t, at[i]), known[k].cdf[i], known[k].t < 1e5 ? 1e-10 : 1e-7, 1e-290);
}

static void rows_that_are_far_apart_are_hardly_mixed(void **state) {
  (void)state;
  double distance[] = {0.5, 1.0, 1.5, 1.0}, at[4], before = 0;
  for (int i = 0; i < 4; i++) at[i] = 0.8;
  assert_ok(ls_mix_warp(4, distance, 1.0, 0.5, at, err));
  /* by hand: 1/t = exp(-(d - 1)/0.5), d = .5, 1, 1.5; at d = 1 t = 1 and nothing is warped */
  assert_close(at[1], 0.8, 1e-14, 0);
  assert_close(at[0], ls_beta_cdf(exp(-1.0), exp(-1.0), 0.8), 1e-14, 0);
  assert_close(at[2], ls_beta_cdf(exp(1.0), exp(1.0), 0.8), 1e-14, 0);
  assert_true(at[0] < at[1] && at[1] < at[2]);
  for (int i = 0; i < 3; i++) { /* grows with distance, whatever its unit */
    double d[] = {0.1 + i, 5.0 - 0.1 - i}, scaled[] = {1e6 * d[0], 1e6 * d[1]}, l[] = {0.7, 0.7}, m[] = {0.7, 0.7};
    assert_ok(ls_mix_warp(2, d, 1.0, 0.5, l, err));
    assert_ok(ls_mix_warp(2, scaled, 1.0, 0.5, m, err));
    assert_close(l[0], m[0], 1e-9, 0);
    assert_true(l[0] > before);
    before = l[0];
  }
  double none[] = {0, 0}, same[] = {0.3, 0.9};
  assert_ok(ls_mix_warp(2, none, 1.0, 0.5, same, err));
  assert_close(same[0], 0.3, 1e-14, 0);
  static const double extremes[][2] = {{1e-300, 1e-300}, {1e300, 1e300}, {1.0, 1e-9}, {1e300, 1e-300}};
  for (int i = 0; i < 4; i++) {
    double d[] = {1e-30, 1e30, 1.0}, l[] = {0.0, 0.4, 1.0};
    assert_ok(ls_mix_warp(3, d, extremes[i][0], extremes[i][1], l, err));
    for (int k = 0; k < 3; k++) assert_true(l[k] >= 0.0 && l[k] <= 1.0);
  }
  distance[2] = NAN;
  assert_fails(ls_mix_warp(4, distance, 1.0, 0.5, at, err), LS_EVALUE, "the distance of row 3 from its partner is");
  assert_fails(ls_mix_warp(4, distance, 0.0, 0.5, at, err), LS_ERANGE, "tau_max is 0, allowed is any finite number above 0");
  assert_fails(ls_mix_warp(4, distance, 1.0, INFINITY, at, err), LS_ERANGE, "tau_std is inf");
}

static void distances_are_those_of_the_rows(void **state) {
  (void)state;
  enum { N = 37, D = 29 };
  static float x[N * D];
  static double got[N];
  ls_rng r;
  ls_rng_seed(&r, 8);
  ls_rng_fill_normal(&r, N * D, x, 0, 1);
  assert_ok(ls_mix_partners(LS_MIX_ROW, N, &r, order, partner, err));
  ls_mix_distances((ls_cmat){x, N, D, D}, partner, got);
  for (int i = 0; i < N; i++) {
    double want = 0;
    for (int k = 0; k < D; k++) want += pow((double)x[i * D + k] - (double)x[partner[i] * D + k], 2);
    assert_close(got[i], want, 1e-13, 0); /* the order of 29 terms */
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(nobody_is_the_partner_of_himself), cmocka_unit_test(partners_are_uniform),
      cmocka_unit_test(weights_are_beta), cmocka_unit_test(quantiles_give_the_means_that_are_known),
      cmocka_unit_test(the_beta_function_is_scipys_for_tiny_and_huge_parameters),
      cmocka_unit_test(rows_that_are_far_apart_are_hardly_mixed),
      cmocka_unit_test(distances_are_those_of_the_rows),
      cmocka_unit_test(a_mode_says_who_shares_a_draw), cmocka_unit_test(areas_of_boxes_follow_their_exact_law),
      cmocka_unit_test(boxes_that_wrap_begin_anywhere), cmocka_unit_test(rows_are_mixed_in_place_as_elsewhere_at_any_number_of_threads),
      cmocka_unit_test(cycles_of_any_length_are_followed),
  };
  return run_suite(tests);
}
