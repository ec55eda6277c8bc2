/* Poly-1 loss. SPDX-License-Identifier: MIT
 *
 * 1 - p_k of the largest logit comes from the log-sum-exp without it. */
#include "core/loss/penalties/penalties.h"

static const ls_parameter parameters[] = {
    {"epsilon", "number", 2, -1, INFINITY, false, false,
     "what is added to the first coefficient"},
};
enum { EPSILON };

static double value(const ls_penalty_row *r) {
  double sum = 0.0, inner = 0.0, epsilon = r->parameters[EPSILON];
  for (int32_t k = 0; k < r->classes; k++) {
    if (r->q[k] == 0.0) continue;
    sum += r->q[k] * exp(ls_log_rest(r, k));
    inner += r->q[k] * r->p[k];
  }
  for (int32_t k = 0; k < r->classes && r->gradient != NULL; k++) r->gradient[k] = epsilon * r->p[k] * (inner - r->q[k]);
  return epsilon * sum;
}

static void of_label(const double *of, const ls_penalty_labels *l) {
  for (int32_t i = 0; i < l->rows; i++) {
    l->slope[i] = of[EPSILON] * l->p[i];
    l->value[i] = of[EPSILON] * l->rest[i];
  }
}

const ls_penalty ls_penalty_poly1 = {
    .entry = {.name = "poly1",
              .title = "Poly-1 loss",
              .paper = "Leng et al. 2022, PolyLoss: a polynomial expansion perspective of classification loss functions, "
              "arXiv:2204.12511",
              .formula = "CE(q, p) + epsilon sum_k q_k (1 - p_k)",
              .property = "epsilon = 0 is the cross-entropy; the first coefficient of its expansion in 1 - p_y becomes 1 + "
              "epsilon.",
              .use = "As a cross-entropy with one more number to tune: positive where models are underconfident, negative "
              "against overconfidence.",
              .avoid = "epsilon below -1: the loss then rewards mistakes on nearly right rows, and is refused.",
              .stacking = "Linear in the target: softened and mixed ones take the published soft form (optax, timm).",
              .example = "local loss = ls.loss.poly1{ epsilon = 2 }\nprint(loss(logits, labels))",
              .parameters = parameters,
              .parameter_count = LS_COUNT(parameters)},
    .target = LS_PENALTY_LINEAR,
    .adds = true,
    .row = value,
    .label = of_label,
};
