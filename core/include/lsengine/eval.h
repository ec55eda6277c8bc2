/* Judging predicted numbers. SPDX-License-Identifier: MIT */
#ifndef LSENGINE_EVAL_H
#define LSENGINE_EVAL_H

#include <lsengine/status.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ls_regression {
  double rmse, mae; /* root of the mean squared error, mean absolute error: in the unit of y */
  double r2;        /* 1 - sum (p - y)² / sum (y - mean y)²; where all y are equal 1 for no error at all, else 0 (as scikit-learn) */
} ls_regression;

/* n predicted numbers against n true ones. LS_ERANGE for n = 0, LS_EVALUE for a number that is NaN or infinite. O(n), sums in double. */
ls_status ls_evaluate_regression(const float *prediction, const float *y, size_t n, ls_regression *out, ls_err *err);

#ifdef __cplusplus
}
#endif
#endif
