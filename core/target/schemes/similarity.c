/* Smoothing by class similarity. SPDX-License-Identifier: MIT */
#include "core/target/schemes/schemes.h"

static const ls_parameter parameters[] = {
    {"epsilon", "number", 0.1, 0, 1, false, false, "mass that goes to the other classes by their similarity; the rest stays on the label"},
    {"temperature", "number", 1, 0, INFINITY, true, false, "of the softmax over similarities: low, the most similar class gets all; high, all share alike"},
    {"similarity", "matrix", NAN, -INFINITY, INFINITY, false, false, "K×K finite numbers, larger for classes that are more alike; its diagonal is not read"},
};

static ls_status check(const ls_scheme_call *c, ls_err *err) {
  if (c->classes < 2) return ls_fail(err, LS_ERANGE, "similarity needs at least 2 classes, there is %d", c->classes);
  return ls_check_class_matrix(&c->arrays[2], "similarity", c->classes, err);
}

static ls_status row(const ls_scheme_call *c, int32_t y, double *q, ls_err *err) {
  const float *s = c->arrays[2].data + y * c->arrays[2].stride;
  double max = -INFINITY, sum = 0.0;
  (void)err;
  for (int32_t k = 0; k < c->classes; k++)
    if (k != y && (double)s[k] > max) max = (double)s[k];
  for (int32_t k = 0; k < c->classes; k++) sum += q[k] = k == y ? 0.0 : exp(((double)s[k] - max) / c->numbers[1]);
  for (int32_t k = 0; k < c->classes; k++) q[k] /= sum;
  return LS_OK;
}

const ls_scheme ls_scheme_similarity = {
    .abi = LS_SCHEME_ABI,
    .form = LS_FORM_ROW,
    .promises = LS_ONE_HOT_AT_ZERO,
    .check = check,
    .row = row,
    .entry = {.name = "similarity",
              .title = "Smoothing by class similarity",
              .paper = "Liu & JaJa 2020, Class-similarity based label smoothing for confidence calibration, arXiv:2006.14028",
              .formula = "q = (1 - epsilon) 1[k = y] + epsilon·softmax over k != y of s(y, k)/temperature",
              .property = "one-hot at epsilon 0; the label keeps 1 - epsilon; equal similarities give wrong_classes(epsilon)",
              .use = "classes of which some are alike: by their names' embeddings, or the cosine of class means",
              .avoid = "similarities measured with the model on the rows that are judged",
              .stacking = "mixing, a teacher, itself: softness adds up",
              .example = "local alike = ls.target.similarity{ similarity = ls.tensor{ {1, 0.8, 0}, {0.8, 1, 0}, {0, 0, 1} } }\nprint(alike({ 0, 1, 2 }):rows(3))",
              .parameters = parameters,
              .parameter_count = LS_COUNT(parameters)}};
