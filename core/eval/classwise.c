/* Calibration of every class against the rest, and Murphy's decomposition of the Brier score. SPDX-License-Identifier: MIT */
#include "core/eval/bins.h"
#include "core/eval/predictions.h"

#include <string.h>

enum { MOST_SCRATCH = 64 << 20 }; /* bytes of sums that the number of chunks is chosen for */

typedef struct classwise_job {
  const ls_binning *binning;
  const double *edges;
  ls_bin_sums *sums; /* (chunks, K, bins) */
  double *scores;    /* (chunks, 2): brier, nll */
  int32_t bins;
} classwise_job;

static size_t sums_of_chunk(const ls_predictions *p, const ls_binning *b) {
  return (size_t)(p->z.cols < 1 ? 1 : p->z.cols) * ((size_t)(b->bins > 0 ? b->bins : 0) + 1);
}

static size_t chunks_of(const ls_predictions *p, const ls_binning *b) {
  return ls_sweep_chunks(p, MOST_SCRATCH / (sums_of_chunk(p, b) * sizeof(ls_bin_sums)) + 1);
}

size_t ls_classwise_scratch(const ls_predictions *p, const ls_binning *b) {
  size_t chunks = chunks_of(p, b);
  return chunks * (sums_of_chunk(p, b) * sizeof(ls_bin_sums) + 2 * sizeof(double)) + ((size_t)(b->bins > 0 ? b->bins : 0) + 2) * sizeof(double) +
         ls_sweep_scratch(p, chunks);
}

static void take(void *context, const ls_predictions *p, const ls_sweep_part *part) {
  const classwise_job *j = context;
  ls_bin_sums *sums = j->sums + part->chunk * (size_t)part->classes * (size_t)j->bins;
  double brier = 0.0, nll = 0.0;
  (void)p;
  for (int32_t i = 0; i < part->count; i++) {
    const double *row = part->p + (size_t)i * (size_t)part->classes;
    ls_bin_sums *own = sums;
    for (int32_t k = 0; k < part->classes; k++, own += j->bins) {
      double c = row[k];
      int32_t bin = ls_bin_of(j->binning, j->edges, c);
      if (bin < 0) continue;
      own[bin].count += 1.0;
      own[bin].c += c;
      own[bin].squares += c * c;
    }
    int32_t y = part->label[i], bin = ls_bin_of(j->binning, j->edges, row[y]);
    if (bin >= 0) {
      ls_bin_sums *at = sums + (size_t)y * (size_t)j->bins + bin;
      at->a += 1.0;
      at->products += row[y];
    }
    brier += part->brier[i];
    nll += part->nll[i];
  }
  j->scores[2 * part->chunk] += brier;
  j->scores[2 * part->chunk + 1] += nll;
}

static void sum_up(const ls_bin_sums *sums, int32_t bins, int32_t classes, double n, ls_classwise *out, ls_class_calibration *each) {
  double l2 = 0.0, debiased = 0.0;
  for (int32_t k = 0; k < classes; k++) {
    ls_calibration r = {0};
    double p = 0.0, share = 0.0, own = 0.0;
    const ls_bin_sums *s = sums + (size_t)k * (size_t)bins;
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
  size_t chunks = chunks_of(p, binning), each = (size_t)p->z.cols * (size_t)bins;
  classwise_job j = {.binning = binning, .sums = scratch, .bins = bins};
  j.scores = (double *)(j.sums + chunks * each);
  double *edges = j.scores + 2 * chunks;
  j.edges = edges;
  ls_bin_edges_of(binning, edges);
  memset(scratch, 0, chunks * (each * sizeof *j.sums + 2 * sizeof *j.scores));
  status = ls_sweep(p, chunks, LS_WANT_PROBABILITIES, edges + binning->bins + 2, take, &j, err);
  if (status != LS_OK) return status;

  ls_classwise r = {0};
  for (size_t k = 0; k < chunks; k++) r.brier += j.scores[2 * k], r.nll += j.scores[2 * k + 1];
  r.brier /= (double)kept;
  r.nll /= (double)kept;
  for (size_t k = 1; k < chunks; k++)
    for (size_t i = 0; i < each; i++) {
      ls_bin_sums *to = &j.sums[i], *from = &j.sums[k * each + i];
      to->count += from->count, to->c += from->c, to->a += from->a, to->squares += from->squares, to->products += from->products;
    }
  sum_up(j.sums, bins, p->z.cols, (double)kept, &r, classes);
  *out = r;
  return LS_OK;
}
