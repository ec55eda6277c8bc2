/* The tile of the nearest-neighbour search, compiled once for each instruction set. SPDX-License-Identifier: MIT
 *
 * A tile of queries × rows stays in registers while the features are added; its numbers are compared with the queries' thresholds there, and only
 * those that reach them are stored. With FMA (-ffp-contract=fast for this file alone): the sets differ in rounding, which the bound of the
 * candidates covers; the answers do not. Features beyond STEPS go in parts, so that a panel of rows stays in the first cache. */
#include "core/kernels/knn_queue.h"
#include "core/kernels/pack.h"

#include <math.h>

#if defined(__AVX2__)
#include <immintrin.h>
#endif

#define LS_PASTE_(a, b) a##b
#define LS_PASTE(a, b) LS_PASTE_(a, b)
#define LS_KNN_NAME LS_PASTE(ls_knn_kernels_, LS_ISA)
#define LS_KNN_VALUES LS_PASTE(ls_knn_values_, LS_ISA)

void LS_KNN_VALUES(ls_metric metric, int32_t d, const float *query, double query_inverse, size_t count, const float *const *rows, const double *inverse, double *out);

#if defined(__AVX512F__)
enum { BYTES = 64, QUERIES = 14, VECTORS = 2 };
#elif defined(__AVX2__)
enum { BYTES = 32, QUERIES = 6, VECTORS = 2 };
#else
enum { BYTES = 16, QUERIES = 4, VECTORS = 2 };
#endif
enum { LANES = BYTES / 4, ROWS = VECTORS * LANES, STEPS = 256 };

_Static_assert(QUERIES <= LS_KNN_MOST_QUERIES && ROWS <= LS_KNN_MOST_ROWS, "tiles fit the callers' buffers");

typedef float vector __attribute__((vector_size(BYTES), aligned(4), may_alias));

/* Bit r is set where v[r] >= threshold. */
static inline uint32_t reached(vector v, float threshold) {
#if defined(__AVX512F__)
  return _mm512_cmp_ps_mask((__m512)v, _mm512_set1_ps(threshold), _CMP_GE_OQ);
#elif defined(__AVX2__)
  return (uint32_t)_mm256_movemask_ps(_mm256_cmp_ps((__m256)v, _mm256_set1_ps(threshold), _CMP_GE_OQ));
#else
  uint32_t bits = 0;
  for (int l = 0; l < LANES; l++) bits |= (uint32_t)(v[l] >= threshold) << l;
  return bits;
#endif
}

/* Room for what the next tile may give is made; returns whether it had to be. */
static inline bool make_room(const ls_knn_sweep *s, size_t query) {
  const ls_knn_queue *q = &s->queue[query];
  if (q->capacity - q->count >= LS_KNN_SPARE) return false;
  s->full(s->context, query);
  return true;
}

/* Where numbers of a tile reach their queries' thresholds: bits, as many words as it takes. */
#if defined(__AVX2__) && !defined(__AVX512F__)
enum { WORDS = QUERIES / 2, DENSE = 6 };
_Static_assert((int)ROWS == 16 && QUERIES % 2 == 0, "a word has two queries");

/* Comparisons of two queries are packed to bytes, which leaves the rows of a word in this order. */
static const uint8_t bit_places[32] = {0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27, 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31};

static inline uint32_t find(vector score[QUERIES][VECTORS], const float *least, uint32_t word[WORDS]) {
  uint32_t any = 0;
#pragma GCC unroll 8
  for (int w = 0; w < WORDS; w++) {
    __m256i of[2];
    for (int i = 0; i < 2; i++) {
      __m256 from = _mm256_set1_ps(least[2 * w + i]);
      __m256 low = _mm256_cmp_ps((__m256)score[2 * w + i][0], from, _CMP_GE_OQ), high = _mm256_cmp_ps((__m256)score[2 * w + i][1], from, _CMP_GE_OQ);
      of[i] = _mm256_packs_epi32(_mm256_castps_si256(low), _mm256_castps_si256(high));
    }
    word[w] = (uint32_t)_mm256_movemask_epi8(_mm256_packs_epi16(of[0], of[1]));
    any |= word[w];
  }
  return any;
}

