/* Several measures in one sweep. SPDX-License-Identifier: MIT */
#include "core/eval/measures.h"

static const ls_measure *const measures[] = {&ls_measure_classification, &ls_measure_bins, &ls_measure_classwise, &ls_measure_confidences, &ls_measure_doubts};

enum { COUNT = sizeof measures / sizeof *measures };

/* Those that are wanted, where they keep what, and what they need of a row. */
typedef struct plan {
  int count;
  const ls_measure *measure[COUNT];
  void *memory[COUNT];
  size_t chunks, bytes;
  ls_sweep_wants wants;
} plan;

static plan plan_of(const ls_predictions *p, const ls_judging *j) {
  plan r = {.wants = LS_WANT_ROWS};
  size_t most = LS_SWEEP_CHUNKS;
  for (int i = 0; i < COUNT; i++) {
    ls_sweep_wants wants = measures[i]->wants(j);
    if (wants == LS_WANT_NOTHING) continue;
    size_t each = measures[i]->chunk_bytes != NULL ? measures[i]->chunk_bytes(p, j) : 0, fit = each > 0 ? LS_MEASURE_MEMORY / each + 1 : most;
    r.measure[r.count++] = measures[i];
    r.wants = wants > r.wants ? wants : r.wants;
    most = fit < most ? fit : most;
  }
  if (r.count == 0) r.wants = LS_WANT_CONFIDENCES; /* rows are checked all the same */
  r.chunks = ls_sweep_chunks(p, most);
  for (int i = 0; i < r.count; i++) r.bytes += r.measure[i]->bytes(p, j, r.chunks);
  return r;
}

static void take_all(void *context, const ls_predictions *p, ls_sweep_part *part) {
  const plan *r = context;
  for (int i = 0; i < r->count; i++) r->measure[i]->take(r->memory[i], p, part);
}

size_t ls_judge_scratch(const ls_predictions *p, const ls_judging *wants) {
  plan r = plan_of(p, wants);
  return r.bytes + ls_sweep_scratch(p, r.chunks);
}

ls_status ls_judge(const ls_predictions *p, const ls_judging *wants, void *scratch, int64_t *kept, ls_err *err) {
  plan r = plan_of(p, wants);
  char *memory = scratch;
  ls_status status = LS_OK;
  for (int i = 0; i < r.count && status == LS_OK; i++)
    if (r.measure[i]->check != NULL) status = r.measure[i]->check(p, wants, err);
  if (status == LS_OK) status = ls_predictions_check(p, kept, err);
  if (status != LS_OK) return status;
  for (int i = 0; i < r.count; i++) {
    r.memory[i] = memory;
    r.measure[i]->begin(p, wants, r.chunks, memory);
    memory += r.measure[i]->bytes(p, wants, r.chunks);
  }
  status = ls_sweep(p, r.chunks, r.wants, memory, take_all, &r, err);
  for (int i = 0; i < r.count && status == LS_OK; i++)
    if (r.measure[i]->end != NULL) r.measure[i]->end(p, wants, r.chunks, *kept, r.memory[i]);
  return status;
}
