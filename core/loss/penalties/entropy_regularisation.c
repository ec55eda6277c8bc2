/* Generalised entropy regularisation. SPDX-License-Identifier: MIT
 *
 * alpha (1-alpha) J = (1-alpha) KL(p||m) + alpha KL(u||m). KL(p||m) is of order alpha^2 near alpha = 0 (KL(u||m) likewise near 1), a difference of nearly equal
 * terms: as the sum of p·(t - log(1+t)), t = alpha (u/p - 1), each term is small by itself, so that the limits are met smoothly. dJ/dp_k = log(p_k/m_k)/alpha. */
#include "core/kernels/kernels.h"
#include "core/loss/penalties/penalties.h"

static const ls_parameter parameters[] = {
    {"alpha", "number", 0.5, 0, 1, false, false,
     "which divergence: 0 KL(u||p), as label smoothing has it; 1 KL(p||u), as the confidence penalty"},
    {"beta", "number", 0.1, 0, INFINITY, false, false,
     "strength of the penalty"},
};
enum { ALPHA, BETA };

/* a·(t - log(1 + t)) for t = by·(b/a - 1), given log a: a's part of KL(a || (1 - by) a + by b). */
static double part(double a, double log_a, double b, double log_b, double by) {
  double ratio = exp(log_b - log_a), t = by * (ratio - 1.0), power = t, sum = 0.0;
  if (!isfinite(ratio) || fabs(t) > 0.05) {
    double high = log_b > log_a ? log_b : log_a; /* log m, where either may underflow */
    double log_m = high + log((1.0 - by) * exp(log_a - high) + by * exp(log_b - high));
    return by * (b - a) - a * (log_m - log_a);
  }
  for (int i = 2; i <= 14; i++) sum += (i % 2 == 0 ? 1.0 : -1.0) * (power *= t) / i; /* t²/2 - t³/3 + …, .05^15 < 1e-19 */
  return a * sum;
}

/* log(p/m)/alpha */
static double slope(double log_p, double log_u, double alpha) {
  double ratio = exp(log_u - log_p), t = alpha * (ratio - 1.0);
  if (isfinite(t)) return -log1p(t) / alpha;
  return (log_p - (log_u + log(alpha))) / alpha; /* p is nothing beside u: alpha u >> (1 - alpha) p */
}

static double value(const ls_penalty_row *r) {
  double u = 1.0 / r->left, log_u = -log((double)r->left), alpha = r->parameters[ALPHA], beta = r->parameters[BETA];
  double sum = 0.0, mean = 0.0;
  for (int32_t k = 0; k < r->classes; k++) {
    if (ls_is_masked(r, k)) continue;
    double p = r->p[k], log_p = ls_log_p(r, k);
    if (alpha == 0.0)
      sum += u * (log_u - log_p);
    else if (alpha == 1.0)
      sum += p * (log_p - log_u);
    else
      sum += part(p, log_p, u, log_u, alpha) / alpha + part(u, log_u, p, log_p, 1.0 - alpha) / (1.0 - alpha);
    if (r->gradient == NULL) continue;
    r->gradient[k] = alpha == 0.0 ? p - u : alpha == 1.0 ? p * log_p : p * slope(log_p, log_u, alpha);
    mean += r->gradient[k];
  }
  for (int32_t k = 0; k < r->classes && r->gradient != NULL; k++)
    if (!ls_is_masked(r, k)) r->gradient[k] = beta * (alpha == 0.0 ? r->gradient[k] : r->gradient[k] - r->p[k] * mean);
  return beta * sum;
}

const ls_penalty ls_penalty_entropy_regularisation = {
    .entry = {.name = "entropy_regularisation",
              .title = "Generalised entropy regularisation",
              .paper = "Meister, Salesky and Cotterell 2020, Generalized entropy regularization or: there's nothing special "
              "about label smoothing, arXiv:2005.00820",
              .formula = "CE(q, p) + beta J_alpha,   J_alpha = (H(m) - (1 - alpha) H(p) - alpha H(u)) / (alpha (1 - alpha)),   "
              "m = (1 - alpha) p + alpha u,   u uniform;   J_0 = KL(u||p), J_1 = KL(p||u)",
              .property = "J_alpha >= 0, and 0 only at p = u. alpha = 0 is label smoothing up to a constant and a factor "
              "(epsilon = beta/(1 + beta)), alpha = 1 the confidence penalty plus beta log K; between them the skew "
              "Jensen divergences, J_0.5 being 4 times Jensen and Shannon's.",
              .use = "To see what label smoothing and the confidence penalty share, and to choose between them by one "
              "number.",
              .avoid = "The authors' code counts alpha from the other end: its alpha is 1 - alpha here.",
              .stacking = "With any target: the penalty does not look at it. Beside label smoothing it penalises confidence "
              "twice.",
              .example = "local loss = ls.loss.entropy_regularisation{ alpha = 0.5, beta = 0.1 }\nprint(loss(logits, labels))",
              .parameters = parameters,
              .parameter_count = LS_COUNT(parameters)},
    .target = LS_PENALTY_FREE,
    .adds = true,
    .row = value,
    .form = LS_FORM_ENTROPY_REGULARISATION,
};
