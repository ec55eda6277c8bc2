/* The table of penalties, and the driver over rows. SPDX-License-Identifier: MIT
 *
 * Rows are cut into at most 64 blocks, by the shape alone; each block has buffers of one row in double, or of a group (groups.c). Values of rows go to the scratch and
 * are summed in the order of rows, so that results are the same bits with any number of threads. */
#include "core/loss/penalties/driver.h"

#include <lsengine/pool.h>
#include <string.h>

#include "core/loss/rows.h"
#include "core/loss/target_row.h"

const ls_penalty *const ls_penalties[] = {
    &ls_penalty_acls,
    &ls_penalty_backward_correction,
    &ls_penalty_bootstrap_hard,
    &ls_penalty_bootstrap_soft,
    &ls_penalty_cals,
    &ls_penalty_confidence_penalty,
    &ls_penalty_entropy_regularisation,
    &ls_penalty_focal,
    &ls_penalty_focal_adaptive,
    &ls_penalty_forward_correction,
    &ls_penalty_generalised_cross_entropy,
    &ls_penalty_generalised_smoothing,
    &ls_penalty_label_relaxation,
    &ls_penalty_logit_norm,
    &ls_penalty_logit_penalty,
    &ls_penalty_margin_smoothing,
    &ls_penalty_max_sup,
    &ls_penalty_poly1,
    &ls_penalty_symmetric_cross_entropy,
    &ls_penalty_teacher_free,
    &ls_penalty_zipf,
};
const int32_t ls_penalty_count = LS_COUNT(ls_penalties);

enum { MOST_BLOCKS = 64 };

const ls_penalty *ls_penalty_find(const char *name) {
  for (int32_t i = 0; i < ls_penalty_count; i++)
    if (strcmp(ls_penalties[i]->entry.name, name) == 0) return ls_penalties[i];
  return NULL;
}

ls_status ls_penalty_check(const ls_penalty *p, const double *parameters, ls_err *err) {
  for (int32_t i = 0; i < p->entry.parameter_count; i++) {
    const ls_parameter *s = &p->entry.parameters[i];
    if (strcmp(s->type, "matrix") == 0) continue; /* parameters may be NULL where there is nothing else */
    double x = parameters[i];
    if (!isfinite(x) || x < s->minimum || x > s->maximum || (s->above_minimum && x == s->minimum) || (s->below_maximum && x == s->maximum))
      return ls_fail(err, LS_ERANGE, "%s is %g, allowed is %s %g to %s %g", s->name, x, s->above_minimum ? "above" : "from", s->minimum,
                     s->below_maximum ? "below" : "at most", s->maximum);
  }
  return LS_OK;
}

size_t ls_penalty_prepare_scratch(const ls_penalty *p, int32_t classes) {
  return p->data == LS_PENALTY_INVERSE ? ls_transition_invert_scratch(classes) : 0;
}

ls_status ls_penalty_prepare(const ls_penalty *p, ls_cmat t, ls_mat out, void *scratch, ls_err *err) {
  ls_status status = ls_transition_check(t, err);
  if (status != LS_OK) return status;
  if (out.rows != t.rows || out.cols != t.cols)
    return ls_fail(err, LS_ESHAPE, "the transition matrix is %dx%d but the output is %dx%d", t.rows, t.cols, out.rows, out.cols);
  if (p->data == LS_PENALTY_INVERSE) return ls_transition_invert(t, out, scratch, err);
  ls_transition_transpose(t, out);
  return LS_OK;
}

void ls_log1p(int32_t n, const double *x, double *to) { ls_kernels_now()->evaluation->log1p((size_t)n, x, to); }

void ls_expm1(int32_t n, const double *x, double *to) { ls_kernels_now()->evaluation->expm1((size_t)n, x, to); }

void ls_exponentials(int32_t n, double *x) { ls_kernels_now()->evaluation->exp((size_t)n, x); }

double ls_sum(int32_t n, const double *x) {
  double sum[4] = {0.0};
  int32_t k = 0;
  for (; n - k >= 4; k += 4)
    for (int32_t l = 0; l < 4; l++) sum[l] += x[k + l];
  for (; k < n; k++) sum[0] += x[k];
  return (sum[0] + sum[2]) + (sum[1] + sum[3]);
}

