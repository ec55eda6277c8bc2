/* What orders neighbours, in double, compiled once for each instruction set. SPDX-License-Identifier: MIT
 *
 * Every row's sum runs over the features in their order, without contraction: the same bits for a row alone or among others, in every set. Rows are the
 * lanes: eight rows of eight features are turned in registers, two such groups hide the latency of the additions. */
#include "core/kernels/knn.h"

#if defined(__AVX2__)
#include <immintrin.h>
#endif

#define LS_PASTE_(a, b) a##b
#define LS_PASTE(a, b) LS_PASTE_(a, b)
#define LS_KNN_VALUES LS_PASTE(ls_knn_values_, LS_ISA)

enum { GROUP = 8, TOGETHER = 16 };

void LS_KNN_VALUES(ls_metric metric, int32_t d, const float *query, double query_inverse, size_t count, const float *const *rows, const double *inverse, double *out);

#if defined(__AVX512F__)
typedef struct lanes {
  __m512d v[1];
} lanes;
enum { PARTS = 1 };
#define ADD _mm512_add_pd
#define SUBTRACT _mm512_sub_pd
#define MULTIPLY _mm512_mul_pd
#define SET _mm512_set1_pd
#define LOAD _mm512_loadu_pd
#define STORE _mm512_storeu_pd
typedef __m512d part;
static inline part widened(__m256 x, int p) { return p == 0 ? _mm512_cvtps_pd(x) : _mm512_setzero_pd(); }
#elif defined(__AVX2__)
typedef struct lanes {
  __m256d v[2];
} lanes;
enum { PARTS = 2 };
#define ADD _mm256_add_pd
#define SUBTRACT _mm256_sub_pd
#define MULTIPLY _mm256_mul_pd
#define SET _mm256_set1_pd
#define LOAD _mm256_loadu_pd
#define STORE _mm256_storeu_pd
typedef __m256d part;
static inline part widened(__m256 x, int p) { return _mm256_cvtps_pd(p == 0 ? _mm256_castps256_ps128(x) : _mm256_extractf128_ps(x, 1)); }
#endif

static inline __attribute__((always_inline)) double one_step(ls_metric metric, double sum, double a, double x, double inverse) {
  if (metric == LS_METRIC_INNER_PRODUCT) return sum - a * x;
  double difference = a - (metric == LS_METRIC_COSINE ? x * inverse : x);
  return sum + difference * difference;
}

#if defined(__AVX2__)
/* Eight features of eight rows: row by row becomes feature by feature. */
static inline void turned(const float *const *x, int32_t j, __m256 t[GROUP]) {
  __m256 r[GROUP], u[GROUP];
  for (int l = 0; l < GROUP; l++) r[l] = _mm256_loadu_ps(x[l] + j);
  for (int l = 0; l < GROUP; l += 2) {
    u[l] = _mm256_unpacklo_ps(r[l], r[l + 1]);
    u[l + 1] = _mm256_unpackhi_ps(r[l], r[l + 1]);
  }
  for (int l = 0; l < GROUP; l += 4) {
    r[l] = _mm256_shuffle_ps(u[l], u[l + 2], 0x44);
    r[l + 1] = _mm256_shuffle_ps(u[l], u[l + 2], 0xee);
    r[l + 2] = _mm256_shuffle_ps(u[l + 1], u[l + 3], 0x44);
    r[l + 3] = _mm256_shuffle_ps(u[l + 1], u[l + 3], 0xee);
  }
  for (int l = 0; l < 4; l++) {
    t[l] = _mm256_permute2f128_ps(r[l], r[l + 4], 0x20);
    t[l + 4] = _mm256_permute2f128_ps(r[l], r[l + 4], 0x31);
  }
}

static inline __attribute__((always_inline)) void add_features(ls_metric metric, const __m256 t[GROUP], const double a[GROUP], const lanes *inverse, lanes *sum) {
  for (int f = 0; f < GROUP; f++)
    for (int p = 0; p < PARTS; p++) {
      part x = widened(t[f], p), q = SET(a[f]);
      if (metric == LS_METRIC_INNER_PRODUCT) {
        sum->v[p] = SUBTRACT(sum->v[p], MULTIPLY(q, x));
        continue;
      }
      if (metric == LS_METRIC_COSINE) x = MULTIPLY(x, inverse->v[p]);
      part difference = SUBTRACT(q, x);
      sum->v[p] = ADD(sum->v[p], MULTIPLY(difference, difference));
    }
}
#endif

static inline __attribute__((always_inline)) void sixteen(ls_metric metric, int32_t d, const float *query, double query_inverse, const float *const x[TOGETHER],
                                                          const double inverse[TOGETHER], double sum[TOGETHER]) {
  int32_t j = 0;
#if defined(__AVX2__)
  lanes s[2], i[2];
  for (int g = 0; g < 2; g++)
    for (int p = 0; p < PARTS; p++) {
      s[g].v[p] = SET(0.0);
      i[g].v[p] = LOAD(inverse + g * GROUP + p * (GROUP / PARTS));
    }
  for (; j + GROUP <= d; j += GROUP) {
    __m256 t[2][GROUP];
    double a[GROUP];
    for (int f = 0; f < GROUP; f++) a[f] = metric == LS_METRIC_COSINE ? (double)query[j + f] * query_inverse : (double)query[j + f];
    for (int g = 0; g < 2; g++) turned(x + g * GROUP, j, t[g]);
    for (int g = 0; g < 2; g++) add_features(metric, t[g], a, &i[g], &s[g]);
  }
  for (int g = 0; g < 2; g++)
    for (int p = 0; p < PARTS; p++) STORE(sum + g * GROUP + p * (GROUP / PARTS), s[g].v[p]);
#else
  for (int l = 0; l < TOGETHER; l++) sum[l] = 0.0;
#endif
  for (; j < d; j++) {
    double a = metric == LS_METRIC_COSINE ? (double)query[j] * query_inverse : (double)query[j];
    for (int l = 0; l < TOGETHER; l++) sum[l] = one_step(metric, sum[l], a, (double)x[l][j], inverse[l]);
  }
}

void LS_KNN_VALUES(ls_metric metric, int32_t d, const float *query, double query_inverse, size_t count, const float *const *rows, const double *inverse, double *out) {
  for (size_t i = 0; i < count; i += TOGETHER) {
    const float *x[TOGETHER];
    double of[TOGETHER], sum[TOGETHER];
    size_t n = count - i < TOGETHER ? count - i : TOGETHER;
    for (size_t l = 0; l < TOGETHER; l++) {
      x[l] = rows[i + (l < n ? l : 0)];
      of[l] = metric == LS_METRIC_COSINE ? inverse[i + (l < n ? l : 0)] : 0.0;
    }
    if (metric == LS_METRIC_L2)
      sixteen(LS_METRIC_L2, d, query, 1.0, x, of, sum);
    else if (metric == LS_METRIC_INNER_PRODUCT)
      sixteen(LS_METRIC_INNER_PRODUCT, d, query, 1.0, x, of, sum);
    else
      sixteen(LS_METRIC_COSINE, d, query, query_inverse, x, of, sum);
    for (size_t l = 0; l < n; l++) out[i + l] = metric == LS_METRIC_COSINE ? 0.5 * sum[l] : sum[l];
  }
}
