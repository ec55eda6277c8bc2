/* The reader of NPZ archives, for libFuzzer: SPDX-License-Identifier: MIT
 *   b=bindings; clang -O1 -g -D_GNU_SOURCE -DLSB_ZIP_FOLDER='""' -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined -Icore/include -I. $(pkg-config --cflags lua5.4)
 *     tests/fuzz/archives.c $b/autograd.c $b/backward.c $b/checkpoint.c $b/error.c $b/files.c $b/labels.c $b/memory.c $b/resource.c $b/tensor.c $b/tensor_make.c $b/tensor_shape.c
 *     $b/tensor_arithmetic.c $b/zip_library.c core/data/array.c core/data/npy.c core/base/view.c core/base/status.c build/core/liblsengine.a $(pkg-config --libs lua5.4 libzip) -lz -lm -o archives
 *   ./archives -max_len=1024 -runs=10000000 -seed=1 CORPUS
 *
 * The archive is taken from memory. A new Lua state every 1000 inputs; every error is a Lua error, all else a defect. Bits of the first byte: 1, a checkpoint,
 * else arrays; 2, the bytes are the entries of an archive that is made here. Checksums would hide what lies behind them: of an archive given as it is, each
 * entry that is stored gets the right one where the second byte is even. The best of what was found is in corpus-archives, replayed by every test run. */
#include "bindings/archive.c"

#include <stdlib.h>
#include <zlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static lua_State *state;
static int given;

bool lsb_interrupted(void) { return false; }

static const uint8_t *input;
static size_t input_size;
static bool as_checkpoint;

static int load_input(lua_State *L) {
  zip_error_t error;
  handle *h = new_handle(L, "load");
  zip_error_init(&error);
  zip_source_t *source = zip_source_buffer_create(input, input_size, 0, &error);
  if (source == NULL) return luaL_error(L, "no source");
  h->zip = zip_open_from_source(source, ZIP_RDONLY | ZIP_CHECKCONS, &error);
  zip_error_fini(&error);
  if (h->zip == NULL) {
    zip_source_free(source);
    return luaL_error(L, "not an archive");
  }
  return load_entries(L, "load", "fuzz.npz", h, as_checkpoint, NULL);
}

static uint32_t number_at(const uint8_t *b, int bytes) {
  uint32_t x = 0;
  for (int i = bytes - 1; i >= 0; i--) x = x << 8 | b[i];
  return x;
}

/* Right checksums for entries that are stored. */
static void mend(uint8_t *b, size_t size) {
  for (size_t i = 0; i + 46 <= size; i++) {
    if (memcmp(b + i, "PK\1\2", 4) != 0) continue;
    size_t local = number_at(b + i + 42, 4), length = number_at(b + i + 20, 4);
    if (number_at(b + i + 10, 2) != 0 || local > size || size - local < 30) continue;
    size_t begin = local + 30 + number_at(b + local + 26, 2) + number_at(b + local + 28, 2);
    if (begin > size || size - begin < length) continue;
    uint32_t sum = (uint32_t)crc32(0, b + begin, (unsigned)length);
    for (int k = 0; k < 4; k++) b[local + 14 + (size_t)k] = b[i + 16 + (size_t)k] = (uint8_t)(sum >> 8 * k);
  }
}

/* ---- an archive around the bytes of entries ---- */

enum { MOST_ENTRIES = 4, ENTRY_OVERHEAD = 256 };

typedef struct packer {
  uint8_t *bytes, *directory;
  size_t size, directory_size;
  unsigned entries;
} packer;

static uint8_t *put(uint8_t *b, uint32_t x, int bytes) {
  for (int i = 0; i < bytes; i++) *b++ = (uint8_t)(x >> 8 * i);
  return b;
}

/* What the local header and the directory have in common: 26 bytes. */
static uint8_t *put_entry(uint8_t *b, int method, uint32_t sum, uint32_t packed, uint32_t size, uint32_t name) {
  b = put(put(put(b, 20, 2), 0, 2), (uint32_t)method, 2);
  b = put(put(b, 0x21u << 16, 4), sum, 4);
  return put(put(put(put(b, packed, 4), size, 4), name, 2), 0, 2);
}

