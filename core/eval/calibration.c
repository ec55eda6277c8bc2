/* Calibration error over bins, and Murphy's decomposition. SPDX-License-Identifier: MIT */
#include "core/eval/bin_cells.h"
#include "core/eval/measures.h"
#include "core/eval/order.h"
#include "core/kernels/kernels.h"

#include <lsengine/pool.h>

#include <string.h>

#define PI 3.14159265358979323846

enum { CHUNKS = 64, CHUNK_ROWS = 4096 };

ls_status ls_binning_check(const ls_binning *b, ls_err *err) {
  if (b->bins < 1 || b->bins > LS_MOST_BINS) return ls_fail(err, LS_ERANGE, "bins is %d, allowed is 1 to %d", b->bins, LS_MOST_BINS);
  return LS_OK;
}

void ls_bin_edges_of(const ls_binning *b, double *edges) {
  int32_t n = b->bins;
  double step = 1.0 / n;
  float step_f = 1.0f / (float)n;
  for (int32_t i = 0; i <= n; i++) {
    if (b->rounding == LS_ROUND_FLOAT32) /* torch.linspace counts from the nearer end */
      edges[i] = i < (n + 1) / 2 ? (double)(step_f * (float)i) : (double)(1.0f - step_f * (float)(n - i));
    else
      edges[i] = b->rounding == LS_ROUND_LINSPACE ? i * step : (double)i / n;
  }
  edges[n] = 1.0;
}

int32_t ls_bin_by_edges(const ls_binning *b, const double *edges, double c) {
  int32_t low = 0, high = b->bins + 1; /* the edges that are <= c (right: < c) are those before `low` at the end */
  if (b->rounding == LS_ROUND_FLOAT32) c = (double)(float)c;
  while (low < high) {
    int32_t middle = low + (high - low) / 2;
    if (b->edges == LS_EDGES_RIGHT ? edges[middle] < c : edges[middle] <= c)
      low = middle + 1;
    else
      high = middle;
  }
  int32_t bin = low - 1;
  if (bin < 0) return b->edges == LS_EDGES_RIGHT && b->drop_zero ? -1 : 0;
  if (bin >= b->bins) return b->edges == LS_EDGES_LEFT && b->one_apart ? b->bins : b->bins - 1;
  return bin;
}

double ls_folded_normal(double mean, double deviation) {
  if (deviation == 0.0) return fabs(mean);
  double r = mean / deviation;
  return deviation * sqrt(2.0 / PI) * exp(-0.5 * r * r) + mean * erf(r / sqrt(2.0));
}

void ls_calibration_of_sums(const ls_bin_sums *bins, int32_t count, double n, ls_calibration *out) {
  double resampled = 0.0, debiased = 0.0, squares = 0.0, gaps = 0.0, total_a = 0.0;
  for (int32_t b = 0; b < count; b++) total_a += bins[b].a;
  double mean_a = total_a / n;
  for (int32_t b = 0; b < count; b++) {
    const ls_bin_sums *s = &bins[b];
    double m = s->count;
    if (!(m > 0.0)) continue;
    double c = s->c / m, a = s->a / m, gap = a - c, weight = m / n, spread = fmax(0.0, a * (1.0 - a));
    out->filled++;
    out->l1 += weight * fabs(gap);
    out->max = fmax(out->max, fabs(gap));
    *(gap < 0.0 ? &out->over : &out->under) += weight * fabs(gap);
    squares += weight * gap * gap;
    gaps += fabs(gap);
    out->null += sqrt(2.0 / PI * fmax(0.0, s->c - s->squares)) / n;
    resampled += weight * ls_folded_normal(gap, sqrt(spread / m));
    if (m >= 2.0) debiased += weight * (gap * gap - spread / (m - 1.0));
    out->murphy.reliability += weight * gap * gap;
    out->murphy.resolution += weight * (a - mean_a) * (a - mean_a);
    out->murphy.within_variance += (s->squares - s->c * c) / n;
    out->murphy.within_covariance += 2.0 * (s->products - s->c * a) / n;
  }
  out->murphy.uncertainty = mean_a * (1.0 - mean_a);
  out->l2 = sqrt(squares);
  out->mean = out->filled > 0 ? gaps / out->filled : 0.0;
  out->debiased = 2.0 * out->l1 - resampled;
  out->debiased_l2 = sqrt(fmax(0.0, debiased));
}

