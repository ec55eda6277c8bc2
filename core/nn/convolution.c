/* Convolution, directly or by unfolding images and matrix products. SPDX-License-Identifier: MIT
 *
 * Images are dealt to LANES lanes, each with scratch of its own, which stays in the cache: a lane's work is one block of the pool. The
 * gradient of the weights is summed over the images of a lane, then over lanes in order: the lanes depend on n alone, so the bits do
 * not depend on threads.
 *
 * Directly, where the stride is 1: a padded image as one long row of pixels, in which a kernel element is a shift. Outputs are computed for
 * the padded width, a few columns too many at the end of each row, and these are dropped. The gradient of the input is the same
 * convolution of the padded gradient with the kernel turned round; that of the weights a correlation of both rows.
 * Otherwise the image is unfolded into a matrix of channels·kernel rows and output columns, on which the weights are one product;
 * kernels of 1×1 need no unfolding. */
#include <lsengine/layers.h>
#include <lsengine/pool.h>

#include "core/base/blas.h"
#include "core/kernels/kernels.h"

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

static int32_t unfolded_rows(const ls_convolution *c) { return c->channels / c->groups * c->kernel[0] * c->kernel[1]; }
static int32_t pixels(const ls_convolution *c) { return c->out_height * c->out_width; }
static int32_t lanes(const ls_convolution *c) { return c->n < LANES ? c->n : LANES; }

/* Whether an image is its own unfolded matrix. */
static bool plain(const ls_convolution *c) {
  for (int axis = 0; axis < 2; axis++)
    if (c->kernel[axis] != 1 || c->stride[axis] != 1 || c->padding[axis] != 0) return false;
  return true;
}

/* ---- the direct way: sizes ---- */

enum { SLACK = 2 * LS_CONVOLVE_PIXELS }; /* floats behind a buffer that tiles may read or write */

/* One direction: `in` planes of rows × cols, padded by `pad`, to `out` planes. */
typedef struct plane_job {
  int32_t in, out, rows, cols, pad[2], out_rows, out_cols;
} plane_job;

static plane_job outwards(const ls_convolution *c) {
  return (plane_job){c->channels / c->groups, c->outputs / c->groups, c->height, c->width, {c->padding[0], c->padding[1]}, c->out_height, c->out_width};
}

static plane_job inwards(const ls_convolution *c) {
  return (plane_job){c->outputs / c->groups, c->channels / c->groups, c->out_height, c->out_width,
                     {c->dilation[0] * (c->kernel[0] - 1) - c->padding[0], c->dilation[1] * (c->kernel[1] - 1) - c->padding[1]}, c->height, c->width};
}

static size_t padded_cols(const plane_job *p) { return (size_t)p->cols + 2 * (size_t)p->pad[1]; }
static size_t padded_plane(const plane_job *p) { return ((size_t)p->rows + 2 * (size_t)p->pad[0]) * padded_cols(p); }
/* Pixels from the first output to the last, in padded rows. */
static size_t span(const plane_job *p) { return ((size_t)p->out_rows - 1) * padded_cols(p) + (size_t)p->out_cols; }
static size_t round_up(size_t n, size_t to) { return (n + to - 1) / to * to; }
static float *aligned(float *p) { return (float *)(((uintptr_t)p + 63) / 64 * 64); }

/* Whether tiles waste less than half of their work on columns that are dropped; kernels of 1×1 are products anyway. */
static bool worthwhile(const plane_job *p) {
  return 2 * (size_t)p->out_rows * (size_t)p->out_cols > round_up(span(p), 48) && padded_plane(p) < (size_t)1 << 28;
}

static bool direct(const ls_convolution *c) {
  for (int axis = 0; axis < 2; axis++) {
    int64_t reach = (int64_t)c->dilation[axis] * (c->kernel[axis] - 1);
    if (c->stride[axis] != 1 || c->padding[axis] > reach || reach > 1 << 20) return false;
  }
  plane_job out = outwards(c), in = inwards(c);
  return c->kernel[0] * c->kernel[1] > 1 && worthwhile(&out) && worthwhile(&in);
}

/* Floats that a lane of the direct way needs: padded planes; for weights the gradient's rows, too. */
static size_t direct_floats(const ls_convolution *c) {
  plane_job out = outwards(c), in = inwards(c);
  size_t forward = round_up((size_t)out.in * padded_plane(&out) + SLACK, 16), back = (size_t)in.in * padded_plane(&in) + SLACK;
  size_t rows = round_up((size_t)out.out, LS_CONVOLVE_OUTPUTS) * round_up(span(&out), 16) + SLACK;
  return round_up(forward + rows > back ? forward + rows : back, 16);
}