/* These go into the queues. True where one was full, so that thresholds may have changed. Many are stored by vectors, for all queries, since whether one has any cannot be
 * foreseen; few one by one, some queries' together, since the end of each loop cannot be foreseen either. */
static bool keep(const ls_knn_sweep *s, size_t panel, int32_t first, vector score[QUERIES][VECTORS], const float *least, const uint32_t word[WORDS]) {
  bool full = false;
  int32_t found = 0;
  for (int w = 0; w < WORDS; w++) found += __builtin_popcount(word[w]);
  if (found >= DENSE) {
    for (size_t q = 0; q < QUERIES; q++) {
      ls_knn_queue *to = &s->queue[panel * QUERIES + q];
      int32_t count = to->count;
      for (int v = 0; v < VECTORS; v++) count += ls_pack8_from((__m256)score[q][v], first + v * LANES, reached(score[q][v], least[q]), to->score + count, to->row + count);
      to->count = count;
      full |= make_room(s, panel * QUERIES + q);
    }
    return full;
  }
  const float *of = (const float *)score;
  for (size_t w = 0; w < WORDS; w += 2)
    for (uint64_t some = word[w] | (w + 1 < WORDS ? (uint64_t)word[w + 1] << 32 : 0); some != 0; some &= some - 1) {
      size_t bit = (size_t)__builtin_ctzll(some), at = w * 32 + (bit & 32) + bit_places[bit & 31];
      ls_knn_queue *to = &s->queue[panel * QUERIES + at / ROWS];
      to->score[to->count] = of[at];
      to->row[to->count++] = first + (int32_t)(at % ROWS);
      full |= make_room(s, panel * QUERIES + at / ROWS);
    }
  return full;
}
#else
enum { WORDS = QUERIES };

static inline uint32_t find(vector score[QUERIES][VECTORS], const float *least, uint32_t word[WORDS]) {
  uint32_t any = 0;
  for (int q = 0; q < QUERIES; q++) {
    word[q] = 0;
    for (int v = 0; v < VECTORS; v++) word[q] |= reached(score[q][v], least[q]) << v * LANES;
    any |= word[q];
  }
  return any;
}

static inline void keep_row(ls_knn_queue *q, const vector score[VECTORS], int32_t first, uint32_t bits) {
#if defined(__AVX512F__)
  for (int v = 0; v < VECTORS; v++) ls_knn_push16(q, (__m512)score[v], bits >> v * LANES & 0xffff, first + v * LANES);
#else
  const float *of = (const float *)score;
  for (; bits != 0; bits &= bits - 1) {
    int r = __builtin_ctz(bits);
    q->score[q->count] = of[r];
    q->row[q->count++] = first + r;
  }
#endif
}

/* These go into the queues. True where one was full, so that thresholds may have changed. */
static bool keep(const ls_knn_sweep *s, size_t panel, int32_t first, vector score[QUERIES][VECTORS], const float *least, const uint32_t word[WORDS]) {
  bool full = false;
  (void)least;
  for (size_t q = 0; q < QUERIES; q++) {
    if (word[q] == 0) continue;
    keep_row(&s->queue[panel * QUERIES + q], score[q], first, word[q]);
    full |= make_room(s, panel * QUERIES + q);
  }
  return full;
}
#endif

static inline void tile(const ls_knn_sweep *s, size_t panel, const float *b, const float *bias, int32_t first, size_t from, size_t to, float *partial) {
  vector sum[QUERIES][VECTORS];
  const float *a = (const float *)s->queries + panel * s->steps * QUERIES + from * QUERIES;
  if (from == 0)
    for (int v = 0; v < VECTORS; v++) {
      vector start = *(const vector *)(bias + v * LANES);
      for (int q = 0; q < QUERIES; q++) sum[q][v] = start;
    }
  else
    for (int q = 0; q < QUERIES; q++)
      for (int v = 0; v < VECTORS; v++) sum[q][v] = *(const vector *)(partial + q * ROWS + v * LANES);
  for (size_t step = from; step < to; step++, a += QUERIES, b += ROWS) {
    vector x[VECTORS];
    for (int v = 0; v < VECTORS; v++) x[v] = *(const vector *)(b + v * LANES);
    for (int q = 0; q < QUERIES; q++)
      for (int v = 0; v < VECTORS; v++) sum[q][v] += a[q] * x[v];
  }
  if (to < s->steps) {
    for (int q = 0; q < QUERIES; q++)
      for (int v = 0; v < VECTORS; v++) *(vector *)(partial + q * ROWS + v * LANES) = sum[q][v];
    return;
  }
  if (s->scores != NULL) {
    for (int q = 0; q < QUERIES; q++)
      for (int v = 0; v < VECTORS; v++) *(vector *)(s->scores + (panel * QUERIES + (size_t)q) * s->scores_step + (size_t)first + v * LANES) = sum[q][v];
    return;
  }
  uint32_t word[WORDS];
  const float *threshold = s->threshold + panel * QUERIES;
  if (find(sum, threshold, word) != 0) keep(s, panel, first, sum, threshold, word);
}

