/* DisturbLabel: labels drawn anew at random. SPDX-License-Identifier: MIT */
#include "core/target/schemes/schemes.h"

static const ls_parameter parameters[] = {
    {"epsilon", "number", 0.1, 0, 1, false, false, "how often a label is drawn anew, from all K classes: it changes with rate epsilon (K - 1)/K"},
};

static ls_status label(const ls_scheme_call *c, int64_t *labels, float *weights, ls_err *err) {
  (void)err;
  for (int32_t i = 0; i < c->rows; i++) {
    bool anew = ls_rng_double(c->rng) < c->numbers[0];
    labels[i] = anew ? ls_rng_integer(c->rng, 0, c->classes - 1) : c->labels[i];
    weights[i] = 1.0f;
  }
  return LS_OK;
}

const ls_scheme ls_scheme_disturb = {
    .abi = LS_SCHEME_ABI,
    .form = LS_FORM_TERMS,
    .terms = 1,
    .needs = LS_NEEDS_RANDOM,
    .promises = LS_ONE_HOT_AT_ZERO,
    .label = label,
    .entry = {.name = "disturb",
              .title = "DisturbLabel",
              .paper = "Xie et al. 2016, DisturbLabel: regularizing CNN on the loss layer, arXiv:1605.00055",
              .formula = "the label y, or with probability epsilon one of all K classes at random, drawn anew for each batch",
              .property = "in expectation it is uniform(epsilon)",
              .use = "to compare sampled with expected smoothing: the same mean gradient, more noise",
              .avoid = "instead of uniform(epsilon) without a reason: the loss is noisier and nothing is gained in expectation",
              .stacking = "mixing, a teacher, smoothing: softness adds up in expectation",
              .example = "local noisy = ls.target.disturb{ epsilon = 0.1, rng = rng }\nprint(noisy(labels):rows(10))",
              .parameters = parameters,
              .parameter_count = LS_COUNT(parameters)}};
