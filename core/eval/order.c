/* Confidences and doubts in order. SPDX-License-Identifier: MIT */
#include "core/eval/order.h"
#include "core/eval/radix_sort.h"

#include <string.h>

#define HALF_BITS ((uint64_t)0x3fe0000000000000) /* of 1/2 */

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

/* Whether of each confidence and its doubt the larger is 1 less the other to the bit, so that both are in one order. */
static bool are_complements(size_t n, const double *c, const double *doubt) {
  uint64_t other = 0;
  for (size_t i = 0; i < n; i++) {
    double less = c[i] < doubt[i] ? c[i] : doubt[i], more = c[i] < doubt[i] ? doubt[i] : c[i];
    other |= double_bits(1.0 - less) ^ double_bits(more);
  }
  return other == 0;
}

/* a where the mask is all ones, b where it is 0: which of the two is a coin's toss, not to be guessed by a branch. */
static inline uint64_t chosen(uint64_t mask, uint64_t a, uint64_t b) { return b ^ ((a ^ b) & mask); }

/* Rising with confidence, and as fine as the finer of the two: confidence below 1/2, from there on what doubt leaves. */
static inline uint64_t common_key(double c, double doubt, uint8_t verdict) {
  uint64_t below = double_bits(c + 0.0), above = 2 * HALF_BITS - double_bits(doubt + 0.0);
  return chosen((uint64_t)((int64_t)(below - HALF_BITS) >> 63), below, above) << 1 | verdict;
}

static inline void take_apart(uint64_t key, uint64_t *confidence, uint64_t *doubt) {
  uint64_t place = key >> 1, verdict = key & 1, unsure = (uint64_t)((int64_t)(place - HALF_BITS) >> 63);
  uint64_t less = chosen(unsure, place, 2 * HALF_BITS - place), more = double_bits(1.0 - double_of(less));
  *confidence = chosen(unsure, less, more) << 1 | verdict;
  *doubt = chosen(unsure, more, less) << 1 | (verdict ^ 1);
}

ls_status ls_sort_confidences(size_t n, const double *c, const double *doubt, const uint8_t *a, uint64_t *keys, ls_order *order, ls_err *err) {
  ls_status status = ls_confidences_check(n, c, err);
  if (status != LS_OK) return status;
  if (doubt == NULL || !are_complements(n, c, doubt)) {
    *order = (ls_order){ls_sorted_confidences(n, c, a, keys), NULL};
    return LS_OK;
  }
  for (size_t i = 0; i < n; i++) keys[i] = common_key(c[i], doubt[i], a[i]);
  uint64_t *sorted = ls_sort_items(keys, keys + n, n, 1, 1), *doubts = sorted == keys ? keys + n : keys;
  for (size_t i = 0; i < n; i++) take_apart(sorted[i], &sorted[i], &doubts[n - 1 - i]);
  *order = (ls_order){sorted, doubts};
  return LS_OK;
}
