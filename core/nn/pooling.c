/* Pooling of image planes. SPDX-License-Identifier: MIT
 *
 * Which element was the maximum is found again on the way back: reading the input once more costs less than keeping positions. Where the input is not kept
 * (convolution_pooled.c), positions are. */
#include "core/nn/pooling.h"

#include <lsengine/pool.h>

#include <math.h>
#include <string.h>

enum { PLANES = 16 };

ls_status ls_pooling_check(ls_pooling *p, ls_err *err) {
  int32_t sizes[2] = {p->height, p->width}, *out[2] = {&p->out_height, &p->out_width};
  for (int axis = 0; axis < 2; axis++) {
    if (p->kernel[axis] < 1 || p->kernel[axis] > 1 << 24) return ls_fail(err, LS_ERANGE, "kernel is %d, allowed is 1 to %d", p->kernel[axis], 1 << 24);
    if (p->stride[axis] < 1 || p->stride[axis] > 1 << 24) return ls_fail(err, LS_ERANGE, "stride is %d, allowed is 1 to %d", p->stride[axis], 1 << 24);
    if (p->padding[axis] < 0 || p->padding[axis] > p->kernel[axis] / 2)
      return ls_fail(err, LS_ERANGE, "padding is %d, allowed is 0 to half of the kernel, %d", p->padding[axis], p->kernel[axis] / 2);
    int64_t padded = (int64_t)sizes[axis] + 2 * (int64_t)p->padding[axis];
    *out[axis] = padded < p->kernel[axis] ? 0 : (int32_t)((padded - p->kernel[axis]) / p->stride[axis] + 1);
    if (*out[axis] < 1)
      return ls_fail(err, LS_ESHAPE, "a kernel of %dx%d does not fit into images of %dx%d with padding %dx%d", p->kernel[0], p->kernel[1], p->height, p->width, p->padding[0],
                     p->padding[1]);
  }
  return LS_OK;
}

typedef struct pooling_job {
  const ls_kernels *kernels;
  const ls_pooling *p;
  const float *x, *dy;
  float *y, *dx;
} pooling_job;

/* The window of output (i, j), cut off at the border. */
typedef struct window {
  int32_t top, bottom, left, right;
  float area;
} window;

static window window_of(const ls_pooling *p, int32_t i, int32_t j) {
  int64_t top = (int64_t)i * p->stride[0] - p->padding[0], left = (int64_t)j * p->stride[1] - p->padding[1];
  int64_t bottom = top + p->kernel[0], right = left + p->kernel[1];
  /* PyTorch's area counts padding, but nothing beyond it */
  int64_t low = bottom < (int64_t)p->height + p->padding[0] ? bottom : (int64_t)p->height + p->padding[0];
  int64_t far = right < (int64_t)p->width + p->padding[1] ? right : (int64_t)p->width + p->padding[1];
  float padded = (float)((low - top) * (far - left));
  window w = {(int32_t)(top < 0 ? 0 : top), (int32_t)(bottom > p->height ? p->height : bottom), (int32_t)(left < 0 ? 0 : left),
              (int32_t)(right > p->width ? p->width : right), 0.0f};
  w.area = p->count_padding ? padded : (float)((w.bottom - w.top) * (w.right - w.left));
  return w;
}

/* Place of the first largest element of a window. */
static ptrdiff_t largest(const window *w, int32_t width, const float *x) {
  ptrdiff_t best = (ptrdiff_t)w->top * width + w->left;
  for (int32_t r = w->top; r < w->bottom; r++)
    for (int32_t s = w->left; s < w->right; s++) {
      ptrdiff_t at = (ptrdiff_t)r * width + s;
      if (x[at] > x[best] || (isnan(x[at]) && !isnan(x[best]))) best = at;
    }
  return best;
}

/* 2×2 windows that do not overlap: the usual case has a kernel of its own. */
static bool halves(const ls_pooling *p) {
  return p->kernel[0] == 2 && p->kernel[1] == 2 && p->stride[0] == 2 && p->stride[1] == 2 && p->padding[0] == 0 && p->padding[1] == 0;
}

static void forward_plane(const ls_kernels *kernels, const ls_pooling *p, const float *x, float *y) {
  if (!p->average && halves(p)) {
    for (int32_t i = 0; i < p->out_height; i++)
      kernels->halve((size_t)p->out_width, x + (ptrdiff_t)2 * i * p->width, x + ((ptrdiff_t)2 * i + 1) * p->width, y + (ptrdiff_t)i * p->out_width);
    return;
  }
  for (int32_t i = 0; i < p->out_height; i++)
    for (int32_t j = 0; j < p->out_width; j++) {
      window w = window_of(p, i, j);
      float *out = y + (ptrdiff_t)i * p->out_width + j;
      if (!p->average) {
        *out = x[largest(&w, p->width, x)];
        continue;
      }
      double sum = 0.0;
      for (int32_t r = w.top; r < w.bottom; r++)
        for (int32_t s = w.left; s < w.right; s++) sum += (double)x[(ptrdiff_t)r * p->width + s];
      *out = (float)(sum / (double)w.area);
    }
}

