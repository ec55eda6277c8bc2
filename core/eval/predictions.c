/* The sweep over logits or probabilities that every measure is made from. SPDX-License-Identifier: MIT
 *
 * Few classes: the kernel that takes many rows side by side. Many: a row at a time. Doubt is kept apart from confidence (the sum of the
 * others, not 1 - c), so that nothing saturates. */
#include "core/eval/predictions.h"

#include "core/kernels/kernels.h"
#include <lsengine/pool.h>

#include <math.h>
#include <string.h>

enum { PART_NUMBERS = 16384 }; /* probabilities of a part that are held at once */

typedef struct sweep_job {
  const ls_predictions *p;
  const ls_kernels *kernels;
  size_t chunks;
  int64_t chunk_rows;
  int32_t part_rows;
  ls_sweep_wants wants;
  bool all;
  size_t *offsets;  /* (chunks): kept rows before each */
  int32_t *failed;  /* (chunks): the first row that cannot be judged, -1 for none */
  double *numbers;  /* (chunks, part_rows padded · K) */
  size_t numbers_each;
  ls_take_fn *take;
  void *context;
} sweep_job;

static bool ignored(const ls_predictions *p, int32_t i) { return p->ignore.active && p->labels[i] == p->ignore.label; }

static int32_t rows_of_part(int32_t classes) {
  int32_t rows = PART_NUMBERS / classes / LS_JUDGED_ROWS * LS_JUDGED_ROWS;
  return rows > LS_SWEEP_ROWS ? LS_SWEEP_ROWS : rows < LS_JUDGED_ROWS ? 1 : rows;
}

size_t ls_sweep_chunks(const ls_predictions *p, size_t most) {
  size_t parts = p->z.cols < 1 ? 1 : ((size_t)p->z.rows + (size_t)rows_of_part(p->z.cols) - 1) / (size_t)rows_of_part(p->z.cols);
  if (most > LS_SWEEP_CHUNKS) most = LS_SWEEP_CHUNKS;
  return parts < 1 ? 1 : parts < most ? parts : most < 1 ? 1 : most;
}

/* Logits of few classes, which the kernel takes many rows at a time; its columns begin a line of the cache farther than a power of two would say. */
static bool in_columns(const ls_predictions *p) { return !p->probabilities && p->z.cols <= LS_JUDGED_CLASSES; }

/* Logits that are worth a faster way, which is less exact: of so many rows that what is left of its error in means is nothing. */
static bool as_rows(const ls_predictions *p) {
  return in_columns(p) && p->z.cols > 1 && p->z.rows >= LS_QUICK_ROWS && p->temperature >= 1e-3 && p->temperature <= 1e3;
}

static size_t column_of(int32_t classes) { return (size_t)rows_of_part(classes) + 8; }

static size_t numbers_of_chunk(const ls_predictions *p) {
  int32_t classes = p->z.cols < 1 ? 1 : p->z.cols;
  return (column_of(classes) * (size_t)classes + 7) / 8 * 8 + 8; /* exponentials of a row are stored by eights */
}

size_t ls_sweep_scratch(const ls_predictions *p, size_t chunks) {
  return chunks * (numbers_of_chunk(p) * sizeof(double) + sizeof(size_t) + sizeof(int32_t)) + 128;
}

ls_status ls_predictions_check(const ls_predictions *p, int64_t *kept, ls_err *err) {
  *kept = 0;
  if (p->z.cols < 1) return ls_fail(err, LS_ESHAPE, "%s have no class", p->probabilities ? "probabilities" : "logits");
  if (!(p->temperature >= LS_LEAST_JUDGED_TEMPERATURE && p->temperature <= 1.0 / LS_LEAST_JUDGED_TEMPERATURE))
    return ls_fail(err, LS_ERANGE, "temperature is %g, allowed is %g to %g", p->temperature, LS_LEAST_JUDGED_TEMPERATURE, 1.0 / LS_LEAST_JUDGED_TEMPERATURE);
  if (!p->ignore.active) *kept = p->z.rows;
  for (int32_t i = 0; p->ignore.active && i < p->z.rows; i++) *kept += !ignored(p, i);
  if (*kept == 0) return ls_fail(err, LS_ERANGE, "there is no row to judge (%d given%s)", p->z.rows, p->z.rows > 0 ? ", all ignored" : "");
  return LS_OK;
}

