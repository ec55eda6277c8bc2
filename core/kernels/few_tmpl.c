/* Cross-entropy and gradient of rows of few classes, compiled once for each instruction set. SPDX-License-Identifier: MIT
 *
 * Rows of ten classes are bound by arithmetic and by what every row costs: LS_FEW_ROWS of them are taken through four phases, each a loop of
 * vectors: exponentials of all logits as one run of numbers, sums of rows (four rows at a time, transposed while they are added), the losses with
 * lanes of rows, the gradients row by row. With a vector beside the labels (a prior, or dense rows), its products with the logits are summed in the
 * same way. All logits are within ±LS_SOFTMAX_NEAR, so that there is no maximum. */
#include "core/kernels/few_tmpl.h"

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