double ls_log_odds_against(const ls_penalty_row *r, int32_t y) {
  double max = -INFINITY, sum = 0.0;
  if (y != r->top) return log(1.0 + r->rest - r->p[y] * (1.0 + r->rest)) + (r->max - r->z[y]); /* the top alone gives 1 */
  if (r->rest > 1e-250) return log(r->rest);
  for (int32_t k = 0; k < r->classes; k++)
    if (k != y && r->z[k] > max) max = r->z[k];
  if (max == -INFINITY) return -INFINITY;
  for (int32_t k = 0; k < r->classes; k++)
    if (k != y) sum += exp(r->z[k] - max);
  return max + log(sum) - r->z[y];
}

double ls_penalty_by_logs(const double *parameters, double log_p, double log_rest, ls_penalty_label_fn *label, double *slope) {
  double p = exp(log_p), rest = exp(log_rest), value;
  label(parameters, &(ls_penalty_labels){1, &p, &rest, &log_p, &log_rest, &value, slope});
  return value;
}

double ls_penalty_of_label(const ls_penalty_row *r, ls_penalty_label_fn *label) {
  double slope, odds = ls_log_odds_against(r, r->label), log_rest = -ls_softplus(-odds), value = ls_penalty_by_logs(r->parameters, -ls_softplus(odds), log_rest, label, &slope);
  for (int32_t k = 0; k < r->classes && r->gradient != NULL; k++) r->gradient[k] = slope * (k == r->label ? -exp(log_rest) : r->p[k]);
  return value;
}

/* What rows ask of a softmax: p holds exp(z_k - max), max, top and rest are there. False for NaN, +inf, and nothing but -inf. */
static bool complete(ls_penalty_row *r, double *p) {
  int32_t left = 0, n = r->classes;
  if (!isfinite(r->max) || !isfinite(r->rest)) return false;
  double scale = 1.0 / (1.0 + r->rest);
  for (int32_t k = 0; k < n; k++) left += r->z[k] != -INFINITY;
  for (int32_t k = 0; k < n; k++) p[k] *= scale;
  r->log_sum = r->rest > 0.5 ? log(1.0 + r->rest) : log1p(r->rest);
  r->left = left;
  r->p = p;
  return true;
}

double ls_penalty_value(const ls_penalty *p, int32_t classes, const double *z, const double *q, int32_t label, const double *parameters,
                        const float *values, ls_cmat matrix, double *buffer, double *gradient) {
  double cross_entropy = 0.0, mass = 0.0;
  ls_penalty_row r = {.classes = classes, .label = label, .z = z, .q = q, .parameters = parameters, .values = values, .matrix = matrix,
                      .work = buffer + classes, .max = -INFINITY, .gradient = gradient};
  for (int32_t k = 0; k < classes; k++)
    if (z[k] > r.max) r.max = z[r.top = k];
  for (int32_t k = 0; k < classes; k++) {
    buffer[k] = exp(z[k] - r.max);
    r.rest += k == r.top ? 0.0 : buffer[k];
  }
  if (!complete(&r, buffer)) return NAN;
  for (int32_t k = 0; k < classes && gradient != NULL; k++) gradient[k] = 0.0;
  double value = p->row(&r);
  if (!p->adds) return value;
  for (int32_t k = 0; k < classes; k++) {
    if (q[k] != 0.0) cross_entropy -= q[k] * ls_log_p(&r, k);
    mass += q[k];
  }
  for (int32_t k = 0; k < classes && gradient != NULL; k++) gradient[k] += mass * r.p[k] - q[k];
  return cross_entropy + value;
}

static int32_t block_height(int32_t rows, int32_t cols) {
  int32_t height = ls_rows_a_block(cols), least = rows / MOST_BLOCKS + (rows % MOST_BLOCKS != 0);
  return height > least ? height : least;
}

static size_t block_count(int32_t rows, int32_t cols) {
  size_t height = (size_t)block_height(rows, cols);
  return rows == 0 ? 0 : ((size_t)rows + height - 1) / height;
}

static size_t buffer_of(const ls_penalty *p, int32_t classes) {
  size_t doubles = (size_t)classes * (size_t)(3 + (p->target != LS_PENALTY_FREE) + p->works) + 7, row = (size_t)(classes / 2) + 32; /* a sweep's floats, from a line's start */
  size_t group = ls_penalty_group_buffer(p, classes), own = doubles > row ? doubles : row;
  return group > own ? group : own;
}

