/* Softmax of rows in double, summed up for the measures; compiled once for each instruction set (LS_ISA names it).
 * SPDX-License-Identifier: MIT
 *
 * Plain C with 32 fixed lanes (with 8, gcc unrolls the inner loops before it could make vectors of them). Contraction into FMA is on here, as in the convolution: without it the polynomials take a third longer. So the
 * sets differ in the last bits; tests/core/test_predictions.c holds each to its error in ulps. What comes out for a row does not depend
 * on its place among the rows. */
#include "core/kernels/kernels.h"

#include "core/kernels/bits.h"
#include "core/kernels/doubles_tmpl.h"

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
 * the rounding of 1 + x. log1p(inf) = inf, NaN stays. */
static inline double log1p_d(double x) {
  double u = 1.0 + x, lost = (x - (u - 1.0)) / u;
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
  for (size_t i = 0; i < n; i++) out[i] = log1p_d(x[i]);
}

#if defined(__AVX2__) && !defined(__AVX512F__)
/* The columns of eight rows of eight numbers: pairs, fours, then halves. */
static inline void transpose(const __m256 *x, float *to) {
  __m256 pair[8], four[8];
  for (int i = 0; i < 4; i++) {
    pair[2 * i] = _mm256_unpacklo_ps(x[2 * i], x[2 * i + 1]);
    pair[2 * i + 1] = _mm256_unpackhi_ps(x[2 * i], x[2 * i + 1]);
  }
  for (int i = 0; i < 2; i++)
    for (int h = 0; h < 2; h++) {
      four[4 * i + 2 * h] = _mm256_shuffle_ps(pair[4 * i + h], pair[4 * i + 2 + h], 0x44);
      four[4 * i + 2 * h + 1] = _mm256_shuffle_ps(pair[4 * i + h], pair[4 * i + 2 + h], 0xee);
    }
  for (int i = 0; i < 4; i++) {
    _mm256_storeu_ps(to + 8 * i, _mm256_permute2f128_ps(four[i], four[4 + i], 0x20));
    _mm256_storeu_ps(to + 8 * (4 + i), _mm256_permute2f128_ps(four[i], four[4 + i], 0x31));
  }
}
#endif

/* Columns of a group's rows: z[k · WIDTH + row]; on AVX2 eight at a time, so that z has room for a multiple of eight. */
static inline void columns_of(int32_t classes, const float *const *row, float *z) {
#if defined(__AVX512F__)
  __m512i low = _mm512_loadu_si512(row), high = _mm512_loadu_si512(row + 8); /* addresses */
  for (int32_t k = 0; k < classes; k++) {
    const char *offset = (const char *)NULL + sizeof(float) * (size_t)k;
    _mm256_storeu_ps(z + k * WIDTH, _mm512_i64gather_ps(low, offset, 1));
    _mm256_storeu_ps(z + k * WIDTH + 8, _mm512_i64gather_ps(high, offset, 1));
  }
#elif defined(__AVX2__)
  for (int32_t k = 0; k < classes; k += 8) {
    __m256 x[8];
    for (int l = 0; l < 8; l++) x[l] = classes - k >= 8 ? _mm256_loadu_ps(row[l] + k) : _mm256_maskload_ps(row[l] + k, (__m256i)lanes_before(classes - k));
    transpose(x, z + k * WIDTH);
  }
#else
  for (int l = 0; l < WIDTH; l++)
    for (int32_t k = 0; k < classes; k++) z[k * WIDTH + l] = row[l][k];
#endif
}

typedef struct leaders {
  vec top, second, best;
} leaders;

static inline leaders leaders_of(int32_t classes, const float *z) {
  leaders r = {load(z), all_lanes(-INFINITY), all_lanes(0.0f)};
  for (int32_t k = 1; k < classes; k++) {
    vec v = load(z + k * WIDTH), lower = smaller_of(v, r.top);
    r.best = where_above(v, r.top, all_lanes((float)k), r.best);
    r.top = larger_of(v, r.top);
    r.second = larger_of(lower, r.second);
  }
  return r;
}

