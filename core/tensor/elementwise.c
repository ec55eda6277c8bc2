/* Element-by-element operations on views. SPDX-License-Identifier: MIT
 *
 * Views are collapsed to as few dimensions as memory allows; the last one is the kernel's loop, the others are counted
 * through. Work is cut into blocks of whole inner loops, or, where there is one dimension only, of 32768 elements. */
#include <lsengine/pool.h>
#include <lsengine/tensor.h>

#include "core/kernels/kernels.h"

#include <assert.h>

enum { BLOCK = 32768 };

typedef struct job {
  ls_unary_fn *unary;
  ls_binary_fn *binary;
  ls_view a, b, out;
  size_t outer, inner, rows_a_block, inner_block, inner_blocks;
} job;

static void run(const job *j, const float *a, const float *b, float *out, size_t n) {
  int32_t last = j->out.rank - 1;
  ptrdiff_t a_step = last < 0 ? 1 : j->a.stride[last], out_step = last < 0 ? 1 : j->out.stride[last];
  if (j->unary != NULL)
    j->unary(n, a, a_step, out, out_step);
  else
    j->binary(n, a, a_step, b, last < 0 ? 1 : j->b.stride[last], out, out_step);
}

static ptrdiff_t offset_of(const ls_view *v, size_t row) {
  ptrdiff_t offset = 0;
  for (int32_t axis = v->rank - 2; axis >= 0; axis--) {
    size_t size = (size_t)v->shape[axis];
    offset += (ptrdiff_t)(row % size) * v->stride[axis];
    row /= size;
  }
  return offset;
}

static void block_fn(void *argument, size_t block) {
  const job *j = argument;
  size_t group = block / j->inner_blocks, start = block % j->inner_blocks * j->inner_block;
  size_t count = j->inner - start < j->inner_block ? j->inner - start : j->inner_block;
  size_t row = group * j->rows_a_block, end = row + j->rows_a_block;
  int32_t last = j->out.rank - 1;
  if (end > j->outer) end = j->outer;
  for (; row < end; row++) {
    ptrdiff_t at = (ptrdiff_t)start;
    const float *a = j->a.data + offset_of(&j->a, row) + (last < 0 ? 0 : at * j->a.stride[last]);
    const float *b = j->binary == NULL ? NULL : j->b.data + offset_of(&j->b, row) + (last < 0 ? 0 : at * j->b.stride[last]);
    run(j, a, b, j->out.data + offset_of(&j->out, row) + (last < 0 ? 0 : at * j->out.stride[last]), count);
  }
}

static void apply(job *j) {
  size_t count = ls_view_count(&j->out);
  if (count == 0) return;
  ls_view *views[] = {&j->out, &j->a, &j->b};
  ls_views_collapse(j->binary == NULL ? 2 : 3, views);
  j->inner = j->out.rank == 0 ? 1 : (size_t)j->out.shape[j->out.rank - 1];
  j->outer = count / j->inner;
  j->inner_block = BLOCK;
  j->inner_blocks = (j->inner + BLOCK - 1) / BLOCK;
  j->rows_a_block = j->inner_blocks > 1 ? 1 : (BLOCK + j->inner - 1) / j->inner;
  ls_parallel(LS_SITE_ELEMENTWISE, (j->outer + j->rows_a_block - 1) / j->rows_a_block * j->inner_blocks, block_fn, j);
}

void ls_unary_apply(ls_unary op, const ls_view *x, const ls_view *out) {
  assert(ls_view_same_shape(x, out));
  job j = {.unary = ls_kernels_now()->unary[op], .a = *x, .out = *out};
  apply(&j);
}

void ls_binary_apply(ls_binary op, const ls_view *a, const ls_view *b, const ls_view *out) {
  assert(ls_view_same_shape(a, out) && ls_view_same_shape(b, out));
  job j = {.binary = ls_kernels_now()->binary[op], .a = *a, .b = *b, .out = *out};
  apply(&j);
}

void ls_fill(float value, const ls_view *out) {
  ls_view source = {.data = &value};
  source = ls_view_expand(&source, out);
  ls_unary_apply(LS_UNARY_COPY, &source, out);
}
