/* Ranks of relevant rows, compiled once for each instruction set. SPDX-License-Identifier: MIT
 *
 * The relevant scores are sorted: a counting sort by equal parts of their range, then by insertion. A finer table says for each part of the range how many of them
 * are nearer, and whether one may be within reach; all other rows only look there. Sorting all rows costs five times as much. */
#include "core/kernels/rank.h"

#include <lsengine/knn.h>

#include <math.h>
#include <string.h>

#if defined(__AVX512F__)
#include <immintrin.h>
#endif

#define LS_PASTE_(a, b) a##b
#define LS_PASTE(a, b) LS_PASTE_(a, b)
#define LS_RANK_NAME LS_PASTE(ls_rank_, LS_ISA)
#define LS_NEAR_NAME LS_PASTE(ls_near_, LS_ISA)

enum { DOUBT = 0x8000, AT_ONCE = 256 };

typedef struct scale {
  float most, inverse, last;
} scale;

/* Parts of the range, the nearest first: 0 is above it, the last below. Never decreasing as s falls. */
static inline int32_t part_of(scale c, float s) {
  float part = (c.most - s) * c.inverse + 1.0f;
  part = part < 0.0f ? 0.0f : part;
  part = part < c.last ? part : c.last;
  return (int32_t)part;
}

/* Bits that rise as the number falls. */
static inline uint32_t falling_bits(float x) {
  uint32_t u;
  x += 0.0f;
  memcpy(&u, &x, sizeof u);
  return u >> 31 ? u : ~(u | 0x80000000u);
}

static inline float of_falling_bits(uint32_t u) {
  float x;
  u = u >> 31 ? u : ~u & 0x7fffffffu;
  memcpy(&x, &u, sizeof x);
  return x;
}

static void sort_relevant(ls_rank *r, scale c, int shift) {
  uint16_t *start = r->table; /* the table is made afterwards */
  int32_t parts = ((int32_t)c.last >> shift) + 1, n = 0, total = 0;
  uint64_t *to = r->keys, *keys = r->keys + r->relevant;
  memset(start, 0, sizeof *start * (size_t)parts);
  for (int32_t i = r->first; i < r->end; i++) {
    if (i == r->self) continue;
    start[part_of(c, r->score[i]) >> shift]++;
    keys[n++] = (uint64_t)falling_bits(r->score[i]) << 32 | (uint32_t)i;
  }
  for (int32_t p = 0; p < parts; p++) {
    int32_t of = start[p];
    start[p] = (uint16_t)total;
    total += of;
  }
  for (int32_t i = 0; i < n; i++) to[start[part_of(c, of_falling_bits((uint32_t)(keys[i] >> 32))) >> shift]++] = keys[i];
  for (int32_t i = 1; i < n; i++) {
    uint64_t x = to[i];
    int32_t at = i;
    for (; at > 0 && to[at - 1] > x; at--) to[at] = to[at - 1];
    to[at] = x;
  }
  for (int32_t i = 0; i < n; i++) {
    r->sorted[i] = of_falling_bits((uint32_t)(to[i] >> 32));
    r->row[i] = (int32_t)(uint32_t)to[i];
  }
}

static inline int32_t fill(uint16_t *table, int32_t from, int32_t end, uint16_t with) { /* up to 31 places too many are overwritten later */
  for (int32_t at = from; at < end; at += 32)
    for (int l = 0; l < 32; l++) table[at + l] = with;
  return end > from ? end : from;
}

static void make_table(ls_rank *r, scale c) {
  int32_t next = 0;
  for (int32_t p = 0; p < r->relevant; p++) {
    next = fill(r->table, next, part_of(c, r->sorted[p] + r->reach), (uint16_t)p);
    next = fill(r->table, next, part_of(c, r->sorted[p] - r->reach) + 1, (uint16_t)(p | DOUBT));
  }
  fill(r->table, next, (int32_t)c.last + 1, (uint16_t)r->relevant);
}

