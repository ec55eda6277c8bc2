/* Hard bootstrapping. SPDX-License-Identifier: MIT
 *
 * The model's own class as a second label. */
#include "core/kernels/kernels.h"
#include "core/loss/penalties/penalties.h"

static const ls_parameter parameters[] = {
    {"beta", "number", 0.8, 0, 1, false, false,
     "how much the target is believed"},
};
enum { BETA };

static double value(const ls_penalty_row *r) {
  double cross = 0.0, mass = 0.0, beta = r->parameters[BETA];
  for (int32_t k = 0; k < r->classes; k++) {
    if (ls_is_masked(r, k)) continue;
    cross -= r->q[k] * ls_log_p(r, k);
    mass += r->q[k];
  }
  for (int32_t k = 0; k < r->classes && r->gradient != NULL; k++)
    if (!ls_is_masked(r, k))
      r->gradient[k] = beta * (mass * r->p[k] - r->q[k]) + (1.0 - beta) * (r->p[k] - (k == r->top ? 1.0 : 0.0));
  return beta * cross - (1.0 - beta) * ls_log_p(r, r->top);
}

const ls_penalty ls_penalty_bootstrap_hard = {
    .entry = {.name = "bootstrap_hard",
              .title = "Hard bootstrapping",
              .paper = "Reed et al. 2015, Training deep neural networks on noisy labels with bootstrapping, arXiv:1412.6596",
              .formula = "-sum_k (beta q_k + (1 - beta) 1[k = argmax p]) log p_k",
              .property = "beta CE(q, p) - (1 - beta) log p_top; the argmax carries no gradient. Of equal largest logits the "
              "first counts.",
              .use = "Label noise, once the model knows something.",
              .avoid = "The first epochs, and calibration: the second term drives predictions to be sure.",
              .stacking = "Linear in the target. Smoothing and the second term pull in opposite directions.",
              .example = "local loss = ls.loss.bootstrap_hard{ beta = 0.8 }\nprint(loss(logits, labels))",
              .parameters = parameters,
              .parameter_count = LS_COUNT(parameters)},
    .target = LS_PENALTY_LINEAR,
    .row = value,
    .form = LS_FORM_BOOTSTRAP_HARD,
};
