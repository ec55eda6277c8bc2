/* SPDX-License-Identifier: MIT */
#include "core/eval/sort.h"

/* Bottom-up merging; `at_most(i, j)` compares what lies at two places of x. */
#define MERGE_SORT(type, at_most)                                                                                        \
  for (size_t width = 1; width < n; width *= 2) {                                                                        \
    for (size_t from = 0; from < n; from += 2 * width) {                                                                 \
      size_t middle = from + width < n ? from + width : n, end = from + 2 * width < n ? from + 2 * width : n;            \
      size_t i = from, j = middle;                                                                                       \
      for (size_t to = from; to < end; to++) spare[to] = i < middle && (j >= end || (at_most)) ? x[i++] : x[j++];        \
    }                                                                                                                    \
    type *swap = x;                                                                                                      \
    x = spare;                                                                                                           \
    spare = swap;                                                                                                        \
  }                                                                                                                      \
  return x;

int64_t *ls_sort_integers(size_t n, int64_t *x, int64_t *spare) { MERGE_SORT(int64_t, x[i] <= x[j]) }

double *ls_sort_doubles(size_t n, double *x, double *spare) { MERGE_SORT(double, x[i] <= x[j]) }

size_t *ls_sort_places(size_t n, const double *key, size_t *x, size_t *spare) {
  for (size_t place = 0; place < n; place++) x[place] = place;
  MERGE_SORT(size_t, key[x[i]] <= key[x[j]])
}
