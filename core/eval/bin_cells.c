/* Sums over bins while rows pass. SPDX-License-Identifier: MIT */
#include "core/eval/bin_cells.h"

#include "core/kernels/kernels.h"

enum { CELL = LS_BIN_CELL, FEW_BINS = 100, COPIES = LS_BIN_COPIES, BLOCK = 256 };

typedef double pair __attribute__((vector_size(16), aligned(8), may_alias));

static int32_t copies_of(const ls_binning *b) { return b->bins <= FEW_BINS ? COPIES : 1; }

/* Bins, and one before them for rows of no bin; each for a = 0 and 1. */
static size_t cells_of(const ls_binning *b) { return 2 * ((size_t)(b->bins > 0 ? ls_bins_of(b) : 0) + 1); }

size_t ls_bin_cells(const ls_binning *b) { return cells_of(b) * (size_t)copies_of(b) * CELL; }

static void places_of(const ls_binning *b, const double *edges, size_t n, const double *c, const uint8_t *a, int32_t *place) {
  if (ls_bins_are_plain(b)) {
    ls_kernels_now()->evaluation->places(n, c, b->bins, place);
    for (size_t i = 0; i < n; i++) place[i] = 2 * place[i] + a[i];
  } else
    for (size_t i = 0; i < n; i++) place[i] = 2 * (ls_bin_of(b, edges, c[i]) + 1) + a[i];
}

static size_t turn_of(const ls_binning *b) { return copies_of(b) > 1 ? cells_of(b) * CELL : 0; }

void ls_bin_cells_add(const ls_binning *b, const double *edges, double *cells, size_t n, const double *c, const uint8_t *a) {
  int32_t place[BLOCK];
  size_t turn = turn_of(b);
  for (size_t from = 0; from < n; from += BLOCK) {
    size_t count = n - from < BLOCK ? n - from : BLOCK;
    places_of(b, edges, count, c + from, a + from, place);
    for (size_t i = 0; i < count; i++) {
      double x = c[from + i], d = x - a[from + i];
      pair *cell = (pair *)(cells + turn * (i % COPIES) + (size_t)place[i] * CELL);
      cell[0] += (pair){1.0, x};
      cell[1] += (pair){x, d} * (pair){x, d};
    }
  }
}

bool ls_bin_cells_judge(const ls_binning *b, double *cells, const ls_predictions *p, const ls_sweep_part *part) {
  ls_bin_block block = {.rows = (size_t)part->count, .copy = turn_of(b), .classes = part->classes, .bins = b->bins, .first = part->first, .stride = p->z.stride, .row = part->logits,
                        .label = part->label, .cells = cells};
  return ls_kernels_now()->evaluation->bin(&block, 1.0 / p->temperature);
}

void ls_bin_cells_give(const ls_binning *b, const double *cells, ls_bin_sums *sums, ls_bin_totals *totals) {
  size_t all = cells_of(b), copies = (size_t)copies_of(b);
  for (size_t i = 0; i < all; i++) {
    double sum[CELL] = {0};
    for (size_t k = 0; k < copies; k++)
      for (int x = 0; x < CELL; x++) sum[x] += cells[(k * all + i) * CELL + (size_t)x];
    totals->c += sum[1];
    totals->a += i % 2 == 1 ? sum[0] : 0.0;
    totals->brier += sum[3];
    if (i < 2) continue;
    ls_bin_sums *to = &sums[i / 2 - 1];
    to->count += sum[0];
    to->c += sum[1];
    to->squares += sum[2];
    if (i % 2 == 0) continue;
    to->a += sum[0];
    to->products += sum[1];
  }
}
