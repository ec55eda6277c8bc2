/* The standing of a query's relevant rows: what is known before its scores, and the doubts that these leave, decided in double. SPDX-License-Identifier: MIT
 *
 * Sums (compared): of terms of one sign, each rounded three times, in any order: off by at most (d + 2) 2^-53 of themselves, the values' sums likewise; `relative` has
 * twice the total. Of products: (d + 1) 2^-53 |q||x| each, the four of them; `absolute` has twice that. Halving a cosine's is exact. */
#include "core/eval/retrieval_tiles.h"
#include "core/kernels/kernels.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { EFFORT = 8, ASKED = 64 };

size_t ls_rank_lay_out(int32_t scores, void *memory, ls_rank_room *room) {
  size_t used = 0, n = (size_t)scores + 64;
  char *at = memory;
#define PART(field, bytes)                                                                                               \
  if (room != NULL) room->field = (void *)(at + used);                                                                   \
  used += ls_padded(bytes)
  PART(sorted, n * sizeof(float));
  PART(row, n * sizeof(int32_t));
  PART(before, n * sizeof(int32_t));
  PART(tied_others, n * sizeof(int32_t));
  PART(tied_relevant, n * sizeof(int32_t));
  PART(doubtful, n * sizeof(int32_t));
  PART(after, n * sizeof(int32_t));
  PART(doubted, n * sizeof(float));
  PART(known, n * sizeof(double));
  PART(kept, n * sizeof(float));
  PART(kept_row, n * sizeof(int32_t));
  PART(part, n * sizeof(uint16_t));
  PART(table, (LS_RANK_BUCKETS + 64) * sizeof(uint16_t));
#undef PART
  return used;
}

/* ---- before the scores ---- */

