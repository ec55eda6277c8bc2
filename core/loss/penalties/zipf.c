/* Zipf's label smoothing. SPDX-License-Identifier: MIT
 *
 * Sorts a row's classes by logit (heapsort in scratch): O(K log K). */
#include "core/loss/penalties/penalties.h"

static const ls_parameter parameters[] = {
    {"beta", "number", 1, 0, INFINITY, false, false,
     "strength of the penalty"},
    {"power", "number", 1, 0, INFINITY, false, false,
     "how fast mass falls with the rank; 0: all wrong classes alike"},
};
enum { BETA, POWER };

/* Restores the heap below `at`: children have logits at least as large, so that sorting puts the largest first. */
static void sift(const double *z, int32_t *heap, int32_t at, int32_t n) {
  int32_t moved = heap[at];
  for (int32_t child; (child = 2 * at + 1) < n; at = child) {
    if (child + 1 < n && z[heap[child + 1]] < z[heap[child]]) child++;
    if (!(z[heap[child]] < z[moved])) break;
    heap[at] = heap[child];
  }
  heap[at] = moved;
}

static void sort_descending(const double *z, int32_t *order, int32_t n) {
  for (int32_t k = 0; k < n; k++) order[k] = k;
  for (int32_t i = n / 2; i-- > 0;) sift(z, order, i, n);
  for (int32_t last = n - 1; last > 0; last--) {
    int32_t k = order[0];
    order[0] = order[last];
    order[last] = k;
    sift(z, order, 0, last);
  }
}

static double value(const ls_penalty_row *r) {
  int32_t *order = (int32_t *)(void *)r->work, rank = 0;
  double total = 0.0, divergence = 0.0, beta = r->parameters[BETA], power = r->parameters[POWER];
  if (r->left < 2) return 0.0;
  sort_descending(r->z, order, r->classes); /* masked classes come last */
  double log_sum = ls_log_odds_against(r, r->label) + r->z[r->label]; /* of the others */
  for (int pass = 0; pass < 2; pass++)
    for (int32_t i = 0; i < r->left; i++) {
      int32_t k = order[i];
      if (i == 0 || r->z[k] != r->z[order[i - 1]]) rank = i + 1;
      if (k == r->label) continue;
      double share = pow(rank, -power), log_s = r->z[k] - log_sum;
      if (pass == 0) {
        total += share;
        continue;
      }
      share /= total;
      if (share > 0.0) divergence += share * (log(share) - log_s);
      if (r->gradient != NULL) r->gradient[k] = beta * (exp(log_s) - share);
    }
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
    .works = true,
    .refusal = "its ranks leave out one label; give labels",
    .row = value,
};
