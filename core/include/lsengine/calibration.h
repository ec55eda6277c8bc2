/* Calibration of confidences. SPDX-License-Identifier: MIT
 *
 * c (n) are confidences in 0 … 1, a (n) whether each came true: as ls_confidences makes them, or of any binary prediction. Nothing here knows
 * logits, but for the class-wise measures. Sums over rows are taken in blocks cut by n alone: the bits do not depend on threads. */
#ifndef LSENGINE_CALIBRATION_H
#define LSENGINE_CALIBRATION_H

#include <lsengine/predictions.h>

#ifdef __cplusplus
extern "C" {
#endif

#define LS_MOST_BINS 10000

typedef enum ls_bin_kind { LS_BINS_EQUAL_WIDTH, LS_BINS_EQUAL_MASS } ls_bin_kind;

/* To which bin a number on an edge belongs: [a, b) with the last closed, or (a, b] (Guo et al. 2017). */
typedef enum ls_bin_edges { LS_EDGES_LEFT, LS_EDGES_RIGHT } ls_bin_edges;

/* How edges of equal width are rounded. PRODUCT: the bin of c is floor(c·B) (right: ceil(c·B) - 1) in double. QUOTIENT: the same of c / (1/B).
 * LINSPACE: c is compared with i·(1/B), as numpy.linspace gives it. FLOAT32: both are float32, edges as torch.linspace gives them. */
typedef enum ls_bin_rounding { LS_ROUND_PRODUCT, LS_ROUND_QUOTIENT, LS_ROUND_LINSPACE, LS_ROUND_FLOAT32 } ls_bin_rounding;

/* Equal confidences where bins of equal mass are cut. SHARED: each bin gets its share of them, so that the order of rows does not matter. ROWS: in
 * the order of the rows (numpy.array_split after a stable sort). QUANTILES: edges are numpy.quantile's, equal confidences stay together. */
typedef enum ls_bin_ties { LS_TIES_SHARED, LS_TIES_ROWS, LS_TIES_QUANTILES } ls_bin_ties;

typedef struct ls_binning {
  int32_t bins; /* 1 … LS_MOST_BINS */
  ls_bin_kind kind;
  ls_bin_edges edges;
  ls_bin_rounding rounding;
  ls_bin_ties ties;
  bool drop_zero; /* LS_EDGES_RIGHT: confidence 0 belongs to no bin (but n counts its row); else to the first */
  bool one_apart; /* LS_EDGES_LEFT, equal width: confidence 1 has a bin of its own after the last (torchmetrics) */
} ls_binning;

typedef struct ls_bin {
  double low, high;            /* edges; of equal mass by rank: the least and the largest confidence in it */
  double count;                /* of rows; not whole where ties are shared */
  double confidence, accuracy; /* means; 0 for an empty bin */
  double doubt;                /* sum of c (1 - c): the variance of its number of right rows, were the model calibrated */
  double squares, products;    /* sums of c², c·a */
} ls_bin;

/* Murphy 1973, with the terms within bins of Stephenson et al. 2008: the Brier score is reliability - resolution + uncertainty + within_variance -
 * within_covariance, to rounding. */
typedef struct ls_murphy {
  double reliability, resolution, uncertainty, within_variance, within_covariance;
} ls_murphy;

typedef struct ls_calibration {
  int64_t rows;
  int32_t filled;      /* bins that are not empty */
  double accuracy, confidence, gap; /* means of a, of c; confidence - accuracy: above 0 overconfident */
  double l1, l2, max;  /* of g_b = acc_b - conf_b: sum n_b/n |g_b| (ECE), sqrt(sum n_b/n g_b²), max over bins that are not empty (MCE) */
  double mean;         /* mean of |g_b| over bins that are not empty (ACE) */
  double over, under;  /* the parts of l1 with conf_b > acc_b and with acc_b > conf_b */
  double null;         /* expected l1 of a calibrated model with these confidences: (1/n) sum_b sqrt(2/pi sum c(1-c)) */
  double debiased;     /* 2 l1 - sum n_b/n E|N(g_b, acc_b(1-acc_b)/n_b)|: the resampling of Kumar et al. 2019 in closed form; may be below 0.
                          Of a calibrated model 2 - sqrt 2 of the bias stays: there the resampled gaps are wider by sqrt 2 */
  double debiased_l2;  /* sqrt(max(0, sum n_b/n (g_b² - acc_b(1-acc_b)/(n_b-1)))), bins of fewer than 2 rows skipped (Kumar et al. 2019) */
  double brier;        /* mean of (c - a)² */
  ls_murphy murphy;
} ls_calibration;

/* Confidences in order, for the measures that sort, so that it is done once; what these numbers hold is theirs alone. */
typedef struct ls_order {
  const uint64_t *confidence;
  const uint64_t *doubt; /* for ls_select; NULL where doubts are not in the same order */
} ls_order;

/* keys has room for 2n numbers, the order lies in it. doubt: the rows', or NULL. Where of each c and doubt the larger is 1 less the other to the bit, as ls_judge makes them of
 * logits by LS_SCORE_MAX_PROBABILITY, and a row is wrong where a is 0, one sort gives both orders. LS_ERANGE as below. O(n). */
ls_status ls_sort_confidences(size_t n, const double *c, const double *doubt, const uint8_t *a, uint64_t *keys, ls_order *order, ls_err *err);

/* Measures over bins; order may be NULL, and is not used by LS_TIES_ROWS where it has doubts (equal confidences may lie in their order); `bins` receives binning->bins of them, one more with one_apart. O(n); equal mass sorts (radix). */
size_t ls_calibration_scratch(size_t n, const ls_binning *binning);
ls_status ls_calibrate(size_t n, const double *c, const uint8_t *a, const ls_order *order, const ls_binning *binning, void *scratch, ls_calibration *out,
                       ls_bin *bins, ls_err *err);

/* ls_confidences and ls_calibrate with bins of equal width in one sweep; confidence and correct may be NULL where only the measures are wanted. Sums
 * are taken in other blocks than by ls_calibrate: the last bits may differ. Where only the measures are wanted, of 16384 logits' rows or more, 2 to 64 classes, a temperature of 1e-3 to
 * 1e3 and the default edges, confidences are made in float32, off by (K + 17)/4 · 2^-24 at most (4e-7 for ten classes): less than what logits lost when they were stored, and in the
 * means by bin, where it has both signs, about 1e-9. Rows so near an edge that it matters are made in double: counts and accuracies of bins are the same. O(nK). */
size_t ls_calibrate_predictions_scratch(const ls_predictions *p, const ls_binning *binning);
ls_status ls_calibrate_predictions(const ls_predictions *p, const ls_binning *binning, void *scratch, double *confidence, uint8_t *correct,
                                   ls_calibration *out, ls_bin *bins, ls_err *err);

/* Smooth calibration error (Blasiok and Nakkiran 2023): residuals and counts, smoothed by a Gaussian of width s that is reflected at 0 and 1,
 * give smECE(s) = sum |R| / sum D; the result is that of the least s with smECE(s) <= s, by ten bisections. Grid, mesh and kernel are those of
 * relplot 1.0.3. width > 0: at that width instead. *found: the width. O(n) for each width. */
size_t ls_smooth_calibration_scratch(size_t n);
ls_status ls_smooth_calibration(size_t n, const double *c, const uint8_t *a, double width, void *scratch, double *error, double *found, ls_err *err);

/* Maximum mean calibration error (Kumar et al. 2018): sqrt of n^-2 sum_ij (a_i-c_i)(a_j-c_j) exp(-|c_i-c_j|/width), .4 is the paper's. All
 * pairs, by one pass over sorted confidences (order may be NULL). O(n). */
size_t ls_mmce_scratch(size_t n);
ls_status ls_mmce(size_t n, const double *c, const uint8_t *a, const ls_order *order, double width, void *scratch, double *mmce, ls_err *err);

/* One-vs-rest calibration of every class: of (p_k, [y=k]). */
typedef struct ls_class_calibration {
  double l1, l2, max; /* as above */
  double gap;         /* mean p_k - share of class k */
  double null;        /* expected l1 of a calibrated model */
} ls_class_calibration;

typedef struct ls_classwise {
  double l1, l2, max; /* mean over classes of l1; sqrt of the mean of l2²; largest */
  double null;        /* mean of the classes' */
  double debiased_l2; /* sqrt(max(0, mean over classes of sum n_b/n (g_b² - y_b(1-y_b)/(n_b-1)))): Kumar et al. 2019's marginal error */
  double brier; /* these two are sums over classes: the Brier score 0 … 2 */
  ls_murphy murphy;
  double nll;         /* mean of -log p_y */
} ls_classwise;

/* Bins of equal width. `classes` receives K. O(nK); scratch 48·K·bins bytes for each of at most 64 parts of the rows. */
size_t ls_classwise_scratch(const ls_predictions *p, const ls_binning *binning);
ls_status ls_classwise_calibration(const ls_predictions *p, const ls_binning *binning, void *scratch, ls_classwise *out, ls_class_calibration *classes,
                                   ls_err *err);

/* The interval of a share of `right` among n by Clopper and Pearson (1934) or Wilson (1927); n > 0, 0 <= right <= n, not whole numbers too;
 * 0 < level < 1. */
void ls_clopper_pearson(double right, double n, double level, double *low, double *high);
void ls_wilson(double right, double n, double level, double *low, double *high);

#ifdef __cplusplus
}
#endif
#endif
