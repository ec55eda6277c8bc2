/* Keys of confidences and doubts in order (core/eval/order.h), and sums over them. SPDX-License-Identifier: MIT */
#ifndef LS_KERNELS_ORDERS_TMPL_H
#define LS_KERNELS_ORDERS_TMPL_H

#include "core/kernels/bits.h"
#include "core/kernels/doubles_tmpl.h"
#include "core/kernels/kernels.h"

enum { GROUP = 8, VECTORS = GROUP / HALF };

static double sum_of_group(const dvec *v) {
  double s[GROUP];
  for (int i = 0; i < VECTORS; i++) store_doubles(s + i * HALF, v[i]);
  return ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]));
}

#define HALF_BITS ((uint64_t)0x3fe0000000000000) /* of 1/2 */

/* As fine as the finer of the two: confidence below 1/2, from there on what doubt leaves. */
static bool common_keys_kernel(size_t n, const double *c, const double *doubt, const uint8_t *a, uint64_t *restrict keys) {
  uint64_t other = 0;
  for (size_t i = 0; i < n; i++) {
    double less = c[i] < doubt[i] ? c[i] : doubt[i], more = c[i] < doubt[i] ? doubt[i] : c[i];
    uint64_t below = double_bits(c[i] + 0.0), above = 2 * HALF_BITS - double_bits(doubt[i] + 0.0);
    other |= (double_bits(1.0 - less) ^ double_bits(more)) | (c[i] >= 0.0 && c[i] <= 1.0 ? 0 : 1);
    keys[i] = ((int64_t)below < (int64_t)HALF_BITS ? below : above) << 1 | a[i];
  }
  return other == 0;
}

static void take_apart_kernel(size_t n, uint64_t *restrict keys, uint64_t *restrict doubts) {
  for (size_t i = 0; i < n; i++) {
    uint64_t place = keys[i] >> 1, verdict = keys[i] & 1;
    bool unsure = (int64_t)place < (int64_t)HALF_BITS;
    uint64_t less = unsure ? place : 2 * HALF_BITS - place, more = double_bits(1.0 - double_of(less));
    keys[i] = (unsure ? less : more) << 1 | verdict;
    doubts[n - 1 - i] = (unsure ? more : less) << 1 | (verdict ^ 1);
  }
}

static inline dvec confidences_of(const uint64_t *keys, ulvec *key) {
  memcpy(key, keys, sizeof *key);
  return (dvec)(*key >> 1);
}

static size_t add_sorted_kernel(size_t n, const uint64_t *keys, bool apart, ls_sorted_sums *sums) {
  dvec c_sum[VECTORS] = {{0}}, a_sum[VECTORS] = {{0}}, squares[VECTORS] = {{0}}, products[VECTORS] = {{0}}, brier[VECTORS] = {{0}};
  size_t i = 0;
  for (; i + GROUP <= n; i += GROUP) {
    mask differs = below(all_doubles(0.0), all_doubles(1.0));
    dvec c[VECTORS];
    ulvec key[VECTORS], next;
    for (int v = 0; v < VECTORS; v++) {
      c[v] = confidences_of(keys + i + v * HALF, &key[v]);
      differs &= differ(c[v], confidences_of(keys + i + v * HALF + 1, &next));
    }
    if (apart && !everywhere(differs)) break;
    for (int v = 0; v < VECTORS; v++) {
      dvec a = (dvec)((0 - (key[v] & 1)) & (ulvec)all_doubles(1.0)), gap = c[v] - a;
      c_sum[v] += c[v];
      a_sum[v] += a;
      squares[v] += c[v] * c[v];
      products[v] += c[v] * a;
      brier[v] += gap * gap;
    }
  }
  if (i > 0) *sums = (ls_sorted_sums){sum_of_group(c_sum), sum_of_group(a_sum), sum_of_group(squares), sum_of_group(products), sum_of_group(brier)};
  return i;
}

static void range_kernel(size_t n, const uint64_t *x, uint64_t *least, uint64_t *most) {
  uint64_t low = UINT64_MAX, high = 0;
  for (size_t i = 0; i < n; i++) low = x[i] < low ? x[i] : low, high = x[i] > high ? x[i] : high;
  *least = low;
  *most = high;
}

#endif
