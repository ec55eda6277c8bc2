/* Maxima of one image, for a convolution's result that is not kept. SPDX-License-Identifier: MIT */
#ifndef LS_NN_POOLING_H
#define LS_NN_POOLING_H

#include <lsengine/layers.h>

#include "core/kernels/kernels.h"

/* `planes` planes of one image x: y = relu(maximum) of each window, and which element of the window it was, counted row by row (padding, too). */
void ls_pool_note(const ls_kernels *kernels, const ls_pooling *p, int32_t planes, const float *x, float *y, uint8_t *places);

/* The gradient of x from that of y, which goes to the noted places where y is above 0. */
void ls_pool_spread(const ls_kernels *kernels, const ls_pooling *p, int32_t planes, const float *y, const uint8_t *places, const float *dy, float *dx);

#endif
