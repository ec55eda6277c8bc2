/* Partners, weights and boxes of mixing. SPDX-License-Identifier: MIT
 *
 * Partners by a random cycle (Sattolo 1986): every row has another one. A plain permutation leaves one row of a batch with
 * itself in expectation. mixup: Zhang et al. 2018. cutmix: Yun et al. 2019, whose box is clipped at the border, so that the
 * share that is kept must be counted anew, in pixels. */
#include <lsengine/beta.h>
#include <lsengine/mix.h>

#include <math.h>
#include <string.h>

ls_status ls_mix_partners(ls_mix_mode mode, int32_t n, ls_rng *r, int32_t *order, int32_t *partner, ls_err *err) {
  if (n < 2) return ls_fail(err, LS_ERANGE, "a batch of %d row%s cannot be mixed, at least 2 are required", n, n == 1 ? "" : "s");
  for (int32_t i = 0; i < n; i++) order[i] = i;
  for (int32_t i = n - 1; i > 0; i--) {
    /* without i itself: one cycle through all; with it: any order, whose neighbours become pairs */
    int32_t j = (int32_t)ls_rng_integer(r, 0, mode == LS_MIX_PAIR ? i : i - 1), kept = order[i];
    order[i] = order[j];
    order[j] = kept;
  }
  if (mode != LS_MIX_PAIR) {
    memcpy(partner, order, (size_t)n * sizeof *partner);
    return LS_OK;
  }
  int32_t at = 0;
  for (; n - at >= 4 || n - at == 2; at += 2) {
    partner[order[at]] = order[at + 1];
    partner[order[at + 1]] = order[at];
  }
  for (int32_t i = at; i < n; i++) partner[order[i]] = order[i + 1 < n ? i + 1 : at];
  return LS_OK;
}

/* The row whose draw row i shares: the first of all, of its pair, or itself. */
static int32_t leader(ls_mix_mode mode, const int32_t *partner, int32_t i) {
  if (mode == LS_MIX_BATCH) return 0;
  if (mode == LS_MIX_ROW) return i;
  int32_t a = partner[i], b = partner[a];
  return a < i || b < i ? (a < b ? a : b) : i;
}

ls_status ls_mix_weights(ls_mix_mode mode, int32_t n, const int32_t *partner, double alpha, ls_rng *r, double *lambda, ls_err *err) {
  for (int32_t i = 0; i < n; i++) {
    int32_t first = leader(mode, partner, i);
    lambda[i] = lambda[first];
    if (first == i) {
      ls_status status = ls_rng_beta(r, alpha, alpha, &lambda[i], err);
      if (status != LS_OK) return status;
    }
  }
  return LS_OK;
}

/* Along one axis of `length` pixels: where a box of side s begins, and how long it is. */
static void place(ls_box_policy policy, int32_t length, double side, ls_rng *r, int32_t *from, int32_t *size) {
  int32_t s = (int32_t)floor(length * side);
  if (s > length) s = length;
  if (policy == LS_BOX_CLIPPED) {
    int32_t centre = (int32_t)ls_rng_integer(r, 0, length - 1), low = centre - s / 2, high = centre + s / 2;
    *from = low < 0 ? 0 : low;
    *size = (high > length ? length : high) - *from;
  } else {
    *from = (int32_t)ls_rng_integer(r, 0, policy == LS_BOX_INSIDE ? length - s : length - 1);
    *size = s;
  }
}

ls_status ls_mix_boxes(ls_mix_mode mode, ls_box_policy policy, int32_t n, const int32_t *partner, int32_t height, int32_t width,
                       ls_rng *r, double *lambda, ls_box *box, ls_err *err) {
  if (height < 1 || width < 1) return ls_fail(err, LS_ESHAPE, "an image of %dx%d has no pixel to cut", height, width);
  for (int32_t i = 0; i < n; i++) {
    int32_t first = leader(mode, partner, i);
    if (first != i) {
      box[i] = box[first];
      lambda[i] = lambda[first];
      continue;
    }
    double side = sqrt(1.0 - lambda[i]);
    place(policy, height, side, r, &box[i].y, &box[i].height);
    place(policy, width, side, r, &box[i].x, &box[i].width);
    int64_t pixels = (int64_t)height * width;
    lambda[i] = (double)(pixels - ls_box_area(&box[i])) / (double)pixels;
  }
  return LS_OK;
}

ls_status ls_mix_check_partners(int32_t n, const int32_t *partner, unsigned char *seen, ls_err *err) {
  memset(seen, 0, (size_t)n);
  for (int32_t i = 0; i < n; i++) {
    if (partner[i] < 0 || partner[i] >= n)
      return ls_fail(err, LS_ERANGE, "the partner of row %d is row %lld, allowed is 1 to %d", i + 1, (long long)partner[i] + 1, n);
    if (seen[partner[i]]++) return ls_fail(err, LS_ERANGE, "row %d is the partner of two rows", partner[i] + 1);
  }
  return LS_OK;
}

double ls_symmetric_beta_quantile(double alpha, double p) {
  double low = 0.0, high = 0.5, tail = p < 0.5 ? p : 1.0 - p;
  for (int i = 0; i < 1100 && low < high; i++) {
    double middle = 0.5 * (low + high);
    if (middle <= low || middle >= high) break;
    if (ls_beta_cdf(alpha, alpha, middle) < tail)
      low = middle;
    else
      high = middle;
    if (high - low < 1e-16) break;
  }
  return p < 0.5 ? high : 1.0 - high;
}
