/* Softmax of rows in double, summed up for the measures; compiled once for each instruction set (LS_ISA names it).
 * SPDX-License-Identifier: MIT
 *
 * Rows of few classes lie side by side in columns, long ones are summed in eight lanes. Contraction into FMA is on here, as in the convolution: without it the polynomials take a
 * third longer. So the sets differ in the last bits; tests/core/test_judging.c holds each to its error. What comes out for a row does not depend on its place among the rows. */
#include "core/kernels/kernels.h"

#include "core/kernels/bits.h"
#include "core/kernels/class_cells_tmpl.h"
#include "core/kernels/columns_tmpl.h"
#include "core/kernels/orders_tmpl.h"

/* At most 2 ulp; exp(-inf) = 0, exp(inf) = inf, NaN stays. e^r = 1 + r + r² P(r), |r| <= ln 2 / 2: P by interpolation at Chebyshev's points
 * (tests/golden/polynomials.py). Rounding to an integer by adding 1.5·2^52; 2^n in two factors, so that subnormal results come out. */
static inline double exp_d(double x) {
  const double magic = 6755399441055744.0;
  double c = x > 710.0 ? 710.0 : x;
  c = c < -750.0 ? -750.0 : c;
  double n = (c * 1.4426950408889634 + magic) - magic;
  double r = (c - n * 0.69314718036912382) - n * 1.9082149292705877e-10;
  double p = EXP_SERIES(r);
  double e = (p * (r * r) + r) + 1.0;
  double half = (n * 0.5 + magic) - magic, rest = n - half;
  uint64_t a = double_bits(half + magic) - double_bits(magic) + 1023, b = double_bits(rest + magic) - double_bits(magic) + 1023;
  return e * double_of(a << 52) * double_of(b << 52);
}

/* log(1 + x) for x >= 0, at most 3 ulp: log by fdlibm's expansion (Sun Microsystems 1993: s = f/(2+f), log(1+f) = 2s + s·R(s²)), corrected for
 * the rounding of u = 1 + x, of which 1/u is given. log1p(inf) = inf, NaN stays. */
static inline double log1p_by(double x, double u, double inverse) {
  double lost = (x - (u - 1.0)) * inverse;
  uint64_t bits = double_bits(u), shifted = bits - 0x3fe6a09e667f3bcdu; /* mantissa in [sqrt(1/2), sqrt(2)) */
  double k = double_of((shifted >> 52 & 0x7ff) | 0x4330000000000000u) - 4503599627370496.0;
  double f = double_of(bits - (shifted & 0xfff0000000000000u)) - 1.0;
  double s = f / (2.0 + f), z = s * s, half = 0.5 * f * f;
  double q = 1.479819860511658591e-01;
  q = q * z + 1.531383769920937332e-01;
  q = q * z + 1.818357216161805012e-01;
  q = q * z + 2.222219843214978396e-01;
  q = q * z + 2.857142874366239149e-01;
  q = q * z + 3.999999999940941908e-01;
  q = q * z + 6.666666666666735130e-01;
  double result = k * 6.93147180369123816490e-01 - ((half - (s * (half + q * z) + (k * 1.90821492927058770002e-10 + lost))) - f);
  result = x < INFINITY ? result : x;
  return x == 0.0 ? 0.0 : result;
}

static void exp_kernel(size_t n, double *x) {
  for (size_t i = 0; i < n; i++) x[i] = exp_d(x[i]);
}

static void log1p_kernel(size_t n, const double *x, double *out) {
  for (size_t i = 0; i < n; i++) out[i] = log1p_by(x[i], 1.0 + x[i], 1.0 / (1.0 + x[i]));
}

/* As exp_d, the 1 taken off 2^n: where n is 0 nothing is lost, elsewhere e^x is below 0.71. */
static void expm1_kernel(size_t n, const double *x, double *out) {
  const double magic = 6755399441055744.0;
  for (size_t i = 0; i < n; i++) {
    double c = x[i] < -745.0 ? -745.0 : x[i], t = c * 1.4426950408889634 + magic, power = t - magic;
    double r = (c - power * 0.69314718036912382) - power * 1.9082149292705877e-10, p = EXP_SERIES(r);
    double scale = double_of((double_bits(t < magic - 1022.0 ? magic - 1022.0 : t) - double_bits(magic) + 1023) << 52);
    out[i] = scale * (p * (r * r) + r) + (scale - 1.0);
  }
}

