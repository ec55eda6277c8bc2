/* The linear probe: multinomial logistic regression on features. SPDX-License-Identifier: MIT
 *
 * Points are doubles, (n,d) contiguous: features less the training rows' mean, over their standard deviation where that is wanted. */
#ifndef LSENGINE_PROBE_H
#define LSENGINE_PROBE_H

#include <lsengine/view.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Mean and scale (d) of the training rows: scale is 1 over the standard deviation (of n), 1 for a constant column or where not `unit`. sizes: one int64_t of
 * scratch. LS_EVALUE for a number that is NaN or infinite. O(nd). */
ls_status ls_probe_scale(ls_cmat x, bool unit, double *mean, double *scale, int64_t *size, ls_err *err);
void ls_probe_points(ls_cmat x, const double *mean, const double *scale, double *points);

typedef struct ls_probe_options {
  double l2;          /* >= 0: the objective is the mean of -log p_y over rows plus l2/2 |W|²; intercepts are free. scikit-learn's C is 1/(n l2) */
  double tolerance;   /* > 0: of the largest entry of the gradient */
  int32_t iterations; /* at most, >= 1 */
} ls_probe_options;

typedef struct ls_probe {
  double objective, gradient; /* at the end: value, largest entry of the gradient */
  int32_t iterations, sweeps; /* steps; evaluations of the objective */
  bool converged;
} ls_probe;

/* L-BFGS (Liu and Nocedal 1989; ten pairs), steps by bisection to the weak Wolfe conditions, all in double. weights (K, d+1), the intercept last, are the
 * start and the result. group (n) in 0 … K-1. O(ndK) a sweep. The bits do not depend on threads. */
size_t ls_probe_scratch(int32_t n, int32_t d, int32_t classes);
ls_status ls_probe_fit(int32_t n, int32_t d, const double *points, const int32_t *group, int32_t classes, const ls_probe_options *o, void *scratch, double *weights,
                       ls_probe *out, ls_err *err);

/* Logits (n,K) as floats, or .data NULL; accuracy (ties to the lower class) and mean -log p_y. scratch: K + 1 doubles a row of at most 4096 rows. O(ndK). */
size_t ls_probe_judge_scratch(int32_t n, int32_t classes);
ls_status ls_probe_judge(int32_t n, int32_t d, const double *points, const int32_t *group, int32_t classes, const double *weights, void *scratch, ls_mat logits,
                         double *accuracy, double *nll, ls_err *err);

#ifdef __cplusplus
}
#endif
#endif
