/* The kernels that judge rows, on each instruction set, against their definitions in long double; one sweep against its parts; the sort. SPDX-License-Identifier: MIT */
#include "test.h"

#include <lsengine/cpu.h>
#include <lsengine/judging.h>
#include <lsengine/pool.h>
#include <lsengine/random.h>

#include "core/eval/radix_sort.h"
#include "core/kernels/kernels.h"

enum { ROWS = LS_JUDGED_ROWS, LONGEST = 1003 };

typedef struct oracle {
  int best;
  float top, second;
  long double others, own, brier;
} oracle;

static oracle judged(const float *z, int k, double t, int y) {
  oracle r = {0, z[0], -INFINITY, 0, 0, 0};
  long double sum = 0, e[LONGEST];
  for (int c = 1; c < k; c++) if (z[c] > z[r.best]) r.best = c;
  r.top = z[r.best];
  for (int c = 0; c < k; c++) if (c != r.best && z[c] > r.second) r.second = z[c];
  for (int c = 0; c < k; c++) sum += e[c] = expl(((long double)z[c] - r.top) / t);
  for (int c = 0; c < k; c++) r.others += c == r.best ? 0 : e[c] / sum;
  for (int c = 0; c < k; c++) {
    long double d = c == y && c == r.best ? -r.others : e[c] / sum - (c == y);
    r.brier += d * d;
  }
  long double rest = 0; /* log sum, of which the largest is 1, without losing what is near 1 */
  for (int c = 0; c < k; c++) rest += c == r.best ? 0 : e[c];
  r.own = ((long double)r.top - z[y]) / t + log1pl(rest);
  return r;
}

/* Gaps of all sizes; ties of the largest; masked classes but the label's. */
static void draw_row(ls_rng *r, float *z, int k, int y, int kind) {
  float scale = (float[]){0.1f, 1, 8, 60, 300}[kind % 5];
  for (int c = 0; c < k; c++) z[c] = scale * (float)ls_rng_normal(r);
  if (kind % 3 == 0) z[ls_rng_integer(r, 0, k - 1)] = z[0];
  if (kind % 4 == 0) for (int c = 0; c < k; c++) z[c] = rintf(z[c]);
  if (kind % 6 == 0) for (int c = 0; c < k; c += 2) if (c != y) z[c] = -INFINITY;
  if (kind % 7 == 0) for (int c = 0; c < k; c++) z[c] = -2.5f;
}

/* others: exp has 2 ulp, the exponent x the rounding of x/T (x·1.1e-16), and a sum of k numbers k roundings at most; others below 1e-300 lose to subnormals. */
static double tolerance(int k) { return 2e-16 * (k + 8) + 7.5e2 * 2.3e-16; }