/* Of each row of a block: sums over the other classes, the largest and its place, the label's logit and number. */
typedef struct judged_block {
  double rest[LS_JUDGED_ROWS], squares[LS_JUDGED_ROWS];
  float top[LS_JUDGED_ROWS], best[LS_JUDGED_ROWS], second[LS_JUDGED_ROWS], own[LS_JUDGED_ROWS], label[LS_JUDGED_ROWS];
} judged_block;

enum { AHEAD = 12288 }; /* bytes that are asked for before they are read */

/* The processor's own reading ahead ends with a page. */
static inline void ask_ahead(int32_t classes, const float *const *row) {
  for (int l = 0; l < WIDTH; l++)
    for (int32_t k = 0; k < classes; k += 16) __builtin_prefetch((const void *)((uintptr_t)(row[l] + k) + AHEAD));
}

/* Columns of WIDTH rows from `at` on, which lie side by side so that rows of few classes fill the vectors, too. The largest, which is left out of the sums, is masked. */
static inline void rank_rows(judged_block *b, int at, int32_t classes, const float *const *row, const int32_t *label, int32_t *predicted, float *z) {
  ask_ahead(classes, row);
  columns_of(classes, row, z);
  leaders r = leaders_of(classes, z);
  store(b->top + at, r.top);
  store(b->second + at, r.second);
  store(b->best + at, r.best);
  store_indices(predicted, r.best);
  own_of(label, z, b->own + at, b->label + at);
  for (int l = 0; l < WIDTH; l++) z[predicted[l] * WIDTH + l] = -INFINITY;
}

/* Sums over the other classes; exponentials to p where it is not NULL. */
static inline __attribute__((always_inline)) void sum_rows(judged_block *b, int at, int32_t classes, const float *z, double inverse, bool scored, double *p, size_t column) {
  dvec top[2] = {widen_from(b->top + at), widen_from(b->top + at + HALF)}, rest[2] = {{0}}, squares[2] = {{0}};
  for (int32_t k = 0; k < classes; k++) {
    dvec x[2];
    for (int h = 0; h < 2; h++) x[h] = (widen_from(z + k * WIDTH + h * HALF) - top[h]) * inverse;
    exp_down(2, x);
    for (int h = 0; h < 2; h++) {
      rest[h] += x[h];
      if (scored) squares[h] += x[h] * x[h];
      if (p != NULL) store_doubles(p + (size_t)k * column + h * HALF, x[h]);
    }
  }
  for (int h = 0; h < 2; h++) {
    store_doubles(b->rest + at + h * HALF, rest[h]);
    if (scored) store_doubles(b->squares + at + h * HALF, squares[h]);
  }
}

/* What follows for WIDTH rows; log(1 + rest) is added to nll for many rows at once. */
static inline __attribute__((always_inline)) mask finish(const judged_block *b, int at, const ls_judged_rows *out, size_t i, double inverse, bool scored) {
  mask sound = below(all_doubles(0.0), all_doubles(1.0));
  dvec limit = all_doubles(INFINITY), one = all_doubles(1.0), sum[2], scale[2], down[2], own[2];
  for (int h = 0; h < 2; h++) {
    size_t to = i + (size_t)(h * HALF);
    dvec top = widen_from(b->top + at + h * HALF), rest = load_doubles(b->rest + at + h * HALF), own_z = widen_from(b->own + at + h * HALF);
    sum[h] = rest + 1.0;
    mask unsure = below(one, rest);
    dvec less = pick(unsure, one, rest) / sum[h], more = one - less; /* of confidence and doubt, which are in one order so */
    scale[h] = pick(unsure, less, more);
    own[h] = down[h] = (own_z - top) * inverse;
    store_doubles(out->top + to, top);
    store_doubles(out->second + to, widen_from(b->second + at + h * HALF));
    store_doubles(out->confidence + to, scale[h]);
    store_doubles(out->others + to, pick(unsure, more, less));
    sound &= below(top, limit) & below(rest, limit) & below(all_doubles(-INFINITY), own_z);
  }
  if (!scored) return sound;
  exp_down(2, own);
  for (int h = 0; h < 2; h++) {
    size_t to = i + (size_t)(h * HALF);
    dvec rest = load_doubles(b->rest + at + h * HALF), squares = load_doubles(b->squares + at + h * HALF);
    mask wrong = differ(widen_from(b->best + at + h * HALF), widen_from(b->label + at + h * HALF));
    dvec missing = pick(wrong, sum[h] - own[h], rest), square = pick(wrong, (squares + 1.0) - own[h] * own[h], squares);
    store_doubles(out->nll + to, all_doubles(0.0) - down[h]);
    store_doubles(out->brier + to, (square + missing * missing) * (scale[h] * scale[h]));
  }
  return sound;
}

