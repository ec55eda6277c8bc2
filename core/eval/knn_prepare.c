/* Rows prepared for searches: the centre, the scale, the norms. SPDX-License-Identifier: MIT
 *
 * Distances do not change where all rows are moved, and inner products with rows moved change alike for a query; the error of a product in float32
 * grows with the norms. So rows are centred, on a centre that a few huge rows cannot draw away: the mean of the rows that lie within four times
 * the (rounded) median distance from the medians of a sample. */
#include "core/eval/knn_parts.h"

#include <lsengine/pool.h>

#include <float.h>
#include <math.h>
#include <string.h>

enum { BLOCK = 512, COLUMNS = 16, SAMPLE = 63, FEATURES_MOST = 1 << 17 };

ls_status ls_knn_check(ls_cmat x, ls_metric metric, const char *what, ls_err *err) {
  for (int32_t i = 0; i < x.rows; i++) {
    const float *row = x.data + i * x.stride;
    float zero = 0.0f, largest = 0.0f;
    for (int32_t j = 0; j < x.cols; j++) {
      zero += row[j] * 0.0f; /* NaN once a number is NaN or infinite */
      largest = fabsf(row[j]) > largest ? fabsf(row[j]) : largest;
    }
    if (zero != 0.0f) {
      int32_t j = 0;
      while (isfinite(row[j])) j++;
      return ls_fail(err, LS_EVALUE, "row %d of the %s is %s for feature %d", i + 1, what, isnan(row[j]) ? "NaN" : row[j] > 0 ? "inf" : "-inf", j + 1);
    }
    if (metric == LS_METRIC_COSINE && largest == 0.0f)
      return ls_fail(err, LS_EVALUE, "row %d of the %s is all zeros: it has no direction, which the metric cosine compares", i + 1, what);
  }
  return LS_OK;
}

ls_status ls_knn_check_queries(const ls_knn *index, ls_cmat queries, const int64_t *self, ls_err *err) {
  if (queries.cols != index->base.cols)
    return ls_fail(err, LS_ESHAPE, "the queries have %d features but the base has %d", queries.cols, index->base.cols);
  for (int32_t i = 0; self != NULL && i < queries.rows; i++)
    if (self[i] < -1 || self[i] >= index->base.rows)
      return ls_fail(err, LS_ERANGE, "the row to be left out for query %d is %lld, the base has rows 1 to %d", i + 1, (long long)self[i] + 1, index->base.rows);
  return ls_knn_check(queries, index->metric, "queries", err);
}

size_t ls_knn_bytes(int32_t rows, int32_t features, ls_metric metric) {
  return ls_padded((size_t)features * sizeof(double)) + (metric == LS_METRIC_COSINE ? ls_padded((size_t)rows * sizeof(double)) : 0) +
         ls_padded((size_t)rows * sizeof(float)) + 2 * ls_padded((size_t)rows * sizeof(int32_t));
}

typedef struct prepare_job {
  ls_cmat base;
  double *centre, *inverse;
  float *norm;
  int32_t *order, *spare;
  double within; /* rows that are not farther from the centre make the mean */
  int32_t kept;
} prepare_job;

static double inverse_of(const prepare_job *j, int32_t row) { return j->inverse != NULL ? j->inverse[row] : 1.0; }

static void inverse_block(void *argument, size_t block) {
  prepare_job *j = argument;
  int32_t i = (int32_t)block * BLOCK, end = j->base.rows - i < BLOCK ? j->base.rows : i + BLOCK;
  for (; i < end; i++) j->inverse[i] = ls_knn_inverse(j->base.data + i * j->base.stride, j->base.cols);
}

/* The median of a sample of each feature. */
static void median_block(void *argument, size_t block) {
  prepare_job *job = argument;
  int32_t j = (int32_t)block * COLUMNS, end = job->base.cols - j < COLUMNS ? job->base.cols : j + COLUMNS;
  int32_t sample = job->base.rows < SAMPLE ? job->base.rows : SAMPLE;
  for (; j < end; j++) {
    double v[SAMPLE] = {0};
    for (int32_t i = 0; i < sample; i++) {
      int32_t row = (int32_t)((int64_t)i * job->base.rows / sample), at = i;
      double x = (double)job->base.data[row * job->base.stride + j] * inverse_of(job, row);
      for (; at > 0 && v[at - 1] > x; at--) v[at] = v[at - 1];
      v[at] = x;
    }
    job->centre[j] = v[sample / 2];
  }
}

/* Distances from the centre. Rounded up. */
static void norm_block(void *argument, size_t block) {
  prepare_job *job = argument;
  int32_t i = (int32_t)block * BLOCK, end = job->base.rows - i < BLOCK ? job->base.rows : i + BLOCK;
  for (; i < end; i++) {
    const float *x = job->base.data + i * job->base.stride;
    double inverse = inverse_of(job, i), square = 0.0;
    for (int32_t j = 0; j < job->base.cols; j++) {
      double v = (double)x[j] * inverse - job->centre[j];
      square += v * v;
    }
    double norm = sqrt(square) * (1.0 + 1e-9);
    job->norm[i] = norm > (double)FLT_MAX ? INFINITY : nextafterf((float)norm, INFINITY);
  }
}

