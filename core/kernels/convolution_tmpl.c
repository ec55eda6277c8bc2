/* The inner loops of direct convolution, compiled once for each instruction set. SPDX-License-Identifier: MIT
 *
 * A tile is a block of outputs (channels × pixels) that stays in registers while the products of all kernel elements are added. Written with
 * vector types of the set's own width; with FMA (-ffp-contract=fast for this file alone), which is worth a factor of about 1.7 here:
 * so the sets agree within rounding, not to the bit (tests/core/test_layers.c). Beside OpenBLAS on unfolded images the whole layer is
 * 2 to 3 times as fast on AVX-512, because nothing is unfolded and the tile is as wide as the registers allow. */
#include "core/kernels/kernels.h"

#define LS_PASTE_(a, b) a##b
#define LS_PASTE(a, b) LS_PASTE_(a, b)
#define LS_CONVOLUTION_NAME LS_PASTE(ls_convolution_kernels_, LS_ISA)

#if defined(__AVX512F__)
enum { BYTES = 64, OUTPUTS = 8, VECTORS = 3 };
#elif defined(__AVX2__)
enum { BYTES = 32, OUTPUTS = 4, VECTORS = 3 };
#else
enum { BYTES = 16, OUTPUTS = 4, VECTORS = 2 };
#endif
enum { LANES = BYTES / 4, PIXELS = VECTORS * LANES, SHIFTS = 3 };

typedef float vector __attribute__((vector_size(BYTES), aligned(4), may_alias));

_Static_assert(OUTPUTS <= LS_CONVOLVE_OUTPUTS && PIXELS <= LS_CONVOLVE_PIXELS, "tiles fit the callers' buffers");

/* y[o][p] = sum over k of w[k][o] · x[offset[k] + p] */
static void convolve(size_t count, const ptrdiff_t *offset, const float *x, const float *w, float *y) {
  vector sum[OUTPUTS][VECTORS] = {{{0}}};
  for (size_t k = 0; k < count; k++, w += OUTPUTS) {
    vector pixels[VECTORS];
    for (int v = 0; v < VECTORS; v++) pixels[v] = *(const vector *)(x + offset[k] + v * LANES);
    for (int o = 0; o < OUTPUTS; o++)
      for (int v = 0; v < VECTORS; v++) sum[o][v] += w[o] * pixels[v];
  }
  for (int o = 0; o < OUTPUTS; o++)
    for (int v = 0; v < VECTORS; v++) *(vector *)(y + o * PIXELS + v * LANES) = sum[o][v];
}

/* Sums of vectors, several at once: two vectors become one that holds both, folded to half of their length. Masks pick the first and the second
 * halves of the pieces that each holds so far. */
typedef int32_t mask __attribute__((vector_size(BYTES)));
#if defined(__AVX512F__)
static const mask halves[][2] = {{{0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23}, {8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31}},
                                 {{0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27}, {4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31}},
                                 {{0, 1, 4, 5, 8, 9, 12, 13, 16, 17, 20, 21, 24, 25, 28, 29}, {2, 3, 6, 7, 10, 11, 14, 15, 18, 19, 22, 23, 26, 27, 30, 31}}};
#elif defined(__AVX2__)
static const mask halves[][2] = {{{0, 1, 2, 3, 8, 9, 10, 11}, {4, 5, 6, 7, 12, 13, 14, 15}}, {{0, 1, 4, 5, 8, 9, 12, 13}, {2, 3, 6, 7, 10, 11, 14, 15}}};
#else
static const mask halves[][2] = {{{0, 1, 4, 5}, {2, 3, 6, 7}}, {{0, 2, 4, 6}, {1, 3, 5, 7}}};
#endif

/* to[o · stride] += sum of v[o] */
static inline void add_sums(vector v[OUTPUTS], float *to, ptrdiff_t stride) {
  int level = 0;
  for (int count = OUTPUTS; count > 1; count /= 2, level++)
    for (int i = 0; i < count / 2; i++)
      v[i] = __builtin_shuffle(v[2 * i], v[2 * i + 1], halves[level][0]) + __builtin_shuffle(v[2 * i], v[2 * i + 1], halves[level][1]);
  enum { LEFT = LANES / OUTPUTS };
  for (int o = 0; o < OUTPUTS; o++) {
    float sum = v[0][o * LEFT];
    for (int l = 1; l < LEFT; l++) sum += v[0][o * LEFT + l];
    to[o * stride] += sum;
  }
}

/* dw[o · dw_stride + s] += sum over p of dy[o · dy_stride + p] · x[shift[s] + p], s < shifts <= 3; pixels in whole vectors. */
#define CORRELATE(COUNT)                                                                                                 \
  static void correlate_##COUNT(size_t pixels, const ptrdiff_t *shift, const float *x, const float *dy, ptrdiff_t dy_stride, float *dw, \
                                ptrdiff_t dw_stride) {                                                                   \
    vector sum[COUNT][OUTPUTS] = {{{0}}};                                                                                \
    for (size_t p = 0; p < pixels; p += LANES) {                                                                         \
      vector in[COUNT];                                                                                                  \
      for (int s = 0; s < COUNT; s++) in[s] = *(const vector *)(x + shift[s] + p);                                       \
      for (int o = 0; o < OUTPUTS; o++) {                                                                                \
        vector g = *(const vector *)(dy + o * dy_stride + (ptrdiff_t)p);                                                 \
        for (int s = 0; s < COUNT; s++) sum[s][o] += g * in[s];                                                          \
      }                                                                                                                  \
    }                                                                                                                    \
    for (int s = 0; s < COUNT; s++) add_sums(sum[s], dw + s, dw_stride);                                                 \
  }
CORRELATE(1)
CORRELATE(2)
CORRELATE(3)

static void correlate(int shifts, size_t pixels, const ptrdiff_t *shift, const float *x, const float *dy, ptrdiff_t dy_stride, float *dw, ptrdiff_t dw_stride) {
  if (shifts == 3)
    correlate_3(pixels, shift, x, dy, dy_stride, dw, dw_stride);
  else if (shifts == 2)
    correlate_2(pixels, shift, x, dy, dy_stride, dw, dw_stride);
  else
    correlate_1(pixels, shift, x, dy, dy_stride, dw, dw_stride);
}

const ls_convolution_kernels LS_CONVOLUTION_NAME = {.outputs = OUTPUTS, .pixels = PIXELS, .lanes = LANES, .convolve = convolve, .correlate = correlate};
