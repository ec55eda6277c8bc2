/* Matrix products: shared out over the threads. SPDX-License-Identifier: MIT
 *
 * Where the processor has FMA our own tiles multiply (core/kernels/gemm_tmpl.c), else OpenBLAS. The choice is the processor's, whatever set the other
 * kernels are capped to: the sets give the same bits. A number's bits do not depend on how c is cut, so that the cut follows the threads: one block where
 * there is one thread, one to four for each where there are more. */
#include "core/base/blas.h"

#include "core/kernels/gemm.h"

#include <lsengine/cpu.h>
#include <lsengine/pool.h>

#include <assert.h>
#include <stdalign.h>
#include <string.h>

enum { SHARES = 4, COLUMNS = 512, LEAST_COLUMNS = 64, LEAST_ROWS = 64 };

/* Untouched where no product runs: it costs address space alone. */
static _Thread_local alignas(64) float scratch[LS_GEMM_SCRATCH];

static ls_gemm_fn *kernel(void) {
#if defined(__x86_64__)
  if (ls_cpu_has(LS_ISA_AVX512)) return ls_gemm_block_avx512;
  if (ls_cpu_has(LS_ISA_AVX2)) return ls_gemm_block_avx2;
#endif
  return NULL;
}

ls_status ls_gemm_start(ls_err *err) { return kernel() == NULL ? ls_blas_need(err) : LS_OK; }

bool ls_gemm_cuts_freely(void) { return kernel() != NULL; }

void ls_gemm_begin(void) {
  if (kernel() == NULL) ls_blas_begin();
}

typedef struct gemm_job {
  ls_gemm_block all;
  ls_gemm_fn *fn;
  int32_t rows, cols; /* of a block */
  int32_t across;
} gemm_job;

static int32_t ceil_div(int32_t a, int32_t b) { return a / b + (a % b != 0); }
static int32_t round_up(int32_t a, int32_t to) { return ceil_div(a, to) * to; }

static void block_fn(void *argument, size_t block) {
  const gemm_job *job = argument;
  ls_gemm_block j = job->all;
  j.row = (int32_t)(block / (size_t)job->across) * job->rows, j.col = (int32_t)(block % (size_t)job->across) * job->cols;
  j.rows = j.c.rows - j.row < job->rows ? j.c.rows - j.row : job->rows;
  j.cols = j.c.cols - j.col < job->cols ? j.c.cols - j.col : job->cols;
  j.scratch = scratch;
  job->fn(&j);
}

static int32_t lowest(int32_t a, int32_t b) { return a < b ? a : b; }
static int32_t highest(int32_t a, int32_t b) { return a > b ? a : b; }

/* Rows and columns of a block: as many blocks for each thread. Every block packs its rows of op(a), so that there are several for each thread only where they stay wide. */
static void cut(int32_t m, int32_t n, int32_t threads, int32_t *rows, int32_t *cols) {
  int32_t each = threads == 1 ? 1 : highest(1, lowest(n / threads / COLUMNS, SHARES)), most_across = highest(1, n / LEAST_COLUMNS);
  int32_t down = ceil_div(m, LS_GEMM_ROWS), across = lowest(ceil_div(each * threads, down), most_across);
  if (down * across % threads != 0) across = lowest(round_up(across, threads), most_across);
  if (down * across % threads != 0 || down * across < each * threads)
    down = highest(down, lowest(round_up(highest(down, ceil_div(each * threads, across)), threads), m / LEAST_ROWS));
  *rows = ceil_div(m, down);
  *cols = round_up(ceil_div(n, across), LS_GEMM_COLUMNS);
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

static void multiply(bool transpose_a, bool transpose_b, ls_cmat a, ls_cmat b, float beta, ls_mat c, bool alone, const float *const *also) {
  if (nothing_to_do(transpose_a, transpose_b, a, b, beta, c)) return;
  gemm_job job = {.fn = kernel(), .all = {.transpose_a = transpose_a, .transpose_b = transpose_b, .a = a, .b = b, .c = c, .k = transpose_a ? a.rows : a.cols, .add = beta != 0.0f}};
  for (int k = 0; k < 2 && also != NULL; k++) job.all.also[k] = also[k];
  if (job.fn == NULL) {
    ls_blas_gemm(transpose_a, transpose_b, a, b, beta, c, alone);
    return;
  }
  double work = (double)c.rows * c.cols * job.all.k;
  alone = alone || work < 5e5 || ls_pool_threads() == 1; /* less than waking a thread costs */
  cut(c.rows, c.cols, alone ? 1 : ls_pool_threads(), &job.rows, &job.cols);
  job.across = ceil_div(c.cols, job.cols);
  size_t blocks = (size_t)job.across * (size_t)ceil_div(c.rows, job.rows);
  if (!alone) {
    ls_parallel(LS_SITE_MATMUL, blocks, block_fn, &job);
    return;
  }
  for (size_t block = 0; block < blocks; block++) block_fn(&job, block);
}

void ls_gemm(bool transpose_a, bool transpose_b, ls_cmat a, ls_cmat b, float beta, ls_mat c) { multiply(transpose_a, transpose_b, a, b, beta, c, false, NULL); }

void ls_gemm_alone(bool transpose_a, bool transpose_b, ls_cmat a, ls_cmat b, float beta, ls_mat c) { multiply(transpose_a, transpose_b, a, b, beta, c, true, NULL); }

void ls_gemm_before(bool transpose_a, bool transpose_b, ls_cmat a, ls_cmat b, ls_mat c, const float *const next[2]) { multiply(transpose_a, transpose_b, a, b, 0.0f, c, false, next); }