/* The first `rows` of a block, a multiple of WIDTH: each step for all, or the steps would wait for each other. */
static inline __attribute__((always_inline)) mask judge_rows(int rows, int32_t classes, const float *const *row, double inverse, const int32_t *label, const ls_judged_rows *out, size_t at,
                                                             bool scored, bool all) {
  float z[LS_JUDGED_ROWS * LS_JUDGED_CLASSES] __attribute__((aligned(64)));
  judged_block b;
  mask sound = below(all_doubles(0.0), all_doubles(1.0));
  for (int i = 0; i < rows; i += WIDTH) rank_rows(&b, i, classes, row + i, label + i, out->predicted + at + i, z + i * classes);
  for (int i = 0; i < rows; i += WIDTH) sum_rows(&b, i, classes, z + i * classes, inverse, scored, all ? out->p + at + i : NULL, out->column);
  for (int i = 0; i < rows; i += WIDTH) sound &= finish(&b, i, out, at + (size_t)i, inverse, scored);
  for (int i = 0; scored && i < rows; i++) out->nll[at + (size_t)i] += log1p_by(b.rest[i], 1.0 + b.rest[i], out->confidence[at + (size_t)i]);
  for (int i = 0; all && i < rows; i += HALF) {
    dvec scale = load_doubles(out->confidence + at + i);
    double *p = out->p + at + i;
    for (int32_t k = 0; k < classes; k++, p += out->column) store_doubles(p, load_doubles(p) * scale);
  }
  for (size_t i = at; all && i < at + (size_t)rows; i++) out->p[(size_t)out->predicted[i] * out->column + i] = out->confidence[i];
  return sound;
}

static bool judge_kernel(size_t rows, int32_t classes, const float *const *row, double inverse, const int32_t *label, const ls_judged_rows *out) {
  mask sound = below(all_doubles(0.0), all_doubles(1.0));
  for (size_t i = 0; i < rows && classes > 0; i += LS_JUDGED_ROWS) {
    if (out->nll == NULL)
      sound &= judge_rows(LS_JUDGED_ROWS, classes, row + i, inverse, label + i, out, i, false, false);
    else if (out->p == NULL)
      sound &= judge_rows(LS_JUDGED_ROWS, classes, row + i, inverse, label + i, out, i, true, false);
    else
      sound &= judge_rows(LS_JUDGED_ROWS, classes, row + i, inverse, label + i, out, i, true, true);
  }
  return everywhere(sound);
}

/* e^(d/T) for d <= 0 in float32: 2^n e^r, of which n comes from d · (log2 e / T) and r = d - n · (T ln 2) has not been divided: 1/T is in the series
 * of exp_of. */
typedef struct quick_exp {
  vec steps, step, series[6];
} quick_exp;

#if defined(__AVX512F__)
/* 2^(j/32) from two registers, whose j are the lowest five bits of t: what is left is so near 0 that two terms (tests/golden/polynomials.py) are off by 0.9 · 2^-24 at most. */
static inline quick_exp quick_exp_of(double inverse) {
  return (quick_exp){.steps = all_lanes((float)(1.4426950408889634 * inverse)), .step = all_lanes((float)(0.69314718055994531 / inverse)),
                     .series = {all_lanes((float)(1.00001466 * inverse)), all_lanes((float)(0.500001192 * inverse * inverse))}};
}

