/* What the files of the driver over rows share. SPDX-License-Identifier: MIT */
#ifndef LS_LOSS_PENALTY_DRIVER_H
#define LS_LOSS_PENALTY_DRIVER_H

#include "core/kernels/kernels.h"
#include "core/loss/penalties/penalties.h"

typedef struct ls_penalty_job {
  const ls_kernels *kernels;
  const ls_penalty *penalty;
  ls_cmat z;
  const ls_target *target;
  const ls_penalty_options *options;
  ls_resolved resolved;
  bool one_hot;           /* one label a row, not softened */
  bool by_label;          /* rows go through `label`, the cross-entropy that it is added to included */
  bool past_cache;
  double *value, *weight; /* (rows) */
  double *cross;          /* (rows), by_label only: the cross-entropy, 0 unless the entry adds */
  double *buffers;        /* for each block: what one row wants in double, or a group of rows */
  size_t buffer;
  const ls_mat *grad;
  double denominator;
} ls_penalty_job;

static inline bool ls_penalty_counts(const ls_penalty_job *j, int32_t row) { return j->weight[row] >= 0.0 && j->denominator > 0.0; }

/* Value and gradient of a row by itself: zeros where it is ignored. */
void ls_penalty_one_row(const ls_penalty_job *j, int32_t row, double *buffer);

/* False for mass on a masked class. */
bool ls_penalty_read_target(const ls_penalty_job *j, int32_t row, double *q);

/* Rows row … end-1 of few classes by `label`, many at a time: contiguous logits and gradients. */
bool ls_penalty_labels_fit(const ls_penalty_job *j);
void ls_penalty_by_labels(const ls_penalty_job *j, int32_t row, int32_t end, double *buffer);

/* The same by the entry's form, where it has one. */
void ls_penalty_by_form(const ls_penalty_job *j, int32_t row, int32_t end, double *buffer);

/* Doubles of a buffer for either. */
size_t ls_penalty_group_buffer(const ls_penalty *p, int32_t classes);

#endif
