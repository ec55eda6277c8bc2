/* Matrix products by tiles in registers, for processors with FMA. SPDX-License-Identifier: MIT */
#ifndef LS_KERNELS_GEMM_H
#define LS_KERNELS_GEMM_H

#include <lsengine/view.h>
#include <stdbool.h>

/* The inner dimension goes in equal parts of at most LS_GEMM_INNER; a part of at most LS_GEMM_ROWS rows of op(a) is packed at once, and LS_GEMM_COLUMNS
 * columns of op(b). */
#define LS_GEMM_INNER 256
#define LS_GEMM_ROWS 512
#define LS_GEMM_COLUMNS 32
#define LS_GEMM_SCRATCH ((LS_GEMM_ROWS + LS_GEMM_COLUMNS) * LS_GEMM_INNER + 64)

/* A block of c = op(a)·op(b) + beta·c: rows (at most LS_GEMM_ROWS) from `row`, columns from `col`. Each number of c is the sum over the inner dimension
 * in order, by FMA, from 0 in each part of it; the parts' sums are added in order. So its bits depend neither on the block nor on the set. */
typedef struct ls_gemm_block {
  bool transpose_a, transpose_b;
  ls_cmat a, b;
  ls_mat c;
  int32_t k, row, rows, col, cols;
  bool add; /* beta is 1 */
  float *scratch; /* LS_GEMM_SCRATCH floats, aligned to 64 bytes */
  const float *also[2]; /* of c's shape and stride, to be asked for since they are wanted next; or NULL */
} ls_gemm_block;

typedef void ls_gemm_fn(const ls_gemm_block *j);

void ls_gemm_block_avx2(const ls_gemm_block *j);
void ls_gemm_block_avx512(const ls_gemm_block *j);

#endif