/* sum + e^(d/T); what is below 2^-126 is 0. NaN and -inf give NaN by p. */
static inline vec add_quick_exp(vec sum, const quick_exp *q, vec d) {
  const __m512 first = _mm512_setr_ps(1.0f, 1.0218972f, 1.04427373f, 1.06714046f, 1.09050775f, 1.1143868f, 1.13878858f, 1.1637249f, 1.18920708f, 1.21524739f, 1.24185777f, 1.26905096f, 1.29683959f, 1.32523668f, 1.35425556f, 1.38390994f),
               second = _mm512_setr_ps(1.41421354f, 1.44518077f, 1.47682619f, 1.50916445f, 1.54221082f, 1.5759809f, 1.61049032f, 1.64575553f, 1.68179286f, 1.71861935f, 1.75625217f, 1.79470909f, 1.8340081f, 1.87416768f, 1.91520655f, 1.95714414f);
  const float magic = 393216.0f;
  vec t = d * q->steps + magic, n = t - magic, r = d - n * q->step, p = (r * q->series[1] + q->series[0]) * r;
  vec power = _mm512_maskz_scalef_ps(_mm512_cmp_ps_mask(n, all_lanes(-126.0f), _CMP_GE_OQ), _mm512_permutex2var_ps(first, (__m512i)t, second), n);
  return (power * p + power) + sum;
}
#else
static inline quick_exp quick_exp_of(double inverse) {
  const double series[6] = {1.0, 0.49999994, 0.166665211, 0.041668389, 0.00836871192, 0.00138146023};
  quick_exp q = {.steps = all_lanes((float)(1.4426950408889634 * inverse)), .step = all_lanes((float)(0.69314718055994531 / inverse))};
  double power = inverse;
  for (int i = 0; i < 6; i++, power *= inverse) q.series[i] = all_lanes((float)(series[i] * power));
  return q;
}

static inline ivec larger_integer(ivec a, ivec b) {
#if defined(__AVX2__)
  return (ivec)_mm256_max_epi32((__m256i)a, (__m256i)b);
#else
  ivec above = a > b;
  return (a & above) | (b & ~above);
#endif
}

/* sum + e^(d/T). The lowest bits of t are the exponent of 2^n, which is 0 at least: what is below 2^-127 is 0. NaN and -inf give NaN. */
static inline vec add_quick_exp(vec sum, const quick_exp *q, vec d) {
  const float magic = 12582912.0f, bias = 127.0f;
  vec t = d * q->steps + (magic + bias), n = t - (magic + bias), r = d - n * q->step, p = q->series[5];
  for (int i = 4; i >= 0; i--) p = p * r + q->series[i];
  ivec exponent = larger_integer((ivec)t, (ivec)all_lanes(magic));
  return (p * r + 1.0f) * (vec)((uvec)exponent << 23) + sum;
}
#endif

/* What the other classes have beside the largest, 1, and where that is. The smaller of each number and the largest before it are all numbers but
 * the largest; they take the place of z. */
static inline vec quick_rest(int32_t classes, float *z, const quick_exp *q, vec *best) {
  vec top = load(z), rest = all_lanes(0.0f), where = all_lanes(0.0f), class = all_lanes(1.0f);
  for (int32_t k = 1; k < classes; k++, class += 1.0f) {
    vec v = load(z + k * WIDTH);
    where = where_above(v, top, class, where);
    store(z + k * WIDTH, smaller_of(top, v)); /* v where one is NaN */
    top = larger_of(v, top);
  }
  for (int32_t k = 1; k < classes; k++) rest = add_quick_exp(rest, q, load(z + k * WIDTH) - top);
  *best = where;
  return rest;
}

/* Of a confidence by quick_rest, with u = 2^-24. An exponent x = d/T is off by at most 3ux (difference, T ln 2, its multiple where there is no FMA), e^x by 3u more of itself, a
 * sum of K - 1 by K u of itself. c² R <= 1/4 of the sum R = 1/c - 1 and c² sum x e^x <= 1.1 for at most 64 classes: u ((K + 3) / 4 + 3.3). */
static inline double quick_error(int32_t classes) { return (classes + 17) * 0.25 * 0x1p-24; }

/* Their whole parts. */
static inline ivec integers_of(dvec low, dvec high) {
#if defined(__AVX512F__)
  return (ivec)_mm512_inserti64x4(_mm512_castsi256_si512(_mm512_cvttpd_epi32(low)), _mm512_cvttpd_epi32(high), 1);
#elif defined(__AVX2__)
  return (ivec)_mm256_inserti128_si256(_mm256_castsi128_si256(_mm256_cvttpd_epi32(low)), _mm256_cvttpd_epi32(high), 1);
#else
  ivec v;
  for (int l = 0; l < HALF; l++) v[l] = (int32_t)low[l], v[HALF + l] = (int32_t)high[l];
  return v;
#endif
}