/* Stored, or as one stored block of deflate; `lie` is added to the size that is promised. */
static void pack(packer *p, const char *name, const uint8_t *data, uint32_t size, bool deflate, uint32_t lie) {
  uint32_t sum = (uint32_t)crc32(0, data, size), packed = size + 5 * deflate, at = (uint32_t)p->size, length = (uint32_t)strlen(name);
  uint8_t *b = put(p->bytes + p->size, 0x04034b50, 4), *d = put(p->directory + p->directory_size, 0x02014b50, 4);
  b = put_entry(b, 8 * deflate, sum, packed, size + lie, length);
  memcpy(b, name, length);
  b += length;
  if (deflate) b = put(put(put(b, 1, 1), size, 2), ~size, 2);
  memcpy(b, data, size);
  p->size = (size_t)(b + size - p->bytes);
  d = put_entry(put(d, 20, 2), 8 * deflate, sum, packed, size + lie, length);
  d = put(put(put(put(d, 0, 4), 0, 2), 0, 4), at, 4);
  memcpy(d, name, length);
  p->directory_size = (size_t)(d + length - p->directory);
  p->entries++;
}

/* An entry: how (1, deflated; 2, its size is a lie; 4, another name), two bytes of length, as many bytes or what there is. A checkpoint's checksum follows where
 * the second byte is even. `out` has room for size + MOST_ENTRIES * ENTRY_OVERHEAD bytes twice. */
static size_t build(const uint8_t *bytes, size_t size, bool summed, uint8_t *out) {
  static const char *const names[2][MOST_ENTRIES] = {{"a.npy", "b.npy", "checksum.npy", "c.npy"}, {"a", "npy", "checksum", ""}};
  packer p = {.bytes = out, .directory = out + size + MOST_ENTRIES * ENTRY_OVERHEAD};
  uint64_t sum = LSB_FNV;
  while (size >= 3 && p.entries < MOST_ENTRIES - 1) {
    uint32_t length = number_at(bytes + 1, 2);
    if (length > size - 3) length = (uint32_t)(size - 3);
    const char *name = names[bytes[0] >> 2 & 1][p.entries];
    pack(&p, name, bytes + 3, length, bytes[0] & 1, bytes[0] & 2 ? bytes[0] >> 3 : 0);
    sum = lsb_fnv(lsb_fnv(sum, name, strlen(name) + 1), bytes + 3, length);
    bytes += 3 + length;
    size -= 3 + length;
  }
  if (summed) {
    char npy[160];
    int head = snprintf(npy, sizeof npy, "\x93NUMPY\x01%c%c%c{'descr': '|u1', 'fortran_order': False, 'shape': (16,), }\n", 0, 59, 0);
    snprintf(npy + head, sizeof npy - (size_t)head, "%016llx", (unsigned long long)sum);
    pack(&p, "checksum.npy", (const uint8_t *)npy, (uint32_t)head + 16, false, 0);
  }
  memmove(p.bytes + p.size, p.directory, p.directory_size);
  uint8_t *end = put(put(p.bytes + p.size + p.directory_size, 0x06054b50, 4), 0, 4);
  end = put(put(end, p.entries, 2), p.entries, 2);
  end = put(put(put(end, (uint32_t)p.directory_size, 4), (uint32_t)p.size, 4), 0, 2);
  return (size_t)(end - out);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
  if (size < 2) return 0;
  if (state == NULL || ++given % 1000 == 0) {
    if (state != NULL) lua_close(state);
    state = luaL_newstate();
    if (state == NULL) abort();
    lsb_open_labels(state);
    lsb_open_tensor(state);
    lua_settop(state, 0);
  }
  bool made = bytes[0] & 2;
  uint8_t *copy = malloc(made ? 2 * (size + MOST_ENTRIES * ENTRY_OVERHEAD) : size - 2 + (size == 2));
  if (copy == NULL) abort();
  input_size = size - 2;
  if (made) {
    input_size = build(bytes + 2, size - 2, bytes[1] % 2 == 0, copy);
    copy = realloc(copy, input_size); /* so that a sanitizer sees a read beyond it */
    if (copy == NULL) abort();
  } else {
    memcpy(copy, bytes + 2, size - 2);
    if (bytes[1] % 2 == 0) mend(copy, size - 2);
  }
  input = copy;
  as_checkpoint = bytes[0] & 1;
  lua_pushcfunction(state, load_input);
  (void)lua_pcall(state, 0, 0, 0);
  lua_settop(state, 0);
  lua_gc(state, LUA_GCCOLLECT, 0); /* closes the archive before its bytes go */
  free(copy);
  return 0;
}
