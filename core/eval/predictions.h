/* One sweep over predictions for all measures. SPDX-License-Identifier: MIT
 *
 * The rows are cut into chunks (at most LS_SWEEP_CHUNKS, by the shape alone) and these into parts; `take` is called for each part, with what
 * its kept rows are worth, in order within a chunk, from any thread. A consumer adds up a chunk on its own and the chunks in order afterwards. */
#ifndef LS_EVAL_PREDICTIONS_H
#define LS_EVAL_PREDICTIONS_H

#include <lsengine/predictions.h>

enum { LS_SWEEP_CHUNKS = 64, LS_SWEEP_ROWS = 256, LS_QUICK_ROWS = 16384 };

typedef struct ls_sweep_part {
  size_t chunk, offset; /* the first row's place among all kept rows */
  int32_t count, classes;
  int32_t row[LS_SWEEP_ROWS], label[LS_SWEEP_ROWS], predicted[LS_SWEEP_ROWS];
  uint8_t correct[LS_SWEEP_ROWS];
  double confidence[LS_SWEEP_ROWS]; /* max_k p_k */
  double others[LS_SWEEP_ROWS];     /* the mass of all other classes: 1 - confidence without its rounding */
  double top[LS_SWEEP_ROWS], second[LS_SWEEP_ROWS]; /* largest and second largest entry as given; second is -inf (logits) or 0 for one class */
  double nll[LS_SWEEP_ROWS];        /* -log p_y */
  double brier[LS_SWEEP_ROWS];      /* sum_k (p_k - [k=y])² */
  const double *p;                  /* of row i and class k, where asked for: p[i · p_row + k · p_class]; few classes have columns, many have rows */
  size_t p_row, p_class;
  bool raw;                         /* LS_WANT_ROWS: nothing is known of the rows but their logits and labels, padded as the kernels want it */
  const float *first;               /* raw: the first row where they follow each other, else NULL, and `logits` has each */
  const float *const *logits;
  bool wrong;                       /* LS_WANT_ROWS, set by take: a row cannot be judged */
} ls_sweep_part;

typedef void ls_take_fn(void *context, const ls_predictions *p, ls_sweep_part *part);

/* What a part holds: CONFIDENCES: all but nll, brier, p; SCORES: all but p. ROWS: `logits`, which `take` judges itself, where they are of few classes and many rows; else as
 * CONFIDENCES. */
typedef enum ls_sweep_wants { LS_WANT_NOTHING, LS_WANT_ROWS, LS_WANT_CONFIDENCES, LS_WANT_SCORES, LS_WANT_PROBABILITIES } ls_sweep_wants;

/* Chunks for a shape; `most` may be lower than LS_SWEEP_CHUNKS where a consumer's memory for each is large. */
size_t ls_sweep_chunks(const ls_predictions *p, size_t most);
size_t ls_sweep_scratch(const ls_predictions *p, size_t chunks);
ls_status ls_sweep(const ls_predictions *p, size_t chunks, ls_sweep_wants wants, void *scratch, ls_take_fn *take, void *context, ls_err *err);

#endif
