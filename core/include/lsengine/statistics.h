/* Statistics of paired differences. SPDX-License-Identifier: MIT */
#ifndef LSENGINE_STATISTICS_H
#define LSENGINE_STATISTICS_H

#include <lsengine/status.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Distribution functions. P(T <= t) of Student's t with `degrees` > 0; P(T > t), accurate in the tail; the t with P(T <= t) = p,
 * 0 < p < 1. Relative error below 1e-11 (of the smaller tail; the quantile's absolute 1e-10). */
double ls_t_cdf(double t, double degrees);
double ls_t_survival(double t, double degrees);
double ls_t_quantile(double p, double degrees);

/* P(T > t) of the noncentral t with noncentrality delta, by integration over the chi distribution; absolute error below 1e-9. */
double ls_noncentral_t_survival(double t, double degrees, double delta);

/* Mean and standard deviation (n - 1) of x, two-pass. n >= 1; the deviation of one value is 0. */
void ls_mean_deviation(size_t n, const double *x, double *mean, double *deviation);

/* One-sided p value of the hypothesis mean(x) <= margin, by t on x - margin: P(T > t). n >= 2. With no spread 0, 1, or 1/2 where the
 * mean equals the margin. */
double ls_t_test(size_t n, const double *x, double margin);

#define LS_SIGN_FLIP_MOST 20

/* The same by the exact sign-flip test: the share of the 2^n sign patterns of x - margin whose sum is at least the observed
 * one (itself included). LS_ERANGE for n above 20 or 0. O(2^n). */
ls_status ls_sign_flip_test(size_t n, const double *x, double margin, double *p, ls_err *err);

/* Holm's adjustment of n p values, in place: monotone, at most 1. `order` holds n size_t of scratch. O(n²). */
void ls_holm(size_t n, double *p, size_t *order);

/* Pairs that a one-sided paired t test at `level` needs to find a true effect of `effect` standard deviations (> 0) with the
 * given power; at least 2, `most` where that is not enough. */
size_t ls_pairs_needed(double effect, double level, double power, size_t most);

#ifdef __cplusplus
}
#endif
#endif
