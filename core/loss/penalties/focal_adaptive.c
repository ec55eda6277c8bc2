/* Sample-dependent focal loss (FLSD-53). SPDX-License-Identifier: MIT
 *
 * gamma by row: 5 where p_y < 0.2, else 3. */
#include "core/loss/penalties/penalties.h"

static const ls_parameter parameters[] = {
    {"threshold", "number", 0.2, 0, 1, false, false,
     "the p_y below which a row counts as hard"},
    {"gamma_below", "number", 5, 0, INFINITY, false, false,
     "gamma of hard rows"},
    {"gamma_above", "number", 3, 0, INFINITY, false, false,
     "gamma of the others"},
};
enum { THRESHOLD, GAMMA_BELOW, GAMMA_ABOVE };

static void of_label(const double *of, const ls_penalty_labels *l) {
  double gamma[LS_PENALTY_LABELS];
  for (int32_t i = 0; i < l->rows; i++) gamma[i] = of[l->p[i] < of[THRESHOLD] ? GAMMA_BELOW : GAMMA_ABOVE];
  ls_focal_terms(gamma, l);
}

static double value(const ls_penalty_row *r) { return ls_penalty_of_label(r, of_label); }

const ls_penalty ls_penalty_focal_adaptive = {
    .entry = {.name = "focal_adaptive",
              .title = "Sample-dependent focal loss (FLSD-53)",
              .paper = "Mukhoti et al. 2020, Calibrating deep neural networks using focal loss, arXiv:2002.09437",
              .formula = "-(1 - p_y)^g log p_y, g = gamma_below where p_y < threshold, else gamma_above",
              .property = "Each row is the focal loss of its own gamma, which carries no gradient; at p_y = threshold the value "
              "jumps.",
              .use = "As a calibrator that needs no tuning of gamma.",
              .avoid = "Where the loss must be continuous: a line search or a second-order method.",
              .stacking = "Softened and mixed targets: which gamma is meant hangs on one p_y.",
              .example = "local loss = ls.loss.focal_adaptive{}\nprint(loss(logits, labels))",
              .parameters = parameters,
              .parameter_count = LS_COUNT(parameters)},
    .target = LS_PENALTY_LABEL,
    .refusal = "give labels, or use ls.loss.focal with soft = true",
    .row = value,
    .label = of_label,
};
