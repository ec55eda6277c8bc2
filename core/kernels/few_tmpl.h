/* Rows of few classes as one run of numbers: exponentials of all, sums of rows. SPDX-License-Identifier: MIT
 *
 * A row's sum: t_l = x_l + x_(l+8) + … for l < 8, then ((t0+t2)+(t1+t3)) + ((t4+t6)+(t5+t7)), in float: the same bits on every set. */
#ifndef LS_KERNELS_FEW_TMPL_H
#define LS_KERNELS_FEW_TMPL_H

#include "core/kernels/kernels.h"
#include "core/kernels/vectors_tmpl.h"

#define ALWAYS inline __attribute__((always_inline))

/* Interleaving within 128 bits, by one and by two numbers; x86 has one instruction for each. */
#if defined(__AVX512F__)
static ALWAYS vec low_ones(vec a, vec b) { return _mm512_unpacklo_ps(a, b); }
static ALWAYS vec high_ones(vec a, vec b) { return _mm512_unpackhi_ps(a, b); }
static ALWAYS vec low_twos(vec a, vec b) { return (vec)_mm512_unpacklo_pd((__m512d)a, (__m512d)b); }
static ALWAYS vec high_twos(vec a, vec b) { return (vec)_mm512_unpackhi_pd((__m512d)a, (__m512d)b); }
#elif defined(__AVX2__)
static ALWAYS vec low_ones(vec a, vec b) { return _mm256_unpacklo_ps(a, b); }
static ALWAYS vec high_ones(vec a, vec b) { return _mm256_unpackhi_ps(a, b); }
static ALWAYS vec low_twos(vec a, vec b) { return (vec)_mm256_unpacklo_pd((__m256d)a, (__m256d)b); }
static ALWAYS vec high_twos(vec a, vec b) { return (vec)_mm256_unpackhi_pd((__m256d)a, (__m256d)b); }
#else
static ALWAYS vec low_ones(vec a, vec b) { return __builtin_shuffle(a, b, (ivec){0, 4, 1, 5}); }
static ALWAYS vec high_ones(vec a, vec b) { return __builtin_shuffle(a, b, (ivec){2, 6, 3, 7}); }
static ALWAYS vec low_twos(vec a, vec b) { return __builtin_shuffle(a, b, (ivec){0, 1, 4, 5}); }
static ALWAYS vec high_twos(vec a, vec b) { return __builtin_shuffle(a, b, (ivec){2, 3, 6, 7}); }
#endif

/* In each 128 bits: the sums of a's, b's, c's and d's four numbers, (x0 + x2) + (x1 + x3). */
static ALWAYS vec sums_of_four(vec a, vec b, vec c, vec d) {
  vec ab = low_ones(a, b) + high_ones(a, b), cd = low_ones(c, d) + high_ones(c, d);
  return low_twos(ab, cd) + high_twos(ab, cd);
}

#if defined(__AVX512F__)
/* Eight numbers of a, then eight of b; the first of each that `kept` has bits for, zeros behind. By masks only what has to be: a masked read is of 64 bytes, most of which lie across two
 * lines (65536x10: 2.25 -> 2.09 ns a row on a Zen 5). */
static ALWAYS vec eights(const float *a, const float *b, unsigned kept) {
  if (kept == 0xff) return _mm512_insertf32x8(_mm512_castps256_ps512(_mm256_loadu_ps(a)), _mm256_loadu_ps(b), 1);
  if (kept == 3) return _mm512_insertf32x4(_mm512_zextps128_ps512((__m128)_mm_loadl_epi64((const __m128i *)a)), (__m128)_mm_loadl_epi64((const __m128i *)b), 2);
  return _mm512_mask_loadu_ps(_mm512_maskz_loadu_ps((__mmask16)kept, a), (__mmask16)(kept << 8), b - 8);
}

/* Two rows folded to eight lanes each; `parts` times eight numbers, of the last of them those that are kept. */
static ALWAYS vec folded(const float *a, const float *b, unsigned last, const int parts) {
  vec t = eights(a, b, parts == 1 ? last : 0xff);
  for (int k = 1; k < parts; k++) t += eights(a + 8 * k, b + 8 * k, k + 1 == parts ? last : 0xff);
  return t;
}

/* Sums of 16 rows from `row` on; for one at `end` or behind, the sum of the last before it. */
static ALWAYS vec sums_of_16(const float *x, int row, int end, int n, unsigned last, const int parts) {
  vec q[2];
  for (int g = 0; g < 2; g++) {
    vec t[4];
    for (int r = 0; r < 4; r++) {
      int a = row + 8 * g + r, b = a + 4;
      t[r] = folded(x + (a < end ? a : end - 1) * n, x + (b < end ? b : end - 1) * n, last, parts);
    }
    q[g] = sums_of_four(t[0], t[1], t[2], t[3]); /* by 128 bits: lower and upper lanes of rows 0 to 3, then of 4 to 7 */
  }
  return (vec)_mm512_shuffle_f32x4(q[0], q[1], 0x88) + (vec)_mm512_shuffle_f32x4(q[0], q[1], 0xdd);
}

