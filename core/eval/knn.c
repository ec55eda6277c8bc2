/* Exact nearest neighbours: candidates in float32, order in double. SPDX-License-Identifier: MIT
 *
 * With b = scale · (x - centre) and a likewise of the query (of inner products: a = a power of two times the query), a row is nearer the smaller
 *   s = |b|²/2 - a·b   (l2, cosine of normalised rows)   or   s = -a·b   (inner product).
 * In float32, u = 2^-24, d features: rounding a and b moves a·b by at most 2u|a||b|, adding up d products to a start of -|b|²/2 by at most
 * (d+2)u / (1-(d+2)u) · (|a||b| + |b|²/2) (Higham 2002, section 3.1). So with g = 1.01 (d + 8) u
 *   |s~ - s| <= e = g (|a||b| + |b|²/2).
 * The tile computes -(s~ - e): g|b| is one more feature of the row, whose partner is |a|, and g|b|²/2 is in the start. A row stays as long as
 * s~ - e <= T, T the k-th smallest s~ + e among the rows seen, plus what the doubles that decide in the end may themselves be off.
 *
 * Memory: the base is packed in chunks of 32 MB, queries are taken as many at once as 64 MB hold with their candidates. */
#include "core/eval/knn_parts.h"
#include "core/kernels/kernels.h"

#include <lsengine/pool.h>

#include <float.h>
#include <math.h>
#include <string.h>

enum { FEW_QUERIES = 8, FEW_ROWS = 256, CHUNK = 32 << 20, TOGETHER = 64 << 20 };

/* How a search is laid out: by its sizes and the tile alone. */
typedef struct plan {
  size_t steps, capacity; /* features and the bound; places for candidates of a query */
  int32_t tile_queries, tile_rows, chunk, together, panels;
  bool direct; /* all in double */
} plan;

typedef struct query_state {
  double bound;  /* g|a| */
  double slack;  /* of the doubles, on s */
  bool exact, overflowed;
} query_state;

typedef struct search_job {
  const ls_knn *index;
  const plan *plan;
  ls_cmat queries; /* those taken at once */
  const int64_t *self;
  int32_t k, first_row, chunk_rows;
  float *packed_queries, *packed_rows, *bias, *threshold;
  ls_knn_queue *queue;
  query_state *state;
  ls_neighbour *neighbours;
  ls_mat distances;
  int64_t *rows;
} search_job;

static size_t padded(size_t bytes) { return (bytes + 63) / 64 * 64; }
static size_t up(size_t n, size_t unit) { return (n + unit - 1) / unit * unit; }
static double bound_of(int32_t features) { return 1.01 * (features + 8) * 0x1p-24; }
static float above(double x) { return nextafterf((float)x, INFINITY); }

static plan make_plan(const ls_knn *index, int32_t queries, int32_t k) {
  const ls_knn_kernels *kernels = ls_kernels_now()->knn;
  plan p = {.steps = (size_t)index->base.cols + 1, .tile_queries = kernels->queries, .tile_rows = kernels->rows};
  p.direct = !index->fast || queries < FEW_QUERIES || index->base.rows < FEW_ROWS || k > index->base.rows / 4;
  p.capacity = p.direct ? (size_t)k : up((size_t)k + (size_t)(k < 64 ? 128 : 2 * k) + (size_t)p.tile_rows, 16);
  size_t each = p.capacity * (sizeof(ls_neighbour) + 8) + p.steps * sizeof(float) + sizeof(ls_knn_queue) + sizeof(query_state) + 4;
  size_t together = TOGETHER / each;
  size_t wanted = up((size_t)queries, (size_t)p.tile_queries);
  together = up(together < 1 ? 1 : together, (size_t)p.tile_queries);
  p.together = (int32_t)(together < wanted ? together : wanted);
  size_t chunk = CHUNK / (p.steps * sizeof(float)), all = up((size_t)index->base.rows, (size_t)p.tile_rows);
  chunk = up(chunk < 1 ? 1 : chunk, (size_t)p.tile_rows);
  p.chunk = (int32_t)(chunk < all ? chunk : all);
  int32_t panels = p.together / p.tile_queries;
  p.panels = panels / 8 < 1 ? 1 : panels / 8 < LS_KNN_PANELS ? panels / 8 : LS_KNN_PANELS;
  return p;
}

