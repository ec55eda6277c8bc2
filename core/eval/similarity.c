/* Similarity of two representations, and their rank. SPDX-License-Identifier: MIT */
#include <lsengine/geometry.h>

#include "core/base/blas.h"
#include "core/eval/features.h"

#include <math.h>
#include <string.h>

enum { PANEL = 1024 };

static int32_t panel_rows(ls_cmat x) { return x.rows < PANEL ? x.rows : PANEL; }

/* Where there are fewer rows than columns the n×n products are the smaller ones: |Y'X|² = sum of the elements of XX' times those of YY'. */
static bool by_rows(ls_cmat x, ls_cmat y) { return (double)x.rows * x.rows < (double)x.cols * y.cols; }

size_t ls_cka_scratch(ls_cmat x, ls_cmat y) {
  size_t n = (size_t)x.rows, d = (size_t)x.cols, e = (size_t)y.cols, widest = d > e ? d : e;
  if (16.0 * ((double)n * (double)(d + e) + fmin((double)n * (double)n, (double)d * (double)e)) + 8.0 * (double)widest * (double)widest > 0x1p46) return LS_TOO_MUCH;
  if (by_rows(x, y)) return (d + e + n * (d + e) + 2 * n * n) * sizeof(double) + sizeof(int64_t);
  return (d + e + (size_t)panel_rows(x) * (d + e) + widest * widest) * sizeof(double) + sizeof(int64_t);
}

static double sum_of_products(const double *a, const double *b, size_t count) {
  double sum = 0.0;
  for (size_t i = 0; i < count; i++) sum += a[i] * b[i];
  return sum;
}

/* |Y'X|², of columns less their means. */
static double cross_square(ls_cmat x, const double *x_mean, ls_cmat y, const double *y_mean, double *x_panel, double *y_panel, double *product) {
  for (int32_t first = 0; first < x.rows; first += PANEL) {
    int32_t rows = x.rows - first < PANEL ? x.rows - first : PANEL;
    ls_deviating_rows(x, NULL, NULL, x_mean, first, rows, x_panel);
    ls_deviating_rows(y, NULL, NULL, y_mean, first, rows, y_panel);
    ls_gemm_double(true, false, y.cols, x.cols, rows, y_panel, y.cols, x_panel, x.cols, first == 0 ? 0.0 : 1.0, product, x.cols);
  }
  size_t count = (size_t)x.cols * (size_t)y.cols;
  return sum_of_products(product, product, count);
}

ls_status ls_cka(ls_cmat x, ls_cmat y, void *scratch, double *out, ls_err *err) {
  size_t n = (size_t)x.rows, d = (size_t)x.cols, e = (size_t)y.cols;
  double xy, xx, yy, *x_mean = scratch, *y_mean = x_mean + d;
  ls_status status = ls_check_features(x, "features of a", err);
  if (status == LS_OK) status = ls_check_features(y, "features of b", err);
  if (status != LS_OK) return status;
  if (x.rows != y.rows) return ls_fail(err, LS_ESHAPE, "a has %d rows but b has %d: they must be of the same examples", x.rows, y.rows);
  status = ls_blas_need(err);
  if (status != LS_OK) return status;
  double *work = y_mean + e + 1;
  int64_t *size = (int64_t *)(work - 1);
  ls_class_means(x, NULL, NULL, 1, x_mean, size);
  ls_class_means(y, NULL, NULL, 1, y_mean, size);
  if (by_rows(x, y)) {
    double *a = work, *b = a + n * d, *aa = b + n * e, *bb = aa + n * n;
    ls_deviating_rows(x, NULL, NULL, x_mean, 0, x.rows, a);
    ls_deviating_rows(y, NULL, NULL, y_mean, 0, y.rows, b);
    ls_gemm_double(false, true, x.rows, x.rows, x.cols, a, x.cols, a, x.cols, 0.0, aa, x.rows);
    ls_gemm_double(false, true, x.rows, x.rows, y.cols, b, y.cols, b, y.cols, 0.0, bb, x.rows);
    xy = sum_of_products(aa, bb, n * n);
    xx = sum_of_products(aa, aa, n * n);
    yy = sum_of_products(bb, bb, n * n);
  } else {
    size_t rows = (size_t)panel_rows(x);
    double *a = work, *b = a + rows * d, *product = b + rows * e;
    xx = cross_square(x, x_mean, x, x_mean, a, a, product);
    yy = cross_square(y, y_mean, y, y_mean, a, a, product);
    xy = cross_square(x, x_mean, y, y_mean, a, b, product);
  }
  if (xx == 0.0 || yy == 0.0) return ls_fail(err, LS_ERANGE, "all rows of %s are equal: there is nothing to compare", xx == 0.0 ? "a" : "b");
  *out = xy / (sqrt(xx) * sqrt(yy));
  return LS_OK;
}

