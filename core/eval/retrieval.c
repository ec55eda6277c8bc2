/* Measures of retrieval. SPDX-License-Identifier: MIT
 *
 * Nothing is sorted but the R relevant rows: all others are counted between them, by tiles (retrieval_rank.c) or by values (retrieval_direct.c). A relevant row
 * that ties with others makes a group with them; the measures follow from the places of groups and of single rows. Relevant rows that tie among themselves alone
 * are single: their order makes no difference. */
#include "core/eval/retrieval_parts.h"

#include <lsengine/pool.h>

#include <math.h>
#include <string.h>

enum { SLOT_MEMORY = 64 << 20, MOST_SLOTS = 64 };

/* Rows that share a value: s rows and h relevant ones before them, g rows, r of them relevant. */
typedef struct group {
  int32_t s, h, g, r;
} group;

/* Expected sum of P(i) rel(i) over the group's places up to place k. */
static double precision_sum(group x, int32_t k) {
  int32_t places = k - x.s < x.g ? k - x.s : x.g;
  double sum = 0.0, others = x.g > 1 ? (double)(x.r - 1) / (x.g - 1) : 0.0;
  for (int32_t j = 1; j <= places; j++) sum += (x.h + 1 + (j - 1) * others) / ((double)x.s + j);
  return sum * x.r / x.g;
}

static double hits(group x, int32_t k) {
  int32_t places = k - x.s < x.g ? k - x.s : x.g;
  return places <= 0 ? 0.0 : (double)x.r * places / x.g;
}

/* Probability that the first k places hold a relevant row of this first group. */
static double any_hit(group x, int32_t k) {
  int32_t places = k - x.s < x.g ? k - x.s : x.g;
  double none = 1.0;
  for (int32_t i = 0; i < places && none > 0.0; i++) none *= (double)(x.g - x.r - i > 0 ? x.g - x.r - i : 0) / (x.g - i);
  return places <= 0 ? 0.0 : 1.0 - none;
}

static double reciprocal_rank(group x) {
  double none = 1.0, sum = 0.0;
  for (int32_t j = 1; j <= x.g && none > 0.0; j++) {
    double first = none * x.r / (x.g - j + 1);
    sum += first / ((double)x.s + j);
    none -= first;
    if (x.g - x.r - j < 0) break;
  }
  return sum;
}

static double gain(const ls_retrieval_job *j, group x, int32_t k) {
  int32_t end = k < x.s + x.g ? k : x.s + x.g;
  return end <= x.s ? 0.0 : (j->discounts[end] - j->discounts[x.s]) * x.r / x.g;
}

static void add_group(const ls_retrieval_job *j, group x, int32_t relevant, int32_t all, double *m) {
  m[LS_RETRIEVAL_R_PRECISION] += hits(x, relevant);
  if (x.s < relevant) m[LS_RETRIEVAL_MAP_AT_R] += precision_sum(x, relevant);
  m[LS_RETRIEVAL_MAP] += precision_sum(x, all);
  m[LS_RETRIEVAL_NDCG] += gain(j, x, all);
  if (x.h == 0) m[LS_RETRIEVAL_MRR] = reciprocal_rank(x);
  for (int32_t a = 0; a < j->at_count; a++) {
    double *at = m + LS_RETRIEVAL_WHOLE + a * LS_RETRIEVAL_AT;
    int32_t k = j->at[a];
    if (x.s >= k) continue;
    if (x.h == 0) at[LS_RETRIEVAL_RECALL] = any_hit(x, k);
    at[LS_RETRIEVAL_PRECISION] += hits(x, k);
    at[LS_RETRIEVAL_AP] += precision_sum(x, k);
    at[LS_RETRIEVAL_NDCG_AT] += gain(j, x, k);
  }
}