static size_t lay_out(const plan *p, void *scratch, search_job *j) {
  size_t used = 0, queries = (size_t)p->together;
  char *at = scratch;
#define PART(field, bytes)                                                                                               \
  if (j != NULL) j->field = (void *)(at + used);                                                                         \
  used += padded(bytes)
  PART(neighbours, queries * p->capacity * sizeof(ls_neighbour));
  PART(state, queries * sizeof(query_state));
  if (!p->direct) {
    PART(queue, queries * sizeof(ls_knn_queue));
    PART(threshold, queries * sizeof(float));
    PART(packed_queries, queries * p->steps * sizeof(float));
    PART(packed_rows, (size_t)p->chunk * p->steps * sizeof(float));
    PART(bias, (size_t)p->chunk * sizeof(float));
    size_t lists = padded(queries * p->capacity * 8);
    if (j != NULL)
      for (size_t q = 0; q < queries; q++) {
        j->queue[q].score = (float *)(void *)(at + used + q * p->capacity * 8);
        j->queue[q].row = (int32_t *)(j->queue[q].score + p->capacity);
      }
    used += lists;
  }
#undef PART
  return used;
}

size_t ls_knn_search_scratch(const ls_knn *index, int32_t queries, int32_t k) {
  plan p = make_plan(index, queries, k);
  return lay_out(&p, NULL, NULL);
}

/* A panel of queries: packed, with thresholds that let everything in. */
static void pack_queries(void *argument, size_t panel) {
  search_job *j = argument;
  const ls_knn *index = j->index;
  int32_t wide = j->plan->tile_queries, d = index->base.cols;
  float *to = j->packed_queries + panel * j->plan->steps * (size_t)wide;
  double g = bound_of(d);
  for (int32_t l = 0; l < wide; l++) {
    size_t i = panel * (size_t)wide + (size_t)l;
    ls_knn_queue *queue = &j->queue[i];
    query_state *state = &j->state[i];
    *state = (query_state){0};
    queue->count = 0;
    queue->capacity = (int32_t)j->plan->capacity;
    queue->self = -1;
    j->threshold[i] = INFINITY; /* nothing is kept for queries that only fill the last panel */
    if ((int32_t)i >= j->queries.rows) {
      for (size_t s = 0; s < j->plan->steps; s++) to[s * (size_t)wide + (size_t)l] = 0.0f;
      continue;
    }
    const float *x = j->queries.data + (ptrdiff_t)i * j->queries.stride;
    bool products = index->metric == LS_METRIC_INNER_PRODUCT;
    double factor = index->metric == LS_METRIC_COSINE ? ls_knn_inverse(x, d) : 1.0, scale = index->scale, square = 0.0;
    if (products) {
      for (int32_t f = 0; f < d; f++) square += (double)x[f] * (double)x[f];
      scale = square > 0.0 ? ldexp(1.0, 20 - ilogb(sqrt(square))) : 1.0;
      square = 0.0;
    }
    for (int32_t f = 0; f < d; f++) {
      double v = ((double)x[f] * factor - (products ? 0.0 : index->centre[f])) * scale;
      to[f * wide + l] = (float)v;
      square += v * v;
    }
    double norm = sqrt(square) * (1.0 + 1e-9);
    queue->self = j->self != NULL ? (int32_t)j->self[i] : -1;
    state->bound = g * norm;
    state->slack = (d + 8) * 0x1p-52 * norm * (products ? index->largest : norm) + 0x1p-100 * (1.0 + norm);
    to[d * wide + l] = norm < 0x1p60 ? above(norm) : 0.0f;
    if (norm < 0x1p60) {
      j->threshold[i] = -FLT_MAX;
    } else {
      for (int32_t f = 0; f < d; f++) to[f * wide + l] = 0.0f;
      state->exact = true;
    }
  }
}

