/* Sorting by 64-bit keys. SPDX-License-Identifier: MIT */
#ifndef LS_EVAL_RADIX_SORT_H
#define LS_EVAL_RADIX_SORT_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Stable ascending sort of n items of `words` (1 or 2) numbers each by the bits of their first number from `low_bit` on. The result is in x or in
 * spare (n items): returned. O(n) for keys of 64 bits; threads do not change it. */
uint64_t *ls_sort_items(uint64_t *x, uint64_t *spare, size_t n, int words, int low_bit);

/* Bits of a double in the order of the numbers: -0 and 0 are equal, NaN is not allowed. */
static inline uint64_t ls_ordered_bits(double x) {
  uint64_t u;
  x += 0.0;
  memcpy(&u, &x, sizeof u);
  return u >> 63 ? ~u : u | (uint64_t)1 << 63;
}

#endif
