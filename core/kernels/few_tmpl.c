/* Cross-entropy and gradient of rows of few classes, compiled once for each instruction set. SPDX-License-Identifier: MIT
 *
 * Rows of ten classes are bound by arithmetic and by what every row costs: LS_FEW_ROWS of them are taken through four phases, each a loop of
 * vectors: exponentials of all logits as one run of numbers, sums of rows (four rows at a time, transposed while they are added), the losses with
 * lanes of rows, the gradients row by row. With a vector beside the labels (a prior, or dense rows), its products with the logits are summed in the
 * same way. All logits are within ±LS_SOFTMAX_NEAR, so that there is no maximum.
 * A row's sum: t_l = x_l + x_(l+8) + … for l < 8, then ((t0+t2)+(t1+t3)) + ((t4+t6)+(t5+t7)), in float: the same bits on every set. */
#include "core/kernels/kernels.h"
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
/* A row of e folded to eight lanes in the lower half, of z in the upper one; `parts` times eight numbers, the last of them masked. */
static ALWAYS vec eight_of(const float *e, const float *z, unsigned last, const int parts) {
  vec t = all_lanes(0.0f);
  for (int k = 0; k < parts; k++) {
    unsigned mask = k + 1 == parts ? last : 0xff;
    __m512 low = _mm512_maskz_loadu_ps((__mmask16)mask, e + 8 * k);
    vec x = _mm512_mask_loadu_ps(low, (__mmask16)(mask << 8), z + 8 * k - 8);
    t = k == 0 ? x : t + x;
  }
  return t;
}

static ALWAYS void sums_of_parts(int rows, int n, const float *e, const float *z, float *sum, float *shifted, const int parts) {
  unsigned last = (1u << (n - 8 * (parts - 1))) - 1;
  for (int i = 0; i < rows; i += 16) {
    vec q[4];
    for (int g = 0; g < 4; g++) {
      vec t[4];
      for (int r = 0; r < 4; r++) {
        int row = i + 4 * g + r < rows ? i + 4 * g + r : rows - 1;
        t[r] = eight_of(e + row * n, z + row * n, last, parts);
      }
      q[g] = sums_of_four(t[0], t[1], t[2], t[3]);
    }
    vec a = _mm512_shuffle_f32x4(q[0], q[1], 0x44), b = _mm512_shuffle_f32x4(q[2], q[3], 0x44); /* e: low, high of q0, of q1 */
    vec c = _mm512_shuffle_f32x4(q[0], q[1], 0xee), d = _mm512_shuffle_f32x4(q[2], q[3], 0xee); /* z */
    store(sum + i, (vec)_mm512_shuffle_f32x4(a, b, 0x88) + (vec)_mm512_shuffle_f32x4(a, b, 0xdd));
    store(shifted + i, (vec)_mm512_shuffle_f32x4(c, d, 0x88) + (vec)_mm512_shuffle_f32x4(c, d, 0xdd));
  }
}

static void sums_of_rows(int rows, int n, const float *e, const float *z, float *sum, float *shifted) {
  if (n <= 8)
    sums_of_parts(rows, n, e, z, sum, shifted, 1);
  else if (n <= 16)
    sums_of_parts(rows, n, e, z, sum, shifted, 2);
  else if (n <= 24)
    sums_of_parts(rows, n, e, z, sum, shifted, 3);
  else
    sums_of_parts(rows, n, e, z, sum, shifted, 4);
}
#else
enum { HALVES = 8 / WIDTH }; /* vectors that eight numbers take */

/* A row folded to eight lanes; `parts` times eight numbers, the last of them not whole. */
static ALWAYS void eight_of(const float *x, int n, vec t[HALVES], const int parts) {
  for (int h = 0; h < HALVES; h++) {
    t[h] = parts == 1 ? load_few(x + h * WIDTH, n - h * WIDTH) : load(x + h * WIDTH);
    for (int k = 1; k < parts; k++) t[h] += k + 1 == parts ? load_few(x + 8 * k + h * WIDTH, n - 8 * k - h * WIDTH) : load(x + 8 * k + h * WIDTH);
  }
}

