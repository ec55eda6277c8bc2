/* Optimizer steps over blocks of weights. SPDX-License-Identifier: MIT */
#include <lsengine/nn.h>
#include <lsengine/pool.h>

#include "core/base/blas.h"
#include "core/kernels/kernels.h"

#include <math.h>

enum { BLOCK = 32768, MOST_PARTIALS = 4096 };

static ls_status check(const char *name, double value, double low, double high, const char *allowed, ls_err *err) {
  if (value >= low && value < high) return LS_OK;
  return ls_fail(err, LS_ERANGE, "%s is %g, allowed is %s", name, value, allowed);
}

ls_status ls_sgd_check(const ls_sgd_options *o, ls_err *err) {
  ls_status status = check("lr", o->lr, 0.0, (double)INFINITY, "any finite number from 0", err);
  if (status == LS_OK) status = check("momentum", o->momentum, 0.0, 1.0, "0 to below 1", err);
  if (status == LS_OK) status = check("weight_decay", o->weight_decay, 0.0, (double)INFINITY, "any finite number from 0", err);
  if (status == LS_OK && o->nesterov && o->momentum == 0.0)
    return ls_fail(err, LS_ERANGE, "nesterov is true but momentum is 0: it needs momentum above 0");
  return status;
}

ls_status ls_adam_check(const ls_adam_options *o, ls_err *err) {
  ls_status status = check("lr", o->lr, 0.0, (double)INFINITY, "any finite number from 0", err);
  if (status == LS_OK) status = check("beta1", o->beta1, 0.0, 1.0, "0 to below 1", err);
  if (status == LS_OK) status = check("beta2", o->beta2, 0.0, 1.0, "0 to below 1", err);
  if (status == LS_OK) status = check("weight_decay", o->weight_decay, 0.0, (double)INFINITY, "any finite number from 0", err);
  if (status == LS_OK && !(o->eps > 0.0 && o->eps < (double)INFINITY))
    return ls_fail(err, LS_ERANGE, "eps is %g, allowed is any finite number above 0", o->eps);
  return status;
}

typedef struct step_job {
  const ls_kernels *kernels;
  const ls_sgd_options *sgd;
  const ls_adam_options *adam;
  int64_t step;
  size_t n;
  float *w, *m, *v;
  const float *g;
  double *partial;
} step_job;

static size_t blocks_of(size_t n) { return (n + BLOCK - 1) / BLOCK; }

static void sgd_block(void *argument, size_t block) {
  const step_job *j = argument;
  size_t at = block * BLOCK, n = j->n - at < BLOCK ? j->n - at : BLOCK;
  j->kernels->sgd(n, j->w + at, j->g + at, j->m == NULL ? NULL : j->m + at, (float)j->sgd->lr, (float)j->sgd->momentum,
                  (float)j->sgd->weight_decay, j->sgd->nesterov, j->step == 1);
}

void ls_sgd_step(const ls_sgd_options *o, int64_t step, size_t n, float *w, const float *g, float *velocity) {
  step_job job = {.kernels = ls_kernels_now(), .sgd = o, .step = step, .n = n, .w = w, .g = g, .m = velocity};
  ls_parallel(LS_SITE_OPTIMIZER, blocks_of(n), sgd_block, &job);
}

static void adam_block(void *argument, size_t block) {
  const step_job *j = argument;
  const ls_adam_options *o = j->adam;
  size_t at = block * BLOCK, n = j->n - at < BLOCK ? j->n - at : BLOCK;
  double correction1 = 1.0 - pow(o->beta1, (double)j->step), correction2 = 1.0 - pow(o->beta2, (double)j->step);
  j->kernels->adam(n, j->w + at, j->g + at, j->m + at, j->v + at, (float)(o->lr / correction1), (float)(1.0 - o->beta1), (float)o->beta2,
                   (float)(1.0 - o->beta2), (float)o->eps, (float)(1.0 / sqrt(correction2)), o->decoupled ? 0.0f : (float)o->weight_decay,
                   o->decoupled ? (float)(1.0 - o->lr * o->weight_decay) : 1.0f);
}

