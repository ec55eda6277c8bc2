/* The tile of the nearest-neighbour search in bfloat16 on AMX. SPDX-License-Identifier: MIT
 *
 * 32 queries × 32 rows: four accumulators, two tiles of queries, two of rows; 2·16·16·32 operations an instruction, 16 times those of an AVX-512 one.
 * Products of bfloat16 are exact in float32 and added there, by the nearest, numbers below 2^-126 as zeros (Intel, Architecture Instruction Set Extensions,
 * TDPBF16PS). What rounding to bfloat16 takes is bounded by the norms of what it took (Cauchy-Schwarz), for a tile by its rows' largest: rows in the order of
 * their norms make that no loss. (Starting
 * the accumulators with the rows' bias, a line read sixteen times with a stride of 0, cost more than adding it afterwards.) */
#include "core/kernels/knn_queue.h"

#include <math.h>
#include <string.h>

enum { TILE = 16 * 32 }; /* numbers of a tile */

_Static_assert(LS_KNN_WIDE == 32, "two tiles");

typedef struct __attribute__((packed)) tile_configuration {
  uint8_t palette, start_row, reserved[14];
  uint16_t bytes[16];
  uint8_t rows[16];
} tile_configuration;

static void configure(void) {
  tile_configuration c = {.palette = 1};
  for (int t = 0; t < 8; t++) {
    c.bytes[t] = 64;
    c.rows[t] = 16;
  }
  _tile_loadconfig(&c);
}

/* ---- packing ---- */

typedef struct sums {
  __m512d square;
  __m512 rest, middle, low;
} sums;

static inline __m512 rounded(__m512 v) { /* to bfloat16, to the nearest, ties to even */
  __m512i bits = _mm512_castps_si512(v), odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
  bits = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
  return _mm512_castsi512_ps(_mm512_and_si512(bits, _mm512_set1_epi32((int)0xffff0000)));
}

static inline __m256i narrowed(__m512 v) { return _mm512_cvtepi32_epi16(_mm512_srli_epi32(_mm512_castps_si512(v), 16)); }

/* Sixteen numbers as bfloat16: high, middle and low where these are wanted; adds to the sums. */
static inline void narrow(const ls_knn_wide_packing *p, int l, int32_t first, __mmask16 some, sums *s, __m256i level[3][2], int h) {
  __m512 in = _mm512_maskz_loadu_ps(some, p->x[l] + first);
  __m512d v0 = _mm512_cvtps_pd(_mm512_castps512_ps256(in)), v1 = _mm512_cvtps_pd(_mm512_extractf32x8_ps(in, 1));
  __m512d factor = _mm512_set1_pd(p->factor[l]), scale = _mm512_set1_pd(p->scale[l]);
  v0 = _mm512_mul_pd(v0, factor);
  v1 = _mm512_mul_pd(v1, factor);
  if (p->centre != NULL) {
    v0 = _mm512_sub_pd(v0, _mm512_maskz_loadu_pd((__mmask8)some, p->centre + first));
    v1 = _mm512_sub_pd(v1, _mm512_maskz_loadu_pd((__mmask8)(some >> 8), p->centre + first + 8));
  }
  v0 = _mm512_mul_pd(v0, scale);
  v1 = _mm512_mul_pd(v1, scale);
  s->square = _mm512_fmadd_pd(v0, v0, _mm512_fmadd_pd(v1, v1, s->square));
  __m512 v = _mm512_insertf32x8(_mm512_castps256_ps512(_mm512_cvtpd_ps(v0)), _mm512_cvtpd_ps(v1), 1);
  __m512 most = rounded(v), lost = _mm512_sub_ps(v, most);
  level[0][h] = narrowed(most);
  if (p->split) {
    __m512 middle = rounded(lost), left = _mm512_sub_ps(lost, middle), low = rounded(left);
    s->middle = _mm512_fmadd_ps(lost, lost, s->middle);
    s->low = _mm512_fmadd_ps(left, left, s->low);
    level[1][h] = narrowed(middle);
    level[2][h] = narrowed(low);
    lost = _mm512_sub_ps(left, low);
  }
  s->rest = _mm512_fmadd_ps(lost, lost, s->rest);
}

/* Line l of a part: 32 numbers in a row, or pair by pair below each other. */
static inline void put(uint16_t *to, int l, const __m256i line[2], int pairs) {
  if (!pairs) {
    memcpy(to + l * 32, line, 2 * sizeof *line);
    return;
  }
  uint32_t pair[16];
  memcpy(pair, line, sizeof pair);
  for (int i = 0; i < 16; i++) memcpy(to + i * 32 + l * 2, &pair[i], sizeof *pair);
}

