/* L-BFGS. SPDX-License-Identifier: MIT */
#include "core/eval/lbfgs.h"

#include <math.h>
#include <string.h>

enum { PAIRS = 10, SEARCHES = 50 };

static double dot(size_t n, const double *a, const double *b) {
  double sum = 0.0;
  for (size_t i = 0; i < n; i++) sum += a[i] * b[i];
  return sum;
}

static double largest(size_t n, const double *x) {
  double most = 0.0;
  for (size_t i = 0; i < n; i++) most = fmax(most, fabs(x[i]));
  return most;
}

/* Pairs (s, y) of steps and changes of the gradient, the newest at `next - 1`. */
typedef struct memory {
  size_t n;
  int count, next;
  double *s, *y, rho[PAIRS];
} memory;

/* direction = -H g by the two loops. */
static void direct(const memory *m, const double *g, double *direction) {
  double alpha[PAIRS];
  for (size_t i = 0; i < m->n; i++) direction[i] = -g[i];
  for (int k = 0; k < m->count; k++) {
    int at = (m->next - 1 - k + 2 * PAIRS) % PAIRS;
    const double *s = m->s + (size_t)at * m->n, *y = m->y + (size_t)at * m->n;
    alpha[at] = m->rho[at] * dot(m->n, s, direction);
    for (size_t i = 0; i < m->n; i++) direction[i] -= alpha[at] * y[i];
  }
  if (m->count > 0) {
    int at = (m->next - 1 + PAIRS) % PAIRS;
    const double *y = m->y + (size_t)at * m->n;
    double scale = 1.0 / (m->rho[at] * dot(m->n, y, y));
    for (size_t i = 0; i < m->n; i++) direction[i] *= scale;
  }
  for (int k = m->count - 1; k >= 0; k--) {
    int at = (m->next - 1 - k + 2 * PAIRS) % PAIRS;
    const double *s = m->s + (size_t)at * m->n, *y = m->y + (size_t)at * m->n;
    double beta = m->rho[at] * dot(m->n, y, direction);
    for (size_t i = 0; i < m->n; i++) direction[i] += (alpha[at] - beta) * s[i];
  }
}

static void remember(memory *m, const double *x, const double *was_x, const double *g, const double *was_g) {
  double *s = m->s + (size_t)m->next * m->n, *y = m->y + (size_t)m->next * m->n;
  for (size_t i = 0; i < m->n; i++) s[i] = x[i] - was_x[i], y[i] = g[i] - was_g[i];
  double curvature = dot(m->n, s, y);
  if (!(curvature > 1e-300)) return;
  m->rho[m->next] = 1.0 / curvature;
  m->next = (m->next + 1) % PAIRS;
  if (m->count < PAIRS) m->count++;
}

size_t ls_lbfgs_scratch(size_t n) { return (2 * PAIRS + 4) * n * sizeof(double); }

ls_lbfgs_result ls_lbfgs(size_t n, double *x, ls_value_fn *value, void *context, double tolerance, int32_t most, void *scratch) {
  memory m = {.n = n, .s = scratch};
  m.y = m.s + PAIRS * n;
  double *g = m.y + PAIRS * n, *was_x = g + n, *was_g = was_x + n, *direction = was_g + n;
  ls_lbfgs_result r = {.value = value(context, x, g)};
  for (; r.steps < most; r.steps++) {
    if (largest(n, g) <= tolerance) {
      r.converged = true;
      return r;
    }
    direct(&m, g, direction);
    double slope = dot(n, g, direction), low = 0.0, high = INFINITY, step = m.count > 0 ? 1.0 : fmin(1.0, 1.0 / largest(n, g)), was = r.value;
    if (!(slope < 0.0)) { /* rounding has spoilt the pairs */
      m.count = 0;
      direct(&m, g, direction);
      slope = dot(n, g, direction);
    }
    memcpy(was_x, x, n * sizeof *x);
    memcpy(was_g, g, n * sizeof *g);
    bool found = false;
    for (int search = 0; search < SEARCHES && !found; search++) {
      for (size_t i = 0; i < n; i++) x[i] = was_x[i] + step * direction[i];
      r.value = value(context, x, g);
      if (!(r.value <= was + 1e-4 * step * slope))
        high = step;
      else if (dot(n, g, direction) < 0.9 * slope)
        low = step;
      else
        found = true;
      if (!found) step = isinf(high) ? 2.0 * low : 0.5 * (low + high);
    }
    if (!found && !(r.value < was)) { /* nothing lower is left along a descent: the minimum, to rounding */
      memcpy(x, was_x, n * sizeof *x);
      r.value = was;
      r.converged = largest(n, was_g) <= 1e3 * tolerance;
      return r;
    }
    remember(&m, x, was_x, g, was_g);
  }
  return r;
}
