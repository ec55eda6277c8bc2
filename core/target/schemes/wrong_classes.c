/* Label smoothing over the wrong classes. SPDX-License-Identifier: MIT */
#include "core/target/schemes/schemes.h"

static const ls_parameter parameters[] = {
    {"epsilon", "number", NAN, 0, 1, false, false, "the probability mass that the other K - 1 classes share"},
};

static ls_status check(const ls_scheme_call *c, ls_err *err) {
  if (c->classes >= 2 || c->numbers[0] == 0.0) return LS_OK;
  return ls_fail(err, LS_ERANGE, "wrong_classes has no wrong class to give mass to: there is one class");
}

const ls_scheme ls_scheme_wrong_classes = {
    .abi = LS_SCHEME_ABI,
    .form = LS_FORM_LINEAR,
    .kind = LS_SOFTEN_WRONG_CLASSES,
    .promises = LS_ONE_HOT_AT_ZERO | LS_EQUIVARIANT,
    .check = check,
    .entry = {.name = "wrong_classes",
              .title = "Label smoothing over the wrong classes",
              .paper = "the convention of many lecture notes; Shen et al. 2021, Is label smoothing truly incompatible with knowledge distillation, arXiv:2104.00676",
              .formula = "q_y = 1 - epsilon, q_k = epsilon/(K - 1); equals uniform(epsilon·K/(K - 1))",
              .property = "one-hot at epsilon 0; the same for every class",
              .use = "comparing with results in this convention",
              .avoid = "epsilon at or past (K - 1)/K, where the label says the opposite",
              .stacking = "mixing, a teacher, itself: softness adds up",
              .example = "local smooth = ls.target.wrong_classes(0.09)\nprint(smooth(labels):row(1, 10))",
              .parameters = parameters,
              .parameter_count = LS_COUNT(parameters)}};
