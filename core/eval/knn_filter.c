/* Candidates of nearest neighbours: packing and sweeping. SPDX-License-Identifier: MIT
 *
 * With b = scale · (x - centre) and a likewise of the query (of inner products: a = a power of two times the query), a row is nearer the larger
 *   s = a·b - |b|²/2   (l2, cosine of normalised rows)   or   s = a·b   (inner product).
 *
 * In float32, u = 2^-24, d features: rounding a and b moves a·b by at most 2u|a||b|, adding up d products to a start of -|b|²/2 by at most
 * (d+2)u / (1-(d+2)u) · (|a||b| + |b|²/2) (Higham 2002, section 3.1). So with g = 1.01 (d + 8) u
 *   |s~ - s| <= e = g (|a||b| + |b|²/2).
 * The tile computes s~ + e: g|b| is one more feature of the row, whose partner is |a|, and g|b|²/2 is in the start. Where all scores are wanted it is s~: neither is.
 *
 * In bfloat16, with a~, b~ the rounded vectors, p >= |a - a~|, r >= |b - b~|, and g as above for the padded features:
 *   |s~ - s| <= p (|b| + r) + |a| r + g ((|a| + p)(|b| + r) + |b|²/2).
 * p and r are the norms of what rounding took, row by row: about 2^-9 of |a| and |b|.
 *
 * In 16-bit integers: units t, w of a query and of a panel of rows, the largest norm being 32767 of them; a~ and b~ are whole numbers of units. Sums of their
 * products are exact: by Cauchy-Schwarz no sum of some of them is above (32767 + sqrt(d)/2)² < 2^31. The sum becomes a float32 (u), is multiplied by the product
 * of the units (2u; these are exact) and added to the start, which was rounded (u |b|²/2), so that with g = 8u the bound above holds, and c = g/2 is more than
 * enough. p and r are about sqrt(d/12) units, 2^-14 of |a| and |b| for 64 features.
 *
 * Split in three, a~ = high + middle + low and so b~: p and r are about 2^-25 of |a| and |b|, little more than float32 takes. Left out are the products of the low
 * parts with each other and with the middle ones, at most middle a · low b + low a · middle b, where middle are norms of all but the high part, low of all below
 * the middle one. The small products are added first; then come those of the high parts, 32 features an instruction, which adds 16 in each of two
 * chains from zero, the two to each other, and that to the sum. So, the bias being rounded and added at last,
 *   |s~ - s| <= p (|b| + r) + |a| r + … + g (|a| + p)(|b| + r) + 2u |b|²,   g = 1.02 (min(d, 18 + d/32) + 2 + (5d + 8)/100) u. */
#include "core/eval/knn_parts.h"
#include "core/kernels/kernels.h"

#include <lsengine/pool.h>

#include <float.h>
#include <math.h>
#include <string.h>

enum { CHUNK = 32 << 20, TOGETHER = 64 << 20, SCORED_TOGETHER = 32 };
#define SHORT_BOUND (8 * 0x1p-24)
#define SHORT_LEAST 0x1p-40 /* norms below it count as rounding: units and their products stay well within float */

static size_t up(size_t n, size_t unit) { return (n + unit - 1) / unit * unit; }
static float above(double x) { return nextafterf((float)x, INFINITY); }
static double bound_of(size_t features) { return 1.01 * ((double)features + 8) * 0x1p-24; }
static bool is_wide(const ls_knn_plan *p) { return p->tiles >= LS_KNN_BFLOAT; }
static bool is_coarse(const ls_knn_plan *p) { return p->tiles != LS_KNN_FLOAT; } /* errors by what rounding took */
static size_t row_bytes(const ls_knn_plan *p) { return is_wide(p) ? p->steps * LS_KNN_WIDE * sizeof(uint16_t) : p->steps * sizeof(float); }

/* g of the tiles. */
static double sum_bound_of(ls_knn_tiles tiles, size_t features) {
  if (tiles == LS_KNN_FLOAT) return bound_of(features);
  if (tiles == LS_KNN_SHORT) return SHORT_BOUND;
  double padded = (double)up(features, LS_KNN_WIDE);
  return tiles == LS_KNN_BFLOAT ? bound_of((size_t)padded) : 1.02 * (fmin(padded, 18 + padded / 32) + 2 + (5 * padded + 8) / 100) * 0x1p-24;
}

