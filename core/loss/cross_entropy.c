/* Cross-entropy of logits and any target, fused with its gradient. SPDX-License-Identifier: MIT
 *
 * A row takes three sweeps over cached memory: maximum; exponentials (written where the gradient goes) with their sum and
 * the sum of shifted logits; scaling. With M the row's mass and everything shifted by the maximum,
 *   loss = M log sum_k e^(z_k) - sum_k q_k z_k,   d loss / d z_k = M p_k - q_k,
 * where q is a few labels, a constant, and maybe a shared vector, so that no target matrix is read or made.
 * Rows whose sums are not finite (masked classes, huge logits) and rows under PyTorch's weighting go through a careful path
 * in double that asks the target for every class. A row that cannot be computed leaves NaN in the scratch; the first such row
 * is then named by looking at it again. */
#include <lsengine/loss.h>
#include <lsengine/pool.h>

#include "core/kernels/kernels.h"
#include "core/loss/rows.h"
#include "core/loss/target_row.h"

#include <math.h>

typedef struct row_result {
  double loss, soft, weight; /* unweighted loss and its soft part; W_i (0 for an ignored row) */
} row_result;

typedef struct cross_entropy_job {
  const ls_kernels *kernels;
  ls_cmat z;
  const ls_target *target;
  const ls_cross_entropy_options *options;
  ls_resolved resolved;
  row_result *results;
  const ls_mat *grad;
  double denominator;
} cross_entropy_job;

/* sum_k v_k (z_k - shift), in double: v may be small beside the offset of the logits. */
static double shifted_dot(int32_t n, const float *v, const float *z, float shift) {
  double sum = 0.0;
  for (int32_t k = 0; k < n; k++) sum += (double)v[k] * (double)(z[k] - shift);
  return sum;
}

static void careful_row(const cross_entropy_job *j, int32_t row, row_result *out, float *grad, double scale) {
  const float *z = j->z.data + row * j->z.stride, *w = j->options->pytorch_weighting ? j->options->class_weights : NULL;
  int32_t n = j->z.cols;
  double max = -INFINITY, sum = 0.0, loss = 0.0, soft_loss = 0.0, mass = 0.0;
  ls_target_row m = ls_target_row_of(j->z, j->target, &j->resolved, row);
  for (int32_t k = 0; k < n; k++) max = (double)z[k] > max ? (double)z[k] : max;
  for (int32_t k = 0; k < n; k++) sum += exp((double)z[k] - max);
  double log_sum = log(sum);
  for (int32_t k = 0; k < n; k++) {
    double soft, q = ls_target_row_at(j->target, &j->resolved, &m, row, k, &soft), by = w == NULL ? 1.0 : (double)w[k];
    if (z[k] == -INFINITY) {
      if (q != soft) loss = NAN;
      continue;
    }
    double nll = log_sum - ((double)z[k] - max);
    if (q != 0.0) loss += by * q * nll;
    if (soft != 0.0) soft_loss += by * soft * nll;
    mass += by * q;
  }
  out->loss = loss;
  out->soft = soft_loss;
  if (grad == NULL) return;
  for (int32_t k = 0; k < n; k++) {
    double soft, by = w == NULL ? 1.0 : (double)w[k], p = exp((double)z[k] - max) / sum;
    double q = z[k] == -INFINITY ? 0.0 : ls_target_row_at(j->target, &j->resolved, &m, row, k, &soft);
    grad[k] = (float)(scale * (mass * p - by * q));
  }
}

/* The usual row. False where its sums are not finite; grad may hold anything then. */
static bool fast_row(const cross_entropy_job *j, int32_t row, row_result *out, float *grad, double scale) {
  const float *z = j->z.data + row * j->z.stride;
  const ls_target *t = j->target;
  const ls_resolved *r = &j->resolved;
  const ls_kernels *kernels = j->kernels;
  size_t n = (size_t)j->z.cols;
  float max = kernels->max(n, z);
  double shifted, hard = 0.0, soft = 0.0, mass = ls_target_mass(t, row), own = ls_target_spread(t, row), spread = mass * r->u + own * r->a;
  double logits[LS_TARGET_TERMS], sum;
  for (int32_t i = 0; i < t->terms; i++) logits[i] = (double)(z[t->term[i].labels[row]] - max);
  if (r->v != NULL) soft -= mass * shifted_dot(j->z.cols, r->v, z, max);
  if (r->mean_row != NULL) soft -= own * shifted_dot(j->z.cols, r->mean_row, z, max);
  for (int32_t i = 0; i < t->terms; i++) {
    double w = ls_term_weight(&t->term[i], row);
    hard -= r->a * w * logits[i];
    if (r->matrix != NULL) soft -= w * shifted_dot(j->z.cols, r->matrix + (size_t)t->term[i].labels[row] * n, z, max);
  }
  if (t->terms == 0) hard -= r->a * shifted_dot(j->z.cols, t->dense.data + row * t->dense.stride, z, max);
  sum = kernels->exp_sum(n, z, max, grad, &shifted);
  if (!isfinite(sum) || !isfinite(shifted)) return false;
  soft -= spread / (double)n * shifted;

  double log_sum = log(sum), hard_mass = r->a * (mass - own), soft_mass = spread + mass * r->v_sum;
  if (r->matrix != NULL) soft_mass = mass - hard_mass;
  double total = hard_mass + soft_mass;
  out->soft = soft + soft_mass * log_sum;
  out->loss = hard + hard_mass * log_sum + out->soft;
  if (grad == NULL) return true;
  kernels->scale_subtract(n, (float)(scale * total / sum), (float)(scale * spread / (double)n), grad);
  if (r->v != NULL) kernels->axpy(n, (float)(-scale * mass), r->v, grad);
  if (r->mean_row != NULL) kernels->axpy(n, (float)(-scale * own), r->mean_row, grad);
  if (t->terms == 0) kernels->axpy(n, (float)(-scale * r->a), t->dense.data + row * t->dense.stride, grad);
  for (int32_t i = 0; i < t->terms; i++) {
    double w = scale * ls_term_weight(&t->term[i], row);
    if (r->matrix != NULL) kernels->axpy(n, (float)-w, r->matrix + (size_t)t->term[i].labels[row] * n, grad);
    grad[t->term[i].labels[row]] -= (float)(r->a * w);
  }
  return true;
}

