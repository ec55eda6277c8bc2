/* Mixing of rows, compiled once for each instruction set. SPDX-License-Identifier: MIT
 *
 * Rows that are mixed lie anywhere in memory: what comes next is asked for ahead, as the processor cannot guess it. No contraction: the same
 * bits on every set. */
#include "core/kernels/kernels.h"
#include "core/kernels/vectors_tmpl.h"

static void blend(size_t n, float a, const float *x, float b, const float *y, const float *next, float *out) {
  vec va = all_lanes(a), vb = all_lanes(b);
  size_t i = 0;
  for (; n - i >= 16; i += 16) {
    __builtin_prefetch(next + i, 1, 2);
    for (int p = 0; p < 16; p += WIDTH) store(out + i + p, va * load(x + i + p) + vb * load(y + i + p));
  }
  for (; i < n; i++) out[i] = a * x[i] + b * y[i];
}

/* What is left of a line behind whole vectors: 1 … WIDTH-1 of its n numbers. The last numbers are copied twice, since AVX2's stores of some lanes take half
 * of the time of a box of 17 columns; AVX-512's take no longer than this. */
static inline void copy_end(size_t n, const float *from, float *to) {
  typedef float eight __attribute__((vector_size(32), aligned(4), may_alias));
  typedef float four __attribute__((vector_size(16), aligned(4), may_alias));
  typedef float two __attribute__((vector_size(8), aligned(4), may_alias));
  if (n >= WIDTH) {
    store(to + n - WIDTH, load(from + n - WIDTH));
  } else if (n >= 8) {
    *(eight *)to = *(const eight *)from;
    *(eight *)(to + n - 8) = *(const eight *)(from + n - 8);
  } else if (n >= 4) {
    *(four *)to = *(const four *)from;
    *(four *)(to + n - 4) = *(const four *)(from + n - 4);
  } else if (n >= 2) {
    *(two *)to = *(const two *)from;
    *(two *)(to + n - 2) = *(const two *)(from + n - 2);
  } else {
    *to = *from;
  }
}

/* n is a constant where it can be one. */
static inline __attribute__((always_inline)) void copy_rows(size_t lines, size_t n, size_t stride, const float *from, const float *next, float *to) {
  for (size_t y = 0; y < lines; y++, from += stride, next += stride, to += stride) {
    size_t i = 0;
    for (size_t k = 0; k < n; k += 16) __builtin_prefetch(next + k, 1, 2);
    __builtin_prefetch(next + n - 1, 1, 2);
    for (; n - i >= WIDTH; i += WIDTH) store(to + i, load(from + i));
    if (i < n) copy_end(n, from, to);
  }
}

/* Small boxes are copied in strips of one line of the cache, from top to bottom, so that no store touches two and each is asked for once: a twentieth to a seventh of the time of 17 columns of 32×32 (three
 * channels, AVX2). Planes beyond the first cache gained nothing. */
static void copy_lines(size_t lines, size_t n, size_t stride, const float *from, const float *next, float *to) {
  size_t line = 16, ahead = line - (uintptr_t)to / sizeof *to % line;
  if (lines * stride * sizeof *to > 16384) {
    copy_rows(lines, n, stride, from, next, to);
    return;
  }
  for (size_t i = 0; i < n; i += ahead, ahead = line) {
    ahead = n - i < ahead ? n - i : ahead;
    if (ahead == line)
      copy_rows(lines, line, stride, from + i, next + i, to + i);
    else
      copy_rows(lines, ahead, stride, from + i, next + i, to + i);
  }
}

const ls_mix_kernels LS_PASTE(ls_mix_kernels_, LS_ISA) = {.blend = blend, .copy_lines = copy_lines};
