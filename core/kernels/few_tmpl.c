/* Cross-entropy and gradient of rows of few classes, compiled once for each instruction set. SPDX-License-Identifier: MIT
 *
 * Rows of ten classes are bound by arithmetic and by what every row costs: LS_FEW_ROWS of them are taken through four phases, each a loop of
 * vectors: exponentials of all logits as one run of numbers, sums of rows (four rows at a time, transposed while they are added), the losses with
 * lanes of rows, the gradients row by row. All logits are within ±LS_SOFTMAX_NEAR, so that there is no maximum.
 * A row's sum: t_l = x_l + x_(l+8) + … for l < 8, then ((t0+t2)+(t1+t3)) + ((t4+t6)+(t5+t7)), in float: the same bits on every set. */
#include "core/kernels/kernels.h"
#include "core/kernels/math_tmpl.h"
#include "core/kernels/vectors_tmpl.h"

#define ALWAYS inline __attribute__((always_inline))

/* Interleaving within 128 bits, by one and by two numbers; x86 has one instruction for each. */
#if defined(__AVX512F__)
static ALWAYS vec low_ones(vec a, vec b) { return _mm512_unpacklo_ps(a, b); }
static ALWAYS vec high_ones(vec a, vec b) { return _mm512_unpackhi_ps(a, b); }
static ALWAYS vec low_twos(vec a, vec b) { return (vec)_mm512_unpacklo_pd((__m512d)a, (__m512d)b); }
static ALWAYS vec high_twos(vec a, vec b) { return (vec)_mm512_unpackhi_pd((__m512d)a, (__m512d)b); }
#elif defined(__AVX2__)
static ALWAYS vec low_ones(vec a, vec b) { return _mm256_unpacklo_ps(a, b); }
static ALWAYS vec high_ones(vec a, vec b) { return _mm256_unpackhi_ps(a, b); }
static ALWAYS vec low_twos(vec a, vec b) { return (vec)_mm256_unpacklo_pd((__m256d)a, (__m256d)b); }
static ALWAYS vec high_twos(vec a, vec b) { return (vec)_mm256_unpackhi_pd((__m256d)a, (__m256d)b); }
#else
static ALWAYS vec low_ones(vec a, vec b) { return __builtin_shuffle(a, b, (ivec){0, 4, 1, 5}); }
static ALWAYS vec high_ones(vec a, vec b) { return __builtin_shuffle(a, b, (ivec){2, 6, 3, 7}); }
static ALWAYS vec low_twos(vec a, vec b) { return __builtin_shuffle(a, b, (ivec){0, 1, 4, 5}); }
static ALWAYS vec high_twos(vec a, vec b) { return __builtin_shuffle(a, b, (ivec){2, 3, 6, 7}); }
#endif

/* In each 128 bits: the sums of a's, b's, c's and d's four numbers, (x0 + x2) + (x1 + x3). */
static ALWAYS vec sums_of_four(vec a, vec b, vec c, vec d) {
  vec ab = low_ones(a, b) + high_ones(a, b), cd = low_ones(c, d) + high_ones(c, d);
  return low_twos(ab, cd) + high_twos(ab, cd);
}

#if defined(__AVX512F__)
/* Numbers 8·part … of a row of e in the lower lanes, of z in the upper ones. */
static ALWAYS vec both(const float *e, const float *z, unsigned mask) {
  __m512 low = _mm512_maskz_loadu_ps((__mmask16)mask, e);
  return _mm512_mask_loadu_ps(low, (__mmask16)(mask << 8), z - 8);
}

static ALWAYS vec eight_of(const float *e, const float *z, int n) {
  vec t = both(e, z, n >= 8 ? 0xff : (1u << n) - 1);
  for (int k = 8; k < n; k += 8) t += both(e + k, z + k, n - k >= 8 ? 0xff : (1u << (n - k)) - 1);
  return t;
}

