/* Label smoothing. SPDX-License-Identifier: MIT */
#include "core/target/schemes/schemes.h"

static const ls_parameter parameters[] = {
    {"epsilon", "number", NAN, 0, 1, false, false, "the probability mass that is spread over all K classes"},
};

const ls_scheme ls_scheme_uniform = {
    .abi = LS_SCHEME_ABI,
    .form = LS_FORM_LINEAR,
    .kind = LS_SOFTEN_UNIFORM,
    .promises = LS_ONE_HOT_AT_ZERO | LS_EQUIVARIANT | LS_ORDER_KEPT,
    .entry = {.name = "uniform",
              .title = "Label smoothing",
              .paper = "Szegedy et al. 2016, Rethinking the Inception architecture for computer vision, arXiv:1512.00567",
              .formula = "q = (1 - epsilon) 1[k = y] + epsilon/K, the true class included, as in PyTorch, Keras, timm",
              .property = "one-hot at epsilon 0; the same for every class; twice is once with 1 - (1 - e1)(1 - e2)",
              .use = "overconfident networks; the usual first try, epsilon 0.01 to 0.1",
              .avoid = "regression; a network that is underconfident already; evaluation",
              .stacking = "mixing, a teacher, itself: softness adds up",
              .example = "local smooth = ls.target.uniform(0.1)\nlocal loss = ls.loss.cross_entropy(logits, smooth(labels))",
              .parameters = parameters,
              .parameter_count = LS_COUNT(parameters)}};
