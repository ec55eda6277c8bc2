/* Statistics of plain numbers. SPDX-License-Identifier: MIT */
#include "bindings/measures.h"
#include "bindings/random.h"

#include <lsengine/statistics.h>

#include <math.h>
#include <string.h>

/* The place of a string among names that end with NULL. */
static int check_choice(lua_State *L, int index, const char *name, const char *argument, const char *const *choices) {
  const char *text = lsb_check_string(L, index, name, argument, NULL);
  for (int i = 0; choices[i] != NULL; i++)
    if (strcmp(text, choices[i]) == 0) return i;
  return lsb_fail(L, name, "%s is \"%.40s\", which is not among its choices", argument, text);
}

static const char *const alternatives[] = {"two_sided", "greater", "less", NULL}, *const statistics[] = {"mean", "median", "deviation", "interquartile_mean", NULL},
                         *const methods[] = {"bca", "percentile", "basic", NULL}, *const zero_methods[] = {"wilcox", "pratt", NULL},
                         *const proportions[] = {"wilson", "clopper_pearson", NULL};

static double check_share(lua_State *L, int index, const char *name, const char *argument) {
  double value = lsb_check_number(L, index, name, argument);
  if (!(value > 0.0 && value < 1.0)) lsb_fail(L, name, "%s is %g, allowed is above 0 and below 1", argument, value);
  return value;
}

/* bootstrap(values, statistic, resamples, level, method, rng): estimate, low, high, standard error. */
static int bootstrap(lua_State *L) {
  size_t n;
  ls_interval r;
  ls_err err;
  lua_settop(L, 6);
  double *x = lsb_check_doubles(L, 1, "bootstrap", "values", 2, &n), level = check_share(L, 4, "bootstrap", "level");
  ls_statistic statistic = (ls_statistic)check_choice(L, 2, "bootstrap", "statistic", statistics);
  size_t resamples = (size_t)lsb_check_int(L, 3, "bootstrap", "resamples", 2, 10000000);
  ls_bootstrap_method method = (ls_bootstrap_method)check_choice(L, 5, "bootstrap", "method", methods);
  ls_rng *rng = lsb_check_rng(L, 6, "bootstrap");
  void *scratch = lsb_new_scratch(L, "bootstrap", ls_bootstrap_scratch(n, resamples));
  if (ls_bootstrap(n, x, statistic, resamples, level, method, rng, scratch, &r, &err) != LS_OK) return lsb_raise(L, "bootstrap", &err);
  lua_pushnumber(L, r.estimate);
  lua_pushnumber(L, r.low);
  lua_pushnumber(L, r.high);
  lua_pushnumber(L, r.error);
  return 4;
}

/* bootstrap_interval(replicates, estimate, jackknife, level, method): low, high, standard error: for statistics that a script computes. */
static int bootstrap_interval(lua_State *L) {
  size_t count, n;
  ls_interval r;
  lua_settop(L, 5);
  double *replicates = lsb_check_doubles(L, 1, "bootstrap", "the statistic of a resample", 2, &count), *jackknife = lsb_check_doubles(L, 3, "bootstrap", "jackknife", 0, &n);
  double estimate = lsb_check_number(L, 2, "bootstrap", "the statistic"), level = check_share(L, 4, "bootstrap", "level");
  ls_bootstrap_method method = (ls_bootstrap_method)check_choice(L, 5, "bootstrap", "method", methods);
  double *spare = lsb_new_scratch(L, "bootstrap", count * sizeof *spare);
  if (!isfinite(estimate)) return lsb_fail(L, "bootstrap", "the statistic is %g, a finite number is required", estimate);
  ls_bootstrap_interval(count, replicates, spare, estimate, n, jackknife, level, method, &r);
  lua_pushnumber(L, r.low);
  lua_pushnumber(L, r.high);
  lua_pushnumber(L, r.error);
  return 3;
}

/* wilcoxon(differences, zero_method, alternative): a table. */
static int wilcoxon(lua_State *L) {
  size_t n;
  ls_wilcoxon w;
  ls_err err;
  lua_settop(L, 3);
  double *x = lsb_check_doubles(L, 1, "wilcoxon", "differences", 1, &n);
  ls_zero_method zeros = (ls_zero_method)check_choice(L, 2, "wilcoxon", "zero_method", zero_methods);
  ls_alternative alternative = (ls_alternative)check_choice(L, 3, "wilcoxon", "alternative", alternatives);
  void *scratch = lsb_new_scratch(L, "wilcoxon", ls_wilcoxon_scratch(n));
  if (ls_wilcoxon_test(n, x, zeros, alternative, scratch, &w, &err) != LS_OK) return lsb_raise(L, "wilcoxon", &err);
  const lsb_field fields[] = {{"p", w.p}, {"positive", w.positive}, {"negative", w.negative}, {"statistic", fmin(w.positive, w.negative)}, {"z", w.z}, {"rank_biserial", w.rank_biserial}};
  LSB_PUSH_FIELDS(L, fields);
  lua_pushinteger(L, w.used);
  lua_setfield(L, -2, "used");
  lua_pushboolean(L, w.exact);
  lua_setfield(L, -2, "exact");
  return 1;
}

