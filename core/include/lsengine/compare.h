/* Two models on the same rows. SPDX-License-Identifier: MIT */
#ifndef LSENGINE_COMPARE_H
#define LSENGINE_COMPARE_H

#include <lsengine/statistics.h>
#include <lsengine/view.h>

#ifdef __cplusplus
extern "C" {
#endif

#define LS_COMPARE_MOST_BINS 100

typedef struct ls_compare_options {
  int32_t bins;     /* of the calibration error, 1 … 100, equal width */
  size_t resamples; /* >= 2 */
  double level;     /* of the intervals, above 0 and below 1 */
} ls_compare_options;

typedef struct ls_compared {
  double a, b, difference; /* the measure of each model, a - b */
  double low, high;        /* interval of the difference over rows: Student's t; of accuracy Agresti and Min's (2005); of ece_debiased from its jackknife */
  double bca_low, bca_high, error; /* BCa interval from the paired bootstrap (NaN for ece_debiased); standard error: of the replicates, of ece_debiased of the jackknife */
  double p;                /* two-sided, that the mean difference is 0: Student's t; of accuracy McNemar's mid-p; NaN for ece_debiased */
  ls_effect effect;        /* of the rows' differences; not of ece_debiased */
  ls_wilcoxon wilcoxon;    /* likewise: that they are symmetric around 0 */
} ls_compared;

typedef struct ls_comparison {
  int64_t rows, only_a, only_b; /* rows that only a, only b has right */
  double mcnemar, mcnemar_mid;  /* two-sided */
  ls_compared accuracy, nll, brier, ece_debiased; /* as ls_evaluation's */
} ls_comparison;

/* z_a and z_b (n,K) logits, labels 0 … K-1. Each replicate draws n rows, the same for both models and all measures, from a stream of its own ("replicate" and
 * its number). The intervals speak of other rows of this kind, never of other trainings. n >= 2, but intervals hold the truth 90
 * times in a hundred and more, whatever the models, from 100 rows on (accuracy's from 20; BCa of nll and brier from 200; that of accuracy never where few rows differ): docs/statistics.md. Errors as eval.h. O(nK + resamples n). */
size_t ls_compare_scratch(int32_t rows, const ls_compare_options *o);
ls_status ls_compare(ls_cmat z_a, ls_cmat z_b, const int64_t *labels, const ls_compare_options *o, const ls_rng *rng, void *scratch, ls_comparison *out, ls_err *err);

#ifdef __cplusplus
}
#endif
#endif