ls_knn_tiles ls_knn_first_tiles(void) { return ls_knn_wide() != NULL ? LS_KNN_BFLOAT : ls_knn_short() != NULL ? LS_KNN_SHORT : LS_KNN_FLOAT; }

ls_knn_tiles ls_knn_precise_tiles(void) { return ls_knn_wide() != NULL ? LS_KNN_SPLIT : LS_KNN_FLOAT; }

static ls_knn_plan plan_of(const ls_knn *index, int32_t queries, size_t capacity, ls_knn_tiles tiles, size_t chunk_bytes) {
  const ls_knn_kernels *kernels = ls_kernels_now()->knn;
  bool wide = tiles >= LS_KNN_BFLOAT;
  size_t d = (size_t)index->base.cols;
  ls_knn_plan p = {.tiles = tiles, .capacity = capacity, .tile_queries = wide ? LS_KNN_WIDE : kernels->queries, .tile_rows = wide ? LS_KNN_WIDE : kernels->rows};
  p.steps = wide ? up(d, LS_KNN_WIDE) / LS_KNN_WIDE * (tiles == LS_KNN_SPLIT ? 3 : 1) : tiles == LS_KNN_SHORT ? up(d, 2) / 2 : d + 1;
  size_t each = p.capacity * 8 + row_bytes(&p) + sizeof(ls_knn_queue) + sizeof(ls_knn_query) + sizeof(ls_knn_error) + 4;
  size_t together = TOGETHER / each;
  size_t wanted = up((size_t)queries, (size_t)p.tile_queries);
  together = up(together < 1 ? 1 : together, (size_t)p.tile_queries);
  p.together = (int32_t)(together < wanted ? together : wanted);
  size_t chunk = chunk_bytes / row_bytes(&p), all = up((size_t)index->base.rows, (size_t)p.tile_rows);
  chunk = up(chunk < 1 ? 1 : chunk, (size_t)p.tile_rows);
  p.chunk = (int32_t)(chunk < all ? chunk : all);
  int32_t panels = p.together / p.tile_queries;
  p.panels = panels / 8 < 1 ? 1 : panels / 8 < LS_KNN_PANELS ? panels / 8 : LS_KNN_PANELS;
  return p;
}

ls_knn_plan ls_knn_make_plan(const ls_knn *index, int32_t queries, size_t most, ls_knn_tiles tiles) {
  return plan_of(index, queries, up(most + LS_KNN_SPARE, 16), tiles, CHUNK);
}

ls_knn_plan ls_knn_score_plan(const ls_knn *index, int32_t queries, size_t chunk, ls_knn_tiles tiles) {
  ls_knn_plan p = plan_of(index, queries, 0, tiles, chunk);
  int32_t most = SCORED_TOGETHER * LS_KNN_PANELS * p.tile_queries; /* so many blocks keep all threads busy, and their memory stays small */
  if (p.together > most) p.together = most;
  return p;
}

size_t ls_knn_filter_memory(const ls_knn *index, const ls_knn_plan *p, void *memory, ls_knn_filter *f) {
  size_t used = 0, queries = (size_t)p->together, n = up((size_t)index->base.rows, (size_t)p->tile_rows), groups = (size_t)(p->chunk / p->tile_rows);
  char *at = memory;
#define PART(field, bytes)                                                                                               \
  if (f != NULL) f->field = (void *)(at + used);                                                                         \
  used += ls_padded(bytes)
  PART(query, queries * sizeof(ls_knn_query));
  PART(queue, queries * sizeof(ls_knn_queue));
  PART(threshold, queries * sizeof(float));
  PART(error, queries * sizeof(ls_knn_error));
  PART(packed_queries, queries * row_bytes(p));
  PART(packed_rows, (size_t)p->chunk * row_bytes(p));
  PART(bias, (size_t)p->chunk * sizeof(float));
  PART(size, is_coarse(p) ? n * sizeof(float) : 0);
  PART(rest, is_coarse(p) ? n * sizeof(float) : 0);
  PART(most_size, groups * sizeof(float));
  PART(most_rest, groups * sizeof(float));
  PART(most_middle, groups * sizeof(float));
  PART(most_low, groups * sizeof(float));
  PART(query_unit, queries * sizeof(float));
  PART(row_unit, groups * sizeof(float));
  size_t spare = ls_padded(2 * p->capacity * sizeof(float));
  PART(spare, (size_t)ls_pool_threads() * spare);
  size_t lists = ls_padded(queries * p->capacity * 8);
  if (f != NULL) {
    f->spare_step = spare / sizeof(float);
    for (size_t q = 0; q < queries; q++) {
      f->queue[q].score = (float *)(void *)(at + used + q * p->capacity * 8);
      f->queue[q].row = (int32_t *)(void *)(f->queue[q].score + p->capacity);
    }
  }
#undef PART
  return used + lists;
}

