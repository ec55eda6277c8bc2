/* Where relevant rows stand among others, by scores with an error. SPDX-License-Identifier: MIT */
#ifndef LS_KERNELS_RANK_H
#define LS_KERNELS_RANK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LS_RANK_BUCKETS 16384
#define LS_RANK_MOST 32000 /* relevant rows */

/* A query's scores, the larger the nearer; relevant rows stand together. */
typedef struct ls_rank {
  const float *score;
  int32_t count, first, end; /* rows; those from first to end - 1 are relevant */
  int32_t self;              /* a relevant row that is left out, or -1 */
  float reach;               /* scores that differ by no more may stand in the other order */
  int32_t relevant;          /* out: how many, without self. The rest is undefined for none */
  float *sorted;             /* out: their scores, the largest first */
  int32_t *row;              /* out: and their places */
  int32_t *before;           /* out, relevant + 2: others with so many relevant rows nearer, without the doubtful ones */
  int32_t *doubtful, *after; /* out, count: others that may be within reach of a relevant row; how many of those are surely nearer */
  float nearest;             /* out: largest score of the others; -inf for none */
  uint64_t *keys;            /* scratch, 2 · relevant */
  uint16_t *table;           /* scratch, LS_RANK_BUCKETS + 64 */
} ls_rank;

/* Fills what is marked; returns the number of doubtful others. O(count + relevant log relevant). */
typedef int32_t ls_rank_fn(ls_rank *r);

extern ls_rank_fn ls_rank_ref, ls_rank_avx2, ls_rank_avx512;

/* A sum in any order: of squared differences, or of -products; cosine: of squared differences of the scaled rows, halved. */
typedef double ls_near_fn(int metric, int32_t features, const float *query, double query_inverse, const float *row, double inverse);

extern ls_near_fn ls_near_ref, ls_near_avx2, ls_near_avx512;

#endif