/* Of rows that lie `apart` from each other. */
static ALWAYS void sums_of_four_rows(const float *row, ptrdiff_t apart, int n, float *sum, const int parts) {
  vec t[4][HALVES], q[HALVES];
  for (int r = 0; r < 4; r++) eight_of(row + r * apart, n, t[r], parts);
  for (int h = 0; h < HALVES; h++) q[h] = sums_of_four(t[0][h], t[1][h], t[2][h], t[3][h]);
#if defined(__AVX2__)
  _mm_storeu_ps(sum, _mm_add_ps(_mm256_castps256_ps128(q[0]), _mm256_extractf128_ps(q[0], 1)));
#else
  store(sum, q[0] + q[HALVES - 1]);
#endif
}

static ALWAYS void sums_of_parts(int rows, int n, const float *x, float *sum, const int parts) {
  int i = 0;
  for (; rows - i >= 4; i += 4, x += 4 * n) sums_of_four_rows(x, n, n, sum + i, parts);
  float few[4];
  for (int r = 0; i + r < rows; r++) {
    sums_of_four_rows(x + r * n, 0, n, few, parts);
    sum[i + r] = few[0];
  }
  for (int k = rows; k < (rows + 7) / 8 * 8; k++) sum[k] = sum[rows - 1]; /* losses are made by eights */
}

static void sums_of(int rows, int n, const float *x, float *sum) {
  if (n <= 8)
    sums_of_parts(rows, n, x, sum, 1);
  else if (n <= 16)
    sums_of_parts(rows, n, x, sum, 2);
  else if (n <= 24)
    sums_of_parts(rows, n, x, sum, 3);
  else
    sums_of_parts(rows, n, x, sum, 4);
}

static void sums_of_rows(int rows, int n, const float *e, const float *z, float *sum, float *shifted) {
  sums_of(rows, n, e, sum);
  sums_of(rows, n, z, shifted);
}
#endif

/* Exponentials of all; returns the largest |z|. */
static ALWAYS float exponentials(size_t count, const float *z, float *e, const float *grad) {
  vec most = all_lanes(0.0f);
  uvec unread = {0}; /* most says it, exactly: rows are then looked at one by one */
  size_t at = 0;
  for (; count - at >= LANES; at += LANES) { /* a line of the cache */
    __builtin_prefetch(z + count + at);
    __builtin_prefetch(grad + at, 1);
#pragma GCC unroll 4
    for (int p = 0; p < PARTS; p++) {
      vec x = load(z + at + p * WIDTH);
      most = larger_size(x, most);
      store(e + at + p * WIDTH, exp_near(x, &unread));
    }
  }
  for (; count - at >= WIDTH; at += WIDTH) {
    vec x = load(z + at);
    most = larger_size(x, most);
    store(e + at, exp_near(x, &unread));
  }
  if (at < count) {
    vec x = load_few(z + at, (int)(count - at));
    most = larger_size(x, most);
    store(e + at, exp_near(x, &unread));
  }
  float lanes[WIDTH], best = 0.0f;
  store(lanes, most);
  for (int l = 0; l < WIDTH; l++) best = lanes[l] > best ? lanes[l] : best;
  return best;
}

