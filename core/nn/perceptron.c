/* Loss and gradients of a multilayer perceptron in one call. SPDX-License-Identifier: MIT
 *
 * scratch: the results of all layers, each (rows, outputs); two gradients of the widest, which take turns; scratch of the loss. */
#include <lsengine/perceptron.h>
#include <lsengine/tensor.h>

static size_t aligned(size_t floats) { return (floats + 15) / 16 * 16; }

static size_t widest(int32_t layers, const ls_dense *layer, int32_t rows) {
  int32_t most = 0;
  for (int32_t i = 0; i < layers; i++) most = layer[i].outputs > most ? layer[i].outputs : most;
  return aligned((size_t)most * (size_t)rows);
}

static size_t results(int32_t layers, const ls_dense *layer, int32_t rows) {
  size_t floats = 0;
  for (int32_t i = 0; i < layers; i++) floats += aligned((size_t)layer[i].outputs * (size_t)rows);
  return floats;
}

size_t ls_perceptron_scratch(int32_t layers, const ls_dense *layer, const ls_target *t, int32_t rows) {
  return (results(layers, layer, rows) + 2 * widest(layers, layer, rows)) * sizeof(float) + ls_cross_entropy_scratch(t, rows, layer[layers - 1].outputs);
}

static ls_view view_of(float *data, int32_t rows, int32_t cols) { return ls_view_of(data, 2, (int32_t[]){rows, cols}); }

/* The bias is added as a recorded layer adds it: together with ReLU, where one follows (then 0 where there is none). */
static ls_status forward(const ls_dense *l, ls_cmat x, float *y, ls_err *err) {
  float nothing = 0.0f;
  ls_status status = ls_matmul(false, true, x, (ls_cmat){l->weight, l->outputs, l->inputs, l->inputs}, false, (ls_mat){y, x.rows, l->outputs, l->outputs}, err);
  if (status != LS_OK || (l->bias == NULL && !l->relu)) return status;
  ls_view out = view_of(y, x.rows, l->outputs), bias = l->bias == NULL ? ls_view_of(&nothing, 0, NULL) : ls_view_of((float *)l->bias, 1, &l->outputs);
  bias = ls_view_expand(&bias, &out);
  ls_binary_apply(l->relu ? LS_BINARY_ADD_RELU : LS_BINARY_ADD, &out, &bias, &out);
  return LS_OK;
}

/* From the gradient g of the result y: those of weights and bias, and that of the input in dx, unless it is NULL. */
static ls_status backward(const ls_dense *l, ls_cmat x, float *y, float *g, float *dx, ls_err *err) {
  ls_view gradient = view_of(g, x.rows, l->outputs), out = view_of(y, x.rows, l->outputs);
  ls_cmat by_row = {g, x.rows, l->outputs, l->outputs};
  if (l->relu) ls_binary_apply(LS_BINARY_RELU_BACK, &gradient, &out, &gradient);
  ls_status status = LS_OK;
  if (dx != NULL) status = ls_matmul(false, false, by_row, (ls_cmat){l->weight, l->outputs, l->inputs, l->inputs}, false, (ls_mat){dx, x.rows, l->inputs, l->inputs}, err);
  if (status == LS_OK) status = ls_matmul(true, false, by_row, x, false, (ls_mat){l->weight_gradient, l->outputs, l->inputs, l->inputs}, err);
  if (status != LS_OK || l->bias == NULL) return status;
  ls_view sums = view_of(l->bias_gradient, 1, l->outputs);
  ls_reduce_axis(LS_REDUCE_SUM, &gradient, 0, &sums, NULL);
  return LS_OK;
}

static ls_cmat input_of(int32_t i, ls_cmat x, const ls_dense *layer, const float *before) {
  return i == 0 ? x : (ls_cmat){before, x.rows, layer[i].inputs, layer[i].inputs};
}

ls_status ls_perceptron_gradients(ls_cmat x, int32_t layers, const ls_dense *layer, const ls_target *t, const ls_cross_entropy_options *o, void *scratch,
                                  ls_cross_entropy_result *result, ls_err *err) {
  float *y = scratch, *last = NULL, *g = y + results(layers, layer, x.rows), *dx = g + widest(layers, layer, x.rows), *rest = dx + widest(layers, layer, x.rows);
  ls_status status = LS_OK;
  for (int32_t i = 0; i < layers && status == LS_OK; i++) {
    const ls_dense *l = &layer[i];
    int32_t width = i == 0 ? x.cols : layer[i - 1].outputs;
    if (l->inputs != width) return ls_fail(err, LS_ESHAPE, "layer %d takes %d features, there are %d", i + 1, l->inputs, width);
    status = forward(l, input_of(i, x, layer, last), y, err);
    last = y;
    y += aligned((size_t)x.rows * (size_t)l->outputs);
  }
  if (status != LS_OK) return status;
  const ls_dense *top = &layer[layers - 1];
  ls_mat grad = {g, x.rows, top->outputs, top->outputs};
  status = ls_cross_entropy((ls_cmat){last, x.rows, top->outputs, top->outputs}, t, o, rest, result, &grad, NULL, err);
  for (int32_t i = layers - 1; i >= 0 && status == LS_OK; i--) {
    float *before = i == 0 ? NULL : last - aligned((size_t)x.rows * (size_t)layer[i - 1].outputs);
    status = backward(&layer[i], input_of(i, x, layer, before), last, g, i == 0 ? NULL : dx, err);
    float *swap = g;
    g = dx;
    dx = swap;
    last = before;
  }
  return status;
}