static void sweep(const ls_knn_sweep *s) {
  float partial[LS_KNN_PANELS * QUERIES * ROWS];
  for (size_t p = 0; p < s->row_panels; p++) {
    const float *rows = (const float *)s->rows + p * s->steps * ROWS, *bias = s->bias + p * ROWS;
    int32_t first = s->first + (int32_t)p * ROWS;
    for (size_t from = 0; from < s->steps;) {
      size_t to = s->steps - from < STEPS + STEPS / 2 ? s->steps : from + STEPS;
      for (size_t panel = 0; panel < s->panels; panel++)
        tile(s, panel, rows + from * ROWS, bias, first, from, to, partial + panel * QUERIES * ROWS);
      from = to;
    }
  }
}

/* ---- 16-bit integers ----
 *
 * Products of pairs are exact and so are their sums, which never leave 32 bits. On AVX2 an instruction multiplies sixteen numbers where FMA multiplies eight, and the
 * additions run beside it: with 64 features a whole search took 0.6 to 0.7 of float32's time (Zen 3). AVX-512 keeps float32: by its ports, integers should gain
 * nothing there without VNNI (not measured). */
#if defined(__AVX2__) && !defined(__AVX512F__)
typedef int32_t whole __attribute__((vector_size(BYTES), aligned(4), may_alias));

/* Of the queries of a sweep, feature by feature, so that a vector has a panel's. */
typedef struct bounds {
  float threshold[LS_KNN_PANELS * QUERIES + LANES], unit[LS_KNN_PANELS * QUERIES + LANES];
  float a[LS_KNN_PANELS * QUERIES + LANES], b[LS_KNN_PANELS * QUERIES + LANES], c[LS_KNN_PANELS * QUERIES + LANES];
} bounds;

_Static_assert((int)QUERIES <= (int)LANES, "a vector has a panel's queries");

static inline vector of_panel(const float *v, size_t panel) { return *(const vector *)(v + panel * QUERIES); }

static inline void short_tile(const ls_knn_sweep *s, bounds *of, size_t panel, size_t group) {
  whole sum[QUERIES][VECTORS];
  const int32_t *a = (const int32_t *)s->queries + panel * s->steps * QUERIES, *b = (const int32_t *)s->rows + group * s->steps * ROWS;
#pragma GCC unroll 8 /* arrays stay in registers only where their indices are known */
  for (int q = 0; q < QUERIES; q++)
    for (int v = 0; v < VECTORS; v++) sum[q][v] = (whole){0};
  for (size_t step = 0; step < s->steps; step++, a += QUERIES, b += ROWS)
    for (int q = 0; q < QUERIES; q++)
      for (int v = 0; v < VECTORS; v++) sum[q][v] += (whole)_mm256_madd_epi16(_mm256_set1_epi32(a[q]), (__m256i) * (const whole *)(b + v * LANES));
  float least[LANES], factor[LANES], size = s->size[group], rest = s->rest[group];
  const float *bias = s->bias + group * ROWS;
  vector score[QUERIES][VECTORS];
  *(vector *)least = of_panel(of->threshold, panel) - 1.00001f * (of_panel(of->a, panel) * size + of_panel(of->b, panel) * rest + of_panel(of->c, panel) * (size * size));
  *(vector *)factor = of_panel(of->unit, panel) * s->row_unit[group];
#pragma GCC unroll 8
  for (int q = 0; q < QUERIES; q++)
    for (int v = 0; v < VECTORS; v++) score[q][v] = (vector)_mm256_cvtepi32_ps((__m256i)sum[q][v]) * factor[q] + *(const vector *)(bias + v * LANES);
  if (s->scores != NULL) {
    float *to = s->scores + panel * QUERIES * s->scores_step + (size_t)s->first + group * ROWS;
#pragma GCC unroll 8
    for (int q = 0; q < QUERIES; q++)
      for (int v = 0; v < VECTORS; v++) *(vector *)(to + (size_t)q * s->scores_step + v * LANES) = score[q][v];
    return;
  }
  uint32_t word[WORDS];
  if (find(score, least, word) == 0 || !keep(s, panel, s->first + (int32_t)group * ROWS, score, least, word)) return;
  for (size_t q = panel * QUERIES; q < (panel + 1) * QUERIES; q++) of->threshold[q] = s->threshold[q];
}