/* Others from `from` on. */
static int32_t look_up(ls_rank *r, scale c, int32_t from, int32_t end, int32_t doubtful) {
  uint32_t unused = (uint32_t)r->relevant + 1;
  float nearest = r->nearest;
  for (; from < end; from += AT_ONCE) {
    uint32_t after[AT_ONCE];
    int32_t n = end - from < AT_ONCE ? end - from : AT_ONCE, i = 0;
    const float *score = r->score + from;
#if defined(__AVX512F__)
    __m512 most = _mm512_set1_ps(c.most), inverse = _mm512_set1_ps(c.inverse), last = _mm512_set1_ps(c.last), top = _mm512_set1_ps(nearest);
    for (; i + 16 <= n; i += 16) {
      __m512 s = _mm512_loadu_ps(score + i);
      top = _mm512_max_ps(top, s);
      __m512 part = _mm512_add_ps(_mm512_mul_ps(_mm512_sub_ps(most, s), inverse), _mm512_set1_ps(1.0f));
      part = _mm512_min_ps(_mm512_max_ps(part, _mm512_setzero_ps()), last);
      __m512i found = _mm512_and_si512(_mm512_i32gather_epi32(_mm512_cvttps_epi32(part), (const void *)r->table, 2), _mm512_set1_epi32(0xffff));
      __mmask16 doubt = _mm512_test_epi32_mask(found, _mm512_set1_epi32(DOUBT));
      __m512i place = _mm512_add_epi32(_mm512_set1_epi32(from + i), _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0));
      _mm512_mask_compressstoreu_epi32(r->doubtful + doubtful, doubt, place);
      _mm512_mask_compressstoreu_epi32(r->after + doubtful, doubt, _mm512_and_si512(found, _mm512_set1_epi32(DOUBT - 1)));
      doubtful += __builtin_popcount(doubt);
      _mm512_storeu_si512(after + i, _mm512_mask_set1_epi32(found, doubt, (int)unused));
    }
    nearest = _mm512_reduce_max_ps(top);
#endif
    for (; i < n; i++) {
      uint32_t found = r->table[part_of(c, score[i])], doubt = found / DOUBT;
      nearest = score[i] > nearest ? score[i] : nearest;
      r->doubtful[doubtful] = from + i;
      r->after[doubtful] = (int32_t)(found & (DOUBT - 1));
      doubtful += (int32_t)doubt;
      after[i] = doubt ? unused : found;
    }
    for (i = 0; i < n; i++) r->before[after[i]]++;
  }
  r->nearest = nearest;
  return doubtful;
}

int32_t LS_RANK_NAME(ls_rank *r) {
  float low = INFINITY, high = -INFINITY;
  r->relevant = r->end - r->first - (r->self >= 0);
  r->nearest = -INFINITY;
  for (int32_t i = r->first; i < r->end; i++) {
    float s = i == r->self ? r->score[i > r->first ? i - 1 : r->end - 1] : r->score[i];
    low = s < low ? s : low;
    high = s > high ? s : high;
  }
  if (r->relevant < 1) return 0;
  int32_t buckets = 1024;
  while (buckets < 16 * r->relevant && buckets < LS_RANK_BUCKETS) buckets *= 2;
  scale c = {.most = high + r->reach, .last = (float)(buckets - 1)};
  float range = c.most - (low - r->reach);
  c.inverse = (float)(buckets - 4) / range;
  if (!(range > 0.0f) || !isfinite(c.inverse)) c.inverse = 0.0f; /* all in one part */
  int shift = 0;
  while (buckets >> (shift + 1) >= 2 * r->relevant) shift++;
  sort_relevant(r, c, shift);
  make_table(r, c);
  memset(r->before, 0, sizeof *r->before * ((size_t)r->relevant + 2));
  return look_up(r, c, r->end, r->count, look_up(r, c, 0, r->first, 0));
}

static inline __attribute__((always_inline)) double near(int metric, int32_t d, const float *q, double q_inverse, const float *x, double inverse) {
  enum { LANES = 16 };
  double sum[LANES] = {0}, total = 0.0;
  int32_t j = 0;
  for (; j + LANES <= d; j += LANES)
    for (int l = 0; l < LANES; l++) {
      double a = (double)q[j + l], b = (double)x[j + l];
      if (metric == LS_METRIC_COSINE) a *= q_inverse, b *= inverse;
      sum[l] += metric == LS_METRIC_INNER_PRODUCT ? -(a * b) : (a - b) * (a - b);
    }
  for (; j < d; j++) {
    double a = (double)q[j], b = (double)x[j];
    if (metric == LS_METRIC_COSINE) a *= q_inverse, b *= inverse;
    total += metric == LS_METRIC_INNER_PRODUCT ? -(a * b) : (a - b) * (a - b);
  }
  for (int width = LANES / 2; width > 0; width /= 2)
    for (int l = 0; l < width; l++) sum[l] += sum[l + width];
  return metric == LS_METRIC_COSINE ? 0.5 * (sum[0] + total) : sum[0] + total;
}

double LS_NEAR_NAME(int metric, int32_t d, const float *q, double q_inverse, const float *x, double inverse) {
  if (metric == LS_METRIC_L2) return near(LS_METRIC_L2, d, q, 1.0, x, 1.0);
  if (metric == LS_METRIC_INNER_PRODUCT) return near(LS_METRIC_INNER_PRODUCT, d, q, 1.0, x, 1.0);
  return near(LS_METRIC_COSINE, d, q, q_inverse, x, inverse);
}
