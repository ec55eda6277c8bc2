/* Batch norm and layer norm. SPDX-License-Identifier: MIT
 *
 * Sums are centred before they are taken (two passes for the variance), in float lanes over 512 numbers, these in double: a large mean does
 * not spoil a small variance. Channels, rows and columns are the blocks that work is cut into. */
#include <lsengine/layers.h>
#include <lsengine/pool.h>

#include "core/kernels/kernels.h"

#include <math.h>
#include <string.h>

enum { COLUMNS = 64, ROWS = 32 };

typedef struct norm_job {
  const ls_kernels *kernels;
  const ls_channels *s;
  const float *x, *weight, *bias, *dy;
  const double *mean, *scale;
  float *y;
  double *first, *second; /* mean and variance, or dweight and dbias */
  bool training;
} norm_job;

/* Sum over images of (a - shift_a)·(b - shift_b) of one channel. */
static double centred(const norm_job *j, int32_t channel, const float *a, double shift_a, const float *b, double shift_b) {
  double sum = 0.0;
  for (int32_t i = 0; i < j->s->n; i++) {
    size_t at = ((size_t)i * (size_t)j->s->channels + (size_t)channel) * j->s->inner;
    sum += j->kernels->centred_dot(j->s->inner, a + at, (float)shift_a, b + at, (float)shift_b);
  }
  return sum;
}

static double total(const norm_job *j, int32_t channel, const float *a) {
  double sum = 0.0;
  for (int32_t i = 0; i < j->s->n; i++) sum += j->kernels->sum(j->s->inner, a + ((size_t)i * (size_t)j->s->channels + (size_t)channel) * j->s->inner);
  return sum;
}

static void statistics_of_channel(void *argument, size_t block) {
  const norm_job *j = argument;
  int32_t channel = (int32_t)block;
  double count = (double)j->s->n * (double)j->s->inner, mean = total(j, channel, j->x) / count;
  /* centred on the mean as a float; what that leaves is taken off */
  double off = mean - (double)(float)mean, variance = centred(j, channel, j->x, mean, j->x, mean) / count - off * off;
  j->first[channel] = mean;
  j->second[channel] = variance > 0.0 || isnan(variance) ? variance : 0.0;
}

static int32_t last_column(const norm_job *j, size_t block) {
  int32_t from = (int32_t)block * COLUMNS;
  return j->s->channels - from < COLUMNS ? j->s->channels : from + COLUMNS;
}

/* The same for rows: inner is 1, channels lie side by side. */
static void statistics_of_columns(void *argument, size_t block) {
  const norm_job *j = argument;
  int32_t from = (int32_t)block * COLUMNS, to = last_column(j, block), n = j->s->n;
  for (int32_t c = from; c < to; c++) j->first[c] = j->second[c] = 0.0;
  for (int32_t i = 0; i < n; i++)
    for (int32_t c = from; c < to; c++) j->first[c] += (double)j->x[(size_t)i * (size_t)j->s->channels + (size_t)c];
  for (int32_t c = from; c < to; c++) j->first[c] /= n;
  for (int32_t i = 0; i < n; i++)
    for (int32_t c = from; c < to; c++) {
      double d = (double)j->x[(size_t)i * (size_t)j->s->channels + (size_t)c] - j->first[c];
      j->second[c] += d * d;
    }
  for (int32_t c = from; c < to; c++) j->second[c] /= n;
}

static size_t channel_blocks(const ls_channels *s) { return s->inner == 1 ? ((size_t)s->channels + COLUMNS - 1) / COLUMNS : (size_t)s->channels; }

void ls_batch_statistics(const ls_channels *s, const float *x, double *mean, double *variance) {
  norm_job job = {.kernels = ls_kernels_now(), .s = s, .x = x, .first = mean, .second = variance};
  ls_parallel(LS_SITE_NORMALISATION, channel_blocks(s), s->inner == 1 ? statistics_of_columns : statistics_of_channel, &job);
}

static void apply_to_channel(void *argument, size_t block) {
  const norm_job *j = argument;
  float mean = (float)j->mean[block], by = (float)(j->scale[block] * (j->weight == NULL ? 1.0 : (double)j->weight[block]));
  float plus = (float)((double)mean - j->mean[block]) * by + (j->bias == NULL ? 0.0f : j->bias[block]);
  for (int32_t i = 0; i < j->s->n; i++) {
    size_t at = ((size_t)i * (size_t)j->s->channels + block) * j->s->inner;
    j->kernels->subtract(j->s->inner, j->x + at, mean, j->y + at);
    j->kernels->scale_subtract(j->s->inner, by, -plus, j->y + at);
  }
}

