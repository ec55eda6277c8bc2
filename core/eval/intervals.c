/* Intervals of shares. SPDX-License-Identifier: MIT */
#include <lsengine/calibration.h>
#include <lsengine/statistics.h>

#include <math.h>

/* The x with P(Beta(a, b) <= x) = p, by bisection to the last bit that matters. */
static double beta_quantile(double a, double b, double p) {
  double low = 0.0, high = 1.0;
  for (int i = 0; i < 60; i++) {
    double middle = 0.5 * (low + high);
    if (ls_beta_cdf(a, b, middle) < p)
      low = middle;
    else
      high = middle;
  }
  return 0.5 * (low + high);
}

void ls_clopper_pearson(double right, double n, double level, double *low, double *high) {
  double tail = 0.5 * (1.0 - level);
  *low = right > 0.0 ? beta_quantile(right, n - right + 1.0, tail) : 0.0;
  *high = right < n ? beta_quantile(right + 1.0, n - right, 1.0 - tail) : 1.0;
}

/* The normal quantile by bisection on erfc. */
static double normal_quantile(double p) {
  double low = -40.0, high = 40.0;
  for (int i = 0; i < 80; i++) {
    double middle = 0.5 * (low + high);
    if (0.5 * erfc(-middle / sqrt(2.0)) < p)
      low = middle;
    else
      high = middle;
  }
  return 0.5 * (low + high);
}

void ls_wilson(double right, double n, double level, double *low, double *high) {
  double z = normal_quantile(0.5 + 0.5 * level), share = right / n, spread = z * z / n;
  double centre = (share + 0.5 * spread) / (1.0 + spread), half = sqrt(share * (1.0 - share) * spread + 0.25 * spread * spread) / (1.0 + spread);
  *low = right > 0.0 ? fmax(0.0, centre - half) : 0.0;
  *high = right < n ? fmin(1.0, centre + half) : 1.0;
}
