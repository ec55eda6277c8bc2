/* What recording and the way back share. SPDX-License-Identifier: MIT
 *
 * The node of a recorded tensor is in its user values, nil once it is freed: LSB_NODE, a table of the inputs from 1 to t->inputs; LSB_OPERATION, a table that is
 * an array, too; LSB_SAVED, the value that forward wants to be kept. */
#ifndef LSB_AUTOGRAD_H
#define LSB_AUTOGRAD_H

#include "bindings/lsb.h"

enum { LSB_OP_BACKWARD = 1, LSB_OP_FOREIGN, LSB_OP_NAME };

typedef struct lsb_recorder {
  bool recording;
  uint64_t walks;     /* of backward, so far */
  lua_Integer opaque; /* nodes of this one that are left, besides the one in hand, and of which nobody knows what they read */
} lsb_recorder;

lsb_recorder *lsb_recorder_of(lua_State *L);

static inline bool lsb_tracked(const lsb_tensor *t) { return t->requires_grad || t->recorded; }

/* A leaf worth the thought of taking it early. */
enum { LSB_LARGE = 65536 };
static inline bool lsb_is_large_leaf(const lsb_tensor *t) { return t->requires_grad && !t->recorded && ls_view_count(&t->view) >= LSB_LARGE; }

/* backward.c: backward(root, gradient, retain, [take]), a closure of add, add_, clone (tensors) and tidy. take(leaf, [g, x]), where given, is called for each large leaf
 * as soon as its gradient is complete and nothing is left that reads the leaf: it may be written to. With g and x the gradient is their product gᵀ·x, which was not
 * made (takes_product); it is what take returns where it wants it to be gathered. */
int lsb_backward(lua_State *L);

/* The tensor at index (not from the top) has no gradient any more; its memory stays for the next one where nobody else can hold it. */
void lsb_forget_grad(lua_State *L, int index);

/* The sum of the versions of the storage of t, of its inputs (a table at `node`) and of the kept value (at `saved`). */
uint64_t lsb_versions(lua_State *L, const lsb_tensor *t, int node, int saved);

#endif
