/* SPDX-License-Identifier: MIT */
#include <lsengine/view.h>

#include <stdio.h>
#include <string.h>

size_t ls_view_count(const ls_view *v) {
  size_t count = 1;
  for (int32_t i = 0; i < v->rank; i++) count *= (size_t)v->shape[i];
  return count;
}

bool ls_view_contiguous(const ls_view *v) {
  ptrdiff_t step = 1;
  if (ls_view_count(v) == 0) return true;
  for (int32_t i = v->rank - 1; i >= 0; i--) {
    if (v->shape[i] != 1 && v->stride[i] != step) return false;
    step *= v->shape[i];
  }
  return true;
}

bool ls_view_same_shape(const ls_view *a, const ls_view *b) {
  return a->rank == b->rank && memcmp(a->shape, b->shape, (size_t)a->rank * sizeof a->shape[0]) == 0;
}

ls_view ls_view_of(float *data, int32_t rank, const int32_t *shape) {
  ls_view v = {.data = data, .rank = rank};
  ptrdiff_t step = 1;
  bool empty = false; /* the other sizes of an empty array may multiply to anything */
  for (int32_t i = 0; i < rank; i++) empty = empty || shape[i] == 0;
  for (int32_t i = rank - 1; i >= 0; i--) {
    v.shape[i] = shape[i];
    v.stride[i] = step;
    if (!empty) step *= shape[i];
  }
  return v;
}

ls_status ls_shape_count(int32_t rank, const int32_t *shape, size_t *count, ls_err *err) {
  size_t product = 1;
  bool empty = false;
  if (rank < 0 || rank > LS_MAX_RANK)
    return ls_fail(err, LS_ESHAPE, "%d dimensions, at most %d are allowed", rank, LS_MAX_RANK);
  for (int32_t i = 0; i < rank; i++) {
    if (shape[i] < 0) return ls_fail(err, LS_ESHAPE, "dimension %d is %d, at least 0 is allowed", i + 1, shape[i]);
    if (shape[i] == 0) empty = true;
  }
  for (int32_t i = 0; i < rank && !empty; i++) {
    if (product > LS_MAX_COUNT / (size_t)shape[i])
      return ls_fail(err, LS_ESHAPE, "the shape holds more than 2^46 elements");
    product *= (size_t)shape[i];
  }
  *count = empty ? 0 : product;
  return LS_OK;
}

ls_status ls_broadcast(const ls_view *a, const ls_view *b, ls_view *out, ls_err *err) {
  int32_t rank = a->rank > b->rank ? a->rank : b->rank;
  size_t count;
  out->rank = rank;
  for (int32_t i = 1; i <= rank; i++) {
    int32_t m = i <= a->rank ? a->shape[a->rank - i] : 1, n = i <= b->rank ? b->shape[b->rank - i] : 1;
    if (m != n && m != 1 && n != 1) {
      char left[96], right[96];
      return ls_fail(err, LS_ESHAPE, "shapes %s and %s do not broadcast: axis %d is %d and %d",
                     ls_shape_text(a, left, sizeof left), ls_shape_text(b, right, sizeof right), rank - i + 1, m, n);
    }
    out->shape[rank - i] = m == 1 ? n : m;
  }
  return ls_shape_count(rank, out->shape, &count, err);
}

ls_view ls_view_expand(const ls_view *v, const ls_view *to) {
  ls_view e = {.data = v->data, .rank = to->rank};
  for (int32_t i = 1; i <= to->rank; i++) {
    int32_t axis = to->rank - i;
    e.shape[axis] = to->shape[axis];
    e.stride[axis] = i <= v->rank && v->shape[v->rank - i] != 1 ? v->stride[v->rank - i] : 0;
  }
  return e;
}

void ls_views_collapse(int32_t count, ls_view *const views[]) {
  ls_view *first = views[0];
  int32_t kept = 0;
  for (int32_t i = 0; i < first->rank; i++) {
    if (first->shape[i] == 1) continue;
    bool join = kept > 0 && (int64_t)first->shape[kept - 1] * first->shape[i] <= INT32_MAX;
    for (int32_t v = 0; v < count && join; v++)
      join = views[v]->stride[kept - 1] == views[v]->stride[i] * views[v]->shape[i];
    for (int32_t v = 0; v < count; v++) {
      ls_view *view = views[v];
      int32_t shape = view->shape[i], at = join ? kept - 1 : kept;
      view->shape[at] = join ? view->shape[at] * shape : shape;
      view->stride[at] = view->stride[i];
    }
    if (!join) kept++;
  }
  for (int32_t v = 0; v < count; v++) views[v]->rank = kept;
}

const char *ls_shape_text(const ls_view *v, char *buffer, size_t size) {
  size_t used = 0;
  if (v->rank == 0) snprintf(buffer, size, "scalar");
  for (int32_t i = 0; i < v->rank && used < size; i++)
    used += (size_t)snprintf(buffer + used, size - used, i == 0 ? "%d" : "x%d", v->shape[i]);
  return buffer;
}
