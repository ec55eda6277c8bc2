/* Multinomial logistic regression. SPDX-License-Identifier: MIT */
#include <lsengine/pool.h>
#include <lsengine/probe.h>

#include "core/base/blas.h"
#include "core/eval/features.h"

#include <math.h>
#include <string.h>

enum { PAIRS = 10, PANEL = 4096, MOST_HALVINGS = 60 };

ls_status ls_probe_scale(ls_cmat x, bool unit, double *mean, double *scale, int64_t *size, ls_err *err) {
  ls_status status = ls_check_features(x, "train_features", err);
  if (status != LS_OK) return status;
  ls_class_means(x, NULL, NULL, 1, mean, size);
  for (int32_t j = 0; j < x.cols; j++) scale[j] = 0.0;
  for (int32_t i = 0; i < x.rows; i++)
    for (int32_t j = 0; j < x.cols; j++) {
      double e = (double)x.data[i * x.stride + j] - mean[j];
      scale[j] += e * e;
    }
  for (int32_t j = 0; j < x.cols; j++) {
    double deviation = sqrt(scale[j] / (double)x.rows);
    /* a column that is constant but for the rounding of its mean stays one */
    scale[j] = unit && deviation > 1e-12 * fabs(mean[j]) ? 1.0 / deviation : 1.0;
  }
  return LS_OK;
}

void ls_probe_points(ls_cmat x, const double *mean, const double *scale, double *points) {
  ls_deviating_rows(x, NULL, NULL, mean, 0, x.rows, points);
  for (int32_t i = 0; i < x.rows; i++)
    for (int32_t j = 0; j < x.cols; j++) points[(size_t)i * (size_t)x.cols + (size_t)j] *= scale[j];
}

typedef struct softmax_job {
  int32_t n, classes;
  const int32_t *group;
  const double *weights;
  int32_t d;
  double *logits, *losses;
} softmax_job;

/* Logits become probabilities less the target; each row's loss. */
static void softmax_of_rows(void *argument, size_t block) {
  const softmax_job *j = argument;
  int32_t i = (int32_t)block * LS_FEATURE_ROWS, end = j->n - i < LS_FEATURE_ROWS ? j->n : i + LS_FEATURE_ROWS;
  for (; i < end; i++) {
    double *z = j->logits + (size_t)i * (size_t)j->classes, most = -INFINITY, sum = 0.0;
    for (int32_t k = 0; k < j->classes; k++) {
      z[k] += j->weights[(size_t)k * ((size_t)j->d + 1) + (size_t)j->d];
      most = fmax(most, z[k]);
    }
    double own = z[j->group[i]] - most;
    for (int32_t k = 0; k < j->classes; k++) sum += z[k] = exp(z[k] - most);
    for (int32_t k = 0; k < j->classes; k++) z[k] /= sum;
    z[j->group[i]] -= 1.0;
    j->losses[i] = log(sum) - own;
  }
}

typedef struct problem {
  int32_t n, d, classes;
  const double *points;
  const int32_t *group;
  double l2, *logits, *losses;
} problem;

/* The objective and its gradient (K, d+1). */
static double objective(const problem *p, const double *weights, double *gradient) {
  int32_t width = p->d + 1;
  double loss = 0.0, square = 0.0, n = (double)p->n;
  ls_gemm_double(false, true, p->n, p->classes, p->d, p->points, p->d, weights, width, 0.0, p->logits, p->classes);
  softmax_job job = {p->n, p->classes, p->group, weights, p->d, p->logits, p->losses};
  ls_parallel(LS_SITE_EVALUATE, ((size_t)p->n + LS_FEATURE_ROWS - 1) / LS_FEATURE_ROWS, softmax_of_rows, &job);
  for (int32_t i = 0; i < p->n; i++) loss += p->losses[i];
  ls_gemm_double(true, false, p->classes, p->d, p->n, p->logits, p->classes, p->points, p->d, 0.0, gradient, width);
  for (int32_t k = 0; k < p->classes; k++) gradient[(size_t)k * (size_t)width + (size_t)p->d] = 0.0;
  for (int32_t i = 0; i < p->n; i++)
    for (int32_t k = 0; k < p->classes; k++) gradient[(size_t)k * (size_t)width + (size_t)p->d] += p->logits[(size_t)i * (size_t)p->classes + (size_t)k];
  for (int32_t k = 0; k < p->classes; k++) {
    double *g = gradient + (size_t)k * (size_t)width;
    const double *w = weights + (size_t)k * (size_t)width;
    for (int32_t j = 0; j < width; j++) {
      bool free_ = j == p->d;
      g[j] = g[j] / n + (free_ ? 0.0 : p->l2 * w[j]);
      square += free_ ? 0.0 : w[j] * w[j];
    }
  }
  return loss / n + 0.5 * p->l2 * square;
}

