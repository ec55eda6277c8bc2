/* What the benchmarks' programs share: interleaved rounds, and the machine's limits at a given size. SPDX-License-Identifier: MIT
 *
 * A program measures one subject in one process. Its items run in turn, round after round, so that what else the machine does
 * falls on all of them; each prints a line  ITEM <tab> MEDIAN <tab> LEAST <tab> QUARTILE <tab> QUARTILE  in seconds. */
#ifndef LS_BENCH_MEASURE_H
#define LS_BENCH_MEASURE_H

#include <lsengine/status.h>
#include <stddef.h>

typedef struct bench_item {
  const char *name;
  void (*run)(void *argument);
  void *argument;
} bench_item;

/* Runs each item once unmeasured, then `rounds` times in turn. Returns the medians, good until the next call. */
double *bench_run(int count, const bench_item *items, int rounds);

/* Prints the most memory that this process has held (VmHWM), where the system tells. */
void bench_peak(void);

/* Ends the program with the message where the status is not LS_OK. */
void bench_check(ls_status status);
extern ls_err bench_err;

/* Zeros, 64 bytes aligned, in pages that are there; ends the program where there is no memory. */
float *bench_floats(size_t n);

/* The copy of n floats in three ways; the best of them is the limit. Adds three items, returns 3. */
typedef struct bench_copy {
  const float *from;
  float *to;
  size_t n;
} bench_copy;
int bench_copies(bench_copy *c, bench_item *items);

/* Reading n floats: their sum in vectors. */
void bench_read(void *copy);

/* x[i] *= 1.0000001 in place. */
void bench_scale(void *copy);

/* 2·10⁸ multiplications and additions in registers, by the widest vectors that the processor has. */
#define BENCH_FLOPS 4e8
void bench_multiply_add(void *unused);

#endif
