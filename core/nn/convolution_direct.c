/* Convolution without unfolding. SPDX-License-Identifier: MIT
 *
 * Where the stride is 1: a padded image as one long row of pixels, in which a kernel element is a shift. Outputs are computed for
 * the padded width, a few columns too many at the end of each row, and these are dropped. The gradient of the input is the same
 * convolution of the padded gradient with the kernel turned round; that of the weights a correlation of both rows. */
#include "core/nn/convolution.h"

#include <lsengine/pool.h>

#include <string.h>

enum { SLACK = 2 * LS_CONVOLVE_PIXELS }; /* floats behind a buffer that tiles may read or write */

static ls_planes outwards(const ls_convolution *c) {
  return (ls_planes){c->channels / c->groups, c->outputs / c->groups, c->height, c->width, {c->padding[0], c->padding[1]}, c->out_height, c->out_width};
}

static ls_planes inwards(const ls_convolution *c) {
  return (ls_planes){c->outputs / c->groups, c->channels / c->groups, c->out_height, c->out_width,
                     {c->dilation[0] * (c->kernel[0] - 1) - c->padding[0], c->dilation[1] * (c->kernel[1] - 1) - c->padding[1]}, c->height, c->width};
}

static size_t padded_cols(const ls_planes *p) { return (size_t)p->cols + 2 * (size_t)p->pad[1]; }
static size_t padded_plane(const ls_planes *p) { return ((size_t)p->rows + 2 * (size_t)p->pad[0]) * padded_cols(p); }
/* Pixels from the first output to the last, in padded rows. */
static size_t span(const ls_planes *p) { return ((size_t)p->out_rows - 1) * padded_cols(p) + (size_t)p->out_cols; }

/* Whether tiles waste less than half of their work on columns that are dropped; kernels of 1×1 are products anyway. */
static bool worthwhile(const ls_planes *p) {
  return 2 * (size_t)p->out_rows * (size_t)p->out_cols > ls_round_up(span(p), 48) && padded_plane(p) < (size_t)1 << 28;
}

bool ls_direct_fits(const ls_convolution *c) {
  for (int axis = 0; axis < 2; axis++) {
    int64_t reach = (int64_t)c->dilation[axis] * (c->kernel[axis] - 1);
    if (c->stride[axis] != 1 || c->padding[axis] > reach || reach > 1 << 20) return false;
  }
  ls_planes out = outwards(c), in = inwards(c);
  return c->kernel[0] * c->kernel[1] > 1 && worthwhile(&out) && worthwhile(&in);
}

/* Padded planes; for weights the gradient's rows, too. */
size_t ls_direct_floats(const ls_convolution *c) {
  ls_planes out = outwards(c), in = inwards(c);
  size_t forward = ls_round_up((size_t)out.in * padded_plane(&out) + SLACK, 16), back = (size_t)in.in * padded_plane(&in) + SLACK;
  size_t rows = ls_round_up((size_t)out.out, LS_CONVOLVE_OUTPUTS) * ls_round_up(span(&out), 16) + SLACK;
  return ls_round_up(forward + rows > back ? forward + rows : back, 16);
}

size_t ls_direct_packed(const ls_convolution *c) {
  size_t area = (size_t)c->kernel[0] * (size_t)c->kernel[1], in = (size_t)(c->channels / c->groups), out = (size_t)(c->outputs / c->groups);
  size_t forward = ls_round_up(out, LS_CONVOLVE_OUTPUTS) * in, back = ls_round_up(in, LS_CONVOLVE_OUTPUTS) * out;
  return (size_t)c->groups * (forward > back ? forward : back) * area;
}

size_t ls_direct_offsets(const ls_convolution *c) {
  return (size_t)(c->channels > c->outputs ? c->channels : c->outputs) * (size_t)c->kernel[0] * (size_t)c->kernel[1];
}

