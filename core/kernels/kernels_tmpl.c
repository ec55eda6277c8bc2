/* The hot loops, compiled once for each instruction set (LS_ISA names it). SPDX-License-Identifier: MIT
 *
 * Plain C with 16 fixed lanes where a sum or a maximum runs along a row, so that the order of additions is the same on
 * every set; contraction into FMA is off. Float lanes are emptied into a double every 512 elements: 32 additions a lane. */
#include "core/kernels/doubles_tmpl.h"
#include "core/kernels/kernels.h"
#include "core/kernels/math_tmpl.h"

#define LS_KERNELS_NAME LS_PASTE(ls_kernels_, LS_ISA)

enum { CHUNK = 512 };

#define UNARY(name, expression)                                                                                          \
  static void name##_unary(size_t n, const float *px, ptrdiff_t x_step, float *out, ptrdiff_t out_step) {                \
    if (x_step == 1 && out_step == 1)                                                                                    \
      for (size_t i = 0; i < n; i++) {                                                                                   \
        float x = px[i];                                                                                                 \
        out[i] = (expression);                                                                                           \
      }                                                                                                                  \
    else                                                                                                                 \
      for (size_t i = 0; i < n; i++) {                                                                                   \
        float x = px[(ptrdiff_t)i * x_step];                                                                             \
        out[(ptrdiff_t)i * out_step] = (expression);                                                                     \
      }                                                                                                                  \
  }

UNARY(copy, x)
UNARY(neg, -x)
UNARY(abs, fabsf(x))
UNARY(sign, x > 0.0f ? 1.0f : x < 0.0f ? -1.0f : x)
UNARY(exp, exp_f(x))
UNARY(log, log_f(x))
UNARY(sqrt, sqrtf(x))
UNARY(square, x * x)
UNARY(reciprocal, 1.0f / x)
UNARY(relu, x <= 0.0f ? 0.0f : x)
UNARY(gelu, gelu_f(x))
UNARY(tanh, tanh_f(x))
UNARY(sigmoid, sigmoid_f(x))
UNARY(softplus, softplus_f(x))
UNARY(gelu_slope, gelu_slope_f(x))
UNARY(tanh_slope, 1.0f - x * x)
UNARY(sigmoid_slope, x * (1.0f - x))

#define BINARY(name, expression)                                                                                         \
  static void name##_binary(size_t n, const float *pa, ptrdiff_t a_step, const float *pb, ptrdiff_t b_step, float *out,  \
                            ptrdiff_t out_step) {                                                                        \
    if (a_step == 1 && b_step == 1 && out_step == 1)                                                                     \
      for (size_t i = 0; i < n; i++) {                                                                                   \
        float a = pa[i], b = pb[i];                                                                                      \
        out[i] = (expression);                                                                                           \
      }                                                                                                                  \
    else if (a_step == 1 && b_step == 0 && out_step == 1 && n > 0) {                                                     \
      float b = *pb;                                                                                                     \
      for (size_t i = 0; i < n; i++) {                                                                                   \
        float a = pa[i];                                                                                                 \
        out[i] = (expression);                                                                                           \
      }                                                                                                                  \
    } else if (a_step == 0 && b_step == 1 && out_step == 1 && n > 0) {                                                   \
      float a = *pa;                                                                                                     \
      for (size_t i = 0; i < n; i++) {                                                                                   \
        float b = pb[i];                                                                                                 \
        out[i] = (expression);                                                                                           \
      }                                                                                                                  \
    } else                                                                                                               \
      for (size_t i = 0; i < n; i++) {                                                                                   \
        float a = pa[(ptrdiff_t)i * a_step], b = pb[(ptrdiff_t)i * b_step];                                              \
        out[(ptrdiff_t)i * out_step] = (expression);                                                                     \
      }                                                                                                                  \
  }

