/* A training from C: the core's functions on the same numbers as step.lua's training, with buffers made once. SPDX-License-Identifier: MIT
 *   step THREADS EPOCHS ROWS BATCH SIZE SIZE …: prints the median over epochs of a step's time, and the last epoch's mean loss. */
#define _POSIX_C_SOURCE 200809L
#include <lsengine/cpu.h>
#include <lsengine/loss.h>
#include <lsengine/nn.h>
#include <lsengine/perceptron.h>
#include <lsengine/pool.h>
#include <lsengine/tensor.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MOST_LAYERS = 8 };

typedef struct layer {
  float *w, *b, *vw, *vb;
} layer;

static ls_err err;

static void check(ls_status status) {
  if (status == LS_OK) return;
  fprintf(stderr, "step: %s\n", err.message);
  exit(1);
}

static float *floats(size_t n) {
  float *x = aligned_alloc(64, (n * sizeof *x + 63) / 64 * 64);
  if (x == NULL) exit(1);
  memset(x, 0, n * sizeof *x);
  return x;
}

static ls_cmat in_matrix(const float *x, int32_t rows, int32_t cols) { return (ls_cmat){x, rows, cols, cols}; }
static ls_mat out_matrix(float *x, int32_t rows, int32_t cols) { return (ls_mat){x, rows, cols, cols}; }

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int by_value(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static void update(const ls_dense *d, const layer *l, int layers, const ls_sgd_options *sgd, int64_t step) {
  for (int i = 0; i < layers; i++) {
    ls_sgd_step(sgd, step, (size_t)d[i].inputs * (size_t)d[i].outputs, l[i].w, d[i].weight_gradient, l[i].vw);
    ls_sgd_step(sgd, step, (size_t)d[i].outputs, l[i].b, d[i].bias_gradient, l[i].vb);
  }
}

int main(int argc, char **argv) {
  if (argc < 7 || argc > 6 + MOST_LAYERS) return 2;
  int epochs = atoi(argv[2]), layers = argc - 6;
  int32_t n = atoi(argv[3]), batch = atoi(argv[4]), size[MOST_LAYERS + 1];
  for (int i = 0; i <= layers; i++) size[i] = atoi(argv[5 + i]);
  check(ls_cpu_start(NULL, &err));
  check(ls_pool_start(atoi(argv[1]), &err));

  /* the streams that step.lua's script draws from */
  ls_rng root, r;
  ls_rng_seed(&root, 1);
  float *x = floats((size_t)n * size[0]), *xb = floats((size_t)batch * size[0]);
  int64_t *y = malloc((size_t)n * sizeof *y), *yb = malloc((size_t)batch * sizeof *yb), *order = malloc((size_t)n * sizeof *order);
  ls_rng_spawn(&root, "x", 1, 0, &r);
  ls_rng_fill_normal(&r, (size_t)n * size[0], x, 0, 1);
  ls_rng_spawn(&root, "y", 1, 0, &r);
  for (int32_t i = 0; i < n; i++) y[i] = ls_rng_integer(&r, 0, size[layers] - 1);
  layer l[MOST_LAYERS];
  ls_dense d[MOST_LAYERS];
  ls_rng_spawn(&root, "initialisation", 14, 0, &r);
  for (int i = 0; i < layers; i++) {
    size_t weights = (size_t)size[i] * (size_t)size[i + 1], biases = (size_t)size[i + 1];
    l[i] = (layer){floats(weights), floats(biases), floats(weights), floats(biases)};
    d[i] = (ls_dense){size[i], size[i + 1], l[i].w, l[i].b, floats(weights), floats(biases), i < layers - 1};
    check(ls_initialise("he_normal", size[i], size[i + 1], &r, weights, l[i].w, &err));
  }
  ls_softening smooth = {.kind = LS_SOFTEN_UNIFORM, .epsilon = 0.1};
  ls_cross_entropy_options options = {.class_weights = NULL};
  ls_sgd_options sgd = {.lr = 0.1, .momentum = 0.9};
  ls_target t = {.rows = batch, .terms = 1, .term = {{yb, NULL, 1}}, .softening = &smooth, .softenings = 1};
  void *scratch = floats(ls_perceptron_scratch(layers, d, &t, batch) / sizeof(float) + 1);

  int64_t step = 0;
  double *times = malloc(sizeof *times * (size_t)epochs), sum = 0;
  for (int epoch = 0; epoch < epochs; epoch++) {
    double started = now();
    ls_rng_spawn(&root, "order", 5, (uint64_t)epoch, &r);
    ls_rng_permutation(&r, (size_t)n, order);
    int32_t rows = 0;
    sum = 0;
    for (int32_t first = 0; first < n; first += batch) {
      int32_t m = n - first < batch ? n - first : batch;
      check(ls_gather_rows(in_matrix(x, n, size[0]), order + first, out_matrix(xb, m, size[0]), &err));
      for (int32_t i = 0; i < m; i++) yb[i] = y[order[first + i]];
      ls_cross_entropy_result result;
      t.rows = m;
      check(ls_perceptron_gradients(in_matrix(xb, m, size[0]), layers, d, &t, &options, scratch, &result, &err));
      update(d, l, layers, &sgd, ++step);
      sum += (double)(float)result.value * m;
      rows += m;
    }
    sum /= rows;
    times[epoch] = (now() - started) / ((n + batch - 1) / batch);
  }
  qsort(times, (size_t)epochs, sizeof *times, by_value);
  printf("step from C\t%.9g\n=\tmean loss from C\t%.9g\n", times[epochs / 2], sum);
  return 0;
}
