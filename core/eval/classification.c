/* Accuracy and its kin, negative log-likelihood, Brier score, by class and over all. SPDX-License-Identifier: MIT */
#include "core/eval/measures.h"

#include <math.h>
#include <string.h>

typedef struct classify_job {
  int32_t tops;
  const int32_t *top;
  ls_class_score *classes; /* (chunks, K) */
  double *sums;            /* (chunks, 2): nll, brier */
  int64_t *in_top;         /* (chunks, tops) */
  int32_t *pairs;          /* (n, 2): label, prediction; or NULL */
} classify_job;

static void take(void *context, const ls_predictions *p, ls_sweep_part *part) {
  const classify_job *j = context;
  ls_class_score *classes = j->classes + part->chunk * (size_t)part->classes;
  double *sums = j->sums + 2 * part->chunk, nll = sums[0], brier = sums[1];
  int64_t *in_top = j->in_top + part->chunk * (size_t)j->tops;
  for (int32_t i = 0; i < part->count; i++) {
    int32_t y = part->label[i];
    ls_class_score *own = &classes[y];
    own->count++;
    own->right += part->correct[i];
    own->nll += part->nll[i];
    own->brier += part->brier[i];
    classes[part->predicted[i]].predicted++;
    nll += part->nll[i];
    brier += part->brier[i];
    if (j->pairs != NULL) {
      int32_t *pair = j->pairs + 2 * (part->offset + (size_t)i);
      pair[0] = y;
      pair[1] = part->predicted[i];
    }
    if (j->tops == 0) continue;
    const float *z = p->z.data + part->row[i] * p->z.stride;
    float own_z = z[y];
    int32_t ahead = 0;
    for (int32_t k = 0; k < y; k++) ahead += z[k] >= own_z;
    for (int32_t k = y + 1; k < part->classes; k++) ahead += z[k] > own_z;
    for (int32_t t = 0; t < j->tops; t++) in_top[t] += ahead < j->top[t];
  }
  sums[0] = nll;
  sums[1] = brier;
}

static void over_classes(const ls_class_score *classes, int32_t count, ls_classification *out) {
  double recalls = 0.0, precisions = 0.0, f1 = 0.0, seen = 0.0, labelled = 0.0;
  for (int32_t k = 0; k < count; k++) {
    const ls_class_score *s = &classes[k];
    if (s->count + s->predicted == 0) continue;
    seen += 1.0;
    f1 += 2.0 * (double)s->right / (double)(s->count + s->predicted);
    if (s->predicted > 0) precisions += (double)s->right / (double)s->predicted;
    if (s->count == 0) continue;
    labelled += 1.0;
    recalls += (double)s->right / (double)s->count;
  }
  out->balanced_accuracy = recalls / labelled;
  out->macro_recall = recalls / seen;
  out->macro_precision = precisions / seen;
  out->macro_f1 = f1 / seen;
}

/* The chunks' sums in order, made means. */
static void add_chunks(const classify_job *j, size_t chunks, size_t k_count, int64_t kept, ls_classification *r, double *top_share, ls_class_score *classes) {
  double n = (double)kept;
  int64_t right = 0, in_top[LS_MOST_TOP] = {0};
  memset(classes, 0, k_count * sizeof *classes);
  for (size_t c = 0; c < chunks; c++) {
    r->nll += j->sums[2 * c];
    r->brier += j->sums[2 * c + 1];
    for (int32_t t = 0; t < j->tops; t++) in_top[t] += j->in_top[c * (size_t)j->tops + (size_t)t];
    for (size_t k = 0; k < k_count; k++) {
      const ls_class_score *from = &j->classes[c * k_count + k];
      ls_class_score *to = &classes[k];
      to->count += from->count, to->predicted += from->predicted, to->right += from->right, to->nll += from->nll, to->brier += from->brier;
    }
  }
  for (size_t k = 0; k < k_count; k++) {
    right += classes[k].right;
    if (classes[k].count == 0) continue;
    classes[k].nll /= (double)classes[k].count;
    classes[k].brier /= (double)classes[k].count;
  }
  r->accuracy = (double)right / n;
  r->nll /= n;
  r->brier /= n;
  over_classes(classes, (int32_t)k_count, r);
  for (int32_t t = 0; t < j->tops; t++) top_share[t] = (double)in_top[t] / n;
}

