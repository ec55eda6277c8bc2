/* Penalties and robust losses of rows by vectors of doubles, compiled once for each instruction set. SPDX-License-Identifier: MIT
 *
 * A lane is a row where classes are few (the rows lie side by side in columns), a class where they are many: one formula serves both, but that sums over classes are across lanes in the
 * second case. The plain twins, which say what is computed, are the `row` functions of core/loss/penalties; they take whatever is not finite. Products and sums
 * may be fused: the sets differ in the last bits. */
#include "core/kernels/columns_tmpl.h"
#include "core/kernels/kernels.h"

#define ALWAYS inline __attribute__((always_inline))

typedef struct lanes {
  int steps, step;   /* vectors of classes; numbers from one to the next in z and g */
  ptrdiff_t q_step;
  const float *z;
  const double *q, *parameters;
  double *e, *work, classes;
  float *g;          /* or NULL */
  dvec max, best, scale, lane, last; /* lane: class of each lane in the first step; last: 0 in lanes behind the last class, else 1 */
  dvec inverse, log_sum;             /* of `softmax`: p = e · inverse */
  dvec gain;                         /* what the best has beside the rest of its gradient, added in float: of penalties on top of a cross-entropy, which is no more than that */
} lanes;

static ALWAYS dvec z_at(const lanes *r, int k) { return widen_from(r->z + k * r->step); }
static ALWAYS dvec q_at(const lanes *r, int k) { return load_doubles(r->q + k * r->q_step); }
static ALWAYS dvec e_at(const lanes *r, int k) { return load_doubles(r->e + k * HALF); }
static ALWAYS dvec p_at(const lanes *r, int k) { return e_at(r, k) * r->inverse; }
static ALWAYS dvec log_p_at(const lanes *r, int k) { return (z_at(r, k) - r->max) - r->log_sum; }
static ALWAYS dvec live(const lanes *r, dvec x, int k, const bool along) { return along && k + 1 == r->steps ? x * r->last : x; }

static ALWAYS void store_halves(float *to, dvec v) {
#if defined(__AVX512F__)
  _mm256_storeu_ps(to, _mm512_cvtpd_ps(v));
#elif defined(__AVX2__)
  _mm_storeu_ps(to, _mm256_cvtpd_ps(v));
#else
  for (int l = 0; l < HALF; l++) to[l] = (float)v[l];
#endif
}

static ALWAYS void set_gradient(lanes *r, int k, dvec g) { store_halves(r->g + k * r->step, g * r->scale); }

/* The sum over classes, in every lane that it belongs to. */
static ALWAYS dvec total(dvec x, const bool along) {
  double lane[HALF];
  if (!along) return x;
  store_doubles(lane, x);
  for (int half = HALF / 2; half > 0; half /= 2)
    for (int l = 0; l < half; l++) lane[l] += lane[l + half];
  return all_doubles(lane[0]);
}

/* log(1 + x), x > -1 and 1 + x normal: corrected for the rounding of 1 + x. */
static ALWAYS dvec log1p_of(dvec x) {
  dvec u = x + 1.0;
  return log_of(u) + (x - (u - 1.0)) / u;
}

/* e^(z - max), and what the others have beside the best: apart, as 1 - p of the best may be all that matters. */
static ALWAYS void softmax(lanes *r, const bool along) {
  dvec rest = all_doubles(0.0), place = r->lane;
  for (int k = 0; k < r->steps; k += 4) {
    dvec x[4];
    int count = r->steps - k < 4 ? r->steps - k : 4;
    for (int i = 0; i < 4; i++) x[i] = i < count ? z_at(r, k + i) - r->max : all_doubles(0.0);
    exp_down(4, x);
    for (int i = 0; i < count; i++, place += along ? (double)HALF : 1.0) {
      x[i] = live(r, x[i], k + i, along);
      rest = add_where(differ(place, r->best), rest, x[i]);
      store_doubles(r->e + (k + i) * HALF, x[i]);
    }
  }
  rest = total(rest, along);
  r->inverse = 1.0 / (rest + 1.0);
  r->log_sum = log1p_of(rest);
}

static ALWAYS dvec entropy_of(const lanes *r, const bool along) {
  dvec entropy = all_doubles(0.0);
  for (int k = 0; k < r->steps; k++) entropy -= p_at(r, k) * log_p_at(r, k);
  return total(entropy, along);
}

