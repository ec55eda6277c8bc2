/* Vectors of the instruction set's own width, and exp in them. SPDX-License-Identifier: MIT
 *
 * gcc's vector types: gcc 12 turns wider ones than the set has into traffic through memory. Intrinsics only for what the types
 * cannot say (larger of two, stores past the cache). */
#ifndef LS_KERNELS_VECTORS_TMPL_H
#define LS_KERNELS_VECTORS_TMPL_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define LS_PASTE_(a, b) a##b
#define LS_PASTE(a, b) LS_PASTE_(a, b)

#if defined(__AVX512F__)
enum { WIDTH = 16 };
#elif defined(__AVX2__)
enum { WIDTH = 8 };
#else
enum { WIDTH = 4 };
#endif
enum { LANES = 16, PARTS = LANES / WIDTH };

typedef float vec __attribute__((vector_size(WIDTH * 4)));
typedef int32_t ivec __attribute__((vector_size(WIDTH * 4)));
typedef uint32_t uvec __attribute__((vector_size(WIDTH * 4))); /* sums of bits may wrap */
typedef float loose_vec __attribute__((vector_size(WIDTH * 4), aligned(4), may_alias));

static inline vec load(const float *x) { return *(const loose_vec *)x; }
/* Where a vector is used more than once gcc reads it anew each time. Of a whole line from memory that costs: three reads of each vector of logits, half of which lie
 * across two lines, made 8192x1000 1.4 ms where one takes 1.1 (Zen 5). Shorter vectors gain nothing. */
static inline vec load_once(const float *x) {
  vec v = load(x);
#if defined(__AVX512F__)
  __asm__("" : "+v"(v));
#endif
  return v;
}

static inline void store(float *x, vec v) { *(loose_vec *)x = v; }
static inline vec all_lanes(float x) { return (vec){0} + x; }

/* a where a > b, else b: b where a is NaN. */
static inline vec larger_of(vec a, vec b) {
#if defined(__AVX512F__)
  return _mm512_max_ps(a, b);
#elif defined(__AVX2__)
  return _mm256_max_ps(a, b);
#elif defined(__x86_64__)
  return _mm_max_ps(a, b);
#else
  ivec above = a > b;
  return (vec)(((ivec)a & above) | ((ivec)b & ~above));
#endif
}

static inline vec smaller_of(vec a, vec b) {
#if defined(__AVX512F__)
  return _mm512_min_ps(a, b);
#elif defined(__AVX2__)
  return _mm256_min_ps(a, b);
#elif defined(__x86_64__)
  return _mm_min_ps(a, b);
#else
  ivec below = a < b;
  return (vec)(((ivec)a & below) | ((ivec)b & ~below));
#endif
}

/* The larger of |a| and |b|; either one where a is NaN. */
static inline vec larger_size(vec a, vec b) {
#if defined(__AVX512DQ__)
  return _mm512_range_ps(a, b, 11);
#else
  return larger_of((vec)((ivec)a & 0x7fffffff), b);
#endif
}

