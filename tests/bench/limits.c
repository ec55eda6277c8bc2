/* The machine's limits: multiplications and additions, OpenBLAS's best product, reading, scaling and copying. SPDX-License-Identifier: MIT
 *   limits MEGABYTES SIDE ROUNDS: arrays of so many MB, products of SIDE × SIDE. One thread. */
#include "measure.h"

#include <cblas.h>
#include <stdio.h>
#include <stdlib.h>

extern void openblas_set_num_threads(int);

typedef struct product {
  const float *a, *b;
  float *c;
  int side;
} product;

static void multiply(void *argument) {
  product *p = argument;
  cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, p->side, p->side, p->side, 1, p->a, p->side, p->b, p->side, 0, p->c, p->side);
}

int main(int argc, char **argv) {
  if (argc < 4) return 2;
  size_t n = (size_t)atol(argv[1]) << 18, side = (size_t)atol(argv[2]);
  product p = {bench_floats(side * side), bench_floats(side * side), bench_floats(side * side), (int)side};
  bench_copy copy = {bench_floats(n), bench_floats(n), n};
  bench_item items[8] = {{"multiply and add", bench_multiply_add, NULL}, {"sgemm", multiply, &p}, {"read", bench_read, &copy}, {"scale in place", bench_scale, &copy}};
  openblas_set_num_threads(1);
  double *times = bench_run(4 + bench_copies(&copy, items + 4), items, atoi(argv[3]));
  printf("=\tGFLOP/s, multiply and add\t%.1f\n=\tGFLOP/s, sgemm\t%.1f\n", BENCH_FLOPS / times[0] * 1e-9, 2.0 * (double)(side * side * side) / times[1] * 1e-9);
  double best = times[4] < times[5] ? times[4] : times[5];
  best = best < times[6] ? best : times[6];
  printf("=\tGB/s, read\t%.2f\n=\tGB/s, scale in place\t%.2f\n=\tGB/s, copy\t%.2f\n", (double)n * 4e-9 / times[2], (double)n * 8e-9 / times[3], (double)n * 8e-9 / best);
  return 0;
}