BINARY(relu_back, b > 0.0f ? a : 0.0f)
BINARY(add_relu, a + b <= 0.0f ? 0.0f : a + b)
BINARY(add, a + b)
BINARY(sub, a - b)
BINARY(mul, a *b)
BINARY(div, a / b)
BINARY(pow, powf(a, b))
BINARY(maximum, a > b ? a : (b != b || a == a ? b : a))
BINARY(minimum, a < b ? a : (b != b || a == a ? b : a))
BINARY(gt, a > b ? 1.0f : 0.0f)
BINARY(ge, a >= b ? 1.0f : 0.0f)
BINARY(lt, a < b ? 1.0f : 0.0f)
BINARY(le, a <= b ? 1.0f : 0.0f)
BINARY(eq, a == b ? 1.0f : 0.0f)
BINARY(ne, a != b ? 1.0f : 0.0f)

static inline double lanes_sum(const float *lanes) {
  double total = 0.0;
  for (int l = 0; l < LANES; l++) total += (double)lanes[l];
  return total;
}

static double sum_kernel(size_t n, const float *x) {
  double total = 0.0;
  size_t i = 0;
  while (n - i >= LANES) {
    size_t left = (n - i) / LANES * LANES, end = i + (left < CHUNK ? left : CHUNK);
    float lanes[LANES] = {0};
    for (; i < end; i += LANES)
      for (int l = 0; l < LANES; l++) lanes[l] += x[i + (size_t)l];
    total += lanes_sum(lanes);
  }
  for (; i < n; i++) total += (double)x[i];
  return total;
}

/* Of `vectors` columns side by side, which stay in registers. */
static inline __attribute__((always_inline)) void sum_vectors(size_t rows, const float *x, ptrdiff_t step, double *total, const int vectors) {
  dvec sum[8];
  for (int v = 0; v < vectors; v++) sum[v] = all_doubles(0.0);
  for (; rows > 0; rows--, x += step)
    for (int v = 0; v < vectors; v++) sum[v] += widen_from(x + v * HALF);
  for (int v = 0; v < vectors; v++) store_doubles(total + v * HALF, sum[v]);
}

static void sum_columns_kernel(size_t rows, const float *x, ptrdiff_t step, size_t n, double *total) {
  for (; n >= 8 * HALF; n -= 8 * HALF, x += 8 * HALF, total += 8 * HALF) sum_vectors(rows, x, step, total, 8);
  for (; n >= HALF; n -= HALF, x += HALF, total += HALF) sum_vectors(rows, x, step, total, 1);
  for (size_t c = 0; c < n; c++) {
    total[c] = 0.0;
    for (size_t i = 0; i < rows; i++) total[c] += (double)x[(ptrdiff_t)i * step + (ptrdiff_t)c];
  }
}

static double dot_kernel(size_t n, const float *a, const float *b) {
  double total = 0.0;
  size_t i = 0;
  while (n - i >= LANES) {
    size_t left = (n - i) / LANES * LANES, end = i + (left < CHUNK ? left : CHUNK);
    float lanes[LANES] = {0};
    for (; i < end; i += LANES)
      for (int l = 0; l < LANES; l++) lanes[l] += a[i + (size_t)l] * b[i + (size_t)l];
    total += lanes_sum(lanes);
  }
  for (; i < n; i++) total += (double)(a[i] * b[i]);
  return total;
}

static double centred_dot_kernel(size_t n, const float *a, float shift_a, const float *b, float shift_b) {
  double total = 0.0;
  size_t i = 0;
  while (n - i >= LANES) {
    size_t left = (n - i) / LANES * LANES, end = i + (left < CHUNK ? left : CHUNK);
    float lanes[LANES] = {0};
    for (; i < end; i += LANES)
      for (int l = 0; l < LANES; l++) lanes[l] += (a[i + (size_t)l] - shift_a) * (b[i + (size_t)l] - shift_b);
    total += lanes_sum(lanes);
  }
  for (; i < n; i++) total += (double)((a[i] - shift_a) * (b[i] - shift_b));
  return total;
}

