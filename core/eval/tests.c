/* Binomial, McNemar, Wilcoxon, effect sizes. SPDX-License-Identifier: MIT */
#include <lsengine/statistics.h>

#include "core/eval/sort.h"

#include <math.h>
#include <string.h>

/* Places at or beyond which the mass is no more than `most`, on the side away from k: the mass falls away from the mode. */
static int64_t first_as_rare(int64_t from, int64_t to, int64_t n, double p, double most) {
  bool up = to > from;
  int64_t low = from, high = to; /* mass(low) > most assumed, high may or may not be rare */
  if (ls_binomial_mass(to, n, p) > most) return up ? n + 1 : -1;
  if (ls_binomial_mass(from, n, p) <= most) return from;
  while (high - low > 1 || low - high > 1) {
    int64_t middle = low + (high - low) / 2;
    if (ls_binomial_mass(middle, n, p) <= most)
      high = middle;
    else
      low = middle;
  }
  return high;
}

double ls_binomial_test(int64_t k, int64_t n, double p, ls_alternative alternative) {
  if (alternative == LS_GREATER) return ls_binomial_survival(k, n, p);
  if (alternative == LS_LESS) return ls_binomial_cdf(k, n, p);
  double mean = p * (double)n, most = ls_binomial_mass(k, n, p) * (1.0 + 1e-7);
  if ((double)k == mean) return 1.0;
  if ((double)k < mean) return fmin(1.0, ls_binomial_cdf(k, n, p) + ls_binomial_survival(first_as_rare((int64_t)ceil(mean), n, n, p, most), n, p));
  return fmin(1.0, ls_binomial_survival(k, n, p) + ls_binomial_cdf(first_as_rare((int64_t)floor(mean), 0, n, p, most), n, p));
}

void ls_mcnemar(int64_t only_a, int64_t only_b, double *exact, double *mid) {
  int64_t n = only_a + only_b, k = only_a < only_b ? only_a : only_b;
  if (only_a == only_b) {
    *exact = *mid = 1.0;
    return;
  }
  *exact = fmin(1.0, 2.0 * ls_binomial_cdf(k, n, 0.5));
  *mid = 2.0 * ls_binomial_cdf(k - 1, n, 0.5) + ls_binomial_mass(k, n, 0.5);
}

/* sizes, order, spare (n), ranks (n), the distribution over doubled rank sums */
size_t ls_wilcoxon_scratch(size_t n) {
  return n * (2 * sizeof(double) + 2 * sizeof(size_t)) + (LS_WILCOXON_EXACT * (LS_WILCOXON_EXACT + 1) + 1) * sizeof(double);
}

/* P(sum of ranks with random signs >= doubled sum `at`), ranks doubled to whole numbers. */
static double at_least(const double *ranks, size_t n, double at, double *mass) {
  size_t total = 0, reached = 0;
  double p = 0.0;
  for (size_t i = 0; i < n; i++) total += (size_t)(2.0 * ranks[i] + 0.5);
  memset(mass, 0, (total + 1) * sizeof *mass);
  mass[0] = 1.0;
  for (size_t i = 0; i < n; i++) {
    size_t step = (size_t)(2.0 * ranks[i] + 0.5);
    for (size_t s = reached + step + 1; s-- > 0;) mass[s] = 0.5 * mass[s] + (s >= step ? 0.5 * mass[s - step] : 0.0);
    reached += step;
  }
  for (size_t s = (size_t)(at + 0.5); s <= total; s++) p += mass[s];
  return fmin(1.0, p);
}

static double normal_p(double z, ls_alternative alternative) {
  if (alternative == LS_TWO_SIDED) return fmin(1.0, 2.0 * ls_normal_cdf(-fabs(z)));
  return ls_normal_cdf(alternative == LS_GREATER ? -z : z);
}

ls_status ls_wilcoxon_test(size_t n, const double *x, ls_zero_method zeros, ls_alternative alternative, void *scratch, ls_wilcoxon *out, ls_err *err) {
  double *size = scratch, *ranks = size + n, *mass = ranks + n, ties = 0.0;
  size_t *order = (size_t *)(mass + LS_WILCOXON_EXACT * (LS_WILCOXON_EXACT + 1) + 1), none = 0, used = 0;
  ls_wilcoxon w = {.p = 1.0};
  if (n < 1) return ls_fail(err, LS_ERANGE, "the signed-rank test was given no difference");
  for (size_t i = 0; i < n; i++) {
    size[i] = fabs(x[i]);
    none += x[i] == 0.0;
  }
  order = ls_sort_places(n, size, order, order + n); /* zeros come first */
  size_t dropped = zeros == LS_ZEROS_WILCOX ? none : 0;
  for (size_t from = none, end; from < n; from = end) {
    for (end = from; end < n && size[order[end]] == size[order[from]]; end++) {}
    double equal = (double)(end - from), rank = 0.5 * (double)(from + 1 + end) - (double)dropped;
    ties += equal * equal * equal - equal;
    for (size_t i = from; i < end; i++) {
      ranks[used++] = rank;
      *(x[order[i]] > 0.0 ? &w.positive : &w.negative) += rank;
    }
  }
  w.used = (int64_t)used;
  if (used > 0) {
    double m = (double)(n - dropped), z0 = (double)(none - dropped);
    double mean = 0.25 * (m * (m + 1.0) - z0 * (z0 + 1.0));
    double variance = (m * (m + 1.0) * (2.0 * m + 1.0) - z0 * (z0 + 1.0) * (2.0 * z0 + 1.0) - 0.5 * ties) / 24.0;
    w.rank_biserial = (w.positive - w.negative) / (w.positive + w.negative);
    w.z = (w.positive - mean) / sqrt(variance);
    w.exact = n - dropped <= LS_WILCOXON_EXACT;
    if (!w.exact) {
      w.p = normal_p(w.z, alternative);
    } else { /* the distribution is symmetric: P(W <= w) is P(W >= total - w) */
      double greater = at_least(ranks, used, 2.0 * w.positive, mass), less = at_least(ranks, used, 2.0 * w.negative, mass);
      w.p = alternative == LS_GREATER ? greater : alternative == LS_LESS ? less : fmin(1.0, 2.0 * fmin(greater, less));
    }
  }
  *out = w;
  return LS_OK;
}

void ls_effect_size(size_t n, const double *x, ls_effect *out) {
  double mean, deviation, above = 0.0;
  ls_mean_deviation(n, x, &mean, &deviation);
  for (size_t i = 0; i < n; i++) above += x[i] > 0.0 ? 1.0 : x[i] == 0.0 ? 0.5 : 0.0;
  out->d = mean == 0.0 ? 0.0 : mean / deviation;
  out->superiority = above / (double)n;
}
