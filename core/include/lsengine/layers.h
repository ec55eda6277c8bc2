/* Layers on images and rows: convolution, pooling, normalisation; forward and backward side by side. SPDX-License-Identifier: MIT
 *
 * Images are contiguous N×C×H×W. Every function writes all of its outputs, which overlap no input. Definitions are PyTorch's
 * (torch.nn.functional of the same names). */
#ifndef LSENGINE_LAYERS_H
#define LSENGINE_LAYERS_H

#include <lsengine/status.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- convolution (cross-correlation, as every framework has it) ---- */

/* y[n,o,i,j] = b[o] + sum over c, r, s of w[o,c,r,s] · x[n, g(o)·C/G + c, i·stride + r·dilation - padding, j·…], zero outside.
 * x (n, channels, height, width), w (outputs, channels/groups, kernel, kernel), y (n, outputs, out_height, out_width). */
typedef struct ls_convolution {
  int32_t n, channels, height, width, outputs, groups;
  int32_t kernel[2], stride[2], padding[2], dilation[2]; /* rows, columns */
  int32_t out_height, out_width;                         /* set by ls_convolution_check */
} ls_convolution;

/* LS_ERANGE names what is out of range; LS_ESHAPE where groups do not divide the channels, the kernel is larger than the padded image, or
 * a size overflows. */
ls_status ls_convolution_check(ls_convolution *c, ls_err *err);

/* Bytes of scratch for each of the three below, aligned to 64 bytes, with the pool's threads of now. */
size_t ls_convolution_scratch(const ls_convolution *c);

/* By products of w with the unfolded image, image by image; O(n · outputs · channels/groups · kernel area · output area). bias (outputs) or
 * NULL. The bits depend on the shapes alone. */
void ls_convolution_forward(const ls_convolution *c, const float *x, const float *w, const float *bias, float *y, void *scratch);
void ls_convolution_input_gradient(const ls_convolution *c, const float *w, const float *dy, float *dx, void *scratch);
/* db (outputs) or NULL: sums in double. */
void ls_convolution_weight_gradient(const ls_convolution *c, const float *x, const float *dy, float *dw, float *db, void *scratch);

/* ---- pooling ---- */

typedef struct ls_pooling {
  int32_t planes, height, width; /* planes = n · channels */
  int32_t kernel[2], stride[2], padding[2];
  int32_t out_height, out_width; /* set by ls_pooling_check */
  bool average;                  /* else maximum */
  bool count_padding;            /* average: divide by the kernel's area at borders, too (PyTorch's default) */
} ls_pooling;

/* As above; padding at most half of the kernel. */
ls_status ls_pooling_check(ls_pooling *p, ls_err *err);

/* The gradient of a maximum goes to the first of equal elements. A NaN wins. O(outputs · kernel area). */
void ls_pooling_forward(const ls_pooling *p, const float *x, float *y);
void ls_pooling_backward(const ls_pooling *p, const float *x, const float *dy, float *dx);

/* ---- convolution, ReLU and max pooling at once ---- */

/* Checks both, sets p's planes and sizes, and average to false; windows of at most 256 elements, else LS_ERANGE. */
ls_status ls_pooled_convolution_check(ls_convolution *c, ls_pooling *p, ls_err *err);

/* Bytes, aligned to 64, with the pool's threads of now. */
size_t ls_pooled_convolution_scratch(const ls_convolution *c);

/* y = max_pool(relu(convolution of x)), to the bits of the three; places, as many as y has numbers: which element of its window each maximum is. What lies between is not
 * kept: a thread has one image of it. */
void ls_pooled_convolution_forward(const ls_convolution *c, const ls_pooling *p, const float *x, const float *w, const float *bias, float *y, uint8_t *places, void *scratch);

typedef struct ls_pooled_convolution {
  const float *x, *w, *y, *dy; /* what went in and came out, and the gradient of y */
  const uint8_t *places;
} ls_pooled_convolution;

/* dx, or dw, may be NULL: not wanted; db, too. */
void ls_pooled_convolution_gradient(const ls_convolution *c, const ls_pooling *p, const ls_pooled_convolution *a, float *dx, float *dw, float *db, void *scratch);

/* ---- normalisation ---- */

/* Batch norm (Ioffe & Szegedy 2015) of x (n, channels, inner): for each channel its mean and (biased) variance over n and inner. n·inner >= 1. */
typedef struct ls_channels {
  int32_t n, channels;
  size_t inner; /* height · width; 1 for rows */
} ls_channels;

void ls_batch_statistics(const ls_channels *s, const float *x, double *mean, double *variance);

/* y = (x - mean)·scale·weight + bias, scale = 1/sqrt(variance + eps) by the caller. weight and bias (channels) or NULL. */
void ls_batch_norm(const ls_channels *s, const float *x, const double *mean, const double *scale, const float *weight, const float *bias, float *y);

/* dweight[c] = sum of dy·(x - mean)·scale, dbias[c] = sum of dy (both never NULL); dx (or NULL): where the statistics are the batch's own
 * (`training`) they are differentiated, too, else they are constants. */
void ls_batch_norm_backward(const ls_channels *s, bool training, const float *x, const double *mean, const double *scale, const float *weight,
                            const float *dy, float *dx, double *dweight, double *dbias);

/* Layer norm (Ba et al. 2016) of each of n rows of d numbers: y = (x - mean)·scale·weight + bias with the row's own mean and biased variance.
 * weight and bias (d) or NULL; mean and scale (n) are kept for the way back. d >= 1. */
void ls_layer_norm(int32_t n, int32_t d, double eps, const float *x, const float *weight, const float *bias, float *y, float *mean, float *scale);
void ls_layer_norm_backward(int32_t n, int32_t d, const float *x, const float *mean, const float *scale, const float *weight, const float *dy,
                            float *dx, float *dweight, float *dbias);

#ifdef __cplusplus
}
#endif
#endif
