/* Measures of retrieval. SPDX-License-Identifier: MIT
 *
 * Nothing is sorted but the R relevant values: all others are counted between them, which gives for every distinct relevant value the number of rows
 * before it and the rows that share it. The measures follow from these groups. */
#include "core/eval/knn_parts.h"

#include <lsengine/pool.h>
#include <lsengine/retrieval.h>

#include <math.h>
#include <string.h>

enum { SLOT_MEMORY = 64 << 20, MOST_SLOTS = 64, BUCKETS = 2048 };

typedef struct retrieval_job {
  const ls_knn *gallery;
  const int64_t *gallery_labels, *labels, *self;
  ls_cmat queries;
  int32_t at_count, first;
  const int32_t *at;
  const double *discounts; /* [i]: sum of 1/log2(j+1) over j <= i */
  char *slots;
  size_t slot;
  ls_retrieval_query *about;
  double *measures;
} retrieval_job;

/* Rows that share a value: s rows and h relevant ones before them, g rows, r of them relevant. */
typedef struct group {
  int32_t s, h, g, r;
} group;

static size_t padded(size_t bytes) { return (bytes + 63) / 64 * 64; }
static size_t slot_bytes(int32_t n) { return padded((size_t)n * (sizeof(double) + sizeof(ls_neighbour) + 2 * sizeof(int32_t))); }

static size_t slots_of(int32_t n, int32_t queries) {
  size_t slots = SLOT_MEMORY / slot_bytes(n);
  slots = slots < 1 ? 1 : slots < MOST_SLOTS ? slots : MOST_SLOTS;
  return queries < 1 ? 1 : (size_t)queries < slots ? (size_t)queries : slots;
}

size_t ls_retrieval_scratch(const ls_knn *gallery, int32_t queries) {
  int32_t n = gallery->base.rows;
  return padded(((size_t)n + 1) * sizeof(double)) + slots_of(n, queries) * slot_bytes(n);
}

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

static double gain(const retrieval_job *j, group x, int32_t k) {
  int32_t end = k < x.s + x.g ? k : x.s + x.g;
  return end <= x.s ? 0.0 : (j->discounts[end] - j->discounts[x.s]) * x.r / x.g;
}

