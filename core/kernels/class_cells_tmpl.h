/* Sums of probabilities over classes and bins. SPDX-License-Identifier: MIT */
#ifndef LS_KERNELS_CLASS_CELLS_TMPL_H
#define LS_KERNELS_CLASS_CELLS_TMPL_H

#include "core/kernels/doubles_tmpl.h"
#include "core/kernels/kernels.h"

static void places_kernel(size_t n, const double *p, int32_t bins, int32_t *places) {
  double factor = bins;
  for (size_t i = 0; i < n; i++) {
    int32_t bin = (int32_t)(p[i] * factor);
    places[i] = (bin < bins ? bin : bins - 1) + 1;
  }
}

static inline void add_to_cell(ls_class_cell *cell, const double *p) {
#if defined(__AVX2__)
  __m256d ones = _mm256_set1_pd(1.0), x = _mm256_broadcast_sd(p), v = _mm256_blend_pd(ones, x, 6), w = _mm256_blend_pd(ones, x, 4); /* 1·1, p·1, p·p */
  _mm256_storeu_pd(&cell->count, _mm256_fmadd_pd(v, w, _mm256_loadu_pd(&cell->count)));
#else
  typedef double pair __attribute__((vector_size(16), aligned(8), may_alias));
  *(pair *)&cell->count += (pair){1.0, *p};
  cell->squares += *p * *p;
#endif
}

#if defined(__AVX512F__)
/* Columns, whose numbers mostly fall into the first bin: its sums stay in registers. The others are put together and added one by one, from four places in turn, or those of one class would
 * wait for each other's sums: two thirds of the time of number by number. Compressed to a register, since to memory is slow on some processors. */
static void add_columns(const ls_class_block *block, size_t cells_each, ls_class_cell *cells) {
  const ls_class_block b = *block;
  double p[LS_CLASS_BLOCK + WIDTH];
  uint32_t cell[LS_CLASS_BLOCK + WIDTH];
  size_t n = 0, quarter, i;
  for (size_t k = 0; k < b.classes; k++) {
    const double *from = b.p + k * b.class;
    const int32_t *place = b.places + k * b.place_class;
    ls_class_cell *first = cells + k * cells_each + 1;
    __m512d sum[2] = {_mm512_setzero_pd(), _mm512_setzero_pd()}, squares[2] = {_mm512_setzero_pd(), _mm512_setzero_pd()};
    int count = 0;
    for (i = 0; i < b.rows; i += WIDTH) {
      __mmask16 there = (__mmask16)(b.rows - i < WIDTH ? (1u << (b.rows - i)) - 1 : 0xffffu);
      __m512i at = _mm512_maskz_loadu_epi32(there, place + i);
      __mmask16 other = _mm512_mask_cmpneq_epi32_mask(there, at, _mm512_set1_epi32(1)), here = (__mmask16)(there & ~other);
      _mm512_storeu_si512(cell + n, _mm512_maskz_compress_epi32(other, _mm512_add_epi32(at, _mm512_set1_epi32((int32_t)(k * cells_each)))));
      count += __builtin_popcount(here);
      for (int h = 0; h < 2; h++, there >>= HALF, other >>= HALF, here >>= HALF) {
        __m512d x = _mm512_maskz_loadu_pd((mask)there, from + i + h * HALF);
        sum[h] = add_where((mask)here, sum[h], x);
        squares[h] = add_square_where((mask)here, squares[h], x);
        _mm512_storeu_pd(p + n, _mm512_maskz_compress_pd((mask)other, x));
        n += (size_t)__builtin_popcount((mask)other);
      }
    }
    first->count += count;
    first->p += _mm512_reduce_add_pd(_mm512_add_pd(sum[0], sum[1]));
    first->squares += _mm512_reduce_add_pd(_mm512_add_pd(squares[0], squares[1]));
  }
  for (i = 0, quarter = n / 4; i < quarter; i++)
    for (size_t s = 0; s < 4; s++) add_to_cell(cells + cell[s * quarter + i], p + s * quarter + i);
  for (i = 4 * quarter; i < n; i++) add_to_cell(cells + cell[i], p + i);
}
#endif

/* Row by row: numbers of one class mostly fall into one bin, and would wait for each other's sums. */
static void add_cells_kernel(const ls_class_block *block, size_t cells_each, ls_class_cell *cells) {
  const ls_class_block b = *block;
#if defined(__AVX512F__)
  if (b.row == 1 && b.place_row == 1) {
    add_columns(block, cells_each, cells);
    return;
  }
#endif
  for (size_t i = 0; i < b.rows; i++) {
    const double *p = b.p + i * b.row;
    const int32_t *place = b.places + i * b.place_row;
    ls_class_cell *to = cells;
    for (size_t k = 0; k < b.classes; k++, p += b.class, place += b.place_class, to += cells_each) add_to_cell(to + *place, p);
  }
}

#endif