typedef struct history {
  double *step[PAIRS], *change[PAIRS], inverse[PAIRS];
  int count, next;
} history;

/* -H g by the two loops. */
static void direction_of(const history *h, const double *gradient, int32_t size, double *direction) {
  double alpha[PAIRS];
  for (int32_t i = 0; i < size; i++) direction[i] = -gradient[i];
  for (int back = 1; back <= h->count; back++) {
    int at = (h->next - back + PAIRS) % PAIRS;
    alpha[at] = h->inverse[at] * ls_dot(h->step[at], direction, size);
    for (int32_t i = 0; i < size; i++) direction[i] -= alpha[at] * h->change[at][i];
  }
  if (h->count > 0) {
    int last = (h->next - 1 + PAIRS) % PAIRS;
    double factor = 1.0 / (h->inverse[last] * ls_dot(h->change[last], h->change[last], size));
    for (int32_t i = 0; i < size; i++) direction[i] *= factor;
  }
  for (int back = h->count; back >= 1; back--) {
    int at = (h->next - back + PAIRS) % PAIRS;
    double beta = h->inverse[at] * ls_dot(h->change[at], direction, size);
    for (int32_t i = 0; i < size; i++) direction[i] += (alpha[at] - beta) * h->step[at][i];
  }
}

static double largest(const double *x, int32_t size) {
  double most = 0.0;
  for (int32_t i = 0; i < size; i++) most = fmax(most, fabs(x[i]));
  return most;
}

/* weights, gradients, directions; ten pairs; logits and losses */
size_t ls_probe_scratch(int32_t n, int32_t d, int32_t classes) {
  if ((double)classes * ((double)d + 1.0) * (4.0 + 2.0 * PAIRS) * 8.0 + 8.0 * (double)n * ((double)classes + 1.0) > 0x1p46) return LS_TOO_MUCH;
  size_t size = (size_t)classes * ((size_t)d + 1);
  return ((4 + 2 * PAIRS) * size + (size_t)n * ((size_t)classes + 1)) * sizeof(double);
}

typedef struct point {
  double *weights, *gradient, value;
} point;

/* From `at` along the direction to a point of the weak Wolfe conditions, in `tried`: by doubling, then by bisection. False where rounding leaves none. */
static bool search(const problem *p, const point *at, const double *direction, double slope, double step, int32_t size, point *tried, int32_t *sweeps) {
  double low = 0.0, high = INFINITY;
  for (int halving = 0; halving < MOST_HALVINGS; halving++) {
    for (int32_t i = 0; i < size; i++) tried->weights[i] = at->weights[i] + step * direction[i];
    tried->value = objective(p, tried->weights, tried->gradient);
    ++*sweeps;
    if (!(tried->value <= at->value + 1e-4 * step * slope + 1e-15 * fabs(at->value)))
      high = step;
    else if (ls_dot(tried->gradient, direction, size) < 0.9 * slope)
      low = step;
    else
      return true;
    step = isinf(high) ? 2.0 * low : 0.5 * (low + high);
  }
  return false;
}

/* Keeps the pair of a step, where it bends upwards. */
static void remember(history *h, const point *from, const point *to, int32_t size) {
  double *step = h->step[h->next], *change = h->change[h->next];
  for (int32_t i = 0; i < size; i++) {
    step[i] = to->weights[i] - from->weights[i];
    change[i] = to->gradient[i] - from->gradient[i];
  }
  double product = ls_dot(step, change, size);
  if (!(product > 0.0)) return;
  h->inverse[h->next] = 1.0 / product;
  h->next = (h->next + 1) % PAIRS;
  if (h->count < PAIRS) h->count++;
}

