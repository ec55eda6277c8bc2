/* Sweeps over features: checks, means, deviations. SPDX-License-Identifier: MIT */
#include "core/eval/features.h"
#include "core/eval/sort.h"

#include <lsengine/geometry.h>
#include <lsengine/pool.h>

#include <math.h>
#include <string.h>

ls_status ls_check_features(ls_cmat x, const char *what, ls_err *err) {
  if (x.rows < 1 || x.cols < 1) return ls_fail(err, LS_ESHAPE, "%s are %dx%d, at least one row and one column are required", what, x.rows, x.cols);
  for (int32_t i = 0; i < x.rows; i++) {
    const float *row = x.data + i * x.stride;
    for (int32_t j = 0; j < x.cols; j++)
      if (!isfinite(row[j]))
        return ls_fail(err, LS_EVALUE, "%s[%d] is %s in column %d", what, i + 1, isnan(row[j]) ? "NaN" : row[j] > 0 ? "+inf" : "-inf", j + 1);
  }
  return LS_OK;
}

ls_status ls_inverse_norms(ls_cmat x, const char *what, double *inverse, ls_err *err) {
  for (int32_t i = 0; i < x.rows; i++) {
    const float *row = x.data + i * x.stride;
    double sum = 0.0;
    for (int32_t j = 0; j < x.cols; j++) sum += (double)row[j] * (double)row[j];
    if (sum == 0.0) return ls_fail(err, LS_EVALUE, "%s[%d] is a row of zeros, which has no direction", what, i + 1);
    inverse[i] = 1.0 / sqrt(sum);
  }
  return LS_OK;
}

size_t ls_group_labels_scratch(size_t n) { return 2 * n * sizeof(int64_t); }

ls_status ls_group_labels(size_t n, const int64_t *labels, void *scratch, int32_t *group, int64_t *names, int32_t *classes, ls_err *err) {
  int64_t *sorted = scratch;
  size_t count = 0;
  if (n < 1 || n > INT32_MAX) return ls_fail(err, LS_ERANGE, "there are %zu labels, allowed is 1 to 2^31-1", n);
  memcpy(sorted, labels, n * sizeof *sorted);
  sorted = ls_sort_integers(n, sorted, sorted + n);
  for (size_t i = 0; i < n; i++)
    if (i == 0 || sorted[i] != sorted[i - 1]) names[count++] = sorted[i];
  for (size_t i = 0; i < n; i++) {
    size_t low = 0, high = count;
    while (high - low > 1) {
      size_t middle = low + (high - low) / 2;
      if (names[middle] <= labels[i])
        low = middle;
      else
        high = middle;
    }
    group[i] = (int32_t)low;
  }
  *classes = (int32_t)count;
  return LS_OK;
}

double ls_square_distance(const double *a, const double *b, int32_t d) {
  double sum[4] = {0};
  int32_t j = 0;
  for (; j + 4 <= d; j += 4)
    for (int32_t lane = 0; lane < 4; lane++) {
      double e = a[j + lane] - b[j + lane];
      sum[lane] += e * e;
    }
  for (; j < d; j++) sum[j & 3] += (a[j] - b[j]) * (a[j] - b[j]);
  return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

double ls_dot(const double *a, const double *b, int32_t d) {
  double sum[4] = {0};
  int32_t j = 0;
  for (; j + 4 <= d; j += 4)
    for (int32_t lane = 0; lane < 4; lane++) sum[lane] += a[j + lane] * b[j + lane];
  for (; j < d; j++) sum[j & 3] += a[j] * b[j];
  return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

typedef struct sweep {
  ls_cmat x;
  const double *scale, *means;
  const int32_t *group;
  double *out;
} sweep;

/* Columns are shared out: each sum runs over the rows in their order. */
static void add_columns(void *argument, size_t block) {
  const sweep *s = argument;
  int32_t first = (int32_t)block * LS_FEATURE_COLS, end = s->x.cols - first < LS_FEATURE_COLS ? s->x.cols : first + LS_FEATURE_COLS;
  for (int32_t i = 0; i < s->x.rows; i++) {
    const float *row = s->x.data + i * s->x.stride;
    double *to = s->out + (s->group != NULL ? (size_t)s->group[i] * (size_t)s->x.cols : 0), factor = s->scale != NULL ? s->scale[i] : 1.0;
    for (int32_t j = first; j < end; j++) to[j] += factor * (double)row[j];
  }
}

void ls_class_means(ls_cmat x, const double *scale, const int32_t *group, int32_t classes, double *means, int64_t *sizes) {
  sweep s = {x, scale, NULL, group, means};
  memset(means, 0, (size_t)classes * (size_t)x.cols * sizeof *means);
  memset(sizes, 0, (size_t)classes * sizeof *sizes);
  for (int32_t i = 0; i < x.rows; i++) sizes[group != NULL ? group[i] : 0]++;
  ls_parallel(LS_SITE_EVALUATE, ((size_t)x.cols + LS_FEATURE_COLS - 1) / LS_FEATURE_COLS, add_columns, &s);
  for (int32_t k = 0; k < classes; k++)
    for (int32_t j = 0; j < x.cols; j++) means[(size_t)k * (size_t)x.cols + (size_t)j] /= (double)sizes[k];
}

void ls_mean_of_rows(const double *rows, int32_t count, int32_t d, double *mean) {
  memset(mean, 0, (size_t)d * sizeof *mean);
  for (int32_t k = 0; k < count; k++)
    for (int32_t j = 0; j < d; j++) mean[j] += rows[(size_t)k * (size_t)d + (size_t)j];
  for (int32_t j = 0; j < d; j++) mean[j] /= (double)count;
}

static void deviations_of_block(void *argument, size_t block) {
  const sweep *s = argument;
  int32_t i = (int32_t)block * LS_FEATURE_ROWS, end = s->x.rows - i < LS_FEATURE_ROWS ? s->x.rows : i + LS_FEATURE_ROWS;
  for (; i < end; i++) {
    const float *row = s->x.data + i * s->x.stride;
    const double *mean = s->means + (s->group != NULL ? (size_t)s->group[i] * (size_t)s->x.cols : 0);
    double factor = s->scale != NULL ? s->scale[i] : 1.0, sum = 0.0;
    for (int32_t j = 0; j < s->x.cols; j++) {
      double e = factor * (double)row[j] - mean[j];
      sum += e * e;
    }
    s->out[i] = sum;
  }
}

void ls_row_deviations(ls_cmat x, const double *scale, const int32_t *group, const double *means, double *out) {
  sweep s = {x, scale, means, group, out};
  ls_parallel(LS_SITE_EVALUATE, ((size_t)x.rows + LS_FEATURE_ROWS - 1) / LS_FEATURE_ROWS, deviations_of_block, &s);
}

void ls_deviating_rows(ls_cmat x, const double *scale, const int32_t *group, const double *means, int32_t first, int32_t rows, double *out) {
  for (int32_t i = first; i < first + rows; i++) {
    const float *row = x.data + i * x.stride;
    const double *mean = means != NULL ? means + (group != NULL ? (size_t)group[i] * (size_t)x.cols : 0) : NULL;
    double factor = scale != NULL ? scale[i] : 1.0, *to = out + (size_t)(i - first) * (size_t)x.cols;
    for (int32_t j = 0; j < x.cols; j++) to[j] = factor * (double)row[j] - (mean != NULL ? mean[j] : 0.0);
  }
}