static size_t lane_floats(const ls_convolution *c) {
  return direct(c) ? direct_floats(c) : plain(c) ? 0 : (size_t)unfolded_rows(c) * (size_t)pixels(c);
}
static size_t weight_floats(const ls_convolution *c) { /* with rows to spare for a tile */
  return (round_up((size_t)(c->outputs / c->groups), LS_CONVOLVE_OUTPUTS) * (size_t)c->groups + LS_CONVOLVE_OUTPUTS) * (size_t)unfolded_rows(c);
}
/* Weights laid out for tiles, and the shifts of the kernel's elements. */
static size_t packed_floats(const ls_convolution *c) {
  size_t area = (size_t)c->kernel[0] * (size_t)c->kernel[1], in = (size_t)(c->channels / c->groups), out = (size_t)(c->outputs / c->groups);
  size_t forward = round_up(out, LS_CONVOLVE_OUTPUTS) * in, back = round_up(in, LS_CONVOLVE_OUTPUTS) * out;
  return direct(c) ? (size_t)c->groups * (forward > back ? forward : back) * area : 0;
}
static size_t offsets(const ls_convolution *c) {
  return direct(c) ? (size_t)(c->channels > c->outputs ? c->channels : c->outputs) * (size_t)c->kernel[0] * (size_t)c->kernel[1] : 0;
}

size_t ls_convolution_scratch(const ls_convolution *c) {
  return (size_t)lanes(c) * (lane_floats(c) + weight_floats(c) + 2 * (size_t)c->outputs) * sizeof(float) + packed_floats(c) * sizeof(float) +
         offsets(c) * sizeof(ptrdiff_t) + 4 * 64;
}