/* z·v, and the smaller of 0 and the least v of dense rows. */
static ALWAYS float products(size_t count, const ls_softmax_few *s) {
  size_t period = s->dense ? count : 16 * s->n;
  vec least = all_lanes(0.0f);
  for (size_t first = 0; first < count; first += period) {
    const float *z = s->z + first;
    size_t left = count - first < period ? count - first : period, at = 0;
    for (; left - at >= WIDTH; at += WIDTH) {
      vec v = load(s->v + at);
      least = smaller_of(v, least);
      store(s->products + first + at, load(z + at) * v);
    }
    if (at < left) {
      vec v = load_few(s->v + at, (int)(left - at));
      least = smaller_of(v, least);
      store(s->products + first + at, load_few(z + at, (int)(left - at)) * v);
    }
  }
  float lanes[WIDTH], most = 0.0f;
  store(lanes, least);
  for (int l = 0; l < WIDTH; l++) most = lanes[l] < most ? lanes[l] : most;
  return most;
}

/* Half a vector of floats, and as many doubles. */
enum { HALF = WIDTH / 2 };
typedef double dvec __attribute__((vector_size(HALF * 8)));
typedef float half_vec __attribute__((vector_size(HALF * 4), aligned(4), may_alias));
typedef double loose_dvec __attribute__((vector_size(HALF * 8), aligned(8), may_alias));

static ALWAYS dvec doubles(const float *x) {
#if defined(__AVX512F__)
  return _mm512_cvtps_pd(_mm256_loadu_ps(x));
#elif defined(__AVX2__)
  return _mm256_cvtps_pd(_mm_loadu_ps(x)); /* gcc makes two halves of a conversion */
#else
  return __builtin_convertvector(*(const half_vec *)x, dvec);
#endif
}

static ALWAYS dvec all_doubles(double x) { return (dvec){0} + x; }

/* x = m·2^e, m in [sqrt(1/2), sqrt(2)): log m to 2e-8, and e. x is normal. */
static ALWAYS void log_parts(const float *x, float *log_m, float *e) {
  uvec u = (uvec)load(x); /* unsigned: what is not normal wraps */
  ivec power = (ivec)(u - 0x3f3504f3u) >> 23;
  vec f = (vec)(u - ((uvec)power << 23)) - 1.0f;
  vec p = fma_of(f, all_lanes(-0.0763422549f), all_lanes(0.127614677f));
  p = fma_of(p, f, all_lanes(-0.131602332f));
  p = fma_of(p, f, all_lanes(0.142017767f));
  p = fma_of(p, f, all_lanes(-0.16623354f));
  p = fma_of(p, f, all_lanes(0.200012267f));
  p = fma_of(p, f, all_lanes(-0.250008225f));
  p = fma_of(p, f, all_lanes(0.333333313f));
  vec f2 = f * f;
  store(log_m, fma_of(fma_of(p, f, all_lanes(-0.5f)), f2, f));
  store(e, __builtin_convertvector(power, vec));
}

enum { NO_V, SHARED_V, ROW_V };

/* What is known of the rows when the loops are compiled: nothing; one label of a fixed weight; two labels with weights. The latter two have no uniform mass of their own, and all rows weigh 1. */
enum { ANY_TERMS, ONE_LABEL, TWO_LABELS };

static ALWAYS int terms_of(const ls_softmax_few *s, const int form) { return form == ONE_LABEL ? 1 : form == TWO_LABELS ? 2 : s->terms; }
static ALWAYS const float *weights_of(const ls_softmax_few *s, int t, const int form) { return form == ONE_LABEL ? NULL : s->weights[t]; }
static ALWAYS const float *own_of(const ls_softmax_few *s, const int form) { return form == ANY_TERMS ? s->own : NULL; }
static ALWAYS const double *row_weights_of(const ls_softmax_few *s, const int form) { return form == ANY_TERMS ? s->row_weights : NULL; }

static ALWAYS int form_of(const ls_softmax_few *s) {
  if (s->own != NULL || s->row_weights != NULL || s->rows % 8 != 0) return ANY_TERMS; /* rows are weighed by eights: what lies behind the last one weighs 0 */
  if (s->terms == 1 && s->weights[0] == NULL) return ONE_LABEL;
  return s->terms == 2 && s->weights[0] != NULL && s->weights[1] != NULL ? TWO_LABELS : ANY_TERMS;
}

