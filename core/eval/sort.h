/* Stable merge sorts that allocate nothing. SPDX-License-Identifier: MIT */
#ifndef LS_EVAL_SORT_H
#define LS_EVAL_SORT_H

#include <stddef.h>
#include <stdint.h>

/* n values in rising order, in x or in spare (n): which, is returned. O(n log n). */
int64_t *ls_sort_integers(size_t n, int64_t *x, int64_t *spare);
double *ls_sort_doubles(size_t n, double *x, double *spare);

/* The order of n keys: order[0] is the place of the least, equal ones as they come. Returned: order or spare (n). */
size_t *ls_sort_places(size_t n, const double *key, size_t *order, size_t *spare);

#endif
