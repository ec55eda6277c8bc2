/* Radix sort. SPDX-License-Identifier: MIT */
#include "core/eval/radix_sort.h"

#include <stdbool.h>

enum { DIGIT = 11, BUCKETS = 1 << DIGIT, DIGITS = 6 };

static void scatter(const uint64_t *x, uint64_t *to, size_t n, int words, int shift, size_t *place) {
  if (words == 1)
    for (size_t i = 0; i < n; i++) to[place[x[i] >> shift & (BUCKETS - 1)]++] = x[i];
  else
    for (size_t i = 0; i < n; i++) {
      size_t at = place[x[2 * i] >> shift & (BUCKETS - 1)]++;
      to[2 * at] = x[2 * i];
      to[2 * at + 1] = x[2 * i + 1];
    }
}

/* By the digits from `first` to the last. */
static uint64_t *sort_by_digits(uint64_t *x, uint64_t *spare, size_t n, int words, int low_bit, int first) {
  size_t counts[DIGITS][BUCKETS];
  memset(counts, 0, sizeof counts);
  for (size_t i = 0; i < n; i++) {
    uint64_t key = x[i * (size_t)words] >> low_bit;
    for (int d = first; d < DIGITS; d++) counts[d][key >> DIGIT * d & (BUCKETS - 1)]++;
  }
  for (int d = first; d < DIGITS; d++) {
    size_t sum = 0, most = 0;
    for (int b = 0; b < BUCKETS; b++) {
      size_t count = counts[d][b];
      most = count > most ? count : most;
      counts[d][b] = sum;
      sum += count;
    }
    if (most == n) continue;
    scatter(x, spare, n, words, low_bit + DIGIT * d, counts[d]);
    uint64_t *swap = x;
    x = spare;
    spare = swap;
  }
  return x;
}

/* Stable insertion sort of a short run. */
static void insert(uint64_t *x, size_t n, int words, int low_bit) {
  for (size_t i = 1; i < n; i++) {
    uint64_t item[2] = {x[i * (size_t)words], words == 2 ? x[2 * i + 1] : 0};
    size_t at = i;
    for (; at > 0 && x[(at - 1) * (size_t)words] >> low_bit > item[0] >> low_bit; at--)
      memcpy(x + at * (size_t)words, x + (at - 1) * (size_t)words, (size_t)words * sizeof *x);
    memcpy(x + at * (size_t)words, item, (size_t)words * sizeof *x);
  }
}

/* The upper half of the bits first: among so many numbers few share it, and those that do are put right in their place. */
uint64_t *ls_sort_items(uint64_t *x, uint64_t *spare, size_t n, int words, int low_bit) {
  enum { FEW = 4096, SHORT = 24, HALF = DIGITS / 2 };
  size_t w = (size_t)words;
  if (n < 2) return x;
  if (n < FEW) return sort_by_digits(x, spare, n, words, low_bit, 0);
  uint64_t *sorted = sort_by_digits(x, spare, n, words, low_bit, HALF), *other = sorted == x ? spare : x;
  int half = low_bit + DIGIT * HALF;
  for (size_t from = 0, to; from < n; from = to) {
    bool ordered = true;
    for (to = from + 1; to < n && sorted[to * w] >> half == sorted[from * w] >> half; to++)
      ordered &= sorted[(to - 1) * w] >> low_bit <= sorted[to * w] >> low_bit;
    if (ordered) continue;
    if (to - from <= SHORT) {
      insert(sorted + from * w, to - from, words, low_bit);
      continue;
    }
    uint64_t *run = sort_by_digits(sorted + from * w, other + from * w, to - from, words, low_bit, 0);
    if (run != sorted + from * w) memcpy(sorted + from * w, run, (to - from) * w * sizeof *run);
  }
  return sorted;
}