static void columns_of_rows_are_right_on_every_set(void **state) {
  (void)state;
  for (int isa = 0; isa <= LS_ISA_AVX512; isa++) {
    if (!ls_cpu_has((ls_isa)isa)) continue;
    const ls_evaluation_kernels *kernels = ls_kernels_of((ls_isa)isa)->evaluation;
    ls_rng r;
    ls_rng_seed(&r, 3);
    for (int set = 0; set < 40; set++) {
      static float z[ROWS][LS_JUDGED_CLASSES];
      static double top[ROWS], second[ROWS], c[ROWS], others[ROWS], nll[ROWS], brier[ROWS], p[ROWS * LS_JUDGED_CLASSES], c2[ROWS], others2[ROWS];
      const float *row[ROWS];
      int32_t y[ROWS], predicted[ROWS];
      int k = (int[]){1, 2, 3, 7, 10, 16, 33, 64}[set % 8];
      double t = set % 3 == 0 ? 1.0 : 0.7;
      for (int i = 0; i < ROWS; i++) y[i] = (int32_t)ls_rng_integer(&r, 0, k - 1), row[i] = z[(i * 5) % ROWS], draw_row(&r, z[(i * 5) % ROWS], k, y[i], set + i);
      ls_judged_rows out = {top, second, c, others, nll, brier, predicted, p, ROWS}, few = {top, second, c2, others2, NULL, NULL, predicted, NULL, 0};
      assert_true(kernels->judge(ROWS, k, row, 1 / t, y, &out));
      assert_true(kernels->judge(ROWS, k, row, 1 / t, y, &few));
      assert_true(memcmp(c, c2, sizeof c) == 0 && memcmp(others, others2, sizeof others) == 0);
      for (int i = 0; i < ROWS; i++) {
        oracle want = judged(row[i], k, t, y[i]);
        assert_true(predicted[i] == want.best && top[i] == (double)want.top && second[i] == (double)want.second);
        assert_close(c[i], (double)(1 - want.others), 4e-15, 0);
        assert_true(fmax(c[i], others[i]) == 1 - fmin(c[i], others[i]));
        assert_close(others[i], (double)want.others, tolerance(k), 1e-300);
        assert_close(nll[i], (double)want.own, tolerance(k), 1e-300);
        assert_close(brier[i], (double)want.brier, 4 * tolerance(k), 1e-300);
        double sum = 0;
        for (int j = 0; j < k; j++) sum += p[j * ROWS + i];
        assert_close(sum, 1, 1e-14, 0);
        assert_close(p[y[i] * ROWS + i], exp((double)-want.own), 1e-12, 1e-300);
      }
      for (int bad = 0; bad < 4; bad++) { /* NaN first and last, +inf, a masked label */
        int i = (int)ls_rng_integer(&r, 0, ROWS - 1), at = bad == 0 ? 0 : bad == 1 ? k - 1 : bad == 2 ? k / 2 : y[i];
        float *cell = (float *)row[i] + at, before = *cell;
        *cell = bad < 2 ? NAN : bad == 2 ? INFINITY : -INFINITY;
        bool one = kernels->judge(ROWS, k, row, 1 / t, y, &few), all = kernels->judge(ROWS, k, row, 1 / t, y, &out);
        if (one || all) fail_msg("set %d of %d classes: case %d in row %d is not seen", isa, k, bad, i);
        *cell = before;
      }
    }
  }
}

static void long_rows_are_right_on_every_set(void **state) {
  (void)state;
  static float z[LONGEST];
  static double e[LONGEST + 16];
  for (int isa = 0; isa <= LS_ISA_AVX512; isa++) {
    if (!ls_cpu_has((ls_isa)isa)) continue;
    ls_rng r;
    ls_rng_seed(&r, 4);
    for (int set = 0; set < 300; set++) {
      int k = set < 100 ? set + 1 : (int)ls_rng_integer(&r, 1, LONGEST), y = (int)ls_rng_integer(&r, 0, k - 1);
      draw_row(&r, z, k, y, set);
      oracle want = judged(z, k, 1.3, y);
      ls_judged_row got;
      e[(k + 7) / 8 * 8] = 5;
      ls_kernels_of((ls_isa)isa)->evaluation->judge_long(k, z, 1 / 1.3, e, &got);
      assert_true(e[(k + 7) / 8 * 8] == 5); /* no further than a group of eight */
      assert_true(got.best == want.best && got.largest == want.top && got.second == want.second);
      assert_close(got.rest / (1 + got.rest), (double)want.others, tolerance(k), 1e-300);
    }
  }
}

/* Logits of which the label's is raised, or their softmax; every ninth row has the label -100. */
static void draw_predictions(ls_rng *r, int n, int k, bool probabilities, float *z, int64_t *y) {
  for (int i = 0; i < n; i++, z += k) {
    double sum = 0;
    y[i] = i % 9 == 0 ? -100 : ls_rng_integer(r, 0, k - 1);
    for (int j = 0; j < k; j++) z[j] = 2 * (float)ls_rng_normal(r) + (j == y[i] ? 3 : 0);
    for (int j = 0; probabilities && j < k; j++) sum += z[j] = expf(z[j]);
    for (int j = 0; probabilities && j < k; j++) z[j] = (float)(z[j] / sum);
  }
}

