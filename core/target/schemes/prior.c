/* Smoothing towards a prior of the classes. SPDX-License-Identifier: MIT */
#include "core/target/schemes/schemes.h"

static const ls_parameter parameters[] = {
    {"epsilon", "number", NAN, 0, 1, false, false, "the probability mass that is spread"},
    {"prior", "vector", NAN, 0, 1, false, false, "K numbers from 0 that sum to 1"},
};

const ls_scheme ls_scheme_prior = {
    .abi = LS_SCHEME_ABI,
    .form = LS_FORM_LINEAR,
    .kind = LS_SOFTEN_PRIOR,
    .promises = LS_ONE_HOT_AT_ZERO,
    .entry = {.name = "prior",
              .title = "Unigram (class prior) smoothing",
              .paper = "Pereyra et al. 2017, Regularizing neural networks by penalizing confident output distributions, arXiv:1701.06548",
              .formula = "q = (1 - epsilon) 1[k = y] + epsilon·prior",
              .property = "one-hot at epsilon 0; not the same for every class",
              .use = "classes of very different frequency; language models",
              .avoid = "where rare classes matter most: they get less mass still",
              .stacking = "mixing, a teacher, itself: softness adds up",
              .example = "local smooth = ls.target.prior(0.1, {0.5, 0.3, 0.2})",
              .parameters = parameters,
              .parameter_count = LS_COUNT(parameters)}};