/* Copies planes with a border of zeros around each. */
static void pad_planes(const ls_planes *p, const float *x, float *out) {
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
static void set_offsets(const ls_convolution *c, const ls_planes *p, ptrdiff_t *offset) {
  for (int32_t plane = 0; plane < p->in; plane++)
    for (int32_t r = 0; r < c->kernel[0]; r++)
      for (int32_t s = 0; s < c->kernel[1]; s++)
        *offset++ = (ptrdiff_t)((size_t)plane * padded_plane(p) + (size_t)r * (size_t)c->dilation[0] * padded_cols(p) + (size_t)s * (size_t)c->dilation[1]);
}

/* Weights of group g by tiles: packed[tile][in][element][output of the tile], zeros beyond the last output; backwards with outputs and inputs
 * exchanged and the kernel turned round. */
static void pack_weights(const ls_convolution *c, const ls_planes *p, bool backwards, int tile, const float *w, float *packed) {
  int32_t area = c->kernel[0] * c->kernel[1];
  for (int32_t from = 0; from < p->out; from += tile)
    for (int32_t in = 0; in < p->in; in++)
      for (int32_t e = 0; e < area; e++)
        for (int32_t o = from; o < from + tile; o++) {
          ptrdiff_t at = backwards ? ((ptrdiff_t)in * p->out + o) * area + area - 1 - e : ((ptrdiff_t)o * p->in + in) * area + e;
          *packed++ = o < p->out ? w[at] : 0.0f;
        }
}

static size_t packed_group(const ls_convolution *c, const ls_planes *p, int tile) {
  return ls_round_up((size_t)p->out, (size_t)tile) * (size_t)p->in * (size_t)c->kernel[0] * (size_t)c->kernel[1];
}

/* One group of one image: y (out, out_rows, out_cols). */
static void convolve_planes(const ls_convolution_job *j, const float *x, const float *packed, const float *bias, float *padded, float *y) {
  const ls_planes *p = &j->plane;
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

void ls_direct_image(const ls_convolution_job *j, const float *x, float *y) {
  const ls_convolution *c = j->c;
  const ls_planes *p = &j->plane;
  size_t in = (size_t)p->in * (size_t)p->rows * (size_t)p->cols, out = (size_t)p->out * (size_t)p->out_rows * (size_t)p->out_cols;
  float *padded = j->columns + (size_t)ls_pool_index() * ls_direct_floats(c);
  for (size_t g = 0; g < (size_t)c->groups; g++)
    convolve_planes(j, x + g * in, j->packed + g * packed_group(c, p, j->kernels->convolution->outputs), j->bias == NULL ? NULL : j->bias + g * (size_t)p->out, padded, y + g * out);
}

void ls_direct_prepare(ls_convolution_job *j, bool backwards) {
  const ls_convolution *c = j->c;
  int tile = j->kernels->convolution->outputs;
  size_t weights = (size_t)c->outputs / (size_t)c->groups * (size_t)ls_unfolded_rows(c);
  j->plane = backwards ? inwards(c) : outwards(c);
  set_offsets(c, &j->plane, j->offset);
  for (int32_t g = 0; g < c->groups && j->w != NULL; g++)
    pack_weights(c, &j->plane, backwards, tile, j->w + (size_t)g * weights, j->packed + (size_t)g * packed_group(c, &j->plane, tile));
}

/* The gradient's planes as rows of the padded width, with zeros in the columns that outputs do not have; rows of zeros up to a whole tile. */
static void spread_rows(const ls_planes *p, const float *dy, size_t stride, int tile, float *out) {
  size_t cols = padded_cols(p), rows = ls_round_up((size_t)p->out, (size_t)tile);
  memset(out, 0, (rows * stride + SLACK) * sizeof *out);
  for (int32_t o = 0; o < p->out; o++)
    for (int32_t i = 0; i < p->out_rows; i++)
      memcpy(out + (size_t)o * stride + (size_t)i * cols, dy + ((size_t)o * (size_t)p->out_rows + (size_t)i) * (size_t)p->out_cols, (size_t)p->out_cols * sizeof *out);
}

void ls_direct_weights(const ls_convolution_job *j, size_t lane, bool first, const float *x, const float *dy) {
  const ls_convolution *c = j->c;
  const ls_planes *p = &j->plane;
  const ls_convolution_kernels *kernels = j->kernels->convolution;
  int32_t k = ls_unfolded_rows(c), m = p->out, area = ls_output_pixels(c);
  size_t stride = ls_round_up(span(p), 16), group = ls_round_up((size_t)m, LS_CONVOLVE_OUTPUTS) * (size_t)k, in = (size_t)p->in * (size_t)p->rows * (size_t)p->cols;
  float *padded = j->columns + (size_t)ls_pool_index() * ls_direct_floats(c), *rows = padded + ls_round_up((size_t)p->in * padded_plane(p) + SLACK, 16);
  float *dw = j->partial + lane * ls_convolution_weight_floats(c);
  double *db = j->sums + lane * (size_t)c->outputs;
  if (first) memset(dw, 0, ls_convolution_weight_floats(c) * sizeof *dw);
  if (first) memset(db, 0, (size_t)c->outputs * sizeof *db);
  for (size_t g = 0; g < (size_t)c->groups; g++, dw += group, db += m, x += in, dy += (size_t)m * (size_t)area) {
    pad_planes(p, x, padded);
    spread_rows(p, dy, stride, kernels->outputs, rows);
    for (int32_t o = 0; o < m; o += kernels->outputs)
      for (int32_t e = 0; e < k;) { /* up to three neighbours of one row of the kernel */
        int shifts = c->kernel[1] - e % c->kernel[1] < 3 ? c->kernel[1] - e % c->kernel[1] : 3;
        kernels->correlate(shifts, ls_round_up(span(p), (size_t)kernels->lanes), j->offset + e, padded, rows + (size_t)o * stride, (ptrdiff_t)stride,
                           dw + (size_t)o * (size_t)k + e, k);
        e += shifts;
      }
    for (int32_t o = 0; o < m; o++) db[o] += j->kernels->sum((size_t)area, dy + (ptrdiff_t)o * area);
  }
}
