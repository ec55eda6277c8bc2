/* Calibration of every class against the rest, and Murphy's decomposition of the Brier score. SPDX-License-Identifier: MIT */
#include "core/eval/bins.h"
#include "core/eval/predictions.h"

#include <string.h>

enum { MOST_SCRATCH = 64 << 20 }; /* bytes of sums that the number of chunks is chosen for */

typedef double pair __attribute__((vector_size(16), aligned(8), may_alias));

/* What a class has in a bin; the last two only of rows that carry its label. */
typedef struct cell {
  double count, c, squares, unused, a, products;
} cell;

typedef struct classwise_job {
  const ls_binning *binning;
  const double *edges;
  cell *cells;       /* (chunks, K, bins + 1): the first is of no bin */
  double *scores;    /* (chunks, 2): brier, nll */
  int32_t bins;
} classwise_job;

static size_t cells_of_chunk(const ls_predictions *p, const ls_binning *b) {
  return (size_t)(p->z.cols < 1 ? 1 : p->z.cols) * ((size_t)(b->bins > 0 ? b->bins : 0) + 2);
}

static size_t chunks_of(const ls_predictions *p, const ls_binning *b) { return ls_sweep_chunks(p, MOST_SCRATCH / (cells_of_chunk(p, b) * sizeof(cell)) + 1); }

/* cells, scores, edges, sums of a class, the sweep's */
size_t ls_classwise_scratch(const ls_predictions *p, const ls_binning *b) {
  size_t chunks = chunks_of(p, b), bins = (size_t)(b->bins > 0 ? b->bins : 0) + 2;
  return chunks * (cells_of_chunk(p, b) * sizeof(cell) + 2 * sizeof(double)) + bins * (sizeof(double) + sizeof(ls_bin_sums)) + ls_sweep_scratch(p, chunks);
}

/* Places of n numbers, whatever their class. */
static void places_of(const classwise_job *j, size_t n, const double *p, int32_t *place) {
  const ls_binning *b = j->binning;
  double bins = b->bins;
  int32_t last = b->bins - 1;
  if (b->rounding == LS_ROUND_PRODUCT && b->edges == LS_EDGES_LEFT && !b->one_apart)
    for (size_t k = 0; k < n; k++) {
      int32_t bin = (int32_t)(p[k] * bins);
      place[k] = (bin < last ? bin : last) + 1;
    }
  else
    for (size_t k = 0; k < n; k++) place[k] = ls_bin_of(b, j->edges, p[k]) + 1;
}

static void add_cells(cell *to, size_t bins, size_t n, const double *p, const int32_t *place) {
  for (size_t k = 0; k < n; k++, to += bins) {
    pair *sums = (pair *)&to[place[k]];
    double c = p[k];
    sums[0] += (pair){1.0, c};
    to[place[k]].squares += c * c;
  }
}

static void take(void *context, const ls_predictions *p, const ls_sweep_part *part) {
  enum { BLOCK = 1024 };
  const classwise_job *j = context;
  size_t bins = (size_t)j->bins + 1, classes = (size_t)part->classes;
  cell *cells = j->cells + part->chunk * classes * bins;
  int32_t place[BLOCK];
  size_t rows = classes < BLOCK ? BLOCK / classes : 1;
  double brier = 0.0, nll = 0.0;
  (void)p;
  for (size_t first = 0; first < (size_t)part->count; first += rows) {
    size_t count = (size_t)part->count - first < rows ? (size_t)part->count - first : rows;
    if (classes <= BLOCK) places_of(j, count * classes, part->p + first * classes, place);
    for (size_t i = 0; i < count; i++) {
      const double *row = part->p + (first + i) * classes;
      if (classes <= BLOCK) add_cells(cells, bins, classes, row, place + i * classes);
      for (size_t from = 0; classes > BLOCK && from < classes; from += BLOCK) {
        size_t some = classes - from < BLOCK ? classes - from : BLOCK;
        places_of(j, some, row + from, place);
        add_cells(cells + from * bins, bins, some, row + from, place);
      }
    }
  }
  for (int32_t i = 0; i < part->count; i++) {
    int32_t y = part->label[i], own;
    double c = part->p[(size_t)i * classes + (size_t)y];
    places_of(j, 1, &c, &own);
    *(pair *)&cells[(size_t)y * bins + (size_t)own].a += (pair){1.0, c};
    brier += part->brier[i];
    nll += part->nll[i];
  }
  j->scores[2 * part->chunk] += brier;
  j->scores[2 * part->chunk + 1] += nll;
}