bool ls_penalty_read_target(const ls_penalty_job *j, int32_t row, double *q) {
  const float *z = j->z.data + row * j->z.stride;
  int32_t n = j->z.cols;
  if (j->one_hot) {
    int64_t y = j->target->term[0].labels[row];
    for (int32_t k = 0; k < n; k++) q[k] = 0.0;
    q[y] = 1.0;
    return z[y] != -INFINITY;
  }
  ls_target_row m = ls_target_row_of(j->z, j->target, &j->resolved, row);
  for (int32_t k = 0; k < n; k++) {
    double soft, whole = ls_target_row_at(j->target, &j->resolved, &m, row, k, &soft);
    if (z[k] == -INFINITY && whole - soft != 0.0) return false;
    q[k] = z[k] == -INFINITY ? 0.0 : whole;
  }
  return true;
}

static void penalty_row(const ls_penalty_job *j, int32_t row, double *buffer) {
  const ls_penalty *p = j->penalty;
  int32_t n = j->z.cols;
  double *z = buffer, *probability = z + n, *gradient = probability + (n + 7) / 8 * 8, *rest = gradient + n;
  float *grad = j->grad == NULL ? NULL : j->grad->data + row * j->grad->stride;
  ls_penalty_row r = {.classes = n, .label = j->one_hot ? (int32_t)j->target->term[0].labels[row] : -1, .z = z,
                      .parameters = j->options->parameters, .values = j->options->values, .matrix = j->options->matrix,
                      .gradient = grad == NULL ? NULL : gradient};
  const float *logits = j->z.data + row * j->z.stride;
  for (int32_t k = 0; k < n; k++) z[k] = (double)logits[k];
  ls_judged_row judged;
  j->kernels->evaluation->judge_long(n, logits, 1.0, probability, &judged);
  r.max = (double)judged.largest;
  r.top = judged.best;
  r.rest = judged.rest;
  j->value[row] = NAN;
  if (!complete(&r, probability)) return;
  if (p->target != LS_PENALTY_FREE) {
    r.q = rest;
    if (!ls_penalty_read_target(j, row, rest)) return;
    rest += n;
  }
  if (p->works > 0) r.work = rest;
  for (int32_t k = 0; k < n && grad != NULL; k++) gradient[k] = 0.0;
  j->value[row] = p->row(&r);
  if (j->by_label) j->cross[row] = p->adds ? ls_softplus(ls_log_odds_against(&r, r.label)) : 0.0;
  double scale = j->weight[row] / j->denominator;
  if (grad == NULL) return;
  for (int32_t k = 0; k < n && j->by_label && p->adds; k++) gradient[k] += r.p[k] - r.q[k];
  if (p->adds && !j->by_label)
    for (int32_t k = 0; k < n; k++) grad[k] = (float)((double)grad[k] + scale * gradient[k]);
  else
    for (int32_t k = 0; k < n; k++) grad[k] = (float)(scale * gradient[k]);
}

/* Without the label, whose e is 0 by now: taken off the whole sum it would leave little but rounding where it is nearly all of it. */
static double rest_of(int32_t n, const float *e) {
  double sum[4] = {0.0};
  int32_t k = 0;
  for (; n - k >= 4; k += 4)
    for (int32_t l = 0; l < 4; l++) sum[l] += (double)e[k + l];
  for (; k < n; k++) sum[0] += (double)e[k];
  return (sum[0] + sum[2]) + (sum[1] + sum[3]);
}

/* A row by the sweep of the cross-entropy; false where it must be in double: large or masked logits, and a label that leaves nothing or nearly all. */
static bool label_row(const ls_penalty_job *j, int32_t row, float *e, ls_softmax_line *line) {
  const ls_penalty *p = j->penalty;
  int64_t y = j->target->term[0].labels[row];
  size_t n = (size_t)j->z.cols;
  ls_softmax_sweep s = {.z = j->z.data + row * j->z.stride, .e = e, .past_cache = j->past_cache, .line = line};
  j->kernels->softmax->sweep(n, &s);
  if (!s.near || !isfinite(s.sum) || !isfinite(s.shifted)) return false;
  double own = (double)e[y], slope;
  e[y] = 0.0f;
  double rest = s.sum - own < 0.25 * s.sum ? rest_of(j->z.cols, e) : s.sum - own;
  if (!(rest > 1e-30 * own && own > 1e-30 * rest)) return false;
  double log_p = -log1p(rest / own), log_rest = -log1p(own / rest), scale = j->weight[row] / j->denominator;
  j->value[row] = ls_penalty_by_logs(j->options->parameters, log_p, log_rest, p->label, &slope);
  j->cross[row] = p->adds ? -log_p : 0.0;
  if (j->grad == NULL) return true;
  scale *= (slope + (p->adds ? 1.0 : 0.0)) / (own + rest);
  e[y] = (float)-rest; /* p_y - 1 */
  s.scale = (float)scale;
  s.grad = j->grad->data + row * j->grad->stride;
  s.z = NULL;
  j->kernels->softmax->sweep(n, &s);
  return true;
}

