/* One pass over the logits, then everything that is made of confidence and correctness. SPDX-License-Identifier: MIT */
#include <lsengine/eval.h>
#include <lsengine/pool.h>

#include "core/eval/predictions.h"

#include <math.h>
#include <string.h>

#define PI 3.14159265358979323846

typedef struct row_record {
  double confidence, nll, brier;
  double doubt; /* log(1 - confidence): -inf for a row without doubt */
  int8_t correct, in_top_k, kept;
} row_record;

typedef struct evaluate_job {
  ls_cmat z;
  const int64_t *labels;
  const ls_evaluate_options *options;
  row_record *records;
} evaluate_job;

ls_status ls_check_predictions(ls_cmat z, const int64_t *labels, ls_ignore ignore, int64_t *kept, ls_err *err) {
  *kept = 0;
  if (z.cols < 1) return ls_fail(err, LS_ESHAPE, "logits have no class");
  for (int32_t i = 0; i < z.rows; i++) {
    const float *row = z.data + i * z.stride;
    if (ignore.active && labels[i] == ignore.label) continue;
    if (labels[i] < 0 || labels[i] >= z.cols)
      return ls_fail(err, LS_ERANGE, "labels[%d] is %lld but logits have %d %s (0..%d)", i + 1, (long long)labels[i], z.cols,
                     z.cols == 1 ? "class" : "classes", z.cols - 1);
    for (int32_t k = 0; k < z.cols; k++)
      if (isnan(row[k]) || row[k] == INFINITY)
        return ls_fail(err, LS_EVALUE, "logits[%d] is %s for class %d", i + 1, isnan(row[k]) ? "NaN" : "+inf", k);
    if (row[labels[i]] == -INFINITY)
      return ls_fail(err, LS_ERANGE, "labels[%d] is %lld, a class that is masked (its logit is -inf)", i + 1, (long long)labels[i]);
    ++*kept;
  }
  if (*kept == 0) return ls_fail(err, LS_ERANGE, "there is no row to judge (%d given, all ignored)", z.rows);
  return LS_OK;
}

static void judge_row(const evaluate_job *j, int32_t i) {
  const float *z = j->z.data + i * j->z.stride;
  row_record *out = &j->records[i];
  int64_t y = j->labels[i];
  int32_t best = 0, ahead = 0, n = j->z.cols;
  double t = j->options->temperature, rest = 0.0, squares = 0.0;
  for (int32_t k = 1; k < n; k++)
    if (z[k] > z[best]) best = k;
  for (int32_t k = 0; k < n; k++) {
    if (k != best) rest += exp(((double)z[k] - (double)z[best]) / t);
    ahead += z[k] > z[y] || (z[k] == z[y] && k < y);
  }
  double sum = 1.0 + rest;
  for (int32_t k = 0; k < n; k++) {
    double p = exp(((double)z[k] - (double)z[best]) / t) / sum - (k == y ? 1.0 : 0.0);
    squares += p * p;
  }
  out->confidence = 1.0 / sum;
  out->doubt = log(rest) - log1p(rest);
  out->nll = log1p(rest) - ((double)z[y] - (double)z[best]) / t;
  out->brier = squares;
  out->correct = best == y;
  out->in_top_k = ahead < j->options->top_k;
  out->kept = 1;
}

static void judge_block(void *argument, size_t block) {
  const evaluate_job *j = argument;
  int32_t i = (int32_t)block * LS_EVALUATE_ROWS, end = j->z.rows - i < LS_EVALUATE_ROWS ? j->z.rows : i + LS_EVALUATE_ROWS;
  for (; i < end; i++) {
    if (j->options->ignore.active && j->labels[i] == j->options->ignore.label)
      memset(&j->records[i], 0, sizeof j->records[i]);
    else
      judge_row(j, i);
  }
}

typedef struct ranked {
  double key, wrong, confidence;
} ranked;

/* Bottom-up merge sort by key, stable; `spare` has room for n. The result may be in either: returned. */
static ranked *sort_ranked(ranked *x, ranked *spare, size_t n) {
  for (size_t width = 1; width < n; width *= 2) {
    for (size_t from = 0; from < n; from += 2 * width) {
      size_t middle = from + width < n ? from + width : n, end = from + 2 * width < n ? from + 2 * width : n;
      size_t a = from, b = middle;
      for (size_t to = from; to < end; to++) spare[to] = a < middle && (b >= end || x[a].key <= x[b].key) ? x[a++] : x[b++];
    }
    ranked *swap = x;
    x = spare;
    spare = swap;
  }
  return x;
}

/* E|N(mean, deviation²)| */
static double folded_normal(double mean, double deviation) {
  if (deviation == 0.0) return fabs(mean);
  double r = mean / deviation;
  return deviation * sqrt(2.0 / PI) * exp(-0.5 * r * r) + mean * erf(r / sqrt(2.0));
}

