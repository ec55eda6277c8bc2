/* Convolution and pooling against plain loops in double, on every instruction set, at any number of threads. SPDX-License-Identifier: MIT */
#include "test.h"

#include <lsengine/cpu.h>
#include <lsengine/layers.h>
#include <lsengine/pool.h>
#include <lsengine/random.h>

/* Where pixel (i, j) of output meets kernel element (r, s): the place in the input, or -1 in the padding. */
static ptrdiff_t place(const ls_convolution *c, int32_t i, int32_t j, int32_t r, int32_t s) {
  int64_t row = (int64_t)i * c->stride[0] + (int64_t)r * c->dilation[0] - c->padding[0], col = (int64_t)j * c->stride[1] + (int64_t)s * c->dilation[1] - c->padding[1];
  return row < 0 || row >= c->height || col < 0 || col >= c->width ? -1 : (ptrdiff_t)(row * c->width + col);
}

typedef struct arrays {
  float *x, *w, *b, *y, *dy, *dx, *dw, *db;
  double *y0, *dx0, *dw0, *db0;
} arrays;

static void oracle(const ls_convolution *c, const arrays *a) {
  int32_t in = c->channels / c->groups, out = c->outputs / c->groups, area = c->kernel[0] * c->kernel[1];
  ptrdiff_t pixels = (ptrdiff_t)c->out_height * c->out_width, plane = (ptrdiff_t)c->height * c->width;
  memset(a->dx0, 0, (size_t)c->n * (size_t)c->channels * (size_t)plane * sizeof(double));
  memset(a->dw0, 0, (size_t)c->outputs * (size_t)in * (size_t)area * sizeof(double));
  memset(a->db0, 0, (size_t)c->outputs * sizeof(double));
  for (int32_t n = 0; n < c->n; n++)
    for (int32_t o = 0; o < c->outputs; o++)
      for (int32_t i = 0; i < c->out_height; i++)
        for (int32_t j = 0; j < c->out_width; j++) {
          ptrdiff_t at = ((ptrdiff_t)n * c->outputs + o) * pixels + (ptrdiff_t)i * c->out_width + j;
          double sum = (double)a->b[o], g = (double)a->dy[at];
          a->db0[o] += g;
          for (int32_t k = 0; k < in; k++)
            for (int32_t r = 0; r < c->kernel[0]; r++)
              for (int32_t s = 0; s < c->kernel[1]; s++) {
                ptrdiff_t p = place(c, i, j, r, s), v = ((ptrdiff_t)o * in + k) * area + r * c->kernel[1] + s;
                ptrdiff_t u = ((ptrdiff_t)n * c->channels + (ptrdiff_t)(o / out) * in + k) * plane + p;
                if (p < 0) continue;
                sum += (double)a->w[v] * (double)a->x[u];
                a->dw0[v] += g * (double)a->x[u];
                a->dx0[u] += g * (double)a->w[v];
              }
          a->y0[at] = sum;
        }
}

static double worst(size_t n, const float *got, const double *want) {
  double off = 0, scale = 1;
  for (size_t i = 0; i < n; i++) scale = fabs(want[i]) > scale ? fabs(want[i]) : scale;
  for (size_t i = 0; i < n; i++) {
    double d = fabs((double)got[i] - want[i]) / scale;
    off = d <= off ? off : isnan(d) ? INFINITY : d;
  }
  return off;
}

static uint64_t hash(size_t n, const float *x, uint64_t h) {
  for (size_t i = 0; i < n; i++) {
    uint32_t bits;
    memcpy(&bits, &x[i], 4);
    h = (h ^ bits) * 1099511628211u;
  }
  return h;
}

