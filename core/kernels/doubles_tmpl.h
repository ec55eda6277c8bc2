/* Vectors of doubles of the instruction set's own width beside those of floats, and exp in them. SPDX-License-Identifier: MIT */
#ifndef LS_KERNELS_DOUBLES_TMPL_H
#define LS_KERNELS_DOUBLES_TMPL_H

#include "core/kernels/vectors_tmpl.h"

enum { HALF = WIDTH / 2 };

typedef double dvec __attribute__((vector_size(HALF * 8)));
typedef int64_t lvec __attribute__((vector_size(HALF * 8)));
typedef uint64_t ulvec __attribute__((vector_size(HALF * 8)));
typedef double loose_dvec __attribute__((vector_size(HALF * 8), aligned(8), may_alias));
#if defined(__AVX512F__)
typedef __mmask8 mask;
#else
typedef lvec mask;
#endif

static inline dvec load_doubles(const double *x) { return *(const loose_dvec *)x; }
static inline void store_doubles(double *x, dvec v) { *(loose_dvec *)x = v; }
static inline dvec all_doubles(double x) { return (dvec){0} + x; }

/* HALF floats as doubles. */
static inline dvec widen_from(const float *x) {
#if defined(__AVX512F__)
  return _mm512_cvtps_pd(_mm256_loadu_ps(x));
#elif defined(__AVX2__)
  return _mm256_cvtps_pd(_mm_loadu_ps(x));
#else
  dvec v;
  for (int l = 0; l < HALF; l++) v[l] = (double)x[l];
  return v;
#endif
}

static inline dvec widen(vec v, int from) {
  float x[WIDTH];
  store(x, v);
  return widen_from(x + from);
}

/* x where a > b, else y. */
static inline vec where_above(vec a, vec b, vec x, vec y) {
#if defined(__AVX512F__)
  return _mm512_mask_mov_ps(y, _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ), x);
#elif defined(__AVX2__)
  return _mm256_blendv_ps(y, x, _mm256_cmp_ps(a, b, _CMP_GT_OQ));
#else
  ivec above = a > b;
  return (vec)(((ivec)x & above) | ((ivec)y & ~above));
#endif
}

static inline mask differ(dvec a, dvec b) {
#if defined(__AVX512F__)
  return _mm512_cmp_pd_mask(a, b, _CMP_NEQ_UQ);
#else
  return a != b;
#endif
}

static inline mask below(dvec a, dvec b) {
#if defined(__AVX512F__)
  return _mm512_cmp_pd_mask(a, b, _CMP_LT_OQ);
#else
  return a < b;
#endif
}

static inline bool everywhere(mask m) {
#if defined(__AVX512F__)
  return m == 0xff;
#elif defined(__AVX2__)
  return _mm256_movemask_pd((dvec)m) == 0xf;
#else
  bool all = true;
  for (int l = 0; l < HALF; l++) all &= m[l] != 0;
  return all;
#endif
}

static inline dvec pick(mask m, dvec x, dvec y) {
#if defined(__AVX512F__)
  return _mm512_mask_mov_pd(y, m, x);
#elif defined(__AVX2__)
  return _mm256_blendv_pd(y, x, (dvec)m);
#else
  return (dvec)(((lvec)x & m) | ((lvec)y & ~m));
#endif
}

static inline dvec add_where(mask m, dvec sum, dvec x) {
#if defined(__AVX512F__)
  return _mm512_mask_add_pd(sum, m, sum, x);
#else
  return sum + (dvec)((lvec)x & m);
#endif
}

static inline dvec add_square_where(mask m, dvec sum, dvec x) {
#if defined(__AVX512F__)
  return _mm512_mask3_fmadd_pd(x, x, sum, m);
#else
  dvec kept = (dvec)((lvec)x & m);
  return sum + kept * kept;
#endif
}

/* P of e^r = 1 + r + r² P(r), |r| <= ln 2 / 2, of a number or of a vector. */
#define EXP_0 0.5000000000000001
#define EXP_1 0.16666666666666669
#define EXP_2 0.04166666666662413
#define EXP_3 0.008333333333330062
#define EXP_4 0.0013888888917213717
#define EXP_5 0.00019841269863053618
#define EXP_6 2.4801521295954376e-05
#define EXP_7 2.7557268459997064e-06
#define EXP_8 2.7620088445409746e-07
#define EXP_9 2.510038549551032e-08
#define EXP_SERIES(r) \
  (((((((((EXP_9 * (r) + EXP_8) * (r) + EXP_7) * (r) + EXP_6) * (r) + EXP_5) * (r) + EXP_4) * (r) + EXP_3) * (r) + EXP_2) * (r) + EXP_1) * (r) + EXP_0)

/* exp of up to four vectors, x <= 0, at most 2 ulp; what would be below 3.3e-308 is 0, so that nothing is subnormal; NaN stays. */
#if defined(__AVX512F__)
/* 2^(j/16) from two registers, e^r = 1 + r + r² P(r) for |r| <= ln 2 / 32, P by interpolation at Chebyshev's points (tests/golden/polynomials.py). The
 * magic number leaves sixteenths, whose lowest four bits choose from the table; scalef takes the whole part. */
