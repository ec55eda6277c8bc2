/* Measures of classification. SPDX-License-Identifier: MIT */
#ifndef LSENGINE_CLASSIFICATION_H
#define LSENGINE_CLASSIFICATION_H

#include <lsengine/predictions.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ls_classification {
  int64_t rows;             /* judged */
  double accuracy;          /* share of rows whose first largest entry is at the label */
  double balanced_accuracy; /* mean recall of the classes that have rows */
  double nll;               /* mean of -log p_y, nats; inf where a probability given as 0 came true */
  double brier;             /* mean of sum_k (p_k - [y=k])², 0 … 2 */
  double macro_precision, macro_recall, macro_f1; /* means over the classes that are labels or predictions, 0 where undefined (as scikit-learn) */
} ls_classification;

typedef struct ls_class_score {
  int64_t count, predicted, right; /* rows with this label; with this prediction; with both */
  double nll, brier;               /* means over the rows with this label, 0 where there is none */
} ls_class_score;

#define LS_MOST_TOP 32

/* top[i] (1 … tops, at most LS_MOST_TOP of them, each >= 1): the share of rows whose label is among the top[i] largest entries, ties to the lower
 * class, goes to top_share[i]. `classes` receives K; `confusion` (K,K) counts, rows are labels, columns predictions, or NULL. O(nK). */
size_t ls_classification_scratch(const ls_predictions *p, bool confusion);
ls_status ls_classify(const ls_predictions *p, int32_t tops, const int32_t *top, void *scratch, ls_classification *out, double *top_share,
                      ls_class_score *classes, int64_t *confusion, ls_err *err);

#ifdef __cplusplus
}
#endif
#endif
