/* Views of float32 arrays that the caller owns. SPDX-License-Identifier: MIT
 *
 * The core borrows every pointer for the length of the call and keeps none. Sizes of a dimension are int32_t, counts and
 * offsets size_t or ptrdiff_t; strides count floats, not bytes, and may be 0 (broadcast). Indices are 0-based. */
#ifndef LSENGINE_VIEW_H
#define LSENGINE_VIEW_H

#include <lsengine/status.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define LS_MAX_RANK 8
#define LS_MAX_COUNT ((size_t)1 << 46) /* elements in one array: more is refused as an overflow */

/* n-dimensional, strided. Rank 0 is a scalar of one element. Inputs are passed as `const ls_view *` and not written. */
typedef struct ls_view {
  float *data;
  int32_t rank;
  int32_t shape[LS_MAX_RANK];
  ptrdiff_t stride[LS_MAX_RANK];
} ls_view;

/* A matrix with unit stride along its rows; `stride` floats from one row to the next. What numeric functions take, so that
 * a mistaken rank does not compile. */
typedef struct ls_mat {
  float *data;
  int32_t rows, cols;
  ptrdiff_t stride;
} ls_mat;

typedef struct ls_cmat {
  const float *data;
  int32_t rows, cols;
  ptrdiff_t stride;
} ls_cmat;

/* Number of elements; 1 for rank 0. */
size_t ls_view_count(const ls_view *v);

/* True where the elements lie one after the other in row-major order. */
bool ls_view_contiguous(const ls_view *v);

/* True where both have the same rank and shape. */
bool ls_view_same_shape(const ls_view *a, const ls_view *b);

/* A contiguous view of `rank` dimensions over `data`. */
ls_view ls_view_of(float *data, int32_t rank, const int32_t *shape);

/* Number of elements of a shape, in *count. LS_ESHAPE for a rank above LS_MAX_RANK, a negative size, or more than
 * LS_MAX_COUNT elements. */
ls_status ls_shape_count(int32_t rank, const int32_t *shape, size_t *count, ls_err *err);

/* The shape that a and b broadcast to (NumPy's rule: aligned at the last axis, sizes equal or 1) in out->rank and
 * out->shape; data and strides of out are left alone. LS_ESHAPE where they do not fit. */
ls_status ls_broadcast(const ls_view *a, const ls_view *b, ls_view *out, ls_err *err);

/* v stretched to the shape of `to`, with stride 0 along stretched axes. v must broadcast to it (checked by the caller). */
ls_view ls_view_expand(const ls_view *v, const ls_view *to);

/* v with neighbouring dimensions joined where memory allows it, in both of `count` views at once (they share one shape).
 * Fewer, longer inner loops; the order of elements is unchanged. */
void ls_views_collapse(int32_t count, ls_view *const views[]);

/* Writes the shape as "2x3" into buffer; "scalar" for rank 0. Returns buffer. */
const char *ls_shape_text(const ls_view *v, char *buffer, size_t size);

static inline ls_cmat ls_const(ls_mat m) {
  ls_cmat c = {m.data, m.rows, m.cols, m.stride};
  return c;
}

#ifdef __cplusplus
}
#endif
#endif
