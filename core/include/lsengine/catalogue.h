/* What the catalogue tells of a scheme, a penalty, a mix: the source of `lsengine schemes`, of the manual, and of the checks of parameters.
 * SPDX-License-Identifier: MIT */
#ifndef LSENGINE_CATALOGUE_H
#define LSENGINE_CATALOGUE_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A parameter: a number with its range, unless `type` says otherwise. */
typedef struct ls_parameter {
  const char *name;
  const char *type;                     /* "number", "integer", "boolean" (0 or 1); of what is no number, "vector", "matrix", "table", … */
  double standard, minimum, maximum;    /* NAN as the standard: the parameter is required; infinite limits: none */
  bool above_minimum, below_maximum;    /* the limit itself is not allowed */
  const char *doc;
} ls_parameter;

typedef struct ls_entry {
  const char *name;     /* "confidence_penalty": ls.loss.confidence_penalty{…} */
  const char *title;    /* "Confidence penalty" */
  const char *paper;    /* "Pereyra et al. 2017, Regularizing neural networks by penalizing confident output distributions" */
  const char *formula;  /* plain text, ASCII or Greek letters, one line or several */
  const char *property; /* what must hold of it, in words: what the tests hold it to */
  const char *use;      /* when to use it */
  const char *avoid;    /* when not */
  const char *stacking; /* what it cannot be stacked with, and why; "" where nothing */
  const char *example;  /* one or a few lines of Lua: `logits`, `labels`, `ls`, `rng` are there */
  const ls_parameter *parameters;
  int32_t parameter_count;
} ls_entry;

#ifdef __cplusplus
}
#endif
#endif
