/* Softmax of rows in double, summed up for the measures; compiled once for each instruction set (LS_ISA names it).
 * SPDX-License-Identifier: MIT
 *
 * Plain C with 32 fixed lanes (with 8, gcc unrolls the inner loops before it could make vectors of them). Contraction into FMA is on here, as in the convolution: without it the polynomials take a third longer. So the
 * sets differ in the last bits; tests/core/test_predictions.c holds each to its error in ulps. What comes out for a row does not depend
 * on its place among the rows. */
#include "core/kernels/kernels.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#define LS_PASTE_(a, b) a##b
#define LS_PASTE(a, b) LS_PASTE_(a, b)

enum { LANES = LS_JUDGED_ROWS };

static inline uint64_t bits_of(double x) {
  uint64_t u;
  memcpy(&u, &x, sizeof u);
  return u;
}

static inline double double_of(uint64_t u) {
  double x;
  memcpy(&x, &u, sizeof x);
  return x;
}

/* At most 2 ulp; exp(-inf) = 0, exp(inf) = inf, NaN stays. e^r = 1 + r + r² P(r), |r| <= ln 2 / 2: P by interpolation at Chebyshev's points
 * (tests/golden/polynomials.py). Rounding to an integer by adding 1.5·2^52; 2^n in two factors, so that subnormal results come out. */
static inline double exp_d(double x) {
  const double magic = 6755399441055744.0;
  double c = x > 710.0 ? 710.0 : x;
  c = c < -750.0 ? -750.0 : c;
  double n = (c * 1.4426950408889634 + magic) - magic;
  double r = (c - n * 0.69314718036912382) - n * 1.9082149292705877e-10;
  double p = 2.510038549551032e-08;
  p = p * r + 2.7620088445409746e-07;
  p = p * r + 2.7557268459997064e-06;
  p = p * r + 2.4801521295954376e-05;
  p = p * r + 0.00019841269863053618;
  p = p * r + 0.0013888888917213717;
  p = p * r + 0.008333333333330062;
  p = p * r + 0.04166666666662413;
  p = p * r + 0.16666666666666669;
  p = p * r + 0.5000000000000001;
  double e = (p * (r * r) + r) + 1.0;
  double half = (n * 0.5 + magic) - magic, rest = n - half;
  uint64_t a = bits_of(half + magic) - bits_of(magic) + 1023, b = bits_of(rest + magic) - bits_of(magic) + 1023;
  return e * double_of(a << 52) * double_of(b << 52);
}

/* The same for x <= 0, a third cheaper: what would be below 3.3e-308 is 0, so that one shift scales; NaN stays. */
static inline double exp_down(double x) {
  const double magic = 6755399441055744.0, least = -708.0;
  double c = least > x ? least : x;
  double t = c * 1.4426950408889634 + magic, n = t - magic;
  double r = (c - n * 0.69314718036912382) - n * 1.9082149292705877e-10;
  double p = 2.510038549551032e-08;
  p = p * r + 2.7620088445409746e-07;
  p = p * r + 2.7557268459997064e-06;
  p = p * r + 2.4801521295954376e-05;
  p = p * r + 0.00019841269863053618;
  p = p * r + 0.0013888888917213717;
  p = p * r + 0.008333333333330062;
  p = p * r + 0.04166666666662413;
  p = p * r + 0.16666666666666669;
  p = p * r + 0.5000000000000001;
  double e = (p * (r * r) + r) + 1.0, scaled = double_of(bits_of(e) + (bits_of(t) << 52));
  return x < least ? 0.0 : scaled;
}

/* log(1 + x) for x >= 0, at most 3 ulp: log by fdlibm's expansion (Sun Microsystems 1993: s = f/(2+f), log(1+f) = 2s + s·R(s²)), corrected for
 * the rounding of 1 + x. log1p(inf) = inf, NaN stays. */
static inline double log1p_d(double x) {
  double u = 1.0 + x, lost = (x - (u - 1.0)) / u;
  uint64_t bits = bits_of(u), shifted = bits - 0x3fe6a09e667f3bcdu; /* mantissa in [sqrt(1/2), sqrt(2)) */
  double k = double_of((shifted >> 52 & 0x7ff) | 0x4330000000000000u) - 4503599627370496.0;
  double f = double_of(bits - (shifted & 0xfff0000000000000u)) - 1.0;
  double s = f / (2.0 + f), z = s * s, half = 0.5 * f * f;
  double q = 1.479819860511658591e-01;
  q = q * z + 1.531383769920937332e-01;
  q = q * z + 1.818357216161805012e-01;
  q = q * z + 2.222219843214978396e-01;
  q = q * z + 2.857142874366239149e-01;
  q = q * z + 3.999999999940941908e-01;
  q = q * z + 6.666666666666735130e-01;
  double result = k * 6.93147180369123816490e-01 - ((half - (s * (half + q * z) + (k * 1.90821492927058770002e-10 + lost))) - f);
  result = x < INFINITY ? result : x;
  return x == 0.0 ? 0.0 : result;
}

