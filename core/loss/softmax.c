/* Softmax and its logarithm over the rows of a matrix. SPDX-License-Identifier: MIT */
#include <lsengine/loss.h>
#include <lsengine/pool.h>

#include "core/kernels/kernels.h"
#include "core/loss/rows.h"

#include <assert.h>
#include <math.h>

typedef struct softmax_job {
  const ls_kernels *kernels;
  ls_cmat z, g;
  ls_mat out;
} softmax_job;

static void softmax_block(void *argument, size_t block) {
  const softmax_job *j = argument;
  size_t n = (size_t)j->z.cols;
  for (ls_row_range r = ls_rows_of(block, j->z.rows, j->z.cols); r.row < r.end; r.row++) {
    const float *z = j->z.data + r.row * j->z.stride;
    float *p = j->out.data + r.row * j->out.stride;
    double unused, sum = j->kernels->exp_sum(n, z, j->kernels->max(n, z), p, &unused);
    j->kernels->scale_subtract(n, (float)(1.0 / sum), 0.0f, p);
  }
}

static void log_softmax_block(void *argument, size_t block) {
  const softmax_job *j = argument;
  size_t n = (size_t)j->z.cols;
  for (ls_row_range r = ls_rows_of(block, j->z.rows, j->z.cols); r.row < r.end; r.row++) {
    const float *z = j->z.data + r.row * j->z.stride;
    float max = j->kernels->max(n, z), *p = j->out.data + r.row * j->out.stride;
    double unused, log_sum = log(j->kernels->exp_sum(n, z, max, NULL, &unused));
    j->kernels->subtract(n, z, max, p); /* two steps: max + log_sum would round away log_sum beside a large max */
    j->kernels->subtract(n, p, (float)log_sum, p);
  }
}

static void softmax_backward_block(void *argument, size_t block) {
  const softmax_job *j = argument;
  size_t n = (size_t)j->z.cols;
  for (ls_row_range r = ls_rows_of(block, j->z.rows, j->z.cols); r.row < r.end; r.row++) {
    const float *p = j->z.data + r.row * j->z.stride, *g = j->g.data + r.row * j->g.stride;
    float *out = j->out.data + r.row * j->out.stride, dot = (float)j->kernels->dot(n, g, p);
    for (size_t k = 0; k < n; k++) out[k] = (g[k] - dot) * p[k];
  }
}

static void log_softmax_backward_block(void *argument, size_t block) {
  const softmax_job *j = argument;
  size_t n = (size_t)j->z.cols;
  for (ls_row_range r = ls_rows_of(block, j->z.rows, j->z.cols); r.row < r.end; r.row++) {
    const float *log_p = j->z.data + r.row * j->z.stride, *g = j->g.data + r.row * j->g.stride;
    float *out = j->out.data + r.row * j->out.stride, sum = (float)j->kernels->sum(n, g);
    for (size_t k = 0; k < n; k += 256) {
      float p[256];
      size_t m = n - k < 256 ? n - k : 256;
      j->kernels->unary[LS_UNARY_EXP](m, log_p + k, 1, p, 1);
      for (size_t i = 0; i < m; i++) out[k + i] = g[k + i] - p[i] * sum;
    }
  }
}

static void run(ls_block_fn *block, ls_cmat z, ls_cmat g, ls_mat out) {
  softmax_job job = {ls_kernels_now(), z, g, out};
  assert(z.rows == out.rows && z.cols == out.cols && g.rows == z.rows && g.cols == z.cols);
  if (z.cols > 0) ls_parallel(LS_SITE_SOFTMAX, ls_row_blocks(z.rows, z.cols), block, &job);
}

void ls_softmax(ls_cmat z, ls_mat p) { run(softmax_block, z, z, p); }

void ls_log_softmax(ls_cmat z, ls_mat log_p) { run(log_softmax_block, z, z, log_p); }

void ls_softmax_backward(ls_cmat p, ls_cmat g, ls_mat out) { run(softmax_backward_block, p, g, out); }

void ls_log_softmax_backward(ls_cmat log_p, ls_cmat g, ls_mat out) { run(log_softmax_backward_block, log_p, g, out); }
