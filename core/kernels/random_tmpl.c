/* Random numbers by the block, compiled once for each instruction set. SPDX-License-Identifier: MIT
 *
 * PCG64-DXSM is a linear congruential generator: with AVX-512 eight numbers that follow each other are taken in eight lanes, each of which
 * then steps by eight (state·A^8 + C·(A^7 + … + 1), all modulo 2^128). The numbers and their order are those of one step after the other. */
#include "core/kernels/bits.h"
#include "core/kernels/kernels.h"
#include "core/kernels/vectors_tmpl.h"

__extension__ typedef unsigned __int128 u128;

#define CHEAP_MULTIPLIER 0xda942042e4dd58b5u

static inline uint64_t output_of(u128 state) {
  uint64_t high = (uint64_t)(state >> 64), low = (uint64_t)state | 1;
  high ^= high >> 32;
  high *= CHEAP_MULTIPLIER;
  high ^= high >> 48;
  return high * low;
}

static inline u128 joined(uint64_t high, uint64_t low) { return (u128)high << 64 | low; }

#if defined(__AVX512DQ__)
typedef struct lanes {
  __m512i low, high;
} lanes;

/* state·a + c in each lane. */
static inline lanes step_of(lanes s, lanes a, lanes c) {
  const __m512i low32 = _mm512_set1_epi64(0xffffffff);
  __m512i x1 = _mm512_srli_epi64(s.low, 32), a1 = _mm512_srli_epi64(a.low, 32);
  __m512i p00 = _mm512_mul_epu32(s.low, a.low), p10 = _mm512_mul_epu32(x1, a.low), p01 = _mm512_mul_epu32(s.low, a1), p11 = _mm512_mul_epu32(x1, a1);
  __m512i middle = _mm512_add_epi64(p10, _mm512_srli_epi64(p00, 32)), other = _mm512_add_epi64(p01, _mm512_and_si512(middle, low32));
  __m512i high = _mm512_add_epi64(_mm512_add_epi64(p11, _mm512_srli_epi64(middle, 32)), _mm512_srli_epi64(other, 32));
  __m512i low = _mm512_or_si512(_mm512_slli_epi64(other, 32), _mm512_and_si512(p00, low32));
  high = _mm512_add_epi64(high, _mm512_add_epi64(_mm512_mullo_epi64(s.low, a.high), _mm512_mullo_epi64(s.high, a.low)));
  low = _mm512_add_epi64(low, c.low);
  high = _mm512_add_epi64(high, c.high);
  high = _mm512_mask_add_epi64(high, _mm512_cmplt_epu64_mask(low, c.low), high, _mm512_set1_epi64(1));
  return (lanes){low, high};
}

static inline __m512i outputs_of(lanes s) {
  __m512i high = _mm512_xor_si512(s.high, _mm512_srli_epi64(s.high, 32)), low = _mm512_or_si512(s.low, _mm512_set1_epi64(1));
  high = _mm512_mullo_epi64(high, _mm512_set1_epi64((int64_t)CHEAP_MULTIPLIER));
  high = _mm512_xor_si512(high, _mm512_srli_epi64(high, 48));
  return _mm512_mullo_epi64(high, low);
}

static inline lanes everywhere(u128 x) { return (lanes){_mm512_set1_epi64((int64_t)x), _mm512_set1_epi64((int64_t)(x >> 64))}; }

/* Whole eights; returns how many numbers. */
static size_t eights(u128 *state, u128 increment, size_t n, uint64_t *out) {
  u128 a = 1, c = 0, s = *state;
  uint64_t low[8], high[8];
  if (n < 32) return 0;
  for (int i = 0; i < 8; i++) {
    low[i] = (uint64_t)s;
    high[i] = (uint64_t)(s >> 64);
    s = s * CHEAP_MULTIPLIER + increment;
    c = c * CHEAP_MULTIPLIER + increment;
    a *= CHEAP_MULTIPLIER;
  }
  lanes l = {_mm512_loadu_si512(low), _mm512_loadu_si512(high)}, by = everywhere(a), plus = everywhere(c);
  size_t i = 0;
  for (; n - i >= 8; i += 8) {
    _mm512_storeu_si512(out + i, outputs_of(l));
    l = step_of(l, by, plus);
  }
  _mm512_storeu_si512(low, l.low);
  _mm512_storeu_si512(high, l.high);
  *state = joined(high[0], low[0]);
  return i;
}
#else
static size_t eights(u128 *state, u128 increment, size_t n, uint64_t *out) {
  (void)state, (void)increment, (void)n, (void)out;
  return 0;
}
#endif

static void numbers(ls_rng *r, size_t n, uint64_t *out) {
  u128 state = joined(r->state_high, r->state_low), increment = joined(r->increment_high, r->increment_low);
  for (size_t i = eights(&state, increment, n, out); i < n; i++) {
    out[i] = output_of(state);
    state = state * CHEAP_MULTIPLIER + increment;
  }
  r->state_high = (uint64_t)(state >> 64);
  r->state_low = (uint64_t)state;
}

