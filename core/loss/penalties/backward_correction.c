/* Backward correction. SPDX-License-Identifier: MIT
 *
 * The inverse is taken once, in double, and kept as floats: relative error 6e-8 of an entry. */
#include "core/loss/penalties/penalties.h"

static const ls_parameter parameters[] = {
    {"transition", "matrix", NAN, 0, 1, false, false,
     "T, K×K: T[i][j] is the probability that class i is labelled j (rows and columns in the order of the class "
     "ids); each row sums to 1"},
};
static double value(const ls_penalty_row *r) {
  const float *inverse = r->matrix.data + r->label * r->matrix.stride;
  double sum = 0.0, mass = 0.0;
  for (int32_t k = 0; k < r->classes; k++) {
    double by = (double)inverse[k];
    if (by == 0.0) continue;
    if (ls_is_masked(r, k)) return NAN;
    sum -= by * ls_log_p(r, k);
    mass += by;
  }
  for (int32_t k = 0; k < r->classes && r->gradient != NULL; k++)
    if (!ls_is_masked(r, k)) r->gradient[k] = mass * r->p[k] - (double)inverse[k];
  return sum;
}

const ls_penalty ls_penalty_backward_correction = {
    .entry = {.name = "backward_correction",
              .title = "Backward correction",
              .paper = "Patrini et al. 2017, Making deep neural networks robust to label noise: a loss correction approach, "
              "arXiv:1609.03683",
              .formula = "-sum_k (T^-1)[y][k] log p_k",
              .property = "With T = I it is the cross-entropy. Its expectation over labels drawn by T is the cross-entropy on "
              "the clean label, for any p.",
              .use = "Label noise whose rates are known: the loss is unbiased.",
              .avoid = "A T near singular: entries of the inverse are large, and so is the variance (entries above 1e4 are "
              "refused). The loss may be negative and has no lower bound; forward correction trains more steadily.",
              .stacking = "Softened and mixed targets: T tells what labels are observed, not what rows of mass. Masked classes: "
              "their loss would be infinite.",
              .example = "local noise = ls.tensor.eye(10) * 0.9 + 0.01\nlocal loss = ls.loss.backward_correction{ transition = "
              "noise }\nprint(loss(logits, labels))",
              .parameters = parameters,
              .parameter_count = LS_COUNT(parameters)},
    .target = LS_PENALTY_LABEL,
    .data = LS_PENALTY_INVERSE,
    .refusal = "the transition matrix tells how labels are observed; give labels",
    .trouble = "a class that the inverse of the transition matrix needs is masked (its logit is -inf)",
    .row = value,
};
