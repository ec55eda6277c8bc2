/* Margin-based label smoothing (MbLS). SPDX-License-Identifier: MIT
 *
 * A mean over rows of the sum over classes (the paper's equation); the authors' code takes the mean over rows and classes. */
#include "core/kernels/kernels.h"
#include "core/loss/penalties/penalties.h"

static const ls_parameter parameters[] = {
    {"margin", "number", 10, 0, INFINITY, false, false,
     "the gap to the largest logit that is allowed"},
    {"alpha", "number", 0.1, 0, INFINITY, false, false,
     "strength of the penalty"},
    {"mean_over_classes", "boolean", 0, 0, 1, false, false,
     "divide a row's sum by the classes, as the authors' code does: there alpha is K times weaker"},
};
enum { MARGIN, ALPHA, MEAN_OVER_CLASSES };

static double value(const ls_penalty_row *r) {
  double sum = 0.0, by = r->parameters[ALPHA] / (r->parameters[MEAN_OVER_CLASSES] != 0.0 ? r->left : 1);
  for (int32_t k = 0; k < r->classes; k++) {
    double over = r->max - r->z[k] - r->parameters[MARGIN];
    if (ls_is_masked(r, k) || !(over > 0.0)) continue;
    sum += over;
    if (r->gradient == NULL) continue;
    r->gradient[k] -= by;
    r->gradient[r->top] += by;
  }
  return by * sum;
}

const ls_penalty ls_penalty_margin_smoothing = {
    .entry = {.name = "margin_smoothing",
              .title = "Margin-based label smoothing (MbLS)",
              .paper = "Liu et al. 2022, The devil is in the margin: margin-based label smoothing for network calibration, "
              "arXiv:2111.15430",
              .formula = "CE(q, p) + alpha sum_k max(0, max_j z_j - z_k - margin)",
              .property = "Rows whose logits all lie within the margin of the largest have no penalty and no gradient from it. "
              "Of equal largest logits the first takes the gradient.",
              .use = "As label smoothing that stops once the gap between logits is small enough.",
              .avoid = "Logits whose scale carries meaning of its own. The authors' code divides by K: its alpha = 0.1 is "
              "alpha = 0.1, mean_over_classes = true here.",
              .stacking = "With any target: the penalty does not look at it. Label smoothing bounds the same gaps: only one of "
              "the two will act.",
              .example = "local loss = ls.loss.margin_smoothing{ margin = 10, alpha = 0.1 }\nprint(loss(logits, labels))",
              .parameters = parameters,
              .parameter_count = LS_COUNT(parameters)},
    .target = LS_PENALTY_FREE,
    .adds = true,
    .row = value,
    .form = LS_FORM_MARGIN_SMOOTHING,
};