static void try_convolution(ls_convolution c, uint64_t seed) {
  static const int threads[] = {1, 2, 3, 5};
  assert_ok(ls_convolution_check(&c, err));
  size_t nx = (size_t)c.n * (size_t)c.channels * (size_t)c.height * (size_t)c.width, ny = (size_t)c.n * (size_t)c.outputs * (size_t)c.out_height * (size_t)c.out_width;
  size_t nw = (size_t)c.outputs * (size_t)(c.channels / c.groups) * (size_t)c.kernel[0] * (size_t)c.kernel[1], nb = (size_t)c.outputs;
  float *f = malloc((2 * (nx + ny + nw) + 2 * nb) * sizeof *f);
  double *d = malloc((nx + ny + nw + nb) * sizeof *d);
  arrays a = {f, f + nx, f + nx + nw, f + nx + nw + nb, 0, 0, 0, 0, d, d + ny, d + ny + nx, d + ny + nx + nw};
  a.dy = a.y + ny, a.dx = a.dy + ny, a.dw = a.dx + nx, a.db = a.dw + nw;
  ls_rng r;
  ls_rng_seed(&r, seed);
  ls_rng_fill_normal(&r, nx, a.x, 0, 1);
  ls_rng_fill_normal(&r, nw, a.w, 0, 1);
  ls_rng_fill_normal(&r, nb, a.b, 0, 1);
  ls_rng_fill_normal(&r, ny, a.dy, 0, 1);
  oracle(&c, &a);
  for (int isa = LS_ISA_REF; isa <= LS_ISA_AVX512; isa++) {
    if (!ls_cpu_has((ls_isa)isa)) continue;
    assert_ok(ls_cpu_start(ls_isa_name((ls_isa)isa), err));
    uint64_t first = 0;
    for (int t = 0; t < 4; t++) {
      assert_ok(ls_pool_start(threads[t], err));
      void *scratch = aligned_alloc(64, ls_convolution_scratch(&c));
      memset(a.y, 0xff, (2 * ny + nx + nw + nb) * sizeof(float) - ny * sizeof(float)); /* NaN: what is not written is seen */
      ls_rng_seed(&r, seed + 1);
      ls_rng_fill_normal(&r, ny, a.dy, 0, 1);
      if (t == 0 && isa == LS_ISA_REF) oracle(&c, &a);
      ls_convolution_forward(&c, a.x, a.w, a.b, a.y, scratch);
      ls_convolution_input_gradient(&c, a.w, a.dy, a.dx, scratch);
      ls_convolution_weight_gradient(&c, a.x, a.dy, a.dw, a.db, scratch);
      ls_pool_stop();
      free(scratch);
      uint64_t h = hash(nb, a.db, hash(nw, a.dw, hash(nx, a.dx, hash(ny, a.y, 1469598103934665603u))));
      if (t == 0) first = h;
      if (h != first) fail_msg("%s: other bits with %d threads (seed %llu)", ls_isa_name((ls_isa)isa), threads[t], (unsigned long long)seed);
    }
    /* sums of up to some thousand products in float */
    double off[] = {worst(ny, a.y, a.y0), worst(nx, a.dx, a.dx0), worst(nw, a.dw, a.dw0), worst(nb, a.db, a.db0)};
    for (int k = 0; k < 4; k++)
      if (!(off[k] < 4e-6)) fail_msg("%s, seed %llu: result %d is off by %g of its scale", ls_isa_name((ls_isa)isa), (unsigned long long)seed, k, off[k]);
  }
  assert_ok(ls_cpu_start(NULL, err));
  free(f), free(d);
}

