/* What the measures share: checked rows of logits. SPDX-License-Identifier: MIT */
#ifndef LS_EVAL_PREDICTIONS_H
#define LS_EVAL_PREDICTIONS_H

#include <lsengine/target.h>

/* Checks logits and labels and counts the rows that are kept. LS_ERANGE where there is none. */
ls_status ls_check_predictions(ls_cmat z, const int64_t *labels, ls_ignore ignore, int64_t *kept, ls_err *err);

enum { LS_EVALUATE_ROWS = 512 }; /* of a block */

#endif