/* The query's scale, and its factor where rows are normalised. */
static double scale_of(const ls_knn *index, const float *x, double *factor) {
  *factor = index->metric == LS_METRIC_COSINE ? ls_knn_inverse(x, index->base.cols) : 1.0;
  if (index->metric != LS_METRIC_INNER_PRODUCT) return index->scale;
  double square = 0.0;
  for (int32_t f = 0; f < index->base.cols; f++) square += (double)x[f] * (double)x[f];
  return square > 0.0 ? ldexp(1.0, 20 - ilogb(sqrt(square))) : 1.0;
}

/* A query once its norm is known. rest: of its rounding to bfloat16. */
static void start_query(ls_knn_filter *f, size_t i, double scale, double norm, double rest) {
  const ls_knn *index = f->index;
  bool products = index->metric == LS_METRIC_INNER_PRODUCT, coarse = is_coarse(f->plan);
  double d = index->base.cols, g = sum_bound_of(f->plan->tiles, (size_t)index->base.cols);
  ls_knn_query *q = &f->query[i];
  *q = (ls_knn_query){.norm = norm, .scale = scale, .failed = !(norm < 0x1p60)};
  q->slack = (d + 8) * 0x1p-52 * norm * (products ? index->largest : norm) + 0x1p-100 * (1.0 + norm);
  double a = coarse ? rest + g * (norm + rest) : g * norm;
  q->error = q->failed ? (ls_knn_error){0} : (ls_knn_error){above(a), coarse ? above(norm) : 0.0f, products ? 0.0f : above(f->plan->tiles == LS_KNN_SPLIT ? 2.04 * 0x1p-24 : 0.5 * g)};
  f->error[i] = q->error;
  f->threshold[i] = q->failed ? INFINITY : -1e38f;
  f->queue[i].count = 0;
  f->queue[i].capacity = (int32_t)f->plan->capacity;
}

static void fill_query(ls_knn_filter *f, size_t i) { /* of the last panel: nothing is kept */
  f->query[i] = (ls_knn_query){.failed = true};
  f->error[i] = (ls_knn_error){0};
  f->threshold[i] = INFINITY;
  f->queue[i].count = 0;
  f->queue[i].capacity = (int32_t)f->plan->capacity;
}

static void pack_float_queries(ls_knn_filter *f, size_t panel) {
  const ls_knn *index = f->index;
  int32_t wide = f->plan->tile_queries, d = index->base.cols;
  float *to = (float *)f->packed_queries + panel * f->plan->steps * (size_t)wide;
  bool products = index->metric == LS_METRIC_INNER_PRODUCT;
  for (int32_t l = 0; l < wide; l++) {
    size_t i = panel * (size_t)wide + (size_t)l;
    if ((int32_t)i >= f->count) {
      for (size_t s = 0; s < f->plan->steps; s++) to[s * (size_t)wide + (size_t)l] = 0.0f;
      fill_query(f, i);
      continue;
    }
    const float *x = ls_knn_filter_query(f, i);
    double factor, scale = scale_of(index, x, &factor), square = 0.0;
    for (int32_t j = 0; j < d; j++) {
      double v = ((double)x[j] * factor - (products ? 0.0 : index->centre[j])) * scale;
      to[j * wide + l] = (float)v;
      square += v * v;
    }
    double norm = sqrt(square) * (1.0 + 1e-9);
    start_query(f, i, scale, norm, 0.0);
    to[d * wide + l] = f->query[i].failed || f->plan->capacity == 0 ? 0.0f : above(norm); /* scores alone come without their bound */
    for (int32_t j = 0; f->query[i].failed && j < d; j++) to[j * wide + l] = 0.0f;
  }
}

