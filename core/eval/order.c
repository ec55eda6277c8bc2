/* Confidences and doubts in order. SPDX-License-Identifier: MIT */
#include "core/eval/order.h"
#include "core/eval/radix_sort.h"
#include "core/kernels/kernels.h"

ls_status ls_confidences_check(size_t n, const double *c, ls_err *err) {
  if (n == 0) return ls_fail(err, LS_ERANGE, "there is no row to judge");
  bool outside = false;
  for (size_t i = 0; i < n; i++) outside |= !(c[i] >= 0.0) | !(c[i] <= 1.0);
  for (size_t i = 0; outside && i < n; i++)
    if (!(c[i] >= 0.0 && c[i] <= 1.0)) return ls_fail(err, LS_ERANGE, "confidence[%zu] is %g, allowed is 0 to 1", i + 1, c[i]);
  return LS_OK;
}

const uint64_t *ls_sorted_confidences(size_t n, const double *c, const uint8_t *a, uint64_t *keys) {
  for (size_t i = 0; i < n; i++) keys[i] = ls_confidence_key(c[i], a[i]);
  return ls_sort_items(keys, keys + n, n, 1, 1);
}

ls_status ls_sort_confidences(size_t n, const double *c, const double *doubt, const uint8_t *a, uint64_t *keys, ls_order *order, ls_err *err) {
  const ls_evaluation_kernels *k = ls_kernels_now()->evaluation;
  if (n == 0 || doubt == NULL || !k->common_keys(n, c, doubt, a, keys)) {
    ls_status status = ls_confidences_check(n, c, err);
    if (status == LS_OK) *order = (ls_order){ls_sorted_confidences(n, c, a, keys), NULL};
    return status;
  }
  uint64_t *sorted = ls_sort_items(keys, keys + n, n, 1, 1), *doubts = sorted == keys ? keys + n : keys;
  k->take_apart(n, sorted, doubts);
  *order = (ls_order){sorted, doubts};
  return LS_OK;
}
