/* Rows of few classes side by side: columns of a group's rows, the largest of each and where it is. SPDX-License-Identifier: MIT */
#ifndef LS_KERNELS_COLUMNS_TMPL_H
#define LS_KERNELS_COLUMNS_TMPL_H

#include "core/kernels/doubles_tmpl.h"

#if defined(__AVX2__)
#if defined(__AVX512F__)
#define LOWER_PAIRS _mm512_unpacklo_ps
#define UPPER_PAIRS _mm512_unpackhi_ps
#define HALVES_OF _mm512_shuffle_ps
#else
#define LOWER_PAIRS _mm256_unpacklo_ps
#define UPPER_PAIRS _mm256_unpackhi_ps
#define HALVES_OF _mm256_shuffle_ps
#endif

static inline __m128 four_of(const float *z, int32_t classes) {
  const __m128i place = _mm_setr_epi32(0, 1, 2, 3);
  return classes >= 4 ? _mm_loadu_ps(z) : _mm_maskload_ps(z, _mm_cmpgt_epi32(_mm_set1_epi32(classes), place));
}

/* Rows i, i + 4, … side by side in the quarters of a register. */
static inline vec quarters_of(const float *const *row, int32_t k, int32_t classes) {
#if defined(__AVX512F__)
  __m512 x = _mm512_castps128_ps512(four_of(row[0] + k, classes));
  x = _mm512_insertf32x4(x, four_of(row[4] + k, classes), 1);
  x = _mm512_insertf32x4(x, four_of(row[8] + k, classes), 2);
  return _mm512_insertf32x4(x, four_of(row[12] + k, classes), 3);
#else
  return _mm256_insertf128_ps(_mm256_castps128_ps256(four_of(row[0] + k, classes)), four_of(row[4] + k, classes), 1);
#endif
}

/* Four classes of WIDTH rows: each quarter is transposed by itself. */
static inline void four_columns(const float *const *row, int32_t k, int32_t classes, float *z) {
  vec x[4];
  for (int i = 0; i < 4; i++) x[i] = quarters_of(row + i, k, classes);
  vec a = LOWER_PAIRS(x[0], x[1]), b = UPPER_PAIRS(x[0], x[1]), c = LOWER_PAIRS(x[2], x[3]), d = UPPER_PAIRS(x[2], x[3]);
  store(z, HALVES_OF(a, c, 0x44));
  store(z + WIDTH, HALVES_OF(a, c, 0xee));
  store(z + 2 * WIDTH, HALVES_OF(b, d, 0x44));
  store(z + 3 * WIDTH, HALVES_OF(b, d, 0xee));
}
#endif

/* Columns of a group's rows: z[k · WIDTH + row]; z has room for four classes at least. */
static inline void columns_of(int32_t classes, const float *const *row, float *z) {
#if defined(__AVX2__)
  int32_t k = 0;
  for (; k + 4 <= classes; k += 4) four_columns(row, k, 4, z + k * WIDTH);
  if (classes < 4) four_columns(row, 0, classes, z);
  else if (k < classes) four_columns(row, classes - 4, 4, z + (classes - 4) * WIDTH); /* some of them again */
#else
  for (int l = 0; l < WIDTH; l++)
    for (int32_t k = 0; k < classes; k++) z[k * WIDTH + l] = row[l][k];
#endif
}

static inline vec floats_of(const int32_t *x) {
#if defined(__AVX512F__)
  return _mm512_cvtepi32_ps(_mm512_loadu_si512(x));
#elif defined(__AVX2__)
  return _mm256_cvtepi32_ps(_mm256_loadu_si256((const __m256i *)x));
#else
  vec v;
  for (int l = 0; l < WIDTH; l++) v[l] = (float)x[l];
  return v;
#endif
}

typedef struct leaders {
  vec top, second, best;
} leaders;

static inline leaders leaders_of(int32_t classes, const float *z) {
  leaders r = {load(z), all_lanes(-INFINITY), all_lanes(0.0f)};
  vec class = all_lanes(1.0f);
  for (int32_t k = 1; k < classes; k++, class += 1.0f) {
    vec v = load(z + k * WIDTH), lower = smaller_of(v, r.top);
    r.best = where_above(v, r.top, class, r.best);
    r.top = larger_of(v, r.top);
    r.second = larger_of(lower, r.second);
  }
  return r;
}

/* The labels' logits and numbers. */
static inline void own_of(const int32_t *label, const float *z, float *own, float *y) {
#if defined(__AVX512F__)
  const __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  __m512i k = _mm512_loadu_si512(label);
  _mm512_storeu_ps(own, _mm512_i32gather_ps(_mm512_add_epi32(_mm512_slli_epi32(k, 4), lane), z, 4));
#else
  for (int l = 0; l < WIDTH; l++) own[l] = z[label[l] * WIDTH + l];
#endif
  store(y, floats_of(label));
}

static inline void store_indices(int32_t *to, vec v) {
#if defined(__AVX512F__)
  _mm512_storeu_si512(to, _mm512_cvttps_epi32(v));
#elif defined(__AVX2__)
  _mm256_storeu_si256((__m256i *)to, _mm256_cvttps_epi32(v));
#else
  for (int l = 0; l < WIDTH; l++) to[l] = (int32_t)v[l];
#endif
}

#endif
