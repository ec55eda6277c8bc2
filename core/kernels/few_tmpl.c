/* Cross-entropy and gradient of rows of few classes, compiled once for each instruction set. SPDX-License-Identifier: MIT
 *
 * Rows of ten classes are bound by arithmetic and by what every row costs: LS_FEW_ROWS of them are taken through four phases, each a loop of
 * vectors: exponentials of all logits as one run of numbers, sums of rows (four rows at a time, transposed while they are added), the losses with
 * lanes of rows, the gradients row by row. With a vector beside the labels (a prior, or dense rows), its products with the logits are summed in the
 * same way. All logits are within ±44, so that there is no maximum. */
#include "core/kernels/doubles_tmpl.h"
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

/* What is known of the rows when the loops are compiled: nothing; one label of a fixed weight; two labels with weights. The latter two have no uniform mass of their own, no vector, and all rows weigh 1. */
enum { ANY_TERMS, ONE_LABEL, TWO_LABELS };

static ALWAYS int terms_of(const ls_softmax_few *s, const int form) { return form == ONE_LABEL ? 1 : form == TWO_LABELS ? 2 : s->terms; }

/* By rows, offset with the other sign; what lies behind the last row is anything finite. */
typedef struct columns {
  float sum[LS_FEW_ROWS], shifted[LS_FEW_ROWS], log_m[LS_FEW_ROWS], power[LS_FEW_ROWS], own[LS_FEW_ROWS], scale[LS_FEW_ROWS], offset[LS_FEW_ROWS];
  float along[LS_FEW_ROWS], mass[LS_FEW_ROWS], v_scale[LS_FEW_ROWS]; /* sums of z·v, of the row's v */
  float weight[LS_TARGET_TERMS][LS_FEW_ROWS], z[LS_TARGET_TERMS][LS_FEW_ROWS], taken[LS_TARGET_TERMS][LS_FEW_ROWS];
  double by[LS_FEW_ROWS];
} columns;

/* The logits of the rows' labels. */
static ALWAYS void labels_of(const int64_t *restrict labels, const float *restrict z, int rows, int n, float *restrict of_label) {
  int i = 0;
#if defined(__AVX512F__)
  __m512i row = _mm512_mullo_epi32(_mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15), _mm512_set1_epi32(n));
  for (; rows - i >= 16; i += 16) {
    __m256i low = _mm512_cvtepi64_epi32(_mm512_loadu_si512(labels + i)), high = _mm512_cvtepi64_epi32(_mm512_loadu_si512(labels + i + 8));
    __m512i at = _mm512_add_epi32(row, _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1));
    _mm512_storeu_ps(of_label + i, _mm512_i32gather_ps(at, z, 4));
    row = _mm512_add_epi32(row, _mm512_set1_epi32(16 * n));
  }
#endif
  z += i * n;
#pragma GCC unroll 8
  for (; i < rows; i++, z += n) of_label[i] = z[labels[i]];
}

static ALWAYS void gather_columns(const ls_softmax_few *s, columns *c) {
  int rows = s->rows, n = (int)s->n;
  for (int t = 0; t < s->terms; t++) {
    labels_of(s->labels[t], s->z, rows, n, c->z[t]);
    for (int i = rows; i < LS_FEW_ROWS; i++) c->z[t][i] = 0.0f;
    if (s->weights[t] == NULL) continue;
    memcpy(c->weight[t], s->weights[t], (size_t)rows * sizeof(float));
    for (int i = rows; i < LS_FEW_ROWS; i++) c->weight[t][i] = 0.0f;
  }
  if (s->own != NULL) {
    memcpy(c->own, s->own, (size_t)rows * sizeof(float));
    for (int i = rows; i < LS_FEW_ROWS; i++) c->own[i] = 0.0f;
  }
  for (int i = 0; i < rows; i++) c->by[i] = s->row_weights == NULL ? 1.0 : s->row_weights[i];
  for (int i = rows; i < LS_FEW_ROWS; i++) c->by[i] = 0.0;
}

/* Of eight lanes. */
static ALWAYS double sum_of_lanes(const dvec *lanes) {
  double x[8];
  memcpy(x, lanes, sizeof x);
  return ((x[0] + x[4]) + (x[2] + x[6])) + ((x[1] + x[5]) + (x[3] + x[7]));
}

