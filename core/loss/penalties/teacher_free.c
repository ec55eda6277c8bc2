/* Teacher-free distillation (TF-KD reg). SPDX-License-Identifier: MIT
 *
 * The paper softens teacher and student by T, without a factor T^2; the code takes softmax of the PROBABILITIES v/T for the teacher, leaves the student at 1, and takes
 * PyTorch's mean over rows and classes times a multiplier. Masked classes get no part of the teacher. Sums of exponents of z/T by their maximum. */
#include "core/loss/penalties/penalties.h"

static const ls_parameter parameters[] = {
    {"alpha", "number", 0.1, 0, 1, false, false,
     "share of the teacher"},
    {"temperature", "number", 20, 0, INFINITY, true, false,
     "T"},
    {"correct", "number", 0.99, 0, 1, true, true,
     "mass of the teacher on the label"},
    {"code", "boolean", 0, 0, 1, false, false,
     "the form of the authors' code instead of the paper's wording"},
    {"multiplier", "number", 100, 0, INFINITY, false, false,
     "of the code's form, beside its mean over classes"},
};
enum { ALPHA, TEMPERATURE, CORRECT, CODE, MULTIPLIER };

static double value(const ls_penalty_row *r) {
  const double *o = r->parameters;
  bool code = o[CODE] != 0.0;
  int32_t others = r->left - 1;
  double temperature = o[TEMPERATURE], student_t = code ? 1.0 : temperature;
  double wrong = others > 0 ? (1.0 - o[CORRECT]) / others : 0.0; /* log v_wrong - log v_right, softened; the teacher by it */
  double gap = others == 0 ? 0.0 : code ? (wrong - o[CORRECT]) / temperature : (log(wrong) - log(o[CORRECT])) / temperature;
  double high = gap > 0.0 ? gap : 0.0, log_total = high + log(exp(-high) + others * exp(gap - high));
  double by = o[ALPHA] * (code ? o[MULTIPLIER] / r->left : 1.0), keep = 1.0 - o[ALPHA], divergence = 0.0;
  for (int32_t k = 0; k < r->classes; k++) r->work[k] = (r->z[k] - r->max) / student_t;
  ls_exponentials(r->classes, r->work);
  double sum = ls_sum(r->classes, r->work), log_sum = log(sum), right = exp(-log_total), other = exp(gap - log_total);
  for (int32_t k = 0; k < r->classes; k++) {
    if (ls_is_masked(r, k)) continue;
    double log_v = (k == r->label ? 0.0 : gap) - log_total, log_s = (r->z[k] - r->max) / student_t - log_sum, v = k == r->label ? right : other;
    divergence += v * (log_v - log_s);
    if (r->gradient != NULL) r->gradient[k] = keep * (r->p[k] - (k == r->label ? 1.0 : 0.0)) + by / student_t * (r->work[k] / sum - v);
  }
  return keep * ls_softplus(ls_log_odds_against(r, r->label)) + by * divergence;
}

const ls_penalty ls_penalty_teacher_free = {
    .entry = {.name = "teacher_free",
              .title = "Teacher-free distillation (TF-KD reg)",
              .paper = "Yuan et al. 2020, Revisiting knowledge distillation via label smoothing regularization, "
              "arXiv:1909.11723",
              .formula = "(1 - alpha) CE(y, p) + alpha KL(v_T || softmax(z/T)),   v = correct on y, (1 - correct)/(K - 1) "
              "elsewhere, v_T = v^(1/T) normalised;   with code = true: (1 - alpha) CE(y, p) + alpha multiplier/K "
              "KL(softmax(v/T) || p)",
              .property = "A teacher that is always right and knows nothing else. With T = 1 it is label smoothing up to a "
              "constant. The code's form takes v for logits: its teacher is nearly uniform (K = 100, T = 20: .0105 "
              "on y).",
              .use = "Where distillation is wanted without a teacher; to compare with label smoothing.",
              .avoid = "Mixing up the two forms: their alpha and T mean different things.",
              .stacking = "Softened and mixed targets: the teacher is made from one label. It is a smoothing: another one beside "
              "it stacks.",
              .example = "local loss = ls.loss.teacher_free{ alpha = 0.1, temperature = 20 }\nprint(loss(logits, labels))",
              .parameters = parameters,
              .parameter_count = LS_COUNT(parameters)},
    .target = LS_PENALTY_LABEL,
    .refusal = "the virtual teacher is made from a label; give labels, or use ls.target schemes with the "
              "cross-entropy",
    .works = 1,
    .row = value,
};
