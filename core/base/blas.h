/* Matrix products: the one door to OpenBLAS. SPDX-License-Identifier: MIT */
#ifndef LS_BASE_BLAS_H
#define LS_BASE_BLAS_H

#include <lsengine/view.h>

/* c (m,n) = op(a) (m,k) · op(b) (k,n) + beta · c, where op transposes if its flag is set and beta is 0 or 1. With beta 0, c is
 * not read. Shapes must fit (asserted: callers check), c overlaps neither input. k = 0 gives zeros (or c unchanged).
 * The bits depend on m, n, k and OpenBLAS's kernel alone. O(mnk). */
void ls_gemm(bool transpose_a, bool transpose_b, ls_cmat a, ls_cmat b, float beta, ls_mat c);

/* The same as one call of OpenBLAS in this thread, uncut: for callers that share out work themselves, who call ls_gemm_begin before. */
void ls_gemm_begin(void);
void ls_gemm_alone(bool transpose_a, bool transpose_b, ls_cmat a, ls_cmat b, float beta, ls_mat c);

#endif