/* The labels' logits and numbers. */
static inline void own_of(const int32_t *label, const float *z, float *own, float *y) {
#if defined(__AVX512F__)
  const __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  __m512i k = _mm512_loadu_si512(label);
  _mm512_storeu_ps(own, _mm512_i32gather_ps(_mm512_add_epi32(_mm512_slli_epi32(k, 4), lane), z, 4));
  _mm512_storeu_ps(y, _mm512_cvtepi32_ps(k));
#else
  for (int l = 0; l < WIDTH; l++) own[l] = z[label[l] * WIDTH + l], y[l] = (float)label[l];
#endif
}

static inline void store_indices(int32_t *to, vec v) {
#if defined(__AVX512F__)
  _mm512_storeu_si512(to, _mm512_cvttps_epi32(v));
#else
  for (int l = 0; l < WIDTH; l++) to[l] = (int32_t)v[l];
#endif
}

/* What follows for HALF rows from the sums over the other classes; log(1 + rest) is added to nll for many rows at once. */
static inline void finish(const ls_judged_rows *out, size_t i, dvec top, dvec winner, dvec own_z, dvec y, dvec rest, dvec squares, double inverse) {
  dvec sum = rest + 1.0, scale = 1.0 / sum, down = (own_z - top) * inverse, own = exp_down(down);
  mask wrong = differ(winner, y);
  dvec missing = pick(wrong, sum - own, rest), square = pick(wrong, (squares + 1.0) - own * own, squares);
  store_doubles(out->nll + i, all_doubles(0.0) - down);
  store_doubles(out->brier + i, (square + missing * missing) * (scale * scale));
}

/* WIDTH rows side by side, so that rows of few classes fill the vectors, too. The largest is left out of the sums. `scored`: with nll and brier; the
 * softmax to p where it is not NULL. */
static inline __attribute__((always_inline)) mask judge_rows(int32_t classes, const float *const *row, double inverse, const int32_t *label, const ls_judged_rows *out, size_t at,
                                                             bool scored, double *rests, double *p) {
  float z[LS_JUDGED_CLASSES * WIDTH] __attribute__((aligned(64))), best[WIDTH], second[WIDTH], own[WIDTH], y[WIDTH];
  columns_of(classes, row, z);
  leaders r = leaders_of(classes, z);
  store(best, r.best);
  store(second, r.second);
  store_indices(out->predicted + at, r.best);
  own_of(label + at, z, own, y);
  dvec top[2] = {widen(r.top, 0), widen(r.top, HALF)}, winner[2] = {widen_from(best), widen_from(best + HALF)}, rest[2] = {{0}}, squares[2] = {{0}}, class = {0}, limit = all_doubles(INFINITY);
  mask sound = below(class, limit);
  for (int32_t k = 0; k < classes; k++) {
    for (int h = 0; h < 2; h++) {
      dvec x = exp_down((widen_from(z + k * WIDTH + h * HALF) - top[h]) * inverse);
      mask other = differ(winner[h], class);
      rest[h] = add_where(other, rest[h], x);
      if (scored) squares[h] = add_square_where(other, squares[h], x);
      if (p != NULL) store_doubles(p + (size_t)k * out->column + h * HALF, x);
    }
    class += 1.0;
  }
  for (int h = 0; h < 2; h++) {
    size_t i = at + (size_t)(h * HALF);
    dvec own_z = widen_from(own + h * HALF), scale = 1.0 / (rest[h] + 1.0);
    store_doubles(out->top + i, top[h]);
    store_doubles(out->second + i, widen_from(second + h * HALF));
    store_doubles(out->confidence + i, scale);
    store_doubles(out->others + i, rest[h] * scale);
    sound &= below(top[h], limit) & below(rest[h], limit) & below(all_doubles(-INFINITY), own_z);
    for (int32_t k = 0; p != NULL && k < classes; k++) {
      double *at_class = p + (size_t)k * out->column + h * HALF;
      store_doubles(at_class, load_doubles(at_class) * scale);
    }
    if (!scored) continue;
    store_doubles(rests + h * HALF, rest[h]);
    finish(out, i, top[h], winner[h], own_z, widen_from(y + h * HALF), rest[h], squares[h], inverse);
  }
  return sound;
}

