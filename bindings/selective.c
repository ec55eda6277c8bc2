/* Selective prediction. SPDX-License-Identifier: MIT */
#include "bindings/predictions.h"

#include <lsengine/selective.h>

#include <math.h>
#include <string.h>

static const char name[] = "selective";

static ls_score check_score(lua_State *L, int index) {
  const char *given = lsb_check_string(L, index, name, "score", NULL);
  for (int s = 0; s < LS_SCORE_COUNT; s++)
    if (strcmp(given, ls_score_name((ls_score)s)) == 0) return (ls_score)s;
  lsb_fail(L, name, "there is no score \"%.40s\"", given);
  return LS_SCORE_MAX_PROBABILITY;
}

/* The doubts of own scores: a vector of N numbers, the larger the surer; rows with the ignored label are left out. */
static size_t own_doubts(lua_State *L, const ls_predictions *p, int index, double *doubt) {
  char text[128];
  size_t kept = 0;
  lsb_tensor *t = lsb_check_contiguous(L, index, name, "score");
  if (t->view.rank != 1 || t->view.shape[0] != p->z.rows)
    lsb_fail(L, name, "score has shape %s, one number for each of %d rows is required", ls_shape_text(&t->view, text, sizeof text), p->z.rows);
  for (int32_t i = 0; i < p->z.rows; i++)
    if (!(p->ignore.active && p->labels[i] == p->ignore.label)) doubt[kept++] = -(double)t->view.data[i];
  return kept;
}

/* select(z, labels, probabilities, temperature, ignore, score (name or vector), area, points, risks, coverages): measures, curve (points × 2)
 * as { { coverage, risk }, … }, coverages at the risks, risks at the coverages. */
static int select_rows(lua_State *L) {
  ls_err err;
  ls_selective r;
  int64_t kept;
  size_t risks, coverages;
  lua_settop(L, 10);
  ls_predictions p = lsb_check_predictions(L, name);
  bool own = lsb_test_tensor(L, 6) != NULL;
  ls_score score = own ? LS_SCORE_MAX_PROBABILITY : check_score(L, 6);
  ls_selective_wants w = {.area = (ls_area)lsb_check_int(L, 7, name, "area", LS_AREA_MEAN, LS_AREA_TRAPEZOID_INNER),
                          .points = lsb_check_int(L, 8, name, "points", 0, 1000000)};
  w.risk = lsb_check_numbers(L, 9, name, "risks", 0, 1000, &risks);
  w.coverage = lsb_check_numbers(L, 10, name, "coverages", 0, 1000, &coverages);
  w.risks = (int32_t)risks;
  w.coverages = (int32_t)coverages;

  size_t n = (size_t)p.z.rows;
  w.curve = lsb_new_scratch(L, name, (size_t)w.points * 2 * sizeof(double));
  w.coverage_at_risk = lsb_new_scratch(L, name, (risks + coverages) * sizeof(double));
  w.risk_at_coverage = w.coverage_at_risk + risks;
  double *doubt = lsb_new_scratch(L, name, n * (sizeof(double) + 1));
  uint8_t *wrong = n > 0 ? (uint8_t *)(doubt + n) : NULL;
  void *scratch = lsb_new_scratch(L, name, ls_doubts_scratch(&p, score));

  if (ls_doubts(&p, score, scratch, doubt, wrong, &kept, &err) != LS_OK) return lsb_raise(L, name, &err);
  lua_pop(L, 1);
  if (own) own_doubts(L, &p, 6, doubt);
  scratch = lsb_new_scratch(L, name, ls_selective_scratch((size_t)kept));
  if (ls_select((size_t)kept, doubt, wrong, &w, scratch, &r, &err) != LS_OK) return lsb_raise(L, name, &err);

  lua_createtable(L, 0, 10);
  lsb_set_integer(L, "rows", r.rows);
  lsb_set_integer(L, "failures", r.failures);
  lsb_set_number(L, "risk", r.risk);
  lsb_set_number(L, "aurc", r.aurc);
  lsb_set_number(L, "excess_aurc", r.excess_aurc);
  lsb_set_number(L, "augrc", r.augrc);
  lsb_set_number(L, "auroc", r.auroc);
  lsb_set_number(L, "tied", r.tied);
  lua_createtable(L, w.points, 0);
  for (int32_t i = 0; i < w.points; i++) {
    lsb_push_numbers(L, 2, w.curve + 2 * i);
    lua_rawseti(L, -2, i + 1);
  }
  lsb_push_numbers(L, risks, w.coverage_at_risk);
  lsb_push_numbers(L, coverages, w.risk_at_coverage);
  return 4;
}

int lsb_open_selective(lua_State *L) {
  static const luaL_Reg functions[] = {{"select", select_rows}, {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}