/* HALF rows from `at`: in double, as loss and log sum may be far larger than their difference. */
static ALWAYS void losses(ls_softmax_few *s, columns *c, int at, dvec *loss_sum, dvec *soft_sum, const int kind) {
  dvec mass = all_doubles(0.0), hard = mass, own = s->own == NULL ? mass : widen_from(c->own + at);
  for (int t = 0; t < s->terms; t++) {
    dvec w = s->weights[t] == NULL ? all_doubles(s->weight[t]) : widen_from(c->weight[t] + at);
    mass += w;
    hard -= w * widen_from(c->z[t] + at);
  }
  if (kind == ROW_V) mass = widen_from(c->mass + at), hard = -widen_from(c->along + at);
  dvec log_sum = widen_from(c->power + at) * 0.69314718055994531 + widen_from(c->log_m + at), by = load_doubles(c->by + at);
  dvec labelled = mass * s->a, spread = mass * s->u;
  if (s->own != NULL) spread += own * (s->u + s->a);
  dvec soft = spread * (log_sum - widen_from(c->shifted + at) * (1.0 / (double)s->n));
  if (kind == SHARED_V) soft += (mass + own) * (log_sum * s->v_sum - widen_from(c->along + at));
  dvec loss = hard * s->a + labelled * log_sum + soft;
  store_doubles(s->soft + at, soft);
  store_doubles(s->loss + at, loss);
  *loss_sum += loss * by;
  *soft_sum += soft * by;
}

static ALWAYS void all_losses(ls_softmax_few *s, columns *c, const int kind) {
  dvec loss[8 / HALF], soft[8 / HALF];
  for (int h = 0; h < 8 / HALF; h++) loss[h] = soft[h] = all_doubles(0.0);
  for (int i = 0; i < s->rows; i += WIDTH) log_parts(c->sum + i, c->log_m + i, c->power + i);
  for (int i = 0; i < s->rows; i += 8)
    for (int h = 0; h < 8 / HALF; h++) losses(s, c, i + h * HALF, &loss[h], &soft[h], kind);
  s->loss_sum = sum_of_lanes(loss);
  s->soft_sum = sum_of_lanes(soft);
}

/* Of rows by eights those that are left: behind them, within a longer vector, lie others' numbers or none. */
static ALWAYS vec load_rows(const float *x, int left) { return WIDTH <= 8 ? load(x) : load_few(x, left); }
static ALWAYS vec only_rows(vec x, int left) { return WIDTH <= 8 ? x : only_few(x, left); }

/* The gradients' factors of each row, and what its labels take off e. The same in every form, to the bit. */
static ALWAYS void gradient_factors(const ls_softmax_few *s, columns *c, const int kind, const int form) {
  float a = (float)s->a, u = (float)s->u, both = (float)(s->a + s->u), v_sum = (float)s->v_sum, each = (float)(-1.0 / (double)s->n);
  for (int i = 0; i < s->rows; i += WIDTH) {
    vec mass = all_lanes(0.0f), own = mass, scale = all_lanes((float)s->scale), w[LS_TARGET_TERMS];
    for (int t = 0; t < terms_of(s, form); t++) {
      bool fixed = form == ONE_LABEL || (form == ANY_TERMS && s->weights[t] == NULL);
      w[t] = fixed ? all_lanes((float)s->weight[t]) : form == ANY_TERMS ? load(c->weight[t] + i) : load_rows(s->weights[t] + i, s->rows - i);
      mass = t == 0 ? w[t] : mass + w[t];
    }
    if (kind == ROW_V) mass = load(c->mass + i);
    vec spread = mass * u;
    if (form == ANY_TERMS && s->own != NULL) own = load(c->own + i), spread += own * both;
    if (form == ANY_TERMS && s->row_weights != NULL)
      for (int l = 0; l < WIDTH; l++) scale[l] *= (float)c->by[i + l];
    vec total = mass * a + spread, shared = mass + own;
    if (kind == SHARED_V) total += shared * v_sum;
    vec under = 1.0f - total, times = fma_of(under, under, under + 1.0f) * a; /* a / total: that is 1 to 1e-4 */
    vec sum = load(c->sum + i);
    store(c->offset + i, scale * (spread * each));
    if (kind != NO_V) store(c->v_scale + i, scale * (kind == ROW_V ? all_lanes(-a) : -shared));
    store(c->scale + i, scale * total / sum);
    for (int t = 0; t < terms_of(s, form); t++) store(c->taken[t] + i, w[t] * times * sum);
  }
}

/* What a row's labels take, off its exponentials. */
static ALWAYS void take_labels(int rows, int n, const int64_t *restrict labels, const float *restrict taken, float *restrict e) {
#pragma GCC unroll 8
  for (int i = 0; i < rows; i++, e += n) e[labels[i]] -= taken[i];
}