/* Why row i cannot be judged: the sweep has found that it cannot. */
static ls_status explain(const ls_predictions *p, int32_t i, ls_err *err) {
  const float *row = p->z.data + i * p->z.stride;
  const char *what = p->probabilities ? "probabilities" : "logits";
  double sum = 0.0;
  if (p->labels[i] < 0 || p->labels[i] >= p->z.cols)
    return ls_fail(err, LS_ERANGE, "labels[%d] is %lld but %s have %d %s (0..%d)", i + 1, (long long)p->labels[i], what, p->z.cols,
                   p->z.cols == 1 ? "class" : "classes", p->z.cols - 1);
  for (int32_t k = 0; k < p->z.cols; k++) {
    if (isnan(row[k]) || row[k] == INFINITY) return ls_fail(err, LS_EVALUE, "%s[%d] is %s for class %d", what, i + 1, isnan(row[k]) ? "NaN" : "+inf", k);
    if (p->probabilities && (row[k] < 0.0f || (double)row[k] > 1.0 + LS_PROBABILITY_TOLERANCE))
      return ls_fail(err, LS_ERANGE, "probabilities[%d] is %g for class %d, allowed is 0 to 1 (are these logits?)", i + 1, (double)row[k], k);
    sum += (double)row[k];
  }
  if (p->probabilities) return ls_fail(err, LS_ERANGE, "probabilities[%d] sum to %.6g, 1 is required (within %g)", i + 1, sum, LS_PROBABILITY_TOLERANCE);
  return ls_fail(err, LS_ERANGE, "labels[%d] is %lld, a class that is masked (its logit is -inf)", i + 1, (long long)p->labels[i]);
}

static void judge_long_rows(const sweep_job *j, ls_sweep_part *part, const float *const *row, double *numbers) {
  int32_t n = part->classes;
  double inverse = 1.0 / j->p->temperature, rest[LS_SWEEP_ROWS], logs[LS_SWEEP_ROWS];
  for (int32_t i = 0; i < part->count; i++) {
    double *e = j->all ? numbers + (size_t)i * (size_t)n : numbers;
    ls_judged_row r;
    j->kernels->evaluation->judge_long(n, row[i], inverse, e, &r);
    int32_t best = part->predicted[i] = r.best, y = part->label[i];
    bool unsure = r.rest > 1.0;
    double top = (double)r.largest, sum = 1.0 + r.rest, less = (unsure ? 1.0 : r.rest) / sum, scale = unsure ? less : 1.0 - less, own = e[y], missing = best == y ? r.rest : sum - own;
    rest[i] = r.rest;
    part->top[i] = top;
    part->second[i] = (double)r.second;
    part->confidence[i] = scale;
    part->others[i] = unsure ? 1.0 - less : less;
    part->nll[i] = -((double)row[i][y] - top) * inverse;
    part->brier[i] = ((best == y ? r.squares : 1.0 + r.squares - own * own) + missing * missing) * (scale * scale);
    if (j->all)
      for (int32_t k = 0; k < n; k++) e[k] *= scale;
  }
  j->kernels->evaluation->log1p((size_t)part->count, rest, logs);
  for (int32_t i = 0; i < part->count; i++) part->nll[i] += logs[i];
}

/* Rows up to the next multiple of LS_JUDGED_ROWS: the first again. */
static int32_t pad(ls_sweep_part *part, const float **row) {
  int32_t padded = (part->count + LS_JUDGED_ROWS - 1) / LS_JUDGED_ROWS * LS_JUDGED_ROWS;
  for (int32_t i = part->count; i < padded; i++) row[i] = row[0], part->label[i] = part->label[0];
  return padded;
}

/* Logits of a part's rows; true where one cannot be judged. */
static bool judge_logits(const sweep_job *j, ls_sweep_part *part, const float **row, double *numbers) {
  bool wrong = false;
  if (in_columns(j->p)) {
    int32_t padded = pad(part, row);
    ls_judged_rows out = {part->top, part->second, part->confidence, part->others, j->wants <= LS_WANT_CONFIDENCES ? NULL : part->nll, part->brier, part->predicted,
                          j->all ? numbers : NULL, part->p_class};
    wrong = !j->kernels->evaluation->judge((size_t)padded, part->classes, row, 1.0 / j->p->temperature, part->label, &out);
  } else {
    judge_long_rows(j, part, row, numbers);
    for (int32_t i = 0; i < part->count; i++) wrong |= !(part->top[i] < INFINITY) | !(part->others[i] < INFINITY) | !(part->nll[i] < INFINITY);
  }
  for (int32_t i = 0, count = part->count; i < count; i++) part->correct[i] = part->predicted[i] == part->label[i];
  return wrong;
}

