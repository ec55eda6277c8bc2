/* Class adaptive label smoothing (CALS). SPDX-License-Identifier: MIT
 *
 * Margin smoothing with a multiplier for each class; what updates them stands in scripts/loss/penalties.lua. */
#include "core/loss/penalties/penalties.h"

static const ls_parameter parameters[] = {
    {"margin", "number", 10, 0, INFINITY, false, false,
     "the gap to the largest logit that is allowed"},
    {"alpha", "number", 0.1, 0, INFINITY, false, false,
     "every multiplier at the start"},
    {"mean_over_classes", "boolean", 0, 0, 1, false, false,
     "divide a row's sum by the classes, as the authors' code does: there alpha is K times weaker"},
    {"factor", "number", 1.1, 1, INFINITY, false, false,
     "by what a multiplier grows or shrinks in an update"},
    {"tolerance", "number", 1.1, 1, INFINITY, false, false,
     "by what a penalty must have grown or fallen for it"},
    {"minimum", "number", 1e-6, 0, INFINITY, true, false,
     "the least that a multiplier may become"},
    {"maximum", "number", 1e6, 0, INFINITY, true, false,
     "the most that a multiplier may become"},
};
enum { MARGIN, ALPHA, MEAN_OVER_CLASSES, FACTOR, TOLERANCE, MINIMUM, MAXIMUM };

ls_status ls_cals_penalties(ls_cmat z, double margin, const float *lambda, double alpha, double *sums, float *out, ls_err *err) {
  if (z.rows < 1 || z.cols < 1) return ls_fail(err, LS_ESHAPE, "logits are %dx%d, one row and one class at least are required", z.rows, z.cols);
  for (int32_t k = 0; k < z.cols; k++) sums[k] = 0.0;
  for (int32_t i = 0; i < z.rows; i++) {
    const float *row = z.data + i * z.stride;
    double max = -INFINITY;
    for (int32_t k = 0; k < z.cols; k++) {
      if (isnan(row[k]) || row[k] == INFINITY)
        return ls_fail(err, LS_EVALUE, "logits[%d] is %s for class %d", i + 1, isnan(row[k]) ? "NaN" : "+inf", k);
      max = fmax(max, (double)row[k]);
    }
    if (max == -INFINITY) return ls_fail(err, LS_EVALUE, "logits[%d] is -inf for every class", i + 1);
    for (int32_t k = 0; k < z.cols; k++)
      if (row[k] != -INFINITY) sums[k] += fmax(0.0, max - (double)row[k] - margin);
  }
  for (int32_t k = 0; k < z.cols; k++) out[k] = (float)((lambda == NULL ? alpha : (double)lambda[k]) * sums[k] / z.rows);
  return LS_OK;
}

static double value(const ls_penalty_row *r) {
  double sum = 0.0, share = r->parameters[MEAN_OVER_CLASSES] != 0.0 ? r->left : 1;
  for (int32_t k = 0; k < r->classes; k++) {
    double over = r->max - r->z[k] - r->parameters[MARGIN], by = (r->values == NULL ? r->parameters[ALPHA] : (double)r->values[k]) / share;
    if (ls_is_masked(r, k) || !(over > 0.0)) continue;
    sum += by * over;
    if (r->gradient == NULL) continue;
    r->gradient[k] -= by;
    r->gradient[r->top] += by;
  }
  return sum;
}

const ls_penalty ls_penalty_cals = {
    .entry = {.name = "cals",
              .title = "Class adaptive label smoothing (CALS)",
              .paper = "Liu et al. 2023, Class adaptive network calibration, arXiv:2211.15088",
              .formula = "CE(q, p) + sum_k lambda_k max(0, max_j z_j - z_k - margin);   at an update lambda_k grows by `factor` "
              "where class k's penalty on validation rows has grown by more than `tolerance`, and shrinks by it "
              "where it has fallen by as much",
              .property = "With all lambda_k = alpha it is margin smoothing. lambda_k stays within minimum … maximum.",
              .use = "Many classes, of which some are harder to calibrate than others. Call "
              "loss:update(loss:penalties(validation_logits)) every epoch or every few.",
              .avoid = "Where validation rows are few for a class: its multiplier follows noise. The authors' code divides by "
              "K, and starts at alpha = 1 with it.",
              .stacking = "With any target: the penalty does not look at it. Beside label smoothing or margin smoothing only one "
              "of them will act. The multipliers are a state of the loss: a loss object belongs to one training.",
              .example = "local loss = ls.loss.cals{ margin = 10 }\nprint(loss(logits, "
              "labels))\nloss:update(loss:penalties(logits))",
              .parameters = parameters,
              .parameter_count = LS_COUNT(parameters)},
    .target = LS_PENALTY_FREE,
    .data = LS_PENALTY_CLASSES,
    .adds = true,
    .row = value,
};
