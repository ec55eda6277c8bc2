/* What the parts of convolution share. SPDX-License-Identifier: MIT
 *
 * Images are dealt to lanes; a lane's images go one after the other. What a job needs besides lies in the caller's scratch: sums of each lane, and a part for each
 * thread, which stays in the cache. */
#ifndef LS_NN_CONVOLUTION_H
#define LS_NN_CONVOLUTION_H

#include <lsengine/layers.h>

#include "core/kernels/kernels.h"

/* One direction: `in` planes of rows × cols, padded by `pad`, to `out` planes. */
typedef struct ls_planes {
  int32_t in, out, rows, cols, pad[2], out_rows, out_cols;
} ls_planes;

typedef struct ls_convolution_job {
  const ls_convolution *c;
  const ls_kernels *kernels;
  const float *x, *w, *bias, *dy;
  float *y, *dx;
  double *sums;   /* of each lane: the bias's gradient */
  float *partial; /* … and the weights' */
  float *columns; /* of each thread */
  bool direct;
  /* the direct way */
  ls_planes plane;
  float *packed;
  ptrdiff_t *offset;
} ls_convolution_job;

static inline int32_t ls_unfolded_rows(const ls_convolution *c) { return c->channels / c->groups * c->kernel[0] * c->kernel[1]; }
static inline int32_t ls_output_pixels(const ls_convolution *c) { return c->out_height * c->out_width; }
static inline size_t ls_round_up(size_t n, size_t to) { return (n + to - 1) / to * to; }
static inline size_t ls_image_floats(const ls_convolution *c) { return (size_t)c->channels * (size_t)c->height * (size_t)c->width; }
static inline size_t ls_output_floats(const ls_convolution *c) { return (size_t)c->outputs * (size_t)ls_output_pixels(c); }

/* convolution.c */

/* Lanes depend on n alone. */
int32_t ls_convolution_lanes(const ls_convolution *c);

/* A lane's place in `partial`. */
size_t ls_convolution_weight_floats(const ls_convolution *c);

/* A job whose areas lie in `scratch`, of ls_convolution_scratch bytes. Of two jobs at once (`second`) one may want packed weights. */
ls_convolution_job ls_convolution_job_in(const ls_convolution *c, void *scratch, bool second);

/* Ready for images: `backwards` for ls_convolve_back, with weights that j->w has, if any, laid out. */
void ls_convolution_prepare(ls_convolution_job *j, bool backwards);

/* One image within a block of the pool: to y; to dx; to the sums of a lane, which begin with its first. */
void ls_convolve(const ls_convolution_job *j, const float *x, float *y);
void ls_convolve_back(const ls_convolution_job *j, const float *dy, float *dx);
void ls_correlate(const ls_convolution_job *j, size_t lane, bool first, const float *x, const float *dy);

/* The lanes' sums in order; db may be NULL. */
void ls_convolution_sum_lanes(const ls_convolution_job *j, float *dw, float *db);

/* convolution_direct.c: the same where the stride is 1 and the kernel larger than 1×1. */

bool ls_direct_fits(const ls_convolution *c);
size_t ls_direct_floats(const ls_convolution *c);  /* of a thread */
size_t ls_direct_packed(const ls_convolution *c);  /* floats of the weights */
size_t ls_direct_offsets(const ls_convolution *c); /* their places */
void ls_direct_prepare(ls_convolution_job *j, bool backwards);
void ls_direct_image(const ls_convolution_job *j, const float *x, float *y);
void ls_direct_weights(const ls_convolution_job *j, size_t lane, bool first, const float *x, const float *dy);

#endif