static bool judge_probabilities(const sweep_job *j, ls_sweep_part *part, const float *const *row, double *numbers) {
  int32_t n = part->classes;
  bool wrong = false;
  for (int32_t i = 0; i < part->count; i++) {
    const float *q = row[i];
    int32_t best = 0, y = part->label[i];
    double others = 0.0, squares = 0.0, second = 0.0;
    bool outside = false;
    for (int32_t k = 1; k < n; k++)
      if (q[k] > q[best]) best = k;
    for (int32_t k = 0; k < n; k++) {
      double x = (double)q[k];
      outside |= !(x >= 0.0) | (x > 1.0 + LS_PROBABILITY_TOLERANCE);
      if (j->all) numbers[(size_t)i * (size_t)n + (size_t)k] = fmin(x, 1.0);
      if (k == best) continue;
      others += x;
      squares += x * x;
      second = x > second ? x : second;
    }
    double top = (double)q[best], own = (double)q[y], missing = 1.0 - own;
    bool right = best == y;
    wrong |= outside | !(fabs(top + others - 1.0) <= LS_PROBABILITY_TOLERANCE);
    part->predicted[i] = best;
    part->correct[i] = right;
    part->confidence[i] = fmin(top, 1.0);
    part->others[i] = others;
    part->top[i] = top;
    part->second[i] = second;
    part->nll[i] = own < 1.0 ? -log(own) : 0.0;
    part->brier[i] = right ? squares + missing * missing : squares + top * top - own * own + missing * missing;
  }
  return wrong;
}

/* The first row of a part that cannot be judged, looked for slowly. */
static int32_t first_wrong(const sweep_job *j, const ls_sweep_part *part) {
  const ls_predictions *p = j->p;
  for (int32_t i = 0; i < part->count; i++) {
    const float *z = p->z.data + part->row[i] * p->z.stride;
    double sum = 0.0;
    bool wrong = !p->probabilities && z[part->label[i]] == -INFINITY;
    for (int32_t k = 0; k < p->z.cols; k++) {
      wrong |= isnan(z[k]) || z[k] == INFINITY;
      if (p->probabilities) wrong |= z[k] < 0.0f || (double)z[k] > 1.0 + LS_PROBABILITY_TOLERANCE;
      sum += (double)z[k];
    }
    if (p->probabilities) wrong |= !(fabs(sum - 1.0) <= LS_PROBABILITY_TOLERANCE);
    if (wrong) return part->row[i];
  }
  return part->count > 0 ? part->row[0] : -1;
}

/* Rows from `begin` on into a part, as many as it holds; returns the row after them. A label out of range ends the part before it: *end is set to
 * that row and false given in *sound. */
static int32_t gather_rows(const sweep_job *j, ls_sweep_part *part, const float **rows, int32_t begin, int32_t *end, bool *sound) {
  const ls_predictions *p = j->p;
  int32_t count = *end - begin < j->part_rows ? *end - begin : j->part_rows;
  uint64_t classes = (uint64_t)p->z.cols;
  if (!p->ignore.active) {
    for (int32_t i = 0; i < count; i += 8) __builtin_prefetch((const void *)((uintptr_t)(p->labels + begin + i) + LS_SWEEP_ROWS * sizeof *p->labels)); /* the next part's */
    if (j->kernels->evaluation->labels((size_t)count, p->labels + begin, p->z.cols, part->label)) {
      const float *first = p->z.data + begin * p->z.stride;
      ptrdiff_t stride = p->z.stride;
      for (int32_t i = 0; !part->raw && i < count; i++) part->row[i] = begin + i;
      for (int32_t i = 0; i < (part->raw ? 1 : count); i++) rows[i] = first + i * stride; /* of raw ones the first says it */
      part->count = count;
      part->first = first;
      return begin + count;
    }
  }
  int32_t i = begin;
  part->first = NULL;
  for (part->count = 0; i < *end && part->count < j->part_rows; i++) {
    if (ignored(p, i)) continue;
    if ((uint64_t)p->labels[i] >= classes) {
      *end = i; /* the rows before it may hold an earlier failure */
      *sound = false;
      break;
    }
    part->row[part->count] = i;
    part->label[part->count] = (int32_t)p->labels[i];
    rows[part->count++] = p->z.data + i * p->z.stride;
  }
  return i;
}

