/* Sums over bins while rows pass. SPDX-License-Identifier: MIT
 *
 * A cell for each bin and verdict holds count, c, c², (c - a)²: two vectors to load, add and store for a row. Few bins have four copies, taken in
 * turn: rows that follow each other mostly fall into one bin, and would wait for each other's sums. */
#ifndef LS_EVAL_BIN_CELLS_H
#define LS_EVAL_BIN_CELLS_H

#include "core/eval/bins.h"
#include "core/eval/predictions.h"

#include <stdint.h>

typedef struct ls_bin_totals {
  double c, a, brier; /* sums of c, a, (c - a)² over all rows, those of no bin included */
} ls_bin_totals;

/* Numbers that the cells of a binning of equal width take; zero them before the first rows. */
size_t ls_bin_cells(const ls_binning *b);

/* Adds n rows. */
void ls_bin_cells_add(const ls_binning *b, const double *edges, double *cells, size_t n, const double *c, const uint8_t *a);

/* Adds the rows of a raw part, plain bins of equal width: confidences as of the kernel `bin`. False where a row cannot be judged. */
bool ls_bin_cells_judge(const ls_binning *b, double *cells, const ls_predictions *p, const ls_sweep_part *part);

/* Adds what is in the cells to sums (ls_bins_of) and totals. */
void ls_bin_cells_give(const ls_binning *b, const double *cells, ls_bin_sums *sums, ls_bin_totals *totals);

#endif
