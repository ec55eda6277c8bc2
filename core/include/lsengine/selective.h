/* Selective prediction: which rows should a model refuse to answer? SPDX-License-Identifier: MIT
 *
 * Rows are ranked by doubt, the least first; at coverage k/n the model answers the k rows of least doubt, and its risk is the error rate among
 * them. Rows of equal doubt have no order: everything is the expectation over their orders. */
#ifndef LSENGINE_SELECTIVE_H
#define LSENGINE_SELECTIVE_H

#include <lsengine/predictions.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum ls_score {
  LS_SCORE_MAX_PROBABILITY,  /* doubt 1 - max p: the others' sum, so that it does not saturate; below 1e-290 its logarithm takes over. Of
                                probabilities 1 - c as given, the others' sum where that is below 2^-10 */
  LS_SCORE_MARGIN,           /* 1 - (p_1 - p_2), in the same way */
  LS_SCORE_ENTROPY,          /* -sum p log p */
  LS_SCORE_LOGIT_MARGIN,     /* z_2 - z_1; of probabilities, of their logarithms */
  LS_SCORE_MAX_LOGIT,        /* -max z; logits only */
  LS_SCORE_ENERGY,           /* -log sum exp(z / T) (Liu et al. 2020); logits only */
  LS_SCORE_NORMALISED_LOGIT, /* -max z' / |z'|, z' = z - mean z over the classes that are not masked (Cattelan & Silva 2023, p = 2); logits only */
  LS_SCORE_COUNT
} ls_score;

const char *ls_score_name(ls_score score);

/* Doubt and failure (prediction is not the label) of each kept row. */
size_t ls_doubts_scratch(const ls_predictions *p, ls_score score);
ls_status ls_doubts(const ls_predictions *p, ls_score score, void *scratch, double *doubt, uint8_t *wrong, int64_t *kept, ls_err *err);

/* How the area under risk over coverage is taken: the mean over k = 1 … n; trapezoids from (0, 0) (Xia et al. 2024); trapezoids over 1/n … 1,
 * divided by 1 - 1/n (torch-uncertainty). */
typedef enum ls_area { LS_AREA_MEAN, LS_AREA_TRAPEZOID, LS_AREA_TRAPEZOID_INNER } ls_area;

typedef struct ls_selective {
  int64_t rows, failures;
  double risk;            /* at full coverage: the error rate */
  double aurc;            /* area under the risk-coverage curve */
  double excess_aurc;     /* aurc minus that of the best possible ranking, by the mean over k: E-AURC (Geifman et al. 2019) */
  double augrc;           /* mean over k of (errors among the first k) / n: the generalised risk (Traub et al. 2024) */
  double auroc;           /* P(a right row has less doubt than a wrong one), ties 1/2; NaN without failures or without right rows */
  double tied;            /* share of rows that share their doubt with another */
} ls_selective;

/* `points` > 0: curve (points,2) receives coverage k/n and risk, k = ceil(n i/points). For each of `risks` the largest coverage at a threshold on
 * doubt (ties are not split) whose risk is at most it, 0 where there is none; for each of `coverages` in (0, 1] the risk at k = ceil(n coverage).
 * sorted: the doubts of an ls_order, or NULL. LS_EVALUE for NaN. O(n). */
typedef struct ls_selective_wants {
  ls_area area;
  int32_t points, risks, coverages;
  double *curve;
  const double *risk, *coverage;
  double *coverage_at_risk, *risk_at_coverage;
} ls_selective_wants;

size_t ls_selective_scratch(size_t n);
ls_status ls_select(size_t n, const double *doubt, const uint8_t *wrong, const uint64_t *sorted, const ls_selective_wants *wants, void *scratch, ls_selective *out, ls_err *err);

#ifdef __cplusplus
}
#endif
#endif
