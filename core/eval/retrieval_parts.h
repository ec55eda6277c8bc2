/* What the files of retrieval share. SPDX-License-Identifier: MIT */
#ifndef LS_EVAL_RETRIEVAL_PARTS_H
#define LS_EVAL_RETRIEVAL_PARTS_H

#include "core/eval/knn_parts.h"

#include <lsengine/retrieval.h>

/* Where a query's relevant rows stand among the others. [h]: others that have h relevant rows nearer. */
typedef struct ls_standing {
  int32_t relevant;       /* R */
  int32_t kept;           /* relevant rows that the arrays tell of: all, or those within the places that matter, and some more */
  int32_t *before;        /* and tie with none; relevant + 2 places */
  int32_t *tied_others;   /* and tie with the next … */
  int32_t *tied_relevant; /* … so many relevant rows; both all zeros where `tied` is false, and undefined for h where nothing ties */
  bool tied, twin;
} ls_standing;

typedef struct ls_retrieval_job {
  const ls_knn *gallery;
  const int64_t *gallery_labels, *labels, *self;
  ls_cmat queries;
  double near; /* of the values: another row so near is a twin */
  bool whole;  /* the ranking from end to end; else the first max(R, at) places */
  int32_t at_count;
  const int32_t *at;
  const double *discounts; /* [i]: sum of 1/log2(j+1) over j <= i */
  ls_retrieval_query *about;
  double *measures;
  int32_t *by_candidates; /* or NULL; out: queries whose candidates sufficed */
} ls_retrieval_job;

/* A row of the gallery that makes the query one with a twin. */
bool ls_retrieval_is_twin(const ls_retrieval_job *j, const float *query, ls_neighbour x);

/* Measures of query i. */
void ls_retrieval_measure(const ls_retrieval_job *j, int32_t i, const ls_standing *s);

/* By values of all rows; scratch of ls_retrieval_direct_bytes. */
size_t ls_retrieval_direct_bytes(int32_t rows);
void ls_retrieval_direct(const ls_retrieval_job *j, int32_t i, void *scratch);

/* All queries by tiles, those aside that tiles cannot decide: their numbers go to `left`, their count is returned. */
size_t ls_retrieval_tiles_bytes(const ls_knn *gallery, int32_t queries);
int32_t ls_retrieval_by_tiles(const ls_retrieval_job *j, void *scratch, int32_t *left);

/* False where it must be ls_retrieval_direct throughout. */
bool ls_retrieval_has_tiles(const ls_knn *gallery, int32_t queries);

#endif
