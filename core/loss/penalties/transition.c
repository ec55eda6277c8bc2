/* Transition matrices of label noise: checks, transpose, inverse. SPDX-License-Identifier: MIT */
#include "core/loss/penalties/penalties.h"

ls_status ls_transition_check(ls_cmat t, ls_err *err) {
  if (t.rows != t.cols || t.rows < 1)
    return ls_fail(err, LS_ESHAPE, "the transition matrix is %dx%d, one row and one column for each class are required", t.rows, t.cols);
  for (int32_t i = 0; i < t.rows; i++) {
    double sum = 0.0;
    for (int32_t k = 0; k < t.cols; k++) {
      double x = (double)t.data[i * t.stride + k];
      if (!(x >= 0.0) || isinf(x))
        return ls_fail(err, LS_ERANGE, "the transition matrix has %g in the row of class %d, allowed is 0 to 1", x, i);
      sum += x;
    }
    if (!(fabs(sum - 1.0) <= LS_TARGET_TOLERANCE))
      return ls_fail(err, LS_ERANGE, "the row of class %d of the transition matrix sums to %g, must be 1 within 1e-4", i, sum);
  }
  return LS_OK;
}

void ls_transition_transpose(ls_cmat t, ls_mat out) {
  for (int32_t i = 0; i < t.rows; i++)
    for (int32_t k = 0; k < t.cols; k++) out.data[k * out.stride + i] = t.data[i * t.stride + k];
}

size_t ls_transition_invert_scratch(int32_t n) { return 2 * (size_t)n * (size_t)n * sizeof(double); }

static void swap_rows(double *a, size_t n, size_t i, size_t j) {
  for (size_t k = 0; k < 2 * n && i != j; k++) {
    double x = a[i * 2 * n + k];
    a[i * 2 * n + k] = a[j * 2 * n + k];
    a[j * 2 * n + k] = x;
  }
}

/* Gauss-Jordan with partial pivoting on [T | I]. */
ls_status ls_transition_invert(ls_cmat t, ls_mat out, void *scratch, ls_err *err) {
  static const double LARGEST = 1e4; /* of an entry: a float loses four of its seven digits to it */
  size_t n = (size_t)t.rows, width = 2 * n;
  double *a = scratch;
  for (size_t i = 0; i < n; i++)
    for (size_t k = 0; k < width; k++) a[i * width + k] = k < n ? (double)t.data[(ptrdiff_t)i * t.stride + (ptrdiff_t)k] : k - n == i ? 1.0 : 0.0;
  for (size_t c = 0; c < n; c++) {
    size_t best = c;
    for (size_t i = c + 1; i < n; i++)
      if (fabs(a[i * width + c]) > fabs(a[best * width + c])) best = i;
    swap_rows(a, n, c, best);
    double pivot = a[c * width + c];
    if (fabs(pivot) < 1e-12) return ls_fail(err, LS_EVALUE, "the transition matrix is singular: its rows do not tell the classes apart");
    for (size_t k = 0; k < width; k++) a[c * width + k] /= pivot;
    for (size_t i = 0; i < n; i++) {
      double by = a[i * width + c];
      if (i == c || by == 0.0) continue;
      for (size_t k = c; k < width; k++) a[i * width + k] -= by * a[c * width + k];
    }
  }
  for (size_t i = 0; i < n; i++)
    for (size_t k = 0; k < n; k++) {
      double x = a[i * width + n + k];
      if (!(fabs(x) <= LARGEST))
        return ls_fail(err, LS_EVALUE, "the transition matrix is nearly singular: its inverse has an entry of %g, allowed is up to %g", x, LARGEST);
      out.data[(ptrdiff_t)i * out.stride + (ptrdiff_t)k] = (float)x;
    }
  return LS_OK;
}
