/* Self-distillation from the last epoch's predictions. SPDX-License-Identifier: MIT
 *
 * State: for each row of the training data whether it was seen (1), and its probabilities (K): N (K + 1) doubles. */
#include "core/target/schemes/schemes.h"

static const ls_parameter parameters[] = {
    {"alpha", "number", 0.8, 0, 1, false, false, "share of the past prediction at the end of the training; it grows with each epoch, to be alpha in the last"},
    {"constant", "boolean", 0, 0, 1, false, false, "alpha from the second epoch on, instead of growing"},
};
enum { ALPHA, CONSTANT };

static double *past(const ls_scheme_call *c, int32_t i) { return c->state + (size_t)c->positions[i] * ((size_t)c->classes + 1); }

static size_t state_size(const ls_scheme_call *c) { return (size_t)c->examples * ((size_t)c->classes + 1); }

static void start(const ls_scheme_call *c) {
  for (size_t i = 0; i < state_size(c); i++) c->state[i] = 0.0;
}

static ls_status check(const ls_scheme_call *c, ls_err *err) {
  if (c->labels != NULL && (c->positions == NULL || c->examples == 0))
    return ls_fail(err, LS_EVALUE, "it remembers the training rows one by one: which these are must be said, scheme:begin_training{ examples = N }, then scheme(labels, { rows = positions }); ls.train does");
  return LS_OK;
}

static ls_status dense(const ls_scheme_call *c, ls_mat out, ls_err *err) {
  double grown = c->epochs > 0.0 ? fmin(1.0, (floor(c->epoch) + 1.0) / c->epochs) : 1.0, alpha = c->numbers[ALPHA] * (c->numbers[CONSTANT] != 0.0 ? 1.0 : grown);
  (void)err;
  for (int32_t i = 0; i < c->rows; i++) {
    const double *p = past(c, i);
    float *q = out.data + i * out.stride;
    double share = p[0] != 0.0 ? alpha : 0.0;
    for (int32_t k = 0; k < c->classes; k++) q[k] = (float)(share * p[1 + k] + (k == c->labels[i] ? 1.0 - share : 0.0));
  }
  return LS_OK;
}

static void observe(const ls_scheme_call *c) {
  for (int32_t i = 0; i < c->rows; i++) {
    const float *z = c->logits.data + i * c->logits.stride;
    double *p = past(c, i), max = -INFINITY, sum = 0.0;
    for (int32_t k = 0; k < c->classes; k++) max = fmax(max, (double)z[k]);
    for (int32_t k = 0; k < c->classes; k++) sum += exp((double)z[k] - max);
    if (!isfinite(sum)) continue;
    p[0] = 1.0;
    for (int32_t k = 0; k < c->classes; k++) p[1 + k] = exp((double)z[k] - max) / sum;
  }
}

const ls_scheme ls_scheme_self_distillation = {
    .abi = LS_SCHEME_ABI,
    .form = LS_FORM_DENSE,
    .needs = LS_NEEDS_POSITIONS | LS_NEEDS_ONE_LABEL,
    .check = check,
    .dense = dense,
    .state_size = state_size,
    .start = start,
    .observe = observe,
    .entry = {.name = "self_distillation",
              .title = "Progressive self-distillation (PS-KD)",
              .paper = "Kim et al. 2021, Self-knowledge distillation with progressive refinement of targets, arXiv:2006.12000",
              .formula = "q = (1 - a_t) 1[k = y] + a_t p_(t-1), p_(t-1) the row's own softmax(z) of the epoch before, a_t = alpha·t/T, t = 1 ... T the epoch",
              .property = "one-hot in the first epoch, and at alpha 0; costs N (K + 1) doubles for N training rows",
              .use = "where a teacher is wanted and there is none: the model of the epoch before is",
              .avoid = "augmentation so strong that last epoch's row is another image; millions of rows with thousands of classes",
              .stacking = "mixing is refused: a mixture has no past prediction. Smoothing: softness adds up",
              .example = "local scheme = ls.target.self_distillation{ alpha = 0.8 }\nlocal model = ls.nn.mlp({ 64, 10 }, { rng = rng })\n"
                         "ls.train(model, ls.data.load \"digits\".test, { target = scheme, epochs = 2, rng = rng, optimizer = ls.optim.sgd{ lr = 0.1 } })",
              .parameters = parameters,
              .parameter_count = LS_COUNT(parameters)}};
