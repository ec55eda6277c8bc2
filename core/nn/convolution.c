/* Convolution, directly or by unfolding images and matrix products. SPDX-License-Identifier: MIT
 *
 * Images are dealt to LANES lanes: a lane's work is one block of the pool. The gradient of the weights is summed over the images of a lane, then over
 * lanes in order: the lanes depend on n alone, so the bits do not depend on threads.
 *
 * Directly (convolution_direct.c), or the image is unfolded into a matrix of channels·kernel rows and output columns, on which the weights are one product;
 * kernels of 1×1 need no unfolding. */
#include "core/nn/convolution.h"

#include <lsengine/pool.h>

#include "core/base/blas.h"

#include <assert.h>
#include <string.h>

enum { LANES = 16 };

static ls_status check_pair(const char *name, const int32_t pair[2], int32_t least, ls_err *err) {
  for (int axis = 0; axis < 2; axis++)
    if (pair[axis] < least || pair[axis] > 1 << 24)
      return ls_fail(err, LS_ERANGE, "%s is %d, allowed is %d to %d", name, pair[axis], least, 1 << 24);
  return LS_OK;
}

/* Output size along an axis; 0 where the kernel does not fit. */
static int32_t output_size(int32_t size, int32_t kernel, int32_t stride, int32_t padding, int32_t dilation) {
  int64_t padded = (int64_t)size + 2 * (int64_t)padding, reach = (int64_t)dilation * (kernel - 1) + 1, out = padded < reach ? 0 : (padded - reach) / stride + 1;
  return out > INT32_MAX ? 0 : (int32_t)out;
}

static ls_status check_count(const char *what, int64_t a, int64_t b, int64_t c, int64_t d, ls_err *err) {
  double count = (double)a * (double)b * (double)c * (double)d;
  if (count > (double)((size_t)1 << 46)) return ls_fail(err, LS_ESHAPE, "%s would have %.3g elements, more than 2^46", what, count);
  return LS_OK;
}

ls_status ls_convolution_check(ls_convolution *c, ls_err *err) {
  ls_status status = check_pair("kernel", c->kernel, 1, err);
  if (status == LS_OK) status = check_pair("stride", c->stride, 1, err);
  if (status == LS_OK) status = check_pair("padding", c->padding, 0, err);
  if (status == LS_OK) status = check_pair("dilation", c->dilation, 1, err);
  if (status != LS_OK) return status;
  if (c->groups < 1) return ls_fail(err, LS_ERANGE, "groups is %d, at least 1 is allowed", c->groups);
  if (c->channels < 1 || c->outputs < 1 || c->channels % c->groups != 0 || c->outputs % c->groups != 0)
    return ls_fail(err, LS_ESHAPE, "%d groups do not divide %d input and %d output channels", c->groups, c->channels, c->outputs);
  c->out_height = output_size(c->height, c->kernel[0], c->stride[0], c->padding[0], c->dilation[0]);
  c->out_width = output_size(c->width, c->kernel[1], c->stride[1], c->padding[1], c->dilation[1]);
  if (c->out_height < 1 || c->out_width < 1)
    return ls_fail(err, LS_ESHAPE, "a kernel of %dx%d (dilation %dx%d) does not fit into images of %dx%d with padding %dx%d", c->kernel[0], c->kernel[1],
                   c->dilation[0], c->dilation[1], c->height, c->width, c->padding[0], c->padding[1]);
  int64_t unfolded = (int64_t)(c->channels / c->groups) * c->kernel[0] * c->kernel[1], pixels = (int64_t)c->out_height * c->out_width;
  if (unfolded > INT32_MAX || pixels > INT32_MAX) return ls_fail(err, LS_ESHAPE, "the unfolded image would be %lld x %lld", (long long)unfolded, (long long)pixels);
  status = check_count("the result", c->n, c->outputs, c->out_height, c->out_width, err);
  return status == LS_OK ? check_count("the scratch", LANES, unfolded, pixels, 1, err) : status;
}

int32_t ls_convolution_lanes(const ls_convolution *c) { return c->n < LANES ? c->n : LANES; }

/* Whether an image is its own unfolded matrix. */
static bool plain(const ls_convolution *c) {
  for (int axis = 0; axis < 2; axis++)
    if (c->kernel[axis] != 1 || c->stride[axis] != 1 || c->padding[axis] != 0) return false;
  return true;
}

