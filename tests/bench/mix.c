/* mixup and cutmix of a batch of images, in place, beside scaling it in place: mix IMAGES CHANNELS SIDE THREADS ROUNDS. SPDX-License-Identifier: MIT
 * The box of cutmix has 0.545 of the side, 0.297 of the pixels. One weight and one box for the batch, partners in one random cycle. */
#include "measure.h"

#include <lsengine/cpu.h>
#include <lsengine/mix.h>
#include <lsengine/pool.h>
#include <lsengine/random.h>

#include <stdio.h>
#include <stdlib.h>

typedef struct job {
  ls_mat x;
  int32_t channels, side, *order, *partner;
  float *a, *b;
  ls_box *box;
  void *scratch;
  ls_rng rng;
} job;

static ls_cmat as_input(ls_mat x) { return (ls_cmat){x.data, x.rows, x.cols, x.stride}; }

static void draw(job *j) { bench_check(ls_mix_partners(LS_MIX_BATCH, j->x.rows, &j->rng, j->order, j->partner, &bench_err)); }

static void mixup(void *argument) {
  job *j = argument;
  draw(j);
  ls_mix_rows(as_input(j->x), j->partner, j->a, j->b, j->x, j->scratch);
}

static void cutmix(void *argument) {
  job *j = argument;
  draw(j);
  ls_mix_paste(as_input(j->x), j->channels, j->side, j->side, j->partner, j->box, j->x, j->scratch);
}

int main(int argc, char **argv) {
  if (argc < 6) return 2;
  int32_t n = atoi(argv[1]), channels = atoi(argv[2]), side = atoi(argv[3]), d = channels * side * side, cut = side * 545 / 1000;
  bench_check(ls_cpu_start(getenv("LSENGINE_ISA"), &bench_err));
  bench_check(ls_pool_start(atoi(argv[4]), &bench_err));
  job j = {.x = {bench_floats((size_t)n * (size_t)d), n, d, d}, .channels = channels, .side = side, .a = bench_floats((size_t)n), .b = bench_floats((size_t)n)};
  j.order = malloc(sizeof *j.order * (size_t)n);
  j.partner = malloc(sizeof *j.partner * (size_t)n);
  j.box = malloc(sizeof *j.box * (size_t)n);
  j.scratch = malloc(ls_mix_scratch(n, d));
  if (j.order == NULL || j.partner == NULL || j.box == NULL || j.scratch == NULL) return 1;
  ls_rng_seed(&j.rng, 1);
  ls_rng_fill_uniform(&j.rng, (size_t)n * (size_t)d, j.x.data, 0, 1);
  for (int32_t i = 0; i < n; i++) {
    j.a[i] = 0.7f;
    j.b[i] = 0.3f;
    j.box[i] = (ls_box){.y = side / 5, .x = side / 5, .height = cut, .width = cut};
  }
  bench_copy scaled = {j.x.data, j.x.data, (size_t)n * (size_t)d};
  bench_item items[] = {{"mixup", mixup, &j}, {"cutmix", cutmix, &j}, {"scale in place", bench_scale, &scaled}};
  bench_run(3, items, atoi(argv[5]));
  printf("=\tthe box's share of the pixels\t%.4f\n", (double)cut * cut / ((double)side * side));
  ls_pool_stop();
  return 0;
}
