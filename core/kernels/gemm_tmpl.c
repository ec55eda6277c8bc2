/* A block of a matrix product, compiled once for each instruction set that has FMA. SPDX-License-Identifier: MIT
 *
 * After Goto & van de Geijn 2008 and BLIS: a part of op(a) is packed by tiles of ROWS rows, so that a step of the inner dimension reads neighbours; a
 * panel of op(b), VECTORS vectors wide, is packed and stays in the first cache; a tile of c stays in registers while the part is added. Tiles share
 * out the rows evenly: 128 rows are eight tiles of 13 and two of 12, not nine of 14 and one of 2. */
#include "core/kernels/gemm.h"

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__AVX512F__)
enum { LANES = 16, ROWS = 14, STEPS = 1 };
#define BLOCK ls_gemm_block_avx512
typedef __m512 vec;
static inline vec load(const float *x) { return _mm512_loadu_ps(x); }
static inline void store(float *x, vec v) { _mm512_storeu_ps(x, v); }
static inline vec load_part(const float *x, int n) { return _mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), x); }
static inline void store_part(float *x, int n, vec v) { _mm512_mask_storeu_ps(x, (__mmask16)((1u << n) - 1), v); }
static inline vec zero(void) { return _mm512_setzero_ps(); }
static inline vec plus(vec a, vec b) { return _mm512_add_ps(a, b); }
static inline vec times_plus(float a, vec b, vec c) { return _mm512_fmadd_ps(_mm512_set1_ps(a), b, c); }
static inline vec low(vec a, vec b) { return _mm512_unpacklo_ps(a, b); }
static inline vec high(vec a, vec b) { return _mm512_unpackhi_ps(a, b); }
static inline vec low_pairs(vec a, vec b) { return _mm512_castpd_ps(_mm512_unpacklo_pd(_mm512_castps_pd(a), _mm512_castps_pd(b))); }
static inline vec high_pairs(vec a, vec b) { return _mm512_castpd_ps(_mm512_unpackhi_pd(_mm512_castps_pd(a), _mm512_castps_pd(b))); }
#else
enum { LANES = 8, ROWS = 6, STEPS = 4 }; /* four steps at once: 2 % on a Zen 3, five sixths of whose peak it had before */
#define BLOCK ls_gemm_block_avx2
typedef __m256 vec;
static inline vec load(const float *x) { return _mm256_loadu_ps(x); }
static inline void store(float *x, vec v) { _mm256_storeu_ps(x, v); }
static inline __m256i first_lanes(int n) { return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7)); }
static inline vec load_part(const float *x, int n) { return _mm256_maskload_ps(x, first_lanes(n)); }
static inline void store_part(float *x, int n, vec v) { _mm256_maskstore_ps(x, first_lanes(n), v); }
static inline vec zero(void) { return _mm256_setzero_ps(); }
static inline vec plus(vec a, vec b) { return _mm256_add_ps(a, b); }
static inline vec times_plus(float a, vec b, vec c) { return _mm256_fmadd_ps(_mm256_set1_ps(a), b, c); }
static inline vec low(vec a, vec b) { return _mm256_unpacklo_ps(a, b); }
static inline vec high(vec a, vec b) { return _mm256_unpackhi_ps(a, b); }
static inline vec low_pairs(vec a, vec b) { return _mm256_castpd_ps(_mm256_unpacklo_pd(_mm256_castps_pd(a), _mm256_castps_pd(b))); }
static inline vec high_pairs(vec a, vec b) { return _mm256_castpd_ps(_mm256_unpackhi_pd(_mm256_castps_pd(a), _mm256_castps_pd(b))); }
#endif
enum { VECTORS = 2, PANEL = VECTORS * LANES, TOGETHER = 8 };
_Static_assert(PANEL <= LS_GEMM_COLUMNS, "a panel fits the scratch");

