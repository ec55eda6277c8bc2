/* Standing of relevant rows by scores in tiles, doubts decided in double. SPDX-License-Identifier: MIT
 *
 * The gallery is packed in the order of its labels, so that a query's relevant rows stand together. Scores that differ by more than twice their error are in the
 * right order. For every other row only the number of relevant rows nearer than it matters: where some are within reach, the two are compared by sums in double, and
 * where these differ by no more than their rounding, by the values that <lsengine/knn.h> defines. So the counts are those of the values, whatever made the scores.
 *
 * Why nothing else is taken for sure. E = ls_knn_filter_error is above |s~ - s| and what the values' own rounding moves: of |a|² by `slack`, of |b|² by the 1 % that g
 * has beyond its terms. So with reach >= 2E (rounded up to float), s~ - t~ > reach says that s > t by more than both values may be off, and the values stand so, too.
 * No comparison loses by rounding: to the nearest is monotone and leaves floats as they are, so for floats s, t and a float reach, s <= t + reach implies
 * s = fl(s) <= fl(t + reach), and s >= t - reach likewise. That covers
 *   decide: `above` and `below` take in every relevant row that is within reach (and perhaps some that are not, which are compared in double for nothing);
 *   the table (rank_tmpl.c): part_of is made of monotone operations, so every row within reach of a relevant one falls between the parts of fl(t + reach) and
 *     fl(t - reach), which are all marked; and in a part without a mark no relevant row stands, so that those of the parts before are farther off than the reach;
 *   the first places alone: `least` = fl(t - reach), t a score that `top` rows have. A row below it has s < t - reach, and `top` rows are surely nearer.
 * Sums (compared): of terms of one sign, each rounded three times, in any order: off by at most (d + 2) 2^-53 of themselves, the values' sums likewise; `relative` has
 * twice the total. Of products: (d + 1) 2^-53 |q||x| each, the four of them; `absolute` has twice that. Halving a cosine's is exact.
 * tests/core/test_rank.c holds both halves: the scores to E, on every set, and the table to the reach, with scores that are a few units in the last place apart. */
#include "core/eval/retrieval_parts.h"
#include "core/eval/radix_sort.h"
#include "core/kernels/kernels.h"

#include <lsengine/pool.h>

#include <float.h>
#include <math.h>
#include <string.h>

enum { FEW_ROWS = 256, FEW_QUERIES = 8, PACKED = 128 << 20, SLOT = 96 << 20, EFFORT = 8, PANELS = 2, FEW_PLACES = 256, FEW_DOUBTS = 64, AHEAD = 16 };

typedef struct rank_job {
  const ls_retrieval_job *job;
  ls_knn_filter filter;
  int32_t most_doubts;             /* of a query: more are left to the next stage */
  int32_t *order, *place;          /* row of a position, position of a row */
  int64_t *class_of;               /* ascending labels … */
  int32_t *class_start, classes;   /* … and their first positions; one more than classes */
  char *slots;
  size_t slot;
  uint8_t *failed; /* for each query of the filter */
} rank_job;

/* A thread's memory. */
typedef struct slot_parts {
  float *scores, *sorted;
  float *kept;
  int32_t *kept_row, *row, *before, *tied_others, *tied_relevant, *doubtful, *after;
  double *known; /* sums of the sorted rows, NaN until wanted */
  uint16_t *part, *table;
} slot_parts;

static ls_knn_plan plan_of(const ls_knn *gallery, int32_t queries, ls_knn_tiles tiles) { return ls_knn_score_plan(gallery, queries, PACKED, tiles); }

/* Those for the first places of few relevant rows: scores in integers leave thirty times as many orders in doubt, of places that are few. */
static ls_knn_tiles quick_tiles(void) { return ls_knn_first_tiles() == LS_KNN_SHORT ? LS_KNN_SHORT : ls_knn_precise_tiles(); }

static size_t scores_step(const ls_knn_plan *p) { return (size_t)p->chunk + LS_KNN_MOST_ROWS; }

