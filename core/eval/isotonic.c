/* Isotonic regression by pooling adjacent violators. SPDX-License-Identifier: MIT */
#include <lsengine/calibrators.h>

#include "core/eval/radix_sort.h"

#include <math.h>

typedef struct pool {
  double weight, sum, first, last;
} pool;

size_t ls_isotonic_scratch(size_t n) { return n * (4 * sizeof(uint64_t) + sizeof(pool)); }

size_t ls_fit_isotonic(size_t n, const double *x, const uint8_t *y, void *scratch, double *knot_x, double *knot_y) {
  uint64_t *items = scratch;
  pool *pools = (pool *)(items + 4 * n);
  size_t count = 0, knots = 0;
  for (size_t i = 0; i < n; i++) {
    items[2 * i] = ls_ordered_bits(x[i]);
    items[2 * i + 1] = i;
  }
  items = ls_sort_items(items, items + 2 * n, n, 2, 0);
  for (size_t from = 0, to; from < n; from = to) {
    pool now = {0};
    now.first = now.last = x[items[2 * from + 1]];
    for (to = from; to < n && items[2 * to] == items[2 * from]; to++) now.weight += 1.0, now.sum += y[items[2 * to + 1]];
    while (count > 0 && pools[count - 1].sum * now.weight >= now.sum * pools[count - 1].weight) {
      const pool *before = &pools[--count];
      now.weight += before->weight;
      now.sum += before->sum;
      now.first = before->first;
    }
    pools[count++] = now;
  }
  for (size_t i = 0; i < count; i++) {
    double value = pools[i].sum / pools[i].weight;
    knot_x[knots] = pools[i].first, knot_y[knots++] = value;
    if (pools[i].last > pools[i].first) knot_x[knots] = pools[i].last, knot_y[knots++] = value;
  }
  return knots;
}

double ls_apply_isotonic(size_t knots, const double *knot_x, const double *knot_y, double x) {
  size_t low = 0, high = knots; /* the first knot beyond x */
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (knot_x[middle] <= x)
      low = middle + 1;
    else
      high = middle;
  }
  if (low == 0) return knot_y[0];
  if (low == knots) return knot_y[knots - 1];
  double part = (x - knot_x[low - 1]) / (knot_x[low] - knot_x[low - 1]);
  return knot_y[low - 1] + part * (knot_y[low] - knot_y[low - 1]);
}
