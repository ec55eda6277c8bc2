/* A row's target among masked classes. SPDX-License-Identifier: MIT */
#include "core/loss/target_row.h"

#include <lsengine/loss.h>

#include <math.h>

static double class_weight(const ls_target *t, const float *w, int32_t row) {
  double sum = 0.0;
  if (w == NULL) return 1.0;
  for (int32_t i = 0; i < t->origins; i++) sum += ls_term_weight(&t->origin[i], row) * (double)w[t->origin[i].labels[row]];
  if (t->origins > 0) return sum;
  if (t->terms == 0) {
    const float *q = t->dense.data + row * t->dense.stride;
    for (int32_t k = 0; k < t->dense.cols; k++) sum += (double)q[k] * (double)w[k];
  }
  double labelled = 0.0;
  for (int32_t i = 0; i < t->terms; i++) {
    labelled += ls_term_weight(&t->term[i], row);
    sum += ls_term_weight(&t->term[i], row) * (double)w[t->term[i].labels[row]];
  }
  if (t->spread == NULL || t->terms == 0) return sum;
  return labelled > 0.0 ? sum / labelled : (double)w[t->term[0].labels[row]]; /* uniform mass has no weight of its own */
}

double ls_target_row_weight(const ls_target *t, const float *w, int32_t row) {
  return class_weight(t, w, row) * (t->row_weights == NULL ? 1.0 : (double)t->row_weights[row]);
}

ls_status ls_class_weights_check(const float *w, int32_t classes, ls_err *err) {
  for (int32_t k = 0; k < classes && w != NULL; k++)
    if (!(w[k] >= 0.0f) || isinf(w[k]))
      return ls_fail(err, LS_ERANGE, "the weight of class %d is %g, allowed is any finite number from 0", k, (double)w[k]);
  return LS_OK;
}

ls_status ls_row_weights(const ls_target *t, const float *class_weights, int32_t classes, ls_ignore ignore, void *scratch, float *out, int32_t *kept, ls_err *err) {
  ls_resolved resolved;
  ls_status status = ls_class_weights_check(class_weights, classes, err);
  if (status == LS_OK) status = ls_target_resolve(t, classes, ignore, scratch, &resolved, err);
  if (status != LS_OK) return status;
  *kept = 0;
  for (int32_t i = 0; i < t->rows; i++) {
    bool ignored = ls_target_ignored(t, ignore, i);
    out[i] = ignored ? 0.0f : (float)ls_target_row_weight(t, class_weights, i);
    *kept += !ignored;
  }
  return LS_OK;
}

/* Mass of the classes that are not masked under a distribution given as floats. */
static double mass_left(const ls_cmat *z, int32_t row, const float *v) {
  double left = 0.0;
  for (int32_t k = 0; k < z->cols; k++)
    if (z->data[row * z->stride + k] != -INFINITY) left += v == NULL ? 1.0 : (double)v[k];
  return left;
}

/* Share of a vector's whole mass to what is left of it. */
static double moved(const ls_cmat *z, int32_t row, const float *v) {
  double left = mass_left(z, row, v), all = 0.0;
  for (int32_t k = 0; k < z->cols; k++) all += (double)v[k];
  return left > 0.0 ? all / left : all > 0.0 ? (double)INFINITY : 0.0;
}

ls_target_row ls_target_row_of(ls_cmat z, const ls_target *t, const ls_resolved *r, int32_t row) {
  ls_target_row m = {.classes_left = mass_left(&z, row, NULL), .mass = ls_target_mass(t, row)};
  if (r->v != NULL) m.v_factor = moved(&z, row, r->v);
  if (r->mean_row != NULL) m.mean_factor = moved(&z, row, r->mean_row);
  for (int32_t i = 0; i < t->terms && r->matrix != NULL; i++)
    m.matrix_factor[i] = moved(&z, row, r->matrix + (size_t)t->term[i].labels[row] * (size_t)r->classes);
  return m;
}

double ls_target_row_at(const ls_target *t, const ls_resolved *r, const ls_target_row *m, int32_t row, int32_t k, double *soft) {
  double hard = 0.0, own = ls_target_spread(t, row), spread = (m->mass * r->u + own * r->a) / m->classes_left;
  if (r->mean_row != NULL) spread += own * m->mean_factor * (double)r->mean_row[k];
  if (r->v != NULL) spread += m->mass * m->v_factor * (double)r->v[k];
  for (int32_t i = 0; i < t->terms; i++) {
    int64_t y = t->term[i].labels[row];
    double w = ls_term_weight(&t->term[i], row);
    if (y == k) hard += r->a * w;
    if (r->matrix != NULL) spread += w * m->matrix_factor[i] * (double)r->matrix[(size_t)y * (size_t)r->classes + (size_t)k];
  }
  if (t->terms == 0) {
    const float *q = t->dense.data + row * t->dense.stride;
    hard = r->a * (double)q[k];
    for (int32_t i = 0; i < r->classes && r->matrix != NULL; i++) /* mass on masked classes stays an error here */
      spread += (double)q[i] * (double)r->matrix[(size_t)i * (size_t)r->classes + (size_t)k];
  }
  *soft = spread;
  return hard + spread;
}

ls_status ls_target_row_diagnose(ls_cmat z, const ls_target *t, const ls_resolved *r, int32_t row, ls_err *err) {
  const float *logits = z.data + row * z.stride;
  ls_status dense = t->terms == 0 ? ls_target_check_dense_row(t, row, err) : LS_OK;
  if (dense != LS_OK) return dense;
  for (int32_t k = 0; k < z.cols; k++)
    if (isnan(logits[k]) || logits[k] == INFINITY)
      return ls_fail(err, LS_EVALUE, "logits[%d] is %s for class %d", row + 1, isnan(logits[k]) ? "NaN" : "+inf", k);
  ls_target_row m = ls_target_row_of(z, t, r, row);
  if (m.classes_left == 0.0) return ls_fail(err, LS_EVALUE, "logits[%d] is -inf for every class", row + 1);
  for (int32_t k = 0; k < z.cols; k++) {
    double soft, q = ls_target_row_at(t, r, &m, row, k, &soft);
    if (logits[k] == -INFINITY && q - soft != 0.0)
      return ls_fail(err, LS_ERANGE, "row %d of the target has mass on class %d, which is masked (its logit is -inf)", row + 1, k);
    if (logits[k] != -INFINITY && isnan(q))
      return ls_fail(err, LS_EVALUE, "row %d: no class is left for the mass of the prior or matrix", row + 1);
  }
  return LS_OK;
}