ls_status ls_probe_fit(int32_t n, int32_t d, const double *points, const int32_t *group, int32_t classes, const ls_probe_options *o, void *scratch, double *weights,
                       ls_probe *out, ls_err *err) {
  if (!(o->l2 >= 0.0) || isinf(o->l2)) return ls_fail(err, LS_ERANGE, "l2 is %g, allowed is any finite number from 0", o->l2);
  if (!(o->tolerance > 0.0)) return ls_fail(err, LS_ERANGE, "tolerance is %g, allowed is above 0", o->tolerance);
  if ((double)classes * (d + 1.0) > INT32_MAX) return ls_fail(err, LS_ESHAPE, "%d classes of %d columns are too many weights", classes, d);
  ls_status status = ls_blas_need(err);
  if (status != LS_OK) return status;
  int32_t size = classes * (d + 1);
  double *gradient = scratch, *direction = gradient + size, *room = direction + 3 * (size_t)size, *logits = room + (size_t)(2 * PAIRS) * (size_t)size;
  point at = {weights, gradient, 0.0}, tried = {direction + size, direction + 2 * (size_t)size, 0.0};
  history h = {.count = 0};
  for (int i = 0; i < PAIRS; i++) {
    h.step[i] = room + (size_t)(2 * i) * (size_t)size;
    h.change[i] = h.step[i] + size;
  }
  problem p = {n, d, classes, points, group, o->l2, logits, logits + (size_t)n * (size_t)classes};
  ls_probe r = {.sweeps = 1};
  at.value = objective(&p, at.weights, at.gradient);

  while (!(r.converged = largest(at.gradient, size) <= o->tolerance) && r.iterations < o->iterations) {
    direction_of(&h, at.gradient, size, direction);
    double slope = ls_dot(direction, at.gradient, size), step = h.count > 0 ? 1.0 : fmin(1.0, 1.0 / sqrt(ls_dot(at.gradient, at.gradient, size)));
    if (!(slope < 0.0) && h.count > 0) { /* rounding has spoilt the pairs: begin again with the gradient */
      h.count = h.next = 0;
      continue;
    }
    if (!(slope < 0.0) || !search(&p, &at, direction, slope, step, size, &tried, &r.sweeps)) break;
    r.iterations++;
    remember(&h, &at, &tried, size);
    memcpy(at.weights, tried.weights, (size_t)size * sizeof *weights);
    memcpy(at.gradient, tried.gradient, (size_t)size * sizeof *gradient);
    at.value = tried.value;
  }
  r.objective = at.value;
  r.gradient = largest(at.gradient, size);
  *out = r;
  return LS_OK;
}

size_t ls_probe_judge_scratch(int32_t n, int32_t classes) { return (size_t)(n < PANEL ? n : PANEL) * ((size_t)classes + 1) * sizeof(double); }

ls_status ls_probe_judge(int32_t n, int32_t d, const double *points, const int32_t *group, int32_t classes, const double *weights, void *scratch, ls_mat logits,
                         double *accuracy, double *nll, ls_err *err) {
  ls_status status = ls_blas_need(err);
  if (status != LS_OK) return status;
  double *z = scratch, *losses = z + (size_t)(n < PANEL ? n : PANEL) * (size_t)classes, loss = 0.0;
  int64_t right = 0;
  for (int32_t first = 0; first < n; first += PANEL) {
    int32_t rows = n - first < PANEL ? n - first : PANEL;
    ls_gemm_double(false, true, rows, classes, d, points + (size_t)first * (size_t)d, d, weights, d + 1, 0.0, z, classes);
    for (int32_t i = 0; i < rows; i++) {
      const double *row = z + (size_t)i * (size_t)classes;
      int32_t best = 0;
      double best_value = -INFINITY;
      for (int32_t k = 0; k < classes; k++) {
        double value = row[k] + weights[(size_t)k * ((size_t)d + 1) + (size_t)d];
        if (logits.data != NULL) logits.data[(ptrdiff_t)(first + i) * logits.stride + k] = (float)value;
        if (value > best_value) {
          best = k;
          best_value = value;
        }
      }
      right += best == group[first + i];
    }
    softmax_job job = {rows, classes, group + first, weights, d, z, losses};
    ls_parallel(LS_SITE_EVALUATE, ((size_t)rows + LS_FEATURE_ROWS - 1) / LS_FEATURE_ROWS, softmax_of_rows, &job);
    for (int32_t i = 0; i < rows; i++) loss += losses[i];
  }
  *accuracy = (double)right / n;
  *nll = loss / n;
  return LS_OK;
}