/* Of one query or row: numbers as pairs of integers, `step` pairs apart. *square: of the norm. Returns the norm of what rounding took, from above. The sums are kept in
 * two parts, a vector; adding what has no room for fractions rounds as rint does, which is a call. */
static double put_short(int16_t *to, size_t step, const float *x, int32_t d, double factor, const double *centre, double scale, float unit, double *square) {
  const double no_fraction = 0x1.8p52;
  double left[2] = {0.0, 0.0}, squares[2] = {0.0, 0.0}, inverse = unit > 0.0f ? 1.0 / (double)unit : 0.0;
  for (int32_t j = 0; j < d; j += 2, to += 2 * step) {
    double v[2] = {0.0, 0.0}, whole[2];
    for (int l = 0; l < 2 && j + l < d; l++) v[l] = ((double)x[j + l] * factor - (centre != NULL ? centre[j + l] : 0.0)) * scale;
    for (int l = 0; l < 2; l++) {
      whole[l] = v[l] * inverse + no_fraction - no_fraction;
      double r = v[l] - whole[l] * (double)unit;
      left[l] += r * r;
      squares[l] += v[l] * v[l];
    }
    to[0] = (int16_t)whole[0];
    to[1] = (int16_t)whole[1];
  }
  *square = squares[0] + squares[1];
  return (sqrt(left[0] + left[1]) + sqrt(*square) * 0x1p-50) * (1.0 + 1e-9) + 0x1p-100;
}

static float unit_of(double norm) { return norm < SHORT_LEAST ? 0.0f : above(norm / LS_KNN_SHORT_NORM); }

static void pack_short_queries(ls_knn_filter *f, size_t panel) {
  const ls_knn *index = f->index;
  size_t wide = (size_t)f->plan->tile_queries;
  int16_t *to = (int16_t *)f->packed_queries + panel * f->plan->steps * wide * 2;
  const double *centre = index->metric == LS_METRIC_INNER_PRODUCT ? NULL : index->centre;
  memset(to, 0, f->plan->steps * wide * 2 * sizeof *to);
  for (size_t l = 0, i = panel * wide; l < wide; l++, i++) {
    f->query_unit[i] = 0.0f;
    if ((int32_t)i >= f->count) {
      fill_query(f, i);
      continue;
    }
    const float *x = ls_knn_filter_query(f, i);
    double factor, scale = scale_of(index, x, &factor), square = 0.0;
    for (int32_t j = 0; j < index->base.cols; j++) {
      double v = ((double)x[j] * factor - (centre != NULL ? centre[j] : 0.0)) * scale;
      square += v * v;
    }
    double norm = sqrt(square) * (1.0 + 1e-9), rest = 0.0;
    if (norm < 0x1p60) {
      f->query_unit[i] = unit_of(norm);
      rest = put_short(to + 2 * l, wide, x, index->base.cols, factor, centre, scale, f->query_unit[i], &square);
    }
    start_query(f, i, scale, norm, rest);
  }
}

static void pack_wide_queries(ls_knn_filter *f, size_t panel) {
  const ls_knn *index = f->index;
  for (size_t half = 0; half < 2; half++) {
    size_t first = panel * LS_KNN_WIDE + half * 16;
    ls_knn_wide_packing p = {.features = index->base.cols, .parts = f->plan->steps, .split = f->plan->tiles == LS_KNN_SPLIT, .centre = index->metric == LS_METRIC_INNER_PRODUCT ? NULL : index->centre};
    p.to = (uint16_t *)f->packed_queries + panel * f->plan->steps * LS_KNN_WIDE * LS_KNN_WIDE + half * 16 * LS_KNN_WIDE;
    for (; p.count < 16 && first + (size_t)p.count < (size_t)f->count; p.count++) {
      p.x[p.count] = ls_knn_filter_query(f, first + (size_t)p.count);
      p.scale[p.count] = scale_of(index, p.x[p.count], &p.factor[p.count]);
    }
    ls_knn_wide()->pack_queries(&p);
    for (int l = 0; l < 16; l++) {
      if (l >= p.count) {
        fill_query(f, first + (size_t)l);
        continue;
      }
      start_query(f, first + (size_t)l, p.scale[l], sqrt(p.square[l]) * (1.0 + 1e-9), p.rest[l]);
      f->query[first + (size_t)l].middle = p.middle[l];
      f->query[first + (size_t)l].low = p.low[l];
      for (size_t part = 0; f->query[first + (size_t)l].failed && part < p.parts; part++)
        for (int j = 0; j < LS_KNN_WIDE; j++) p.to[part * LS_KNN_WIDE * LS_KNN_WIDE + (size_t)(l * LS_KNN_WIDE + j)] = 0;
    }
  }
}