/* The same of eight rows and more; returns the sum of the labels' logits, by their weights unless these are of ONE_LABEL, by lanes of eight rows. */
static ALWAYS double take_and_add_labels(int rows, int n, const int64_t *restrict labels, const float *restrict taken, float *restrict e, const float *restrict z, const float *restrict weights, const int form) {
  typedef float quad __attribute__((vector_size(16)));
  typedef float loose_quad __attribute__((vector_size(16), aligned(4), may_alias));
  quad low = {0}, high = {0};
  for (int i = 0; i < rows; i += 8, e += 8 * n, z += 8 * n) {
    const int64_t *y = labels + i;
    quad l = {z[y[0]], z[n + y[1]], z[2 * n + y[2]], z[3 * n + y[3]]}, h = {z[4 * n + y[4]], z[5 * n + y[5]], z[6 * n + y[6]], z[7 * n + y[7]]};
    if (form != ONE_LABEL) l *= *(const loose_quad *)(weights + i), h *= *(const loose_quad *)(weights + i + 4);
    low += l;
    high += h;
#pragma GCC unroll 8
    for (int k = 0; k < 8; k++) (e + k * n)[y[k]] -= taken[i + k];
  }
  return (((double)low[0] + (double)high[0]) + ((double)low[2] + (double)high[2])) + (((double)low[1] + (double)high[1]) + ((double)low[3] + (double)high[3]));
}

/* All of LS_FEW_ROWS without a vector, place by place: what belongs to which row is read once for all of them (where a vector is a line, 3 to 4 % of the whole). */
static ALWAYS void gradients_by_places(const ls_softmax_few *s, const columns *c, int n, const int form) {
  enum { BLOCKS = LS_FEW_ROWS / WIDTH };
  vec scale[BLOCKS], offset[BLOCKS];
  for (int b = 0; b < BLOCKS; b++) scale[b] = load(c->scale + b * WIDTH), offset[b] = load(c->offset + b * WIDTH);
  for (int k = 0; k < WIDTH * n; k += WIDTH) {
    ivec at = (ivec)load((const float *)(s->row_of + k));
#pragma GCC unroll 4
    for (int b = 0; b < BLOCKS; b++) {
      int place = b * WIDTH * n + k;
      store(s->grad + place, fma_of(load(s->e + place), picked(scale[b], at), form == ONE_LABEL ? offset[0] : picked(offset[b], at)));
    }
  }
}