static ALWAYS void sums_of_rows(int rows, int n, const float *e, const float *z, float *sum, float *shifted) {
  for (int i = 0; i < rows; i += 16) {
    vec q[4];
    for (int g = 0; g < 4; g++) {
      vec t[4];
      for (int r = 0; r < 4; r++) {
        int row = i + 4 * g + r < rows ? i + 4 * g + r : rows - 1;
        t[r] = eight_of(e + row * n, z + row * n, n);
      }
      q[g] = sums_of_four(t[0], t[1], t[2], t[3]);
    }
    vec a = _mm512_shuffle_f32x4(q[0], q[1], 0x44), b = _mm512_shuffle_f32x4(q[2], q[3], 0x44); /* e: low, high of q0, of q1 */
    vec c = _mm512_shuffle_f32x4(q[0], q[1], 0xee), d = _mm512_shuffle_f32x4(q[2], q[3], 0xee); /* z */
    store(sum + i, (vec)_mm512_shuffle_f32x4(a, b, 0x88) + (vec)_mm512_shuffle_f32x4(a, b, 0xdd));
    store(shifted + i, (vec)_mm512_shuffle_f32x4(c, d, 0x88) + (vec)_mm512_shuffle_f32x4(c, d, 0xdd));
  }
}
#else
enum { HALVES = 8 / WIDTH }; /* vectors that eight numbers take */

static ALWAYS void eight_of(const float *x, int n, vec t[HALVES]) {
  for (int h = 0; h < HALVES; h++) {
    t[h] = load_few(x + h * WIDTH, n - h * WIDTH);
    for (int k = 8; k < n; k += 8) t[h] += load_few(x + k + h * WIDTH, n - k - h * WIDTH);
  }
}

static ALWAYS void sums_of_rows_of(int rows, int n, const float *x, float *sum) {
  for (int i = 0; i < rows; i += 4) {
    vec t[4][HALVES], q[HALVES];
    for (int r = 0; r < 4; r++) eight_of(x + (i + r < rows ? i + r : rows - 1) * n, n, t[r]);
    for (int h = 0; h < HALVES; h++) q[h] = sums_of_four(t[0][h], t[1][h], t[2][h], t[3][h]);
#if defined(__AVX2__)
    _mm_storeu_ps(sum + i, _mm_add_ps(_mm256_castps256_ps128(q[0]), _mm256_extractf128_ps(q[0], 1)));
#else
    store(sum + i, q[0] + q[HALVES - 1]);
#endif
  }
}

static void sums_of_rows(int rows, int n, const float *e, const float *z, float *sum, float *shifted) {
  sums_of_rows_of(rows, n, e, sum);
  sums_of_rows_of(rows, n, z, shifted);
}
#endif

/* Exponentials of all; returns the largest |z|. */
static ALWAYS float exponentials(size_t count, const float *z, float *e) {
  vec most = all_lanes(0.0f);
  size_t at = 0;
  for (; count - at >= WIDTH; at += WIDTH) {
    vec x = load(z + at);
    most = larger_size(x, most);
    store(e + at, exp_near(x));
  }
  if (at < count) {
    vec x = load_few(z + at, (int)(count - at));
    most = larger_size(x, most);
    store(e + at, exp_near(x));
  }
  float lanes[WIDTH], best = 0.0f;
  store(lanes, most);
  for (int l = 0; l < WIDTH; l++) best = lanes[l] > best ? lanes[l] : best;
  return best;
}

/* Of a normal number, to 1e-8. */
static ALWAYS double log_of_sum(float x) {
  uint32_t u = bits_of(x), over = u - 0x3f3504f3u; /* mantissa in [sqrt(1/2), sqrt(2)) */
  int32_t e = (int32_t)over >> 23;
  float f = float_of(u - ((uint32_t)e << 23)) - 1.0f;
  float p = -0.0763422549f;
  p = p * f + 0.127614677f;
  p = p * f - 0.131602332f;
  p = p * f + 0.142017767f;
  p = p * f - 0.16623354f;
  p = p * f + 0.200012267f;
  p = p * f - 0.250008225f;
  p = p * f + 0.333333313f;
  double d = (double)f, d2 = d * d;
  return ((double)p * d2 * d - 0.5 * d2) + d + (double)e * 0.69314718055994531;
}

/* What the gradients need of each row. */
typedef struct columns {
  float sum[LS_FEW_ROWS], shifted[LS_FEW_ROWS], scale[LS_FEW_ROWS], offset[LS_FEW_ROWS], taken[LS_TARGET_TERMS][LS_FEW_ROWS];
  int32_t label[LS_TARGET_TERMS][LS_FEW_ROWS];
} columns;

