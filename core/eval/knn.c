/* Exact nearest neighbours: candidates by bounded products, order in double. SPDX-License-Identifier: MIT
 *
 * Up to three stages, each for the queries that the one before could not decide: tiles of bfloat16 or of 16-bit integers, whichever are the faster, tiles of float32,
 * all rows in double. A row stays while its upper bound s~ + e reaches T, T the k-th largest lower bound s~ - e among the rows seen, less what the doubles
 * that decide in the end may themselves be off. A query fails in a stage where more rows stay than it has places for.
 *
 * Memory: the base is packed in chunks of 32 MB, queries are taken as many at once as 64 MB hold with their candidates. */
#include "core/eval/knn_parts.h"
#include "core/kernels/kernels.h"

#include <lsengine/pool.h>

#include <math.h>
#include <string.h>

enum { FEW_QUERIES = 8, FEW_ROWS = 256, FINISHED_TOGETHER = 16 };

typedef struct search_job {
  const ls_knn *index;
  ls_cmat queries;
  const int64_t *self;
  int32_t k;
  ls_knn_filter *filter;
  const int32_t *which; /* queries of this stage that are taken at once */
  int32_t count;
  ls_neighbour *found; /* for each thread of the pool */
  size_t found_step;
  ls_mat distances;
  int64_t *rows;
} search_job;

/* What a search is made of: stages, and the scratch that is theirs in turn. */
typedef struct search_plan {
  ls_knn_plan stage[2];
  int stages;
  size_t filter_bytes, found, pending; /* bytes, bytes, bytes */
} search_plan;

/* One more than k for the query's own row. */
static size_t most_candidates(int32_t k, bool wide) {
  size_t wanted = (size_t)k + 1;
  return wanted + (wide ? (wanted < 64 ? 192 : 3 * wanted) : (wanted < 64 ? 128 : 2 * wanted));
}

static search_plan make_plan(const ls_knn *index, int32_t queries, int32_t k) {
  search_plan p = {0};
  size_t most = (size_t)k;
  bool direct = !index->fast || queries < FEW_QUERIES || index->base.rows < FEW_ROWS || k > index->base.rows / 4;
  for (int first = ls_knn_first_tiles() != LS_KNN_FLOAT; !direct && first >= 0; first--) {
    ls_knn_plan *stage = &p.stage[p.stages++];
    *stage = ls_knn_make_plan(index, queries, most_candidates(k, first), first ? ls_knn_first_tiles() : LS_KNN_FLOAT);
    size_t bytes = ls_knn_filter_memory(index, stage, NULL, NULL);
    p.filter_bytes = bytes > p.filter_bytes ? bytes : p.filter_bytes;
    most = stage->capacity > most ? stage->capacity : most;
  }
  p.found = ls_padded(most * sizeof(ls_neighbour));
  p.pending = ls_padded((size_t)queries * sizeof(int32_t));
  return p;
}

size_t ls_knn_search_scratch(const ls_knn *index, int32_t queries, int32_t k) {
  search_plan p = make_plan(index, queries, k);
  return p.filter_bytes + (size_t)ls_pool_threads() * p.found + p.pending;
}

/* Drops the candidates that k others are surely nearer than, and raises the threshold. */
static void thin(ls_knn_filter *f, size_t i) {
  const search_job *j = f->context;
  ls_knn_queue *q = &f->queue[i];
  bool wide = f->plan->tiles != LS_KNN_FLOAT;
  ls_knn_thinning t = {.queue = q, .k = j->k + (j->self != NULL), .size = wide ? f->size : f->index->norm, .rest = wide ? f->rest : NULL, .error = f->query[i].error,
                       .above = wide ? 1.00001f : 0.0f, .below = wide ? 1.00001f : 2.1f, .slack = (float)(2.0 * f->query[i].slack),
                       .spare = f->spare + (size_t)ls_pool_index() * f->spare_step};
  if (f->query[i].failed || q->count <= t.k) return;
  f->threshold[i] = ls_kernels_now()->knn->thin(&t);
  if (q->capacity - q->count < LS_KNN_SPARE + q->capacity / 8) {
    f->query[i].failed = true;
    f->threshold[i] = INFINITY;
    q->count = 0;
  }
}

static void answer(const search_job *j, int32_t query, const ls_neighbour *found) {
  float *distances = j->distances.data + query * j->distances.stride;
  int64_t *rows = j->rows + (size_t)query * (size_t)j->k;
  for (int32_t n = 0; n < j->k; n++) {
    distances[n] = (float)ls_knn_distance(j->index->metric, found[n].value);
    rows[n] = found[n].row;
  }
}

