/* The pool of threads. SPDX-License-Identifier: MIT
 *
 * Work is cut into numbered blocks whose number and limits depend on the shape of the work alone, never on the number of
 * threads; each block writes memory of its own, and sums over blocks are taken afterwards in the order of the blocks. So
 * results are the same bits with any number of threads. Blocks cannot fail: everything is checked before. */
#ifndef LSENGINE_POOL_H
#define LSENGINE_POOL_H

#include <lsengine/status.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define LS_MAX_THREADS 256

/* The places that share out work; each counts its blocks. */
#define LS_SITES(SITE)                                                                                                   \
  SITE(MATMUL, "matmul")                                                                                                 \
  SITE(ELEMENTWISE, "elementwise")                                                                                       \
  SITE(REDUCE, "reduce")                                                                                                 \
  SITE(SOFTMAX, "softmax")                                                                                               \
  SITE(CROSS_ENTROPY, "cross_entropy")                                                                                   \
  SITE(PENALTY, "penalty")                                                                                               \
  SITE(OPTIMIZER, "optimizer")                                                                                           \
  SITE(DROPOUT, "dropout")                                                                                               \
  SITE(AUGMENT, "augment")                                                                                               \
  SITE(GATHER, "gather")                                                                                                 \
  SITE(MIX, "mixing")                                                                                                    \
  SITE(CONVOLUTION, "convolution")                                                                                       \
  SITE(POOLING, "pooling")                                                                                               \
  SITE(NORMALISATION, "normalisation")                                                                                   \
  SITE(NEIGHBOURS, "neighbours")                                                                                         \
  SITE(EVALUATE, "evaluate")

typedef enum ls_site {
#define LS_SITE_ENUM(name, text) LS_SITE_##name,
  LS_SITES(LS_SITE_ENUM)
#undef LS_SITE_ENUM
  LS_SITE_COUNT
} ls_site;

const char *ls_site_name(ls_site site);

/* Starts the pool: `threads` counts the calling one; 0 means one for each processor that the process may run on. Called
 * once, before anything else runs; LS_ERANGE outside 0 … LS_MAX_THREADS, LS_EPOOL where threads cannot be started. Without
 * a pool everything runs in the caller. */
ls_status ls_pool_start(int threads, ls_err *err);

/* Stops and joins the threads. No work may be under way. */
void ls_pool_stop(void);

int ls_pool_threads(void);

/* The calling thread's number in the pool, below ls_pool_threads(): which part of a scratch with one part a thread a block may use.
 * 0 for threads that are none of the pool's. What a part holds must make no difference to a result. */
int ls_pool_index(void);

/* Processors that this process may run on, at least 1. */
int ls_pool_processors(void);

typedef void ls_block_fn(void *argument, size_t block);

/* Runs fn(argument, 0 … blocks-1), each once, in any order, and returns when all are done. From within a block, or while
 * another thread of the program uses the pool, all blocks run in the caller. */
void ls_parallel(ls_site site, size_t blocks, ls_block_fn *fn, void *argument);

/* Blocks that a site has run in calls of more than one block since the start. */
uint64_t ls_pool_blocks(ls_site site);

#ifdef __cplusplus
}
#endif
#endif
