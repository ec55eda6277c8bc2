/* Sums, maxima and minima of views. SPDX-License-Identifier: MIT
 *
 * A sum over all elements goes through blocks of at least 8192 elements (at most 1024 blocks, limits by shape alone), each
 * summed in double, the blocks added in order. A sum along an axis adds in double along that axis, in order. */
#include <lsengine/pool.h>
#include <lsengine/tensor.h>

#include "core/kernels/kernels.h"

#include <assert.h>
#include <math.h>

enum { SMALLEST_BLOCK = 8192, MOST_BLOCKS = 1024, COLUMNS = 64 };

typedef struct all_job {
  const ls_kernels *kernels;
  ls_reduction kind;
  ls_view x;
  size_t count, block;
  double partial[MOST_BLOCKS];
} all_job;

static ptrdiff_t offset_at(const ls_view *v, size_t index) {
  ptrdiff_t offset = 0;
  for (int32_t axis = v->rank - 1; axis >= 0; axis--) {
    size_t size = (size_t)v->shape[axis];
    offset += (ptrdiff_t)(index % size) * v->stride[axis];
    index /= size;
  }
  return offset;
}

static inline double extreme(ls_reduction kind, double best, double v) {
  if (isnan(best) || isnan(v)) return (double)NAN;
  return kind == LS_REDUCE_MAX ? (v > best ? v : best) : (v < best ? v : best);
}

static void all_block(void *argument, size_t block) {
  all_job *j = argument;
  size_t i = block * j->block, end = i + j->block < j->count ? i + j->block : j->count;
  bool contiguous = ls_view_contiguous(&j->x);
  if (j->kind == LS_REDUCE_SUM && contiguous) {
    j->partial[block] = j->kernels->sum(end - i, j->x.data + i);
    return;
  }
  double value = j->kind == LS_REDUCE_SUM ? 0.0 : j->kind == LS_REDUCE_MAX ? (double)-INFINITY : (double)INFINITY;
  for (; i < end; i++) {
    double v = (double)j->x.data[contiguous ? (ptrdiff_t)i : offset_at(&j->x, i)];
    value = j->kind == LS_REDUCE_SUM ? value + v : extreme(j->kind, value, v);
  }
  j->partial[block] = value;
}

double ls_reduce_all(ls_reduction kind, const ls_view *x) {
  all_job j = {.kernels = ls_kernels_now(), .kind = kind, .x = *x, .count = ls_view_count(x)};
  ls_view *views[] = {&j.x};
  assert(kind == LS_REDUCE_SUM || j.count > 0);
  if (j.count == 0) return 0.0;
  ls_views_collapse(1, views);
  j.block = (j.count + MOST_BLOCKS - 1) / MOST_BLOCKS;
  if (j.block < SMALLEST_BLOCK) j.block = SMALLEST_BLOCK;
  size_t blocks = (j.count + j.block - 1) / j.block;
  ls_parallel(LS_SITE_REDUCE, blocks, all_block, &j);
  double value = j.partial[0];
  for (size_t b = 1; b < blocks; b++)
    value = kind == LS_REDUCE_SUM ? value + j.partial[b] : extreme(kind, value, j.partial[b]);
  return value;
}

typedef struct axis_job {
  const ls_kernels *kernels;
  ls_reduction kind;
  ls_view x, out; /* x's axis dimension is last in neither: kept apart below */
  int32_t length;
  ptrdiff_t step;
  int64_t *where;
  size_t count, outputs; /* outputs of a block, a multiple of COLUMNS */
} axis_job;

/* Where the outputs are neighbours in memory (step along the reduced axis is not the short one), COLUMNS of them are summed
 * side by side, so that memory is read along its rows. Each output's own order of additions stays that of the axis. */
static void axis_sum_columns(const axis_job *j, size_t first, size_t n) {
  double totals[COLUMNS];
  j->kernels->sum_columns((size_t)j->length, j->x.data + offset_at(&j->x, first), j->step, n, totals);
  float *out = j->out.data + offset_at(&j->out, first);
  ptrdiff_t step = j->out.rank == 0 ? 1 : j->out.stride[j->out.rank - 1]; /* x and out have the same shape: these are of one line */
  for (size_t c = 0; c < n; c++) out[(ptrdiff_t)c * step] = (float)totals[c];
}

static void axis_one(const axis_job *j, size_t index) {
  const float *x = j->x.data + offset_at(&j->x, index);
  double value;
  if (j->kind == LS_REDUCE_SUM) {
    value = 0.0;
    if (j->step == 1)
      value = j->kernels->sum((size_t)j->length, x);
    else
      for (int32_t i = 0; i < j->length; i++) value += (double)x[i * j->step];
  } else {
    int32_t best = 0;
    for (int32_t i = 1; i < j->length && !isnan(x[best * j->step]); i++) {
      float v = x[i * j->step], b = x[best * j->step];
      if (isnan(v) || (j->kind == LS_REDUCE_MAX ? v > b : v < b)) best = i;
    }
    value = (double)x[best * j->step];
    if (j->where != NULL) j->where[index] = best;
  }
  j->out.data[offset_at(&j->out, index)] = (float)value;
}

static void axis_block(void *argument, size_t block) {
  const axis_job *j = argument;
  size_t i = block * j->outputs, end = i + j->outputs < j->count ? i + j->outputs : j->count;
  int32_t last = j->x.rank - 1;
  bool columns = j->kind == LS_REDUCE_SUM && last >= 0 && j->step != 1 && j->x.stride[last] == 1;
  while (i < end) {
    size_t n = end - i < COLUMNS ? end - i : COLUMNS;
    if (columns) {
      size_t left = (size_t)j->x.shape[last] - i % (size_t)j->x.shape[last];
      if (n > left) n = left;
      axis_sum_columns(j, i, n);
      i += n;
    } else {
      axis_one(j, i++);
    }
  }
}

void ls_reduce_axis(ls_reduction kind, const ls_view *x, int32_t axis, const ls_view *out, int64_t *where) {
  axis_job j = {ls_kernels_now(), kind, *x, *out, x->shape[axis], x->stride[axis], where, ls_view_count(out), COLUMNS};
  assert(axis >= 0 && axis < x->rank && (kind == LS_REDUCE_SUM || j.length > 0));
  if (j.count == 0) return;
  j.x.shape[axis] = j.out.shape[axis] = 1;
  ls_view *views[] = {&j.x, &j.out};
  ls_views_collapse(2, views);
  while (j.outputs < j.count && j.outputs * (size_t)(j.length < 1 ? 1 : j.length) < 32768) j.outputs += COLUMNS;
  ls_parallel(LS_SITE_REDUCE, (j.count + j.outputs - 1) / j.outputs, axis_block, &j);
}
