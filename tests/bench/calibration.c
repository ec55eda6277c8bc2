/* Calibration of N×K logits: bench_calibration N K THREADS INNER [FILE]: the read of logits and labels, accuracy and ECE alone, the analysis of what NumPy can do by
 * itself (accuracy, NLL, Brier, ECE of equal width and of equal mass, class-wise ECE, AURC), and the full one (smooth ECE and MMCE beside). FILE is where the logits and
 * labels are written for the peers. SPDX-License-Identifier: MIT */
#include "measure.h"

#include <lsengine/cpu.h>
#include <lsengine/judging.h>
#include <lsengine/pool.h>
#include <lsengine/random.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BINS = 15, PARTS = 64 };

typedef struct analysis {
  ls_predictions p;
  size_t n, k;
  float *data; /* logits, labels */
  double *confidence, *doubt;
  uint8_t *correct, *wrong;
  uint64_t *keys;
  void *scratch;
  ls_class_calibration *class_calibration;
  ls_class_score *scores;
  ls_calibration width, mass;
  ls_classwise classwise;
  ls_classification all;
  ls_selective selective;
  double smooth, mmce;
} analysis;

static void *bytes(size_t n) { return bench_floats(n / sizeof(float) + 1); }

static void read_block(void *argument, size_t block) {
  const analysis *a = argument;
  size_t count = a->n * (a->k + 2), each = count / PARTS;
  bench_copy part = {.from = a->data + block * each, .n = each};
  bench_read(&part);
}

static void read_all(void *argument) { ls_parallel(LS_SITE_EVALUATE, PARTS, read_block, argument); }

static const ls_binning equal_width = {.bins = BINS}, equal_mass = {.bins = BINS, .kind = LS_BINS_EQUAL_MASS};

static void error_alone(void *argument) {
  analysis *a = argument;
  ls_bin bins[BINS + 1];
  bench_check(ls_calibrate_predictions(&a->p, &equal_width, a->scratch, NULL, NULL, &a->width, bins, &bench_err));
}

static ls_judging wants_of(analysis *a, ls_bin *bins) {
  return (ls_judging){.classification = &a->all, .class_scores = a->scores, .binning = &equal_width, .calibration = &a->width, .bins = bins, .classwise = &a->classwise,
                      .classes = a->class_calibration, .confidence = a->confidence, .correct = a->correct, .doubt = a->doubt, .wrong = a->wrong};
}

/* The order stays in keys. */
static ls_order common(analysis *a) {
  ls_bin bins[BINS + 1];
  ls_selective_wants wants = {.area = LS_AREA_MEAN};
  ls_judging judging = wants_of(a, bins);
  ls_order order;
  int64_t kept;
  bench_check(ls_judge(&a->p, &judging, a->scratch, &kept, &bench_err));
  bench_check(ls_sort_confidences(a->n, a->confidence, a->doubt, a->correct, a->keys, &order, &bench_err));
  bench_check(ls_calibrate(a->n, a->confidence, a->correct, &order, &equal_mass, a->scratch, &a->mass, bins, &bench_err));
  bench_check(ls_select(a->n, a->doubt, a->wrong, order.doubt, &wants, a->scratch, &a->selective, &bench_err));
  return order;
}

static void most_of_it(void *argument) { common(argument); }

static void full(void *argument) {
  analysis *a = argument;
  double found;
  ls_order order = common(a);
  bench_check(ls_smooth_calibration(a->n, a->confidence, a->correct, 0, a->scratch, &a->smooth, &found, &bench_err));
  bench_check(ls_mmce(a->n, a->confidence, a->correct, &order, 0.4, a->scratch, &a->mmce, &bench_err));
}

static void make_scratch(analysis *a) {
  a->confidence = bytes(a->n * sizeof *a->confidence);
  a->doubt = bytes(a->n * sizeof *a->doubt);
  a->keys = bytes(2 * a->n * sizeof *a->keys);
  a->correct = bytes(a->n);
  a->wrong = bytes(a->n);
  a->class_calibration = bytes(a->k * sizeof *a->class_calibration);
  a->scores = bytes(a->k * sizeof *a->scores);
  ls_judging judging = wants_of(a, NULL);
  size_t need[] = {ls_judge_scratch(&a->p, &judging), ls_calibrate_predictions_scratch(&a->p, &equal_width), ls_calibration_scratch(a->n, &equal_mass),
                   ls_smooth_calibration_scratch(a->n), ls_mmce_scratch(a->n), ls_selective_scratch(a->n)}, most = 0;
  for (size_t i = 0; i < sizeof need / sizeof *need; i++) most = need[i] > most ? need[i] : most;
  a->scratch = bytes(most);
}

/* Normal logits, the label's raised by 3. */
static void make_data(analysis *a) {
  ls_rng r;
  ls_rng_seed(&r, 1);
  a->data = bench_floats(a->n * (a->k + 2));
  int64_t *y = (int64_t *)(void *)(a->data + a->n * a->k);
  ls_rng_fill_normal(&r, a->n * a->k, a->data, 0, 2);
  for (size_t i = 0; i < a->n; i++) {
    y[i] = ls_rng_integer(&r, 0, (int64_t)a->k - 1);
    a->data[i * a->k + (size_t)y[i]] += 3;
  }
  a->p = (ls_predictions){.z = {a->data, (int32_t)a->n, (int32_t)a->k, (ptrdiff_t)a->k}, .labels = y, .temperature = 1};
}

int main(int argc, char **argv) {
  if (argc < 5) return 2;
  analysis a = {.n = (size_t)atoi(argv[1]) / 2 * 2, .k = (size_t)atoi(argv[2])};
  bench_check(ls_cpu_start(NULL, &bench_err));
  bench_check(ls_pool_start(atoi(argv[3]), &bench_err));
  make_data(&a);
  if (argc > 5) {
    FILE *f = fopen(argv[5], "wb");
    size_t count = a.n * (a.k + 2);
    if (f == NULL || fwrite(a.data, sizeof *a.data, count, f) != count || fclose(f) != 0) return 1;
  }
  make_scratch(&a);
  bench_item items[] = {{"read", read_all, &a}, {"ECE", error_alone, &a}, {"analysis without smECE, MMCE", most_of_it, &a}, {"full analysis", full, &a}};
  bench_run((int)(sizeof items / sizeof *items), items, atoi(argv[4]));
  const struct { const char *name; double value; } facts[] = {{"accuracy", a.all.accuracy}, {"ECE", a.width.l1}, {"ECE of equal mass", a.mass.l1}, {"class-wise ECE", a.classwise.l1},
    {"NLL", a.all.nll}, {"Brier score", a.all.brier}, {"AURC", a.selective.aurc}, {"smECE", a.smooth}, {"MMCE", a.mmce}};
  for (size_t i = 0; i < sizeof facts / sizeof *facts; i++) printf("=\t%s\t%.9f\n", facts[i].name, facts[i].value);
  ls_pool_stop();
  return 0;
}
