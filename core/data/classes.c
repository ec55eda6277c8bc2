/* SPDX-License-Identifier: MIT */
#include <lsengine/classes.h>

#include <lsengine/target.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

static ls_status check_labels(const int64_t *labels, size_t n, int32_t classes, ls_err *err) {
  for (size_t i = 0; i < n; i++)
    if (labels[i] < 0 || labels[i] >= classes)
      return ls_fail(err, LS_ERANGE, "y[%zu] is %lld, allowed is 0 to %d", i + 1, (long long)labels[i], classes - 1);
  return LS_OK;
}

ls_status ls_class_counts(const int64_t *labels, size_t n, int32_t classes, int64_t *counts, ls_err *err) {
  ls_status status = check_labels(labels, n, classes, err);
  if (status != LS_OK) return status;
  memset(counts, 0, (size_t)classes * sizeof *counts);
  for (size_t i = 0; i < n; i++) counts[labels[i]]++;
  return LS_OK;
}

static int falling(const void *a, const void *b) {
  int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return (x < y) - (x > y);
}

ls_status ls_proportional(const int64_t *counts, int32_t classes, int64_t total, int64_t *quota, int64_t *scratch, ls_err *err) {
  int64_t sum = 0;
  for (int32_t k = 0; k < classes; k++) {
    if (counts[k] < 0 || counts[k] > INT32_MAX - sum) return ls_fail(err, LS_ERANGE, "the counts of classes are negative or too large");
    sum += counts[k];
  }
  if (total < 0 || total > sum) return ls_fail(err, LS_ERANGE, "%lld rows of %lld cannot be taken", (long long)total, (long long)sum);
  int64_t left = total;
  for (int32_t k = 0; k < classes; k++) {
    quota[k] = sum > 0 ? total * counts[k] / sum : 0;
    scratch[k] = sum > 0 ? total * counts[k] % sum : 0; /* the remainders have one denominator: they compare as integers */
    left -= quota[k];
  }
  if (left == 0) return LS_OK;
  /* The left-th largest remainder, above 0 as left times sum is the sum of all: larger ones get one each, then equal ones in order. */
  qsort(scratch, (size_t)classes, sizeof *scratch, falling);
  int64_t least = scratch[left - 1], equal = 0;
  for (int64_t i = 0; i < left; i++) equal += scratch[i] == least;
  for (int32_t k = 0; k < classes; k++) {
    int64_t remainder = total * counts[k] % sum;
    quota[k] += remainder > least || (remainder == least && equal-- > 0);
  }
  return LS_OK;
}

size_t ls_take_by_class(const int64_t *labels, size_t n, const int64_t *order, int64_t *quota, int64_t *taken, int64_t *rest) {
  size_t count = 0;
  for (size_t i = 0; i < n; i++) {
    int64_t at = order != NULL ? order[i] : (int64_t)i + 1, *left = &quota[labels[at - 1]];
    if (*left > 0) {
      (*left)--;
      taken[count++] = at;
    } else {
      rest[i - count] = at;
    }
  }
  return count;
}

static ls_status check_matrix(ls_cmat m, int32_t classes, ls_err *err) {
  if (m.rows != classes || m.cols != classes)
    return ls_fail(err, LS_ESHAPE, "the matrix is %dx%d, %dx%d is required: a row for each class", m.rows, m.cols, classes, classes);
  for (int32_t y = 0; y < classes; y++) {
    const float *row = m.data + y * m.stride;
    double sum = 0.0;
    for (int32_t k = 0; k < classes; k++) {
      if (!(row[k] >= 0.0f)) return ls_fail(err, LS_ERANGE, "row of class %d of the matrix gives class %d the probability %g", y, k, (double)row[k]);
      sum += (double)row[k];
    }
    if (!(fabs(sum - 1.0) <= LS_TARGET_TOLERANCE)) return ls_fail(err, LS_ERANGE, "row of class %d of the matrix sums to %g, must be 1 within 1e-4", y, sum);
  }
  return LS_OK;
}

/* The class in whose part of the row, of length `sum`, the uniform number u falls. */
static int64_t draw(const float *row, int32_t classes, double u) {
  double sum = 0.0, reached = 0.0;
  int64_t last = 0;
  for (int32_t k = 0; k < classes; k++) sum += (double)row[k];
  for (int32_t k = 0; k < classes; k++) {
    if (row[k] == 0.0f) continue;
    reached += (double)row[k];
    last = k;
    if (u * sum < reached) break;
  }
  return last;
}

ls_status ls_label_noise(const int64_t *labels, size_t n, int32_t classes, const ls_noise *noise, ls_rng *r, int64_t *out, ls_err *err) {
  ls_status status = check_labels(labels, n, classes, err);
  if (status == LS_OK && noise->kind == LS_NOISE_MATRIX) status = check_matrix(noise->matrix, classes, err);
  if (status != LS_OK) return status;
  if (noise->kind != LS_NOISE_MATRIX && !(noise->rate >= 0.0 && noise->rate <= 1.0))
    return ls_fail(err, LS_ERANGE, "rate is %g, allowed is 0 to 1", noise->rate);
  if (noise->kind == LS_NOISE_SYMMETRIC && classes < 2) return ls_fail(err, LS_ERANGE, "there is one class: no label has another one to become");
  for (int32_t k = 0; noise->kind == LS_NOISE_PAIRS && k < classes; k++)
    if (noise->to[k] < 0 || noise->to[k] >= classes)
      return ls_fail(err, LS_ERANGE, "to[%d] is %lld, allowed is 0 to %d", k, (long long)noise->to[k], classes - 1);
  for (size_t i = 0; i < n; i++) {
    double u = ls_rng_double(r), v = ls_rng_double(r);
    int64_t y = labels[i];
    if (noise->kind == LS_NOISE_MATRIX) {
      out[i] = draw(noise->matrix.data + y * noise->matrix.stride, classes, u);
    } else if (!(u < noise->rate)) {
      out[i] = y;
    } else if (noise->kind == LS_NOISE_PAIRS) {
      out[i] = noise->to[y];
    } else {
      int64_t other = (int64_t)(v * (classes - 1)); /* 0 … K-2: v is below 1 */
      out[i] = other + (other >= y);
    }
  }
  return LS_OK;
}
