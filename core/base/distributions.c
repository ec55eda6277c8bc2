/* Distributions over the generator. SPDX-License-Identifier: MIT */
#include <lsengine/random.h>

#include <assert.h>
#include <math.h>

__extension__ typedef unsigned __int128 u128;

static const double layer_x[257] = {
#include "core/base/ziggurat.inc"
};

double ls_rng_double(ls_rng *r) { return (double)(ls_rng_next(r) >> 11) * 0x1p-53; }

/* In (0, 1]: what a logarithm may be taken of. */
static double positive(ls_rng *r) { return (double)((ls_rng_next(r) >> 11) + 1) * 0x1p-53; }

int64_t ls_rng_integer(ls_rng *r, int64_t low, int64_t high) {
  assert(low <= high);
  uint64_t span = (uint64_t)high - (uint64_t)low + 1;
  if (span == 0) return (int64_t)ls_rng_next(r);
  u128 product = (u128)ls_rng_next(r) * span;
  if ((uint64_t)product < span) {
    uint64_t threshold = (0 - span) % span;
    while ((uint64_t)product < threshold) product = (u128)ls_rng_next(r) * span;
  }
  return (int64_t)((uint64_t)low + (uint64_t)(product >> 64));
}

static double normal_tail(ls_rng *r, int negative) {
  double edge = layer_x[1];
  for (;;) {
    double x = -log(positive(r)) / edge, y = -log(positive(r));
    if (y + y > x * x) return negative ? -(edge + x) : edge + x;
  }
}

/* Layer by the low 8 bits, place and sign by the upper 53. Layer 0 is the strip with the tail. */
double ls_rng_normal(ls_rng *r) {
  for (;;) {
    uint64_t bits = ls_rng_next(r);
    unsigned layer = (unsigned)(bits & 255);
    double u = (double)((int64_t)bits >> 11) * 0x1p-52, x = u * layer_x[layer];
    if (fabs(x) < layer_x[layer + 1]) return x;
    if (layer == 0) return normal_tail(r, u < 0.0);
    double top = exp(-0.5 * layer_x[layer + 1] * layer_x[layer + 1]), bottom = exp(-0.5 * layer_x[layer] * layer_x[layer]);
    if (bottom + ls_rng_double(r) * (top - bottom) < exp(-0.5 * x * x)) return x;
  }
}

static double log_gamma(ls_rng *r, double shape) {
  double boost = 0.0;
  if (shape < 1.0) {
    boost = log(positive(r)) / shape;
    shape += 1.0;
  }
  double d = shape - 1.0 / 3.0, c = 1.0 / sqrt(9.0 * d);
  for (;;) {
    double x = ls_rng_normal(r), v = 1.0 + c * x;
    if (v <= 0.0) continue;
    v = v * v * v;
    if (log(positive(r)) < 0.5 * x * x + d - d * v + d * log(v)) return log(d * v) + boost;
  }
}

ls_status ls_rng_gamma(ls_rng *r, double shape, double *value, ls_err *err) {
  if (!(shape > 0.0) || isinf(shape)) return ls_fail(err, LS_ERANGE, "shape is %g, allowed is any finite number above 0", shape);
  *value = exp(log_gamma(r, shape));
  return LS_OK;
}

ls_status ls_rng_beta(ls_rng *r, double a, double b, double *value, ls_err *err) {
  if (!(a > 0.0) || isinf(a)) return ls_fail(err, LS_ERANGE, "alpha is %g, allowed is any finite number above 0", a);
  if (!(b > 0.0) || isinf(b)) return ls_fail(err, LS_ERANGE, "beta is %g, allowed is any finite number above 0", b);
  double x = log_gamma(r, a), y = log_gamma(r, b);
  if (isinf(x) && isinf(y)) { /* both shapes so small that their logarithms overflow: the larger wins by chance a : b */
    *value = ls_rng_double(r) * (a + b) < a ? 1.0 : 0.0;
    return LS_OK;
  }
  *value = x > y ? 1.0 / (1.0 + exp(y - x)) : exp(x - y) / (1.0 + exp(x - y));
  return LS_OK;
}

ls_status ls_rng_categorical(ls_rng *r, const double *weights, size_t n, size_t *value, ls_err *err) {
  double total = 0.0, sum = 0.0;
  size_t last = 0;
  for (size_t i = 0; i < n; i++) {
    if (!(weights[i] >= 0.0) || isinf(weights[i]))
      return ls_fail(err, LS_ERANGE, "weight %zu is %g, allowed is any finite number from 0", i + 1, weights[i]);
    total += weights[i];
    if (weights[i] > 0.0) last = i;
  }
  if (!(total > 0.0) || isinf(total)) return ls_fail(err, LS_ERANGE, "the weights sum to %g, a finite sum above 0 is required", total);
  double target = ls_rng_double(r) * total;
  for (size_t i = 0; i < last; i++) {
    sum += weights[i];
    if (target < sum) {
      *value = i;
      return LS_OK;
    }
  }
  *value = last;
  return LS_OK;
}

void ls_rng_permutation(ls_rng *r, size_t n, int64_t *out) {
  for (size_t i = 0; i < n; i++) out[i] = (int64_t)i;
  for (size_t i = n; i > 1; i--) {
    size_t j = (size_t)ls_rng_integer(r, 0, (int64_t)i - 1);
    int64_t held = out[i - 1];
    out[i - 1] = out[j];
    out[j] = held;
  }
}

void ls_rng_fill_uniform(ls_rng *r, size_t n, float *out, double low, double high) {
  for (size_t i = 0; i < n; i++) out[i] = (float)(low + (high - low) * ls_rng_double(r));
}

void ls_rng_fill_normal(ls_rng *r, size_t n, float *out, double mean, double deviation) {
  for (size_t i = 0; i < n; i++) out[i] = (float)(mean + deviation * ls_rng_normal(r));
}