/* line: what rows one after another share, or NULL. */
static void one_row(const ls_penalty_job *j, int32_t row, double *buffer, ls_softmax_line *line) {
  if (ls_penalty_counts(j, row)) {
    if (!j->by_label || !label_row(j, row, (float *)(((uintptr_t)buffer + 63) / 64 * 64), line)) penalty_row(j, row, buffer);
    return;
  }
  j->value[row] = 0.0;
  if (j->by_label) j->cross[row] = 0.0;
  for (int32_t k = 0; k < j->z.cols && j->grad != NULL; k++) j->grad->data[row * j->grad->stride + k] = 0.0f;
}

void ls_penalty_one_row(const ls_penalty_job *j, int32_t row, double *buffer) { one_row(j, row, buffer, NULL); }

static void penalty_block(void *argument, size_t block) {
  const ls_penalty_job *j = argument;
  ls_softmax_line line = {.count = 0};
  int32_t n = j->z.cols, height = block_height(j->z.rows, n), row = (int32_t)block * height;
  int32_t end = j->z.rows - row < height ? j->z.rows : row + height;
  double *buffer = j->buffers + block * j->buffer;
  if (ls_penalty_labels_fit(j)) {
    ls_penalty_by_labels(j, row, end, buffer);
  } else if (j->penalty->form != LS_FORM_NONE) {
    ls_penalty_by_form(j, row, end, buffer);
  } else {
    for (; row < end; row++) one_row(j, row, buffer, &line);
  }
  if (j->by_label && j->past_cache) j->kernels->softmax->finish(&line);
}

static ls_status check(const ls_penalty *p, ls_cmat z, const ls_target *t, const ls_penalty_options *o, const ls_mat *grad, ls_err *err) {
  if (z.cols < 1) return ls_fail(err, LS_ESHAPE, "logits have no class");
  if (t->rows != z.rows) return ls_fail(err, LS_ESHAPE, "targets have %d rows but logits have %d", t->rows, z.rows);
  if (grad != NULL && (grad->rows != z.rows || grad->cols != z.cols))
    return ls_fail(err, LS_ESHAPE, "the gradient is %dx%d but logits are %dx%d", grad->rows, grad->cols, z.rows, z.cols);
  if (p->data >= LS_PENALTY_TRANSITION && (o->matrix.rows != z.cols || o->matrix.cols != z.cols))
    return ls_fail(err, LS_ESHAPE, "the transition matrix is for %d classes but logits have %d", o->matrix.rows, z.cols);
  for (int32_t k = 0; k < z.cols && p->data == LS_PENALTY_CLASSES && o->values != NULL; k++)
    if (!(o->values[k] >= 0.0f) || isinf(o->values[k]))
      return ls_fail(err, LS_ERANGE, "the multiplier of class %d is %g, allowed is any finite number from 0", k, (double)o->values[k]);
  ls_status status = ls_penalty_check(p, o->parameters, err);
  return status != LS_OK ? status : ls_class_weights_check(o->class_weights, z.cols, err);
}

size_t ls_penalty_scratch(const ls_penalty *p, const ls_target *t, int32_t rows, int32_t classes) {
  size_t own = (p->label != NULL ? 3 : 2) * (size_t)rows * sizeof(double) + block_count(rows, classes) * buffer_of(p, classes) * sizeof(double);
  size_t target = ls_target_scratch(t, classes), shared = p->adds ? ls_cross_entropy_scratch(t, rows, classes) : 0;
  return own + (target > shared ? target : shared);
}

static bool is_one_hot(const ls_target *t) {
  bool softened = t->spread != NULL;
  for (int32_t i = 0; i < t->softenings; i++) softened |= t->softening[i].epsilon != 0.0;
  return t->terms == 1 && t->term[0].weights == NULL && t->term[0].weight == 1.0 && !softened;
}

