/* Mixing: partners, weights and boxes drawn, rows blended or pasted. SPDX-License-Identifier: MIT
 *
 * A mixed row i is made of row i and of row partner[i], which is never i itself. Its label is lambda[i] parts y[i] and
 * 1 - lambda[i] parts y[partner[i]]. Drawing (small, sequential, from one stream) is apart from the work on rows (large, shared
 * out over the pool), so that the same draws give the same bits with any number of threads. */
#ifndef LSENGINE_MIX_H
#define LSENGINE_MIX_H

#include <lsengine/random.h>
#include <lsengine/view.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Who shares a draw of lambda (and of the box). Partners: a random cycle through all rows; of `pair` two rows that are each
 * other's partner, and where the number of rows is odd one cycle of three. */
typedef enum ls_mix_mode {
  LS_MIX_BATCH, /* all rows: one draw */
  LS_MIX_PAIR,  /* the two (three) rows of a pair */
  LS_MIX_ROW    /* each row has its own */
} ls_mix_mode;

/* Where a box of cutmix lies. With side s = floor(L·sqrt(1-lambda)) along an axis of L pixels:
 *   clipped  centre uniform over the pixels, s/2 (whole) pixels to each side, cut off at the border (Yun et al. 2019)
 *   inside   s pixels, placed uniformly where it fits wholly
 *   wrap     s pixels from a uniform first one, going on at the other border */
typedef enum ls_box_policy { LS_BOX_CLIPPED, LS_BOX_INSIDE, LS_BOX_WRAP } ls_box_policy;

typedef struct ls_box {
  int32_t y, x, height, width; /* of `wrap`, y + height may pass the border */
} ls_box;

/* partner[0 … n-1]; `order` holds n numbers of scratch. LS_ERANGE for n < 2: one row has no partner but itself. */
ls_status ls_mix_partners(ls_mix_mode mode, int32_t n, ls_rng *r, int32_t *order, int32_t *partner, ls_err *err);

/* lambda[0 … n-1] ~ Beta(alpha, alpha), shared as the mode says. alpha > 0, finite. */
ls_status ls_mix_weights(ls_mix_mode mode, int32_t n, const int32_t *partner, double alpha, ls_rng *r, double *lambda, ls_err *err);

/* Boxes in images of height × width for the nominal lambda[i]; lambda[i] becomes the exact one, 1 - box area / image area, in
 * whole pixels. Rows that share a draw (mode) share the box. LS_ESHAPE for an empty image. */
ls_status ls_mix_boxes(ls_mix_mode mode, ls_box_policy policy, int32_t n, const int32_t *partner, int32_t height, int32_t width,
                       ls_rng *r, double *lambda, ls_box *box, ls_err *err);

/* distance[i] = ||x[i] - x[partner[i]]||², in double. O(nd). */
void ls_mix_distances(ls_cmat x, const int32_t *partner, double *distance);

/* Weights warped by distance (Bouniot et al. 2025, Tailoring mixup to data for calibration; their code's Gaussian kernel):
 *   lambda[i] := P(X <= lambda[i]), X ~ Beta(t, t), 1/t = tau_max·exp(-(d_i - 1) / (2·tau_std²)), d_i = distance[i] / mean distance
 * so that rows far apart are hardly mixed (t large: weights near 0 or 1), and near ones towards halves. t is kept in 1e-12 … 1e6.
 * Where all distances are 0, every d_i is 1. tau_max, tau_std > 0, finite; LS_EVALUE for a distance that is negative or not finite. */
ls_status ls_mix_warp(int32_t n, const double *distance, double tau_max, double tau_std, double *lambda, ls_err *err);

/* The area of a box in pixels. */
static inline int64_t ls_box_area(const ls_box *b) { return (int64_t)b->height * b->width; }

/* LS_ERANGE where partner is no permutation of 0 … n-1 (`seen`: n bytes of scratch). */
ls_status ls_mix_check_partners(int32_t n, const int32_t *partner, unsigned char *seen, ls_err *err);

/* Bytes of scratch for both functions below, with the pool's threads of now: rows (n, d). */
size_t ls_mix_scratch(int32_t n, int32_t d);

/* out[i] = a[i]·x[i] + b[i]·x[partner[i]]. out is x itself (in place), or does not overlap it. partner is a permutation
 * (checked by the caller). mixup: a = lambda, b = 1 - lambda. Reads and writes each row once: O(nd). */
void ls_mix_rows(ls_cmat x, const int32_t *partner, const float *a, const float *b, ls_mat out, void *scratch);

/* out[i] = x[i] with the pixels of box[i] from x[partner[i]], in every channel: rows of channels × height × width. out is x, or
 * does not overlap it. In place only boxes are touched: O(n · channels · area). */
void ls_mix_paste(ls_cmat x, int32_t channels, int32_t height, int32_t width, const int32_t *partner, const ls_box *box, ls_mat out,
                  void *scratch);

/* The p-quantile of Beta(alpha, alpha), 0 < p < 1; absolute error below 1e-12. */
double ls_symmetric_beta_quantile(double alpha, double p);

#ifdef __cplusplus
}
#endif
#endif
