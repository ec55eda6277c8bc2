/* Cross-entropy of logits and any target, fused with its gradient. SPDX-License-Identifier: MIT
 *
 * With M the row's mass and everything shifted by the maximum where logits are large,
 *   loss = M log sum_k e^(z_k) - sum_k q_k z_k,   d loss / d z_k = M p_k - q_k,
 * where q is a few labels, a constant, and maybe a shared vector, so that no target matrix is read or made.
 * Rows whose sums are not finite (masked classes, huge logits) and rows under PyTorch's weighting go through a careful path
 * in double that asks the target for every class. Blocks of rows add up their losses in order, and the blocks are added in order. A row that
 * cannot be computed is noted; the first one is then named by looking at it again. */
#include <lsengine/loss.h>
#include <lsengine/pool.h>

#include "core/kernels/kernels.h"
#include "core/loss/rows.h"
#include "core/loss/target_row.h"

#include <math.h>
#include <string.h>

typedef struct row_result {
  double loss, soft; /* unweighted loss and its soft part */
} row_result;

/* Of a block's rows: weighted sums, and the first row without a finite loss, or -1. */
typedef struct block_result {
  double loss, soft;
  int32_t bad;
} block_result;

typedef struct cross_entropy_job {
  const ls_kernels *kernels;
  ls_cmat z;
  const ls_target *target;
  const ls_cross_entropy_options *options;
  ls_resolved resolved, swept; /* swept: what rows without masked classes make of it: a shared v holds u, too */
  block_result *results;
  double *weights; /* W_i, 0 for an ignored row; NULL: all 1 */
  const ls_mat *grad;
  float *rows;
  double denominator;
  float *buffers; /* (threads, width) */
  size_t width;
  bool past_cache, plain; /* plain: no row is ignored, and rows weigh 1 */
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

/* What a row's target adds beside its labels, in the terms of ls_softmax_sweep's sums. */
typedef struct row_target {
  double mass, own, spread; /* M; the row's own uniform mass; uniform mass in all */
} row_target;

static row_target target_of(const cross_entropy_job *j, int32_t row, const ls_softmax_sweep *s) {
  row_target q = {.mass = s->dense ? s->mass : ls_target_mass(j->target, row), .own = ls_target_spread(j->target, row)};
  q.spread = q.mass * j->swept.u + q.own * j->swept.a;
  return q;
}

/* The loss of a row whose sums the sweep has taken; false where they are not finite. */
static bool row_loss(const cross_entropy_job *j, int32_t row, const row_target *q, const ls_softmax_sweep *s, row_result *out) {
  const float *z = j->z.data + row * j->z.stride;
  const ls_target *t = j->target;
  const ls_resolved *r = &j->swept;
  size_t n = (size_t)j->z.cols;
  double hard = 0.0, soft = 0.0, hard_mass = r->a * (q->mass - q->own), soft_mass = q->spread + q->mass * r->v_sum;
  if (!isfinite(s->sum) || !isfinite(s->shifted) || !isfinite(s->along)) return false;
  if (t->terms == 0) hard = -r->a * (r->v == NULL ? s->along : shifted_dot(j->z.cols, t->dense.data + row * t->dense.stride, z, s->shift));
  if (r->v != NULL) soft = -q->mass * s->along;
  if (r->mean_row != NULL) soft -= q->own * shifted_dot(j->z.cols, r->mean_row, z, s->shift);
  for (int32_t i = 0; i < t->terms; i++) {
    size_t y = (size_t)t->term[i].labels[row];
    double w = ls_term_weight(&t->term[i], row);
    hard -= r->a * w * (double)(z[y] - s->shift);
    if (r->matrix != NULL) soft -= w * shifted_dot(j->z.cols, r->matrix + y * n, z, s->shift);
  }
  soft -= q->spread / (double)n * s->shifted;
  if (r->matrix != NULL) soft_mass = q->mass - hard_mass;
  double log_sum = log(s->sum);
  out->soft = soft + soft_mass * log_sum;
  out->loss = hard + hard_mass * log_sum + out->soft;
  return true;
}

/* Makes the next sweep write this row's gradient: scale (M e / sum - spread/n - v's part), the labels' part taken off e beforehand. */
static void row_gradient(const cross_entropy_job *j, int32_t row, const row_target *q, ls_softmax_sweep *s, double scale) {
  const ls_target *t = j->target;
  const ls_resolved *r = &j->swept;
  double total = r->a * (q->mass - q->own) + q->spread + q->mass * r->v_sum;
  if (r->matrix != NULL) total = q->mass;
  s->grad = j->grad->data + row * j->grad->stride;
  s->scale = (float)(scale * total / s->sum);
  s->offset = (float)(scale * q->spread / (double)j->z.cols);
  s->grad_v = s->v;
  s->v_scale = (float)(scale * (r->v != NULL ? q->mass : r->a));
  for (int32_t i = 0; i < t->terms; i++) s->e[t->term[i].labels[row]] -= (float)(r->a * ls_term_weight(&t->term[i], row) * s->sum / total);
}

/* What a sweep has no place for: dense rows beside a prior, and matrices. After the row's gradient is written. */
static void row_additions(const cross_entropy_job *j, int32_t row, double scale, float *grad) {
  const ls_target *t = j->target;
  const ls_resolved *r = &j->swept;
  size_t n = (size_t)j->z.cols;
  if (t->terms == 0 && r->v != NULL) j->kernels->axpy(n, (float)(-scale * r->a), t->dense.data + row * t->dense.stride, grad);
  if (r->mean_row != NULL) j->kernels->axpy(n, (float)(-scale * ls_target_spread(t, row)), r->mean_row, grad);
  for (int32_t i = 0; i < t->terms && r->matrix != NULL; i++)
    j->kernels->axpy(n, (float)(-scale * ls_term_weight(&t->term[i], row)), r->matrix + (size_t)t->term[i].labels[row] * n, grad);
}

/* What a row's loss counts for in the value. */
static double weight_of(const cross_entropy_job *j, int32_t row) {
  return j->weights == NULL || j->options->pytorch_weighting ? 1.0 : j->weights[row];
}

static double scale_of(const cross_entropy_job *j, int32_t row) { return weight_of(j, row) / j->denominator; }

static float *grad_of(const cross_entropy_job *j, int32_t row) { return j->grad == NULL ? NULL : j->grad->data + row * j->grad->stride; }

static void finish_row(const cross_entropy_job *j, int32_t row, const row_result *r, block_result *out) {
  double weight = weight_of(j, row), loss = weight * r->loss;
  if (!isfinite(r->loss) && out->bad < 0) out->bad = row;
  out->loss += loss;
  out->soft += weight * r->soft;
  if (j->rows != NULL) j->rows[row] = (float)loss;
}

/* From `row` on, the first that is not ignored; ignored ones are finished on the way. */
static int32_t next_row(const cross_entropy_job *j, int32_t row, int32_t end) {
  if (j->plain) return row;
  for (; row < end; row++) {
    if (!ls_target_ignored(j->target, j->options->ignore, row) && j->denominator > 0.0) break;
    if (j->rows != NULL) j->rows[row] = 0.0f;
    if (j->grad != NULL) memset(grad_of(j, row), 0, (size_t)j->z.cols * sizeof(float));
  }
  return row;
}

/* Exponentials and sums of s->z, shifted where it has to be. */
static void sweep_row(const cross_entropy_job *j, ls_softmax_sweep *s) {
  size_t n = (size_t)j->z.cols;
  s->shift = 0.0f;
  j->kernels->softmax->sweep(n, s);
  if (s->near) return;
  s->shift = j->kernels->max(n, s->z);
  j->kernels->softmax->far(n, s);
}

static void sweep_rows(const cross_entropy_job *j, int32_t row, int32_t end, block_result *out) {
  const ls_target *t = j->target;
  bool additions = j->swept.matrix != NULL || (t->terms == 0 && j->swept.v != NULL);
  ls_softmax_sweep s = {.e = j->buffers + (size_t)ls_pool_index() * j->width, .v = j->swept.v, .past_cache = j->past_cache && !additions};
  ls_softmax_line line = {.count = 0};
  s.line = &line;
  s.dense = t->terms == 0 && j->swept.v == NULL;
  s.spread = t->spread != NULL;
  int32_t before = row; /* whose gradient is due */
  for (row = next_row(j, row, end); row < end; row = next_row(j, row + 1, end)) {
    row_result r = {NAN, NAN};
    s.z = j->z.data + row * j->z.stride;
    if (s.dense) s.v = t->dense.data + row * t->dense.stride;
    sweep_row(j, &s);
    if (s.grad != NULL && additions) row_additions(j, before, scale_of(j, before), s.grad);
    row_target q = target_of(j, row, &s);
    s.grad = NULL;
    if (s.dense && !(s.least >= 0.0f && fabs(s.mass - 1.0) <= LS_TARGET_TOLERANCE))
      ; /* named by whoever looks at it again */
    else if (!row_loss(j, row, &q, &s, &r))
      careful_row(j, row, &r, grad_of(j, row), scale_of(j, row));
    else if (j->grad != NULL)
      row_gradient(j, row, &q, &s, scale_of(j, row));
    finish_row(j, row, &r, out);
    before = row;
  }
  s.z = NULL;
  if (s.grad != NULL) j->kernels->softmax->sweep((size_t)j->z.cols, &s);
  if (s.grad != NULL && additions) row_additions(j, before, scale_of(j, before), s.grad);
  if (s.past_cache) j->kernels->softmax->finish(&line);
}

static bool few_classes(const cross_entropy_job *j) {
  return j->z.cols <= LS_FEW_CLASSES && j->z.stride == j->z.cols && (j->grad == NULL || j->grad->stride == j->z.cols) && j->resolved.matrix == NULL &&
         (j->target->terms > 0 || (j->resolved.v == NULL && j->target->dense.stride == j->z.cols));
}

/* After `few` has met a row that it cannot do, or `rows` are wanted: each by itself, the far ones through a sweep, so that no row's bits depend
 * on its neighbours. */
static void finish_few(const cross_entropy_job *j, const ls_softmax_few *s, int32_t row, block_result *out) {
  for (int32_t i = 0; i < s->rows; i++) {
    row_result r = {s->loss[i], s->soft[i]};
    if (!ls_softmax_is_near(j->z.cols, s->z + i * j->z.cols))
      sweep_rows(j, row + i, row + i + 1, out);
    else
      finish_row(j, row + i, &r, out);
  }
}

/* Up to LS_FEW_ROWS rows by `few`. */
static void few_group(const cross_entropy_job *j, ls_softmax_few *s, int32_t row, block_result *out) {
  j->kernels->few->few(s);
  if (!s->sound) {
    sweep_rows(j, row, row + s->rows, out);
  } else if (j->rows != NULL || !s->near || !isfinite(s->loss_sum)) {
    finish_few(j, s, row, out);
  } else {
    out->loss += s->loss_sum;
    out->soft += s->soft_sum;
  }
}

/* Rows row … end-1, none of which is ignored. */
static void few_rows(const cross_entropy_job *j, int32_t row, int32_t end, block_result *out) {
  const ls_target *t = j->target;
  ls_softmax_few s = {.n = (size_t)j->z.cols, .terms = t->terms, .a = j->swept.a, .u = j->swept.u, .scale = 1.0 / j->denominator};
  int32_t row_of[16 * LS_FEW_CLASSES];
  float v[16 * LS_FEW_CLASSES];
  for (int32_t i = 0, k = 0; i < 16; i++)
    for (int32_t c = 0; c < j->z.cols; c++, k++) {
      row_of[k] = i;
      if (j->swept.v != NULL) v[k] = j->swept.v[c];
    }
  s.row_of = row_of;
  s.e = j->buffers + (size_t)ls_pool_index() * j->width;
  s.products = s.e + j->width / 2;
  s.v = j->swept.v == NULL ? NULL : v;
  s.v_sum = j->swept.v_sum;
  s.dense = t->terms == 0;
  bool one_by_one = j->rows != NULL;
  for (; row < end; row += s.rows) {
    double loss, soft;
    s.rows = end - row;
    s.z = j->z.data + row * j->z.stride;
    s.grad = grad_of(j, row);
    for (int32_t i = 0; i < t->terms; i++) {
      s.labels[i] = t->term[i].labels + row;
      s.weights[i] = t->term[i].weights == NULL ? NULL : t->term[i].weights + row;
      s.weight[i] = t->term[i].weight;
    }
    if (s.dense) s.v = t->dense.data + row * t->dense.stride;
    s.own = t->spread == NULL ? NULL : t->spread + row;
    s.row_weights = j->weights == NULL || j->options->pytorch_weighting ? NULL : j->weights + row;
    int32_t done = one_by_one ? 0 : j->kernels->few->together(&s, &loss, &soft);
    if (done > 0 && isfinite(loss)) {
      out->loss += loss;
      out->soft += soft;
      s.rows = done;
      continue;
    }
    one_by_one |= done > 0; /* NaN is somewhere */
    if (s.rows > LS_FEW_ROWS) s.rows = LS_FEW_ROWS;
    few_group(j, &s, row, out);
  }
}

/* Rows of a block: enough for the sweeps to run into each other, by the shape alone. */
static int32_t block_height(const cross_entropy_job *j) {
  int32_t few = j->z.rows / 16, by_size = 32768 / j->z.cols;
  few = few < 1 ? 1 : few > 16 ? 16 : few;
  return by_size > few ? by_size : few;
}

/* Dense rows with a matrix need a product of each row with it, weights that bend the target a product with every class; of one
 * class loss and gradient are exactly 0. */
static bool needs_care(const cross_entropy_job *j) {
  return j->z.cols == 1 || (j->options->pytorch_weighting && j->options->class_weights != NULL) || (j->target->terms == 0 && j->resolved.matrix != NULL);
}

static void cross_entropy_block(void *argument, size_t block) {
  cross_entropy_job *j = argument;
  block_result out = {.bad = -1};
  bool careful = needs_care(j), few = few_classes(j);
  int32_t height = block_height(j), row = (int32_t)block * height, end = j->z.rows - row < height ? j->z.rows : row + height;
  if (!careful && !few) {
    sweep_rows(j, row, end, &out);
    row = end;
  }
  for (row = next_row(j, row, end); row < end; row = next_row(j, row, end)) {
    int32_t stop = j->plain ? end : row + 1;
    while (stop < end && !ls_target_ignored(j->target, j->options->ignore, stop)) stop++;
    if (!careful) few_rows(j, row, stop, &out);
    for (int32_t i = row; careful && i < stop; i++) {
      row_result r;
      careful_row(j, i, &r, grad_of(j, i), scale_of(j, i));
      finish_row(j, i, &r, &out);
    }
    row = stop;
  }
  j->results[block] = out;
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

/* Floats of a thread's buffer: whole lines of the cache, and no two threads in one. A row; or many rows of few classes, and products of as many. */
static size_t buffer_width(int32_t classes) {
  return classes <= LS_FEW_CLASSES ? ((size_t)classes * LS_FEW_ROWS + 47) / 16 * 16 * 2 : ((size_t)classes + 47) / 16 * 16;
}

size_t ls_cross_entropy_scratch(const ls_target *t, int32_t rows, int32_t classes) {
  return 64 + (size_t)ls_pool_threads() * buffer_width(classes) * sizeof(float) + (size_t)rows * (sizeof(double) + sizeof(block_result)) +
         ls_target_scratch(t, classes) + (size_t)classes * sizeof(float);
}

/* Uniform mass joins a shared vector, so that no row is summed along two. Not where classes are masked: there each keeps its own mass. */
static ls_resolved joined(ls_resolved r, float *v) {
  if (r.v == NULL) return r;
  for (int32_t k = 0; k < r.classes; k++) v[k] = (float)((double)r.v[k] + r.u / r.classes);
  r.v = v;
  r.v_sum += r.u;
  r.u = 0.0;
  return r;
}

/* Weights of rows, and the sums over them that the result tells. */
static void weigh_rows(cross_entropy_job *j, double *weights, ls_cross_entropy_result *sum) {
  const ls_target *t = j->target;
  const ls_cross_entropy_options *o = j->options;
  j->plain = o->class_weights == NULL && t->row_weights == NULL && !o->ignore.active;
  if (j->plain) {
    sum->kept = j->z.rows;
    sum->weight = (double)j->z.rows;
    return;
  }
  j->weights = weights;
  for (int32_t i = 0; i < j->z.rows; i++) {
    bool ignored = ls_target_ignored(t, o->ignore, i);
    weights[i] = ignored ? 0.0 : ls_target_row_weight(t, o->class_weights, i);
    if (ignored)
      sum->ignored++;
    else
      sum->kept++;
    sum->weight += o->pytorch_weighting && t->terms != 1 && !ignored ? 1.0 : weights[i];
  }
}

ls_status ls_cross_entropy(ls_cmat z, const ls_target *t, const ls_cross_entropy_options *o, void *scratch,
                           ls_cross_entropy_result *result, const ls_mat *grad, float *rows, ls_err *err) {
  cross_entropy_job j = {.kernels = ls_kernels_now(), .z = z, .target = t, .options = o, .grad = grad, .rows = rows, .width = buffer_width(z.cols)};
  ls_cross_entropy_result sum = {0};
  ls_status status = check(z, t, o, grad, err);
  j.buffers = (float *)(((uintptr_t)scratch + 63) / 64 * 64);
  j.results = (block_result *)(j.buffers + (size_t)ls_pool_threads() * j.width);
  j.past_cache = (size_t)z.rows * (size_t)z.cols * sizeof(float) > LS_PAST_CACHE;
  double *weights = (double *)(j.results + z.rows);
  if (status == LS_OK) status = ls_target_resolve_unread(t, z.cols, o->ignore, weights + z.rows, &j.resolved, err);
  if (status == LS_OK && t->terms == 0 && (j.resolved.v != NULL || needs_care(&j))) status = ls_target_check_dense(t, o->ignore, err);
  if (status != LS_OK) return status;

  j.swept = joined(j.resolved, (float *)((char *)(weights + z.rows) + ls_target_scratch(t, z.cols)));
  weigh_rows(&j, weights, &sum);
  j.denominator = o->reduction == LS_LOSS_MEAN ? sum.weight : o->reduction == LS_LOSS_ROWS ? sum.kept : 1.0;
  j.plain = j.plain && j.denominator > 0.0;
  int32_t height = block_height(&j);
  size_t blocks = ((size_t)z.rows + (size_t)height - 1) / (size_t)height;
  ls_parallel(LS_SITE_CROSS_ENTROPY, blocks, cross_entropy_block, &j);

  for (size_t i = 0; i < blocks; i++) {
    int32_t bad = j.results[i].bad;
    if (bad >= 0) {
      status = ls_target_row_diagnose(z, t, &j.resolved, bad, err);
      return status != LS_OK ? status : ls_fail(err, LS_EVALUE, "row %d has no finite loss", bad + 1);
    }
    sum.value += j.results[i].loss;
    sum.soft += j.results[i].soft;
  }
  if (j.denominator > 0.0) {
    sum.value /= j.denominator;
    sum.soft /= j.denominator;
  }
  sum.hard = sum.value - sum.soft;
  *result = sum;
  return LS_OK;
}
