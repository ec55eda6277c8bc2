/* Random numbers. SPDX-License-Identifier: MIT
 *
 * The generator is PCG64-DXSM (O'Neill 2014; the DXSM output function and 64-bit multiplier of 2019), seeded through the
 * entropy mixing of O'Neill's seed_seq_fe as NumPy's SeedSequence does: ls_rng_seed(r, s) gives the raw numbers and doubles
 * of numpy.random.Generator(numpy.random.PCG64DXSM(s)). docs/streams.md is the policy: what may change between versions. */
#ifndef LSENGINE_RANDOM_H
#define LSENGINE_RANDOM_H

#include <lsengine/status.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Placed by the caller. `key` is what the stream was made of: streams spawned from it depend on the key alone. */
typedef struct ls_rng {
  uint64_t state_high, state_low, increment_high, increment_low;
  uint32_t key[4];
} ls_rng;

LS_API void ls_rng_seed(ls_rng *r, uint64_t seed);

/* An independent stream decided by the parent's key, the name (any bytes), and `count`: how often the name was used before.
 * What the parent has drawn makes no difference. */
LS_API void ls_rng_spawn(const ls_rng *parent, const char *name, size_t length, uint64_t count, ls_rng *child);

/* 64 random bits. */
LS_API uint64_t ls_rng_next(ls_rng *r);

/* Uniform in [0, 1): the upper 53 bits of one number. */
LS_API double ls_rng_double(ls_rng *r);

/* Uniform in low … high, both ends included, without bias (Lemire 2019). low <= high (asserted). */
LS_API int64_t ls_rng_integer(ls_rng *r, int64_t low, int64_t high);

/* Standard normal: a ziggurat of 256 layers (Marsaglia & Tsang 2000) in double. */
LS_API double ls_rng_normal(ls_rng *r);

/* Gamma with scale 1 (Marsaglia & Tsang 2000; below shape 1 by their power of a uniform number, in logarithms, so that
 * nothing underflows). ls_rng_log_gamma gives its logarithm. shape > 0, finite. */
LS_API ls_status ls_rng_gamma(ls_rng *r, double shape, double *value, ls_err *err);

/* Beta(a, b) in [0, 1]: where a and b are at most 1 by Jöhnk 1964, else from two gammas (Marsaglia & Tsang 2000); in logarithms: right for a, b far
 * below 1. a, b > 0, finite. */
LS_API ls_status ls_rng_beta(ls_rng *r, double a, double b, double *value, ls_err *err);

/* 0 … n-1 with probability proportional to weights[i] >= 0. LS_ERANGE for a negative or non-finite weight, or a sum of 0. */
LS_API ls_status ls_rng_categorical(ls_rng *r, const double *weights, size_t n, size_t *value, ls_err *err);

/* A permutation of 0 … n-1 (Fisher and Yates, from the end). */
LS_API void ls_rng_permutation(ls_rng *r, size_t n, int64_t *out);

/* n at once, as many calls of ls_rng_double, ls_rng_normal, ls_rng_beta would give, and faster. */
LS_API void ls_rng_doubles(ls_rng *r, size_t n, double *out);
LS_API void ls_rng_normals(ls_rng *r, size_t n, double *out);
LS_API ls_status ls_rng_betas(ls_rng *r, double a, double b, size_t n, double *out, ls_err *err);

/* n numbers: low + (high - low)·uniform; mean + deviation·normal; rounded to float. */
void ls_rng_fill_uniform(ls_rng *r, size_t n, float *out, double low, double high);
void ls_rng_fill_normal(ls_rng *r, size_t n, float *out, double mean, double deviation);

#ifdef __cplusplus
}
#endif
#endif
