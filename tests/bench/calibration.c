/* Calibration of N×K logits from C: calibration THREADS N K: median times in ms of 9 runs, in one interleaved run, of the read of the logits and labels alone, of
 * accuracy and ECE alone, and of the full analysis (accuracy, NLL, Brier, ECE of equal width and of equal mass with every norm and debiasing, class-wise ECE, smooth ECE,
 * MMCE, AURC), then the measures. With a file name, the logits and labels are written there for the peers. SPDX-License-Identifier: MIT */
#define _POSIX_C_SOURCE 200809L
#include <lsengine/calibration.h>
#include <lsengine/classification.h>
#include <lsengine/cpu.h>
#include <lsengine/pool.h>
#include <lsengine/random.h>
#include <lsengine/selective.h>

#include "core/kernels/kernels.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { RUNS = 9, BINS = 15, PARTS = 64 };

static ls_err err;

static void check(ls_status status) {
  if (status == LS_OK) return;
  fprintf(stderr, "calibration: %s\n", err.message);
  exit(1);
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

static int by_value(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static double median(double *times) {
  qsort(times, RUNS, sizeof *times, by_value);
  return times[RUNS / 2];
}

typedef struct read_job {
  const float *z;
  size_t count;
  double sums[PARTS];
} read_job;

/* The read that everything is measured against: the sum of all logits, as fast as the kernels can. */
static void read_block(void *argument, size_t block) {
  read_job *j = argument;
  size_t each = j->count / PARTS;
  const ls_kernels *k = ls_kernels_now();
  j->sums[block] = (double)k->max(each, j->z + block * each);
}

static void *bytes(size_t n) {
  void *x = aligned_alloc(64, (n + 63) / 64 * 64);
  if (x == NULL) exit(1);
  return x;
}

int main(int argc, char **argv) {
  if (argc < 4) return 2;
  int32_t n = atoi(argv[2]), k = atoi(argv[3]);
  check(ls_cpu_start(NULL, &err));
  check(ls_pool_start(atoi(argv[1]), &err));
  ls_rng r;
  ls_rng_seed(&r, 1);
  float *z = bytes((size_t)n * k * sizeof *z);
  int64_t *y = bytes((size_t)n * sizeof *y);
  ls_rng_fill_normal(&r, (size_t)n * k, z, 0, 2);
  for (int32_t i = 0; i < n; i++) {
    y[i] = ls_rng_integer(&r, 0, k - 1);
    z[(size_t)i * k + y[i]] += 3;
  }
  if (argc > 4) {
    FILE *f = fopen(argv[4], "wb");
    if (f == NULL || fwrite(z, sizeof *z, (size_t)n * k, f) != (size_t)n * k || fwrite(y, sizeof *y, (size_t)n, f) != (size_t)n || fclose(f) != 0) return 1;
  }

  ls_predictions p = {.z = {z, n, k, k}, .labels = y, .temperature = 1};
  ls_binning width = {.bins = BINS}, mass = {.bins = BINS, .kind = LS_BINS_EQUAL_MASS};
  double *c = bytes((size_t)n * sizeof *c), *doubt = bytes((size_t)n * sizeof *doubt), times[3][RUNS], smooth = 0, found, mmce = 0;
  uint8_t *a = bytes((size_t)n), *wrong = bytes((size_t)n);
  size_t need[] = {ls_confidences_scratch(&p), ls_calibration_scratch((size_t)n, &mass), ls_classwise_scratch(&p, &width), ls_classification_scratch(&p, false),
                   ls_smooth_calibration_scratch((size_t)n), ls_mmce_scratch((size_t)n), ls_selective_scratch((size_t)n)}, most = 0;
  for (size_t i = 0; i < sizeof need / sizeof *need; i++) most = need[i] > most ? need[i] : most;
  void *scratch = bytes(most);
  memset(scratch, 0, most);
  ls_calibration e = {0}, m = {0};
  ls_classwise w;
  ls_classification all;
  ls_selective s;
  ls_selective_wants wants = {.area = LS_AREA_MEAN};
  ls_class_calibration *each = bytes((size_t)k * sizeof *each);
  ls_class_score *scores = bytes((size_t)k * sizeof *scores);
  ls_bin bins[BINS + 1];
  int64_t kept;
  read_job job = {.z = z, .count = (size_t)n * k};
  for (int run = 0; run < RUNS; run++) {
    double t0 = now();
    ls_parallel(LS_SITE_EVALUATE, PARTS, read_block, &job);
    double t1 = now();
    check(ls_confidences(&p, scratch, c, a, &kept, &err));
    check(ls_calibrate((size_t)kept, c, a, &width, scratch, &e, bins, &err));
    double t2 = now();
    check(ls_classify(&p, 0, NULL, scratch, &all, NULL, scores, NULL, &err));
    check(ls_confidences(&p, scratch, c, a, &kept, &err));
    check(ls_calibrate((size_t)kept, c, a, &width, scratch, &e, bins, &err));
    check(ls_calibrate((size_t)kept, c, a, &mass, scratch, &m, bins, &err));
    double parts[6];
    parts[0] = now();
    check(ls_classwise_calibration(&p, &width, scratch, &w, each, &err));
    parts[1] = now();
    check(ls_smooth_calibration((size_t)kept, c, a, 0, scratch, &smooth, &found, &err));
    parts[2] = now();
    check(ls_mmce((size_t)kept, c, a, 0.4, scratch, &mmce, &err));
    parts[3] = now();
    check(ls_doubts(&p, LS_SCORE_MAX_PROBABILITY, scratch, doubt, wrong, &kept, &err));
    check(ls_select((size_t)kept, doubt, wrong, &wants, scratch, &s, &err));
    double t3 = now();
    times[0][run] = t1 - t0;
    times[1][run] = t2 - t1;
    times[2][run] = t3 - t2;
    if (run == RUNS - 1)
      fprintf(stderr, "of the last run: sweep, widths, masses %.1f, class-wise %.1f, smooth %.1f, mmce %.1f, selective %.1f ms\n", parts[0] - t2, parts[1] - parts[0],
              parts[2] - parts[1], parts[3] - parts[2], t3 - parts[3]);
  }
  printf("%.3f %.3f %.3f %.9f %.9f %.9f %.9f\n", median(times[0]), median(times[1]), median(times[2]), all.accuracy, e.l1, m.l1, all.nll);
  return 0;
}