static void pack_float_rows(ls_knn_filter *f, size_t panel) {
  const ls_knn *index = f->index;
  int32_t wide = f->plan->tile_rows, d = index->base.cols;
  double g = bound_of((size_t)d), square[LS_KNN_MOST_ROWS] = {0}, factor[LS_KNN_MOST_ROWS];
  const float *x[LS_KNN_MOST_ROWS];
  float *to = (float *)f->packed_rows + panel * f->plan->steps * (size_t)wide, *bias = f->bias + panel * (size_t)wide;
  int32_t first = f->first_row + (int32_t)panel * wide, n = f->first_row + f->chunk_rows - first;
  for (int32_t l = 0; l < wide; l++) {
    int32_t row = f->order[first + (l < n ? l : 0)];
    x[l] = index->base.data + row * index->base.stride;
    factor[l] = index->metric == LS_METRIC_COSINE ? index->inverse[row] : 1.0;
  }
  for (int32_t j = 0; j < d; j++, to += wide)
    for (int32_t l = 0; l < wide; l++) {
      double v = ((double)x[l][j] * factor[l] - index->centre[j]) * index->scale;
      to[l] = (float)v;
      square[l] += v * v;
    }
  f->most_size[panel] = 0.0f;
  for (int32_t l = 0; l < wide; l++) {
    float norm = above(sqrt(square[l]) * (1.0 + 1e-9));
    to[l] = l < n ? above(g * (double)norm) : 0.0f;
    if (l < n && norm > f->most_size[panel]) f->most_size[panel] = norm;
    bias[l] = l >= n ? -INFINITY : index->metric == LS_METRIC_INNER_PRODUCT ? 0.0f : f->plan->capacity == 0 ? (float)(-0.5 * square[l]) : above(-0.5 * square[l] * (1.0 - g));
  }
}

/* From above, of a row at a position. */
static float size_of_row(const ls_knn_filter *f, int32_t position) {
  const ls_knn *index = f->index;
  if (f->order == index->order) return index->norm[position];
  int32_t row = f->order[position];
  const float *x = index->base.data + row * index->base.stride;
  double factor = index->metric == LS_METRIC_COSINE ? index->inverse[row] : 1.0, square = 0.0;
  for (int32_t j = 0; j < index->base.cols; j++) {
    double v = ((double)x[j] * factor - index->centre[j]) * index->scale;
    square += v * v;
  }
  return above(sqrt(square) * (1.0 + 1e-9));
}

static void pack_short_rows(ls_knn_filter *f, size_t panel) {
  const ls_knn *index = f->index;
  size_t wide = (size_t)f->plan->tile_rows;
  int16_t *to = (int16_t *)f->packed_rows + panel * f->plan->steps * wide * 2;
  int32_t first = f->first_row + (int32_t)(panel * wide), n = f->first_row + f->chunk_rows - first;
  float *bias = f->bias + panel * wide, size = 0.0f, rest = 0.0f, norm[LS_KNN_MOST_ROWS] = {0};
  for (int32_t l = 0; l < n && l < (int32_t)wide; l++) {
    norm[l] = size_of_row(f, first + l);
    size = norm[l] > size ? norm[l] : size;
  }
  float unit = f->row_unit[panel] = unit_of((double)size);
  memset(to, 0, f->plan->steps * wide * 2 * sizeof *to);
  for (int32_t l = 0; l < (int32_t)wide; l++) {
    bias[l] = -INFINITY;
    if (l >= n) continue;
    int32_t row = f->order[first + l];
    double factor = index->metric == LS_METRIC_COSINE ? index->inverse[row] : 1.0, square;
    f->rest[first + l] = above(put_short(to + 2 * l, wide, index->base.data + row * index->base.stride, index->base.cols, factor, index->centre, index->scale, unit, &square));
    f->size[first + l] = above((double)norm[l] + (double)f->rest[first + l]);
    bias[l] = index->metric == LS_METRIC_INNER_PRODUCT ? 0.0f : (float)(-0.5 * square);
    rest = f->rest[first + l] > rest ? f->rest[first + l] : rest;
  }
  f->most_size[panel] = above((double)size + (double)rest);
  f->most_rest[panel] = rest;
}

