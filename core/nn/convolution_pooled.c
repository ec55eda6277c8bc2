/* Convolution, ReLU and max pooling at once. SPDX-License-Identifier: MIT
 *
 * The convolution's result, four times as large as what is pooled, is made image by image in memory of each thread that stays in the cache, and not kept: on the way
 * back ReLU asks only whether the maximum is above 0, and where that came from is noted in a byte. The bits are those of the three one after the other. */
#include "core/nn/convolution.h"
#include "core/nn/pooling.h"

#include <lsengine/pool.h>

enum { MOST_PLACES = 256 };

ls_status ls_pooled_convolution_check(ls_convolution *c, ls_pooling *p, ls_err *err) {
  ls_status status = ls_convolution_check(c, err);
  if (status != LS_OK) return status;
  if ((double)c->n * c->outputs > INT32_MAX) return ls_fail(err, LS_ESHAPE, "%d images of %d channels are too many", c->n, c->outputs);
  p->planes = c->n * c->outputs, p->height = c->out_height, p->width = c->out_width, p->average = false;
  status = ls_pooling_check(p, err);
  if (status == LS_OK && (int64_t)p->kernel[0] * p->kernel[1] > MOST_PLACES)
    return ls_fail(err, LS_ERANGE, "a window of %dx%d has more than %d elements", p->kernel[0], p->kernel[1], MOST_PLACES);
  return status;
}

typedef struct pooled_job {
  const ls_convolution *c;
  const ls_pooling *p;
  ls_convolution_job forth, back; /* x to y, or the weights' gradient; the input's */
  float *images;                  /* of each thread: the convolution's result, or its gradient */
  const float *x, *dy;
  float *y, *dx;
  uint8_t *places;
  bool want_w;
} pooled_job;

static size_t convolution_scratch(const ls_convolution *c) { return ls_round_up(ls_convolution_scratch(c), 64); }
static size_t thread_image(const ls_convolution *c) { return ls_round_up(ls_output_floats(c), 16); }

size_t ls_pooled_convolution_scratch(const ls_convolution *c) {
  return convolution_scratch(c) + (size_t)ls_pool_threads() * thread_image(c) * sizeof(float);
}

static pooled_job job_in(const ls_convolution *c, const ls_pooling *p, void *scratch) {
  return (pooled_job){.c = c, .p = p, .forth = ls_convolution_job_in(c, scratch, false), .back = ls_convolution_job_in(c, scratch, true),
                      .images = (float *)((char *)scratch + convolution_scratch(c))};
}

/* Numbers of an image after pooling. */
static size_t pooled_floats(const pooled_job *j) { return (size_t)j->c->outputs * (size_t)j->p->out_height * (size_t)j->p->out_width; }

static void forward_block(void *argument, size_t lane) {
  const pooled_job *j = argument;
  const ls_convolution *c = j->c;
  float *image = j->images + (size_t)ls_pool_index() * thread_image(c);
  for (size_t i = lane; i < (size_t)c->n; i += (size_t)ls_convolution_lanes(c)) {
    ls_convolve(&j->forth, j->x + i * ls_image_floats(c), image);
    ls_pool_note(j->forth.kernels, j->p, c->outputs, image, j->y + i * pooled_floats(j), j->places + i * pooled_floats(j));
  }
}

void ls_pooled_convolution_forward(const ls_convolution *c, const ls_pooling *p, const float *x, const float *w, const float *bias, float *y, uint8_t *places, void *scratch) {
  pooled_job job = job_in(c, p, scratch);
  job.forth.w = w, job.forth.bias = bias, job.x = x, job.y = y, job.places = places;
  ls_convolution_prepare(&job.forth, false);
  ls_parallel(LS_SITE_CONVOLUTION, (size_t)ls_convolution_lanes(c), forward_block, &job);
}

static void gradient_block(void *argument, size_t lane) {
  const pooled_job *j = argument;
  const ls_convolution *c = j->c;
  float *image = j->images + (size_t)ls_pool_index() * thread_image(c);
  for (size_t i = lane; i < (size_t)c->n; i += (size_t)ls_convolution_lanes(c)) {
    size_t at = i * pooled_floats(j);
    ls_pool_spread(j->forth.kernels, j->p, c->outputs, j->y + at, j->places + at, j->dy + at, image);
    if (j->dx != NULL) ls_convolve_back(&j->back, image, j->dx + i * ls_image_floats(c));
    if (j->want_w) ls_correlate(&j->forth, lane, i == lane, j->x + i * ls_image_floats(c), image);
  }
}

void ls_pooled_convolution_gradient(const ls_convolution *c, const ls_pooling *p, const ls_pooled_convolution *a, float *dx, float *dw, float *db, void *scratch) {
  pooled_job job = job_in(c, p, scratch);
  job.back.w = a->w, job.x = a->x, job.y = (float *)a->y, job.places = (uint8_t *)a->places, job.dy = a->dy, job.dx = dx, job.want_w = dw != NULL;
  if (dx != NULL) ls_convolution_prepare(&job.back, true);
  if (dw != NULL) ls_convolution_prepare(&job.forth, false);
  ls_parallel(LS_SITE_CONVOLUTION, (size_t)ls_convolution_lanes(c), gradient_block, &job);
  if (dw != NULL) ls_convolution_sum_lanes(&job.forth, dw, db);
}
