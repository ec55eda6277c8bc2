/* Distances in double, and searches by them alone. SPDX-License-Identifier: MIT
 *
 * Every sum runs over the features in their order, without contraction: the same bits for a row alone or among others, on every instruction
 * set. */
#include "core/eval/knn_parts.h"
#include "core/kernels/kernels.h"

#include <math.h>

enum { TOGETHER = 64 };

double ls_knn_inverse(const float *x, int32_t features) {
  double square = 0.0;
  for (int32_t j = 0; j < features; j++) square += (double)x[j] * (double)x[j];
  return square > 0.0 ? 1.0 / sqrt(square) : 0.0;
}

static void values(const ls_knn *index, const float *query, double q_inverse, size_t count, const int32_t *rows, int32_t first, ls_neighbour *out) {
  for (size_t i = 0; i < count; i += TOGETHER) {
    const float *x[TOGETHER];
    double inverse[TOGETHER], value[TOGETHER];
    size_t n = count - i < TOGETHER ? count - i : TOGETHER;
    for (size_t l = 0; l < n; l++) {
      int32_t row = rows != NULL ? rows[i + l] : first + (int32_t)(i + l);
      x[l] = index->base.data + row * index->base.stride;
      out[i + l].row = row;
      if (index->metric == LS_METRIC_COSINE) inverse[l] = index->inverse[row];
    }
    ls_kernels_now()->knn->values(index->metric, index->base.cols, query, q_inverse, n, x, inverse, value);
    for (size_t l = 0; l < n; l++) out[i + l].value = value[l];
  }
}

void ls_knn_values(const ls_knn *index, const float *query, size_t count, const int32_t *rows, int32_t first, ls_neighbour *out) {
  values(index, query, index->metric == LS_METRIC_COSINE ? ls_knn_inverse(query, index->base.cols) : 1.0, count, rows, first, out);
}

double ls_knn_distance(ls_metric metric, double value) {
  return metric == LS_METRIC_L2 ? sqrt(value) : metric == LS_METRIC_INNER_PRODUCT ? 0.0 - value : value;
}

/* The largest comes to the top of the heap v[0 … n-1] once v[at] may be too small. */
static void sink(ls_neighbour *v, size_t n, size_t at) {
  ls_neighbour moved = v[at];
  for (size_t child; (child = 2 * at + 1) < n; at = child) {
    if (child + 1 < n && ls_nearer(v[child], v[child + 1])) child++;
    if (!ls_nearer(moved, v[child])) break;
    v[at] = v[child];
  }
  v[at] = moved;
}

static void sort_heap(ls_neighbour *v, size_t n) {
  for (; n > 1; n--) {
    ls_neighbour last = v[n - 1];
    v[n - 1] = v[0];
    v[0] = last;
    sink(v, n - 1, 0);
  }
}

static void make_heap(ls_neighbour *v, size_t n) {
  for (size_t i = n / 2; i-- > 0;) sink(v, n, i);
}

void ls_neighbours_sort(ls_neighbour *v, size_t n) {
  if (n > 24) {
    make_heap(v, n);
    sort_heap(v, n);
    return;
  }
  for (size_t i = 1; i < n; i++) {
    ls_neighbour x = v[i];
    size_t at = i;
    for (; at > 0 && ls_nearer(x, v[at - 1]); at--) v[at] = v[at - 1];
    v[at] = x;
  }
}

void ls_knn_exact(const ls_knn *index, const float *query, int32_t k, int64_t self, ls_neighbour *out) {
  double q_inverse = index->metric == LS_METRIC_COSINE ? ls_knn_inverse(query, index->base.cols) : 1.0;
  int32_t count = 0, n = index->base.rows;
  ls_neighbour next[64];
  for (int32_t first = 0; first < n; first += 64) {
    int32_t some = n - first < 64 ? n - first : 64;
    values(index, query, q_inverse, (size_t)some, NULL, first, next);
    for (int32_t i = 0; i < some; i++) {
      if (next[i].row == self) continue;
      if (count < k) {
        out[count++] = next[i];
        if (count == k) make_heap(out, (size_t)k);
      } else if (ls_nearer(next[i], out[0])) {
        out[0] = next[i];
        sink(out, (size_t)k, 0);
      }
    }
  }
  if (count == k) sort_heap(out, (size_t)k);
}