/* Rows become columns. In steps of four within quarters of 128 bits, then the quarters. */
static inline __attribute__((always_inline)) void transpose(vec r[LANES]) {
  vec t[LANES], q[LANES];
#pragma GCC unroll 8
  for (int i = 0; i < LANES; i += 2) t[i] = low(r[i], r[i + 1]), t[i + 1] = high(r[i], r[i + 1]);
#pragma GCC unroll 4
  for (int i = 0; i < LANES; i += 4) {
    q[i] = low_pairs(t[i], t[i + 2]), q[i + 1] = high_pairs(t[i], t[i + 2]);
    q[i + 2] = low_pairs(t[i + 1], t[i + 3]), q[i + 3] = high_pairs(t[i + 1], t[i + 3]);
  }
#pragma GCC unroll 4
  for (int c = 0; c < 4; c++) {
#if defined(__AVX512F__)
    vec even_low = _mm512_shuffle_f32x4(q[c], q[4 + c], 0x88), odd_low = _mm512_shuffle_f32x4(q[c], q[4 + c], 0xdd);
    vec even_high = _mm512_shuffle_f32x4(q[8 + c], q[12 + c], 0x88), odd_high = _mm512_shuffle_f32x4(q[8 + c], q[12 + c], 0xdd);
    r[c] = _mm512_shuffle_f32x4(even_low, even_high, 0x88), r[8 + c] = _mm512_shuffle_f32x4(even_low, even_high, 0xdd);
    r[4 + c] = _mm512_shuffle_f32x4(odd_low, odd_high, 0x88), r[12 + c] = _mm512_shuffle_f32x4(odd_low, odd_high, 0xdd);
#else
    r[c] = _mm256_permute2f128_ps(q[c], q[4 + c], 0x20), r[4 + c] = _mm256_permute2f128_ps(q[c], q[4 + c], 0x31);
#endif
  }
}

/* out[l · step + i] = x[i · stride + l] for i < rows, l < inner; i from `rows` to LANES: 0 where there is room before the next step, or overwritten by it. */
static inline __attribute__((always_inline)) void pack_turned(const float *x, ptrdiff_t stride, int rows, int32_t inner, float *out, ptrdiff_t step) {
  vec r[LANES];
  for (int32_t l = 0; l < inner; l += LANES) {
    int n = inner - l < LANES ? (int)(inner - l) : LANES;
    if (n == LANES && rows == LANES) {
#pragma GCC unroll 16
      for (int i = 0; i < LANES; i++) r[i] = load(x + i * stride + l);
    } else {
#pragma GCC unroll 16
      for (int i = 0; i < LANES; i++) r[i] = i < rows ? n == LANES ? load(x + i * stride + l) : load_part(x + i * stride + l, n) : zero();
    }
    transpose(r);
    if (n == LANES) {
#pragma GCC unroll 16
      for (int i = 0; i < LANES; i++) store(out + (l + i) * step, r[i]);
    } else {
#pragma GCC unroll 16
      for (int i = 0; i < LANES; i++)
        if (i < n) store(out + (l + i) * step, r[i]);
    }
  }
}

/* out[l · step + i] = x[l · stride + i] for i < n <= LANES, 0 or overwritten beyond. */
static inline void pack_straight(const float *x, ptrdiff_t stride, int n, int32_t inner, float *out, ptrdiff_t step) {
  if (n == LANES)
    for (int32_t l = 0; l < inner; l++) store(out + l * step, load(x + l * stride));
  else
    for (int32_t l = 0; l < inner; l++) store(out + l * step, load_part(x + l * stride, n));
}

/* Rows of tile t of `tiles`: from where. */
static inline int32_t tile_start(int32_t rows, int32_t tiles, int32_t t) { return (int32_t)((int64_t)rows * t / tiles); }