typedef struct binning_job {
  size_t n, rows, cells_each;
  const double *c, *edges;
  const uint8_t *a;
  const ls_binning *binning;
  double *cells; /* (chunks, cells_each) */
} binning_job;

static size_t chunk_rows(size_t n) {
  size_t rows = (n + CHUNKS - 1) / CHUNKS;
  return rows < CHUNK_ROWS ? CHUNK_ROWS : rows;
}

static void bin_chunk(void *argument, size_t chunk) {
  const binning_job *j = argument;
  size_t begin = chunk * j->rows, count = j->n - begin < j->rows ? j->n - begin : j->rows;
  double *cells = j->cells + chunk * j->cells_each;
  memset(cells, 0, j->cells_each * sizeof *cells);
  ls_bin_cells_add(j->binning, j->edges, cells, count, j->c + begin, j->a + begin);
}

/* numpy.quantile(c, i/B) for all edges, the ends moved to 0 and 1. */
static void quantile_edges(size_t n, const uint64_t *keys, int32_t bins, double *edges) {
  for (int32_t i = 0; i <= bins; i++) {
    double q = i * (1.0 / bins), place = q * (double)(n - 1);
    size_t below = (size_t)place;
    double low = ls_confidence_of(keys[below]), high = ls_confidence_of(keys[below + 1 < n ? below + 1 : below]), t = place - (double)below, d = high - low;
    edges[i] = t < 0.5 ? low + d * t : high - d * (1.0 - t);
  }
  edges[0] = 0.0;
  edges[bins] = 1.0;
}

/* Bins of equal mass by rank: the first n mod B hold one more. Groups of equal confidence go to the bins that they reach into, in the order
 * of the rows or by their shares. */
static ls_bin_totals bin_by_rank(size_t n, const uint64_t *keys, const ls_binning *binning, ls_bin_sums *sums, ls_bin *bins) {
  const ls_evaluation_kernels *kernels = ls_kernels_now()->evaluation;
  ls_bin_totals totals = {0};
  size_t count = (size_t)binning->bins, at = 0;
  bool shared = binning->ties == LS_TIES_SHARED;
  for (size_t b = 0, from = 0, size; b < count; b++, from += size) {
    size = n / count + (b < n % count);
    bins[b].low = from < n ? ls_confidence_of(keys[from]) : 1.0;
    bins[b].high = size > 0 ? ls_confidence_of(keys[from + size - 1]) : bins[b].low;
  }
  size_t b = 0, end = n / count + (n % count > 0);
  while (at < n) {
    while (at >= end) b++, end += n / count + (b < n % count);
    ls_bin_sums alone = sums[b];
    ls_sorted_sums many;
    size_t taken = kernels->add_sorted((end < n ? end : n - 1) - at, keys + at, shared, &many);
    if (taken > 0) {
      alone = (ls_bin_sums){alone.count + (double)taken, alone.c + many.c, alone.a + many.a, alone.squares + many.squares, alone.products + many.products};
      totals.a += many.a;
      totals.brier += many.brier;
      at += taken;
    }
    for (; at < end && (!shared || at + 1 == n || keys[at + 1] >> 1 != keys[at] >> 1); at++) {
      double c = ls_confidence_of(keys[at]), a = (double)(keys[at] & 1);
      ls_bin_add(&alone, c, a, 1.0);
      totals.a += a;
      totals.brier += (c - a) * (c - a);
    }
    sums[b] = alone;
    if (at == end) continue;
    size_t group = at, right = 0;
    double c = ls_confidence_of(keys[at]);
    for (; group < n && keys[group] >> 1 == keys[at] >> 1; group++) right += keys[group] & 1;
    double share = (double)right / (double)(group - at);
    totals.a += (double)right;
    totals.brier += (double)(group - at - right) * c * c + (double)right * (1.0 - c) * (1.0 - c);
    while (at < group) {
      while (at >= end) b++, end += n / count + (b < n % count);
      size_t until = group < end ? group : end;
      ls_bin_add(&sums[b], c, share, (double)(until - at));
      at = until;
    }
  }
  for (b = 0; b < count; b++) totals.c += sums[b].c;
  return totals;
}

