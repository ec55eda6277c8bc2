/* Intervals of shares. SPDX-License-Identifier: MIT */
#include <lsengine/beta.h>
#include <lsengine/calibration.h>
#include <lsengine/beta.h>
#include <lsengine/statistics.h>

#include <math.h>

/* The x with P(Beta(a, b) <= x) = p: Newton's steps, halving the bracket where one leaves it. */
static double beta_quantile(double a, double b, double p) {
  double low = 0.0, high = 1.0, x = a / (a + b), constant = lgamma(a + b) - lgamma(a) - lgamma(b);
  for (int i = 0; i < 100; i++) {
    double off = ls_beta_cdf(a, b, x) - p, density = exp(constant + (a - 1.0) * log(x) + (b - 1.0) * log1p(-x));
    if (off < 0.0)
      low = x;
    else
      high = x;
    double next = x - off / density;
    if (!(next > low && next < high)) next = 0.5 * (low + high);
    if (fabs(next - x) <= 1e-14 * x) return next;
    x = next;
  }
  return x;
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
