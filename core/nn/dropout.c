/* Dropout by hashing the place of each element. SPDX-License-Identifier: MIT */
#include <lsengine/nn.h>
#include <lsengine/pool.h>

#include <assert.h>

enum { BLOCK = 32768 };

typedef struct dropout_job {
  uint64_t key, threshold;
  float scale;
  size_t n;
  const float *x;
  float *out;
} dropout_job;

static uint64_t mix(uint64_t z) {
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return z ^ z >> 31;
}

static void dropout_block(void *argument, size_t block) {
  const dropout_job *j = argument;
  size_t i = block * BLOCK, end = i + BLOCK < j->n ? i + BLOCK : j->n;
  for (; i < end; i++) {
    uint64_t hash = mix(j->key + (i + 1) * 0x9e3779b97f4a7c15u) >> 11;
    j->out[i] = hash < j->threshold ? 0.0f : j->x[i] * j->scale;
  }
}

void ls_dropout(uint64_t key, double p, size_t n, const float *x, float *out) {
  assert(p >= 0.0 && p < 1.0);
  dropout_job job = {mix(key), (uint64_t)(p * 0x1p53), (float)(1.0 / (1.0 - p)), n, x, out};
  ls_parallel(LS_SITE_DROPOUT, (n + BLOCK - 1) / BLOCK, dropout_block, &job);
}
