/* Calibration error over bins, and Murphy's decomposition. SPDX-License-Identifier: MIT */
#include "core/eval/bins.h"
#include "core/eval/radix_sort.h"

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
    out->reliability += weight * gap * gap;
    out->resolution += weight * (a - mean_a) * (a - mean_a);
    out->within_variance += (s->squares - s->c * c) / n;
    out->within_covariance += 2.0 * (s->products - s->c * a) / n;
  }
  out->uncertainty = mean_a * (1.0 - mean_a);
  out->l2 = sqrt(squares);
  out->mean = out->filled > 0 ? gaps / out->filled : 0.0;
  out->debiased = 2.0 * out->l1 - resampled;
  out->debiased_l2 = sqrt(fmax(0.0, debiased));
}

typedef struct binning_job {
  size_t n, rows;
  const double *c, *edges;
  const uint8_t *a;
  const ls_binning *binning;
  ls_bin_sums *sums; /* (chunks, bins) */
  double *totals;    /* (chunks, 3): c, a, (c - a)² */
} binning_job;

static size_t chunk_rows(size_t n) {
  size_t rows = (n + CHUNKS - 1) / CHUNKS;
  return rows < CHUNK_ROWS ? CHUNK_ROWS : rows;
}

static void bin_chunk(void *argument, size_t chunk) {
  const binning_job *j = argument;
  size_t begin = chunk * j->rows, end = j->n - begin < j->rows ? j->n : begin + j->rows;
  ls_bin_sums *sums = j->sums + chunk * (size_t)ls_bins_of(j->binning);
  double c_sum = 0.0, square = 0.0;
  size_t right = 0;
  for (size_t i = begin; i < end; i++) {
    double c = j->c[i], a = j->a[i], d = c - a;
    c_sum += c;
    right += j->a[i];
    square += d * d;
    if (j->binning->kind == LS_BINS_EQUAL_MASS) continue;
    int32_t bin = ls_bin_of(j->binning, j->edges, c);
    if (bin >= 0) ls_bin_add(&sums[bin], c, a, 1.0);
  }
  double *totals = j->totals + chunk * 3;
  totals[0] = c_sum;
  totals[1] = (double)right;
  totals[2] = square;
}

/* Confidences as 64-bit keys with the verdict in the lowest bit: those in 0 … 1 leave the upper two bits of a double free. */
static uint64_t packed(double c, uint8_t a) {
  uint64_t u;
  c += 0.0;
  memcpy(&u, &c, sizeof u);
  return u << 1 | a;
}

static double unpacked(uint64_t key) {
  double c;
  key >>= 1;
  memcpy(&c, &key, sizeof c);
  return c;
}

static const uint64_t *sorted_keys(size_t n, const double *c, const uint8_t *a, uint64_t *keys) {
  for (size_t i = 0; i < n; i++) keys[i] = packed(c[i], a[i]);
  return ls_sort_items(keys, keys + n, n, 1, 1);
}

/* numpy.quantile(c, i/B) for all edges, the ends moved to 0 and 1. */
static void quantile_edges(size_t n, const uint64_t *keys, int32_t bins, double *edges) {
  for (int32_t i = 0; i <= bins; i++) {
    double q = i * (1.0 / bins), place = q * (double)(n - 1);
    size_t below = (size_t)place;
    double low = unpacked(keys[below]), high = unpacked(keys[below + 1 < n ? below + 1 : below]), t = place - (double)below, d = high - low;
    edges[i] = t < 0.5 ? low + d * t : high - d * (1.0 - t);
  }
  edges[0] = 0.0;
  edges[bins] = 1.0;
}

/* Bins of equal mass by rank: the first n mod B hold one more. Groups of equal confidence go to the bins that they reach into, in the order
 * of the rows or by their shares. */
static void bin_by_rank(size_t n, const uint64_t *keys, const ls_binning *binning, ls_bin_sums *sums, ls_bin *bins) {
  size_t count = (size_t)binning->bins, at = 0;
  bool shared = binning->ties == LS_TIES_SHARED;
  for (size_t b = 0, from = 0, size; b < count; b++, from += size) {
    size = n / count + (b < n % count);
    bins[b].low = from < n ? unpacked(keys[from]) : 1.0;
    bins[b].high = size > 0 ? unpacked(keys[from + size - 1]) : bins[b].low;
  }
  size_t b = 0, end = n / count + (n % count > 0);
  while (at < n) {
    size_t group = at + 1, right = keys[at] & 1;
    double c = unpacked(keys[at]);
    for (; shared && group < n && keys[group] >> 1 == keys[at] >> 1; group++) right += keys[group] & 1;
    double share = (double)right / (double)(group - at);
    while (at < group) {
      while (at >= end) b++, end += n / count + (b < n % count);
      size_t until = group < end ? group : end;
      ls_bin_add(&sums[b], c, share, (double)(until - at));
      at = until;
    }
  }
}

