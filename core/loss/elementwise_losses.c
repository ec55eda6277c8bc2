/* Squared error and binary cross-entropy, element by element. SPDX-License-Identifier: MIT
 *
 * Blocks of at least 8192 elements, at most 1024 of them, summed in double, the blocks added in order. */
#include <lsengine/loss.h>
#include <lsengine/pool.h>

#include <math.h>

enum { SMALLEST_BLOCK = 8192, MOST_BLOCKS = 1024 };

typedef struct element_job {
  const float *x, *y;
  float scale, *grad;
  size_t n, block;
  bool binary;
  double partial[MOST_BLOCKS];
} element_job;

static void element_block(void *argument, size_t block) {
  element_job *j = argument;
  size_t i = block * j->block, end = i + j->block < j->n ? i + j->block : j->n;
  double sum = 0.0;
  for (; i < end; i++) {
    float x = j->x[i], y = j->y[i], slope;
    if (j->binary) {
      double z = (double)x, e = exp(-fabs(z));
      sum += fmax(z, 0.0) - z * (double)y + log1p(e);
      slope = (float)((z >= 0.0 ? 1.0 / (1.0 + e) : e / (1.0 + e)) - (double)y);
    } else {
      float d = x - y;
      sum += (double)d * (double)d;
      slope = 2.0f * d;
    }
    if (j->grad != NULL) j->grad[i] = j->scale * slope;
  }
  j->partial[block] = sum;
}

static double run(element_job *j) {
  double sum = 0.0;
  j->block = (j->n + MOST_BLOCKS - 1) / MOST_BLOCKS;
  if (j->block < SMALLEST_BLOCK) j->block = SMALLEST_BLOCK;
  size_t blocks = (j->n + j->block - 1) / j->block;
  ls_parallel(LS_SITE_ELEMENTWISE, blocks, element_block, j);
  for (size_t b = 0; b < blocks; b++) sum += j->partial[b];
  return sum;
}

double ls_squared_error(size_t n, const float *x, const float *y, float scale, float *grad) {
  element_job j = {.x = x, .y = y, .scale = scale, .grad = grad, .n = n};
  return run(&j);
}

ls_status ls_binary_cross_entropy(size_t n, const float *z, const float *t, float scale, double *sum, float *grad, ls_err *err) {
  for (size_t i = 0; i < n; i++) {
    if (!(t[i] >= 0.0f && t[i] <= 1.0f))
      return ls_fail(err, LS_ERANGE, "element %zu of the target is %g, allowed is 0 to 1", i + 1, (double)t[i]);
    if (!isfinite(z[i])) return ls_fail(err, LS_EVALUE, "element %zu of the logits is %g", i + 1, (double)z[i]);
  }
  element_job j = {.x = z, .y = t, .scale = scale, .grad = grad, .n = n, .binary = true};
  *sum = run(&j);
  return LS_OK;
}