static int64_t self_of(const search_job *j, int32_t query) { return j->self != NULL ? j->self[query] : -1; }

static void finish_filtered(search_job *j, size_t i) {
  ls_knn_filter *f = j->filter;
  ls_knn_queue *q = &f->queue[i];
  ls_neighbour *found = j->found + (size_t)ls_pool_index() * j->found_step;
  int32_t query = j->which[i], kept = 0;
  int64_t self = self_of(j, query);
  thin(f, i);
  if (f->query[i].failed) return;
  for (int32_t c = 0; c < q->count; c++) {
    q->row[kept] = j->index->order[q->row[c]];
    kept += q->row[kept] != self;
  }
  q->count = kept;
  ls_knn_values(j->index, ls_knn_filter_query(f, i), (size_t)kept, q->row, 0, found);
  ls_neighbours_sort(found, (size_t)kept);
  answer(j, query, found);
}

static void finish_exact(search_job *j, size_t i) {
  ls_neighbour *found = j->found + (size_t)ls_pool_index() * j->found_step;
  int32_t query = j->which[i];
  ls_knn_exact(j->index, j->queries.data + query * j->queries.stride, j->k, self_of(j, query), found);
  answer(j, query, found);
}

static void finish_block(void *argument, size_t block) {
  search_job *j = argument;
  size_t i = block * FINISHED_TOGETHER, end = i + FINISHED_TOGETHER < (size_t)j->count ? i + FINISHED_TOGETHER : (size_t)j->count;
  for (; i < end; i++) (j->filter != NULL ? finish_filtered : finish_exact)(j, i);
}

static void finish(search_job *j) { ls_parallel(LS_SITE_NEIGHBOURS, ((size_t)j->count + FINISHED_TOGETHER - 1) / FINISHED_TOGETHER, finish_block, j); }

/* The pending queries by a filter; returns how many are left, in front. */
static int32_t filter_stage(search_job *j, const ls_knn_plan *plan, void *memory, int32_t *pending, int32_t count, ls_knn_effort *effort) {
  ls_knn_filter f = {.index = j->index, .plan = plan, .queries = j->queries, .full = thin, .context = j};
  int32_t left = 0;
  ls_knn_filter_memory(j->index, plan, memory, &f);
  j->filter = &f;
  for (int32_t first = 0; first < count; first += plan->together) {
    j->which = f.which = pending + first;
    j->count = f.count = count - first < plan->together ? count - first : plan->together;
    ls_knn_filter_begin(&f);
    ls_knn_filter_run(&f);
    finish(j);
    int32_t taken = j->count;
    for (int32_t i = 0; i < taken; i++) {
      if (f.query[i].failed)
        pending[left++] = pending[first + i];
      else
        effort->candidates += f.queue[i].count;
      effort->overflowed += f.query[i].failed && f.query[i].norm < 0x1p60;
    }
  }
  return left;
}

ls_status ls_knn_search(const ls_knn *index, ls_cmat queries, int32_t k, const int64_t *self, void *scratch, ls_mat distances, int64_t *rows,
                        ls_knn_effort *effort, ls_err *err) {
  int32_t most = index->base.rows - (self != NULL);
  if (k < 1 || k > most)
    return ls_fail(err, LS_ERANGE, "k is %d, allowed is 1 to %d: the base has %d rows%s", k, most, index->base.rows, self != NULL ? ", the query's own is left out" : "");
  if (distances.rows != queries.rows || distances.cols != k)
    return ls_fail(err, LS_ESHAPE, "distances are %dx%d, %dx%d is required", distances.rows, distances.cols, queries.rows, k);
  ls_status status = ls_knn_check_queries(index, queries, self, err);
  if (status != LS_OK) return status;
  search_plan p = make_plan(index, queries.rows, k);
  char *at = scratch;
  search_job j = {.index = index, .queries = queries, .self = self, .k = k, .distances = distances, .rows = rows, .found_step = p.found / sizeof(ls_neighbour)};
  ls_knn_effort done = {0};
  int32_t *pending = (int32_t *)(void *)at, left = queries.rows;
  at += p.pending;
  j.found = (ls_neighbour *)(void *)at;
  at += (size_t)ls_pool_threads() * p.found;
  for (int32_t i = 0; i < left; i++) pending[i] = i;
  for (int stage = 0; stage < p.stages && left > 0; stage++) {
    if (stage > 0) done.retried += left;
    done.overflowed = 0; /* counted where they go to the doubles */
    left = filter_stage(&j, &p.stage[stage], at, pending, left, &done);
  }
  j.filter = NULL;
  j.which = pending;
  j.count = left;
  finish(&j);
  done.exact = left;
  if (effort != NULL) *effort = done;
  return LS_OK;
}
