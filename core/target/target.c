/* Targets: checks, and the softenings in closed form. SPDX-License-Identifier: MIT */
#include <lsengine/target.h>

#include "core/kernels/kernels.h"

#include <math.h>
#include <string.h>

static ls_status check_softening(const ls_softening *s, int32_t at, int32_t classes, ls_err *err) {
  if (!(s->epsilon >= 0.0 && s->epsilon <= 1.0))
    return ls_fail(err, LS_ERANGE, "epsilon of softening %d is %g, allowed is 0 to 1", at + 1, s->epsilon);
  if (s->kind == LS_SOFTEN_WRONG_CLASSES && classes < 2 && s->epsilon > 0.0)
    return ls_fail(err, LS_ERANGE, "wrong_classes has no wrong class to give mass to: there is one class");
  int32_t rows = s->kind == LS_SOFTEN_PRIOR ? 1 : s->kind == LS_SOFTEN_MATRIX ? s->matrix.rows : 0;
  if (rows == 0) return LS_OK;
  int32_t cols = s->kind == LS_SOFTEN_PRIOR ? s->classes : s->matrix.cols;
  if (cols != classes || (s->kind == LS_SOFTEN_MATRIX && rows != classes))
    return ls_fail(err, LS_ESHAPE, "%s has %d classes but logits have %d", rows == 1 ? "the prior" : "the matrix", cols, classes);
  for (int32_t i = 0; i < rows; i++) {
    const float *row = s->kind == LS_SOFTEN_PRIOR ? s->prior : s->matrix.data + i * s->matrix.stride;
    double sum = 0.0;
    for (int32_t k = 0; k < cols; k++) {
      if (!(row[k] >= 0.0f) || isinf(row[k]))
        return ls_fail(err, LS_ERANGE, "%s gives class %d the mass %g, allowed is any finite number from 0",
                       s->kind == LS_SOFTEN_PRIOR ? "the prior" : "the matrix", k, (double)row[k]);
      sum += (double)row[k];
    }
    if (!(fabs(sum - 1.0) <= LS_TARGET_TOLERANCE)) {
      if (s->kind == LS_SOFTEN_PRIOR) return ls_fail(err, LS_ERANGE, "the prior sums to %g, must be 1 within 1e-4", sum);
      return ls_fail(err, LS_ERANGE, "row of class %d of the matrix sums to %g, must be 1 within 1e-4", i, sum);
    }
  }
  return LS_OK;
}

static double weight_of(const ls_term *term, int32_t row) {
  return term->weights == NULL ? term->weight : (double)term->weights[row];
}

bool ls_target_ignored(const ls_target *t, ls_ignore ignore, int32_t row) {
  int32_t terms = t->origins > 0 ? t->origins : t->terms;
  const ls_term *term = t->origins > 0 ? t->origin : t->term;
  for (int32_t i = 0; i < terms && ignore.active; i++)
    if (term[i].labels[row] == ignore.label) return true;
  return false;
}

double ls_target_spread(const ls_target *t, int32_t row) { return t->spread == NULL ? 0.0 : (double)t->spread[row]; }

double ls_target_mass(const ls_target *t, int32_t row) {
  double mass = 0.0;
  if (t->terms == 0) {
    const float *q = t->dense.data + row * t->dense.stride;
    for (int32_t k = 0; k < t->dense.cols; k++) mass += (double)q[k];
  }
  for (int32_t i = 0; i < t->terms; i++) mass += weight_of(&t->term[i], row);
  return mass + ls_target_spread(t, row);
}

/* One row's terms; adds their weights to *sum. */
static ls_status check_terms(const ls_term *term, int32_t terms, int32_t row, int32_t classes, double *sum, ls_err *err) {
  for (int32_t i = 0; i < terms; i++) {
    int64_t y = term[i].labels[row];
    double w = weight_of(&term[i], row);
    if (y < 0 || y >= classes)
      return ls_fail(err, LS_ERANGE, "labels[%d] is %lld but logits have %d %s (0..%d)", row + 1, (long long)y, classes,
                     classes == 1 ? "class" : "classes", classes - 1);
    if (!(w >= 0.0) || isinf(w))
      return ls_fail(err, LS_ERANGE, "weight %d of row %d of the target is %g, allowed is 0 to 1", i + 1, row + 1, w);
    *sum += w;
  }
  return LS_OK;
}

