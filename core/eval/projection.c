/* The plane of three templates, the mutual information of an image and its logits, what logits look like. SPDX-License-Identifier: MIT */
#include <lsengine/geometry.h>
#include <lsengine/pool.h>

#include "core/eval/features.h"
#include "core/eval/logits.h"

#include <float.h>
#include <math.h>

size_t ls_projection_scratch(int32_t d) { return 2 * (size_t)d * sizeof(double); }

static double length_of(const double *v, int32_t d) { return sqrt(ls_dot(v, v, d)); }

static void place(const float *row, const float *origin, const double *u, const double *v, int32_t d, float *out) {
  double along = 0.0, across = 0.0;
  for (int32_t j = 0; j < d; j++) {
    double e = (double)row[j] - (double)origin[j];
    along += e * u[j];
    across += e * v[j];
  }
  out[0] = (float)along;
  out[1] = (float)across;
}

ls_status ls_project(ls_cmat x, const float *a, const float *b, const float *c, void *scratch, ls_mat out, float *corners, ls_err *err) {
  int32_t d = x.cols;
  double *u = scratch, *v = u + d;
  ls_status status = ls_check_features(x, "features", err);
  for (int32_t j = 0; status == LS_OK && j < d; j++)
    if (!isfinite(a[j]) || !isfinite(b[j]) || !isfinite(c[j])) status = ls_fail(err, LS_EVALUE, "weight is not a finite number in column %d", j + 1);
  if (status != LS_OK) return status;
  for (int32_t j = 0; j < d; j++) u[j] = (double)b[j] - (double)a[j], v[j] = (double)c[j] - (double)a[j];
  double size = length_of(u, d), other = length_of(v, d);
  for (int32_t j = 0; j < d && size > 0.0; j++) u[j] /= size;
  for (int twice = 0; twice < 2; twice++) { /* the second time takes out what rounding has left */
    double along = ls_dot(u, v, d);
    for (int32_t j = 0; j < d; j++) v[j] -= along * u[j];
  }
  double height = length_of(v, d);
  if (size == 0.0 || height <= 16.0 * DBL_EPSILON * other) return ls_fail(err, LS_ERANGE, "the three classes' weights lie on a line: they span no plane");
  for (int32_t j = 0; j < d; j++) v[j] /= height;
  for (int32_t i = 0; i < x.rows; i++) place(x.data + i * x.stride, a, u, v, d, out.data + i * out.stride);
  place(a, a, u, v, d, corners);
  place(b, a, u, v, d, corners + 2);
  place(c, a, u, v, d, corners + 4);
  return LS_OK;
}

/* ---- mutual information ---- */

typedef struct information_job {
  ls_cmat fresh;
  const double *means;
  double variance, *out;
} information_job;

static void information_of_row(void *argument, size_t block) {
  const information_job *j = argument;
  const float *f = j->fresh.data + (ptrdiff_t)block * j->fresh.stride;
  int32_t n = j->fresh.rows;
  double total = 0.0, own = j->means[block];
  for (int32_t m = 0; m < j->fresh.cols; m++) {
    double nearest = INFINITY, sum = 0.0, e = (double)f[m] - own;
    for (int32_t i = 0; i < n; i++) nearest = fmin(nearest, fabs((double)f[m] - j->means[i]));
    if (j->variance == 0.0) { /* the limit: all weight lies on the means that equal f */
      for (int32_t i = 0; i < n; i++) sum += (double)f[m] == j->means[i];
      total -= log(sum / (double)n);
      continue;
    }
    for (int32_t i = 0; i < n; i++) {
      double other = (double)f[m] - j->means[i];
      sum += exp((nearest * nearest - other * other) / (2.0 * j->variance));
    }
    total += (nearest * nearest - e * e) / (2.0 * j->variance) - log(sum / (double)n);
  }
  j->out[block] = total / (double)j->fresh.cols;
}

