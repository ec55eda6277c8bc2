/* Confidences and doubts in order, as 64-bit keys with the verdict in the lowest bit: numbers in 0 … 1 leave the upper two bits of a double free.
 * SPDX-License-Identifier: MIT */
#ifndef LS_EVAL_ORDER_H
#define LS_EVAL_ORDER_H

#include "core/kernels/bits.h"

#include <lsengine/calibration.h>

static inline uint64_t ls_confidence_key(double c, uint8_t verdict) { return double_bits(c + 0.0) << 1 | verdict; }

static inline double ls_confidence_of(uint64_t key) { return double_of(key >> 1); }

ls_status ls_confidences_check(size_t n, const double *c, ls_err *err);

/* Keys of n confidences in rising order, equal ones as they come; in one of the halves of keys (2n). */
const uint64_t *ls_sorted_confidences(size_t n, const double *c, const uint8_t *a, uint64_t *keys);

#endif
