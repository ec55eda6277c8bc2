/* Distances in plain double, features in order: the oracle of neighbours and of retrieval. SPDX-License-Identifier: MIT */
#ifndef LS_TESTS_NEAREST_H
#define LS_TESTS_NEAREST_H

#include <lsengine/knn.h>

#include <math.h>

typedef struct hit {
  double value;
  int64_t row;
} hit;

static inline int by_value(const void *a, const void *b) {
  const hit *x = a, *y = b;
  return x->value < y->value ? -1 : x->value > y->value ? 1 : (x->row > y->row) - (x->row < y->row);
}

static inline double norm_of(const float *x, int d) {
  double sum = 0;
  for (int j = 0; j < d; j++) sum += (double)x[j] * (double)x[j];
  return sqrt(sum);
}

static inline double value_between(ls_metric metric, const float *q, double q_inverse, const float *x, double x_inverse, int d) {
  double sum = 0;
  for (int j = 0; j < d; j++) {
    double a = (double)q[j], b = (double)x[j];
    if (metric == LS_METRIC_INNER_PRODUCT)
      sum -= a * b;
    else if (metric == LS_METRIC_L2)
      sum += (a - b) * (a - b);
    else
      sum += (a * q_inverse - b * x_inverse) * (a * q_inverse - b * x_inverse);
  }
  return metric == LS_METRIC_COSINE ? 0.5 * sum : sum;
}

static inline double value_of(ls_metric metric, const float *q, const float *x, int d) {
  return value_between(metric, q, 1 / norm_of(q, d), x, 1 / norm_of(x, d), d);
}

/* What is reported for a value. */
static inline float reported(ls_metric metric, double v) { return (float)(metric == LS_METRIC_L2 ? sqrt(v) : metric == LS_METRIC_INNER_PRODUCT ? 0 - v : v); }

#endif
