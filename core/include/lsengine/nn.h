/* What training needs beside tensors: optimizer steps, dropout, initialisation, schedules. SPDX-License-Identifier: MIT */
#ifndef LSENGINE_NN_H
#define LSENGINE_NN_H

#include <lsengine/random.h>
#include <lsengine/view.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- optimizer steps, PyTorch's formulas, on n contiguous weights; arrays must not overlap; O(n) ---- */

typedef struct ls_sgd_options {
  double lr, momentum, weight_decay; /* lr >= 0, 0 <= momentum < 1, weight_decay >= 0 */
  bool nesterov;                     /* needs momentum above 0 */
} ls_sgd_options;

typedef struct ls_adam_options {
  double lr, beta1, beta2, eps, weight_decay; /* 0 <= beta < 1, eps > 0 */
  bool decoupled;                             /* AdamW (Loshchilov & Hutter 2019): w is shrunk by lr·weight_decay, g left alone */
} ls_adam_options;

/* LS_ERANGE names the option, what it is and what is allowed. */
ls_status ls_sgd_check(const ls_sgd_options *o, ls_err *err);
ls_status ls_adam_check(const ls_adam_options *o, ls_err *err);

/* d = g + weight_decay·w; velocity = momentum·velocity + d (d at the first step, 1); w -= lr·velocity, with Nesterov
 * lr·(d + momentum·velocity). velocity is NULL where momentum is 0. */
void ls_sgd_step(const ls_sgd_options *o, int64_t step, size_t n, float *w, const float *g, float *velocity);

/* m += (1-beta1)(d-m); v = beta2·v + (1-beta2)d²; w -= lr/(1-beta1^step) · m / (sqrt(v)/sqrt(1-beta2^step) + eps). Steps from 1,
 * m and v zero before the first (Kingma & Ba 2015). */
void ls_adam_step(const ls_adam_options *o, int64_t step, size_t n, float *w, const float *g, float *m, float *v);

/* The same with the gradient gᵀ·x of weights (g.cols, x.cols), of which `each` numbers (a row of it at least) lie in memory at once for each thread of the pool: threads
 * share out the rows. memory: threads · each. The bits are those of the whole gradient. Without FMA they are those of OpenBLAS's products. */
void ls_sgd_step_product(const ls_sgd_options *o, int64_t step, ls_cmat g, ls_cmat x, float *memory, size_t each, float *w, float *velocity);
void ls_adam_step_product(const ls_adam_options *o, int64_t step, ls_cmat g, ls_cmat x, float *memory, size_t each, float *w, float *m, float *v);

/* Sum of squares: 512 numbers at a time in 16 float lanes, these in double, over blocks of 32768 in order. Relative error at most 2e-6,
 * of random numbers about 1e-9; the same bits for any number of threads. */
double ls_sum_of_squares(size_t n, const float *x);

/* x *= by */
void ls_scale(size_t n, float by, float *x);

/* ---- dropout (Srivastava et al. 2014) ---- */

/* out[i] = x[i]/(1-p), or 0 with probability p, decided by a hash of (key, i): the same call on a gradient is its backward.
 * 0 <= p < 1 (asserted); out may be x. The hash is SplitMix64's finalizer (Steele, Lea & Flood 2014). */
void ls_dropout(uint64_t key, double p, size_t n, const float *x, float *out);

/* ---- initialisation ---- */

typedef struct ls_initialisation {
  const char *name;
  bool normal;  /* else uniform on ± bound */
  double gain;  /* variance = gain² / fan */
  char fan;     /* 'i' fan_in, 'a' mean of fan_in and fan_out; of zeros 'z' */
} ls_initialisation;

/* The table, ended by a NULL name. */
extern const ls_initialisation ls_initialisations[];

/* Fills w (n elements of a layer with the given fans). LS_ERANGE for an unknown name lists the known ones. */
ls_status ls_initialise(const char *name, int32_t fan_in, int32_t fan_out, ls_rng *r, size_t n, float *w, ls_err *err);

/* ---- learning-rate schedules: the factor on lr at a time ---- */

typedef enum ls_schedule_kind { LS_SCHEDULE_CONSTANT, LS_SCHEDULE_COSINE, LS_SCHEDULE_STEP } ls_schedule_kind;

typedef struct ls_schedule {
  ls_schedule_kind kind;
  double warmup;  /* time over which the factor rises linearly from 0 to 1, in front of the rest */
  double minimum; /* cosine: the factor at the end, 0 … 1 */
  double every, factor; /* step: multiplied by factor after each `every` */
} ls_schedule;

/* time and total in the same unit (epochs, fractions allowed), 0 <= time <= total. Cosine (Loshchilov & Hutter 2017):
 * min + (1-min)(1 + cos(pi·s))/2, s the share of the time after warm-up. */
double ls_schedule_at(const ls_schedule *s, double time, double total);

#ifdef __cplusplus
}
#endif
#endif