static void one_sweep_is_its_parts(void **state) {
  (void)state;
  enum { N = 20011, K = 10, MANY = 1000 };
  static float z[N * K];
  static int64_t y[N];
  static double c[N], again[N];
  static uint8_t a[N], right[N];
  static char scratch[1 << 25];
  ls_rng r;
  ls_rng_seed(&r, 6);
  draw_predictions(&r, N, K, false, z, y);
  ls_predictions p = {.z = {z, N, K, K}, .labels = y, .temperature = 1, .ignore = {true, -100}};
  for (int set = 0; set < 5; set++) {
    static ls_bin bins[MANY + 1], want_bins[MANY + 1];
    ls_binning b = {.bins = set == 1 ? MANY : 15, .edges = set == 2 ? LS_EDGES_RIGHT : LS_EDGES_LEFT, .rounding = set == 3 ? LS_ROUND_FLOAT32 : LS_ROUND_PRODUCT, .one_apart = set == 4};
    ls_calibration got, want;
    int64_t kept;
    assert_true(ls_calibrate_predictions_scratch(&p, &b) <= sizeof scratch);
    assert_ok(ls_calibrate_predictions(&p, &b, scratch, again, right, &got, bins, err));
    assert_ok(ls_confidences(&p, scratch, c, a, &kept, err));
    assert_true(memcmp(c, again, (size_t)kept * sizeof *c) == 0 && memcmp(a, right, (size_t)kept) == 0);
    assert_ok(ls_calibrate((size_t)kept, c, a, NULL, &b, scratch, &want, want_bins, err));
    assert_close(got.l1, want.l1, 1e-12, 0);
    assert_close(got.brier, want.brier, 1e-13, 0);
    assert_close(got.murphy.within_covariance, want.murphy.within_covariance, 1e-9, 1e-13);
    for (int i = 0; i < b.bins; i++) assert_true(bins[i].count == want_bins[i].count && bins[i].low == want_bins[i].low);
    ls_calibration threaded;
    assert_ok(ls_pool_start(5, err));
    assert_ok(ls_calibrate_predictions(&p, &b, scratch, again, NULL, &threaded, bins, err));
    ls_pool_stop();
    assert_memory_equal(&threaded, &got, sizeof got);
  }
}

enum { BINS = 15, CELLS = LS_BIN_COPIES * LS_BIN_CELL * 2 * (BINS + 1) };

/* Adds rows to cells of so many bins; the same where they follow each other. */
static bool bin_rows(const ls_evaluation_kernels *kernels, size_t rows, int k, const float *const *row, const int32_t *y, double t, int bins, double *cells) {
  ls_bin_block b = {.rows = rows, .copy = LS_BIN_CELL * 2 * ((size_t)bins + 1), .classes = k, .bins = bins, .row = row, .label = y, .cells = cells};
  static float side_by_side[ROWS * (LS_JUDGED_CLASSES + 1)];
  static double other[CELLS];
  int32_t label[ROWS];
  memset(cells, 0, CELLS * sizeof *cells);
  memset(other, 0, sizeof other);
  bool sound = kernels->bin(&b, 1 / t);
  for (size_t i = 0; i < rows; i++) memcpy(side_by_side + i * ((size_t)k + 1), row[i], (size_t)k * sizeof **row);
  for (size_t i = 0; i < ROWS; i++) label[i] = y[i < rows ? i : 0];
  b.row = NULL, b.first = side_by_side, b.stride = k + 1, b.label = label, b.cells = other;
  assert_true(kernels->bin(&b, 1 / t) == sound);
  if (sound) assert_memory_equal(cells, other, sizeof other);
  return sound;
}

/* What the cells of bin b and verdict a hold of a number: 0 count, 1 c, 2 c², 3 (c - a)². */
static double in_cells(const double *cells, int bins, int b, int a, int number) {
  double sum = 0;
  for (int i = 0; i < LS_BIN_COPIES; i++) sum += cells[(i * (bins + 1) * 2 + 2 * (b + 1) + a) * LS_BIN_CELL + number];
  return sum;
}