static bool judge_kernel(size_t rows, int32_t classes, const float *const *row, double inverse, const int32_t *label, const ls_judged_rows *out) {
  double rests[LS_JUDGED_ROWS];
  mask sound = below(all_doubles(0.0), all_doubles(1.0));
  for (size_t i = 0; i < rows && classes > 0; i += WIDTH) {
    size_t place = i % LS_JUDGED_ROWS;
    if (out->nll == NULL) {
      sound &= judge_rows(classes, row + i, inverse, label, out, i, false, NULL, NULL);
      continue;
    }
    if (out->p == NULL)
      sound &= judge_rows(classes, row + i, inverse, label, out, i, true, rests + place, NULL);
    else
      sound &= judge_rows(classes, row + i, inverse, label, out, i, true, rests + place, out->p + i);
    for (size_t l = 0; place + WIDTH == LS_JUDGED_ROWS && l < LS_JUDGED_ROWS; l++) out->nll[i + WIDTH - LS_JUDGED_ROWS + l] += log1p_d(rests[l]);
  }
  return everywhere(sound);
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
  enum { GROUP = 8, VECTORS = GROUP / HALF };
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
    for (int v = 0; v < VECTORS; v++) {
      dvec x = exp_down((widen_from(from + v * HALF) - top) * inverse);
      mask other = differ(place[v], best);
      rest[v] = add_where(other, rest[v], x);
      squares[v] = add_square_where(other, squares[v], x);
      store_doubles(e + k + v * HALF, x);
      place[v] += (double)GROUP;
    }
  }
  double s[GROUP], q[GROUP];
  for (int v = 0; v < VECTORS; v++) store_doubles(s + v * HALF, rest[v]), store_doubles(q + v * HALF, squares[v]);
  out->second = second;
  out->rest = ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]));
  out->squares = ((q[0] + q[4]) + (q[2] + q[6])) + ((q[1] + q[5]) + (q[3] + q[7]));
}

static void places_kernel(size_t n, const double *p, int32_t bins, int32_t *places) {
  double factor = bins;
  for (size_t i = 0; i < n; i++) {
    int32_t bin = (int32_t)(p[i] * factor);
    places[i] = (bin < bins ? bin : bins - 1) + 1;
  }
}

static inline void add_to_cell(ls_class_cell *cell, const double *p) {
#if defined(__AVX2__)
  __m256d ones = _mm256_set1_pd(1.0), x = _mm256_broadcast_sd(p), v = _mm256_blend_pd(ones, x, 6), w = _mm256_blend_pd(ones, x, 4); /* 1·1, p·1, p·p */
  _mm256_storeu_pd(&cell->count, _mm256_fmadd_pd(v, w, _mm256_loadu_pd(&cell->count)));
#else
  typedef double pair __attribute__((vector_size(16), aligned(8), may_alias));
  *(pair *)&cell->count += (pair){1.0, *p};
  cell->squares += *p * *p;
#endif
}

/* Row by row: numbers of one class mostly fall into one bin, and would wait for each other's sums. */
static void add_cells_kernel(const ls_class_block *block, size_t cells_each, ls_class_cell *cells) {
  const ls_class_block b = *block;
  for (size_t i = 0; i < b.rows; i++) {
    const double *p = b.p + i * b.row;
    const int32_t *place = b.places + i * b.place_row;
    ls_class_cell *to = cells;
    for (size_t k = 0; k < b.classes; k++, p += b.class, place += b.place_class, to += cells_each) add_to_cell(to + *place, p);
  }
}

const ls_evaluation_kernels LS_PASTE(ls_evaluation_kernels_, LS_ISA) = {.exp = exp_kernel, .log1p = log1p_kernel, .judge = judge_kernel, .judge_long = judge_long_kernel,
                                                                   .places = places_kernel, .add_cells = add_cells_kernel};
