/* Temperature scaling. SPDX-License-Identifier: MIT
 *
 * f(b) = mean of log sum_k exp(b u_k) - b u_y, u = z - max z, b = 1/T: f' = mean of E[u] - u_y, f'' = mean of Var[u] >= 0, under softmax(b u). */
#include <lsengine/calibrators.h>

#include "core/eval/predictions.h"

#include <math.h>

enum { FIRST_ROWS = 16384, MOST_STEPS = 60 };

typedef struct moments {
  double nll, slope, curvature;
} moments;

static void take(void *context, const ls_predictions *p, ls_sweep_part *part) {
  moments *m = (moments *)context + part->chunk;
  for (int32_t i = 0; i < part->count; i++) {
    const float *z = p->z.data + part->row[i] * p->z.stride;
    const double *q = part->p + (size_t)i * part->p_row;
    double mean = 0.0, square = 0.0, top = part->top[i];
    for (int32_t k = 0; k < part->classes; k++) {
      double u = z[k] > -INFINITY ? (double)z[k] - top : 0.0, qu = q[(size_t)k * part->p_class] * u;
      mean += qu;
      square += qu * u;
    }
    m->nll += part->nll[i];
    m->slope += mean - ((double)z[part->label[i]] - top);
    m->curvature += fmax(0.0, square - mean * mean);
  }
}

static ls_status moments_at(const ls_predictions *given, double b, void *scratch, moments *out, ls_err *err) {
  ls_predictions p = *given;
  size_t chunks = ls_sweep_chunks(&p, LS_SWEEP_CHUNKS);
  moments *parts = scratch;
  int64_t kept;
  p.temperature = 1.0 / b;
  ls_status status = ls_predictions_check(&p, &kept, err);
  for (size_t c = 0; c < chunks; c++) parts[c] = (moments){0, 0, 0};
  if (status == LS_OK) status = ls_sweep(&p, chunks, LS_WANT_PROBABILITIES, parts + LS_SWEEP_CHUNKS, take, parts, err);
  if (status != LS_OK) return status;
  *out = (moments){0, 0, 0};
  for (size_t c = 0; c < chunks; c++) out->nll += parts[c].nll, out->slope += parts[c].slope, out->curvature += parts[c].curvature;
  out->nll /= (double)kept, out->slope /= (double)kept, out->curvature /= (double)kept;
  return LS_OK;
}

size_t ls_fit_temperature_scratch(const ls_predictions *p) {
  return LS_SWEEP_CHUNKS * sizeof(moments) + ls_sweep_scratch(p, ls_sweep_chunks(p, LS_SWEEP_CHUNKS));
}

/* Newton from b; `at` are the moments there, and those of the result at the end. Returns whether a bound was hit. */
static ls_status minimise(const ls_predictions *p, double *b, moments *at, bool *at_bound, int32_t *sweeps, void *scratch, ls_err *err) {
  const double bottom = 1.0 / LS_HIGHEST_TEMPERATURE, top = 1.0 / LS_LOWEST_TEMPERATURE;
  double low = bottom, high = top;
  *at_bound = false;
  for (int step = 0; step < MOST_STEPS; step++) {
    if (at->slope == 0.0) return LS_OK;
    if (at->slope > 0.0 ? *b <= bottom : *b >= top) {
      *at_bound = true;
      return LS_OK;
    }
    if (at->slope > 0.0)
      high = *b;
    else
      low = *b;
    double next = *b - at->slope / at->curvature;
    if (isnan(next)) next = sqrt(low * high);
    if (next >= high) next = high == top ? top : sqrt(low * high);
    if (next <= low) next = low == bottom ? bottom : sqrt(low * high);
    if (fabs(next - *b) <= 1e-12 * *b) return LS_OK;
    bool last = fabs(next - *b) <= 1e-7 * *b; /* the error after this step is of the order of its square */
    *b = next;
    ++*sweeps;
    ls_status status = moments_at(p, *b, scratch, at, err);
    if (status != LS_OK || (last && *b > bottom && *b < top)) return status;
  }
  return LS_OK;
}

ls_status ls_fit_temperature(const ls_predictions *p, void *scratch, ls_temperature *out, ls_err *err) {
  if (p->probabilities) return ls_fail(err, LS_ERANGE, "a temperature scales logits, probabilities were given: take their logarithms");
  moments one, at;
  ls_temperature t = {.sweeps = 1};
  ls_status status = moments_at(p, 1.0, scratch, &one, err);
  if (status != LS_OK) return status;
  double b = 1.0;
  at = one;
  if (p->z.rows > 4 * FIRST_ROWS) { /* some rows say where to begin */
    ls_predictions some = *p;
    some.z.rows = FIRST_ROWS;
    moments few;
    bool bound;
    int32_t unused = 0;
    if (moments_at(&some, 1.0, scratch, &few, NULL) == LS_OK && minimise(&some, &b, &few, &bound, &unused, scratch, err) == LS_OK && b != 1.0) {
      status = moments_at(p, b, scratch, &at, err);
      t.sweeps++;
    }
  }
  if (status == LS_OK) status = minimise(p, &b, &at, &t.at_bound, &t.sweeps, scratch, err);
  if (status != LS_OK) return status;
  t.nll_before = one.nll;
  t.nll = at.nll;
  if (t.nll >= t.nll_before) { /* flat, or the minimum is at 1 to the last digits */
    b = 1.0;
    t.nll = t.nll_before;
    t.at_bound = false;
  }
  t.temperature = b == 1.0 / LS_LOWEST_TEMPERATURE ? LS_LOWEST_TEMPERATURE : b == 1.0 / LS_HIGHEST_TEMPERATURE ? LS_HIGHEST_TEMPERATURE : 1.0 / b;
  *out = t;
  return LS_OK;
}