static void apply_to_columns(void *argument, size_t block) {
  const norm_job *j = argument;
  int32_t from = (int32_t)block * COLUMNS, to = last_column(j, block);
  for (int32_t i = 0; i < j->s->n; i++)
    for (int32_t c = from; c < to; c++) {
      size_t at = (size_t)i * (size_t)j->s->channels + (size_t)c;
      double y = ((double)j->x[at] - j->mean[c]) * j->scale[c] * (j->weight == NULL ? 1.0 : (double)j->weight[c]);
      j->y[at] = (float)(y + (j->bias == NULL ? 0.0 : (double)j->bias[c]));
    }
}

void ls_batch_norm(const ls_channels *s, const float *x, const double *mean, const double *scale, const float *weight, const float *bias, float *y) {
  norm_job job = {.kernels = ls_kernels_now(), .s = s, .x = x, .weight = weight, .bias = bias, .mean = mean, .scale = scale, .y = y};
  ls_parallel(LS_SITE_NORMALISATION, channel_blocks(s), s->inner == 1 ? apply_to_columns : apply_to_channel, &job);
}

/* dx = scale·weight·(dy - mean(dy) - xhat·mean(dy·xhat)); without `training` the means are left out. */
static void back_through_channel(void *argument, size_t block) {
  const norm_job *j = argument;
  int32_t channel = (int32_t)block;
  double count = (double)j->s->n * (double)j->s->inner, scale = j->scale[block], sum = total(j, channel, j->dy);
  double along = centred(j, channel, j->dy, 0.0, j->x, j->mean[block]) - (j->mean[block] - (double)(float)j->mean[block]) * sum;
  j->first[block] = along * scale;
  j->second[block] = sum;
  if (j->y == NULL) return;
  double by = scale * (j->weight == NULL ? 1.0 : (double)j->weight[block]);
  float a = (float)by, b = j->training ? (float)(-by * scale * scale * along / count) : 0.0f, mean = (float)j->mean[block];
  float offset = j->training ? (float)(by * sum / count) : 0.0f;
  for (int32_t i = 0; i < j->s->n; i++) {
    size_t at = ((size_t)i * (size_t)j->s->channels + block) * j->s->inner;
    j->kernels->subtract(j->s->inner, j->x + at, mean, j->y + at);
    j->kernels->blend(j->s->inner, b, j->y + at, a, j->dy + at, j->y + at);
    if (offset != 0.0f) j->kernels->scale_subtract(j->s->inner, 1.0f, offset, j->y + at);
  }
}

static void back_through_columns(void *argument, size_t block) {
  const norm_job *j = argument;
  int32_t from = (int32_t)block * COLUMNS, to = last_column(j, block), n = j->s->n;
  for (int32_t c = from; c < to; c++) j->first[c] = j->second[c] = 0.0;
  for (int32_t i = 0; i < n; i++)
    for (int32_t c = from; c < to; c++) {
      size_t at = (size_t)i * (size_t)j->s->channels + (size_t)c;
      j->first[c] += (double)j->dy[at] * ((double)j->x[at] - j->mean[c]) * j->scale[c];
      j->second[c] += (double)j->dy[at];
    }
  for (int32_t i = 0; i < n && j->y != NULL; i++)
    for (int32_t c = from; c < to; c++) {
      size_t at = (size_t)i * (size_t)j->s->channels + (size_t)c;
      double xhat = ((double)j->x[at] - j->mean[c]) * j->scale[c], g = (double)j->dy[at];
      if (j->training) g -= j->second[c] / n + xhat * j->first[c] / n;
      j->y[at] = (float)(g * j->scale[c] * (j->weight == NULL ? 1.0 : (double)j->weight[c]));
    }
}

void ls_batch_norm_backward(const ls_channels *s, bool training, const float *x, const double *mean, const double *scale, const float *weight,
                            const float *dy, float *dx, double *dweight, double *dbias) {
  norm_job job = {.kernels = ls_kernels_now(), .s = s, .x = x, .weight = weight, .dy = dy, .mean = mean, .scale = scale, .y = dx,
                  .first = dweight, .second = dbias, .training = training};
  ls_parallel(LS_SITE_NORMALISATION, channel_blocks(s), s->inner == 1 ? back_through_columns : back_through_channel, &job);
}

