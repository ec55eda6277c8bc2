/* Matrix products over OpenBLAS, cut into blocks. SPDX-License-Identifier: MIT
 *
 * The bits of sgemm change with its number of threads and with the size of the product. So OpenBLAS runs one thread a call
 * and our pool calls it on blocks that depend on the shape alone: the inner dimension is never split; thin or small
 * products (n <= 64 or mnk <= 2e6) go in 64 rows; others in columns of at most 608 (equal parts, a multiple of 16) and rows
 * of 512, the longer side halved until there are 8 blocks where the product is large enough to feed them. */
#include "core/base/blas.h"

#include "core/base/blas_library.h"

#include <lsengine/cpu.h>
#include <lsengine/pool.h>

#include <assert.h>
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
  ls_blas_functions()->sgemm(CblasRowMajor, job->transpose_a ? CblasTrans : CblasNoTrans, job->transpose_b ? CblasTrans : CblasNoTrans, m,
              n, job->k, 1.0f, a, (int)job->a.stride, b, (int)job->b.stride, job->beta,
              job->c.data + row * job->c.stride + col, (int)job->c.stride);
}

/* At the first product, or where the host has set others. */
void ls_blas_begin(void) {
  const ls_blas *blas = ls_blas_functions();
  if (blas->get_threads() != 1) blas->set_threads(1);
}

void ls_blas_gemm(bool transpose_a, bool transpose_b, ls_cmat a, ls_cmat b, float beta, ls_mat c, bool alone) {
  int32_t k = transpose_a ? a.rows : a.cols;
  gemm_job job = {transpose_a, transpose_b, a, b, c, beta, k, c.rows, c.cols, 1};
  ls_blas_begin();
  if (alone) {
    gemm_block(&job, 0);
    return;
  }
  block_size(c.rows, c.cols, k, &job.rows, &job.cols);
  job.across = (size_t)ceil_div(c.cols, job.cols);
  size_t blocks = job.across * (size_t)ceil_div(c.rows, job.rows);
  if ((double)c.rows * c.cols * k < 5e5) { /* less than waking a thread costs */
    for (size_t block = 0; block < blocks; block++) gemm_block(&job, block);
    return;
  }
  ls_parallel(LS_SITE_MATMUL, blocks, gemm_block, &job);
}

/* ---- in double ---- */

typedef struct double_job {
  bool transpose_a, transpose_b, by_rows;
  int32_t m, n, k, a_stride, b_stride, c_stride;
  const double *a, *b;
  double beta, *c;
} double_job;

enum { DOUBLE_BLOCK = 256 };

static void double_block(void *argument, size_t block) {
  const double_job *j = argument;
  int32_t from = (int32_t)block * DOUBLE_BLOCK, whole = j->by_rows ? j->m : j->n, size = whole - from < DOUBLE_BLOCK ? whole - from : DOUBLE_BLOCK;
  int32_t row = j->by_rows ? from : 0, col = j->by_rows ? 0 : from, m = j->by_rows ? size : j->m, n = j->by_rows ? j->n : size;
  const double *a = j->a + (j->transpose_a ? row : (ptrdiff_t)row * j->a_stride), *b = j->b + (j->transpose_b ? (ptrdiff_t)col * j->b_stride : col);
  ls_blas_functions()->dgemm(CblasRowMajor, j->transpose_a ? CblasTrans : CblasNoTrans, j->transpose_b ? CblasTrans : CblasNoTrans, m, n, j->k, 1.0, a, j->a_stride, b,
              j->b_stride, j->beta, j->c + (ptrdiff_t)row * j->c_stride + col, j->c_stride);
}

void ls_gemm_double(bool transpose_a, bool transpose_b, int32_t m, int32_t n, int32_t k, const double *a, int32_t a_stride, const double *b, int32_t b_stride,
                    double beta, double *c, int32_t c_stride) {
  if (m == 0 || n == 0) return;
  assert(k > 0);
  ls_blas_begin();
  double_job job = {transpose_a, transpose_b, m >= n, m, n, k, a_stride, b_stride, c_stride, a, b, beta, c};
  size_t blocks = (size_t)ceil_div(m >= n ? m : n, DOUBLE_BLOCK);
  if ((double)m * n * k < 5e5) {
    for (size_t block = 0; block < blocks; block++) double_block(&job, block);
    return;
  }
  ls_parallel(LS_SITE_MATMUL, blocks, double_block, &job);
}

static size_t singular_work(int32_t m, int32_t n, bool vectors) {
  size_t least = (size_t)(m < n ? m : n), most = (size_t)(m < n ? n : m);
  return vectors ? 4 * least * least + 7 * least + (most > 64 * least ? most : 64 * least) + most * 64 : 3 * least + (most > 7 * least ? most : 7 * least) + 64 * (least + most);
}

size_t ls_singular_scratch(int32_t m, int32_t n, bool vectors) {
  size_t least = (size_t)(m < n ? m : n);
  return (singular_work(m, n, vectors) + (vectors ? least * (size_t)m : 0)) * sizeof(double) + 8 * least * sizeof(int);
}

ls_status ls_singular_values(int32_t m, int32_t n, double *a, double *s, double *right, void *scratch, ls_err *err) {
  size_t work_size = singular_work(m, n, right != NULL);
  int least = m < n ? m : n, rows = n, cols = m, lwork = (int)work_size, info = 0, one = 1;
  double *work = scratch, *left = work + work_size;
  int *iwork = (int *)(left + (right != NULL ? (size_t)least * (size_t)m : 0));
  if (work_size > INT32_MAX) return ls_fail(err, LS_ESHAPE, "a matrix of %dx%d is too large to be decomposed", m, n);
  if (least == 0) return LS_OK;
  ls_blas_begin();
  /* Fortran sees the transpose (n,m): its left singular vectors are our right ones, column by column, which are rows here */
  ls_blas_functions()->dgesdd(right != NULL ? "S" : "N", &rows, &cols, a, &rows, s, right != NULL ? right : work, right != NULL ? &rows : &one, right != NULL ? left : work,
          right != NULL ? &least : &one, work, &lwork, iwork, &info, 1);
  return info == 0 ? LS_OK : ls_fail(err, LS_EVALUE, "the singular values of a %dx%d matrix did not converge", m, n);
}

size_t ls_fold_scratch(int32_t n, int32_t rows) {
  (void)rows;
  return (size_t)n * 65 * sizeof(double);
}

ls_status ls_fold_rows(int32_t n, int32_t rows, double *a, void *scratch, ls_err *err) {
  int m = n, all = n + rows, info = 0;
  double *tau = scratch, *work = tau + n;
  if ((size_t)n * 64 > INT32_MAX) return ls_fail(err, LS_ESHAPE, "%d columns are too many to be decomposed", n);
  int lwork = n * 64;
  ls_blas_begin();
  ls_blas_functions()->dgelqf(&m, &all, a, &m, tau, work, &lwork, &info);
  if (info != 0) return ls_fail(err, LS_EVALUE, "a matrix of %dx%d could not be decomposed", all, n);
  for (int32_t row = 1; row < n; row++) memset(a + (size_t)row * (size_t)n, 0, (size_t)row * sizeof(double));
  return LS_OK;
}

const char *ls_blas_core(void) { return ls_blas_need(NULL) == LS_OK ? ls_blas_functions()->core() : "missing"; }

const char *ls_blas_version(void) { return ls_blas_need(NULL) == LS_OK ? ls_blas_functions()->version() : "missing"; }
