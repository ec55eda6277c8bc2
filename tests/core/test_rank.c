/* What the ranks of retrieval rest on: scores that are off by no more than is said, and no order taken for sure within reach. SPDX-License-Identifier: MIT */
#include "core/eval/knn_parts.h"
#include "core/kernels/kernels.h"
#include "test.h"

#include <lsengine/cpu.h>
#include <lsengine/random.h>

enum { N = 2200, RELEVANT = 60, FIRST = 200, CASES = 200 }; /* so many that the score of a place is found by a sample */

static float score[N], sorted[N], kept[N + 16], doubted[N + 16];
static int32_t row[N], before[N + 16], doubtful[N + 16], after[N + 16], kept_row[N + 16];
static uint16_t part[N + 32], table[LS_RANK_BUCKETS + 64];

/* Scores a few units in the last place apart, so that adding the reach rounds, and now and then one far away, so that many share a part of the table. */
static float fill(ls_rng *r, int c) {
  double middle = c % 4 == 0 ? 0 : ldexp(1.5, c % 7 * 8 - 20), unit = ldexp(1, ilogb(middle == 0 ? 1 : middle) - 23), spread = c % 3 == 0 ? 40 : 4000;
  for (int i = 0; i < N; i++) score[i] = (float)(middle + unit * floor(spread * ls_rng_normal(r)));
  if (c % 5 == 0) score[(int)(ls_rng_double(r) * N)] = (float)(middle - 1e7 * unit * spread);
  return (float)(unit * (c % 2 == 0 ? 2.5 : 40.3) * ls_rng_double(r));
}

static bool is_relevant(int i) { return i >= FIRST && i < FIRST + RELEVANT; }

/* Relevant rows that are nearer; -1 where one is so near that the scores do not tell. Differences of floats are exact in double here. */
static int standing(int other, double reach, double least) {
  int nearer = 0;
  for (int i = FIRST; i < FIRST + RELEVANT; i++) {
    double difference = (double)score[i] - (double)score[other];
    if ((double)score[i] < least) continue;
    if (fabs(difference) <= reach) return -1;
    nearer += difference > 0;
  }
  return nearer;
}

/* All `top` places: nothing is left out. Else a row may be left out only if `top` rows are beyond reach above it. */
static bool may_be_left_out(int i, int top, double reach) {
  int above = 0;
  for (int j = 0; j < N; j++) above += (double)score[j] > (double)score[i] + reach;
  return above >= top;
}

static void nothing_within_reach_is_taken_for_sure(void **state) {
  (void)state;
  ls_rng r;
  ls_rng_seed(&r, 1);
  for (int c = 0; c < CASES; c++)
    for (int isa = LS_ISA_REF; isa <= LS_ISA_AVX512; isa++) {
      if (!ls_cpu_has((ls_isa)isa)) continue;
      assert_ok(ls_cpu_start(ls_isa_name((ls_isa)isa), err));
      float reach = fill(&r, c);
      int top = c % 2 ? N : 30, want[RELEVANT + 2] = {0}, doubts, lost = 0;
      ls_rank rank = {.score = score, .count = N, .first = FIRST, .end = FIRST + RELEVANT, .top = top, .reach = reach, .sorted = sorted, .row = row, .before = before,
                      .doubtful = doubtful, .after = after, .doubted = doubted, .kept = kept, .kept_row = kept_row, .part = part, .table = table};
      doubts = ls_kernels_now()->knn->rank(&rank);
      bool in_doubt[N] = {false}, seen[N] = {false};
      for (int d = 0; d < doubts; d++) {
        in_doubt[doubtful[d]] = true;
        assert_true(doubted[d] == score[doubtful[d]]);
      }
      for (int i = 0; i < rank.relevant; i++) {
        assert_true(is_relevant(row[i]) && sorted[i] == score[row[i]] && (i == 0 || sorted[i] <= sorted[i - 1]));
        seen[row[i]] = true;
      }
      for (int i = FIRST; i < FIRST + RELEVANT; i++)
        if (!seen[i]) assert_true(may_be_left_out(i, top, (double)reach));
      if (rank.relevant == 0) continue;
      double least = (double)sorted[rank.relevant - 1];
      for (int i = 0; i < N; i++) {
        if (is_relevant(i) || in_doubt[i]) continue;
        int h = standing(i, (double)reach, least);
        if (h < 0) {
          if (!may_be_left_out(i, top, (double)reach)) fail_msg("case %d: row %d is within reach of a relevant one and not doubted", c, i);
          lost++;
        } else {
          want[h]++;
        }
      }
      for (int h = 0; h < rank.relevant; h++)
        if (top == N ? before[h] != want[h] : before[h] > want[h]) fail_msg("case %d: %d others after %d relevant ones, want %d", c, before[h], h, want[h]);
      if (top == N) assert_int_equal(lost, 0);
    }
}

