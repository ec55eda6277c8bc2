/* Loss and gradients of a multilayer perceptron in one call. SPDX-License-Identifier: MIT
 *
 * What a training step of a small model costs beside its arithmetic is operations recorded one by one; this is all of them, to the same bits. */
#ifndef LSENGINE_PERCEPTRON_H
#define LSENGINE_PERCEPTRON_H

#include <lsengine/loss.h>

#ifdef __cplusplus
extern "C" {
#endif

/* y = x·weightᵀ + bias, then max(0, y) where `relu`. Arrays are contiguous and must not overlap. */
typedef struct ls_dense {
  int32_t inputs, outputs;
  const float *weight, *bias;             /* (outputs, inputs); (outputs) or NULL */
  float *weight_gradient, *bias_gradient; /* receive the gradients; bias_gradient is NULL where bias is */
  bool relu;
} ls_dense;

/* Bytes of scratch for `rows` rows, aligned to 64, with the instruction set and the threads of now. */
size_t ls_perceptron_scratch(int32_t layers, const ls_dense *layer, const ls_target *t, int32_t rows);

/* Cross-entropy of the outputs for the rows of x with the target t, and its gradients in all weights and biases. The bits are those of ls_matmul, ls_binary_apply,
 * ls_cross_entropy and ls_reduce_axis called one after the other. Errors: LS_ESHAPE where a layer does not fit the one before it, and those of ls_cross_entropy; gradients
 * are then unchanged. O(rows · weights). */
ls_status ls_perceptron_gradients(ls_cmat x, int32_t layers, const ls_dense *layer, const ls_target *t, const ls_cross_entropy_options *o, void *scratch,
                                  ls_cross_entropy_result *result, ls_err *err);

#ifdef __cplusplus
}
#endif
#endif