static void mean_block(void *argument, size_t block) {
  prepare_job *job = argument;
  int32_t first = (int32_t)block * COLUMNS, width = job->base.cols - first < COLUMNS ? job->base.cols - first : COLUMNS;
  double sum[COLUMNS] = {0};
  for (int32_t i = 0; i < job->base.rows; i++) {
    if (!((double)job->norm[i] <= job->within)) continue;
    const float *x = job->base.data + i * job->base.stride + first;
    double inverse = inverse_of(job, i);
    for (int32_t j = 0; j < width; j++) sum[j] += (double)x[j] * inverse;
  }
  for (int32_t j = 0; j < width; j++) job->centre[first + j] = sum[j] / job->kept;
}

/* Four times the median of the norms, rounded to a power of two; counts the rows within. */
static void choose_within(prepare_job *job) {
  enum { LOWEST = -160, BINS = 320 };
  int32_t count[BINS] = {0}, seen = 0, bin = 0;
  for (int32_t i = 0; i < job->base.rows; i++) {
    int e = job->norm[i] > 0.0f && isfinite(job->norm[i]) ? ilogbf(job->norm[i]) - LOWEST : job->norm[i] > 0.0f ? BINS - 1 : 0;
    count[e < 0 ? 0 : e < BINS ? e : BINS - 1]++;
  }
  while ((seen += count[bin]) * 2 < job->base.rows) bin++;
  job->within = ldexp(8.0, bin + LOWEST);
  job->kept = 0;
  for (int32_t i = 0; i < job->base.rows; i++) job->kept += (double)job->norm[i] <= job->within;
}

/* Stable counting sort of the rows by the upper half of their norms' bits (a step of 1/128), which is all that tiles of like rows need; norms follow. */
static void sort_rows(prepare_job *job, bool largest_first) {
  enum { DIGITS = 256 };
  int32_t n = job->base.rows, *from = NULL, *to = job->spare;
  for (int digit = 0; digit < 2; digit++) {
    int32_t count[DIGITS + 1] = {0};
    for (int pass = 0; pass < 2; pass++)
      for (int32_t i = 0; i < n; i++) {
        int32_t row = from != NULL ? from[i] : i;
        uint32_t bits;
        memcpy(&bits, &job->norm[row], sizeof bits);
        uint32_t key = bits >> (16 + 8 * digit) & (DIGITS - 1);
        if (largest_first) key = DIGITS - 1 - key;
        if (pass == 0)
          count[key + 1]++;
        else
          to[count[key]++] = row;
        if (pass == 0 && i == n - 1)
          for (int d = 0; d < DIGITS; d++) count[d + 1] += count[d];
      }
    from = to;
    to = job->order;
  }
  float *norm = (float *)(void *)job->spare;
  for (int32_t i = 0; i < n; i++) norm[i] = job->norm[job->order[i]];
  memcpy(job->norm, norm, (size_t)n * sizeof *norm);
}

ls_status ls_knn_prepare(ls_cmat base, ls_metric metric, void *memory, ls_knn *out, ls_err *err) {
  if (base.rows < 1 || base.cols < 1) return ls_fail(err, LS_ERANGE, "the base has %d rows of %d features, at least 1 of each is required", base.rows, base.cols);
  if (ls_knn_check(base, metric, "base", err) != LS_OK) return LS_EVALUE;
  char *at = memory;
  prepare_job job = {.base = base, .centre = memory};
  at += ls_padded((size_t)base.cols * sizeof(double));
  if (metric == LS_METRIC_COSINE) {
    job.inverse = (double *)at;
    at += ls_padded((size_t)base.rows * sizeof(double));
  }
  job.norm = (float *)at;
  at += ls_padded((size_t)base.rows * sizeof(float));
  job.order = (int32_t *)at;
  at += ls_padded((size_t)base.rows * sizeof(int32_t));
  job.spare = (int32_t *)at;
  size_t row_blocks = ((size_t)base.rows + BLOCK - 1) / BLOCK, column_blocks = ((size_t)base.cols + COLUMNS - 1) / COLUMNS;
  if (job.inverse != NULL) ls_parallel(LS_SITE_NEIGHBOURS, row_blocks, inverse_block, &job);
  ls_parallel(LS_SITE_NEIGHBOURS, column_blocks, median_block, &job);
  ls_parallel(LS_SITE_NEIGHBOURS, row_blocks, norm_block, &job);
  choose_within(&job);
  if (job.kept > 0) ls_parallel(LS_SITE_NEIGHBOURS, column_blocks, mean_block, &job);
  ls_parallel(LS_SITE_NEIGHBOURS, row_blocks, norm_block, &job);
  sort_rows(&job, metric == LS_METRIC_INNER_PRODUCT);

  double largest = 0.0, offset = 0.0;
  for (int32_t i = 0; i < base.rows; i++) largest = (double)job.norm[i] > largest ? (double)job.norm[i] : largest;
  for (int32_t j = 0; j < base.cols; j++) offset += job.centre[j] * job.centre[j];
  ls_knn index = {.base = base, .metric = metric, .scale = 1.0, .centre = job.centre, .inverse = job.inverse, .order = job.order, .norm = job.norm};
  index.fast = isfinite(largest) && base.cols < FEATURES_MOST;
  if (index.fast) { /* the largest norm becomes 2^20: nothing overflows, and what underflows is far below every bound */
    index.scale = largest > 0.0 ? ldexp(1.0, 20 - ilogb(largest)) : 1.0;
    for (int32_t i = 0; i < base.rows; i++) {
      double norm = (double)job.norm[i] * index.scale;
      job.norm[i] = norm < (double)FLT_MIN ? FLT_MIN : (float)norm;
    }
    index.largest = (largest + sqrt(offset)) * index.scale * (1.0 + 1e-9);
  }
  *out = index;
  return LS_OK;
}