/* chunks' sums and totals, edges; keys and their spare */
size_t ls_calibration_scratch(size_t n, const ls_binning *b) {
  size_t bins = (size_t)(b->bins > 0 ? b->bins : 0) + 1, rows = chunk_rows(n), chunks = n / rows + 1;
  return (chunks + 1) * (bins * sizeof(ls_bin_sums) + 3 * sizeof(double)) + (bins + 1) * sizeof(double) +
         (b->kind == LS_BINS_EQUAL_MASS ? 2 * n * sizeof(uint64_t) : 0);
}

static ls_status check_confidences(size_t n, const double *c, ls_err *err) {
  if (n == 0) return ls_fail(err, LS_ERANGE, "there is no row to judge");
  bool outside = false;
  for (size_t i = 0; i < n; i++) outside |= !(c[i] >= 0.0) | !(c[i] <= 1.0);
  for (size_t i = 0; outside && i < n; i++)
    if (!(c[i] >= 0.0 && c[i] <= 1.0)) return ls_fail(err, LS_ERANGE, "confidence[%zu] is %g, allowed is 0 to 1", i + 1, c[i]);
  return LS_OK;
}

/* The sums of all chunks, to those of the first. */
static void add_chunks(ls_bin_sums *sums, size_t chunks, int32_t count) {
  for (size_t k = 1; k < chunks; k++)
    for (int32_t b = 0; b < count; b++) {
      ls_bin_sums *to = &sums[b], *from = &sums[k * (size_t)count + (size_t)b];
      to->count += from->count, to->c += from->c, to->a += from->a, to->squares += from->squares, to->products += from->products;
    }
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

ls_status ls_calibrate(size_t n, const double *c, const uint8_t *a, const ls_binning *binning, void *scratch, ls_calibration *out, ls_bin *bins,
                       ls_err *err) {
  ls_status status = ls_binning_check(binning, err);
  if (status == LS_OK) status = check_confidences(n, c, err);
  if (status != LS_OK) return status;
  int32_t count = ls_bins_of(binning);
  size_t rows = chunk_rows(n), chunks = (n + rows - 1) / rows;
  ls_bin_sums *sums = scratch;
  double *totals = (double *)(sums + (chunks + 1) * (size_t)count), *edges = totals + 3 * (chunks + 1);
  uint64_t *keys = (uint64_t *)(edges + binning->bins + 1);
  memset(sums, 0, (chunks + 1) * (size_t)count * sizeof *sums);
  ls_bin_edges_of(binning, edges);
  binning_job j = {n, rows, c, edges, a, binning, sums, totals};
  ls_binning quantiles = *binning;
  const uint64_t *sorted = NULL;
  if (binning->kind == LS_BINS_EQUAL_MASS) sorted = sorted_keys(n, c, a, keys);
  if (sorted != NULL && binning->ties == LS_TIES_QUANTILES) {
    quantile_edges(n, sorted, binning->bins, edges);
    quantiles.kind = LS_BINS_EQUAL_WIDTH;
    quantiles.rounding = LS_ROUND_LINSPACE;
    quantiles.one_apart = false;
    j.binning = &quantiles;
    count = binning->bins;
  }
  ls_parallel(LS_SITE_EVALUATE, chunks, bin_chunk, &j);

  ls_calibration r = {.rows = (int64_t)n};
  double right = 0.0;
  for (size_t k = 0; k < chunks; k++) {
    r.confidence += totals[3 * k];
    right += totals[3 * k + 1];
    r.brier += totals[3 * k + 2];
  }
  add_chunks(sums, chunks, count);
  for (int32_t b = 0; b < count; b++) {
    bool apart = b == binning->bins;
    bins[b].low = apart ? 1.0 : edges[b];
    bins[b].high = apart ? 1.0 : edges[b + 1];
  }
  if (sorted != NULL && binning->ties != LS_TIES_QUANTILES) bin_by_rank(n, sorted, binning, sums, bins);
  ls_calibration_of_sums(sums, count, (double)n, &r);
  give_bins(sums, count, bins);
  r.confidence /= (double)n;
  r.accuracy = right / (double)n;
  r.gap = r.confidence - r.accuracy;
  r.brier /= (double)n;
  *out = r;
  return LS_OK;
}

size_t ls_mmce_scratch(size_t n) { return 2 * n * sizeof(uint64_t); }

ls_status ls_mmce(size_t n, const double *c, const uint8_t *a, double width, void *scratch, double *mmce, ls_err *err) {
  ls_status status = check_confidences(n, c, err);
  if (status != LS_OK) return status;
  if (!(width > 0.0) || isinf(width)) return ls_fail(err, LS_ERANGE, "width is %g, allowed is any finite number above 0", width);
  const uint64_t *keys = sorted_keys(n, c, a, scratch);
  double before = 0.0, sum = 0.0, last = unpacked(keys[0]); /* before: sum over the rows before of d exp(-(c - c_j)/width) */
  for (size_t i = 0; i < n; i++) {
    double x = unpacked(keys[i]), d = (double)(keys[i] & 1) - x;
    if (x != last) before *= exp((last - x) / width);
    sum += d * (d + 2.0 * before);
    before += d;
    last = x;
  }
  *mmce = sqrt(fmax(0.0, sum)) / (double)n;
  return LS_OK;
}
