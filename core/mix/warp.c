/* Weights warped by the distance of what is mixed. SPDX-License-Identifier: MIT
 *
 * The published code takes t from scipy's beta with 1e-12 added to the rate; the bounds here do the same work. At t = 1e6 the
 * warp is a step of width 1e-3 at one half. torch-uncertainty divides the distance by its mean only within the exponent and
 * subtracts 1 before, which depends on the unit of x; with a mean distance of 1 the two agree. */
#include <lsengine/beta.h>
#include <lsengine/mix.h>
#include <lsengine/pool.h>

#include <math.h>

enum { ROWS = 16, LANES = 8 };

typedef struct distance_job {
  ls_cmat x;
  const int32_t *partner;
  double *distance;
} distance_job;

static double squared_distance(const float *a, const float *b, int32_t n) {
  double lane[LANES] = {0}, sum = 0.0;
  int32_t k = 0;
  for (; k + LANES <= n; k += LANES)
    for (int32_t l = 0; l < LANES; l++) {
      double d = (double)a[k + l] - (double)b[k + l];
      lane[l] += d * d;
    }
  for (int32_t l = 0; l < LANES; l++) sum += lane[l];
  for (; k < n; k++) sum += ((double)a[k] - (double)b[k]) * ((double)a[k] - (double)b[k]);
  return sum;
}

static void distance_block(void *argument, size_t block) {
  const distance_job *j = argument;
  int32_t begin = (int32_t)block * ROWS, end = j->x.rows - begin < ROWS ? j->x.rows : begin + ROWS;
  for (int32_t i = begin; i < end; i++)
    j->distance[i] = squared_distance(j->x.data + i * j->x.stride, j->x.data + j->partner[i] * j->x.stride, j->x.cols);
}

void ls_mix_distances(ls_cmat x, const int32_t *partner, double *distance) {
  distance_job job = {x, partner, distance};
  ls_parallel(LS_SITE_MIX, (size_t)x.rows / ROWS + (x.rows % ROWS != 0), distance_block, &job);
}

ls_status ls_mix_warp(int32_t n, const double *distance, double tau_max, double tau_std, double *lambda, ls_err *err) {
  double mean = 0.0;
  if (!(tau_max > 0.0) || isinf(tau_max)) return ls_fail(err, LS_ERANGE, "tau_max is %g, allowed is any finite number above 0", tau_max);
  if (!(tau_std > 0.0) || isinf(tau_std)) return ls_fail(err, LS_ERANGE, "tau_std is %g, allowed is any finite number above 0", tau_std);
  for (int32_t i = 0; i < n; i++) {
    if (!(distance[i] >= 0.0) || isinf(distance[i]))
      return ls_fail(err, LS_EVALUE, "the distance of row %d from its partner is %g, a finite number is required", i + 1, distance[i]);
    mean += distance[i] / n;
  }
  for (int32_t i = 0; i < n; i++) {
    double d = mean > 0.0 ? distance[i] / mean : 1.0;
    double t = exp((d - 1.0) / (2.0 * tau_std * tau_std)) / tau_max;
    t = t > 1e6 ? 1e6 : t >= 1e-12 ? t : 1e-12;
    lambda[i] = ls_beta_cdf(t, t, lambda[i]);
  }
  return LS_OK;
}
