/* Sums over bins. SPDX-License-Identifier: MIT */
#ifndef LS_EVAL_BINS_H
#define LS_EVAL_BINS_H

#include <lsengine/calibration.h>

#include <math.h>

typedef struct ls_bin_sums {
  double count, c, a, squares, products;
} ls_bin_sums;

/* Bins that a binning has, the one for confidence 1 included. */
static inline int32_t ls_bins_of(const ls_binning *b) { return b->bins + (b->one_apart && b->edges == LS_EDGES_LEFT && b->kind == LS_BINS_EQUAL_WIDTH); }

/* The default: floor(c·B), the last closed. */
static inline bool ls_bins_are_plain(const ls_binning *b) { return b->rounding == LS_ROUND_PRODUCT && b->edges == LS_EDGES_LEFT && !b->one_apart; }

ls_status ls_binning_check(const ls_binning *b, ls_err *err);

/* The B + 1 edges of equal width. */
void ls_bin_edges_of(const ls_binning *b, double *edges);

/* The bin of c given its edges, -1 for none. */
int32_t ls_bin_by_edges(const ls_binning *b, const double *edges, double c);

/* The bin of c among those of equal width, -1 for none; `edges` is looked at from LS_ROUND_LINSPACE on. */
static inline int32_t ls_bin_of(const ls_binning *b, const double *edges, double c) {
  if (b->rounding >= LS_ROUND_LINSPACE) return ls_bin_by_edges(b, edges, c);
  double place = b->rounding == LS_ROUND_PRODUCT ? c * b->bins : c / (1.0 / b->bins);
  if (b->edges == LS_EDGES_RIGHT) return c > 0.0 ? (int32_t)ceil(place) - 1 : b->drop_zero ? -1 : 0;
  if (c >= 1.0) return b->one_apart ? b->bins : b->bins - 1;
  int32_t bin = (int32_t)place;
  return bin < b->bins ? bin : b->bins - 1;
}

static inline void ls_bin_add(ls_bin_sums *s, double c, double a, double weight) {
  s->count += weight;
  s->c += weight * c;
  s->a += weight * a;
  s->squares += weight * c * c;
  s->products += weight * c * a;
}

/* E|N(mean, deviation²)| */
double ls_folded_normal(double mean, double deviation);

/* Everything that is made of sums over bins of n rows, in order; `mean_c`, `mean_a` over all rows. Sets all but rows, brier. */
void ls_calibration_of_sums(const ls_bin_sums *bins, int32_t count, double n, ls_calibration *out);

#endif
