/* Risk, coverage, and the areas under them. SPDX-License-Identifier: MIT */
#include "core/eval/measures.h"
#include "core/eval/radix_sort.h"
#include "core/kernels/bits.h"

#include <math.h>

#define TINY 1e-290 /* below it sums of exponentials have lost bits: their logarithms, which are negative, are taken */

const char *ls_score_name(ls_score score) {
  static const char *const names[] = {"max_probability", "margin", "entropy", "logit_margin", "max_logit", "energy", "normalised_logit"};
  return names[score];
}

typedef struct doubts_job {
  ls_score score;
  double *doubt;
  uint8_t *wrong;
} doubts_job;

/* log of (1 + twice) e_2 + … of all classes but the largest, over the sum of all, by log-sum-exp around the second. */
static double log_of_others(const float *z, int32_t n, int32_t best, double top, double second, double inverse, bool twice) {
  double sum = twice ? 1.0 : 0.0;
  if (!(second > -INFINITY)) return -INFINITY;
  for (int32_t k = 0; k < n; k++)
    if (k != best) sum += exp(((double)z[k] - second) * inverse);
  return (second - top) * inverse + log(sum);
}

static double entropy_of_logits(const float *z, const double *p, size_t step, int32_t n, double top, double inverse, double others) {
  double sum = 0.0;
  for (int32_t k = 0; k < n; k++, p += step)
    if (*p > 0.0) sum += *p * (top - (double)z[k]) * inverse;
  return sum - (others < 1.0 ? log1p(-others) : 0.0);
}

static double entropy_of_probabilities(const float *p, int32_t n) {
  double sum = 0.0;
  for (int32_t k = 0; k < n; k++)
    if (p[k] > 0.0f) sum -= (double)p[k] * log((double)p[k]);
  return sum;
}

static double normalised(const float *z, int32_t n, double top) {
  double mean = 0.0, square = 0.0, count = 0.0;
  for (int32_t k = 0; k < n; k++)
    if (z[k] > -INFINITY) mean += (double)z[k], count += 1.0;
  mean /= count;
  for (int32_t k = 0; k < n; k++)
    if (z[k] > -INFINITY) square += ((double)z[k] - mean) * ((double)z[k] - mean);
  return square > 0.0 ? (top - mean) / sqrt(square) : 0.0;
}

/* Of probabilities as given: 1 - c, so that equal numbers are ties; where c is so near 1 that float32 has rounded it, what the others have. */
static double doubt_of_probability(double confidence, double others) {
  const double near = 0x1p-10;
  return 1.0 - confidence > near ? 1.0 - confidence : fmin(others, near);
}

static double doubt_of(ls_score score, const ls_predictions *p, const ls_sweep_part *part, int32_t i) {
  const float *z = p->z.data + part->row[i] * p->z.stride;
  double inverse = 1.0 / p->temperature, others = part->others[i], top = part->top[i], second = part->second[i], sum;
  if (p->probabilities) others = doubt_of_probability(part->confidence[i], others);
  switch (score) {
  case LS_SCORE_MARGIN:
    sum = others + (p->probabilities ? second : exp((second - top) * inverse) * part->confidence[i]);
    if (p->probabilities || sum >= TINY) return sum;
    return log_of_others(z, part->classes, part->predicted[i], top, second, inverse, true);
  case LS_SCORE_ENTROPY:
    if (p->probabilities) return entropy_of_probabilities(z, part->classes);
    return entropy_of_logits(z, part->p + (size_t)i * part->p_row, part->p_class, part->classes, top, inverse, others);
  case LS_SCORE_LOGIT_MARGIN: return p->probabilities ? log(second) - log(top) : second - top;
  case LS_SCORE_MAX_LOGIT: return -top;
  case LS_SCORE_ENERGY: return -(top * inverse - log(part->confidence[i]));
  case LS_SCORE_NORMALISED_LOGIT: return -normalised(z, part->classes, top);
  default:
    if (p->probabilities || others >= TINY) return others;
    return log_of_others(z, part->classes, part->predicted[i], top, second, inverse, false);
  }
}

