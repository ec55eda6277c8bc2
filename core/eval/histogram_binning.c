/* Histogram binning. SPDX-License-Identifier: MIT */
#include <lsengine/calibrators.h>

#include "core/eval/radix_sort.h"

size_t ls_find_bin(size_t bins, const double *edges, double x) {
  size_t low = 0, high = bins - 1;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (edges[middle] <= x)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

size_t ls_fit_bins_scratch(size_t n) { return 4 * n * sizeof(uint64_t); }

/* Upper edges that cut n sorted numbers into parts of equal count. */
static void mass_edges(size_t n, const double *x, int32_t bins, uint64_t *items, double *edges) {
  for (size_t i = 0; i < n; i++) {
    items[2 * i] = ls_ordered_bits(x[i]);
    items[2 * i + 1] = i;
  }
  items = ls_sort_items(items, items + 2 * n, n, 2, 0);
  size_t end = 0, count = (size_t)bins;
  for (size_t b = 0; b < count; b++) {
    end += n / count + (b < n % count);
    edges[b] = b + 1 == count || end >= n ? 1.0 : end == 0 ? 0.0 : 0.5 * (x[items[2 * (end - 1) + 1]] + x[items[2 * end + 1]]);
  }
}

void ls_fit_bins(size_t n, const double *x, const uint8_t *y, int32_t bins, bool equal_mass, void *scratch, double *edges, double *values, double *counts) {
  if (equal_mass)
    mass_edges(n, x, bins, scratch, edges);
  else
    for (int32_t b = 0; b < bins; b++) edges[b] = (double)(b + 1) / bins;
  for (int32_t b = 0; b < bins; b++) values[b] = counts[b] = 0.0;
  for (size_t i = 0; i < n; i++) {
    size_t b = ls_find_bin((size_t)bins, edges, x[i]);
    counts[b] += 1.0;
    values[b] += y[i];
  }
  for (int32_t b = 0; b < bins; b++)
    values[b] = counts[b] > 0.0 ? values[b] / counts[b] : 0.5 * ((b > 0 ? edges[b - 1] : 0.0) + edges[b]);
}
