/* Arithmetic on n-dimensional views. SPDX-License-Identifier: MIT */
#ifndef LSENGINE_TENSOR_H
#define LSENGINE_TENSOR_H

#include <lsengine/view.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Operations element by element: name in C, name in Lua. Comparisons give 0 and 1. A NaN operand gives NaN, except in
 * comparisons (0; `ne` 1). GELU is x·Φ(x). The *_slope operations give the derivative from the input (gelu) or from
 * the output (tanh, sigmoid); abs's (sign) is 0 at 0. relu_back(g, x) is the gradient of relu at x: g where x > 0, else 0. add_relu(x, b) is relu(x + b). */
#define LS_UNARY_OPS(OP)                                                                                                 \
  OP(COPY, copy) OP(NEG, neg) OP(ABS, abs) OP(SIGN, sign) OP(EXP, exp) OP(LOG, log) OP(SQRT, sqrt) OP(SQUARE, square)    \
  OP(RECIPROCAL, reciprocal) OP(RELU, relu) OP(GELU, gelu) OP(TANH, tanh) OP(SIGMOID, sigmoid) OP(SOFTPLUS, softplus)    \
  OP(GELU_SLOPE, gelu_slope) OP(TANH_SLOPE, tanh_slope) OP(SIGMOID_SLOPE, sigmoid_slope)
#define LS_BINARY_OPS(OP)                                                                                                \
  OP(ADD, add) OP(SUB, sub) OP(MUL, mul) OP(DIV, div) OP(POW, pow) OP(MAXIMUM, maximum) OP(MINIMUM, minimum)             \
  OP(RELU_BACK, relu_back) OP(ADD_RELU, add_relu)                                                                          \
  OP(GT, gt) OP(GE, ge) OP(LT, lt) OP(LE, le) OP(EQ, eq) OP(NE, ne)

typedef enum ls_unary {
#define LS_OP_ENUM(upper, lower) LS_UNARY_##upper,
  LS_UNARY_OPS(LS_OP_ENUM)
#undef LS_OP_ENUM
  LS_UNARY_COUNT
} ls_unary;

typedef enum ls_binary {
#define LS_OP_ENUM(upper, lower) LS_BINARY_##upper,
  LS_BINARY_OPS(LS_OP_ENUM)
#undef LS_OP_ENUM
  LS_BINARY_COUNT
} ls_binary;

/* out = op(x). Shapes must be equal (asserted); out may be x itself, or not overlap it. O(elements). */
void ls_unary_apply(ls_unary op, const ls_view *x, const ls_view *out);

/* out = op(a, b); a and b already expanded to out's shape (asserted). out may be a or b itself, where its strides are the
 * same. O(elements). */
void ls_binary_apply(ls_binary op, const ls_view *a, const ls_view *b, const ls_view *out);

/* Every element becomes `value`. */
void ls_fill(float value, const ls_view *out);

typedef enum ls_reduction { LS_REDUCE_SUM, LS_REDUCE_MAX, LS_REDUCE_MIN } ls_reduction;

/* Reduces all elements; sums in double over fixed blocks of 8192. Max and min of NaN are NaN. `x` must not be empty for max
 * and min (asserted). O(elements). */
double ls_reduce_all(ls_reduction kind, const ls_view *x);

/* Reduces along one axis (0-based) into out, whose shape is x's with that axis of size 1; max and min write the 0-based
 * position of the first extreme element into `where` (as many int64_t as out has elements) unless it is NULL. The axis must
 * not be empty for max and min (asserted). Sums along the axis in double. O(elements). */
void ls_reduce_axis(ls_reduction kind, const ls_view *x, int32_t axis, const ls_view *out, int64_t *where);

/* out (n, d) = rows of x (m, d) numbered by index[0 … n-1], 0-based. LS_ERANGE names the place of an index outside 0 … m-1;
 * nothing has been written then. O(nd). */
ls_status ls_gather_rows(ls_cmat x, const int64_t *index, ls_mat out, ls_err *err);

/* Adds row i of g (n, d) to row index[i] of out (m, d), in the order of i. Errors as above. O(nd). */
ls_status ls_scatter_add_rows(ls_cmat g, const int64_t *index, ls_mat out, ls_err *err);

/* out[i] = x[i, index[i]] for x (n, k). LS_ERANGE as above. */
ls_status ls_pick(ls_cmat x, const int64_t *index, float *out, ls_err *err);

/* out[i, index[i]] += g[i]. */
ls_status ls_pick_add(const float *g, const int64_t *index, ls_mat out, ls_err *err);

/* c (m,n) = op(a) · op(b), op transposing where its flag is set; + c where `add`. c overlaps neither. LS_ESHAPE where the
 * shapes do not fit. O(mnk), the bits depend on the shape alone. */
ls_status ls_matmul(bool transpose_a, bool transpose_b, ls_cmat a, ls_cmat b, bool add, ls_mat c, ls_err *err);

#ifdef __cplusplus
}
#endif
#endif
