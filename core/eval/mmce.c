/* Maximum mean calibration error. SPDX-License-Identifier: MIT */
#include "core/eval/order.h"
#include "core/kernels/kernels.h"

#include <math.h>

enum { BLOCK = 256 };

size_t ls_mmce_scratch(size_t n) { return 2 * n * sizeof(uint64_t); }

ls_status ls_mmce(size_t n, const double *c, const uint8_t *a, const ls_order *order, double width, void *scratch, double *mmce, ls_err *err) {
  ls_status status = order == NULL || n == 0 ? ls_confidences_check(n, c, err) : LS_OK;
  if (status != LS_OK) return status;
  if (!(width > 0.0) || isinf(width)) return ls_fail(err, LS_ERANGE, "width is %g, allowed is any finite number above 0", width);
  const uint64_t *keys = order != NULL ? order->confidence : ls_sorted_confidences(n, c, a, scratch);
  double before = 0.0, sum = 0.0, last = ls_confidence_of(keys[0]), decay[BLOCK]; /* before: sum over the rows before of d exp(-(c - c_j)/width) */
  for (size_t from = 0; from < n; from += BLOCK) {
    size_t count = n - from < BLOCK ? n - from : BLOCK;
    for (size_t i = 0; i < count; i++) {
      double x = ls_confidence_of(keys[from + i]);
      decay[i] = (last - x) / width;
      last = x;
    }
    ls_kernels_now()->evaluation->exp(count, decay);
    for (size_t i = 0; i < count; i++) {
      double d = (double)(keys[from + i] & 1) - ls_confidence_of(keys[from + i]);
      before *= decay[i];
      sum += d * (d + 2.0 * before);
      before += d;
    }
  }
  *mmce = sqrt(fmax(0.0, sum)) / (double)n;
  return LS_OK;
}