static void pack_rows(void *argument, size_t panel) {
  search_job *j = argument;
  const ls_knn *index = j->index;
  int32_t wide = j->plan->tile_rows, d = index->base.cols;
  double g = bound_of(d), square[LS_KNN_MOST_ROWS] = {0}, factor[LS_KNN_MOST_ROWS];
  const float *x[LS_KNN_MOST_ROWS];
  float *to = j->packed_rows + panel * j->plan->steps * (size_t)wide, *bias = j->bias + panel * (size_t)wide;
  int32_t first = j->first_row + (int32_t)panel * wide, n = j->first_row + j->chunk_rows - first;
  for (int32_t l = 0; l < wide; l++) {
    int32_t row = first + (l < n ? l : 0);
    x[l] = index->base.data + row * index->base.stride;
    factor[l] = index->metric == LS_METRIC_COSINE ? index->inverse[row] : 1.0;
  }
  for (int32_t f = 0; f < d; f++, to += wide)
    for (int32_t l = 0; l < wide; l++) {
      double v = ((double)x[l][f] * factor[l] - index->centre[f]) * index->scale;
      to[l] = (float)v;
      square[l] += v * v;
    }
  for (int32_t l = 0; l < wide; l++) {
    to[l] = l < n ? above(g * (double)index->norm[first + l]) : 0.0f;
    bias[l] = l >= n ? -INFINITY : index->metric == LS_METRIC_INNER_PRODUCT ? 0.0f : above(-0.5 * square[l] * (1.0 - g));
  }
}

/* The k-th smallest (k from 1) of n numbers, which change places. */
static float kth_smallest(float *v, int32_t n, int32_t k) {
  int32_t low = 0, high = n - 1;
  k--;
  while (low < high) {
    float a = v[low], b = v[low + (high - low) / 2], c = v[high];
    float pivot = a < b ? (b < c ? b : a < c ? c : a) : (a < c ? a : b < c ? c : b);
    int32_t i = low, h = high;
    while (i <= h) {
      while (v[i] < pivot) i++;
      while (v[h] > pivot) h--;
      if (i <= h) {
        float other = v[i];
        v[i++] = v[h];
        v[h--] = other;
      }
    }
    if (k <= h)
      high = h;
    else if (k >= i)
      low = i;
    else
      break;
  }
  return v[k];
}

/* Drops the candidates that k others are surely nearer than, and lowers the threshold. */
static void compact(void *context, size_t query) {
  search_job *j = context;
  const ls_knn *index = j->index;
  ls_knn_queue *q = &j->queue[query];
  query_state *state = &j->state[query];
  float *upper = (float *)(void *)(j->neighbours + query * j->plan->capacity);
  double g = bound_of(index->base.cols), half = index->metric == LS_METRIC_INNER_PRODUCT ? 0.0 : 0.5 * g;
  if (q->count <= j->k) return;
  for (int32_t i = 0; i < q->count; i++) {
    double norm = (double)index->norm[q->row[i]];
    upper[i] = (float)(2.1 * norm * (state->bound + half * norm) - (double)q->score[i]);
  }
  double worst = (double)kth_smallest(upper, q->count, j->k);
  float threshold = (float)-(worst + 0x1p-22 * fabs(worst) + 2.0 * state->slack); /* 2^-22: the roundings to float on the way */
  int32_t kept = 0;
  for (int32_t i = 0; i < q->count; i++) {
    q->score[kept] = q->score[i];
    q->row[kept] = q->row[i];
    kept += q->score[i] >= threshold;
  }
  q->count = kept;
  j->threshold[query] = threshold;
  if ((size_t)(q->capacity - kept) < (size_t)j->plan->tile_rows + (size_t)q->capacity / 8) {
    state->exact = state->overflowed = true;
    j->threshold[query] = INFINITY;
    q->count = 0;
  }
}

static void sweep_block(void *argument, size_t block) {
  search_job *j = argument;
  size_t wide = (size_t)j->plan->tile_queries, first = block * (size_t)j->plan->panels, all = (size_t)j->queries.rows / wide + ((size_t)j->queries.rows % wide != 0);
  ls_knn_sweep s = {.steps = j->plan->steps,
                    .queries = j->packed_queries + first * wide * j->plan->steps,
                    .panels = all - first < (size_t)j->plan->panels ? all - first : (size_t)j->plan->panels,
                    .rows = j->packed_rows,
                    .bias = j->bias,
                    .row_panels = up((size_t)j->chunk_rows, (size_t)j->plan->tile_rows) / (size_t)j->plan->tile_rows,
                    .first = j->first_row,
                    .threshold = j->threshold + first * wide,
                    .queue = j->queue + first * wide};
  search_job own = *j; /* queries are numbered from the block's first */
  own.threshold = s.threshold;
  own.queue = s.queue;
  own.state += first * wide;
  own.neighbours += first * wide * j->plan->capacity;
  s.full = compact;
  s.context = &own;
  ls_kernels_now()->knn->sweep(&s);
}

