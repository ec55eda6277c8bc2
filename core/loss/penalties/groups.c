/* Rows of penalties in groups: of few classes many at once, of many one at a time, by vectors. SPDX-License-Identifier: MIT
 *
 * What a kernel has no answer for, large and masked logits above all, is done again row by row, so that no row's bits depend on its neighbours. */
#include "core/loss/penalties/driver.h"

#include <string.h>

/* A float buffer from a line of the cache on. */
static float *floats_in(double *buffer) { return (float *)(((uintptr_t)buffer + 63) / 64 * 64); }

static int32_t padded(int32_t classes) { return (classes + 15) / 16 * 16; }

size_t ls_penalty_group_buffer(const ls_penalty *p, int32_t classes) {
  size_t k = (size_t)classes, few = classes <= LS_FEW_CLASSES ? LS_FEW_ROWS * k + 32 : 0;
  return p->form != LS_FORM_NONE && classes > LS_FEW_CLASSES ? 4 * (size_t)padded(classes) : p->form != LS_FORM_NONE || p->label != NULL ? few : 0;
}

static float *grad_of(const ls_penalty_job *j, int32_t row) { return j->grad == NULL ? NULL : j->grad->data + row * j->grad->stride; }

bool ls_penalty_labels_fit(const ls_penalty_job *j) {
  return j->by_label && j->z.cols <= LS_FEW_CLASSES && j->z.cols > 1 && j->z.stride == j->z.cols && (j->grad == NULL || j->grad->stride == j->z.cols);
}

/* The rows that `begin` has no answer for, if any; they get numbers that do no harm. */
static bool leave(const ls_penalty_job *j, int32_t row, ls_few_labels *s, bool *left) {
  int32_t bad = 0;
  for (int32_t i = s->rows; i < LS_FEW_ROWS; i++) s->own[i] = s->rest[i] = 1.0f;
  for (int32_t i = 0; i < LS_FEW_ROWS; i++) bad |= s->rest[i] > 1e-30f * s->own[i] && s->own[i] > 1e-30f * s->rest[i] ? 0 : 1; /* true for NaN */
  for (int32_t i = 0; i < s->rows; i++) bad |= j->weight[row + i] >= 0.0 ? 0 : 1;
  if (bad == 0 && s->near && j->denominator > 0.0) return false;
  for (int32_t i = 0; i < s->rows; i++) {
    bool sound = s->rest[i] > 1e-30f * s->own[i] && s->own[i] > 1e-30f * s->rest[i] && ls_softmax_is_near(j->z.cols, s->z + i * j->z.cols);
    left[i] = !sound || !ls_penalty_counts(j, row + i);
    if (left[i]) s->own[i] = s->rest[i] = 1.0f;
  }
  return true;
}

/* What `begin` found, to values and to the gradients' factors. */
static void values_of_labels(const ls_penalty_job *j, int32_t row, ls_few_labels *s) {
  enum { N = LS_FEW_ROWS };
  const ls_penalty *penalty = j->penalty;
  ls_label_shares of;
  double value[N], slope[N], adds = penalty->adds ? 1.0 : 0.0, by = 1.0 / j->denominator;
  j->kernels->few_labels->shares(s, &of);
  penalty->label(j->options->parameters, &(ls_penalty_labels){N, of.p, of.rest, of.log_p, of.log_rest, value, slope});
  memcpy(j->value + row, value, (size_t)s->rows * sizeof *value);
  for (int32_t i = 0; i < s->rows; i++) j->cross[row + i] = -adds * of.log_p[i];
  for (int32_t i = 0; i < s->rows; i++) s->scale[i] = (float)(j->weight[row + i] * by * (slope[i] + adds) * of.inverse[i]);
}

