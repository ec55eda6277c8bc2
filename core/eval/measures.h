/* A measure of predictions, as one sweep for several of them knows it. SPDX-License-Identifier: MIT */
#ifndef LS_EVAL_MEASURES_H
#define LS_EVAL_MEASURES_H

#include "core/eval/predictions.h"

#include <lsengine/judging.h>

enum { LS_MEASURE_MEMORY = 64 << 20 }; /* bytes of a measure that the number of chunks is chosen for */

/* check, chunk_bytes and end are NULL where there is nothing to do. `memory` is of the size that `bytes` answers, a multiple of 8. */
typedef struct ls_measure {
  ls_sweep_wants (*wants)(const ls_judging *j);                       /* LS_WANT_NOTHING: not asked for */
  ls_status (*check)(const ls_predictions *p, const ls_judging *j, ls_err *err);
  size_t (*chunk_bytes)(const ls_predictions *p, const ls_judging *j); /* sums of a chunk */
  size_t (*bytes)(const ls_predictions *p, const ls_judging *j, size_t chunks);
  void (*begin)(const ls_predictions *p, const ls_judging *j, size_t chunks, void *memory);
  ls_take_fn *take;                                                    /* its context is the memory */
  void (*end)(const ls_predictions *p, const ls_judging *j, size_t chunks, int64_t kept, void *memory);
} ls_measure;

extern const ls_measure ls_measure_classification, ls_measure_bins, ls_measure_classwise, ls_measure_confidences, ls_measure_doubts;

#endif