static ls_status check_labels(const ls_target *t, int32_t classes, ls_ignore ignore, ls_err *err) {
  if (t->terms > 0 && t->origins == 0 && ls_kernels_now()->few->fit(t, classes)) return LS_OK;
  for (int32_t row = 0; row < t->rows; row++) {
    double sum = ls_target_spread(t, row), of_origins = 0.0;
    if (ls_target_ignored(t, ignore, row)) continue;
    if (!(sum >= 0.0 && sum <= 1.0)) return ls_fail(err, LS_ERANGE, "the uniform mass of row %d of the target is %g, allowed is 0 to 1", row + 1, sum);
    ls_status status = check_terms(t->term, t->terms, row, classes, &sum, err);
    if (status == LS_OK) status = check_terms(t->origin, t->origins, row, classes, &of_origins, err);
    if (status != LS_OK) return status;
    if (t->terms > 0 && !(fabs(sum - 1.0) <= LS_TARGET_TOLERANCE))
      return ls_fail(err, LS_ERANGE, "the weights of row %d of the target sum to %g, must be 1 within 1e-4", row + 1, sum);
  }
  return LS_OK;
}

ls_status ls_target_check_dense_row(const ls_target *t, int32_t row, ls_err *err) {
  const float *q = t->dense.data + row * t->dense.stride;
  double sum = 0.0;
  for (int32_t k = 0; k < t->dense.cols; k++) {
    if (!(q[k] >= 0.0f)) return ls_fail(err, LS_ERANGE, "row %d of the target has %g for class %d, allowed is 0 to 1", row + 1, (double)q[k], k);
    sum += (double)q[k];
  }
  if (fabs(sum - 1.0) <= LS_TARGET_TOLERANCE) return LS_OK;
  return ls_fail(err, LS_ERANGE, "row %d of the target sums to %g, must be 1 within 1e-4", row + 1, sum);
}

enum { LANES = 16 };

/* Whether a row is sound, without a word. */
static bool dense_row_sound(const float *q, int32_t n) {
  double sums[LANES] = {0}, sum = 0.0;
  int32_t k = 0, bad = 0;
  for (; k + LANES <= n; k += LANES)
    for (int32_t l = 0; l < LANES; l++) {
      bad |= !(q[k + l] >= 0.0f);
      sums[l] += (double)q[k + l];
    }
  for (; k < n; k++) {
    bad |= !(q[k] >= 0.0f);
    sum += (double)q[k];
  }
  for (int32_t l = 0; l < LANES; l++) sum += sums[l];
  return !bad && fabs(sum - 1.0) <= 0.5 * LS_TARGET_TOLERANCE; /* the rest is decided in order */
}

ls_status ls_target_check_dense(const ls_target *t, ls_ignore ignore, ls_err *err) {
  ls_status status = LS_OK;
  for (int32_t row = 0; row < t->rows && status == LS_OK; row++)
    if (!ls_target_ignored(t, ignore, row) && !dense_row_sound(t->dense.data + row * t->dense.stride, t->dense.cols)) status = ls_target_check_dense_row(t, row, err);
  return status;
}

static bool has(const ls_target *t, ls_softening_kind kind) {
  for (int32_t i = 0; i < t->softenings; i++)
    if (t->softening[i].kind == kind && t->softening[i].epsilon > 0.0) return true;
  return false;
}

/* In doubles while softenings are added up: v (K), B (K,K), one row of B beside; then in floats. */
size_t ls_target_scratch(const ls_target *t, int32_t classes) {
  size_t k = (size_t)classes, bytes = 0;
  if (has(t, LS_SOFTEN_MATRIX)) bytes += k * (k + 1) * (sizeof(double) + sizeof(float)) + k * sizeof(float);
  if (bytes > 0 || has(t, LS_SOFTEN_PRIOR)) bytes += k * (sizeof(double) + sizeof(float));
  return bytes;
}

/* v := v·M for M = (1-e) I + e P; B likewise, row by row; then B += a e P and v += (u/K)·e·colsum(P). */
static void apply_matrix(const ls_softening *s, int32_t n, double a, double u, double *v, double *b, double *row) {
  double e = s->epsilon;
  for (int32_t i = -1; i < n; i++) {
    double *x = i < 0 ? v : b + (size_t)i * (size_t)n;
    for (int32_t k = 0; k < n; k++) row[k] = (1.0 - e) * x[k];
    for (int32_t j = 0; j < n; j++) {
      const float *p = s->matrix.data + j * s->matrix.stride;
      double mass = e * (x[j] + (i < 0 ? u / n : j == i ? a : 0.0));
      if (mass != 0.0)
        for (int32_t k = 0; k < n; k++) row[k] += mass * (double)p[k];
    }
    memcpy(x, row, (size_t)n * sizeof *x);
  }
}

static void scale(double *x, size_t n, double by) {
  for (size_t i = 0; x != NULL && i < n; i++) x[i] *= by;
}

