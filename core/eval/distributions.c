/* The normal, beta and binomial distributions. SPDX-License-Identifier: MIT */
#include <lsengine/beta.h>
#include <lsengine/statistics.h>

#include <math.h>

double ls_normal_cdf(double x) { return 0.5 * erfc(-x / sqrt(2.0)); }

/* Bisection would do; the start is Abramowitz & Stegun 26.2.23 (error below 4.5e-4), each of Halley's steps triples its digits. */
double ls_normal_quantile(double p) {
  double tail = p < 0.5 ? p : 1.0 - p;
  if (isnan(p) || p < 0.0 || p > 1.0) return NAN;
  if (tail == 0.0) return p < 0.5 ? -INFINITY : INFINITY;
  double t = sqrt(-2.0 * log(tail));
  double x = t - (2.515517 + t * (0.802853 + t * 0.010328)) / (1.0 + t * (1.432788 + t * (0.189269 + t * 0.001308)));
  for (int i = 0; i < 3; i++) { /* x > 0 with P(X > x) = tail */
    double error = (0.5 * erfc(x / sqrt(2.0)) - tail) / (exp(-0.5 * x * x) / sqrt(2.0 * 3.14159265358979323846));
    x += error / (1.0 - 0.5 * x * error);
  }
  return p < 0.5 ? -x : x;
}

double ls_beta_quantile(double p, double a, double b) {
  double low = 0.0, high = 1.0;
  for (int i = 0; i < 200; i++) {
    double middle = 0.5 * (low + high);
    if (middle <= low || middle >= high) break;
    if (ls_beta_cdf(a, b, middle) < p)
      low = middle;
    else
      high = middle;
  }
  return 0.5 * (low + high);
}

double ls_binomial_cdf(int64_t k, int64_t n, double p) {
  if (k < 0) return 0.0;
  if (k >= n) return 1.0;
  return ls_beta_cdf((double)(n - k), (double)k + 1.0, 1.0 - p);
}

double ls_binomial_survival(int64_t k, int64_t n, double p) {
  if (k <= 0) return 1.0;
  if (k > n) return 0.0;
  return ls_beta_cdf((double)k, (double)(n - k) + 1.0, p);
}

double ls_binomial_mass(int64_t k, int64_t n, double p) {
  if (k < 0 || k > n) return 0.0;
  if (p == 0.0 || p == 1.0) return k == (p == 0.0 ? 0 : n) ? 1.0 : 0.0;
  return exp(lgamma((double)n + 1.0) - lgamma((double)k + 1.0) - lgamma((double)(n - k) + 1.0) + (double)k * log(p) + (double)(n - k) * log1p(-p));
}