static void convolution_is_its_definition(void **state) {
  (void)state;
  static const ls_convolution cases[] = {
      /* n, channels, height, width, outputs, groups, kernel, stride, padding, dilation */
      {3, 2, 7, 6, 4, 1, {3, 3}, {1, 1}, {0, 0}, {1, 1}, 0, 0},      {2, 3, 28, 28, 9, 1, {3, 3}, {1, 1}, {1, 1}, {1, 1}, 0, 0},
      {5, 8, 26, 26, 16, 1, {3, 3}, {1, 1}, {0, 0}, {1, 1}, 0, 0},   {2, 6, 30, 17, 10, 2, {5, 4}, {1, 1}, {2, 3}, {1, 1}, 0, 0},
      {2, 3, 40, 33, 5, 1, {3, 3}, {1, 1}, {2, 4}, {3, 2}, 0, 0},    {37, 1, 8, 8, 3, 1, {3, 3}, {1, 1}, {1, 1}, {1, 1}, 0, 0},
      {2, 4, 12, 13, 8, 4, {3, 3}, {2, 2}, {1, 1}, {1, 1}, 0, 0},    {2, 5, 9, 9, 7, 1, {1, 1}, {1, 1}, {0, 0}, {1, 1}, 0, 0},
      {2, 5, 9, 9, 7, 1, {1, 1}, {2, 2}, {0, 0}, {1, 1}, 0, 0},      {2, 2, 20, 100, 3, 1, {1, 7}, {1, 1}, {0, 3}, {1, 1}, 0, 0},
      {2, 2, 100, 20, 3, 1, {7, 1}, {1, 1}, {6, 0}, {1, 1}, 0, 0},   {1, 1, 3, 3, 1, 1, {3, 3}, {1, 1}, {0, 0}, {1, 1}, 0, 0},
      {2, 2, 4, 4, 3, 1, {2, 2}, {1, 1}, {1, 1}, {1, 1}, 0, 0},      {1, 1, 200, 300, 1, 1, {11, 11}, {1, 1}, {5, 5}, {1, 1}, 0, 0},
      {0, 2, 7, 6, 4, 1, {3, 3}, {1, 1}, {0, 0}, {1, 1}, 0, 0},      {2, 2, 6, 6, 3, 1, {3, 3}, {1, 1}, {5, 5}, {1, 1}, 0, 0},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) try_convolution(cases[i], 100 + i);
}

/* Random geometries, the ones that do not fit left out. */
static void convolution_of_random_shapes(void **state) {
  (void)state;
  ls_rng r;
  ls_rng_seed(&r, 7);
  int tried = 0;
  while (tried < 60) {
    int32_t groups = (int32_t)ls_rng_integer(&r, 1, 3);
    ls_convolution c = {.n = (int32_t)ls_rng_integer(&r, 1, 4), .channels = groups * (int32_t)ls_rng_integer(&r, 1, 4), .height = (int32_t)ls_rng_integer(&r, 1, 30),
                        .width = (int32_t)ls_rng_integer(&r, 1, 40), .outputs = groups * (int32_t)ls_rng_integer(&r, 1, 9), .groups = groups};
    for (int axis = 0; axis < 2; axis++) {
      c.kernel[axis] = (int32_t)ls_rng_integer(&r, 1, 5);
      c.stride[axis] = (int32_t)ls_rng_integer(&r, 1, 5) == 5 ? 2 : 1;
      c.padding[axis] = (int32_t)ls_rng_integer(&r, 0, 3);
      c.dilation[axis] = (int32_t)ls_rng_integer(&r, 1, 4) == 4 ? 2 : 1;
    }
    ls_err err;
    if (ls_convolution_check(&c, &err) != LS_OK) continue;
    tried++;
    try_convolution(c, 1000 + (uint64_t)tried);
  }
}

static void shapes_that_do_not_fit_are_refused(void **state) {
  (void)state;
  ls_convolution good = {2, 4, 8, 8, 6, 2, {3, 3}, {1, 1}, {0, 0}, {1, 1}, 0, 0}, c;
#define BAD(change, code, text)                                                                                          \
  c = good;                                                                                                              \
  change;                                                                                                                \
  assert_fails(ls_convolution_check(&c, err), code, text)
  BAD(c.kernel[0] = 0, LS_ERANGE, "kernel is 0");
  BAD(c.stride[1] = 0, LS_ERANGE, "stride is 0");
  BAD(c.padding[0] = -1, LS_ERANGE, "padding is -1");
  BAD(c.dilation[1] = 0, LS_ERANGE, "dilation is 0");
  BAD(c.groups = 0, LS_ERANGE, "groups is 0");
  BAD(c.groups = 3, LS_ESHAPE, "3 groups do not divide 4 input and 6 output channels");
  BAD(c.kernel[0] = 9, LS_ESHAPE, "a kernel of 9x3 (dilation 1x1) does not fit into images of 8x8");
  BAD((c.dilation[0] = 1 << 24, c.kernel[0] = 1 << 24), LS_ESHAPE, "does not fit");
  BAD((c.padding[0] = c.padding[1] = 1 << 24), LS_ESHAPE, "");
  ls_pooling p = {.planes = 1, .height = 4, .width = 4, .kernel = {2, 2}, .stride = {0, 1}};
  assert_fails(ls_pooling_check(&p, err), LS_ERANGE, "stride is 0");
  p = (ls_pooling){.planes = 1, .height = 4, .width = 4, .kernel = {2, 2}, .stride = {1, 1}, .padding = {2, 0}};
  assert_fails(ls_pooling_check(&p, err), LS_ERANGE, "padding is 2, allowed is 0 to half of the kernel, 1");
}

