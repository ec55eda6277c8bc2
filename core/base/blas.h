/* Matrix products: the one door to OpenBLAS. SPDX-License-Identifier: MIT */
#ifndef LS_BASE_BLAS_H
#define LS_BASE_BLAS_H

#include <lsengine/view.h>

/* Loads OpenBLAS where it is not loaded yet; LS_ELIBRARY where it cannot be. To be called, with success, before any product in double and before LAPACK;
 * products of floats need it on processors without FMA only, where ls_gemm_start, called by ls_cpu_start, asks for it. */
ls_status ls_blas_need(ls_err *err);
ls_status ls_gemm_start(ls_err *err);

/* c (m,n) = op(a) (m,k) · op(b) (k,n) + beta · c, where op transposes if its flag is set and beta is 0 or 1. With beta 0, c is
 * not read. Shapes must fit (asserted: callers check), c overlaps neither input. k = 0 gives zeros (or c unchanged).
 * The bits depend on m, n, k alone (without FMA on OpenBLAS's kernel, too). O(mnk). */
void ls_gemm(bool transpose_a, bool transpose_b, ls_cmat a, ls_cmat b, float beta, ls_mat c);

/* The same with beta 0, while next[0] and next[1] (or NULL), each of c's shape and stride, are on their way to the second cache. */
void ls_gemm_before(bool transpose_a, bool transpose_b, ls_cmat a, ls_cmat b, ls_mat c, const float *const next[2]);

/* Whether a number of a product has the same bits in a product of some of its rows and columns: not where OpenBLAS multiplies. */
bool ls_gemm_cuts_freely(void);

/* The same in this thread alone: for callers that share out work themselves, who call ls_gemm_begin before. */
void ls_gemm_begin(void);
void ls_gemm_alone(bool transpose_a, bool transpose_b, ls_cmat a, ls_cmat b, float beta, ls_mat c);

/* The same by OpenBLAS, for processors without FMA; k > 0, c not empty. `alone`: one call of it, uncut, after ls_blas_begin. */
void ls_blas_begin(void);
void ls_blas_gemm(bool transpose_a, bool transpose_b, ls_cmat a, ls_cmat b, float beta, ls_mat c, bool alone);

/* ---- in double, for measures: row-major, `stride` doubles from one row to the next ---- */

/* The least that OpenBLAS takes as a distance between rows of `cols` numbers. */
#define LS_STRIDE(cols) ((cols) > 0 ? (cols) : 1)

/* c (m,n) = op(a) (m,k) · op(b) (k,n) + beta · c, beta 0 or 1; strides as stored. The longer side of c is cut into 256s for the pool, the inner
 * dimension never: the bits depend on the shape alone. */
void ls_gemm_double(bool transpose_a, bool transpose_b, int32_t m, int32_t n, int32_t k, const double *a, int32_t a_stride, const double *b, int32_t b_stride,
                    double beta, double *c, int32_t c_stride);

/* LAPACK, one thread. Matrices must be finite. They fail where the iteration does not converge (it always has) or the work does not fit 2^31 numbers.
 * Singular values of a (m,n), contiguous, in falling order, into s (min(m,n)); right (min(m,n), n) receives the right singular vectors as rows, or NULL.
 * a is destroyed. O(mn·min(m,n)). */
size_t ls_singular_scratch(int32_t m, int32_t n, bool vectors);
ls_status ls_singular_values(int32_t m, int32_t n, double *a, double *s, double *right, void *scratch, ls_err *err);

/* Folds `rows` rows into a triangle: of the matrix whose first n rows are the triangle and whose next rows are new ones (all contiguous, n columns), the
 * triangle R of its QR decomposition, zeros below its diagonal, takes the place of the first n rows: R'R stays the sum of all products. O(n²·rows). */
size_t ls_fold_scratch(int32_t n, int32_t rows);
ls_status ls_fold_rows(int32_t n, int32_t rows, double *a, void *scratch, ls_err *err);

#endif