/* False where a row cannot be judged. */
static bool judge_and_take(const sweep_job *j, ls_sweep_part *part, const float **rows, double *numbers) {
  part->wrong = false;
  if (part->raw) pad(part, rows);
  else if (j->p->probabilities) part->wrong = judge_probabilities(j, part, rows, numbers);
  else part->wrong = judge_logits(j, part, rows, numbers);
  if (!part->wrong) j->take(j->context, j->p, part);
  return !part->wrong;
}

static void sweep_chunk(void *argument, size_t chunk) {
  const sweep_job *j = argument;
  const ls_predictions *p = j->p;
  const float *rows[LS_SWEEP_ROWS];
  ls_sweep_part part;
  double *numbers = j->numbers + chunk * j->numbers_each;
  int64_t first = (int64_t)chunk * j->chunk_rows, last = first + j->chunk_rows;
  int32_t begin = (int32_t)(first < p->z.rows ? first : p->z.rows), end = (int32_t)(last < p->z.rows ? last : p->z.rows);
  bool sound = true;
  part.chunk = chunk;
  part.offset = j->offsets[chunk];
  part.classes = p->z.cols;
  part.raw = j->wants == LS_WANT_ROWS && as_rows(p);
  part.logits = rows;
  part.p = j->all ? numbers : NULL;
  part.p_row = in_columns(p) ? 1 : (size_t)p->z.cols;
  part.p_class = in_columns(p) ? column_of(p->z.cols) : 1;
  while (begin < end) {
    int32_t from = begin;
    begin = gather_rows(j, &part, rows, begin, &end, &sound);
    if (part.count == 0) continue;
    if (!judge_and_take(j, &part, rows, numbers)) {
      for (int32_t i = 0; part.raw && part.first != NULL && i < part.count; i++) part.row[i] = from + i; /* till now nobody has asked */
      j->failed[chunk] = first_wrong(j, &part);
      return;
    }
    part.offset += (size_t)part.count;
  }
  j->failed[chunk] = sound ? -1 : end;
}

ls_status ls_sweep(const ls_predictions *p, size_t chunks, ls_sweep_wants wants, void *scratch, ls_take_fn *take, void *context, ls_err *err) {
  sweep_job j = {.p = p, .kernels = ls_kernels_now(), .chunks = chunks, .part_rows = rows_of_part(p->z.cols), .wants = wants, .all = wants == LS_WANT_PROBABILITIES,
                 .numbers = (double *)(((uintptr_t)scratch + 63) / 64 * 64), .numbers_each = numbers_of_chunk(p), .take = take, .context = context};
  size_t parts = ((size_t)p->z.rows + (size_t)j.part_rows - 1) / (size_t)j.part_rows;
  j.chunk_rows = (int64_t)((parts + chunks - 1) / chunks) * j.part_rows;
  j.offsets = (size_t *)(j.numbers + chunks * j.numbers_each);
  j.failed = (int32_t *)(j.offsets + chunks);
  size_t before = 0;
  for (size_t c = 0; c < chunks; c++) {
    int64_t begin = (int64_t)c * j.chunk_rows, end = begin + j.chunk_rows;
    if (begin > p->z.rows) begin = p->z.rows;
    if (end > p->z.rows) end = p->z.rows;
    j.offsets[c] = before;
    if (!p->ignore.active) before += (size_t)(end - begin);
    else
      for (int64_t i = begin; i < end; i++) before += !ignored(p, (int32_t)i);
  }
  ls_parallel(LS_SITE_EVALUATE, chunks, sweep_chunk, &j);
  for (size_t c = 0; c < chunks; c++)
    if (j.failed[c] >= 0) return explain(p, j.failed[c], err);
  return LS_OK;
}
