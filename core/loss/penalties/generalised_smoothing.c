/* Generalised label smoothing, negative rates included. SPDX-License-Identifier: MIT
 *
 * A negative rate takes the mean of -log p_k away: as the true logit grows, that falls without end. The authors train with plain cross-entropy first; here each -log p_k
 * that is taken away counts up to `bound`, beyond which it has no gradient, so that the loss is never below rate · bound. */
#include "core/kernels/kernels.h"
#include "core/loss/penalties/penalties.h"

static const ls_parameter parameters[] = {
    {"rate", "number", -0.2, -1000, 1, false, false,
     "r: above 0 label smoothing of that mass, 0 the cross-entropy, below 0 negative smoothing; the paper tries 0.8 to -8"},
    {"bound", "number", 10, 0, INFINITY, true, false,
     "of a negative rate: the most that -log p_k of a class counts for, in nats"},
};
enum { RATE, BOUND };

static double value(const ls_penalty_row *r) {
  double rate = r->parameters[RATE], share = rate / r->left, sum = 0.0, counted = 0.0;
  for (int32_t k = 0; k < r->classes; k++) {
    if (ls_is_masked(r, k)) continue;
    double nll = -ls_log_p(r, k);
    bool within = rate >= 0.0 || nll < r->parameters[BOUND];
    sum += within ? nll : r->parameters[BOUND];
    counted += within;
    if (r->gradient != NULL && within) r->gradient[k] -= share;
  }
  for (int32_t k = 0; k < r->classes && r->gradient != NULL; k++)
    if (!ls_is_masked(r, k)) r->gradient[k] += (share * counted + 1.0 - rate) * r->p[k] - (k == r->label ? 1.0 - rate : 0.0);
  return (1.0 - rate) * ls_softplus(ls_log_odds_against(r, r->label)) + share * sum;
}

const ls_penalty ls_penalty_generalised_smoothing = {
    .entry = {.name = "generalised_smoothing",
              .title = "Generalised (negative) label smoothing",
              .paper = "Wei et al. 2022, To smooth or not? When label smoothing meets noisy labels, arXiv:2106.04149",
              .formula = "-(1 - rate) log p_y - rate/K sum_k log p_k;   with rate below 0 each -log p_k of the sum at most `bound`",
              .property = "With a rate from 0 it is the cross-entropy of uniform(rate). With one below 0 it is not below rate · bound, where the form without a bound has no "
              "minimum.",
              .use = "High label noise, after some epochs of plain cross-entropy: there the authors find negative rates better than positive ones.",
              .avoid = "A clean data set, and a negative rate from the first epoch; a large bound, which lets single rows grow without end.",
              .stacking = "Softened and mixed targets: it is a smoothing, of either sign. Two of opposite sign undo each other.",
              .example = "local loss = ls.loss.generalised_smoothing{ rate = -0.4 }\nprint(loss(logits, labels))",
              .parameters = parameters,
              .parameter_count = LS_COUNT(parameters)},
    .target = LS_PENALTY_LABEL,
    .refusal = "it is a smoothing itself, of one label a row; give labels",
    .row = value,
    .form = LS_FORM_GENERALISED_SMOOTHING,
};
