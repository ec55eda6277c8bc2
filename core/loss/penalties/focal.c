/* Focal loss. SPDX-License-Identifier: MIT
 *
 * log p_y and log(1 - p_y) come from the log-sum-exp without y: no 0·inf where p_y rounds to 1 and gamma < 1. */
#include "core/loss/penalties/penalties.h"

static const ls_parameter parameters[] = {
    {"gamma", "number", 2, 0, INFINITY, false, false,
     "how much rows count less that are right already; 0: the cross-entropy"},
    {"soft", "boolean", 0, 0, 1, false, false,
     "take softened and mixed targets, by -sum_k q_k (1 - p_k)^gamma log p_k"},
};
enum { GAMMA, SOFT };

void ls_focal_terms(const double *gamma, const ls_penalty_labels *l) {
  for (int32_t i = 0; i < l->rows; i++) l->value[i] = gamma[i] == 0.0 ? 0.0 : gamma[i] * l->log_rest[i]; /* 0^0 = 1 */
  ls_exponentials(l->rows, l->value);
  for (int32_t i = 0; i < l->rows; i++) {
    double ratio = l->log_rest[i] < -36.0 ? -1.0 : l->log_p[i] / l->rest[i]; /* log p / (1-p) -> -1 as p -> 1 */
    l->slope[i] = l->value[i] * (1.0 - gamma[i] * l->p[i] * ratio);
    l->value[i] = -l->value[i] * l->log_p[i];
  }
}

static void of_label(const double *of, const ls_penalty_labels *l) {
  double gamma[LS_PENALTY_LABELS];
  for (int32_t i = 0; i < l->rows; i++) gamma[i] = of[GAMMA];
  ls_focal_terms(gamma, l);
}

static double value(const ls_penalty_row *r) {
  double sum = 0.0, total = 0.0;
  for (int32_t k = r->label < 0 ? 0 : r->label; k < (r->label < 0 ? r->classes : r->label + 1); k++) {
    if (r->q[k] == 0.0) continue;
    double slope, odds = k == r->top || k == r->label ? ls_log_odds_against(r, k) : NAN;
    double log_p = isnan(odds) ? ls_log_p(r, k) : -ls_softplus(odds), log_rest = isnan(odds) ? log1p(-r->p[k]) : -ls_softplus(-odds);
    sum += r->q[k] * ls_penalty_by_logs(r->parameters, log_p, log_rest, of_label, &slope);
    total += r->q[k] * slope;
    if (r->gradient != NULL) r->gradient[k] -= r->q[k] * slope;
  }
  for (int32_t k = 0; k < r->classes && r->gradient != NULL; k++) r->gradient[k] += total * r->p[k];
  return sum;
}

const ls_penalty ls_penalty_focal = {
    .entry = {.name = "focal",
              .title = "Focal loss",
              .paper = "Lin et al. 2017, Focal loss for dense object detection, arXiv:1708.02002",
              .formula = "-(1 - p_y)^gamma log p_y;   with soft = true: -sum_k q_k (1 - p_k)^gamma log p_k",
              .property = "gamma = 0 is the cross-entropy. The gradient is s (p - 1_y), s = (1 - p_y)^gamma - gamma p_y (1 - "
              "p_y)^(gamma - 1) log p_y, finite for every gamma and every logit.",
              .use = "Where most rows are easy; as a calibrator (Mukhoti et al. 2020), since it bounds KL minus gamma times "
              "the entropy.",
              .avoid = "Where probabilities are wanted as they are: it is not a proper score, and a large gamma makes models "
              "underconfident.",
              .stacking = "Softened and mixed targets, unless soft = true says that the form of Keras "
              "(CategoricalFocalCrossentropy without alpha) is meant; smoothing beside it makes models "
              "underconfident twice.",
              .example = "local loss = ls.loss.focal{ gamma = 2 }\nprint(loss(logits, labels), ls.loss.focal{ gamma = 2, soft = "
              "true }(logits, ls.target.uniform(0.1)(labels)))",
              .parameters = parameters,
              .parameter_count = LS_COUNT(parameters)},
    .target = LS_PENALTY_LABEL,
    .soft_when = SOFT + 1,
    .refusal = "give labels, or soft = true for the form -sum_k q_k (1 - p_k)^gamma log p_k",
    .row = value,
    .label = of_label,
};