static void exp_kernel(size_t n, double *x) {
  for (size_t i = 0; i < n; i++) x[i] = exp_d(x[i]);
}

static void log1p_kernel(size_t n, const double *x, double *out) {
  for (size_t i = 0; i < n; i++) out[i] = log1p_d(x[i]);
}

/* Rows side by side: columns of LANES numbers, so that rows of few classes fill the vectors, too. */
static void judge_rows(int32_t classes, const float *const row[LANES], double inverse, const int32_t *label, const ls_judged_rows *out, size_t at,
                       double *e) {
  float z[LS_JUDGED_CLASSES][LANES], top[LANES], second[LANES], best[LANES];
  double rest[LANES], squares[LANES], high[LANES], own[LANES], gap[LANES], wrong[LANES];
  for (int l = 0; l < LANES; l++) {
    const float *from = row[l];
    for (int32_t k = 0; k < classes; k++) z[k][l] = from[k];
  }
  for (int l = 0; l < LANES; l++) top[l] = z[0][l], second[l] = -INFINITY, best[l] = 0.0f;
  for (int32_t k = 1; k < classes; k++) {
    float index = (float)k;
    for (int l = 0; l < LANES; l++) {
      float v = z[k][l], t = top[l], lower = v > t ? t : v;
      best[l] = v > t ? index : best[l];
      top[l] = v > t ? v : t;
      second[l] = lower > second[l] ? lower : second[l];
    }
  }
  for (int l = 0; l < LANES; l++) high[l] = (double)top[l];
  for (int32_t k = 0; k < classes; k++)
    for (int l = 0; l < LANES; l++) e[k * LANES + l] = exp_down(((double)z[k][l] - high[l]) * inverse);
  for (int l = 0; l < LANES; l++) { /* the largest is left out of the sums and put back */
    int32_t place = (int32_t)best[l], y = label[at + (size_t)l];
    out->predicted[at + (size_t)l] = place;
    own[l] = e[y * LANES + l];
    gap[l] = (double)z[y][l];
    wrong[l] = place == y ? 0.0 : 1.0;
    e[place * LANES + l] = 0.0;
  }
  for (int l = 0; l < LANES; l++) rest[l] = e[l], squares[l] = e[l] * e[l];
  for (int32_t k = 1; k < classes; k++)
    for (int l = 0; l < LANES; l++) {
      double other = e[k * LANES + l];
      rest[l] += other;
      squares[l] += other * other;
    }
  for (int l = 0; l < LANES; l++) {
    size_t i = at + (size_t)l;
    double sum = 1.0 + rest[l], scale = 1.0 / sum, x = own[l], w = wrong[l];
    double missing = w > 0.0 ? sum - x : rest[l], square = w > 0.0 ? 1.0 + squares[l] - x * x : squares[l];
    out->confidence[i] = scale;
    out->others[i] = rest[l] * scale;
    out->nll[i] = log1p_d(rest[l]) - (gap[l] - high[l]) * inverse;
    out->brier[i] = (square + missing * missing) * (scale * scale);
    out->top[i] = high[l];
    out->second[i] = (double)second[l];
  }
  for (int l = 0; l < LANES; l++) e[(int32_t)best[l] * LANES + l] = 1.0;
}

static void judge_kernel(size_t rows, int32_t classes, const float *const *row, double inverse, const int32_t *label, const ls_judged_rows *out) {
  double exponentials[LS_JUDGED_CLASSES * LANES];
  for (size_t i = 0; i < rows; i += LANES) {
    judge_rows(classes, row + i, inverse, label, out, i, exponentials);
    if (out->p == NULL) continue;
    for (int l = 0; l < LANES; l++) {
      double *p = out->p + (i + (size_t)l) * (size_t)classes, scale = out->confidence[i + (size_t)l];
      for (int32_t k = 0; k < classes; k++) p[k] = exponentials[k * LANES + l] * scale;
    }
  }
}

const ls_evaluation_kernels LS_PASTE(ls_evaluation_kernels_, LS_ISA) = {.exp = exp_kernel, .log1p = log1p_kernel, .judge = judge_kernel};