static ALWAYS void sums_of_parts(int rows, int n, const float *x, float *sum, const int parts) {
  unsigned last = (1u << (n - 8 * (parts - 1))) - 1;
  int i = 0;
  for (; rows - i >= 16; i += 16) store(sum + i, sums_of_16(x, i, i + 16, n, last, parts));
  if (i < rows) store(sum + i, sums_of_16(x, i, rows, n, last, parts));
}
#else
enum { HALVES = 8 / WIDTH }; /* vectors that eight numbers take */

/* A row folded to eight lanes; `parts` times eight numbers, the last of them not whole. */
static ALWAYS void eight_of(const float *x, int n, vec t[HALVES], const int parts) {
  for (int h = 0; h < HALVES; h++) {
    t[h] = parts == 1 ? load_few(x + h * WIDTH, n - h * WIDTH) : load(x + h * WIDTH);
    for (int k = 1; k < parts; k++) t[h] += k + 1 == parts ? load_few(x + 8 * k + h * WIDTH, n - 8 * k - h * WIDTH) : load(x + 8 * k + h * WIDTH);
  }
}

/* Of rows that lie `apart` from each other. */
static ALWAYS void sums_of_four_rows(const float *row, ptrdiff_t apart, int n, float *sum, const int parts) {
  vec t[4][HALVES], q[HALVES];
  for (int r = 0; r < 4; r++) eight_of(row + r * apart, n, t[r], parts);
  for (int h = 0; h < HALVES; h++) q[h] = sums_of_four(t[0][h], t[1][h], t[2][h], t[3][h]);
#if defined(__AVX2__)
  _mm_storeu_ps(sum, _mm_add_ps(_mm256_castps256_ps128(q[0]), _mm256_extractf128_ps(q[0], 1)));
#else
  store(sum, q[0] + q[HALVES - 1]);
#endif
}

static ALWAYS void sums_of_parts(int rows, int n, const float *x, float *sum, const int parts) {
  int i = 0;
  for (; rows - i >= 4; i += 4, x += 4 * n) sums_of_four_rows(x, n, n, sum + i, parts);
  float few[4];
  for (int r = 0; i + r < rows; r++) {
    sums_of_four_rows(x + r * n, 0, n, few, parts);
    sum[i + r] = few[0];
  }
  for (int k = rows; k < (rows + 7) / 8 * 8; k++) sum[k] = sum[rows - 1]; /* losses are made by eights */
}
#endif

static inline void sums_of(int rows, int n, const float *x, float *sum) {
  if (n <= 8)
    sums_of_parts(rows, n, x, sum, 1);
  else if (n <= 16)
    sums_of_parts(rows, n, x, sum, 2);
  else if (n <= 24)
    sums_of_parts(rows, n, x, sum, 3);
  else
    sums_of_parts(rows, n, x, sum, 4);
}

static inline void sums_of_rows(int rows, int n, const float *e, const float *z, float *sum, float *shifted) {
  sums_of(rows, n, e, sum);
  sums_of(rows, n, z, shifted);
}

/* Exponentials of all; returns what stays_near asks for. To sum, unless it is NULL, z is added by lanes. */
static ALWAYS uvec exponentials(size_t count, const float *z, float *e, const float *grad, vec *sum) {
  uvec seen = (uvec){0} + EXP_NEAR_BITS;
  size_t at = 0;
  for (; count - at >= LANES; at += LANES) { /* a line of the cache */
    __builtin_prefetch(z + count + at);
    __builtin_prefetch(grad + at, 1);
#pragma GCC unroll 4
    for (int p = 0; p < PARTS; p++) {
      vec x = load_once(z + at + p * WIDTH);
      if (sum != NULL) sum[p] += x;
      store(e + at + p * WIDTH, exp_near(x, &seen));
    }
  }
#pragma GCC unroll 4
  for (int p = 0; p < PARTS; p++) { /* the last line */
    int left = (int)(count - at) - p * WIDTH;
    if (left <= 0) break;
    vec x = left < WIDTH ? load_few(z + at + p * WIDTH, left) : load(z + at + p * WIDTH);
    if (sum != NULL) sum[p] += x;
    store(e + at + p * WIDTH, exp_near(x, &seen));
  }
  return seen;
}

/* x[at[0]], x[at[1]], …, each at below WIDTH. */
static ALWAYS vec picked(vec x, ivec at) {
#if defined(__AVX512F__)
  return _mm512_permutexvar_ps((__m512i)at, x);
#elif defined(__AVX2__)
  return _mm256_permutevar8x32_ps(x, (__m256i)at);
#else
  return __builtin_shuffle(x, at);
#endif
}

#endif
