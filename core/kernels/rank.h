/* Where relevant rows stand among others, by scores with an error. SPDX-License-Identifier: MIT */
#ifndef LS_KERNELS_RANK_H
#define LS_KERNELS_RANK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LS_RANK_BUCKETS 16384
#define LS_RANK_MOST 32000 /* relevant rows */

/* A query's scores, the larger the nearer; relevant rows stand together, in two ranges where scores are those of candidates. */
typedef struct ls_rank {
  const float *score;        /* of all rows, -1e38 for one that is left out; or of candidates */
  const int32_t *place;      /* of candidates: their places */
  int32_t count, first, end; /* scores; rows from first to end - 1 are relevant … */
  int32_t drawn, drawn_end;  /* … and with candidates these */
  int32_t self;              /* with candidates: the place that is left out, or -1 */
  int32_t top;               /* places that matter; count where all do */
  float reach;               /* scores that differ by no more may stand in the other order */
  float least;               /* with candidates: all rows with least - reach or more are among them */
  int32_t relevant;          /* out: how many relevant rows may stand within the places that matter. The rest is undefined for none */
  float *sorted;             /* out: their scores, the largest first */
  int32_t *row;              /* out: and their places */
  int32_t *before;           /* out, relevant + 2: others with so many relevant rows nearer, without the doubtful ones */
  int32_t *doubtful, *after; /* out, count + 16: others that may be within reach of a relevant row; near how many of those they stand … */
  float *doubted;            /* … and their scores */
  float nearest;             /* out: largest score of the others, with candidates of all; -inf for none */
  float *kept;               /* scratch, count + 16: scores of others that may stand within the places that matter … */
  int32_t *kept_row;         /* … and their places */
  uint16_t *part;            /* scratch, relevant + 32 */
  uint16_t *table;           /* scratch, LS_RANK_BUCKETS + 64 */
} ls_rank;

/* Fills what is marked; returns the number of doubtful others. O(count + relevant log relevant). */
typedef int32_t ls_rank_fn(ls_rank *r);

/* By all scores. */
extern ls_rank_fn ls_rank_ref, ls_rank_avx2, ls_rank_avx512;

/* By candidates; -1 where fewer than `top` of them, but the one left out, have `least`. */
extern ls_rank_fn ls_rank_candidates_ref, ls_rank_candidates_avx2, ls_rank_candidates_avx512;

/* The first candidates of a query: scores of the first `count` rows, of which `drawn` are a sample of all `rows`. */
typedef struct ls_rank_draw {
  const float *score; /* -1e38 for one that is left out */
  int32_t drawn, count, rows, top;
  float deviations;  /* of the place in the sample, by which it is taken lower */
  float reach, twin; /* rows with `twin` or more are wanted, too */
  float least;       /* out: a score that `top` rows are likely to have */
  float threshold;   /* out: what is wanted of all rows: twin, or what is within reach of `least` */
  float *kept;       /* out, count + 16: scores of those that reach it … */
  int32_t *kept_row; /* … and their places */
} ls_rank_draw;

/* Fills what is marked; returns how many are kept. */
typedef int32_t ls_rank_draw_fn(ls_rank_draw *d);

extern ls_rank_draw_fn ls_rank_draw_ref, ls_rank_draw_avx2, ls_rank_draw_avx512;

/* A sum in any order: of squared differences, or of -products; cosine: of squared differences of the scaled rows, halved. */
typedef double ls_near_fn(int metric, int32_t features, const float *query, double query_inverse, const float *row, double inverse);

extern ls_near_fn ls_near_ref, ls_near_avx2, ls_near_avx512;

#endif
