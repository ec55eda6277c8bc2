/* Vector and matrix scaling. SPDX-License-Identifier: MIT */
#include <lsengine/calibrators.h>

#include "core/eval/lbfgs.h"
#include "core/eval/predictions.h"
#include "core/kernels/kernels.h"
#include <lsengine/pool.h>

#include <math.h>
#include <string.h>

enum { MOST_CHUNKS = 64, CHUNK_ROWS = 512, MOST_SCRATCH = 64 << 20 };

typedef struct affine_job {
  const ls_predictions *p;
  ls_affine_kind kind;
  double penalty, kept;
  size_t parameters, chunks, rows;
  const double *x;   /* w, then b */
  double *sums;      /* (chunks, parameters + 1): gradient, value */
  double *buffers;   /* (chunks, K) */
} affine_job;

static size_t parameters_of(const ls_predictions *p, ls_affine_kind kind) {
  size_t k = (size_t)(p->z.cols < 1 ? 1 : p->z.cols);
  return kind == LS_AFFINE_VECTOR ? 2 * k : k * k + k;
}

static size_t chunks_of(const ls_predictions *p, ls_affine_kind kind) {
  size_t most = MOST_SCRATCH / ((parameters_of(p, kind) + 1) * sizeof(double)) + 1, chunks = ((size_t)p->z.rows + CHUNK_ROWS - 1) / CHUNK_ROWS;
  most = most < MOST_CHUNKS ? most : MOST_CHUNKS;
  return chunks < 1 ? 1 : chunks < most ? chunks : most;
}

/* out = w·z + b or W z + b; masked classes of a vector stay masked. */
static void map_row(ls_affine_kind kind, int32_t n, const double *w, const double *b, const float *z, double *out) {
  for (int32_t k = 0; k < n; k++) {
    if (kind == LS_AFFINE_VECTOR) {
      out[k] = z[k] == -INFINITY ? -INFINITY : w[k] * (double)z[k] + b[k];
      continue;
    }
    double sum = b[k];
    for (int32_t c = 0; c < n; c++) sum += w[(size_t)k * (size_t)n + (size_t)c] * (double)z[c];
    out[k] = sum;
  }
}

/* Gradient of one row's NLL: (p - y) times z, added to `to`; returns the NLL. */
static double add_row(const affine_job *j, const float *z, int32_t y, double *e, double *to) {
  int32_t n = j->p->z.cols;
  size_t weights = j->parameters - (size_t)n;
  map_row(j->kind, n, j->x, j->x + weights, z, e);
  double top = -INFINITY, sum = 0.0, own = e[y];
  for (int32_t k = 0; k < n; k++) top = e[k] > top ? e[k] : top;
  for (int32_t k = 0; k < n; k++) e[k] -= top;
  ls_kernels_now()->evaluation->exp((size_t)n, e);
  for (int32_t k = 0; k < n; k++) sum += e[k];
  for (int32_t k = 0; k < n; k++) {
    double d = e[k] / sum - (k == y);
    to[weights + (size_t)k] += d;
    if (j->kind == LS_AFFINE_VECTOR)
      to[k] += z[k] == -INFINITY ? 0.0 : d * (double)z[k];
    else
      for (int32_t c = 0; c < n; c++) to[(size_t)k * (size_t)n + (size_t)c] += d * (double)z[c];
  }
  return log(sum) - (own - top);
}

static void affine_chunk(void *argument, size_t chunk) {
  const affine_job *j = argument;
  const ls_predictions *p = j->p;
  double *to = j->sums + chunk * (j->parameters + 1), *e = j->buffers + chunk * (size_t)p->z.cols;
  size_t begin = chunk * j->rows, end = begin + j->rows < (size_t)p->z.rows ? begin + j->rows : (size_t)p->z.rows;
  memset(to, 0, (j->parameters + 1) * sizeof *to);
  for (size_t i = begin; i < end; i++) {
    if (p->ignore.active && p->labels[i] == p->ignore.label) continue;
    to[j->parameters] += add_row(j, p->z.data + (ptrdiff_t)i * p->z.stride, (int32_t)p->labels[i], e, to);
  }
}

static double affine_value(void *context, const double *x, double *g) {
  affine_job *j = context;
  int32_t n = j->p->z.cols;
  size_t weights = j->parameters - (size_t)n;
  j->x = x;
  ls_parallel(LS_SITE_EVALUATE, j->chunks, affine_chunk, j);
  memset(g, 0, j->parameters * sizeof *g);
  double value = 0.0, far = 0.0;
  for (size_t c = 0; c < j->chunks; c++) {
    const double *from = j->sums + c * (j->parameters + 1);
    for (size_t i = 0; i < j->parameters; i++) g[i] += from[i];
    value += from[j->parameters];
  }
  for (size_t i = 0; i < j->parameters; i++) {
    bool one = i < weights && (j->kind == LS_AFFINE_VECTOR || i / (size_t)n == i % (size_t)n);
    double d = x[i] - (one ? 1.0 : 0.0);
    g[i] = g[i] / j->kept + j->penalty * d;
    far += d * d;
  }
  return value / j->kept + 0.5 * j->penalty * far;
}

