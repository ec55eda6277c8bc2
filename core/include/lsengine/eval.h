/* Judging predictions: classification, calibration, selective prediction, temperature. SPDX-License-Identifier: MIT
 *
 * z (n,K) are logits, labels 0 … K-1, rows with the ignored label are left out. Everything is computed in double from z / T.
 * -inf logits are masked classes. Errors (nothing has been written then): LS_ERANGE for an empty set, a label out of range or
 * on a masked class, LS_EVALUE for NaN and +inf logits; rows are counted from 1. The bits do not depend on threads. */
#ifndef LSENGINE_EVAL_H
#define LSENGINE_EVAL_H

#include <lsengine/target.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ls_evaluation {
  int64_t rows;       /* judged; rows with the ignored label are not among them */
  double accuracy;    /* share of rows whose first largest logit is at the label */
  double top_k;       /* share whose label is among the k largest logits, ties to the lower class */
  double nll;         /* mean of -log p_y, nats: one-hot, whatever the training target was */
  double brier;       /* mean of sum_k (p_k - [y=k])², 0 … 2 */
  double confidence;  /* mean of c = max_k p_k */
  double confidence_gap; /* confidence - accuracy: above 0 overconfident */
  double ece;         /* sum_b n_b/n |acc_b - conf_b|; bin of c is min(floor(cB), B-1): [a,b), the last one closed */
  double ece_null;    /* expected ece of a calibrated model with these confidences: (1/n) sum_b sqrt(2/pi sum c(1-c)) */
  double ece_debiased; /* 2 ece - sum_b n_b/n E|N(acc_b - conf_b, acc_b(1-acc_b)/n_b)|: the same bins and units as ece with
                          its bias estimated by a normal resample (Kumar et al. 2019, their sampling in closed form) and
                          taken away; may be below 0 */
  double ece_debiased_l2; /* sqrt(max(0, sum_b n_b/n ((acc-conf)² - acc(1-acc)/(n_b-1)))), B bins of equal mass by rank, those of
                          one row skipped (Kumar et al. 2019) */
  double mce;         /* largest |acc_b - conf_b| over bins that are not empty */
  double aurc;        /* mean over k = 1 … n of the error rate among the k most confident rows, its expectation over the order
                         of rows with equal confidence; ordered by log(1 - c), which does not saturate */
} ls_evaluation;

typedef struct ls_bin {
  int64_t count;
  double confidence, accuracy; /* means; 0 for an empty bin */
} ls_bin;

typedef struct ls_evaluate_options {
  ls_ignore ignore;
  double temperature; /* > 0 */
  int32_t bins;       /* 1 … 10000 */
  int32_t top_k;      /* >= 1 */
} ls_evaluate_options;

size_t ls_evaluate_scratch(int32_t rows, const ls_evaluate_options *o);

/* `bins` receives o->bins of equal width, or NULL. O(nK + n log n). */
ls_status ls_evaluate(ls_cmat z, const int64_t *labels, const ls_evaluate_options *o, void *scratch, ls_evaluation *out,
                      ls_bin *bins, ls_err *err);

#define LS_LOWEST_TEMPERATURE 0.05
#define LS_HIGHEST_TEMPERATURE 20.0

typedef struct ls_temperature {
  double temperature, nll, nll_before; /* nll never above nll_before, the one at T = 1 */
  bool at_bound;                       /* the minimum lies at or beyond 0.05 or 20 */
} ls_temperature;

size_t ls_fit_temperature_scratch(int32_t rows, int32_t classes);

/* The temperature that minimises the mean one-hot NLL of z / T (Guo et al. 2017): golden section on log T in [0.05, 20]; the
 * NLL is convex in 1/T. About 60 sweeps of O(nK). */
ls_status ls_fit_temperature(ls_cmat z, const int64_t *labels, ls_ignore ignore, void *scratch, ls_temperature *out, ls_err *err);

typedef struct ls_regression {
  double rmse, mae; /* root of the mean squared error, mean absolute error: in the unit of y */
  double r2;        /* 1 - sum (p - y)² / sum (y - mean y)²; where all y are equal 1 for no error at all, else 0 (as scikit-learn) */
} ls_regression;

/* n predicted numbers against n true ones. LS_ERANGE for n = 0, LS_EVALUE for a number that is NaN or infinite. O(n), sums in double. */
ls_status ls_evaluate_regression(const float *prediction, const float *y, size_t n, ls_regression *out, ls_err *err);

#ifdef __cplusplus
}
#endif
#endif