static inline dvec exp_of_one(dvec x) {
  const double magic = 422212465065984.0;
  const __m512d first = _mm512_setr_pd(1.0, 1.0442737824274138, 1.0905077326652577, 1.1387886347566916, 1.189207115002721, 1.241857812073484, 1.2968395546510096, 1.3542555469368927),
                second = _mm512_setr_pd(1.4142135623730951, 1.4768261459394993, 1.5422108254079407, 1.6104903319492543, 1.681792830507429, 1.7562521603732995, 1.8340080864093424, 1.9152065613971474);
  dvec t = x * 1.4426950408889634 + magic, n = t - magic;
  dvec r = (x - n * 0.69314718036912382) - n * 1.9082149292705877e-10;
  dvec square = r * r, upper = (r * 0.008333449724528355 + 0.041666666664959766) + square * 0.0013889034377693012;
  dvec p = upper * square + (r * 0.16666666665301144 + 0.5);
  p = p * square + r;
  dvec base = _mm512_permutex2var_pd(first, (__m512i)t, second);
  return _mm512_maskz_scalef_pd(_mm512_cmp_pd_mask(x, _mm512_set1_pd(-708.0), _CMP_NLT_UQ), base * p + base, n);
}

static inline void exp_down(int count, dvec *x) {
  for (int i = 0; i < count; i++) x[i] = exp_of_one(x[i]);
}
#else
/* Each constant is loaded once for all, and no chain of products is waited for. */
static inline __attribute__((always_inline)) void exp_down(int count, dvec *x) {
  const double magic = 6755399441055744.0;
  dvec t[4], n[4], r[4], square[4], even[4], odd[4];
  mask kept[4];
#define EACH(statement) for (int i = 0; i < count; i++) statement
#if defined(__AVX2__) /* the second where one is NaN; of a float's NaN the lowest bits are zeros, so that what is added to its exponent below is nothing */
  EACH(kept[i] = (mask)_mm256_cmp_pd(x[i], all_doubles(-708.0), _CMP_NLT_UQ));
  EACH(x[i] = _mm256_max_pd(all_doubles(-708.0), x[i]));
#else
  mask sound[4];
  EACH(kept[i] = x[i] >= all_doubles(-708.0));
  EACH(sound[i] = x[i] == x[i]);
  EACH(x[i] = (dvec)(((lvec)x[i] & (kept[i] | ~sound[i])) | ((lvec)all_doubles(-708.0) & ~kept[i] & sound[i])));
#endif
  EACH(t[i] = x[i] * 1.4426950408889634 + magic);
  EACH(n[i] = t[i] - magic);
  EACH(r[i] = x[i] - n[i] * 0.69314718036912382);
  EACH(r[i] = r[i] - n[i] * 1.9082149292705877e-10);
  EACH(square[i] = r[i] * r[i]);
#define STEP(sum, factor) EACH(sum[i] = sum[i] * square[i] + factor)
  EACH(even[i] = square[i] * EXP_8 + EXP_6);
  EACH(odd[i] = square[i] * EXP_9 + EXP_7);
  STEP(even, EXP_4);
  STEP(odd, EXP_5);
  STEP(even, EXP_2);
  STEP(odd, EXP_3);
  STEP(even, EXP_0);
  STEP(odd, EXP_1);
  EACH(even[i] = odd[i] * r[i] + even[i]);
  EACH(even[i] = (even[i] * square[i] + r[i]) + 1.0);
  EACH(even[i] = (dvec)((ulvec)even[i] + ((ulvec)t[i] << 52)));
#if defined(__AVX2__)
  EACH(x[i] = (dvec)((lvec)even[i] & kept[i]));
#else
  EACH(x[i] = (dvec)(((lvec)even[i] & kept[i]) | ((lvec)x[i] & ~sound[i])));
#endif
#undef STEP
#undef EACH
}
#endif

/* log(1 + f) = f - (half - series), f in [sqrt(1/2) - 1, sqrt(2) - 1], half = f²/2: fdlibm's expansion (Sun Microsystems 1993: s = f/(2+f), log(1+f) = 2s + s·R(s²)). */
static inline dvec log_series(dvec f, dvec *half) {
  dvec s = f / (2.0 + f), z = s * s, q = all_doubles(1.479819860511658591e-01);
  *half = 0.5 * f * f;
  q = q * z + 1.531383769920937332e-01;
  q = q * z + 1.818357216161805012e-01;
  q = q * z + 2.222219843214978396e-01;
  q = q * z + 2.857142874366239149e-01;
  q = q * z + 3.999999999940941908e-01;
  q = q * z + 6.666666666666735130e-01;
  return s * (*half + q * z);
}

/* x is normal and above 0. */
static inline dvec log_of(dvec x) {
  ulvec bits = (ulvec)x, shifted = bits - 0x3fe6a09e667f3bcdu;
  dvec k = (dvec)((shifted >> 52 & 0x7ff) | 0x4330000000000000u) - 4503599627370496.0, half;
  k = pick(below(all_doubles(1500.0), k), k - 2048.0, k); /* a negative power */
  dvec f = (dvec)(bits - (shifted & 0xfff0000000000000u)) - 1.0, series = log_series(f, &half);
  return k * 6.93147180369123816490e-01 - ((half - (series + k * 1.90821492927058770002e-10)) - f);
}

#endif
