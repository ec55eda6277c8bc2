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
static int standing(int other, int self, double reach, double least) {
  int nearer = 0;
  for (int i = FIRST; i < FIRST + RELEVANT; i++) {
    double difference = (double)score[i] - (double)score[other];
    if ((double)score[i] < least || i == self) continue;
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

/* What a ranking says of all rows but `self`, -1 for none. */
static void check_ranks(int c, const ls_rank *rank, int doubts, int top, int self) {
  double reach = (double)rank->reach;
  int want[RELEVANT + 2] = {0}, lost = 0;
  bool in_doubt[N] = {false}, seen[N] = {false};
  for (int d = 0; d < doubts; d++) {
    in_doubt[doubtful[d]] = true;
    assert_true(doubted[d] == score[doubtful[d]] && doubtful[d] != self);
  }
  for (int i = 0; i < rank->relevant; i++) {
    assert_true(is_relevant(row[i]) && row[i] != self && sorted[i] == score[row[i]] && (i == 0 || sorted[i] <= sorted[i - 1]));
    seen[row[i]] = true;
  }
  for (int i = FIRST; i < FIRST + RELEVANT; i++)
    if (!seen[i] && i != self) assert_true(may_be_left_out(i, top, reach));
  if (rank->relevant == 0) return;
  double least = (double)sorted[rank->relevant - 1];
  for (int i = 0; i < N; i++) {
    if (is_relevant(i) || in_doubt[i] || i == self) continue;
    int h = standing(i, self, reach, least);
    if (h < 0) {
      if (!may_be_left_out(i, top, reach)) fail_msg("case %d: row %d is within reach of a relevant one and not doubted", c, i);
      lost++;
    } else {
      want[h]++;
    }
  }
  for (int h = 0; h < rank->relevant; h++)
    if (top == N ? before[h] != want[h] : before[h] > want[h]) fail_msg("case %d: %d others after %d relevant ones, want %d", c, before[h], h, want[h]);
  if (top == N) assert_int_equal(lost, 0);
}

static ls_rank empty_rank(float reach) {
  return (ls_rank){.reach = reach, .sorted = sorted, .row = row, .before = before, .doubtful = doubtful, .after = after, .doubted = doubted,
                   .kept = kept, .kept_row = kept_row, .part = part, .table = table};
}

static void nothing_within_reach_is_taken_for_sure(void **state) {
  (void)state;
  ls_rng r;
  ls_rng_seed(&r, 1);
  for (int c = 0; c < CASES; c++)
    for (int isa = LS_ISA_REF; isa <= LS_ISA_AVX512; isa++) {
      if (!ls_cpu_has((ls_isa)isa)) continue;
      assert_ok(ls_cpu_start(ls_isa_name((ls_isa)isa), err));
      ls_rank rank = empty_rank(fill(&r, c));
      rank.score = score;
      rank.count = N;
      rank.first = FIRST;
      rank.end = FIRST + RELEVANT;
      rank.top = c % 2 ? N : 30;
      int doubts = ls_kernels_now()->knn->rank(&rank);
      check_ranks(c, &rank, doubts, rank.top, -1);
    }
}

/* The same by candidates: what reaches the threshold of a sample, which are the first rows, and some more. Relevant rows are two ranges, and one row is left out. */
static void candidates_suffice_or_say_that_they_do_not(void **state) {
  (void)state;
  enum { DRAWN = 1000, COLUMNS = 1008, TOP = 30 };
  static float some[N + 16];
  static int32_t place[N + 16];
  ls_rng r;
  int ranked[2] = {0}, tried[2] = {0};
  ls_rng_seed(&r, 3);
  for (int c = 0; c < CASES; c++)
    for (int isa = LS_ISA_REF; isa <= LS_ISA_AVX512; isa++) {
      if (!ls_cpu_has((ls_isa)isa)) continue;
      assert_ok(ls_cpu_start(ls_isa_name((ls_isa)isa), err));
      ls_rank rank = empty_rank(fill(&r, c));
      int few = c % 10 == 3, self = c % 3 == 0 ? -1 : c % 3 == 1 ? FIRST + c % RELEVANT : c;
      float own = self >= 0 ? score[self] : 0;
      if (self >= 0 && c % 3 == 1) score[self] = -1e38f; /* it is drawn, or comes late; as the caller has it */
      ls_rank_draw draw = {.score = score, .drawn = DRAWN, .count = COLUMNS, .rows = N, .top = few ? 1 : TOP, .deviations = few ? -0.5f : 2.5f, .reach = rank.reach,
                           .twin = INFINITY, .kept = some, .kept_row = place};
      rank.count = ls_kernels_now()->knn->rank_draw(&draw);
      for (int i = 0; i < COLUMNS; i++)
        if (score[i] >= draw.threshold) assert_true(place[--rank.count] >= 0);
      assert_int_equal(rank.count, 0);
      for (int i = 0; i < N; i++) {
        if (!(score[i] >= draw.threshold) && (i < COLUMNS || i % 7 != 0)) continue; /* some more of the later ones: tiles keep by the bound of many rows */
        some[rank.count] = score[i];
        place[rank.count++] = i;
      }
      rank.score = some;
      rank.place = place;
      rank.first = FIRST + 20;
      rank.end = FIRST + RELEVANT;
      rank.drawn = FIRST;
      rank.drawn_end = FIRST + 20;
      rank.self = self;
      rank.top = TOP;
      rank.least = draw.least;
      int have = 0, doubts = ls_kernels_now()->knn->rank_candidates(&rank);
      for (int i = 0; i < N; i++) have += i != self && score[i] >= draw.least;
      tried[few]++;
      ranked[few] += doubts >= 0;
      if (have >= TOP + 1) assert_true(doubts >= 0);
      if (doubts >= 0) assert_true(have >= TOP);
      if (self >= 0) score[self] = -1e38f;
      if (doubts >= 0) check_ranks(c, &rank, doubts, TOP, self);
      if (self >= 0) score[self] = own;
    }
  assert_true(ranked[0] > tried[0] * 9 / 10);
  assert_true(ranked[1] < tried[1]); /* so that the answer that they do not is seen */
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
          if (!(quick < 1)) fail_msg("integers on %s, metric %d, %d features: %g of the bound", ls_isa_name((ls_isa)isa), metric, widths[w], quick);
          if (widths[w] <= 2) assert_true(quick > 0.1);
        }
        double least = ls_knn_precise_tiles() == LS_KNN_SPLIT ? 0.05 : 0.1; /* the bound of three parts in bfloat16 counts the zeros that fill a tile of 32 features */
        if (metric == LS_METRIC_L2 && widths[w] <= 2) assert_true(share > least); /* so near that a bound a tenth (a twentieth) as large would be noticed */
      }
    }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(nothing_within_reach_is_taken_for_sure),
      cmocka_unit_test(candidates_suffice_or_say_that_they_do_not),
      cmocka_unit_test(scores_are_off_by_less_than_their_bound),
  };
  return run_suite(tests);
}
