/* The first places by candidates: not all scores are kept. SPDX-License-Identifier: MIT
 *
 * Rows drawn evenly over the order by labels come first in the packed order. A query's scores with these say nearly where the last of its first places lies: the place in the
 * sample is taken 2 deviations lower, so that some queries in a thousand have fewer rows from there on than they want, and are swept again, each by itself. Of all others
 * the tiles keep what is within reach of that score, or might be a twin. So panels of queries share what is read of the packed rows, since scores take no room, and
 * nothing is written that is not wanted. A query with too few candidates then, or with too many, is left to the next stage.
 *
 * Why they suffice: `top` candidates, but the query's own row, have a score of `least` (ls_rank_fn of candidates counts them), and all rows with fl(least - reach) are
 * candidates: those below are surely behind the first `top`. The bound is raised among the candidates, never lowered. */
#include "core/eval/retrieval_tiles.h"
#include "core/kernels/kernels.h"

#include <lsengine/pool.h>

#include <math.h>

enum { DRAWN = 1024, QUEUES = 1 << 20, LEAST_SHARE = 8 };
#define DEVIATIONS 2.0f
#define LAST_DEVIATIONS 8.0f

/* A thread's memory. */
typedef struct slot_parts {
  float *scores; /* of a panel of queries with the rows drawn */
  float *score;  /* queues */
  int32_t *place;
  ls_ranked *query;
  ls_rank_room room[2];
} slot_parts;

static int32_t step_of(int32_t rows) { return rows / DRAWN; }

/* Panels of rows that hold those drawn. */
static size_t drawn_panels(const ls_knn *gallery, const ls_knn_plan *p) {
  size_t step = (size_t)step_of(gallery->base.rows), drawn = ((size_t)gallery->base.rows + step - 1) / step;
  return (drawn + (size_t)p->tile_rows - 1) / (size_t)p->tile_rows;
}

/* Candidates of a query. An odd number of lines: queues start in different sets of the caches. */
static int32_t room_for(const ls_knn *gallery, const ls_knn_plan *p, int32_t most) {
  int32_t drawn = (int32_t)drawn_panels(gallery, p) * p->tile_rows, wanted = 2 * most + 256;
  return ((wanted > drawn ? wanted : drawn) + LS_KNN_SPARE + 31) / 32 * 32 + 16;
}

static size_t panels_of(const ls_knn_plan *p, int32_t room) {
  size_t panels = QUEUES / ((size_t)room * 8 * (size_t)p->tile_queries);
  return panels < LS_KNN_PANELS ? panels : LS_KNN_PANELS;
}

bool ls_rank_has_candidates(const ls_knn *gallery, const ls_knn_plan *p, int32_t most) {
  int32_t n = gallery->base.rows;
  return p->tiles <= LS_KNN_SHORT && n >= 4 * DRAWN && most > 0 && most <= n / LEAST_SHARE && panels_of(p, room_for(gallery, p, most)) > 0;
}

static size_t lay_out_slot(const ls_knn *gallery, const ls_knn_plan *p, int32_t room, char *memory, slot_parts *s) {
  size_t used = 0, columns = drawn_panels(gallery, p) * (size_t)p->tile_rows, wide = (size_t)p->tile_queries;
#define PART(field, bytes)                                                                                               \
  if (s != NULL) s->field = (void *)(memory + used);                                                                     \
  used += ls_padded(bytes)
  PART(scores, wide * columns * sizeof(float));
  PART(score, QUEUES / 2);
  PART(place, QUEUES / 2);
  PART(query, LS_KNN_PANELS * wide * sizeof(ls_ranked));
#undef PART
  for (int i = 0; i < 2; i++) used += ls_rank_lay_out(room, s != NULL ? memory + used : NULL, s != NULL ? &s->room[i] : NULL);
  return used;
}

size_t ls_rank_candidates_slot(const ls_knn *gallery, const ls_knn_plan *p) {
  int32_t room = QUEUES / (8 * p->tile_queries), most = gallery->base.rows / LEAST_SHARE; /* the most that leave room for a panel */
  if (!ls_rank_has_candidates(gallery, p, 1)) return 0;
  if (room_for(gallery, p, most) < room) room = room_for(gallery, p, most);
  return lay_out_slot(gallery, p, room, NULL, NULL);
}

/* The order in which rows are packed, and the room for their scores. */
void ls_rank_draw_rows(ls_rank_job *r, int32_t most) {
  int32_t n = r->job->gallery->base.rows, drawn = 0;
  r->step = step_of(n);
  r->drawn = (n + r->step - 1) / r->step;
  r->room = room_for(r->job->gallery, r->filter.plan, most);
  for (int32_t i = 0; i < n; i++) {
    bool draws = i % r->step == 0;
    r->drawn_order[draws ? drawn : r->drawn + i - drawn] = r->order[i];
    drawn += draws;
  }
  r->filter.order = r->drawn_order;
}

/* No room for candidates. */
static void overflow(ls_knn_filter *f, size_t i) {
  f->threshold[i] = INFINITY;
  f->query[i].failed = true;
  f->queue[i].count = 0;
}

