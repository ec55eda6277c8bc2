/* Softmax and losses: value and gradient side by side. SPDX-License-Identifier: MIT */
#ifndef LSENGINE_LOSS_H
#define LSENGINE_LOSS_H

#include <lsengine/target.h>

#ifdef __cplusplus
extern "C" {
#endif

/* p = softmax(z), or log p, row by row. p may be z. -inf logits get probability 0; a row with NaN, +inf or nothing but -inf
 * gives NaN. Shapes must be equal (asserted). O(nK). */
void ls_softmax(ls_cmat z, ls_mat p);
void ls_log_softmax(ls_cmat z, ls_mat log_p);

/* Gradients in z: (g - sum(g·p))·p from p, and g - p·sum(g) from log p (p = exp(log_p)). out may be g. */
void ls_softmax_backward(ls_cmat p, ls_cmat g, ls_mat out);
void ls_log_softmax_backward(ls_cmat log_p, ls_cmat g, ls_mat out);

typedef enum ls_loss_reduction { LS_LOSS_MEAN, LS_LOSS_SUM, LS_LOSS_ROWS, LS_LOSS_NONE } ls_loss_reduction;

typedef struct ls_cross_entropy_options {
  const float *class_weights; /* (K), finite, >= 0; or NULL */
  ls_ignore ignore;
  ls_loss_reduction reduction;
  bool pytorch_weighting; /* weights bend the target, and the mean's denominator is PyTorch's */
} ls_cross_entropy_options;

typedef struct ls_cross_entropy_result {
  double value;      /* by the reduction; of `none` the sum */
  double hard, soft; /* its two parts: on the labels (dense: all), on what softenings spread */
  double weight;     /* the denominator of the mean */
  int32_t kept, ignored;
} ls_cross_entropy_result;

size_t ls_cross_entropy_scratch(const ls_target *t, int32_t rows, int32_t classes);

/* loss_i = -sum_k q_ik log softmax(z_i)_k in nats; the target's entropy stays in (not KL). Over rows:
 *   mean   sum of W_i loss_i / sum of W_i over kept rows; W_i is the row's class weight: w[y], for several labels their
 *          mixture by the same weights, for dense rows sum_k q_k w_k of the rows before softening. 1 without weights. Times the
 *          target's own row weight, where it has them (with pytorch_weighting refused: LS_ERANGE).
 *   sum    sum of W_i loss_i;   rows   the same divided by the number of kept rows;   none   W_i loss_i of each row.
 * With pytorch_weighting loss_i = -sum_k w_k q_ik log p_ik, and the mean's denominator is the sum of w[y] for single labels,
 * the number of rows for others: torch.nn.functional.cross_entropy.
 * Ignored rows count nowhere; no kept row, or no weight: 0, gradient 0. -inf logits are masked classes: uniform mass spreads
 * over the classes left, a prior's or matrix's moves to them in proportion.
 * grad (n,K) or NULL receives the gradient of the value in z, of `none` of the sum of rows; it must not overlap z. rows (n) or NULL
 * receives W_i loss_i. Errors: of ls_target_resolve; LS_ESHAPE; and, found by the sweep only, so that grad and rows are
 * unspecified: LS_EVALUE for NaN and +inf logits, LS_ERANGE for mass on a masked class. O(nK), logits read once. */
ls_status ls_cross_entropy(ls_cmat z, const ls_target *t, const ls_cross_entropy_options *o, void *scratch,
                           ls_cross_entropy_result *result, const ls_mat *grad, float *rows, ls_err *err);

/* W_i of ls_cross_entropy for each row in out (rows), 0 for ignored ones; class_weights (classes) or NULL. *kept: rows that are not ignored. LS_ERANGE for a weight
 * or a label. Dense rows and scratch as for ls_target_resolve. O(rows·terms), dense O(rows·K). */
ls_status ls_row_weights(const ls_target *t, const float *class_weights, int32_t classes, ls_ignore ignore, void *scratch, float *out, int32_t *kept, ls_err *err);

/* Sum over elements of (x - y)², in double; grad (or NULL) receives scale·2(x - y). */
double ls_squared_error(size_t n, const float *x, const float *y, float scale, float *grad);

/* Sum over elements of max(z,0) - z·t + log(1 + e^-|z|), the binary cross-entropy of logits z and targets t; grad (or NULL)
 * receives scale·(sigmoid(z) - t). LS_ERANGE for a target outside 0 … 1, LS_EVALUE for a logit that is NaN or infinite;
 * checked before grad is written. */
ls_status ls_binary_cross_entropy(size_t n, const float *z, const float *t, float scale, double *sum, float *grad, ls_err *err);

#ifdef __cplusplus
}
#endif
#endif
