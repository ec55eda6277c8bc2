/* Geometry of a representation: scatter, class separation, neural collapse, similarity of two representations. SPDX-License-Identifier: MIT
 *
 * x (n,d) are features, float, used in double; group (n) holds the number of each row's class, 0 … K-1, each of which has at least one row
 * (ls_group_labels makes it from labels of any kind). Means are taken first and subtracted in double, so that features far from the origin lose nothing.
 * Errors (nothing has been written then): LS_ESHAPE for no row or no column, LS_EVALUE for a number that is NaN or infinite and, where directions are
 * compared, for a row of zeros; rows are counted from 1. The bits do not depend on threads. */
#ifndef LSENGINE_GEOMETRY_H
#define LSENGINE_GEOMETRY_H

#include <lsengine/random.h>
#include <lsengine/view.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The classes that occur, in rising order of their labels, in names (n; the first *classes are set), and each row's class by its place among them. O(n log n). */
size_t ls_group_labels_scratch(size_t n);
ls_status ls_group_labels(size_t n, const int64_t *labels, void *scratch, int32_t *group, int64_t *names, int32_t *classes, ls_err *err);

typedef struct ls_scatter {
  /* by cosine distance, every class with the same weight, pairs of a row with itself included (Kornblith et al. 2021); u are the features at unit length, m_k
   * their class means, m the mean of these */
  double within;     /* d_w: mean over classes of the mean distance of two rows of the class = mean_k mean_{i in k} |u_i - m_k|² */
  double total;      /* d_t: mean over pairs of classes (also of one with itself) of the mean distance of their rows = d_w + mean_k |m_k - m|² */
  double between;    /* the same over pairs of different classes: (K d_t - d_w)/(K-1); 0 for one class */
  double separation; /* R² = 1 - d_w/d_t; 0 where d_t is 0: all directions are equal, nothing is there to explain */
  /* by Euclid; mu_k class means, mu their mean (not that of the rows: classes weigh the same) */
  double within_trace;  /* tr Sw = (1/n) sum_i |x_i - mu_y|² */
  double between_trace; /* tr Sb = (1/K) sum_k |mu_k - mu|² */
  double trace_ratio;   /* tr Sw / tr Sb; +inf where only tr Sb is 0, 0 where both are */
  double cdnv; /* class-distance normalised variance (Galanti et al. 2022): mean over pairs k != l of (v_k + v_l)/(2|mu_k - mu_l|²), v_k the mean of
                  |x - mu_k|²; 0 for one class; +inf where two means coincide and their rows spread, such a pair without spread counts 0 */
  double alignment; /* mean over pairs of different rows of one class of |u_i - u_j|² (Wang and Isola 2020, alpha = 2, positives: rows of one class); 0 for no pair */
  double norm; /* mean of |x_i| */
} ls_scatter;

/* O(nd + K²d). */
size_t ls_scatter_scratch(ls_cmat x, int32_t classes);
ls_status ls_measure_scatter(ls_cmat x, const int32_t *group, int32_t classes, void *scratch, ls_scatter *out, ls_err *err);

/* Uniformity (Wang and Isola 2020): log of the mean over pairs of different rows of exp(-t |u_i - u_j|²), t > 0; 0 (the most uneven) … ; n >= 2. O(n²d). */
size_t ls_uniformity_scratch(ls_cmat x);
ls_status ls_uniformity(ls_cmat x, double t, void *scratch, double *out, ls_err *err);

/* Mean of |u_i - v_i|² over given pairs: rows of x with those of y, of the same shape, both at unit length. O(nd). */
ls_status ls_alignment(ls_cmat x, ls_cmat y, double *out, ls_err *err);

typedef struct ls_collapse {
  /* Papyan, Han and Donoho 2020; mu_k class means, mu their mean, c_k = mu_k - mu, w_k the last layer's rows */
  double nc1;        /* tr(Sw pinv(Sb))/K, the pseudo-inverse over the directions of the c_k: at most K-1 and those above eps max(K,d) of the largest */
  double nc2_norms;  /* standard deviation (of K, not K-1) over mean of |c_k| */
  double nc2_angles; /* mean over k != l of |cos(c_k, c_l) + 1/(K-1)| */
  double nc2_weight_norms, nc2_weight_angles; /* the same of the w_k, as they are */
  double nc3;        /* | W/|W| - M/|M| |², Frobenius norms, rows of M the c_k: 0 … 4 */
  double nc4;        /* share of rows whose largest logit is at another class than the nearest class mean (Euclid); ties to the lower class */
  int32_t rank;      /* directions that nc1 has used */
} ls_collapse;