/* By rows, offset with the other sign; what lies behind the last row is anything finite. */
typedef struct columns {
  float sum[LS_FEW_ROWS], shifted[LS_FEW_ROWS], log_m[LS_FEW_ROWS], power[LS_FEW_ROWS], own[LS_FEW_ROWS], total[LS_FEW_ROWS], scale[LS_FEW_ROWS], offset[LS_FEW_ROWS];
  float along[LS_FEW_ROWS], mass[LS_FEW_ROWS], v_scale[LS_FEW_ROWS]; /* sums of z·v, of the row's v */
  float weight[LS_TARGET_TERMS][LS_FEW_ROWS], z[LS_TARGET_TERMS][LS_FEW_ROWS], taken[LS_TARGET_TERMS][LS_FEW_ROWS];
  float all_total, all_scale, all_offset; /* of ONE_LABEL, in place of the columns */
  double by[LS_FEW_ROWS];
  int32_t place[LS_TARGET_TERMS][LS_FEW_ROWS]; /* of the label's logit */
} columns;

/* Where the logits of the rows' labels are, and they. */
static ALWAYS void labels_of(const int64_t *restrict labels, const float *restrict z, int rows, int n, int32_t *restrict place, float *restrict of_label) {
  int i = 0;
#if defined(__AVX512F__)
  __m512i row = _mm512_mullo_epi32(_mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15), _mm512_set1_epi32(n));
  for (; rows - i >= 16; i += 16) {
    __m256i low = _mm512_cvtepi64_epi32(_mm512_loadu_si512(labels + i)), high = _mm512_cvtepi64_epi32(_mm512_loadu_si512(labels + i + 8));
    __m512i at = _mm512_add_epi32(row, _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1));
    _mm512_storeu_si512(place + i, at);
    _mm512_storeu_ps(of_label + i, _mm512_i32gather_ps(at, z, 4));
    row = _mm512_add_epi32(row, _mm512_set1_epi32(16 * n));
  }
#endif
#pragma GCC unroll 4
  for (; i < rows; i++) {
    place[i] = i * n + (int32_t)labels[i];
    of_label[i] = z[place[i]];
  }
}

static ALWAYS void gather_columns(const ls_softmax_few *s, columns *c, const int form) {
  int rows = s->rows, n = (int)s->n;
  for (int t = 0; t < terms_of(s, form); t++) {
    labels_of(s->labels[t], s->z, rows, n, c->place[t], c->z[t]);
    for (int i = rows; i < LS_FEW_ROWS; i++) c->z[t][i] = 0.0f;
    if (weights_of(s, t, form) == NULL) continue;
    memcpy(c->weight[t], s->weights[t], (size_t)rows * sizeof(float));
    for (int i = rows; i < LS_FEW_ROWS; i++) c->weight[t][i] = 0.0f;
  }
  if (own_of(s, form) != NULL) {
    memcpy(c->own, s->own, (size_t)rows * sizeof(float));
    for (int i = rows; i < LS_FEW_ROWS; i++) c->own[i] = 0.0f;
  }
  if (form != ANY_TERMS) return;
  const double *by = row_weights_of(s, form);
  for (int i = 0; i < rows; i++) c->by[i] = by == NULL ? 1.0 : by[i];
  for (int i = rows; i < LS_FEW_ROWS; i++) c->by[i] = 0.0;
}

/* Of the softenings; each: 1 / n. */
typedef struct factors {
  double a, u, v_sum, scale, each;
} factors;