static void take_doubts(void *context, const ls_predictions *p, ls_sweep_part *part) {
  const doubts_job *j = context;
  double *doubt = j->doubt + part->offset;
  uint8_t *wrong = j->wrong + part->offset;
  bool copied = j->score == LS_SCORE_MAX_PROBABILITY && !p->probabilities;
  int32_t count = part->count;
  uint64_t tiny = 0; /* the sign: a doubt is */
  for (int32_t i = 0; i < count; i++) wrong[i] = part->correct[i] ^ 1;
  for (int32_t i = 0, end = copied ? count : 0; i < end; i++) {
    doubt[i] = part->others[i];
    tiny |= double_bits(part->others[i] - TINY);
  }
  for (int32_t i = 0; (!copied || tiny >> 63 != 0) && i < count; i++)
    if (!copied || doubt[i] < TINY) doubt[i] = doubt_of(j->score, p, part, i);
}

static ls_sweep_wants wanted(const ls_judging *j) {
  return j->doubt == NULL ? LS_WANT_NOTHING : j->score == LS_SCORE_ENTROPY ? LS_WANT_PROBABILITIES : LS_WANT_CONFIDENCES;
}

static ls_status check(const ls_predictions *p, const ls_judging *j, ls_err *err) {
  if (p->probabilities && (j->score == LS_SCORE_MAX_LOGIT || j->score == LS_SCORE_ENERGY || j->score == LS_SCORE_NORMALISED_LOGIT))
    return ls_fail(err, LS_ERANGE, "the score %s is made of logits, probabilities were given", ls_score_name(j->score));
  return LS_OK;
}

static size_t bytes(const ls_predictions *p, const ls_judging *j, size_t chunks) {
  (void)p, (void)j, (void)chunks;
  return sizeof(doubts_job);
}

static void begin(const ls_predictions *p, const ls_judging *j, size_t chunks, void *memory) {
  (void)p, (void)chunks;
  *(doubts_job *)memory = (doubts_job){j->score, j->doubt, j->wrong};
}

const ls_measure ls_measure_doubts = {.wants = wanted, .check = check, .bytes = bytes, .begin = begin, .take = take_doubts};

size_t ls_doubts_scratch(const ls_predictions *p, ls_score score) {
  double doubt;
  ls_judging j = {.doubt = &doubt, .score = score};
  return ls_judge_scratch(p, &j);
}

ls_status ls_doubts(const ls_predictions *p, ls_score score, void *scratch, double *doubt, uint8_t *wrong, int64_t *kept, ls_err *err) {
  ls_judging j = {.doubt = doubt, .wrong = wrong, .score = score};
  return ls_judge(p, &j, scratch, kept, err);
}

/* The curve walked once: errors among the first k, expected where k cuts a group of equal doubt. */
typedef struct walk {
  const ls_selective_wants *wants;
  double n, area, generalised;
  int32_t point;
  bool plain; /* nothing but the mean over k is wanted */
} walk;

static walk walk_of(const ls_selective_wants *wants, double n) {
  return (walk){.wants = wants, .n = n, .plain = wants->area == LS_AREA_MEAN && wants->points + wants->risks + wants->coverages == 0};
}

static double weight_of(const walk *w, size_t k) {
  if (w->wants->area == LS_AREA_MEAN) return 1.0;
  bool first = k == 1, last = (double)k == w->n;
  if (w->wants->area == LS_AREA_TRAPEZOID) return last ? 0.5 : 1.0; /* from (0, 0): the first point counts whole */
  return first && last ? 0.0 : first || last ? 0.5 : 1.0;
}

static size_t rows_at(double n, double coverage) {
  double k = ceil(n * coverage - 1e-9 * n * coverage);
  return k < 1.0 ? 1 : k > n ? (size_t)n : (size_t)k;
}

