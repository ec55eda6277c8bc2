/* PCG64-DXSM and its seeding. SPDX-License-Identifier: MIT
 *
 * Seeding: 32-bit words of entropy are hashed into a pool of four words; the pool is hashed into the generator's 128-bit
 * state and stream (O'Neill 2015, "Developing a seed_seq alternative"; NumPy's SeedSequence fixes the constants and word order).
 * A spawned stream's entropy is its parent's pool, the length and bytes of the name, and the count. */
#include <lsengine/random.h>

__extension__ typedef unsigned __int128 u128;

#define CHEAP_MULTIPLIER 0xda942042e4dd58b5u

typedef struct mixer {
  uint32_t pool[4], constant, first[4];
  int words;
} mixer;

static uint32_t hash_word(mixer *m, uint32_t value) {
  value ^= m->constant;
  m->constant *= 0x931e8875u;
  value *= m->constant;
  return value ^ value >> 16;
}

static uint32_t mix_words(uint32_t x, uint32_t y) {
  uint32_t result = 0xca01f9ddu * x - 0x4973f715u * y;
  return result ^ result >> 16;
}

static void start_pool(mixer *m) {
  for (int i = 0; i < 4; i++) m->pool[i] = hash_word(m, i < m->words ? m->first[i] : 0);
  for (int from = 0; from < 4; from++)
    for (int to = 0; to < 4; to++)
      if (from != to) m->pool[to] = mix_words(m->pool[to], hash_word(m, m->pool[from]));
}

/* Takes words one by one: the first four make the pool, the others are mixed into it. */
static void add_word(mixer *m, uint32_t word) {
  if (m->words < 4) {
    m->first[m->words++] = word;
    if (m->words == 4) start_pool(m);
    return;
  }
  for (int to = 0; to < 4; to++) m->pool[to] = mix_words(m->pool[to], hash_word(m, word));
}

static u128 state_of(const ls_rng *r) { return (u128)r->state_high << 64 | r->state_low; }
static u128 increment_of(const ls_rng *r) { return (u128)r->increment_high << 64 | r->increment_low; }

static void set_state(ls_rng *r, u128 state) {
  r->state_high = (uint64_t)(state >> 64);
  r->state_low = (uint64_t)state;
}

static void seed_from_pool(ls_rng *r, const mixer *m) {
  const u128 multiplier = (u128)2549297995355413924u << 64 | 4865540595714422341u;
  uint32_t constant = 0x8b51f9ddu;
  uint64_t words[4];
  for (int i = 0; i < 8; i++) {
    uint32_t value = m->pool[i % 4] ^ constant;
    constant *= 0x58f38dedu;
    value *= constant;
    value ^= value >> 16;
    words[i / 2] = i % 2 == 0 ? value : words[i / 2] | (uint64_t)value << 32;
  }
  u128 start = (u128)words[0] << 64 | words[1], stream = (u128)words[2] << 64 | words[3];
  u128 increment = stream << 1 | 1, state = increment + start;
  state = state * multiplier + increment;
  r->increment_high = (uint64_t)(increment >> 64);
  r->increment_low = (uint64_t)increment;
  set_state(r, state);
  for (int i = 0; i < 4; i++) r->key[i] = m->pool[i];
}

void ls_rng_seed(ls_rng *r, uint64_t seed) {
  mixer m = {.constant = 0x43b0d7e5u};
  m.first[0] = (uint32_t)seed;
  m.first[1] = (uint32_t)(seed >> 32);
  m.words = m.first[1] != 0 ? 2 : 1;
  start_pool(&m);
  seed_from_pool(r, &m);
}

void ls_rng_spawn(const ls_rng *parent, const char *name, size_t length, uint64_t count, ls_rng *child) {
  mixer m = {.constant = 0x43b0d7e5u};
  for (int i = 0; i < 4; i++) add_word(&m, parent->key[i]);
  add_word(&m, (uint32_t)length);
  add_word(&m, (uint32_t)((uint64_t)length >> 32));
  for (size_t i = 0; i < length; i += 4) {
    uint32_t word = 0;
    for (size_t b = 0; b < 4 && i + b < length; b++) word |= (uint32_t)(unsigned char)name[i + b] << 8 * b;
    add_word(&m, word);
  }
  add_word(&m, (uint32_t)count);
  add_word(&m, (uint32_t)(count >> 32));
  seed_from_pool(child, &m);
}

uint64_t ls_rng_next(ls_rng *r) {
  uint64_t high = r->state_high, low = r->state_low | 1;
  set_state(r, state_of(r) * CHEAP_MULTIPLIER + increment_of(r));
  high ^= high >> 32;
  high *= CHEAP_MULTIPLIER;
  high ^= high >> 48;
  return high * low;
}
