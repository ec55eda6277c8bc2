/* Logit normalisation. SPDX-License-Identifier: MIT
 *
 * No small number is added to the norm: the invariance is exact, and a row of zeros is treated apart. The authors add 1e-7.
 * With w = z/(tau n) and g = dCE/dw:  dL/dz = (g - z (z·g)/n^2) / (tau n). */
#include "core/kernels/kernels.h"
#include "core/loss/penalties/penalties.h"

static const ls_parameter parameters[] = {
    {"temperature", "number", 0.04, 0, INFINITY, true, false,
     "tau: 1/tau is the norm that logits are brought to"},
};
enum { TEMPERATURE };

static double value(const ls_penalty_row *r) {
  double squares = 0.0, cross = 0.0, mass = 0.0, along = 0.0, largest = 0.0;
  for (int32_t k = 0; k < r->classes; k++)
    if (!ls_is_masked(r, k)) largest = fmax(largest, fabs(r->z[k]));
  for (int32_t k = 0; k < r->classes && largest > 0.0; k++)
    if (!ls_is_masked(r, k)) squares += r->z[k] / largest * (r->z[k] / largest);
  double norm = largest * sqrt(squares), by = norm > 0.0 ? 1.0 / (r->parameters[TEMPERATURE] * norm) : 0.0;
  for (int32_t k = 0; k < r->classes; k++) r->work[k] = ls_is_masked(r, k) ? -INFINITY : by * (r->z[k] - r->max);
  ls_exponentials(r->classes, r->work);
  double sum = ls_sum(r->classes, r->work), log_sum = log(sum);
  for (int32_t k = 0; k < r->classes; k++) {
    if (ls_is_masked(r, k)) continue;
    cross += r->q[k] * (log_sum - by * (r->z[k] - r->max));
    mass += r->q[k];
  }
  if (r->gradient == NULL || by == 0.0) return cross;
  for (int32_t k = 0; k < r->classes; k++) {
    if (ls_is_masked(r, k)) continue;
    r->gradient[k] = mass / sum * r->work[k] - r->q[k];
    along += r->gradient[k] * (r->z[k] / norm);
  }
  for (int32_t k = 0; k < r->classes; k++)
    if (!ls_is_masked(r, k)) r->gradient[k] = by * (r->gradient[k] - r->z[k] / norm * along);
  return cross;
}

const ls_penalty ls_penalty_logit_norm = {
    .entry = {.name = "logit_norm",
              .title = "Logit normalisation",
              .paper = "Wei et al. 2022, Mitigating neural network overconfidence with logit normalization, arXiv:2205.09310",
              .formula = "CE(q, softmax(z / (temperature |z|))), |z| the Euclidean norm",
              .property = "Scaling all logits of a row by a positive number changes nothing, and the gradient is orthogonal to "
              "z. The loss cannot fall below what logits of norm 1/temperature reach.",
              .use = "For detection of inputs from elsewhere, and against growing norms.",
              .avoid = "Where logits are not judged at the same norm: evaluate z / (temperature |z|), too. A row of zeros "
              "gives log K without a gradient.",
              .stacking = "Linear in the target: softened and mixed ones are right. Penalties on the size of logits would fight "
              "a size that no longer matters.",
              .example = "local loss = ls.loss.logit_norm{ temperature = 0.04 }\nprint(loss(logits, labels))",
              .parameters = parameters,
              .parameter_count = LS_COUNT(parameters)},
    .target = LS_PENALTY_LINEAR,
    .works = 1,
    .row = value,
    .form = LS_FORM_LOGIT_NORM,
};
