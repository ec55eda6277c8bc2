/* Radix sort. SPDX-License-Identifier: MIT */
#include "core/eval/sort.h"

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

uint64_t *ls_sort_items(uint64_t *x, uint64_t *spare, size_t n, int words, int low_bit) {
  size_t counts[DIGITS][BUCKETS];
  memset(counts, 0, sizeof counts);
  if (n < 2) return x;
  for (size_t i = 0; i < n; i++) {
    uint64_t key = x[i * (size_t)words] >> low_bit;
    for (int d = 0; d < DIGITS; d++) counts[d][key >> DIGIT * d & (BUCKETS - 1)]++;
  }
  for (int d = 0; d < DIGITS; d++) {
    size_t sum = 0, most = 0;
    for (int b = 0; b < BUCKETS; b++) {
      size_t count = counts[d][b];
      most = count > most ? count : most;
      counts[d][b] = sum;
      sum += count;
    }
    if (most == n) continue;
    int shift = low_bit + DIGIT * d;
    scatter(x, spare, n, words, shift, counts[d]);
    uint64_t *swap = x;
    x = spare;
    spare = swap;
  }
  return x;
}