/* HALF rows from `at`: in double, as loss and log sum may be far larger than their difference. */
static ALWAYS void losses(ls_softmax_few *s, columns *c, int at, factors f, dvec *loss_sum, dvec *soft_sum, const int kind, const int form) {
  dvec mass = all_doubles(0.0), hard = mass, own = own_of(s, form) == NULL ? mass : doubles(c->own + at);
  for (int t = 0; t < terms_of(s, form); t++) {
    dvec w = weights_of(s, t, form) == NULL ? all_doubles(s->weight[t]) : doubles(c->weight[t] + at);
    mass += w;
    hard -= w * doubles(c->z[t] + at);
  }
  if (kind == ROW_V) mass = doubles(c->mass + at), hard = -doubles(c->along + at);
  dvec log_sum = doubles(c->power + at) * 0.69314718055994531 + doubles(c->log_m + at), by = all_doubles(1.0);
  if (form == ANY_TERMS) by = *(const loose_dvec *)(c->by + at);
  dvec labelled = mass * f.a, spread = mass * f.u;
  if (own_of(s, form) != NULL) spread += own * (f.u + f.a);
  dvec soft = spread * (log_sum - doubles(c->shifted + at) * f.each), shared = kind == SHARED_V ? mass + own : all_doubles(0.0);
  if (kind == SHARED_V) soft += shared * (log_sum * f.v_sum - doubles(c->along + at));
  dvec loss = hard * f.a + labelled * log_sum + soft;
  *(loose_dvec *)(s->soft + at) = soft;
  *(loose_dvec *)(s->loss + at) = loss;
  *loss_sum += form == ANY_TERMS ? loss * by : loss;
  *soft_sum += form == ANY_TERMS ? soft * by : soft;
  if (form == ONE_LABEL) return;
  dvec by_scale = by * f.scale;
  *(half_vec *)(c->total + at) = __builtin_convertvector(kind == SHARED_V ? labelled + spread + shared * f.v_sum : labelled + spread, half_vec);
  if (form == ANY_TERMS) *(half_vec *)(c->scale + at) = __builtin_convertvector(by_scale, half_vec);
  *(half_vec *)(c->offset + at) = __builtin_convertvector(by_scale * spread * -f.each, half_vec);
  if (kind != NO_V) *(half_vec *)(c->v_scale + at) = __builtin_convertvector(by_scale * (kind == ROW_V ? all_doubles(-f.a) : -shared), half_vec);
}

/* The gradients' factors of each row, and what its labels take off e. */
static ALWAYS void gradient_factors(const ls_softmax_few *s, columns *c, factors f, const int form) {
  double spread = s->weight[0] * f.u;
  c->all_total = (float)(s->weight[0] * f.a + spread);
  c->all_scale = (float)f.scale;
  c->all_offset = (float)(f.scale * spread * -f.each);
  for (int i = 0; i < s->rows; i += WIDTH) {
    vec sum = load(c->sum + i), total = form == ONE_LABEL ? all_lanes(c->all_total) : load(c->total + i);
    vec under = 1.0f - total, times = fma_of(under, under, under + 1.0f) * sum; /* 1 / total: it is 1 to 1e-4 */
    vec scale = form == ANY_TERMS ? load(c->scale + i) : all_lanes(c->all_scale);
    store(c->scale + i, scale * total / sum);
    for (int t = 0; t < terms_of(s, form); t++) {
      vec w = weights_of(s, t, form) == NULL ? all_lanes((float)s->weight[t]) : load(c->weight[t] + i);
      store(c->taken[t] + i, w * times * (float)f.a);
    }
  }
}

static ALWAYS void all_losses(ls_softmax_few *s, columns *c, const int kind, const int form) {
  const factors f = {s->a, s->u, s->v_sum, s->scale, 1.0 / (double)s->n};
  dvec loss[8 / HALF], soft[8 / HALF];
  for (int h = 0; h < 8 / HALF; h++) loss[h] = soft[h] = all_doubles(0.0);
  for (int i = 0; i < s->rows; i += WIDTH) log_parts(c->sum + i, c->log_m + i, c->power + i);
  for (int i = 0; i < s->rows; i += 8)
    for (int h = 0; h < 8 / HALF; h++) losses(s, c, i + h * HALF, f, &loss[h], &soft[h], kind, form);
  gradient_factors(s, c, f, form);
  double l[8], q[8];
  memcpy(l, loss, sizeof l);
  memcpy(q, soft, sizeof q);
  s->loss_sum = ((l[0] + l[4]) + (l[2] + l[6])) + ((l[1] + l[5]) + (l[3] + l[7]));
  s->soft_sum = ((q[0] + q[4]) + (q[2] + q[6])) + ((q[1] + q[5]) + (q[3] + q[7]));
}