static void finish_query(void *argument, size_t i) {
  search_job *j = argument;
  const float *query = j->queries.data + (ptrdiff_t)i * j->queries.stride;
  ls_neighbour *found = j->neighbours + i * j->plan->capacity;
  if (j->plan->direct || j->state[i].exact) {
    ls_knn_exact(j->index, query, j->k, j->self != NULL ? j->self[i] : -1, found);
  } else {
    compact(j, i);
    if (j->state[i].exact) {
      ls_knn_exact(j->index, query, j->k, j->self != NULL ? j->self[i] : -1, found);
    } else {
      ls_knn_values(j->index, query, (size_t)j->queue[i].count, j->queue[i].row, 0, found);
      ls_neighbours_sort(found, (size_t)j->queue[i].count);
    }
  }
  float *distances = j->distances.data + (ptrdiff_t)i * j->distances.stride;
  int64_t *rows = j->rows + i * (size_t)j->k;
  for (int32_t n = 0; n < j->k; n++) {
    distances[n] = (float)ls_knn_distance(j->index->metric, found[n].value);
    rows[n] = found[n].row;
  }
}

static void finish_block(void *argument, size_t block) {
  search_job *j = argument;
  size_t i = block * 16, end = i + 16 < (size_t)j->queries.rows ? i + 16 : (size_t)j->queries.rows;
  for (; i < end; i++) finish_query(j, i);
}

static void search_together(search_job *j, ls_knn_effort *effort) {
  const plan *p = j->plan;
  size_t queries = (size_t)j->queries.rows, wide = (size_t)p->tile_queries, panels = up(queries, wide) / wide;
  if (!p->direct) {
    ls_parallel(LS_SITE_NEIGHBOURS, panels, pack_queries, j);
    for (j->first_row = 0; j->first_row < j->index->base.rows; j->first_row += j->chunk_rows) {
      int32_t left = j->index->base.rows - j->first_row;
      j->chunk_rows = left < p->chunk ? left : p->chunk;
      ls_parallel(LS_SITE_NEIGHBOURS, up((size_t)j->chunk_rows, (size_t)p->tile_rows) / (size_t)p->tile_rows, pack_rows, j);
      ls_parallel(LS_SITE_NEIGHBOURS, up(panels, (size_t)p->panels) / (size_t)p->panels, sweep_block, j);
    }
  }
  ls_parallel(LS_SITE_NEIGHBOURS, up(queries, 16) / 16, finish_block, j);
  for (size_t i = 0; i < queries; i++) {
    bool exact = p->direct || j->state[i].exact;
    effort->exact += exact;
    effort->candidates += exact ? 0 : j->queue[i].count;
    effort->overflowed += !p->direct && j->state[i].overflowed;
  }
}

static ls_status check_queries(const ls_knn *index, ls_cmat queries, const int64_t *self, ls_err *err) {
  if (queries.cols != index->base.cols)
    return ls_fail(err, LS_ESHAPE, "the queries have %d features but the base has %d", queries.cols, index->base.cols);
  for (int32_t i = 0; self != NULL && i < queries.rows; i++)
    if (self[i] < -1 || self[i] >= index->base.rows)
      return ls_fail(err, LS_ERANGE, "the row to be left out for query %d is %lld, the base has rows 1 to %d", i + 1, (long long)self[i] + 1, index->base.rows);
  return ls_knn_check(queries, index->metric, "queries", err);
}

