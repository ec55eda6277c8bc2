/* Temperature scaling. SPDX-License-Identifier: MIT */
#include <lsengine/eval.h>
#include <lsengine/pool.h>

#include "core/eval/predictions.h"

#include <math.h>

typedef struct nll_job {
  ls_cmat z;
  const int64_t *labels;
  ls_ignore ignore;
  double inverse;
  double *partial;
} nll_job;

static void nll_block(void *argument, size_t block) {
  const nll_job *j = argument;
  int32_t i = (int32_t)block * LS_EVALUATE_ROWS, end = j->z.rows - i < LS_EVALUATE_ROWS ? j->z.rows : i + LS_EVALUATE_ROWS;
  double total = 0.0;
  for (; i < end; i++) {
    const float *z = j->z.data + i * j->z.stride;
    float max = -INFINITY;
    double sum = 0.0;
    if (j->ignore.active && j->labels[i] == j->ignore.label) continue;
    for (int32_t k = 0; k < j->z.cols; k++) max = z[k] > max ? z[k] : max;
    for (int32_t k = 0; k < j->z.cols; k++) sum += exp(((double)z[k] - (double)max) * j->inverse);
    total += log(sum) - ((double)z[j->labels[i]] - (double)max) * j->inverse;
  }
  j->partial[block] = total;
}

static double nll_at(nll_job *j, double log_temperature, double kept) {
  size_t blocks = ((size_t)j->z.rows + LS_EVALUATE_ROWS - 1) / LS_EVALUATE_ROWS;
  double total = 0.0;
  j->inverse = exp(-log_temperature);
  ls_parallel(LS_SITE_EVALUATE, blocks, nll_block, j);
  for (size_t b = 0; b < blocks; b++) total += j->partial[b];
  return total / kept;
}

size_t ls_fit_temperature_scratch(int32_t rows, int32_t classes) {
  (void)classes;
  return ((size_t)rows / LS_EVALUATE_ROWS + 1) * sizeof(double);
}

ls_status ls_fit_temperature(ls_cmat z, const int64_t *labels, ls_ignore ignore, void *scratch, ls_temperature *out, ls_err *err) {
  int64_t kept;
  ls_status status = ls_check_predictions(z, labels, ignore, &kept, err);
  if (status != LS_OK) return status;
  nll_job j = {z, labels, ignore, 1.0, scratch};
  const double ratio = 0.6180339887498949, bottom = log(LS_LOWEST_TEMPERATURE), top = log(LS_HIGHEST_TEMPERATURE);
  double n = (double)kept, low = bottom, high = top;
  double a = high - ratio * (high - low), b = low + ratio * (high - low), at_a = nll_at(&j, a, n), at_b = nll_at(&j, b, n);
  while (high - low > 1e-9) {
    if (at_a <= at_b) {
      high = b;
      b = a;
      at_b = at_a;
      a = high - ratio * (high - low);
      at_a = nll_at(&j, a, n);
    } else {
      low = a;
      a = b;
      at_a = at_b;
      b = low + ratio * (high - low);
      at_b = nll_at(&j, b, n);
    }
  }
  double best = 0.5 * (low + high), ends[] = {bottom, top};
  ls_temperature t = {.nll = nll_at(&j, best, n), .nll_before = nll_at(&j, 0.0, n)};
  for (int i = 0; i < 2; i++) {
    double nll = nll_at(&j, ends[i], n);
    if (nll <= t.nll || fabs(best - ends[i]) < 1e-6) {
      best = ends[i];
      t.nll = nll;
      t.at_bound = true;
    }
  }
  if (t.nll >= t.nll_before) { /* flat, or the minimum is at 1 to the last digits */
    best = 0.0;
    t.nll = t.nll_before;
    t.at_bound = false;
  }
  t.temperature = exp(best);
  *out = t;
  return LS_OK;
}