static float max_kernel(size_t n, const float *x) {
  float lanes[LANES];
  size_t i = 0;
  for (int l = 0; l < LANES; l++) lanes[l] = -INFINITY;
  for (; n - i >= LANES; i += LANES)
    for (int l = 0; l < LANES; l++) {
      float v = x[i + (size_t)l];
      lanes[l] = v > lanes[l] ? v : lanes[l];
    }
  float best = -INFINITY;
  for (int l = 0; l < LANES; l++) best = lanes[l] > best ? lanes[l] : best;
  for (; i < n; i++) best = x[i] > best ? x[i] : best;
  return best;
}

static double exp_sum_kernel(size_t n, const float *z, float shift, float *out, double *shifted) {
  double total = 0.0, total_shifted = 0.0;
  size_t i = 0;
  while (n - i >= LANES) {
    size_t left = (n - i) / LANES * LANES, end = i + (left < CHUNK ? left : CHUNK);
    float sums[LANES] = {0}, shifts[LANES] = {0};
    if (out != NULL)
      for (; i < end; i += LANES)
        for (int l = 0; l < LANES; l++) {
          float d = z[i + (size_t)l] - shift, e = exp_f(d);
          out[i + (size_t)l] = e;
          sums[l] += e;
          shifts[l] += d;
        }
    else
      for (; i < end; i += LANES)
        for (int l = 0; l < LANES; l++) {
          float d = z[i + (size_t)l] - shift;
          sums[l] += exp_f(d);
          shifts[l] += d;
        }
    total += lanes_sum(sums);
    total_shifted += lanes_sum(shifts);
  }
  for (; i < n; i++) {
    float d = z[i] - shift, e = exp_f(d);
    if (out != NULL) out[i] = e;
    total += (double)e;
    total_shifted += (double)d;
  }
  *shifted = total_shifted;
  return total;
}

static void scale_subtract_kernel(size_t n, float scale, float offset, float *out) {
  for (size_t i = 0; i < n; i++) out[i] = out[i] * scale - offset;
}

static void axpy_kernel(size_t n, float scale, const float *restrict x, float *restrict out) {
  for (size_t i = 0; i < n; i++) out[i] += scale * x[i];
}

static void blend_kernel(size_t n, float a, const float *x, float b, const float *restrict y, float *out) {
  for (size_t i = 0; i < n; i++) out[i] = a * x[i] + b * y[i];
}

static void subtract_kernel(size_t n, const float *z, float shift, float *out) {
  for (size_t i = 0; i < n; i++) out[i] = z[i] - shift;
}

/* The larger of two; NaN where one is. */
static inline float larger(float a, float b) {
  float most = b > a ? b : a;
  return b != b ? b : most;
}

static void halve_kernel(size_t n, const float *restrict upper, const float *restrict lower, float *restrict y) {
  for (size_t j = 0; j < n; j++) y[j] = larger(larger(upper[2 * j], upper[2 * j + 1]), larger(lower[2 * j], lower[2 * j + 1]));
}

/* Selects, no branches, a fixed number: written so that gcc makes vectors of it. */
#define HALVE_BACK(COUNT)                                                                                                \
  static inline void halve_back_##COUNT(const float *restrict upper, const float *restrict lower, const float *restrict dy, \
                                        float *restrict to_upper, float *restrict to_lower) {                            \
    for (size_t j = 0; j < COUNT; j++) {                                                                                 \
      float p = upper[2 * j], q = upper[2 * j + 1], r = lower[2 * j], s = lower[2 * j + 1], left = dy[j];                \
      float most = larger(larger(p, q), larger(r, s));                                                                   \
      int at_p = (p == most) | (p != p), at_q = (q == most) | (q != q), at_r = (r == most) | (r != r);                   \
      to_upper[2 * j] = at_p ? left : 0.0f;                                                                              \
      left = at_p ? 0.0f : left;                                                                                         \
      to_upper[2 * j + 1] = at_q ? left : 0.0f;                                                                          \
      left = at_q ? 0.0f : left;                                                                                         \
      to_lower[2 * j] = at_r ? left : 0.0f;                                                                              \
      to_lower[2 * j + 1] = at_r ? 0.0f : left;                                                                          \
    }                                                                                                                    \
  }
