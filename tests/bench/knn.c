/* Exact nearest neighbours of normal rows by each instruction set: knn BASE QUERIES FEATURES K METRIC THREADS ROUNDS [SETS]. Preparation of the base is part of
 * the time, as a flat index needs none. SETS: names with commas, or the best that the processor has, and the best without AMX. SPDX-License-Identifier: MIT */
#include "measure.h"

#include <lsengine/cpu.h>
#include <lsengine/knn.h>
#include <lsengine/pool.h>
#include <lsengine/random.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static float *base, *queries, *distances;
static int64_t *rows;
static int32_t n, m, d, k;
static ls_metric metric;
static void *memory, *scratch;

static void search(void *set) {
  ls_knn index;
  bench_check(ls_cpu_start(ls_isa_name(*(ls_isa *)set), &bench_err));
  bench_check(ls_knn_prepare((ls_cmat){base, n, d, d}, metric, memory, &index, &bench_err));
  bench_check(ls_knn_search(&index, (ls_cmat){queries, m, d, d}, k, NULL, scratch, (ls_mat){distances, m, k, k}, rows, NULL, &bench_err));
}

int main(int argc, char **argv) {
  ls_isa sets[LS_ISA_AMX];
  bench_item items[LS_ISA_AMX];
  int count = 0;
  ls_rng r;
  ls_knn index;
  size_t bytes = 0;
  if (argc < 8) return 2;
  n = atoi(argv[1]), m = atoi(argv[2]), d = atoi(argv[3]), k = atoi(argv[4]);
  metric = argv[5][0] == 'i' ? LS_METRIC_INNER_PRODUCT : argv[5][0] == 'c' ? LS_METRIC_COSINE : LS_METRIC_L2;
  base = bench_floats((size_t)n * (size_t)d), queries = bench_floats((size_t)m * (size_t)d), distances = bench_floats((size_t)m * (size_t)k);
  rows = (int64_t *)(void *)bench_floats(2 * (size_t)m * (size_t)k);
  memory = bench_floats(ls_knn_bytes(n, d, metric) / sizeof(float) + 1);
  bench_check(ls_pool_start(atoi(argv[6]), &bench_err));
  ls_rng_seed(&r, 1);
  ls_rng_fill_normal(&r, (size_t)n * (size_t)d, base, 0, 1);
  ls_rng_fill_normal(&r, (size_t)m * (size_t)d, queries, 0, 1);
  for (int isa = LS_ISA_AMX; isa > LS_ISA_REF; isa--) {
    if (!ls_cpu_has((ls_isa)isa) || (argc > 8 && strstr(argv[8], ls_isa_name((ls_isa)isa)) == NULL)) continue;
    if (argc <= 8 && count > 0 && sets[count - 1] != LS_ISA_AMX) break;
    sets[count] = (ls_isa)isa;
    items[count] = (bench_item){ls_isa_name((ls_isa)isa), search, &sets[count]};
    bench_check(ls_cpu_start(ls_isa_name((ls_isa)isa), &bench_err));
    bench_check(ls_knn_prepare((ls_cmat){base, n, d, d}, metric, memory, &index, &bench_err));
    size_t wanted = ls_knn_search_scratch(&index, m, k);
    bytes = wanted > bytes ? wanted : bytes;
    count++;
  }
  scratch = bench_floats(bytes / sizeof(float) + 1);
  bench_run(count, items, atoi(argv[7]));
  printf("=\tbase, queries and answers, MB\t%.0f\n", ((double)(n + m) * d * 4 + (double)m * k * 12) / 1048576);
  bench_peak();
  return 0;
}
