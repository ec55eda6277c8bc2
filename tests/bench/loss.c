/* Cross-entropy and its gradient beside the copy of as many floats. SPDX-License-Identifier: MIT
 *   loss ROWS CLASSES THREADS ROUNDS [MOST]: each kind of target. MOST, in MB, leaves out those whose dense rows are larger. */
#include "measure.h"

#include <lsengine/cpu.h>
#include <lsengine/loss.h>
#include <lsengine/pool.h>
#include <lsengine/random.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct job {
  ls_cmat z;
  ls_mat grad;
  ls_target target;
  void *scratch;
} job;

static void loss(void *argument) {
  job *j = argument;
  ls_cross_entropy_options o = {.reduction = LS_LOSS_MEAN};
  ls_cross_entropy_result result;
  bench_check(ls_cross_entropy(j->z, &j->target, &o, j->scratch, &result, &j->grad, NULL, &bench_err));
}

static job made(job like, ls_target t) {
  like.target = t;
  like.scratch = malloc(ls_cross_entropy_scratch(&t, like.z.rows, like.z.cols) + 64);
  if (like.scratch == NULL) exit(1);
  return like;
}

int main(int argc, char **argv) {
  if (argc < 5) return 2;
  int32_t rows = atoi(argv[1]), classes = atoi(argv[2]);
  size_t n = (size_t)rows * (size_t)classes, most = argc > 5 ? (size_t)atol(argv[5]) << 20 : SIZE_MAX;
  bench_check(ls_cpu_start(getenv("LSENGINE_ISA"), &bench_err));
  bench_check(ls_pool_start(atoi(argv[3]), &bench_err));
  float *z = bench_floats(n), *g = bench_floats(n), *prior = bench_floats((size_t)classes), *lambda = bench_floats((size_t)rows),
        *rest = bench_floats((size_t)rows), *own = bench_floats((size_t)rows), *kept = bench_floats((size_t)rows);
  int64_t *y = malloc(sizeof *y * (size_t)rows), *partner = malloc(sizeof *y * (size_t)rows);
  ls_rng r;
  ls_rng_seed(&r, 1);
  ls_rng_fill_normal(&r, n, z, 0, 3);
  for (int32_t i = 0; i < rows; i++) {
    y[i] = ls_rng_integer(&r, 0, classes - 1);
    partner[i] = ls_rng_integer(&r, 0, classes - 1);
    lambda[i] = (float)ls_rng_double(&r);
    rest[i] = 1.0f - lambda[i];
    own[i] = 0.2f * lambda[i];
    kept[i] = 1.0f - own[i];
  }
  for (int32_t k = 0; k < classes; k++) prior[k] = 1.0f / (float)classes;

  ls_softening uniform = {.kind = LS_SOFTEN_UNIFORM, .epsilon = 0.1}, wrong = {.kind = LS_SOFTEN_WRONG_CLASSES, .epsilon = 0.1},
               unigram = {.kind = LS_SOFTEN_PRIOR, .epsilon = 0.1, .prior = prior, .classes = classes};
  ls_softening all[] = {uniform, wrong, unigram};
  ls_target hard = {.rows = rows, .terms = 1, .term = {{y, NULL, 1}}}, smooth = hard, mixed = hard;
  smooth.softening = &uniform;
  smooth.softenings = 1;
  mixed.terms = 2;
  mixed.term[0].weights = lambda;
  mixed.term[1] = (ls_term){partner, rest, 0};
  ls_target smooth_mixed = mixed, wrong_only = smooth, prior_only = smooth, row_epsilon = hard, everything = mixed;
  smooth_mixed.softening = &uniform;
  smooth_mixed.softenings = 1;
  wrong_only.softening = &wrong;
  prior_only.softening = &unigram;
  row_epsilon.term[0].weights = kept;
  row_epsilon.spread = own;
  everything.softening = all;
  everything.softenings = 3;

  job like = {.z = {z, rows, classes, classes}, .grad = {g, rows, classes, classes}};
  job jobs[] = {made(like, smooth), made(like, hard), made(like, smooth_mixed), made(like, wrong_only), made(like, prior_only), made(like, row_epsilon), made(like, everything)};
  static const char *const names[] = {"smoothed", "one-hot", "mixup, smoothed", "wrong classes", "prior", "epsilon for each row", "all of them, mixed"};
  bench_copy copy = {z, g, n};
  bench_item items[16];
  int count = 0;
  for (size_t i = 0; i < sizeof jobs / sizeof jobs[0]; i++) items[count++] = (bench_item){names[i], loss, &jobs[i]};
  count += bench_copies(&copy, items + count);

  job dense;
  if (n * sizeof(float) <= most) {
    float *q = bench_floats(n);
    for (size_t i = 0; i < n; i++) q[i] = 1.0f / (float)classes;
    for (int32_t i = 0; i < rows; i++) {
      q[(size_t)i * (size_t)classes + (size_t)y[i]] += 0.5f;
      for (int32_t k = 0; k < classes; k++) q[(size_t)i * (size_t)classes + (size_t)k] /= 1.5f;
    }
    dense = made(like, (ls_target){.rows = rows, .dense = {q, rows, classes, classes}});
    items[count++] = (bench_item){"dense rows", loss, &dense};
  }
  bench_run(count, items, atoi(argv[4]));
  bench_peak();
  ls_pool_stop();
  return 0;
}