HALVE_BACK(16)
HALVE_BACK(8)
HALVE_BACK(4)
HALVE_BACK(1)

/* Rows of images are short: their ends are done in vectors, too, which overlap those before. */
#define IN_PIECES(n, COUNT, call)                                                                                        \
  if (n >= COUNT) {                                                                                                      \
    for (size_t j = 0; j < n; j += COUNT) {                                                                              \
      size_t at = j + COUNT <= n ? j : n - COUNT;                                                                        \
      call;                                                                                                              \
    }                                                                                                                    \
    return;                                                                                                              \
  }

static void halve_back_kernel(size_t n, const float *upper, const float *lower, const float *dy, float *to_upper, float *to_lower) {
#define ALL(COUNT) IN_PIECES(n, COUNT, halve_back_##COUNT(upper + 2 * at, lower + 2 * at, dy + at, to_upper + 2 * at, to_lower + 2 * at))
  ALL(16) ALL(8) ALL(4) ALL(1)
#undef ALL
}

/* Maxima with their places: 32-bit numbers between, since gcc makes no vectors of floats and bytes at once. */
#define HALVE_NOTE(COUNT)                                                                                                \
  static inline void halve_note_##COUNT(const float *restrict upper, const float *restrict lower, float *restrict y, uint8_t *restrict places) { \
    int32_t place[COUNT];                                                                                                \
    for (size_t j = 0; j < COUNT; j++) {                                                                                 \
      float p = upper[2 * j], q = upper[2 * j + 1], r = lower[2 * j], s = lower[2 * j + 1];                              \
      float most = larger(larger(p, q), larger(r, s));                                                                   \
      int at_p = (p == most) | (p != p), at_q = (q == most) | (q != q), at_r = (r == most) | (r != r);                   \
      y[j] = most <= 0.0f ? 0.0f : most;                                                                                 \
      int32_t third = at_r ? 2 : 3, second = at_q ? 1 : third;                                                           \
      place[j] = at_p ? 0 : second;                                                                                      \
    }                                                                                                                    \
    for (size_t j = 0; j < COUNT; j++) places[j] = (uint8_t)place[j];                                                    \
  }
HALVE_NOTE(16)
HALVE_NOTE(8)
HALVE_NOTE(4)
HALVE_NOTE(1)

static void halve_note_kernel(size_t n, const float *upper, const float *lower, float *y, uint8_t *places) {
#define ALL(COUNT) IN_PIECES(n, COUNT, halve_note_##COUNT(upper + 2 * at, lower + 2 * at, y + at, places + at))
  ALL(16) ALL(8) ALL(4) ALL(1)
#undef ALL
}

/* Eight at once, as vectors by name: gcc makes branches of selects by place. */
typedef float eight __attribute__((vector_size(32), aligned(4), may_alias));
typedef int32_t eight_bits __attribute__((vector_size(32), aligned(4), may_alias));
typedef uint8_t eight_bytes __attribute__((vector_size(8), aligned(1), may_alias));

static inline void store_pairs(float *to, eight_bits a, eight_bits b) {
  *(eight_bits *)to = __builtin_shuffle(a, b, (eight_bits){0, 8, 1, 9, 2, 10, 3, 11});
  *(eight_bits *)(to + 8) = __builtin_shuffle(a, b, (eight_bits){4, 12, 5, 13, 6, 14, 7, 15});
}

static inline void halve_spread_8(const float *y, const uint8_t *places, const float *dy, float *to_upper, float *to_lower) {
  eight_bits place = __builtin_convertvector(*(const eight_bytes *)places, eight_bits), g = *(const eight_bits *)dy & (eight_bits)(*(const eight *)y > 0.0f);
  store_pairs(to_upper, g & (place == 0), g & (place == 1));
  store_pairs(to_lower, g & (place == 2), g & (place == 3));
}