enum { BINNED_ROWS = 64 }; /* each step for so many, or the steps would wait for each other */

/* Of each row what the other classes have, and the largest; its confidence, that less the verdict, and where its cell begins. */
typedef struct binned_rows {
  float rest[BINNED_ROWS], best[BINNED_ROWS];
  double c[BINNED_ROWS], gap[BINNED_ROWS];
  uint32_t place[BINNED_ROWS];
} binned_rows;

/* WIDTH rows from `at` on. Only at 1 is a bin's edge of no matter: the last is closed. Where all bins are sure, true. */
static inline bool place_rows(binned_rows *b, int at, const int32_t *label, int32_t bins, double error) {
  const double magic = 6755399441055744.0;
  float right[WIDTH];
  ivec hit = load(b->best + at) == floats_of(label);
  store(right, (vec)(hit & (ivec)all_lanes(1.0f)));
  mask sure = below(all_doubles(0.0), all_doubles(1.0));
  dvec where[2];
  for (int h = 0; h < 2; h++) {
    dvec c = 1.0 / (widen_from(b->rest + at + h * HALF) + 1.0), last = all_doubles(bins - 0.5), x = c * (double)bins;
    x = pick(below(last, x), last, x); /* NaN stays */
    dvec off = x - ((x + magic) - magic);
    sure &= below(all_doubles(error * error), off * off);
    store_doubles(b->c + at + h * HALF, c);
    store_doubles(b->gap + at + h * HALF, c - widen_from(right + h * HALF));
    where[h] = x;
  }
  uvec place = LS_BIN_CELL * (2 * ((uvec)integers_of(where[0], where[1]) + 1) - (uvec)hit); /* of NaN any number */
  memcpy(b->place + at, &place, sizeof place);
  return everywhere(sure);
}

/* A cell: count, c, c², (c - a)². */
static inline void add_to_bin(double *cell, const double *c, const double *gap) {
#if defined(__AVX2__)
  __m256d ones = _mm256_set1_pd(1.0), x = _mm256_blend_pd(_mm256_broadcast_sd(c), _mm256_broadcast_sd(gap), 8);
  _mm256_storeu_pd(cell, _mm256_fmadd_pd(_mm256_blend_pd(x, ones, 1), _mm256_blend_pd(x, ones, 3), _mm256_loadu_pd(cell)));
#else
  typedef double pair __attribute__((vector_size(16), aligned(8), may_alias));
  *(pair *)cell += (pair){1.0, *c};
  *(pair *)(cell + 2) += (pair){*c, *gap} * (pair){*c, *gap};
#endif
}

/* `count` rows, of which the copies take turns. */
static inline void add_to_bins(const ls_bin_block *b, const binned_rows *rows, int count) {
  double *copy[LS_BIN_COPIES];
  int i = 0;
  for (int c = 0; c < LS_BIN_COPIES; c++) copy[c] = b->cells + (size_t)c * b->copy;
  for (; i + LS_BIN_COPIES <= count; i += LS_BIN_COPIES)
    for (int c = 0; c < LS_BIN_COPIES; c++) add_to_bin(copy[c] + rows->place[i + c], rows->c + i + c, rows->gap + i + c);
  for (; i < count; i++) add_to_bin(copy[i % LS_BIN_COPIES] + rows->place[i], rows->c + i, rows->gap + i);
}

/* WIDTH rows from `at` on; in place of such as there are not the first again. */
static inline __attribute__((always_inline)) void rows_from(const ls_bin_block *b, size_t at, const float **row) {
  if (b->first == NULL) {
    for (int l = 0; l < WIDTH; l++) row[l] = b->row[at + (size_t)l];
    return;
  }
  bool whole = at + WIDTH <= b->rows;
  for (int l = 0; l < WIDTH; l++) row[l] = b->first + (whole || at + (size_t)l < b->rows ? (ptrdiff_t)(at + (size_t)l) * b->stride : 0);
}

