/* Generalised cross-entropy. SPDX-License-Identifier: MIT
 *
 * By expm1 of q log p_y, right for small q and for p_y near 1. Without the truncation of the paper's section 3.3. */
#include "core/loss/penalties/penalties.h"

static const ls_parameter parameters[] = {
    {"q", "number", 0.7, 0, 1, false, false,
     "from the cross-entropy (0) to the mean absolute error (1)"},
};
enum { Q };

static void of_label(const double *of, const ls_penalty_labels *l) {
  double q = of[Q];
  for (int32_t i = 0; i < l->rows; i++) l->slope[i] = q * l->log_p[i];
  ls_expm1(l->rows, l->slope, l->value);
  ls_exponentials(l->rows, l->slope);
  for (int32_t i = 0; i < l->rows; i++) l->value[i] = q == 0.0 ? -l->log_p[i] : -l->value[i] / q;
}

static double value(const ls_penalty_row *r) { return ls_penalty_of_label(r, of_label); }

const ls_penalty ls_penalty_generalised_cross_entropy = {
    .entry = {.name = "generalised_cross_entropy",
              .title = "Generalised cross-entropy",
              .paper = "Zhang and Sabuncu 2018, Generalized cross entropy loss for training deep neural networks with noisy "
              "labels, arXiv:1805.07836",
              .formula = "(1 - p_y^q) / q",
              .property = "q -> 0 is the cross-entropy (q = 0 computes it), q = 1 is 1 - p_y, half the mean absolute error. The "
              "loss is bounded by 1/q: a wrong label cannot dominate. The gradient is p_y^q (p - 1_y).",
              .use = "Label noise.",
              .avoid = "Clean labels and hard classes: rows with small p_y hardly teach. A large q with many classes trains "
              "slowly.",
              .stacking = "Softened and mixed targets: the noise that it allows for is that of labels, and a mixture has no p_y.",
              .example = "local loss = ls.loss.generalised_cross_entropy{ q = 0.7 }\nprint(loss(logits, labels))",
              .parameters = parameters,
              .parameter_count = LS_COUNT(parameters)},
    .target = LS_PENALTY_LABEL,
    .refusal = "give labels",
    .row = value,
    .label = of_label,
};