static ALWAYS dvec confidence_penalty(lanes *r, const bool along) {
  double beta = r->parameters[0], hinge = r->parameters[1];
  softmax(r, along);
  dvec entropy = entropy_of(r, along), factor = all_doubles(beta);
  if (hinge > 0.0) factor = pick(below(entropy, all_doubles(hinge)), factor, all_doubles(0.0));
  for (int k = 0; k < r->steps && r->g != NULL; k++) set_gradient(r, k, factor * p_at(r, k) * (log_p_at(r, k) + entropy));
  return factor * (hinge > 0.0 ? hinge - entropy : -entropy);
}

static ALWAYS dvec margin_smoothing(lanes *r, const bool along) {
  double margin = r->parameters[0], by = r->parameters[1] / (r->parameters[2] != 0.0 ? r->classes : 1.0);
  dvec sum = all_doubles(0.0), count = sum, zero = sum;
  for (int k = 0; k < r->steps; k++) {
    dvec over = (r->max - z_at(r, k)) - margin;
    mask above = below(zero, over);
    sum = add_where(above, sum, over);
    count = add_where(above, count, all_doubles(1.0));
    if (r->g != NULL) set_gradient(r, k, pick(above, all_doubles(-by), zero));
  }
  r->gain = total(count, along) * by;
  return total(sum, along) * by;
}

static ALWAYS dvec max_sup(lanes *r, const bool along) {
  double alpha = r->parameters[0];
  dvec shifted = all_doubles(0.0);
  for (int k = 0; k < r->steps; k++) {
    shifted += r->max - z_at(r, k);
    if (r->g != NULL) set_gradient(r, k, all_doubles(-alpha / r->classes));
  }
  r->gain = all_doubles(alpha);
  return total(shifted, along) * (alpha / r->classes);
}

static ALWAYS dvec bootstrap_soft(lanes *r, const bool along) {
  double beta = r->parameters[0], rest = r->parameters[1] == 0.0 ? 1.0 - beta : 0.0;
  dvec cross = all_doubles(0.0), mass = cross;
  softmax(r, along);
  for (int k = 0; k < r->steps; k++) {
    cross -= q_at(r, k) * log_p_at(r, k);
    mass += q_at(r, k);
  }
  dvec entropy = entropy_of(r, along);
  cross = total(cross, along);
  mass = total(mass, along);
  for (int k = 0; k < r->steps && r->g != NULL; k++) {
    dvec p = p_at(r, k);
    set_gradient(r, k, (mass * p - q_at(r, k)) * beta - p * rest * (log_p_at(r, k) + entropy));
  }
  return cross * beta + entropy * (1.0 - beta);
}

static ALWAYS dvec root_of(dvec x) {
#if defined(__AVX512F__)
  return _mm512_sqrt_pd(x);
#elif defined(__AVX2__)
  return _mm256_sqrt_pd(x);
#else
  for (int l = 0; l < HALF; l++) x[l] = sqrt(x[l]);
  return x;
#endif
}

/* Squares of floats are within the range of doubles. */
static ALWAYS dvec logit_norm(lanes *r, const bool along) {
  dvec squares = all_doubles(0.0), zero = squares, cross = zero, mass = zero, sum = zero, along_z = zero;
  for (int k = 0; k < r->steps; k++) squares += live(r, z_at(r, k) * z_at(r, k), k, along);
  squares = total(squares, along);
  dvec norm = pick(below(zero, squares), 1.0 / root_of(squares), zero), by = norm * (1.0 / r->parameters[0]); /* norm: its inverse */
  for (int k = 0; k < r->steps; k += 4) {
    dvec x[4];
    int count = r->steps - k < 4 ? r->steps - k : 4;
    for (int i = 0; i < 4; i++) x[i] = i < count ? (z_at(r, k + i) - r->max) * by : zero;
    exp_down(4, x);
    for (int i = 0; i < count; i++) {
      x[i] = live(r, x[i], k + i, along);
      sum += x[i];
      store_doubles(r->e + (k + i) * HALF, x[i]);
    }
  }
  sum = total(sum, along);
  dvec log_sum = log_of(sum);
  for (int k = 0; k < r->steps; k++) {
    cross += q_at(r, k) * (log_sum - (z_at(r, k) - r->max) * by);
    mass += q_at(r, k);
  }
  dvec scale = total(mass, along) / sum;
  for (int k = 0; k < r->steps && r->g != NULL; k++) along_z += (e_at(r, k) * scale - q_at(r, k)) * (z_at(r, k) * norm);
  along_z = total(along_z, along) * norm;
  for (int k = 0; k < r->steps && r->g != NULL; k++) set_gradient(r, k, (e_at(r, k) * scale - q_at(r, k) - z_at(r, k) * along_z) * by);
  return total(cross, along);
}