static size_t lay_out_slot(const ls_knn_plan *p, void *memory, slot_parts *s) {
  size_t used = 0, n = (size_t)p->chunk + 64;
  char *at = memory;
#define PART(field, bytes)                                                                                               \
  if (s != NULL) s->field = (void *)(at + used);                                                                         \
  used += ls_padded(bytes)
  PART(scores, PANELS * (size_t)p->tile_queries * scores_step(p) * sizeof(float));
  PART(sorted, n * sizeof(float));
  PART(row, n * sizeof(int32_t));
  PART(before, n * sizeof(int32_t));
  PART(tied_others, n * sizeof(int32_t));
  PART(tied_relevant, n * sizeof(int32_t));
  PART(doubtful, n * sizeof(int32_t));
  PART(after, n * sizeof(int32_t));
  PART(known, n * sizeof(double));
  PART(kept, n * sizeof(float));
  PART(kept_row, n * sizeof(int32_t));
  PART(part, n * sizeof(uint16_t));
  PART(table, (LS_RANK_BUCKETS + 64) * sizeof(uint16_t));
#undef PART
  return used;
}

static size_t lay_out(const ls_knn *gallery, const ls_knn_plan *p, void *memory, rank_job *r) {
  size_t used = 0, n = (size_t)gallery->base.rows;
  char *at = memory;
#define PART(field, bytes)                                                                                               \
  if (r != NULL) r->field = (void *)(at + used);                                                                         \
  used += ls_padded(bytes)
  PART(order, n * sizeof(int32_t));
  PART(place, n * sizeof(int32_t));
  PART(class_of, n * sizeof(int64_t));
  PART(class_start, (n + 1) * sizeof(int32_t));
  PART(failed, (size_t)p->together);
  size_t slot = lay_out_slot(p, NULL, NULL), all = (size_t)ls_pool_threads() * slot;
  size_t sorting = ls_padded(n * 2 * sizeof(uint64_t)) * 2; /* before the slots are used */
  if (r != NULL) r->slot = slot;
  PART(slots, all > sorting ? all : sorting);
#undef PART
  return used + ls_knn_filter_memory(gallery, p, r != NULL ? at + used : NULL, r != NULL ? &r->filter : NULL);
}

bool ls_retrieval_has_tiles(const ls_knn *gallery, int32_t queries) {
  if (!gallery->fast || queries < FEW_QUERIES || gallery->base.rows < FEW_ROWS) return false;
  ls_knn_plan p = plan_of(gallery, queries, ls_knn_precise_tiles());
  return p.chunk >= gallery->base.rows && lay_out_slot(&p, NULL, NULL) <= SLOT / (size_t)ls_pool_threads();
}

size_t ls_retrieval_tiles_bytes(const ls_knn *gallery, int32_t queries) {
  ls_knn_plan p = plan_of(gallery, queries, ls_knn_precise_tiles()), quick = plan_of(gallery, queries, quick_tiles());
  size_t bytes = lay_out(gallery, &p, NULL, NULL), quick_bytes = lay_out(gallery, &quick, NULL, NULL);
  return bytes > quick_bytes ? bytes : quick_bytes;
}

/* ---- the order by labels ---- */

static void sort_by_label(rank_job *r) {
  int32_t n = r->job->gallery->base.rows;
  uint64_t *items = (uint64_t *)(void *)r->slots, *spare = items + 2 * (size_t)n;
  for (int32_t i = 0; i < n; i++) {
    items[2 * i] = (uint64_t)r->job->gallery_labels[i] ^ (uint64_t)1 << 63;
    items[2 * i + 1] = (uint64_t)i;
  }
  items = ls_sort_items(items, spare, (size_t)n, 2, 0);
  r->classes = 0;
  for (int32_t p = 0; p < n; p++) {
    int64_t label = (int64_t)(items[2 * p] ^ (uint64_t)1 << 63);
    if (p == 0 || label != r->class_of[r->classes - 1]) {
      r->class_of[r->classes] = label;
      r->class_start[r->classes++] = p;
    }
    r->order[p] = (int32_t)items[2 * p + 1];
    r->place[r->order[p]] = p;
  }
  r->class_start[r->classes] = n;
}

