/* Random numbers by the block, compiled once for each instruction set. SPDX-License-Identifier: MIT
 *
 * PCG64-DXSM is a linear congruential generator: with AVX2 and AVX-512 eight numbers that follow each other are taken in eight lanes, each of
 * which then steps by eight (state·A^8 + C·(A^7 + … + 1), all modulo 2^128). The numbers and their order are those of one step after the other. On a Zen 3 (AVX2) that is
 * 3.5 ticks a number, of which the products are most; one after the other 5.1, the latency of a step, or 4.1 where the sum of the upper half is made in another order. */
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

#if defined(__AVX2__)
enum { NUMBERS = WIDTH / 2, SETS = 8 / NUMBERS }; /* numbers in a vector; vectors that eight of them take */

typedef uint64_t uvec64 __attribute__((vector_size(WIDTH * 4)));
typedef uint64_t loose_uvec64 __attribute__((vector_size(WIDTH * 4), aligned(8), may_alias));

typedef struct lanes {
  uvec64 low, high;
} lanes;

/* Of the lower 32 bits of each lane. */
static inline uvec64 product_of_halves(uvec64 a, uvec64 b) {
#if defined(__AVX512DQ__)
  return (uvec64)_mm512_mul_epu32((__m512i)a, (__m512i)b);
#else
  return (uvec64)_mm256_mul_epu32((__m256i)a, (__m256i)b);
#endif
}

/* high, and 1 more where low < added. */
static inline uvec64 carried(uvec64 high, uvec64 low, uvec64 added) {
#if defined(__AVX512DQ__)
  return (uvec64)_mm512_mask_add_epi64((__m512i)high, _mm512_cmplt_epu64_mask((__m512i)low, (__m512i)added), (__m512i)high, _mm512_set1_epi64(1));
#else
  return high - (uvec64)(low < added);
#endif
}

/* state·a + c in each lane. */
static inline lanes step_of(lanes s, lanes a, lanes c) {
  const uvec64 low32 = (uvec64){0} + 0xffffffff;
  uvec64 x1 = s.low >> 32, a1 = a.low >> 32;
  uvec64 p00 = product_of_halves(s.low, a.low), p10 = product_of_halves(x1, a.low), p01 = product_of_halves(s.low, a1), p11 = product_of_halves(x1, a1);
  uvec64 middle = p10 + (p00 >> 32), other = p01 + (middle & low32);
  uvec64 high = p11 + (middle >> 32) + (other >> 32) + (s.low * a.high + s.high * a.low), low = (other << 32 | (p00 & low32)) + c.low;
  return (lanes){low, carried(high + c.high, low, c.low)};
}

static inline uvec64 outputs_of(lanes s) {
  uvec64 high = (s.high ^ s.high >> 32) * CHEAP_MULTIPLIER;
  return (high ^ high >> 48) * (s.low | 1);
}

static inline lanes everywhere(u128 x) { return (lanes){(uvec64){0} + (uint64_t)x, (uvec64){0} + (uint64_t)(x >> 64)}; }

/* Whole eights; returns how many numbers. */
static size_t eights(u128 *state, u128 increment, size_t n, uint64_t *out) {
  u128 a = 1, c = 0, s = *state;
  lanes l[SETS];
  if (n < 32) return 0;
  for (int i = 0; i < 8; i++) {
    l[i / NUMBERS].low[i % NUMBERS] = (uint64_t)s;
    l[i / NUMBERS].high[i % NUMBERS] = (uint64_t)(s >> 64);
    s = s * CHEAP_MULTIPLIER + increment;
    c = c * CHEAP_MULTIPLIER + increment;
    a *= CHEAP_MULTIPLIER;
  }
  lanes by = everywhere(a), plus = everywhere(c);
  size_t i = 0;
  for (; n - i >= 8; i += 8)
    for (int k = 0; k < SETS; k++) {
      *(loose_uvec64 *)(out + i + k * NUMBERS) = outputs_of(l[k]);
      l[k] = step_of(l[k], by, plus);
    }
  *state = joined(l[0].high[0], l[0].low[0]);
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

/* A whole number of up to 2^53 as a double. AVX2 has no instruction for it, so that loops of conversions stay scalar: there the halves of the number are put
 * behind the exponents of 2^84 and 2^52, which then come off, all exact. */
static inline double double_from(uint64_t x) {
#if defined(__AVX512DQ__)
  return (double)(int64_t)x;
#else
  return (double_of(x >> 32 | 0x4530000000000000u) - 0x1.00000001p84) + double_of((x & 0xffffffff) | 0x4330000000000000u);
#endif
}

static void doubles(size_t n, const uint64_t *restrict raw, double *restrict out) {
  for (size_t i = 0; i < n; i++) out[i] = double_from(raw[i] >> 11) * 0x1p-53;
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
  double power = double_of((over >> 52 ^ 0x800) + 0x4338000000000000u) - (0x1.8p52 + 2048.0); /* a signed shift by hand: AVX2 has none of 64 bits */
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

/* Pairs of numbers to a value each (Jöhnk 1964): x = u^(1/a), y = v^(1/b), x / (x + y) where x + y <= 1, all in logarithms. A loop for each series: the
 * chain of all of them is so long that a processor could hold less than two of one loop's turns in flight (33 ticks a pair on a Zen 3, with the loops apart 24). */
static void betas(size_t pairs, const uint64_t *restrict raw, double a, double b, double *restrict value, double *restrict sum) {
  enum { AT_ONCE = 64 };
  double by_a = 1.0 / a, by_b = 1.0 / b; /* where these overflow, so do both logarithms */
  double logs[2 * AT_ONCE], whole[AT_ONCE];
  for (size_t first = 0; first < pairs; first += AT_ONCE, raw += 2 * AT_ONCE, value += AT_ONCE, sum += AT_ONCE) {
    size_t count = pairs - first < AT_ONCE ? pairs - first : AT_ONCE;
    for (size_t i = 0; i < 2 * count; i++) logs[i] = log_of(double_from((raw[i] >> 11) + 1) * 0x1p-53);
    for (size_t i = 0; i < count; i++) {
      double x = logs[2 * i] * by_a, y = logs[2 * i + 1] * by_b;
      double most = x > y ? x : y, least = x > y ? y : x, rest = exp_of_negative(least - most);
      sum[i] = most;
      whole[i] = 1.0 + rest;
      value[i] = (x > y ? 1.0 : rest) / whole[i];
    }
    for (size_t i = 0; i < count; i++) sum[i] = exp_of_negative(sum[i]) * whole[i];
  }
}

const ls_random_kernels LS_PASTE(ls_random_kernels_, LS_ISA) = {.numbers = numbers, .doubles = doubles, .normals = normals, .betas = betas};