static void cross_entropy_block(void *argument, size_t block) {
  cross_entropy_job *j = argument;
  /* dense rows with a matrix need a product of each row with it, weights that bend the target a product with every class */
  bool careful = (j->options->pytorch_weighting && j->options->class_weights != NULL) ||
                 (j->target->terms == 0 && j->resolved.matrix != NULL);
  for (ls_row_range r = ls_rows_of(block, j->z.rows, j->z.cols); r.row < r.end; r.row++) {
    row_result *out = &j->results[r.row];
    float *grad = j->grad == NULL ? NULL : j->grad->data + r.row * j->grad->stride;
    double scale = (j->options->pytorch_weighting ? 1.0 : out->weight) / j->denominator;
    if (ls_target_ignored(j->target, j->options->ignore, r.row) || !(j->denominator > 0.0)) {
      out->loss = out->soft = 0.0;
      for (int32_t k = 0; grad != NULL && k < j->z.cols; k++) grad[k] = 0.0f;
    } else if (careful || !fast_row(j, r.row, out, grad, scale)) {
      careful_row(j, r.row, out, grad, scale);
    }
  }
}

static ls_status check(ls_cmat z, const ls_target *t, const ls_cross_entropy_options *o, const ls_mat *grad, ls_err *err) {
  if (z.cols < 1) return ls_fail(err, LS_ESHAPE, "logits have no class");
  if (t->rows != z.rows) return ls_fail(err, LS_ESHAPE, "targets have %d rows but logits have %d", t->rows, z.rows);
  if (grad != NULL && (grad->rows != z.rows || grad->cols != z.cols))
    return ls_fail(err, LS_ESHAPE, "the gradient is %dx%d but logits are %dx%d", grad->rows, grad->cols, z.rows, z.cols);
  if (o->pytorch_weighting && t->row_weights != NULL)
    return ls_fail(err, LS_ERANGE, "the target weighs its rows, which PyTorch's weighting does not know: weighting = \"lsengine\" does");
  return ls_class_weights_check(o->class_weights, z.cols, err);
}

size_t ls_cross_entropy_scratch(const ls_target *t, int32_t rows, int32_t classes) {
  return (size_t)rows * sizeof(row_result) + ls_target_scratch(t, classes);
}

ls_status ls_cross_entropy(ls_cmat z, const ls_target *t, const ls_cross_entropy_options *o, void *scratch,
                           ls_cross_entropy_result *result, const ls_mat *grad, float *rows, ls_err *err) {
  cross_entropy_job j = {.kernels = ls_kernels_now(), .z = z, .target = t, .options = o, .results = scratch, .grad = grad};
  ls_cross_entropy_result sum = {0};
  ls_status status = check(z, t, o, grad, err);
  void *rest = (char *)scratch + (size_t)z.rows * sizeof(row_result);
  if (status == LS_OK) status = ls_target_resolve(t, z.cols, o->ignore, rest, &j.resolved, err);
  if (status != LS_OK) return status;

  for (int32_t i = 0; i < z.rows; i++) {
    bool ignored = ls_target_ignored(t, o->ignore, i);
    j.results[i].weight = ignored ? 0.0 : ls_target_row_weight(t, o->class_weights, i);
    if (ignored)
      sum.ignored++;
    else
      sum.kept++;
    sum.weight += o->pytorch_weighting && t->terms != 1 && !ignored ? 1.0 : j.results[i].weight;
  }
  j.denominator = o->reduction == LS_LOSS_MEAN ? sum.weight : o->reduction == LS_LOSS_ROWS ? sum.kept : 1.0;
  ls_parallel(LS_SITE_CROSS_ENTROPY, ls_row_blocks(z.rows, z.cols), cross_entropy_block, &j);

  for (int32_t i = 0; i < z.rows; i++) {
    const row_result *r = &j.results[i];
    double weight = o->pytorch_weighting ? 1.0 : r->weight;
    if (!isfinite(r->loss)) {
      status = ls_target_row_diagnose(z, t, &j.resolved, i, err);
      return status != LS_OK ? status : ls_fail(err, LS_EVALUE, "row %d has no finite loss", i + 1);
    }
    sum.value += weight * r->loss;
    sum.soft += weight * r->soft;
    if (rows != NULL) rows[i] = (float)(weight * r->loss);
  }
  if (j.denominator > 0.0) {
    sum.value /= j.denominator;
    sum.soft /= j.denominator;
  }
  sum.hard = sum.value - sum.soft;
  *result = sum;
  return LS_OK;
}
