/* Numbers of a generator drawn by the block and handed out one by one. SPDX-License-Identifier: MIT */
#ifndef LS_BASE_RANDOM_BLOCK_H
#define LS_BASE_RANDOM_BLOCK_H

#include "core/kernels/kernels.h"

enum { LS_RANDOM_BLOCK = 256 };

typedef struct ls_random_block {
  const ls_random_kernels *kernels;
  ls_rng *rng, start; /* start: before the block was drawn */
  size_t at, filled;
  uint64_t raw[LS_RANDOM_BLOCK];
} ls_random_block;

static inline void ls_random_block_begin(ls_random_block *b, ls_rng *r) {
  b->kernels = ls_kernels_now()->random;
  b->rng = r;
  b->at = b->filled = 0;
}

static inline void ls_random_block_fill(ls_random_block *b, size_t wanted) {
  b->start = *b->rng;
  b->at = 0;
  b->filled = wanted < LS_RANDOM_BLOCK ? wanted : LS_RANDOM_BLOCK;
  b->kernels->numbers(b->rng, b->filled, b->raw);
}

/* The next number; where the block is used up, `wanted` more are drawn. */
static inline uint64_t ls_random_block_next(ls_random_block *b, size_t wanted) {
  if (b->at == b->filled) ls_random_block_fill(b, wanted);
  return b->raw[b->at++];
}

/* Sets the generator to where it would be had the numbers been drawn one by one. */
static inline void ls_random_block_end(ls_random_block *b) {
  if (b->at < b->filled) {
    *b->rng = b->start;
    b->kernels->numbers(b->rng, b->at, b->raw);
  }
}

#endif
