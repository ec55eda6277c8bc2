/* Symmetric cross-entropy. SPDX-License-Identifier: MIT
 *
 * A = log 1e-4 also bounds the log of small q_k, as clipping q at 1e-4 does in the authors' code. */
#include "core/loss/penalties/penalties.h"

static const ls_parameter parameters[] = {
    {"alpha", "number", 0.1, 0, INFINITY, false, false,
     "strength of the cross-entropy"},
    {"beta", "number", 1, 0, INFINITY, false, false,
     "strength of the reverse cross-entropy"},
    {"log_zero", "number", -9.210340371976182, -INFINITY, 0, false, true,
     "A: what log 0 is taken for, and the least that log q_k may be; log 1e-4"},
};
enum { ALPHA, BETA, LOG_ZERO };

/* log q, of 0 the floor: most classes have none. */
static double log_of(double q, double floor) { return q == 0.0 ? floor : fmax(log(q), floor); }

static double value(const ls_penalty_row *r) {
  double cross = 0.0, reverse = 0.0, mass = 0.0, alpha = r->parameters[ALPHA], beta = r->parameters[BETA], floor = r->parameters[LOG_ZERO];
  for (int32_t k = 0; k < r->classes; k++) {
    if (ls_is_masked(r, k)) continue;
    if (r->q[k] != 0.0) cross -= r->q[k] * ls_log_p(r, k);
    mass += r->q[k];
    reverse -= r->p[k] * log_of(r->q[k], floor);
  }
  for (int32_t k = 0; k < r->classes && r->gradient != NULL; k++)
    if (!ls_is_masked(r, k))
      r->gradient[k] = alpha * (mass * r->p[k] - r->q[k]) - beta * r->p[k] * (log_of(r->q[k], floor) + reverse);
  return alpha * cross + beta * reverse;
}

/* log 0 of all other classes is `floor`. */
static void of_label(const double *of, const ls_penalty_labels *l) {
  double alpha = of[ALPHA], reverse = -of[BETA] * of[LOG_ZERO];
  for (int32_t i = 0; i < l->rows; i++) {
    l->slope[i] = alpha + reverse * l->p[i];
    l->value[i] = reverse * l->rest[i] - alpha * l->log_p[i];
  }
}

const ls_penalty ls_penalty_symmetric_cross_entropy = {
    .entry = {.name = "symmetric_cross_entropy",
              .title = "Symmetric cross-entropy",
              .paper = "Wang et al. 2019, Symmetric cross entropy for robust learning with noisy labels, arXiv:1908.06112",
              .formula = "alpha CE(q, p) + beta RCE,   RCE = -sum_k p_k max(log q_k, log_zero)",
              .property = "On labels RCE = -log_zero (1 - p_y), a mean absolute error. beta = 0 and alpha = 1 is the "
              "cross-entropy.",
              .use = "Label noise: the second term is robust, the first one learns.",
              .avoid = "Comparing numbers with the paper's text: it prints log 0 = -4, its code clips q at 1e-4, as here.",
              .stacking = "Defined for any distribution q (the paper's equations 5 and 6): softened targets are right, but "
              "smoothing lifts log q_k above log_zero and so weakens RCE by far.",
              .example = "local loss = ls.loss.symmetric_cross_entropy{ alpha = 0.1, beta = 1 }\nprint(loss(logits, labels))",
              .parameters = parameters,
              .parameter_count = LS_COUNT(parameters)},
    .target = LS_PENALTY_LINEAR,
    .row = value,
    .label = of_label,
};
