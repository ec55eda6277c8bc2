/* Forward correction. SPDX-License-Identifier: MIT
 *
 * As a log-sum-exp of z + log T[:, y]: finite however small p is where T allows the label. matrix: columns of T as rows. */
#include "core/loss/penalties/penalties.h"

static const ls_parameter parameters[] = {
    {"transition", "matrix", NAN, 0, 1, false, false,
     "T, K×K: T[i][j] is the probability that class i is labelled j (rows and columns in the order of the class "
     "ids); each row sums to 1"},
};
static double value(const ls_penalty_row *r) {
  const float *t = r->matrix.data + r->label * r->matrix.stride;
  double max = -INFINITY, sum = 0.0;
  for (int32_t k = 0; k < r->classes; k++)
    if (t[k] > 0.0f && r->z[k] > max) max = r->z[k];
  if (max == -INFINITY) return NAN;
  for (int32_t k = 0; k < r->classes; k++)
    if (t[k] > 0.0f) sum += (double)t[k] * exp(r->z[k] - max);
  double log_mass = max + log(sum);
  for (int32_t k = 0; k < r->classes && r->gradient != NULL; k++)
    r->gradient[k] = r->p[k] - (t[k] > 0.0f ? (double)t[k] * exp(r->z[k] - log_mass) : 0.0);
  return r->max + r->log_sum - log_mass;
}

const ls_penalty ls_penalty_forward_correction = {
    .entry = {.name = "forward_correction",
              .title = "Forward correction",
              .paper = "Patrini et al. 2017, Making deep neural networks robust to label noise: a loss correction approach, "
              "arXiv:1609.03683",
              .formula = "-log sum_k T[k][y] p_k",
              .property = "With T = I it is the cross-entropy. Its minimiser under the noise T is that of the cross-entropy on "
              "clean labels.",
              .use = "Label noise whose rates are known or were estimated.",
              .avoid = "A T that is wrong: the model then learns to undo noise that is not there.",
              .stacking = "Softened and mixed targets: T tells what labels are observed, not what rows of mass. Smoothing by a "
              "matrix (ls.target.matrix) is another way to say the same noise.",
              .example = "local noise = ls.tensor.eye(10) * 0.9 + 0.01\nlocal loss = ls.loss.forward_correction{ transition = "
              "noise }\nprint(loss(logits, labels))",
              .parameters = parameters,
              .parameter_count = LS_COUNT(parameters)},
    .target = LS_PENALTY_LABEL,
    .data = LS_PENALTY_TRANSITION,
    .refusal = "the transition matrix tells how labels are observed; give labels",
    .trouble = "the transition matrix lets no class that is left be observed as the label",
    .row = value,
};