static void pack_wide_rows(ls_knn_filter *f, size_t panel) {
  const ls_knn *index = f->index;
  float size = 0.0f, rest = 0.0f, middle = 0.0f, low = 0.0f;
  for (int32_t half = 0; half < 2; half++) {
    int32_t at = (int32_t)panel * LS_KNN_WIDE + half * 16, first = f->first_row + at;
    ls_knn_wide_packing p = {.features = index->base.cols, .parts = f->plan->steps, .split = f->plan->tiles == LS_KNN_SPLIT, .centre = index->centre};
    p.to = (uint16_t *)f->packed_rows + panel * f->plan->steps * LS_KNN_WIDE * LS_KNN_WIDE + half * 16 * LS_KNN_WIDE;
    for (; p.count < 16 && at + p.count < f->chunk_rows; p.count++) {
      int32_t row = f->order[first + p.count];
      p.x[p.count] = index->base.data + row * index->base.stride;
      p.factor[p.count] = index->metric == LS_METRIC_COSINE ? index->inverse[row] : 1.0;
      p.scale[p.count] = index->scale;
    }
    ls_knn_wide()->pack_rows(&p);
    for (int32_t l = 0; l < 16; l++) {
      f->bias[at + l] = l >= p.count ? -INFINITY : index->metric == LS_METRIC_INNER_PRODUCT ? 0.0f : (float)(-0.5 * p.square[l]);
      if (l >= p.count) continue;
      f->rest[first + l] = above(p.rest[l]);
      f->size[first + l] = above(sqrt(p.square[l]) * (1.0 + 1e-9) + p.rest[l]);
      rest = f->rest[first + l] > rest ? f->rest[first + l] : rest;
      size = f->size[first + l] > size ? f->size[first + l] : size;
      middle = above(p.middle[l]) > middle ? above(p.middle[l]) : middle;
      low = above(p.low[l]) > low ? above(p.low[l]) : low;
    }
  }
  f->most_size[panel] = size;
  f->most_rest[panel] = rest;
  f->most_middle[panel] = middle;
  f->most_low[panel] = low;
}

static void pack_queries(void *filter, size_t panel) {
  ls_knn_filter *f = filter;
  (is_wide(f->plan) ? pack_wide_queries : f->plan->tiles == LS_KNN_SHORT ? pack_short_queries : pack_float_queries)(f, panel);
}

static void pack_rows(void *filter, size_t panel) {
  ls_knn_filter *f = filter;
  (is_wide(f->plan) ? pack_wide_rows : f->plan->tiles == LS_KNN_SHORT ? pack_short_rows : pack_float_rows)(f, panel);
}

typedef struct block_context {
  ls_knn_filter *filter;
  size_t first; /* query of the block */
} block_context;

static void block_full(void *context, size_t query) {
  block_context *c = context;
  c->filter->full(c->filter, c->first + query);
}

static size_t row_panels_of(const ls_knn_filter *f) { return up((size_t)f->chunk_rows, (size_t)f->plan->tile_rows) / (size_t)f->plan->tile_rows; }

