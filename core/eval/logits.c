/* Logits with their labels, checked. SPDX-License-Identifier: MIT */
#include "core/eval/logits.h"

#include <math.h>

ls_status ls_check_logits(ls_cmat z, const int64_t *labels, ls_err *err) {
  if (z.cols < 1) return ls_fail(err, LS_ESHAPE, "logits have no class");
  if (z.rows < 1) return ls_fail(err, LS_ERANGE, "there is no row to judge");
  for (int32_t i = 0; i < z.rows; i++) {
    const float *row = z.data + i * z.stride;
    if (labels[i] < 0 || labels[i] >= z.cols)
      return ls_fail(err, LS_ERANGE, "labels[%d] is %lld but logits have %d %s (0..%d)", i + 1, (long long)labels[i], z.cols, z.cols == 1 ? "class" : "classes", z.cols - 1);
    for (int32_t k = 0; k < z.cols; k++)
      if (isnan(row[k]) || row[k] == INFINITY) return ls_fail(err, LS_EVALUE, "logits[%d] is %s for class %d", i + 1, isnan(row[k]) ? "NaN" : "+inf", k);
    if (row[labels[i]] == -INFINITY)
      return ls_fail(err, LS_ERANGE, "labels[%d] is %lld, a class that is masked (its logit is -inf)", i + 1, (long long)labels[i]);
  }
  return LS_OK;
}
