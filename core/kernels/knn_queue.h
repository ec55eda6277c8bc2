/* Scores of a tile's row into a queue. SPDX-License-Identifier: MIT */
#ifndef LS_KERNELS_KNN_QUEUE_H
#define LS_KERNELS_KNN_QUEUE_H

#include "core/kernels/knn.h"

#if defined(__AVX512F__)
#include <immintrin.h>

static const int32_t ls_knn_counting[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

/* Those of 16 consecutive rows whose bit is set; whole vectors are stored. */
static inline void ls_knn_push16(ls_knn_queue *q, __m512 score, uint32_t bits, int32_t first) {
  __m512i row = _mm512_add_epi32(_mm512_loadu_si512(ls_knn_counting), _mm512_set1_epi32(first));
  _mm512_storeu_ps(q->score + q->count, _mm512_maskz_compress_ps((__mmask16)bits, score));
  _mm512_storeu_si512(q->row + q->count, _mm512_maskz_compress_epi32((__mmask16)bits, row));
  q->count += __builtin_popcount(bits);
}
#endif

#endif
