/* One training step from C: the kernels that step.lua's training runs, in the same order on the same numbers, with buffers made
 * once. SPDX-License-Identifier: MIT
 *   step THREADS EPOCHS ROWS BATCH SIZE SIZE …: prints the median time of a step in ms, and the last epoch's mean loss. */
#define _POSIX_C_SOURCE 200809L
#include <lsengine/cpu.h>
#include <lsengine/loss.h>
#include <lsengine/nn.h>
#include <lsengine/pool.h>
#include <lsengine/tensor.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MOST_LAYERS = 8 };

typedef struct layer {
  int32_t in, out;
  float *w, *b, *dw, *db, *vw, *vb, *z, *a, *g;
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

static ls_view view(float *x, int32_t rows, int32_t cols) {
  int32_t shape[] = {rows, cols};
  return ls_view_of(x, 2, shape);
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int by_value(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static void forward(layer *l, int layers, const float *xb, int32_t m) {
  const float *input = xb;
  for (int i = 0; i < layers; i++) {
    layer *k = &l[i];
    check(ls_matmul(false, true, in_matrix(input, m, k->in), in_matrix(k->w, k->out, k->in), false, out_matrix(k->z, m, k->out), &err));
    ls_view z = view(k->z, m, k->out), bias = ls_view_of(k->b, 1, &k->out), wide = ls_view_expand(&bias, &z), a = view(k->a, m, k->out);
    ls_binary_apply(LS_BINARY_ADD, &z, &wide, &z);
    if (i < layers - 1) ls_unary_apply(LS_UNARY_RELU, &z, &a);
    input = k->a;
  }
}

static void backward(layer *l, int layers, const float *xb, int32_t m) {
  for (int i = layers - 1; i >= 0; i--) {
    layer *k = &l[i];
    const float *below = i == 0 ? xb : l[i - 1].a;
    if (i > 0)
      check(ls_matmul(false, false, in_matrix(k->g, m, k->out), in_matrix(k->w, k->out, k->in), false, out_matrix(l[i - 1].g, m, k->in), &err));
    check(ls_matmul(true, false, in_matrix(k->g, m, k->out), in_matrix(below, m, k->in), false, out_matrix(k->dw, k->out, k->in), &err));
    ls_view g = view(k->g, m, k->out), db = view(k->db, 1, k->out);
    ls_reduce_axis(LS_REDUCE_SUM, &g, 0, &db, NULL);
    if (i > 0) { /* the gradient where ReLU's input was above 0 */
      ls_view z = view(l[i - 1].z, m, k->in), back = view(l[i - 1].g, m, k->in);
      ls_binary_apply(LS_BINARY_RELU_BACK, &back, &z, &back);
    }
  }
}

static void update(layer *l, int layers, const ls_sgd_options *sgd, size_t step) {
  for (int i = 0; i < layers; i++) {
    ls_sgd_step(sgd, (int64_t)step, (size_t)l[i].in * l[i].out, l[i].w, l[i].dw, l[i].vw);
    ls_sgd_step(sgd, (int64_t)step, (size_t)l[i].out, l[i].b, l[i].db, l[i].vb);
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
  ls_rng_spawn(&root, "initialisation", 14, 0, &r);
  for (int i = 0; i < layers; i++) {
    size_t weights = (size_t)size[i] * size[i + 1], cells = (size_t)batch * size[i + 1];
    l[i] = (layer){size[i], size[i + 1], floats(weights), floats((size_t)size[i + 1]), floats(weights), floats((size_t)size[i + 1]),
                   floats(weights), floats((size_t)size[i + 1]), floats(cells), floats(cells), floats(cells)};
    check(ls_initialise("he_normal", size[i], size[i + 1], &r, weights, l[i].w, &err));
  }
  ls_softening smooth = {.kind = LS_SOFTEN_UNIFORM, .epsilon = 0.1};
  ls_cross_entropy_options options = {.class_weights = NULL};
  ls_sgd_options sgd = {.lr = 0.1, .momentum = 0.9};
  ls_target t = {.rows = batch, .terms = 1, .term = {{yb, NULL, 1}}, .softening = &smooth, .softenings = 1};
  void *scratch = malloc(ls_cross_entropy_scratch(&t, batch, size[layers]));

  size_t steps = 0, step = 0;
  double *times = malloc(sizeof *times * (size_t)epochs * (size_t)(n / batch + 1)), sum = 0;
  for (int epoch = 0; epoch < epochs; epoch++) {
    ls_rng_spawn(&root, "order", 5, (uint64_t)epoch, &r);
    ls_rng_permutation(&r, (size_t)n, order);
    int32_t rows = 0;
    sum = 0;
    for (int32_t first = 0; first < n; first += batch) {
      double started = now();
      int32_t m = n - first < batch ? n - first : batch;
      check(ls_gather_rows(in_matrix(x, n, size[0]), order + first, out_matrix(xb, m, size[0]), &err));
      for (int32_t i = 0; i < m; i++) yb[i] = y[order[first + i]];
      forward(l, layers, xb, m);
      layer *last = &l[layers - 1];
      ls_cross_entropy_result result;
      t.rows = m;
      ls_mat gradient = out_matrix(last->g, m, last->out);
      check(ls_cross_entropy(in_matrix(last->z, m, last->out), &t, &options, scratch, &result, &gradient, NULL, &err));
      backward(l, layers, xb, m);
      update(l, layers, &sgd, ++step);
      sum += (double)(float)result.value * m;
      rows += m;
      times[steps++] = now() - started;
    }
    sum /= rows;
  }
  qsort(times, steps, sizeof *times, by_value);
  printf("step from C\t%.9g\n=\tmean loss from C\t%.9g\n", times[steps / 2], sum);
  return 0;
}