/* Sums become measures. */
static void divide(const ls_retrieval_job *j, int32_t relevant, double *m) {
  m[LS_RETRIEVAL_R_PRECISION] /= relevant;
  m[LS_RETRIEVAL_MAP_AT_R] /= relevant;
  m[LS_RETRIEVAL_MAP] /= relevant;
  m[LS_RETRIEVAL_NDCG] /= j->discounts[relevant];
  for (int32_t a = 0; a < j->at_count; a++) {
    double *at = m + LS_RETRIEVAL_WHOLE + a * LS_RETRIEVAL_AT, found = at[LS_RETRIEVAL_PRECISION], sum = at[LS_RETRIEVAL_AP];
    int32_t k = j->at[a], least = relevant < k ? relevant : k;
    at[LS_RETRIEVAL_PRECISION] = found / k;
    at[LS_RETRIEVAL_HIT_SHARE] = found / relevant;
    at[LS_RETRIEVAL_AP] = sum / least;
    at[LS_RETRIEVAL_AP_BY_R] = sum / relevant;
    at[LS_RETRIEVAL_AP_BY_HITS] = found > 0.0 ? sum / found : 0.0;
    at[LS_RETRIEVAL_NDCG_AT] /= j->discounts[least];
  }
}

/* A relevant row that ties with no other one: s rows before it, h of them relevant. */
static inline void add_single(const ls_retrieval_job *j, int32_t s, int32_t h, int32_t relevant, double *m) {
  double precision = (h + 1.0) / (s + 1.0);
  if (s < relevant) {
    m[LS_RETRIEVAL_R_PRECISION] += 1.0;
    m[LS_RETRIEVAL_MAP_AT_R] += precision;
  }
  m[LS_RETRIEVAL_MAP] += precision;
  m[LS_RETRIEVAL_NDCG] += j->discounts[s + 1] - j->discounts[s];
  if (h == 0) m[LS_RETRIEVAL_MRR] = 1.0 / (s + 1.0);
  for (int32_t a = 0; a < j->at_count; a++) {
    double *at = m + LS_RETRIEVAL_WHOLE + a * LS_RETRIEVAL_AT;
    if (s >= j->at[a]) continue;
    at[LS_RETRIEVAL_RECALL] = h == 0 ? 1.0 : at[LS_RETRIEVAL_RECALL];
    at[LS_RETRIEVAL_PRECISION] += 1.0;
    at[LS_RETRIEVAL_AP] += precision;
    at[LS_RETRIEVAL_NDCG_AT] += j->discounts[s + 1] - j->discounts[s];
  }
}

/* The same from where all at[] and R are passed: what is left for the whole ranking. */
static void add_rest(const ls_retrieval_job *j, const ls_standing *s, int32_t place, int32_t h, double *m) {
  double precision = 0.0, gain_sum = 0.0;
  for (; h < s->kept; h++, place++) {
    place += s->before[h];
    precision += (h + 1.0) / (place + 1.0);
    gain_sum += j->discounts[place + 1] - j->discounts[place];
  }
  m[LS_RETRIEVAL_MAP] += precision;
  m[LS_RETRIEVAL_NDCG] += gain_sum;
}

bool ls_retrieval_is_twin(const ls_retrieval_job *j, const float *query, ls_neighbour x) {
  const ls_knn *gallery = j->gallery;
  if (gallery->metric != LS_METRIC_INNER_PRODUCT) return x.value <= j->near;
  return memcmp(query, gallery->base.data + x.row * gallery->base.stride, sizeof *query * (size_t)gallery->base.cols) == 0;
}

void ls_retrieval_measure(const ls_retrieval_job *j, int32_t i, const ls_standing *s) {
  int32_t columns = LS_RETRIEVAL_WHOLE + j->at_count * LS_RETRIEVAL_AT, relevant = s->relevant, n = j->gallery->base.rows, place = 0, most = relevant;
  double *m = j->measures + (size_t)i * (size_t)columns;
  memset(m, 0, sizeof *m * (size_t)columns);
  j->about[i] = (ls_retrieval_query){.relevant = relevant, .twin = s->twin};
  for (int32_t a = 0; a < j->at_count; a++) most = j->at[a] > most ? j->at[a] : most;
  for (int32_t h = 0; h < s->kept;) {
    if (!s->tied && place >= most && h > 0 && j->whole) {
      add_rest(j, s, place, h, m);
      break;
    }
    place += s->before[h];
    if (!j->whole && place >= most) break;
    if (s->tied && s->tied_others[h] > 0) {
      group x = {.s = place, .h = h, .g = s->tied_others[h] + s->tied_relevant[h], .r = s->tied_relevant[h]};
      add_group(j, x, relevant, n, m);
      j->about[i].tied = true;
      place += x.g;
      h += x.r;
    } else {
      add_single(j, place++, h++, relevant, m);
    }
  }
  if (relevant > 0) divide(j, relevant, m);
  if (!j->whole) m[LS_RETRIEVAL_MAP] = m[LS_RETRIEVAL_MRR] = m[LS_RETRIEVAL_NDCG] = 0.0;
}

