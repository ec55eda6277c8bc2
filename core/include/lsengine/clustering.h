/* Clustering: silhouette, k-means, agreement of two partitions. SPDX-License-Identifier: MIT
 *
 * Points are rows of doubles, x (n,d) contiguous, made by ls_clustering_points: less the mean of all rows, or at unit length. group (n) as in geometry.h. The bits
 * do not depend on threads; ties go to the lower number. */
#ifndef LSENGINE_CLUSTERING_H
#define LSENGINE_CLUSTERING_H

#include <lsengine/random.h>
#include <lsengine/view.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum ls_cluster_metric { LS_CLUSTER_COSINE, LS_CLUSTER_EUCLIDEAN } ls_cluster_metric;

/* For COSINE the rows at unit length, for EUCLIDEAN the rows less their mean. LS_EVALUE for a number that is NaN or infinite, and for a row of zeros with COSINE.
 * scratch: n + d doubles and one more. */
size_t ls_clustering_points_scratch(ls_cmat x);
ls_status ls_clustering_points(ls_cmat x, ls_cluster_metric metric, void *scratch, double *points, ls_err *err);

/* Mean silhouette (Rousseeuw 1987): (b-a)/max(a,b), a the mean distance to the other rows of the own class, b the least mean distance to those of another class;
 * 0 for a row alone in its class, and where a and b are 0. COSINE: 1 - cos; EUCLIDEAN: true distances; from differences, so that near points keep their digits.
 * rows (n) or NULL receives each row's. LS_ERANGE for fewer than 2 classes. O(n²d). */
size_t ls_silhouette_scratch(int32_t n, int32_t classes);
ls_status ls_silhouette(int32_t n, int32_t d, const double *points, ls_cluster_metric metric, const int32_t *group, int32_t classes, void *scratch, double *rows,
                        double *out, ls_err *err);

typedef struct ls_kmeans_options {
  int32_t clusters;   /* 1 … n */
  int32_t iterations; /* of Lloyd, at most; >= 1 */
} ls_kmeans_options;

typedef struct ls_kmeans {
  double inertia;     /* sum of the squared distances to the own centre */
  int32_t iterations; /* of Lloyd */
  bool converged;     /* no row changed its cluster */
} ls_kmeans;

/* One run of Lloyd's algorithm from centres by greedy k-means++ (Arthur and Vassilvitskii 2007; of 2 + log K candidates the one that lowers the inertia most,
 * as scikit-learn), drawn from rng; starts (K,d) instead of them where not NULL. A cluster without rows takes the row farthest from its centre. centres
 * (K,d), cluster (n). O(n K d) each iteration. Restarts are the caller's: each with its own stream, the least inertia kept. */
size_t ls_kmeans_scratch(int32_t n, int32_t d, int32_t clusters);
ls_status ls_kmeans_run(int32_t n, int32_t d, const double *points, const ls_kmeans_options *o, const double *starts, ls_rng *rng, void *scratch, double *centres,
                        int32_t *cluster, ls_kmeans *out, ls_err *err);

typedef struct ls_agreement {
  double nmi, ami; /* mutual information over the arithmetic mean of the entropies; the same less its expectation under random labels of these sizes (Vinh et al. 2010) */
  double ari;      /* adjusted Rand index (Hubert and Arabie 1985) */
  double homogeneity, completeness, v_measure; /* of b as clusters of the classes a (Rosenberg and Hirschberg 2007) */
  double mutual_information, entropy_a, entropy_b; /* nats */
} ls_agreement;

/* a (n) in 0 … ca-1, b (n) in 0 … cb-1, every number used. Limits as scikit-learn: two trivial partitions (one part each, or n parts each) agree perfectly.
 * O(n + ca cb + the expectation's O(n min(ca,cb))). */
size_t ls_agreement_scratch(int32_t n, int32_t ca, int32_t cb);
ls_status ls_agree(int32_t n, const int32_t *a, int32_t ca, const int32_t *b, int32_t cb, void *scratch, ls_agreement *out, ls_err *err);

#ifdef __cplusplus
}
#endif
#endif
