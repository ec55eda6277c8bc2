/* Label smoothing whose mass changes with the epoch. SPDX-License-Identifier: MIT */
#include "core/target/schemes/schemes.h"

static const ls_parameter parameters[] = {
    {"from", "number", 0.2, 0, 1, false, false, "epsilon at the beginning"},
    {"to", "number", 0, 0, 1, false, false, "epsilon in the end"},
    {"start", "number", 0, 0, INFINITY, false, false, "epochs before it begins to change"},
    {"epochs", "number", 0, 0, INFINITY, false, false, "epochs that the change takes; 0: to the end of the training"},
    {"cosine", "boolean", 0, 0, 1, false, false, "along half a cosine instead of a straight line"},
};
enum { FROM, TO, START, EPOCHS, COSINE };

static double mass(const ls_scheme_call *c) {
  const double *o = c->numbers;
  double last = o[EPOCHS] > 0.0 ? o[EPOCHS] : c->epochs - o[START];
  double t = c->epoch <= o[START] ? 0.0 : last > 0.0 ? fmin(1.0, (c->epoch - o[START]) / last) : 1.0;
  if (o[COSINE] != 0.0) t = 0.5 - 0.5 * cos(3.14159265358979323846 * t);
  return fmin(1.0, fmax(0.0, o[FROM] + (o[TO] - o[FROM]) * t));
}

const ls_scheme ls_scheme_annealed = {
    .abi = LS_SCHEME_ABI,
    .form = LS_FORM_LINEAR,
    .kind = LS_SOFTEN_UNIFORM,
    .promises = LS_EQUIVARIANT | LS_ORDER_KEPT,
    .mass = mass,
    .entry = {.name = "annealed",
              .title = "Annealed label smoothing",
              .paper = "Xu et al. 2020, Towards understanding label smoothing, arXiv:2006.11653 (two stages: smoothing, then none)",
              .formula = "q = (1 - e(t)) 1[k = y] + e(t)/K, e(t) from `from` to `to` over `epochs` after `start`, along a line or half a cosine",
              .property = "uniform(e) at every moment; with from = to it is label smoothing",
              .use = "smoothing early, sharp targets late, or the reverse; a step at epoch s: start = s, epochs = 0.001",
              .avoid = "comparing training losses of different epochs: their floors differ",
              .stacking = "mixing, a teacher, itself: softness adds up",
              .example = "local scheme = ls.target.annealed{ from = 0.2, to = 0, epochs = 10 }\nscheme:set_epoch(5)\nprint(scheme(labels):row(1, 10))   -- epsilon 0.1",
              .parameters = parameters,
              .parameter_count = LS_COUNT(parameters)}};
