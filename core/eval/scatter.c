/* Scatter within and between classes, alignment, uniformity. SPDX-License-Identifier: MIT
 *
 * Within-class distances are sums of squared deviations from the class mean: the textbook form 1 - |m_k|² of the cosine distance loses all digits where the
 * classes are tight. */
#include <lsengine/geometry.h>
#include <lsengine/pool.h>

#include "core/base/blas.h"
#include "core/eval/features.h"

#include <math.h>
#include <string.h>

/* norms and deviations (n), means of features and of unit features (K,d), mean of means (d), sums, squares and cdnv by class (K), sizes (K) */
size_t ls_scatter_scratch(ls_cmat x, int32_t classes) {
  size_t n = (size_t)x.rows, d = (size_t)x.cols, k = (size_t)classes;
  return (2 * n + k * d + d + 2 * k) * sizeof(double) + k * sizeof(int64_t);
}

/* Sums by class of the rows' deviations. */
static void sum_by_class(const double *deviation, const int32_t *group, int32_t n, int32_t classes, double *sums) {
  memset(sums, 0, (size_t)classes * sizeof *sums);
  for (int32_t i = 0; i < n; i++) sums[group[i]] += deviation[i];
}

static double mean_square_from_mean(const double *means, int32_t classes, int32_t d, double *centre) {
  double sum = 0.0;
  ls_mean_of_rows(means, classes, d, centre);
  for (int32_t k = 0; k < classes; k++) sum += ls_square_distance(means + (size_t)k * (size_t)d, centre, d);
  return sum / (double)classes;
}

typedef struct cdnv_job {
  const double *means, *variance;
  double *out;
  int32_t classes, d;
} cdnv_job;

static void cdnv_of_class(void *argument, size_t block) {
  const cdnv_job *j = argument;
  size_t k = block, d = (size_t)j->d;
  double sum = 0.0;
  for (size_t l = 0; l < (size_t)j->classes; l++) {
    double spread = j->variance[k] + j->variance[l];
    if (l == k || spread == 0.0) continue;
    sum += spread / (2.0 * ls_square_distance(j->means + k * d, j->means + l * d, j->d));
  }
  j->out[k] = sum;
}

ls_status ls_measure_scatter(ls_cmat x, const int32_t *group, int32_t classes, void *scratch, ls_scatter *out, ls_err *err) {
  int32_t n = x.rows, d = x.cols;
  double k = (double)classes, *inverse = scratch, *deviation = inverse + n, *means = deviation + n, *centre = means + (size_t)classes * (size_t)d,
         *sums = centre + d, *cdnv = sums + classes;
  int64_t *sizes = (int64_t *)(cdnv + classes);
  ls_scatter s = {0};
  ls_status status = ls_check_features(x, "features", err);
  if (status == LS_OK) status = ls_inverse_norms(x, "features", inverse, err);
  if (status != LS_OK) return status;

  for (int32_t i = 0; i < n; i++) s.norm += 1.0 / inverse[i] / (double)n;
  ls_class_means(x, inverse, group, classes, means, sizes);
  ls_row_deviations(x, inverse, group, means, deviation);
  sum_by_class(deviation, group, n, classes, sums);
  double pairs = 0.0, squares = 0.0;
  for (int32_t c = 0; c < classes; c++) {
    double size = (double)sizes[c];
    s.within += sums[c] / size / k;
    squares += 2.0 * size * sums[c]; /* over ordered pairs of a class sum |u_i - u_j|² = 2 n_k sum |u_i - m_k|² */
    pairs += size * (size - 1.0);
  }
  s.alignment = pairs > 0.0 ? squares / pairs : 0.0;
  double apart = mean_square_from_mean(means, classes, d, centre);
  s.total = s.within + apart;
  s.between = classes > 1 ? s.within + apart * k / (k - 1.0) : 0.0;
  s.separation = s.total > 0.0 ? apart / s.total : 0.0;

  ls_class_means(x, NULL, group, classes, means, sizes);
  ls_row_deviations(x, NULL, group, means, deviation);
  sum_by_class(deviation, group, n, classes, sums);
  for (int32_t c = 0; c < classes; c++) {
    s.within_trace += sums[c];
    sums[c] /= (double)sizes[c];
  }
  s.within_trace /= (double)n;
  s.between_trace = mean_square_from_mean(means, classes, d, centre);
  s.trace_ratio = s.within_trace == 0.0 ? 0.0 : s.within_trace / s.between_trace;
  cdnv_job job = {means, sums, cdnv, classes, d};
  ls_parallel(LS_SITE_EVALUATE, (size_t)classes, cdnv_of_class, &job);
  for (int32_t c = 0; c < classes; c++) s.cdnv += cdnv[c];
  s.cdnv = classes > 1 ? s.cdnv / (k * (k - 1.0)) : 0.0;
  *out = s;
  return LS_OK;
}

