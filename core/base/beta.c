/* The regularised incomplete beta function, by its continued fraction (Abramowitz & Stegun 26.5.8) evaluated with Lentz's
 * method. SPDX-License-Identifier: MIT */
#include <lsengine/beta.h>

#include <math.h>

static double beta_fraction(double a, double b, double x) {
  const double tiny = 1e-300;
  double c = 1.0, d = 1.0 - (a + b) * x / (a + 1.0);
  if (fabs(d) < tiny) d = tiny;
  d = 1.0 / d;
  double h = d;
  for (int m = 1; m < 10000; m++) {
    double even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
    double odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
    for (int half = 0; half < 2; half++) {
      double step = half == 0 ? even : odd;
      d = 1.0 + step * d;
      c = 1.0 + step / c;
      if (fabs(d) < tiny) d = tiny;
      if (fabs(c) < tiny) c = tiny;
      d = 1.0 / d;
      h *= d * c;
    }
    if (fabs(d * c - 1.0) < 1e-15) break;
  }
  return h;
}

double ls_incomplete_beta(double a, double b, double x, double rest) {
  if (x <= 0.0) return 0.0;
  if (rest <= 0.0) return 1.0;
  double front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log(rest));
  if (x < (a + 1.0) / (a + b + 2.0)) return front * beta_fraction(a, b, x) / a;
  return 1.0 - front * beta_fraction(b, a, rest) / b;
}

double ls_beta_cdf(double a, double b, double x) { return ls_incomplete_beta(a, b, x, 1.0 - x); }
