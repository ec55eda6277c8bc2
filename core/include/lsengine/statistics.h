/* Statistics of paired differences. SPDX-License-Identifier: MIT */
#ifndef LSENGINE_STATISTICS_H
#define LSENGINE_STATISTICS_H

#include <lsengine/random.h>
#include <lsengine/status.h>
#include <stdbool.h>
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

/* Holm's adjustment of n p values, in place: monotone, at most 1. `scratch` holds 2n size_t. O(n log n). */
void ls_holm(size_t n, double *p, size_t *scratch);

/* Benjamini and Hochberg's adjustment (1995), in place: the false discovery rate at which each would be called; monotone, at most 1. scratch: 2n size_t. O(n
 * log n). */
void ls_benjamini_hochberg(size_t n, double *p, size_t *scratch);

/* Pairs that a one-sided paired t test at `level` needs to find a true effect of `effect` standard deviations (> 0) with the
 * given power; at least 2, `most` where that is not enough. */
size_t ls_pairs_needed(double effect, double level, double power, size_t most);

/* ---- distributions ---- */

/* P(X <= x) of the standard normal; the x with P(X <= x) = p, 0 < p < 1 (-inf and inf at 0 and 1). Relative error of the smaller tail below 1e-13. */
double ls_normal_cdf(double x);
double ls_normal_quantile(double p);

/* The x with P(X <= x) = p of Beta(a, b). */
double ls_beta_quantile(double p, double a, double b);

/* P(X <= k) and P(X >= k) of Binomial(n, p), 0 <= p <= 1; P(X = k). */
double ls_binomial_cdf(int64_t k, int64_t n, double p);
double ls_binomial_survival(int64_t k, int64_t n, double p);
double ls_binomial_mass(int64_t k, int64_t n, double p);

typedef enum ls_alternative { LS_TWO_SIDED, LS_GREATER, LS_LESS } ls_alternative;

/* ---- tests (tests.c) ---- */

/* The exact binomial test of k of n against probability p; two-sided: all outcomes that are no more probable (as scipy). 0 <= k <= n. */
double ls_binomial_test(int64_t k, int64_t n, double p, ls_alternative alternative);

/* McNemar's test of two models on the same rows, from the rows that only a (only_a) and only b (only_b) has right: the two-sided exact binomial p, and the mid-p,
 * 2 P(X < k) + P(X = k) for the smaller count k, which is not conservative (Fagerland, Lydersen and Laake 2013). 1 for no such row. */
void ls_mcnemar(int64_t only_a, int64_t only_b, double *exact, double *mid);

typedef enum ls_zero_method { LS_ZEROS_WILCOX, LS_ZEROS_PRATT } ls_zero_method; /* dropped; ranked, then dropped */

#define LS_WILCOXON_EXACT 100 /* ranked differences, at most, for the exact distribution */

typedef struct ls_wilcoxon {
  double positive, negative; /* sums of the ranks of |x| (equal ones share their mean rank) of the differences above and below 0 */
  double p;
  double z;                  /* of the normal approximation, without correction for continuity */
  double rank_biserial;      /* (positive - negative)/(positive + negative): -1 … 1 */
  int64_t used;              /* differences that are not 0 */
  bool exact;
} ls_wilcoxon;

/* Wilcoxon's signed-rank test that differences are symmetric around 0. Exact for up to 100 differences, ties included (the distribution over all signs of the ranks
 * at hand), else by the normal approximation with the variance that ties leave. LS_ERANGE for n = 0. O(n log n), exact O(n³). */
size_t ls_wilcoxon_scratch(size_t n);
ls_status ls_wilcoxon_test(size_t n, const double *x, ls_zero_method zeros, ls_alternative alternative, void *scratch, ls_wilcoxon *out, ls_err *err);

typedef struct ls_effect {
  double d;           /* mean over standard deviation of the differences (paired Cohen's d); 0 for no difference at all, ±inf for equal ones */
  double superiority; /* P(difference > 0) + P(difference = 0)/2 */
} ls_effect;
void ls_effect_size(size_t n, const double *x, ls_effect *out);

/* ---- intervals (resample.c) ---- */

typedef enum ls_proportion_method { LS_WILSON, LS_CLOPPER_PEARSON } ls_proportion_method;
void ls_proportion_interval(int64_t k, int64_t n, double level, ls_proportion_method method, double *low, double *high);

typedef enum ls_bootstrap_method { LS_BCA, LS_PERCENTILE, LS_BASIC } ls_bootstrap_method;
typedef enum ls_statistic { LS_STATISTIC_MEAN, LS_STATISTIC_MEDIAN, LS_STATISTIC_DEVIATION, LS_STATISTIC_INTERQUARTILE_MEAN } ls_statistic;

typedef struct ls_interval {
  double estimate, low, high, error; /* error: standard deviation of the replicates */
} ls_interval;

/* From the replicates of a bootstrap (sorted in place; spare of the same size) and, for BCa, the n values of the jackknife (each with one row left out):
 * Efron 1987. The acceleration is that of the jackknife; quantiles by linear interpolation, as scipy. Where no replicate lies below (or above) the estimate
 * the bias is taken from half a replicate. */
void ls_bootstrap_interval(size_t count, double *replicates, double *spare, double estimate, size_t n, const double *jackknife, double level, ls_bootstrap_method method,
                           ls_interval *out);

/* The statistic of n values; spare (n) for those that sort. */
double ls_statistic_of(size_t n, const double *x, ls_statistic statistic, double *spare);

/* Replicate b draws n rows from a stream of its own, spawned from rng by "replicate" and b, so that threads make no difference. LS_ERANGE for n < 2 or fewer
 * than 2 resamples. O(resamples n log n). */
size_t ls_bootstrap_scratch(size_t n, size_t resamples);
ls_status ls_bootstrap(size_t n, const double *x, ls_statistic statistic, size_t resamples, double level, ls_bootstrap_method method, const ls_rng *rng, void *scratch,
                       ls_interval *out, ls_err *err);

#ifdef __cplusplus
}
#endif
#endif