/* ---- layer norm ---- */

typedef struct rows_job {
  const ls_kernels *kernels;
  int32_t n, d;
  double eps;
  const float *x, *weight, *bias, *dy, *kept_mean, *kept_scale;
  float *y, *mean, *scale, *dweight, *dbias;
} rows_job;

static void layer_norm_rows(void *argument, size_t block) {
  const rows_job *j = argument;
  size_t d = (size_t)j->d;
  int32_t from = (int32_t)block * ROWS, to = j->n - from < ROWS ? j->n : from + ROWS;
  for (int32_t i = from; i < to; i++) {
    const float *x = j->x + (size_t)i * d;
    float *y = j->y + (size_t)i * d, mean = (float)(j->kernels->sum(d, x) / (double)d);
    double off = j->kernels->centred_dot(d, x, mean, x, mean) / (double)d; /* the mean was rounded: 2^-24 of it, squared, is lost */
    float scale = (float)(1.0 / sqrt(off + j->eps));
    j->mean[i] = mean;
    j->scale[i] = scale;
    for (size_t k = 0; k < d; k++) y[k] = (x[k] - mean) * scale * (j->weight == NULL ? 1.0f : j->weight[k]) + (j->bias == NULL ? 0.0f : j->bias[k]);
  }
}

void ls_layer_norm(int32_t n, int32_t d, double eps, const float *x, const float *weight, const float *bias, float *y, float *mean, float *scale) {
  rows_job job = {.kernels = ls_kernels_now(), .n = n, .d = d, .eps = eps, .x = x, .weight = weight, .bias = bias, .y = y, .mean = mean, .scale = scale};
  if (n > 0) ls_parallel(LS_SITE_NORMALISATION, ((size_t)n + ROWS - 1) / ROWS, layer_norm_rows, &job);
}

static void layer_norm_rows_back(void *argument, size_t block) {
  const rows_job *j = argument;
  size_t d = (size_t)j->d;
  int32_t from = (int32_t)block * ROWS, to = j->n - from < ROWS ? j->n : from + ROWS;
  for (int32_t i = from; i < to; i++) {
    const float *x = j->x + (size_t)i * d, *dy = j->dy + (size_t)i * d;
    float *dx = j->y + (size_t)i * d, mean = j->kept_mean[i], scale = j->kept_scale[i];
    double sum = 0.0, along = 0.0;
    for (size_t k = 0; k < d; k++) {
      dx[k] = dy[k] * (j->weight == NULL ? 1.0f : j->weight[k]);
      sum += (double)dx[k];
      along += (double)dx[k] * (double)((x[k] - mean) * scale);
    }
    float shift = (float)(sum / (double)d), slope = (float)(along / (double)d);
    for (size_t k = 0; k < d; k++) dx[k] = scale * (dx[k] - shift - (x[k] - mean) * scale * slope);
  }
}

static void layer_norm_columns_back(void *argument, size_t block) {
  const rows_job *j = argument;
  int32_t from = (int32_t)block * COLUMNS, to = j->d - from < COLUMNS ? j->d : from + COLUMNS;
  double weight[COLUMNS] = {0}, bias[COLUMNS] = {0};
  for (int32_t i = 0; i < j->n; i++)
    for (int32_t c = from; c < to; c++) {
      size_t at = (size_t)i * (size_t)j->d + (size_t)c;
      weight[c - from] += (double)j->dy[at] * (double)((j->x[at] - j->kept_mean[i]) * j->kept_scale[i]);
      bias[c - from] += (double)j->dy[at];
    }
  for (int32_t c = from; c < to; c++) {
    j->dweight[c] = (float)weight[c - from];
    j->dbias[c] = (float)bias[c - from];
  }
}

void ls_layer_norm_backward(int32_t n, int32_t d, const float *x, const float *mean, const float *scale, const float *weight, const float *dy,
                            float *dx, float *dweight, float *dbias) {
  rows_job job = {.n = n, .d = d, .x = x, .weight = weight, .dy = dy, .kept_mean = mean, .kept_scale = scale, .y = dx, .dweight = dweight, .dbias = dbias};
  if (n > 0) ls_parallel(LS_SITE_NORMALISATION, ((size_t)n + ROWS - 1) / ROWS, layer_norm_rows_back, &job);
  ls_parallel(LS_SITE_NORMALISATION, ((size_t)d + COLUMNS - 1) / COLUMNS, layer_norm_columns_back, &job);
}
