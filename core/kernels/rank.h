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
  const float *score;        /* -1e38 for a row that is left out */
  int32_t count, first, end; /* rows; those from first to end - 1 are relevant */
  int32_t top;               /* places that matter; count where all do */
  float reach;               /* scores that differ by no more may stand in the other order */
  int32_t relevant;          /* out: how many relevant rows may stand within the places that matter. The rest is undefined for none */
  float *sorted;             /* out: their scores, the largest first */
  int32_t *row;              /* out: and their places */
  int32_t *before;           /* out, relevant + 2: others with so many relevant rows nearer, without the doubtful ones */
  int32_t *doubtful, *after; /* out, count + 16: others that may be within reach of a relevant row; near how many of those they stand */
  float nearest;             /* out: largest score of the others; -inf for none */
  float *kept;               /* scratch, count + 16: scores of others that may stand within the places that matter … */
  int32_t *kept_row;         /* … and their places */
  uint16_t *part;            /* scratch, relevant + 32 */
  uint16_t *table;           /* scratch, LS_RANK_BUCKETS + 64 */
} ls_rank;

/* Fills what is marked; returns the number of doubtful others. O(count + relevant log relevant). */
typedef int32_t ls_rank_fn(ls_rank *r);

extern ls_rank_fn ls_rank_ref, ls_rank_avx2, ls_rank_avx512;

/* A sum in any order: of squared differences, or of -products; cosine: of squared differences of the scaled rows, halved. */
typedef double ls_near_fn(int metric, int32_t features, const float *query, double query_inverse, const float *row, double inverse);

extern ls_near_fn ls_near_ref, ls_near_avx2, ls_near_avx512;

#endif