static void sweep_short(const ls_knn_sweep *s) {
  bounds of = {0};
  for (size_t q = 0; q < s->panels * QUERIES; q++) {
    of.threshold[q] = s->threshold[q];
    of.unit[q] = s->query_unit[q];
    of.a[q] = s->error[q].a;
    of.b[q] = s->error[q].b;
    of.c[q] = s->error[q].c;
  }
  for (size_t group = 0; group < s->row_panels; group++)
    for (size_t panel = 0; panel < s->panels; panel++) short_tile(s, &of, panel, group);
}
#define SWEEP_SHORT sweep_short
#else
#define SWEEP_SHORT NULL
#endif

/* ---- thinning ---- */

static int32_t count_from(const float *v, int32_t n, float least) {
  int32_t count = 0;
  for (int32_t i = 0; i < n; i++) count += v[i] >= least;
  return count;
}

/* A number that at least k of the n reach, and few more than k: by halving the range that holds the k-th largest. */
static float reached_by(const float *v, int32_t n, int32_t k) {
  float low = v[0], high = v[0];
  for (int32_t i = 0; i < n; i++) {
    low = v[i] < low ? v[i] : low;
    high = v[i] > high ? v[i] : high;
  }
  for (int step = 0; step < 30; step++) {
    float middle = 0.5f * low + 0.5f * high;
    if (!(middle > low && middle < high)) break;
    int32_t count = count_from(v, n, middle);
    if (count >= k)
      low = middle;
    else
      high = middle;
    if (count >= k && count <= k + k / 16) break;
  }
  return low;
}

static float thin(const ls_knn_thinning *t) {
  ls_knn_queue *q = t->queue;
  float *upper = t->spare, *lower = t->spare + q->capacity;
  int32_t n = q->count, kept = 0;
  ls_knn_error e = t->error;
  for (int32_t i = 0; i < n; i++) {
    float size = t->size[q->row[i]], error = e.a * size + e.c * size * size;
    if (t->rest != NULL) error += e.b * t->rest[q->row[i]];
    upper[i] = q->score[i] + t->above * error;
    lower[i] = q->score[i] - t->below * error;
  }
  float threshold = reached_by(lower, n, t->k);
  threshold -= 0x1p-21f * fabsf(threshold) + t->slack; /* 2^-21: the roundings to float on the way */
  for (int32_t i = 0; i < n; i++) {
    q->score[kept] = q->score[i];
    q->row[kept] = q->row[i];
    kept += upper[i] >= threshold;
  }
  q->count = kept;
  return threshold;
}

const ls_knn_kernels LS_KNN_NAME = {.queries = QUERIES,
                                    .rows = ROWS,
                                    .sweep = sweep,
                                    .sweep_short = SWEEP_SHORT,
                                    .thin = thin,
                                    .values = LS_KNN_VALUES,
                                    .rank = LS_PASTE(ls_rank_, LS_ISA),
                                    .rank_candidates = LS_PASTE(ls_rank_candidates_, LS_ISA),
                                    .rank_draw = LS_PASTE(ls_rank_draw_, LS_ISA),
                                    .near = LS_PASTE(ls_near_, LS_ISA)};