static void pooling_is_its_definition_at_any_number_of_threads(void **state) {
  (void)state;
  static const int threads[] = {1, 2, 5};
  static const int32_t sizes[][2] = {{2, 2}, {5, 7}, {8, 8}, {28, 28}, {9, 33}, {4, 70}};
  static float x[40 * 9 * 70 * 4], y[40 * 9 * 70 * 4], dx[40 * 9 * 70 * 4], dy[40 * 9 * 70 * 4];
  ls_rng r;
  ls_rng_seed(&r, 9);
  for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++)
    for (int kind = 0; kind < 4; kind++) {
      ls_pooling p = {.planes = 37, .height = sizes[s][0], .width = sizes[s][1], .kernel = {2, 2}, .stride = {2, 2}, .average = kind % 2 == 1, .count_padding = true};
      if (kind >= 2) p.kernel[0] = p.kernel[1] = 3, p.stride[1] = 1, p.padding[0] = p.padding[1] = 1;
      if (ls_pooling_check(&p, NULL) != LS_OK) continue;
      size_t in = (size_t)p.height * (size_t)p.width, out = (size_t)p.out_height * (size_t)p.out_width;
      ls_rng_fill_normal(&r, in * 37, x, 0, 1);
      ls_rng_fill_normal(&r, out * 37, dy, 0, 1);
      uint64_t first = 0;
      for (int t = 0; t < 3; t++) {
        assert_ok(ls_pool_start(threads[t], err));
        memset(dx, 0xff, sizeof dx);
        ls_pooling_forward(&p, x, y);
        ls_pooling_backward(&p, x, dy, dx);
        ls_pool_stop();
        uint64_t h = hash(in * 37, dx, hash(out * 37, y, 1));
        if (t == 0) first = h;
        assert_true(h == first);
      }
      for (size_t plane = 0; plane < 37; plane++) {
        double back[9 * 70 + 28 * 28 + 5000] = {0};
        for (int32_t i = 0; i < p.out_height; i++)
          for (int32_t j = 0; j < p.out_width; j++) {
            double sum = 0, most = -INFINITY;
            ptrdiff_t best = -1;
            for (int32_t a = 0; a < p.kernel[0]; a++)
              for (int32_t b = 0; b < p.kernel[1]; b++) {
                int32_t row = i * p.stride[0] - p.padding[0] + a, col = j * p.stride[1] - p.padding[1] + b;
                if (row < 0 || col < 0 || row >= p.height || col >= p.width) continue;
                double v = (double)x[plane * in + (size_t)row * (size_t)p.width + (size_t)col];
                sum += v;
                if (v > most) most = v, best = (ptrdiff_t)row * p.width + col;
                if (p.average) back[(ptrdiff_t)row * p.width + col] += (double)dy[plane * out + (size_t)i * (size_t)p.out_width + (size_t)j] / (p.kernel[0] * p.kernel[1]);
              }
            if (!p.average) back[best] += (double)dy[plane * out + (size_t)i * (size_t)p.out_width + (size_t)j];
            assert_close(y[plane * out + (size_t)i * (size_t)p.out_width + (size_t)j], p.average ? sum / (p.kernel[0] * p.kernel[1]) : most, 0, 1e-6);
          }
        for (size_t k = 0; k < in; k++) assert_close(dx[plane * in + k], back[k], 0, 2e-6);
      }
    }
}