/* Rows from+1 … to share their doubt; `errors` before them, `wrong` among them. */
static inline void walk_group(walk *w, size_t from, size_t to, double errors, double wrong) {
  const ls_selective_wants *o = w->wants;
  double m = (double)(to - from), each = wrong / m, area = w->area;
  for (size_t k = from + 1; k <= to; k++) area += weight_of(w, k) * (errors + each * (double)(k - from)) / (double)k;
  w->area = area;
  w->generalised += m * errors + wrong * (m + 1.0) / 2.0;
  for (; w->point < o->points; w->point++) {
    size_t k = rows_at(w->n, (double)(w->point + 1) / o->points);
    if (k > to) break;
    o->curve[2 * w->point] = (double)k / w->n;
    o->curve[2 * w->point + 1] = (errors + each * (double)(k - from)) / (double)k;
  }
  for (int32_t i = 0; i < o->risks; i++)
    if ((errors + wrong) / (double)to <= o->risk[i]) o->coverage_at_risk[i] = (double)to / w->n;
  for (int32_t i = 0; i < o->coverages; i++) {
    size_t k = rows_at(w->n, o->coverage[i]);
    if (k > from && k <= to) o->risk_at_coverage[i] = (errors + each * (double)(k - from)) / (double)k;
  }
}

/* 1/(from+1) + … + 1/to, of many terms by the expansion of 1 + … + 1/n = log n + γ + 1/(2n) - 1/(12n²) + 1/(120n⁴) - … */
static double reciprocals(double from, double to) {
  const double many = 256.0; /* what is left out of the expansion is below 1/(252 many⁶) */
  double sum = 0.0;
  for (double k = from + 1.0; k <= (from > many ? from : fmin(many, to)); k += 1.0) sum += 1.0 / k;
  double a = fmax(from, many), b = to, u = 1.0 / (a * a), v = 1.0 / (b * b);
  if (b <= a) return sum;
  return sum + (log1p((b - a) / a) + (0.5 / b - 0.5 / a) - (v - u) / 12.0 + (v * v - u * u) / 120.0);
}

/* The mean over k of (k - right)/k from k = right + 1 on: what the best order has. */
static double best_area(double n, double right) { return ((n - right) - right * reciprocals(right, n)) / n; }

/* Rows in the order of their doubt. Narrow: keys that lie within 63 bits of each other, moved up by one, with the verdict below; else items of two
 * words. */
static uint64_t *sorted_rows(size_t n, const double *doubt, const uint8_t *wrong, uint64_t *items, bool *narrow) {
  double low = doubt[0], high = doubt[0];
  for (size_t i = 1; i < n; i++) {
    low = doubt[i] < low ? doubt[i] : low;
    high = doubt[i] > high ? doubt[i] : high;
  }
  uint64_t least = ls_ordered_bits(low), most = ls_ordered_bits(high);
  *narrow = (most - least) >> 63 == 0;
  if (*narrow) {
    for (size_t i = 0; i < n; i++) items[i] = (ls_ordered_bits(doubt[i]) - least) << 1 | (wrong[i] != 0);
    return ls_sort_items(items, items + n, n, 1, 1);
  }
  for (size_t i = 0; i < n; i++) {
    items[2 * i] = ls_ordered_bits(doubt[i]);
    items[2 * i + 1] = wrong[i];
  }
  return ls_sort_items(items, items + 2 * n, n, 2, 0);
}

/* The end of the group that begins at `from`, and how many of it are wrong. */
static size_t group_end(const uint64_t *items, bool narrow, size_t n, size_t from, double *bad) {
  size_t to = from, count = 0;
  if (narrow)
    for (; to < n && items[to] >> 1 == items[from] >> 1; to++) count += items[to] & 1;
  else
    for (; to < n && items[2 * to] == items[2 * from]; to++) count += items[2 * to + 1];
  *bad = (double)count;
  return to;
}