static ALWAYS void losses(ls_softmax_few *s, columns *c) {
  double weight[LS_TARGET_TERMS][LS_FEW_ROWS], mass[LS_FEW_ROWS], hard[LS_FEW_ROWS], own[LS_FEW_ROWS], by[LS_FEW_ROWS];
  double n = (double)s->n;
  for (int i = 0; i < s->rows; i++) {
    mass[i] = 0.0;
    hard[i] = 0.0;
    own[i] = s->own == NULL ? 0.0 : (double)s->own[i];
    by[i] = s->row_weights == NULL ? 1.0 : s->row_weights[i];
  }
  for (int t = 0; t < s->terms; t++)
    for (int i = 0; i < s->rows; i++) {
      int64_t y = s->labels[t][i];
      double w = s->weights[t] == NULL ? s->weight[t] : (double)s->weights[t][i];
      c->label[t][i] = (int32_t)y;
      hard[i] -= s->a * w * (double)s->z[(size_t)i * s->n + (size_t)y];
      mass[i] += w;
      weight[t][i] = w;
    }
  for (int i = 0; i < s->rows; i++) {
    double labelled = s->a * mass[i], spread = (mass[i] + own[i]) * s->u + own[i] * s->a, log_sum = log_of_sum(c->sum[i]);
    double soft = spread * log_sum - spread / n * (double)c->shifted[i];
    float total = (float)(labelled + spread), times = c->sum[i] / total;
    s->soft[i] = soft;
    s->loss[i] = hard[i] + labelled * log_sum + soft;
    c->scale[i] = (float)(s->scale * by[i]) / times;
    c->offset[i] = (float)(s->scale * by[i] * spread / n);
    for (int t = 0; t < s->terms; t++) c->taken[t][i] = (float)(s->a * weight[t][i]) * times;
  }
  double loss[8] = {0}, soft[8] = {0};
  int i = 0;
  for (; i + 8 <= s->rows; i += 8)
    for (int l = 0; l < 8; l++) {
      loss[l] += by[i + l] * s->loss[i + l];
      soft[l] += by[i + l] * s->soft[i + l];
    }
  for (int l = 0; i + l < s->rows; l++) {
    loss[l] += by[i + l] * s->loss[i + l];
    soft[l] += by[i + l] * s->soft[i + l];
  }
  s->loss_sum = ((loss[0] + loss[4]) + (loss[2] + loss[6])) + ((loss[1] + loss[5]) + (loss[3] + loss[7]));
  s->soft_sum = ((soft[0] + soft[4]) + (soft[2] + soft[6])) + ((soft[1] + soft[5]) + (soft[3] + soft[7]));
}

static ALWAYS void gradients(const ls_softmax_few *s, const columns *c, const int terms) {
  int n = (int)s->n;
  ivec places = {0};
  for (int l = 0; l < WIDTH; l++) places[l] = l;
  for (int i = 0; i < s->rows; i++) {
    const float *e = s->e + i * n;
    float *grad = s->grad + i * n;
    for (int k = 0; k < n; k += WIDTH) {
      vec x = load(e + k);
      for (int t = 0; t < terms; t++) x -= (vec)((ivec)all_lanes(c->taken[t][i]) & (places + k == c->label[t][i]));
      x = x * all_lanes(c->scale[i]) - all_lanes(c->offset[i]);
      if (n - k < WIDTH)
        store_few(grad + k, x, n - k);
      else
        store(grad + k, x);
    }
  }
}

static void few(ls_softmax_few *s) {
  columns c;
  s->most = exponentials((size_t)s->rows * s->n, s->z, s->e);
  sums_of_rows(s->rows, (int)s->n, s->e, s->z, c.sum, c.shifted);
  if (!(s->most <= LS_SOFTMAX_NEAR)) /* sums that are none: whatever comes of them is finite or NaN, and no index */
    for (int i = 0; i < s->rows; i++) c.sum[i] = c.sum[i] > 0.0f ? c.sum[i] : 1.0f;
  losses(s, &c);
  if (s->grad == NULL) return;
  if (s->terms == 1)
    gradients(s, &c, 1);
  else if (s->terms == 2)
    gradients(s, &c, 2);
  else
    gradients(s, &c, s->terms);
}

const ls_few_kernels LS_PASTE(ls_few_kernels_, LS_ISA) = {.few = few};