/* The class of a label, or -1. */
static int32_t find_class(const ls_rank_job *r, int64_t label) {
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

/* The score that a twin has at least. */
static double twin_score(const ls_rank_job *r, const ls_knn_query *q, const float *x, double error) {
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

/* How many of the first positions by labels are drawn. */
static int32_t drawn_before(const ls_rank_job *r, int32_t position) { return (position + r->step - 1) / r->step; }

/* Where positions by labels stand with candidates: relevant rows are two ranges. */
static void turn_to_candidates(const ls_rank_job *r, ls_rank *k) {
  int32_t before = drawn_before(r, k->first), before_end = drawn_before(r, k->end);
  k->drawn = before;
  k->drawn_end = before_end;
  k->first = r->drawn + k->first - before;
  k->end = r->drawn + k->end - before_end;
  if (k->self >= 0) k->self = k->self % r->step == 0 ? k->self / r->step : r->drawn + k->self - drawn_before(r, k->self);
}

bool ls_rank_open(const ls_rank_job *r, size_t i, ls_ranked *q) {
  const ls_retrieval_job *job = r->job;
  int32_t query = r->filter.which[i], class = find_class(r, job->labels[query]), n = job->gallery->base.rows;
  int32_t self = job->self != NULL && job->self[query] >= 0 ? r->place[job->self[query]] : -1;
  if (r->filter.query[i].failed) return false;
  double error = ls_knn_filter_error(&r->filter, i);
  *q = (ls_ranked){.i = i, .rank = {.count = n, .top = n, .self = self, .reach = nextafterf((float)(2.0 * error), INFINITY)}};
  if (class >= 0) {
    q->rank.first = r->class_start[class];
    q->rank.end = r->class_start[class + 1];
  }
  if (q->rank.end - q->rank.first > LS_RANK_MOST) return false;
  q->to.relevant = q->rank.end - q->rank.first - (self >= q->rank.first && self < q->rank.end);
  q->twin = twin_score(r, &r->filter.query[i], job->queries.data + query * job->queries.stride, error);
  if (!job->whole) {
    q->rank.top = q->to.relevant;
    for (int32_t a = 0; a < job->at_count; a++) q->rank.top = job->at[a] > q->rank.top ? job->at[a] : q->rank.top;
    if (q->rank.top > n - (self >= 0)) q->rank.top = n; /* all others */
  }
  if (r->step > 0) turn_to_candidates(r, &q->rank);
  return true;
}

void ls_rank_give(ls_ranked *q, const ls_rank_room *room) {
  ls_rank *k = &q->rank;
  k->sorted = room->sorted;
  k->row = room->row;
  k->before = q->to.before = room->before;
  k->doubtful = room->doubtful;
  k->after = room->after;
  k->doubted = room->doubted;
  k->kept = room->kept;
  k->kept_row = room->kept_row;
  k->part = room->part;
  k->table = room->table;
  q->to.tied_others = room->tied_others;
  q->to.tied_relevant = room->tied_relevant;
  q->known = room->known;
}

/* ---- doubts ---- */

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

static query_view view_of(const ls_rank_job *r, const ls_ranked *q) {
  const ls_knn *index = r->job->gallery;
  const ls_knn_query *about = &r->filter.query[q->i];
  double d = index->base.cols;
  query_view view = {.index = index, .x = ls_knn_filter_query(&r->filter, q->i), .inverse = 1.0, .order = r->filter.order, .absolute = 0x1p-1000};
  if (index->metric == LS_METRIC_INNER_PRODUCT)
    view.absolute += 8.0 * (d + 4.0) * 0x1p-53 * about->norm * index->largest / (about->scale * index->scale);
  else
    view.relative = 4.0 * (d + 4.0) * 0x1p-53;
  if (index->metric == LS_METRIC_COSINE) view.inverse = ls_knn_inverse(view.x, index->base.cols);
  return view;
}

/* Rows are read in no order: those of the first doubts are asked for here. */
static void ask_for(const query_view *q, int32_t position) {
  const float *row = q->index->base.data + q->order[position] * q->index->base.stride;
  for (int32_t j = 0; j < q->index->base.cols; j += 16) __builtin_prefetch(row + j);
}

bool ls_rank_sift(const ls_rank_job *r, ls_ranked *ranked) {
  ls_rank *k = &ranked->rank;
  query_view q = {.index = r->job->gallery, .order = r->filter.order};
  int32_t doubts = 0;
  if (k->relevant == 0) return true;
  ranked->effort = EFFORT * (int64_t)(k->count + k->relevant);
  k->sorted[k->relevant] = -INFINITY;
  for (int32_t d = 0; d < ranked->doubts; d++) {
    int32_t from = k->after[d], end;
    float above = k->doubted[d] + k->reach, below = k->doubted[d] - k->reach;
    while (from > 0 && k->sorted[from - 1] <= above) from--; /* of a part before */
    from += k->sorted[from] > above;                         /* which is as likely as not */
    while (k->sorted[from] > above) from++;
    for (end = from; k->sorted[end] >= below; end++)
      if (doubts < ASKED) ask_for(&q, k->row[end]);
    if (end == from) {
      k->before[from]++;
      continue;
    }
    ranked->effort -= end - from + abs(from - k->after[d]);
    if (ranked->effort < 0) return false;
    if (doubts < ASKED) ask_for(&q, k->doubtful[d]);
    k->doubtful[doubts] = k->doubtful[d];
    k->after[doubts] = from;
    k->doubted[doubts++] = below;
  }
  ranked->doubts = doubts;
  return true;
}

/* Counts the doubtful others. */
static void decide(const query_view *q, ls_ranked *ranked) {
  const ls_rank *r = &ranked->rank;
  ls_standing *to = &ranked->to;
  double *known = ranked->known;
  to->tied = false;
  if (ranked->doubts > 0) memset(known, 0xff, sizeof *known * (size_t)r->relevant);
  for (int32_t d = 0; d < ranked->doubts; d++) {
    int32_t other = r->doubtful[d], from = r->after[d], nearer = from, ties = 0;
    double sum = sum_of(q, other);
    for (; from < r->relevant && r->sorted[from] >= r->doubted[d]; from++) {
      if (isnan(known[from])) known[from] = sum_of(q, r->row[from]);
      int side = compared(q, r->row[from], known[from], other, sum);
      nearer += side < 0;
      ties += side == 0;
    }
    if (ties == 0) {
      r->before[nearer]++;
      continue;
    }
    if (!to->tied) {
      to->tied = true;
      memset(to->tied_others, 0, sizeof *to->tied_others * ((size_t)r->relevant + 2));
    }
    to->tied_others[nearer]++;
    to->tied_relevant[nearer] = ties;
  }
}

static bool has_twin(const ls_rank_job *r, const ls_ranked *q) {
  const ls_rank *k = &q->rank;
  const float *x = ls_knn_filter_query(&r->filter, q->i);
  for (int32_t p = 0; p < k->count; p++) {
    int32_t place = k->place != NULL ? k->place[p] : p;
    if ((double)k->score[p] < q->twin || place == k->self) continue;
    ls_neighbour v;
    ls_knn_values(r->job->gallery, x, 1, &r->filter.order[place], 0, &v);
    if (ls_retrieval_is_twin(r->job, x, v)) return true;
  }
  return false;
}

void ls_rank_close(const ls_rank_job *r, ls_ranked *q) {
  query_view view = view_of(r, q);
  q->to.kept = q->rank.relevant;
  q->to.twin = ((q->rank.relevant > 0 && (double)q->rank.sorted[0] >= q->twin) || (double)q->rank.nearest >= q->twin) && has_twin(r, q);
  if (q->rank.relevant > 0) decide(&view, q);
  ls_retrieval_measure(r->job, r->filter.which[q->i], &q->to);
}