ls_status ls_target_resolve(const ls_target *t, int32_t classes, ls_ignore ignore, void *scratch, ls_resolved *out, ls_err *err) {
  ls_status status = ls_target_resolve_unread(t, classes, ignore, scratch, out, err);
  return status == LS_OK && t->terms == 0 ? ls_target_check_dense(t, ignore, err) : status;
}

ls_status ls_target_resolve_unread(const ls_target *t, int32_t classes, ls_ignore ignore, void *scratch, ls_resolved *out, ls_err *err) {
  size_t n = (size_t)classes;
  ls_status status = LS_OK;
  if (t->terms == 0 && (t->dense.rows != t->rows || t->dense.cols != classes))
    return ls_fail(err, LS_ESHAPE, "targets are %dx%d but logits are %dx%d", t->dense.rows, t->dense.cols, t->rows, classes);
  if (status == LS_OK && (t->terms > 0 || t->origins > 0)) status = check_labels(t, classes, ignore, err);
  for (int32_t i = 0; i < t->rows && t->row_weights != NULL && status == LS_OK; i++)
    if (!(t->row_weights[i] >= 0.0f) || isinf(t->row_weights[i]))
      status = ls_fail(err, LS_ERANGE, "the weight of row %d is %g, allowed is any finite number from 0", i + 1, (double)t->row_weights[i]);
  for (int32_t i = 0; i < t->softenings && status == LS_OK; i++) status = check_softening(&t->softening[i], i, classes, err);
  if (status != LS_OK) return status;

  bool with_matrix = has(t, LS_SOFTEN_MATRIX), with_v = with_matrix || has(t, LS_SOFTEN_PRIOR);
  double a = 1.0, u = 0.0, *v = with_v ? scratch : NULL, *b = with_matrix ? v + n : NULL, *row = with_matrix ? b + n * n : NULL;
  for (size_t i = 0; i < (with_matrix ? n * (n + 1) : with_v ? n : 0); i++) v[i] = 0.0;
  for (int32_t i = 0; i < t->softenings; i++) {
    const ls_softening *s = &t->softening[i];
    double e = s->epsilon, keep = 1.0 - e;
    if (e == 0.0) continue;
    if (s->kind == LS_SOFTEN_MATRIX) {
      apply_matrix(s, classes, a, u, v, b, row);
      a *= keep;
      u *= keep;
      continue;
    }
    if (s->kind == LS_SOFTEN_WRONG_CLASSES) {
      e = e * classes / (classes - 1.0);
      keep = 1.0 - e;
    }
    a *= keep;
    u *= keep;
    scale(v, n, keep);
    scale(b, n * n, keep);
    if (s->kind == LS_SOFTEN_PRIOR)
      for (size_t k = 0; k < n; k++) v[k] += e * (double)s->prior[k];
    else
      u += e;
  }
  ls_resolved r = {.classes = classes, .a = a, .u = u};
  if (with_v) {
    float *floats = (float *)(with_matrix ? row + n : v + n);
    for (size_t k = 0; k < n; k++) r.v_sum += v[k];
    for (size_t k = 0; k < (with_matrix ? n * (n + 1) : n); k++) floats[k] = (float)v[k];
    r.v = floats;
    r.matrix = with_matrix ? floats + n : NULL;
    if (with_matrix && t->spread != NULL) {
      float *mean = floats + n * (n + 1);
      for (size_t k = 0; k < n; k++) {
        double sum = 0.0;
        for (size_t y = 0; y < n; y++) sum += b[y * n + k];
        mean[k] = (float)(sum / (double)n);
      }
      r.mean_row = mean;
    }
  }
  *out = r;
  return LS_OK;
}

double ls_target_at(const ls_target *t, const ls_resolved *r, int32_t row, int32_t k) {
  double q = 0.0, mass = 0.0, n = r->classes;
  size_t width = (size_t)r->classes;
  if (t->terms == 0) {
    const float *dense = t->dense.data + row * t->dense.stride;
    q = r->a * (double)dense[k];
    for (int32_t j = 0; j < r->classes && r->matrix != NULL; j++)
      q += (double)dense[j] * (double)r->matrix[(size_t)j * width + (size_t)k];
    if (r->u != 0.0 || r->v != NULL) mass = ls_target_mass(t, row);
  }
  for (int32_t i = 0; i < t->terms; i++) {
    int64_t y = t->term[i].labels[row];
    double w = weight_of(&t->term[i], row);
    mass += w;
    if (y == k) q += r->a * w;
    if (r->matrix != NULL) q += w * (double)r->matrix[(size_t)y * width + (size_t)k];
  }
  if (t->spread != NULL) {
    double s = ls_target_spread(t, row);
    mass += s;
    q += s * (r->a / n + (r->mean_row == NULL ? 0.0 : (double)r->mean_row[k]));
  }
  return q + mass * (r->u / n + (r->v == NULL ? 0.0 : (double)r->v[k]));
}