static int32_t direct_slots(int32_t n, int32_t queries) {
  size_t slots = SLOT_MEMORY / ls_retrieval_direct_bytes(n);
  slots = slots < 1 ? 1 : slots < MOST_SLOTS ? slots : MOST_SLOTS;
  return (int32_t)(queries < 1 ? 1 : (size_t)queries < slots ? (size_t)queries : slots);
}

size_t ls_retrieval_scratch(const ls_knn *gallery, int32_t queries) {
  int32_t n = gallery->base.rows;
  size_t direct = (size_t)direct_slots(n, queries) * ls_retrieval_direct_bytes(n);
  size_t tiles = ls_retrieval_has_tiles(gallery, queries) ? ls_retrieval_tiles_bytes(gallery, queries) : 0;
  return ls_padded(((size_t)n + 2) * sizeof(double)) + ls_padded((size_t)queries * sizeof(int32_t)) + (direct > tiles ? direct : tiles);
}

typedef struct direct_job {
  const ls_retrieval_job *job;
  const int32_t *which;
  char *slots;
} direct_job;

static void direct_block(void *argument, size_t slot) {
  const direct_job *d = argument;
  ls_retrieval_direct(d->job, d->which[slot], d->slots + slot * ls_retrieval_direct_bytes(d->job->gallery->base.rows));
}

ls_status ls_retrieval(const ls_knn *gallery, const int64_t *gallery_labels, ls_cmat queries, const int64_t *labels, const int64_t *self, int32_t at_count,
                       const int32_t *at, double near, bool whole, void *scratch, ls_retrieval_query *about, double *measures, int64_t *by_values, ls_err *err) {
  int32_t n = gallery->base.rows;
  if (queries.cols != gallery->base.cols)
    return ls_fail(err, LS_ESHAPE, "the queries have %d features but the gallery has %d", queries.cols, gallery->base.cols);
  for (int32_t a = 0; a < at_count; a++)
    if (at[a] < 1 || at[a] > n) return ls_fail(err, LS_ERANGE, "at[%d] is %d, allowed is 1 to %d, the rows of the gallery", a + 1, at[a], n);
  for (int32_t i = 0; self != NULL && i < queries.rows; i++)
    if (self[i] < -1 || self[i] >= n) return ls_fail(err, LS_ERANGE, "query %d is said to be row %lld of %d", i + 1, (long long)self[i] + 1, n);
  if (!(near >= 0.0)) return ls_fail(err, LS_ERANGE, "near is %g, allowed is 0 or more", near);
  ls_status status = ls_knn_check(queries, gallery->metric, "queries", err);
  if (status != LS_OK) return status;
  double *discounts = scratch;
  char *at_byte = (char *)scratch + ls_padded(((size_t)n + 2) * sizeof(double));
  discounts[0] = 0.0;
  for (int32_t i = 1; i <= n + 1; i++) discounts[i] = discounts[i - 1] + 1.0 / log2(i + 1.0);
  int32_t *left = (int32_t *)(void *)at_byte, count = queries.rows, slots = direct_slots(n, queries.rows);
  at_byte += ls_padded((size_t)queries.rows * sizeof(int32_t));
  ls_retrieval_job j = {.gallery = gallery, .gallery_labels = gallery_labels, .labels = labels, .self = self, .queries = queries, .near = near, .whole = whole, .at_count = at_count,
                        .at = at, .discounts = discounts, .about = about, .measures = measures};
  if (ls_retrieval_has_tiles(gallery, queries.rows))
    count = ls_retrieval_by_tiles(&j, at_byte, left);
  else
    for (int32_t i = 0; i < count; i++) left[i] = i;
  for (int32_t first = 0; first < count; first += slots) {
    direct_job d = {&j, left + first, at_byte};
    ls_parallel(LS_SITE_NEIGHBOURS, (size_t)(count - first < slots ? count - first : slots), direct_block, &d);
  }
  if (by_values != NULL) *by_values = count;
  return LS_OK;
}
