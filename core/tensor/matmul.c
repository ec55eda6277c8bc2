/* SPDX-License-Identifier: MIT */
#include <lsengine/tensor.h>

#include "core/base/blas.h"

ls_status ls_matmul(bool transpose_a, bool transpose_b, ls_cmat a, ls_cmat b, bool add, ls_mat c, ls_err *err) {
  int32_t m = transpose_a ? a.cols : a.rows, k = transpose_a ? a.rows : a.cols;
  int32_t k2 = transpose_b ? b.cols : b.rows, n = transpose_b ? b.rows : b.cols;
  if (k != k2)
    return ls_fail(err, LS_ESHAPE, "matmul: %dx%d times %dx%d: the inner sizes %d and %d differ", m, k, k2, n, k, k2);
  if (c.rows != m || c.cols != n)
    return ls_fail(err, LS_ESHAPE, "matmul: the result is %dx%d but the output is %dx%d", m, n, c.rows, c.cols);
  ls_gemm(transpose_a, transpose_b, a, b, add ? 1.0f : 0.0f, c);
  return LS_OK;
}