/* The class of a label, or -1. */
static int32_t find_class(const rank_job *r, int64_t label) {
  int32_t low = 0, high = r->classes - 1;
  while (low < high) {
    int32_t middle = low + (high - low) / 2;
    if (r->class_of[middle] < label)
      low = middle + 1;
    else
      high = middle;
  }
  return r->class_of[low] == label ? low : -1;
}

/* ---- a query ---- */

typedef struct query_view {
  const ls_knn *index;
  const float *x;
  double inverse;
  double relative, absolute; /* of sums in double: what they may be off */
  const int32_t *order;
} query_view;

static double sum_of(const query_view *q, int32_t position) {
  int32_t row = q->order[position];
  return ls_kernels_now()->knn->near(q->index->metric, q->index->base.cols, q->x, q->inverse, q->index->base.data + row * q->index->base.stride,
                                     q->index->inverse != NULL ? q->index->inverse[row] : 1.0);
}

/* Below 0 where the row of the first sum is the nearer, 0 where they tie. */
static int compared(const query_view *q, int32_t a, double sum_a, int32_t b, double sum_b) {
  double difference = sum_a - sum_b;
  if (fabs(difference) > q->relative * (fabs(sum_a) + fabs(sum_b)) + q->absolute) return difference < 0.0 ? -1 : 1;
  int32_t rows[2] = {q->order[a], q->order[b]};
  ls_neighbour v[2];
  ls_knn_values(q->index, q->x, 2, rows, 0, v);
  return v[0].value < v[1].value ? -1 : v[0].value > v[1].value;
}

/* The rows are read in no order: that of a doubt some places ahead, and the relevant one beside it, are asked for in time. */
static void fetch_ahead(const query_view *q, const ls_rank *r, int32_t d) {
  int32_t beside = r->after[d] < r->relevant ? r->after[d] : r->relevant - 1;
  const float *rows[2] = {q->index->base.data + q->order[r->doubtful[d]] * q->index->base.stride, q->index->base.data + q->order[r->row[beside]] * q->index->base.stride};
  for (int32_t j = 0; j < q->index->base.cols; j += 16)
    for (int i = 0; i < 2; i++) __builtin_prefetch(rows[i] + j);
}

/* Counts the doubtful others; false where that would be more work than going through all values. */
static bool decide(const query_view *q, const ls_rank *r, int32_t doubts, slot_parts *s, ls_standing *to) {
  int64_t left = EFFORT * (int64_t)(r->count + r->relevant);
  to->tied = false;
  memset(s->known, 0xff, sizeof *s->known * (size_t)r->relevant);
  for (int32_t d = 0; d < AHEAD && d < doubts; d++) fetch_ahead(q, r, d);
  for (int32_t d = 0; d < doubts; d++) {
    int32_t other = r->doubtful[d], from = r->after[d], nearer, ties = 0;
    if (d + AHEAD < doubts) fetch_ahead(q, r, d + AHEAD);
    float above = r->score[other] + r->reach, below = r->score[other] - r->reach;
    while (from > 0 && r->sorted[from - 1] <= above) from--, left--; /* of a part before */
    while (from < r->relevant && r->sorted[from] > above) from++, left--;
    nearer = from;
    if (from < r->relevant && r->sorted[from] >= below) {
      double sum = sum_of(q, other);
      for (; from < r->relevant && r->sorted[from] >= below; from++, left--) {
        if (isnan(s->known[from])) s->known[from] = sum_of(q, r->row[from]);
        int side = compared(q, r->row[from], s->known[from], other, sum);
        nearer += side < 0;
        ties += side == 0;
      }
    }
    if (left < 0) return false;
    if (ties == 0) {
      r->before[nearer]++;
      continue;
    }
    if (!to->tied) {
      to->tied = true;
      memset(s->tied_others, 0, sizeof *s->tied_others * ((size_t)r->relevant + 2));
    }
    s->tied_others[nearer]++;
    s->tied_relevant[nearer] = ties;
  }
  return true;
}

