/* Student's t, paired tests, Holm, power. SPDX-License-Identifier: MIT
 *
 * The t distribution through the incomplete beta function; quantiles by bisection on that. */
#include <lsengine/beta.h>
#include <lsengine/statistics.h>

#include <math.h>
#include <stdint.h>

double ls_t_survival(double t, double degrees) {
  double square = t * t, tail;
  if (isnan(t)) return t;
  if (isinf(t)) return t > 0.0 ? 0.0 : 1.0;
  tail = 0.5 * ls_incomplete_beta(0.5 * degrees, 0.5, degrees / (degrees + square), square / (degrees + square));
  return t >= 0.0 ? tail : 1.0 - tail;
}

double ls_t_cdf(double t, double degrees) { return ls_t_survival(-t, degrees); }

double ls_t_quantile(double p, double degrees) {
  double low = 0.0, high = 1.0, tail = p < 0.5 ? p : 1.0 - p;
  if (p == 0.5) return 0.0;
  while (ls_t_survival(high, degrees) > tail && high < 1e300) high *= 2.0;
  for (int i = 0; i < 200 && low < high; i++) {
    double middle = 0.5 * (low + high);
    if (middle <= low || middle >= high) break;
    if (ls_t_survival(middle, degrees) > tail)
      low = middle;
    else
      high = middle;
  }
  return p < 0.5 ? -high : high;
}

/* P(T > t) = integral over s of Phi(delta - t s) f(s), s the square root of a chi-square over its degrees. */
double ls_noncentral_t_survival(double t, double degrees, double delta) {
  enum { STEPS = 4000 };
  double width = 12.0 / sqrt(2.0 * degrees), low = fmax(0.0, 1.0 - width), high = 1.0 + fmax(width, 3.0), sum = 0.0;
  double constant = log(2.0) + 0.5 * degrees * log(0.5 * degrees) - lgamma(0.5 * degrees), h = (high - low) / STEPS;
  for (int i = 0; i <= STEPS; i++) {
    double s = low + i * h, weight = i == 0 || i == STEPS ? 1.0 : i % 2 == 1 ? 4.0 : 2.0;
    double density = s > 0.0 ? exp(constant + (degrees - 1.0) * log(s) - 0.5 * degrees * s * s)
                             : (degrees == 1.0 ? exp(constant) : 0.0);
    sum += weight * density * 0.5 * erfc((t * s - delta) / sqrt(2.0));
  }
  return sum * h / 3.0;
}

void ls_mean_deviation(size_t n, const double *x, double *mean, double *deviation) {
  double sum = 0.0, squares = 0.0;
  for (size_t i = 0; i < n; i++) sum += x[i];
  *mean = sum / (double)n;
  for (size_t i = 0; i < n; i++) squares += (x[i] - *mean) * (x[i] - *mean);
  *deviation = n > 1 ? sqrt(squares / (double)(n - 1)) : 0.0;
}

double ls_t_test(size_t n, const double *x, double margin) {
  double mean, deviation;
  ls_mean_deviation(n, x, &mean, &deviation);
  if (deviation == 0.0) return mean > margin ? 0.0 : mean < margin ? 1.0 : 0.5;
  return ls_t_survival((mean - margin) * sqrt((double)n) / deviation, (double)(n - 1));
}

ls_status ls_sign_flip_test(size_t n, const double *x, double margin, double *p, ls_err *err) {
  double observed = 0.0, size = 0.0;
  if (n < 1 || n > LS_SIGN_FLIP_MOST)
    return ls_fail(err, LS_ERANGE, "the sign-flip test was given %zu differences, allowed is 1 to %d", n, LS_SIGN_FLIP_MOST);
  for (size_t i = 0; i < n; i++) {
    observed += x[i] - margin;
    size += fabs(x[i] - margin);
  }
  uint32_t patterns = (uint32_t)1 << n, reached = 0;
  for (uint32_t pattern = 0; pattern < patterns; pattern++) {
    double sum = 0.0;
    for (size_t i = 0; i < n; i++) sum += pattern >> i & 1 ? margin - x[i] : x[i] - margin;
    reached += sum >= observed - 1e-12 * size; /* the observed pattern and its equals, whatever the rounding */
  }
  *p = (double)reached / (double)patterns;
  return LS_OK;
}

void ls_holm(size_t n, double *p, size_t *order) {
  double least = 0.0;
  for (size_t i = 0; i < n; i++) {
    size_t at = i;
    for (; at > 0 && p[order[at - 1]] > p[i]; at--) order[at] = order[at - 1];
    order[at] = i;
  }
  for (size_t i = 0; i < n; i++) {
    double adjusted = fmin(1.0, p[order[i]] * (double)(n - i));
    if (adjusted < least) adjusted = least;
    least = p[order[i]] = adjusted;
  }
}

size_t ls_pairs_needed(double effect, double level, double power, size_t most) {
  size_t low = 1, high = 2;
  while (high < most) {
    double degrees = (double)(high - 1), critical = ls_t_quantile(1.0 - level, degrees);
    if (ls_noncentral_t_survival(critical, degrees, effect * sqrt((double)high)) >= power) break;
    low = high;
    high *= 2;
  }
  if (high > most) high = most;
  while (high - low > 1) {
    size_t n = low + (high - low) / 2;
    double degrees = (double)(n - 1), critical = ls_t_quantile(1.0 - level, degrees);
    if (ls_noncentral_t_survival(critical, degrees, effect * sqrt((double)n)) >= power)
      high = n;
    else
      low = n;
  }
  return high;
}
