/* Zipf's label smoothing. SPDX-License-Identifier: MIT
 *
 * Sorts a row's classes by logit, by the bits of floats; shares and logarithms of ranks are made as vectors: a quarter of the time of a heap and of pow for
 * each class (2048×1000: 365 → 90 ms, the Zen 3), a third of which is the sort. */
#include "core/eval/radix_sort.h"
#include "core/kernels/bits.h"
#include "core/loss/penalties/penalties.h"

static const ls_parameter parameters[] = {
    {"beta", "number", 1, 0, INFINITY, false, false,
     "strength of the penalty"},
    {"power", "number", 1, 0, INFINITY, false, false,
     "how fast mass falls with the rank; 0: all wrong classes alike"},
};
enum { BETA, POWER };

/* Classes with the largest logit first, in the lower halves of the numbers that are returned; two times n numbers of scratch. Logits that are one number as floats are put
 * in order as doubles. */
static uint64_t *sort_descending(const double *z, uint64_t *scratch, int32_t n) {
  for (int32_t k = 0; k < n; k++) {
    uint32_t bits = float_bits((float)z[k] + 0.0f);
    scratch[k] = (uint64_t)(bits >> 31 ? bits : ~bits & 0x7fffffffu) << 32 | (uint32_t)k;
  }
  uint64_t *order = ls_sort_items(scratch, scratch + n, (size_t)n, 1, 32);
  for (int32_t i = 1; i < n; i++)
    for (int32_t at = i; at > 0 && z[(uint32_t)order[at - 1]] < z[(uint32_t)order[at]]; at--) {
      uint64_t item = order[at];
      order[at] = order[at - 1];
      order[at - 1] = item;
    }
  return order;
}

static double value(const ls_penalty_row *r) {
  int32_t n = r->classes, left = r->left;
  double total = 0.0, divergence = 0.0, beta = r->parameters[BETA], power = r->parameters[POWER];
  double *log_rank = r->work + 2 * n, *share = log_rank + n;
  if (left < 2) return 0.0;
  uint64_t *order = sort_descending(r->z, (uint64_t *)(void *)r->work, n); /* masked classes come last */
  double log_sum = ls_log_odds_against(r, r->label) + r->z[r->label];       /* of the others */
  for (int32_t i = 0, rank = 0; i < left; i++) {
    if (i == 0 || r->z[(uint32_t)order[i]] != r->z[(uint32_t)order[i - 1]]) rank = i;
    log_rank[i] = rank;
  }
  ls_log1p(left, log_rank, log_rank);
  double base = log_rank[(int32_t)(uint32_t)order[0] == r->label]; /* of the largest share, so that they do not all underflow */
  for (int32_t i = 0; i < left; i++) share[i] = -power * (log_rank[i] - base);
  ls_exponentials(left, share);
  for (int32_t i = 0; i < left; i++) total += (int32_t)(uint32_t)order[i] == r->label ? 0.0 : share[i];
  double log_total = log(total);
  for (int32_t i = 0; i < left; i++) {
    int32_t k = (int32_t)(uint32_t)order[i];
    double log_s = r->z[k] - log_sum, log_share = -power * (log_rank[i] - base) - log_total, pi = share[i] / total;
    if (k != r->label && pi > 0.0) divergence += pi * (log_share - log_s);
    share[i] = pi;
    log_rank[i] = log_s;
  }
  if (r->gradient == NULL) return beta * divergence;
  ls_exponentials(left, log_rank);
  for (int32_t i = 0; i < left; i++) r->gradient[(uint32_t)order[i]] = beta * (log_rank[i] - share[i]);
  r->gradient[r->label] = 0.0;
  return beta * divergence;
}

const ls_penalty ls_penalty_zipf = {
    .entry = {.name = "zipf",
              .title = "Zipf's label smoothing",
              .paper = "Liang et al. 2022, Efficient one pass self-distillation with Zipf's label smoothing, arXiv:2207.12980",
              .formula = "CE(y, p) + beta KL(pi || softmax of z without y),   pi_k = rank_k^-power / sum over k != y",
              .property = "Ranks are of all logits, the largest 1, equal ones share the smallest; the label is then taken out "
              "and pi normalised. pi carries no gradient; the true logit has none from the penalty.",
              .use = "As self-distillation in one pass: wrong classes that the model finds likely get more mass.",
              .avoid = "Few classes, and the first epochs, when ranks say nothing. The paper's dense votes over positions of "
              "a feature map need the model's features, and are not here.",
              .stacking = "Softened and mixed targets: which class is taken out hangs on one label. Beside label smoothing the "
              "wrong classes would get mass twice.",
              .example = "local loss = ls.loss.zipf{ beta = 1 }\nprint(loss(logits, labels))",
              .parameters = parameters,
              .parameter_count = LS_COUNT(parameters)},
    .target = LS_PENALTY_LABEL,
    .adds = true,
    .works = 4,
    .refusal = "its ranks leave out one label; give labels",
    .row = value,
};