static void backward_plane(const ls_kernels *kernels, const ls_pooling *p, const float *x, const float *dy, float *dx) {
  if (!p->average && halves(p)) {
    if (p->height % 2 != 0) memset(dx + ((ptrdiff_t)p->height - 1) * p->width, 0, (size_t)p->width * sizeof *dx);
    for (int32_t i = 0; i < p->out_height; i++) {
      ptrdiff_t upper = (ptrdiff_t)2 * i * p->width, lower = upper + p->width;
      if (p->width % 2 != 0) dx[upper + p->width - 1] = dx[lower + p->width - 1] = 0.0f;
      kernels->halve_back((size_t)p->out_width, x + upper, x + lower, dy + (ptrdiff_t)i * p->out_width, dx + upper, dx + lower);
    }
    return;
  }
  memset(dx, 0, (size_t)p->height * (size_t)p->width * sizeof *dx);
  for (int32_t i = 0; i < p->out_height; i++)
    for (int32_t j = 0; j < p->out_width; j++) {
      window w = window_of(p, i, j);
      float g = dy[(ptrdiff_t)i * p->out_width + j];
      if (!p->average) {
        dx[largest(&w, p->width, x)] += g;
        continue;
      }
      g /= w.area;
      for (int32_t r = w.top; r < w.bottom; r++)
        for (int32_t s = w.left; s < w.right; s++) dx[(ptrdiff_t)r * p->width + s] += g;
    }
}

static void pooling_block(void *argument, size_t block) {
  const pooling_job *j = argument;
  const ls_pooling *p = j->p;
  size_t in = (size_t)p->height * (size_t)p->width, out = (size_t)p->out_height * (size_t)p->out_width;
  size_t from = block * PLANES, to = from + PLANES < (size_t)p->planes ? from + PLANES : (size_t)p->planes;
  for (size_t plane = from; plane < to; plane++) {
    if (j->dy == NULL)
      forward_plane(j->kernels, p, j->x + plane * in, j->y + plane * out);
    else
      backward_plane(j->kernels, p, j->x + plane * in, j->dy + plane * out, j->dx + plane * in);
  }
}

static void pool_planes(pooling_job *job) {
  if (job->p->planes > 0) ls_parallel(LS_SITE_POOLING, ((size_t)job->p->planes + PLANES - 1) / PLANES, pooling_block, job);
}

void ls_pooling_forward(const ls_pooling *p, const float *x, float *y) {
  pooling_job job = {.kernels = ls_kernels_now(), .p = p, .x = x, .y = y};
  pool_planes(&job);
}

void ls_pooling_backward(const ls_pooling *p, const float *x, const float *dy, float *dx) {
  pooling_job job = {.kernels = ls_kernels_now(), .p = p, .x = x, .dy = dy, .dx = dx};
  pool_planes(&job);
}

/* ---- one image, with places ---- */

static void note_plane(const ls_pooling *p, const float *x, float *y, uint8_t *places) {
  for (int32_t i = 0; i < p->out_height; i++)
    for (int32_t j = 0; j < p->out_width; j++, y++, places++) {
      window w = window_of(p, i, j);
      ptrdiff_t at = largest(&w, p->width, x), row = at / p->width - ((ptrdiff_t)i * p->stride[0] - p->padding[0]), col = at % p->width - ((ptrdiff_t)j * p->stride[1] - p->padding[1]);
      *y = x[at] <= 0.0f ? 0.0f : x[at];
      *places = (uint8_t)(row * p->kernel[1] + col);
    }
}

void ls_pool_note(const ls_kernels *kernels, const ls_pooling *p, int32_t planes, const float *x, float *y, uint8_t *places) {
  size_t in = (size_t)p->height * (size_t)p->width, out = (size_t)p->out_height * (size_t)p->out_width, cols = (size_t)p->out_width;
  for (int32_t plane = 0; plane < planes; plane++, x += in, y += out, places += out) {
    if (!halves(p)) {
      note_plane(p, x, y, places);
      continue;
    }
    for (size_t i = 0; i < (size_t)p->out_height; i++) {
      const float *upper = x + 2 * i * (size_t)p->width;
      kernels->halve_note(cols, upper, upper + p->width, y + i * cols, places + i * cols);
    }
  }
}

static void spread_plane(const ls_pooling *p, const float *y, const uint8_t *places, const float *dy, float *dx) {
  memset(dx, 0, (size_t)p->height * (size_t)p->width * sizeof *dx);
  for (int32_t i = 0; i < p->out_height; i++)
    for (int32_t j = 0; j < p->out_width; j++, y++, places++, dy++) {
      ptrdiff_t row = (ptrdiff_t)i * p->stride[0] - p->padding[0] + *places / p->kernel[1], col = (ptrdiff_t)j * p->stride[1] - p->padding[1] + *places % p->kernel[1];
      if (*y > 0.0f) dx[row * p->width + col] += *dy;
    }
}

void ls_pool_spread(const ls_kernels *kernels, const ls_pooling *p, int32_t planes, const float *y, const uint8_t *places, const float *dy, float *dx) {
  size_t in = (size_t)p->height * (size_t)p->width, out = (size_t)p->out_height * (size_t)p->out_width, cols = (size_t)p->out_width, width = (size_t)p->width;
  for (int32_t plane = 0; plane < planes; plane++, dx += in, y += out, places += out, dy += out) {
    if (!halves(p)) {
      spread_plane(p, y, places, dy, dx);
      continue;
    }
    if (p->height % 2 != 0) memset(dx + ((size_t)p->height - 1) * width, 0, width * sizeof *dx);
    for (size_t i = 0; i < (size_t)p->out_height; i++) {
      float *upper = dx + 2 * i * width, *lower = upper + width;
      if (width % 2 != 0) upper[width - 1] = lower[width - 1] = 0.0f;
      kernels->halve_spread(cols, y + i * cols, places + i * cols, dy + i * cols, upper, lower);
    }
  }
}
