/* Initialisations by name, and learning-rate schedules. SPDX-License-Identifier: MIT
 *
 * he: He et al. 2015 (gain sqrt 2, fan in); xavier: Glorot & Bengio 2010 (mean of the fans); lecun: LeCun et al. 1998 (gain 1);
 * torch: PyTorch's default of linear layers, uniform on ±1/sqrt(fan_in), which is a variance of 1/(3 fan_in). */
#include <lsengine/nn.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

const ls_initialisation ls_initialisations[] = {
    {"torch", false, 0.57735026918962576, 'i'},    {"he_normal", true, 1.4142135623730951, 'i'},
    {"he_uniform", false, 1.4142135623730951, 'i'}, {"xavier_normal", true, 1.0, 'a'},
    {"xavier_uniform", false, 1.0, 'a'},            {"lecun_normal", true, 1.0, 'i'},
    {"lecun_uniform", false, 1.0, 'i'},             {"zeros", true, 0.0, 'z'},
    {NULL, false, 0.0, 0}};

ls_status ls_initialise(const char *name, int32_t fan_in, int32_t fan_out, ls_rng *r, size_t n, float *w, ls_err *err) {
  const ls_initialisation *i = ls_initialisations;
  while (i->name != NULL && strcmp(i->name, name) != 0) i++;
  if (i->name == NULL) {
    char known[256] = "";
    for (i = ls_initialisations; i->name != NULL; i++) {
      size_t used = strlen(known);
      snprintf(known + used, sizeof known - used, "%s%s", used == 0 ? "" : ", ", i->name);
    }
    return ls_fail(err, LS_ERANGE, "initialisation is \"%.40s\", allowed are %s", name, known);
  }
  double fan = i->fan == 'a' ? 0.5 * ((double)fan_in + fan_out) : fan_in < 1 ? 1.0 : fan_in;
  double deviation = i->gain / sqrt(fan), bound = sqrt(3.0) * deviation;
  if (i->fan == 'z')
    memset(w, 0, n * sizeof *w);
  else if (i->normal)
    ls_rng_fill_normal(r, n, w, 0.0, deviation);
  else
    ls_rng_fill_uniform(r, n, w, -bound, bound);
  return LS_OK;
}

double ls_schedule_at(const ls_schedule *s, double time, double total) {
  if (time < s->warmup) return time / s->warmup;
  double rest = total - s->warmup, share = rest > 0.0 ? (time - s->warmup) / rest : 1.0;
  if (share > 1.0) share = 1.0;
  if (s->kind == LS_SCHEDULE_COSINE) return s->minimum + (1.0 - s->minimum) * 0.5 * (1.0 + cos(3.14159265358979323846 * share));
  if (s->kind == LS_SCHEDULE_STEP) return pow(s->factor, floor((time - s->warmup) / s->every + 1e-9));
  return 1.0;
}