/* The same numbers as ls_target_at gives, what is one for the row taken out of the loop; with a matrix one by one. */
static void give_row(const ls_target *t, const ls_resolved *r, int32_t row, float *to) {
  double n = r->classes, mass = ls_target_mass(t, row), own = ls_target_spread(t, row) * (r->a / n), even = r->u / n;
  const float *dense = t->terms == 0 ? t->dense.data + row * t->dense.stride : NULL;
  if (r->matrix != NULL) {
    for (int32_t k = 0; k < r->classes; k++) to[k] = (float)ls_target_at(t, r, row, k);
    return;
  }
  if (dense == NULL && r->v == NULL)
    for (int32_t k = 0; k < r->classes; k++) to[k] = (float)(own + mass * even);
  else if (dense == NULL)
    for (int32_t k = 0; k < r->classes; k++) to[k] = (float)(own + mass * (even + (double)r->v[k]));
  else if (r->v == NULL)
    for (int32_t k = 0; k < r->classes; k++) to[k] = (float)(r->a * (double)dense[k] + own + mass * even);
  else
    for (int32_t k = 0; k < r->classes; k++) to[k] = (float)(r->a * (double)dense[k] + own + mass * (even + (double)r->v[k]));
  for (int32_t i = 0; i < t->terms; i++) to[t->term[i].labels[row]] = (float)ls_target_at(t, r, row, (int32_t)t->term[i].labels[row]);
}

ls_status ls_target_rows(const ls_target *t, const ls_resolved *r, ls_ignore ignore, ls_mat out, ls_err *err) {
  if (out.rows != t->rows || out.cols != r->classes)
    return ls_fail(err, LS_ESHAPE, "the rows are %dx%d but the output is %dx%d", t->rows, r->classes, out.rows, out.cols);
  for (int32_t row = 0; row < t->rows; row++) {
    float *to = out.data + row * out.stride;
    if (ls_target_ignored(t, ignore, row))
      memset(to, 0, (size_t)r->classes * sizeof *to);
    else
      give_row(t, r, row, to);
  }
  return LS_OK;
}

static double entropy_term(double q) { return q > 0.0 ? -q * log(q) : 0.0; }

/* Labelled rows without prior or matrix have one value outside their labels: O(terms²) instead of O(K). */
static double row_entropy(const ls_target *t, const ls_resolved *r, int32_t row) {
  double entropy = 0.0;
  if (t->terms == 0 || r->v != NULL) {
    for (int32_t k = 0; k < r->classes; k++) entropy += entropy_term(ls_target_at(t, r, row, k));
    return entropy;
  }
  int32_t distinct = 0;
  for (int32_t i = 0; i < t->terms; i++) {
    bool seen = false;
    for (int32_t j = 0; j < i && !seen; j++) seen = t->term[j].labels[row] == t->term[i].labels[row];
    if (seen) continue;
    distinct++;
    entropy += entropy_term(ls_target_at(t, r, row, (int32_t)t->term[i].labels[row]));
  }
  return entropy + (r->classes - distinct) * entropy_term((ls_target_mass(t, row) * r->u + ls_target_spread(t, row) * r->a) / r->classes);
}

int64_t ls_target_label(const ls_target *t, int32_t row) {
  int32_t best = 0, terms = t->origins > 0 ? t->origins : t->terms;
  const ls_term *term = t->origins > 0 ? t->origin : t->term;
  if (terms == 0) {
    const float *q = t->dense.data + row * t->dense.stride;
    for (int32_t k = 1; k < t->dense.cols; k++)
      if (q[k] > q[best]) best = k;
    return best;
  }
  for (int32_t i = 1; i < terms; i++)
    if (weight_of(&term[i], row) > weight_of(&term[best], row)) best = i;
  return term[best].labels[row];
}

void ls_target_summary(const ls_target *t, const ls_resolved *r, ls_ignore ignore, double *entropy, double *true_mass) {
  double sum = 0.0, mass = 0.0, kept = 0.0;
  for (int32_t row = 0; row < t->rows; row++) {
    if (ls_target_ignored(t, ignore, row)) continue;
    double by = t->row_weights == NULL ? 1.0 : (double)t->row_weights[row];
    kept += by;
    if (entropy != NULL) sum += by * row_entropy(t, r, row);
    if (true_mass != NULL) mass += by * ls_target_at(t, r, row, (int32_t)ls_target_label(t, row));
  }
  if (entropy != NULL) *entropy = kept > 0.0 ? sum / kept : 0.0;
  if (true_mass != NULL) *true_mass = kept > 0.0 ? mass / kept : 0.0;
}
