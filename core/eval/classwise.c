/* Calibration of every class against the rest, and Murphy's decomposition of the Brier score. SPDX-License-Identifier: MIT */
#include "core/eval/bins.h"
#include "core/eval/measures.h"
#include "core/kernels/kernels.h"

#include <string.h>

enum { BLOCK = LS_CLASS_BLOCK }; /* numbers whose places are held at once */

/* What a class has in a bin of the rows that carry its label. */
typedef struct hits {
  double a, products;
} hits;

typedef struct classwise_job {
  const ls_binning *binning;
  double *edges;
  ls_class_cell *cells; /* (chunks, K, bins + 1): the first is of no bin */
  hits *hits;           /* likewise */
  double *scores;       /* (chunks, 2): brier, nll */
  ls_bin_sums *sums;    /* (bins), of a class at the end */
  int32_t bins;
} classwise_job;

/* Places of n numbers, whatever their class. */
static void places_of(const classwise_job *j, size_t n, const double *p, int32_t *place) {
  const ls_binning *b = j->binning;
  if (ls_bins_are_plain(b))
    ls_kernels_now()->evaluation->places(n, p, b->bins, place);
  else
    for (size_t k = 0; k < n; k++) place[k] = ls_bin_of(b, j->edges, p[k]) + 1;
}

/* Places lie as the numbers do: side by side along the rows or along the classes. */
static void add_block(const classwise_job *j, const ls_sweep_part *part, size_t rows, size_t classes, const double *p, ls_class_cell *cells) {
  int32_t place[BLOCK];
  bool columns = part->p_row == 1;
  size_t lines = columns ? classes : rows, length = columns ? rows : classes, step = columns ? part->p_class : part->p_row;
  for (size_t i = 0; i < lines; i++) places_of(j, length, p + i * step, place + i * length);
  ls_class_block block = {rows, classes, part->p_row, part->p_class, columns ? 1 : classes, columns ? rows : 1, p, place};
  ls_kernels_now()->evaluation->add_cells(&block, (size_t)j->bins + 1, cells);
}

static void take(void *context, const ls_predictions *p, ls_sweep_part *part) {
  const classwise_job *j = context;
  size_t bins = (size_t)j->bins + 1, classes = (size_t)part->classes, count = (size_t)part->count;
  size_t block_classes = classes < BLOCK ? classes : BLOCK, block_rows = BLOCK / block_classes;
  if (block_rows > 16) block_rows -= block_rows % 16; /* whole vectors */
  ls_class_cell *cells = j->cells + part->chunk * classes * bins;
  hits *own_hits = j->hits + part->chunk * classes * bins;
  double brier = 0.0, nll = 0.0, own[LS_SWEEP_ROWS] = {0};
  int32_t place[LS_SWEEP_ROWS];
  (void)p;
  for (size_t i = 0; i < count; i += block_rows)
    for (size_t k = 0; k < classes; k += block_classes)
      add_block(j, part, count - i < block_rows ? count - i : block_rows, classes - k < block_classes ? classes - k : block_classes,
                part->p + i * part->p_row + k * part->p_class, cells + k * bins);
  for (size_t i = 0; i < count; i++) own[i] = part->p[i * part->p_row + (size_t)part->label[i] * part->p_class];
  places_of(j, count, own, place);
  for (size_t i = 0; i < count; i++) {
    hits *to = &own_hits[(size_t)part->label[i] * bins + (size_t)place[i]];
    to->a += 1.0;
    to->products += own[i];
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
      size_t at = (c * (size_t)classes + (size_t)k) * bins + b;
      const ls_class_cell *from = &j->cells[at];
      ls_bin_sums *to = &sums[b - 1];
      to->count += from->count, to->c += from->p, to->a += j->hits[at].a, to->squares += from->squares, to->products += j->hits[at].products;
    }
}

static void sum_up(const classwise_job *j, size_t chunks, int32_t classes, double n, ls_classwise *out, ls_class_calibration *each) {
  ls_bin_sums *s = j->sums;
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
    out->murphy.reliability += r.murphy.reliability;
    out->murphy.resolution += r.murphy.resolution;
    out->murphy.uncertainty += r.murphy.uncertainty;
    out->murphy.within_variance += r.murphy.within_variance;
    out->murphy.within_covariance += r.murphy.within_covariance;
  }
  out->l2 = sqrt(l2);
  out->debiased_l2 = sqrt(fmax(0.0, debiased));
}

static ls_sweep_wants wanted(const ls_judging *j) { return j->classwise != NULL ? LS_WANT_PROBABILITIES : LS_WANT_NOTHING; }

static ls_status check(const ls_predictions *p, const ls_judging *j, ls_err *err) {
  (void)p;
  ls_status status = ls_binning_check(j->binning, err);
  if (status == LS_OK && j->binning->kind != LS_BINS_EQUAL_WIDTH) status = ls_fail(err, LS_ERANGE, "classes are binned by equal width only");
  return status;
}

static size_t chunk_bytes(const ls_predictions *p, const ls_judging *j) {
  return (size_t)(p->z.cols < 1 ? 1 : p->z.cols) * ((size_t)(j->binning->bins > 0 ? j->binning->bins : 0) + 2) * (sizeof(ls_class_cell) + sizeof(hits));
}

static size_t bytes(const ls_predictions *p, const ls_judging *j, size_t chunks) {
  size_t bins = (size_t)(j->binning->bins > 0 ? j->binning->bins : 0) + 2;
  return sizeof(classwise_job) + chunks * (chunk_bytes(p, j) + 2 * sizeof(double)) + bins * (sizeof(double) + sizeof(ls_bin_sums));
}

static void begin(const ls_predictions *p, const ls_judging *j, size_t chunks, void *memory) {
  classwise_job *job = memory;
  *job = (classwise_job){.binning = j->binning, .cells = (ls_class_cell *)(job + 1), .bins = ls_bins_of(j->binning)};
  size_t all = chunks * (size_t)p->z.cols * ((size_t)job->bins + 1);
  job->hits = (hits *)(job->cells + all);
  job->scores = (double *)(job->hits + all);
  job->edges = job->scores + 2 * chunks;
  job->sums = (ls_bin_sums *)(job->edges + j->binning->bins + 2);
  ls_bin_edges_of(j->binning, job->edges);
  memset(job->cells, 0, (size_t)((char *)job->edges - (char *)job->cells));
}

static void end(const ls_predictions *p, const ls_judging *j, size_t chunks, int64_t kept, void *memory) {
  const classwise_job *job = memory;
  ls_classwise r = {0};
  for (size_t k = 0; k < chunks; k++) r.brier += job->scores[2 * k], r.nll += job->scores[2 * k + 1];
  r.brier /= (double)kept;
  r.nll /= (double)kept;
  sum_up(job, chunks, p->z.cols, (double)kept, &r, j->classes);
  *j->classwise = r;
}

const ls_measure ls_measure_classwise = {wanted, check, chunk_bytes, bytes, begin, take, end};

size_t ls_classwise_scratch(const ls_predictions *p, const ls_binning *b) {
  ls_classwise r;
  ls_judging j = {.binning = b, .classwise = &r};
  return ls_judge_scratch(p, &j);
}

ls_status ls_classwise_calibration(const ls_predictions *p, const ls_binning *binning, void *scratch, ls_classwise *out, ls_class_calibration *classes,
                                   ls_err *err) {
  int64_t kept;
  ls_judging j = {.binning = binning, .classwise = out, .classes = classes};
  return ls_judge(p, &j, scratch, &kept, err);
}