ls_status ls_mutual_information(ls_cmat draws, ls_cmat fresh, double *row_values, double *means, double *out, ls_err *err) {
  double variance = 0.0, total = 0.0;
  ls_status status = ls_check_features(draws, "draws", err);
  if (status != LS_OK) return status;
  if (fresh.data == NULL) fresh = draws;
  status = ls_check_features(fresh, "fresh", err);
  if (status != LS_OK) return status;
  if (fresh.rows != draws.rows) return ls_fail(err, LS_ESHAPE, "there are %d rows of draws but %d of fresh ones", draws.rows, fresh.rows);
  for (int32_t i = 0; i < draws.rows; i++) {
    const float *f = draws.data + i * draws.stride;
    double sum = 0.0, square = 0.0;
    bool equal = true; /* then the mean must not differ from them by rounding */
    for (int32_t l = 0; l < draws.cols; l++) sum += (double)f[l], equal = equal && f[l] == f[0];
    means[i] = equal ? (double)f[0] : sum / (double)draws.cols;
    for (int32_t l = 0; l < draws.cols; l++) square += ((double)f[l] - means[i]) * ((double)f[l] - means[i]);
    variance += square;
  }
  variance /= (double)draws.rows * (double)draws.cols;
  for (int32_t i = 0; variance == 0.0 && i < draws.rows; i++)
    for (int32_t m = 0; m < fresh.cols; m++)
      if ((double)fresh.data[i * fresh.stride + m] != means[i])
        return ls_fail(err, LS_ERANGE, "the draws of each row are equal, but fresh[%d] differs from them: no variance explains it", i + 1);
  information_job job = {fresh, means, variance, row_values};
  ls_parallel(LS_SITE_EVALUATE, (size_t)draws.rows, information_of_row, &job);
  for (int32_t i = 0; i < draws.rows; i++) total += row_values[i];
  *out = total / (double)draws.rows;
  return LS_OK;
}

/* ---- logits ---- */

static void add_row(const float *z, int32_t classes, int64_t y, int32_t left, ls_logit_stats *s) {
  double sum = 0.0, square = 0.0, centred = 0.0, wrong = 0.0, first = -INFINITY, second = -INFINITY, rival = -INFINITY;
  for (int32_t k = 0; k < classes; k++) {
    double v = (double)z[k];
    if (v == -INFINITY) continue;
    sum += v;
    square += v * v;
    if (k != y && v > rival) rival = v;
    if (v > first) {
      second = first;
      first = v;
    } else if (v > second) {
      second = v;
    }
  }
  double mean = sum / left, others = (sum - (double)z[y]) / (left - 1);
  for (int32_t k = 0; k < classes; k++) {
    double v = (double)z[k];
    if (v == -INFINITY) continue;
    centred += (v - mean) * (v - mean);
    if (k != y) wrong += (v - others) * (v - others);
  }
  s->norm += sqrt(square);
  s->centred_norm += sqrt(centred);
  s->true_gap += (double)z[y] - mean;
  s->top_gap += first - mean;
  s->margin += (double)z[y] - rival;
  s->top_margin += first - second;
  s->deviation += sqrt(wrong / (left - 1));
}

ls_status ls_measure_logits(ls_cmat z, const int64_t *labels, ls_logit_stats *out, ls_err *err) {
  ls_logit_stats s = {0};
  ls_status status = ls_check_logits(z, labels, err);
  if (status != LS_OK) return status;
  for (int32_t i = 0; i < z.rows; i++) {
    const float *row = z.data + i * z.stride;
    int32_t left = 0;
    for (int32_t k = 0; k < z.cols; k++) left += row[k] != -INFINITY;
    if (left < 2) return ls_fail(err, LS_ERANGE, "logits[%d] has one class that is not masked, a margin needs two", i + 1);
    add_row(row, z.cols, labels[i], left, &s);
  }
  double *each[] = {&s.norm, &s.centred_norm, &s.true_gap, &s.top_gap, &s.margin, &s.top_margin, &s.deviation};
  for (size_t i = 0; i < sizeof each / sizeof *each; i++) *each[i] /= z.rows;
  *out = s;
  return LS_OK;
}
