/* Measures of predictions in one sweep. SPDX-License-Identifier: MIT
 *
 * The softmax of N×K logits is most of what a measure costs. So those that are wanted together are made together: ls_judge goes over the rows once and
 * hands each part of them to every measure that is asked for. ls_classify, ls_doubts and the others that take predictions are this with one measure. */
#ifndef LSENGINE_JUDGING_H
#define LSENGINE_JUDGING_H

#include <lsengine/calibration.h>
#include <lsengine/classification.h>
#include <lsengine/selective.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What is NULL is not made; what a group holds is said where its own function is declared. */
typedef struct ls_judging {
  ls_classification *classification; /* with tops, top, top_share, class_scores (K), and confusion (K,K) or NULL: as of ls_classify */
  int32_t tops;
  const int32_t *top;
  double *top_share;
  ls_class_score *class_scores;
  int64_t *confusion;

  const ls_binning *binning; /* of equal width, for the next two */
  ls_calibration *calibration; /* with bins: as of ls_calibrate_predictions */
  ls_bin *bins;
  ls_classwise *classwise; /* with classes (K): as of ls_classwise_calibration */
  ls_class_calibration *classes;

  double *confidence; /* (n) */
  uint8_t *correct;   /* (n) */
  double *doubt;      /* (n), by score */
  uint8_t *wrong;     /* (n) */
  ls_score score;
} ls_judging;

/* *kept: rows that were not left out. Sums are taken in at most 64 parts of the rows, fewer where a measure's memory for each would be large: with many
 * thousand classes the last bits may depend on what else is wanted, and bins that are wanted alone are made as of ls_calibrate_predictions: from 16384 rows on faster and less exact. Errors as of each function; O(nK). */
size_t ls_judge_scratch(const ls_predictions *p, const ls_judging *wants);
ls_status ls_judge(const ls_predictions *p, const ls_judging *wants, void *scratch, int64_t *kept, ls_err *err);

#ifdef __cplusplus
}
#endif
#endif