static inline void halve_spread_1(const float *y, const uint8_t *places, const float *dy, float *to_upper, float *to_lower) {
  to_upper[0] = to_upper[1] = to_lower[0] = to_lower[1] = 0.0f;
  if (*y > 0.0f) (*places < 2 ? to_upper : to_lower)[*places % 2] = *dy;
}

static void halve_spread_kernel(size_t n, const float *y, const uint8_t *places, const float *dy, float *to_upper, float *to_lower) {
#define ALL(COUNT) IN_PIECES(n, COUNT, halve_spread_##COUNT(y + at, places + at, dy + at, to_upper + 2 * at, to_lower + 2 * at))
  ALL(8) ALL(1)
#undef ALL
}

static void sgd_kernel(size_t n, float *restrict w, const float *restrict g, float *restrict velocity, float lr,
                       float momentum, float weight_decay, int nesterov, int first) {
  if (velocity == NULL) {
    for (size_t i = 0; i < n; i++) w[i] -= lr * (g[i] + weight_decay * w[i]);
    return;
  }
  float keep = first ? 0.0f : momentum;
  for (size_t i = 0; i < n; i++) {
    float d = g[i] + weight_decay * w[i];
    float v = first ? d : keep * velocity[i] + d;
    velocity[i] = v;
    w[i] -= lr * (nesterov ? d + momentum * v : v);
  }
}

static void adam_kernel(size_t n, float *restrict w, const float *restrict g, float *restrict m, float *restrict v,
                        float step_size, float rate1, float beta2, float rate2, float eps, float correction2,
                        float weight_decay, float decoupled) {
  for (size_t i = 0; i < n; i++) {
    float x = w[i] * decoupled, d = g[i] + weight_decay * x;
    float m1 = m[i] + rate1 * (d - m[i]);
    float v1 = beta2 * v[i] + rate2 * (d * d);
    m[i] = m1;
    v[i] = v1;
    w[i] = x - step_size * m1 / (sqrtf(v1) * correction2 + eps);
  }
}

const ls_kernels LS_KERNELS_NAME = {
#define LS_SLOT(upper, lower) [LS_UNARY_##upper] = lower##_unary,
    .unary = {LS_UNARY_OPS(LS_SLOT)},
#undef LS_SLOT
#define LS_SLOT(upper, lower) [LS_BINARY_##upper] = lower##_binary,
    .binary = {LS_BINARY_OPS(LS_SLOT)},
#undef LS_SLOT
    .sum = sum_kernel,
    .sum_columns = sum_columns_kernel,
    .dot = dot_kernel,
    .centred_dot = centred_dot_kernel,
    .max = max_kernel,
    .exp_sum = exp_sum_kernel,
    .scale_subtract = scale_subtract_kernel,
    .axpy = axpy_kernel,
    .blend = blend_kernel,
    .subtract = subtract_kernel,
    .convolution = &LS_PASTE(ls_convolution_kernels_, LS_ISA),
    .softmax = &LS_PASTE(ls_softmax_kernels_, LS_ISA),
    .few = &LS_PASTE(ls_few_kernels_, LS_ISA),
    .few_labels = &LS_PASTE(ls_few_label_kernels_, LS_ISA),
    .penalty = &LS_PASTE(ls_penalty_kernels_, LS_ISA),
    .random = &LS_PASTE(ls_random_kernels_, LS_ISA),
    .mix = &LS_PASTE(ls_mix_kernels_, LS_ISA),
    .evaluation = &LS_PASTE(ls_evaluation_kernels_, LS_ISA),
    .knn = &LS_PASTE(ls_knn_kernels_, LS_ISA),
    .halve = halve_kernel,
    .halve_back = halve_back_kernel,
    .halve_note = halve_note_kernel,
    .halve_spread = halve_spread_kernel,
    .sgd = sgd_kernel,
    .adam = adam_kernel,
};