/* x[at[0]], x[at[1]], …, each at below WIDTH. */
static ALWAYS vec picked(vec x, ivec at) {
#if defined(__AVX512F__)
  return _mm512_permutexvar_ps((__m512i)at, x);
#elif defined(__AVX2__)
  return _mm256_permutevar8x32_ps(x, (__m256i)at);
#else
  return __builtin_shuffle(x, at);
#endif
}

/* What a row's labels take, off its exponentials. */
static ALWAYS void take_labels(int rows, const int32_t *restrict place, const float *restrict taken, float *restrict e) {
#pragma GCC unroll 4
  for (int i = 0; i < rows; i++) e[place[i]] -= taken[i];
}

/* WIDTH rows are n whole vectors, number k of which belongs to row k / n: so are they written, whole lines at a time. */
static ALWAYS void gradients(const ls_softmax_few *s, const columns *c, const int kind, const int form) {
  int n = (int)s->n;
  vec all_offset = all_lanes(c->all_offset);
  for (int t = 0; t < terms_of(s, form); t++) take_labels(s->rows, c->place[t], c->taken[t], s->e);
  for (int i = 0; i < s->rows; i += WIDTH) {
    vec scale = load(c->scale + i), offset = form == ONE_LABEL ? all_offset : load(c->offset + i), v_scale = kind == NO_V ? offset : load(c->v_scale + i);
    const float *e = s->e + i * n, *v = kind == ROW_V ? s->v + i * n : s->v;
    const int32_t *row_of = s->row_of;
    float *grad = s->grad + i * n;
    int count = (s->rows - i < WIDTH ? s->rows - i : WIDTH) * n, k = 0;
#pragma GCC unroll 4
    for (; k + WIDTH <= count; k += WIDTH) {
      ivec at = (ivec)load((const float *)(row_of + k));
      vec g = fma_of(load(e + k), picked(scale, at), form == ONE_LABEL ? all_offset : picked(offset, at));
      if (kind != NO_V) g = fma_of(load(v + k), picked(v_scale, at), g);
      store(grad + k, g);
    }
    if (k < count) {
      ivec at = (ivec)load((const float *)(row_of + k));
      vec g = fma_of(load(e + k), picked(scale, at), form == ONE_LABEL ? all_offset : picked(offset, at));
      if (kind != NO_V) g = fma_of(load_few(v + k, count - k), picked(v_scale, at), g);
      store_few(grad + k, g, count - k);
    }
  }
}

/* False where a dense row is negative or does not sum to 1: nearly so is for a closer look. */
static ALWAYS bool sums_along(const ls_softmax_few *s, columns *c) {
  float least = products((size_t)s->rows * s->n, s);
  sums_of_rows(s->rows, (int)s->n, s->products, s->dense ? s->v : s->products, c->along, c->mass);
  bool sound = least >= 0.0f;
  if (!s->dense) return true;
  for (int i = 0; i < s->rows; i++) sound &= fabsf(c->mass[i] - 1.0f) <= 0.9f * (float)LS_TARGET_TOLERANCE;
  return sound;
}

