/* Errors of predicted numbers. SPDX-License-Identifier: MIT */
#include <lsengine/eval.h>

#include <math.h>

static ls_status check_numbers(const char *what, const float *x, size_t n, ls_err *err) {
  for (size_t i = 0; i < n; i++)
    if (!isfinite(x[i])) return ls_fail(err, LS_EVALUE, "%s[%zu] is %s", what, i + 1, isnan(x[i]) ? "NaN" : x[i] > 0 ? "+inf" : "-inf");
  return LS_OK;
}

ls_status ls_evaluate_regression(const float *prediction, const float *y, size_t n, ls_regression *out, ls_err *err) {
  double mean = 0.0, square = 0.0, absolute = 0.0, total = 0.0;
  if (n == 0) return ls_fail(err, LS_ERANGE, "there is no row to judge");
  if (check_numbers("predictions", prediction, n, err) != LS_OK || check_numbers("y", y, n, err) != LS_OK) return LS_EVALUE;
  for (size_t i = 0; i < n; i++) mean += (double)y[i];
  mean /= (double)n;
  for (size_t i = 0; i < n; i++) {
    double e = (double)prediction[i] - (double)y[i], d = (double)y[i] - mean;
    square += e * e;
    absolute += fabs(e);
    total += d * d;
  }
  out->rmse = sqrt(square / (double)n);
  out->mae = absolute / (double)n;
  out->r2 = total > 0.0 ? 1.0 - square / total : square > 0.0 ? 0.0 : 1.0;
  return LS_OK;
}