/* weight (K,d): row k belongs to class k; weight.data NULL leaves what needs it at 0. bias (K) or NULL. K >= 2. LS_ERANGE where a class mean is the mean of all of
 * them or a weight is zero: it has no direction. O(nd(K + d_r)), d_r = min(K,d), + O(K d d_r) + O(K² d). */
size_t ls_collapse_scratch(ls_cmat x, int32_t classes);
ls_status ls_neural_collapse(ls_cmat x, const int32_t *group, int32_t classes, ls_cmat weight, const float *bias, void *scratch, ls_collapse *out, ls_err *err);

/* Linear centred kernel alignment (Kornblith et al. 2019), columns centred: |Y'X|²/(|X'X| |Y'Y|), 0 … 1. x (n,d), y (n,e). LS_ERANGE where one is constant.
 * O(n (d+e)²), or O(n²(d+e)) where that is less. */
size_t ls_cka_scratch(ls_cmat x, ls_cmat y);
ls_status ls_cka(ls_cmat x, ls_cmat y, void *scratch, double *out, ls_err *err);

typedef struct ls_rank {
  /* Roy and Vetterli 2007: exp of the entropy of the singular values over their sum, 1 … min(n,d) */
  double effective, effective_centred; /* of the features as they are; of the features less their mean. 0 for zeros alone */
  double participation_centred;        /* (sum s²)²/sum s⁴ of the centred: the participation ratio of the covariance's eigenvalues */
} ls_rank;

/* By one sweep of QR decompositions over blocks of rows and the singular values of what is left: small singular values keep their digits, which those of a
 * covariance matrix lose. values (min(n,d)): the centred singular values in falling order, or NULL. O(nd² + d³). */
size_t ls_effective_rank_scratch(ls_cmat x);
ls_status ls_effective_rank(ls_cmat x, void *scratch, ls_rank *out, ls_err *err);

/* The plane through three templates, the last layer's rows of three classes (Müller et al. 2019): u1 = unit(b - a), u2 = unit of what is left of c - a. out (n,2):
 * ((x - a)·u1, (x - a)·u2); corners (3,2): a, b, c themselves. LS_ERANGE where the three lie on a line. O(nd). */
size_t ls_projection_scratch(int32_t d);
ls_status ls_project(ls_cmat x, const float *a, const float *b, const float *c, void *scratch, ls_mat out, float *corners, ls_err *err);

/* Müller et al. 2019, §4: how much the logit difference f of an image under augmentation tells of which image it was. draws (n,L): f of image i under
 * augmentation l; fresh (n,M): further draws, or .data NULL for the draws themselves. mu_i their means, s² the pooled variance (divided by nL):
 * mean over i and m of -(f_im - mu_i)²/(2s²) - log((1/n) sum_j exp(-(f_im - mu_j)²/(2s²))). At most log n; below 0 where a few draws say nothing. Where s² is 0 the
 * limit: log n less the mean log of the number of images with the same value; LS_ERANGE where a fresh draw then differs from its own. O(n² L). */
ls_status ls_mutual_information(ls_cmat draws, ls_cmat fresh, double *row_values, double *means, double *out, ls_err *err);

typedef struct ls_logit_stats {
  double norm, centred_norm; /* means of |z| and |z - mean z| over the classes that are not masked */
  double true_gap;           /* mean of z_y - mean_k z_k: what smoothing pulls together */
  double top_gap;            /* mean of max_k z_k - mean_k z_k: what MaxSup pulls together */
  double margin;             /* mean of z_y - max_{k != y} z_k: below 0 where the row is wrong */
  double top_margin;         /* mean of the largest less the second largest logit */
  double deviation;          /* mean over rows of the standard deviation of the logits of the wrong classes */
} ls_logit_stats;

/* z (n,K), labels 0 … K-1; -inf logits are masked classes; K >= 2, LS_ERANGE for a row with one class left. O(nK). */
ls_status ls_measure_logits(ls_cmat z, const int64_t *labels, ls_logit_stats *out, ls_err *err);

#ifdef __cplusplus
}
#endif
#endif
