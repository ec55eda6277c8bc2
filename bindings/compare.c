/* Two models on the same rows. SPDX-License-Identifier: MIT */
#include "bindings/measures.h"
#include "bindings/random.h"

#include <lsengine/compare.h>

static void push_wilcoxon(lua_State *L, const ls_wilcoxon *w) {
  const lsb_field fields[] = {{"p", w->p}, {"positive", w->positive}, {"negative", w->negative}, {"rank_biserial", w->rank_biserial}};
  LSB_PUSH_FIELDS(L, fields);
  lua_pushinteger(L, w->used);
  lua_setfield(L, -2, "used");
  lua_pushboolean(L, w->exact);
  lua_setfield(L, -2, "exact");
}

/* Sets measure `name` of the table on top. */
static void set_compared(lua_State *L, const char *name, const ls_compared *c, bool mean) {
  const lsb_field fields[] = {{"a", c->a}, {"b", c->b}, {"difference", c->difference}, {"error", c->error}, {"low", c->low}, {"high", c->high}};
  const lsb_field of_means[] = {{"bca_low", c->bca_low}, {"bca_high", c->bca_high}, {"p", c->p}, {"effect_size", c->effect.d}, {"superiority", c->effect.superiority}};
  LSB_PUSH_FIELDS(L, fields);
  for (size_t i = 0; mean && i < sizeof of_means / sizeof *of_means; i++) {
    lua_pushnumber(L, of_means[i].value);
    lua_setfield(L, -2, of_means[i].name);
  }
  if (mean) {
    push_wilcoxon(L, &c->wilcoxon);
    lua_setfield(L, -2, "wilcoxon");
  }
  lua_setfield(L, -2, name);
}

/* compare(logits_a, logits_b, labels, bins, resamples, level, rng): a table of tables. */
static int compare(lua_State *L) {
  ls_comparison c;
  ls_err err;
  lua_settop(L, 7);
  ls_cmat a = lsb_check_matrix(L, 1, "compare", "logits of a"), b = lsb_check_matrix(L, 2, "compare", "logits of b");
  lsb_labels *labels = lsb_check_labels(L, 3, "compare", "labels");
  ls_compare_options o = {.bins = lsb_check_int(L, 4, "compare", "bins", 1, LS_COMPARE_MOST_BINS),
                          .resamples = (size_t)lsb_check_int(L, 5, "compare", "resamples", 2, 10000000),
                          .level = lsb_check_number(L, 6, "compare", "level")};
  ls_rng *rng = lsb_check_rng(L, 7, "compare");
  if (labels->count != (size_t)a.rows) return lsb_fail(L, "compare", "there are %zu labels but logits have %d rows", labels->count, a.rows);
  void *scratch = lsb_new_scratch(L, "compare", ls_compare_scratch(a.rows, &o));
  if (ls_compare(a, b, labels->values, &o, rng, scratch, &c, &err) != LS_OK) return lsb_raise(L, "compare", &err);
  lua_newtable(L);
  set_compared(L, "accuracy", &c.accuracy, true);
  set_compared(L, "nll", &c.nll, true);
  set_compared(L, "brier", &c.brier, true);
  set_compared(L, "ece_debiased", &c.ece_debiased, false);
  const lsb_field fields[] = {{"p", c.mcnemar}, {"mid_p", c.mcnemar_mid}};
  LSB_PUSH_FIELDS(L, fields);
  lua_pushinteger(L, c.only_a);
  lua_setfield(L, -2, "only_a");
  lua_pushinteger(L, c.only_b);
  lua_setfield(L, -2, "only_b");
  lua_setfield(L, -2, "mcnemar");
  lua_pushinteger(L, c.rows);
  lua_setfield(L, -2, "rows");
  return 1;
}

int lsb_open_compare(lua_State *L) {
  static const luaL_Reg functions[] = {{"compare", compare}, {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}