/* cells and sums; edges; keys and their spare; the sweep's. Cells of equal mass by quantiles are those of equal width. */
static size_t cells_of(const ls_binning *b) {
  ls_binning width = *b;
  width.kind = LS_BINS_EQUAL_WIDTH;
  return ls_bin_cells(&width);
}

static size_t scratch_of(size_t chunks, const ls_binning *b) {
  size_t bins = (size_t)(b->bins > 0 ? b->bins : 0) + 1;
  return chunks * cells_of(b) * sizeof(double) + bins * sizeof(ls_bin_sums) + (bins + 1) * sizeof(double);
}

size_t ls_calibration_scratch(size_t n, const ls_binning *b) {
  return scratch_of(n / chunk_rows(n) + 1, b) + (b->kind == LS_BINS_EQUAL_MASS ? 2 * n * sizeof(uint64_t) : 0);
}

static void give_bins(const ls_bin_sums *sums, int32_t count, ls_bin *bins) {
  for (int32_t b = 0; b < count; b++) {
    const ls_bin_sums *s = &sums[b];
    bool filled = s->count > 0.0;
    bins[b].count = s->count;
    bins[b].confidence = filled ? s->c / s->count : 0.0;
    bins[b].accuracy = filled ? s->a / s->count : 0.0;
    bins[b].doubt = fmax(0.0, s->c - s->squares);
    bins[b].squares = s->squares;
    bins[b].products = s->products;
  }
}

/* Scratch that is laid out for so many chunks. */
typedef struct binning_parts {
  double *cells, *edges;
  ls_bin_sums *sums;
  void *rest;
} binning_parts;

static binning_parts parts_of(void *scratch, size_t chunks, const ls_binning *b) {
  binning_parts p = {.cells = scratch};
  p.sums = (ls_bin_sums *)(p.cells + chunks * cells_of(b));
  p.edges = (double *)(p.sums + b->bins + 1);
  p.rest = p.edges + b->bins + 2;
  memset(p.sums, 0, ((size_t)b->bins + 1) * sizeof *p.sums);
  ls_bin_edges_of(b, p.edges);
  return p;
}

static ls_bin_totals gather(const ls_binning *b, const binning_parts *p, size_t chunks, ls_bin *bins) {
  ls_bin_totals totals = {0};
  for (size_t k = 0; k < chunks; k++) ls_bin_cells_give(b, p->cells + k * ls_bin_cells(b), p->sums, &totals);
  for (int32_t i = 0; i < ls_bins_of(b); i++) {
    bool apart = i == b->bins;
    bins[i].low = apart ? 1.0 : p->edges[i];
    bins[i].high = apart ? 1.0 : p->edges[i + 1];
  }
  return totals;
}

static void conclude(size_t n, const ls_bin_totals *totals, const ls_bin_sums *sums, int32_t count, ls_calibration *out, ls_bin *bins) {
  ls_calibration r = {.rows = (int64_t)n};
  ls_calibration_of_sums(sums, count, (double)n, &r);
  give_bins(sums, count, bins);
  r.confidence = totals->c / (double)n;
  r.accuracy = totals->a / (double)n;
  r.gap = r.confidence - r.accuracy;
  r.brier = totals->brier / (double)n;
  *out = r;
}

