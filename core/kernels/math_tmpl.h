/* exp, log, tanh and kin for float32, in plain C that compilers turn into vectors. SPDX-License-Identifier: MIT
 *
 * No branch, no table, no conversion that could trap; the same bits on every instruction set (contraction is off). The
 * coefficients come from tests/golden/polynomials.py; tests/core/test_kernels.c holds each to its error in ulps. */
#ifndef LS_KERNELS_MATH_TMPL_H
#define LS_KERNELS_MATH_TMPL_H

#include "core/kernels/bits.h"

#include <math.h>
#include <stdint.h>

/* At most 1 ulp; subnormal results included; exp(-inf) = 0, exp(inf) = inf, NaN stays. Rounding to an integer by adding
 * 1.5·2^23; 2^n in two factors so that both ends of the range come out. */
static inline float exp_f(float x) {
  const float magic = 12582912.0f;
  float c = x > 89.0f ? 89.0f : x;
  c = c < -104.0f ? -104.0f : c;
  float t = c * 1.44269504f + magic;
  float n = t - magic;
  int32_t i = (int32_t)(float_bits(t) - float_bits(magic));
  float r = (c - n * 0.693145752f) - n * 1.42860677e-06f;
  float p = 0.00138146023f;
  p = p * r + 0.00836871192f;
  p = p * r + 0.041668389f;
  p = p * r + 0.166665211f;
  p = p * r + 0.49999994f;
  float e = (p * (r * r) + r) + 1.0f;
  int32_t half = i >> 1;
  return e * float_of((uint32_t)(half + 127) << 23) * float_of((uint32_t)(i - half + 127) << 23);
}

/* At most 1.5 ulp; log(0) = -inf, log of a negative number is NaN, log(inf) = inf. */
static inline float log_f(float x) {
  float scaled = x < 1.17549435e-38f ? x * 8388608.0f : x;
  float exponent = x < 1.17549435e-38f ? -23.0f : 0.0f;
  uint32_t u = float_bits(scaled), shifted = u - 0x3f3504f3u; /* mantissa in [sqrt(1/2), sqrt(2)) */
  int32_t e = (int32_t)shifted >> 23;
  float f = float_of(u - ((uint32_t)e << 23)) - 1.0f;
  float p = -0.0763422549f;
  p = p * f + 0.127614677f;
  p = p * f - 0.131602332f;
  p = p * f + 0.142017767f;
  p = p * f - 0.16623354f;
  p = p * f + 0.200012267f;
  p = p * f - 0.250008225f;
  p = p * f + 0.333333313f;
  float n = (float)e + exponent, f2 = f * f;
  float result = ((p * f2 * f - 0.5f * f2) + n * 1.42860677e-06f) + f;
  result = result + n * 0.693145752f;
  result = x == INFINITY ? x : result;
  result = x == 0.0f ? -INFINITY : result;
  return x >= 0.0f ? result : NAN;
}

static inline float tanh_f(float x) {
  float a = fabsf(x), t = x * x;
  float p = -0.00570500037f;
  p = p * t + 0.020639101f;
  p = p * t - 0.0537397191f;
  p = p * t + 0.133314416f;
  p = p * t - 0.333332807f;
  float small = x + x * t * p;
  float large = copysignf(1.0f - 2.0f / (exp_f(2.0f * a) + 1.0f), x);
  return a < 0.625f ? small : large;
}

static inline float sigmoid_f(float x) { return 1.0f / (1.0f + exp_f(-x)); }

/* log(1 + e^x), by the larger of 0 and x plus log1p of what is left; log1p corrected for the rounding of 1 + e. */
static inline float softplus_f(float x) {
  float e = exp_f(-fabsf(x)), u = 1.0f + e;
  float rest = log_f(u) + (e - (u - 1.0f)) / u;
  float top = x > 0.0f ? x : 0.0f;
  return x == x ? top + rest : x;
}

static inline float erf_f(float x) {
  float c = x > 3.92f ? 3.92f : x;
  c = c < -3.92f ? -3.92f : c;
  float t = c * c;
  float p = 2.05006108e-06f, q = 3.80905149e-05f;
  p = p * t + 0.000284865004f;
  p = p * t + 0.00376516394f;
  p = p * t + 0.0527472906f;
  p = p * t + 0.190396994f;
  p = p * t + 1.12837911f;
  q = q * t + 0.00116241176f;
  q = q * t + 0.0149683123f;
  q = q * t + 0.114105031f;
  q = q * t + 0.502067685f;
  q = q * t + 1.0f;
  float r = c * p / q;
  r = r > 1.0f ? 1.0f : r;
  return r < -1.0f ? -1.0f : r;
}

/* x·Φ(x), Φ the normal distribution function (Hendrycks & Gimpel 2016, the exact form). */
static inline float gelu_f(float x) { return 0.5f * x * (1.0f + erf_f(x * 0.707106781f)); }

static inline float gelu_slope_f(float x) {
  return 0.5f * (1.0f + erf_f(x * 0.707106781f)) + x * 0.39894228f * exp_f(-0.5f * x * x);
}

#endif