static ALWAYS dvec acls(lanes *r, const bool along) {
  const double *o = r->parameters;
  double by = o[0] * o[2] / (o[5] != 0.0 && r->classes > 1.0 ? r->classes - 1.0 : 1.0), first = o[0] * o[1];
  dvec top = r->max - o[3], second = all_doubles(0.0), pulled = second, zero = second;
  top = pick(below(zero, top), top, zero);
  for (int k = 0; k < r->steps; k++) {
    dvec over = (r->max - z_at(r, k)) - o[3]; /* of the best -margin */
    over = pick(below(zero, over), over, zero);
    second += over * over;
    pulled += over;
    if (r->g != NULL) set_gradient(r, k, over * (-2.0 * by));
  }
  r->gain = top * (2.0 * first);
  if (o[4] == 0.0) r->gain += total(pulled, along) * (2.0 * by);
  return top * top * first + total(second, along) * by;
}

static ALWAYS dvec logit_penalty(lanes *r, const bool along) {
  dvec sum = all_doubles(0.0);
  for (int k = 0; k < r->steps; k++) {
    dvec z = z_at(r, k);
    sum += live(r, z * z, k, along);
    if (r->g != NULL) set_gradient(r, k, z * r->parameters[0]);
  }
  return total(sum, along) * (0.5 * r->parameters[0]);
}

static ALWAYS dvec bootstrap_hard(lanes *r, const bool along) {
  double beta = r->parameters[0], rest = 1.0 - beta;
  dvec cross = all_doubles(0.0), mass = cross, place = r->lane, zero = cross;
  softmax(r, along);
  for (int k = 0; k < r->steps; k++) {
    cross -= q_at(r, k) * log_p_at(r, k);
    mass += q_at(r, k);
  }
  mass = total(mass, along) * beta + rest;
  for (int k = 0; k < r->steps && r->g != NULL; k++, place += along ? (double)HALF : 1.0)
    set_gradient(r, k, mass * p_at(r, k) - q_at(r, k) * beta - pick(differ(place, r->best), zero, all_doubles(rest)));
  return total(cross, along) * beta + r->log_sum * rest;
}

static ALWAYS dvec generalised_smoothing(lanes *r, const bool along) {
  double rate = r->parameters[0], share = rate / r->classes, bound = rate >= 0.0 ? INFINITY : r->parameters[1];
  dvec cross = all_doubles(0.0), sum = cross, counted = cross, most = all_doubles(bound);
  softmax(r, along);
  for (int k = 0; k < r->steps; k++) {
    dvec nll = all_doubles(0.0) - log_p_at(r, k);
    mask within = below(nll, most);
    cross += q_at(r, k) * nll;
    sum += live(r, pick(within, nll, most), k, along);
    counted += live(r, pick(within, all_doubles(1.0), all_doubles(0.0)), k, along);
  }
  dvec by = total(counted, along) * share + (1.0 - rate);
  for (int k = 0; k < r->steps && r->g != NULL; k++) {
    mask within = below(all_doubles(0.0) - log_p_at(r, k), most);
    set_gradient(r, k, by * p_at(r, k) - q_at(r, k) * (1.0 - rate) - pick(within, all_doubles(share), all_doubles(0.0)));
  }
  return total(cross, along) * (1.0 - rate) + total(sum, along) * share;
}

/* x - log(1 + x), x > -1: near 0 without the difference. */
static ALWAYS dvec less_log1p(dvec x) {
  dvec half, series = log_series(x, &half);
  mask small = below(x * x, all_doubles(0.08));
  return pick(small, half - series, x - log1p_of(x));
}