/* The score that a twin has at least. */
static double twin_score(const rank_job *r, const ls_knn_query *q, const float *x, double error) {
  const ls_knn *index = r->job->gallery;
  double square = q->norm * q->norm, score = 0.0, size = 0.0;
  if (index->metric == LS_METRIC_INNER_PRODUCT) {
    for (int32_t j = 0; j < index->base.cols; j++) {
      double product = (double)x[j] * ((double)x[j] - index->centre[j]);
      score += product;
      size += fabs(product);
    }
    return (score - size * (index->base.cols + 8) * 0x1p-50) * q->scale * index->scale - error;
  }
  double cut = (index->metric == LS_METRIC_L2 ? 1.0 : 2.0) * r->job->near * index->scale * index->scale;
  return 0.5 * (square - cut) - 4e-9 * (square + cut) - error;
}

static bool has_twin(const rank_job *r, const float *x, const float *score, double least, int32_t self) {
  int32_t n = r->job->gallery->base.rows;
  for (int32_t p = 0; p < n; p++) {
    if ((double)score[p] < least || p == self) continue;
    ls_neighbour v;
    ls_knn_values(r->job->gallery, x, 1, &r->order[p], 0, &v);
    if (ls_retrieval_is_twin(r->job, x, v)) return true;
  }
  return false;
}

static bool rank_query(rank_job *r, size_t i, float *score, slot_parts *s) {
  const ls_retrieval_job *job = r->job;
  const ls_knn *index = job->gallery;
  const ls_knn_query *about = &r->filter.query[i];
  int32_t query = r->filter.which[i], class = find_class(r, job->labels[query]), n = index->base.rows;
  int32_t self = job->self != NULL && job->self[query] >= 0 ? r->place[job->self[query]] : -1;
  if (about->failed) return false;
  double error = ls_knn_filter_error(&r->filter, i), d = index->base.cols;
  const float *x = job->queries.data + query * job->queries.stride;
  ls_rank rank = {.score = score, .count = n, .top = n, .reach = nextafterf((float)(2.0 * error), INFINITY), .sorted = s->sorted, .row = s->row, .before = s->before,
                  .doubtful = s->doubtful, .after = s->after, .kept = s->kept, .kept_row = s->kept_row, .part = s->part, .table = s->table};
  if (class >= 0) {
    rank.first = r->class_start[class];
    rank.end = r->class_start[class + 1];
  }
  if (rank.end - rank.first > LS_RANK_MOST) return false;
  ls_standing to = {.relevant = rank.end - rank.first - (self >= rank.first && self < rank.end), .before = s->before, .tied_others = s->tied_others, .tied_relevant = s->tied_relevant};
  if (self >= 0) score[self] = -1e38f;
  if (!job->whole) {
    rank.top = to.relevant;
    for (int32_t a = 0; a < job->at_count; a++) rank.top = job->at[a] > rank.top ? job->at[a] : rank.top;
    if (rank.top > n - (self >= 0)) rank.top = n; /* all others */
  }
  int32_t doubts = ls_kernels_now()->knn->rank(&rank);
  if (doubts > r->most_doubts) return false;
  double least = twin_score(r, about, x, error);
  to.kept = rank.relevant;
  to.twin = ((rank.relevant > 0 && (double)s->sorted[0] >= least) || (double)rank.nearest >= least) && has_twin(r, x, score, least, self);
  query_view view = {.index = index, .x = x, .inverse = index->metric == LS_METRIC_COSINE ? ls_knn_inverse(x, index->base.cols) : 1.0, .order = r->order};
  view.relative = index->metric == LS_METRIC_INNER_PRODUCT ? 0.0 : 4.0 * (d + 4.0) * 0x1p-53;
  view.absolute = index->metric == LS_METRIC_INNER_PRODUCT ? 8.0 * (d + 4.0) * 0x1p-53 * about->norm * index->largest / (about->scale * index->scale) + 0x1p-1000 : 0x1p-1000;
  if (rank.relevant > 0 && !decide(&view, &rank, doubts, s, &to)) return false;
  ls_retrieval_measure(job, query, &to);
  return true;
}

