/* Random numbers in bulk: random COUNT PERMUTED ROUNDS. SPDX-License-Identifier: MIT */
#include "measure.h"

#include <lsengine/cpu.h>
#include <lsengine/random.h>

#include <stdlib.h>

static ls_rng rng;
static size_t count, permuted;
static double *numbers;
static int64_t *order;

static void doubles(void *unused) {
  (void)unused;
  ls_rng_doubles(&rng, count, numbers);
}

static void normals(void *unused) {
  (void)unused;
  ls_rng_normals(&rng, count, numbers);
}

static void betas(void *unused) {
  (void)unused;
  bench_check(ls_rng_betas(&rng, 0.2, 0.2, count, numbers, &bench_err));
}

static void permutation(void *unused) {
  (void)unused;
  ls_rng_permutation(&rng, permuted, order);
}

int main(int argc, char **argv) {
  if (argc < 4) return 2;
  count = (size_t)atol(argv[1]);
  permuted = (size_t)atol(argv[2]);
  numbers = (double *)bench_floats(2 * count);
  order = (int64_t *)bench_floats(2 * permuted);
  bench_check(ls_cpu_start(getenv("LSENGINE_ISA"), &bench_err));
  ls_rng_seed(&rng, 1);
  bench_item items[] = {{"uniform doubles", doubles, NULL}, {"normals", normals, NULL}, {"beta(0.2, 0.2)", betas, NULL}, {"permutation", permutation, NULL}};
  bench_run(4, items, atoi(argv[3]));
  return 0;
}
