/* All rows within a radius. SPDX-License-Identifier: MIT
 *
 * The filter of the search with a threshold that stays: the score which a row at the radius has, less what the doubles may be off. Whatever reaches it is decided
 * in double whenever a queue is full, twice: first the rows are counted, then written. */
#include "core/eval/knn_parts.h"

#include <lsengine/pool.h>

#include <float.h>
#include <math.h>

enum { FEW_QUERIES = 8, FEW_ROWS = 256, QUEUE = 448, BLOCK = 64 };

typedef struct range_job {
  const ls_knn *index;
  ls_cmat queries;
  const int64_t *self, *start;
  double radius;
  int64_t *counts, *rows;
  ls_neighbour *found; /* as many as there are rows found, or NULL: they are counted */
  float *distances;
  int32_t first; /* query of the filter */
} range_job;

/* Of some rows those within the radius. */
static void take(range_job *j, size_t i, size_t count, const int32_t *rows, int32_t first) {
  const float *query = j->queries.data + (ptrdiff_t)i * j->queries.stride;
  ls_neighbour next[BLOCK];
  for (size_t at = 0; at < count; at += BLOCK) {
    size_t some = count - at < BLOCK ? count - at : BLOCK;
    ls_knn_values(j->index, query, some, rows != NULL ? rows + at : NULL, first + (int32_t)at, next);
    for (size_t l = 0; l < some; l++) {
      double distance = ls_knn_distance(j->index->metric, next[l].value);
      if (j->self != NULL && next[l].row == j->self[i]) continue;
      if (!(j->index->metric == LS_METRIC_INNER_PRODUCT ? distance >= j->radius : distance <= j->radius)) continue;
      if (j->found != NULL) j->found[j->start[i] + j->counts[i]] = next[l];
      j->counts[i]++;
    }
  }
}

static void full(ls_knn_filter *f, size_t i) {
  range_job *j = f->context;
  ls_knn_queue *q = &f->queue[i];
  for (int32_t c = 0; c < q->count; c++) q->row[c] = f->index->order[q->row[c]];
  take(j, (size_t)j->first + i, (size_t)q->count, q->row, 0);
  q->count = 0;
}

/* The score at the radius, from below: d² = (|a|² - 2s)/scale², cosine's distance is half of that; of products, q·x = s/(scales) + q·centre. */
static float threshold_of(const range_job *j, const ls_knn_query *q, const float *query) {
  const ls_knn *index = j->index;
  double score, off = q->slack;
  if (index->metric == LS_METRIC_INNER_PRODUCT) {
    double offset = 0.0, size = 0.0;
    for (int32_t f = 0; f < index->base.cols; f++) {
      offset += (double)query[f] * index->centre[f];
      size += fabs((double)query[f] * index->centre[f]);
    }
    score = (j->radius - offset) * q->scale * index->scale;
    off += ((index->base.cols + 8) * size + fabs(j->radius)) * 0x1p-50 * q->scale * index->scale;
  } else {
    double reach = j->radius < 0.0 ? 0.0 : index->metric == LS_METRIC_L2 ? j->radius * j->radius : 2.0 * j->radius;
    double square = q->norm * q->norm, cut = reach * index->scale * index->scale;
    score = 0.5 * (square - cut);
    off += (square + cut) * ((index->base.cols + 8) * 0x1p-50 + 4e-9); /* norms are rounded up by 1e-9 */
  }
  score -= 2.0 * off;
  if (isnan(score) || score < -1e38) return -1e38f; /* everything is looked at */
  return nextafterf(nextafterf(score > 1e38 ? 1e38f : (float)score, -INFINITY), -INFINITY);
}

static void finish_query(void *argument, size_t i) {
  ls_knn_filter *f = argument;
  range_job *j = f->context;
  if (f->query[i].failed)
    take(j, (size_t)j->first + i, (size_t)j->index->base.rows, NULL, 0);
  else
    full(f, i);
}

static void by_rows(void *argument, size_t i) {
  range_job *j = argument;
  take(j, i, (size_t)j->index->base.rows, NULL, 0);
}

static bool is_direct(const ls_knn *index, int32_t queries) { return !index->fast || queries < FEW_QUERIES || index->base.rows < FEW_ROWS; }