static ALWAYS void few_of(ls_softmax_few *s, const int kind, const int form) {
  columns c;
  s->most = exponentials((size_t)s->rows * s->n, s->z, s->e, s->grad == NULL ? s->e : s->grad);
  sums_of_rows(s->rows, (int)s->n, s->e, s->z, c.sum, c.shifted);
  if (!(s->most <= LS_SOFTMAX_NEAR)) /* sums that are none: whatever comes of them is finite or NaN, and no index */
    for (int i = 0; i < s->rows; i++) c.sum[i] = c.sum[i] > 0.0f ? c.sum[i] : 1.0f;
  s->sound = kind == NO_V || sums_along(s, &c);
  gather_columns(s, &c, form);
  all_losses(s, &c, kind, form);
  if (s->grad != NULL) gradients(s, &c, kind, form);
}

static __attribute__((noinline)) void few_labelled(ls_softmax_few *s) { few_of(s, NO_V, ANY_TERMS); }
static __attribute__((noinline)) void few_of_one_label(ls_softmax_few *s) { few_of(s, NO_V, ONE_LABEL); }
static __attribute__((noinline)) void few_of_two_labels(ls_softmax_few *s) { few_of(s, NO_V, TWO_LABELS); }
static __attribute__((noinline)) void few_shared(ls_softmax_few *s) { few_of(s, SHARED_V, ANY_TERMS); }
static __attribute__((noinline)) void few_dense(ls_softmax_few *s) { few_of(s, ROW_V, ANY_TERMS); }

static void few(ls_softmax_few *s) {
  int form = form_of(s);
  if (s->v == NULL)
    (form == ONE_LABEL ? few_of_one_label : form == TWO_LABELS ? few_of_two_labels : few_labelled)(s);
  else
    (s->dense ? few_dense : few_shared)(s);
}

/* True where a weight of rows i … i+count-1 is out of its range, or their sum is so near its end that it needs a closer look. */
static ALWAYS bool weights_misfit(const ls_target *t, float fixed, int i, int count) {
  float sum[64];
  int32_t bad = 0;
  for (int k = 0; k < count; k++) sum[k] = fixed;
  for (int k = 0; k < count && t->spread != NULL; k++) {
    float own = t->spread[i + k];
    bad |= own >= 0.0f && own <= 1.0f ? 0 : INT32_MIN;
    sum[k] += own;
  }
  for (int m = 0; m < t->terms; m++) {
    const float *w = t->term[m].weights == NULL ? NULL : t->term[m].weights + i;
    for (int k = 0; k < count && w != NULL; k++) {
      bad |= w[k] >= 0.0f ? 0 : INT32_MIN;
      sum[k] += w[k];
    }
  }
  for (int k = 0; k < count; k++) bad |= fabsf(sum[k] - 1.0f) <= 0.9f * (float)LS_TARGET_TOLERANCE ? 0 : INT32_MIN;
  return bad < 0;
}

/* Labels and weights are noted in integers of their own widths, which vectors hold as many of as of them. */
static bool fit(const ls_target *t, int32_t classes) {
  int64_t outside = 0;
  float fixed = 0.0f; /* weights that all rows have */
  bool varied = t->spread != NULL, bad = false;
  for (int m = 0; m < t->terms; m++) {
    const int64_t *y = t->term[m].labels;
    for (int i = 0; i < t->rows; i++) outside |= y[i] | (int64_t)((uint64_t)(classes - 1) - (uint64_t)y[i]); /* negative where outside; unsigned, as no label may overflow it */
    varied = varied || t->term[m].weights != NULL;
    if (t->term[m].weights == NULL) fixed += (float)t->term[m].weight, bad |= !(t->term[m].weight >= 0.0);
  }
  if (!varied) return outside >= 0 && !bad && fabsf(fixed - 1.0f) <= 0.9f * (float)LS_TARGET_TOLERANCE;
  int i = 0;
  for (; t->rows - i >= 64; i += 64) bad |= weights_misfit(t, fixed, i, 64);
  return outside >= 0 && !bad && !weights_misfit(t, fixed, i, t->rows - i);
}

const ls_few_kernels LS_PASTE(ls_few_kernels_, LS_ISA) = {.few = few, .fit = fit};