static size_t thread_floats(const ls_convolution *c) {
  return ls_direct_fits(c) ? ls_direct_floats(c) : plain(c) ? 0 : ls_round_up((size_t)ls_unfolded_rows(c) * (size_t)ls_output_pixels(c), 16);
}

size_t ls_convolution_weight_floats(const ls_convolution *c) { /* with rows to spare for a tile */
  return (ls_round_up((size_t)(c->outputs / c->groups), LS_CONVOLVE_OUTPUTS) * (size_t)c->groups + LS_CONVOLVE_OUTPUTS) * (size_t)ls_unfolded_rows(c);
}

/* ---- areas of the scratch ---- */

static size_t take(size_t *bytes, size_t n) {
  size_t at = *bytes;
  *bytes += ls_round_up(n, 64);
  return at;
}

typedef struct areas {
  size_t sums, partial, offset[2], packed, columns, all; /* bytes */
} areas;

static areas areas_of(const ls_convolution *c) {
  size_t lanes = (size_t)ls_convolution_lanes(c);
  bool direct = ls_direct_fits(c);
  areas a = {.all = 0};
  a.sums = take(&a.all, lanes * (size_t)c->outputs * sizeof(double));
  a.partial = take(&a.all, lanes * ls_convolution_weight_floats(c) * sizeof(float));
  for (int i = 0; i < 2; i++) a.offset[i] = take(&a.all, direct ? ls_direct_offsets(c) * sizeof(ptrdiff_t) : 0);
  a.packed = take(&a.all, direct ? ls_direct_packed(c) * sizeof(float) : 0);
  a.columns = take(&a.all, (size_t)ls_pool_threads() * thread_floats(c) * sizeof(float));
  return a;
}

size_t ls_convolution_scratch(const ls_convolution *c) { return areas_of(c).all; }

ls_convolution_job ls_convolution_job_in(const ls_convolution *c, void *scratch, bool second) {
  areas a = areas_of(c);
  char *at = scratch;
  return (ls_convolution_job){.c = c, .kernels = ls_kernels_now(), .direct = ls_direct_fits(c), .sums = (double *)(at + a.sums), .partial = (float *)(at + a.partial),
                              .offset = (ptrdiff_t *)(at + a.offset[second]), .packed = (float *)(at + a.packed), .columns = (float *)(at + a.columns)};
}

/* ---- by unfolding ---- */

/* Output columns whose place in the image, column·stride + offset, lies within 0 … width-1. */
static void valid_range(int32_t out, int32_t size, int32_t stride, int32_t offset, int32_t *from, int32_t *to) {
  *from = offset >= 0 ? 0 : (int32_t)(((int64_t)-offset + stride - 1) / stride);
  int64_t last = (int64_t)size - 1 - offset;
  *to = last < 0 ? 0 : (int32_t)(last / stride + 1 < out ? last / stride + 1 : out);
  if (*from > *to) *from = *to;
}

static void unfold(const ls_convolution *c, const float *x, float *columns) {
  int32_t channels = c->channels / c->groups;
  for (int32_t channel = 0; channel < channels; channel++)
    for (int32_t r = 0; r < c->kernel[0]; r++)
      for (int32_t s = 0; s < c->kernel[1]; s++, columns += ls_output_pixels(c)) {
        int32_t down = r * c->dilation[0] - c->padding[0], right = s * c->dilation[1] - c->padding[1], from, to, stride = c->stride[1];
        valid_range(c->out_width, c->width, stride, right, &from, &to);
        for (int32_t i = 0; i < c->out_height; i++) {
          int64_t row = (int64_t)i * c->stride[0] + down;
          float *out = columns + (size_t)i * (size_t)c->out_width;
          if (row < 0 || row >= c->height) {
            memset(out, 0, (size_t)c->out_width * sizeof *out);
            continue;
          }
          const float *in = x + ((ptrdiff_t)channel * c->height + row) * c->width + right;
          for (int32_t k = 0; k < from; k++) out[k] = 0.0f;
          if (stride == 1)
            for (int32_t k = from; k < to; k++) out[k] = in[k];
          else
            for (int32_t k = from; k < to; k++) out[k] = in[(ptrdiff_t)k * stride];
          for (int32_t k = to; k < c->out_width; k++) out[k] = 0.0f;
        }
      }
}