/* Where the uniform share is 1e290 times a probability there is no value: the plain twin knows what to do. */
static ALWAYS dvec entropy_regularisation(lanes *r, const bool along) {
  double alpha = r->parameters[0], beta = r->parameters[1], u = 1.0 / r->classes, log_u = -log(r->classes);
  dvec sum = all_doubles(0.0), mean = sum;
  softmax(r, along);
  for (int k = 0; k < r->steps; k++) {
    dvec p = p_at(r, k), log_p = log_p_at(r, k), g, part;
    if (alpha == 0.0) {
      part = (log_u - log_p) * u;
      g = p - u;
    } else if (alpha == 1.0) {
      part = p * (log_p - log_u);
      g = p * log_p;
    } else {
      if (along && k + 1 == r->steps) p = pick(below(all_doubles(0.5), r->last), p, all_doubles(u)); /* both parts are 0 there */
      dvec ratio = u / p, t = (ratio - 1.0) * alpha, back = (p * r->classes - 1.0) * (1.0 - alpha);
      part = p * less_log1p(t) * (1.0 / alpha) + less_log1p(back) * (u / (1.0 - alpha));
      part = pick(below(all_doubles(1e-290), p), part, all_doubles(NAN));
      g = p * log1p_of(t) * (-1.0 / alpha);
    }
    sum += live(r, part, k, along);
    mean += live(r, g, k, along);
    store_doubles(r->work + k * HALF, g);
  }
  mean = alpha == 0.0 ? all_doubles(0.0) : total(mean, along);
  for (int k = 0; k < r->steps && r->g != NULL; k++) set_gradient(r, k, (load_doubles(r->work + k * HALF) - p_at(r, k) * mean) * beta);
  return total(sum, along) * beta;
}

static ALWAYS dvec value_of(lanes *r, const ls_penalty_form form, const bool along) {
  switch (form) {
    case LS_FORM_ACLS: return acls(r, along);
    case LS_FORM_BOOTSTRAP_HARD: return bootstrap_hard(r, along);
    case LS_FORM_BOOTSTRAP_SOFT: return bootstrap_soft(r, along);
    case LS_FORM_CONFIDENCE_PENALTY: return confidence_penalty(r, along);
    case LS_FORM_ENTROPY_REGULARISATION: return entropy_regularisation(r, along);
    case LS_FORM_GENERALISED_SMOOTHING: return generalised_smoothing(r, along);
    case LS_FORM_LOGIT_PENALTY: return logit_penalty(r, along);
    case LS_FORM_LOGIT_NORM: return logit_norm(r, along);
    case LS_FORM_MARGIN_SMOOTHING: return margin_smoothing(r, along);
    default: return max_sup(r, along);
  }
}

static ALWAYS bool has_gain(const ls_penalty_form form) {
  return form == LS_FORM_ACLS || form == LS_FORM_MARGIN_SMOOTHING || form == LS_FORM_MAX_SUP;
}

/* NaN where a logit is not finite, or the value. */
static ALWAYS dvec sound_value(const lanes *r, dvec value, const bool along) {
  dvec below_max = all_doubles(0.0), limit = all_doubles(INFINITY);
  for (int k = 0; k < r->steps; k++) below_max += r->max - z_at(r, k);
  below_max = total(below_max, along);
  return pick(below(below_max, limit), value, all_doubles(NAN));
}

#if defined(__AVX2__)
/* The first n of four numbers. */
static ALWAYS void put_few(float *to, __m128 x, int n) {
  if (n & 2) {
    _mm_storel_pi((__m64 *)to, x);
    x = _mm_movehl_ps(x, x);
    to += 2;
  }
  if (n & 1) _mm_store_ss(to, x);
}

static ALWAYS __m128 few_of(const float *from, int n) {
  __m128 x = n & 2 ? _mm_loadl_pi(_mm_setzero_ps(), (const __m64 *)from) : _mm_setzero_ps();
  if (!(n & 1)) return x;
  __m128 one = _mm_load_ss(from + (n & 2));
  return n & 2 ? _mm_movelh_ps(x, one) : one;
}

static ALWAYS void put_quarter(float *to, __m128 x, int n, bool adds) {
  if (n == 4)
    _mm_storeu_ps(to, adds ? _mm_add_ps(_mm_loadu_ps(to), x) : x);
  else
    put_few(to, adds ? _mm_add_ps(few_of(to, n), x) : x, n);
}