/* What a sweep of some panels of queries over those of the packed rows from `from` to end - 1 takes. */
static ls_knn_sweep sweep_of(const ls_knn_filter *f, size_t panel, size_t panels, size_t from, size_t end) {
  const ls_knn_plan *p = f->plan;
  size_t first = panel * (size_t)p->tile_queries, first_row = from * (size_t)p->tile_rows;
  return (ls_knn_sweep){.steps = p->steps,
                        .split = p->tiles == LS_KNN_SPLIT,
                        .queries = (char *)f->packed_queries + first * row_bytes(p),
                        .panels = panels,
                        .rows = (char *)f->packed_rows + first_row * row_bytes(p),
                        .bias = f->bias + first_row,
                        .row_panels = end - from,
                        .first = f->first_row + (int32_t)first_row,
                        .threshold = f->threshold + first,
                        .error = f->error + first,
                        .size = f->most_size + from,
                        .rest = f->most_rest + from,
                        .query_unit = f->query_unit + first,
                        .row_unit = f->row_unit + from,
                        .queue = f->queue + first};
}

static void run_sweep(const ls_knn_plan *p, const ls_knn_sweep *s) {
  (is_wide(p) ? ls_knn_wide()->sweep : p->tiles == LS_KNN_SHORT ? ls_knn_short() : ls_kernels_now()->knn->sweep)(s);
}

void ls_knn_filter_sweep(ls_knn_filter *f, size_t panel, size_t panels, size_t from) {
  block_context context = {f, panel * (size_t)f->plan->tile_queries};
  ls_knn_sweep s = sweep_of(f, panel, panels, from, row_panels_of(f));
  s.full = block_full;
  s.context = &context;
  run_sweep(f->plan, &s);
}

static void sweep_block(void *filter, size_t block) {
  ls_knn_filter *f = filter;
  size_t wide = (size_t)f->plan->tile_queries, panel = block * (size_t)f->plan->panels, all = up((size_t)f->count, wide) / wide;
  ls_knn_filter_sweep(f, panel, all - panel < (size_t)f->plan->panels ? all - panel : (size_t)f->plan->panels, 0);
}

void ls_knn_filter_scores(const ls_knn_filter *f, size_t panel, size_t panels, size_t row_panels, float *scores, size_t scores_step) {
  ls_knn_sweep s = sweep_of(f, panel, panels, 0, row_panels == 0 ? row_panels_of(f) : row_panels);
  s.scores = scores;
  s.scores_step = scores_step;
  run_sweep(f->plan, &s);
}

double ls_knn_filter_error(const ls_knn_filter *f, size_t query) {
  const ls_knn_query *q = &f->query[query];
  double size = f->most.size, error = (double)q->error.a * size + (double)q->error.b * f->most.rest + (double)q->error.c * size * size;
  error += q->middle * f->most.low + q->low * f->most.middle;
  return error * (1.0 + 1e-6) + q->slack;
}

void ls_knn_filter_begin(ls_knn_filter *f) {
  size_t wide = (size_t)f->plan->tile_queries;
  if (f->order == NULL) f->order = f->index->order;
  ls_parallel(LS_SITE_NEIGHBOURS, up((size_t)f->count, wide) / wide, pack_queries, f);
}

static double largest(const float *v, size_t n) {
  float most = 0.0f;
  for (size_t i = 0; i < n; i++) most = v[i] > most ? v[i] : most;
  return (double)most;
}

void ls_knn_filter_pack_rows(ls_knn_filter *f) {
  size_t panels = row_panels_of(f);
  ls_parallel(LS_SITE_NEIGHBOURS, panels, pack_rows, f);
  f->most.size = largest(f->most_size, panels);
  f->most.rest = is_coarse(f->plan) ? largest(f->most_rest, panels) : 0.0;
  f->most.middle = is_wide(f->plan) ? largest(f->most_middle, panels) : 0.0;
  f->most.low = is_wide(f->plan) ? largest(f->most_low, panels) : 0.0;
}

void ls_knn_filter_run(ls_knn_filter *f) {
  const ls_knn_plan *p = f->plan;
  size_t panels = up((size_t)f->count, (size_t)p->tile_queries) / (size_t)p->tile_queries;
  for (f->first_row = 0; f->first_row < f->index->base.rows; f->first_row += f->chunk_rows) {
    int32_t left = f->index->base.rows - f->first_row;
    f->chunk_rows = left < p->chunk ? left : p->chunk;
    ls_knn_filter_pack_rows(f);
    ls_parallel(LS_SITE_NEIGHBOURS, up(panels, (size_t)p->panels) / (size_t)p->panels, sweep_block, f);
  }
}
