/* The beta distribution's function. SPDX-License-Identifier: MIT */
#ifndef LSENGINE_BETA_H
#define LSENGINE_BETA_H

#ifdef __cplusplus
extern "C" {
#endif

/* P(X <= x) of Beta(a, b), a, b > 0: the regularised incomplete beta function. Relative error below 1e-11 where a, b are below 1e4,
 * absolute below 1e-7 up to 1e6. O(sqrt(max(a, b))). */
double ls_beta_cdf(double a, double b, double x);

/* The same with rest = 1 - x given apart, which keeps its digits where x is near 1. */
double ls_incomplete_beta(double a, double b, double x, double rest);

#ifdef __cplusplus
}
#endif
#endif