/* ---- uniformity ---- */

/* units (n,d), a sum for each row */
size_t ls_uniformity_scratch(ls_cmat x) { return ((size_t)x.rows * (size_t)x.cols + 2 * (size_t)x.rows) * sizeof(double); }

typedef struct uniformity_job {
  const double *units;
  double *sums, t;
  int32_t n, d;
} uniformity_job;

static void uniformity_of_rows(void *argument, size_t block) {
  const uniformity_job *j = argument;
  int32_t i = (int32_t)block * 16, end = j->n - i < 16 ? j->n : i + 16;
  for (; i < end; i++) {
    double sum = 0.0;
    for (int32_t other = i + 1; other < j->n; other++)
      sum += exp(-j->t * ls_square_distance(j->units + (size_t)i * (size_t)j->d, j->units + (size_t)other * (size_t)j->d, j->d));
    j->sums[i] = sum;
  }
}

ls_status ls_uniformity(ls_cmat x, double t, void *scratch, double *out, ls_err *err) {
  double *units = scratch, *sums = units + (size_t)x.rows * (size_t)x.cols, *inverse = sums + x.rows, sum = 0.0, n = (double)x.rows;
  ls_status status = ls_check_features(x, "features", err);
  if (status != LS_OK) return status;
  if (x.rows < 2) return ls_fail(err, LS_ERANGE, "uniformity compares rows: one was given, at least 2 are required");
  if (!(t > 0.0) || isinf(t)) return ls_fail(err, LS_ERANGE, "t is %g, allowed is any finite number above 0", t);
  status = ls_inverse_norms(x, "features", inverse, err);
  if (status != LS_OK) return status;
  ls_deviating_rows(x, inverse, NULL, NULL, 0, x.rows, units);
  uniformity_job job = {units, sums, t, x.rows, x.cols};
  ls_parallel(LS_SITE_EVALUATE, ((size_t)x.rows + 15) / 16, uniformity_of_rows, &job);
  for (int32_t i = 0; i < x.rows; i++) sum += sums[i];
  *out = log(sum / (0.5 * n * (n - 1.0)));
  return LS_OK;
}

ls_status ls_alignment(ls_cmat x, ls_cmat y, double *out, ls_err *err) {
  double total = 0.0;
  ls_status status = ls_check_features(x, "features", err);
  if (status == LS_OK) status = ls_check_features(y, "positives", err);
  if (status != LS_OK) return status;
  if (x.rows != y.rows || x.cols != y.cols)
    return ls_fail(err, LS_ESHAPE, "features are %dx%d but positives are %dx%d", x.rows, x.cols, y.rows, y.cols);
  for (int32_t i = 0; i < x.rows; i++) {
    const float *a = x.data + i * x.stride, *b = y.data + i * y.stride;
    double aa = 0.0, bb = 0.0, sum = 0.0;
    for (int32_t j = 0; j < x.cols; j++) aa += (double)a[j] * (double)a[j], bb += (double)b[j] * (double)b[j];
    if (aa == 0.0 || bb == 0.0)
      return ls_fail(err, LS_EVALUE, "%s[%d] is a row of zeros, which has no direction", aa == 0.0 ? "features" : "positives", i + 1);
    aa = 1.0 / sqrt(aa);
    bb = 1.0 / sqrt(bb);
    for (int32_t j = 0; j < x.cols; j++) {
      double e = aa * (double)a[j] - bb * (double)b[j];
      sum += e * e;
    }
    total += sum;
  }
  *out = total / (double)x.rows;
  return LS_OK;
}