/* Quarter q of x is four numbers of row 4 q. */
static ALWAYS void put_quarters(float *const *grad, const double *value, int32_t k, vec x, int n, int rows, bool adds) {
  for (int q = 0; q < WIDTH / 4; q++) {
    if (4 * q >= rows || !(fabs(value[4 * q]) < (double)INFINITY)) continue;
#if defined(__AVX512F__)
    __m128 quarter = q == 0 ? _mm512_extractf32x4_ps(x, 0) : q == 1 ? _mm512_extractf32x4_ps(x, 1) : q == 2 ? _mm512_extractf32x4_ps(x, 2) : _mm512_extractf32x4_ps(x, 3);
#else
    __m128 quarter = q == 0 ? _mm256_castps256_ps128(x) : _mm256_extractf128_ps(x, 1);
#endif
    put_quarter(grad[4 * q] + k, quarter, n, adds);
  }
}
#endif

/* Columns g of WIDTH rows, of which `rows` are wanted, to the rows, but for those without a value. */
static ALWAYS void put_columns(int32_t classes, const float *g, int rows, float *const *grad, const double *value, bool adds) {
#if defined(__AVX2__)
  for (int32_t k = 0; k < classes; k += 4) {
    const float *from = g + k * WIDTH;
    int n = classes - k < 4 ? classes - k : 4;
    vec a = LOWER_PAIRS(load(from), load(from + WIDTH)), b = UPPER_PAIRS(load(from), load(from + WIDTH));
    vec c = LOWER_PAIRS(load(from + 2 * WIDTH), load(from + 3 * WIDTH)), d = UPPER_PAIRS(load(from + 2 * WIDTH), load(from + 3 * WIDTH));
    put_quarters(grad, value, k, HALVES_OF(a, c, 0x44), n, rows, adds);
    put_quarters(grad + 1, value + 1, k, HALVES_OF(a, c, 0xee), n, rows - 1, adds);
    put_quarters(grad + 2, value + 2, k, HALVES_OF(b, d, 0x44), n, rows - 2, adds);
    put_quarters(grad + 3, value + 3, k, HALVES_OF(b, d, 0xee), n, rows - 3, adds);
  }
#else
  for (int l = 0; l < rows; l++)
    for (int32_t k = 0; k < classes && fabs(value[l]) < (double)INFINITY; k++) grad[l][k] = (adds ? grad[l][k] : 0.0f) + g[k * WIDTH + l];
#endif
}

enum { ROOM = LS_FEW_CLASSES + 4 }; /* whole fours are read and written */

/* Rows i … i+WIDTH-1, few classes. */
static ALWAYS void columns(const ls_penalty_rows *s, int i, const ls_penalty_form form) {
  float z[ROOM * WIDTH] __attribute__((aligned(64))), g[ROOM * WIDTH] __attribute__((aligned(64)));
  double e[ROOM * HALF] __attribute__((aligned(64))), work[ROOM * HALF] __attribute__((aligned(64)));
  int32_t n = s->classes < 1 ? 1 : s->classes; /* gcc asks what z holds without a class */
  columns_of(n, s->z + i, z);
  leaders top = leaders_of(n, z);
  for (int h = 0; h < 2; h++) {
    lanes r = {.steps = n, .step = WIDTH, .q_step = LS_FEW_ROWS, .z = z + h * HALF, .q = s->q == NULL ? NULL : s->q + i + h * HALF, .parameters = s->parameters, .e = e, .work = work, .classes = n,
               .g = s->grad == NULL ? NULL : g + h * HALF, .max = widen(top.top, h * HALF), .best = widen(top.best, h * HALF), .gain = all_doubles(0.0)};
    r.scale = load_doubles(s->scale + i + h * HALF);
    store_doubles(s->value + i + h * HALF, sound_value(&r, value_of(&r, form, false), false));
    if (s->grad == NULL || !has_gain(form)) continue;
    double gain[HALF], best[HALF];
    store_doubles(gain, r.gain * r.scale);
    store_doubles(best, r.best);
    for (int l = 0; l < HALF; l++) g[(int)best[l] * WIDTH + h * HALF + l] += (float)gain[l];
  }
  if (s->grad != NULL) put_columns(n, g, s->rows - i < WIDTH ? s->rows - i : WIDTH, s->grad + i, s->value + i, s->adds);
}

