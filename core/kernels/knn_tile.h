/* What tiles of the nearest-neighbour search share: their size, and what becomes of their scores. Included once for each instruction set. SPDX-License-Identifier: MIT
 *
 * A tile of queries × rows stays in registers while the features are added; its numbers are compared with the queries' thresholds there, and only those that reach them
 * are stored. */
#ifndef LS_KERNELS_KNN_TILE_H
#define LS_KERNELS_KNN_TILE_H

#include "core/kernels/knn_queue.h"
#include "core/kernels/pack.h"

#if defined(__AVX2__)
#include <immintrin.h>
#endif

#if defined(__AVX512F__)
enum { BYTES = 64, QUERIES = 14, VECTORS = 2 };
#elif defined(__AVX2__)
enum { BYTES = 32, QUERIES = 6, VECTORS = 2 };
#else
enum { BYTES = 16, QUERIES = 4, VECTORS = 2 };
#endif
enum { LANES = BYTES / 4, ROWS = VECTORS * LANES };

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

#endif