static ls_knn_plan plan_of(const ls_knn *index, int32_t queries) { return ls_knn_make_plan(index, queries, QUEUE, ls_knn_first_tiles()); }

size_t ls_knn_range_filter_scratch(const ls_knn *index, int32_t queries) {
  if (is_direct(index, queries)) return 0;
  ls_knn_plan p = plan_of(index, queries);
  return ls_knn_filter_memory(index, &p, NULL, NULL);
}

/* Counts, and where there is room for them writes, the rows of every query. */
static void find(range_job *j, void *scratch) {
  for (int32_t i = 0; i < j->queries.rows; i++) j->counts[i] = 0;
  if (is_direct(j->index, j->queries.rows)) {
    ls_parallel(LS_SITE_NEIGHBOURS, (size_t)j->queries.rows, by_rows, j);
    return;
  }
  ls_knn_plan p = plan_of(j->index, j->queries.rows);
  ls_knn_filter f = {.index = j->index, .plan = &p, .full = full, .context = j};
  ls_knn_filter_memory(j->index, &p, scratch, &f);
  for (j->first = 0; j->first < j->queries.rows; j->first += p.together) {
    f.count = j->queries.rows - j->first < p.together ? j->queries.rows - j->first : p.together;
    f.queries = (ls_cmat){j->queries.data + j->first * j->queries.stride, f.count, j->queries.cols, j->queries.stride};
    ls_knn_filter_begin(&f);
    for (int32_t i = 0; i < f.count; i++)
      if (!f.query[i].failed) f.threshold[i] = threshold_of(j, &f.query[i], ls_knn_filter_query(&f, (size_t)i));
    ls_knn_filter_run(&f);
    ls_parallel(LS_SITE_NEIGHBOURS, (size_t)f.count, finish_query, &f);
  }
}

static void sort_query(void *argument, size_t i) {
  range_job *j = argument;
  ls_neighbour *v = j->found + j->start[i];
  ls_neighbours_sort(v, (size_t)j->counts[i]);
  for (int64_t l = 0; l < j->counts[i]; l++) {
    j->distances[j->start[i] + l] = (float)ls_knn_distance(j->index->metric, v[l].value);
    j->rows[j->start[i] + l] = v[l].row;
  }
}

static ls_status check(const ls_knn *index, ls_cmat queries, double radius, const int64_t *self, ls_err *err) {
  if (isnan(radius)) return ls_fail(err, LS_ERANGE, "radius is NaN, a number is required");
  return ls_knn_check_queries(index, queries, self, err);
}

ls_status ls_knn_range_count(const ls_knn *index, ls_cmat queries, double radius, const int64_t *self, void *scratch, int64_t *counts, ls_err *err) {
  ls_status status = check(index, queries, radius, self, err);
  if (status != LS_OK) return status;
  range_job j = {.index = index, .queries = queries, .self = self, .radius = radius, .counts = counts};
  find(&j, scratch);
  return LS_OK;
}

size_t ls_knn_range_scratch(const ls_knn *index, int32_t queries, int64_t found) {
  return ls_padded((size_t)found * sizeof(ls_neighbour)) + ls_padded((size_t)queries * sizeof(int64_t)) + ls_knn_range_filter_scratch(index, queries);
}

ls_status ls_knn_range(const ls_knn *index, ls_cmat queries, double radius, const int64_t *self, const int64_t *start, int64_t found, void *scratch,
                       float *distances, int64_t *rows, ls_err *err) {
  ls_status status = check(index, queries, radius, self, err);
  if (status != LS_OK) return status;
  char *at = scratch;
  range_job j = {.index = index, .queries = queries, .self = self, .start = start, .radius = radius, .rows = rows, .found = scratch, .distances = distances};
  at += ls_padded((size_t)found * sizeof(ls_neighbour));
  j.counts = (int64_t *)(void *)at;
  at += ls_padded((size_t)queries.rows * sizeof(int64_t));
  find(&j, at);
  ls_parallel(LS_SITE_NEIGHBOURS, (size_t)queries.rows, sort_query, &j);
  return LS_OK;
}