/* All scores beside those of the same numbers in long double. Returns the largest share of the bound. */
static double share_of_error(ls_knn_tiles tiles, ls_metric metric, int n, int m, int d, const float *x, const float *q) {
  ls_knn index;
  double largest = 0;
  char *memory = malloc(ls_knn_bytes(n, d, metric));
  assert_ok(ls_knn_prepare((ls_cmat){x, n, d, d}, metric, memory, &index, err));
  ls_knn_plan p = ls_knn_score_plan(&index, m, 1 << 24, tiles);
  ls_knn_filter f = {.index = &index, .plan = &p, .queries = {q, m, d, d}, .count = m, .chunk_rows = n, .order = index.order};
  char *parts = aligned_alloc(64, ls_knn_filter_memory(&index, &p, NULL, NULL));
  size_t step = (size_t)p.chunk + LS_KNN_MOST_ROWS, panels = ((size_t)m + (size_t)p.tile_queries - 1) / (size_t)p.tile_queries;
  float *scores = malloc(sizeof *scores * step * panels * (size_t)p.tile_queries);
  assert_true(p.chunk >= n && p.together >= m);
  ls_knn_filter_memory(&index, &p, parts, &f);
  ls_knn_filter_pack_rows(&f);
  ls_knn_filter_begin(&f);
  ls_knn_filter_scores(&f, 0, panels, 0, scores, step);
  for (int i = 0; i < m; i++) {
    double bound = ls_knn_filter_error(&f, (size_t)i), q_inverse = metric == LS_METRIC_COSINE ? ls_knn_inverse(q + i * d, d) : 1;
    for (int l = 0; l < n; l++) {
      int at = index.order[l];
      long double s = 0;
      double inverse = index.inverse != NULL ? index.inverse[at] : 1;
      for (int j = 0; j < d; j++) {
        long double b = ((long double)((double)x[at * d + j] * inverse) - (long double)index.centre[j]) * (long double)index.scale;
        long double a = ((long double)((double)q[i * d + j] * q_inverse) - (metric == LS_METRIC_INNER_PRODUCT ? 0 : (long double)index.centre[j])) * (long double)f.query[i].scale;
        s += a * b - (metric == LS_METRIC_INNER_PRODUCT ? 0 : b * b / 2);
      }
      double share = (double)fabsl((long double)scores[(size_t)i * step + (size_t)l] - s) / bound;
      largest = share > largest ? share : largest;
    }
  }
  free(scores), free(parts), free(memory);
  return largest;
}

static void scores_are_off_by_less_than_their_bound(void **state) {
  (void)state;
  enum { ROWS = 300, QUERIES = 40, WIDE = 784 };
  static float x[ROWS * WIDE], q[QUERIES * WIDE];
  static const int widths[] = {1, 2, 24, 128, WIDE};
  for (int w = 0; w < 5; w++)
    for (int isa = LS_ISA_REF; isa <= LS_ISA_AMX; isa++) {
      if (!ls_cpu_has((ls_isa)isa)) continue;
      assert_ok(ls_cpu_start(ls_isa_name((ls_isa)isa), err));
      ls_rng r;
      ls_rng_seed(&r, 2);
      ls_rng_fill_normal(&r, ROWS * WIDE, x, 0, 1);
      ls_rng_fill_normal(&r, QUERIES * WIDE, q, 0, 1);
      for (int i = 0; i < ROWS * widths[w]; i++) x[i] = (1 + 0.1f * fabsf(x[i])) * (i / widths[w] % 2 ? 1 : -1); /* sums that grow, so that roundings do; like norms */
      for (int i = 0; i < QUERIES * widths[w]; i++) q[i] = 1 + 0.1f * fabsf(q[i]);
      for (int metric = 0; metric < 3; metric++) {
        double share = share_of_error(ls_knn_precise_tiles(), (ls_metric)metric, ROWS, QUERIES, widths[w], x, q);
        if (!(share < 1)) fail_msg("%s, metric %d, %d features: %g of the bound", ls_isa_name((ls_isa)isa), metric, widths[w], share);
        if (ls_knn_first_tiles() == LS_KNN_SHORT) {
          double quick = share_of_error(LS_KNN_SHORT, (ls_metric)metric, ROWS, QUERIES, widths[w], x, q);
          if (!(quick < 1)) fail_msg("integers, metric %d, %d features: %g of the bound", metric, widths[w], quick);
          if (widths[w] <= 2) assert_true(quick > 0.1);
        }
        if (metric == LS_METRIC_L2 && widths[w] <= 2) assert_true(share > 0.1); /* so near that a bound a tenth as large would be noticed */
      }
    }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(nothing_within_reach_is_taken_for_sure),
      cmocka_unit_test(scores_are_off_by_less_than_their_bound),
  };
  return run_suite(tests);
}
