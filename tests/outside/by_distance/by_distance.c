/* Mass by distance from the label, for ordered classes, in C: a distribution for each class. Written from the manual and the installed headers alone. */
#include <lsengine/target.h>

#include <math.h>

static const ls_parameter parameters[] = {
    {"epsilon", "number", 0.1, 0, 1, false, false, "mass that leaves the label"},
    {"reach", "number", 1, 0, INFINITY, true, false, "classes over which it falls to 1/e"},
};

static ls_status check(const ls_scheme_call *c, ls_err *err) {
  if (c->classes < 2) return ls_fail(err, LS_ERANGE, "there is %d class, at least 2 are required", c->classes);
  return LS_OK;
}

static ls_status row(const ls_scheme_call *c, int32_t y, double *q, ls_err *err) {
  double sum = 0;
  (void)err;
  for (int32_t k = 0; k < c->classes; k++) sum += q[k] = k == y ? 0 : exp(-fabs((double)(k - y)) / c->numbers[1]);
  for (int32_t k = 0; k < c->classes; k++) q[k] /= sum;
  return LS_OK;
}

static const ls_scheme scheme = {
    .abi = LS_SCHEME_ABI,
    .form = LS_FORM_ROW,
    .promises = LS_ONE_HOT_AT_ZERO,
    .check = check,
    .row = row,
    .entry = {.name = "by_distance", .title = "By distance", .parameters = parameters, .parameter_count = 2}};

/* The same struct of another time: it must be refused. */
static ls_scheme stale;

__attribute__((visibility("default"))) int luaopen_by_distance(struct lua_State *L);
int luaopen_by_distance(struct lua_State *L) { return ls_register_scheme(L, &scheme); }

__attribute__((visibility("default"))) int luaopen_by_distance_stale(struct lua_State *L);
int luaopen_by_distance_stale(struct lua_State *L) {
  stale = scheme;
  stale.abi = LS_SCHEME_ABI + 1;
  return ls_register_scheme(L, &stale);
}