/* The chunks' cells of class k, in order. */
static void gather(const classwise_job *j, size_t chunks, int32_t classes, int32_t k, ls_bin_sums *sums) {
  size_t bins = (size_t)j->bins + 1;
  memset(sums, 0, (size_t)j->bins * sizeof *sums);
  for (size_t c = 0; c < chunks; c++)
    for (size_t b = 1; b < bins; b++) {
      const cell *from = &j->cells[(c * (size_t)classes + (size_t)k) * bins + b];
      ls_bin_sums *to = &sums[b - 1];
      to->count += from->count, to->c += from->c, to->a += from->a, to->squares += from->squares, to->products += from->products;
    }
}

static void sum_up(const classwise_job *j, size_t chunks, int32_t classes, double n, ls_bin_sums *s, ls_classwise *out, ls_class_calibration *each) {
  int32_t bins = j->bins;
  double l2 = 0.0, debiased = 0.0;
  for (int32_t k = 0; k < classes; k++) {
    ls_calibration r = {0};
    double p = 0.0, share = 0.0, own = 0.0;
    gather(j, chunks, classes, k, s);
    ls_calibration_of_sums(s, bins, n, &r);
    for (int32_t b = 0; b < bins; b++) {
      double m = s[b].count, y = m > 0.0 ? s[b].a / m : 0.0, gap = m > 0.0 ? y - s[b].c / m : 0.0;
      p += s[b].c;
      share += s[b].a;
      if (m >= 2.0) own += m / n * (gap * gap - y * (1.0 - y) / (m - 1.0));
    }
    each[k] = (ls_class_calibration){r.l1, r.l2, r.max, (p - share) / n, r.null};
    out->l1 += r.l1 / classes;
    out->null += r.null / classes;
    out->max = fmax(out->max, r.max);
    l2 += r.l2 * r.l2 / classes;
    debiased += own / classes;
    out->reliability += r.reliability;
    out->resolution += r.resolution;
    out->uncertainty += r.uncertainty;
    out->within_variance += r.within_variance;
    out->within_covariance += r.within_covariance;
  }
  out->l2 = sqrt(l2);
  out->debiased_l2 = sqrt(fmax(0.0, debiased));
}

ls_status ls_classwise_calibration(const ls_predictions *p, const ls_binning *binning, void *scratch, ls_classwise *out, ls_class_calibration *classes,
                                   ls_err *err) {
  int64_t kept;
  ls_status status = ls_binning_check(binning, err);
  if (status == LS_OK) status = ls_predictions_check(p, &kept, err);
  if (status == LS_OK && binning->kind != LS_BINS_EQUAL_WIDTH) status = ls_fail(err, LS_ERANGE, "classes are binned by equal width only");
  if (status != LS_OK) return status;
  int32_t bins = ls_bins_of(binning);
  size_t chunks = chunks_of(p, binning), each = (size_t)p->z.cols * ((size_t)bins + 1);
  classwise_job j = {.binning = binning, .cells = scratch, .bins = bins};
  j.scores = (double *)(j.cells + chunks * each);
  double *edges = j.scores + 2 * chunks;
  ls_bin_sums *sums = (ls_bin_sums *)(edges + binning->bins + 2);
  j.edges = edges;
  ls_bin_edges_of(binning, edges);
  memset(scratch, 0, chunks * (each * sizeof *j.cells + 2 * sizeof *j.scores));
  status = ls_sweep(p, chunks, LS_WANT_PROBABILITIES, sums + binning->bins + 2, take, &j, err);
  if (status != LS_OK) return status;

  ls_classwise r = {0};
  for (size_t k = 0; k < chunks; k++) r.brier += j.scores[2 * k], r.nll += j.scores[2 * k + 1];
  r.brier /= (double)kept;
  r.nll /= (double)kept;
  sum_up(&j, chunks, p->z.cols, (double)kept, sums, &r, classes);
  *out = r;
  return LS_OK;
}
