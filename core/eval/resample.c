/* Intervals: proportions, the bootstrap. SPDX-License-Identifier: MIT
 *
 * BCa: Efron 1987, as in Efron and Tibshirani 1993, chapter 14. */
#include <lsengine/pool.h>
#include <lsengine/statistics.h>

#include "core/eval/sort.h"

#include <math.h>
#include <string.h>

void ls_proportion_interval(int64_t k, int64_t n, double level, ls_proportion_method method, double *low, double *high) {
  double size = (double)n, tail = 0.5 - 0.5 * level, share = (double)k / size;
  if (method == LS_CLOPPER_PEARSON) {
    *low = k == 0 ? 0.0 : ls_beta_quantile(tail, (double)k, size - (double)k + 1.0);
    *high = k == n ? 1.0 : ls_beta_quantile(1.0 - tail, (double)k + 1.0, size - (double)k);
    return;
  }
  double z = ls_normal_quantile(1.0 - tail), square = z * z, half = z * sqrt(share * (1.0 - share) / size + square / (4.0 * size * size));
  *low = k == 0 ? 0.0 : (share + square / (2.0 * size) - half) / (1.0 + square / size);
  *high = k == n ? 1.0 : (share + square / (2.0 * size) + half) / (1.0 + square / size);
}

static double quantile_of_sorted(const double *x, size_t n, double p) {
  double place = p * (double)(n - 1);
  if (!(place > 0.0)) return x[0];
  if (place >= (double)(n - 1)) return x[n - 1];
  size_t below = (size_t)place;
  return x[below] + (place - (double)below) * (x[below + 1] - x[below]);
}

static double acceleration(size_t n, const double *jackknife) {
  double mean = 0.0, square = 0.0, cube = 0.0;
  for (size_t i = 0; i < n; i++) mean += jackknife[i] / (double)n;
  for (size_t i = 0; i < n; i++) {
    double e = mean - jackknife[i];
    square += e * e;
    cube += e * e * e;
  }
  return square > 0.0 ? cube / (6.0 * square * sqrt(square)) : 0.0;
}

void ls_bootstrap_interval(size_t count, double *replicates, double *spare, double estimate, size_t n, const double *jackknife, double level, ls_bootstrap_method method,
                           ls_interval *out) {
  double tail = 0.5 - 0.5 * level, from = tail, to = 1.0 - tail, mean, below = 0.0, total = (double)count;
  ls_mean_deviation(count, replicates, &mean, &out->error);
  double *sorted = ls_sort_doubles(count, replicates, spare);
  if (method == LS_BCA) {
    for (size_t b = 0; b < count; b++) below += sorted[b] < estimate ? 1.0 : sorted[b] == estimate ? 0.5 : 0.0;
    double bias = ls_normal_quantile(fmin(fmax(below / total, 0.5 / total), 1.0 - 0.5 / total)), a = acceleration(n, jackknife), z = ls_normal_quantile(tail);
    from = ls_normal_cdf(bias + (bias + z) / (1.0 - a * (bias + z)));
    to = ls_normal_cdf(bias + (bias - z) / (1.0 - a * (bias - z)));
  }
  double low = quantile_of_sorted(sorted, count, from), high = quantile_of_sorted(sorted, count, to);
  out->estimate = estimate;
  out->low = method == LS_BASIC ? 2.0 * estimate - high : low;
  out->high = method == LS_BASIC ? 2.0 * estimate - low : high;
}

double ls_statistic_of(size_t n, const double *x, ls_statistic statistic, double *spare) {
  double mean, deviation;
  ls_mean_deviation(n, x, &mean, &deviation);
  if (statistic == LS_STATISTIC_MEAN) return mean;
  if (statistic == LS_STATISTIC_DEVIATION) return deviation;
  memcpy(spare, x, n * sizeof *spare);
  double *sorted = ls_sort_doubles(n, spare, spare + n);
  if (statistic == LS_STATISTIC_MEDIAN) return n % 2 == 1 ? sorted[n / 2] : 0.5 * (sorted[n / 2 - 1] + sorted[n / 2]);
  size_t cut = n / 4;
  mean = 0.0;
  for (size_t i = cut; i < n - cut; i++) mean += sorted[i];
  return mean / (double)(n - 2 * cut);
}

typedef struct bootstrap_job {
  size_t n, resamples;
  const double *x;
  ls_statistic statistic;
  const ls_rng *rng;
  double *replicates, *room;
} bootstrap_job;

enum { REPLICATES = 64 }; /* of a block, which has room of its own */

static void draw_replicates(void *argument, size_t block) {
  const bootstrap_job *j = argument;
  double *drawn = j->room + block * 3 * j->n;
  size_t end = (block + 1) * REPLICATES < j->resamples ? (block + 1) * REPLICATES : j->resamples;
  for (size_t b = block * REPLICATES; b < end; b++) {
    ls_rng stream;
    ls_rng_spawn(j->rng, "replicate", 9, b, &stream);
    for (size_t i = 0; i < j->n; i++) drawn[i] = j->x[ls_rng_integer(&stream, 0, (int64_t)j->n - 1)];
    j->replicates[b] = ls_statistic_of(j->n, drawn, j->statistic, drawn + j->n);
  }
}

/* replicates and spare, jackknife, a row of room for each block and for the jackknife */
size_t ls_bootstrap_scratch(size_t n, size_t resamples) {
  size_t blocks = (resamples + REPLICATES - 1) / REPLICATES;
  return (2 * resamples + n + (blocks + 1) * 3 * n) * sizeof(double);
}

ls_status ls_bootstrap(size_t n, const double *x, ls_statistic statistic, size_t resamples, double level, ls_bootstrap_method method, const ls_rng *rng, void *scratch,
                       ls_interval *out, ls_err *err) {
  double *replicates = scratch, *spare = replicates + resamples, *jackknife = spare + resamples, *room = jackknife + n;
  if (n < 2) return ls_fail(err, LS_ERANGE, "a bootstrap needs at least 2 values, %zu %s given", n, n == 1 ? "was" : "were");
  if (resamples < 2) return ls_fail(err, LS_ERANGE, "resamples is %zu, at least 2 is allowed", resamples);
  if (!(level > 0.0 && level < 1.0)) return ls_fail(err, LS_ERANGE, "level is %g, allowed is above 0 and below 1", level);
  size_t blocks = (resamples + REPLICATES - 1) / REPLICATES;
  bootstrap_job job = {n, resamples, x, statistic, rng, replicates, room};
  ls_parallel(LS_SITE_EVALUATE, blocks, draw_replicates, &job);
  double *left = room + blocks * 3 * n, estimate = ls_statistic_of(n, x, statistic, left);
  if (method == LS_BCA && statistic == LS_STATISTIC_MEAN) {
    for (size_t i = 0; i < n; i++) jackknife[i] = estimate + (estimate - x[i]) / (double)(n - 1);
  } else if (method == LS_BCA) {
    for (size_t i = 0; i < n; i++) {
      memcpy(left, x, i * sizeof *left);
      memcpy(left + i, x + i + 1, (n - 1 - i) * sizeof *left);
      jackknife[i] = ls_statistic_of(n - 1, left, statistic, left + n);
    }
  }
  ls_bootstrap_interval(resamples, replicates, spare, estimate, n, jackknife, level, method, out);
  return LS_OK;
}