static void pack_a(const ls_gemm_block *j, int32_t from, int32_t inner, int32_t tiles, float *out) {
  for (int32_t t = 0; t < tiles; t++) {
    int32_t start = tile_start(j->rows, tiles, t), rows = tile_start(j->rows, tiles, t + 1) - start, row = j->row + start;
    float *to = out + (ptrdiff_t)start * inner;
    if (j->transpose_a)
      pack_straight(j->a.data + from * j->a.stride + row, j->a.stride, rows, inner, to, rows);
    else
      pack_turned(j->a.data + row * j->a.stride + from, j->a.stride, rows, inner, to, rows);
  }
}

static void pack_b(const ls_gemm_block *j, int32_t from, int32_t inner, int32_t col, int cols, float *out) {
  int step = cols <= LANES ? LANES : PANEL;
  if (!j->transpose_b && cols == PANEL) { /* whole rows of the panel: each is on a page of its own, so once */
    const float *x = j->b.data + from * j->b.stride + col;
    for (int32_t l = 0; l < inner; l++, x += j->b.stride, out += PANEL)
      for (int v = 0; v < VECTORS; v++) store(out + v * LANES, load(x + v * LANES));
    return;
  }
  for (int done = 0; done < cols; done += LANES) {
    int n = cols - done < LANES ? cols - done : LANES;
    if (j->transpose_b)
      pack_turned(j->b.data + (col + done) * j->b.stride + from, j->b.stride, n, inner, out + done, step);
    else
      pack_straight(j->b.data + from * j->b.stride + col + done, j->b.stride, n, inner, out + done, step);
  }
}

/* Lines of memory to ask for while tiles multiply: what pack_b will read next, which waits for memory otherwise. Evenly over the steps of all tiles: loads of
 * their own would wait behind many at once. */
typedef struct ahead {
  const float *line;
  ptrdiff_t stride;
  int32_t row, across, rows; /* lines asked for of this row, of each row, rows left */
  const float *also[2];      /* what is asked for with a tile's own lines, or NULL */
} ahead;

static ahead look_ahead(const ls_gemm_block *j, int32_t from, int32_t inner, int32_t col, int cols) {
  int32_t rows = j->transpose_b ? cols : inner, length = j->transpose_b ? inner : cols;
  const float *x = j->transpose_b ? j->b.data + col * j->b.stride + from : j->b.data + from * j->b.stride + col;
  return (ahead){x, j->b.stride, 0, (length + 15) / 16 + (length % 16 != 1 && ((uintptr_t)x & 63) != 0), rows, {NULL, NULL}};
}

static inline void ask(ahead *n) {
  if (n->rows <= 0) return;
  __builtin_prefetch(n->line + n->row * 16, 0, 2);
  if (++n->row < n->across) return;
  n->row = 0;
  n->line += n->stride;
  n->rows--;
}

static inline __attribute__((always_inline)) void tile(const int rows, const int vectors, int32_t inner, const float *a, const float *b, ptrdiff_t step, float *c,
                                                       ptrdiff_t stride, int cols, bool add, ahead *next, int32_t asked) {
  vec sum[ROWS][VECTORS];
#pragma GCC unroll 14
  for (int r = 0; r < rows; r++)
#pragma GCC unroll 2
    for (int v = 0; v < vectors; v++) sum[r][v] = zero();
  const float *line = c;
  for (int32_t l = 0, own = 0; l < inner;) {
    int32_t end = inner - l < TOGETHER ? inner : l + TOGETHER;
    if (own++ < rows) {
#pragma GCC unroll 2
      for (int i = 0; i < vectors; i++) __builtin_prefetch(line + i * LANES, 1);
      line += stride;
      for (int k = 0; k < 2 && next->also[k] != NULL; next->also[k++] += stride)
        for (int i = 0; i < vectors; i++) __builtin_prefetch(next->also[k] + i * LANES, 0, 2);
    }
    for (int32_t i = 0; i < asked; i++) ask(next);
#pragma GCC unroll STEPS
    for (; l < end; l++) {
      vec x[VECTORS];
#pragma GCC unroll 2
      for (int v = 0; v < vectors; v++) x[v] = load(b + v * LANES);
#pragma GCC unroll 14
      for (int r = 0; r < rows; r++)
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++) sum[r][v] = times_plus(a[r], x[v], sum[r][v]);
      a += rows;
      b += step;
    }
  }