/* Panels together halve what is read of the packed rows; more of them push the scores out of the second cache. */
static void rank_panels(void *argument, size_t block) {
  rank_job *r = argument;
  const ls_knn_plan *p = r->filter.plan;
  size_t wide = (size_t)p->tile_queries, first = block * PANELS, all = ((size_t)r->filter.count + wide - 1) / wide;
  slot_parts s;
  lay_out_slot(p, r->slots + (size_t)ls_pool_index() * r->slot, &s);
  ls_knn_filter_scores(&r->filter, first, all - first < PANELS ? all - first : PANELS, s.scores, scores_step(p));
  for (size_t l = 0, i = first * wide; l < PANELS * wide && i < (size_t)r->filter.count; l++, i++)
    r->failed[i] = !rank_query(r, i, s.scores + l * scores_step(p), &s);
}

/* The `count` queries of a list by tiles of one kind; those left come first in the list then, and their count is returned. */
static int32_t rank_queries(rank_job *r, const ls_knn_plan *p, void *scratch, int32_t *list, int32_t count) {
  ls_knn_filter *f = &r->filter;
  int32_t left = 0;
  *f = (ls_knn_filter){.index = r->job->gallery, .plan = p, .queries = r->job->queries, .chunk_rows = r->job->gallery->base.rows};
  lay_out(r->job->gallery, p, scratch, r);
  f->order = r->order;
  ls_knn_filter_pack_rows(f);
  for (int32_t first = 0; first < count; first += p->together) {
    f->count = count - first < p->together ? count - first : p->together;
    f->which = list + first;
    ls_knn_filter_begin(f);
    ls_parallel(LS_SITE_NEIGHBOURS, ((size_t)f->count + PANELS * (size_t)p->tile_queries - 1) / (PANELS * (size_t)p->tile_queries), rank_panels, r);
    for (int32_t i = 0; i < f->count; i++)
      if (r->failed[i]) list[left++] = list[first + i];
  }
  return left;
}

/* The most places that matter to a query. */
static int32_t most_places(const rank_job *r) {
  int32_t most = r->job->whole ? r->job->gallery->base.rows : 0;
  for (int32_t a = 0; a < r->job->at_count; a++) most = r->job->at[a] > most ? r->job->at[a] : most;
  for (int32_t c = 0; c < r->classes; c++) most = r->class_start[c + 1] - r->class_start[c] > most ? r->class_start[c + 1] - r->class_start[c] : most;
  return most;
}

int32_t ls_retrieval_by_tiles(const ls_retrieval_job *j, void *scratch, int32_t *left) {
  rank_job r = {.job = j, .most_doubts = INT32_MAX};
  int32_t count = j->queries.rows;
  ls_knn_plan p = plan_of(j->gallery, count, ls_knn_precise_tiles()), quick = plan_of(j->gallery, count, quick_tiles());
  for (int32_t i = 0; i < count; i++) left[i] = i;
  lay_out(j->gallery, &p, scratch, &r); /* what the labels give lies at the same place for both plans */
  sort_by_label(&r);
  if (quick.tiles != p.tiles && most_places(&r) <= FEW_PLACES) {
    r.most_doubts = FEW_DOUBTS;
    count = rank_queries(&r, &quick, scratch, left, count);
    r.most_doubts = INT32_MAX;
  }
  return count < FEW_QUERIES ? count : rank_queries(&r, &p, scratch, left, count);
}
