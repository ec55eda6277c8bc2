/* Mixing of rows, compiled once for each instruction set. SPDX-License-Identifier: MIT
 *
 * Rows that are mixed lie anywhere in memory: what comes next is asked for ahead, as the processor cannot guess it. No contraction: the same
 * bits on every set. */
#include "core/kernels/kernels.h"
#include "core/kernels/vectors_tmpl.h"

/* How far ahead y is asked for, in numbers and in lines of a box; then what the next row will want. */
enum { AHEAD = 1024, LINES_AHEAD = 8 };

static inline __attribute__((always_inline)) void blend_asking(size_t n, float a, const float *x, float b, const float *y, const float *ahead, float *out) {
  vec va = all_lanes(a), vb = all_lanes(b);
  size_t i = 0;
  for (; n - i >= 64; i += 64) {
    for (int p = 0; p < 64; p += 16) __builtin_prefetch(ahead + i + p, 1, 3);
    for (int p = 0; p < 64; p += WIDTH) store(out + i + p, va * load(x + i + p) + vb * load(y + i + p));
  }
  for (; i < n; i++) out[i] = a * x[i] + b * y[i];
}

/* To the first cache: asked for a row ahead and to the second, a batch that lies in the third took a quarter longer (76 µs for 512 rows of 3072, now 59, Zen 5). */
static void blend(size_t n, float a, const float *x, float b, const float *y, const float *next, float *out) {
  size_t near = n > AHEAD ? (n - AHEAD) / 64 * 64 : 0;
  blend_asking(near, a, x, b, y, y + AHEAD, out);
  blend_asking(n - near, a, x + near, b, y + near, next, out + near);
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

static inline void copy_line(size_t n, const float *from, float *to) {
  size_t i = 0;
  for (; n - i >= WIDTH; i += WIDTH) store(to + i, load(from + i));
  if (i < n) copy_end(n, from, to);
}

/* Within a line of the cache, so that one is asked for. n is a constant where it can be one. */
static inline __attribute__((always_inline)) void copy_strip(size_t lines, size_t n, size_t stride, const float *from, const float *next, float *to) {
  for (size_t y = 0; y < lines; y++, from += stride, next += stride, to += stride) {
    __builtin_prefetch(next, 1, 3);
    copy_line(n, from, to);
  }
}

/* Lines that lie apart. With AVX-512 a vector for each line of the cache, all of them under masks: loads and stores without any set off the processor's own reading
 * ahead, which fetches what lies between boxes, too (2.5 ms for 256 boxes of 3×122×122, now 2.2, Zen 5). */
static inline void copy_apart(size_t lines, size_t n, size_t stride, const float *from, const float *ahead, float *to) {
  for (size_t y = 0; y < lines; y++, from += stride, ahead += stride, to += stride) {
#if defined(__AVX512F__)
    ptrdiff_t i = -(ptrdiff_t)((uintptr_t)to / sizeof *to % WIDTH), end = (ptrdiff_t)n;
    __mmask16 kept = (__mmask16)(0xffff << -i);
    for (; end - i > WIDTH; i += WIDTH, kept = 0xffff) {
      __builtin_prefetch(ahead + i, 1, 3);
      _mm512_mask_storeu_ps(to + i, kept, _mm512_maskz_loadu_ps(kept, from + i));
    }
    kept &= (__mmask16)((1 << (end - i)) - 1);
    __builtin_prefetch(ahead + n - 1, 1, 3);
    _mm512_mask_storeu_ps(to + i, kept, _mm512_maskz_loadu_ps(kept, from + i));
#else
    for (size_t k = 0; k < n; k += 16) __builtin_prefetch(ahead + k, 1, 3);
    __builtin_prefetch(ahead + n - 1, 1, 3);
    copy_line(n, from, to);
#endif
  }
}

/* Small boxes are copied in strips of one line of the cache, from top to bottom, so that no store touches two and each is asked for once: a twentieth to a seventh of the time of 17 columns of 32×32 (three
 * channels, AVX2). Planes beyond the first cache gained nothing; they ask for lines of the same box (2.9 ms where they asked for the next one's, 2.5 then). */
static void copy_lines(size_t lines, size_t n, size_t stride, const float *from, const float *next, float *to) {
  size_t line = 16, width = line - (uintptr_t)to / sizeof *to % line;
  if (lines * stride * sizeof *to > 16384) {
    size_t near = lines > LINES_AHEAD ? lines - LINES_AHEAD : 0, rest = near * stride;
    copy_apart(near, n, stride, from, from + LINES_AHEAD * stride, to);
    copy_apart(lines - near, n, stride, from + rest, next, to + rest);
    return;
  }
  for (size_t i = 0; i < n; i += width, width = line) {
    width = n - i < width ? n - i : width;
    if (width == line)
      copy_strip(lines, line, stride, from + i, next + i, to + i);
    else
      copy_strip(lines, width, stride, from + i, next + i, to + i);
  }
}

const ls_mix_kernels LS_PASTE(ls_mix_kernels_, LS_ISA) = {.blend = blend, .copy_lines = copy_lines};