/* What a query wants: its threshold, and candidates among the first rows, of which these are the scores. */
static void begin(ls_rank_job *r, size_t i, float deviations, float *score, ls_ranked *q) {
  ls_knn_filter *f = &r->filter;
  ls_knn_queue *queue = &f->queue[i];
  int32_t columns = (int32_t)drawn_panels(f->index, f->plan) * f->plan->tile_rows;
  if (!ls_rank_open(r, i, q) || q->rank.top < 1) {
    overflow(f, i);
    return;
  }
  if (q->rank.self >= 0 && q->rank.self < columns) score[q->rank.self] = -1e38f;
  ls_rank_draw draw = {.score = score, .drawn = r->drawn, .count = columns, .rows = q->rank.count, .top = q->rank.top, .deviations = deviations, .reach = q->rank.reach,
                       .twin = nextafterf((float)q->twin, -INFINITY), .kept = queue->score, .kept_row = queue->row};
  queue->count = ls_kernels_now()->knn->rank_draw(&draw);
  f->threshold[i] = draw.threshold;
  q->rank.least = draw.least;
  if (queue->capacity - queue->count < LS_KNN_SPARE) overflow(f, i);
}

/* Ranks the candidates; false where others than these may matter, or the doubts are too many. */
static bool rank_candidates(const ls_rank_job *r, ls_ranked *q, const ls_rank_room *room) {
  const ls_knn_queue *queue = &r->filter.queue[q->i];
  ls_rank_give(q, room);
  q->rank.score = queue->score;
  q->rank.place = queue->row;
  q->rank.count = queue->count;
  q->doubts = ls_kernels_now()->knn->rank_candidates(&q->rank);
  return q->doubts >= 0 && q->doubts <= r->most_doubts && ls_rank_sift(r, q);
}

/* A query that had too few candidates, by itself: the others of its panel want nothing more. */
static void try_again(ls_rank_job *r, size_t i, const slot_parts *s, ls_ranked *q) {
  ls_knn_filter *f = &r->filter;
  size_t wide = (size_t)f->plan->tile_queries, panel = i / wide, drawn = drawn_panels(f->index, f->plan), columns = drawn * (size_t)f->plan->tile_rows;
  for (size_t l = 0; l < wide; l++) f->threshold[panel * wide + l] = INFINITY;
  ls_knn_filter_scores(f, panel, 1, drawn, s->scores, columns);
  begin(r, i, LAST_DEVIATIONS, s->scores + (i - panel * wide) * columns, q);
  ls_knn_filter_sweep(f, panel, 1, drawn);
  r->failed[i] = f->query[i].failed || !rank_candidates(r, q, &s->room[0]);
  if (!r->failed[i]) ls_rank_close(r, q);
}

/* A query's doubts are decided after the next one's places are found: the rows that they want are on their way then. */
static void rank_all(ls_rank_job *r, size_t first, size_t end, const slot_parts *s) {
  ls_ranked *before = NULL;
  for (size_t i = first; i < end; i++) {
    ls_ranked *q = &s->query[i - first];
    r->failed[i] = r->filter.query[i].failed || !rank_candidates(r, q, &s->room[i % 2]);
    if (before != NULL) ls_rank_close(r, before);
    before = r->failed[i] ? NULL : q;
  }
  if (before != NULL) ls_rank_close(r, before);
  for (size_t i = first; i < end; i++)
    if (!r->filter.query[i].failed && s->query[i - first].doubts < 0) try_again(r, i, s, &s->query[i - first]);
}

static void rank_block(void *argument, size_t block) {
  ls_rank_job *r = argument;
  ls_knn_filter *f = &r->filter;
  size_t wide = (size_t)f->plan->tile_queries, together = panels_of(f->plan, r->room), first = block * together, all = ((size_t)f->count + wide - 1) / wide;
  size_t panels = all - first < together ? all - first : together, drawn = drawn_panels(f->index, f->plan), columns = drawn * (size_t)f->plan->tile_rows;
  size_t end = (first + panels) * wide < (size_t)f->count ? (first + panels) * wide : (size_t)f->count;
  slot_parts s;
  lay_out_slot(f->index, f->plan, r->room, r->slots + (size_t)ls_pool_index() * r->slot, &s);
  for (size_t panel = first; panel < first + panels; panel++) {
    ls_knn_filter_scores(f, panel, 1, drawn, s.scores, columns);
    for (size_t l = 0, i = panel * wide; l < wide; l++, i++) {
      size_t at = i - first * wide;
      f->queue[i] = (ls_knn_queue){.score = s.score + at * (size_t)r->room, .row = s.place + at * (size_t)r->room, .capacity = r->room};
      if (i < end) begin(r, i, DEVIATIONS, s.scores + l * columns, &s.query[at]);
    }
  }
  ls_knn_filter_sweep(f, first, panels, drawn);
  rank_all(r, first * wide, end, &s);
}

void ls_rank_by_candidates(ls_rank_job *r) {
  size_t each = panels_of(r->filter.plan, r->room) * (size_t)r->filter.plan->tile_queries;
  r->filter.full = overflow;
  ls_parallel(LS_SITE_NEIGHBOURS, ((size_t)r->filter.count + each - 1) / each, rank_block, r);
}
