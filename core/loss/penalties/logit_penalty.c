/* Logit penalty. SPDX-License-Identifier: MIT
 *
 * beta/2 |z|^2 over the classes that are not masked. */
#include "core/kernels/kernels.h"
#include "core/loss/penalties/penalties.h"

static const ls_parameter parameters[] = {
    {"beta", "number", 2e-3, 0, INFINITY, false, false,
     "strength of the penalty"},
};
enum { BETA };

static double value(const ls_penalty_row *r) {
  double sum = 0.0, beta = r->parameters[BETA];
  for (int32_t k = 0; k < r->classes; k++) {
    if (ls_is_masked(r, k)) continue;
    sum += r->z[k] * r->z[k];
    if (r->gradient != NULL) r->gradient[k] = beta * r->z[k];
  }
  return 0.5 * beta * sum;
}

const ls_penalty ls_penalty_logit_penalty = {
    .entry = {.name = "logit_penalty",
              .title = "Logit penalty",
              .paper = "Dauphin and Cubuk 2021, Deconstructing the regularization of BatchNorm (the form: Kornblith et al. "
              "2021, Why do better loss functions lead to less transferable features?, arXiv:2010.16402)",
              .formula = "CE(q, p) + beta/2 sum_k z_k^2",
              .property = "The gradient of the penalty is beta z. It is not invariant to shifts: it also centres the logits.",
              .use = "As the simplest bound on logits.",
              .avoid = "Logits with a meaningful offset, and very many classes without a smaller beta: the sum grows with K.",
              .stacking = "With any target: the penalty does not look at it.",
              .example = "local loss = ls.loss.logit_penalty{ beta = 2e-3 }\nprint(loss(logits, labels))",
              .parameters = parameters,
              .parameter_count = LS_COUNT(parameters)},
    .target = LS_PENALTY_FREE,
    .adds = true,
    .row = value,
    .form = LS_FORM_LOGIT_PENALTY,
};
