/* Rows and elements by number. SPDX-License-Identifier: MIT */
#include <lsengine/pool.h>
#include <lsengine/tensor.h>

#include <string.h>

enum { ROWS = 256 };

static ls_status check(const char *what, const int64_t *index, int32_t n, int32_t limit, ls_err *err) {
  for (int32_t i = 0; i < n; i++)
    if (index[i] < 0 || index[i] >= limit)
      return ls_fail(err, LS_ERANGE, "%s[%d] is %lld, allowed is 0 to %d", what, i + 1, (long long)index[i], limit - 1);
  return LS_OK;
}

typedef struct gather_job {
  ls_cmat x;
  const int64_t *index;
  ls_mat out;
} gather_job;

static void gather_block(void *argument, size_t block) {
  const gather_job *j = argument;
  int32_t i = (int32_t)block * ROWS, end = j->out.rows - i > ROWS ? i + ROWS : j->out.rows;
  for (; i < end; i++)
    memcpy(j->out.data + i * j->out.stride, j->x.data + j->index[i] * j->x.stride, (size_t)j->x.cols * sizeof(float));
}

ls_status ls_gather_rows(ls_cmat x, const int64_t *index, ls_mat out, ls_err *err) {
  ls_status status = check("index", index, out.rows, x.rows, err);
  if (status != LS_OK) return status;
  if (x.cols != out.cols) return ls_fail(err, LS_ESHAPE, "rows of %d elements do not fit into rows of %d", x.cols, out.cols);
  gather_job job = {x, index, out};
  if (x.cols > 0) ls_parallel(LS_SITE_GATHER, ((size_t)out.rows + ROWS - 1) / ROWS, gather_block, &job);
  return LS_OK;
}

ls_status ls_scatter_add_rows(ls_cmat g, const int64_t *index, ls_mat out, ls_err *err) {
  ls_status status = check("index", index, g.rows, out.rows, err);
  if (status != LS_OK) return status;
  if (g.cols != out.cols) return ls_fail(err, LS_ESHAPE, "rows of %d elements do not fit into rows of %d", g.cols, out.cols);
  for (int32_t i = 0; i < g.rows; i++) {
    const float *from = g.data + i * g.stride;
    float *to = out.data + index[i] * out.stride;
    for (int32_t c = 0; c < g.cols; c++) to[c] += from[c];
  }
  return LS_OK;
}

ls_status ls_pick(ls_cmat x, const int64_t *index, float *out, ls_err *err) {
  ls_status status = check("index", index, x.rows, x.cols, err);
  if (status != LS_OK) return status;
  for (int32_t i = 0; i < x.rows; i++) out[i] = x.data[i * x.stride + index[i]];
  return LS_OK;
}

ls_status ls_pick_add(const float *g, const int64_t *index, ls_mat out, ls_err *err) {
  ls_status status = check("index", index, out.rows, out.cols, err);
  if (status != LS_OK) return status;
  for (int32_t i = 0; i < out.rows; i++) out.data[i * out.stride + index[i]] += g[i];
  return LS_OK;
}
