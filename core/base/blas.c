/* Matrix products over OpenBLAS, cut into blocks. SPDX-License-Identifier: MIT
 *
 * The bits of sgemm change with its number of threads and with the size of the product. So OpenBLAS runs one thread a call
 * and our pool calls it on blocks that depend on the shape alone: the inner dimension is never split; thin or small
 * products (n <= 64 or mnk <= 2e6) go in 64 rows; others in columns of at most 608 (equal parts, a multiple of 16) and rows
 * of 512, the longer side halved until there are 8 blocks where the product is large enough to feed them. */
#include "core/base/blas.h"

#include <lsengine/cpu.h>
#include <lsengine/pool.h>

#include <assert.h>
#include <cblas.h>
#include <string.h>

typedef struct gemm_job {
  bool transpose_a, transpose_b;
  ls_cmat a, b;
  ls_mat c;
  float beta;
  int32_t k, rows, cols;
  size_t across;
} gemm_job;

static int32_t ceil_div(int32_t a, int32_t b) { return a / b + (a % b != 0); }

static void block_size(int32_t m, int32_t n, int32_t k, int32_t *rows, int32_t *cols) {
  double work = (double)m * n * k;
  if (n <= 64 || work <= 2e6) {
    *rows = m < 64 ? m : 64;
    *cols = n;
    return;
  }
  int32_t parts = ceil_div(n, 608);
  *cols = ceil_div(ceil_div(n, parts), 16) * 16;
  *rows = m < 512 ? m : 512;
  while (ceil_div(m, *rows) * (int64_t)ceil_div(n, *cols) < 8 && (double)*rows * *cols * k > 4e6) {
    if (*rows > *cols && *rows >= 128)
      *rows = ceil_div(*rows, 2);
    else if (*cols >= 128)
      *cols = ceil_div(ceil_div(*cols, 2), 16) * 16;
    else
      break;
  }
}

static void gemm_block(void *argument, size_t block) {
  const gemm_job *job = argument;
  int32_t row = (int32_t)(block / job->across) * job->rows, col = (int32_t)(block % job->across) * job->cols;
  int32_t m = job->c.rows - row < job->rows ? job->c.rows - row : job->rows;
  int32_t n = job->c.cols - col < job->cols ? job->c.cols - col : job->cols;
  const float *a = job->a.data + (job->transpose_a ? row : row * job->a.stride);
  const float *b = job->b.data + (job->transpose_b ? col * job->b.stride : col);
  cblas_sgemm(CblasRowMajor, job->transpose_a ? CblasTrans : CblasNoTrans, job->transpose_b ? CblasTrans : CblasNoTrans, m,
              n, job->k, 1.0f, a, (int)job->a.stride, b, (int)job->b.stride, job->beta,
              job->c.data + row * job->c.stride + col, (int)job->c.stride);
}

/* Checks the shapes; true where there is nothing to multiply, after which c is as it must be. */
static bool nothing_to_do(bool transpose_a, bool transpose_b, ls_cmat a, ls_cmat b, float beta, ls_mat c) {
  int32_t k = transpose_a ? a.rows : a.cols;
  assert((transpose_a ? a.cols : a.rows) == c.rows && (transpose_b ? b.cols : b.rows) == k &&
         (transpose_b ? b.rows : b.cols) == c.cols);
  (void)transpose_b, (void)b; /* of a release build, which asserts nothing */
  if (c.rows == 0 || c.cols == 0) return true;
  if (k == 0 && beta == 0.0f)
    for (int32_t i = 0; i < c.rows; i++) memset(c.data + i * c.stride, 0, (size_t)c.cols * sizeof(float));
  return k == 0;
}

/* At the first product, or where the host has set others. */
void ls_gemm_begin(void) {
  if (openblas_get_num_threads() != 1) openblas_set_num_threads(1);
}

void ls_gemm_alone(bool transpose_a, bool transpose_b, ls_cmat a, ls_cmat b, float beta, ls_mat c) {
  if (nothing_to_do(transpose_a, transpose_b, a, b, beta, c)) return;
  gemm_job job = {transpose_a, transpose_b, a, b, c, beta, transpose_a ? a.rows : a.cols, c.rows, c.cols, 1};
  gemm_block(&job, 0);
}

void ls_gemm(bool transpose_a, bool transpose_b, ls_cmat a, ls_cmat b, float beta, ls_mat c) {
  int32_t k = transpose_a ? a.rows : a.cols;
  if (nothing_to_do(transpose_a, transpose_b, a, b, beta, c)) return;
  ls_gemm_begin();
  gemm_job job = {transpose_a, transpose_b, a, b, c, beta, k, 0, 0, 0};
  block_size(c.rows, c.cols, k, &job.rows, &job.cols);
  job.across = (size_t)ceil_div(c.cols, job.cols);
  size_t blocks = job.across * (size_t)ceil_div(c.rows, job.rows);
  if ((double)c.rows * c.cols * k < 5e5) { /* less than waking a thread costs */
    for (size_t block = 0; block < blocks; block++) gemm_block(&job, block);
    return;
  }
  ls_parallel(LS_SITE_MATMUL, blocks, gemm_block, &job);
}

const char *ls_blas_core(void) { return openblas_get_corename(); }

const char *ls_blas_version(void) { return openblas_get_config(); }
