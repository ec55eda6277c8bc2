/* Smoothing by a matrix of the user's. SPDX-License-Identifier: MIT */
#include "core/target/schemes/schemes.h"

static const ls_parameter parameters[] = {
    {"epsilon", "number", NAN, 0, 1, false, false, "the probability mass that goes by P"},
    {"matrix", "matrix", NAN, 0, 1, false, false, "K×K numbers from 0, each row sums to 1"},
};

const ls_scheme ls_scheme_matrix = {
    .abi = LS_SCHEME_ABI,
    .form = LS_FORM_LINEAR,
    .kind = LS_SOFTEN_MATRIX,
    .promises = LS_ONE_HOT_AT_ZERO,
    .entry = {.name = "matrix",
              .title = "Smoothing by a matrix",
              .paper = "the general linear scheme: similarity, hierarchy, confusion are matrices made by a rule",
              .formula = "q = (1 - epsilon) 1[k = y] + epsilon·P[y]",
              .property = "one-hot at epsilon 0; not the same for every class; linear: commutes with mixing",
              .use = "a distribution for each class that you have made yourself",
              .avoid = "a P measured on the rows that are judged",
              .stacking = "mixing, a teacher, itself: softness adds up",
              .example = "local confused = ls.target.matrix(0.1, { {0.8, 0.2, 0}, {0.1, 0.8, 0.1}, {0, 0.2, 0.8} })",
              .parameters = parameters,
              .parameter_count = LS_COUNT(parameters)}};
