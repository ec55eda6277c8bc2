/* Predictions to be judged: logits or probabilities of any framework, with labels. SPDX-License-Identifier: MIT
 *
 * Everything is computed in double from the float32 numbers given. Rows with the ignored label are left out. -inf logits are masked classes.
 * Errors, as all measures report them (rows counted from 1; outputs are unspecified then): LS_ERANGE for no row to judge, a label out of
 * range or on a masked class; LS_EVALUE for NaN and +inf logits; for probabilities LS_ERANGE where one is outside 0 … 1 or a row does not sum
 * to 1, within 1e-4. The first such row is named. The bits do not depend on threads. */
#ifndef LSENGINE_PREDICTIONS_H
#define LSENGINE_PREDICTIONS_H

#include <lsengine/target.h>

#ifdef __cplusplus
extern "C" {
#endif

#define LS_PROBABILITY_TOLERANCE 1e-4
#define LS_LEAST_JUDGED_TEMPERATURE 1e-100

typedef struct ls_predictions {
  ls_cmat z;             /* (n,K): logits, or probabilities as they are (not normalised again) */
  const int64_t *labels; /* (n): 0 … K-1, or the ignored one */
  ls_ignore ignore;
  bool probabilities;
  double temperature;    /* of logits: softmax(z / T), 1e-100 to 1e100, so that 1 / T times a difference is finite. Probabilities are taken as they are whatever it says */
} ls_predictions;

/* Checks what does not need a sweep: classes, temperature, and whether a row is kept, which it counts. O(n). */
ls_status ls_predictions_check(const ls_predictions *p, int64_t *kept, ls_err *err);

/* One confidence and one verdict a kept row, in order: c = max_k p_k, correct = the first largest is at the label. */
size_t ls_confidences_scratch(const ls_predictions *p);
ls_status ls_confidences(const ls_predictions *p, void *scratch, double *confidence, uint8_t *correct, int64_t *kept, ls_err *err);

#ifdef __cplusplus
}
#endif
#endif