/* Row by row: its confidence within the bound, its doubt too where that is small, and its bin and verdict those of the kernel in double. */
static void quick_confidences_keep_their_bound_and_bins(void **state) {
  (void)state;
  for (int isa = 0; isa <= LS_ISA_AVX512; isa++) {
    if (!ls_cpu_has((ls_isa)isa)) continue;
    const ls_evaluation_kernels *kernels = ls_kernels_of((ls_isa)isa)->evaluation;
    ls_rng r;
    ls_rng_seed(&r, 12);
    for (int set = 0; set < 120; set++) {
      static float z[ROWS][LS_JUDGED_CLASSES];
      static double c[ROWS], others[ROWS], number[ROWS], cells[CELLS], one[CELLS];
      const float *row[ROWS];
      int32_t y[ROWS], predicted[ROWS];
      int k = (int[]){2, 3, 4, 5, 8, 10, 16, 17, 33, 64}[set % 10], counts[BINS][2] = {{0}};
      double t = (double[]){1, 0.7, 40, 0.002}[set % 4], bound = (k + 17) / 4.0 * 0x1p-24;
      for (int i = 0; i < ROWS; i++) y[i] = (int32_t)ls_rng_integer(&r, 0, k - 1), row[i] = z[(i * 5) % ROWS], draw_row(&r, z[(i * 5) % ROWS], k, y[i], set + i);
      ls_judged_rows out = {.top = number, .second = number, .confidence = c, .others = others, .predicted = predicted};
      assert_true(kernels->judge(ROWS, k, row, 1 / t, y, &out));
      for (int i = 0; i < ROWS; i++) {
        int bin = (int)(c[i] * BINS), right = predicted[i] == y[i];
        const float *alone[ROWS];
        int32_t label[ROWS];
        for (int j = 0; j < ROWS; j++) alone[j] = row[i], label[j] = y[i];
        counts[bin < BINS ? bin : BINS - 1][right]++;
        assert_true(bin_rows(kernels, 1, k, alone, label, t, 1, one));
        assert_true(in_cells(one, 1, 0, right, 0) == 1 && in_cells(one, 1, 0, !right, 0) == 0);
        double got = in_cells(one, 1, 0, right, 1);
        long double doubt = judged(row[i], k, t, y[i]).others;
        if (fabsl(got - (1 - doubt)) > bound) fail_msg("set %d, %d classes, T = %g: %.17g is %Lg off, allowed is %g", isa, k, t, got, fabsl(got - (1 - doubt)), bound);
        if (doubt > 0) assert_close(1 - got, (double)doubt, 4 * bound, 3e-16 + (double)(doubt * fabsl(logl(doubt))) * 3 * 0x1p-24);
        assert_close(in_cells(one, 1, 0, right, 2), got * got, 1e-15, 0);
        assert_close(in_cells(one, 1, 0, right, 3), (got - right) * (got - right), 1e-15, 0);
      }
      for (size_t rows = set % 3 == 0 ? 1 : ROWS - 3; rows <= ROWS; rows++) {
        assert_true(bin_rows(kernels, rows, k, row, y, t, BINS, cells));
        double all = 0;
        for (int b = 0; b < BINS; b++)
          for (int a = 0; a < 2; a++) {
            all += in_cells(cells, BINS, b, a, 0);
            assert_true(rows < ROWS || in_cells(cells, BINS, b, a, 0) == counts[b][a]);
          }
        assert_true(all == (double)rows && in_cells(cells, BINS, -1, 0, 0) + in_cells(cells, BINS, -1, 1, 0) == 0);
      }
    }
  }
}