/* ---- effective rank ---- */

static int32_t fold_rows(ls_cmat x) { return 2 * (x.cols + 1) > 512 ? 2 * (x.cols + 1) : 512; }

/* triangle and new rows ((d+1) + P, d+1), a copy of the triangle (d+1, d+1), values (d), means (d), LAPACK's */
size_t ls_effective_rank_scratch(ls_cmat x) {
  if (40.0 * (double)x.cols * (double)x.cols > 0x1p46) return LS_TOO_MUCH;
  size_t w = (size_t)x.cols + 1, fold = ls_fold_scratch(x.cols + 1, fold_rows(x)), singular = ls_singular_scratch(x.cols + 1, x.cols, false);
  return ((w + (size_t)fold_rows(x)) * w + w * w + 2 * w) * sizeof(double) + sizeof(int64_t) + (fold > singular ? fold : singular);
}

static double entropy_rank(const double *s, int32_t count, double *participation) {
  double sum = 0.0, entropy = 0.0, squares = 0.0, fourth = 0.0;
  for (int32_t i = 0; i < count; i++) sum += s[i];
  if (sum == 0.0) return *participation = 0.0;
  for (int32_t i = 0; i < count; i++) {
    double p = s[i] / sum;
    if (p > 0.0) entropy -= p * log(p);
    squares += p * p;
    fourth += p * p * p * p;
  }
  *participation = squares * squares / fourth;
  return exp(entropy);
}

/* Rows less their mean m are folded into the triangle of the centred features C; the features as they are have that of C with the row sqrt(n) m below it:
 * X'X = C'C + n m m'. */
ls_status ls_effective_rank(ls_cmat x, void *scratch, ls_rank *out, ls_err *err) {
  int32_t d = x.cols, most = fold_rows(x), least = x.rows < d ? x.rows : d;
  size_t w = (size_t)d + 1;
  double *a = scratch, *copy = a + (w + (size_t)most) * w, *values = copy + w * w, *mean = values + w, ignored;
  int64_t *size = (int64_t *)(mean + w);
  void *lapack = size + 1;
  ls_status status = ls_check_features(x, "features", err);
  if (status == LS_OK) status = ls_blas_need(err);
  if (status != LS_OK) return status;
  ls_class_means(x, NULL, NULL, 1, mean, size);
  memset(a, 0, (size_t)d * (size_t)d * sizeof *a);
  for (int32_t first = 0; first < x.rows && status == LS_OK; first += most) {
    int32_t rows = x.rows - first < most ? x.rows - first : most;
    ls_deviating_rows(x, NULL, NULL, mean, first, rows, a + (size_t)d * (size_t)d);
    status = ls_fold_rows(d, rows, a, lapack, err);
  }
  if (status != LS_OK) return status;
  ls_rank r;
  memcpy(copy, a, (size_t)d * (size_t)d * sizeof *a);
  status = ls_singular_values(d, d, copy, values, NULL, lapack, err);
  if (status != LS_OK) return status;
  for (int32_t i = x.rows - 1; i >= 0 && i < d; i++) values[i] = 0.0; /* n centred rows have n-1 directions at most: the rest is rounding */
  r.effective_centred = entropy_rank(values, d, &r.participation_centred);
  for (int32_t j = 0; j < d; j++) a[(size_t)d * (size_t)d + (size_t)j] = sqrt((double)x.rows) * mean[j];
  status = ls_singular_values(d + 1, d, a, values, NULL, lapack, err);
  if (status != LS_OK) return status;
  r.effective = entropy_rank(values, least, &ignored);
  *out = r;
  return LS_OK;
}