/* In double those whose bin is not sure; false where a row cannot be judged. */
static __attribute__((noinline)) bool place_again(binned_rows *b, const ls_bin_block *block, size_t from, int at, double inverse, double error) {
  const int32_t *label = block->label + from + (size_t)at, bins = block->bins;
  const float *row[WIDTH];
  double top[WIDTH], second[WIDTH], c[WIDTH], others[WIDTH];
  int32_t predicted[WIDTH];
  ls_judged_rows out = {.top = top, .second = second, .confidence = c, .others = others, .predicted = predicted};
  rows_from(block, from + (size_t)at, row);
  if (block->classes < 2 || !everywhere(judge_rows(WIDTH, block->classes, row, inverse, label, &out, 0, false, false))) return false;
  for (int l = 0; l < WIDTH; l++) {
    double x = b->c[at + l] * bins;
    if (x >= bins - 0.5 || fabs(x - nearbyint(x)) >= error) continue;
    int32_t bin = (int32_t)(c[l] * bins), right = predicted[l] == label[l];
    b->c[at + l] = c[l];
    b->gap[at + l] = c[l] - right;
    b->place[at + l] = (uint32_t)(LS_BIN_CELL * (2 * ((bin < bins ? bin : bins - 1) + 1) + right));
  }
  return true;
}

static inline __attribute__((always_inline)) void rest_rows(binned_rows *b, const ls_bin_block *block, size_t from, int count, int32_t classes, const quick_exp *q) {
  for (int i = 0; i < count; i += WIDTH) {
    float z[LS_JUDGED_CLASSES * WIDTH] __attribute__((aligned(64)));
    const float *row[WIDTH];
    vec best;
    rows_from(block, from + (size_t)i, row);
    ask_ahead(classes, row);
    columns_of(classes, row, z);
    store(b->rest + i, quick_rest(classes, z, q, &best));
    store(b->best + i, best);
  }
}

static bool bin_kernel(const ls_bin_block *block, double inverse) {
  const ls_bin_block b = *block;
  const quick_exp q = quick_exp_of(inverse);
  double error = quick_error(b.classes) * b.bins;
  int32_t classes = b.classes;
  binned_rows binned;
  for (size_t from = 0; from < b.rows && classes > 1; from += BINNED_ROWS) {
    const int32_t *label = b.label + from;
    int count = b.rows - from < BINNED_ROWS ? (int)(b.rows - from) : BINNED_ROWS;
    if (classes == 10) /* what most have here: loops without an end to be guessed */
      rest_rows(&binned, &b, from, count, 10, &q);
    else
      rest_rows(&binned, &b, from, count, classes, &q);
    for (int i = 0; i < count; i += WIDTH)
      if (!place_rows(&binned, i, label + i, b.bins, error) && !place_again(&binned, &b, from, i, inverse, error)) return false;
    add_to_bins(&b, &binned, count);
  }
  return true;
}

/* The largest number, where it is first, and the largest of the others: by lanes, of which the first with the largest has it. */
static void leaders_of_row(int32_t n, const float *z, int32_t *best, float *top, float *second) {
  vec tops[2], seconds[2], places[2], place = all_lanes(0.0f);
  float t[2 * WIDTH], s[2 * WIDTH], at[2 * WIDTH];
  int32_t whole = n / (2 * WIDTH) * (2 * WIDTH), step = 0;
  for (int h = 0; h < 2; h++) tops[h] = seconds[h] = all_lanes(-INFINITY), places[h] = all_lanes(-1.0f);
  for (int32_t k = 0; k < whole; k += 2 * WIDTH, step++) {
    place = all_lanes((float)step);
    for (int h = 0; h < 2; h++) {
      vec v = load(z + k + h * WIDTH), lower = smaller_of(v, tops[h]);
      places[h] = where_above(v, tops[h], place, places[h]);
      tops[h] = larger_of(v, tops[h]);
      seconds[h] = larger_of(lower, seconds[h]);
    }
  }
  for (int h = 0; h < 2; h++) store(t + h * WIDTH, tops[h]), store(s + h * WIDTH, seconds[h]), store(at + h * WIDTH, places[h]);
  int32_t where = 0;
  float most = -INFINITY, next = -INFINITY;
  bool found = false;
  for (int l = 0; whole > 0 && l < 2 * WIDTH; l++) {
    if (at[l] < 0.0f) continue; /* nothing but -inf and NaN in this lane */
    int32_t k = (int32_t)at[l] * (2 * WIDTH) + l;
    if (!found || t[l] > most || (t[l] == most && k < where)) {
      next = found && most > next ? most : next;
      next = s[l] > next ? s[l] : next;
      most = t[l];
      where = k;
      found = true;
    } else {
      next = t[l] > next ? t[l] : next;
    }
  }
  for (int32_t k = whole; k < n; k++) {
    if (z[k] > most) {
      next = found ? most : next;
      most = z[k];
      where = k;
      found = true;
    } else if (z[k] > next && (found || z[k] > -INFINITY))
      next = z[k];
  }
  *best = where;
  *top = found ? most : z[0];
  *second = next;
}