/* The transpose of unfold: adds every column to its place. */
static void fold(const ls_convolution *c, const float *columns, float *x) {
  int32_t channels = c->channels / c->groups;
  memset(x, 0, (size_t)channels * (size_t)c->height * (size_t)c->width * sizeof *x);
  for (int32_t channel = 0; channel < channels; channel++)
    for (int32_t r = 0; r < c->kernel[0]; r++)
      for (int32_t s = 0; s < c->kernel[1]; s++, columns += ls_output_pixels(c)) {
        int32_t down = r * c->dilation[0] - c->padding[0], right = s * c->dilation[1] - c->padding[1], from, to, stride = c->stride[1];
        valid_range(c->out_width, c->width, stride, right, &from, &to);
        for (int32_t i = 0; i < c->out_height; i++) {
          int64_t row = (int64_t)i * c->stride[0] + down;
          if (row < 0 || row >= c->height) continue;
          const float *in = columns + (size_t)i * (size_t)c->out_width;
          float *out = x + ((ptrdiff_t)channel * c->height + row) * c->width + right;
          if (stride == 1)
            for (int32_t k = from; k < to; k++) out[k] += in[k];
          else
            for (int32_t k = from; k < to; k++) out[(ptrdiff_t)k * stride] += in[k];
        }
      }
}

/* ---- images ---- */

void ls_convolution_prepare(ls_convolution_job *j, bool backwards) {
  if (j->direct)
    ls_direct_prepare(j, backwards);
  else
    ls_gemm_begin();
}

/* Floats from one group of an image, or of a result, to the next. */
static size_t image_group(const ls_convolution *c) { return (size_t)(c->channels / c->groups) * (size_t)c->height * (size_t)c->width; }
static size_t output_group(const ls_convolution *c) { return (size_t)(c->outputs / c->groups) * (size_t)ls_output_pixels(c); }

static float *thread_columns(const ls_convolution_job *j) { return j->columns + (size_t)ls_pool_index() * thread_floats(j->c); }

static const float *columns_of(const ls_convolution_job *j, const float *image) {
  if (plain(j->c)) return image;
  float *columns = thread_columns(j);
  unfold(j->c, image, columns);
  return columns;
}

void ls_convolve(const ls_convolution_job *j, const float *x, float *y) {
  const ls_convolution *c = j->c;
  int32_t m = c->outputs / c->groups, k = ls_unfolded_rows(c), p = ls_output_pixels(c);
  if (j->direct) {
    ls_direct_image(j, x, y);
    return;
  }
  for (int32_t g = 0; g < c->groups; g++, x += image_group(c), y += output_group(c)) {
    const float *columns = columns_of(j, x);
    for (int32_t o = 0; o < m && j->bias != NULL; o++)
      for (int32_t q = 0; q < p; q++) y[(ptrdiff_t)o * p + q] = j->bias[g * m + o];
    ls_gemm_alone(false, false, (ls_cmat){j->w + (ptrdiff_t)g * m * k, m, k, k}, (ls_cmat){columns, k, p, p}, j->bias == NULL ? 0.0f : 1.0f, (ls_mat){y, m, p, p});
  }
}

void ls_convolve_back(const ls_convolution_job *j, const float *dy, float *dx) {
  const ls_convolution *c = j->c;
  int32_t m = c->outputs / c->groups, k = ls_unfolded_rows(c), p = ls_output_pixels(c);
  if (j->direct) {
    ls_direct_image(j, dy, dx);
    return;
  }
  for (int32_t g = 0; g < c->groups; g++, dy += output_group(c), dx += image_group(c)) {
    float *columns = plain(c) ? dx : thread_columns(j);
    ls_gemm_alone(true, false, (ls_cmat){j->w + (ptrdiff_t)g * m * k, m, k, k}, (ls_cmat){dy, m, p, p}, 0.0f, (ls_mat){columns, k, p, p});
    if (!plain(c)) fold(c, columns, dx);
  }
}