static void calibration(const ls_bin *bins, const double *variance, int32_t count, double n, ls_evaluation *out) {
  double resampled = 0.0;
  for (int32_t b = 0; b < count; b++) {
    double size = (double)bins[b].count, gap = bins[b].accuracy - bins[b].confidence;
    if (size == 0.0) continue;
    out->ece += size / n * fabs(gap);
    out->ece_null += sqrt(2.0 / PI * variance[b]) / n;
    out->mce = fmax(out->mce, fabs(gap));
    resampled += size / n * folded_normal(gap, sqrt(bins[b].accuracy * (1.0 - bins[b].accuracy) / size));
  }
  out->ece_debiased = 2.0 * out->ece - resampled;
}

/* From rows sorted by doubt, the most confident first. */
static double aurc(const ranked *rows, size_t n) {
  double sum = 0.0, errors = 0.0;
  for (size_t from = 0, end; from < n; from = end) {
    double wrong = 0.0;
    for (end = from; end < n && rows[end].key == rows[from].key; end++) wrong += rows[end].wrong;
    for (size_t k = from; k < end; k++)
      sum += (errors + wrong * (double)(k - from + 1) / (double)(end - from)) / (double)(k + 1);
    errors += wrong;
  }
  return sum / (double)n;
}

/* Bins of equal mass by rank: the first n mod B hold one more. */
static double debiased_l2(const ranked *rows, size_t n, size_t bins) {
  double sum = 0.0;
  for (size_t b = 0, from = 0; b < bins; b++) {
    size_t size = n / bins + (b < n % bins);
    double confidence = 0.0, right = 0.0, m = (double)size;
    for (size_t i = from; i < from + size; i++) confidence += rows[i].confidence, right += 1.0 - rows[i].wrong;
    from += size;
    if (size < 2) continue;
    confidence /= m;
    right /= m;
    sum += m / (double)n * ((right - confidence) * (right - confidence) - right * (1.0 - right) / (m - 1.0));
  }
  return sqrt(fmax(0.0, sum));
}

/* records, two rankings, bins, variances */
size_t ls_evaluate_scratch(int32_t rows, const ls_evaluate_options *o) {
  return (size_t)rows * (sizeof(row_record) + 2 * sizeof(ranked)) + (size_t)o->bins * (sizeof(ls_bin) + sizeof(double));
}

static ls_status check_options(const ls_evaluate_options *o, ls_err *err) {
  if (!(o->temperature > 0.0) || isinf(o->temperature))
    return ls_fail(err, LS_ERANGE, "temperature is %g, allowed is any finite number above 0", o->temperature);
  if (o->bins < 1 || o->bins > 10000) return ls_fail(err, LS_ERANGE, "bins is %d, allowed is 1 to 10000", o->bins);
  if (o->top_k < 1) return ls_fail(err, LS_ERANGE, "top_k is %d, at least 1 is allowed", o->top_k);
  return LS_OK;
}

ls_status ls_evaluate(ls_cmat z, const int64_t *labels, const ls_evaluate_options *o, void *scratch, ls_evaluation *out,
                      ls_bin *bins_out, ls_err *err) {
  int64_t kept;
  ls_evaluation e = {0};
  ls_status status = check_options(o, err);
  if (status == LS_OK) status = ls_check_predictions(z, labels, o->ignore, &kept, err);
  if (status != LS_OK) return status;

  evaluate_job job = {z, labels, o, scratch};
  ranked *rows = (ranked *)(job.records + z.rows), *spare = rows + z.rows;
  ls_bin *bins = (ls_bin *)(spare + z.rows);
  double *variance = (double *)(bins + o->bins), n = (double)kept;
  memset(bins, 0, (size_t)o->bins * (sizeof *bins + sizeof *variance));
  ls_parallel(LS_SITE_EVALUATE, ((size_t)z.rows + LS_EVALUATE_ROWS - 1) / LS_EVALUATE_ROWS, judge_block, &job);

  size_t m = 0;
  for (int32_t i = 0; i < z.rows; i++) {
    const row_record *r = &job.records[i];
    if (!r->kept) continue;
    double place = floor(r->confidence * o->bins);
    int32_t b = place >= o->bins ? o->bins - 1 : (int32_t)place;
    bins[b].count++;
    bins[b].confidence += r->confidence;
    bins[b].accuracy += r->correct;
    variance[b] += r->confidence * (1.0 - r->confidence);
    e.accuracy += r->correct;
    e.top_k += r->in_top_k;
    e.nll += r->nll;
    e.brier += r->brier;
    e.confidence += r->confidence;
    rows[m++] = (ranked){r->doubt, r->correct ? 0.0 : 1.0, r->confidence};
  }
  for (int32_t b = 0; b < o->bins; b++) {
    if (bins[b].count == 0) continue;
    bins[b].confidence /= (double)bins[b].count;
    bins[b].accuracy /= (double)bins[b].count;
  }
  e.rows = kept;
  e.accuracy /= n;
  e.top_k /= n;
  e.nll /= n;
  e.brier /= n;
  e.confidence /= n;
  e.confidence_gap = e.confidence - e.accuracy;
  calibration(bins, variance, o->bins, n, &e);
  rows = sort_ranked(rows, spare, m);
  e.aurc = aurc(rows, m);
  e.ece_debiased_l2 = debiased_l2(rows, m, (size_t)o->bins);
  if (bins_out != NULL) memcpy(bins_out, bins, (size_t)o->bins * sizeof *bins);
  *out = e;
  return LS_OK;
}