#pragma GCC unroll 14
  for (int r = 0; r < rows; r++)
#pragma GCC unroll 2
    for (int v = 0; v < vectors; v++) {
      float *to = c + r * stride + v * LANES;
      int n = cols - v * LANES;
      if (n >= LANES)
        store(to, add ? plus(load(to), sum[r][v]) : sum[r][v]);
      else
        store_part(to, n, add ? plus(load_part(to, n), sum[r][v]) : sum[r][v]);
    }
}

#define TILE(r)                                                                 \
  case r:                                                                       \
    if (cols <= LANES)                                                          \
      tile(r, 1, inner, a, b, step, c, stride, cols, add, next, asked);         \
    else                                                                        \
      tile(r, VECTORS, inner, a, b, step, c, stride, cols, add, next, asked);   \
    break;

static void any_tile(int rows, int32_t inner, const float *a, const float *b, ptrdiff_t step, float *c, ptrdiff_t stride, int cols, bool add, ahead *next,
                     int32_t asked) {
  switch (rows) {
    TILE(1) TILE(2) TILE(3) TILE(4) TILE(5) TILE(6)
#if defined(__AVX512F__)
    TILE(7) TILE(8) TILE(9) TILE(10) TILE(11) TILE(12) TILE(13) TILE(14)
#endif
  }
}

/* Whole panels of aligned rows that lie in different sets of the first cache gain nothing by packing. */
static bool reads_b_as_it_is(const ls_gemm_block *j, int cols) {
  return !j->transpose_b && cols == PANEL && ((uintptr_t)(j->b.data + j->col) & 63) == 0 && j->b.stride % 16 == 0 && j->b.stride / 16 % 4 != 0;
}

void BLOCK(const ls_gemm_block *j) {
  int32_t parts = (j->k + LS_GEMM_INNER - 1) / LS_GEMM_INNER, tiles = (j->rows + ROWS - 1) / ROWS;
  float *panel = j->scratch, *packed = panel + LS_GEMM_COLUMNS * LS_GEMM_INNER;
  for (int32_t part = 0; part < parts; part++) {
    int32_t from = tile_start(j->k, parts, part), inner = tile_start(j->k, parts, part + 1) - from;
    pack_a(j, from, inner, tiles, packed);
    for (int32_t done = 0; done < j->cols; done += PANEL) {
      int cols = j->cols - done < PANEL ? j->cols - done : PANEL, more = j->cols - done - cols < PANEL ? j->cols - done - cols : PANEL;
      const float *b = reads_b_as_it_is(j, cols) ? j->b.data + from * j->b.stride + j->col + done : panel;
      ptrdiff_t step = b != panel ? j->b.stride : cols <= LANES ? LANES : PANEL;
      if (b == panel) pack_b(j, from, inner, j->col + done, cols, panel);
      ahead next = look_ahead(j, from, inner, j->col + done + PANEL, more);
      int32_t times = tiles * ((inner + TOGETHER - 1) / TOGETHER), asked = (next.rows * next.across + times - 1) / times;
      for (int32_t t = 0; t < tiles; t++) {
        int32_t start = tile_start(j->rows, tiles, t), rows = tile_start(j->rows, tiles, t + 1) - start;
        ptrdiff_t at = (j->row + start) * j->c.stride + j->col + done;
        for (int k = 0; k < 2 && part == parts - 1; k++) next.also[k] = j->also[k] != NULL ? j->also[k] + at : NULL;
        any_tile(rows, inner, packed + (ptrdiff_t)start * inner, b, step, j->c.data + at, j->c.stride, cols, j->add || part > 0, &next, asked);
      }
    }
  }
}