static void doubles(size_t n, const uint64_t *raw, double *out) {
  for (size_t i = 0; i < n; i++) out[i] = (double)(int64_t)(raw[i] >> 11) * 0x1p-53;
}

/* The ziggurat's ordinary case: as many as follow each other. */
static size_t normals(size_t n, const uint64_t *raw, const double *layer_x, double *out) {
  size_t i = 0;
#if defined(__AVX512DQ__)
  for (; n - i >= 8; i += 8) {
    __m512i bits = _mm512_loadu_si512(raw + i), layer = _mm512_and_si512(bits, _mm512_set1_epi64(255));
    __m512d x = _mm512_mul_pd(_mm512_mul_pd(_mm512_cvtepi64_pd(_mm512_srai_epi64(bits, 11)), _mm512_set1_pd(0x1p-52)), _mm512_i64gather_pd(layer, layer_x, 8));
    __mmask8 good = _mm512_cmp_pd_mask(_mm512_abs_pd(x), _mm512_i64gather_pd(layer, layer_x + 1, 8), _CMP_LT_OQ);
    _mm512_storeu_pd(out + i, x);
    if (good != 0xff) return i + (size_t)__builtin_ctz(~(unsigned)good);
  }
#endif
  for (; i < n; i++) {
    unsigned layer = (unsigned)(raw[i] & 255);
    double x = (double)((int64_t)raw[i] >> 11) * 0x1p-52 * layer_x[layer];
    if (!(fabs(x) < layer_x[layer + 1])) break;
    out[i] = x;
  }
  return i;
}

/* Series of their own: the numbers that a seed draws hang on these bits, which judging's exp and log may change. */

/* log of 2^-53 … 1, to 1e-15 of it: x = m·2^e with m in [sqrt(1/2), sqrt(2)), log m = 2 artanh((m-1)/(m+1)) by its series. */
static inline double log_of(double x) {
  uint64_t u = double_bits(x), over = u - 0x3fe6a09e667f3bcdu;
  uint64_t e = over & 0xfff0000000000000u;
  double m = double_of(u - e), s = (m - 1.0) / (m + 1.0), q = s * s;
  double power = double_of((uint64_t)((int64_t)over >> 52) + 0x4338000000000000u) - 0x1.8p52;
  double p = 1.0 / 19;
  p = p * q + 1.0 / 17;
  p = p * q + 1.0 / 15;
  p = p * q + 1.0 / 13;
  p = p * q + 1.0 / 11;
  p = p * q + 1.0 / 9;
  p = p * q + 1.0 / 7;
  p = p * q + 1.0 / 5;
  p = p * q + 1.0 / 3;
  return power * 0.69314718055994531 + (2.0 * s + 2.0 * s * q * p);
}

/* exp of a number that is not above 0, to 1e-14 of it; below -700 it is 0. */
static inline double exp_of_negative(double x) {
  double c = x < -700.0 ? -700.0 : x, t = c * 1.4426950408889634 + 0x1.8p52, n = t - 0x1.8p52, r = (c - n * 0.693147180369123816490) - n * 1.90821492927058770002e-10;
  double p = 1.0 / 6227020800;
  p = p * r + 1.0 / 479001600;
  p = p * r + 1.0 / 39916800;
  p = p * r + 1.0 / 3628800;
  p = p * r + 1.0 / 362880;
  p = p * r + 1.0 / 40320;
  p = p * r + 1.0 / 5040;
  p = p * r + 1.0 / 720;
  p = p * r + 1.0 / 120;
  p = p * r + 1.0 / 24;
  p = p * r + 1.0 / 6;
  p = p * r + 0.5;
  double e = p * (r * r) + r + 1.0;
  return x < -700.0 ? 0.0 : double_of(double_bits(e) + (double_bits(t) << 52));
}

/* Pairs of numbers to a value each (Jöhnk 1964): x = u^(1/a), y = v^(1/b), x / (x + y) where x + y <= 1, all in logarithms. */
static void betas(size_t pairs, const uint64_t *restrict raw, double a, double b, double *restrict value, double *restrict sum) {
  double by_a = 1.0 / a, by_b = 1.0 / b; /* where these overflow, so do both logarithms */
  for (size_t i = 0; i < pairs; i++) {
    double x = log_of((double)(int64_t)((raw[2 * i] >> 11) + 1) * 0x1p-53) * by_a, y = log_of((double)(int64_t)((raw[2 * i + 1] >> 11) + 1) * 0x1p-53) * by_b;
    double most = x > y ? x : y, least = x > y ? y : x, rest = exp_of_negative(least - most), whole = 1.0 + rest;
    sum[i] = exp_of_negative(most) * whole;
    value[i] = (x > y ? 1.0 : rest) / whole;
  }
}

const ls_random_kernels LS_PASTE(ls_random_kernels_, LS_ISA) = {.numbers = numbers, .doubles = doubles, .normals = normals, .betas = betas};
