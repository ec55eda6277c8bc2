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
 * Sums are compared in retrieval_decide.c. Where candidates alone are ranked (retrieval_first.c), all rows that may matter are among them, and the same holds.
 * tests/core/test_rank.c holds both halves: the scores to E, on every set, and the table to the reach, with scores that are a few units in the last place apart. */
#include "core/eval/retrieval_tiles.h"
#include "core/eval/radix_sort.h"
#include "core/kernels/kernels.h"

#include <lsengine/pool.h>

#include <string.h>

enum { FEW_ROWS = 256, FEW_QUERIES = 8, PACKED = 128 << 20, SLOT = 96 << 20, PANELS = 2, FEW_PLACES = 256, FEW_DOUBTS = 64 };

static ls_knn_plan plan_of(const ls_knn *gallery, int32_t queries, ls_knn_tiles tiles) { return ls_knn_score_plan(gallery, queries, PACKED, tiles); }

/* Those for the first places of few relevant rows: scores in integers leave thirty times as many orders in doubt, of places that are few. */
static ls_knn_tiles quick_tiles(void) { return ls_knn_first_tiles() == LS_KNN_SHORT ? LS_KNN_SHORT : ls_knn_precise_tiles(); }

static size_t scores_step(const ls_knn_plan *p) { return (size_t)p->chunk + LS_KNN_MOST_ROWS; }

/* A thread's memory. */
typedef struct slot_parts {
  float *scores;
  ls_rank_room room;
} slot_parts;

static size_t lay_out_slot(const ls_knn_plan *p, char *memory, slot_parts *s) {
  size_t scores = ls_padded(PANELS * (size_t)p->tile_queries * scores_step(p) * sizeof(float));
  if (s != NULL) s->scores = (float *)(void *)memory;
  return scores + ls_rank_lay_out(p->chunk, s != NULL ? memory + scores : NULL, s != NULL ? &s->room : NULL);
}

static size_t lay_out(const ls_knn *gallery, const ls_knn_plan *p, void *memory, ls_rank_job *r) {
  size_t used = 0, n = (size_t)gallery->base.rows;
  char *at = memory;
#define PART(field, bytes)                                                                                               \
  if (r != NULL) r->field = (void *)(at + used);                                                                         \
  used += ls_padded(bytes)
  PART(order, n * sizeof(int32_t));
  PART(place, n * sizeof(int32_t));
  PART(drawn_order, n * sizeof(int32_t));
  PART(class_of, n * sizeof(int64_t));
  PART(class_start, (n + 1) * sizeof(int32_t));
  PART(failed, (size_t)p->together);
  size_t slot = lay_out_slot(p, NULL, NULL), candidates = ls_rank_candidates_slot(gallery, p);
  if (candidates > slot) slot = candidates;
  size_t all = (size_t)ls_pool_threads() * slot;
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

static void sort_by_label(ls_rank_job *r) {
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

/* ---- by all scores ---- */

/* Panels together halve what is read of the packed rows; more of them push the scores out of the second cache. */
static void rank_panels(void *argument, size_t block) {
  ls_rank_job *r = argument;
  const ls_knn_plan *p = r->filter.plan;
  size_t wide = (size_t)p->tile_queries, first = block * PANELS, all = ((size_t)r->filter.count + wide - 1) / wide;
  slot_parts s;
  lay_out_slot(p, r->slots + (size_t)ls_pool_index() * r->slot, &s);
  ls_knn_filter_scores(&r->filter, first, all - first < PANELS ? all - first : PANELS, 0, s.scores, scores_step(p));
  for (size_t l = 0, i = first * wide; l < PANELS * wide && i < (size_t)r->filter.count; l++, i++) {
    float *score = s.scores + l * scores_step(p);
    ls_ranked q;
    r->failed[i] = true;
    if (!ls_rank_open(r, i, &q)) continue;
    ls_rank_give(&q, &s.room);
    if (q.rank.self >= 0) score[q.rank.self] = -1e38f;
    q.rank.score = score;
    q.doubts = ls_kernels_now()->knn->rank(&q.rank);
    if (q.doubts > r->most_doubts || !ls_rank_sift(r, &q)) continue;
    r->failed[i] = false;
    ls_rank_close(r, &q);
  }
}

static void rank_by_scores(ls_rank_job *r) {
  size_t each = PANELS * (size_t)r->filter.plan->tile_queries;
  ls_parallel(LS_SITE_NEIGHBOURS, ((size_t)r->filter.count + each - 1) / each, rank_panels, r);
}

/* The `count` queries of a list by tiles of one kind; those left come first in the list then, and their count is returned. most: places that matter, or 0: by all scores. */
static int32_t rank_queries(ls_rank_job *r, const ls_knn_plan *p, int32_t most, void *scratch, int32_t *list, int32_t count) {
  ls_knn_filter *f = &r->filter;
  int32_t left = 0;
  *f = (ls_knn_filter){.index = r->job->gallery, .plan = p, .queries = r->job->queries, .chunk_rows = r->job->gallery->base.rows};
  lay_out(r->job->gallery, p, scratch, r);
  f->order = r->order;
  r->step = 0;
  if (most > 0) ls_rank_draw_rows(r, most);
  ls_knn_filter_pack_rows(f);
  for (int32_t first = 0; first < count; first += p->together) {
    f->count = count - first < p->together ? count - first : p->together;
    f->which = list + first;
    ls_knn_filter_begin(f);
    (most > 0 ? ls_rank_by_candidates : rank_by_scores)(r);
    for (int32_t i = 0; i < f->count; i++)
      if (r->failed[i]) list[left++] = list[first + i];
  }
  return left;
}

/* The most places that matter to a query. */
static int32_t most_places(const ls_rank_job *r) {
  int32_t most = r->job->whole ? r->job->gallery->base.rows : 0;
  for (int32_t a = 0; a < r->job->at_count; a++) most = r->job->at[a] > most ? r->job->at[a] : most;
  for (int32_t c = 0; c < r->classes; c++) most = r->class_start[c + 1] - r->class_start[c] > most ? r->class_start[c + 1] - r->class_start[c] : most;
  return most;
}

int32_t ls_retrieval_by_tiles(const ls_retrieval_job *j, void *scratch, int32_t *left) {
  ls_rank_job r = {.job = j, .most_doubts = INT32_MAX};
  int32_t count = j->queries.rows;
  ls_knn_plan p = plan_of(j->gallery, count, ls_knn_precise_tiles()), quick = plan_of(j->gallery, count, quick_tiles());
  for (int32_t i = 0; i < count; i++) left[i] = i;
  lay_out(j->gallery, &p, scratch, &r); /* what the labels give lies at the same place for both plans */
  sort_by_label(&r);
  int32_t most = most_places(&r);
  const ls_knn_plan *first = quick.tiles != p.tiles && most <= FEW_PLACES ? &quick : &p;
  bool candidates = ls_rank_has_candidates(j->gallery, first, most);
  if (candidates || first == &quick) {
    r.most_doubts = first == &quick ? FEW_DOUBTS : INT32_MAX;
    count = rank_queries(&r, first, candidates ? most : 0, scratch, left, count);
    r.most_doubts = INT32_MAX;
  }
  if (j->by_candidates != NULL) *j->by_candidates = candidates ? j->queries.rows - count : 0;
  return count < FEW_QUERIES ? count : rank_queries(&r, &p, 0, scratch, left, count);
}
