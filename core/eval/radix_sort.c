/* Radix sort from the highest digit down, on the range that the keys of a run really have. SPDX-License-Identifier: MIT
 *
 * Confidences crowd: near 1, or in a few powers of two. So each run is cut by its own least and largest key, into at most 2048 buckets and up to twice as many as it
 * has items; the second cut of a million is in the cache. From the lowest digit up by the upper 33 bits was as fast for numbers that lie evenly and
 * took twice as long for such that crowd at 1. */
#include "core/eval/radix_sort.h"

#include "core/kernels/kernels.h"

#include <lsengine/pool.h>

#include <stdbool.h>

enum { MOST_DIGIT = 11, LEAST_DIGIT = 4, BUCKETS = 1 << MOST_DIGIT, SHORT = 24, TASKS = 64, LONG = 1 << 15 };

typedef struct run {
  size_t n, words;
  int low_bit;
} run;

/* Stable insertion sort: of a short run, or of one whose short buckets are in order. */
static void insert(uint64_t *x, const run *r) {
  int low = r->low_bit;
  for (size_t i = 1; i < r->n && r->words == 1; i++) {
    uint64_t item = x[i], key = item >> low;
    size_t at = i;
    for (; at > 0 && x[at - 1] >> low > key; at--) x[at] = x[at - 1];
    x[at] = item;
  }
  for (size_t i = 1; i < r->n && r->words == 2; i++) {
    uint64_t first = x[2 * i], second = x[2 * i + 1], key = first >> low;
    size_t at = i;
    for (; at > 0 && x[2 * at - 2] >> low > key; at--) x[2 * at] = x[2 * at - 2], x[2 * at + 1] = x[2 * at - 1];
    x[2 * at] = first;
    x[2 * at + 1] = second;
  }
}

/* Cuts a run into buckets in `to`; ends[b] is the end of bucket b. Returns how many, 0 where all keys are equal. */
static inline __attribute__((always_inline)) int cut_words(const uint64_t *x, uint64_t *to, const run *r, size_t w, size_t *ends, size_t *longest) {
  size_t n = r->n;
  uint64_t least = UINT64_MAX, most = 0, base;
  if (w == 1) ls_kernels_now()->evaluation->range(n, x, &least, &most);
  for (size_t i = 0; w > 1 && i < n; i++) {
    uint64_t item = x[i * w];
    least = item < least ? item : least;
    most = item > most ? item : most;
  }
  least >>= r->low_bit;
  most >>= r->low_bit;
  if (least == most) return 0;
  int digit = 64 - __builtin_clzll(n), bits = 64 - __builtin_clzll(most - least);
  digit = digit > MOST_DIGIT ? MOST_DIGIT : digit < LEAST_DIGIT ? LEAST_DIGIT : digit;
  int shift = bits > digit ? bits - digit : 0, buckets = (int)((most - least) >> shift) + 1;
  base = least << r->low_bit;
  shift += r->low_bit;
  memset(ends, 0, (size_t)buckets * sizeof *ends);
  for (size_t i = 0; i < n; i++) ends[(x[i * w] - base) >> shift]++;
  for (size_t b = 0, sum = 0; b < (size_t)buckets; b++) {
    size_t count = ends[b];
    *longest = count > *longest ? count : *longest;
    ends[b] = sum;
    sum += count;
  }
  if (w == 1)
    for (size_t i = 0; i < n; i++) to[ends[(x[i] - base) >> shift]++] = x[i];
  else
    for (size_t i = 0; i < n; i++) {
      size_t at = ends[(x[2 * i] - base) >> shift]++;
      to[2 * at] = x[2 * i];
      to[2 * at + 1] = x[2 * i + 1];
    }
  return buckets;
}

static int cut(const uint64_t *x, uint64_t *to, const run *r, size_t *ends, size_t *longest) {
  *longest = 0;
  return r->words == 1 ? cut_words(x, to, r, 1, ends, longest) : cut_words(x, to, r, 2, ends, longest);
}

/* Sorts a run; the result is in x, or in other. Each cut takes at least four bits: no deeper than 16. */
static void sort_run(uint64_t *x, uint64_t *other, const run *r, bool to_other) {
  size_t ends[BUCKETS], longest = 0;
  int buckets = 0;
  if (r->n <= SHORT)
    insert(x, r);
  else
    buckets = cut(x, other, r, ends, &longest);
  if (buckets > 0 && longest <= SHORT) {
    insert(other, r);
    if (!to_other) memcpy(x, other, r->n * r->words * sizeof *x);
    return;
  }
  if (buckets == 0) {
    if (to_other) memcpy(other, x, r->n * r->words * sizeof *x);
    return;
  }
  for (size_t b = 0, from = 0; b < (size_t)buckets; from = ends[b++]) {
    run part = {ends[b] - from, r->words, r->low_bit};
    if (part.n > 0) sort_run(other + from * r->words, x + from * r->words, &part, !to_other);
  }
}

typedef struct sort_job {
  uint64_t *x, *spare; /* spare holds the buckets */
  const run *all;
  const size_t *ends;
  int buckets;
} sort_job;

/* The buckets that begin in a task's part of the items. */
static void sort_buckets(void *argument, size_t task) {
  const sort_job *j = argument;
  size_t n = j->all->n, w = j->all->words, first = n / TASKS * task, last = task + 1 == TASKS ? n : n / TASKS * (task + 1);
  for (size_t b = 0, from = 0; b < (size_t)j->buckets && from < last; from = j->ends[b++]) {
    run part = {j->ends[b] - from, w, j->all->low_bit};
    if (from >= first && part.n > 0) sort_run(j->spare + from * w, j->x + from * w, &part, true);
  }
}

uint64_t *ls_sort_items(uint64_t *x, uint64_t *spare, size_t n, int words, int low_bit) {
  run all = {n, (size_t)words, low_bit};
  if (n < 2) return x;
  if (n < LONG) {
    sort_run(x, spare, &all, false);
    return x;
  }
  size_t ends[BUCKETS], longest;
  sort_job j = {x, spare, &all, ends, cut(x, spare, &all, ends, &longest)};
  if (j.buckets > 0) ls_parallel(LS_SITE_EVALUATE, TASKS, sort_buckets, &j);
  return x;
}
