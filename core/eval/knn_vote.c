/* Votes of nearest neighbours. SPDX-License-Identifier: MIT */
#include <lsengine/knn.h>

#include <math.h>
#include <string.h>

/* A neighbour's weight, before the row's weights are divided by their sum. `best` is the row's nearest distance. */
static double weight(const ls_vote_options *o, double distance, double best) {
  if (o->weights == LS_VOTE_UNIFORM || distance == best) return 1.0; /* infinite ones, too */
  if (o->weights == LS_VOTE_TEMPERATURE) return exp((o->largest_first ? distance - best : best - distance) / o->temperature);
  return best == 0.0 ? 0.0 : best / distance; /* relative to the nearest: nothing overflows */
}

ls_status ls_knn_vote(ls_cmat distances, const int64_t *labels, const ls_vote_options *o, ls_mat probabilities, ls_err *err) {
  int32_t k = distances.cols;
  if (probabilities.rows != distances.rows || probabilities.cols != o->classes)
    return ls_fail(err, LS_ESHAPE, "probabilities are %dx%d, %dx%d is required", probabilities.rows, probabilities.cols, distances.rows, o->classes);
  if (o->weights == LS_VOTE_TEMPERATURE && !(o->temperature > 0.0 && isfinite(o->temperature)))
    return ls_fail(err, LS_ERANGE, "temperature is %g, allowed is above 0", o->temperature);
  for (size_t i = 0; i < (size_t)distances.rows * (size_t)k; i++)
    if (labels[i] < 0 || labels[i] >= o->classes)
      return ls_fail(err, LS_ERANGE, "the label of a neighbour is %lld but there are %d classes (0 to %d)", (long long)labels[i], o->classes, o->classes - 1);
  for (int32_t i = 0; i < distances.rows; i++) {
    const float *d = distances.data + i * distances.stride;
    float *p = probabilities.data + i * probabilities.stride;
    const int64_t *y = labels + (size_t)i * (size_t)k;
    double total = 0.0;
    for (int32_t n = 0; n < k; n++) total += weight(o, (double)d[n], (double)d[0]);
    memset(p, 0, sizeof *p * (size_t)o->classes);
    for (int32_t n = 0; n < k; n++) p[y[n]] += (float)(weight(o, (double)d[n], (double)d[0]) / total);
  }
  return LS_OK;
}