static ls_sweep_wants wanted(const ls_judging *j) { return j->classification != NULL ? LS_WANT_SCORES : LS_WANT_NOTHING; }

static ls_status check(const ls_predictions *p, const ls_judging *j, ls_err *err) {
  (void)p;
  if (j->tops < 0 || j->tops > LS_MOST_TOP) return ls_fail(err, LS_ERANGE, "%d values of top_k were given, at most %d are taken", j->tops, LS_MOST_TOP);
  for (int32_t t = 0; t < j->tops; t++)
    if (j->top[t] < 1) return ls_fail(err, LS_ERANGE, "top_k is %d, at least 1 is allowed", j->top[t]);
  return LS_OK;
}

static size_t chunk_bytes(const ls_predictions *p, const ls_judging *j) {
  (void)j;
  return (size_t)(p->z.cols < 1 ? 1 : p->z.cols) * sizeof(ls_class_score);
}

/* The chunks' sums, which begin as zeros. */
static size_t bytes_of_sums(const ls_predictions *p, const ls_judging *j, size_t chunks) {
  return chunks * (chunk_bytes(p, j) + 2 * sizeof(double) + LS_MOST_TOP * sizeof(int64_t));
}

static size_t bytes(const ls_predictions *p, const ls_judging *j, size_t chunks) {
  return sizeof(classify_job) + bytes_of_sums(p, j, chunks) + (j->confusion != NULL ? (size_t)p->z.rows * 2 * sizeof(int32_t) : 0);
}

static void begin(const ls_predictions *p, const ls_judging *j, size_t chunks, void *memory) {
  classify_job *job = memory;
  *job = (classify_job){.tops = j->tops, .top = j->top, .classes = (ls_class_score *)(job + 1)};
  job->sums = (double *)(job->classes + chunks * (size_t)p->z.cols);
  job->in_top = (int64_t *)(job->sums + 2 * chunks);
  if (j->confusion != NULL) job->pairs = (int32_t *)(job->in_top + chunks * LS_MOST_TOP);
  memset(job->classes, 0, bytes_of_sums(p, j, chunks));
}

static void end(const ls_predictions *p, const ls_judging *j, size_t chunks, int64_t kept, void *memory) {
  const classify_job *job = memory;
  size_t k_count = (size_t)p->z.cols;
  ls_classification r = {.rows = kept};
  add_chunks(job, chunks, k_count, kept, &r, j->top_share, j->class_scores);
  if (j->confusion != NULL) {
    memset(j->confusion, 0, k_count * k_count * sizeof *j->confusion);
    for (int64_t i = 0; i < kept; i++) j->confusion[(size_t)job->pairs[2 * i] * k_count + (size_t)job->pairs[2 * i + 1]]++;
  }
  *j->classification = r;
}

const ls_measure ls_measure_classification = {wanted, check, chunk_bytes, bytes, begin, take, end};

size_t ls_classification_scratch(const ls_predictions *p, bool confusion) {
  ls_classification r;
  int64_t cell;
  ls_judging j = {.classification = &r, .confusion = confusion ? &cell : NULL};
  return ls_judge_scratch(p, &j);
}

ls_status ls_classify(const ls_predictions *p, int32_t tops, const int32_t *top, void *scratch, ls_classification *out, double *top_share,
                      ls_class_score *classes, int64_t *confusion, ls_err *err) {
  int64_t kept;
  ls_judging j = {.classification = out, .tops = tops, .top = top, .top_share = top_share, .class_scores = classes, .confusion = confusion};
  return ls_judge(p, &j, scratch, &kept, err);
}
