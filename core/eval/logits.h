/* Logits with their labels, checked. SPDX-License-Identifier: MIT */
#ifndef LS_EVAL_LOGITS_H
#define LS_EVAL_LOGITS_H

#include <lsengine/view.h>

/* At least one row and one class; labels (rows) 0 … K-1 and not masked, no NaN or +inf. Errors name the row. O(nK). */
ls_status ls_check_logits(ls_cmat z, const int64_t *labels, ls_err *err);

#endif