static void add_group(const retrieval_job *j, group x, int32_t relevant, int32_t all, double *m) {
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
static void divide(const retrieval_job *j, int32_t relevant, double *m) {
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

/* Distinct values of the sorted list, into v; how often each comes, into count. */
static int32_t distinct(const ls_neighbour *sorted, int32_t n, double *v, int32_t *count) {
  int32_t groups = 0;
  for (int32_t i = 0; i < n; i++) {
    if (groups == 0 || sorted[i].value != v[groups - 1]) {
      v[groups] = sorted[i].value;
      count[groups++] = 0;
    }
    count[groups - 1]++;
  }
  return groups;
}

/* First of n ascending numbers, within [low, high], that is not below x. */
static int32_t lower_bound(const double *v, int32_t low, int32_t high, double x) {
  while (low < high) {
    int32_t middle = low + (high - low) / 2;
    if (v[middle] < x)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

static bool is_twin(const ls_knn *gallery, const float *query, ls_neighbour x) {
  if (gallery->metric != LS_METRIC_INNER_PRODUCT) return x.value == 0.0;
  return memcmp(query, gallery->base.data + x.row * gallery->base.stride, sizeof *query * (size_t)gallery->base.cols) == 0;
}

static void judge_query(const retrieval_job *j, int32_t i, char *slot) {
  int32_t n = j->gallery->base.rows, columns = LS_RETRIEVAL_WHOLE + j->at_count * LS_RETRIEVAL_AT, relevant = 0, others = 0;
  ls_neighbour *list = (ls_neighbour *)(void *)slot; /* relevant rows from the front, others from the back */
  double *v = (double *)(void *)(list + n), *m = j->measures + (size_t)i * (size_t)columns;
  int32_t *count = (int32_t *)(void *)(v + n), *same = count + n;
  const float *query = j->queries.data + i * j->queries.stride;
  ls_retrieval_query about = {0};
  ls_neighbour next[64];
  memset(m, 0, sizeof *m * (size_t)columns);
  for (int32_t first = 0; first < n; first += 64) {
    int32_t some = n - first < 64 ? n - first : 64;
    ls_knn_values(j->gallery, query, (size_t)some, NULL, first, next);
    for (int32_t l = 0; l < some; l++) {
      if (j->self != NULL && j->self[i] == next[l].row) continue;
      if (is_twin(j->gallery, query, next[l])) about.twin = true;
      if (j->gallery_labels[next[l].row] == j->labels[i])
        list[relevant++] = next[l];
      else
        list[n - ++others] = next[l];
    }
  }
  about.relevant = relevant;
  if (relevant > 0) {
    ls_neighbours_sort(list, (size_t)relevant);
    int32_t groups = distinct(list, relevant, v, count), start[BUCKETS + 1], used = n - others;
    memset(same, 0, sizeof *same * (size_t)groups);
    /* the rows between two relevant values are counted in `less`, where the sorted list was */
    int32_t *less = (int32_t *)(void *)list;
    double low = v[0], width = (v[groups - 1] - low) / BUCKETS, inverse = width > 0.0 && isfinite(1.0 / width) ? 1.0 / width : 0.0;
    for (int32_t b = 0, g = 0; b <= BUCKETS; b++) { /* where to look: the first group whose bucket is not below b */
      while (g < groups && (int32_t)((v[g] - low) * inverse) < b) g++;
      start[b] = g;
    }
    memset(less, 0, sizeof *less * (size_t)groups);
    for (int32_t r = used; r < n; r++) {
      double x = list[r].value;
      if (x > v[groups - 1]) continue;
      int32_t b = x <= low ? 0 : (int32_t)((x - low) * inverse);
      int32_t g = x <= low ? 0 : lower_bound(v, start[b], b < BUCKETS ? start[b + 1] : groups - 1, x);
      if (v[g] == x)
        same[g]++;
      else
        less[g]++;
    }
    group x = {0};
    for (int32_t g = 0; g < groups; g++) {
      x.s += less[g];
      x.g = count[g] + same[g];
      x.r = count[g];
      about.tied |= same[g] > 0;
      add_group(j, x, relevant, n, m);
      x.s += x.g;
      x.h += x.r;
    }
    divide(j, relevant, m);
  }
  j->about[i] = about;
}

static void judge_block(void *argument, size_t slot) {
  const retrieval_job *j = argument;
  judge_query(j, j->first + (int32_t)slot, j->slots + slot * j->slot);
}

ls_status ls_retrieval(const ls_knn *gallery, const int64_t *gallery_labels, ls_cmat queries, const int64_t *labels, const int64_t *self, int32_t at_count,
                       const int32_t *at, void *scratch, ls_retrieval_query *about, double *measures, ls_err *err) {
  int32_t n = gallery->base.rows;
  if (queries.cols != gallery->base.cols)
    return ls_fail(err, LS_ESHAPE, "the queries have %d features but the gallery has %d", queries.cols, gallery->base.cols);
  for (int32_t a = 0; a < at_count; a++)
    if (at[a] < 1 || at[a] > n) return ls_fail(err, LS_ERANGE, "at[%d] is %d, allowed is 1 to %d, the rows of the gallery", a + 1, at[a], n);
  for (int32_t i = 0; self != NULL && i < queries.rows; i++)
    if (self[i] < -1 || self[i] >= n) return ls_fail(err, LS_ERANGE, "query %d is said to be row %lld of %d", i + 1, (long long)self[i] + 1, n);
  ls_status status = ls_knn_check(queries, gallery->metric, "queries", err);
  if (status != LS_OK) return status;
  double *discounts = scratch;
  discounts[0] = 0.0;
  for (int32_t i = 1; i <= n; i++) discounts[i] = discounts[i - 1] + 1.0 / log2(i + 1.0);
  size_t slots = slots_of(n, queries.rows);
  retrieval_job j = {.gallery = gallery, .gallery_labels = gallery_labels, .labels = labels, .self = self, .queries = queries, .at_count = at_count, .at = at,
                     .discounts = discounts, .slots = (char *)scratch + padded(((size_t)n + 1) * sizeof(double)), .slot = slot_bytes(n), .about = about, .measures = measures};
  for (j.first = 0; j.first < queries.rows; j.first += (int32_t)slots) {
    size_t left = (size_t)(queries.rows - j.first);
    ls_parallel(LS_SITE_NEIGHBOURS, left < slots ? left : slots, judge_block, &j);
  }
  return LS_OK;
}