/* Two classes whose logits differ by what gives an edge's confidence, and by some of the last bits more or less; a shift of all; NaN, +inf, a masked label. */
static void quick_bins_are_sure_at_their_edges(void **state) {
  enum { STEPS = 300 };
  (void)state;
  for (int isa = 0; isa <= LS_ISA_AVX512; isa++) {
    if (!ls_cpu_has((ls_isa)isa)) continue;
    const ls_evaluation_kernels *kernels = ls_kernels_of((ls_isa)isa)->evaluation;
    for (int edge = 8; edge <= BINS; edge++) {
      static float z[ROWS][2], moved[ROWS][2];
      static double c[ROWS], number[ROWS], cells[CELLS], shifted[CELLS];
      const float *row[ROWS], *other[ROWS];
      int32_t y[ROWS], predicted[ROWS];
      double share = edge < BINS ? (double)edge / BINS : 1 - 1e-9;
      float gap = (float)log(share / (1 - share));
      for (int step = -STEPS; step < STEPS; step += ROWS) {
        int above = 0, got = 0;
        for (int i = 0; i < ROWS; i++) {
          float by = gap + (float)(step + i) * gap * 0x1p-23f;
          y[i] = i % 3 == 0, row[i] = z[i], other[i] = moved[i];
          z[i][0] = by, z[i][1] = 0;
          for (int k = 0; k < 2; k++) moved[i][k] = rintf(64 * z[i][k]) / 64 + 16;
        }
        ls_judged_rows out = {.top = number, .second = number, .confidence = c, .others = number, .predicted = predicted};
        assert_true(kernels->judge(ROWS, 2, row, 1, y, &out));
        assert_true(bin_rows(kernels, ROWS, 2, row, y, 1, BINS, cells));
        for (int i = 0; i < ROWS; i++) above += (int)(c[i] * BINS) >= edge;
        for (int b = edge; b < BINS; b++) got += (int)(in_cells(cells, BINS, b, 0, 0) + in_cells(cells, BINS, b, 1, 0));
        if (edge < BINS && got != above) fail_msg("set %d: %d rows are above edge %d, %d in double", isa, got, edge, above);
        assert_true(bin_rows(kernels, ROWS, 2, other, y, 1, BINS, cells));
        for (int i = 0; i < ROWS; i++)
          for (int k = 0; k < 2; k++) moved[i][k] -= 16;
        assert_true(bin_rows(kernels, ROWS, 2, other, y, 1, BINS, shifted));
        assert_memory_equal(cells, shifted, sizeof cells);
        z[7][1] = edge % 2 ? NAN : INFINITY;
        assert_false(bin_rows(kernels, ROWS, 2, row, y, 1, BINS, cells));
        z[7][1] = 0;
        z[6][y[6]] = -INFINITY;
        assert_false(bin_rows(kernels, ROWS, 2, row, y, 1, BINS, cells));
      }
    }
  }
}

/* Bins alone, of many rows: counts and accuracies of the confidences in double, means that differ by nothing one would see; of few rows the same bits; refusals. */
static void bins_alone_are_those_of_the_confidences(void **state) {
  enum { N = 70001, K = 10, FEW = 9000 };
  static float z[N * K];
  static int64_t y[N];
  static double c[N];
  static char scratch[1 << 22];
  (void)state;
  ls_rng r;
  ls_rng_seed(&r, 10);
  draw_predictions(&r, N, K, false, z, y);
  for (int set = 0; set < 6; set++) {
    static ls_bin bins[301], want_bins[301];
    ls_binning b = {.bins = (int[]){1, 15, 300}[set % 3]};
    ls_predictions p = {.z = {z, set < 3 ? N : FEW, K, K}, .labels = y, .temperature = set == 1 ? 0.4 : 1, .ignore = {true, -100}};
    ls_calibration got, want, threaded;
    assert_true(ls_calibrate_predictions_scratch(&p, &b) <= sizeof scratch);
    assert_ok(ls_calibrate_predictions(&p, &b, scratch, c, NULL, &want, want_bins, err));
    assert_ok(ls_calibrate_predictions(&p, &b, scratch, NULL, NULL, &got, bins, err));
    assert_ok(ls_pool_start(3, err));
    assert_ok(ls_calibrate_predictions(&p, &b, scratch, NULL, NULL, &threaded, bins, err));
    ls_pool_stop();
    assert_memory_equal(&threaded, &got, sizeof got);
    if (set >= 3) {
      assert_memory_equal(&got, &want, sizeof got);
      continue;
    }
    assert_true(memcmp(&got, &want, sizeof got) != 0); /* it was the quick way */
    assert_true(got.rows == want.rows && got.filled == want.filled && got.accuracy == want.accuracy && got.murphy.uncertainty == want.murphy.uncertainty);
    assert_close(got.l1, want.l1, 0, 1e-8);
    assert_close(got.confidence, want.confidence, 0, 4e-9);
    assert_close(got.brier, want.brier, 0, 4e-9);
    for (int i = 0; i < b.bins; i++) {
      assert_true(bins[i].count == want_bins[i].count && bins[i].accuracy == want_bins[i].accuracy);
      assert_close(bins[i].confidence, want_bins[i].confidence, 0, 27.0 / 4 * 0x1p-24);
    }
    float before = z[(N - 2) * K + 3];
    z[(N - 2) * K + 3] = NAN;
    assert_fails(ls_calibrate_predictions(&p, &b, scratch, NULL, NULL, &got, bins, err), LS_EVALUE, "logits[70000] is NaN for class 3");
    z[(N - 2) * K + 3] = before;
  }
}

