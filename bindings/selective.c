/* Selective prediction. SPDX-License-Identifier: MIT */
#include "bindings/judging.h"

#include <string.h>

static ls_score check_score(lua_State *L, const char *name, int index) {
  const char *given = lsb_check_string(L, index, name, "score", NULL);
  for (int s = 0; s < LS_SCORE_COUNT; s++)
    if (strcmp(given, ls_score_name((ls_score)s)) == 0) return (ls_score)s;
  lsb_fail(L, name, "there is no score \"%.40s\"", given);
  return LS_SCORE_MAX_PROBABILITY;
}

/* The doubts of own scores: a vector of N numbers, the larger the surer; rows with the ignored label are left out. */
static void own_doubts(lua_State *L, const char *name, const ls_predictions *p, int index, double *doubt) {
  char text[128];
  size_t kept = 0;
  lsb_tensor *t = lsb_check_contiguous(L, index, name, "score");
  if (t->view.rank != 1 || t->view.shape[0] != p->z.rows)
    lsb_fail(L, name, "score has shape %s, one number for each of %d rows is required", ls_shape_text(&t->view, text, sizeof text), p->z.rows);
  for (int32_t i = 0; i < p->z.rows; i++)
    if (!(p->ignore.active && p->labels[i] == p->ignore.label)) doubt[kept++] = -(double)t->view.data[i];
}

void lsb_want_selective(lua_State *L, const char *name, int at, const ls_predictions *p, ls_judging *j, lsb_selective *s) {
  size_t risks, coverages;
  int top = lua_gettop(L);
  lua_getfield(L, at, "score");
  lua_getfield(L, at, "area");
  lua_getfield(L, at, "points");
  lua_getfield(L, at, "risks");
  lua_getfield(L, at, "coverages");
  s->own = lsb_test_tensor(L, top + 1) != NULL ? top + 1 : 0;
  j->score = s->own ? LS_SCORE_MAX_PROBABILITY : check_score(L, name, top + 1);
  ls_selective_wants *w = &s->wants;
  *w = (ls_selective_wants){.area = (ls_area)lsb_check_int(L, top + 2, name, "area", LS_AREA_MEAN, LS_AREA_TRAPEZOID_INNER),
                            .points = lsb_check_int(L, top + 3, name, "points", 0, 1000000)};
  w->risk = lsb_check_numbers(L, top + 4, name, "risks", 0, 1000, &risks);
  w->coverage = lsb_check_numbers(L, top + 5, name, "coverages", 0, 1000, &coverages);
  w->risks = (int32_t)risks;
  w->coverages = (int32_t)coverages;
  w->curve = lsb_new_scratch(L, name, (size_t)w->points * 2 * sizeof(double));
  w->coverage_at_risk = lsb_new_scratch(L, name, (risks + coverages) * sizeof(double));
  w->risk_at_coverage = w->coverage_at_risk + risks;
  size_t n = (size_t)p->z.rows;
  j->doubt = lsb_new_scratch(L, name, n * (sizeof(double) + 1));
  j->wrong = n > 0 ? (uint8_t *)(j->doubt + n) : NULL;
}

void lsb_give_selective(lua_State *L, const char *name, const ls_predictions *p, size_t kept, const ls_judging *j, const ls_order *order, lsb_selective *s) {
  ls_err err;
  ls_selective r;
  const ls_selective_wants *w = &s->wants;
  if (s->own) own_doubts(L, name, p, s->own, j->doubt);
  void *scratch = lsb_new_scratch(L, name, ls_selective_scratch(kept));
  if (ls_select(kept, j->doubt, j->wrong, s->own ? NULL : order->doubt, w, scratch, &r, &err) != LS_OK) lsb_raise(L, name, &err);
  lua_pop(L, 1);

  lua_createtable(L, 0, 10);
  lsb_set_integer(L, "rows", r.rows);
  lsb_set_integer(L, "failures", r.failures);
  lsb_set_number(L, "risk", r.risk);
  lsb_set_number(L, "aurc", r.aurc);
  lsb_set_number(L, "excess_aurc", r.excess_aurc);
  lsb_set_number(L, "augrc", r.augrc);
  lsb_set_number(L, "auroc", r.auroc);
  lsb_set_number(L, "tied", r.tied);
  lua_createtable(L, w->points, 0);
  for (int32_t i = 0; i < w->points; i++) {
    lsb_push_numbers(L, 2, w->curve + 2 * i);
    lua_rawseti(L, -2, i + 1);
  }
  lua_setfield(L, -2, "curve");
  lsb_push_numbers(L, (size_t)w->risks, w->coverage_at_risk);
  lua_setfield(L, -2, "coverage_at_risk");
  lsb_push_numbers(L, (size_t)w->coverages, w->risk_at_coverage);
  lua_setfield(L, -2, "risk_at_coverage");
  lua_setfield(L, -2, "selective");
}
