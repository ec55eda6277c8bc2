/* What the files of the schemes share. SPDX-License-Identifier: MIT */
#ifndef LS_TARGET_SCHEMES_H
#define LS_TARGET_SCHEMES_H

#include <lsengine/scheme.h>

#include <math.h>

#define LS_COUNT(list) (int32_t)(sizeof(list) / sizeof(list)[0])

/* A matrix parameter that has one row and one column for each class, of finite numbers. */
ls_status ls_check_class_matrix(const ls_cmat *m, const char *what, int32_t classes, ls_err *err);

extern const ls_scheme ls_scheme_annealed, ls_scheme_binomial, ls_scheme_confusion, ls_scheme_disturb, ls_scheme_hierarchy, ls_scheme_matrix,
    ls_scheme_online, ls_scheme_prior, ls_scheme_self_distillation, ls_scheme_similarity, ls_scheme_sord, ls_scheme_structural, ls_scheme_triangular,
    ls_scheme_uniform, ls_scheme_wrong_classes;

#endif
