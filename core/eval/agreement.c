/* Agreement of two partitions. SPDX-License-Identifier: MIT
 *
 * The expected mutual information is the sum over the hypergeometric distribution of every cell (Vinh, Epps and Bailey 2010, equation 24a), its terms by recurrence
 * from the smallest count, which is found from logarithms of factorials: no term needs more than one logarithm of its own. */
#include <lsengine/clustering.h>

#include "core/eval/features.h"

#include <math.h>
#include <string.h>

/* table (ca,cb), sizes (ca + cb), log-factorials (n+1) */
size_t ls_agreement_scratch(int32_t n, int32_t ca, int32_t cb) {
  if (8.0 * ca * cb > 0x1p45) return LS_TOO_MUCH;
  return ((size_t)ca * (size_t)cb + (size_t)ca + (size_t)cb) * sizeof(int64_t) + ((size_t)n + 1) * sizeof(double);
}

static double entropy(const int64_t *sizes, int32_t count, double n) {
  double h = 0.0;
  for (int32_t k = 0; k < count; k++) {
    double p = (double)sizes[k] / n;
    if (p > 0.0) h -= p * log(p);
  }
  return fmax(0.0, h);
}

/* of one cell with margins a and b among n */
static double expected_of_cell(int64_t a, int64_t b, int64_t n, const double *log_factorial) {
  int64_t low = a + b - n > 1 ? a + b - n : 1, high = a < b ? a : b;
  double sum = 0.0, size = (double)n;
  for (int64_t m = low; m <= high; m++) {
    double log_probability = log_factorial[a] + log_factorial[b] + log_factorial[n - a] + log_factorial[n - b] - log_factorial[n] - log_factorial[m] -
                             log_factorial[a - m] - log_factorial[b - m] - log_factorial[n - a - b + m];
    double mass = (double)m;
    sum += mass / size * log(size * mass / ((double)a * (double)b)) * exp(log_probability);
  }
  return sum;
}

static double pairs(int64_t count) { return 0.5 * (double)count * ((double)count - 1.0); }

ls_status ls_agree(int32_t n, const int32_t *a, int32_t ca, const int32_t *b, int32_t cb, void *scratch, ls_agreement *out, ls_err *err) {
  size_t cells = (size_t)ca * (size_t)cb;
  int64_t *table = scratch, *in_a = table + cells, *in_b = in_a + ca;
  double *log_factorial = (double *)(in_b + cb), size = (double)n, joint = 0.0, in_cells = 0.0, pairs_a = 0.0, pairs_b = 0.0;
  ls_agreement r = {0};
  if (n < 1) return ls_fail(err, LS_ERANGE, "there is no row to compare");
  memset(table, 0, (cells + (size_t)ca + (size_t)cb) * sizeof *table);
  for (int32_t i = 0; i < n; i++) {
    table[(size_t)a[i] * (size_t)cb + (size_t)b[i]]++;
    in_a[a[i]]++;
    in_b[b[i]]++;
  }
  r.entropy_a = entropy(in_a, ca, size);
  r.entropy_b = entropy(in_b, cb, size);
  for (size_t i = 0; i < cells; i++) {
    double count = (double)table[i];
    in_cells += pairs(table[i]);
    if (count > 0.0) joint += count / size * log(size * count / ((double)in_a[i / (size_t)cb] * (double)in_b[i % (size_t)cb]));
  }
  r.mutual_information = fmax(0.0, joint);
  double mean = 0.5 * (r.entropy_a + r.entropy_b);
  r.homogeneity = r.entropy_a > 0.0 ? r.mutual_information / r.entropy_a : 1.0;
  r.completeness = r.entropy_b > 0.0 ? r.mutual_information / r.entropy_b : 1.0;
  r.v_measure = r.homogeneity + r.completeness > 0.0 ? 2.0 * r.homogeneity * r.completeness / (r.homogeneity + r.completeness) : 0.0;
  bool trivial = (ca == 1 && cb == 1) || (ca == n && cb == n);
  r.nmi = trivial ? 1.0 : mean > 0.0 ? r.mutual_information / mean : 0.0;

  for (int32_t k = 0; k < ca; k++) pairs_a += pairs(in_a[k]);
  for (int32_t k = 0; k < cb; k++) pairs_b += pairs(in_b[k]);
  double all = pairs(n), expected_pairs = all > 0.0 ? pairs_a * pairs_b / all : 0.0, most = 0.5 * (pairs_a + pairs_b);
  r.ari = trivial || most == expected_pairs ? 1.0 : (in_cells - expected_pairs) / (most - expected_pairs);

  double expected = 0.0;
  log_factorial[0] = 0.0;
  for (int32_t i = 1; i <= n; i++) log_factorial[i] = lgamma((double)i + 1.0);
  for (int32_t k = 0; !trivial && k < ca; k++)
    for (int32_t l = 0; l < cb; l++) expected += expected_of_cell(in_a[k], in_b[l], n, log_factorial);
  double denominator = mean - expected;
  /* as scikit-learn: a denominator that is only rounding keeps its sign, and the smallest size that can be told apart */
  denominator = denominator < 0.0 ? fmin(denominator, -0x1p-52) : fmax(denominator, 0x1p-52);
  r.ami = trivial ? 1.0 : (r.mutual_information - expected) / denominator;
  *out = r;
  return LS_OK;
}