/* Rows from `from` on that share their doubt with no other, where nothing but the mean over k is wanted: most do, and little is left of a group of one. Returns the first that is not. */
static size_t walk_alone(walk *w, const uint64_t *items, size_t n, size_t from, double *errors, double *pairs) {
  double area = w->area, generalised = w->generalised, before = *errors, found = *pairs;
  for (; from < n && (from + 1 == n || items[from + 1] >> 1 != items[from] >> 1); from++) {
    double bad = (double)(items[from] & 1);
    found += bad * ((double)from - before);
    before += bad;
    area += before / (double)(from + 1);
    generalised += before;
  }
  w->area = area;
  w->generalised = generalised;
  *errors = before;
  *pairs = found;
  return from;
}

static ls_status check_wants(size_t n, const double *doubt, const uint64_t *sorted, const ls_selective_wants *wants, ls_err *err) {
  bool nan = false;
  if (n == 0) return ls_fail(err, LS_ERANGE, "there is no row to judge");
  for (size_t i = 0; sorted == NULL && i < n; i++) nan |= isnan(doubt[i]);
  for (size_t i = 0; nan && i < n; i++)
    if (isnan(doubt[i])) return ls_fail(err, LS_EVALUE, "the score of row %zu is NaN", i + 1);
  for (int32_t i = 0; i < wants->coverages; i++)
    if (!(wants->coverage[i] > 0.0 && wants->coverage[i] <= 1.0))
      return ls_fail(err, LS_ERANGE, "coverage is %g, allowed is above 0 to 1", wants->coverage[i]);
  for (int32_t i = 0; i < wants->risks; i++)
    if (!(wants->risk[i] >= 0.0 && wants->risk[i] <= 1.0)) return ls_fail(err, LS_ERANGE, "risk is %g, allowed is 0 to 1", wants->risk[i]);
  return LS_OK;
}

size_t ls_selective_scratch(size_t n) { return 4 * n * sizeof(uint64_t); }

ls_status ls_select(size_t n, const double *doubt, const uint8_t *wrong, const uint64_t *sorted, const ls_selective_wants *wants, void *scratch, ls_selective *out, ls_err *err) {
  ls_status status = check_wants(n, doubt, sorted, wants, err);
  if (status != LS_OK) return status;
  for (int32_t i = 0; i < wants->risks; i++) wants->coverage_at_risk[i] = 0.0;
  bool narrow = true;
  const uint64_t *items = sorted != NULL ? sorted : sorted_rows(n, doubt, wrong, scratch, &narrow);

  walk w = walk_of(wants, (double)n);
  ls_selective r = {.rows = (int64_t)n};
  double errors = 0.0, pairs = 0.0; /* pairs: right rows with less doubt than a wrong one, ties half */
  for (size_t from = 0, to; from < n; from = to) {
    double bad;
    if (narrow && w.plain) from = walk_alone(&w, items, n, from, &errors, &pairs);
    if (from == n) break;
    to = group_end(items, narrow, n, from, &bad);
    double size = (double)(to - from);
    walk_group(&w, from, to, errors, bad);
    pairs += bad * ((double)from - errors + 0.5 * (size - bad));
    if (to - from > 1) r.tied += size;
    errors += bad;
  }
  double right = w.n - errors;
  r.failures = (int64_t)errors;
  r.risk = errors / w.n;
  r.aurc = wants->area == LS_AREA_TRAPEZOID_INNER ? (n > 1 ? w.area / (w.n - 1.0) : NAN) : w.area / w.n;
  r.augrc = w.generalised / (w.n * w.n);
  walk mean = w;
  if (wants->area != LS_AREA_MEAN) { /* the excess is of the mean over k, whatever area is asked for */
    ls_selective_wants plain = {.area = LS_AREA_MEAN};
    mean = walk_of(&plain, w.n);
    errors = 0.0;
    for (size_t from = 0, to; from < n; from = to) {
      double bad;
      to = group_end(items, narrow, n, from, &bad);
      walk_group(&mean, from, to, errors, bad);
      errors += bad;
    }
  }
  r.excess_aurc = mean.area / w.n - best_area(w.n, right);
  r.auroc = errors > 0.0 && right > 0.0 ? pairs / (errors * right) : NAN;
  r.tied /= w.n;
  *out = r;
  return LS_OK;
}