static void pack(ls_knn_wide_packing *p, int pairs) {
  size_t parts = p->split ? p->parts / 3 : p->parts;
  for (int l = 0; l < 16; l++) {
    sums s = {_mm512_setzero_pd(), _mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps()};
    for (size_t part = 0; part < parts; part++) {
      __m256i level[3][2] = {{{0}}};
      for (int h = 0; h < 2; h++) {
        int32_t first = (int32_t)part * 32 + h * 16, left = p->features - first;
        __mmask16 some = (__mmask16)(l >= p->count || left <= 0 ? 0u : left >= 16 ? 0xffffu : (1u << left) - 1);
        if (some != 0) narrow(p, l, first, some, &s, level, h);
      }
      for (size_t v = 0; v < (p->split ? 3 : 1); v++) put(p->to + (v * parts + part) * 2 * TILE, l, level[v], pairs);
    }
    p->square[l] = _mm512_reduce_add_pd(s.square);
    /* sums of at most 2^17 numbers in float; what float took of the doubles; squares too small for float */
    p->middle[l] = sqrt((double)_mm512_reduce_add_ps(s.middle) * 1.02) + 0x1p-60;
    p->low[l] = sqrt((double)_mm512_reduce_add_ps(s.low) * 1.02) + 0x1p-60;
    p->rest[l] = sqrt((double)_mm512_reduce_add_ps(s.rest) * 1.02) + sqrt(p->square[l]) * 0x1.01p-24 + 0x1p-60;
  }
}

static void pack_queries(ls_knn_wide_packing *p) { pack(p, 0); }
static void pack_rows(ls_knn_wide_packing *p) { pack(p, 1); }

/* ---- the sweep ---- */

/* Thresholds less what the scores of these rows may be off, for the 32 queries of a panel. */
static inline void lower_thresholds(const ls_knn_sweep *s, size_t panel, size_t group, float to[LS_KNN_WIDE]) {
  const ls_knn_error *e = s->error + panel * LS_KNN_WIDE;
  const float *threshold = s->threshold + panel * LS_KNN_WIDE;
  float size = s->size[group], rest = s->rest[group];
  for (int q = 0; q < LS_KNN_WIDE; q++) to[q] = threshold[q] - 1.00001f * (e[q].a * size + e[q].b * rest + e[q].c * size * size);
}

#define ROWS_OF(b)                                                                                                       \
  _tile_loadd(6, b, 64);                                                                                                 \
  _tile_loadd(7, (b) + TILE, 64)
#define QUERIES_OF(a)                                                                                                    \
  _tile_loadd(4, a, 64);                                                                                                 \
  _tile_loadd(5, (a) + TILE, 64)
#define PRODUCTS                                                                                                         \
  _tile_dpbf16ps(0, 4, 6);                                                                                               \
  _tile_dpbf16ps(1, 4, 7);                                                                                               \
  _tile_dpbf16ps(2, 5, 6);                                                                                               \
  _tile_dpbf16ps(3, 5, 7)

/* Of split numbers what is not high by high, the smallest first. */
static void multiply_small(const uint16_t *a, const uint16_t *b, size_t parts) {
  const uint16_t *a1 = a + parts * 2 * TILE, *a2 = a1 + parts * 2 * TILE, *b1 = b + parts * 2 * TILE, *b2 = b1 + parts * 2 * TILE;
  for (size_t p = 0; p < parts * 2 * TILE; p += 2 * TILE) {
    QUERIES_OF(a + p);
    ROWS_OF(b2 + p);
    PRODUCTS;
    QUERIES_OF(a2 + p);
    ROWS_OF(b + p);
    PRODUCTS;
    QUERIES_OF(a1 + p);
    PRODUCTS;
    ROWS_OF(b1 + p);
    PRODUCTS;
    QUERIES_OF(a + p);
    PRODUCTS;
  }
}

