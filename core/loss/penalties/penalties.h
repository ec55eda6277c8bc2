/* What the files of the penalties share. SPDX-License-Identifier: MIT */
#ifndef LS_LOSS_PENALTIES_H
#define LS_LOSS_PENALTIES_H

#include <lsengine/penalty.h>
#include <math.h>

extern const ls_penalty ls_penalty_acls, ls_penalty_backward_correction, ls_penalty_bootstrap_hard, ls_penalty_bootstrap_soft,
    ls_penalty_cals, ls_penalty_confidence_penalty, ls_penalty_entropy_regularisation, ls_penalty_focal, ls_penalty_focal_adaptive,
    ls_penalty_forward_correction, ls_penalty_generalised_cross_entropy, ls_penalty_generalised_smoothing, ls_penalty_label_relaxation, ls_penalty_logit_norm,
    ls_penalty_logit_penalty, ls_penalty_margin_smoothing, ls_penalty_max_sup, ls_penalty_poly1,
    ls_penalty_symmetric_cross_entropy, ls_penalty_teacher_free, ls_penalty_zipf;

#define LS_COUNT(array) (int32_t)(sizeof(array) / sizeof(array)[0])

static inline bool ls_is_masked(const ls_penalty_row *r, int32_t k) { return r->z[k] == -INFINITY; }

/* Finite however small p_k is; -inf of a masked class. */
static inline double ls_log_p(const ls_penalty_row *r, int32_t k) { return r->z[k] - r->max - r->log_sum; }

/* log(1 + e^x) without overflow, exact for large negative x. */
static inline double ls_softplus(double x) { return (x > 0.0 ? x : 0.0) + log1p(exp(-fabs(x))); }

/* exp of n numbers in place, at most 2 ulp, by the vectors of the processor; their sum, in a fixed order. */
void ls_exponentials(int32_t n, double *x);

/* to[i] = log(1 + x[i]), x >= 0, at most 3 ulp; to may be x. */
void ls_log1p(int32_t n, const double *x, double *to);

/* to[i] = exp(x[i]) - 1, x <= 0, at most 3 ulp. */
void ls_expm1(int32_t n, const double *x, double *to);
double ls_sum(int32_t n, const double *x);

/* log((1 - p_y) / p_y) by the log-sum-exp without y: -softplus of it is log p_y, -softplus(-it) is log(1 - p_y), both exact where
 * p_y rounds to 1. -inf where no other class is left. */
double ls_log_odds_against(const ls_penalty_row *r, int32_t y);

/* log(1 - p_k), by the same where p_k may be near 1. */
static inline double ls_log_rest(const ls_penalty_row *r, int32_t k) {
  return k == r->top ? -ls_softplus(-ls_log_odds_against(r, k)) : log1p(-r->p[k]);
}

/* -(1 - p)^gamma log p and its slope: what all focal losses are made of. d/dz_j of the sum over k of q_k·value_k is the sum over k of q_k·slope_k·(p_j - 1[j = k]). */
void ls_focal_terms(const double *gamma, const ls_penalty_labels *l);

/* `label` of one row, by log p_y and log(1 - p_y); and of a row by the log-sum-exp without y, the gradient, too. */
double ls_penalty_by_logs(const double *parameters, double log_p, double log_rest, ls_penalty_label_fn *label, double *slope);
double ls_penalty_of_label(const ls_penalty_row *r, ls_penalty_label_fn *label);

/* transition.c */
ls_status ls_transition_check(ls_cmat t, ls_err *err);
void ls_transition_transpose(ls_cmat t, ls_mat out);
size_t ls_transition_invert_scratch(int32_t classes);
ls_status ls_transition_invert(ls_cmat t, ls_mat out, void *scratch, ls_err *err);

#endif