/* The largest and where it is first; NaN is passed over. */
static ALWAYS float top_of(int32_t n, const float *z, int32_t *best) {
  vec tops = all_lanes(-INFINITY);
  float top = -INFINITY, lane[WIDTH];
  int32_t k = 0;
  for (; n - k >= WIDTH; k += WIDTH) tops = larger_of(load(z + k), tops);
  store(lane, tops);
  for (int l = 0; l < WIDTH; l++) top = lane[l] > top ? lane[l] : top;
  for (; k < n; k++) top = z[k] > top ? z[k] : top;
  for (k = 0; k + 1 < n && z[k] != top;) k++;
  *best = k;
  return top;
}

/* A row of many classes. */
static ALWAYS void along_row(const ls_penalty_rows *s, const ls_penalty_form form) {
  int32_t n = s->classes, best, padded = (n + 15) / 16 * 16;
  double *e = s->work, *work = e + padded;
  float *z = (float *)(void *)(work + padded), *g = z + padded, *grad = s->grad == NULL ? NULL : s->grad[0];
  float top = top_of(n, s->z[0], &best);
  memcpy(z, s->z[0], (size_t)n * sizeof *z);
  for (int32_t k = n; k < padded; k++) z[k] = top;
  lanes r = {.steps = (n + HALF - 1) / HALF, .step = HALF, .q_step = HALF, .z = z, .q = s->q, .parameters = s->parameters, .e = e, .work = work, .classes = n,
             .g = grad == NULL ? NULL : g, .max = all_doubles((double)top), .best = all_doubles((double)best), .gain = all_doubles(0.0), .scale = all_doubles(s->scale[0])};
  for (int l = 0; l < HALF; l++) r.lane[l] = l, r.last[l] = (r.steps - 1) * HALF + l < n;
  dvec value = sound_value(&r, value_of(&r, form, true), true);
  s->value[0] = value[0];
  if (grad == NULL || !(fabs(value[0]) < (double)INFINITY)) return;
  if (has_gain(form)) g[best] += (float)(r.gain[0] * s->scale[0]);
  for (int32_t k = 0; k < n; k++) grad[k] = (s->adds ? grad[k] : 0.0f) + g[k];
}

#define FORM(name, form)                                                        \
  static void name(const ls_penalty_rows *s) {                                  \
    for (int i = 0; s->classes <= LS_FEW_CLASSES && i < s->rows; i += WIDTH)    \
      columns(s, i, form);                                                      \
    if (s->classes > LS_FEW_CLASSES) along_row(s, form);                        \
  }
FORM(acls_rows, LS_FORM_ACLS)
FORM(bootstrap_hard_rows, LS_FORM_BOOTSTRAP_HARD)
FORM(bootstrap_soft_rows, LS_FORM_BOOTSTRAP_SOFT)
FORM(confidence_penalty_rows, LS_FORM_CONFIDENCE_PENALTY)
FORM(entropy_regularisation_rows, LS_FORM_ENTROPY_REGULARISATION)
FORM(generalised_smoothing_rows, LS_FORM_GENERALISED_SMOOTHING)
FORM(logit_penalty_rows, LS_FORM_LOGIT_PENALTY)
FORM(logit_norm_rows, LS_FORM_LOGIT_NORM)
FORM(margin_smoothing_rows, LS_FORM_MARGIN_SMOOTHING)
FORM(max_sup_rows, LS_FORM_MAX_SUP)

const ls_penalty_kernels LS_PASTE(ls_penalty_kernels_, LS_ISA) = {
    .rows = {[LS_FORM_ACLS] = acls_rows, [LS_FORM_BOOTSTRAP_HARD] = bootstrap_hard_rows, [LS_FORM_BOOTSTRAP_SOFT] = bootstrap_soft_rows,
             [LS_FORM_CONFIDENCE_PENALTY] = confidence_penalty_rows, [LS_FORM_ENTROPY_REGULARISATION] = entropy_regularisation_rows,
             [LS_FORM_GENERALISED_SMOOTHING] = generalised_smoothing_rows, [LS_FORM_LOGIT_NORM] = logit_norm_rows, [LS_FORM_LOGIT_PENALTY] = logit_penalty_rows,
             [LS_FORM_MARGIN_SMOOTHING] = margin_smoothing_rows, [LS_FORM_MAX_SUP] = max_sup_rows}};