static inline void multiply(const uint16_t *a, const uint16_t *b, size_t parts, int split, float *to) {
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  if (split) {
    parts /= 3;
    multiply_small(a, b, parts);
  }
  for (size_t part = 0; part < parts; part++, a += 2 * TILE, b += 2 * TILE) {
    _tile_loadd(4, a, 64);
    _tile_loadd(6, b, 64);
    _tile_dpbf16ps(0, 4, 6);
    _tile_loadd(7, b + TILE, 64);
    _tile_dpbf16ps(1, 4, 7);
    _tile_loadd(5, a + TILE, 64);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
  _tile_stored(0, to, 128);
  _tile_stored(1, to + 16, 128);
  _tile_stored(2, to + TILE, 128);
  _tile_stored(3, to + TILE + 16, 128);
}

/* What reaches its threshold goes into the queues. */
static inline void select(const ls_knn_sweep *s, size_t panel, size_t group, const float *score) {
  float threshold[LS_KNN_WIDE] __attribute__((aligned(64)));
  __mmask16 hit[LS_KNN_WIDE] __attribute__((aligned(64)));
  const float *bias = s->bias + group * LS_KNN_WIDE;
  __m512 bias0 = _mm512_loadu_ps(bias), bias1 = _mm512_loadu_ps(bias + 16);
  if (s->scores != NULL) {
    float *to = s->scores + panel * LS_KNN_WIDE * s->scores_step + (size_t)s->first + group * LS_KNN_WIDE;
    for (int q = 0; q < LS_KNN_WIDE; q++, to += s->scores_step) {
      _mm512_storeu_ps(to, _mm512_add_ps(_mm512_load_ps(score + q * 32), bias0));
      _mm512_storeu_ps(to + 16, _mm512_add_ps(_mm512_load_ps(score + q * 32 + 16), bias1));
    }
    return;
  }
  lower_thresholds(s, panel, group, threshold);
#pragma GCC unroll 4
  for (int q = 0; q < LS_KNN_WIDE; q++) {
    __m512 most = _mm512_max_ps(_mm512_add_ps(_mm512_load_ps(score + q * 32), bias0), _mm512_add_ps(_mm512_load_ps(score + q * 32 + 16), bias1));
    _store_mask16(&hit[q], _mm512_cmp_ps_mask(most, _mm512_set1_ps(threshold[q]), _CMP_GE_OQ));
  }
  __m512i hits = _mm512_load_si512(hit);
  int32_t first = s->first + (int32_t)group * LS_KNN_WIDE;
  for (uint32_t any = _mm512_test_epi16_mask(hits, hits); any != 0; any &= any - 1) {
    int i = __builtin_ctz(any);
    ls_knn_queue *q = &s->queue[panel * LS_KNN_WIDE + (size_t)i];
    __m512 t = _mm512_set1_ps(threshold[i]), s0 = _mm512_add_ps(_mm512_load_ps(score + i * 32), bias0), s1 = _mm512_add_ps(_mm512_load_ps(score + i * 32 + 16), bias1);
    ls_knn_push16(q, s0, _mm512_cmp_ps_mask(s0, t, _CMP_GE_OQ), first);
    ls_knn_push16(q, s1, _mm512_cmp_ps_mask(s1, t, _CMP_GE_OQ), first + 16);
    if (q->capacity - q->count < LS_KNN_SPARE) s->full(s->context, panel * LS_KNN_WIDE + (size_t)i);
  }
}

/* The products of the next tile are under way while this one's are looked at, and the next panel of rows is on its way to the second cache. */
static void sweep(const ls_knn_sweep *s) {
  float scores[2][2 * TILE] __attribute__((aligned(64)));
  const uint16_t *queries = s->queries, *rows = s->rows;
  size_t step = s->steps * 2 * TILE, tiles = s->row_panels * s->panels, before_panel = 0, before_group = 0, panel = 0, group = 0;
  size_t share = (step / 32 + s->panels - 1) / s->panels; /* lines */
  configure();
  for (size_t t = 0; t < tiles; t++) {
    if (group + 1 < s->row_panels)
      for (size_t line = panel * share; line < (panel + 1) * share; line++) _mm_prefetch((const char *)(rows + (group + 1) * step + line * 32), _MM_HINT_T1);
    multiply(queries + panel * step, rows + group * step, s->steps, s->split, scores[t & 1]);
    if (t > 0) select(s, before_panel, before_group, scores[~t & 1]);
    before_panel = panel;
    before_group = group;
    if (++panel == s->panels) {
      panel = 0;
      group++;
    }
  }
  if (tiles > 0) select(s, before_panel, before_group, scores[~tiles & 1]);
  _tile_release();
}

const ls_knn_wide_kernels ls_knn_wide_amx = {.pack_queries = pack_queries, .pack_rows = pack_rows, .sweep = sweep};