/* All bits set in the lanes before n. */
static inline ivec lanes_before(int n) {
  static const int32_t place[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  ivec at;
  memcpy(&at, place, sizeof at);
  return (ivec)(at < ((ivec){0} + n));
}

static inline vec only_few(vec x, int n) { return (vec)((ivec)x & lanes_before(n)); }

/* The first n numbers, at most WIDTH, and zeros; what lies behind them is not touched. */
static inline vec load_few(const float *x, int n) {
#if defined(__AVX512F__)
  return _mm512_maskz_loadu_ps((__mmask16)(n >= WIDTH ? 0xffff : n <= 0 ? 0 : (1 << n) - 1), x);
#elif defined(__AVX2__)
  return _mm256_maskload_ps(x, (__m256i)lanes_before(n));
#else
  float few[WIDTH] = {0};
  for (int i = 0; i < WIDTH; i++) /* an end that hangs on n would be a memcpy whose length gcc does not trust */
    if (i < n) few[i] = x[i];
  return load(few);
#endif
}

/* WIDTH numbers without the first n, zeros in their place; those are not touched. */
static inline vec load_after(const float *x, int n) {
#if defined(__AVX512F__)
  return _mm512_maskz_loadu_ps((__mmask16)(n >= WIDTH ? 0 : n <= 0 ? 0xffff : 0xffff << n), x);
#else
  float rest[WIDTH] = {0};
  for (int i = 0; i < WIDTH; i++)
    if (i >= n) rest[i] = x[i];
  return load(rest);
#endif
}

static inline void store_few(float *x, vec v, int n) {
#if defined(__AVX512F__)
  _mm512_mask_storeu_ps(x, (__mmask16)(n >= WIDTH ? 0xffff : n <= 0 ? 0 : (1 << n) - 1), v);
#elif defined(__AVX2__)
  _mm256_maskstore_ps(x, (__m256i)lanes_before(n), v);
#else
  float few[WIDTH];
  store(few, v);
  for (int i = 0; i < n && i < WIDTH; i++) x[i] = few[i];
#endif
}

static inline void store_past_cache(float *x, vec v) {
#if defined(__AVX512F__)
  _mm512_stream_ps(x, v);
#elif defined(__AVX2__)
  _mm256_stream_ps(x, v);
#elif defined(__x86_64__)
  _mm_stream_ps(x, v);
#else
  store(x, v);
#endif
}

/* After stores past the cache, before another thread reads. */
static inline void fence(void) {
#if defined(__x86_64__)
  _mm_sfence();
#endif
}

#if !defined(__AVX2__) && !defined(__FP_FAST_FMAF)
/* a·b + c of four floats rounded once, where the processor cannot: the product is exact in double, the sum is rounded to odd, so that the
 * rounding to float does not see that it is the second (Boldo & Melquiond 2008). A tenth of the speed, for the same bits. Not inlined: the sweeps hold hundreds of
 * them, and took a minute to compile. */
static __attribute__((noinline, unused)) vec fma_of(vec a, vec b, vec c) {
  typedef double dbl __attribute__((vector_size(WIDTH * 8)));
  typedef int64_t lng __attribute__((vector_size(WIDTH * 8)));
  dbl p = __builtin_convertvector(a, dbl) * __builtin_convertvector(b, dbl), x = __builtin_convertvector(c, dbl);
  dbl s = p + x, of_x = s - p, rest = (p - (s - of_x)) + (x - of_x);
  lng inexact = (lng)(rest != 0.0), away = (lng)((rest < 0.0) ^ (s < 0.0)) & inexact; /* s is beyond the exact sum: one step back */
  s = (dbl)(((lng)s + away) | (inexact & 1));
  return __builtin_convertvector(s, vec);
}
#else
/* a·b + c, rounded once. */
static inline vec fma_of(vec a, vec b, vec c) {
#if defined(__AVX512F__)
  return _mm512_fmadd_ps(a, b, c);
#elif defined(__AVX2__)
  return _mm256_fmadd_ps(a, b, c);
#else
  for (int l = 0; l < WIDTH; l++) c[l] = __builtin_fmaf(a[l], b[l], c[l]);
  return c;
#endif
}
#endif

static inline vec exp_of(vec c) {
  vec t = fma_of(c, all_lanes(1.44269504f), all_lanes(12582912.0f)), n = t - 12582912.0f;
  vec r = fma_of(n, all_lanes(-1.42860677e-06f), fma_of(n, all_lanes(-0.693145752f), c));
  vec p = fma_of(r, all_lanes(0.00138146023f), all_lanes(0.00836871192f));
  p = fma_of(p, r, all_lanes(0.041668389f));
  p = fma_of(p, r, all_lanes(0.166665211f));
  p = fma_of(p, r, all_lanes(0.49999994f));
  vec e = fma_of(p, r * r, r) + 1.0f;
  return (vec)((uvec)e + ((uvec)t << 23));
}

/* exp for |x| <= 44, to 1.6e-7 of it and 2.8e-9·|x| more, a twentieth of what rounding x to float may have cost; any bits beyond. Short, as the loops are
 * that use it: one product takes the powers of two off, and the series (tests/golden/polynomials.py) comes out 2^64 times too small, so that the lowest seven bits of t are the
 * power of two that is left to multiply with. *seen gathers t: all x were in range where stays_near says so. */
#define EXP_MAGIC 12582976.0f /* 1.5·2^23 + 64 */
#define EXP_NEAR_BITS 0x4b400000u /* of 1.5·2^23 */

static inline vec exp_near(vec x, uvec *seen) {
  vec t = fma_of(x, all_lanes(1.44269504f), all_lanes(EXP_MAGIC)), n = t - EXP_MAGIC, r = fma_of(n, all_lanes(-0.69314718f), x);
  vec p = fma_of(r, all_lanes(0.0082903048f * 0x1p-64f), all_lanes(0.0418979414f * 0x1p-64f));
  p = fma_of(p, r, all_lanes(0.166676357f * 0x1p-64f));
  p = fma_of(p, r, all_lanes(0.499991506f * 0x1p-64f));
  p = fma_of(p, r, all_lanes(0.999999702f * 0x1p-64f));
  p = fma_of(p, r, all_lanes(0x1p-64f));
  *seen |= (uvec)t;
  return (vec)((uvec)p + ((uvec)t << 23));
}

static inline bool stays_near(uvec seen) {
#if defined(__AVX512F__)
  return _mm512_cmpneq_epi32_mask((__m512i)(seen & ~127u), _mm512_set1_epi32((int32_t)EXP_NEAR_BITS)) == 0;
#elif defined(__AVX2__)
  return _mm256_movemask_epi8(_mm256_cmpeq_epi32((__m256i)(seen & ~127u), _mm256_set1_epi32((int32_t)EXP_NEAR_BITS))) == -1;
#else
  uint32_t lane[WIDTH], all = 0;
  memcpy(lane, &seen, sizeof lane);
  for (int l = 0; l < WIDTH; l++) all |= lane[l];
  return (all & ~127u) == EXP_NEAR_BITS;
#endif
}

/* exp for d <= 0 (small positive numbers, too); 0 below -87, where what is left is under 2e-38. NaN gives any number. */
static inline vec exp_below(vec d) {
  ivec kept = d >= all_lanes(-87.0f);
  return (vec)((ivec)exp_of(larger_of(d, all_lanes(-87.0f))) & kept);
}

#endif