/* Sums over all classes but the best, in eight lanes by k mod 8, and the exponentials, which go to e (padded to 16 numbers). */
static void judge_long_kernel(int32_t n, const float *z, double inverse, double *e, ls_judged_row *out) {
  dvec rest[VECTORS] = {{0}}, squares[VECTORS] = {{0}}, place[VECTORS];
  float second;
  leaders_of_row(n, z, &out->best, &out->largest, &second);
  dvec top = all_doubles((double)out->largest), best = all_doubles((double)out->best);
  for (int v = 0; v < VECTORS; v++)
    for (int l = 0; l < HALF; l++) place[v][l] = v * HALF + l;
  float last[GROUP];
  for (int32_t k = 0; k < n; k += GROUP) {
    const float *from = z + k;
    if (n - k < GROUP) {
      for (int l = 0; l < GROUP; l++) last[l] = k + l < n ? from[l] : -INFINITY;
      from = last;
    }
    dvec x[VECTORS];
    for (int v = 0; v < VECTORS; v++) x[v] = (widen_from(from + v * HALF) - top) * inverse;
    exp_down(VECTORS, x);
    for (int v = 0; v < VECTORS; v++) {
      mask other = differ(place[v], best);
      rest[v] = add_where(other, rest[v], x[v]);
      squares[v] = add_square_where(other, squares[v], x[v]);
      store_doubles(e + k + v * HALF, x[v]);
      place[v] += (double)GROUP;
    }
  }
  out->second = second;
  out->rest = sum_of_group(rest);
  out->squares = sum_of_group(squares);
}

static bool labels_kernel(size_t n, const int64_t *labels, int32_t classes, int32_t *out) {
  uint64_t outside = 0;
  for (size_t i = 0; i < n; i++) {
    uint64_t y = (uint64_t)labels[i];
    outside |= ((uint64_t)classes - 1 - y) | y; /* the sign: y is not among them */
    out[i] = (int32_t)y;
  }
  return outside >> 63 == 0;
}

/* Sums stay in registers; the last ones are made again with some before them. */
static void convolve_kernel(size_t taps, const double *weights, size_t n, const double *x, double *out) {
  enum { SUMS = 8 };
  size_t from = 0;
  for (; n >= SUMS * HALF && from < n; from += SUMS * HALF) {
    dvec sum[SUMS] = {{0}};
    if (n - from < SUMS * HALF) from = n - SUMS * HALF;
    for (size_t i = 0; i < taps; i++)
      for (int v = 0; v < SUMS; v++) sum[v] += load_doubles(x + from + i + v * HALF) * weights[i];
    for (int v = 0; v < SUMS; v++) store_doubles(out + from + v * HALF, sum[v]);
  }
  for (; from < n; from++) {
    double sum = 0.0;
    for (size_t i = 0; i < taps; i++) sum += x[from + i] * weights[i];
    out[from] = sum;
  }
}

const ls_evaluation_kernels LS_PASTE(ls_evaluation_kernels_, LS_ISA) = {.exp = exp_kernel, .log1p = log1p_kernel, .expm1 = expm1_kernel, .judge = judge_kernel, .judge_long = judge_long_kernel, .bin = bin_kernel,
                                                                   .places = places_kernel, .add_cells = add_cells_kernel, .common_keys = common_keys_kernel, .take_apart = take_apart_kernel, .add_sorted = add_sorted_kernel, .range = range_kernel, .labels = labels_kernel, .convolve = convolve_kernel};