static int64_t check_count(lua_State *L, int index, const char *name, const char *argument) {
  int exact = 0;
  lua_Integer value = lua_type(L, index) == LUA_TNUMBER ? lua_tointegerx(L, index, &exact) : 0;
  if (!exact) lsb_type_error(L, index, name, argument, "an integer");
  if (value < 0 || value > (lua_Integer)1 << 40) lsb_fail(L, name, "%s is %lld, allowed is 0 to 2^40", argument, (long long)value);
  return value;
}

static int64_t check_successes(lua_State *L, const char *name, int64_t *n) {
  int64_t k = check_count(L, 1, name, "k");
  *n = check_count(L, 2, name, "n");
  if (*n < 1 || k > *n) lsb_fail(L, name, "k is %lld of n = %lld, allowed is 0 to n, and n at least 1", (long long)k, (long long)*n);
  return k;
}

/* mcnemar(only_a, only_b): exact p, mid-p. */
static int mcnemar(lua_State *L) {
  double exact, mid;
  ls_mcnemar(check_count(L, 1, "mcnemar", "only_a"), check_count(L, 2, "mcnemar", "only_b"), &exact, &mid);
  lua_pushnumber(L, exact);
  lua_pushnumber(L, mid);
  return 2;
}

/* binomial_test(k, n, p, alternative) */
static int binomial_test(lua_State *L) {
  int64_t n, k = check_successes(L, "binomial_test", &n);
  double p = lsb_check_number(L, 3, "binomial_test", "p");
  if (!(p >= 0.0 && p <= 1.0)) return lsb_fail(L, "binomial_test", "p is %g, allowed is 0 to 1", p);
  lua_pushnumber(L, ls_binomial_test(k, n, p, (ls_alternative)check_choice(L, 4, "binomial_test", "alternative", alternatives)));
  return 1;
}

/* proportion_interval(k, n, level, method): low, high. */
static int proportion_interval(lua_State *L) {
  double low, high, level = check_share(L, 3, "proportion_interval", "level");
  int64_t n, k = check_successes(L, "proportion_interval", &n);
  ls_proportion_interval(k, n, level, (ls_proportion_method)check_choice(L, 4, "proportion_interval", "method", proportions), &low, &high);
  lua_pushnumber(L, low);
  lua_pushnumber(L, high);
  return 2;
}

/* effect_size(differences): paired d, probability of superiority. */
static int effect_size(lua_State *L) {
  size_t n;
  ls_effect e;
  double *x = lsb_check_doubles(L, 1, "effect_size", "differences", 2, &n);
  ls_effect_size(n, x, &e);
  lua_pushnumber(L, e.d);
  lua_pushnumber(L, e.superiority);
  return 2;
}

static double *check_p_values(lua_State *L, const char *name, size_t *n) {
  double *p = lsb_check_doubles(L, 1, name, "p", 0, n);
  for (size_t i = 0; i < *n; i++)
    if (p[i] < 0.0 || p[i] > 1.0) lsb_fail(L, name, "p[%zu] is %g, allowed is 0 to 1", i + 1, p[i]);
  return p;
}

static int holm(lua_State *L) {
  size_t n;
  double *p = check_p_values(L, "holm", &n);
  size_t *order = lsb_new_scratch(L, "holm", (2 * n + 1) * sizeof *order);
  ls_holm(n, p, order);
  lsb_push_doubles(L, p, n);
  return 1;
}

static int benjamini_hochberg(lua_State *L) {
  size_t n;
  double *p = check_p_values(L, "benjamini_hochberg", &n);
  size_t *scratch = lsb_new_scratch(L, "benjamini_hochberg", (2 * n + 1) * sizeof *scratch);
  ls_benjamini_hochberg(n, p, scratch);
  lsb_push_doubles(L, p, n);
  return 1;
}

int lsb_open_statistics(lua_State *L) {
  static const luaL_Reg functions[] = {{"bootstrap", bootstrap}, {"bootstrap_interval", bootstrap_interval}, {"wilcoxon", wilcoxon}, {"mcnemar", mcnemar},
                                       {"binomial_test", binomial_test}, {"proportion_interval", proportion_interval}, {"effect_size", effect_size},
                                       {"holm", holm}, {"benjamini_hochberg", benjamini_hochberg}, {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}