void ls_penalty_by_labels(const ls_penalty_job *j, int32_t row, int32_t end, double *buffer) {
  ls_few_labels s = {.n = (size_t)j->z.cols, .e = floats_in(buffer)};
  int32_t row_of[16 * LS_FEW_CLASSES];
  int64_t labels[LS_FEW_ROWS];
  bool left[LS_FEW_ROWS];
  for (int32_t i = 0, k = 0; i < 16; i++)
    for (int32_t c = 0; c < j->z.cols; c++) row_of[k++] = i;
  s.row_of = row_of;
  s.labels = labels;
  for (; row < end; row += s.rows) {
    s.rows = end - row < LS_FEW_ROWS ? end - row : LS_FEW_ROWS;
    s.z = j->z.data + row * j->z.stride;
    s.grad = grad_of(j, row);
    for (int32_t i = 0; i < s.rows; i++) labels[i] = j->weight[row + i] >= 0.0 ? j->target->term[0].labels[row + i] : 0;
    j->kernels->few_labels->begin(&s);
    bool some = leave(j, row, &s, left);
    values_of_labels(j, row, &s);
    if (s.grad != NULL) j->kernels->few_labels->finish(&s);
    for (int32_t i = 0; i < s.rows && some; i++)
      if (left[i]) ls_penalty_one_row(j, row + i, buffer);
  }
}

/* The targets of a group's rows; what has mass on a masked class has no sound value, either. */
static void read_targets(const ls_penalty_job *j, const int32_t *which, int32_t rows, double *q) {
  int32_t n = j->z.cols;
  double one[LS_FEW_CLASSES];
  if (n > LS_FEW_CLASSES) {
    for (int32_t k = n; k < padded(n); k++) q[k] = 0.0;
    ls_penalty_read_target(j, which[0], q);
    return;
  }
  memset(q, 0, (size_t)n * LS_FEW_ROWS * sizeof *q);
  for (int32_t i = 0; i < rows; i++) {
    if (j->one_hot) {
      q[j->target->term[0].labels[which[i]] * LS_FEW_ROWS + i] = 1.0;
      continue;
    }
    if (!ls_penalty_read_target(j, which[i], one)) continue;
    for (int32_t k = 0; k < n; k++) q[k * LS_FEW_ROWS + i] = one[k];
  }
}

void ls_penalty_by_form(const ls_penalty_job *j, int32_t row, int32_t end, double *buffer) {
  const ls_penalty *p = j->penalty;
  int32_t n = j->z.cols, height = n <= LS_FEW_CLASSES ? LS_FEW_ROWS : 1, which[LS_FEW_ROWS];
  const float *z[LS_FEW_ROWS];
  float *grad[LS_FEW_ROWS];
  double scale[LS_FEW_ROWS] = {0.0}, value[LS_FEW_ROWS], *q = n > LS_FEW_CLASSES ? buffer + 3 * padded(n) : buffer;
  ls_penalty_rows s = {.classes = n, .z = z, .q = p->target == LS_PENALTY_FREE ? NULL : q, .parameters = j->options->parameters, .scale = scale, .grad = j->grad == NULL ? NULL : grad,
                       .adds = p->adds, .value = value, .work = buffer};
  while (row < end) {
    for (s.rows = 0; row < end && s.rows < height; row++) {
      if (!ls_penalty_counts(j, row)) {
        ls_penalty_one_row(j, row, buffer);
        continue;
      }
      which[s.rows] = row;
      z[s.rows] = j->z.data + row * j->z.stride;
      grad[s.rows] = grad_of(j, row);
      scale[s.rows++] = j->weight[row] / j->denominator;
    }
    if (s.rows == 0) return;
    for (int32_t i = s.rows; i % 16 != 0; i++) z[i] = z[0];
    if (s.q != NULL) read_targets(j, which, s.rows, q);
    j->kernels->penalty->rows[p->form](&s);
    for (int32_t i = 0; i < s.rows; i++) {
      j->value[which[i]] = value[i];
      if (!isfinite(value[i])) ls_penalty_one_row(j, which[i], buffer);
    }
  }
}
