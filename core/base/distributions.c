/* Distributions over the generator. SPDX-License-Identifier: MIT */
#include <lsengine/random.h>

#include "core/base/random_block.h"

#include <assert.h>
#include <math.h>

__extension__ typedef unsigned __int128 u128;

static const double layer_x[257] = {
#include "core/base/ziggurat.inc"
};

double ls_rng_double(ls_rng *r) { return (double)(ls_rng_next(r) >> 11) * 0x1p-53; }

static double unit_of(uint64_t bits) { return (double)(bits >> 11) * 0x1p-53; }

/* In (0, 1]: what a logarithm may be taken of. */
static double positive_of(uint64_t bits) { return (double)((bits >> 11) + 1) * 0x1p-53; }
static double positive(ls_rng *r) { return positive_of(ls_rng_next(r)); }

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

/* Where a normal takes its numbers from: the generator, or a block of it. */
typedef uint64_t next_number(void *source);
static uint64_t next_of_generator(void *source) { return ls_rng_next(source); }
static uint64_t next_of_block(void *source) { return ls_random_block_next(source, LS_RANDOM_BLOCK); }

static double normal_tail(next_number *next, void *source, int negative) {
  double edge = layer_x[1];
  for (;;) {
    double x = -log(positive_of(next(source))) / edge, y = -log(positive_of(next(source)));
    if (y + y > x * x) return negative ? -(edge + x) : edge + x;
  }
}

/* Layer by the low 8 bits, place and sign by the upper 53. Layer 0 is the strip with the tail. */
static double normal_from(next_number *next, void *source) {
  for (;;) {
    uint64_t bits = next(source);
    unsigned layer = (unsigned)(bits & 255);
    double u = (double)((int64_t)bits >> 11) * 0x1p-52, x = u * layer_x[layer];
    if (fabs(x) < layer_x[layer + 1]) return x;
    if (layer == 0) return normal_tail(next, source, u < 0.0);
    double top = exp(-0.5 * layer_x[layer + 1] * layer_x[layer + 1]), bottom = exp(-0.5 * layer_x[layer] * layer_x[layer]);
    if (bottom + unit_of(next(source)) * (top - bottom) < exp(-0.5 * x * x)) return x;
  }
}

double ls_rng_normal(ls_rng *r) { return normal_from(next_of_generator, r); }

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

/* Both logarithms too large for a double: the larger wins by chance a : b. */
static double overflown_beta(double u, double a, double b) { return u * (a + b) < a ? 1.0 : 0.0; }

/* n of Beta(a, b), a, b <= 1. */
static void small_betas(ls_rng *r, double a, double b, size_t n, double *out) {
  double value[LS_RANDOM_BLOCK / 2], sum[LS_RANDOM_BLOCK / 2];
  ls_random_block block;
  ls_random_block_begin(&block, r);
  for (size_t done = 0; done < n;) {
    size_t wanted = n - done;
    ls_random_block_fill(&block, 2 * wanted);
    size_t pairs = block.filled / 2, i = 0;
    block.kernels->betas(pairs, block.raw, a, b, value, sum);
    for (; i < pairs && done < n; i++) {
      if (isnan(value[i])) {
        out[done++] = overflown_beta(unit_of(block.raw[2 * i]), a, b);
        continue;
      }
      out[done] = value[i];
      done += sum[i] <= 1.0;
    }
    block.at = 2 * i;
  }
  ls_random_block_end(&block);
}

ls_status ls_rng_betas(ls_rng *r, double a, double b, size_t n, double *out, ls_err *err) {
  if (a > 0.0 && a <= 1.0 && b > 0.0 && b <= 1.0) {
    small_betas(r, a, b, n, out);
    return LS_OK;
  }
  ls_status status = LS_OK;
  for (size_t i = 0; i < n && status == LS_OK; i++) status = ls_rng_beta(r, a, b, &out[i], err);
  return status;
}

ls_status ls_rng_beta(ls_rng *r, double a, double b, double *value, ls_err *err) {
  if (a > 0.0 && a <= 1.0 && b > 0.0 && b <= 1.0) return ls_rng_betas(r, a, b, 1, value, err);
  if (!(a > 0.0) || isinf(a)) return ls_fail(err, LS_ERANGE, "alpha is %g, allowed is any finite number above 0", a);
  if (!(b > 0.0) || isinf(b)) return ls_fail(err, LS_ERANGE, "beta is %g, allowed is any finite number above 0", b);
  double x = log_gamma(r, a), y = log_gamma(r, b);
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
  ls_random_block block;
  ls_random_block_begin(&block, r);
  for (size_t i = 0; i < n; i++) out[i] = (int64_t)i;
  for (size_t i = n; i > 1; i--) {
    u128 product = (u128)ls_random_block_next(&block, i - 1) * i;
    if ((uint64_t)product < i) {
      uint64_t threshold = (0 - (uint64_t)i) % i;
      while ((uint64_t)product < threshold) product = (u128)ls_random_block_next(&block, i - 1) * i;
    }
    size_t j = (size_t)(product >> 64);
    int64_t held = out[i - 1];
    out[i - 1] = out[j];
    out[j] = held;
  }
  ls_random_block_end(&block);
}

void ls_rng_doubles(ls_rng *r, size_t n, double *out) {
  ls_random_block block;
  ls_random_block_begin(&block, r);
  for (size_t i = 0; i < n; i += block.filled) {
    ls_random_block_fill(&block, n - i);
    block.kernels->doubles(block.filled, block.raw, out + i);
  }
}

void ls_rng_normals(ls_rng *r, size_t n, double *out) {
  ls_random_block block;
  ls_random_block_begin(&block, r);
  for (size_t i = 0; i < n;) {
    if (block.at == block.filled) ls_random_block_fill(&block, n - i);
    size_t left = block.filled - block.at, run = block.kernels->normals(left < n - i ? left : n - i, block.raw + block.at, layer_x, out + i);
    block.at += run;
    i += run;
    if (i < n && block.at < block.filled) out[i++] = normal_from(next_of_block, &block); /* of the tail, or between two layers */
  }
  ls_random_block_end(&block);
}

void ls_rng_fill_uniform(ls_rng *r, size_t n, float *out, double low, double high) {
  double x[LS_RANDOM_BLOCK];
  for (size_t i = 0; i < n; i += LS_RANDOM_BLOCK) {
    size_t count = n - i < LS_RANDOM_BLOCK ? n - i : LS_RANDOM_BLOCK;
    ls_rng_doubles(r, count, x);
    for (size_t k = 0; k < count; k++) out[i + k] = (float)(low + (high - low) * x[k]);
  }
}

void ls_rng_fill_normal(ls_rng *r, size_t n, float *out, double mean, double deviation) {
  double x[LS_RANDOM_BLOCK];
  for (size_t i = 0; i < n; i += LS_RANDOM_BLOCK) {
    size_t count = n - i < LS_RANDOM_BLOCK ? n - i : LS_RANDOM_BLOCK;
    ls_rng_normals(r, count, x);
    for (size_t k = 0; k < count; k++) out[i + k] = (float)(mean + deviation * x[k]);
  }
}
