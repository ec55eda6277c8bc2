/* What the files of retrieval by tiles share. SPDX-License-Identifier: MIT */
#ifndef LS_EVAL_RETRIEVAL_TILES_H
#define LS_EVAL_RETRIEVAL_TILES_H

#include "core/eval/retrieval_parts.h"
#include "core/kernels/rank.h"

typedef struct ls_rank_job {
  const ls_retrieval_job *job;
  ls_knn_filter filter;
  int32_t most_doubts;           /* of a query: more are left to the next stage */
  int32_t *order, *place;        /* by labels: row of a position, position of a row */
  int64_t *class_of;             /* ascending labels … */
  int32_t *class_start, classes; /* … and their first positions; one more than classes */
  int32_t step, drawn;           /* of candidates: every step-th position, `drawn` of them, comes before the others; 0: the order by labels */
  int32_t *drawn_order;          /* … and the rows then */
  int32_t room;                  /* … for a query's candidates */
  char *slots;                   /* a thread's memory each */
  size_t slot;
  uint8_t *failed; /* for each query of the filter */
} ls_rank_job;

/* Memory for one query. */
typedef struct ls_rank_room {
  float *sorted, *kept, *doubted;
  int32_t *kept_row, *row, *before, *tied_others, *tied_relevant, *doubtful, *after;
  double *known; /* sums of the sorted rows, NaN until wanted */
  uint16_t *part, *table;
} ls_rank_room;

/* A query: its rows have their places, but for doubts. */
typedef struct ls_ranked {
  size_t i; /* of the filter */
  ls_rank rank;
  ls_standing to;
  double twin; /* score that a twin has at least */
  double *known;
  int32_t doubts;
  int64_t effort; /* left for doubts */
} ls_ranked;

/* Room for so many scores; returns the bytes, which are laid out from memory on where `room` is not NULL. */
size_t ls_rank_lay_out(int32_t scores, void *memory, ls_rank_room *room);

/* What is known of a query before its scores; false where tiles cannot decide it. */
bool ls_rank_open(const ls_rank_job *r, size_t i, ls_ranked *q);

/* Where its scores are to be ranked. */
void ls_rank_give(ls_ranked *q, const ls_rank_room *room);

/* Keeps the doubts that have a relevant row within reach, and asks for their rows, which had better not be needed at once; false where deciding them would be more work than
 * going through all values. */
bool ls_rank_sift(const ls_rank_job *r, ls_ranked *q);

/* Decides the doubts, and the measures. */
void ls_rank_close(const ls_rank_job *r, ls_ranked *q);

/* The first places by candidates: whether it can be done for queries to which at most so many places matter; bytes of a thread's memory; the order of the packed rows;
 * the queries of the filter, once it has begun. */
bool ls_rank_has_candidates(const ls_knn *gallery, const ls_knn_plan *p, int32_t most);
size_t ls_rank_candidates_slot(const ls_knn *gallery, const ls_knn_plan *p);
void ls_rank_draw_rows(ls_rank_job *r, int32_t most);
void ls_rank_by_candidates(ls_rank_job *r);

#endif