typedef struct convolution_job {
  const ls_convolution *c;
  const ls_kernels *kernels;
  const float *x, *w, *bias, *dy;
  float *y, *dx, *columns, *dw;
  double *db;
  /* the direct way */
  plane_job plane;
  float *packed;
  ptrdiff_t *offset;
} convolution_job;

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
      for (int32_t s = 0; s < c->kernel[1]; s++, columns += pixels(c)) {
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
      for (int32_t s = 0; s < c->kernel[1]; s++, columns += pixels(c)) {
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

/* Where group g of image i begins. */
static const float *image_of(const ls_convolution *c, const float *x, int32_t i, int32_t g) {
  return x + ((size_t)i * (size_t)c->channels + (size_t)g * (size_t)(c->channels / c->groups)) * (size_t)c->height * (size_t)c->width;
}

static ptrdiff_t output_place(const ls_convolution *c, int32_t i, int32_t g) {
  return ((ptrdiff_t)i * c->outputs + (ptrdiff_t)g * (c->outputs / c->groups)) * pixels(c);
}

static const float *columns_of(const convolution_job *j, size_t lane, const float *image) {
  if (plain(j->c)) return image;
  float *columns = j->columns + lane * lane_floats(j->c);
  unfold(j->c, image, columns);
  return columns;
}

/* ---- the direct way ---- */

/* Copies planes with a border of zeros around each. */
static void pad_planes(const plane_job *p, const float *x, float *out) {
  size_t cols = padded_cols(p), top = (size_t)p->pad[0] * cols, left = (size_t)p->pad[1];
  for (int32_t plane = 0; plane < p->in; plane++) {
    memset(out, 0, (top + left) * sizeof *out);
    float *row = out + top + left;
    for (int32_t i = 0; i < p->rows; i++, row += cols, x += p->cols) {
      memcpy(row, x, (size_t)p->cols * sizeof *row);
      memset(row + p->cols, 0, 2 * left * sizeof *row); /* the end of this row and the beginning of the next */
    }
    out += padded_plane(p);
    if (out > row + left) memset(row - left, 0, (size_t)(out - (row - left)) * sizeof *row);
  }
  memset(out, 0, SLACK * sizeof *out);
}

/* Shifts of the kernel's elements in padded planes: offset[(plane · rows + r) · columns + s]. */
static void set_offsets(const ls_convolution *c, const plane_job *p, ptrdiff_t *offset) {
  for (int32_t plane = 0; plane < p->in; plane++)
    for (int32_t r = 0; r < c->kernel[0]; r++)
      for (int32_t s = 0; s < c->kernel[1]; s++)
        *offset++ = (ptrdiff_t)((size_t)plane * padded_plane(p) + (size_t)r * (size_t)c->dilation[0] * padded_cols(p) + (size_t)s * (size_t)c->dilation[1]);
}

/* Weights of group g by tiles: packed[tile][in][element][output of the tile], zeros beyond the last output; backwards with outputs and inputs
 * exchanged and the kernel turned round. */
static void pack_weights(const ls_convolution *c, const plane_job *p, bool backwards, int tile, const float *w, float *packed) {
  int32_t area = c->kernel[0] * c->kernel[1];
  for (int32_t from = 0; from < p->out; from += tile)
    for (int32_t in = 0; in < p->in; in++)
      for (int32_t e = 0; e < area; e++)
        for (int32_t o = from; o < from + tile; o++) {
          ptrdiff_t at = backwards ? ((ptrdiff_t)in * p->out + o) * area + area - 1 - e : ((ptrdiff_t)o * p->in + in) * area + e;
          *packed++ = o < p->out ? w[at] : 0.0f;
        }
}

static size_t packed_group(const ls_convolution *c, const plane_job *p, int tile) {
  return round_up((size_t)p->out, (size_t)tile) * (size_t)p->in * (size_t)c->kernel[0] * (size_t)c->kernel[1];
}

/* One group of one image: y (out, out_rows, out_cols). */
static void convolve_planes(const convolution_job *j, const float *x, const float *packed, const float *bias, float *padded, float *y) {
  const plane_job *p = &j->plane;
  const ls_convolution_kernels *k = j->kernels->convolution;
  float tile[LS_CONVOLVE_OUTPUTS * LS_CONVOLVE_PIXELS];
  size_t cols = padded_cols(p), end = span(p), count = (size_t)p->in * (size_t)j->c->kernel[0] * (size_t)j->c->kernel[1];
  pad_planes(p, x, padded);
  for (size_t from = 0; from < end; from += (size_t)k->pixels) {
    size_t to = from + (size_t)k->pixels < end ? from + (size_t)k->pixels : end;
    for (int32_t o = 0; o < p->out; o += k->outputs) {
      k->convolve(count, j->offset, padded + from, packed + (size_t)o * count, tile);
      int32_t last = p->out - o < k->outputs ? p->out : o + k->outputs;
      for (size_t row = from / cols; row * cols < to && row < (size_t)p->out_rows; row++) {
        size_t begin = row * cols < from ? from : row * cols, stop = row * cols + (size_t)p->out_cols < to ? row * cols + (size_t)p->out_cols : to;
        for (int32_t channel = o; channel < last && begin < stop; channel++) {
          const float *in = tile + (channel - o) * k->pixels + (begin - from);
          float *out = y + ((size_t)channel * (size_t)p->out_rows + row) * (size_t)p->out_cols + (begin - row * cols), plus = bias == NULL ? 0.0f : bias[channel];
          for (size_t q = 0; q < stop - begin; q++) out[q] = in[q] + plus;
        }
      }
    }
  }
}

static void direct_block(void *argument, size_t lane) {
  const convolution_job *j = argument;
  const ls_convolution *c = j->c;
  const plane_job *p = &j->plane;
  size_t in = (size_t)p->in * (size_t)p->rows * (size_t)p->cols, out = (size_t)p->out * (size_t)p->out_rows * (size_t)p->out_cols;
  for (int32_t i = (int32_t)lane; i < c->n; i += lanes(c))
    for (int32_t g = 0; g < c->groups; g++) {
      size_t at = (size_t)i * (size_t)c->groups + (size_t)g;
      convolve_planes(j, j->x + at * in, j->packed + (size_t)g * packed_group(c, p, j->kernels->convolution->outputs), j->bias == NULL ? NULL : j->bias + (size_t)g * (size_t)p->out,
                      j->columns + lane * lane_floats(c), j->y + at * out);
    }
}

/* Both directions: x to y with weights laid out for it. */
static void convolve_directly(convolution_job *j, bool backwards, void *scratch) {
  const ls_convolution *c = j->c;
  int tile = j->kernels->convolution->outputs;
  size_t weights = (size_t)c->outputs / (size_t)c->groups * (size_t)unfolded_rows(c);
  j->plane = backwards ? inwards(c) : outwards(c);
  j->offset = scratch;
  j->packed = (float *)(j->offset + offsets(c));
  j->columns = aligned(j->packed + packed_floats(c));
  set_offsets(c, &j->plane, j->offset);
  for (int32_t g = 0; g < c->groups; g++)
    pack_weights(c, &j->plane, backwards, tile, j->w + (size_t)g * weights, j->packed + (size_t)g * packed_group(c, &j->plane, tile));
  ls_parallel(LS_SITE_CONVOLUTION, (size_t)lanes(c), direct_block, j);
}

/* The gradient's planes as rows of the padded width, with zeros in the columns that outputs do not have; rows of zeros up to a whole tile. */
static void spread_rows(const plane_job *p, const float *dy, size_t stride, int tile, float *out) {
  size_t cols = padded_cols(p), rows = round_up((size_t)p->out, (size_t)tile);
  memset(out, 0, (rows * stride + SLACK) * sizeof *out);
  for (int32_t o = 0; o < p->out; o++)
    for (int32_t i = 0; i < p->out_rows; i++)
      memcpy(out + (size_t)o * stride + (size_t)i * cols, dy + ((size_t)o * (size_t)p->out_rows + (size_t)i) * (size_t)p->out_cols, (size_t)p->out_cols * sizeof *out);
}

static void direct_weight_block(void *argument, size_t lane) {
  const convolution_job *j = argument;
  const ls_convolution *c = j->c;
  const plane_job *p = &j->plane;
  const ls_convolution_kernels *kernels = j->kernels->convolution;
  int32_t k = unfolded_rows(c), m = p->out, area = pixels(c);
  size_t stride = round_up(span(p), 16), group = round_up((size_t)m, LS_CONVOLVE_OUTPUTS) * (size_t)k;
  float *padded = j->columns + lane * lane_floats(c), *rows = padded + round_up((size_t)p->in * padded_plane(p) + SLACK, 16), *dw = j->dw + lane * weight_floats(c);
  double *db = j->db + lane * (size_t)c->outputs;
  memset(dw, 0, weight_floats(c) * sizeof *dw);
  memset(db, 0, (size_t)c->outputs * sizeof *db);
  for (int32_t i = (int32_t)lane; i < c->n; i += lanes(c))
    for (int32_t g = 0; g < c->groups; g++) {
      const float *dy = j->dy + output_place(c, i, g);
      pad_planes(p, image_of(c, j->x, i, g), padded);
      spread_rows(p, dy, stride, kernels->outputs, rows);
      for (int32_t o = 0; o < m; o += kernels->outputs)
        for (int32_t e = 0; e < k;) { /* up to three neighbours of one row of the kernel */
          int shifts = c->kernel[1] - e % c->kernel[1] < 3 ? c->kernel[1] - e % c->kernel[1] : 3;
          kernels->correlate(shifts, round_up(span(p), (size_t)kernels->lanes), j->offset + e, padded, rows + (size_t)o * stride, (ptrdiff_t)stride,
                             dw + (size_t)g * group + (size_t)o * (size_t)k + e, k);
          e += shifts;
        }
      for (int32_t o = 0; o < m; o++) db[g * m + o] += j->kernels->sum((size_t)area, dy + (ptrdiff_t)o * area);
    }
}

/* ---- by unfolding ---- */

static void forward_block(void *argument, size_t lane) {
  const convolution_job *j = argument;
  const ls_convolution *c = j->c;
  int32_t m = c->outputs / c->groups, k = unfolded_rows(c), p = pixels(c);
  for (int32_t i = (int32_t)lane; i < c->n; i += lanes(c))
    for (int32_t g = 0; g < c->groups; g++) {
      const float *columns = columns_of(j, lane, image_of(c, j->x, i, g));
      float *y = j->y + output_place(c, i, g);
      for (int32_t o = 0; o < m && j->bias != NULL; o++)
        for (int32_t q = 0; q < p; q++) y[(ptrdiff_t)o * p + q] = j->bias[g * m + o];
      ls_gemm_alone(false, false, (ls_cmat){j->w + (ptrdiff_t)g * m * k, m, k, k}, (ls_cmat){columns, k, p, p}, j->bias == NULL ? 0.0f : 1.0f, (ls_mat){y, m, p, p});
    }
}

void ls_convolution_forward(const ls_convolution *c, const float *x, const float *w, const float *bias, float *y, void *scratch) {
  convolution_job job = {.c = c, .kernels = ls_kernels_now(), .x = x, .w = w, .bias = bias, .y = y, .columns = scratch};
  if (direct(c)) {
    convolve_directly(&job, false, scratch);
    return;
  }
  ls_gemm_begin();
  ls_parallel(LS_SITE_CONVOLUTION, (size_t)lanes(c), forward_block, &job);
}

static void input_block(void *argument, size_t lane) {
  const convolution_job *j = argument;
  const ls_convolution *c = j->c;
  int32_t m = c->outputs / c->groups, k = unfolded_rows(c), p = pixels(c);
  for (int32_t i = (int32_t)lane; i < c->n; i += lanes(c))
    for (int32_t g = 0; g < c->groups; g++) {
      float *dx = j->dx + (image_of(c, j->dx, i, g) - j->dx), *columns = plain(c) ? dx : j->columns + lane * lane_floats(c);
      ls_gemm_alone(true, false, (ls_cmat){j->w + (ptrdiff_t)g * m * k, m, k, k}, (ls_cmat){j->dy + output_place(c, i, g), m, p, p}, 0.0f, (ls_mat){columns, k, p, p});
      if (!plain(c)) fold(c, columns, dx);
    }
}

void ls_convolution_input_gradient(const ls_convolution *c, const float *w, const float *dy, float *dx, void *scratch) {
  convolution_job job = {.c = c, .kernels = ls_kernels_now(), .w = w, .dy = dy, .dx = dx, .columns = scratch};
  if (direct(c)) {
    job.x = dy;
    job.y = dx;
    convolve_directly(&job, true, scratch);
    return;
  }
  ls_gemm_begin();
  ls_parallel(LS_SITE_CONVOLUTION, (size_t)lanes(c), input_block, &job);
}

static void weight_block(void *argument, size_t lane) {
  const convolution_job *j = argument;
  const ls_convolution *c = j->c;
  int32_t m = c->outputs / c->groups, k = unfolded_rows(c), p = pixels(c);
  float *dw = j->dw + lane * weight_floats(c);
  double *db = j->db + lane * (size_t)c->outputs;
  memset(db, 0, (size_t)c->outputs * sizeof *db);
  for (int32_t i = (int32_t)lane; i < c->n; i += lanes(c))
    for (int32_t g = 0; g < c->groups; g++) {
      const float *columns = columns_of(j, lane, image_of(c, j->x, i, g)), *dy = j->dy + output_place(c, i, g);
      ls_gemm_alone(false, true, (ls_cmat){dy, m, p, p}, (ls_cmat){columns, k, p, p}, i == (int32_t)lane ? 0.0f : 1.0f, (ls_mat){dw + (ptrdiff_t)g * m * k, m, k, k});
      for (int32_t o = 0; o < m; o++) db[g * m + o] += j->kernels->sum((size_t)p, dy + (ptrdiff_t)o * p);
    }
}

void ls_convolution_weight_gradient(const ls_convolution *c, const float *x, const float *dy, float *dw, float *db, void *scratch) {
  size_t parts = (size_t)lanes(c), k = (size_t)unfolded_rows(c), m = (size_t)(c->outputs / c->groups);
  size_t group = direct(c) ? round_up(m, LS_CONVOLVE_OUTPUTS) * k : m * k; /* floats from one group of a lane's sums to the next */
  double *sums = scratch;
  ptrdiff_t *offset = (ptrdiff_t *)(sums + parts * (size_t)c->outputs);
  float *partial = (float *)(offset + offsets(c));
  convolution_job job = {.c = c, .kernels = ls_kernels_now(), .x = x, .dy = dy, .dw = partial, .columns = aligned(partial + parts * weight_floats(c)), .db = sums,
                         .plane = outwards(c), .offset = offset};
  ls_gemm_begin();
  if (direct(c)) set_offsets(c, &job.plane, offset);
  ls_parallel(LS_SITE_CONVOLUTION, parts, direct(c) ? direct_weight_block : weight_block, &job);
  memset(dw, 0, (size_t)c->outputs * k * sizeof *dw);
  for (size_t lane = 0; lane < parts; lane++)
    for (size_t g = 0; g < (size_t)c->groups; g++)
      job.kernels->axpy(m * k, 1.0f, partial + lane * weight_floats(c) + g * group, dw + g * m * k);
  for (int32_t o = 0; o < c->outputs && db != NULL; o++) {
    double sum = 0.0;
    for (size_t lane = 0; lane < parts; lane++) sum += sums[lane * (size_t)c->outputs + (size_t)o];
    db[o] = (float)sum;
  }
}
