/* Lanes whose bit is set, one after the other. SPDX-License-Identifier: MIT */
#ifndef LS_KERNELS_PACK_H
#define LS_KERNELS_PACK_H

#include <stdint.h>

#if defined(__AVX2__) && !defined(__AVX512F__)
#include <immintrin.h>

/* A byte for each lane whose bit is set, in the order of the lanes. */
#define LS_LANE(bits, lane, rest) (((rest) << ((bits) >> (lane) & 1) * 8) + ((uint64_t)(bits) >> (lane) & 1) * (lane))
#define LS_LANES1(b) LS_LANE(b, 0, LS_LANE(b, 1, LS_LANE(b, 2, LS_LANE(b, 3, LS_LANE(b, 4, LS_LANE(b, 5, LS_LANE(b, 6, LS_LANE(b, 7, UINT64_C(0)))))))))
#define LS_LANES4(b) LS_LANES1(b), LS_LANES1((b) + 1), LS_LANES1((b) + 2), LS_LANES1((b) + 3)
#define LS_LANES16(b) LS_LANES4(b), LS_LANES4((b) + 4), LS_LANES4((b) + 8), LS_LANES4((b) + 12)
#define LS_LANES64(b) LS_LANES16(b), LS_LANES16((b) + 16), LS_LANES16((b) + 32), LS_LANES16((b) + 48)
static const uint64_t ls_lanes[256] = {LS_LANES64(0), LS_LANES64(64), LS_LANES64(128), LS_LANES64(192)};

static inline __m256i ls_lanes_of(uint32_t bits) { return _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)&ls_lanes[bits])); }

/* Those of eight numbers whose bit is set, first. */
static inline __m256i ls_pack_lanes(__m256i v, uint32_t bits) { return _mm256_permutevar8x32_epi32(v, ls_lanes_of(bits)); }

/* Eight numbers, and what is said of each: those whose bit is set. Whole vectors are stored; returns how many there are. */
static inline int32_t ls_pack8(__m256 v, __m256i about, uint32_t bits, float *to, int32_t *about_to) {
  __m256i lanes = ls_lanes_of(bits);
  _mm256_storeu_ps(to, _mm256_permutevar8x32_ps(v, lanes));
  _mm256_storeu_si256((__m256i *)(void *)about_to, _mm256_permutevar8x32_epi32(about, lanes));
  return __builtin_popcount(bits);
}

/* The same of eight consecutive numbers, with where they stand. */
static inline int32_t ls_pack8_from(__m256 v, int32_t first, uint32_t bits, float *to, int32_t *places) {
  __m256i lanes = ls_lanes_of(bits);
  _mm256_storeu_ps(to, _mm256_permutevar8x32_ps(v, lanes));
  _mm256_storeu_si256((__m256i *)(void *)places, _mm256_add_epi32(lanes, _mm256_set1_epi32(first)));
  return __builtin_popcount(bits);
}
#endif

#endif
