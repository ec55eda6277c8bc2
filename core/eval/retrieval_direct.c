/* Standing of relevant rows by the values of all rows, in double. SPDX-License-Identifier: MIT */
#include "core/eval/retrieval_parts.h"

#include <math.h>
#include <string.h>

enum { BUCKETS = 2048, BLOCK = 64 };

size_t ls_retrieval_direct_bytes(int32_t n) { return ls_padded(((size_t)n + 2) * (sizeof(double) + sizeof(ls_neighbour) + 4 * sizeof(int32_t))); }

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

/* Counts n others between and at the distinct relevant values. */
static void count_others(const double *v, int32_t groups, const ls_neighbour *others, int32_t n, int32_t *less, int32_t *same) {
  int32_t start[BUCKETS + 1];
  double low = v[0], width = (v[groups - 1] - low) / BUCKETS, inverse = width > 0.0 && isfinite(1.0 / width) ? 1.0 / width : 0.0;
  for (int32_t b = 0, g = 0; b <= BUCKETS; b++) { /* where to look: the first group whose bucket is not below b */
    while (g < groups && (int32_t)((v[g] - low) * inverse) < b) g++;
    start[b] = g;
  }
  memset(less, 0, sizeof *less * (size_t)groups);
  memset(same, 0, sizeof *same * (size_t)groups);
  for (int32_t r = 0; r < n; r++) {
    double x = others[r].value;
    if (x > v[groups - 1]) continue;
    int32_t b = x <= low ? 0 : (int32_t)((x - low) * inverse);
    int32_t g = x <= low ? 0 : lower_bound(v, start[b], b < BUCKETS ? start[b + 1] : groups - 1, x);
    if (v[g] == x)
      same[g]++;
    else
      less[g]++;
  }
}

void ls_retrieval_direct(const ls_retrieval_job *j, int32_t i, void *scratch) {
  int32_t n = j->gallery->base.rows, relevant = 0, others = 0;
  ls_neighbour *list = scratch; /* relevant rows from the front, others from the back */
  double *v = (double *)(void *)(list + n + 2);
  int32_t *count = (int32_t *)(void *)(v + n + 2), *same = count + n + 2, *less = same + n + 2, *relevant_of = less + n + 2;
  const float *query = j->queries.data + i * j->queries.stride;
  ls_standing s = {0};
  ls_neighbour next[BLOCK];
  for (int32_t first = 0; first < n; first += BLOCK) {
    int32_t some = n - first < BLOCK ? n - first : BLOCK;
    ls_knn_values(j->gallery, query, (size_t)some, NULL, first, next);
    for (int32_t l = 0; l < some; l++) {
      if (j->self != NULL && j->self[i] == next[l].row) continue;
      if (!s.twin && ls_retrieval_is_twin(j, query, next[l])) s.twin = true;
      if (j->gallery_labels[next[l].row] == j->labels[i])
        list[relevant++] = next[l];
      else
        list[n - ++others] = next[l];
    }
  }
  s.relevant = s.kept = relevant;
  if (relevant > 0) {
    ls_neighbours_sort(list, (size_t)relevant);
    int32_t groups = distinct(list, relevant, v, count);
    count_others(v, groups, list + (n - others), others, less, same);
    s.before = (int32_t *)(void *)list; /* the list has done its work */
    s.tied_others = s.before + relevant + 2;
    s.tied_relevant = relevant_of;
    memset(s.before, 0, sizeof *s.before * 2 * ((size_t)relevant + 2));
    for (int32_t g = 0, h = 0; g < groups; h += count[g++]) {
      s.before[h] = less[g];
      s.tied_others[h] = same[g];
      s.tied_relevant[h] = count[g];
      s.tied |= same[g] > 0;
    }
  }
  ls_retrieval_measure(j, i, &s);
}