/* Value and gradient of the cross-entropy that the penalty is added to. */
static ls_status add_to(ls_cmat z, const ls_target *t, const ls_penalty_options *o, void *scratch, ls_penalty_result *result,
                        const ls_mat *grad, float *rows, ls_err *err) {
  ls_cross_entropy_options plain = {.class_weights = o->class_weights, .ignore = o->ignore, .reduction = o->reduction};
  ls_cross_entropy_result base;
  ls_status status = ls_cross_entropy(z, t, &plain, scratch, &base, grad, rows, err);
  if (status == LS_OK) result->cross_entropy = base.value;
  return status;
}

/* Weights of rows, -1 of those that are ignored, and the sums over them. */
static void weigh_rows(const ls_penalty_job *j, ls_penalty_result *sum) {
  const ls_target *t = j->target;
  const ls_penalty_options *o = j->options;
  bool plain = o->class_weights == NULL && t->row_weights == NULL && !o->ignore.active;
  for (int32_t i = 0; i < t->rows; i++) {
    bool ignored = !plain && ls_target_ignored(t, o->ignore, i);
    j->weight[i] = plain ? 1.0 : ignored ? -1.0 : ls_target_row_weight(t, o->class_weights, i);
    sum->ignored += ignored;
    sum->kept += !ignored;
    sum->weight += ignored ? 0.0 : j->weight[i];
  }
}

ls_status ls_penalty_loss(const ls_penalty *p, ls_cmat z, const ls_target *t, const ls_penalty_options *o, void *scratch,
                          ls_penalty_result *result, const ls_mat *grad, float *rows, ls_err *err) {
  ls_penalty_job j = {.kernels = ls_kernels_now(), .penalty = p, .z = z, .target = t, .options = o, .grad = grad, .buffer = buffer_of(p, z.cols)};
  ls_penalty_result sum = {0};
  ls_status status = check(p, z, t, o, grad, err);
  if (status != LS_OK) return status;
  j.value = scratch;
  j.weight = j.value + z.rows;
  j.cross = j.weight + z.rows;
  j.buffers = j.cross + (p->label != NULL ? z.rows : 0);
  j.one_hot = is_one_hot(t);
  j.by_label = j.one_hot && p->label != NULL;
  j.past_cache = (size_t)z.rows * (size_t)z.cols * sizeof(float) > LS_PAST_CACHE;
  void *rest = j.buffers + block_count(z.rows, z.cols) * j.buffer;
  if (p->adds && !j.by_label) status = add_to(z, t, o, rest, &sum, grad, rows, err);
  if (status == LS_OK) status = ls_target_resolve(t, z.cols, o->ignore, rest, &j.resolved, err);
  if (status != LS_OK) return status;
  if (p->target == LS_PENALTY_LABEL && !j.one_hot && !(p->soft_when > 0 && o->parameters[p->soft_when - 1] != 0.0))
    return ls_fail(err, LS_ERANGE, "one label for each row is required, the target is softened or mixed: %s", p->refusal);

  weigh_rows(&j, &sum);
  j.denominator = o->reduction == LS_LOSS_MEAN ? sum.weight : o->reduction == LS_LOSS_ROWS ? sum.kept : 1.0;
  ls_parallel(LS_SITE_PENALTY, block_count(z.rows, z.cols), penalty_block, &j);

  for (int32_t i = 0; i < z.rows; i++) {
    double own = j.weight[i] > 0.0 ? j.weight[i] * j.value[i] : 0.0;
    if (!isfinite(j.value[i])) {
      status = ls_target_row_diagnose(z, t, &j.resolved, i, err);
      return status != LS_OK ? status : ls_fail(err, LS_EVALUE, "row %d: %s", i + 1, p->trouble != NULL ? p->trouble : "the loss is not finite");
    }
    double cross = j.by_label && j.weight[i] > 0.0 ? j.weight[i] * j.cross[i] : 0.0;
    sum.value += own;
    sum.cross_entropy += cross;
    if (rows != NULL) rows[i] = p->adds && !j.by_label ? (float)((double)rows[i] + own) : (float)(own + cross);
  }
  if (j.denominator > 0.0) sum.value /= j.denominator;
  if (j.denominator > 0.0 && j.by_label) sum.cross_entropy /= j.denominator;
  sum.value += sum.cross_entropy;
  *result = sum;
  return LS_OK;
}
