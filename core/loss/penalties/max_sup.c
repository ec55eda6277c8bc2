/* Max suppression (MaxSup). SPDX-License-Identifier: MIT
 *
 * Of equal largest logits the first takes the gradient. The mean is over the classes that are not masked. */
#include "core/kernels/kernels.h"
#include "core/loss/penalties/penalties.h"

static const ls_parameter parameters[] = {
    {"alpha", "number", 0.1, 0, INFINITY, false, false,
     "strength of the penalty"},
};
enum { ALPHA };

static double value(const ls_penalty_row *r) {
  double shifted = 0.0, alpha = r->parameters[ALPHA];
  for (int32_t k = 0; k < r->classes; k++) {
    if (ls_is_masked(r, k)) continue;
    shifted += r->max - r->z[k];
    if (r->gradient != NULL) r->gradient[k] = alpha * ((k == r->top ? 1.0 : 0.0) - 1.0 / r->left);
  }
  return alpha * shifted / r->left;
}

const ls_penalty ls_penalty_max_sup = {
    .entry = {.name = "max_sup",
              .title = "Max suppression (MaxSup)",
              .paper = "Zhou et al. 2025, MaxSup: overcoming representation collapse in label smoothing, arXiv:2502.15798",
              .formula = "CE(q, p) + alpha (max_k z_k - mean_k z_k)",
              .property = "The penalty's gradient is alpha (1 - 1/K) at the largest logit and -alpha/K elsewhere; it is "
              "invariant to shifts. A class weight weighs the row, not the class that is suppressed.",
              .use = "In place of label smoothing, whose e (z_y - mean z) punishes the true logit even where another class "
              "wins.",
              .avoid = "Where a bound on logits is wanted: the penalty is linear, and large where logits are. The paper lets "
              "alpha grow from 0.1 to 0.2 over the epochs.",
              .stacking = "With any target: the penalty does not look at it. Label smoothing is the same penalty on z_y: "
              "together they add up on rows that are right.",
              .example = "local loss = ls.loss.max_sup{ alpha = 0.1 }\nprint(loss(logits, labels))",
              .parameters = parameters,
              .parameter_count = LS_COUNT(parameters)},
    .target = LS_PENALTY_FREE,
    .adds = true,
    .row = value,
    .form = LS_FORM_MAX_SUP,
};