void ls_adam_step(const ls_adam_options *o, int64_t step, size_t n, float *w, const float *g, float *m, float *v) {
  step_job job = {.kernels = ls_kernels_now(), .adam = o, .step = step, .n = n, .w = w, .g = g, .m = m, .v = v};
  ls_parallel(LS_SITE_OPTIMIZER, blocks_of(n), adam_block, &job);
}

/* ---- gradients that are products ---- */

typedef struct product_job {
  step_job step; /* of all weights */
  ls_cmat g, x;
  float *memory;
  size_t each;
  int32_t slices;
} product_job;

/* Some rows of the gradient, which are used up while they are in the second cache, as are their weights and what the optimizer keeps of them by then. */
static void slice_block(void *argument, size_t slice) {
  const product_job *p = argument;
  int32_t rows = p->g.cols, from = (int32_t)((int64_t)rows * (int64_t)slice / p->slices), n = (int32_t)((int64_t)rows * (int64_t)(slice + 1) / p->slices) - from;
  size_t at = (size_t)from * (size_t)p->x.cols;
  step_job job = p->step;
  float *part = p->memory + (size_t)ls_pool_index() * p->each;
  job.n = (size_t)n * (size_t)p->x.cols;
  job.w += at;
  if (job.m != NULL) job.m += at;
  if (job.v != NULL) job.v += at;
  job.g = part;
  ls_gemm_before(true, false, (ls_cmat){p->g.data + from, p->g.rows, n, p->g.stride}, p->x, (ls_mat){part, n, p->x.cols, p->x.cols}, (const float *const[2]){job.w, job.m});
  ls_parallel(LS_SITE_OPTIMIZER, blocks_of(job.n), job.sgd != NULL ? sgd_block : adam_block, &job);
}

static void step_product(const step_job *step, ls_cmat g, ls_cmat x, float *memory, size_t each) {
  int32_t threads = ls_pool_threads();
  size_t most = each / (size_t)x.cols, rows = (size_t)g.cols;
  product_job p = {.step = *step, .g = g, .x = x, .memory = memory, .each = each, .slices = (int32_t)(rows / most + (rows % most != 0))};
  if (p.slices > 1) p.slices = (p.slices + threads - 1) / threads * threads; /* as many for each thread */
  ls_parallel(LS_SITE_OPTIMIZER, (size_t)p.slices, slice_block, &p);
}

void ls_sgd_step_product(const ls_sgd_options *o, int64_t step, ls_cmat g, ls_cmat x, float *memory, size_t each, float *w, float *velocity) {
  step_product(&(step_job){.kernels = ls_kernels_now(), .sgd = o, .step = step, .w = w, .m = velocity}, g, x, memory, each);
}

void ls_adam_step_product(const ls_adam_options *o, int64_t step, ls_cmat g, ls_cmat x, float *memory, size_t each, float *w, float *m, float *v) {
  step_product(&(step_job){.kernels = ls_kernels_now(), .adam = o, .step = step, .w = w, .m = m, .v = v}, g, x, memory, each);
}

static void square_block(void *argument, size_t block) {
  const step_job *j = argument;
  size_t at = block * BLOCK, n = j->n - at < BLOCK ? j->n - at : BLOCK;
  j->partial[block % MOST_PARTIALS] = j->kernels->dot(n, j->g + at, j->g + at);
}

double ls_sum_of_squares(size_t n, const float *x) {
  double partial[MOST_PARTIALS], total = 0.0;
  for (size_t from = 0; from < n; from += (size_t)MOST_PARTIALS * BLOCK) {
    size_t part = n - from < (size_t)MOST_PARTIALS * BLOCK ? n - from : (size_t)MOST_PARTIALS * BLOCK;
    step_job job = {.kernels = ls_kernels_now(), .n = part, .g = x + from, .partial = partial};
    ls_parallel(LS_SITE_OPTIMIZER, blocks_of(part), square_block, &job);
    for (size_t b = 0; b < blocks_of(part); b++) total += partial[b];
  }
  return total;
}

void ls_scale(size_t n, float by, float *x) { ls_kernels_now()->scale_subtract(n, by, 0.0f, x); }