/* All measures wanted at once, of few and of many classes, logits and probabilities, are those of each alone to the last bit; what is not wanted is left. */
static void measures_together_are_each_alone(void **state) {
  enum { N = 9001, K = 100 };
  static float z[N * K];
  static int64_t y[N], confusion[K * K], confusion_alone[K * K];
  static double c[N], c_alone[N], doubt[N], doubt_alone[N];
  static uint8_t a[N], a_alone[N], wrong[N], wrong_alone[N];
  static ls_class_score scores[K], scores_alone[K];
  static ls_class_calibration classes[K], classes_alone[K];
  static char scratch[1 << 26];
  (void)state;
  ls_rng r;
  ls_rng_seed(&r, 9);
  for (int set = 0; set < 12; set++) {
    int k = (int[]){3, 10, K}[set % 3];
    bool probabilities = set >= 9;
    draw_predictions(&r, N, k, probabilities, z, y);
    ls_predictions p = {.z = {z, N, k, k}, .labels = y, .temperature = probabilities ? 1 : 1.3, .ignore = {true, -100}, .probabilities = probabilities};
    ls_binning b = {.bins = 15, .edges = set % 2 ? LS_EDGES_RIGHT : LS_EDGES_LEFT};
    ls_bin bins[16], bins_alone[16];
    double share[2], share_alone[2];
    const int32_t top[2] = {1, 2};
    int64_t kept, kept_alone;
    ls_classification all, all_alone;
    ls_calibration width, width_alone;
    ls_classwise classwise, classwise_alone;
    ls_judging j = {.classification = &all, .tops = 2, .top = top, .top_share = share, .class_scores = scores, .confusion = confusion, .binning = &b, .calibration = &width, .bins = bins,
                    .classwise = &classwise, .classes = classes, .confidence = c, .correct = a, .doubt = doubt, .wrong = wrong, .score = set % 4 == 1 ? LS_SCORE_ENTROPY : LS_SCORE_MARGIN};
    assert_true(ls_judge_scratch(&p, &j) <= sizeof scratch);
    if (set % 2) assert_ok(ls_pool_start(3, err));
    assert_ok(ls_judge(&p, &j, scratch, &kept, err));
    if (set % 2) ls_pool_stop();
    assert_ok(ls_classify(&p, 2, top, scratch, &all_alone, share_alone, scores_alone, confusion_alone, err));
    assert_ok(ls_calibrate_predictions(&p, &b, scratch, NULL, NULL, &width_alone, bins_alone, err));
    assert_ok(ls_classwise_calibration(&p, &b, scratch, &classwise_alone, classes_alone, err));
    assert_ok(ls_confidences(&p, scratch, c_alone, a_alone, &kept_alone, err));
    assert_ok(ls_doubts(&p, j.score, scratch, doubt_alone, wrong_alone, &kept_alone, err));
    assert_true(kept == kept_alone && kept == N - N / 9 - 1 && all.rows == kept && width.rows == kept);
    assert_memory_equal(&all, &all_alone, sizeof all);
    assert_memory_equal(share, share_alone, sizeof share);
    assert_memory_equal(scores, scores_alone, (size_t)k * sizeof *scores);
    assert_memory_equal(confusion, confusion_alone, (size_t)k * (size_t)k * sizeof *confusion);
    assert_memory_equal(&width, &width_alone, sizeof width);
    assert_memory_equal(bins, bins_alone, 15 * sizeof *bins);
    assert_memory_equal(&classwise, &classwise_alone, sizeof classwise);
    assert_memory_equal(classes, classes_alone, (size_t)k * sizeof *classes);
    assert_memory_equal(c, c_alone, (size_t)kept * sizeof *c);
    assert_memory_equal(a, a_alone, (size_t)kept);
    assert_memory_equal(doubt, doubt_alone, (size_t)kept * sizeof *doubt);
    assert_memory_equal(wrong, wrong_alone, (size_t)kept);
    ls_judging some = {.confidence = c_alone};
    c_alone[0] = 5;
    assert_ok(ls_judge(&p, &some, scratch, &kept, err));
    assert_memory_equal(c, c_alone, (size_t)kept * sizeof *c);
    if (!probabilities) continue;
    j.score = LS_SCORE_ENERGY;
    assert_fails(ls_judge(&p, &j, scratch, &kept, err), LS_ERANGE, "the score energy is made of logits");
  }
}