/* Against the three one after the other; gradients with the result's, masked by ReLU. */
static void convolution_relu_and_pooling_at_once_are_the_three(void **state) {
  (void)state;
  ls_convolution c = {.n = 21, .channels = 4, .height = 13, .width = 15, .outputs = 6, .groups = 2, .kernel = {3, 3}, .stride = {1, 1}, .padding = {1, 0}, .dilation = {1, 1}};
  ls_pooling p = {.kernel = {2, 2}, .stride = {2, 2}};
  static float x[21 * 4 * 13 * 15], w[6 * 2 * 9], b[6], full[21 * 6 * 13 * 13], back[21 * 6 * 13 * 13], y[2][21 * 6 * 36], dy[21 * 6 * 36], dx[2][21 * 4 * 13 * 15], dw[2][6 * 2 * 9], db[2][6];
  static uint8_t places[21 * 6 * 36];
  for (int overlapping = 0; overlapping < 2; overlapping++) {
    if (overlapping) p.kernel[1] = 3, p.stride[0] = 3, p.padding[1] = 1;
    assert_ok(ls_pooled_convolution_check(&c, &p, err));
    ls_rng r;
    ls_rng_seed(&r, 5);
    ls_rng_fill_normal(&r, sizeof x / 4, x, 0, 1), ls_rng_fill_normal(&r, sizeof w / 4, w, 0, 1), ls_rng_fill_normal(&r, 6, b, 0, 1), ls_rng_fill_normal(&r, sizeof dy / 4, dy, 0, 1);
    for (int threads = 1; threads <= 3; threads++) {
      assert_ok(ls_pool_start(threads, err));
      void *scratch = aligned_alloc(64, ls_pooled_convolution_scratch(&c));
      size_t in = (size_t)c.n * 4 * 13 * 15, between = (size_t)p.planes * (size_t)p.height * (size_t)p.width, out = (size_t)p.planes * (size_t)p.out_height * (size_t)p.out_width;
      ls_convolution_forward(&c, x, w, b, full, scratch);
      for (size_t i = 0; i < between; i++) full[i] = full[i] <= 0.0f ? 0.0f : full[i];
      ls_pooling_forward(&p, full, y[0]);
      ls_pooling_backward(&p, full, dy, back);
      for (size_t i = 0; i < between; i++) back[i] = full[i] > 0.0f ? back[i] : 0.0f;
      ls_convolution_input_gradient(&c, w, back, dx[0], scratch);
      ls_convolution_weight_gradient(&c, x, back, dw[0], db[0], scratch);
      ls_pooled_convolution_forward(&c, &p, x, w, b, y[1], places, scratch);
      ls_pooled_convolution a = {x, w, y[1], dy, places};
      ls_pooled_convolution_gradient(&c, &p, &a, dx[1], dw[1], db[1], scratch);
      ls_pool_stop();
      free(scratch);
      assert_memory_equal(y[0], y[1], out * sizeof(float));
      assert_memory_equal(dx[0], dx[1], in * sizeof(float));
      assert_memory_equal(dw[0], dw[1], sizeof dw[0]);
      assert_memory_equal(db[0], db[1], sizeof db[0]);
    }
  }
  c.height = c.width = 300, p.kernel[0] = p.kernel[1] = 17;
  assert_fails(ls_pooled_convolution_check(&c, &p, err), LS_ERANGE, "a window of 17x17 has more than 256 elements");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(convolution_is_its_definition), cmocka_unit_test(convolution_of_random_shapes), cmocka_unit_test(shapes_that_do_not_fit_are_refused),
      cmocka_unit_test(pooling_is_its_definition_at_any_number_of_threads), cmocka_unit_test(convolution_relu_and_pooling_at_once_are_the_three),
  };
  return run_suite(tests);
}
