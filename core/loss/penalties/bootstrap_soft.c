/* Soft bootstrapping. SPDX-License-Identifier: MIT
 *
 * The paper's inner p carries a gradient (its section 3.2 reads the loss as entropy minimisation). */
#include "core/kernels/kernels.h"
#include "core/loss/penalties/penalties.h"

static const ls_parameter parameters[] = {
    {"beta", "number", 0.95, 0, 1, false, false,
     "how much the target is believed"},
    {"detach", "boolean", 0, 0, 1, false, false,
     "take the inner p as a constant, as some implementations do; the paper derives entropy minimisation, which "
     "needs its gradient"},
};
enum { BETA, DETACH };

static double value(const ls_penalty_row *r) {
  double cross = 0.0, entropy = 0.0, mass = 0.0, beta = r->parameters[BETA];
  for (int32_t k = 0; k < r->classes; k++) {
    if (ls_is_masked(r, k)) continue;
    cross -= r->q[k] * ls_log_p(r, k);
    entropy -= r->p[k] * ls_log_p(r, k);
    mass += r->q[k];
  }
  for (int32_t k = 0; k < r->classes && r->gradient != NULL; k++) {
    if (ls_is_masked(r, k)) continue;
    r->gradient[k] = beta * (mass * r->p[k] - r->q[k]);
    if (r->parameters[DETACH] == 0.0) r->gradient[k] -= (1.0 - beta) * r->p[k] * (ls_log_p(r, k) + entropy);
  }
  return beta * cross + (1.0 - beta) * entropy;
}

const ls_penalty ls_penalty_bootstrap_soft = {
    .entry = {.name = "bootstrap_soft",
              .title = "Soft bootstrapping",
              .paper = "Reed et al. 2015, Training deep neural networks on noisy labels with bootstrapping, arXiv:1412.6596",
              .formula = "-sum_k (beta q_k + (1 - beta) p_k) log p_k",
              .property = "beta CE(q, p) + (1 - beta) H(p): a confidence penalty of negative strength. With detach = true the "
              "inner p is a constant, and the gradient is beta (p - q): that of beta times the cross-entropy.",
              .use = "Label noise, once the model knows something.",
              .avoid = "The first epochs, and calibration: the entropy term drives predictions to be sure.",
              .stacking = "Linear in the target. Smoothing and the entropy term pull in opposite directions.",
              .example = "local loss = ls.loss.bootstrap_soft{ beta = 0.95 }\nprint(loss(logits, labels))",
              .parameters = parameters,
              .parameter_count = LS_COUNT(parameters)},
    .target = LS_PENALTY_LINEAR,
    .row = value,
    .form = LS_FORM_BOOTSTRAP_SOFT,
};