/* WIDTH rows are n whole vectors, number k of which belongs to row k / n: so are they written, whole lines at a time. The labels' part has been taken off e. */
static ALWAYS void gradients(const ls_softmax_few *s, const columns *c, int n, const int kind, const int form) {
  if (kind == NO_V && s->rows == LS_FEW_ROWS && PARTS == 1) {
    gradients_by_places(s, c, n, form);
    return;
  }
  for (int i = 0; i < s->rows; i += WIDTH) {
    vec scale = load(c->scale + i), offset = load(form == ONE_LABEL ? c->offset : c->offset + i), v_scale = kind == NO_V ? offset : load(c->v_scale + i);
    const float *e = s->e + i * n, *v = kind == ROW_V ? s->v + i * n : s->v;
    const int32_t *row_of = s->row_of;
    float *grad = s->grad + i * n;
    int count = (s->rows - i < WIDTH ? s->rows - i : WIDTH) * n, k = 0;
#pragma GCC unroll 4
    for (; k + WIDTH <= count; k += WIDTH) {
      ivec at = (ivec)load((const float *)(row_of + k));
      vec g = fma_of(load(e + k), picked(scale, at), form == ONE_LABEL ? offset : picked(offset, at));
      if (kind != NO_V) g = fma_of(load(v + k), picked(v_scale, at), g);
      store(grad + k, g);
    }
    if (k < count) {
      ivec at = (ivec)load((const float *)(row_of + k));
      vec g = fma_of(load(e + k), picked(scale, at), form == ONE_LABEL ? offset : picked(offset, at));
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

/* Sums that are none: whatever comes of them is finite or NaN, and no index. */
static ALWAYS void mend_sums(const ls_softmax_few *s, columns *c) {
  for (int i = 0; i < s->rows && !s->near; i++) c->sum[i] = c->sum[i] > 0.0f ? c->sum[i] : 1.0f;
}

static ALWAYS void few_of(ls_softmax_few *s, const int kind) {
  columns c;
  s->near = stays_near(exponentials((size_t)s->rows * s->n, s->z, s->e, s->grad == NULL ? s->e : s->grad, NULL));
  sums_of_rows(s->rows, (int)s->n, s->e, s->z, c.sum, c.shifted);
  mend_sums(s, &c);
  s->sound = kind == NO_V || sums_along(s, &c);
  gather_columns(s, &c);
  all_losses(s, &c, kind);
  if (s->grad == NULL) return;
  gradient_factors(s, &c, kind, ANY_TERMS);
  for (int t = 0; t < s->terms; t++) take_labels(s->rows, (int)s->n, s->labels[t], c.taken[t], s->e);
  gradients(s, &c, (int)s->n, kind, ANY_TERMS);
}

static __attribute__((noinline)) void few_labelled(ls_softmax_few *s) { few_of(s, NO_V); }
static __attribute__((noinline)) void few_shared(ls_softmax_few *s) { few_of(s, SHARED_V); }
static __attribute__((noinline)) void few_dense(ls_softmax_few *s) { few_of(s, ROW_V); }
static void few(ls_softmax_few *s) { (s->v == NULL ? few_labelled : s->dense ? few_dense : few_shared)(s); }

/* What losses without a vector are made of, by lanes: the rows' sums as one product, whose powers of two are taken off after each group, so that there is one logarithm in the end;
 * the labels' logits; all logits. */
typedef struct gathered {
  dvec product[8 / HALF], power[8 / HALF], z[LANES / HALF];
  double hard;
} gathered;

static ALWAYS void gather_sums(gathered *g, int rows, const float *sum, const vec *z) {
  float lanes[LANES];
  for (int p = 0; p < PARTS; p++) store(lanes + p * WIDTH, z[p]);
  for (int h = 0; h < LANES / HALF; h++) g->z[h] += widen_from(lanes + h * HALF);
  for (int h = 0; h < 8 / HALF; h++) {
    for (int i = 0; i < rows; i += 8) g->product[h] *= widen_from(sum + i + h * HALF); /* eight factors within 2^±70 at most */
    ulvec bits = (ulvec)g->product[h];
    g->power[h] += (dvec)(bits >> 52 | 0x4330000000000000u) - 4503599627371519.0;
    g->product[h] = (dvec)((bits & 0x000fffffffffffffu) | 0x3ff0000000000000u);
  }
}

static ALWAYS bool any_above(vec x, float limit) {
#if defined(__AVX512F__)
  return _mm512_cmp_ps_mask(x, all_lanes(limit), _CMP_GT_OQ) != 0;
#elif defined(__AVX2__)
  return _mm256_movemask_ps(_mm256_cmp_ps(x, all_lanes(limit), _CMP_GT_OQ)) != 0;
#else
  bool above = false;
  for (int l = 0; l < WIDTH; l++) above |= x[l] > limit;
  return above;
#endif
}

/* A group's rows; false, and nothing gathered, where one is far, or where two weights do not sum to 1 within 2^-22: those within count as if they did, which leaves out less than a rounding of z. */
static ALWAYS bool group_together(ls_softmax_few *s, gathered *g, int rows, int n, const int form) {
  s->rows = rows;
  columns c;
  vec z[PARTS], off = all_lanes(0.0f);
  for (int p = 0; p < PARTS; p++) z[p] = all_lanes(0.0f);
  if (!stays_near(exponentials((size_t)(s->rows * n), s->z, s->e, s->grad == NULL ? s->e : s->grad, z))) return false;
  for (int i = 0; i < s->rows && form == TWO_LABELS; i += WIDTH)
    off = larger_size(only_rows((load_rows(s->weights[0] + i, s->rows - i) + load_rows(s->weights[1] + i, s->rows - i)) - 1.0f, s->rows - i), off);
  if (form == TWO_LABELS && any_above(off, 0x1p-22f)) return false;
  sums_of(s->rows, n, s->e, c.sum);
  gradient_factors(s, &c, NO_V, form);
  for (int t = 0; t < terms_of(s, form); t++) g->hard += take_and_add_labels(s->rows, n, s->labels[t], c.taken[t], s->e, s->z, s->weights[t], form);
  gather_sums(g, s->rows, c.sum, z);
  if (s->grad != NULL) gradients(s, &c, n, NO_V, form);
  return true;
}

static ALWAYS double sum_of_all(const gathered *g) {
  dvec z[8 / HALF];
  for (int h = 0; h < 8 / HALF; h++) z[h] = g->z[h] + g->z[8 / HALF + h];
  return sum_of_lanes(z);
}

static ALWAYS int32_t all_together(ls_softmax_few s, double *loss, double *soft, int n, const int form) {
  gathered g = {.hard = 0.0};
  int32_t rows = s.rows / 8 * 8, done = 0;
  for (int h = 0; h < 8 / HALF; h++) g.product[h] = all_doubles(1.0), g.power[h] = all_doubles(0.0);
  for (int h = 0; h < LANES / HALF; h++) g.z[h] = all_doubles(0.0);
  for (; done < rows; done += s.rows) {
    int left = rows - done;
    if (left < LS_FEW_ROWS ? !group_together(&s, &g, left, n, form) : !group_together(&s, &g, LS_FEW_ROWS, n, form)) break; /* whole ones in loops of a fixed length */
    s.z += s.rows * n;
    if (s.grad != NULL) s.grad += s.rows * n;
    for (int t = 0; t < terms_of(&s, form); t++) {
      s.labels[t] += s.rows;
      if (form == TWO_LABELS) s.weights[t] += s.rows;
    }
  }
  for (int h = 0; h < 8 / HALF; h++) g.product[h] = log_of(g.product[h]) + g.power[h] * 0.69314718055994531;
  double logs = sum_of_lanes(g.product), weight = form == ONE_LABEL ? s.weight[0] : 1.0;
  *soft = weight * s.u * (logs - sum_of_all(&g) / (double)n);
  *loss = s.a * weight * (logs - g.hard) + *soft;
  return done;
}

/* Ten classes, which most have here, in loops of a fixed length. */
static __attribute__((noinline)) int32_t few_of_one_label(const ls_softmax_few *s, double *loss, double *soft) { return all_together(*s, loss, soft, (int)s->n, ONE_LABEL); }
static __attribute__((noinline)) int32_t few_of_two_labels(const ls_softmax_few *s, double *loss, double *soft) { return all_together(*s, loss, soft, (int)s->n, TWO_LABELS); }
static __attribute__((noinline)) int32_t ten_of_one_label(const ls_softmax_few *s, double *loss, double *soft) { return all_together(*s, loss, soft, 10, ONE_LABEL); }
static __attribute__((noinline)) int32_t ten_of_two_labels(const ls_softmax_few *s, double *loss, double *soft) { return all_together(*s, loss, soft, 10, TWO_LABELS); }

static int32_t together(const ls_softmax_few *s, double *loss, double *soft) {
  if (s->v != NULL || s->own != NULL || s->row_weights != NULL) return 0;
  if (s->terms == 1 && s->weights[0] == NULL) return (s->n == 10 ? ten_of_one_label : few_of_one_label)(s, loss, soft);
  if (s->terms == 2 && s->weights[0] != NULL && s->weights[1] != NULL) return (s->n == 10 ? ten_of_two_labels : few_of_two_labels)(s, loss, soft);
  return 0;
}

/* True where a weight is out of its range, or a row's sum of them is so near its end that it needs a closer look, as fewer rows than a vector has always do. */
static ALWAYS bool weights_misfit(const ls_target *t, float fixed) {
  vec least = all_lanes(0.0f), off = least, all = least;
  float lanes[WIDTH];
  if (t->rows < WIDTH) return true;
  for (int i = 0; i < t->rows; i += WIDTH) {
    int at = t->rows - i < WIDTH ? t->rows - WIDTH : i;
    vec sum = all_lanes(fixed);
    if (t->spread != NULL) {
      vec own = load(t->spread + at);
      least = smaller_of(own, smaller_of(1.0f - own, least));
      sum += own;
    }
    for (int m = 0; m < t->terms; m++) {
      if (t->term[m].weights == NULL) continue;
      vec w = load(t->term[m].weights + at);
      least = smaller_of(w, least);
      sum += w;
    }
    off = larger_size(sum - 1.0f, off);
    all += sum;
  }
  bool bad = any_above(off, 0.9f * (float)LS_TARGET_TOLERANCE) || any_above(-least, 0.0f);
  store(lanes, all);
  for (int l = 0; l < WIDTH; l++) bad |= lanes[l] != lanes[l]; /* the others pass over NaN */
  return bad;
}

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
  return outside >= 0 && !bad && !weights_misfit(t, fixed);
}

const ls_few_kernels LS_PASTE(ls_few_kernels_, LS_ISA) = {.few = few, .together = together, .fit = fit};