void ls_correlate(const ls_convolution_job *j, size_t lane, bool first, const float *x, const float *dy) {
  const ls_convolution *c = j->c;
  int32_t m = c->outputs / c->groups, k = ls_unfolded_rows(c), p = ls_output_pixels(c);
  if (j->direct) {
    ls_direct_weights(j, lane, first, x, dy);
    return;
  }
  float *dw = j->partial + lane * ls_convolution_weight_floats(c);
  double *db = j->sums + lane * (size_t)c->outputs;
  if (first) memset(db, 0, (size_t)c->outputs * sizeof *db);
  for (int32_t g = 0; g < c->groups; g++, x += image_group(c), dy += output_group(c)) {
    ls_gemm_alone(false, true, (ls_cmat){dy, m, p, p}, (ls_cmat){columns_of(j, x), k, p, p}, first ? 0.0f : 1.0f, (ls_mat){dw + (ptrdiff_t)g * m * k, m, k, k});
    for (int32_t o = 0; o < m; o++) db[g * m + o] += j->kernels->sum((size_t)p, dy + (ptrdiff_t)o * p);
  }
}

void ls_convolution_sum_lanes(const ls_convolution_job *j, float *dw, float *db) {
  const ls_convolution *c = j->c;
  size_t lanes = (size_t)ls_convolution_lanes(c), k = (size_t)ls_unfolded_rows(c), m = (size_t)(c->outputs / c->groups);
  size_t group = j->direct ? ls_round_up(m, LS_CONVOLVE_OUTPUTS) * k : m * k; /* floats from one group of a lane's sums to the next */
  memset(dw, 0, (size_t)c->outputs * k * sizeof *dw);
  for (size_t lane = 0; lane < lanes; lane++)
    for (size_t g = 0; g < (size_t)c->groups; g++)
      j->kernels->axpy(m * k, 1.0f, j->partial + lane * ls_convolution_weight_floats(c) + g * group, dw + g * m * k);
  for (int32_t o = 0; o < c->outputs && db != NULL; o++) {
    double sum = 0.0;
    for (size_t lane = 0; lane < lanes; lane++) sum += j->sums[lane * (size_t)c->outputs + (size_t)o];
    db[o] = (float)sum;
  }
}

/* ---- batches ---- */

static void forward_block(void *argument, size_t lane) {
  const ls_convolution_job *j = argument;
  for (size_t i = lane; i < (size_t)j->c->n; i += (size_t)ls_convolution_lanes(j->c)) ls_convolve(j, j->x + i * ls_image_floats(j->c), j->y + i * ls_output_floats(j->c));
}

void ls_convolution_forward(const ls_convolution *c, const float *x, const float *w, const float *bias, float *y, void *scratch) {
  ls_convolution_job job = ls_convolution_job_in(c, scratch, false);
  job.x = x, job.w = w, job.bias = bias, job.y = y;
  ls_convolution_prepare(&job, false);
  ls_parallel(LS_SITE_CONVOLUTION, (size_t)ls_convolution_lanes(c), forward_block, &job);
}

static void input_block(void *argument, size_t lane) {
  const ls_convolution_job *j = argument;
  for (size_t i = lane; i < (size_t)j->c->n; i += (size_t)ls_convolution_lanes(j->c)) ls_convolve_back(j, j->dy + i * ls_output_floats(j->c), j->dx + i * ls_image_floats(j->c));
}

void ls_convolution_input_gradient(const ls_convolution *c, const float *w, const float *dy, float *dx, void *scratch) {
  ls_convolution_job job = ls_convolution_job_in(c, scratch, false);
  job.w = w, job.dy = dy, job.dx = dx;
  ls_convolution_prepare(&job, true);
  ls_parallel(LS_SITE_CONVOLUTION, (size_t)ls_convolution_lanes(c), input_block, &job);
}

static void weight_block(void *argument, size_t lane) {
  const ls_convolution_job *j = argument;
  for (size_t i = lane; i < (size_t)j->c->n; i += (size_t)ls_convolution_lanes(j->c))
    ls_correlate(j, lane, i == lane, j->x + i * ls_image_floats(j->c), j->dy + i * ls_output_floats(j->c));
}

void ls_convolution_weight_gradient(const ls_convolution *c, const float *x, const float *dy, float *dw, float *db, void *scratch) {
  ls_convolution_job job = ls_convolution_job_in(c, scratch, false);
  job.x = x, job.dy = dy;
  ls_convolution_prepare(&job, false);
  ls_parallel(LS_SITE_CONVOLUTION, (size_t)ls_convolution_lanes(c), weight_block, &job);
  ls_convolution_sum_lanes(&job, dw, db);
}