ls_status ls_calibrate(size_t n, const double *c, const uint8_t *a, const ls_order *order, const ls_binning *binning, void *scratch, ls_calibration *out,
                       ls_bin *bins, ls_err *err) {
  ls_status status = ls_binning_check(binning, err);
  const uint64_t *sorted = order == NULL || (order->doubt != NULL && binning->ties == LS_TIES_ROWS) ? NULL : order->confidence;
  if (status == LS_OK && (order == NULL || n == 0)) status = ls_confidences_check(n, c, err); /* else they were, when they were sorted */
  if (status != LS_OK) return status;
  size_t rows = chunk_rows(n), chunks = (n + rows - 1) / rows;
  binning_parts p = parts_of(scratch, chunks, binning);
  ls_binning used = *binning;
  if (binning->kind == LS_BINS_EQUAL_MASS && sorted == NULL) sorted = ls_sorted_confidences(n, c, a, p.rest);
  if (binning->kind == LS_BINS_EQUAL_MASS && binning->ties == LS_TIES_QUANTILES) {
    quantile_edges(n, sorted, binning->bins, p.edges);
    used.kind = LS_BINS_EQUAL_WIDTH;
    used.rounding = LS_ROUND_LINSPACE;
    used.one_apart = false;
  }
  ls_bin_totals totals;
  if (used.kind == LS_BINS_EQUAL_MASS) {
    totals = bin_by_rank(n, sorted, binning, p.sums, bins);
  } else {
    binning_job j = {n, rows, ls_bin_cells(&used), c, p.edges, a, &used, p.cells};
    ls_parallel(LS_SITE_EVALUATE, chunks, bin_chunk, &j);
    totals = gather(&used, &p, chunks, bins);
  }
  conclude(n, &totals, p.sums, ls_bins_of(&used), out, bins);
  return LS_OK;
}

typedef struct bins_job {
  const ls_binning *binning;
  binning_parts parts;
  size_t cells_each;
} bins_job;

static void take_binned(void *context, const ls_predictions *p, ls_sweep_part *part) {
  const bins_job *j = context;
  if (part->raw) {
    part->wrong = !ls_bin_cells_judge(j->binning, j->parts.cells + part->chunk * j->cells_each, p, part);
    return;
  }
  ls_bin_cells_add(j->binning, j->parts.edges, j->parts.cells + part->chunk * j->cells_each, (size_t)part->count, part->confidence, part->correct);
}

static ls_sweep_wants wanted(const ls_judging *j) {
  return j->calibration == NULL ? LS_WANT_NOTHING : ls_bins_are_plain(j->binning) ? LS_WANT_ROWS : LS_WANT_CONFIDENCES;
}

static ls_status check_width(const ls_predictions *p, const ls_judging *j, ls_err *err) {
  (void)p;
  ls_status status = ls_binning_check(j->binning, err);
  if (status == LS_OK && j->binning->kind != LS_BINS_EQUAL_WIDTH) status = ls_fail(err, LS_ERANGE, "one sweep makes bins of equal width only");
  return status;
}

static size_t chunk_bytes(const ls_predictions *p, const ls_judging *j) {
  (void)p;
  return cells_of(j->binning) * sizeof(double);
}

static size_t bytes(const ls_predictions *p, const ls_judging *j, size_t chunks) {
  (void)p;
  return sizeof(bins_job) + scratch_of(chunks, j->binning);
}

static void begin(const ls_predictions *p, const ls_judging *j, size_t chunks, void *memory) {
  bins_job *job = memory;
  (void)p;
  *job = (bins_job){j->binning, parts_of(job + 1, chunks, j->binning), ls_bin_cells(j->binning)};
  memset(job->parts.cells, 0, chunks * job->cells_each * sizeof *job->parts.cells);
}

static void end(const ls_predictions *p, const ls_judging *j, size_t chunks, int64_t kept, void *memory) {
  const bins_job *job = memory;
  (void)p;
  ls_bin_totals totals = gather(j->binning, &job->parts, chunks, j->bins);
  conclude((size_t)kept, &totals, job->parts.sums, ls_bins_of(j->binning), j->calibration, j->bins);
}

const ls_measure ls_measure_bins = {wanted, check_width, chunk_bytes, bytes, begin, take_binned, end};

size_t ls_calibrate_predictions_scratch(const ls_predictions *p, const ls_binning *b) {
  ls_calibration r;
  double confidence;
  ls_judging j = {.binning = b, .calibration = &r, .confidence = &confidence};
  return ls_judge_scratch(p, &j);
}

ls_status ls_calibrate_predictions(const ls_predictions *p, const ls_binning *binning, void *scratch, double *confidence, uint8_t *correct,
                                   ls_calibration *out, ls_bin *bins, ls_err *err) {
  int64_t kept;
  ls_judging j = {.binning = binning, .calibration = out, .bins = bins, .confidence = confidence, .correct = correct};
  return ls_judge(p, &j, scratch, &kept, err);
}