/* Runs that crowd near 1, in few values, in one value, over all bits; an order by libc's qsort, stability by the place in the lowest bits. */
static int by_key(const void *x, const void *y) {
  const uint64_t *a = x, *b = y;
  return a[0] != b[0] ? (a[0] > b[0]) - (a[0] < b[0]) : (a[1] > b[1]) - (a[1] < b[1]);
}

static void runs_of_every_kind_are_sorted(void **state) {
  enum { MOST = 70000 };
  static uint64_t want[2 * MOST], x[4 * MOST], one[2 * MOST];
  (void)state;
  ls_rng r;
  ls_rng_seed(&r, 8);
  for (int set = 0; set < 60; set++) {
    size_t n = (size_t[]){2, 24, 25, 100, 5000, MOST}[set % 6];
    int kind = set / 6 % 5;
    for (size_t i = 0; i < n; i++) {
      double u = ls_rng_double(&r);
      uint64_t key = kind == 0 ? ls_ordered_bits(1 - pow(u, 8)) : kind == 1 ? (uint64_t)(u * 3) : kind == 2 ? 7 : kind == 3 ? ls_rng_next(&r) : ls_ordered_bits(u < 0.5 ? -u : u);
      key = kind == 3 && i % 50 == 0 ? UINT64_MAX - (i % 3) : key;
      want[2 * i] = x[2 * i] = key, want[2 * i + 1] = x[2 * i + 1] = i;
      one[i] = key >> 1 << 1 | (i & 1);
    }
    qsort(want, n, 2 * sizeof *want, by_key);
    if (set % 2) assert_ok(ls_pool_start(3, err));
    uint64_t *sorted = ls_sort_items(x, x + 2 * n, n, 2, 0), *single = ls_sort_items(one, one + MOST, n, 1, 1), ones = 0;
    if (set % 2) ls_pool_stop();
    assert_memory_equal(sorted, want, 2 * n * sizeof *want);
    for (size_t i = 0; i < n; i++) {
      assert_true(single[i] >> 1 == want[2 * i] >> 1 && (i == 0 || single[i - 1] >> 1 <= single[i] >> 1));
      ones += single[i] & 1;
    }
    assert_int_equal(ones, n / 2);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(columns_of_rows_are_right_on_every_set),
      cmocka_unit_test(long_rows_are_right_on_every_set),
      cmocka_unit_test(one_sweep_is_its_parts),
      cmocka_unit_test(quick_confidences_keep_their_bound_and_bins),
      cmocka_unit_test(quick_bins_are_sure_at_their_edges),
      cmocka_unit_test(bins_alone_are_those_of_the_confidences),
      cmocka_unit_test(measures_together_are_each_alone),
      cmocka_unit_test(runs_of_every_kind_are_sorted),
  };
  return run_suite(tests);
}
