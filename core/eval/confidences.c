/* Confidences and verdicts of predictions. SPDX-License-Identifier: MIT */
#include "core/eval/measures.h"

#include <string.h>

typedef struct confidences_job {
  double *confidence;
  uint8_t *correct;
} confidences_job;

static void take(void *context, const ls_predictions *p, ls_sweep_part *part) {
  const confidences_job *j = context;
  (void)p;
  if (j->confidence != NULL) memcpy(j->confidence + part->offset, part->confidence, (size_t)part->count * sizeof *j->confidence);
  if (j->correct != NULL) memcpy(j->correct + part->offset, part->correct, (size_t)part->count);
}

static ls_sweep_wants wanted(const ls_judging *j) { return j->confidence != NULL || j->correct != NULL ? LS_WANT_CONFIDENCES : LS_WANT_NOTHING; }

static size_t bytes(const ls_predictions *p, const ls_judging *j, size_t chunks) {
  (void)p, (void)j, (void)chunks;
  return sizeof(confidences_job);
}

static void begin(const ls_predictions *p, const ls_judging *j, size_t chunks, void *memory) {
  (void)p, (void)chunks;
  *(confidences_job *)memory = (confidences_job){j->confidence, j->correct};
}

const ls_measure ls_measure_confidences = {.wants = wanted, .bytes = bytes, .begin = begin, .take = take};

size_t ls_confidences_scratch(const ls_predictions *p) {
  double confidence;
  ls_judging j = {.confidence = &confidence};
  return ls_judge_scratch(p, &j);
}

ls_status ls_confidences(const ls_predictions *p, void *scratch, double *confidence, uint8_t *correct, int64_t *kept, ls_err *err) {
  ls_judging j = {.confidence = confidence, .correct = correct};
  return ls_judge(p, &j, scratch, kept, err);
}