size_t ls_fit_affine_scratch(const ls_predictions *p, ls_affine_kind kind) {
  size_t n = parameters_of(p, kind), chunks = chunks_of(p, kind), k = (size_t)(p->z.cols < 1 ? 1 : p->z.cols);
  return (n + chunks * (n + 1 + k)) * sizeof(double) + ls_lbfgs_scratch(n) + ls_sweep_scratch(p, ls_sweep_chunks(p, LS_SWEEP_CHUNKS));
}

static void take_nll(void *context, const ls_predictions *p, ls_sweep_part *part) {
  double *sums = context;
  (void)p;
  for (int32_t i = 0; i < part->count; i++) sums[part->chunk] += part->nll[i];
}

static ls_status check_affine(const ls_predictions *p, ls_affine_kind kind, double penalty, int32_t most, ls_err *err) {
  if (p->probabilities) return ls_fail(err, LS_ERANGE, "this calibrator maps logits, probabilities were given: take their logarithms");
  if (!(penalty >= 0.0) || isinf(penalty)) return ls_fail(err, LS_ERANGE, "penalty is %g, allowed is any finite number from 0", penalty);
  if (most < 1) return ls_fail(err, LS_ERANGE, "steps is %d, at least 1 is allowed", most);
  if (kind == LS_AFFINE_MATRIX && p->z.cols > 1000)
    return ls_fail(err, LS_ESHAPE, "a matrix for %d classes is too large, at most 1000 are taken", p->z.cols);
  for (int32_t i = 0; kind == LS_AFFINE_MATRIX && i < p->z.rows; i++)
    for (int32_t k = 0; k < p->z.cols; k++)
      if (p->z.data[i * p->z.stride + k] == -INFINITY) return ls_fail(err, LS_EVALUE, "logits[%d] is -inf for class %d: matrix scaling has no masked classes", i + 1, k);
  return LS_OK;
}

ls_status ls_fit_affine(const ls_predictions *given, ls_affine_kind kind, double penalty, int32_t most, void *scratch, double *w, double *b, ls_affine *out,
                        ls_err *err) {
  ls_predictions p = *given;
  int64_t kept;
  p.temperature = 1.0;
  ls_status status = check_affine(&p, kind, penalty, most, err);
  if (status == LS_OK) status = ls_predictions_check(&p, &kept, err);
  if (status != LS_OK) return status;
  size_t n = parameters_of(&p, kind), classes = (size_t)p.z.cols, weights = n - classes, chunks = chunks_of(&p, kind);
  double *x = scratch, before[LS_SWEEP_CHUNKS] = {0};
  affine_job j = {.p = &p, .kind = kind, .penalty = penalty, .kept = (double)kept, .parameters = n, .chunks = chunks};
  j.rows = ((size_t)p.z.rows + chunks - 1) / chunks;
  j.sums = x + n;
  j.buffers = j.sums + chunks * (n + 1);
  double *memory = j.buffers + chunks * classes;
  status = ls_sweep(&p, ls_sweep_chunks(&p, LS_SWEEP_CHUNKS), LS_WANT_SCORES, memory + ls_lbfgs_scratch(n) / sizeof *memory, take_nll, before, err); /* checks the rows */
  if (status != LS_OK) return status;
  for (size_t i = 0; i < n; i++) x[i] = i < weights && (kind == LS_AFFINE_VECTOR || i / classes == i % classes) ? 1.0 : 0.0;
  ls_lbfgs_result r = ls_lbfgs(n, x, affine_value, &j, 1e-8, most, memory);
  memcpy(w, x, weights * sizeof *w);
  memcpy(b, x + weights, classes * sizeof *b);
  *out = (ls_affine){.steps = r.steps, .converged = r.converged};
  for (int c = 0; c < LS_SWEEP_CHUNKS; c++) out->nll_before += before[c];
  out->nll_before /= (double)kept;
  double far = 0.0;
  for (size_t i = 0; i < n; i++) {
    double d = x[i] - (i < weights && (kind == LS_AFFINE_VECTOR || i / classes == i % classes) ? 1.0 : 0.0);
    far += d * d;
  }
  out->nll = r.value - 0.5 * penalty * far;
  return LS_OK;
}

ls_status ls_apply_affine(ls_cmat z, ls_affine_kind kind, const double *w, const double *b, ls_mat out, ls_err *err) {
  for (int32_t i = 0; i < z.rows; i++)
    for (int32_t k = 0; k < z.cols; k++) {
      float x = z.data[i * z.stride + k];
      if (isnan(x) || x == INFINITY || (kind == LS_AFFINE_MATRIX && x == -INFINITY))
        return ls_fail(err, LS_EVALUE, "logits[%d] is %s for class %d", i + 1, isnan(x) ? "NaN" : x > 0 ? "+inf" : "-inf", k);
    }
  for (int32_t i = 0; i < z.rows; i++) {
    const float *row = z.data + i * z.stride;
    float *to = out.data + i * out.stride;
    for (int32_t k = 0; k < z.cols; k++) {
      double sum = b[k];
      if (kind == LS_AFFINE_VECTOR) {
        to[k] = row[k] == -INFINITY ? -INFINITY : (float)(w[k] * (double)row[k] + sum);
        continue;
      }
      for (int32_t c = 0; c < z.cols; c++) sum += w[(size_t)k * (size_t)z.cols + (size_t)c] * (double)row[c];
      to[k] = (float)sum;
    }
  }
  return LS_OK;
}
