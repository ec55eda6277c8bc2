/* Label relaxation. SPDX-License-Identifier: MIT
 *
 * log(1 - p_y) comes from the log-sum-exp without y. Gradient: p_y - (1-alpha) at y, ((1-alpha) - p_y) p_k/(1 - p_y) elsewhere.
 * alpha = .25, p = (.675, .175, .15), y = 0: .01342932. */
#include "core/loss/penalties/penalties.h"

static const ls_parameter parameters[] = {
    {"alpha", "number", 0.1, 0, 1, false, true,
     "the mass that the label may leave to other classes"},
};
enum { ALPHA };

/* 1 - alpha - p_y, where it is above 0; with alpha = 0 never rounded away. */
static double missing_of(double alpha, double p, double rest) { return alpha == 0.0 ? rest : (1.0 - alpha) - p; }

static void of_label(const double *of, const ls_penalty_labels *l) {
  double alpha = of[ALPHA], kept = log1p(-alpha), given = alpha > 0.0 ? log(alpha) : 0.0;
  for (int32_t i = 0; i < l->rows; i++) {
    double missing = missing_of(alpha, l->p[i], l->rest[i]);
    l->slope[i] = missing > 0.0 ? missing / l->rest[i] : 0.0;
    l->value[i] = missing > 0.0 ? (1.0 - alpha) * (kept - l->log_p[i]) + (alpha > 0.0 ? alpha * (given - l->log_rest[i]) : 0.0) : 0.0;
  }
}

static double value(const ls_penalty_row *r) {
  double slope, odds = ls_log_odds_against(r, r->label), log_p = -ls_softplus(odds), log_rest = -ls_softplus(-odds);
  if (log_rest >= -300.0) return ls_penalty_of_label(r, of_label);
  double missing = missing_of(r->parameters[ALPHA], exp(log_p), exp(log_rest));
  double loss = ls_penalty_by_logs(r->parameters, log_p, log_rest, of_label, &slope);
  if (!(missing > 0.0)) return 0.0;
  for (int32_t k = 0; k < r->classes && r->gradient != NULL; k++)
    if (!ls_is_masked(r, k)) r->gradient[k] = k == r->label ? -missing : missing * exp(ls_log_p(r, k) - log_rest); /* p_k may be subnormal */
  return loss;
}

const ls_penalty ls_penalty_label_relaxation = {
    .entry = {.name = "label_relaxation",
              .title = "Label relaxation",
              .paper = "Lienen and Huellermeier 2021, From label smoothing to label relaxation, AAAI 35",
              .formula = "0 where p_y >= 1 - alpha, else (1 - alpha) log((1 - alpha)/p_y) + alpha log(alpha/(1 - p_y))",
              .property = "The least KL divergence from p to any distribution that gives y at least 1 - alpha: zero, gradient "
              "too, once p_y is large enough. alpha = 0 is the cross-entropy.",
              .use = "As label smoothing that does not ask for equal probabilities of the wrong classes, nor pull back what "
              "is sure enough.",
              .avoid = "alpha of 0.5 and more: a label then need not be the most probable class.",
              .stacking = "Softened and mixed targets: the set of distributions that a label allows is its own softening.",
              .example = "local loss = ls.loss.label_relaxation{ alpha = 0.1 }\nprint(loss(logits, labels))",
              .parameters = parameters,
              .parameter_count = LS_COUNT(parameters)},
    .target = LS_PENALTY_LABEL,
    .refusal = "it softens by itself; give labels, or use the cross-entropy",
    .row = value,
    .label = of_label,
};