ls_status ls_knn_search(const ls_knn *index, ls_cmat queries, int32_t k, const int64_t *self, void *scratch, ls_mat distances, int64_t *rows,
                        ls_knn_effort *effort, ls_err *err) {
  int32_t most = index->base.rows - (self != NULL);
  if (k < 1 || k > most)
    return ls_fail(err, LS_ERANGE, "k is %d, allowed is 1 to %d: the base has %d rows%s", k, most, index->base.rows, self != NULL ? ", the query's own is left out" : "");
  if (distances.rows != queries.rows || distances.cols != k)
    return ls_fail(err, LS_ESHAPE, "distances are %dx%d, %dx%d is required", distances.rows, distances.cols, queries.rows, k);
  ls_status status = check_queries(index, queries, self, err);
  if (status != LS_OK) return status;
  plan p = make_plan(index, queries.rows, k);
  search_job j = {.index = index, .plan = &p, .k = k};
  ls_knn_effort done = {0};
  lay_out(&p, scratch, &j);
  for (int32_t first = 0; first < queries.rows; first += p.together) {
    int32_t left = queries.rows - first;
    j.queries = (ls_cmat){queries.data + first * queries.stride, left < p.together ? left : p.together, queries.cols, queries.stride};
    j.self = self != NULL ? self + first : NULL;
    j.distances = (ls_mat){distances.data + first * distances.stride, j.queries.rows, k, distances.stride};
    j.rows = rows + (size_t)first * (size_t)k;
    search_together(&j, &done);
  }
  if (effort != NULL) *effort = done;
  return LS_OK;
}

/* ---- all rows within a radius ---- */

typedef struct range_job {
  const ls_knn *index;
  ls_cmat queries;
  const int64_t *self, *start;
  double radius;
  int64_t *counts, *rows;
  ls_neighbour *found; /* as many as there are rows found */
  float *distances;
} range_job;

static void range_query(void *argument, size_t i) {
  range_job *j = argument;
  const float *query = j->queries.data + (ptrdiff_t)i * j->queries.stride;
  ls_neighbour next[64], *to = j->found != NULL ? j->found + j->start[i] : NULL;
  int64_t count = 0;
  int32_t n = j->index->base.rows;
  for (int32_t first = 0; first < n; first += 64) {
    int32_t some = n - first < 64 ? n - first : 64;
    ls_knn_values(j->index, query, (size_t)some, NULL, first, next);
    for (int32_t l = 0; l < some; l++) {
      double distance = ls_knn_distance(j->index->metric, next[l].value);
      if (j->self != NULL && next[l].row == j->self[i]) continue;
      if (!(j->index->metric == LS_METRIC_INNER_PRODUCT ? distance >= j->radius : distance <= j->radius)) continue;
      if (to != NULL) to[count] = next[l];
      count++;
    }
  }
  if (to == NULL) {
    j->counts[i] = count;
    return;
  }
  ls_neighbours_sort(to, (size_t)count);
  for (int64_t l = 0; l < count; l++) {
    j->distances[j->start[i] + l] = (float)ls_knn_distance(j->index->metric, to[l].value);
    j->rows[j->start[i] + l] = to[l].row;
  }
}

size_t ls_knn_range_scratch(int64_t found) { return (size_t)found * sizeof(ls_neighbour); }

static ls_status check_range(const ls_knn *index, ls_cmat queries, double radius, const int64_t *self, ls_err *err) {
  if (isnan(radius)) return ls_fail(err, LS_ERANGE, "radius is NaN, a number is required");
  return check_queries(index, queries, self, err);
}

ls_status ls_knn_range_count(const ls_knn *index, ls_cmat queries, double radius, const int64_t *self, int64_t *counts, ls_err *err) {
  ls_status status = check_range(index, queries, radius, self, err);
  if (status != LS_OK) return status;
  range_job j = {.index = index, .queries = queries, .self = self, .radius = radius, .counts = counts};
  ls_parallel(LS_SITE_NEIGHBOURS, (size_t)queries.rows, range_query, &j);
  return LS_OK;
}

ls_status ls_knn_range(const ls_knn *index, ls_cmat queries, double radius, const int64_t *self, const int64_t *start, void *scratch, float *distances,
                       int64_t *rows, ls_err *err) {
  ls_status status = check_range(index, queries, radius, self, err);
  if (status != LS_OK) return status;
  range_job j = {.index = index, .queries = queries, .self = self, .start = start, .radius = radius, .rows = rows, .found = scratch, .distances = distances};
  ls_parallel(LS_SITE_NEIGHBOURS, (size_t)queries.rows, range_query, &j);
  return LS_OK;
}
