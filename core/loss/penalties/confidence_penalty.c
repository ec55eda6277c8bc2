/* Confidence penalty. SPDX-License-Identifier: MIT
 *
 * CE - beta H(p), or CE + beta max(0, G - H(p)). The paper prints the hinge with the opposite sign; this one penalises low entropy. */
#include "core/kernels/kernels.h"
#include "core/loss/penalties/penalties.h"

static const ls_parameter parameters[] = {
    {"beta", "number", 0.1, 0, INFINITY, false, false,
     "strength of the penalty"},
    {"hinge", "number", 0, 0, INFINITY, false, false,
     "the entropy in nats below which a row is penalised; 0: all rows, by -beta H"},
};
enum { BETA, HINGE };

static double value(const ls_penalty_row *r) {
  double entropy = 0.0, beta = r->parameters[BETA], hinge = r->parameters[HINGE];
  for (int32_t k = 0; k < r->classes; k++)
    if (!ls_is_masked(r, k)) entropy -= r->p[k] * ls_log_p(r, k);
  if (hinge > 0.0 && entropy >= hinge) return 0.0;
  for (int32_t k = 0; k < r->classes && r->gradient != NULL; k++)
    if (!ls_is_masked(r, k)) r->gradient[k] = beta * r->p[k] * (ls_log_p(r, k) + entropy);
  return beta * (hinge > 0.0 ? hinge - entropy : -entropy);
}

const ls_penalty ls_penalty_confidence_penalty = {
    .entry = {.name = "confidence_penalty",
              .title = "Confidence penalty",
              .paper = "Pereyra et al. 2017, Regularizing neural networks by penalizing confident output distributions, "
              "arXiv:1701.06548",
              .formula = "CE(q, p) - beta H(p);   with a hinge G: CE(q, p) + beta max(0, G - H(p));   H(p) = -sum_k p_k log p_k",
              .property = "The gradient of -beta H is beta p_j (log p_j + H): zero at the uniform distribution and for classes "
              "without mass. A hinge leaves rows with H >= G alone.",
              .use = "Against overconfidence, in place of label smoothing: it does not push wrong classes towards equal "
              "probabilities.",
              .avoid = "A beta that lets the penalty outweigh the labels: the loss has no floor in H, and predictions become "
              "uniform. Some libraries average over rows and classes: their beta is K times weaker.",
              .stacking = "With any target: the penalty does not look at it. Beside label smoothing it penalises confidence "
              "twice.",
              .example = "local loss = ls.loss.confidence_penalty{ beta = 0.1 }\nprint(loss(logits, labels))",
              .parameters = parameters,
              .parameter_count = LS_COUNT(parameters)},
    .target = LS_PENALTY_FREE,
    .adds = true,
    .row = value,
    .form = LS_FORM_CONFIDENCE_PENALTY,
};
