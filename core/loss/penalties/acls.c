/* Adaptive and conditional label smoothing (ACLS). SPDX-License-Identifier: MIT
 *
 * Of equal largest logits the first counts as the maximum. 1/(K-1) is part of the published row, of which the mean over rows is taken. */
#include "core/kernels/kernels.h"
#include "core/loss/penalties/penalties.h"

static const ls_parameter parameters[] = {
    {"alpha", "number", 0.1, 0, INFINITY, false, false,
     "strength of both terms"},
    {"positive", "number", 1, 0, INFINITY, false, false,
     "strength of the term of the largest logit"},
    {"negative", "number", 0.1, 0, INFINITY, false, false,
     "strength of the term of the others"},
    {"margin", "number", 10, 0, INFINITY, false, false,
     "the margin of both terms"},
    {"detach", "boolean", 1, 0, 1, false, false,
     "z_max carries no gradient in the second term, as in the authors' code"},
    {"mean_over_classes", "boolean", 1, 0, 1, false, false,
     "divide the second term by the other classes, as the authors' code does, whose constants are the defaults; "
     "false: their sum"},
};
enum { ALPHA, POSITIVE, NEGATIVE, MARGIN, DETACH, MEAN_OVER_CLASSES };

static double value(const ls_penalty_row *r) {
  const double *o = r->parameters;
  double top = r->max - o[MARGIN], first = 0.0, second = 0.0, alpha = o[ALPHA];
  double by = alpha * o[NEGATIVE] / (o[MEAN_OVER_CLASSES] != 0.0 && r->left > 1 ? r->left - 1 : 1);
  if (top > 0.0) first = alpha * o[POSITIVE] * top * top;
  if (top > 0.0 && r->gradient != NULL) r->gradient[r->top] += 2.0 * alpha * o[POSITIVE] * top;
  for (int32_t k = 0; k < r->classes; k++) {
    double over = r->max - r->z[k] - o[MARGIN];
    if (ls_is_masked(r, k) || k == r->top || !(over > 0.0)) continue;
    second += by * over * over;
    if (r->gradient == NULL) continue;
    r->gradient[k] -= 2.0 * by * over;
    if (o[DETACH] == 0.0) r->gradient[r->top] += 2.0 * by * over;
  }
  return first + second;
}

const ls_penalty ls_penalty_acls = {
    .entry = {.name = "acls",
              .title = "Adaptive and conditional label smoothing (ACLS)",
              .paper = "Park et al. 2023, ACLS: adaptive and conditional label smoothing for network calibration, "
              "arXiv:2308.11911",
              .formula = "CE(q, p) + alpha (positive max(0, z_max - margin)^2 + negative/(K-1) sum_{k not max} max(0, z_max - "
              "z_k - margin)^2)",
              .property = "The first term pulls the largest logit down to the margin, the second pulls the others up; z_max "
              "carries no gradient in the second (unless detach = false).",
              .use = "As margin smoothing whose strength grows with the distance from the margin.",
              .avoid = "Logits with a large common offset: the first term is not invariant to shifts.",
              .stacking = "With any target: the penalty does not look at it. Beside label smoothing or margin smoothing only one "
              "of them will act.",
              .example = "local loss = ls.loss.acls{ alpha = 0.1 }\nprint(loss(logits, labels))",
              .parameters = parameters,
              .parameter_count = LS_COUNT(parameters)},
    .target = LS_PENALTY_FREE,
    .adds = true,
    .row = value,
    .form = LS_FORM_ACLS,
};
