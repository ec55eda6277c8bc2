/* Online label smoothing. SPDX-License-Identifier: MIT
 *
 * State: S (K,K) that labels are softened with; A (K,K) and n (K), what this epoch has gathered. The authors' code starts with S = 0, so that the first epoch trains
 * half a loss, and gives a class without a right prediction 1/K; here S starts as label smoothing and such a class keeps its row (`unseen_uniform` does as they do). */
#include "core/target/schemes/schemes.h"

static const ls_parameter parameters[] = {
    {"alpha", "number", 0.5, 0, 1, false, false, "share of the plain label; the rest goes by S"},
    {"epsilon_start", "number", 0.1, 0, 1, false, false, "S of the first epoch: label smoothing with this mass"},
    {"unseen_uniform", "boolean", 0, 0, 1, false, false, "a class without a right prediction in an epoch gets 1/K everywhere, instead of keeping its row"},
};
enum { ALPHA, EPSILON_START, UNSEEN_UNIFORM };

static double *gathered(const ls_scheme_call *c) { return c->state + (size_t)c->classes * (size_t)c->classes; }
static double *counts(const ls_scheme_call *c) { return c->state + 2 * (size_t)c->classes * (size_t)c->classes; }

static size_t state_size(const ls_scheme_call *c) { return 2 * (size_t)c->classes * (size_t)c->classes + (size_t)c->classes; }

static void start(const ls_scheme_call *c) {
  size_t n = (size_t)c->classes;
  double e = c->numbers[EPSILON_START];
  for (size_t i = 0; i < 2 * n * n + n; i++) c->state[i] = i < n * n ? e / (double)n + (i % (n + 1) == 0 ? 1.0 - e : 0.0) : 0.0;
}

static double mass(const ls_scheme_call *c) { return 1.0 - c->numbers[ALPHA]; }

static ls_status row(const ls_scheme_call *c, int32_t y, double *q, ls_err *err) {
  (void)err;
  for (int32_t k = 0; k < c->classes; k++) q[k] = c->state[(size_t)y * (size_t)c->classes + (size_t)k];
  return LS_OK;
}

/* Rows that are predicted right add their probabilities to their class. */
static void observe(const ls_scheme_call *c) {
  for (int32_t i = 0; i < c->rows; i++) {
    const float *z = c->logits.data + i * c->logits.stride;
    int32_t top = 0;
    double sum = 0.0, *a = gathered(c) + (size_t)c->labels[i] * (size_t)c->classes;
    for (int32_t k = 1; k < c->classes; k++)
      if (z[k] > z[top]) top = k;
    if (top != c->labels[i]) continue;
    for (int32_t k = 0; k < c->classes; k++) sum += exp((double)z[k] - (double)z[top]);
    if (!isfinite(sum)) continue;
    for (int32_t k = 0; k < c->classes; k++) a[k] += exp((double)z[k] - (double)z[top]) / sum;
    counts(c)[top] += 1.0;
  }
}

static void end_epoch(const ls_scheme_call *c) {
  size_t n = (size_t)c->classes;
  double *s = c->state, *a = gathered(c), *count = counts(c);
  for (size_t y = 0; y < n; y++) {
    double total = 0.0;
    for (size_t k = 0; k < n; k++) total += a[y * n + k];
    for (size_t k = 0; k < n; k++) {
      if (count[y] > 0.0) s[y * n + k] = a[y * n + k] / total; /* count[y] but for rounding */
      else if (c->numbers[UNSEEN_UNIFORM] != 0.0) s[y * n + k] = 1.0 / (double)n;
      a[y * n + k] = 0.0;
    }
    count[y] = 0.0;
  }
}

const ls_scheme ls_scheme_online = {
    .abi = LS_SCHEME_ABI,
    .form = LS_FORM_ROW,
    .mass = mass,
    .row = row,
    .state_size = state_size,
    .start = start,
    .observe = observe,
    .end_epoch = end_epoch,
    .entry = {.name = "online",
              .title = "Online label smoothing",
              .paper = "Zhang et al. 2021, Delving deep into label smoothing, arXiv:2011.12562",
              .formula = "q = alpha 1[k = y] + (1 - alpha) S[y];   S[y]: mean of softmax(z) over last epoch's rows of class y that were predicted right",
              .property = "S changes at the end of an epoch only; alpha = 1 is one-hot; the first epoch is uniform((1 - alpha) epsilon_start)",
              .use = "classes that are alike in ways nobody has written down: the model finds them",
              .avoid = "few epochs; K so large that K×K numbers are too many",
              .stacking = "mixing: rows count for the label of larger weight, which the paper does not say. A teacher, smoothing: softness adds up",
              .example = "local scheme = ls.target.online{ alpha = 0.5 }\nlocal loss = ls.loss.cross_entropy(logits, scheme(labels))\nscheme:end_epoch()",
              .parameters = parameters,
              .parameter_count = LS_COUNT(parameters)}};
